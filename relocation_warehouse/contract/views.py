"""Views of the build, as the published database holds them.

A published file is opened under any name, so its views must not name the database that they were written in, and they
may read only tables that are published beside them. Belongs here: reading and rewriting a view's text. Does not belong
here: what a view says (dbt's models).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import duckdb
import sqlglot
from sqlglot import exp

from relocation_warehouse.contract.tables import Table
from relocation_warehouse.ground import sql


@dataclass(frozen=True)
class View:
    """A view's query without the name of a database, and the tables that it reads as `schema.table`."""

    query: str
    reads: tuple[str, ...]


def view_of(con: duckdb.DuckDBPyConnection, table: Table) -> View:
    """Read a view of the attached database `build`.

    Parameters
    ----------
    con
        Connection that has it attached.
    table
        The published table that stays a view.

    Raises
    ------
    LookupError
        If the build has no such view.
    """
    row = con.execute(
        "select sql from duckdb_views() where database_name = 'build' and schema_name = ? and view_name = ?",
        [table.schema, table.name],
    ).fetchone()
    if row is None:
        raise LookupError(f"{table.full_name} is no view in the build")
    return _parsed(row[0])


@cache
def _parsed(text: str) -> View:
    """The audit and the publication ask for the same views, and the long ones take long to parse."""
    query = sqlglot.parse_one(text, read="duckdb").expression
    own = {cte.alias for cte in query.find_all(exp.CTE)}
    reads = set()
    for source in query.find_all(exp.Table):
        if source.db or source.name not in own:
            source.set("catalog", None)
            reads.add(f"{source.db}.{source.name}")
    return View(query.sql("duckdb"), tuple(sorted(reads)))


def create_view(con: duckdb.DuckDBPyConnection, table: Table, view: View) -> None:
    """Create the view in the attached database `published`, in which the tables that it reads are."""
    target = sql.identifier("published", table.schema, table.name)
    names = ", ".join(map(sql.identifier, table.column_names))
    con.execute(f"create view {target} as select {names} from ({view.query})")
