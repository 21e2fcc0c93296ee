"""Made-up and real surveys side by side say of themselves what each say alone: no figure is made of both."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, stored

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.results.comparison import comparison
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.households import POOLED, POOLED_REAL
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.results.sensitivity import sensitivity
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

Tables = dict[str, pd.DataFrame]

pytestmark = pytest.mark.slow


def made_real(frame: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """The same surveys with other answers, in the same regions, as if they were real."""
    rng = np.random.default_rng(7)
    real = frame.assign(is_synthetic=False, survey_id="real_" + frame["survey_id"])
    real["household_id"] = "real_" + real["household_id"]
    real["site_id"] = "real_" + real["site_id"]
    for i in catalog.indicators:
        if i.type == "number" and i.maximum is None:
            real[i.id] = pd.to_numeric(real[i.id]) * rng.uniform(2, 5)
        elif i.is_numeric:
            # another order of the answers, so that correlations differ too
            real[i.id] = real.groupby(["survey_id", "wave"])[i.id].transform(
                lambda x: x.sample(frac=1.0, random_state=3).to_numpy()
            )
            real[f"{i.id}__missing"] = real[f"{i.id}__missing"].where(real[i.id].isna(), None)
            lacks = real[i.id].isna() & real[f"{i.id}__missing"].isna()
            real.loc[lacks, f"{i.id}__missing"] = "blank"
    return real


def results(catalog: Catalog, literature: Literature, frame: pd.DataFrame) -> Tables:
    with build(catalog, literature, frame) as con:
        made: Tables = {}
        for compute in (coupling, factors, regressions, sensitivity):
            made |= stored(con, compute(con, catalog))
        made |= stored(con, comparison(con, catalog, literature))
        return made


@pytest.fixture(scope="module")
def sides(catalog: Catalog, literature: Literature, frame: pd.DataFrame) -> Mapping[str, Tables]:
    real = made_real(frame, catalog)
    frames = {"made up": frame, "real": real, "both": pd.concat([frame, real], ignore_index=True)}
    return {name: results(catalog, literature, part) for name, part in frames.items()}


# what the catalog states and papers print is said of nobody, and stands once
def of_origin(table: pd.DataFrame, is_synthetic: bool) -> pd.DataFrame:
    if "evidence" in table:
        table = table[table["evidence"] == "household"]
    if "kind" in table:
        table = table[~table["kind"].isin(["equal", "given"])]
    return table[table["is_synthetic"] == is_synthetic]


@pytest.mark.parametrize(("origin", "is_synthetic"), [("made up", True), ("real", False)])
def test_the_presence_of_the_others_changes_nothing(
    sides: Mapping[str, Tables], origin: str, is_synthetic: bool
) -> None:
    compared = 0
    for name in sides[origin]:
        key = list(contract_of()[f"analysis.{name}"].key)
        alone, beside = (of_origin(sides[side][name], is_synthetic) for side in (origin, "both"))
        left, right = (t.sort_values(key).reset_index(drop=True) for t in (alone, beside))
        pd.testing.assert_frame_equal(left, right, rtol=1e-9, atol=1e-12, obj=name)
        compared += len(left)
    assert compared > 10_000


def test_every_row_says_what_it_was_made_of(sides: Mapping[str, Tables]) -> None:
    for name, table in sides["both"].items():
        result = table
        if "survey_id" in table:
            is_real = table["survey_id"].str.startswith("real_") | (table["survey_id"] == POOLED_REAL)
            assert (result["is_synthetic"] == ~is_real).all(), name
        for column in table.columns:
            texts = table[column].dropna().astype(str) if table[column].dtype == object else None
            if texts is not None and column in ("sample_a", "sample_b"):
                assert (texts.str.contains("real") == ~table.loc[texts.index, "is_synthetic"]).all(), name


def test_both_are_pooled_apart(sides: Mapping[str, Tables]) -> None:
    for name in ("regression_models", "factor_diagnostics"):
        pooled = sides["both"][name].query("survey_id in ('pooled', 'pooled_real')")
        assert dict(zip(pooled["survey_id"], pooled["is_synthetic"], strict=True)) == {
            POOLED: True,
            POOLED_REAL: False,
        }


def test_bounds_and_weights_differ_by_origin(sides: Mapping[str, Tables]) -> None:
    """The two sides are not the same by accident: without separate bounds and weights the tests above would fail."""
    weights = sides["both"]["indicator_weights"]
    estimated = weights[~weights["kind"].isin(["equal", "given"])]
    wide = estimated.pivot(
        index=["scheme", "dimension", "indicator_id"], columns="is_synthetic", values="weight"
    )
    assert (wide[True] - wide[False]).abs().max() > 1e-3
    stated = weights[weights["kind"].isin(["equal", "given"])]
    assert not stated["is_synthetic"].any()
    assert not stated.duplicated(["scheme", "dimension", "indicator_id"]).any()
