"""Connections to the build and to what is published."""

from pathlib import Path

import pyarrow as pa
import pytest

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
