"""What the last refresh saw, by content: a refresh with nothing to do must be able to say so in a second.

Belongs here: digests of inputs and code, and the small file that remembers them. Does not belong here: imports of
Dagster, dbt or pandas.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from warehouse.paths import CHECKOUT, Paths

CODE = (
    *("analysis", "dagster_project", "expectations", "publication", "results", "survey", "warehouse"),
    *("dbt/models", "dbt/macros", "dbt/tests"),
)
"""Folders whose Python, SQL and YAML decide the numbers."""
SUFFIXES = {".py", ".sql", ".yml", ".html", ".css", ".js", ".j2"}
NOT_READ = {".md"}
"""Files of a survey folder that no number depends on."""


@dataclass
class SurveyState:
    """The last attempt at a survey.

    Attributes
    ----------
    digest
        Content of its folder then.
    status
        accepted or refused.
    problems
        Why it was refused.
    at
        When, UTC.
    """

    digest: str
    status: str
    problems: list[str]
    at: str


@dataclass
class State:
    """The last refresh.

    Attributes
    ----------
    surveys
        By survey id.
    published
        Digest of everything that the published version was made from; empty before the first publication.
    published_at
        When, UTC.
    failure
        Why the last refresh did not publish; empty where it did.
    """

    surveys: dict[str, SurveyState] = field(default_factory=dict)
    published: str = ""
    published_at: str = ""
    failure: str = ""

    @classmethod
    def load(cls, paths: Paths) -> State:
        """Read the state; a file that cannot be read counts as none, so that everything is rebuilt."""
        try:
            found = json.loads(_file(paths).read_text(encoding="utf-8"))
            surveys = {k: SurveyState(**v) for k, v in found.pop("surveys").items()}
            return cls(surveys=surveys, **found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def save(self, paths: Paths) -> None:
        """Write the state by rename, so that a killed refresh leaves the old one."""
        paths.warehouse.mkdir(parents=True, exist_ok=True)
        fresh = _file(paths).with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        fresh.replace(_file(paths))


def _file(paths: Paths) -> Path:
    return paths.warehouse / "state.json"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def survey_digest(folder: Path) -> str:
    """sha256 over all files of a survey folder that its numbers can depend on."""
    return _digest(folder, (p for p in folder.rglob("*") if p.suffix not in NOT_READ))


def code_digest() -> str:
    """sha256 over the code and models that decide the numbers."""
    found = [p for name in CODE for p in (CHECKOUT / name).rglob("*") if p.suffix in SUFFIXES]
    return _digest(CHECKOUT, [*found, CHECKOUT / "requirements.lock"])


def declared_digest(paths: Paths) -> str:
    """sha256 over catalog and literature."""
    return _digest(paths.catalog.parent, [*paths.catalog.rglob("*"), *paths.literature.rglob("*")])


def input_digests(paths: Paths) -> dict[str, str]:
    """sha256 of every file of catalog and literature, for the manifest."""
    files = sorted(
        p for folder in (paths.catalog, paths.literature) for p in folder.rglob("*") if p.is_file()
    )
    return {p.relative_to(paths.catalog.parent).as_posix(): _sha256(p) for p in files}


def total_digest(code: str, declared: str, surveys: dict[str, str]) -> str:
    """One digest of everything a publication is made from."""
    return hashlib.sha256(json.dumps([code, declared, sorted(surveys.items())]).encode()).hexdigest()


def code_version() -> str | None:
    """Commit of the checkout, or None outside a repository."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _digest(root: Path, files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in files if p.is_file()):
        total.update(f"{path.relative_to(root).as_posix()}\0{_sha256(path)}\n".encode())
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def summary(paths: Paths) -> dict[str, Any]:
    """What is fresh, stale, refused or new, and why: rows of `warehouse status`."""
    state = State.load(paths)
    found: dict[str, Any] = {}
    folders = {p.parent.name: p.parent for p in sorted(paths.surveys.glob("*/survey.yml"))}
    for survey_id, folder in folders.items():
        last = state.surveys.get(survey_id)
        if last is None:
            found[survey_id] = {"status": "new", "since": "", "why": "never loaded"}
        elif last.digest != survey_digest(folder):
            found[survey_id] = {
                "status": "stale",
                "since": last.at,
                "why": "its folder changed since the last load",
            }
        else:
            fresh = last.status == "accepted"
            found[survey_id] = {
                "status": "fresh" if fresh else "refused",
                "since": last.at,
                "why": "" if fresh else "; ".join(last.problems),
            }
    for survey_id in sorted(set(state.surveys) - set(folders)):
        found[survey_id] = {
            "status": "withdrawn",
            "since": state.surveys[survey_id].at,
            "why": "its folder is gone",
        }
    return found
