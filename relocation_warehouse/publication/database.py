"""The published DuckDB file and what can be said about its contents.

Rows lie sorted by survey, wave and then the rest of the key. A wide table of millions of households is not sorted as a
whole, which would move it through the disk: it is copied wave by wave, and a wave that lies in order is not sorted.

Belongs here: writing the file from a build, and checksums of its tables. Does not belong here: other file formats
(`files`) and where the file ends up (`publish`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from relocation_warehouse.contract.macros import create_macros, macros_of
from relocation_warehouse.contract.tables import Column, Contract, Table
from relocation_warehouse.contract.views import create_view, view_of
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.database import row_digests
from relocation_warehouse.ground.kept import code_of, digest_of
from relocation_warehouse.publication.audit import AuditCheck
from relocation_warehouse.publication.grown import Grown
from relocation_warehouse.publication.key import fingerprint
from relocation_warehouse.publication.pseudonyms import HOUSEHOLD, pseudonymous, require_key, write_pseudonyms
from relocation_warehouse.publication.withholding import Withheld, published_rows
from relocation_warehouse.survey.vocabulary import Label

STORAGE_VERSION = "v1.0.0"
"""Every DuckDB since 1.0 opens this format; the default of a newer library shuts older readers out."""

CHECKS = "quality.checks"
LOADS = "quality.loads"

CODE = code_of("relocation_warehouse.publication.database")
"""Digest of the code that writes a file."""

REMEMBERED = "remembered.households"
"""Table of a build of the public edition that says of whom it was made."""

REFUSED = "the survey was refused; `warehouse status` says why, to whoever keeps the warehouse"
"""Message of a refused real survey."""

PART = ("survey_id", "wave")
"""Columns of the key that rows are sorted by first, and that tables of households are copied by."""

WRITERS = 2
"""Surveys and waves of a table that are written side by side."""

MEMORY_LIMIT = "1GB"
"""What DuckDB may hold while it writes before it spills to disk: a tenth slower than with twice as much."""

READING_LIMIT = "3GB"
"""The same while it reads: a COPY in order keeps to one thread unless it may hold some MB for each column."""

PRECISION = 2.0**20 + 1.0
"""Veltkamp's constant: x * PRECISION - (x * PRECISION - x) is x rounded to 33 bits, ten significant digits."""


@dataclass(frozen=True)
class TableContent:
    """How many rows a table has and a checksum of what they say.

    The checksum does not depend on the order of rows or the file format. It is made of DuckDB's own hashes, so it
    compares versions published with the same library, which the manifest names. Numbers enter with ten significant
    digits, because the last bits of a sum depend on the order in which threads add.
    """

    rows: int
    checksum: str


