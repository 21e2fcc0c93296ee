"""What papers say in words about their own figures, held against these figures.

What belongs here: the closed set of kinds of claim and the rule for each. What does not: any claim, paper or variable;
tests of figures against figures (`printed_tables`).

A claim is a row: claim_id, kind, subject, among, value. `subject` and `among` select rows of the tables of figures:
either ids separated by spaces, or conditions `column=value|value` on the table of statistics, or on another table named
before a colon (`sites: county=X`). Several conditions hold together.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from analysis.plausibility import Printed, printed

Row = Mapping[str, str]
Tables = Mapping[str, Sequence[Row]]

STATISTICS = "statistics"
CELL = ("source_file", "table_or_section", "wave", "group", "model", "dependent", "variable")
TOLD = ("sign", "significance_level")
"""Statistics that repeat a claim of the text."""

CONDITION = re.compile(r"(\w+)=(\S+)")


class ClaimVerdict(StrEnum):
    """What the figures say about a claim."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    NOT_TESTABLE = "not_testable"


@dataclass(frozen=True)
class Outcome:
    """A claim held against the figures.

    Attributes
    ----------
    claim_id : str
    verdict : ClaimVerdict
    arithmetic : str
        The figures, so that a reader can see it.
    ids : tuple of str
        Figures it was held against.
    """

    claim_id: str
    verdict: ClaimVerdict
    arithmetic: str
    ids: tuple[str, ...]


class SelectorError(ValueError):
    """A selector that selects nothing or cannot be read; the message names it."""


def select(selector: str, tables: Tables) -> list[Row]:
    """Rows that a selector names, in the order of the ids or of the table.

    Raises
    ------
    SelectorError
        If it names a table, column or id that is not there, or selects nothing.
    """
    head, colon, rest = selector.partition(":")
    name, conditions = (head.strip(), rest) if colon and head.strip() in tables else (STATISTICS, selector)
    rows = tables[name]
    if not rows:
        raise SelectorError(f"{selector!r}: the table {name} is empty")
    tokens = conditions.split()
    if not tokens:
        return list(rows)
    key = next(iter(rows[0]))
    if all(not CONDITION.fullmatch(token) for token in tokens):
        by_id = {row[key]: row for row in rows}
        if missing := [token for token in tokens if token not in by_id]:
            raise SelectorError(f"{' '.join(missing)} is no {key} of {name}")
        return [by_id[token] for token in tokens]
    wanted: dict[str, list[str]] = {}
    for token in tokens:
        match = CONDITION.fullmatch(token)
        if match is None or match[1] not in rows[0]:
            raise SelectorError(f"{token!r} is no condition on a column of {name}")
        wanted[match[1]] = match[2].split("|")
    selected = [row for row in rows if all(row[column] in values for column, values in wanted.items())]
    if not selected:
        raise SelectorError(f"{selector!r} selects no row of {name}")
    return selected


def check(claim: Row, tables: Tables) -> Outcome:
    """Hold one claim against the figures.

    Raises
    ------
    SelectorError
        If the claim is about a figure that is not there.
    """
    rule = RULES[claim["kind"]]
    subject = select(claim["subject"], tables) if claim["subject"] else []
    among = select(claim["among"], tables) if claim["among"] else []
    verdict, text = rule(Evidence(subject, among, claim["value"], _index(tables)))
    ids = tuple(dict.fromkeys(next(iter(row.values())) for row in (*subject, *among)))
    return Outcome(claim["claim_id"], verdict, text, ids)


@dataclass(frozen=True)
class Evidence:
    """What a rule sees: selected rows, the value claimed, and the stars of every cell."""

    subject: Sequence[Row]
    among: Sequence[Row]
    value: str
    stars: Mapping[tuple[str, ...], str]


def _index(tables: Tables) -> Mapping[tuple[str, ...], str]:
    return {
        tuple(row[c] for c in CELL): row["value"] for row in tables[STATISTICS] if row["statistic"] == "stars"
    }


Result = tuple[ClaimVerdict, str]


def _decide(holds: bool, text: str) -> Result:
    return (ClaimVerdict.HOLDS if holds else ClaimVerdict.CONTRADICTED), text


def _untested(text: str) -> Result:
    return ClaimVerdict.NOT_TESTABLE, text


def _numbers(rows: Iterable[Row]) -> list[tuple[Row, Printed]]:
    """Rows with a figure; a sign or a level told in words is a claim itself and proves none."""
    return [
        (row, number)
        for row in rows
        if row["statistic"] not in TOLD and (number := printed(row["value"])) is not None
    ]


def _label(row: Row) -> str:
    parts = (
        row["model"],
        row["group"] if row["group"] != "full_sample" else "",
        row["variable"],
        row["wave"],
    )
    return " ".join(p for p in parts if p and p != "single")


