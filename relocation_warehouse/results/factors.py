"""Factor models and scales of the catalog in every survey and wave that asked all their items.

Belongs here: which households enter, which rotated component is which named factor, and the tables made of it.
Does not belong here: extraction, rotation, scores and reliability themselves (`analysis`).

Made-up and real surveys are never pooled or held against each other. Households that answered none of the items are
left out; what becomes of a single blank is the model's policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
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
    CompositeOrder,
    FactorSolution,
    adequacy,
    congruence,
    factor,
    parallel_analysis,
)
from analysis.reliability import alpha_interval, cronbach_alpha
from analysis.summary import Summary, summarise
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import number
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.common import COMPARABLE, VerdictsByWave, verdicts_by_wave
from relocation_warehouse.results.formulas import MISSING, extended, score, weighted_sum
from relocation_warehouse.results.households import (
    BATCH_ROWS,
    HOUSEHOLDS,
    Survey,
    asked,
    by_origin,
    matrix,
    surveys,
)
from relocation_warehouse.results.tables import Computed, Result, computed, conform
from relocation_warehouse.survey.catalog import Catalog, FactorModel, Item

SAMPLE = "all"
"""Households included: all that answered an item."""

BOOTSTRAP_ROWS = 20_000
"""Households up to which alpha gets an interval; beyond, the interval is narrower than the digits shown."""

COMPOSITE = "composite"

ONLY_FACTORS = ("n_factors", "kmo", "bartlett", "df", "p", "n_factors_parallel")
"""Columns that a scale, which is not factored, leaves empty."""

CONGRUENCE_VERDICTS = ((0.95, "equal"), (0.85, "fair"), (-1.0, "poor"))
"""Lorenzo-Seva and ten Berge (2006)."""


LATEST = "latest"
"""Wave of the surveys that asked all items alike, taken together in their latest waves."""


Answered = Mapping[tuple[str, str], frozenset[str]]
"""(survey, wave) -> indicators answered by anybody."""


@dataclass(frozen=True)
class Sample:
    """A survey in one wave, or several in their latest."""

    surveys: tuple[Survey, ...]
    wave: str

    @property
    def survey_id(self) -> str:
        """The survey, or what several are called together."""
        return self.surveys[0].survey_id if len(self.surveys) == 1 else self.surveys[0].pooled_id

    @property
    def region(self) -> str:
        """The region, or what several surveys are called together."""
        return self.surveys[0].region if len(self.surveys) == 1 else self.survey_id

    @property
    def is_synthetic(self) -> bool:
        """Whether any survey is made up."""
        return any(survey.is_synthetic for survey in self.surveys)

    @property
    def name(self) -> str:
        """What congruence tables call it."""
        return f"{self.survey_id} {self.wave}"

    @property
    def waves(self) -> tuple[tuple[str, str], ...]:
        """Surveys with the wave taken of each."""
        return tuple((s.survey_id, s.latest if self.wave == LATEST else self.wave) for s in self.surveys)

    @property
    def rows(self) -> str:
        """SQL condition on its households."""
        pairs = (f"({literal(survey_id)}, {literal(wave)})" for survey_id, wave in self.waves)
        return f"(survey_id, wave) in ({', '.join(pairs)})"


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


def factors(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, Result]:
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
    answered, verdicts = asked(con), verdicts_by_wave(con)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    scored: list[Fitted] = []
    for alike in by_origin(surveys(con)).values():
        scored += _fit_models(con, catalog, alike, answered, verdicts, rows)
        _scales(con, catalog, alike, answered, verdicts, rows)
    names = ("factor_diagnostics", "factor_variance", "factor_loadings", "factor_congruence")
    return {
        **{name: conform(f"analysis.{name}", rows[name]) for name in names},
        "factor_scores": _scores(con, catalog, scored),
    }


def _samples(surveys: Sequence[Survey], pooled: Sample | str) -> Iterator[Sample]:
    """Every survey in every wave, then several together where they asked all items alike."""
    yield from (Sample((survey,), wave) for survey in surveys for wave in survey.waves)
    if isinstance(pooled, Sample):
        yield pooled


def _fit_models(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    surveys: Sequence[Survey],
    answered: Answered,
    verdicts: VerdictsByWave,
    rows: dict[str, list[dict[str, Any]]],
) -> Iterator[Fitted]:
    """Add what the factor models say of surveys that are all made up, or all real; give the fits of single surveys."""
    for model in catalog.factor_models:
        fits: dict[Sample, Fitted | str] = {}
        items = {i.indicator for i in model.items}
        pooled = asked_alike(surveys, items, verdicts)
        for sample in _samples(surveys, pooled):
            available = frozenset.intersection(*(answered[key] for key in sample.waves))
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
            if sample is not pooled:
                yield fitted
        if isinstance(pooled, str):
            rows["factor_diagnostics"].append(
                _not_pooled(surveys, model.id, len(items), model.missing_policy, pooled)
            )
        rows["factor_congruence"] += _congruence(model, fits, answered)


def _scales(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    surveys: Sequence[Survey],
    answered: Answered,
    verdicts: VerdictsByWave,
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    """Add the reliability of every scale in surveys that are all made up, or all real."""
    for scale in catalog.scales:
        items_ = catalog.scale_items(scale)
        names_ = {i.indicator for i in items_}
        pooled = asked_alike(surveys, names_, verdicts)
        for sample in _samples(surveys, pooled):
            if all(names_ <= answered[key] for key in sample.waves):
                rows["factor_diagnostics"].append(_reliability(con, catalog, scale.id, items_, sample))
        if isinstance(pooled, str):
            rows["factor_diagnostics"].append(_not_pooled(surveys, scale.id, len(names_), "listwise", pooled))


def asked_alike(surveys: Sequence[Survey], items: Set[str], verdicts: VerdictsByWave) -> Sample | str:
    """Surveys that asked all items alike, or the reason why there are not two."""
    alike = tuple(
        s for s in surveys if all(verdicts[s.survey_id, s.latest].get(item) in COMPARABLE for item in items)
    )
    if len(alike) > 1:
        return Sample(alike, LATEST)
    names = ", ".join(s.survey_id for s in alike) or "none"
    return (
        f"not pooled: two surveys are needed that asked all items alike in their latest wave; found: {names}"
    )


def _not_pooled(
    surveys: Sequence[Survey], name: str, n_items: int, policy: str, reason: str
) -> dict[str, Any]:
    empty = ("alpha", "alpha_standardised", "alpha_ci_low", "alpha_ci_high")
    return {
        "survey_id": surveys[0].pooled_id,
        "model": name,
        "wave": LATEST,
        "sample": SAMPLE,
        "is_synthetic": surveys[0].is_synthetic,
        "region": surveys[0].pooled_id,
        "missing_policy": policy,
        "n": 0,
        "n_items": n_items,
        **dict.fromkeys((*empty, *ONLY_FACTORS)),
        "reason": reason,
    }


def oriented(catalog: Catalog, item: Item, value: str) -> str:
    """SQL of an item turned so that more is better."""
    spec = catalog.indicator[item.indicator]
    return f"({spec.minimum} + {spec.maximum} - {value})" if item.reverse else value


def item_batches(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    items: Sequence[Item],
    policy: str,
    sample: Sample,
) -> Iterable[pa.RecordBatch]:
    """Oriented items of a sample under a missing policy."""
    turned = [oriented(catalog, item, quoted(item.indicator)) for item in items]
    if policy == "mean":
        means = con.execute(
            f"select {', '.join(f'avg({x})' for x in turned)} from {HOUSEHOLDS} where {sample.rows}"
        ).fetchone()
        turned = [
            x if m is None else f"coalesce({x}, {number(m)})"
            for x, m in zip(turned, means or (), strict=True)
        ]
    columns = [f"{x} as {quoted(item.indicator)}" for item, x in zip(items, turned, strict=True)]
    any_answer = f"coalesce({', '.join(quoted(i.indicator) for i in items)}) is not null"
    batches: Iterable[pa.RecordBatch] = con.execute(
        f"select {', '.join(columns)} from {HOUSEHOLDS} where {sample.rows} and {any_answer}"
    ).to_arrow_reader(BATCH_ROWS)
    return batches


def _fit(con: duckdb.DuckDBPyConnection, catalog: Catalog, model: FactorModel, sample: Sample) -> Fitted:
    names = [item.indicator for item in model.items]
    summary = summarise(item_batches(con, catalog, model.items, model.missing_policy, sample), names)[()]
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
        "survey_id": sample.survey_id,
        "model": model,
        "wave": sample.wave,
        "sample": SAMPLE,
        "is_synthetic": sample.is_synthetic,
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
    n, alpha, standardised, low, high, reason = 0, None, None, None, None, None
    try:
        summary = summarise(item_batches(con, catalog, items, policy, sample), names)[()]
        n = summary.n
        result = cronbach_alpha(summary.covariance())
        alpha, standardised = result.raw, result.standardised
        if summary.n <= BOOTSTRAP_ROWS:
            table = pa.Table.from_batches(list(item_batches(con, catalog, items, policy, sample)))
            interval = alpha_interval(matrix(table, names))
            low, high = interval.raw_low, interval.raw_high
    except AnalysisError as error:
        reason = str(error)
    return {
        **_head(name, sample),
        "region": sample.region,
        "missing_policy": policy,
        "n": n,
        "n_items": len(items),
        "alpha": alpha,
        "alpha_standardised": standardised,
        "alpha_ci_low": low,
        "alpha_ci_high": high,
        **dict.fromkeys(ONLY_FACTORS),
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


def _scores(con: duckdb.DuckDBPyConnection, catalog: Catalog, fits: Sequence[Fitted]) -> Computed:
    """Scores of the factors and of the composite, one row each, as the fitted models give them."""
    parts = [f"select * from {_score_rows(con, catalog, fit)}" for fit in fits]
    absent = {"model": literal(""), "factor": literal(""), "factor_order": "0", "score": MISSING}
    nobody = extended(f"(select * from {HOUSEHOLDS} where false)", {**absent, "percent_score": MISSING})
    return computed(
        "analysis.factor_scores", f"({' union all by name '.join(parts)})" if parts else nobody, is_view=True
    )


def _score_rows(con: duckdb.DuckDBPyConnection, catalog: Catalog, fit: Fitted) -> str:
    """SQL of the households of a sample with their scores Z R^-1 L, in standard units and in percent."""
    model, weights = fit.model, _composite_weights(fit)
    any_answer = f"coalesce({', '.join(quoted(i.indicator) for i in model.items)}) is not null"
    standardised = {}
    for item, mean, sd in zip(model.items, fit.summary.mean(), fit.summary.sd(), strict=True):
        z = f"({oriented(catalog, item, quoted(item.indicator))} - {number(mean)}) / {number(sd)}"
        # A blank that counts as the mean has no deviation from it.
        standardised[f"z {item.indicator}"] = f"coalesce({z}, 0.0)" if model.missing_policy == "mean" else z
    households = f"(select * from {HOUSEHOLDS} where {fit.sample.rows} and {any_answer})"
    raw = {
        f"raw {name}": weighted_sum(dict(zip(map(quoted, standardised), coefficients, strict=True)))
        for name, coefficients in zip(
            fit.factors, fit.solution.score_coefficients.T[list(fit.order)], strict=True
        )
    }
    composite = {f"raw {COMPOSITE}": weighted_sum({quoted(f"raw {name}"): w for name, w in weights.items()})}
    source = extended(extended(extended(households, standardised), raw), composite)
    names = (COMPOSITE, *fit.factors)
    extremes = con.execute(
        f"select {', '.join(f'min({x}), max({x})' for x in (quoted(f'raw {name}') for name in names))} from {source}"
    ).fetchone()
    ends = np.array(extremes, dtype=np.float64).reshape(-1, 2)
    # A score that does not vary has no place between its ends.
    percents = {
        f"percent {name}": score(quoted(f"raw {name}"), low, high, is_cost=False, is_inside=True)
        for name, (low, high) in zip(names, ends, strict=True)
    }
    source = extended(source, percents)
    if CompositeOrder(model.composite.rescale) is CompositeOrder.RESCALE_THEN_WEIGHT:
        whole = weighted_sum({quoted(f"percent {name}"): w for name, w in weights.items()})
        source = f"(select * replace ({whole} as {quoted(f'percent {COMPOSITE}')}) from {source})"
    listed = ", ".join(f"({literal(name)}, {order})" for order, name in enumerate(names))
    crossed = f"({source} as scored cross join (values {listed}) as factors (factor, factor_order))"

    def by_factor(prefix: str) -> str:
        whens = " ".join(f"when {literal(name)} then {quoted(f'{prefix} {name}')}" for name in names)
        return f"case factor {whens} end"

    columns = {"score": by_factor("raw"), "percent_score": f"100.0 * {by_factor('percent')}"}
    return extended(crossed, {"model": literal(model.id), **columns})


def _congruence(
    model: FactorModel,
    fits: Mapping[Sample, Fitted | str],
    answered: Answered,
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
        shared = items.intersection(*(answered[key] for key in (*sample_a.waves, *sample_b.waves)))
        for named in phi or [f.id for f in model.factors]:
            value = phi.get(named)
            verdicts = (v for cut, v in CONGRUENCE_VERDICTS if value is not None and value >= cut)
            yield {
                "model": model.id,
                "sample_a": sample_a.name,
                "sample_b": sample_b.name,
                "factor": named,
                "is_synthetic": sample_a.is_synthetic or sample_b.is_synthetic,
                "phi": value,
                "n_items": len(shared),
                "verdict": next(verdicts, "not_testable"),
                "reason": "; ".join(reasons) or None,
            }
