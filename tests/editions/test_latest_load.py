"""Of several loads of a survey, the checks of the latest accepted one are published."""

import datetime as dt

import pyarrow as pa

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.database import add_rows
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.publication.checks import store_checks
from relocation_warehouse.receiving.arrival import _time_of_load
from relocation_warehouse.receiving.warehouse import Warehouse


def result(hour: int, status: str, *, is_accepted: bool, survey_id: str = "survey_a") -> dict[str, object]:
    return {
        "loaded_at": dt.datetime(2026, 1, 2, hour),
        "is_accepted": is_accepted,
        "survey_id": survey_id,
        "source": "great_expectations",
        "check": "rows",
        "table": f"{survey_id}/households",
        "status": status,
        "severity": "warning",
        "n_failed": hour,
        "message": None,
    }


def test_a_load_counts_as_the_last_although_the_clock_was_ahead_in_the_load_before(tmp_path):
    ahead = dt.datetime.now() + dt.timedelta(days=400)
    with Warehouse(tmp_path).connect() as con:
        add_rows(
            con,
            "raw",
            "expectation_results",
            pa.Table.from_pylist([result(7, "passed", is_accepted=True) | {"loaded_at": ahead}]),
        )
        now = _time_of_load(con, "survey_b")
        assert now < ahead
        assert ahead < _time_of_load(con, "survey_a") < ahead + dt.timedelta(seconds=1)


def test_the_latest_accepted_load_of_each_survey_is_shown(tmp_path):
    (tmp_path / "catalog").symlink_to(Paths.from_environment().catalog)
    warehouse = Warehouse(tmp_path)
    loads = [
        result(7, "failed", is_accepted=True),
        result(9, "passed", is_accepted=True),
        result(11, "failed", is_accepted=False),
        result(8, "failed", is_accepted=True, survey_id="survey_b"),
    ]
    checks = contract_of()["quality.checks"].arrow_schema
    with warehouse.connect() as con:
        add_rows(con, "raw", "expectation_results", pa.Table.from_pylist(loads))
        add_rows(con, "raw", "dbt_checks", checks.empty_table())
    assert store_checks(warehouse, []) == 2
    with warehouse.connect(read_only=True) as con:
        shown = con.execute('select "table", status, n_failed from quality.checks order by all').fetchall()
    assert shown == [("survey_a/households", "passed", 9), ("survey_b/households", "failed", 8)]
