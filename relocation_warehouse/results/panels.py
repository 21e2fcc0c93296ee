"""Who of a panel was interviewed again, and what changed between waves, in a balanced sample and in all households.

Belongs here: counts of households by wave, means of two waves side by side, and the mean change of an index with its
interval by sampling units. Does not belong here: tests of a change (`coupling`), or a comparison of regions
(`comparison`).

Samples
-------
balanced
    Households with a value in both waves: the change of the same households.
unbalanced
    All households with a value in each wave: the change of the population, with those who left and those who came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa

from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.common import VERDICTS, VerdictsByWave, is_relative, verdicts_by_wave
from relocation_warehouse.results.households import BALANCED, HOUSEHOLDS, UNBALANCED, Survey, surveys
from relocation_warehouse.results.metrics import COUPLING, ingredients, relation
from relocation_warehouse.results.sampling import as_row, estimate, units_of
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog

SPLIT_FROM = "_split_from"
"""Column of a raw table of a file that says which household another one split off from."""


def panels(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Count the households of every wave, and compare the waves of every panel.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` and `factors` in it.
    catalog
        Metrics and indicators.

    Returns
    -------
    dict
        `panel_waves`, `wave_changes`, `wave_bands` and `index_changes` of the schema `analysis`.
    """
    all_surveys, verdicts = surveys(con), verdicts_by_wave(con)
    return {
        "panel_waves": conform("analysis.panel_waves", (row for s in all_surveys for row in _waves(con, s))),
        "wave_changes": conform(
            "analysis.wave_changes", (row for s in all_surveys for row in _changes(con, catalog, s))
        ),
        "wave_bands": conform(
            "analysis.wave_bands", (row for s in all_surveys for row in _bands(con, catalog, s))
        ),
        "index_changes": conform(
            "analysis.index_changes",
            (row for s in all_surveys for row in _index_changes(con, catalog, s, verdicts)),
        ),
    }


def _head(survey: Survey) -> dict[str, Any]:
    return {"survey_id": survey.survey_id, "region": survey.region, "is_synthetic": survey.is_synthetic}


def _waves(con: duckdb.DuckDBPyConnection, survey: Survey) -> Iterator[dict[str, Any]]:
    """Households of each wave by what became of them since the waves before."""
    own = f"(select * from {HOUSEHOLDS} where survey_id = {literal(survey.survey_id)})"
    orders = ", ".join(
        f"({order}, {before})"
        for before, order in pairwise(("cast(null as integer)", *map(str, survey.wave_orders)))
    )
    rows = con.execute(
        f"""
        with own as (select household_id, wave_order, site_id from {own}),
        seen as (
            select household_id, min(wave_order) as first_order, count(*) as n_waves from own group by household_id),
        waves(wave_order, order_before) as (values {orders})
        select
            waves.wave_order,
            count(*),
            count(former.household_id),
            count(*) filter (where former.household_id is null and seen.first_order < waves.wave_order),
            count(*) filter (where seen.first_order = waves.wave_order and origin.first_order < waves.wave_order),
            count(*) filter (where former.site_id <> own.site_id),
            count(*) filter (where seen.n_waves = {len(survey.waves)})
        from waves
        inner join own using (wave_order)
        inner join seen using (household_id)
        left join own as former
            on own.household_id = former.household_id and waves.order_before = former.wave_order
        left join {_origins(con, survey)} as origins on own.household_id = origins.household_id
        left join seen as origin on origins.split_from = origin.household_id
        group by all
        """
    ).fetchall()
    by_order = {order: counts for order, *counts in rows}
    before: int | None = None
    for place, (wave, order) in enumerate(zip(survey.waves, survey.wave_orders, strict=True)):
        n, stayed, returned, split, moved, always = by_order[order]
        since = {
            "n_stayed": stayed,
            "n_left": (before or 0) - stayed,
            "n_returned": returned,
            "n_split": split,
            "n_new": n - stayed - returned - split,
            "n_moved": moved,
        }
        yield {
            **_head(survey),
            "wave": wave,
            "wave_order": order,
            "wave_before": survey.waves[place - 1] if place else None,
            "n_households": n,
            # nobody can have stayed or left in the first wave
            **(since if place else dict.fromkeys(since)),
            "n_in_all_waves": always,
        }
        before = n


