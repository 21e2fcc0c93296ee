"""Tests whether a linear model is specified well enough for its inference.

Belongs here: Breusch-Pagan for unequal variances and RESET for curvature, in one pass over the rows.
Does not belong here: variance inflation (``Regression.vif``) and the remedies (``inference``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy import stats

from analysis.errors import BelowRoundingError, InvalidOptionError
from analysis.inference import residual_batches
from analysis.regression import Regression, fit_ols
from analysis.summary import Batch, summarise

_SQUARED_RESIDUAL, _WEIGHT = "(squared residual)", "(weight)"
_POWERS = {"(fitted^2)": 2, "(fitted^3)": 3}


@dataclass(frozen=True)
class SpecificationTests:
    """Two tests of one model.

    Parameters
    ----------
    breusch_pagan, breusch_pagan_p : float
        ``n R2`` of the squared residuals on the regressors; chi-squared with ``breusch_pagan_df``.
    breusch_pagan_df : int
    reset, reset_p : float
        F of the second and third power of the fitted values; NaN where the regressors span these already,
        as they do in a model of one dummy.
    reset_df : tuple of int
        Numerator and denominator.
    """

    breusch_pagan: float
    breusch_pagan_df: int
    breusch_pagan_p: float
    reset: float
    reset_df: tuple[int, int]
    reset_p: float


def specification_tests(
    batches: Batch | Iterable[Batch], model: Regression, *, weights: str | None = None
) -> SpecificationTests:
    """Studentised Breusch-Pagan test and Ramsey's RESET of a model with intercept.

    Koenker (1981), doi 10.1016/0304-4076(81)90062-2; Ramsey (1969). Weights are used in the auxiliary
    regressions too.

    Parameters
    ----------
    batches : table, DataFrame, or iterable of them
        The rows the model was fitted on.
    model : Regression
    weights : str, optional
        The model's weight column.

    Raises
    ------
    InvalidOptionError
        If the model has no intercept or no regressor.
    BelowRoundingError
        If the residuals are rounding noise, or the fitted values are one number.
    """
    if not model.has_intercept or not model.regressors:
        raise InvalidOptionError(f"The model of {model.dependent!r} needs an intercept and a regressor.")
    if model.is_perfect:
        raise BelowRoundingError(
            f"{model.dependent!r} is a combination of its regressors: the residuals are rounding noise."
        )
    columns = [*model.regressors, *_POWERS, _SQUARED_RESIDUAL, model.dependent]
    summary = summarise(
        _auxiliary_batches(batches, model, weights),
        columns,
        weights=None if weights is None else _WEIGHT,
        weight_kind=model.weight_kind,
    )[()]
    variance = fit_ols(summary, _SQUARED_RESIDUAL, model.regressors)
    curved = fit_ols(
        summary, model.dependent, (*model.regressors, *_POWERS), unidentified="omit", level=model.level
    )
    added = curved.df_model - model.df_model
    reset = np.nan
    if added:
        # The curved model cannot fit worse but by rounding, and may fit perfectly.
        gain = max(model.rss - curved.rss, 0.0) / added
        reset = np.inf if curved.is_perfect else gain / (curved.rss / curved.df_residual)
    return SpecificationTests(
        breusch_pagan=model.n * variance.r2,
        breusch_pagan_df=model.df_model,
        breusch_pagan_p=float(stats.chi2.sf(model.n * variance.r2, model.df_model)),
        reset=float(reset),
        reset_df=(added, curved.df_residual),
        reset_p=float(stats.f.sf(reset, added, curved.df_residual)) if added else np.nan,
    )


def _auxiliary_batches(
    batches: Batch | Iterable[Batch], model: Regression, weights: str | None
) -> Iterator[pa.RecordBatch]:
    # Standardised fitted values span the same space with an intercept and keep their powers apart.
    fitted_in_q = model.factor @ model.b
    centre = fitted_in_q[0] / model.factor[0, 0]
    spread = np.linalg.norm(fitted_in_q[1:]) / model.factor[0, 0]
    for _, x, residual, weight in residual_batches(batches, model, weights):
        fitted = x @ model.b
        standardised = (fitted - centre) / spread
        columns = dict(zip(model.regressors, x[:, 1:].T, strict=True))
        columns |= {name: standardised**power for name, power in _POWERS.items()}
        columns[_SQUARED_RESIDUAL] = (residual / model.residual_sd) ** 2
        columns[model.dependent] = fitted + residual
        columns[_WEIGHT] = weight
        yield pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in columns.items()})
