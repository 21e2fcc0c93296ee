"""Means and intervals under a survey's sampling design.

Belongs here: weighted means of a population or a part of it, with variances by Taylor linearisation over strata and
one or two stages of sampling units, or from few units of one stratum; how alike the households of a unit are; and
differences of two such means.
Does not belong here: model coefficients (``regression`` with sampling weights, ``inference`` with clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.optimize import minimize_scalar

from analysis.arrays import ROUNDING, BoolArray, FloatArray, IntArray, check_level, one_of, without_spread
from analysis.errors import (
    BelowRoundingError,
    EmptyGroupError,
    InfiniteValueError,
    InvalidOptionError,
    InvalidWeightError,
    MissingValueError,
    TooFewClustersError,
)

Values = Sequence[Any] | npt.NDArray[Any] | pd.Series
Lonely = Literal["error", "centre", "certainty", "average"]
Interval = Literal["t", "logit", "log"]

CELLS_AT_A_TIME = 1_000_000
"""Correlations times units tried at once."""


@dataclass(frozen=True)
class DesignMean:
    """A weighted mean with its design-based interval.

    Parameters
    ----------
    n : int
        Rows of the domain with a value.
    n_missing : int
        Rows of the domain without one.
    mean, se, ci_low, ci_high : float
        In units of the values.
    df : float
        Sampling units minus strata, of those with a counted row; Satterthwaite's for `unit_mean`.
    design_effect : float
        Variance relative to a simple random sample of n rows with replacement; NaN for constant values, and where
        single rows are not known.
    level : float
    n_units, n_strata : int
        With a counted row.
    interval : {"t", "logit", "log"}
        Scale of the interval.
    unit_weights, unit_counts : ndarray of shape (n_units,), optional
        Sum of weights and households of each unit, of which `levels` computes the level of tests; of `unit_mean`.
    unit_strata : ndarray of int, shape (n_units,), optional
        Their strata, two units at least in each, where `design_mean` took them; it is for the caller to say.
    """

    n: int
    n_missing: int
    mean: float
    se: float
    ci_low: float
    ci_high: float
    df: float
    design_effect: float
    level: float
    n_units: int = 0
    n_strata: int = 1
    interval: Interval = "t"
    unit_weights: FloatArray | None = field(default=None, repr=False, compare=False)
    unit_counts: FloatArray | None = field(default=None, repr=False, compare=False)
    unit_strata: IntArray | None = field(default=None, repr=False, compare=False)


def design_mean(
    values: Values,
    *,
    weights: Values | None = None,
    strata: Values | None = None,
    units: Values | None = None,
    stratum_sizes: Values | None = None,
    domain: Values | None = None,
    lonely: Lonely = "error",
    level: float = 0.95,
    second_units: Values | None = None,
    unit_sizes: Values | None = None,
    interval: Interval = "t",
) -> DesignMean:
    """Mean of a population or domain, linearised (Lumley 2010, Complex Surveys, chapter 2).

    ``Var = sum_h (1 - n_h / N_h) n_h / (n_h - 1) sum_i (z_hi - zbar_h)^2`` with z the sums per sampling unit of
    ``w (y - mean) / sum w``. Where units were sampled too, ``sum_hi n_h / N_h`` times the same of their own
    units is added. Units outside the domain, and rows of weight zero, count in ``n_h`` (they could have been in the
    domain) but give no degrees of freedom. This is what R's survey package does.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN is missing: the row stays in the design but not in the domain.
    weights : array_like, optional
        Inverse inclusion probabilities of any scale.
    strata, units : array_like, optional
        Stratum and primary sampling unit of every row; without them one stratum, and every row its own unit.
        Units of different strata may share a name.
    stratum_sizes : array_like, optional
        Sampling units in the population of the row's stratum, for the finite population correction; infinity for
        none.
    domain : array_like of bool, optional
        Rows the mean is about; the others still inform the variance.
    lonely : {"error", "centre", "certainty", "average"}
        What a stratum with one unit means: refuse, measure it against the mean of all units (R calls this adjust),
        count it as fully observed, or give it the average variance of the other strata.
    level : float
    second_units : array_like, optional
        What was sampled within the unit; without it every row.
    unit_sizes : array_like, optional
        How many of these the row's unit has in the population. Without it, or without ``stratum_sizes``, the first
        stage holds all of the variance.
    interval : {"t", "logit", "log"}
        Symmetric; on the logit scale for a share strictly between 0 and 1, where it stays; or on the log scale for an
        amount above 0, since means of skewed amounts are skewed too.

    Raises
    ------
    EmptyGroupError, InfiniteValueError, InvalidWeightError, MissingValueError, TooFewClustersError,
    InvalidOptionError
    """
    one_of(lonely, get_args(Lonely), "lonely (R's 'adjust' is 'centre')")
    one_of(interval, get_args(Interval), "interval")
    check_level(level)
    y = pd.to_numeric(pd.Series(values)).to_numpy(dtype=np.float64, na_value=np.nan)
    n_rows = len(y)
    w = np.ones(n_rows) if weights is None else _column(weights, "weights", n_rows).astype(np.float64)
    if np.isinf(y).any():
        raise InfiniteValueError(f"Row {int(np.flatnonzero(np.isinf(y))[0])}: infinite value.")
    if not (np.isfinite(w) & (w >= 0)).all():
        raise InvalidWeightError("Weights must be finite and not negative.")
    inside = np.ones(n_rows, bool) if domain is None else _mask(domain, n_rows)
    counted = inside & ~np.isnan(y) & (w > 0)
    n = int(counted.sum())
    if not n:
        raise EmptyGroupError(f"None of the {int(inside.sum())} rows of this group has a value and a weight.")
    share = np.where(counted, w / w[counted].max(), 0.0)
    share /= share.sum()
    centre = float(y[counted][0])
    mean = centre + float(share[counted] @ (y[counted] - centre))
    is_flat = bool(without_spread(y[counted][:, None])[0])
    z = np.where(counted & (not is_flat), share * (np.nan_to_num(y) - mean), 0.0)

    stratum = (
        pd.factorize(_column(strata, "strata", n_rows))[0] if strata is not None else np.zeros(n_rows, int)
    )
    own = _column(units, "units", n_rows) if units is not None else np.arange(n_rows)
    unit, unit_stratum = _nested(stratum, own)
    sizes = None if stratum_sizes is None else _sizes(stratum_sizes, "stratum_sizes", n_rows)
    contribution, sampled = _stage(z, stratum, unit, unit_stratum, sizes, lonely, "stratum_sizes")
    variance = float(contribution.sum())
    if sizes is not None and unit_sizes is not None:
        inner = np.arange(n_rows) if second_units is None else _column(second_units, "second_units", n_rows)
        row, row_unit = _nested(unit, inner)
        within = _sizes(unit_sizes, "unit_sizes", n_rows)
        second, _ = _stage(z, unit, row, row_unit, within, lonely, "unit_sizes")
        variance += float(sampled[unit_stratum] @ second)
    counted_units, counted_strata = len(np.unique(unit[counted])), len(np.unique(stratum[counted]))
    df = counted_units - counted_strata
    if df < 1:
        raise TooFewClustersError(
            f"{counted_units} sampling units in {counted_strata} strata leave no degree of freedom for an interval."
        )
    se = float(np.sqrt(variance))
    low, high = _interval(mean, se, df, level, interval)
    simple = float(share @ (np.nan_to_num(y) - mean) ** 2) / (n - 1) if n > 1 and not is_flat else 0.0
    return DesignMean(
        n=n,
        n_missing=int((inside & np.isnan(y)).sum()),
        mean=mean,
        se=se,
        ci_low=low,
        ci_high=high,
        df=df,
        design_effect=variance / simple if simple > 0 else np.nan,
        level=level,
        n_units=counted_units,
        n_strata=counted_strata,
        interval=interval,
    )


def unit_mean(
    means: Values, weights: Values, n: Values, *, level: float = 0.95, interval: Interval = "t"
) -> DesignMean:
    """Weighted mean of all households of few sampling units of one stratum, from the means of the units.

    The bias-reduced cluster variance CR2 of a model with nothing but an intercept, with Satterthwaite's degrees of
    freedom (`inference.clustered` gives the same). With units of unequal size the linearised variance of
    `design_mean` is too small and its degrees of freedom too many: with five units of 20 to 200 households its
    95 % interval covers 89 to 92 %, this one 95 to 97 %.

    Parameters
    ----------
    means, weights, n : array_like, shape (G,)
        Weighted mean, sum of weights and households of each unit; a unit without weight does not count.
    level, interval
        As in `design_mean`.

    Raises
    ------
    EmptyGroupError
        If no unit has a weight.
    TooFewClustersError
        If only one has.
    """
    one_of(interval, get_args(Interval), "interval")
    check_level(level)
    y, w, counts = (np.asarray(values, dtype=np.float64) for values in (means, weights, n))
    if not (np.isfinite(w) & (w >= 0)).all():
        raise InvalidWeightError("Weights must be finite and not negative.")
    y, counts, w = y[w > 0], counts[w > 0], w[w > 0]
    if not len(y):
        raise EmptyGroupError("No sampling unit has a household with a value and a weight.")
    if not np.isfinite(y).all():
        raise InfiniteValueError("The mean of a sampling unit is not finite.")
    if len(y) < 2:
        raise TooFewClustersError("One sampling unit: it says nothing about the others.")
    share = w / w.max()
    share /= share.sum()
    mean = float(y[0] + share @ (y - y[0]))
    deviation = np.zeros_like(y) if without_spread(y[:, None])[0] else y - mean
    # Working model: independent errors of variance 1 / weight, so a unit's mean has 1 / share.
    adjusted = share**2 / (1 - share)
    own = adjusted * (1 / share - 1)
    df = float(own.sum() ** 2 / ((own**2).sum() + adjusted.sum() ** 2 - (adjusted**2).sum()))
    se = float(np.sqrt(adjusted @ deviation**2))
    low, high = _interval(mean, se, df, level, interval)
    total = int(counts.sum())
    return DesignMean(total, 0, mean, se, low, high, df, np.nan, level, len(y), 1, interval, w, counts)


@dataclass(frozen=True)
class Difference:
    """Difference of the means of two independent samples.

    Parameters
    ----------
    estimate, se, ci_low, ci_high, t, df, p : float
        First minus second.
    equivalence_p : float
        The larger p value of two one-sided tests that the difference lies within the margin; NaN without one.
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    t: float
    df: float
    p: float
    equivalence_p: float


