"""Scales side by side: which survey and item breaks an equality, and what then is not compared."""

import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, stored

from relocation_warehouse.results.measurement import measurement_tables
from relocation_warehouse.survey.catalog import Catalog, FactorModel
from relocation_warehouse.survey.literature import Literature

Tables = dict[str, pd.DataFrame]


def correlated(frame: pd.DataFrame, model: FactorModel, survey_id: str, seed: int) -> pd.DataFrame:
    """The survey `valley` with answers of one to five that follow a factor for each dimension."""
    part = frame[frame["survey_id"] == "valley"].copy()
    rng = np.random.default_rng(seed)
    n, k = len(part), len(model.factors)
    common = rng.normal(size=(n, 1)) + rng.normal(size=(n, k))
    place = {f.dimension: j for j, f in enumerate(model.factors)}
    for item in model.items:
        j = place[DIMENSION[item.indicator]]
        answer = np.clip(np.round(3 + 0.6 * common[:, j] + 0.7 * rng.normal(size=n)), 1, 5)
        part[item.indicator] = 6 - answer if item.reverse else answer
    return part.assign(survey_id=survey_id, region=survey_id.title())


DIMENSION: dict[str, str] = {}


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> FactorModel:
    result = catalog.factor_models[0]
    DIMENSION.update({i.indicator: str(catalog.indicator[i.indicator].dimension) for i in result.items})
    return result


def made(catalog: Catalog, literature: Literature, frame: pd.DataFrame) -> Tables:
    with build(catalog, literature, frame) as con:
        return stored(con, measurement_tables(con, catalog))


def test_equal_scales_hold_and_have_latent_means(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, model: FactorModel
) -> None:
    # several times as many households: with 260 a fit worsens by chance
    parts = [
        correlated(frame, model, name, k).assign(household_id=lambda x, k=k: x["household_id"] + f"_{k}")
        for k, name in enumerate(("valley", "ridge") * 4)
    ]
    both = pd.concat(parts)
    result = made(catalog, literature, both.reset_index(drop=True))
    levels = result["scale_invariance"].query("model == @model.id").set_index(["estimator", "level"])
    for estimator in ("ml", "wlsmv"):
        for level in ("metric", "scalar"):
            row = levels.loc[(estimator, level)]
            assert row["holds"], (estimator, level)
            assert row["n"] == len(both)
            assert row["surveys"] == "ridge|valley"
    assert levels["delta_cfi"].loc[("ml", "metric")] == pytest.approx(
        levels["cfi"].loc[("ml", "metric")] - levels["cfi"].loc[("ml", "configural")]
    )
    factors = result["scale_factors"].query("model == @model.id").set_index(["survey_id", "factor"])
    first = factors.loc[("ridge", model.factors[0].id)]
    second = factors.loc[("valley", model.factors[0].id)]
    assert (first["latent_mean"], first["aligned_mean"]) == (0, 0)
    assert abs(second["latent_mean"]) < 4 * second["latent_mean_se"]
    # reliability of three parallel answers of variance .72 + .49, before rounding takes a little
    assert second["omega"] == pytest.approx(3 * 0.72 / (3 * 0.72 + 0.49), abs=0.06)
    assert factors.loc[("valley", "all"), "omega"] > second["omega"]


def test_an_item_that_is_answered_differently_is_named_and_means_are_not_compared(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, model: FactorModel
) -> None:
    first, second = (correlated(frame, model, name, k) for k, name in enumerate(("valley", "ridge")))
    odd = model.items[0].indicator
    second[odd] = np.clip(second[odd] + 1, 1, 5)
    result = made(catalog, literature, pd.concat([first, second], ignore_index=True))
    row = (
        result["scale_invariance"]
        .query("model == @model.id and estimator == 'ml' and level == 'scalar'")
        .iloc[0]
    )
    assert row["holds"] == False  # noqa: E712
    assert str(row["items_to_blame"]).split("|")[0] == odd
    items = (
        result["scale_items"].query("model == @model.id and survey_id == 'valley'").set_index("indicator_id")
    )
    assert items["p_intercept"].idxmin() == odd
    assert items.loc[odd, "p_intercept"] < 0.001
    factors = result["scale_factors"].query("model == @model.id and factor != 'all'")
    assert factors["latent_mean"].isna().all()
    assert factors["reason"].str.startswith("intercepts are not equal").all()
    aligned = factors.query("survey_id == 'valley'").set_index("factor")["aligned_mean"]
    assert abs(aligned[model.factors[1].id]) < 0.3
    # without the fifth answer thresholds cannot be the same
    ordered = result["scale_invariance"].query("model == @model.id and estimator == 'wlsmv'")
    assert ordered["reason"].str.contains("has the categories").all()


def test_a_survey_alone_and_an_item_of_one_category_have_their_reason(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, model: FactorModel
) -> None:
    alone = correlated(frame, model, "valley", 0)
    result = made(catalog, literature, alone)
    assert result["scale_invariance"]["reason"].str.startswith("not pooled: two surveys are needed").all()
    assert result["scale_invariance"]["holds"].isna().all()
    assert result["scale_factors"].query("model == @model.id")["omega"].notna().all()
    alone[model.items[3].indicator] = 4.0
    result = made(catalog, literature, alone)
    reasons = result["scale_factors"].query("model == @model.id")["reason"]
    assert reasons.str.contains("one category in 1 of 11 items").all()
    assert result["scale_items"].query("model == @model.id").empty
