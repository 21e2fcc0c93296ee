"""What a new survey folder proposes beyond single columns: ids, rounds, sites, and the sampling design.

Belongs here: judging columns together, each proposal with its reason. Does not belong here: one column
(`scaffold_columns`), or the folder that is written (`scaffold`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pyarrow as pa

from relocation_warehouse.survey.scaffold_columns import (
    MOST_CODES,
    FoundCode,
    FoundColumn,
    Pattern,
    Recognition,
)
from relocation_warehouse.survey.vocabulary import ColumnType

NUMBERS = (ColumnType.NUMBER, ColumnType.INTEGER)

MOST_ROUNDS = 50
"""A column with more different answers than this names no rounds."""

KEY_COLUMNS = 12
"""Columns at the start of a file of which two together are tried as a household id."""


@dataclass(frozen=True)
class Key:
    """What tells the rows of a table apart.

    Attributes
    ----------
    ids
        Columns that together are the household id.
    round
        Column that says the round of a row, where a household has several rows.
    reason
        Why these are proposed.
    """

    ids: tuple[FoundColumn, ...] = ()
    round: FoundColumn | None = None
    reason: str = ""


def name_of(text: str) -> str:
    """Lower-case name made of the Latin letters and digits of a text; empty where there are none."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return re.sub(r"^(?=\d)", "q", name)[:40]


def proposed_key(
    columns: Sequence[FoundColumn], arrays: Mapping[str, pa.ChunkedArray], known: Recognition
) -> Key:
    """What tells the rows of a table apart: one column, one column and a round, or two columns."""
    free = [c for c in columns if not (c.personal or c.ignored)]
    named = [c for p in known.household_id for c in free if p.fits(c.name, c.label)]
    rounds = [
        c
        for p in known.round
        for c in free
        if p.fits(c.name, c.label) and 1 < len(c.answers) <= MOST_ROUNDS and c.type is not ColumnType.NUMBER
    ]
    for column in dict.fromkeys(named):
        if column.is_unique:
            return Key((column,), None, "its header is that of an id, and every row has its own")
        for at in dict.fromkeys(rounds):
            if column is not at and are_unique((column, at), arrays):
                return Key((column,), at, f"{column.header} repeats, but never within one {at.header}")
    whole = [c for c in free[:KEY_COLUMNS] if c.type is not ColumnType.NUMBER and not c.codes]
    for pair in combinations(whole, 2):
        if named and pair[0] not in named and pair[1] not in named:
            continue
        if are_unique(pair, arrays):
            return Key(pair, None, "the two together are different in every row")
    unique = next((c for c in whole if c.is_unique), None)
    return Key((unique,), None, "every row has its own") if unique and not named else Key()


def are_unique(pair: Sequence[FoundColumn], arrays: Mapping[str, pa.ChunkedArray]) -> bool:
    """Whether two columns are never blank and the same in no two rows."""
    both = pa.table([arrays[c.header] for c in pair], names=["a", "b"])
    if both["a"].null_count or both["b"].null_count:
        return False
    return bool(both.group_by(["a", "b"]).aggregate([]).num_rows == both.num_rows)


def rounds_of(column: FoundColumn) -> tuple[FoundCode, ...]:
    """A code for every round, in order: of numbers where they are numbers, else of the labels or words."""
    labels = {c.code: c.label for c in column.codes if c.value}
    numeric = all(re.fullmatch(r"-?\d+(\.\d+)?", a) for a in column.answers)
    ordered = sorted(column.answers, key=float if numeric else None)
    header = name_of(column.name) or "round"
    names = [name_of(labels.get(a, a)) for a in ordered]
    named = [
        n if n and not re.match(r"q\d", n) else f"{header}_{name_of(a).lstrip('q')}"
        for n, a in zip(names, ordered, strict=True)
    ]
    return tuple(
        FoundCode(a, labels.get(a) or f"{column.name} {a}", value=n)
        for a, n in zip(ordered, named, strict=True)
    )


def _is_weight(column: FoundColumn) -> bool:
    return (
        column.type in NUMBERS
        and (column.asks_how_written or (column.minimum is not None and column.minimum >= 0))
        and len(column.answers) != 1
    )


def _is_group(column: FoundColumn) -> bool:
    return column.type in (*NUMBERS, ColumnType.TEXT, ColumnType.CODE) and not column.is_unique


def fitting(
    columns: Iterable[FoundColumn], patterns: Iterable[Pattern], is_one: Callable[[FoundColumn], bool]
) -> FoundColumn | None:
    """The first column that a pattern fits and that can be one by its answers, the earlier patterns first."""
    free = [c for c in columns if not (c.personal or c.ignored) and is_one(c)]
    return next((c for p in patterns for c in free if p.fits(c.name, c.label)), None)


def proposed_site(
    columns: Sequence[FoundColumn], known: Recognition, taken: Sequence[FoundColumn], survey_id: str
) -> FoundColumn | None:
    """The column that names the site, with a code for each of its answers; a question of yes and no names none."""

    def names_places(column: FoundColumn) -> bool:
        # 1号点, 2号点 are numbers with a word behind them, and name places all the same
        is_numbered = bool(column.convention) and len(column.answers) <= MOST_CODES
        kinds = (ColumnType.CODE, ColumnType.INTEGER, ColumnType.TEXT, *([ColumnType.NUMBER] * is_numbered))
        several = bool(column.answers) and not column.is_unique and not column.is_yes_no
        return column.type in kinds and several and column not in taken

    site = fitting(columns, known.site, names_places)
    if site is None:
        return None
    labels = {c.code: c for c in site.codes if c.value}
    numeric = all(a.isdecimal() for a in site.answers)
    answers = dict.fromkeys([*labels, *sorted(site.answers, key=int if numeric else None)])
    missing = [c for c in site.codes if c.missing_reason]
    places = [a for a in answers if a not in {c.code for c in missing}]
    text = {a: labels[a].label if a in labels else f"{site.name} {a}" if numeric else a for a in places}
    site.type, site.minimum, site.maximum, site.convention = ColumnType.CODE, None, None, {}
    site.codes = (
        *(FoundCode(a, text[a], value=f"{survey_id.upper()}_{n}") for n, a in enumerate(places, 1)),
        *missing,
    )
    return site


def proposed_design(columns: Sequence[FoundColumn], known: Recognition) -> dict[str, FoundColumn]:
    """The column of each field of the sampling design that a header or label shows."""
    patterns = (
        ("weight", known.weight, _is_weight),
        ("stratum", known.stratum, _is_group),
        ("sampling_unit", known.sampling_unit, _is_group),
    )
    return {name: fits for name, some, is_one in patterns if (fits := fitting(columns, some, is_one))}
