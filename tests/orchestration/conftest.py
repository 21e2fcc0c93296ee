import shutil

import dagster as dg
import pytest

from relocation_warehouse.ground.paths import CHECKOUT

DATA = CHECKOUT / "data"


@pytest.fixture(scope="session")
def location(tmp_path_factory):
    """The code location, loaded as if a warehouse of the checkout's surveys lay in a folder of its own."""
    data = tmp_path_factory.mktemp("location") / "data"
    data.mkdir()
    for name in ("catalog", "surveys", "literature"):
        (data / name).symlink_to(DATA / name)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WAREHOUSE_DATA", str(data))
        from dagster_project.definitions import defs

        return defs()


@pytest.fixture(scope="session")
def survey_id():
    """The first survey whose answers are in one text file."""
    result = sorted(p.parent for p in (DATA / "surveys").glob("*/survey.yml"))
    return next(p.name for p in result if "format: delimited" in (p / "survey.yml").read_text("utf-8"))


@pytest.fixture
def warehouse(location, tmp_path):
    """An empty warehouse whose surveys may be changed."""
    from dagster_project.resources import Warehouse

    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(DATA / name)
    shutil.copytree(DATA / "surveys", tmp_path / "surveys")
    return Warehouse(data=str(tmp_path))


@pytest.fixture
def file(warehouse, survey_id):
    """Its file of answers."""
    return next((warehouse.paths.surveys / survey_id).glob("answers*"))


@pytest.fixture
def execute(location, warehouse):
    """Run a job of the code location on that warehouse."""

    from dagster_project.partitions import register

    def run(name, **arguments):
        instance = dg.DagsterInstance.ephemeral()
        register(instance, list(warehouse.survey_ids))
        return location.resolve_job_def(name).execute_in_process(
            instance=instance,
            resources={"warehouse": warehouse},
            raise_on_error=False,
            **arguments,
        )

    return run
