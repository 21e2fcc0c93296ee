"""A survey is loaded as a whole or not at all; what is set aside says why; nothing disappears."""

import datetime as dt
from types import SimpleNamespace

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_survey import CODES, COLUMNS, HEADER, ROWS, csv_text, write_folder

from relocation_warehouse.survey.folder import sha256_of
from relocation_warehouse.survey.ingest import ingest, refuse
from relocation_warehouse.survey.problems import Problem


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        yield connection


def rows(con, query, *parameters):
    return con.execute(query, list(parameters)).fetchall()


def load(path, con, text=None, **declared):
    """Write the default file (or `text`) and ingest it."""
    folder = write_folder(path, **declared)
    if not declared.get("files"):
        (path / "households.csv").write_text(csv_text() if text is None else text, encoding="utf-8")
    return ingest(folder, path.parent / "landing", con)


def row(**cells):
    """The first default row with some cells changed."""
    names = [c[2] for c in COLUMNS]
    return [str(cells.get(name, value)) for name, value in zip(names, ROWS[0], strict=True)]


def test_good_file(tmp_path, con):
    result = load(tmp_path / "s", con)
    assert result.is_accepted
    assert result.problems == ()
    assert [(f.received, f.accepted, f.quarantined) for f in result.files] == [(3, 3, 0)]
    columns = "_row, _household_id, _wave, _site_id, _weight, age, age__missing, income, satisfied, help, visit, note"
    assert rows(con, f'SELECT {columns} FROM raw."s__households" ORDER BY _row') == [
        (2, "H1", None, "SITE_A", None, 35.0, None, 1200.5, "1", "land work", dt.date(2024, 3, 5), "好"),
        (3, "H2", None, "SITE_B", None, 41.0, None, 0.0, "3", None, dt.date(2024, 3, 6), None),
        (4, "H3", None, "SITE_A", None, None, "dont_know", None, "同意", None, dt.date(2024, 3, 7), "a, b"),
    ]
    reasons = "income__missing, help__missing, note__missing"
    assert rows(con, f'SELECT {reasons} FROM raw."s__households" ORDER BY _row') == [
        (None, None, None),
        (None, "not_applicable", "blank"),
        ("blank", "blank", None),
    ]
    kinds = dict(rows(con, """SELECT column_name, column_type FROM (DESCRIBE raw."s__households")"""))
    assert (kinds["_row"], kinds["age"], kinds["satisfied"]) == ("BIGINT", "DOUBLE", "VARCHAR")
    assert (kinds["visit"], kinds["_weight"]) == ("DATE", "DOUBLE")
    assert kinds["age__missing"].startswith("ENUM")
    landed = pq.read_table(tmp_path / "landing" / "s" / "households.parquet")
    assert landed.column_names == [*HEADER, "_row"]
    assert landed.column("收入").to_pylist() == ["1200.5", "无", None]
    path = tmp_path / "s" / "households.csv"
    assert rows(con, "SELECT * EXCLUDE loaded_at FROM quality.loads") == [
        (
            "s",
            "households",
            "households.csv",
            sha256_of(path),
            "delimited",
            "utf-8",
            3,
            3,
            0,
            "accepted",
            None,
            True,
        )
    ]
    assert rows(con, 'SELECT "column" FROM quality.codebook ORDER BY position') == [(h,) for h in HEADER]


CELLS = [
    ("age", "thirty", "not_a_number", "is not a number"),
    ("age", "1_000", "not_a_number", "is not a number"),
    ("age", "405", "above_maximum", "is above the maximum 100"),
    ("age", "15", "below_minimum", "is below the minimum 16"),
    ("age", "30.5", "not_whole", "is not a whole number"),
    ("income", "nan", "not_finite", "is not a finite number"),
    ("income", "inf", "not_finite", "is not a finite number"),
    ("income", "-1", "below_minimum", "is below the minimum 0"),
    ("satisfied", "4", "unknown_code", "is not in the code lists agree missing"),
    ("satisfied", "nan", "unknown_code", "is not in the code lists"),
    ("help", "land car", "unknown_code", "is not in the code lists helps"),
    ("visit", "45356", "not_a_date", "is not a date"),
    ("visit", "2024-13-05", "not_a_date", "is not a date"),
]


