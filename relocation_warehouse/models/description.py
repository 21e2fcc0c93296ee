"""dbt's description of the models, written from the contract and the survey folders so that they cannot differ.

Belongs here: the YAML that stands beside the models of a project. Does not belong here: the contract itself
(`contract.tables`), or tests that say more than the contract does (`dbt/tests`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import KEY_COLUMNS
from relocation_warehouse.survey.folder import SurveyFolder

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
RAW_COLUMNS = {
    "_row": "Row in the file as received",
    "_household_id": "Household, unique within the survey",
    "_wave": "Round of the survey",
    "_site_id": "Resettlement site",
    "_weight": "Households that the row stands for",
}
"""What ingestion adds to the columns of a file."""

OF_WAVES = ("round",)
"""Columns of published households that the macro `with_waves` joins: they are known of a wave, not of a household."""


def describe_committed(contract: Contract, models: Mapping[str, str]) -> str:
    """Describe the committed models of the contract, and the tables that Python writes.

    Parameters
    ----------
    contract
        The published tables.
    models
        SQL of each committed model by name; of those that are views dbt enforces no contract.

    Returns
    -------
    str
        YAML with description, columns, types, and tests of grain, completeness and ranges named as sentences. The
        other tables of the contract are sources: models and exposures refer to them.
    """
    chosen = [t for t in contract if t.made_by is None]
    views = {name for name, sql in models.items() if "materialized='view'" in sql}
    entries = [_model(t, t.name in views) for t in chosen]
    internal = [_household_waves(t) for t in chosen if t.full_name == "harmonized.households"]
    others = [t for t in contract if t not in chosen]
    sources = [_source(schema, [t for t in others if t.schema == schema]) for schema in SOURCES]
    return _yaml({"sources": sources, "models": [*internal, *entries]})


def describe_survey(
    folder: SurveyFolder,
    catalog: Catalog,
    contract: Contract,
    stored: Mapping[str, tuple[str, ...] | None],
) -> str:
    """Describe the raw tables of a survey, and the model of each wave, by the words of its folder.

    Parameters
    ----------
    folder
        A survey that was accepted.
    catalog
        Whose indicators the models give.
    contract
        Whose words the keys of a household have.
    stored
        Columns of the model of each wave; None means all.

    Returns
    -------
    str
        YAML. A column of a model says by which rule and from which variables it is made, so that the documentation
        leads from a raw column to what is made of it.
    """
    survey = folder.survey
    tables = [
        {
            "name": f"{folder.survey_id}__{file.file_id}",
            "description": plain(f"{survey.title.en}: {file.path}, a row for each {file.grain}."),
            "columns": [_column(n, d) for n, d in _raw_columns(folder, file.file_id).items()],
        }
        for file in survey.files
    ]
    models = [
        _wave(folder, wave.wave, catalog, contract, stored[f"{folder.survey_id}__{wave.wave}"])
        for wave in survey.waves
    ]
    raw = {"name": "raw", "schema": "raw", "description": "Answers as accepted, with a missing reason each."}
    return _yaml({"sources": [raw | {"tables": tables}], "models": models})


def describe_exposures(exposures: Iterable[Mapping[str, Any]], checkout: Path, contract: Contract) -> str:
    """Describe what people open, with the tables that its code names, as YAML.

    Parameters
    ----------
    exposures
        Entries of `exposures.yml`.
    checkout
        Folder that `reads_in` of an entry is relative to.
    contract
        The published tables.
    """
    entries = []
    for exposure in exposures:
        text = (checkout / exposure["reads_in"]).read_text(encoding="utf-8")
        declares = exposure.get("shows") == "declared"
        read = [
            t
            for t in contract
            if re.search(rf"\b{re.escape(t.full_name)}\b", text) or (declares and t.report is not None)
        ]
        refs = [f"source('{t.schema}', '{t.name}')" if t.made_by else f"ref('{t.name}')" for t in read]
        declared = {k: v for k, v in exposure.items() if k not in ("reads_in", "shows")}
        owner = {"name": "data engineering", "email": "data-engineering@example.org"}
        entries.append({**declared, "owner": owner, "depends_on": refs})
    return _yaml({"exposures": entries})


def describe_macros(words: Mapping[str, str]) -> str:
    """Describe macros without arguments, as YAML."""
    return _yaml(
        {"macros": [{"name": name, "description": description} for name, description in words.items()]}
    )


def _yaml(content: dict[str, Any]) -> str:
    # the C emitter: a description of thousands of columns takes the other one many times as long
    return yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=150)


def _raw_columns(folder: SurveyFolder, file_id: str) -> dict[str, str]:
    used = {c.variable: c for c in folder.columns_of(file_id) if c.variable}
    columns = dict(RAW_COLUMNS)
    for variable, column in used.items():
        unit = f" ({column.type})"
        columns[variable] = (column.label or column.column) + unit
        columns[f"{variable}__missing"] = f"Why it is missing: {column.label or column.column}"
    return columns


def _wave(
    folder: SurveyFolder, wave: str, catalog: Catalog, contract: Contract, stored: tuple[str, ...] | None
) -> dict[str, Any]:
    words = {c.name: c.en for c in contract["harmonized.households"].columns} | SOURCE_COLUMNS
    rows = folder.rows_of(wave)
    columns = {name: words[name] for name in KEY_COLUMNS}
    for indicator in catalog.indicators:
        row = rows.get(indicator.id)
        made = f"{row.rule}: {' '.join(row.sources)} {row.parameters or ''}" if row else "not asked: "
        columns[indicator.id] = f"{indicator.label_en} ({made.strip()})"
        columns[f"{indicator.id}__missing"] = f"Why it is missing: {indicator.label_en}"
    name = f"{folder.survey_id}__{wave}"
    return {
        "name": name,
        "description": plain(
            f"{folder.survey.title.en}, wave {wave}: what differs between its households, harmonised."
        ),
        "columns": [_column(n, d) for n, d in columns.items() if stored is None or n in stored],
        "data_tests": [_identifies(name, ("household_id",))],
    }


def _column(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "quote": True, "description": plain(description)}


def plain(text: str) -> str:
    """A text in which dbt finds no Jinja, whatever a survey holds: dbt fills in descriptions as well."""
    return re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)


def _household_waves(published: Table) -> dict[str, Any]:
    """Describe the wide table inside the build: the published one, with origin and missing reasons."""
    described = {c.name: c.en for c in published.columns if c.name not in OF_WAVES}
    described |= SOURCE_COLUMNS
    described |= {
        f"{c.name}__missing": f"Why it is missing: {c.en}"
        for c in published.columns
        if c.nullable and c.name in described and c.name not in KEY_COLUMNS
    }
    return {
        "name": "household_waves",
        "description": HOUSEHOLD_WAVES,
        "columns": [_column(n, d) for n, d in described.items()],
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
                "columns": [_column(c.name, c.en) for c in t.columns],
            }
            for t in tables
        ],
    }


def _generic(kind: str) -> str:
    """Type under the name that works on every engine: one of them has no text type without a length except this."""
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
        said = f"Each row has a value of {', '.join(filled)}."
        tests.append(
            _test("is_filled", f"{table.name}_has_no_gap_in_a_required_column", said, columns=filled)
        )
    ranges: dict[tuple[float | None, float | None], list[str]] = {}
    for c in table.columns:
        if c.minimum is not None or c.maximum is not None:
            ranges.setdefault((c.minimum, c.maximum), []).append(c.name)
    for (low, high), columns in ranges.items():
        ends = f"{'any' if low is None else exact(low)}_and_{'any' if high is None else exact(high)}"
        name = f"{table.name}_lies_between_{ends}".replace(".", "_").replace("-", "minus_")
        arguments = {"columns": columns, "minimum": low, "maximum": high}
        sides = (("at least", low), ("at most", high))
        bounds = [f"{side} {exact(end)}" for side, end in sides if end is not None]
        said = f"{', '.join(columns)}: {' and '.join(bounds)}, where there is a value."
        tests.append(
            _test("lies_between", name, said, **{k: v for k, v in arguments.items() if v is not None})
        )
    entry["data_tests"] = tests
    return entry


def _identifies(name: str, key: Iterable[str]) -> dict[str, Any]:
    columns = list(key)
    said = f"One row for each {', '.join(columns)}."
    return _test(
        "identifies_a_row", f"{name}_has_one_row_per_{'_'.join(columns)}"[:120], said, columns=columns
    )


def _test(kind: str, name: str, description: str, **arguments: Any) -> dict[str, Any]:
    return {kind: {"name": name, "description": plain(description), "arguments": arguments}}
