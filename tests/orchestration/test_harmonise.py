"""Which surveys a run harmonises."""

import shutil

import pytest

from relocation_warehouse.ground.state import State, shared_inputs, total_digest
from relocation_warehouse.models import run as dbt
from relocation_warehouse.models.project import HOUSEHOLD_WAVES, assemble


@pytest.fixture
def harmonised(execute, warehouse, monkeypatch):
    """Run the job for one survey where all were accepted; gives the surveys whose models dbt was asked for."""
    asked = []

    def build(paths, select, step):
        asked.append(set(select))
        with warehouse.connect() as con:
            con.execute(f"create or replace view staging.{HOUSEHOLD_WAVES} as select 1 as household_id")
        return dbt.Build((), (), ())

    monkeypatch.setattr(dbt, "build", build)
    shutil.copytree(warehouse.paths.surveys, warehouse.paths.accepted)
    waves = assemble(warehouse.paths).waves

    def run(survey_id, harmonised_by):
        with State.updated(warehouse.paths) as state:
            for name, digest in harmonised_by.items():
                state.received(name, {}, "accepted", ())
                state.surveys[name].harmonised_by = digest
        assert execute("harmonise_surveys", partition_key=survey_id).success
        chosen = asked.pop() - {HOUSEHOLD_WAVES}
        surveys = sorted(s for s, models in waves.items() if chosen & {*models})
        assert chosen == {m for s in surveys for m in waves[s]}, "a survey is rebuilt with all its waves"
        return surveys

    return run


def test_a_run_harmonises_its_survey(harmonised, warehouse, survey_id):
    current = total_digest(shared_inputs(warehouse.paths))
    assert harmonised(survey_id, dict.fromkeys(warehouse.survey_ids, current)) == [survey_id]


def test_a_run_takes_along_what_other_code_or_another_catalog_harmonised(harmonised, warehouse, survey_id):
    everything = sorted(warehouse.survey_ids)
    assert harmonised(survey_id, dict.fromkeys(everything, "the code before an update")) == everything
    current = total_digest(shared_inputs(warehouse.paths))
    assert {s.harmonised_by for s in State.load(warehouse.paths).surveys.values()} == {current}
