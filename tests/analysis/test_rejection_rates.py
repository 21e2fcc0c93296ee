"""A small sample of the campaign in `rejection_rates`: tests keep their level, intervals cover, others do not."""

from collections.abc import Mapping

import numpy as np
import pytest
from rejection_rates import (
    BLOCK,
    KINDS,
    OLD_SIZES,
    SIZES,
    TERMS,
    WEIGHTED,
    Pair,
    amount_block,
    counted,
    model_rates,
    region_block,
    share_block,
)

from analysis.levels import levels_of_difference, levels_of_mean, refusal
from analysis.survey_design import difference, unit_mean

DRAWS = 1000


def share_within(shares: float, low: float, high: float, draws: int) -> bool:
    """Whether a share of draws agrees with a true share between two bounds, at one in ten thousand."""
    sd = np.sqrt(high * (1 - high) / draws)
    return bool(low - 3.9 * sd <= shares <= high + 3.9 * sd)


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("case", SIZES)
def test_means_of_units_keep_their_level_and_cover_where_they_are_told(case: str, correlation: float) -> None:
    """Unit means are drawn at once: a site's mean is all that these tests know of its households."""
    rng = np.random.default_rng(11)
    sides = [np.array(sizes, dtype=float) for sizes in SIZES[case]]
    rejected, covers = 0, np.zeros(2)
    for _ in range(DRAWS):
        means = []
        for side, n in enumerate(sides):
            y = rng.normal(size=len(n)) * np.sqrt(correlation + (1 - correlation) / n)
            means.append(unit_mean(y, n, n))
            covers[side] += means[-1].ci_low <= 0 <= means[-1].ci_high
        compared = difference(*means)
        rejected += compared.p < 0.05
    if refusal(levels_of_difference(*means), compared.df) is None:
        assert share_within(rejected / DRAWS, 0.03, 0.07, DRAWS)
    else:
        assert case.startswith(("2 and 7", "6 and 8"))
    for mean, inside in zip(means, covers / DRAWS, strict=True):
        if refusal(levels_of_mean(mean), mean.df) is None:
            assert share_within(inside, 0.93, 0.97, DRAWS)
        else:
            assert case not in OLD_SIZES


def rates_of(case: str, kind: str, truth: float) -> Mapping[str, float]:
    rng = np.random.default_rng(12)
    shares = counted(region_block(rng, Pair.of(rng, SIZES[case]), 0.2, kind, truth, beside=60))
    return {name: each.rate for name, each in shares.items()}


def test_tests_of_units_keep_their_level_and_those_of_households_do_not() -> None:
    shares = rates_of("12 and 15 unequal sites", "normal", 0.2164)
    for name in ("difference of means", "interval of a mean misses", *(f"slope {term}" for term in TERMS)):
        assert share_within(shares[f"units: {name}"], 0.03, 0.07, BLOCK), name
    for name in ("Welch", "Chow", "interval of a mean misses"):
        assert shares[f"households: {name}"] > 0.3


@pytest.mark.parametrize(("kind", "truth"), list(zip(KINDS[1:], (1.679, 0.2164, 0.1716, 0.66), strict=True)))
def test_answers_that_are_not_normal_are_not_rejected_too_often(kind: str, truth: float) -> None:
    shares = rates_of("5 and 7 sites of 80 and 60", kind, truth)
    assert share_within(shares["units: difference of means"], 0.02, 0.07, BLOCK)
    for term in TERMS if kind != WEIGHTED else ():
        assert share_within(shares[f"units: slope {term}"], 0.02, 0.07, BLOCK), term


@pytest.mark.parametrize("is_beta", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("case", ["5 and 7 unequal sites", "20 and 10 sites of 8 to 90"])
def test_intervals_and_tests_of_shares_hold_where_they_are_told(
    case: str, share: float, is_beta: bool
) -> None:
    rng = np.random.default_rng(15)
    shares = counted(share_block(rng, SIZES[case], share, 0.2, is_beta=is_beta, draws=DRAWS))
    for name, each in shares.items():
        if np.isnan(each.rate):
            assert share < 0.5, name
        else:
            assert share_within(each.rate, 0.025, 0.07, each.draws - each.refused), name


@pytest.mark.parametrize("sizes", [[60] * 7, [10, 20, 30] * 5, [8, 14, 22, 35, 90] * 4])
def test_intervals_of_amounts_that_differ_much_hold_where_they_are_told(sizes: list[int]) -> None:
    (amount,) = counted(amount_block(np.random.default_rng(16), sizes, 1.1, 0.2, draws=500)).values()
    if len(sizes) == 20:
        assert amount.refused == amount.draws, "it would miss more than 7 of 100"
    else:
        assert share_within(amount.rate, 0.03, 0.07, amount.draws)


def test_models_of_one_region_keep_their_level() -> None:
    draws = 120
    shares = model_rates(draws, [30] * 7, 0.1, seed=14)
    told = {name: rate for name, rate in shares.items() if not np.isnan(rate)}
    refused = {name for name in shares if "bootstrap" in name or "Gini" in name}
    assert set(told) == set(shares) - refused
    for name, rate in told.items():
        assert share_within(rate, 0.02, 0.07, draws), name
