"""Sentences about printed figures in Chinese.

Belongs here: which words and notes stand for a sentence that a test, a claim or a comparison composed. Does not belong
here: the words (`tables.yml`), and the notes, which stand beside their English in the literature and the catalog.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.contract.words import Pair, WordsOf
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

NOTES = (
    ("statistics.csv", "note"),
    ("readings.csv", "reason"),
    ("context.csv", "period"),
    ("context.csv", "note"),
)
"""Files and columns of the literature that sentences quote."""


def sentences() -> dict[str, Pair]:
    """Words of the sentences that are composed about printed figures, by sentence."""
    words = contract_of().words()
    return {
        code: word.model_dump()
        for column in ("test", "reason", "arithmetic")
        for code, word in words[column].items()
    }


class Chinese:
    """What a sentence says in Chinese.

    Parameters
    ----------
    literature
        Notes on printed figures, and what papers claim.
    catalog
        Notes on what printed figures are compared with.
    """

    def __init__(self, literature: Literature, catalog: Catalog | None = None) -> None:
        pairs = [(row[c], row[f"{c}_zh"]) for name, c in NOTES for row in literature[name]]
        for rule in catalog.replication.rules if catalog else ():
            pairs += [(rule.note or "", rule.note_zh or ""), (rule.reason or "", rule.reason_zh or "")]
        claims = {f"{c['statement']} …": f"{c['statement_zh']}…" for c in literature["claims.csv"]}
        noted = {en: {"en": en, "zh": zh} for pair in pairs for en, zh in _whole_and_parts(*pair)}
        claimed: Mapping[str, Pair] = {en: {"en": en, "zh": zh} for en, zh in claims.items()}
        self._words = WordsOf({**noted, **claimed, **sentences()})

    def of(self, sentence: str | None) -> str | None:
        """A sentence in Chinese; what has no words stays as it is."""
        return None if sentence is None else self._words.said(sentence, "zh")


def _whole_and_parts(en: str, zh: str) -> Iterator[tuple[str, str]]:
    """A note and, as it may stand among other sentences, each of its parts between semicolons."""
    if en and zh:
        yield en, zh
        parts, said = en.split("; "), zh.split("；")
        if len(parts) == len(said) > 1:
            yield from zip(parts, said, strict=True)
