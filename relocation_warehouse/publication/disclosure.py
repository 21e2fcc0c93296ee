"""The public edition: every number that derives from households is rounded before it leaves, and nothing else is used.

Belongs here: which tables, columns and rows the public edition has, and the rounding of what they hold. Does not belong
here: what each number derives from (`disclosure.yml`), writing files (`files`, `database`), and when an edition is
renewed (`renewal`).

How a count is rounded
----------------------
A count is moved down or up to a multiple of `base` = 10. In each stretch from one multiple to the next a secret
threshold decides: what is under it goes down, the rest up; thresholds are spread evenly, so that rounding is unbiased.
The same number of households of one survey is the same rounded number in every table, file and edition, so nothing is
learnt from seeing it often. Whoever sees 0 knows only "0 to 9", whoever sees 10 "1 to 19". Of a count and the rest of
its wave the smaller is rounded and the larger is what is left of the rounded wave, so that the size of the wave, which
may be printed in a paper, turns neither into an exact number.

Shares are quotients of rounded counts. Means stand on a grid so coarse that neither n nor a single answer follows, and
their errors and intervals follow from what is shown. What is empty for being few is few by its rounded count. So a
reader who joins all tables has functions of rounded counts and nothing beside them.

Sources: Fraser and Wooton (2005) and Marley and Leaver (2011) on cell keys that give one perturbation to one set of
units; Salazar-Gonzalez, Lowthian, Young, Merola, Bond and Brown (2004) on controlled rounding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from relocation_warehouse.contract.disclosure import Derived, Disclosure, disclosure_of
from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql

THRESHOLD = 5
"""A count from 1 to `THRESHOLD - 1` is small; a base twice as large hides which counts are."""

HOUSEHOLDS = "harmonized.households"
INDICATORS = "reference.indicators"
SENSITIVITY = "analysis.sensitivity"

ANALYST = "analyst"
"""Name under which the analyst edition is attached."""

KNOWN = "known"
"""View of its households."""

SHARE_GRID = 0.005
"""To which the error of a share, and half of its interval, are rounded up."""

SAMPLE = re.compile(r"^([a-z][a-z0-9_]*)=(.+)$")
"""A sample of a model that is a group of households."""


def write_public_build(
    analyst: Path, out: Path, contract: Contract, rules: Disclosure | None = None, secret: bytes | None = None
) -> None:
    """Write the tables of the public edition, rounded, as a build to publish from.

    Parameters
    ----------
    analyst
        Published database of the analyst edition.
    out
        Working file; it never holds a number that was not rounded.
    contract
        What `public_contract` gives.
    rules
        What is declared; by default that of the warehouse in the environment.
    secret
        Decides the thresholds; by default one that is made from all answers, for made-up surveys.
    """
    rules = rules or disclosure_of()
    with duckdb.connect(str(out)) as con:
        attach_analyst(con, analyst)
        for macro in _macros(rules, secret or secret_of_answers(con)):
            con.execute(macro)
        _write_sizes(con)
        for table in contract:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {sql.identifier(table.schema)}")
            derived = rules.derived.get(table.full_name)
            if derived is not None and derived.rare_terms:
                _write_levels(con, table, derived)
            con.execute(
                f"CREATE TABLE {sql.identifier(table.schema, table.name)} AS {_rows(table, derived, rules)}"
            )
        con.execute("DETACH analyst")


def attach_analyst(con: duckdb.DuckDBPyConnection, analyst: Path) -> None:
    """Attach the analyst edition as `analyst`; its households, none where it has no such table, are `known`."""
    con.execute(f"ATTACH {sql.text(str(analyst))} AS {ANALYST} (READ_ONLY)")
    there = con.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND schema_name || '.' || table_name = ?",
        [ANALYST, HOUSEHOLDS],
    ).fetchone()
    nobody = ", ".join(f"NULL::VARCHAR AS {c}" for c in ("survey_id", "household_id", "wave", "region"))
    source = f"FROM {ANALYST}.{HOUSEHOLDS}" if there and there[0] else f"SELECT {nobody} LIMIT 0"
    con.execute(f"CREATE TEMP VIEW {KNOWN} AS {source}")


def secret_of_answers(con: duckdb.DuckDBPyConnection) -> bytes:
    """A secret that only who has every answer can make, and that is the same in every warehouse that has them.

    It serves where no key is set, which only made-up surveys are published without.
    """
    row = con.execute(f"SELECT sum(hash(h)::HUGEINT), count(*) FROM {KNOWN} h").fetchone()
    return repr(row).encode()


def _macros(rules: Disclosure, secret: bytes) -> Iterator[str]:
    """SQL functions that the rules are written in; temporary, so that the secret is in no file."""
    key = sql.text(secret.hex())
    base = rules.base
    yield f"""CREATE TEMP MACRO threshold(scope, step) AS
        1 + ('0x' || left(sha256({key} || sha256({key} || scope || '/' || step)), 8))::BIGINT % {base}"""
    yield f"""CREATE TEMP MACRO rounded(scope, n) AS
        ((n // {base} + (n % {base} >= threshold(scope, n // {base}))::BIGINT) * {base})::BIGINT"""
    # of a count and the rest of the whole the smaller is rounded
    yield """CREATE TEMP MACRO part(scope, n, whole) AS CASE
        WHEN 2 * n <= whole THEN rounded(scope, n) ELSE rounded(scope, whole) - rounded(scope, whole - n) END"""
    # a count of answers among those asked: the smaller of the two answers is rounded
    yield """CREATE TEMP MACRO part_of_part(scope, n, asked, whole) AS CASE WHEN 2 * n <= asked THEN rounded(scope, n)
        ELSE greatest(0, part(scope, asked, whole) - rounded(scope, asked - n)) END"""
    yield """CREATE TEMP MACRO ten(x) AS pow(10.0, floor(log10(nullif(abs(x), 0)) + 1e-9))"""
    yield """CREATE TEMP MACRO step(x) AS CASE
        WHEN x <= ten(x) * (1 + 1e-9) THEN ten(x) WHEN x <= 2 * ten(x) THEN 2 * ten(x)
        WHEN x <= 5 * ten(x) THEN 5 * ten(x) ELSE 10 * ten(x) END"""
    yield "CREATE TEMP MACRO nearest(x, s) AS round(round(x / s) * s, 12)"
    yield """CREATE TEMP MACRO upward(x, s) AS
        CASE WHEN x IS NOT NULL THEN round(greatest(ceil(x / s - 1e-9), 1) * s, 12) END"""
    yield """CREATE TEMP MACRO level(p) AS CASE WHEN p < 0.001 THEN 0.001 WHEN p < 0.01 THEN 0.01
        WHEN p < 0.05 THEN 0.05 WHEN p < 0.1 THEN 0.1 WHEN p IS NOT NULL THEN 1.0 END"""
    # the error of an estimate, and the estimate to the same digit; nothing where there is no error
    yield "CREATE TEMP MACRO shown_error(e) AS CASE WHEN e > 0 THEN upward(e, ten(e)) END"
    yield "CREATE TEMP MACRO by_error(x, e) AS CASE WHEN e > 0 THEN nearest(x, ten(e)) END"
    # half of an interval: sampling units decide how wide it is, and there is none where they are too few
    yield "CREATE TEMP MACRO half(low, high, s) AS upward((high - low) / 2, s)"


def _write_sizes(con: duckdb.DuckDBPyConnection) -> None:
    """Households of what counts are parts of: a wave of a survey, a survey, a region."""
    for name, group in (("wave", "survey_id, wave"), ("survey", "survey_id"), ("region", "region")):
        con.execute(
            f"CREATE TEMP TABLE of_{name} AS SELECT {group}, count(DISTINCT (survey_id, household_id)) AS size"
            f" FROM {KNOWN} GROUP BY ALL"
        )


def _write_levels(con: duckdb.DuckDBPyConnection, table: Table, rules: Derived) -> None:
    """Households behind each term of the models: those with its code, or beside the most frequent answer."""
    models = f"{ANALYST}.{rules.rare_terms}"
    terms = f"{ANALYST}.{table.full_name}"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE levels"
        " (survey VARCHAR, model VARCHAR, indicator_id VARCHAR, code VARCHAR, n BIGINT)"
    )
    wide = {
        row[0]
        for row in con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name || '.' || table_name = ?",
            [ANALYST, HOUSEHOLDS],
        ).fetchall()
    }
    surveys = {r[0] for r in con.execute("SELECT survey_id FROM of_survey").fetchall()}
    samples: dict[tuple[str, str, str], list[str]] = {}
    for survey, model, wave, sample in con.execute(
        f"SELECT DISTINCT survey_id, model, wave, sample FROM {models} ORDER BY ALL"
    ).fetchall():
        samples.setdefault((survey, wave, sample), []).append(model)
    for (survey, wave, sample), sites in samples.items():
        listed = sql.texts(sites)
        columns = [
            name
            for (name,) in con.execute(
                f"SELECT DISTINCT indicator_id FROM {terms} WHERE survey_id = ? AND model IN ({listed})"
                " AND indicator_id IS NOT NULL ORDER BY ALL",
                [survey],
            ).fetchall()
            if name in wide
        ]
        if not columns:
            continue
        conditions = [f"survey_id = {sql.text(survey)}"] if survey in surveys else []
        if survey in surveys:
            conditions.append(f"wave = {sql.text(wave)}")
        group = SAMPLE.match(sample)
        if group and group[1] in wide:
            conditions.append(f"{sql.identifier(group[1])}::VARCHAR = {sql.text(group[2])}")
        texts = ", ".join(f"{sql.identifier(c)}::VARCHAR AS {sql.identifier(c)}" for c in columns)
        con.execute(
            f"""
            INSERT INTO levels
            SELECT {sql.text(survey)}, model, indicator_id, code, count(*)
            FROM (UNPIVOT (SELECT {texts} FROM {KNOWN}
                WHERE {" AND ".join(conditions) or "true"})
                ON {", ".join(map(sql.identifier, columns))} INTO NAME indicator_id VALUE code)
            CROSS JOIN (SELECT unnest([{listed}]) AS model) GROUP BY ALL
            """
        )


