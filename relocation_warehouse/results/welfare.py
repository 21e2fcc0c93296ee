"""Questions of policy: who is poor in many ways at once, how unequal amounts are, and who does not get on.

Belongs here: the declared dimensions, thresholds, groups and prices on the households of a survey, and the tables made
of them. Does not belong here: a formula of inequality (`analysis.inequality`) or of inference (`results.sampling`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.errors import AnalysisError
from analysis.inequality import Inequality, gini, theil, theil_parts
from analysis.levels import refusal_of_interval
from analysis.survey_design import DesignMean, Interval, design_mean, unit_mean
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.coupling import Members, index_members, obstacle_rows
from relocation_warehouse.results.households import (
    BALANCED,
    HOUSEHOLDS,
    Survey,
    asked,
    by_origin,
    extremes,
    members,
    scheme_weights,
    score_column,
    scored,
    surveys,
)
from relocation_warehouse.results.metrics import relation
from relocation_warehouse.results.sampling import (
    Estimate,
    as_row,
    by_group,
    design_columns,
    estimate,
    units_of,
)
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, PovertyMeasure

ALL, SITE = "all", "site"
PART = "a description: parts of a measure have no interval"
NO_INTERVAL = dict.fromkeys(("standard_error", "ci_low", "ci_high"))
Rows = Iterator[dict[str, Any]]


def welfare(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Compute poverty, inequality and who is stuck in every survey.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` in it.
    catalog
        Its `welfare` says what counts as poor, stuck and an amount.

    Returns
    -------
    dict
        `poverty`, `inequality` and `stuck_households` of the schema `analysis`.
    """
    all_surveys = surveys(con)
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    known = asked(con)
    for survey in all_surveys:
        for measure in catalog.welfare.poverty_measures:
            for wave in survey.waves:
                rows["poverty"] += _poverty(con, measure, survey, wave, known[survey.survey_id, wave])
    for alike in by_origin(all_surveys).values():
        for amount in catalog.welfare.amounts:
            rows["inequality"] += _inequality(con, catalog, alike, amount)
        rows["stuck_households"] += _stuck(con, catalog, alike)
    return {
        name: conform(f"analysis.{name}", rows[name])
        for name in ("poverty", "inequality", "stuck_households")
    }


def _head(survey: Survey, wave: str) -> dict[str, Any]:
    return {
        "survey_id": survey.survey_id,
        "wave": wave,
        "region": survey.region,
        "is_synthetic": survey.is_synthetic,
    }


# ---- poverty in many dimensions


def _poverty(
    con: duckdb.DuckDBPyConnection, measure: PovertyMeasure, survey: Survey, wave: str, known: frozenset[str]
) -> Rows:
    """H, A and M0 with what each dimension adds, of all households and of each site (Alkire and Foster 2011).

    Weights of indicators nobody was asked go to the others of the dimension. A dimension of which nothing was asked
    leaves the wave without the measure: its poor would be others.
    """
    weights = {
        d.id: {i: 1 / len(measure.dimensions) / len(own) for i in own}
        for d in measure.dimensions
        if (own := [i for i in d.indicators if i in known])
    }
    head = {
        **_head(survey, wave),
        "measure": measure.id,
        "n_indicators": sum(map(len, weights.values())),
        "n_indicators_defined": sum(len(d.indicators) for d in measure.dimensions),
    }
    everyone = {"group_type": ALL, "group_id": ALL}
    if absent := [d.id for d in measure.dimensions if d.id not in weights]:
        reason = f"nothing was asked of {', '.join(absent)}"
        yield {**head, **everyone, "statistic": "M0", **as_row(None, reason)}
        return
    threshold = {i: t for d in measure.dimensions for i, t in d.indicators.items()}
    lack = {i: f"cast({quoted(i)} < {threshold[i]} as double)" for own in weights.values() for i in own}
    deprived = {d: " + ".join(f"{w!r} * {lack[i]}" for i, w in own.items()) for d, own in weights.items()}
    score = " + ".join(f"({x})" for x in deprived.values())
    # a sum of doubles falls short of a cut-off that it equals on paper
    poor = f"cast(({score}) >= {measure.cutoff - 1e-9!r} as double)"
    columns = {"H": poor, "M0": f"({score}) * {poor}"}
    columns |= {f"dimension {d}": f"({x}) * {poor}" for d, x in deprived.items()}
    estimates = _estimates(con, columns, "H", survey, wave)
    for place in dict.fromkeys(key[1:] for key in estimates):
        base = {**head, "group_type": place[0], "group_id": place[1]}
        here = {name: estimates[(name, *place)] for name in columns}
        h, m0 = here["H"].value, here["M0"].value
        yield {**base, "statistic": "H", **as_row(here["H"])}
        yield {**base, "statistic": "M0", **as_row(here["M0"])}
        if not h:
            continue
        intensity = m0 / h
        of_poor: dict[str, Any] = {**as_row(here["M0"]), "value": intensity}
        if place[0] == ALL and here["M0"].design is not None:
            # a ratio of two means, linearised
            line = f"{intensity!r} + (({score}) * {poor} - {intensity!r} * {poor}) / {h!r}"
            made = _estimates(con, {"H": poor, "A": line}, "H", survey, wave)
            of_poor = as_row(made["A", ALL, ALL])
        else:
            of_poor |= NO_INTERVAL | {"reason": of_poor["reason"] or PART}
        yield {**base, "statistic": "A", **of_poor}
        for d in weights:
            part = here[f"dimension {d}"]
            described = {**as_row(part), **NO_INTERVAL, "value": part.value / m0, "reason": PART}
            yield {**base, "statistic": f"contribution: {d}", **described}


