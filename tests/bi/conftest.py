import os
import subprocess
import sys

import pytest

from warehouse.paths import CHECKOUT


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The published folder of one undisturbed refresh of the surveys in the checkout."""
    data = tmp_path_factory.mktemp("refreshed")
    for name in ("catalog", "surveys", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    done = subprocess.run(
        [sys.executable, "-m", "warehouse.cli", "refresh"],
        cwd=CHECKOUT,
        env=os.environ | {"WAREHOUSE_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return data / "published"
