"""What the crosswalk of a survey makes of its answers, before anything is received or published.

Belongs here: the distribution and the missing reasons of an indicator, from the SQL that a refresh would run on the
rows that it would load. Does not belong here: loading (`survey.ingest`), or what refuses a survey (`trial`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.catalog import Catalog, Indicator
from relocation_warehouse.survey.crosswalk import compile_wave, explain
from relocation_warehouse.survey.folder import SurveyFolder

MOST_VALUES = 12
"""Different values up to which each is counted."""


@dataclass(frozen=True)
class Distribution:
    """An indicator in one wave.

    Attributes
    ----------
    n, n_answered
        Households, and those with a value.
    quantiles
        Smallest value, quarters, largest; empty for codes without order and where there is no answer.
    mean
        In the indicator's unit; None where there is none.
    values
        Value as text to how often, the smallest first; empty where there are more than `MOST_VALUES`.
    missing
        Reason to how often, the most frequent first.
    """

    wave: str
    indicator_id: str
    label_en: str
    unit: str | None
    n: int
    n_answered: int
    quantiles: tuple[float, ...]
    mean: float | None
    values: dict[str, int]
    missing: dict[str, int]

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        lines = [
            f"{self.wave}  {self.indicator_id} ({self.label_en}): {self.n_answered} of {self.n} answered"
        ]
        if self.quantiles:
            least, low, middle, high, most = self.quantiles
            lines.append(
                f"    {least:g} to {most:g}{unit}, quarters {low:g} {middle:g} {high:g}, mean {self.mean:.4g}"
            )
        if self.values:
            lines.append("    " + ", ".join(f"{value}: {n}" for value, n in self.values.items()))
        if self.missing:
            lines.append("    missing: " + ", ".join(f"{reason} {n}" for reason, n in self.missing.items()))
        return "\n".join(lines)


def preview(
    folder: SurveyFolder, catalog: Catalog, con: duckdb.DuckDBPyConnection, indicators: Sequence[str] = ()
) -> Iterator[Distribution]:
    """Distributions of a loaded survey, wave by wave.

    Parameters
    ----------
    folder
        The survey, checked against the catalog.
    catalog
        Its indicators.
    con
        Connection that sees the raw tables of the survey.
    indicators
        Those to show; without any, all that somebody answered.
    """
    for wave in folder.survey.waves:
        if len(indicators) == 1:
            source = explain(folder, wave.wave, indicators[0], catalog)
        else:
            source = compile_wave(folder, wave.wave, catalog)
        con.execute(f"create or replace temp table previewed as {source}")
        for name in indicators or catalog.indicator:
            distribution = _distribution(wave.wave, catalog.indicator[name], con)
            if indicators or distribution.n_answered:
                yield distribution


def _distribution(wave: str, indicator: Indicator, con: duckdb.DuckDBPyConnection) -> Distribution:
    value, reason = sql.identifier(indicator.id), sql.identifier(f"{indicator.id}__missing")
    n, n_answered, n_values = con.execute(
        f"select count(*), count({value}), count(distinct {value}) from previewed"
    ).fetchall()[0]
    quantiles: tuple[float, ...] = ()
    mean = None
    if indicator.is_numeric and n_answered:
        ends, mean = con.execute(
            f"select quantile_cont({value}, [0, 0.25, 0.5, 0.75, 1]), avg({value}) from previewed"
        ).fetchall()[0]
        quantiles = tuple(ends)
    values = {}
    if n_values <= MOST_VALUES:
        values = dict(
            con.execute(
                f"select cast({value} as varchar), count(*) from previewed where {value} is not null "
                f"group by {value} order by {value}"
            ).fetchall()
        )
    missing = con.execute(
        f"select cast({reason} as varchar), count(*) from previewed where {value} is null "
        "group by all order by count(*) desc, 1"
    ).fetchall()
    return Distribution(
        wave,
        indicator.id,
        indicator.label_en,
        indicator.unit,
        n,
        n_answered,
        quantiles,
        mean,
        values,
        dict(missing),
    )
