"""The fewest columns are withheld, small sites are published as one, and nobody stands out afterwards."""

from itertools import combinations
from types import SimpleNamespace

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relocation_warehouse.contract.anonymity import standing_out
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.publication.withholding import (
    COVERAGE,
    DESIGN,
    HOUSEHOLDS,
    INDICATORS,
    REASONS,
    SITES,
    SURVEYS,
    Withheld,
    choose,
    plan,
    published_rows,
)
from relocation_warehouse.survey.vocabulary import Coarsening, Disclosure

SENSITIVE = ("size", "age", "people")
K = 5


def households(rows, waves=("one",)):
    """A wide table of households given as (site, size, age, people)."""
    frame = pd.DataFrame(
        [
            {"survey_id": "s", "household_id": f"h{k}", "wave": wave, "site_id": site}
            | dict.fromkeys(DESIGN[:2], site)
            | dict.fromkeys(DESIGN[2:], 7)
            | dict(zip(SENSITIVE, values, strict=True))
            for k, (site, *values) in enumerate(rows)
            for wave in waves
        ]
    )
    con = duckdb.connect()
    con.register("frame", frame)
    con.execute("CREATE TABLE rows AS SELECT *, 1.0 + (site_id = 'a')::INT AS weight FROM frame")
    return con


def chosen(con, declared=None):
    return choose(con, "s", "(FROM rows)", SENSITIVE, K, declared)


def kept(con, withheld):
    table = contract_of()[HOUSEHOLDS]
    columns = tuple(c for c in con.execute("FROM rows").to_arrow_table().column_names)
    return con.execute(f"FROM {published_rows(_Table(table, columns), 'rows', [withheld])}").df()


class _Table:
    """A table with these columns in place of those of the contract."""

    def __init__(self, table, columns):
        self.full_name, self.column_names = table.full_name, columns
        self.columns = [c for c in table.columns if c.name in columns]


def stands_out(con, sites, columns):
    site = "CASE WHEN site_id IN (SELECT unnest($1)) THEN 'x' ELSE site_id END"
    names = ", ".join(columns) or "1 AS nothing"
    con.execute(
        "CREATE OR REPLACE TEMP TABLE tried AS "
        f"SELECT survey_id, household_id, wave, {site} AS site_id, {names} FROM rows",
        [list(sites)],
    )
    return bool(standing_out(con, "tried", columns, K))


def test_nothing_is_withheld_where_all_are_alike():
    con = households([("a", 1, 30, "x")] * 6 + [("b", 2, 40, "y")] * 5)
    assert chosen(con) == Withheld("s")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 2), st.integers(1, 3), st.sampled_from("xyz")),
        min_size=12,
        max_size=60,
    )
)
def test_no_smaller_choice_reaches_k_and_nobody_stands_out(rows):
    con = households(rows)
    result = chosen(con)
    left = [c for c in SENSITIVE if c not in result.columns]
    assert not stands_out(con, result.sites, left)
    withheld = len(SENSITIVE) - len(left)
    for size in range(len(left) + 1, len(SENSITIVE) + 1) if withheld else ():
        assert all(stands_out(con, result.sites, list(some)) for some in combinations(SENSITIVE, size))


def test_a_small_site_is_published_with_the_next_larger_one():
    con = households([("a", 1, 30, "x")] * 2 + [("b", 1, 30, "x")] * 8 + [("c", 1, 30, "x")] * 9)
    result = chosen(con)
    assert (result.columns, result.sites) == ((), ("a", "b"))
    rows = kept(con, result)
    assert rows["site_id"].value_counts().to_dict() == {"s_small_sites": 10, "c": 9}
    merged = rows[rows["site_id"] == "s_small_sites"]
    assert merged[[*DESIGN]].isna().all().all()
    assert merged["weight"].tolist() == [pytest.approx(1.2)] * 10
    assert rows.loc[rows["site_id"] == "c", [*DESIGN]].notna().all().all()


def test_a_site_that_was_small_in_one_wave_is_small():
    con = households(
        [("a", 1, 30, "x")] * 10 + [("b", 1, 30, "x")] * 8 + [("c", 1, 30, "x")] * 9, ("one", "two")
    )
    con.execute("DELETE FROM rows WHERE wave = 'two' AND site_id = 'a' AND household_id NOT IN ('h0', 'h1')")
    result = chosen(con)
    assert (result.columns, result.sites) == ((), ("a", "b"))


