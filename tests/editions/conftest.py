import os
import shutil

import pytest
from browser import CHROMIUM, DRIVER, MISSING
from made_up_build import build

FOUND = CHROMIUM and DRIVER

# on a machine of one's own the browser is optional; in continuous integration its absence must not go unseen
if not FOUND and "CI" not in os.environ:
    collect_ignore = ["test_report_in_browser.py"]


def pytest_report_header():
    result = FOUND or f"not found, the report is not opened in a browser ({MISSING})"
    return f"browser: {result}"


@pytest.fixture(scope="session")
def sound_build(tmp_path_factory):
    """A build that passes the audit; tests read it."""
    return build(tmp_path_factory.mktemp("build") / "build.duckdb")


@pytest.fixture
def database(sound_build, tmp_path):
    """A build of its own, to be damaged."""
    return shutil.copy(sound_build, tmp_path / "build.duckdb")
