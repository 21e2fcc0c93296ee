"""What the last refresh saw, by content: a refresh with nothing to do must be able to say so in a second.

Belongs here: digests of inputs and code, and the small file that remembers them. Does not belong here: imports of
Dagster, dbt or pandas.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from relocation_warehouse.ground.engine import DUCKDB, engine_name
from relocation_warehouse.ground.paths import CHECKOUT, PACKAGES, Paths, is_text

CODE = (*PACKAGES, "dbt/models", "dbt/macros", "dbt/tests")
"""Folders whose Python, SQL and YAML decide the numbers."""
CODE_INPUT, DECLARED_INPUT, ENGINE_INPUT = "the code", "the catalog or the literature", "the engine"
"""Names of the inputs that all surveys share."""
SUFFIXES = {".py", ".sql", ".yml", ".html", ".css", ".js", ".j2"}
NOT_READ = {".md", ".part"}
"""Files of a survey folder or inbox that no number depends on: notes, and uploads that are not complete."""


@dataclass
class SurveyState:
    """The last attempt at a survey.

    Attributes
    ----------
    inputs
        sha256 by input then, as `survey_inputs` gives them.
    status
        accepted, refused (its folder or files cannot be used) or failed (it could not be tried; tried again next).
    problems
        Why it was refused or failed.
    at
        When, UTC.
    harmonised_by
        Digest of the code and catalog by which the models were run on what was accepted; empty where they were not
        yet, so that a refresh that was stopped goes on from here.
    """

    inputs: dict[str, str]
    status: str
    problems: list[str]
    at: str
    harmonised_by: str = ""


@dataclass
class State:
    """The last refresh.

    Attributes
    ----------
    surveys
        By survey id.
    published
        Digest of everything that the published version was made from; empty while none is up to date.
    published_at
        When, UTC.
    manifest
        sha256 of the manifest of that version, by which it is known again; empty where that is not known.
    key
        Fingerprint of the secret that its pseudonyms were made with; empty where there was none.
    failure
        Why the last refresh did not publish; empty where it did.
    failed_at
        When, UTC; empty where it did.
    """

    surveys: dict[str, SurveyState] = field(default_factory=dict)
    published: str = ""
    published_at: str = ""
    manifest: str = ""
    key: str = ""
    failure: str = ""
    failed_at: str = ""

    @classmethod
    def load(cls, paths: Paths) -> State:
        """Read the state; a file that cannot be read counts as none, so that everything is rebuilt."""
        try:
            content = json.loads(_file(paths).read_text(encoding="utf-8"))
            surveys = {k: SurveyState(**v) for k, v in content.pop("surveys").items()}
            return cls(surveys=surveys, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()

    @classmethod
    @contextmanager
    def updated(cls, paths: Paths) -> Iterator[State]:
        """Read the state, change it in the block, write it."""
        state = cls.load(paths)
        yield state
        state.save(paths)

    def received(self, survey_id: str, inputs: dict[str, str], status: str, problems: Iterable[str]) -> None:
        """Remember an attempt at a survey; what was harmonised of it before stays so unless it was replaced."""
        former = self.surveys.get(survey_id)
        harmonised_by = former.harmonised_by if former is not None and status != "accepted" else ""
        self.surveys[survey_id] = SurveyState(inputs, status, list(problems), now(), harmonised_by)
        self.published = ""

    def was_published(self, manifest: str = "", key: str = "") -> None:
        """Remember that a version made from these surveys is visible, the sha256 of its manifest, and its key.

        A version of made-up surveys that was published without a key does not make the former key forgotten.
        """
        self.key = key or self.key
        self.published, self.published_at, self.manifest = total_digest(self.inputs), now(), manifest
        self.failure = self.failed_at = ""

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        """Inputs by survey at the last attempt."""
        return {s: state.inputs for s, state in self.surveys.items()}

    def save(self, paths: Paths) -> None:
        """Write the state by rename, so that a killed refresh leaves the old one."""
        paths.warehouse.mkdir(parents=True, exist_ok=True)
        fresh = _file(paths).with_suffix(".new")
        # in ASCII: the name of a file in a survey folder need not be UTF-8
        fresh.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        fresh.replace(_file(paths))


def _file(paths: Paths) -> Path:
    return paths.warehouse / "state.json"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def survey_inputs(paths: Paths) -> dict[str, dict[str, str]]:
    """By survey: sha256 of everything that decides its numbers, by what it is.

    These are the files of its folder and of its inbox, and the code and catalog that say how they are read.
    """
    shared = shared_inputs(paths)
    root = paths.surveys.parent
    return {
        file.parent.name: shared
        | {
            p.relative_to(root).as_posix(): sha256_of(p)
            for p in (*_read(file.parent), *_read(paths.inbox / file.parent.name))
        }
        for file in sorted(paths.surveys.glob("*/survey.yml"))
        if is_text(file.parent.name)  # `warehouse check` names the others
    }


def shared_inputs(paths: Paths) -> dict[str, str]:
    """sha256 of the code, and of the catalog and literature, and the engine: what all surveys share."""
    engine = engine_name()
    other = {} if engine == DUCKDB else {ENGINE_INPUT: engine}
    return {CODE_INPUT: code_digest(), DECLARED_INPUT: declared_digest(paths), **other}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs between two sets of inputs, in words."""
    return [
        f"{name} {'is new' if name not in before else 'is gone' if name not in after else 'changed'}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _read(root: Path) -> Iterator[Path]:
    """Files under a survey's folder or inbox that its numbers can depend on."""
    return (p for p in root.rglob("*") if p.is_file() and p.suffix not in NOT_READ)


def inbox_files(paths: Paths, survey_id: str) -> dict[str, list[int]]:
    """Size in bytes and time of change in nanoseconds of the complete files in a survey's inbox, by path."""
    root = paths.inbox / survey_id
    stats = {p.relative_to(root).as_posix(): p.stat() for p in _read(root)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())}


