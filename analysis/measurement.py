"""Whether a scale measures the same in several groups: confirmatory factor analysis under ever more equalities.

Belongs here: the fit of items that load on one factor each, by maximum likelihood of continuous items or by diagonally
weighted least squares of ordered ones; which items break an equality; alignment of groups where equalities fail; omega.
Does not belong here: polychoric correlations (`analysis.polychoric`), exploratory factors (`analysis.factors`).

Sources. Maximum likelihood with Fisher scoring: Jöreskog (1971), Psychometrika 36(4), 409-426. Levels of equality:
Meredith (1993), Psychometrika 58(4), 525-543. Weighted least squares with the mean-and-variance adjusted ("scaled and
shifted") test: Muthén (1984); Asparouhov and Muthén (2010), Simple second order chi-square correction. Fit indices:
Bentler (1990), Psychological Bulletin 107(2), 238-246; Steiger (1998), Structural Equation Modeling 5(4), 411-419
(several groups). Identification is that of lavaan with `std.lv = TRUE`: factors have mean 0 and variance 1 in the first
group, and in others as long as nothing is held equal that would say what they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats
from scipy.linalg import solve_triangular

from analysis.arrays import FloatArray, IntArray, as_matrix, as_option, without_spread
from analysis.errors import (
    AnalysisError,
    BelowRoundingError,
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewRowsError,
)
from analysis.factors import NotConvergedError
from analysis.polychoric import EmptyCategoryError, Ordered, lower, polychoric

_ITERATIONS = 300
_SCORING_STEPS = 25
_CLOSE, _CONVERGED = 1e-6, 1e-3
"""Largest derivative of the log likelihood by a parameter, times its standard error, at which a search ends, and up to
which what it found counts: such a parameter is off by a thousandth of its error."""

_STEP = 1e-30
"""Of the complex step, by which derivatives of polynomials are exact."""


class Level(StrEnum):
    """What is equal in all groups: factors of items; loadings; intercepts or thresholds too; residual variances too."""

    CONFIGURAL = "configural"
    METRIC = "metric"
    SCALAR = "scalar"
    STRICT = "strict"


class Estimator(StrEnum):
    """Maximum likelihood of numbers, or diagonally weighted least squares of ordered answers."""

    ML = "ml"
    WLSMV = "wlsmv"


@dataclass(frozen=True)
class ItemTest:
    """Score test that an item's loading or intercept is the same in all groups, given that all others are.

    Attributes
    ----------
    chi2, p : float
    df : int
        Groups less one.
    """

    chi2: float
    df: int
    p: float


@dataclass(frozen=True)
class Measurement:
    """A confirmatory factor analysis of G groups, p items and k factors.

    Attributes
    ----------
    level, estimator, groups
    n : ndarray of int, shape (G,)
        Complete rows.
    chi2, p, cfi, tli, rmsea : float
        With ordered items those of the mean-and-variance adjusted statistic.
    df : int
    chi2_unadjusted : float
        The statistic before the adjustment; with continuous items the same.
    loadings, intercepts, residuals : ndarray, shape (G, p)
        With ordered items intercepts are 0 and residual variances those of the normal variables behind the answers.
    factor_means, factor_mean_se : ndarray, shape (G, k)
        Distance from the first group in its standard deviations. Errors by maximum likelihood only, else NaN.
    factor_covariance : ndarray, shape (G, k, k)
    loading_tests, intercept_tests : tuple of ItemTest
        By item, where the level holds them equal; else empty. By maximum likelihood only.
    """

    level: Level
    estimator: Estimator
    groups: tuple[str, ...]
    n: IntArray
    chi2: float
    df: int
    p: float
    cfi: float
    tli: float
    rmsea: float
    chi2_unadjusted: float
    loadings: FloatArray
    intercepts: FloatArray
    residuals: FloatArray
    factor_means: FloatArray
    factor_mean_se: FloatArray
    factor_covariance: FloatArray
    loading_tests: tuple[ItemTest, ...]
    intercept_tests: tuple[ItemTest, ...]


@dataclass(frozen=True)
class Aligned:
    """Factor means and variances of G groups under which p items differ least.

    Attributes
    ----------
    means, variances : ndarray, shape (G,)
        The first group has 0 and 1.
    loadings, intercepts : ndarray, shape (G, p)
    loading_r2, intercept_r2 : ndarray, shape (p,)
        Share of what differs between groups in the configural model that the factor's means and variances explain; 1
        where an item is invariant.
    """

    means: FloatArray
    variances: FloatArray
    loadings: FloatArray
    intercepts: FloatArray
    loading_r2: FloatArray
    intercept_r2: FloatArray


@dataclass(frozen=True)
class _Layout:
    """Which free parameter, if any, stands at each place of each group's parameters.

    Places: loadings, factor covariances (lower triangle by rows), factor means, intercepts or thresholds, and residual
    variances or scales.
    """

    factor: IntArray
    k: int
    thresholds: IntArray
    """Item of each threshold; empty for continuous items."""
    where: IntArray
    """Shape (G, q): number of the free parameter; -1 where the place has a fixed value."""
    start: FloatArray
    """Shape (G, q)."""

    @property
    def ends(self) -> tuple[int, ...]:
        p = len(self.factor)
        return tuple(np.cumsum([p, self.k * (self.k + 1) // 2, self.k, len(self.thresholds) or p, p]))

    @property
    def n_free(self) -> int:
        return int(self.where.max()) + 1

    def places(self, free: FloatArray) -> FloatArray:
        """Parameters of all groups, shape (G, q)."""
        return np.where(self.where < 0, self.start, free[self.where])

    def first(self) -> FloatArray:
        """Start values of the free parameters: the first group's that has each."""
        free = np.empty(self.n_free)
        for where, start in zip(self.where[::-1], self.start[::-1], strict=True):
            free[where[where >= 0]] = start[where >= 0]
        return free

    def spread(self, g: int, columns: FloatArray) -> FloatArray:
        """Derivatives by the places of a group, shape (m, q), as derivatives by the free parameters, shape (m, f)."""
        free = self.where[g] >= 0
        spread = np.zeros((columns.shape[0], self.n_free))
        np.add.at(spread.T, self.where[g][free], columns[:, free].T)
        return spread

    def parts(self, places: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
        """Loadings, factor covariances, means, intercepts or thresholds, and the last block; leading axes kept."""
        a, b, c, d, _ = self.ends
        p, k, lead = len(self.factor), self.k, places.shape[:-1]
        loading = np.zeros((*lead, p, k), dtype=places.dtype)
        loading[..., np.arange(p), self.factor] = places[..., :a]
        covariance = np.zeros((*lead, k, k), dtype=places.dtype)
        row, column = np.tril_indices(k)
        covariance[..., row, column] = places[..., a:b]
        covariance[..., column, row] = places[..., a:b]
        return loading, covariance, places[..., b:c], places[..., c:d], places[..., d:]


def measurement(
    groups: Mapping[str, npt.ArrayLike],
    factors: Sequence[int],
    level: Level | str = Level.CONFIGURAL,
    *,
    estimator: Estimator | str = Estimator.ML,
) -> Measurement:
    """Fit the items of all groups at one level of equality; rows with a blank are left out.

    Parameters
    ----------
    groups
        Answers by group, each of shape (n, p), oriented so that more means more of the factor.
    factors
        Number of the factor of each item, from 0, shape (p,).
    level
        What is equal in all groups. Strict is of continuous items only.
    estimator
        `ml`, or `wlsmv` for ordered answers.

    Raises
    ------
    InvalidOptionError
        If a factor has fewer than two items (three where it is alone), or the level is not of the estimator.
    TooFewRowsError, ConstantColumnError
        If a group cannot have a covariance of full rank.
    EmptyCategoryError
        If ordered answers have other categories in one group than in another.
    NotConvergedError
        If the search finds no maximum.
    """
    level, estimator = as_option(Level, level), as_option(Estimator, estimator)
    if not groups:
        raise InvalidOptionError("measurement needs at least one group.")
    factor = np.asarray(factors, dtype=np.int64)
    sizes = np.bincount(factor)
    if (sizes < (3 if len(sizes) == 1 else 2)).any():
        raise InvalidOptionError(
            f"Too few items for a factor to be identified: {sizes.tolist()} items a factor."
        )
    complete = {}
    for name, answers in groups.items():
        matrix = as_matrix(answers, name)
        if matrix.shape[1] != len(factor):
            raise InvalidOptionError(f"{name}: {matrix.shape[1]} items, and factors of {len(factor)}.")
        rows = matrix[~np.isnan(matrix).any(axis=1)]
        if len(rows) <= len(factor) + 1:
            raise TooFewRowsError(f"{name}: {len(rows)} complete rows for {len(factor)} items.")
        if (flat := without_spread(rows)).any():
            raise ConstantColumnError(f"{name}: one category in {int(flat.sum())} of {len(factor)} items.")
        complete[name] = rows
    if estimator is Estimator.ML:
        return _maximum_likelihood(complete, factor, level)
    if level is Level.STRICT:
        raise InvalidOptionError(
            "Ordered items have no strict level: their residual variances are fixed by the others."
        )
    return _weighted(complete, factor, level)


def _layout(
    factor: IntArray,
    thresholds: IntArray,
    level: Level,
    tails: FloatArray,
    loadings: FloatArray,
    last: FloatArray,
) -> _Layout:
    """Places of G groups; `tails`, `loadings` and `last` are start values of shapes (G, p or t), (G, p) and (G, p)."""
    n_groups, k, is_ordered = len(tails), int(factor.max()) + 1, len(thresholds) > 0
    row, column = np.tril_indices(k)
    numbers: list[npt.NDArray[np.int64]] = []
    taken = 0

    def place(
        size: int, free: npt.NDArray[np.bool_], shared: bool, g: int, offset: int
    ) -> npt.NDArray[np.int64]:
        nonlocal taken
        if shared and g > 0:
            return numbers[0][offset : offset + size]
        places = np.full(size, -1)
        places[free] = taken + np.arange(int(free.sum()))
        taken += int(free.sum())
        return places

    is_metric, is_scalar = level is not Level.CONFIGURAL, level in (Level.SCALAR, Level.STRICT)
    p, t = len(factor), tails.shape[1]
    for g in range(n_groups):
        own = [place(p, np.ones(p, dtype=bool), is_metric, g, 0)]
        own.append(place(len(row), (row != column) | (is_metric and g > 0), False, g, 0))
        own.append(place(k, np.full(k, is_scalar and g > 0), False, g, 0))
        own.append(place(t, np.ones(t, dtype=bool), is_scalar, g, p + len(row) + k))
        is_free = (is_scalar and g > 0) if is_ordered else True
        own.append(place(p, np.full(p, is_free), level is Level.STRICT, g, p + len(row) + k + t))
        numbers.append(np.concatenate(own))
    covariance = np.tile(np.where(row == column, 1.0, 0.2), (n_groups, 1))
    start = np.column_stack([loadings, covariance, np.zeros((n_groups, k)), tails, last])
    return _Layout(factor, k, thresholds, np.array(numbers), start)


def _oriented(parts: tuple[npt.NDArray[Any], ...]) -> tuple[npt.NDArray[Any], ...]:
    """Parts of all groups with the factors turned so that their loadings sum to more than nought."""
    loading, covariance, means, *rest = parts
    sign = np.where(loading.sum(axis=1) < 0, -1.0, 1.0)
    return loading * sign[:, None], covariance * sign[:, :, None] * sign[:, None], means * sign, *rest


def _derivatives(layout: _Layout, places: FloatArray) -> tuple[npt.NDArray[Any], ...]:
    """Parts of a group for each place moved by a complex step."""
    return layout.parts(places + 1j * _STEP * np.eye(len(places)))


# ---- continuous items


@dataclass(frozen=True)
class _Moments:
    """What maximum likelihood takes of a group, with divisor n."""

    n: int
    mean: FloatArray
    covariance: FloatArray
    log_determinant: float


def _maximum_likelihood(groups: Mapping[str, FloatArray], factor: IntArray, level: Level) -> Measurement:
    moments = []
    for name, rows in groups.items():
        covariance = np.cov(rows, rowvar=False, bias=True)
        sd = np.sqrt(np.diag(covariance))
        smallest = np.linalg.eigvalsh(covariance / np.outer(sd, sd))[0]
        if smallest < 1e-10:
            raise CollinearColumnsError(f"{name}: an item is a sum of the others.")
        moments.append(_Moments(len(rows), rows.mean(0), covariance, float(np.linalg.slogdet(covariance)[1])))
    variance = np.array([np.diag(m.covariance) for m in moments])
    tails = np.array([m.mean for m in moments])
    layout = _layout(
        factor, np.empty(0, dtype=np.int64), level, tails, 0.7 * np.sqrt(variance), 0.5 * variance
    )
    free, likelihood = _maximum(layout, moments, level)
    n, p = np.array([m.n for m in moments]), len(factor)
    df = len(moments) * p * (p + 3) // 2 - layout.n_free
    baseline = sum(
        m.n * (np.log(v).sum() - m.log_determinant) for m, v in zip(moments, variance, strict=True)
    )
    try:
        inverse = np.linalg.inv(likelihood.information)
    except np.linalg.LinAlgError:
        raise NotConvergedError(f"The {level} model is not identified by these answers.") from None
    own = np.sqrt(np.maximum(np.diag(inverse), 0))
    errors: FloatArray = np.where(layout.where < 0, 0.0, own[layout.where])
    _, b, c, _, _ = layout.ends
    equal = (level is not Level.CONFIGURAL, level in (Level.SCALAR, Level.STRICT))
    tests = [
        tuple(_item_test(layout, likelihood, start + i) for i in range(p))
        if held and len(moments) > 1
        else ()
        for held, start in zip(equal, (0, c), strict=True)
    ]
    loading, factor_covariance, means, intercepts, residuals = _oriented(layout.parts(layout.places(free)))
    return Measurement(
        level,
        Estimator.ML,
        tuple(groups),
        n,
        *_indices(likelihood.deviance, df, baseline, len(moments) * p * (p - 1) // 2, n),
        likelihood.deviance,
        loading.sum(axis=-1),
        intercepts,
        residuals,
        means,
        errors[:, b:c],
        factor_covariance,
        *tests,
    )


def _maximum(layout: _Layout, moments: Sequence[_Moments], level: Level) -> tuple[FloatArray, "_Likelihood"]:
    """Scoring, which is quick where the model fits; what it leaves is searched by BFGS, scaled by the information."""
    free = layout.first()
    likelihood = _likelihood(layout, moments, free)
    damping = 1e-3

    def miss() -> float:
        return float(np.abs(likelihood.gradient / np.sqrt(np.diag(likelihood.information))).max())

    for _ in range(_SCORING_STEPS):
        if miss() < _CLOSE:
            return free, likelihood
        step = np.linalg.solve(
            likelihood.information + damping * np.diag(np.diag(likelihood.information)), likelihood.gradient
        )
        trial = _likelihood(layout, moments, free + step)
        if trial.deviance < likelihood.deviance:
            free, likelihood, damping = free + step, trial, damping / 10
        else:
            damping *= 10
    root = np.linalg.cholesky(likelihood.information)

    def deviance(x: FloatArray) -> tuple[float, FloatArray]:
        trial = _likelihood(layout, moments, solve_triangular(root, x, trans="T", lower=True))
        if not np.isfinite(trial.deviance):
            return np.inf, np.zeros_like(x)
        return trial.deviance / 2, -solve_triangular(root, trial.gradient, lower=True)

    search = optimize.minimize(
        deviance,
        root.T @ free,
        jac=True,
        method="BFGS",
        options={"gtol": _CLOSE / 10, "maxiter": _ITERATIONS},
    )
    free = solve_triangular(root, search.x, trans="T", lower=True)
    likelihood = _likelihood(layout, moments, free)
    if miss() > _CONVERGED:
        raise NotConvergedError(f"The {level} model has no maximum within {_ITERATIONS} steps.")
    return free, likelihood


@dataclass(frozen=True)
class _Likelihood:
    """Deviance from the saturated model, and derivatives of the log likelihood by free parameters and by places."""

    deviance: float
    gradient: FloatArray
    information: FloatArray
    place_gradient: FloatArray
    place_information: FloatArray


def _likelihood(layout: _Layout, moments: Sequence[_Moments], free: FloatArray) -> _Likelihood:
    deviance, gradients, informations = 0.0, [], []
    for places, m in zip(layout.places(free), moments, strict=True):
        loading, factor_covariance, means, intercepts, residuals = _derivatives(layout, places)
        sigma = loading @ factor_covariance @ np.swapaxes(loading, -1, -2)
        diagonal = np.arange(len(layout.factor))
        sigma[..., diagonal, diagonal] += residuals
        mu = intercepts + (loading @ means[..., None])[..., 0]
        now, by_sigma, by_mu = sigma[0].real, sigma.imag / _STEP, mu.imag / _STEP
        try:
            root = np.linalg.cholesky(now)
        except np.linalg.LinAlgError:
            return _Likelihood(np.inf, *(np.empty(0),) * 4)
        inverse = np.linalg.inv(now)
        off = m.mean - mu[0].real
        seen = m.covariance + np.outer(off, off)
        log_determinant = 2 * np.log(np.diag(root)).sum()
        deviance += m.n * float(
            log_determinant - m.log_determinant + (inverse * seen).sum() - len(layout.factor)
        )
        turned = inverse @ by_sigma
        flat = turned.reshape(len(places), -1)
        other = np.swapaxes(turned, -1, -2).reshape(len(places), -1)
        informations.append(m.n * (flat @ other.T / 2 + by_mu @ inverse @ by_mu.T))
        miss = inverse @ (seen - now) @ inverse
        gradients.append(m.n * (np.einsum("jab,ab->j", by_sigma, miss) / 2 + by_mu @ (inverse @ off)))
    gradient, information = np.zeros(layout.n_free), np.zeros((layout.n_free,) * 2)
    for g in range(len(moments)):
        gradient += layout.spread(g, gradients[g][None])[0]
        information += layout.spread(g, layout.spread(g, informations[g]).T)
    return _Likelihood(deviance, gradient, information, np.array(gradients), np.array(informations))


def _item_test(layout: _Layout, likelihood: _Likelihood, place: int) -> ItemTest:
    """Score test of one parameter that all groups share against one for each group (Rao 1948; Sörbom 1989)."""
    others = range(1, len(layout.where))
    within = np.array([likelihood.place_information[g][place, place] for g in others])
    across = np.array([layout.spread(g, likelihood.place_information[g][place][None])[0] for g in others])
    score = likelihood.place_gradient[1:, place]
    left = np.diag(within) - across @ np.linalg.solve(likelihood.information, across.T)
    chi2 = float(score @ np.linalg.solve(left, score))
    return ItemTest(chi2, len(score), float(stats.chi2.sf(chi2, len(score))))


def _indices(
    chi2: float, df: int, baseline: float, baseline_df: int, n: IntArray
) -> tuple[float, int, float, float, float, float]:
    """Statistic, df, p, CFI, TLI and RMSEA."""
    if df < 1:
        raise InvalidOptionError("The model has no degree of freedom, so there is no fit to judge.")
    worse = max(chi2 - df, 0.0)
    total = max(baseline - baseline_df, worse)
    if total <= 0:
        raise BelowRoundingError("The items are unrelated: there is no fit to judge.")
    tli = ((baseline / baseline_df) - chi2 / df) / (baseline / baseline_df - 1)
    rmsea = float(np.sqrt(worse / df / n.sum() * len(n)))
    return chi2, df, float(stats.chi2.sf(chi2, df)), 1 - worse / total, float(tli), rmsea


# ---- ordered items


def _weighted(groups: Mapping[str, FloatArray], factor: IntArray, level: Level) -> Measurement:
    ordered = [polychoric(rows) for rows in groups.values()]
    _same_categories(tuple(groups), ordered)
    thresholds = np.repeat(np.arange(len(factor)), [len(cut) for cut in ordered[0].thresholds])
    tails = np.array([np.concatenate(each.thresholds) for each in ordered])
    n = np.array([each.n for each in ordered])
    ones = np.ones((len(ordered), len(factor)))
    layout = _layout(factor, thresholds, level, tails, 0.7 * ones, ones)
    share = n / n.sum()
    weights = np.concatenate([s / np.diag(each.covariance) for s, each in zip(share, ordered, strict=True)])
    seen = np.concatenate([each.statistics for each in ordered])

    def implied(free: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, slopes = [], []
        for g, places in enumerate(layout.places(free)):
            loading, covariance, means, cuts, scales = _derivatives(layout, places)
            centre = (loading @ means[..., None])[..., 0]
            moved = scales[..., thresholds] * (cuts - centre[..., thresholds])
            turned = scales[..., None] * loading
            every = np.concatenate([moved, lower(turned @ covariance @ np.swapaxes(turned, -1, -2))], axis=-1)
            values.append(every[0].real)
            slopes.append(layout.spread(g, every.imag.T / _STEP))
        return np.concatenate(values), np.concatenate(slopes)

    free, damping = layout.first(), 1e-3
    value, slope = implied(free)
    loss = float(weights @ (seen - value) ** 2)
    for _ in range(_ITERATIONS):
        information = slope.T @ (weights[:, None] * slope)
        gradient = slope.T @ (weights * (seen - value))
        size = np.sqrt(np.maximum(np.diag(information), 1e-300))
        if np.abs(gradient / size).max() < 1e-9:
            break
        step = np.linalg.solve(information + damping * np.diag(size**2), gradient)
        trial, trial_slope = implied(free + step)
        trial_loss = float(weights @ (seen - trial) ** 2)
        if trial_loss < loss:
            free, value, slope, loss, damping = free + step, trial, trial_slope, trial_loss, damping / 10
        elif np.abs(step * size).max() < 1e-8:
            break
        else:
            damping *= 10
    else:
        raise NotConvergedError(f"The {level} model has no minimum within {_ITERATIONS} steps.")
    df = len(seen) - layout.n_free
    if df < 1:
        raise InvalidOptionError("The model has no degree of freedom, so there is no fit to judge.")
    inner = slope.T @ (weights[:, None] * slope)
    weighted = weights[:, None] * slope
    projected = np.diag(weights) - weighted @ np.linalg.solve(inner, weighted.T)
    # lavaan counts a household less in each group than least squares were weighted by
    counted = (
        np.concatenate([np.full(len(e.statistics), (e.n - 1) / e.n) for e in ordered]) * weights * n.sum()
    )
    statistic = float(counted @ (seen - value) ** 2)
    adjusted = _adjusted(statistic, df, projected, ordered, share)
    is_r = np.concatenate([np.arange(len(e.statistics)) >= len(thresholds) for e in ordered])
    apart = float(counted[is_r] @ seen[is_r] ** 2)
    baseline_df = int(is_r.sum())
    baseline = _adjusted(apart, baseline_df, np.diag(weights * is_r), ordered, share)
    loading, factor_covariance, means, _, scales = _oriented(layout.parts(layout.places(free)))
    common = np.einsum("gik,gkl,gil->gi", loading, factor_covariance, loading)
    return Measurement(
        level,
        Estimator.WLSMV,
        tuple(groups),
        n,
        *_indices(adjusted, df, baseline, baseline_df, n - 1),
        statistic,
        loading.sum(axis=-1),
        np.zeros_like(common),
        1 / scales**2 - common,
        means,
        np.full_like(means, np.nan),
        factor_covariance,
        (),
        (),
    )


def _adjusted(
    statistic: float, df: int, projected: FloatArray, ordered: Sequence[Ordered], share: FloatArray
) -> float:
    """Statistic scaled and shifted to the mean and variance of chi-square with df (Asparouhov and Muthén 2010)."""
    product = np.empty_like(projected)
    start = 0
    for s, each in zip(share, ordered, strict=True):
        own = slice(start, start + len(each.covariance))
        product[:, own] = projected[:, own] @ each.covariance / s
        start = own.stop
    first, second = float(np.trace(product)), float((product * product.T).sum())
    scale = np.sqrt(df / second)
    return float(statistic * scale + df - scale * first)


def _same_categories(names: Sequence[str], ordered: Sequence[Ordered]) -> None:
    for name, each in zip(names[1:], ordered[1:], strict=True):
        for i, (ours, theirs) in enumerate(zip(ordered[0].levels, each.levels, strict=True)):
            if not np.array_equal(ours, theirs):
                raise EmptyCategoryError(
                    f"Item {i} has the categories {ours.tolist()} in {names[0]} and {theirs.tolist()} in {name}; "
                    "thresholds can be equal only where all groups used the same."
                )


# ---- where equality fails


def align(
    loadings: npt.ArrayLike,
    intercepts: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    epsilon: float = 0.001,
) -> Aligned:
    """Means and variances of a factor that leave few items that differ much (Asparouhov and Muthén 2014).

    Structural Equation Modeling 21(4), 495-508, equations 6 to 11: pairs of groups weigh as the root of the product
    of their sizes, and a difference x costs ``(x^2 + epsilon)^(1/4)``. The search goes from a rough cost to the wanted.

    Parameters
    ----------
    loadings, intercepts : array_like, shape (G, p)
        Of the items of one factor in the configural model, whose factor has mean 0 and variance 1 in every group.
    n : array_like, shape (G,)
        Households.

    Raises
    ------
    AnalysisError
        If shapes differ, there are fewer than two groups, or a group's loadings are all nought.
    """
    load, start, sizes = (np.asarray(x, dtype=np.float64) for x in (loadings, intercepts, n))
    if load.ndim != 2 or load.shape != start.shape or sizes.shape != load.shape[:1] or len(load) < 2:
        raise AnalysisError(
            f"align needs G x p loadings and intercepts of two groups or more, got {load.shape}."
        )
    first, second = np.array(list(combinations(range(len(load)), 2))).T
    weight = np.sqrt(sizes[first] * sizes[second])
    weight = weight / weight.sum()
    strength = np.abs(load).mean(axis=1)
    if not (strength > 0).all():
        raise AnalysisError("A group's loadings are all nought: the factor has no scale there.")

    def moved(free: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        means = np.concatenate([[0.0], free[: len(load) - 1]])
        sd = np.exp(np.concatenate([[0.0], free[len(load) - 1 :]]))
        scaled = load / sd[:, None]
        return means, sd, scaled, start - means[:, None] * scaled

    def cost(free: FloatArray, epsilon: float) -> float:
        _, _, scaled, shifted = moved(free)
        off = np.hstack([scaled[first] - scaled[second], shifted[first] - shifted[second]])
        return float(weight @ ((off**2 + epsilon) ** 0.25).sum(axis=1))

    scale = np.log(strength[1:] / strength[0])
    middle = ((start[0] - start[1:]) * -load[1:]).sum(axis=1) / (load[1:] ** 2).sum(axis=1) * np.exp(scale)
    free = np.concatenate([middle, scale])
    rough = [e for e in (1.0, 0.1, 0.01) if e > epsilon]
    for each in (*rough, epsilon):
        free = optimize.minimize(cost, free, args=(each,), method="BFGS").x
    means, sd, scaled, shifted = moved(free)
    expected = scaled.T @ sizes / sizes.sum()
    explained = start - shifted.T @ sizes / sizes.sum() - means[:, None] * load / sd[:, None]
    return Aligned(
        means,
        sd**2,
        scaled,
        shifted,
        _explained(load, load - sd[:, None] * expected),
        _explained(start, explained),
    )


def _explained(values: FloatArray, rest: FloatArray) -> FloatArray:
    """One less the share of the variance between groups that is left; 1 where nothing differs."""
    whole = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    left = ((rest - rest.mean(axis=0)) ** 2).sum(axis=0)
    known = whole > 1e-12 * np.maximum((values**2).sum(axis=0), 1e-300)
    return np.where(known, np.maximum(1 - left / np.where(known, whole, 1.0), 0.0), 1.0)


# ---- reliability


def omega(fit: Measurement, factors: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Share of the variance of the sum of items that is due to the factors (McDonald 1999, Test theory, equation 6.20).

    Unlike alpha it does not take loadings to be equal.

    Parameters
    ----------
    fit
        By maximum likelihood.
    factors
        As given to `measurement`.

    Returns
    -------
    total : ndarray, shape (G,)
        Of the sum of all items.
    by_factor : ndarray, shape (G, k)
        Of the sum of the items of each factor.
    """
    member = np.eye(fit.factor_covariance.shape[1])[np.asarray(factors)]
    sums = fit.loadings @ member
    true = np.einsum("gk,gkl,gl->g", sums, fit.factor_covariance, sums)
    own = sums**2 * np.einsum("gkk->gk", fit.factor_covariance)
    noise = fit.residuals @ member
    return true / (true + noise.sum(axis=1)), own / (own + noise)
