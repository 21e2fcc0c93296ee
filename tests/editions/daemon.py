"""Dagster's daemon of a warehouse under test, and its code server: kept running as a service manager does.

Belongs here: their processes, and what its records say of the runs that it started. Does not belong here: what is
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

BINARIES = Path(sys.executable).parent
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
        self.socket = str(log.with_suffix(".socket"))
        self.code, self.process, self.starts, self.seen = None, None, 0, set()

    def keep(self):
        """Start what is not running."""
        if not _is_alive(self.code):
            Path(self.socket).unlink(missing_ok=True)
            self.code = self._start(
                "dagster", "api", "grpc", "--socket", self.socket, "-m", "dagster_project.definitions"
            )
        if not _is_alive(self.process):
            self.starts += 1
            self.process = self._start("dagster-daemon", "run", "--grpc-socket", self.socket)

    def _start(self, name, *arguments):
        with self.log.open("a", encoding="utf-8") as log:
            return subprocess.Popen(
                [BINARIES / name, *arguments],
                cwd=CHECKOUT,
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self):
        """Kill the daemon alone, by its own process id."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(GRACE)

    def stop(self):
        """End daemon and code server, each by its own process id."""
        for process in filter(_is_alive, (self.process, self.code)):
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()

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


def _is_alive(process):
    return process is not None and process.poll() is None
