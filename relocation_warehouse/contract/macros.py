"""Macros of SQL that every published file holds: `data/catalog/macros.sql`.

A macro reads tables of the file that it lies in, so an edition holds those whose tables it has. Belongs here: reading
the file, and writing macros into a database. Does not belong here: a macro.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

from relocation_warehouse.contract.tables import Contract, ContractError
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.paths import Paths

FILE = "macros.sql"
CREATE = "create macro "


@dataclass(frozen=True)
class Macro:
    """A macro: its name, what it is for, its statement, and the tables that it reads as `schema.table`."""

    name: str
    comment: str
    statement: str
    is_table: bool
    reads: frozenset[str]


def macros_of(contract: Contract, path: Path | None = None) -> Iterator[Macro]:
    """Macros all of whose tables a contract has, in the order of the file.

    Raises
    ------
    ContractError
        If a statement of the file makes no macro, or has no comment.
    """
    known = {table.full_name for table in contract}
    for macro in read_macros(path or Paths.from_environment().catalog / FILE):
        if macro.reads <= known:
            yield macro


def read_macros(path: Path) -> Iterator[Macro]:
    """Macros of a file, each with the comment that stands right above it.

    Raises
    ------
    ContractError
        If a statement of the file makes no macro, or has no comment.
    """
    for block in path.read_text(encoding="utf-8").split(";\n"):
        above, create, rest = block.partition(CREATE)
        said = above.rpartition("\n\n")[2].strip().splitlines()
        if not create or not said or not all(line.startswith("--") for line in said):
            if not block.strip():
                continue
            raise ContractError(f"{path.name}: expected a comment and a macro, found {block.strip()[:60]!r}")
        statement = create + rest
        made = sqlglot.parse_one(statement, read="duckdb")
        yield Macro(
            made.this.this.name,
            " ".join(line.removeprefix("--").strip() for line in said),
            statement,
            rest.partition("\n")[0].endswith(" as table"),
            frozenset(f"{t.db}.{t.name}" for t in made.find_all(exp.Table) if t.db),
        )


def create_macros(con: duckdb.DuckDBPyConnection, database: str, contract: Contract) -> None:
    """Write the macros of a contract into an attached database, with their comments."""
    con.execute(f"USE {sql.identifier(database)}")
    try:
        for macro in macros_of(contract):
            con.execute(macro.statement)
            kind = "MACRO TABLE" if macro.is_table else "MACRO"
            con.execute(f"comment on {kind} {sql.identifier(macro.name)} is {sql.text(macro.comment)}")
    finally:
        con.execute("USE memory")
