"""Take a file out of its `.gz` or `.zip`, within limits, and look at what it really is.

Belongs here: decompression and the first bytes of a file. Does not belong here: reading any format.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from relocation_warehouse.survey.readers.base import UnreadableFile
from relocation_warehouse.survey.vocabulary import FORMATS, SurveyFile

MAX_BYTES = 16 * 2**30
"""Largest file that is unpacked."""
MAX_RATIO = 200
"""Largest unpacked to packed ratio; survey files stay below 60, bombs are at 1000."""
FREE_BYTES = 64 * 2**20
"""Below this size the ratio does not matter."""


class Readable(Protocol):
    """What can be unpacked."""

    def read(self, size: int, /) -> bytes:
        """Give the next bytes."""
        ...


# zipfile says NotImplementedError of an archive packed by a method that it cannot unpack
DAMAGED = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, NotImplementedError)

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip archive, and of an empty one; text may begin with the two letters alone."""

SIGNATURES = (
    (rb"PK\x03\x04|PK\x05\x06", "zip", "a zip archive or an .xlsx/.ods workbook"),
    (rb"\xd0\xcf\x11\xe0", "ole", "an old Excel workbook (.xls) or one protected by a password"),
    (rb"(?s)\$FL[23].{60}[\x00\x02\x03]", "sav", "an SPSS file"),
    (rb"<stata_dta><header>", "dta", "a Stata file"),
    (rb"PAR1(?=[^ -~]|$)", "parquet", "a Parquet file"),
    (rb"%PDF-\d\.\d\s*[\r\n]", "pdf", "a PDF document"),
    (rb"(?i:<html(\s[^>]*)?>\s*<|<!doctype\s+html[^>]*>)", "html", "a web page"),
    (rb"<\?xml\s+version\s*=", "xml", "an XML document"),
)
"""Patterns of the first bytes: what begins a file of the kind and no table of text, whatever its first header is."""


@contextmanager
def unpacked(path: Path, file: SurveyFile) -> Iterator[Path]:
    """Give the file itself, taken out of `.gz` or `.zip` where it is inside one.

    Raises
    ------
    UnreadableFile
        Damaged, protected or suspiciously small archive; several files to choose from; or content that is not
        of the declared format.
    """
    with tempfile.TemporaryDirectory(prefix="survey-") as scratch:
        inner = _unpack(path, file, Path(scratch))
        check_content(inner, file)
        yield inner


def _unpack(path: Path, file: SurveyFile, scratch: Path) -> Path:
    head = first_bytes(path)
    try:
        if head.startswith(b"\x1f\x8b"):
            target = scratch / (path.stem or "unpacked")
            with gzip.GzipFile(path) as packed, target.open("wb") as out:
                copy_within(packed, out, path.stat().st_size)
            return _unpack(target, file, scratch) if first_bytes(target).startswith(ZIP) else target
        if not head.startswith(ZIP):
            return path
        with opened_archive(path) as archive:
            members = checked_members(archive)
            names = {m.filename for m in members}
            if file.format == "odk" or names & {"[Content_Types].xml", "mimetype"}:
                return path
            member = _choose(members, file)
            target = scratch / Path(member.filename).name
            with archive.open(member) as packed, target.open("wb") as out:
                copy_within(packed, out, max(member.compress_size, 1))
            return target
    except DAMAGED as error:
        raise UnreadableFile(
            f"archive is truncated or damaged ({error}); copy or export the file again"
        ) from error


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose names are read as they were meant.

    A name that is neither ASCII nor marked as UTF-8 is in the encoding of the machine that packed it: in UTF-8 or
    GB18030 where it fits, else as the format has it.
    """
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.flag_bits & 0x800 and not member.filename.isascii():
                raw = member.filename.encode("cp437")
                for encoding in ("utf-8", "gb18030"):
                    with suppress(UnicodeDecodeError):
                        member.filename = raw.decode(encoding)
                        break
        yield archive


def checked_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Files in an archive, after the limits were checked against what the archive says of itself."""
    members = [
        m
        for m in archive.infolist()
        if not (m.is_dir() or m.filename.startswith("__MACOSX/") or Path(m.filename).name.startswith("."))
    ]
    if not members:
        raise UnreadableFile("archive is empty; put the survey file into it")
    if any(m.flag_bits & 1 for m in members):
        raise UnreadableFile("archive is protected by a password; unpack it and give the file itself")
    if twice := [name for name, count in Counter(m.filename for m in members).items() if count > 1]:
        raise UnreadableFile(f"archive holds {twice[0]!r} more than once; keep one")
    packed, size = sum(m.compress_size for m in members), sum(m.file_size for m in members)
    _check_size(size, packed)
    return members


def _choose(members: list[zipfile.ZipInfo], file: SurveyFile) -> zipfile.ZipInfo:
    fitting = [m for m in members if m.filename.lower().endswith(FORMATS[file.format].endings)] or members
    named_so = [m for m in fitting if Path(m.filename).stem == file.file_id]
    chosen = named_so or fitting
    if len(chosen) > 1:
        names = ", ".join(sorted(m.filename for m in chosen)[:5])
        raise UnreadableFile(
            f"archive holds {len(chosen)} files ({names}); keep one, or name one {file.file_id!r}"
        )
    return chosen[0]


def copy_within(packed: Readable, out: IO[bytes], packed_size: int) -> None:
    """Unpack while counting, because an archive may lie about its sizes."""
    size = 0
    while block := packed.read(2**20):
        size += len(block)
        _check_size(size, packed_size)
        out.write(block)


def _check_size(size: int, packed: int) -> None:
    if size > MAX_BYTES:
        raise UnreadableFile(f"unpacks to more than {MAX_BYTES // 2**30} GiB; split the file")
    if size > FREE_BYTES and size > MAX_RATIO * packed:
        raise UnreadableFile(
            f"unpacks to more than {MAX_RATIO} times its size, which no survey does; "
            "it looks like a zip bomb and was not opened further"
        )


def first_bytes(path: Path, count: int = 512) -> bytes:
    """Read the start of a file."""
    with path.open("rb") as handle:
        return handle.read(count)


def check_content(path: Path, file: SurveyFile) -> None:
    """Compare the first bytes with the declared format, because an extension proves nothing.

    Raises
    ------
    UnreadableFile
        Empty, or plainly something else.
    """
    head = first_bytes(path)
    if not head:
        raise UnreadableFile("file is empty (0 bytes); export it again")
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    _, kind, known = next((s for s in SIGNATURES if re.match(s[0], start)), (b"", None, ""))
    if kind not in FORMATS[file.format].content:
        what = known or "not a file of that kind (it looks like text)"
        raise UnreadableFile(
            f"declared as format {file.format!r}, but the content is {what}; "
            "correct `format` in survey.yml, or save the file in the declared format"
        )
