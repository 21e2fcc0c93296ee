"""How often a t test by sampling units rejects what is true, from the design alone: no answer is needed.

Belongs here: the level of tests of means, differences and coefficients between units. Does not belong here: the tests
(`survey_design`, `inference`), and which levels are accepted (`gates.yml`).

Estimate and error of such a test are linear in the errors of the households: ``t^2 = l_0^2 / sum l_j^2``. With normal
errors that correlate by r within a unit, ``l`` is normal with covariance ``(1 - r) A + r B``, and the test rejects
where the quadratic form ``l_0^2 - c sum l_j^2`` is positive. Its matrix has one positive eigenvalue, so with the ratios
``w`` of the others to it the probability is that of ``z^2 > sum w_j z_j^2``,
``2 / pi int_0^{pi / 2} prod (1 + w_j / sin^2 x)^(-1 / 2) dx`` (Craig 1991, doi 10.1109/MILCOM.1991.258319, for the
tail of z). Satterthwaite's degrees of freedom match two moments at r = 0 alone; this is what they come to elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import ROUNDING, FloatArray
from analysis.inference import ClusterScores, JointTest, Part, cluster_directions
from analysis.regression import Regression
from analysis.survey_design import DesignMean, degrees_of_freedom

CORRELATIONS = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Of two households of one unit: what surveys of households usually find."""

LOWEST, HIGHEST = 0.03, 0.07
"""Levels of a test at 5 percent, and one less the coverage of an interval, that are accepted at all correlations."""

LOWEST_OF_SEVERAL = 0.035
"""The same of tests of several combinations: heavy tails take another 0.65 of 100 from them.

With less, cells of told tests rejected 1.7 of 100 (docs/methods/region_comparison.md).
"""

HIGHEST_OF_AMOUNTS = 0.055
"""What an interval on the log scale may miss with normal errors: skewed ones add up to 2 of 100.

With more, amounts missed up to 7.8 (docs/methods/region_comparison.md). On one degree of freedom the interval is so
wide that they add half of one.
"""

MOST_UNITS = 150
"""Beyond, the eigenvalues take long."""

ENOUGH_DF = 30
"""Degrees of freedom from which levels lie within the limits, whatever the sizes of the units."""

FEWEST_ON_A_SIDE, UNITS_OF_A_SIDE, UNITS_OF_FEW = 10, 8, 6
"""Households that have something, and that do not, from which a share has an interval; units in which they are; and
the same of six or seven units. Of three to five it is all.

Where few have it errors are far from normal, most where they are in few of many units
(docs/methods/region_comparison.md).
"""

DRAWS, DRAWN_AT_ONCE = 10_000, 1_000
"""For joint tests, whose levels are no integral of one dimension: their standard error is 0.002."""

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_INVERSE_SQUARES = np.sin((_POINTS + 1) * np.pi / 4) ** -2


def levels_of_mean(mean: DesignMean, *, alpha: float = 0.05) -> FloatArray:
    """Levels of the test that a mean by `unit_mean` is its true value: what its interval leaves out.

    Parameters
    ----------
    mean : DesignMean
    alpha : float
        Nominal level.

    Returns
    -------
    ndarray, one for each of `CORRELATIONS`
        NaN where the units of the mean are not known, and beyond `MOST_UNITS`.
    """
    return _levels_of_units((mean,), mean.df, alpha)


def levels_of_difference(first: DesignMean, second: DesignMean, *, alpha: float = 0.05) -> FloatArray:
    """Levels of the test of two equal means, `difference`, where both vary alike.

    Parameters and returns as in `levels_of_mean`.
    """
    return _levels_of_units((first, second), degrees_of_freedom(first, second), alpha)


