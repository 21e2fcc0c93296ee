"""Refreshes as snapshots: each publication is one, any that is kept can be queried, old ones expire by policy.

Belongs here: recording, finding, querying and expiring refreshes. Does not belong here: what is published, or when.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from pydantic import NonNegativeInt, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from relocation_warehouse.ground import sql
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.lake.catalog import ARRIVALS, REFRESHES, Lake, LakeError, transaction
from relocation_warehouse.survey.vocabulary import Closed

if TYPE_CHECKING:
    from relocation_warehouse.contract.tables import Contract

POLICY = CHECKOUT / "deployment" / "lake.yml"
AUTHOR = "warehouse"
"""Who commits; a snapshot of anyone else, and the first, empty one, is no refresh."""


class NoSuchRefresh(LookupError):
    """No refresh that is kept answers to what was asked for."""


class QueryError(ValueError):
    """DuckDB does not run the query; the message is its own."""


@dataclass(frozen=True)
class Refresh:
    """A refresh in the lake.

    Attributes
    ----------
    number
        Its snapshot.
    at
        When it was recorded, UTC.
    run_id, code_version
        The run that made it and the commit of its code; None outside a repository.
    checksums
        Content checksum by table, text by view: what tells whether it has to be written again.
    """

    number: int
    at: dt.datetime
    run_id: str
    code_version: str | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)


class Policy(Closed):
    """How long refreshes stay; the meaning of each field is in `deployment/lake.yml`."""

    all_days: NonNegativeInt
    month_ends: NonNegativeInt
    grace_hours: NonNegativeInt


def load_policy(path: Path = POLICY) -> Policy:
    """Read the policy.

    Raises
    ------
    LakeError
        The file is missing or not valid.
    """
    try:
        return Policy.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (OSError, YAMLError, ValidationError) as error:
        wanted = ", ".join(f"{name}: whole number" for name in Policy.model_fields)
        raise LakeError(
            f"{path.name} is no policy of the lake; it has the lines {wanted} ({error})"
        ) from error


def expired(refreshes: Sequence[Refresh], policy: Policy, now: dt.datetime) -> tuple[Refresh, ...]:
    """Refreshes that the policy does not keep.

    Parameters
    ----------
    refreshes
        By time, the newest last.
    policy
        What is kept.
    now
        The time from which it counts.
    """
    since = now - dt.timedelta(days=policy.all_days)
    last_of_month = {(r.at.year, r.at.month): r for r in refreshes}
    this_month = now.year * 12 + now.month
    kept = {r.number for r in refreshes[-1:]}
    kept |= {r.number for r in refreshes if r.at >= since}
    kept |= {r.number for (y, m), r in last_of_month.items() if this_month - (y * 12 + m) < policy.month_ends}
    return tuple(r for r in refreshes if r.number not in kept)


def record(lake: Lake, database: Path, contract: Contract) -> None:
    """Commit a publication as one snapshot; what is as in the refresh before is not written again.

    Parameters
    ----------
    lake
        The lake.
    database
        The published database; its manifest is beside it.
    contract
        Its tables.
    """
    # parses SQL; who only reads need not wait for the parser
    from relocation_warehouse.contract.views import view_of

    manifest = json.loads(database.with_name("manifest.json").read_text(encoding="utf-8"))
    with lake.connect(REFRESHES) as con:
        con.execute(f"attach {sql.text(str(database))} as build (read_only)")
        # views name schema and table; what they read is looked up in the lake
        con.execute("USE lake")
        views = {t.full_name: view_of(con, t).query for t in contract if t.is_view}
        checksums = {name: table["content_checksum"] for name, table in manifest["tables"].items()} | views
        # a column that differs with every load is not in the checksum
        volatile = {table.full_name for table in contract if any(c.volatile for c in table.columns)}
        former = _refreshes(con)[-1:]
        known = former[0].checksums if former else {}
        kinds = {name: "VIEW" if name in views else "TABLE" for name in checksums}
        facts = {name: manifest[name] for name in ("run_id", "code_version")} | {"checksums": checksums}
        with transaction(con):
            for name, kind in _kinds(con).items():
                if kinds.get(name) != kind:
                    con.execute(f"drop {kind} {_in('lake', name)}")
            for name, kind in kinds.items():
                if name in volatile or known.get(name) != checksums[name]:
                    con.execute(f"create schema if not exists {sql.identifier('lake', name.split('.')[0])}")
                    source = views.get(name, f"from {_in('build', name)}")
                    con.execute(f"create or replace {kind} {_in('lake', name)} as {source}")
            con.execute(
                "CALL lake.set_commit_message(?, ?, extra_info => ?)",
                [AUTHOR, f"refresh {manifest['run_id']}", json.dumps(facts)],
            )
        con.execute("USE memory")


def _kinds(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """TABLE or VIEW by name of what is in the lake."""
    return dict(
        con.execute(
            "select schema_name || '.' || table_name, 'TABLE' from duckdb_tables() where database_name = 'lake'"
            " union all select schema_name || '.' || view_name, 'VIEW' from duckdb_views()"
            " where database_name = 'lake' and not internal"
        ).fetchall()
    )


def _in(database: str, table: str) -> str:
    return sql.identifier(database, *table.split("."))


def refreshes(lake: Lake) -> tuple[Refresh, ...]:
    """Refreshes that are kept, the newest last."""
    with lake.connect(REFRESHES, read_only=True) as con:
        return _refreshes(con)


def _refreshes(con: duckdb.DuckDBPyConnection) -> tuple[Refresh, ...]:
    rows = con.execute(
        "select snapshot_id, timezone('UTC', snapshot_time), commit_extra_info from lake.snapshots()"
        " where author = ? order by snapshot_id",
        [AUTHOR],
    ).fetchall()
    return tuple(Refresh(number, at, **json.loads(facts)) for number, at, facts in rows)


def chosen(refreshes: Sequence[Refresh], wanted: str) -> Refresh:
    """The refresh that a person means.

    Parameters
    ----------
    refreshes
        The newest last.
    wanted
        A number; the beginning of a run id; or a date or time (UTC), which means the last refresh up to then.

    Raises
    ------
    NoSuchRefresh
        None is meant, or several are.
    """
    if not refreshes:
        raise NoSuchRefresh("no refresh was recorded yet; `warehouse refresh` records the first")
    until = _until(wanted)
    if until is not None:
        matches = [r for r in refreshes if r.at <= until][-1:]
    else:
        matches = [r for r in refreshes if str(r.number) == wanted]
        matches = matches or [r for r in refreshes if wanted and r.run_id.startswith(wanted)]
    if len(matches) != 1:
        raise NoSuchRefresh(
            f"{'no refresh' if not matches else 'more than one refresh'} answers to {wanted!r}; give a number, the"
            " beginning of a run id, or a date not before"
            f" {refreshes[0].at:%Y-%m-%d}; `warehouse lake refreshes` lists them"
        )
    return matches[0]


def _until(wanted: str) -> dt.datetime | None:
    """The time that a text means, UTC: the end of a day where it is a date; None where it is neither."""
    # 20260102 is a number, not a date
    if "-" not in wanted:
        return None
    try:
        until = dt.datetime.fromisoformat(wanted)
    except ValueError:
        return None
    if until.tzinfo is not None:
        until = until.astimezone(dt.UTC).replace(tzinfo=None)
    return until + dt.timedelta(days=1, microseconds=-1) if len(wanted) == len("2026-01-01") else until


@contextmanager
def as_of(lake: Lake, refresh: Refresh, query: str) -> Iterator[duckdb.DuckDBPyRelation]:
    """Answer of a query on the tables as a refresh published them, for the length of the block.

    Raises
    ------
    QueryError
        DuckDB does not run the query, or it is none.
    """
    with lake.connect(REFRESHES, read_only=True, snapshot=refresh.number) as con:
        con.execute("USE lake")
        try:
            answer = con.sql(query)
            if answer is None:
                raise QueryError("this asks nothing; write a select")
            yield answer
        except duckdb.Error as error:
            raise QueryError(str(error)) from error
        con.execute("USE memory")


def expire(lake: Lake, policy: Policy, now: dt.datetime | None = None) -> tuple[Refresh, ...]:
    """Drop refreshes that the policy does not keep, all arrivals but the newest, and the files of neither.

    Returns
    -------
    tuple of Refresh
        Those that were dropped.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    with lake.connect(REFRESHES) as con:
        old = expired(_refreshes(con), policy, now)
        if old:
            numbers = ", ".join(str(refresh.number) for refresh in old)
            con.execute(f"CALL ducklake_expire_snapshots('lake', versions => [{numbers}])")
        _delete_files(con, policy)
    with lake.connect(ARRIVALS) as con:
        con.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
        _delete_files(con, policy)
    return old


def _delete_files(con: duckdb.DuckDBPyConnection, policy: Policy) -> None:
    """Delete the files of dropped snapshots, and those that a killed writer left."""
    for call in ("ducklake_cleanup_old_files", "ducklake_delete_orphaned_files"):
        con.execute(f"CALL {call}('lake', older_than => now() - INTERVAL {policy.grace_hours} HOURS)")
