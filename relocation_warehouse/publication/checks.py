"""Gather what was checked in a refresh into one table.

Belongs here: collecting results of ingest, Great Expectations and dbt. Does not belong here: a check itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pandas as pd
import pyarrow as pa

from expectations.arrival import LOAD_BEFORE
from expectations.departure import departure_suite
from expectations.runner import Outcome, check_row, combined, run_suite
from relocation_warehouse.contract.tables import Contract, Table, contract_of
from relocation_warehouse.ground.database import quoted, write_table
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.models.run import CHECKS
from relocation_warehouse.receiving.warehouse import Access

EXPECTED_TABLES = ("capital.household_capitals", "integration.household_dimensions", "harmonized.coverage",
                   "analysis.coupling_summary", "analysis.region_comparison", "quality.replication")  # fmt: skip
"""Tables validated by Great Expectations as they leave; the audit checks all of them."""


def departure_outcomes(warehouse: Access, contract: Contract) -> list[tuple[str, Outcome]]:
    """Great Expectations on the tables that leave.

    A table of households is validated a survey at a time, so that memory does not grow with the number of surveys;
    the outcomes of its surveys are added up.
    """
    outcomes = []
    kept = Kept.of(warehouse.paths)
    with warehouse.connect(hold=True) as con:
        for name in EXPECTED_TABLES:
            table = contract[name]
            suite = departure_suite(table)
            frames = _by_survey(con, table) if "household_id" in table.key else _whole(con, table)
            parts = [run_suite(name, suite, frame, kept) for frame in frames]
            outcomes += [(name, combined(same)) for same in zip(*parts, strict=True)]
    return outcomes


def _whole(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[pd.DataFrame]:
    yield _frame(con.execute(f"select * from {quoted(table.schema)}.{quoted(table.name)}"))


def _by_survey(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[pd.DataFrame]:
    source = f"{quoted(table.schema)}.{quoted(table.name)}"
    surveys = con.execute(f"select distinct survey_id from {source} order by survey_id").fetchall()
    for (survey_id,) in surveys:
        yield _frame(con.execute(f"select * from {source} where survey_id = ?", [survey_id]))


def _frame(answer: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Rows as a frame; texts as categories, because millions of Python strings take gigabytes and minutes."""
    frame: pd.DataFrame = answer.to_arrow_table().to_pandas(strings_to_categorical=True)
    return frame


LATEST = "is_accepted qualify loaded_at = max(loaded_at) over (partition by survey_id)"
"""Results of the load of each survey that the tables are made from."""


def store_checks(warehouse: Access, leaving: list[tuple[str, Outcome]]) -> int:
    """Write `quality.checks`; the audit adds its own when it publishes. Returns the number of rows.

    What was compared with the load before stays in `raw.expectation_results`: the same surveys give the same checks,
    whatever was loaded before them.
    """
    schema = contract_of(warehouse.paths)[CHECKS].arrow_schema
    names = ", ".join(quoted(name) for name in schema.names)
    with warehouse.connect(hold=True) as con:
        arriving = con.execute(
            f"select {names} from (select * from raw.expectation_results where {LATEST}) where source <> ?",
            [LOAD_BEFORE],
        ).to_arrow_table()
        models = con.execute(f"select {names} from raw.dbt_checks").to_arrow_table()
        rows = [*arriving.to_pylist(), *(check_row(name, o) for name, o in leaving), *models.to_pylist()]
        unique = {(r["source"], r["check"], r["table"]): r for r in rows}
        return write_table(con, "quality", "checks", pa.Table.from_pylist(list(unique.values()), schema))