def _rows(table: Table, derived: Derived | None, rules: Disclosure) -> str:
    """SQL of the rows of a public table."""
    source = f"{ANALYST}.{sql.identifier(table.schema, table.name)}"
    names = ", ".join(map(sql.identifier, table.column_names))
    if derived is None:
        return f"SELECT {names} FROM {source}"
    x = _sized(table, derived, rules, source)
    if "figure" in derived.columns.values():
        x = _figures(rules, x)
    if derived.rare_terms:
        x = _with_rare_terms(rules, x)
    expressions = []
    for column in table.columns:
        rule, name = derived.columns.get(column.name), sql.identifier(column.name)
        if rule is not None:
            expressions.append(f"{_expression(column.name, rule, derived)}::{column.type} AS {name}")
        elif rules.is_exact(table, column):
            expressions.append(name)
        else:
            expressions.append(f"NULL::{column.type} AS {name}")
    return f"SELECT {', '.join(expressions)} FROM ({x})"


def _sized(table: Table, derived: Derived, rules: Disclosure, source: str) -> str:
    """SQL of the rows that stay, each with `scope` and `whole` of its counts, and whether it stands for enough."""
    columns, joins = {*table.column_names}, ""
    survey = f"t.{sql.identifier(derived.survey)}" if derived.survey in columns else "NULL"
    region = "t.region" if "region" in columns else "NULL"
    waves = [c for c in ("wave", "wave_to") if c in columns]
    wave = f"t.{waves[0]}" if waves else "NULL"
    joins += f" LEFT JOIN of_wave w ON w.survey_id = {survey} AND w.wave = {wave}"
    joins += f" LEFT JOIN of_survey s ON s.survey_id = {survey} LEFT JOIN of_region r ON r.region = {region}"
    kept = ["t.group_type = 'all'"] if "group_type" in columns else []
    if derived.one_split:
        # two nearly equal splits differ by few households
        kept.append(
            f"(t.scheme, t.variant) IN (SELECT (scheme, variant) FROM {ANALYST}.{SENSITIVITY}"
            " WHERE is_reference AND variant IS NOT NULL)"
        )
        if "wave_to" in columns:
            kept.append(
                f"t.band_scheme = (SELECT band_scheme FROM {ANALYST}.reference.bands GROUP BY band_scheme"
                " ORDER BY count(*), band_scheme LIMIT 1)"
            )
    counts = [sql.identifier(c) for c, rule in derived.columns.items() if rule == "count"]
    # a part of a distribution stands beside the others: what counts is the size of the whole
    stands_for = [*[f"t.{c}" for c in counts if not derived.within][:1], "w.size", "s.size", "r.size"]
    return f"""
        SELECT *, step(2.0 / shown_n) AS mean_grid FROM (
            SELECT *, rounded(scope, stands_for) >= {rules.fewest} AS is_shown,
                part(scope, {counts[0] if counts else "NULL::BIGINT"}, whole) AS shown_n
            FROM (SELECT t.*, coalesce({survey}, {region}, '') AS scope, coalesce(w.size, s.size) AS whole,
                    coalesce({", ".join(stands_for)}, (SELECT sum(size) FROM of_survey))::BIGINT AS stands_for
                FROM {source} t{joins} WHERE {" AND ".join(kept) or "true"}))"""


