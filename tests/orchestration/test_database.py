"""Connections to the build and to what is published."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from relocation_warehouse.ground import database
from relocation_warehouse.ground.database import add_rows, connect
from relocation_warehouse.publication.database import read_only

UNION = """
select l.x, l.y from main.a as l join main.b as r using (x)
union all
select r.x, r.y from main.b as r join main.a as l using (x)
"""


@pytest.mark.timeout(120)
def test_an_answer_larger_than_the_stream_buffer_arrives_whole(tmp_path: Path) -> None:
    """DuckDB's own setting waits for ever on this (its issue 22215)."""
    rows = 2_000_000
    file = tmp_path / "build.duckdb"
    with connect(file) as con:
        for name in ("a", "b"):
            con.execute(f"create table main.{name} as select range as x, random() as y from range({rows})")
        assert con.execute(UNION).to_arrow_table().num_rows == 2 * rows
        assert sum(len(b) for b in con.execute(UNION).to_arrow_reader(10_000)) == 2 * rows
    with read_only(file) as con:
        assert len(con.execute(UNION).df()) == 2 * rows


def test_rows_are_added_to_a_table_of_an_earlier_version_with_the_columns_it_did_not_have(
    tmp_path: Path,
) -> None:
    with connect(tmp_path / "build.duckdb") as con:
        add_rows(con, "raw", "checks", pa.table({"survey_id": ["a", "b"]}))
        add_rows(con, "raw", "checks", pa.table({"n": [7], "survey_id": ["b"]}), survey_id="b")
        assert con.execute("select survey_id, n from raw.checks order by 1").fetchall() == [
            ("a", None),
            ("b", 7),
        ]


def test_a_database_that_is_held_is_opened_once_and_let_go_by_whoever_opens_it_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "build.duckdb", []
    plain = database._opened
    monkeypatch.setattr(database, "_opened", lambda *given: opened.append(given) or plain(*given))
    for x in range(3):
        with connect(file, hold=True) as con:
            con.execute(f"create table raw.t{x} as select {x} as x")
            con.execute("create temp table own as select 1 as x")  # each task has its own
            assert con.execute("select current_setting('TimeZone')").fetchone() == ("UTC",)
    assert len(opened) == 1
    with connect(file, read_only=True) as con:
        assert con.execute("select x from raw.t2").fetchall() == [(2,)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            con.execute("create table raw.more as select 1 as x")
    assert len(opened) == 2
    with connect(file, hold=True) as con:
        con.execute("drop table raw.t0")
    database.let_go()
    # nobody holds it now, so that it may be opened in any other way
    with duckdb.connect(str(file), read_only=True, config={"threads": 1}) as other:
        assert other.execute("select count(*) from duckdb_tables()").fetchone() == (2,)
