"""Regression models of the catalog, fitted in the surveys they belong to and in all comparable ones together.

Belongs here: which households and columns a model takes, which conventions of the standard errors are tried, and the
tables made of it. Does not belong here: fitting, covariances and tests (`analysis`).

Models are fitted unweighted, as printed ones were. Numbers rescaled to 0-1 take the extremes of the survey in that
wave, so that models of subsamples share one scale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, ParamSpec, TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from analysis.coupling import leave_one_out
from analysis.diagnostics import SpecificationTests, specification_tests
from analysis.errors import AnalysisError, EmptyGroupError
from analysis.inference import (
    WildBootstrap,
    cluster_scores,
    clustered,
    heteroskedastic,
    second_pass,
    wild_cluster_bootstrap,
)
from analysis.model_design import Category, ModelDesign, design_batches, fill_values
from analysis.regression import INTERCEPT, Regression, fit_ols, generalised_vif
from analysis.summary import Summary, summarise
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import (
    HOUSEHOLDS,
    Survey,
    asked,
    by_origin,
    matrix,
    surveys,
)
from relocation_warehouse.results.metrics import CAPITALS, COUPLING, ingredients, relation, study_scheme
from relocation_warehouse.results.sampling import unit_key
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, Metric, Model, Regressor, WeightScheme

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

UNIT = "sampling_unit"
"""Column of the sampling unit, unique over surveys: the clusters of the standard errors."""

REGION = "region"
CONSTANT = "constant"

Covariance = Literal["ols", "hc1", "hc3", "cr1", "cr2"]
"""Conventions tried for every model; those that do not exist are stored with the reason."""

CLUSTERED: tuple[Covariance, ...] = ("cr1", "cr2")

BOOTSTRAP_DRAWS = 1999

FEW_CLUSTERS = 10
"""Fewer clusters than this make clustered errors themselves uncertain; the row says so."""

CLUSTERS_A_SLOPE = 2
"""With fewer clusters for each slope, a joint F of them rejects far too often (Pustejovsky and Tipton 2018, J. Business
and Economic Statistics 36); the row says so."""


def regressions(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Fit every model of the catalog under every convention of the standard errors.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` and `factors` in it.
    catalog
        Models and their regressors.

    Returns
    -------
    dict
        `regression_models` and `regression_coefficients` of the schema `analysis`.
    """
    models: list[dict[str, Any]] = []
    coefficients: list[dict[str, Any]] = []
    for order, model in enumerate(catalog.models, start=1):
        for sample in samples(con, catalog, model):
            head = sample.head(order)
            try:
                fits = list(_fit(sample))
            except AnalysisError as error:
                models.append(head | _refusal(catalog, model, model.covariance, str(error)))
                continue
            for attempt in fits:
                if isinstance(attempt.fit, AnalysisError):
                    models.append(head | _refusal(catalog, model, attempt.covariance, str(attempt.fit)))
                else:
                    models.append(head | _model_row(sample, attempt, attempt.fit))
                    coefficients += _coefficient_rows(sample, attempt, attempt.fit)
    return {
        "regression_models": conform("analysis.regression_models", models),
        "regression_coefficients": conform("analysis.regression_coefficients", coefficients),
    }


