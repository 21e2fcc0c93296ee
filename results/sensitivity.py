"""Does the order of regions survive other choices: every combination of bounds, weights, coupling variant and bands.

Belongs here: the grid of options over the catalog's schemes, by the same rules for unasked and blank members as the
marts. Does not belong here: the methods and the ranking (`analysis`).

Schemes of single studies take no part: they leave most members of other surveys out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.normalisation import BoundsMode
from analysis.sensitivity import rank_sensitivity
from results.formulas import (
    MISSING,
    band,
    coordination_degree,
    extended,
    level,
    literal,
    number,
    weighted_sum,
)
from results.households import Survey, Weights, dimension_column, extremes, members, scored, surveys
from results.metrics import COUPLING
from results.tables import conform
from survey.catalog import Catalog, WeightScheme
from warehouse.database import quoted

LATEST, FIRST = "latest", "first"
"""Waves that surveys are compared in; the first only of surveys with several."""


@dataclass(frozen=True)
class Options:
    """One combination; variant and bands are empty where they play no part.

    With bands, regions are ranked by the mean place of their households in the scheme, 0 lowest band to 1 highest;
    without, by the mean itself.
    """

    bounds: str
    scheme: str
    variant: str | None = None
    bands: str | None = None

    @property
    def name(self) -> str:
        """Id of the combination."""
        return ".".join(part for part in (self.bounds, self.scheme, self.variant, self.bands) if part)


Values = dict[tuple[str, str, Options], dict[str, float]]
"""(metric, wave, options) -> region -> value."""


def sensitivity(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Value and rank of every region under every combination of options.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` in it.
    catalog
        Systems, variants and weight schemes.

    Returns
    -------
    dict
        `sensitivity` and `sensitivity_ranks` of the schema `analysis`.
    """
    found = surveys(con)
    weights: defaultdict[str, defaultdict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for scheme, dimension, indicator, weight in con.execute(
        "select scheme, dimension, indicator_id, weight from analysis.indicator_weights"
    ).fetchall():
        weights[scheme][dimension][indicator] = weight
    values = _values(con, catalog, found, weights)
    synthetic = {s.region: s.is_synthetic for s in found}
    rows = list(_rows(catalog, values, synthetic))
    return {
        "sensitivity": conform("analysis.sensitivity", rows),
        "sensitivity_ranks": conform("analysis.sensitivity_ranks", _rank_rows(rows)),
    }


def _values(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    found: tuple[Survey, ...],
    weights: Mapping[str, Weights],
) -> Values:
    """Means of every survey by wave under each option, added up by region; one query for each survey and bounds."""
    schemes = [catalog.weight_scheme(s.id) for s in catalog.weight_schemes if not s.published_survey_ids]
    limits = extremes(con, catalog, list(dict.fromkeys(i for scheme in schemes for i in members(scheme))))
    sums: defaultdict[tuple[str, str, Options], defaultdict[str, FloatArray]]
    sums = defaultdict(lambda: defaultdict(lambda: np.zeros(2)))
    for survey, mode in product(found, BoundsMode):
        waves = {survey.latest: LATEST} | ({survey.waves[0]: FIRST} if len(survey.waves) > 1 else {})
        inside = f"wave in ({', '.join(map(literal, waves))})"
        source = scored(limits, survey.survey_id, mode, {s.id: weights[s.id] for s in schemes}, inside)
        source, measures = _measures(catalog, schemes, weights, source)
        pairs = ", ".join(
            f"sum(weight * {x}), sum(weight) filter (where {x} is not null)" for x in map(quoted, measures)
        )
        for wave, *totals in con.execute(f"select wave, {pairs} from {source} group by wave").fetchall():
            means = np.array(totals, dtype=np.float64).reshape(-1, 2)
            for (metric, scheme, variant, bands), pair in zip(measures.values(), means, strict=True):
                key = (metric, waves[wave], Options(mode, scheme, variant, bands))
                sums[key][survey.region] += np.nan_to_num(pair)
    return {
        key: {region: total / n for region, (total, n) in regions.items() if n > 0}
        for key, regions in sums.items()
    }


def _measures(
    catalog: Catalog, schemes: Iterable[WeightScheme], weights: Mapping[str, Weights], source: str
) -> tuple[str, dict[str, tuple[str, str, str | None, str | None]]]:
    """Relation with the coupled systems under each scheme, then D by every variant, then its place in the bands.

    Returns
    -------
    str
        The relation.
    dict
        Its columns -> metric, scheme, and variant and bands where they play a part.
    """
    systems = catalog.coupling.systems
    alphas = [s.alpha for s in systems]
    degree = next(m.id for m in catalog.metrics if m.table == COUPLING and m.column == "d")
    named: dict[str, tuple[str, str, str | None, str | None]] = {}
    u, d, places = {}, {}, {}
    for scheme in schemes:
        own = {
            x: quoted(dimension_column(scheme.id, x)) for x in scheme.dimensions if x in weights[scheme.id]
        }
        names = []
        for system in systems:
            name = f"u {scheme.id} {system.metric}"
            u[name] = level(_system(own, scheme, catalog.metric[system.metric].column))
            named[name] = (system.metric, scheme.id, None, None)
            names.append(quoted(name))
        for variant in catalog.coupling.variants:
            name = f"d {scheme.id} {variant.id}"
            d[name] = coordination_degree(names, alphas, variant.id)
            named[name] = (degree, scheme.id, variant.id, None)
            for grading in catalog.band_schemes:
                place = f"{name} {grading.id}"
                # A scheme of one band has one place.
                steps = max(len(grading.bands) - 1, 1)
                places[place] = f"{band(quoted(name), grading)} / {number(steps)}"
                named[place] = (degree, scheme.id, variant.id, grading.id)
    return extended(extended(extended(source, u), d), places), named


def _system(columns: Mapping[str, str], scheme: WeightScheme, column: str) -> str:
    """A dimension, or the weighted total of those that enter it."""
    if column in columns:
        return columns[column]
    return weighted_sum({columns.get(x, MISSING): w for x, w in scheme.dimension_weights.items()})


def _rows(catalog: Catalog, values: Values, synthetic: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
    default = catalog.default_weight_scheme
    by_metric: defaultdict[tuple[str, str], dict[Options, dict[str, float]]] = defaultdict(dict)
    for (metric, wave, options), regions in values.items():
        by_metric[metric, wave][options] = regions
    for (metric, wave), grid in by_metric.items():
        names = sorted({region for found in grid.values() for region in found})
        reference = {
            options: options.bounds == default.bounds
            and options.scheme == default.id
            and options.variant in (None, catalog.coupling.default_variant)
            and options.bands is None
            for options in grid
        }
        matrix = np.array([[found.get(name, np.nan) for name in names] for found in grid.values()])
        place = list(reference.values()).index(True)
        comparable = len(names) > 1 and not np.isnan(matrix[place]).any()
        ranks, same = np.full(matrix.shape, np.nan), [None] * len(matrix)
        if comparable:
            found = rank_sensitivity(matrix, reference=place)
            ranks, same = found.ranks, found.same_order.tolist()
        for options, row, ranked, keeps in zip(grid, matrix, ranks, same, strict=True):
            for region, value, rank in zip(names, row, ranked, strict=True):
                yield {
                    "metric_id": metric,
                    "wave": wave,
                    "region": region,
                    "combination_id": options.name,
                    "is_synthetic": synthetic[region],
                    "bounds": options.bounds,
                    "scheme": options.scheme,
                    "variant": options.variant,
                    "band_scheme": options.bands,
                    "is_reference": reference[options],
                    "value": value,
                    "rank": None if np.isnan(rank) else int(rank),
                    "keeps_order": keeps,
                    "n_regions": int(np.count_nonzero(~np.isnan(row))),
                }


def _rank_rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """How often each region takes each rank, and how often all regions keep the order of the reference."""
    counts: defaultdict[tuple[str, str, str], defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    synthetic = {row["region"]: row["is_synthetic"] for row in rows}
    kept: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for row in rows:
        if row["rank"] is not None:
            counts[row["metric_id"], row["wave"], row["region"]][row["rank"]] += 1
            kept[row["metric_id"], row["wave"]][row["combination_id"]] = row["keeps_order"]
    for (metric, wave, region), ranks in counts.items():
        for rank, n in sorted(ranks.items()):
            yield {
                "metric_id": metric,
                "wave": wave,
                "region": region,
                "rank": rank,
                "is_synthetic": synthetic[region],
                "n_combinations": n,
                "share": n / sum(ranks.values()),
                "share_same_order": sum(kept[metric, wave].values()) / len(kept[metric, wave]),
            }
