"""The definition of a form (XLSForm) beside its export: labels of questions and answers.

Belongs here: questions by their full path, their choices, and which header of an export is which question.
Does not belong here: the answers (`odk`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from relocation_warehouse.survey.codebook import Entry

SHEETS = ("survey", "choices")
SEPARATORS = "/-:."
"""What exports put between the names of a path: `land/area` (Kobo), `land-area` (Central), and by option `:` or `.`."""

SELECT = re.compile(
    r"(?P<kind>select[_ ]one|select1|select[_ ]multiple|select all that apply|rank)(?P<source>[_ ]external)?\s+"
    r"(?:from\s+)?(?P<list>\S+)(?P<other>\s+or[_ ](?:other|specify[_ ]other))?\s*$",
    re.IGNORECASE,
)
SAME_KINDS = {"select_all_that_apply": "select_multiple", "select1": "select_one"}
OPENS = re.compile(r"begin[_ ](group|repeat)$")
CLOSES = re.compile(r"end[_ ](group|repeat)$")

Row = Mapping[str, object]


@dataclass(frozen=True)
class Question:
    """A question of a form.

    Attributes
    ----------
    path
        Names of its groups and repeat groups, then its own.
    repeat
        Path of the innermost repeat group that it is in; empty where it is asked once.
    """

    path: tuple[str, ...]
    repeat: tuple[str, ...]
    type: str
    label: str | None
    choices: Mapping[str, str] = field(default_factory=dict)


def questions(survey: Iterable[Row], choices: Iterable[Row], language: str | None) -> list[Question]:
    """Every question of a form.

    Parameters
    ----------
    survey, choices
        Rows of the two sheets by header.
    language
        Language of the labels, as far as the form has it.
    """
    lists = _lists(choices, language)
    listed: list[Question] = []
    above: list[tuple[str, bool]] = []
    for row in map(_plain, survey):
        kind, name = str(row.get("type") or "").strip(), str(row.get("name") or "").strip()
        if opened := OPENS.match(kind.lower()):
            above.append((name, opened[1] == "repeat"))
        elif CLOSES.match(kind.lower()):
            above = above[:-1]
        elif kind and name:
            last = max((n for n, (_, is_repeat) in enumerate(above, 1) if is_repeat), default=0)
            path = tuple(n for n, _ in above)
            select = SELECT.match(kind)
            answers = dict(lists.get(select["list"], {})) if select else {}
            if select and select["other"]:
                answers.setdefault("other", "Other")
            if select:
                asked = select["kind"].lower().replace(" ", "_")
                kind = f"{SAME_KINDS.get(asked, asked)} {select['list']}"
            listed.append(Question((*path, name), path[:last], kind, _label(row, language), answers))
    return listed


def agreed(versions: Sequence[Sequence[Question]]) -> list[Question]:
    """Questions of several versions of a form; what two versions say differently is not said."""
    merged: dict[tuple[tuple[str, ...], tuple[str, ...]], Question] = {}
    for question in (q for version in versions for q in version):
        known = merged.setdefault((question.path, question.repeat), question)
        if known != question:
            contradicted = {
                c for c in known.choices if question.choices.get(c, known.choices[c]) != known.choices[c]
            }
            answers = {
                c: t for c, t in {**known.choices, **question.choices}.items() if c not in contradicted
            }
            label = known.label if known.label == question.label else None
            merged[question.path, question.repeat] = replace(known, label=label, choices=answers)
    return list(merged.values())


def described(headers: Sequence[str], table: str, asked: Sequence[Question]) -> list[Entry]:
    """What a form says of the columns of one table; nothing of a header that could be two questions.

    Parameters
    ----------
    headers
        Headers of the export.
    table
        Name of the repeat group, as the export has it; empty for the submissions.
    asked
        Questions of the form.
    """
    here = [q for q in asked if q.repeat and _ends_with(table, q.repeat)]
    scope = here or [q for q in asked if not (q.repeat or table)] or list(asked)
    known = _Names(scope), _Names(asked)
    return [_entry(header, known) for header in headers]


def _entry(header: str, known: Sequence[_Names]) -> Entry:
    for names in known:
        if question := names.of(header):
            return Entry(header, question.type, question.label, question.choices)
        for separator in SEPARATORS:
            asked, _, choice = header.rpartition(separator)
            several = names.of(asked) if asked else None
            if several and several.type.startswith("select_multiple") and choice in several.choices:
                return Entry(
                    header, "choice of a select_multiple", f"{several.label}: {several.choices[choice]}"
                )
    return Entry(header, "text")


class _Names:
    """Questions by the ways in which an export may name them."""

    def __init__(self, asked: Sequence[Question]) -> None:
        self._whole: dict[str, set[int]] = {}
        self._ends: dict[str, set[int]] = {}
        self._asked = asked
        self._groups = {name for question in asked for name in question.path[:-1]}
        for number, question in enumerate(asked):
            for start in range(len(question.path)):
                for separator in SEPARATORS:
                    name = separator.join(question.path[start:])
                    self._ends.setdefault(name, set()).add(number)
                    if start == 0:
                        self._whole.setdefault(name, set()).add(number)

    def of(self, header: str) -> Question | None:
        """The one question that a header names: by its whole path, by its end, or below a name of the form itself."""
        parts = header.split("/")
        inside = next((n for n, part in enumerate(parts) if part in self._groups), len(parts) - 1)
        below = ("/".join(parts[n:]) for n in range(1, inside + 1))
        tried = [self._whole.get(header), self._ends.get(header), *map(self._whole.get, below)]
        numbers_of_name = next((numbers for numbers in tried if numbers), set())
        return self._asked[next(iter(numbers_of_name))] if len(numbers_of_name) == 1 else None


def _ends_with(table: str, repeat: Sequence[str]) -> bool:
    """Whether the name of a table is that of a repeat group, whole or by its end, perhaps cut as a sheet's name."""
    names = {separator.join(repeat[start:]) for start in range(len(repeat)) for separator in SEPARATORS}
    ends = tuple(separator + name for name in names for separator in SEPARATORS)
    return (
        table in names
        or table.endswith(ends)
        or (len(table) > 24 and any(n.startswith(table) for n in names))
    )


