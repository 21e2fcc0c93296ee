"""Factor models and scales of the catalog in every survey and wave that asked all their items.

Belongs here: which households enter, which rotated component is which named factor, and the tables made of it.
Does not belong here: extraction, rotation, scores and reliability themselves (`analysis`).

Households that answered none of the items are left out; what becomes of a single blank is the model's policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from analysis.arrays import FloatArray
from analysis.errors import AnalysisError
from analysis.factors import (
    Adequacy,
    Alignment,
    FactorSolution,
    adequacy,
    composite_of_factors,
    congruence,
    factor,
    factor_scores,
    parallel_analysis,
    percent,
)
from analysis.reliability import alpha_interval, cronbach_alpha
from analysis.summary import Summary, summarise
from results.households import BATCH_ROWS, HOUSEHOLD_WAVES, KEYS, Survey, asked, matrix, surveys
from results.tables import conform
from survey.catalog import Catalog, FactorModel, Item
from warehouse.database import quoted

SAMPLE = "all"
"""Households included: all that answered an item."""

BOOTSTRAP_ROWS = 20_000
"""Households up to which alpha gets an interval; beyond, the interval is narrower than the digits shown."""

COMPOSITE = "composite"

CONGRUENCE_VERDICTS = ((0.95, "equal"), (0.85, "fair"), (-1.0, "poor"))
"""Lorenzo-Seva and ten Berge (2006)."""


@dataclass(frozen=True)
class Sample:
    """A survey in one wave."""

    survey: Survey
    wave: str

    @property
    def name(self) -> str:
        """What congruence tables call it."""
        return f"{self.survey.survey_id} {self.wave}"


@dataclass(frozen=True)
class Fitted:
    """A factor model in one sample; components are in the order of the catalog's factors."""

    model: FactorModel
    sample: Sample
    summary: Summary
    solution: FactorSolution
    adequacy: Adequacy
    order: tuple[int, ...]
    """Component of each factor."""
    factors: tuple[str, ...]


