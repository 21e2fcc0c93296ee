import duckdb
import pytest
from made_up_build import contract

from relocation_warehouse.publication.audit import audit


def failures(database):
    return {(c.table, c.check): c for c in audit(database, contract()).checks if c.status == "failed"}


def test_a_sound_build_passes_every_check(database):
    result = audit(database, contract())
    assert failures(database) == {}
    assert result.is_passed
    checked = {c.table for c in result.checks}
    assert {t.full_name for t in contract()} <= checked


@pytest.mark.parametrize(
    ("damage", "table", "check", "message"),
    [
        ("DROP TABLE reference.codes", "reference.codes", "columns_as_described", "missing"),
        ("CREATE TABLE quality.secret (a INT)", "quality", "schema_is_described", "quality.secret"),
        (
            "ALTER TABLE reference.codes ADD COLUMN extra INT",
            "reference.codes",
            "columns_as_described",
            "extra",
        ),
        (
            "ALTER TABLE reference.codes DROP COLUMN label_zh",
            "reference.codes",
            "columns_as_described",
            "label_zh",
        ),
        (
            "ALTER TABLE reference.codes ALTER display_order TYPE BIGINT",
            "reference.codes",
            "columns_as_described",
            "BIGINT, described as INTEGER",
        ),
        (
            "INSERT INTO harmonized.households SELECT * FROM harmonized.households LIMIT 1",
            "harmonized.households",
            "key_is_unique",
            "survey_id=",
        ),
        (
            "UPDATE harmonized.households SET is_synthetic = NULL",
            "harmonized.households",
            "required_is_present",
            "is_synthetic is empty in 24 rows",
        ),
        (
            "UPDATE capital.household_capitals SET total = 1.5",
            "capital.household_capitals",
            "value_in_range",
            "total is over 1",
        ),
        (
            "UPDATE integration.household_dimensions SET cultural = -0.5",
            "integration.household_dimensions",
            "value_in_range",
            "cultural is under 0",
        ),
        (
            "UPDATE harmonized.households SET trust = 6",
            "harmonized.households",
            "value_in_range",
            "trust is over 5",
        ),
        (
            "UPDATE analysis.regression_coefficients SET b = 'nan'",
            "analysis.regression_coefficients",
            "number_is_finite",
            "b is infinite",
        ),
        (
            "UPDATE analysis.region_comparison SET value = '-inf'",
            "analysis.region_comparison",
            "number_is_finite",
            "value is infinite",
        ),
        (
            "UPDATE harmonized.coverage SET status = 'perhaps'",
            "harmonized.coverage",
            "value_is_allowed",
            "status is none of",
        ),
        (
            "UPDATE harmonized.missing_reasons SET indicator_id = 'unheard_of' WHERE indicator_id = 'trust'",
            "harmonized.missing_reasons",
            "indicator_id_is_known",
            "not in reference.indicators: unheard_of",
        ),
        ("UPDATE quality.loads SET received = received + 1", "quality.loads", "rows_balance", "hills"),
        (
            "DELETE FROM harmonized.coverage WHERE wave = 'after' AND indicator_id = 'trust'",
            "harmonized.coverage",
            "coverage_is_complete",
            "hills after trust; plains after trust",
        ),
        (
            "UPDATE harmonized.coverage SET n_blank = 3",
            "harmonized.coverage",
            "missing_reasons_add_up",
            "not the sum",
        ),
        (
            "DELETE FROM harmonized.households WHERE survey_id = 'plains'",
            "harmonized.households",
            "each_survey_has_rows",
            "no row for plains",
        ),
        (
            "DELETE FROM capital.household_capitals WHERE survey_id = 'hills'",
            "capital.household_capitals",
            "each_survey_has_rows",
            "no row for hills",
        ),
        (
            "CREATE SCHEMA raw; CREATE TABLE raw.items AS FROM integration.household_items;"
            " CREATE OR REPLACE VIEW integration.household_items AS FROM raw.items",
            "integration.household_items",
            "view_reads_published_tables",
            "not raw.items",
        ),
        (
            "CREATE TABLE items AS FROM integration.household_items; DROP VIEW integration.household_items;"
            " CREATE TABLE integration.household_items AS FROM items",
            "integration.household_items",
            "view_reads_published_tables",
            "integration.household_items is no view in the build",
        ),
    ],
)
def test_damage_is_an_error_that_names_the_place(database, damage, table, check, message):
    with duckdb.connect(str(database)) as con:
        con.execute(damage)
    failed = failures(database)
    assert message in failed[table, check].message
    assert failed[table, check].severity == "error"
    assert failed[table, check].n_failed > 0
    assert not audit(database, contract()).is_passed


