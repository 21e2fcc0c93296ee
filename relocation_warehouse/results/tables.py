"""Rows of results as tables of the contract: Arrow, or SQL where they are at household grain.

Belongs here: casting to the declared columns and types, and the refusal of rows that break names, keys or nulls.
Does not belong here: ranges and references, which the audit checks on the finished build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from relocation_warehouse.contract.tables import ARROW, Table, contract_of
from relocation_warehouse.ground.database import drop_view, quoted, write_table

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Computed:
    """A result that the database computes where the rows are: at household grain no row passes through Python.

    Attributes
    ----------
    sql
        SELECT with the columns of the contract.
    is_view
        Stored as this SELECT, not as rows: every value follows from other tables by arithmetic.
    """

    sql: str
    is_view: bool = False


Result: TypeAlias = pa.Table | Computed


class ResultError(ValueError):
    """Rows that do not fit the table they are meant for; the message names table and column."""


def conform(name: str, rows: pa.Table | Iterable[Row]) -> pa.Table:
    """Rows as a table of the contract.

    Parameters
    ----------
    name
        `schema.table`.
    rows
        An Arrow table or mappings, each with every column of the contract and no other. NaN and infinity are
        no results and become null.

    Raises
    ------
    ResultError
        Unknown or absent column, wrong type, null where none is allowed, key that is not unique.
    """
    table = contract_of()[name]
    made = rows if isinstance(rows, pa.Table) else _from_rows(table, list(rows))
    _same_names(table, made.column_names)
    arrays = []
    for column in table.columns:
        kind = ARROW[column.type]
        try:
            array = made[column.name].cast(kind)
        # Arrow's names for a value that does not fit the type, and for a type that never becomes the other
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ResultError(f"{name}.{column.name}: {error}") from error
        if column.type == "DOUBLE":
            array = pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind))
        if array.null_count and not column.nullable:
            raise ResultError(
                f"{name}.{column.name}: {array.null_count} rows without a value; none may be empty"
            )
        arrays.append(array)
    result = pa.table(dict(zip(table.column_names, arrays, strict=True)))
    n_distinct = result.group_by(list(table.key)).aggregate([]).num_rows
    if n_distinct < result.num_rows:
        raise ResultError(
            f"{name}: {result.num_rows} rows but {n_distinct} combinations of its key {', '.join(table.key)}"
        )
    return result


def computed(name: str, source: str, *, is_view: bool = False) -> Computed:
    """Rows of a relation as a table of the contract.

    Parameters
    ----------
    name
        `schema.table`.
    source
        SQL of a relation with the columns of the contract; others are left out, and the types are made to fit. Keys
        and empty values are checked by the audit.
    is_view
        As in `Computed`.
    """
    columns = (f"cast({quoted(c.name)} as {c.type}) as {quoted(c.name)}" for c in contract_of()[name].columns)
    return Computed(f"select {', '.join(columns)} from {source}", is_view)


def store(con: duckdb.DuckDBPyConnection, name: str, result: Result) -> None:
    """Replace `schema.table` by a result, as a table or as a view."""
    schema, short = name.split(".")
    if isinstance(result, pa.Table):
        drop_view(con, schema, short)
        write_table(con, schema, short, result)
        return
    kind, target = "view" if result.is_view else "table", f"{quoted(schema)}.{quoted(short)}"
    con.begin()
    try:
        drop_view(con, schema, short)
        con.execute(f"drop table if exists {target}")
        con.execute(f"create {kind} {target} as {result.sql}")
        con.commit()
    except duckdb.Error:
        con.rollback()
        raise


def _from_rows(table: Table, rows: list[Row]) -> pa.Table:
    for names in {tuple(row) for row in rows}:
        _same_names(table, names)
    return pa.table(
        {
            c.name: pa.array([row[c.name] for row in rows], ARROW[c.type], from_pandas=True)
            for c in table.columns
        }
    )


def _same_names(table: Table, names: Iterable[str]) -> None:
    wrong = set(names) ^ set(table.column_names)
    if wrong:
        raise ResultError(f"{table.full_name}: columns {sorted(wrong)} are absent or not in the contract")
