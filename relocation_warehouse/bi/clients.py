"""The published file in the hands of its clients: every block of the client notes that names packages is run.

Each set of packages gets an environment of its own, so a note is tested with the release that it names. The cookbook is
answered again by the oldest DuckDB that is promised to work and by the newest. Belongs here: running what
`docs/consumers/clients.md` says. Does not belong here: a client note.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relocation_warehouse.ground.paths import CHECKOUT, Paths

NOTES = CHECKOUT / "docs" / "consumers" / "clients.md"
COOKBOOK_ENGINES = ("duckdb==1.0.0", "duckdb==2.0.0")
BLOCK = re.compile(r"^```(python|sh) (\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A block of the notes: its language, the packages it needs, and its text."""

    language: str
    packages: tuple[str, ...]
    code: str


def snippets(notes: str) -> list[Snippet]:
    """Blocks of the notes that name packages behind their language, in order."""
    return [Snippet(m[1], tuple(m[2].split()), m[3]) for m in BLOCK.finditer(notes)]


class _Environments:
    """Virtual environments by their packages, each made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[tuple[str, ...], Path] = {}

    def __getitem__(self, packages: tuple[str, ...]) -> Path:
        if packages not in self.made:
            environment = self.folder / f"environment_{len(self.made)}"
            uv = Path(sys.executable).with_name("uv")
            _run([uv, "venv", "--quiet", "--python", sys.executable, environment])
            _run([uv, "pip", "install", "--quiet", "--python", environment / "bin" / "python", *packages])
            self.made[packages] = environment / "bin"
        return self.made[packages]


def _run(command: Sequence[str | Path], **options: object) -> str:
    """Run a command; its output, or an error that shows what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))[:300]} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def run_all(published: Path, folder: Path) -> Iterator[str]:
    """Run every snippet and the cookbook against a published folder; yields a line for each that worked.

    Parameters
    ----------
    published
        The folder that holds `warehouse.duckdb`.
    folder
        Where environments are made.

    Raises
    ------
    RuntimeError
        A package cannot be installed, a snippet fails or prints nothing, or an answer differs.
    """
    environments = _Environments(folder)
    home = folder / "reader"
    (home / "data").mkdir(parents=True)
    (home / "data" / "published").symlink_to(published)
    (home / "docs").symlink_to(CHECKOUT / "docs")
    for snippet in snippets(NOTES.read_text(encoding="utf-8")):
        binaries = environments[snippet.packages]
        shell: list[str | Path] = (
            [binaries / "python", "-c"] if snippet.language == "python" else ["bash", "-euc"]
        )
        path = os.pathsep.join((str(binaries), os.environ["PATH"]))
        output = _run([*shell, snippet.code], cwd=home, env={"PATH": path, "HOME": str(home)})
        if not output.strip():
            raise RuntimeError(f"a block for {' '.join(snippet.packages)} says nothing:\n{snippet.code}")
        yield f"{snippet.language} with {' '.join(snippet.packages)}"
    for engine in COOKBOOK_ENGINES:
        check = ("-m", "relocation_warehouse.bi.cookbook", "check", published / "warehouse.duckdb")
        output = _run([environments[engine,] / "python", *check], cwd=CHECKOUT)
        yield f"{engine}: {output.strip()}"


def main() -> None:
    """Run everything against the published folder of this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        for line in run_all(Paths.from_environment().published.resolve(), Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
