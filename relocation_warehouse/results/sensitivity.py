"""Does the order of regions survive other choices: every combination of bounds, weights, coupling variant and bands.

Belongs here: the grid of options over the catalog's schemes, by the same rules for unasked and blank members as the
marts. Does not belong here: the methods and the ranking (`analysis`).

Schemes of single studies take no part: they leave most members of other surveys out. Regions of real surveys are
ranked among themselves, and so are those of made-up ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.coupling import ROUNDING, classify
from analysis.coupling import coupling as couple
from analysis.normalisation import BoundsMode
from analysis.sensitivity import rank_sensitivity
from analysis.summary import floats, in_parts, row_weights
from analysis.weighting import composites
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import texts
from relocation_warehouse.results.coupling import bands_of
from relocation_warehouse.results.formulas import is_asked as asked
from relocation_warehouse.results.households import (
    HOUSEHOLD_WAVES,
    NOT_ASKED,
    Extremes,
    Survey,
    Weights,
    by_origin,
    extremes,
    members,
    surveys,
)
from relocation_warehouse.results.metrics import COUPLING, MetricError
from relocation_warehouse.results.tables import conform
from relocation_warehouse.results.weights import STATED
from relocation_warehouse.survey.catalog import Catalog, WeightScheme

BLOCK_ROWS = 16_384
"""Households worked on at a time: their indices under one option fit the second-level cache."""

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
    rows, ranks = list[dict[str, Any]](), list[dict[str, Any]]()
    for is_synthetic, of_origin in by_origin(surveys(con)).items():
        values = _values(con, catalog, of_origin, _weights(con, is_synthetic))
        own = list(_rows(catalog, values, is_synthetic))
        rows += own
        ranks += _rank_rows(own, is_synthetic)
    return {
        "sensitivity": conform("analysis.sensitivity", rows),
        "sensitivity_ranks": conform("analysis.sensitivity_ranks", ranks),
    }


def _weights(con: duckdb.DuckDBPyConnection, is_synthetic: bool) -> Mapping[str, Weights]:
    """Weights that the catalog states, and those that were estimated on made-up surveys, or on real ones."""
    weights: defaultdict[str, defaultdict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for scheme, dimension, indicator, weight in con.execute(
        "select scheme, dimension, indicator_id, weight from analysis.indicator_weights "
        f"where is_synthetic = ? or kind in ({texts(STATED)})",
        [is_synthetic],
    ).fetchall():
        weights[scheme][dimension][indicator] = weight
    return weights


def _values(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    of_origin: tuple[Survey, ...],
    weights: Mapping[str, Weights],
) -> Values:
    """Means of every region by wave under each option, from weighted sums over the batches of each survey."""
    schemes = [catalog.weight_scheme(s.id) for s in catalog.weight_schemes if not s.published_survey_ids]
    limits = extremes(con, catalog, list(dict.fromkeys(i for scheme in schemes for i in members(scheme))))
    is_asked = _asked(con)
    work = [
        (con.cursor(), catalog, schemes, weights, limits, survey, wave, is_asked[survey.survey_id, wave])
        for survey in of_origin
        for wave in {survey.waves[0], survey.latest}
    ]
    # Arrays are worked on outside the interpreter, so that surveys share the processors.
    with ThreadPoolExecutor() as pool:
        sums = list(pool.map(lambda arguments: _sums(*arguments), work))
    totals: defaultdict[tuple[str, str, Options], defaultdict[str, FloatArray]]
    totals = defaultdict(lambda: defaultdict(lambda: np.zeros(2)))
    for (*_, survey, wave, _), made in zip(work, sums, strict=True):
        labels = [LATEST] * (wave == survey.latest) + [FIRST] * (wave == survey.waves[0] != survey.latest)
        for label, ((metric, options), pair) in product(labels, made.items()):
            totals[metric, label, options][survey.region] += pair
    return {
        key: {region: total / n for region, (total, n) in regions.items() if n > 0}
        for key, regions in totals.items()
    }


def _asked(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, bool | None]]:
    """(survey, wave) -> indicator -> whether it was asked; None where of some households only."""
    not_asked = " + ".join(f"n_{reason}" for reason in NOT_ASKED)
    was_asked: defaultdict[tuple[str, str], dict[str, bool | None]] = defaultdict(dict)
    for survey_id, wave, indicator, n_asked, n in con.execute(
        f"select survey_id, wave, indicator_id, n + n_missing - ({not_asked}), n + n_missing "
        "from harmonized.coverage"
    ).fetchall():
        was_asked[survey_id, wave][indicator] = None if 0 < n_asked < n else n_asked > 0
    return was_asked


def _sums(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    schemes: Sequence[WeightScheme],
    weights: Mapping[str, Weights],
    limits: Extremes,
    survey: Survey,
    wave: str,
    is_asked: Mapping[str, bool | None],
) -> dict[tuple[str, Options], FloatArray]:
    """Metric and options -> weighted sum of the values of a survey in a wave, and sum of their weights."""
    names = limits.indicators
    columns = [quoted(i) for i in names]
    mixed = [i for i in names if is_asked[i] is None]
    columns += [f"{asked(i)} as {quoted(f'{i} asked')}" for i in mixed]
    reader = con.execute(
        f"select weight, {', '.join(columns)} from {HOUSEHOLD_WAVES} where survey_id = ? and wave = ?",
        [survey.survey_id, wave],
    ).to_arrow_reader(BLOCK_ROWS)
    add_up = partial(
        _added_up,
        catalog=catalog,
        schemes=schemes,
        weights={scheme.id: dict(weights[scheme.id]) for scheme in schemes},
        limits=limits,
        survey_id=survey.survey_id,
        is_asked=is_asked,
        mixed=mixed,
    )
    sums: defaultdict[tuple[str, Options], FloatArray] = defaultdict(partial(np.zeros, 2))
    for part in in_parts(reader, add_up):
        for key, pair in part.items():
            sums[key] += pair
    return sums


def _added_up(
    batches: Iterable[pa.RecordBatch],
    catalog: Catalog,
    schemes: Sequence[WeightScheme],
    weights: Mapping[str, Weights],
    limits: Extremes,
    survey_id: str,
    is_asked: Mapping[str, bool | None],
    mixed: Sequence[str],
) -> dict[tuple[str, Options], FloatArray]:
    """Sums over batches, which may be a part of a survey's."""
    names = limits.indicators
    sums: defaultdict[tuple[str, Options], FloatArray] = defaultdict(partial(np.zeros, 2))
    for batch in batches:
        weight = np.asarray(row_weights(batch, "weight", "sampling"), dtype=np.float64)
        x = np.array([floats(batch, i) for i in names], dtype=np.float64)
        was_asked = np.array([[float(bool(is_asked[i]))] for i in names])
        if mixed:
            was_asked = np.repeat(was_asked, batch.num_rows, axis=1)
            for i in mixed:
                was_asked[names.index(i)] = floats(batch, f"{i} asked")
        for mode in BoundsMode:
            dimensions = _dimensions(
                limits.scores(x, survey_id, mode),
                was_asked,
                names,
                schemes,
                weights,
                catalog.minimum_answered_share,
            )
            for scheme, scored in zip(schemes, dimensions, strict=True):
                for (metric, variant, bands), values, w in _measures(catalog, scheme, scored, weight):
                    key = (metric, Options(mode, scheme.id, variant, bands))
                    sums[key] += (w @ values, w.sum())
    return sums


