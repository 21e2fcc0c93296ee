"""The report joins by id and shows finished numbers."""

import inspect
import re

import duckdb
import pytest
from made_up_build import contract
from pandas.testing import assert_frame_equal

from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.report import data, figures, page
from relocation_warehouse.publication.report.data import Reader

CAPITALS = "capital.household_capitals"


@pytest.fixture
def con(database, tmp_path):
    """Connection to the published form of a build of its own."""
    write_database(database, tmp_path / "warehouse.duckdb", contract())
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        yield con


@pytest.mark.parametrize("table", ["metric_definitions", "dimensions"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_renamed_label_moves_no_row(con, table, language):
    before = Reader(con).comparison(CAPITALS)
    con.execute(f"UPDATE reference.{table} SET label_{language} = 'renamed ' || label_{language}")
    after = Reader(con).comparison(CAPITALS)
    assert before["dimension"].notna().all()
    kept = ["metric_id", "dimension", "system", "value", "ci_low", "ci_high"]
    assert after[kept].equals(before[kept])


def test_the_profile_has_an_axis_for_every_dimension_of_the_system(con):
    con.execute("UPDATE reference.metric_definitions SET label_en = 'Renamed' WHERE metric_id = 'metric_a'")
    axes = Reader(con).comparison(CAPITALS)
    shown = axes[axes["system"] == "capital"]
    assert set(shown["metric_en"]) == {"Renamed", "Index b", "Index c"}


def test_the_interval_of_d_is_the_published_one(con):
    columns = ["survey_id", "region", "wave", "value", "ci_low", "ci_high", "n"]
    published = con.execute(
        "SELECT source_id AS survey_id, region, wave, value, ci_low, ci_high, n FROM analysis.region_comparison"
        " WHERE metric_id = 'metric_e' AND evidence = 'household' AND group_type = 'all' AND value IS NOT NULL"
    ).df()
    drawn = Reader(con).coordination()
    assert published["ci_low"].notna().any()
    key = ["survey_id", "region", "wave"]
    assert_frame_equal(
        *(f[columns].sort_values(key, ignore_index=True) for f in (drawn, published)), check_dtype=False
    )


def test_no_statistic_is_computed_on_the_way_to_the_page():
    # a count or a sum of counts says how much is shown; anything else belongs to `analysis`
    statistics = r"sqrt|stddev|\bstd\(|var_|avg\(|\.mean\(|\.median\(|quantile|corr\(|1\.96|norm\.ppf"
    for module in (data, figures, page):
        assert re.findall(statistics, inspect.getsource(module)) == [], module.__name__


def test_a_panel_is_told_by_who_stayed_left_and_came(con):
    con.execute("DELETE FROM analysis.panel_waves")
    assert Reader(con).panels().empty
    assert page._followed(Reader(con).panels()) == ()
    one, two = (f"'s{k}', 'r{k}', true" for k in (1, 2))
    names = (
        "survey_id, region, is_synthetic, wave, wave_order, wave_before, n_households, n_stayed, n_returned, n_split, "
        "n_new, n_moved, n_left, n_in_all_waves"
    )
    con.execute(
        f"INSERT INTO analysis.panel_waves ({names}) VALUES "
        f"({one}, 'before', 0, NULL, 12345, NULL, NULL, NULL, NULL, NULL, NULL, 9000), "
        f"({one}, 'after', 1, 'before', 12000, 9000, 0, 7, 2993, 5, 3345, 9000), "
        f"({two}, 'single', 0, NULL, 50, NULL, NULL, NULL, NULL, NULL, NULL, 50)"
    )
    shown = Reader(con).panels()
    assert shown[["wave", "n_households", "n_left"]].astype(object).where(shown.notna(), None).values.tolist() == [
        ["before", 12345, None], ["after", 12000, 3345],
    ]  # fmt: skip
    (told,) = page._followed(shown)
    for number in (12345, 9000, 3345, 2993, 7):
        assert str(number) in told.en
        assert str(number) in told.zh
    listed = str(page._table(page._panel_listing(shown), None))
    assert "12345" in listed
    assert "续访" in listed


def test_groups_are_shown_as_published_and_the_public_edition_has_none(published):
    columns = ["region", "group_type", "group_id", "metric_id", "value", "ci_low", "ci_high", "n", "n_units"]
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        for is_share in (False, True):
            drawn = Reader(con).by_category(is_share)
            assert len(drawn)
            assert drawn[["grouping_zh", "group_zh", "metric_zh"]].notna().all().all()
            known = con.execute(f"SELECT {', '.join(columns)} FROM analysis.region_comparison").df()
            assert len(drawn.merge(known, on=columns)) == len(drawn)
    with duckdb.connect(str(published / "public" / "warehouse.duckdb"), read_only=True) as con:
        assert Reader(con).by_category(is_share=False).empty
