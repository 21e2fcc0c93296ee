"""The codebook: what a received file itself says about its columns.

Belongs here: labels, stored types, value labels and missing declarations, as one table for every format.
Does not belong here: what the survey folder says about the same columns (`vocabulary`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("file_id", pa.string()),
        ("column", pa.string()),
        ("position", pa.int64()),
        ("label", pa.string()),
        ("type_as_stored", pa.string()),
        ("value_labels", pa.string()),
        ("missing_declared", pa.string()),
        ("note", pa.string()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """One column as its file describes it.

    Attributes
    ----------
    column
        Header.
    label
        Question text, where the format has one.
    type_as_stored
        The format's own name of the type.
    value_labels
        Label of each coded answer, the answer written as it lands.
    missing_declared
        What the file declares as missing: single answers as text, ranges as (low, high), both ends included;
        an open end is infinite.
    """

    column: str
    type_as_stored: str
    label: str | None = None
    value_labels: Mapping[str, str] = field(default_factory=dict)
    missing_declared: Sequence[str | tuple[float, float]] = ()


def codebook_table(file_id: str, entries: Iterable[Entry], note: str) -> pa.Table:
    """Entries as rows of `quality.codebook`; mappings and lists as JSON text, null where there are none.

    JSON has no infinity: an open end of a range is null.
    """
    rows = [
        {
            "file_id": file_id,
            "column": entry.column,
            "position": position,
            "label": entry.label,
            "type_as_stored": entry.type_as_stored,
            "value_labels": _json(entry.value_labels),
            "missing_declared": _json([_range(d) for d in entry.missing_declared]),
            "note": note,
        }
        for position, entry in enumerate(entries, start=1)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _range(declared: str | tuple[float, float]) -> str | list[float | None]:
    if isinstance(declared, str):
        return declared
    return [end if math.isfinite(end) else None for end in declared]


def _json(value: Mapping[str, str] | Sequence[object]) -> str | None:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) if value else None
