"""Coupling tables against a recomputation with pandas."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, mart, stored

from analysis.inference import cluster_scores, clustered
from analysis.regression import fit_ols
from analysis.summary import summarise
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Tables:
    return stored(con, coupling(con, catalog))


def default(catalog: Catalog, table: pd.DataFrame) -> pd.DataFrame:
    spec = catalog.coupling
    chosen = (table["scheme"] == catalog.default_weight_scheme.id) & (
        table["variant"] == spec.default_variant
    )
    return table[chosen & (table["band_scheme"] == spec.band_scheme)]


def study_capital(catalog: Catalog, frame: pd.DataFrame) -> pd.DataFrame:
    """Indices of the survey with its own weights: its own extremes, members answered, half the weight at least."""
    scheme = next(s for s in catalog.weight_schemes if s.published_survey_ids)
    part = frame[frame["survey_id"] == "hills"].reset_index(drop=True)
    out = part[["household_id", "wave"]].copy()
    for dimension in scheme.dimensions:
        weighted = answered = 0.0
        for name, w in scheme.weights(dimension).items():
            x = pd.to_numeric(part[name])
            z = (x - x.min()) / (x.max() - x.min())
            z = 1 - z if catalog.indicator[name].direction == "cost" else z
            weighted, answered = weighted + z.fillna(0) * w, answered + z.notna() * w
        out[dimension] = (weighted / answered).where(answered >= 0.5 - 1e-12)
    out["total"] = sum(w * out[d] for d, w in scheme.dimension_weights.items())
    return out


def test_capitals_of_a_study_take_its_weights_and_its_own_extremes(
    tables: Tables, catalog: Catalog, frame: pd.DataFrame
) -> None:
    expected = study_capital(catalog, frame).set_index(["household_id", "wave"]).sort_index()
    made = tables["study_capitals"].set_index(["household_id", "wave"]).sort_index()
    assert set(made["survey_id"]) == {"hills"}
    for column in expected.columns:
        np.testing.assert_allclose(made[column].astype(float), expected[column], atol=1e-12)


def test_d_of_a_household_follows_from_its_systems(tables: Tables, catalog: Catalog) -> None:
    table = default(catalog, tables["coupling_coordination"])
    u1, u2 = table["u1"], table["u2"]
    np.testing.assert_allclose(table["t"], (u1 + u2) / 2, atol=1e-12)
    np.testing.assert_allclose(table["d"], np.sqrt(np.sqrt(u1 * u2)), atol=1e-12)
    bands = {b.id: b for b in catalog.band_scheme(catalog.coupling.band_scheme).bands}
    known = table.dropna(subset=["d"])
    assert all(bands[b].lower <= d <= bands[b].upper for b, d in zip(known["band"], known["d"], strict=True))
    lagging = np.where(u1 < u2, catalog.coupling.systems[0].metric, catalog.coupling.systems[1].metric)
    assert (table["lag_type"].dropna() == lagging[table["lag_type"].notna()]).all()


def test_households_without_a_system_stay_with_nulls_and_surveys_without_systems_have_no_row(
    tables: Tables, catalog: Catalog, frame: pd.DataFrame
) -> None:
    table = default(catalog, tables["coupling_coordination"])
    assert table["survey_id"].value_counts().to_dict() == {"hills": 480, "plains": 240}
    blank = table["u1"].isna() | table["u2"].isna()
    assert blank.any()
    assert table.loc[blank, ["c", "t", "d", "band", "lag_type"]].isna().all().all()
    assert mart(catalog, frame).query("survey_id == 'valley'")["total"].isna().all()


def test_summaries_describe_the_households(tables: Tables, catalog: Catalog) -> None:
    each = default(catalog, tables["coupling_coordination"]).dropna(subset=["d"])
    for row in default(catalog, tables["coupling_summary"]).to_dict("records"):
        inside = (each["survey_id"] == row["survey_id"]) & (each["wave"] == row["wave"])
        if row["group_type"] == "site":
            inside &= each["site_id"] == row["group_id"]
        part = each[inside]
        assert row["n"] == len(part)
        assert row["mean_d"] == pytest.approx(part["d"].mean())
        assert row["sd_d"] == pytest.approx(part["d"].std())
        means = part[["u1", "u2"]].mean()
        assert row["d_of_means"] == pytest.approx((means["u1"] * means["u2"]) ** 0.25)
        shares = part["band"].value_counts(normalize=True)
        assert {b: s for b, s in json.loads(row["band_shares"]).items() if s} == pytest.approx(
            shares.to_dict()
        )


def test_bands_count_every_household_once(tables: Tables) -> None:
    keys = ["survey_id", "wave", "group_type", "group_id", "scheme", "variant", "band_scheme"]
    counted = tables["coupling_bands"].groupby(keys)["n"].sum()
    assert counted.to_dict() == tables["coupling_summary"].set_index(keys)["n"].to_dict()


def test_transitions_pair_households_and_agree_with_the_shares_moved(
    tables: Tables, catalog: Catalog
) -> None:
    each = default(catalog, tables["coupling_coordination"])
    order = [b.id for b in catalog.band_scheme(catalog.coupling.band_scheme).bands]
    for survey_id in ("hills", "plains"):
        own = each[each["survey_id"] == survey_id]
        pairs = own.pivot(index="household_id", columns="wave", values="band").dropna()
        expected = pairs.value_counts(["before", "after"])
        moves = default(catalog, tables["coupling_transitions"])
        moves = moves[(moves["survey_id"] == survey_id) & (moves["group_type"] == "all")]
        computed = moves[moves["n"] > 0].set_index(["band_from", "band_to"])["n"]
        assert computed.to_dict() == expected.to_dict()
        steps = pairs["after"].map(order.index) - pairs["before"].map(order.index)
        summary = default(catalog, tables["coupling_summary"])
        after = summary[(summary["survey_id"] == survey_id) & (summary["wave"] == "after")]
        row = after[after["group_type"] == "all"].iloc[0]
        assert row["share_moved_up"] == pytest.approx((steps > 0).mean())
        assert row["share_moved_down"] == pytest.approx((steps < 0).mean())
        assert summary[(summary["wave"] == "before")]["share_moved_up"].isna().all()


def test_paired_tests_stand_once_and_bowker_for_every_band_scheme(tables: Tables, catalog: Catalog) -> None:
    tests = tables["coupling_tests"]
    assert set(tests.loc[tests["test"] != "bowker", "band_scheme"]) == {catalog.coupling.band_scheme}
    assert set(tests.loc[tests["test"] == "bowker", "band_scheme"]) == {s.id for s in catalog.band_schemes}
    each = default(catalog, tables["coupling_coordination"]).query("survey_id == 'plains'")
    change = each.pivot(index="household_id", columns="wave", values="d").pipe(
        lambda d: d["after"] - d["before"]
    )
    row = (
        default(catalog, tests)
        .query("survey_id == 'plains' and test == 'paired_t' and group_type == 'all'")
        .iloc[0]
    )
    assert row["estimate"] == pytest.approx(change.mean())
    assert row["n"] == change.notna().sum()
    site = each.query("wave == 'after'").set_index("household_id")["site_id"]
    rows = pd.DataFrame({"change": change, "one": 1.0, "site": site}).dropna()
    model = fit_ols(summarise(rows, ["one", "change"])[()], "change", ["one"], intercept=False)
    expected = clustered(model, cluster_scores(rows, model, "site"))
    computed = row[["statistic", "df", "p", "ci_low", "ci_high"]].astype(float).to_numpy()
    names = ("t", "df", "p", "ci_low", "ci_high")
    np.testing.assert_allclose(computed, [getattr(expected, n)[0] for n in names], rtol=1e-7)
    assert row["n_units"] == expected.n_clusters == 4
    described = tests[tests["test"] != "paired_t"]
    assert described["p"].isna().all()
    assert described["statistic"].notna().any()
    assert described["reason"].notna().all()


def test_weights_sum_to_one_in_every_dimension_of_every_scheme(tables: Tables, catalog: Catalog) -> None:
    weights = tables["indicator_weights"]
    sums = weights.groupby(["scheme", "dimension"])["weight"].sum()
    assert set(weights["scheme"]) == {s.id for s in catalog.weight_schemes}
    np.testing.assert_allclose(sums, 1)
    estimated = weights["kind"].isin(["entropy", "critic", "pca"])
    assert weights.loc[estimated, "is_synthetic"].all()
    assert not weights.loc[~estimated, "is_synthetic"].any()


def test_obstacles_share_out_what_an_index_lacks(tables: Tables, catalog: Catalog) -> None:
    obstacles = tables["obstacle_degrees"]
    obstacles["in_total"] = [
        d in catalog.weight_scheme(s).dimension_weights
        for d, s in zip(obstacles["dimension"], obstacles["scheme"], strict=True)
    ]
    keys = ["survey_id", "wave", "group_type", "group_id", "scheme", "in_total"]
    known = obstacles.dropna(subset=["degree"])
    np.testing.assert_allclose(known.groupby(keys)["degree"].sum(), 1)
    assert (known.groupby(keys)["rank"].min() == 1).all()
    top = known.loc[known.groupby(keys)["degree"].idxmax()]
    assert (top["rank"] == 1).all()


def test_a_database_with_one_survey_of_one_wave_gives_no_change(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    part = frame[(frame["survey_id"] == "plains") & (frame["wave"] == "after")].reset_index(drop=True)
    with build(catalog, literature, part) as con:
        made = stored(con, coupling(con, catalog))
    assert not made["coupling_summary"].empty
    assert made["coupling_transitions"].empty
    assert made["coupling_tests"].empty
    assert made["study_capitals"].empty


def test_a_database_without_systems_gives_empty_tables(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    part = frame[frame["survey_id"] == "valley"].reset_index(drop=True)
    with build(catalog, literature, part) as con:
        made = stored(con, coupling(con, catalog))
    empty = {name for name, table in made.items() if table.empty}
    assert empty == set(made) - {"indicator_weights"}


def test_leaving_a_dimension_out_takes_it_out_of_the_first_system_only(
    tables: Tables, catalog: Catalog, frame: pd.DataFrame
) -> None:
    shares = catalog.default_weight_scheme.dimension_weights
    capital = mart(catalog, frame)
    for name, group in capital[capital["survey_id"] == "hills"].groupby("wave"):
        complete = group.dropna(subset=[*shares, "stability"])
        full = sum(w * complete[d] for d, w in shares.items())
        computed = tables["coupling_leave_one_out"].set_index("dimension")
        computed = computed[
            (computed["survey_id"] == "hills")
            & (computed["wave"] == name)
            & (computed["group_type"] == "all")
            & (computed["scheme"] == catalog.default_weight_scheme.id)
            & (computed["variant"] == "standard")
        ]
        assert set(computed.index) == set(shares)
        assert (computed["n"] == len(complete)).all()
        assert computed["mean_d"].to_numpy() == pytest.approx(
            ((full * complete["stability"]) ** 0.25).mean(), abs=1e-12
        )
        for dimension, w in shares.items():
            rest = (full - w * complete[dimension]) / (1 - w)
            expected = ((rest * complete["stability"]) ** 0.25).mean()
            assert computed.loc[dimension, "mean_d_without"] == pytest.approx(expected, abs=1e-12)


def test_shares_of_bands_and_transitions_have_intervals_by_sampling_units(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    """Shares of sites by hand: CR2 of their mean; a single site and an empty band have a reason instead."""
    bands = analysed.execute("from analysis.coupling_bands").df()
    transitions = analysed.execute("from analysis.coupling_transitions").df()
    for table in (bands, transitions):
        inside = table["ci_low"].notna()
        assert inside.any()
        assert (table["reason"].isna() == inside).all()
        assert (table["ci_low"] < table["share"])[inside].all()
        assert (table["share"] < table["ci_high"])[inside].all()
        assert table.loc[inside, ["ci_low", "ci_high"]].stack().between(0, 1).all()
        assert not (inside & (table["group_type"] == "site")).any(), "a site is one unit"
    key = ["survey_id", "wave", "scheme", "variant", "band_scheme", "band"]
    sites = bands[bands["group_type"] == "site"]
    for _, row in bands[(bands["group_type"] == "all") & bands["ci_low"].notna()].head(40).iterrows():
        own = sites[(sites[key] == row[key]).all(axis=1)]
        others = sites[(sites[key[:-1]] == row[key[:-1]]).all(axis=1)]
        whole = others.groupby("group_id")["n"].sum().loc[own["group_id"]].to_numpy()
        weight = whole / whole.sum()
        variance = (weight**2 * (own["share"] - row["share"]) ** 2 / (1 - weight)).sum()
        assert row["standard_error"] == pytest.approx(np.sqrt(variance))
        assert row["n_units"] == len(own)
