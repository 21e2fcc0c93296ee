"""A survey says how its households were drawn, wave by wave; every household row carries it."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from ruamel.yaml import YAML
from small_survey import write_folder

from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import compile_stored, compile_wave
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError

CATALOG = Catalog.model_construct(indicators=(), units=(), code_lists={})
HEADER = ("hhid", "site", "w1", "w2", "urban", "district", "block", "n_blocks", "size")
CODES = """list,code,value,missing_reason,label_en,label_zh
site,1,SITE_A,,Site A,甲
site,2,SITE_B,,Site B,乙
urban,1,town,,,
urban,2,village,,,
urban,9,,dont_know,,
"""
ROWS = """H1,1,10.5,11,1,north,7,40,120
H2,1,10.5,12,1,north,8,40,90
H3,2,20,13,2,south,1.5,300,60
H4,2,20,14,9,south,7,300,
"""


def write(path: Path, **said: Any) -> None:
    """A survey of two waves side by side in one file; `said` is what its survey.yml says further."""
    kinds = {"hhid": "text", "site": "code", "urban": "code", "district": "text"}
    columns = tuple(
        ("households", name, name, kinds.get(name, "number"), "", "", name if kinds.get(name) == "code" else "",
         "false", "")
        for name in HEADER
    )  # fmt: skip
    write_folder(path, columns=columns, codes=CODES)
    (path / "households.csv").write_text(",".join(HEADER) + "\n" + ROWS, encoding="utf-8")
    yaml = YAML(typ="safe", pure=True)
    survey = yaml.load(path / "survey.yml")
    for site in survey["sites"]:
        site.update(said.pop(site["site_id"], {}))
    yaml.dump(survey | said, path / "survey.yml")


def drawn(path: Path, wave: str) -> list[tuple[Any, ...]]:
    """Weight, stratum, sampling unit, units of the stratum and households of the unit, by household."""
    folder = load_folder(path)
    with duckdb.connect() as con:
        assert ingest(folder, path.parent / "landing", con).is_accepted
        columns = "household_id, weight, stratum_id, sampling_unit_id, population_units, unit_households"
        rows = con.execute(
            f"SELECT {columns} FROM ({compile_wave(folder, wave, CATALOG)}) ORDER BY 1"
        ).fetchall()
        parts = compile_stored(folder, wave, CATALOG)
        con.execute(f'CREATE SCHEMA staging; CREATE TABLE staging."{parts.table}" AS {parts.stored}')
        assert con.execute(f"SELECT {columns} FROM ({parts.shown}) ORDER BY 1").fetchall() == rows
    return [row[1:] for row in rows]


def test_where_nothing_is_said_the_site_is_the_sampling_unit_and_every_questionnaire_counts_once(
    tmp_path: Path,
) -> None:
    write(tmp_path / "s")
    assert drawn(tmp_path / "s", "before") == [
        (1.0, None, "SITE_A", None, None),
        (1.0, None, "SITE_A", None, None),
        (1.0, None, "SITE_B", None, None),
        (1.0, None, "SITE_B", None, None),
    ]


def test_the_households_of_a_site_are_those_of_the_unit_where_the_site_is_the_unit(tmp_path: Path) -> None:
    write(tmp_path / "s", SITE_A={"households": 500}, SITE_B={"households": 90})
    assert drawn(tmp_path / "s", "after")[1:3] == [
        (250.0, None, "SITE_A", None, 500),
        (45.0, None, "SITE_B", None, 90),
    ]
    write(tmp_path / "s", SITE_A={"households": 500}, design={"sampling_unit": "block"})
    assert drawn(tmp_path / "s", "after")[0] == (1.0, None, "7", None, None)


def test_strata_units_sizes_and_weights_come_from_columns(tmp_path: Path) -> None:
    design = {
        "weight": "w1",
        "stratum": "urban",
        "sampling_unit": ["district", "block"],
        "population_units": "n_blocks",
        "unit_households": "households.size",
    }
    write(tmp_path / "s", design=design)
    assert drawn(tmp_path / "s", "before") == [
        (10.5, "town", "north-7", 40, 120),
        (10.5, "town", "north-8", 40, 90),
        (20.0, "village", "south-1.5", 300, 60),
        (20.0, None, "south-7", 300, None),
    ]


def test_a_stratum_whose_codes_stand_for_numbers_is_named_by_them_as_they_are_written(tmp_path: Path) -> None:
    write(tmp_path / "s", design={"stratum": "urban", "sampling_unit": ["urban", "block"]})
    (tmp_path / "s" / "codes.csv").write_text(CODES.replace("town", "1").replace("village", "02"), "utf-8")
    assert [row[1:3] for row in drawn(tmp_path / "s", "before")] == [
        ("1", "1-7"),
        ("1", "1-8"),
        ("02", "02-1.5"),
        (None, None),
    ]


def test_a_wave_may_have_its_own_design_or_lack_a_part_of_it(tmp_path: Path) -> None:
    design = {
        "stratum": "urban",
        "sampling_unit": "block",
        "population_units": {"town": 40, "village": 300},
        "waves": {
            "after": {"weight": "w2", "stratum": "district", "sampling_unit": None, "population_units": 9}
        },
    }
    write(tmp_path / "s", design=design, sampling_weight="w1")
    assert drawn(tmp_path / "s", "before") == [
        (10.5, "town", "7", 40, None),
        (10.5, "town", "8", 40, None),
        (20.0, "village", "1.5", 300, None),
        (20.0, None, "7", None, None),
    ]
    assert drawn(tmp_path / "s", "after") == [
        (11.0, "north", "SITE_A", 9, None),
        (12.0, "north", "SITE_A", 9, None),
        (13.0, "south", "SITE_B", 9, None),
        (14.0, "south", "SITE_B", 9, None),
    ]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"design": {"sampling_unit": "blok"}}, "sampling_unit 'blok' is not a variable: no variable 'blok'"),
        ({"design": {"sampling_unit": "blok"}}, "did you mean 'block'?"),
        ({"design": {"weight": "district"}}, "weight 'district' is of type text; it must be a number"),
        ({"design": {"waves": {"afer": {}}}}, "wave 'afer' is not one of ['after', 'before']"),
        ({"design": {"weight": "w1"}, "sampling_weight": "w2"}, "the weight is given twice"),
        ({"design": {"population_units": {"town": 4}}}, "population_units by stratum, but no stratum"),
        ({"design": {"population_units": 0}}, "greater than 0"),
        ({"design": {"units": "block"}}, "no such field"),
    ],
)
def test_a_design_that_cannot_be_is_refused_in_words(
    tmp_path: Path, said: dict[str, Any], message: str
) -> None:
    write(tmp_path / "s", **said)
    with pytest.raises(SurveyFolderError) as refusal:
        load_folder(tmp_path / "s")
    assert message in str(refusal.value)
    assert all(p.file == "survey.yml" and p.line for p in refusal.value.problems)