def factors(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Fit every factor model and scale where all its items were asked.

    Parameters
    ----------
    con
        Build database, read only.
    catalog
        Factor models and scales.

    Returns
    -------
    dict
        `factor_diagnostics`, `factor_variance`, `factor_loadings`, `factor_scores` and `factor_congruence` of the
        schema `analysis`.
    """
    answered = asked(con)
    samples = [Sample(survey, wave) for survey in surveys(con) for wave in survey.waves]
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    scores = []
    for model in catalog.factor_models:
        fits: dict[Sample, Fitted | str] = {}
        for sample in samples:
            items = {i.indicator for i in model.items}
            available = answered[sample.survey.survey_id, sample.wave]
            if not items & available:
                continue
            if absent := items - available:
                fits[sample] = f"{sample.name}: {len(absent)} of {len(items)} items not asked or not answered"
                continue
            reliability = _reliability(con, catalog, model.id, model.items, sample, model.missing_policy)
            try:
                fitted = _fit(con, catalog, model, sample)
            except AnalysisError as error:
                fits[sample] = f"{sample.name}: {error}"
                rows["factor_diagnostics"].append(reliability | {"reason": str(error)})
                continue
            fits[sample] = fitted
            rows["factor_diagnostics"].append(reliability | _diagnostics(fitted))
            rows["factor_variance"] += _variance(fitted)
            rows["factor_loadings"] += _loadings(fitted)
            scores.append(_scores(con, catalog, fitted))
        rows["factor_congruence"] += _congruence(model, fits, answered)
    for scale in catalog.scales:
        items_ = catalog.scale_items(scale)
        for sample in samples:
            if {i.indicator for i in items_} <= answered[sample.survey.survey_id, sample.wave]:
                rows["factor_diagnostics"].append(_reliability(con, catalog, scale.id, items_, sample))
    names = ("factor_diagnostics", "factor_variance", "factor_loadings", "factor_congruence")
    return {
        **{name: conform(f"analysis.{name}", rows[name]) for name in names},
        "factor_scores": conform("analysis.factor_scores", pa.concat_tables(scores) if scores else []),
    }


def oriented(catalog: Catalog, item: Item, value: str) -> str:
    """SQL of an item turned so that more is better."""
    spec = catalog.indicator[item.indicator]
    return f"({spec.minimum} + {spec.maximum} - {value})" if item.reverse else value


def _batches(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    items: Sequence[Item],
    policy: str,
    sample: Sample,
    keys: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Oriented items of a sample under a missing policy, with the keys asked for."""
    mean_filled = policy == "mean"
    columns = [
        f"{f'coalesce({x}, avg({x}) over ())' if mean_filled else x} as {quoted(item.indicator)}"
        for item in items
        for x in [oriented(catalog, item, quoted(item.indicator))]
    ]
    any_answer = f"coalesce({', '.join(quoted(i.indicator) for i in items)}) is not null"
    reader = con.execute(
        f"select {', '.join([*keys, *columns])} from {HOUSEHOLD_WAVES} "
        f"where survey_id = ? and wave = ? and {any_answer} order by household_id",
        [sample.survey.survey_id, sample.wave],
    ).to_arrow_reader(BATCH_ROWS)
    yield from reader


def _fit(con: duckdb.DuckDBPyConnection, catalog: Catalog, model: FactorModel, sample: Sample) -> Fitted:
    names = [item.indicator for item in model.items]
    summary = summarise(_batches(con, catalog, model.items, model.missing_policy, sample), names)[()]
    r = summary.correlation()
    solution = factor(r, n_factors=model.n_factors)
    order, labels = named_components(catalog, model, solution.loadings)
    return Fitted(model, sample, summary, solution, adequacy(r, summary.n), order, labels)


def named_components(
    catalog: Catalog, model: FactorModel, loadings: FloatArray
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Component of each named factor: the one on which the items of its dimension load most, taken together.

    Order by explained variance would exchange names between samples as soon as two factors explain about the same.
    Components beyond the named factors follow, numbered.
    """
    k = loadings.shape[1]
    dimension = np.array([catalog.indicator[item.indicator].dimension for item in model.items])
    load = np.array([np.square(loadings[dimension == f.dimension]).sum(axis=0) for f in model.factors])
    named, component = linear_sum_assignment(-load)
    rest = [c for c in range(k) if c not in component]
    labels = [*(model.factors[f].id for f in named), *(f"factor_{c + 1}" for c in rest)]
    return (*component.tolist(), *rest), tuple(labels)


def _head(model: str, sample: Sample) -> dict[str, Any]:
    return {
        "survey_id": sample.survey.survey_id,
        "model": model,
        "wave": sample.wave,
        "sample": SAMPLE,
        "is_synthetic": sample.survey.is_synthetic,
    }


def _diagnostics(fit: Fitted) -> dict[str, Any]:
    return {
        "n_factors": len(fit.factors),
        "kmo": fit.adequacy.kmo,
        "bartlett": fit.adequacy.bartlett_chi2,
        "df": fit.adequacy.bartlett_df,
        "p": fit.adequacy.bartlett_p,
        "n_factors_parallel": parallel_analysis(fit.solution.eigenvalues, fit.summary.n).n_factors,
    }


def _reliability(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    name: str,
    items: Sequence[Item],
    sample: Sample,
    policy: str = "listwise",
) -> dict[str, Any]:
    """Alpha of a set of items; what a factor analysis adds stays empty."""
    names = [item.indicator for item in items]
    summary = summarise(_batches(con, catalog, items, policy, sample), names)[()]
    alpha = standardised = low = high = reason = None
    try:
        result = cronbach_alpha(summary.covariance())
        alpha, standardised = result.raw, result.standardised
        if summary.n <= BOOTSTRAP_ROWS:
            table = pa.Table.from_batches(list(_batches(con, catalog, items, policy, sample)))
            interval = alpha_interval(matrix(table, names))
            low, high = interval.raw_low, interval.raw_high
    except AnalysisError as error:
        reason = str(error)
    return {
        **_head(name, sample),
        "region": sample.survey.region,
        "missing_policy": policy,
        "n": summary.n,
        "n_items": len(items),
        "alpha": alpha,
        "alpha_standardised": standardised,
        "alpha_ci_low": low,
        "alpha_ci_high": high,
        **dict.fromkeys(("n_factors", "kmo", "bartlett", "df", "p", "n_factors_parallel")),
        "reason": reason,
    }


def _composite_weights(fit: Fitted) -> dict[str, float]:
    """Share of each factor that enters the composite, by explained variance."""
    explained = {
        name: fit.solution.explained[c]
        for name, c in zip(fit.factors, fit.order, strict=True)
        if name in fit.model.composite.factors
    }
    total = sum(explained.values())
    return {name: float(share / total) for name, share in explained.items()}


def _variance(fit: Fitted) -> Iterator[dict[str, Any]]:
    labels = {f.id: (f.label_en, f.label_zh) for f in fit.model.factors}
    weights = _composite_weights(fit)
    cumulative = 0.0
    for order, (name, c) in enumerate(zip(fit.factors, fit.order, strict=True), start=1):
        explained = 100 * float(fit.solution.explained[c])
        cumulative += explained
        label_en, label_zh = labels.get(name, (name, name))
        yield {
            **_head(fit.model.id, fit.sample),
            "factor": name,
            "factor_order": order,
            "label_en": label_en,
            "label_zh": label_zh,
            "eigenvalue": float(fit.solution.eigenvalues[c]),
            "rotated_ss": float(fit.solution.sums_of_squares[c]),
            "explained_pct": explained,
            "cumulative_pct": min(cumulative, 100.0),
            "composite_weight": weights.get(name),
        }


def _loadings(fit: Fitted) -> Iterator[dict[str, Any]]:
    for order, (name, c) in enumerate(zip(fit.factors, fit.order, strict=True), start=1):
        for k, item in enumerate(fit.model.items):
            yield {
                **_head(fit.model.id, fit.sample),
                "indicator_id": item.indicator,
                "factor": name,
                "factor_order": order,
                "loading": float(fit.solution.loadings[k, c]),
                "score_coefficient": float(fit.solution.score_coefficients[k, c]),
                "communality": float(fit.solution.communalities[k]),
                "msa": float(fit.adequacy.msa[k]),
            }


def _scores(con: duckdb.DuckDBPyConnection, catalog: Catalog, fit: Fitted) -> pa.Table:
    """Scores of the factors and of the composite, one row each."""
    names = [item.indicator for item in fit.model.items]
    keys: list[pa.RecordBatch] = []
    parts: list[FloatArray] = []
    for batch in _batches(con, catalog, fit.model.items, fit.model.missing_policy, fit.sample, KEYS):
        keys.append(batch.select(list(KEYS)))
        items = matrix(pa.Table.from_batches([batch]), names)
        coefficients = fit.solution.score_coefficients[:, list(fit.order)]
        parts.append(factor_scores(items, fit.summary.mean(), fit.summary.sd(), coefficients))
    table, scores = pa.Table.from_batches(keys), np.vstack(parts)
    weights = _composite_weights(fit)
    used = [fit.factors.index(name) for name in weights]
    explained = fit.solution.explained[list(fit.order)]
    composite = scores[:, used] @ np.array(list(weights.values()))
    composite_percent = composite_of_factors(scores, explained, used, order=fit.model.composite.rescale)
    columns = [(COMPOSITE, 0, composite, composite_percent)]
    percents = percent(scores)
    columns += [(name, k + 1, scores[:, k], percents[:, k]) for k, name in enumerate(fit.factors)]
    n = table.num_rows
    return pa.concat_tables(
        pa.table(
            {
                **{key: table[key] for key in KEYS},
                "model": pa.repeat(fit.model.id, n),
                "factor": pa.repeat(name, n),
                "factor_order": pa.repeat(order, n),
                "score": pa.array(score),
                "percent_score": pa.array(percent_score),
            }
        )
        for name, order, score, percent_score in columns
    )


def _congruence(
    model: FactorModel,
    fits: Mapping[Sample, Fitted | str],
    answered: Mapping[tuple[str, str], frozenset[str]],
) -> Iterator[dict[str, Any]]:
    """Every pair of samples that asked items of the model, tested where both asked all."""
    items = {item.indicator for item in model.items}
    for (sample_a, a), (sample_b, b) in combinations(fits.items(), 2):
        reasons = [fit for fit in (a, b) if isinstance(fit, str)]
        phi: dict[str, float] = {}
        if isinstance(a, Fitted) and isinstance(b, Fitted):
            first, second = (f.solution.loadings[:, list(f.order)] for f in (a, b))
            if first.shape == second.shape:
                values = congruence(first, second, alignment=Alignment.PROCRUSTES).phi
                phi = dict(zip(a.factors, values.tolist(), strict=True))
            else:
                reasons = [f"{first.shape[1]} and {second.shape[1]} factors were kept"]
        shared = items.intersection(*(answered[s.survey.survey_id, s.wave] for s in (sample_a, sample_b)))
        for named in phi or [f.id for f in model.factors]:
            value = phi.get(named)
            verdicts = (v for cut, v in CONGRUENCE_VERDICTS if value is not None and value >= cut)
            yield {
                "model": model.id,
                "sample_a": sample_a.name,
                "sample_b": sample_b.name,
                "factor": named,
                "is_synthetic": sample_a.survey.is_synthetic or sample_b.survey.is_synthetic,
                "phi": value,
                "n_items": len(shared),
                "verdict": next(verdicts, "not_testable"),
                "reason": "; ".join(reasons) or None,
            }
