"""Which columns may measure which indicator: likeness of questions and labels, for files of any width.

Belongs here: comparing the words of columns with those of the catalog. Does not belong here: judging a column by its
cells (`scaffold_columns`), or the mapping that is proposed (`scaffold`).

A file of ten thousand columns against a hundred indicators is millions of pairs. Nearly all share no word, and are
found not to by a table of words before any two texts are compared.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
from rapidfuzz import fuzz, process

from relocation_warehouse.survey.catalog import Indicator
from relocation_warehouse.survey.scaffold_columns import (
    LANGUAGES,
    FoundColumn,
    Recognition,
    plain_text,
)
from relocation_warehouse.survey.vocabulary import ColumnType

SURE = 95
"""Likeness (0 to 100) from which a column is proposed for an indicator; a person confirms or rejects it."""

POSSIBLE = 65
"""Likeness from which a column is listed as a candidate: two of three words are the same."""

MISSPELT, SHORT = 88, 5
"""Likeness from which two words are one, perhaps in another form; short ones only where one begins with the other."""

Scored = tuple[float, FoundColumn]


def candidates(
    columns: Iterable[FoundColumn], indicators: Sequence[Indicator], known: Recognition
) -> dict[str, list[Scored]]:
    """Columns that may measure each indicator, the likeliest first.

    Parameters
    ----------
    columns
        Columns of all tables; personal and ignored ones measure nothing.
    indicators
        What is looked for.
    known
        Shortened words, words that say nothing, and how questions name a round.

    Returns
    -------
    dict
        By indicator, likeness (`POSSIBLE` to 100) and column; 100 only where question and label say the same.
    """
    texts, labels = defaultdict[str, list[FoundColumn]](list), defaultdict[str, list[str]](list)
    for column in columns:
        if not (column.personal or column.ignored):
            for text in _questions(column, known):
                texts[text].append(column)
    for indicator in indicators:
        for label in (indicator.label_zh, indicator.label_en, indicator.id.replace("_", " ")):
            if plain := plain_text(label):
                labels[plain].append(indicator.id)
    best: dict[str, dict[FoundColumn, float]] = {i.id: {} for i in indicators}
    for text, label, score in _alike(list(texts), list(labels), known):
        for name in labels[label]:
            for column in texts[text]:
                best[name][column] = max(score, best[name].get(column, 0.0))
    return {
        name: sorted(((s, c) for c, s in scores.items() if s >= POSSIBLE), key=lambda s: (-s[0], s[1].header))
        for name, scores in best.items()
    }


def may_be(column: FoundColumn, indicator: Indicator) -> bool:
    """Whether the answers could be the indicator's values as they are."""
    if indicator.code_list:
        return column.type is ColumnType.CODE and indicator.code_list in column.lists
    return column.type in (ColumnType.NUMBER, ColumnType.INTEGER)


def _questions(column: FoundColumn, known: Recognition) -> set[str]:
    """What a column asks, in each of its languages and by its header, without the round."""
    question = column.text
    for wave in known.waves:
        question = re.sub(wave.pattern, " ", question, flags=re.IGNORECASE)
    return {plain for t in (*question.split(LANGUAGES), column.name) if (plain := plain_text(t))}


def _alike(
    texts: Sequence[str], labels: Sequence[str], known: Recognition
) -> Iterator[tuple[str, str, float]]:
    """Likeness of the texts and labels that have anything in common."""
    yield from ((t, t, 100.0) for t in set(texts) & set(labels))
    others = [label for label in labels if not label.isascii()]
    if texts and others:
        scores = process.cdist(texts, others, scorer=fuzz.ratio, score_cutoff=POSSIBLE, dtype=np.float64)
        for i, j in zip(*np.nonzero(scores), strict=True):
            yield texts[i], others[j], float(scores[i, j])
        # one inside the other is worth a look, but is not the same question
        yield from ((t, b, 90.0) for b in others if len(b) > 1 for t in texts if b in t and t != b)
    words = {label: frozenset(known.spelt(label, _vocabulary(label))) for label in labels if label.isascii()}
    for text, near in _sharing(texts, words, known).items():
        for label in near:
            one, two = frozenset(known.spelt(text, _vocabulary(label))), words[label]
            if one and one == two:
                yield text, label, 100.0
                continue
            common = sum(any(_is_same(x, y) for y in two) for x in one)
            if common:
                yield text, label, min(200.0 * common / (len(one) + len(two)), 94.0)


def _is_same(one: str, two: str) -> bool:
    """Whether two words are one: kids are no kinds."""
    if min(len(one), len(two)) <= SHORT and not (one.startswith(two) or two.startswith(one)):
        return False
    return fuzz.ratio(one, two) >= MISSPELT


def _sharing(
    texts: Iterable[str], words: Mapping[str, frozenset[str]], known: Recognition
) -> dict[str, set[str]]:
    """Labels with which a text may share a word, however it is shortened or joined to others."""
    labels_of = defaultdict[str, set[str]](set)
    for label, own in words.items():
        for word in own:
            labels_of[word].add(label)
    pieces = frozenset(known.words).union(*map(_vocabulary, words))
    reached = {t: _reached(t, pieces, known) for t in {token for text in texts for token in text.split()}}
    ours, theirs = list(set().union(*reached.values())), list(labels_of)
    near = defaultdict[str, set[str]](set)
    if ours and theirs:
        scores = process.cdist(ours, theirs, scorer=fuzz.ratio, score_cutoff=MISSPELT, dtype=np.uint8)
        for i, j in zip(*np.nonzero(scores), strict=True):
            near[ours[i]] |= labels_of[theirs[j]]
    by_token = {t: set[str]().union(*(near[w] for w in some if w in near)) for t, some in reached.items()}
    return {text: set[str]().union(*(by_token[t] for t in text.split())) for text in texts}


def _reached(token: str, pieces: frozenset[str], known: Recognition) -> set[str]:
    """Every word that a token may stand for: itself, what it is made of, and these in full."""
    inside = {token[a:b] for a in range(len(token)) for b in range(a + 2, len(token) + 1)} & pieces
    return {word for part in (token, *inside) for word in known.words.get(part, part).split()}


@cache
def _vocabulary(label: str) -> frozenset[str]:
    return frozenset(w for w in label.split() if len(w) > 2)
