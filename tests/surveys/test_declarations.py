"""What a survey need not say: sites, Chinese labels, indicators that came to the catalog after it."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ruamel.yaml import YAML
from small_survey import COLUMNS, csv_text, write_folder

from relocation_warehouse.command.survey_commands import not_mapped
from relocation_warehouse.contract.tables import Word
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import compile_wave
from relocation_warehouse.survey.folder import ADDED_LATER, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.vocabulary import Label

CATALOG = Catalog.model_construct(indicators=(), units=(), code_lists={})


def say(path: Path, **said: Any) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.dump(yaml.load(path / "survey.yml") | said, path / "survey.yml")


def test_a_survey_without_sites_is_one_place(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write_folder(path)
    for name, old, new in (
        (
            "columns.csv",
            "households,安置点,site,code,,,site,false,",
            "households,安置点,,,,,,false,one place",
        ),
        ("crosswalk.csv", "*,i_households_site,direct,households.site,identical,made up\n", ""),
    ):
        text = (path / name).read_text(encoding="utf-8").replace("\r\n", "\n")
        assert old in text
        (path / name).write_text(text.replace(old, new), encoding="utf-8")
    place = {"site_id": "PLACE", "label": {"en": "The whole place"}, "households": 60}
    say(path, site={"fixed": "PLACE"}, sites=[place])
    rows = [[f"H{k}", "nowhere", "35", "12", "1", "land", "2024-03-05", "x"] for k in range(3)]
    (path / "households.csv").write_text(csv_text(rows), encoding="utf-8")
    folder = load_folder(path)
    with duckdb.connect() as con:
        load = ingest(folder, tmp_path / "landing", con)
        assert (load.is_accepted, load.quarantined_rows) == (True, 0)
        query = f"SELECT DISTINCT site_id, sampling_unit_id, weight FROM ({compile_wave(folder, 'after', CATALOG)})"
        assert con.execute(query).fetchall() == [("PLACE", "PLACE", 20.0)]
    say(path, site={"fixed": "ELSEWHERE"})
    with pytest.raises(SurveyFolderError, match="'ELSEWHERE' is not one of the sites"):
        load_folder(path)


def test_an_english_label_stands_for_a_chinese_one_that_is_not_given_in_a_survey_but_not_in_the_contract() -> (
    None
):
    assert Label.model_validate({"en": "Commune 1"}).zh == "Commune 1"
    assert Label.model_validate({"en": "Site A", "zh": "甲"}).zh == "甲"
    with pytest.raises(ValueError, match="zh"):
        Word.model_validate({"en": "x"})


def test_an_indicator_without_a_row_is_not_asked_but_a_wave_without_one_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "s"
    write_folder(path)
    ids = [f"i_households_{c[2]}" for c in COLUMNS]
    folder = load_folder(path, [*ids, "brand_new"])
    assert folder.not_mapped == ("brand_new",)
    for wave in ("before", "after"):
        row = folder.rows_of(wave)["brand_new"]
        assert (row.rule, row.status, row.evidence) == ("not_asked", "not_asked", ADDED_LATER)
    text = (path / "crosswalk.csv").read_text(encoding="utf-8")
    (path / "crosswalk.csv").write_text(
        text.replace("*,i_households_age", "before,i_households_age"), encoding="utf-8"
    )
    with pytest.raises(SurveyFolderError, match="wave after lacks i_households_age"):
        load_folder(path, [*ids, "brand_new"])


def test_an_indicator_added_to_the_catalog_refuses_no_survey_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CHECKOUT / "data" / "catalog", tmp_path / "catalog")
    shutil.copytree(CHECKOUT / "data" / "surveys" / "xj_south_2019", tmp_path / "surveys" / "xj_south_2019")
    yaml = YAML()
    indicators = yaml.load(tmp_path / "catalog" / "indicators.yml")
    indicators["indicators"].append({**indicators["indicators"][0], "id": "brand_new"})
    yaml.dump(indicators, tmp_path / "catalog" / "indicators.yml")
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    said = not_mapped(Paths.from_environment())
    assert list(said) == ["xj_south_2019"]
    assert said["xj_south_2019"].startswith(
        "1 indicator(s) were added to the catalog after this survey was mapped"
    )
    assert said["xj_south_2019"].endswith("brand_new")


@pytest.mark.parametrize("blank", [[], None, ""])
def test_a_blank_id_is_refused_in_plain_words(tmp_path: Path, blank: Any) -> None:
    write_folder(tmp_path / "s")
    yaml = YAML(typ="safe", pure=True)
    survey = yaml.load(tmp_path / "s" / "survey.yml")
    survey["files"][0]["household_id"] = blank
    yaml.dump(survey, tmp_path / "s" / "survey.yml")
    with pytest.raises(
        SurveyFolderError, match="names no variable; name the variable, or variables, that identify"
    ):
        load_folder(tmp_path / "s")
