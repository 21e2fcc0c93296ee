"""The fewest columns are withheld, small sites are published as one, and nobody stands out afterwards."""

from itertools import combinations

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relocation_warehouse.contract.anonymity import standing_out
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.publication.withholding import DESIGN, HOUSEHOLDS, Withheld, choose, published_rows
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
    found = chosen(con)
    left = [c for c in SENSITIVE if c not in found.columns]
    assert not stands_out(con, found.sites, left)
    withheld = len(SENSITIVE) - len(left)
    for size in range(len(left) + 1, len(SENSITIVE) + 1) if withheld else ():
        assert all(stands_out(con, found.sites, list(some)) for some in combinations(SENSITIVE, size))


def test_a_small_site_is_published_with_the_next_larger_one():
    con = households([("a", 1, 30, "x")] * 2 + [("b", 1, 30, "x")] * 8 + [("c", 1, 30, "x")] * 9)
    found = chosen(con)
    assert (found.columns, found.sites) == ((), ("a", "b"))
    rows = kept(con, found)
    assert rows["site_id"].value_counts().to_dict() == {"s_small_sites": 10, "c": 9}
    merged = rows[rows["site_id"] == "s_small_sites"]
    assert merged[[*DESIGN]].isna().all().all()
    assert merged["weight"].tolist() == [pytest.approx(1.2)] * 10
    assert rows.loc[rows["site_id"] == "c", [*DESIGN]].notna().all().all()


def test_what_is_declared_comes_first():
    rows = [("a", 1 + k % 2, 30 + k, "x") for k in range(12)]
    assert chosen(households(rows)).columns == ("age",)
    declared = Disclosure(coarsen=(Coarsening(indicator="age", width=50),))
    con = households(rows)
    found = chosen(con, declared)
    assert (found.columns, found.sites) == ((), ())
    assert set(kept(con, found)["age"]) == {0}
    assert chosen(households(rows), Disclosure(withhold=("size", "age"))).columns == ("size", "age")


def test_coarser_codes_and_ends():
    con = households([("a", 1, 30 + k, "x" if k % 2 else "y") for k in range(12)])
    coarse = (
        Coarsening(indicator="age", at_most=33),
        Coarsening(indicator="people", codes={"x": "z", "y": "z"}),
    )
    rows = kept(con, Withheld("s", coarsened=coarse))
    assert (rows["age"].max(), set(rows["people"])) == (33, {"z"})


def test_a_survey_of_which_every_household_differs_gives_up_all_its_columns():
    con = households([(f"site{k}", k, k, str(k)) for k in range(7)])
    found = chosen(con)
    assert set(found.sites) == {f"site{k}" for k in range(7)}
    rows = kept(con, found)
    assert set(rows["site_id"]) == {"s_small_sites"}
    assert not stands_out(con, found.sites, [c for c in SENSITIVE if c not in found.columns])
