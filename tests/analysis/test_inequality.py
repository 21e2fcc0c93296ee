"""Gini and Theil by hand, by definition over all pairs, and their linearised values against the jackknife."""

import numpy as np
import pytest

from analysis.errors import InfiniteValueError, InvalidOptionError, InvalidWeightError, TooFewRowsError
from analysis.inequality import gini, theil, theil_parts


def drawn(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.round(rng.lognormal(10, 0.6, n), -2), rng.uniform(0.5, 3, n)


def test_values_by_hand() -> None:
    assert gini([1, 3]).value == pytest.approx(0.25)
    assert gini([0, 0, 0, 1]).value == pytest.approx(0.75)
    assert gini([5, 5, 5]).value == pytest.approx(0)
    assert theil([1, 3]).value == pytest.approx((0.5 * np.log(0.5) + 1.5 * np.log(1.5)) / 2)
    assert theil([0, 0, 0, 1]).value == pytest.approx(np.log(4))


def test_gini_is_half_the_mean_difference_over_the_mean() -> None:
    y, w = drawn()
    w = w / w.sum()
    pairs = np.abs(y[:, None] - y) * np.outer(w, w)
    assert gini(y, w).value == pytest.approx(pairs.sum() / (2 * w @ y), rel=1e-12)


@pytest.mark.parametrize("index", [gini, theil])
def test_index_has_no_unit_order_or_size(index) -> None:
    y, w = drawn()
    plain = index(y, w).value
    order = np.random.default_rng(1).permutation(len(y))
    assert index(10 * y, w).value == pytest.approx(plain, rel=1e-12)
    assert index(y, 7 * w).value == pytest.approx(plain, rel=1e-12)
    assert index(y[order], w[order]).value == pytest.approx(plain, rel=1e-12)
    assert index(np.repeat(y, 3), np.repeat(w, 3)).value == pytest.approx(plain, rel=1e-12)
    weights = np.random.default_rng(2).integers(1, 4, len(y)).astype(np.int8)
    assert index(np.repeat(y, weights)).value == pytest.approx(index(y, weights).value, rel=1e-12)


@pytest.mark.parametrize("index", [gini, theil])
def test_linearised_values_have_the_index_as_mean_and_the_jackknife_as_variance(index) -> None:
    y, w = drawn(400)
    result = index(y, w)
    share = w / w.sum()
    assert share @ result.linearised == pytest.approx(result.value, abs=1e-12)
    n = len(y)
    left = np.array([index(np.delete(y, k), np.delete(w, k)).value for k in range(n)])
    jackknife = (n - 1) / n * ((left - left.mean()) ** 2).sum()
    linear = n / (n - 1) * ((share * (result.linearised - result.value)) ** 2).sum()
    assert linear == pytest.approx(jackknife, rel=0.03)


def test_parts_of_theil_add_up_and_equal_groups_have_nothing_between() -> None:
    y, w = drawn()
    groups = np.random.default_rng(3).choice(["a", "b", "c"], len(y))
    parts = theil_parts(y, groups, w)
    assert parts.between + parts.within == pytest.approx(theil(y, w).value, rel=1e-12)
    twice = theil_parts(np.tile(y, 2), np.repeat(["a", "b"], len(y)), np.tile(w, 2))
    assert twice.between == pytest.approx(0, abs=1e-12)
    only = theil_parts([1, 1, 3, 3], ["a", "a", "b", "b"])
    assert only.within == pytest.approx(0, abs=1e-15)
    assert only.between == pytest.approx(theil([1, 3]).value)
    assert theil_parts([0, 0, 3, 1], ["a", "a", "b", "b"]).within == pytest.approx(theil([3, 1]).value)


def test_what_is_no_amount_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="not negative"):
        gini([-1, 2])
    with pytest.raises(InvalidOptionError, match="all nought"):
        theil([0, 0])
    with pytest.raises(InfiniteValueError, match="infinite or missing"):
        gini([1, np.nan])
    with pytest.raises(TooFewRowsError, match="needs two"):
        gini([1])
    with pytest.raises(InvalidWeightError, match="all zero"):
        gini([1, 2], [0, 0])
