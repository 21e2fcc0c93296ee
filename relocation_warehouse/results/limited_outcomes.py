"""Models of the catalog whose dependent has bounds, by a logit beside least squares, with average marginal effects.

Belongs here: which models are fitted and which of their p values may be told. Does not belong here: the samples
(`regressions`), and fitting (`analysis.limited_outcomes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.errors import AnalysisError
from analysis.levels import refusal
from analysis.limited_outcomes import LimitedModel, limited_outcome
from analysis.regression import Regression, fit_ols
from analysis.summary import summarise
from relocation_warehouse.results.households import matrix
from relocation_warehouse.results.regressions import UNIT, Sample, samples, term_facts
from relocation_warehouse.results.sampling import too_few_degrees
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, Gates

MEAN = "mean"
"""Outcome of a number between bounds; of ordered answers it is the category."""

FITTED = ("b", "se", "df", "p")
EFFECT = ("effect", "effect_se", "effect_ci_low", "effect_ci_high")


def limited_outcomes(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Fit the models of dependents with bounds in each survey by itself.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` and `factors` in it.
    catalog
        Models and their regressors, and the gates of tests.

    Returns
    -------
    dict
        `marginal_effects` of the schema `analysis`.
    """
    rows: list[dict[str, Any]] = []
    for model in catalog.models:
        if model.outcome is None:
            continue
        alone = model.model_copy(update={"interact_with": None})
        for sample in samples(con, catalog, alone):
            if not sample.is_pooled:
                rows += _rows(sample)
    return {"marginal_effects": conform("analysis.marginal_effects", rows)}


def _rows(sample: Sample) -> Iterator[dict[str, Any]]:
    """Rows of a model in a survey: one for each term and outcome, or for each term with the reason of a refusal."""
    try:
        if sample.absent:
            raise AnalysisError(f"Not asked or not answered in this wave: {', '.join(sample.absent)}.")
        linear, limited = _fit(sample.read())
    except AnalysisError as error:
        for order, term in enumerate(sample.terms, start=1):
            yield {**_head(sample, order, term), **_nothing(str(error)), "outcome": MEAN}
        return
    for order, term in enumerate(sample.terms, start=1):
        head = _head(sample, order, term)
        if term not in linear.regressors:
            why = next(each.reason for each in linear.omitted if each.term == term)
            yield {**head, **_nothing(f"left out: it {why}"), "outcome": MEAN, "n": linear.n}
            continue
        k, place = limited.model.terms.index(term), linear.regressors.index(term)
        fit, gates = limited.model, sample.catalog.gates
        reason = _refusal(limited, k, gates)
        told = {name: float(getattr(fit, name)[k]) for name in FITTED}
        if reason:
            told["p"] = np.nan
        for m, outcome in enumerate(limited.outcomes.tolist()):
            effect = (limited.effects, limited.effect_se, limited.effect_low, limited.effect_high)
            scale = sample.model.outcome_upper
            values = {name: scale * float(each[place, m]) for name, each in zip(EFFECT, effect, strict=True)}
            of_effect = reason or refusal(limited.levels(term, m), limited.effect_df[place, m])
            if of_effect:
                values |= dict.fromkeys(("effect_ci_low", "effect_ci_high"), np.nan)
            yield {
                **head,
                "outcome": MEAN if np.isnan(outcome) else f"{outcome:g}",
                "n": fit.n,
                "n_units": fit.n_clusters or 0,
                **told,
                **values,
                "b_ols": float(linear.b[linear.terms.index(term)]),
                "reason": of_effect,
            }


def _refusal(model: LimitedModel, k: int, gates: Gates) -> str | None:
    """Why the p value of a coefficient cannot be told."""
    fit = model.model
    if fit.terms[k] in fit.lone:
        return "one sampling unit determines it alone"
    return too_few_degrees(fit.df[k], gates) or refusal(model.levels(fit.terms[k]), fit.df[k])


def _head(sample: Sample, order: int, term: str) -> dict[str, Any]:
    survey = sample.surveys[0]
    return {
        "survey_id": survey.survey_id,
        "model": sample.model.id,
        "term": term,
        "term_order": order,
        "region": survey.region,
        "is_synthetic": survey.is_synthetic,
        "dependent": sample.model.dependent,
        "family": sample.model.outcome,
        **term_facts(sample, term),
    }


def _nothing(reason: str) -> dict[str, Any]:
    return {"n": 0, "n_units": 0, **dict.fromkeys((*FITTED, *EFFECT, "b_ols")), "reason": reason}


def _fit(sample: Sample) -> tuple[Regression, LimitedModel]:
    """Least squares, which tell what the data identify, and the logit of the same rows."""
    model = sample.model
    rows = sample.rows()
    linear = fit_ols(
        summarise(rows, [*sample.terms, model.dependent])[()],
        model.dependent,
        sample.terms,
        unidentified="omit",
    )
    columns = [*linear.regressors, model.dependent]
    parts: list[FloatArray] = []
    units: list[str] = []
    for batch in rows:
        parts.append(matrix(pa.Table.from_batches([batch]), columns))
        units += batch.column(UNIT).to_pylist()
    table = np.concatenate(parts)
    dummies = [
        [term for term in linear.regressors if term.startswith(f"{r.name}=")]
        for r in sample.catalog.regressors_of(model)
        if r.kind == "dummies"
    ]
    limited = limited_outcome(
        *(table[:, -1] / model.outcome_upper, table[:, :-1], linear.regressors, np.array(units)),
        family=model.outcome or "",
        categories=[group for group in dummies if group],
    )
    return linear, limited
