"""Change between two waves of the same households: transitions between bands, and paired tests.

What belongs here: tests on pairs. What does not: pairing the households (the caller lines them up) and
comparisons of different households.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import ROUNDING, FloatArray, IntArray, check_level
from analysis.errors import AnalysisError

# Nonzero changes up to which the signed ranks are enumerated.
EXACT_PAIRS = 50


@dataclass(frozen=True)
class Transition:
    """Counts of households by band before (rows) and after (columns), with Bowker's test of symmetry.

    Attributes
    ----------
    counts : ndarray of int, shape (k, k)
    n : int
        Pairs with both bands.
    n_missing : int
        Pairs without.
    n_up, n_down : int
        Households that moved to a later or an earlier band.
    chi2 : float
        Bowker's statistic (McNemar's when k = 2); NaN if no household moved.
    df : int
        Pairs of bands between which anybody moved.
    p : float
        Upper tail of chi-square; NaN if no household moved.
    p_exact : float
        Exact two-sided McNemar (binomial) probability; only for k = 2, else NaN.
    """

    counts: IntArray
    n: int
    n_missing: int
    n_up: int
    n_down: int
    chi2: float
    df: int
    p: float
    p_exact: float


@dataclass(frozen=True)
class PairedChange:
    """Change of a value in the same households.

    Attributes
    ----------
    n, n_missing : int
        Pairs with and without both values.
    mean_change, sd_change : float
        After minus before, in the unit of the value; the sd with n - 1.
    t, df, p_t, ci_low, ci_high : float
        Paired t test with its interval; NaN where `reason` says why.
    wilcoxon, p_wilcoxon : float
        Smaller signed-rank sum: pairs without change left out, ties averaged. Exact with its ties up to 50 changes,
        the normal approximation corrected for ties above. Changes closer than rounding are equal.
    dz : float
        Mean change over its standard deviation.
    level : float
        Of the interval.
    reason : str
        Why a test is missing; empty if none is.
    """

    n: int
    n_missing: int
    mean_change: float
    sd_change: float
    t: float
    df: int
    p_t: float
    ci_low: float
    ci_high: float
    wilcoxon: float
    p_wilcoxon: float
    dz: float
    level: float
    reason: str


def transition(before: npt.ArrayLike, after: npt.ArrayLike, n_bands: int) -> Transition:
    """Count the moves between bands and test whether they are symmetric (Bowker 1948; McNemar 1947).

    Parameters
    ----------
    before, after : array_like of whole numbers, shape (n,)
        Position of the band, negative or NaN for missing, as `coupling.classify` returns.
    n_bands : int
        Bands of the scheme.

    Raises
    ------
    AnalysisError
        If the two waves do not line up or a code is not a band.
    """
    first, second = _codes(before), _codes(after)
    if first.shape != second.shape or first.ndim != 1:
        raise AnalysisError(f"Waves of {first.shape} and {second.shape} households cannot be paired.")
    if n_bands < 2 or max(first.max(initial=0), second.max(initial=0)) >= n_bands:
        raise AnalysisError(
            f"Band codes must be below {n_bands}, and a scheme needs two bands to move between."
        )
    both = (first >= 0) & (second >= 0)
    cells = np.bincount(first[both] * n_bands + second[both], minlength=n_bands * n_bands)
    counts = cells.reshape(n_bands, n_bands).astype(np.int64)
    up, down = np.triu(counts, 1), np.tril(counts, -1).T
    moved = (up + down) > 0
    chi2, p, p_exact = float("nan"), float("nan"), float("nan")
    df = int(moved.sum())
    if df:
        chi2 = float((np.square(up - down)[moved] / (up + down)[moved]).sum())
        p = float(stats.chi2.sf(chi2, df))
        if n_bands == 2:
            p_exact = float(stats.binomtest(int(up.sum()), int((up + down).sum())).pvalue)
    n = int(both.sum())
    return Transition(counts, n, len(first) - n, int(up.sum()), int(down.sum()), chi2, df, p, p_exact)


def _codes(bands: npt.ArrayLike) -> IntArray:
    """Band codes as whole numbers, -1 for missing."""
    codes = np.asarray(bands, dtype=np.float64)
    whole = np.where(np.isnan(codes), -1.0, codes)
    if (whole != np.floor(whole)).any() or np.isinf(whole).any():
        raise AnalysisError("Band codes are whole numbers, the positions of the bands.")
    return whole.astype(np.int64)


def paired_change(before: npt.ArrayLike, after: npt.ArrayLike, *, level: float = 0.95) -> PairedChange:
    """Test the change of the same households: paired t (Student 1908) and signed ranks (Wilcoxon 1945).

    Parameters
    ----------
    before, after : array_like, shape (n,)
        NaN for missing; pairs with a missing value are left out and counted.
    level : float
        Of the confidence interval.

    Raises
    ------
    AnalysisError
        If the waves do not line up, or a value is infinite.
    """
    check_level(level)
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise AnalysisError(f"Waves of {first.shape} and {second.shape} households cannot be paired.")
    if np.isinf(first).any() or np.isinf(second).any():
        raise AnalysisError("A paired test cannot take infinite values.")
    change: FloatArray = second - first
    paired = ~np.isnan(change)
    change = change[paired]
    rounding = ROUNDING * float(np.maximum(np.abs(first[paired]), np.abs(second[paired])).max(initial=0.0))
    n, n_missing, nan = len(change), int(len(first) - len(change)), float("nan")
    mean = float(change.mean()) if n else nan
    sd = float(change.std(ddof=1)) if n > 1 else nan
    if n < 2 or sd <= rounding:
        reason = f"{n} pairs, 2 needed" if n < 2 else "every pair changed by the same amount"
        nothing = (nan, max(n - 1, 0), nan, nan, nan, nan, nan, nan)
        return PairedChange(n, n_missing, mean, sd, *nothing, level, reason)
    error = sd / np.sqrt(n)
    t = mean / error
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    wilcoxon, p_wilcoxon = _signed_ranks(change, rounding)
    return PairedChange(
        n,
        n_missing,
        mean,
        sd,
        float(t),
        n - 1,
        float(2 * stats.t.sf(abs(t), n - 1)),
        float(mean - half),
        float(mean + half),
        wilcoxon,
        p_wilcoxon,
        mean / sd,
        level,
        "",
    )


def _signed_ranks(change: FloatArray, rounding: float) -> tuple[float, float]:
    """Smaller sum of signed ranks and its two-sided probability."""
    change = change[np.abs(change) > rounding]
    n = len(change)
    if not n:
        return 0.0, 1.0
    size = np.sort(np.abs(change))
    # A new rank begins where the next size is further away than rounding.
    step = np.concatenate([[0], np.cumsum(np.diff(size) > rounding)])
    tied = np.bincount(step)
    mean_rank = (np.cumsum(tied) - (tied - 1) / 2)[step]
    ranks = np.empty(n)
    ranks[np.argsort(np.abs(change), kind="stable")] = mean_rank
    up = float(ranks[change > 0].sum())
    smaller = min(up, float(ranks.sum()) - up)
    if n <= EXACT_PAIRS:
        # Doubled ranks are whole; each sign is as likely, so the distribution is a product of (1 + x^rank)/2.
        doubled = np.rint(2 * ranks).astype(np.int64)
        share = np.zeros(doubled.sum() + 1)
        share[0] = 1.0
        for rank in doubled:
            share[rank:] += share[: len(share) - rank].copy()
            share /= 2
        return smaller, min(1.0, 2 * float(share[: round(2 * smaller) + 1].sum()))
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((tied**3 - tied).sum()) / 48
    z = (smaller - n * (n + 1) / 4) / np.sqrt(variance)
    return smaller, float(2 * stats.norm.cdf(z))
