"""Metrics of the catalog as rows of the build database, and the indicators each is made of.

Belongs here: where a metric's values stand under which options. Does not belong here: computing one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import Survey
from relocation_warehouse.survey.catalog import Catalog, Metric, WeightScheme

CAPITALS = "capital.household_capitals"
STUDY_CAPITALS = "analysis.study_capitals"
"""Capital indices under the weights of published studies; those of the default scheme are in the marts."""

COUPLING = "analysis.coupling_coordination"
FACTOR_SCORES = "analysis.factor_scores"
INTEGRATION = "integration.household_dimensions"


class MetricError(ValueError):
    """A metric of the catalog cannot be computed; the message names it and says what to do."""


def study_scheme(catalog: Catalog, survey: Survey, published: Collection[str]) -> WeightScheme:
    """Return the weight scheme of a study where the survey belongs to it and it has one, else the default."""
    own = survey.published_survey_ids & set(published)
    scheme = next((s for s in catalog.weight_schemes if own & set(s.published_survey_ids)), None)
    return catalog.weight_scheme(scheme.id) if scheme else catalog.default_weight_scheme


def relation(metric: Metric, scheme: WeightScheme, tables: Mapping[str, str] | None = None) -> str:
    """SQL of the rows of a metric: household keys and its column.

    Parameters
    ----------
    metric
        Its `filters` name the default options.
    scheme
        Weight scheme to take where the metric depends on one.
    tables
        Tables of the same columns to read in the place of others.
    """
    filters, table = dict(metric.filters), metric.table
    if "scheme" in filters:
        filters["scheme"] = scheme.id
        if "bounds" in filters:
            filters["bounds"] = scheme.bounds
            table = table if scheme.is_default else STUDY_CAPITALS
    conditions = [f"{quoted(name)} = {literal(value)}" for name, value in filters.items()]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    return f"(select * from {(tables or {}).get(table, table)}{where})"


def ingredients(catalog: Catalog, name: str, scheme: WeightScheme) -> frozenset[str]:
    """Return the indicators behind a metric or indicator under a weight scheme."""
    if name in catalog.indicator:
        return frozenset([name])
    metric = catalog.metric[name]
    if metric.table == COUPLING:
        parts = (ingredients(catalog, s.metric, scheme) for s in catalog.coupling.systems)
        return frozenset().union(*parts)
    if metric.table == CAPITALS:
        chosen = [metric.column] if metric.column in scheme.dimensions else scheme.dimension_weights
        return frozenset(i for dimension in chosen for i in scheme.dimensions[dimension])
    if metric.table == FACTOR_SCORES:
        return frozenset(
            item.indicator
            for model in catalog.factor_models
            if name in {model.composite.metric, *(f.metric for f in model.factors)}
            for item in model.items
        )
    known = _dimensions_of(catalog, metric)
    systems = [d.system for d in catalog.dimensions if d.id in known]
    if not systems:
        raise MetricError(
            f"metrics.yml: {name}: no metric of table {metric.table} is a dimension of dimensions.yml, so the "
            f"indicators behind column {metric.column} are unknown; take a column of a table of dimensions, of "
            f"{COUPLING} or of {FACTOR_SCORES}, or add the metrics of its dimensions"
        )
    system = systems[0]
    whole = metric.column not in {d.id for d in catalog.dimensions}
    return frozenset(
        i.id
        for i in catalog.indicators
        if i.is_numeric and i.system == system and (whole or i.dimension == metric.column)
    )


def _dimensions_of(catalog: Catalog, metric: Metric) -> set[str]:
    """Dimensions that stand as metrics in the same table."""
    columns = {m.column for m in catalog.metrics if m.table == metric.table}
    return columns & {d.id for d in catalog.dimensions}
