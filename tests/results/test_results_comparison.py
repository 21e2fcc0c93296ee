"""Comparison and sensitivity against the design-based means and the marts."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, mart, store, stored
from scipy import stats

from analysis.survey_design import design_mean
from relocation_warehouse.results.comparison import comparison
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.results.sensitivity import sensitivity
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature, replication_targets


@pytest.fixture(scope="module")
def tables(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pd.DataFrame]:
    made = {**comparison(analysed, catalog, literature), **sensitivity(analysed, catalog)}
    return {name: table.to_pandas() for name, table in made.items()}


@pytest.fixture
def households(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["region_comparison"].query("evidence == 'household'")


@pytest.mark.parametrize("group_type", ["all", "site"])
def test_means_and_intervals_are_design_based(
    households: pd.DataFrame, catalog: Catalog, frame: pd.DataFrame, group_type: str
) -> None:
    numeric = [i.id for i in catalog.indicators if i.is_numeric]
    rows = households[(households["group_type"] == group_type) & households["metric_id"].isin(numeric)]
    sample = rows.sample(40, random_state=1).to_dict("records")
    assert {r["source_id"] for r in sample} == {"hills", "plains", "valley"}
    for row in sample:
        part = frame[(frame["survey_id"] == row["source_id"]) & (frame["wave"] == row["wave"])]
        if group_type == "site":
            part = part[part["site_id"] == row["group_id"]]
        answered = part[part[row["metric_id"]].notna()]
        expected = design_mean(
            pd.to_numeric(answered[row["metric_id"]]).to_numpy(), weights=answered["weight"].to_numpy()
        )
        assert (row["n"], row["value"]) == (expected.n, pytest.approx(expected.mean))
        assert row["standard_error"] == pytest.approx(expected.se, abs=1e-12)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.ci_low, expected.ci_high), abs=1e-9)
        assert row["value_x_n"] == pytest.approx(row["value"] * row["n"])


def test_metrics_take_the_default_scheme_and_name_what_is_behind_them(
    households: pd.DataFrame, catalog: Catalog, frame: pd.DataFrame
) -> None:
    index = mart(catalog, frame)
    for system in catalog.coupling.systems:
        metric = catalog.metric[system.metric]
        rows = households[(households["metric_id"] == metric.id) & (households["group_type"] == "all")]
        assert set(rows["source_id"]) == {"hills", "plains"}
        for row in rows.to_dict("records"):
            part = index[(index["survey_id"] == row["source_id"]) & (index["wave"] == row["wave"])]
            part = part.dropna(subset=[metric.column])
            assert row["value"] == pytest.approx(np.average(part[metric.column], weights=part["weight"]))
            assert row["status"] == "identical"
            assert row["n_indicators"] > 1
            assert row["n_indicators"] <= row["n_indicators_defined"]


def test_the_weakest_verdict_counts(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    part = frame[frame["survey_id"] == "plains"].reset_index(drop=True)
    dimension = next(iter(catalog.default_weight_scheme.dimension_weights))
    weak = next(iter(catalog.default_weight_scheme.dimensions[dimension]))
    with build(catalog, literature, part) as own:
        for table in ("coupling_coordination", "factor_scores"):
            store(
                own,
                f"analysis.{table}",
                con.execute(f"select * from analysis.{table} limit 0").to_arrow_table(),
            )
        own.execute("update harmonized.coverage set status = 'proxy' where indicator_id = ?", [weak])
        made = comparison(own, catalog, literature)["region_comparison"].to_pandas()
    metric = next(m.id for m in catalog.metrics if m.column == dimension)
    assert set(made.loc[made["metric_id"] == metric, "status"]) == {"proxy"}
    assert set(made.loc[made["metric_id"] == weak, "status"]) == {"proxy"}


def test_printed_figures_stand_apart_and_cite_their_figure(
    tables: dict[str, pd.DataFrame], literature: Literature, catalog: Catalog
) -> None:
    printed = tables["region_comparison"].query("evidence == 'printed'")
    rows = {r["stat_id"]: r for r in literature["statistics.csv"]}
    targets = {t.stat_id: t for t in replication_targets(literature, catalog)}
    assert len(printed) > 30
    assert not printed["is_synthetic"].any()
    assert printed[["ci_low", "standard_error", "status"]].isna().all().all()
    for row in printed.to_dict("records"):
        target = targets[row["source_id"]]
        assert row["region"] == rows[row["source_id"]]["region"]
        if target.kind == "metric_mean":
            assert row["value"] * target.multiplier == pytest.approx(target.published)
        if target.reading is not None:
            assert row["value"] == pytest.approx(target.reading)
            assert "read as" in row["note"]


def test_welch_agrees_with_scipy(tables: dict[str, pd.DataFrame], frame: pd.DataFrame) -> None:
    tests = tables["region_tests"].query("test == 'welch' and contrast == 'North|East'")
    assert len(tests) > 5
    for row in tests.to_dict("records"):
        if row["subject"] not in frame:
            continue
        a, b = (
            pd.to_numeric(
                frame.loc[(frame["survey_id"] == s) & (frame["wave"] == w), row["subject"]]
            ).dropna()
            for s, w in (("hills", "after"), ("valley", "single"))
        )
        expected = stats.ttest_ind(a, b, equal_var=False)
        assert row["p"] == pytest.approx(expected.pvalue, abs=1e-9)
        assert row["df2"] == pytest.approx(expected.df)
        interval = expected.confidence_interval()
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_models_are_compared_where_two_surveys_can_be_and_the_other_says_why_not(
    tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    tests = tables["region_tests"].query("test != 'welch'")
    first, second = (m for m in catalog.models if m.interact_with)
    done = tests[tests["subject"] == first.id]
    assert set(done["test"]) == {"chow", "wald", "oaxaca", "meta_analysis"}
    assert done["reason"].isna().all()
    oaxaca = done[done["test"] == "oaxaca"].set_index("component")["estimate"]
    assert oaxaca[["endowments", "coefficients", "interaction"]].sum() == pytest.approx(oaxaca["gap"])
    assert oaxaca[["explained", "unexplained"]].sum() == pytest.approx(oaxaca["gap"])
    refused = tests[tests["subject"] == second.id]
    assert "two groups" in refused["reason"].item()


def test_the_reference_of_the_sensitivity_is_the_published_mean(
    tables: dict[str, pd.DataFrame], households: pd.DataFrame
) -> None:
    reference = tables["sensitivity"].query("is_reference and wave == 'latest'")
    expected = households.query("group_type == 'all' and wave == 'after'").set_index(["metric_id", "region"])[
        "value"
    ]
    assert len(reference) == 6
    for row in reference.to_dict("records"):
        assert row["value"] == pytest.approx(expected[row["metric_id"], row["region"]])


def test_ranks_order_the_values_and_their_shares_sum_to_one(tables: dict[str, pd.DataFrame]) -> None:
    table = tables["sensitivity"]
    keys = ["metric_id", "wave", "combination_id"]
    ranks = table.groupby(keys)["value"].rank(ascending=False, method="min")
    assert (table["rank"].dropna().astype(float) == ranks[table["rank"].notna()]).all()
    shares = tables["sensitivity_ranks"].groupby(["metric_id", "wave", "region"])["share"].sum()
    np.testing.assert_allclose(shares, 1)
    assert len(table[keys].drop_duplicates()) == len(table) / 2


def test_every_band_scheme_ranks_regions_too_and_kept_orders_are_counted(
    tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    table = tables["sensitivity"]
    degree = table[table["variant"].notna()]
    assert set(degree["band_scheme"].dropna()) == {s.id for s in catalog.band_schemes}
    assert degree.groupby("band_scheme", dropna=False)["combination_id"].nunique().nunique() == 1
    assert degree.loc[degree["band_scheme"].notna(), "value"].between(0, 1).all()
    wide = table.pivot(index=["metric_id", "wave", "combination_id"], columns="region", values="rank")
    reference = table[table["is_reference"]].pivot(
        index=["metric_id", "wave"], columns="region", values="rank"
    )
    aligned = reference.reindex(wide.index.droplevel("combination_id"))
    same = pd.Series((wide.to_numpy() == aligned.to_numpy()).all(axis=1), index=wide.index)
    expected = same.groupby(["metric_id", "wave"]).mean()
    assert 0 < expected.mean() < 1
    counted = tables["sensitivity_ranks"].groupby(["metric_id", "wave"])["share_same_order"]
    assert (counted.nunique() == 1).all()
    np.testing.assert_allclose(counted.first(), expected.loc[counted.first().index])


def test_the_mean_place_in_the_bands_is_that_of_the_households(
    analysed: duckdb.DuckDBPyConnection, tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    spec, default = catalog.coupling, catalog.default_weight_scheme
    bands = [b.id for b in catalog.band_scheme(spec.band_scheme).bands]
    households = analysed.execute(
        "select region, band, weight from analysis.coupling_coordination "
        "where scheme = ? and variant = ? and wave = 'after' and band is not null",
        [default.id, spec.default_variant],
    ).df()
    place = households["band"].map(bands.index) / (len(bands) - 1)
    expected = (place * households["weight"]).groupby(households["region"]).sum()
    expected /= households.groupby("region")["weight"].sum()
    found = tables["sensitivity"]
    chosen = found[
        (found["bounds"] == default.bounds)
        & (found["scheme"] == default.id)
        & (found["variant"] == spec.default_variant)
        & (found["band_scheme"] == spec.band_scheme)
        & (found["wave"] == "latest")
    ].set_index("region")["value"]
    np.testing.assert_allclose(chosen, expected.loc[chosen.index])


def test_surveys_of_one_region_are_compared_with_each_other_and_with_every_other_one(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    shared = frame.assign(region=frame["region"].replace("East", "North"))
    with build(catalog, literature, shared) as con:
        for compute in (coupling, factors, regressions):
            stored(con, compute(con, catalog))
        tests = comparison(con, catalog, literature)["region_tests"].to_pandas()
    key = ["test", "subject", "contrast", "component", "method"]
    assert not tests.duplicated(key).any()
    pairs = {"North (hills)|South", "North (hills)|North (valley)", "South|North (valley)"}
    assert pairs <= set(tests.query("test == 'welch'")["contrast"])