def difference(first: DesignMean, second: DesignMean, *, margin: float | None = None) -> Difference:
    """Difference of two design-based means, with the degrees of freedom of both (Satterthwaite 1946).

    The degrees of freedom weigh both samples by the variance that n independent households would have, which does
    not depend on the answers; weighing by the estimated variances (Welch) rejects too often with few units.

    Parameters
    ----------
    first, second : DesignMean
        Of samples that were drawn independently.
    margin : float, optional
        Largest difference that counts as none, in units of the values (Schuirmann 1987).

    Raises
    ------
    InvalidOptionError
        If the margin is not positive or the levels differ.
    BelowRoundingError
        If the means have no error beyond rounding.
    """
    if margin is not None and not margin > 0:
        raise InvalidOptionError(
            f"margin is the largest difference that counts as none, above 0, not {margin}."
        )
    if first.level != second.level:
        raise InvalidOptionError("The two means have intervals of different levels.")
    estimate, se = first.mean - second.mean, float(np.hypot(first.se, second.se))
    if se <= ROUNDING * max(abs(first.mean), abs(second.mean)):
        raise BelowRoundingError(
            "Neither mean has an error beyond rounding, so their difference cannot be tested."
        )
    df = degrees_of_freedom(first, second)
    t, half = estimate / se, float(stats.t.ppf(0.5 + first.level / 2, df)) * se
    equivalence = np.nan
    if margin is not None:
        equivalence = float(
            max(stats.t.sf((estimate + margin) / se, df), stats.t.cdf((estimate - margin) / se, df))
        )
    p = float(2 * stats.t.sf(abs(t), df))
    return Difference(estimate, se, estimate - half, estimate + half, t, df, p, equivalence)


