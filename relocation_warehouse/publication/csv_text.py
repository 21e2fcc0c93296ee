"""What becomes of a column on its way into a CSV file that spreadsheets will open.

Belongs here: turning values into text that stays what it is. Does not belong here: writing files (`files`, `extract`).
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

FORMULA_START = r"^[\s\pZ\x00]*[=+\-@＝＋－＠\t\r\n]"
"""Text that spreadsheets would run as a formula, behind blanks and in full-width signs too; an apostrophe helps."""

TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def csv_safe(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Timestamps as text in UTC, and text that a spreadsheet would run with a leading apostrophe."""
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column.cast(pa.timestamp("s"), safe=False), TIMESTAMP_FORMAT)
    if not pa.types.is_string(column.type):
        return column
    is_formula = pc.match_substring_regex(column, FORMULA_START)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
