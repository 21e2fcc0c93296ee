"""Engines that build the household tables: DuckDB in the process, or Spark where one machine is too small.

Belongs here: which engine a refresh uses, and everything that only one engine needs. Does not belong here: a model
(`dbt`, whose macros hold the differences in SQL), a formula (`analysis`), or anything that both engines share.
"""

from __future__ import annotations

import os

DUCKDB, SPARK = "duckdb", "spark"
ENGINES = (DUCKDB, SPARK)
"""Names of the engines; also the dbt target and the sqlglot dialect of each."""

VARIABLE = "WAREHOUSE_ENGINE"
"""Environment variable that names the engine of every command and run; `warehouse refresh --engine` sets it."""


class UnknownEngine(ValueError):
    """An engine was asked for that there is not."""


class EngineUnavailable(RuntimeError):
    """The engine cannot work here; the message says why and what to do."""


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
