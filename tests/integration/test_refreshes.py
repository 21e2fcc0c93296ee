"""Refreshes one after the other in one warehouse, and what is bad in it: each starts where the one before left it."""

import hashlib
import json
import shutil

import pytest
from places import Answers, declared

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.models.project import RECORD

pytestmark = pytest.mark.slow

NEWCOMER, TWIN = "zz_newcomer", "zz_twin"
"""Folders that are never accepted; the second has the id of another survey."""

ADDED_SINCE = (
    ("quality.codebook", "note"),
    ("raw.expectation_results", "message"),
    ("raw.arrival_profiles", "sd"),
    ("raw.dbt_checks", "message"),
)
"""Table and column of a build that an earlier version may not have."""


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


def test_the_manifest_names_every_input(place, survey_ids):
    manifest = json.loads((place.data / "published" / "manifest.json").read_text("utf-8"))
    assert {i["survey_id"] for i in manifest["inputs"] if "survey_id" in i} == {*survey_ids}
    assert all(len(i["sha256"]) == 64 for i in manifest["inputs"])


@pytest.fixture(scope="module")
def roles(survey_ids, text_survey):
    """Which survey gets which mistake; the newcomer was never accepted."""
    others = [s for s in survey_ids if s != text_survey]
    return dict(zip(("missing", "checksum", "column"), others, strict=True)) | {"newcomer": NEWCOMER}


@pytest.fixture(scope="module")
def before(place, survey_ids):
    return place.checksums(), {s: place.rows_of(s) for s in survey_ids}


@pytest.fixture(scope="module")
def refusal(place, roles, text_survey, before):
    """A refresh where all surveys but one are refused for other reasons; and the column that is not declared."""
    place.first_file(roles["missing"]).unlink()
    with place.first_file(roles["checksum"]).open("ab") as handle:
        handle.write(b"\0")
    rows = declared(place, roles["column"])
    position = next(i for i, c in enumerate(rows) if c["ignore_reason"])
    path = place.folder(roles["column"]) / "columns.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    del lines[position + 1]
    path.write_text("".join(lines), "utf-8")
    shutil.copytree(place.folder(text_survey), place.folder(NEWCOMER))
    said = place.folder(NEWCOMER) / "survey.yml"
    said.write_text(said.read_text("utf-8").replace(f"survey_id: {text_survey}", f"survey_id: {NEWCOMER}"))
    place.first_file(NEWCOMER).unlink()
    return place.run("refresh"), rows[position]["column"]


def test_exit_status_says_that_data_were_refused_and_the_rest_is_published(refusal):
    done, _ = refusal
    assert done.returncode == 1, done.stdout + done.stderr
    assert "published:" in done.stdout, done.stderr


def test_each_refusal_says_file_and_reason_and_what_to_do(refusal, place, roles):
    done, column = refusal
    for survey_id in roles.values():
        assert f"{survey_id} was refused" in done.stderr
    names = {role: place.survey(survey)["files"][0]["path"] for role, survey in roles.items()}
    missing = [
        line.strip()
        for line in done.stderr.splitlines()
        if "file is missing; put it into the survey folder" in line
    ]
    assert {m.split(":")[0] for m in missing} == {names["missing"], names["newcomer"]}
    assert f"{names['checksum']}: sha256 is " in done.stderr
    assert "survey.yml says" in done.stderr
    assert "check it, then correct sha256" in done.stderr
    assert f"has the column {column!r}, which columns.csv does not declare" in done.stderr


def test_a_refusal_changes_what_is_said_of_loads_and_nothing_else(refusal, place, roles, before):
    checksums, rows = before
    after = place.checksums()
    changed = {name for name in after if after[name] != checksums[name]}
    assert changed <= {"quality.loads", "quality.checks", "reference.surveys"}
    assert all(place.rows_of(s) == rows[s] for s in rows)
    refused = place.query("SELECT DISTINCT survey_id FROM quality.loads WHERE status = 'refused' ORDER BY 1")
    assert [s for (s,) in refused] == sorted(roles.values())
    told = place.query("SELECT survey_id FROM reference.surveys WHERE status = 'refused' ORDER BY 1")
    assert told == [r for r in refused if r != (NEWCOMER,)]
    assert place.query(f"SELECT accepted FROM quality.loads WHERE survey_id = '{NEWCOMER}'") == [(0,)]
    assert NEWCOMER not in {s for (s,) in place.query("SELECT survey_id FROM reference.surveys")}


