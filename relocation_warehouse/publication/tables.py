"""Tables of the editions: the analyst edition has those of the contract, the public edition what is declared of them.

Belongs here: which tables and columns an edition has. Does not belong here: what they promise (`contract.tables`), or
what of a number leaves (`disclosure`).
"""

from __future__ import annotations

from dataclasses import replace

from relocation_warehouse.contract.disclosure import Disclosure, disclosure_of
from relocation_warehouse.contract.tables import Contract, load_contract

__all__ = ["Contract", "load_contract", "public_contract"]


def public_contract(contract: Contract, rules: Disclosure | None = None) -> Contract:
    """Tables and columns of the public edition; what may be empty in it becomes nullable."""
    rules = rules or disclosure_of()
    tables = []
    for table in contract:
        name = table.full_name
        if table.edition == "public" and (name in rules.declared_tables or name in rules.derived):
            columns = tuple(
                c if rules.is_exact(table, c) else c.model_copy(update={"nullable": True})
                for c in table.columns
                if c.edition == "public"
            )
            tables.append(replace(table, columns=columns))
    return Contract(contract.version, tuple(tables))
