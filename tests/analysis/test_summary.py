"""One-pass summaries: what they hold, and that neither order nor size of the batches matters."""

from itertools import pairwise

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nist import DIGITS, correct_digits, read

from analysis.errors import (
    ConstantColumnError,
    EmptyGroupError,
    InfiniteValueError,
    InvalidOptionError,
    InvalidWeightError,
    MissingColumnError,
    MissingValueError,
    NonNumericColumnError,
    SummaryMismatchError,
)
from analysis.regression import fit_ols
from analysis.summary import BLOCK_ROWS, summarise, triangular_factor

COLUMNS = ["area", "loans", "score"]


def households(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    area = rng.normal(80, 20, n)
    return pd.DataFrame(
        {
            "area": area,
            "loans": rng.poisson(2, n),
            "score": 0.1 * area + rng.normal(size=n),
            "region": rng.choice(["east", "west"], n),
            "site": rng.integers(0, 3, n),
            "weight": rng.integers(0, 4, n),
        }
    )


def cut(frame: pd.DataFrame, bounds: list[int]) -> list[pd.DataFrame]:
    edges = [0, *sorted(bound % (len(frame) + 1) for bound in bounds), len(frame)]
    return [frame[low:high] for low, high in pairwise(edges)]


def same_factor(computed: np.ndarray, expected: np.ndarray) -> None:
    """Each column to 1e-12 of its length: the accuracy that does not depend on units."""
    lengths = np.linalg.norm(expected, axis=0)
    np.testing.assert_allclose(computed / lengths, expected / lengths, rtol=0, atol=1e-12)


def test_moments_match_numpy() -> None:
    frame = households()
    summary = summarise(frame, COLUMNS)[()]
    values = frame[COLUMNS].to_numpy(float)
    np.testing.assert_allclose(summary.mean(), values.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(summary.sd(), values.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(summary.covariance(), np.cov(values.T), rtol=1e-11)
    np.testing.assert_allclose(summary.correlation(), np.corrcoef(values.T), atol=1e-13)
    assert (summary.n, summary.weight_sum, summary.n_dropped) == (300, 300.0, 0)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    bounds=st.lists(st.integers(0, 10**6), max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_order_and_size_of_batches_do_not_matter(seed: int, bounds: list[int], order) -> None:
    frame = households(n=2 * BLOCK_ROWS + 77, seed=seed)
    whole = summarise(frame, COLUMNS, weights="weight")[()]
    batches = cut(frame, bounds)
    order.shuffle(batches)
    mixed = summarise(batches, COLUMNS, weights="weight")[()]
    merged = [summarise(batch, COLUMNS, weights="weight")[()] for batch in batches]
    for each in (mixed, merged[0].merge(*merged[1:])):
        same_factor(each.r, whole.r)
        assert (each.n, each.weight_sum) == (whole.n, whole.weight_sum)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), names=st.permutations(COLUMNS), width=st.integers(1, 3))
def test_a_subset_is_the_summary_of_these_columns(seed: int, names: list[str], width: int) -> None:
    frame = households(seed=seed)
    chosen = names[:width]
    same_factor(summarise(frame, COLUMNS)[()].subset(chosen).r, summarise(frame, chosen)[()].r)


@pytest.mark.parametrize("name", DIGITS)
def test_merging_summaries_of_seven_rows_loses_at_most_one_certified_digit(name: str) -> None:
    nist = read(name)
    parts = [
        summarise(nist.data[i : i + 7], list(nist.data.columns))[()] for i in range(0, len(nist.data), 7)
    ]
    merged = parts[0].merge(*parts[1:])
    model = fit_ols(merged, "y", nist.regressors, intercept=nist.intercept)
    assert correct_digits(model.b, nist.b) >= DIGITS[name][0] - 1


def test_groups_are_the_summaries_of_their_rows_and_merge_to_the_pool() -> None:
    frame = households()
    sites = summarise(cut(frame, [50, 51, 200]), COLUMNS, by=["region", "site"])
    assert list(sites) == [(region, site) for region in ("east", "west") for site in (0, 1, 2)]
    for (region, site), each in sites.items():
        rows = frame[(frame["region"] == region) & (frame["site"] == site)]
        same_factor(each.r, summarise(rows, COLUMNS)[()].r)
        assert each.n == len(rows)
    first, *others = sites.values()
    same_factor(first.merge(*others).r, summarise(frame, COLUMNS)[()].r)


def test_groups_are_sorted_by_value_and_nan_is_null() -> None:
    table = pa.table({"area": [1.0, 2.0, 3.0, 4.0, 5.0], "site": [10.0, 2.0, np.nan, None, 10.0]})
    result = summarise(table, ["area"], by=["site"])
    assert {group: summary.n for group, summary in result.items()} == {(2.0,): 1, (10.0,): 2, (None,): 2}
    assert list(result) == [(2.0,), (10.0,), (None,)]


def test_a_null_group_is_kept_as_a_group() -> None:
    frame = households()
    frame["region"] = frame["region"].where(frame.index >= 10)
    result = summarise(frame, COLUMNS, by=["region"])
    assert list(result) == [("east",), ("west",), (None,)]
    assert result[(None,)].n == 10


@pytest.mark.parametrize("kind", ["frequency", "sampling"])
def test_weights(kind: str) -> None:
    frame = households()
    summary = summarise(frame, COLUMNS, weights="weight", weight_kind=kind)[()]
    repeated = frame.loc[frame.index.repeat(frame["weight"])][COLUMNS].to_numpy(float)
    positive = int((frame["weight"] > 0).sum())
    np.testing.assert_allclose(summary.mean(), repeated.mean(axis=0), rtol=1e-12)
    assert summary.n == (len(repeated) if kind == "frequency" else positive)
    n = summary.n
    np.testing.assert_allclose(
        summary.covariance(), np.cov(repeated.T, ddof=0) * n / (n - 1), rtol=1e-10, atol=1e-12
    )


@settings(deadline=None, max_examples=20)
@given(st.floats(1e-3, 1e3))
def test_sampling_weights_have_no_scale(scale: float) -> None:
    frame = households().assign(scaled=lambda data: data["weight"] * scale)
    actual, expected = (
        summarise(frame, COLUMNS, weights=name, weight_kind="sampling")[()] for name in ("scaled", "weight")
    )
    np.testing.assert_allclose(actual.covariance(), expected.covariance(), rtol=1e-9, atol=1e-11)
    models = [fit_ols(each, "score", COLUMNS[:2]) for each in (actual, expected)]
    np.testing.assert_allclose(models[0].se, models[1].se, rtol=1e-9)
    np.testing.assert_allclose(models[0].residual_sd, models[1].residual_sd, rtol=1e-9)


def test_rows_with_gaps_are_left_out_and_counted() -> None:
    frame = households().astype({"loans": float})
    frame.loc[[3, 4], "loans"] = np.nan
    frame.loc[[4, 250], "score"] = np.nan
    for data in (frame, pa.Table.from_pandas(frame), pa.table({k: frame[k].to_numpy() for k in COLUMNS})):
        summary = summarise(data, COLUMNS)[()]
        assert (summary.n, summary.n_dropped) == (297, 3)
        same_factor(summary.r, summarise(frame.dropna(), COLUMNS)[()].r)
    with pytest.raises(MissingValueError, match="'loans', row 3"):
        summarise(frame, COLUMNS, missing="error")


def test_a_missing_weight_leaves_its_row_out() -> None:
    frame = households().astype({"weight": float})
    frame.loc[5, "weight"] = np.nan
    summary = summarise(frame, COLUMNS, weights="weight")[()]
    assert summary.n_dropped == 1
    same_factor(summary.r, summarise(frame.drop(index=5), COLUMNS, weights="weight")[()].r)


def test_every_kind_of_number_is_read() -> None:
    frame = households(n=50)
    table = pa.table(
        {
            "area": pa.array(np.round(frame["area"], 2)).cast(pa.decimal128(10, 2), safe=False),
            "loans": pa.array(frame["loans"]).cast(pa.int8()),
            "poor": pa.array([True, False] * 25),
            "score": pa.array(frame["score"]).cast(pa.float32()),
        }
    )
    summary = summarise(table, table.column_names)[()]
    expected = table.to_pandas().astype(float).to_numpy()
    np.testing.assert_allclose(summary.mean(), expected.mean(axis=0), rtol=1e-12)


def test_duckdb_results_and_parquet_files_are_read_batch_by_batch(tmp_path) -> None:
    frame = households(n=BLOCK_ROWS * 3)
    path = tmp_path / "households.parquet"
    pq.write_table(pa.Table.from_pandas(frame), path, row_group_size=1000)
    expected = summarise(frame, COLUMNS, by=["region"])
    with duckdb.connect() as connection:
        query = f"select area, loans::hugeint as loans, score, region from '{path}'"
        from_duckdb = summarise(connection.sql(query).to_arrow_reader(500), COLUMNS, by=["region"])
    from_parquet = summarise(pq.ParquetFile(path).iter_batches(700), COLUMNS, by=["region"])
    for each in (from_duckdb, from_parquet):
        for group, summary in expected.items():
            same_factor(each[group].r, summary.r)


def test_a_source_is_read_lazily_and_left_alone_after_a_refusal() -> None:
    served = []

    def source():
        for number in range(1000):
            served.append(number)
            yield households(n=BLOCK_ROWS, seed=number).assign(area=np.inf if number == 3 else 1.0 * number)

    with pytest.raises(InfiniteValueError, match="area"):
        summarise(source(), COLUMNS)
    assert len(served) <= 5 + 2 * pa.cpu_count()


def test_errors_of_the_source_reach_the_caller() -> None:
    def source():
        yield households()
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        summarise(source(), COLUMNS)


def test_mixed_sources_and_all_null_batches_are_read() -> None:
    frame = households(n=40)
    nothing = pa.table({name: pa.nulls(3) for name in COLUMNS})
    summary = summarise([frame[:20], pa.Table.from_pandas(frame[20:]), nothing], COLUMNS)[()]
    assert (summary.n, summary.n_dropped) == (40, 3)
    same_factor(summary.r, summarise(frame, COLUMNS)[()].r)


def test_a_constant_column_has_no_spread_and_no_correlation() -> None:
    frame = households().assign(year=2019.1)
    summary = summarise(frame, [*COLUMNS, "year"])[()]
    assert summary.is_constant().tolist() == [False, False, False, True]
    assert summary.sd()[3] == 0
    with pytest.raises(ConstantColumnError, match="year"):
        summary.correlation()


def test_a_constant_can_be_added_to_a_summary() -> None:
    frame = households()
    result = summarise(frame, COLUMNS)[()].with_constant("is_east", 1.0)
    same_factor(result.r, summarise(frame.assign(is_east=1.0), [*COLUMNS, "is_east"])[()].r)
    with pytest.raises(SummaryMismatchError, match="area"):
        result.with_constant("area", 1.0)


def test_pseudo_rows_give_any_least_squares_routine_the_coefficients() -> None:
    frame = households()
    rows = summarise(frame, COLUMNS)[()].pseudo_rows()
    b, *_ = np.linalg.lstsq(rows[:, :-1], rows[:, -1])
    X = np.column_stack([np.ones(len(frame)), frame[COLUMNS[:-1]]])
    np.testing.assert_allclose(b, np.linalg.lstsq(X, frame["score"].to_numpy())[0], rtol=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 1000))
def test_triangular_factor_keeps_the_cross_products(rows: int, width: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(rows, width))
    r = triangular_factor(matrix)
    np.testing.assert_allclose(r.T @ r, matrix.T @ matrix, atol=1e-10)
    assert (np.diag(r) >= 0).all()
    assert (np.tril(r, -1) == 0).all()


def test_no_rows_have_no_moments() -> None:
    summary = summarise(households().iloc[:0], COLUMNS)[()]
    assert summary.n == 0
    with pytest.raises(EmptyGroupError, match="0 complete rows"):
        summary.mean()
    with pytest.raises(EmptyGroupError, match="1 complete rows"):
        summarise(households()[:1], COLUMNS)[()].sd()
    assert summarise(households().iloc[:0], COLUMNS, by=["region"]) == {}


@pytest.mark.parametrize("place", [0, 150, 299])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_refused(place: int, value: float) -> None:
    frame = households()
    frame.loc[place, "score"] = value
    with pytest.raises(InfiniteValueError, match=f"'score', row {place}"):
        summarise(frame, COLUMNS)


def test_two_opposite_infinities_are_not_taken_for_a_gap() -> None:
    frame = households()
    frame.loc[[1, 2], "score"] = [np.inf, -np.inf]
    with pytest.raises(InfiniteValueError):
        summarise(frame, COLUMNS)


@pytest.mark.parametrize(
    ("weight", "kind"), [(-1.0, "sampling"), (np.inf, "sampling"), (-1.0, "frequency"), (0.5, "frequency")]
)
def test_impossible_weights_are_refused(weight: float, kind: str) -> None:
    frame = households().astype({"weight": float})
    frame.loc[7, "weight"] = weight
    with pytest.raises(InvalidWeightError, match="'weight', row 7"):
        summarise(frame, COLUMNS, weights="weight", weight_kind=kind)


def test_wrong_columns_are_refused() -> None:
    frame = households()
    with pytest.raises(MissingColumnError, match="'height'"):
        summarise(frame, ["height"])
    with pytest.raises(MissingColumnError, match="'height'"):
        summarise(frame, COLUMNS, by=["height"])
    with pytest.raises(NonNumericColumnError, match="'region'"):
        summarise(frame, ["region"])
    with pytest.raises(InvalidOptionError, match="distinct"):
        summarise(frame, ["area", "area"])
    with pytest.raises(InvalidOptionError, match="frequency or sampling"):
        summarise(frame, COLUMNS, weights="weight", weight_kind="none")
    with pytest.raises(MissingColumnError, match="height"):
        summarise(frame, COLUMNS)[()].subset(["height"])
    with pytest.raises(SummaryMismatchError, match="same options"):
        summarise(frame, COLUMNS)[()].merge(summarise(frame, COLUMNS[:2])[()])
