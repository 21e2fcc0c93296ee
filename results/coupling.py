"""Coupling coordination of households and groups, its change between waves, and what holds households back.

Belongs here: which schemes, variants, band schemes and groups are measured, and the tables made of it.
Does not belong here: the formulas (`analysis.coupling`, `analysis.transitions`) and design-based comparison of
regions (`comparison`): summaries here describe the households interviewed, each counted once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.stats import rankdata

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.coupling import (
    MISSING,
    ROUNDING,
    SYNCHRONOUS,
    Band,
    Closed,
    classify,
    coupling_means,
    lag,
    leave_one_out,
    obstacle_degrees,
)
from analysis.coupling import coupling as couple
from analysis.transitions import paired_change, transition
from results.households import (
    KEYS,
    Survey,
    Weights,
    capitals,
    extremes,
    matrix,
    members,
    schemes_of,
    scored,
    surveys,
)
from results.tables import conform
from results.weights import all_weights, weights_table
from survey.catalog import BandScheme, Catalog, WeightScheme

Rows = dict[str, list[dict[str, Any]]]


def coupling(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Measure coupling coordination under the default weights, and under those of the study a survey belongs to.

    Parameters
    ----------
    con
        Build database, read only.
    catalog
        Systems, variants, band schemes and weight schemes.

    Returns
    -------
    dict
        `indicator_weights`, `study_capitals`, `coupling_coordination`, `coupling_summary`, `coupling_bands`,
        `coupling_transitions`, `coupling_tests`, `coupling_leave_one_out` and `obstacle_degrees` of the schema
        `analysis`.
    """
    found = surveys(con)
    weights = all_weights(con, catalog, found)
    households: list[pa.Table] = []
    studies: list[pa.Table] = []
    rows: Rows = defaultdict(list)
    for survey in found:
        for scheme in schemes_of(catalog, survey):
            table = capitals(con, catalog, scheme, survey)
            if not scheme.is_default:
                studies.append(table)
            panel = Panel.of(catalog, survey, scheme, table)
            if np.isfinite(panel.systems).any():
                households += _household_tables(catalog, panel, table)
                _group_rows(catalog, panel, rows)
        for row in _obstacles(con, catalog, survey, weights):
            rows["obstacle_degrees"].append(row)
    names = (
        "coupling_summary",
        "coupling_bands",
        "coupling_transitions",
        "coupling_tests",
        "coupling_leave_one_out",
        "obstacle_degrees",
    )
    return {
        "indicator_weights": weights_table(catalog, weights, found),
        "study_capitals": _together("analysis.study_capitals", studies),
        "coupling_coordination": _together("analysis.coupling_coordination", households),
        **{name: conform(f"analysis.{name}", rows[name]) for name in names},
    }


def _together(name: str, parts: list[pa.Table]) -> pa.Table:
    return conform(name, pa.concat_tables(parts) if parts else [])


