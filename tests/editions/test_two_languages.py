"""Every text that readers see exists in English and in Chinese, wherever it is declared."""

import csv
import inspect
import re
from pathlib import Path

import duckdb
import pytest
import yaml

from expectations.runner import Expectation
from relocation_warehouse.contract.rules import rules_of
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.contract.words import WordsOf, places
from relocation_warehouse.publication import audit
from relocation_warehouse.publication.report import figures
from relocation_warehouse.publication.report.data import Reader
from relocation_warehouse.results.chinese import NOTES
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.literature import FILES

ROOT = Path(__file__).parents[2]
CATALOG = ROOT / "data" / "catalog"
TEMPLATES = ROOT / "relocation_warehouse" / "publication" / "report" / "templates"
CHINESE = re.compile("[\u4e00-\u9fff]")

BY_ENGLISH = {"formula": "formula_zh", "comparability": "comparability_zh"}
"""Fields of metrics.yml whose English has no suffix."""

REMARKS = {"note": "note_zh", "reason": "reason_zh"}
"""Fields of any file whose English has no suffix."""

NOT_READ = ("disclosure.yml", "recognition.yml")
"""Files of the catalog without a text that is published."""


THE_SAME = ("Great Expectations", "DOI", "τ²", "R²", "VIF", "KMO", "Theil", "M0", "H", "A")
"""Names and symbols that Chinese texts write as English ones do."""


def lacks(node, place):
    """Places of a document where one of two languages is missing, or where Chinese has no Chinese in it."""
    if isinstance(node, dict):
        pairs = {str(k): f"{str(k).removesuffix('_en')}_zh" for k in node if str(k).endswith("_en")}
        pairs |= {f"{str(k).removesuffix('_zh')}_en": str(k) for k in node if str(k).endswith("_zh")}
        pairs = {en: zh for en, zh in pairs.items() if zh not in (BY_ENGLISH | REMARKS).values()}
        if "formula" in node and "comparability" in node:
            pairs |= BY_ENGLISH
        pairs |= {en: zh for en, zh in REMARKS.items() if isinstance(node.get(en), str)}
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


@pytest.mark.parametrize(
    "path", [p for p in sorted(CATALOG.glob("*.yml")) if p.name not in NOT_READ], ids=lambda p: p.name
)
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
    assert [
        r["finding_id"] for r in rows if bool(r["arithmetic"]) != bool(CHINESE.search(r["arithmetic_zh"]))
    ] == []


