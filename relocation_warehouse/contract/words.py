"""Words that people read in place of codes and of sentences that checks and results give.

Belongs here: finding the words of a text. Does not belong here: the words themselves, which are data (`tables.yml`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

Pair = Mapping[str, str]
"""Text by language, `en` and `zh`."""

PLACE = re.compile("[#…]")
"""What stands in a sentence for what differs from row to row: # for a number, … for any text."""

_FITS = {"#": r"(\d[\d,]*(?:\.\d+)?)", "…": r"(.+?)", "(…": r"\(([^()]+?)"}


def places(sentence: str) -> list[str]:
    """What a sentence leaves open, in order."""
    return PLACE.findall(sentence)


class WordsOf:
    """Words of the codes and sentences of one column.

    Parameters
    ----------
    words
        Pair by code. A code that leaves places open stands for every text that fills them; what fills them is said in
        its own words, where it has some, in the places of the pair, in the same order. The first that fits wins.
    """

    def __init__(self, words: Mapping[str, Pair]) -> None:
        self._words = {code.lower(): pair for code, pair in words.items()}
        self._known: dict[tuple[str, str], str] = {}

    @cached_property
    def _sentences(self) -> list[tuple[str, int, re.Pattern[str], Pair]]:
        return list(_compiled(self._words.items()))

    def said(self, text: str, language: str) -> str:
        """What stands for a text; each part of it between semicolons by itself; what has no words stays as it is."""
        known = self._known.get((text, language))
        if known is None:
            known = self._known[text, language] = self._said(text, language)
        return known

    def _said(self, text: str, language: str) -> str:
        if (pair := self._words.get(text.lower())) is not None:
            return pair[language]
        parts = _parts(text)
        # a place that takes several parts hides the words of each, so it is the last choice
        whole = self._whole(text, language, len(parts))
        if whole is not None or len(parts) == 1:
            return whole or text
        said = [self.said(part, language) for part in parts]
        if said == parts and (whole := self._whole(text, language)) is not None:
            return whole
        return ("; " if language == "en" else "；").join(said)

    def _whole(self, text: str, language: str, parts: int | None = None) -> str | None:
        """The first sentence that fits, of so many parts."""
        for code, n_parts, pattern, pair in self._sentences:
            match = pattern.fullmatch(text) if parts in (None, n_parts) else None
            if match is not None and places(pair[language]) == places(code):
                return _filled(pair[language], [self.said(fill, language) for fill in match.groups()])
        return None


def _filled(sentence: str, fills: Iterable[str]) -> str:
    left = iter(fills)
    return PLACE.sub(lambda _: next(left), sentence)


def _parts(text: str) -> list[str]:
    """Parts of a text between semicolons that stand in no brackets."""
    parts, depth = [""], 0
    for piece in re.split(r"([()\[\]]|; )", text):
        depth += (piece in ("(", "[")) - (piece in (")", "]"))
        if piece == "; " and depth <= 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _compiled(words: Iterable[tuple[str, Pair]]) -> Iterator[tuple[str, int, re.Pattern[str], Pair]]:
    for code, pair in words:
        if places(code):
            fits = "".join(_FITS.get(part, re.escape(part)) for part in re.split(r"(#|\(?…)", code))
            yield code, len(_parts(code)), re.compile(fits, re.IGNORECASE | re.DOTALL), pair
