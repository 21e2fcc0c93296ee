"""CSV and TSV, in any encoding that is declared or can be told with certainty.

Belongs here: encoding, delimiter, header rows, and a bounded-memory stream of text rows through `pyarrow.csv`.
Does not belong here: what a cell means.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

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
from relocation_warehouse.survey.readers.encoding import known_encoding, told_encoding
from relocation_warehouse.survey.readers.quotes import count_records
from relocation_warehouse.survey.vocabulary import DelimitedOptions, SurveyFile

BLOCK_BYTES, NARROW = 16 * 2**20, 16
"""Text that is parsed at a time, of tables up to so many columns; of wider ones less.

The parser sets aside as much memory as the block has for each column of it.
"""
DELIMITERS = (",", "\t", ";", "|")
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_ASCII = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")

csv.field_size_limit(2**31 - 1)  # an answer may be longer than the 131,072 characters that the module allows


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a delimited file.

    Raises
    ------
    UnreadableFile
        On opening: undecodable bytes, NUL characters, quotation marks that are not closed or swallow rows, missing
        header rows. While reading: a row with more or fewer cells than the header, or another number of rows than
        lines and quotation marks say.
    """
    options = file.options if isinstance(file.options, DelimitedOptions) else DelimitedOptions()
    if options.encoding:
        encoding, how = known_encoding(options.encoding), "declared"
        text = _check_text(path, encoding)
    else:
        (encoding, text), how = _detected(path), "detected"
    delimiter, headers, header_lines = _headers(path, encoding, options)
    schema = landing_schema(headers)
    last = max(options.header_rows)
    records = text.lines
    if text.has_quotes or text.has_returns:
        with _lines(path, encoding) as lines:
            records = count_records(lines, delimiter, len(headers), last)
    notes = (f"encoding {encoding} ({how})", f"delimiter {delimiter!r}")
    with path.open("rb") as handle:
        batches = _rows(path, handle, schema, encoding, delimiter, header_lines, last + 1)
        batches = _counted(batches, records - last)
        batches = without_footer(batches, options.skip_footer_rows)
        batches = map(has_answers, without_rows(batches, options.skip_rows))
        entries = tuple(Entry(h, "text") for h in headers)
        yield Received(schema, batches, entries, encoding=encoding, notes=notes)


class UndecodableText(UnreadableFile):
    """Text in another encoding than it was read in."""


class _Text:
    """What a first reading of a text found: its lines, and whether it holds marks or carriage returns alone."""

    def __init__(self) -> None:
        self.lines, self.has_quotes, self.has_returns = 0, False, False


def _detected(path: Path) -> tuple[str, _Text]:
    """Find the encoding: a byte order mark, else UTF-8 if every byte fits, else a Chinese encoding if it is plain.

    The text is checked on the way: to decode a large file twice takes as long as to load it.
    """
    with path.open("rb") as handle:
        sample = handle.read(2**18)
    marked = next((encoding for mark, encoding in MARKS if sample.startswith(mark)), _unmarked(sample))
    try:
        return marked or "utf-8", _check_text(path, marked or "utf-8")
    except UndecodableText:
        if marked:
            raise
    with path.open("rb") as handle:
        encoding = told_encoding(
            line[0] for block in iter(lambda: handle.read(2**20), b"") for line in NOT_ASCII.finditer(block)
        )
    return encoding, _check_text(path, encoding)


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


def _check_text(path: Path, encoding: str) -> _Text:
    """Read the whole text once: the fast parser would take broken text for answers, or stop without the place."""
    text, line, end = _Text(), 1, "\n"
    try:
        for block in _decoded(path, encoding):
            nul = block.find("\0")
            if nul >= 0:
                line += block.count("\n", 0, nul)
                raise UnreadableFile(
                    f"line {line} holds a NUL character, so the file is damaged or not text; export it again"
                )
            line += block.count("\n")
            text.has_quotes = text.has_quotes or '"' in block
            text.has_returns = text.has_returns or block.count("\r") > block.count("\r\n")
            text.lines += _line_ends(block, end)
            end = block[-1:] or end
        text.lines += end not in "\r\n"
    except UnicodeError as error:
        if isinstance(error, UnicodeDecodeError):
            line += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
        raise UndecodableText(
            f"is not {encoding} in line {line} ({error.reason if isinstance(error, UnicodeDecodeError) else error}); "
            "correct options.encoding in survey.yml"
        ) from error
    return text


