"""Rows become tables of the contract or are refused by name."""

import math

import pyarrow as pa
import pytest

from relocation_warehouse.results.tables import ResultError, conform

ROW = {
    "metric_id": "m",
    "wave": "latest",
    "region": "r",
    "rank": 1,
    "is_synthetic": True,
    "n_combinations": 3,
    "share": 0.5,
    "share_same_order": 0.25,
}
TABLE = "analysis.sensitivity_ranks"


def test_columns_get_the_types_and_the_order_of_the_contract() -> None:
    table = conform(TABLE, [dict(reversed(ROW.items()))])
    assert table.column_names == list(ROW)
    assert table.schema.field("rank").type == pa.int32()
    assert table.to_pylist() == [ROW]


def test_what_is_no_number_becomes_null_only_where_null_is_allowed() -> None:
    rows = [{**dict.fromkeys(conform("analysis.region_tests", []).column_names), "estimate": math.nan}]
    rows[0] |= dict.fromkeys(("test", "subject", "contrast", "component", "method"), "x") | {
        "is_synthetic": True
    }
    assert conform("analysis.region_tests", rows)["estimate"].to_pylist() == [None]
    with pytest.raises(ResultError, match=r"sensitivity_ranks\.share: 1 rows without a value"):
        conform(TABLE, [ROW | {"share": math.nan}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surplus": 1}, "surplus"),
        ({"rank": None}, r"rank: 1 rows without a value"),
    ],
)
def test_unknown_columns_and_nulls_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ResultError, match=message):
        conform(TABLE, [ROW | change])


def test_an_absent_column_is_refused() -> None:
    with pytest.raises(ResultError, match="share"):
        conform(TABLE, [{k: v for k, v in ROW.items() if k != "share"}])


def test_a_key_that_does_not_identify_is_refused() -> None:
    with pytest.raises(
        ResultError, match="2 rows but 1 combinations of its key metric_id, wave, region, rank"
    ):
        conform(TABLE, [ROW, ROW | {"share": 0.25}])


def test_text_where_a_number_belongs_is_refused() -> None:
    table = pa.Table.from_pylist([ROW | {"share": "much"}])
    with pytest.raises(ResultError, match=r"sensitivity_ranks\.share:"):
        conform(TABLE, table)
