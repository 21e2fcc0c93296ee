"""Catalog, contract and shipped surveys as plain CSV, read once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trial_folders import SURVEYS, Folder, plain

from relocation_warehouse.contract.tables import Contract, load_contract
from relocation_warehouse.survey.catalog import Catalog, load_catalog

CATALOG = SURVEYS.parent / "catalog"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(CATALOG)


@pytest.fixture(scope="session")
def contract(catalog: Catalog) -> Contract:
    return load_contract(CATALOG / "tables.yml", catalog.indicators)


@pytest.fixture(scope="session")
def plain_survey(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Folder]:
    """A shipped survey, to be changed and saved elsewhere."""
    made: dict[str, Path] = {}

    def give(survey_id: str) -> Folder:
        if survey_id not in made:
            made[survey_id] = tmp_path_factory.mktemp("plain") / survey_id
            plain(survey_id, made[survey_id])
        return Folder(made[survey_id])

    return give
