"""Correlations of the normal variables behind ordered answers, with the covariance of all that is estimated.

Belongs here: thresholds, polychoric correlations and their asymptotic covariance. Does not belong here: a model of them
(`analysis.measurement`). Two stages (Olsson 1979, Psychometrika 44(4), 443-460): thresholds from the margins, then
each correlation by maximum likelihood with the thresholds held; the covariance is that of Muthén (1984), Psychometrika
49(1), 115-132.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import FloatArray, IntArray, as_matrix
from analysis.errors import AnalysisError, ConstantColumnError, TooFewRowsError

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(40)
_LARGEST = 0.999
"""A correlation beyond is not told from one by any sample of answers."""

_ROWS = 50_000
"""Households whose scores are held at once."""


class EmptyCategoryError(AnalysisError):
    """A category of an ordered answer was chosen in one group and not in another."""


@dataclass(frozen=True)
class Ordered:
    """Ordered answers of n households to p items.

    Attributes
    ----------
    n : int
    levels : tuple of ndarray
        Answers of each item from lowest to highest, shape (K_i,).
    thresholds : tuple of ndarray
        Of each item, shape (K_i - 1,), in standard deviations of the normal variable behind it.
    r : ndarray, shape (p, p)
        Polychoric correlations.
    covariance : ndarray, shape (m, m)
        Asymptotic covariance, times n, of all thresholds (item by item) and then the correlations, column by column
        below the diagonal.
    """

    n: int
    levels: tuple[FloatArray, ...]
    thresholds: tuple[FloatArray, ...]
    r: FloatArray
    covariance: FloatArray

    @property
    def statistics(self) -> FloatArray:
        """Thresholds and correlations in the order of `covariance`, shape (m,)."""
        return np.concatenate([*self.thresholds, lower(self.r)])


def lower(matrix: FloatArray) -> FloatArray:
    """Entries below the diagonal, column by column; leading axes are kept."""
    p = matrix.shape[-1]
    column, row = np.triu_indices(p, 1)
    return np.asarray(matrix[..., row, column])


def polychoric(answers: npt.ArrayLike) -> Ordered:
    """Estimate thresholds and correlations; rows with a blank are left out.

    Parameters
    ----------
    answers : array_like, shape (n, p)
        Ordered answers as numbers; only their order counts.

    Raises
    ------
    ConstantColumnError
        If an item has one category.
    TooFewRowsError
        If fewer than two complete rows are left.
    AnalysisError
        If two items determine each other: their correlation has no maximum below one.
    """
    matrix = as_matrix(answers, "answers")
    complete = matrix[~np.isnan(matrix).any(axis=1)]
    n, p = complete.shape
    if n < 2:
        raise TooFewRowsError(f"{n} complete rows; correlations need at least two.")
    levels, codes = zip(*(np.unique(column, return_inverse=True) for column in complete.T), strict=True)
    if one := [i for i, pair in enumerate(levels) if len(pair) < 2]:
        raise ConstantColumnError(f"One category: {', '.join(f'column {i}' for i in one)}.")
    counts = [np.bincount(code) for code in codes]
    cuts = [stats.norm.ppf(np.cumsum(count)[:-1] / n) for count in counts]
    place = np.cumsum([0, *(len(cut) for cut in cuts)])
    m = int(place[-1]) + p * (p - 1) // 2
    margins = [_margin_scores(cut, count / n) for cut, count in zip(cuts, counts, strict=True)]
    information = np.zeros((m, m))
    for i, (each, count) in enumerate(zip(margins, counts, strict=True)):
        information[place[i] : place[i + 1], place[i] : place[i + 1]] = each.T @ (count[:, None] * each)
    r = np.eye(p)
    pairs = []
    for k, (i, j) in enumerate(combinations(range(p), 2), start=place[-1]):
        cell = codes[i] * (len(cuts[j]) + 1) + codes[j]
        table = np.bincount(cell, minlength=(len(cuts[i]) + 1) * (len(cuts[j]) + 1)).astype(np.float64)
        pair = _pair(cuts[i], cuts[j], table.reshape(len(cuts[i]) + 1, -1), codes[i], codes[j])
        r[i, j] = r[j, i] = pair.correlation
        score = pair.score.ravel()
        pairs.append((cell, score))
        information[k, k] = table @ score**2
        for item, each in ((i, pair.of_first), (j, pair.of_second)):
            information[k, place[item] : place[item + 1]] = (table * score) @ each.reshape(len(table), -1)
    inner = np.zeros((m, m))
    for start in range(0, n, _ROWS):
        own = slice(start, start + _ROWS)
        scores = np.column_stack(
            [
                *(each[code[own]] for each, code in zip(margins, codes, strict=True)),
                *(s[c[own]] for c, s in pairs),
            ]
        )
        inner += scores.T @ scores
    try:
        half = np.linalg.solve(information, inner)
        covariance = n * np.linalg.solve(information, half.T)
    except np.linalg.LinAlgError:
        raise AnalysisError(
            "A category is so rare that the covariance of the correlations is not known."
        ) from None
    return Ordered(n, levels, tuple(cuts), r, (covariance + covariance.T) / 2)


@dataclass(frozen=True)
class _Pair:
    """A correlation, and by cell (a, b) the derivative of the log likelihood by it and by both items' thresholds."""

    correlation: float
    score: FloatArray
    of_first: FloatArray
    of_second: FloatArray