def test_rounding_errors_at_the_bound_are_no_failure(database):
    with duckdb.connect(str(database)) as con:
        con.execute('UPDATE capital.household_capitals SET total = 1 + 1e-12, "natural" = -1e-12')
    assert failures(database) == {}


def test_a_mart_may_lack_a_survey_that_did_not_ask_its_indicators(database):
    with duckdb.connect(str(database)) as con:
        con.execute("DELETE FROM capital.household_capitals WHERE survey_id = 'hills'")
        con.execute(
            "UPDATE harmonized.coverage SET n = 0 WHERE survey_id = 'hills' AND indicator_id = 'land_area'"
        )
    assert failures(database) == {}


def test_a_refused_survey_and_an_empty_table_are_warnings(database):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE quality.loads SET status = 'refused' WHERE survey_id = 'hills'")
        con.execute("DELETE FROM quality.quarantine")
    failed = failures(database)
    assert set(failed) == {("quality.loads", "survey_is_accepted"), ("quality.quarantine", "table_has_rows")}
    assert {c.severity for c in failed.values()} == {"warning"}
    assert audit(database, contract()).is_passed


STANDING_OUT = (
    "UPDATE reference.indicators SET is_sensitive = indicator_id IN ('trust', 'livelihood');"
    "UPDATE harmonized.missing_reasons SET missing_reason = 'blank'",
    "UPDATE harmonized.households SET trust = 3, livelihood = 'livelihood_a', site_id = 'site_a'",
    "UPDATE harmonized.households SET livelihood = 'livelihood_b' WHERE household_id IN ('h1', 'h2')",
)


@pytest.mark.parametrize(
    ("is_real", "check", "severity"),
    [
        (False, "made_up_households_do_not_stand_out", "warning"),
        (True, "real_households_do_not_stand_out", "error"),
    ],
)
def test_households_that_stand_out_are_counted_and_stop_a_real_survey(database, is_real, check, severity):
    with duckdb.connect(str(database)) as con:
        for statement in STANDING_OUT:
            con.execute(statement)
        con.execute(
            "UPDATE reference.surveys SET is_synthetic = survey_id <> ?", ["hills" if is_real else ""]
        )
    result = failures(database)["harmonized.households", check]
    # two households of six share a combination, the other four another one, in two waves of two surveys
    assert result.n_failed == (6 if is_real else 12)
    assert result.severity == severity
    assert "hills 6 of 6 households" in result.message
    assert ("plains" in result.message) is not is_real
    assert audit(database, contract()).is_passed is not is_real


def test_households_alike_in_groups_of_five_do_not_stand_out(database):
    with duckdb.connect(str(database)) as con:
        for statement in STANDING_OUT[:2]:
            con.execute(statement)
    assert failures(database) == {}


def test_the_sixth_household_alone_stands_out_among_five_alike(database):
    with duckdb.connect(str(database)) as con:
        for statement in STANDING_OUT[:2]:
            con.execute(statement)
        con.execute("UPDATE harmonized.households SET trust = 4 WHERE household_id = 'h6'")
    result = failures(database)["harmonized.households", "made_up_households_do_not_stand_out"]
    assert result.n_failed == 2
