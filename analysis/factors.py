"""Factor analysis by principal components, as SPSS computes it: from a correlation matrix to factor scores.

What belongs here: correlation of items, adequacy, extraction, rotation, scores, the composite of factors,
parallel analysis and congruence of two solutions. What does not: reliability and reading data. The
correlation matrix may come from a one-pass summary as well as from `correlate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import linear_sum_assignment

from analysis.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    as_matrix,
    as_option,
    as_weights,
    at_least_one,
    check_level,
    names_of,
    without_spread,
)
from analysis.errors import (
    AnalysisError,
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewRowsError,
)


class NotConvergedError(AnalysisError):
    """A rotation used up its iterations before it met its tolerance."""


class ItemMissing(StrEnum):
    """What becomes of a blank item: the row is left out, or the item's mean is put in (SPSS: MEANSUB)."""

    LISTWISE = "listwise"
    MEAN = "mean"


class CompositeOrder(StrEnum):
    """Whether factors are weighted first and the composite rescaled, or rescaled first and then weighted."""

    WEIGHT_THEN_RESCALE = "weight_then_rescale"
    RESCALE_THEN_WEIGHT = "rescale_then_weight"


class Alignment(StrEnum):
    """How the second loading matrix is brought beside the first before congruence."""

    MATCH = "match"
    PROCRUSTES = "procrustes"


@dataclass(frozen=True)
class Correlation:
    """Moments of p items.

    Attributes
    ----------
    r : ndarray, shape (p, p)
    mean, sd : ndarray, shape (p,)
        Natural units; sd with n - 1, after the missing policy was applied.
    n : int
        Rows used.
    n_rows : int
        Rows given.
    n_blank : ndarray of int, shape (p,)
        Blanks of each item.
    missing : ItemMissing
    """

    r: FloatArray
    mean: FloatArray
    sd: FloatArray
    n: int
    n_rows: int
    n_blank: IntArray
    missing: ItemMissing


@dataclass(frozen=True)
class Adequacy:
    """Whether the items share enough to be factored.

    Attributes
    ----------
    kmo : float
        Kaiser-Meyer-Olkin measure, 0-1.
    msa : ndarray, shape (p,)
        The same for every item.
    bartlett_chi2, bartlett_p : float
        Test that R is an identity matrix.
    bartlett_df : int
        p(p-1)/2.
    log_determinant : float
        ln |R|.
    """

    kmo: float
    msa: FloatArray
    bartlett_chi2: float
    bartlett_df: int
    bartlett_p: float
    log_determinant: float


@dataclass(frozen=True)
class Rotation:
    """Varimax rotation of a loading matrix.

    Attributes
    ----------
    loadings : ndarray, shape (p, k)
    matrix : ndarray, shape (k, k)
        Orthogonal; unrotated loadings times this give `loadings`.
    iterations : int
        Sweeps over all pairs of factors.
    tolerance : float
        Largest angle (radians) a pair still turned in the last sweep is below this.
    kaiser : bool
        Rows were scaled to unit length before.
    """

    loadings: FloatArray
    matrix: FloatArray
    iterations: int
    tolerance: float
    kaiser: bool


@dataclass(frozen=True)
class FactorSolution:
    """Rotated principal components of p items.

    Attributes
    ----------
    eigenvalues : ndarray, shape (p,)
        Of R, descending.
    retention : str
        The rule that fixed the number of factors.
    unrotated, loadings : ndarray, shape (p, k)
        Columns by descending sum of squares, signs by positive column sum.
    communalities : ndarray, shape (p,)
    sums_of_squares : ndarray, shape (k,)
        Of the rotated loadings.
    explained : ndarray, shape (k,)
        Share of the total variance per rotated factor, 0-1.
    score_coefficients : ndarray, shape (p, k)
        R^-1 L: standardised items times these are the factor scores.
    iterations : int
        Of the rotation.
    """

    eigenvalues: FloatArray
    retention: str
    unrotated: FloatArray
    loadings: FloatArray
    communalities: FloatArray
    sums_of_squares: FloatArray
    explained: FloatArray
    score_coefficients: FloatArray
    iterations: int


