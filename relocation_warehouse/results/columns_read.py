"""Which columns of which tables a query reads, from its syntax as DuckDB parses it.

A column that no part of the query names cannot decide its answer, unless a star or a whole row stands for it. Wherever
that cannot be told, all columns count as read: too many make a result be computed again, too few would make it stale.

Belongs here: reading syntax. Does not belong here: which schemas matter, or what a table holds (`results.unchanged`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import duckdb

Columns = frozenset[str] | None
"""Names of columns in small letters; None means all."""

WHOLE = ("PIVOT", "SHOW_REF", "POSITIONAL_REFERENCE", "NATURAL", "POSITIONAL")
"""Parts of a query that take columns which nothing in it names."""

TEMPORARY = re.compile(
    r"\s*create\s+(or\s+replace\s+)?temp(orary)?\s+(table|view)\s+\w+\s+as\b", re.IGNORECASE
)
"""Before a query whose answer is put aside; what is read of that later was read by it."""


@dataclass
class _Reads:
    """What the walk through a query has met so far."""

    tables: set[str] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    relations: set[str] = field(default_factory=set)
    """Names and aliases of tables, each of which stands for a whole row."""
    rows: set[str] = field(default_factory=set)
    """What would be a whole row if it is the name of a table."""
    is_all: bool = False


@lru_cache(4096)
def columns_read(query: str) -> Mapping[str, Columns] | None:
    """By `schema.table` in small letters: the columns that a query may read.

    Parameters
    ----------
    query
        One statement in DuckDB's SQL; parameters may stand in it.

    Returns
    -------
    Mapping or None
        Tables named with a schema; None where the statement is no query, so that nothing can be told.
    """
    said = json.loads(_serialised(TEMPORARY.sub("", query, count=1)))
    if said.get("error", True) or len(said["statements"]) != 1:
        return None
    reads = _Reads()
    _walk(said["statements"][0]["node"], reads, [])
    is_all = reads.is_all or bool(reads.rows & reads.relations)
    names = frozenset(reads.names)
    return {t: None if is_all or t in reads.whole else names for t in reads.tables}


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


def _serialised(query: str) -> str:
    # a cursor of its own, since results are computed by several threads
    with _parser().cursor() as parser:
        row = parser.execute(
            "select json_serialize_sql(?::varchar, skip_null := true, skip_empty := true)", [query]
        ).fetchone()
    return str(row[0]) if row else '{"error": true}'


def _walk(part: Any, reads: _Reads, scope: list[dict[str, Any]]) -> None:
    """Note what a part of a query names; `scope` are the tables of the SELECT that it stands in."""
    if isinstance(part, list):
        for one in part:
            _walk(one, reads, scope)
    if not isinstance(part, dict):
        return
    kind, of = part.get("type"), part.get("class")
    if kind == "SELECT_NODE":
        scope = [*_tables(part.get("from_table"))]
    if kind == "BASE_TABLE":
        reads.relations |= {part["table_name"].lower(), part.get("alias", "").lower()}
        if "schema_name" in part:
            reads.tables.add(_name(part))
    if of == "COLUMN_REF":
        names = [name.lower() for name in part["column_names"]]
        reads.names.update(names)
        reads.rows.add(names[-1])
    if of == "STAR":
        reads.whole.update(_name(table) for table in scope if "schema_name" in table)
        # the table may stand in a query around this one
        reads.rows.update([part["relation_name"].lower()] if "relation_name" in part else [])
    has_other_names = kind == "BASE_TABLE" and "column_name_alias" in part
    reads.is_all |= has_other_names or any(one in WHOLE for one in (kind, of, part.get("ref_type")))
    reads.names.update(name.lower() for name in part.get("using_columns", ()))
    for one in part.values():
        _walk(one, reads, scope)


def _tables(source: Any) -> Iterator[dict[str, Any]]:
    """Tables that stand in a FROM itself, not in a query in it."""
    if isinstance(source, dict):
        if source.get("type") == "BASE_TABLE":
            yield source
        elif source.get("type") != "SUBQUERY":
            for one in source.values():
                yield from _tables(one)


def _name(table: Mapping[str, Any]) -> str:
    return f"{table['schema_name']}.{table['table_name']}".lower()