def _figures(rules: Disclosure, x: str) -> str:
    """SQL of the rows of `x` with the figure that is shown, its error and its interval, as `figure_*`.

    `value` is a share of households where its unit says so, and a mean of answers or of indices elsewhere.
    """
    ranges = " ".join(f"WHEN {sql.text(unit)} THEN {size!r}" for unit, size in rules.ranges.items())
    return f"""
        SELECT *,
            CASE WHEN unit = 'share' THEN portion ELSE nearest(value, grid) END AS figure_value,
            CASE WHEN unit = 'share' THEN {SHARE_GRID} ELSE grid / 2 END AS error_grid,
            upward(standard_error, error_grid) AS figure_standard_error,
            round(figure_value - half(ci_low, ci_high, error_grid), 12) AS figure_low,
            round(figure_value + half(ci_low, ci_high, error_grid), 12) AS figure_high,
            CASE WHEN unit = 'share' AND figure_low < 0 THEN 0.0 ELSE figure_low END AS figure_ci_low,
            CASE WHEN unit = 'share' AND figure_high > 1 THEN 1.0 ELSE figure_high END AS figure_ci_high,
            figure_value * shown_n AS figure_value_x_n
        FROM (
            SELECT z.*,
                least(1.0, part_of_part(scope, round(value * n)::BIGINT, n, whole) / shown_n) AS portion,
                coalesce(i.maximum - i.minimum, CASE z.unit {ranges} END) AS width,
                step(greatest(
                    CASE WHEN width IS NULL THEN {rules.base} * coalesce(standard_error, 0) * sqrt(n)
                        ELSE 2 * width END,
                    CASE WHEN i.indicator_id IS NOT NULL THEN {rules.base} ELSE 1e-6 END) / shown_n) AS grid
            FROM ({x}) z LEFT JOIN {ANALYST}.{INDICATORS} i ON i.indicator_id = z.metric_id)"""


