"""When the public edition is renewed: never for the sake of a few households.

Belongs here: the memory of what the public edition was last made from, and the decision to keep it. Does not belong
here: rounding (`disclosure`) or publishing (`publish`).

Two editions of which one was made with a household more show what the household answered wherever a number differs.
So an edition is kept as it is, tables and all, while in some survey fewer households than `renewed_by` are new, gone or
other than those of an edition that was ever shown. What is compared are editions, not refreshes, so that small changes
add up until they are enough; all of them, so that nothing is learnt from one that is nearly as an older one was.

What cannot wait is shown without them. A survey that is withdrawn leaves at once, and a new version of the contract has
other tables: the edition is then written anew from the numbers of the edition before, without those that the withdrawn
survey had a part in and without tables that had other columns.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from relocation_warehouse.contract.disclosure import Derived, Disclosure, disclosure_of
from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.publication.disclosure import (
    ANALYST,
    KNOWN,
    attach_analyst,
    made_from,
    secret_of_answers,
    write_public_build,
)
from relocation_warehouse.publication.grown import Grown

PURPOSE = b"rounding of the public edition"
"""Keeps the secret of the rounding apart from that of the pseudonyms, which are made with the same key."""

FORMER = "former"
"""Name under which the edition before is attached."""

LAST_SHOWN = "select survey_id from remembered.households where last is null"
"""SQL of the surveys whose households the edition shows."""

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
    kept: Kept | None = None,
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
    kept
        Remembers what tables were made from, so that those which would be the same are not made again.
    """
    rules = rules or disclosure_of()
    former = _remembered(analyst, memory, rules)
    waits = former if former is not None and former.waiting else None
    if waits and not waits.withdrawn and waits.columns == {t.full_name: t.column_names for t in contract}:
        return memory, waits.shown
    fresh = memory.with_name(f"{memory.name}.new")
    memory.parent.mkdir(parents=True, exist_ok=True)
    fresh.unlink(missing_ok=True)
    fresh.with_name(f"{fresh.name}.wal").unlink(missing_ok=True)
    made = Origin(**{**asdict(origin), "made_at": datetime.now(UTC).isoformat(timespec="seconds")})
    grown, stay = None if kept is None or waits else Grown(memory, kept), None
    with duckdb.connect(":memory:") as con:
        attach_analyst(con, analyst)
        if key is not None:
            secret, own = hmac.new(key, PURPOSE, hashlib.sha256).digest(), None
        else:
            secret = own = (former and former.secret) or secret_of_answers(con)
        if grown is not None:
            stay = grown.begun(fresh, *made_from(con, contract, rules, secret))
    with duckdb.connect(str(fresh)) as con:
        fresh.chmod(OWNER_ONLY)
        attach_analyst(con, analyst)
        con.execute("create schema if not exists remembered")
        if former is not None:
            con.execute(f"attach {sql.text(str(memory))} as {FORMER} (read_only)")
        con.execute(f"create or replace table remembered.households as {_ever_shown(former)}")
        con.execute(
            "create or replace table remembered.edition as select ? as number, ? as origin, ? as secret",
            [former.number + 1 if former else 1, json.dumps(asdict(waits.origin if waits else made)), own],
        )
        if waits:
            _carry_over(con, waits, contract, rules)
    if waits:
        return fresh, waits.shown
    write_public_build(analyst, fresh, contract, rules, secret, stay or ())
    if grown is not None:
        grown.remember(fresh)
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


@dataclass(frozen=True)
class _Former:
    """The edition before.

    Attributes
    ----------
    number
        How many there were.
    columns
        Table -> its columns, in order.
    waiting
        Survey -> households that are new, gone or other since an edition, where they are few.
    withdrawn, arrived
        Surveys that are in it and no longer here, and the other way round.
    """

    number: int
    origin: Origin
    secret: bytes | None
    columns: Mapping[str, tuple[str, ...]]
    waiting: Mapping[str, int]
    withdrawn: tuple[str, ...]
    arrived: tuple[str, ...]

    @property
    def shown(self) -> Origin:
        """The run whose households are shown, with what waits."""
        return replace(self.origin, waiting=self.waiting)


def _remembered(analyst: Path, memory: Path, rules: Disclosure) -> _Former | None:
    """The edition before, or none where there is no memory that can be read."""
    if not memory.is_file():
        return None
    try:
        with duckdb.connect(":memory:") as con:
            con.execute(f"attach {sql.text(str(memory))} as {FORMER} (read_only)")
            attach_analyst(con, analyst)
            number, origin, secret = con.execute(f"from {FORMER}.remembered.edition").fetchall()[0]
            columns = con.execute(
                "select schema_name || '.' || table_name, list(column_name order by column_index)"
                " from duckdb_columns() where database_name = ? and schema_name <> 'remembered' group by all",
                [FORMER],
            ).fetchall()
            surveys = con.execute(_changes(number, rules.renewed_by)).fetchall()
    except (duckdb.Error, IndexError, ValueError):
        return None
    return _Former(
        number,
        Origin(**json.loads(origin)),
        secret,
        {name: tuple(of) for name, of in columns},
        {survey: few for survey, here, _, few in surveys if here and few},
        tuple(survey for survey, here, there, _ in surveys if there and not here),
        tuple(survey for survey, here, there, _ in surveys if here and not there),
    )


