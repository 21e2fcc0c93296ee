"""Which surveys a run harmonises, and whether it makes their table anew."""

import shutil

import pytest

from dagster_project.defs.transform import assets
from relocation_warehouse.ground.state import State, shared_inputs, total_digest


@pytest.fixture
def harmonised(execute, warehouse, monkeypatch):
    """Run the job for one survey where all were accepted; gives the surveys and options that dbt was asked for."""
    asked = []

    def build(context, warehouse, translator, options, survey_ids):
        asked.append((survey_ids, options))
        return iter(())

    monkeypatch.setattr(assets, "build", build)
    shutil.copytree(warehouse.paths.surveys, warehouse.paths.accepted)

    def run(survey_id, harmonised_by):
        with State.updated(warehouse.paths) as state:
            for name, digest in harmonised_by.items():
                state.received(name, {}, "accepted", ())
                state.surveys[name].harmonised_by = digest
        assert execute("harmonise_surveys", partition_key=survey_id).success
        return asked.pop()

    return run


def test_a_run_harmonises_its_survey(harmonised, warehouse, survey_id):
    current = total_digest(shared_inputs(warehouse.paths))
    assert harmonised(survey_id, dict.fromkeys(warehouse.survey_ids, current)) == ([survey_id], [])


def test_a_run_takes_along_what_other_code_or_another_catalog_harmonised(harmonised, warehouse, survey_id):
    everything = sorted(warehouse.survey_ids)
    before = dict.fromkeys(everything, "the code before an update")
    assert harmonised(survey_id, before) == (everything, ["--full-refresh"])
    current = total_digest(shared_inputs(warehouse.paths))
    assert {s.harmonised_by for s in State.load(warehouse.paths).surveys.values()} == {current}
