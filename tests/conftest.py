"""What whole suites share: one undisturbed refresh of the surveys in the checkout."""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from relocation_warehouse.ground.kept import FOLDER_VARIABLE
from relocation_warehouse.ground.paths import CHECKOUT

# `make test-services`, `make test-spark` and `make test-explore` run them in environments of their own
NEEDS = {"services": "duckdb_extension_ducklake", "spark": "pyspark", "explore": "marimo"}
collect_ignore = [folder for folder, library in NEEDS.items() if not find_spec(library)]


OWN_WAREHOUSE = {"tests/real_surveys"}
"""Folders whose session has a refresh that no other worker should repeat or wait for."""

SLOW_FIXTURES = {"refreshed", "published", "location"}
"""Fixtures that take a refresh, or load all of the orchestration."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast", action="store_true", help="leave out what needs a refresh, a browser or a server"
    )
    parser.addoption(
        "--long", action="store_true", help="run what is left out otherwise because it takes minutes"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # with two workers, files that take minutes go first: one that began last would be waited for by an idle worker
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow_files)
    left_out = [item for item in items if _is_left_out(item, config)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item, config: pytest.Config) -> bool:
    if item.get_closest_marker("long") and not config.getoption("--long"):
        return True
    needs_much = (
        SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
        or item.get_closest_marker("slow")
        or "browser" in item.path.name
    )
    return bool(config.getoption("--fast") and needs_much)


class ByWarehouse(LoadFileScheduling):
    """The files of a folder that has a warehouse of its own run in one worker; all others one by one, as they come."""

    def _split_scope(self, nodeid: str) -> str:
        folder, _, file = super()._split_scope(nodeid).rpartition("/")
        return folder if folder in OWN_WAREHOUSE else f"{folder}/{file}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWarehouse | None:
    return ByWarehouse(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def own_dagster_instance(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the runs of the tests out of the checkout's history, and those of two workers apart."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copy(CHECKOUT / ".dagster" / "dagster.yaml", home)
    os.environ["DAGSTER_HOME"] = str(home)


@pytest.fixture(scope="session", autouse=True)
def kept_together(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """What one test had computed from the same rows by the same code is taken by the next, as in one warehouse."""
    base = tmp_path_factory.getbasetemp()
    os.environ.setdefault(FOLDER_VARIABLE, str((base if worker_id == "master" else base.parent) / "kept"))


@pytest.fixture(scope="session")
def refreshed(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The `data/` folder of a warehouse after one refresh; tests that change anything work on a copy.

    `WAREHOUSE_REFRESHED` names one of these surveys that was refreshed already; a copy of it saves a minute.
    """
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "refreshed"
    root.mkdir(exist_ok=True)
    data = root / "data"
    # workers share it: the first one to come builds, the others wait
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            data.mkdir()
            for name in ("catalog", "surveys", "literature"):
                (data / name).symlink_to(CHECKOUT / "data" / name)
            given = os.environ.get("WAREHOUSE_REFRESHED")
            for name in ("inbox", "landing", "warehouse", "published") if given else ():
                shutil.copytree(Path(str(given)) / name, data / name, symlinks=True)
            # nothing to do where what was given is up to date
            _refresh(data)
    return data


def _refresh(data: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "refresh"],
        cwd=CHECKOUT,
        env=os.environ | {"WAREHOUSE_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.fixture(scope="session")
def published(refreshed: Path) -> Path:
    """What that refresh published."""
    return refreshed / "published"
