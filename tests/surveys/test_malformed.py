"""Malformed deliveries: each is refused or set aside with a message for people, and never changes what was loaded.

Each case replaces the file of a survey that is already loaded. A refusal must leave raw tables, quarantine, codebook
and landing as they were; a quarantine must say row, column, value and rule.
"""

import gzip
import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from small_survey import COLUMNS, HEADER, ROWS, csv_text, write_folder

from relocation_warehouse.survey.ingest import ingest


@dataclass(frozen=True)
class Case:
    """A delivery: what lies in the folder, what survey.yml says of it, and what people must be told."""

    name: str
    write: Callable[[Path], object]
    says: tuple[str, ...]
    rules: dict[str, int] = field(default_factory=dict)
    """Expected quarantine by rule; empty where the survey is refused."""
    path: str = "households.csv"
    format: str = "delimited"
    options: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None


def content(data: bytes | str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))


def answers(**cells: str) -> str:
    names = [c[2] for c in COLUMNS]
    first = [str(cells.get(n, v)) for n, v in zip(names, ROWS[0], strict=True)]
    return csv_text([first, *ROWS[1:]])


GOOD = csv_text()
FRAME = pd.DataFrame(ROWS, columns=HEADER)


def zipped(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def encrypted() -> bytes:
    """A zip whose member says that it is encrypted."""
    data = bytearray(zipped({"households.csv": GOOD}, zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def lying_about_its_size() -> bytes:
    """A zip bomb whose directory says that it is small."""
    data = bytearray(zipped({"households.csv": b"0" * (80 * 2**20)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 1000)
    return bytes(data)


def workbook(**changes: object) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        book = openpyxl.Workbook()
        for row in [HEADER, *ROWS]:
            book.active.append(row)
        for place, value in changes.items():
            book.active[place] = value
        book.save(path)

    return write


def truncated(write: Callable[[Path], object], share: float = 0.6) -> Callable[[Path], object]:
    def cut(path: Path) -> None:
        write(path)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return cut


def sav(frame: pd.DataFrame, **options: Any) -> Callable[[Path], object]:
    return lambda path: pyreadstat.write_sav(frame, path, **options)


def dta(frame: pd.DataFrame, **options: Any) -> Callable[[Path], object]:
    return lambda path: pyreadstat.write_dta(frame, path, **options)


def parquet(table: pa.Table) -> Callable[[Path], object]:
    return lambda path: pq.write_table(table, path)


def directory(path: Path) -> None:
    path.mkdir()


def unreadable_link(path: Path) -> None:
    os.symlink("nowhere", path)


WIDE = ",".join(f"q{i}" for i in range(10_000)) + "\n" + ",".join("1" for _ in range(10_000)) + "\n"
SUBMISSIONS = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
XLSX: dict[str, Any] = {"path": "a.xlsx", "format": "excel"}
SPSS: dict[str, Any] = {"path": "a.sav", "format": "spss"}
STATA: dict[str, Any] = {"path": "a.dta", "format": "stata"}
ODK: dict[str, Any] = {"path": "a.json", "format": "odk"}
PARQUET: dict[str, Any] = {"path": "a.parquet", "format": "parquet"}
ASCII = [f"c{i}" for i in range(len(HEADER))]

CASES = [
    # the file itself
    Case("missing file", lambda path: None, ("file is missing", "survey.yml")),
    Case("a folder in its place", directory, ("file is missing",)),
    Case("a link to nowhere", unreadable_link, ("file is missing",)),
    Case("empty file", content(b""), ("file is empty (0 bytes)", "export it again")),
    Case("only blanks", content("\n\n  \n"), ("no header in row 1",)),
    Case("only a header", content(csv_text([])), ("has a header but no rows",)),
    Case("only blank rows", content(csv_text([[""] * 8, [""] * 8])), ("has a header but no rows",)),
    Case("wrong checksum", content(GOOD), ("sha256 is", "was replaced or damaged"), sha256="0" * 64),
    # wrong extension: content that is something else
    Case("workbook named csv", workbook(), ("declared as format 'delimited'", ".xlsx", "`format`")),
    Case("SPSS named csv", sav(FRAME.set_axis(ASCII, axis=1)), ("declared as format 'delimited'", "SPSS")),
    Case("Parquet named csv", parquet(pa.table({"a": [1]})), ("declared as format 'delimited'", "Parquet")),
    Case("PDF named csv", content(b"%PDF-1.7\n..."), ("declared as format 'delimited'", "PDF")),
    Case("old workbook named csv", content(b"\xd0\xcf\x11\xe0" + b"\0" * 600), ("old Excel workbook",)),
    Case("CSV named xlsx", content(GOOD), ("declared as format 'excel'", "looks like text"), **XLSX),
    Case("web page named xls", content("<html><table></table></html>"), ("'excel'", "a web page"), **XLSX),
    Case("CSV named sav", content(GOOD), ("a.sav: cannot be read as SPSS",), **SPSS),
    Case("Stata named sav", dta(FRAME.set_axis(ASCII, axis=1)), ("a.sav:", "Stata"), **SPSS),
    Case("CSV named dta", content(GOOD), ("a.dta: cannot be read as SPSS or Stata",), **STATA),
    Case("CSV named parquet", content(GOOD), ("'parquet'", "looks like text"), **PARQUET),
    Case("CSV named json", content(GOOD), ("a.json: is no readable JSON",), **ODK),
    # encodings
    Case("GB18030 declared as UTF-8", content(GOOD.encode("gb18030")), ("is not utf-8 in line 1", "options.encoding"),
         options={"encoding": "utf-8"}),
    Case("UTF-8 with a broken byte", content(GOOD.encode() + b"H4,\xff\xfe,,,,,,\n"), ("is not utf-8 in line 5",),
         options={"encoding": "utf-8"}),
    Case("Latin text that is not Chinese", content(("id,name\n" + "1,Señor Muñoz está aquí\n" * 30).encode("cp1252")),
         ("encoding", "cannot be determined with certainty", "options.encoding")),
    Case("unknown encoding", content(GOOD), ("encoding 'utf-99' is not known",), options={"encoding": "utf-99"}),
    Case("UTF-16 cut in the middle of a character", content(GOOD.encode("utf-16")[:-1]),
         ("is not utf-16", "in line 4")),
    Case("GB18030 cut in the middle of a character", content(GOOD.encode("gb18030") + b"H4,\xbc"), ("is not gb18030",),
         options={"encoding": "gb18030"}),
    Case("NUL characters", content(GOOD.replace("H2", "H\0002")), ("line 3 holds a NUL character",)),
    # shape of the text
    Case("a quote that is not closed", content(answers(note='"good')  .replace('"""good"', '"good')),
         ("a quotation mark is not closed", "line 2")),
    Case("a cell too many", content(GOOD + "H4,甲,35,1,1,,,,\n"),
         ("row 5 has 9 cells, the header has 8",)),
    Case("a row cut off", content(GOOD + "H4,甲"), ("row 5 has 2 cells, the header has 8",)),
    Case("another delimiter", content(GOOD), ("lacks the column '编号'", "has the column"), options={"delimiter": ";"}),
    Case("an impossible delimiter", content(GOOD), ("header cannot be read", "options.delimiter"),
         options={"delimiter": ",,"}),
    Case("header row beyond the end", content(GOOD), ("no header in row 9",), options={"header_rows": [9]}),
    Case("10,000 columns", content(WIDE), ("has 10,000 columns", "4,096", "delimiter")),
    Case("4,000 unknown columns", content(",".join(f"q{i}" for i in range(4000)) + "\n" + "," * 3999 + "\n"),
         ("lacks the column", "and 3,990 more")),
    Case("duplicate header", content(csv_text(header=[*HEADER[:-1], "年龄"])),
         ("header '年龄' occurs more than once",)),
    Case("unknown column", content(csv_text([[*r, "1"] for r in ROWS], [*HEADER, "新题"])),
         ("has the column '新题'", "columns.csv does not declare", "ignore_reason")),
    Case("column without a header", content(csv_text([[*r, "1"] for r in ROWS], [*HEADER, ""])), ("'column_9'",)),
    Case("missing column", content(csv_text([r[:-1] for r in ROWS], HEADER[:-1])), ("lacks the column '备注'",)),
    Case("renamed column", content(csv_text(header=["年纪" if h == "年龄" else h for h in HEADER])),
         ("lacks the column '年龄'", "has the column '年纪'")),
    Case("reserved header", content(csv_text([[*r, "1"] for r in ROWS], [*HEADER, "_row"])), ("'_row'", "reserved")),
    # archives
    Case("gzip cut off", content(gzip.compress(GOOD.encode())[:-20]),
         ("archive is truncated or damaged",), path="a.gz"),
    Case("zip cut off", content(zipped({"a.csv": GOOD})[:-30]), ("archive is truncated or damaged",), path="a.zip"),
    Case("zip with a wrong checksum", content(zipped({"a.csv": GOOD}, 0).replace(b"H2", b"H5", 1)),
         ("archive is truncated or damaged", "CRC"), path="a.zip"),
    Case("empty zip", content(zipped({})), ("archive",), path="a.zip"),
    Case("zip of folders", content(zipped({"folder/": ""})), ("archive is empty",), path="a.zip"),
    Case("zip of two surveys", content(zipped({"a.csv": GOOD, "b.csv": GOOD})),
         ("archive holds 2 files", "a.csv, b.csv"),
         path="a.zip"),
    Case("encrypted zip", content(encrypted()), ("protected by a password",), path="a.zip"),
    Case("gzip bomb", content(gzip.compress(b"0" * (80 * 2**20))), ("200 times its size", "zip bomb"), path="a.gz"),
    Case("zip bomb", content(zipped({"a.csv": b"0" * (80 * 2**20)})), ("200 times its size", "zip bomb"), path="a.zip"),
    Case("zip bomb that lies about its size", content(lying_about_its_size()), ("a.zip: ",), path="a.zip"),
    Case("bomb inside a workbook", content(zipped({"[Content_Types].xml": "", "xl/a.xml": b" " * (80 * 2**20)})),
         ("zip bomb",), **XLSX),
    Case("bomb inside an ODK archive", content(zipped({"form.csv": b"0" * (80 * 2**20)})), ("zip bomb",), **ODK),
    # Excel
    Case("workbook cut off", truncated(workbook()), ("a.xlsx: archive is truncated or damaged",), **XLSX),
    Case("zip that is no workbook", content(zipped({"[Content_Types].xml": "<x/>"})),
         ("damaged or no workbook",), **XLSX),
    Case("no such sheet", workbook(), ("has no sheet '户'", "'Sheet'"), options={"sheet": "户"}, **XLSX),
    Case("sheet without a header", workbook(), ("no header in row 7",), options={"header_rows": [7]}, **XLSX),
    Case("workbook with a header only", lambda path: FRAME[:0].to_excel(path, index=False), ("no rows",), **XLSX),
    Case("duplicate header in a sheet", workbook(H1="年龄"), ("header '年龄' occurs more than once",), **XLSX),
    Case("protected or old workbook without content", content(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 2000),
         ("a.xlsx: ", "workbook"), **XLSX),
    Case("formula without a stored value", workbook(C2="=A1+1"), ("row 2, column 年龄: =A1+1 is not a number",),
         {"not_a_number": 1}, **XLSX),
    Case("error value", workbook(D2="#DIV/0!"), ("row 2, column 收入: #DIV/0! is not a number",),
         {"not_a_number": 1}, **XLSX),
    Case("date as a number", workbook(G2=45356), ("row 2, column 日期: 45356 is not a date", "a bare number"),
         {"not_a_date": 1}, **XLSX),
    Case("date in a number column", workbook(C2=pd.Timestamp("2024-03-05")), ("年龄: 2024-03-05 is not a number",),
         {"not_a_number": 1}, **XLSX),
    Case("truth value in a number column", workbook(C2=True),
         ("年龄: TRUE is not a number",), {"not_a_number": 1}, **XLSX),
    # SPSS, Stata, Parquet
    Case("SPSS cut off", truncated(sav(FRAME.set_axis(ASCII, axis=1))), ("a.sav: cannot be read", "truncated"), **SPSS),
    Case("SPSS header only", truncated(sav(FRAME.set_axis(ASCII, axis=1)), 0.05), ("a.sav: cannot be read",), **SPSS),
    Case("SPSS without cases", sav(FRAME[:0].astype(float)), ("has a header but no rows",), **SPSS),
    Case("SPSS with other variables", sav(FRAME.set_axis(ASCII, axis=1)), ("lacks the column '编号'", "'c0'"), **SPSS),
    Case("Stata cut off", truncated(dta(FRAME.set_axis(ASCII, axis=1))), ("a.dta: cannot be read",), **STATA),
    Case("Parquet cut off", truncated(parquet(pa.Table.from_pandas(FRAME))), ("no readable Parquet",), **PARQUET),
    Case("Parquet with lists", parquet(pa.table({"编号": [["H1"]]})), ("column '编号' holds list",), **PARQUET),
    Case("Parquet with bytes", parquet(pa.table({"编号": [b"H1"]})), ("column '编号' holds binary",), **PARQUET),
    Case("NaN and infinity in Parquet",
         parquet(pa.Table.from_pandas(FRAME.assign(收入=[np.inf, 1.0, 2.0]), preserve_index=False)),
         ("row 1, column 收入: inf is not a finite number",), {"not_finite": 1}, **PARQUET),
    # ODK
    Case("JSON cut off", content(json.dumps(SUBMISSIONS)[:-9]), ("is no readable JSON",), **ODK),
    Case("JSON that is no list", content('{"detail": "Not found."}'), ("no list of submissions",), **ODK),
    Case("JSON nested without end", content("[" * 100_000 + "]" * 100_000), ("a.json: is no",), **ODK),
    Case("no such repeat group", content(json.dumps(SUBMISSIONS)), ("no single repeat group 'members'", "none"),
         options={"repeat": "members"}, **ODK),
    Case("ODK archive without tables", content(zipped({"media/photo.jpg": "x"})), ("neither CSV nor JSON",), **ODK),
    Case("ODK archive of two forms", content(zipped({"a.csv": GOOD, "b.csv": GOOD})),
         ("holds 2 tables", "a, b"), **ODK),
    Case("ODK archive with a broken table", content(zipped({"a.csv": GOOD + "H4,x\n"})),
         ("a.csv: row 5", "2 cells"), **ODK),
    Case("ODK path out of the archive", content(zipped({"../../a.csv": csv_text(header=ASCII)})),
         ("lacks the column",), **ODK),
    # rows and cells
    Case("text for a number", content(answers(age="三十五")), ("row 2, column 年龄: 三十五 is not a number",),
         {"not_a_number": 1}),
    Case("a number with separators", content(answers(income="1,200.50")), ("1,200.50 is not a number",),
         {"not_a_number": 1}),
    Case("an impossible age", content(answers(age="405")), ("405 is above the maximum 100",), {"above_maximum": 1}),
    Case("half a person", content(answers(age="35.5")), ("35.5 is not a whole number",), {"not_whole": 1}),
    Case("NaN as text", content(answers(income="NaN")), ("NaN is not a finite number",), {"not_finite": 1}),
    Case("infinity as text", content(answers(income="-inf")), ("-inf is not a finite number",), {"not_finite": 1}),
    Case("more digits than a number holds", content(answers(income="9" * 400)),
         ("999 is not a finite number",), {"not_finite": 1}),
    Case("unknown code", content(answers(satisfied="非常同意")), ("column 满意: 非常同意 is not in the code lists",),
         {"unknown_code": 1}),
    Case("unknown choice of several", content(answers(help="land 房子")), ("land 房子 is not in the code lists",),
         {"unknown_code": 1}),
    Case("a day that no calendar has", content(answers(visit="2023-02-29")), ("2023-02-29 is not a date",),
         {"not_a_date": 1}),
    Case("SQL as an answer", content(answers(age="1; DROP SCHEMA raw CASCADE")), ("is not a number",),
         {"not_a_number": 1}),
    Case("very long answer", content(answers(age="x" * 100_000)), ("xxx is not a number",), {"not_a_number": 1}),
    Case("no household id", content(answers(hhid="")), ("row 2: has no household id",), {"missing_household_id": 1}),
    Case("blank household id", content(answers(hhid="　")),
         ("row 2: has no household id",), {"missing_household_id": 1}),
    Case("unknown site", content(answers(site="丁")), ("row 2: 丁 is a site that the code list does not name",),
         {"unknown_site": 1}),
    Case("one id for two households", content(answers(hhid="H2")), ("H2 occurs in several rows with",),
         {"duplicate_household": 2}),
    Case("ids that differ in blanks only", content(answers(hhid=" H2 ")), ("H2 occurs in several rows",),
         {"duplicate_household": 2}),
    Case("a row pasted twice", content(csv_text([ROWS[0], *ROWS])), ("row 3: H1 repeats an earlier row",),
         {"duplicate_row": 1}),
    Case("every row wrong", content(csv_text([["", *r[1:]] for r in ROWS])), ("has no household id",),
         {"missing_household_id": 3}),
]  # fmt: skip


def test_the_corpus_is_large_and_names_are_unique():
    assert len(CASES) >= 60
    assert len({c.name for c in CASES}) == len(CASES)


def state(con: duckdb.DuckDBPyConnection, landing: Path) -> dict[str, object]:
    """Everything that a refused delivery must leave as it is."""
    tables = con.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw' ORDER BY 1"
    ).fetchall()
    loads = "SELECT survey_id, file_id, sha256, received, accepted, quarantined, loaded_at FROM quality.loads"
    return {
        "raw": {t: con.execute(f'SELECT * FROM raw."{t}" ORDER BY _row').fetchall() for (t,) in tables},
        "quarantine": con.execute("SELECT * FROM quality.quarantine ORDER BY ALL").fetchall(),
        "codebook": con.execute("SELECT * FROM quality.codebook ORDER BY ALL").fetchall(),
        "loads": con.execute(loads).fetchall(),
        "landing": {str(p): p.read_bytes() for p in sorted(landing.rglob("*")) if p.is_file()},
    }


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_malformed(case, tmp_path):
    landing = tmp_path / "landing"
    with duckdb.connect() as con:
        folder = write_folder(tmp_path / "s")
        (tmp_path / "s" / "households.csv").write_text(GOOD, encoding="utf-8")
        assert ingest(folder, landing, con).is_accepted
        before = state(con, landing)
        (tmp_path / "s" / "households.csv").unlink()
        file = {"file_id": "households", "path": case.path, "format": case.format, "options": case.options}
        if case.sha256:
            file["sha256"] = case.sha256
        folder = write_folder(tmp_path / "s", files=[file])
        case.write(tmp_path / "s" / case.path)

        load = ingest(folder, landing, con)

        if case.rules:
            assert load.is_accepted, load.problems
            (only,) = load.files
            assert only.received == only.accepted + only.quarantined
            rules = con.execute("SELECT rule, count(*) FROM quality.quarantine GROUP BY 1").fetchall()
            assert dict(rules) == case.rules
            messages = con.execute("SELECT message_en, message_zh FROM quality.quarantine").fetchall()
            told = "\n".join(en for en, _ in messages)
            assert all(re.search("[\u4e00-\u9fff]", zh) and "None" not in zh for _, zh in messages)
        else:
            assert not load.is_accepted
            assert state(con, landing) == before
            assert con.execute("SELECT DISTINCT status FROM quality.loads").fetchall() == [("refused",)]
            told = "\n".join(map(str, load.problems))
        assert case.path in told
        for part in case.says:
            assert part in told
        assert "Traceback" not in told
        assert str(tmp_path) not in told