def _shown(pairs: Iterable[tuple[Row, Printed]], stars: Mapping[tuple[str, ...], str] | None = None) -> str:
    labels = []
    for row, number in pairs:
        mark = (stars or {}).get(tuple(row[c] for c in CELL), "0")
        labels.append(f"{_label(row)} {number.text}{'*' * int(mark if mark.isdigit() else 0)}")
    return ", ".join(labels)


def _significant(row: Row, stars: Mapping[tuple[str, ...], str]) -> bool | None:
    mark = stars.get(tuple(row[c] for c in CELL))
    return None if mark is None or not mark.isdigit() else int(mark) > 0


def _effect(wanted: int) -> Callable[[Evidence], Result]:
    """Every coefficient selected has the sign and is significant."""

    def rule(e: Evidence) -> Result:
        pairs = _numbers(e.subject)
        if not pairs:
            return _untested("the coefficients are not printed")
        marks = [_significant(row, e.stars) for row, _ in pairs]
        against = [
            (row, number)
            for (row, number), mark in zip(pairs, marks, strict=True)
            if number.value * wanted < 0 or mark is False
        ]
        text = _shown(pairs, e.stars)
        if against:
            return _decide(False, f"{text}; not so: {_shown(against, e.stars)}")
        return _untested(f"{text}; no stars printed") if None in marks else _decide(True, text)

    return rule


def _significant_all(e: Evidence) -> Result:
    """Every coefficient selected is significant."""
    pairs = _numbers(e.subject)
    marks = [_significant(row, e.stars) for row, _ in pairs]
    if not pairs or None in marks:
        return _untested("the coefficients or their stars are not printed")
    return _decide(all(marks), _shown(pairs, e.stars))


def _sign(e: Evidence) -> Result:
    """Every coefficient or change selected has the sign claimed, 0 meaning that none is significant."""
    pairs = _numbers(e.subject)
    if not pairs:
        return _untested("the figures are not printed")
    wanted = int(e.value)
    if wanted == 0:
        return _no_effect(e)
    against = [(row, n) for row, n in pairs if n.value * wanted < 0]
    text = _shown(pairs, e.stars)
    return _decide(not against, f"{text}; not so: {_shown(against, e.stars)}" if against else text)


def _no_effect(e: Evidence) -> Result:
    """No coefficient selected is significant."""
    pairs = _numbers(e.subject)
    marks = [_significant(row, e.stars) for row, _ in pairs]
    against = [pair for pair, mark in zip(pairs, marks, strict=True) if mark]
    if against:
        return _decide(False, f"not so: {_shown(against, e.stars)}")
    if not pairs or None in marks:
        return _untested("the coefficients or their stars are not printed")
    return _decide(True, _shown(pairs, e.stars))


def _extreme(direction: int) -> Callable[[Evidence], Result]:
    """The figure selected is the highest (or lowest) among others."""

    def rule(e: Evidence) -> Result:
        mine, others = _numbers(e.subject), _numbers(e.among)
        ids = {id(row) for row, _ in mine}
        others = [pair for pair in others if id(pair[0]) not in ids]
        if not mine or not others:
            return _untested("the figures to compare with are not printed")
        worst = min(direction * n.value for _, n in mine)
        against = [(row, n) for row, n in others if direction * n.value > worst]
        text = f"{_shown(mine)} among {_shown(others)}"
        return _decide(not against, f"{text}; beyond it: {_shown(against)}" if against else text)

    return rule


def _rank(e: Evidence) -> Result:
    """The figures stand from large to small as listed, and no significant one among the others lies between them."""
    listed = _numbers(e.subject)
    if len(listed) < 2 or len(listed) < len(e.subject):
        return _untested("not all of the ranked figures are printed")
    sizes = [n.value for _, n in listed]
    text = " > ".join(_shown([pair], e.stars) for pair in listed)
    if sizes != sorted(sizes, reverse=True):
        return _decide(False, f"{text}: not in this order")
    ids = {id(row) for row, _ in listed}
    between = [
        (row, n)
        for row, n in _numbers(e.among)
        if id(row) not in ids and n.value > sizes[-1] and _significant(row, e.stars)
    ]
    if between:
        return _decide(False, f"{text}; left out: {_shown(between, e.stars)}")
    return _decide(True, text)


def _change(direction: int) -> Callable[[Evidence], Result]:
    """The figure of the later wave, `among`, lies above (below) that of the earlier one."""

    def rule(e: Evidence) -> Result:
        before, after = _numbers(e.subject), _numbers(e.among)
        if len(before) != 1 or len(after) != 1:
            return _untested("one of the two figures is not printed")
        a, b = before[0][1], after[0][1]
        return _decide((b.value - a.value) * direction > 0, f"{a.text} -> {b.text}: {b.value - a.value:+.6g}")

    return rule


