"""Dummies and the three policies for missing answers."""

import numpy as np
import pandas as pd
import pytest

from analysis.errors import EmptyGroupError, InvalidOptionError, UnknownLevelError
from analysis.model_design import Category, ModelDesign, design_batches, fill_values
from analysis.regression import fit_ols
from analysis.summary import summarise

STATUS = Category("status", ("single", "married", "widowed"), "married")
ROUND = Category("round", (1, 2), 1)


def answers() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "score": [1.0, 2.0, np.nan, 4.0, 6.0, 5.0],
            "trust": [1.0, np.nan, 3.0, 5.0, 2.0, 4.0],
            "status": ["single", "married", "widowed", None, "widowed", "single"],
            "round": [1.0, 2.0, 1.0, np.nan, 2.0, 2.0],
            "weight": [1.0, 1.0, 1.0, 1.0, 1.0, 3.0],
        }
    )


def build(policy: str, **options) -> pd.DataFrame:
    design = ModelDesign("score", ("trust",), (STATUS, ROUND), policy)
    fill = fill_values(answers(), design, **options)
    batches = list(design_batches([answers()[:2], answers()[2:]], design, fill=fill, keep=["weight"]))
    return pd.concat([batch.to_pandas() for batch in batches], ignore_index=True)


def test_columns_are_named_after_their_levels() -> None:
    design = ModelDesign("score", ("trust",), (STATUS, ROUND))
    assert design.regressors == ("trust", "status=single", "status=widowed", "round=2")
    assert list(build("listwise").columns) == [*design.columns, "weight"]


def test_listwise_keeps_the_gaps() -> None:
    result = build("listwise")
    np.testing.assert_array_equal(result["status=single"], [1, 0, 0, np.nan, 0, 1])
    np.testing.assert_array_equal(result["round=2"], [0, 1, 0, np.nan, 1, 1])
    np.testing.assert_array_equal(result["trust"], answers()["trust"])
    assert summarise(result, ModelDesign("score", ("trust",), (STATUS,)).columns)[()].n == 3


def test_mean_fills_numbers_and_dummies_but_never_the_dependent() -> None:
    result = build("mean")
    assert result["trust"][1] == 3.0
    np.testing.assert_allclose(result.loc[3, ["status=single", "status=widowed", "round=2"]], [0.4, 0.4, 0.6])
    assert np.isnan(result["score"][2])


def test_reference_category_fills_categories_with_the_reference() -> None:
    result = build("reference_category")
    assert result.loc[3, ["status=single", "status=widowed", "round=2"]].tolist() == [0, 0, 0]
    assert result["trust"][1] == 3.0


def test_means_are_weighted_when_weights_are_given() -> None:
    np.testing.assert_allclose(build("mean", weights="weight")["trust"][1], (1 + 3 + 5 + 2 + 12) / 7)


def test_a_design_feeds_the_summary() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"trust": rng.normal(size=80), "status": rng.choice(STATUS.levels, 80)})
    frame["score"] = 1 + 0.5 * frame["trust"] + 2.0 * (frame["status"] == "widowed")
    design = ModelDesign("score", ("trust",), (STATUS,))
    summary = summarise(design_batches(frame, design), design.columns)[()]
    model = fit_ols(summary, design.dependent, design.regressors)
    np.testing.assert_allclose(model.b, [1, 0.5, 0, 2], atol=1e-12)


def test_answers_outside_the_levels_are_refused() -> None:
    frame = answers().replace("widowed", "divorced")
    with pytest.raises(UnknownLevelError, match=r"'status' holds \['divorced'\]"):
        list(design_batches(frame, ModelDesign("score", (), (STATUS,))))


def test_a_policy_and_its_fill_values_belong_together() -> None:
    with pytest.raises(InvalidOptionError, match="fill_values"):
        list(design_batches(answers(), ModelDesign("score", ("trust",), (), "mean")))
    with pytest.raises(InvalidOptionError, match="fill_values"):
        list(design_batches(answers(), ModelDesign("score", ("trust",)), fill={"trust": 1.0}))


def test_a_column_nobody_answered_has_no_mean() -> None:
    with pytest.raises(EmptyGroupError, match="trust"):
        fill_values(answers().assign(trust=np.nan), ModelDesign("score", ("trust",), (), "mean"))


def test_the_reference_must_be_a_level() -> None:
    with pytest.raises(InvalidOptionError, match="'divorced'"):
        Category("status", ("single", "married"), "divorced")
