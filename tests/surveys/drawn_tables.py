"""Tables drawn at random, written by another library in every format, and what must be read back.

A table is text, numbers and days with blanks, under headers and with answers that are hard to carry: quotation marks,
line breaks, delimiters, marks of other scripts, things that look like numbers, formulas or missing codes.
"""

import csv
import datetime as dt
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table as OdfTable
from odf.table import TableCell, TableRow
from odf.text import P

TEXTS = [
    "东山村", "西川", "Zürich", "a, b", "x;y", 'the "best"', '"', '""', '"quoted"', "two\nlines", "a\tb", "007", "1e5",
    "=1+1", "+86", "-", "NA", "NULL", "nan", "N/A", "TRUE", "1,5", "1.234,50", "2024-03-05", "😀", "  ", " blanks ",
    "'", "\\", "\\n", "|", "ＨＨ１", "é", "ｘ", "PK", "PAR1", "#DIV/0!", "{}", "[]", "<b>", "%", "0", "-0", "9" * 17,
]  # fmt: skip
HEADERS = [
    "编号", "a", "A", "PK", "PAR1_x", "income (¥)", "x,y", 'q"1', "1", "land/area", "地/面积", "_id", "note", "%", "é",
    "group / a", "select", "value", "KEYS", "column_1", "a b", "ß", "日期", "v1", "v2", "v3", "=sum", "#", "-", "x;y",
]  # fmt: skip
LATIN = "abcdefgh"


@dataclass
class Drawn:
    """A table: headers, kinds ("text", "number", "date") and cells; None is blank."""

    headers: list[str]
    kinds: list[str]
    rows: list[list[Any]]

    def columns(self) -> Iterator[tuple[str, str, list[Any]]]:
        return (
            (h, k, [r[i] for r in self.rows])
            for i, (h, k) in enumerate(zip(self.headers, self.kinds, strict=True))
        )

    @property
    def answered(self) -> list[list[Any]]:
        """Rows that hold anything; the others are blank lines."""
        return [r for r in self.rows if any(shown(v) is not None for v in r)]


@dataclass
class Written:
    """A file: what survey.yml says of it, and which rows and cells must come back."""

    path: str
    format: str
    expected: Drawn
    options: dict[str, Any] = field(default_factory=dict)
    may_refuse: tuple[str, ...] = ()
    """Parts of the refusals that are right for this table."""


def shown(value: Any) -> str | float | None:
    """A cell as it is compared: numbers as numbers, days in ISO order, text as it stands, blank as None."""
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    return float(value) if isinstance(value, int | float | np.number) else str(value)


def draw(rng: np.random.Generator, *, encodable: str = "utf-8", names: list[str] | None = None) -> Drawn:
    """Draw a table whose text fits an encoding."""

    def fits(text: str) -> bool:
        try:
            return text.encode(encodable).decode(encodable) == text
        except UnicodeError:
            return False

    headers = [h for h in (names or HEADERS) if fits(h)]
    headers = list(rng.permutation(headers)[: rng.integers(2, min(8, len(headers)) + 1)])
    kinds = [str(rng.choice(["text", "text", "number", "date"])) for _ in headers]
    texts = [t for t in TEXTS if fits(t)]

    def cell(kind: str) -> Any:
        if rng.random() < 0.15:
            return None
        if kind == "text":
            parts = rng.choice(texts, size=rng.integers(1, 3))
            return "".join(map(str, parts))
        if kind == "number":
            value = [
                float(rng.integers(-5, 1000)), float(rng.normal() * 10.0 ** rng.integers(-6, 12)),
                float(rng.integers(10**15, 2**53)), 0.1, -0.0, 1e-300, 99999.0,
            ][rng.integers(7)]  # fmt: skip
            return value
        return dt.date(1950, 1, 1) + dt.timedelta(days=int(rng.integers(0, 30_000)))

    rows = [[f"H{i}", str(rng.choice(["A", "B"])), *map(cell, kinds)] for i in range(rng.integers(1, 12))]
    if len(rows) > 2 and rng.random() < 0.2:
        rows[1] = [None] * len(rows[1])
    return Drawn(["hhid", "place", *map(str, headers)], ["text", "text", *kinds], rows)


