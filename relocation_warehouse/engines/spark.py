"""Spark as the engine of the household tables: its session, and the tables that go to it and come back.

Belongs here: starting Spark where the environment says, handing it what was received and declared, and showing what
it built to the build database as views over its Parquet files. Does not belong here: SQL of a model or a method.

The catalog of the session is in memory: the Parquet files in `warehouse/spark` are what lasts, and a later process
registers them again. Driver and executors see the same `data/` folder.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot

from relocation_warehouse.engines import EngineUnavailable
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.database import connect
from relocation_warehouse.ground.paths import Paths

MASTER = "WAREHOUSE_SPARK_MASTER"
"""Environment variable with the cluster's address, as Spark writes it."""
LOCAL, STANDALONE = "local", "spark://"
DEFAULT_PORT = 7077
JAVA = 17
"""Oldest Java that this Spark runs on."""
PARTITIONS = "spark.sql.shuffle.partitions"
PATIENCE = "WAREHOUSE_SPARK_PATIENCE_SECONDS"
PATIENCE_SECONDS = 60
"""How long, unless the environment says otherwise, a cluster may have no executor before it counts as dead."""

COMPRESSION = "50"
"""How much larger a table is in memory than its Parquet file: Spark sends a table that it takes for small to every
executor, and a million households whose answers repeat are a file of a few megabytes."""

HANDED_OVER = ("raw", "reference")
"""Schemas that the models read and the build database fills."""
ANSWERS_NEEDED_BY = "staging"
"""The schema whose models read the answers, `raw.<survey>__<file>`; they are too large to hand over for any other."""
ROWS = "rows.parquet"
"""File of a table that the driver wrote."""

Name = tuple[str, str]
"""Schema and table."""


def session(paths: Paths) -> Any:
    """Return the Spark session of this process, started at first use.

    Raises
    ------
    EngineUnavailable
        No Java or pyspark, no answer from the cluster, or none of its workers.
    """
    _require_java()
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise EngineUnavailable(
            "the engine spark needs pyspark, which this environment lacks; `make setup-spark` makes one "
            "that has it"
        ) from error
    if active := SparkSession.getActiveSession():
        return active
    # Executors run this interpreter; Spark itself would take whichever python is first on the path.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    master = os.environ.get(MASTER, f"{LOCAL}[*]")
    _require_master(master)
    builder = SparkSession.builder.appName("relocation warehouse").master(master)
    if master.startswith(LOCAL):
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config(
            "spark.driver.host", "127.0.0.1"
        )
    for name, value in {
        "spark.sql.warehouse.dir": folder(paths).as_uri(),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.ansi.enabled": "true",
        # an index of indices names each part several times, and what Spark infers from aliases doubles at each level:
        # planning the coupling tables would not end
        "spark.sql.constraintPropagation.enabled": "false",
        "spark.sql.sources.fileCompressionFactor": COMPRESSION,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }.items():
        builder = builder.config(name, value)
    try:
        started = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        raise EngineUnavailable(f"Spark did not start at {master}: {error}") from error
    started.sparkContext.setLogLevel("ERROR")
    if not master.startswith(LOCAL):
        _require_workers(started, master)
    if not started.sparkContext.getConf().contains(PARTITIONS):
        started.conf.set(PARTITIONS, str(2 * started.sparkContext.defaultParallelism))
    return started


def _require_master(master: str) -> None:
    """Ask a standalone master whether it is there: Spark itself would ask for a minute."""
    if not master.startswith(STANDALONE):
        return
    for address in master.removeprefix(STANDALONE).split(","):
        host, _, port = address.partition(":")
        try:
            socket.create_connection((host, int(port or DEFAULT_PORT)), timeout=10).close()
            return
        except (OSError, ValueError):
            continue
    raise EngineUnavailable(
        f"no Spark master answers at {master}; start it, or correct {MASTER} (docs/engines.md says how)"
    )


