"""Receive one survey: check its folder, ingest its files, validate what came, remember what was accepted.

Belongs here: the order of these steps and what is recorded of them. Does not belong here: any of the steps.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from expectations.arrival import LOAD_BEFORE, PROFILES, ColumnProfile, cut_off, look_at
from expectations.declared import declared_expectations
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.database import add_rows, quoted, table_exists
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.state import State, survey_inputs, total_digest
from relocation_warehouse.lake.arrivals import Deposits
from relocation_warehouse.lake.catalog import Lake
from relocation_warehouse.receiving.trial import checks_of_large_shares, trial
from relocation_warehouse.receiving.warehouse import Access, Warehouse
from relocation_warehouse.survey.crosswalk import check_crosswalk
from relocation_warehouse.survey.folder import SURVEY_FILE, TABLES, load_folder
from relocation_warehouse.survey.ingest import Intake, SurveyLoad, refuse
from relocation_warehouse.survey.problems import Problem, SurveyFolderError

LOAD = [("loaded_at", pa.timestamp("us")), ("is_accepted", pa.bool_()), ("survey_id", pa.string())]
"""Columns of `raw.expectation_results` that name the load; the others are those of `quality.checks`."""


ROWS = pa.schema([("survey_id", pa.string()), ("file_id", pa.string()), ("n_rows", pa.int64())])
"""Columns of `raw.arrival_rows`."""


def _results(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of `raw.expectation_results`."""
    checks = contract_of()["quality.checks"].arrow_schema
    return pa.Table.from_pylist(rows, pa.schema([*LOAD, *checks]))


