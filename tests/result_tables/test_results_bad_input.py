"""Input that has no honest answer ends in a named error or an empty figure with a stored reason, in every result."""

from collections.abc import Callable
from functools import partial

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, stored, study

from analysis.errors import InfiniteValueError, InvalidWeightError
from analysis.weighting import composite
from relocation_warehouse.results.comparison import comparison
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.limited_outcomes import limited_outcomes
from relocation_warehouse.results.panel_models import panel_models
from relocation_warehouse.results.panels import panels
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.results.sensitivity import sensitivity
from relocation_warehouse.results.welfare import welfare
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

Tables = dict[str, pd.DataFrame]


def items(catalog: Catalog) -> list[str]:
    return [i.indicator for i in catalog.factor_models[0].items]


def changed(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, change: Callable[[pd.DataFrame], None]
) -> duckdb.DuckDBPyConnection:
    altered = frame.copy()
    change(altered)
    return build(catalog, literature, altered)


def made(con: duckdb.DuckDBPyConnection, catalog: Catalog, *computations: Callable[..., object]) -> Tables:
    tables: Tables = {}
    for compute in computations:
        tables |= stored(con, compute(con, catalog))
    return tables


def test_a_constant_item_has_no_factor_analysis_and_the_row_says_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    item = items(catalog)[0]

    def constant(table: pd.DataFrame) -> None:
        table.loc[(table["survey_id"] == "valley") & table[item].notna(), item] = 3.0

    con = changed(catalog, literature, frame, constant)
    tables = made(con, catalog, factors)
    row = one_row(tables["factor_diagnostics"], survey_id="valley", model=catalog.factor_models[0].id)
    assert item in row["reason"]
    assert row[["kmo", "bartlett", "n_factors", "alpha_standardised"]].isna().all()
    assert row["n"] > 200
    assert tables["factor_scores"].empty
    assert tables["factor_loadings"].empty


def test_collinear_items_have_no_factor_analysis_and_the_row_says_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    first, second = items(catalog)[:2]

    def copied(table: pd.DataFrame) -> None:
        table[second], table[f"{second}__missing"] = table[first], table[f"{first}__missing"]

    con = changed(catalog, literature, frame, copied)
    row = made(con, catalog, factors)["factor_diagnostics"].query("model == @catalog.factor_models[0].id")
    assert row["reason"].notna().all()
    assert row["kmo"].isna().all()


