"""CSV and TSV, in any encoding that is declared or can be told with certainty.

Belongs here: encoding, delimiter, header rows, and a bounded-memory stream of text rows through `pyarrow.csv`.
Does not belong here: what a cell means.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from charset_normalizer import from_bytes

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.base import (
    Received,
    UnreadableFile,
    has_answers,
    landing_schema,
    named,
    without_footer,
    without_rows,
)
from relocation_warehouse.survey.vocabulary import DelimitedOptions, SurveyFile

BLOCK_BYTES = 16 * 2**20
DELIMITERS = (",", "\t", ";", "|")
DETECTABLE = ("gb18030", "big5", "shift_jis", "cp1252")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a delimited file.

    Raises
    ------
    UnreadableFile
        On opening: undecodable bytes, NUL characters, an unclosed quote, missing header rows. While reading: a row
        with more or fewer cells than the header.
    """
    options = file.options if isinstance(file.options, DelimitedOptions) else DelimitedOptions()
    if options.encoding:
        encoding, how = options.encoding, "declared"
        _check_text(path, encoding)
    else:
        encoding, how = _detected(path), "detected"
    delimiter, headers, header_lines = _headers(path, encoding, options)
    schema = landing_schema(headers)
    first = max(options.header_rows) + 1
    notes = (f"encoding {encoding} ({how})", f"delimiter {delimiter!r}")
    with path.open("rb") as handle:
        batches = _rows(path, handle, schema, encoding, delimiter, header_lines, first)
        batches = without_footer(batches, options.skip_footer_rows)
        batches = map(has_answers, without_rows(batches, options.skip_rows))
        entries = tuple(Entry(h, "text") for h in headers)
        yield Received(schema, batches, entries, encoding=encoding, notes=notes)


class UndecodableText(UnreadableFile):
    """Text in another encoding than it was read in."""


def _detected(path: Path) -> str:
    """Find the encoding: a byte order mark, else UTF-8 if every byte fits, else a Chinese encoding if it is plain.

    The text is checked on the way: to decode a large file twice takes as long as to load it.
    """
    with path.open("rb") as handle:
        sample = handle.read(2**18)
    told = next((encoding for mark, encoding in MARKS if sample.startswith(mark)), _unmarked(sample))
    try:
        _check_text(path, told or "utf-8")
        return told or "utf-8"
    except UndecodableText:
        if told:
            raise
    guess = from_bytes(sample, cp_isolation=list(DETECTABLE)).best()
    if guess is not None and guess.encoding == "gb18030":
        _check_text(path, guess.encoding)
        return guess.encoding
    hint = f" (perhaps {guess.encoding})" if guess is not None else ""
    raise UnreadableFile(
        f"is not UTF-8, and its encoding{hint} cannot be told with certainty; set options.encoding in survey.yml"
    )


def _unmarked(sample: bytes) -> str | None:
    """UTF-16 without a mark: delimiters and digits give a NUL in every other byte."""
    pairs = np.frombuffer(sample[: len(sample) // 2 * 2], dtype=np.uint8).reshape(-1, 2)
    if len(pairs) > 1:
        high, low = (pairs == 0).mean(axis=0)
        if max(high, low) > 0.2 and min(high, low) < 0.01:
            return "utf-16-be" if high > low else "utf-16-le"
    return None


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    with path.open("rb") as handle:
        while block := handle.read(2**20):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _check_text(path: Path, encoding: str) -> None:
    """Read the whole text once: the fast parser would take broken text for answers, or stop without the place."""
    line, quotes = 1, 0
    try:
        codecs.lookup(encoding)
        for block in _decoded(path, encoding):
            nul = block.find("\0")
            if nul >= 0:
                line += block.count("\n", 0, nul)
                raise UnreadableFile(
                    f"line {line} holds a NUL character, so the file is damaged or not text; export it again"
                )
            line += block.count("\n")
            quotes += block.count('"')
    except LookupError as error:
        raise UnreadableFile(f"encoding {encoding!r} is not known; use utf-8, gb18030 or utf-16") from error
    except UnicodeError as error:
        if isinstance(error, UnicodeDecodeError):
            line += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
        raise UndecodableText(
            f"is not {encoding} in line {line} ({error}); correct options.encoding in survey.yml"
        ) from error
    if quotes % 2:
        raise UnreadableFile(
            f"a quotation mark is not closed{_odd_quote(path, encoding)}; close it, or double it inside a quoted cell"
        )


def _odd_quote(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, newline="") as handle:
        odd = [number for number, line in enumerate(handle, start=1) if line.count('"') % 2]
    return f" (look at line {odd[-1]} and before)" if odd else ""


def _headers(path: Path, encoding: str, options: DelimitedOptions) -> tuple[str, list[str], int]:
    """Delimiter, headers, and the number of physical lines that the header rows take (a header may hold breaks)."""
    try:
        with path.open(encoding=encoding, newline="") as handle:
            delimiter = options.delimiter or _delimiter(handle.readline())
            handle.seek(0)
            reader = csv.reader(handle, delimiter=delimiter)
            rows = list(islice(reader, max(options.header_rows)))
            lines = reader.line_num
    except (csv.Error, TypeError) as error:
        raise UnreadableFile(f"header cannot be read: {error}; check options.delimiter") from error
    if len(rows) < max(options.header_rows) or not any(rows[max(options.header_rows) - 1]):
        raise UnreadableFile(f"has no header in row {max(options.header_rows)}; check options.header_rows")
    chosen = [rows[i - 1] for i in sorted(options.header_rows)]
    width = len(chosen[-1])
    parts = [[row[i].strip() if i < len(row) else "" for row in chosen] for i in range(width)]
    return delimiter, named(" / ".join(p for p in part if p) for part in parts), lines


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=lambda d: len(next(csv.reader([line], delimiter=d), [])))


def _rows(
    path: Path, handle: IO[bytes], schema: pa.Schema, encoding: str, delimiter: str, lines: int, first: int
) -> Iterator[pa.RecordBatch]:
    width = len(schema) - 1
    # Columns get positions as names: a header that stands twice must reach whoever judges it.
    names = [str(i) for i in range(width)]
    row = first
    try:
        reader = pacsv.open_csv(
            handle,
            read_options=pacsv.ReadOptions(
                column_names=names,
                skip_rows=lines,
                block_size=BLOCK_BYTES,
                encoding="utf-8" if encoding == "utf-8-sig" else encoding,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                ignore_empty_lines=False,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,  # the text has been read once already
            ),
        )
        for batch in reader:
            numbers = pa.array(np.arange(row, row + len(batch)))
            row += len(batch)
            yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise UnreadableFile(
            _ragged(path, encoding, delimiter, width, first) or f"is no text table: {error}"
        ) from error


def _ragged(path: Path, encoding: str, delimiter: str, width: int, first: int) -> str | None:
    """Say which row has another number of cells than the header; the fast parser does not count rows."""
    with path.open(encoding=encoding, newline="") as handle:
        for number, cells in enumerate(csv.reader(handle, delimiter=delimiter), start=1):
            if number >= first and cells and len(cells) != width:
                shown = delimiter.join(cells)[:60]
                return (
                    f"row {number} ({shown!r}) has {len(cells)} cells, the header has {width}; "
                    "quote cells that hold the delimiter, and check options.delimiter"
                )
    return None
