"""Households as the statistics need them: which surveys there are, what they asked, answers and indices.

Belongs here: the SQL that reads the build database, and dimensions under a weight scheme other than the default
one, by the same rules as the marts. Does not belong here: a formula (`analysis`), a result table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.errors import InfiniteValueError
from analysis.normalisation import Bounds, BoundsMode, normalise
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.formulas import Member, answered_count, composite, extended, is_asked, score
from relocation_warehouse.survey.catalog import Catalog, WeightScheme
from relocation_warehouse.survey.vocabulary import round_of

HOUSEHOLD_WAVES = "staging.household_waves"
"""One row a household and wave, every indicator with its missing reason: a view over the tables of all waves."""

HOUSEHOLDS = "harmonized.households"
"""The same rows and answers without the reasons: one table, on which a query is planned quickly."""

BALANCED, UNBALANCED = "balanced", "unbalanced"
"""Samples in which waves are compared: households with a value in both, and all households of each."""

NOT_ASKED = ("not_asked", "not_shared")
"""Missing reasons of an indicator that is no part of the survey; the others are blanks."""

POOLED, POOLED_REAL = "pooled", "pooled_real"
"""`survey_id` of the made-up surveys taken together, and of the real ones."""

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
    region_label: tuple[str, str]
    """English and Chinese name of the region."""

    @property
    def latest(self) -> str:
        """The last wave."""
        return self.waves[-1]

    @property
    def rounds(self) -> Iterator[dict[str, Any]]:
        """Columns that all rows of a wave share: the wave, its order and its round."""
        for wave, order in zip(self.waves, self.wave_orders, strict=True):
            yield {"wave": wave, "wave_order": order, "round": round_of(wave, self.waves)}

    @property
    def pooled_id(self) -> str:
        """`survey_id` of rows about this survey and others of its origin together."""
        return POOLED if self.is_synthetic else POOLED_REAL


def surveys(con: duckdb.DuckDBPyConnection) -> tuple[Survey, ...]:
    """Surveys with households, by id."""
    rows = con.execute(
        """
        select w.survey_id, any_value(w.region), bool_or(w.is_synthetic),
               list(w.wave order by w.wave_order), list(w.wave_order order by w.wave_order),
               any_value(s.published_survey_ids), any_value(coalesce(s.region_label_en, w.region)),
               any_value(coalesce(s.region_label_zh, w.region))
        from (select distinct survey_id, region, is_synthetic, wave, wave_order from harmonized.coverage) as w
        left join reference.surveys as s using (survey_id)
        group by w.survey_id
        order by w.survey_id
        """
    ).fetchall()
    return tuple(
        Survey(
            *(survey_id, region, is_synthetic, tuple(waves), tuple(orders)),
            frozenset((printed or "").split()),
            (labels[0], labels[1]),
        )
        for survey_id, region, is_synthetic, waves, orders, printed, *labels in rows
    )


def by_origin(surveys: Iterable[Survey]) -> dict[bool, tuple[Survey, ...]]:
    """Made-up surveys (True) and real ones (False), where there are any: what may be pooled or tested together."""
    parts: dict[bool, tuple[Survey, ...]] = {}
    for survey in surveys:
        parts[survey.is_synthetic] = (*parts.get(survey.is_synthetic, ()), survey)
    return parts


def asked(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], frozenset[str]]:
    """(survey, wave) -> indicators that were asked there and answered by anybody."""
    rows = con.execute(
        "select survey_id, wave, list(indicator_id) filter (where n > 0) from harmonized.coverage group by all"
    ).fetchall()
    return {(survey_id, wave): frozenset(ids or ()) for survey_id, wave, ids in rows}


def schemes_of(catalog: Catalog, survey: Survey) -> tuple[WeightScheme, ...]:
    """The default weight scheme, and those of the studies that a survey belongs to."""
    return tuple(
        catalog.weight_scheme(s.id)
        for s in catalog.weight_schemes
        if s.is_default or survey.published_survey_ids & set(s.published_survey_ids)
    )


def matrix(table: pa.Table, columns: Sequence[str]) -> FloatArray:
    """Numeric columns of a table, shape (n, p), NaN for null."""
    arrays = [table[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in columns]
    return np.column_stack(arrays).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Extremes:
    """Lowest and highest answer to p indicators in g surveys, over all waves.

    Bounds of several surveys are those of made-up ones for a made-up survey, and of real ones for a real survey.

    Attributes
    ----------
    survey_ids, indicators : tuple of str
    is_synthetic : ndarray of bool, shape (g,)
    lower, upper : ndarray, shape (g, p)
        NaN where a survey has no answer.
    ends : ndarray, shape (2, p)
        Ends of the answer scales, NaN where open.
    is_cost : tuple of bool
        Whether less is better.
    minimum_answered_share : float
        Share of the asked weight of a composite of them that must be answered.
    """

    survey_ids: tuple[str, ...]
    is_synthetic: npt.NDArray[np.bool_]
    indicators: tuple[str, ...]
    lower: FloatArray
    upper: FloatArray
    ends: FloatArray
    is_cost: tuple[bool, ...]
    minimum_answered_share: float

    def bounds(self, k: int, survey_id: str, mode: str) -> tuple[float, float]:
        """Bounds of the k-th indicator under a mode, for a survey."""
        g = self.survey_ids.index(survey_id)
        if mode == BoundsMode.WITHIN_SURVEY:
            return float(self.lower[g, k]), float(self.upper[g, k])
        alike = self.is_synthetic == self.is_synthetic[g]
        low, high = float(np.fmin.reduce(self.lower[alike, k])), float(np.fmax.reduce(self.upper[alike, k]))
        if mode == BoundsMode.THEORETICAL:
            lowest, highest = self.ends[:, k].tolist()
            return (low if np.isnan(lowest) else lowest), (high if np.isnan(highest) else highest)
        return low, high

    def score(self, indicator: str, survey_id: str, mode: str) -> str:
        """SQL of an indicator between the bounds of a mode, 0 worst to 1 best; missing where it has no range."""
        k = self.indicators.index(indicator)
        is_inside = mode != BoundsMode.THEORETICAL
        low, high = self.bounds(k, survey_id, mode)
        return score(quoted(indicator), low, high, self.is_cost[k], is_inside=is_inside)

    def scores(self, x: FloatArray, survey_id: str, mode: str) -> FloatArray:
        """Answers of households of a survey between the bounds of a mode, shape (p, n) as given."""
        ends = np.array([self.bounds(k, survey_id, mode) for k in range(len(self.indicators))])
        bounds = Bounds(BoundsMode(mode), ("all",), np.zeros(x.shape[1], dtype=np.int64), *ends.T[:, None])
        directions = ["cost" if is_cost else "benefit" for is_cost in self.is_cost]
        return normalise(x.T, bounds, directions).z.T

    def is_answered(self, indicator: str, survey_id: str) -> bool:
        """Whether anybody in a survey answered."""
        k, g = self.indicators.index(indicator), self.survey_ids.index(survey_id)
        return not np.isnan(self.lower[g, k])


def extremes(con: duckdb.DuckDBPyConnection, catalog: Catalog, indicators: Sequence[str]) -> Extremes:
    """Read the extremes of indicators in every survey.

    Raises
    ------
    InfiniteValueError
        If an answer is infinite: all scores would be measured against it.
    """
    columns = ", ".join(f"min({quoted(i)}), max({quoted(i)})" for i in indicators)
    rows = con.execute(
        f"select survey_id, bool_or(is_synthetic), {columns} from {HOUSEHOLDS} group by survey_id order by survey_id"
    ).fetchall()
    numbers = np.array([row[2:] for row in rows], dtype=np.float64).reshape(len(rows), -1)
    if np.isinf(numbers).any():
        row, place = np.argwhere(np.isinf(numbers))[0]
        raise InfiniteValueError(
            f"{indicators[place // 2]} of {rows[row][0]} holds an infinite value. Correct it or mark it missing."
        )
    declared = [catalog.indicator[i] for i in indicators]
    ends = [[getattr(i, end) for i in declared] for end in ("minimum", "maximum")]
    return Extremes(
        tuple(row[0] for row in rows),
        np.array([row[1] for row in rows], dtype=np.bool_),
        tuple(indicators),
        numbers[:, 0::2],
        numbers[:, 1::2],
        np.array(ends, dtype=np.float64),
        tuple(i.direction == "cost" for i in declared),
        catalog.minimum_answered_share,
    )


def members(scheme: WeightScheme) -> tuple[str, ...]:
    """Indicators of a scheme, each once."""
    return tuple(dict.fromkeys(i for dimension in scheme.dimensions.values() for i in dimension))


def scheme_weights(scheme: WeightScheme) -> Weights:
    """Weights that a scheme states, by dimension."""
    return {dimension: scheme.weights(dimension) for dimension in scheme.dimensions}


def scored(
    limits: Extremes,
    survey_id: str,
    mode: str,
    schemes: Mapping[str, Weights] | None = None,
    condition: str = "true",
) -> str:
    """SQL of the households of a survey with their scores, and their dimensions under some schemes.

    Parameters
    ----------
    limits
        Extremes of the members.
    survey_id
        Whose households.
    mode
        Whose extremes the scores run between.
    schemes
        Scheme -> dimension -> indicator -> weight.
    condition
        Which households.

    Returns
    -------
    str
        Relation with columns `score_column` of every indicator and `dimension_column` of every dimension, and how
        many members of it a household answered as `count_column`.
    """
    source = f"(select * from {HOUSEHOLD_WAVES} where survey_id = {literal(survey_id)} and {condition})"
    source = extended(source, {score_column(i): limits.score(i, survey_id, mode) for i in limits.indicators})
    columns = {}
    for scheme, dimensions in (schemes or {}).items():
        for dimension, weights in dimensions.items():
            members = [Member(quoted(score_column(i)), is_asked(i), w) for i, w in weights.items()]
            columns[dimension_column(scheme, dimension)] = composite(members, limits.minimum_answered_share)
            columns[count_column(scheme, dimension)] = f"cast({answered_count(members)} as bigint)"
    return extended(source, columns) if columns else source


def score_column(indicator: str) -> str:
    """Column of an indicator between its bounds."""
    return f"{indicator} score"


def dimension_column(scheme: str, dimension: str) -> str:
    """Column of a dimension under a scheme."""
    return f"{scheme} {dimension}"


def count_column(scheme: str, dimension: str) -> str:
    """Column of the members of a dimension that were answered."""
    return f"{scheme} {dimension} answered"