def test_an_infinite_item_leaves_its_reason_and_no_factor_analysis(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    item = items(catalog)[0]

    def infinite(table: pd.DataFrame) -> None:
        rows = table.index[(table["survey_id"] == "valley") & table[item].notna()]
        table.loc[rows[0], item] = np.inf

    tables = made(changed(catalog, literature, frame, infinite), catalog, factors)
    row = one_row(tables["factor_diagnostics"], survey_id="valley", model=catalog.factor_models[0].id)
    assert item in row["reason"]
    assert "inf" in row["reason"]
    assert row[["alpha", "kmo"]].isna().all()
    assert tables["factor_scores"].empty


def test_an_infinite_answer_stops_indices_and_means_with_its_name_and_survey(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    name = next(
        i for d in catalog.default_weight_scheme.dimensions.values() for i in d if frame[i].notna().any()
    )
    con = build(catalog, literature, frame)
    made(con, catalog, coupling, factors)
    con.execute(f"update staging.household_waves set {name} = 'infinity' where household_id = 'hills-000'")
    for compute in (coupling, sensitivity, partial(comparison, literature=literature)):
        with pytest.raises(InfiniteValueError, match=f"{name} of hills"):
            compute(con, catalog)


def test_negative_household_weights_are_refused_wherever_means_are_weighted(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    con = build(catalog, literature, frame)
    made(con, catalog, coupling, factors)
    for table in ("staging.household_waves", "capital.household_capitals"):
        con.execute(f"update {table} set weight = -1 where household_id = 'plains-000'")
    with pytest.raises(InvalidWeightError, match="plains: 2 households have a negative weight"):
        comparison(con, catalog, literature)
    with pytest.raises(InvalidWeightError, match="not negative"):
        sensitivity(con, catalog)


def test_models_of_constant_collinear_or_too_few_rows_say_what_is_wrong(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    weighted, _, _ = study(catalog)
    model = next(
        m
        for m in catalog.models
        if weighted in m.published_survey_ids
        and sum(r.kind == "numeric" for r in catalog.regressors_of(m)) > 2
    )
    numeric = [r for r in catalog.regressors_of(model) if r.kind == "numeric" and r.indicator]
    rescaled = next(r.indicator for r in numeric if r.normalise == "min_max")
    first, second = [r.indicator for r in numeric if r.normalise == "min_max"][:2]

    def constant(table: pd.DataFrame) -> None:
        table.loc[(table["survey_id"] == "hills") & table[rescaled].notna(), rescaled] = 1.0

    models = made(changed(catalog, literature, frame, constant), catalog, coupling, factors, regressions)
    row = one_row(models["regression_models"], model=model.id)
    assert row["caution"] == f"refused: No value, or no range to rescale to 0-1: {rescaled}."

    def collinear(table: pd.DataFrame) -> None:
        table.loc[table["survey_id"] == "hills", second] = table[first]

    models = made(changed(catalog, literature, frame, collinear), catalog, coupling, factors, regressions)
    row = one_row(models["regression_models"], model=model.id, covariance="ols")
    assert f"{second} left out" in row["caution"]
    assert row["r2"] > 0

    def few(table: pd.DataFrame) -> None:
        number = table["household_id"].str[-3:].astype(int)
        table.drop(table.index[number >= len(catalog.terms_of(model))], inplace=True)
        table.reset_index(drop=True, inplace=True)

    tables = made(changed(catalog, literature, frame, few), catalog, coupling, factors, regressions)
    row = one_row(tables["regression_models"], model=model.id)
    assert row["caution"].startswith("refused: ")
    assert "rows" in row["caution"]
    assert row["n"] == 0


def test_a_group_without_answers_has_nulls_and_a_count_of_zero(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    con = build(catalog, literature, frame)
    site = "plains-site-0"
    con.execute(f"update capital.household_capitals set total = null where site_id = '{site}'")
    tables = made(con, catalog, coupling)
    for name in ("coupling_summary", "coupling_leave_one_out"):
        empty = tables[name].query("group_id == @site")
        assert len(empty) > 0
        if name == "coupling_summary":
            assert (empty["n"] == 0).all()
            assert empty[["mean_d", "sd_d", "d_of_means", "share_moved_up"]].isna().all(axis=None)
    tests = tables["coupling_tests"].query("group_id == @site")
    assert (tests["n"] == 0).all()
    assert tests["reason"].notna().all()
    assert tests["p"].isna().all()


def test_items_that_nobody_answered_are_named_and_give_no_sample(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    names = items(catalog)

    def blank(table: pd.DataFrame) -> None:
        for name in names:
            table.loc[table["survey_id"] == "valley", [name, f"{name}__missing"]] = [np.nan, "blank"]

    tables = made(changed(catalog, literature, frame, blank), catalog, factors)
    row = one_row(tables["factor_diagnostics"], model=catalog.factor_models[0].id)
    assert row["survey_id"] == "pooled"
    assert row["reason"].endswith("found: none")
    assert tables["factor_loadings"].empty


def one_row(table: pd.DataFrame, **values: str) -> pd.Series:
    """Return the only row with some values."""
    chosen = table[np.all([table[name] == value for name, value in values.items()], axis=0)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_one_site_has_no_clustered_errors_and_the_models_say_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    def one_site(table: pd.DataFrame) -> None:
        table["site_id"] = table["survey_id"] + "-only"

    con = changed(catalog, literature, frame, one_site)
    models = made(con, catalog, coupling, factors, regressions)["regression_models"]
    single = models[models["survey_id"] != "pooled"]
    clustered = single[single["covariance"].isin(["cr1", "cr2"])]
    assert len(clustered) > 10
    assert clustered["caution"].str.startswith("refused").all()
    assert clustered["r2"].isna().all()
    classical = single[
        (single["covariance"] == "ols") & ~single["caution"].fillna("").str.startswith("refused")
    ]
    assert classical["r2"].notna().all()
    assert len(classical) > 5


def test_one_site_or_no_common_question_leaves_models_with_a_reason(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    """One site has an estimate of effects at most; a wave that did not ask a regressor has no panel model."""
    asked = {r.name for p in catalog.panel_models for g in p.regressors for r in catalog.regressor_sets[g]}

    def alone(table: pd.DataFrame) -> None:
        table["site_id"] = table["survey_id"] + "-only"
        before = (table["survey_id"] == "plains") & (table["wave"] == "before")
        for name in asked:
            table.loc[before, [name, f"{name}__missing"]] = [None, "not_asked"]

    con = changed(catalog, literature, frame, alone)
    tables = made(con, catalog, coupling, factors, limited_outcomes, panel_models)
    for table in (tables["marginal_effects"], tables["panel_models"]):
        assert len(table)
        assert table["reason"].notna().all()
        assert table["p"].isna().all()
    panels = tables["panel_models"].set_index("survey_id")["reason"]
    assert panels["plains"].str.startswith("Not asked or not answered in every wave").all()
    assert panels["hills"].str.contains("cluster").all()


def test_a_survey_without_any_weight_has_no_means_and_the_others_keep_theirs(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    def weightless(table: pd.DataFrame) -> None:
        table.loc[table["survey_id"] == "hills", "weight"] = 0.0

    con = changed(catalog, literature, frame, weightless)
    tables = made(con, catalog, coupling, factors, panels, partial(comparison, literature=literature))
    for name, key in (("wave_changes", "survey_id"), ("region_comparison", "source_id")):
        found = set(tables[name][key])
        assert "hills" not in found, name
        assert "plains" in found, name
    tests = tables["region_tests"]
    assert not tests.loc[tests["test"] == "welch", "contrast"].str.contains("North").any()
    assert tests.loc[tests["p"].isna(), "reason"].notna().all()


def test_negative_weights_are_refused_where_weights_count(catalog: Catalog) -> None:
    scheme = catalog.default_weight_scheme
    weights = [-1.0, *[1.0] * (len(scheme.dimension_weights) - 1)]
    with pytest.raises(InvalidWeightError, match="not negative"):
        composite(np.full((3, len(weights)), 0.5), weights)


def test_a_survey_without_capitals_has_no_degree_and_zero_systems_have_no_c(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    con = build(catalog, literature, frame)
    con.execute(
        "update capital.household_capitals set total = 0, stability = 0 where household_id = 'hills-001'"
    )
    con.execute("update capital.household_capitals set total = null where survey_id = 'plains'")
    tables = made(con, catalog, coupling)
    table = tables["coupling_coordination"]
    own = table[
        (table["household_id"] == "hills-001") & (table["scheme"] == catalog.default_weight_scheme.id)
    ]
    assert len(own) > 0
    assert own["c"].isna().all()
    assert (own["d"] == 0).all()
    assert table.loc[table["survey_id"] == "plains", ["c", "t", "d", "band"]].isna().all(axis=None)
    summary = tables["coupling_summary"].query("survey_id == 'plains'")
    assert (summary["n"] == 0).all()
    assert summary[["mean_d", "d_of_means", "band_shares"]].isna().all(axis=None)


def test_an_answer_that_all_of_a_region_give_leaves_the_rest_of_the_comparison(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    """A model cannot be compared with a region where a regressor has one value: it says so, and names the region."""
    model = next(m for m in catalog.models if m.interact_with)
    name = next(str(r.indicator) for r in catalog.regressors_of(model) if r.indicator)

    def alike(table: pd.DataFrame) -> None:
        table.loc[(table["survey_id"] == "hills") & table[name].notna(), name] = 2.0

    compute = partial(comparison, literature=literature)
    whole, altered = (
        made(changed(catalog, literature, frame, change), catalog, coupling, factors, compute)["region_tests"]
        for change in (lambda table: None, alike)
    )
    for tests in (whole, altered):
        assert tests.loc[tests["p"].isna(), "reason"].notna().all()
    refused = one_row(altered, subject=model.id)
    assert "North" in refused["reason"]
    assert name in refused["reason"]
    rest = altered[altered["subject"] != model.id]
    assert len(rest) == (whole["subject"] != model.id).sum() > 20
    assert rest["p"].notna().sum() > 5


def test_a_category_that_nobody_of_a_region_has_is_left_out_by_name(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    model, regressor = next(
        (m, r)
        for m in catalog.models
        for r in catalog.regressors_of(m)
        if r.kind == "dummies" and not m.sample
    )
    name = str(regressor.indicator)
    term = next(t for t in catalog.terms_of(model) if t.startswith(f"{name}:") or t.startswith(f"{name}="))

    def absent(table: pd.DataFrame) -> None:
        lacking = term[len(name) + 1 :]
        other = next(code for code in catalog.codes_of(name) if code != lacking)
        table.loc[table[name] == lacking, name] = other

    con = changed(catalog, literature, frame, absent)
    tables = made(con, catalog, coupling, factors, regressions)
    models = tables["regression_models"].query("model == @model.id")
    assert len(models)
    assert models["caution"].str.contains(f"{term} left out").all()
    assert models["r2"].notna().all()
    own = (
        tables["regression_coefficients"]
        .query("model == @model.id and covariance == 'cr2'")
        .set_index("term")
    )
    assert pd.isna(own.loc[term, "b"])
    assert own["b"].drop(term).notna().sum() > 5


DESIGNS = {
    "a stratum with one unit": ("if(site_id = 'valley-site-0', 'alone', 'rest')", "site_id"),
    "one household a unit": ("cast(null as varchar)", "household_id"),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_a_poor_design_has_means_and_a_reason_for_whatever_it_lacks(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, design: str
) -> None:
    stratum, unit = DESIGNS[design]
    con = build(catalog, literature, frame)
    made(con, catalog, coupling, factors)
    con.execute(
        f"create or replace view harmonized.households as select *, {stratum} as stratum_id, {unit} as "
        "sampling_unit_id, cast(null as bigint) as population_units from staging.household_waves"
    )
    tables = made(con, catalog, partial(comparison, literature=literature), welfare)
    means = tables["region_comparison"].query("evidence == 'household'")
    assert means["value"].notna().all()
    assert (means["ci_low"].isna() == means["interval_reason"].notna()).all()
    tests = tables["region_tests"]
    assert tests.loc[tests["p"].isna(), "reason"].notna().all()
    for name in ("poverty", "inequality", "stuck_households"):
        assert tables[name].loc[tables[name]["ci_low"].isna(), "reason"].notna().all(), name
    whole = means.query("group_type == 'all' and source_id == 'valley'")
    if design == "a stratum with one unit":
        assert whole["interval_reason"].str.contains("strata have a single sampling unit").all()
        assert means.query("source_id == 'plains' and group_type == 'all'")["ci_low"].notna().any()
    else:
        assert whole["ci_low"].notna().sum() > 5
