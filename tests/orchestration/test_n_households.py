"""A household of a panel counts once, whether its waves stand in one file or in several."""

from types import SimpleNamespace

import duckdb
import pytest

from dagster_project.defs.ingest.assets import _n_households


def panel(files: dict[str, str]) -> SimpleNamespace:
    """Survey folder of which the count uses the id, the waves and the household file of each wave."""
    survey = SimpleNamespace(
        waves=[SimpleNamespace(wave=w) for w in files],
        household_files=lambda wave: (SimpleNamespace(file_id=files[wave]),),
    )
    return SimpleNamespace(survey_id="panel", survey=survey)


@pytest.mark.parametrize(
    ("files", "rows"),
    [
        ({"first": "both", "second": "both"}, {"both": ["h1", "h2", "h1"]}),
        ({"first": "old", "second": "new"}, {"old": ["h1", "h2"], "new": ["h1"]}),
        ({"single": "only"}, {"only": ["h1", "h2"]}),
    ],
)
def test_a_household_counts_once(files, rows):
    with duckdb.connect() as con:
        con.execute("create schema raw")
        for file, ids in rows.items():
            con.execute(f'create table raw."panel__{file}" as select unnest(?) as _household_id', [ids])
        assert _n_households(con, panel(files)) == 2