@dataclass(frozen=True)
class Sample:
    """Households and columns of a model in one survey, or in several.

    Attributes
    ----------
    surveys
        One, or all comparable ones.
    absent
        Columns that the surveys lack; the model is refused where there are any.
    dependent_filters
        Options of the dependent metric that replace its default ones.
    tables
        Tables read in the place of those of the catalog's metrics.
    answers, fill
        Columns of the model, and what replaces missing regressors; known once read.
    """

    con: duckdb.DuckDBPyConnection
    catalog: Catalog
    model: Model
    surveys: tuple[Survey, ...]
    scheme: WeightScheme
    absent: tuple[str, ...] = ()
    dependent_filters: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    answers: pa.Table | None = None
    fill: dict[str, float] = field(default_factory=dict)

    @property
    def is_pooled(self) -> bool:
        """Whether several surveys enter."""
        return len(self.surveys) > 1

    @property
    def survey_id(self) -> str:
        """The survey, or what several are called together."""
        return self.surveys[0].pooled_id if self.is_pooled else self.surveys[0].survey_id

    @property
    def other_regions(self) -> tuple[str, ...]:
        """Regions that the first one is compared with, where the model interacts with the region."""
        regions = sorted({s.region for s in self.surveys})
        return tuple(regions[1:]) if self.model.interact_with else ()

    @property
    def design(self) -> ModelDesign:
        """The model without interactions."""
        regressors = self.catalog.regressors_of(self.model)
        return ModelDesign(
            self.model.dependent,
            tuple(r.name for r in regressors if r.kind == "numeric"),
            tuple(
                Category(r.name, self.catalog.codes_of(r.name), r.reference)
                for r in regressors
                if r.kind == "dummies"
            ),
            self.model.missing,
        )

    @property
    def own_parts(self) -> dict[str, str]:
        """Regressors that a dependent degree of coordination is made of, with their dimension."""
        dependent = self.catalog.metric.get(self.model.dependent)
        if dependent is None or (dependent.table, dependent.column) != (COUPLING, "d"):
            return {}
        metrics = [self.catalog.metric[r.metric] for r in self.catalog.regressors_of(self.model) if r.metric]
        return {
            m.id: m.column
            for m in metrics
            if m.table == CAPITALS and m.column in self.scheme.dimension_weights
        }

    @property
    def terms(self) -> tuple[str, ...]:
        """Regressors in the order of the catalog, then regions and their interactions."""
        own = self.catalog.terms_of(self.model)
        regions = [_region_term(r) for r in self.other_regions]
        return (*own, *regions, *(_interaction(term, r) for r in self.other_regions for term in own))

    def head(self, order: int) -> dict[str, Any]:
        """What all rows of the model share."""
        model = self.model
        filters = [f"{name}={code}" for name, code in model.sample.items()]
        names = [model.dependent, *(r.name for r in self.catalog.regressors_of(model))]
        has_scheme = any(
            "scheme" in self.catalog.metric[n].filters for n in names if n in self.catalog.metric
        )
        return {
            "survey_id": self.survey_id,
            "model": model.id,
            "is_synthetic": any(s.is_synthetic for s in self.surveys),
            "label_en": model.label_en,
            "label_zh": model.label_zh,
            "model_order": order,
            "dependent": model.dependent,
            "sample": " and ".join(filters) or "all",
            "wave": model.wave if self.is_pooled else _wave(model, self.surveys[0]),
            "scheme": self.scheme.id if has_scheme else None,
            "missing_policy": model.missing,
        }

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Columns of the model as numbers, with region and site."""
        keep = (REGION, UNIT, *(_without(name) for name in self.own_parts))
        designed = design_batches(self.answers, self.design, fill=self.fill, keep=keep)
        yield from (self._interacted(batch) for batch in designed)

    def rows(self) -> Rows:
        """The same batches for every pass over them."""
        return Rows(self)

    def read(self) -> Sample:
        """Sample with its answers and with what replaces missing regressors.

        Only the columns of the model are held, because the standard errors read them again.

        Raises
        ------
        EmptyGroupError
            If a column has no value: nobody of the sample answered, or all gave one answer, which leaves no range to
            rescale.
        """
        rows = self.con.execute(self._sql()).to_arrow_table()
        named = [*(r.name for r in self.catalog.regressors_of(self.model)), self.model.dependent]
        empty = [name for name in named if rows[name].null_count == rows.num_rows]
        if empty:
            raise EmptyGroupError(f"No value, or no range to rescale to 0-1: {', '.join(empty)}.")
        answers = self._with_leave_one_out(rows)
        return replace(self, answers=answers, fill=fill_values(answers, self.design))

    def summary(self) -> dict[tuple[Any, ...], Summary]:
        """Triangular factors of the terms and of the dependent."""
        return summarise(self.batches(), [*self.terms, self.model.dependent])

    def _with_leave_one_out(self, answers: pa.Table) -> pa.Table:
        """Append the degree without each capital that is a regressor, by the default variant."""
        if not self.own_parts:
            return answers
        shares, spec = self.scheme.dimension_weights, self.catalog.coupling
        parts = matrix(answers, [_part(dimension) for dimension in shares])
        others = matrix(answers, [_part(s.metric) for s in spec.systems[1:]])
        alphas = [s.alpha for s in spec.systems]
        without = leave_one_out(parts, list(shares.values()), others, alphas, spec.default_variant)
        for name, dimension in self.own_parts.items():
            answers = answers.append_column(
                _without(name), pa.array(without[:, list(shares).index(dimension)])
            )
        return answers

    def _interacted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not self.other_regions:
            return batch
        columns = {name: batch.column(name) for name in batch.schema.names}
        region = np.asarray(columns[REGION].to_pylist(), dtype=object)
        for other in self.other_regions:
            inside = (region == other).astype(np.float64)
            columns[_region_term(other)] = pa.array(inside)
            for term in self.catalog.terms_of(self.model):
                values = columns[term].to_numpy(zero_copy_only=False)
                columns[_interaction(term, other)] = pa.array(values * inside)
        return pa.RecordBatch.from_pydict(columns)

    def _sql(self) -> str:
        parts = [
            f"select * from ({self._survey_sql(survey)}) where {self._filter()}" for survey in self.surveys
        ]
        return " union all by name ".join(parts)

    def _filter(self) -> str:
        conditions = [
            f"{quoted(f'sample {name}')} = {literal(code)}" for name, code in self.model.sample.items()
        ]
        return " and ".join(conditions) or "true"

    def _survey_sql(self, survey: Survey) -> str:
        """One survey in the wave of the model; metrics joined by household."""
        columns = [f"households.{REGION}", f"{unit_key(self.con, 'households')} as {UNIT}"]
        joined: dict[str, str] = {}
        columns += [
            f"{self._code(f'households.{quoted(name)}', name)} as {quoted(f'sample {name}')}"
            for name in self.model.sample
        ]

        def measured(metric: Metric) -> str:
            """Column of a metric; metrics of one relation share its join."""
            alias = joined.setdefault(relation(metric, self.scheme, self.tables), f"metrics{len(joined)}")
            return f"{alias}.{quoted(metric.column)}"

        dependent = Regressor.model_validate(
            {
                "metric"
                if self.model.dependent in self.catalog.metric
                else "indicator": self.model.dependent,
                "kind": "numeric",
            }
        )
        for regressor in (*self.catalog.regressors_of(self.model), dependent):
            name = quoted(regressor.name)
            value = f"households.{name}"
            if regressor.metric:
                metric = self.catalog.metric[regressor.metric]
                if regressor is dependent:
                    filters = {**metric.filters, **self.dependent_filters}
                    metric = metric.model_copy(update={"filters": filters})
                value = measured(metric)
            if regressor.kind == "dummies":
                value = self._code(value, regressor.name)
            if regressor.normalise == "min_max":
                low = f"min({value}) over ()"
                value = f"({value} - {low}) / nullif(max({value}) over () - {low}, 0)"
            columns.append(f"{value} as {name}")
        if self.own_parts:
            first, *others = (self.catalog.metric[s.metric] for s in self.catalog.coupling.systems)
            parts = [first.model_copy(update={"column": d}) for d in self.scheme.dimension_weights]
            columns += [f"{measured(m)} as {quoted(_part(m.column))}" for m in parts]
            columns += [f"{measured(m)} as {quoted(_part(m.id))}" for m in others]
        here = f"survey_id = {literal(survey.survey_id)} and wave = {literal(_wave(self.model, survey))}"
        joins = [
            f"left join (select * from {source} where {here}) as {alias} using (household_id)"
            for source, alias in joined.items()
        ]
        return (
            f"select {', '.join(columns)} from (select * from {HOUSEHOLDS} where {here}) as households "
            f"{' '.join(joins)}"
        )

    def _code(self, value: str, name: str) -> str:
        """A code as text; scored indicators are stored as numbers."""
        return (
            f"cast(cast({value} as bigint) as varchar)" if self.catalog.indicator[name].is_numeric else value
        )


def samples(con: duckdb.DuckDBPyConnection, catalog: Catalog, model: Model) -> Iterator[Sample]:
    """Samples of a model: each survey of its studies; or each survey that asked everything, and these pooled.

    Made-up surveys and real ones are pooled apart.
    """
    all_surveys = surveys(con)
    own = set(model.published_survey_ids)
    if own:
        for survey in all_surveys:
            if own & survey.published_survey_ids:
                scheme = study_scheme(catalog, survey, own)
                absent = _absent(con, catalog, model, survey, scheme)
                yield Sample(con, catalog, model, (survey,), scheme, absent)
        return
    scheme = catalog.default_weight_scheme
    comparable = tuple(s for s in all_surveys if not _absent(con, catalog, model, s, scheme))
    for survey in comparable:
        yield Sample(con, catalog, model, (survey,), scheme)
    for alike in by_origin(comparable).values():
        if len(alike) > 1:
            yield Sample(con, catalog, model, alike, scheme)


def _wave(model: Model, survey: Survey) -> str:
    return survey.latest if model.wave == "latest" else model.wave


def _absent(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, model: Model, survey: Survey, scheme: WeightScheme
) -> tuple[str, ...]:
    """Columns of a model without a single value in a survey."""
    wave = _wave(model, survey)
    available = asked(con).get((survey.survey_id, wave), frozenset())
    names = [*model.sample, *(r.name for r in catalog.regressors_of(model)), model.dependent]
    absent = [n for n in names if n in catalog.indicator and n not in available]
    for metric in (catalog.metric[n] for n in names if n in catalog.metric):
        if not con.execute(
            f"select 1 from {relation(metric, scheme)} "
            f"where survey_id = ? and wave = ? and {quoted(metric.column)} is not null limit 1",
            [survey.survey_id, wave],
        ).fetchone():
            absent.append(metric.id)
    return tuple(dict.fromkeys(absent))


def _region_term(region: str) -> str:
    return f"{REGION}={region}"


def _part(name: str) -> str:
    return f"part {name}"


def _without(name: str) -> str:
    """Column of the dependent computed without a regressor."""
    return f"without {name}"


def _interaction(term: str, region: str) -> str:
    return f"{term}:{_region_term(region)}"


@dataclass(frozen=True)
class Rows:
    """The batches of a sample, made again in every pass: only the answers are held, not the columns of the model."""

    sample: Sample

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.sample.batches()


@dataclass(frozen=True)
class Attempt:
    """A model under one convention of the standard errors, or the reason why that does not exist."""

    covariance: Covariance
    fit: Regression | AnalysisError
    tests: SpecificationTests | None
    wild: WildBootstrap | AnalysisError | None = None
    without: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By regressor: b and p of it where the dependent is computed without it."""


