"""The dbt project as Dagster sees it: where it is, its manifest, and a build in this process.

dbt runs in the process of the step, not as a command of its own: starting dbt and parsing the project twice costs
more than building all models of these surveys.

Belongs here: running dbt and passing on what it says. Does not belong here: which models run (`defs/transform`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster_dbt import DagsterDbtTranslator, DbtProject
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from dagster_project.resources import Warehouse
from relocation_warehouse.engines import explained, in_words
from relocation_warehouse.ground.database import replace_rows
from relocation_warehouse.ground.engine import SPARK, engine_name
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.publication.checks import CHECKS, failed_rows

STATUS = {"pass": "passed", "skipped": "not_run"}
"""dbt's status of a test as ours; every other one is a failure."""
BAD = {"error", "fail", "runtime error"}

PATHS = Paths.from_environment()
TARGET = PATHS.warehouse / "dbt" / engine_name()
os.environ["WAREHOUSE_BUILD_DATABASE"] = str(PATHS.build_database)
PLACES = (
    *("--project-dir", str(PATHS.dbt), "--profiles-dir", str(PATHS.dbt)),
    *("--target-path", str(TARGET), "--log-path", str(TARGET), "--log-level", "none"),
)


@cache
def parsed() -> Any:
    """Manifest object of the project; parsed once a process.

    Raises
    ------
    RuntimeError
        dbt could not parse the project; the message is dbt's own.
    """
    from dbt.cli.main import dbtRunner

    done = dbtRunner().invoke(["parse", *PLACES])
    if not done.success:
        raise RuntimeError(f"the dbt project does not parse: {done.exception}")
    return done.result


def ensure_manifest(folder: Path, target: Path) -> None:
    """Parse the dbt project unless the manifest is newer than every file of it and was written to its end."""
    manifest = target / "manifest.json"
    sources = [
        p
        for pattern in ("*.yml", "models/**/*", "macros/**/*", "tests/**/*")
        for p in folder.glob(pattern)
        if p.is_file()
    ]
    is_fresh = manifest.exists() and manifest.stat().st_mtime >= max(p.stat().st_mtime for p in sources)
    if not is_fresh or not manifest.read_bytes().endswith(b"}"):
        parsed()


ensure_manifest(PATHS.dbt, TARGET)
project = DbtProject(project_dir=PATHS.dbt, profiles_dir=PATHS.dbt, target_path=TARGET)


def build(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    translator: DagsterDbtTranslator,
    options: Sequence[str] = (),
    **variables: object,
) -> Iterator[Any]:
    """Run `dbt build` for the assets of this step, and give its models and tests as Dagster events.

    Parameters
    ----------
    context
        Of the step; its selected assets are the models to build.
    warehouse
        Where the results of the tests are kept until they are published (`raw.dbt_checks`).
    translator
        The one that named the assets.
    options
        Further options of the command.
    variables
        dbt variables of this run.

    Raises
    ------
    dagster.Failure
        A model or test failed; names each with dbt's message.
    """
    from dbt.cli.main import dbtRunner
    from dbt_common.events.functions import msg_to_dict

    from relocation_warehouse.engines import spark

    messages: list[dict[str, Any]] = []

    def keep(event: Any) -> None:
        if event.info.name in {"LogModelResult", "LogTestResult"}:
            messages.append(msg_to_dict(event))

    names = [(key.path[0], key.path[-1]) for key in context.selected_asset_keys]
    models = sorted(name for _, name in names)
    if engine_name() == SPARK:
        with in_words():
            spark.prepare(warehouse.paths, names)
    done = dbtRunner(manifest=parsed(), callbacks=[keep]).invoke(
        ["build", *PLACES, *options, "--vars", json.dumps(variables), "--select", *models]
    )
    results: list[Any] = getattr(done.result, "results", [])
    if engine_name() == SPARK and done.success:
        nodes = [r.node for r in results if r.node.resource_type == "model"]
        with in_words():
            spark.show(warehouse.paths, [(n.schema, n.name, n.compiled_code) for n in nodes])
    checks = pa.Table.from_pylist(
        [{"step": context.op.name, **row} for row in check_rows(results)],
        CHECKS.insert(0, pa.field("step", pa.string())),
    )
    with warehouse.connect() as con:
        replace_rows(con, "raw", "dbt_checks", checks, step=context.op.name)
    for message in messages:
        yield from DbtCoreCliEventMessage(message, {}).to_default_asset_events(
            project.manifest_path, translator, context, TARGET, project
        )
    if not done.success:
        with warehouse.computing() as con:
            failed = [
                f"{r.node.name}: {explained(r.message)}{failed_rows(con, getattr(r.node, 'compiled_code', None))}"
                for r in results
                if str(r.status) in BAD
            ]
        raise dg.Failure("dbt: " + ("; ".join(failed) or str(done.exception)), allow_retries=False)


def check_rows(results: Iterable[Any]) -> Iterator[dict[str, object]]:
    """Tests and unit tests among the results of a dbt run, as rows of `quality.checks`."""
    for result in results:
        node = result.node
        if node.resource_type not in ("test", "unit_test"):
            continue
        tested = (
            getattr(node, "attached_node", None)
            or getattr(node, "tested_node_unique_id", None)
            or node.unique_id
        )
        status = str(result.status)
        yield {
            "source": "dbt",
            "check": node.name,
            "table": str(tested).rsplit(".", 1)[-1],
            "status": STATUS.get(status, "failed"),
            "severity": "warning"
            if str(getattr(node.config, "severity", "error")).lower() == "warn"
            else "error",
            "n_failed": int(result.failures or 0),
            "message": None if status == "pass" else result.message,
        }
