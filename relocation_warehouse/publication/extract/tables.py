"""Every table of households of an edition as Stata and SPSS files, as they are published.

Belongs here: which tables, and how a column of the contract is labelled. Does not belong here: a reader's own choice
(`choose`) and the formats (`labelled`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from relocation_warehouse.contract.tables import Column, Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.publication.database import read_only, sort_order
from relocation_warehouse.publication.extract.choose import HOUSEHOLDS, NEEDS, choose
from relocation_warehouse.publication.extract.labelled import (
    CannotHold,
    LabelledTable,
    Language,
    Variable,
    write_spss,
    write_stata,
)
from relocation_warehouse.publication.former import Make, anew
from relocation_warehouse.survey.vocabulary import Label

CELL_LIMIT = 20_000_000
"""Rows times columns of a table that is written whole; more would hold gigabytes in memory."""

KEY = {"survey_id", "household_id", "wave"}

VALUES = "harmonized.indicator_values"
LABELLED = (HOUSEHOLDS, VALUES, "reference.indicators", "reference.codes", "reference.value_labels")
"""What the rows and words of a choice of everything follow from."""
BEHIND = ("harmonized.missing_reasons", "harmonized.coverage")
"""What the long view follows from beside the households, where it is too long to be looked at itself."""


def write_household_tables(
    database: Path, contract: Contract, folder: Path, left_out: Container[str] = (), make: Make = anew
) -> dict[str, str]:
    """Write `folder/stata/<schema>.<table>.dta` and `folder/spss/<schema>.<table>.sav` of every table of households.

    Parameters
    ----------
    database
        A published database; opened read-only.
    contract
        Its tables. An edition without household rows gets no files.
    folder
        Created where it does not exist.
    left_out
        Tables that are too long for a sheet; they are too long here too.
    make
        Makes a file, or knows that it need not be written.

    Returns
    -------
    dict
        Tables without files, and why.
    """
    reasons = {}
    can_choose = {HOUSEHOLDS} if {table.full_name for table in contract} >= NEEDS | {*BEHIND} else set()
    with read_only(database) as con:
        for table in _tables(contract):
            try:
                if table.full_name in left_out:
                    raise CannotHold(
                        "more rows than one file is for; take what you need with `warehouse extract`"
                    )
                is_chosen = table.full_name in can_choose
                rows = cache(partial(_labelled, con, database if is_chosen else None, table))
                behind = BEHIND if VALUES in left_out else ()
                tables = {table.full_name, *((*LABELLED, *behind) if is_chosen else ())}
                for name, ending, write in (("stata", ".dta", write_stata), ("spss", ".sav", write_spss)):
                    make(folder / name / f"{table.full_name}{ending}", tables, partial(_write, write, rows))
            except CannotHold as error:
                reasons[table.full_name] = str(error)
    return reasons


def _write(
    write: Callable[[LabelledTable, Path, Language], object], rows: Callable[[], LabelledTable], path: Path
) -> None:
    write(rows(), path, "en")


def _tables(contract: Contract) -> Iterator[Table]:
    return (t for t in contract if {*t.column_names} >= KEY and not t.is_view)


def _labelled(con: duckdb.DuckDBPyConnection, database: Path | None, table: Table) -> LabelledTable:
    (n_rows,) = con.execute(f"select count(*) from {table.full_name}").fetchone() or (0,)
    if n_rows * len(table.columns) > CELL_LIMIT:
        raise CannotHold("too large for one file; take what you need with `warehouse extract`")
    if database and n_rows:
        return choose(database).table
    names = ", ".join(map(sql.identifier, table.column_names))
    frame = con.execute(f"select {names} from {table.full_name} order by {sort_order(table)}").df()
    for column in table.columns:
        values: Any = frame[column.name]
        frame[column.name] = (
            values.astype(object).where(values.notna(), None)
            if _is_text(column)
            else values.astype(np.float64)
        )
    return LabelledTable(tuple(map(_variable, table.columns)), frame, {}, {}, table.description)


def _is_text(column: Column) -> bool:
    return column.type in ("VARCHAR", "DATE", "TIMESTAMP")


def _variable(column: Column) -> Variable:
    label = Label(en=column.en, zh=column.zh)
    if _is_text(column):
        return Variable(column.name, label, "text", measure="nominal")
    measures: Any = {"BOOLEAN": "nominal", "INTEGER": "ordinal"}
    return Variable(
        column.name, label, "number", unit=column.unit, measure=measures.get(column.type, "scale")
    )
