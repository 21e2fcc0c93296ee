"""Ordinary and weighted least squares on a summary.

Belongs here: coefficients, their classical inference, fit and collinearity measures, all from the triangular
factor of a ``Summary`` by triangular solves (``inv(X'X)`` would lose half the digits).
Does not belong here: anything that needs single rows: robust covariances live in ``inference``, specification
tests in ``diagnostics``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.linalg import solve_triangular

from analysis.arrays import BoolArray, FloatArray, check_level, one_of
from analysis.errors import (
    BelowRoundingError,
    CollinearColumnsError,
    ConstantColumnError,
    EmptyGroupError,
    InvalidOptionError,
    TooFewRowsError,
)
from analysis.summary import DEPENDENCE_TOLERANCE, Summary, WeightKind, triangular_factor

INTERCEPT = "(intercept)"
# One, two and three stars, as the four surveys' papers print them.
STAR_LEVELS = (0.10, 0.05, 0.01)
# Share of a coefficient's variance that the others leave: rounding leaves 1e-15 where there are fewer clusters than
# coefficients, and dividing by it gives an F of 1e15.
SINGULAR_BELOW = 1e-12


@dataclass(frozen=True)
class Omission:
    """A regressor that was left out of a model, and why."""

    term: str
    reason: str


@dataclass(frozen=True)
class Regression:
    """A fitted linear model with k coefficients.

    Parameters
    ----------
    dependent : str
    terms : tuple of str
        The k coefficients, ``(intercept)`` first where there is one.
    b, se, t, p, ci_low, ci_high : ndarray, shape (k,)
        Estimates in units of the dependent per unit of the regressor, and their inference.
    df : ndarray, shape (k,)
        Degrees of freedom of each t statistic.
    beta : ndarray, shape (k,)
        ``b * sd(x) / sd(y)``, for dummies too; NaN for the intercept.
    vif : ndarray, shape (k,)
        ``1 / (1 - R2 of x_j on the other regressors)``; NaN for the intercept. Uncentred without intercept.
    n, df_model, df_residual : int
    r2, adj_r2, f, f_p : float
        Around the mean; around zero without intercept. F tests all slopes, with the model's covariance.
    residual_sd : float
        In units of the dependent, for weights of mean 1.
    rss : float
        (Weighted) residual sum of squares, in the scale of the weights.
    covariance : ndarray, shape (k, k)
        Of ``b``, by ``covariance_kind``.
    factor : ndarray, shape (k, k)
        Upper-triangular R of the (weighted) regressors.
    n_clusters : int or None
        Clusters behind a clustered covariance.
    level : float
        Coverage of the confidence intervals.
    omitted : tuple of Omission
        Regressors that the data cannot identify, when the caller allowed leaving them out.
    is_perfect : bool
        The residuals are rounding noise, as where the dependent is an average of the regressors. No test of such a
        model exists: t, p and F are NaN.
    lone : tuple of str
        Terms that one row (one cluster, for a clustered covariance) determines alone. Its residual says nothing of
        their error, so their inference is NaN.
    """

    dependent: str
    terms: tuple[str, ...]
    b: FloatArray
    se: FloatArray
    t: FloatArray
    p: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    df: FloatArray
    beta: FloatArray
    vif: FloatArray
    n: int
    df_model: int
    df_residual: int
    r2: float
    adj_r2: float
    f: float
    f_p: float
    residual_sd: float
    rss: float
    covariance: FloatArray = field(repr=False)
    factor: FloatArray = field(repr=False)
    covariance_kind: str = "classical"
    weight_kind: WeightKind = "none"
    n_clusters: int | None = None
    level: float = 0.95
    n_dropped: int = 0
    omitted: tuple[Omission, ...] = ()
    is_perfect: bool = False
    lone: tuple[str, ...] = ()

    @classmethod
    def bare(
        cls, dependent: str, terms: tuple[str, ...], b: FloatArray, factor: FloatArray, n: int, level: float
    ) -> Regression:
        """Coefficients with nothing known of them: their inference is for `with_covariance`."""
        k = len(b)
        blank, none = np.full(k, np.nan), float("nan")
        inference = dict.fromkeys(("se", "t", "p", "ci_low", "ci_high", "df", "beta", "vif"), blank)
        fit = dict.fromkeys(("r2", "adj_r2", "f", "f_p", "residual_sd", "rss"), none)
        unknown: dict[str, Any] = {**inference, **fit}
        return cls(
            dependent=dependent,
            terms=terms,
            b=b,
            n=n,
            df_model=0,
            df_residual=n - k,
            covariance=np.full((k, k), np.nan),
            factor=factor,
            level=level,
            **unknown,
        )

    @property
    def regressors(self) -> tuple[str, ...]:
        """The columns behind the slopes."""
        return self.terms[1:] if self.has_intercept else self.terms

    @property
    def has_intercept(self) -> bool:
        """Whether the first coefficient is the intercept."""
        return bool(self.terms) and self.terms[0] == INTERCEPT

    @property
    def stars(self) -> tuple[int, ...]:
        """Stars of each coefficient: 1 below .10, 2 below .05, 3 below .01."""
        return tuple(int(sum(value < level for level in STAR_LEVELS)) for value in self.p)

    @property
    def beta_ci_low(self) -> FloatArray:
        """Lower ends of the intervals of ``beta``: those of ``b`` in units of ``sd(y) / sd(x)``."""
        return self.ci_low * self._beta_of_b

    @property
    def beta_ci_high(self) -> FloatArray:
        """Upper ends of the intervals of ``beta``."""
        return self.ci_high * self._beta_of_b

    @property
    def _beta_of_b(self) -> FloatArray:
        """Factor from ``b`` to ``beta``, shape (k,); NaN where ``b`` is 0, which hides it, and for the intercept."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.b == 0, np.nan, self.beta / self.b)

    def coefficients(self) -> pd.DataFrame:
        """One row per term: term, b, se, beta, t, df, p, ci_low, ci_high, stars, vif."""
        names = ("b", "se", "beta", "t", "df", "p", "ci_low", "ci_high", "stars", "vif")
        return pd.DataFrame({"term": self.terms, **{name: getattr(self, name) for name in names}})

    def with_covariance(
        self, covariance: FloatArray, kind: str, df: FloatArray | float, f_df: float
    ) -> Regression:
        """Return the same estimates with another covariance of them.

        Parameters
        ----------
        covariance : ndarray, shape (k, k)
        kind : str
            Name of the convention, stored with the result.
        df : ndarray of shape (k,) or float
            Degrees of freedom of the t statistics.
        f_df : float
            Denominator degrees of freedom of the Wald F of all slopes. Where the covariance is singular, as
            with fewer clusters than slopes, the statistic does not exist and is NaN.
        """
        se = np.sqrt(np.diag(covariance))
        freedom = np.broadcast_to(np.asarray(df, dtype=np.float64), se.shape).copy()
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.full_like(se, np.nan) if self.is_perfect else self.b / se
        half = stats.t.ppf(0.5 + self.level / 2, freedom) * se
        slopes = slice(1, None) if self.has_intercept else slice(None)
        f = np.nan
        if self.is_perfect:
            f = np.nan
        elif kind == "classical":
            explained = self.r2 / (1 - self.r2) if self.r2 < 1 else np.inf
            f = explained * self.df_residual / self.df_model if self.df_model else np.nan
        elif 0 < self.df_model <= f_df:
            try:
                f = wald_statistic(self.b[slopes], covariance[slopes, slopes]) / self.df_model
            except (BelowRoundingError, CollinearColumnsError):
                f = np.nan
        return replace(
            self,
            se=se,
            t=t,
            p=2 * stats.t.sf(np.abs(t), freedom),
            ci_low=self.b - half,
            ci_high=self.b + half,
            df=freedom,
            f=float(f),
            f_p=float(stats.f.sf(f, self.df_model, f_df)) if not np.isnan(f) else np.nan,
            covariance=covariance,
            covariance_kind=kind,
            lone=(),
        )

    def without_inference_of(self, lone: BoolArray) -> Regression:
        """Return the same model without standard errors and tests of the terms that one row or cluster determines.

        Parameters
        ----------
        lone : ndarray of bool, shape (k,)
        """
        if not lone.any():
            return self
        names = ("se", "t", "p", "ci_low", "ci_high")
        blank: dict[str, Any] = {name: np.where(lone, np.nan, getattr(self, name)) for name in names}
        if lone[int(self.has_intercept) :].any():
            blank |= {"f": np.nan, "f_p": np.nan}
        return replace(self, **blank, lone=tuple(np.array(self.terms)[lone].tolist()))


