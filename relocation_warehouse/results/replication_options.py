"""Printed figures recomputed under other options than the catalog's, to find those that agree best.

Belongs here: which options a study leaves open for each kind of figure, and the figure under each. Does not belong
here: the verdict (`replication`), which always rests on the options of the catalog: a match found among many tries
shows how a figure may have arisen, not that it did.

Options. Coupling: variant of the degree, weights and bounds. Capitals: weights and bounds. Means on 0-1: bounds. Factor
analysis: what a blank becomes, whether cells that the checks set aside stay as received, which factors enter the
composite, and whether they are weighted or rescaled first. Regression: what a blank becomes, raw or standardised
coefficient, the bounds where an index enters, the variant where the dependent is a degree, and factors and order
where it is a composite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.errors import AnalysisError
from analysis.factors import (
    Adequacy,
    CompositeOrder,
    FactorSolution,
    adequacy,
    composite_of_factors,
    factor,
    factor_scores,
    percent,
)
from analysis.model_design import MissingPolicy, fill_values
from analysis.normalisation import BoundsMode
from analysis.regression import STAR_LEVELS, Regression, fit_ols
from analysis.reliability import cronbach_alpha
from relocation_warehouse.ground.database import quoted, table_exists
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.coupling import capitals_under, coordinated
from relocation_warehouse.results.factors import COMPOSITE, named_components, oriented
from relocation_warehouse.results.households import HOUSEHOLD_WAVES, HOUSEHOLDS, Survey
from relocation_warehouse.results.metrics import CAPITALS, COUPLING, FACTOR_SCORES, STUDY_CAPITALS
from relocation_warehouse.results.regressions import Sample, samples
from relocation_warehouse.survey.catalog import Catalog, FactorModel, Item, Model, WeightScheme
from relocation_warehouse.survey.literature import ReplicationTarget

MISSING: tuple[MissingPolicy, ...] = ("listwise", "mean", "reference_category")

CELLS = ("checked", "as_received")

Option = dict[str, str]


@dataclass(frozen=True)
class Alternative:
    """A figure under one set of options, on the printed scale."""

    options: str
    value: float


def default_first(catalog: Catalog) -> tuple[str, ...]:
    """Variants of the coupling degree; of options that agree equally well the catalog's is named."""
    spec = catalog.coupling
    return tuple(dict.fromkeys([spec.default_variant, *(v.id for v in spec.variants)]))


def bounds_of(scheme: WeightScheme) -> tuple[BoundsMode, ...]:
    """Every choice of bounds, that of a weight scheme first."""
    return tuple(dict.fromkeys([BoundsMode(scheme.bounds), *BoundsMode]))


def named(options: Option) -> str:
    """Options as they are stored: `name=value`, separated by a space."""
    return " ".join(f"{name}={value}" for name, value in options.items())


@dataclass(frozen=True)
class Factors:
    """A factor model fitted to n households of a survey under one choice of cells and of missing answers.

    Attributes
    ----------
    household : ndarray of str, shape (n,)
    items : ndarray, shape (n, p)
        Oriented.
    order : tuple of int
        Component of each named factor.
    """

    model: FactorModel
    household: npt.NDArray[np.object_]
    items: FloatArray
    solution: FactorSolution
    adequacy: Adequacy
    order: tuple[int, ...]
    labels: tuple[str, ...]

    @cached_property
    def scores(self) -> FloatArray:
        """Scores of the named factors, shape (n, k)."""
        coefficients = self.solution.score_coefficients[:, list(self.order)]
        return factor_scores(
            self.items, self.items.mean(axis=0), self.items.std(axis=0, ddof=1), coefficients
        )

    def percent_scores(self, name: str, used: tuple[str, ...], rescale: str) -> FloatArray:
        """Percent scores of a factor, or of the composite of some."""
        if name != COMPOSITE:
            return percent(self.scores)[:, self.labels.index(name)]
        explained = self.solution.explained[list(self.order)]
        places = [self.labels.index(f) for f in used]
        return composite_of_factors(self.scores, explained, places, order=rescale)


@dataclass(frozen=True)
class Source:
    """Where a regression reads its columns under some options.

    Attributes
    ----------
    filters
        Of the dependent metric, in the place of its own.
    tables
        Tables read in the place of those of the catalog's metrics.
    bounds
        Of the indices; empty where none enters.
    """

    options: Option
    filters: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    bounds: BoundsMode | None = None


