"""How people write numbers and days: SQL that reads a declared convention, and what a column seems to follow.

Belongs here: everything that turns the text of a cell into a number or a day, and the proposal for a column nobody has
declared. Does not belong here: bounds, codes and verdicts (`cells`).

A convention belongs to a column. `2.000` alone is two or two thousand; the column it stands in shows which.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.vocabulary import Convention

ISO_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
"""Days that everybody reads alike; accepted without a declaration."""

OTHER_DATES = (
    *(
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%d.%m.%Y",
        "%m.%d.%Y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d.%m.%y",
    ),
    *(
        "%d %B %Y",
        "%d %b %Y",
        "%B %d, %Y",
        "%b %d, %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d%b%Y",
        "%Y%m%d",
        "%y/%m/%d",
    ),
)
"""Days that are proposed where all of a column fits, and never guessed."""

ZEROS: Mapping[str, str] = {
    "fullwidth": "０",
    "arabic": "٠",
    "persian": "۰",
    "devanagari": "०",
    "bengali": "০",
    "tibetan": "༠",
    "thai": "๐",
    "lao": "໐",
    "khmer": "០",
    "burmese": "၀",
    "mongolian": "᠐",
}
"""The digit 0 of each script that has digits of its own; the other nine follow it."""

WIDE_SIGNS = ("，．－＋　％（）", ",.-+ %()")
MOST_WORDS = 12
"""More different words around the numbers of a column are remarks, not a way of writing."""

SPACES = " \u00a0\u2009\u202f\u3000"
APOSTROPHES = "'’"

ZH_DIGITS = "一二三四五六七八九"
ZH_VARIANTS = (
    "壹贰貳叁參肆伍陆陸柒捌玖两兩拾佰仟萬億零",
    "一二二三三四五六六七八九二二十百千万亿〇",
)
"""Formal and traditional forms, and the plain ones."""

ZH_PLAIN = f"〇{ZH_DIGITS}十百千万亿点半"
ZH_CHARACTERS = ZH_PLAIN + ZH_VARIANTS[0]
ZH_FACTORS = {"百": 100.0, "千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8}
"""What may follow a number in figures where numerals are Chinese: 1.2万."""

MAGNITUDES = ZH_FACTORS | {"k": 1e3, "K": 1e3}

# ---- reading what is declared ------------------------------------------------------------------------------------


def number_sql(text: str, how: Convention, *, holds_numbers: bool = False) -> str:
    """SQL of type DOUBLE for the number that a text stands for; NULL where it is not written as declared.

    Parameters
    ----------
    text
        SQL for the text, without blanks at either end.
    how
        The convention of the column.
    holds_numbers
        Whether some of the texts were numbers in the file, which a workbook allows side by side with texts; one of
        them that could be read in two ways is not read.
    """
    old, new = _translation(how)
    written = f"translate({text}, {sql.text(old)}, {sql.text(new)})"
    if how.prefixes:
        before = f"^(?:(?:{_any_of(how.prefixes, how)}) *)+"
        written = f"regexp_replace({written}, {sql.text(before)}, '')"
    pattern = sql.text(f"^({_figure(how)}) *(.*)$")

    def read(t: str) -> str:
        parts = f"regexp_extract({t}, {pattern}, ['number', 'rest'])"
        value = _bound(
            parts, "part", lambda part: _scaled(_digits(f"{part}.number", how), f"{part}.rest", how)
        )
        if holds_numbers and how.thousands == ".":
            value = f"case when not regexp_full_match({t}, '-?[0-9]{{1,3}}[.][0-9]{{3}}') then {value} end"
        if "zh" in how.numerals:
            behind = f"(?:{_any_of([*how.suffixes, ''], how)})半?"
            words = f"^([{ZH_PLAIN}]+?)({behind})$"
            parts = (
                f"case when regexp_full_match({t}, '[{ZH_PLAIN}]+') then {{'number': {t}, 'rest': ''}} "
                f"else regexp_extract({t}, {sql.text(words)}, ['number', 'rest']) end"
            )
            spelt = _bound(parts, "part", lambda p: _scaled(zh_sql(f"{p}.number"), f"{p}.rest", how))
            value = f"coalesce({value}, {spelt})"
        return value

    return _bound(written, "written", read)


def _bound(value: str, name: str, use: Callable[[str], str]) -> str:
    """SQL that works a value out once and uses it under a name, however often that is."""
    return f"list_transform([{value}], lambda {name}: {use(name)})[1]"


def _translation(how: Convention) -> tuple[str, str]:
    """Characters, and those that stand for them: the digits 0 to 9, one kind of minus, blank and apostrophe."""
    old, new = "−" + SPACES[1:], "-" + " " * (len(SPACES) - 1)
    if how.thousands == "'":
        old, new = old + "’", new + "'"
    for script in how.numerals:
        if script in ZEROS:
            old += "".join(chr(ord(ZEROS[script]) + k) for k in range(10))
            new += "0123456789"
        if script == "fullwidth":
            old, new = old + WIDE_SIGNS[0], new + WIDE_SIGNS[1]
        if script == "zh":
            old, new = old + ZH_VARIANTS[0], new + ZH_VARIANTS[1]
    return old, new


def _as_read(text: str, how: Convention) -> str:
    return text.translate(str.maketrans(*_translation(how)))


def _any_of(texts: Iterable[str], how: Convention) -> str:
    return "|".join(re.escape(_as_read(t, how)) for t in sorted(texts, key=len, reverse=True))


def _figure(how: Convention) -> str:
    """Regular expression for a number in figures."""
    decimal, whole = re.escape(how.decimal), "[0-9]+"
    if how.thousands:
        by = re.escape(how.thousands)
        grouped = f"[0-9]{{1,3}}(?:{by}[0-9]{{3}})+"
        if how.grouping == "indian":
            grouped = f"[0-9]{{1,2}}(?:{by}[0-9]{{2}})*{by}[0-9]{{3}}"
        whole = f"(?:{grouped}|[0-9]+)"
    figure = f"[+-]?(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)"
    exponent = "(?:[eE][+-]?[0-9]+)?"
    return figure if how.suffixes or "zh" in how.numerals else figure + exponent


def _digits(number: str, how: Convention) -> str:
    """SQL for a number in figures as the engine writes it."""
    if how.thousands:
        number = f"replace({number}, {sql.text(how.thousands)}, '')"
    return number if how.decimal == "." else f"replace({number}, {sql.text(how.decimal)}, '.')"


def _scaled(number: str, rest: str, how: Convention) -> str:
    """SQL for a number, given as text, times what the text behind it says."""
    factors = {"": 1.0} if how.bare else {}
    factors |= _factors(how)
    powers = {word: power for word, factor in factors.items() if (power := _power_of_ten(factor)) is not None}
    others = {word: factor for word, factor in factors.items() if word not in powers}
    halves = {f"{w}半": factor for w, factor in factors.items() if w} if "zh" in how.numerals else {}

    def case(values: Mapping[str, str], otherwise: str) -> str:
        whens = " ".join(f"when {sql.text(word)} then {value}" for word, value in values.items())
        return f"case {rest} {whens} else {otherwise} end" if values else otherwise

    # A power of ten is written behind the digits, so that the whole is rounded once, to the number nearest to it.
    written = case({word: f"'e{power}'" for word, power in powers.items() if power}, "''")
    times = case({word: sql.number(factor) for word, factor in (others | halves).items()}, "1.0")
    plus = case({word: sql.number(factor / 2) for word, factor in halves.items()}, "0.0")
    known = sql.texts([*factors, *halves])
    plain = f"try_cast(nullif({number}, '') || {written} as double)"
    return f"case when {rest} in ({known}) then {plain} * {times} + {plus} end"


def _factors(how: Convention) -> dict[str, float]:
    """Factor of everything that may stand behind a number: a word, or one for a large number before it (万元)."""
    single = {_as_read(word, how): factor for word, factor in how.suffixes.items()}
    if "zh" in how.numerals:
        single = ZH_FACTORS | single
    large = [word for word, factor in single.items() if factor > 1 and _power_of_ten(factor) is not None]
    return {a + b: single[a] * single[b] for a, b in product(large, how.suffixes) if a != b} | single


def _power_of_ten(factor: float) -> int | None:
    exponent = round(math.log10(factor))
    return exponent if float(f"1e{exponent}") == factor else None


def zh_sql(number: str) -> str:
    """SQL for the digits of a number in Chinese numerals of plain form, as text; NULL where it is none.

    Reads 四, 十二, 两百零五, 三千五 (3500), 一万二 (12000), 二〇一九 (2019), 一点五, 三点二万 and 半 (0.5).
    """
    c = f"[{ZH_DIGITS}]"
    section = f"(?:{c}千)?〇?(?:{c}百)?〇?(?:{c}?十)?〇?{c}?"
    point = f"^([〇{ZH_DIGITS}]+|{c}?十{c}?)点([〇{ZH_DIGITS}]+)([万亿]?)$"
    whole = f"^(?:({section})亿)?〇?(?:({section})万)?({section})$"

    def figures(text: str) -> str:
        return f"translate({text}, '〇{ZH_DIGITS}', '0123456789')"

    def with_point(part: str) -> str:
        ahead = (
            f"case when contains({part}.a, '十') then cast({_section_sql(f'{part}.a')} as varchar) "
            f"else {figures(f'{part}.a')} end"
        )
        power = f"case {part}.c when '万' then 'e4' when '亿' then 'e8' else '' end"
        return f"{ahead} || '.' || {figures(f'{part}.b')} || {power}"

    def places(part: str) -> str:
        # 一万二 is 12000: a last digit counts the place below the one before it
        last = f"case when regexp_matches({number}, '万{c}$') then 1000 else 1 end"
        sections = [_section_sql(f"{part}.{name}") for name in "abc"]
        total = f"100000000 * {sections[0]} + 10000 * {sections[1]} + {last} * {sections[2]}"
        return f"cast({total} as varchar)"

    def parts(pattern: str) -> str:
        return f"regexp_extract({number}, {sql.text(pattern)}, ['a', 'b', 'c'])"

    return (
        f"case when {number} = '半' then '0.5' when {number} = '〇' then '0' "
        f"when regexp_full_match({number}, '[〇{ZH_DIGITS}]{{2,}}') then {figures(number)} "
        f"when regexp_matches({number}, {sql.text(point)}) then {_bound(parts(point), 'piece', with_point)} "
        f"when regexp_matches({number}, {sql.text(whole)}) and regexp_matches({number}, '{c}|十') "
        f"and not regexp_matches({number}, '〇$|^〇|^[万亿]') then {_bound(parts(whole), 'piece', places)} end"
    )


def _section_sql(text: str) -> str:
    """SQL for up to four places of Chinese numerals; 0 where there is nothing."""
    c = f"[{ZH_DIGITS}]"

    def digit(pattern: str) -> str:
        return f"coalesce(list_position([{sql.texts(ZH_DIGITS)}], regexp_extract({text}, '{pattern}', 1)), 0)"

    tens = f"case when contains({text}, '十') then greatest({digit(f'({c})十')}, 1) else 0 end"
    place = (
        f"case when regexp_matches({text}, '千{c}$') then 100 "
        f"when regexp_matches({text}, '百{c}$') then 10 else 1 end"
    )
    places = [f"1000 * {digit(f'({c})千')}", f"100 * {digit(f'({c})百')}", f"10 * {tens}"]
    return f"(0::bigint + {' + '.join(places)} + {place} * {digit(f'({c})$')})"


def dates_sql(text: str, formats: Sequence[str]) -> tuple[str, str]:
    """SQL of type DATE for a day in one of several formats, and SQL for whether two of them give different days."""

    def day(how: str) -> str:
        read = f"cast(try_strptime({text}, {sql.text(how)}) as date)"
        # the engine would read 5/6/20 as a day of the year 20
        return f"case when regexp_matches({text}, '[0-9]{{4}}') then {read} end" if "%Y" in how else read

    days = f"list_distinct([{', '.join(map(day, formats))}])"
    return f"list_extract({days}, 1)", f"len({days}) > 1"


# ---- what a column shows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shown:
    """What the cells of a column that no rule reads have in common.

    Attributes
    ----------
    proposal
        A convention under which they can be read, as it would stand in `survey.yml`; empty where there is none.
    is_point_doubtful
        Whether a point in the column's other cells need not be a decimal point.
    """

    proposal: str = ""
    is_point_doubtful: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
BODY = re.compile(
    r"([^\d+\-−.,]*?)\s*([+\-−]?[\d][\d.,'’ \u00a0\u2009\u202f]*|[+\-−]?[.,]\d+)\s*(.*)", re.ASCII
)
COMMA_DECIMAL = re.compile(
    r"\d+,(\d{1,2}|\d{4,})|0,\d+|\d{1,3}(\.\d{3})+,\d+|\d{1,3}([ '’]\d{3})+,\d+", re.ASCII
)
COMMA_GROUPS = re.compile(
    r"\d{1,3}(,\d{3}){2,}|\d{1,3}(,\d{3})+\.\d+|\d{1,2}(,\d{2})+,\d{3}(\.\d+)?", re.ASCII
)
COMMA_EITHER = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII)
POINT_EITHER = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
POINT_GROUPS = re.compile(r"\d{1,3}(\.\d{3}){2,}|\d{1,3}(\.\d{3})+,\d+", re.ASCII)


def judged(cells: Iterable[str], *, is_date: bool = False) -> Shown:
    """Judge the cells of a column that are no plain numbers or days, all together.

    Parameters
    ----------
    cells
        Different texts of a column, among them those that are not written plainly.
    is_date
        Whether the column is one of days.
    """
    if is_date:
        formats = shown_dates(cells)
        return Shown(" or ".join(f'{{dates: ["{how}"]}}' for how in formats))
    texts = [c for c in cells if not PLAIN.fullmatch(c)]
    if not texts:
        return Shown()
    fields: dict[str, Any] = {}
    numerals, bodies, prefixes, suffixes = list[str](), list[str](), dict[str, None](), dict[str, None]()
    for text in texts:
        plain, scripts = _in_figures(text)
        numerals += scripts
        match = BODY.fullmatch(plain)
        if match is None:
            rest = text.lstrip(ZH_CHARACTERS)
            if rest == text or any(ch.isdigit() for ch in rest):
                continue  # a word among the numbers: an answer for codes.csv, not a way of writing
            numerals.append("zh")
            if rest:
                suffixes[rest] = None
            continue
        before, body, behind = (part.strip() for part in match.groups())
        bodies.append(body.lstrip("+-−"))
        if before:
            prefixes[before] = None
        if behind:
            suffixes[behind] = None
    if not bodies and not numerals:
        return Shown()
    point, comma = _points(bodies)
    if point is None:
        return Shown(is_point_doubtful=True)
    fields |= comma
    words = [*prefixes, *suffixes]
    if len(words) > MOST_WORDS or any(ch.isdigit() for word in words for ch in word):
        return Shown(is_point_doubtful=point and not words)
    fields |= _affixes(prefixes, suffixes, numerals)
    if numerals:
        systems = list(dict.fromkeys(numerals))
        fields["numerals"] = systems[0] if len(systems) == 1 else systems
    return Shown(_flow(fields), point, fields)


def is_either(cells: Iterable[str]) -> bool:
    """Whether every point of a column of numbers may stand before decimals or between thousands: 2.000, but no 2.5."""
    texts = [c.lstrip("+-") for c in cells]
    pointed = [t for t in texts if "." in t]
    plain = [t for t in texts if "." not in t]
    return bool(pointed) and all(map(POINT_EITHER.fullmatch, pointed)) and all(len(t) <= 3 for t in plain)


def _in_figures(text: str) -> tuple[str, list[str]]:
    """A text with the digits 0 to 9, and the scripts whose digits it had."""
    scripts = [
        name for name, zero in ZEROS.items() if any(ord(zero) <= ord(ch) <= ord(zero) + 9 for ch in text)
    ]
    figures = "".join(str(unicodedata.digit(ch)) if ch.isdecimal() else ch for ch in text)
    wide = figures.translate(str.maketrans(*WIDE_SIGNS))
    if wide != figures and "fullwidth" not in scripts:
        scripts.append("fullwidth")
    return (wide if "fullwidth" in scripts else figures).strip(), scripts


def _points(bodies: Sequence[str]) -> tuple[bool | None, dict[str, str]]:
    """Whether a point is no decimal point (None: the cells contradict each other), and the signs they show."""
    fits = {
        name: any(pattern.fullmatch(b) for b in bodies)
        for name, pattern in (
            ("decimal", COMMA_DECIMAL),
            ("groups", COMMA_GROUPS),
            ("either", COMMA_EITHER),
            ("points", POINT_GROUPS),
        )
    }
    signs: dict[str, str] = {}
    if (fits["decimal"] or fits["points"]) and fits["groups"]:
        return None, signs
    if fits["decimal"] or fits["points"]:
        signs["decimal"] = ","
    if fits["points"] or (fits["decimal"] and any("." in b for b in bodies)):
        signs["thousands"] = "."
    elif fits["groups"] or (fits["either"] and not fits["decimal"]):
        signs["thousands"] = ","
        if any(re.fullmatch(r"\d{1,2}(,\d{2})+,\d{3}(\.\d+)?", b) for b in bodies):
            signs["grouping"] = "indian"
    elif any(re.search(rf"\d[{SPACES}]\d{{3}}", b) for b in bodies):
        signs["thousands"] = " "
    elif any(re.search(rf"\d[{APOSTROPHES}]\d{{3}}", b) for b in bodies):
        signs["thousands"] = "'"
    return fits["decimal"] or fits["points"], signs


def _affixes(prefixes: Iterable[str], suffixes: Iterable[str], numerals: list[str]) -> dict[str, Any]:
    """Words before and behind numbers; the factor of a unit is not guessed where there are several."""
    fields: dict[str, Any] = {}
    if prefixes := list(prefixes):
        fields["prefixes"] = prefixes
    factors: dict[str, Any] = {}
    units = dict.fromkeys(re.sub(r"^[百千万亿萬億]|^[kK](?![a-zA-Z])|半$", "", s).strip() for s in suffixes)
    for suffix in suffixes:
        if suffix[0] in ZH_FACTORS and "zh" not in numerals:
            factors[suffix[0]] = int(ZH_FACTORS[suffix[0]])
        elif suffix in MAGNITUDES and "zh" not in numerals:
            factors[suffix] = int(MAGNITUDES[suffix])
    known = [u for u in units if u]
    factors |= {u: 1 if len(known) == 1 else "FILL_IN" for u in known}
    if factors:
        fields["suffixes"] = factors
    return fields


def _flow(fields: Mapping[str, Any]) -> str:
    """Fields as a YAML mapping on one line."""

    def text(value: Any) -> str:
        match value:
            case str():
                return value if re.fullmatch(r"[^\W\d]\w*", value) else f'"{value}"'
            case dict():
                return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
            case list():
                return "[" + ", ".join(map(text, value)) + "]"
            case _:
                return str(value)

    return text(dict(fields)) if fields else ""


def shown_dates(cells: Iterable[str]) -> list[str]:
    """Formats each of which reads every cell of a column of days; several mean that only a person can tell."""
    texts = list(cells)

    def reads(text: str, how: str) -> bool:
        try:
            return datetime.strptime(text, how) is not None
        except ValueError:
            return False

    return [how for how in OTHER_DATES if texts and all(reads(t, how) for t in texts)]
