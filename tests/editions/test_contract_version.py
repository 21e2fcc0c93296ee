"""The version of the contract says whether the published tables changed: no change without a new version."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_build import TABLES

from relocation_warehouse.contract.tables import Contract, load_contract
from relocation_warehouse.survey.catalog import load_catalog

GOLDEN = Path(__file__).parent / "contract-1.txt"
"""The contract of one version: its number, then a line for each table and column.

`make contract-file` writes it anew. Under a version that was published nothing in it may change; a column or table
that goes away, or another type, key or unit, needs a new major version and a new file.
"""


def lines(contract: Contract) -> Iterator[str]:
    """What users build on: the tables, and names, types, units, codes and words of their columns.

    Columns that stand for indicators come and go with the catalog, which is data; they are no part of the version.
    """
    yield f"contract_version {contract.version}"
    indicators = {i.id for i in load_catalog(TABLES.parent).indicators}
    for table in contract:
        kind = "view" if table.is_view else "table"
        words = f"{table.description.en} | {table.description.zh}"
        yield f"{table.full_name} {kind} {table.edition} key={','.join(table.key)} {words}"
        for c in table.columns:
            if c.name in indicators:
                continue
            said = [c.name, c.type, f"[{c.unit or ''}]", "null" if c.nullable else "filled", c.edition]
            allowed = f"{c.minimum} to {c.maximum} {{{','.join(sorted(c.values))}}}"
            yield f"{table.full_name} {' '.join(said)} {allowed} {c.en} | {c.zh}"


def written(contract: Contract) -> str:
    return "\n".join(lines(contract)) + "\n"


def current() -> Contract:
    return load_contract(TABLES, load_catalog(TABLES.parent).indicators)


def problem(golden: str, contract: Contract) -> str | None:
    """What is wrong with a contract after the one that the file holds; None where its version says the change."""
    before, now = golden.splitlines(), written(contract).splitlines()
    if before == now:
        return None
    gone, new = sorted(set(before[1:]) - set(now[1:])), sorted(set(now[1:]) - set(before[1:]))
    old, version = (tuple(map(int, text[0].split()[1].split("."))) for text in (before, now))
    if version <= old:
        return f"changed under version {contract.version}: raise contract_version in tables.yml; gone {gone}, new {new}"
    broken = sorted(_promises(before) - _promises(now))
    if broken and version[0] == old[0]:
        return f"{broken} were promised by version {old}: they need a new major version"
    return "run `make contract-file` and commit what it writes beside tables.yml"


def _promises(text: list[str]) -> set[str]:
    """Table, column and type, without which a query of a user fails."""
    return {m[0] for line in text if (m := re.match(r"\S+ \S+ [A-Z]+", line))}


def test_the_contract_is_the_one_of_its_version():
    assert problem(GOLDEN.read_text(encoding="utf-8"), current()) is None


def changed(column: dict[str, object]) -> Callable[[Contract], Contract]:
    def change(contract: Contract) -> Contract:
        first, *others = contract.tables
        *columns, last = first.columns
        altered = replace(first, columns=(*columns, last.model_copy(update=column)))
        return replace(contract, tables=(altered, *others))

    return change


def with_another_column(contract: Contract) -> Contract:
    first, *others = contract.tables
    added = first.columns[-1].model_copy(update={"name": "added"})
    return replace(contract, tables=(replace(first, columns=(*first.columns, added)), *others))


def without_a_column(contract: Contract) -> Contract:
    first, *others = contract.tables
    return replace(contract, tables=(replace(first, columns=first.columns[:-1]), *others))


def without_a_table(contract: Contract) -> Contract:
    return replace(contract, tables=contract.tables[:-1])


def with_another_table(contract: Contract) -> Contract:
    return replace(contract, tables=(*contract.tables, replace(contract.tables[-1], name="added")))


def in_another_order(contract: Contract) -> Contract:
    first, *others = contract.tables
    return replace(contract, tables=(replace(first, columns=first.columns[::-1]), *others))


BREAKING = {
    "column gone": without_a_column,
    "table gone": without_a_table,
    "type": changed({"type": "BIGINT"}),
}
ADDING = {
    "column added": with_another_column,
    "table added": with_another_table,
    "order": in_another_order,
    "unit": changed({"unit": "ells"}),
    "label": changed({"zh": "另一个说明"}),
    "codes": changed({"values": {"only": {"en": "only", "zh": "仅"}}}),
    "may be empty": changed({"nullable": True}),
    "bounds": changed({"maximum": 17.5}),
}


def raised(contract: Contract, part: int) -> Contract:
    numbers = [int(n) for n in contract.version.split(".")]
    numbers = [n + (k == part) if k <= part else 0 for k, n in enumerate(numbers)]
    return replace(contract, version=".".join(map(str, numbers)))


@pytest.mark.parametrize("kind", [*BREAKING, *ADDING])
def test_a_change_without_a_new_version_is_refused(kind):
    contract = current()
    change = (BREAKING | ADDING)[kind]
    said = problem(written(contract), change(contract))
    assert said is not None
    assert "raise contract_version" in said


@pytest.mark.parametrize("kind", BREAKING)
def test_what_breaks_queries_needs_a_major_version(kind):
    contract = current()
    golden = written(contract)
    said = problem(golden, raised(BREAKING[kind](contract), 1))
    assert said is not None
    assert "need a new major version" in said
    assert "make contract-file" in (problem(golden, raised(BREAKING[kind](contract), 0)) or "")


@pytest.mark.parametrize("kind", ADDING)
def test_an_addition_needs_a_minor_version_and_a_new_file(kind):
    contract = current()
    after = raised(ADDING[kind](contract), 1)
    assert "make contract-file" in (problem(written(contract), after) or "")
    assert problem(written(after), after) is None


def test_the_file_is_not_written_under_a_version_that_was_published(tmp_path):
    contract, file = current(), tmp_path / "contract.txt"
    file.write_text(written(contract), encoding="utf-8")
    with pytest.raises(SystemExit, match="raise contract_version"):
        write(file, with_another_column(contract))
    assert file.read_text(encoding="utf-8") == written(contract)
    after = raised(with_another_column(contract), 1)
    write(file, after)
    assert file.read_text(encoding="utf-8") == written(after)


def write(file: Path, contract: Contract) -> None:
    said = problem(file.read_text(encoding="utf-8"), contract)
    if said is not None and "make contract-file" not in said:
        raise SystemExit(said)
    file.write_text(written(contract), encoding="utf-8")


if __name__ == "__main__":
    write(GOLDEN, current())
