"""dbt models as assets: the harmonised households by survey, then the marts over all of them.

Belongs here: which models run together, and their results as Dagster events. Does not belong here: SQL
(`dbt/models`, `survey.crosswalk`), or running dbt (`models.run`).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets

from dagster_project.partitions import surveys
from dagster_project.previews import relation_metadata
from dagster_project.resources import Warehouse
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.state import State, shared_inputs, total_digest
from relocation_warehouse.models import run
from relocation_warehouse.models.project import HOUSEHOLD_WAVES, assemble
from relocation_warehouse.survey.folder import list_survey_folders

WAVES = "path:generated/models/staging"
"""The models of the waves, which are those of whatever surveys there are, and the one that unites them."""


class Translator(DagsterDbtTranslator):
    """Names dbt nodes by schema and table, as the contract does."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """`schema/table`; what was received of all surveys is one asset, a partition each."""
        schema, name = dbt_resource_props["schema"], dbt_resource_props["name"]
        return dg.AssetKey(["raw", "answers"] if schema == "raw" else [schema, name])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """One group for all models."""
        return "transform"

    def get_asset_check_spec(
        self,
        asset_spec: dg.AssetSpec,
        manifest: Mapping[str, Any],
        unique_id: str,
        project: DbtProject | None,
    ) -> dg.AssetCheckSpec | None:
        """A check says what its test says; the library looks for that in another place."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        test = manifest["nodes"].get(unique_id) or manifest["unit_tests"][unique_id]
        return spec and spec._replace(description=test.get("description"))


TRANSLATOR = Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=False))


@dg.definitions
def transform() -> dg.Definitions:
    """Models of the project as it stands; those of single waves come and go with the surveys and are no assets."""
    paths = Paths.from_environment()
    assembled, manifest = run.project_and_manifest(paths)
    project = DbtProject(project_dir=assembled.folder, profiles_dir=paths.dbt, target_path=assembled.target)

    @dg.asset(
        key=["staging", HOUSEHOLD_WAVES],
        deps=[["raw", "answers"], *(["reference", name] for name in ("crosswalk", "indicators"))],
        partitions_def=surveys,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name="transform",
        kinds={"dbt", "duckdb"},
        pool="duckdb_writer",
        description=(
            "Every household of every survey in every wave: one value and one missing reason per canonical indicator. "
            "A model for each wave, written from the survey's crosswalk; a view unites them."
        ),
    )
    def harmonise(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Rebuild the surveys of this run, and those last harmonised by other code or another catalog."""
        accepted = {p.name for p in list_survey_folders(warehouse.paths.accepted)}
        current = total_digest(shared_inputs(warehouse.paths))
        waiting = {
            s for s, survey in State.load(warehouse.paths).surveys.items() if survey.harmonised_by != current
        }
        chosen = accepted & {*context.partition_keys, *waiting}
        waves = assemble(warehouse.paths).waves
        _built(
            run.build(
                warehouse.paths, [HOUSEHOLD_WAVES, *(m for s in chosen for m in waves[s])], context.op.name
            )
        )
        with State.updated(warehouse.paths) as state:
            for survey_id in chosen & {*state.surveys}:
                state.surveys[survey_id].harmonised_by = current
        with warehouse.connect(hold=True) as con:
            return dg.MaterializeResult(metadata=relation_metadata(con, f"staging.{HOUSEHOLD_WAVES}"))

    @dbt_assets(
        manifest=manifest,
        project=project,
        exclude=WAVES,
        dagster_dbt_translator=TRANSLATOR,
        name="marts",
        pool="duckdb_writer",
    )
    def marts(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
        """Everything over all surveys."""
        models = [key.path[-1] for key in context.selected_asset_keys]
        built = run.build(warehouse.paths, models, context.op.name)
        yield from _events(built, context.selected_asset_check_keys)
        _built(built)

    return dg.Definitions(assets=[harmonise, marts])


def _events(built: run.Build, expected: Collection[dg.AssetCheckKey]) -> Iterator[Any]:
    """What dbt said as Dagster says it."""
    for model in built.models:
        yield dg.MaterializeResult(
            asset_key=[model.schema, model.name], metadata={"seconds": round(model.seconds, 3)}
        )
    for check in built.checks:
        for key in (k for k in expected if k.name == check["check"]):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=check["status"] == "passed",
                severity=dg.AssetCheckSeverity.WARN
                if check["severity"] == "warning"
                else dg.AssetCheckSeverity.ERROR,
                metadata={"failures": int(str(check["n_failed"])), "message": str(check["message"] or "")},
            )


def _built(built: run.Build) -> None:
    if built.failures:
        raise dg.Failure("; ".join(built.failures), allow_retries=False)
