"""Households are the union over waves; each wave has its own site, and says who was there."""

import csv
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_survey import write_folder

from relocation_warehouse.survey.ingest import ingest

WAVES = ("before", "after")
SITES = {"甲": "SITE_A", "乙": "SITE_B"}


@pytest.fixture
def con():
    with duckdb.connect() as con:
        yield con


def columns_of(file_id, *, with_site=True, **more):
    given = {"编号": ("hhid", "text", ""), "安置点": ("site", "code", "site"), **more}
    return tuple(
        (file_id, header, variable, kind, "", "", codes, "false", "")
        for header, (variable, kind, codes) in given.items()
        if with_site or variable != "site"
    )


def file_of(file_id, **more):
    return {"file_id": file_id, "path": f"{file_id}.csv", "format": "delimited", **more}


def write_csv(path: Path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


def load(tmp_path, con, files, columns, contents):
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    for file_id, rows in contents.items():
        header = [c[1] for c in columns if c[0] == file_id]
        write_csv(tmp_path / "s" / f"{file_id}.csv", header, rows)
    result = ingest(folder, tmp_path / "landing", con)
    assert result.is_accepted, result.problems
    for file in result.files:
        assert file.received == file.accepted + file.quarantined
    return result


def interviewed(con, *tables):
    union = " UNION ALL ".join(
        f'SELECT _household_id, _wave, _site_id FROM raw."s__{table}"' for table in tables
    )
    return sorted(con.execute(union).fetchall())


def aside(con):
    return con.execute('SELECT file_id, "row", rule FROM quality.quarantine ORDER BY ALL').fetchall()


def test_a_new_household_of_a_later_wave_is_accepted_and_a_mover_has_the_site_of_each_wave(tmp_path, con):
    load(
        tmp_path,
        con,
        [file_of(wave, wave={"fixed": wave}) for wave in WAVES],
        (*columns_of("before"), *columns_of("after")),
        {"before": [["1", "甲"], ["2", "甲"]], "after": [["1", "乙"], ["2", ""], ["3", "乙"], ["4", ""]]},
    )
    assert interviewed(con, *WAVES) == [
        ("1", "after", "SITE_B"),
        ("1", "before", "SITE_A"),
        ("2", "after", "SITE_A"),  # does not say, so it is where it was
        ("2", "before", "SITE_A"),
        ("3", "after", "SITE_B"),
    ]
    assert aside(con) == [("after", 5, "missing_site")]


def test_a_later_file_without_sites_takes_those_of_the_wave_before(tmp_path, con):
    load(
        tmp_path,
        con,
        [file_of(wave, wave={"fixed": wave}) for wave in WAVES],
        (*columns_of("before"), *columns_of("after", with_site=False)),
        {"before": [["1", "甲"], ["2", "乙"]], "after": [["2"], ["3"]]},
    )
    assert interviewed(con, "after") == [("2", "after", "SITE_B")]
    assert aside(con) == [("after", 3, "missing_site")]


def test_a_roster_belongs_to_the_households_of_its_wave(tmp_path, con):
    roster = columns_of("roster", with_site=False, 年龄=("member_age", "number", ""))
    load(
        tmp_path,
        con,
        [
            file_of("roster", grain="member", wave={"fixed": "after"}),
            file_of("after", wave={"fixed": "after"}),
            file_of("before", wave={"fixed": "before"}),
        ],
        (*columns_of("before"), *columns_of("after"), *roster),
        {
            "before": [["1", "甲"], ["2", "甲"]],
            "after": [["1", "乙"], ["3", "乙"]],
            "roster": [["1", "30"], ["2", "31"], ["3", "32"], ["9", "33"]],
        },
    )
    assert interviewed(con, "roster") == [("1", "after", "SITE_B"), ("3", "after", "SITE_B")]
    assert aside(con) == [("roster", 3, "orphan"), ("roster", 5, "orphan")]
    (message,) = con.execute("SELECT message_en FROM quality.quarantine ORDER BY ALL LIMIT 1").fetchone()
    assert message == (
        "roster.csv, row 3: 2 is a household without an accepted row in after.csv for this wave"
    )


def test_a_second_part_of_a_questionnaire_says_nothing_about_who_was_interviewed(tmp_path, con):
    second = columns_of("second", with_site=False, 答=("answer", "number", ""))
    load(
        tmp_path,
        con,
        [file_of(w, wave={"fixed": w}) for w in WAVES] + [file_of("second")],
        (*columns_of("before"), *columns_of("after"), *second),
        {
            "before": [["1", "甲"]],
            "after": [["2", "乙"]],
            "second": [["1", "5"], ["2", "6"], ["3", "7"]],
        },
    )
    assert interviewed(con, "second") == [("1", None, "SITE_A"), ("2", None, "SITE_B")]
    assert aside(con) == [("second", 4, "orphan")]


def test_a_household_says_which_one_it_split_off_from(tmp_path, con):
    columns = (*columns_of("before"), *columns_of("after", 原户=("origin", "text", "")))
    load(
        tmp_path,
        con,
        [
            file_of("before", wave={"fixed": "before"}),
            file_of("after", wave={"fixed": "after"}, split_from=["origin"]),
        ],
        columns,
        {"before": [["1", "甲"]], "after": [["1", "甲", ""], ["11", "乙", "1"]]},
    )
    rows = con.execute('SELECT _household_id, _split_from FROM raw."s__after" ORDER BY _row').fetchall()
    assert rows == [("1", None), ("11", "1")]


households = st.dictionaries(
    st.sampled_from([f"h{k}" for k in range(8)]), st.sampled_from([*SITES, ""]), min_size=1
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=households, after=households, is_long=st.booleans())
def test_nobody_is_lost_who_says_where_they_live(tmp_path_factory, before, after, is_long):
    """One file with rounds in a column and a file each tell the same, and nothing but a missing site loses anybody."""
    tmp_path, rows = tmp_path_factory.mktemp("panel"), {"before": before, "after": after}
    if is_long:
        rounds = {"before": "前", "after": "后"}
        files = [file_of("long", wave={"column": "round", "codes": "round"})]
        columns = columns_of("long", 轮次=("round", "code", "round"))
        contents = {"long": [[h, s, rounds[w]] for w in WAVES for h, s in rows[w].items()]}
    else:
        files = [file_of(w, wave={"fixed": w}) for w in WAVES]
        columns = (*columns_of("before"), *columns_of("after"))
        contents = {w: [[h, s] for h, s in rows[w].items()] for w in WAVES}
    expected = [(h, "before", SITES[s]) for h, s in before.items() if s]
    expected += [(h, "after", SITES[site]) for h, s in after.items() if (site := s or before.get(h, ""))]
    with duckdb.connect() as con:
        load(tmp_path, con, files, columns, contents)
        assert interviewed(con, *contents) == sorted(expected)
        rules = {rule for *_, rule in aside(con)}
    assert rules <= {"missing_site"}


OLD, NEW = ["V01-007", "V01-008", "V02-010"], ["v1/7", "v1/8", "v2/10"]


def two_files(tmp_path, form):
    folder = write_folder(
        tmp_path / "s",
        files=[file_of(w, wave={"fixed": w}, **form) for w in WAVES],
        columns=(*columns_of("before"), *columns_of("after")),
    )
    for wave, ids in zip(WAVES, (OLD, NEW), strict=True):
        write_csv(tmp_path / "s" / f"{wave}.csv", ["编号", "安置点"], [[i, "甲"] for i in ids])
    return folder


def test_ids_that_change_their_form_between_waves_are_refused_by_name(tmp_path, con):
    refused = ingest(two_files(tmp_path, {}), tmp_path / "landing", con)
    assert not refused.is_accepted
    (problem,) = refused.problems
    assert (problem.file, problem.line) == ("after.csv", None)
    assert (
        "'V01-007' there is 'v1/7' here. As written 0 households of 3 are found again, 3 where"
        in problem.message
    )
    assert "household_id_form: plain" in problem.message


def test_ids_in_plain_form_are_the_same_in_every_file(tmp_path, con):
    load = ingest(two_files(tmp_path, {"household_id_form": "plain"}), tmp_path / "landing", con)
    assert load.is_accepted
    assert [(h, w) for h, w, _ in interviewed(con, *WAVES)] == [
        (h, w) for h in ("v1-7", "v1-8", "v2-10") for w in ("after", "before")
    ]


def test_waves_of_different_households_are_no_change_of_ids(tmp_path, con):
    load(
        tmp_path,
        con,
        [file_of(wave, wave={"fixed": wave}) for wave in WAVES],
        (*columns_of("before"), *columns_of("after")),
        {"before": [["1", "甲"], ["2", "甲"]], "after": [["11", "乙"], ["012", "乙"]]},
    )
