"""Is what users see still what was published: every file against the manifest, and the manifest against the state.

Belongs here: reading and comparing. Does not belong here: publishing again (`publish`), and libraries that take long
to load: a refresh with nothing to do asks this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from relocation_warehouse.ground.state import sha256_of

CURRENT = ".current"
MANIFEST = "manifest.json"
NAMED = 3
"""Changes that one message names."""


def what_changed(published: Path, manifest_sha256: str) -> list[str]:
    """Say what of the published version is lost or other than it was published; nothing where all is well.

    Parameters
    ----------
    published
        Folder that users read.
    manifest_sha256
        Of the manifest when it was published; empty where that is not known, and then nothing is said.
    """
    if not manifest_sha256:
        return []
    return list(_changes(published, manifest_sha256))


def summed_up(changes: list[str]) -> str:
    """The first of the changes in words, and how many more there are."""
    more = len(changes) - NAMED
    return "; ".join(changes[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _changes(published: Path, manifest_sha256: str) -> Iterator[str]:
    version = published / CURRENT
    try:
        if sha256_of(version / MANIFEST) != manifest_sha256:
            yield f"{MANIFEST} is not the one that was published"
            return
        files = json.loads((version / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{MANIFEST} is lost or cannot be read"
        return
    for name in sorted({Path(name).parts[0] for name in files} | {MANIFEST}):
        entry = published / name
        if not entry.is_symlink() or entry.readlink() != Path(CURRENT) / name:
            yield f"{name} is lost or was replaced"
    for name, written in files.items():
        path = version / name
        try:
            if path.stat().st_size != written["bytes"] or sha256_of(path) != written["sha256"]:
                yield f"{name} was changed"
        except OSError:
            yield f"{name} is lost or cannot be read"
