"""Where the lake is, how it is attached, and what is said when it cannot be used.

The lake is one PostgreSQL database with two DuckLake catalogs, each with a folder of Parquet files:

- `arrivals` has what surveys were received as; refreshes write and read it, and it holds household ids as delivered;
- `refreshes` has what was published, one snapshot a refresh; analysts may read it.

Belongs here: connections and their errors. Does not belong here: what the catalogs hold (`arrivals`, `history`).
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import duckdb

from relocation_warehouse.ground import sql
from relocation_warehouse.ground.database import MEMORY_LIMIT
from relocation_warehouse.ground.paths import Paths

URL, FOLDER = "WAREHOUSE_LAKE", "WAREHOUSE_LAKE_DATA"
"""Environment variables with the PostgreSQL URL and the folder of the Parquet files."""
ARRIVALS, REFRESHES = "arrivals", "refreshes"
EXTENSIONS = ("postgres_scanner", "ducklake")
ATTEMPTS = 8
"""How often a writer whose transaction met another one tries before it gives up."""
MEETINGS = (
    "Transaction conflict", "maximum retry count",
    "could not serialize", "deadlock detected", "concurrently updated", "duplicate key value", "already exists",
    "create schema",
)  # fmt: skip
"""Words of DuckLake and of PostgreSQL when two writers met; whoever comes second tries again.

