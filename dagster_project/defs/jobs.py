"""Jobs, schedule and sensors: how refreshes start.

Belongs here: selections and triggers. Does not belong here: work.
"""

import dagster as dg

from dagster_project.defs.ingest.assets import ANSWERS
from dagster_project.partitions import surveys

EVERYTHING = dg.AssetSelection.all()
RECEIVED = dg.AssetSelection.assets(ANSWERS)
HARMONISED = dg.AssetSelection.key_prefixes("staging")
DECLARED = dg.AssetSelection.key_prefixes("reference") | dg.AssetSelection.key_prefixes("raw") - RECEIVED

receive = dg.define_asset_job(
    "receive_survey", RECEIVED, partitions_def=surveys, description="Receive the files of a survey."
)
harmonise_job = dg.define_asset_job(
    "harmonise_surveys",
    DECLARED | HARMONISED,
    partitions_def=surveys,
    description="Harmonise surveys that were received.",
)
publish = dg.define_asset_job(
    "publish_warehouse",
    EVERYTHING - RECEIVED - HARMONISED,
    description="Marts, analysis, audit and publication.",
)

per_survey = [
    dg.define_asset_job(
        f"refresh_{survey_id}",
        EVERYTHING,
        partitions_def=surveys,
        tags={"dagster/partition": survey_id, "survey": survey_id},
        description=f"Refresh {survey_id} and everything that depends on it.",
    )
    for survey_id in surveys.get_partition_keys()
]


@dg.schedule(
    name="daily",
    cron_schedule="0 5 * * *",
    execution_timezone="Asia/Shanghai",
    target=dg.AssetSelection.all(),
    description="Every survey once a day, before people come to work.",
)
def daily(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """One run for each survey."""
    day = context.scheduled_execution_time.date().isoformat()
    return [
        dg.RunRequest(run_key=f"{day}/{survey_id}", partition_key=survey_id, tags={"survey": survey_id})
        for survey_id in surveys.get_partition_keys()
    ]
