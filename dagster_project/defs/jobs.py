"""Jobs, schedule and sensors: how refreshes start, and who hears of a failure.

Belongs here: selections and triggers. Does not belong here: work.
"""

import json
import os
import urllib.request

import dagster as dg

from dagster_project.defs.ingest.assets import ANSWERS
from dagster_project.partitions import register, surveys
from dagster_project.resources import Warehouse
from relocation_warehouse.ground.state import inbox_digest, inbox_files, summary

EVERYTHING = dg.AssetSelection.all()
RECEIVED = dg.AssetSelection.assets(ANSWERS)
HARMONISED = dg.AssetSelection.key_prefixes("staging")
DECLARED = dg.AssetSelection.key_prefixes("reference")

WEBHOOK = "WAREHOUSE_FAILURE_WEBHOOK"
"""Environment variable with the URL that is told of every failed step."""
WEBHOOK_SECONDS = 10


@dg.failure_hook
def tell_of_failure(context: dg.HookContext) -> None:
    """Log what failed and post it as JSON to the URL in the environment, if there is one."""
    error = context.op_exception
    text = f"{context.job_name}: {context.step_key} failed: {error}"
    context.log.error(text)
    url = os.environ.get(WEBHOOK)
    if not url:
        return
    if not url.startswith(("http://", "https://")):
        context.log.error(f"{WEBHOOK} is not an http address; no notification was sent")
        return
    body = {"text": text, "job": context.job_name, "step": context.step_key, "run_id": context.run_id}
    request = urllib.request.Request(
        url, json.dumps(body, ensure_ascii=False).encode(), {"Content-Type": "application/json"}
    )
    try:
        urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS).close()
    except OSError as problem:
        # a failed refresh must not fail differently because the webhook does not answer
        context.log.error(f"could not tell {WEBHOOK} of it: {problem}")


HOOKS = {tell_of_failure}

receive = dg.define_asset_job(
    "receive_survey",
    RECEIVED,
    partitions_def=surveys,
    hooks=HOOKS,
    description="Receive the files of a survey.",
)
declare = dg.define_asset_job(
    "declare_surveys",
    DECLARED,
    hooks=HOOKS,
    description="What surveys, catalog and papers declare, as tables.",
)
harmonise = dg.define_asset_job(
    "harmonise_surveys",
    HARMONISED,
    partitions_def=surveys,
    hooks=HOOKS,
    description="Harmonise surveys that were received.",
)
publish = dg.define_asset_job(
    "publish_warehouse",
    EVERYTHING - RECEIVED - DECLARED - HARMONISED,
    hooks=HOOKS,
    description="Marts, analysis, audit and publication.",
)

one_survey = dg.define_asset_job(
    "refresh_survey",
    EVERYTHING,
    partitions_def=surveys,
    hooks=HOOKS,
    description="Refresh a survey and everything that depends on it.",
)


@dg.schedule(
    name="daily",
    cron_schedule="0 5 * * *",
    execution_timezone="Asia/Shanghai",
    job=one_survey,
    description="Every survey that changed, once a day, before people come to work.",
)
def daily(context: dg.ScheduleEvaluationContext, warehouse: Warehouse) -> list[dg.RunRequest] | dg.SkipReason:
    """One run for each survey whose files, code or catalog changed since it was received."""
    register(context.instance, list(warehouse.survey_ids))
    day = context.scheduled_execution_time.date().isoformat()
    due = [s for s, row in summary(warehouse.paths).items() if row["status"] in {"new", "stale", "failed"}]
    if not due:
        return dg.SkipReason("nothing changed since the last refresh")
    return [dg.RunRequest(f"{day}/{s}", partition_key=s, tags={"survey": s}) for s in due]


@dg.sensor(
    job=one_survey,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="A new survey folder becomes a partition; a file dropped into data/inbox/<survey>/ starts its refresh.",
)
def inbox(context: dg.SensorEvaluationContext, warehouse: Warehouse) -> dg.SensorResult:
    """Start each survey whose inbox changed, once its files have been still from one look to the next.

    The cursor holds by survey what was seen at the last look (sizes and times) and the digest started last.
    """
    before = json.loads(context.cursor or "{}")
    after, requests = {}, []
    for survey_id in warehouse.survey_ids:
        last = before.get(survey_id, {"seen": {}, "digest": ""})
        seen, digest = inbox_files(warehouse.paths, survey_id), last["digest"]
        if seen == last["seen"] and not last.get("is_checked"):
            digest = inbox_digest(warehouse.paths, survey_id)
            if digest != last["digest"]:
                requests.append(dg.RunRequest(partition_key=survey_id, tags={"survey": survey_id}))
        after[survey_id] = {"seen": seen, "digest": digest, "is_checked": seen == last["seen"]}
    known = set(context.instance.get_dynamic_partitions(str(surveys.name)))
    new = [s for s in warehouse.survey_ids if s not in known]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[surveys.build_add_request(new)] if new else None,
        cursor=json.dumps(after),
    )
