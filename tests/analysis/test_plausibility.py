from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.errors import AnalysisError
from analysis.plausibility import (
    common_bases,
    counts_for_percent,
    f_from_adjusted_r2,
    find_composite,
    grim,
    grimmer,
    is_closed,
    is_grim_testable,
    largest_sd,
    outlier_range,
    printed,
)

ANSWERS = st.lists(st.integers(1, 5), min_size=2, max_size=90)


@pytest.mark.parametrize(
    ("text", "low", "high", "decimals"),
    [("0.750", 0.7495, 0.7505, 3), ("95", 94.5, 95.5, 0), ("-1.5", -1.55, -1.45, 1)],
)
def test_a_printed_number_is_an_interval(text, low, high, decimals):
    number = printed(text)
    assert (number.low, number.high) == (pytest.approx(low), pytest.approx(high))
    assert number.decimals == decimals


@pytest.mark.parametrize("text", ["", "ns", "12-15", "3,985", "nan", "1e5", None])
def test_what_is_not_a_plain_number_is_not_read_as_one(text):
    assert printed(text) is None


@given(ANSWERS, st.integers(0, 3), st.sampled_from([0, 1]))
@settings(deadline=None)
def test_no_alarm_on_any_mean_and_sd_of_whole_numbers(answers, decimals, ddof):
    n = len(answers)
    mean, sd = (
        printed(f"{np.mean(answers):.{decimals}f}"),
        printed(f"{np.std(answers, ddof=ddof):.{decimals}f}"),
    )
    assert sum(answers) in grim(mean, n)
    assert grimmer(mean, sd, n)
    assert sd.low <= largest_sd(mean, 1, 5, n)


@given(ANSWERS, st.sampled_from([2, 4]))
@settings(deadline=None)
def test_no_alarm_on_scales_mapped_to_the_unit_interval(answers, steps):
    z = (np.clip(answers, 1, steps + 1) - 1) / steps
    assert grimmer(printed(f"{z.mean():.4f}"), printed(f"{z.std(ddof=1):.5f}"), len(z), steps=steps)


def test_grim_by_hand():
    assert not grim(printed("3.346"), 323)
    assert list(grim(printed("3.346"), 321)) == [1074]
    assert is_grim_testable(printed("3.346"), 323)
    assert not is_grim_testable(printed("3.35"), 323)


def test_grimmer_refuses_a_sum_of_squares_that_is_not_whole_or_not_even():
    # Mean 3 of five whole numbers: sums of squares are 45, 47, 49, ...; sd 0.5 would need 46.
    assert not grimmer(printed("3.00"), printed("0.50"), 5)
    assert grimmer(printed("3.00"), printed("0.71"), 5)


def test_help_measures_of_a_printed_table_fit_four_steps_only_at_the_printed_n():
    mean, sd = printed("0.3830"), printed("0.18813")
    assert [steps for steps in range(1, 5) if grimmer(mean, sd, 235, steps=steps)] == [4]


def test_largest_sd_of_whole_answers_is_that_of_all_ways_to_answer():
    """Every multiset of answers of one to five of a few persons, by enumeration."""
    for n in (2, 3, 5, 7):
        largest: dict[int, float] = {}
        for answers in combinations_with_replacement(range(1, 6), n):
            largest[sum(answers)] = max(largest.get(sum(answers), 0.0), float(np.std(answers, ddof=1)))
        for total, sd in largest.items():
            mean = printed(f"{total / n:.4f}")
            assert largest_sd(mean, 1, 5, n, steps=1) == pytest.approx(sd)
            assert largest_sd(mean, 1, 5, n) >= sd - 1e-3


def test_largest_sd_is_reached_by_answers_at_the_ends():
    answers = np.array([1] * 30 + [5] * 30)
    assert largest_sd(printed("3.0000"), 1, 5, 60) == pytest.approx(answers.std(ddof=1))
    with pytest.raises(AnalysisError):
        largest_sd(printed("7.0"), 1, 5, 60)


