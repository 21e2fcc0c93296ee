"""What is wrong with a survey folder, and the error that carries it.

Belongs here: a problem with its place, and the refusal of a folder. Does not belong here: finding problems (`folder`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a folder, where it is and what to do."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.message}"


class SurveyFolderError(ValueError):
    """A folder that cannot be used; carries every problem found."""

    def __init__(self, folder: Path, problems: Iterable[Problem]) -> None:
        self.folder = folder
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.message)))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"survey folder {folder.name} has {len(self.problems)} problem(s):\n{lines}")
