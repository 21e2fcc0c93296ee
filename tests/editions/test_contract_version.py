"""Users build on table and column names: taking one away needs a new major version of the contract."""

from pathlib import Path

from made_up_build import TABLES

from relocation_warehouse.contract.tables import Contract, load_contract
from relocation_warehouse.survey.catalog import load_catalog

GOLDEN = Path(__file__).parent / "contract-1.txt"
"""Lines `table column type` of the first major version. Add lines for what is new; take one away only with a new
file for a new major version."""


def lines(contract: Contract) -> set[str]:
    return {f"{t.full_name} {c.name} {c.type}" for t in contract for c in t.columns}


def test_nothing_that_was_published_is_gone_or_of_another_type():
    contract = load_contract(TABLES, load_catalog(TABLES.parent).indicators)
    assert contract.version.split(".")[0] == "1"
    promised = set(GOLDEN.read_text(encoding="utf-8").split("\n")) - {""}
    assert len(promised) > 700
    assert promised - lines(contract) == set()