@given(st.integers(52, 58), st.lists(st.integers(3, 5), min_size=200, max_size=200))
@settings(deadline=None)
def test_the_range_of_a_single_outlier_holds_the_planted_one(outlier, answers):
    sample = np.array([*answers, outlier])
    mean, sd = printed(f"{sample.mean():.3f}"), printed(f"{sample.std(ddof=1):.3f}")
    assert outlier in outlier_range(mean, sd, 1, 5, len(sample))


@given(st.integers(1, 400), st.integers(0, 2), st.data())
@settings(deadline=None)
def test_the_count_behind_a_percentage_is_found(n, decimals, data):
    count = data.draw(st.integers(0, n))
    percent = printed(f"{100 * count / n:.{decimals}f}")
    result = counts_for_percent(percent, n)
    assert count in result
    # and nothing else is: each would print as the same percentage
    assert all(percent.low - 1e-9 <= 100 * other / n <= percent.high + 1e-9 for other in result)


@given(st.lists(st.integers(0, 60), min_size=3, max_size=6).filter(lambda counts: sum(counts) > 0))
@settings(deadline=None)
def test_the_base_of_closed_shares_is_found(counts):
    n = sum(counts)
    shares = [printed(f"{100 * count / n:.1f}") for count in counts]
    assert is_closed(shares)
    assert common_bases([shares], [n]) == [n]


def test_f_agrees_with_its_definition():
    r2, n, k = 0.51, 323, 25
    adjusted = 1 - (1 - r2) * (n - 1) / (n - k - 1)
    assert f_from_adjusted_r2(adjusted, n, k) == pytest.approx((r2 / k) / ((1 - r2) / (n - k - 1)))


def coefficients(seed, rows=24, decimals=3):
    rng = np.random.default_rng(seed)
    parts = rng.normal(scale=0.15, size=(rows, 4))
    total = parts @ [0.55, 0.52, 0.51, 0.40]
    return np.round(np.column_stack([total, parts]), decimals), np.full((rows, 5), 0.5 * 10.0**-decimals)


@given(st.integers(0, 300))
@settings(deadline=None, max_examples=60)
def test_a_true_composite_has_no_broken_row(seed):
    b, half = coefficients(seed)
    fit = find_composite(b, half)
    assert (fit.composite, fit.broken) == (0, ())
    np.testing.assert_allclose(fit.weights, [0.55, 0.52, 0.51, 0.40], atol=0.01)


@given(st.integers(0, 50), st.integers(0, 19), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_a_shifted_block_is_found_and_put_back(seed, start, shift):
    b, half = coefficients(seed)
    rows = range(start, start + 5)
    b[rows, 1:] = np.roll(b[rows, 1:], shift, axis=0)
    fit = find_composite(b, half)
    assert fit.composite == 0
    assert fit.residual_after < 0.002 < fit.residual_before
    # A row at the edge of the block can obey by chance, before or after the shift.
    assert len(set(fit.broken) ^ set(rows)) <= 1
    if fit.broken == tuple(rows):
        assert fit.shift == shift


def test_the_shift_of_a_block_is_read_exactly():
    b, half = coefficients(1)
    b[18:23, 1:] = np.roll(b[18:23, 1:], 1, axis=0)
    fit = find_composite(b, half)
    assert (fit.composite, fit.broken, fit.shift) == (0, (18, 19, 20, 21, 22), 1)


def test_two_exchanged_cells_are_found():
    b, half = coefficients(4)
    b[7, [1, 4]] = b[7, [4, 1]]
    fit = find_composite(b, half)
    assert fit.broken == (7,)
    assert fit.swaps == ((7, 1, 4),)


@given(st.integers(0, 200))
@settings(deadline=None, max_examples=30)
def test_unrelated_models_have_no_composite(seed):
    rng = np.random.default_rng(seed)
    assert find_composite(np.round(rng.normal(scale=0.2, size=(20, 4)), 3), np.full((20, 4), 0.0005)) is None
