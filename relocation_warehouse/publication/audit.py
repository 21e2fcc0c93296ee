"""Checks that stand between a finished build and its publication.

Belongs here: what must hold of the published tables whatever the surveys are; each check is one SQL question.
Does not belong here: checks of one survey or indicator (those are expectations and dbt tests) and publishing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import duckdb

from relocation_warehouse.contract.anonymity import Linked, standing_out
from relocation_warehouse.contract.rules import Rule, rules_of
from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.contract.views import view_of
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.publication.withholding import Withheld, published_rows
from relocation_warehouse.survey.catalog import load_catalog

SURVEYS = "reference.surveys"
INDICATORS = "reference.indicators"
COVERAGE = "harmonized.coverage"
LOADS = "quality.loads"
HOUSEHOLDS = "harmonized.households"
REASONS = "harmonized.missing_reasons"


@dataclass(frozen=True)
class AuditCheck:
    """Result of one check of one table.

    Attributes
    ----------
    status
        `passed` or `failed`.
    severity
        `error` refuses the publication, `warning` is only shown.
    n_failed
        Rows, columns or groups that failed.
    """

    check: str
    table: str
    status: str
    severity: str
    n_failed: int
    message: str


@dataclass(frozen=True)
class AuditResult:
    """All checks of one build, and what its real surveys withhold when it is published."""

    checks: tuple[AuditCheck, ...]
    withheld: tuple[Withheld, ...] = ()

    @property
    def errors(self) -> tuple[AuditCheck, ...]:
        """Failed checks that refuse a publication."""
        return tuple(c for c in self.checks if c.status == "failed" and c.severity == "error")

    @property
    def is_passed(self) -> bool:
        """True where nothing refuses a publication."""
        return not self.errors


def audit(
    build: Path, contract: Contract, withheld: Sequence[Withheld] = (), *, fewest_alike: int | None = None
) -> AuditResult:
    """Check a build database against the contract.

    Parameters
    ----------
    build
        The DuckDB file that was built; opened read-only.
    contract
        What must be in it.
    withheld
        What real surveys do not publish of single households, as `withholding.plan` chose it.
    fewest_alike
        Households that must share their quasi-identifiers; by default that of `gates.yml`.

    Returns
    -------
    AuditResult
        One check for every rule and table, in the order of the contract.
    """
    if fewest_alike is None:
        fewest_alike = load_catalog(Paths.from_environment().catalog).gates.fewest_alike
    with duckdb.connect(":memory:") as con:
        con.execute(f"attach {sql.text(str(build))} as build (read_only)")
        con.execute("USE build")
        columns = _columns(con)
        checks = list(_undeclared(contract, columns))
        sound = set()
        for table in contract:
            drift = _drift(table, columns.get(table.full_name))
            checks.append(drift)
            if drift.status == "passed":
                sound.add(table.full_name)
        for table in contract:
            if table.is_view:
                checks.append(_view(con, table, contract))
            elif table.full_name in sound:
                checks += _contents(con, table)
                checks += _references(con, table, sound)
                checks += _each_survey(con, table, sound)
        checks += _loads(con, sound)
        checks += _coverage(con, sound)
        checks += _quasi_identifiers(con, contract, sound, withheld, fewest_alike)
    return AuditResult(tuple(checks), tuple(withheld))


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Types of the columns of every table and view: table -> column -> type."""
    by_table: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in con.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns()"
        " where database_name = 'build' and not internal order by all"
    ).fetchall():
        by_table.setdefault(f"{schema}.{table}", {})[column] = kind
    return by_table


def _check(
    check: str, table: str, n_failed: int, message: str, severity: str = "error", passed: str = ""
) -> AuditCheck:
    return AuditCheck(
        check, table, "failed" if n_failed else "passed", severity, n_failed, message if n_failed else passed
    )


def _undeclared(contract: Contract, by_table: dict[str, dict[str, str]]) -> Iterator[AuditCheck]:
    """Every table of a published schema is described in the contract."""
    known = {t.full_name for t in contract}
    for schema in contract.schemas:
        extra = sorted(t for t in by_table if t.startswith(f"{schema}.") and t not in known)
        yield _check("schema_is_described", schema, len(extra), f"not in tables.yml: {', '.join(extra)}")


def _drift(table: Table, columns: dict[str, str] | None) -> AuditCheck:
    """The table exists, with exactly the columns and types described."""
    if columns is None:
        return _check("columns_as_described", table.full_name, 1, "the table is missing")
    described = {c.name: c.type for c in table.columns}
    problems = [f"{c} is missing" for c in described if c not in columns]
    problems += [f"{c} is not in tables.yml" for c in columns if c not in described]
    problems += [
        f"{c} is {columns[c]}, described as {kind}"
        for c, kind in described.items()
        if c in columns and columns[c] != kind
    ]
    return _check("columns_as_described", table.full_name, len(problems), "; ".join(problems))


