from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.coupling import (
    MISSING,
    SYNCHRONOUS,
    Band,
    Closed,
    Variant,
    classify,
    coupling,
    lag,
    leave_one_out,
    obstacle_degrees,
)
from analysis.errors import AnalysisError, InvalidWeightError
from analysis.normalisation import find_bounds, normalise

REFERENCE = Path(__file__).parents[1] / "reference" / "ccd_gzma.csv"
SYSTEMS = hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(0, 1))
POSITIVE = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(1e-3, 1)
)
TEN_GRADES = [Band(f"g{i + 1}", i / 10, (i + 1) / 10, Closed.RIGHT) for i in range(10)]


def gzma_systems():
    values = np.loadtxt(REFERENCE, delimiter=",", skiprows=1)
    return normalise(values, find_bounds(values, "pooled"), ["benefit"] * values.shape[1]).z


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("standard", [(0.8051958, 0.6237105), (0.8914577, 0.5497290)]),
        ("wang2021", [(0.4722274, 0.4776480), (0.6211236, 0.4588675)]),
        ("fan2024", [(0.4593785, 0.4711049), (0.7164548, 0.4928249)]),
    ],
)
def test_published_package_results_for_four_systems(variant, expected):
    result = coupling(gzma_systems(), variant=variant)
    assert len(result.d) == 118
    np.testing.assert_allclose(np.column_stack([result.c, result.d])[:2], expected, atol=1e-7)


@pytest.mark.parametrize("variant", list(Variant))
def test_every_row_of_the_reference_table_agrees_with_the_formula_written_out(variant):
    u = gzma_systems()
    for row, c in zip(u, coupling(u, variant=variant).c, strict=True):
        n = len(row)
        pairs = [abs(row[i] - row[j]) for i in range(n) for j in range(i)]
        expected = {
            Variant.STANDARD: np.prod(row) ** (1 / n) / np.mean(row),
            Variant.WANG2021: np.sqrt((1 - np.mean(pairs)) * np.prod(row / row.max()) ** (1 / (n - 1))),
            Variant.FAN2024: 1 - 2 * np.sqrt(np.mean((row - row.mean()) ** 2)),
            Variant.HALF: np.prod(row) ** (1 / n) / np.sum(row),
        }[variant]
        assert c == pytest.approx(expected, abs=1e-12)


def test_two_systems_use_the_familiar_formula():
    assert coupling([[0.4, 0.1]]).c[0] == pytest.approx(2 * np.sqrt(0.04) / 0.5)
    assert coupling([[0.4, 0.1]], variant="half").c[0] == pytest.approx(np.sqrt(0.04) / 0.5)


@given(POSITIVE)
@settings(deadline=None)
def test_with_equal_shares_d_is_a_root_of_the_product(u):
    n = u.shape[1]
    np.testing.assert_allclose(coupling(u).d, np.prod(u, axis=1) ** (1 / (2 * n)), rtol=1e-10)


@given(SYSTEMS, st.sampled_from(list(Variant)), st.sampled_from(["zero", "formula"]))
@example(np.array([[5e-324, 0.0]]), Variant.STANDARD, "formula")
@settings(deadline=None)
def test_degrees_stay_within_their_range(u, variant, rule):
    result = coupling(u, variant=variant, zero_rule=rule)
    top = 1 / u.shape[1] if variant is Variant.HALF else 1.0
    c = result.c[~result.is_all_zero]
    assert ((c >= -1e-12) & (c <= top + 1e-12)).all()
    assert ((result.t >= 0) & (result.t <= 1 + 1e-12)).all()
    assert ((result.d >= 0) & (result.d <= 1 + 1e-12)).all()
    assert np.isnan(result.c[result.is_all_zero]).all()
    assert (result.d[result.is_all_zero] == 0).all()


@given(POSITIVE, st.sampled_from([Variant.STANDARD, Variant.WANG2021, Variant.FAN2024]))
@settings(deadline=None)
def test_coupling_is_complete_exactly_when_all_systems_are_level(u, variant):
    level = np.repeat(u[:, :1], u.shape[1], axis=1)
    np.testing.assert_allclose(coupling(level, variant=variant).c, 1.0, atol=1e-12)
    uneven = np.ptp(u, axis=1) > 1e-3
    assert (coupling(u, variant=variant).c[uneven] < 1 - 1e-9).all()


