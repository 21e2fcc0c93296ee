"""A number as text that keeps every digit. Does not belong here: numbers in SQL (`sql`), reading cells (`survey`)."""

from __future__ import annotations

from decimal import Decimal


def exact(number: float) -> str:
    """A finite number with all its digits and without an exponent, as a folder has it: 1e7 is 10000000."""
    return format(Decimal(repr(float(number))).normalize(), "f") if number else "0"
