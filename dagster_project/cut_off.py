"""Fail the runs that ended with the code server, so that the daemon starts them once more: run before it starts.

The code server starts every run and notices one whose process died. Runs that died with it, at a restart or a power
cut, would stay `started` for ever and hold the queue.

Belongs here: that, and nothing else.
"""

from __future__ import annotations

import dagster as dg

UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def fail_runs_cut_off(instance: dg.DagsterInstance) -> int:
    """Fail every run that is said to be under way; returns how many."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    for run in runs:
        instance.report_run_failed(run, "the code server ended while this run was under way")
    return len(runs)


if __name__ == "__main__":
    with dg.DagsterInstance.get() as current:
        print(f"{fail_runs_cut_off(current)} run(s) were cut off")
