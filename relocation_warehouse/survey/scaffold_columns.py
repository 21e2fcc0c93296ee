"""Recognise undescribed columns: their type and their codes.

Belongs here: judging one column from its header, label and cells, with the patterns of `recognition.yml`.
Does not belong here: what it may measure (`scaffold_candidates`), the folder that is written from it (`scaffold`), or
reading files (`readers`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr

from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.conventions import Shown, is_either, judged, number_sql, shown_dates
from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.folder import BLANK
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.vocabulary import Closed, ColumnType, Convention, Label, MissingReason, Wave

MOST_CODES = 20
"""A text column with more different answers than this is no code list."""

LANGUAGES = " / "
"""Stands between the same text in two languages."""

MOST_SITES = 1000
"""A column with more different answers than this names no sites."""

DATE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?([T ].*)?")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


LABEL = re.compile(r"[a-z]+[-_/#]?\d+", re.ASCII | re.IGNORECASE)
"""Letters and a number at once, H07 or HH-7: a column of them names things. An amount has a blank between."""


class Pattern(Closed):
    """A regular expression and what a match means."""

    pattern: str
    reason: str = ""
    unless: str | None = None
    """A text that matches this one does not fit."""

    def fits(self, *texts: str | None) -> bool:
        """Whether any of the texts matches `pattern` and none matches `unless`."""

        def matches(pattern: str) -> bool:
            return any(re.search(pattern, t, re.IGNORECASE) for t in texts if t)

        return matches(self.pattern) and not (self.unless and matches(self.unless))


class Scale(Closed):
    """Answers in an order, each with the words for it."""

    first: int
    words: tuple[tuple[str, ...], ...]

    def values(self, labels: Iterable[str]) -> dict[str, str] | None:
        """Value of each label by its place in the order; None where one is not of this scale."""
        places = {plain_text(word): n for n, same in enumerate(self.words, self.first) for word in same}
        values = {label: _looked_up(label, places) for label in labels}
        return None if None in values.values() else {label: str(v) for label, v in values.items()}


class MissingPattern(Pattern):
    """How an answer looks that is none."""

    reason: MissingReason


class WavePattern(Pattern):
    """How a question about one of two rounds begins."""

    wave: str
    label_en: str
    label_zh: str


class Recognition(Closed):
    """`recognition.yml` of the catalog."""

    personal: tuple[Pattern, ...]
    ignored: tuple[Pattern, ...]
    household_id: tuple[Pattern, ...]
    site: tuple[Pattern, ...]
    weight: tuple[Pattern, ...] = ()
    stratum: tuple[Pattern, ...] = ()
    sampling_unit: tuple[Pattern, ...] = ()
    round: tuple[Pattern, ...] = ()
    missing: tuple[MissingPattern, ...]
    answers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Code of the catalog -> other words for it."""
    scales: tuple[Scale, ...] = ()
    words: dict[str, str] = Field(default_factory=dict)
    """What headers shorten, and what it stands for."""
    stop_words: frozenset[str] = frozenset()
    waves: tuple[WavePattern, ...]
    _reasons: dict[tuple[str | None, ...], str | None] = PrivateAttr(default_factory=dict)
    """What `missing_reason` said: the same few answers stand in most columns."""

    @classmethod
    def load(cls, catalog: Path) -> Recognition:
        """Read the patterns from the catalog's folder."""
        return cls.model_validate(read_yaml(catalog / "recognition.yml"))

    def declared_waves(self) -> tuple[Wave, ...]:
        """The rounds that columns may name, in order of time."""
        return tuple(
            Wave(wave=w.wave, order=order, label=Label(en=w.label_en, zh=w.label_zh))
            for order, w in enumerate(self.waves)
        )

    def wave_of(self, text: str) -> str | None:
        """The round that a question names, if it names one."""
        return next((w.wave for w in self.waves if w.fits(text)), None)

    def wave_of_file(self, name: str) -> str | None:
        """The round that a file's name says, by its words or by the round's own name."""
        words = re.split(r"[^a-z]+", name.lower())
        return next((w.wave for w in self.waves if w.wave in words or w.fits(name)), None)

    def scale(self, labels: Iterable[str]) -> tuple[Scale, dict[str, str]] | None:
        """The shortest scale that all labels are of, with their values."""
        listed = list(labels)
        fitting = [(s, values) for s in self.scales if (values := s.values(listed))]
        return min(fitting, key=lambda f: len(f[0].words), default=None)

    def spelt(self, text: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
        """Words of a question or header that say something, shortened ones in full: hhsize is household size."""
        words: list[str] = []
        for token in plain_text(text).split():
            pieces = (
                [token] if token in vocabulary or not token.isascii() else self._pieces(token, vocabulary)
            )
            for piece in pieces or [token]:
                words += self.words.get(piece, piece).split()
        return tuple(dict.fromkeys(w for w in words if w not in self.stop_words))

    def _pieces(self, token: str, vocabulary: frozenset[str]) -> list[str]:
        """A token as words that follow each other, the longest first; empty where it is not made of known words."""
        if not token:
            return []
        for end in range(len(token), 1, -1):
            head, rest = token[:end], token[end:]
            if (head in self.words or head in vocabulary) and (not rest or self._pieces(rest, vocabulary)):
                return [head, *self._pieces(rest, vocabulary)]
        return []

    def missing_reason(self, *texts: str | None) -> str | None:
        """Why an answer is none, as far as its text says; None where it looks like an answer."""
        if texts not in self._reasons:
            self._reasons[texts] = next((m.reason.value for m in self.missing if m.fits(*texts)), None)
        return self._reasons[texts]


@dataclass(frozen=True)
class FoundCode:
    """One answer as received: a value, or a missing reason."""

    code: str
    label: str
    value: str = ""
    missing_reason: str = ""
    other_label: str = ""
    """The label in a second language."""


@dataclass(eq=False)
class FoundColumn:
    """What a column seems to be.

    Attributes
    ----------
    text
        Its question: the label, or the header where it has none.
    codes
        Answers of a closed question; of a number only the missing ones.
    lists
        Code lists of the catalog whose labels name every answer.
    wave
        The round that the question names.
    personal, ignored
        Why it must not, or need not, be used.
    is_unique
        Whether each row has an answer of its own.
    answers
        Different answers, where they are few enough to name sites.
    is_yes_no
        Whether its answers are yes and no.
    convention
        How its numbers are written, where that is not plain.
    variable, code_lists, convention_name
        Names that the folder gives to it, to its codes and to the convention.
    """

    file_id: str
    header: str
    label: str | None
    type: ColumnType
    codes: tuple[FoundCode, ...] = ()
    lists: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None
    wave: str | None = None
    personal: str | None = None
    ignored: str | None = None
    is_unique: bool = False
    answers: tuple[str, ...] = ()
    is_yes_no: bool = False
    convention: Mapping[str, object] = field(default_factory=dict)
    convention_name: str = ""
    variable: str = ""
    code_lists: list[str] = field(default_factory=list)

    @property
    def asks_how_written(self) -> bool:
        """Whether a person must say how its numbers or days are written, because its cells can be read in two ways."""
        return BLANK in str(self.convention)

    @property
    def text(self) -> str:
        """The question."""
        return self.label or self.name.replace("_", " ")

    @property
    def name(self) -> str:
        """The header without the groups of a form, or the upper rows of a table's head."""
        return self.header.split("/")[-1].strip()


def found_column(
    file_id: str, entry: Entry, cells: pa.ChunkedArray, known: Recognition, catalog: Catalog
) -> FoundColumn:
    """Judge one column.

    Parameters
    ----------
    file_id
        The file it is in.
    entry
        What the file itself says of it.
    cells
        Its cells as received.
    known
        Patterns of headers and answers.
    catalog
        Its code lists give answers their harmonised values where the labels agree.
    """
    name = entry.column.split("/")[-1]
    personal = next((p.reason for p in known.personal if p.fits(name, entry.label)), None)
    ignored = next((p.reason for p in known.ignored if p.fits(name, entry.column)), None)
    values = [t.strip() for v in pc.unique(cells).to_pylist() if (t := cell_text(v)) and t.strip()]
    present = len(cells) - cells.null_count
    column = FoundColumn(
        file_id,
        entry.column,
        entry.label,
        ColumnType.TEXT,
        wave=known.wave_of(entry.label or name),
        personal=personal,
        ignored=ignored,
        is_unique=len(values) == present == len(cells) > 0,
    )
    if personal or ignored:
        return column
    missing = _missing(entry, values, known)
    answers = [v for v in values if v not in {c.code for c in missing} and not _in_range(v, entry)]
    column.answers = tuple(answers) if len(answers) <= MOST_SITES else ()
    labelled = {v: t for v, t in entry.value_labels.items() if v not in {c.code for c in missing}}
    is_multiple = entry.type_as_stored.startswith("select_multiple")
    words = {w for a in answers for w in a.split()} if is_multiple else set(answers)
    written = judged(answers) if pa.types.is_string(cells.type) else Shown()
    is_label = bool(answers) and all(map(LABEL.fullmatch, answers))
    # a few answers without a label are typing errors of a closed question, and will be set aside as such
    if labelled and 2 * len(words - set(labelled)) <= len(words & set(labelled)):
        column.type = ColumnType.MULTI if is_multiple else ColumnType.CODE
        column.codes, column.lists = _coded(labelled, known, catalog)
    elif answers and all(NUMBER.fullmatch(a) for a in answers) and not any(map(_is_label, answers)):
        numbers = [float(a) for a in answers]
        whole = all(n.is_integer() for n in numbers)
        column.type = ColumnType.INTEGER if whole else ColumnType.NUMBER
        if pa.types.is_string(cells.type) and is_either(answers):
            column.type, column.convention = ColumnType.NUMBER, {"decimal": BLANK, "thousands": BLANK}
        else:
            column.minimum, column.maximum = min(numbers), max(numbers)
    elif answers and all(DATE.fullmatch(a) for a in answers):
        column.type = ColumnType.DATE
    elif written.fields and not is_label and (ends := _ends(answers, written.fields)):
        column.type, column.convention = ColumnType.NUMBER, written.fields
        column.minimum, column.maximum = ends if BLANK not in str(written.fields) else (None, None)
    elif answers and len(answers) > 1 and len(formats := shown_dates(answers)) >= 1:
        column.type, column.convention = (
            ColumnType.DATE,
            {"dates": formats[0] if len(formats) == 1 else BLANK},
        )
    elif answers and len(answers) <= min(MOST_CODES, max(2, present // 3)):
        column.type = ColumnType.CODE
        column.codes, column.lists = _coded({a: a for a in sorted(answers)}, known, catalog)
    column.is_yes_no = bool(column.codes) and _is_yes_no([c.label for c in column.codes if c.value], known)
    column.codes += missing
    return column


def _is_label(answer: str) -> bool:
    """Whether figures name something instead of counting it: 007 is no number."""
    return re.fullmatch(r"0\d+", answer) is not None


def _ends(answers: Sequence[str], fields: Mapping[str, object]) -> tuple[float, float] | None:
    """Smallest and largest answer under a convention, None where it does not read all of them.

    Factors that a person must give are taken as 1.
    """
    given = dict(fields)
    if isinstance(suffixes := given.get("suffixes"), dict):
        given["suffixes"] = {word: 1 if factor == BLANK else factor for word, factor in suffixes.items()}
    query = number_sql("answer", Convention.model_validate(given))
    with duckdb.connect() as con:
        ends = con.execute(
            f"select min(n), max(n), count(n) from (select {query} as n from (select unnest($1) as answer))",
            [list(answers)],
        )
        low, high, count = ends.fetchone() or (0.0, 0.0, 0)
    return (low, high) if count == len(answers) else None


def _is_yes_no(labels: Sequence[str], known: Recognition) -> bool:
    scale = known.scale(labels)
    return scale is not None and scale[0].first == 0 and len(scale[0].words) == 2


def _missing(entry: Entry, values: Sequence[str], known: Recognition) -> tuple[FoundCode, ...]:
    """Answers that are none: declared as such by the file, or worded so."""
    missing = {}
    for declared in entry.missing_declared:
        code = declared if isinstance(declared, str) else _range(*declared)
        label = entry.value_labels.get(code, "")
        missing[code] = FoundCode(code, label, missing_reason=known.missing_reason(label, code) or BLANK)
    for code in dict.fromkeys([*entry.value_labels, *values]):
        label = entry.value_labels.get(code, code)
        reason = known.missing_reason(label, code)
        if reason and code not in missing:
            missing[code] = FoundCode(code, label, missing_reason=reason)
    return tuple(missing.values())


def _range(low: float, high: float) -> str:
    """A range as a code; an end that is infinite is open."""
    if low == high:
        return exact(low)
    return "..".join("" if math.isinf(end) else exact(end) for end in (low, high))


def _in_range(value: str, entry: Entry) -> bool:
    """Whether the file declares a range as missing that holds the value."""
    ranges = [d for d in entry.missing_declared if not isinstance(d, str)]
    return (
        bool(ranges)
        and NUMBER.fullmatch(value) is not None
        and any(low <= float(value) <= high for low, high in ranges)
    )


def _coded(
    labels: Mapping[str, str], known: Recognition, catalog: Catalog
) -> tuple[tuple[FoundCode, ...], frozenset[str]]:
    """Codes with the values of a catalog list or a scale whose labels they have, else with their own text as value.

    Low, medium and high are three grades, and not the middle of five: a scored list of the catalog is taken where it is
    no longer than the shortest scale that knows the answers.
    """
    scale = known.scale(labels.values())
    fitting: dict[str, dict[str, str]] = {}
    for name, codes in catalog.code_lists.items():
        values = {
            plain_text(text): c.code
            for c in codes
            for text in (*known.answers.get(c.code, ()), c.label_zh, c.label_en)
        }
        is_scored = all(c.code.isdecimal() for c in codes)
        too_long = is_scored and len(codes) > (len(scale[0].words) if scale else len(labels))
        known_as = {code: _looked_up(label, values) for code, label in labels.items()}
        if not too_long and None not in known_as.values():
            fitting[name] = {code: str(value) for code, value in known_as.items()}
    if scale and not fitting:
        by_code = {code: scale[1][label] for code, label in labels.items()}
        places = {str(n) for n in range(scale[0].first, scale[0].first + len(scale[0].words))}
        # yes and no in other words are still yes and no; grades of the same number may be grades of something else
        same = {
            n for n, c in catalog.code_lists.items() if {x.code for x in c} == places and scale[0].first == 0
        }
        fitting = {"": by_code} | dict.fromkeys(same, by_code)
    chosen = next(iter(fitting.values()), {code: code for code in labels})
    return (
        tuple(FoundCode(code, label, value=chosen[code]) for code, label in labels.items()),
        frozenset(name for name, values in fitting.items() if name and values == chosen),
    )


def _looked_up(label: str, values: Mapping[str, Any]) -> Any:
    """What a label stands for, in the first of its languages that is known; None where none is."""
    return next((values[plain_text(t)] for t in label.split(LANGUAGES) if plain_text(t) in values), None)


@cache
def plain_text(text: str) -> str:
    """A label as it is compared: lower case, without brackets, punctuation and spaces."""
    return re.sub(r"[\W_]+", " ", re.sub(r"[（(].*?[）)]", "", text)).strip().lower()
