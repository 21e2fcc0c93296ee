"""SQL text for names and values that come from data.

Belongs here: quoting. Does not belong here: any query.
"""

from __future__ import annotations


def name(*parts: str) -> str:
    """Quoted identifier, qualified where several parts are given."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def text(value: str) -> str:
    """Quoted string literal."""
    return "'" + value.replace("'", "''") + "'"
