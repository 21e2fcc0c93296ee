"""The lake on a real PostgreSQL: many writers, readers that do not wait, earlier refreshes, expiry, bad input."""

import datetime as dt
import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
from made_up_build import build, contract, small_contract
from servers import PASSWORD, free_port

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.lake import history
from relocation_warehouse.lake.arrivals import SHARED, Deposits
from relocation_warehouse.lake.catalog import ARRIVALS, REFRESHES, Lake, LakeError, retried
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.publish import RunInfo, publish
from relocation_warehouse.survey.folder import list_survey_folders

WAREHOUSE = Path(sys.executable).with_name("warehouse")
SURVEYS = [p.name for p in list_survey_folders(CHECKOUT / "data" / "surveys")]
WIDE, VIEW = "harmonized.households", "harmonized.indicator_values"
FEW = {WIDE, VIEW, *(table.full_name for table in small_contract())}
CONTRACT = Contract(contract().version, tuple(t for t in contract() if t.full_name in FEW))
FIGURE = "SELECT count(*), sum(hash(COLUMNS(*))) FROM analysis.sensitivity"
FOREVER = history.Policy(all_days=10_000, month_ends=0, grace_hours=0)


def run(*arguments):
    return subprocess.run(
        [WAREHOUSE, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def refresh(lake, tmp_path):
    """Publish a made-up build; another seed gives other figures."""

    def once(seed, recorded_in=lake):
        path = tmp_path / f"build-{seed}.duckdb"
        if not path.exists():
            build(path, seed)
        return publish(
            path,
            tmp_path / "published",
            CONTRACT,
            AuditResult(()),
            RunInfo(f"run-{seed}"),
            report=None,
            record=lambda version: history.record(recorded_in, version / "warehouse.duckdb", CONTRACT),
        )

    return once


def published(tmp_path, sql):
    with duckdb.connect(str(tmp_path / "published" / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def answer(lake, refresh, sql):
    with history.as_of(lake, refresh, sql) as opened:
        return opened.fetchall()


def parquet(lake):
    return set(lake.folder.rglob("*.parquet"))


# ---- earlier refreshes -------------------------------------------------------------------------------------------


def test_every_refresh_answers_with_the_figures_that_it_published(lake, refresh, tmp_path):
    figures = []
    for seed in (1, 2, 3):
        refresh(seed)
        figures += published(tmp_path, FIGURE)
    assert len(set(figures)) == 3
    kept = history.refreshes(lake)
    assert [r.run_id for r in kept] == ["run-1", "run-2", "run-3"]
    assert [answer(lake, r, FIGURE) for r in kept] == [[f] for f in figures]


def test_every_published_table_and_view_is_in_the_lake_cell_for_cell(lake, refresh, tmp_path):
    refresh(1)
    result = history.refreshes(lake)[-1]
    assert any(table.is_view for table in CONTRACT)
    for table in CONTRACT:
        everything = f"SELECT * FROM {table.full_name} ORDER BY ALL"
        assert answer(lake, result, everything) == published(tmp_path, everything), table.full_name


def test_what_did_not_change_is_not_written_again(lake, refresh):
    refresh(1)
    before = parquet(lake)
    refresh(1)
    assert len(history.refreshes(lake)) == 2
    written = {p.parent.name for p in parquet(lake) - before}
    assert written <= {t.name for t in CONTRACT if any(c.volatile for c in t.columns)}
    refresh(2)
    assert WIDE.split(".")[1] in {p.parent.name for p in parquet(lake) - before}


def test_a_refresh_is_found_by_number_run_date_and_time(lake, refresh, postgres):
    for seed in (1, 2):
        refresh(seed)
    first, second = history.refreshes(lake)
    moved(postgres, lake, first, dt.datetime(2026, 3, 1, 12))
    moved(postgres, lake, second, dt.datetime(2026, 5, 2, 12))
    kept = history.refreshes(lake)
    for wanted, number in {
        str(first.number): first.number,
        "run-2": second.number,
        "2026-03-01": first.number,
        "2026-05-01": first.number,
        "2026-05-02": second.number,
        "2026-05-02T11:59:59": first.number,
        "2026-05-02T14:00:00+02:00": second.number,
        "2030-01-01": second.number,
    }.items():
        assert history.chosen(kept, wanted).number == number, wanted
    for wanted in ("2026-02-28", "run-", "run-9", "999", "", "yesterday"):
        with pytest.raises(history.NoSuchRefresh, match="answers to"):
            history.chosen(kept, wanted)
    with pytest.raises(history.NoSuchRefresh, match="no refresh was recorded yet"):
        history.chosen((), "1")


def moved(postgres, lake, refresh, at):
    """Pretend that a refresh was recorded at another time."""
    postgres.execute(
        lake.url.rpartition("/")[2],
        f"UPDATE {REFRESHES}.ducklake_snapshot SET snapshot_time = '{at}+00' WHERE snapshot_id = {refresh.number}",
    )


@pytest.mark.usefixtures("environment")
def test_the_commands_list_and_query(lake, refresh, tmp_path):
    refresh(1)
    (first,) = published(tmp_path, FIGURE)
    refresh(2)
    assert "run-2" in run("lake", "refreshes").stdout
    done = run("as-of", "run-1", FIGURE, "--csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith(f"{first[0]},")
    assert "count" in run("as-of", "2099-01-01", FIGURE).stdout
    for query in ("SELEC", "SELECT * FROM nowhere", "DROP SCHEMA analysis CASCADE"):
        done = run("as-of", "run-1", query)
        assert done.returncode == 2, query
        assert "Traceback" not in done.stderr
    assert answer(lake, history.refreshes(lake)[0], FIGURE) == [first]
    assert run("as-of", "1999-01-01", "SELECT 1").returncode == 2
    assert "0 refresh(es) dropped" in run("lake", "expire").stdout


# ---- expiry ------------------------------------------------------------------------------------------------------


def test_the_policy_keeps_recent_refreshes_and_ends_of_months():
    now = dt.datetime(2026, 6, 15)
    days = ["2025-12-31", "2026-04-03", "2026-04-30", "2026-05-10", "2026-05-20", "2026-06-10", "2026-06-14"]
    kept = [history.Refresh(i, dt.datetime.fromisoformat(day), f"run-{i}") for i, day in enumerate(days)]
    policy = history.Policy(all_days=7, month_ends=3, grace_hours=0)
    assert [days[r.number] for r in history.expired(kept, policy, now)] == [
        "2025-12-31",
        "2026-04-03",
        "2026-05-10",
    ]
    nothing = history.Policy(all_days=0, month_ends=0, grace_hours=0)
    assert [days[r.number] for r in history.expired(kept, nothing, now)] == days[:-1]
    assert history.expired(kept, FOREVER, now) == ()
    assert history.expired((), nothing, now) == ()


def test_expiry_leaves_what_the_policy_says_and_deletes_the_files_of_the_rest(lake, refresh, postgres):
    for seed in (1, 2, 3):
        refresh(seed)
    months = [dt.datetime(2026, month, 15) for month in (1, 2, 3)]
    for each, at in zip(history.refreshes(lake), months, strict=True):
        moved(postgres, lake, each, at)
    figures = {r.run_id: answer(lake, r, FIGURE) for r in history.refreshes(lake)}
    files = parquet(lake)
    policy = history.Policy(all_days=0, month_ends=2, grace_hours=0)
    dropped = history.expire(lake, policy, dt.datetime(2026, 3, 20))
    assert [r.run_id for r in dropped] == ["run-1"]
    kept = history.refreshes(lake)
    assert {r.run_id: answer(lake, r, FIGURE) for r in kept} == {
        run: figure for run, figure in figures.items() if run != "run-1"
    }
    assert parquet(lake) < files
    with pytest.raises(history.NoSuchRefresh):
        history.chosen(kept, "2026-01-31")


def test_a_policy_that_says_something_else_is_refused(tmp_path):
    assert history.load_policy().all_days > 0
    path = tmp_path / "lake.yml"
    for text in ("", "all_days: -1\nmonth_ends: 1\ngrace_hours: 1\n", "keep: everything\n", "all_days: [\n"):
        path.write_text(text)
        with pytest.raises(LakeError, match="all_days: whole number"):
            history.load_policy(path)


# ---- many writers, and readers -----------------------------------------------------------------------------------


def test_a_reader_answers_while_a_writer_is_in_the_middle_of_a_refresh(lake, refresh):
    refresh(1)
    (only,) = history.refreshes(lake)
    before = answer(lake, only, FIGURE)
    with lake.connect(REFRESHES) as writer:
        writer.begin()
        writer.execute("DELETE FROM lake.analysis.sensitivity")
        writer.execute("CREATE TABLE lake.analysis.fresh AS SELECT 1 AS one")
        # the transaction is open: a reader that waited for it would wait for ever
        assert answer(lake, only, FIGURE) == before
        assert [r.number for r in history.refreshes(lake)] == [only.number]
        writer.rollback()


WRITER = """
import sys
from relocation_warehouse.lake.catalog import ARRIVALS, Lake, retried, transaction
from pathlib import Path

url, folder, name, rounds = sys.argv[1:]
def write(con, k):
    with transaction(con):
        con.execute(f"DROP SCHEMA IF EXISTS lake.{name} CASCADE")
        con.execute(f"CREATE SCHEMA lake.{name}")
        for t in range(6):
            con.execute(f"CREATE TABLE lake.{name}.t{t} AS SELECT {k} AS k FROM range(3)")
for k in range(int(rounds)):
    with Lake(url, Path(folder)).connect(ARRIVALS) as con:
        retried(lambda: write(con, k))
"""


@pytest.mark.long
def test_processes_make_an_empty_lake_and_write_to_it_at_once(lake):
    command = [sys.executable, "-c", WRITER, lake.url, lake.folder]
    writers = [
        subprocess.Popen([*command, f"writer_{k}", "4"], stderr=subprocess.PIPE, text=True) for k in range(6)
    ]
    said = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * len(writers), said
    with lake.connect(ARRIVALS, read_only=True) as con:
        for k in range(6):
            for t in range(6):
                assert con.execute(f"SELECT k FROM lake.writer_{k}.t{t}").fetchall() == [(3,)] * 3


@pytest.mark.long
@pytest.mark.usefixtures("environment")
def test_processes_load_all_surveys_at_once_and_nothing_is_lost(lake, refresh, environment):
    from dagster_project.resources import Warehouse
    from relocation_warehouse.receiving.arrival import receive

    refresh(1)
    (only,) = history.refreshes(lake)
    figure, done, answers = answer(lake, only, FIGURE), threading.Event(), []

    def read():
        while not done.is_set():
            answers.append(answer(lake, history.refreshes(lake)[-1], FIGURE))
            time.sleep(0.2)

    reader = threading.Thread(target=read)
    reader.start()
    loads = [
        subprocess.Popen(
            [WAREHOUSE, "lake", "load", survey_id],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for survey_id in SURVEYS
    ]
    said = [load.communicate(timeout=600) for load in loads]
    done.set()
    reader.join()
    assert [load.returncode for load in loads] == [0] * len(SURVEYS), "\n".join(error for _, error in said)
    assert len(answers) > 10
    assert all(a == figure for a in answers)

    taking, alone = Warehouse(data=str(environment)), Warehouse(data=str(environment.parent / "alone"))
    Path(alone.data).mkdir()
    for name in ("catalog", "surveys", "literature"):
        (Path(alone.data) / name).symlink_to(environment / name)
    landed = {p: p.stat().st_mtime_ns for p in taking.paths.landing.rglob("*.parquet")}
    assert landed
    for survey_id in SURVEYS:
        arrival = receive(taking, survey_id)
        assert arrival.is_accepted
        assert arrival.is_balanced
        with pytest.MonkeyPatch.context() as without:
            without.delenv("WAREHOUSE_LAKE")
            expected = receive(alone, survey_id)
        for count in ("received_rows", "accepted_rows", "quarantined_rows", "quarantined_cells"):
            assert getattr(arrival, count) == getattr(expected, count), (survey_id, count)
        assert outcomes(arrival) == outcomes(expected)
    assert landed == {p: p.stat().st_mtime_ns for p in taking.paths.landing.rglob("*.parquet")}, "read again"
    assert contents(taking) == contents(alone)
    assert kept_declarations(taking) == kept_declarations(alone)


def kept_declarations(warehouse):
    root = warehouse.paths.accepted
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def outcomes(arrival):
    return sorted((c["check"], c["table"], c["status"], c["n_failed"]) for c in arrival.checks)


def contents(warehouse):
    """Types and rows of every table that surveys arrive in, without the time of the load."""
    with warehouse.connect(read_only=True) as con:
        tables = con.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name IN ('raw', 'quality')"
        ).fetchall()
        by_key = {}
        for schema, table in tables:
            name = f'{schema}."{table}"'
            columns = con.execute(f"DESCRIBE {name}").fetchall()
            kept = ", ".join(f'"{c[0]}"' for c in columns if c[0] != "loaded_at")
            rows = con.execute(f"SELECT {kept} FROM {name} ORDER BY ALL").fetchall()
            by_key[name] = ([c[:2] for c in columns], rows)
        return by_key


def test_a_deposit_of_other_inputs_is_not_taken(lake, tmp_path):
    deposits, landed = some_deposit(lake, tmp_path, "hills")
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA raw; CREATE SCHEMA quality")
        assert deposits.take(con, "other", landed) is None
        (landed / "answers.parquet").write_bytes(b"replaced")
        assert deposits.take(con, "digest", landed) is None
        assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
        (landed / "answers.parquet").write_bytes(b"PAR1")
        assert deposits.take(con, "digest", landed) == {"survey.yml": b"survey"}
        assert con.execute("FROM raw.hills__answers").fetchall() == [("blank",)]
        deposits.remove()
        assert deposits.take(con, "digest", landed) is None


def some_deposit(lake, tmp_path, survey_id):
    """A deposit of a survey with one cell."""
    landed = tmp_path / "landing"
    landed.mkdir(exist_ok=True)
    (landed / "answers.parquet").write_bytes(b"PAR1")
    deposits = Deposits(lake, survey_id)
    with duckdb.connect() as con:
        con.execute("CREATE SCHEMA raw; CREATE SCHEMA quality")
        con.execute(
            f"CREATE TABLE raw.{survey_id}__answers AS SELECT 'blank'::ENUM('blank', 'refused') AS reason"
        )
        for table in SHARED:
            con.execute(f"CREATE TABLE {table} AS SELECT '{survey_id}' AS survey_id")
        con.execute(
            f"CREATE TABLE raw.expectation_results AS SELECT '{survey_id}' AS survey_id, now()::TIMESTAMP AS loaded_at"
        )
        deposits.put(con, "digest", {"survey.yml": b"survey"}, landed)
    return deposits, landed


def put(arguments):
    some_deposit(*arguments)


def test_processes_that_load_the_same_survey_leave_one_whole_deposit(lake, tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(put, [(lake, tmp_path, "hills")] * 8)
    with lake.connect(ARRIVALS, read_only=True) as con:
        tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'").fetchall()
        assert len(tables) == len(set(tables)) == 11
        assert con.execute("FROM lake.hills.deposit").fetchall() == [("digest",)]


def test_a_meeting_is_tried_again_and_another_error_is_not():
    tries = []

    def work():
        tries.append(1)
        raise duckdb.Error("Transaction conflict" if len(tries) == 1 else "something else")

    with pytest.raises(duckdb.Error, match="something else"):
        retried(work)
    assert len(tries) == 2


# ---- bad input: one sentence, and what is published stays ----------------------------------------------------------


@pytest.fixture
def standing(environment):
    """Something that was published before."""
    folder = environment / "published" / ".versions" / "before"
    folder.mkdir(parents=True)
    (folder / "warehouse.duckdb").write_bytes(b"the version before")
    (environment / "published" / ".current").symlink_to(".versions/before")
    return environment / "published"


def refused(standing):
    """What a refresh says that cannot use its lake."""
    before = {p: p.is_file() and p.read_bytes() for p in standing.rglob("*")}
    done = run("refresh")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    said = done.stderr.strip().splitlines()
    assert said[0] == "not published; the version before stays:"
    assert len(said) == 2, said
    assert PASSWORD.split()[0] not in done.stderr
    assert {p: p.is_file() and p.read_bytes() for p in standing.rglob("*")} == before
    assert said[1].replace(" ", "") in "".join(run("status").stdout.split())
    return said[1]


def test_no_postgresql(standing, monkeypatch):
    monkeypatch.setenv(
        "WAREHOUSE_LAKE", f"postgresql://warehouse:{PASSWORD.split()[0]}@127.0.0.1:{free_port()}/lake"
    )
    said = refused(standing)
    assert "Connection refused" in said
    assert "start it or correct WAREHOUSE_LAKE" in said


def test_no_extra(lake, monkeypatch):
    monkeypatch.setattr("relocation_warehouse.lake.catalog.find_spec", lambda name: None)
    with pytest.raises(LakeError, match="duckdb-extension-postgres-scanner is not installed"):
        lake.check()


def test_no_such_database(standing, lake, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_LAKE", lake.url + "_not")
    assert "does not exist" in refused(standing)


@pytest.mark.parametrize("url", ["https://127.0.0.1/lake", "lake", "postgresql://127.0.0.1:port/lake"])
def test_an_address_that_is_none(standing, monkeypatch, url):
    monkeypatch.setenv("WAREHOUSE_LAKE", url)
    assert "write postgresql://user@host:5432/database" in refused(standing)


def test_another_folder_than_before(standing, lake, monkeypatch, tmp_path):
    lake.check()
    monkeypatch.setenv("WAREHOUSE_LAKE_DATA", str(tmp_path / "elsewhere"))
    said = refused(standing)
    assert str(lake.folder) in said
    assert "correct WAREHOUSE_LAKE_DATA" in said


WITH_AN_EARLIER_RELEASE = """
import importlib.util, pathlib, sys, duckdb
url, folder = sys.argv[1:]
con = duckdb.connect()
for name in ("postgres_scanner", "ducklake"):
    origin = pathlib.Path(importlib.util.find_spec(f"duckdb_extension_{name}").origin)
    con.execute(f"LOAD '{origin.parent}/extensions/v{duckdb.__version__}/{name}.duckdb_extension'")
for catalog in ("arrivals", "refreshes"):
    where = f"DATA_PATH '{folder}/{catalog}/', METADATA_SCHEMA '{catalog}'"
    con.execute(f"ATTACH 'ducklake:postgres:{url}' AS lake ({where})")
    con.execute("BEGIN; CREATE SCHEMA lake.analysis")
    con.execute("CREATE TABLE lake.analysis.t AS SELECT range AS i FROM range(1000)")
    facts = '{"run_id": "run-0", "code_version": null, "checksums": {}}'
    con.execute("CALL lake.set_commit_message('warehouse', 'refresh run-0', extra_info => ?)", [facts])
    con.execute("COMMIT; DETACH lake")
"""


def test_a_lake_of_an_older_version_is_refused_until_it_is_upgraded(standing, lake, monkeypatch):
    lake.folder.mkdir()
    earlier = str(Path(sys.prefix) / "ducklake-0.3")
    with monkeypatch.context() as environment:
        environment.setenv("PYTHONPATH", earlier)
        subprocess.run([sys.executable, "-c", WITH_AN_EARLIER_RELEASE, lake.url, lake.folder], check=True)
    said = refused(standing)
    assert "is of DuckLake version 0.3 and this warehouse reads 1.0" in said
    assert "warehouse lake upgrade" in said
    assert run("lake", "upgrade").returncode == 0
    (only,) = history.refreshes(lake)
    assert answer(lake, only, "SELECT count(*), sum(i) FROM analysis.t") == [(1000, 499500)]
    lake.check()


def test_a_full_disk(lake, refresh, tmp_path):
    refresh(1)
    figure, version = published(tmp_path, FIGURE), (tmp_path / "published" / ".current").resolve()
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], check=True)
    try:
        full = Lake(lake.url, small)
        # the lake's files were moved to the small disk
        with lake.connect(REFRESHES) as con:
            con.execute(
                "UPDATE __ducklake_metadata_lake.refreshes.ducklake_metadata SET value = ? WHERE key = 'data_path'",
                [f"{small}/refreshes/"],
            )
        with pytest.raises(LakeError, match="No space left on device"):
            refresh(2, recorded_in=full)
    finally:
        subprocess.run(["umount", small], check=True)
    assert (tmp_path / "published" / ".current").resolve() == version
    assert published(tmp_path, FIGURE) == figure
    assert [r.run_id for r in history.refreshes(full)] == ["run-1"]


@pytest.mark.usefixtures("lake")
def test_no_lake_and_no_refresh_yet(lake, monkeypatch, tmp_path):
    monkeypatch.setenv("WAREHOUSE_DATA", str(tmp_path))
    monkeypatch.delenv("WAREHOUSE_LAKE", raising=False)
    done = run("as-of", "1", "SELECT 1")
    assert done.returncode == 2
    assert "set WAREHOUSE_LAKE" in done.stderr
    monkeypatch.setenv("WAREHOUSE_LAKE", lake.url)
    done = run("lake", "refreshes")
    assert done.returncode == 1
    assert "holds nothing yet" in done.stderr


@pytest.mark.usefixtures("environment")
def test_an_unknown_survey_cannot_be_loaded():
    done = run("lake", "load", "nowhere")
    assert done.returncode == 2
    assert "no survey 'nowhere'" in done.stderr
