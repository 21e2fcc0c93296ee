"""A folder written from a file alone names its blanks, and is accepted once they are filled in."""

import csv
import gzip
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pyreadstat
import pytest
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.crosswalk import check_crosswalk
from relocation_warehouse.survey.folder import BLANK, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.readers import UnreadableFile
from relocation_warehouse.survey.scaffold import Scaffold, ScaffoldError, scaffold
from relocation_warehouse.survey.scaffold_columns import Recognition

CATALOG = Path(__file__).parents[2] / "data" / "catalog"
catalog = load_catalog(CATALOG)
known = Recognition.load(CATALOG)

N = 40
CHINESE = {
    "户编号": [f"H{k:03}" for k in range(N)],
    "户主姓名": [f"某{k}" for k in range(N)],
    "联系电话": [f"000{k:04}" for k in range(N)],
    "安置点": [("甲村", "乙村")[k % 2] for k in range(N)],
    "性别": [("男", "女", "拒答")[k % 3] for k in range(N)],
    "搬迁前：住房面积（平方米）": [60 + k for k in range(N)],
    "搬迁后：住房面积（平方米）": [90 + k for k in range(N)],
    "调查日期": [f"2021-07-{1 + k % 28:02}" for k in range(N)],
    "还有什么想说的": [f"话{k}" for k in range(N)],
}
PROPOSED = {"sex", "housing_area_m2"}


def write_csv(path: Path) -> Path:
    file = path / "survey_2021.csv"
    pd.DataFrame(CHINESE).to_csv(file, index=False, encoding="gb18030")
    return file


def write_packed(path: Path) -> Path:
    file = path / "survey_2021.csv.gz"
    file.write_bytes(gzip.compress(write_csv(path).read_bytes()))
    return file


def write_excel(path: Path) -> Path:
    file = path / "survey_2021.xlsx"
    pd.DataFrame(CHINESE).to_excel(file, index=False)
    return file


def write_parquet(path: Path) -> Path:
    file = path / "survey_2021.parquet"
    pd.DataFrame(CHINESE).to_parquet(file, index=False)
    return file


def coded() -> tuple[pd.DataFrame, dict[str, str], dict[str, dict[float, str]]]:
    """The same answers as statistics programs keep them: short names, numbers with labels."""
    names = ["hhid", "r_name", "r_tel", "site", "sex", "b_area", "a_area", "vdate", "note"]
    frame = pd.DataFrame(dict(zip(names, CHINESE.values(), strict=True)))
    frame["site"] = frame["site"].map({"甲村": 1.0, "乙村": 2.0})
    frame["sex"] = frame["sex"].map({"男": 1.0, "女": 2.0, "拒答": 9.0})
    labels = dict(zip(names, CHINESE, strict=True))
    return frame, labels, {"site": {1.0: "甲村", 2.0: "乙村"}, "sex": {1.0: "男", 2.0: "女", 9.0: "拒答"}}


def write_spss(path: Path) -> Path:
    file = path / "survey_2021.sav"
    frame, labels, values = coded()
    pyreadstat.write_sav(
        frame, file, column_labels=labels, variable_value_labels=values, missing_ranges={"sex": [9.0]}
    )
    return file


def write_stata(path: Path) -> Path:
    file = path / "survey_2021.dta"
    frame, labels, values = coded()
    whole = frame.astype({"site": "int32", "sex": "int32"})
    as_int = {name: {int(k): v for k, v in codes.items()} for name, codes in values.items()}
    pyreadstat.write_dta(whole, file, column_labels=labels, variable_value_labels=as_int, version=15)
    return file


def write_json(path: Path) -> Path:
    file = path / "survey_2021.json"
    file.write_text(
        json.dumps(pd.DataFrame(CHINESE).to_dict("records"), ensure_ascii=False), encoding="utf-8"
    )
    return file


