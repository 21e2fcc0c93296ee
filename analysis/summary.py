"""One-pass summaries: a group of rows becomes the triangular QR factor of ``[1 X]``.

The factor is lossless for every linear method: means, covariances, correlations and all least-squares
models of any subset of its columns follow from it, and factors of disjoint rows merge without a second read.
Memory does not depend on the number of rows.

Belongs here: reading batches into summaries, combining and narrowing them, and the moments they hold.
Does not belong here: models (``regression``), anything that needs single rows (``inference``), and I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args, runtime_checkable

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.arrays import BoolArray, FloatArray, IntArray, one_of
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
from analysis.lapack import absorb
from analysis.threads import one_blas_thread

Group = tuple[Any, ...]
Batch: TypeAlias = pa.RecordBatch | pa.Table | pd.DataFrame
Part = TypeVar("Part")
WeightKind = Literal["none", "frequency", "sampling"]
MissingRows = Literal["listwise", "error"]

# A block of this many rows by 30 columns stays in the second-level cache while it is reduced.
BLOCK_ROWS = 2048
# Rows taken at a time from a whole table.
BATCH_ROWS = 65_536
# Share of a column's length left after projection on the others, below which there is only rounding error:
# NIST's worst polynomial (Filip) leaves 5e-8, exactly dependent columns of two million rows less than 1e-14.
DEPENDENCE_TOLERANCE = 1e-12


@runtime_checkable
class Distributed(Protocol):
    """Batches that lie in parts on several machines and are summarised there."""

    def parts(self, compute: Callable[[Iterator[pa.RecordBatch]], Part]) -> Iterator[Part]:
        """What a function gives for the batches of each part, in the order of the parts."""
        ...


@dataclass(frozen=True)
class Summary:
    """The triangular factor of one group of rows.

    Parameters
    ----------
    columns : tuple of str
        Names of the p summarised columns.
    n : int
        Complete observations: the sum of frequency weights, else the number of rows with a weight above 0.
    weight_sum : float
        Sum of the weights of these rows (n without weights).
    r : ndarray, shape (p + 1, p + 1)
        Upper-triangular R with non-negative diagonal and ``R'R = [1 X]' W [1 X]``.
    weight_kind : {"none", "frequency", "sampling"}
        How the weights were understood.
    n_dropped : int
        Rows left out because a value or weight was missing.
    """

    columns: tuple[str, ...]
    n: int
    weight_sum: float
    r: FloatArray = field(repr=False)
    weight_kind: WeightKind = "none"
    n_dropped: int = 0

    def merge(self, *others: Summary) -> Summary:
        """Summary of the rows of all; the order does not matter beyond rounding.

        Raises
        ------
        SummaryMismatchError
            If columns or kind of weights differ.
        """
        for other in others:
            if self.columns != other.columns or self.weight_kind != other.weight_kind:
                raise SummaryMismatchError(
                    f"Cannot merge summaries of {list(self.columns)} (weights: {self.weight_kind}) and of "
                    f"{list(other.columns)} (weights: {other.weight_kind}): use the same options for both."
                )
        parts = (self, *others)
        return replace(
            self,
            n=sum(part.n for part in parts),
            weight_sum=sum(part.weight_sum for part in parts),
            r=triangular_factor(np.vstack([part.r for part in parts])),
            n_dropped=sum(part.n_dropped for part in parts),
        )

    def subset(self, columns: Sequence[str]) -> Summary:
        """Summary of some columns, in the given order, over the same rows.

        Raises
        ------
        MissingColumnError
            If a column was not summarised.
        """
        names = tuple(columns)
        unknown = [name for name in names if name not in self.columns]
        if unknown:
            raise MissingColumnError(f"Not in this summary: {unknown}. It holds {list(self.columns)}.")
        taken = [0, *(self.columns.index(name) + 1 for name in names)]
        return replace(self, columns=names, r=triangular_factor(self.r[:, taken]))

    def with_constant(self, name: str, value: float) -> Summary:
        """Summary with one more column that has the same value in every row, such as a group indicator."""
        if name in self.columns:
            raise SummaryMismatchError(f"Column {name!r} is already in this summary.")
        r = np.column_stack([self.r, value * self.r[:, 0]])
        return replace(self, columns=(*self.columns, name), r=triangular_factor(r))

    def mean(self) -> FloatArray:
        """(Weighted) means, shape (p,).

        Raises
        ------
        EmptyGroupError
            If no row is complete.
        """
        self._require_rows(1)
        means: FloatArray = self.r[0, 1:] / self.r[0, 0]
        return means

    def covariance(self) -> FloatArray:
        """Covariances with divisor n - 1, shape (p, p); exactly 0 for a constant column.

        With weights w: ``n / (n - 1) * sum(w (x - m)(x - m)') / sum(w)``, which is the covariance of the
        repeated rows for frequencies and does not depend on the scale of sampling weights.

        Raises
        ------
        EmptyGroupError
            If fewer than two rows are complete.
        """
        self._require_rows(2)
        centred = self.r[1:, 1:].copy()
        centred[:, self.is_constant()] = 0.0
        products: FloatArray = centred.T @ centred
        return products * (self.n / ((self.n - 1) * self.weight_sum))

    def sd(self) -> FloatArray:
        """Standard deviations with divisor n - 1, shape (p,)."""
        deviations: FloatArray = np.sqrt(np.diag(self.covariance()))
        return deviations

    def correlation(self) -> FloatArray:
        """Pearson correlations, shape (p, p), with an exact unit diagonal.

        Raises
        ------
        ConstantColumnError
            If a column has one value only.
        """
        covariance = self.covariance()
        constant = [name for name, flat in zip(self.columns, self.is_constant(), strict=True) if flat]
        if constant:
            raise ConstantColumnError(
                f"No correlation for {constant}: every one of the {self.n} rows has the same value. "
                "Leave these columns out."
            )
        scale = 1.0 / np.sqrt(np.diag(covariance))
        correlation: FloatArray = np.clip(covariance * np.outer(scale, scale), -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        return correlation

    def is_constant(self) -> BoolArray:
        """Whether each column has one value only (up to rounding), shape (p,)."""
        spread = np.linalg.norm(self.r[1:, 1:], axis=0)
        flat: BoolArray = spread <= DEPENDENCE_TOLERANCE * np.linalg.norm(self.r[:, 1:], axis=0)
        return flat

    def pseudo_rows(self) -> FloatArray:
        """Rows of ``[1 X]`` that give any least-squares routine the coefficients of the full data.

        Shape (p + 1, p + 1). Set the residual degrees of freedom to n - k, not to the number of these rows.
        """
        return self.r.copy()

    def _require_rows(self, n_min: int) -> None:
        if self.n < n_min:
            raise EmptyGroupError(
                f"{self.n} complete rows for {list(self.columns)} ({self.n_dropped} dropped as missing); "
                f"at least {n_min} needed. Check the missing values or leave the group out."
            )


def triangular_factor(matrix: FloatArray) -> FloatArray:
    """Square upper-triangular R with non-negative diagonal and ``R'R = A'A``, for A of shape (m, p)."""
    width = matrix.shape[1]
    return _signed(absorb(np.zeros((width, width)), np.array(matrix, order="F")))


def summarise(
    batches: Batch | Iterable[Batch] | Distributed,
    columns: Sequence[str],
    *,
    by: Sequence[str] = (),
    weights: str | None = None,
    weight_kind: WeightKind = "frequency",
    missing: MissingRows = "listwise",
) -> dict[Group, Summary]:
    """Summarise columns per group in one pass over Arrow batches or DataFrames.

    Every batch is reduced by Householder QR in blocks that fit the cache, and the factors are merged in the
    order of the batches. Formula: TSQR, Demmel, Grigori, Hoemmen and Langou (2012), doi 10.1137/080731992.

    Parameters
    ----------
    batches : table, DataFrame, or iterable of them
        Read once, in order, by a thread that stays one batch ahead of those that reduce them. Distributed
        batches are summarised where they lie, and the summaries of the parts are merged here.
    columns : sequence of str
        Numeric or boolean columns. A null or NaN is a missing value.
    by : sequence of str
        Columns whose combinations make the groups; null is a group of its own.
    weights : str, optional
        Column of non-negative weights.
    weight_kind : {"frequency", "sampling"}
        Whole numbers of identical rows, or inverse inclusion probabilities of any scale.
    missing : {"listwise", "error"}
        Leave out rows with a missing value or weight (their number is kept), or refuse them.

    Returns
    -------
    dict
        Group key (a tuple, ``()`` without ``by``) to Summary, sorted by key.

    Raises
    ------
    MissingColumnError, NonNumericColumnError, MissingValueError, InfiniteValueError, InvalidWeightError
        With the column and the row of the batch.
    """
    names = tuple(columns)
    if len(set(names)) != len(names) or not names:
        raise InvalidOptionError(f"Columns to summarise must be distinct and at least one: {list(names)}.")
    one_of(weight_kind, get_args(WeightKind), "weight_kind")
    one_of(missing, get_args(MissingRows), "missing")
    if weights is not None and weight_kind == "none":
        raise InvalidOptionError(f"Say whether {weights!r} holds frequency or sampling weights.")
    kind: WeightKind = weight_kind if weights is not None else "none"
    empty = Summary(names, 0, 0.0, np.zeros((len(names) + 1, len(names) + 1)), kind)
    needed = list(dict.fromkeys([*names, *by, *([weights] if weights else [])]))
    total: dict[Group, Summary] = {} if by else {(): empty}
    if isinstance(batches, Distributed):
        summarise_part = partial(
            summarise, columns=names, by=by, weights=weights, weight_kind=weight_kind, missing=missing
        )
        for part in batches.parts(summarise_part):
            for group, summary in part.items():
                total[group] = total[group].merge(summary) if group in total else summary
        return {group: total[group] for group in sorted(total, key=_sort_key)}
    reduce = partial(_summarise_batch, empty=empty, by=by, weights=weights, missing=missing)
    with one_blas_thread(), closing(_read_ahead(record_batches(batches))) as read:
        for parts in _side_by_side(reduce, _joined(read, needed)):
            for group, summary in parts:
                total[group] = total[group].merge(summary) if group in total else summary
    return {group: total[group] for group in sorted(total, key=_sort_key)}


def in_parts(
    batches: Iterable[pa.RecordBatch] | Distributed, compute: Callable[[Iterator[pa.RecordBatch]], Part]
) -> Iterator[Part]:
    """What a function gives for batches; for each part of them, where they are distributed."""
    if isinstance(batches, Distributed):
        yield from batches.parts(compute)
    else:
        yield compute(iter(batches))


def record_batches(batches: Batch | Iterable[Batch]) -> Iterator[pa.RecordBatch]:
    """Arrow record batches of a table, a DataFrame, or any iterable of these."""
    if isinstance(batches, pa.RecordBatch):
        yield batches
    elif isinstance(batches, pa.Table):
        yield from batches.to_batches(max_chunksize=BATCH_ROWS)
    elif isinstance(batches, pd.DataFrame):
        yield from record_batches(pa.Table.from_pandas(batches, preserve_index=False))
    else:
        yield from chain.from_iterable(record_batches(batch) for batch in batches)


def floats(batch: pa.RecordBatch, name: str) -> FloatArray:
    """Values of one numeric column in double precision, shape (rows,), with NaN for null.

    Integers and narrow numbers are widened here, before any arithmetic: a root or a sum of them would otherwise
    keep their few digits, or overflow.

    Raises
    ------
    MissingColumnError, NonNumericColumnError
    """
    values = column(batch, name)
    kind = values.type
    if (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and not values.null_count:
        return np.asarray(values.to_numpy(), dtype=np.float64)
    if not (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise NonNumericColumnError(
            f"Column {name!r} holds {kind}; numbers are needed. "
            "Code it in the crosswalk or declare it as a category."
        )
    with_gaps: FloatArray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return with_gaps


def column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return one column of a batch by name.

    Raises
    ------
    MissingColumnError
        If the batch has no such column, or more than one.
    """
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise MissingColumnError(f"Column {name!r} is not in the data (once). Found: {batch.schema.names}.")
    return batch.column(index)


def row_weights(batch: pa.RecordBatch, name: str | None, kind: WeightKind) -> FloatArray | None:
    """Weights of the rows, shape (rows,), with NaN where missing; None without weights.

    Raises
    ------
    InvalidWeightError
        If a weight is negative or infinite, or a frequency is not a whole number.
    """
    if name is None:
        return None
    values = floats(batch, name)
    bad = (values < 0) | np.isinf(values)
    rule = "weights are finite and not negative"
    if kind == "frequency" and not bad.any():
        bad = (values != np.floor(values)) & ~np.isnan(values)
        rule = "frequency weights are whole numbers"
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InvalidWeightError(f"Column {name!r}, row {row} of a batch: weight {values[row]}, but {rule}.")
    return values


def partition(batch: pa.RecordBatch, by: Sequence[str]) -> Iterator[tuple[Group, IntArray | slice]]:
    """Groups of a batch and their rows; without ``by`` all rows are the group ``()``."""
    if not batch.num_rows:
        return
    if not by:
        yield (), slice(None)
        return
    encoded = [column(batch, name).dictionary_encode(null_encoding="encode") for name in by]
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    for keys in encoded:
        codes = codes * len(keys.dictionary) + keys.indices.to_numpy()
    different, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(different) + 1))
    for number, row in enumerate(first):
        values = (keys[int(row)].as_py() for keys in encoded)
        group = tuple(None if pd.isna(value) else value for value in values)
        rows = order[bounds[number] : bounds[number + 1]]
        yield group, slice(None) if len(different) == 1 else rows


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """Read the next batch while this one is reduced: decoding does not need the interpreter."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = reader.submit(next, batches, None)
            yield batch


def _side_by_side(
    compute: Callable[[pa.RecordBatch], Part], batches: Iterable[pa.RecordBatch]
) -> Generator[Part, None, None]:
    """What a function gives for each batch, in the order of the batches, one at a time on every core."""
    waiting: deque[Future[Part]] = deque()
    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        for batch in batches:
            waiting.append(pool.submit(compute, batch))
            if len(waiting) > pa.cpu_count():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _joined(batches: Iterable[pa.RecordBatch], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of at least one block: a factor of fewer rows than columns costs time and digits."""
    waiting: list[pa.Table] = []
    for batch in batches:
        arrays = [column(batch, name) for name in columns]
        waiting.append(pa.Table.from_arrays(arrays, names=columns))
        if sum(map(len, waiting)) >= BLOCK_ROWS:
            yield from _one_batch(waiting)
            waiting = []
    if waiting:
        yield from _one_batch(waiting)


