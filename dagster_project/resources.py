"""What assets share: access to the warehouse, and where its results are computed and stored.

Belongs here: what only the orchestration needs. Does not belong here: access itself (`receiving.warehouse`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import duckdb

from dagster_project.previews import relation_metadata
from relocation_warehouse.engines import in_words
from relocation_warehouse.ground.engine import SPARK, engine_name
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.turn import turn
from relocation_warehouse.receiving.warehouse import Access
from relocation_warehouse.results.groups import Group
from relocation_warehouse.results.tables import Computed, Result, store
from relocation_warehouse.results.unchanged import results_of


class Warehouse(Access, dg.ConfigurableResource):  # type: ignore[type-arg]
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

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Warehouse]:
        """Let a run wait for its turn; what only looks (a sensor, a schedule) does not wait."""
        if context.run is None:
            yield self
            return
        said = f"{context.run.job_name}, a run of Dagster"
        with turn(self.paths.refresh_lock, context.log.info if context.log else print, said):
            yield self

    @contextmanager
    def computing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Where results at household grain are computed: the build database, or the engine that built its tables."""
        if engine_name() == SPARK:
            from relocation_warehouse.engines.spark_build import spark_build

            with in_words():
                yield spark_build(self.paths).as_connection()
        else:
            with self.connect(hold=True) as con:
                yield con

    def results_of(self, group: Group, con: duckdb.DuckDBPyConnection) -> Mapping[str, Result]:
        """Results of a group; on DuckDB those made before, where nothing that it reads changed."""
        if engine_name() == SPARK:
            return group.compute(con, self.catalog, lambda: self.literature)
        return results_of(group, con, self.catalog, lambda: self.literature, Kept.of(self.paths))

    def store_results(self, results: Mapping[str, Result]) -> dict[str, Mapping[str, dg.MetadataValue]]:
        """Write results to the build database, and their rows to Parquet files where they belong to `analysis`.

        Parameters
        ----------
        results
            `schema.table` to rows, or to what the database is to compute.

        Returns
        -------
        dict
            Table to its row count, columns and first rows, to be shown.
        """
        if engine_name() == SPARK:
            from relocation_warehouse.engines.spark_build import spark_build

            with in_words():
                results = {name: spark_build(self.paths).keep(name, r) for name, r in results.items()}
        # one connection for all: opening and closing the file costs more than writing a small table
        written = {}
        with self.connect(hold=True) as con:
            for name, result in results.items():
                store(con, name, result)
                schema, table = name.split(".")
                is_view = isinstance(result, Computed) and result.is_view
                if schema == "analysis" and not is_view:
                    path = self.paths.analysis / f"{table}.parquet"
                    con.execute(f"copy {name} to '{path}' (format parquet, compression zstd)")
                written[name] = relation_metadata(con, name)
        return written