def _estimates(
    con: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    share: str,
    survey: Survey,
    wave: str,
) -> dict[tuple[str, str, str], Estimate]:
    """Means of expressions between 0 and 1, over all households of a wave and over each site; those without a blank.

    One of them is the share of households that the others are not nought for.
    """
    made = ", ".join(f"{x} as {quoted(name)}" for name, x in columns.items())
    source = f"(select survey_id, household_id, wave, {made} from {HOUSEHOLDS} where wave = {literal(wave)})"
    known = {
        name: units for name, _, units in units_of(con, source, {name: name for name in columns}, survey)
    }
    estimates: dict[tuple[str, str, str], Estimate] = {}
    for name, units in known.items():
        estimates[name, ALL, ALL] = estimate(units, share=known[share])
        shares = by_group(known[share])
        for site, own in by_group(units).items():
            estimates[name, SITE, site] = estimate(own, share=shares[site])
    return estimates


# ---- inequality


def _inequality(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, alike: Sequence[Survey], amount: str
) -> Rows:
    """Mean in yuan of the declared year, Gini and Theil of each wave, and Theil of the latest waves taken together."""
    together: list[tuple[Survey, FloatArray, FloatArray]] = []
    for survey in alike:
        for wave in survey.waves:
            head = {**_head(survey, wave), "amount": amount, "price_year": None}
            table = con.execute(
                f"select {quoted(amount)}, {design_columns(con, 'site_id')} from {HOUSEHOLDS} "
                f"where survey_id = ? and wave = ? and {quoted(amount)} is not null and weight > 0 "
                "order by household_id",
                [survey.survey_id, wave],
            ).fetchnumpy()
            y, w = (np.asarray(table[c], dtype=np.float64) for c in (amount, "weight"))
            if not len(y):
                continue
            fewest = catalog.gates.fewest_index_units
            of_units = np.bincount(np.unique(table["sampling_unit_id"], return_inverse=True)[1], w)
            effective = of_units.sum() ** 2 / (of_units @ of_units)
            for name, index, why in (
                (
                    "gini",
                    gini,
                    f"with fewer than {fewest} sampling units, or as many of equal weight, intervals of Gini cover "
                    "too rarely",
                ),
                (
                    "theil",
                    theil,
                    "intervals of Theil cover too rarely with any number of sampling units tried",
                ),
            ):
                row = _index(index, y, w, table)
                if index is theil or effective < fewest:
                    row |= NO_INTERVAL | {"reason": row["reason"] if row["value"] is None else why}
                yield {**head, "statistic": name, **row}
            n_units = len(set(table["sampling_unit_id"]))
            yield from _parts({**head, "n_units": n_units}, "sites", y, table["group_id"], w)
            if wave == survey.latest and (factor := _prices(con, catalog, survey)) is not None:
                real = {**head, "price_year": catalog.welfare.price_year}
                yield {**real, "statistic": "mean", **_index(None, y * factor, w, table)}
                together.append((survey, y * factor, w / w.sum()))
    if len(together) > 1:
        first = together[0][0]
        group = np.repeat([s.survey_id for s, *_ in together], [len(y) for _, y, _ in together])
        y, w = (np.concatenate([each[k] for each in together]) for k in (1, 2))
        head = {
            "survey_id": first.pooled_id,
            "wave": "latest",
            "region": first.pooled_id,
            "is_synthetic": first.is_synthetic,
            "amount": amount,
            "price_year": catalog.welfare.price_year,
        }
        yield from _parts(head, "regions", y, group, w)


