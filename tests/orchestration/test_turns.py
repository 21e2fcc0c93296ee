"""Runs of Dagster take their turn as refreshes from the command line do; what only looks never waits."""

import os
import subprocess
import sys

import dagster as dg

from dagster_project.resources import Warehouse
from relocation_warehouse.ground.turn import taken_by

HOLD = """
import sys
from pathlib import Path
from relocation_warehouse.ground.turn import turn
with turn(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


@dg.op
def who_has_the_turn(warehouse: Warehouse) -> str:
    return taken_by(warehouse.paths.refresh_lock)


@dg.job
def ask():
    who_has_the_turn()


def test_a_run_has_the_turn_from_its_first_step_to_its_last(tmp_path):
    warehouse = Warehouse(data=str(tmp_path))
    done = ask.execute_in_process(resources={"warehouse": warehouse})
    assert f"process {os.getpid()} (ask, a run of Dagster)" in done.output_for_node("who_has_the_turn")
    assert taken_by(warehouse.paths.refresh_lock) == ""


def test_a_sensor_does_not_wait_for_a_refresh(tmp_path):
    warehouse = Warehouse(data=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, warehouse.paths.refresh_lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"mine\n"
        with dg.build_resources({"warehouse": warehouse}) as resources:
            assert str(other.pid) in taken_by(resources.warehouse.paths.refresh_lock)
        other.stdin.close()