def _margin_scores(cut: FloatArray, share: FloatArray) -> FloatArray:
    """Derivative of the log likelihood of each category by each threshold, shape (K, K - 1)."""
    scores = np.zeros((len(share), len(cut)))
    at = np.arange(len(cut))
    density = stats.norm.pdf(cut)
    scores[at, at] = density / share[:-1]
    scores[at + 1, at] = -density / share[1:]
    return scores


def _pair(first: FloatArray, second: FloatArray, table: FloatArray, a: IntArray, b: IntArray) -> _Pair:
    rows, columns = table.shape
    n = table.sum()
    ends = [np.concatenate([[-np.inf], cut, [np.inf]]) for cut in (first, second)]
    x, y = np.meshgrid(first, second, indexing="ij")
    place = np.clip(np.corrcoef(a, b)[0, 1], -0.9, 0.9)
    low, high = -_LARGEST, _LARGEST
    for _ in range(100):
        share = np.maximum(_cells(_bivariate(x, y, place), *ends), 1e-300)
        slope = np.diff(np.diff(np.pad(_density(x, y, place), 1), axis=0), axis=1)
        gradient = float((table * slope / share).sum())
        low, high = (place, high) if gradient > 0 else (low, place)
        step = gradient / (n * float((slope**2 / share).sum()))
        moved = place + step
        if not low < moved < high:
            moved = (low + high) / 2
        done = abs(moved - place) < 1e-12
        place = moved
        if done or abs(gradient) < 1e-10 * n:
            break
    if abs(place) > _LARGEST - 1e-6:
        raise AnalysisError("Two items determine each other: their polychoric correlation is one.")
    share = np.maximum(_cells(_bivariate(x, y, place), *ends), 1e-300)
    slope = np.diff(np.diff(np.pad(_density(x, y, place), 1), axis=0), axis=1)
    root = np.sqrt(1 - place**2)
    # d P(X < s, Y < t) / d s = phi(s) Phi((t - r s) / sqrt(1 - r^2))
    by_first = np.diff(
        stats.norm.pdf(first)[:, None] * stats.norm.cdf((ends[1] - place * first[:, None]) / root), axis=1
    )
    by_second = np.diff(
        stats.norm.pdf(second)[None] * stats.norm.cdf((ends[0][:, None] - place * second) / root), axis=0
    )
    of_first, of_second = np.zeros((rows, columns, rows - 1)), np.zeros((rows, columns, columns - 1))
    at, bt = np.arange(rows - 1), np.arange(columns - 1)
    of_first[at, :, at], of_first[at + 1, :, at] = by_first, -by_first
    of_second[:, bt, bt], of_second[:, bt + 1, bt] = by_second, -by_second
    return _Pair(float(place), slope / share, of_first / share[..., None], of_second / share[..., None])


def _density(x: FloatArray, y: FloatArray, r: float) -> FloatArray:
    rest = 1 - r * r
    return np.asarray(np.exp(-(x * x - 2 * r * x * y + y * y) / (2 * rest)) / (2 * np.pi * np.sqrt(rest)))


def _bivariate(x: FloatArray, y: FloatArray, r: float) -> FloatArray:
    """P(X < x, Y < y) of two normals with correlation r: the derivative by r is their density (Plackett 1954).

    The angle whose sine is r is integrated over, which keeps the integrand smooth near one.
    """
    angle = np.arcsin(r)
    theta = angle * (_NODES + 1) / 2
    sine = np.sin(theta)
    square = (x * x + y * y)[..., None] / 2
    inside = np.exp(-(square - (x * y)[..., None] * sine) / np.cos(theta) ** 2)
    return np.asarray(
        stats.norm.cdf(x) * stats.norm.cdf(y) + angle / 2 * (inside @ _NODE_WEIGHTS) / (2 * np.pi)
    )


def _cells(inner: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Shares of all cells from the distribution function at the inner corners."""
    whole = np.zeros((len(first), len(second)))
    whole[1:-1, 1:-1] = inner
    whole[-1], whole[:, -1] = stats.norm.cdf(second), stats.norm.cdf(first)
    return np.diff(np.diff(whole, axis=0), axis=1)
