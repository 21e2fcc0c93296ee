"""SPSS (.sav, .zsav, .por) and Stata (.dta) through pyreadstat.

Belongs here: values with every missing code kept, and the labels and missing declarations as codebook entries.
Does not belong here: what a missing code means (`codes.csv` says it).
"""

from __future__ import annotations

import codecs
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
    time_text,
)
from relocation_warehouse.survey.readers.encoding import known_encoding, told_encoding
from relocation_warehouse.survey.vocabulary import StatisticalOptions, SurveyFile

CHUNK_ROWS = 250_000
LARGEST = math.nextafter(sys.float_info.max, 0)
FAILURES = (PyreadstatError, ReadstatError, UnicodeDecodeError, ValueError, OverflowError)


# Where a file does not say its encoding its bytes are read one by one, and decoded here.
BYTES = "LATIN1"
SAV_ENCODING = re.compile(rb"\x07\0\0\0\x14\0\0\0\x01\0\0\0|\0\0\0\x07\0\0\0\x14\0\0\0\x01")
"""Head of the record in which an SPSS file says its encoding, in either byte order."""
DICTIONARY_BYTES = 16 * 2**20
TIMES = re.compile(r"[AESJ]?DATE|DATETIME|YMDHMS|D?TIME|MTIME|%-?t")
"""Beginning of a format whose numbers are days or times."""


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open an SPSS or Stata file.

    Numbers land as float64, text, dates (ISO) and columns with Stata's extended missings (".a" to ".z") as text.

    Raises
    ------
    UnreadableFile
        Damaged or truncated file, text in an encoding that cannot be told, or dates that no calendar has.
    """
    options = file.options if isinstance(file.options, StatisticalOptions) else StatisticalOptions()
    read, chunk = _reader(path, file)
    declared = known_encoding(options.encoding) if options.encoding else None
    if declared and read is pyreadstat.read_por:
        raise UnreadableFile("a portable file has its own table of characters; leave options.encoding out")
    is_told = declared is None and _says_encoding(path, read)
    text = _Text(declared, is_raw=not is_told)
    if text.is_raw and declared is None:
        chunk = 0  # every text is needed to tell the encoding
    frame, meta = _read(read, path, 0, chunk, text)
    if text.is_raw and declared is None:
        text.encoding = _told(frame, meta)
    kinds = {name: meta.readstat_variable_types[name] == "string" for name in frame.columns}
    columns = [_array(frame[name], kinds[name], text) for name in frame.columns]
    types = [
        pa.string() if TIMES.match(meta.original_variable_types[name] or "") else column.type
        for name, column in zip(frame.columns, columns, strict=True)
    ]
    headers = named(map(text.of, frame.columns))
    schema = landing_schema(headers, types)
    entries = tuple(_entry(meta, n, h, text) for n, h in zip(frame.columns, headers, strict=True))
    encoding = text.encoding or meta.file_encoding or None
    how = " (declared)" if declared else " (detected)" if text.encoding else ""
    notes = (f"encoding {encoding}{how}",) if encoding else ()
    yield Received(
        schema,
        _batches(read, path, schema, chunk, frame, kinds, text),
        entries,
        encoding=encoding,
        notes=notes,
    )


@dataclass
class _Text:
    """How the text of a file is decoded: by its reader, or from bytes that the reader passed on."""

    encoding: str | None
    is_raw: bool

    def of(self, value: str) -> str:
        """A text as it was meant; one that its field cut within a character ends in U+FFFD."""
        if not self.is_raw or value.isascii():
            return value
        decoder = codecs.getincrementaldecoder(self.encoding or "ascii")()
        try:
            decoded = decoder.decode(value.encode("latin-1"))
        except UnicodeDecodeError as error:
            raise UnreadableFile(
                f"text is not {self.encoding} ({error.reason}); correct options.encoding in survey.yml"
            ) from error
        return decoded + "\ufffd" if decoder.getstate()[0] else decoded


def _reader(path: Path, file: SurveyFile) -> tuple[Callable[..., Any], int]:
    """The function that reads a file, and the rows that it reads at once; 0 = all."""
    if file.format == "stata":
        # Which numeric columns hold extended missings shows only in the values, so Stata comes in one piece.
        return pyreadstat.read_dta, 0
    is_portable = not first_bytes(path).startswith((b"$FL2", b"$FL3"))
    return (pyreadstat.read_por, 0) if is_portable else (pyreadstat.read_sav, CHUNK_ROWS)


def _says_encoding(path: Path, read: Callable[..., Any]) -> bool:
    """Whether a file says its encoding, or its format does: Stata since 14, portable files of SPSS."""
    if read is pyreadstat.read_dta:
        release = re.match(rb"<stata_dta><header><release>(\d+)", first_bytes(path))
        return release is not None and int(release[1]) >= 118
    if read is pyreadstat.read_por:
        return True
    with path.open("rb") as handle:
        return SAV_ENCODING.search(handle.read(DICTIONARY_BYTES)) is not None


def _told(frame: pd.DataFrame, meta: Any) -> str | None:
    """The encoding of a file that does not say it; None where all its text is ASCII."""
    texts = {*frame.columns, *filter(None, meta.column_labels)}
    texts |= {
        str(part)
        for labels in meta.variable_value_labels.values()
        for pair in labels.items()
        for part in pair
    }
    for name in frame.columns:
        if meta.readstat_variable_types[name] == "string":
            texts.update(v for v in frame[name].unique() if isinstance(v, str))
    foreign = sorted(t for t in texts if not t.isascii())
    return told_encoding(t.encode("latin-1") for t in foreign) if foreign else None


def _read(
    read: Callable[..., Any], path: Path, offset: int, rows: int, text: _Text
) -> tuple[pd.DataFrame, Any]:
    # A portable file's user-missing codes come as they are; the other readers must be told to keep them.
    options: dict[str, Any] = {} if read is pyreadstat.read_por else {"user_missing": True}
    options |= {"encoding": BYTES} if text.is_raw else {}
    try:
        frame, meta = read(str(path), row_offset=offset, row_limit=rows, **options)
    except FAILURES as error:
        if "convert" in str(error) or isinstance(error, UnicodeDecodeError):
            raise UnreadableFile(
                f"its text is not in the encoding that it should have ({error}); set options.encoding in survey.yml"
            ) from error
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
    kinds: Mapping[str, bool],
    text: _Text,
) -> Iterator[pa.RecordBatch]:
    start = 0
    while len(frame):
        columns = [
            _array(frame[name], kinds[name], text).cast(kind)
            for name, kind in zip(frame.columns, schema.types, strict=False)
        ]
        numbers = pa.array(np.arange(start + 1, start + 1 + len(frame)))
        yield has_answers(pa.RecordBatch.from_arrays([*columns, numbers], schema=schema))
        start += len(frame)
        if chunk == 0 or len(frame) < chunk:
            return
        frame, _ = _read(read, path, start, chunk, text)


def _array(column: pd.Series[Any], is_text: bool, text: _Text) -> pa.Array:
    """Land a column: numbers as float64, everything else as text."""
    if is_text:
        if text.is_raw:
            column = column.map({v: text.of(v) for v in column.unique() if isinstance(v, str)})
        texts = pa.array(column, pa.string(), from_pandas=True)
        return pc.if_else(
            pc.equal(texts, ""), pa.scalar(None, pa.string()), texts
        )  # the formats' way to say blank
    if column.dtype.kind in "iuf":
        return pa.array(column.to_numpy(dtype=float), from_pandas=True)
    if column.dtype.kind == "M":
        return time_text(pa.array(column))
    return pa.array([_number_or_missing(v) for v in column], pa.string())


def _number_or_missing(value: object) -> str | None:
    """Write a cell of a numeric column that is not all numbers: a date, or an extended missing such as "a"."""
    if isinstance(value, str):
        return f".{value}"
    return None if pd.isna(value) else cell_text(value)  # type: ignore[call-overload]


def _entry(meta: Any, name: str, header: str, text: _Text) -> Entry:
    labels = meta.variable_value_labels.get(name, {})
    ranges = meta.missing_ranges.get(name, [])
    extended = meta.missing_user_values.get(name, [])
    label = meta.column_names_to_labels.get(name)
    is_text = meta.readstat_variable_types[name] == "string"

    def answer(value: object) -> str:
        if isinstance(value, str):
            return text.of(value).rstrip(" ") if is_text else f".{value}"
        return cell_text(float(value)) or ""  # type: ignore[arg-type]

    return Entry(
        column=header,
        type_as_stored=meta.original_variable_types[name],
        label=None if label is None else text.of(label),
        value_labels={answer(k): text.of(str(v)) for k, v in labels.items()},
        missing_declared=[
            *(answer(r["lo"]) if r["lo"] == r["hi"] else (_end(r["lo"]), _end(r["hi"])) for r in ranges),
            *map(answer, extended),
        ],
    )


def _end(value: float) -> float:
    """An end of a range; SPSS writes its words LOWEST and HIGHEST as the largest numbers there are."""
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else float(value)
