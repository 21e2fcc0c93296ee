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

_FITS = {"#": r"(\d[\d,]*(?:\.\d+)?)", "…": r"(.+?)"}


def places(sentence: str) -> list[str]:
    """What a sentence leaves open, in order."""
    return PLACE.findall(sentence)


class WordsOf:
    """Words of the codes and sentences of one column.

    Parameters
    ----------
    words
        Pair by code. A code that leaves places open stands for every text that fills them; what fills them is put
        into the places of the pair, in the same order. The first that fits wins.
    """

    def __init__(self, words: Mapping[str, Pair]) -> None:
        self._words = {code.lower(): pair for code, pair in words.items()}
        self._known: dict[tuple[str, str], str] = {}

    @cached_property
    def _sentences(self) -> list[tuple[re.Pattern[str], list[str], Pair]]:
        return list(_compiled(self._words.items()))

    def said(self, text: str, language: str) -> str:
        """What stands for a text; each part of it between semicolons by itself; what has no words stays as it is."""
        known = self._known.get((text, language))
        if known is None:
            known = self._whole(text, language)
            if known is None:
                between = "; " if language == "en" else "；"
                known = between.join(self._whole(part, language) or part for part in text.split("; "))
            self._known[text, language] = known
        return known

    def _whole(self, text: str, language: str) -> str | None:
        pair = self._words.get(text.lower())
        if pair is not None:
            return pair[language]
        for pattern, open_places, pair in self._sentences:
            match = pattern.fullmatch(text)
            if match is not None and places(pair[language]) == open_places:
                return _filled(pair[language], iter(match.groups()))
        return None


def _filled(sentence: str, fills: Iterator[str]) -> str:
    return PLACE.sub(lambda _: next(fills), sentence)


def _compiled(words: Iterable[tuple[str, Pair]]) -> Iterator[tuple[re.Pattern[str], list[str], Pair]]:
    for code, pair in words:
        if open_places := places(code):
            fits = "".join(_FITS.get(part, re.escape(part)) for part in re.split("([#…])", code))
            yield re.compile(fits, re.IGNORECASE | re.DOTALL), open_places, pair
