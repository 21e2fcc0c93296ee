"""What whole suites share: one undisturbed refresh of the surveys in the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from warehouse.paths import CHECKOUT


@pytest.fixture(scope="session")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `data/` folder of a warehouse after one refresh; tests that change anything work on a copy."""
    data = tmp_path_factory.mktemp("warehouse") / "data"
    data.mkdir()
    for name in ("catalog", "surveys", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    done = subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "refresh"],
        cwd=CHECKOUT,
        env=os.environ | {"WAREHOUSE_DATA": str(data), "DBT_TARGET_PATH": str(data.parent / "dbt-target")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return data


@pytest.fixture(scope="session")
def published(refreshed: Path) -> Path:
    """What that refresh published."""
    return refreshed / "published"