def _fit(sample: Sample) -> Iterator[Attempt]:
    """Yield the model under every convention."""
    if sample.absent:
        raise AnalysisError(f"Not asked or not answered in this wave: {', '.join(sample.absent)}.")
    sample = sample.read()
    rows = sample.rows()
    others = [_without(name) for name in sample.own_parts]
    summary = summarise(rows, [*sample.terms, sample.model.dependent])[()]
    classical = fit_ols(summary, sample.model.dependent, sample.terms, unidentified="omit")
    tests: SpecificationTests | None
    try:
        tests = specification_tests(rows, classical)
    except AnalysisError:
        # The tests need more rows than the model, and a regressor; the model stands without them.
        tests = None
    without = _leave_one_out(sample, summarise(rows, [*sample.terms, *others])[()]) if others else {}
    yield Attempt("ols", classical, tests, without=without)
    again = second_pass(rows, classical, UNIT)
    yield Attempt("hc1", _attempted(heteroskedastic, again, classical, "HC1"), tests)
    yield Attempt("hc3", _attempted(heteroskedastic, again, classical, "HC3"), tests)
    scores = _attempted(cluster_scores, again, classical, UNIT)
    if isinstance(scores, AnalysisError):
        yield from (Attempt(covariance, scores, tests) for covariance in CLUSTERED)
        return
    wild = _attempted(wild_cluster_bootstrap, classical, scores, draws=BOOTSTRAP_DRAWS)
    yield Attempt("cr1", _attempted(clustered, classical, scores, "CR1"), tests, wild)
    yield Attempt("cr2", _attempted(clustered, classical, scores, "CR2"), tests)


