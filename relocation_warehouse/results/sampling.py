"""Means of surveys by sampling unit: what every unit adds, and what follows for a group of households.

Belongs here: reading sums by unit from the build database, and the choice of the method by what the survey declares.
Does not belong here: a formula of inference (`analysis.survey_design`), or which groups are compared (`comparison`).

Where a survey declares strata or the number of units in the population, the linearised variance of R's survey package
is taken. Elsewhere, as where the site stands for the unit, units are few and of unequal size, and the bias-reduced
variance with Satterthwaite's degrees of freedom is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.errors import AnalysisError, InfiniteValueError, InvalidWeightError
from analysis.levels import refusal_of_interval, refusal_of_share
from analysis.summary import floats, in_parts
from analysis.survey_design import DesignMean, Interval, design_mean, intraclass_correlation, unit_mean
from analysis.unit_sums import UnitSums, sums_of_batch, together
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import HOUSEHOLDS, Survey
from relocation_warehouse.survey.catalog import Gates

LEVEL = 0.95
CELLS_AT_A_TIME = 2_000_000
"""Units times measures held at once."""

DESIGN = ("stratum_id", "sampling_unit_id", "population_units", "weight")

BATCH_ROWS = 100_000

Labels = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Units:
    """A measure in the G sampling units of one wave of a survey.

    A unit whose households belong to several groups, sites where nothing else is asked for, is one row for each.

    Attributes
    ----------
    group, stratum, unit : ndarray of str, shape (G,)
    population : ndarray, shape (G,)
        Units that the stratum has in the population; infinity where many more than were drawn.
    n : ndarray of int, shape (G,)
        Households with a value and a weight.
    weight, mean : ndarray, shape (G,)
        Sum of their weights and weighted mean.
    weighted_squares : ndarray, shape (G,)
        Sum of ``w (y - mean)^2``.
    plain_mean, squares : ndarray, shape (G,)
        Mean of the households and sum of squared deviations from it, each household counted once.
    """

    group: Labels
    stratum: Labels
    unit: Labels
    population: FloatArray
    n: IntArray
    weight: FloatArray
    mean: FloatArray
    weighted_squares: FloatArray
    plain_mean: FloatArray
    squares: FloatArray

    def of(self, rows: BoolArray) -> Units:
        """Return some of the rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Estimate:
    """Mean of a group of households with what its sampling units allow to say.

    Attributes
    ----------
    n, n_units : int
        Households and sampling units.
    value : float
        Weighted mean.
    sd : float
        Of the households, with divisor n - 1; None for one household.
    effective_units : float
        Units of equal weight that would give the same variance between units.
    correlation, design_effect : float, optional
        Of two households of one unit; variance over that of a simple random sample.
    design : DesignMean, optional
        Error and degrees of freedom, of which tests are made; None where there is none.
    reason : str, optional
        Why no interval is told.
    rare : str, optional
        Why a share has neither an interval nor a test: too few households have it or lack it.
    """

    n: int
    n_units: int
    value: float
    sd: float | None
    effective_units: float
    correlation: float | None = None
    design_effect: float | None = None
    design: DesignMean | None = field(default=None, repr=False)
    reason: str | None = None
    rare: str | None = None

    @property
    def interval(self) -> DesignMean | None:
        """The design where its interval covers as often as it says."""
        return self.design if self.reason is None else None


def estimate(units: Units, *, share: Units | None = None, is_amount: bool = False) -> Estimate:
    """Mean of the households of some units, under the design that the survey declares.

    Parameters
    ----------
    units
        At least one of them with a household.
    share
        The share of households that a measure between 0 and 1 is made of, often the measure itself: its interval is
        made on the logit scale, where enough households have it and lack it.
    is_amount
        A quantity that is not below nought, whose interval is made on the log scale.
    """
    n = int(units.n.sum())
    value = float(units.mean[0] + units.weight @ (units.mean - units.mean[0]) / units.weight.sum())
    spread = float(units.weighted_squares.sum() + units.weight @ (units.mean - value) ** 2)
    variance = spread / float(units.weight.sum()) * n / (n - 1) if n > 1 else None
    keys = list(zip(units.stratum, units.unit, strict=True))
    number = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    place = np.array([number[key] for key in keys])
    weights: FloatArray = np.bincount(place, units.weight).astype(np.float64)
    rare = None
    if share is not None:
        own = np.unique(share.stratum + chr(31) + share.unit, return_inverse=True)[1]
        having = np.bincount(own, share.n * share.plain_mean)
        rare = refusal_of_share(having.round(), np.bincount(own, share.n))
    estimated = Estimate(
        n,
        len(number),
        value,
        None if variance is None else float(np.sqrt(variance)),
        float(weights.sum() ** 2 / (weights @ weights)),
        _correlation(units, place),
        rare=rare,
    )
    try:
        design = _design(units, place, weights, _scale(units, share is not None, is_amount))
    except AnalysisError as error:
        return replace(estimated, reason=str(error))
    effect = design.se**2 / (variance / n) if variance else None
    return replace(
        estimated,
        design=design,
        design_effect=effect,
        reason=rare or refusal_of_interval(design),
    )


