"""What must hold of the tables that leave: suites made from the contract.

Belongs here: grain, completeness, ranges and sets of published tables as expectations. Does not belong here: what
only the whole database can tell (`publication.audit`).
"""

from __future__ import annotations

from expectations.runner import Expectation
from relocation_warehouse.contract.tables import TOLERANCE, Table


def departure_suite(table: Table) -> tuple[Expectation, ...]:
    """Expectations on one published table; all are errors, because they are promises."""
    key = list(table.key)
    suite = [
        Expectation("expect_table_columns_to_match_set", {"column_set": list(table.column_names)}, "error"),
        Expectation("expect_compound_columns_to_be_unique", {"column_list": key}, "error")
        if len(key) > 1
        else Expectation("expect_column_values_to_be_unique", {"column": key[0]}, "error"),
    ]
    for column in table.columns:
        if not column.nullable:
            suite.append(Expectation("expect_column_values_to_not_be_null", {"column": column.name}, "error"))
        # a weighted mean of ones may be one and a rounding error, as the audit grants too
        bounds = {"min_value": (column.minimum, -TOLERANCE), "max_value": (column.maximum, TOLERANCE)}
        given = {k: bound + slack for k, (bound, slack) in bounds.items() if bound is not None}
        if given:
            suite.append(
                Expectation("expect_column_values_to_be_between", {"column": column.name, **given}, "error")
            )
        if column.values:
            suite.append(
                Expectation(
                    "expect_column_values_to_be_in_set",
                    {"column": column.name, "value_set": list(column.values)},
                    "error",
                )
            )
    return tuple(suite)
