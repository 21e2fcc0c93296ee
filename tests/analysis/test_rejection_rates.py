"""A small sample of the campaign in `rejection_rates`: tests keep their level, intervals cover, others do not."""

from collections import Counter

import numpy as np
import pytest
from rejection_rates import SIZES, TERMS, covered, model_rates, rates, region
from scipy import stats

from analysis.survey_design import difference, unit_mean

DRAWS = 1000


def share_within(found: float, low: float, high: float, draws: int) -> bool:
    """Whether a share of draws agrees with a true share between two bounds, at one in ten thousand."""
    sd = np.sqrt(high * (1 - high) / draws)
    return low - 3.9 * sd <= found <= high + 3.9 * sd


@pytest.mark.parametrize("correlation", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("case", [name for name in SIZES if not name.startswith("2 ")])
def test_means_of_units_keep_their_level_and_cover(case: str, correlation: float) -> None:
    """Unit means are drawn at once: a site's mean is all that these tests know of its households."""
    rng = np.random.default_rng(11)
    sides = [np.array(sizes, dtype=float) for sizes in SIZES[case]]
    rejected = covers = 0
    for _ in range(DRAWS):
        means = []
        for n in sides:
            y = rng.normal(size=len(n)) * np.sqrt(correlation + (1 - correlation) / n)
            means.append(unit_mean(y, n, n))
            covers += means[-1].ci_low <= 0 <= means[-1].ci_high
        rejected += difference(*means).p < 0.05
    assert share_within(rejected / DRAWS, 0.03, 0.07, DRAWS)
    assert share_within(covers / DRAWS / 2, 0.93, 0.97, DRAWS * 2)


def test_joint_tests_of_coefficients_keep_their_level_and_those_of_households_do_not() -> None:
    draws = 200
    found = rates(draws, SIZES["12 and 15 unequal sites"], 0.2, seed=12)
    for name in ("difference of means", *(f"slope {term}" for term in TERMS)):
        assert share_within(found[f"units: {name}"], 0.03, 0.07, draws), name
    for name in ("Welch", "Chow"):
        assert found[f"households: {name}"] > 0.3


def test_models_of_one_region_keep_their_level() -> None:
    draws = 120
    found = model_rates(draws, [30] * 7, 0.1, seed=14)
    told = {name: rate for name, rate in found.items() if not np.isnan(rate)}
    refused = {name for name in found if "bootstrap" in name or "Gini" in name}
    assert set(told) == set(found) - refused
    for name, rate in told.items():
        assert share_within(rate, 0.02, 0.07, draws), name


def test_intervals_of_households_do_not_cover() -> None:
    rng, draws = np.random.default_rng(13), 200
    inside = Counter(
        name for _ in range(draws) for name, is_inside in covered(region(rng, [80] * 5, 0.1)) if is_inside
    )
    assert inside["households: interval of a mean"] / draws < 0.7
    assert stats.binomtest(inside["units: interval of a mean"], draws, 0.95).pvalue > 1e-4