def too_few_degrees(df: float, gates: Gates) -> str | None:
    """Why a test on so few degrees of freedom is not told."""
    if df >= gates.fewest_test_df:
        return None
    return (
        f"{df:.1f} degrees of freedom between sampling units; a test needs at least {gates.fewest_test_df:g}"
    )


def as_row(estimated: Estimate | None, reason: str | None = None) -> dict[str, Any]:
    """Value, interval and units of a result row; None stands for what cannot be computed for a reason."""
    if estimated is None:
        names = ("value", "standard_error", "ci_low", "ci_high")
        return {"n": 0, "n_units": 0, **dict.fromkeys(names), "reason": reason}
    design, reason = estimated.interval, estimated.reason
    if design is not None and not design.se > 0:
        design, reason = None, "all households and sampling units are alike: there is no interval"
    return {
        "n": estimated.n,
        "n_units": estimated.n_units,
        "value": estimated.value,
        "standard_error": design.se if design else None,
        "ci_low": design.ci_low if design else None,
        "ci_high": design.ci_high if design else None,
        "reason": reason,
    }


def _scale(units: Units, is_share: bool, is_amount: bool) -> Interval:
    """Scale of the interval: symmetric ones of skewed amounts miss those above too often."""
    total = float(units.weight @ units.mean)
    if is_share and 0 < total < float(units.weight.sum()):
        return "logit"
    # losses may leave a unit below nought
    return "log" if is_amount and total > 0 and units.mean.min() >= 0 else "t"


def _design(units: Units, place: IntArray, weights: FloatArray, interval: Interval) -> DesignMean:
    is_plain = len(set(units.stratum)) == 1 and np.isinf(units.population).all()
    value = units.mean
    if is_plain:
        sums = np.bincount(place, units.weight * (value - value[0]))
        return unit_mean(
            value[0] + sums / weights, weights, np.bincount(place, units.n), level=LEVEL, interval=interval
        )
    linearised = design_mean(
        value,
        weights=units.weight,
        strata=units.stratum,
        units=units.unit,
        stratum_sizes=units.population,
        level=LEVEL,
        interval=interval,
    )
    first = np.unique(place, return_index=True)[1]
    return replace(
        linearised,
        unit_weights=weights,
        unit_counts=np.bincount(place, units.n).astype(np.float64),
        unit_strata=np.unique(units.stratum[first].astype(str), return_inverse=True)[1],
    )


def _correlation(units: Units, place: IntArray) -> float | None:
    """Intraclass correlation; None where the units cannot say."""
    n = np.bincount(place, units.n)
    start = units.plain_mean[0]
    mean = start + np.bincount(place, units.n * (units.plain_mean - start)) / n
    between = units.n * (units.plain_mean - mean[place]) ** 2
    try:
        return intraclass_correlation(n, mean, np.bincount(place, units.squares + between))
    except AnalysisError:
        return None


def units_of(
    con: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, str],
    survey: Survey,
    group: str = "site_id",
) -> Iterator[tuple[str, str, Units]]:
    """Measure, wave and units of the columns of a survey, as `units_by` gives them for one kind of groups."""
    for _, name, wave, units in units_by(con, source, columns, survey, {group: columns}):
        yield name, wave, units


def units_by(
    con: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, str],
    survey: Survey,
    groups: Mapping[str, Collection[str]],
) -> Iterator[tuple[str, str, str, Units]]:
    """Kind of groups, measure, wave and units of the columns of a survey: every household is read once for all.

    Parameters
    ----------
    con
        Build database.
    source
        Relation with `survey_id`, `household_id`, `wave` and the columns.
    columns
        Measure -> its column.
    survey
        Whose households.
    groups
        Column of `harmonized.households` whose groups can be told apart afterwards -> measures wanted by it. A unit
        has a row for each group that its households belong to, and households without one are left out.

    Raises
    ------
    InvalidWeightError
        If a weight is negative.
    InfiniteValueError
        If a value is infinite.
    """
    place = {name: f"y {k}" for k, name in enumerate(columns)}
    wanted = {group: [place[name] for name in columns if name in groups[group]] for group in groups}
    wanted = {group: names for group, names in wanted.items() if names}
    if not wanted:
        return
    kinds = {f"g {k}": names for k, names in enumerate(wanted.values())}
    reader = con.execute(_rows(con, source, columns, survey, list(wanted))).to_arrow_reader(BATCH_ROWS)
    parts = list(in_parts(reader, partial(_added_up, kinds=kinds, most=CELLS_AT_A_TIME)))
    sums = [part for part in parts if part is not None]
    if len(sums) < len(parts):
        half, names = len(columns) // 2, list(columns)
        for some in (names[:half], names[half:]):
            yield from units_by(con, source, {name: columns[name] for name in some}, survey, groups)
        return
    if negative := sum(n for n, _ in sums):
        raise InvalidWeightError(f"{survey.survey_id}: {negative} households have a negative weight.")
    every = [
        (group, names, together([own[kind] for _, own in sums if kind in own]))
        for (kind, names), group in zip(kinds.items(), wanted, strict=True)
        if any(kind in own for _, own in sums)
    ]
    for name, wave in product(columns, survey.waves):
        for group, names, cells in every:
            if place[name] not in names:
                continue
            units = _units(cells, names.index(place[name]), wave)
            if not np.isfinite(units.mean).all():
                raise InfiniteValueError(
                    f"{name} of {survey.survey_id} holds an infinite value. Correct it or mark it missing."
                )
            if len(units.n):
                yield group, name, wave, units