def inbox_digest(paths: Paths, survey_id: str) -> str:
    """sha256 over the complete files in a survey's inbox; empty where there is none."""
    root = paths.inbox / survey_id
    files = list(_read(root))
    return _digest(root, files) if files else ""


def code_digest() -> str:
    """sha256 over the code and models that decide the numbers."""
    files = [p for name in CODE for p in (CHECKOUT / name).rglob("*") if p.suffix in SUFFIXES]
    return _digest(CHECKOUT, [*files, CHECKOUT / "requirements.lock"])


def declared_digest(paths: Paths) -> str:
    """sha256 over catalog and literature."""
    return _digest(paths.catalog.parent, [*paths.catalog.rglob("*"), *paths.literature.rglob("*")])


def input_digests(paths: Paths) -> dict[str, str]:
    """sha256 of every file of catalog and literature, and of the declarations accepted, for the manifest."""
    files = sorted(
        p for folder in (paths.catalog, paths.literature) for p in folder.rglob("*") if p.is_file()
    )
    accepted = sorted(p for p in paths.accepted.glob("*/*") if p.is_file())
    return {p.relative_to(paths.catalog.parent).as_posix(): sha256_of(p) for p in files} | {
        f"surveys/{p.parent.name}/{p.name}": sha256_of(p) for p in accepted
    }


def total_digest(inputs: Mapping[str, object]) -> str:
    """One digest of many inputs: everything that a publication, or a survey in it, is made from."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


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
        name = path.relative_to(root).as_posix().encode(errors="surrogateescape")
        total.update(name + f"\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def summary(paths: Paths) -> dict[str, dict[str, str]]:
    """What is fresh, stale, refused, failed, new or withdrawn, and why: rows of `warehouse status`."""
    state = State.load(paths)
    by_survey = {}
    inputs = survey_inputs(paths)
    for survey_id, current in inputs.items():
        last = state.surveys.get(survey_id)
        if last is None:
            by_survey[survey_id] = {"status": "new", "since": "", "why": "never loaded"}
            continue
        changed = changes(last.inputs, current)
        why = [*changed, *(f"{last.status} before: {p}" if changed else p for p in last.problems)]
        status = "stale" if changed else "fresh" if last.status == "accepted" else last.status
        if not why and not last.harmonised_by:
            status, why = "stale", ["the last refresh stopped before it was harmonised"]
        by_survey[survey_id] = {"status": status, "since": last.at, "why": "; ".join(why)}
    for survey_id in sorted(set(state.surveys) - set(inputs)):
        since = state.surveys[survey_id].at
        by_survey[survey_id] = {"status": "withdrawn", "since": since, "why": "its folder is gone"}
    return by_survey
