"""Households as the statistics need them: which surveys there are, what they asked, answers and indices.

Belongs here: the SQL that reads the build database, and capital indices under a weight scheme other than the
default one, by the same rules as the marts. Does not belong here: a formula (`analysis`), a result table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.arrays import BoolArray, FloatArray
from analysis.normalisation import Bounds, BoundsMode, normalise
from analysis.weighting import MissingPolicy, composite
from survey.catalog import Catalog, WeightScheme
from warehouse.database import quoted

HOUSEHOLD_WAVES = "staging.household_waves"
"""One row a household and wave, every indicator with its missing reason."""

KEYS = ("survey_id", "household_id", "wave", "wave_order", "region", "site_id", "is_synthetic")

NOT_ASKED = ("not_asked", "not_shared")
"""Missing reasons of an indicator that is no part of the survey; the others are blanks."""

MINIMUM_ANSWERED_SHARE = 0.5
"""Share of the asked weight that must be answered, as in the marts (minimum_answered_share of dbt)."""

BATCH_ROWS = 100_000

Weights = Mapping[str, Mapping[str, float]]
"""Dimension -> indicator -> weight within the dimension."""


@dataclass(frozen=True)
class Survey:
    """A survey in the build database, its waves in order of time."""

    survey_id: str
    region: str
    is_synthetic: bool
    waves: tuple[str, ...]
    wave_orders: tuple[int, ...]
    published_survey_ids: frozenset[str]

    @property
    def latest(self) -> str:
        """The last wave."""
        return self.waves[-1]


def surveys(con: duckdb.DuckDBPyConnection) -> tuple[Survey, ...]:
    """Surveys with households, by id."""
    found = con.execute(
        f"""
        select w.survey_id, any_value(w.region), bool_or(w.is_synthetic),
               list(w.wave order by w.wave_order), list(w.wave_order order by w.wave_order),
               any_value(s.published_survey_ids)
        from (select distinct survey_id, region, is_synthetic, wave, wave_order from {HOUSEHOLD_WAVES}) as w
        left join reference.surveys as s using (survey_id)
        group by w.survey_id
        order by w.survey_id
        """
    ).fetchall()
    return tuple(
        Survey(
            survey_id, region, is_synthetic, tuple(waves), tuple(orders), frozenset((printed or "").split())
        )
        for survey_id, region, is_synthetic, waves, orders, printed in found
    )


def asked(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], frozenset[str]]:
    """(survey, wave) -> indicators that were asked there and answered by anybody."""
    found = con.execute(
        "select survey_id, wave, list(indicator_id) filter (where n > 0) from harmonized.coverage group by all"
    ).fetchall()
    return {(survey_id, wave): frozenset(ids or ()) for survey_id, wave, ids in found}


def schemes_of(catalog: Catalog, survey: Survey) -> tuple[WeightScheme, ...]:
    """The default weight scheme, and those of the studies that a survey belongs to."""
    return tuple(
        catalog.weight_scheme(s.id)
        for s in catalog.weight_schemes
        if s.is_default or survey.published_survey_ids & set(s.published_survey_ids)
    )


def literal(text: str) -> str:
    """SQL literal of a text."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Answers:
    """Rows of one survey with p indicators.

    Attributes
    ----------
    survey_id : str
    table : Table
        Keys and weight, n rows.
    values : ndarray, shape (n, p)
        Natural units, NaN where missing.
    asked : ndarray of bool, shape (n, p)
        Whether the survey asked it, whatever the household answered.
    """

    survey_id: str
    table: pa.Table
    values: FloatArray
    asked: BoolArray


