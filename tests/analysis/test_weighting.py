import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.errors import AnalysisError, InvalidWeightError, TooFewRowsError
from analysis.weighting import composite, weigh

UNIT = st.integers(0, 100).map(lambda value: value / 100)
TABLES = hnp.arrays(np.float64, (15, 4), elements=UNIT)
METHODS = ["entropy", "critic", "pca"]


def test_entropy_by_hand_with_zeros():
    z = np.array([[0.0, 0.2], [1.0, 0.3], [0.0, 0.5]])
    # First column: all mass in one row, entropy 0. Second: entropy of (.2, .3, .5).
    entropy = -(0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 0.5 * np.log(0.5)) / np.log(3)
    np.testing.assert_allclose(weigh(z, "entropy").values, [1 / (2 - entropy), (1 - entropy) / (2 - entropy)])


def test_critic_by_hand():
    z = np.array([[0.0, 1.0, 0.3], [0.5, 0.2, 0.1], [1.0, 0.0, 0.9], [0.2, 0.4, 0.6]])
    spread = z.std(axis=0, ddof=1)
    raw = [
        spread[j] * sum(1 - np.corrcoef(z[:, j], z[:, k])[0, 1] for k in range(3) if k != j) for j in range(3)
    ]
    np.testing.assert_allclose(weigh(z, "critic").values, np.array(raw) / sum(raw))


def test_pca_gives_equal_weights_to_equally_correlated_columns():
    base = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 8
    z = np.vstack([base, base + base.sum(axis=1, keepdims=True)]) + 0.5
    np.testing.assert_allclose(weigh(z, "pca").values, [1 / 3] * 3)


@given(TABLES, st.sampled_from(METHODS))
@settings(deadline=None)
def test_a_constant_column_weighs_nothing(z, method):
    z = z.copy()
    z[:, 2] = 0.4
    assume((np.ptp(np.delete(z, 2, axis=1), axis=0) > 0).all())
    assume(np.abs(np.corrcoef(np.delete(z, 2, axis=1), rowvar=False) - np.eye(3)).max() < 0.999)
    weights = weigh(z, method)
    assert weights.values[2] == 0.0
    assert weights.values.sum() == pytest.approx(1.0)
    assert (weights.values >= 0).all()


@given(TABLES, st.permutations(range(4)), st.sampled_from(METHODS))
@settings(deadline=None)
def test_weights_follow_their_columns_when_these_are_reordered(z, order, method):
    assume((np.ptp(z, axis=0) > 0).all())
    correlation = np.corrcoef(z, rowvar=False)
    eigenvalues = np.linalg.eigvalsh(correlation)
    assume(np.abs(eigenvalues - 1.0).min() > 1e-6)
    assume(np.diff(eigenvalues).min() > 1e-6)
    np.testing.assert_allclose(weigh(z[:, order], method).values, weigh(z, method).values[order], atol=1e-9)


def test_rows_with_blanks_and_columns_without_answers_are_left_out():
    z = np.array([[0.1, np.nan, 0.9], [0.4, np.nan, 0.2], [0.8, np.nan, np.nan], [0.3, np.nan, 0.5]])
    weights = weigh(z, "entropy")
    assert weights.n == 3
    assert weights.values[1] == 0.0
    np.testing.assert_allclose(weights.values[[0, 2]], weigh(z[[0, 1, 3]][:, [0, 2]], "entropy").values)


def test_faults_have_names():
    z = np.array([[0.1, 0.2], [0.3, 0.9]])
    with pytest.raises(InvalidWeightError):
        weigh(z, "given", given=[0.5, -0.5])
    with pytest.raises(AnalysisError, match="needs the weights"):
        weigh(z, "given")
    with pytest.raises(TooFewRowsError):
        weigh(z[:1], "entropy")
    with pytest.raises(AnalysisError, match="normalise first"):
        weigh(z * 10, "critic")
    with pytest.raises(AnalysisError, match="no indicator varies"):
        weigh(np.full((3, 2), 0.5), "entropy")
    with pytest.raises(AnalysisError, match="perfectly correlated"):
        weigh(np.array([[0.1, 0.1], [0.4, 0.4], [0.2, 0.2]]), "critic")


def test_index_by_policy():
    z = np.array([[0.2, 0.8, 0.4], [0.2, np.nan, 0.4], [np.nan, np.nan, 0.4]])
    weights = [0.5, 0.25, 0.25]
    listwise = composite(z, weights)
    np.testing.assert_allclose(listwise.index, [0.4, np.nan, np.nan])
    available = composite(z, weights, missing="available", min_share=0.5)
    np.testing.assert_allclose(available.index, [0.4, (0.1 + 0.1) / 0.75, np.nan])
    assert available.n_used.tolist() == [3, 2, 1]


def test_an_indicator_without_weight_cannot_spoil_the_index():
    z = np.array([[0.2, np.nan], [0.6, np.nan]])
    assert composite(z, [1.0, 0.0]).index.tolist() == [0.2, 0.6]


@given(TABLES)
@settings(deadline=None)
def test_index_stays_between_its_smallest_and_largest_indicator(z):
    index = composite(z, [1, 2, 3, 4]).index
    assert (index >= z.min(axis=1) - 1e-12).all()
    assert (index <= z.max(axis=1) + 1e-12).all()