def test_who_differs_by_the_waves_alone_gives_up_everything():
    con = households([("a", 1, 30, "x")] * 6 + [("b", 1, 30, "x")] * 6)
    con.execute("INSERT INTO rows SELECT * REPLACE ('two' AS wave) FROM rows WHERE household_id = 'h0'")
    declared = Disclosure(coarsen=(Coarsening(indicator="age", width=50),))
    assert chosen(con, declared) == Withheld(
        "s", (*SENSITIVE, *DESIGN), ("a", "b"), declared.coarsen, 1, 12, is_everything=True
    )


def test_what_is_declared_comes_first():
    rows = [("a", 1 + k % 2, 30 + k, "x") for k in range(12)]
    assert chosen(households(rows)).columns == ("age",)
    declared = Disclosure(coarsen=(Coarsening(indicator="age", width=50),))
    con = households(rows)
    result = chosen(con, declared)
    assert result == Withheld("s", coarsened=declared.coarsen)
    assert set(kept(con, result)["age"]) == {0}
    assert chosen(households(rows), Disclosure(withhold=("size", "age"))).columns == ("size", "age")


def test_a_plan_chooses_for_each_real_survey_among_what_it_asked():
    """The reason of a missing answer tells two households apart; what nobody answered is not withheld."""
    con = duckdb.connect()
    con.execute("CREATE SCHEMA reference; CREATE SCHEMA harmonized")
    con.execute(
        f"CREATE TABLE {SURVEYS} AS FROM (VALUES ('made_up', true), ('real', false), ('told', false))"
        " AS t(survey_id, is_synthetic)"
    )
    con.execute(
        f"CREATE TABLE {INDICATORS} AS FROM (VALUES ('age_band', true, 2), ('ethnic_group', true, 1),"
        " ('trust', false, 3), ('unknown', true, 4)) AS t(indicator_id, is_sensitive, display_order)"
    )
    design = ", ".join(f"NULL::VARCHAR AS {name}" for name in DESIGN)
    con.execute(
        f"CREATE TABLE {HOUSEHOLDS} AS SELECT s AS survey_id, 'h' || k AS household_id, 'one' AS wave, 'a' AS site_id,"
        f" {design}, 1.0 AS weight, CASE WHEN s = 'told' OR k > 1 THEN 'young' END AS age_band,"
        " NULL::VARCHAR AS ethnic_group, k AS trust"
        " FROM range(12) t(k), (VALUES ('made_up'), ('real'), ('told')) v(s)"
    )
    con.execute(
        f"CREATE TABLE {REASONS} AS SELECT survey_id, household_id, wave, 'age_band' AS indicator_id, 'blank' AS"
        f" missing_reason FROM {HOUSEHOLDS} WHERE age_band IS NULL"
    )
    con.execute(f"UPDATE {REASONS} SET missing_reason = 'refused' WHERE household_id = 'h1'")
    contract = {HOUSEHOLDS: SimpleNamespace(column_names=("age_band", "ethnic_group", "trust"))}
    assert plan(con, contract, K) == (Withheld("real", ("age_band",), (), (), 2, 12),)
    declared = {"told": Disclosure(withhold=("age_band",))}
    assert [w.survey_id for w in plan(con, contract, K, declared)] == ["real", "told"]


def test_coarser_codes_and_ends():
    con = households([("a", 1, 30 + k, "x" if k % 2 else "y") for k in range(12)])
    coarse = (
        Coarsening(indicator="age", at_most=33),
        Coarsening(indicator="people", codes={"x": "z", "y": "z"}),
    )
    rows = kept(con, Withheld("s", coarsened=coarse))
    assert (rows["age"].max(), set(rows["people"])) == (33, {"z"})


def test_the_lowest_interval_begins_with_the_smallest_value_that_there_can_be():
    """Nobody heads a household at ten: 14 to 19 years are published as 14."""
    con = duckdb.connect()
    con.execute(
        "CREATE TABLE rows AS SELECT 's' AS survey_id, k::VARCHAR AS household_id, "
        "(14 + k)::DOUBLE AS head_age_years FROM range(8) AS t(k)"
    )
    table = _Table(contract_of()["harmonized.households"], ["survey_id", "household_id", "head_age_years"])
    coarse = Withheld("s", coarsened=(Coarsening(indicator="head_age_years", width=10),))
    shown = con.execute(f"SELECT * FROM {published_rows(table, 'rows', [coarse])} ORDER BY household_id")
    assert [row[2] for row in shown.fetchall()] == [14] * 6 + [20] * 2


