"""Runs that ended with the code server."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from dagster_project.cut_off import fail_runs_cut_off, wait_for_code_server


@dg.job
def some_job():
    """A job that is never run."""


@pytest.mark.parametrize(
    ("status", "after"),
    [
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.NOT_STARTED),
        (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS),
    ],
)
def test_only_runs_under_way_were_cut_off(tmp_path, status, after):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run = instance.create_run_for_job(some_job, status=status)
        now = datetime.now(UTC)
        assert fail_runs_cut_off(instance, now - timedelta(minutes=1)) == 0, (
            "a run of the server that started then"
        )
        assert fail_runs_cut_off(instance, now) == (status != after)
        assert instance.get_run_by_id(run.run_id).status == after
        assert fail_runs_cut_off(instance, datetime.now(UTC)) == 0


def test_a_code_server_that_never_answers_is_waited_for_no_longer_than_said():
    assert not wait_for_code_server(port=1, seconds=0.1)
