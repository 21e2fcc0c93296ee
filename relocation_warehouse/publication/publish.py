"""Publication: everything is built aside and becomes visible with one rename.

Layout of the published folder::

    .versions/20260101T000000-1a2b3c4d/   what one publication wrote, never changed afterwards
    .current -> .versions/...             the version that users see; replaced by rename
    warehouse.duckdb -> .current/warehouse.duckdb, and so on for every entry of the version

A reader sees the old version or the new one whole. The version before the current one is kept until the next
publication, so a reader that resolved `.current` can finish. What a killed run left behind is removed by the next.

Belongs here: the order of steps, locking, the swap, the manifest. Does not belong here: what a file contains.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.ground.database import row_digests
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.state import sha256_of
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.database import (
    STORAGE_VERSION,
    TableContent,
    contents,
    read_only,
    write_database,
)
from relocation_warehouse.publication.extract.tables import write_household_tables
from relocation_warehouse.publication.files import (
    IN_DICTIONARY,
    too_long,
    write_csv,
    write_dictionary,
    write_parquet,
)
from relocation_warehouse.publication.former import Former, anew
from relocation_warehouse.publication.grown import Grown
from relocation_warehouse.publication.moved import DECLARATIONS, compare_versions
from relocation_warehouse.publication.pseudonyms import key_from_environment
from relocation_warehouse.publication.renewal import Origin, public_build, remember
from relocation_warehouse.publication.tables import public_contract
from relocation_warehouse.publication.verify import CURRENT, MANIFEST
from relocation_warehouse.publication.withholding import Withheld

VERSIONS = ".versions"
STAGING_PREFIX = "staging-"
DATABASE = "warehouse.duckdb"
PUBLIC = "public"
MEMORY = ".disclosed.duckdb"
"""What the public edition was last made from, where a publication is told of no better place; its owner's alone."""

Report = Callable[[Path, Path], None]
Record = Callable[[Path], None]


class PublicationRefused(Exception):
    """The audit found errors; what was published before stays."""

    def __init__(self, result: AuditResult) -> None:
        lines = [f"- {c.table}: {c.check}: {c.message} ({c.n_failed})" for c in result.errors]
        super().__init__(
            "publication refused, the version published before stays; checks failed:\n" + "\n".join(lines)
        )
        self.result = result


class PublicationFailed(Exception):
    """The machine could not write the publication; what was published before stays."""


