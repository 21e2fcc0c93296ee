"""Weights of the indicators under every scheme of the catalog.

Belongs here: estimating the weights of entropy, CRITIC and PCA schemes where surveys asked different things.
Does not belong here: the methods themselves (`analysis.weighting`), the indices made with the weights.

A method compares the members of a dimension with each other, so it needs households with all of them, and no
survey asked all. Each method is therefore applied in every survey to the members asked there. An indicator's
importance in a survey is its weight times the number of members, so that 1 is an equal share; importances are averaged
over the surveys, weighted by complete households, and scaled to sum to one. Made-up and real surveys are never
averaged together: each have weights of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.summary import summarise
from analysis.weighting import Moments, weigh_moments
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.results.households import (
    BATCH_ROWS,
    HOUSEHOLDS,
    Extremes,
    Survey,
    Weights,
    extremes,
    members,
    scheme_weights,
)
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, WeightScheme

STATED = ("equal", "given")
"""Kinds of schemes whose weights the catalog states."""

Known = dict[tuple[str, str, tuple[str, ...]], Moments]
"""Survey, bounds and members of a dimension -> moments: schemes with the same members share them."""


def all_weights(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, surveys: Iterable[Survey]
) -> dict[str, Weights]:
    """Scheme -> dimension -> indicator -> weight; an indicator that cannot be estimated has none."""
    surveys = tuple(surveys)
    result: dict[str, Weights] = {}
    known: Known = {}
    for scheme in (catalog.weight_scheme(s.id) for s in catalog.weight_schemes):
        stated = scheme.kind in STATED
        result[scheme.id] = (
            scheme_weights(scheme) if stated else _estimate(con, catalog, scheme, surveys, known)
        )
    return result


def weights_table(catalog: Catalog, weights: Mapping[bool, Mapping[str, Weights]]) -> pa.Table:
    """`analysis.indicator_weights`: estimated on made-up surveys (True) and on real ones, or stated by the catalog."""
    schemes = {s.id: catalog.weight_scheme(s.id) for s in catalog.weight_schemes}
    return conform(
        "analysis.indicator_weights",
        (
            {
                "scheme": scheme,
                "dimension": dimension,
                "indicator_id": indicator,
                "kind": schemes[scheme].kind,
                "weight": weight,
                "dimension_weight": schemes[scheme].dimension_weights.get(dimension),
                "is_synthetic": is_synthetic and schemes[scheme].kind not in STATED,
            }
            for k, (is_synthetic, estimated) in enumerate(weights.items())
            for scheme, dimensions in estimated.items()
            # what the catalog states is made of no survey, and stands once
            if k == 0 or schemes[scheme].kind not in STATED
            for dimension, indicators in dimensions.items()
            for indicator, weight in indicators.items()
        ),
    )


def _estimate(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    scheme: WeightScheme,
    surveys: tuple[Survey, ...],
    known: Known,
) -> Weights:
    limits = extremes(con, catalog, members(scheme))
    estimated = {
        dimension: _dimension(con, scheme, tuple(indicators), limits, surveys, known)
        for dimension, indicators in scheme.dimensions.items()
    }
    return {dimension: weights for dimension, weights in estimated.items() if weights}


def _dimension(
    con: duckdb.DuckDBPyConnection,
    scheme: WeightScheme,
    indicators: tuple[str, ...],
    limits: Extremes,
    surveys: tuple[Survey, ...],
    known: Known,
) -> dict[str, float]:
    importance, counts = (dict.fromkeys(indicators, 0.0) for _ in range(2))
    for survey in surveys:
        answered = [i for i in indicators if limits.is_answered(i, survey.survey_id)]
        if not answered:
            continue
        key = (survey.survey_id, scheme.bounds, indicators)
        if key not in known:
            scores = {i: limits.score(i, survey.survey_id, scheme.bounds) for i in answered}
            known[key] = _moments(con, survey, scores)
        try:
            values = weigh_moments(known[key], scheme.kind)
        except AnalysisError:
            # Nothing that varies, or no complete household: the survey says nothing about importance.
            continue
        for indicator, weight in zip(answered, values.tolist(), strict=True):
            importance[indicator] += known[key].n * len(answered) * weight
            counts[indicator] += known[key].n
    mean = {i: importance[i] / counts[i] for i in indicators if counts[i]}
    return {i: value / sum(mean.values()) for i, value in mean.items()}


def _moments(con: duckdb.DuckDBPyConnection, survey: Survey, scores: Mapping[str, str]) -> Moments:
    """Moments of the households of a survey with all scores, in one pass."""
    columns = [f"{value} as {quoted(name)}" for name, value in scores.items()]
    logs = [
        f"if({quoted(name)} > 0, {quoted(name)} * ln({quoted(name)}), {quoted(name)}) as {quoted(_log(name))}"
        for name in scores
    ]
    reader = con.execute(
        f"select *, {', '.join(logs)} from "
        f"(select {', '.join(columns)} from {HOUSEHOLDS} where survey_id = ?)",
        [survey.survey_id],
    ).to_arrow_reader(BATCH_ROWS)
    summary = summarise(reader, [*scores, *map(_log, scores)])[()]
    if summary.n < 2:
        return Moments(summary.n, *(np.empty(0),) * 2, np.empty((0, 0)))
    p, mean = len(scores), summary.mean()
    return Moments(summary.n, mean[:p], mean[p:], summary.covariance()[:p, :p])


def _log(name: str) -> str:
    return f"log {name}"