def levels_of_combination(
    parts: Sequence[Part],
    df: float,
    *,
    common: FloatArray | None = None,
    alpha: float = 0.05,
) -> FloatArray:
    """Levels of the t test of one combination of coefficients under CR2, as `inference.joint_test` makes it.

    Parameters
    ----------
    parts : sequence of (Regression, ClusterScores, ndarray of shape (1, k))
        Models that share no cluster, each with its part of the combination.
    df : float
        Degrees of freedom of the test.
    common : ndarray, shape (k, m), optional
        Combinations of regressors that are constants within a cluster, whose errors its households share; by default
        the first regressor, which is the intercept.
    alpha : float

    Returns
    -------
    ndarray
        As in `levels_of_mean`.
    """
    return _levels([_cluster_forms(*part, common) for part in parts], df, alpha)


def levels_of_joint_test(
    parts: Sequence[Part],
    test: JointTest,
    *,
    alpha: float = 0.05,
) -> FloatArray:
    """Levels of the approximate Hotelling test `inference.joint_test` made of some parts.

    One combination has an integral; for several, scores of clusters are drawn, always the same.

    Parameters and returns as in `levels_of_combination`, with the intercept as what a cluster has in common.
    """
    if test.df_numerator == 1:
        return levels_of_combination(parts, test.df_denominator, alpha=alpha)
    if any(len(scores.clusters) > MOST_UNITS for _, scores, _ in parts):
        return np.full(len(CORRELATIONS), np.nan)
    q, freedom = test.df_numerator, test.df_denominator
    critical = float(stats.f.isf(alpha, q, freedom)) * q * (freedom + q - 1) / freedom
    rejected = np.zeros(len(CORRELATIONS))
    rng = np.random.default_rng(0)
    drawn = [_Drawn.of(*part) for part in parts]
    for _ in range(DRAWS // DRAWN_AT_ONCE):
        errors = [each.errors(rng) for each in drawn]
        for place, r in enumerate(CORRELATIONS):
            estimate, covariance = np.zeros((DRAWN_AT_ONCE, q)), np.zeros((DRAWN_AT_ONCE, q, q))
            for each, (independent, shared) in zip(drawn, errors, strict=True):
                scores = np.sqrt(1 - r) * independent + np.sqrt(r) * shared
                total = scores.sum(axis=1)
                estimate += total @ each.directions
                clusters = np.einsum("ngk,gkq->ngq", scores, each.v)
                clusters -= np.einsum("nk,gkq->ngq", total, each.u)
                covariance += np.swapaxes(clusters, 1, 2) @ clusters
            solved = np.linalg.solve(covariance, estimate[..., None])[..., 0]
            rejected[place] += np.count_nonzero(np.einsum("nq,nq->n", estimate, solved) > critical)
    return rejected / (DRAWS // DRAWN_AT_ONCE * DRAWN_AT_ONCE)


def refusal_of_joint_test(parts: Sequence[Part], test: JointTest) -> str | None:
    """Why an approximate Hotelling test is not told; None where it is."""
    lowest = LOWEST if test.df_numerator == 1 else LOWEST_OF_SEVERAL
    return refusal(levels_of_joint_test(parts, test), test.df_denominator, lowest=lowest)


def refusal_of_interval(mean: DesignMean) -> str | None:
    """Why the interval of a mean is not told, by its levels and the scale it was made on; None where it is."""
    highest = HIGHEST_OF_AMOUNTS if mean.interval == "log" and mean.df > 1 else HIGHEST
    return refusal(levels_of_mean(mean), mean.df, highest=highest, is_interval=True)


def refusal(
    levels: FloatArray,
    df: float,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    is_interval: bool = False,
) -> str | None:
    """Why a test of these levels and degrees of freedom, or an interval, is not told; None where it is."""
    if np.isnan(levels).any():
        if df >= ENOUGH_DF:
            return None
        return f"{df:.1f} degrees of freedom; where its level is not known a test needs {ENOUGH_DF}"
    if levels.min() >= lowest and levels.max() <= highest:
        return None
    low, high, least, most = (100 * each for each in (levels.min(), levels.max(), lowest, highest))
    does = f"a test at 5 percent rejects {low:.1f} to {high:.1f} of 100 that are true"
    if is_interval:
        does = f"an interval of 95 percent covers {100 - high:.1f} to {100 - low:.1f} of 100 true values"
        least, most = 100 - most, 100 - least
    return (
        f"for sampling units of these sizes {does}, by how alike their households are; "
        f"{least:g} to {most:g} are accepted"
    )


def refusal_of_share(having: npt.ArrayLike, n: npt.ArrayLike) -> str | None:
    """Why a share has no interval and takes part in no test, whatever its level; None where nothing stands against it.

    Parameters
    ----------
    having, n : array_like, shape (G,)
        Households of each sampling unit that have it, and all of its households.
    """
    sides = np.array([having, np.asarray(n) - np.asarray(having)], dtype=np.float64)
    fewest, units = sides.sum(axis=1).min(), (sides > 0).sum(axis=1).min()
    n_units = sides.shape[1]
    # with two units what an interval misses is where they nearly agree, and counts then agree altogether
    needed = UNITS_OF_A_SIDE if n_units >= UNITS_OF_A_SIDE else min(UNITS_OF_FEW, max(n_units, 3))
    if fewest >= FEWEST_ON_A_SIDE and units >= needed:
        return None
    # without the number found, which where answers are withheld would tell it
    return (
        f"a share has an interval or a test where {FEWEST_ON_A_SIDE} households have it and {FEWEST_ON_A_SIDE} do not, "
        f"each in {needed} sampling units"
    )


@dataclass(frozen=True)
class _Drawn:
    """A part of a joint test, with roots of the covariances of the scores of its clusters."""

    directions: FloatArray
    v: FloatArray
    u: FloatArray
    independent: FloatArray
    shared: FloatArray

    @classmethod
    def of(cls, model: Regression, scores: ClusterScores, combinations: FloatArray) -> _Drawn:
        values, vectors = np.linalg.eigh(scores.leverages)
        root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
        return cls(
            *cluster_directions(model, scores, combinations), root, _shared_scores(model, scores, None)
        )

    def errors(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Scores of independent errors and of errors that a cluster shares, shape (n, G, k)."""
        return (
            self._drawn(rng, self.independent),
            self._drawn(rng, self.shared),
        )

    @staticmethod
    def _drawn(rng: np.random.Generator, root: FloatArray) -> FloatArray:
        normal = rng.standard_normal((DRAWN_AT_ONCE, len(root), root.shape[2]))
        drawn: FloatArray = np.einsum("gkm,ngm->ngk", root, normal)
        return drawn


Forms = tuple[FloatArray, FloatArray]
"""Covariances of ``l_0, l_1 .. l_G`` under independent errors, and under one error for each unit."""


Sizes = tuple[bytes, bytes, bytes]
"""Weights, households and strata of the units of a mean: most measures of a survey have the same."""


def _levels_of_units(means: tuple[DesignMean, ...], df: float, alpha: float) -> FloatArray:
    """Levels of a mean, or of the first less the second."""
    sizes: list[Sizes] = []
    for mean in means:
        if mean.unit_weights is None or mean.unit_counts is None or mean.n_units > MOST_UNITS:
            return np.full(len(CORRELATIONS), np.nan)
        strata = np.zeros(0, dtype=np.int64) if mean.unit_strata is None else mean.unit_strata
        sizes.append(
            (
                np.asarray(mean.unit_weights, dtype=np.float64).tobytes(),
                np.asarray(mean.unit_counts, dtype=np.float64).tobytes(),
                np.asarray(strata, dtype=np.int64).tobytes(),
            )
        )
    return np.array(_known_levels(tuple(sizes), df, alpha))


@lru_cache(maxsize=1024)
def _known_levels(sizes: tuple[Sizes, ...], df: float, alpha: float) -> tuple[float, ...]:
    forms = [_unit_forms(own, sign) for own, sign in zip(sizes, (1.0, -1.0), strict=False)]
    return tuple(_levels(forms, df, alpha).tolist())


def _unit_forms(sizes: Sizes, sign: float) -> Forms:
    weights, counts = (np.frombuffer(each) for each in sizes[:2])
    strata = np.frombuffer(sizes[2], dtype=np.int64)
    share = weights / weights.sum()
    deviation = np.eye(len(share)) - share
    if not len(strata):
        errors = (share / np.sqrt(1 - share))[:, None] * deviation
    else:
        same = strata[:, None] == strata
        n_units = same.sum(axis=1)
        totals = share[:, None] * deviation
        errors = np.sqrt(n_units / (n_units - 1))[:, None] * (totals - same / n_units @ totals)
    forms = np.vstack([sign * share, errors])
    return forms / counts @ forms.T, forms @ forms.T


def _cluster_forms(
    model: Regression, scores: ClusterScores, combination: FloatArray, common: FloatArray | None
) -> Forms | None:
    if len(scores.clusters) > MOST_UNITS:
        return None
    direction, v, u = (each[..., 0] for each in cluster_directions(model, scores, combination))
    shared = _shared_scores(model, scores, common)
    independent = scores.leverages
    return _covariance(direction, v, u, independent), _covariance(
        direction, v, u, np.einsum("gkm,glm->gkl", shared, shared)
    )


def _shared_scores(model: Regression, scores: ClusterScores, common: FloatArray | None) -> FloatArray:
    """Scores of an error that all households of a cluster share, of variance 1 in their mean, shape (G, k, m)."""
    columns = model.factor @ (np.eye(len(model.terms), 1) if common is None else common)
    # weights have any scale, and a constant under them no length of sqrt(n)
    return scores.leverages @ (
        columns if common is not None else columns * np.sqrt(model.n) / np.linalg.norm(columns)
    )


def _covariance(direction: FloatArray, v: FloatArray, u: FloatArray, of_scores: FloatArray) -> FloatArray:
    """Covariance of ``d's`` and of ``v_g's_g - u_g's`` for scores s_g that are independent between clusters."""
    total = of_scores.sum(axis=0)
    own = np.einsum("gkl,gl->gk", of_scores, v)
    crossed = u @ own.T
    n = len(v)
    covariance = np.empty((n + 1, n + 1))
    covariance[0, 0] = direction @ total @ direction
    covariance[0, 1:] = covariance[1:, 0] = (own - u @ total) @ direction
    covariance[1:, 1:] = u @ total @ u.T - crossed - crossed.T + np.diag(np.einsum("gk,gk->g", own, v))
    return covariance


def _levels(parts: Sequence[Forms | None], df: float, alpha: float) -> FloatArray:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not np.isfinite(df):
        return np.full(len(CORRELATIONS), np.nan)
    independent, shared = (_together([part[k] for part in known]) for k in (0, 1))
    critical = float(stats.t.isf(alpha / 2, df)) ** 2
    return np.array([_beyond((1 - r) * independent + r * shared, critical) for r in CORRELATIONS])


def _together(covariances: Sequence[FloatArray]) -> FloatArray:
    """Covariance of the sum of the first forms and of all the others, for independent samples."""
    size = sum(len(each) - 1 for each in covariances)
    joined = np.zeros((size + 1, size + 1))
    start = 1
    for each in covariances:
        rows = slice(start, start + len(each) - 1)
        joined[0, 0] += each[0, 0]
        joined[0, rows] = joined[rows, 0] = each[0, 1:]
        joined[rows, rows] = each[1:, 1:]
        start = rows.stop
    return joined


def _beyond(covariance: FloatArray, critical: float) -> float:
    """Probability of ``l_0^2 > critical * sum l_j^2``."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    sign = np.full(len(values), -critical)
    sign[0] = 1.0
    eigenvalues = np.linalg.eigvalsh(root.T * sign @ root)
    if not eigenvalues.any():
        return float("nan")
    if eigenvalues[-1] <= ROUNDING * -eigenvalues[0]:
        return 0.0
    ratios = np.maximum(-eigenvalues[:-1], 0.0) / eigenvalues[-1]
    inside = np.exp(-np.log1p(np.outer(ratios, _INVERSE_SQUARES)).sum(axis=0) / 2)
    return float(_WEIGHTS @ inside / 2)
