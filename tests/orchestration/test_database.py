"""Connections to the build and to what is published."""

from pathlib import Path

import pytest

from relocation_warehouse.ground.database import connect
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
