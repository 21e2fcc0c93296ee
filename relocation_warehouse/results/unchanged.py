"""Results of a group whose tables, catalog and code did not change are not computed again.

What a computation reads is watched while it runs: every column of a table that its SQL names, every question about
which tables there are, and the literature if it asks for it. Its results are kept under the content of all of that; the
next time the same things are looked at first. A computation that reads the same goes the same way, so nothing has to be
declared and nothing can be forgotten.

Belongs here: what was read, and results as bytes. Does not belong here: a computation, or where things are kept
(`ground.kept`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import duckdb
import pyarrow as pa

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.database import SCHEMAS, row_digests
from relocation_warehouse.ground.kept import Kept, digest_of
from relocation_warehouse.results.chinese import sentences
from relocation_warehouse.results.columns_read import Columns, columns_read
from relocation_warehouse.results.groups import CODE, Group, is_as_it_was
from relocation_warehouse.results.tables import Computed, Result
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

NAMED = re.compile(rf'"?\b({"|".join(SCHEMAS)})"?\."?(\w+)', re.IGNORECASE)
"""A table in the text of a query; a column of an alias that has the name of a schema counts too, and does no harm."""

ABOUT_TABLES = re.compile(r"\bduckdb_\w+\(|information_schema", re.IGNORECASE)
"""In a query that asks which tables and columns there are."""

Question = tuple[str, tuple[object, ...]]
Tables = dict[str, Columns]
"""`schema.table` to the columns of it that are read."""


class Watched:
    """A connection that notes what is read through it; everything else is that of the connection.

    Attributes
    ----------
    tables
        What queries name, with its columns.
    questions
        Queries about which tables there are, with their parameters.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, other: Watched | None = None) -> None:
        self._con = con
        self.tables: Tables = other.tables if other else {}
        self.questions: set[Question] = other.questions if other else set()

    def execute(self, query: str, parameters: Any = None) -> duckdb.DuckDBPyConnection:
        """Run a query and note what it reads."""
        named = [f"{schema}.{name}".lower() for schema, name in NAMED.findall(query)]
        if named:
            known = columns_read(query) or {}
            self.tables.update(_together(self.tables, {name: known.get(name) for name in named}))
        if ABOUT_TABLES.search(query):
            self.questions.add((query, tuple(parameters or ())))
        return self._con.execute(query, parameters) if parameters is not None else self._con.execute(query)

    def cursor(self) -> Watched:
        """Another connection whose reading is noted at the same place."""
        return Watched(self._con.cursor(), self)

    def __getattr__(self, name: str) -> Any:
        if name in ("sql", "query", "table", "view", "from_query"):
            raise AttributeError(f"{name} is not watched; use execute")
        return getattr(self._con, name)


def results_of(
    group: Group,
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    literature: Callable[[], Literature],
    kept: Kept,
) -> Mapping[str, Result]:
    """Results of a group: those kept where nothing that it reads changed, else computed.

    Parameters
    ----------
    group
        The group.
    con
        The build database, which nobody writes to meanwhile.
    catalog, literature
        As its computation takes them.
    kept
        Where results are kept.
    """
    kind = f"results-{group.name}"
    shapes = [
        (t.full_name, t.key, [(c.name, c.type, c.nullable) for c in t.columns])
        for t in contract_of()
        if t.made_by == group.name
    ]
    made_by = digest_of(CODE[group.name], duckdb.__version__, catalog.model_dump_json(), shapes)
    before = _reads(kept.find(f"{kind}-reads", made_by))
    if before is not None:
        content_by_name = kept.find(kind, _digest(made_by, con, literature, *before))
        if content_by_name is not None:
            return {name: _result(name, content) for name, content in content_by_name.items()}
    watched, asked = Watched(con), []

    def asking() -> Literature:
        asked.append(True)
        return literature()

    made = group.compute(cast("duckdb.DuckDBPyConnection", watched), catalog, asking)
    if not is_as_it_was(group):
        return made
    tables, questions, is_literature_read = before or (Tables(), frozenset[Question](), False)
    reads = (
        _together(tables, watched.tables),
        questions | watched.questions,
        is_literature_read or bool(asked),
    )
    said = {
        "tables": {name: None if c is None else sorted(c) for name, c in sorted(reads[0].items())},
        "questions": sorted(map(list, reads[1]), key=repr),
        "literature": reads[2],
    }
    kept.keep(f"{kind}-reads", made_by, {"reads.json": json.dumps(said).encode()})
    kept.keep(
        kind, _digest(made_by, con, literature, *reads), {name: _content(r) for name, r in made.items()}
    )
    return made


def _together(one: Tables, other: Tables) -> Tables:
    """Tables of both, with all columns that either reads."""
    together = dict(one)
    for name, columns in other.items():
        before = together.get(name, columns)
        together[name] = None if columns is None or before is None else columns | before
    return together


def _reads(content: Mapping[str, bytes] | None) -> tuple[Tables, frozenset[Question], bool] | None:
    if content is None:
        return None
    said = json.loads(content["reads.json"])
    tables = {name: None if c is None else frozenset(c) for name, c in said["tables"].items()}
    questions = frozenset((query, tuple(parameters)) for query, parameters in said["questions"])
    return tables, questions, said["literature"]


def _digest(
    made_by: str,
    con: duckdb.DuckDBPyConnection,
    literature: Callable[[], Literature],
    tables: Tables,
    questions: Iterable[Question],
    is_literature_read: bool,
) -> str:
    """Digest of what a group reads, as it is now."""
    stored, views = _stored(con, tables)
    return digest_of(
        made_by,
        row_digests(con, stored),
        views,
        sorted(repr((q, p, sorted(con.execute(q, list(p)).fetchall()))) for q, p in questions),
        (literature().rows, sentences()) if is_literature_read else None,
    )


def _stored(con: duckdb.DuckDBPyConnection, tables: Tables) -> tuple[Tables, dict[str, str]]:
    """The tables that hold what is read, with the text of the views of results between them.

    Such a view computes its rows when it is asked, which costs more than most of what is made of them; they follow
    from its text and the tables that it reads. Other views show what tables hold, and their columns count one by one.
    """
    computed_views = {t.full_name for t in contract_of() if t.is_view}
    stored, texts = Tables(), dict[str, str]()
    waiting = dict(tables)
    while waiting:
        name, columns = waiting.popitem()
        text = _text_of_view(con, name) if name in computed_views else None
        if text is None:
            stored = _together(stored, {name: columns})
        elif name not in texts:
            texts[name] = text
            waiting.update(_together(waiting, dict(columns_read(text) or {})))
    return stored, texts


def _text_of_view(con: duckdb.DuckDBPyConnection, name: str) -> str | None:
    """Query of a view; None where there is no such view, or its query cannot be read."""
    row = con.execute(
        "select sql from duckdb_views() where schema_name = ? and view_name = ?", name.split(".")
    ).fetchone()
    query = str(row[0]).partition(" AS ")[2].rstrip("; \n") if row else None
    return query if query and columns_read(query) else None


def _content(result: Result) -> bytes:
    if isinstance(result, Computed):
        return json.dumps({"sql": result.sql, "is_view": result.is_view}).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, result.schema) as stream:
        stream.write_table(result)
    written: bytes = sink.getvalue().to_pybytes()
    return b"arrow" + written


def _result(name: str, content: bytes) -> Result:
    if content.startswith(b"arrow"):
        return pa.ipc.open_stream(pa.py_buffer(content[5:])).read_all()
    return Computed(**json.loads(content))
