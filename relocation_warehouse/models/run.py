"""Run dbt on the project of a warehouse, in this process: a command of its own would start Python and parse twice.

Belongs here: parsing, building, and what dbt says of its models and tests. Does not belong here: which models are
built when (`dagster_project`), or what the project holds (`models.project`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.engines import explained, in_words
from relocation_warehouse.ground.database import add_rows, connect, let_go, quoted, table_exists
from relocation_warehouse.ground.engine import SPARK, engine_name
from relocation_warehouse.ground.garbage import kept_loaded
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.state import sha256_of
from relocation_warehouse.models.project import Project, assemble, writing
from relocation_warehouse.models.unchanged import Nodes

CHECKS = "quality.checks"
"""What a check said, whoever made it."""
STATUS = {"pass": "passed", "skipped": "not_run"}
"""dbt's status of a test as ours; every other one is a failure."""
BAD = {"error", "fail", "runtime error"}
MANIFEST, PARSED = "manifest.json", "partial_parse.msgpack"
"""What dbt makes of a project, for others and for itself."""
PLACES = ("survey_id", "wave", "indicator_id", "failed_column")
"""Columns of the rows that a test of the models returns, that identify a failure."""
NAMED = 5
"""Places that a failure names; the rest are counted."""

_PARSED: dict[str, Any] = {}
"""Manifests by the digest of what they were parsed from."""


@dataclass(frozen=True)
class Model:
    """A model that was built."""

    schema: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Build:
    """What came of a run of dbt.

    Attributes
    ----------
    models
        Those that were built, those that others are made from first.
    checks
        A row for each test, as in `quality.checks`.
    failures
        Why it did not succeed; empty where it did.
    """

    models: tuple[Model, ...]
    checks: tuple[dict[str, object], ...]
    failures: tuple[str, ...]


def parsed(project: Project) -> Any:
    """Manifest of a project, parsed once for the same content; dbt itself reads only what changed since it last did.

    Raises
    ------
    RuntimeError
        dbt could not parse the project; the message is dbt's own.
    """
    path = manifest_file(project)
    if project.digest not in _PARSED:
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        content = path.with_name(PARSED).read_bytes()
        _PARSED[project.digest] = Manifest.from_msgpack(content, decoder=extended_mashumuro_decoder)
        _PARSED[project.digest].build_flat_graph()
    return _PARSED[project.digest]


def manifest_file(project: Project) -> Path:
    """The manifest of a project as a file; one that an earlier process parsed from the same content is kept.

    Raises
    ------
    RuntimeError
        dbt could not parse the project; the message is dbt's own.
    """
    mark = _mark(project)
    if not mark.exists() or mark.read_text(encoding="utf-8") != _content(project):
        from dbt.cli.main import dbtRunner

        mark.unlink(missing_ok=True)
        with kept_loaded():
            done = dbtRunner().invoke(["parse", *_places(project)])
        if not done.success:
            raise RuntimeError(f"the dbt project in {project.folder} does not parse: {done.exception}")
        mark.write_text(_content(project), encoding="utf-8")
        _PARSED[project.digest] = done.result
    return project.target / MANIFEST


def project_and_manifest(paths: Paths) -> tuple[Project, dict[str, Any]]:
    """The project of a warehouse and what dbt read in it, while no other process writes either."""
    with writing(paths):
        project = assemble(paths)
        return project, json.loads(manifest_file(project).read_text(encoding="utf-8"))


def _content(project: Project) -> str:
    """What a project was parsed from, and to: a manifest that was cut off or changed is another one."""
    made = [project.target / name for name in (MANIFEST, PARSED)]
    return " ".join([project.digest, *(sha256_of(path) for path in made if path.exists())])


def _mark(project: Project) -> Path:
    """File that says from what the manifest beside it was parsed."""
    return project.target / "parsed"


def build(paths: Paths, select: Collection[str], step: str) -> Build:
    """Build models and run their tests, but for those that would come to what they came to before.

    The tests' results are kept as `raw.dbt_checks`.

    Parameters
    ----------
    paths
        The warehouse.
    select
        Names of the models.
    step
        Name under which the results replace those of the run before.
    """
    project, manifest = project_and_manifest(paths)
    with connect(paths.build_database, hold=True) as con:
        before = Nodes(manifest, con, Kept.of(paths))
        chosen = before.chosen(select)
        said = {} if engine_name() == SPARK else before.as_before(chosen)
    waiting = {key: node for key, node in chosen.items() if key not in said}
    results, failures = _run(paths, project, waiting) if waiting else ([], ())
    seconds = {r.node.unique_id: r.execution_time for r in results if str(r.status) == "success"}
    said |= {key: {} for key in seconds} | dict(_check_rows(paths, waiting, results))
    checks = tuple(said[key] for key in chosen if said.get(key))
    schema = contract_of(paths)[CHECKS].arrow_schema.insert(0, pa.field("step", pa.string()))
    rows = pa.Table.from_pylist([{"step": step, **row} for row in checks], schema)
    with connect(paths.build_database, hold=True) as con:
        if engine_name() != SPARK:
            Nodes(manifest, con, Kept.of(paths)).keep({key: said[key] for key in waiting if key in said})
        _keep_checks(con, rows, step, {_name_of_test(n) for n in manifest["nodes"].values()})
    models = (
        Model(n["schema"], n["name"], seconds.get(key, 0.0))
        for key, n in chosen.items()
        if said.get(key) == {}
    )
    return Build(tuple(models), checks, failures)


