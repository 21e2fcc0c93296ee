"""From harmonised values back to what a survey platform would export.

Belongs here: answers as received (through the folder's own columns.csv and codes.csv, read backwards), filler
columns, planted errors, the delimited file. Does not belong here: drawing (`draw`), other formats (`writers`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relocation_warehouse.demonstration.spec import Filler, Spec
from relocation_warehouse.survey.folder import SurveyFolder
from relocation_warehouse.survey.vocabulary import Column, DelimitedOptions, SurveyFile


def as_received(
    folder: SurveyFolder,
    spec: Spec,
    file_id: str,
    values: pd.DataFrame,
    rng: np.random.Generator,
    first_row: int = 0,
) -> pd.DataFrame:
    """Table of one file with its received headers, in the order of columns.csv.

    Parameters
    ----------
    folder
        Declares headers and code lists.
    spec
        Fillers and plants.
    file_id
        Which file.
    values
        Harmonised values by variable (households or a roster).
    first_row
        Rows of the file that are written already; fillers count on from there.

    Returns
    -------
    pd.DataFrame
        Received codes as text, numbers as they are, None where blank. A column of columns.csv that is neither
        drawn nor a filler is blank.
    """
    fillers = {f.column: f for f in spec.fillers if f.file_id in (None, file_id)}
    table = {}
    for column in folder.columns_of(file_id):
        if column.column in fillers:
            table[column.column] = _filler(fillers[column.column], len(values), rng, first_row)
        elif column.variable in values.columns:
            table[column.column] = _received(folder, column, values[column.variable])
        else:
            table[column.column] = pd.Series([None] * len(values), dtype=object)
        for plant in spec.plants:
            if plant.variable == column.variable and plant.file_id in (None, file_id):
                received = table[column.column]
                free = received.isna() if plant.replaces == "blank" else received.notna()
                received[np.flatnonzero(free)[: plant.rows]] = plant.text
    return pd.DataFrame(table)


def write_delimited(table: pd.DataFrame, file: SurveyFile, path: Path) -> None:
    """Write a table as CSV with the encoding and delimiter that the folder declares."""
    options = file.options
    assert isinstance(options, DelimitedOptions)
    table.to_csv(
        path,
        index=False,
        encoding=options.encoding or "utf-8",
        sep=options.delimiter or ",",
        lineterminator="\r\n",
    )


def _received(folder: SurveyFolder, column: Column, values: pd.Series) -> pd.Series:
    """Answers as received: harmonised values turned back through the column's code lists."""
    back: dict[Any, str] = {}
    for code in folder.codes_of(column):
        if code.value is not None and code.bounds is None:
            back.setdefault(code.value, code.code)
    if not back:
        return values.astype(object).where(values.notna(), None)

    # one look-up a distinct answer, not a row: surveys of benchmarks have millions
    positions, distinct = pd.factorize(values)
    keys = [f"{value:g}" if isinstance(value, float) else str(value) for value in distinct]
    texts = [back.get(key, value) for key, value in zip(keys, distinct, strict=True)]
    return pd.Series(np.array([*texts, None], dtype=object)[positions])


def _filler(filler: Filler, n: int, rng: np.random.Generator, first_row: int) -> pd.Series:
    draws = rng.integers(filler.minimum, filler.maximum + 1, size=n)
    times = [datetime.min] * n
    if filler.first and filler.last:
        first, last = datetime.fromisoformat(filler.first), datetime.fromisoformat(filler.last)
        days = np.sort(rng.uniform(0, (last.date() - first.date()).days + 1, size=n))
        working = (last - first) - timedelta(days=(last.date() - first.date()).days)
        times = [
            first + timedelta(days=int(day), seconds=round(working.total_seconds() * (day % 1)))
            for day in days.tolist()
        ]
    return pd.Series(
        [filler.text.format(row=first_row + i + 1, draw=int(draws[i]), time=times[i]) for i in range(n)],
        dtype=object,
    )
