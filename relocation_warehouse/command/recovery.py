"""What a crash, a full disk or a stray hand left behind: noticed before a refresh builds on it.

Belongs here: whether intermediate files can be trusted, and clearing them. Does not belong here: building them
anew, which is what a refresh does anyway. Published files never depend on these.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.state import State, sha256_of
from relocation_warehouse.survey.folder import list_survey_folders, load_folder
from relocation_warehouse.survey.problems import SurveyFolderError

PARQUET_MARK = b"PAR1"
"""First and last bytes of a whole Parquet file."""
IN_USE = ("Could not set lock", "Permission denied", "No space left")
"""DuckDB's words where the file may be sound but cannot be opened now; the refresh then fails with this reason."""


def is_damaged(paths: Paths) -> bool:
    """Whether the build database cannot be read to its last block, or is not the one that the state remembers.

    DuckDB keeps a checksum with each block, so reading finds what was cut off or overwritten.
    """
    surveys = State.load(paths).surveys
    accepted = {s for s, state in surveys.items() if state.status == "accepted"}
    if not paths.build_database.exists():
        return bool(accepted)
    if not surveys:
        return True
    import duckdb

    from relocation_warehouse.ground.database import connect, quoted

    try:
        with connect(paths.build_database) as con:
            tables = con.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            for schema, table in tables:
                con.execute(
                    f"select bit_xor(hash(COLUMNS(*))) from {quoted(schema)}.{quoted(table)}"
                ).fetchall()
            held = con.execute("select survey_id from quality.loads").fetchall() if accepted else []
    except duckdb.Error as error:
        return not any(words in str(error) for words in IN_USE)
    return not accepted <= {survey_id for (survey_id,) in held}


def is_intact(paths: Paths, survey_id: str, inputs: Mapping[str, str]) -> bool:
    """Whether the files kept of an accepted survey are whole: what landed, and the declarations it was loaded by.

    Parameters
    ----------
    paths
        The warehouse.
    survey_id
        The survey.
    inputs
        sha256 by input, as remembered when it was accepted.
    """
    landed = list((paths.landing / survey_id).glob("*.parquet"))
    declared = list((paths.accepted / survey_id).glob("*"))
    return (
        bool(landed and declared)
        and all(_is_whole(p) for p in landed)
        and all(sha256_of(p) == inputs.get(f"{paths.surveys.name}/{survey_id}/{p.name}") for p in declared)
    )


def forget_unreadable(paths: Paths) -> tuple[str, ...]:
    """Remove accepted declarations that no longer load, for nothing can be built while they lie there.

    Returns
    -------
    tuple of str
        Surveys that have to be received again.
    """
    damaged = []
    for folder in list_survey_folders(paths.accepted):
        try:
            load_folder(folder)
        except SurveyFolderError:
            shutil.rmtree(folder)
            damaged.append(folder.name)
    return tuple(damaged)


def _is_whole(parquet: Path) -> bool:
    with parquet.open("rb") as file:
        first = file.read(len(PARQUET_MARK))
        file.seek(-min(len(PARQUET_MARK), parquet.stat().st_size), os.SEEK_END)
        return first == file.read() == PARQUET_MARK


def start_over(paths: Paths) -> None:
    """Forget the build; what is published stays until the next publication replaces it."""
    State().save(paths)
    for path in paths.warehouse.glob(f"{paths.build_database.name}*"):
        path.unlink()
