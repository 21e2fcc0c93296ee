from typing import get_args

import pytest
from made_up_build import INDICATORS, TABLES, contract
from ruamel.yaml import YAML

from analysis.printed_tables import Verdict
from relocation_warehouse.contract.tables import ContractError, load_contract, value_labels
from relocation_warehouse.results.regressions import Covariance
from relocation_warehouse.survey.cells import MESSAGES
from relocation_warehouse.survey.ingest import ROW_MESSAGES
from relocation_warehouse.survey.vocabulary import MissingReason, Rule, Status

SMALL = """
contract_version: 1.0.0
references: {code: demo.codes}
value_lists:
  answer: &answer
    with: {en: with, zh: 有}
    without: {en: without, zh: 没有}
column_groups:
  keys: [{name: code, type: VARCHAR, en: Code, zh: 编码}]
tables:
  - table: demo.codes
    description: {en: Codes., zh: 编码}
    key: [code]
    edition: public
    columns: [{use: keys}]
  - table: demo.rows
    description: {en: Rows., zh: 行}
    key: [code]
    edition: analyst
    columns:
      - {use: keys}
      - {name: n, type: BIGINT, en: Count, zh: 数量}
      - {name: land, type: VARCHAR, en: Land, zh: 土地, values: *answer}
    columns_from: {indicators: capital}
"""


def load(tmp_path, text):
    path = tmp_path / "tables.yml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path, INDICATORS)


def test_column_groups_and_indicators_become_columns(tmp_path):
    rows = load(tmp_path, SMALL)["demo.rows"]
    assert rows.column_names == ("code", "n", "land", "land_area")
    assert rows.references == {"code": "demo.codes"}
    assert load(tmp_path, SMALL)["demo.codes"].references == {}


def test_categories_are_text_and_other_indicators_numbers_with_their_bounds():
    columns = {c.name: c for c in contract()["harmonized.households"].columns}
    assert columns["livelihood"].type == "VARCHAR"
    assert (columns["trust"].type, columns["trust"].minimum, columns["trust"].maximum) == ("DOUBLE", 1, 5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("type: BIGINT", "type: TEXT", "demo.rows.columns"),
        ("en: Count, ", "", "demo.rows.columns"),
        ("key: [code]\n    edition: analyst", "key: [id]\n    edition: analyst", "key id of demo.rows"),
        ("name: n,", "name: code,", "demo.rows has code twice"),
        ("columns: [{use: keys}]", "columns: [{use: key}]", "'key', which is no column group"),
        ("edition: analyst", "edition: secret", "demo.rows.edition"),
        ("edition: analyst", "edition: analyst\n    colour: red", "demo.rows.colour"),
        ("references: {code: demo.codes}", "references: {code: demo.absent}", "demo.absent, not described"),
        ("demo.rows", "demo.codes", "described twice"),
        ("contract_version: 1.0.0", "contract_version: one", "contract_version"),
        ("tables:", "tables: [", "tables.yml"),
        ("*answer", "*anser", "undefined alias"),
        (", values: *answer", "", "no column uses value list answer"),
        ("zh: 没有}", "zh: ''}", "demo.rows.columns"),
        ("{en: without, zh: 没有}", "no", "value_lists.answer.without"),
        ("*answer", "[with, without]", "demo.rows.columns"),
        (
            "[{use: keys}]",
            "[{use: keys}, {name: land, type: VARCHAR, en: L, zh: 地, words: {with: {en: has, zh: 有}}}]",
            "demo.rows.land calls 'with' with 有, and a column of that name elsewhere has 有; use one value list",
        ),
    ],
)
def test_a_slip_is_named(tmp_path, old, new, message):
    assert old in SMALL
    with pytest.raises(ContractError, match=r"tables\.yml") as raised:
        load(tmp_path, SMALL.replace(old, new))
    assert message in str(raised.value)


def test_value_labels_are_the_codes_of_each_column_with_their_words(tmp_path):
    assert value_labels(load(tmp_path, SMALL)).to_pylist() == [
        {"column_name": "land", "code": "with", "label_en": "with", "label_zh": "有", "display_order": 1},
        {
            "column_name": "land",
            "code": "without",
            "label_en": "without",
            "label_zh": "没有",
            "display_order": 2,
        },
    ]


@pytest.mark.parametrize(
    ("table", "column", "codes"),
    [
        ("reference.crosswalk", "rule", Rule),
        ("reference.crosswalk", "status", Status),
        ("harmonized.missing_reasons", "missing_reason", MissingReason),
        ("quality.quarantine", "rule", [*ROW_MESSAGES, *MESSAGES]),
        ("quality.plausibility", "verdict", Verdict),
        ("analysis.regression_models", "covariance", get_args(Covariance)),
    ],
)
def test_the_codes_of_a_column_are_those_that_the_code_writes(table, column, codes):
    described = next(c for c in contract()[table].columns if c.name == column)
    assert set(described.values) == {str(c) for c in codes}


def test_every_table_of_survey_rows_says_whether_it_is_made_up():
    for table in contract():
        if "survey_id" in table.key:
            assert "is_synthetic" in table.column_names, table.full_name


def test_household_rows_are_only_in_the_analyst_edition():
    for table in contract():
        if "household_id" in table.column_names:
            assert table.edition == "analyst", table.full_name


def test_each_survey_names_a_system_of_the_catalog():
    systems = {s["id"] for s in YAML(typ="safe").load(TABLES.with_name("dimensions.yml"))["systems"]} | {
        "all"
    }
    assert {t.each_survey for t in contract() if t.each_survey} <= systems
