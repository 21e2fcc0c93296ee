"""One process at a time: the others wait, and know for whom."""

import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from relocation_warehouse.command import cli
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.ground.turn import holder, taken_by, turn

OTHER = """
import sys
from pathlib import Path
from relocation_warehouse.ground.turn import turn
with turn(Path(sys.argv[1]), command="warehouse refresh --force"):
    print("mine", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "refresh.lock"


@pytest.fixture
def other(lock):
    """Another process that has the turn until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"mine\n"
    yield process
    process.kill()
    process.wait()


def test_who_waits_is_told_for_whom_in_one_sentence_and_then_has_the_turn(lock, other):
    told = []

    def tell(said):
        told.append(said)
        other.stdin.close()  # it ends

    with turn(lock, tell):
        assert holder(lock).pid == os.getpid()
    (said,) = told
    assert said.startswith(f"waiting for process {other.pid} (warehouse refresh --force) since 20")
    assert "\n" not in said


def test_a_turn_ends_with_its_process_however_that_ends(lock, other):
    assert str(other.pid) in taken_by(lock)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert taken_by(lock) == ""
    with turn(lock, pytest.fail):
        assert str(os.getpid()) in taken_by(lock)


def test_a_turn_is_taken_again_within_itself(lock):
    with turn(lock):
        with turn(lock, pytest.fail):
            pass
        assert taken_by(lock)
    assert taken_by(lock) == ""


def test_a_lock_that_says_nonsense_is_still_a_lock(lock, other):
    lock.write_text("{", encoding="utf-8")
    assert taken_by(lock) == "another process"


@pytest.fixture
def warehouse(monkeypatch, tmp_path):
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(CHECKOUT / "data" / name)
    for name in ("surveys", "warehouse"):
        (tmp_path / name).mkdir()
    return Paths.from_environment()


def test_status_says_who_refreshes(warehouse):
    with turn(warehouse.refresh_lock, command="warehouse refresh"):
        said = CliRunner().invoke(cli.app, ["status"]).stdout
    assert f"a refresh is running: process {os.getpid()} (warehouse refresh)" in " ".join(said.split())


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(28, "No space left on device"), 1, "stopped by OSError: [Errno 28] No space left on device"),
        (RuntimeError("who knows"), 1, "the trace is in"),
        (KeyboardInterrupt(), 130, "interrupted; what was published before stays"),
    ],
)
def test_an_error_that_nobody_foresaw_is_one_sentence(warehouse, monkeypatch, capsys, error, status, said):
    def app():
        raise error

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # taken back afterwards
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    words = capsys.readouterr().err
    assert said in words
    assert "Traceback" not in words
    if isinstance(error, Exception):
        log = warehouse.warehouse / "error.log"
        assert log.stat().st_mode & 0o077 == 0
        assert type(error).__name__ in log.read_text(encoding="utf-8")


class Tidied:
    """Something that is being tidied up when an interrupt comes, where Python only prints it."""

    def __init__(self, error):
        self.error = error

    def __del__(self):
        raise self.error


def test_an_interrupt_that_comes_while_python_tidies_up_is_not_lost(monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", cli._interrupt_again)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        Tidied(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            time.sleep(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "Traceback" not in capsys.readouterr().err
    Tidied(OSError("seen"))
    assert "seen" in capsys.readouterr().err