def test_a_survey_of_which_every_household_differs_gives_up_all_its_columns():
    con = households([(f"site{k}", k, k, str(k)) for k in range(7)])
    result = chosen(con)
    assert set(result.sites) == {f"site{k}" for k in range(7)}
    rows = kept(con, result)
    assert set(rows["site_id"]) == {"s_small_sites"}
    assert not stands_out(con, result.sites, [c for c in SENSITIVE if c not in result.columns])


def published(name, rows, *withheld):
    """Rows of a table of the contract, given as dictionaries of what matters, as they are published."""
    table = contract_of()[name]
    con = duckdb.connect()
    con.execute(f"CREATE TABLE rows ({', '.join(f'{c.name} {c.type}' for c in table.columns)})")
    for row in rows:
        con.execute(
            f"INSERT INTO rows ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()]
        )
    answer = con.execute(f"FROM {published_rows(table, 'rows', withheld)} ORDER BY ALL")
    names = [d[0] for d in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def test_coverage_says_of_all_that_they_do_not_share_what_is_withheld():
    counts = {"n": 7, "n_missing": 3, "n_refused": 2, "n_blank": 1, "n_not_shared": 0}
    rows = [
        {"survey_id": s, "indicator_id": i, "wave": "one", **counts} for s in "st" for i in ("age", "size")
    ]
    by_key = {
        (r["survey_id"], r["indicator_id"]): {c: r[c] for c in counts}
        for r in published(COVERAGE, rows, Withheld("s", ("age",)), Withheld("t", (), ("a",)))
    }
    hidden = {"n": 0, "n_missing": 10, "n_refused": 0, "n_blank": 0, "n_not_shared": 10}
    assert by_key == {
        ("s", "age"): hidden,
        ("s", "size"): counts,
        ("t", "age"): counts,
        ("t", "size"): counts,
    }


def test_sites_that_are_published_as_one_have_a_row_that_says_nothing_of_them():
    rows = [
        {"survey_id": s, "site_id": f"{s}_{k}", "region": f"region of {s}", "county": "x", "households": 4}
        for s in "st"
        for k in range(2)
    ]
    result = published(SITES, rows, Withheld("s", (), ("s_0", "s_1")), Withheld("t", ("age",)))
    added = [r for r in result if r["site_id"] not in {r["site_id"] for r in rows}]
    assert len(result) == len(rows) + 1
    (row,) = added
    assert (row["survey_id"], row["site_id"], row["region"]) == ("s", "s_small_sites", "region of s")
    assert row["label_en"]
    assert (row["county"], row["households"]) == (None, None)
    # without a site to merge there is nothing to add
    assert len(published(SITES, rows, Withheld("t", ("age",)))) == len(rows)


def test_neither_a_reason_nor_a_group_tells_what_is_withheld():
    rows = [
        {"survey_id": s, "household_id": "h", "site_id": "a", "indicator_id": i, "missing_reason": "refused"}
        for s in "st"
        for i in ("age", "size")
    ]
    result = published(REASONS, rows, Withheld("s", ("age",), ("a",)))
    assert [(r["survey_id"], r["indicator_id"], r["site_id"]) for r in result] == [
        ("s", "size", "s_small_sites"),
        ("t", "age", "a"),
        ("t", "size", "a"),
    ]
    groups = [("site", "a"), ("site", "c"), ("all", "a")]
    rows = [{"survey_id": s, "group_type": t, "group_id": g, "n": 3} for s in "st" for t, g in groups]
    result = published("analysis.coupling_bands", rows, Withheld("s", (), ("a", "b")))
    assert {(r["survey_id"], r["group_type"], r["group_id"]) for r in result} == {
        (s, t, g) for s in "st" for t, g in groups
    } - {("s", "site", "a")}


def test_what_withholds_nothing_changes_no_row():
    rows = [{"survey_id": "s", "site_id": "a", "region": "r"}]
    assert published(SITES, rows, Withheld("s")) == published(SITES, rows)
    assert published("analysis.sensitivity", [{"region": "r"}], Withheld("s", ("age",), ("a",)))
