"""Whether two published files say the same: how tests and the benchmark hold one engine to the other.

Belongs here: the comparison of two files by the contract. Does not belong here: running a refresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql

TOLERANCE = 1e-9
"""How far two numbers may be apart, of themselves where they are larger than one: engines add in different orders."""


def differences(expected: Path, found: Path, contract: Contract) -> Iterator[str]:
    """Say what differs between two published files.

    Parameters
    ----------
    expected, found
        Published DuckDB files.
    contract
        Tables to compare: rows by key, numbers within `TOLERANCE`, everything else exactly. Columns that differ
        between two refreshes of the same input are left out.
    """
    with duckdb.connect() as con:
        for name, path in (("expected", expected), ("found", found)):
            con.execute(f"attach {sql.text(str(path))} as {name} (read_only)")
        for table in contract:
            yield from _of_table(con, table)


def _of_table(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[str]:
    place = f"{sql.identifier(table.schema)}.{sql.identifier(table.name)}"
    keys = [sql.identifier(k) for k in table.key]
    on = " and ".join(f"expected.{k} is not distinct from found.{k}" for k in keys)
    joined = f"expected.{place} as expected full join found.{place} as found on {on}"
    compared = [c for c in table.columns if not c.volatile and c.name not in table.key]
    wrong = [_differs(c.name, c.type == "DOUBLE") for c in compared]
    # where one side lacks the row, its key is missing
    lacking = f"expected.{keys[0]} is null or found.{keys[0]} is null"
    counts = ", ".join(f"count(*) filter (where not ({lacking}) and ({bad}))" for bad in wrong)
    n_expected, n_found, n_lacking, *n_wrong = con.execute(
        f"select count(expected.{keys[0]}), count(found.{keys[0]}), count(*) filter (where {lacking}) "
        f"{', ' if counts else ''}{counts} from {joined}"
    ).fetchall()[0]
    if n_lacking:
        yield f"{table.full_name}: {n_expected} rows expected, {n_found} found; {n_lacking} are in one file only"
    for column, bad, n in zip(compared, wrong, n_wrong, strict=True):
        if n:
            name = sql.identifier(column.name)
            key = ", ".join(f"expected.{k}" for k in keys)
            example = con.execute(
                f"select {key}, expected.{name}, found.{name} from {joined} where not ({lacking}) and ({bad}) limit 1"
            ).fetchone()
            yield f"{table.full_name}.{column.name}: {n} of {n_expected} rows differ, such as {example}"


def _differs(column: str, is_number: bool) -> str:
    a, b = (f"{side}.{sql.identifier(column)}" for side in ("expected", "found"))
    if not is_number:
        return f"{a} is distinct from {b}"
    return f"({a} is null) <> ({b} is null) or abs({a} - {b}) > {TOLERANCE!r} * greatest(1, abs({a}))"