def _one_batch(tables: list[pa.Table]) -> list[pa.RecordBatch]:
    joined = pa.concat_tables(tables, promote_options="permissive")
    batches: list[pa.RecordBatch] = joined.combine_chunks().to_batches()
    return batches


def _sort_key(group: Group) -> tuple[tuple[bool, str, Any], ...]:
    """Numbers by size, text by letters, null last."""
    return tuple((value is None, type(value).__name__, 0 if value is None else value) for value in group)


def _summarise_batch(
    batch: pa.RecordBatch, empty: Summary, by: Sequence[str], weights: str | None, missing: MissingRows
) -> list[tuple[Group, Summary]]:
    values = [floats(batch, name) for name in empty.columns]
    weight = row_weights(batch, weights, empty.weight_kind)
    parts = []
    for group, rows in partition(batch, by):
        taken = [v[rows] for v in values]
        part = _summarise_rows(taken, None if weight is None else weight[rows], empty, missing)
        parts.append((group, part))
    return parts


def _summarise_rows(
    values: list[FloatArray], weight: FloatArray | None, empty: Summary, missing: MissingRows
) -> Summary:
    r, n, weight_sum, dropped = empty.r, 0.0, 0.0, 0
    n_rows = len(values[0])
    buffer = np.empty((BLOCK_ROWS, len(values) + 1), order="F")
    for start in range(0, n_rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, n_rows)
        block = buffer[: stop - start]
        block[:, 0] = 1.0
        for position, v in enumerate(values, start=1):
            block[:, position] = v[start:stop]
        w = None if weight is None else weight[start:stop]
        # One cheap sum tells whether any value needs a closer look.
        with np.errstate(invalid="ignore", over="ignore"):
            total = block.sum() + (0.0 if w is None else w.sum())
        if not np.isfinite(total):
            complete = _complete_rows(block, w, empty.columns, missing, start)
            dropped += int((~complete).sum())
            block = np.asfortranarray(block[complete])
            w = None if w is None else w[complete]
        if w is None:
            n += len(block)
            weight_sum += len(block)
        else:
            n += w.sum() if empty.weight_kind == "frequency" else np.count_nonzero(w)
            weight_sum += w.sum()
            block *= np.sqrt(w)[:, None]
        r = absorb(r, block)
    if not np.isfinite(weight_sum):
        raise InvalidWeightError(
            "The sum of the weights is no number any more: divide all weights by one number."
        )
    return replace(empty, n=int(n), weight_sum=float(weight_sum), r=_signed(r), n_dropped=dropped)


def _complete_rows(
    block: FloatArray,
    weight: FloatArray | None,
    columns: tuple[str, ...],
    missing: MissingRows,
    first_row: int,
) -> BoolArray:
    rows, positions = np.nonzero(np.isinf(block))
    if rows.size:
        raise InfiniteValueError(
            f"Column {columns[positions[0] - 1]!r}, row {first_row + rows[0]} of a group in a batch: "
            f"{block[rows[0], positions[0]]}. Replace it by a number or mark it as missing."
        )
    gaps: BoolArray = np.isnan(block)
    if weight is not None:
        gaps[:, 0] |= np.isnan(weight)
    if missing == "error" and gaps.any():
        row, position = (int(place[0]) for place in np.nonzero(gaps))
        name = columns[position - 1] if position else "the weight"
        raise MissingValueError(f"Missing value in {name!r}, row {first_row + row} of a group in a batch.")
    complete: BoolArray = np.logical_not(gaps.any(axis=1))
    return complete


def _signed(r: FloatArray) -> FloatArray:
    """Fix the signs of the rows, which QR leaves open, so that equal data give equal factors."""
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.asfortranarray(np.triu(r) * signs[:, None])
