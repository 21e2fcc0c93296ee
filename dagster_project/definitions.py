"""The code location: loads `defs/` and binds what all of it shares.

Belongs here: loading, resources, and policy that holds for every asset. Does not belong here: an asset.
"""

from pathlib import Path

import dagster as dg
from dagster.components import load_defs
from dagster_dbt import DbtCliResource

import dagster_project.defs
from dagster_project.dbt import DBT, project
from dagster_project.resources import Warehouse

OWNER = "team:data-engineering"
RESOURCES = {
    "warehouse": Warehouse.from_environment(),
    "dbt": DbtCliResource(project_dir=project, dbt_executable=str(DBT)),
}


@dg.definitions
def defs() -> dg.Definitions:
    """Everything under `defs/`, with the policy mapped over it once."""
    loaded = load_defs(dagster_project.defs, project_root=Path(__file__).parent.parent)
    owned = loaded.map_asset_specs(
        func=lambda spec: spec if spec.owners else spec.replace_attributes(owners=[OWNER])
    )
    return dg.Definitions.merge(owned, dg.Definitions(resources=RESOURCES))
