"""Models with an effect for each household against R with a dummy for each, and the bootstrap by enumeration."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.errors import (
    AnalysisError,
    BelowRoundingError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewClustersError,
    TooFewRowsError,
)
from analysis.inference import WEBB_POINTS
from analysis.panel_models import PanelModel, fixed_effects

REFERENCE = Path(__file__).parents[1] / "reference"


def roads() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "oracle_panel.csv")


def fitted(table: pd.DataFrame, **changed: Any) -> PanelModel:
    columns: dict[str, Any] = {name: table[name] for name in ("mrate", "state", "year", "cluster")} | changed
    return fixed_effects(
        *(columns["mrate"], table[["legal", "beertaxa"]], ["legal", "beertaxa"]),
        *(columns["state"], columns["year"], columns["cluster"]),
        draws=500,
    )


def test_deviations_give_what_a_dummy_for_each_household_gives_in_r() -> None:
    wanted = pd.read_csv(REFERENCE / "oracle_models_r.csv").query("case == 'panel'")
    result = fitted(roads())
    assert result.model.terms == ("wave=1980", "legal", "beertaxa")
    assert (result.n_households, result.n_rows, result.n_clusters) == (50, 100, 9)
    for name, digits in {"b": 1e-8, "se": 1e-8, "df": 1e-6}.items():
        np.testing.assert_allclose(
            getattr(result.model, name), wanted.query("quantity == @name")["value"], rtol=digits
        )


def test_the_bootstrap_of_few_clusters_is_that_of_refitting_every_sample_with_all_dummies() -> None:
    """Three clusters: all 216 vectors of Webb's weights, least squares with a dummy for each state, errors of CR1."""
    table = roads().assign(cluster=lambda t: t["state"] % 3)
    y = table["mrate"].to_numpy()
    states = pd.get_dummies(table["state"]).to_numpy(dtype=float)
    x = np.column_stack([table["year"] == 1980, table[["legal", "beertaxa"]], states]).astype(float)
    inside = pd.get_dummies(table["cluster"]).to_numpy(dtype=bool).T

    def t_of(y: np.ndarray, j: int) -> float:
        inverse = np.linalg.pinv(x.T @ x)
        b = inverse @ (x.T @ y)
        e = y - x @ b
        direction = x @ inverse[j]
        return float(b[j] / np.sqrt(sum((direction[own] @ e[own]) ** 2 for own in inside)))

    result = fitted(table)
    assert result.wild is not None
    assert result.wild.is_exact
    assert result.wild.draws == 216
    for j in range(3):
        others = np.delete(x, j, axis=1)
        fit = others @ np.linalg.lstsq(others, y, rcond=None)[0]
        own = abs(t_of(y, j))
        drawn = [
            abs(t_of(fit + (y - fit) * (np.array(v) @ inside), j)) for v in product(WEBB_POINTS, repeat=3)
        ]
        assert result.wild.p[j] == pytest.approx(np.mean(np.array(drawn) >= own * (1 - 1e-7)), abs=1e-12)


def test_what_a_household_keeps_does_not_matter() -> None:
    table = roads()
    rng = np.random.default_rng(3)
    plain = fitted(table)
    shifted = fitted(table, mrate=table["mrate"] + 1000 * rng.normal(size=100)[table["state"]] + 5)
    np.testing.assert_allclose(shifted.model.b, plain.model.b, rtol=1e-9)
    np.testing.assert_allclose(p_of(shifted), p_of(plain))
    tenfold = fitted(table, mrate=10 * table["mrate"])
    np.testing.assert_allclose(tenfold.model.b, 10 * plain.model.b, rtol=1e-12)
    np.testing.assert_allclose(p_of(tenfold), p_of(plain))
    other = fitted(table.sample(frac=1, random_state=4))
    np.testing.assert_allclose(other.model.se, plain.model.se, rtol=1e-9)
    np.testing.assert_allclose(p_of(other), p_of(plain))


def test_households_of_one_wave_and_blanks_are_left_out() -> None:
    table = roads()
    alone = table.iloc[:1].assign(state=999, mrate=1e6)
    blank = table.iloc[[0, 1]].assign(state=998, legal=np.nan)
    more = fitted(pd.concat([table, alone, blank]))
    np.testing.assert_allclose(more.model.b, fitted(table).model.b)
    assert more.n_households == 50


def test_two_clusters_have_an_estimate_and_no_bootstrap() -> None:
    result = fitted(roads(), cluster=roads()["state"] % 2)
    assert result.wild is None
    np.testing.assert_allclose(result.model.b, fitted(roads()).model.b)


def p_of(model: PanelModel) -> np.ndarray:
    assert model.wild is not None
    return model.wild.p


def test_what_never_changes_is_left_out_with_a_reason() -> None:
    table = roads()
    x = np.column_stack([table["legal"], table["state"] % 2])
    result = fixed_effects(
        table["mrate"], x, ["legal", "south"], table["state"], table["year"], table["cluster"], draws=99
    )
    assert result.model.terms == ("wave=1980", "legal")
    (omitted,) = result.model.omitted
    assert (omitted.term, omitted.reason) == ("south", "does not change within any household")


def test_what_has_no_answer_is_refused_by_name() -> None:
    table = roads()
    cases: list[tuple[type[AnalysisError], dict[str, Any]]] = [
        (TooFewClustersError, {"cluster": np.zeros(100)}),
        (TooFewRowsError, {"state": np.arange(100)}),
        (TooFewRowsError, {"mrate": np.full(100, np.nan)}),
        (InvalidOptionError, {"year": np.full(100, 1970)}),
        (InvalidOptionError, {"cluster": table["year"]}),
        (InvalidOptionError, {"cluster": np.zeros(3)}),
        (ConstantColumnError, {"mrate": table["state"]}),
        (BelowRoundingError, {"mrate": 3 * table["legal"] + table["state"]}),
    ]
    for error, changed in cases:
        with pytest.raises(error):
            fitted(table, **changed)
