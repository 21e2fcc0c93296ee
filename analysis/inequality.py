"""How unequally an amount is spread: Gini and Theil with what each household adds to their variance, and by groups.

Belongs here: indices of weighted values, their linearised values, and the parts between and within groups. Does not
belong here: the variance of a mean by sampling units (`analysis.survey_design`), prices, or poverty.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray, as_weights
from analysis.errors import AnalysisError, InfiniteValueError, InvalidOptionError, TooFewRowsError


@dataclass(frozen=True)
class Inequality:
    """An index of n households.

    Attributes
    ----------
    value : float
    linearised : ndarray, shape (n,)
        Values whose weighted mean is the index, and the variance of whose mean is that of the index to first order.
    """

    value: float
    linearised: FloatArray


@dataclass(frozen=True)
class TheilParts:
    """Theil's index split by groups.

    Attributes
    ----------
    between, within : float
        Inequality were all households of a group to have its mean, and the mean of the groups' own weighted by their
        share of the amount; the sum is the index.
    """

    between: float
    within: float


def gini(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Inequality:
    """Gini coefficient; linearised after Binder and Kovačević (1995), Survey Methodology 21(2), 137-145.

    Parameters
    ----------
    values : array_like, shape (n,)
        Not negative, with a positive sum; no blanks.
    weights : array_like, shape (n,), optional

    Raises
    ------
    TooFewRowsError, InfiniteValueError, InvalidOptionError, InvalidWeightError
    """
    y, w = _amounts(values, weights)
    order = np.argsort(y, kind="stable")
    ranked, share = y[order], w[order]
    mean = float(w @ y)
    # the middle of the step, so that equal amounts share one rank
    _, first, place = np.unique(ranked, return_index=True, return_inverse=True)
    size = np.add.reduceat(share, first)
    middle = (np.cumsum(size) - size / 2)[place]
    value = float(2 * (share * ranked) @ middle / mean - 1)
    amount = np.add.reduceat(share * ranked, first)
    above = (amount.sum() - np.cumsum(amount) + amount / 2)[place]
    linear = np.empty_like(y)
    linear[order] = 2 / mean * ((middle - (value + 1) / 2) * ranked + above - mean * (value + 1) / 2)
    return Inequality(value, value + linear)


def theil(values: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Inequality:
    """Theil's T (1967), the mean of ``(y / mean) ln(y / mean)``; nought counts as the limit 0.

    Parameters and errors as in `gini`.
    """
    y, w = _amounts(values, weights)
    relative = y / float(w @ y)
    logged = relative * np.log(np.where(relative > 0, relative, 1.0))
    value = float(w @ logged)
    return Inequality(value, logged - (value + 1) * (relative - 1))


def theil_parts(
    values: npt.ArrayLike, groups: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> TheilParts:
    """Theil's index between and within groups (Shorrocks 1980, Econometrica 48(3), 613-625).

    Parameters
    ----------
    values, weights
        As in `gini`.
    groups : array_like, shape (n,)
        A group whose amounts are all nought adds nothing within.
    """
    y, w = _amounts(values, weights)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(group) != len(y):
        raise InvalidOptionError(f"groups has {len(group)} rows, values has {len(y)}.")
    mean = float(w @ y)
    size, amount = np.bincount(group, w), np.bincount(group, w * y)
    share = amount / mean
    known = share > 0
    between = float(share[known] @ np.log(amount[known] / size[known] / mean))
    within = sum(
        float(share[g]) * theil(y[group == g], w[group == g]).value for g in range(len(names)) if known[g]
    )
    return TheilParts(between, within)


def _amounts(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 1:
        raise AnalysisError(f"amounts: expected one value a household, got an array of shape {y.shape}.")
    if len(y) < 2:
        raise TooFewRowsError(f"{len(y)} households; inequality needs two.")
    if not np.isfinite(y).all():
        raise InfiniteValueError("An amount is infinite or missing. Leave the household out or correct it.")
    w = as_weights(np.ones(len(y)) if weights is None else weights, len(y), "weights of amounts")
    if (y < 0).any() or not w @ y > 0:
        raise InvalidOptionError("Inequality is of amounts that are not negative and not all nought.")
    return y, w