@dataclass(frozen=True)
class ParallelAnalysis:
    """Eigenvalues that uncorrelated normal items of the same n and p would show (Horn 1965).

    Attributes
    ----------
    mean, quantile : ndarray, shape (p,)
        Over the draws.
    n_factors : int
        Leading eigenvalues of the data above the quantile.
    level : float
        Of the quantile.
    n_draws, seed : int
    """

    mean: FloatArray
    quantile: FloatArray
    n_factors: int
    level: float
    n_draws: int
    seed: int


@dataclass(frozen=True)
class Congruence:
    """Tucker's congruence of two loading matrices.

    Attributes
    ----------
    phi : ndarray, shape (k,)
        For each factor of the first solution.
    partner : ndarray of int, shape (k,)
        Its factor in the second solution (its own position after a Procrustes rotation).
    sign : ndarray, shape (k,)
        -1 where the partner was reflected.
    aligned : ndarray, shape (p, k)
        The second loadings as compared.
    alignment : Alignment
    """

    phi: FloatArray
    partner: IntArray
    sign: FloatArray
    aligned: FloatArray
    alignment: Alignment


def correlate(
    items: npt.ArrayLike,
    *,
    missing: ItemMissing | str = ItemMissing.LISTWISE,
    names: Sequence[str] | None = None,
) -> Correlation:
    """Correlate items under a named missing policy.

    Parameters
    ----------
    items : array_like, shape (n, p)
        NaN for a blank.
    missing : ItemMissing
    names : sequence of str, length p, optional
        For messages.

    Raises
    ------
    TooFewRowsError
        If no more complete rows than items are left: R would be singular.
    ConstantColumnError
        If an item has no answer at all or the same answer everywhere.
    """
    matrix, missing = as_matrix(items, "items"), as_option(ItemMissing, missing)
    blank = np.isnan(matrix)
    empty: BoolArray = np.asarray(blank.all(axis=0))
    if empty.any():
        raise ConstantColumnError(f"No household answered: {names_of(names, empty)}.")
    if missing is ItemMissing.LISTWISE:
        used = matrix[~blank.any(axis=1)]
    else:
        used = np.where(blank, np.nanmean(matrix, axis=0), matrix)
    n, p = used.shape
    if n <= p:
        raise TooFewRowsError(
            f"{n} rows for {p} items under policy {missing}; more rows than items are needed."
        )
    if (constant := without_spread(used)).any():
        raise ConstantColumnError(f"The same answer everywhere: {names_of(names, constant)}.")
    mean, sd = used.mean(axis=0), used.std(axis=0, ddof=1)
    z = (used - mean) / sd
    r = z.T @ z / (n - 1)
    np.fill_diagonal(r, 1.0)
    return Correlation(r, mean, sd, n, len(matrix), blank.sum(axis=0).astype(np.int64), missing)


def adequacy(r: npt.ArrayLike, n: int) -> Adequacy:
    """Kaiser-Meyer-Olkin measure (Kaiser 1974) and Bartlett's test of sphericity (1951).

    Parameters
    ----------
    r : array_like, shape (p, p)
        Correlation matrix.
    n : int
        Rows behind it. chi2 = -[(n-1) - (2p+5)/6] ln|R|, df = p(p-1)/2.

    Raises
    ------
    TooFewRowsError
        If n <= p.
    CollinearColumnsError
        If R has no inverse.
    """
    correlation = _as_correlation(r)
    p = len(correlation)
    if n <= p:
        raise TooFewRowsError(f"{n} rows for {p} items; more rows than items are needed.")
    inverse = _inverse(correlation)
    scale = np.sqrt(np.diag(inverse))
    off = ~np.eye(p, dtype=bool)
    squared = np.where(off, np.square(correlation), 0.0)
    partial = np.where(off, np.square(inverse / np.outer(scale, scale)), 0.0)
    both = squared.sum(axis=0) + partial.sum(axis=0)
    # Items that correlate with nothing leave 0/0: no measure.
    msa = np.divide(squared.sum(axis=0), both, out=np.full(p, np.nan), where=both > 0)
    kmo = float(squared.sum() / both.sum()) if both.sum() > 0 else float("nan")
    log_determinant = float(np.linalg.slogdet(correlation)[1])
    df = p * (p - 1) // 2
    chi2 = -((n - 1) - (2 * p + 5) / 6) * log_determinant
    return Adequacy(kmo, msa, chi2, df, float(stats.chi2.sf(chi2, df)), log_determinant)


