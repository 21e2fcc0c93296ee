import shutil

import pytest
from places import Place

from relocation_warehouse.ground.paths import CHECKOUT


@pytest.fixture(scope="session")
def survey_ids():
    return sorted(p.parent.name for p in (CHECKOUT / "data" / "surveys").glob("*/survey.yml"))


@pytest.fixture(scope="session")
def text_survey(survey_ids):
    """A survey whose answers are in a text file, which a test can edit."""
    place = Place(CHECKOUT / "data")
    return next(s for s in survey_ids if place.survey(s)["files"][0]["format"] == "delimited")


@pytest.fixture(scope="module")
def place(refreshed, tmp_path_factory):
    """A copy of the refreshed warehouse, with surveys that may be changed."""
    data = tmp_path_factory.mktemp("place") / "data"
    shutil.copytree(refreshed, data, symlinks=True)
    (data / "surveys").unlink()
    shutil.copytree(CHECKOUT / "data" / "surveys", data / "surveys")
    return Place(data)