@given(POSITIVE, st.sampled_from(list(Variant)), st.randoms())
@settings(deadline=None)
def test_the_order_of_the_systems_does_not_matter(u, variant, random):
    order = list(range(u.shape[1]))
    random.shuffle(order)
    np.testing.assert_allclose(
        coupling(u, variant=variant).d, coupling(u[:, order], variant=variant).d, atol=1e-7
    )


def test_zeros_and_blanks_are_told_apart():
    result = coupling([[0.0, 0.5], [0.0, 0.0], [np.nan, 0.5]], variant="fan2024")
    assert result.d[:2].tolist() == [0.0, 0.0]
    assert np.isnan(result.d[2])
    assert result.has_zero.tolist() == [True, True, False]
    assert result.is_all_zero.tolist() == [False, True, False]
    assert result.is_missing.tolist() == [False, False, True]
    by_formula = coupling([[0.0, 0.5]], variant="fan2024", zero_rule="formula")
    assert by_formula.d[0] == pytest.approx(np.sqrt(0.5 * 0.25))


def test_faults_have_names():
    with pytest.raises(AnalysisError, match="two systems"):
        coupling([[0.5]])
    with pytest.raises(AnalysisError, match="not within 0-1"):
        coupling([[0.5, 1.5]])
    with pytest.raises(InvalidWeightError):
        coupling([[0.5, 0.5]], [1.5, -0.5])


def test_bands_keep_the_end_that_the_scheme_closes():
    cuts = [0.0, 0.1, 0.10000001, 1.0, np.nan]
    assert classify(cuts, TEN_GRADES).tolist() == [0, 0, 1, 9, MISSING]
    halves = [Band("low", 0, 0.5, Closed.LEFT), Band("high", 0.5, 1, Closed.LEFT)]
    assert classify([0.5, 0.49, 1.0], halves).tolist() == [1, 0, 1]


def test_band_schemes_with_gaps_are_refused():
    with pytest.raises(AnalysisError, match=r"gap or overlap at 0\.4 / 0\.5"):
        classify([0.1], [Band("a", 0, 0.4, Closed.RIGHT), Band("b", 0.5, 1, Closed.RIGHT)])
    with pytest.raises(AnalysisError, match="outside"):
        classify([0.9], [Band("a", 0, 0.4, Closed.RIGHT)])


def test_lag_names_the_lower_system():
    result = lag([[0.2, 0.8], [0.8, 0.2], [0.50, 0.51], [np.nan, 0.1]], tolerance=0.02)
    assert result.system.tolist() == [0, 1, SYNCHRONOUS, MISSING]


@given(hnp.arrays(np.float64, (6, 4), elements=st.floats(0, 1)))
@settings(deadline=None)
def test_obstacle_degrees_sum_to_one_unless_nothing_is_in_the_way(z):
    degrees = obstacle_degrees(z, [1, 2, 3, 4])
    at_best = (z == 1).all(axis=1)
    np.testing.assert_allclose(degrees[~at_best].sum(axis=1), 1.0)
    assert np.isnan(degrees[at_best]).all()


def test_an_obstacle_is_the_weighted_distance_to_the_best_value():
    degrees = obstacle_degrees([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]], [2, 1, 1])
    np.testing.assert_allclose(degrees, [[0.0, 1 / 3, 2 / 3], [np.nan] * 3])


def test_leaving_a_capital_out_uses_only_the_others():
    parts = np.array([[0.2, 0.4, 0.9], [0.5, 0.5, 0.5]])
    other = np.array([[0.3], [0.5]])
    result = leave_one_out(parts, [0.5, 0.25, 0.25], other)
    assert result[0, 0] == pytest.approx((0.65 * 0.3) ** 0.25)
    assert result[0, 1] == pytest.approx(((0.2 * 2 + 0.9) / 3 * 0.3) ** 0.25)
    np.testing.assert_allclose(result[1], 0.5**0.5)
    changed = parts.copy()
    changed[:, 1] = 1.0
    assert leave_one_out(changed, [0.5, 0.25, 0.25], other)[0, 1] == result[0, 1]
    with pytest.raises(AnalysisError, match="not within 0-1"):
        leave_one_out(parts + 0.9, [0.5, 0.25, 0.25], other)