def _changes(number: int, enough: int) -> str:
    """SQL of each survey: whether it is here, whether the last edition has it, and how few households changed.

    Those are the fewest between now and an edition that had it; nothing where there are none or enough. A household is
    remembered from the first edition in which it had these answers to the last; so the households of every edition are
    a running sum over editions of those that begin less those that ended before.
    """
    return f"""
        with now as ({_households()}),
        sizes as (select survey_id, count(*) as here from now group by all),
        spans as (
            select survey_id, first, last, 1 as there, (n.answers is not null)::int as in_both,
                coalesce(n.answers = h.answers, false)::int as same
            from {FORMER}.remembered.households h left join now n using (survey_id, household_id)),
        steps as (
            select survey_id, first as edition, there, in_both, same from spans
            union all
            select survey_id, last + 1, -there, -in_both, -same from spans where last is not null),
        editions as (
            select survey_id, edition,
                sum(there) over e as there, sum(in_both) over e as in_both, sum(same) over e as same
            from (
                select survey_id, edition, sum(there) as there, sum(in_both) as in_both, sum(same) as same
                from steps where edition <= {number} group by all)
            window e as (partition by survey_id order by edition)),
        differences as (
            select survey_id, edition, coalesce(here, 0) as here, there,
                coalesce(here, 0) + there - in_both - same as other
            from editions full join sizes using (survey_id))
        select survey_id, any_value(here) > 0, coalesce(arg_max(there, edition) > 0, false),
            min(other) filter (where there > 0 and other between 1 and {enough - 1})
        from differences group by survey_id order by survey_id"""


def _ever_shown(former: _Former | None) -> str:
    """SQL of households with their answers, from the first edition that shows them to the last, which is none yet."""
    if former is None:
        return f"select *, 1 as first, null::integer as last from ({_households()})"
    before = f"{FORMER}.remembered.households"
    if former.waiting:
        return (
            f"select * replace (case when last is null and not {_none_of('survey_id', former.withdrawn)}"
            f" then {former.number} else last end as last) from {before}"
        )
    return f"""
        with now as ({_households()}), shown as (select * from {before} where last is null)
        select * from {before} where last is not null
        union all by name
        select s.* replace (case when n.answers = s.answers then null else {former.number} end as last)
        from shown s left join now n using (survey_id, household_id)
        union all by name
        select n.*, {former.number + 1} as first, null::integer as last
        from now n left join shown s using (survey_id, household_id) where n.answers is distinct from s.answers"""


def _carry_over(
    con: duckdb.DuckDBPyConnection, former: _Former, contract: Contract, rules: Disclosure
) -> None:
    """Write what is declared as it is now, and of what derives from households what the edition before said."""
    con.begin()
    for table in contract:
        con.execute(f"create schema if not exists {sql.identifier(table.schema)}")
        con.execute(
            f"create table {sql.identifier(table.schema, table.name)} as"
            f" {_carried(table, former, rules.derived.get(table.full_name))}"
        )
    con.commit()
    con.execute(f"detach {FORMER}")
    con.execute(f"detach {ANALYST}")


def _carried(table: Table, former: _Former, derived: Derived | None) -> str:
    """SQL of the rows of a table in an edition that waits.

    A row that names no single survey may be of all, the withdrawn one too.
    """
    place, names = (
        sql.identifier(table.schema, table.name),
        ", ".join(map(sql.identifier, table.column_names)),
    )
    if derived is None:
        here = _none_of("survey_id", former.arrived) if "survey_id" in table.column_names else "true"
        return f"select {names} from {ANALYST}.{place} where {here}"
    if former.columns.get(table.full_name) != table.column_names:
        return f"select {names} from {ANALYST}.{place} limit 0"
    if not former.withdrawn:
        return f"select {names} from {FORMER}.{place}"
    stays = f"not ({derived.where})"
    if derived.survey in table.column_names:
        survey = sql.identifier(derived.survey)
        stays = f"{stays} and {_none_of(survey, former.withdrawn)} or {survey} in ({LAST_SHOWN})"
    return f"select {names} from {FORMER}.{place} where {stays}"


def _none_of(column: str, surveys: Iterable[str]) -> str:
    """SQL: a column names none of the surveys."""
    listed = sql.texts([*surveys])
    return f"coalesce({column} not in ({listed}), true)" if listed else "true"
