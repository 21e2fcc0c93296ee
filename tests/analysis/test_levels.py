"""Levels computed from designs: where theory knows them, and as rates of rejection in draws."""

from dataclasses import replace

import numpy as np
import pytest
from rejection_rates import (
    MODEL_SIZES,
    OLD_SIZES,
    TERMS,
    coefficients_by_units,
    contrasts,
    counted,
    regressors,
)
from scipy import stats

from analysis.inference import joint_test
from analysis.levels import (
    CORRELATIONS,
    ENOUGH_DF,
    HIGHEST,
    HIGHEST_OF_AMOUNTS,
    LOWEST,
    LOWEST_OF_SEVERAL,
    MOST_UNITS,
    levels_of_difference,
    levels_of_joint_test,
    levels_of_mean,
    refusal,
    refusal_of_interval,
    refusal_of_joint_test,
    refusal_of_share,
)
from analysis.levels import DRAWS as LEVEL_DRAWS
from analysis.limited_outcomes import limited_outcome
from analysis.panel_models import fixed_effects
from analysis.survey_design import DesignMean, design_mean, difference, unit_mean

DRAWS = 40_000


def of_sizes(sizes: list[int]) -> DesignMean:
    return unit_mean(np.arange(len(sizes), dtype=float), sizes, sizes)


def drawn_means(rng: np.random.Generator, sizes: list[int], correlation: float) -> np.ndarray:
    """Means of units in many draws, shape (draws, G)."""
    n = np.array(sizes, dtype=float)
    return rng.normal(size=(DRAWS, len(n))) * np.sqrt(correlation + (1 - correlation) / n)


