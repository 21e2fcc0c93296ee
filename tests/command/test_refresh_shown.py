"""`warehouse refresh` shows its steps: lines for people, one JSON object a line for programs."""

import json

import pytest
from typer.testing import CliRunner

from relocation_warehouse.command import refresh as module
from relocation_warehouse.command.cli import app
from relocation_warehouse.command.refresh import Outcome
from relocation_warehouse.command.steps import Step


@pytest.fixture(autouse=True)
def told(monkeypatch, tmp_path):
    """A refresh that only tells."""

    def refresh(paths, only, force, progress, new_key):
        progress("receiving one")
        progress(Step("raw__answers", 0.0, None, 0.0))
        progress(Step("raw__answers", 2.0, 1.96, 0.25))
        return Outcome(is_published=True)

    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    monkeypatch.setenv("WAREHOUSE_ENGINE", "duckdb")
    monkeypatch.setattr(module, "refresh", refresh)


def test_a_person_reads_what_was_done_and_how_long_it_took():
    done = CliRunner().invoke(app, ["refresh"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[:2] == ["receiving one", "  raw.answers 2.0 s (25% after 2 s)"]


def test_a_program_reads_events_beside_the_answer():
    done = CliRunner().invoke(app, ["refresh", "--json"])
    assert json.loads(done.stdout)["is_published"]
    assert [json.loads(line) for line in done.stderr.splitlines()] == [
        {"event": "said", "text": "receiving one"},
        {"event": "began", "step": "raw__answers", "elapsed_seconds": 0.0, "seconds": None, "share": 0.0},
        {"event": "ended", "step": "raw__answers", "elapsed_seconds": 2.0, "seconds": 1.96, "share": 0.25},
    ]
