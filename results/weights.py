"""Weights of the indicators under every scheme of the catalog.

Belongs here: estimating the weights of entropy, CRITIC and PCA schemes where surveys asked different things.
Does not belong here: the methods themselves (`analysis.weighting`), the indices made with the weights.

A method compares the members of a dimension with each other, so it needs households with all of them, and no
survey asked all. Each method is therefore applied in every survey to the members asked there. An indicator's
importance in a survey is its weight times the number of members, so that 1 is an equal share; importances are averaged
over the surveys, weighted by complete households, and scaled to sum to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import numpy as np
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.weighting import weigh
from results.households import Extremes, Survey, Weights, extremes, members, scheme_weights, scored
from results.tables import conform
from survey.catalog import Catalog, WeightScheme

STATED = ("equal", "given")
"""Kinds of schemes whose weights the catalog states."""


def all_weights(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, surveys: Iterable[Survey]
) -> dict[str, Weights]:
    """Scheme -> dimension -> indicator -> weight; an indicator that cannot be estimated has none."""
    surveys = tuple(surveys)
    result: dict[str, Weights] = {}
    for scheme in (catalog.weight_scheme(s.id) for s in catalog.weight_schemes):
        stated = scheme.kind in STATED
        result[scheme.id] = scheme_weights(scheme) if stated else _estimate(con, catalog, scheme, surveys)
    return result


def weights_table(catalog: Catalog, weights: Mapping[str, Weights], surveys: Iterable[Survey]) -> pa.Table:
    """`analysis.indicator_weights`."""
    is_synthetic = any(s.is_synthetic for s in surveys)
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
            for scheme, dimensions in weights.items()
            for dimension, indicators in dimensions.items()
            for indicator, weight in indicators.items()
        ),
    )


def _estimate(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, scheme: WeightScheme, surveys: tuple[Survey, ...]
) -> Weights:
    limits = extremes(con, catalog, members(scheme))
    estimated = {
        dimension: _dimension(con, scheme, list(indicators), limits, surveys)
        for dimension, indicators in scheme.dimensions.items()
    }
    return {dimension: weights for dimension, weights in estimated.items() if weights}


def _dimension(
    con: duckdb.DuckDBPyConnection,
    scheme: WeightScheme,
    indicators: list[str],
    limits: Extremes,
    surveys: tuple[Survey, ...],
) -> dict[str, float]:
    limits = limits.of(indicators)
    importance, counts = np.zeros(len(indicators)), np.zeros(len(indicators))
    for survey in surveys:
        z, _ = scored(con, limits, scheme.bounds, survey)
        answered = ~np.isnan(z).all(axis=0)
        try:
            estimate = weigh(z, scheme.kind)
        except AnalysisError:
            # Nothing asked, or nothing that varies: the survey says nothing about importance.
            continue
        importance[answered] += estimate.n * answered.sum() * estimate.values[answered]
        counts[answered] += estimate.n
    known = counts > 0
    mean = importance[known] / counts[known]
    return dict(zip(np.array(indicators)[known].tolist(), (mean / mean.sum()).tolist(), strict=True))
