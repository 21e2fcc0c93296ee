"""Coupling coordination of households and groups, its change between waves, and what holds households back.

Belongs here: which schemes, variants, band schemes and groups are measured, and the tables made of it.
Does not belong here: the formulas (`analysis.coupling`, `analysis.transitions`, and `formulas` for the same as SQL) and
design-based comparison of regions (`comparison`): summaries here describe the households interviewed, each counted
once.

Rows at household grain stay in the database. What leaves it are sums by site, which add up to groups, and the two
degrees of households that were asked twice.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
from scipy import sparse, stats
from scipy.stats import rankdata

from analysis.arrays import FloatArray, IntArray
from analysis.coupling import Band, Closed, classify
from analysis.coupling import coupling as couple
from analysis.errors import AnalysisError
from analysis.levels import levels_of_mean, refusal, refusal_of_interval, refusal_of_share
from analysis.survey_design import unit_mean
from analysis.transitions import paired_change, transition
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import number
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.formulas import (
    band,
    comprehensive,
    coordination_degree,
    coupling_degree,
    extended,
    lag_type,
    level,
    shortfalls,
    weighted_sum,
)
from relocation_warehouse.results.households import (
    BALANCED,
    HOUSEHOLDS,
    Survey,
    Weights,
    by_origin,
    count_column,
    dimension_column,
    extremes,
    members,
    scheme_weights,
    schemes_of,
    score_column,
    scored,
    surveys,
)
from relocation_warehouse.results.metrics import CAPITALS, STUDY_CAPITALS
from relocation_warehouse.results.sampling import unit_key
from relocation_warehouse.results.tables import Computed, Result, computed, conform
from relocation_warehouse.results.weights import all_weights, weights_table
from relocation_warehouse.survey.catalog import BandScheme, Catalog, WeightScheme

Rows = dict[str, list[dict[str, Any]]]

Members = list[tuple[str, str, float]]
"""Dimension, indicator and weight of the members of an index."""

ALL = ("all", "all")
"""Group type and group of all households."""

SYNCHRONOUS = "synchronous"

COORDINATION = "analysis.coupling_coordination"


def coupling(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, Result]:
    """Measure coupling coordination under the default weights, and under those of the study a survey belongs to.

    Parameters
    ----------
    con
        Build database; temporary tables are made in it.
    catalog
        Systems, variants, band schemes and weight schemes.

    Returns
    -------
    dict
        `indicator_weights`, `study_capitals`, `coupling_coordination`, `coupling_default`, `coupling_summary`,
        `coupling_bands`, `coupling_transitions`, `coupling_tests`, `coupling_leave_one_out` and `obstacle_degrees`
        of the schema `analysis`.

    Raises
    ------
    AnalysisError
        If a system lies outside 0-1.
    """
    all_surveys = surveys(con)
    weights = {
        is_synthetic: all_weights(con, catalog, alike)
        for is_synthetic, alike in (by_origin(all_surveys) or {True: ()}).items()
    }
    studies = _study_capitals(con, catalog, all_surveys)
    con.execute(f"create or replace temp table study_capitals as {studies.sql}")
    con.execute(
        f"create or replace temp table systems as select * from "
        f"{_systems(catalog, _with_default(catalog, 'study_capitals'))} "
        f"left join {_drawn(con)} as drawn using (survey_id, household_id, wave)"
    )
    panels = list(_panels(con, catalog, all_surveys))
    rows: Rows = defaultdict(list)
    for survey in all_surveys:
        rows["obstacle_degrees"] += _obstacles(con, catalog, survey, weights[survey.is_synthetic])
    for panel in panels:
        rows["coupling_leave_one_out"] += _leave_one_out(con, catalog, panel)
        for variant in catalog.coupling.variants:
            moved = _changes(con, catalog, panel, variant.id, rows)
            _summaries(con, catalog, panel, variant.id, moved, rows)
    names = (
        "coupling_summary",
        "coupling_bands",
        "coupling_transitions",
        "coupling_tests",
        "coupling_leave_one_out",
        "obstacle_degrees",
    )
    return {
        "indicator_weights": weights_table(catalog, weights),
        "study_capitals": studies,
        "coupling_coordination": _households(catalog, panels),
        "coupling_default": _default(catalog),
        **{name: conform(f"analysis.{name}", rows[name]) for name in names},
    }


def _drawn(con: duckdb.DuckDBPyConnection) -> str:
    """Relation of the sampling unit of every household and wave, as a number in the order of their keys.

    Keys are sorted each once: they are few, and households are many.
    """
    key = unit_key(con, "h")
    keys = f"(select distinct {key} as key from {HOUSEHOLDS} as h)"
    units = f"(select key, row_number() over (order by key) as unit from {keys})"
    return (
        f"(select h.survey_id, h.household_id, h.wave, units.unit from {HOUSEHOLDS} as h "
        f"inner join {units} as units on units.key = {key})"
    )


def bands_of(scheme: BandScheme) -> list[Band]:
    """Bands of a scheme of the catalog, from low to high."""
    return [Band(b.id, b.lower, b.upper, Closed(scheme.closed)) for b in scheme.bands]


def _study_capitals(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, surveys: tuple[Survey, ...]
) -> Computed:
    """Columns of `capital.household_capitals` under the weights of the studies that surveys belong to."""
    parts = []
    for survey in surveys:
        for scheme in schemes_of(catalog, survey):
            if scheme.is_default:
                continue
            parts.append(f"select * from {capitals_under(con, catalog, survey, scheme)}")
    name = STUDY_CAPITALS
    empty = f"(select * from {CAPITALS} where false)"
    return computed(name, f"({' union all by name '.join(parts)})" if parts else empty)


def capitals_under(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, scheme: WeightScheme
) -> str:
    """Relation of a survey's households with the columns of `capital.household_capitals` under a scheme's bounds."""
    limits = extremes(con, catalog, members(scheme))
    source = scored(limits, survey.survey_id, scheme.bounds, {scheme.id: scheme_weights(scheme)})
    own = {d: quoted(dimension_column(scheme.id, d)) for d in scheme.dimensions}
    columns = {"scheme": literal(scheme.id), "bounds": literal(scheme.bounds), **own}
    columns |= {f"n_indicators_{d}": quoted(count_column(scheme.id, d)) for d in own}
    columns["total"] = weighted_sum({own[d]: w for d, w in scheme.dimension_weights.items()})
    return extended(source, columns)


def _with_default(catalog: Catalog, studies: str) -> str:
    """Relation of the capitals under the default scheme and those of studies."""
    default = catalog.default_weight_scheme
    return (
        f"(select * from {CAPITALS} where scheme = {literal(default.id)} and bounds = {literal(default.bounds)} "
        f"union all by name select * from {studies})"
    )


def _systems(catalog: Catalog, capitals: str) -> str:
    """Relation of the households under every scheme: keys, systems u1, u2, ... and the parts of the first."""
    columns = [catalog.metric[s.metric].column for s in catalog.coupling.systems]
    parts = dict.fromkeys(
        d for s in catalog.weight_schemes for d in catalog.weight_scheme(s.id).dimension_weights
    )
    u = (f"{level(quoted(c))} as u{k}" for k, c in enumerate(columns, start=1))
    columns = [*contract_of().group("household"), "scheme", "weight", *u, *map(quoted, parts)]
    return f"(select {', '.join(columns)} from {capitals})"


def _names(catalog: Catalog) -> list[str]:
    """Columns of the systems."""
    return [f"u{k}" for k in range(1, len(catalog.coupling.systems) + 1)]


@dataclass(frozen=True)
class Panel:
    """The households of one survey under one weight scheme, in the temporary table `systems`.

    Attributes
    ----------
    survey, scheme
    sites : tuple of str
    """

    survey: Survey
    scheme: WeightScheme
    sites: tuple[str, ...]

    @property
    def keys(self) -> dict[str, Any]:
        """Columns that all rows of a survey share."""
        s = self.survey
        return {"survey_id": s.survey_id, "region": s.region, "is_synthetic": s.is_synthetic}

    @property
    def waves(self) -> Iterator[dict[str, Any]]:
        """Columns that all rows of a wave share."""
        for part in self.survey.rounds:
            yield {**self.keys, **part}

    @property
    def groups(self) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
        """Columns of each group, and its sites: all households, then every site."""
        named = {ALL: self.sites} | {("site", site): (site,) for site in self.sites}
        for (group_type, group_id), sites in named.items():
            yield {"group_type": group_type, "group_id": group_id, "scheme": self.scheme.id}, sites

    @property
    def rows(self) -> str:
        """Relation of its households."""
        return (
            f"(select * from systems where survey_id = {literal(self.survey.survey_id)} "
            f"and scheme = {literal(self.scheme.id)})"
        )


def _panels(con: duckdb.DuckDBPyConnection, catalog: Catalog, surveys: tuple[Survey, ...]) -> Iterator[Panel]:
    """Surveys and schemes that give any household a system."""
    u = _names(catalog)
    outside = " or ".join(f"not ({x} between 0 and 1)" for x in u)
    sites: dict[tuple[str, str], tuple[str, ...]] = {}
    for survey_id, scheme, has_any, n_outside, names in con.execute(
        f"select survey_id, scheme, count(coalesce({', '.join(u)})) > 0, count(*) filter (where {outside}), "
        "list(distinct site_id order by site_id) from systems group by all"
    ).fetchall():
        if n_outside:
            raise AnalysisError(
                f"{survey_id}, scheme {scheme}: {n_outside} households have a system outside 0-1."
            )
        if has_any:
            sites[survey_id, scheme] = tuple(names)
    for survey in surveys:
        for scheme_ in schemes_of(catalog, survey):
            if (key := (survey.survey_id, scheme_.id)) in sites:
                yield Panel(survey, scheme_, sites[key])


def _households(catalog: Catalog, panels: Sequence[Panel]) -> Computed:
    """Rows of `coupling_coordination`."""
    chosen = ", ".join(f"({literal(p.survey.survey_id)}, {literal(p.scheme.id)})" for p in panels)
    some = f"(survey_id, scheme) in ({chosen})" if panels else "false"
    capitals = f"(select * from {_with_default(catalog, STUDY_CAPITALS)} where {some})"
    rounds = " ".join(
        f"when {literal(survey.survey_id)} then case wave "
        + " ".join(f"when {literal(part['wave'])} then {literal(part['round'])}" for part in survey.rounds)
        + " end"
        for survey in dict.fromkeys(p.survey for p in panels)
    )
    lined_up = f"case survey_id {rounds} end" if rounds else "cast(null as varchar)"
    source = extended(coordinated(catalog, capitals), {"round": lined_up})
    return computed(COORDINATION, source, is_view=True)


def _default(catalog: Catalog) -> Computed:
    """Rows of `coupling_default`: those of the default options, which a mean may be taken over."""
    scheme, variant = catalog.default_weight_scheme.id, catalog.coupling.default_variant
    chosen = f"scheme = {literal(scheme)} and variant = {literal(variant)}"
    source = f"(select * from {COORDINATION} where {chosen})"
    return computed("analysis.coupling_default", source, is_view=True)


def coordinated(catalog: Catalog, capitals: str) -> str:
    """Relation of the degrees of households with some capitals: every variant, graded by the default band scheme."""
    spec, u = catalog.coupling, _names(catalog)
    grading = catalog.band_scheme(spec.band_scheme)
    alphas = [s.alpha for s in spec.systems]
    variants = ", ".join(f"({literal(v.id)})" for v in spec.variants)
    source = f"({_systems(catalog, capitals)} cross join (values {variants}) as variants (variant))"

    def by_variant(formula: Mapping[str, str]) -> str:
        whens = " ".join(f"when {literal(name)} then {value}" for name, value in formula.items())
        return f"case variant {whens} end"

    source = extended(
        source,
        {
            "c": by_variant({v.id: coupling_degree(u, v.id) for v in spec.variants}),
            "t": comprehensive(u, alphas),
            "d": by_variant({v.id: coordination_degree(u, alphas, v.id) for v in spec.variants}),
            "lag_type": lag_type(u, [s.metric for s in spec.systems], SYNCHRONOUS),
            "band_scheme": literal(grading.id),
        },
    )
    return extended(source, {"band": band("d", grading, [literal(b.id) for b in grading.bands])})


@dataclass(frozen=True)
class Sums:
    """Households that have a degree, added up: of a site and a cell of bands, or of a group of these.

    Attributes
    ----------
    n, n_c : int
        Households, and those among them that have a C.
    means : ndarray
        Of the systems, C, T and D.
    squares : float
        Sum of the squared deviations of D.
    """

    n: int
    n_c: int
    means: FloatArray
    squares: float

    @classmethod
    def of(cls, parts: Sequence[Sums]) -> Sums:
        """Sums of several parts (Chan, Golub and LeVeque 1983)."""
        counts = np.array([p.n for p in parts], dtype=np.float64)
        with_c = np.array([p.n_c for p in parts], dtype=np.float64)
        each = np.array([p.means for p in parts])
        weight = np.tile(counts[:, None], each.shape[1])
        weight[:, -3] = with_c
        total = weight.sum(axis=0)
        means = (np.where(weight > 0, each, 0.0) * weight).sum(axis=0) / np.where(total > 0, total, np.nan)
        between = counts @ np.square(each[:, -1] - means[-1])
        return cls(
            int(counts.sum()), int(with_c.sum()), means, float(sum(p.squares for p in parts) + between)
        )


def _summaries(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    panel: Panel,
    variant: str,
    moved: Mapping[tuple[str, str, str, str], tuple[float | None, float | None]],
    rows: Rows,
) -> None:
    """Summaries and bands of every group, wave and band scheme."""
    spec, u = catalog.coupling, _names(catalog)
    alphas = [s.alpha for s in spec.systems]
    source = extended(
        panel.rows,
        {
            "c": coupling_degree(u, variant),
            "t": comprehensive(u, alphas),
            "d": coordination_degree(u, alphas, variant),
        },
    )
    places = {f"band {s.id}": band("d", s) for s in catalog.band_schemes}
    drawn = _by_unit(con, source, places)
    means = ", ".join(f"avg({x})" for x in (*u, "c", "t", "d"))
    cells: defaultdict[tuple[str, str], list[tuple[tuple[int, ...], Sums]]] = defaultdict(list)
    for wave, site, *figures in con.execute(
        f"select wave, site_id, {', '.join(map(quoted, places))}, count(*), count(c), var_pop(d), {means} "
        f"from {extended(source, places)} where d is not null group by all order by all"
    ).fetchall():
        place, (n, n_c, variance, *values) = figures[: len(places)], figures[len(places) :]
        numbers = np.array(values, dtype=np.float64)
        cells[wave, site].append((tuple(place), Sums(n, n_c, numbers, n * variance)))
    for group, sites in panel.groups:
        for head in panel.waves:
            inside = [cell for site in sites for cell in cells[head["wave"], site]]
            means_ = _means([part for _, part in inside], len(u), alphas, variant)
            for k, grading in enumerate(catalog.band_schemes):
                names = [b.id for b in grading.bands]
                counts = [sum(part.n for place, part in inside if place[k] == j) for j in range(len(names))]
                n = sum(counts)
                shares = [count / n if n else None for count in counts]
                base = {**head, **group, "variant": variant, "band_scheme": grading.id}
                here = drawn.get(head["wave"], Drawn.nobody(len(places))).of(sites)
                intervals = unit_shares(here.unit, here.places[k], len(names), here.n)
                rows["coupling_bands"] += [
                    {**base, "band": name, "band_order": j, "n": count, "share": share, **interval}
                    for j, (name, count, share, interval) in enumerate(
                        zip(names, counts, shares, intervals, strict=True), start=1
                    )
                ]
                key = (head["wave"], group["group_type"], group["group_id"], grading.id)
                up, down = moved.get(key, (None, None))
                rows["coupling_summary"].append(
                    {
                        **base,
                        **means_,
                        "band_shares": json.dumps(dict(zip(names, shares, strict=True))) if n else None,
                        "share_moved_up": up,
                        "share_moved_down": down,
                    }
                )


@dataclass(frozen=True)
class Drawn:
    """Households of a wave, counted by sampling unit, site and the band that each scheme gives them.

    Attributes
    ----------
    site : ndarray of str, shape (m,)
    unit, n : ndarray of int, shape (m,)
    places : ndarray of int, shape (schemes, m)
        Bands from 0.
    """

    site: npt.NDArray[np.object_]
    unit: IntArray
    n: IntArray
    places: IntArray

    @classmethod
    def nobody(cls, n_schemes: int) -> Drawn:
        """No household."""
        none = np.zeros(0, dtype=np.int64)
        return cls(np.zeros(0, dtype=object), none, none, np.zeros((n_schemes, 0), dtype=np.int64))

    def of(self, sites: Sequence[str]) -> Drawn:
        """Households of some sites."""
        rows = np.isin(self.site, sites)
        return Drawn(self.site[rows], self.unit[rows], self.n[rows], self.places[:, rows])


def _by_unit(con: duckdb.DuckDBPyConnection, source: str, places: Mapping[str, str]) -> dict[str, Drawn]:
    """Counts of each wave."""
    bands = ", ".join(f"cast({quoted(name)} as bigint) as {quoted(name)}" for name in places)
    table = con.execute(
        f"select wave, site_id, unit, {bands}, count(*) as n from {extended(source, places)} "
        "where d is not null and unit is not null group by all order by all"
    ).fetchnumpy()
    waves = np.asarray(table["wave"], dtype=object)
    every = Drawn(
        np.asarray(table["site_id"], dtype=object),
        np.asarray(table["unit"], dtype=np.int64),
        np.asarray(table["n"], dtype=np.int64),
        np.array([table[name] for name in places], dtype=np.int64),
    )
    by_wave = {}
    for wave in dict.fromkeys(waves):
        own = waves == wave
        by_wave[wave] = Drawn(every.site[own], every.unit[own], every.n[own], every.places[:, own])
    return by_wave


def unit_shares(
    unit: IntArray, place: IntArray, n_places: int, n: IntArray | None = None
) -> Iterator[dict[str, Any]]:
    """Error and interval of the share of households in each place, by sampling units, each household counted once.

    Parameters
    ----------
    unit, place : ndarray of int, shape (m,)
        Sampling unit and place, from 0, of households.
    n_places : int
    n : ndarray of int, shape (m,)
        How many households each row stands for; one without it.
    """
    names = ("standard_error", "ci_low", "ci_high")
    own = np.unique(unit, return_inverse=True)[1]
    size = np.ones(len(own)) if n is None else n
    n_units = int(own.max()) + 1 if len(own) else 0
    table = sparse.csc_array((size, (own, place)), shape=(n_units, n_places))
    whole = np.bincount(own, size)
    for k in range(n_places):
        base = {"n_units": n_units, **dict.fromkeys(names)}
        counts = table[:, [k]].toarray().ravel()
        inside = counts.sum()
        if not len(own):
            yield {**base, "reason": "no household"}
        elif inside in (0, whole.sum()):
            yield {**base, "reason": "no household is there" if inside == 0 else "every household is there"}
        else:
            try:
                share = unit_mean(counts / whole, whole, whole, interval="logit")
            except AnalysisError as error:
                yield {**base, "reason": str(error)}
                continue
            refused = refusal_of_share(counts, whole)
            if refused is None and share.se > 0:
                refused = refusal_of_interval(share)
            if refused:
                yield {**base, "reason": refused}
            elif share.se > 0:
                values = (share.se, share.ci_low, share.ci_high)
                yield {**base, **dict(zip(names, values, strict=True)), "reason": None}
            else:
                yield {**base, "reason": "all sampling units are alike: there is no interval"}


def _means(parts: Sequence[Sums], n_systems: int, alphas: list[float], variant: str) -> dict[str, Any]:
    names = ("mean_u1", "mean_u2", "mean_c", "mean_t", "mean_d", "sd_d", "d_of_means")
    if not parts:
        return {"n": 0, **dict.fromkeys(names)}
    whole = Sums.of(parts)
    u, (c, t, d) = whole.means[:n_systems], whole.means[n_systems:].tolist()
    sd = float(np.sqrt(whole.squares / (whole.n - 1))) if whole.n > 1 else None
    d_of_means = float(couple(u[None, :], alphas, variant).d[0])
    return {"n": whole.n, **dict(zip(names, (*u[:2].tolist(), c, t, d, sd, d_of_means), strict=True))}


def _leave_one_out(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, panel: Panel
) -> Iterator[dict[str, Any]]:
    """Mean d of every group with all dimensions of the first system, and without each of them in turn."""
    shares, (first, *others) = panel.scheme.dimension_weights, _names(catalog)
    alphas = [s.alpha for s in catalog.coupling.systems]
    rest = {}
    for dimension in shares:
        kept = {quoted(d): w for d, w in shares.items() if d != dimension}
        rest[f"without {dimension}"] = level(f"({weighted_sum(kept)} / {number(sum(kept.values()))})")
    firsts = [first, *map(quoted, rest)]
    sums = [
        f"sum({coordination_degree([x, *others], alphas, v.id)})"
        for v in catalog.coupling.variants
        for x in firsts
    ]
    complete = " and ".join(f"{x} is not null" for x in (first, *others, *map(quoted, shares)))
    shape = (len(catalog.coupling.variants), len(firsts))
    by_place = {
        (wave, site): (n, np.array(values, dtype=np.float64).reshape(shape))
        for wave, site, n, *values in con.execute(
            f"select wave, site_id, count(*), {', '.join(sums)} from {extended(panel.rows, rest)} "
            f"where {complete} group by all"
        ).fetchall()
    }
    nobody = (0, np.zeros(shape))
    for group, sites in panel.groups:
        for head in panel.waves:
            parts = [by_place.get((head["wave"], site), nobody) for site in sites]
            n = sum(count for count, _ in parts)
            means = np.sum([total for _, total in parts], axis=0) / (n or np.nan)
            for variant, (whole, *without) in zip(catalog.coupling.variants, means.tolist(), strict=True):
                for dimension, mean in zip(shares, without, strict=True):
                    yield {
                        **head,
                        **group,
                        "variant": variant.id,
                        "dimension": dimension,
                        "n": n,
                        "mean_d": whole,
                        "mean_d_without": mean,
                    }


def _changes(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, panel: Panel, variant: str, rows: Rows
) -> dict[tuple[str, str, str, str], tuple[float | None, float | None]]:
    """Add transitions and tests of households in consecutive waves, in the site of the later one.

    Returns
    -------
    dict
        Shares moved up and down, by later wave, group and band scheme.
    """
    spec, u = catalog.coupling, _names(catalog)
    d = coordination_degree(u, [s.alpha for s in spec.systems], variant)
    moved: dict[tuple[str, str, str, str], tuple[float | None, float | None]] = {}
    for first, second in pairwise(panel.survey.waves):
        one, two = (
            f"(select household_id, site_id, unit, {d} as d from {panel.rows} where wave = {literal(w)})"
            for w in (first, second)
        )
        pairs = con.execute(
            "select two.site_id, two.unit, one.d as before, two.d as after "
            f"from {one} as one inner join {two} as two using (household_id) order by two.site_id"
        ).to_arrow_table()
        before, after, unit = (pairs[name].to_numpy() for name in ("before", "after", "unit"))
        places = {s.id: [classify(x, bands_of(s)) for x in (before, after)] for s in catalog.band_schemes}
        sizes = pairs.group_by("site_id").aggregate([([], "count_all")]).sort_by("site_id").to_pydict()
        ends = np.cumsum(sizes["count_all"]).tolist()
        site = dict(zip(sizes["site_id"], (slice(a, b) for a, b in pairwise([0, *ends])), strict=True))
        for group, sites in panel.groups:
            inside = site.get(sites[0], slice(0, 0)) if group["group_type"] == "site" else slice(None)
            waves = {"wave_from": first, "wave_to": second, "panel_sample": BALANCED}
            base = {**panel.keys, **group, "variant": variant, **waves}
            for scheme in catalog.band_schemes:
                head = {**base, "band_scheme": scheme.id}
                bands = [b.id for b in scheme.bands]
                one_place, two_place = places[scheme.id]
                result = transition(one_place[inside], two_place[inside], len(bands))
                n = result.n
                key = (second, group["group_type"], group["group_id"], scheme.id)
                moved[key] = (result.n_up / n, result.n_down / n) if n else (None, None)
                in_both = (one_place[inside] >= 0) & (two_place[inside] >= 0)
                own = unit[inside][in_both]
                cell = (one_place[inside] * len(bands) + two_place[inside])[in_both]
                intervals = unit_shares(own, cell, len(bands) ** 2)
                rows["coupling_transitions"] += [
                    {
                        **head,
                        "band_from": a,
                        "band_to": b,
                        "n": int(count),
                        "share": count / n if n else None,
                        **interval,
                    }
                    for (a, b), count, interval in zip(
                        product(bands, bands), result.counts.ravel().tolist(), intervals, strict=True
                    )
                ]
                no_move = "no household moved to another band"
                reason = ONE_BY_ONE if result.df else no_move
                n_units = len(np.unique(own))
                tests = [_test("bowker", n, None, None, None, result.chi2, result.df, np.nan, reason)]
                if scheme.id == spec.band_scheme:
                    # These do not depend on bands, so they stand once.
                    tests += _paired_tests(before[inside], after[inside], unit[inside])
                rows["coupling_tests"] += [{**head, "n_units": n_units, **test} for test in tests]
    return moved


ONE_BY_ONE = "it counts every household as drawn by itself, and households of a sampling unit change together"
"""Why signed ranks and Bowker's test have a statistic and no p value: there is no form of them for sampling units."""


