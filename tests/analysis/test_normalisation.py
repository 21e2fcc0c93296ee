import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.errors import AnalysisError, InfiniteValueError, InvalidOptionError
from analysis.normalisation import find_bounds, normalise

ANSWERS = hnp.arrays(np.float64, (12, 3), elements=st.integers(-50, 50).map(float))


def test_benefit_and_cost_run_in_opposite_directions_over_the_same_bounds():
    values = np.array([[10.0, 1.0], [20.0, 3.0], [30.0, 5.0]])
    result = normalise(values, find_bounds(values, "pooled"), ["benefit", "cost"])
    assert result.z.tolist() == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    assert result.bounds.lower.tolist() == [[10.0, 1.0]]
    assert result.bounds.upper.tolist() == [[30.0, 5.0]]


def test_bounds_within_survey_use_each_surveys_own_extremes():
    values = np.array([[0.0], [10.0], [100.0], [300.0]])
    bounds = find_bounds(values, "within_survey", survey=["a", "a", "b", "b"])
    assert bounds.groups == ("a", "b")
    assert normalise(values, bounds, ["benefit"]).z.ravel().tolist() == [0.0, 1.0, 0.0, 1.0]


def test_theoretical_bounds_fall_back_on_the_data_where_the_scale_is_open():
    values = np.array([[2.0, 7.0], [4.0, 9.0]])
    bounds = find_bounds(values, "theoretical", theoretical=([1, np.nan], [5, np.nan]))
    assert normalise(values, bounds, ["benefit", "benefit"]).z.tolist() == [[0.25, 0.0], [0.75, 1.0]]


def test_constant_column_is_missing_and_flagged_never_zero():
    values = np.array([[3.0, 1.0], [3.0, 2.0]])
    result = normalise(values, find_bounds(values, "pooled"), ["benefit", "benefit"])
    assert np.isnan(result.z[:, 0]).all()
    assert result.bounds.is_constant.tolist() == [[True, False]]


@pytest.mark.parametrize(("policy", "expected"), [("missing", np.nan), ("clip", 1.0)])
def test_value_outside_the_scale_is_counted_and_treated_as_the_option_says(policy, expected):
    values = np.array([[55.0], [3.0]])
    bounds = find_bounds(values, "theoretical", theoretical=([1], [5]))
    result = normalise(values, bounds, ["benefit"], outside=policy)
    np.testing.assert_equal(result.z[0, 0], expected)
    assert result.n_outside.tolist() == [1]
    assert result.z[1, 0] == 0.5


def test_faults_have_names():
    values = np.array([[1.0], [55.0]])
    bounds = find_bounds(values, "theoretical", theoretical=([1], [5]))
    with pytest.raises(AnalysisError, match="Row 1, column 0: 55"):
        normalise(values, bounds, ["benefit"], outside="error")
    with pytest.raises(InfiniteValueError, match="row 0, column 0"):
        find_bounds(np.array([[np.inf]]), "pooled")
    with pytest.raises(InvalidOptionError, match="choose from pooled"):
        find_bounds(values, "sample")
    with pytest.raises(AnalysisError, match="survey of every row"):
        find_bounds(values, "within_survey")
    with pytest.raises(AnalysisError, match="directions"):
        normalise(values, bounds, ["benefit", "cost"])


@given(ANSWERS)
@settings(deadline=None)
def test_cost_mirrors_benefit(values):
    bounds = find_bounds(values, "pooled")
    benefit = normalise(values, bounds, ["benefit"] * 3).z
    cost = normalise(values, bounds, ["cost"] * 3).z
    np.testing.assert_allclose(benefit, 1.0 - cost, atol=1e-12)


@given(ANSWERS, st.floats(0.1, 100), st.floats(-100, 100))
@settings(deadline=None)
def test_a_change_of_unit_changes_nothing(values, scale, shift):
    first = normalise(values, find_bounds(values, "pooled"), ["benefit"] * 3).z
    moved = values * scale + shift
    second = normalise(moved, find_bounds(moved, "pooled"), ["benefit"] * 3).z
    np.testing.assert_allclose(first, second, atol=1e-9)
