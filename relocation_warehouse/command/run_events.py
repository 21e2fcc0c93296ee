"""Events of the runs of this process, stored without opening SQLite anew for each of the thousand.

They go to the same files, at once, so that the UI shows the same runs while they run. Belongs here: how this process
holds these files open. Does not belong here: what is stored, or another storage than SQLite, which is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy import Connection, Engine

WAIT_SECONDS = 20
"""How long a write waits for another process to end its own."""


def hold_open(instance: DagsterInstance) -> None:
    """Let the event log of an instance keep one connection to each of its files.

    A commit no longer waits for the disk: a power cut may cost the last events of a run that ended with it, and
    nothing else.
    """
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster._core.storage.sql import create_engine
    from sqlalchemy import text
    from sqlalchemy.pool import StaticPool

    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return
    engines: dict[str, Engine] = {}
    opened_anew = storage._connect

    @contextmanager
    def connection(shard: str) -> Iterator[Connection]:
        if shard not in storage._initialized_dbs:
            with opened_anew(shard):  # makes the tables
                pass
        with storage._db_lock:
            if shard not in engines:
                engines[shard] = create_engine(
                    storage.conn_string_for_shard(shard),
                    poolclass=StaticPool,
                    connect_args={"timeout": WAIT_SECONDS, "check_same_thread": False},
                )
                with engines[shard].connect() as con:
                    con.execute(text("PRAGMA synchronous = NORMAL"))
            with engines[shard].connect() as con, con.begin():
                yield con

    vars(storage)["_connect"] = connection
