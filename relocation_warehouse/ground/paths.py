"""Where things are: the folders of a checkout, overridable from the environment.

Belongs here: paths and nothing else. Does not belong here: settings of a method (they are data in the catalog).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Rights of everybody but the owner."""

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ("analysis", "dagster_project", "expectations", "relocation_warehouse")
"""Import packages at the top of the checkout."""


def is_text(name: str) -> bool:
    """Whether the name of a file or folder is UTF-8; the bytes of another one come as surrogates."""
    return all(not 0xD800 <= ord(c) <= 0xDFFF for c in name)


@dataclass(frozen=True)
class Paths:
    """Folders of one warehouse.

    Attributes
    ----------
    catalog, surveys, literature
        What is declared and received; read only.
    inbox, landing, warehouse, published
        What a refresh uses and makes; git-ignored.
    dbt
        The dbt project.
    """

    catalog: Path
    surveys: Path
    literature: Path
    inbox: Path
    landing: Path
    warehouse: Path
    published: Path
    dbt: Path

    @property
    def build_database(self) -> Path:
        """The database being built; never opened by users."""
        return self.warehouse / "build.duckdb"

    @property
    def refresh_lock(self) -> Path:
        """Who refreshes; see `ground.turn`."""
        return self.warehouse / "refresh.lock"

    @property
    def accepted(self) -> Path:
        """Declarations of the last accepted version of each survey."""
        return self.warehouse / "accepted"

    @property
    def analysis(self) -> Path:
        """Parquet files written by the analysis assets."""
        return self.warehouse / "analysis"

    @classmethod
    def under(cls, data: Path, dbt: Path | None = None) -> Paths:
        """Paths of a warehouse whose `data/` folder is `data`."""
        return cls(
            catalog=data / "catalog",
            surveys=data / "surveys",
            literature=data / "literature",
            inbox=data / "inbox",
            landing=data / "landing",
            warehouse=data / "warehouse",
            published=data / "published",
            dbt=dbt or CHECKOUT / "dbt",
        )

    @classmethod
    def from_environment(cls) -> Paths:
        """Paths of this checkout, or of `WAREHOUSE_DATA` where that is set."""
        return cls.under(Path(os.environ.get("WAREHOUSE_DATA", CHECKOUT / "data")).resolve())

    def make(self) -> None:
        """Create the folders that a refresh writes to; what people answered and who they are is their owner's alone."""
        for folder in (self.inbox, self.landing, self.warehouse, self.analysis, self.published):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.landing, self.warehouse):
            mode = stat.S_IMODE(folder.stat().st_mode)
            if mode & OTHERS and folder.stat().st_uid == os.geteuid():
                folder.chmod(mode & ~OTHERS)