def fit_ols(
    summary: Summary,
    dependent: str,
    regressors: Sequence[str],
    *,
    intercept: bool = True,
    unidentified: Literal["error", "omit"] = "error",
    level: float = 0.95,
) -> Regression:
    """Least squares of one summarised column on others.

    ``R b = Q'y`` by a triangular solve; se = residual sd times the row lengths of ``R^-1`` (Golub and
    Van Loan, Matrix Computations, section 5.3).

    Parameters
    ----------
    summary : Summary
        Holds the dependent and the regressors; its weights are the model's weights.
    dependent : str
    regressors : sequence of str
    intercept : bool
    unidentified : {"error", "omit"}
        What to do with a constant regressor or one that earlier ones determine: refuse the model, or leave
        the regressor out and say so in ``omitted``.
    level : float
        Coverage of the confidence intervals.

    Raises
    ------
    MissingColumnError, EmptyGroupError, TooFewRowsError, ConstantColumnError, CollinearColumnsError
    """
    one_of(unidentified, ("error", "omit"), "unidentified")
    check_level(level)
    names = tuple(regressors)
    if len(set(names)) != len(names) or dependent in names:
        raise InvalidOptionError(
            f"Regressors of {dependent!r} must be distinct and without it: {list(names)}."
        )
    if not names and not intercept:
        raise InvalidOptionError(f"The model of {dependent!r} has neither regressors nor an intercept.")
    narrowed = summary.subset((*names, dependent))
    if not narrowed.n:
        raise EmptyGroupError(
            f"No complete row for the model of {dependent!r} ({narrowed.n_dropped} rows dropped as missing)."
        )
    if narrowed.is_constant()[-1]:
        raise ConstantColumnError(f"The dependent {dependent!r} has the same value in all {narrowed.n} rows.")
    omitted = tuple(_unidentified(narrowed, intercept))
    if omitted and unidentified == "error":
        raise (ConstantColumnError if "one value" in omitted[0].reason else CollinearColumnsError)(
            f"Model of {dependent!r}: " + "; ".join(f"{each.term!r} {each.reason}" for each in omitted) + "."
        )
    kept = tuple(name for name in names if name not in {each.term for each in omitted})
    k = len(kept) + intercept
    if narrowed.n <= k:
        raise TooFewRowsError(
            f"Model of {dependent!r}: {narrowed.n} complete rows for {k} coefficients; more rows than "
            "coefficients are needed. Use fewer regressors or merge groups."
        )
    return replace(_fit(narrowed.subset((*kept, dependent)), intercept, level), omitted=omitted)


