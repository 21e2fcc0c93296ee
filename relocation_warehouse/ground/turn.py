"""Turns: what only one process at a time may do to a warehouse, and who is doing it.

The system gives a turn back however the process ends, so none is ever left behind. Belongs here: taking a turn, and
saying who has it. Does not belong here: what is done in it.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

_HELD: dict[Path, int] = {}
"""How often this process has taken each turn: a refresh runs jobs that take it again."""


@dataclass(frozen=True)
class Holder:
    """Who has a turn.

    Attributes
    ----------
    pid
        Process.
    command
        What it runs, in words.
    since
        When it began, UTC.
    """

    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) since {self.since}"


def holder(lock: Path) -> Holder | None:
    """Who has the turn, as it said itself; None where nobody said, as in the instant after it was taken."""
    try:
        return Holder(**json.loads(lock.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def taken_by(lock: Path) -> str:
    """Who has the turn now, in words; empty where nobody has it."""
    try:
        with lock.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return str(holder(lock) or "another process")
    except OSError:
        pass
    return ""


def this_command() -> str:
    """What this process runs."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _told(said: str) -> None:
    """Report to nobody."""


@contextmanager
def turn(lock: Path, tell: Callable[[str], object] = _told, command: str = "") -> Iterator[None]:
    """Do what only one process may do, once it is this one's turn.

    Parameters
    ----------
    lock
        File that stands for the turn; its folder exists.
    tell
        Told in one sentence who is waited for, where somebody is.
    command
        What this process does, for those who wait; by default its command line.
    """
    lock = lock.resolve()
    if lock in _HELD:
        _HELD[lock] += 1
        try:
            yield
        finally:
            _HELD[lock] -= 1
        return
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for {holder(lock) or 'another process'} to end; Ctrl-C gives up")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        here = Holder(os.getpid(), command or this_command(), datetime.now(UTC).isoformat(timespec="seconds"))
        json.dump(asdict(here), file)
        file.flush()
        _HELD[lock] = 1
        try:
            yield
        finally:
            del _HELD[lock]
            file.truncate(0)
