"""The engine that makes up surveys: marginals exact, targets met, nothing lost."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from relocation_warehouse.demonstration.calibrate import (
    climb,
    match_products,
    plain_block,
    standardised,
    term,
    unit_correlations,
)
from relocation_warehouse.demonstration.draw import draw
from relocation_warehouse.demonstration.expression import ExpressionError, compile_expression, evaluate
from relocation_warehouse.demonstration.marginals import (
    ImpossibleMarginalError,
    counts_from_moments,
    counts_from_sums,
    quantile_values,
    scale_counts,
)
from relocation_warehouse.demonstration.spec import Distribution, Moments, Spec, Sums


def small_spec(**more: object) -> Spec:
    return Spec.model_validate(
        {
            "survey_id": "small",
            "seed": 7,
            "households": 120,
            "variables": [
                {"name": "site", "counts": {"a": 80, "b": 40}},
                {"name": "item", "counts": {1: 10, 2: 20, 3: 40, 4: 30, 5: 15}, "blanks": 5},
                {"name": "help", "sums": {"total": 180, "squares": 340, "minimum": 0, "maximum": 4}},
                {
                    "name": "income",
                    "distribution": {
                        "kind": "lognorm",
                        "parameters": {"s": 0.5, "scale": 20000},
                        "step": 100,
                    },
                },
                {"name": "mode", "mapped": {"source": "site", "values": {"a": "town", "b": "county"}}},
                {"name": "half", "expression": "income / 2"},
            ],
            "correlations": [
                {"left": ["item"], "right": ["help", "income"], "value": 0.35},
                {"left": ["income"], "right": ["site=b"], "value": 0.2},
            ],
            **more,
        }
    )


@given(
    answers=st.lists(st.integers(1, 5), min_size=5, max_size=200).filter(lambda a: len(set(a)) > 1),
)
@settings(max_examples=40, deadline=None)
def test_counts_return_the_printed_mean_and_sd_of_any_real_answers(answers: list[int]) -> None:
    mean, sd = round(float(np.mean(answers)), 3), round(float(np.std(answers, ddof=1)), 3)
    counts = counts_from_moments(Moments(mean=mean, sd=sd, minimum=1, maximum=5), len(answers))
    values = np.repeat(list(counts), list(counts.values()))
    assert len(values) == len(answers)
    assert abs(values.mean() - mean) <= 0.0005 + 1e-9
    assert abs(values.std(ddof=1) - sd) <= 0.0005 + 1e-6


@given(answers=st.lists(st.integers(0, 4), min_size=5, max_size=200).filter(lambda a: len(set(a)) > 1))
@settings(max_examples=40, deadline=None)
def test_counts_have_exact_sums(answers: list[int]) -> None:
    total, squares = sum(answers), sum(a * a for a in answers)
    counts = counts_from_sums(Sums(total=total, squares=squares, minimum=0, maximum=4), len(answers))
    assert sum(counts.values()) == len(answers)
    assert sum(level * c for level, c in counts.items()) == total  # type: ignore[operator]
    assert sum(level**2 * c for level, c in counts.items()) == squares  # type: ignore[operator]


def test_a_mean_that_no_answers_can_have_is_refused() -> None:
    with pytest.raises(ImpossibleMarginalError, match="GRIM"):
        counts_from_moments(Moments(mean=3.346, sd=0.966, minimum=1, maximum=5), 323)


def test_a_sum_and_squares_of_different_parity_are_refused() -> None:
    with pytest.raises(ImpossibleMarginalError, match="sum of squares 685"):
        counts_from_sums(Sums(total=360, squares=685, minimum=0, maximum=4), 235)


@given(counts=st.lists(st.integers(1, 500), min_size=1, max_size=6), n=st.integers(1, 10_000))
def test_scaled_counts_add_up_and_keep_proportions(counts: list[int], n: int) -> None:
    scaled = scale_counts(dict(enumerate(counts)), n)
    assert sum(scaled.values()) == n
    for level, count in enumerate(counts):
        assert abs(scaled[level] - count / sum(counts) * n) < 1


def test_quantile_values_stay_within_the_ends_and_on_the_step() -> None:
    values = quantile_values(
        Distribution(kind="norm", parameters={"loc": 50, "scale": 30}, minimum=0, maximum=90, step=5), 500
    )
    assert values.min() >= 0
    assert values.max() <= 90
    assert np.all(np.diff(values) >= 0)
    assert np.allclose(values % 5, 0)


def test_swapping_meets_correlations_and_keeps_every_marginal() -> None:
    rng = np.random.default_rng(3)
    before = {
        "x": rng.integers(1, 6, 200).astype(float),
        "y": rng.normal(size=200),
        "g": np.array(["a", "b"] * 100),
    }
    before["x"][:10] = np.nan
    block = plain_block(before, ["x", "y", "g=a"], {("x", "y"): (0.5, 1.0), ("y", "g=a"): (-0.3, 1.0)})
    after = match_products(before, [block], ["x", "y"], rng=rng, swaps=2000)
    for name, column in before.items():
        assert np.array_equal(np.sort(column), np.sort(after[name]), equal_nan=name != "g")
    assert np.array_equal(np.isnan(before["x"]), np.isnan(after["x"]))
    products = plain_block(after, ["x", "y", "g=a"], {}).products()
    assert products[0, 1] == pytest.approx(0.5, abs=0.005)
    assert products[1, 2] == pytest.approx(-0.3, abs=0.005)


def test_the_running_products_are_those_of_the_result() -> None:
    """A loss that is updated wrongly would let the search drift away from its target."""
    rng = np.random.default_rng(4)
    columns = {name: rng.normal(size=60) for name in ("x", "y", "z")}
    sums = {"#": {"x": 0.6, "y": 0.4}}
    block = plain_block(columns, ["x", "y", "z"], {("#", "z"): (0.4, 1.0), ("x", "y"): (0.1, 1.0)}, sums=sums)
    after = match_products(columns, [block], ["x", "y", "z"], rng=rng, swaps=3000)
    score = 0.6 * standardised(after["x"]) + 0.4 * standardised(after["y"])
    assert (score * standardised(after["z"])).mean() == pytest.approx(0.4, abs=0.005)


def test_strata_keep_the_means_of_groups() -> None:
    rng = np.random.default_rng(5)
    columns = {"x": rng.normal(size=100), "y": rng.normal(size=100)}
    strata = np.repeat([0, 1], 50)
    block = plain_block(columns, ["x", "y"], {("x", "y"): (0.6, 1.0)})
    after = match_products(columns, [block], ["x"], rng=rng, swaps=1000, strata=strata)
    for group in (0, 1):
        assert after["x"][strata == group].mean() == pytest.approx(columns["x"][strata == group].mean())
    assert np.corrcoef(after["x"], after["y"])[0, 1] == pytest.approx(0.6, abs=0.02)


def test_climbing_lowers_any_loss_and_keeps_marginals() -> None:
    rng = np.random.default_rng(6)
    columns = {"x": np.arange(50.0), "y": rng.permutation(50).astype(float)}

    def loss(now: dict[str, np.ndarray]) -> float:
        return float(abs(np.sqrt(now["x"] * now["y"]).mean() - 22.0))

    after = climb(columns, loss, ["x"], rng=rng, swaps=3000, good_enough=0.01)
    assert loss(after) <= 0.01 < loss(columns)
    assert np.array_equal(np.sort(after["x"]), columns["x"])


def test_terms_are_variables_or_dummies() -> None:
    columns = {"sex": np.array(["male", "", "female"]), "n": np.array([1.0, np.nan, 2.0])}
    assert term(columns, "sex=male").tolist() == [1.0, 0.0, 0.0]
    assert term(columns, "n=2").tolist() == [0.0, 0.0, 1.0]
    with pytest.raises(KeyError, match="no variable 'age'"):
        term(columns, "age=old")


def test_a_draw_has_its_marginals_and_meets_its_targets() -> None:
    spec = small_spec(
        targets=[{"id": "poor", "statistic": "share(income < 15000)", "value": 0.2833, "tolerance": 0.001},
                 {"id": "gap", "statistic": "mean(item, site == 'a')", "value": 3.3, "tolerance": 0.005}],
        climb={"correlation_swaps": 3000, "target_swaps": 1500},
    )  # fmt: skip
    result = draw(spec)
    table = result.households
    assert table["site"].value_counts().to_dict() == {"a": 80, "b": 40}
    assert table["item"].value_counts().to_dict() == {1: 10, 2: 20, 3: 40, 4: 30, 5: 15}
    assert table["item"].isna().sum() == 5
    assert (table["help"].sum(), (table["help"] ** 2).sum()) == (180, 340)
    assert (table["mode"] == table["site"].map({"a": "town", "b": "county"})).all()
    assert (table["half"] == table["income"] / 2).all()
    assert [r.target_id for r in result.residuals if not r.is_met] == []


def test_the_same_seed_gives_the_same_survey_and_another_one_does_not() -> None:
    spec = small_spec(climb={"correlation_swaps": 300})
    assert draw(spec).households.equals(draw(spec).households)
    assert not draw(spec).households.equals(draw(spec, seed=8).households)


def test_another_size_keeps_proportions_and_correlations() -> None:
    table = draw(small_spec(), n=60_000).households
    assert (table["site"] == "a").mean() == pytest.approx(2 / 3, abs=1e-4)
    assert table["item"].isna().mean() == pytest.approx(5 / 120, abs=1e-4)
    assert table["item"].corr(table["help"]) == pytest.approx(0.35, abs=0.06)


def test_a_roster_has_the_households_size() -> None:
    spec = small_spec(
        variables=[
            {"name": "members", "counts": {1: 20, 3: 60, 5: 40}},
        ],
        correlations=[],
        rosters=[
            {
                "file_id": "member",
                "size": "members",
                "variables": [
                    {"name": "sex", "counts": {"male": 51, "female": 49}},
                    {"name": "is_head", "expression": "where(position == 1, 1, 0)"},
                ],
            }
        ],
    )
    result = draw(spec)
    roster = result.rosters["member"]
    sizes = roster.groupby("household").size()
    assert sizes.tolist() == result.households["members"].astype(int).tolist()
    assert (roster.groupby("household")["is_head"].sum() == 1).all()
    assert (roster["sex"] == "male").mean() == pytest.approx(0.51, abs=0.005)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "no function '__import__'"),
        ("x.__class__", "not allowed"),
        ("[a for a in x]", "not allowed"),
        ("lambda: 1", "not allowed"),
        ("mean(x", "cannot be read"),
        ("mean(unknown)", "unknown"),
    ],
)
def test_a_formula_is_arithmetic_and_nothing_else(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        evaluate(compile_expression(text), {"x": np.ones(3)})


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match="are not the 120 households"):
        small_spec(variables=[{"name": "site", "counts": {"a": 80, "b": 41}}])


def test_households_of_one_unit_resemble_each_other_and_nothing_else_moves() -> None:
    """Households change places whole: every statistic that names no site stays to the last digit."""
    variables = [
        {"name": "site", "counts": {"a": 60, "b": 40, "c": 50}},
        {"name": "kind", "mapped": {"source": "site", "values": {"a": "town", "b": "village", "c": "town"}}},
        *(
            {"name": f"y{k}", "distribution": {"kind": "norm", "parameters": {}, "decimals": 3}}
            for k in range(6)
        ),
    ]
    plain = {"survey_id": "s", "seed": 1, "households": 150, "variables": variables}
    before = draw(Spec.model_validate(plain))
    after = draw(Spec.model_validate({**plain, "resemblance": {"unit": "site"}}))
    answers = [f"y{k}" for k in range(6)]
    pd.testing.assert_frame_equal(before.households[answers], after.households[answers])
    assert (after.households["kind"] == before.households["kind"]).all(), "what follows from the site is kept"
    (reached,) = after.residuals
    assert reached.is_met
    assert reached.target == 0.06
    units = np.unique(after.households["site"].to_numpy(str), return_inverse=True)[1]
    result = unit_correlations(after.households[answers].to_numpy(), units)
    assert reached.reached == pytest.approx(result.mean())
    assert ((result > 0.02) & (result < 0.11)).all()


def test_the_correlation_within_units_is_that_of_the_analysis_of_variance() -> None:
    values = np.array([[1.0, 2.0], [2.0, np.nan], [4.0, 5.0], [5.0, 7.0], [9.0, 1.0], [7.0, 3.0]])
    units = np.array([0, 0, 1, 1, 2, 2])
    result = unit_correlations(values, units)
    # two each: (B - W) / (B + W), B and W the mean squares between and within
    between, within = 2 * np.var([1.5, 4.5, 8.0], ddof=1), (0.5 + 0.5 + 2) / 3
    assert result[0] == pytest.approx((between - within) / (between + within))
    between, within = (1.6**2 + 2 * 2.4**2 + 2 * 1.6**2) / 2, (0 + 2 + 2) / 2
    size = (5 - 9 / 5) / 2
    assert result[1] == pytest.approx((between - within) / (between + (size - 1) * within))
