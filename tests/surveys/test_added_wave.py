"""A further wave takes over what still fits, and says what changed."""

import csv
import io
from pathlib import Path

import duckdb
import pandas as pd
import pyreadstat
import pytest
from ruamel.yaml import YAML
from small_survey import write_folder
from test_panels import columns_of, file_of, write_csv
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.survey.added_wave import add_wave
from relocation_warehouse.survey.folder import BLANK, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.readers import UnreadableFile
from relocation_warehouse.survey.scaffold import ScaffoldError

YAML_COMMENT = "# asked by telephone"


@pytest.fixture
def first_wave(tmp_path: Path) -> Path:
    """A survey of one wave: households with an income and a note, and their members."""
    households = columns_of("households", 收入=("income", "number", ""), 备注=("note", "text", ""))
    members = columns_of("members", with_site=False, 年龄=("member_age", "number", ""))
    path = tmp_path / "s"
    write_folder(
        path,
        files=[file_of("households"), file_of("members", grain="member")],
        columns=(*households, *members),
    )
    write_csv(
        path / "households.csv", [c[1] for c in households], [["1", "甲", "10", "a"], ["2", "乙", "20", ""]]
    )
    write_csv(path / "members.csv", [c[1] for c in members], [["1", "40"], ["1", "9"], ["2", "50"]])
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load((path / "survey.yml").read_text(encoding="utf-8"))
    # the waves of the small survey are two; here only one was asked yet
    document["waves"] = document["waves"][:1]
    out = io.StringIO()
    yaml.dump(document, out)
    (path / "survey.yml").write_text(f"{YAML_COMMENT}\n{out.getvalue()}", encoding="utf-8")
    codes = (path / "codes.csv").read_text(encoding="utf-8").replace("round,后,after,,After,后\n", "")
    (path / "codes.csv").write_text(codes, encoding="utf-8")
    return path


def second_file(path: Path, **columns: list[object]) -> Path:
    frame = pd.DataFrame({"编号": ["1", "3"], "安置点": ["乙", "乙"], "收入": [11.0, 31.0]} | columns)
    frame.to_csv(path, index=False)
    return path


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[object, ...]]:
    return con.execute(query).fetchall()


def test_a_second_and_a_third_wave_need_no_edit_where_nothing_changed(
    first_wave: Path, tmp_path: Path
) -> None:
    second = second_file(tmp_path / "later.csv", 备注=["", "b"])
    made = add_wave(load_folder(first_wave), second, "after", "2025-03")
    assert (made.wave, made.like, made.taken_over) == ("after", "households", 4)
    told = "1 households were interviewed before, 1 are new, 1 of before are not in it"
    members = "i_members_hhid is not_asked in wave after: no file like members yet"
    assert {told, members} < {*made.changes}
    folder = load_folder(first_wave)
    assert folder.survey.fieldwork_of("after") == "2025-03"
    assert [(f.file_id, f.wave.fixed) for f in folder.survey.files] == [
        ("households", "before"),
        ("later", "after"),
        ("members", "before"),
    ]
    assert YAML_COMMENT in (first_wave / "survey.yml").read_text(encoding="utf-8")
    third = second_file(tmp_path / "last.csv", 备注=["", ""])
    assert add_wave(folder, third).wave == "wave_3"
    with duckdb.connect() as con:
        load = ingest(load_folder(first_wave), tmp_path / "landing", con)
        assert [(f.file_id, f.accepted) for f in load.files] == [
            ("households", 2),
            ("later", 2),
            ("last", 2),
            ("members", 3),
        ]
        loaded = rows(con, 'SELECT _household_id, _wave, _site_id, income FROM raw."s__later" ORDER BY ALL')
    assert loaded == [("1", "after", "SITE_B", 11.0), ("3", "after", "SITE_B", 31.0)]


def test_a_weight_that_the_new_wave_lacks_is_said_to_be_none(first_wave: Path, tmp_path: Path) -> None:
    text = (first_wave / "survey.yml").read_text(encoding="utf-8")
    design = "design:\n  weight: income\n  stratum: note\n  population_units: {a: 5}\n"
    (first_wave / "survey.yml").write_text(text + design, encoding="utf-8")
    second = tmp_path / "later.csv"
    pd.DataFrame({"编号": ["1", "3"], "安置点": ["乙", "乙"], "备注": ["a", "a"]}).to_csv(second, index=False)
    made = add_wave(load_folder(first_wave), second, "after")
    assert "design of wave after has no weight: no column '收入'" in made.changes
    survey = load_folder(first_wave).survey
    assert survey.sampling("before").weight == "income"
    after = survey.sampling("after")
    assert (after.weight, after.stratum, after.population_units) == (None, "note", {"a": 5})
    third = tmp_path / "last.csv"
    pd.DataFrame({"编号": ["1", "3"], "安置点": ["乙", "乙"], "收入": [1, 2]}).to_csv(third, index=False)
    told = add_wave(load_folder(first_wave), third, "last").changes
    assert "design of wave last has no stratum: no column '备注'" in told
    last = load_folder(first_wave).survey.sampling("last")
    assert (last.weight, last.stratum, last.population_units) == ("income", None, None)