def generalised_vif(model: Regression, groups: Sequence[Sequence[str]]) -> FloatArray:
    """Variance inflation of sets of regressors, such as all dummies of one category.

    ``(det R_own det R_others / det R)^(1 / (2 df))`` with R the correlations of the regressors (Fox and Monette 1992,
    doi 10.1080/01621459.1992.10475190): for one regressor the root of its VIF. Unlike the VIF of each dummy it does
    not depend on the reference level.

    Parameters
    ----------
    model : Regression
        With intercept.
    groups : sequence of sequences of str
        Terms that belong together.

    Returns
    -------
    ndarray, shape (len(groups),)

    Raises
    ------
    InvalidOptionError
        If the model has no intercept, or a term is not a regressor of it.
    """
    if not model.has_intercept:
        raise InvalidOptionError(
            f"The model of {model.dependent!r} has no intercept to centre its regressors."
        )
    unknown = [term for group in groups for term in group if term not in model.regressors]
    if unknown:
        raise InvalidOptionError(f"No regressors of the model of {model.dependent!r}: {unknown}.")
    centred = model.factor[1:, 1:] / np.linalg.norm(model.factor[1:, 1:], axis=0)

    def log_volume(places: Sequence[int]) -> float:
        diagonal = np.abs(np.diag(triangular_factor(centred[:, list(places)])))
        return float(np.log(diagonal).sum())

    everything = range(len(model.regressors))
    factors = np.empty(len(groups))
    for number, group in enumerate(groups):
        own = [model.regressors.index(term) for term in group]
        others = [place for place in everything if place not in own]
        # Log volumes are half log determinants, so the exponent 1 / (2 df) of the ratio becomes 1 / df.
        factors[number] = np.exp((log_volume(own) + log_volume(others) - log_volume(everything)) / len(own))
    return factors


