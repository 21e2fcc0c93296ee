"""Internal consistency of a scale: Cronbach's alpha, its intervals, and what it implies.

What belongs here: alpha from a covariance matrix or from rows. What does not: choosing or orienting items.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import FloatArray, as_matrix, at_least_one, check_level, names_of
from analysis.errors import AnalysisError, ConstantColumnError, TooFewRowsError


@dataclass(frozen=True)
class Alpha:
    """Cronbach's alpha of k items.

    Attributes
    ----------
    raw : float
        k/(k-1) (1 - sum of variances / variance of the sum).
    standardised : float
        k r / (1 + (k-1) r), r the mean correlation between items; what SPSS prints as "based on standardised
        items".
    mean_correlation : float
    k : int
    """

    raw: float
    standardised: float
    mean_correlation: float
    k: int


@dataclass(frozen=True)
class AlphaInterval:
    """Interval of alpha.

    Attributes
    ----------
    raw_low, raw_high, standardised_low, standardised_high : float
        Percentile bootstrap over households.
    feldt_low, feldt_high : float
        F interval of the raw alpha (Feldt 1965), for normal items with equal covariances.
    level : float
    n, n_resamples, seed : int
        Complete rows, resamples used, and seed.
    """

    raw_low: float
    raw_high: float
    standardised_low: float
    standardised_high: float
    feldt_low: float
    feldt_high: float
    level: float
    n: int
    n_resamples: int
    seed: int


def cronbach_alpha(covariance: npt.ArrayLike) -> Alpha:
    """Alpha from the covariance matrix of the items (Cronbach 1951).

    Parameters
    ----------
    covariance : array_like, shape (k, k)
        Of items that point the same way.

    Raises
    ------
    AnalysisError
        If there are fewer than two items.
    ConstantColumnError
        If an item, or the sum of all, has no variance.
    """
    c = as_matrix(covariance, "covariance of the items")
    k = len(c)
    if c.shape != (k, k) or k < 2:
        raise AnalysisError(f"Alpha needs the covariances of at least two items, got {c.shape}.")
    variances = np.diag(c)
    if (constant := ~(variances > 0)).any():
        raise ConstantColumnError(f"No variance: {names_of(None, constant)}.")
    if c.sum() <= 1e-14 * variances.sum():
        raise ConstantColumnError(
            "The sum of the items has no variance: some of them cancel out. Orient them."
        )
    sd = np.sqrt(variances)
    mean_correlation = float(((c / np.outer(sd, sd)).sum() - k) / (k * (k - 1)))
    raw = k / (k - 1) * (1.0 - variances.sum() / c.sum())
    standardised = k * mean_correlation / (1.0 + (k - 1) * mean_correlation)
    return Alpha(float(raw), standardised, mean_correlation, k)


def alpha_interval(
    items: npt.ArrayLike, *, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> AlphaInterval:
    """Interval of alpha from the rows: seeded percentile bootstrap, and Feldt's.

    Rows with a blank are left out. Households with the same answers are drawn together as multinomial
    counts, so that the cost depends on the number of answer patterns and not on the number of households.

    Parameters
    ----------
    items : array_like, shape (n, k)
    n_resamples, level, seed
        Of the bootstrap.

    Raises
    ------
    TooFewRowsError
        If no more complete rows than items are left.
    ConstantColumnError
        If an item has no variance. A resample in which one has none is left out; `n_resamples` of the result
        counts those that were used.
    """
    check_level(level)
    at_least_one(n_resamples, "n_resamples")
    matrix = as_matrix(items, "items")
    complete = matrix[~np.isnan(matrix).any(axis=1)]
    n, k = complete.shape
    if n <= k:
        raise TooFewRowsError(f"{n} complete rows for {k} items; more rows than items are needed.")
    alpha = cronbach_alpha(np.cov(complete, rowvar=False))
    patterns, counts = np.unique(complete, axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    draws = [_alpha_of(patterns, rng.multinomial(n, counts / n)) for _ in range(n_resamples)]
    drawn = np.array([draw for draw in draws if draw is not None])
    tails = [(1 - level) / 2, (1 + level) / 2]
    (raw_low, standardised_low), (raw_high, standardised_high) = np.quantile(drawn, tails, axis=0)
    feldt = 1.0 - (1.0 - alpha.raw) * stats.f.ppf(tails[::-1], n - 1, (n - 1) * (k - 1))
    return AlphaInterval(
        float(raw_low),
        float(raw_high),
        float(standardised_low),
        float(standardised_high),
        float(feldt[0]),
        float(feldt[1]),
        level,
        n,
        len(drawn),
        seed,
    )


def _alpha_of(patterns: FloatArray, counts: npt.NDArray[np.int64]) -> tuple[float, float] | None:
    """Alpha of a resample, or None when an item came out constant in it."""
    try:
        alpha = cronbach_alpha(np.cov(patterns, rowvar=False, fweights=counts))
    except ConstantColumnError:
        return None
    return alpha.raw, alpha.standardised
