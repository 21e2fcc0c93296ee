"""Formulas as SQL against the same formulas on arrays."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pytest

from analysis.coupling import Variant, classify, lag, obstacle_degrees
from analysis.coupling import coupling as couple
from analysis.errors import InvalidWeightError
from analysis.normalisation import BoundsMode, find_bounds, normalise
from analysis.weighting import MissingPolicy
from analysis.weighting import composite as composite_of
from relocation_warehouse.ground import sql
from relocation_warehouse.results import formulas
from relocation_warehouse.results.coupling import bands_of
from relocation_warehouse.survey.catalog import Catalog

N = 4_000
EDGES = (0.0, 0.1, 0.5, 1.0, np.nan)


def systems(count: int) -> np.ndarray:
    """Random systems after all combinations of the ends, exact band limits and gaps."""
    corners = np.stack(np.meshgrid(*[EDGES] * count), axis=-1).reshape(-1, count)
    return np.vstack([corners, np.random.default_rng(count).random((N, count))])


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for count in (2, 3):
            values = systems(count)
            fields = {f"u{k}": values[:, k - 1] for k in range(1, count + 1)}
            fields["row"] = np.arange(len(values))
            connection.register("incoming", fields)
            connection.execute(
                f"create table systems{count} as select row, "
                + ", ".join(f"if(isnan(u{k}), null, u{k}) as u{k}" for k in range(1, count + 1))
                + " from incoming"
            )
        yield connection


def column(con: duckdb.DuckDBPyConnection, expression: str, table: str) -> np.ndarray:
    rows = con.execute(f"select {expression} from {table} order by row").fetchall()
    return np.array([row[0] for row in rows], dtype=object)


def numbers(con: duckdb.DuckDBPyConnection, expression: str, table: str) -> np.ndarray:
    return column(con, expression, table).astype(float)


@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize("alphas", [(0.5, 0.5), (0.3, 0.7), (0.2, 0.3, 0.5)])
def test_degrees(con: duckdb.DuckDBPyConnection, variant: Variant, alphas: tuple[float, ...]) -> None:
    count = len(alphas)
    u, table = [f"u{k}" for k in range(1, count + 1)], f"systems{count}"
    expected = couple(systems(count), alphas, variant)
    for made, known in (
        (formulas.coupling_degree(u, variant), expected.c),
        (formulas.comprehensive(u, alphas), expected.t),
        (formulas.coordination_degree(u, alphas, variant), expected.d),
    ):
        np.testing.assert_allclose(numbers(con, made, table), known, rtol=0, atol=1e-14)


def test_bands_and_lag_type(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> None:
    values = systems(2)
    for scheme in catalog.band_schemes:
        place = classify(values[:, 0], bands_of(scheme))
        assert [-1 if x is None else x for x in column(con, formulas.band("u1", scheme), "systems2")] == list(
            place
        )
        names = [sql.text(b.id) for b in scheme.bands]
        made = column(con, formulas.band("u1", scheme, names), "systems2")
        assert list(made) == [None if k < 0 else scheme.bands[k].id for k in place]
    names = {0: "one", 1: "two", -2: "level", -1: None}
    expected = [names[k] for k in lag(values).system.tolist()]
    assert list(column(con, formulas.lag_type(["u1", "u2"], ["one", "two"], "level"), "systems2")) == expected


@pytest.mark.parametrize("is_cost", [False, True])
def test_scores(con: duckdb.DuckDBPyConnection, is_cost: bool) -> None:
    x = systems(2)[:, :1]
    for low, high in ((0.0, 1.0), (0.2, 0.7), (0.5, 0.5)):
        bounds = find_bounds(x, BoundsMode.THEORETICAL, theoretical=([low], [high]))
        expected = normalise(x, bounds, ["cost" if is_cost else "benefit"]).z[:, 0]
        made = formulas.score("u1", low, high, is_cost, is_inside=(low, high) == (0.0, 1.0))
        np.testing.assert_allclose(numbers(con, made, "systems2"), expected, rtol=0, atol=1e-15)


def test_composites_take_what_was_asked_and_answered(con: duckdb.DuckDBPyConnection) -> None:
    z = systems(3)
    for weights in ([1 / 3] * 3, [0.2, 0.0, 0.8], [5.0, 3.0, 2.0]):
        members = [formulas.Member(f"u{k}", "true", w) for k, w in enumerate(weights, start=1)]
        expected = composite_of(z, weights, missing=MissingPolicy.AVAILABLE, min_share=0.5).index
        made = numbers(con, formulas.composite(members, 0.5), "systems3")
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-15)
        # What was not asked counts as if it were no member.
        members[2] = formulas.Member("cast(null as double)", "false", weights[2])
        expected = composite_of(z[:, :2], weights[:2], missing=MissingPolicy.AVAILABLE, min_share=0.5).index
        made = numbers(con, formulas.composite(members, 0.5), "systems3")
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-15)


def test_shortfalls_are_in_the_ratio_of_obstacle_degrees(con: duckdb.DuckDBPyConnection) -> None:
    lacks = formulas.shortfalls(["u1", "u2", "u3"], [1, 2, 5])
    made = np.column_stack([numbers(con, lack, "systems3") for lack in lacks])
    total = made.sum(axis=1, keepdims=True)
    shares = made / np.where(total > 0, total, np.nan)
    np.testing.assert_allclose(shares, obstacle_degrees(systems(3), [1, 2, 5]), rtol=0, atol=1e-15)


def test_rounding_errors_of_a_system_are_taken_back(con: duckdb.DuckDBPyConnection) -> None:
    made = con.execute(
        f"select {formulas.level('x')} from (values (-1e-12), (0.5), (1 + 1e-12), (1.1), (null)) as t (x)"
    ).fetchall()
    assert [row[0] for row in made] == [0.0, 0.5, 1.0, 1.1, None]


def test_negative_weights_are_refused() -> None:
    with pytest.raises(InvalidWeightError, match="not negative"):
        formulas.shortfalls(["u1", "u2"], [-1, 2])
    with pytest.raises(InvalidWeightError, match="not negative"):
        formulas.comprehensive(["u1", "u2"], [-0.5, 1.5])
