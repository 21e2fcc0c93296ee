"""The published long views say what the wide table and the staged reasons say, cell by cell."""

import duckdb
import pytest

from relocation_warehouse.ground import sql

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def con(refreshed):
    with duckdb.connect(":memory:") as con:
        con.execute(f"ATTACH '{refreshed}/published/warehouse.duckdb' AS published (READ_ONLY)")
        con.execute(f"ATTACH '{refreshed}/warehouse/build.duckdb' AS build (READ_ONLY)")
        yield con


def test_every_household_has_every_indicator_once_as_a_value_or_a_reason(con):
    indicators = con.execute("SELECT indicator_id, type, unit FROM published.reference.indicators").fetchall()
    expected = []
    for indicator, kind, unit in indicators:
        value, code = ("NULL", f'"{indicator}"') if kind == "category" else (f'"{indicator}"', "NULL")
        expected.append(
            "SELECT survey_id, household_id, wave, wave_order, region, site_id, is_synthetic, "
            f"{sql.text(indicator)}, CAST({value} AS DOUBLE), CAST({code} AS VARCHAR), "
            f"{sql.text(unit) if unit else 'CAST(NULL AS VARCHAR)'}, "
            f'CAST("{indicator}__missing" AS VARCHAR) FROM build.staging.household_waves'
        )
    con.execute(f"CREATE TEMP TABLE expected AS {' UNION ALL '.join(expected)}")
    con.execute("CREATE TEMP TABLE shown AS FROM published.harmonized.indicator_values")
    for one, other in (("expected", "shown"), ("shown", "expected")):
        assert con.execute(f"FROM {one} EXCEPT ALL FROM {other}").fetchall() == []
    ((n,),) = con.execute("SELECT count(*) FROM expected").fetchall()
    assert n > 100 * len(indicators) > 100 * 100


def test_a_reason_is_kept_by_household_only_where_households_differ(con):
    ((n_kept, n_reasons),) = con.execute(
        "SELECT (SELECT count(*) FROM published.harmonized.missing_reasons), count(missing_reason)"
        " FROM published.harmonized.indicator_values"
    ).fetchall()
    assert 0 < n_kept < n_reasons / 100


@pytest.mark.parametrize(
    ("view", "value"),
    [("capital.household_indicators", "value_normalised"), ("integration.household_items", "score")],
)
def test_a_long_view_has_a_row_for_every_household_and_member(con, view, value):
    ((n_rows, n_groups, n_households, low, high),) = con.execute(
        f"SELECT count(*), count(DISTINCT (dimension, indicator_id)),"
        f" (SELECT count(*) FROM published.harmonized.households), min({value}), max({value}) FROM published.{view}"
    ).fetchall()
    assert n_rows == n_groups * n_households
    assert n_groups > 20
    assert 0 <= low < high <= 1
