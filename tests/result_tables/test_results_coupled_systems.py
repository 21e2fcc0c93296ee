"""Systems coupled from named dimensions."""

import duckdb
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from analysis.coupling import coupling
from relocation_warehouse.results.coupled_systems import coupled_systems
from relocation_warehouse.survey.catalog import Catalog, CoupledPair, PairedSystem

DEFAULT = "scheme = 'equal' and variant = 'standard' and band_scheme = 'ten_grade'"


@pytest.fixture(scope="module")
def tables(analysed: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in coupled_systems(analysed, catalog).items()}


def system(name: str, *dimensions: str, alpha: float = 0.5) -> PairedSystem:
    words = {"label_en": name, "label_zh": name}
    return PairedSystem(id=name, alpha=alpha, dimensions=dict.fromkeys(dimensions), **words)


def with_pair(catalog: Catalog, *systems: PairedSystem, least_share: float = 0.5) -> Catalog:
    words = {"label_en": "told", "label_zh": "told", "source": "a test"}
    pair = CoupledPair(id="told", least_share=least_share, systems=systems, **words)
    return catalog.model_copy(update={"coupling": catalog.coupling.model_copy(update={"pairs": (pair,)})})


def test_capital_and_stability_from_their_dimensions_are_those_of_the_marts(
    analysed: duckdb.DuckDBPyConnection, tables: dict[str, pd.DataFrame]
) -> None:
    expected = analysed.execute(
        f"select survey_id, wave, group_type, group_id, n, mean_d from analysis.coupling_summary where {DEFAULT}"
    ).df()
    rows = tables["coupled_coordination"].query("pair == 'capital_stability' and variant == 'standard'")
    both = rows.merge(expected, on=["survey_id", "wave", "group_type", "group_id"], suffixes=("", "_mart"))
    both = both[both["n"] > 0]
    assert len(both) > 4
    np.testing.assert_allclose(both["mean_d"], both["mean_d_mart"], rtol=1e-9)
    assert (both["n"] == both["n_mart"]).all()


def test_what_was_not_asked_is_a_row_with_a_reason(
    tables: dict[str, pd.DataFrame], analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    made = tables["coupled_coordination"]
    empty = made[made["n"] == 0]
    assert empty["reason"].str.contains("dimensions asked, not").all()
    assert made.loc[made["n"] > 0, "reason"].isna().all()
    waves = analysed.execute("select distinct survey_id, wave from harmonized.coverage").fetchall()
    for pair in catalog.coupling.pairs:
        rows = made[made["pair"] == pair.id]
        assert set(zip(rows["survey_id"], rows["wave"], strict=True)) == set(waves)


def test_bands_add_up_and_moves_join_the_waves(tables: dict[str, pd.DataFrame]) -> None:
    bands, summary = tables["coupled_bands"], tables["coupled_coordination"]
    keys = ["survey_id", "wave", "group_type", "group_id", "pair", "variant"]
    totals = bands.groupby([*keys, "band_scheme"])["n"].sum().reset_index()
    both = totals.merge(summary, on=keys, suffixes=("", "_summary"))
    assert len(both) == len(totals)
    assert (both["n"] == both["n_summary"]).all()
    moves = tables["coupled_transitions"]
    assert len(moves)
    shares = moves.groupby(["survey_id", "pair", "band_scheme", "wave_from"])["share"].sum()
    np.testing.assert_allclose(shares, 1)


def test_obstacles_are_shares_of_what_is_lacking(tables: dict[str, pd.DataFrame]) -> None:
    obstacles = tables["coupled_obstacles"]
    keys = ["survey_id", "wave", "group_type", "group_id", "pair"]
    answered = obstacles[obstacles["n"] > 0]
    assert len(answered)
    np.testing.assert_allclose(answered.groupby(keys)["degree"].sum(), 1)


def test_three_systems_follow_the_formula_for_any_number(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, tables: dict[str, pd.DataFrame]
) -> None:
    third = 1 / 3
    told = with_pair(
        catalog,
        system("one", "natural", "physical", alpha=third),
        system("two", "financial", "human", alpha=third),
        system("three", "stability", alpha=third),
    )
    made = {name: table.to_pandas() for name, table in coupled_systems(analysed, told).items()}
    coordination = made["coupled_coordination"].query("n == 1 and variant == 'standard'")
    whole = made["coupled_coordination"].query("n > 0 and variant == 'standard'")
    assert len(whole)
    systems = made["coupled_systems"]
    assert set(systems["system"]) == {"one", "two", "three"}
    keys = ["survey_id", "wave", "group_type", "group_id", "variant"]
    mean = systems.groupby(keys).apply(
        lambda part: float(part["alpha"] @ part["mean_u"]), include_groups=False
    )
    both = whole.set_index(keys)
    np.testing.assert_allclose(both["mean_t"], mean.loc[both.index], rtol=1e-9)
    for key, row in coordination.set_index(keys).iterrows():
        u = systems.set_index(keys).loc[key, "mean_u"].to_numpy()[None, :]
        assert row["mean_d"] == pytest.approx(float(coupling(u, [third] * 3, "standard").d[0]))


def test_a_dimension_that_nobody_asked_leaves_a_reason(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    told = with_pair(catalog, system("one", "natural"), system("two", "employment"), least_share=1)
    names = [i.id for i in catalog.indicators if i.dimension == "employment"]
    asked = analysed.execute(
        f"select count(*) from harmonized.coverage where n > 0 and indicator_id in ({', '.join('?' * len(names))})",
        names,
    ).fetchone()
    assert asked == (0,)
    made = coupled_systems(analysed, told)["coupled_coordination"].to_pandas()
    assert (made["n"] == 0).all()
    assert made.loc[made["n"] == 0, "reason"].str.contains("not employment|not natural").all()


def test_a_pair_that_cannot_be_is_refused() -> None:
    words = {"label_en": "x", "label_zh": "x", "source": "a test"}
    with pytest.raises(ValidationError, match=r"alphas of told sum to 0\.9, not 1"):
        CoupledPair(
            id="told",
            least_share=0.5,
            systems=(system("one", "natural", alpha=0.4), system("two", "human")),
            **words,
        )
    with pytest.raises(ValidationError, match="natural would be coupled with itself"):
        CoupledPair(
            id="told",
            least_share=0.5,
            systems=(system("one", "natural"), system("two", "natural", "human")),
            **words,
        )
