"""A server that is run in front of a person answers, says why not, and leaves no process behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relocation_warehouse.command.serving import answers, serve

SERVER = """
import http.server, os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
# a grandchild in a session of its own, as code servers are
child = subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
open(sys.argv[2], "w").write(f"{os.getpid()} {child.pid}")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
RUN = """
import sys
from pathlib import Path
from relocation_warehouse.command.serving import serve
folder = Path(sys.argv[2])
why = serve([sys.executable, str(folder / "server.py"), sys.argv[1], str(folder / "pids")], int(sys.argv[1]),
            folder / "log", lambda address: print(address, flush=True), folder=folder)
print(why)
sys.exit(bool(why))
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # an orphan that ended waits for process 1 to take note of it
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_all_its_processes_end_within_ten_seconds(tmp_path, port, sent):
    (tmp_path / "server.py").write_text(SERVER)
    runner = subprocess.Popen(
        [sys.executable, "-c", RUN, str(port), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert runner.stdout is not None
    assert runner.stdout.readline().strip() == f"http://127.0.0.1:{port}"
    assert answers(port)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert not any(map(is_gone, pids))
    start = time.monotonic()
    runner.send_signal(sent)
    assert runner.wait(15) == 0
    assert time.monotonic() - start < 10
    assert all(map(is_gone, pids))


def test_a_port_in_use_is_said_before_anything_starts(tmp_path, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        why = serve(["/nonexistent"], port, tmp_path / "log", print, folder=tmp_path)
    assert f"port {port} is not free" in why
    assert "--port" in why


def test_a_server_that_ends_before_it_answers_says_why(tmp_path, port):
    command = [sys.executable, "-c", "import sys; print('the last word'); sys.exit(3)"]
    why = serve(command, port, tmp_path / "log", print, folder=tmp_path)
    assert "status 3" in why
    assert "the last word" in why
    assert str(tmp_path / "log") in why


def test_a_server_that_never_answers_is_ended(tmp_path, port):
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    start = time.monotonic()
    assert "did not answer within 1 s" in serve(
        command, port, tmp_path / "log", print, folder=tmp_path, patience=1
    )
    assert time.monotonic() - start < 12
