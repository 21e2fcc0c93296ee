"""Real servers for the tests: PostgreSQL in a folder of its own, started and stopped here.

Run by `make test-services`; `make test` leaves this folder out.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest
from servers import PASSWORD, Postgres, free_port

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.lake.catalog import Lake

# helpers of other suites: a warehouse that a test may change, and a build that needs no refresh
for suite in ("integration", "editions"):
    sys.path.append(str(CHECKOUT / "tests" / suite))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The server; stopped at the end by the process id that it wrote."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parent
    # not under pytest's folders, which only their owner may enter
    folder = Path(f"/tmp/warehouse-postgres-{os.getpid()}")
    folder.mkdir(mode=0o755)
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    server = Postgres(binaries, folder, free_port())
    arguments = ("-U", server.user, "--auth=scram-sha-256", "--pwfile", folder / "password", "--no-sync")
    server.run("initdb", "-D", folder / "data", *arguments)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def lake(postgres, tmp_path, request):
    """An empty lake."""
    database = f"lake_{abs(hash(request.node.nodeid))}"
    return Lake(postgres.create(database), tmp_path / "lake")


@pytest.fixture
def environment(lake, tmp_path, monkeypatch):
    """A warehouse in the temporary folder, and that lake, for this process and those it starts."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("catalog", "surveys", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    for name, value in {
        "WAREHOUSE_DATA": data,
        "WAREHOUSE_LAKE": lake.url,
        "WAREHOUSE_LAKE_DATA": lake.folder,
    }.items():
        monkeypatch.setenv(name, str(value))
    return data
