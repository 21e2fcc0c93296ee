"""Text that a spreadsheet would run is made text, and nothing else is changed."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relocation_warehouse.publication.csv_text import csv_safe


@pytest.mark.parametrize("sign", [*"=+-@＝＋－＠\t\r\n"])
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000", "\t "])
def test_a_formula_gets_an_apostrophe(sign, before):
    text = f"{before}{sign}1+1"
    assert csv_safe(pa.array([text])).to_pylist() == ["'" + text]


@given(st.text(st.characters(categories=["L", "N"]), min_size=1), st.text(st.characters(codec="utf-8")))
def test_text_that_begins_with_a_letter_or_digit_stays(first, rest):
    assert csv_safe(pa.array([first + rest, None])).to_pylist() == [first + rest, None]


def test_what_is_no_formula_stays_beside_one():
    column = pa.array(["1+1 = 2", "=1", None])
    assert csv_safe(column).to_pylist() == ["1+1 = 2", "'=1", None]
    assert csv_safe(pa.array([-1.5])).to_pylist() == [-1.5]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_a_time_is_written_in_utc_to_the_second(zone):
    times = pa.array([datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC), None], pa.timestamp("us", tz=zone))
    assert csv_safe(times).to_pylist() == ["2026-01-02T03:04:05Z", None]
