"""Which models and tests of a dbt project need not run again: what they read is what they read before.

What a node came to is kept under the content of all that it reads and the text that makes it. A model is as it was
where its table holds the rows that came of that; a test, where it passed. So nothing depends on what an earlier run
left undone: a table that is missing, or holds anything else, is made again.

Belongs here: that comparison. Does not belong here: running dbt (`models.run`), or where things are kept
(`ground.kept`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import duckdb

from relocation_warehouse.ground.database import row_digests
from relocation_warehouse.ground.engine import engine_name
from relocation_warehouse.ground.kept import Kept, code_of, digest_of

KIND = "nodes"
CODE = code_of("relocation_warehouse.models.run")
"""Digest of the code that says what came of a node."""
TEXTS = ("raw_code", "config", "test_metadata", "given", "expect", "overrides")
"""Parts of a node that decide what its SQL is, beside the macros and what is declared of its columns."""

Node = Mapping[str, Any]
Said = dict[str, Any]


class Nodes:
    """Models, tests and unit tests of a project, beside the build database as it is while this lasts.

    Parameters
    ----------
    manifest
        What dbt read in the project.
    con
        The build database.
    kept
        What came of nodes before.
    """

    def __init__(self, manifest: Node, con: duckdb.DuckDBPyConnection, kept: Kept) -> None:
        self.all: Mapping[str, Node] = {**manifest["nodes"], **manifest["unit_tests"]}
        self._sources, self._con, self._kept = manifest["sources"], con, kept
        project = manifest["metadata"]["project_name"]
        own = {k: m["macro_sql"] for k, m in manifest["macros"].items() if m["package_name"] == project}
        self._macros = digest_of(CODE, engine_name(), duckdb.__version__, own)
        self._contents: dict[str, str] = {}
        self._digests: dict[str, str] = {}

    def chosen(self, models: Collection[str]) -> dict[str, Node]:
        """The models of these names and all tests that read one of them, by id, each after what it reads."""
        ids = {k for k, n in self.all.items() if n["resource_type"] == "model" and n["name"] in models}
        tests = {k for k, n in self.all.items() if n["resource_type"] != "model" and ids & {*_reads(n)}}
        ordered: dict[str, Node] = {}

        def take(key: str) -> None:
            for parent in sorted(ids & {*_reads(self.all[key])}):
                take(parent)
            ordered.setdefault(key, self.all[key])

        for key in sorted(ids | tests):
            take(key)
        return ordered

    def as_before(self, chosen: Iterable[str]) -> dict[str, Said]:
        """What came of those that need not run: of a test its outcome, of a model nothing.

        A node that reads one which has to run has to run too: what it will read is not known yet. A unit test reads
        the columns that its model reads.
        """
        said: dict[str, Said] = {}
        waiting: set[str] = set()
        for key in chosen:
            content = None
            of = [key] if self.all[key]["resource_type"] != "unit_test" else _reads(self.all[key])
            if not waiting & {parent for node in of for parent in _reads(self.all[node])}:
                content = self._kept.find(KIND, self._digest(key))
            outcome = json.loads(content["said.json"]) if content else {}
            if outcome and outcome.pop("made") == self._made(key):
                said[key] = outcome
            else:
                waiting.add(key)
        return said

    def keep(self, said: Mapping[str, Said]) -> None:
        """Keep what came of nodes that ran: models that were built, tests that passed."""
        for key, outcome in said.items():
            if outcome.get("status", "passed") == "passed":
                content = json.dumps({**outcome, "made": self._made(key)}).encode()
                self._kept.keep(KIND, self._digest(key), {"said.json": content})

    def _digest(self, key: str) -> str:
        """Digest of a node's text and of what it reads, as it is now."""
        if key not in self._digests:
            node = self.all[key]
            look = self._tried if node["resource_type"] == "unit_test" else self._read
            read = {parent: look(parent) for parent in _reads(node)}
            self._digests[key] = digest_of(self._macros, key, _text(node), read)
        return self._digests[key]

    def _tried(self, key: str) -> str:
        """Digest of what a unit test finds in its model: the text, which it tries on rows of its own."""
        columns = {}
        for parent in _reads(self.all[key]):
            node = self.all.get(parent) or self._sources[parent]
            columns[parent] = self._con.execute(
                "select column_name, data_type from duckdb_columns() where schema_name = ? and table_name = ?"
                " order by all",
                [node["schema"], node["name"]],
            ).fetchall()
        return digest_of(_text(self.all[key]), columns)

    def _read(self, key: str) -> str:
        """Digest of what a node finds in what it reads: the rows of a table, or what a view takes them from."""
        is_view = key in self.all and self.all[key]["config"]["materialized"] == "view"
        return self._digest(key) if is_view else self._content(key)

    def _made(self, key: str) -> str | None:
        """Digest of what a node left in the database: rows, or the text of a view; None for a test."""
        node = self.all[key]
        if node["resource_type"] != "model":
            return None
        if node["config"]["materialized"] != "view":
            return self._content(key)
        place = [node["schema"], node["name"]]
        return repr(
            self._con.execute(
                "select sql from duckdb_views() where (schema_name, view_name) = (?, ?)", place
            ).fetchall()
        )

    def _content(self, key: str) -> str:
        if key not in self._contents:
            node = self.all.get(key) or self._sources[key]
            name = f"{node['schema']}.{node['name']}"
            self._contents[key] = row_digests(self._con, {name: None})[name]
        return self._contents[key]


def _text(node: Node) -> list[Any]:
    columns = [(c["name"], c.get("data_type")) for c in node.get("columns", {}).values()]
    return [columns, {name: node.get(name) for name in TEXTS}]


def _reads(node: Node) -> list[str]:
    read: list[str] = node["depends_on"]["nodes"]
    return read
