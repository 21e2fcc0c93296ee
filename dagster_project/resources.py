"""What assets share: the warehouse's folders, its catalog, its surveys and its build database.

Belongs here: access. Does not belong here: a computation, or a rule of a survey.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa

from dagster_project.previews import relation_metadata
from engines import SPARK, engine_name, in_words
from results.tables import Computed, Result, store
from survey.catalog import Catalog, load_catalog
from survey.folder import SurveyFolder, list_survey_folders, load_folder
from warehouse.database import connect, write_table
from warehouse.paths import Paths


class Warehouse(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One warehouse: where it reads and writes.

    Parameters
    ----------
    data
        Its `data/` folder.
    """

    data: str

    @classmethod
    def from_environment(cls) -> Warehouse:
        """The warehouse of this checkout, or of `WAREHOUSE_DATA`."""
        return cls(data=str(Paths.from_environment().catalog.parent))

    @cached_property
    def paths(self) -> Paths:
        """Folders, created where missing."""
        paths = Paths.under(Path(self.data))
        paths.make()
        return paths

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog, checked."""
        return load_catalog(self.paths.catalog)

    @property
    def survey_ids(self) -> tuple[str, ...]:
        """Surveys in the checkout."""
        return tuple(p.name for p in list_survey_folders(self.paths.surveys))

    def folder(self, survey_id: str) -> SurveyFolder:
        """One survey folder, checked against the catalog."""
        return load_folder(self.paths.surveys / survey_id, [i.id for i in self.catalog.indicators])

    def accepted_folders(self) -> tuple[SurveyFolder, ...]:
        """Folders as they were when last accepted: what the tables in the build database were made by."""
        ids = [i.id for i in self.catalog.indicators]
        return tuple(load_folder(p, ids) for p in list_survey_folders(self.paths.accepted))

    @contextmanager
    def connect(self, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """The build database, for as long as the block lasts."""
        with connect(self.paths.build_database, read_only) as con:
            yield con

    @contextmanager
    def computing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Where results at household grain are computed: the build database, or the engine that built its tables."""
        if engine_name() == SPARK:
            from engines.spark_build import spark_build

            with in_words():
                yield spark_build(self.paths).as_connection()
        else:
            with self.connect(read_only=True) as con:
                yield con

    def query(self, sql: str, parameters: list[object] | None = None) -> pd.DataFrame:
        """Answer of a query on the build database."""
        with self.connect(read_only=True) as con:
            return con.execute(sql, parameters or []).df()

    def store(self, schema: str, tables: Mapping[str, pa.Table]) -> dict[str, int]:
        """Write tables to the build database; returns rows by table."""
        with self.connect() as con:
            return {name: write_table(con, schema, name, table) for name, table in tables.items()}

    def store_results(self, results: Mapping[str, Result]) -> dict[str, Mapping[str, dg.MetadataValue]]:
        """Write results to the build database, and their rows to Parquet files where they belong to `analysis`.

        Parameters
        ----------
        results
            `schema.table` to rows, or to what the database is to compute.

        Returns
        -------
        dict
            Table to its row count, columns and first rows, for people.
        """
        if engine_name() == SPARK:
            from engines.spark_build import spark_build

            with in_words():
                results = {name: spark_build(self.paths).keep(name, r) for name, r in results.items()}
        # one connection for all: opening and closing the file costs more than writing a small table
        written = {}
        with self.connect() as con:
            for name, result in results.items():
                store(con, name, result)
                schema, table = name.split(".")
                is_view = isinstance(result, Computed) and result.is_view
                if schema == "analysis" and not is_view:
                    path = self.paths.analysis / f"{table}.parquet"
                    con.execute(f"copy {name} to '{path}' (format parquet, compression zstd)")
                written[name] = relation_metadata(con, name)
        return written