def _with_rare_terms(rules: Disclosure, x: str) -> str:
    """SQL of the rows of `x`, those of terms that stand for few households not shown."""
    return f"""
        WITH l AS (
            SELECT *, sum(n) OVER (PARTITION BY survey, model, indicator_id) AS answers,
                max(n) OVER (PARTITION BY survey, model, indicator_id) AS most FROM levels)
        SELECT z.* REPLACE (is_shown AND (z.indicator_id IS NULL AND z.code IS NULL OR coalesce(rounded(scope,
            CASE WHEN z.code IS NULL THEN a.beside ELSE least(c.n, d.n) END::BIGINT) >= {rules.fewest}, false))
            AS is_shown)
        FROM ({x}) z
        LEFT JOIN (SELECT DISTINCT survey, model, indicator_id, answers - most AS beside FROM l) a
            ON (a.survey, a.model, a.indicator_id) = (z.survey_id, z.model, z.indicator_id)
        LEFT JOIN l c ON (c.survey, c.model, c.indicator_id, c.code) = (z.survey_id, z.model, z.indicator_id, z.code)
        LEFT JOIN l d
            ON (d.survey, d.model, d.indicator_id, d.code) = (z.survey_id, z.model, z.indicator_id, z.reference_code)"""


def _expression(name: str, rule: str, derived: Derived) -> str:
    """SQL of a column under its rule."""
    field = sql.identifier(name)
    # of several columns under a rule the first is meant: the estimate comes before what else has its digits
    of = {rule: sql.identifier(c) for c, rule in reversed(derived.columns.items())}
    error, estimate = of.get("error", "NULL"), of.get("by_error", "NULL")
    n = of.get("count", "NULL")
    within = ", ".join(map(sql.identifier, derived.within))
    kind, _, argument = rule.partition(" ")
    number = float(argument or 1)
    shown_by_count = f"CASE WHEN {derived.counts_where} THEN part(scope, {field}, whole) END"
    half_width = f"half({of.get('low')}, {of.get('high')}, ten({error}) / 2), 12)"
    figures = {
        "share": f"least(1.0, shown_n / nullif(part(scope,"
        f" sum({n}) OVER (PARTITION BY {within or 'NULL'})::BIGINT, whole), 0))",
        "mean": f"nearest({field}, mean_grid)",
        "figure": sql.identifier(f"figure_{name}"),
        "grid": f"nearest({field}, {number})",
        "digits": f"coalesce(nearest({field}, ten({field}) / {10 ** (number - 1)}), {field})",
        "error": f"shown_error({field})",
        "by_error": f"by_error({field}, {error})",
        "low": f"round(by_error({estimate}, {error}) - {half_width}",
        "high": f"round(by_error({estimate}, {error}) + {half_width}",
        "level": f"level({field})",
        "withheld": "NULL",
        "shown": field,
    }
    counts = {
        "count": shown_by_count,
        "rows": f"rounded(scope, {field})",
        "rows_left": f"rounded(scope, {field})",
        "rows_all": f"rounded(scope, {of.get('rows_left')}) + rounded(scope, {of.get('rows')})",
    }
    shown = (
        counts.get(kind) or f"CASE WHEN is_shown AND NOT ({derived.withheld_where}) THEN {figures[kind]} END"
    )
    return shown if derived.where == "true" else f"CASE WHEN {derived.where} THEN {shown} ELSE {field} END"
