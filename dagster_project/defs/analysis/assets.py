"""Result tables as assets: each group of tables is one computation over the build database.

Belongs here: groups as assets. Does not belong here: which there are (`results.groups`), a formula (`analysis`), or
the shape of a table (`results`).
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from dagster_project.resources import Warehouse
from relocation_warehouse.contract.tables import Contract, contract_of
from relocation_warehouse.results.groups import GROUPS, Group


@dg.definitions
def analysis() -> dg.Definitions:
    """One asset a table, computed with those of its group."""
    contract = contract_of()
    return dg.Definitions(assets=[_assets(group, contract) for group in GROUPS])


def _assets(group: Group, contract: Contract) -> dg.AssetsDefinition:
    tables = contract.made_by(group.name)
    needs = [t for name in group.needs for t in ([name] if "." in name else contract.made_by(name))]

    @dg.multi_asset(
        name=group.name,
        specs=[
            dg.AssetSpec(
                table.split("."),
                deps=[need.split(".") for need in ("harmonized.coverage", *needs)],
                group_name="analysis",
                kinds={"python", "parquet", "duckdb"},
                description=f"{contract[table].description.en}\n\n{group.description}",
            )
            for table in tables
        ],
        pool="duckdb_writer",
    )
    def compute_tables(warehouse: Warehouse) -> Iterator[Any]:
        with warehouse.connect(hold=True) if group.is_small else warehouse.computing() as con:
            made = warehouse.results_of(group, con)
        written = warehouse.store_results({table: made[table.split(".")[1]] for table in tables})
        for table, metadata in written.items():
            yield dg.MaterializeResult(asset_key=table.split("."), metadata=metadata)

    return compute_tables
