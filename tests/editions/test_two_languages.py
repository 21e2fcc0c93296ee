"""Every text that readers see exists in English and in Chinese, wherever it is declared."""

import csv
import re
from pathlib import Path

import pytest
import yaml

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.publication.report import figures
from relocation_warehouse.survey.catalog import load_catalog

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "data" / "catalog"
TEMPLATES = ROOT / "relocation_warehouse" / "publication" / "report" / "templates"
CHINESE = re.compile("[\u4e00-\u9fff]")

BY_ENGLISH = {"formula": "formula_zh", "comparability": "comparability_zh"}
"""Fields of metrics.yml whose English has no suffix."""


THE_SAME = ("Great Expectations", "DOI", "τ²", "R²", "VIF", "KMO", "Theil", "M0", "H", "A")
"""Names and symbols that Chinese texts write as English ones do."""


def lacks(node, place):
    """Places of a document where one of two languages is missing, or where Chinese has no Chinese in it."""
    if isinstance(node, dict):
        pairs = {str(k): f"{str(k).removesuffix('_en')}_zh" for k in node if str(k).endswith("_en")}
        pairs |= {f"{str(k).removesuffix('_zh')}_en": str(k) for k in node if str(k).endswith("_zh")}
        pairs = {en: zh for en, zh in pairs.items() if zh not in BY_ENGLISH.values()}
        if "formula" in node and "comparability" in node:
            pairs |= BY_ENGLISH
        if {"en", "zh"} & {*map(str, node)}:
            pairs["en"] = "zh"
        for en, zh in pairs.items():
            if not node.get(en) or not node.get(zh):
                yield f"{place}: {en} and {zh}"
            elif (
                re.search("[A-Za-z]{2}", str(node[en]))
                and not CHINESE.search(str(node[zh]))
                and node[zh] not in THE_SAME
            ):
                yield f"{place}: {zh} is {node[zh]!r}"
        for key, value in node.items():
            yield from lacks(value, f"{place}.{key}")
    elif isinstance(node, list):
        for k, value in enumerate(node):
            yield from lacks(value, f"{place}[{value.get('id', k) if isinstance(value, dict) else k}]")


@pytest.mark.parametrize("path", sorted(CATALOG.glob("*.yml")), ids=lambda p: p.name)
def test_the_catalog_has_every_text_in_both_languages(path):
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert list(lacks(document, path.name)) == []


def test_a_text_without_its_pair_is_found():
    assert list(lacks({"a": [{"id": "x", "label_en": "Land"}]}, "f")) == ["f.a[x]: label_en and label_zh"]
    assert list(lacks({"label_zh": "土地"}, "f")) == ["f: label_en and label_zh"]
    assert list(lacks({"en": "Land", "zh": "Land"}, "f")) == ["f: zh is 'Land'"]
    assert list(lacks({"formula": "mean", "comparability": "as asked"}, "f")) == [
        "f: formula and formula_zh",
        "f: comparability and comparability_zh",
    ]


def test_indicators_and_measures_are_defined_in_both_languages():
    catalog = load_catalog(CATALOG)
    assert [i.id for i in catalog.indicators if not CHINESE.search(i.definition_zh or "")] == []
    for metric in catalog.metrics:
        assert CHINESE.search(metric.formula_zh or ""), metric.id
        assert CHINESE.search(metric.comparability_zh or ""), metric.id


def test_findings_of_the_literature_are_told_in_both_languages():
    with (ROOT / "data" / "literature" / "findings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 50
    assert [
        r["finding_id"] for r in rows if not r["statement"] or not CHINESE.search(r["statement_zh"])
    ] == []


def test_units_and_choices_have_words():
    catalog = load_catalog(CATALOG)
    words = contract_of().words()
    units = {m.unit for m in catalog.metrics} | {i.unit for i in catalog.indicators if i.unit}
    assert units - words["unit"].keys() == set()
    assert {s.id for s in catalog.weight_schemes} == {s.id for s in catalog.options["scheme"]}
    assert {s.bounds for s in catalog.weight_schemes} <= words["bounds"].keys()


def test_a_sentence_with_numbers_has_as_many_places_in_both_languages():
    for sentence, word in contract_of().words()["reason"].items():
        assert {word.en.count("#"), word.zh.count("#")} == {sentence.count("#")}, sentence


def test_the_pages_say_everything_twice():
    for word, said in figures._WORDS.items():
        assert said["en"], word
        assert said["zh"], word
    for path in TEMPLATES.glob("*.j2"):
        text = path.read_text(encoding="utf-8")
        pairs = re.findall(r'\{"en": "((?:[^"\\]|\\.)*)"(?:, "zh": "((?:[^"\\]|\\.)*)")?', text)
        assert len(pairs) > 10, path.name
        assert [en for en, zh in pairs if not zh or (len(en) > 5 and not CHINESE.search(zh))] == []
    for name in ("explore.js", "common.js"):
        script = (TEMPLATES / name).read_text(encoding="utf-8")
        for en, zh in re.findall(r'said\("((?:[^"\\]|\\.)*)"(?:, "((?:[^"\\]|\\.)*)")?\)', script):
            assert zh, f"{name}: {en}"
