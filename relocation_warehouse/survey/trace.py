"""Walk back from a published cell: indicator, crosswalk row, column, then file, row and value as received.

Belongs here: finding every stage of one household's value. Does not belong here: computing a value (`crosswalk`), or
how the stages are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.crosswalk import MISSING_SUFFIX
from relocation_warehouse.survey.folder import SurveyFolder, suggestion
from relocation_warehouse.survey.landing import landed_path
from relocation_warehouse.survey.readers import ROW, place_of
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.vocabulary import CrosswalkRow


class TraceError(ValueError):
    """There is nothing to trace; the message says why."""


@dataclass(frozen=True)
class ReceivedCell:
    """One cell of a survey file that a value comes from.

    Attributes
    ----------
    place, row, column
        File (and sheet or repeat group), row and header.
    received
        As it stands in the file; None where empty.
    kept, missing_reason
        As it was loaded: the answer, or why there is none.
    notes
        Corrections, what its code means, why it was set aside.
    """

    place: str
    row: int
    column: str
    received: str | None
    kept: str | None
    missing_reason: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WaveTrace:
    """The way of one value in one wave.

    Attributes
    ----------
    value, missing_reason
        In the build database, in the unit of the catalog.
    rule, line
        Crosswalk row and its line in `crosswalk.csv`.
    cells
        What it was made of; empty where the rule takes nothing from a file.
    """

    wave: str
    value: str | None
    missing_reason: str | None
    rule: CrosswalkRow
    line: int
    cells: tuple[ReceivedCell, ...]


def trace(
    folder: SurveyFolder,
    household_id: str,
    indicator_id: str,
    con: duckdb.DuckDBPyConnection,
    landing: Path,
) -> tuple[WaveTrace, ...]:
    """Walk one household's indicator back to its files, wave by wave.

    Parameters
    ----------
    folder
        Declarations the survey was loaded by.
    household_id
        As in the survey.
    indicator_id
        Of the catalog.
    con
        Connection to the build database.
    landing
        Folder of the landed files.

    Raises
    ------
    TraceError
        The household is not in the warehouse; where it was set aside, the message says why.
    """
    reason_column = indicator_id + MISSING_SUFFIX
    built = con.execute(
        f"select wave, cast({sql.identifier(indicator_id)} as varchar), {sql.identifier(reason_column)} "
        "from staging.household_waves where survey_id = ? and household_id = ? order by wave_order",
        [folder.survey_id, household_id],
    ).fetchall()
    if not built:
        raise TraceError(_absent(folder.survey_id, household_id, con))
    waves = []
    for wave, value, reason in built:
        row = folder.rows_of(wave)[indicator_id]
        cells = tuple(
            cell
            for source in row.sources
            for cell in _cells(folder, source, wave, household_id, con, landing)
        )
        line = folder.crosswalk_lines[row.wave, row.indicator_id]
        waves.append(WaveTrace(wave, value, reason, row, line, cells))
    return tuple(waves)


def _absent(survey_id: str, household_id: str, con: duckdb.DuckDBPyConnection) -> str:
    aside = con.execute(
        "select message_en from quality.quarantine where survey_id = ? and household_id = ? and grain = 'row'",
        [survey_id, household_id],
    ).fetchall()
    if aside:
        return "the household was set aside:\n" + "\n".join(f"  {message}" for (message,) in aside)
    known = con.execute(
        "select distinct household_id from staging.household_waves where survey_id = ?", [survey_id]
    ).fetchall()
    hint = suggestion(household_id, (h for (h,) in known))
    return f"survey {survey_id} has no household {household_id!r}{hint}"


def _cells(
    folder: SurveyFolder,
    source: str,
    wave: str,
    household_id: str,
    con: duckdb.DuckDBPyConnection,
    landing: Path,
) -> Iterator[ReceivedCell]:
    """Every cell of one source about the household in the wave: one, or several of a roster."""
    file_id, variable = folder.resolve(source, wave)
    file = next(f for f in folder.survey.files if f.file_id == file_id)
    column = folder.variables[file_id, variable]
    loaded = con.execute(
        f"select _row, cast({sql.identifier(variable)} as varchar), {sql.identifier(variable + MISSING_SUFFIX)} "
        f"from raw.{sql.identifier(f'{folder.survey_id}__{file_id}')} "
        "where _household_id = ? and coalesce(_wave, ?) = ? order by _row",
        [household_id, wave, wave],
    ).fetchall()
    rows = [row for row, _, _ in loaded]
    landed = pq.read_table(
        landed_path(landing, folder.survey_id, file_id),
        columns=[ROW, column.column],
        filters=[(ROW, "in", rows)],
    )
    received = dict(
        zip(
            landed.column(ROW).to_pylist(),
            map(cell_text, landed.column(column.column).to_pylist()),
            strict=True,
        )
    )
    aside = dict(
        con.execute(
            "select \"row\", string_agg(message_en, '; ') from quality.quarantine "
            'where survey_id = ? and file_id = ? and "column" = ? group by "row"',
            [folder.survey_id, file_id, column.column],
        ).fetchall()
    )
    for row, kept, reason in loaded:
        notes = list(_corrected(folder, household_id, file_id, variable, received[row]))
        notes += [
            f"code {code.code!r} means {code.value or code.missing_reason}"
            for code in folder.codes_of(column)
            if code.code in (kept, received[row])
        ]
        notes += [f"set aside: {aside[row]}"] if row in aside else []
        yield ReceivedCell(place_of(file), row, column.column, received[row], kept, reason, tuple(notes))


def _corrected(
    folder: SurveyFolder, household_id: str, file_id: str, variable: str, received: str | None
) -> Iterator[str]:
    for line, c in zip(folder.lines["corrections.csv"], folder.corrections, strict=True):
        is_it = (c.file_id, c.household_id, c.variable) == (file_id, household_id, variable)
        if is_it and (received or "").strip() == c.expect.strip():
            yield f"corrected to {c.replacement!r} ({c.status}; corrections.csv, line {line}): {c.reason}"
