"""Comparison of models across groups: do the same regressors work the same way in every region.

Belongs here: tests of equal coefficients across groups (Chow, Wald, interactions) and the Oaxaca-Blinder
decomposition of a gap between two groups, all from summaries or fitted models, on unstandardised
coefficients: standardised ones differ between regions already when only the spread of a regressor does.
Does not belong here: pooling estimates of studies (``meta_analysis``), means under a survey design
(``survey_design``), similarity of factor structures (``factors``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats
from scipy.linalg import block_diag, solve_triangular

from analysis.arrays import ROUNDING, FloatArray, one_of
from analysis.errors import AnalysisError, BelowRoundingError, InvalidOptionError, TooFewGroupsError
from analysis.inference import ClusterScores, Part
from analysis.regression import Regression, fit_ols, wald_statistic
from analysis.summary import Summary


@dataclass(frozen=True)
class EqualityTest:
    """Test of coefficients being equal in all groups.

    Parameters
    ----------
    test : str
        ``chow``, ``chow_slopes`` or ``wald``.
    statistic : float
        F for the Chow tests, chi-squared for Wald.
    df_numerator : int
    df_denominator : float
        Infinite for chi-squared.
    p : float
    groups, terms : tuple
        What was compared.
    """

    test: str
    statistic: float
    df_numerator: int
    df_denominator: float
    p: float
    groups: tuple[Any, ...]
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Interactions:
    """Differences of one group's coefficients from those of the reference group.

    Parameters
    ----------
    group, reference : object
    terms : tuple of str
        k coefficients.
    difference, se, t, p : ndarray, shape (k,)
    df : int
        Residual degrees of freedom of the pooled, fully interacted model.
    """

    group: Any
    reference: Any
    terms: tuple[str, ...]
    difference: FloatArray
    se: FloatArray
    t: FloatArray
    p: FloatArray
    df: int


@dataclass(frozen=True)
class OaxacaBlinder:
    """Decomposition of ``mean(y_a) - mean(y_b)``.

    Parameters
    ----------
    gap : float
        Equals endowments + coefficients + interaction, and explained + unexplained.
    endowments, coefficients, interaction : float
        Three-fold, from the view of group b.
    endowments_se, coefficients_se, interaction_se : float
        Delta method with random regressors; NaN under sampling weights, whose design they do not know.
    explained, unexplained : float
        Two-fold, with the coefficients of the pooled model that includes a group indicator.
    terms : tuple of str
        Regressors.
    explained_by_term : ndarray, shape (k - 1,)
        Shares of ``explained``.
    """

    gap: float
    endowments: float
    coefficients: float
    interaction: float
    endowments_se: float
    coefficients_se: float
    interaction_se: float
    explained: float
    unexplained: float
    terms: tuple[str, ...]
    explained_by_term: FloatArray


def chow_test(
    groups: Mapping[Any, Summary],
    dependent: str,
    regressors: Sequence[str],
    *,
    free: Literal["none", "intercepts"] = "none",
) -> EqualityTest:
    """Chow's F test that one model holds in all groups (Chow 1960, doi 10.2307/1910133).

    ``F = ((RSS_pooled - sum RSS_g) / q) / (sum RSS_g / (n - G k))``.

    Parameters
    ----------
    groups : mapping
        Group to summary, from one call of ``summarise``.
    dependent : str
    regressors : sequence of str
    free : {"none", "intercepts"}
        Under the null hypothesis all coefficients are equal, or all but the intercepts (only slopes tested).

    Raises
    ------
    TooFewGroupsError
    BelowRoundingError
        If the model fits perfectly in every group: what is left is rounding noise.
    AnalysisError
        If the model cannot be fitted in a group; the message names the group.
    """
    one_of(free, ("none", "intercepts"), "free")
    models = _fit_groups(groups, dependent, regressors)
    _require_residuals(models)
    indicators = [f"(group {number})" for number in range(1, len(models))] if free == "intercepts" else []
    summaries = list(groups.values())
    for number, indicator in enumerate(indicators, start=1):
        summaries = [
            each.with_constant(indicator, float(place == number)) for place, each in enumerate(summaries)
        ]
    pooled = fit_ols(summaries[0].merge(*summaries[1:]), dependent, (*regressors, *indicators))
    terms = pooled.terms[: len(regressors) + 1]
    rss = sum(model.rss for model in models.values())
    df = sum(model.df_residual for model in models.values())
    q = pooled.df_residual - df
    # One model for all cannot fit better than one for each but by rounding.
    statistic = (max(pooled.rss - rss, 0.0) / q) / (rss / df)
    return EqualityTest(
        test="chow_slopes" if indicators else "chow",
        statistic=statistic,
        df_numerator=q,
        df_denominator=df,
        p=float(stats.f.sf(statistic, q, df)),
        groups=tuple(groups),
        terms=terms[1:] if indicators else terms,
    )


def wald_equality(models: Mapping[Any, Regression], terms: Sequence[str]) -> EqualityTest:
    """Wald test that coefficients are equal in independent groups, each with its own covariance.

    Unlike Chow's test it allows residual variances to differ, and takes robust covariances.

    Parameters
    ----------
    models : mapping
        Group to model.
    terms : sequence of str
        Coefficients to compare; one term gives the test of that term.

    Raises
    ------
    TooFewGroupsError
    InvalidOptionError
        If a model lacks a term.
    BelowRoundingError
        If a model has no inference of a term: it fits perfectly, or one row or cluster determines the term alone.
    """
    _require_two(models)
    for group, model in models.items():
        lacking = [term for term in terms if term not in model.terms]
        if lacking or not terms:
            raise InvalidOptionError(f"Group {group!r}: no coefficient of {lacking} in {list(model.terms)}.")
        unknown = [term for term in terms if model.is_perfect or term in model.lone]
        if unknown:
            raise BelowRoundingError(f"Group {group!r}: the error of {unknown} is not known.")
    places = [[model.terms.index(term) for term in terms] for model in models.values()]
    b = [model.b[place] for model, place in zip(models.values(), places, strict=True)]
    v = [model.covariance[np.ix_(place, place)] for model, place in zip(models.values(), places, strict=True)]
    difference = np.concatenate([each - b[0] for each in b[1:]])
    covariance = block_diag(*v[1:]) + np.kron(np.ones((len(b) - 1, len(b) - 1)), v[0])
    statistic = wald_statistic(difference, covariance)
    return EqualityTest(
        test="wald",
        statistic=statistic,
        df_numerator=len(difference),
        df_denominator=np.inf,
        p=float(stats.chi2.sf(statistic, len(difference))),
        groups=tuple(models),
        terms=tuple(terms),
    )


def interactions(
    groups: Mapping[Any, Summary], dependent: str, regressors: Sequence[str], *, reference: Any
) -> list[Interactions]:
    """Coefficients of the pooled model in which every regressor interacts with the group.

    That model has the coefficients of the separate ones, and one residual variance for all groups.

    Parameters
    ----------
    groups : mapping
        Group to summary.
    dependent : str
    regressors : sequence of str
    reference : object
        Group the others are compared with.

    Raises
    ------
    TooFewGroupsError, InvalidOptionError, BelowRoundingError, AnalysisError
    """
    models = _fit_groups(groups, dependent, regressors)
    _require_residuals(models)
    if reference not in models:
        raise InvalidOptionError(f"Reference group {reference!r} is not among {list(models)}.")
    df = sum(model.df_residual for model in models.values())
    variance = sum(model.rss for model in models.values()) / df
    unscaled = {group: _unscaled_variances(model) for group, model in models.items()}
    base = models[reference]
    results = []
    for group, model in models.items():
        if group == reference:
            continue
        difference = model.b - base.b
        se = np.sqrt(variance * (unscaled[group] + unscaled[reference]))
        t = difference / se
        p = 2 * stats.t.sf(np.abs(t), df)
        results.append(Interactions(group, reference, base.terms, difference, se, t, p, df))
    return results


def oaxaca_blinder(a: Summary, b: Summary, dependent: str, regressors: Sequence[str]) -> OaxacaBlinder:
    """Three-fold and pooled two-fold decomposition of the gap between two groups.

    Blinder (1973), Oaxaca (1973); pooled coefficients and standard errors after Jann (2008),
    doi 10.1177/1536867X0800800401.

    Parameters
    ----------
    a, b : Summary
        Groups; the gap is mean of a minus mean of b.
    dependent : str
    regressors : sequence of str

    Raises
    ------
    AnalysisError
        If the model cannot be fitted in a group; the message names the group.
    """
    models = _fit_groups({"a": a, "b": b}, dependent, regressors)
    model_a, model_b = models["a"], models["b"]
    x_a, v_a = _regressor_means(a, regressors)
    x_b, v_b = _regressor_means(b, regressors)
    dx, db = x_a - x_b, model_a.b - model_b.b
    v_coefficients = model_a.covariance + model_b.covariance
    pooled = _pooled(a, b, dependent, regressors)
    by_term = dx[1:] * pooled.b[1:-1]
    gap = float(a.subset([dependent]).mean()[0] - b.subset([dependent]).mean()[0])
    return OaxacaBlinder(
        gap=gap,
        endowments=float(dx @ model_b.b),
        coefficients=float(x_b @ db),
        interaction=float(dx @ db),
        endowments_se=_form_se(dx, model_b.covariance, model_b.b, v_a + v_b),
        coefficients_se=_form_se(x_b, v_coefficients, db, v_b),
        interaction_se=_form_se(dx, v_coefficients, db, v_a + v_b),
        explained=float(by_term.sum()),
        unexplained=gap - float(by_term.sum()),
        terms=tuple(regressors),
        explained_by_term=by_term,
    )


def gap_contrasts(
    a: tuple[Summary, Regression, ClusterScores], b: tuple[Summary, Regression, ClusterScores]
) -> dict[str, list[Part]]:
    """Components of a gap that are nought where one model holds in both groups, as combinations of coefficients.

    ``coefficients``, ``interaction`` and ``unexplained`` of `oaxaca_blinder`, with the households' regressors as they
    are. The other components are not nought then: groups of few clusters always differ in their regressors.

    Parameters
    ----------
    a, b : (Summary, Regression, ClusterScores)
        Groups that share no cluster, each with the same model fitted to it.

    Returns
    -------
    dict
        Component to the parts of its test.
    """
    dependent, regressors = a[1].dependent, a[1].regressors
    (x_a, _), (x_b, _) = (_regressor_means(each[0], regressors) for each in (a, b))
    # means that agree but for rounding do not differ
    apart = np.where(np.abs(x_a - x_b) <= ROUNDING * np.maximum(np.abs(x_a), np.abs(x_b)), 0.0, x_a - x_b)
    contrasts = {
        name: [(*a[1:], x[None]), (*b[1:], -x[None])]
        for name, x in (("coefficients", x_b), ("interaction", apart))
    }
    pooled = _pooled(a[0], b[0], dependent, regressors)
    indicator = np.eye(len(pooled.terms))[[-1]]
    scores = _pooled_scores(pooled, [(*a[1:], 1.0), (*b[1:], 0.0)])
    return {**contrasts, "unexplained": [(pooled, scores, indicator)]}


def _pooled(a: Summary, b: Summary, dependent: str, regressors: Sequence[str]) -> Regression:
    """The model of both groups, whose last term says that a row is of the first."""
    indicator = "(group)"
    both = a.with_constant(indicator, 1.0).merge(b.with_constant(indicator, 0.0))
    return fit_ols(both, dependent, (*regressors, indicator))


def _pooled_scores(
    pooled: Regression, groups: Sequence[tuple[Regression, ClusterScores, float]]
) -> ClusterScores:
    """Scores of the clusters in the pooled model, from those in the models of the groups: no row is read again."""
    inverse = solve_triangular(pooled.factor, np.eye(len(pooled.terms)))
    leverages, sums, clusters = [], [], []
    for number, (model, scores, is_first) in enumerate(groups):
        # columns of the pooled model from those of the group's
        columns = np.column_stack([np.eye(len(model.terms)), is_first * np.eye(len(model.terms), 1)])
        squares = model.factor.T @ scores.leverages @ model.factor
        products = scores.scores @ model.factor + squares @ (model.b - columns @ pooled.b)
        q = columns @ inverse
        leverages.append(q.T @ squares @ q)
        sums.append(products @ q)
        clusters += [(number, cluster) for cluster in scores.clusters]
    shares, total = np.concatenate(leverages), np.concatenate(sums)
    return ClusterScores(groups[0][1].column, tuple(clusters), shares, total - shares @ total.sum(axis=0))


def _require_two(groups: Mapping[Any, Any]) -> None:
    if len(groups) < 2:
        raise TooFewGroupsError(f"A comparison needs at least two groups; given: {list(groups)}.")


def _require_residuals(models: Mapping[Any, Regression]) -> None:
    if all(model.is_perfect for model in models.values()):
        raise BelowRoundingError("The model fits perfectly in every group: its residuals are rounding noise.")


def _fit_groups(
    groups: Mapping[Any, Summary], dependent: str, regressors: Sequence[str]
) -> dict[Any, Regression]:
    _require_two(groups)
    models = {}
    for group, summary in groups.items():
        try:
            models[group] = fit_ols(summary, dependent, regressors)
        except AnalysisError as error:
            raise type(error)(f"Group {group!r}: {error}") from error
    return models


def _unscaled_variances(model: Regression) -> FloatArray:
    """Diagonal of ``(X'X)^-1``, shape (k,)."""
    inverse = solve_triangular(model.factor, np.eye(len(model.terms)))
    variances: FloatArray = np.einsum("ij,ij->i", inverse, inverse)
    return variances


def _regressor_means(summary: Summary, regressors: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Means of ``[1 X]`` and their covariance."""
    narrowed = summary.subset(regressors)
    k = len(narrowed.columns) + 1
    covariance = np.zeros((k, k))
    known = summary.weight_kind != "sampling"
    covariance[1:, 1:] = narrowed.covariance() / summary.n if known else np.nan
    return np.concatenate([[1.0], narrowed.mean()]), covariance


def _form_se(x: FloatArray, v_b: FloatArray, b: FloatArray, v_x: FloatArray) -> float:
    """Standard error of ``x'b`` for independent x and b, first order."""
    return float(np.sqrt(x @ v_b @ x + b @ v_x @ b))
