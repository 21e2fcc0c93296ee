"""JSON schemas of the files of a survey folder, for editors and readers; written from the vocabulary.

Belongs here: turning the models into schema files (`python -m relocation_warehouse.survey.schemas` writes them again).
Does not belong here: what a field means (`vocabulary`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from relocation_warehouse.survey.folder import SURVEY_FILE, TABLES
from relocation_warehouse.survey.vocabulary import Code, Column, Correction, CrosswalkRow, Survey

SCHEMAS = Path(__file__).resolve().parents[2] / "data" / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

MODELS: Mapping[str, type[BaseModel]] = {
    SURVEY_FILE: Survey,
    **dict(zip(TABLES, (Column, Code, CrosswalkRow, Correction), strict=True)),
}
"""Model of each file; for a CSV file, of one of its rows."""


def schemas() -> dict[str, str]:
    """Text of every schema by the name of its file."""
    return {f"{Path(name).stem}.schema.json": _text(name, model) for name, model in MODELS.items()}


def _text(name: str, model: type[BaseModel]) -> str:
    schema: dict[str, Any] = {"$schema": DIALECT} | model.model_json_schema()
    if name in TABLES:
        schema["title"] = f"A row of {name}; lists are separated by spaces, an empty cell is no value"
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def main(folder: Path = SCHEMAS) -> None:
    """Write every schema."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
