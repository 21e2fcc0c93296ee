"""What a workbook's file says beside its values: formulas without a result, errors, hidden rows, far cells.

Belongs here: reading the XML of XLSX and ODS sheets, and the records of XLSB and XLS ones. Does not belong here:
values (`excel`).
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.etree import ElementTree

from relocation_warehouse.survey.readers.base import UnreadableFile

BLOCK = 4 * 2**20
TAIL = 4096
"""Bytes of a block that are looked at again with the next one, so that nothing is cut in two."""

FREE_CELLS = 20_000_000
EMPTY_SHARE = 50
"""A rectangle of more than `FREE_CELLS` in which fewer than one cell of this many is there has a cell far outside."""

ROWS = re.compile(rb'<(?:\w+:)?row [^>]*?\br="(\d+)"')
COLUMNS = re.compile(rb'<(?:\w+:)?c [^>]*?\br="([A-Z]{1,3})\d+"')
MARKED = re.compile(rb'<(?:\w+:)?f[ >/]|t="e"|hidden="(?:1|true)"')
"""A formula, an error or something hidden in the XML of an XLSX sheet."""

ODF = "{urn:oasis:names:tc:opendocument:xmlns:"
ERRORS = {
    0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!", 0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}  # fmt: skip
"""What a program shows for the codes of XLS and XLSB."""

BUNDLE_SHEET, ROW_HEADER, CELL_ERROR, FORMULA_ERROR = 156, 0, 3, 11
"""Records of XLSB ([MS-XLSB] 2.3.1) that name a sheet, begin a row, and hold an error or a formula that gave one."""

ERROR = re.compile(r"#[A-Z/0]+[!?]?|Err:\d+")


@dataclass
class Beside:
    """What stands beside the values of a sheet.

    Attributes
    ----------
    texts
        By row and column from 1: the formula of a cell whose result was never stored, or the error in it.
    hidden_rows, hidden_columns
        Numbers from 1.
    """

    texts: dict[tuple[int, int], str] = field(default_factory=dict)
    hidden_rows: list[int] = field(default_factory=list)
    hidden_columns: list[int] = field(default_factory=list)


def beside(path: Path, sheet: str) -> Beside:
    """Read what a workbook says beside the values of a sheet; of XLSB and XLS ones, their errors.

    Raises
    ------
    UnreadableFile
        A cell lies so far outside that the table between would not fit into memory.
    """
    if not zipfile.is_zipfile(path):
        return _xls(path, sheet)
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "xl/workbook.xml" in names:
                return _xlsx(archive, sheet)
            if "content.xml" in names:
                return _ods(archive, sheet)
            if "xl/workbook.bin" in names:
                return _xlsb(archive, sheet)
    except (ElementTree.ParseError, KeyError, ValueError, struct.error) as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"workbook is damaged ({error}); save it again") from error
    return Beside()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _xlsx(archive: zipfile.ZipFile, sheet: str) -> Beside:
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
    ids = {
        e.get("name"): next((v for k, v in e.attrib.items() if k.endswith("}id")), None)
        for e in book.iter()
        if _local(e.tag) == "sheet"
    }
    calculations = [e for e in book.iter() if _local(e.tag) == "calcPr"]
    is_stale = any(e.get("fullCalcOnLoad") in ("1", "true") for e in calculations)
    part = _part(archive, "workbook.xml", ids.get(sheet))
    with archive.open(part) as handle:
        is_marked = _looked_through(handle)
    if not is_marked:
        return Beside()
    with archive.open(part) as handle:
        return _cells(handle, is_stale)


def _part(archive: zipfile.ZipFile, book: str, relation: str | None) -> str:
    """Name of the part of an archive that a relation of the workbook leads to."""
    links = ElementTree.fromstring(archive.read(f"xl/_rels/{book}.rels"))
    target = next((e.get("Target") or "" for e in links if e.get("Id") == relation), "")
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _looked_through(handle: IO[bytes]) -> bool:
    """Whether the sheet holds formulas, errors or hidden rows; a far cell is refused before anything is laid out."""
    rows, columns, cells, is_marked, tail = 0, set[bytes](), 0, False, b""
    while block := handle.read(BLOCK):
        text = tail + block
        columns_here = COLUMNS.findall(text)
        cells += len(columns_here)
        columns.update(columns_here)
        rows = max([rows, *map(int, ROWS.findall(text))])
        is_marked = is_marked or MARKED.search(text) is not None
        tail = text[-TAIL:]
    width = max(map(_column_number, columns), default=0)
    if rows * width > max(FREE_CELLS, EMPTY_SHARE * cells):
        raise UnreadableFile(
            f"sheet reaches to row {rows:,} and column {width:,} with about {cells:,} cells; "
            "a cell lies far outside the table: delete it, and save the workbook again"
        )
    return is_marked


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _cells(handle: IO[bytes], is_stale: bool) -> Beside:
    """Go through a marked sheet; `is_stale`: its writer left results to whoever opens it, a 0 may stand for none."""
    beside, row, column = Beside(), 0, 0
    for event, element in ElementTree.iterparse(handle, ("start", "end")):
        match event, _local(element.tag):
            case "start", "row":
                row, column = int(element.get("r") or row + 1), 0
                if element.get("hidden") in ("1", "true"):
                    beside.hidden_rows.append(row)
            case "end", "col" if element.get("hidden") in ("1", "true"):
                first, last = int(element.get("min") or 1), int(element.get("max") or 1)
                beside.hidden_columns += range(first, min(last, first + 100) + 1)
            case "end", "c":
                place = re.match(r"[A-Z]+", element.get("r") or "")
                column = _column_number(place[0].encode()) if place else column + 1
                if (text := _unstored(element, is_stale)) is not None:
                    beside.texts[row, column] = text
            case "end", "row":
                element.clear()
    return beside


def _unstored(cell: Any, is_stale: bool) -> str | None:
    """The text of a cell that has no value to be trusted: its error, or its formula."""
    parts = {_local(part.tag): part for part in cell}
    stored = parts["v"].text if "v" in parts else None
    if cell.get("t") == "e":
        return stored or "#N/A"
    if "f" not in parts:
        return None
    is_empty_text = "v" in parts and cell.get("t") == "str"
    if (stored or is_empty_text) and not (is_stale and stored == "0"):
        return None
    return f"={parts['f'].text or '(shared formula)'}"


def _ods(archive: zipfile.ZipFile, sheet: str) -> Beside:
    beside, name, row = Beside(), None, 0
    table, office = f"{ODF}table:1.0}}", f"{ODF}office:1.0}}"
    with archive.open("content.xml") as handle:
        for event, element in ElementTree.iterparse(handle, ("start", "end")):
            if event == "start" and element.tag == f"{table}table":
                name, row = element.get(f"{table}name"), 0
            if event == "start" or name != sheet or element.tag != f"{table}table-row":
                continue
            row += 1
            if element.get(f"{table}visibility") in ("collapse", "filter"):
                beside.hidden_rows.append(row)
            column = 0
            for cell in element:
                column += 1
                text = "".join(cell.itertext())
                if cell.get(f"{table}formula") and (
                    any(_local(k) == "value-type" and v == "error" for k, v in cell.attrib.items())
                    or ERROR.fullmatch(text)
                    or not any(k.startswith(office) for k in cell.attrib)
                ):
                    beside.texts[row, column] = text or str(cell.get(f"{table}formula"))
                column += int(cell.get(f"{table}number-columns-repeated") or 1) - 1
            row += int(element.get(f"{table}number-rows-repeated") or 1) - 1
            element.clear()
    return beside


def _xlsb(archive: zipfile.ZipFile, sheet: str) -> Beside:
    beside, row, relation = Beside(), 0, None
    for kind, content in _records(archive.read("xl/workbook.bin")):
        if kind == BUNDLE_SHEET:
            given, end = _wide(content, 8)
            relation = given if _wide(content, end)[0] == sheet else relation
    for kind, content in _records(archive.read(_part(archive, "workbook.bin", relation))):
        if kind == ROW_HEADER:
            row = struct.unpack_from("<I", content)[0] + 1
        elif kind in (CELL_ERROR, FORMULA_ERROR):
            column, code = struct.unpack_from("<I", content)[0] + 1, content[8]
            beside.texts[row, column] = ERRORS.get(code, "#ERROR")
    return beside


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of every record; both their kind and their length are written in seven bits a byte."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if not byte & 0x80:
                return value, at

    at = 0
    try:
        while at < len(data):
            (kind, at) = (
                (data[at], at + 1) if data[at] < 0x80 else (data[at] & 0x7F | data[at + 1] << 7, at + 2)
            )
            length, at = number(at)
            yield kind, data[at : at + length]
            at += length
    except IndexError:
        raise ValueError("a record is cut off") from None


def _wide(content: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends."""
    end = at + 4 + 2 * struct.unpack_from("<I", content, at)[0]
    return content[at + 4 : end].decode("utf-16-le"), end


def _xls(path: Path, sheet: str) -> Beside:
    import xlrd  # only here, because few files are so old

    try:
        with open(os.devnull, "w") as log, xlrd.open_workbook(str(path), logfile=log, on_demand=True) as book:
            cells = book.sheet_by_name(sheet)
            return Beside({
                (row + 1, column + 1): ERRORS.get(cells.cell_value(row, column), "#ERROR")
                for row in range(cells.nrows)
                for column, kind in enumerate(cells.row_types(row))
                if kind == xlrd.XL_CELL_ERROR
            })  # fmt: skip
    except Exception as error:  # it raises whatever damaged records lead to
        raise UnreadableFile(f"workbook is damaged ({error}); save it again") from error
