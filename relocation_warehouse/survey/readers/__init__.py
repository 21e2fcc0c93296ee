"""One reader for each format; all give text, float64 or int64 columns as received, with row numbers and a codebook.

Belongs here: choosing the reader, opening archives, saying which file an error is about.
Does not belong here: what a cell means (`ingest`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pyarrow as pa

from relocation_warehouse.survey.codebook import codebook_table
from relocation_warehouse.survey.readers.archives import unpacked
from relocation_warehouse.survey.readers.base import ROW, Received, Stream, UnreadableFile
from relocation_warehouse.survey.vocabulary import SurveyFile

__all__ = ["ROW", "ReadResult", "Received", "UnreadableFile", "opened", "place_of", "read"]

READERS: Mapping[str, str] = {
    "delimited": "delimited",
    "excel": "excel",
    "spss": "statistical",
    "stata": "statistical",
    "odk": "odk",
    "parquet": "columnar",
}
"""Module of each format; imported when a file of it is read, because libraries of formats take a second to load."""


def _stream(format_: str) -> Stream:
    reader: Stream = import_module(f"{__name__}.{READERS[format_]}").stream
    return reader


@dataclass(frozen=True)
class ReadResult:
    """A whole file in memory.

    Attributes
    ----------
    table
        Columns as received (text, float64 or int64), then `_row`.
    codebook
        What the file says of its columns (`survey.codebook.SCHEMA`).
    encoding, notes
        What was declared or found.
    """

    table: pa.Table
    codebook: pa.Table
    encoding: str | None
    notes: tuple[str, ...]


def place_of(file: SurveyFile) -> str:
    """Name a file, and the sheet or repeat group in it, the way messages do."""
    part = getattr(file.options, "sheet", None) or getattr(file.options, "repeat", None)
    return f"{file.path} [{part}]" if part else file.path


@contextmanager
def opened(file: SurveyFile, folder: Path) -> Iterator[Received]:
    """Open a survey file as a stream of record batches.

    Raises
    ------
    UnreadableFile
        The message names the file and sheet, the reason and what to do. Raised on opening or while reading.
    """
    try:
        path = folder / file.path
        if not path.is_file():
            raise UnreadableFile(
                "file is missing; put it into the survey folder or correct `path` in survey.yml"
            )
        if not os.access(path, os.R_OK):
            raise UnreadableFile("file may not be read; give this user the right to read it")
        with unpacked(path, file) as inner, _stream(file.format)(inner, file) as received:
            yield received
    except UnreadableFile as error:
        raise UnreadableFile(f"{place_of(file)}: {error}") from error


def read(file: SurveyFile, folder: Path) -> ReadResult:
    """Read a whole survey file into memory; `opened` is for large ones.

    Raises
    ------
    UnreadableFile
        See `opened`.
    """
    with opened(file, folder) as received:
        table = pa.Table.from_batches(received.batches, schema=received.schema)
    codebook = codebook_table(file.file_id, received.entries, "; ".join(received.notes))
    return ReadResult(table, codebook, received.encoding, received.notes)
