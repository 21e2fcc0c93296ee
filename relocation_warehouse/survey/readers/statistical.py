"""SPSS (.sav, .zsav, .por) and Stata (.dta) through pyreadstat.

Belongs here: values with every missing code kept, and the labels and missing declarations as codebook entries.
Does not belong here: what a missing code means (`codes.csv` says it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyreadstat
from pyreadstat._readstat_parser import PyreadstatError, ReadstatError

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.archives import first_bytes
from relocation_warehouse.survey.readers.base import (
    Received,
    UnreadableFile,
    cell_text,
    has_answers,
    landing_schema,
    named,
)
from relocation_warehouse.survey.vocabulary import SurveyFile

CHUNK_ROWS = 250_000
FAILURES = (PyreadstatError, ReadstatError, UnicodeDecodeError, ValueError, OverflowError)


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open an SPSS or Stata file.

    Numbers land as float64, text, dates (ISO) and columns with Stata's extended missings (".a" to ".z") as text.

    Raises
    ------
    UnreadableFile
        Damaged or truncated file, undecodable text, or dates that no calendar has.
    """
    is_stata = file.format == "stata"
    read: Callable[..., Any]
    if is_stata:
        # Which numeric columns hold extended missings shows only in the values, so Stata comes in one piece.
        read, chunk = pyreadstat.read_dta, 0
    else:
        is_portable = not first_bytes(path).startswith((b"$FL2", b"$FL3"))
        read, chunk = (pyreadstat.read_por, 0) if is_portable else (pyreadstat.read_sav, CHUNK_ROWS)
    frame, meta = _read(read, path, 0, chunk)
    kinds = meta.readstat_variable_types
    columns = [_array(frame[name], kinds[name] == "string") for name in frame.columns]
    headers = named(frame.columns)
    schema = landing_schema(headers, [c.type for c in columns])
    entries = tuple(_entry(meta, name, header) for name, header in zip(frame.columns, headers, strict=True))
    encoding = meta.file_encoding or None
    notes = (f"encoding {encoding}",) if encoding else ()
    batches = _batches(read, path, schema, chunk, frame, kinds)
    yield Received(schema, batches, entries, encoding=encoding, notes=notes)


def _read(read: Callable[..., Any], path: Path, offset: int, rows: int) -> tuple[pd.DataFrame, Any]:
    # A portable file's user-missing codes come as they are; the other readers must be told to keep them.
    keep = {} if read is pyreadstat.read_por else {"user_missing": True}
    try:
        frame, meta = read(str(path), row_offset=offset, row_limit=rows, **keep)
    except FAILURES as error:
        raise UnreadableFile(
            f"cannot be read as SPSS or Stata ({error}); it may be truncated: save it again and compare the sizes"
        ) from error
    return frame, meta


def _batches(
    read: Callable[..., Any],
    path: Path,
    schema: pa.Schema,
    chunk: int,
    frame: pd.DataFrame,
    kinds: Mapping[str, str],
) -> Iterator[pa.RecordBatch]:
    start = 0
    while len(frame):
        columns = [
            _array(frame[name], kinds[name] == "string").cast(kind)
            for name, kind in zip(frame.columns, schema.types, strict=False)
        ]
        numbers = pa.array(np.arange(start + 1, start + 1 + len(frame)))
        yield has_answers(pa.RecordBatch.from_arrays([*columns, numbers], schema=schema))
        start += len(frame)
        if chunk == 0 or len(frame) < chunk:
            return
        frame, _ = _read(read, path, start, chunk)


def _array(column: pd.Series[Any], is_text: bool) -> pa.Array:
    """Land a column: numbers as float64, everything else as text."""
    if column.dtype.kind in "iuf":
        return pa.array(column.to_numpy(dtype=float), from_pandas=True)
    if column.dtype.kind == "M":
        seconds = pa.array(column).cast(pa.timestamp("s"), safe=False)
        text = pc.strftime(seconds, format="%Y-%m-%d %H:%M:%S")
        return pc.replace_substring(text, " 00:00:00", "")
    if is_text:
        return pa.array(column, pa.string(), from_pandas=True)
    return pa.array([_number_or_missing(v) for v in column], pa.string())


def _number_or_missing(value: object) -> str | None:
    """Write a cell of a numeric column that is not all numbers: a date, or an extended missing such as "a"."""
    if isinstance(value, str):
        return f".{value}"
    return None if pd.isna(value) else cell_text(value)  # type: ignore[call-overload]


def _entry(meta: Any, name: str, header: str) -> Entry:
    labels = meta.variable_value_labels.get(name, {})
    ranges = meta.missing_ranges.get(name, [])
    extended = meta.missing_user_values.get(name, [])
    is_text = meta.readstat_variable_types[name] == "string"

    def answer(value: object) -> str:
        if isinstance(value, str):
            return value if is_text else f".{value}"
        return cell_text(float(value)) or ""  # type: ignore[arg-type]

    return Entry(
        column=header,
        type_as_stored=meta.original_variable_types[name],
        label=meta.column_names_to_labels.get(name),
        value_labels={answer(k): str(v) for k, v in labels.items()},
        missing_declared=[
            *(answer(r["lo"]) if r["lo"] == r["hi"] else (float(r["lo"]), float(r["hi"])) for r in ranges),
            *map(answer, extended),
        ],
    )