@pytest.mark.parametrize(("variable", "value", "rule", "message"), CELLS)
def test_a_bad_cell_becomes_missing_and_is_kept_in_quarantine(tmp_path, con, variable, value, rule, message):
    header = next(c[1] for c in COLUMNS if c[2] == variable)
    folder = write_folder(tmp_path / "s")
    (tmp_path / "s" / "households.csv").write_text(
        csv_text([row(**{variable: value}), ROWS[1]]), encoding="utf-8"
    )
    labels = {f"i_households_{variable}": SimpleNamespace(label_en="The label", label_zh="标签")}
    result = ingest(folder, tmp_path / "landing", con, labels)
    assert (result.quarantined_rows, result.quarantined_cells) == (0, 1)
    outcome = f'SELECT "{variable}", "{variable}__missing" FROM raw."s__households" WHERE _row = 2'
    assert rows(con, outcome) == [(None, "out_of_range")]
    shown = 'file, "row", household_id, "column", "value", rule, grain, message_en, message_zh'
    ((*place, en, zh),) = rows(con, f"SELECT {shown} FROM quality.quarantine")
    assert place == ["households.csv", 2, "H1", header, value, rule, "cell"]
    assert en.startswith(f"households.csv, row 2, column {header} (The label): {value} {message}")
    assert zh.startswith(f"households.csv 第 2 行，列 {header}（标签）：{value} ")


def test_reasons_of_missing_codes_and_ranges(tmp_path, con):
    ages = {
        "-9": "refused",
        "9": "dont_know",
        "9.0": "dont_know",
        "95": "refused",
        "　": "blank",
        ".a": "not_applicable",
    }
    text = csv_text([row(hhid=f"H{i}", age=a) for i, a in enumerate(ages)])
    assert load(tmp_path / "s", con, text).quarantined_cells == 0
    selected = rows(con, 'SELECT age, age__missing FROM raw."s__households" ORDER BY _row')
    assert selected == [(None, reason) for reason in ages.values()]


def test_each_code_of_a_plain_list_is_an_answer_or_its_reason(tmp_path, con):
    codes = CODES + "plain,-1,,refused,,\nplain,-2,,dont_know,,\nplain,-3,,refused,,\n"
    columns = tuple((*c[:6], "agree plain", *c[7:]) if c[2] == "satisfied" else c for c in COLUMNS)
    answers = {"1": None, "同意": None, "-1": "refused", "-2": "dont_know", "-3": "refused", "": "blank"}
    text = csv_text([row(hhid=f"H{i}", satisfied=a) for i, a in enumerate(answers)])
    folder = write_folder(tmp_path / "s", columns=columns, codes=codes)
    (tmp_path / "s" / "households.csv").write_text(text, encoding="utf-8")
    assert ingest(folder, tmp_path / "landing", con).quarantined_cells == 0
    selected = rows(con, 'SELECT satisfied, satisfied__missing FROM raw."s__households" ORDER BY _row')
    assert selected == [(None if reason else answer, reason) for answer, reason in answers.items()]


def test_ends_of_a_limit_and_of_a_range_of_codes_belong_to_it(tmp_path, con):
    # allowed from 16 to 100, but 90 to 98 says refused
    ages = {"16": None, "100": None, "89": None, "90": "refused", "98": "refused", "99": None}
    text = csv_text([row(hhid=f"H{i}", age=a) for i, a in enumerate(ages)])
    assert load(tmp_path / "s", con, text).quarantined_cells == 0
    selected = rows(con, 'SELECT age, age__missing FROM raw."s__households" ORDER BY _row')
    assert selected == [(None if reason else float(age), reason) for age, reason in ages.items()]


ROWS_ASIDE = [
    ([row(), row(hhid="")], {3: "missing_household_id"}, "has no household id"),
    ([row(), row(hhid="H2", site="")], {3: "missing_site"}, "has no site"),
    (
        [row(), row(hhid="H2", site="丙")],
        {3: "unknown_site"},
        "丙 is a site that the code list does not name",
    ),
    ([row(), row(hhid="H2", site="99")], {3: "missing_site"}, "99 has no site"),
    (
        [row(), row(hhid="H2"), row(age=36)],
        {2: "duplicate_household", 4: "duplicate_household"},
        "several rows with different answers",
    ),
    (
        [row(), row(hhid="H2"), row(), row()],
        {4: "duplicate_row", 5: "duplicate_row"},
        "repeats an earlier row",
    ),
]


