"""Dagster's records of runs in a checkout: SQLite files that a full disk or a stray hand may have damaged.

What is published never depends on them, so a refresh does not fail for them. Belongs here: whether they are whole, and
setting aside what is not. Does not belong here: records in PostgreSQL, which look after themselves.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

PARTS = {"history": ("runs.db", "runs/index.db"), "schedules": ("schedules.db",)}
"""Folders of an instance and the files in them that every run needs.

Runs and their events go together: a run that is forgotten alone would keep its slots for ever.
"""


def set_aside_damaged(home: Path) -> list[Path]:
    """Move records of an instance away that cannot be read, so that it begins them anew.

    Parameters
    ----------
    home
        Folder of the instance.

    Returns
    -------
    list of pathlib.Path
        Where they are now; what was set aside before is gone.
    """
    aside = []
    for part, files in PARTS.items():
        if not all(is_whole(home / part / name) for name in files):
            away = home / f"{part}.damaged"
            shutil.rmtree(away, ignore_errors=True)
            (home / part).rename(away)
            aside.append(away)
    return aside


def is_whole(database: Path) -> bool:
    """Whether an SQLite file can be read to its last page; one that is not there, or in use, counts as whole."""
    if not database.exists():
        return True
    try:
        with closing(sqlite3.connect(database)) as con:
            return bool(con.execute("pragma quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        # locked, or not to be opened now: a refresh says so itself
        return True
    except sqlite3.DatabaseError:
        return False


def forget_unreadable_events(home: Path, run_id: str) -> None:
    """Remove the events of one run where they cannot be read."""
    database = home / "history" / "runs" / f"{run_id}.db"
    if not is_whole(database):
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.remove(f"{database}{suffix}")
