"""In which encoding bytes are text, where a format does not say it.

Belongs here: names of encodings, and the one that can be told with certainty. Does not belong here: any one format.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from charset_normalizer import from_bytes

from relocation_warehouse.survey.readers.base import UnreadableFile

DETECTABLE = ("gb18030", "big5", "shift_jis", "cp1252")
SAMPLE = 2**17
"""Bytes of lines that are not ASCII from which an encoding is guessed."""

# They turn text into other text, or stand for no characters of a language.
NO_ENCODINGS = {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "utf_7"}


def known_encoding(name: str) -> str:
    """The encoding of a name, as it is declared.

    Raises
    ------
    UnreadableFile
        Nothing in which text is written.
    """
    try:
        "a".encode(
            name
        )  # what turns text into text, or bytes into bytes, is looked up too, but does not encode
        is_known = codecs.lookup(name).name.replace("-", "_") not in NO_ENCODINGS
    except (LookupError, UnicodeError, ValueError):
        is_known = False
    if not is_known:
        raise UnreadableFile(f"encoding {name[:40]!r} is not known; use utf-8, gb18030 or utf-16")
    return name


def told_encoding(lines: Iterable[bytes]) -> str:
    """The encoding of lines that are not ASCII: UTF-8 where they fit, else a Chinese one where it is plain.

    Raises
    ------
    UnreadableFile
        It cannot be determined with certainty.
    """
    sample, size = list[bytes](), 0
    for line in lines:
        sample.append(line)
        size += len(line)
        if size > SAMPLE:
            break
    text = b"\n".join(sample)
    try:
        text.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        guess = from_bytes(text, cp_isolation=list(DETECTABLE)).best()
    if guess is not None and guess.encoding == "gb18030":
        return guess.encoding
    hint = f" (perhaps {guess.encoding})" if guess is not None else ""
    raise UnreadableFile(
        f"is not UTF-8, and its encoding{hint} cannot be determined with certainty; set options.encoding in survey.yml"
    )
