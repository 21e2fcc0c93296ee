"""The shipped surveys marked as real are published without another change: few columns are withheld, not the survey."""

import json

import duckdb
import pytest
from conftest import SHIPPED

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)]

K = 5


@pytest.fixture(scope="module")
def query(warehouse):
    with duckdb.connect(str(warehouse.published), read_only=True) as con:
        yield lambda sql: con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def sensitive():
    return [i.id for i in load_catalog(CHECKOUT / "data" / "catalog").indicators if i.sensitive]


@pytest.fixture(scope="module")
def withheld(warehouse):
    """What is said to be withheld of the shipped surveys."""
    told = json.loads((warehouse.data / "published" / "manifest.json").read_text("utf-8"))["withheld"]
    return {w["survey_id"]: w for w in told if w["survey_id"] in SHIPPED}


def test_all_are_published_under_pseudonyms(query):
    rows = query("SELECT survey_id, is_synthetic FROM reference.surveys")
    assert {*rows} >= {(s, False) for s in SHIPPED}
    ids = query("SELECT DISTINCT household_id FROM harmonized.households WHERE NOT is_synthetic")
    assert all(len(h) == 20 and set(h) <= set("0123456789abcdef") for (h,) in ids)


def test_nobody_stands_out_by_what_is_published_of_all_waves(query, sensitive):
    columns = ", ".join(f"coalesce({c}::VARCHAR, '')" for c in ("wave", "site_id", *sensitive))
    told = (
        f"SELECT survey_id, household_id, list([{columns}] ORDER BY wave_order) AS told "
        "FROM harmonized.households WHERE NOT is_synthetic GROUP BY ALL"
    )
    rows = query(
        f"SELECT min(alike) FROM (SELECT survey_id, told, count(*) AS alike FROM ({told}) GROUP BY ALL)"
    )
    assert rows[0][0] >= K


def test_what_is_withheld_is_said_and_not_there(query, withheld, sensitive):
    assert withheld
    for survey_id, said in withheld.items():
        own = f"survey_id = '{survey_id}'"
        for column in said["columns"]:
            assert query(f"SELECT count({column}) FROM harmonized.households WHERE {own}") == [(0,)]
        indicators = [c for c in said["columns"] if c in sensitive]
        assert 0 < len(indicators) < len(sensitive)
        for indicator in indicators:
            here = f"{own} AND indicator_id = '{indicator}'"
            counts = query(
                f"SELECT DISTINCT n, n_missing = n_not_shared FROM harmonized.coverage WHERE {here}"
            )
            assert counts == [(0, True)]
            long = query(
                f"SELECT DISTINCT value, code, missing_reason FROM harmonized.indicator_values WHERE {here}"
            )
            assert long == [(None, None, "not_shared")]
    ((message,),) = query(
        "SELECT message FROM quality.checks WHERE \"check\" = 'real_households_do_not_stand_out'"
    )
    assert all(survey_id in message for survey_id in withheld)


def test_every_household_has_every_indicator_once(query):
    ((n,),) = query("SELECT count(*) FROM harmonized.households")
    ((indicators,),) = query("SELECT count(*) FROM reference.indicators")
    assert query("SELECT count(*) FROM harmonized.indicator_values") == [(n * indicators,)]


def test_results_over_many_households_are_made_from_everything(query, withheld):
    for survey_id in withheld:
        rows = query(
            f"SELECT count(*) FROM analysis.region_comparison WHERE source_id = '{survey_id}' AND n > 0"
        )
        assert rows[0][0] > 0


def test_the_public_edition_is_there_without_households(warehouse):
    with duckdb.connect(str(warehouse.public), read_only=True) as con:
        tables = {t for (t,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "coverage" in tables
    assert "households" not in tables