def answers(
    con: duckdb.DuckDBPyConnection, indicators: Sequence[str], survey: Survey, wave: str | None = None
) -> Iterator[Answers]:
    """Answers of a survey, or of one of its waves, in batches."""
    reasons = ", ".join(map(literal, NOT_ASKED))
    columns = [
        part
        for name in indicators
        for part in (
            quoted(name),
            f"coalesce({quoted(name + '__missing')} not in ({reasons}), true) as {quoted(name + '__asked')}",
        )
    ]
    reader = con.execute(
        f"select {', '.join([*KEYS, 'weight', *columns])} from {HOUSEHOLD_WAVES} "
        "where survey_id = $survey and ($wave is null or wave = $wave)",
        {"survey": survey.survey_id, "wave": wave},
    ).to_arrow_reader(BATCH_ROWS)
    for batch in reader:
        table = pa.Table.from_batches([batch])
        yield Answers(
            survey.survey_id,
            table.select([*KEYS, "weight"]),
            matrix(table, indicators),
            np.column_stack(
                [table[f"{name}__asked"].to_numpy(zero_copy_only=False) for name in indicators]
            ).astype(bool),
        )


def matrix(table: pa.Table, columns: Sequence[str]) -> FloatArray:
    """Numeric columns of a table, shape (n, p), NaN for null."""
    arrays = [table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in columns]
    return np.column_stack(arrays).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Extremes:
    """Lowest and highest answer to p indicators in g surveys, over all waves.

    Attributes
    ----------
    survey_ids, indicators : tuple of str
    lower, upper : ndarray, shape (g, p)
        NaN where a survey has no answer.
    ends : tuple of ndarray, shape (p,)
        Ends of the answer scales, NaN where open.
    directions : tuple of str
        Direction of each indicator; without one it counts as a benefit.
    """

    survey_ids: tuple[str, ...]
    indicators: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    ends: tuple[FloatArray, FloatArray]
    directions: tuple[str, ...]

    def of(self, indicators: Sequence[str]) -> Extremes:
        """Extremes of some of the indicators, in the order given."""
        places = [self.indicators.index(i) for i in indicators]
        return Extremes(
            self.survey_ids,
            tuple(indicators),
            self.lower[:, places],
            self.upper[:, places],
            (self.ends[0][places], self.ends[1][places]),
            tuple(self.directions[k] for k in places),
        )

    def scores(self, answers: Answers, mode: str) -> FloatArray:
        """Answers between the bounds of a mode, shape (n, p), 1 best; NaN for an indicator without a range."""
        low, high = np.fmin.reduce(self.lower, axis=0), np.fmax.reduce(self.upper, axis=0)
        if mode == BoundsMode.WITHIN_SURVEY:
            group = np.full(answers.table.num_rows, self.survey_ids.index(answers.survey_id))
            bounds = Bounds(BoundsMode.WITHIN_SURVEY, self.survey_ids, group, self.lower, self.upper)
        else:
            if mode == BoundsMode.THEORETICAL:
                low, high = (np.where(np.isnan(e), x, e) for e, x in zip(self.ends, (low, high), strict=True))
            group = np.zeros(answers.table.num_rows, dtype=np.int64)
            bounds = Bounds(BoundsMode(mode), ("all",), group, low[None, :], high[None, :])
        return normalise(answers.values, bounds, self.directions).z


def extremes(con: duckdb.DuckDBPyConnection, catalog: Catalog, indicators: Sequence[str]) -> Extremes:
    """Read the extremes of indicators in every survey."""
    columns = ", ".join(f"min({quoted(i)}), max({quoted(i)})" for i in indicators)
    found = con.execute(
        f"select survey_id, {columns} from {HOUSEHOLD_WAVES} group by survey_id order by survey_id"
    ).fetchall()
    numbers = np.array([row[1:] for row in found], dtype=np.float64).reshape(len(found), -1)
    declared = [catalog.indicator[i] for i in indicators]
    ends = tuple(
        np.array([getattr(i, end) for i in declared], dtype=np.float64) for end in ("minimum", "maximum")
    )
    return Extremes(
        tuple(row[0] for row in found),
        tuple(indicators),
        numbers[:, 0::2],
        numbers[:, 1::2],
        (ends[0], ends[1]),
        tuple("cost" if i.direction == "cost" else "benefit" for i in declared),
    )


