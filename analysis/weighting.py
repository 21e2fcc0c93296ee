"""Weights of indicators inside an index, and the weighted index itself.

What belongs here: ways to choose weights (equal, given, entropy, CRITIC, PCA, pairwise comparison) and the
weighted mean of normalised indicators. What does not: normalisation, and weights of households in a sample.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analysis.arrays import FloatArray, IntArray, as_matrix, as_option, as_weights
from analysis.errors import AnalysisError, TooFewRowsError

RANDOM_INDEX = (0.0, 0.0, 0.58, 0.90, 1.12, 1.24, 1.32, 1.41, 1.45, 1.49, 1.51, 1.48, 1.56, 1.57, 1.59)
"""Mean consistency index of random reciprocal matrices of order 1, 2, ... (Saaty 1980)."""


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


@dataclass(frozen=True)
class PairwiseWeights:
    """Weights from pairwise comparisons (analytic hierarchy process).

    Attributes
    ----------
    values : ndarray, shape (p,)
        Principal eigenvector, sums to one.
    lambda_max : float
        Principal eigenvalue; p for perfectly consistent judgements.
    consistency_index, consistency_ratio : float
        (lambda_max - p)/(p - 1), and that over the index of random judgements.
    is_consistent : bool
        The ratio is below `limit`.
    limit : float
    """

    values: FloatArray
    lambda_max: float
    consistency_index: float
    consistency_ratio: float
    is_consistent: bool
    limit: float


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
    if complete.size and (complete.min() < 0 or complete.max() > 1):
        raise AnalysisError("Weights need indicators on 0-1: normalise first.")
    varies = np.ptp(complete, axis=0) > 0
    if not varies.any():
        raise AnalysisError(f"Weights by {method}: no indicator varies between the complete rows.")
    moving = complete[:, varies]
    if method is WeightMethod.ENTROPY:
        raw = _entropy(moving)
    elif method is WeightMethod.CRITIC:
        raw = _critic(moving)
    else:
        raw = _pca(moving, n_components)
    values = np.zeros(n_columns)
    values[np.flatnonzero(has_answers)[varies]] = raw / raw.sum()
    return Weights(method, values, len(complete))


def _entropy(z: FloatArray) -> FloatArray:
    share = z / z.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share > 0, share * np.log(share), 0.0)
    return np.asarray(1.0 + terms.sum(axis=0) / np.log(len(z)))


def _critic(z: FloatArray) -> FloatArray:
    if z.shape[1] == 1:
        return np.ones(1)
    conflict = (1.0 - np.corrcoef(z, rowvar=False)).sum(axis=0)
    if np.allclose(conflict, 0.0):
        raise AnalysisError(
            "Weights by critic: the indicators are perfectly correlated, so none adds anything."
        )
    return np.asarray(z.std(axis=0, ddof=1) * conflict)


def _pca(z: FloatArray, n_components: int | None) -> FloatArray:
    if z.shape[1] == 1:
        return np.ones(1)
    eigenvalues, vectors = np.linalg.eigh(np.corrcoef(z, rowvar=False))
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    keep = n_components if n_components is not None else max(1, int((eigenvalues > 1.0).sum()))
    if not 1 <= keep <= z.shape[1]:
        raise AnalysisError(f"Weights by pca: {keep} components asked for, 1 to {z.shape[1]} possible.")
    return np.asarray(np.abs(vectors[:, :keep]) @ eigenvalues[:keep])


def pairwise_weights(judgements: npt.ArrayLike, *, limit: float = 0.1) -> PairwiseWeights:
    """Turn a matrix of pairwise comparisons into weights and check that the judgements agree (Saaty 1980).

    Parameters
    ----------
    judgements : array_like, shape (p, p)
        How many times indicator i matters as much as indicator j; reciprocal.
    limit : float
        Consistency ratio from which the judgements count as contradictory.

    Raises
    ------
    AnalysisError
        If the matrix is not square, positive and reciprocal, or has more than fifteen rows.
    """
    matrix = as_matrix(judgements, "pairwise comparisons")
    size = len(matrix)
    if matrix.shape != (size, size) or not 1 <= size <= len(RANDOM_INDEX):
        raise AnalysisError(
            f"Pairwise comparisons: a square matrix of 1 to 15 rows needed, got {matrix.shape}."
        )
    if not (matrix > 0).all() or not np.allclose(matrix * matrix.T, 1.0, rtol=1e-3):
        raise AnalysisError("Pairwise comparisons must be positive with a[j,i] = 1/a[i,j].")
    eigenvalues, vectors = np.linalg.eig(matrix)
    largest = int(np.argmax(eigenvalues.real))
    lambda_max = float(eigenvalues[largest].real)
    weights = np.abs(vectors[:, largest].real)
    index = (lambda_max - size) / (size - 1) if size > 1 else 0.0
    ratio = index / RANDOM_INDEX[size - 1] if size > 2 else 0.0
    return PairwiseWeights(weights / weights.sum(), lambda_max, index, ratio, ratio < limit, limit)


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
    weight_used = answered @ w
    # Half an ulp of slack: weights such as 1/3 + 1/3 + 1/3 may add up to just under the share asked for.
    enough = (weight_used >= min_share - 1e-12) & (n_used > 0)
    index = np.where(answered, matrix, 0.0) @ w / np.where(enough, weight_used, 1.0)
    return Composite(np.where(enough, index, np.nan), n_used, missing, min_share)
