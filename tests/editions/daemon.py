"""Dagster's daemon of a warehouse under test: started, killed and started again as a service manager does.

Belongs here: the daemon's process, and what its records say of the runs that it started. Does not belong here: what is
disturbed, or what a run gives.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.ground.turn import holder, taken_by

COMMAND = [Path(sys.executable).with_name("dagster-daemon"), "run", "-m", "dagster_project.definitions"]
JOB = "refresh_survey"
PATIENCE = 900
"""Seconds within which a run that is due has come to its end on a machine with other work."""
GRACE = 60
"""Seconds that a daemon which was asked to end may take."""
UNFINISHED = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}


class Daemon:
    """The daemon of the warehouse that `environment` names; `log` is what it says."""

    def __init__(self, environment, lock, log):
        self.environment, self.lock, self.log = environment, lock, log
        self.process, self.starts, self.seen = None, 0, set()

    def keep(self):
        """Start the daemon where it is not running, as a service manager does."""
        if self.process is None or self.process.poll() is not None:
            self.starts += 1
            with self.log.open("a", encoding="utf-8") as log:
                self.process = subprocess.Popen(
                    COMMAND,
                    cwd=CHECKOUT,
                    env=os.environ | self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def stop(self, sent=signal.SIGTERM):
        """End the daemon by its own process id, and see that it has ended."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, sent)
            self.process.wait(GRACE)

    def runs(self):
        """Status of each run that the sensor asked for, by run id, the last first."""
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            found = {r.run_id: r.status.value for r in instance.get_runs(dg.RunsFilter(job_name=JOB))}
        self.seen |= set(found)
        return found

    def new_run(self, known):
        """Wait until there is a run that is not among `known` and has the turn or has ended; gives its id."""
        return self._waited_for(
            lambda: next(
                (
                    r
                    for r, s in self.runs().items()
                    if r not in known and (s not in UNFINISHED or self.works())
                ),
                None,
            ),
            "the daemon started no run for a file in the inbox",
        )

    def ended(self, run_id):
        """Wait until a run has ended; gives its status."""
        return self._waited_for(
            lambda: (s := self.runs()[run_id]) not in UNFINISHED and s, "a run of the daemon did not end"
        )

    def works(self):
        """Process id of the run of the daemon that has the turn; None where none has."""
        who = holder(self.lock) if taken_by(self.lock) else None
        return who.pid if who and who.command.startswith(JOB) else None

    def _waited_for(self, seen, otherwise):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.keep()
            found = seen()
            if found:
                return found
            time.sleep(1)
        raise AssertionError(f"{otherwise}: {self.runs()}\n{self.log.read_text(encoding='utf-8')[-3000:]}")
