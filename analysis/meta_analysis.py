"""Random-effects meta-analysis: one coefficient or mean, several regions.

Belongs here: pooling independent estimates with their standard errors.
Does not belong here: making the estimates (``regression``, ``survey_design``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.arrays import FloatArray, check_level
from analysis.errors import BelowRoundingError, InfiniteValueError, InvalidOptionError, TooFewGroupsError


@dataclass(frozen=True)
class MetaAnalysis:
    """Pooled estimate of k studies.

    Parameters
    ----------
    k : int
    estimate, se, ci_low, ci_high, p : float
        Random effects, normal distribution (DerSimonian-Laird).
    hksj_se, hksj_ci_low, hksj_ci_high, hksj_p : float
        The same estimate with the Hartung-Knapp-Sidik-Jonkman standard error, not below ``se``, and t with k - 1 df.
    tau2 : float
        Variance between studies, squared units of the estimate.
    q, q_p : float
        Cochran's Q, chi-squared with k - 1 df.
    i2 : float
        Share of the variation that is between studies, 0 to 1.
    prediction_low, prediction_high : float
        Where a new study's true value is expected, t with k - 2 df; NaN for k = 2.
    weights : ndarray, shape (k,)
        Random-effects weights, sum 1.
    level : float
        Coverage of the intervals.
    """

    k: int
    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p: float
    hksj_se: float
    hksj_ci_low: float
    hksj_ci_high: float
    hksj_p: float
    tau2: float
    q: float
    q_p: float
    i2: float
    prediction_low: float
    prediction_high: float
    weights: FloatArray
    level: float


def random_effects(
    estimates: Sequence[float] | FloatArray, se: Sequence[float] | FloatArray, *, level: float = 0.95
) -> MetaAnalysis:
    """Pool independent estimates (DerSimonian and Laird 1986, doi 10.1016/0197-2456(86)90046-2).

    HKSJ after Hartung and Knapp (2001), doi 10.1002/sim.1009, never below the error of fixed effects: estimates that
    agree by chance would have none (Roever, Knapp and Friede 2015, doi 10.1186/s12874-015-0091-1). Prediction
    interval after Higgins, Thompson and Spiegelhalter (2009), doi 10.1111/j.1467-985X.2008.00552.x.
    The variance between studies is cut at 0 (``statsmodels`` lets it become negative).

    Sums of squares are taken over pairs of studies and weights relative to the largest, so that one very precise
    study cancels nothing.

    Parameters
    ----------
    estimates, se : array_like, shape (k,)
    level : float

    Raises
    ------
    TooFewGroupsError
        With fewer than two studies.
    InvalidOptionError, InfiniteValueError
        If a standard error is not positive, or a value is missing or infinite.
    BelowRoundingError
        If a standard error is smaller than the rounding of its estimate.
    """
    check_level(level)
    y, s = np.asarray(estimates, dtype=np.float64), np.asarray(se, dtype=np.float64)
    k = len(y)
    if y.shape != s.shape or y.ndim != 1:
        raise InvalidOptionError(f"{y.shape} estimates but {s.shape} standard errors.")
    if k < 2:
        raise TooFewGroupsError(f"A meta-analysis needs at least two studies; given: {k}.")
    if not (np.isfinite(y).all() and np.isfinite(s).all()):
        raise InfiniteValueError(
            "Estimates and standard errors must be finite: leave out regions without one."
        )
    if (s <= 0).any():
        raise InvalidOptionError(f"Standard errors must be positive; given: {s.tolist()}.")
    if (s < np.finfo(np.float64).eps * np.abs(y)).any():
        raise BelowRoundingError("A standard error is smaller than the rounding of its estimate.")
    smallest = float(s.min())
    share, _ = _weights(s / smallest)
    others = share.sum() - share if k == 2 else np.array([np.delete(share, i).sum() for i in range(k)])
    # In units of the smallest standard error.
    q = _spread(share, y / smallest) * float(((smallest / s) ** 2).sum())
    excess = (q - (k - 1)) / float(((smallest / s) ** 2) @ others)
    tau2 = max(0.0, excess) * smallest**2
    weights, total = _weights(np.hypot(s, tau2**0.5))
    estimate = float(y[0] + weights @ (y - y[0]))
    se_pooled = total**-0.5
    se_hksj = max(float(np.sqrt(_spread(weights, y) / (k - 1))), se_pooled)
    normal = stats.norm.ppf(0.5 + level / 2) * se_pooled
    hksj = stats.t.ppf(0.5 + level / 2, k - 1) * se_hksj
    spread = stats.t.ppf(0.5 + level / 2, k - 2) * np.hypot(se_pooled, tau2**0.5) if k > 2 else np.nan
    return MetaAnalysis(
        k=k,
        estimate=estimate,
        se=se_pooled,
        ci_low=estimate - normal,
        ci_high=estimate + normal,
        p=float(2 * stats.norm.sf(abs(estimate) / se_pooled)),
        hksj_se=se_hksj,
        hksj_ci_low=estimate - hksj,
        hksj_ci_high=estimate + hksj,
        hksj_p=float(2 * stats.t.sf(abs(estimate) / se_hksj, k - 1)),
        tau2=tau2,
        q=q,
        q_p=float(stats.chi2.sf(q, k - 1)),
        i2=max(0.0, 1 - (k - 1) / q) if q else 0.0,
        prediction_low=float(estimate - spread),
        prediction_high=float(estimate + spread),
        weights=weights,
        level=level,
    )


def _weights(s: FloatArray) -> tuple[FloatArray, float]:
    """Weights ``s^-2`` scaled to sum 1, and their sum."""
    smallest = s.min()
    relative = (smallest / s) ** 2
    return relative / relative.sum(), float(relative.sum() / smallest**2)


def _spread(weights: FloatArray, y: FloatArray) -> float:
    """``sum w (y - mean)^2`` for weights of sum 1, over pairs: the mean is never formed."""
    return float(weights @ (y[:, None] - y) ** 2 @ weights / 2)