def write_kobo(path: Path) -> Path:
    file = path / "survey_2021.zip"
    main = pd.DataFrame(CHINESE).assign(_uuid=[f"u{k}" for k in range(N)], start="2021-07-01T08:00:00")
    members = pd.DataFrame({"年龄": [30 + k for k in range(N)], "_submission__uuid": main["_uuid"]})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("form.csv", main.to_csv(index=False))
        archive.writestr("form-people.csv", members.to_csv(index=False))
    return file


WRITERS = [
    write_csv,
    write_packed,
    write_excel,
    write_parquet,
    write_spss,
    write_stata,
    write_json,
    write_kobo,
]


def made_from(file: Path, tmp_path: Path, survey_id: str = "") -> Scaffold:
    surveys = tmp_path / "surveys"
    surveys.mkdir(exist_ok=True)
    return scaffold([file], surveys, catalog, known, survey_id)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def fill_in(path: Path) -> None:
    """What a person does who reads the messages of `check`."""
    answers = {"region": "nowhere", "fieldwork": '"2021-07"', "is_synthetic": "true"}
    text = (path / "survey.yml").read_text(encoding="utf-8")
    for name, answer in answers.items():
        text = re.sub(rf"^{name}: {BLANK}", f"{name}: {answer}", text, flags=re.MULTILINE)
    (path / "survey.yml").write_text(text.replace(BLANK, "x"), encoding="utf-8")
    for name, answer in (
        ("columns.csv", "not needed"),
        ("codes.csv", "refused"),
        ("crosswalk.csv", "compatible"),
    ):
        content = (path / name).read_text(encoding="utf-8")
        (path / name).write_text(content.replace(BLANK, answer), encoding="utf-8")


def write_rounds(path: Path, names: tuple[str, str]) -> list[Path]:
    """A file of households for each round, and their members in a third."""
    asked = {h: CHINESE[h] for h in ("户编号", "安置点", "性别")}
    sizes = {name: [size + k for k in range(N)] for name, size in zip(names, (60, 90), strict=True)}
    members = {"户编号": [f"H{k // 2:03}" for k in range(2 * N)], "年龄": list(range(2 * N))}
    frames = {
        "members.csv": members,
        **{f"{name}.csv": asked | {"住房面积（平方米）": size} for name, size in sizes.items()},
    }
    for name, frame in frames.items():
        pd.DataFrame(frame).to_csv(path / name, index=False)
    return [path / name for name in frames]


def test_files_of_rounds_and_a_roster_become_one_folder(tmp_path: Path) -> None:
    (tmp_path / "surveys").mkdir()
    files = write_rounds(tmp_path, ("hh_before", "hh_after"))
    made = scaffold(files, tmp_path / "surveys", catalog, known, "rounds")
    assert (made.files, set(made.proposed)) == (3, PROPOSED)
    fill_in(made.path)
    folder = load_folder(made.path, catalog.indicator)
    assert check_crosswalk(folder, catalog) == ()
    (household_id,) = folder.survey.files[0].household_id
    declared = [(f.file_id, f.grain.value, f.household_id) for f in folder.survey.files]
    assert declared == [
        ("hh_before", "household", (household_id,)),
        ("hh_after", "household", (household_id,)),
        ("members", "member", (household_id,)),
    ]
    assert [f.wave and f.wave.model_dump() for f in folder.survey.files] == [
        {"fixed": "before"},
        {"fixed": "after"},
        None,
    ]
    ((wave, (area,)),) = [
        (r.wave, r.sources) for r in folder.crosswalk if r.indicator_id == "housing_area_m2"
    ]
    assert wave == "*"
    with duckdb.connect() as con:
        load = ingest(folder, tmp_path / "landing", con)
        assert (load.problems, [f.accepted for f in load.files]) == ((), [N, N, 2 * N])
        smallest = [
            con.execute(f'SELECT min({area}) FROM raw."rounds__{name}"').fetchone()
            for name in ("hh_before", "hh_after")
        ]
    assert smallest == [(60,), (90,)]


