"""Change between two waves of the same households: transitions between bands, and paired tests.

What belongs here: tests on pairs. What does not: pairing the households (the caller lines them up) and
comparisons of different households.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import FloatArray, IntArray
from analysis.errors import AnalysisError


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
        Smaller signed-rank sum: pairs without change left out, ties averaged, and the normal approximation
        above 50 pairs.
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
    before, after : array_like of int, shape (n,)
        Position of the band, negative for missing, as `coupling.classify` returns.
    n_bands : int
        Bands of the scheme.

    Raises
    ------
    AnalysisError
        If the two waves do not line up or a code is not a band.
    """
    first, second = np.asarray(before, dtype=np.int64), np.asarray(after, dtype=np.int64)
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
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise AnalysisError(f"Waves of {first.shape} and {second.shape} households cannot be paired.")
    if np.isinf(first).any() or np.isinf(second).any():
        raise AnalysisError("A paired test cannot take infinite values.")
    change: FloatArray = second - first
    change = change[~np.isnan(change)]
    n, n_missing, nan = len(change), int(len(first) - len(change)), float("nan")
    mean = float(change.mean()) if n else nan
    sd = float(change.std(ddof=1)) if n > 1 else nan
    if n < 2 or sd <= abs(mean) * 1e-14:
        reason = f"{n} pairs, 2 needed" if n < 2 else "every pair changed by the same amount"
        nothing = (nan, max(n - 1, 0), nan, nan, nan, nan, nan, nan)
        return PairedChange(n, n_missing, mean, sd, *nothing, level, reason)
    error = sd / np.sqrt(n)
    t = mean / error
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * error
    ranks = stats.wilcoxon(change)
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
        float(ranks.statistic),
        float(ranks.pvalue),
        mean / sd,
        level,
        "",
    )
