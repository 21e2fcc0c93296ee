"""`python -m relocation_warehouse.demonstration` writes complete survey folders."""

from pathlib import Path

import pytest

from relocation_warehouse.demonstration.__main__ import SURVEYS, main
from relocation_warehouse.survey.folder import load_folder, sha256_of

DELIMITED = [p.parent.name for p in sorted(SURVEYS.glob("*/demo.yml")) if (p.parent / "answers.csv").exists()]


@pytest.mark.parametrize("survey_id", DELIMITED)
def test_a_survey_of_another_size_is_a_valid_folder_of_its_own(survey_id: str, tmp_path: Path) -> None:
    assert main(["--survey", survey_id, "--households", "500", "--out", str(tmp_path)]) == 0
    folder = load_folder(tmp_path / survey_id)
    file = folder.survey.files[0]
    assert file.sha256 == sha256_of(folder.path / file.path)
    assert file.sha256 != load_folder(SURVEYS / survey_id).survey.files[0].sha256
    lines = (folder.path / file.path).read_text(encoding="gb18030").splitlines()
    assert len(lines) == 501
    assert not (folder.path / "calibration.csv").exists(), "targets of the survey's own size would mislead"


def test_an_unknown_survey_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--survey", "no_such_survey"]) == 2
    assert "no_such_survey" in capsys.readouterr().err


def test_the_checkout_keeps_its_own_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--households", "10"]) == 2
    assert "--out" in capsys.readouterr().err
