"""One refresh of a warehouse where every survey is bad in its own way."""

import pytest
from places import Answers, declared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def roles(survey_ids, text_survey):
    """Which survey gets which mistake."""
    others = [s for s in survey_ids if s != text_survey]
    return {"cells": text_survey, "missing": others[0], "checksum": others[1], "column": others[2]}


@pytest.fixture(scope="module")
def before(place, survey_ids):
    return {s: place.rows_of(s) for s in survey_ids}


@pytest.fixture(scope="module")
def damage(place, roles, before):
    """Do the damage; say what must be found where."""
    by_key = {}
    answers = Answers.read(place, roles["cells"])
    header, rows = answers.rows[0], answers.rows[1:]
    columns = {c["variable"]: c for c in declared(place, roles["cells"]) if c["variable"]}
    id_variable = place.survey(roles["cells"])["files"][0]["household_id"][0]
    id_at = header.index(columns[id_variable]["column"])
    code = next(c for c in columns.values() if c["type"] == "code" and c["variable"] not in ("site",))
    code_at = header.index(code["column"])
    rows[4][code_at] = "从来没有这个答案"
    by_key["code"] = (6, code["column"], "从来没有这个答案", "unknown_code")
    twin = [*rows[9]]
    twin[code_at] = rows[4][code_at]
    rows.append(twin)
    by_key["twins"] = (11, len(rows) + 1, rows[9][id_at])
    rows[20][id_at] = "-7"
    by_key["range"] = (22, columns[id_variable]["column"], "-7", "below_minimum")
    answers.rows = [header, *rows]
    answers.write()
    place.allow_changed_file(roles["cells"])

    place.first_file(roles["missing"]).unlink()
    with place.first_file(roles["checksum"]).open("ab") as handle:
        handle.write(b"\0")
    ignored = next(c for c in declared(place, roles["column"]) if c["ignore_reason"])
    path = place.folder(roles["column"]) / "columns.csv"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    position = [c["column"] for c in declared(place, roles["column"])].index(ignored["column"])
    del lines[position + 1]
    path.write_text("".join(lines), "utf-8")
    by_key["column"] = ignored["column"]
    return by_key


@pytest.fixture(scope="module")
def refresh(place, damage):
    return place.run("refresh")


def test_exit_status_says_that_data_were_refused_and_the_rest_is_published(refresh):
    assert refresh.returncode == 1, refresh.stdout + refresh.stderr
    assert "published:" in refresh.stdout


def test_each_refusal_says_file_and_reason_and_what_to_do(refresh, place, roles, damage):
    for role in ("missing", "checksum", "column"):
        assert f"{roles[role]} was refused" in refresh.stderr
    names = {role: place.survey(survey)["files"][0]["path"] for role, survey in roles.items()}
    missing = [
        line
        for line in refresh.stderr.splitlines()
        if "file is missing; put it into the survey folder" in line
    ]
    assert missing
    assert all(line.strip().startswith(names["missing"]) for line in missing)
    assert f"{names['checksum']}: sha256 is " in refresh.stderr
    assert "survey.yml says" in refresh.stderr
    assert "check it, then correct sha256" in refresh.stderr
    assert f"has the column {damage['column']!r}, which columns.csv does not declare" in refresh.stderr


def test_what_was_published_of_a_refused_survey_stays(refresh, place, roles, before):
    for role in ("missing", "checksum", "column"):
        assert place.rows_of(roles[role]) == before[roles[role]]
    refused = place.query("SELECT DISTINCT survey_id FROM quality.loads WHERE status = 'refused' ORDER BY 1")
    assert [s for (s,) in refused] == sorted(v for k, v in roles.items() if k != "cells")
    told = place.query("SELECT survey_id FROM reference.surveys WHERE status = 'refused' ORDER BY 1")
    assert told == refused


def test_the_other_survey_is_refreshed(refresh, place, roles, before):
    assert place.rows_of(roles["cells"]) != before[roles["cells"]]


def test_a_cell_that_fails_is_quarantined_with_row_column_value_and_rule(refresh, place, roles, damage):
    rows = place.query(
        'SELECT "row", "column", "value", rule FROM quality.quarantine '
        f"WHERE grain = 'cell' AND survey_id = '{roles['cells']}'"
    )
    assert damage["code"] in rows
    assert damage["range"] in rows
    ((english, chinese),) = place.query(
        f'SELECT message_en, message_zh FROM quality.quarantine WHERE "row" = {damage["code"][0]} '
        f"AND rule = 'unknown_code' AND survey_id = '{roles['cells']}'"
    )
    assert f"row {damage['code'][0]}, column {damage['code'][1]}" in english
    assert f"第 {damage['code'][0]} 行" in chinese


def test_a_household_that_stands_twice_is_quarantined_with_both_rows(refresh, place, roles, damage):
    first, second, household = damage["twins"]
    rows = place.query(
        'SELECT "row", household_id FROM quality.quarantine '
        f"WHERE rule = 'duplicate_household' AND survey_id = '{roles['cells']}' ORDER BY 1"
    )
    assert rows == [(first, household), (second, household)]


def test_nothing_is_lost(refresh, place, roles, damage):
    rows = place.query("SELECT received, accepted, quarantined FROM quality.loads")
    assert all(received == accepted + quarantined for received, accepted, quarantined in rows)
    ((quarantined,),) = place.query(
        f"SELECT quarantined FROM quality.loads WHERE survey_id = '{roles['cells']}'"
    )
    assert quarantined == 2


def test_status_says_why(refresh, place, roles):
    shown = place.run("status").stdout
    assert shown.count("refused") >= 3
    assert "file is missing" in shown


def test_a_second_refresh_has_nothing_to_do_but_still_says_what_is_refused(refresh, place, roles):
    version = place.version()
    again = place.run("refresh")
    assert "nothing changed since the last refresh" in again.stdout
    assert again.returncode == 1
    assert f"{roles['missing']} was refused" in again.stderr
    assert place.version() == version
