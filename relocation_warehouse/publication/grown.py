"""A database that is grown from the one before: only tables that say something else are written.

After a small change most of the cost of a database is what says nothing of it: views, comments, macros, and tables that
are as they were. What each table was made from is kept with the checksum of the file; the file is copied while it is
still what it was when it was written, and other tables are put in the place of theirs.

What a table held stays in the file as empty space that the next ones use. So nothing is grown where rows of households
changed: a household that was withdrawn is nowhere in the file any more.

Belongs here: that comparison and the copy. Does not belong here: what a table is made from (who writes it says so).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import duckdb

from relocation_warehouse.ground.kept import Kept, digest_of
from relocation_warehouse.ground.state import sha256_of

KIND = "databases"
OWNER_ONLY = 0o600


class Grown:
    """The database before, beside the one that is being written.

    Parameters
    ----------
    before
        The database before, which may not exist.
    kept
        Remembers what its tables were made from.
    """

    def __init__(self, before: Path, kept: Kept) -> None:
        self.before, self.kept = before, kept
        self._key, self._made_from = "", dict[str, str]()

    def begun(self, out: Path, made_by: str, made_from: Mapping[str, str]) -> frozenset[str] | None:
        """Begin the new file with the one before; returns its tables that stay, None where there is no such file.

        Parameters
        ----------
        out
            The new file, which must not exist.
        made_by
            Digest of all that every table, view and macro follows from, the rows of households among it.
        made_from
            Table -> digest of what it is made from beside that.
        """
        self._key, self._made_from = digest_of(str(self.before), made_by, duckdb.__version__), {**made_from}
        content = self.kept.find(KIND, self._key)
        if content is None:
            return None
        known = json.loads(content["made.json"])
        try:
            out.touch(OWNER_ONLY)
            shutil.copyfile(self.before, out)
        except OSError:
            out.unlink(missing_ok=True)
            return None
        # of the copy, since that is what is used
        if sha256_of(out) != known["sha256"]:
            out.unlink()
            return None
        return frozenset(t for t, digest in made_from.items() if known["made_from"].get(t) == digest)

    def remember(self, out: Path) -> None:
        """Keep what the new file, which is closed, was made from, for the one after it."""
        made = {"sha256": sha256_of(out), "made_from": self._made_from}
        self.kept.keep(KIND, self._key, {"made.json": json.dumps(made).encode()})