def _count(e: Evidence) -> Result:
    """As many are named as announced."""
    announced = int(float(e.value))
    return _decide(len(e.subject) == announced, f"{announced} announced, {len(e.subject)} named")


def _count_distinct(e: Evidence) -> Result:
    """As many different values stand in a column (`value`: column=number) as announced."""
    column, _, number = e.value.partition("=")
    names = sorted({row[column] for row in e.subject if row[column]})
    text = f"{number} announced, {len(names)} named: {', '.join(names)}"
    return _decide(len(names) == int(number), text)


def _named(rule: Callable[[Evidence], Result]) -> Callable[[Evidence], Result]:
    """A count of things of which the paper names only some: more than announced contradict it, fewer do not."""

    def relaxed(e: Evidence) -> Result:
        verdict, text = rule(e)
        announced, named = (int(word) for word in re.findall(r"\d+", text)[:2])
        if verdict is ClaimVerdict.CONTRADICTED and named < announced:
            return _untested(f"{text}; the others are not named")
        return verdict, text

    return relaxed


def _bound(direction: int) -> Callable[[Evidence], Result]:
    """The figure bounds all others from below (above)."""

    def rule(e: Evidence) -> Result:
        mine, others = _numbers(e.subject), _numbers(e.among)
        if len(mine) != 1 or not others:
            return _untested("the bound or what it bounds is not printed")
        limit = mine[0][1].value
        against = [(row, n) for row, n in others if direction * (n.value - limit) < 0]
        nearest = min(others, key=lambda pair: direction * pair[1].value)
        text = f"{limit:g} against {_shown(against or [nearest])}"
        return _decide(not against, text)

    return rule


def _ratio(e: Evidence) -> Result:
    """The sums of two selections have the ratio claimed, within its rounding."""
    one, two = (sum(n.value for _, n in _numbers(rows)) for rows in (e.subject, e.among))
    claimed = printed(e.value)
    if not two or claimed is None:
        return _untested("no figures to divide")
    return _decide(
        claimed.overlaps(one / two, one / two), f"{one:g} / {two:g} = {one / two:.2f}, said {e.value}"
    )


def _equal(e: Evidence) -> Result:
    """The figure is the value claimed."""
    mine, claimed = _numbers(e.subject), printed(e.value)
    if len(mine) != 1 or claimed is None:
        return _untested("the figure is not printed")
    number = mine[0][1]
    return _decide(number.overlaps(claimed.low, claimed.high), f"{_shown(mine)}, said {e.value}")


def _largest_gap(e: Evidence) -> Result:
    """Of all variables, the one named in `value` shows the largest distance of the group to the highest group."""
    gaps = {}
    for row, number in _numbers(e.subject):
        others = [n.value for other, n in _numbers(e.among) if other["variable"] == row["variable"]]
        if others:
            gaps[row["variable"]] = max(others) - number.value
    if e.value not in gaps or len(gaps) < 2:
        return _untested("the figures of the groups are not printed")
    most = max(gaps, key=lambda name: gaps[name])
    listed = ", ".join(f"{name} {gap:.2f}" for name, gap in gaps.items())
    return _decide(most == e.value, f"distance to the highest group: {listed}")


def _said_of(e: Evidence) -> Result:
    """What one place says of these models, another says of the same ones."""
    one, two = ({row["model"] for row in rows} for rows in (e.subject, e.among))
    text = f"said of {', '.join(sorted(one))}; elsewhere of {', '.join(sorted(two))}"
    return _decide(one == two, text)


def _dates(e: Evidence) -> Result:
    """The first date is not after the second (`value`: date date)."""
    first, second = (date.fromisoformat(text) for text in e.value.split())
    return _decide(first <= second, f"{first} and {second}")


def _covered(e: Evidence) -> Result:
    """Each row of `among` is linked by a row of `subject`, whose column `links` lists ids."""
    linked = {link for row in e.subject for link in row["links"].split()}
    open_ = [next(iter(row.values())) for row in e.among if next(iter(row.values())) not in linked]
    return _decide(not open_, f"without one: {', '.join(open_)}" if open_ else f"all {len(e.among)} have one")


RULES: Mapping[str, Callable[[Evidence], Result]] = {
    "effect_positive": _effect(1),
    "effect_negative": _effect(-1),
    "no_effect": _no_effect,
    "significant": _significant_all,
    "sign": _sign,
    "highest": _extreme(1),
    "lowest": _extreme(-1),
    "rank": _rank,
    "increased": _change(1),
    "decreased": _change(-1),
    "count": _count,
    "count_distinct": _count_distinct,
    "count_named": _named(_count),
    "count_distinct_named": _named(_count_distinct),
    "at_least": _bound(1),
    "at_most": _bound(-1),
    "ratio": _ratio,
    "equal": _equal,
    "largest_gap": _largest_gap,
    "said_of": _said_of,
    "not_after": _dates,
    "covered": _covered,
}
"""Kinds of claim."""