The last four are of a catalog that several processes make at once: PostgreSQL tells of it by what another has made.
"""
STAYS = "what is published stays as it was"

T = TypeVar("T")


class LakeError(RuntimeError):
    """The lake cannot be used: one sentence with the reason and what to do."""


@dataclass(frozen=True)
class Lake:
    """One lake.

    Attributes
    ----------
    url
        PostgreSQL database of the catalogs, `postgresql://user:password@host:port/database`.
    folder
        Folder of the Parquet files.
    """

    url: str
    folder: Path

    @classmethod
    def from_environment(cls) -> Lake | None:
        """The lake that the environment names; None where it names none.

        Raises
        ------
        LakeError
            The URL is not one of PostgreSQL.
        """
        url = os.environ.get(URL, "")
        if not url:
            return None
        try:
            is_postgres = urlsplit(url).scheme in {"postgres", "postgresql"}
            _ = urlsplit(url).port
        except ValueError:
            is_postgres = False
        if not is_postgres:
            raise LakeError(
                f"{URL} is not a PostgreSQL address; write postgresql://user@host:5432/database, or unset it to"
                f" work without the lake; {STAYS}"
            )
        folder = os.environ.get(FOLDER) or Paths.from_environment().catalog.parent / "lake"
        return cls(url, Path(folder).resolve())

    @property
    def place(self) -> str:
        """Host, port and database, without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.hostname or 'the local socket'}:{parts.port or 5432}{parts.path}"

    def check(self) -> None:
        """Attach both catalogs, making them where they are not there yet.

        Raises
        ------
        LakeError
            That is not possible.
        """
        for catalog in (ARRIVALS, REFRESHES):
            with self.connect(catalog):
                pass

    @contextmanager
    def connect(
        self, catalog: str, *, read_only: bool = False, snapshot: int | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Connect to nothing but a catalog, which is attached as `lake`; arguments as in `attached`."""
        with (
            duckdb.connect(
                config={"autoinstall_known_extensions": "false", "memory_limit": MEMORY_LIMIT}
            ) as con,
            self.attached(con, catalog, read_only=read_only, snapshot=snapshot),
        ):
            con.execute(sql.WITHOUT_WAITING)
            yield con

    @contextmanager
    def attached(
        self,
        con: duckdb.DuckDBPyConnection,
        catalog: str,
        *,
        read_only: bool = False,
        snapshot: int | None = None,
    ) -> Iterator[None]:
        """Attach a catalog as `lake` for the length of the block.

        Parameters
        ----------
        con
            A connection in no transaction.
        catalog
            `ARRIVALS` or `REFRESHES`; made where it is not there yet and `read_only` is false.
        read_only
            Write nothing, and make nothing.
        snapshot
            Show this version of it instead of the newest.

        Raises
        ------
        LakeError
            It cannot be attached, or DuckDB failed in the block.
        """
        self._load_extensions(con)
        options = [f"METADATA_SCHEMA '{catalog}'"]
        if not read_only:
            self._make_folder()
            options.append(f"DATA_PATH {sql.text(f'{self.folder / catalog}/')}")
        if read_only or snapshot is not None:
            options.append("READ_ONLY")
        if snapshot is not None:
            options.append(f"SNAPSHOT_VERSION {snapshot}")
        attach = f"attach {sql.text(f'ducklake:postgres:{self.url}')} as lake ({', '.join(options)})"
        try:
            # several processes may be the first one
            retried(lambda: con.execute(attach))
            yield
            con.execute("detach lake")
        except duckdb.Error as error:
            raise LakeError(self._explained(str(error))) from error

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise LakeError(
                f"the folder of the lake, {self.folder}, cannot be made ({error.strerror}); correct {FOLDER} or its"
                f" permissions; {STAYS}"
            ) from error

    def _load_extensions(self, con: duckdb.DuckDBPyConnection) -> None:
        """Load DuckDB's extensions from their wheels: nothing is downloaded, and no home folder is needed."""
        for name in EXTENSIONS:
            package = find_spec(f"duckdb_extension_{name}")
            if package is None or package.origin is None:
                raise LakeError(
                    f"the lake needs the extra `lake` (duckdb-extension-{name.replace('_', '-')} is not installed);"
                    f" install it, or unset {URL} to work without the lake; {STAYS}"
                )
            folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
            con.execute(f"LOAD {sql.text(str(folder / f'{name}.duckdb_extension'))}")

    def _explained(self, message: str) -> str:
        """One sentence for what DuckDB says, without the password."""
        versions = re.search(
            r"catalog version is (\S+), but the extension requires version (\S+?)\.? ", message
        )
        kept = re.search(r'does not match existing data path in the catalog "([^"]+)"', message)
        reason = " ".join(message.replace(self.url, self.place).split())
        if versions:
            return (
                f"the lake at {self.place} is of DuckLake version {versions[1]} and this warehouse reads"
                f" {versions[2]}; back up its PostgreSQL database, then run `warehouse lake upgrade`, or use the"
                f" release of the warehouse that wrote it; {STAYS}"
            )
        if kept:
            folder = kept[1].rstrip("/").rpartition("/")[0]
            return f"the lake keeps its files under {folder}, not {self.folder}; correct {FOLDER}; {STAYS}"
        if "creating a new DuckLake is explicitly disabled" in message:
            return f"the lake at {self.place} holds nothing yet; a `warehouse refresh` with {URL} set records the first"
        if "Unable to connect to Postgres" in message:
            cause = reason.rpartition(f'"{self.place}": ')[2].removesuffix("?").strip()
            return (
                f"PostgreSQL of the lake does not let us in ({cause}); start it or correct {URL}, or unset {URL} to"
                f" work without the lake; {STAYS}"
            )
        return (
            f"the lake at {self.place}, files in {self.folder}, failed: {reason}; mend the cause (disk space,"
            f" permissions, PostgreSQL) and refresh again; {STAYS}"
        )

    def upgrade(self) -> None:
        """Bring both catalogs to the version of DuckLake that is installed.

        Raises
        ------
        LakeError
            That is not possible.
        """
        for catalog in (ARRIVALS, REFRESHES):
            with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as con:
                self._load_extensions(con)
                try:
                    con.execute(
                        f"attach {sql.text(f'ducklake:postgres:{self.url}')} as lake"
                        f" (METADATA_SCHEMA '{catalog}', AUTOMATIC_MIGRATION true)"
                    )
                except duckdb.Error as error:
                    raise LakeError(self._explained(str(error))) from error


def retried(work: Callable[[], T]) -> T:
    """Do a piece of work again, a little later, while DuckDB says that it met another writer's.

    Parameters
    ----------
    work
        Leaves nothing behind where it fails.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except duckdb.Error as error:
            if not any(words in str(error) for words in MEETINGS):
                raise
            time.sleep(random.uniform(0.05, 0.2) * attempt)
    return work()


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the block does, or nothing of it."""
    con.begin()
    try:
        yield
        con.commit()
    except BaseException:
        # a commit that failed has ended the transaction already
        with suppress(duckdb.Error):
            con.rollback()
        raise