def _leave_one_out(sample: Sample, summary: Summary) -> dict[str, tuple[float, float]]:
    """By regressor that the dependent is made of: b and p of it where the dependent is computed without it."""
    estimates: dict[str, tuple[float, float]] = {}
    for name in sample.own_parts:
        fit = fit_ols(summary, _without(name), sample.terms, unidentified="omit")
        if name in fit.terms:
            k = fit.terms.index(name)
            estimates[name] = float(fit.b[k]), float(fit.p[k])
    return estimates


def _attempted(
    compute: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
) -> Result | AnalysisError:
    try:
        return compute(*args, **options)
    except AnalysisError as error:
        return error


def _refusal(catalog: Catalog, model: Model, covariance: str, reason: str) -> dict[str, Any]:
    numbers = ("r2", "adj_r2", "f", "f_p", "residual_sd", "n_clusters")
    tests = ("breusch_pagan", "breusch_pagan_p", "reset", "reset_p")
    return {
        "covariance": covariance,
        "n": 0,
        "k": len(catalog.terms_of(model)),
        **dict.fromkeys((*numbers, *tests)),
        "caution": f"refused: {reason}",
    }


def _model_row(sample: Sample, attempt: Attempt, fit: Regression) -> dict[str, Any]:
    tests = attempt.tests
    return {
        "covariance": attempt.covariance,
        "n": fit.n,
        "k": fit.df_model,
        "r2": fit.r2,
        "adj_r2": fit.adj_r2,
        "f": fit.f,
        "f_p": fit.f_p,
        "residual_sd": fit.residual_sd,
        "n_clusters": fit.n_clusters,
        "breusch_pagan": tests.breusch_pagan if tests else None,
        "breusch_pagan_p": tests.breusch_pagan_p if tests else None,
        "reset": tests.reset if tests else None,
        "reset_p": tests.reset_p if tests else None,
        "caution": "; ".join(_cautions(sample, attempt, fit)) or None,
    }


