"""Which engine builds the household tables: its names, and the one in use.

Belongs here: names. Does not belong here: what an engine does (`engines`).
"""

from __future__ import annotations

import os

DUCKDB, SPARK = "duckdb", "spark"
ENGINES = (DUCKDB, SPARK)
"""Names of the engines; also the dbt target and the sqlglot dialect of each."""

VARIABLE = "WAREHOUSE_ENGINE"
"""Environment variable that names the engine of every command and run; `warehouse refresh --engine` sets it."""


class UnknownEngine(ValueError):
    """The requested engine does not exist."""


def engine_name(asked: str | None = None) -> str:
    """Name of the engine to use: the one asked for, else that of the environment, else DuckDB.

    Raises
    ------
    UnknownEngine
        There is no such engine; the message lists the engines.
    """
    name = asked or os.environ.get(VARIABLE) or DUCKDB
    if name not in ENGINES:
        raise UnknownEngine(f"there is no engine {name!r}; use one of: {', '.join(ENGINES)}")
    return name
