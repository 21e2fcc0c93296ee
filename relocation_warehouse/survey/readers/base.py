"""What every reader gives and how cells become text.

Belongs here: the types shared by the readers, limits, and the one way to write a value as text.
Does not belong here: any one format.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relocation_warehouse.survey.codebook import Entry

ROW = "_row"
"""Name of the added column: the number of the row in the file, as a person counts it."""

EXACT = 2**53
"""Up to here a float64 holds every whole number, so that it can be written as one."""

SUBMISSION_ROW = "_submission_row"
"""Name of the column that a repeat group lends: the row of the submission that its rows belong to."""

MAX_COLUMNS = 4096
"""More columns than this are a file read the wrong way round or with the wrong delimiter."""


class UnreadableFile(ValueError):
    """A file that cannot be read; the message says why and what to do."""


@dataclass(frozen=True)
class Received:
    """A file being read.

    Attributes
    ----------
    schema
        Headers as received (stripped at both ends) with the type they land as (string, float64 or int64), then
        `_row`. A header may stand twice; whoever uses the table decides what that means.
    batches
        The rows, to be read once.
    entries
        One codebook entry a column, in the order of the schema.
    encoding
        Encoding of the text, where the format does not fix it.
    notes
        What the reader found or left out, for the codebook.
    borrowed
        Headers that belong to the parent of a repeat group and are there for whoever declares them.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    entries: tuple[Entry, ...]
    encoding: str | None = None
    notes: tuple[str, ...] = ()
    borrowed: frozenset[str] = field(default_factory=frozenset)


def landing_schema(headers: Sequence[str], types: Sequence[pa.DataType] | None = None) -> pa.Schema:
    """Schema of what lands: the headers (all text unless said otherwise), then `_row`.

    Raises
    ------
    UnreadableFile
        More than `MAX_COLUMNS` columns, or one that takes the reserved name.
    """
    if len(headers) > MAX_COLUMNS:
        raise UnreadableFile(
            f"has {len(headers):,} columns, more than the {MAX_COLUMNS:,} that are read; "
            "check the delimiter, or whether rows and columns are exchanged; of a file that is so wide, give the "
            "columns that are needed, or several files with the household id in each"
        )
    if ROW in headers:
        raise UnreadableFile(f"has a column {ROW!r}, a name reserved for row numbers; rename the column")
    kinds = types or [pa.string()] * len(headers)
    return pa.schema([*map(pa.field, headers, kinds), pa.field(ROW, pa.int64())])


def named(headers: Iterable[str]) -> list[str]:
    """Headers stripped at both ends; an empty one becomes `column_<position>` so that it can be declared."""
    return [h.strip().strip("\ufeff") or f"column_{i}" for i, h in enumerate(headers, start=1)]


def has_answers(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of a batch that hold anything; a row of empty cells is a blank line, not a questionnaire."""
    empty = pa.array(np.ones(len(batch), dtype=bool))
    for column in batch.columns[:-1]:
        if not pc.any(empty).as_py():
            return batch
        empty = pc.and_(empty, column.is_null())
    return batch.filter(pc.invert(empty)) if pc.any(empty).as_py() else batch


def without_footer(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Batches without the last `rows` rows of the file."""
    if rows == 0:
        yield from batches
        return
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held[1:])) >= rows:
            yield held.pop(0)
    kept = sum(map(len, held)) - rows
    for batch in held:
        if kept > 0:
            yield batch.slice(0, kept)
        kept -= len(batch)


def without_rows(batches: Iterable[pa.RecordBatch], rows: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Batches without the rows of these numbers."""
    unwanted = pa.array(rows, pa.int64())
    for batch in batches:
        yield batch.filter(pc.invert(pc.is_in(batch.column(ROW), value_set=unwanted))) if rows else batch


def time_text(times: pa.Array) -> pa.Array:
    """Times without a zone as text: a day where it is midnight, fractions of a second only where there are any."""
    text = pc.strftime(times, format="%Y-%m-%d %H:%M:%S")
    return pc.replace_substring_regex(text, r"( 00:00:00)?(\.0+)?$", "")


def cell_text(value: object) -> str | None:
    """A cell as text, the way a person would type it: no ".0" on whole numbers, dates in ISO order."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) <= EXACT else repr(value)
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    return str(value)
