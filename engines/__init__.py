"""Engines that build the household tables: DuckDB in the process, or Spark where one machine is too small.

Belongs here: which engine a refresh uses, whether it can work, and everything that only one engine needs. Does not
belong here: a model (`dbt`, whose macros hold the differences in SQL), a formula (`analysis`), or anything that both
engines share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from warehouse.paths import Paths

DUCKDB, SPARK = "duckdb", "spark"
ENGINES = (DUCKDB, SPARK)
"""Names of the engines; also the dbt target and the sqlglot dialect of each."""

VARIABLE = "WAREHOUSE_ENGINE"
"""Environment variable that names the engine of every command and run; `warehouse refresh --engine` sets it."""

CAUSES = {
    "No space left on device": (
        "the disk is full; make room under data/warehouse, or in the folder of temporary files on the machine of the "
        "executor (spark.local.dir), and refresh again"
    ),
    "cancellation of all jobs": (
        "the cluster lost all its workers while the refresh ran; start one again and refresh again "
        "(docs/engines.md says how)"
    ),
    "Connection refused": "Spark ended while the refresh ran; its log says why; refresh again",
}
"""What a person should know and do, by words of an engine's long messages."""


class UnknownEngine(ValueError):
    """An engine was asked for that there is not."""


class EngineUnavailable(RuntimeError):
    """The engine cannot work here; the message says why and what to do."""


class EngineFailed(RuntimeError):
    """The engine began and could not finish; the message says why and what to do."""


def engine_name(asked: str | None = None) -> str:
    """Name of the engine to use: the one asked for, else that of the environment, else DuckDB.

    Raises
    ------
    UnknownEngine
        There is no such engine; the message names those that there are.
    """
    name = asked or os.environ.get(VARIABLE) or DUCKDB
    if name not in ENGINES:
        raise UnknownEngine(f"there is no engine {name!r}; use one of: {', '.join(ENGINES)}")
    return name


def require_engine(paths: Paths) -> None:
    """Start the engine in use.

    Raises
    ------
    EngineUnavailable
        It cannot work here.
    """
    if engine_name() == SPARK:
        from engines import spark

        spark.session(paths)


def explained(message: str | None) -> str:
    """Say in one sentence what an engine says in many, where the cause is a known one."""
    text = str(message)
    return next((said for words, said in CAUSES.items() if words in text), text)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn the errors of Spark, and of DuckDB where it hands over to Spark, into one sentence.

    Raises
    ------
    EngineFailed
        With what went wrong, and what to do where that is known.
    """
    import duckdb
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, duckdb.IOException, ConnectionError) as error:
        said = explained(str(error))
        raise EngineFailed(
            said if said != str(error) else f"the engine spark: {str(error).splitlines()[0]}"
        ) from error
