"""Means and intervals under a survey's sampling design.

Belongs here: weighted means of a population or a part of it, with variances by Taylor linearisation over strata
and primary sampling units.
Does not belong here: model coefficients (``regression`` with sampling weights, ``inference`` with clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.arrays import FloatArray
from analysis.errors import (
    EmptyGroupError,
    InfiniteValueError,
    InvalidOptionError,
    InvalidWeightError,
    MissingValueError,
    TooFewClustersError,
)

Values = Sequence[Any] | npt.NDArray[Any] | pd.Series


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
    df : int
        Sampling units minus strata.
    design_effect : float
        Variance relative to a simple random sample of n rows with replacement; NaN for constant values.
    level : float
    """

    n: int
    n_missing: int
    mean: float
    se: float
    ci_low: float
    ci_high: float
    df: int
    design_effect: float
    level: float


def design_mean(
    values: Values,
    *,
    weights: Values | None = None,
    strata: Values | None = None,
    units: Values | None = None,
    stratum_sizes: Values | None = None,
    domain: Values | None = None,
    lonely: Literal["error", "centre", "certainty"] = "error",
    level: float = 0.95,
) -> DesignMean:
    """Mean of a population or domain, linearised (Lumley 2010, Complex Surveys, chapter 2).

    ``Var = sum_h (1 - n_h / N_h) n_h / (n_h - 1) sum_i (z_hi - zbar_h)^2`` with z the sums per sampling unit of
    ``w (y - mean) / sum w``.

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
        Sampling units in the population of the row's stratum, for the finite population correction.
    domain : array_like of bool, optional
        Rows the mean is about; the others still inform the variance.
    lonely : {"error", "centre", "certainty"}
        What a stratum with one unit means: refuse, measure it against the mean of all units, or count it as fully
        observed.
    level : float

    Raises
    ------
    EmptyGroupError, InfiniteValueError, InvalidWeightError, MissingValueError, TooFewClustersError,
    InvalidOptionError
    """
    y = pd.to_numeric(pd.Series(values)).to_numpy(dtype=np.float64, na_value=np.nan)
    n_rows = len(y)
    w = np.ones(n_rows) if weights is None else _column(weights, "weights", n_rows).astype(np.float64)
    if np.isinf(y).any():
        raise InfiniteValueError(f"Row {int(np.flatnonzero(np.isinf(y))[0])}: infinite value.")
    if not (np.isfinite(w) & (w >= 0)).all():
        raise InvalidWeightError("Weights must be finite and not negative.")
    inside = np.ones(n_rows, bool) if domain is None else _column(domain, "domain", n_rows).astype(bool)
    counted = inside & ~np.isnan(y) & (w > 0)
    n = int(counted.sum())
    if not n:
        raise EmptyGroupError(f"None of the {int(inside.sum())} rows of this group has a value and a weight.")
    share = np.where(counted, w, 0.0)
    share /= share.sum()
    mean = float(share[counted] @ y[counted])
    z = np.where(counted, share * (np.nan_to_num(y) - mean), 0.0)

    stratum = (
        pd.factorize(_column(strata, "strata", n_rows))[0] if strata is not None else np.zeros(n_rows, int)
    )
    own = _column(units, "units", n_rows) if units is not None else np.arange(n_rows)
    unit, pairs = pd.factorize(pd.MultiIndex.from_arrays([stratum, own]))
    totals = np.bincount(unit, z)
    unit_stratum = pairs.get_level_values(0).to_numpy()
    n_units = np.bincount(unit_stratum)
    remaining = np.ones(len(n_units))
    if stratum_sizes is not None:
        sizes = _column(stratum_sizes, "stratum_sizes", n_rows).astype(np.float64)
        remaining = 1 - n_units / _one_per_stratum(sizes, stratum, n_units)
    variance = _variance(totals, unit_stratum, n_units, remaining, lonely)
    df = int(len(totals) - len(n_units))
    if df < 1:
        raise TooFewClustersError(
            f"{len(totals)} sampling units in {len(n_units)} strata leave no degree of freedom for an interval."
        )
    se = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.5 + level / 2, df)) * se
    simple = float(share @ (np.nan_to_num(y) - mean) ** 2) / (n - 1) if n > 1 else 0.0
    return DesignMean(
        n=n,
        n_missing=int((inside & np.isnan(y)).sum()),
        mean=mean,
        se=se,
        ci_low=mean - half,
        ci_high=mean + half,
        df=df,
        design_effect=variance / simple if simple > 0 else np.nan,
        level=level,
    )


def _column(values: Values, name: str, n_rows: int) -> npt.NDArray[Any]:
    series = pd.Series(values)
    if len(series) != n_rows:
        raise InvalidOptionError(f"{name} has {len(series)} rows, values has {n_rows}.")
    if series.isna().any():
        row = int(np.flatnonzero(series.isna())[0])
        raise MissingValueError(f"{name}, row {row}: missing. The design must be known for every row.")
    return series.to_numpy()


def _one_per_stratum(sizes: FloatArray, stratum: npt.NDArray[Any], n_units: npt.NDArray[Any]) -> FloatArray:
    per_stratum: FloatArray = np.zeros(len(n_units))
    per_stratum[stratum] = sizes
    if (sizes != per_stratum[stratum]).any() or (per_stratum < n_units).any():
        raise InvalidOptionError(
            "stratum_sizes must hold one number per stratum, at least its sampled units "
            f"({n_units.tolist()}); found {sorted(set(sizes.tolist()))}."
        )
    return per_stratum


def _variance(
    totals: npt.NDArray[Any],
    unit_stratum: npt.NDArray[Any],
    n_units: npt.NDArray[Any],
    remaining: FloatArray,
    lonely: str,
) -> float:
    alone = n_units == 1
    if alone.any() and lonely == "error":
        raise TooFewClustersError(
            f"{int(alone.sum())} of {len(n_units)} strata have a single sampling unit, so their variance is unknown. "
            "Merge strata, or choose lonely='centre' or 'certainty'."
        )
    centre = np.bincount(unit_stratum, totals) / n_units
    if lonely == "centre":
        centre[alone] = totals.mean()
    squares = np.bincount(unit_stratum, (totals - centre[unit_stratum]) ** 2)
    factor = remaining * n_units / np.where(alone, 1, n_units - 1)
    return float(factor @ squares)
