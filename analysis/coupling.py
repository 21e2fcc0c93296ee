"""Coupling coordination of systems, its bands, lags and obstacles.

What belongs here: the degrees C, T and D of systems measured on 0-1 and what is read off them. What does not:
building the systems (`weighting`) and comparing waves (`transitions`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from analysis.arrays import BoolArray, FloatArray, IntArray, as_matrix, as_option, as_weights
from analysis.errors import AnalysisError
from analysis.weighting import MissingPolicy, composite

MISSING = -1
"""Code of a household without a band or a lag, because a system is missing."""
ROUNDING = 1e-9
"""What a system may exceed 0-1 by without being wrong."""
SYNCHRONOUS = -2
"""Code of a household whose systems differ by no more than the tolerance."""


class Variant(StrEnum):
    """Formula of the coupling degree."""

    STANDARD = "standard"
    WANG2021 = "wang2021"
    FAN2024 = "fan2024"
    HALF = "half"


class ZeroRule(StrEnum):
    """What D is when one system, but not all, is zero (matters for `fan2024` only: the others give zero)."""

    ZERO = "zero"
    FORMULA = "formula"


class Closed(StrEnum):
    """Which end of a band belongs to it."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class Coupling:
    """Coupling degree C, comprehensive value T and coordination degree D of n households.

    Attributes
    ----------
    variant : Variant
    alphas : ndarray, shape (s,)
        Shares of the systems in T.
    zero_rule : ZeroRule
    c, t, d : ndarray, shape (n,)
        Index units; NaN where a system is missing, and C where all systems are zero.
    is_missing, is_all_zero, has_zero : ndarray of bool, shape (n,)
        Why a value is missing or zero.
    """

    variant: Variant
    alphas: FloatArray
    zero_rule: ZeroRule
    c: FloatArray
    t: FloatArray
    d: FloatArray
    is_missing: BoolArray
    is_all_zero: BoolArray
    has_zero: BoolArray


@dataclass(frozen=True)
class Band:
    """One grade of a scheme; which end belongs to it is data."""

    band_id: str
    lower: float
    upper: float
    closed: Closed


@dataclass(frozen=True)
class Lag:
    """Which system lags behind.

    Attributes
    ----------
    system : ndarray of int, shape (n,)
        Position of the lowest system, `SYNCHRONOUS` or `MISSING`.
    gap : ndarray, shape (n,)
        Highest minus lowest system.
    tolerance : float
        Gap up to which the systems count as level.
    """

    system: IntArray
    gap: FloatArray
    tolerance: float


def coupling(
    u: npt.ArrayLike,
    alphas: npt.ArrayLike | None = None,
    variant: Variant | str = Variant.STANDARD,
    *,
    zero_rule: ZeroRule | str = ZeroRule.ZERO,
) -> Coupling:
    """Coupling coordination degree D = sqrt(C T) with T = sum a_i U_i.

    Parameters
    ----------
    u : array_like, shape (n, s)
        Systems on 0-1, s >= 2, NaN for missing.
    alphas : array_like, shape (s,), optional
        Shares of the systems; equal when not given.
    variant : Variant
        `standard`: geometric over arithmetic mean. `wang2021` (doi 10.31497/zrzyxb.20210319):
        sqrt[(1 - mean |U_i-U_j|) prod(U_i/max U)^(1/(s-1))]. `fan2024`: 1 - 2 sd_pop(U).
        `half`: geometric mean over the sum, at most 1/s; a known misuse, kept to reproduce papers.
    zero_rule : ZeroRule

    Raises
    ------
    AnalysisError
        If there are fewer than two systems or a value lies outside 0-1.
    InvalidWeightError
        If a share is negative.
    """
    systems, variant, zero_rule = (
        as_matrix(u, "systems"),
        as_option(Variant, variant),
        as_option(ZeroRule, zero_rule),
    )
    count = systems.shape[1]
    if count < 2:
        raise AnalysisError(f"Coupling needs at least two systems, got {count}.")
    shares = as_weights(np.ones(count) if alphas is None else alphas, count, "shares of the systems")
    # One array a system: operations along short rows would take several times as long.
    columns = np.ascontiguousarray(systems.T)
    is_missing: BoolArray = np.asarray(np.isnan(columns).any(axis=0))
    lowest, highest = columns.min(axis=0), columns.max(axis=0)
    if ((lowest < 0) | (highest > 1)).any() or is_missing.any():
        outside = (systems < 0) | (systems > 1)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise AnalysisError(f"Row {row}, system {column}: {systems[row, column]:g} is not within 0-1.")
    has_zero: BoolArray = lowest == 0
    is_all_zero: BoolArray = highest == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        c = _degree(columns, variant)
    c[is_all_zero] = np.nan
    t = np.asarray(shares @ columns)
    d = np.sqrt(c * t)
    d[is_all_zero] = 0.0
    if zero_rule is ZeroRule.ZERO:
        d[has_zero] = 0.0
    return Coupling(variant, shares, zero_rule, c, t, d, is_missing, is_all_zero, has_zero)


