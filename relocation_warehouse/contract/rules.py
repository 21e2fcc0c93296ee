"""What the contract asks of every value of a published column, as SQL.

Belongs here: the rules of one column. Does not belong here: running them (`receiving.trial` does when a survey arrives,
`publication.audit` before a version is published), or rules between tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from relocation_warehouse.contract.tables import TOLERANCE, Column
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.numbers import exact


@dataclass(frozen=True)
class Rule:
    """What must hold of a column.

    Attributes
    ----------
    check
        Name of the rule.
    bad
        SQL that is true for a bad value.
    suspicion
        SQL aggregate that is true where one of the values may be bad: ends of a column are found in one quick pass.
    message
        What is wrong with a bad value, in words.
    """

    check: str
    bad: str
    suspicion: str
    message: str


def rules_of(column: Column) -> Iterator[Rule]:
    """Every rule that the contract states for a column: filled, finite, within its ends, one of its codes."""
    field = sql.identifier(column.name)
    low, high = f"min({field})", f"max({field})"
    if not column.nullable:
        lacking = f"count({field}) < count(*)"
        yield Rule("required_is_present", f"{field} is null", lacking, f"{column.name} is empty")
    if column.type == "DOUBLE":
        infinite = f"not (isfinite({low}) and isfinite({high}))"  # not-a-number is DuckDB's highest value
        message = f"{column.name} is infinite or not a number"
        yield Rule("number_is_finite", f"not isfinite({field})", infinite, message)
    if column.minimum is not None:
        under = f"< {column.minimum!r} - {TOLERANCE}"
        message = f"{column.name} is under {exact(column.minimum)}"
        yield Rule("value_in_range", f"{field} {under}", f"{low} {under}", message)
    if column.maximum is not None:
        over = f"> {column.maximum!r} + {TOLERANCE}"
        message = f"{column.name} is over {exact(column.maximum)}"
        yield Rule("value_in_range", f"{field} {over}", f"{high} {over}", message)
    if column.values:
        allowed = ", ".join(map(sql.text, column.values))
        other = f"{field} not in ({allowed})"
        yield Rule("value_is_allowed", other, f"bool_or({other})", f"{column.name} is none of {allowed}")
