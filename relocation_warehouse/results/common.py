"""Like with like: the composite metrics of a survey over the indicators that it shares with others.

Belongs here: which indicators two surveys share, and the SQL of metrics recomputed over them, with the same weights
and bounds as over all. Does not belong here: the comparison itself (`comparison`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import duckdb

from analysis.normalisation import BoundsMode
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.results.formulas import (
    comprehensive,
    coordination_degree,
    coupling_degree,
    extended,
    level,
    weighted_sum,
)
from relocation_warehouse.results.households import (
    Survey,
    dimension_column,
    extremes,
    members,
    scheme_weights,
    scored,
)
from relocation_warehouse.results.metrics import CAPITALS, COUPLING, FACTOR_SCORES, INTEGRATION
from relocation_warehouse.survey.catalog import Catalog

VERDICTS = ("identical", "compatible", "proxy", "undetermined")
"""Comparability of an indicator from strongest to weakest; what was not asked is not behind a value."""

COMPARABLE = ("identical", "compatible")
"""Verdicts under which two surveys asked for the same thing."""

Verdicts = Mapping[str, str]
"""Indicator that anybody answered -> its comparability."""

VerdictsByWave = Mapping[tuple[str, str], Verdicts]
"""(survey, wave) -> what was answered there, with its comparability."""

Sources = dict[str, dict[str, str]]
"""SQL of rows -> metric -> its column there."""


def verdicts_by_wave(con: duckdb.DuckDBPyConnection) -> VerdictsByWave:
    """The comparability of every indicator that anybody answered, by survey and wave."""
    verdicts: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for survey_id, wave, indicator, status in con.execute(
        "select survey_id, wave, indicator_id, status from harmonized.coverage where n > 0"
    ).fetchall():
        verdicts[survey_id, wave][indicator] = status
    return verdicts


def shared(answers: Iterable[Verdicts], among: Collection[str]) -> frozenset[str]:
    """Those of some indicators that every survey asked comparably."""
    parts = [{i for i, verdict in each.items() if verdict in COMPARABLE} & set(among) for each in answers]
    return frozenset(set.intersection(*parts)) if parts else frozenset()


def is_relative(catalog: Catalog, metric: str) -> bool:
    """Whether a metric is measured against its own sample, so that no indicators make it comparable."""
    return metric in catalog.metric and catalog.metric[metric].table == FACTOR_SCORES


def recomputed(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, indicators: Collection[str]
) -> Sources:
    """Metrics of a survey that are made of some of the indicators, over these alone.

    Weights are scaled up within a dimension, and over the dimensions that keep an indicator, as the marts do where a
    survey did not ask one. Bounds are those of the default scheme over all surveys.
    """
    by_table: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for metric in catalog.metrics:
        if metric.grain == "household":
            by_table[metric.table][metric.id] = metric.column
    sources: Sources = {}
    capitals, kept = _capitals(con, catalog, survey, indicators)
    if kept:
        wanted = {m: c for m, c in by_table[CAPITALS].items() if c in kept}
        systems = [catalog.metric[s.metric].column for s in catalog.coupling.systems]
        if kept >= set(systems):
            wanted |= by_table[COUPLING]
            u = [level(quoted(column)) for column in systems]
            alphas = [s.alpha for s in catalog.coupling.systems]
            variant = catalog.coupling.default_variant
            capitals = extended(
                capitals,
                {
                    "t": comprehensive(u, alphas),
                    "c": coupling_degree(u, variant),
                    "d": coordination_degree(u, alphas, variant),
                },
            )
        sources[capitals] = wanted
    items, kept = _integration(con, catalog, survey, indicators)
    if kept:
        sources[items] = {m: c for m, c in by_table[INTEGRATION].items() if c in kept}
    return {source: columns for source, columns in sources.items() if columns}


def _capitals(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, indicators: Collection[str]
) -> tuple[str, set[str]]:
    scheme = catalog.default_weight_scheme
    kept = {
        dimension: {i: w for i, w in weights.items() if i in indicators}
        for dimension, weights in scheme_weights(scheme).items()
    }
    kept = {dimension: weights for dimension, weights in kept.items() if weights}
    if not kept:
        return "", set()
    names = [i for i in members(scheme) if any(i in weights for weights in kept.values())]
    limits = extremes(con, catalog, names)
    source = scored(limits, survey.survey_id, scheme.bounds, {scheme.id: kept})
    columns = {d: quoted(dimension_column(scheme.id, d)) for d in kept}
    shares = {d: w for d, w in scheme.dimension_weights.items() if d in kept}
    if shares:
        whole = sum(shares.values())
        columns["total"] = weighted_sum({columns[d]: w / whole for d, w in shares.items()})
    return extended(source, columns), set(columns)


def _integration(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, indicators: Collection[str]
) -> tuple[str, set[str]]:
    system = {d.system for d in catalog.dimensions if d.id in _columns(catalog, INTEGRATION)}
    kept: dict[str, dict[str, float]] = {}
    for indicator in catalog.indicators:
        if indicator.is_numeric and indicator.system in system and indicator.id in indicators:
            kept.setdefault(indicator.dimension, {})[indicator.id] = 1.0
    if not kept:
        return "", set()
    limits = extremes(con, catalog, [i for items in kept.values() for i in items])
    source = scored(limits, survey.survey_id, BoundsMode.THEORETICAL, {INTEGRATION: kept})
    columns = {d: f"100.0 * {quoted(dimension_column(INTEGRATION, d))}" for d in kept}
    columns["total"] = weighted_sum({column: 1 / len(kept) for column in columns.values()})
    return extended(source, columns), set(columns)


def _columns(catalog: Catalog, table: str) -> set[str]:
    return {m.column for m in catalog.metrics if m.table == table}
