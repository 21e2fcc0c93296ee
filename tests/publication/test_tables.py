import pytest
from made_up_build import INDICATORS, TABLES, contract
from ruamel.yaml import YAML

from publication.tables import ContractError, load_contract

SMALL = """
contract_version: 1.0.0
references: {code: demo.codes}
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
    columns: [{use: keys}, {name: n, type: BIGINT, en: Count, zh: 数量}]
    columns_from: {indicators: capital}
"""


def load(tmp_path, text):
    path = tmp_path / "tables.yml"
    path.write_text(text, encoding="utf-8")
    return load_contract(path, INDICATORS)


def test_column_groups_and_indicators_become_columns(tmp_path):
    rows = load(tmp_path, SMALL)["demo.rows"]
    assert rows.column_names == ("code", "n", "land_area")
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
    ],
)
def test_a_slip_is_named(tmp_path, old, new, message):
    assert old in SMALL
    with pytest.raises(ContractError, match=r"tables\.yml") as raised:
        load(tmp_path, SMALL.replace(old, new))
    assert message in str(raised.value)


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