def _parts(head: Mapping[str, Any], of: str, y: FloatArray, group: Any, w: FloatArray) -> Rows:
    """Theil between and within groups; without a value where it has none, as with amounts below nought."""
    values: tuple[float | None, float | None] = None, None
    reason = PART
    try:
        parts = theil_parts(y, group, w)
        values = parts.between, parts.within
    except AnalysisError as error:
        reason = str(error)
    for name, value in zip(("between", "within"), values, strict=True):
        known = {**as_row(None, reason), **head, "n": len(y), "value": value}
        yield {**known, "statistic": f"theil {name} {of}"}


def _index(index: Any, y: FloatArray, w: FloatArray, table: Mapping[str, Any]) -> dict[str, Any]:
    """An index, or the mean, with its interval by sampling units."""
    base = {**as_row(None), "n": len(y), "n_units": len(set(table["sampling_unit_id"]))}
    try:
        inequality = Inequality(float(w @ y / w.sum()), y) if index is None else index(y, w)
        base["value"] = inequality.value
        sums = np.bincount(np.unique(table["sampling_unit_id"], return_inverse=True)[1], w * y)
        is_amount = index is None and sums.min() >= 0 and inequality.value > 0
        design = _by_units(inequality.linearised, w, table, "log" if is_amount else "t")
    except AnalysisError as error:
        return {**base, "reason": str(error)}
    if not design.se > 0:
        return {**base, "reason": "all sampling units are alike: there is no interval"}
    if refused := refusal_of_interval(design):
        return {**base, "reason": refused}
    return {
        **base,
        "standard_error": design.se,
        "ci_low": design.ci_low,
        "ci_high": design.ci_high,
    }


def _by_units(z: FloatArray, w: FloatArray, table: Mapping[str, Any], interval: Interval) -> DesignMean:
    population = np.ma.filled(np.ma.asarray(table["population_units"], dtype=np.float64), np.inf)
    population = np.where(np.isnan(population), np.inf, population)
    stratum, unit = table["stratum_id"], table["sampling_unit_id"]
    if len(set(stratum)) == 1 and np.isinf(population).all():
        _, place = np.unique(unit, return_inverse=True)
        weights = np.bincount(place, w)
        return unit_mean(np.bincount(place, w * z) / weights, weights, np.bincount(place), interval=interval)
    return design_mean(z, weights=w, strata=stratum, units=unit, stratum_sizes=population, interval=interval)


def _prices(con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey) -> float | None:
    """Yuan of the declared year for one of the survey's; None where a price change between them is not known."""
    row = con.execute(
        "select fieldwork from reference.surveys where survey_id = ?", [survey.survey_id]
    ).fetchone()
    if row is None or not row[0] or not str(row[0])[:4].isdigit():
        return None
    year, wanted = int(str(row[0])[:4]), catalog.welfare.price_year
    between = range(min(year, wanted) + 1, max(year, wanted) + 1)
    changes = [catalog.welfare.price_changes.get(y) for y in between]
    if None in changes:
        return None
    level = float(np.prod([c / 100 for c in changes if c is not None]))
    return level if year < wanted else 1 / level


# ---- who does not get on


