"""The committed survey folders as the warehouse sees them: read, checked, corrected and harmonised."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd

from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.crosswalk import compile_wave
from relocation_warehouse.survey.folder import SurveyFolder, list_survey_folders, load_folder
from relocation_warehouse.survey.ingest import SurveyLoad, ingest

DATA = Path(__file__).parents[2] / "data"


@cache
def catalog() -> Catalog:
    return load_catalog(DATA / "catalog")


@cache
def folder(survey_id: str) -> SurveyFolder:
    return load_folder(DATA / "surveys" / survey_id, [i.id for i in catalog().indicators])


@cache
def _loaded(survey_id: str) -> tuple[SurveyLoad, dict[str, pd.DataFrame], pd.DataFrame]:
    with tempfile.TemporaryDirectory() as landing, duckdb.connect() as con:
        load = ingest(folder(survey_id), Path(landing), con, {i.id: i for i in catalog().indicators})
        assert load.is_accepted, load.problems
        waves = {
            w.wave: con.sql(compile_wave(folder(survey_id), w.wave, catalog())).df()
            for w in folder(survey_id).survey.waves
        }
        quarantine = con.sql("select * from quality.quarantine").df()
    return load, waves, quarantine


def load(survey_id: str) -> SurveyLoad:
    """What the ingest says of the survey."""
    return _loaded(survey_id)[0]


def households(survey_id: str, wave: str) -> pd.DataFrame:
    """A row a household of one wave, a column an indicator, in order of the household's id."""
    return _loaded(survey_id)[1][wave].sort_values("household_id").reset_index(drop=True)


def quarantine(survey_id: str) -> pd.DataFrame:
    """Cells and rows that were set aside."""
    return _loaded(survey_id)[2]


def all_survey_ids() -> list[str]:
    """Every survey of the checkout."""
    return [p.name for p in list_survey_folders(DATA / "surveys")]