def scored(
    con: duckdb.DuckDBPyConnection, limits: Extremes, mode: str, survey: Survey, wave: str | None = None
) -> tuple[FloatArray, npt.NDArray[np.object_]]:
    """Normalised answers of a survey, shape (n, p), and the site of each row."""
    z, sites = [np.empty((0, len(limits.indicators)))], [np.empty(0, dtype=object)]
    for batch in answers(con, limits.indicators, survey, wave):
        z.append(limits.scores(batch, mode))
        sites.append(batch.table["site_id"].to_pandas().to_numpy(dtype=object))
    return np.vstack(z), np.concatenate(sites)


def members(scheme: WeightScheme) -> tuple[str, ...]:
    """Indicators of a scheme, each once."""
    return tuple(dict.fromkeys(i for dimension in scheme.dimensions.values() for i in dimension))


def patterns(is_asked: BoolArray) -> Iterator[tuple[BoolArray, npt.NDArray[np.intp]]]:
    """Distinct rows of what was asked, each with the positions of the households it holds for."""
    # One number a row: sorting rows of booleans would take most of the time of an index.
    key = is_asked @ (1 << np.arange(is_asked.shape[1]))
    for first in np.unique(key, return_index=True)[1]:
        yield is_asked[first], np.flatnonzero(key == key[first])


def dimension_scores(
    z: FloatArray, is_asked: BoolArray, weights: Mapping[str, float], names: Sequence[str]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Weighted mean of the members asked and answered, as in the marts.

    Parameters
    ----------
    z, is_asked : ndarray, shape (n, p)
    weights
        Indicator -> weight of the dimension.
    names
        Indicators of the columns.

    Returns
    -------
    index : ndarray, shape (n,)
    n_answered : ndarray, shape (n,)
    """
    places = np.array([names.index(i) for i in weights])
    w = np.array(list(weights.values()))
    index, count = np.full(len(z), np.nan), np.zeros(len(z), dtype=np.int64)
    for pattern, rows in patterns(is_asked[:, places]):
        if (w * pattern).sum() > 0:
            part = composite(
                z[np.ix_(rows, places)],
                w * pattern,
                missing=MissingPolicy.AVAILABLE,
                min_share=MINIMUM_ANSWERED_SHARE,
            )
            index[rows], count[rows] = part.index, part.n_used
    return index, count


def scheme_weights(scheme: WeightScheme) -> Weights:
    """Weights that a scheme states, by dimension."""
    return {dimension: scheme.weights(dimension) for dimension in scheme.dimensions}


def capitals(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, scheme: WeightScheme, survey: Survey
) -> pa.Table:
    """Capital indices of a survey's households under a scheme with stated weights.

    Returns
    -------
    Table
        Columns of `capital.household_capitals`.
    """
    if scheme.is_default:
        metric = catalog.metric[catalog.coupling.systems[0].metric]
        return con.execute(
            f"select * from {metric.table} where scheme = ? and bounds = ? and survey_id = ?",
            [scheme.id, scheme.bounds, survey.survey_id],
        ).to_arrow_table()
    names = members(scheme)
    limits = extremes(con, catalog, names)
    parts = []
    for batch in answers(con, names, survey):
        z = limits.scores(batch, scheme.bounds)
        scored = {
            dimension: dimension_scores(z, batch.asked, weights, names)
            for dimension, weights in scheme_weights(scheme).items()
        }
        n = batch.table.num_rows
        total = np.sum(
            [w * scored[dimension][0] for dimension, w in scheme.dimension_weights.items()], axis=0
        )
        columns = {
            **{name: batch.table[name] for name in (*KEYS, "weight")},
            "scheme": pa.repeat(scheme.id, n),
            "bounds": pa.repeat(scheme.bounds, n),
            **{d: pa.array(index, from_pandas=True) for d, (index, _) in scored.items()},
            "total": pa.array(total, from_pandas=True),
            **{f"n_indicators_{d}": pa.array(count) for d, (_, count) in scored.items()},
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)
