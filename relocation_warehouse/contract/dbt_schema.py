"""dbt's description of the models, written from the contract so that the two cannot differ.

Belongs here: `dbt/models/contract.yml` as text. Does not belong here: the contract itself (`tables`), or tests that
say more than the contract does (`dbt/tests`).
"""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from relocation_warehouse.contract.tables import Contract, Table, load_contract
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.crosswalk import KEY_COLUMNS

HEADER = (
    "# Written by `make contract` from data/catalog/tables.yml and the catalog; edit those, not this file.\n"
)
HOUSEHOLD_WAVES = (
    "Every household of every survey in every wave: one value and one missing reason per canonical indicator. "
    "The published wide table and the long view are read from it."
)
SOURCE_COLUMNS = {
    "source_file_id": "File of the survey that the household was read from",
    "source_row": "Row of the household in that file",
}
SOURCES = {
    "reference": "The catalog, the survey folders and the papers' figures as tables.",
    "analysis": "Results of the statistics, written after the models.",
    "quality": "What was received, set aside, checked and recomputed.",
}


def dbt_schema(contract: Contract, models: Iterable[str], views: Iterable[str] = ()) -> str:
    """Describe the dbt models of the contract.

    Parameters
    ----------
    contract
        The published tables.
    models
        `schema.table` of each that is a dbt model.
    views
        Those of them that are views; dbt enforces a contract on tables only.

    Returns
    -------
    str
        YAML with description, columns, types, and tests of grain, completeness and ranges named as sentences. The
        other tables of the contract are sources: Python writes them, models and exposures refer to them.
    """
    chosen = [t for t in contract if t.full_name in set(models)]
    entries = [_model(t, t.full_name in set(views)) for t in chosen]
    internal = [_household_waves(t) for t in chosen if t.full_name == "harmonized.households"]
    others = [t for t in contract if t.full_name not in set(models)]
    sources = [_source(schema, [t for t in others if t.schema == schema]) for schema in SOURCES]
    out = StringIO()
    yaml = YAML()
    yaml.width = 150
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"sources": sources, "models": [*internal, *entries]}, out)
    # a folded line may end in the space it was folded at
    return HEADER + "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _household_waves(published: Table) -> dict[str, Any]:
    """Describe the wide table inside the build: the published one, with origin and missing reasons."""
    described = {c.name: c.en for c in published.columns}
    described |= SOURCE_COLUMNS
    described |= {
        f"{c.name}__missing": f"Why it is missing: {c.en}"
        for c in published.columns
        if c.nullable and c.name not in KEY_COLUMNS
    }
    return {
        "name": "household_waves",
        "description": HOUSEHOLD_WAVES,
        "columns": [{"name": n, "quote": True, "description": d} for n, d in described.items()],
        "data_tests": [_identifies("household_waves", ("survey_id", "household_id", "wave"))],
    }


def _source(schema: str, tables: Iterable[Table]) -> dict[str, Any]:
    return {
        "name": schema,
        "schema": schema,
        "description": SOURCES[schema],
        "tables": [
            {
                "name": t.name,
                "description": t.description.en,
                "columns": [{"name": c.name, "quote": True, "description": c.en} for c in t.columns],
            }
            for t in tables
        ],
    }


def _generic(kind: str) -> str:
    """Type as dbt names it on every engine: one of them knows no text without a length but by this name."""
    return "string" if kind == "VARCHAR" else kind.lower()


def _model(table: Table, is_view: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": table.name, "description": table.description.en}
    if not is_view:
        entry["config"] = {"contract": {"enforced": True}}
    entry["columns"] = [
        {"name": c.name, "quote": True, "data_type": _generic(c.type), "description": c.en}
        for c in table.columns
    ]
    # rows of a view are those of the table it reads, which is tested; a long view is too long to be read for it
    tests = [] if is_view else [_identifies(table.name, table.key)]
    filled = [c.name for c in table.columns if not c.nullable and c.name not in table.key]
    if filled and not table.is_view:
        tests.append(_test("is_filled", f"{table.name}_has_no_gap_in_a_required_column", columns=filled))
    ranges: dict[tuple[float | None, float | None], list[str]] = {}
    for c in table.columns:
        if c.minimum is not None or c.maximum is not None:
            ranges.setdefault((c.minimum, c.maximum), []).append(c.name)
    for (low, high), columns in ranges.items():
        ends = f"{'any' if low is None else f'{low:g}'}_and_{'any' if high is None else f'{high:g}'}"
        name = f"{table.name}_lies_between_{ends}".replace(".", "_").replace("-", "minus_")
        arguments = {"columns": columns, "minimum": low, "maximum": high}
        tests.append(_test("lies_between", name, **{k: v for k, v in arguments.items() if v is not None}))
    entry["data_tests"] = tests
    return entry


def _identifies(name: str, key: Iterable[str]) -> dict[str, Any]:
    columns = list(key)
    return _test("identifies_a_row", f"{name}_has_one_row_per_{'_'.join(columns)}"[:120], columns=columns)


def _test(kind: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {kind: {"name": name, "arguments": arguments}}


def write_dbt_schema(paths: Paths) -> None:
    """Write `contract.yml` beside the models: every published table that has a model is described."""
    contract = load_contract(paths.catalog / "tables.yml", load_catalog(paths.catalog).indicators)
    sources = {p.stem: p.read_text(encoding="utf-8") for p in (paths.dbt / "models").rglob("*.sql")}
    models = [t.full_name for t in contract if t.name in sources and t.schema != "reference"]
    views = [m for m in models if "materialized='view'" in sources[m.split(".")[1]]]
    (paths.dbt / "models" / "contract.yml").write_text(dbt_schema(contract, models, views), encoding="utf-8")


if __name__ == "__main__":
    write_dbt_schema(Paths.from_environment())
