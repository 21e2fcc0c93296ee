"""Ordered and fractional models against R (MASS, clubSandwich, sandwich), statsmodels and by properties."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel

from analysis.errors import (
    AnalysisError,
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    SeparationError,
    TooFewClustersError,
    TooFewRowsError,
)
from analysis.limited_outcomes import LimitedModel, limited_outcome

REFERENCE = Path(__file__).parents[1] / "reference"


@cache
def figures(case: str) -> dict[str, pd.Series]:
    table = pd.read_csv(REFERENCE / "oracle_models_r.csv")
    own = table[table["case"] == case]
    return {str(q): rows.set_index("row")["value"] for q, rows in own.groupby("quantity")}


@cache
def schools() -> pd.DataFrame:
    table = pd.read_csv(REFERENCE / "oracle_limited.csv")
    return table.assign(
        stypeH=table["stype"] == "H", stypeM=table["stype"] == "M", won=table["awards"] == "Yes"
    )


@cache
def tenants() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "oracle_ordered.csv")


@cache
def of_meals() -> LimitedModel:
    terms = ["ell", "big", "stypeH", "stypeM"]
    return limited_outcome(
        *(schools()["y"], schools()[terms], terms, schools()["dnum"]),
        family="fractional",
        categories=[["stypeH", "stypeM"]],
    )


@cache
def of_tenants() -> LimitedModel:
    terms = ["high", "influence"]
    return limited_outcome(
        tenants()["answer"], tenants()[terms], terms, tenants()["cluster"], family="ordered"
    )


def test_fractional_logit_and_its_cluster_errors_equal_r() -> None:
    model, wanted = of_meals().model, figures("fractional")
    for name, digits in {"b": 1e-9, "se": 1e-8, "df": 1e-7, "p": 1e-7}.items():
        np.testing.assert_allclose(getattr(model, name), wanted[name], rtol=digits, err_msg=name)
    # clubSandwich's own root of the same matrices, which needs n x n of them
    np.testing.assert_allclose(model.se, wanted["se_of_glm"], rtol=0.003)


def test_average_marginal_effects_equal_r() -> None:
    fitted, wanted = of_meals(), figures("fractional")
    np.testing.assert_allclose(fitted.effects[:, 0], wanted["ame"], rtol=1e-9)
    np.testing.assert_allclose(fitted.effect_se[:, 0], wanted["ame_se"], rtol=1e-8)
    assert (fitted.effect_low < fitted.effects).all()
    assert (fitted.effects < fitted.effect_high).all()


def test_yes_or_no_is_a_fractional_outcome() -> None:
    terms = ["ell", "big"]
    fitted = limited_outcome(
        schools()["won"], schools()[terms], terms, schools()["dnum"], family="fractional"
    )
    for name, digits in {"b": 1e-8, "se": 1e-7, "df": 1e-6}.items():
        np.testing.assert_allclose(getattr(fitted.model, name), figures("binary")[name], rtol=digits)
    glm = sm.GLM(
        schools()["won"].astype(float),
        sm.add_constant(schools()[terms].astype(float)),
        sm.families.Binomial(),
    )
    np.testing.assert_allclose(fitted.model.b, glm.fit(tol=1e-14).params, rtol=1e-8)
    # ordered in two categories says the same, with a threshold for the intercept
    ordered = limited_outcome(schools()["won"], schools()[terms], terms, schools()["dnum"], family="ordered")
    np.testing.assert_allclose(ordered.model.b * [-1, 1, 1], fitted.model.b, rtol=1e-12)
    np.testing.assert_allclose(ordered.model.se, fitted.model.se, rtol=1e-12)
    np.testing.assert_allclose(ordered.effects[:, 1], fitted.effects[:, 0], rtol=1e-12)
    np.testing.assert_allclose(ordered.effects.sum(axis=1), 0, atol=1e-15)


def test_proportional_odds_equal_r() -> None:
    fitted, wanted = of_tenants(), figures("ordered")
    np.testing.assert_allclose(fitted.model.b, [*wanted["threshold"], *wanted["b"]], rtol=2e-6)
    np.testing.assert_allclose(fitted.effects[0], wanted["ame_high"], rtol=2e-5)
    np.testing.assert_allclose(fitted.effects[1], wanted["ame_influence"], rtol=2e-5)
    # R's sandwich has no CR2 of this model; the plain one is made of the same scores and information
    half = np.linalg.solve(fitted.model.factor, fitted.scores.scores.T)
    plain = np.sqrt((half**2).sum(axis=1))
    assert plain[2:] == pytest.approx(wanted["se_cr0"].to_numpy()[:2], rel=0.01)
    assert (fitted.model.se > plain).all()


def test_proportional_odds_are_the_maximum_that_statsmodels_seeks() -> None:
    x = tenants()[["high", "influence"]].astype(float)
    model = OrderedModel(tenants()["answer"].astype(int), x, distr="logit")
    fit = model.fit(method="bfgs", disp=False, gtol=1e-8)
    np.testing.assert_allclose(of_tenants().model.b[2:], fit.params[:2], rtol=1e-5)
    assert -2 * fit.llf == pytest.approx(figures("ordered")["deviance"].item(), rel=1e-9)


def test_effects_are_derivatives() -> None:
    """An effect is what shares change where a number is raised a little; its error, what it changes where b moves."""
    fitted = of_tenants()
    x = tenants()[["high", "influence"]].to_numpy(dtype=float)

    def shares(b: np.ndarray, x: np.ndarray) -> np.ndarray:
        below = 1 / (1 + np.exp(-(b[:2] - (x @ b[2:])[:, None])))
        ends = np.column_stack([np.zeros(len(x)), below, np.ones(len(x))])
        return np.asarray(np.diff(ends, axis=1).mean(axis=0))

    def effect(b: np.ndarray) -> np.ndarray:
        h = np.array([0.0, 1e-5])
        return np.asarray((shares(b, x + h) - shares(b, x - h)) / 2e-5)

    b = fitted.model.b
    np.testing.assert_allclose(fitted.effects[1], effect(b), rtol=1e-6)
    slopes = np.array([(effect(b + d) - effect(b - d)) / 2e-4 for d in 1e-4 * np.eye(4)])
    np.testing.assert_allclose(
        fitted.effect_se[1], np.sqrt(np.diag(slopes.T @ fitted.model.covariance @ slopes)), rtol=1e-4
    )


def sample(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(9), 30)
    x = np.column_stack([rng.normal(size=270), rng.integers(0, 2, 270)])
    y = np.digitize(x @ [0.5, 0.4] + rng.logistic(size=270) + 0.5 * rng.normal(size=9)[cluster], [-1, 0, 1.5])
    return y.astype(float), x, cluster


@pytest.mark.parametrize("family", ["ordered", "fractional"])
def test_neither_order_nor_units_matter(family: str) -> None:
    y, x, cluster = sample()
    y = y / 3 if family == "fractional" else y
    plain = limited_outcome(y, x, ["a", "b"], cluster, family=family)
    order = np.random.default_rng(2).permutation(len(y))
    other = limited_outcome(
        y[order], x[order] * [10, 1] + [1000, 0], ["a", "b"], cluster[order], family=family
    )
    for name in ("p", "df"):
        np.testing.assert_allclose(
            getattr(other.model, name)[-2:], getattr(plain.model, name)[-2:], rtol=1e-7
        )
    np.testing.assert_allclose(other.effects, plain.effects / [[10], [1]], rtol=1e-8)
    np.testing.assert_allclose(other.effect_se, plain.effect_se / [[10], [1]], rtol=1e-7)


def test_any_increasing_numbers_name_the_same_categories() -> None:
    y, x, cluster = sample()
    plain = limited_outcome(y, x, ["a", "b"], cluster, family="ordered")
    other = limited_outcome(
        np.array([1, 10, 11, 400])[y.astype(int)], x, ["a", "b"], cluster, family="ordered"
    )
    np.testing.assert_allclose(other.model.b, plain.model.b, rtol=1e-12)


def test_what_has_no_answer_is_refused_by_name() -> None:
    y, x, cluster = sample()
    some = np.full(len(y), np.nan)
    names = ["a", "b"]
    refused: list[tuple[type[AnalysisError], tuple[Any, ...], str]] = [
        (ConstantColumnError, (np.ones(270), x, names, cluster), "ordered"),
        (ConstantColumnError, (some, x, names, cluster), "ordered"),
        (ConstantColumnError, (y, x * [1, 0], names, cluster), "ordered"),
        (CollinearColumnsError, (y, x[:, [0, 0]], names, cluster), "ordered"),
        (InvalidOptionError, (y, x, names, cluster), "fractional"),
        (InvalidOptionError, (y / 3, x, ["a"], cluster), "fractional"),
        (InvalidOptionError, (x[:, 0], x, names, cluster), "ordered"),
        (InvalidOptionError, (y, x, names, cluster), "probit"),
        (TooFewRowsError, (y[:4], x[:4], names, cluster[:4]), "ordered"),
        (TooFewClustersError, (y, x, names, np.zeros(270)), "ordered"),
        (SeparationError, (x[:, 1], x, names, cluster), "fractional"),
        (SeparationError, (np.where(x[:, 0] > 1.9, 3, y % 3), x[:, :1] > 1.9, ["a"], cluster), "ordered"),
    ]
    for error, arguments, family in refused:
        with pytest.raises(error):
            limited_outcome(*arguments, family=family)
    with pytest.raises(InvalidOptionError):
        limited_outcome(y, x, names, cluster, family="ordered", categories=[["c"]])


def test_a_dummy_of_one_cluster_leaves_effects_without_errors() -> None:
    y, x, cluster = sample()
    x = np.column_stack([x, cluster == 3])
    fitted = limited_outcome(y, x, ["a", "b", "here"], cluster, family="ordered")
    assert fitted.model.lone == ("here",)
    assert np.isfinite(fitted.model.se[-3:-1]).all()
    assert np.isfinite(fitted.effects).all()
    assert np.isnan(fitted.effect_se).all(), "an average effect hangs on every coefficient"
