"""XLSX, XLS and ODS through python-calamine.

Belongs here: which sheet holds the table, header rows with merged cells, merged answers.
Does not belong here: what a cell means, or what the file says beside its values (`sheets`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from python_calamine import (
    CalamineError,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    load_workbook,
)

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.archives import checked_members
from relocation_warehouse.survey.readers.base import (
    Received,
    UnreadableFile,
    cell_text,
    landing_schema,
    named,
)
from relocation_warehouse.survey.readers.sheets import beside
from relocation_warehouse.survey.vocabulary import ExcelOptions, SurveyFile

Merged = tuple[int, int, int, int]
"""First row, first column, last row, last column, counted from 0."""

SHOWN = 10
"""Row numbers named in a note."""


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a sheet of a workbook: the one that is named, else the first that a person sees and that is no chart.

    Raises
    ------
    UnreadableFile
        Damaged or protected workbook, no such sheet, no header where the options say, or an answer that is merged
        over several columns.
    """
    options = file.options if isinstance(file.options, ExcelOptions) else ExcelOptions()
    name, rows, merged, notes = _read(path, options.sheet)
    last = max(options.header_rows)
    if len(rows) < last or not any(cell_text(c) for c in rows[last - 1]):
        raise UnreadableFile(f"sheet {name!r} has no header in row {last}; check options.header_rows")
    headers = _headers(rows, sorted(options.header_rows), merged)
    end = len(rows) - options.skip_footer_rows
    numbers = [n for n in range(last + 1, end + 1) if n not in options.skip_rows]
    notes += _spread(rows, merged or [], set(numbers))
    kept = [n for n in numbers if any(_present(rows[n - 1]))]
    columns = [[cell_text(rows[n - 1][i]) for n in kept] for i in range(len(headers))]
    # A formatted but empty column at the edge of a sheet has no header and no cell: it is not a column.
    real = [i for i, h in enumerate(headers) if h or any(v is not None for v in columns[i])]
    names = [h for i, h in enumerate(named(headers)) if i in set(real)]
    schema = landing_schema(names)
    arrays = [pa.array(columns[i], pa.string()) for i in real]
    batch = pa.RecordBatch.from_arrays([*arrays, pa.array(kept, pa.int64())], schema=schema)
    yield Received(schema, iter([batch]), tuple(Entry(h, "cell") for h in names), notes=tuple(notes))


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook that a person sees and that hold cells."""
    with _open(path) as workbook:
        return [n for n in _visible(workbook) if workbook.get_sheet_by_name(n).total_height]


def _present(row: Sequence[object]) -> Iterator[bool]:
    return (cell is not None and cell != "" for cell in row)


def _visible(workbook: CalamineWorkbook) -> list[str]:
    return [
        m.name for m in workbook.sheets_metadata if _is_table(m) and m.visible == SheetVisibleEnum.Visible
    ]


def _is_table(sheet: Any) -> bool:
    return bool(sheet.typ == SheetTypeEnum.WorkSheet)


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


def _read(
    path: Path, sheet_name: str | None
) -> tuple[str, list[list[object]], list[Merged] | None, list[str]]:
    """Name, rows, merged ranges and notes of a sheet."""
    with _open(path) as workbook:
        name = sheet_name or _first(workbook)
        known = {m.name: m for m in workbook.sheets_metadata}
        if name not in known:  # a declaration has no blanks at the ends of a name
            name = next((n for n in known if n.strip() == name), name)
        if name not in known:
            raise UnreadableFile(f"has no sheet {name!r}; it has {', '.join(map(repr, known))}")
        if not _is_table(known[name]):
            raise UnreadableFile(
                f"sheet {name!r} is a chart or macro, no table; name another in options.sheet"
            )
        hidden = beside(path, name)  # first: a far cell must not be laid out in memory
        try:
            sheet = workbook.get_sheet_by_name(name)
            rows: list[list[object]] = [list(row) for row in sheet.to_python(skip_empty_area=False)]
            ranges = sheet.merged_cell_ranges
        except (CalamineError, ValueError) as error:
            raise UnreadableFile(
                f"sheet {name!r} cannot be read ({error}); save the workbook again"
            ) from error
        notes = [f"sheet {name}"]
        if known[name].visible != SheetVisibleEnum.Visible:
            notes.append("the sheet is hidden")
    for what, numbers in (("row", hidden.hidden_rows), ("column", hidden.hidden_columns)):
        if numbers:
            shown = ", ".join(map(str, numbers[:SHOWN])) + (" and more" if len(numbers) > SHOWN else "")
            notes.append(f"hidden {what}(s) {shown} were read like the others")
    for (row, column), text in hidden.texts.items():
        if row <= len(rows) and column <= len(rows[row - 1]):
            rows[row - 1][column - 1] = text
    merged = (
        None if ranges is None else [(top, left, bottom, right) for (top, left), (bottom, right) in ranges]
    )
    return name, rows, merged, notes


def _first(workbook: CalamineWorkbook) -> str:
    tables = [m.name for m in workbook.sheets_metadata if _is_table(m)]
    if not tables:
        raise UnreadableFile("workbook has no sheet with a table")
    seen = _visible(workbook)
    filled = [n for n in seen if workbook.get_sheet_by_name(n).total_height] if len(seen) > 1 else seen
    if not seen:
        raise UnreadableFile(
            f"every sheet is hidden; name one in options.sheet ({', '.join(map(repr, tables))})"
        )
    return (filled or seen)[0]


def _spread(rows: list[list[object]], merged: Sequence[Merged], data: Collection[int]) -> list[str]:
    """Give a merged answer to every row that it covers, as a person sees it; say so in notes."""
    notes = []
    for top, left, bottom, right in merged:
        if top + 1 not in data or top >= len(rows) or left >= len(rows[top]):
            continue
        value = rows[top][left]
        if value is None or value == "":
            continue
        if right > left:
            raise UnreadableFile(
                f"row {top + 1}: one cell is merged over columns {left + 1} to {right + 1}, so that it is not said "
                "which of them it answers; unmerge it, name the rows that hold headers with options.header_rows, or "
                "leave the row out with options.skip_rows"
            )
        covered = [n for n in range(top + 1, bottom + 2) if n in data and n <= len(rows)]
        for n in covered:
            rows[n - 1][left] = value
        notes.append(f"column {left + 1}: one merged cell counts for rows {covered[0]} to {covered[-1]}")
    return notes if len(notes) <= SHOWN else [*notes[:SHOWN], f"and {len(notes) - SHOWN} more merged cells"]


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
