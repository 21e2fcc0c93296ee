"""Results of the households that a category speaks of."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from relocation_warehouse.results.comparison import comparison
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature


@pytest.fixture(scope="module")
def coded(
    analysed: duckdb.DuckDBPyConnection, literature: Literature, frame: pd.DataFrame
) -> tuple[Literature, str, list[str]]:
    """The categories, told to be about a category that the invented surveys answer."""
    name, region, survey_id = next(
        (c, *row)
        for c in ("resettlement_mode", "sex", "ethnic_group", "livelihood_strategy")
        if (
            row := analysed.execute(
                "select any_value(region), survey_id from harmonized.coverage where indicator_id = ? and n > 0 "
                "and survey_id in (select survey_id from analysis.coupling_coordination where d is not null) "
                "group by survey_id order by survey_id",
                [c],
            ).fetchone()
        )
    )
    codes = sorted(frame.loc[frame["survey_id"] == survey_id, name].dropna().unique())
    empty = dict.fromkeys(literature["qualitative.csv"][0], "")
    rows = tuple(
        empty | {"code": f"C_{code}", "region": region, "survey_indicator_id": name, "survey_code": code}
        for code in codes
    )
    return Literature({**literature.rows, "qualitative.csv": rows}), name, codes


def test_a_group_for_each_code_has_the_weighted_mean_of_its_households(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, coded: tuple[Literature, str, list[str]]
) -> None:
    told, name, codes = coded
    region = told["qualitative.csv"][0]["region"]
    made = comparison(analysed, catalog, told)["region_comparison"].to_pandas()
    groups = made[made["group_type"] == name]
    assert set(groups["region"]) == {region}
    assert set(groups["group_id"]) == set(codes)
    system = catalog.indicator[name].system
    metrics = {m.id for m in catalog.metrics}
    measures = set(groups["metric_id"])
    assert measures & metrics
    assert {catalog.indicator[m].system for m in measures - metrics} <= {system}
    checked = 0
    answers = {m: ("harmonized.households", m) for m in measures - metrics}
    capitals = "(select * from capital.household_capitals where scheme = 'equal' and bounds = 'pooled')"
    answers |= {
        m: (capitals, catalog.metric[m].column)
        for m in measures & metrics
        if catalog.metric[m].table == "capital.household_capitals"
    }
    for row in groups[groups["metric_id"].isin(list(answers))].itertuples():
        table, column = answers[row.metric_id]
        values = analysed.execute(
            f'select m."{column}" as y, h.weight as w from harmonized.households as h '
            f"inner join {table} as m using (survey_id, household_id, wave) where h.weight > 0 "
            f'and h."{name}" = ? and survey_id = ? and wave = ? and y is not null',
            [row.group_id, row.source_id, row.wave],
        ).df()
        assert row.n == len(values)
        assert row.value == pytest.approx((values["y"] * values["w"]).sum() / values["w"].sum())
        whole = made[
            (made["metric_id"] == row.metric_id)
            & (made["source_id"] == row.source_id)
            & (made["wave"] == row.wave)
            & (made["group_type"] == "all")
        ]
        assert row.n <= whole["n"].item()
        checked += 1
    assert checked


def test_categories_are_joined_to_the_results_of_their_households(published: Path) -> None:
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        linked = con.execute(
            "select code, region, survey_indicator_id, survey_code from reference.published_categories "
            "where survey_indicator_id is not null"
        ).fetchall()
        for code, region, indicator, value in linked:
            rows = con.execute(
                "select n, mean, ci_low, ci_high from analysis.category_results where code = ? "
                "order by survey_id, wave, measure",
                [code],
            ).fetchall()
            assert (
                rows
                == con.execute(
                    "select n, value, ci_low, ci_high from analysis.region_comparison where evidence = 'household' "
                    "and region = ? and group_type = ? and group_id = ? order by source_id, wave, metric_id",
                    [region, indicator, value],
                ).fetchall()
            )
        n_measured = con.execute("select count(distinct code) from analysis.category_results").fetchone()
    assert n_measured is not None
    assert n_measured[0] > len(linked) / 2