def _stuck(con: duckdb.DuckDBPyConnection, catalog: Catalog, alike: Sequence[Survey]) -> Rows:
    """Share of the households of both waves that lie low in the first and the last, by group, and what they lack."""
    spec = catalog.welfare.stuck
    metric = catalog.metric[spec.metric]
    scheme = catalog.default_weight_scheme
    panels = [s for s in alike if len(s.waves) > 1]
    if not panels:
        return
    total = index_members(scheme, scheme_weights(scheme))[0]
    limits = extremes(con, catalog, members(scheme))
    for survey in panels:
        first, last = survey.waves[0], survey.latest
        own = f"survey_id = {literal(survey.survey_id)}"
        value = quoted(metric.column)
        low = (
            f"(select b.household_id, cast(b.{value} < {spec.below} and a.{value} < {spec.below} as double) as stuck "
            f"from {relation(metric, scheme)} as b "
            f"inner join {relation(metric, scheme)} as a using (survey_id, household_id) "
            f"where b.{own} and b.wave = {literal(first)} and a.wave = {literal(last)} "
            f"and b.{value} is not null and a.{value} is not null)"
        )
        groups = ", ".join(f"h.{quoted(g)}" for g in spec.groups)
        con.execute(
            f"create or replace temp table stuck as select h.survey_id, h.household_id, h.wave, h.site_id, {groups}, "
            f"low.stuck from {HOUSEHOLDS} as h inner join {low} as low using (household_id) "
            f"where h.{own} and h.wave = {literal(last)}"
        )
        head = {**_head(survey, last), "wave_from": first, "panel_sample": BALANCED}
        everyone = con.execute("select count(*), sum(stuck) from stuck").fetchone() or (0, 0)
        if not everyone[0]:
            continue
        kinds: list[tuple[str, str, str]] = [(ALL, ALL, "stuck")]
        for group in spec.groups:
            for (code,) in con.execute(
                f"select distinct {quoted(group)} from stuck where {quoted(group)} is not null order by 1"
            ).fetchall():
                kinds.append((group, code, f"if({quoted(group)} = {literal(code)}, stuck, null)"))
        made = ", ".join(f"{x} as {quoted(f's {k}')}" for k, (*_, x) in enumerate(kinds))
        source = f"(select survey_id, household_id, wave, {made} from stuck)"
        names = {str(k): f"s {k}" for k in range(len(kinds))}
        kept = ", ".join(
            [
                *(f"stuck.{quoted(g)}" for g in spec.groups),
                *(quoted(score_column(name)) for _, name, _ in total),
            ]
        )
        known = scored(limits, survey.survey_id, scheme.bounds, condition=f"wave = {literal(last)}")
        con.execute(
            f"create or replace temp table lacking as select stuck.site_id, {kept} from {known} as known "
            "inner join stuck using (household_id) where stuck.stuck = 1"
        )
        for k, _, units in units_of(con, source, names, survey):
            group_type, group_id, _ = kinds[int(k)]
            said = as_row(estimate(units, share=units))
            who = "true" if group_type == ALL else f"{quoted(group_type)} = {literal(group_id)}"
            lacks = _lacks(con, total, spec.obstacles, who)
            place = {**head, "group_type": group_type, "group_id": group_id}
            yield {**place, **said, "obstacles": lacks.get((ALL, ALL))}
            if group_type == ALL:
                for site, of_site in by_group(units).items():
                    said = as_row(estimate(of_site, share=of_site))
                    place = {**head, "group_type": SITE, "group_id": site}
                    yield {**place, **said, "obstacles": lacks.get((SITE, site))}


def _lacks(
    con: duckdb.DuckDBPyConnection, index: Members, how_many: int, who: str
) -> dict[tuple[str, str], str]:
    """Largest obstacles of some of those who are stuck, all and by site, separated by a bar; none where nobody is."""
    source = f"(select * from lacking where {who})"
    counts = ", ".join(f"count({quoted(score_column(name))})" for _, name, _ in index)
    answered = con.execute(f"select {counts} from {source}").fetchone() or ()
    parts = [part for part, n in zip(index, answered, strict=True) if n]
    by_group: defaultdict[tuple[str, str], list[tuple[float, str]]] = defaultdict(list)
    for row in obstacle_rows(con, source, [("", parts)] if parts else [], {}):
        if row["n"]:
            by_group[row["group_type"], row["group_id"]].append((row["degree"], row["indicator_id"]))
    return {
        group: "|".join(name for _, name in sorted(degrees, reverse=True)[:how_many])
        for group, degrees in by_group.items()
    }
