"""When the public edition is renewed: never for the sake of a few households.

Belongs here: the memory of what the public edition was last made from, and the decision to keep it. Does not belong
here: rounding (`disclosure`) or publishing (`publish`).

Two editions of which one was made with a household more show what the household answered wherever a number differs.
So an edition is kept as it is, tables and all, while in some survey fewer households than `renewed_by` are new, gone or
other than those that it was made from. What is compared is the edition that was shown, not the refresh before, so that
small changes add up until they are enough. A survey that is withdrawn as a whole renews the edition at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from relocation_warehouse.contract.disclosure import Disclosure, disclosure_of
from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.ground import sql
from relocation_warehouse.publication.disclosure import (
    KNOWN,
    attach_analyst,
    secret_of_answers,
    write_public_build,
)

PURPOSE = b"rounding of the public edition"
"""Keeps the secret of the rounding apart from that of the pseudonyms, which are made with the same key."""

OWNER_ONLY = 0o600


@dataclass(frozen=True)
class Origin:
    """The run that a public edition was made in.

    Attributes
    ----------
    inputs
        File -> SHA-256 of what it read beside the files of surveys.
    made_at
        When, UTC.
    waiting
        Surveys whose changes were too few to show, with the number of households that changed; empty where the
        edition is new.
    """

    run_id: str
    code_version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    made_at: str = ""
    waiting: Mapping[str, int] = field(default_factory=dict)


def public_build(
    analyst: Path,
    memory: Path,
    contract: Contract,
    origin: Origin,
    key: bytes | None = None,
    rules: Disclosure | None = None,
) -> tuple[Path, Origin]:
    """The build that the public edition is to be published from, and where it comes from.

    Parameters
    ----------
    analyst
        Published database of the analyst edition that stands beside it.
    memory
        File that remembers the last one; only its owner may read it. A new build is written beside it, and becomes
        the memory by `remember`.
    contract
        What `public_contract` gives.
    origin
        This run.
    key
        Secret of the pseudonyms; without one, thresholds are made from the answers and remembered.
    rules
        What is declared; by default that of the warehouse in the environment.
    """
    rules = rules or disclosure_of()
    former, secret, waiting = _remembered(analyst, memory, contract, rules)
    if former is not None and waiting:
        return memory, Origin(**{**asdict(former), "waiting": waiting})
    fresh = memory.with_name(f"{memory.name}.new")
    memory.parent.mkdir(parents=True, exist_ok=True)
    fresh.unlink(missing_ok=True)
    fresh.with_name(f"{fresh.name}.wal").unlink(missing_ok=True)
    with duckdb.connect(str(fresh)) as con:
        fresh.chmod(OWNER_ONLY)
        attach_analyst(con, analyst)
        if key is not None:
            secret = hmac.new(key, PURPOSE, hashlib.sha256).digest()
        secret = secret or secret_of_answers(con)
        con.execute("create schema remembered")
        con.execute(f"create table remembered.households as {_households()}")
        made = Origin(**{**asdict(origin), "made_at": datetime.now(UTC).isoformat(timespec="seconds")})
        con.execute("create table remembered.edition as select ? as origin, ? as secret",
                    [json.dumps(asdict(made)), None if key is not None else secret])  # fmt: skip
    write_public_build(analyst, fresh, contract, rules, secret)
    return fresh, made


def remember(build: Path, memory: Path) -> None:
    """Let what `public_build` gave be what the next edition is compared with; done before anyone sees it.

    A publication that is killed after this has not shown it yet, and the next one compares with it all the same: it
    differs from what was shown by enough.
    """
    if build != memory:
        build.replace(memory)


def _households() -> str:
    """SQL of each household with a hash of all that is known of it."""
    return (
        f"select survey_id, household_id, sum(hash(h)::hugeint)::varchar as answers from {KNOWN} h"
        " group by all"
    )


def _remembered(
    analyst: Path, memory: Path, contract: Contract, rules: Disclosure
) -> tuple[Origin | None, bytes | None, dict[str, int]]:
    """Origin and secret of the edition before, and by survey the households that changed since, where they are few.

    Without a memory that can be read, or where the contract is another one, there is no edition to keep.
    """
    if not memory.is_file():
        return None, None, {}
    try:
        with duckdb.connect(":memory:") as con:
            con.execute(f"attach {sql.text(str(memory))} as former (read_only)")
            attach_analyst(con, analyst)
            origin, secret = con.execute("select origin, secret from former.remembered.edition").fetchall()[0]
            shown = con.execute(
                "select schema_name || '.' || table_name, list(column_name order by column_index)"
                " from duckdb_columns() where database_name = 'former' and schema_name <> 'remembered' group by all"
            ).fetchall()
            changed = con.execute(
                f"""
                select survey_id, count(*) filter (where a.answers is distinct from b.answers),
                    count(a.answers), count(b.answers)
                from ({_households()}) a full join former.remembered.households b using (survey_id, household_id)
                group by survey_id order by survey_id
                """
            ).fetchall()
    except (duckdb.Error, IndexError):
        return None, None, {}
    is_same_contract = dict(shown) == {t.full_name: list(t.column_names) for t in contract}
    is_withdrawn = any(now == 0 for _, _, now, _ in changed)
    few = {s: n for s, n, now, before in changed if 0 < n < rules.renewed_by and now and before}
    return Origin(**json.loads(origin)), secret, few if is_same_contract and not is_withdrawn else {}
