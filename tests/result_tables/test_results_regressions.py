"""Regression tables against statsmodels on the same households."""

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from invented_surveys import build, stored

from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.households import POOLED
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.survey.catalog import Catalog, Model
from relocation_warehouse.survey.literature import Literature


@pytest.fixture(scope="module")
def models(analysed: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return analysed.execute("select * from analysis.regression_models").df()


@pytest.fixture(scope="module")
def coefficients(analysed: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    return analysed.execute("select * from analysis.regression_coefficients").df()


def own(catalog: Catalog, survey_index: int) -> list[Model]:
    """Models of the studies that the surveys with weights (0) and with a factor model (1) belong to."""
    studies = (
        next(s for s in catalog.weight_schemes if s.published_survey_ids).published_survey_ids[0],
        catalog.factor_models[0].published_survey_ids[0],
    )
    return [m for m in catalog.models if studies[survey_index] in m.published_survey_ids]


def columns(
    analysed: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    model: Model,
    frame: pd.DataFrame,
    survey_id: str,
    wave: str,
) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Regressors, dependent and site of a model by pandas."""
    part = frame[(frame["survey_id"] == survey_id) & (frame["wave"] == wave)].set_index("household_id")
    scheme = next(s for s in catalog.weight_schemes if s.published_survey_ids).id
    x = {}
    for r in catalog.regressors_of(model):
        if r.metric:
            metric = catalog.metric[r.metric]
            table = analysed.execute(
                "select * from analysis.study_capitals where survey_id = ? and wave = ?", [survey_id, wave]
            ).df()
            x[r.name] = table.set_index("household_id")[metric.column]
        elif r.kind == "dummies":
            for code in catalog.codes_of(r.name):
                if code != r.reference:
                    x[f"{r.name}={code}"] = (part[r.name] == code).astype(float).where(part[r.name].notna())
        else:
            values = pd.to_numeric(part[r.name])
            if r.normalise == "min_max":
                values = (values - values.min()) / (values.max() - values.min())
            x[r.name] = values
    dependent = catalog.metric[model.dependent]
    if dependent.table.endswith("factor_scores"):
        scores = analysed.execute(
            "select * from analysis.factor_scores where survey_id = ?", [survey_id]
        ).df()
        y = scores[scores["factor"] == dependent.filters["factor"]].set_index("household_id")[
            dependent.column
        ]
    else:
        d = analysed.execute(
            "select * from analysis.coupling_coordination where survey_id = ? and wave = ? and scheme = ? "
            "and variant = ?",
            [survey_id, wave, scheme, catalog.coupling.default_variant],
        ).df()
        y = d.set_index("household_id")[dependent.column]
    design = pd.DataFrame(x).reindex(part.index)
    for name, code in model.sample.items():
        design = design[part[name] == code]
    if model.missing == "reference_category":
        dummies = [c for c in design if "=" in c]
        design[dummies] = design[dummies].fillna(0.0)
        design = design.fillna(design.mean())
    both = design.assign(y=y.reindex(design.index), site=part["site_id"]).dropna()
    return both.drop(columns=["y", "site"]), both["y"], both["site"]


@pytest.mark.parametrize("index", [0, 1])
def test_every_model_of_a_study_equals_statsmodels(
    analysed: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    frame: pd.DataFrame,
    models: pd.DataFrame,
    coefficients: pd.DataFrame,
    index: int,
) -> None:
    survey_id, wave = [("hills", "after"), ("valley", "single")][index]
    compared = []
    for model in own(catalog, index):
        x, y, _ = columns(analysed, catalog, model, frame, survey_id, wave)
        x = x.loc[:, x.std() > 0]
        made = models[(models["model"] == model.id) & (models["covariance"] == "ols")].iloc[0]
        if len(y) <= x.shape[1] + 1:
            assert made["caution"].startswith("refused")
            continue
        expected = sm.OLS(y, sm.add_constant(x)).fit()
        assert (made["n"], made["k"]) == (expected.nobs, expected.df_model)
        assert made["r2"] == pytest.approx(expected.rsquared)
        assert made["adj_r2"] == pytest.approx(expected.rsquared_adj)
        assert made["f"] == pytest.approx(expected.fvalue)
        rows = coefficients[(coefficients["model"] == model.id) & (coefficients["covariance"] == "ols")]
        rows = rows.set_index("term").loc[["constant", *x.columns]]
        np.testing.assert_allclose(rows["b"], expected.params, atol=1e-9)
        np.testing.assert_allclose(rows["se"], expected.bse, atol=1e-9)
        np.testing.assert_allclose(
            rows["beta"].iloc[1:], expected.params.iloc[1:] * x.std() / y.std(), atol=1e-9
        )
        robust = expected.get_robustcov_results("HC1")
        rows = coefficients[(coefficients["model"] == model.id) & (coefficients["covariance"] == "hc1")]
        np.testing.assert_allclose(
            rows.set_index("term").loc[["constant", *x.columns], "se"], robust.bse, atol=1e-9
        )
        compared.append(model.id)
    assert len(compared) >= 5


def test_stars_follow_the_p_values(coefficients: pd.DataFrame) -> None:
    known = coefficients.dropna(subset=["p"])
    for stars, low, high in (("", 0.10, 1.01), ("*", 0.05, 0.10), ("**", 0.01, 0.05), ("***", -1, 0.01)):
        assert ((known["stars"] == stars) == ((known["p"] >= low) & (known["p"] < high))).all()
    assert (coefficients.loc[coefficients["p"].isna() & coefficients["b"].isna(), "stars"] == "").all()


def test_models_of_a_study_take_its_weights_and_others_the_default(
    models: pd.DataFrame, catalog: Catalog
) -> None:
    scheme = next(s for s in catalog.weight_schemes if s.published_survey_ids).id
    # a model of indicators alone takes no weights
    assert set(models.loc[models["survey_id"] == "hills", "scheme"].dropna()) == {
        scheme,
        catalog.default_weight_scheme.id,
    }
    assert set(models.loc[models["model"].isin([m.id for m in own(catalog, 0)]), "scheme"]) == {scheme}


def test_a_dependent_made_of_its_regressors_is_said(models: pd.DataFrame, catalog: Catalog) -> None:
    for model in own(catalog, 0):
        has_parts = any(r.metric for r in catalog.regressors_of(model))
        row = models[(models["model"] == model.id) & (models["covariance"] == "ols")].iloc[0]
        if has_parts:
            assert "the dependent is partly made of" in row["caution"]


def test_pooled_interactions_give_the_differences_of_the_separate_models(
    coefficients: pd.DataFrame, catalog: Catalog
) -> None:
    model = next(m for m in catalog.models if m.interact_with)
    rows = coefficients[(coefficients["model"] == model.id) & (coefficients["covariance"] == "ols")]
    b = {survey: part.set_index("term")["b"] for survey, part in rows.groupby("survey_id")}
    assert set(b) == {"hills", "plains", POOLED}
    for term in catalog.terms_of(model):
        assert b[POOLED][term] == pytest.approx(b["hills"][term])
        assert b[POOLED][f"{term}:region=South"] == pytest.approx(b["plains"][term] - b["hills"][term])
    assert b[POOLED]["region=South"] == pytest.approx(b["plains"]["constant"] - b["hills"]["constant"])


def test_every_convention_has_a_row_and_few_clusters_are_said(models: pd.DataFrame) -> None:
    fitted = models[~models["caution"].fillna("").str.startswith("refused")]
    assert set(fitted["covariance"]) == {"ols", "hc1", "hc3", "cr1", "cr2"}
    clustered = fitted[fitted["covariance"].isin(["cr1", "cr2"])]
    assert clustered["caution"].str.contains("clusters").all()
    joined = clustered[clustered["f"].notna()]
    assert not clustered.loc[clustered["f"].isna(), "caution"].str.contains("F is too large").any()
    is_too_large = joined["caution"].str.contains("F is too large")
    assert is_too_large.any()
    assert list(is_too_large) == list(joined["n_clusters"] < 2 * joined["k"])


def test_a_model_without_its_columns_is_refused_by_name(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    part = frame[frame["survey_id"] == "hills"].reset_index(drop=True)
    model = own(catalog, 0)[0]
    gone = catalog.regressors_of(model)[0].name
    part[gone], part[f"{gone}__missing"] = None, "not_asked"
    with build(catalog, literature, part) as con:
        stored(con, coupling(con, catalog))
        con.execute(
            "create table analysis.factor_scores (survey_id text, wave text, factor text, percent_score double)"
        )
        made = regressions(con, catalog)["regression_models"].to_pandas()
    row = made[made["model"] == model.id]
    assert list(row["caution"]) == [f"refused: Not asked or not answered in this wave: {gone}."]
    assert list(row["n"]) == [0]


def test_the_wild_bootstrap_is_refused_for_two_clusters(
    models: pd.DataFrame, coefficients: pd.DataFrame, catalog: Catalog
) -> None:
    first, second = (own(catalog, index)[0].id for index in (0, 1))
    cr1 = coefficients[coefficients["covariance"] == "cr1"].set_index("model")
    assert cr1.loc[first, "p_wild"].isna().all()
    assert cr1.loc[second, "p_wild"].dropna().between(0, 1).all()
    assert cr1.loc[second, "p_wild"].notna().any()
    assert coefficients.loc[coefficients["covariance"] != "cr1", "p_wild"].isna().all()
    caution = models.set_index(["model", "covariance"])["caution"]
    assert "refused below 3" in caution[first, "cr1"]


def test_a_capital_is_also_tried_against_the_degree_without_it(
    analysed: duckdb.DuckDBPyConnection, coefficients: pd.DataFrame, catalog: Catalog, frame: pd.DataFrame
) -> None:
    shares = next(
        catalog.weight_scheme(s.id) for s in catalog.weight_schemes if s.published_survey_ids
    ).dimension_weights
    alphas = {s.alpha for s in catalog.coupling.systems}
    assert alphas == {0.5}
    tried = 0
    for model in own(catalog, 0):
        parts = {r.metric: catalog.metric[r.metric].column for r in catalog.regressors_of(model) if r.metric}
        x, y, _ = columns(analysed, catalog, model, frame, "hills", "after")
        complete = x.notna().all(axis=1) & y.notna()
        capital = analysed.execute("select * from analysis.study_capitals where wave = 'after'").df()
        capital = capital.set_index("household_id").loc[x.index]
        result = coefficients[(coefficients["model"] == model.id) & (coefficients["covariance"] == "ols")]
        assert set(result.dropna(subset=["b_leave_one_out"])["term"]) == set(parts)
        for name, dimension in parts.items():
            rest = sum(w * capital[d] for d, w in shares.items() if d != dimension) / (1 - shares[dimension])
            without = (rest * capital["stability"]) ** 0.25
            fit = sm.OLS(without[complete], sm.add_constant(x[complete])).fit()
            row = result.set_index("term").loc[name]
            assert row["b_leave_one_out"] == pytest.approx(fit.params[name], abs=1e-9)
            assert row["p_leave_one_out"] == pytest.approx(fit.pvalues[name], rel=1e-6, abs=1e-12)
            tried += 1
    assert tried > 5


def test_dummies_of_one_category_share_their_variance_inflation(coefficients: pd.DataFrame) -> None:
    keys = ["survey_id", "model", "covariance"]
    fitted = coefficients.dropna(subset=["vif"])
    numbers = fitted[fitted["code"].isna() & ~fitted["term"].str.contains("region=")]
    np.testing.assert_allclose(numbers["gvif"] ** 2, numbers["vif"], rtol=1e-8)
    own = fitted[fitted["code"].notna() & ~fitted["term"].str.contains(":region=")]
    assert (own.groupby([*keys, "indicator_id"])["gvif"].nunique() == 1).all()
    assert (own.groupby([*keys, "indicator_id"]).size() > 1).any()
    assert (own["gvif"] >= 1 - 1e-9).all()
