"""What a workbook's file says beside its values: formulas without a result, errors, hidden rows, far cells.

Belongs here: reading the XML of XLSX and ODS sheets. Does not belong here: values (`excel`).
"""

from __future__ import annotations

import re
import zipfile
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
    """Read what an XLSX or ODS file says beside the values of a sheet; nothing of other workbooks.

    Raises
    ------
    UnreadableFile
        A cell lies so far outside that the table between would not fit into memory.
    """
    if not zipfile.is_zipfile(path):
        return Beside()
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "xl/workbook.xml" in names:
                return _xlsx(archive, sheet)
            if "content.xml" in names:
                return _ods(archive, sheet)
    except (ElementTree.ParseError, KeyError, ValueError) as error:
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
    links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    target = next((e.get("Target") or "" for e in links if e.get("Id") == ids.get(sheet)), "")
    part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    with archive.open(part) as handle:
        is_marked = _looked_through(handle)
    if not is_marked:
        return Beside()
    with archive.open(part) as handle:
        return _cells(handle, is_stale)


def _looked_through(handle: IO[bytes]) -> bool:
    """Whether the sheet holds formulas, errors or hidden rows; a far cell is refused before anything is laid out."""
    rows, columns, cells, is_marked, tail = 0, set[bytes](), 0, False, b""
    while block := handle.read(BLOCK):
        text = tail + block
        found = COLUMNS.findall(text)
        cells += len(found)
        columns.update(found)
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
    found, row, column = Beside(), 0, 0
    for event, element in ElementTree.iterparse(handle, ("start", "end")):
        match event, _local(element.tag):
            case "start", "row":
                row, column = int(element.get("r") or row + 1), 0
                if element.get("hidden") in ("1", "true"):
                    found.hidden_rows.append(row)
            case "end", "col" if element.get("hidden") in ("1", "true"):
                first, last = int(element.get("min") or 1), int(element.get("max") or 1)
                found.hidden_columns += range(first, min(last, first + 100) + 1)
            case "end", "c":
                place = re.match(r"[A-Z]+", element.get("r") or "")
                column = _column_number(place[0].encode()) if place else column + 1
                if (text := _unstored(element, is_stale)) is not None:
                    found.texts[row, column] = text
            case "end", "row":
                element.clear()
    return found


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
    found, name, row = Beside(), None, 0
    table, office = f"{ODF}table:1.0}}", f"{ODF}office:1.0}}"
    with archive.open("content.xml") as handle:
        for event, element in ElementTree.iterparse(handle, ("start", "end")):
            if event == "start" and element.tag == f"{table}table":
                name, row = element.get(f"{table}name"), 0
            if event == "start" or name != sheet or element.tag != f"{table}table-row":
                continue
            row += 1
            if element.get(f"{table}visibility") in ("collapse", "filter"):
                found.hidden_rows.append(row)
            column = 0
            for cell in element:
                column += 1
                text = "".join(cell.itertext())
                if cell.get(f"{table}formula") and (
                    any(_local(k) == "value-type" and v == "error" for k, v in cell.attrib.items())
                    or ERROR.fullmatch(text)
                    or not any(k.startswith(office) for k in cell.attrib)
                ):
                    found.texts[row, column] = text or str(cell.get(f"{table}formula"))
                column += int(cell.get(f"{table}number-columns-repeated") or 1) - 1
            row += int(element.get(f"{table}number-rows-repeated") or 1) - 1
            element.clear()
    return found