def _executors(spark: Any) -> int:
    # the driver counts as one
    return int(spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1


def _require_workers(spark: Any, master: str) -> None:
    """Wait for the first executor, then stop the work of a cluster that has had none for too long."""
    patience = float(os.environ.get(PATIENCE, PATIENCE_SECONDS))
    deadline = time.monotonic() + patience
    while not _executors(spark):
        if time.monotonic() > deadline:
            spark.stop()
            raise EngineUnavailable(
                f"the Spark cluster at {master} gave no executor within {patience:g} s; start a worker, or free "
                "one (docs/engines.md says how)"
            )
        time.sleep(1)
    threading.Thread(target=_watch, args=(spark, patience), daemon=True).start()


def _watch(spark: Any, patience: float) -> None:
    """End what waits for a cluster without executors, each job in its turn: Spark would wait for ever."""
    last_seen = time.monotonic()
    context = spark.sparkContext
    while context._jsc is not None:
        time.sleep(1)
        if _executors(spark):
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > patience:
            context.cancelAllJobs()


def folder(paths: Paths) -> Path:
    """Where Spark keeps its tables."""
    return paths.warehouse / "spark"


def _require_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    try:
        answer = subprocess.run([java or "java", "-version"], capture_output=True, text=True, check=True)
        version = int(answer.stderr.split('"')[1].split(".")[0])
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        version = 0
    if version < JAVA:
        installed = f"Java {version} was found" if version else "no Java was found on PATH or in JAVA_HOME"
        raise EngineUnavailable(
            f"the engine spark needs Java {JAVA} or newer, but {installed}; install it (Debian: apt-get install "
            f"openjdk-{JAVA}-jre-headless) or use --engine duckdb"
        )


# ---- tables -----------------------------------------------------------------------------------------------------


def prepare(paths: Paths, models: Collection[Name]) -> None:
    """Make Spark ready to build `models`: what they replace is gone, what they read is registered.

    Parameters
    ----------
    paths
        The warehouse.
    models
        Models that dbt is about to build.
    """
    spark = session(paths)
    with connect(paths.build_database, read_only=True) as con:
        for schema, table in _to_hand_over(con, {schema for schema, _ in models}):
            _hand_over(con, spark, paths, schema, table)
    for schema, table in models:
        forget(spark, paths, schema, table)
    for location in folder(paths).glob("*.db/*"):
        schema, table = location.parent.name.removesuffix(".db"), location.name
        if not spark.catalog.tableExists(f"{schema}.{table}"):
            _register(spark, schema, table, location)


def _to_hand_over(con: duckdb.DuckDBPyConnection, building: Collection[str]) -> list[Name]:
    rows = con.execute(
        "select schema_name, table_name from duckdb_tables() where list_contains($schemas, schema_name)",
        {"schemas": list(HANDED_OVER)},
    ).fetchall()
    return [
        (schema, table)
        for schema, table in rows
        if schema != "raw" or ("__" in table and ANSWERS_NEEDED_BY in building)
    ]


def _hand_over(con: duckdb.DuckDBPyConnection, spark: Any, paths: Paths, schema: str, table: str) -> None:
    location = _emptied(spark, paths, schema, table)
    con.execute(
        f"copy {sql.identifier(schema)}.{sql.identifier(table)} "
        f"to {sql.text(str(location / ROWS))} (format parquet, compression zstd)"
    )
    _register(spark, schema, table, location)


def keep_rows(spark: Any, paths: Paths, schema: str, table: str, rows: pa.Table) -> None:
    """Replace a table of Spark by rows of the driver."""
    location = _emptied(spark, paths, schema, table)
    pq.write_table(rows, location / ROWS, compression="zstd")
    _register(spark, schema, table, location)


def forget(spark: Any, paths: Paths, schema: str, table: str) -> None:
    """Remove a table or view of Spark, and its files."""
    spark.sql(f"create database if not exists `{schema}`")
    if spark.catalog.tableExists(f"{schema}.{table}"):
        kind = "view" if _is_view(spark, schema, table) else "table"
        spark.sql(f"drop {kind} `{schema}`.`{table}`")
    shutil.rmtree(_location(paths, schema, table), ignore_errors=True)


def _emptied(spark: Any, paths: Paths, schema: str, table: str) -> Path:
    forget(spark, paths, schema, table)
    location = _location(paths, schema, table)
    location.mkdir(parents=True)
    return location


def _location(paths: Paths, schema: str, table: str) -> Path:
    return folder(paths) / f"{schema}.db" / table


def _is_view(spark: Any, schema: str, table: str) -> bool:
    return str(spark.catalog.getTable(f"{schema}.{table}").tableType) == "VIEW"


def _register(spark: Any, schema: str, table: str, location: Path) -> None:
    spark.sql(f"create database if not exists `{schema}`")
    spark.sql(f"create table `{schema}`.`{table}` using parquet location '{location.as_uri()}'")


def rows_of(paths: Paths, schema: str, table: str) -> str:
    """SELECT of DuckDB that reads a table of Spark."""
    return f"select * from read_parquet({sql.text(str(_location(paths, schema, table) / '*.parquet'))})"


def show(paths: Paths, models: Iterable[tuple[str, str, str]]) -> None:
    """Show what Spark built to the build database: tables as views over their files, views by their SQL.

    Parameters
    ----------
    paths
        The warehouse.
    models
        Schema, name and compiled SQL of each model, those that others are made from first.
    """
    spark = session(paths)
    with connect(paths.build_database) as con:
        for schema, name, query in models:
            target = f"{sql.identifier(schema)}.{sql.identifier(name)}"
            if _is_view(spark, schema, name):
                select = sqlglot.transpile(query, read="spark", write="duckdb")[0]
            else:
                select = rows_of(paths, schema, name)
            for kind in con.execute(
                "select lower(table_type) from information_schema.tables where table_schema = ? and table_name = ?",
                [schema, name],
            ).fetchall():
                con.execute(f"drop {'view' if 'view' in kind[0] else 'table'} {target}")
            con.execute(f"create view {target} as {select}")