def _origins(con: duckdb.DuckDBPyConnection, survey: Survey) -> str:
    """Relation of households with the one that they split off from, as far as files of the survey say so."""
    tables = con.execute(
        "select table_name from duckdb_columns() where schema_name = 'raw' and column_name = ? "
        "and starts_with(table_name, ?) order by table_name",
        [SPLIT_FROM, f"{survey.survey_id}__"],
    ).fetchall()
    parts = [f"select _household_id, {SPLIT_FROM} from raw.{quoted(name)}" for (name,) in tables]
    none = "select cast(null as varchar), cast(null as varchar)"
    union = " union all ".join(parts or [none])
    return (
        f"(select household_id, any_value(split_from) as split_from from ({union}) as said(household_id, split_from) "
        "where split_from <> household_id group by household_id)"
    )


def _changes(con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey) -> Iterator[dict[str, Any]]:
    """Means of every metric and numeric indicator in two waves: neighbours, and the first and the last."""
    if not (pairs := _pairs(survey)):
        return
    order = {name: k for k, name in enumerate(_measured(catalog))}
    rows: list[dict[str, Any]] = []
    for source, all_columns in _sources(catalog).items():
        here = f"survey_id = {literal(survey.survey_id)}"
        own = f"(select * from {source} where {here})"
        # what nobody answered has no mean, and a query of a thousand columns takes long to plan
        answers = con.execute(
            f"select {', '.join(f'count({quoted(c)})' for c in all_columns.values())} from {own}"
        )
        columns = {
            name: column
            for (name, column), n in zip(all_columns.items(), answers.fetchone() or (), strict=True)
            if n
        }
        if not columns:
            continue
        weights = f"(select household_id, wave, weight as w from {HOUSEHOLDS} where {here})"
        values = ", ".join(quoted(c) for c in columns.values())
        for first, second in pairs:
            one, two = (
                f"(select household_id, w, {values} from (select * from {own} where wave = {literal(wave)}) "
                f"inner join (select household_id, w from {weights} where wave = {literal(wave)}) using (household_id))"
                for wave in (first, second)
            )
            answered = {
                x: f"one.{x} is not null and two.{x} is not null" for x in map(quoted, columns.values())
            }
            both = ", ".join(
                f"[count(case when {when} then 1 end), {_mean('one', x, when)}, count(case when {when} then 1 end), "
                f"{_mean('two', x, when)}]"
                for x, when in answered.items()
            )
            each = ", ".join(
                f"[count(one.{x}), {_mean('one', x, f'one.{x} is not null')}, count(two.{x}), "
                f"{_mean('two', x, f'two.{x} is not null')}]"
                for x in map(quoted, columns.values())
            )
            for sample, join, numbers in ((BALANCED, "inner", both), (UNBALANCED, "full", each)):
                moments = con.execute(
                    f"select {numbers} from {one} as one {join} join {two} as two using (household_id)"
                ).fetchone()
                for name, (n_from, mean_from, n_to, mean_to) in zip(columns, moments or (), strict=False):
                    # answers of households without weight have no mean
                    if not (n_from and n_to) or mean_from is None or mean_to is None:
                        continue
                    rows.append(
                        {
                            **_head(survey),
                            "metric_id": name,
                            "wave_from": first,
                            "wave_to": second,
                            "panel_sample": sample,
                            "n_from": int(n_from),
                            "n_to": int(n_to),
                            "mean_from": mean_from,
                            "mean_to": mean_to,
                            "change": mean_to - mean_from,
                        }
                    )
    yield from sorted(
        rows,
        key=lambda r: (order[r["metric_id"]], pairs.index((r["wave_from"], r["wave_to"])), r["panel_sample"]),
    )


def _pairs(survey: Survey) -> list[tuple[str, str]]:
    """Waves that are compared: neighbours, and the first and the last."""
    ends = [(survey.waves[0], survey.waves[-1])] if len(survey.waves) > 1 else []
    return list(dict.fromkeys([*pairwise(survey.waves), *ends]))