def _cautions(sample: Sample, attempt: Attempt, fit: Regression) -> Iterator[str]:
    catalog, scheme = sample.catalog, sample.scheme
    whole = ingredients(catalog, sample.model.dependent, scheme)
    parts = [
        r.name for r in catalog.regressors_of(sample.model) if ingredients(catalog, r.name, scheme) & whole
    ]
    if parts:
        yield f"the dependent is partly made of {', '.join(parts)}"
    if fit.is_perfect:
        yield "no tests: the dependent is a combination of the regressors"
    if fit.lone:
        alone = "one household" if fit.n_clusters is None else "one sampling unit"
        yield f"no inference of {', '.join(fit.lone)}: {alone} determines it alone"
    for omission in fit.omitted:
        yield f"{omission.term} left out: {omission.reason}"
    if fit.n_clusters is not None and fit.n_clusters < FEW_CLUSTERS:
        yield f"only {fit.n_clusters} clusters"
    has_f = bool(np.isfinite(fit.f))
    if has_f and fit.n_clusters is not None and fit.n_clusters < CLUSTERS_A_SLOPE * fit.df_model:
        yield f"F is too large: it joins {fit.df_model} slopes, and there are {fit.n_clusters} clusters"
    if isinstance(attempt.wild, AnalysisError):
        yield f"no wild bootstrap: {attempt.wild}"