def _run(
    paths: Paths, project: Project, nodes: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Any], tuple[str, ...]]:
    """Let dbt run nodes; gives its results, and why it did not succeed."""
    from dbt.cli.main import dbtRunner

    from relocation_warehouse.engines import spark

    with writing(paths):
        manifest = parsed(project)
    os.environ["WAREHOUSE_BUILD_DATABASE"] = str(paths.build_database)
    if engine_name() == SPARK:
        with in_words():
            chosen = [n for n in nodes.values() if n["resource_type"] == "model"]
            spark.prepare(paths, [(n["schema"], n["name"]) for n in chosen])
    let_go()
    kind = {"unit_test": "unit_test:"}
    names = sorted(kind.get(n["resource_type"], "") + n["name"] for n in nodes.values())
    try:
        # what was parsed stands beside the project; written again by another run it would be parsed again
        said = [
            "build",
            *_places(project),
            "--no-write-json",
            "--indirect-selection",
            "empty",
            "--select",
            *names,
        ]
        done = dbtRunner(manifest=manifest).invoke(said)
    finally:
        _let_go()
    results: list[Any] = getattr(done.result, "results", [])
    models = [r for r in results if r.node.resource_type == "model"]
    if engine_name() == SPARK and done.success:
        with in_words():
            spark.show(paths, [(r.node.schema, r.node.name, r.node.compiled_code) for r in models])
    if done.success:
        return results, ()
    failures = (
        *(
            f"dbt: {c['check']}: {c['message']}"
            for _, c in _check_rows(paths, nodes, results)
            if c["status"] == "failed" and c["severity"] == "error"
        ),
        *(f"dbt: {r.node.name}: {explained(r.message)}" for r in models if str(r.status) in BAD),
    )
    return results, failures or (f"dbt: {done.exception}",)


def _let_go() -> None:
    """Close the database that dbt keeps open from model to model, since opening it costs more than most models."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


def _keep_checks(
    con: duckdb.DuckDBPyConnection, rows: pa.Table, step: str, known: Collection[tuple[str, str]]
) -> None:
    """Let the results of a run replace those of the same tests; those of waves that it left as they were stay."""
    if table_exists(con, "raw", "dbt_checks"):
        before = con.execute("select * from raw.dbt_checks where step = ?", [step]).to_arrow_table()
        again = {(r["check"], r["table"]) for r in rows.to_pylist()}
        stay = [r for r in before.to_pylist() if (r["check"], r["table"]) in {*known} - again]
        rows = pa.concat_tables([rows, pa.Table.from_pylist(stay, rows.schema)])
    add_rows(con, "raw", "dbt_checks", rows, step=step)


def _name_of_test(node: Mapping[str, Any]) -> tuple[str, str]:
    """Name of a test, and of what it tests."""
    model = node["depends_on"]["nodes"][0] if node["resource_type"] == "unit_test" else None
    tested = node.get("attached_node") or model or node["unique_id"]
    return node["name"], str(tested).rsplit(".", 1)[-1]


def _places(project: Project) -> tuple[str, ...]:
    profiles = (project.folder / "dbt_project.yml").resolve().parent
    return (
        *("--project-dir", str(project.folder), "--profiles-dir", str(profiles)),
        *("--target-path", str(project.target), "--log-path", str(project.target), "--log-level", "none"),
    )


def _check_rows(
    paths: Paths, nodes: Mapping[str, Mapping[str, Any]], results: Iterable[Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Tests and unit tests among the results of a dbt run by their ids, as rows of `quality.checks`."""
    for result in results:
        node = result.node
        if node.resource_type not in ("test", "unit_test"):
            continue
        check, tested = _name_of_test(nodes[node.unique_id])
        status = str(result.status)
        is_warning = str(getattr(node.config, "severity", "error")).lower() == "warn"
        message = None if status == "pass" else explained(result.message)
        if status in BAD and engine_name() != SPARK:
            with connect(paths.build_database, read_only=True) as con:
                message = f"{message}{failed_rows(con, getattr(node, 'compiled_code', None))}"
        yield (
            node.unique_id,
            {
                "source": "dbt",
                "check": check,
                "table": tested,
                "status": STATUS.get(status, "failed"),
                "severity": "warning" if is_warning else "error",
                "n_failed": int(result.failures or 0),
                "message": message,
            },
        )


def failed_rows(con: duckdb.DuckDBPyConnection, compiled: str | None) -> str:
    """In brackets: survey, wave and indicator of the rows that a failed test of the models returns, where it has them.

    Parameters
    ----------
    con
        Where the models were built.
    compiled
        SQL of the test; None where nothing was compiled.
    """
    try:
        returned = [name for name, *_ in con.execute(f"describe {compiled}").fetchall()] if compiled else []
        columns = [name for name in PLACES if name in returned]
        if not columns:
            return ""
        listed = ", ".join(map(quoted, columns))
        places = con.execute(
            f"select {listed}, count(*) as n_rows from ({compiled}) as failed "
            f"group by {listed} order by n_rows desc, {listed}"
        ).fetchall()
    except duckdb.Error:
        # a model that could not be built has no rows; dbt's own message stands
        return ""
    listed_places = [
        f"{', '.join(str(part) for part in place if part is not None)}: {n} rows"
        for *place, n in places[:NAMED]
    ]
    return f" ({'; '.join(listed_places)}{'' if len(places) <= NAMED else f' and {len(places) - NAMED} more places'})"
