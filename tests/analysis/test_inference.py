"""Robust covariances and specification tests against statsmodels and against the formulas on full matrices."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.diagnostic import het_breuschpagan, linear_reset

from analysis.diagnostics import specification_tests
from analysis.errors import (
    InvalidOptionError,
    MissingValueError,
    SummaryMismatchError,
    TooFewClustersError,
)
from analysis.inference import (
    WEBB_POINTS,
    ClusterScores,
    cluster_scores,
    clustered,
    heteroskedastic,
    wild_cluster_bootstrap,
)
from analysis.regression import Regression, fit_ols
from analysis.summary import summarise

REGRESSORS = ["income", "size", "is_head_male"]


def households(n: int = 180, clusters: int = 7, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    site = rng.choice(clusters, size=n, p=np.arange(1, clusters + 1) / np.arange(1, clusters + 1).sum())
    income = rng.normal(10, 3, n) + 0.5 * site
    size = rng.integers(1, 8, n).astype(float)
    male = (rng.random(n) < 0.7).astype(float)
    effect = rng.normal(size=clusters)[site]
    y = 1 + 0.3 * income - 0.2 * size + effect + rng.normal(size=n) * (0.5 + 0.1 * income)
    weight = rng.integers(1, 5, n).astype(float)
    return pd.DataFrame(
        {"income": income, "size": size, "is_head_male": male, "score": y, "site": site, "weight": weight}
    )


def in_batches(frame: pd.DataFrame, rows: int = 37) -> list[pd.DataFrame]:
    return [frame[i : i + rows] for i in range(0, len(frame), rows)]


def fit(frame: pd.DataFrame, **options: str) -> Regression:
    return fit_ols(summarise(frame, [*REGRESSORS, "score"], **options)[()], "score", REGRESSORS)


def design(frame: pd.DataFrame) -> np.ndarray:
    return np.column_stack([np.ones(len(frame)), frame[REGRESSORS].to_numpy()])


def cr2_on_full_matrices(frame: pd.DataFrame, weights: np.ndarray | None = None) -> tuple:
    """CR2 and its degrees of freedom with n x n matrices, term by term as in Pustejovsky and Tipton."""
    root = np.ones(len(frame)) if weights is None else np.sqrt(weights)
    X, y = design(frame) * root[:, None], frame["score"].to_numpy() * root
    bread = np.linalg.inv(X.T @ X)
    M = np.eye(len(X)) - X @ bread @ X.T
    e = M @ y
    sites = frame["site"].to_numpy()
    meat = np.zeros((X.shape[1],) * 2)
    parts = []
    for site in np.unique(sites):
        rows = sites == site
        values, vectors = np.linalg.eigh(M[np.ix_(rows, rows)])
        A = vectors @ np.diag(np.where(values > 1e-10, values, np.inf) ** -0.5) @ vectors.T
        score = X[rows].T @ A @ e[rows]
        meat += np.outer(score, score)
        parts.append(M[:, rows] @ A @ X[rows] @ bread)
    df = []
    for j in range(X.shape[1]):
        p = np.array([part[:, j] for part in parts])
        P = p @ p.T
        df.append(np.trace(P) ** 2 / np.sum(P**2))
    return bread @ meat @ bread, np.array(df)


@pytest.mark.parametrize("kind", ["HC1", "HC3"])
@pytest.mark.parametrize("weights", [None, "weight"])
def test_unequal_variances_match_statsmodels(kind: str, weights: str | None) -> None:
    frame = households()
    model = fit(frame, weights=weights, weight_kind="sampling")
    robust = heteroskedastic(in_batches(frame), model, kind, weights=weights)

    oracle = sm.WLS(frame["score"], design(frame), weights=1.0 if weights is None else frame[weights])
    expected = oracle.fit().get_robustcov_results(kind, use_t=True)

    np.testing.assert_allclose(robust.b, expected.params, rtol=1e-10)
    np.testing.assert_allclose(robust.se, expected.bse, rtol=1e-10)
    np.testing.assert_allclose(robust.p, expected.pvalues, rtol=1e-8)
    np.testing.assert_allclose(np.c_[robust.ci_low, robust.ci_high], expected.conf_int(), rtol=1e-8)
    f = expected.f_test(np.eye(4)[1:])
    np.testing.assert_allclose([robust.f, robust.f_p], [f.fvalue, f.pvalue], rtol=1e-8)


@pytest.mark.parametrize("kind", ["HC1", "HC3", "CR1", "CR2"])
def test_frequencies_are_repeated_rows(kind: str) -> None:
    frame = households()
    repeated = frame.loc[frame.index.repeat(frame["weight"].astype(int))]
    results = []
    for data, weights in ((frame, "weight"), (repeated, None)):
        model = fit(data, weights=weights)
        if kind.startswith("HC"):
            results.append(heteroskedastic(in_batches(data), model, kind, weights=weights))
        else:
            scores = cluster_scores(in_batches(data), model, "site", weights=weights)
            results.append(clustered(model, scores, kind))
    short, long = results
    for name in ("b", "se", "p", "df", "ci_low", "beta"):
        np.testing.assert_allclose(getattr(short, name), getattr(long, name), rtol=1e-9)
    assert short.n == long.n == frame["weight"].sum()


def test_cr1_matches_statsmodels() -> None:
    frame = households()
    model = fit(frame)
    robust = clustered(model, cluster_scores(in_batches(frame), model, "site"), "CR1")
    expected = sm.OLS(frame["score"], design(frame)).fit(
        cov_type="cluster", cov_kwds={"groups": frame["site"], "df_correction": True}, use_t=True
    )
    np.testing.assert_allclose(robust.se, expected.bse, rtol=1e-10)
    np.testing.assert_allclose(robust.p, expected.pvalues, rtol=1e-8)
    assert robust.n_clusters == 7


@pytest.mark.parametrize("clusters", [2, 3, 7, 40])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_cr2_and_satterthwaite_match_the_formula_on_full_matrices(clusters: int, is_weighted: bool) -> None:
    frame = households(clusters=clusters)
    weights = "weight" if is_weighted else None
    model = fit(frame, weights=weights, weight_kind="sampling")
    scores = cluster_scores(in_batches(frame), model, "site", weights=weights)

    robust = clustered(model, scores, "CR2")

    covariance, df = cr2_on_full_matrices(frame, frame["weight"].to_numpy() if is_weighted else None)
    np.testing.assert_allclose(robust.covariance, covariance, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(robust.df, df, rtol=1e-8)


def test_cr2_survives_a_cluster_that_determines_a_coefficient() -> None:
    frame = households()
    frame["is_head_male"] = (frame["site"] == 3).astype(float)
    model = fit(frame)
    robust = clustered(model, cluster_scores(in_batches(frame), model, "site"), "CR2")
    covariance, df = cr2_on_full_matrices(frame)
    np.testing.assert_allclose(robust.covariance, covariance, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(robust.df, df, rtol=1e-7)


def test_scores_and_leverages_are_those_of_all_rows() -> None:
    frame = households()
    model = fit(frame)
    result = cluster_scores(in_batches(frame), model, "site")
    x, y = design(frame), frame["score"].to_numpy()
    q, residuals = x @ np.linalg.inv(model.factor), y - x @ np.linalg.lstsq(x, y)[0]
    inside = [(frame["site"] == site).to_numpy() for site in result.clusters]
    np.testing.assert_allclose(result.leverages, [q[rows].T @ q[rows] for rows in inside], atol=1e-12)
    np.testing.assert_allclose(result.scores, [q[rows].T @ residuals[rows] for rows in inside], atol=1e-10)
    np.testing.assert_allclose(result.leverages.sum(axis=0), np.eye(4), atol=1e-12)


def in_three_orders(clusters: int) -> list[tuple[Regression, ClusterScores]]:
    """A model with a dummy for a site, over numbers so far from zero that little is left to its score."""
    frame = households(n=40_000, clusters=clusters)
    frame[["income", "score"]] += 1e4
    frame["is_head_male"] = (frame["site"] == 1).astype(float)
    orders = (frame, frame[::-1], frame.sample(frac=1, random_state=1))
    models = [fit(rows) for rows in orders]
    return [
        (model, cluster_scores(in_batches(rows, 5000), model, "site"))
        for model, rows in zip(models, orders, strict=True)
    ]


@pytest.mark.parametrize("kind", ["CR1", "CR2"])
def test_clustered_errors_do_not_depend_on_the_order_of_rows(kind: str) -> None:
    first, *others = (np.diag(clustered(*each, kind).covariance) for each in in_three_orders(clusters=2))
    np.testing.assert_allclose(others, [first] * 2, rtol=1e-9)


def test_draws_of_the_wild_bootstrap_tie_in_any_order_of_rows() -> None:
    # with three sites many draws have one weight for all of them, and are as extreme as the sample itself
    first, *others = (wild_cluster_bootstrap(*each, draws=999).p for each in in_three_orders(clusters=3))
    np.testing.assert_array_equal(others, [first] * 2)


@pytest.mark.parametrize(("own", "has_f"), [(["income", "size"], True), (["income", "size", "age"], False)])
def test_f_does_not_exist_where_each_part_of_a_model_has_too_few_clusters(
    own: list[str], has_f: bool
) -> None:
    # each region has a model of its own, whose scores add up to zero: 8 sites leave 6 directions, not 7
    frame = households(clusters=8).assign(age=np.arange(180.0) % 61, region=lambda rows: rows["site"] > 3)
    frame[[f"{name}_there" for name in own]] = frame[own].mul(frame["region"], axis=0)
    terms = [*own, "region", *(f"{name}_there" for name in own)]
    model = fit_ols(summarise(frame, [*terms, "score"])[()], "score", terms)
    scores = cluster_scores(in_batches(frame), model, "site")
    for kind in ("CR1", "CR2"):
        robust = clustered(model, scores, kind)
        np.testing.assert_array_equal(np.isfinite([robust.f, robust.f_p]), has_f)
        assert np.isfinite(robust.t).all()


def wild_bootstrap_on_rows(frame: pd.DataFrame, j: int, draws: int, seed: int) -> float:
    """The same p-value by refitting every bootstrap sample on all rows."""
    X, y, sites = design(frame), frame["score"].to_numpy(), frame["site"].to_numpy()
    ids = np.unique(sites)
    keep = [column for column in range(X.shape[1]) if column != j]

    def t_statistic(values: np.ndarray) -> float:
        b, *_ = np.linalg.lstsq(X, values)
        bread = np.linalg.inv(X.T @ X)
        scores = np.array([X[sites == g].T @ (values - X @ b)[sites == g] for g in ids])
        return float(b[j] / np.sqrt((bread @ scores.T @ scores @ bread)[j, j]))

    b_null, *_ = np.linalg.lstsq(X[:, keep], y)
    fitted = X[:, keep] @ b_null
    v = np.random.default_rng(seed).choice(WEBB_POINTS, size=(draws, len(ids)))
    observed = abs(t_statistic(y)) * (1 - 1e-12)
    position = np.searchsorted(ids, sites)
    extreme = sum(abs(t_statistic(fitted + (y - fitted) * row[position])) >= observed for row in v)
    return (extreme + 1) / (draws + 1)


def test_wild_bootstrap_equals_refitting_every_sample() -> None:
    frame = households(n=60, clusters=5)
    model = fit(frame)
    scores = cluster_scores(in_batches(frame), model, "site")
    result = wild_cluster_bootstrap(model, scores, draws=199, seed=4)
    expected = [wild_bootstrap_on_rows(frame, j, 199, 4) for j in range(4)]
    np.testing.assert_allclose(result.p, expected, atol=1e-12)
    np.testing.assert_allclose(result.t, clustered(model, scores, "CR1").t, rtol=1e-10)
    assert (result.draws, result.seed, result.n_clusters) == (199, 4, 5)


def test_webb_points_have_mean_zero_and_variance_one() -> None:
    assert len(WEBB_POINTS) == 6
    np.testing.assert_allclose([WEBB_POINTS.mean(), WEBB_POINTS.var()], [0, 1], atol=1e-15)


def test_wild_bootstrap_refuses_two_clusters() -> None:
    frame = households(clusters=2)
    model = fit(frame)
    with pytest.raises(TooFewClustersError, match="2 cluster"):
        wild_cluster_bootstrap(model, cluster_scores(frame, model, "site"))


@pytest.mark.parametrize("kind", ["CR1", "CR2"])
def test_one_cluster_is_refused(kind: str) -> None:
    frame = households().assign(site="only")
    model = fit(frame)
    with pytest.raises(TooFewClustersError, match="'site' has 1 cluster"):
        clustered(model, cluster_scores(frame, model, "site"), kind)


def test_a_row_without_cluster_is_refused() -> None:
    frame = households()
    model = fit(frame)
    frame["site"] = frame["site"].astype(object).where(frame.index != 9)
    with pytest.raises(MissingValueError, match="site"):
        cluster_scores(frame, model, "site")


@pytest.mark.parametrize("change", ["fewer rows", "other values"])
def test_second_pass_over_other_rows_is_refused(change: str) -> None:
    frame = households()
    model = fit(frame)
    other = frame[1:] if change == "fewer rows" else frame.assign(score=frame["score"] * 1.01)
    with pytest.raises(SummaryMismatchError, match="second pass"):
        heteroskedastic(other, model)


def test_hc3_is_refused_when_one_row_determines_a_coefficient() -> None:
    frame = households()
    frame["is_head_male"] = (frame.index == 0).astype(float)
    model = fit(frame)
    with pytest.raises(InvalidOptionError, match="single row"):
        heteroskedastic(frame, model, "HC3")


def test_a_second_pass_must_use_the_weights_of_the_fit() -> None:
    frame = households()
    with pytest.raises(InvalidOptionError, match="weights"):
        heteroskedastic(frame, fit(frame), weights="weight")


def test_unknown_conventions_are_refused() -> None:
    frame = households()
    model = fit(frame)
    with pytest.raises(InvalidOptionError, match="HC2"):
        heteroskedastic(frame, model, "HC2")
    with pytest.raises(InvalidOptionError, match="CR3"):
        clustered(model, cluster_scores(frame, model, "site"), "CR3")


def test_specification_tests_match_statsmodels() -> None:
    frame = households()
    model = fit(frame)
    result = specification_tests(in_batches(frame), model)
    oracle = sm.OLS(frame["score"], design(frame)).fit()
    lm, lm_p, *_ = het_breuschpagan(oracle.resid, oracle.model.exog)
    reset = linear_reset(oracle, power=3, test_type="fitted", use_f=True)
    np.testing.assert_allclose([result.breusch_pagan, result.breusch_pagan_p], [lm, lm_p], rtol=1e-9)
    np.testing.assert_allclose([result.reset, result.reset_p], [reset.fvalue, reset.pvalue], rtol=1e-6)
    assert result.breusch_pagan_df == 3
    assert result.reset_df == (2, 174)


def test_reset_has_no_answer_for_one_dummy() -> None:
    frame = households()
    summary = summarise(frame, ["is_head_male", "score"])[()]
    result = specification_tests(frame, fit_ols(summary, "score", ["is_head_male"]))
    assert result.reset_df[0] == 0
    assert np.isnan(result.reset)
    assert np.isnan(result.reset_p)
    assert 0 <= result.breusch_pagan_p <= 1


def test_scores_are_kept_per_cluster() -> None:
    frame = households(clusters=3)
    scores: ClusterScores = cluster_scores(in_batches(frame), fit(frame), "site")
    assert scores.clusters == (0, 1, 2)
    assert scores.scores.shape == (3, 4)
    assert scores.leverages.shape == (3, 4, 4)