def _paired_tests(before: FloatArray, after: FloatArray, unit: IntArray) -> list[dict[str, Any]]:
    """Tests of the mean change by what differs between sampling units, every household counted once."""
    change = paired_change(before, after)
    n, mean, nan = change.n, change.mean_change, float("nan")
    ranks = _test("wilcoxon", n, mean, None, None, change.wilcoxon, None, nan, change.reason or ONE_BY_ONE)
    nothing = (None, None, nan, None, nan)
    if change.reason:
        return [_test("paired_t", n, mean, *nothing, change.reason), ranks]
    moved = after - before
    known = ~np.isnan(moved)
    _, own = np.unique(unit[known], return_inverse=True)
    counts, sums = np.bincount(own), np.bincount(own, moved[known] - mean)
    try:
        mean_change = unit_mean(mean + sums / counts, counts, counts)
    except AnalysisError as error:
        return [_test("paired_t", n, mean, *nothing, str(error)), ranks]
    if not mean_change.se > 0:
        return [_test("paired_t", n, mean, *nothing, "every sampling unit changed by the same amount"), ranks]
    if refused := refusal(levels_of_mean(mean_change), mean_change.df):
        return [_test("paired_t", n, mean, *nothing, refused), ranks]
    t = mean_change.mean / mean_change.se
    p = float(2 * stats.t.sf(abs(t), mean_change.df))
    return [
        _test("paired_t", n, mean, mean_change.ci_low, mean_change.ci_high, t, mean_change.df, p, ""),
        ranks,
    ]


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
    limits = extremes(
        con, catalog, list(dict.fromkeys(name for scheme in schemes for name in members(scheme)))
    )
    answered = [quoted(score_column(i)) for i in limits.indicators]
    counts: dict[tuple[str, str], dict[str, int]] = {}
    modes = sorted({scheme.bounds for scheme in schemes})
    for mode in modes:
        households = scored(limits, survey.survey_id, mode)
        for wave, *counts_of_wave in con.execute(
            f"select wave, {', '.join(f'count({x})' for x in answered)} from {households} group by wave"
        ).fetchall():
            counts[mode, wave] = dict(zip(limits.indicators, counts_of_wave, strict=True))
    keys = {"survey_id": survey.survey_id, "region": survey.region, "is_synthetic": survey.is_synthetic}
    systems = {d.id: d.system for d in catalog.dimensions}
    for part in survey.rounds:
        head, wave = {**keys, **part}, part["wave"]
        for mode in modes:
            # What nobody answered here, or what has no range, is no obstacle here.
            parts = [
                (scheme.id, [part for part in index if counts[mode, wave][part[1]]])
                for scheme in schemes
                if scheme.bounds == mode
                for index in index_members(scheme, weights[scheme.id])
            ]
            source = scored(limits, survey.survey_id, mode, condition=f"wave = {literal(wave)}")
            for row in obstacle_rows(con, source, [(s, known) for s, known in parts if known], head):
                yield {**row, "system": systems[row["dimension"]]}


