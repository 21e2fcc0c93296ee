"""SQL that judges one cell: its value, or the reason why there is none.

Belongs here: an expression per used column, from what `columns.csv` and `codes.csv` say of it.
Does not belong here: rows (`ingest`), indicators (`crosswalk`), or any running of SQL.

A verdict is NULL for a good value, a missing reason for a declared missing answer, or a rule's name after `FAILED`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.conventions import ISO_DATES, dates_sql, number_sql
from relocation_warehouse.survey.readers.base import EXACT, cell_text
from relocation_warehouse.survey.vocabulary import Code, Column, ColumnType, Convention, MissingReason

FAILED = "!"
"""Starts a verdict that sets the cell aside."""

BLANKS = " \t\r\n\u00a0\u3000\ufeff\u200b"
"""Characters that are no answer: spaces of several widths and marks that cannot be seen."""

EDGES = f"^[{BLANKS}]+|[{BLANKS}]+$"
"""Regular expression for blanks at either end."""

REASONS = f"ENUM({', '.join(map(sql.text, MissingReason))})"
"""SQL type of a missing reason: a text column costs several times more to compress and store than the checks cost."""

MESSAGES = {
    "not_a_number": ("is not a number{proposal_en}", "不是数字{proposal_zh}"),
    "ambiguous_number": (
        "may have a decimal point or one between thousands: other cells of the column show that its point need not be "
        "a decimal one{proposal_en}",
        "中的点可能是小数点，也可能是千位分隔符：该列其他单元格表明点未必是小数点{proposal_zh}",
    ),
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
        "is not a date (year, month, day; a bare number is not one){proposal_en}",
        "不是日期（须为年、月、日；单独的数字不是日期）{proposal_zh}",
    ),
    "ambiguous_date": (
        "is a different day in two of the formats that its convention declares",
        "按所声明的两种日期格式会得到不同日期",
    ),
}
"""What is wrong with a cell, by rule, in English and Chinese."""


@dataclass(frozen=True)
class CellSql:
    """Expressions for one variable over the landed columns.

    Attributes
    ----------
    alias
        Name under which `parsed` is computed once.
    parsed
        What the cell stands for: a number, a date, a text, or the place of its code
        in a list; NULL where it is none of these.
    outcomes
        (verdict, condition), over the landed columns and the alias, to be tried in order; an empty verdict is a
        good value.
    value
        What is kept where the verdict is NULL, over the landed columns and the alias.
    """

    alias: str
    parsed: str
    outcomes: tuple[tuple[str, str], ...]
    value: str

    @property
    def verdict(self) -> str:
        """SQL for the verdict."""
        return _case((sql.text(verdict) if verdict else "null", when) for verdict, when in self.outcomes)

    @property
    def reason(self) -> str:
        """SQL for the missing reason that the verdict means; NULL for a good value."""
        # Written as constants of the enumeration: to cast a text in every row takes longer than the checks.
        reasons = [
            (MissingReason.OUT_OF_RANGE if verdict.startswith(FAILED) else verdict, when)
            for verdict, when in self.outcomes
        ]
        return _case((f"{sql.text(r)}::{REASONS}" if r else "null", when) for r, when in reasons)


@dataclass(frozen=True)
class LandedColumn:
    """A landed column as SQL sees it: its name there, its type, and replacements by row number."""

    name: str
    kind: pa.DataType
    corrections: Mapping[int, str] = field(default_factory=dict)
    holds_numbers: bool = False
    """Whether cells that land as text may have been numbers in the file."""

    @property
    def is_text(self) -> bool:
        """Whether cells are text; a column with corrections is."""
        return bool(self.corrections) or bool(pa.types.is_string(self.kind))

    @property
    def trimmed(self) -> str:
        """SQL for a cell as text: whole numbers without ".0", corrections applied, blanks at both ends removed."""
        cell = f"regexp_replace({self.name}, {sql.text(EDGES)}, '', 'g')"
        if pa.types.is_floating(self.kind):
            cell = (
                f"case when {self.name} = trunc({self.name}) and abs({self.name}) <= {EXACT} "
                f"then cast(cast({self.name} as bigint) as varchar) else cast({self.name} as varchar) end"
            )
        elif not pa.types.is_string(self.kind):
            cell = f"cast({self.name} as varchar)"
        if self.corrections:
            cases = (f"when {row} then {sql.text(new)}" for row, new in self.corrections.items())
            return f"case _row {' '.join(cases)} else {cell} end"
        return cell

    @property
    def text(self) -> str:
        """The same, NULL where blank."""
        return f"nullif({self.trimmed}, '')"


def cell_sql(
    column: Column,
    codes: Sequence[Code],
    landed: LandedColumn,
    alias: str,
    declared: Iterable[str | tuple[float, float]] = (),
    convention: Convention | None = None,
    *,
    is_point_doubtful: bool = False,
) -> CellSql:
    """SQL that judges the cells of a column.

    Parameters
    ----------
    column, codes
        The declaration and every answer it allows.
    landed
        The column as it landed.
    alias
        Name that `parsed` will have.
    declared
        What the file itself declares as missing.
    convention
        How the numbers or days of the column are written; None: plainly.
    is_point_doubtful
        Whether other cells of the column show that a point need not be a decimal point.
    """
    n, t = alias, landed.text
    blank = ("blank", f"{n} is null")
    value = n
    match column.type:
        case ColumnType.NUMBER | ColumnType.INTEGER:
            return _number(column, codes, landed, n, declared, convention, is_point_doubtful)
        case ColumnType.CODE:
            if all(c.bounds is None for c in codes):
                return _listed(codes, landed, n)
            parsed = t
            exact, ranges = ([c for c in codes if (c.bounds is None) is plain] for plain in (True, False))
            outcomes = _outcomes(
                [blank],
                _matches(exact, n, None),
                _matches(ranges, None, f"try_cast({n} as double)"),
                otherwise="unknown_code",
            )
        case ColumnType.MULTI:
            parsed = f"array_to_string(string_split_regex({t}, '\\s+'), ' ')"
            chosen = [c.code for c in codes if c.missing_reason is None]
            outcomes = _outcomes(
                [blank],
                _matches([c for c in codes if c.missing_reason is not None], n, None),
                [("", f"list_has_all([{sql.texts(chosen)}]::varchar[], string_split({n}, ' '))")],
                otherwise="unknown_code",
            )
        case ColumnType.DATE:
            day = f"split_part(replace({t}, 'T', ' '), ' ', 1)"
            formats: tuple[str, ...] = ISO_DATES
            if convention is not None and convention.dates:
                day, formats = t, (*convention.dates, ISO_DATES[0])
            parsed, several = dates_sql(day, formats)
            outcomes = _outcomes(
                [("blank", f"{t} is null")],
                _matches(codes, t, None),
                [(FAILED + "ambiguous_date", several)],
                [("", f"{n} is not null")],
                otherwise="not_a_date",
            )
        case _:
            parsed = t
            plain = [d for d in declared if isinstance(d, str)]
            unexplained = (
                [(FAILED + "missing_without_reason", f"{n} in ({sql.texts(plain)})")] if plain else []
            )
            outcomes = _outcomes([blank], _matches(codes, n, None), unexplained)
    return CellSql(n, parsed, outcomes, value)


def _listed(codes: Sequence[Code], landed: LandedColumn, n: str) -> CellSql:
    """Codes that are named one by one; `n` is the place in their list, those that mean missing first.

    Places are found by functions alone, which the engine runs once for each different answer of a column; a
    comparison would be made in every row.
    """
    kind = f"ENUM({sql.texts(dict.fromkeys(c.code for c in codes if c.missing_reason is None))})"
    if not landed.is_text:
        # A number is a code if it is written as the code is: 1 is the code 1, not 01.
        codes = [c for c in codes if (v := _as_number(c.code)) is not None and cell_text(v) == c.code]
    missing = {c.code: c.missing_reason for c in reversed(codes) if c.missing_reason is not None}
    good = dict.fromkeys(c.code for c in codes if c.code not in missing)
    places = {code: number for number, code in enumerate((*missing, *good), start=1)}
    if landed.is_text:
        blank, parsed = landed.text, f"list_position([{sql.texts(places)}]::varchar[], {landed.trimmed})"
    else:
        blank, parsed = landed.name, f"list_position([{', '.join(places)}]::double[], {landed.name})"
    by_reason: dict[str, list[str]] = {}
    for code, reason in missing.items():
        by_reason.setdefault(reason, []).append(str(places[code]))
    outcomes = _outcomes(
        [("", f"{n} > {len(missing)}")],
        [(reason, f"{n} in ({', '.join(some)})") for reason, some in by_reason.items()],
        [("blank", f"{blank} is null")],
        otherwise="unknown_code",
    )
    kept = ", ".join(["null"] * len(missing) + [sql.text(code) for code in good])
    value = f"list_extract([{kept}]::{kind}[], {n})" if good else "cast(null as varchar)"
    return CellSql(n, parsed, outcomes, value)


def _number(
    column: Column,
    codes: Sequence[Code],
    landed: LandedColumn,
    n: str,
    declared: Iterable[str | tuple[float, float]],
    convention: Convention | None,
    is_point_doubtful: bool,
) -> CellSql:
    words = {
        c.code: float(c.value) for c in codes if c.value and _is_word(c) and _as_number(c.value) is not None
    }
    value = n
    if landed.is_text:
        t = landed.text
        # Trimmed only where the cell as it stands does not parse; the cast alone would take 1_000 for a thousand.
        as_it_stands = t if landed.corrections else landed.name
        parsed = f"coalesce({_parsed_number(as_it_stands)}, {_parsed_number(t)})"
        if convention is not None:
            parsed = number_sql(t, convention, holds_numbers=landed.holds_numbers)
        elif is_point_doubtful:
            parsed = f"case when not contains({t}, '.') then {parsed} end"
        if words:
            cases = " ".join(f"when {sql.text(word)} then {sql.number(v)}" for word, v in words.items())
            value = f"case when {n} is null then case {t} {cases} end else {n} end"
    else:
        t, words = landed.name, {}
        parsed = f"cast({t} as double)"
    missing = [c for c in codes if c.missing_reason is not None]
    declared_missing = _matches([c for c in missing if _is_word(c)], t, None) if landed.is_text else []
    declared_missing += [("", f"{t} in ({sql.texts(words)})")] if words else []
    unexplained = []
    for item in declared:
        low, high = item if isinstance(item, tuple) else (_as_number(item), _as_number(item))
        if low is not None and high is not None:
            unexplained.append(f"{n} between {sql.number(low)} and {sql.number(high)}")
    limits = [
        ("not_finite", f"not isfinite({n})"),
        *(("missing_without_reason", condition) for condition in unexplained),
    ]
    if column.minimum is not None:
        limits.append(("below_minimum", f"{n} < {sql.number(column.minimum)}"))
    if column.maximum is not None:
        limits.append(("above_maximum", f"{n} > {sql.number(column.maximum)}"))
    if column.type is ColumnType.INTEGER:
        limits.append(("not_whole", f"{n} <> floor({n})"))
    outcomes = _outcomes(
        [
            (verdict, f"{n} is null and {condition}")
            for verdict, condition in [("blank", f"{t} is null"), *declared_missing]
        ],
        [(FAILED + "ambiguous_number", f"{n} is null and {_parsed_number(t)} is not null")]
        if is_point_doubtful
        else [],
        [(FAILED + "not_a_number", f"{n} is null")],
        _matches([c for c in missing if not _is_word(c)], None, n),
        [(FAILED + rule, condition) for rule, condition in limits],
    )
    return CellSql(n, parsed, outcomes, value)


def _parsed_number(text: str) -> str:
    return f"case when not contains({text}, '_') then try_cast({text} as double) end"


def _matches(codes: Iterable[Code], t: str | None, n: str | None) -> list[tuple[str, str]]:
    """(verdict, condition) for each reason, and for good codes, that a cell may match as text `t` or number `n`."""
    conditions: list[tuple[str, str]] = []
    texts: dict[str, list[str]] = {}
    numbers: dict[str, list[str]] = {}
    for code in codes:
        verdict = code.missing_reason.value if code.missing_reason is not None else ""
        number = _as_number(code.code)
        if code.bounds is not None:
            if n is not None:
                conditions.append((verdict, _between(n, *code.bounds)))
        elif n is not None and number is not None:
            numbers.setdefault(verdict, []).append(sql.number(number))
        elif t is not None:
            texts.setdefault(verdict, []).append(code.code)
    exact = [(verdict, f"{t} in ({sql.texts(some)})") for verdict, some in texts.items()]
    exact += [(verdict, f"{n} in ({', '.join(some)})") for verdict, some in numbers.items()]
    return exact + conditions


def _outcomes(
    *branches: Iterable[tuple[str, str]], otherwise: str | None = None
) -> tuple[tuple[str, str], ...]:
    """(verdict, condition) in order; `otherwise` is the rule that fails where no condition holds."""
    last = [(FAILED + otherwise, "TRUE")] if otherwise else []
    return tuple(outcome for some in (*branches, last) for outcome in some)


def _case(branches: Iterable[tuple[str, str]]) -> str:
    """CASE over (result, condition)."""
    return f"case {' '.join(f'when {condition} then {result}' for result, condition in branches)} end"


def _between(n: str, low: float | None, high: float | None) -> str:
    ends = [f"isfinite({n})"]  # NaN sorts above every number and would fall into an open range
    ends += [f"{n} >= {sql.number(low)}"] if low is not None else []
    ends += [f"{n} <= {sql.number(high)}"] if high is not None else []
    return f"({' and '.join(ends)})"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_word(code: Code) -> bool:
    """Whether a code of a number column is written in words, such as "none" for 0."""
    return code.bounds is None and _as_number(code.code) is None
