"""Models of outcomes with bounds: ordered answers, and shares or degrees between 0 and 1.

Belongs here: proportional odds of ordered categories (McCullagh 1980, J. Royal Statistical Society B 42(2), 109-142),
the fractional logit of a number between 0 and 1 (Papke and Wooldridge 1996, J. Applied Econometrics 11(6), 619-632),
of which yes or no is a case, and average marginal effects. Does not belong here: least squares (`regression`).

Both are one quasi-likelihood: the fractional logit is the model of two categories, where a household lies in the upper
one with its outcome as weight and in the lower one with the rest. Clusters enter as in least squares, by their scores
and their share of the information, so that CR2 and Satterthwaite's degrees of freedom are those of `inference`: for the
fractional logit exactly those of R's clubSandwich on a quasi-binomial model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.special import expit

from analysis.arrays import FloatArray, IntArray, as_matrix, as_option, check_level, without_spread
from analysis.errors import (
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    SeparationError,
    TooFewRowsError,
)
from analysis.inference import ClusterScores, clustered, separate_errors
from analysis.levels import levels_of_combination
from analysis.regression import INTERCEPT, Regression

_STEPS = 60
_CLOSE = 1e-10
"""Half the squared length of a step in standard errors at which a search ends."""

_FLAT = 1e-7
"""Smallest variance of a combination of standardised regressors that is told from none."""

_UNKNOWN = 1e-3
"""Information on a standardised coefficient below this is that of no household: the regressor tells the outcome."""

_FAR = 12.0
"""A step of one standard deviation of a regressor that multiplies odds by more than exp of this was separated by it."""

_TINY = 1e-300


class Family(StrEnum):
    """Ordered categories, or a number between 0 and 1."""

    ORDERED = "ordered"
    FRACTIONAL = "fractional"


@dataclass(frozen=True)
class LimitedModel:
    """A logit model of n households with t thresholds (one intercept), k regressors and m outcomes.

    Attributes
    ----------
    family : Family
    model : Regression
        Coefficients on the log odds with CR2 and Satterthwaite's degrees of freedom; terms are the intercept, or a
        threshold for each category but the last, then the regressors. There is no F, R2 or VIF.
    outcomes : ndarray, shape (m,)
        Categories; one NaN for the mean of a number between 0 and 1.
    effects, effect_se, effect_df, effect_low, effect_high : ndarray, shape (k, m)
        Average change of the probability of an outcome (of the mean) a unit of the regressor; for a dummy, of having
        it. Their errors take the households as given; they hang on all coefficients, and are NaN where one of these is
        determined by one cluster alone.
    slopes : ndarray, shape (k, m, f)
        Derivatives of the effects by the f coefficients of the model.
    """

    family: Family
    model: Regression
    outcomes: FloatArray
    effects: FloatArray
    effect_se: FloatArray
    effect_df: FloatArray
    effect_low: FloatArray
    effect_high: FloatArray
    slopes: FloatArray = field(repr=False)
    scores: ClusterScores = field(repr=False)

    def levels(self, term: str, outcome: int | None = None) -> FloatArray:
        """Levels of the test of a coefficient, or of one of its effects, by the correlation within a cluster.

        To first order: the design is that of the last step of weighted least squares, and a cluster whose households
        have something in common moves all thresholds.
        """
        place, n_terms = self.model.terms.index(term), len(self.model.terms)
        row, df = np.eye(n_terms)[place], self.model.df[place]
        if outcome is not None:
            effect = place - n_terms, outcome
            row, df = self.slopes[effect], self.effect_df[effect]
        common = np.zeros((n_terms, 1))
        common[: n_terms - len(self.effects)] = 1.0
        # as strong in the households' mean as their own errors
        common *= np.sqrt(self.model.n) / np.linalg.norm(self.model.factor @ common)
        return levels_of_combination([(self.model, self.scores, row[None])], float(df), common=common)


def limited_outcome(
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    terms: Sequence[str],
    cluster: npt.ArrayLike,
    *,
    family: Family | str,
    categories: Sequence[Sequence[str]] = (),
    level: float = 0.95,
) -> LimitedModel:
    """Fit a logit model and its average marginal effects, with errors by clusters.

    Parameters
    ----------
    y : array_like, shape (n,)
        Ordered answers, or numbers between 0 and 1.
    x : array_like, shape (n, k)
        Regressors without a constant; rows with a blank are left out.
    terms : sequence of str
        Names of the regressors.
    cluster : array_like, shape (n,)
        Cluster of each household.
    family
        `ordered` or `fractional`.
    categories
        Dummies of one category: the effect of each is that of having it and none of the others, against having none.
        Any other regressor of 0 and 1 is a category of its own.
    level : float
        Coverage of intervals.

    Raises
    ------
    InvalidOptionError
        If shapes or names do not fit, or a fractional outcome lies beyond 0 to 1.
    ConstantColumnError, CollinearColumnsError
        If the outcome or a regressor has one value, or regressors determine each other.
    TooFewRowsError, TooFewClustersError
    SeparationError
        If a regressor tells the outcome without error, so that its coefficient has no finite estimate.
    """
    kind, names = as_option(Family, family), tuple(terms)
    check_level(level)
    answers = np.asarray(y, dtype=np.float64)
    regressors, groups = np.asarray(x, dtype=np.float64), np.asarray(cluster)
    if not names or regressors.shape != (len(answers), len(names)) or groups.shape != answers.shape:
        raise InvalidOptionError(
            f"{len(names)} terms and {len(answers)} outcomes for regressors of shape {regressors.shape} and "
            f"clusters of {groups.shape}."
        )
    matrix = as_matrix(np.column_stack([regressors, answers]), "regressors and outcome")
    complete = ~np.isnan(matrix).any(axis=1)
    matrix, groups = matrix[complete], groups[complete]
    z, outcomes = _outcomes(matrix[:, -1], kind)
    n, t = len(z), z.shape[1] - 1
    if n <= len(names) + t:
        raise TooFewRowsError(f"{n} complete rows for {len(names) + t} coefficients.")
    x_ = matrix[:, :-1]
    if (flat := without_spread(x_)).any():
        raise ConstantColumnError(f"One value only: {', '.join(np.array(names)[flat])}.")
    centre, scale = x_.mean(axis=0), x_.std(axis=0)
    standard = (x_ - centre) / scale
    if np.linalg.eigvalsh(standard.T @ standard / n)[0] < _FLAT:
        raise CollinearColumnsError(f"Of {', '.join(names)} some are combinations of others.")
    free = _search(z, standard, names)
    own, place = np.unique(groups, return_inverse=True)
    rows = _Rows.at(free, standard, t)
    score, information = rows.by_cluster(z, standard, place, len(own))
    root = np.linalg.cholesky(information.sum(axis=0)).T
    shares = _both_sides(root, information)
    sums = solve_triangular(root, score.T, trans="T").T
    # coordinates of the answers: thresholds of x itself, and for one threshold the intercept, which is its negative
    back = np.eye(t + len(names))
    back[:t, t:], back[t:, t:] = -centre, np.diag(scale)
    signs = np.ones(t + len(names))
    if kind is Family.FRACTIONAL:
        signs[0] = -1.0
    factor = root @ (back * signs)
    b = solve_triangular(factor, root @ free)
    heads = (INTERCEPT,) if kind is Family.FRACTIONAL else tuple(f"threshold {c:g}" for c in outcomes[:-1])
    scores = ClusterScores("cluster", tuple(own.tolist()), shares, sums - shares @ sums.sum(axis=0))
    # as `inference` takes it: R of the information in the place of R of the regressors
    bare = Regression.bare("y", (*heads, *names), b, factor, n, level)
    model = clustered(bare, scores, "CR2")
    effects, slopes = _effects(model.b * signs, x_, names, t, categories, kind)
    slopes = slopes * signs
    return LimitedModel(
        kind, model, outcomes, effects, *_errors(model, scores, slopes, effects, level), slopes, scores
    )


def _outcomes(y: FloatArray, kind: Family) -> tuple[FloatArray, FloatArray]:
    """Weight of each category for each household, shape (n, K), and the outcomes that effects are told of."""
    if len(y) == 0 or without_spread(y[:, None]).any():
        raise ConstantColumnError("The outcome has one value only.")
    if kind is Family.FRACTIONAL:
        if y.min() < 0 or y.max() > 1:
            raise InvalidOptionError(
                f"A fractional outcome lies between 0 and 1, not from {y.min():g} to {y.max():g}."
            )
        return np.column_stack([1 - y, y]), np.array([np.nan])
    categories, place = np.unique(y, return_inverse=True)
    if len(categories) > 20:
        raise InvalidOptionError(
            f"{len(categories)} values are no ordered categories; least squares are for numbers."
        )
    return np.eye(len(categories))[place], categories


@dataclass(frozen=True)
class _Rows:
    """Probability of lying below each end of K categories, shape (n, K + 1): from 0 to 1."""

    below: FloatArray

    @classmethod
    def at(cls, free: FloatArray, x: FloatArray, t: int) -> _Rows:
        inner = expit(free[:t] - (x @ free[t:])[:, None])
        return cls(np.hstack([np.zeros((len(x), 1)), inner, np.ones((len(x), 1))]))

    @property
    def p(self) -> FloatArray:
        """Probabilities of the categories, shape (n, K)."""
        return np.maximum(np.diff(self.below, axis=1), _TINY)

    @property
    def density(self) -> FloatArray:
        """Logistic density at each end, shape (n, K + 1)."""
        return self.below * (1 - self.below)

    def parts(self) -> FloatArray:
        """Derivatives of each probability by the thresholds and by the index x b, shape (n, K, t + 1)."""
        density = self.density
        n, t = len(density), density.shape[1] - 2
        parts = np.zeros((n, t + 1, t + 1))
        at = np.arange(t)
        parts[:, at, at] = density[:, 1:-1]
        parts[:, at + 1, at] = -density[:, 1:-1]
        parts[:, :, t] = -np.diff(density, axis=1)
        return parts

    def by_cluster(
        self, z: FloatArray, x: FloatArray, place: IntArray, n_clusters: int
    ) -> tuple[FloatArray, FloatArray]:
        """Scores and expected information of each cluster, shapes (G, f) and (G, f, f)."""
        parts = self.parts()
        t, k = parts.shape[2] - 1, x.shape[1]
        p = self.p
        slope = np.einsum("nk,nkt->nt", z / p, parts)
        weight = np.einsum("nks,nkt->nst", parts / p[..., None], parts)
        score, information = np.zeros((n_clusters, t + k)), np.zeros((n_clusters, t + k, t + k))
        order = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place, minlength=n_clusters))
        for g, rows in enumerate(np.split(order, ends[:-1])):
            own, w = x[rows], weight[rows]
            score[g] = np.concatenate([slope[rows, :t].sum(axis=0), slope[rows, t] @ own])
            information[g, :t, :t] = w[:, :t, :t].sum(axis=0)
            information[g, :t, t:] = w[:, :t, t].T @ own
            information[g, t:, :t] = information[g, :t, t:].T
            information[g, t:, t:] = own.T @ (w[:, t, t, None] * own)
        return score, information


def _search(z: FloatArray, x: FloatArray, names: Sequence[str]) -> FloatArray:
    """Fisher scoring with steps halved where they lose likelihood; thresholds, then slopes of standardised x."""
    t, n = z.shape[1] - 1, len(z)
    below = np.cumsum(z.mean(axis=0))[:-1]
    free = np.concatenate([np.log(below / (1 - below)), np.zeros(x.shape[1])])
    everybody = np.zeros(n, dtype=np.int64)
    separated = SeparationError(
        f"Of {', '.join(names)} some tell the outcome without error: their coefficients have no finite estimate. "
        "Merge rare categories."
    )

    def likelihood(at: FloatArray) -> float:
        if (np.diff(at[:t]) <= 0).any():
            return -np.inf
        return float((z * np.log(_Rows.at(at, x, t).p)).sum())

    now = likelihood(free)
    for _ in range(_STEPS):
        score, information = (part[0] for part in _Rows.at(free, x, t).by_cluster(z, x, everybody, 1))
        if np.linalg.eigvalsh(information)[0] < _UNKNOWN:
            raise separated
        step = np.linalg.solve(information, score)
        gain = float(score @ step) / 2
        for _ in range(30):
            trial = likelihood(free + step)
            if trial >= now or gain < _CLOSE:
                break
            step = step / 2
        free, now = free + step, trial
        if np.abs(free[t:]).max() > _FAR:
            raise separated
        if gain < _CLOSE:
            break
    else:
        raise separated
    return free


def _both_sides(root: FloatArray, matrices: FloatArray) -> FloatArray:
    """``R^-T M R^-1`` of each matrix."""
    inverse = solve_triangular(root, np.eye(len(root)))
    return np.asarray(inverse.T @ matrices @ inverse)


def _effects(
    free: FloatArray,
    x: FloatArray,
    names: Sequence[str],
    t: int,
    categories: Sequence[Sequence[str]],
    kind: Family,
) -> tuple[FloatArray, FloatArray]:
    """Average effects, shape (k, m), and their derivatives by thresholds and slopes, shape (k, m, t + k)."""
    unknown = [term for group in categories for term in group if term not in names]
    if unknown:
        raise InvalidOptionError(f"No regressors: {unknown}.")
    siblings = {
        names.index(term): [names.index(each) for each in group] for group in categories for term in group
    }
    told: slice = slice(1, None) if kind is Family.FRACTIONAL else slice(None)
    k = len(names)
    effects, slopes = [], []
    here = _Rows.at(free, x, t)
    by_index = here.parts()[:, :, t]
    # derivative of the density at each end
    bend = here.density * (1 - 2 * here.below)
    for j in range(k):
        if j in siblings or _is_dummy(x[:, j]):
            at = {1.0: x.copy(), 0.0: x.copy()}
            value, slope = np.zeros(t + 1), np.zeros((t + 1, t + k))
            for has, moved in at.items():
                moved[:, siblings.get(j, [j])] = 0.0
                moved[:, j] = has
                sign = 1.0 if has else -1.0
                moved_rows = _Rows.at(free, moved, t)
                parts = moved_rows.parts()
                value += sign * moved_rows.p.mean(axis=0)
                slope[:, :t] += sign * parts[:, :, :t].mean(axis=0)
                slope[:, t:] += sign * np.einsum("nk,nj->kj", parts[:, :, t], moved) / len(x)
        else:
            value = free[t + j] * by_index.mean(axis=0)
            slope = np.zeros((t + 1, t + k))
            slope[:, t:] = free[t + j] * np.einsum("nk,nj->kj", np.diff(bend, axis=1), x) / len(x)
            slope[:, t + j] += by_index.mean(axis=0)
            inner = bend[:, 1:-1].mean(axis=0)
            at_ = np.arange(t)
            slope[at_, at_] -= free[t + j] * inner
            slope[at_ + 1, at_] += free[t + j] * inner
        effects.append(value[told])
        slopes.append(slope[told])
    return np.array(effects), np.array(slopes)


def _is_dummy(values: FloatArray) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _errors(
    model: Regression, scores: ClusterScores, slopes: FloatArray, effects: FloatArray, level: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Errors, degrees of freedom and ends of intervals of combinations of the coefficients, by the delta method."""
    se, df = separate_errors(model, scores, slopes.reshape(effects.size, -1))
    se, df = se.reshape(effects.shape), df.reshape(effects.shape)
    half = stats.t.ppf(0.5 + level / 2, df) * se
    return se, df, effects - half, effects + half