# ---- writers ---------------------------------------------------------------------------------------------------


def as_text(value: Any) -> str:
    """A cell of a text file, as a person would write it."""
    result = shown(value)
    if isinstance(result, float):
        return str(int(result)) if result.is_integer() and abs(result) < 2**53 else repr(result)
    return "" if result is None else result


def delimited(rng: np.random.Generator, folder: Path) -> Written:
    encodings = ["utf-8", "utf-8-sig", "gb18030", "gbk", "big5", "cp1252", "utf-16", "utf-16-le", "utf-32"]
    encoding = str(rng.choice(encodings))
    delimiter = str(rng.choice([",", ";", "\t", "|"]))
    table = draw(rng, encodable=encoding)
    out = io.StringIO(newline="")
    quoting = int(rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    end = str(rng.choice(["\n", "\r\n"]))
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerow(table.headers)
    writer.writerows([as_text(v) for v in row] for row in table.rows)
    (folder / "a.csv").write_bytes(out.getvalue().encode(encoding))
    return Written(
        "a.csv",
        "delimited",
        table,
        {"encoding": encoding, "delimiter": delimiter},
        ("look like rows of their own",),
    )


def excel(rng: np.random.Generator, folder: Path) -> Written:
    table = draw(rng)
    book = openpyxl.Workbook()
    sheet = book.active
    hides = rng.random() < 0.3
    if hides:
        sheet.append(["old", "rows"])
        sheet.sheet_state = "hidden"
        sheet = book.create_sheet("data")
        book.active = 1
    if rng.random() < 0.3:
        book.create_chartsheet("chart", 0)
    sheet.append(table.headers)
    for number, row in enumerate(table.rows, start=2):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(number, column)
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"  # text, also where it looks like a formula
    for cell in sheet[1]:
        cell.data_type = "s"
    book.save(folder / "a.xlsx")
    return Written("a.xlsx", "excel", table)


def ods(rng: np.random.Generator, folder: Path) -> Written:
    table = draw(rng)
    table.rows = [[" ".join(v.split()) if isinstance(v, str) else v for v in r] for r in table.rows]
    book = OpenDocumentSpreadsheet()
    sheet = OdfTable(name="S")
    for row in [table.headers, *table.rows]:
        line = TableRow()
        for value in row:
            if value is None or value == "":
                line.addElement(TableCell())
            elif isinstance(value, str):
                cell = TableCell(valuetype="string")
                cell.addElement(P(text=value))
                line.addElement(cell)
            elif isinstance(value, dt.date):
                line.addElement(TableCell(valuetype="date", datevalue=value.isoformat()))
            else:
                line.addElement(TableCell(valuetype="float", value=repr(value)))
        sheet.addElement(line)
    book.spreadsheet.addElement(sheet)
    book.save(folder / "a.ods")
    return Written("a.ods", "excel", table)


def frame_of(table: Drawn) -> pd.DataFrame:
    data = {}
    for header, kind, cells in table.columns():
        if kind == "number":
            data[header] = pd.Series([np.nan if v is None else v for v in cells], dtype=float)
        elif kind == "date":
            data[header] = pd.Series(cells, dtype=object)
        else:
            data[header] = pd.Series(["" if v is None else v for v in cells], dtype=object)
    return pd.DataFrame(data)


STATISTICAL = [f"v{i}" for i in range(12)] + ["id", "q1_a", "LAND", "value"]


def spss(rng: np.random.Generator, folder: Path) -> Written:
    name = str(rng.choice(["a.sav", "a.zsav"]))
    table = draw(rng, names=[*STATISTICAL, "编号", "面积"])
    # the format holds no blanks at the end of a text
    table.rows = [[v.rstrip(" ") if isinstance(v, str) else v for v in r] for r in table.rows]
    missing: dict[str, list[Any]] = {}
    labels: dict[str, dict[Any, str]] = {}
    for header, kind, _ in table.columns():
        if kind == "number" and rng.random() < 0.5:
            missing[header] = (
                [99999.0] if rng.random() < 0.5 else [{"lo": -1.7976931348623157e308, "hi": -9e14}]
            )
            labels[header] = {1.0: "满意", 99999.0: 'the "worst", 😀'}
    pyreadstat.write_sav(
        frame_of(table), folder / name, missing_ranges=missing, variable_value_labels=labels,
        column_labels={table.headers[0]: "标签 \"a\""}, row_compress=name == "a.zsav",
    )  # fmt: skip
    return Written(name, "spss", table)


def stata(rng: np.random.Generator, folder: Path) -> Written:
    version = int(rng.choice([114, 117, 118, 119]))
    table = draw(rng, encodable="utf-8" if version >= 118 else "gb18030", names=STATISTICAL)
    # Stata has no days before 1960 that others write, and no text without characters
    kinds = ["number" if k == "date" else k for k in table.kinds]
    table.kinds = kinds
    table.rows = [
        [(v - dt.date(1960, 1, 1)).days * 1.0 if isinstance(v, dt.date) else v for v in r] for r in table.rows
    ]
    table.rows = [[v[:60].rstrip("\0") if isinstance(v, str) else v for v in r] for r in table.rows]
    frame = frame_of(table)
    options: dict[str, Any] = {}
    if version < 118:
        for header, kind, _ in table.columns():
            if kind == "text":
                frame[header] = frame[header].map(lambda v: v.encode("gb18030").decode("latin-1"))
        options = {"encoding": "gb18030"}
    frame.to_stata(folder / "a.dta", write_index=False, version=version)
    return Written("a.dta", "stata", table, options)


def _has_midnight(day: dt.date, zone: str) -> bool:
    return bool(pd.Timestamp(day).tz_localize(zone, nonexistent="NaT", ambiguous="NaT") is not pd.NaT)


def parquet(rng: np.random.Generator, folder: Path) -> Written:
    table = draw(rng)
    zone = str(rng.choice(["", "Asia/Shanghai", "+08:00", "America/Lima"]))
    arrays = []
    if zone:
        # on a day on which clocks are put forward at midnight there is no midnight to be written
        table.rows = [
            [None if isinstance(v, dt.date) and not _has_midnight(v, zone) else v for v in r]
            for r in table.rows
        ]
    for _, kind, cells in table.columns():
        if kind == "date" and zone:
            local = [None if v is None else pd.Timestamp(v, tz=zone).to_pydatetime() for v in cells]
            arrays.append(pa.array(local, pa.timestamp("us", tz=zone)))
        else:
            types = {"text": pa.string(), "number": pa.float64(), "date": pa.date32()}
            column = pa.array([None if v == "" else v for v in cells], types[kind])
            arrays.append(column.dictionary_encode() if kind == "text" and rng.random() < 0.3 else column)
    pq.write_table(pa.Table.from_arrays(arrays, names=table.headers), folder / "a.parquet")
    return Written("a.parquet", "parquet", table)


LINK = ["_index", "_parent_table_name", "_parent_index", "_submission__id", "_submission__uuid"]
NAMES = ["members", "household_members_and_their_relatives", "成员", "a-b", "x_y"]


@dataclass
class Level:
    """Rows of a form at one level, each with the position of the row that it is repeated in."""

    rows: list[list[Any]]
    parents: list[int]


def odk(rng: np.random.Generator, folder: Path) -> Written:
    """An export of one or two levels of repeats, in any layout; the deepest level is what is read."""
    households = int(rng.integers(1, 7))
    names = [str(n) for n in rng.permutation(NAMES)[: rng.integers(1, 3)]]
    texts = [t for t in TEXTS if t.strip() == t and t]
    top = [[f"H{i}", str(rng.choice(texts))] for i in range(households)]
    levels, above = [], households
    for _ in names:
        parents = np.sort(rng.integers(0, above, size=rng.integers(1, 8))).tolist()
        rows = [
            [None, None] if rng.random() < 0.2 else [str(rng.choice(texts)), str(rng.integers(0, 99))]
            for _ in parents
        ]
        levels.append(Level(rows, parents))
        above = len(parents)
    rows = levels[-1].rows
    household = list(range(households))
    for level in levels:
        household = [household[p] for p in level.parents]
    expected = [
        [*r, top[h][0]] for r, h in zip(rows, household, strict=True) if any(v is not None for v in r)
    ]
    name = names[-1]
    last = len(names)
    headers = [f"name{last}", f"age{last}", "code"]
    layout = str(rng.choice(["kobo zip", "kobo xlsx", "central zip", "json", "json zip"]))
    if layout.startswith("json"):
        path = folder / "a.json"
        content = json.dumps(_nested(top, levels, names), ensure_ascii=False)
        if layout == "json":
            path.write_text(content, encoding="utf-8")
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("data.json", content)
        headers = [f"{'/'.join(names)}/{h}" for h in headers[:2]] + ["code"]
    else:
        path = folder / ("a.xlsx" if layout == "kobo xlsx" else "a.zip")
        tables = _tables(rng, top, levels, names, is_central=layout == "central zip")
        if layout == "kobo xlsx":
            with pd.ExcelWriter(path, engine="openpyxl") as writer:
                for title, frame in tables.items():
                    frame.to_excel(writer, sheet_name=title[:31], index=False)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                for title, frame in tables.items():
                    archive.writestr(f"{title}.csv", frame.to_csv(index=False))
    table = Drawn(headers, ["text"] * 3, expected)
    return Written(
        path.name, "odk", table, {"repeat": name}, ("has no single repeat group",) if not expected else ()
    )


def _nested(top: list[list[Any]], levels: list[Level], names: list[str]) -> list[dict[str, Any]]:
    def entries(depth: int, parent: int, path: str) -> list[dict[str, Any]]:
        if depth == len(levels):
            return []
        here, actual = f"{path}{names[depth]}", []
        for number, (row, above) in enumerate(zip(levels[depth].rows, levels[depth].parents, strict=True)):
            if above == parent:
                entry = {f"{here}/name{depth + 1}": row[0], f"{here}/age{depth + 1}": row[1]}
                entry = {k: v for k, v in entry.items() if v is not None}
                below = entries(depth + 1, number, f"{here}/")
                actual.append(
                    entry | ({f"{here}/{names[depth + 1]}": below} if depth + 1 < len(levels) else {})
                )
        return actual

    return [
        {"_uuid": f"u{i}", "code": row[0], "note": row[1], names[0]: entries(0, i, "")}
        for i, row in enumerate(top)
    ]


def _tables(
    rng: np.random.Generator, top: list[list[Any]], levels: list[Level], names: list[str], *, is_central: bool
) -> dict[str, pd.DataFrame]:
    """Tables of an export; a platform may send a form twice under one uuid."""
    uuids = [f"u{i}" for i in range(len(top))]
    if len(top) > 1 and rng.random() < 0.3 and not is_central:
        uuids[1] = uuids[0]
    submission = list(range(len(top)))
    tables = {"form": pd.DataFrame(top, columns=["code", "note"], dtype=object)}
    keys = [f"uuid:{i}" for i in range(len(top))]
    if is_central:
        tables["form"]["KEY"] = keys
    else:
        ids, places = [str(100 + i) for i in submission], [str(i + 1) for i in submission]
        tables["form"] = tables["form"].assign(_id=ids, _uuid=uuids, _index=places)
    above = "form"
    for depth, (level, name) in enumerate(zip(levels, names, strict=True), start=1):
        frame = pd.DataFrame(level.rows, columns=[f"name{depth}", f"age{depth}"], dtype=object)
        submission = [submission[p] for p in level.parents]
        if is_central:
            frame["PARENT_KEY"] = [keys[p] for p in level.parents]
            keys = [f"{keys[p]}/{name}[{i}]" for i, p in enumerate(level.parents)]
            frame["KEY"] = keys
        else:
            values = [
                [str(i + 1) for i in range(len(frame))], [above] * len(frame), [str(p + 1) for p in level.parents],
                [str(100 + s) for s in submission], [uuids[s] for s in submission],
            ]  # fmt: skip
            for header, cells in zip(LINK, values, strict=True):
                frame[header] = cells
        tables[f"form-{name}" if is_central else name] = frame
        above = name
    order = rng.permutation(len(tables))
    return {list(tables)[i]: list(tables.values())[i] for i in order}


WRITERS: dict[str, Callable[[np.random.Generator, Path], Written]] = {
    "delimited": delimited, "excel": excel, "ods": ods, "spss": spss, "stata": stata, "parquet": parquet, "odk": odk,
}  # fmt: skip
