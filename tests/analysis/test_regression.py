"""Least squares on a summary, against statsmodels on all rows."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.outliers_influence import variance_inflation_factor

from analysis.errors import (
    CollinearColumnsError,
    ConstantColumnError,
    EmptyGroupError,
    InvalidOptionError,
    TooFewRowsError,
)
from analysis.regression import INTERCEPT, Regression, fit_ols, wald_statistic
from analysis.summary import summarise

REGRESSORS = ["land", "trust", "is_poor"]


def households(n: int = 150, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    land = rng.gamma(2, 3, n)
    poor = (rng.random(n) < 0.4).astype(float)
    trust = rng.integers(1, 6, n) - poor
    return pd.DataFrame(
        {
            "land": land,
            "trust": trust,
            "is_poor": poor,
            "score": 3 + 0.2 * land - 0.5 * poor + rng.normal(size=n),
            "weight": rng.integers(1, 5, n),
        }
    )


def fit(frame: pd.DataFrame, **options) -> Regression:
    return fit_ols(summarise(frame, [*REGRESSORS, "score"], **options)[()], "score", REGRESSORS)


def agree(model: Regression, oracle) -> None:
    np.testing.assert_allclose(model.b, oracle.params, rtol=1e-9)
    np.testing.assert_allclose(model.se, oracle.bse, rtol=1e-9)
    np.testing.assert_allclose(model.t, oracle.tvalues, rtol=1e-8)
    np.testing.assert_allclose(model.p, oracle.pvalues, rtol=1e-7)
    np.testing.assert_allclose(np.c_[model.ci_low, model.ci_high], oracle.conf_int(), rtol=1e-7)
    np.testing.assert_allclose(model.covariance, oracle.cov_params(), rtol=1e-8)
    np.testing.assert_allclose(
        [model.r2, model.adj_r2, model.f, model.f_p],
        [oracle.rsquared, oracle.rsquared_adj, oracle.fvalue, oracle.f_pvalue],
        rtol=1e-8,
    )
    assert (model.df_model, model.df_residual) == (oracle.df_model, oracle.df_resid)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_ols_matches_statsmodels(seed: int) -> None:
    frame = households(seed=seed)
    model = fit(frame)
    oracle = sm.OLS(frame["score"], sm.add_constant(frame[REGRESSORS])).fit()
    agree(model, oracle)
    np.testing.assert_allclose(model.residual_sd, np.sqrt(oracle.mse_resid), rtol=1e-9)
    beta = oracle.params[REGRESSORS] * frame[REGRESSORS].std() / frame["score"].std()
    np.testing.assert_allclose(model.beta[1:], beta, rtol=1e-8)
    assert np.isnan(model.beta[0])
    vif = [variance_inflation_factor(oracle.model.exog, j) for j in (1, 2, 3)]
    np.testing.assert_allclose(model.vif[1:], vif, rtol=1e-8)
    assert model.terms == (INTERCEPT, *REGRESSORS)


def test_without_intercept_it_matches_statsmodels() -> None:
    frame = households()
    summary = summarise(frame, [*REGRESSORS, "score"])[()]
    model = fit_ols(summary, "score", REGRESSORS, intercept=False)
    agree(model, sm.OLS(frame["score"], frame[REGRESSORS]).fit())
    assert model.regressors == model.terms == tuple(REGRESSORS)


def test_sampling_weights_are_weighted_least_squares() -> None:
    frame = households()
    model = fit(frame, weights="weight", weight_kind="sampling")
    agree(model, sm.WLS(frame["score"], sm.add_constant(frame[REGRESSORS]), weights=frame["weight"]).fit())


def test_frequencies_are_repeated_rows() -> None:
    frame = households()
    repeated = frame.loc[frame.index.repeat(frame["weight"])]
    model = fit(frame, weights="weight")
    agree(model, sm.OLS(repeated["score"], sm.add_constant(repeated[REGRESSORS])).fit())
    assert model.n == len(repeated)


def test_nested_models_come_from_one_summary() -> None:
    frame = households()
    summary = summarise(frame, ["score", *REGRESSORS])[()]
    for regressors in (["trust"], ["is_poor", "land"]):
        oracle = sm.OLS(frame["score"], sm.add_constant(frame[regressors])).fit()
        agree(fit_ols(summary, "score", regressors), oracle)
    only_mean = fit_ols(summary, "score", [])
    np.testing.assert_allclose(only_mean.b, [frame["score"].mean()])
    assert np.isnan(only_mean.f)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(1e-4, 1e4), st.floats(-1e3, 1e3))
def test_beta_t_and_r2_do_not_depend_on_units(seed: int, scale: float, shift: float) -> None:
    frame = households(seed=seed)
    plain = fit(frame)
    converted = fit(frame.assign(land=frame["land"] * scale + shift))
    for name in ("beta", "vif"):
        np.testing.assert_allclose(getattr(converted, name)[1:], getattr(plain, name)[1:], rtol=1e-6)
    np.testing.assert_allclose(converted.t[1:], plain.t[1:], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(converted.r2, plain.r2, rtol=1e-8)


def test_stars_follow_the_p_values() -> None:
    model = fit(households())
    expected = [0 if p >= 0.1 else 1 if p >= 0.05 else 2 if p >= 0.01 else 3 for p in model.p]
    assert list(model.stars) == expected
    assert max(model.stars) == 3


def test_coefficients_are_a_table_with_a_row_per_term() -> None:
    model = fit(households())
    table = model.coefficients()
    assert list(table["term"]) == [INTERCEPT, *REGRESSORS]
    np.testing.assert_array_equal(table["ci_low"], model.ci_low)
    np.testing.assert_array_equal(table["stars"], model.stars)


def test_a_perfect_fit_is_reported_as_such() -> None:
    frame = households()
    frame["score"] = 1 + 2 * frame["land"]
    model = fit(frame)
    np.testing.assert_allclose(model.b, [1, 2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(model.r2, 1)


def test_constant_and_collinear_regressors_are_refused_by_name() -> None:
    frame = households().assign(country=86.0, is_rich=lambda data: 1 - data["is_poor"])
    summary = summarise(frame, [*REGRESSORS, "country", "is_rich", "score"])[()]
    with pytest.raises(ConstantColumnError, match="'country' has one value in all 150 rows"):
        fit_ols(summary, "score", ["land", "country"])
    with pytest.raises(CollinearColumnsError, match=r"'is_rich' is an exact combination of .*'is_poor'"):
        fit_ols(summary, "score", ["land", "is_poor", "is_rich"])
    with pytest.raises(ConstantColumnError, match="dependent 'country'"):
        fit_ols(summary, "country", ["land"])


def test_unidentified_regressors_can_be_left_out_with_their_reason() -> None:
    frame = households().assign(country=86.0, is_rich=lambda data: 1 - data["is_poor"], none=0.0)
    names = ["country", *REGRESSORS, "is_rich", "none"]
    model = fit_ols(summarise(frame, [*names, "score"])[()], "score", names, unidentified="omit")
    np.testing.assert_allclose(model.b, fit(frame).b, rtol=1e-9)
    assert [each.term for each in model.omitted] == ["country", "is_rich", "none"]
    assert "exact combination" in model.omitted[1].reason
    assert model.regressors == tuple(REGRESSORS)


def test_without_intercept_a_constant_is_a_regressor() -> None:
    frame = households().assign(one=1.0)
    summary = summarise(frame, ["one", "land", "score"])[()]
    model = fit_ols(summary, "score", ["one", "land"], intercept=False)
    np.testing.assert_allclose(model.b, fit_ols(summary, "score", ["land"]).b, rtol=1e-10)


@pytest.mark.parametrize("n", [1, 3, 4])
def test_too_few_rows_are_refused(n: int) -> None:
    with pytest.raises((TooFewRowsError, CollinearColumnsError, ConstantColumnError)):
        fit(households()[:n])


def test_as_many_rows_as_coefficients_are_refused() -> None:
    frame = households()[:4].assign(land=[1, 2, 4, 8.0], trust=[1, 3, 2, 1.0], is_poor=[0, 0, 1, 0.0])
    with pytest.raises(TooFewRowsError, match="4 complete rows for 4 coefficients"):
        fit(frame)


def test_no_complete_row_is_refused() -> None:
    with pytest.raises(EmptyGroupError, match="150 rows dropped"):
        fit(households().assign(land=np.nan))


def test_a_model_needs_distinct_regressors() -> None:
    summary = summarise(households(), [*REGRESSORS, "score"])[()]
    with pytest.raises(InvalidOptionError, match="distinct"):
        fit_ols(summary, "score", ["land", "land"])
    with pytest.raises(InvalidOptionError, match="without it"):
        fit_ols(summary, "score", ["score"])
    with pytest.raises(InvalidOptionError, match="neither"):
        fit_ols(summary, "score", [], intercept=False)


def test_a_singular_covariance_cannot_be_tested() -> None:
    with pytest.raises(CollinearColumnsError, match="together"):
        wald_statistic(np.ones(2), np.ones((2, 2)))
    for seed in range(50):
        # five clusters cannot tell six coefficients apart, whatever rounding leaves of the sixth
        scores = np.random.default_rng(seed).normal(size=(5, 6)) * 10.0 ** np.arange(6)
        with pytest.raises(CollinearColumnsError):
            wald_statistic(np.ones(6), scores.T @ scores)
    np.testing.assert_allclose(wald_statistic(np.array([2.0, 1.0]), np.diag([4.0, 1.0])), 2)


def test_intervals_of_standardised_coefficients_are_those_of_standardised_columns() -> None:
    frame = households()[[*REGRESSORS, "score"]]
    model = fit(frame)
    scored = (frame - frame.mean()) / frame.std()
    oracle = sm.OLS(scored["score"], sm.add_constant(scored[REGRESSORS])).fit()
    slopes = oracle.conf_int().loc[REGRESSORS]
    np.testing.assert_allclose(np.c_[model.beta_ci_low, model.beta_ci_high][1:], slopes, rtol=1e-9)
    assert np.isnan([model.beta_ci_low[0], model.beta_ci_high[0]]).all()
