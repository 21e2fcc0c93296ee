"""A column that counts as not read cannot decide the answer of a query, however the query is written."""

import duckdb
import pytest

from relocation_warehouse.results.columns_read import columns_read

QUERIES = {
    "select sum(a) from s.t where b > 1": {"a", "b"},
    'select count(*) from "s"."t"': set(),
    "select A, count(*) from S.T as h group by all": {"a"},
    "select s.t.a from s.t": {"a"},
    "select a from s.t join s.u using (key)": {"a", "key"},
    "select x from (select a as x, c from s.t) where c": {"a", "c"},
    "with w as (select a from s.t) select * from w": {"a"},
    "create or replace temp table put as select a from s.t": {"a"},
    "select a from s.t where b in (select key from s.u)": {"a", "b", "key"},
    "select sum(a) over (order by b) from s.t qualify row_number() over (partition by c) = 1": {
        "a",
        "b",
        "c",
    },
    "select sum(a) filter (where c) from s.t group by grouping sets ((key), (b)) having max(b) > 0": {
        *("a", "b", "c", "key")
    },
    "select * from s.t": None,
    "from s.t": None,
    "select t.* exclude (a) from s.t": None,
    "select columns('a|b') from s.t": None,
    "select t from s.t": None,
    "select s.t from s.t": None,
    "select hash(h) from s.t as h": None,
    "select p from s.t as h(p, q)": None,
    "select h.x from (select *, a + 1 as x from s.t) as h": None,
    "select q.* from (select * from s.t) as q": None,
    "select n from s.t, lateral (select t.*) as l(n, m)": None,
    "select exists (from s.t where a > 1)": None,
    "select count(*) from s.t natural join s.u": None,
    "select count(*) from s.t positional join s.u": None,
    "select #2 from s.t": None,
    "select key from s.t union all from s.u": {"key"},
    "select x from s.t unpivot (x for n in (a, b))": None,
    "select column_name from (describe s.t)": None,
}


@pytest.mark.parametrize("query", QUERIES)
def test_columns_that_a_query_reads_are_known(query):
    read = columns_read(query)["s.t"]
    expected = QUERIES[query]
    assert read is None if expected is None else read & {"key", "a", "b", "c"} == expected


@pytest.mark.parametrize("query", [q for q, columns in QUERIES.items() if columns is not None])
def test_a_column_that_is_not_read_does_not_decide_the_answer(query):
    with duckdb.connect() as con:
        con.execute("create schema s; create table s.u as select range as key from range(2, 5)")
        con.execute(
            "create table s.t as select range as key, range % 3 as a, range % 2 as b, true as c from range(9)"
        )
        if query.startswith("create"):
            con.execute(query)
            query = query.partition(" as ")[2]
        before = sorted(con.execute(query).fetchall())
        for column in {"key", "a", "b", "c"} - columns_read(query)["s.t"]:
            con.execute(f"update s.t set {column} = {'false' if column == 'c' else 7}")
        assert sorted(con.execute(query).fetchall()) == before


@pytest.mark.parametrize(
    "statement", ["pivot s.t on a using sum(b)", "no query at all", "select 1; select 2", ""]
)
def test_of_what_is_no_single_query_nothing_is_told(statement):
    assert columns_read(statement) is None
