"""Comparison and sensitivity against the design-based means and the marts."""

from collections.abc import Iterator
from itertools import zip_longest

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from invented_surveys import build, mart, store, stored

from analysis.inference import cluster_scores, clustered
from analysis.regression import Regression, fit_ols
from analysis.summary import summarise
from relocation_warehouse.results import sampling
from relocation_warehouse.results.comparison import _model_rows, comparison
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, surveys
from relocation_warehouse.results.limited_outcomes import limited_outcomes
from relocation_warehouse.results.panel_models import panel_models
from relocation_warehouse.results.regressions import regressions, samples
from relocation_warehouse.results.sampling import by_group, estimate, units_of
from relocation_warehouse.results.sensitivity import sensitivity
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature, replication_targets


@pytest.fixture(scope="module")
def tables(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pd.DataFrame]:
    made = {**comparison(analysed, catalog, literature), **sensitivity(analysed, catalog)}
    return {name: table.to_pandas() for name, table in made.items() if isinstance(table, pa.Table)}


@pytest.fixture
def households(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["region_comparison"].query("evidence == 'household'")


def of_sites(part: pd.DataFrame, metric: str) -> Regression:
    """Model of nothing but a mean, with the sites as clusters."""
    answered = part[part[metric].notna()].assign(y=lambda d: pd.to_numeric(d[metric]), one=1.0)
    rows = answered[["one", "y", "weight", "site_id"]].astype({"weight": float})
    summary = summarise(rows, ["one", "y"], weights="weight", weight_kind="sampling")[()]
    model = fit_ols(summary, "y", ["one"], intercept=False)
    return clustered(model, cluster_scores(rows, model, "site_id", weights="weight"))


def test_means_and_intervals_take_the_sites_as_units(
    households: pd.DataFrame, catalog: Catalog, frame: pd.DataFrame
) -> None:
    numeric = [i.id for i in catalog.indicators if i.is_numeric and i.type != "binary"]
    rows = households[(households["group_type"] == "all") & households["metric_id"].isin(numeric)]
    sample = rows.sample(30, random_state=1).to_dict("records")
    assert {r["source_id"] for r in sample} == {"hills", "plains", "valley"}
    amounts = 0
    for row in sample:
        part = frame[(frame["survey_id"] == row["source_id"]) & (frame["wave"] == row["wave"])]
        expected = of_sites(part, row["metric_id"])
        assert (row["n"], row["n_units"]) == (expected.n, expected.n_clusters)
        assert row["value"] == pytest.approx(expected.b[0])
        assert (row["standard_error"], row["df"]) == pytest.approx((expected.se[0], expected.df[0]), rel=1e-8)
        interval = expected.ci_low[0], expected.ci_high[0]
        if catalog.is_amount(row["metric_id"]):
            reach = (interval[1] - row["value"]) / row["value"]
            interval = row["value"] * np.exp(-reach), row["value"] * np.exp(reach)
            amounts += 1
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(interval, rel=1e-8)
        assert row["value_x_n"] == pytest.approx(row["value"] * row["n"])
        assert row["unit_basis"] == "site"
        assert 0 <= row["intraclass_correlation"] < 0.3
        assert row["design_effect"] > 0
        assert 1 < row["effective_units"] <= row["n_units"]
    assert 0 < amounts < len(sample)


def test_one_unit_has_a_mean_and_a_reason_in_the_place_of_an_interval(households: pd.DataFrame) -> None:
    sites = households[households["group_type"] == "site"]
    assert (sites["n_units"] == 1).all()
    assert sites["value"].notna().all()
    assert sites[["ci_low", "ci_high", "standard_error", "df"]].isna().all().all()
    assert sites["interval_reason"].str.contains("One sampling unit").all()


def test_a_share_has_an_interval_within_its_limits(households: pd.DataFrame, catalog: Catalog) -> None:
    shares = households[
        (households["group_type"] == "all")
        & households["metric_id"].isin([i.id for i in catalog.indicators if i.type == "binary"])
    ]
    refused = shares["ci_low"].isna()
    assert shares.loc[refused, "interval_reason"].notna().all()
    shares = shares[~refused]
    assert len(shares) > 5
    assert (shares["ci_low"] > 0).all()
    assert (shares["ci_high"] < 1).all()
    logit = {end: np.log(shares[end] / (1 - shares[end])) for end in ("ci_low", "value", "ci_high")}
    np.testing.assert_allclose(logit["value"] - logit["ci_low"], logit["ci_high"] - logit["value"], rtol=1e-8)


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
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    part = frame[frame["survey_id"] == "plains"].reset_index(drop=True)
    dimension = next(iter(catalog.default_weight_scheme.dimension_weights))
    weak = next(iter(catalog.default_weight_scheme.dimensions[dimension]))
    with build(catalog, literature, part) as own:
        for table in ("coupling_coordination", "factor_scores"):
            store(
                own,
                f"analysis.{table}",
                analysed.execute(f"select * from analysis.{table} limit 0").to_arrow_table(),
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


def test_a_difference_is_the_coefficient_of_the_region_with_sites_as_clusters(
    tables: dict[str, pd.DataFrame], frame: pd.DataFrame
) -> None:
    tests = tables["region_tests"].query("test == 'welch' and contrast == 'South|East' and p.notna()")
    assert len(tests) > 5
    for row in tests[tests["subject"].isin(frame.columns)].to_dict("records"):
        parts = []
        for survey, wave in (("plains", "after"), ("valley", "single")):
            part = frame[(frame["survey_id"] == survey) & (frame["wave"] == wave)]
            part = part.assign(y=pd.to_numeric(part[row["subject"]])).dropna(subset=["y"])
            weight = part["weight"] / part["weight"].mean()
            parts.append(part.assign(weight=weight, first=float(survey == "plains")))
        rows = pd.concat(parts)[["first", "y", "weight", "site_id"]].astype({"weight": float})
        summary = summarise(rows, ["first", "y"], weights="weight", weight_kind="sampling")[()]
        model = fit_ols(summary, "y", ["first"])
        expected = clustered(model, cluster_scores(rows, model, "site_id", weights="weight"))
        names = ("b", "se", "t", "df", "p", "ci_low", "ci_high")
        columns = ("estimate", "standard_error", "statistic", "df2", "p", "ci_low", "ci_high")
        matching = [row[c] for c in columns]
        assert matching == pytest.approx([getattr(expected, n)[1] for n in names], rel=1e-6, abs=1e-10)
        spread = row["estimate"] / row["effect_size"]
        assert row["margin"] == pytest.approx(0.2 * spread)
        assert 0 <= row["p_equivalence"] <= 1


def test_too_few_units_and_unlike_content_are_never_tested(
    tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    tests = tables["region_tests"].query("test == 'welch'")
    few = tests[tests["contrast"].str.contains("North")]
    assert (few["fewest_units"] == 2).all()
    assert few["p"].isna().all()
    assert few["reason"].str.len().gt(0).all()
    composites = tests[tests["n_indicators_defined"] > 1]
    unlike = composites[composites["indicator_set"] == "all"]
    assert len(unlike)
    assert unlike["p"].isna().all()
    assert unlike["reason"].str.contains("different content|own sample").all()
    assert (tests.loc[tests["p"].notna(), "n_indicators"] >= 1).all()
    assert (tests.loc[tests["p"].notna(), "indicator_set"] == "common").all()


def test_a_composite_over_common_indicators_is_recomputed_with_the_same_bounds(
    tables: dict[str, pd.DataFrame], catalog: Catalog, frame: pd.DataFrame
) -> None:
    asked = {
        s: {i.id for i in catalog.indicators if part[i.id].notna().any()}
        for s, part in (
            ("hills", frame.query("survey_id == 'hills' and wave == 'after'")),
            ("plains", frame.query("survey_id == 'plains' and wave == 'after'")),
        )
    }
    common = asked["hills"] & asked["plains"]
    scheme = catalog.default_weight_scheme
    tests = tables["region_tests"].query("method == 'common indicators' and contrast == 'North|South'")
    checked = 0
    for metric in catalog.metrics:
        row = tests[tests["subject"] == metric.id]
        if (
            metric.table != "capital.household_capitals"
            or metric.column not in scheme.dimensions
            or row.empty
        ):
            continue
        members = scheme.weights(metric.column)
        own = {i: w for i, w in members.items() if i in common}
        assert row["n_indicators"].item() == len(own) < len(members) == row["n_indicators_defined"].item()
        means = {}
        for survey in ("hills", "plains"):
            part = frame.query("survey_id == @survey and wave == 'after'")
            total = weight = 0.0
            for name, w in own.items():
                x, every = pd.to_numeric(part[name]), pd.to_numeric(frame[name])
                z = (x - every.min()) / (every.max() - every.min())
                z = 1 - z if catalog.indicator[name].direction == "cost" else z
                total, weight = total + z.fillna(0) * w, weight + z.notna() * w
            enough = (weight > 0) & (weight >= 0.5 * sum(own.values()))
            index = (total / weight).where(enough)
            kept = index.notna()
            means[survey] = np.average(index[kept], weights=part["weight"].astype(float)[kept])
        assert row["estimate"].item() == pytest.approx(means["hills"] - means["plains"], abs=1e-9)
        checked += 1
    assert checked


def test_p_values_are_adjusted_within_their_family(tables: dict[str, pd.DataFrame]) -> None:
    tests = tables["region_tests"]
    lawful = tests[tests["p"].notna()]
    assert tests.loc[tests["p"].isna(), ["p_holm", "p_bh", "n_family"]].isna().all().all()
    for _, family in lawful.groupby("family"):
        assert (family["n_family"] == len(family)).all()
        ordered = family["p"].sort_values()
        steps = np.maximum.accumulate(np.arange(len(family), 0, -1) * ordered).clip(upper=1)
        np.testing.assert_allclose(family.loc[ordered.index, "p_holm"], steps, rtol=1e-9)
        false = ordered * len(family) / np.arange(1, len(family) + 1)
        np.testing.assert_allclose(
            family.loc[ordered.index, "p_bh"],
            np.minimum.accumulate(false[::-1])[::-1].clip(upper=1),
            rtol=1e-9,
        )


def test_models_are_compared_where_two_surveys_can_be_and_the_other_says_why_not(
    tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    tests = tables["region_tests"].query("test != 'welch'")
    first, second = (m for m in catalog.models if m.interact_with)
    done = tests[tests["subject"] == first.id]
    assert set(done["test"]) == {"chow", "wald", "oaxaca", "meta_analysis"}
    assert done["p"].isna().all()
    refused = done[done["test"].isin(["chow", "wald"])]["reason"]
    assert refused.str.contains("2 sampling unit").all()
    oaxaca = done[done["test"] == "oaxaca"].set_index("component")["estimate"]
    assert oaxaca[["endowments", "coefficients", "interaction"]].sum() == pytest.approx(oaxaca["gap"])
    assert oaxaca[["explained", "unexplained"]].sum() == pytest.approx(oaxaca["gap"])
    refused = tests[tests["subject"] == second.id]
    assert "two groups" in refused["reason"].item()


DECLARED = """
create or replace view harmonized.households as
select *, cast(null as varchar) as stratum_id, cast(null as bigint) as population_units,
    site_id || '-' || cast(hash(household_id) % {units} as varchar) as sampling_unit_id
from staging.household_waves
"""


@pytest.fixture
def declared(analysed: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Surveys that declare villages as sampling units: several in every site."""
    analysed.execute(DECLARED.format(units=8))
    yield analysed
    analysed.execute("create or replace view harmonized.households as select * from staging.household_waves")


def test_declared_units_are_those_of_the_tests(declared: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    rows = pd.DataFrame(_model_rows(declared, catalog))
    model = next(m for m in catalog.models if m.interact_with)
    terms = catalog.terms_of(model)
    tests = rows[rows["subject"] == model.id].set_index(["test", "component"])
    single = tests.loc[[("wald", term) for term in terms]]
    assert (single["n_units"] > 40).all()
    assert (single["fewest_units"] >= 15).all()
    assert single["p"].notna().sum() > len(terms) / 2
    samples_of = [s.read() for s in samples(declared, catalog, model) if not s.is_pooled]
    fits = []
    for sample in samples_of:
        fit = fit_ols(sample.summary()[()], model.dependent, terms)
        fits.append(clustered(fit, cluster_scores(sample.rows(), fit, "sampling_unit")))
    for term, row in single.loc["wald"].iterrows():
        place = fits[0].terms.index(term)
        gap = fits[0].b[place] - fits[1].b[place]
        if np.isfinite(row["p"]):
            expected = gap**2 / (fits[0].se[place] ** 2 + fits[1].se[place] ** 2)
            assert row["statistic"] == pytest.approx(expected, rel=1e-8)
            assert row["df2"] >= catalog.gates.fewest_test_df
    parts = tests.loc["oaxaca"]
    told = parts[parts["p"].notna()]
    assert {*told.index} == {"coefficients", "interaction", "unexplained"}
    assert ((told["ci_low"] < told["estimate"]) & (told["estimate"] < told["ci_high"])).all()
    assert ((told["p"] < 0.05) == (told["ci_low"] * told["ci_high"] > 0)).all()
    assert parts.loc[parts["p"].isna(), "reason"].notna().all()
    source = "harmonized.households"
    survey = next(s for s in surveys(declared) if s.survey_id == "hills")
    numeric = next(i.id for i in catalog.indicators if i.type == "count")
    for _, wave, units in units_of(declared, source, {numeric: numeric}, survey):
        assert {len(set(own.unit)) for own in by_group(units).values()} == {8}
        assert estimate(units).n_units == 16
        assert wave in survey.waves


def test_enough_declared_units_carry_tests_of_models(
    declared: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    """Sixteen villages: CR2 and the bootstrap of a panel, and effects, have a p value; they agree on what is clear."""
    panels = panel_models(declared, catalog)["panel_models"].to_pandas().query("survey_id == 'hills'")
    assert (panels["n_units"] == 16).all()
    assert panels[["p", "p_wild", "ci_low"]].notna().all(axis=None)
    assert (panels["draws"] == 9999).all()
    assert ((panels["p"] - panels["p_wild"]).abs() < 0.1).all()
    effects = limited_outcomes(declared, catalog)["marginal_effects"].to_pandas()
    told = effects[effects["p"].notna()]
    assert (told["df"] >= catalog.gates.fewest_test_df).all()
    assert told["survey_id"].nunique() > 1
    assert (told["effect_ci_low"] < told["effect_ci_high"]).all()


def test_a_wave_without_its_design_column_counts_its_sites(
    declared: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    view = DECLARED.format(units=8).replace(
        "site_id || '-'", "case when wave = 'after' then site_id end || '-'"
    )
    declared.execute(view)
    survey = next(s for s in surveys(declared) if s.survey_id == "hills")
    numeric = next(i.id for i in catalog.indicators if i.type == "count")
    computed = units_of(declared, "harmonized.households", {numeric: numeric}, survey)
    assert {wave: estimate(units).n_units for _, wave, units in computed} == {"before": 2, "after": 16}


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
    result = tables["sensitivity"]
    chosen = result[
        (result["bounds"] == default.bounds)
        & (result["scheme"] == default.id)
        & (result["variant"] == spec.default_variant)
        & (result["band_scheme"] == spec.band_scheme)
        & (result["wave"] == "latest")
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


def test_units_of_two_surveys_may_be_taken_in_turn(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "CELLS_AT_A_TIME", 1)  # a part for each measure
    columns = {i.id: i.id for i in catalog.indicators if i.type == "count"}
    both = surveys(analysed)[:2]

    def parts(survey: Survey) -> Iterator[str]:
        return (repr(part) for part in units_of(analysed, HOUSEHOLDS, columns, survey))

    alone = [[*parts(survey)] for survey in both]
    in_turn = [*zip_longest(*map(parts, both))]
    assert [[part[k] for part in in_turn if part[k]] for k in (0, 1)] == alone
    assert min(map(len, alone)) > 1
