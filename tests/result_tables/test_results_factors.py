"""Factor tables against the correlation matrix computed with pandas."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, stored

from relocation_warehouse.results.factors import COMPOSITE, factors
from relocation_warehouse.survey.catalog import Catalog, FactorModel
from relocation_warehouse.survey.literature import Literature

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def tables(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Tables:
    return stored(con, factors(con, catalog))


@pytest.fixture
def model(catalog: Catalog) -> FactorModel:
    return catalog.factor_models[0]


def oriented(catalog: Catalog, model: FactorModel, frame: pd.DataFrame) -> pd.DataFrame:
    """Items of the survey that asked them all, turned and with blanks at the mean."""
    part = frame[frame["survey_id"] == "valley"]
    items = {}
    for item in model.items:
        x = pd.to_numeric(part[item.indicator])
        spec = catalog.indicator[item.indicator]
        x = spec.minimum + spec.maximum - x if item.reverse else x
        items[item.indicator] = x.fillna(x.mean())
    return pd.DataFrame(items).set_index(part["household_id"])


def test_loadings_and_communalities_reproduce_the_correlations(
    tables: Tables, catalog: Catalog, model: FactorModel, frame: pd.DataFrame
) -> None:
    r = oriented(catalog, model, frame).corr().to_numpy()
    loadings = tables["factor_loadings"].pivot(index="indicator_id", columns="factor", values="loading")
    result = loadings.loc[[i.indicator for i in model.items]].to_numpy()
    values, vectors = np.linalg.eigh(r)
    top = vectors[:, -4:] * np.sqrt(values[-4:])
    np.testing.assert_allclose(result @ result.T, top @ top.T, atol=1e-9)
    communality = tables["factor_loadings"].groupby("indicator_id")["communality"].first()
    np.testing.assert_allclose(communality.loc[loadings.index], (loadings**2).sum(axis=1), atol=1e-12)


def test_components_are_named_by_the_dimension_of_their_items(
    tables: Tables, catalog: Catalog, model: FactorModel
) -> None:
    loadings = tables["factor_loadings"].pivot(index="indicator_id", columns="factor", values="loading")
    dimension_of = {f.id: f.dimension for f in model.factors}
    for item, row in loadings.iterrows():
        assert dimension_of[row.abs().idxmax()] == catalog.indicator[str(item)].dimension


def test_scores_are_standardised_and_the_composite_weighs_them_by_explained_variance(
    tables: Tables, catalog: Catalog, model: FactorModel, frame: pd.DataFrame
) -> None:
    scores = tables["factor_scores"].pivot(index="household_id", columns="factor", values="score")
    assert len(scores) == (frame["survey_id"] == "valley").sum()
    named = scores[[f.id for f in model.factors]]
    np.testing.assert_allclose(named.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(named.cov(), np.eye(4), atol=1e-9)
    variance = tables["factor_variance"].set_index("factor")
    weights = variance["composite_weight"].dropna()
    assert set(weights.index) == set(model.composite.factors)
    explained = variance.loc[weights.index, "explained_pct"]
    np.testing.assert_allclose(weights, explained / explained.sum())
    np.testing.assert_allclose(scores[COMPOSITE], named[weights.index] @ weights, atol=1e-12)
    percent = tables["factor_scores"].groupby("factor")["percent_score"].agg(["min", "max"])
    np.testing.assert_allclose(percent["min"], 0, atol=1e-9)
    np.testing.assert_allclose(percent["max"], 100)


def test_diagnostics_count_households_and_give_alpha(
    tables: Tables, catalog: Catalog, model: FactorModel, frame: pd.DataFrame
) -> None:
    row = tables["factor_diagnostics"].query("survey_id == 'valley'").set_index("model").loc[model.id]
    c = oriented(catalog, model, frame).cov().to_numpy()
    k = len(c)
    assert row["n"] == 260
    assert row["df"] == k * (k - 1) / 2
    assert row["alpha"] == pytest.approx(k / (k - 1) * (1 - np.trace(c) / c.sum()))
    assert row["alpha_ci_low"] < row["alpha"] < row["alpha_ci_high"]
    assert row["n_factors"] == row["n_factors_parallel"] == len(model.factors)


def test_scales_leave_out_households_with_a_blank(
    tables: Tables, catalog: Catalog, frame: pd.DataFrame
) -> None:
    part = frame[frame["survey_id"] == "valley"]
    diagnostics = tables["factor_diagnostics"].query("survey_id == 'valley'").set_index("model")
    for scale in catalog.scales:
        items = [i.indicator for i in catalog.scale_items(scale)]
        assert diagnostics.loc[scale.id, "n"] == part[items].notna().all(axis=1).sum()
        assert pd.isna(diagnostics.loc[scale.id, "kmo"])


def test_samples_that_asked_too_little_are_named_in_the_congruence(
    tables: Tables, model: FactorModel
) -> None:
    table = tables["factor_congruence"]
    pair = table[(table["sample_a"] == "hills after") & (table["sample_b"] == "valley single")]
    assert set(pair["factor"]) == {f.id for f in model.factors}
    assert set(pair["verdict"]) == {"not_testable"}
    assert pair["reason"].str.match(r"hills after: \d+ of 11 items not asked").all()


def test_two_surveys_with_the_same_structure_are_congruent(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    first = frame[frame["survey_id"] == "valley"]
    second = first.iloc[:200].assign(survey_id="ridge", region="West")
    with build(catalog, literature, pd.concat([first, second], ignore_index=True)) as con:
        made = factors(con, catalog)["factor_congruence"].to_pandas()
    assert (made["phi"] > 0.98).all()
    assert set(made["verdict"]) == {"equal"}
    assert set(made["n_items"]) == {11}


def test_an_item_without_variance_gives_a_reason_and_no_factor_table(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, model: FactorModel
) -> None:
    part = frame[frame["survey_id"] == "valley"].reset_index(drop=True)
    part[model.items[0].indicator] = 3.0
    other = frame[frame["survey_id"] == "hills"]
    with build(catalog, literature, pd.concat([part, other], ignore_index=True)) as con:
        made = stored(con, factors(con, catalog))
    assert made["factor_loadings"].empty
    assert made["factor_scores"].empty
    assert made["factor_congruence"]["reason"].str.contains("same value|one value|constant", case=False).any()
    scale = made["factor_diagnostics"].set_index("model")
    assert scale["alpha"].isna().any()


def test_surveys_that_asked_alike_are_pooled_and_others_say_why(
    tables: Tables, catalog: Catalog, literature: Literature, frame: pd.DataFrame, model: FactorModel
) -> None:
    alone = tables["factor_diagnostics"].query("survey_id == 'pooled'").set_index("model")
    assert set(alone.index) == {model.id, *(s.id for s in catalog.scales)}
    assert (alone["n"] == 0).all()
    assert alone.loc[model.id, "reason"].endswith("found: valley")
    first = frame[frame["survey_id"] == "valley"]
    second = frame[frame["survey_id"] == "valley"].iloc[:200].assign(survey_id="ridge", region="West")
    second[model.items[0].indicator] = second[model.items[0].indicator].iloc[::-1].to_numpy()
    both = pd.concat([first, second], ignore_index=True)
    with build(catalog, literature, both) as con:
        made = stored(con, factors(con, catalog))
        con.execute("update harmonized.coverage set status = 'proxy' where survey_id = 'ridge'")
        unlike = stored(con, factors(con, catalog))
    row = made["factor_diagnostics"].set_index(["survey_id", "model"]).loc[("pooled", model.id)]
    items = oriented(catalog, model, both.assign(survey_id="valley"))
    c = items.cov().to_numpy()
    assert (row["n"], row["wave"], row["region"]) == (460, "latest", "pooled")
    assert row["alpha"] == pytest.approx(len(c) / (len(c) - 1) * (1 - np.trace(c) / c.sum()))
    pooled = made["factor_loadings"].query("survey_id == 'pooled'")
    assert len(pooled) == len(model.items) * len(model.factors)
    assert "pooled latest" in set(made["factor_congruence"]["sample_b"])
    assert set(made["factor_scores"]["survey_id"]) == {"valley", "ridge"}
    assert unlike["factor_loadings"].query("survey_id == 'pooled'").empty
    reasons = unlike["factor_diagnostics"].query("survey_id == 'pooled'")["reason"]
    assert reasons.str.endswith("found: valley").all()
