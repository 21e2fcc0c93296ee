"""Households that stand out over all waves together, against counting by hand."""

from collections import Counter

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from relocation_warehouse.contract.anonymity import Linked, standing_out

FEWEST = 3


def who_stands_out(rows, reasons=()):
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE wide (survey_id VARCHAR, household_id VARCHAR, wave VARCHAR, site_id VARCHAR, size INTEGER)"
        )
        con.execute("CREATE TABLE reasons (survey_id VARCHAR, household_id VARCHAR, reason VARCHAR)")
        if rows:
            con.executemany("INSERT INTO wide VALUES (?, ?, ?, ?, ?)", rows)
        if reasons:
            con.executemany("INSERT INTO reasons VALUES (?, ?, ?)", reasons)
        return {
            s.survey_id: (s.n, s.n_households)
            for s in standing_out(con, "wide", ["size"], FEWEST, [Linked("reasons", ("reason",))])
        }


def test_a_household_that_every_wave_hides_stands_out_by_both():
    # four households of size 1 before and four of size 1 after, but only two that are so in both
    sizes = [(1, 1), (1, 1), (1, 2), (1, 2), (2, 1), (2, 1), (2, 2), (2, 2)]
    rows = [
        ("s", f"h{k}", wave, "a", size[at])
        for k, size in enumerate(sizes)
        for at, wave in enumerate(("before", "after"))
    ]
    assert who_stands_out([row for row in rows if row[2] == "before"]) == {}
    assert who_stands_out([row for row in rows if row[2] == "after"]) == {}
    assert who_stands_out(rows) == {"s": (8, 8)}


def test_a_linked_table_tells_a_household_from_others():
    rows = [("s", f"h{k}", "after", "a", None) for k in range(6)]
    assert who_stands_out(rows) == {}
    assert who_stands_out(rows, [("s", "h1", "refused")]) == {"s": (1, 6)}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from("st"), st.integers(0, 12).map(str)),
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([1, 2, None])), min_size=1, max_size=2),
        max_size=16,
    )
)
def test_the_count_is_that_of_the_profiles_counted_by_hand(households):
    rows = [
        (survey, household, f"wave {at}", site, size)
        for (survey, household), waves in households.items()
        for at, (site, size) in enumerate(waves)
    ]
    alike = Counter((survey, tuple(waves)) for (survey, _), waves in households.items())
    expected = {}
    for survey in {s for s, _ in households}:
        few = sum(n for (s, _), n in alike.items() if s == survey and n < FEWEST)
        if few:
            expected[survey] = (few, sum(n for (s, _), n in alike.items() if s == survey))
    assert who_stands_out(rows) == expected
