"""A few disturbances of each kind; `make campaign` does two hundred."""

import random

import pytest
from campaign import Step

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    return Step(tmp_path_factory.mktemp("campaign"))


def test_killed_publications_leave_a_whole_version_and_converge(step, request):
    rng = random.Random(3)
    for _ in range(3 if request.config.getoption("--long") else 1):
        assert step.kill_once(rng) in ("old", "new")


@pytest.mark.long
def test_a_full_disk_is_a_plain_error_and_the_next_publication_converges(step):
    assert "could not publish to" in step.fill_the_disk(megabytes=1)
    step.converge()


@pytest.mark.long
def test_a_folder_without_permission_is_a_plain_error_and_the_next_publication_converges(step):
    assert "Permission denied" in step.withdraw_permission()
    step.converge()
