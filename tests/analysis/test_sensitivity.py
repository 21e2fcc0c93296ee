import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.errors import AnalysisError
from analysis.sensitivity import rank_sensitivity


def test_ranks_by_hand():
    result = rank_sensitivity([[0.5, 0.4, 0.3], [0.9, 0.2, 0.1], [0.1, 0.2, 0.3], [0.4, 0.4, 0.1]])
    assert result.ranks.tolist() == [[1, 2, 3], [1, 2, 3], [3, 2, 1], [1, 1, 3]]
    assert result.same_order.tolist() == [True, True, False, False]
    assert result.share_same_order == 0.5
    assert result.kendall[:3].tolist() == [1.0, 1.0, -1.0]
    assert (result.best.tolist(), result.worst.tolist()) == ([1, 1, 1], [3, 2, 3])
    assert result.share_first.tolist() == [0.75, 0.25, 0.25]
    assert result.share_above[0].tolist() == [0.0, 0.5, 0.75]


@given(hnp.arrays(np.float64, (6, 4), elements=st.integers(0, 20).map(float)))
@settings(deadline=None)
def test_ranks_depend_on_order_only(values):
    first, second = rank_sensitivity(values), rank_sensitivity(np.exp(values / 7))
    np.testing.assert_array_equal(first.ranks, second.ranks)
    assert first.same_order[first.reference]
    ties = (values[:, :, None] == values[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(first.share_above + first.share_above.T + ties, 1.0)


def test_faults_have_names():
    with pytest.raises(AnalysisError, match="two regions"):
        rank_sensitivity([[0.5]])
    for row in (-1, 2):
        with pytest.raises(AnalysisError, match=f"reference row {row};"):
            rank_sensitivity([[1.0, 2.0], [2.0, 1.0]], reference=row)
    with pytest.raises(AnalysisError, match="no value under the reference"):
        rank_sensitivity([[0.5, np.nan]])