def _coefficient_rows(sample: Sample, attempt: Attempt, fit: Regression) -> Iterable[dict[str, Any]]:
    place = {term: k for k, term in enumerate(fit.terms)}
    wild = attempt.wild if isinstance(attempt.wild, WildBootstrap) else None
    columns = ("b", "se", "t", "df", "p", "ci_low", "ci_high", "beta", "beta_ci_low", "beta_ci_high", "vif")
    inflation = _inflation(fit)
    for order, term in enumerate((INTERCEPT, *sample.terms)):
        k = place.get(term)
        values = {c: None if k is None else float(getattr(fit, c)[k]) for c in columns}
        b_without, p_without = attempt.without.get(term, (None, None))
        yield {
            "survey_id": sample.survey_id,
            "model": sample.model.id,
            "covariance": attempt.covariance,
            "term": CONSTANT if term == INTERCEPT else term,
            "term_order": order,
            "is_synthetic": any(s.is_synthetic for s in sample.surveys),
            **term_facts(sample, term),
            **values,
            "gvif": inflation.get(term),
            "p_wild": float(wild.p[k]) if wild and k is not None else None,
            "stars": "" if k is None else "*" * fit.stars[k],
            "b_leave_one_out": b_without,
            "p_leave_one_out": p_without,
        }


def _inflation(fit: Regression) -> dict[str, float]:
    """Variance inflation of each term: for a dummy, of all dummies of its category together."""
    together: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for term in fit.regressors:
        own, _, region = term.partition(f":{REGION}=")
        together[own.partition("=")[0], region].append(term)
    sets = list(together.values())
    factors = generalised_vif(fit, sets).tolist()
    return {term: value for terms, value in zip(sets, factors, strict=True) for term in terms}


def term_facts(sample: Sample, term: str) -> Mapping[str, str | None]:
    """Labels of a term, and indicator and codes where it is one."""
    catalog = sample.catalog
    own, _, suffix = term.partition(f":{REGION}=")
    name, _, code = own.partition("=")
    indicator = catalog.indicator.get(name)
    if term == INTERCEPT:
        label_en, label_zh = "Constant", "常数项"
    elif name == REGION:
        label_en, label_zh = _region_label(sample, code)
    elif code and indicator:
        codes = catalog.code_lists[indicator.code_list or ""]
        label = next(c for c in codes if c.code == code)
        label_en, label_zh = (
            f"{indicator.label_en}: {label.label_en}",
            f"{indicator.label_zh}：{label.label_zh}",
        )
    else:
        labelled = indicator or catalog.metric[name]
        label_en, label_zh = labelled.label_en, labelled.label_zh
    if suffix:
        region_en, region_zh = _region_label(sample, suffix)
        label_en, label_zh = f"{label_en} × {region_en}", f"{label_zh} × {region_zh}"
    reference = next((r.reference for r in catalog.regressors_of(sample.model) if r.name == name), None)
    return {
        "indicator_id": name if indicator else None,
        "code": code or None,
        "reference_code": reference if code else None,
        "label_en": label_en,
        "label_zh": label_zh,
    }


def _region_label(sample: Sample, region: str) -> tuple[str, str]:
    """English and Chinese name of a region."""
    return next(s.region_label for s in sample.surveys if s.region == region)
