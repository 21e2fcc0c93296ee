import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.coupling import Band, Closed, coupling
from analysis.errors import AnalysisError
from analysis.normalisation import find_bounds, normalise
from analysis.sensitivity import Choice, Dimension, coordination_grid, rank_sensitivity, share_by_option
from analysis.weighting import composite

HALVES = [Band("low", 0, 0.5, Closed.RIGHT), Band("high", 0.5, 1, Closed.RIGHT)]
SYSTEMS = [
    [Dimension((0, 1), 0.6, (0.7, 0.3)), Dimension((2,), 0.4, (1.0,))],
    [Dimension((3, 4), 1.0, (0.5, 0.5))],
]
SCALES = (np.array([1, 1, 1, 1, np.nan]), np.array([5, 5, 5, 5, np.nan]))


def households(seed=0, n=240):
    rng = np.random.default_rng(seed)
    region = rng.choice(["a", "b", "c"], size=n)
    shift = (region == "b") * 0.9 + (region == "c") * 0.4
    values = np.clip(np.round(3 + shift[:, None] + rng.normal(size=(n, 5))), 1, 5)
    return values, region


def grid(values, region, **options):
    directions = ["benefit"] * 4 + ["cost"]
    schemes = {"halves": HALVES}
    return coordination_grid(
        values, directions, SYSTEMS, region, region, theoretical=SCALES, band_schemes=schemes, **options
    )


def test_every_combination_is_computed_once():
    result = grid(*households())
    assert len(result.choices) == len(set(result.choices)) == 3 * 5 * 4 * 2
    assert result.values.shape == (120, 3)
    assert result.regions == ("a", "b", "c")
    assert result.failures == ()


def test_a_cell_of_the_grid_is_the_chain_written_out():
    values, region = households(3)
    result = grid(values, region)
    z = normalise(values, find_bounds(values, "pooled"), ["benefit"] * 4 + ["cost"]).z
    first = 0.6 * (0.7 * z[:, 0] + 0.3 * z[:, 1]) + 0.4 * z[:, 2]
    d = coupling(np.column_stack([first, composite(z[:, 3:], [0.5, 0.5]).index])).d
    row = result.values[result.choices.index(Choice("pooled", "given", "standard", "none"))]
    np.testing.assert_allclose(row, [d[region == name].mean() for name in "abc"])
    row = result.values[result.choices.index(Choice("pooled", "given", "standard", "halves"))]
    np.testing.assert_allclose(row, [(d[region == name] > 0.5).mean() for name in "abc"])


def test_a_combination_that_fails_is_returned_with_its_reason():
    values, region = households()
    one_region = values.copy()
    one_region[region == "a", 2] = 4.0
    result = grid(one_region, region, weights=["equal"])
    assert {choice.bounds for choice, _ in result.failures} == {"within_survey"}
    constant = values.copy()
    constant[:, 2] = 4.0
    result = grid(constant, region, weights=["equal"], bounds=["pooled", "theoretical"])
    assert {choice.bounds for choice, _ in result.failures} == {"pooled"}
    assert result.failures[0][1] == "No range under bounds pooled: column 2."
    assert {choice.bounds for choice in result.choices} == {"theoretical"}
    with pytest.raises(AnalysisError, match="No combination"):
        grid(constant, region, weights=["equal"], bounds=["pooled"])


def test_an_indicator_that_one_survey_never_asked_does_not_stop_the_others():
    values, region = households()
    values[region == "a", 1] = np.nan
    result = grid(values, region, bounds=["pooled", "within_survey"], weights=["equal"])
    assert result.failures == ()
    assert not np.isnan(result.values).any()


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


def test_the_option_that_decides_the_order_is_named():
    choices = [Choice(b, w, "standard", "none") for b in ("pooled", "theoretical") for w in ("equal", "pca")]
    shares = share_by_option(choices, [True, False, True, False])
    assert shares["weights", "equal"] == 1.0
    assert shares["weights", "pca"] == 0.0
    assert shares["bounds", "pooled"] == 0.5


def test_faults_have_names():
    with pytest.raises(AnalysisError, match="two regions"):
        rank_sensitivity([[0.5]])
    with pytest.raises(AnalysisError, match="no value under the reference"):
        rank_sensitivity([[0.5, np.nan]])
