"""What a column nobody has described yet seems to be: its type, its codes, and what it may measure.

Belongs here: judging one column from its header, label and cells, with the patterns of `recognition.yml`.
Does not belong here: the folder that is written from it (`scaffold`), or reading files (`readers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rapidfuzz import fuzz

from relocation_warehouse.survey.catalog import Catalog, Indicator
from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.folder import BLANK
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.vocabulary import Closed, ColumnType, Label, MissingReason, Wave

MOST_CODES = 20
"""A text column with more different answers than this is no code list."""

SURE = 95
"""Likeness (0 to 100) from which a column is proposed for an indicator; a person confirms or rejects it."""

POSSIBLE = 60
"""Likeness from which a column is listed as a candidate."""

DATE = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?([T ].*)?")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


class Pattern(Closed):
    """A regular expression and what a match means."""

    pattern: str
    reason: str = ""

    def fits(self, *texts: str | None) -> bool:
        """Whether it is found in any of the texts."""
        return any(re.search(self.pattern, t, re.IGNORECASE) for t in texts if t)


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
    missing: tuple[MissingPattern, ...]
    waves: tuple[WavePattern, ...]

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

    def missing_reason(self, *texts: str | None) -> str | None:
        """Why an answer is none, as far as its text says; None where it looks like an answer."""
        return next((m.reason.value for m in self.missing if m.fits(*texts)), None)


@dataclass(frozen=True)
class FoundCode:
    """One answer as received: a value, or a missing reason."""

    code: str
    label: str
    value: str = ""
    missing_reason: str = ""


@dataclass
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
    variable, code_lists
        Names that the folder gives to it and to its codes.
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
    variable: str = ""
    code_lists: list[str] = field(default_factory=list)

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
    labelled = {v: t for v, t in entry.value_labels.items() if v not in {c.code for c in missing}}
    is_multiple = entry.type_as_stored.startswith("select_multiple")
    words = {w for a in answers for w in a.split()} if is_multiple else set(answers)
    # a few answers without a label are typing errors of a closed question, and will be set aside as such
    if labelled and 2 * len(words - set(labelled)) <= len(words & set(labelled)):
        column.type = ColumnType.MULTI if is_multiple else ColumnType.CODE
        column.codes, column.lists = _coded(labelled, catalog)
    elif answers and all(NUMBER.fullmatch(a) for a in answers):
        numbers = [float(a) for a in answers]
        whole = all(n.is_integer() for n in numbers)
        column.type = ColumnType.INTEGER if whole else ColumnType.NUMBER
        column.minimum, column.maximum = min(numbers), max(numbers)
    elif answers and all(DATE.fullmatch(a) for a in answers):
        column.type = ColumnType.DATE
    elif answers and len(answers) <= min(MOST_CODES, max(2, present // 3)):
        column.type = ColumnType.CODE
        column.codes, column.lists = _coded({a: a for a in sorted(answers)}, catalog)
    column.codes += missing
    return column


def _missing(entry: Entry, values: Sequence[str], known: Recognition) -> tuple[FoundCode, ...]:
    """Answers that are none: declared as such by the file, or worded so."""
    found = {}
    for declared in entry.missing_declared:
        code = declared if isinstance(declared, str) else f"{declared[0]:g}..{declared[1]:g}"
        label = entry.value_labels.get(code, "")
        found[code] = FoundCode(code, label, missing_reason=known.missing_reason(label, code) or BLANK)
    for code in dict.fromkeys([*entry.value_labels, *values]):
        label = entry.value_labels.get(code, code)
        reason = known.missing_reason(label, code)
        if reason and code not in found:
            found[code] = FoundCode(code, label, missing_reason=reason)
    return tuple(found.values())


def _in_range(value: str, entry: Entry) -> bool:
    """Whether the file declares a range as missing that holds the value."""
    ranges = [d for d in entry.missing_declared if not isinstance(d, str)]
    return (
        bool(ranges)
        and NUMBER.fullmatch(value) is not None
        and any(low <= float(value) <= high for low, high in ranges)
    )


def _coded(labels: Mapping[str, str], catalog: Catalog) -> tuple[tuple[FoundCode, ...], frozenset[str]]:
    """Codes with the values of a catalog list whose labels are the same, else with their own text as value."""
    fitting: dict[str, dict[str, str]] = {}
    for name, codes in catalog.code_lists.items():
        values = {_plain(text): c.code for c in codes for text in (c.label_zh, c.label_en)}
        if all(_plain(label) in values for label in labels.values()):
            fitting[name] = {code: values[_plain(label)] for code, label in labels.items()}
    chosen = next(iter(fitting.values()), {code: code for code in labels})
    return (
        tuple(FoundCode(code, label, value=chosen[code]) for code, label in labels.items()),
        frozenset(name for name, values in fitting.items() if values == chosen),
    )


@cache
def _plain(text: str) -> str:
    """A label as it is compared: lower case, without brackets, punctuation and spaces."""
    return re.sub(r"[\W_]+", " ", re.sub(r"[（(].*?[）)]", "", text)).strip().lower()


def likeness(column: FoundColumn, indicator: Indicator, known: Recognition) -> float:
    """How alike a question and an indicator's labels are, 0 to 100; 100 only where they are the same."""
    question = column.text
    for wave in known.waves:
        question = re.sub(wave.pattern, " ", question, flags=re.IGNORECASE)
    asked = [_plain(question), _plain(column.name)]
    labels = [_plain(indicator.label_zh), _plain(indicator.label_en), _plain(indicator.id)]
    return max(_alike(a, b) for a in asked for b in labels)


def _alike(a: str, b: str) -> float:
    if not a or not b:
        return 0.0
    score = fuzz.ratio(a, b)
    if not b.isascii() and len(b) > 1 and b in a:
        score = max(score, 90.0)
    if min(len(a), len(b)) >= 4:
        # one inside the other is worth a look, but is not the same question
        score = max(score, 0.9 * fuzz.partial_ratio(a, b), 0.9 * fuzz.token_set_ratio(a, b))
    return float(score)


def candidates(
    columns: Iterable[FoundColumn], indicator: Indicator, known: Recognition
) -> list[tuple[float, FoundColumn]]:
    """Columns that may measure an indicator, the likeliest first."""
    scored = [(likeness(c, indicator, known), c) for c in columns if not (c.personal or c.ignored)]
    return sorted((s for s in scored if s[0] >= POSSIBLE), key=lambda s: (-s[0], s[1].header))


def may_be(column: FoundColumn, indicator: Indicator) -> bool:
    """Whether the answers could be the indicator's values as they are."""
    if indicator.code_list:
        return column.type is ColumnType.CODE and indicator.code_list in column.lists
    return column.type in (ColumnType.NUMBER, ColumnType.INTEGER)
