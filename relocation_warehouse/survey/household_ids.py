"""The id of a household: what a person reads as one id is one, whatever signs it was typed with.

Belongs here: one way to write an id, and letters of other alphabets that look like Latin ones.
Does not belong here: which rows an id sets aside (`ingest`).
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from functools import cache

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.func import PythonUDFType

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.vocabulary import Code

FUNCTION = "canonical_id"
"""Name of `canonical` in a connection that `register` has seen."""

PLAIN = "[!-~]+( [!-~]+)*"
"""Ids that are written in one way already."""

# Signs without a width or a meaning, besides those of the category Cf: selectors of variants, fillers, joiners.
UNSEEN = r"[\p{Cf}\x{034F}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{3164}\x{FE00}-\x{FE0F}\x{FFA0}]"
BLANKS = r"[\p{Z}\p{Cc}\x{2800}]+"
DASHES = r"[\p{Pd}\x{2212}\x{02D7}\x{2043}]"

FOREIGN = r"[\p{Greek}\p{Cyrillic}]"
ALIKE = {
    "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "J": "Ј", "K": "КΚ", "M": "МΜ", "N": "Ν",
    "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "УΥҮ", "Z": "Ζ",
    "a": "аα", "c": "сϲ", "e": "е", "h": "һ", "i": "і", "j": "ј", "o": "оο", "p": "рρ", "s": "ѕ", "v": "ν",
    "x": "хχ", "y": "уγ",
}  # fmt: skip
"""Cyrillic and Greek letters by the Latin letter that they look like."""


def canonical(ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Ids in one way of writing; null where nothing of one can be seen.

    Unicode's compatibility forms are replaced (full-width digits and letters among them), and digits of other scripts
    by ours; signs that cannot be seen are removed, dashes are one sign, and runs of blanks are one blank, with none
    at the ends.
    """
    text = pc.utf8_normalize(ids, form="NFKC")
    for number, digits in enumerate(_digits()):
        text = pc.replace_substring_regex(text, digits, str(number))
    text = pc.replace_substring_regex(text, UNSEEN, "")
    text = pc.replace_substring_regex(text, DASHES, "-")
    text = pc.utf8_trim_whitespace(pc.replace_substring_regex(text, BLANKS, " "))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


@cache
def _digits() -> tuple[str, ...]:
    """Patterns of the digits of other scripts, by their value; all characters are looked at where ids need it."""
    signs_of_digit = [""] * 10
    for sign in map(chr, range(128, sys.maxunicode + 1)):
        value = unicodedata.decimal(sign, None)
        if value is not None:
            signs_of_digit[int(value)] += sign
    return tuple(f"[{signs}]" for signs in signs_of_digit)


def canonical_text(household_id: str) -> str:
    """One id in the one way of writing; empty where there is none."""
    return canonical(pa.array([household_id], pa.string()))[0].as_py() or ""


def register(con: duckdb.DuckDBPyConnection) -> None:
    """Make `canonical` known to a connection, once."""
    known = con.execute(
        "select 1 from duckdb_functions() where function_name = ? limit 1", [FUNCTION]
    ).fetchone()
    if known is None:
        con.create_function(FUNCTION, canonical, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def id_sql(text: str, codes: Iterable[Code], declared: Iterable[str | tuple[float, float]]) -> str:
    """SQL for (a part of) an id; NULL where it is blank or declared missing.

    Parameters
    ----------
    text
        SQL for the cell as text, NULL where blank.
    codes, declared
        Codes of the column, and what the file itself declares as missing.
    """
    missing = [c for c in codes if c.missing_reason is not None]
    ranges = [c.bounds for c in missing if c.bounds is not None]
    ranges += [d for d in declared if not isinstance(d, str)]
    exact = [c.code for c in missing if c.bounds is None] + [d for d in declared if isinstance(d, str)]
    conditions = [f"{text} in ({sql.texts(exact)})"] if exact else []
    for low, high in ranges:
        number = f"try_cast({text} as double)"
        ends = [f"{number} >= {sql.number(low)}"] if low is not None else []
        ends += [f"{number} <= {sql.number(high)}"] if high is not None else []
        conditions.append(f"({' and '.join(ends)})")
    if_missing = f"when {' or '.join(conditions)} then null " if conditions else ""
    return f"case {if_missing}when regexp_full_match({text}, {sql.text(PLAIN)}) then {text} else {FUNCTION}({text}) end"


def skeleton(household_id: str) -> str:
    """SQL for an id with Latin letters in place of those that look like them; the same for ids that look alike."""
    foreign = "".join(ALIKE.values())
    latin = "".join(letter * len(alike) for letter, alike in ALIKE.items())
    return (
        f"case when regexp_matches({household_id}, {sql.text(FOREIGN)}) "
        f"then translate({household_id}, {sql.text(foreign)}, {sql.text(latin)}) else {household_id} end"
    )
