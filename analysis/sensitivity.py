"""Does the order of regions survive the choices of method? Ranks of the regions under every combination of options.

What belongs here: ranks and their agreement. What does not: the values that are ranked
(`relocation_warehouse.results.sensitivity` computes them).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import BoolArray, FloatArray, as_matrix
from analysis.errors import AnalysisError


@dataclass(frozen=True)
class RankSensitivity:
    """How far the ranks of m regions depend on c combinations of options.

    Attributes
    ----------
    ranks : ndarray, shape (c, m)
        1 highest value; regions that tie share the better rank; NaN without a value.
    same_order : ndarray of bool, shape (c,)
        The combination ranks the regions as the reference does.
    share_same_order : float
        Share of the combinations that do.
    kendall : ndarray, shape (c,)
        Kendall's tau-b of each combination with the reference.
    best, worst : ndarray, shape (m,)
        Range of each region's rank.
    share_first : ndarray, shape (m,)
        Share of the combinations in which the region ranks first.
    share_above : ndarray, shape (m, m)
        Share of the combinations in which the row region lies above the column region.
    reference : int
        Position of the reference combination.
    """

    ranks: FloatArray
    same_order: BoolArray
    share_same_order: float
    kendall: FloatArray
    best: FloatArray
    worst: FloatArray
    share_first: FloatArray
    share_above: FloatArray
    reference: int


def rank_sensitivity(values: npt.ArrayLike, *, reference: int = 0) -> RankSensitivity:
    """Compare the order of regions under every combination of options with a reference combination.

    Parameters
    ----------
    values : array_like, shape (c, m)
        Higher is better; NaN for a region without a value.
    reference : int
        Row of the reference combination.

    Raises
    ------
    AnalysisError
        If there are fewer than two regions, or the reference does not exist or lacks a region.
    """
    matrix = as_matrix(values, "values of the regions")
    count, regions = matrix.shape
    if regions < 2 or not 0 <= reference < count:
        raise AnalysisError(
            f"Ranks need two regions and reference row {reference}; got {matrix.shape} values."
        )
    if np.isnan(matrix[reference]).any():
        raise AnalysisError("A region has no value under the reference combination; choose another.")
    # Without rounding, sums in another order would make or break ties.
    rounded = np.round(matrix, 12)
    ranks = np.asarray(stats.rankdata(-rounded, method="min", axis=1, nan_policy="omit"))
    same = np.asarray((ranks == ranks[reference]).all(axis=1))
    kendall = np.array(
        [stats.kendalltau(row, rounded[reference], nan_policy="omit").statistic for row in rounded]
    )
    above = (rounded[:, :, None] > rounded[:, None, :]).mean(axis=0)
    return RankSensitivity(
        ranks=ranks,
        same_order=same,
        share_same_order=float(same.mean()),
        kendall=kendall,
        best=np.nanmin(ranks, axis=0),
        worst=np.nanmax(ranks, axis=0),
        share_first=(ranks == 1).mean(axis=0),
        share_above=above,
        reference=reference,
    )
