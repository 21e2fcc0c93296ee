"""Reconcile quotation marks, lines and records of a delimited text, before a fast parser reads it.

Belongs here: how many records a text holds, and marks that would swallow or split rows. Does not belong here: cells.

A mark that opens a cell and is closed rows later is good grammar: the rows between become one cell, and no parser says
a word. What gives it away is that the pieces of that cell are rows: they have as many cells as rows have, and the
cells look like the other cells of their columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from relocation_warehouse.survey.readers.base import UnreadableFile

SAMPLE = 5000
"""Rows without quotation marks from which it is learned how the cells of a column look."""

LINES = 10_000
"""Lines of one cell that are looked at."""


@dataclass
class _Cell:
    """A quoted cell that goes over several lines."""

    column: int
    line: int
    pieces: list[str] = field(default_factory=list)


@dataclass
class _Scan:
    """Where in the text the scan is, and what it has seen."""

    delimiter: str
    records: int = 0
    plain: list[str] = field(default_factory=list)
    long: list[_Cell] = field(default_factory=list)
    open: _Cell | None = None


def count_records(lines: Iterable[str], delimiter: str, width: int, headers: int) -> int:
    """Count the records of a text, blank lines included.

    Parameters
    ----------
    lines
        Its lines, with their ends.
    delimiter, width
        What stands between cells, and the number of cells in the header.
    headers
        Records up to the last header row, which may look like anything.

    Raises
    ------
    UnreadableFile
        A mark that is not closed or closed in the middle of a cell, a cell that holds rows, or lines that end in
        different ways.
    """
    scan = _Scan(delimiter)
    cell = rf'"[^"]*(?:""[^"]*)*"|(?!")[^{re.escape(delimiter)}]*'
    closed = re.compile(rf"(?:{cell})(?:{re.escape(delimiter)}(?:{cell}))*")
    number, returns, feeds = 0, 0, 0
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if scan.open is None and ('"' not in text or closed.fullmatch(text)):
            scan.records += 1
            if len(scan.plain) < SAMPLE and scan.records > headers and '"' not in text:
                scan.plain.append(text)
        else:
            _go_through(scan, text, number)
        if scan.open is None and line.endswith("\r"):
            returns = returns or number
        elif scan.open is None and line.endswith("\n"):
            feeds = feeds or number
    if scan.open is not None:
        raise UnreadableFile(
            f"a quotation mark is not closed (opened in line {scan.open.line} of {number}); "
            "close it, or double it inside a quoted cell"
        )
    if returns and feeds:
        raise UnreadableFile(
            f"line {returns} ends in a carriage return alone, line {feeds} does not, so that one of them may be an "
            "answer cut in two; put answers with line breaks in quotes"
        )
    shapes = [set(map(_shape, column)) - {""} for column in _columns(scan.plain, delimiter, width)]
    for long in scan.long:
        if _holds_rows(long, delimiter, shapes):
            raise UnreadableFile(
                f"lines {long.line} to {long.line + len(long.pieces) - 1} are one cell, because a quotation mark opens "
                f"in line {long.line} and closes in the last of them, but they look like rows of their own; "
                "remove the marks or double them. If it is one answer, write it without line breaks"
            )
    return scan.records


def _go_through(scan: _Scan, text: str, number: int) -> None:
    """Read one line whose marks go over its end, or are wrong."""
    at, column = 0, 0
    while True:
        if scan.open is None:
            if text[at : at + 1] != '"':
                end = text.find(scan.delimiter, at)
                if end < 0:
                    break
                at, column = end + 1, column + 1
                continue
            scan.open, at = _Cell(column, number), at + 1
        end = _closing(text, at)
        if (scan.open.line < number or end < 0) and len(scan.open.pieces) < LINES:
            scan.open.pieces.append(text[at:] if end < 0 else text[at:end])
        if end < 0:
            return
        rest = text[end + 1 :].lstrip(" ")
        if rest and not rest.startswith(scan.delimiter):
            raise UnreadableFile(
                f"a quotation mark is not closed where its cell ends (opened in line {scan.open.line}, "
                f"text follows it in line {number}); double a mark inside a cell, or remove it"
            )
        if scan.open.pieces:
            scan.long.append(scan.open)
        at, column, scan.open = len(text) - len(rest) + 1, scan.open.column + 1, None
        if not rest:
            break
    scan.records += 1


def _closing(text: str, at: int) -> int:
    """Where the mark stands that closes a cell; -1 where it goes on in the next line."""
    while (end := text.find('"', at)) >= 0 and text[end + 1 : end + 2] == '"':
        at = end + 2
    return end


def _columns(rows: Sequence[str], delimiter: str, width: int) -> Iterator[list[str]]:
    cells = [row.split(delimiter) for row in rows]
    whole = [c for c in cells if len(c) == width]
    return ([c[i] for c in whole] for i in range(width))


def _shape(cell: str) -> str:
    """How a cell looks: digits, Latin letters and other letters as one sign each, runs of them as one."""
    cell = re.sub(r"\d+", "9", cell.strip()[:60])
    return re.sub(r"[^\W\d_a-zA-Z]+", "字", re.sub(r"[a-zA-Z]+", "a", cell))


def _holds_rows(cell: _Cell, delimiter: str, shapes: Sequence[set[str]]) -> bool:
    """Whether the pieces of a cell are the end of a row, rows, and the beginning of one."""
    width, like, unlike = len(shapes), 0, 0
    for number, piece in enumerate(cell.pieces):
        cells = piece.split(delimiter)
        first = cell.column if number == 0 else 0
        end = cell.column + 1 if number == len(cell.pieces) - 1 else width
        if len(cells) != end - first:
            return False
        for column, text in enumerate(cells, start=first):
            if shape := _shape(text):
                is_like = shape in shapes[column]
                like, unlike = like + is_like, unlike + (not is_like)
    return like > unlike
