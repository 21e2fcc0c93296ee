"""A refresh that is killed must not make the next one wait for it."""

import multiprocessing
import shutil
import time

import dagster as dg
import pytest
from dagster._core.storage.tags import TagType, get_tag_type

from relocation_warehouse.command.killed_runs import TAG, end_killed_runs, living_process
from relocation_warehouse.ground.paths import CHECKOUT

POOL = "duckdb_writer"


@dg.op(pool=POOL)
def write(context):
    """Hold the pool for as long as the tags of the run say."""
    time.sleep(float(context.run.tags["seconds"]))


@dg.job(executor_def=dg.in_process_executor)
def writing():
    write()


def _write(home, seconds):
    """Run the job in this process; with the pools of the checkout."""
    with dg.DagsterInstance.from_config(str(home)) as instance, living_process(instance) as alive:
        return writing.execute_in_process(instance=instance, tags={"seconds": str(seconds), **alive}).success


@pytest.fixture
def home(tmp_path):
    shutil.copy(CHECKOUT / ".dagster" / "dagster.yaml", tmp_path)
    return tmp_path


@pytest.fixture
def instance(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def running(home, instance):
    """A process that holds the pool for an hour."""
    child = multiprocessing.get_context("spawn").Process(target=_write, args=(home, 3600))
    child.start()
    for _ in range(1200):
        if holders(instance):
            break
        time.sleep(0.1)
    yield child
    child.kill()
    child.join()


def holders(instance):
    return [slot.run_id for slot in instance.event_log_storage.get_concurrency_info(POOL).claimed_slots]


def test_a_run_whose_process_was_killed_has_failed_and_holds_nothing(home, instance, running):
    (killed,) = holders(instance)
    running.kill()
    running.join()
    assert end_killed_runs(instance) == [killed]
    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == []
    assert _write(home, 0)


def test_a_run_that_was_failed_by_others_leaves_no_slot_behind(home, instance, running):
    (killed,) = holders(instance)
    running.kill()
    running.join()
    instance.report_run_failed(instance.get_run_by_id(killed), "as the daemon says of a run that it started")
    assert holders(instance) == [killed]
    assert end_killed_runs(instance) == []
    assert holders(instance) == []


def test_a_run_that_goes_on_keeps_what_it_holds(instance, running):
    (held_by,) = holders(instance)
    assert end_killed_runs(instance) == []
    assert holders(instance) == [held_by]
    assert instance.get_run_by_id(held_by).status == dg.DagsterRunStatus.STARTED


def test_a_run_of_the_command_says_so_and_shows_no_path(home, instance):
    assert _write(home, 0)
    (run,) = instance.get_runs()
    shown = {k: v for k, v in run.tags.items() if get_tag_type(k) is not TagType.HIDDEN}
    assert shown["started_by"] == "warehouse refresh"
    assert [tag for tag, value in shown.items() if str(home) in value] == []
    assert str(home) in run.tags[TAG]


def test_nothing_is_left_of_a_run_that_has_ended(home, instance):
    assert _write(home, 0)
    assert list((home / "processes").iterdir()) == []
    assert end_killed_runs(instance) == []
