"""The build database: opened for one task and closed again, so that dbt and Python never hold it at once.

Opening it costs more than many tasks, so one that others like it follow may hold it: it stays open until a task of
another kind opens it, or until `let_go`.

Belongs here: connections and the small helpers every writer needs. Does not belong here: SQL of a mart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from relocation_warehouse.ground.sql import WITHOUT_WAITING
from relocation_warehouse.ground.sql import identifier as quoted

__all__ = [
    "MEMORY_LIMIT", "SCHEMAS", "add_rows", "connect", "let_go", "quoted", "table_exists", "write_table",
]  # fmt: skip

SCHEMAS = ("raw", "reference", "staging", "harmonized", "capital", "integration", "analysis", "quality")

MEMORY_LIMIT = "2GB"
"""What DuckDB may hold before it spills to disk; leaves room for the batches of a reader within 3 GB."""


_HELD: dict[Path, duckdb.DuckDBPyConnection] = {}
"""Databases that tasks of this process hold."""


def let_go() -> None:
    """Close what is held."""
    while _HELD:
        _HELD.popitem()[1].close()


@contextmanager
def connect(
    path: Path, read_only: bool = False, *, hold: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the build database for the length of a `with` block.

    Parameters
    ----------
    path
        The database file; created with its schemas when writing.
    read_only
        Open without a write lock.
    hold
        Stay open for the next task that holds it too.
    """
    if not hold or path not in _HELD:
        let_go()
    is_new = path not in _HELD
    con = _opened(path, read_only) if is_new else _HELD[path]
    if hold:
        _HELD[path] = con
        con = con.cursor()
    try:
        con.execute(f"set preserve_insertion_order = true; set timezone = 'UTC'; {WITHOUT_WAITING}")
        if not read_only and is_new:
            for schema in SCHEMAS:
                con.execute(f"create schema if not exists {schema}")
        yield con
    finally:
        con.close()


def _opened(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(
        str(path),
        read_only=read_only,
        config={"autoinstall_known_extensions": "false", "memory_limit": MEMORY_LIMIT},
    )


def write_table(con: duckdb.DuckDBPyConnection, schema: str, name: str, table: pa.Table) -> int:
    """Replace `schema.name` by an Arrow table in one transaction; returns its number of rows."""
    target = f"{quoted(schema)}.{quoted(name)}"
    con.register("incoming", table)
    try:
        con.execute(f"create or replace table {target} as select * from incoming")
    finally:
        con.unregister("incoming")
    return int(table.num_rows)


def drop_view(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> None:
    """Remove a view where there is one; a table of the name stays."""
    row = con.execute(
        "select 1 from duckdb_views() where schema_name = ? and view_name = ?", [schema, name]
    ).fetchone()
    if row:
        con.execute(f"drop view {quoted(schema)}.{quoted(name)}")


def table_exists(con: duckdb.DuckDBPyConnection, schema: str, name: str, *, with_views: bool = True) -> bool:
    """Whether a table is there, or a view where these count."""
    row = con.execute(
        "select count(*) from information_schema.tables where table_schema = ? and table_name = ? "
        "and (? or table_type <> 'VIEW')",
        [schema, name, with_views],
    ).fetchone()
    return bool(row and row[0])


def add_rows(
    con: duckdb.DuckDBPyConnection, schema: str, name: str, rows: pa.Table, **instead_of: str
) -> None:
    """Add rows to a table, creating it where it does not exist yet, and a column that an earlier version did not have.

    Parameters
    ----------
    con
        A writing connection.
    schema, name
        The table.
    rows
        The rows to add.
    instead_of
        Columns and their values: rows with one of these are deleted before, in the same transaction.
    """
    target = f"{quoted(schema)}.{quoted(name)}"
    con.register("incoming", rows)
    con.begin()
    try:
        con.execute(f"create table if not exists {target} as select * from incoming limit 0")
        for column, kind, *_ in con.execute("describe incoming").fetchall():
            con.execute(f"alter table {target} add column if not exists {quoted(column)} {kind}")
        for column, value in instead_of.items():
            con.execute(f"delete from {target} where {quoted(column)} = ?", [value])
        con.execute(f"insert into {target} by name select * from incoming")
        con.commit()
    except duckdb.Error:
        con.rollback()
        raise
    finally:
        con.unregister("incoming")


def row_digests(
    con: duckdb.DuckDBPyConnection, tables: Mapping[str, frozenset[str] | None]
) -> dict[str, str]:
    """Digest of the rows of tables or views `schema.table`, whatever their order.

    Parameters
    ----------
    con
        A connection.
    tables
        Name -> columns in small letters that count, None for all.
    """
    digests: dict[str, str] = {}
    for name, read in sorted(tables.items()):
        target = quoted(*name.split("."))
        try:
            columns = [c[:2] for c in con.execute(f"describe {target}").fetchall()]
            columns = [c for c in columns if read is None or c[0].lower() in read]
            row = ", ".join(quoted(column) for column, _ in columns) or "0"
            sums = con.execute(
                f"select count(*), bit_xor(hash({row})), sum(hash({row})) from {target}"
            ).fetchone()
        except duckdb.CatalogException:
            digests[name] = "absent"
            continue
        digests[name] = repr((columns, sums))
    return digests