def by_units(means: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and squared error of `unit_mean` in every draw; the first is checked."""
    share = np.array(sizes) / sum(sizes)
    centre = means @ share
    square = (means - centre[:, None]) ** 2 @ (share**2 / (1 - share))
    found = unit_mean(means[0], sizes, sizes)
    assert (centre[0], square[0]) == pytest.approx((found.mean, found.se**2))
    return centre, square


def within_chance(found: float, level: float, draws: int = DRAWS) -> bool:
    return bool(abs(found - level) < 4.5 * np.sqrt(level * (1 - level) / draws))


@pytest.mark.parametrize("sizes", [[80] * 2, [30] * 5, [60] * 12])
def test_units_of_one_size_have_the_nominal_level(sizes: list[int]) -> None:
    """The t test of unit means is exact then, whatever the correlation."""
    assert levels_of_mean(of_sizes(sizes)) == pytest.approx(0.05, abs=1e-9)
    assert levels_of_difference(of_sizes(sizes), of_sizes(sizes), alpha=0.01) == pytest.approx(0.01, abs=1e-9)


def test_the_tail_of_one_square_over_a_sum_of_squares_is_that_of_t() -> None:
    for units in (3, 9):
        mean = of_sizes([1] * units)
        assert levels_of_mean(mean, alpha=0.2) == pytest.approx(0.2, abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second"),
    [([20, 20, 20, 20, 400], [60] * 7), ([20, 40, 60, 120, 200], [15, 30, 40, 60, 80, 120, 200])],
)
def test_levels_of_means_and_differences_are_those_of_draws(first: list[int], second: list[int]) -> None:
    rng = np.random.default_rng(5)
    a, b = of_sizes(first), of_sizes(second)
    of_mean, of_difference = levels_of_mean(a), levels_of_difference(a, b)
    df = difference(a, b).df
    for place in (0, 2, 4):
        sides = [by_units(drawn_means(rng, n, CORRELATIONS[place]), n) for n in (first, second)]
        t = sides[0][0] / np.sqrt(sides[0][1])
        assert within_chance(float((np.abs(t) > stats.t.isf(0.025, a.df)).mean()), of_mean[place])
        t = (sides[0][0] - sides[1][0]) / np.sqrt(sides[0][1] + sides[1][1])
        assert within_chance(float((np.abs(t) > stats.t.isf(0.025, df)).mean()), of_difference[place])


def test_strata_are_taken_as_they_were_declared() -> None:
    rng, sizes, strata = np.random.default_rng(6), [10, 30, 90, 20, 200, 25], np.array([0, 0, 0, 1, 1, 1])
    n = np.array(sizes, dtype=float)
    means = drawn_means(rng, sizes, 0.1)
    design = design_mean(means[0], weights=n, strata=strata, units=range(6))
    share = n / n.sum()
    centre = means @ share
    totals = share * (means - centre[:, None])
    square = sum(
        1.5 * ((totals[:, own] - totals[:, own].mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        for own in (strata == 0, strata == 1)
    )
    assert (centre[0], square[0]) == pytest.approx((design.mean, design.se**2))
    rejected = float((np.abs(centre) > stats.t.isf(0.025, design.df) * np.sqrt(square)).mean())
    known = replace(design, unit_weights=n, unit_counts=n, unit_strata=strata)
    assert within_chance(rejected, levels_of_mean(known)[CORRELATIONS.index(0.1)])


def test_levels_of_coefficients_are_those_of_draws() -> None:
    """Of single ones by an integral, of several from scores that are drawn, always the same."""
    rng, draws, place = np.random.default_rng(8), 20_000, CORRELATIONS.index(0.2)
    designs = [regressors(rng, own) for own in OLD_SIZES["5 and 7 unequal sites"]]
    answers = [
        of.x @ [[0.3], [0.2], [0.2], [0.1], [0.0]]
        + np.sqrt(0.2) * rng.normal(size=(of.site.max() + 1, draws))[of.site]
        + np.sqrt(0.8) * rng.normal(size=(len(of.site), draws))
        for of in designs
    ]
    fits = [replace(of, y=y[:, 0]).fitted()[:2] for of, y in zip(designs, answers, strict=True)]
    chosen = {**contrasts(), "two": np.eye(len(TERMS) + 1)[[2, 4]]}
    parts = {
        name: [(*fits[0], -chosen[name]), (*fits[1], chosen[name])]
        for name in ("slope x3", "slope x5", "two")
    }
    found = counted(coefficients_by_units(parts, dict.fromkeys(parts, False), answers, designs))
    outside = 0
    for name, own in parts.items():
        levels = levels_of_joint_test(own, joint_test(own))
        assert (levels == levels_of_joint_test(own, joint_test(own))).all()
        assert within_chance(found[f"units: {name}"].rate, levels[place], min(draws, LEVEL_DRAWS)), name
        refused = refusal_of_joint_test(own, joint_test(own)) is not None
        lowest = LOWEST_OF_SEVERAL if name == "two" else LOWEST
        assert refused == (levels.min() < lowest or levels.max() > HIGHEST), name
        outside += refused
    assert 0 < outside < len(parts)


@pytest.mark.parametrize("sizes", [MODEL_SIZES["7 unequal sites"]])
def test_nonlinear_and_panel_models_have_levels(sizes: list[int]) -> None:
    """A fractional outcome far from its bounds is linear: its levels are those of least squares."""
    rng = np.random.default_rng(4)
    own = regressors(rng, sizes)
    x, names = own.x[:, 2:4], ["x3", "x4"]
    y = 0.5 + 1e-4 * rng.normal(size=len(own.site))
    limited = limited_outcome(y, x, names, own.site, family="fractional")
    assert limited.levels("x3") == pytest.approx(limited.levels("x3", 0), rel=1e-3)
    n = len(own.site)
    household, wave = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    change = np.concatenate([np.zeros((n, 2)), x])
    answers = np.concatenate([np.zeros(n), y])
    panel = fixed_effects(answers, change, names, household, wave, np.tile(own.site, 2), draws=9)
    assert panel.levels("x3") == pytest.approx(limited.levels("x3"), rel=1e-3)


def test_what_is_told_and_what_is_refused() -> None:
    assert refusal(np.full(5, 0.05), 2.0) is None
    for outside in (LOWEST - 1e-3, HIGHEST + 1e-3):
        assert "3 to 7 are accepted" in (refusal(np.array([0.05, outside]), 9.0) or "")
    cautious = np.array([0.05, 0.032])
    assert refusal(cautious, 9.0) is None
    assert "3.5 to 7 are accepted" in (refusal(cautious, 9.0, lowest=LOWEST_OF_SEVERAL) or "")
    assert "covers 92.9 to 95.0" in (refusal(np.array([0.05, 0.071]), 9.0, is_interval=True) or "")
    sizes = MODEL_SIZES["12 unequal sites"]
    symmetric = unit_mean(np.arange(1, 13) / 24, sizes, sizes)
    assert HIGHEST_OF_AMOUNTS < levels_of_mean(symmetric).max() < HIGHEST
    assert refusal_of_interval(symmetric) is None
    assert refusal_of_interval(replace(symmetric, interval="logit")) is None
    amount = refusal_of_interval(replace(symmetric, interval="log"))
    assert "94.5 to 97 are accepted" in (amount or "")
    two = unit_mean([3.0, 4.0], [40, 160], [40, 160], interval="log")
    assert levels_of_mean(two).max() > HIGHEST_OF_AMOUNTS
    assert refusal_of_interval(two) is None, "two units"
    many = of_sizes([3] * (MOST_UNITS + 1))
    levels = levels_of_mean(many)
    assert np.isnan(levels).all()
    assert refusal(levels, many.df) is None
    assert str(ENOUGH_DF) in (refusal(levels, ENOUGH_DF - 1) or "")


def test_a_share_is_told_where_enough_households_have_it_and_lack_it() -> None:
    n = np.full(7, 20)
    assert refusal_of_share([2, 2, 2, 2, 2, 2, 0], n) is None
    assert refusal_of_share([18, 18, 18, 18, 18, 18, 20], n) is None
    assert refusal_of_share([2, 2, 2, 2, 1, 0, 0], n) is not None, "nine have it"
    assert refusal_of_share([10, 2, 2, 2, 2, 0, 0], n) is not None, "in five units"
    assert refusal_of_share([2] * 8 + [0] * 4, np.full(12, 20)) is None
    assert refusal_of_share([2] * 7 + [0] * 5, np.full(12, 20)) is not None, "in seven of twelve units"
    assert refusal_of_share([4, 4, 4], n[:3]) is None
    assert refusal_of_share([6, 6, 0], n[:3]) is not None
    assert refusal_of_share([10, 10], n[:2]) is not None, "counts of two units often agree"


def test_levels_of_an_ordered_outcome_are_those_of_its_reverse() -> None:
    """What a cluster has in common moves all thresholds alike, from whichever end they are counted."""
    rng = np.random.default_rng(5)
    own = regressors(rng, MODEL_SIZES["7 unequal sites"])
    x, names = own.x[:, 2:4], ["x3", "x4"]
    score = x @ [0.4, -0.3] + rng.logistic(size=len(own.site))
    # the first category has few answers, the last one many
    answer = np.digitize(score, [-2.5, 0.0]).astype(float)
    levels = limited_outcome(answer, x, names, own.site, family="ordered").levels("x3")
    reverse = limited_outcome(2 - answer, x, names, own.site, family="ordered").levels("x3")
    assert levels == pytest.approx(reverse, rel=1e-4)
