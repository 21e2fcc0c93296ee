"""From a survey's files to tables of the build database, one partition a survey.

Belongs here: what is loaded, in which order, and what is recorded. Does not belong here: how a file is read, a
cell is judged or a rule becomes SQL (`survey`), or what is expected of a file (`expectations`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from dagster_project.partitions import surveys
from dagster_project.previews import table_metadata
from dagster_project.resources import Warehouse
from relocation_warehouse.contract.tables import contract_of, value_labels
from relocation_warehouse.ground.database import quoted, write_table
from relocation_warehouse.receiving.arrival import Arrival, receive
from relocation_warehouse.survey.catalog import catalog_tables
from relocation_warehouse.survey.folder import SurveyFolder
from relocation_warehouse.survey.literature import literature_tables, load_literature
from relocation_warehouse.survey.reference import declared_tables

ANSWERS = dg.AssetKey(["raw", "answers"])
WRITER = "duckdb_writer"


@dg.asset(
    key=ANSWERS,
    partitions_def=surveys,
    group_name="ingest",
    kinds={"parquet", "duckdb"},
    pool=WRITER,
    description=(
        "The survey's files: landed as received, checked, rows and cells that fail set aside with a reason, the "
        "rest in raw tables with typed missing reasons. A survey that cannot be used is "
        "refused as a whole and changes nothing."
    ),
    retry_policy=dg.RetryPolicy(max_retries=1, delay=5),
    check_specs=[
        dg.AssetCheckSpec(
            name="is_accepted", asset=ANSWERS, blocking=True, description="Folder and files can be used."
        ),
        dg.AssetCheckSpec(
            name="nothing_is_lost",
            asset=ANSWERS,
            blocking=True,
            description="received = accepted + quarantined for every file.",
        ),
        dg.AssetCheckSpec(
            name="arrives_in_shape",
            asset=ANSWERS,
            blocking=True,
            description="Great Expectations on structure.",
        ),
        dg.AssetCheckSpec(
            name="arrives_as_declared",
            asset=ANSWERS,
            description="Great Expectations on rows, cells, completeness and drift.",
        ),
    ],
)
def answers(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
    """Receive one survey."""
    arrival = receive(warehouse, context.partition_key)
    for problem in arrival.problems:
        context.log.error("%s: %s", context.partition_key, problem)
    yield from _checks(arrival)
    if not arrival.is_accepted:
        raise dg.Failure(
            description=f"{context.partition_key} was refused; what was published before stays",
            metadata={"problems": dg.MetadataValue.md("\n".join(f"- {p}" for p in arrival.problems))},
            allow_retries=False,
        )
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": arrival.accepted_rows,
            "received": arrival.received_rows,
            "quarantined_rows": arrival.quarantined_rows,
            "quarantined_cells": arrival.quarantined_cells,
            "loads": table_metadata(arrival.loads)["preview"],
        }
    )


def _checks(arrival: Arrival) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        check_name="is_accepted", passed=arrival.is_accepted, metadata={"problems": len(arrival.problems)}
    )
    yield dg.AssetCheckResult(check_name="nothing_is_lost", passed=arrival.is_balanced)
    for name, severity in (("arrives_in_shape", "error"), ("arrives_as_declared", "warning")):
        checks = [c for c in arrival.checks if c["severity"] == severity]
        unmet = [c for c in checks if c["status"] != "passed"]
        yield dg.AssetCheckResult(
            check_name=name,
            passed=not unmet,
            severity=dg.AssetCheckSeverity.ERROR if severity == "error" else dg.AssetCheckSeverity.WARN,
            metadata={
                "expectations": len(checks),
                "unmet": dg.MetadataValue.md(
                    "\n".join(f"- {c['check']}: {c['message']}" for c in unmet) or "none"
                ),
            },
        )


@dg.definitions
def ingest() -> dg.Definitions:
    """The answers of each survey, and the declarations as tables."""
    contract = contract_of()
    names = {m: [t.split(".")[1] for t in contract.made_by(m)] for m in ("surveys", "catalog", "literature")}

    @dg.multi_asset(
        specs=[
            dg.AssetSpec(
                ["reference", name],
                deps=[ANSWERS] if maker == "surveys" else [],
                group_name="ingest",
                kinds={"csv" if maker == "literature" else "yaml", "duckdb"},
                description=contract[f"reference.{name}"].description.en,
            )
            for maker, tables in names.items()
            for name in tables
        ],
        name="reference_tables",
        pool=WRITER,
    )
    def reference_tables(warehouse: Warehouse) -> Iterator[Any]:
        """What is declared in catalog and survey folders, and what the papers print."""
        literature = load_literature(warehouse.paths.literature, warehouse.catalog)
        made = {
            **catalog_tables(warehouse.catalog),
            "value_labels": value_labels(contract_of(warehouse.paths), warehouse.catalog),
            **literature_tables(literature),
            **declared_tables(warehouse.accepted_folders(), warehouse.catalog),
        }
        made["surveys"] = _with_load_results(warehouse, made["surveys"])
        tables = {name: made[name] for group in names.values() for name in group}
        with warehouse.connect(hold=True) as con:
            for name, table in tables.items():
                write_table(con, "reference", name, table)
        for name, table in tables.items():
            yield dg.MaterializeResult(asset_key=["reference", name], metadata=table_metadata(table))

    return dg.Definitions(assets=[answers, reference_tables])


def _with_load_results(warehouse: Warehouse, declared: pa.Table) -> pa.Table:
    """Add to each survey how many households it has and whether its latest load was accepted."""
    with warehouse.connect(hold=True) as con:
        refused = {
            s
            for (s,) in con.execute("select survey_id from quality.loads where status = 'refused'").fetchall()
        }
        sizes = [_n_households(con, folder) for folder in warehouse.accepted_folders()]
    statuses = ["refused" if s in refused else "accepted" for s in declared["survey_id"].to_pylist()]
    return declared.append_column("n_households", pa.array(sizes, pa.int64())).append_column(
        "status", pa.array(statuses, pa.string())
    )


def _n_households(con: duckdb.DuckDBPyConnection, folder: SurveyFolder) -> int:
    """Households that have an accepted row in at least one wave."""
    tables = {
        f"raw.{quoted(f'{folder.survey_id}__{file.file_id}')}"
        for wave in folder.survey.waves
        for file in folder.survey.household_files(wave.wave)[:1]
    }
    rows = " union all ".join(f"select _household_id from {table}" for table in sorted(tables))
    # a household of a panel has a row in each wave
    row = con.execute(f"select count(distinct _household_id) from ({rows})").fetchone()
    return int(row[0]) if row else 0
