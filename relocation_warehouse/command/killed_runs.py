"""Runs whose process was killed: a run that cannot say that it has ended keeps its slots, and all others wait for it.

Every process holds a lock on a file of its own, named in the tags of its runs; the system gives the lock back however
the process ends. Belongs here: the lock, ending runs whose lock is free, and slots of runs that have ended. Does not
belong here: ending runs that Dagster's daemon started, which its run monitoring does.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from relocation_warehouse.command.run_records import forget_unreadable_events

if TYPE_CHECKING:
    from dagster import DagsterInstance

TAG = ".dagster/warehouse_process"
"""Tag of a run with the file that its process has locked; Dagster's pages hide tags that begin so."""

STARTED_BY = {"started_by": "warehouse refresh"}
"""What a run of the command says of itself where runs are listed."""


@contextmanager
def living_process(instance: DagsterInstance) -> Iterator[dict[str, str]]:
    """Tags for the runs of this process; while the `with` block lasts, others see that it lives."""
    folder = Path(instance.root_directory) / "processes"
    folder.mkdir(exist_ok=True)
    path = folder / uuid.uuid4().hex
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield {TAG: str(path), **STARTED_BY}
        finally:
            path.unlink()


def end_killed_runs(instance: DagsterInstance) -> list[str]:
    """Report runs as failed whose process is gone, and free slots of all that have ended; returns ids of the former."""
    from dagster import DagsterRunStatus, RunsFilter

    unfinished = [
        run
        for run in instance.get_runs(
            RunsFilter(statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
        )
        if TAG in run.tags and not _is_alive(Path(run.tags[TAG]))
    ]
    for run in unfinished:
        forget_unreadable_events(Path(instance.root_directory), run.run_id)
        instance.report_run_failed(run, "The process of this run was killed.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        Path(run.tags[TAG]).unlink(missing_ok=True)
    _free_slots_of_ended(instance)
    return [run.run_id for run in unfinished]


def _free_slots_of_ended(instance: DagsterInstance) -> None:
    """Free what a run that the daemon started held when it was killed: Dagster fails the run and leaves its slots."""
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        for slot in storage.get_concurrency_info(pool).claimed_slots:
            run = instance.get_run_by_id(slot.run_id)
            if run is None or run.is_finished:
                storage.free_concurrency_slots_for_run(slot.run_id)


def _is_alive(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
