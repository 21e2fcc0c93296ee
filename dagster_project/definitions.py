"""The code location: loads `defs/` and binds what all of it shares.

Belongs here: loading, resources, and policy that holds for every asset. Does not belong here: an asset.
"""

from pathlib import Path

import dagster as dg

import dagster_project.defs
from dagster_project.resources import Warehouse

OWNER = "team:data-engineering"


@dg.definitions
def defs() -> dg.Definitions:
    """Everything under `defs/`, with the policy mapped over it once."""
    loaded = dg.components.load_defs(dagster_project.defs, project_root=Path(__file__).parent.parent)
    owned = loaded.map_asset_specs(func=lambda spec: spec if spec.owners else spec.replace_attributes(owners=[OWNER]))
    return dg.Definitions.merge(owned, dg.Definitions(resources={"warehouse": Warehouse.from_environment()}))