def _dimensions(
    z: FloatArray,
    was_asked: FloatArray,
    names: Sequence[str],
    schemes: Sequence[WeightScheme],
    weights: Mapping[str, Weights],
    minimum_answered_share: float,
) -> list[dict[str, FloatArray]]:
    """Dimensions of n households under every scheme, as in the marts: means of the members asked and answered.

    Parameters
    ----------
    z : ndarray, shape (p, n)
    was_asked : ndarray, shape (p, n) or (p, 1)
    names
        Of the p indicators.
    schemes, weights
        Weights of the indicators by scheme and dimension.
    """
    scored: list[dict[str, FloatArray]] = [{} for _ in schemes]
    for dimension in dict.fromkeys(d for scheme in schemes for d in weights[scheme.id]):
        own = [weights[scheme.id].get(dimension, {}) for scheme in schemes]
        rows = [names.index(i) for i in dict.fromkeys(i for part in own for i in part)]
        w = np.array([[part.get(names[row], 0.0) for row in rows] for part in own])
        index = composites(z[rows], was_asked[rows], w, min_share=minimum_answered_share)
        for part, given, values in zip(scored, own, index, strict=True):
            if given:
                part[dimension] = values
    return scored


def _measures(
    catalog: Catalog, scheme: WeightScheme, scored: Mapping[str, FloatArray], weight: FloatArray
) -> Iterator[tuple[tuple[str, str | None, str | None], FloatArray, FloatArray]]:
    """Metric, and variant and bands where they play a part, with values and weights of the households that have one.

    The coupled systems come first, then D by every variant, then its place in the bands.
    """
    systems = catalog.coupling.systems
    u = np.array([_system(scored, scheme, catalog.metric[s.metric].column, len(weight)) for s in systems])
    np.clip(u, 0.0, 1.0, out=u, where=(u > -ROUNDING) & (u < 1 + ROUNDING))
    known = ~np.isnan(u)
    for system, values, has_value in zip(systems, u, known, strict=True):
        yield (system.metric, None, None), values[has_value], weight[has_value]
    complete = known.all(axis=0)
    u, weight = u[:, complete], weight[complete]
    degree = next((m.id for m in catalog.metrics if m.table == COUPLING and m.column == "d"), None)
    if degree is None:
        raise MetricError(
            f"metrics.yml: no metric is column d of {COUPLING}, by which regions are ranked; add it"
        )
    for variant in catalog.coupling.variants:
        d = couple(u.T, [s.alpha for s in systems], variant.id).d
        yield (degree, variant.id, None), d, weight
        for grading in catalog.band_schemes:
            # A scheme of one band has one place.
            steps = max(len(grading.bands) - 1, 1)
            yield (degree, variant.id, grading.id), classify(d, bands_of(grading)) / steps, weight


