"""Every mistake of a folder is named at once, with file, line and what was probably meant."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from small_survey import write_folder

from relocation_warehouse.survey.folder import BLANK, SurveyFolder, load_folder
from relocation_warehouse.survey.problems import Problem, SurveyFolderError


def replace(folder: SurveyFolder, name: str, old: str, new: str) -> None:
    text = (folder.path / name).read_text(encoding="utf-8")
    assert old in text
    (folder.path / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def problems(folder: SurveyFolder) -> tuple[Problem, ...]:
    ids = [r.indicator_id for r in folder.crosswalk]
    with pytest.raises(SurveyFolderError) as refused:
        load_folder(folder.path, ids)
    return refused.value.problems


def line_of(folder: SurveyFolder, name: str, text: str) -> int:
    lines = (folder.path / name).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


@pytest.fixture
def folder(tmp_path: Path) -> SurveyFolder:
    return write_folder(tmp_path / "small")


MISTAKES = [
    (
        "survey.yml",
        "place: {",
        "plcae: {",
        "plcae",
        "plcae: no such field; did you mean 'place'?",
    ),
    (
        "survey.yml",
        "order: 1",
        "order: first",
        "order: first",
        "waves.1.order: Input should be a valid integer",
    ),
    (
        "survey.yml",
        "region: nowhere",
        f"region: {BLANK}",
        f"region: {BLANK}",
        "region is still to be filled in",
    ),
    ("columns.csv", ",income,number", ",income,numbr", "numbr", "(given: 'numbr'); did you mean 'number'?"),
    ("columns.csv", ",missing words,", ",missing word,", "missing word,", "did you mean 'words'?"),
    (
        "codes.csv",
        "site,乙,SITE_B",
        "site,乙,SITE_C",
        "SITE_C",
        "'SITE_C' is no site of survey.yml; did you mean 'SITE_",
    ),
    ("codes.csv", "agree,2,2,", "agree,1,2,", "agree,1,2,", "code '1' occurs twice in list agree"),
    ("codes.csv", "missing,9,,dont_know", "missing,9,,dontknow", "dontknow", "did you mean 'dont_know'?"),
    (
        "crosswalk.csv",
        "households.age",
        "households.aeg",
        "households.aeg",
        "no variable 'aeg' in file 'households' (columns.csv); did you mean 'age'?",
    ),
    (
        "crosswalk.csv",
        "i_households_income,direct",
        "i_household_income,direct",
        "i_household_income,",
        "did you mean 'i_households_income'?",
    ),
    (
        "crosswalk.csv",
        "i_households_note,direct",
        "i_households_note,dirct",
        "dirct",
        "did you mean 'direct'?",
    ),
    (
        "crosswalk.csv",
        "i_households_visit,direct,households.visit,identical",
        f"i_households_visit,direct,households.visit,{BLANK}",
        "i_households_visit",
        "status is still to be filled in",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "where", "message"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_a_mistake_is_named_with_its_line(
    folder: SurveyFolder, name: str, old: str, new: str, where: str, message: str
) -> None:
    replace(folder, name, old, new)
    line = line_of(folder, name, where)
    result = problems(folder)
    assert any(p.file == name and p.line == line and message in p.message for p in result), "\n".join(
        map(str, result)
    )


def test_all_mistakes_are_named_at_once(folder: SurveyFolder) -> None:
    for name, old, new, *_ in MISTAKES:
        replace(folder, name, old, new)
    result = problems(folder)
    for name, _, new, where, message in MISTAKES:
        line = line_of(folder, name, where)
        assert any((p.file, p.line) == (name, line) and message in p.message for p in result), new


ACROSS_FILES = [
    (
        "household_id: [hhid]",
        "household_id: [hhdi]",
        "hhdi",
        "household_id 'hhdi' is not a variable in columns.csv; did",
    ),
    (
        "column: site}",
        "column: stie}",
        "stie",
        "site column 'stie' is not a variable in columns.csv; did you mean 'site'?",
    ),
    (
        "{codes: site,",
        "{codes: sites_,",
        "sites_",
        "site codes 'sites_' are not in codes.csv; did you mean 'site'?",
    ),
    ("format: delimited", "format: delimited\n  grain: member", "files:", "no file has grain: household"),
    ("path: house", "wave: {fixed: befor}\n  path: house", "befor", "wave 'befor' is not one of"),
    (
        "path: house",
        "wave: {column: rond, codes: round}\n  path: house",
        "rond",
        "wave column 'rond' is not a variable",
    ),
    (
        "path: house",
        "wave: {column: site, codes: rond}\n  path: house",
        "rond",
        "wave codes 'rond' are not in codes.csv",
    ),
    (
        "path: house",
        "wave: {fixed: before}\n  path: house",
        "order: 1",
        "wave after: no file with grain household",
    ),
    ("site_id: SITE_B", "site_id: SITE_A # again", "# again", "site_id given twice: SITE_A"),
    ("wave: after", "wave: before # again", "# again", "wave given twice: before"),
    (
        "survey_id: small",
        "survey_id: small\nsampling_weight: wieght",
        "wieght",
        "sampling_weight 'wieght' is not a",
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "message"), ACROSS_FILES, ids=[m[1] for m in ACROSS_FILES])
def test_a_mistake_across_files_has_its_line_in_survey_yml(
    folder: SurveyFolder, old: str, new: str, where: str, message: str
) -> None:
    replace(folder, "survey.yml", old, new)
    line = line_of(folder, "survey.yml", where)
    matching = [p for p in problems(folder) if p.file == "survey.yml" and message in p.message]
    # an entry of a list is where its first field is
    assert [p.line for p in matching] == [line - (1 if where == "order: 1" else 0)], problems(folder)


def test_a_blank_is_one_message_and_no_second_mistake(folder: SurveyFolder) -> None:
    replace(folder, "columns.csv", ",income,number", f",income,{BLANK}")
    assert [p.message for p in problems(folder)] == ["type is still to be filled in"]


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ({"column": BLANK, "codes": "site"}, "site.column is still to be filled in"),
        ({"colum": "site", "codes": "site"}, "site.colum: no such field; did you mean 'column'?"),
        ({"fixed": "no site"}, "site.fixed: String should match"),
        ({}, "site.column: Field required"),
    ],
)
def test_of_two_ways_to_say_a_site_the_one_that_is_meant_is_judged(
    folder: SurveyFolder, site: dict[str, str], said: str
) -> None:
    yaml = YAML(typ="safe", pure=True)
    document = yaml.load((folder.path / "survey.yml").read_text(encoding="utf-8"))
    with (folder.path / "survey.yml").open("w", encoding="utf-8") as handle:
        yaml.dump(document | {"site": site}, handle)
    messages = [p.message for p in problems(folder)]
    assert any(said in message for message in messages), messages
    assert not [m for m in messages if "Fixed" in m or "SiteColumn" in m or "(" in m.split(":")[0]]


def test_a_row_with_a_mistake_still_stands_for_its_name(folder: SurveyFolder) -> None:
    replace(folder, "columns.csv", ",income,number", ",income,numbr")
    assert [p.file for p in problems(folder)] == ["columns.csv"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: (p / "codes.csv").unlink(), "file is missing"),
        (
            lambda p: (p / "codes.csv").write_text("lst,code\n"),
            "unknown column(s) ['lst']; did you mean 'list'?",
        ),
        (lambda p: (p / "codes.csv").write_bytes(b"list,code\n\xff\xfe,1\n"), "not readable as UTF-8 CSV"),
        (lambda p: (p / "codes.csv").write_text("list,code\na\n"), "more or fewer cells"),
        (lambda p: (p / "survey.yml").write_text("a: [1"), "not readable as YAML"),
        (lambda p: (p / "survey.yml").write_text("- 1\n"), "survey.yml"),
        (lambda p: (p / "survey.yml").unlink(), "file is missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    folder: SurveyFolder, spoil: Callable[[Path], object], message: str
) -> None:
    spoil(folder.path)
    assert any(message in str(p) for p in problems(folder))
