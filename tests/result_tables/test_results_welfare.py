"""Poverty, inequality and who is stuck, against pandas."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import stored

from relocation_warehouse.results.households import surveys
from relocation_warehouse.results.welfare import welfare
from relocation_warehouse.survey.catalog import Catalog

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(analysed: duckdb.DuckDBPyConnection, catalog: Catalog) -> Tables:
    return stored(analysed, welfare(analysed, catalog))


def test_poverty_counts_weighted_deprivations(
    tables: Tables, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    """Each wave by the definition of Alkire and Foster, household by household."""
    checked = 0
    households = analysed.execute("select * from harmonized.households").df()
    for measure in catalog.welfare.poverty_measures:
        of_measure = tables["poverty"].query("measure == @measure.id").set_index(["survey_id", "wave"])
        for key, rows in households.groupby(["survey_id", "wave"]):
            result = of_measure.loc[[key]]
            score = pd.Series(0.0, rows.index)
            asked = [[i for i in d.indicators if rows[i].notna().any()] for d in measure.dimensions]
            if not all(asked):
                assert result["reason"].str.startswith("nothing was asked of").all()
                continue
            for dimension, own in zip(measure.dimensions, asked, strict=True):
                for i in own:
                    lack = (rows[i] < dimension.indicators[i]).where(rows[i].notna())
                    score = score + lack.astype(float) / len(own) / len(measure.dimensions)
            known = score.notna()
            w, poor = rows["weight"][known], score[known] >= measure.cutoff - 1e-9
            h = np.average(poor, weights=w)
            m0 = np.average(score[known] * poor, weights=w)
            value = result.query("group_type == 'all'").set_index("statistic")["value"]
            assert value["H"] == pytest.approx(h)
            assert value["M0"] == pytest.approx(m0)
            if h:
                assert value["A"] == pytest.approx(m0 / h)
                assert value[value.index.str.startswith("contribution")].sum() == pytest.approx(1)
            sites = result.query("group_type == 'site' and statistic == 'H'")
            assert np.average(
                sites["value"], weights=[w[rows["site_id"] == s].sum() for s in sites["group_id"]]
            ) == (pytest.approx(h))
            checked += 1
    assert checked


def test_intervals_come_from_sampling_units_or_there_is_a_reason(tables: Tables) -> None:
    for table in tables.values():
        inside = table.dropna(subset=["ci_low"])
        assert table.loc[table["ci_low"].isna(), "reason"].notna().all()
        assert (inside["ci_low"] <= inside["value"]).all()
        assert (inside["value"] <= inside["ci_high"]).all()
        assert (inside["n_units"] > 1).all()
    shares = tables["poverty"].query("statistic == 'H'").dropna(subset=["ci_low"])
    assert shares["ci_low"].between(0, 1).all()
    alone = tables["poverty"].query("group_type == 'site' and n_units == 1 and statistic == 'H'")
    assert alone["reason"].notna().all()


def test_theil_splits_within_a_survey_and_between_regions(tables: Tables) -> None:
    table = tables["inequality"]
    wide = table.pivot_table(index=["survey_id", "wave"], columns="statistic", values="value")
    single = wide.dropna(subset=["theil"])
    assert len(single)
    np.testing.assert_allclose(
        single["theil between sites"] + single["theil within sites"], single["theil"], rtol=1e-9
    )
    assert single["gini"].between(0, 1).all()


def test_stuck_are_low_in_both_waves(
    tables: Tables, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    spec, metric = catalog.welfare.stuck, catalog.metric[catalog.welfare.stuck.metric]
    where = " and ".join(f"{k} = '{v}'" for k, v in metric.filters.items())
    d = analysed.execute(f"select survey_id, household_id, wave, d from {metric.table} where {where}").df()
    table = tables["stuck_households"]
    panels = [s for s in surveys(analysed) if len(s.waves) > 1]
    assert set(table["survey_id"]) == {s.survey_id for s in panels}
    weights = analysed.execute("select survey_id, household_id, wave, weight from harmonized.households").df()
    for survey in panels:
        own = (
            d[d["survey_id"] == survey.survey_id]
            .pivot(index="household_id", columns="wave", values="d")
            .dropna()
        )
        low = (own[[survey.waves[0], survey.latest]] < spec.below).all(axis=1)
        w = weights.query("survey_id == @survey.survey_id and wave == @survey.latest").set_index(
            "household_id"
        )
        row = table.query("survey_id == @survey.survey_id and group_type == 'all'").iloc[0]
        assert row["n"] == len(own)
        assert row["value"] == pytest.approx(np.average(low, weights=w["weight"].loc[own.index]))
        if low.any():
            assert len(row["obstacles"].split("|")) == spec.obstacles


def test_every_group_names_what_holds_back_those_of_it_who_are_stuck(
    tables: Tables, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    """Groups differ in their obstacles, and have some exactly where somebody is stuck."""
    table = tables["stuck_households"]
    assert {"all", "site", *catalog.welfare.stuck.groups} >= set(table["group_type"])
    has_stuck = table["value"] > 0
    assert has_stuck.any()
    assert (table["obstacles"].notna() == has_stuck).all()
    named = {i for row in table["obstacles"].dropna() for i in row.split("|")}
    assert named <= set(catalog.indicator)
    assert table["obstacles"].nunique() > table.query("group_type == 'all'")["obstacles"].nunique()


def test_indices_have_no_interval_where_it_would_cover_too_rarely(tables: Tables, catalog: Catalog) -> None:
    table = tables["inequality"]
    indices = table[table["statistic"].isin(["gini", "theil"])]
    refused = (indices["statistic"] == "theil") | (indices["n_units"] < catalog.gates.fewest_index_units)
    assert refused.any()
    assert indices.loc[refused, ["standard_error", "ci_low", "ci_high"]].isna().all(axis=None)
    assert indices.loc[refused, "reason"].notna().all()
    assert indices["value"].notna().all()
