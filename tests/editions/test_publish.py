import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from made_up_build import contract, small_contract

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.publication.audit import AuditResult, audit
from relocation_warehouse.publication.database import REFUSED
from relocation_warehouse.publication.pseudonyms import KEY_VARIABLE, MissingKeyError, pseudonym
from relocation_warehouse.publication.publish import PublicationFailed, PublicationRefused, RunInfo, publish


def publish_build(database, published, run_id="run"):
    return publish(database, published, contract(), audit(database, contract()), RunInfo(run_id), report=None)


def publish_few(database, published):
    """Publish a few tables without an audit: quick, for tests of the swap alone."""
    return publish(database, published, small_contract(), AuditResult(()), RunInfo("run"), report=None)


def snapshot(published):
    """What a user sees: every file with its bytes."""
    return {
        p.relative_to(published).as_posix(): p.read_bytes()
        for entry in published.iterdir()
        if not entry.name.startswith(".")
        for p in ([entry] if entry.is_file() else sorted(entry.rglob("*")))
        if p.is_file()
    }


def test_everything_of_the_contract_is_published(sound_build, tmp_path):
    result = publish_build(sound_build, tmp_path / "published")
    files = snapshot(tmp_path / "published")
    for table in contract():
        assert f"parquet/{table.schema}/{table.name}.parquet" in files
        assert f"csv/{table.full_name}.csv" in files
    assert {"public/warehouse.duckdb", "public/manifest.json", "public/csv/datapackage.json"} <= set(files)
    assert {"warehouse.duckdb", "data_dictionary.xlsx", "manifest.json", "csv/datapackage.json"} <= set(files)
    assert result.csv_left_out == {}
    assert not [name for name in files if name.endswith(".wal")]


def test_the_manifest_tells_what_is_there(sound_build, tmp_path):
    published = tmp_path / "published"
    run = RunInfo("run-7", code_version="abc", inputs={"catalog/tables.yml": "0" * 64})
    result = publish(sound_build, published, contract(), audit(sound_build, contract()), run, report=None)
    manifest = json.loads((published / "manifest.json").read_text(encoding="utf-8"))
    assert (manifest["run_id"], manifest["code_version"]) == ("run-7", "abc")
    assert manifest["contract_version"] == contract().version
    assert {"file": "catalog/tables.yml", "sha256": "0" * 64} in manifest["inputs"]
    assert {i.get("survey_id") for i in manifest["inputs"]} >= {"hills", "plains"}
    files = snapshot(published)
    del files["manifest.json"]
    assert {n: hashlib.sha256(b).hexdigest() for n, b in files.items()} == {
        n: f["sha256"] for n, f in manifest["files"].items()
    }
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        for name, entry in manifest["tables"].items():
            assert con.execute(f"SELECT count(*) FROM {name}").fetchone() == (entry["rows"],)
            assert entry["content_checksum"] == result.tables[name].checksum


def test_the_database_is_commented_sorted_and_opens_in_old_versions(sound_build, tmp_path):
    publish_build(sound_build, tmp_path / "published")
    path = tmp_path / "published" / "warehouse.duckdb"
    # the storage version number stands at byte 12 of the header; 64 is what DuckDB 1.0.0 reads
    assert int.from_bytes(path.read_bytes()[12:20], "little") == 64
    assert path.stat().st_mode & 0o777 == 0o444
    with duckdb.connect(str(path), read_only=True) as con:
        bare = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
        ).fetchall()
        assert bare == []
        assert con.execute("SELECT count(*) FROM duckdb_tables() WHERE comment IS NULL").fetchone() == (0,)
        keys = con.execute("SELECT survey_id, wave, household_id FROM harmonized.households").fetchall()
        assert keys == sorted(keys)


def test_results_of_the_audit_are_published(sound_build, tmp_path):
    publish_build(sound_build, tmp_path / "published")
    with duckdb.connect(str(tmp_path / "published" / "warehouse.duckdb"), read_only=True) as con:
        rows = con.execute(
            "SELECT \"table\", status FROM quality.checks WHERE source = 'audit' AND \"check\" = 'key_is_unique'"
        ).fetchall()
    assert sorted(rows) == sorted((t.full_name, "passed") for t in contract() if not t.is_view)


SECRET = "1f0c6b2e9a7d43508be4c97215d8f36a"


