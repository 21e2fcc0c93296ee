"""`warehouse check` puts a survey through every later gate, and what it passes is accepted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from trial_folders import SURVEYS, Folder
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app

Check = Callable[[Folder], tuple[int, str]]
SURVEY = "gz_anshun_2020"


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check a changed folder; gives exit status and output."""
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(SURVEYS.parent / name)

    def run(folder: Folder) -> tuple[int, str]:
        folder.save(tmp_path / "surveys" / SURVEY)
        done = CliRunner().invoke(app, ["check", SURVEY])
        return done.exit_code, done.output

    return run


def test_a_wrong_number_is_a_mistake_with_its_line(
    check: Check, plain_survey: Callable[[str], Folder]
) -> None:
    folder = plain_survey(SURVEY)
    line = folder.change("crosswalk.csv", {"rule": "scale"}, parameters="intercept=60")
    status, said = check(folder)
    assert status == 1
    assert f"crosswalk.csv, line {line}: wave single, customs_difference" in said


def test_what_is_set_aside_is_shown_by_rule_and_a_large_share_is_a_mistake(
    check: Check, plain_survey: Callable[[str], Folder]
) -> None:
    folder = plain_survey(SURVEY)
    _, at = folder.column("customs_similarity")
    for row in folder.files["answers"][1:31]:
        row[at] = "99"
    status, said = check(folder)
    assert status == 1
    assert "1 mistake(s)" in said
    assert "rule unknown_code sets aside 30 of 323 answers" in said
    folder.survey["largest_share_set_aside"] = 0.2
    assert check(folder)[0] == 0


def test_a_real_survey_is_told_what_would_be_withheld_and_why(
    check: Check, plain_survey: Callable[[str], Folder]
) -> None:
    folder = plain_survey(SURVEY)
    folder.survey["is_synthetic"] = False
    status, said = check(folder)
    assert status == 0
    assert "published rows of households: household_size_band, ethnic_group, age_band withheld" in said
    assert "of 323 households share site" in said
    folder.survey["disclosure"] = {"withhold": ["age_band", "ethnic_group", "household_size_band"]}
    assert "age_band, ethnic_group, household_size_band withheld\n" in check(folder)[1]


def test_a_real_survey_of_few_households_is_a_mistake(
    check: Check, plain_survey: Callable[[str], Folder]
) -> None:
    folder = plain_survey(SURVEY)
    folder.survey["is_synthetic"] = False
    del folder.files["answers"][4:]
    status, said = check(folder)
    assert status == 1
    assert "3 household(s), and a real survey with fewer than 5" in said


@pytest.mark.parametrize(
    ("disclosure", "said"),
    [
        ({"withhold": ["age_bnad"]}, "'age_bnad' is no indicator of the catalog; did you mean 'age_band'?"),
        ({"coarsen": [{"indicator": "nothing", "width": 5}]}, "'nothing' is no indicator of the catalog"),
        ({"coarsen": [{"indicator": "age_band"}]}, "say how it is made coarser"),
        ({"coarsen": [{"indicator": "age_band", "width": 5}]}, "age_band has codes"),
        (
            {"coarsen": [{"indicator": "age_band", "codes": {"young": "gt_69"}}]},
            "young are none of its codes",
        ),
        ({"coarsen": [{"indicator": "household_size", "codes": {"1": "2"}}]}, "household_size is a number"),
        ({"coarsen": [{"indicator": "household_size", "at_most": 0}]}, "under its smallest value 1"),
    ],
)
def test_what_cannot_be_withheld_or_made_coarser_is_a_mistake(
    check: Check, plain_survey: Callable[[str], Folder], disclosure: dict[str, object], said: str
) -> None:
    """Such a rule would hide nothing, or stop the publication of everybody."""
    folder = plain_survey(SURVEY)
    folder.survey |= {"is_synthetic": False, "disclosure": disclosure}
    status, answer = check(folder)
    assert status == 1
    assert "1 mistake(s)" in answer
    assert said in answer