@dataclass(frozen=True)
class Search:
    """Options of one survey's figures.

    Attributes
    ----------
    schemes
        Weights of the study, and those of the marts.
    rows
        Condition on the households of the printed group, for SQL.
    """

    con: duckdb.DuckDBPyConnection
    catalog: Catalog
    survey: Survey
    schemes: tuple[WeightScheme, ...]
    rows: Callable[[ReplicationTarget], str]

    def factor_figures(self, target: ReplicationTarget) -> Iterator[Alternative]:
        """Figures of a factor analysis or scale."""
        scale = next((s for s in self.catalog.scales if s.id == target.target), None)
        for cells, policy in product(CELLS, ("mean", "listwise")):
            options = {"cells": cells, "missing": policy}
            if target.kind == "alpha" and scale is not None:
                items = self._items(self.catalog.scale_items(scale), cells, policy)[1]
                alpha = cronbach_alpha(np.cov(items, rowvar=False))
                yield Alternative(named(options | {"alpha": "standardised"}), alpha.standardised)
                yield Alternative(named(options | {"alpha": "raw"}), alpha.raw)
                continue
            fit = self._fit(target.factor_model, cells, policy)
            if target.kind == "factor_score_mean":
                yield from self._score_means(target, fit, options)
            else:
                yield Alternative(named(options), self._factor_figure(target, fit))

    def _factor_figure(self, target: ReplicationTarget, fit: Factors) -> float:
        names = [item.indicator for item in fit.model.items]
        if target.kind in ("loading", "explained_percent"):
            component = fit.order[fit.labels.index(target.factor)]
            if target.kind == "explained_percent":
                return 100 * float(fit.solution.explained[component])
            return float(fit.solution.loadings[names.index(target.target), component])
        if target.kind == "communality":
            return float(fit.solution.communalities[names.index(target.target)])
        return float(fit.adequacy.kmo if target.kind == "kmo" else fit.adequacy.bartlett_chi2)

    def _score_means(self, target: ReplicationTarget, fit: Factors, options: Option) -> Iterator[Alternative]:
        inside = {
            row[0]
            for row in self.con.execute(
                f"select household_id from {HOUSEHOLDS} where {self.rows(target)}"
            ).fetchall()
        }
        chosen = np.array([h in inside for h in fit.household])
        if target.factor != COMPOSITE:
            mean = float(fit.percent_scores(target.factor, (), "")[chosen].mean())
            yield Alternative(named(options), mean)
            return
        for composite, scores in _composites(fit):
            yield Alternative(named(options | composite), float(scores[chosen].mean()))

    def _fit(self, model_id: str, cells: str, policy: str) -> Factors:
        key = (model_id, cells, policy)
        if key not in self._fits:
            model = next(m for m in self.catalog.factor_models if m.id == model_id)
            household, items = self._items(model.items, cells, policy)
            r = np.corrcoef(items, rowvar=False)
            solution = factor(r, n_factors=model.n_factors)
            order, labels = named_components(self.catalog, model, solution.loadings)
            self._fits[key] = Factors(
                model, household, items, solution, adequacy(r, len(items)), order, labels
            )
        return self._fits[key]

    @cached_property
    def _fits(self) -> dict[tuple[str, str, str], Factors]:
        return {}

    def _items(
        self, items: tuple[Item, ...], cells: str, policy: str
    ) -> tuple[npt.NDArray[np.object_], FloatArray]:
        """Households and their oriented items, without blanks."""
        columns = ", ".join(
            f"{oriented(self.catalog, item, self._cell(item.indicator, cells))} as {quoted(item.indicator)}"
            for item in items
        )
        answered = ", ".join(quoted(i.indicator) for i in items)
        table = self.con.execute(
            f"select household_id, {columns} from {HOUSEHOLDS} where survey_id = ? and wave = ? "
            f"and coalesce({answered}) is not null order by household_id",
            [self.survey.survey_id, self.survey.latest],
        ).df()
        household = table.pop("household_id").to_numpy(dtype=object)
        values = table.to_numpy(dtype=np.float64)
        if policy == "mean":
            values = np.where(np.isnan(values), np.nanmean(values, axis=0), values)
        complete = ~np.isnan(values).any(axis=1)
        return household[complete], values[complete]

    def _cell(self, indicator: str, cells: str) -> str:
        """An answer, or what was received in its cell where a check set it aside."""
        received = self._received.get(indicator, {}) if cells == "as_received" else {}
        whens = " ".join(f"when {literal(h)} then {value!r}" for h, value in received.items())
        name = quoted(indicator)
        return f"coalesce({name}, case household_id {whens} end)" if whens else name

    @cached_property
    def _received(self) -> dict[str, dict[str, float]]:
        """Indicator -> household -> number set aside, where a household lost one cell and one answer by it."""
        if not table_exists(self.con, "quality", "quarantine"):
            return {}
        cells: dict[str, list[float | None]] = {}
        for household, value in self.con.execute(
            "select household_id, try_cast(value as double) from quality.quarantine "
            "where survey_id = ? and grain = 'cell' and household_id is not null",
            [self.survey.survey_id],
        ).fetchall():
            cells.setdefault(household, []).append(value)
        single = {h: values[0] for h, values in cells.items() if len(values) == 1 and values[0] is not None}
        by_variable: dict[str, dict[str, float]] = {}
        for household, value in single.items():
            numeric = [i.id for i in self.catalog.indicators if i.is_numeric]
            reasons = self.con.execute(
                f"select {', '.join(quoted(n + '__missing') for n in numeric)} from {HOUSEHOLD_WAVES} "
                "where survey_id = ? and wave = ? and household_id = ?",
                [self.survey.survey_id, self.survey.latest, household],
            ).fetchone()
            lost = [n for n, reason in zip(numeric, reasons or (), strict=False) if reason == "out_of_range"]
            if len(lost) == 1:
                by_variable.setdefault(lost[0], {})[household] = value
        return by_variable

    def model_figures(self, target: ReplicationTarget) -> Iterator[Alternative]:
        """Figures of a regression."""
        model = next(m for m in self.catalog.models if m.id == target.model)
        sources, policies = self._sources(model), dict.fromkeys((model.missing, *MISSING))
        for source, policy in product(sources, policies):
            fit = self._regression(target.model, source, policy)
            if fit is None:
                continue
            options = source.options | {"missing": policy}
            if target.kind == "coefficient" and target.term in fit.terms:
                k = fit.terms.index(target.term)
                for name in dict.fromkeys((model.reported_coefficient, "b", "beta")):
                    yield Alternative(named(options | {"coefficient": name}), float(getattr(fit, name)[k]))
            elif (value := _model_figure(target, fit)) is not None:
                yield Alternative(named(options), value)

    def _sources(self, model: Model) -> tuple[Source, ...]:
        """Options of the columns of a model; one without any where no index and no composite enters."""
        names = [model.dependent, *(r.name for r in self.catalog.regressors_of(model))]
        metrics = [self.catalog.metric[name] for name in names if name in self.catalog.metric]
        is_degree = any(m.id == model.dependent and m.table == COUPLING for m in metrics)
        variants = default_first(self.catalog) if is_degree else ("",)
        if any(m.table in INDEX_TABLES for m in metrics):
            return tuple(
                Source(
                    ({"variant": variant} if variant else {}) | {"bounds": mode},
                    {"variant": variant} if variant else {},
                    self.index_tables[mode],
                    mode,
                )
                for variant, mode in product(variants, bounds_of(self.schemes[0]))
            )
        factors = next((m for m in self.catalog.factor_models if m.composite.metric == model.dependent), None)
        return self._composite_sources(factors) if factors else (Source({}),)

    @cached_property
    def index_tables(self) -> dict[BoundsMode, Mapping[str, str]]:
        """Tables of the capitals and degrees of the survey under each choice of bounds, by the table they replace."""
        by_mode: dict[BoundsMode, Mapping[str, str]] = {}
        for mode in BoundsMode:
            capitals, degrees = (
                quoted(f"{name} of {self.survey.survey_id}, {mode}") for name in ("capitals", "degrees")
            )
            parts = (
                capitals_under(self.con, self.catalog, self.survey, s.model_copy(update={"bounds": mode}))
                for s in self.schemes
            )
            made = {
                capitals: " union all by name ".join(f"select * from {part}" for part in parts),
                degrees: f"select * from {coordinated(self.catalog, capitals)}",
            }
            for name, query in made.items():
                self.con.execute(f"create or replace temp table {name} as {query}")
            by_mode[mode] = {CAPITALS: capitals, STUDY_CAPITALS: capitals, COUPLING: degrees}
        return by_mode

    def _composite_sources(self, model: FactorModel) -> tuple[Source, ...]:
        """Composites of a factor model as dependents, each in a table of its own."""
        if model.id not in self._composite_tables:
            fit, sources = self._fit(model.id, CELLS[0], model.missing_policy), []
            for options, scores in _composites(fit):
                name = f"{model.id} of {self.survey.survey_id}, {named(options)}"
                columns = {
                    "household_id": fit.household,
                    "percent_score": scores,
                    **{
                        column: [value] * len(scores)
                        for column, value in (
                            ("survey_id", self.survey.survey_id),
                            ("wave", self.survey.latest),
                            ("model", model.id),
                            ("factor", COMPOSITE),
                        )
                    },
                }
                self.con.register(name, pa.table(columns))
                sources.append(Source(options, tables={FACTOR_SCORES: quoted(name)}))
            self._composite_tables[model.id] = tuple(sources)
        return self._composite_tables[model.id]

    @cached_property
    def _composite_tables(self) -> dict[str, tuple[Source, ...]]:
        return {}

    def _regression(self, model_id: str, source: Source, policy: MissingPolicy) -> Regression | None:
        key = (model_id, named(source.options), policy)
        if key not in self._regressions:
            try:
                sample = self._sample(model_id, source)
                model = sample.model.model_copy(update={"missing": policy})
                sample = replace(sample, model=model, fill={})
                sample = replace(sample, fill=fill_values(sample.answers, sample.design))
                fit = fit_ols(sample.summary()[()], model.dependent, sample.terms, unidentified="omit")
            except AnalysisError:
                # An option under which the model cannot be fitted offers no figure.
                fit = None
            self._regressions[key] = fit
        return self._regressions[key]

    def _sample(self, model_id: str, source: Source) -> Sample:
        key = (model_id, named(source.options))
        if key not in self._samples:
            sample = self._offered(model_id)
            if sample.absent:
                raise AnalysisError(f"{model_id} lacks {', '.join(sample.absent)}.")
            if source.bounds:
                scheme = sample.scheme.model_copy(update={"bounds": source.bounds})
                sample = replace(sample, scheme=scheme)
            sample = replace(sample, dependent_filters=source.filters, tables=source.tables)
            self._samples[key] = sample.read()
        return self._samples[key]

    def _offered(self, model_id: str) -> Sample:
        """Sample of the survey for a model, under the options of the catalog."""
        if model_id not in self._samples_offered:
            model = next(m for m in self.catalog.models if m.id == model_id)
            own = (s for s in samples(self.con, self.catalog, model) if s.surveys == (self.survey,))
            self._samples_offered[model_id] = next(own)
        return self._samples_offered[model_id]

    @cached_property
    def _samples_offered(self) -> dict[str, Sample]:
        return {}

    @cached_property
    def _regressions(self) -> dict[tuple[str, str, str], Regression | None]:
        return {}

    @cached_property
    def _samples(self) -> dict[tuple[str, str], Sample]:
        return {}


