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
)
from relocation_warehouse.survey.vocabulary import SurveyFile

BATCH_ROWS = 131_072


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a Parquet file.

    Raises
    ------
    UnreadableFile
        Damaged file, or a column that holds lists, structures or bytes.
    """
    try:
        source = pq.ParquetFile(path)
        stored = source.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"is no readable Parquet file ({error}); write it again") from error
    schema = landing_schema(named(stored.names), [_landed(field) for field in stored])
    entries = tuple(Entry(h, str(t)) for h, t in zip(schema.names, stored.types, strict=False))
    with source:
        yield Received(schema, _batches(source, schema), entries)


def _landed(field: pa.Field) -> pa.DataType:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UnreadableFile(
            f"column {field.name!r} holds {kind}, not one answer a cell; write it as text or numbers"
        )
    if pa.types.is_floating(kind):
        return pa.float64()
    return pa.int64() if pa.types.is_signed_integer(kind) else pa.string()


def _batches(source: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    start = 1
    try:
        for batch in source.iter_batches(BATCH_ROWS):
            columns = [_cast(c, t) for c, t in zip(batch.columns, schema.types, strict=False)]
            numbers = pa.array(np.arange(start, start + len(batch)))
            start += len(batch)
            yield has_answers(pa.RecordBatch.from_arrays([*columns, numbers], schema=schema))
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"Parquet data are damaged ({error}); write the file again") from error


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        text = pc.strftime(column.cast(pa.timestamp("s"), safe=False), format="%Y-%m-%d %H:%M:%S")
        return pc.replace_substring(text, " 00:00:00", "")
    if pa.types.is_boolean(column.type):
        return pc.utf8_upper(column.cast(pa.string()))
    return column.cast(kind)