def _plain(row: Row) -> dict[str, object]:
    """A row under headers in lower case with `_` for blanks; what stands after `::` or `:` stays as it is."""
    plain: dict[str, object] = {}
    for header, value in row.items():
        name, colon, language = header.partition(":")
        plain[re.sub(r"\s+", "_", name.strip().lower()) + colon + language] = value
    return plain


def _lists(choices: Iterable[Row], language: str | None) -> dict[str, dict[str, str]]:
    """Labels by list and answer; a name that one list gives two labels (where a filter chooses) has none."""
    pairs_of_list: dict[str, list[tuple[str, str]]] = {}
    for row in map(_plain, choices):
        of, name = row.get("list_name") or row.get("list"), row.get("name") or row.get("value")
        label = _label(row, language)
        if of and name and label:
            pairs_of_list.setdefault(str(of).strip(), []).append((str(name).strip(), label))
    lists = {}
    for of, pairs in pairs_of_list.items():
        labels = Counter(name for name, _ in set(pairs))
        lists[of] = {name: label for name, label in pairs if labels[name] == 1}
    return lists


def _label(row: Row, language: str | None) -> str | None:
    labels = {
        h.partition(":")[2].strip(": "): v for h, v in row.items() if h.split(":")[0] in ("label", "caption")
    }
    wanted = (language or "").strip().casefold()
    if wanted:
        for name, value in labels.items():
            spoken = name.casefold()
            if value is not None and (spoken.startswith(wanted) or spoken.endswith(f"({wanted})")):
                return str(value)
    value = labels.get("") or next((v for v in labels.values() if v is not None), None)
    return None if value is None else str(value)