@dataclass(frozen=True)
class RunInfo:
    """What the manifest says of the run that made the build.

    Attributes
    ----------
    run_id
        Name of the run.
    code_version
        Commit of the code, None outside a repository.
    inputs
        File -> SHA-256 of what the run read beside survey files (catalog, literature).
    """

    run_id: str
    code_version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A publication that is now visible.

    Attributes
    ----------
    version
        Folder that holds it.
    manifest_sha256
        Of its manifest, by which it is known again.
    tables
        Rows and content checksum of each table.
    csv_left_out
        Tables without a CSV file and why.
    """

    version: Path
    manifest_sha256: str
    tables: dict[str, TableContent]
    csv_left_out: dict[str, str]


def default_report(database: Path, folder: Path) -> None:
    """Write the static report; drawing libraries are imported only then."""
    from relocation_warehouse.publication.report import write_report

    write_report(database, folder)


def publish(
    build: Path,
    published: Path,
    contract: Contract,
    audited: AuditResult,
    run: RunInfo,
    report: Report | None = default_report,
    record: Record | None = None,
    memory: Path | None = None,
    kept: Kept | None = None,
) -> Published:
    """Publish an audited build: the analyst edition, and the public edition under `public/`.

    Parameters
    ----------
    build
        The build database; no connection of this process may hold it open for writing.
    published
        Folder that users read; created where it does not exist.
    contract
        The tables to publish.
    audited
        Result of `audit` on this build.
    run
        What the manifest says of the run.
    report
        Writes the report of a published database into a folder; None leaves it out.
    record
        Told of the folder of the finished version before anyone sees it; what it raises stops the publication.
    memory
        File that remembers what the public edition was last made from, by default one in `published`. Where it lies
        beside the build it outlives what is published.
    kept
        Remembers what the files were made from, so that those which say the same are not written again.

    Raises
    ------
    PublicationRefused
        If the audit found errors.
    MissingKeyError
        If a survey is real and there is no secret to pseudonymise households with.
    PublicationFailed
        If the disk is full, a permission is missing, the build is damaged or another publication is running.
    """
    if not audited.is_passed:
        raise PublicationRefused(audited)
    try:
        with _only_publisher(published):
            return _publish(
                build, published, contract, audited, run, report, record, memory or published / MEMORY, kept
            )
    except (OSError, duckdb.OperationalError, duckdb.InternalError) as error:
        raise PublicationFailed(
            f"could not publish to {published}: {error}. The version published before stays; mend the cause"
            " (disk space, permissions, a process holding the build database) and refresh again"
        ) from error


def _publish(
    build: Path,
    published: Path,
    contract: Contract,
    audited: AuditResult,
    run: RunInfo,
    report: Report | None,
    record: Record | None,
    memory: Path,
    kept: Kept | None,
) -> Published:
    versions = published / VERSIONS
    _clean(published)
    version_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    staging = versions / (STAGING_PREFIX + version_id)
    staging.mkdir()
    try:
        key = key_from_environment()
        former = published / CURRENT
        grown = None if kept is None else Grown(former / DATABASE, kept)
        write_database(
            build, staging / DATABASE, contract, audited.checks, key, withheld=audited.withheld, grown=grown
        )
        public = _write_public(staging, contract, run, report, memory, key, former / PUBLIC, kept)
        tables, left_out = _write_files(
            staging, contract, run, report, former, kept, audited.withheld, says_what_moved=True
        )
        _make_durable(staging)
        if record is not None:
            record(staging)
        remember(public, memory)
        version = versions / version_id
        staging.rename(version)
        _sync(versions)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    _switch(published, version)
    return Published(version, sha256_of(version / MANIFEST), tables, left_out)


def _write_public(
    folder: Path,
    contract: Contract,
    run: RunInfo,
    report: Report | None,
    memory: Path,
    key: bytes | None,
    former: Path,
    kept: Kept | None,
) -> Path:
    """Write the public edition beside the analyst database in `folder`; returns the build that it was made from.

    Its manifest has no checksum of a survey's declarations, of which corrections quote answers and a guess could be
    tried, and does not say which sites and columns single households out.
    """
    public = public_contract(contract)
    origin = Origin(run.run_id, run.code_version, run.inputs)
    build, made = public_build(folder / DATABASE, memory, public, origin, key, kept=kept)
    (folder / PUBLIC).mkdir()
    grown = None if kept is None else Grown(former / DATABASE, kept)
    write_database(build, folder / PUBLIC / DATABASE, public, is_pseudonymous=True, grown=grown)
    inputs = {file: sha256 for file, sha256 in made.inputs.items() if not file.startswith(DECLARATIONS)}
    _write_files(
        folder / PUBLIC, public, RunInfo(made.run_id, made.code_version, inputs), report, former, kept
    )
    return build


def _write_files(
    folder: Path,
    contract: Contract,
    run: RunInfo,
    report: Report | None,
    former: Path,
    kept: Kept | None,
    withheld: Sequence[Withheld] = (),
    *,
    says_what_moved: bool = False,
) -> tuple[dict[str, TableContent], dict[str, str]]:
    """Write everything else of an edition beside its database, of which the version before is in `former`."""
    database = folder / DATABASE
    with read_only(database) as con:
        tables = contents(con, contract)
        inputs = con.execute(
            "select survey_id, file_id, file, sha256 from quality.loads order by survey_id, file_id"
        ).fetchall()
        left_out = too_long(con, contract)
        before = None
        if kept is not None:
            rows = row_digests(
                con, {t.full_name: None for t in contract if t.full_name not in left_out or not t.is_view}
            )
            before = Former(former, folder, contract, rows, kept)
        make = before.make if before is not None else anew
        write_parquet(con, contract, folder / "parquet", left_out, make)
        write_csv(con, contract, folder / "csv", left_out, make)
        make(folder / "data_dictionary.xlsx", IN_DICTIONARY, partial(write_dictionary, con, contract))
    labelled_left_out = write_household_tables(database, contract, folder, left_out, make)
    if before is not None:
        before.remember()
    if report is not None:
        report(database, folder / "report")
    manifest: dict[str, Any] = {
        "contract_version": contract.version,
        "run_id": run.run_id,
        "code_version": run.code_version,
        "published_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "duckdb": {"library": duckdb.__version__, "storage_version": STORAGE_VERSION},
        "inputs": [
            {"survey_id": survey, "file_id": file_id, "file": file, "sha256": sha256}
            for survey, file_id, file, sha256 in inputs
        ]
        + [{"file": file, "sha256": sha256} for file, sha256 in sorted(run.inputs.items())],
        "tables": {
            name: {"rows": content.rows, "content_checksum": content.checksum}
            for name, content in tables.items()
        },
        "views": [table.full_name for table in contract if table.is_view],
        "csv_left_out": left_out,
        "withheld": [
            {"survey_id": w.survey_id, "columns": w.columns, "sites": w.sites, "coarsened": w.names_coarsened}
            for w in withheld
        ],
        "stata_and_spss_left_out": labelled_left_out,
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    }
    if says_what_moved:
        manifest["moved"] = compare_versions(former, database, manifest, contract)
    (folder / MANIFEST).write_text(
        json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    return tables, left_out


@contextmanager
def _only_publisher(published: Path) -> Iterator[None]:
    """Hold the right to publish; the system gives it back when the process ends, however it ends."""
    (published / VERSIONS).mkdir(parents=True, exist_ok=True)
    with (published / VERSIONS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another publication is running") from None
        yield


def _clean(published: Path) -> None:
    """Remove what no reader needs: versions before the current one and leftovers of killed runs."""
    current = (published / CURRENT).resolve()
    for path in (published / VERSIONS).iterdir():
        if path.is_dir() and path.resolve() != current:
            shutil.rmtree(path)
    for link in published.glob(f"{CURRENT}-*"):
        link.unlink()


def _make_durable(folder: Path) -> None:
    """Make all files read-only and force them to disk, before anything points to them."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file():
            path.chmod(0o444)
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _switch(published: Path, version: Path) -> None:
    """Make `version` the one that users see.

    Links to entries that are new stay dangling until the rename, so all entries appear with it.
    """
    entries = {path.name for path in version.iterdir()}
    for entry in sorted(entries):
        _link(published / entry, Path(CURRENT) / entry)
    _link(published / CURRENT, Path(VERSIONS) / version.name)
    for path in published.iterdir():
        if path.is_symlink() and path.name != CURRENT and path.name not in entries:
            path.unlink()
    _sync(published)


def _link(path: Path, target: Path) -> None:
    """Point `path` to `target` by rename, so that it never points nowhere in between."""
    if path.is_symlink() and path.readlink() == target:
        return
    if path.is_dir() and not path.is_symlink():
        # somebody put a folder where ours was; a rename cannot replace it
        shutil.rmtree(path)
    temporary = path.with_name(f"{CURRENT}-{uuid.uuid4().hex[:8]}")
    temporary.symlink_to(target)
    temporary.replace(path)
