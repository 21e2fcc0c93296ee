"""Quoting for SQL text: every header, code, path and table name passes through here and can never run.

Belongs here: turning names and values into SQL tokens, and the setting that connections of all packages share. Does not
belong here: building statements.
"""

from __future__ import annotations

from collections.abc import Iterable

WITHOUT_WAITING = "set streaming_buffer_size = '1TB'"
"""Run on every connection that reads households: the answer to a query never waits for its reader.

Where it waits, a UNION ALL with joins waits for ever (DuckDB issue 22215, open in 1.5): docs/decisions/0019.
"""


def identifier(*parts: str) -> str:
    """Write a column or table name as a quoted identifier, qualified where several parts are given."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text(value: str) -> str:
    """Write a string as a literal."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """Write strings as a comma-separated list of literals."""
    return ", ".join(map(text, values))


def number(value: float) -> str:
    """Write a number as a DOUBLE literal that reads back to the same bits."""
    return f"cast({text(repr(float(value)))} as double)"
