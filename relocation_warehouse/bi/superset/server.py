"""A Superset server on this machine for as long as a block runs.

Belongs here: starting and stopping the process, and its secrets. Does not belong here: what it shows (`bundle`).
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from relocation_warehouse.ground.paths import CHECKOUT

BINARIES = CHECKOUT / ".venv-superset" / "bin"
HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
SECONDS_TO_START = 180


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes
    ----------
    url
        Where it listens.
    username, password
        Its administrator.
    """

    url: str
    username: str
    password: str


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path, port: int) -> Iterator[Server]:
    """Start Superset, and stop the process that was started when the block ends.

    Parameters
    ----------
    home
        Folder of its own database, log and secret key; created where it does not exist.
    port
        Port on 127.0.0.1.

    Raises
    ------
    RuntimeError
        It did not start; the message ends with its log.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = os.environ.get("SUPERSET_ADMIN_PASSWORD") or secrets.token_urlsafe(12)
    environment = os.environ | {
        "SUPERSET_HOME": str(home),
        "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py"),
        "SUPERSET_SECRET_KEY": os.environ.get("SUPERSET_SECRET_KEY") or _secret_key(home),
        "SUPERSET_ADMIN_PASSWORD": password,
    }
    log = home / "server.log"
    with log.open("w", encoding="utf-8") as output:
        prepared = subprocess.run(
            [BINARIES / "python", HERE / "prepare.py"],
            env=environment,
            stdout=output,
            stderr=output,
            check=False,
        )
        if prepared.returncode != 0:
            raise RuntimeError(f"Superset could not be prepared:\n{_end(log)}")
        process = subprocess.Popen(
            [
                *(BINARIES / "gunicorn", "--bind", f"{HOST}:{port}", "--workers", "1", "--threads", "8"),
                *("--timeout", "120", "superset.app:create_app()"),
            ],
            env=environment,
            stdout=output,
            stderr=output,
        )
    url = f"http://{HOST}:{port}"
    try:
        _wait(url, process, log)
        yield Server(url, "admin", password)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _secret_key(home: Path) -> str:
    """Return the key of this home, made on first use; readable by its owner only."""
    path = home / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32), encoding="ascii")
    return path.read_text(encoding="ascii")


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"Superset did not start:\n{_end(log)}")


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]
