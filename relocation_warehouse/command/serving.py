"""Keep a server in front of a person: say where it answers, or why it does not, and leave nothing behind.

Belongs here: starting, watching and stopping one program with all processes that it starts. Does not belong here:
which program (`cli`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from urllib.error import URLError
from urllib.request import urlopen

GRACE = 5.0
"""Seconds that processes get to end by themselves; all are gone within twice as many."""


class Stopped(Exception):
    """A signal asked the server to end."""


def serve(
    command: Sequence[str],
    port: int,
    log: Path,
    tell: Callable[[str], None],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    patience: float = 180.0,
) -> str:
    """Run a server on 127.0.0.1 until it ends or this process is asked to.

    Parameters
    ----------
    command
        What to run.
    port
        Where it will answer.
    log
        File for everything that it prints.
    tell
        Shown the address once it answers.
    folder
        Where to run it.
    environment
        Of the server; that of this process where None.
    patience
        Seconds until it has to answer.

    Returns
    -------
    str
        Why it does not serve; empty where it was asked to stop.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return f"port {port} is not free ({error.strerror}); stop what uses it, or choose another with --port"

    def stop(signum: int, frame: FrameType | None) -> None:
        raise Stopped

    before = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        end = time.monotonic() + patience
        while not answers(port):
            if process.poll() is not None:
                return f"it ended with status {process.returncode} before it answered: {_last_words(log)}"
            if time.monotonic() > end:
                return f"it did not answer within {patience:.0f} s: {_last_words(log)}"
            time.sleep(0.2)
        tell(f"http://127.0.0.1:{port}")
        process.wait()
        return f"it ended with status {process.returncode}: {_last_words(log)}"
    except Stopped:
        return ""
    finally:
        for s in before:
            signal.signal(s, signal.SIG_IGN)
        end_all(process)
        for s, handler in before.items():
            signal.signal(s, handler)


def answers(port: int) -> bool:
    """Whether a web server answers there, whatever it says."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=2):
            return True
    except URLError as error:
        return hasattr(error, "code")
    except OSError:
        return False


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].strip() if lines else 'it said nothing'}; all it said is in {log}"


def end_all(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, first with SIGTERM; some of them lead process groups."""
    family = {process.pid, *descendants(process.pid)}
    _signal(family, signal.SIGTERM)
    end = time.monotonic() + GRACE
    while time.monotonic() < end and any(map(_is_alive, family)):
        process.poll()
        family |= descendants(*family)
        time.sleep(0.1)
    _signal(family, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE / 2)


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _state(pid) != "Z"


def _table() -> list[tuple[int, int, str]]:
    """Process, parent and state of every process: `ps` is the same on Linux and macOS."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=False
    )
    rows = (line.split() for line in listed.stdout.splitlines())
    return [(int(row[0]), int(row[1]), row[2][:1]) for row in rows if len(row) >= 3]


def _state(pid: int) -> str:
    return next((state for process, _, state in _table() if process == pid), "Z")


def descendants(*pids: int) -> set[int]:
    """Children of processes, their children, and so on."""
    table = _table()
    known: set[int] = set()
    fresh = set(pids)
    while fresh:
        fresh = {pid for pid, parent, _ in table if parent in fresh} - known
        known |= fresh
    return known - set(pids)
