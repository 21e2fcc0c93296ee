"""The dbt project as Dagster sees it.

Belongs here: where it is, and that its manifest exists before anything loads it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dagster_dbt import DbtProject

from warehouse.paths import Paths

PATHS = Paths.from_environment()
DBT = Path(sys.executable).with_name("dbt")
os.environ.setdefault("WAREHOUSE_BUILD_DATABASE", str(PATHS.build_database))


def ensure_manifest(folder: Path) -> None:
    """Parse the dbt project unless the manifest is newer than every file of it.

    Raises
    ------
    RuntimeError
        dbt could not parse the project; the message is dbt's own.
    """
    manifest = folder / "target" / "manifest.json"
    sources = [
        p
        for pattern in ("*.yml", "models/**/*", "macros/**/*", "tests/**/*")
        for p in folder.glob(pattern)
        if p.is_file()
    ]
    if manifest.exists() and manifest.stat().st_mtime >= max(p.stat().st_mtime for p in sources):
        return
    done = subprocess.run(
        [DBT, "parse", "--quiet", "--project-dir", folder, "--profiles-dir", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the dbt project does not parse:\n{done.stdout}{done.stderr}")


ensure_manifest(PATHS.dbt)
project = DbtProject(project_dir=PATHS.dbt, profiles_dir=PATHS.dbt)
