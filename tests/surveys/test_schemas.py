"""The JSON schemas say what the vocabulary says, and editors find them."""

import csv
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from relocation_warehouse.survey.schemas import SCHEMAS, schemas
from relocation_warehouse.survey.vocabulary import Survey

SURVEYS = sorted((Path(__file__).parents[2] / "data" / "surveys").glob("*/survey.yml"))


def test_the_schemas_are_those_of_the_vocabulary() -> None:
    written = {p.name: p.read_text(encoding="utf-8") for p in SCHEMAS.iterdir()}
    assert written == schemas(), "run `python -m relocation_warehouse.survey.schemas` and commit data/schemas"


@pytest.mark.parametrize("path", SURVEYS, ids=lambda p: p.parent.name)
def test_every_survey_names_its_schema_and_fits_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    line = text.splitlines()[0]
    assert line.startswith("# yaml-language-server: $schema=")
    assert (path.parent / line.split("=", 1)[1]).resolve() == SCHEMAS.resolve() / "survey.schema.json"
    schema = YAML(typ="safe", pure=True).load(schemas()["survey.schema.json"])
    jsonschema.validate(YAML(typ="safe", pure=True).load(text), schema)


@pytest.mark.parametrize("path", SURVEYS, ids=lambda p: p.parent.name)
def test_the_columns_of_every_table_are_in_its_schema(path: Path) -> None:
    for name in ("columns", "codes", "crosswalk", "corrections"):
        with (path.parent / f"{name}.csv").open(encoding="utf-8-sig", newline="") as handle:
            header = next(csv.reader(handle))
        schema = YAML(typ="safe", pure=True).load(schemas()[f"{name}.schema.json"])
        assert set(schema["required"]) <= set(header) <= set(schema["properties"])


def test_a_schema_explains_fields_in_words() -> None:
    text = Survey.model_json_schema()["$defs"]["SurveyFile"]["properties"]
    assert "together identify the household" in text["household_id"]["description"]
