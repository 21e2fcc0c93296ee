"""Weights of indicators inside an index, and the weighted index itself.

What belongs here: ways to choose weights (equal, given, entropy, CRITIC, PCA), from rows or from
their moments, and the weighted mean of normalised indicators. What does not: normalisation, and weights of households
in a sample.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.arrays import ROUNDING, FloatArray, IntArray, as_matrix, as_option, as_weights, without_spread
from analysis.errors import AnalysisError, TooFewRowsError


class WeightMethod(StrEnum):
    """How the weights of an index are chosen."""

    EQUAL = "equal"
    GIVEN = "given"
    ENTROPY = "entropy"
    CRITIC = "critic"
    PCA = "pca"


class MissingPolicy(StrEnum):
    """What a household with a missing indicator gets."""

    LISTWISE = "listwise"
    AVAILABLE = "available"


@dataclass(frozen=True)
class Weights:
    """Weights of p indicators.

    Attributes
    ----------
    method : WeightMethod
    values : ndarray, shape (p,)
        Sum to one; zero for a column without variance under a method that measures variance.
    n : int
        Complete rows they were estimated from; 0 for `equal` and `given`.
    """

    method: WeightMethod
    values: FloatArray
    n: int


# Information gain (half the squared coefficient of variation) below which its logarithm has lost half the digits.
FLAT = 1e-10


@dataclass(frozen=True)
class Moments:
    """All that entropy, CRITIC and PCA need to know of n complete rows of p indicators on 0-1.

    Attributes
    ----------
    n : int
    mean : ndarray, shape (p,)
    mean_log : ndarray, shape (p,)
        Mean of z ln z, with 0 ln 0 = 0.
    covariance : ndarray, shape (p, p)
        With divisor n - 1; exactly 0 for an indicator that does not vary.
    """

    n: int
    mean: FloatArray
    mean_log: FloatArray
    covariance: FloatArray


@dataclass(frozen=True)
class Composite:
    """A weighted index.

    Attributes
    ----------
    index : ndarray, shape (n,)
        0-1; NaN where the policy leaves too little to average.
    n_used : ndarray of int, shape (n,)
        Indicators with a weight that the household answered.
    missing : MissingPolicy
    min_share : float
    """

    index: FloatArray
    n_used: IntArray
    missing: MissingPolicy
    min_share: float


def weigh(
    z: npt.ArrayLike,
    method: WeightMethod | str,
    *,
    given: npt.ArrayLike | None = None,
    n_components: int | None = None,
) -> Weights:
    """Choose the weights of p normalised indicators, once, from the pooled sample.

    Parameters
    ----------
    z : array_like, shape (n, p)
        Normalised indicators. Rows with a missing value are left out by the three methods that estimate; a
        column that is missing throughout (a constant before normalisation) gets weight zero and costs no row.
    method : WeightMethod
        `entropy`: p = z/sum z, e = -(1/ln n) sum p ln p with 0 ln 0 = 0, w ~ 1-e (Shannon 1948).
        `critic`: w ~ sd * sum(1 - r) (Diakoulaki et al. 1995).
        `pca`: w ~ sum_k lambda_k |v_jk| over the retained components of the correlation matrix.
    given : array_like, shape (p,)
        Weights for `given`; scaled to sum to one.
    n_components : int, optional
        Components kept by `pca`; those with an eigenvalue above one when not said.

    Raises
    ------
    AnalysisError
        If `given` is missing, z is not within 0-1, or no column varies.
    InvalidWeightError
        If a given weight is negative.
    TooFewRowsError
        If fewer than two complete rows are left.
    """
    matrix, method = as_matrix(z, "normalised indicators"), as_option(WeightMethod, method)
    n_columns = matrix.shape[1]
    if method is WeightMethod.EQUAL:
        return Weights(method, as_weights(np.ones(n_columns), n_columns, "equal"), 0)
    if method is WeightMethod.GIVEN:
        if given is None:
            raise AnalysisError("Method given needs the weights.")
        return Weights(method, as_weights(given, n_columns, "given weights"), 0)
    has_answers = ~np.isnan(matrix).all(axis=0)
    complete = matrix[:, has_answers]
    complete = complete[~np.isnan(complete).any(axis=1)]
    if len(complete) < 2:
        raise TooFewRowsError(f"Weights by {method}: {len(complete)} complete rows, at least 2 needed.")
    values = np.zeros(n_columns)
    values[has_answers] = weigh_moments(_moments(complete), method, n_components=n_components)
    return Weights(method, values, len(complete))


def weigh_moments(
    moments: Moments, method: WeightMethod | str, *, n_components: int | None = None
) -> FloatArray:
    """Weights of p indicators by a method that estimates them, from the moments of their complete rows.

    Parameters
    ----------
    moments : Moments
    method : WeightMethod
        `entropy`, `critic` or `pca`, as in `weigh`.
    n_components : int, optional
        As in `weigh`.

    Returns
    -------
    ndarray, shape (p,)
        Sum to one; zero for an indicator that does not vary.

    Raises
    ------
    TooFewRowsError
        With fewer than two rows.
    AnalysisError
        If no indicator varies, or a mean is not within 0-1.
    """
    if moments.n < 2:
        raise TooFewRowsError(f"Weights by {method}: {moments.n} complete rows, at least 2 needed.")
    if (moments.mean < 0).any() or (moments.mean > 1).any():
        raise AnalysisError("Weights need indicators on 0-1: normalise first.")
    variance = np.diag(moments.covariance)
    varies = variance > (ROUNDING * moments.mean) ** 2
    if not varies.any():
        raise AnalysisError(f"Weights by {method}: no indicator varies between the complete rows.")
    sd = np.sqrt(variance[varies])
    r = moments.covariance[np.ix_(varies, varies)] / np.outer(sd, sd)
    if as_option(WeightMethod, method) is WeightMethod.ENTROPY:
        raw = _entropy(moments.n, moments.mean[varies], moments.mean_log[varies], variance[varies])
    elif method == WeightMethod.CRITIC:
        raw = _critic(sd, r)
    elif method == WeightMethod.PCA:
        raw = _pca(r, n_components)
    else:
        raise AnalysisError(f"Weights by {method} are not estimated.")
    weights = np.zeros(len(varies))
    weights[varies] = raw / raw.sum()
    return weights


def _moments(z: FloatArray) -> Moments:
    if z.size and (z.min() < 0 or z.max() > 1):
        raise AnalysisError("Weights need indicators on 0-1: normalise first.")
    logs = z * np.log(np.where(z > 0, z, 1.0))
    covariance = np.atleast_2d(np.cov(z, rowvar=False))
    flat = without_spread(z)
    covariance[flat], covariance[:, flat] = 0.0, 0.0
    return Moments(len(z), z.mean(axis=0), logs.mean(axis=0), covariance)


def _entropy(n: int, mean: FloatArray, mean_log: FloatArray, variance: FloatArray) -> FloatArray:
    # With p = z / S and S = n mean: 1 - e = (sum p ln p + ln n) / ln n = (mean(z ln z) / mean - ln mean) / ln n.
    gain = mean_log / mean - np.log(mean)
    # The difference of two logarithms loses all digits where z hardly varies; there it is its own second-order term.
    flat = variance * (n - 1) / n / (2 * mean**2)
    return np.asarray(np.where(flat < FLAT, flat, gain) / np.log(n))


def _critic(sd: FloatArray, r: FloatArray) -> FloatArray:
    if len(sd) == 1:
        return np.ones(1)
    conflict = (1.0 - r).sum(axis=0)
    if np.allclose(conflict, 0.0):
        raise AnalysisError(
            "Weights by critic: the indicators are perfectly correlated, so none adds anything."
        )
    return np.asarray(sd * conflict)


def _pca(r: FloatArray, n_components: int | None) -> FloatArray:
    if len(r) == 1:
        return np.ones(1)
    eigenvalues, vectors = np.linalg.eigh(r)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    keep = n_components if n_components is not None else max(1, int((eigenvalues > 1.0 + 1e-12).sum()))
    if not 1 <= keep <= len(r):
        raise AnalysisError(f"Weights by pca: {keep} components asked for, 1 to {len(r)} possible.")
    return np.asarray(np.abs(vectors[:, :keep]) @ eigenvalues[:keep])


def composite(
    z: npt.ArrayLike,
    weights: npt.ArrayLike,
    *,
    missing: MissingPolicy | str = MissingPolicy.LISTWISE,
    min_share: float = 0.5,
) -> Composite:
    """Average normalised indicators with weights that sum to one.

    Parameters
    ----------
    z : array_like, shape (n, p)
    weights : array_like, shape (p,)
        Scaled to sum to one; an indicator with weight zero is not looked at, so its blanks cost nothing.
    missing : MissingPolicy
        `listwise`: any blank makes the index missing. `available`: the weights are rescaled over the answers.
    min_share : float
        Share of the weight that must be answered under `available`.

    Raises
    ------
    InvalidWeightError
        If a weight is negative or all are zero.
    AnalysisError
        If `min_share` is not within 0-1.
    """
    matrix, missing = as_matrix(z, "normalised indicators"), as_option(MissingPolicy, missing)
    w = as_weights(weights, matrix.shape[1], "index")
    if not 0.0 <= min_share <= 1.0:
        raise AnalysisError(f"min_share is a share of the weight, 0 to 1, not {min_share}.")
    matrix, w = matrix[:, w > 0], w[w > 0]
    answered = ~np.isnan(matrix)
    n_used = answered.sum(axis=1).astype(np.int64)
    if missing is MissingPolicy.LISTWISE:
        return Composite(matrix @ w, n_used, missing, 1.0)
    (index,) = composites(matrix.T, np.ones((len(w), 1)), w[None], min_share=min_share)
    return Composite(index, n_used, missing, min_share)


def composites(z: FloatArray, was_asked: FloatArray, weights: FloatArray, *, min_share: float) -> FloatArray:
    """Average normalised indicators under several sets of weights at once, rescaled over the answers.

    Parameters
    ----------
    z : ndarray, shape (p, n)
        Indicators of n households, NaN where not answered.
    was_asked : ndarray, shape (p, n) or (p, 1)
        1 where the household was asked, else 0.
    weights : ndarray, shape (s, p)
        Sets of weights, not negative; they need not sum to one.
    min_share : float
        Share of the asked weight that must be answered.

    Returns
    -------
    ndarray, shape (s, n)
        NaN where too little is answered.
    """
    known = ~np.isnan(z)
    used, wanted = weights @ known.astype(np.float64), weights @ was_asked
    # Half an ulp of slack: weights such as 1/3 + 1/3 + 1/3 may add up to just under the share asked for.
    enough = (used > 0) & (used >= (min_share - 1e-12) * wanted)
    return np.where(enough, weights @ np.where(known, z, 0.0), np.nan) / np.where(enough, used, 1.0)