def _make_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create what is remembered of loads; a build of an earlier version gets the columns that were added since."""
    empty = {
        "expectation_results": _results([]),
        "arrival_profiles": PROFILES.empty_table(),
        "arrival_rows": ROWS.empty_table(),
    }
    for name, rows in empty.items():
        add_rows(con, "raw", name, rows)


@dataclass(frozen=True)
class Arrival:
    """What became of one survey.

    Attributes
    ----------
    problems
        Why it was refused; empty where it was accepted.
    loads
        A row per file, as in `quality.loads`.
    checks
        A row per expectation over all its files, as in `raw.expectation_results`.
    """

    survey_id: str
    is_accepted: bool
    problems: tuple[Problem, ...]
    loads: pa.Table
    checks: tuple[dict[str, Any], ...]
    received_rows: int = 0
    accepted_rows: int = 0
    quarantined_rows: int = 0
    quarantined_cells: int = 0

    @property
    def is_balanced(self) -> bool:
        """Whether received = accepted + quarantined."""
        return self.received_rows == self.accepted_rows + self.quarantined_rows


def receive(warehouse: Access, survey_id: str) -> Arrival:
    """Receive the survey as its folder and inbox stand now, and remember what became of it.

    A folder or file that cannot be used refuses the survey: the reason is recorded and nothing else changes. Any
    other error is recorded too, so that the survey is tried again, and raised.
    """
    inputs = survey_inputs(warehouse.paths)[survey_id]
    status, problems = "failed", ["it was stopped"]
    try:
        with _only_receiver(warehouse, survey_id):
            arrival = _received(warehouse, survey_id, total_digest(inputs))
        status = "accepted" if arrival.is_accepted else "refused"
        problems = [str(p) for p in arrival.problems]
    except Exception as error:
        problems = [f"{type(error).__name__}: {error}"]
        raise
    finally:
        with State.updated(warehouse.paths) as state:
            state.received(survey_id, inputs, status, problems)
    return arrival


@contextmanager
def _only_receiver(warehouse: Access, survey_id: str) -> Iterator[None]:
    """Wait until no other process receives this survey: both would land its files."""
    folder = warehouse.paths.landing / survey_id
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _received(warehouse: Access, survey_id: str, digest: str) -> Arrival:
    """Take what another process has received of the same inputs from the lake, or receive it and leave it there."""
    with warehouse.connect() as con:
        _make_tables(con)
    lake = Lake.from_environment()
    if lake is None:
        return _receive(warehouse, survey_id)
    deposits, landed = Deposits(lake, survey_id), warehouse.paths.landing / survey_id
    with warehouse.connect() as con:
        declared = deposits.take(con, digest, landed)
        if declared is not None:
            _remember(warehouse, survey_id, declared)
            return _as_taken(con, survey_id)
    arrival = _receive(warehouse, survey_id)
    if arrival.is_accepted:
        with warehouse.connect() as con:
            deposits.put(con, digest, _declarations(warehouse.paths.accepted / survey_id), landed)
    return arrival


def deposit(warehouse: Access, lake: Lake, survey_id: str) -> Arrival:
    """Receive the survey into a build database of this process alone, and leave it in the lake for a refresh.

    What the warehouse has built and published is not touched, so that many processes can do this at once.
    """
    with TemporaryDirectory(prefix=f"load-{survey_id}-", dir=warehouse.paths.warehouse) as scratch:
        for name in ("catalog", "surveys", "literature", "inbox", "landing"):
            (Path(scratch) / name).symlink_to(getattr(warehouse.paths, name))
        aside = Warehouse(scratch)
        with aside.connect() as con:
            Deposits(lake, survey_id).take_profiles(con)
        return receive(aside, survey_id)


def _receive(warehouse: Access, survey_id: str) -> Arrival:
    path = warehouse.paths.surveys / survey_id
    try:
        folder = load_folder(path, warehouse.catalog.indicator, warehouse.paths.inbox / survey_id)
        problems = check_crosswalk(folder, warehouse.catalog)
        declared = declared_expectations(folder)
    except SurveyFolderError as error:
        return _refused(warehouse, survey_id, error.problems)
    if problems:
        return _refused(warehouse, survey_id, problems)
    with warehouse.connect() as con:
        at = _time_of_load(con, survey_id)
        before, rows_before = _profiles(con, survey_id), _rows_before(con, survey_id)
        with Intake(folder, warehouse.paths.landing, con) as intake:
            seen = look_at(folder, intake.parts, declared, before, Kept.of(warehouse.paths))
            n_rows = {file_id: pq.read_metadata(path).num_rows for file_id, path in intake.parts.items()}
            intake.problems += cut_off(
                folder, n_rows, rows_before, warehouse.catalog.gates.largest_share_fewer
            )
            intake.problems += seen.problems()
            if not intake.problems:
                intake.load(warehouse.catalog.indicator)
                intake.problems += trial(folder, warehouse.catalog, contract_of(warehouse.paths), con)
            load = intake.finish()
        stamp = {"loaded_at": at, "is_accepted": load.is_accepted, "survey_id": survey_id}
        checks = seen.checks()
        if load.is_accepted:
            checks += checks_of_large_shares(folder, warehouse.catalog, con)
        results = _results([stamp | check for check in checks])
        add_rows(con, "raw", "expectation_results", results)
        if load.is_accepted:
            add_rows(con, "raw", "arrival_profiles", seen.profile_rows(), survey_id=survey_id)
            counts = [{"survey_id": survey_id, "file_id": f, "n_rows": n} for f, n in n_rows.items()]
            add_rows(con, "raw", "arrival_rows", pa.Table.from_pylist(counts, ROWS), survey_id=survey_id)
        loads = _loads(con, survey_id)
    if load.is_accepted:
        _remember(warehouse, survey_id, _declarations(folder.path))
    return _arrival(load, loads, tuple(results.to_pylist()))


def _time_of_load(con: duckdb.DuckDBPyConnection, survey_id: str) -> datetime:
    """Now, UTC, or just after the load before where the clock was ahead then: the last load has the latest time."""
    now = datetime.now(UTC).replace(tzinfo=None)
    if not table_exists(con, "raw", "expectation_results"):
        return now
    row = con.execute(
        "select max(loaded_at) + interval 1 microsecond from raw.expectation_results where survey_id = ?",
        [survey_id],
    ).fetchone()
    return max(now, row[0]) if row and row[0] else now


def unlike_before(warehouse: Access, survey_id: str) -> list[str]:
    """How the last load of a survey differs from the one before more than it should, in words; no refusal."""
    if not warehouse.paths.build_database.exists():
        return []
    with warehouse.connect(read_only=True) as con:
        if not table_exists(con, "raw", "expectation_results"):
            return []
        rows = con.execute(
            """
            select "table", "check", message from (
                select * from raw.expectation_results where survey_id = ? qualify loaded_at = max(loaded_at) over ()
            ) where source = ? and status = 'failed' and is_accepted order by all
            """,
            [survey_id, LOAD_BEFORE],
        ).fetchall()
    return [f"{table}, other than in the load before: {check} ({seen})" for table, check, seen in rows]


def _refused(warehouse: Access, survey_id: str, problems: tuple[Problem, ...]) -> Arrival:
    with warehouse.connect() as con:
        load = refuse(survey_id, problems, con)
        return _arrival(load, _loads(con, survey_id), ())


def _arrival(load: SurveyLoad, loads: pa.Table, checks: tuple[dict[str, Any], ...]) -> Arrival:
    return Arrival(
        load.survey_id,
        load.is_accepted,
        load.problems,
        loads,
        checks,
        sum(f.received for f in load.files),
        sum(f.accepted for f in load.files),
        load.quarantined_rows,
        load.quarantined_cells,
    )


def _as_taken(con: duckdb.DuckDBPyConnection, survey_id: str) -> Arrival:
    """The arrival of a survey that another process received, from its rows."""
    loads = _loads(con, survey_id)
    checks = con.execute(
        "select * from raw.expectation_results where survey_id = ? qualify loaded_at = max(loaded_at) over ()",
        [survey_id],
    ).to_arrow_table()
    received, accepted, rows = (sum(loads[n].to_pylist()) for n in ("received", "accepted", "quarantined"))
    cells = con.execute(
        "select count(*) from quality.quarantine where survey_id = ? and grain = 'cell'", [survey_id]
    ).fetchall()[0][0]
    return Arrival(survey_id, True, (), loads, tuple(checks.to_pylist()), received, accepted, rows, cells)


def _loads(con: duckdb.DuckDBPyConnection, survey_id: str) -> pa.Table:
    return con.execute("select * from quality.loads where survey_id = ?", [survey_id]).to_arrow_table()


def _profiles(con: duckdb.DuckDBPyConnection, survey_id: str) -> dict[str, tuple[ColumnProfile, ...]]:
    """Profiles of the last accepted load by file; none before the first."""
    by_file: dict[str, tuple[ColumnProfile, ...]] = {}
    rows = con.execute(
        "select file_id, variable, answered_share, mean, sd from raw.arrival_profiles where survey_id = ?",
        [survey_id],
    ).fetchall()
    for file_id, *values in rows:
        by_file[file_id] = (*by_file.get(file_id, ()), ColumnProfile(*values))
    return by_file


def _rows_before(con: duckdb.DuckDBPyConnection, survey_id: str) -> dict[str, int]:
    """Rows by file in the last accepted load; none before the first."""
    query = "select file_id, n_rows from raw.arrival_rows where survey_id = ?"
    return dict(con.execute(query, [survey_id]).fetchall())


def _declarations(folder: Path) -> dict[str, bytes]:
    """Content of the declarations in a survey folder."""
    return {name: (folder / name).read_bytes() for name in (SURVEY_FILE, *TABLES)}


def _remember(warehouse: Access, survey_id: str, declared: Mapping[str, bytes]) -> None:
    """Keep the declarations that the raw tables were loaded by: a later, refused version must not speak for them."""
    target = warehouse.paths.accepted / survey_id
    fresh = target.with_name(target.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in declared.items():
        (fresh / name).write_bytes(content)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def withdraw(warehouse: Access, survey_id: str) -> None:
    """Take out a survey whose folder is gone: its raw tables, its quality rows, its declarations, its deposit."""
    lake = Lake.from_environment()
    if lake is not None:
        Deposits(lake, survey_id).remove()
    with warehouse.connect() as con:
        tables = con.execute(
            "select schema_name, table_name from duckdb_tables() where schema_name in ('raw', 'staging') "
            "and starts_with(table_name, ?)",
            [f"{survey_id}__"],
        ).fetchall()
        for schema, name in tables:
            con.execute(f"drop table {schema}.{quoted(name)}")
        for schema, name in (
            *(("quality", n) for n in ("loads", "quarantine", "codebook")),
            *(("raw", n) for n in ("expectation_results", "arrival_profiles", "arrival_rows")),
        ):
            if table_exists(con, schema, name):
                con.execute(f"delete from {schema}.{name} where survey_id = ?", [survey_id])
        # a view, or the table of an older version
        kind = "table" if table_exists(con, "staging", "household_waves", with_views=False) else "view"
        con.execute(f"drop {kind} if exists staging.household_waves")
    shutil.rmtree(warehouse.paths.accepted / survey_id, ignore_errors=True)
    with State.updated(warehouse.paths) as state:
        state.surveys.pop(survey_id, None)
        state.published = ""
        # the households of all surveys are shown together, and are put together again without this one
        for survey in state.surveys.values():
            survey.harmonised_by = ""