def varimax(
    loadings: npt.ArrayLike, *, kaiser: bool = True, max_iterations: int = 500, tolerance: float = 1e-12
) -> Rotation:
    """Rotate loadings to varimax by plane rotations (Kaiser 1958) until no pair turns any more.

    Parameters
    ----------
    loadings : array_like, shape (p, k)
    kaiser : bool
        Scale every item to unit communality first, as SPSS does.
    max_iterations : int
        Sweeps over all pairs.
    tolerance : float
        Angle in radians below which a pair counts as at rest.

    Raises
    ------
    NotConvergedError
        If a pair still turns after the last sweep.
    """
    start = as_matrix(loadings, "loadings")
    p, k = start.shape
    length = np.sqrt(np.square(start).sum(axis=1, keepdims=True)) if kaiser else np.ones((p, 1))
    rotated = start / np.where(length > 0, length, 1.0)
    matrix = np.eye(k)
    for iteration in range(1, max_iterations + 1):
        largest = 0.0
        for i in range(k - 1):
            for j in range(i + 1, k):
                x, y = rotated[:, i], rotated[:, j]
                u, v = x * x - y * y, 2.0 * x * y
                numerator = 2.0 * (u @ v - u.sum() * v.sum() / p)
                denominator = (u * u - v * v).sum() - (u.sum() ** 2 - v.sum() ** 2) / p
                # Both near zero: the criterion is flat, and any angle would only chase rounding error.
                if np.hypot(numerator, denominator) <= 1e-14 * p:
                    continue
                angle = 0.25 * np.arctan2(numerator, denominator)
                largest = max(largest, abs(angle))
                turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                rotated[:, [i, j]] = rotated[:, [i, j]] @ turn
                matrix[:, [i, j]] = matrix[:, [i, j]] @ turn
        if largest < tolerance:
            return Rotation(start @ matrix, matrix, iteration, tolerance, kaiser)
    raise NotConvergedError(f"Varimax still turned by {largest:.1e} after {max_iterations} sweeps.")


def factor(
    r: npt.ArrayLike, *, n_factors: int | None = None, kaiser: bool = True, max_iterations: int = 500
) -> FactorSolution:
    """Extract principal components of a correlation matrix and rotate them to varimax.

    Parameters
    ----------
    r : array_like, shape (p, p)
    n_factors : int, optional
        Components to keep; those with an eigenvalue above one when not said.
    kaiser, max_iterations
        Of the rotation, see `varimax`.

    Raises
    ------
    InvalidOptionError
        If the number of factors is not between 1 and p.
    CollinearColumnsError
        If R has no inverse, so that scores do not exist.
    NotConvergedError
        If the rotation does not come to rest.
    """
    correlation = _as_correlation(r)
    p = len(correlation)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    eigenvalues, vectors = eigenvalues[::-1].copy(), vectors[:, ::-1]
    k = int((eigenvalues > 1.0).sum()) if n_factors is None else n_factors
    if not 1 <= k <= p:
        raise InvalidOptionError(f"{k} factors of {p} items: 1 to {p} can be kept.")
    inverse = _inverse(correlation)
    unrotated = _in_order(vectors[:, :k] * np.sqrt(eigenvalues[:k]))
    rotation = varimax(unrotated, kaiser=kaiser, max_iterations=max_iterations)
    loadings = _in_order(rotation.loadings)
    sums = np.square(loadings).sum(axis=0)
    return FactorSolution(
        eigenvalues=eigenvalues,
        retention="eigenvalue>1" if n_factors is None else f"fixed {k}",
        unrotated=unrotated,
        loadings=loadings,
        communalities=np.square(loadings).sum(axis=1),
        sums_of_squares=sums,
        explained=sums / p,
        score_coefficients=inverse @ loadings,
        iterations=rotation.iterations,
    )


