"""Parquet through pyarrow.

Belongs here: batches with every column as text, float64 or int64. Does not belong here: what a cell means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.base import (
    Received,
    UnreadableFile,
    has_answers,
    landing_schema,
    named,
    time_text,
)
from relocation_warehouse.survey.vocabulary import SurveyFile

BATCH_ROWS = 131_072
BATCH_CELLS = 8 * 2**20
"""Most cells in memory at once."""
FREE_CELLS = 50_000_000
CELLS_OF_A_BYTE = 200
"""Beyond `FREE_CELLS`, more cells than this to a byte of the file are no survey: answers differ between households."""


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a Parquet file.

    A time with a zone lands as the clock of that zone showed it.

    Raises
    ------
    UnreadableFile
        Damaged file; a column that holds lists, structures or bytes, or times in an unknown time zone; far more
        cells than a file of its size can tell.
    """
    try:
        source = pq.ParquetFile(path)
        stored = source.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"is no readable Parquet file ({error}); write it again") from error
    with source:
        rows, size = source.metadata.num_rows, path.stat().st_size
        cells = rows * max(len(stored), 1)
        if cells > FREE_CELLS and cells > CELLS_OF_A_BYTE * size:
            raise UnreadableFile(
                f"says that it holds {rows:,} rows in {size:,} bytes, which no survey does; it was not opened further"
            )
        schema = landing_schema(named(stored.names), [_landed(field) for field in stored])
        entries = tuple(Entry(h, str(t)) for h, t in zip(schema.names, stored.types, strict=False))
        yield Received(schema, _batches(source, schema), entries)


def _landed(field: pa.Field) -> pa.DataType:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if (
        pa.types.is_nested(kind)
        or _is_bytes(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_interval(kind)
    ):
        raise UnreadableFile(
            f"column {field.name!r} holds {kind}, not one answer a cell; write it as text or numbers"
        )
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.int64() if pa.types.is_signed_integer(kind) else pa.string()


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _batches(source: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    start = 1
    rows = min(BATCH_ROWS, max(1, BATCH_CELLS // len(schema)))
    try:
        for batch in source.iter_batches(rows):
            columns = [_cast(c, f) for c, f in zip(batch.columns, schema, strict=False)]
            numbers = pa.array(np.arange(start, start + len(batch)))
            start += len(batch)
            yield has_answers(pa.RecordBatch.from_arrays([*columns, numbers], schema=schema))
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"Parquet data are damaged ({error}); write the file again") from error


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is not None:
            try:
                column = pc.local_timestamp(column)
            except pa.ArrowInvalid as error:
                raise UnreadableFile(
                    f"column {field.name!r}: {error}; write its times without a zone"
                ) from error
        return time_text(column)
    if pa.types.is_boolean(kind):
        return pc.utf8_upper(column.cast(pa.string()))
    if pa.types.is_decimal(kind):  # 12.50 and 12.5 are one number, whatever the scale of the column
        text = pc.replace_substring_regex(column.cast(pa.string()), r"(\.\d*?)0+$", r"\1")
        return pc.replace_substring_regex(text, r"\.$", "")
    landed = column.cast(field.type)
    if pa.types.is_string(field.type):
        landed.validate(full=True)  # what is no UTF-8 would stop whoever reads it next
    return landed
