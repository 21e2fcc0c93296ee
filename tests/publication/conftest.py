import shutil

import pytest
from made_up_build import build


@pytest.fixture(scope="session")
def sound_build(tmp_path_factory):
    """A build that passes the audit; tests read it."""
    return build(tmp_path_factory.mktemp("build") / "build.duckdb")


@pytest.fixture
def database(sound_build, tmp_path):
    """A build of its own, to be damaged."""
    return shutil.copy(sound_build, tmp_path / "build.duckdb")
