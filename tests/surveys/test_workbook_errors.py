"""An error in a cell of an old or binary workbook is no blank: it lands under its name and fails its column."""

import struct
import zipfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_survey import HEADER, ROWS, write_folder

from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.readers import UnreadableFile, read, streamed
from relocation_warehouse.survey.readers.sheets import ERRORS
from relocation_warehouse.survey.vocabulary import SurveyFile

FIXTURE = Path(__file__).parents[1] / "fixtures" / "households.xls"
RK, BOOLERR = bytes.fromhex("7e020a000200010011000e000000"), "05020a000200010011 00 {code:02x} 01 0000"
"""A number in row 3, column 2 of the fixture, and the record of an error in its place ([MS-XLS] 2.4.220, 2.4.24)."""

RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.bin"/></Relationships>'
)

Cell = str | float | int | None
"""A text, a number, the code of an error, or nothing."""


def record(kind: int, content: bytes = b"") -> bytes:
    """A record of [MS-XLSB]: kind and length in seven bits a byte."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size, n = bytearray(), len(content)
    while n > 0x7F:
        size.append(n & 0x7F | 0x80)
        n >>= 7
    return head + bytes(size) + bytes([n]) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(path: Path, rows: list[list[Cell]], sheet: str = "S") -> None:
    """Write a workbook of one sheet; a cell that is an int is the code of an error."""
    width = max(map(len, rows))
    body = record(129) + record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, width - 1)) + record(145)
    for r, row in enumerate(rows):
        body += record(0, struct.pack("<IIHBBBI", r, 0, 300, 0, 0, 0, 0))
        for c, value in enumerate(row):
            place = struct.pack("<II", c, 0)
            match value:
                case str():
                    body += record(6, place + wide(value))
                case float():
                    body += record(5, place + struct.pack("<d", value))
                case int():
                    # of a formula: its result, then two flags and the formula, of no bytes
                    body += (
                        record(3, place + bytes([value]))
                        if c % 2
                        else record(11, place + bytes([value, *b"\0" * 10]))
                    )
    book = record(131) + record(143) + record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide(sheet))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.bin", book + record(144) + record(132))
        archive.writestr("xl/_rels/workbook.bin.rels", RELATIONS)
        archive.writestr("xl/worksheets/sheet1.bin", body + record(146) + record(130))


def workbook(path: str) -> SurveyFile:
    return SurveyFile.model_validate(
        {"file_id": "f", "path": path, "format": "excel", "household_id": ["hhid"]}
    )


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(sorted(ERRORS)), st.floats(1, 9), st.sampled_from(["x", "东山村", "#N/A"])
            ),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=200,
    )
)
def test_every_error_of_a_binary_workbook_is_where_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[Cell]]
) -> None:
    folder = tmp_path_factory.mktemp("xlsb")
    xlsb(folder / "a.xlsb", [["a", "b", "c"], *rows])
    file = workbook("a.xlsb")
    with streamed(folder / file.path, file) as received:
        came = [list(r.values())[:-1] for batch in received.batches for r in batch.to_pylist()]
    assert len(came) == len(rows)
    for row, each in zip(rows, came, strict=True):
        for given_, value in zip(row, each, strict=True):
            if isinstance(given_, float):
                assert float(value) == given_
            else:
                assert value == (ERRORS[given_] if isinstance(given_, int) else given_)


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_every_error_of_an_old_workbook_is_named(tmp_path: Path, code: int) -> None:
    content = FIXTURE.read_bytes()
    assert content.count(RK) == 1
    (tmp_path / "a.xls").write_bytes(content.replace(RK, bytes.fromhex(BOOLERR.format(code=code))))
    rows = read(workbook("a.xls"), tmp_path).table.to_pylist()
    assert [row["面积"] for row in rows] == ["2.5", ERRORS[code]]


def test_an_error_is_set_aside_by_name_and_not_taken_for_no_answer(tmp_path: Path) -> None:
    rows: list[list[Cell]] = [list(row) for row in ROWS]
    rows[1][HEADER.index("收入")] = 0x07
    file = {"file_id": "households", "path": "a.xlsb", "format": "excel"}
    folder = write_folder(tmp_path / "s", files=[file])
    xlsb(tmp_path / "s" / "a.xlsb", [list(HEADER), *rows])
    with duckdb.connect() as con:
        assert ingest(folder, tmp_path, con).is_accepted
        aside = con.execute('SELECT "row", "column", "value", rule FROM quality.quarantine').fetchall()
    assert (3, "收入", "#DIV/0!", "not_a_number") in aside


def test_a_binary_workbook_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    xlsb(tmp_path / "a.xlsb", [["a"], ["x"]])
    with zipfile.ZipFile(tmp_path / "a.xlsb") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/workbook.bin"] = parts["xl/workbook.bin"][:-3] + b"\x9c"
    with zipfile.ZipFile(tmp_path / "a.xlsb", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(UnreadableFile, match=r"a\.xlsb: workbook is damaged"):
        read(workbook("a.xlsb"), tmp_path)
