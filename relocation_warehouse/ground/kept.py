"""What was made once is kept by the digest of what it was made from, so that the same is never made twice.

An entry is one file, `<kind>/<digest>`, that holds named parts and the sha256 of them all. It is written aside and
renamed, so it is there whole or not at all; one that is missing, cut off or changed counts as not kept and is made
again. A key has three things in it: what is made, what it is made from by content, and the code that makes it. Nothing
is ever looked up by time or by name alone, so an entry is right or unused.

Belongs here: keeping, digests of keys and of code, and what is thrown away. Does not belong here: what is worth keeping
(the caller decides), or any meaning of the parts.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from relocation_warehouse.ground.paths import CHECKOUT, PACKAGES, Paths

FOLDER_VARIABLE = "WAREHOUSE_KEPT"
"""Environment variable with a folder that several warehouses keep things in together."""

LARGEST_BYTES = 512 * 2**20
"""Size beyond which entries that were not used for longest are removed."""

IMPORTED = re.compile(
    rf"^[ \t]*(?:from[ \t]+((?:{'|'.join(PACKAGES)})[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]+)"
    rf"|import[ \t]+((?:{'|'.join(PACKAGES)})[\w.]*))",
    re.MULTILINE,
)
"""Imports of our packages, also those inside functions."""

Parts = Mapping[str, bytes]


class Kept:
    """Things that were made before, in a folder.

    Parameters
    ----------
    folder
        Where they are; created with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, paths: Paths) -> Kept:
        """Those of a warehouse, or of all that name the same folder in the environment."""
        given = os.environ.get(FOLDER_VARIABLE)
        return cls(Path(given) if given else paths.warehouse / "kept")

    @classmethod
    @contextmanager
    def anew(cls, paths: Paths) -> Iterator[None]:
        """Use nothing that was kept while the block lasts.

        What a warehouse kept itself is removed; what it keeps together with others is theirs too, and is left alone.
        """
        shared = os.environ.pop(FOLDER_VARIABLE, None)
        try:
            cls.of(paths).forget()
            yield
        finally:
            if shared is not None:
                os.environ[FOLDER_VARIABLE] = shared

    def find(self, kind: str, digest: str) -> dict[str, bytes] | None:
        """The parts of an entry; None where it is not kept, or not as it was written."""
        path = self.folder / kind / digest
        try:
            stated, _, content = path.read_bytes().partition(b"\n")
            if hashlib.sha256(content).hexdigest().encode() != stated:
                return None
            with zipfile.ZipFile(io.BytesIO(content)) as parts:
                files = {name: parts.read(name) for name in parts.namelist()}
        except (OSError, zipfile.BadZipFile):
            return None
        with suppress(OSError):  # one who may only read it does
            os.utime(path)
        return files

    def keep(self, kind: str, digest: str, parts: Parts) -> None:
        """Keep an entry; on a full disk nothing is kept, and the next run computes it again."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            for name, content in parts.items():
                file.writestr(zipfile.ZipInfo(name), content)
        content = packed.getvalue()
        path = self.folder / kind / digest
        fresh = path.with_name(f"{digest}-{uuid.uuid4().hex[:8]}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    def made(self, kind: str, digest: str, make: Callable[[], Parts]) -> Parts:
        """The parts of an entry, made where it is not kept."""
        content = self.find(kind, digest)
        if content is not None:
            return content
        parts = make()
        self.keep(kind, digest, parts)
        return parts

    def forget(self) -> None:
        """Remove everything, so that all is made anew."""
        self.prune(0)

    def prune(self, largest_bytes: int = LARGEST_BYTES) -> None:
        """Remove what was not used for longest until no more than so many bytes are kept."""
        files = []
        for path in self.folder.glob("*/*"):
            with suppress(OSError):  # another run may remove the same
                state = path.stat()
                files.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= largest_bytes:
                break
            with suppress(OSError):
                path.unlink()
            total -= size


def digest_of(*parts: object) -> str:
    """sha256 of what a thing is made from: texts, numbers and plain collections of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def code_of(*modules: str) -> str:
    """sha256 of modules of ours, of all that they import of ours, of files beside them, and of the libraries' versions.

    Parameters
    ----------
    modules
        Full names; that of a package stands for all modules in it.

    Raises
    ------
    LookupError
        There is no such module: a digest of nothing would never change.
    """
    for name in modules:
        if not _files(name):
            raise LookupError(f"there is no module {name}")
    waiting, files = [*modules], set()
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for path in _files(name):
            files.add(path)
            if path.suffix == ".py":
                waiting += _imports(path)
    total = hashlib.sha256((CHECKOUT / "requirements.lock").read_bytes())
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(CHECKOUT).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _files(module: str) -> Iterable[Path]:
    """Files of a module, or of a whole package with its templates; none where the name is that of an object."""
    place = CHECKOUT / module.replace(".", "/")
    if place.with_suffix(".py").is_file():
        return [place.with_suffix(".py")]
    if place.is_dir():
        return [p for p in place.rglob("*") if p.is_file() and p.suffix not in (".pyc", ".md")]
    return []


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Names that a module imports from our packages; some are those of objects."""
    imported: list[str] = []
    for source, names, plain in IMPORTED.findall(path.read_text(encoding="utf-8")):
        if plain:
            imported.append(plain)
            continue
        listed = [n.split("#")[0].split(" as ")[0].strip(" ()\t") for n in re.split(r"[,\n]", names)]
        modules = [f"{source}.{n}" for n in listed if n and _is_module(f"{source}.{n}")]
        imported += modules
        # importing from a package runs its __init__ alone
        imported.append(source if not _is_package(source) else f"{source}.__init__")
    return tuple(imported)


def _is_module(name: str) -> bool:
    place = CHECKOUT / name.replace(".", "/")
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def _is_package(name: str) -> bool:
    return (CHECKOUT / name.replace(".", "/") / "__init__.py").is_file()
