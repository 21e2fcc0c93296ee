"""SQL that judges one cell: its value, or the reason why there is none.

Belongs here: an expression per used column, from what `columns.csv` and `codes.csv` say of it.
Does not belong here: rows (`ingest`), indicators (`crosswalk`), or any running of SQL.

A verdict is NULL for a good value, a missing reason for a declared missing answer, or a rule's name after `FAILED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from survey import sql
from survey.vocabulary import Code, Column, ColumnType, MissingReason

FAILED = "!"
"""Starts a verdict that sets the cell aside."""

BLANKS = " \t\r\n\u00a0\u3000\ufeff\u200b"
"""Characters that are no answer: spaces of several widths and marks that cannot be seen."""

REASONS = f"ENUM({', '.join(map(sql.text, MissingReason))})"
"""SQL type of a missing reason: a text column costs several times more to compress and store than the checks cost."""

DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")

MESSAGES = {
    "not_a_number": ("is not a number", "不是数字"),
    "not_finite": ("is not a finite number", "不是有限数值"),
    "not_whole": ("is not a whole number", "不是整数"),
    "below_minimum": ("is below the minimum {minimum}", "小于下限 {minimum}"),
    "above_maximum": ("is above the maximum {maximum}", "大于上限 {maximum}"),
    "missing_without_reason": (
        "is declared missing in the file, but no code in codes.csv gives its reason",
        "在原始文件中定义为缺失值，但 codes.csv 未说明原因",
    ),
    "unknown_code": ("is not in the code lists {codes} of codes.csv", "不在 codes.csv 的代码表 {codes} 中"),
    "not_a_date": (
        "is not a date (year, month, day; a bare number is not one)",
        "不是日期（须为年、月、日；单独的数字不是日期）",
    ),
}
"""What is wrong with a cell, by rule, in English and Chinese."""


@dataclass(frozen=True)
class CellSql:
    """Expressions for one variable, each layer over the one before.

    Attributes
    ----------
    received
        Over the landed columns: the cell trimmed, NULL where blank; a number where the file stores numbers.
    parsed
        Over `t`, the alias of `received`: the number or date it stands for; same as `t` for text.
    outcomes
        (verdict, condition over `t` and `n`, the alias of `parsed`), to be tried in order; an empty verdict is a
        good value.
    value
        Over `t` and `n`: what is kept where the verdict is NULL.
    """

    received: str
    parsed: str
    outcomes: tuple[tuple[str, str], ...]
    value: str

    @property
    def verdict(self) -> str:
        """SQL over `t` and `n` for the verdict."""
        return _case((sql.text(verdict) if verdict else "NULL", when) for verdict, when in self.outcomes)

    @property
    def reason(self) -> str:
        """SQL over `t` and `n` for the missing reason that the verdict means; NULL for a good value."""
        # Written as constants of the enumeration: to cast a text in every row takes longer than the checks.
        reasons = [
            (MissingReason.OUT_OF_RANGE if verdict.startswith(FAILED) else verdict, when)
            for verdict, when in self.outcomes
        ]
        return _case((f"{sql.text(r)}::{REASONS}" if r else "NULL", when) for r, when in reasons)


def received_text(name: str, kind: pa.DataType, corrections: Mapping[int, str] | None = None) -> str:
    """SQL for a landed cell as text: trimmed, NULL where blank, whole numbers without ".0", corrections applied."""
    if pa.types.is_string(kind):
        cell = f"nullif(trim({name}, {sql.text(BLANKS)}), '')"
    elif pa.types.is_floating(kind):
        cell = (
            f"CASE WHEN {name} = trunc({name}) AND abs({name}) < 1e15 "
            f"THEN CAST(CAST({name} AS BIGINT) AS VARCHAR) ELSE CAST({name} AS VARCHAR) END"
        )
    else:
        cell = f"CAST({name} AS VARCHAR)"
    if corrections:
        cases = " ".join(f"WHEN {row} THEN nullif({sql.text(new)}, '')" for row, new in corrections.items())
        return f"CASE _row {cases} ELSE {cell} END"
    return cell


def cell_sql(
    column: Column,
    codes: Sequence[Code],
    name: str,
    kind: pa.DataType,
    alias: int,
    declared: Iterable[str | tuple[float, float]] = (),
    corrections: Mapping[int, str] | None = None,
) -> CellSql:
    """SQL that judges the cells of a column.

    Parameters
    ----------
    column, codes
        The declaration and every answer it allows.
    name, kind
        Name of the landed column in SQL, and its type.
    alias
        Number that makes the aliases `t<alias>` and `n<alias>`.
    declared
        What the file itself declares as missing.
    corrections
        Replacement by row number.
    """
    t, n = f"t{alias}", f"n{alias}"
    match column.type:
        case ColumnType.NUMBER | ColumnType.INTEGER:
            return _number(column, codes, name, kind, t, n, declared, corrections)
        case ColumnType.CODE:
            parsed, outcomes, value = t, _code_outcomes(codes, t), t
            exact = [c.code for c in codes if c.missing_reason is None]
            if exact and all(c.bounds is None for c in codes):
                value = f"CAST({t} AS ENUM({sql.texts(dict.fromkeys(exact))}))"
        case ColumnType.MULTI:
            words = f"string_split_regex({t}, '\\s+')"
            chosen = [c.code for c in codes if c.missing_reason is None]
            parsed = f"array_to_string({words}, ' ')"
            missing = _matches([c for c in codes if c.missing_reason is not None], t, None)
            outcomes = _outcomes(
                [("blank", f"{t} IS NULL")],
                missing,
                [("", f"list_has_all([{sql.texts(chosen)}]::VARCHAR[], {words})")],
                otherwise="unknown_code",
            )
            value = n
        case ColumnType.DATE:
            day = f"split_part(replace({t}, 'T', ' '), ' ', 1)"
            parsed = f"CAST(try_strptime({day}, [{sql.texts(DATE_FORMATS)}]) AS DATE)"
            outcomes = _outcomes(
                [("blank", f"{t} IS NULL")],
                _matches(codes, t, None),
                [("", f"{n} IS NOT NULL")],
                otherwise="not_a_date",
            )
            value = n
        case _:
            plain = [d for d in declared if isinstance(d, str)]
            unexplained = (
                [(FAILED + "missing_without_reason", f"{t} IN ({sql.texts(plain)})")] if plain else []
            )
            parsed, value = t, t
            outcomes = _outcomes([("blank", f"{t} IS NULL")], _matches(codes, t, None), unexplained)
    return CellSql(received_text(name, kind, corrections), parsed, outcomes, value)


def _number(
    column: Column,
    codes: Sequence[Code],
    name: str,
    kind: pa.DataType,
    t: str,
    n: str,
    declared: Iterable[str | tuple[float, float]],
    corrections: Mapping[int, str] | None,
) -> CellSql:
    is_number = not pa.types.is_string(kind) and not corrections
    if is_number:
        received, parsed = f"CAST({name} AS DOUBLE)", t
    else:
        received = received_text(name, kind, corrections)
        # The cast alone would take 1_000 for a thousand.
        parsed = f"CASE WHEN NOT contains({t}, '_') THEN TRY_CAST({t} AS DOUBLE) END"
    words = {
        c.code: float(c.value) for c in codes if c.value and _is_word(c) and _as_number(c.value) is not None
    }
    unexplained = []
    for item in declared:
        low, high = item if isinstance(item, tuple) else (_as_number(item), _as_number(item))
        if low is not None and high is not None:
            unexplained.append(f"{n} BETWEEN {sql.number(low)} AND {sql.number(high)}")
    limits = [
        ("not_a_number", f"{n} IS NULL"),
        ("not_finite", f"NOT isfinite({n})"),
        *(("missing_without_reason", condition) for condition in unexplained),
    ]
    if column.minimum is not None:
        limits.append(("below_minimum", f"{n} < {sql.number(column.minimum)}"))
    if column.maximum is not None:
        limits.append(("above_maximum", f"{n} > {sql.number(column.maximum)}"))
    if column.type is ColumnType.INTEGER:
        limits.append(("not_whole", f"{n} <> floor({n})"))
    text = None if is_number else t
    outcomes = _outcomes(
        [("blank", f"{t} IS NULL")],
        _matches([c for c in codes if c.missing_reason is not None], text, n),
        [("", f"{t} IN ({sql.texts(words)})")] if words and text else [],
        [(FAILED + rule, condition) for rule, condition in limits],
    )
    value = n
    if words and text:
        cases = " ".join(f"WHEN {sql.text(word)} THEN {sql.number(v)}" for word, v in words.items())
        value = f"CASE {t} {cases} ELSE {n} END"
    return CellSql(received, parsed, outcomes, value)


def _code_outcomes(codes: Sequence[Code], t: str) -> tuple[tuple[str, str], ...]:
    number = f"TRY_CAST({t} AS DOUBLE)"
    exact = [c for c in codes if c.bounds is None]
    ranges = [c for c in codes if c.bounds is not None]
    return _outcomes(
        [("blank", f"{t} IS NULL")],
        _matches(exact, t, None),
        _matches(ranges, None, number),
        otherwise="unknown_code",
    )


def _matches(codes: Iterable[Code], t: str | None, n: str | None) -> list[tuple[str, str]]:
    """(verdict, condition) for each reason, and for good codes, that a cell may match as text `t` or number `n`."""
    found: list[tuple[str, str]] = []
    texts: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    for code in codes:
        verdict = code.missing_reason.value if code.missing_reason is not None else ""
        number = _as_number(code.code)
        if code.bounds is not None:
            if n is not None:
                found.append((verdict, _between(n, *code.bounds)))
        elif n is not None and number is not None:
            numbers.setdefault(verdict, []).append(sql.number(number))
        elif t is not None:
            texts.setdefault(verdict, []).append(code.code)
    exact = [(verdict, f"{t} IN ({sql.texts(some)})") for verdict, some in texts.items()]
    exact += [(verdict, f"{n} IN ({', '.join(some)})") for verdict, some in numbers.items()]
    return exact + found


def _outcomes(
    *branches: Iterable[tuple[str, str]], otherwise: str | None = None
) -> tuple[tuple[str, str], ...]:
    """(verdict, condition) in order; `otherwise` is the rule that fails where no condition holds."""
    last = [(FAILED + otherwise, "TRUE")] if otherwise else []
    return tuple(outcome for some in (*branches, last) for outcome in some)


def _case(branches: Iterable[tuple[str, str]]) -> str:
    """CASE over (result, condition)."""
    return f"CASE {' '.join(f'WHEN {condition} THEN {result}' for result, condition in branches)} END"


def _between(n: str, low: float | None, high: float | None) -> str:
    ends = [f"isfinite({n})"]  # NaN sorts above every number and would fall into an open range
    ends += [f"{n} >= {sql.number(low)}"] if low is not None else []
    ends += [f"{n} <= {sql.number(high)}"] if high is not None else []
    return f"({' AND '.join(ends)})"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_word(code: Code) -> bool:
    """Whether a code of a number column is written in words, such as "none" for 0."""
    return code.bounds is None and _as_number(code.code) is None
