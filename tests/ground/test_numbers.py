from hypothesis import given
from hypothesis import strategies as st

from relocation_warehouse.ground.numbers import exact


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_digits_and_has_no_exponent(number):
    text = exact(number)
    assert float(text) == number
    assert "e" not in text.lower()


def test_whole_numbers_have_no_point():
    assert [exact(x) for x in (1e7, 1234567.0, 0.13142292, -0.0, 5)] == [
        "10000000",
        "1234567",
        "0.13142292",
        "0",
        "5",
    ]
