"""From the build to what people open: expectations on what leaves, audit, atomic publication, report.

Belongs here: the order of these steps. Does not belong here: a check (`publication.audit`, `expectations`), or how
files are written (`publication`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_project.resources import Warehouse
from expectations.page import write_quality_page
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.state import State, code_version, input_digests
from relocation_warehouse.lake import history
from relocation_warehouse.lake.catalog import Lake, LakeError
from relocation_warehouse.publication.audit import audit
from relocation_warehouse.publication.checks import departure_outcomes, store_checks
from relocation_warehouse.publication.key import fingerprint, key_from_environment, require_same_key
from relocation_warehouse.publication.publish import DATABASE, PUBLIC, Published, RunInfo, publish
from relocation_warehouse.publication.report import write_report
from relocation_warehouse.publication.withholding import plan

CHECKS = dg.AssetKey(["quality", "checks"])
WAREHOUSE = dg.AssetKey(["published", "warehouse"])


@dg.definitions
def publish_assets() -> dg.Definitions:
    """The checks of all that leaves, and what users open."""
    contract = contract_of()

    @dg.asset(
        key=CHECKS,
        deps=[t.full_name.split(".") for t in contract if t.made_by not in ("ingest", "publish")],
        group_name="publish",
        kinds={"duckdb"},
        pool="duckdb_writer",
        description="Every check of this refresh: ingest, Great Expectations on what arrives and leaves, dbt tests.",
        check_specs=[
            dg.AssetCheckSpec(
                name="leaves_as_promised",
                asset=CHECKS,
                blocking=True,
                description="Great Expectations on what is published.",
            )
        ],
    )
    def checks(warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Collect the checks and validate what leaves."""
        outcomes = departure_outcomes(warehouse, contract)
        n_checks = store_checks(warehouse, outcomes)
        unmet = [f"{table}: {o.expectation.name} ({o.n_failed})" for table, o in outcomes if not o.is_met]
        return dg.MaterializeResult(
            metadata={"dagster/row_count": n_checks, "expectations": len(outcomes)},
            check_results=[
                dg.AssetCheckResult(
                    check_name="leaves_as_promised",
                    passed=not unmet,
                    metadata={"unmet": dg.MetadataValue.md("\n".join(f"- {u}" for u in unmet) or "none")},
                )
            ],
        )

    @dg.asset(
        key=WAREHOUSE,
        deps=[CHECKS],
        group_name="publish",
        kinds={"duckdb", "parquet", "csv"},
        pool="duckdb_writer",
        description="What users open: audited, read-only, replaced as a whole.",
        check_specs=[
            dg.AssetCheckSpec(
                name="audit",
                asset=WAREHOUSE,
                blocking=True,
                description="The build keeps the whole contract.",
            )
        ],
    )
    def published_warehouse(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
        """Audit the build and publish it."""
        fewest_alike = warehouse.catalog.gates.fewest_alike
        declared = {f.survey_id: f.survey.disclosure for f in warehouse.accepted_folders()}
        with warehouse.connect(read_only=True) as con:
            withheld = plan(con, contract, fewest_alike, declared)
        for survey in withheld:
            context.log.warning("published rows of households: %s", survey)
        audited = audit(warehouse.paths.build_database, contract, withheld, fewest_alike=fewest_alike)
        for failed in audited.errors:
            context.log.error("audit: %s: %s: %s", failed.table, failed.check, failed.message)
        yield dg.AssetCheckResult(
            check_name="audit", passed=audited.is_passed, metadata={"checks": len(audited.checks)}
        )
        run = RunInfo(context.run_id, code_version(), input_digests(warehouse.paths))
        build = warehouse.paths.build_database

        kept = Kept.of(warehouse.paths)

        def pages(database: Path, folder: Path) -> None:
            write_report(database, folder, kept)
            is_public = database.parent.name == PUBLIC
            write_quality_page(None if is_public else build, database, folder / "quality.html")

        lake = Lake.from_environment()

        def record(version: Path) -> None:
            if lake is not None:
                history.record(lake, version / DATABASE, contract)

        memory = warehouse.paths.warehouse / "disclosed.duckdb"
        key = key_from_environment()
        require_same_key(key, State.load(warehouse.paths).key)
        result = publish(
            build, warehouse.paths.published, contract, audited, run, pages, record, memory, kept
        )
        with State.updated(warehouse.paths) as state:
            state.was_published(result.manifest_sha256, fingerprint(key))
        if lake is not None:
            try:
                history.expire(lake, history.load_policy())
            except LakeError as error:
                # what is published is published; the next refresh tries again
                context.log.warning("old refreshes stay in the lake: %s", error)
        yield dg.MaterializeResult(metadata=_summary(result))

    return dg.Definitions(assets=[checks, published_warehouse])


def _summary(result: Published) -> dict[str, dg.MetadataValue]:
    rows = "\n".join(f"| {name} | {content.rows} |" for name, content in result.tables.items())
    return {
        "dagster/row_count": dg.MetadataValue.int(sum(c.rows for c in result.tables.values())),
        "tables": dg.MetadataValue.md(f"| table | rows |\n|---|---|\n{rows}"),
        "csv_left_out": dg.MetadataValue.json(result.csv_left_out),
    }
