"""Pseudonyms of households: a keyed hash, so that rows cannot be linked to questionnaires without the key.

Belongs here: the hash and where it is put. Does not belong here: the key (`key`), or direct identifiers, which never
leave landing.
"""

from __future__ import annotations

import hashlib
import hmac

import duckdb

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.publication.key import KEY_VARIABLE, MissingKeyError, key_from_environment

__all__ = [
    "KEY_VARIABLE", "MissingKeyError", "key_from_environment", "pseudonym", "pseudonymous", "require_key",
    "write_pseudonyms",
]  # fmt: skip

HOUSEHOLD = "household_id"
HOUSEHOLDS = "harmonized.households"

BLOCK = 64
"""Bytes that SHA-256 takes at a time."""

DIGITS = 20
"""Hexadecimal digits of a pseudonym."""


NOT_ABOUT_ID = ("missing_wave", "unknown_wave", "missing_site", "unknown_site")
"""Rules that set a row aside for another value than its household id; all others show the id as the value."""

DISTINCTIVE = r"^.*[^0-9.,+-].*[0-9].*$|^.*[0-9].*[^0-9.,+-].*$|^[0-9]{6,}$"
"""An id that is neither a row number nor a limit: digits with something else, or six digits and more."""

EDGE = "[^0-9A-Za-z_]"
"""What stands beside a word."""


def pseudonym(key: bytes, survey_id: str, household_id: str) -> str:
    """First 80 bits of HMAC-SHA-256, in hexadecimal: the same household has one pseudonym in all tables."""
    return hmac.new(key, f"{survey_id}\x1f{household_id}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


def require_key(con: duckdb.DuckDBPyConnection, key: bytes | None) -> None:
    """Refuse to go on without a key where a survey is real.

    Raises
    ------
    MissingKeyError
        If a survey is not made up and no key is set.
    """
    real = con.execute(
        "select survey_id from build.reference.surveys where not is_synthetic order by all"
    ).fetchall()
    if real and key is None:
        raise MissingKeyError(
            f"{', '.join(s for (s,) in real)} is no made-up survey: set {KEY_VARIABLE} to a secret and keep it, so"
            " that household ids can be published as pseudonyms (`warehouse make-key` makes one)"
        )


def write_pseudonyms(con: duckdb.DuckDBPyConnection, contract: Contract, key: bytes) -> None:
    """Create the table `memory.pseudonyms` (survey_id, household_id, pseudonym) of all households in the build.

    They are those of the wide table, and those that were set aside before it.
    """
    union = " union ".join(
        f"select survey_id, {HOUSEHOLD} from {sql.identifier('build', t.schema, t.name)} where {HOUSEHOLD} is not null"
        for t in contract
        if HOUSEHOLD in t.column_names and (t.full_name == HOUSEHOLDS or HOUSEHOLD not in t.key)
    )
    con.execute(
        f"create table memory.pseudonyms as select survey_id, {HOUSEHOLD}, {_pseudonym_in_sql(key)} as pseudonym"
        f" from ({union})"
    )


def _pseudonym_in_sql(key: bytes) -> str:
    """SQL of `pseudonym`: HMAC (RFC 2104) written out, because millions of households are too many for a loop."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner, outer = (f"unhex('{bytes(b ^ pad for b in block).hex()}')" for pad in (0x36, 0x5C))
    message = f"encode(survey_id || chr(31) || {HOUSEHOLD})"
    return f"left(sha256({outer} || unhex(sha256({inner} || {message}))), {DIGITS})"


def pseudonymous(table: Table, source: str) -> str:
    """SQL of a table's rows under pseudonyms, also where another text column quotes the id.

    An id is quoted where a row was set aside for its id: as the value, and in the message behind the place. Elsewhere
    a text holds what a household answered, rows and limits, and these are not replaced for being spelt like an id;
    only an id that could be none of them is, where it stands as a word of its own.
    """
    names = set(table.column_names)
    is_about_id = (
        f"(s.grain = 'row' and s.rule not in ({sql.texts(NOT_ABOUT_ID)}))"
        if {"grain", "rule"} <= names
        else "false"
    )
    replaced = [f"p.pseudonym as {HOUSEHOLD}"] + [
        f"case when p.pseudonym is null then s.{field}"
        f" when {is_about_id} and s.{field} = s.{HOUSEHOLD} then p.pseudonym"
        f" else {_unquoted(f's.{field}', is_about_id)} end as {field}"
        for field in (sql.identifier(c.name) for c in table.columns if c.quotes_household)
    ]
    return (
        f"(select s.* replace ({', '.join(replaced)}) from {source} s"
        f" left join memory.pseudonyms p on p.survey_id = s.survey_id and p.{HOUSEHOLD} = s.{HOUSEHOLD})"
    )


def _unquoted(text: str, is_about_id: str) -> str:
    """SQL of a text whose quotations of the household id are pseudonyms."""
    id_ = f"regexp_escape(s.{HOUSEHOLD})"
    behind_place = f"'^(.*?[:：] ?)' || {id_} || '( |$)'"
    word = f"'(^|{EDGE})' || {id_} || '($|{EDGE})'"
    replacement = "'\\1' || p.pseudonym || '\\2'"
    shown = (
        f"case when {is_about_id} then regexp_replace({text}, {behind_place}, {replacement}) else {text} end"
    )
    # twice: two ids beside each other share the character between them
    twice = f"regexp_replace(regexp_replace({shown}, {word}, {replacement}, 'g'), {word}, {replacement}, 'g')"
    return f"case when regexp_matches(s.{HOUSEHOLD}, {sql.text(DISTINCTIVE)}) then {twice} else {shown} end"
