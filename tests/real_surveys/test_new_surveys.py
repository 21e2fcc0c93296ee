"""Two further surveys, added as folders only, appear wherever a survey can appear."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from conftest import KEY, RealWarehouse
from new_surveys import HOUSEHOLDS, KOBO_SURVEY, NOT_ASKED, STATA_SURVEY
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.ground.database import connect
from relocation_warehouse.publication.pseudonyms import KEY_VARIABLE, pseudonym
from relocation_warehouse.survey.catalog import load_catalog

ROOT = Path(__file__).parents[2]
NEW = {STATA_SURVEY: "qinghai", KOBO_SURVEY: "gansu"}

ABOUT_PRINTED_STUDIES = {
    *("quality.replication_options", "analysis.study_capitals", "quality.replication"),
    "analysis.category_results",
}
ABOUT_CELLS_SET_ASIDE = {"quality.quarantine"}
ABOUT_SEVERAL_REASONS = {"harmonized.missing_reasons"}
"""Holds a survey only where households lack an answer for different reasons, which these two do not."""
ABOUT_CHANGE_BETWEEN_WAVES = {
    "analysis.coupling_tests",
    "analysis.coupled_transitions",
    "analysis.coupling_transitions",
    "analysis.panel_models",
    "analysis.index_changes",
    "analysis.stuck_households",
    "analysis.wave_bands",
    "analysis.wave_changes",
    "capital.capital_changes",
}
EXEMPT = ABOUT_PRINTED_STUDIES | ABOUT_CELLS_SET_ASIDE | ABOUT_SEVERAL_REASONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def data(warehouse: RealWarehouse) -> Path:
    return warehouse.data


@pytest.fixture(scope="module")
def published(data: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(data / "published" / "warehouse.duckdb", read_only=True) as con:
        yield con


def values(con: duckdb.DuckDBPyConnection, table: str, column: str) -> set[str]:
    return {v for (v,) in con.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()}


def test_both_appear_in_every_table_of_surveys(data: Path, published: duckdb.DuckDBPyConnection) -> None:
    catalog = data / "catalog"
    checked = 0
    for table in load_contract(catalog / "tables.yml", load_catalog(catalog).indicators):
        name = f"{table.schema}.{table.name}"
        if "survey_id" not in table.column_names or name in EXEMPT:
            continue
        wanted = {STATA_SURVEY} if name in ABOUT_CHANGE_BETWEEN_WAVES else set(NEW)
        assert wanted <= values(published, name, "survey_id"), name
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("table", ["region_comparison", "sensitivity", "sensitivity_ranks"])
def test_both_regions_are_compared(published: duckdb.DuckDBPyConnection, table: str) -> None:
    assert set(NEW.values()) <= values(published, f"analysis.{table}", "region")


@pytest.mark.parametrize("test", ["oaxaca", "wald", "welch"])
def test_both_regions_are_tested_against_the_others(published: duckdb.DuckDBPyConnection, test: str) -> None:
    contrasts = published.execute(
        "SELECT contrast FROM analysis.region_tests WHERE test = ?", [test]
    ).fetchall()
    compared = {region for (contrast,) in contrasts for region in contrast.split("|")}
    assert set(NEW.values()) <= compared


def test_every_model_of_all_surveys_is_fitted_on_both(published: duckdb.DuckDBPyConnection) -> None:
    general = {m.id for m in load_catalog(ROOT / "data" / "catalog").models if not m.published_survey_ids}
    for survey in NEW:
        fitted = published.execute(
            "SELECT DISTINCT model FROM analysis.regression_models WHERE survey_id = ?", [survey]
        ).fetchall()
        assert {m for (m,) in fitted} == general


def test_every_household_arrives_in_every_wave_and_says_that_it_is_made_up(
    published: duckdb.DuckDBPyConnection,
) -> None:
    counted = published.execute(
        "SELECT survey_id, wave, count(*), bool_and(is_synthetic) FROM harmonized.households "
        "WHERE survey_id IN (?, ?) GROUP BY ALL ORDER BY ALL",
        [KOBO_SURVEY, STATA_SURVEY],
    ).fetchall()
    assert counted == [
        (KOBO_SURVEY, "single", HOUSEHOLDS, True),
        (STATA_SURVEY, "after", HOUSEHOLDS, True),
        (STATA_SURVEY, "before", HOUSEHOLDS, True),
    ]


def test_what_was_not_asked_is_told_from_what_was_not_answered(published: duckdb.DuckDBPyConnection) -> None:
    verdicts = published.execute(
        "SELECT DISTINCT status, n_not_asked FROM harmonized.coverage WHERE survey_id = ? AND indicator_id = ?",
        [STATA_SURVEY, NOT_ASKED],
    ).fetchall()
    assert verdicts == [("not_asked", HOUSEHOLDS)]
    unclear = published.execute(
        "SELECT n, n_dont_know FROM harmonized.coverage WHERE survey_id = ? AND wave = 'before' "
        "AND indicator_id = 'head_health'",
        [STATA_SURVEY],
    ).fetchall()
    assert unclear == [(HOUSEHOLDS - 1, 1)]


def test_a_published_cell_leads_back_to_the_rows_of_a_repeat_group(
    data: Path, published: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    (area,) = published.execute(
        "SELECT arable_land_area_mu FROM harmonized.households WHERE household_id = ?",
        [pseudonym(KEY.encode(), KOBO_SURVEY, "G002")],
    ).fetchone()
    assert area == pytest.approx((2001 + 2668 + 3335) * 0.0015)
    told = CliRunner().invoke(app, ["trace", KOBO_SURVEY, "G002", "arable_land_area_mu"])
    assert told.exit_code == 0
    assert "[published]" in told.stdout
    for row, received in ((5, 2001), (6, 2668), (7, 3335)):
        assert f"export.zip [plots], row {row}, column plots/area: received '{received}'" in told.stdout


def test_the_coverage_matrix_is_printed_and_drawn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))
    figure = tmp_path / "coverage.svg"
    told = CliRunner().invoke(app, ["coverage", "--figure", str(figure)])
    assert told.exit_code == 0
    assert all(f"{survey}, " in told.stdout for survey in NEW)
    assert "not asked" in told.stdout
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert {
        part for part in ("Qinghai", "Livelihood capital", "Social integration") if part not in drawn
    } == set()
