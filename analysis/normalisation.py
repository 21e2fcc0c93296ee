"""Min-max normalisation of indicators to 0-1, and the bounds it used.

What belongs here: bounds and the linear map. What does not: range checks on raw answers (they run before, in
the quality layer, because one wrong cell stretches the scale of everybody) and weighting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.arrays import BoolArray, FloatArray, IntArray, as_matrix, as_option
from analysis.errors import AnalysisError


class BoundsMode(StrEnum):
    """Whose minimum and maximum the scale runs between."""

    POOLED = "pooled"
    THEORETICAL = "theoretical"
    WITHIN_SURVEY = "within_survey"


class Direction(StrEnum):
    """Whether more of an indicator is better."""

    BENEFIT = "benefit"
    COST = "cost"


class Outside(StrEnum):
    """What becomes of a value outside the bounds (possible only with theoretical bounds)."""

    MISSING = "missing"
    CLIP = "clip"
    ERROR = "error"


@dataclass(frozen=True)
class Bounds:
    """Bounds of p indicators for g groups (one group unless the mode is `within_survey`).

    Attributes
    ----------
    mode : BoundsMode
    groups : tuple of str
        Labels of the groups, length g.
    group_of_row : ndarray of int, shape (n,)
        Position in `groups` of every household.
    lower, upper : ndarray, shape (g, p)
        In the natural unit of each indicator; NaN where a group has no answer at all.
    """

    mode: BoundsMode
    groups: tuple[str, ...]
    group_of_row: IntArray
    lower: FloatArray
    upper: FloatArray

    @property
    def is_constant(self) -> BoolArray:
        """Columns without a range, shape (g, p): equal bounds, or no answer to take bounds from."""
        return ~(self.upper > self.lower)


@dataclass(frozen=True)
class Normalised:
    """Indicators on 0-1, with everything that decided the result.

    Attributes
    ----------
    z : ndarray, shape (n, p)
        0 worst, 1 best; NaN where missing, constant or outside the bounds.
    bounds : Bounds
    directions : tuple of Direction
    outside : Outside
    n_outside : ndarray of int, shape (p,)
        Values that lay outside the bounds.
    """

    z: FloatArray
    bounds: Bounds
    directions: tuple[Direction, ...]
    outside: Outside
    n_outside: IntArray


def find_bounds(
    values: npt.ArrayLike,
    mode: BoundsMode | str,
    *,
    survey: npt.ArrayLike | None = None,
    theoretical: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Bounds:
    """Find the bounds that `normalise` maps to 0 and 1.

    Waves that are to be compared must be stacked in `values`, so that before and after share one scale.

    Parameters
    ----------
    values : array_like, shape (n, p)
        Natural units, NaN for missing.
    mode : BoundsMode
        `pooled`: extremes of all rows. `within_survey`: extremes of the rows of each survey (what the papers
        did; not comparable across surveys). `theoretical`: the ends of the answer scale.
    survey : array_like, shape (n,)
        Survey of each row; needed by `within_survey`.
    theoretical : pair of array_like, shape (p,)
        Scale ends; needed by `theoretical`. A NaN end (an open scale) falls back on the pooled extreme.

    Raises
    ------
    AnalysisError
        If the mode lacks its input, or a lower bound exceeds its upper bound.
    """
    matrix = as_matrix(values, "indicators")
    mode = as_option(BoundsMode, mode)
    if mode is BoundsMode.WITHIN_SURVEY:
        if survey is None:
            raise AnalysisError("Bounds within_survey need the survey of every row.")
        labels, group = np.unique(np.asarray(survey).astype(str), return_inverse=True)
        groups = tuple(str(label) for label in labels)
        extremes = [_extremes(matrix[group == g]) for g in range(len(groups))]
        lower = np.array([low for low, _ in extremes])
        upper = np.array([high for _, high in extremes])
        return Bounds(mode, groups, group.astype(np.int64), lower, upper)
    low, high = _extremes(matrix)
    if mode is BoundsMode.THEORETICAL:
        if theoretical is None:
            raise AnalysisError("Theoretical bounds need the ends of every scale.")
        ends = [np.asarray(end, dtype=np.float64) for end in theoretical]
        low, high = np.where(np.isnan(ends[0]), low, ends[0]), np.where(np.isnan(ends[1]), high, ends[1])
        if (low > high).any():
            raise AnalysisError(f"Column {int(np.argmax(low > high))}: lower bound above the upper bound.")
    return Bounds(mode, ("all",), np.zeros(len(matrix), dtype=np.int64), low[None, :], high[None, :])


def normalise(
    values: npt.ArrayLike,
    bounds: Bounds,
    directions: Sequence[Direction | str],
    *,
    outside: Outside | str = Outside.MISSING,
) -> Normalised:
    """Map indicators to 0-1: benefit (x-min)/(max-min), cost (max-x)/(max-min).

    Parameters
    ----------
    values : array_like, shape (n, p)
        The rows `bounds` was found for.
    bounds : Bounds
    directions : sequence of Direction, length p
    outside : Outside
        What to do with values beyond the bounds; they are counted in any case.

    Raises
    ------
    AnalysisError
        If shapes disagree, or `outside` is `error` and a value lies outside.
    """
    matrix = as_matrix(values, "indicators")
    kinds, outside = tuple(as_option(Direction, d) for d in directions), as_option(Outside, outside)
    if bounds.lower.shape[1] != matrix.shape[1] or len(kinds) != matrix.shape[1]:
        raise AnalysisError(
            f"{matrix.shape[1]} indicators, {bounds.lower.shape[1]} bounds, {len(kinds)} directions."
        )
    if len(bounds.group_of_row) != len(matrix):
        raise AnalysisError("The bounds were found for another number of rows.")
    is_cost = np.array([kind is Direction.COST for kind in kinds], dtype=bool)
    start = np.where(is_cost, bounds.upper, bounds.lower)
    span = np.where(bounds.is_constant, np.nan, np.where(is_cost, -1.0, 1.0) * (bounds.upper - bounds.lower))
    z = np.empty_like(matrix)
    for g in range(len(bounds.groups)):
        rows = bounds.group_of_row == g if len(bounds.groups) > 1 else slice(None)
        z[rows] = (matrix[rows] - start[g]) / span[g]
    is_outside = (z < 0) | (z > 1)
    if is_outside.any():
        if outside is Outside.ERROR:
            row, column = np.argwhere(is_outside)[0]
            raise AnalysisError(
                f"Row {row}, column {column}: {matrix[row, column]:g} lies outside the bounds."
            )
        z = np.clip(z, 0.0, 1.0) if outside is Outside.CLIP else np.where(is_outside, np.nan, z)
    return Normalised(z, bounds, kinds, outside, is_outside.sum(axis=0).astype(np.int64))


def _extremes(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest answer of every column; NaN for a column without answers."""
    low = np.fmin.reduce(matrix, axis=0, initial=np.nan)
    high = np.fmax.reduce(matrix, axis=0, initial=np.nan)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