@dataclass(frozen=True)
class Panel:
    """Systems of the households of one survey under one weight scheme.

    Attributes
    ----------
    survey, scheme
    metrics : tuple of str
        Names of the systems.
    systems : ndarray, shape (n, s)
        NaN where missing.
    parts : ndarray, shape (n, k)
        Dimensions that the first system is the weighted mean of, in the order of the scheme.
    household, wave, site : ndarray of str, shape (n,)
    """

    survey: Survey
    scheme: WeightScheme
    metrics: tuple[str, ...]
    systems: FloatArray
    parts: FloatArray
    household: npt.NDArray[np.object_]
    wave: npt.NDArray[np.object_]
    site: npt.NDArray[np.object_]

    @classmethod
    def of(cls, catalog: Catalog, survey: Survey, scheme: WeightScheme, table: pa.Table) -> Panel:
        """Panel from capital indices; sums of shares may leave 0-1 by a rounding error, which is taken back."""
        metrics = tuple(s.metric for s in catalog.coupling.systems)
        u = matrix(table, [catalog.metric[m].column for m in metrics])
        near = (u > -ROUNDING) & (u < 1 + ROUNDING)
        u = np.where(near, np.clip(u, 0.0, 1.0), u)
        parts = matrix(table, list(scheme.dimension_weights))
        keys = [
            table[name].to_pandas().to_numpy(dtype=object) for name in ("household_id", "wave", "site_id")
        ]
        return cls(survey, scheme, metrics, u, parts, *keys)

    @cached_property
    def groups(self) -> tuple[tuple[str, str, BoolArray], ...]:
        """Group type, group and its rows: all households, then every site."""
        sites = [("site", site, self.site == site) for site in sorted(set(self.site))]
        return (("all", "all", np.ones(len(self.site), dtype=bool)), *sites)

    @cached_property
    def in_wave(self) -> Mapping[str, BoolArray]:
        """Rows of each wave."""
        return {wave: self.wave == wave for wave in self.survey.waves}

    @cached_property
    def all_pairs(self) -> tuple[tuple[str, str, npt.NDArray[np.intp], npt.NDArray[np.intp]], ...]:
        """Consecutive waves with the rows of the households in both, lined up."""
        found = []
        for first, second in pairwise(self.survey.waves):
            before, after = np.flatnonzero(self.in_wave[first]), np.flatnonzero(self.in_wave[second])
            place = pd.Index(self.household[before]).get_indexer(pd.Index(self.household[after]))
            found.append((first, second, before[place[place >= 0]], after[place >= 0]))
        return tuple(found)

    def pairs(
        self, inside: BoolArray
    ) -> Iterator[tuple[str, str, npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Pairs of a group; the later wave decides who belongs to it."""
        for first, second, before, after in self.all_pairs:
            chosen = inside[after]
            yield first, second, before[chosen], after[chosen]


def bands_of(scheme: BandScheme) -> list[Band]:
    """Bands of a scheme of the catalog, from low to high."""
    return [Band(b.id, b.lower, b.upper, Closed(scheme.closed)) for b in scheme.bands]


def _household_tables(catalog: Catalog, panel: Panel, table: pa.Table) -> Iterator[pa.Table]:
    """Rows of `coupling_coordination`: every variant, graded by the default band scheme."""
    spec = catalog.coupling
    bands = bands_of(catalog.band_scheme(spec.band_scheme))
    band_names = pa.array([b.band_id for b in bands])
    # Codes of levels that are no system follow the systems.
    lag_codes = lag(panel.systems).system
    lag_codes = np.where(lag_codes == SYNCHRONOUS, len(panel.metrics), lag_codes)
    lag_type = _names(pa.array([*panel.metrics, "synchronous"]), lag_codes)
    n = table.num_rows
    for variant in spec.variants:
        result = couple(panel.systems, [s.alpha for s in spec.systems], variant.id)
        yield pa.table(
            {
                **{name: table[name] for name in KEYS},
                "scheme": pa.repeat(panel.scheme.id, n),
                "variant": pa.repeat(variant.id, n),
                "band_scheme": pa.repeat(spec.band_scheme, n),
                "weight": table["weight"],
                "u1": pa.array(panel.systems[:, 0]),
                "u2": pa.array(panel.systems[:, 1]),
                "c": pa.array(result.c),
                "t": pa.array(result.t),
                "d": pa.array(result.d),
                "band": _names(band_names, classify(result.d, bands)),
                "lag_type": lag_type,
            }
        )


def _names(names: pa.Array, codes: IntArray) -> pa.Array:
    return names.take(pa.array(codes, mask=codes == MISSING))


def _group_rows(catalog: Catalog, panel: Panel, rows: Rows) -> None:
    """Summaries, bands, transitions and tests of every group, variant and band scheme."""
    spec = catalog.coupling
    alphas = [s.alpha for s in spec.systems]
    for variant in spec.variants:
        d = couple(panel.systems, alphas, variant.id).d
        rows["coupling_leave_one_out"] += _leave_one_out(panel, alphas, variant.id, d)
        for scheme in catalog.band_schemes:
            bands = [b.id for b in scheme.bands]
            code = classify(d, bands_of(scheme))
            options = {"scheme": panel.scheme.id, "variant": variant.id, "band_scheme": scheme.id}
            for group_type, group_id, inside in panel.groups:
                group = {"group_type": group_type, "group_id": group_id, **options}
                moved = _change_rows(
                    panel, group, inside, d, code, bands, rows, scheme.id == spec.band_scheme
                )
                for wave, order in zip(panel.survey.waves, panel.survey.wave_orders, strict=True):
                    here = inside & panel.in_wave[wave] & ~np.isnan(d)
                    head = {**_survey_keys(panel.survey), "wave": wave, "wave_order": order, **group}
                    counts = np.bincount(code[here], minlength=len(bands))
                    n = int(counts.sum())
                    shares = [c / n if n else None for c in counts.tolist()]
                    rows["coupling_bands"] += [
                        {**head, "band": band, "band_order": k, "n": int(count), "share": share}
                        for k, (band, count, share) in enumerate(
                            zip(bands, counts, shares, strict=True), start=1
                        )
                    ]
                    up, down = moved.get(wave, (None, None))
                    rows["coupling_summary"].append(
                        {
                            **head,
                            **_means(panel.systems[here], alphas, variant.id, d[here]),
                            "band_shares": json.dumps(dict(zip(bands, shares, strict=True))) if n else None,
                            "share_moved_up": up,
                            "share_moved_down": down,
                        }
                    )


def _leave_one_out(
    panel: Panel, alphas: list[float], variant: str, d: FloatArray
) -> Iterator[dict[str, Any]]:
    """Mean d of every group with all dimensions of the first system, and without each of them in turn."""
    shares = panel.scheme.dimension_weights
    without = leave_one_out(panel.parts, list(shares.values()), panel.systems[:, 1:], alphas, variant)
    complete = ~np.isnan(d) & ~np.isnan(without).any(axis=1)
    for group_type, group_id, inside in panel.groups:
        for wave, order in zip(panel.survey.waves, panel.survey.wave_orders, strict=True):
            here = inside & panel.in_wave[wave] & complete
            n = int(np.count_nonzero(here))
            for k, dimension in enumerate(shares):
                yield {
                    **_survey_keys(panel.survey),
                    "wave": wave,
                    "wave_order": order,
                    "group_type": group_type,
                    "group_id": group_id,
                    "scheme": panel.scheme.id,
                    "variant": variant,
                    "dimension": dimension,
                    "n": n,
                    "mean_d": float(d[here].mean()) if n else None,
                    "mean_d_without": float(without[here, k].mean()) if n else None,
                }


def _survey_keys(survey: Survey) -> dict[str, Any]:
    return {"survey_id": survey.survey_id, "region": survey.region, "is_synthetic": survey.is_synthetic}


def _means(u: FloatArray, alphas: list[float], variant: str, d: FloatArray) -> dict[str, Any]:
    names = ("mean_u1", "mean_u2", "mean_c", "mean_t", "mean_d", "sd_d", "d_of_means")
    if not len(u):
        return {"n": 0, **dict.fromkeys(names)}
    means = coupling_means(u, alphas, variant)
    sd = float(d.std(ddof=1)) if len(d) > 1 else None
    values = (*u[:, :2].mean(axis=0).tolist(), means.mean_c, means.mean_t, means.mean_d, sd, means.d_of_means)
    return {"n": means.n, **dict(zip(names, values, strict=True))}


def _change_rows(
    panel: Panel,
    group: Mapping[str, str],
    inside: npt.NDArray[np.bool_],
    d: FloatArray,
    code: IntArray,
    bands: list[str],
    rows: Rows,
    has_paired_tests: bool,
) -> dict[str, tuple[float | None, float | None]]:
    """Add transitions and tests of a group; returns the shares moved up and down by later wave."""
    moved: dict[str, tuple[float | None, float | None]] = {}
    for first, second, before, after in panel.pairs(inside):
        head = {**_survey_keys(panel.survey), **group, "wave_from": first, "wave_to": second}
        result = transition(code[before], code[after], len(bands))
        n = result.n
        moved[second] = (result.n_up / n, result.n_down / n) if n else (None, None)
        rows["coupling_transitions"] += [
            {**head, "band_from": a, "band_to": b, "n": int(count), "share": count / n if n else None}
            for a, counts in zip(bands, result.counts.tolist(), strict=True)
            for b, count in zip(bands, counts, strict=True)
        ]
        no_move = "no household moved to another band"
        tests = [_test("bowker", n, None, None, None, result.chi2, result.df, result.p, no_move)]
        if has_paired_tests:
            # These do not depend on bands, so they stand once.
            change = paired_change(d[before], d[after])
            shared = (change.n, change.mean_change, change.ci_low, change.ci_high)
            tests += [
                _test("paired_t", *shared, change.t, change.df, change.p_t, change.reason),
                _test(
                    "wilcoxon",
                    *shared[:2],
                    None,
                    None,
                    change.wilcoxon,
                    None,
                    change.p_wilcoxon,
                    change.reason,
                ),
            ]
        rows["coupling_tests"] += [{**head, **test} for test in tests]
    return moved


def _test(
    name: str,
    n: int,
    estimate: float | None,
    low: float | None,
    high: float | None,
    statistic: float,
    df: float | None,
    p: float,
    reason: str,
) -> dict[str, Any]:
    return {
        "test": name,
        "n": n,
        "estimate": estimate,
        "ci_low": low,
        "ci_high": high,
        "statistic": statistic,
        "df": df,
        "p": p,
        "reason": reason if np.isnan(p) else None,
    }


def _obstacles(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, weights: Mapping[str, Weights]
) -> Iterator[dict[str, Any]]:
    """Mean obstacle degrees: within the total of the dimensions that have a weight in it, and within each other one."""
    own = {s.id for s in schemes_of(catalog, survey)}
    schemes = [
        catalog.weight_scheme(s.id)
        for s in catalog.weight_schemes
        if s.id in own or not s.published_survey_ids
    ]
    names = list(dict.fromkeys(name for scheme in schemes for name in members(scheme)))
    limits = extremes(con, catalog, names)
    for wave, order in zip(survey.waves, survey.wave_orders, strict=True):
        normalised = {
            mode: scored(con, limits, mode, survey, wave) for mode in {scheme.bounds for scheme in schemes}
        }
        for scheme in schemes:
            z, site = normalised[scheme.bounds]
            groups = [("all", "all", np.ones(len(site), dtype=bool))]
            groups += [("site", s, site == s) for s in sorted(set(site))]
            for index in _indices(scheme, weights[scheme.id]):
                # What nobody answered here, or what has no range, is no obstacle here.
                known = [part for part in index if not np.isnan(z[:, names.index(part[1])]).all()]
                if not known:
                    continue
                columns = [names.index(indicator) for _, indicator, _ in known]
                degrees = obstacle_degrees(z[:, columns], [weight for *_, weight in known])
                complete = ~np.isnan(degrees).any(axis=1)
                for group_type, group_id, inside in groups:
                    chosen = degrees[inside & complete]
                    mean = chosen.mean(axis=0) if len(chosen) else np.full(len(known), np.nan)
                    rank = rankdata(-mean, method="min") if len(chosen) else [None] * len(known)
                    for k, (dimension, indicator, _) in enumerate(known):
                        yield {
                            **_survey_keys(survey),
                            "wave": wave,
                            "wave_order": order,
                            "group_type": group_type,
                            "group_id": group_id,
                            "scheme": scheme.id,
                            "dimension": dimension,
                            "indicator_id": indicator,
                            "n": len(chosen),
                            "degree": float(mean[k]),
                            "rank": rank[k],
                        }


def _indices(scheme: WeightScheme, weights: Weights) -> list[list[tuple[str, str, float]]]:
    """Members of each index with their weight in it: the total, then every dimension outside the total."""
    total = [
        (dimension, indicator, share * weight)
        for dimension, share in scheme.dimension_weights.items()
        for indicator, weight in weights.get(dimension, {}).items()
    ]
    others = [
        [(dimension, indicator, weight) for indicator, weight in weights.get(dimension, {}).items()]
        for dimension in scheme.dimensions
        if dimension not in scheme.dimension_weights
    ]
    return [index for index in (total, *others) if index]
