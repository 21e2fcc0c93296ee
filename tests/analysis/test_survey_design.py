"""Design-based means against textbook formulas and a jackknife."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import (
    BelowRoundingError,
    EmptyGroupError,
    InfiniteValueError,
    InvalidOptionError,
    InvalidWeightError,
    MissingValueError,
    TooFewClustersError,
)
from analysis.survey_design import design_mean


def sample(seed: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"stratum": np.repeat(["a", "b", "c"], [40, 60, 30])})
    frame["unit"] = rng.integers(0, 6, len(frame))
    frame["weight"] = frame["stratum"].map({"a": 3.4, "b": 12.0, "c": 20.0}) * rng.uniform(
        0.8, 1.2, len(frame)
    )
    frame["y"] = (
        frame["stratum"].map({"a": 1.0, "b": 2.0, "c": 4.0}) + frame["unit"] + rng.normal(size=len(frame))
    )
    return frame


def test_without_a_design_it_is_the_mean_with_its_t_interval() -> None:
    y = sample()["y"].to_numpy()
    result = design_mean(y)
    low, high = stats.t.interval(0.95, len(y) - 1, y.mean(), y.std(ddof=1) / np.sqrt(len(y)))
    np.testing.assert_allclose(
        [result.mean, result.ci_low, result.ci_high], [y.mean(), low, high], rtol=1e-12
    )
    np.testing.assert_allclose(result.design_effect, 1, rtol=1e-12)
    assert (result.n, result.df) == (130, 129)


def test_an_amount_has_an_interval_on_the_log_scale() -> None:
    y = sample()["y"].to_numpy()
    plain, result = design_mean(y), design_mean(y, interval="log")
    assert (result.mean, result.se) == (plain.mean, plain.se)
    half = (plain.ci_high - plain.mean) / plain.mean
    reach = np.log([result.ci_high / result.mean, result.mean / result.ci_low])
    np.testing.assert_allclose(reach, half, rtol=1e-12)
    with pytest.raises(BelowRoundingError, match="log scale"):
        design_mean(-y, interval="log")


def test_stratified_random_sampling_has_the_textbook_variance() -> None:
    frame = sample()
    population = {"a": 140, "b": 720, "c": 600}
    size = frame["stratum"].map(population)
    weights = size / frame.groupby("stratum")["y"].transform("size")
    result = design_mean(frame["y"], weights=weights, strata=frame["stratum"], stratum_sizes=size)
    total = sum(population.values())
    groups = frame.groupby("stratum")["y"]
    mean = sum(population[h] / total * y.mean() for h, y in groups)
    variance = sum(
        (population[h] / total) ** 2 * (1 - len(y) / population[h]) * y.var() / len(y) for h, y in groups
    )
    np.testing.assert_allclose([result.mean, result.se], [mean, np.sqrt(variance)], rtol=1e-12)
    assert result.df == 127


def jackknife_se(frame: pd.DataFrame, inside: pd.Series) -> float:
    """Leave one sampling unit out, reweight its stratum."""
    units = frame[["stratum", "unit"]].drop_duplicates()
    in_stratum = units["stratum"].value_counts()
    full = np.average(frame["y"][inside], weights=frame["weight"][inside])
    variance = 0.0
    for _, (stratum, unit) in units.iterrows():
        n_units = in_stratum[stratum]
        own = frame["stratum"] == stratum
        w = frame["weight"].where(~own, frame["weight"] * n_units / (n_units - 1))
        w = w.where(~(own & (frame["unit"] == unit)), 0.0)
        value = np.average(frame["y"][inside], weights=w[inside])
        variance += (n_units - 1) / n_units * (value - full) ** 2
    return float(np.sqrt(variance))


@pytest.mark.parametrize("is_domain", [False, True])
def test_clustered_strata_agree_with_the_jackknife(is_domain: bool) -> None:
    frame = sample()
    inside = frame.index % 3 > 0 if is_domain else frame.index >= 0
    result = design_mean(
        frame["y"], weights=frame["weight"], strata=frame["stratum"], units=frame["unit"], domain=inside
    )
    np.testing.assert_allclose(result.se, jackknife_se(frame, inside), rtol=0.05)
    np.testing.assert_allclose(
        result.mean, np.average(frame["y"][inside], weights=frame["weight"][inside]), rtol=1e-12
    )
    assert result.df == 18 - 3


@settings(deadline=None, max_examples=30)
@given(st.floats(1e-3, 1e6), st.integers(0, 1000))
def test_neither_scale_of_weights_nor_order_of_rows_matters(scale: float, seed: int) -> None:
    frame = sample()
    mixed = frame.sample(frac=1, random_state=seed)
    actual, again = (
        design_mean(each["y"], weights=each["weight"] * factor, strata=each["stratum"], units=each["unit"])
        for each, factor in ((frame, 1.0), (mixed, scale))
    )
    np.testing.assert_allclose([again.mean, again.se], [actual.mean, actual.se], rtol=1e-9)


def test_missing_values_leave_the_domain_but_not_the_design() -> None:
    frame = sample()
    frame.loc[::7, "y"] = np.nan
    result = design_mean(frame["y"], weights=frame["weight"], strata=frame["stratum"])
    observed = frame["y"].notna()
    expected = design_mean(
        frame["y"].fillna(0.0), weights=frame["weight"], strata=frame["stratum"], domain=observed
    )
    assert result.n_missing == (~observed).sum()
    assert (result.mean, result.se, result.n) == (expected.mean, expected.se, expected.n)


def test_a_stratum_with_one_unit_needs_a_decision() -> None:
    frame = sample()
    frame.loc[frame["stratum"] == "c", "unit"] = 1
    columns = {"weights": frame["weight"], "strata": frame["stratum"], "units": frame["unit"]}
    with pytest.raises(TooFewClustersError, match="single sampling unit"):
        design_mean(frame["y"], **columns)
    certainty = design_mean(frame["y"], **columns, lonely="certainty")
    centre = design_mean(frame["y"], **columns, lonely="centre")
    assert 0 < certainty.se < centre.se


def test_a_constant_has_no_spread_and_no_design_effect() -> None:
    result = design_mean(np.full(20, 3.0))
    assert (result.mean, result.se) == (3.0, 0.0)
    assert np.isnan(result.design_effect)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"values": [np.nan, np.nan]}, EmptyGroupError),
        ({"values": [1.0, np.inf]}, InfiniteValueError),
        ({"values": [1.0, 2.0], "weights": [1.0, -1.0]}, InvalidWeightError),
        ({"values": [1.0, 2.0], "weights": [1.0]}, InvalidOptionError),
        ({"values": [1.0, 2.0], "strata": ["a", None]}, MissingValueError),
        ({"values": [1.0, 2.0], "units": [1, 1]}, TooFewClustersError),
        ({"values": [1.0, 2.0], "stratum_sizes": [1, 1]}, InvalidOptionError),
        ({"values": [1.0], "lonely": "certainty"}, TooFewClustersError),
    ],
)
def test_input_without_an_answer_is_refused(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        design_mean(**arguments)
