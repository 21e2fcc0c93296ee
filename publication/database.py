"""The published DuckDB file and what can be said about its contents.

Belongs here: writing the file from a build, and checksums of its tables. Does not belong here: other file formats
(`files`) and where the file ends up (`publish`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from publication import sql
from publication.audit import AuditCheck
from publication.pseudonyms import HOUSEHOLD, pseudonymous, require_key, write_pseudonyms
from publication.tables import Column, Contract, Table

STORAGE_VERSION = "v1.0.0"
"""Every DuckDB since 1.0 opens this format; the default of a newer library shuts older readers out."""

CHECKS = "quality.checks"


@dataclass(frozen=True)
class TableContent:
    """How many rows a table has and a checksum of what they say.

    The checksum does not depend on the order of rows, the file format or the library version; numbers enter with
    ten significant digits, because the last bits of a sum depend on the order in which threads add.
    """

    rows: int
    checksum: str


@contextmanager
def read_only(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Connection that reads `database` and can write nothing."""
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH {sql.text(str(database))} AS warehouse (READ_ONLY)")
        con.execute("USE warehouse")
        yield con


def write_database(
    build: Path, out: Path, contract: Contract, checks: Iterable[AuditCheck] = (), key: bytes | None = None
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

    Raises
    ------
    MissingKeyError
        If a survey is real and there is no key.
    duckdb.Error
        If the build does not hold what the contract says; audit it first.
    """
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH {sql.text(str(build))} AS build (READ_ONLY)")
        con.execute(f"ATTACH {sql.text(str(out))} AS published (STORAGE_VERSION {sql.text(STORAGE_VERSION)})")
        require_key(con, key)
        if key is not None:
            write_pseudonyms(con, contract, key)
        for schema in contract.schemas:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {sql.name('published', schema)}")
        for table in contract:
            _create(con, table, is_pseudonymous=key is not None)
        con.execute("BEGIN")  # a commit each would wait for the disk a thousand times
        for table in contract:
            _comment(con, table)
            if table.full_name == CHECKS:
                _add_checks(con, table, checks)
        con.execute("COMMIT")
        con.execute("CHECKPOINT published")
        con.execute("DETACH published")


def _create(con: duckdb.DuckDBPyConnection, table: Table, is_pseudonymous: bool) -> None:
    target = sql.name("published", table.schema, table.name)
    source = sql.name("build", table.schema, table.name)
    if is_pseudonymous and HOUSEHOLD in table.column_names:
        source = pseudonymous(table, source)
    columns = ", ".join(
        f"{sql.name(c.name)} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in table.columns
    )
    names = ", ".join(map(sql.name, table.column_names))
    con.execute(f"CREATE TABLE {target} ({columns})")
    con.execute(f"INSERT INTO {target} SELECT {names} FROM {source} ORDER BY {_order(table)}")


def _comment(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    target = sql.name("published", table.schema, table.name)
    con.execute(f"COMMENT ON TABLE {target} IS {sql.text(comment(table))}")
    for column in table.columns:
        con.execute(
            f"COMMENT ON COLUMN {target}.{sql.name(column.name)} IS {sql.text(column_comment(column))}"
        )


def _order(table: Table) -> str:
    return ", ".join(map(sql.name, table.key))


def _add_checks(con: duckdb.DuckDBPyConnection, table: Table, checks: Iterable[AuditCheck]) -> None:
    target = sql.name("published", table.schema, table.name)
    rows = [
        {
            "source": "audit",
            "check": c.check,
            "table": c.table,
            "status": c.status,
            "severity": c.severity,
            "n_failed": c.n_failed,
            "message": c.message,
        }
        for c in checks
    ]
    if rows:
        names = table.column_names
        con.execute(f"DELETE FROM {target} WHERE source = 'audit'")
        con.executemany(
            f"INSERT INTO {target} ({', '.join(map(sql.name, names))}) VALUES ({', '.join('?' * len(names))})",
            [[row[n] for n in names] for row in rows],
        )


def comment(table: Table) -> str:
    """Comment on a table in both languages."""
    return f"{table.description.en} | {table.description.zh}"


def column_comment(column: Column) -> str:
    """Comment on a column in both languages, with its unit."""
    unit = f" [{column.unit}]" if column.unit else ""
    return f"{column.en}{unit} | {column.zh}"


def contents(con: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, TableContent]:
    """Row counts and checksums of all tables of an open published database."""
    return {table.full_name: _content(con, table) for table in contract}


def _content(con: duckdb.DuckDBPyConnection, table: Table) -> TableContent:
    fields = ", ".join(_text_of(c) for c in table.columns if not c.volatile)
    row = con.execute(
        f"SELECT count(*), bit_xor(md5_number(concat_ws(chr(31), {fields})))"
        f" FROM {sql.name(table.schema, table.name)}"
    ).fetchone()
    assert row is not None
    return TableContent(rows=row[0], checksum=f"{row[1] or 0:032x}")


def _text_of(column: Column) -> str:
    """SQL for a column as text: the same on every machine, a missing value unlike every text."""
    field = sql.name(column.name)
    # adding zero turns -0.0 into 0.0
    as_text = f"format('{{:.9e}}', {field} + 0.0)" if column.type == "DOUBLE" else f"{field}::VARCHAR"
    return f"coalesce({as_text}, chr(30))"