def test_a_real_survey_is_published_in_both_editions_with_a_key_and_refused_without(
    database, tmp_path, monkeypatch
):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE reference.surveys SET is_synthetic = false WHERE survey_id = 'hills'")
        con.execute("UPDATE quality.loads SET message = 'H-1 says 7', is_synthetic = survey_id <> 'hills'")
        received = con.execute(
            "SELECT DISTINCT survey_id, household_id FROM harmonized.households"
        ).fetchall()
    published = tmp_path / "published"
    few = Contract(contract().version, (*small_contract(), contract()["harmonized.households"]))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(MissingKeyError, match=f"hills is no made-up survey: set {KEY_VARIABLE}"):
        publish(database, published, few, AuditResult(()), RunInfo("run"), report=None)
    assert not (published / "warehouse.duckdb").exists()
    monkeypatch.setenv(KEY_VARIABLE, SECRET)
    publish(database, published, few, AuditResult(()), RunInfo("run"), report=None)
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        shown = con.execute("SELECT DISTINCT survey_id, household_id FROM harmonized.households").fetchall()
        told = dict(
            con.execute("SELECT survey_id, any_value(message) FROM quality.loads GROUP BY ALL").fetchall()
        )
    # the reason that a real survey was refused for may quote an answer
    assert told == {"hills": REFUSED, "plains": "H-1 says 7"}
    assert sorted(shown) == sorted((s, pseudonym(SECRET.encode(), s, h)) for s, h in received)
    with duckdb.connect(str(published / "public" / "warehouse.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT is_synthetic FROM reference.surveys WHERE survey_id = 'hills'").fetchall()
    assert rows == [(False,)]


def test_content_checksums_depend_on_contents_alone(sound_build, tmp_path):
    first = publish_build(sound_build, tmp_path / "a", "one").tables
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{sound_build}' AS old (READ_ONLY)")
        con.execute(f"ATTACH '{tmp_path / 'shuffled.duckdb'}' AS new")
        con.execute("COPY FROM DATABASE old TO new")
        con.execute("UPDATE new.quality.loads SET loaded_at = loaded_at + INTERVAL 1 DAY")
        con.execute("UPDATE new.harmonized.households SET land_area = land_area * (1 + 1e-15)")
    shuffled = publish_build(tmp_path / "shuffled.duckdb", tmp_path / "b", "two").tables
    assert shuffled == first
    with duckdb.connect(str(tmp_path / "shuffled.duckdb")) as con:
        con.execute("UPDATE harmonized.households SET trust = 6 - trust WHERE household_id = 'h1'")
    changed = publish_build(tmp_path / "shuffled.duckdb", tmp_path / "c", "three").tables
    assert {n for n in first if first[n] != changed[n]} == {"harmonized.households"}


def test_a_failed_audit_leaves_the_published_version(database, tmp_path):
    published = tmp_path / "published"
    publish_build(database, published)
    before = snapshot(published)
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE capital.household_capitals SET total = 2")
    with pytest.raises(
        PublicationRefused, match=r"capital\.household_capitals: value_in_range: total is over 1"
    ):
        publish_build(database, published)
    assert snapshot(published) == before


def test_a_damaged_build_leaves_the_published_version(database, tmp_path):
    published = tmp_path / "published"
    passed = audit(database, contract())
    publish_build(database, published)
    before = snapshot(published)
    size = database.stat().st_size
    os.truncate(database, size // 3)
    with pytest.raises(PublicationFailed, match="published before stays"):
        publish(database, published, contract(), passed, RunInfo("run"), report=None)
    assert snapshot(published) == before
    assert not list((published / ".versions").glob("staging-*"))


def test_two_publications_do_not_run_at_once(sound_build, tmp_path):
    published = tmp_path / "published"
    publish_few(sound_build, published)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
            "print('held', flush=True); sys.stdin.read()",
            str(published / ".versions" / "lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PublicationFailed, match="another publication is running"):
            publish_few(sound_build, published)
    finally:
        holder.communicate()
    publish_few(sound_build, published)


def test_only_the_current_and_the_previous_version_are_kept(sound_build, tmp_path):
    published = tmp_path / "published"
    versions = [publish_few(sound_build, published).version for _ in range(3)]
    kept = sorted(p for p in (published / ".versions").iterdir() if p.is_dir())
    assert kept == sorted(versions[1:])
    assert (published / ".current").resolve() == versions[2].resolve()


def test_an_entry_that_is_gone_from_a_version_is_gone_for_users(sound_build, tmp_path):
    published = tmp_path / "published"
    publish_few(sound_build, published)
    (published / "old_report").symlink_to(".current/old_report")
    publish_few(sound_build, published)
    assert not (published / "old_report").is_symlink()


def _read_in_a_loop(published, stop, results):
    """Open the database again and again; each answer must come from one version alone."""
    versions, errors = set(), []
    while not stop.is_set():
        try:
            with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
                answer = con.execute(
                    "SELECT DISTINCT place FROM reference.surveys UNION SELECT DISTINCT county FROM reference.sites"
                ).fetchall()
            if len(answer) != 1:
                errors.append(f"mixed answer {answer}")
            versions.update(answer)
            time.sleep(0.05)
        except Exception as error:
            errors.append(repr(error))
    results.put((len(versions), errors))


def _mark(database, mark):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE reference.surveys SET place = ?", [mark])
        con.execute("UPDATE reference.sites SET county = ?", [mark])


def test_readers_see_whole_versions_through_many_publications(database, tmp_path, request):
    publications = 20 if request.config.getoption("--long") else 5
    published = tmp_path / "published"
    _mark(database, "v0")
    publish_few(database, published)
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    readers = [context.Process(target=_read_in_a_loop, args=(published, stop, results)) for _ in range(1)]
    for reader in readers:
        reader.start()
    try:
        for k in range(1, publications + 1):
            _mark(database, f"v{k}")
            publish_few(database, published)
    finally:
        stop.set()
        answers = [results.get(timeout=60) for _ in readers]
        for reader in readers:
            reader.join()
    for n_versions, errors in answers:
        assert errors == []
        assert n_versions > 1


def test_a_reader_that_has_the_file_open_keeps_its_version(database, tmp_path):
    published = tmp_path / "published"
    _mark(database, "old")
    publish_few(database, published)
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True);"
            "print('open', flush=True); sys.stdin.read();"
            "print(con.execute('SELECT DISTINCT place FROM reference.surveys').fetchall())",
            str(published / "warehouse.duckdb"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout.readline() == "open\n"
    _mark(database, "new")
    for _ in range(2):
        publish_few(database, published)
    answer, _ = reader.communicate()
    assert answer == "[('old',)]\n"


def test_missing_permission_is_a_plain_error(sound_build, tmp_path, monkeypatch):
    published = tmp_path / "published"
    publish_few(sound_build, published)
    before = snapshot(published)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", "warehouse.duckdb")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(PublicationFailed, match=r"Permission denied.*published before stays"):
        publish_few(sound_build, published)
    monkeypatch.undo()
    assert snapshot(published) == before
