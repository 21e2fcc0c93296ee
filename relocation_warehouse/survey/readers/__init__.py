"""One reader for each format; all give text, float64 or int64 columns as received, with row numbers and a codebook.

Belongs here: choosing the reader, opening archives, saying which file an error is about.
Does not belong here: what a cell means (`ingest`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from relocation_warehouse.survey.codebook import codebook_table
from relocation_warehouse.survey.readers import isolation
from relocation_warehouse.survey.readers.archives import unpacked
from relocation_warehouse.survey.readers.base import ROW, Received, UnreadableFile
from relocation_warehouse.survey.readers.isolation import isolated
from relocation_warehouse.survey.vocabulary import FORMATS, SurveyFile

__all__ = [
    "ROW",
    "ReadResult",
    "Received",
    "UnreadableFile",
    "located",
    "opened",
    "place_of",
    "read",
    "repeat_groups",
    "sheet_names",
    "streamed",
]


def _reader(format_: str) -> Any:
    # libraries of formats take a second to load
    return import_module(f"{__name__}.{FORMATS[format_].reader}")


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


def located(file: SurveyFile, folder: Path) -> Path:
    """Where a survey file lies.

    Raises
    ------
    UnreadableFile
        It is missing, may not be read, or is a link that leads out of the folder.
    """
    path = folder / file.path
    if not path.is_file():
        raise UnreadableFile("file is missing; put it into the survey folder or correct `path` in survey.yml")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UnreadableFile(
            "is a link that leads out of its folder, and is not followed; put the file itself there"
        )
    if not os.access(path, os.R_OK):
        raise UnreadableFile("file may not be read; give this user the right to read it")
    return path


@contextmanager
def opened(file: SurveyFile, folder: Path) -> Iterator[Received]:
    """Open a survey file as a stream of record batches, read in a process of its own.

    Raises
    ------
    UnreadableFile
        The message names the file and sheet, the reason and what to do. Raised on opening or while reading.
    """
    try:
        path = located(file, folder)
        with isolated(
            "streamed", file.model_dump_json(), path=path, module=FORMATS[file.format].reader
        ) as received:
            yield received
    except UnreadableFile as error:
        raise UnreadableFile(f"{place_of(file)}: {error}") from error


@contextmanager
def streamed(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open the file at a path in this process, without limits; `opened` is for files of strangers.

    Raises
    ------
    UnreadableFile
        The message says the reason and what to do.
    """
    with unpacked(path, file) as inner, _reader(file.format).stream(inner, file) as received:
        yield received


def repeat_groups(path: Path, file: SurveyFile) -> tuple[str, ...]:
    """Names of the repeat groups of an export, read in a process of its own."""
    with isolated("repeat_groups", file.model_dump_json(), path=path, module=FORMATS["odk"].reader) as names:
        return tuple(names)


def sheet_names(path: Path) -> list[str]:
    """Names of the sheets of a workbook that a person sees and that hold cells, read likewise."""
    with isolated("sheet_names", path=path, module=FORMATS["excel"].reader) as names:
        return list(names)


def serve() -> None:
    """Be the process that reads (`isolation`)."""
    isolation.serve(
        {
            "streamed": lambda path, file: streamed(Path(path), SurveyFile.model_validate_json(file)),
            "repeat_groups": lambda path, file: _reader("odk").repeat_groups(
                Path(path), SurveyFile.model_validate_json(file)
            ),
            "sheet_names": lambda path: _reader("excel").sheet_names(Path(path)),
        }
    )


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