def _contents(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[AuditCheck]:
    """Rules of the columns and the key.

    Ends of the values and a hash of the key say in one quick pass where something may be wrong; bad rows are counted
    only there.
    """
    relation = sql.identifier(table.schema, table.name)
    rules = [rule for column in table.columns for rule in rules_of(column)]
    key = ", ".join(map(sql.identifier, table.key))
    suspicions = (f"coalesce({rule.suspicion}, false)" for rule in rules)
    n_rows, *is_suspect = _row(con, f"select {', '.join(['count(*)', *suspicions])} from {relation}")
    yield _check(
        "table_has_rows", table.full_name, int(n_rows == 0), "the table is empty", "warning", f"{n_rows} rows"
    )
    suspects = [rule for rule, is_one in zip(rules, is_suspect, strict=True) if is_one]
    counts = ", ".join(f"count(*) filter (where {rule.bad})" for rule in suspects)
    n_bad = _row(con, f"select {counts} from {relation}") if suspects else ()
    for check in dict.fromkeys(rule.check for rule in rules):
        hits = [(n, rule) for rule, n in zip(suspects, n_bad, strict=True) if rule.check == check and n]
        message = "; ".join(f"{rule.message} in {n} rows{_where(con, table, rule)}" for n, rule in hits)
        yield _check(check, table.full_name, sum(n for n, _ in hits), message)
    (n_keys,) = _row(con, f"select count(distinct hash({key})) from {relation}")
    groups = (
        con.execute(
            f"select {key}, count(*) from {relation} group by {key} having count(*) > 1 order by all"
        ).fetchall()
        if n_keys < n_rows
        else []
    )
    message = f"several rows for {'; '.join(_place(table.key, g) for g in groups[:3])}"
    yield _check("key_is_unique", table.full_name, len(groups), message)


def _where(con: duckdb.DuckDBPyConnection, table: Table, rule: Rule) -> str:
    """In brackets: survey, wave and indicator of the rows that break a rule, where the table has them."""
    columns = [c for c in ("survey_id", "wave", "indicator_id") if c in table.column_names]
    if not columns:
        return ""
    listed = ", ".join(map(sql.identifier, columns))
    places = con.execute(
        f"select {listed} from {sql.identifier(table.schema, table.name)} where {rule.bad} group by all order by all"
    ).fetchall()
    named = "; ".join(_place(columns, place) for place in places[:3])
    return f" ({named}{'' if len(places) <= 3 else f' and {len(places) - 3} more'})"


def _view(con: duckdb.DuckDBPyConnection, table: Table, contract: Contract) -> AuditCheck:
    """A view reads only published tables, and views described before it, so its rows follow from audited ones."""
    tables = {t.full_name for t in contract if not t.is_view}
    tables |= {t.full_name for t in takewhile(lambda t: t is not table, contract)}
    try:
        others = [name for name in view_of(con, table).reads if name not in tables]
        message = f"a published view reads published tables only, not {', '.join(others)}"
    except LookupError as error:
        others, message = [table.full_name], str(error)
    return _check("view_reads_published_tables", table.full_name, len(others), message)


def _references(con: duckdb.DuckDBPyConnection, table: Table, sound: set[str]) -> Iterator[AuditCheck]:
    for column, target in table.references.items():
        if target not in sound:
            continue
        field = sql.identifier(column)
        absent = con.execute(
            f"select {field}, n from (select {field}, count(*) as n from {sql.identifier(table.schema, table.name)}"
            f" group by {field}) where {field} not in (select {field} from {sql.identifier(*target.split('.'))})"
            " order by all"
        ).fetchall()
        yield _check(
            f"{column}_is_known",
            table.full_name,
            sum(n for _, n in absent),
            f"not in {target}: {', '.join(str(v) for v, _ in absent[:5])}",
        )


def _each_survey(con: duckdb.DuckDBPyConnection, table: Table, sound: set[str]) -> Iterator[AuditCheck]:
    """No empty mart for an accepted survey that has something to say about it."""
    if table.each_survey is None or not {SURVEYS, COVERAGE, INDICATORS} <= sound:
        return
    asked = ""
    if table.each_survey != "all":
        asked = (
            f" and survey_id in (select survey_id from {COVERAGE} join {INDICATORS} using (indicator_id)"
            f" where n > 0 and system = {sql.text(table.each_survey)})"
        )
    absent = con.execute(
        f"select survey_id from {SURVEYS} where status = 'accepted'{asked}"
        f" and survey_id not in (select distinct survey_id from {sql.identifier(table.schema, table.name)})"
        " order by all"
    ).fetchall()
    surveys = ", ".join(s for (s,) in absent)
    yield _check("each_survey_has_rows", table.full_name, len(absent), f"no row for {surveys}")


def _loads(con: duckdb.DuckDBPyConnection, sound: set[str]) -> Iterator[AuditCheck]:
    if LOADS not in sound:
        return
    bad = con.execute(
        f"select survey_id, file_id from {LOADS} where received <> accepted + quarantined order by all"
    ).fetchall()
    places = ", ".join(f"{s} {f}" for s, f in bad)
    yield _check("rows_balance", LOADS, len(bad), f"received is not accepted + quarantined for {places}")
    refused = con.execute(
        f"select distinct survey_id from {LOADS} where status = 'refused' order by all"
    ).fetchall()
    surveys = ", ".join(s for (s,) in refused)
    yield _check("survey_is_accepted", LOADS, len(refused), f"refused: {surveys}", "warning")


def _coverage(con: duckdb.DuckDBPyConnection, sound: set[str]) -> Iterator[AuditCheck]:
    """Coverage has a row for every accepted survey, each of its waves and each indicator, and adds up."""
    if not {SURVEYS, INDICATORS, COVERAGE} <= sound:
        return
    absent = con.execute(
        f"""
        select survey_id, wave, indicator_id
        from (select survey_id, unnest(string_split(waves, ' ')) as wave from {SURVEYS} where status = 'accepted')
        cross join (select indicator_id from {INDICATORS})
        anti join {COVERAGE} using (survey_id, wave, indicator_id) order by all
        """
    ).fetchall()
    places = "; ".join(" ".join(row) for row in absent[:3])
    yield _check("coverage_is_complete", COVERAGE, len(absent), f"no row for {places}")
    (uneven,) = _row(
        con,
        f"""
        select count(*) from {COVERAGE}
        where n_missing <> n_not_asked + n_not_applicable + n_refused + n_dont_know + n_blank + n_out_of_range
            + n_not_shared
        """,
    )
    message = "n_missing is not the sum of its reasons"
    yield _check("missing_reasons_add_up", COVERAGE, uneven, message)


def _quasi_identifiers(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    sound: set[str],
    withheld: Sequence[Withheld],
    fewest_alike: int,
) -> Iterator[AuditCheck]:
    """No household stands out by its sites and quasi-identifiers of all waves together, and why one is missing.

    A pseudonym does not hide a household that neighbours recognise by size, age and ethnicity. Real surveys are taken
    as they will be published, and refused with such households; made-up ones show that the check sees them.
    """
    if not {SURVEYS, INDICATORS, HOUSEHOLDS} <= sound:
        return
    sensitive = con.execute(
        f"select indicator_id from {INDICATORS} where is_sensitive order by all"
    ).fetchall()
    columns = [c for (c,) in sensitive if c in contract[HOUSEHOLDS].column_names]
    if not columns:
        return
    linked = []
    if REASONS in sound:
        published = published_rows(contract[REASONS], REASONS, withheld)
        reasons = f"(select * from {published} where indicator_id in ({sql.texts(columns)}))"
        linked.append(Linked(reasons, ("wave", "indicator_id", "missing_reason")))
    made_up = {
        row[0] for row in con.execute(f"select survey_id from {SURVEYS} where is_synthetic").fetchall()
    }
    households = published_rows(contract[HOUSEHOLDS], HOUSEHOLDS, withheld)
    hidden = {w.survey_id for w in withheld if w.is_everything}
    few = [
        s for s in standing_out(con, households, columns, fewest_alike, linked) if s.survey_id not in hidden
    ]
    for is_made_up, kind, severity in ((True, "made_up", "warning"), (False, "real", "error")):
        standing_out_here = [s for s in few if (s.survey_id in made_up) == is_made_up]
        shares = "; ".join(f"{s.survey_id} {s.n} of {s.n_households} households" for s in standing_out_here)
        yield _check(
            f"{kind}_households_do_not_stand_out",
            HOUSEHOLDS,
            sum(s.n for s in standing_out_here),
            f"fewer than {fewest_alike} households share site, {', '.join(columns)} of all waves: {shares}. For a"
            " real survey, share fewer of these indicators (rule asked_not_shared in its crosswalk) or wider bands",
            severity,
            "" if is_made_up else "; ".join(map(str, withheld)),
        )


def _row(con: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = con.execute(query).fetchone()
    assert row is not None
    return tuple(int(n) for n in row)


def _place(key: Sequence[str], row: Sequence[object]) -> str:
    return ", ".join(f"{k}={v}" for k, v in zip(key, row, strict=False))