def test_status_says_why(refusal, place, roles):
    shown = place.run("status").stdout
    assert shown.count("refused") >= len(roles)
    assert "file is missing" in shown


def test_a_second_refresh_has_nothing_to_do_but_still_says_what_is_refused(refusal, place, roles):
    version = place.version()
    again = place.run("refresh")
    assert "nothing changed since the last refresh" in again.stdout
    assert again.returncode == 1
    assert f"{roles['missing']} was refused" in again.stderr
    assert place.version() == version


@pytest.fixture(scope="module")
def failed(refusal, place, text_survey):
    """A refresh whose audit fails, after bad input that it has to survive; with the published files before it.

    A folder has the id of another survey, a model was edited by hand and another one cut off while it was written.
    """
    shutil.rmtree(place.folder(NEWCOMER))
    shutil.copytree(place.folder(text_survey), place.folder(TWIN))
    model = next((place.data / "warehouse" / "dbt").rglob(f"{text_survey}__*.sql"))
    lines = model.read_text("utf-8").splitlines()
    model.write_text("\n".join([*lines[:9], lines[9] + " + 1", *lines[10:]]), "utf-8")
    model.with_suffix(".new").write_text("sele", "utf-8")
    place.build("UPDATE quality.loads SET accepted = accepted + 1 WHERE received > 0")
    version, files = place.version(), place.files()
    done = place.run("refresh")
    place.build("UPDATE quality.loads SET accepted = accepted - 1 WHERE received > 0")
    shutil.rmtree(place.folder(TWIN))
    assert (place.version(), place.files()) == (version, files), "the published version changed"
    return done, model, lines


@pytest.mark.long
def test_a_failed_audit_leaves_the_version_before_and_names_the_check(failed, place):
    done, *_ = failed
    assert done.returncode == 1
    assert "not published; the version before stays" in done.stderr
    assert "rows_balance" in done.stderr
    shown = place.run("status").stdout
    assert "did not publish" in shown
    assert "rows_balance" in shown


@pytest.mark.long
def test_a_survey_with_the_id_of_another_is_refused_with_file_line_and_remedy(failed):
    done, *_ = failed
    assert f"{TWIN} was refused" in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "no two surveys have the same id" in line]
    assert said.strip().startswith("survey.yml, line 2")
    assert f"write survey_id: {TWIN}, or rename the folder" in said


@pytest.mark.long
def test_a_model_that_was_edited_or_cut_off_is_named_and_written_again(failed):
    done, model, lines = failed
    (said,) = [line for line in done.stderr.splitlines() if "was changed by hand or cut off" in line]
    assert f"{model}, line 10: " in said
    assert "Change the crosswalk" in said
    assert model.read_text("utf-8").splitlines() == lines
    assert not model.with_suffix(".new").exists()


