"""Pseudonyms of households: a keyed hash, so that nobody without the key can link a row to a questionnaire.

Belongs here: the key and the hash. Does not belong here: direct identifiers, which never leave landing.
"""

from __future__ import annotations

import hashlib
import hmac
import os

import duckdb

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql

KEY_VARIABLE = "WAREHOUSE_PSEUDONYM_KEY"
"""Environment variable with the secret. Without it made-up surveys keep their ids and real ones are refused."""

HOUSEHOLD = "household_id"
HOUSEHOLDS = "harmonized.households"

BLOCK = 64
"""Bytes that SHA-256 takes at a time."""

DIGITS = 20
"""Hexadecimal digits of a pseudonym."""


class MissingKeyError(Exception):
    """A real survey is to be published without a secret to pseudonymise it with."""


def key_from_environment() -> bytes | None:
    """The secret, or None where none is set."""
    return os.environ.get(KEY_VARIABLE, "").encode() or None


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
        "SELECT survey_id FROM build.reference.surveys WHERE NOT is_synthetic ORDER BY ALL"
    ).fetchall()
    if real and key is None:
        raise MissingKeyError(
            f"{', '.join(s for (s,) in real)} is no made-up survey: set {KEY_VARIABLE} to a secret and keep it, so"
            " that household ids can be published as pseudonyms"
        )


def write_pseudonyms(con: duckdb.DuckDBPyConnection, contract: Contract, key: bytes) -> None:
    """Create the table `memory.pseudonyms` (survey_id, household_id, pseudonym) of all households in the build.

    They are those of the wide table, and those that were set aside before it.
    """
    union = " UNION ".join(
        f"SELECT survey_id, {HOUSEHOLD} FROM {sql.identifier('build', t.schema, t.name)} WHERE {HOUSEHOLD} IS NOT NULL"
        for t in contract
        if HOUSEHOLD in t.column_names and (t.full_name == HOUSEHOLDS or HOUSEHOLD not in t.key)
    )
    con.execute(
        f"CREATE TABLE memory.pseudonyms AS SELECT survey_id, {HOUSEHOLD}, {_pseudonym_in_sql(key)} AS pseudonym"
        f" FROM ({union})"
    )


def _pseudonym_in_sql(key: bytes) -> str:
    """SQL of `pseudonym`: HMAC (RFC 2104) written out, because millions of households are too many for a loop."""
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner, outer = (f"unhex('{bytes(b ^ pad for b in block).hex()}')" for pad in (0x36, 0x5C))
    message = f"encode(survey_id || chr(31) || {HOUSEHOLD})"
    return f"left(sha256({outer} || unhex(sha256({inner} || {message}))), {DIGITS})"


def pseudonymous(table: Table, source: str) -> str:
    """SQL of a table's rows under pseudonyms, also where another text column quotes the id."""
    replaced = [f"p.pseudonym AS {HOUSEHOLD}"] + [
        f"CASE WHEN p.pseudonym IS NULL THEN s.{sql.identifier(c.name)}"
        f" ELSE replace(s.{sql.identifier(c.name)}, s.{HOUSEHOLD}, p.pseudonym) END AS {sql.identifier(c.name)}"
        for c in table.columns
        if c.quotes_household
    ]
    return (
        f"(SELECT s.* REPLACE ({', '.join(replaced)}) FROM {source} s"
        f" LEFT JOIN memory.pseudonyms p ON p.survey_id = s.survey_id AND p.{HOUSEHOLD} = s.{HOUSEHOLD})"
    )