def _rows(
    con: duckdb.DuckDBPyConnection,
    source: str,
    columns: Mapping[str, str],
    survey: Survey,
    groups: Sequence[str],
) -> str:
    """SQL of the households of a survey: how they were drawn, their groups `g 0`, ..., and measures `y 0`, ..."""
    own = f"survey_id = {literal(survey.survey_id)}"
    design = _drawn(con) | {quoted(f"g {k}"): _code(group) for k, group in enumerate(groups)}
    drawn = ", ".join(f"{value} as {name}" for name, value in design.items())
    measured = ", ".join(
        f"cast({quoted(column)} as double) as {quoted(f'y {k}')}" for k, column in enumerate(columns.values())
    )
    if source == HOUSEHOLDS:
        return f"select wave, {drawn}, {measured} from {HOUSEHOLDS} where {own}"
    return (
        f"select * from (select wave, household_id, {measured} from {source} where {own}) as answers "
        f"inner join (select household_id, wave, {drawn} from {HOUSEHOLDS} where {own}) as drawn "
        "using (household_id, wave)"
    )


def _added_up(
    batches: Iterable[pa.RecordBatch], kinds: Mapping[str, Sequence[str]], most: int
) -> tuple[int, dict[str, UnitSums]] | None:
    """Households with a negative weight and sums by kind of groups; None where these are more than may be held.

    A survey whose every household is a unit is read for some of its measures at a time. One measure is always held.
    """
    negative, made, n_held = 0, dict[str, list[UnitSums]](), 0
    for batch in batches:
        negative += int((floats(batch, "weight") < 0).sum())
        for kind, names in kinds.items():
            keys = ("wave", kind, "stratum_id", "sampling_unit_id")
            sums = sums_of_batch(batch, keys, names, "weight", "population_units")
            made.setdefault(kind, []).append(sums)
            n_held += sums.n.size
        if n_held > most and len({name for names in kinds.values() for name in names}) > 1:
            made = {kind: [together(parts)] for kind, parts in made.items()}
            n_held = sum(parts[0].n.size for parts in made.values())
            if n_held > most:
                return None
    return negative, {kind: together(parts) for kind, parts in made.items()}


def _units(sums: UnitSums, k: int, wave: str) -> Units:
    """Units of a measure in a wave that have a household with a value."""
    rows = np.array([of_wave == wave for of_wave, *_ in sums.cells], dtype=bool) & (sums.n[k] > 0)
    labels = np.array([cell[1:] for cell in sums.cells], dtype=object).reshape(-1, 3)[rows]
    population = sums.population[rows]
    n, weight, mean, weighted_squares, plain_mean, squares = (values[k, rows] for values in sums.moments)
    return Units(
        group=labels[:, 0],
        stratum=labels[:, 1],
        unit=labels[:, 2],
        population=np.where(np.isnan(population), np.inf, population),
        n=n.astype(np.int64),
        weight=weight,
        mean=mean,
        weighted_squares=weighted_squares,
        plain_mean=plain_mean,
        squares=squares,
    )


def unit_key(con: duckdb.DuckDBPyConnection, households: str) -> str:
    """SQL of a key of a household's sampling unit that is unique over surveys."""
    drawn = _drawn(con, f"{households}.")
    return f"concat_ws(chr(31), {households}.survey_id, {drawn['stratum_id']}, {drawn['sampling_unit_id']})"


def design_columns(con: duckdb.DuckDBPyConnection, group: str) -> str:
    """How households were drawn, and their group; without a declaration the site stands for the unit."""
    return ", ".join(
        f"{value} as {name}" for name, value in (_drawn(con) | {"group_id": _code(group)}).items()
    )


def _code(group: str) -> str:
    """SQL of a code as text: that of a whole number has no point."""
    text = f"cast({quoted(group)} as varchar)"
    return f"if(upper(typeof({quoted(group)})) = 'DOUBLE', regexp_replace({text}, '[.]0$', ''), {text})"


def _drawn(con: duckdb.DuckDBPyConnection, of: str = "") -> dict[str, str]:
    present = {name for name, *_ in con.execute(f"describe {HOUSEHOLDS}").fetchall()}
    has_design = set(DESIGN) <= present
    return {
        "stratum_id": f"coalesce({of}stratum_id, '')" if has_design else "''",
        "sampling_unit_id": f"coalesce({of}sampling_unit_id, {of}site_id)" if has_design else f"{of}site_id",
        "population_units": f"{of}population_units" if has_design else "null",
        "weight": f"{of}weight",
    }


def by_group(units: Units) -> dict[str, Units]:
    """Units of each group."""
    return {group: units.of(units.group == group) for group in dict.fromkeys(units.group)}
