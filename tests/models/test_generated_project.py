"""The dbt project of a warehouse is written from declarations: what others do to its files is undone and named."""

import json
import re
import shutil
from pathlib import Path

import pytest

from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.models.project import RECORD, assemble
from relocation_warehouse.survey.folder import SurveyFolderError, load_folder

SURVEY = "gz_anshun_2020"


@pytest.fixture
def paths(tmp_path):
    """A warehouse that accepted one survey."""
    (tmp_path / "catalog").symlink_to(CHECKOUT / "data" / "catalog")
    shutil.copytree(CHECKOUT / "data" / "surveys" / SURVEY, tmp_path / "warehouse" / "accepted" / SURVEY)
    return Paths.under(tmp_path)


def model_of(folder: Path) -> Path:
    (path,) = folder.rglob(f"{SURVEY}__single.sql")
    return path


def test_a_model_that_was_edited_by_hand_is_named_with_its_line_and_written_again(paths, caplog):
    project = assemble(paths)
    model = model_of(project.folder)
    lines = model.read_text(encoding="utf-8").splitlines()
    edited = [*lines[:9], lines[9] + " + 1", *lines[10:]]
    model.write_text("\n".join(edited), encoding="utf-8")
    again = assemble(paths)
    (message,) = caplog.messages
    assert message.startswith(f"{model}, line 10: was changed by hand or cut off")
    assert "Change the crosswalk" in message
    assert model.read_text(encoding="utf-8").splitlines() == lines
    assert again.digest == project.digest
    caplog.clear()
    assemble(paths)
    assert caplog.messages == []


def test_a_half_written_folder_is_completed(paths, caplog):
    whole = assemble(paths)
    model = model_of(whole.folder)
    content = model.read_bytes()
    model.write_bytes(content[: len(content) // 2])
    model.with_suffix(".new").write_bytes(content[:10])
    (lost,) = whole.folder.rglob("survey.yml")
    lost.unlink()
    assert assemble(paths).digest == whole.digest
    assert model.read_bytes() == content
    assert lost.exists()
    assert not model.with_suffix(".new").exists()
    (message,) = caplog.messages
    assert re.search(rf"{SURVEY}__single\.sql, line \d+: was changed by hand or cut off", message)


@pytest.mark.parametrize("record", [None, "", "{", "[]"])
def test_a_folder_of_the_version_before_is_brought_up_to_date_without_a_word(paths, caplog, record):
    project = assemble(paths)
    model = model_of(project.folder)
    content = model.read_bytes()
    model.write_text("select 1", encoding="utf-8")
    stray = model.with_name("of_a_survey_that_is_gone.sql")
    stray.write_text("select 1", encoding="utf-8")
    file = project.folder / RECORD
    file.unlink() if record is None else file.write_text(record, encoding="utf-8")
    assert assemble(paths).digest == project.digest
    assert model.read_bytes() == content
    assert not stray.exists()
    assert caplog.messages == []
    assert json.loads(file.read_text(encoding="utf-8"))


def test_two_surveys_with_one_id_are_told_apart_by_their_folders(tmp_path):
    copy = tmp_path / "gz_anshun_copy"
    shutil.copytree(CHECKOUT / "data" / "surveys" / SURVEY, copy)
    with pytest.raises(SurveyFolderError) as caught:
        load_folder(copy)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == ("survey.yml", 2)
    assert "no two surveys have the same id" in problem.message
    assert "write survey_id: gz_anshun_copy, or rename the folder" in problem.message
