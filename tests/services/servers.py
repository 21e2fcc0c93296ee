"""A PostgreSQL server of a test's own."""

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "open sesame"


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server on 127.0.0.1 that asks for a password."""

    binaries: Path
    folder: Path
    port: int
    user: str = "warehouse"

    def run(self, program, *arguments):
        """Run one of its programs; not as root, which PostgreSQL refuses."""
        change = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*change, self.binaries / program, *map(str, arguments)],
            cwd=self.folder,
            env=os.environ | {"PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self):
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        log = self.folder / "log"
        self.run("pg_ctl", "start", "--wait", "-D", self.folder / "data", "-l", log, "-o", options)

    def stop(self):
        self.run("pg_ctl", "stop", "--mode=fast", "-D", self.folder / "data")

    def create(self, database):
        """A new database; gives its URL."""
        self.run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", self.user, database)
        return f"postgresql://{self.user}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def execute(self, database, sql):
        return self.run(
            "psql", "-h", "127.0.0.1", "-p", self.port, "-U", self.user, "-d", database, "-qAtc", sql
        )
