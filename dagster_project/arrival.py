"""Receive one survey: check its folder, ingest its files, validate what came, remember what was accepted.

Belongs here: the order of these steps and what is recorded of them. Does not belong here: any of the steps.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_project.resources import Warehouse
from expectations.arrival import ColumnProfile, arrival_suite, as_received, profile
from expectations.runner import Outcome, run_suite
from survey.crosswalk import check_crosswalk
from survey.folder import SURVEY_FILE, TABLES, Problem, SurveyFolder, SurveyFolderError, load_folder
from survey.ingest import SurveyLoad, ingest, refuse
from warehouse.database import quoted, replace_rows, table_exists

TEXT, NUMBER = pa.string(), pa.float64()
CHECKS = pa.schema(
    [
        *((n, TEXT) for n in ("survey_id", "source", "check", "table", "status", "severity")),
        ("n_failed", pa.int64()),
        ("message", TEXT),
    ]
)
PROFILES = pa.schema(
    [
        *((n, TEXT) for n in ("survey_id", "file_id", "variable")),
        *((n, NUMBER) for n in ("answered_share", "mean", "sd")),
    ]
)


@dataclass(frozen=True)
class Arrival:
    """What became of one survey.

    Attributes
    ----------
    problems
        Why it was refused; empty where it was accepted.
    loads
        A row per file, as in `quality.loads`.
    outcomes
        Great Expectations results over all its files.
    """

    survey_id: str
    is_accepted: bool
    problems: tuple[Problem, ...]
    loads: pa.Table
    outcomes: tuple[Outcome, ...]
    received_rows: int = 0
    accepted_rows: int = 0
    quarantined_rows: int = 0
    quarantined_cells: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether received = accepted + quarantined."""
        return self.received_rows == self.accepted_rows + self.quarantined_rows


def receive(warehouse: Warehouse, survey_id: str) -> Arrival:
    """Receive the survey as its folder stands now.

    A folder or file that cannot be used refuses the survey: the reason is recorded and nothing else changes.
    """
    path = warehouse.paths.surveys / survey_id
    try:
        folder = load_folder(path, warehouse.catalog.indicator)
        problems = check_crosswalk(folder, warehouse.catalog)
    except SurveyFolderError as error:
        return _refused(warehouse, survey_id, error.problems)
    if problems:
        return _refused(warehouse, survey_id, problems)
    with warehouse.connect() as con:
        load = ingest(folder, warehouse.paths.landing, con, warehouse.catalog.indicator)
        if not load.is_accepted:
            return _arrival(load, _loads(con, survey_id), ())
        outcomes = tuple(o for found in _validate(warehouse, con, folder).values() for o in found)
        loads = _loads(con, survey_id)
    _remember(warehouse, folder)
    return _arrival(load, loads, outcomes)


def _refused(warehouse: Warehouse, survey_id: str, problems: tuple[Problem, ...]) -> Arrival:
    with warehouse.connect() as con:
        load = refuse(survey_id, problems, con)
        return _arrival(load, _loads(con, survey_id), ())


def _arrival(load: SurveyLoad, loads: pa.Table, outcomes: tuple[Outcome, ...]) -> Arrival:
    return Arrival(
        load.survey_id,
        load.is_accepted,
        load.problems,
        loads,
        outcomes,
        sum(f.received for f in load.files),
        sum(f.accepted for f in load.files),
        load.quarantined_rows,
        load.quarantined_cells,
    )


def _loads(con: duckdb.DuckDBPyConnection, survey_id: str) -> pa.Table:
    return con.execute("select * from quality.loads where survey_id = ?", [survey_id]).to_arrow_table()


def _validate(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, folder: SurveyFolder
) -> dict[str, tuple[Outcome, ...]]:
    """Great Expectations on every landed file, against its declarations and against the load before."""
    found = {}
    checks, profiles = [], []
    for file in folder.survey.files:
        landed = pq.read_table(
            warehouse.paths.landing / folder.survey_id / f"{file.file_id}.parquet"
        ).to_pandas()
        frame = as_received(folder, file, landed)
        previous = _previous_profile(con, folder.survey_id, file.file_id)
        table = f"{folder.survey_id}/{file.file_id}"
        found[file.file_id] = run_suite(table, arrival_suite(folder, file, previous), frame)
        checks += [
            {
                "survey_id": folder.survey_id,
                "source": "great_expectations",
                "check": o.expectation.name,
                "table": table,
                "status": "passed" if o.is_met else "failed",
                "severity": o.expectation.severity,
                "n_failed": o.n_failed,
                "message": None if o.is_met else o.observed,
            }
            for o in found[file.file_id]
        ]
        profiles += [
            {"survey_id": folder.survey_id, "file_id": file.file_id, **vars(p)} for p in profile(frame)
        ]
    survey = {"survey_id": folder.survey_id}
    replace_rows(con, "raw", "arrival_checks", pa.Table.from_pylist(checks, CHECKS), **survey)
    replace_rows(con, "raw", "arrival_profiles", pa.Table.from_pylist(profiles, PROFILES), **survey)
    return found


def _previous_profile(
    con: duckdb.DuckDBPyConnection, survey_id: str, file_id: str
) -> tuple[ColumnProfile, ...]:
    try:
        rows = con.execute(
            "select variable, answered_share, mean, sd from raw.arrival_profiles where survey_id = ? and file_id = ?",
            [survey_id, file_id],
        ).fetchall()
    except duckdb.CatalogException:
        return ()
    return tuple(ColumnProfile(*row) for row in rows)


def _remember(warehouse: Warehouse, folder: SurveyFolder) -> None:
    """Keep the declarations that the raw tables were loaded by: a later, refused version must not speak for them."""
    target = warehouse.paths.accepted / folder.survey_id
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name in (SURVEY_FILE, *TABLES):
        shutil.copyfile(folder.path / name, fresh / name)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def withdraw(warehouse: Warehouse, survey_id: str) -> None:
    """Take out a survey whose folder is gone: its raw tables, its quality rows, its declarations."""
    with warehouse.connect() as con:
        tables = con.execute(
            "select table_name from duckdb_tables() where schema_name = 'raw' and starts_with(table_name, ?)",
            [f"{survey_id}__"],
        ).fetchall()
        for (name,) in tables:
            con.execute(f"drop table raw.{quoted(name)}")
        for schema, name in (
            *(("quality", n) for n in ("loads", "quarantine", "codebook")),
            *(("raw", n) for n in ("arrival_checks", "arrival_profiles")),
        ):
            if table_exists(con, schema, name):
                con.execute(f"delete from {schema}.{name} where survey_id = ?", [survey_id])
        if table_exists(con, "staging", "household_waves"):
            con.execute("delete from staging.household_waves where survey_id = ?", [survey_id])
    shutil.rmtree(warehouse.paths.accepted / survey_id, ignore_errors=True)
