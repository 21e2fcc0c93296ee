"""Some spoilt surveys: each is refused in words, or its stored rows keep the contract; `make mutants` does hundreds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mutants import mutate, tried
from trial_folders import Folder, survey_ids

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.survey.catalog import Catalog


@pytest.mark.slow
def test_a_spoilt_survey_is_refused_by_name_or_could_be_published(
    tmp_path: Path, catalog: Catalog, contract: Contract, plain_survey: Callable[[str], Folder]
) -> None:
    accepted = 0
    for seed in range(9001, 9011):
        folder = plain_survey(survey_ids()[seed % len(survey_ids())])
        done = mutate(folder, seed)
        problems = tried(folder.save(tmp_path / f"m{seed}").path, catalog, contract)
        accepted += not problems
        assert all(p.file and len(p.message) > 10 for p in problems), done
    assert 0 < accepted < 10
