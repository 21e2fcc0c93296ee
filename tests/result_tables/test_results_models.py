"""Models of outcomes with bounds and of panels, against statsmodels on the same households."""

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from invented_surveys import stored

from relocation_warehouse.results.households import surveys
from relocation_warehouse.results.limited_outcomes import limited_outcomes
from relocation_warehouse.results.panel_models import panel_models
from relocation_warehouse.survey.catalog import Catalog


@pytest.fixture(scope="module")
def effects(analysed: duckdb.DuckDBPyConnection, catalog: Catalog) -> pd.DataFrame:
    return stored(analysed, limited_outcomes(analysed, catalog))["marginal_effects"]


@pytest.fixture(scope="module")
def panels(analysed: duckdb.DuckDBPyConnection, catalog: Catalog) -> pd.DataFrame:
    return stored(analysed, panel_models(analysed, catalog))["panel_models"]


def test_every_bounded_model_stands_beside_least_squares(
    effects: pd.DataFrame, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    linear = analysed.execute(
        "select survey_id, model, term, b from analysis.regression_coefficients where covariance = 'ols'"
    ).df()
    alone = {m.id for m in catalog.models if m.outcome}
    single = effects[effects["b_ols"].notna()].merge(
        linear, on=["survey_id", "model", "term"], suffixes=("", "_ols_")
    )
    assert len(single)
    np.testing.assert_allclose(single["b_ols"], single["b_ols_"], rtol=1e-7, atol=1e-12)
    assert set(effects["model"]) <= alone


def test_fractional_effects_are_those_of_statsmodels(
    effects: pd.DataFrame, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    """Yes or no: every household with all answers, logit by statsmodels, averages of its derivative."""
    model = next(m for m in catalog.models if m.outcome == "fractional" and m.dependent in catalog.indicator)
    names = [r.name for r in catalog.regressors_of(model)]
    rows = effects[(effects["model"] == model.id) & effects["effect"].notna()]
    assert len(rows)
    for survey in surveys(analysed):
        own = rows[rows["survey_id"] == survey.survey_id]
        if own.empty:
            continue
        table = analysed.execute(
            "select * from harmonized.households where survey_id = ? and wave = ?",
            [survey.survey_id, survey.latest],
        ).df()[[model.dependent, *names]]
        table = table.astype(float).dropna()
        fit = sm.Logit(table[model.dependent], sm.add_constant(table[names])).fit(disp=False, tol=1e-12)
        own = own.set_index("term")
        assert own["b"].loc[names].to_numpy() == pytest.approx(fit.params[names].to_numpy(), rel=1e-6)
        wanted = fit.get_margeff().summary_frame()["dy/dx"]
        assert own["effect"].loc[names].to_numpy() == pytest.approx(wanted[names].to_numpy(), rel=1e-6)
        assert (own["n"] == len(table)).all()


def test_effects_of_ordered_answers_add_up_to_nought(effects: pd.DataFrame) -> None:
    ordered = effects[(effects["family"] == "ordered") & effects["effect"].notna()]
    assert ordered["outcome"].nunique() == 5
    sums = ordered.groupby(["survey_id", "model", "term"])["effect"].sum()
    np.testing.assert_allclose(sums, 0, atol=1e-12)


def test_no_p_value_without_units_to_carry_it(
    effects: pd.DataFrame, panels: pd.DataFrame, catalog: Catalog
) -> None:
    for table in (effects, panels):
        few = table["df"] < catalog.gates.fewest_test_df
        assert few.any()
        assert table.loc[few, "p"].isna().all()
        assert table.loc[table["p"].isna(), "reason"].notna().all()
        assert table.loc[table["p"].notna(), "reason"].isna().all()


def test_the_bootstrap_is_told_where_enough_units_keep_its_level(
    panels: pd.DataFrame, catalog: Catalog
) -> None:
    few = panels["n_units"] < catalog.gates.fewest_bootstrap_units
    assert few.any()
    assert panels.loc[few, ["p_wild", "draws"]].isna().all(axis=None)


def test_panel_coefficients_are_those_of_a_dummy_for_each_household(
    panels: pd.DataFrame, analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    several = [s for s in surveys(analysed) if len(s.waves) > 1]
    assert set(panels["survey_id"]) == {s.survey_id for s in several}
    assert panels["caution"].notna().all()
    assert panels["is_synthetic"].all()
    checked = 0
    for spec in catalog.panel_models:
        names = [r.name for group in spec.regressors for r in catalog.regressor_sets[group]]
        metric = catalog.metric[spec.dependent]
        where = " and ".join(f"{k} = '{v}'" for k, v in metric.filters.items())
        for survey in several:
            own = panels.query("survey_id == @survey.survey_id and model == @spec.id").set_index("term")
            table = analysed.execute(
                f"select h.household_id, h.wave, {', '.join(names)}, m.{metric.column} as y "
                f"from harmonized.households as h inner join (select * from {metric.table} where {where}) as m "
                "using (survey_id, household_id, wave) where h.survey_id = ?",
                [survey.survey_id],
            ).df()
            table = table.dropna()
            table = table[table.groupby("household_id")["wave"].transform("size") > 1]
            if table.empty:
                assert own["reason"].notna().all()
                continue
            dummies = pd.get_dummies(table["household_id"]).to_numpy(dtype=float)
            x = np.column_stack([table["wave"] == survey.latest, table[names], dummies]).astype(float)
            b = np.linalg.lstsq(x, table["y"].to_numpy(), rcond=None)[0]
            terms = [f"wave={survey.latest}", *names]
            assert own.loc[terms, "b"].to_numpy() == pytest.approx(b[: len(terms)], rel=1e-8)
            assert (own["n_households"] == table["household_id"].nunique()).all()
            checked += 1
    assert checked
