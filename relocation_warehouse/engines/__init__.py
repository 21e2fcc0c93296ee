"""Engines that build the household tables: DuckDB in the process, or Spark where one machine is too small.

Belongs here: which engine a refresh uses, whether it can work, and everything that only one engine needs. Does not
belong here: a model (`dbt`, whose macros hold the differences in SQL), a formula (`analysis`), or anything that both
engines share.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relocation_warehouse.ground.engine import SPARK, engine_name
from relocation_warehouse.ground.paths import Paths

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


class EngineUnavailable(RuntimeError):
    """The engine cannot work here; the message says why and what to do."""


class EngineFailed(RuntimeError):
    """The engine began and could not finish; the message says why and what to do."""


def require_engine(paths: Paths) -> None:
    """Start the engine in use.

    Raises
    ------
    EngineUnavailable
        It cannot work here.
    """
    if engine_name() == SPARK:
        from relocation_warehouse.engines import spark

        spark.session(paths)


def explained(message: str | None) -> str:
    """Say in one sentence what an engine says in many, where the cause is a known one."""
    text = str(message)
    return next((cause for words, cause in CAUSES.items() if words in text), text)


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
        message = explained(str(error))
        raise EngineFailed(
            message if message != str(error) else f"the engine spark: {str(error).splitlines()[0]}"
        ) from error
