from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import SquareTable, mcnemar

from analysis.errors import AnalysisError
from analysis.transitions import paired_change, transition

CODES = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=60)


@given(CODES)
@settings(deadline=None)
def test_every_household_is_counted_once_and_bowker_agrees_with_statsmodels(pairs):
    before, after = np.array(pairs).T
    result = transition(before, after, 4)
    known = Counter(pair for pair in pairs if min(pair) >= 0)
    assert {(a, b): result.counts[a, b] for a, b in np.argwhere(result.counts)} == known
    assert result.n == known.total()
    assert result.n + result.n_missing == len(pairs)
    assert result.n_up == sum(count for (a, b), count in known.items() if a < b)
    assert result.n_up + result.n_down == result.n - np.trace(result.counts)
    if result.df == 6:
        reference = SquareTable(result.counts, shift_zeros=False).symmetry()
        assert result.chi2 == pytest.approx(reference.statistic)
        assert result.p == pytest.approx(reference.pvalue)


def test_two_bands_are_mcnemars_test():
    before = [0] * 30 + [1] * 20
    after = [0] * 18 + [1] * 12 + [0] * 5 + [1] * 15
    result = transition(before, after, 2)
    assert result.chi2 == pytest.approx(mcnemar(result.counts, exact=False, correction=False).statistic)
    assert result.p_exact == pytest.approx(mcnemar(result.counts, exact=True).pvalue)


def test_nobody_moved_gives_no_test():
    result = transition([0, 1, 2], [0, 1, 2], 3)
    assert result.df == 0
    assert np.isnan(result.p)


def test_paired_tests_agree_with_scipy():
    rng = np.random.default_rng(7)
    before = rng.normal(size=80)
    after = before + rng.normal(0.2, 1.0, size=80)
    after[3] = np.nan
    kept = ~np.isnan(after)
    result = paired_change(before, after)
    reference = stats.ttest_rel(after[kept], before[kept])
    assert (result.n, result.n_missing) == (79, 1)
    assert result.t == pytest.approx(reference.statistic)
    assert result.p_t == pytest.approx(reference.pvalue)
    np.testing.assert_allclose([result.ci_low, result.ci_high], reference.confidence_interval())
    assert result.p_wilcoxon == pytest.approx(stats.wilcoxon(after[kept], before[kept]).pvalue)


@pytest.mark.parametrize("pairs", [([1.0, 2.0], [2.0, 3.0]), ([1.0], [2.0]), ([np.nan], [1.0])])
def test_a_test_that_cannot_be_made_says_why(pairs):
    result = paired_change(*pairs)
    assert np.isnan(result.p_t)
    assert result.reason


def test_waves_that_do_not_line_up_are_refused():
    with pytest.raises(AnalysisError, match="cannot be paired"):
        paired_change([1.0, 2.0], [1.0])
    with pytest.raises(AnalysisError, match="cannot be paired"):
        transition([0, 1], [0], 2)
    with pytest.raises(AnalysisError, match="below 2"):
        transition([0, 2], [0, 1], 2)
