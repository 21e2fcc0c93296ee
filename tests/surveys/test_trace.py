"""A value leads back to its cell: through conversion, correction and quarantine, or to the reason why there is none."""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from small_survey import COLUMNS, HEADER, ROWS, csv_text, write_folder
from test_crosswalk import catalog, indicator
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.command.survey_commands import household_ids
from relocation_warehouse.publication.pseudonyms import KEY_VARIABLE, pseudonym
from relocation_warehouse.survey.crosswalk import compile_wave
from relocation_warehouse.survey.folder import SurveyFolder, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.trace import TraceError, WaveTrace, trace

CROSSWALK = """wave,indicator_id,rule,sources,codes,unit,parameters,status,evidence
*,age,direct,age,,,,identical,question 1
*,income,direct,income,,,,identical,question 2
*,satisfied,direct,satisfied,,,,identical,question 3
*,both,sum_available,age income,,,,compatible,questions 1 and 2
*,helped,selected,help,,,land,compatible,question 4
before,land,not_asked,,,,,not_asked,no question on land
after,land,not_asked,,,,,not_asked,no question on land
"""
INDICATORS = ("age", "income", "satisfied", "both", "helped", "land")
TWICE = ["H9", "甲", "50", "1", "1", "land", "2024-03-05", ""]
CORRECTION = (
    "households",
    "H2",
    "age",
    "41",
    "14",
    "digits exchanged; the list of the village says 14",
    "confirmed",
)


class Loaded:
    """A loaded survey with its staging table."""

    def __init__(self, path: Path) -> None:
        surveys = path / "surveys"
        (surveys / "small").mkdir(parents=True)
        rows = [*ROWS, ["H4", "乙", "150", *TWICE[3:]], TWICE, [*TWICE[:2], "51", *TWICE[3:]]]
        (surveys / "small" / "households.csv").write_text(csv_text(rows, HEADER), encoding="utf-8")
        columns = tuple(
            c if c[2] not in ("visit", "note") else (*c[:2], "", *c[3:8], "not needed") for c in COLUMNS
        )
        write_folder(surveys / "small", columns=columns, corrections=[CORRECTION])
        (surveys / "small" / "crosswalk.csv").write_text(CROSSWALK, encoding="utf-8")
        self.folder: SurveyFolder = load_folder(surveys / "small", INDICATORS)
        self.landing = path / "landing"
        self.con = duckdb.connect()
        assert ingest(self.folder, self.landing, self.con).is_accepted
        known = catalog(*map(indicator, INDICATORS))
        selects = " UNION ALL BY NAME ".join(
            compile_wave(self.folder, w.wave, known) for w in self.folder.survey.waves
        )
        self.con.execute(f"CREATE SCHEMA staging; CREATE TABLE staging.household_waves AS {selects}")

    def trace(self, household: str, indicator_id: str) -> tuple[WaveTrace, ...]:
        return trace(self.folder, household, indicator_id, self.con, self.landing)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    made = Loaded(tmp_path_factory.mktemp("trace"))
    yield made
    made.con.close()


def test_a_value_leads_to_file_row_and_column(loaded: Loaded) -> None:
    before, after = loaded.trace("H1", "income")
    assert (before.wave, before.value, before.missing_reason) == ("before", "1200.5", None)
    assert (before.rule.rule, before.line) == ("direct", 3)
    (cell,) = before.cells
    assert (cell.place, cell.row, cell.column) == ("households.csv", 2, "收入")
    assert (cell.received, cell.kept) == ("1200.5", "1200.5")
    assert after.cells == before.cells


def test_a_code_says_what_it_means(loaded: Loaded) -> None:
    (cell,) = loaded.trace("H3", "satisfied")[0].cells
    assert (cell.received, cell.notes) == ("同意", ("code '同意' means 3",))


def test_a_correction_is_shown_with_its_line_and_reason(loaded: Loaded) -> None:
    (cell,) = loaded.trace("H2", "age")[0].cells
    assert (cell.received, cell.kept) == ("41", None)
    assert "corrected to '14' (confirmed; corrections.csv, line 2): digits exchanged" in cell.notes[0]
    assert "below the minimum 16" in cell.notes[1]


def test_a_cell_that_was_set_aside_says_why(loaded: Loaded) -> None:
    trace_ = loaded.trace("H4", "age")[0]
    assert (trace_.value, trace_.missing_reason) == (None, "out_of_range")
    (cell,) = trace_.cells
    assert (cell.received, cell.kept, cell.missing_reason) == ("150", None, "out_of_range")
    assert re.search(
        r"set aside: .*households\.csv, row 5, column 年龄: 150 is above the maximum 100", cell.notes[0]
    )


def test_every_source_of_a_sum_is_shown(loaded: Loaded) -> None:
    trace_ = loaded.trace("H1", "both")[0]
    assert trace_.value == "1235.5"
    assert [c.column for c in trace_.cells] == ["年龄", "收入"]


def test_what_was_not_asked_has_no_cell(loaded: Loaded) -> None:
    for wave, line in zip(loaded.trace("H1", "land"), (7, 8), strict=True):
        assert (wave.value, wave.missing_reason, wave.line, wave.cells) == (None, "not_asked", line, ())


def test_a_household_that_was_set_aside_says_why(loaded: Loaded) -> None:
    with pytest.raises(
        TraceError, match=r"set aside:\n.*row 6: H9 occurs in several rows with different answers"
    ):
        loaded.trace("H9", "age")


def test_a_misspelt_household_is_named(loaded: Loaded) -> None:
    with pytest.raises(TraceError, match="no household 'H11'; did you mean 'H1'"):
        loaded.trace("H11", "age")


SECRET = "1f0c6b2e9a7d43508be4c97215d8f36a"


def test_a_published_pseudonym_leads_to_the_household(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert household_ids(loaded.con, "small", "H1") == ("H1", "H1")
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    hidden = pseudonym(SECRET.encode(), "small", "H1")
    assert hidden != "H1"
    assert household_ids(loaded.con, "small", hidden) == (hidden, "H1")
    assert household_ids(loaded.con, "small", "H1") == (hidden, "H1")


def test_explain_names_line_question_and_sql(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Path(__file__).parents[2] / "data"
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))
    path = min((data / "surveys").glob("*/survey.yml")).parent
    folder = load_folder(path)
    wave = folder.survey.waves[0].wave
    row = next(r for r in folder.rows_of(wave).values() if r.rule == "direct")
    told = CliRunner().invoke(app, ["explain", path.name, row.indicator_id])
    assert told.exit_code == 0
    line = folder.crosswalk_lines[row.wave, row.indicator_id]
    assert f"wave {wave}: crosswalk.csv, line {line}" in told.stdout
    assert row.evidence in told.stdout
    assert f"is column {folder.variables[folder.resolve(row.sources[0], wave)].column!r}" in told.stdout
    assert f'"{row.indicator_id}__missing"' in told.stdout
    unknown = CliRunner().invoke(app, ["explain", path.name, row.indicator_id + "x"])
    assert (unknown.exit_code, f"did you mean '{row.indicator_id}'?" in unknown.stderr) == (2, True)
