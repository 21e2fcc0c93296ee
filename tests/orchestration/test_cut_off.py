"""Runs that ended with the code server."""

import dagster as dg
import pytest

from dagster_project.cut_off import fail_runs_cut_off


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
        assert fail_runs_cut_off(instance) == (status != after)
        assert instance.get_run_by_id(run.run_id).status == after
        assert fail_runs_cut_off(instance) == 0
