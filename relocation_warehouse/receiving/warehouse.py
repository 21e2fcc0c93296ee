"""One warehouse as the steps of a refresh see it: its folders, its catalog, its surveys and its build database.

Belongs here: access. Does not belong here: a computation, or a rule of a survey.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from relocation_warehouse.ground.database import connect, write_table
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.folder import SurveyFolder, list_survey_folders, load_folder
from relocation_warehouse.survey.literature import Literature, load_literature


class Access:
    """What is read and written of the warehouse in folder `data`, an attribute of those who inherit."""

    data: str

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

    @cached_property
    def literature(self) -> Literature:
        """What the papers print, checked."""
        return load_literature(self.paths.literature, self.catalog)

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
    def connect(self, read_only: bool = False, *, hold: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """The build database, for as long as the block lasts."""
        with connect(self.paths.build_database, read_only, hold=hold) as con:
            yield con

    def query(self, sql: str, parameters: list[object] | None = None) -> pd.DataFrame:
        """Answer of a query on the build database."""
        with self.connect(read_only=True) as con:
            return con.execute(sql, parameters or []).df()

    def store(self, schema: str, tables: Mapping[str, pa.Table]) -> dict[str, int]:
        """Write tables to the build database; returns rows by table."""
        with self.connect() as con:
            return {name: write_table(con, schema, name, table) for name, table in tables.items()}


class Warehouse(Access):
    """A warehouse outside the orchestration.

    Parameters
    ----------
    data
        Its `data/` folder.
    """

    def __init__(self, data: str | Path) -> None:
        self.data = str(data)