def _line_ends(block: str, before: str) -> int:
    """Ends of lines in a block of text: a line feed, a carriage return, or both as one."""
    ends = block.count("\n")
    if "\r" in block:
        ends += block.count("\r") - block.count("\r\n")
    return ends - (before == "\r" and block.startswith("\n"))


@contextmanager
def _lines(path: Path, encoding: str) -> Iterator[Iterator[str]]:
    """The lines of a text with their ends, without a byte order mark."""
    with path.open(encoding=encoding, newline="") as handle:
        yield (line.removeprefix("\ufeff") if number == 0 else line for number, line in enumerate(handle))


def _headers(path: Path, encoding: str, options: DelimitedOptions) -> tuple[str, list[str], int]:
    """Delimiter, headers, and the number of physical lines that the header rows take (a header may hold breaks)."""
    last = max(options.header_rows)
    try:
        delimiter = options.delimiter or _delimiter(path, encoding, last)
        if delimiter in '"\r\n':
            raise UnreadableFile(f"delimiter {delimiter!r} cannot be one; check options.delimiter")
        with _lines(path, encoding) as lines:
            reader = csv.reader(lines, delimiter=delimiter)
            rows = list(islice(reader, last))
            count = reader.line_num
    except (csv.Error, TypeError) as error:
        raise UnreadableFile(f"header cannot be read: {error}; check options.delimiter") from error
    if len(rows) < last or not any(rows[last - 1]):
        raise UnreadableFile(f"has no header in row {last}; check options.header_rows")
    chosen = [rows[i - 1] for i in sorted(options.header_rows)]
    width = len(chosen[-1])
    parts = [[row[i].strip() if i < len(row) else "" for row in chosen] for i in range(width)]
    return delimiter, named(" / ".join(p for p in part if p) for part in parts), count


def _delimiter(path: Path, encoding: str, row: int) -> str:
    """What cuts the header row into the most cells."""

    def cells(delimiter: str) -> int:
        with _lines(path, encoding) as lines:
            return len(next(islice(csv.reader(lines, delimiter=delimiter), row - 1, None), []))

    return max(DELIMITERS, key=cells)


def _rows(
    path: Path, handle: IO[bytes], schema: pa.Schema, encoding: str, delimiter: str, lines: int, first: int
) -> Iterator[pa.RecordBatch]:
    width = len(schema) - 1
    # Columns get positions as names: a header that occurs twice must reach whoever judges it.
    names = [str(i) for i in range(width)]
    row, block = first, BLOCK_BYTES * NARROW // max(width, NARROW)
    while True:
        handle.seek(0)
        known = row - first  # rows that have gone already, where a row did not fit into a smaller block
        try:
            reader = pacsv.open_csv(
                handle,
                read_options=pacsv.ReadOptions(
                    column_names=names,
                    skip_rows=lines,
                    block_size=block,
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
            for read in reader:
                batch = read.slice(known)
                known -= len(read) - len(batch)
                numbers = pa.array(np.arange(row, row + len(batch)))
                row += len(batch)
                yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
            return
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            if block < BLOCK_BYTES and any(words in str(error) for words in ("straddl", "block size")):
                block = min(16 * block, BLOCK_BYTES)
                continue
            raise UnreadableFile(
                _ragged(path, encoding, delimiter, width, first) or "is no text table; export it again"
            ) from error


def _counted(batches: Iterator[pa.RecordBatch], records: int) -> Iterator[pa.RecordBatch]:
    """The batches, whose rows must be as many as the records that were counted in another way."""
    rows = 0
    for batch in batches:
        rows += len(batch)
        yield batch
    if rows != records:
        raise UnreadableFile(
            f"holds {records:,} records, but {rows:,} rows were read; look for quotation marks that do not belong there"
        )


def _ragged(path: Path, encoding: str, delimiter: str, width: int, first: int) -> str | None:
    """Say which row has another number of cells than the header; the fast parser does not count rows."""
    with _lines(path, encoding) as lines:
        for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), start=1):
            if number >= first and cells and len(cells) != width:
                return (
                    f"row {number} has {len(cells)} cells, the header has {width}; "
                    "quote cells that hold the delimiter, and check options.delimiter"
                )
    return None