def _degree(u: FloatArray, variant: Variant) -> FloatArray:
    """C of systems in rows, shape (s, n)."""
    count = len(u)
    if variant in (Variant.STANDARD, Variant.HALF):
        # The mean of logarithms instead of the root of a product: many small systems would underflow.
        geometric = np.sqrt(u[0] * u[1]) if count == 2 else np.exp(np.log(u).mean(axis=0))
        total = u.sum(axis=0)
        # the half of the smallest number there is would be zero
        c = geometric / np.maximum(
            total / count if variant is Variant.STANDARD else total, np.finfo(np.float64).tiny
        )
        return np.asarray(np.minimum(c, 1.0 if variant is Variant.STANDARD else 1.0 / count))
    if variant is Variant.WANG2021:
        ordered = np.stack([u.min(axis=0), u.max(axis=0)]) if count == 2 else np.sort(u, axis=0)
        # Sum of |Ui-Uj| over pairs: the k-th smallest of s enters k-(s-1-k) times.
        difference = (2.0 * np.arange(count) - (count - 1)) @ ordered / (count * (count - 1) / 2)
        ratio = (
            ordered[0] / ordered[-1] if count == 2 else np.prod(u / ordered[-1], axis=0) ** (1 / (count - 1))
        )
        return np.asarray(np.sqrt(np.maximum(1.0 - difference, 0.0) * ratio))
    return np.asarray(1.0 - 2.0 * u.std(axis=0))


def classify(d: npt.ArrayLike, bands: Sequence[Band]) -> IntArray:
    """Grade degrees by a scheme of bands.

    The outer ends of the scheme belong to the outer bands, whatever side they close.

    Parameters
    ----------
    d : array_like, shape (n,)
    bands : sequence of Band
        From low to high, without gap or overlap.

    Returns
    -------
    ndarray of int, shape (n,)
        Position in `bands`, or `MISSING`.

    Raises
    ------
    AnalysisError
        If the bands leave a gap, overlap, or do not reach a value.
    """
    values = np.asarray(d, dtype=np.float64)
    if not bands:
        raise AnalysisError("A scheme needs at least one band.")
    for band, following in pairwise(bands):
        if band.upper != following.lower or band.closed != following.closed:
            raise AnalysisError(
                f"Bands {band.band_id} and {following.band_id} leave a gap or overlap at "
                f"{band.upper:g} / {following.lower:g}."
            )
    edges = np.array([bands[0].lower, *(band.upper for band in bands)])
    if (np.diff(edges) <= 0).any():
        raise AnalysisError("Bands must rise from low to high.")
    is_missing = np.isnan(values)
    if ((values < edges[0]) | (values > edges[-1])).any():
        raise AnalysisError(f"The scheme covers {edges[0]:g} to {edges[-1]:g}, but a value lies outside.")
    # A handful of comparisons is faster than a search for each value.
    beyond = np.greater if bands[0].closed is Closed.RIGHT else np.greater_equal
    code = np.zeros(values.shape, dtype=np.int16)
    for edge in edges[1:-1]:
        code += beyond(values, edge)
    code[is_missing] = MISSING
    return code.astype(np.int64)


def lag(u: npt.ArrayLike, *, tolerance: float = 0.0) -> Lag:
    """Say which system lags: the lowest one, unless all lie within the tolerance.

    Raises
    ------
    AnalysisError
        If the tolerance is negative.
    """
    systems = as_matrix(u, "systems")
    if tolerance < 0:
        raise AnalysisError(f"The tolerance of a lag cannot be negative: {tolerance}.")
    gap = systems.max(axis=1) - systems.min(axis=1)
    system = np.where(gap <= tolerance, SYNCHRONOUS, np.argmin(systems, axis=1))
    return Lag(np.where(np.isnan(gap), MISSING, system).astype(np.int64), gap, tolerance)


def obstacle_degrees(z: npt.ArrayLike, weights: npt.ArrayLike) -> FloatArray:
    """Share of each indicator in what keeps a household from the best value: w(1-z) / sum w(1-z).

    Parameters
    ----------
    z : array_like, shape (n, p)
        Normalised indicators.
    weights : array_like, shape (p,)

    Returns
    -------
    ndarray, shape (n, p)
        Rows sum to one; NaN for a household with a blank, and for one with every indicator at its best.
    """
    matrix = as_matrix(z, "normalised indicators")
    shortfall = (1.0 - matrix) * as_weights(weights, matrix.shape[1], "obstacles")
    total = shortfall.sum(axis=1, keepdims=True)
    return np.asarray(shortfall / np.where(total > 0, total, np.nan))


def leave_one_out(
    parts: npt.ArrayLike,
    part_weights: npt.ArrayLike,
    others: npt.ArrayLike,
    alphas: npt.ArrayLike | None = None,
    variant: Variant | str = Variant.STANDARD,
    *,
    zero_rule: ZeroRule | str = ZeroRule.ZERO,
) -> FloatArray:
    """D recomputed without each part of the first system in turn.

    A regression of D on a capital that D contains is partly an identity; column k is the D that does not
    contain part k, with the weights of the others rescaled.

    Parameters
    ----------
    parts : array_like, shape (n, k)
        Parts (capitals) of the first system on 0-1, k >= 2.
    part_weights : array_like, shape (k,)
    others : array_like, shape (n, s - 1)
        The other systems.
    alphas, variant, zero_rule
        As `coupling`.

    Returns
    -------
    ndarray, shape (n, k)

    Raises
    ------
    AnalysisError
        If there is only one part.
    """
    matrix, rest = as_matrix(parts, "parts of the first system"), as_matrix(others, "other systems")
    count = matrix.shape[1]
    weights = as_weights(part_weights, count, "parts of the first system")
    if count < 2:
        raise AnalysisError("Leaving a part out needs at least two parts.")
    columns = []
    for k in range(count):
        kept = np.arange(count) != k
        first = composite(matrix[:, kept], weights[kept], missing=MissingPolicy.LISTWISE).index
        # A mean of ones may come out a rounding error above one.
        first = np.where(first < 1 + ROUNDING, np.minimum(first, 1.0), first)
        columns.append(coupling(np.column_stack([first, rest]), alphas, variant, zero_rule=zero_rule).d)
    return np.column_stack(columns)