@pytest.fixture(scope="module")
def dropped(place, roles, refusal, text_survey, survey_ids):
    """A file in the inbox with a household less, bad cells and a household twice; its survey refreshed, others not.

    Gives what the refresh said, the rows of all surveys before it, and what was done where.
    """
    shutil.rmtree(place.folder(NEWCOMER), ignore_errors=True)
    for role in ("missing", "checksum", "column"):
        shutil.rmtree(place.folder(roles[role]))
        shutil.copytree(CHECKOUT / "data" / "surveys" / roles[role], place.folder(roles[role]))
    done = {}
    answers = Answers.read(place, text_survey)
    header, rows = answers.rows[0], answers.rows[1:-1]
    columns = {c["variable"]: c for c in declared(place, text_survey) if c["variable"]}
    id_variable = place.survey(text_survey)["files"][0]["household_id"][0]
    id_at = header.index(columns[id_variable]["column"])
    code = next(c for c in columns.values() if c["type"] == "code" and c["variable"] not in ("site",))
    code_at = header.index(code["column"])
    rows[4][code_at] = "从来没有这个答案"
    done["code"] = (6, code["column"], "从来没有这个答案", "unknown_code")
    twin = [*rows[9]]
    twin[code_at] = rows[4][code_at]
    rows.append(twin)
    done["twins"] = (11, len(rows) + 1, rows[9][id_at])
    rows[20][id_at] = "-7"
    done["range"] = (22, columns[id_variable]["column"], "-7", "below_minimum")
    answers.rows = [header, *rows]
    inbox = place.data / "inbox" / text_survey
    inbox.mkdir(parents=True)
    path = inbox / answers.path.name
    answers.write(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.sha256").write_text(f"{digest}  {path.name}\n")
    before = {s: place.rows_of(s) for s in survey_ids}
    # the build is one of an earlier version, which had fewer columns and kept no record of the models that it wrote
    for table, column in ADDED_SINCE:
        place.build(f"ALTER TABLE {table} DROP COLUMN {column}")
    next((place.data / "warehouse" / "dbt").rglob(RECORD)).unlink()
    return place.run("refresh", "--survey", text_survey), before, done


@pytest.mark.long
def test_a_file_in_the_inbox_refreshes_its_survey_and_no_other(place, text_survey, survey_ids, dropped):
    refresh, before, _ = dropped
    assert refresh.returncode == 0, refresh.stderr
    after = {s: place.rows_of(s) for s in survey_ids}
    # one household is not in the file, one stands in it twice
    assert len(after[text_survey]) == len(before[text_survey]) - 2
    assert {s for s in survey_ids if after[s] != before[s]} == {text_survey}
    shown = place.run("status").stdout
    assert shown.count("stale") == len(survey_ids) - 1
    assert "columns.csv changed" in " ".join(shown.replace("│", " ").split())


@pytest.mark.long
def test_a_build_of_an_earlier_version_gets_the_columns_that_were_added_since(place, dropped):
    for table, column in ADDED_SINCE:
        place.build(f"SELECT {column} FROM {table}")
    assert next((place.data / "warehouse" / "dbt").rglob(RECORD)).stat().st_size


@pytest.mark.long
def test_a_cell_that_fails_is_quarantined_with_row_column_value_and_rule(place, text_survey, dropped):
    *_, done = dropped
    rows = place.query(
        'SELECT "row", "column", "value", rule FROM quality.quarantine '
        f"WHERE grain = 'cell' AND survey_id = '{text_survey}'"
    )
    assert done["code"] in rows
    assert done["range"] in rows
    ((english, chinese),) = place.query(
        f'SELECT message_en, message_zh FROM quality.quarantine WHERE "row" = {done["code"][0]} '
        f"AND rule = 'unknown_code' AND survey_id = '{text_survey}'"
    )
    assert f"row {done['code'][0]}, column {done['code'][1]}" in english
    assert f"第 {done['code'][0]} 行" in chinese


@pytest.mark.long
def test_a_household_that_stands_twice_is_quarantined_with_both_rows(place, text_survey, dropped):
    *_, done = dropped
    first, second, household = done["twins"]
    rows = place.query(
        'SELECT "row", household_id FROM quality.quarantine '
        f"WHERE rule = 'duplicate_household' AND survey_id = '{text_survey}' ORDER BY 1"
    )
    assert rows == [(first, household), (second, household)]


@pytest.mark.long
def test_nothing_is_lost(place, text_survey, dropped):
    rows = place.query("SELECT received, accepted, quarantined FROM quality.loads")
    assert all(received == accepted + quarantined for received, accepted, quarantined in rows)
    ((quarantined,),) = place.query(
        f"SELECT quarantined FROM quality.loads WHERE survey_id = '{text_survey}'"
    )
    assert quarantined == 2


@pytest.mark.long
def test_a_survey_whose_folder_is_gone_leaves_every_table(place, text_survey, survey_ids, dropped):
    shutil.rmtree(place.folder(text_survey))
    done = place.run("refresh")
    assert done.returncode == 0, done.stderr
    assert f"withdrawing {text_survey}" in done.stdout
    # those that were refused are corrected
    assert place.run("status").stdout.count("fresh") == len(survey_ids) - 1
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