@pytest.mark.parametrize(("given_rows", "expected", "message"), ROWS_ASIDE)
def test_a_bad_row_is_set_aside(tmp_path, con, given_rows, expected, message):
    result = load(tmp_path / "s", con, csv_text(given_rows))
    assert result.is_accepted
    selected = rows(
        con, "SELECT \"row\", rule FROM quality.quarantine WHERE grain = 'row' AND \"column\" = ''"
    )
    assert dict(selected) == expected
    assert all(message in m for (m,) in rows(con, "SELECT message_en FROM quality.quarantine"))
    kept = {r for (r,) in rows(con, 'SELECT _row FROM raw."s__households"')}
    assert kept == set(range(2, 2 + len(given_rows))) - set(expected)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["H1", "H2", "H3", "", " H1"]),
            st.sampled_from(["甲", "乙", "", "丙"]),
            st.sampled_from(["35", "x", "", "9", "1e999", "'; DROP SCHEMA raw; --"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_received_is_accepted_plus_quarantined(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("any") / "s"
    with duckdb.connect() as con:
        text = csv_text([row(hhid=h, site=s, age=a) for h, s, a in answers])
        (file,) = load(path, con, text).files
        assert file.received == len(answers) == file.accepted + file.quarantined
        kept = {r for (r,) in rows(con, 'SELECT _row FROM raw."s__households"')}
        aside = {r for (r,) in rows(con, "SELECT \"row\" FROM quality.quarantine WHERE grain = 'row'")}
        assert kept | aside == set(range(2, 2 + len(answers)))
        assert not kept & aside
        assert rows(con, 'SELECT count(*) - count(DISTINCT _household_id) FROM raw."s__households"') == [(0,)]
        lost = rows(
            con, 'SELECT age__missing FROM raw."s__households" WHERE age IS NULL AND age__missing IS NULL'
        )
        assert lost == []


# ---- several files, waves, rosters


def several(tmp_path, con, base, roster):
    columns = (
        *COLUMNS[:2],
        ("households", "轮次", "round", "code", "", "", "round", "false", ""),
        ("roster", "户", "hhid", "text", "", "", "", "false", ""),
        ("roster", "成员年龄", "member_age", "integer", "0", "120", "", "false", ""),
        ("roster", "姓名", "", "", "", "", "", "true", "name of a person"),
    )
    files = [
        {
            "file_id": "households",
            "path": "a.csv",
            "format": "delimited",
            "wave": {"column": "round", "codes": "round"},
        },
        {
            "file_id": "roster",
            "path": "b.csv",
            "format": "delimited",
            "grain": "member",
            "wave": {"fixed": "after"},
        },
    ]
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    (tmp_path / "s" / "a.csv").write_text(csv_text(base, ["编号", "安置点", "轮次"]), encoding="utf-8")
    (tmp_path / "s" / "b.csv").write_text(csv_text(roster, ["户", "成员年龄", "姓名"]), encoding="utf-8")
    return ingest(folder, tmp_path / "landing", con)


def test_rounds_in_a_column_and_a_roster(tmp_path, con):
    base = [["H1", "甲", "前"], ["H1", "甲", "后"], ["H2", "乙", "后"], ["H3", "乙", "中"], ["H4", "乙", ""]]
    roster = [["H1", "35", "x"], ["H1", "7", "y"], ["H2", "300", "z"], ["H9", "40", "w"]]
    result = several(tmp_path, con, base, roster)
    assert [(f.received, f.accepted, f.quarantined) for f in result.files] == [(5, 3, 2), (4, 3, 1)]
    waves = rows(con, 'SELECT _household_id, _wave FROM raw."s__households" ORDER BY _row')
    assert waves == [("H1", "before"), ("H1", "after"), ("H2", "after")]
    members = rows(
        con, 'SELECT _household_id, _wave, _site_id, member_age FROM raw."s__roster" ORDER BY _row'
    )
    assert members == [
        ("H1", "after", "SITE_A", 35.0),
        ("H1", "after", "SITE_A", 7.0),
        ("H2", "after", "SITE_B", None),
    ]
    assert rows(con, 'SELECT file_id, "row", rule FROM quality.quarantine ORDER BY ALL') == [
        ("households", 5, "unknown_wave"),
        ("households", 6, "missing_wave"),
        ("roster", 4, "above_maximum"),
        ("roster", 5, "orphan"),
    ]


def test_personal_columns_stay_in_landing(tmp_path, con):
    several(tmp_path, con, [["H1", "甲", "后"]], [["H1", "35", "Zhang San"]])
    landed = pq.read_table(tmp_path / "landing" / "s" / "roster.parquet")
    assert landed.column("姓名").to_pylist() == ["Zhang San"]
    kept = {c for (c,) in rows(con, """SELECT column_name FROM (DESCRIBE raw."s__roster")""")}
    assert kept == {
        "_row", "_household_id", "_wave", "_site_id", "_weight",
        "hhid", "hhid__missing", "member_age", "member_age__missing",
    }  # fmt: skip


def test_composite_ids_and_numbers_of_spss(tmp_path, con):
    columns = (
        ("households", "village", "village", "integer", "", "", "", "false", ""),
        ("households", "hh", "hh", "integer", "", "", "", "false", ""),
        ("households", "site", "site", "code", "", "", "site", "false", ""),
        ("households", "q", "q", "number", "0", "", "missing", "false", ""),
        ("households", "w", "w", "number", "0", "", "", "false", ""),
    )
    frame = pd.DataFrame({"village": [1.0, 1.0, None], "hh": [7.0, 8.0, 9.0], "site": [1.0, 2.0, 1.0]})
    frame = frame.assign(q=[9.0, 77.0, 5.0], w=[1.5, 2.0, 3.0])
    files = [{"file_id": "households", "path": "a.sav", "format": "spss", "household_id": ["village", "hh"]}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns, weight="w")
    pyreadstat.write_sav(frame, tmp_path / "s" / "a.sav", missing_ranges={"q": [9, 77]})
    ingest(folder, tmp_path / "landing", con)
    selected = rows(
        con, 'SELECT _household_id, _site_id, _weight, q, q__missing FROM raw."s__households" ORDER BY _row'
    )
    assert selected == [
        ("1-7", "SITE_A", 1.5, None, "dont_know"),
        ("1-8", "SITE_B", 2.0, None, "out_of_range"),
    ]
    aside = rows(con, 'SELECT "row", "value", rule FROM quality.quarantine ORDER BY "row"')
    assert aside == [(2, "77", "missing_without_reason"), (3, None, "missing_household_id")]


@pytest.mark.parametrize("number", [1.5, -1.5, 1e20])
def test_a_number_that_is_no_code_is_not_rounded_to_one(tmp_path, con, number):
    columns = (
        ("households", "hh", "hh", "integer", "", "", "", "false", ""),
        ("households", "site", "site", "code", "", "", "site", "false", ""),
    )
    files = [{"file_id": "households", "path": "a.sav", "format": "spss", "household_id": ["hh"]}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    pyreadstat.write_sav(pd.DataFrame({"hh": [1.0, 2.0], "site": [2.0, number]}), tmp_path / "s" / "a.sav")
    ingest(folder, tmp_path / "landing", con)
    assert rows(con, 'SELECT _site_id FROM raw."s__households"') == [("SITE_B",)]
    ((row_number, value),) = rows(con, 'SELECT "row", "value" FROM quality.quarantine')
    assert (row_number, float(value)) == (2, number)


def test_a_day_and_a_text_may_be_codes_of_a_reason(tmp_path, con):
    columns = tuple((*c[:6], "missing", *c[7:]) if c[2] in ("visit", "note") else c for c in COLUMNS)
    load(tmp_path / "s", con, csv_text([row(visit="9", note="-9")]), columns=columns)
    shown = rows(con, 'SELECT visit, visit__missing, note, note__missing FROM raw."s__households"')
    assert shown == [(None, "dont_know", None, "refused")]
    assert rows(con, "SELECT count(*) FROM quality.quarantine") == [(0,)]


def test_a_text_that_the_file_declares_missing_needs_a_reason(tmp_path, con):
    columns = (
        ("households", "hh", "hh", "integer", "", "", "", "false", ""),
        ("households", "site", "site", "code", "", "", "site", "false", ""),
        ("households", "note", "note", "text", "", "", "missing", "false", ""),
    )
    files = [{"file_id": "households", "path": "a.sav", "format": "spss", "household_id": ["hh"]}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    frame = pd.DataFrame({"hh": [1.0, 2.0, 3.0], "site": [1.0, 1.0, 1.0], "note": ["NA", "-9", "told"]})
    pyreadstat.write_sav(frame, tmp_path / "s" / "a.sav", missing_ranges={"note": ["NA", "-9"]})
    ingest(folder, tmp_path / "landing", con)
    shown = rows(con, 'SELECT note, note__missing FROM raw."s__households" ORDER BY _row')
    assert shown == [(None, "out_of_range"), (None, "refused"), ("told", None)]
    assert rows(con, 'SELECT "value", rule FROM quality.quarantine') == [("NA", "missing_without_reason")]


# ---- corrections

CORRECTION = ("households", "H1", "age", "35", "36", "typing error seen on paper", "confirmed")


def test_a_correction_is_applied_while_its_error_is_there(tmp_path, con):
    load(tmp_path / "s", con, corrections=[CORRECTION])
    assert rows(con, "SELECT age FROM raw.\"s__households\" WHERE _household_id = 'H1'") == [(36.0,)]
    landed = pq.read_table(tmp_path / "landing" / "s" / "households.parquet")
    assert landed.column("年龄").to_pylist() == ["35", "41", "9"]


def test_a_corrected_id_is_the_households_id(tmp_path, con):
    correction = ("households", "H1", "hhid", "H1", "H7", "wrong sticker", "confirmed")
    load(tmp_path / "s", con, corrections=[correction, CORRECTION])
    selected = rows(con, 'SELECT _household_id, age FROM raw."s__households" ORDER BY _row LIMIT 1')
    assert selected == [("H7", 36.0)]


@pytest.mark.parametrize(
    ("household", "expect", "message"),
    [
        ("H1", "53", "expected '53', but it holds '35'"),
        ("H9", "35", "expected '35', but it is not in the file"),
    ],
)
def test_a_correction_whose_error_is_gone_refuses_the_survey(tmp_path, con, household, expect, message):
    correction = ("households", household, "age", expect, "36", "typing error", "confirmed")
    result = load(tmp_path / "s", con, corrections=[correction])
    assert not result.is_accepted
    assert [p.file for p in result.problems] == ["corrections.csv"]
    assert message in result.problems[0].message
    assert rows(con, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw'") == [(0,)]


# ---- replacing, refusing


def test_loading_again_replaces_and_leaves_other_surveys(tmp_path, con):
    load(tmp_path / "other", con)
    load(tmp_path / "s", con, csv_text([row(age=405), row(hhid="H2")]))
    assert rows(con, "SELECT survey_id, count(*) FROM quality.quarantine GROUP BY 1") == [("s", 1)]
    load(tmp_path / "s", con)
    assert rows(con, "SELECT count(*) FROM quality.quarantine") == [(0,)]
    loads = rows(con, "SELECT survey_id, received FROM quality.loads ORDER BY 1")
    assert loads == [("other", 3), ("s", 3)]
    assert rows(con, 'SELECT count(*) FROM raw."other__households"') == [(3,)]


def test_a_build_of_an_earlier_version_gets_the_columns_that_were_added_since(tmp_path, con):
    load(tmp_path / "other", con)
    con.execute("ALTER TABLE quality.loads DROP COLUMN format; ALTER TABLE quality.codebook DROP COLUMN note")
    con.execute("DROP TABLE quality.quarantine")
    assert load(tmp_path / "s", con, csv_text([row(age=405), row(hhid="H2")])).is_accepted
    loads = rows(con, "SELECT survey_id, received, format FROM quality.loads ORDER BY 1")
    assert loads == [("other", 3, None), ("s", 2, "delimited")]
    assert rows(con, "SELECT survey_id, count(*) FROM quality.quarantine GROUP BY 1") == [("s", 1)]
    load(tmp_path / "other", con)
    assert rows(con, "SELECT DISTINCT format FROM quality.loads") == [("delimited",)]


def test_a_file_that_left_the_survey_leaves_no_table(tmp_path, con):
    several(tmp_path, con, [["H1", "甲", "后"]], [["H1", "35", "x"]])
    load(tmp_path / "s", con)
    tables = rows(con, "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'")
    assert tables == [("s__households",)]


def test_a_refusal_is_recorded_and_forgotten_when_the_survey_is_mended(tmp_path, con):
    load(tmp_path / "s", con, "")
    ((file, status, message, received),) = rows(
        con, "SELECT file, status, message, received FROM quality.loads"
    )
    assert (file, status, received) == ("households.csv", "refused", 0)
    assert "file is empty" in message
    load(tmp_path / "s", con)
    assert rows(con, "SELECT status, received, message FROM quality.loads") == [("accepted", 3, None)]
    refuse("s", [Problem("crosswalk.csv", 7, "unknown indicator")], con)
    assert rows(con, "SELECT status, received, message FROM quality.loads") == [
        ("refused", 3, "crosswalk.csv, line 7: unknown indicator")
    ]
    assert rows(con, 'SELECT count(*) FROM raw."s__households"') == [(3,)]
    load(tmp_path / "s", con)
    assert rows(con, "SELECT status, message FROM quality.loads") == [("accepted", None)]


def test_a_failure_inside_the_transaction_changes_nothing(tmp_path, con, monkeypatch):
    load(tmp_path / "s", con)
    before = rows(con, 'SELECT * FROM raw."s__households"')
    landed = (tmp_path / "landing" / "s" / "households.parquet").read_bytes()

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("relocation_warehouse.survey.ingest._set_cells_aside", fail)
    with pytest.raises(MemoryError):
        load(tmp_path / "s", con, csv_text([row(hhid="H9")]))
    assert rows(con, 'SELECT * FROM raw."s__households"') == before
    assert [f.name for f in (tmp_path / "landing" / "s").iterdir()] == ["households.parquet"]
    assert (tmp_path / "landing" / "s" / "households.parquet").read_bytes() == landed


def test_hostile_names_and_codes_are_only_text(tmp_path, con):
    evil = """x"; DROP TABLE quality.loads; --'"""
    columns = (*COLUMNS[:2], ("households", evil, "q", "code", "", "", "agree evil", "false", ""))
    codes = (
        "list,code,value,missing_reason,label_en,label_zh\nsite,甲,SITE_A,,,\nagree,1,1,,,\n"
        '"evil","\'); DROP TABLE quality.loads; --",2,,,\n'
    )
    files = [{"file_id": "households", "path": "a.csv", "format": "delimited"}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns, codes=codes)
    answers = [["H1", "甲", "'); DROP TABLE quality.loads; --"], ["H2", "甲", "' OR 1=1"], ["H'3", "甲", "1"]]
    (tmp_path / "s" / "a.csv").write_text(csv_text(answers, ["编号", "安置点", evil]), encoding="utf-8")
    assert ingest(folder, tmp_path / "landing", con).is_accepted
    selected = rows(con, 'SELECT _household_id, q, q__missing FROM raw."s__households" ORDER BY _row')
    assert selected == [("H1", answers[0][2], None), ("H2", None, "out_of_range"), ("H'3", "1", None)]
    assert rows(con, 'SELECT "column", "value" FROM quality.quarantine') == [(evil, "' OR 1=1")]


def test_headers_that_differ_in_case_are_two_columns(tmp_path, con):
    columns = (
        *COLUMNS[:2],
        ("households", "q", "lower", "number", "", "", "", "false", ""),
        ("households", "Q", "upper", "number", "", "", "", "false", ""),
    )
    files = [{"file_id": "households", "path": "a.csv", "format": "delimited"}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    (tmp_path / "s" / "a.csv").write_text("编号,安置点,q,Q\nH1,甲,1,2\n", encoding="utf-8")
    ingest(folder, tmp_path / "landing", con)
    assert rows(con, 'SELECT lower, upper FROM raw."s__households"') == [(1.0, 2.0)]