def _system(scored: Mapping[str, FloatArray], scheme: WeightScheme, column: str, n: int) -> FloatArray:
    """A dimension of n households, or the weighted total of those that enter it; missing where none has weights."""
    if column in scored:
        return scored[column]
    missing = np.full(n, np.nan)
    parts = [w * scored.get(dimension, missing) for dimension, w in scheme.dimension_weights.items()]
    return np.asarray(np.sum(parts, axis=0))


def _rows(catalog: Catalog, values: Values, is_synthetic: bool) -> Iterator[dict[str, Any]]:
    default = catalog.default_weight_scheme
    by_metric: defaultdict[tuple[str, str], dict[Options, dict[str, float]]] = defaultdict(dict)
    for (metric, wave, options), regions in values.items():
        by_metric[metric, wave][options] = regions
    for (metric, wave), grid in by_metric.items():
        names = sorted({region for means in grid.values() for region in means})
        reference = {
            options: options.bounds == default.bounds
            and options.scheme == default.id
            and options.variant in (None, catalog.coupling.default_variant)
            and options.bands is None
            for options in grid
        }
        matrix = np.array([[means.get(name, np.nan) for name in names] for means in grid.values()])
        place = list(reference.values()).index(True)
        comparable = len(names) > 1 and not np.isnan(matrix[place]).any()
        ranks, same = np.full(matrix.shape, np.nan), [None] * len(matrix)
        if comparable:
            ranking = rank_sensitivity(matrix, reference=place)
            ranks, same = ranking.ranks, ranking.same_order.tolist()
        for options, row, ranked, keeps in zip(grid, matrix, ranks, same, strict=True):
            for region, value, rank in zip(names, row, ranked, strict=True):
                yield {
                    "metric_id": metric,
                    "wave": wave,
                    "region": region,
                    "combination_id": options.name,
                    "is_synthetic": is_synthetic,
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


def _rank_rows(rows: list[dict[str, Any]], is_synthetic: bool) -> Iterator[dict[str, Any]]:
    """How often each region takes each rank, and how often all regions keep the order of the reference."""
    counts: defaultdict[tuple[str, str, str], defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
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
                "is_synthetic": is_synthetic,
                "n_combinations": n,
                "share": n / sum(ranks.values()),
                "share_same_order": sum(kept[metric, wave].values()) / len(kept[metric, wave]),
            }
