import os
import shutil

import pytest
from made_up_build import build

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# on a machine of one's own the browser is optional; in continuous integration its absence must not go unseen
if CHROMIUM is None and "CI" not in os.environ:
    collect_ignore = ["test_report_in_browser.py"]


def pytest_report_header():
    found = CHROMIUM or "not found, the report is not opened in a browser (apt-get install chromium)"
    return f"browser: {found}"


@pytest.fixture(scope="session")
def sound_build(tmp_path_factory):
    """A build that passes the audit; tests read it."""
    return build(tmp_path_factory.mktemp("build") / "build.duckdb")


@pytest.fixture
def database(sound_build, tmp_path):
    """A build of its own, to be damaged."""
    return shutil.copy(sound_build, tmp_path / "build.duckdb")