def wald_statistic(estimates: FloatArray, covariance: FloatArray) -> float:
    """``b' V^-1 b``: chi-squared with as many degrees of freedom as estimates, if all are truly zero.

    Parameters
    ----------
    estimates : ndarray, shape (q,)
    covariance : ndarray, shape (q, q)

    Raises
    ------
    CollinearColumnsError
        If the covariance is singular.
    BelowRoundingError
        If a variance is zero or unknown.
    """
    scale = np.sqrt(np.diag(covariance))
    if not (scale > 0).all():
        raise BelowRoundingError("A coefficient without any variance cannot be tested.")
    together = CollinearColumnsError(
        "These coefficients cannot be tested together: their covariance is singular."
    )
    try:
        lower = np.linalg.cholesky(covariance / np.outer(scale, scale))
    except np.linalg.LinAlgError as error:
        raise together from error
    if (np.diag(lower) ** 2 < SINGULAR_BELOW).any():
        raise together
    whitened = solve_triangular(lower, estimates / scale, lower=True)
    return float(whitened @ whitened)


def _fit(summary: Summary, intercept: bool, level: float) -> Regression:
    spread = np.linalg.norm(summary.r[1:, 1:], axis=0)
    r = summary.r if intercept else triangular_factor(summary.r[:, 1:])
    factor, projection, rss = r[:-1, :-1], r[:-1, -1], float(r[-1, -1] ** 2)
    k = len(factor)
    inverse = solve_triangular(factor, np.eye(k))
    first = int(intercept)
    explained = float(projection[first:] @ projection[first:])
    df_model, df_residual = k - first, summary.n - k
    r2 = explained / (explained + rss)
    b = solve_triangular(factor, projection)
    row_lengths = np.linalg.norm(inverse, axis=1)
    vif = (row_lengths * np.linalg.norm(factor[first:, :], axis=0)) ** 2
    beta = b * np.concatenate([[np.nan] * first, spread[:-1] / spread[-1]])
    if intercept:
        vif[0] = np.nan
    terms = ((INTERCEPT,) if intercept else ()) + summary.columns[:-1]
    model = replace(
        Regression.bare(summary.columns[-1], terms, b, factor, summary.n, level),
        beta=beta,
        vif=vif,
        df_model=df_model,
        r2=r2,
        adj_r2=1 - (1 - r2) * (summary.n - first) / df_residual,
        residual_sd=float(np.sqrt(rss * summary.n / summary.weight_sum / df_residual)),
        rss=rss,
        weight_kind=summary.weight_kind,
        n_dropped=summary.n_dropped,
        is_perfect=bool(r[-1, -1] <= DEPENDENCE_TOLERANCE * np.linalg.norm(r[:, -1])),
    )
    classical = (rss / df_residual) * (inverse @ inverse.T)
    return model.with_covariance(classical, "classical", df_residual, df_residual)


def _unidentified(summary: Summary, intercept: bool) -> list[Omission]:
    """Regressors (all columns but the last) without a coefficient of their own, given the earlier ones."""
    r = summary.r[:, :-1] if intercept else triangular_factor(summary.r[:, 1:-1])
    pivots, lengths = np.abs(np.diag(r)), np.linalg.norm(r, axis=0)
    if (pivots > DEPENDENCE_TOLERANCE * lengths).all():
        return []
    omissions: list[Omission] = []
    kept: list[int] = [0] if intercept else []
    constant = summary.is_constant()
    for position, name in enumerate(summary.columns[:-1], start=1):
        r = triangular_factor(summary.r[:, [*kept, position]])
        length = np.linalg.norm(r[:, -1])
        if length == 0:
            omissions.append(Omission(name, f"has the one value 0 in all {summary.n} rows"))
        elif intercept and constant[position - 1]:
            omissions.append(Omission(name, f"has one value in all {summary.n} rows"))
        elif r[-1, -1] <= DEPENDENCE_TOLERANCE * length:
            parts = solve_triangular(r[:-1, :-1], r[:-1, -1])
            shares = np.abs(parts) * np.linalg.norm(r[:-1, :-1], axis=0)
            names = [(INTERCEPT, *summary.columns)[kept[place]] for place in _large(shares)]
            omissions.append(Omission(name, f"is an exact combination of {names}"))
        else:
            kept.append(position)
    return omissions


def _large(shares: FloatArray) -> npt.NDArray[np.intp]:
    return np.flatnonzero(shares > 1e-8 * shares.max())
