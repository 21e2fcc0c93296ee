"""Files of the version before that say the same as those of the version that is being made.

A file follows from the rows of some tables, the words of the contract, and the code that writes it. What each was made
from is kept with its checksum; a file of the version before that would be made from the same, and is still what it was
when it was written, is linked into the new version instead of being written again. Both are read-only, so one file in
two folders is as safe as two, and the older folder goes soon.

Belongs here: that comparison and the link. Does not belong here: how a file is written (`files`, `extract.tables`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.ground.kept import Kept, code_of, digest_of
from relocation_warehouse.ground.state import sha256_of

KIND = "files"
CODE = ("relocation_warehouse.publication.files", "relocation_warehouse.publication.extract.tables")

Make = Callable[[Path, Iterable[str], Callable[[Path], object]], None]
"""Makes a file that follows from some tables, named `schema.table`, by calling a function with its path."""


def anew(path: Path, tables: Iterable[str], write: Callable[[Path], object]) -> None:
    """Write a file, whatever it follows from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)


class Former:
    """An edition of the version before, beside the one that is being written.

    Parameters
    ----------
    before, folder
        The edition as it was published, which may not exist, and the folder of the new one.
    contract
        Its tables.
    rows
        Digest of the rows of each table or view that a file follows from.
    kept
        Remembers what files were made from.
    """

    def __init__(
        self, before: Path, folder: Path, contract: Contract, rows: Mapping[str, str], kept: Kept
    ) -> None:
        self.before, self.folder, self.kept = before, folder, kept
        self._content = {t.full_name: [repr(t), rows.get(t.full_name)] for t in contract}
        self._made_by = digest_of(code_of(*CODE), contract.version)
        self._key = digest_of(str(before), self._made_by)
        remembered = kept.find(KIND, self._key)
        self._known: dict[str, list[str]] = json.loads(remembered["files.json"]) if remembered else {}
        self._made: dict[str, list[str]] = {}

    def make(self, path: Path, tables: Iterable[str], write: Callable[[Path], object]) -> None:
        """Link a file of the version before, or write it where it would not be the same."""
        name = path.relative_to(self.folder).as_posix()
        made_from = digest_of(name, self._made_by, {t: self._content[t] for t in tables})
        former, sha256 = self.before / name, self._known.get(name, ["", ""])[1]
        if self._known.get(name) == [made_from, sha256] and _is(former, sha256):
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(former, path)
        else:
            anew(path, tables, write)
            sha256 = sha256_of(path)
        self._made[name] = [made_from, sha256]

    def remember(self) -> None:
        """Keep what the files were made from, for the version after this one."""
        self.kept.keep(KIND, self._key, {"files.json": json.dumps(self._made).encode()})


def _is(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _link(former: Path, path: Path) -> None:
    try:
        os.link(former, path)
    except OSError:  # a file system without links, or one with too many of them
        shutil.copyfile(former, path)