def _bands(con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey) -> Iterator[dict[str, Any]]:
    """Shares of the default bands in two waves, under the default weights and formula."""
    grading = catalog.band_scheme(catalog.coupling.band_scheme)
    chosen = {
        "survey_id": survey.survey_id,
        "scheme": catalog.default_weight_scheme.id,
        "variant": catalog.coupling.default_variant,
        "band_scheme": grading.id,
    }
    own = " and ".join(f"{name} = {literal(value)}" for name, value in chosen.items())
    if not (pairs := _pairs(survey)):
        return
    con.execute(
        "create or replace temp table bands_of_a_survey as "
        f"select household_id, wave, band from {COUPLING} where {own} and band is not null"
    )
    for first, second in pairs:
        one, two = (
            f"(select household_id, band from bands_of_a_survey where wave = {literal(wave)})"
            for wave in (first, second)
        )
        for sample, join in ((BALANCED, "inner"), (UNBALANCED, "full")):
            counts = [
                dict(
                    con.execute(
                        f"select {side}.band, count(*) from {one} as one {join} join {two} as two "
                        f"using (household_id) where {side}.band is not null group by all"
                    ).fetchall()
                )
                for side in ("one", "two")
            ]
            n_one, n_two = (sum(counts_of_wave.values()) for counts_of_wave in counts)
            if not (n_one and n_two):
                continue
            for order, band in enumerate(grading.bands, start=1):
                n_from, n_to = (counts_of_wave.get(band.id, 0) for counts_of_wave in counts)
                yield {
                    **_head(survey),
                    "wave_from": first,
                    "wave_to": second,
                    "panel_sample": sample,
                    "band_scheme": grading.id,
                    "band": band.id,
                    "band_order": order,
                    "n_from": n_from,
                    "n_to": n_to,
                    "share_from": n_from / n_one,
                    "share_to": n_to / n_two,
                    "change": n_to / n_two - n_from / n_one,
                }


def _index_changes(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, verdicts: VerdictsByWave
) -> Iterator[dict[str, Any]]:
    """Mean change of every index from the first to the last wave, over the households of both.

    An index that is measured against its own sample moves with the sample, and is left out.
    """
    if len(survey.waves) < 2:
        return
    first, last = survey.waves[0], survey.latest
    scheme = catalog.default_weight_scheme
    by_source: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for metric in catalog.metrics:
        if metric.grain == "household" and not is_relative(catalog, metric.id):
            by_source[relation(metric, scheme)][metric.id] = metric.column
    order = {metric.id: k for k, metric in enumerate(catalog.metrics)}
    rows = []
    for source, columns in by_source.items():
        own = f"survey_id = {literal(survey.survey_id)}"
        moved = ", ".join(f"l.{c} - f.{c} as {c}" for c in map(quoted, columns.values()))
        both = (
            f"(select l.survey_id, l.household_id, l.wave, {moved} from {source} as l inner join {source} as f "
            f"using (survey_id, household_id) where l.{own} and l.wave = {literal(last)} "
            f"and f.wave = {literal(first)})"
        )
        for name, _, units in units_of(con, both, columns, survey):
            behind = ingredients(catalog, name, scheme)
            earlier, later = (
                {i: v for i, v in verdicts[survey.survey_id, wave].items() if i in behind}
                for wave in (first, last)
            )
            known = [*earlier.values(), *later.values()]
            rows.append(
                {
                    **_head(survey),
                    "metric_id": name,
                    "wave_from": first,
                    "wave_to": last,
                    "panel_sample": BALANCED,
                    # a household moves by up to twice the range of the index
                    "unit": f"change of {catalog.metric[name].unit}",
                    **as_row(estimate(units)),
                    "status": max(known, key=VERDICTS.index) if known else None,
                    "n_indicators": len({*earlier} & {*later}),
                    "n_indicators_defined": len(behind),
                    "has_same_indicators": {*earlier} == {*later},
                }
            )
    yield from sorted(rows, key=lambda r: order[r["metric_id"]])


def _mean(side: str, column: str, condition: str) -> str:
    """SQL of a mean weighted by the weights of its wave; a FILTER would copy a thousand columns for each."""
    weight, product = (
        f"case when {condition} then {x} end" for x in (f"{side}.w", f"{side}.w * {side}.{column}")
    )
    return f"sum({product}) / nullif(sum({weight}), 0.0)"


def _measured(catalog: Catalog) -> tuple[str, ...]:
    return tuple(name for columns in _sources(catalog).values() for name in columns)


def _sources(catalog: Catalog) -> Mapping[str, dict[str, str]]:
    """SQL of rows -> metric or numeric indicator -> its column there."""
    sources: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for metric in catalog.metrics:
        if metric.grain == "household":
            sources[relation(metric, catalog.default_weight_scheme)][metric.id] = metric.column
    for indicator in catalog.indicators:
        if indicator.is_numeric:
            sources[HOUSEHOLDS][indicator.id] = indicator.id
    return sources
