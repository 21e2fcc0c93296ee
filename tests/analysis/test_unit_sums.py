"""Sums by unit against the same sums over all rows at once, whatever the batches."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from analysis.arrays import FloatArray
from analysis.unit_sums import UnitSums, sums_of_batch, together

KEYS = ("wave", "unit")


@pytest.fixture
def rows() -> pa.Table:
    """200 households of 7 units in two waves; blanks, weights of nought and units that nobody answered in."""
    draw = np.random.default_rng(20)
    n = 200
    unit = draw.choice([*"gfedcba"], n)
    y = np.where((draw.random(n) < 0.2) | (unit == "c"), np.nan, 1e6 + draw.normal(size=n))
    return pa.table(
        {
            "wave": draw.choice(["before", "after"], n),
            "unit": pa.array([None if k == 5 else u for k, u in enumerate(unit)]),
            "weight": pa.array(draw.choice([0.0, 0.5, 2.0], n)),
            "population": pa.array(np.where(draw.random(n) < 0.5, np.nan, 30.0), from_pandas=True),
            "y": pa.array(y, from_pandas=True),
            "z": pa.array(draw.normal(size=n)),
        }
    )


def _sums(rows: pa.Table, size: int) -> UnitSums:
    return together(
        [
            sums_of_batch(batch, KEYS, ["y", "z"], "weight", "population")
            for batch in rows.to_batches(max_chunksize=size)
        ]
    )


@pytest.mark.parametrize("size", [200, 64, 1])
def test_sums_are_those_of_the_rows_of_a_cell(rows: pa.Table, size: int) -> None:
    made = _sums(rows, size)
    frame = rows.to_pandas()
    frame = frame[(frame["weight"] > 0) & frame["unit"].notna()]
    cells = dict(iter(frame.groupby(list(KEYS))))
    assert made.cells == tuple(sorted(cells))
    for g, cell in enumerate(made.cells):
        for k, name in enumerate(("y", "z")):
            own = cells[cell][cells[cell][name].notna()]
            y, w = own[name].to_numpy(), own["weight"].to_numpy()
            assert made.n[k, g] == len(y)
            assert made.weight[k, g] == pytest.approx(w.sum())
            if not len(y):
                assert np.isnan([made.mean[k, g], made.plain_mean[k, g]]).all()
                assert made.squares[k, g] == 0 or np.isnan(made.squares[k, g])
                continue
            mean = (w * y).sum() / w.sum()
            expected = [mean, (w * (y - mean) ** 2).sum(), y.mean(), ((y - y.mean()) ** 2).sum()]
            values = [of[k, g] for of in (made.mean, made.weighted_squares, made.plain_mean, made.squares)]
            assert values == pytest.approx(expected, rel=1e-7, abs=1e-7)
        assert made.population[g] == pytest.approx(cells[cell]["population"].max(), nan_ok=True)


def test_a_batch_without_a_household_adds_nothing(rows: pa.Table) -> None:
    nobody = rows.slice(0, 3).set_column(2, "weight", pa.array([0.0, 0.0, 0.0]))
    empty = sums_of_batch(nobody.to_batches()[0], KEYS, ["y", "z"], "weight", "population")
    assert empty.cells == ()
    alone, beside = _sums(rows, 200), together([empty, _sums(rows, 200)])
    assert beside.cells == alone.cells

    def known(values: FloatArray) -> FloatArray:
        return np.where(alone.n > 0, values, 0.0)

    for one, other in zip(alone.moments, beside.moments, strict=True):
        np.testing.assert_allclose(known(other), known(one), rtol=1e-12)
