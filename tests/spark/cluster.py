"""A standalone Spark cluster on loopback, and a warehouse that a test refreshes on it."""

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyspark

from relocation_warehouse.ground.paths import CHECKOUT

SPARK_HOME = Path(pyspark.__file__).parent
SETTINGS = """
# Processes of a test live for minutes: the second compiler of Java would take more time than it saves.
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1
spark.driver.memory 1g
spark.executor.memory 1g
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
"""


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def is_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_so, seconds, what):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


@dataclass
class Cluster:
    """A master and its workers; whoever starts it stops it."""

    folder: Path
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def url(self):
        return f"spark://127.0.0.1:{self.port}"

    @property
    def environment(self):
        return {
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_CONF_DIR": str(self.folder),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "PYSPARK_PYTHON": sys.executable,
            "WAREHOUSE_SPARK_MASTER": self.url,
        }

    def start(self, n_workers):
        (self.folder / "spark-defaults.conf").write_text(SETTINGS)
        self._start("master", "master.Master", "--port", str(self.port))
        wait_until(lambda: is_open(self.port), 60, "the master")
        for k in range(n_workers):
            work = self.folder / f"work{k}"
            given = ("--cores", "1", "--memory", "1g", "--work-dir", str(work), self.url)
            self._start(f"worker{k}", "worker.Worker", *given)

    def _start(self, name, program, *arguments):
        command = [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{program}"]
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--webui-port", "0", *arguments],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
            )

    def executors(self, worker):
        """Executors that a worker has started: it starts no other program."""
        process = self.processes[worker]
        return psutil.Process(process.pid).children() if process.poll() is None else []

    def stop(self):
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                process.terminate()
                process.wait(30)


@dataclass(frozen=True)
class Place:
    """A warehouse over the surveys of the checkout, and the command line on it."""

    data: Path

    @classmethod
    def make(cls, data):
        data.mkdir()
        for name in ("catalog", "surveys", "literature"):
            (data / name).symlink_to(CHECKOUT / "data" / name)
        return cls(data)

    @property
    def published(self):
        return self.data / "published" / "warehouse.duckdb"

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [Path(sys.executable).with_name("warehouse"), *arguments],
            cwd=CHECKOUT,
            env=os.environ
            | {"WAREHOUSE_DATA": str(self.data), "COLUMNS": "250", "NO_COLOR": "1"}
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        said, _ = process.communicate()
        return process.returncode, " ".join(said.split())

    def version(self):
        return (self.data / "published" / ".current").resolve().name
