"""The code location: loads `defs/` and binds what all of it shares.

Belongs here: loading, resources, and policy that holds for every asset. Does not belong here: an asset.
"""

import warnings
from pathlib import Path

import dagster as dg
from dagster.components import load_defs

import dagster_project.defs
from dagster_project.resources import Warehouse

# a backfill of a whole refresh takes a survey a run, so that a refused survey stops no other; that is wanted
warnings.filterwarnings(
    "ignore", message="Asset job refresh_.* materializes assets with varying BackfillPolicies"
)

OWNER = "team:data-engineering"
RESOURCES = {"warehouse": Warehouse.from_environment()}


@dg.definitions
def defs() -> dg.Definitions:
    """Everything under `defs/`, with the policy mapped over it once."""
    loaded = load_defs(dagster_project.defs, project_root=Path(__file__).parent.parent)
    with warnings.catch_warnings():
        # the one call that maps policy over all assets is marked as a preview
        warnings.simplefilter("ignore", dg.PreviewWarning)
        owned = loaded.map_asset_specs(
            func=lambda spec: spec if spec.owners else spec.replace_attributes(owners=[OWNER])
        )
    # one writer means one step at a time, and a process for each would start Python fourteen times a refresh
    shared = dg.Definitions(resources=RESOURCES, executor=dg.in_process_executor)
    return dg.Definitions.merge(owned, shared)