def test_two_files_that_name_no_round_are_two_parts_of_a_household(tmp_path: Path) -> None:
    (tmp_path / "surveys").mkdir()
    files = write_rounds(tmp_path, ("part_a", "part_b"))
    made = scaffold(files, tmp_path / "surveys", catalog, known)
    assert made.path.name == "members"
    assert "wave: {fixed" not in (made.path / "survey.yml").read_text(encoding="utf-8")
    with pytest.raises(ScaffoldError, match=r"part_a.csv is given twice"):
        scaffold([files[1], files[1]], tmp_path / "surveys", catalog, known, "again")


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__.removeprefix("write_"))
def test_a_folder_is_accepted_once_its_blanks_are_filled_in(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    made = made_from(write(tmp_path), tmp_path)
    assert made.path.name == "survey_2021"
    assert set(made.proposed) == PROPOSED
    with pytest.raises(SurveyFolderError) as refused:
        load_folder(made.path, catalog.indicator)
    assert {p.message.partition(" ")[2] for p in refused.value.problems} == {"is still to be filled in"}
    assert all(p.line for p in refused.value.problems)
    fill_in(made.path)
    folder = load_folder(made.path, catalog.indicator)
    assert check_crosswalk(folder, catalog) == ()
    load = ingest(folder, tmp_path / "landing", duckdb.connect())
    assert load.is_accepted, load.problems
    assert (load.files[0].accepted, load.quarantined_rows, load.quarantined_cells) == (N, 0, 0)


@pytest.mark.parametrize("write", WRITERS, ids=lambda w: w.__name__.removeprefix("write_"))
def test_what_identifies_a_person_is_flagged(write: Callable[[Path], Path], tmp_path: Path) -> None:
    made = made_from(write(tmp_path), tmp_path)
    personal = [r for r in rows(made.path / "columns.csv") if r["is_personal"] == "true"]
    assert made.personal == 2
    assert {r["ignore_reason"] for r in personal} == {"name of a person", "telephone number"}
    assert all(not r["variable"] for r in personal)


@pytest.mark.parametrize(
    ("header", "is_personal"),
    [
        ("身份证号码", True),
        ("respondent_name", True),
        ("Phone number", True),
        ("intro/gps", True),
        ("_geolocation", True),
        ("来自IP", True),
        ("enumerator", True),
        ("E-mail", True),
        ("household_size", False),
        ("home_ownership", False),
        ("equipment", False),
        ("township", False),
        ("搬迁户数", False),
    ],
)
def test_headers_in_two_languages(header: str, is_personal: bool) -> None:
    name = header.rsplit("/", maxsplit=1)[-1]
    assert any(p.fits(name) for p in known.personal) is is_personal


def test_codes_get_the_values_of_the_catalog_and_missing_answers_their_reason(tmp_path: Path) -> None:
    made = made_from(write_spss(tmp_path), tmp_path)
    codes = {(r["list"], r["code"]): (r["value"], r["missing_reason"]) for r in rows(made.path / "codes.csv")}
    assert codes["sex", "1"] == ("male", "")
    assert codes["sex", "2"] == ("female", "")
    assert codes["sex_missing", "9"] == ("", "refused")
    assert codes["site", "2"] == ("SURVEY_2021_2", "")


def test_before_and_after_become_two_waves(tmp_path: Path) -> None:
    made = made_from(write_csv(tmp_path), tmp_path)
    area = [r for r in rows(made.path / "crosswalk.csv") if r["indicator_id"] == "housing_area_m2"]
    columns = {r["variable"]: r["column"] for r in rows(made.path / "columns.csv")}
    assert {r["wave"]: columns[r["sources"]] for r in area} == {
        "before": "搬迁前：住房面积（平方米）",
        "after": "搬迁后：住房面积（平方米）",
    }
    assert all("catalog's unit is m2" in r["note"] for r in area)


def test_every_indicator_has_a_verdict_to_be_made(tmp_path: Path) -> None:
    made = made_from(write_csv(tmp_path), tmp_path)
    crosswalk = rows(made.path / "crosswalk.csv")
    assert {r["indicator_id"] for r in crosswalk} == set(catalog.indicator)
    assert {r["status"] for r in crosswalk} == {BLANK, "undetermined"}


def test_a_workbook_with_a_roster_and_two_rows_of_headers(tmp_path: Path) -> None:
    file = tmp_path / "book.xlsx"
    household = pd.DataFrame(CHINESE)
    household.columns = pd.MultiIndex.from_tuples([("基本情况", name) for name in CHINESE])
    members = pd.DataFrame({("成员", "户编号"): CHINESE["户编号"] * 2, ("成员", "年龄"): range(2 * N)})
    with pd.ExcelWriter(file) as book:
        for name, frame in (("户", household), ("member", members)):
            head = pd.DataFrame([list(level) for level in zip(*frame.columns, strict=True)])
            cells = pd.concat([head, frame.set_axis(range(frame.shape[1]), axis=1)])
            cells.to_excel(book, sheet_name=name, index=False, header=False)
    (tmp_path / "surveys").mkdir()
    made = scaffold([file], tmp_path / "surveys", catalog, known, header_rows=(1, 2))
    assert set(made.proposed) == {"housing_area_m2", "sex"}
    fill_in(made.path)
    folder = load_folder(made.path, catalog.indicator)
    assert [(f.file_id, f.grain) for f in folder.survey.files] == [
        ("sheet_1", "household"),
        ("member", "member"),
    ]
    load = ingest(folder, tmp_path / "landing", duckdb.connect())
    assert [f.accepted for f in load.files] == [N, 2 * N]


def test_a_question_that_holds_a_label_is_a_candidate(tmp_path: Path) -> None:
    file = tmp_path / "questions.csv"
    pd.DataFrame({"编号": range(N), "2、您的性别是？": ["男", "女"] * (N // 2)}).to_csv(file, index=False)
    made = made_from(file, tmp_path)
    sex = next(r for r in rows(made.path / "crosswalk.csv") if r["indicator_id"] == "sex")
    assert (sex["rule"], "2、您的性别是？" in sex["note"]) == ("undetermined", True)


def test_english_questions_are_recognised(tmp_path: Path) -> None:
    file = tmp_path / "english.csv"
    frame = pd.DataFrame(
        {
            "household_id": range(N),
            "site": ["A", "B"] * (N // 2),
            "Before the move: Housing area (m2)": range(50, 50 + N),
            "Arable land": range(N),
        }
    )
    frame.to_csv(file, index=False)
    made = made_from(file, tmp_path)
    assert "housing_area_m2" in made.proposed
    land = next(r for r in rows(made.path / "crosswalk.csv") if r["indicator_id"] == "arable_land_area_mu")
    assert (land["rule"], "Arable land" in land["note"]) == ("undetermined", True)


def test_a_question_whose_answers_do_not_fit_is_not_proposed(tmp_path: Path) -> None:
    file = tmp_path / "years.csv"
    pd.DataFrame({"户编号": range(N), "平均受教育年限": [200 + k for k in range(N)]}).to_csv(
        file, index=False
    )
    made = made_from(file, tmp_path)
    assert "education_years" not in made.proposed


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = write_csv(tmp_path)
    made = made_from(file, tmp_path)
    before = {p.name: p.read_bytes() for p in made.path.iterdir()}
    with pytest.raises(ScaffoldError, match="exists already"):
        made_from(file, tmp_path)
    assert {p.name: p.read_bytes() for p in made.path.iterdir()} == before


@pytest.mark.parametrize(
    ("name", "content", "survey_id", "error", "message"),
    [
        ("a.docx", b"x", "", ScaffoldError, "no format has this ending"),
        ("a.csv", b"", "", UnreadableFile, "a.csv"),
        ("a.csv", b"x,x\n1,2\n", "", ScaffoldError, "occurs more than once"),
        ("a.csv", b"x\n1\n", "../up", ScaffoldError, "is no id"),
        ("调查.csv", b"x\n1\n", "", ScaffoldError, "is no id"),
        ("a.sav", b"nothing", "", UnreadableFile, "a.sav"),
        ("a.zip", b"PK\x03\x04broken", "", UnreadableFile, "zip"),
    ],
)
def test_a_file_that_cannot_be_used_leaves_nothing_behind(
    name: str, content: bytes, survey_id: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(error, match=message):
        made_from(file, tmp_path, survey_id)
    assert list((tmp_path / "surveys").iterdir()) == []


def test_the_commands_say_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    (data / "surveys").mkdir(parents=True)
    shutil.copytree(CATALOG, data / "catalog")
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))
    file = write_csv(tmp_path)
    made = CliRunner().invoke(app, ["new-survey", str(file), "--id", "new_one"])
    assert made.exit_code == 0
    assert "warehouse check new_one" in made.stdout
    checked = CliRunner().invoke(app, ["check", "new_one"])
    assert checked.exit_code == 1
    assert "survey.yml, line 4: region is still to be filled in" in checked.stdout
    again = CliRunner().invoke(app, ["new-survey", str(file), "--id", "new_one"])
    assert (again.exit_code, "exists already" in again.stderr) == (2, True)
    fill_in(data / "surveys" / "new_one")
    assert CliRunner().invoke(app, ["check"]).exit_code == 0
    expected = data / "surveys" / "new_one" / "expectations.yml"
    expected.write_text("- type: expect_column_to_exist\n  kwargs: {column: nobody}\n  severity: fatal\n")
    wrong = CliRunner().invoke(app, ["check"])
    assert wrong.exit_code == 1
    assert (
        "expectations.yml, line 3: 0.severity: Input should be 'error' or 'warning' (given: 'fatal')"
        in wrong.stdout
    )
    expected.write_text("- type: expect_column_to_exist\n  kwargs: {column: nobody}\n")
    wrong = CliRunner().invoke(app, ["check"])
    assert (
        "expectations.yml, line 2: entry 1 (expect_column_to_exist): 'nobody' is not a variable"
        in wrong.stdout
    )
    expected.unlink()
    (data / "surveys" / "new_one" / file.name).write_text("x\n1\n", encoding="utf-8")
    damaged = CliRunner().invoke(app, ["check"])
    assert (damaged.exit_code, "the file was replaced or damaged" in damaged.stdout) == (1, True)
    unknown = CliRunner().invoke(app, ["check", "new_on"])
    assert (unknown.exit_code, "did you mean 'new_one'?" in unknown.stderr) == (2, True)


def test_a_workbook_whose_sheets_are_repeated_in_each_other_is_an_export_of_a_form(tmp_path: Path) -> None:
    form = pd.DataFrame({"hhid": [f"H{k}" for k in range(8)], "village": [f"v{k % 2}" for k in range(8)]})
    members = pd.DataFrame({"hhid": [f"H{k // 2}" for k in range(16)], "age": range(20, 36)})
    linked = members.drop(columns="hhid").assign(
        _index=range(1, 17), _parent_table_name="form", _parent_index=[k // 2 + 1 for k in range(16)]
    )
    for name, sheets in (
        ("kobo", {"form": form.assign(_index=range(1, 9)), "members": linked}),
        ("plain", {"homes": form, "members": members}),
    ):
        with pd.ExcelWriter(tmp_path / f"{name}.xlsx") as writer:
            for sheet, frame in sheets.items():
                frame.to_excel(writer, sheet_name=sheet, index=False)
        (tmp_path / "surveys").mkdir(exist_ok=True)
        scaffold([tmp_path / f"{name}.xlsx"], tmp_path / "surveys", catalog, known)
    told = {
        n: (tmp_path / "surveys" / n / "survey.yml").read_text(encoding="utf-8") for n in ("kobo", "plain")
    }
    assert told["kobo"].count("format: odk") == 2
    assert 'options: {"repeat": "members"}' in told["kobo"]
    assert told["kobo"].count("household_id: [hhid]") == 1
    assert "household_id: [household]" in told["kobo"]
    assert told["plain"].count("format: excel") == 2