def test_a_roster_follows_its_households(first_wave: Path, tmp_path: Path) -> None:
    roster = tmp_path / "members_2.csv"
    write_csv(roster, ["编号", "年龄"], [["1", "41"], ["3", "7"]])
    with pytest.raises(ScaffoldError, match="add the file of the households of the wave first"):
        add_wave(load_folder(first_wave), roster, "after")
    add_wave(load_folder(first_wave), second_file(tmp_path / "later.csv", 备注=["", "b"]), "after")
    made = add_wave(load_folder(first_wave), roster, "after")
    assert (made.like, made.changes) == ("members", ())
    folder = load_folder(first_wave)
    row = folder.rows_of("after")["i_members_member_age"]
    assert (row.rule, row.sources, row.status) == ("count", ("members_2.member_age",), "identical")
    assert folder.rows_of("before")["i_members_member_age"].sources == ("members.member_age",)
    with (first_wave / "crosswalk.csv").open(encoding="utf-8") as handle:
        keys = [(r["wave"], r["indicator_id"]) for r in csv.DictReader(handle)]
    assert len(keys) == len(set(keys))


def test_what_came_went_and_changed_is_listed(first_wave: Path, tmp_path: Path) -> None:
    second = second_file(tmp_path / "later.csv", 新=["x", "y"], 收入=["many", "31"])
    made = add_wave(load_folder(first_wave), second, "after")
    assert {
        "column '新' is new: give it a variable or an ignore_reason in columns.csv",
        "column '备注' of households.csv is not in later.csv",
        "i_households_note is not_asked in wave after: no column '备注'",
        "column '收入': 1 answer(s) would be set aside as not_a_number, such as row 2: 'many'",
    } <= {*made.changes}
    with pytest.raises(SurveyFolderError) as refused:
        load_folder(first_wave)
    assert {p.file for p in refused.value.problems} == {"columns.csv"}
    text = (first_wave / "columns.csv").read_text(encoding="utf-8")
    assert text.count(BLANK) == 1
    (first_wave / "columns.csv").write_text(text.replace(BLANK, "not needed"), encoding="utf-8")
    row = load_folder(first_wave).rows_of("after")["i_households_note"]
    assert (row.rule, row.evidence) == ("not_asked", "no column of later.csv holds it")


def test_an_answer_that_is_labelled_otherwise_is_listed(tmp_path: Path) -> None:
    columns = tuple(c for c in columns_of("households") if c[2] != "site")
    columns += (("households", "q", "site", "code", "", "", "site", "false", ""),)
    path = tmp_path / "s"
    write_folder(
        path,
        files=[
            {**file_of("households", wave={"fixed": "before"}), "path": "a.dta", "format": "stata"},
            file_of("unused", wave={"fixed": "after"}),
        ],
        columns=(*columns, *columns_of("unused")),
    )
    frame = pd.DataFrame({"编号": ["1"], "q": [1]})
    for name, labels in (("a.dta", {1: "东", 2: "西"}), ("b.dta", {1: "西", 2: "东"})):
        target = path if name == "a.dta" else tmp_path
        pyreadstat.write_dta(frame, target / name, version=15, variable_value_labels={"q": labels})
    write_csv(path / "unused.csv", ["编号", "安置点"], [["1", "甲"]])
    made = add_wave(load_folder(path), tmp_path / "b.dta", "third", like="households")
    assert "column 'q': answer 1 was '东' and is '西'; check codes.csv" in made.changes


def test_bad_files_leave_the_folder_as_it_is(first_wave: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in first_wave.iterdir()}
    other, broken = tmp_path / "other.csv", tmp_path / "broken.dta"
    write_csv(other, ["a", "b"], [["1", "2"]])
    broken.write_bytes(b"no stata")
    no_id = tmp_path / "no_id.csv"
    write_csv(no_id, ["安置点", "收入"], [["甲", "1"]])
    folder = load_folder(first_wave)
    for path, error, message in (
        (other, ScaffoldError, "no header in common"),
        (broken, UnreadableFile, "broken.dta"),
        (no_id, ScaffoldError, "no column '编号', which holds the household id"),
    ):
        with pytest.raises(error, match=message):
            add_wave(folder, path, "after")
    with pytest.raises(ScaffoldError, match="in the folder already"):
        add_wave(folder, first_wave / "households.csv", "after")
    assert {p.name: p.read_bytes() for p in first_wave.iterdir()} == before


def test_the_command_names_an_unknown_survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = CliRunner().invoke(app, ["add-wave", "gz_anshun", "x.csv"])
    assert told.exit_code == 2
    assert "did you mean 'gz_anshun_2020'?" in told.stderr


def test_answers_that_another_format_writes_otherwise_are_known_by_their_labels(
    first_wave: Path, tmp_path: Path
) -> None:
    codes = first_wave / "codes.csv"
    codes.write_text(
        codes.read_text(encoding="utf-8").replace("site,甲,SITE_A,,Site A,甲", "site,甲,SITE_A,,Upper,甲"),
        encoding="utf-8",
    )
    frame = pd.DataFrame(
        {"编号": ["1", "3", "4"], "安置点": [7.0, 8.0, 9.0], "收入": [11.0, 31.0, 5.0], "备注": ""}
    )
    pyreadstat.write_sav(
        frame,
        tmp_path / "later.sav",
        variable_value_labels={"安置点": {7.0: "upper", 8.0: "乙", 9.0: "Beyond"}},
    )
    made = add_wave(load_folder(first_wave), tmp_path / "later.sav", "after")
    assert {
        "column '安置点': answer '7' is taken for '甲' of list site",
        "column '安置点': answer '8' is taken for '乙' of list site",
    } < {*made.changes}
    # what no list knows is not guessed
    assert any("1 row(s) would be set aside as unknown_site" in told for told in made.changes)
    folder = load_folder(first_wave)
    added = {c.code: (c.value, c.label_en) for c in folder.codes if c.list == "site" and c.code in "789"}
    assert added == {"7": ("SITE_A", "Upper"), "8": ("SITE_B", "Site B")}
