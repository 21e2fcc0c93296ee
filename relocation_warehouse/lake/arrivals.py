"""What surveys were received as: deposited by any process, taken by the one that publishes.

A deposit is named by the digest of everything that it was made from: files, code and catalog. A refresh takes it
only where that is what it would have received itself, so that it never matters who did the work. Each survey has a
schema of its own in the lake, so that processes which load different surveys never meet.

Belongs here: the rows of one survey, to the lake and back. Does not belong here: receiving a survey, or deciding
when (`dagster_project.arrival`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from relocation_warehouse.ground import sql
from relocation_warehouse.ground.state import sha256_of
from relocation_warehouse.lake.catalog import ARRIVALS, Lake, retried, transaction

SHARED = (
    "quality.loads",
    "quality.quarantine",
    "quality.codebook",
    "raw.arrival_profiles",
    "raw.arrival_rows",
)
"""Tables of the build database with rows of all surveys; those of one are replaced as a whole."""
HISTORY = "raw.expectation_results"
"""Table of the build database with the results of every load."""
LATEST = "survey_id = ? and loaded_at = (select max(loaded_at) from {table} where survey_id = ?)"


@dataclass(frozen=True)
class Deposits:
    """The deposits of one survey in a lake.

    Attributes
    ----------
    lake
        The lake.
    survey_id
        The survey.
    """

    lake: Lake
    survey_id: str

    def put(
        self, con: duckdb.DuckDBPyConnection, digest: str, declared: Mapping[str, bytes], landed: Path
    ) -> None:
        """Replace the deposit by what a build database holds of the survey.

        Parameters
        ----------
        con
            Connection to a build database that has just accepted the survey, in no transaction.
        digest
            Of everything that it was made from.
        declared
            Content of its declarations by file name.
        landed
            Folder of its landed files.
        """
        with self.lake.attached(con, ARRIVALS):
            retried(lambda: self._put(con, digest, declared, landed))

    def _put(
        self, con: duckdb.DuckDBPyConnection, digest: str, declared: Mapping[str, bytes], landed: Path
    ) -> None:
        with transaction(con):
            con.execute(f"drop schema if exists {self._schema} cascade")
            con.execute(f"create schema {self._schema}")
            con.execute(f"create table {self._table('deposit')} as select ? as digest", [digest])
            con.execute(f"create table {self._table('declared')} (name varchar, content blob)")
            con.executemany(
                f"insert into {self._table('declared')} values (?, ?)", [*map(list, declared.items())]
            )
            con.execute(f"create table {self._table('landed')} (name varchar, sha256 varchar)")
            con.executemany(f"insert into {self._table('landed')} values (?, ?)", _checksums(landed))
            con.execute(f"create table {self._table('types')} (source varchar, name varchar, type varchar)")
            for source in (*SHARED, HISTORY, *self._raw_tables(con)):
                self._put_table(con, source)

    def _put_table(self, con: duckdb.DuckDBPyConnection, source: str) -> None:
        """Copy the survey's rows; an enumeration, which DuckLake has no type for, as text."""
        schema, table = source.split(".")
        columns = con.execute(
            "select column_name, data_type from duckdb_columns() where database_name = current_database()"
            " and schema_name = ? and table_name = ? order by column_index",
            [schema, table],
        ).fetchall()
        con.executemany(
            f"insert into {self._table('types')} values (?, ?, ?)", [[source, *column] for column in columns]
        )
        selected = ", ".join(
            f"cast({sql.identifier(name)} as varchar) as {sql.identifier(name)}"
            if kind.startswith("ENUM")
            else sql.identifier(name)
            for name, kind in columns
        )
        con.execute(
            f"create table {self._table(source)} as select {selected} from {sql.identifier(schema, table)}"
            + self._where(source),
            self._parameters(source),
        )

    def _where(self, source: str) -> str:
        if source == HISTORY:
            return " where " + LATEST.format(table=source)
        return " where survey_id = ?" if source in SHARED else ""

    def _parameters(self, source: str) -> list[str]:
        return [self.survey_id] * self._where(source).count("?")

    def take(self, con: duckdb.DuckDBPyConnection, digest: str, landed: Path) -> dict[str, bytes] | None:
        """Replace the survey's rows in a build database by the deposit, if it was made from the same.

        Parameters
        ----------
        con
            Connection to the build database, in no transaction.
        digest
            Of everything that the survey would be made from now.
        landed
            Folder of its landed files; they must be those of the deposit, since traces read them.

        Returns
        -------
        dict or None
            Content of the survey's declarations by file name; None where the build database was left as it is.
        """
        with self.lake.attached(con, ARRIVALS):
            if not self._is_there(con) or self._rows(con, "deposit") != [(digest,)]:
                return None
            if sorted(self._rows(con, "landed")) != sorted(map(tuple, _checksums(landed))):
                return None
            with transaction(con):
                for source in self._raw_tables(con):
                    con.execute(f"drop table {sql.identifier(*source.split('.'))}")
                for source in dict.fromkeys(str(row[0]) for row in self._rows(con, "types")):
                    self._take_table(con, source)
            return {str(name): bytes(content) for name, content in self._rows(con, "declared")}

    def take_profiles(self, con: duckdb.DuckDBPyConnection) -> None:
        """Copy what the load before looked like, so that the next one can be compared with it."""
        with self.lake.attached(con, ARRIVALS):
            if self._is_there(con):
                for source in ("raw.arrival_profiles", "raw.arrival_rows"):
                    self._take_table(con, source)

    def _take_table(self, con: duckdb.DuckDBPyConnection, source: str) -> None:
        target = sql.identifier(*source.split("."))
        types = con.execute(
            f"select name, type from {self._table('types')} where source = ?", [source]
        ).fetchall()
        if not types:
            return  # a deposit of an earlier version has no such table
        selected = ", ".join(
            f"cast({sql.identifier(n)} as {kind}) as {sql.identifier(n)}" for n, kind in types
        )
        con.execute(
            f"create table if not exists {target} as select {selected} from {self._table(source)} limit 0"
        )
        if source == HISTORY:
            con.execute(
                f"delete from {target} where survey_id = ? and loaded_at in"
                f" (select loaded_at from {self._table(source)})",
                [self.survey_id],
            )
        elif source in SHARED:
            con.execute(f"delete from {target} where survey_id = ?", [self.survey_id])
        con.execute(f"insert into {target} by name select {selected} from {self._table(source)}")

    def remove(self) -> None:
        """Take the survey out of the lake's arrivals."""
        with self.lake.connect(ARRIVALS) as con:
            retried(lambda: con.execute(f"drop schema if exists {self._schema} cascade"))

    def _raw_tables(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """Raw tables of the survey in the build database."""
        rows = con.execute(
            "select 'raw.' || table_name from duckdb_tables() where database_name = current_database()"
            " and schema_name = 'raw' and starts_with(table_name, ?)",
            [f"{self.survey_id}__"],
        ).fetchall()
        return [source for (source,) in rows]

    def _is_there(self, con: duckdb.DuckDBPyConnection) -> bool:
        row = con.execute(
            "select 1 from duckdb_schemas() where database_name = 'lake' and schema_name = ?",
            [self.survey_id],
        ).fetchone()
        return row is not None

    @property
    def _schema(self) -> str:
        return sql.identifier("lake", self.survey_id)

    def _table(self, name: str) -> str:
        return sql.identifier("lake", self.survey_id, name)

    def _rows(self, con: duckdb.DuckDBPyConnection, name: str) -> list[tuple[Any, ...]]:
        return con.execute(f"from {self._table(name)}").fetchall()


def _checksums(landed: Path) -> list[list[str]]:
    return [[p.name, sha256_of(p)] for p in sorted(landed.glob("*.parquet"))]