def test_claims_of_the_literature_are_told_in_both_languages():
    with (ROOT / "data" / "literature" / "claims.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 100
    assert [r["claim_id"] for r in rows if not r["statement"] or not CHINESE.search(r["statement_zh"])] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_notes_of_the_literature_are_told_in_both_languages(name):
    """Whatever column has a Chinese one beside it is filled in both or in neither."""
    with (ROOT / "data" / "literature" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for column in [c for c in FILES[name] if f"{c}_zh" in FILES[name]]:
        filled = [(row[column], row[f"{column}_zh"]) for row in rows if row[column] or row[f"{column}_zh"]]
        assert filled
        assert [en for en, zh in filled if not en or not zh] == []
        assert [en for en, zh in filled if re.search("[a-z]{4}", en) and not CHINESE.search(zh)] == []
        if (name, column) in NOTES:  # quoted part by part among other sentences
            assert [en for en, zh in filled if len(en.split("; ")) != len(zh.split("；"))] == []


def test_remarks_of_the_shipped_surveys_are_told_in_both_languages():
    rows = [
        row
        for path in sorted((ROOT / "data" / "surveys").glob("*/crosswalk.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
    assert len([row for row in rows if row["note"]]) > 10
    assert [row["note"] for row in rows if bool(row["note"]) != bool(CHINESE.search(row["note_zh"]))] == []


def test_units_and_choices_have_words():
    catalog = load_catalog(CATALOG)
    words = contract_of().words()
    units = {m.unit for m in catalog.metrics} | {i.unit for i in catalog.indicators if i.unit}
    assert units - words["unit"].keys() == set()
    assert {s.id for s in catalog.weight_schemes} == {s.id for s in catalog.options["scheme"]}
    assert {s.bounds for s in catalog.weight_schemes} <= words["bounds"].keys()


def test_a_sentence_leaves_the_same_places_open_in_both_languages():
    n_open = 0
    for words in contract_of().words().values():
        for sentence, word in words.items():
            assert places(word.en) == places(word.zh) == places(sentence), sentence
            n_open += bool(places(sentence))
    assert n_open > 40


def test_every_check_of_the_audit_and_of_expectations_has_words():
    """So that no page shows a Chinese reader the name of a function."""
    words = WordsOf({code: word.model_dump() for code, word in contract_of().words()["check"].items()})
    names = set(re.findall(r'_check\(\s*"([a-z_]+)"', inspect.getsource(audit)))
    names |= {f"{kind}_households_do_not_stand_out" for kind in ("made_up", "real")}
    names |= {rule.check for table in contract_of() for c in table.columns for rule in rules_of(c)}
    names |= {f"{column}_is_known" for table in contract_of() for column in table.references}
    for kind in (
        "values_to_be_between",
        "values_to_be_in_set",
        "values_to_not_be_null",
        "values_to_be_unique",
    ):
        for of in ({}, {"mostly": 0.9}):
            names.add(Expectation(f"expect_column_{kind}", {"column": "age", **of}, "error").name)
    assert len(names) > 20
    assert [name for name in names if not CHINESE.search(words.said(name, "zh"))] == []


def test_words_of_a_sentence_take_what_fills_its_places():
    words = WordsOf(
        {
            "# of # values": {"en": "# of # values", "zh": "#个值未通过，共#个值"},
            "refused: …": {"en": "refused: …", "zh": "已拒收：…"},
            "***": {"en": "p < .01", "zh": "p<0.01"},
        }
    )
    assert words.said("3 of 1,200 values; refused: a; b", "zh") == "3个值未通过，共1,200个值；已拒收：a；b"
    assert words.said("refused: a", "en") == "refused: a"
    assert words.said("***", "zh") == "p<0.01"
    assert words.said("something else", "zh") == "something else"


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


ENGLISH = re.compile("[a-z]{2,} [a-z]+ [a-z]{2,}")
"""A sentence, or a part of one; names in code are none."""


def test_no_published_sentence_is_in_english_alone(published):
    """What checks, tests and comparisons composed has its Chinese beside it, or in the words of its column."""
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        reader = Reader(con)
        columns = con.execute(
            "select table_schema || '.' || table_name, column_name from information_schema.columns"
            " where column_name in ('reason', 'interval_reason', 'caution', 'message', 'note', 'arithmetic')"
        ).fetchall()
        left, n_said = [], 0
        for table, column in sorted(columns):
            beside = f"{column}_zh" in {c[0] for c in con.execute(f"describe {table}").fetchall()}
            rows = con.execute(
                f"select distinct {column}, {column if not beside else column + '_zh'} from {table}"
                f" where {column} is not null"
            ).fetchall()
            for en, zh in rows:
                said = str(zh if beside else reader._said(column, en, "zh"))
                n_said += 1
                if ENGLISH.search(re.sub(r"[\w.:=-]*_[\w.:=-]*", "_", said)) and table != "quality.loads":
                    left.append((table, column, said))
    assert n_said > 1000
    assert left == []


def test_sentences_that_fill_places_are_said_too():
    words = WordsOf(
        {
            "… (…-#)": {"en": "… (…-#)", "zh": "…（…-#）"},
            "our reading: … (…: …)": {"en": "our reading: … (…: …)", "zh": "我们的判读：…（…：…）"},
            "one left out; a guess": {"en": "one left out; a guess", "zh": "剔除一个；猜测"},
            "# blank": {"en": "# blank", "zh": "#个空白"},
            "… off": {"en": "… off", "zh": "相差…"},
        }
    )
    assert words.said("3 blank (GZ-2)", "zh") == "3个空白（GZ-2）"
    assert (
        words.said("our reading: 2 (GZ-2: one left out; a guess)", "zh")
        == "我们的判读：2（GZ-2：剔除一个；猜测）"
    )
    assert words.said("no target; 1 off", "zh") == "no target；相差1"
    assert words.said("f(2; 3) off", "zh") == "相差f(2; 3)"
