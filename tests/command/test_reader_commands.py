"""The commands for readers, and what programs get from the others as JSON."""

import json
import os
import re
from pathlib import Path

import pyreadstat
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.command.reader_commands import _matrix
from relocation_warehouse.command.survey_commands import out
from relocation_warehouse.publication.report.figures import SIGNS

COMMANDS = CliRunner()


@pytest.fixture
def run(refreshed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAREHOUSE_DATA", str(refreshed))
    return lambda *arguments: COMMANDS.invoke(app, arguments)


def test_the_version_is_that_of_the_project(run):
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.*)"', project, re.MULTILINE)[1] in run("--version").output


def test_status_and_check_answer_programs(run, refreshed):
    surveys = {p.name for p in (refreshed / "surveys").iterdir() if (p / "survey.yml").exists()}
    status = json.loads(run("status", "--json").stdout)
    assert surveys <= set(status["surveys"])
    assert status["published_at"]
    one = sorted(surveys)[0]
    done = run("check", one, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)[one]["problems"] == []


def test_coverage_answers_programs_with_every_verdict(run):
    rows = json.loads(run("coverage", "--json").stdout)
    assert len(rows) > 500
    assert {r["status"] for r in rows} <= set(SIGNS)


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("n_columns", [1, 6, 40])
def test_the_matrix_fits_the_terminal_and_loses_nothing(width, n_columns):
    labels = [
        "Short",
        "A label that is so long that it takes more than one line of any narrow terminal",
        "很长的中文标签" * 9,
    ]
    columns = [(f"survey_{k}", "after") for k in range(n_columns)]
    verdicts = {(label, *c): "proxy" for label in labels for c in columns}
    lines = [re.sub(r"\[/?\w*\]", "", line) for line in _matrix(labels, columns, verdicts, SIGNS, width)]
    wide = max(sum(2 if ord(c) > 0x2E80 else 1 for c in line) for line in lines)
    assert wide <= width
    assert sum(line.count("  p") for line in lines) == len(labels) * n_columns
    joined = "".join(line.replace("  p", "").strip() for line in lines).replace(" ", "")
    assert labels[2] in joined
    assert labels[1].replace(" ", "") in joined


def test_coverage_fits_a_terminal_of_80_columns(run, tmp_path, monkeypatch):
    monkeypatch.setattr(out, "width", 80)
    told = run("coverage", "--figure", str(tmp_path / "coverage.svg")).stdout.splitlines()
    assert len(told) > 100
    # a path is one word
    assert [line for line in told if cell_len(line) > 80 and not line.startswith("drawn: ")] == []


def test_extract_writes_and_says_what_to_cite(run, tmp_path):
    done = run(
        "extract", "--to", str(tmp_path / "a.sav"), "--indicator", "household_income_yuan", "--language", "zh"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.count("written:") == 3
    assert "cite: " in done.stdout
    assert "made up" in done.stdout
    _, meta = pyreadstat.read_sav(tmp_path / "a.sav")
    assert "家庭" in meta.column_names_to_labels["household_income_yuan"]


def test_a_slip_of_the_pen_is_answered_with_the_likely_name(run, tmp_path):
    done = run("extract", "--to", str(tmp_path / "a.dta"), "--indicator", "houshold_income")
    assert done.exit_code == 2
    assert "did you mean 'household_income_yuan'" in done.output
    assert list(tmp_path.iterdir()) == []


def test_open_names_the_page_of_each_edition(run, refreshed):
    for edition, options in (("", ()), ("public", ("--public",))):
        page = Path(json.loads(run("open", "--json", *options).stdout)["report"])
        assert page == refreshed / "published" / edition / "report" / "index.html"
        assert page.exists()


def test_nothing_published_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    for command in (["coverage"], ["open"], ["extract", "--to", os.devnull + ".csv"]):
        done = COMMANDS.invoke(app, command)
        assert done.exit_code == 1
        assert "nothing is published yet" in done.output
