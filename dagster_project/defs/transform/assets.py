"""dbt models as assets: the harmonised households by survey, then the marts over all of them.

Belongs here: which models run together and with which variables. Does not belong here: SQL (`dbt/models`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from dagster_project.dbt import build, project
from dagster_project.partitions import surveys
from dagster_project.resources import Warehouse
from relocation_warehouse.ground.state import State, shared_inputs, total_digest
from relocation_warehouse.survey.folder import list_survey_folders

HARMONISED = "path:models/staging"


class Translator(DagsterDbtTranslator):
    """Names dbt nodes by schema and table, as the contract does."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`schema/table`."""
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """One group for all models."""
        return "transform"


TRANSLATOR = Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))


@dbt_assets(
    manifest=project.manifest_path,
    project=project,
    select=HARMONISED,
    partitions_def=surveys,
    backfill_policy=dg.BackfillPolicy.single_run(),
    dagster_dbt_translator=TRANSLATOR,
    name="harmonise",
    pool="duckdb_writer",
)
def harmonise(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
    """Rebuild the surveys of this run, and those that were last harmonised by other code or another catalog.

    Where these are all surveys the table is made anew, so that a change of the catalog may change its columns.
    """
    accepted = {p.name for p in list_survey_folders(warehouse.paths.accepted)}
    current = total_digest(shared_inputs(warehouse.paths))
    waiting = {
        s for s, found in State.load(warehouse.paths).surveys.items() if found.harmonised_by != current
    }
    chosen = sorted(accepted & {*context.partition_keys, *waiting})
    options = ["--full-refresh"] if accepted == {*chosen} else []
    yield from build(context, warehouse, TRANSLATOR, options, survey_ids=chosen)
    with State.updated(warehouse.paths) as state:
        for survey_id in {*chosen} & {*state.surveys}:
            state.surveys[survey_id].harmonised_by = current


@dbt_assets(
    manifest=project.manifest_path,
    project=project,
    exclude=HARMONISED,
    dagster_dbt_translator=TRANSLATOR,
    name="marts",
    pool="duckdb_writer",
)
def marts(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
    """Everything over all surveys."""
    yield from build(context, warehouse, TRANSLATOR)