def degrees_of_freedom(first: DesignMean, second: DesignMean) -> float:
    """Those of the difference of two means of independent samples."""
    share = np.array([1 / first.n, 1 / second.n])
    return float(share.sum() ** 2 / (share**2 / [first.df, second.df]).sum())


def intraclass_correlation(n: Values, means: Values, squares: Values) -> float:
    """Correlation of two households of one sampling unit: restricted maximum likelihood of a random intercept.

    Parameters
    ----------
    n, means, squares : array_like, shape (G,)
        Households, mean and sum of squared deviations from it of each unit.

    Returns
    -------
    float
        Between units over total variance, 0 to 1. What `statsmodels` MixedLM finds from single rows.

    Raises
    ------
    TooFewClustersError
        With fewer than two units, or one household in each.
    BelowRoundingError
        If the values do not vary.
    """
    counts, m, inner = (np.asarray(values, dtype=np.float64) for values in (n, means, squares))
    m, inner, counts = m[counts > 0], inner[counts > 0], counts[counts > 0]
    total = counts.sum()
    if len(counts) < 2 or total <= len(counts):
        raise TooFewClustersError(
            f"{len(counts)} sampling units with {total:.0f} households hold no correlation."
        )
    m = m - m[0]
    within = float(inner.sum())
    spread = within + float(counts @ (m - counts @ m / total) ** 2)
    if not spread > total * (ROUNDING * np.abs(np.asarray(means, dtype=np.float64)).max()) ** 2:
        raise BelowRoundingError("All households have one value: there is nothing to correlate.")

    def deviance(correlation: float) -> float:
        inflation = 1 + counts * correlation / (1 - correlation)
        precision = counts / inflation
        centre = precision @ m / precision.sum()
        rest = within + precision @ (m - centre) ** 2
        return float((total - 1) * np.log(rest / spread) + np.log(inflation).sum() + np.log(precision.sum()))

    grid = np.concatenate([[0.0], np.geomspace(1e-6, 0.5, 60), 1 - np.geomspace(0.45, 1e-9, 60)])
    parts = np.array_split(grid, 1 + len(grid) * len(m) // CELLS_AT_A_TIME)
    best = int(np.argmin(np.concatenate([_deviances(part, counts, m, within) for part in parts])))
    if best == 0:
        return 0.0
    ends = (grid[best - 1], grid[min(best + 1, len(grid) - 1)])
    minimum = minimize_scalar(deviance, bounds=ends, method="bounded", options={"xatol": 1e-12})
    return float(minimum.x)


def _deviances(correlations: FloatArray, counts: FloatArray, m: FloatArray, within: float) -> FloatArray:
    """The same at once for many correlations, shape (R,), but for a constant."""
    inflation = 1 + counts * (correlations / (1 - correlations))[:, None]
    precision = counts / inflation
    total = precision.sum(axis=1)
    centre = precision @ m / total
    rest = within + (precision * (m - centre[:, None]) ** 2).sum(axis=1)
    deviances: FloatArray = (counts.sum() - 1) * np.log(rest) + np.log(inflation).sum(axis=1) + np.log(total)
    return deviances


def _interval(mean: float, se: float, df: float, level: float, kind: str) -> tuple[float, float]:
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    if kind == "t":
        return mean - half, mean + half
    if kind == "log":
        if not mean > 0:
            raise BelowRoundingError(f"An amount of {mean:g} has no interval on the log scale.")
        return float(mean * np.exp(-half / mean)), float(mean * np.exp(half / mean))
    if not 0 < mean < 1:
        raise BelowRoundingError(f"A share of {mean:g} has no interval on the logit scale.")
    middle, half = np.log(mean / (1 - mean)), half / (mean * (1 - mean))
    return float(1 / (1 + np.exp(half - middle))), float(1 / (1 + np.exp(-half - middle)))


def _mask(domain: Values, n_rows: int) -> BoolArray:
    column = _column(domain, "domain", n_rows)
    truth: BoolArray = np.asarray(column == True)  # noqa: E712
    if not (truth | (column == False)).all():  # noqa: E712
        raise InvalidOptionError("domain says of every row whether it belongs: True or False.")
    return truth


def _nested(outer: npt.NDArray[Any], inner: npt.NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Position of each row's unit within its outer unit, and the outer unit of each position."""
    unit, pairs = pd.factorize(pd.MultiIndex.from_arrays([outer, inner]))
    return unit, pairs.get_level_values(0).to_numpy()


def _sizes(values: Values, name: str, n_rows: int) -> FloatArray:
    return _column(values, name, n_rows).astype(np.float64)


def _column(values: Values, name: str, n_rows: int) -> npt.NDArray[Any]:
    series = pd.Series(values)
    if len(series) != n_rows:
        raise InvalidOptionError(f"{name} has {len(series)} rows, values has {n_rows}.")
    if series.isna().any():
        row = int(np.flatnonzero(series.isna())[0])
        raise MissingValueError(f"{name}, row {row}: missing. The design must be known for every row.")
    return series.to_numpy()


def _stage(
    z: FloatArray,
    stratum: IntArray,
    unit: IntArray,
    unit_stratum: IntArray,
    sizes: FloatArray | None,
    lonely: str,
    name: str,
) -> tuple[FloatArray, FloatArray]:
    """What each stratum adds to the variance, and the share of its units that was sampled."""
    totals = np.bincount(unit, z)
    n_units = np.bincount(unit_stratum)
    sampled = np.zeros(len(n_units))
    if sizes is not None:
        sampled = n_units / _one_per_stratum(sizes, stratum, n_units, name)
    alone = (n_units == 1) & (sampled < 1)
    if alone.any() and lonely == "error":
        raise TooFewClustersError(
            f"{int(alone.sum())} of {len(n_units)} strata have a single sampling unit, so their variance is unknown. "
            "Merge strata, or choose lonely='centre', 'certainty' or 'average'."
        )
    centre = np.bincount(unit_stratum, totals) / n_units
    if lonely == "centre":
        centre[alone] = totals.mean()
    squares = np.bincount(unit_stratum, (totals - centre[unit_stratum]) ** 2)
    variances: FloatArray = (1 - sampled) * n_units / np.maximum(n_units - 1, 1) * squares
    if lonely == "average" and alone.any():
        if alone.all():
            raise TooFewClustersError(
                "Every stratum has a single sampling unit: there is no average variance."
            )
        variances[alone] = variances[~alone].mean()
    return variances, sampled


def _one_per_stratum(
    sizes: FloatArray, stratum: npt.NDArray[Any], n_units: npt.NDArray[Any], name: str
) -> FloatArray:
    per_stratum: FloatArray = np.zeros(len(n_units))
    per_stratum[stratum] = sizes
    if (sizes != per_stratum[stratum]).any() or (per_stratum < n_units).any():
        raise InvalidOptionError(
            f"{name} must hold one number per group of units, at least those sampled "
            f"({n_units.tolist()}); found {sorted(set(sizes.tolist()))}."
        )
    return per_stratum
