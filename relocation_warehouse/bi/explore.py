"""What the notebook does behind its cells: ask the published file, draw an answer, take an extract home.

Belongs here: functions on a connection or a data frame, without marimo, so that tests and scripts can call them. Does
not belong here: the page itself (`notebooks/explore.py`) and questions (`docs/cookbook`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import altair as alt
import duckdb
import pandas as pd

from relocation_warehouse.publication.extract.choose import ExtractError, choose
from relocation_warehouse.publication.extract.labelled import CannotHold, Language
from relocation_warehouse.publication.extract.take import Taken, take

Mark = Literal["bar", "point", "line"]
SYNTHETIC = "is_synthetic"
MADE_UP = "made up | 虚构数据"


@dataclass(frozen=True)
class Told:
    """An answer, or why there is none; `frame` is empty then."""

    frame: pd.DataFrame
    problem: str = ""


def ask(con: duckdb.DuckDBPyConnection, sql: str) -> Told:
    """Run what a person typed; a mistake in it is reported in DuckDB's words, with the likely name."""
    try:
        return Told(con.execute(sql).df())
    except duckdb.Error as error:
        return Told(pd.DataFrame(), str(error))


def draw(frame: pd.DataFrame, x: str, y: str, colour: str | None = None, mark: Mark = "bar") -> Any:
    """Draw two columns of an answer, with the interval where it has `ci_low` and `ci_high`.

    Parameters
    ----------
    frame
        The answer. Where a row is made up, the title says so.
    x, y
        Columns; text keeps the order of the rows, which is that of the query.
    colour
        A third column, or none.
    mark
        Form of the marks.

    Raises
    ------
    KeyError
        If the answer has no such column.
    """
    absent = [name for name in (x, y, colour) if name is not None and name not in frame.columns]
    if absent:
        raise KeyError(f"the answer has no column {', '.join(absent)}")
    encoding: dict[str, Any] = {"x": _channel(alt.X, frame, x), "y": _channel(alt.Y, frame, y)}
    if colour:
        encoding["color"] = _channel(alt.Color, frame, colour)
    is_made_up = SYNTHETIC in frame.columns and bool(frame[SYNTHETIC].any())
    base = alt.Chart(frame, title=MADE_UP if is_made_up else "")
    chart = getattr(base, f"mark_{mark}")(tooltip=True).encode(**encoding)
    if {"ci_low", "ci_high"} <= {*frame.columns} and pd.api.types.is_numeric_dtype(frame[y]):
        whiskers = base.mark_rule(strokeWidth=2).encode(
            x=encoding["x"], y=alt.Y("ci_low:Q", title=y), y2=alt.Y2("ci_high:Q")
        )
        return alt.layer(chart, whiskers)
    return chart


def _channel(kind: Any, frame: pd.DataFrame, name: str) -> Any:
    number = pd.api.types.is_numeric_dtype(frame[name]) and not pd.api.types.is_bool_dtype(frame[name])
    # a dot or a bracket in a name would be read as a path
    field = name.replace("\\", "\\\\").replace(".", "\\.").replace("[", "\\[").replace("]", "\\]")
    options: dict[str, Any] = {} if number else {"sort": None}
    return kind(field=field, type="quantitative" if number else "nominal", title=name, **options)


def export(
    database: Path,
    to: Path,
    indicators: Sequence[str] = (),
    surveys: Sequence[str] = (),
    waves: Sequence[str] = (),
    language: Language = "en",
) -> Taken | str:
    """Take an extract home, as `warehouse extract` does; a text says why there is none."""
    try:
        return take(choose(database, indicators, surveys, waves), to, language)
    except (ExtractError, CannotHold) as error:
        return str(error)
