"""Text that a spreadsheet would run is made text, and nothing else is changed."""

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