def factor_scores(
    items: npt.ArrayLike,
    mean: npt.ArrayLike,
    sd: npt.ArrayLike,
    coefficients: npt.ArrayLike,
    *,
    missing: ItemMissing | str = ItemMissing.LISTWISE,
) -> FloatArray:
    """Score households by the regression method: Z R^-1 L.

    Parameters
    ----------
    items : array_like, shape (n, p)
    mean, sd : array_like, shape (p,)
        Of the sample R was computed from.
    coefficients : array_like, shape (p, k)
        `FactorSolution.score_coefficients`.
    missing : ItemMissing
        `listwise`: a household with a blank has no score. `mean`: the blank counts as the item's mean.

    Returns
    -------
    ndarray, shape (n, k)
        Mean 0, variance 1 and uncorrelated in the sample R was computed from.
    """
    matrix, missing = as_matrix(items, "items"), as_option(ItemMissing, missing)
    z = (matrix - np.asarray(mean)) / np.asarray(sd)
    if missing is ItemMissing.MEAN:
        z = np.nan_to_num(z, nan=0.0)
    return np.asarray(z @ np.asarray(coefficients, dtype=np.float64))


def percent(values: npt.ArrayLike) -> FloatArray:
    """Rescale to the percent system, 100 (x - min)/(max - min); columns on their own, NaN for a constant."""
    x = np.asarray(values, dtype=np.float64)
    low = np.fmin.reduce(x, axis=0, initial=np.nan)
    span = np.fmax.reduce(x, axis=0, initial=np.nan) - low
    return np.asarray(100.0 * (x - low) / np.where(span > 0, span, np.nan))


def composite_of_factors(
    scores: npt.ArrayLike,
    explained: npt.ArrayLike,
    factors: Sequence[int],
    *,
    order: CompositeOrder | str = CompositeOrder.WEIGHT_THEN_RESCALE,
) -> FloatArray:
    """Weight factors by their explained variance, sum v_k F_k / sum v_k, and express the result in percent.

    Parameters
    ----------
    scores : array_like, shape (n, k)
    explained : array_like, shape (k,)
        Explained variance after rotation; only the proportions matter.
    factors : sequence of int
        Positions of the factors that enter; a paper may leave some out of its composite.
    order : CompositeOrder
        `weight_then_rescale`: the weighted sum is rescaled on its own. `rescale_then_weight`: the percentages
        of the factors are averaged.

    Returns
    -------
    ndarray, shape (n,)
        0-100.

    Raises
    ------
    InvalidOptionError
        If a factor does not exist or is named twice.
    """
    matrix, order = as_matrix(scores, "factor scores"), as_option(CompositeOrder, order)
    chosen = list(factors)
    if not chosen or len(set(chosen)) != len(chosen) or not set(chosen) <= set(range(matrix.shape[1])):
        raise InvalidOptionError(f"Factors {chosen} of {matrix.shape[1]}: name each that enters once.")
    weights = as_weights(np.asarray(explained, dtype=np.float64)[chosen], len(chosen), "explained variance")
    if order is CompositeOrder.RESCALE_THEN_WEIGHT:
        return np.asarray(percent(matrix[:, chosen]) @ weights)
    return percent(matrix[:, chosen] @ weights)


def parallel_analysis(
    eigenvalues: npt.ArrayLike, n: int, *, n_draws: int = 500, level: float = 0.95, seed: int = 0
) -> ParallelAnalysis:
    """Compare eigenvalues with those of uncorrelated normal items (Horn 1965).

    The scatter matrix of n normal rows is drawn directly, by Bartlett's decomposition of the Wishart
    distribution, so that ten million households cost no more than a hundred.

    Parameters
    ----------
    eigenvalues : array_like, shape (p,)
        Of the observed correlation matrix, descending.
    n : int
        Rows behind it.
    n_draws, level, seed
        Draws, quantile and seed of the reference distribution.

    Raises
    ------
    TooFewRowsError
        If n <= p.
    """
    observed = np.asarray(eigenvalues, dtype=np.float64)
    p = len(observed)
    check_level(level)
    at_least_one(n_draws, "n_draws")
    if n <= p:
        raise TooFewRowsError(f"{n} rows for {p} items; more rows than items are needed.")
    rng = np.random.default_rng(seed)
    root = np.tril(rng.standard_normal((n_draws, p, p)), -1)
    root[:, np.arange(p), np.arange(p)] = np.sqrt(rng.chisquare(n - 1 - np.arange(p), size=(n_draws, p)))
    scatter = root @ root.transpose(0, 2, 1)
    scale = np.sqrt(np.einsum("dii->di", scatter))
    drawn = np.linalg.eigvalsh(scatter / (scale[:, :, None] * scale[:, None, :]))[:, ::-1]
    quantile = np.quantile(drawn, level, axis=0)
    below = np.flatnonzero(observed <= quantile)
    n_factors = int(below[0]) if len(below) else p
    return ParallelAnalysis(drawn.mean(axis=0), quantile, n_factors, level, n_draws, seed)


