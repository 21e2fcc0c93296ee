"""Writers of .sav, .xlsx and Kobo files: what is written comes back through the readers, and twice the same."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import duckdb
import harmonised_surveys as surveys
import numpy as np
import pandas as pd
import pyreadstat
import pytest

from relocation_warehouse.demonstration.bulk import write_as_spss, write_bulk
from relocation_warehouse.demonstration.draw import draw
from relocation_warehouse.demonstration.received import as_received
from relocation_warehouse.demonstration.spec import load_spec
from relocation_warehouse.demonstration.writers import WRITERS
from relocation_warehouse.survey.crosswalk import compile_wave
from relocation_warehouse.survey.folder import SurveyFolder, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.readers import read
from relocation_warehouse.survey.vocabulary import Grain

OTHER_THAN_DELIMITED = [
    s for s in surveys.all_survey_ids() if surveys.folder(s).survey.files[0].format in WRITERS
]
HOUSEHOLDS = 40


@cache
def received(survey_id: str) -> dict[str, pd.DataFrame]:
    folder = surveys.folder(survey_id)
    spec = load_spec(folder.path / "demo.yml")
    drawn = draw(spec, HOUSEHOLDS)
    rng = np.random.default_rng(1)
    return {
        f.file_id: as_received(
            folder,
            spec,
            f.file_id,
            drawn.households if f.grain is Grain.HOUSEHOLD else drawn.rosters[f.file_id],
            rng,
        )
        for f in folder.survey.files
    }


def write(folder: SurveyFolder, tables: dict[str, pd.DataFrame], target: Path) -> Path:
    file = folder.survey.files[0]
    path = target / file.path
    WRITERS[file.format](tables, folder, path)
    return path


@pytest.mark.parametrize("survey_id", OTHER_THAN_DELIMITED)
def test_used_columns_come_back_as_written(survey_id: str, tmp_path: Path) -> None:
    folder = surveys.folder(survey_id)
    tables = received(survey_id)
    write(folder, tables, tmp_path)
    for file in folder.survey.files:
        back = read(file, tmp_path).table.to_pandas()
        assert len(back) == len(tables[file.file_id])
        for column in folder.columns_of(file.file_id):
            if column.variable is None or column.variable in file.household_id:
                continue
            sent = tables[file.file_id][column.column]
            assert [text(v) for v in back[column.column]] == [text(v) for v in sent], column.column


def text(value: object) -> str:
    """A cell as a person reads it: no decimals where there are none, nothing for a blank."""
    if value is None or value == "" or (isinstance(value, float) and np.isnan(value)):
        return ""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)


@pytest.mark.parametrize("survey_id", OTHER_THAN_DELIMITED)
def test_the_same_tables_give_the_same_bytes(survey_id: str, tmp_path: Path) -> None:
    folder = surveys.folder(survey_id)
    first = write(folder, received(survey_id), tmp_path)
    kept = shutil.copy(first, tmp_path / "kept")
    assert write(folder, received(survey_id), tmp_path).read_bytes() == Path(kept).read_bytes()


@pytest.mark.parametrize("survey_id", OTHER_THAN_DELIMITED)
def test_members_name_a_household_that_exists(survey_id: str, tmp_path: Path) -> None:
    folder = surveys.folder(survey_id)
    write(folder, received(survey_id), tmp_path)
    headers = {f.file_id: folder.variables[f.file_id, f.household_id[0]].column for f in folder.survey.files}
    tables = {f.file_id: read(f, tmp_path).table.to_pandas() for f in folder.survey.files}
    base = folder.survey.files[0].file_id
    ids = set(tables[base][headers[base]])
    assert len(ids) == HOUSEHOLDS
    for file_id, table in tables.items():
        assert set(table[headers[file_id]]) == ids, file_id


def test_sav_has_labels_and_user_missing_codes(tmp_path: Path) -> None:
    (survey_id,) = [s for s in OTHER_THAN_DELIMITED if surveys.folder(s).survey.files[0].format == "spss"]
    folder = surveys.folder(survey_id)
    path = write(folder, received(survey_id), tmp_path)
    _, meta = pyreadstat.read_sav(path, user_missing=True)
    for column in folder.columns_of(folder.survey.files[0].file_id):
        assert meta.column_names_to_labels[column.column] == column.label
        codes = [c for c in folder.codes_of(column) if c.bounds is None]
        missing = {float(c.code) for c in codes if c.missing_reason is not None}
        assert {r["lo"] for r in meta.missing_ranges.get(column.column, [])} == missing
        if codes:
            assert meta.variable_value_labels[column.column] == {float(c.code): c.label_zh for c in codes}


SPSS = [s for s in OTHER_THAN_DELIMITED if {f.format for f in surveys.folder(s).survey.files} == {"spss"}]


def harmonised(path: Path, landing: Path) -> list[pd.DataFrame]:
    """Households of each wave of a folder."""
    folder = load_folder(path, [i.id for i in surveys.catalog().indicators])
    with duckdb.connect() as con:
        load = ingest(folder, landing, con, {i.id: i for i in surveys.catalog().indicators})
        assert load.is_accepted, load.problems
        return [
            con.sql(
                f"SELECT * EXCLUDE (source_row) FROM ({compile_wave(folder, w.wave, surveys.catalog())}) ORDER BY ALL"
            ).df()
            for w in folder.survey.waves
        ]


@pytest.mark.parametrize("survey_id", SPSS)
def test_a_bulk_survey_has_the_same_households_as_csv_and_as_sav(survey_id: str, tmp_path: Path) -> None:
    source, target = surveys.folder(survey_id).path, tmp_path / survey_id
    write_bulk(source, target, HOUSEHOLDS)
    assert [f.format for f in load_folder(target).survey.files] == ["delimited"]
    as_csv = harmonised(target, tmp_path / "csv")
    write_as_spss(source, target)
    assert [f.format for f in load_folder(target).survey.files] == ["spss"]
    for wave, other in zip(as_csv, harmonised(target, tmp_path / "sav"), strict=True):
        assert len(wave) == HOUSEHOLDS
        # CSV has twelve digits of a number
        pd.testing.assert_frame_equal(wave, other, rtol=1e-11)
