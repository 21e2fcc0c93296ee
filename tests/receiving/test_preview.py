"""`warehouse preview` shows what the crosswalk makes of the answers, and changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trial_folders import SURVEYS, Folder
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app

SURVEY = "gz_anshun_2020"
INDICATOR = "customs_difference"

Preview = Callable[..., tuple[int, Any]]


@pytest.fixture
def preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preview:
    """Preview a folder; gives exit status and what the program reads, or the text where it is none."""
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(SURVEYS.parent / name)

    def run(folder: Folder, *arguments: str) -> tuple[int, Any]:
        folder.save(tmp_path / "surveys" / SURVEY)
        done = CliRunner().invoke(app, ["preview", *arguments])
        assert sorted(p.name for p in tmp_path.iterdir()) == ["catalog", "literature", "surveys"]
        return done.exit_code, json.loads(done.output) if "--json" in arguments else done.output

    return run


def test_every_household_is_answered_or_missing_for_a_reason(
    preview: Preview, plain_survey: Callable[[str], Folder]
) -> None:
    status, said = preview(plain_survey(SURVEY), SURVEY, "--json")
    assert (status, said["problems"]) == (0, [])
    shown = {d["indicator_id"]: d for d in said["distributions"]}
    assert len(shown) > 10
    for d in shown.values():
        assert d["n_answered"] + sum(d["missing"].values()) == d["n"] > d["n_answered"] - 1
        assert not d["values"] or sum(d["values"].values()) == d["n_answered"] > 0
        assert list(d["quantiles"]) == sorted(d["quantiles"])
    counted = shown[INDICATOR]["values"]
    mean = sum(float(value) * n for value, n in counted.items()) / shown[INDICATOR]["n_answered"]
    assert shown[INDICATOR]["mean"] == pytest.approx(mean)
    status, one = preview(plain_survey(SURVEY), SURVEY, INDICATOR, "--json")
    assert (status, one["distributions"]) == (0, [shown[INDICATOR]])
    status, text = preview(plain_survey(SURVEY), SURVEY, INDICATOR)
    assert f"{INDICATOR} (" in text
    assert f"{shown[INDICATOR]['n_answered']} of {shown[INDICATOR]['n']} answered" in text


def test_a_wrong_rule_is_seen_with_what_it_makes(
    preview: Preview, plain_survey: Callable[[str], Folder]
) -> None:
    folder = plain_survey(SURVEY)
    line = folder.change("crosswalk.csv", {"rule": "scale"}, parameters="intercept=60")
    status, said = preview(folder, SURVEY, INDICATOR, "--json")
    assert status == 1
    assert [(p["file"], p["line"]) for p in said["problems"]] == [("crosswalk.csv", line)]
    assert said["distributions"][0]["quantiles"][0] >= 60


@pytest.mark.parametrize("arguments", [["absent"], [SURVEY, "absent"]])
def test_an_unknown_name_is_a_mistake_in_the_call(
    preview: Preview, plain_survey: Callable[[str], Folder], arguments: list[str]
) -> None:
    status, _ = preview(plain_survey(SURVEY), *arguments)
    assert status == 2