def congruence(
    first: npt.ArrayLike, second: npt.ArrayLike, *, alignment: Alignment | str = Alignment.MATCH
) -> Congruence:
    """Tucker's congruence phi = sum ab / sqrt(sum a^2 sum b^2) of two loading matrices (Tucker 1951).

    .85-.94 is called fair similarity, .95 and above equality (Lorenzo-Seva and ten Berge 2006).

    Parameters
    ----------
    first, second : array_like, shape (p, k)
        Loadings of the same items in the same order.
    alignment : Alignment
        `match`: each factor is paired with the one most like it, reflected where that helps. `procrustes`:
        the second matrix is first rotated orthogonally towards the first (Schoenemann 1966), which removes
        differences of rotation but also flatters.

    Raises
    ------
    AnalysisError
        If the shapes differ or a factor has no loadings.
    """
    a, b = as_matrix(first, "first loadings"), as_matrix(second, "second loadings")
    alignment = as_option(Alignment, alignment)
    if a.shape != b.shape:
        raise AnalysisError(f"Loadings of shape {a.shape} and {b.shape} cannot be compared.")
    k = a.shape[1]
    partner, sign = np.arange(k), np.ones(k)
    if alignment is Alignment.PROCRUSTES:
        left, _, right = np.linalg.svd(b.T @ a)
        b = b @ (left @ right)
    lengths = np.outer(np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0))
    if not (lengths > 0).all():
        raise AnalysisError("A factor without loadings has no congruence.")
    phi = a.T @ b / lengths
    if alignment is Alignment.MATCH:
        partner = linear_sum_assignment(-np.abs(phi))[1]
        sign = np.where(phi[np.arange(k), partner] < 0, -1.0, 1.0)
    matched = phi[np.arange(k), partner] * sign
    return Congruence(matched, partner.astype(np.int64), sign, b[:, partner] * sign, alignment)


def _as_correlation(r: npt.ArrayLike) -> FloatArray:
    matrix = as_matrix(r, "correlation matrix")
    if matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise AnalysisError(f"A correlation matrix of at least two items is needed, got {matrix.shape}.")
    if (undefined := np.isnan(matrix).all(axis=0) | np.isnan(np.diag(matrix))).any():
        raise ConstantColumnError(f"No correlation with a constant: {names_of(None, undefined)}.")
    if not np.allclose(matrix, matrix.T, atol=1e-10) or not np.allclose(np.diag(matrix), 1.0):
        raise AnalysisError("A correlation matrix is symmetric, with ones on the diagonal and no blanks.")
    return (matrix + matrix.T) / 2


def _inverse(correlation: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(correlation)
    if values[0] <= len(correlation) * np.finfo(np.float64).eps * values[-1]:
        items = names_of(None, np.abs(vectors[:, 0]) > 1e-6)
        raise CollinearColumnsError(f"Linearly dependent items: {items}. Leave one of them out.")
    return np.asarray((vectors / values) @ vectors.T)


def _in_order(loadings: FloatArray) -> FloatArray:
    """Order factors by descending sum of squares and turn each to a positive column sum.

    A tie of the sums is decided by the first item; a column sum of zero by the largest loading.
    """
    sums = np.square(loadings).sum(axis=0)
    ordered = loadings[:, np.lexsort((-np.abs(loadings[0]), -np.round(sums, 10)))]
    total = ordered.sum(axis=0)
    largest = ordered[np.abs(ordered).argmax(axis=0), np.arange(ordered.shape[1])]
    return np.asarray(ordered * np.where(np.where(np.abs(total) > 1e-9, total, largest) < 0, -1.0, 1.0))
