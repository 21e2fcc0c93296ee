"""Records of runs that somebody or something wrote over are begun anew, and whole ones are left alone."""

import shutil

import dagster as dg
import pytest

from relocation_warehouse.command.killed_runs import TAG, end_killed_runs
from relocation_warehouse.command.run_records import set_aside_damaged
from relocation_warehouse.ground.paths import CHECKOUT


@dg.job(executor_def=dg.in_process_executor)
def nothing_to_do():
    pass


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """An instance with a run that has ended, and one whose process is gone."""
    folder = tmp_path_factory.mktemp("records")
    shutil.copy(CHECKOUT / ".dagster" / "dagster.yaml", folder)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        nothing_to_do.execute_in_process(instance=instance)
        killed = instance.create_run_for_job(
            nothing_to_do, tags={TAG: str(folder / "gone")}, status=dg.DagsterRunStatus.STARTED
        )
        instance.report_engine_event("began", killed)
    return folder


@pytest.fixture
def home(records, tmp_path):
    return shutil.copytree(records, tmp_path / "home")


def write_over(database):
    """Put what no database is in place of its pages; what waits beside it would put them back."""
    for beside in database.parent.glob(f"{database.name}-*"):
        beside.unlink()
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))


@pytest.mark.parametrize(
    ("name", "aside"),
    [
        ("history/runs.db", "history.damaged"),
        ("history/runs/index.db", "history.damaged"),
        ("schedules/schedules.db", "schedules.damaged"),
    ],
)
def test_damaged_records_are_set_aside_and_begun_anew(home, name, aside):
    (home / aside).mkdir()  # what was set aside before makes room
    write_over(home / name)
    assert set_aside_damaged(home) == [home / aside]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert nothing_to_do.execute_in_process(instance=instance).success
    assert set_aside_damaged(home) == []


def test_whole_records_stay(home):
    assert set_aside_damaged(home) == []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert len(instance.get_runs()) == 2


def test_a_killed_run_is_ended_although_its_events_cannot_be_read(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (killed,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    write_over(home / "history" / "runs" / f"{killed.run_id}.db")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert end_killed_runs(instance) == [killed.run_id]
        assert instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE
