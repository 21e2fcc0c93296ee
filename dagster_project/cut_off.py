"""Fail the runs that ended with the code server, so that the daemon starts them once more: run when it starts again.

The code server starts every run and notices one whose process died. Runs that died with it, at a restart or a power
cut, would stay `started` for ever and hold the queue. The daemon tries once to start a failed run again, at once, and
for that the code server must answer: so this waits for it first.

Belongs here: that, and nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import UTC, datetime

import dagster as dg

UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
HOST = "127.0.0.1"
PATIENCE_SECONDS = 240
"""How long a code server may take to load."""


def fail_runs_cut_off(instance: dg.DagsterInstance, before: datetime) -> int:
    """Fail every run that is recorded as under way but has given no sign since; returns how many."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY, updated_before=before))
    for run in runs:
        instance.report_run_failed(run, "the code server ended while this run was under way")
    return len(runs)


def wait_for_code_server(port: int, seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait until the code server has loaded; whether it has."""
    check = [sys.executable, "-m", "dagster", "api", "grpc-health-check", "--host", HOST, "--port", str(port)]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if subprocess.run(check, capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(1)
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("port", type=int, help="port of the code server")
    # runs that the new server starts are younger than this
    began, given = datetime.now(UTC), parser.parse_args()
    if not wait_for_code_server(given.port):
        sys.exit(f"the code server does not answer at {HOST}:{given.port}; its log says why")
    with dg.DagsterInstance.get() as current:
        print(f"{fail_runs_cut_off(current, began)} run(s) were cut off")