def obstacle_rows(
    con: duckdb.DuckDBPyConnection,
    source: str,
    indices: Sequence[tuple[str, Members]],
    head: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Mean degrees of some indices, each over the households that answered all of it and lack something."""
    lacks = {
        f"lack {i} {k}": lack
        for i, (_, known) in enumerate(indices)
        for k, lack in enumerate(
            shortfalls([quoted(score_column(name)) for _, name, _ in known], [w for *_, w in known])
        )
    }
    own = [[quoted(f"lack {i} {k}") for k in range(len(known))] for i, (_, known) in enumerate(indices)]
    totals = {f"lack {i}": f"nullif({' + '.join(names)}, 0.0)" for i, names in enumerate(own)}
    sums = [
        f"[count({whole}), {', '.join(f'sum({x} / {whole})' for x in names)}]"
        for whole, names in zip(map(quoted, totals), own, strict=True)
    ]
    rows = con.execute(
        f"select site_id, {', '.join(sums)} from {extended(extended(source, lacks), totals)} "
        "group by site_id order by site_id"
    ).fetchall()
    for k, (scheme, known) in enumerate(indices, start=1):
        each = np.array([row[k] for row in rows], dtype=np.float64)
        groups = {ALL: np.nansum(each, axis=0)}
        groups |= {("site", row[0]): values for row, values in zip(rows, each, strict=True)}
        for (group_type, group_id), (n, *parts) in groups.items():
            degrees = np.array(parts) / (n or np.nan)
            # of equals the one that the scheme names first, so that a rank names one indicator
            ranks = rankdata(-degrees, method="ordinal") if n else [None] * len(known)
            for (dimension, indicator, _), degree, rank in zip(known, degrees.tolist(), ranks, strict=True):
                yield {
                    **head,
                    "group_type": group_type,
                    "group_id": group_id,
                    "scheme": scheme,
                    "dimension": dimension,
                    "indicator_id": indicator,
                    "n": int(n),
                    "degree": degree,
                    "rank": rank,
                }


def index_members(scheme: WeightScheme, weights: Weights) -> list[Members]:
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
