"""XLSX, XLS and ODS through python-calamine.

Belongs here: sheets, header rows with merged cells, formulas without a stored value.
Does not belong here: what a cell means.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import openpyxl
import pyarrow as pa
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, load_workbook

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.archives import checked_members
from relocation_warehouse.survey.readers.base import (
    Received,
    UnreadableFile,
    cell_text,
    landing_schema,
    named,
)
from relocation_warehouse.survey.vocabulary import ExcelOptions, SurveyFile

CALCULATED = (b"<f>", b"<f ", b't="e"')
"""Marks of a formula or an error value in a sheet of an XLSX file."""


Merged = tuple[int, int, int, int]
"""First row, first column, last row, last column, counted from 0."""


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a sheet of a workbook.

    Raises
    ------
    UnreadableFile
        Damaged or protected workbook, no such sheet, or no header where the options say.
    """
    options = file.options if isinstance(file.options, ExcelOptions) else ExcelOptions()
    name, rows, merged = _read(path, options.sheet)
    last = max(options.header_rows)
    if len(rows) < last or not any(cell_text(c) for c in rows[last - 1]):
        raise UnreadableFile(f"sheet {name!r} has no header in row {last}; check options.header_rows")
    headers = _headers(rows, sorted(options.header_rows), merged)
    end = len(rows) - options.skip_footer_rows
    kept = [n for n in range(last + 1, end + 1) if n not in options.skip_rows and any(_present(rows[n - 1]))]
    columns = [[cell_text(rows[n - 1][i]) for n in kept] for i in range(len(headers))]
    # A formatted but empty column at the edge of a sheet has no header and no cell: it is not a column.
    real = [i for i, h in enumerate(headers) if h or any(v is not None for v in columns[i])]
    names = [h for i, h in enumerate(named(headers)) if i in set(real)]
    schema = landing_schema(names)
    arrays = [pa.array(columns[i], pa.string()) for i in real]
    batch = pa.RecordBatch.from_arrays([*arrays, pa.array(kept, pa.int64())], schema=schema)
    yield Received(schema, iter([batch]), tuple(Entry(h, "cell") for h in names), notes=(f"sheet {name}",))


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook."""
    with _open(path) as workbook:
        return list(workbook.sheet_names)


def _present(row: Sequence[object]) -> Iterator[bool]:
    return (cell is not None and cell != "" for cell in row)


@contextmanager
def _open(path: Path) -> Iterator[CalamineWorkbook]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                checked_members(archive)
        workbook = load_workbook(path)
    except PasswordError as error:
        raise UnreadableFile("workbook is protected by a password; save it without one") from error
    except (CalamineError, zipfile.BadZipFile, ValueError, OSError) as error:
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"workbook is damaged or no workbook ({error}); save it again") from error
    try:
        yield workbook
    finally:
        workbook.close()


def _read(path: Path, sheet_name: str | None) -> tuple[str, list[list[object]], list[Merged] | None]:
    """Name, rows and merged ranges of a sheet."""
    with _open(path) as workbook:
        names = list(workbook.sheet_names)
        if sheet_name is not None and sheet_name not in names:
            raise UnreadableFile(f"has no sheet {sheet_name!r}; it has {', '.join(map(repr, names))}")
        if not names:
            raise UnreadableFile("workbook has no sheet")
        name = sheet_name or names[0]
        try:
            sheet: CalamineSheet = workbook.get_sheet_by_name(name)
            rows: list[list[object]] = [list(row) for row in sheet.to_python(skip_empty_area=False)]
            ranges = sheet.merged_cell_ranges
        except (CalamineError, ValueError) as error:
            raise UnreadableFile(
                f"sheet {name!r} cannot be read ({error}); save the workbook again"
            ) from error
    for row, column, text in _calculated(path, name):
        if row <= len(rows) and column <= len(rows[row - 1]) and rows[row - 1][column - 1] == "":
            rows[row - 1][column - 1] = text
    merged = (
        None if ranges is None else [(top, left, bottom, right) for (top, left), (bottom, right) in ranges]
    )
    return name, rows, merged


def _calculated(path: Path, sheet: str) -> Iterator[tuple[int, int, str]]:
    """Formulas and error values of an XLSX sheet with their places.

    Calamine gives an error value, and a formula whose result was never stored, as an empty cell. Their text is put
    back so that they fail their checks with a reason instead of passing as not answered.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/") and n.endswith(".xml")]
        if not any(mark in archive.read(n) for n in sheets for mark in CALCULATED):
            return
    workbook = openpyxl.load_workbook(path, read_only=True)
    try:
        for row in workbook[sheet].iter_rows():
            for cell in row:
                if cell.data_type in ("f", "e") and cell.value is not None:
                    yield cell.row, cell.column, str(cell.value)
    finally:
        workbook.close()


def _headers(rows: list[list[object]], numbers: list[int], merged: list[Merged] | None) -> list[str]:
    """One header a column: merged cells filled, the header rows joined with " / ", empty where there is none."""
    width = max(map(len, rows))
    grid = {n: [(cell_text(c) or "").strip() for c in rows[n - 1]] for n in numbers}
    for cells in grid.values():
        cells.extend([""] * (width - len(cells)))
    if merged is None:  # the format does not say what is merged: a group's name runs to the next one
        for n in numbers[:-1]:
            for i in range(1, width):
                if not grid[n][i] and grid[numbers[-1]][i]:
                    grid[n][i] = grid[n][i - 1]
    else:
        for top, left, bottom, right in merged:
            if top + 1 not in grid:
                continue
            for n in numbers:
                if top < n <= bottom + 1:
                    grid[n][left : right + 1] = [grid[top + 1][left]] * (right + 1 - left)
    return [" / ".join(dict.fromkeys(grid[n][i] for n in numbers if grid[n][i])) for i in range(width)]
