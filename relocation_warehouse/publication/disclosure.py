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
from collections.abc import Container, Iterator
from pathlib import Path

import duckdb

from relocation_warehouse.contract.disclosure import Derived, Disclosure, disclosure_of
from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.database import row_digests
from relocation_warehouse.ground.kept import code_of, digest_of
from relocation_warehouse.results.columns_read import columns_read

CODE = code_of("relocation_warehouse.publication.disclosure")
"""Digest of the code that rounds."""

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
    analyst: Path,
    out: Path,
    contract: Contract,
    rules: Disclosure | None = None,
    secret: bytes | None = None,
    stay: Container[str] = (),
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
    stay
        Tables that `out` has already, by `made_from`.
    """
    rules = rules or disclosure_of()
    with duckdb.connect(str(out)) as con:
        attach_analyst(con, analyst)
        for macro in _macros(rules, secret or secret_of_answers(con)):
            con.execute(macro)
        _write_sizes(con)
        con.begin()
        for table in (t for t in contract if t.full_name not in stay):
            con.execute(f"create schema if not exists {sql.identifier(table.schema)}")
            derived = rules.derived.get(table.full_name)
            if derived is not None and derived.rare_terms:
                _write_levels(con, table, derived)
            con.execute(
                f"create or replace table {sql.identifier(table.schema, table.name)}"
                f" as {_rows(table, derived, rules)}"
            )
        con.commit()
        con.execute("detach analyst")


def made_from(
    con: duckdb.DuckDBPyConnection, contract: Contract, rules: Disclosure, secret: bytes
) -> tuple[str, dict[str, str]]:
    """Digests of what all tables of the public edition follow from, and of what each does beside that.

    Parameters
    ----------
    con
        Connection with the analyst edition attached.
    contract, rules, secret
        As `write_public_build` takes them.
    """
    households = row_digests(con, {f"{ANALYST}.{HOUSEHOLDS}": None})
    each = {}
    for table in contract:
        derived = rules.derived.get(table.full_name)
        query = _rows(table, derived, rules)
        read = columns_read(query)
        if read is None:
            raise ValueError(f"what the public edition reads for {table.full_name} cannot be told")
        tables = {f"{ANALYST}.{name}": columns for name, columns in read.items()}
        if derived is not None and derived.rare_terms:
            tables |= {f"{ANALYST}.{name}": None for name in (derived.rare_terms, table.full_name)}
        each[table.full_name] = digest_of(query, row_digests(con, tables))
    return digest_of(CODE, repr(contract), repr(rules), secret.hex(), households), each


def attach_analyst(con: duckdb.DuckDBPyConnection, analyst: Path) -> None:
    """Attach the analyst edition as `analyst`; its households, none where it has no such table, are `known`."""
    con.execute(f"attach {sql.text(str(analyst))} as {ANALYST} (READ_ONLY)")
    there = con.execute(
        "select count(*) from duckdb_tables() where database_name = ? and schema_name || '.' || table_name = ?",
        [ANALYST, HOUSEHOLDS],
    ).fetchone()
    nobody = ", ".join(f"null::varchar as {c}" for c in ("survey_id", "household_id", "wave", "region"))
    source = f"from {ANALYST}.{HOUSEHOLDS}" if there and there[0] else f"select {nobody} limit 0"
    con.execute(f"create temp view {KNOWN} as {source}")


def secret_of_answers(con: duckdb.DuckDBPyConnection) -> bytes:
    """A secret that only who has every answer can make, and that is the same in every warehouse that has them.

    It serves where no key is set, which only made-up surveys are published without.
    """
    row = con.execute(f"select sum(hash(h)::hugeint), count(*) from {KNOWN} h").fetchone()
    return repr(row).encode()


def _macros(rules: Disclosure, secret: bytes) -> Iterator[str]:
    """SQL functions that the rules are written in; temporary, so that the secret is in no file."""
    key = sql.text(secret.hex())
    base = rules.base
    yield f"""create temp MACRO threshold(scope, step) as
        1 + ('0x' || left(sha256({key} || sha256({key} || scope || '/' || step)), 8))::bigint % {base}"""
    yield f"""create temp MACRO rounded(scope, n) as
        ((n // {base} + (n % {base} >= threshold(scope, n // {base}))::bigint) * {base})::bigint"""
    # of a count and the rest of the whole the smaller is rounded
    yield """create temp MACRO part(scope, n, whole) as case
        when 2 * n <= whole then rounded(scope, n) else rounded(scope, whole) - rounded(scope, whole - n) end"""
    # a count of answers among those asked: the smaller of the two answers is rounded
    yield """create temp MACRO part_of_part(scope, n, asked, whole) as case when 2 * n <= asked then rounded(scope, n)
        else greatest(0, part(scope, asked, whole) - rounded(scope, asked - n)) end"""
    yield """create temp MACRO ten(x) as pow(10.0, floor(log10(nullif(abs(x), 0)) + 1e-9))"""
    yield """create temp MACRO step(x) as case
        when x <= ten(x) * (1 + 1e-9) then ten(x) when x <= 2 * ten(x) then 2 * ten(x)
        when x <= 5 * ten(x) then 5 * ten(x) else 10 * ten(x) end"""
    # (adding 0 leaves no negative zero)
    yield "create temp MACRO nearest(x, s) as round(round(x / s) * s, 12) + 0.0"
    yield """create temp MACRO upward(x, s) as
        case when x is not null then round(greatest(ceil(x / s - 1e-9), 1) * s, 12) end"""
    yield """create temp MACRO level(p) as case when p < 0.001 then 0.001 when p < 0.01 then 0.01
        when p < 0.05 then 0.05 when p < 0.1 then 0.1 when p is not null then 1.0 end"""
    # the level that an estimate reaches by the error shown beside it; the true p is a bound that single answers cross
    yield """create temp MACRO level_of_shown(x, e) as case when abs(x) > 3.2905 * e then 0.001
        when abs(x) > 2.5758 * e then 0.01 when abs(x) > 1.96 * e then 0.05 when abs(x) > 1.6449 * e then 0.1
        when abs(x) >= 0 and e > 0 then 1.0 end"""
    # the error of an estimate, and the estimate to the same digit; nothing where there is no error
    # (an error of zero is one of rounding); g is what single answers need, or null
    yield "create temp MACRO digit(e, g) as step(greatest(ten(e), g))"
    yield "create temp MACRO shown_error(e, g) as case when e > 1e-9 then upward(e, digit(e, g)) end"
    yield "create temp MACRO by_error(x, e, g) as case when e > 1e-9 then nearest(x, digit(e, g)) end"
    # half of an interval: sampling units decide how wide it is, and there is none where they are too few
    yield "create temp MACRO half(low, high, s) as upward((high - low) / 2, s)"


def _write_sizes(con: duckdb.DuckDBPyConnection) -> None:
    """Households of what counts are parts of: a wave of a survey, a survey, a region."""
    for name, group in (("wave", "survey_id, wave"), ("survey", "survey_id"), ("region", "region")):
        con.execute(
            f"create temp table of_{name} as select {group}, count(distinct (survey_id, household_id)) as size"
            f" from {KNOWN} group by all"
        )


def _write_levels(con: duckdb.DuckDBPyConnection, table: Table, rules: Derived) -> None:
    """Households behind each term of the models, by survey: those with its code, or beside the most frequent answer."""
    models = f"{ANALYST}.{rules.rare_terms}"
    terms = f"{ANALYST}.{table.full_name}"
    con.execute(
        "create or replace temp table levels"
        " (survey varchar, model varchar, part varchar, indicator_id varchar, code varchar, n bigint)"
    )
    wide = {
        row[0]
        for row in con.execute(
            "select column_name from duckdb_columns() where database_name = ? and schema_name || '.' || table_name = ?",
            [ANALYST, HOUSEHOLDS],
        ).fetchall()
    }
    surveys = {r[0] for r in con.execute("select survey_id from of_survey").fetchall()}
    samples: dict[tuple[str, str, str], list[str]] = {}
    for survey, model, wave, sample in con.execute(
        f"select distinct survey_id, model, wave, sample from {models} order by all"
    ).fetchall():
        samples.setdefault((survey, wave, sample), []).append(model)
    for (survey, wave, sample), sites in samples.items():
        listed = sql.texts(sites)
        columns = [
            name
            for (name,) in con.execute(
                f"select distinct indicator_id from {terms} where survey_id = ? and model in ({listed})"
                " and indicator_id is not null order by all",
                [survey],
            ).fetchall()
            if name in wide
        ]
        if not columns:
            continue
        conditions = [f"survey_id = {sql.text(survey)}"] if survey in surveys else []
        if survey in surveys or wave != "latest":
            conditions.append(f"wave = {sql.text(wave)}")
        else:
            conditions.append(
                f"(survey_id, wave) in (select (survey_id, arg_max(wave, wave_order)) from {KNOWN} group by survey_id)"
            )
        group = SAMPLE.match(sample)
        if group and group[1] in wide:
            conditions.append(f"{sql.identifier(group[1])}::varchar = {sql.text(group[2])}")
        where = " and ".join(conditions)
        # counted before they become text, which costs more than all the rest for millions of answers
        counts = " union all ".join(
            f"select survey_id, {sql.text(c)} as indicator_id, {sql.identifier(c)}::varchar as code, count(*) as n"
            f" from {KNOWN} where {where} and {sql.identifier(c)} is not null group by survey_id, {sql.identifier(c)}"
            for c in columns
        )
        con.execute(
            f"insert into levels select {sql.text(survey)}, model, survey_id, indicator_id, code, n"
            f" from ({counts}) cross join (select unnest([{listed}]) as model)"
        )


def _rows(table: Table, derived: Derived | None, rules: Disclosure) -> str:
    """SQL of the rows of a public table."""
    source = f"{ANALYST}.{sql.identifier(table.schema, table.name)}"
    names = ", ".join(map(sql.identifier, table.column_names))
    if derived is None:
        return f"select {names} from {source}"
    x = _sized(table, derived, rules, source)
    if "figure" in derived.columns.values():
        x = _figures(rules, x)
    if derived.rare_terms:
        x = _with_rare_terms(rules, derived, x)
    expressions = []
    for column in table.columns:
        rule, name = derived.columns.get(column.name), sql.identifier(column.name)
        if rule is not None:
            expressions.append(f"{_expression(column.name, rule, derived)}::{column.type} as {name}")
        elif rules.is_exact(table, column):
            expressions.append(name)
        else:
            expressions.append(f"null::{column.type} as {name}")
    return f"select {', '.join(expressions)} from ({x})"


def _sized(table: Table, derived: Derived, rules: Disclosure, source: str) -> str:
    """SQL of the rows that stay, each with `scope` and `whole` of its counts, and whether it stands for enough."""
    columns, joins = {*table.column_names}, ""
    survey = f"t.{sql.identifier(derived.survey)}" if derived.survey in columns else "null"
    region = "t.region" if "region" in columns else "null"
    waves = [c for c in ("wave", "wave_to") if c in columns]
    wave = f"t.{waves[0]}" if waves else "null"
    joins += f" left join of_wave w on w.survey_id = {survey} and w.wave = {wave}"
    joins += f" left join of_survey s on s.survey_id = {survey} left join of_region r on r.region = {region}"
    kept = ["t.group_type = 'all'"] if "group_type" in columns else []
    if derived.one_split:
        # two nearly equal splits differ by few households
        kept.append(
            f"(t.scheme, t.variant) in (select (scheme, variant) from {ANALYST}.{SENSITIVITY}"
            " where is_reference and variant is not null)"
        )
        if "wave_to" in columns:
            kept.append(
                f"t.band_scheme = (select band_scheme from {ANALYST}.reference.bands group by band_scheme"
                " order by count(*), band_scheme limit 1)"
            )
    counts = [sql.identifier(c) for c, rule in derived.columns.items() if rule == "count"]
    # a part of a distribution stands beside the others: what counts is the size of the whole
    stands_for = [*[f"t.{c}" for c in counts if not derived.within][:1], "w.size", "s.size", "r.size"]
    return f"""
        select *, step(2.0 / shown_n) as mean_grid, null::double as answers_grid from (
            select *, rounded(scope, stands_for) >= {rules.fewest} as is_shown,
                part(scope, {counts[0] if counts else "null::bigint"}, whole) as shown_n
            from (select t.*, coalesce({survey}, {region}, '') as scope, coalesce(w.size, s.size) as whole,
                    coalesce({", ".join(stands_for)}, (select sum(size) from of_survey))::bigint as stands_for
                from (select * from {source} where {derived.rows_where}) t{joins}
                where {" and ".join(kept) or "true"}))"""


def _figures(rules: Disclosure, x: str) -> str:
    """SQL of the rows of `x` with the figure that is shown, its error and its interval, as `figure_*`.

    `value` is a share of households where its unit says so, and a mean of answers or of indices elsewhere.
    """
    ranges = " ".join(f"when {sql.text(unit)} then {size!r}" for unit, size in rules.ranges.items())
    return f"""
        select *,
            case when unit = 'share' then portion else nearest(value, grid) end as figure_value,
            case when unit = 'share' then {SHARE_GRID} else grid / 2 end as error_grid,
            upward(standard_error, error_grid) as figure_standard_error,
            round(figure_value - half(ci_low, ci_high, error_grid), 12) as figure_low,
            round(figure_value + half(ci_low, ci_high, error_grid), 12) as figure_high,
            case when unit = 'share' and figure_low < 0 then 0.0 else figure_low end as figure_ci_low,
            case when unit = 'share' and figure_high > 1 then 1.0 else figure_high end as figure_ci_high,
            figure_value * shown_n as figure_value_x_n
        from (
            select z.*,
                least(1.0, part_of_part(scope, round(value * n)::bigint, n, whole) / shown_n) as portion,
                coalesce(i.maximum - i.minimum, case z.unit {ranges} end) as width,
                greatest(1, shown_n - {rules.base} + 1) as fewest_n,
                step(greatest(
                    case when width is null then {rules.base} * coalesce(standard_error, 0) * sqrt(n)
                        else 2 * width end / shown_n,
                    case when i.indicator_id is not null then {rules.base} / fewest_n else 1e-6 / shown_n end)) as grid
            from ({x}) z left join {ANALYST}.{INDICATORS} i on i.indicator_id = z.metric_id)"""


def _with_rare_terms(rules: Disclosure, derived: Derived, x: str) -> str:
    """SQL of the rows of `x`, those of terms that stand for few households not shown.

    Where the outcome is an answer, a term of a code is a difference of two shares: it stands on a grid that many
    households cannot cross, and the constant, which is one of the two shares, is not shown. Its level follows from what
    is shown: the true one is a bound that an answer more in the next edition may cross.

    What several surveys are pooled for stands for as few as in the survey with the fewest: terms that interact with the
    region are slopes within one, and of the others the parts are shown by themselves.
    """
    return f"""
        with parts as (
            select survey, model, part, indicator_id, sum(n) - max(n) as beside,
                sqrt(sum(n * (number - middle) ** 2) / sum(n) filter (where number is not null)) as spread
            from (
                select *, sum(n * number) over g / sum(n) filter (where number is not null) over g as middle
                from (select *, try_cast(code as double) as number from levels)
                window g as (partition by survey, model, part, indicator_id))
            group by all),
        a as (
            select survey, model, indicator_id, min(beside) as beside, min(spread) as spread, count(*) as n_parts
            from parts group by all),
        l as (
            select survey, model, indicator_id, code,
                case when count(*) = any_value(n_parts) then min(n) else 0 end as n
            from levels join a using (survey, model, indicator_id) group by all),
        o as (
            select distinct survey_id, model,
                dependent in (select indicator_id from {ANALYST}.{INDICATORS}) as is_answer
            from {ANALYST}.{derived.rare_terms})
        select * exclude (beside, unit_of_term, is_answer) replace (
            is_shown and case when indicator_id is null and code is null then not is_answer
                else coalesce(rounded(scope, beside) >= {rules.fewest}, false) end as is_shown,
            case when is_answer then {2 * rules.base} / rounded(scope, beside) / unit_of_term end as answers_grid)
        from (
            select z.*, coalesce(o.is_answer, true) as is_answer,
                case when z.code is null then a.beside else least(c.n, d.n) end::bigint as beside,
                case when z.code is null then nullif(2 * a.spread, 0) else 1 end as unit_of_term
            from ({x}) z
            left join o on (o.survey_id, o.model) = (z.survey_id, z.model)
            left join a on (a.survey, a.model, a.indicator_id) = (z.survey_id, z.model, z.indicator_id)
            left join l c on (c.survey, c.model, c.indicator_id, c.code)
                = (z.survey_id, z.model, z.indicator_id, z.code)
            left join l d on (d.survey, d.model, d.indicator_id, d.code)
                = (z.survey_id, z.model, z.indicator_id, z.reference_code))"""


def _expression(name: str, rule: str, derived: Derived) -> str:
    """SQL of a column under its rule."""
    field = sql.identifier(name)
    # of several columns under a rule the first is meant: the estimate comes before what else has its digits
    of = {rule: sql.identifier(c) for c, rule in reversed(derived.columns.items())}
    error, estimate = of.get("error", "null"), of.get("by_error", "null")
    n = of.get("count", "null")
    within = ", ".join(map(sql.identifier, derived.within))
    kind, _, argument = rule.partition(" ")
    number = float(argument or 1)
    shown_by_count = f"case when {derived.counts_where} then part(scope, {field}, whole) end"
    error_shown, estimate_shown = (
        f"shown_error({error}, answers_grid)",
        f"by_error({estimate}, {error}, answers_grid)",
    )
    half_width = f"half({of.get('low')}, {of.get('high')}, digit({error}, answers_grid) / 2), 12)"
    figures = {
        "share": f"least(1.0, shown_n / nullif(part(scope,"
        f" sum({n}) over (partition by {within or 'null'})::bigint, whole), 0))",
        "mean": f"nearest({field}, mean_grid)",
        "figure": sql.identifier(f"figure_{name}"),
        "grid": f"nearest({field}, {number})",
        "digits": f"coalesce(nearest({field}, ten({field}) / {10 ** (number - 1)}), {field})",
        "error": f"shown_error({field}, answers_grid)",
        "by_error": f"by_error({field}, {error}, answers_grid)",
        "low": f"round(by_error({estimate}, {error}, answers_grid) - {half_width}",
        "high": f"round(by_error({estimate}, {error}, answers_grid) + {half_width}",
        "beta": f"case when answers_grid is null then nearest({field}, 0.01) end",
        "level": f"level({field})",
        "p": f"case when answers_grid is null then level({field})"
        f" else level_of_shown({estimate_shown}, {error_shown}) end",
        "other_p": f"case when answers_grid is null then level({field}) end",
        "withheld": "null",
        "shown": field,
    }
    counts = {
        "count": shown_by_count,
        "stars": f"case when is_shown and answers_grid is null then {field} else '' end",
        "clauses": f"nullif(array_to_string(list_filter(string_split({field}, '; '),"
        f" lambda clause: regexp_matches(clause, {sql.text(derived.clauses)})), '; '), '')",
        "received_name": f"case when is_synthetic then {field} else file_id end",
        "rows": f"rounded(scope, {field})",
        "rows_left": f"rounded(scope, {field})",
        "rows_all": f"rounded(scope, {of.get('rows_left')}) + rounded(scope, {of.get('rows')})",
    }
    shown = (
        counts.get(kind) or f"case when is_shown and not ({derived.withheld_where}) then {figures[kind]} end"
    )
    return shown if derived.where == "true" else f"case when {derived.where} then {shown} else {field} end"