@contextmanager
def read_only(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connection that reads `database` and can write nothing."""
    with duckdb.connect(
        ":memory:", config={"memory_limit": READING_LIMIT, "temp_directory": f"{database}.tmp"}
    ) as con:
        con.execute(sql.WITHOUT_WAITING)
        con.execute(f"attach {sql.text(str(database))} as warehouse (read_only)")
        con.execute("USE warehouse")
        yield con


def write_database(
    build: Path,
    out: Path,
    contract: Contract,
    checks: Sequence[AuditCheck] = (),
    key: bytes | None = None,
    *,
    is_pseudonymous: bool = False,
    withheld: Sequence[Withheld] = (),
    grown: Grown | None = None,
) -> None:
    """Copy the published tables of a build into a new file: described columns, sorted by key, commented.

    Parameters
    ----------
    build
        Build database; opened read-only.
    out
        File to create, in storage version `STORAGE_VERSION`, without a write-ahead log beside it.
    contract
        Tables to copy.
    checks
        Results of the audit, added to the table of checks.
    key
        Secret that turns household ids into pseudonyms; None leaves them.
    is_pseudonymous
        Whether the build was made from a published edition, whose households have their pseudonyms already.
    withheld
        What real surveys do not publish of single households.
    grown
        The database before, whose tables stay that would say the same; None writes all of them.

    Raises
    ------
    MissingKeyError
        If a survey is real, its households have no pseudonyms yet and there is no key.
    duckdb.Error
        If the build does not hold what the contract says; audit it first.
    """
    with duckdb.connect(
        ":memory:", config={"memory_limit": MEMORY_LIMIT, "temp_directory": f"{out}.tmp"}
    ) as con:
        con.execute(f"attach {sql.text(str(build))} as build (read_only)")
        if not is_pseudonymous:
            require_key(con, key)
        if key is not None:
            write_pseudonyms(con, contract, key)
        _register_checks(con, checks)
        stay: frozenset[str] | None = None
        if grown is not None:
            made_by, made_from = _made_from(
                con, contract, checks, key and fingerprint(key), withheld, is_pseudonymous
            )
            stay = grown.begun(out, made_by, made_from)
        con.execute(f"attach {sql.text(str(out))} as published (STORAGE_VERSION {sql.text(STORAGE_VERSION)})")
        anew = [table for table in contract if table.full_name not in (stay or ())]
        con.begin()  # a commit each would wait for the disk a thousand times
        for schema in contract.schemas:
            con.execute(f"create schema if not exists {sql.identifier('published', schema)}")
        for table in anew:
            if not table.is_view:
                _create(con, table)
        for table in anew:
            if table.is_view:
                create_view(con, table, view_of(con, table))
            _comment(con, table)
        if stay is None:
            create_macros(con, "published", contract)
        con.commit()
        in_parts = []
        con.begin()
        for table in anew:
            if not table.is_view:
                source = _source(table, withheld, makes_pseudonyms=key is not None)
                parts = _parts(con, table)
                if len(parts) == 1:
                    _insert(con, table, source, parts[0])
                else:
                    in_parts.append((table, source, parts))
        con.commit()
        for table, source, parts in in_parts:
            _insert_side_by_side(con, table, source, parts)
        con.execute("checkpoint published")
        con.execute("detach published")
    if grown is not None:
        grown.remember(out)


def _made_from(
    con: duckdb.DuckDBPyConnection, contract: Contract, checks: Sequence[AuditCheck], *how: object
) -> tuple[str, dict[str, str]]:
    """Digests of what a whole file follows from, with all that shows a household, and of what else each table does."""
    of_households = {
        t.full_name
        for t in contract
        if HOUSEHOLD in t.column_names or any(c.quotes_household for c in t.columns)
    }
    tables = {t.full_name for t in contract if not t.is_view} | {REMEMBERED}
    rows = row_digests(con, {f"build.{name}": None for name in tables})
    rows["build." + CHECKS] = digest_of(rows.get("build." + CHECKS), [asdict(c) for c in checks])
    views = con.execute(
        "select schema_name, view_name, sql from duckdb_views() where database_name = 'build' order by all"
    ).fetchall()
    macros = [(m.comment, m.statement) for m in macros_of(contract)]
    whole = {name: rows[f"build.{name}"] for name in {*of_households, REMEMBERED} & tables}
    made_by = digest_of(CODE, repr(contract), repr(views), macros, repr(how), whole)
    return made_by, {t.full_name: rows.get(f"build.{t.full_name}", "") for t in contract}


def _create(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    target = sql.identifier("published", table.schema, table.name)
    columns = ", ".join(
        f"{sql.identifier(c.name)} {c.type}{'' if c.nullable else ' not null'}" for c in table.columns
    )
    con.execute(f"drop table if exists {target}")
    con.execute(f"create table {target} ({columns})")


def _in_build(table: Table) -> str:
    return sql.identifier("build", table.schema, table.name)


def _source(table: Table, withheld: Sequence[Withheld], makes_pseudonyms: bool) -> str:
    """SQL of the rows of a table as they are published."""
    build = _in_build(table)
    if table.full_name == CHECKS:
        build = f"(from {build} where source <> 'audit' union all by name from audit_checks)"
    if table.full_name == LOADS:
        # the reason may quote the correction of an answer, with its household; whoever keeps the warehouse reads it
        told = (
            f"case when is_synthetic or message is null then message else {sql.text(REFUSED)} end as message"
        )
        build = f"(select * replace ({told}) from {build})"
    source = published_rows(table, build, withheld)
    if makes_pseudonyms and HOUSEHOLD in table.column_names:
        source = pseudonymous(table, source)
    return source


def _insert(con: duckdb.DuckDBPyConnection, table: Table, source: str, part: str) -> None:
    names = dict(zip(table.column_names, map(sql.identifier, table.column_names), strict=True))
    rows = f"{source} {part}"
    if not (source == _in_build(table) and _is_sorted(con, table, rows)):
        held = _held(con, table, f"{_in_build(table)} {part}") if part else {*names}
        sorted_ = ", ".join(field for name, field in names.items() if name in held)
        rows = f"(select {sorted_} from {rows} order by {sort_order(table)})"
        names |= dict.fromkeys({*names} - held, "null")
    target = sql.identifier("published", table.schema, table.name)
    con.execute(f"insert into {target} select {', '.join(names.values())} from {rows}")


def _held(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> set[str]:
    """Columns in which any of the rows has a value: a survey asks a third of them, and each costs when it is sorted.

    Neither what is withheld nor a pseudonym gives a value to a row that has none.
    """
    counts = ", ".join(f"count({sql.identifier(name)})" for name in table.column_names)
    answered = con.execute(f"select {counts} from {rows}").fetchone() or ()
    return {name for name, n in zip(table.column_names, answered, strict=True) if n}


def _insert_side_by_side(
    con: duckdb.DuckDBPyConnection, table: Table, source: str, parts: Iterable[str]
) -> None:
    """Insert parts side by side, each in a transaction of its own, and commit them in their order.

    DuckDB compresses the rows of one insertion on one processor.
    """

    def run(part: str, before: Future[None] | None) -> None:
        with con.cursor() as cursor:
            cursor.begin()
            _insert(cursor, table, source, part)
            if before is not None:
                before.result()
            cursor.commit()

    with ThreadPoolExecutor(WRITERS) as pool:
        last: Future[None] | None = None
        for part in parts:
            # those before it were started before it, so that none waits for one that cannot start
            last = pool.submit(run, part, last)
        if last is not None:
            last.result()


def _parts(con: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Conditions that cut a table of households into its surveys and waves, in order; other tables stay whole."""
    if not {*PART, HOUSEHOLD} <= {*table.key}:
        return [""]
    fields = ", ".join(PART)
    parts = con.execute(f"select distinct {fields} from {_in_build(table)} order by {fields}").fetchall()
    return [
        "where "
        + " and ".join(f"{field} = {sql.text(value)}" for field, value in zip(PART, part, strict=True))
        for part in parts
    ]


def _is_sorted(con: duckdb.DuckDBPyConnection, table: Table, rows: str) -> bool:
    """Whether rows lie in order, found in one pass over the key."""
    key = f"({sort_order(table)})"
    row = con.execute(
        f"select coalesce(bool_and(is_next), true) from (select {key} >= lag({key}) over () as is_next from {rows})"
    ).fetchone()
    return bool(row and row[0])


def _comment(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    target = sql.identifier("published", table.schema, table.name)
    kind = "VIEW" if table.is_view else "TABLE"
    con.execute(f"comment on {kind} {target} is {sql.text(comment(table))}")
    for column in table.columns:
        con.execute(
            f"comment on column {target}.{sql.identifier(column.name)} is {sql.text(column_comment(table, column))}"
        )


def sort_order(table: Table) -> str:
    """SQL of the order of rows: the key, survey and wave first."""
    first = PART if {*PART} <= {*table.key} else ()
    return ", ".join(map(sql.identifier, dict.fromkeys((*first, *table.key))))


def _register_checks(con: duckdb.DuckDBPyConnection, checks: Iterable[AuditCheck]) -> None:
    """Let SQL read the results of the audit as the relation `audit_checks`."""
    schema = pa.schema(
        [
            (name, pa.int64() if name == "n_failed" else pa.string())
            for name in AuditCheck.__dataclass_fields__
        ]
    )
    rows = pa.Table.from_pylist([asdict(c) for c in checks], schema=schema)
    con.register("audit_checks", rows.append_column("source", pa.array(["audit"] * len(rows), pa.string())))


LOOKUPS = Label(en=". Codes: ", zh="；编码见 ")
"""What stands in the comment on a column before the tables that explain its codes."""


def comment(table: Table) -> str:
    """Comment on a table in both languages."""
    return f"{table.description.en} | {table.description.zh}"


def column_comment(table: Table, column: Column) -> str:
    """Comment on a column in both languages, with its unit and the tables that explain its codes."""
    unit = f" [{column.unit}]" if column.unit else ""
    lookups = ", ".join(table.lookups.get(column.name, ()))
    en, zh = (f"{before}{lookups}" if lookups else "" for before in (LOOKUPS.en, LOOKUPS.zh))
    return f"{column.en}{unit}{en} | {column.zh}{zh}"


def contents(con: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, TableContent]:
    """Row counts and checksums of all tables of an open published database; what views say follows from them."""
    return {table.full_name: _content(con, table) for table in contract if not table.is_view}


def _content(con: duckdb.DuckDBPyConnection, table: Table) -> TableContent:
    fields = ", ".join(_hashed(c) for c in table.columns if not c.volatile)
    row = con.execute(
        f"select count(*), bit_xor(hash({fields})) from {sql.identifier(table.schema, table.name)}"
    ).fetchone()
    assert row is not None
    return TableContent(rows=row[0], checksum=f"{row[1] or 0:016x}")


def _hashed(column: Column) -> str:
    """SQL of what of a column enters the checksum."""
    field = sql.identifier(column.name)
    if column.type != "DOUBLE":
        return field
    # adding zero turns -0.0 into 0.0
    return f"{field} * {PRECISION!r} - ({field} * {PRECISION!r} - {field}) + 0.0"
