"""Refreshes one after the other in one warehouse: each starts from where the one before left it."""

import hashlib
import json
import shutil

import pytest
from places import Answers

pytestmark = pytest.mark.slow

NEWCOMER = "zz_newcomer"


def test_nothing_to_do_is_said_at_once(place):
    version = place.version()
    done = place.run("refresh")
    assert done.returncode == 0, done.stderr
    assert "nothing changed since the last refresh" in done.stdout
    assert place.version() == version


def test_an_unknown_survey_is_a_mistake_in_the_call(place):
    done = place.run("refresh", "--survey", "nowhere")
    assert done.returncode == 2
    assert "no folder data/surveys/nowhere" in done.stderr


def test_status_of_a_fresh_warehouse(place, survey_ids):
    shown = place.run("status").stdout
    assert shown.count("fresh") == len(survey_ids)
    assert "stale" not in shown
    assert "did not publish" not in shown


def test_the_page_of_checks_is_beside_the_report(place, survey_ids):
    page = (place.data / "published" / "report" / "quality.html").read_text("utf-8")
    assert all(survey_id in page for survey_id in survey_ids)
    assert "://" not in page
    assert page.count("<details") > 10


def test_a_refused_survey_that_was_never_accepted_changes_nothing_but_its_own_rows(place, text_survey):
    before = place.checksums()
    shutil.copytree(place.folder(text_survey), place.folder(NEWCOMER))
    said = place.folder(NEWCOMER) / "survey.yml"
    said.write_text(said.read_text("utf-8").replace(f"survey_id: {text_survey}", f"survey_id: {NEWCOMER}"))
    place.first_file(NEWCOMER).unlink()
    done = place.run("refresh")
    assert done.returncode == 1
    assert "published:" in done.stdout, done.stderr
    assert f"{NEWCOMER} was refused" in done.stderr
    after = place.checksums()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"quality.loads", "quality.checks"}
    assert place.query(f"SELECT status, accepted FROM quality.loads WHERE survey_id = '{NEWCOMER}'") == [
        ("refused", 0)
    ]
    assert NEWCOMER not in {s for (s,) in place.query("SELECT survey_id FROM reference.surveys")}
    shutil.rmtree(place.folder(NEWCOMER))


def test_a_failed_audit_leaves_the_version_before_and_names_the_check(place):
    version = place.version()
    place.build("UPDATE quality.loads SET accepted = accepted + 1 WHERE received > 0")
    done = place.run("refresh")
    assert done.returncode == 1
    assert "not published; the version before stays" in done.stderr
    assert "rows_balance" in done.stderr
    assert place.version() == version
    shown = place.run("status").stdout
    assert "did not publish" in shown
    assert "rows_balance" in shown
    place.build("UPDATE quality.loads SET accepted = accepted - 1 WHERE received > 0")


@pytest.fixture(scope="module")
def dropped(place, text_survey):
    """A file in the inbox with one household less, and its checksum beside it."""
    answers = Answers.read(place, text_survey)
    gone = answers.rows.pop()
    inbox = place.data / "inbox" / text_survey
    inbox.mkdir(parents=True)
    path = inbox / answers.path.name
    answers.write(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    return gone


def test_a_file_in_the_inbox_refreshes_its_survey_and_no_other(place, text_survey, survey_ids, dropped):
    other = next(s for s in survey_ids if s != text_survey)
    codes = place.folder(other) / "codes.csv"
    codes.write_text(codes.read_text("utf-8") + "\n", "utf-8")
    before = {s: place.rows_of(s) for s in survey_ids}
    done = place.run("refresh", "--survey", text_survey)
    assert done.returncode == 0, done.stderr
    after = {s: place.rows_of(s) for s in survey_ids}
    assert len(after[text_survey]) == len(before[text_survey]) - 1
    assert {s for s in survey_ids if after[s] != before[s]} == {text_survey}
    shown = place.run("status").stdout
    assert shown.count("stale") == 1
    assert "codes.csv changed" in " ".join(shown.replace("│", " ").split())


def test_a_survey_whose_folder_is_gone_leaves_every_table(place, text_survey, survey_ids, dropped):
    shutil.rmtree(place.folder(text_survey))
    done = place.run("refresh")
    assert done.returncode == 0, done.stderr
    assert f"withdrawing {text_survey}" in done.stdout
    tables = place.query(
        "SELECT schema_name || '.' || table_name FROM duckdb_columns() "
        "WHERE column_name = 'survey_id' AND NOT internal"
    )
    assert len(tables) > 20
    for (table,) in tables:
        assert place.query(f"SELECT count(*) FROM {table} WHERE survey_id = '{text_survey}'") == [(0,)], table
    assert {s for (s,) in place.query("SELECT survey_id FROM reference.surveys")} == {*survey_ids} - {
        text_survey
    }


def test_the_manifest_names_every_input(place, survey_ids, text_survey):
    manifest = json.loads((place.data / "published" / "manifest.json").read_text("utf-8"))
    named = {i["survey_id"] for i in manifest["inputs"] if "survey_id" in i}
    assert named == {*survey_ids} - {text_survey}
    assert all(len(i["sha256"]) == 64 for i in manifest["inputs"])