def _composites(fit: Factors) -> Iterator[tuple[Option, FloatArray]]:
    """Percent scores of the composite of the catalog's factors and of all, weighted or rescaled first."""
    used = tuple(fit.model.composite.factors)
    for factors in dict.fromkeys((used, tuple(f.id for f in fit.model.factors))):
        for order in CompositeOrder:
            scores = fit.percent_scores(COMPOSITE, factors, order)
            yield {"factors": str(len(factors)), "order": order}, scores


def _model_figure(target: ReplicationTarget, fit: Regression) -> float | None:
    if target.kind == "stars" and target.term in fit.terms:
        return float(fit.stars[fit.terms.index(target.term)])
    whole = {
        "model_f": fit.f,
        "model_adj_r2": fit.adj_r2,
        "model_n": float(fit.n),
        "model_f_stars": float(sum(fit.f_p < level for level in STAR_LEVELS)),
    }
    return whole.get(target.kind or "")


FACTOR_KINDS = frozenset(
    {"alpha", "kmo", "bartlett", "loading", "communality", "explained_percent", "factor_score_mean"}
)
MODEL_KINDS = frozenset({"coefficient", "stars", "model_f", "model_f_stars", "model_adj_r2", "model_n"})
MIN_MAX_KINDS = frozenset({"min_max_mean", "min_max_sd"})
INDEX_TABLES = (CAPITALS, COUPLING)
