"""What every method does first with its input: make it a float64 array and refuse what is not a number.

What belongs here: the array types and their checks. What does not: any statistic.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError, InfiniteValueError, InvalidOptionError, InvalidWeightError

# Doubles, their sums and differences carry an error of a few units in the last place of the largest number in them.
ROUNDING = 16 * float(np.finfo(np.float64).eps)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Option = TypeVar("Option", bound=StrEnum)


def as_matrix(values: npt.ArrayLike, what: str) -> FloatArray:
    """Return values as an n x p float matrix; NaN means missing.

    Parameters
    ----------
    values : array_like, shape (n, p)
        Households in rows.
    what : str
        What a row of the matrix holds, for the message.

    Raises
    ------
    AnalysisError
        If the array does not have two dimensions.
    InfiniteValueError
        If a value is infinite; the message names the first place.
    """
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise AnalysisError(f"{what}: expected households x columns, got an array of shape {matrix.shape}.")
    infinite = np.isinf(matrix)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise InfiniteValueError(
            f"{what}: row {row}, column {column} is infinite ({int(infinite.sum())} such values). "
            "Correct it or mark it missing."
        )
    return matrix


def as_weights(weights: npt.ArrayLike, size: int, what: str) -> FloatArray:
    """Return weights scaled to sum to one.

    Raises
    ------
    AnalysisError
        If the number of weights is not `size`.
    InvalidWeightError
        If a weight is negative or not finite, or if all are zero.
    """
    vector = np.asarray(weights, dtype=np.float64)
    if vector.shape != (size,):
        raise AnalysisError(f"{what}: {size} weights needed, got an array of shape {vector.shape}.")
    if not np.isfinite(vector).all() or (vector < 0).any() or not (vector > 0).any():
        raise InvalidWeightError(f"{what}: weights must be finite, not negative and not all zero: {vector}.")
    # The largest becomes 1 first: the sum of huge weights is no number.
    vector = vector / vector.max()
    return np.asarray(vector / vector.sum(), dtype=np.float64)


def without_spread(values: FloatArray) -> BoolArray:
    """Whether each column has one value only, up to rounding, shape (p,); NaN is left out.

    Parameters
    ----------
    values : ndarray, shape (n, p)
    """
    low, high = np.fmin.reduce(values, axis=0), np.fmax.reduce(values, axis=0)
    flat: BoolArray = high - low <= ROUNDING * np.fmax(np.abs(low), np.abs(high))
    return flat


def names_of(columns: Sequence[str] | None, mask: BoolArray) -> str:
    """Name the columns of a mask for a message: their names, or their positions when they have none."""
    positions = [int(i) for i in np.flatnonzero(mask)]
    return ", ".join(f"column {i}" if columns is None else columns[i] for i in positions)


def one_of(value: str, allowed: Collection[str], what: str) -> None:
    """Refuse a value that is none of the options.

    Raises
    ------
    InvalidOptionError
        The message lists those there are.
    """
    if value not in allowed:
        raise InvalidOptionError(f"{what} {value!r} is unknown; choose from {', '.join(allowed)}.")


def check_level(level: float) -> float:
    """Return the coverage of an interval, which lies between 0 and 1.

    Raises
    ------
    InvalidOptionError
    """
    if not 0.0 < level < 1.0:
        raise InvalidOptionError(f"level is the coverage of an interval, between 0 and 1, not {level}.")
    return level


def at_least_one(count: int, what: str) -> None:
    """Refuse a number of draws below one.

    Raises
    ------
    InvalidOptionError
    """
    if count < 1:
        raise InvalidOptionError(f"{what} must be at least 1, not {count}.")


def as_option(kind: type[Option], value: Option | str) -> Option:
    """Return the named option.

    Raises
    ------
    InvalidOptionError
        If the method has no such option; the message lists those it has.
    """
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(kind)
        raise InvalidOptionError(f"{kind.__name__} {value!r} is unknown; choose from {allowed}.") from None
