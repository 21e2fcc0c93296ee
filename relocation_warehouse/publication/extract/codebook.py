"""Codebook of an extract, for readers (Markdown) and for survey archives (DDI Codebook 2.5).

Standard: Data Documentation Initiative, Codebook 2.5, namespace ddi:codebook:2_5. Elements stand in the order of its
schema; numbers in the file of a labelled category are those of the Stata and SPSS files.

Belongs here: prose and XML about a choice. Does not belong here: choosing (`choose`) and data (`labelled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd

from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.publication.extract.choose import Extract
from relocation_warehouse.publication.extract.labelled import Variable, missing_codes

NAMESPACE = "ddi:codebook:2_5"
_XML = "http://www.w3.org/XML/1998/namespace"
MADE_UP = (
    "Some or all of the households are made up for demonstration and say nothing about real ones.",
    "部分或全部住户为演示而虚构，不反映真实住户。",
)


def markdown(extract: Extract, file: str, notes: Iterable[str]) -> str:
    """Codebook for readers, in both languages."""
    return "\n".join(_lines(extract, file, notes)) + "\n"


def _lines(extract: Extract, file: str, notes: Iterable[str]) -> Iterator[str]:
    table = extract.table
    yield f"# {table.title.en} / {table.title.zh}"
    yield ""
    version = f", contract {extract.contract_version}" if extract.contract_version else ""
    size = f"{len(table.frame):,} rows (one a household and wave), {len(table.variables)} variables"
    yield f"File `{file}`: {size}{version}."
    yield f"文件`{file}`：{len(table.frame):,}行（每户每轮一行），{len(table.variables)}个变量。"
    if extract.is_synthetic:
        yield ""
        yield f"**Made up.** {MADE_UP[0]} **虚构数据。**{MADE_UP[1]}"
    yield ""
    yield "## Cite / 引用"
    yield ""
    for survey in extract.surveys:
        doi = f" doi:{survey['doi']}" if survey["doi"] else ""
        yield f"- {survey['survey_id']}: {survey['citation']}{doi} Terms / 使用许可: {survey['licence']}"
    yield ""
    yield "## Surveys / 调查"
    yield ""
    yield "| id | title | 标题 | place | field work | waves | sites | households | made up |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for s in extract.surveys:
        facts = [
            s[k] for k in ("survey_id", "title_en", "title_zh", "place", "fieldwork", "waves", "n_sites")
        ]
        yield _row([*facts, s["n_households"], "yes 是" if s["is_synthetic"] else "no 否"])
    yield ""
    yield "Design / 抽样设计: `weight` is the number of households that a questionnaire stands for, `site_id` the site"
    yield "it was drawn from (the sampling unit of an analysis). `weight`为抽样权重，`site_id`为安置点（抽样单元）。"
    if table.reason_words:
        yield ""
        yield "## Missing values / 缺失值"
        yield ""
        yield "| reason | meaning | 含义 | Stata | SPSS |"
        yield "|---|---|---|---|---|"
        codes = missing_codes(table.reason_words, _lowest(extract))
        for k, (reason, words) in enumerate(table.reason_words.items()):
            yield _row([f"`{reason}`", words.en, words.zh, f".{chr(ord('a') + k)}", codes[reason]])
        yield ""
        yield "CSV, Excel and Parquet have the reason in a column `<variable>__missing` beside the variable."
    for note in dict.fromkeys(notes):
        yield f"\n- {note}"
    yield ""
    yield "## Variables / 变量"
    described = {f["indicator_id"]: f for f in extract.indicators}
    for variable in table.variables:
        yield ""
        yield f"### `{variable.name}`"
        yield ""
        yield f"{variable.text('en')} / {variable.text('zh')}"
        yield from _variable(extract, variable, described.get(variable.name))


def _variable(extract: Extract, variable: Variable, facts: Mapping[str, Any] | None) -> Iterator[str]:
    column = extract.table.frame[variable.name]
    if facts:
        yield ""
        yield str(facts["definition_en"])
        if facts.get("definition_zh"):
            yield str(facts["definition_zh"])
    yield ""
    yield f"Values / 有值: {int(column.notna().sum()):,}"
    if variable.codes:
        counts = _counts(variable, column)
        yield ""
        yield "| code | number | label | 标签 | rows |"
        yield "|---|---|---|---|---|"
        for code, words in variable.codes.items():
            yield _row([f"`{code}`", exact(variable.numbers[code]), words.en, words.zh, f"{counts[code]:,}"])
    elif variable.kind == "number" and column.notna().any():
        yield f"Range / 取值范围: {exact(column.min())} to {exact(column.max())}"
    reasons = extract.table.reasons.get(variable.name)
    if reasons is not None:
        counted = Counter(r for r in reasons if r is not None)
        yield "Missing / 缺失: " + ", ".join(f"{reason} {n:,}" for reason, n in counted.most_common())
    answers = [a for a in extract.answers if a["indicator_id"] == variable.name]
    if answers:
        yield ""
        yield "| survey | wave | verdict | where it comes from |"
        yield "|---|---|---|---|"
        for answer in answers:
            yield _row([answer["survey_id"], answer["wave"], answer["status"], answer["evidence"]])


def _row(cells: Iterable[object]) -> str:
    shown = ("" if cell is None else str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(shown) + " |"


def _counts(variable: Variable, column: pd.Series) -> Counter[str]:
    if variable.kind == "number":
        of_number = {number: code for code, number in variable.numbers.items()}
        return Counter(of_number[v] for v in column.dropna() if v in of_number)
    return Counter(str(v) for v in column.dropna())


def _lowest(extract: Extract) -> float:
    """Lowest number of the file, from which the codes of missing values in SPSS follow."""
    table = extract.table
    numbers = (table.number_of(v) for v in table.variables if v.kind != "text")
    known = (x[np.isfinite(x)] for x in numbers)
    return float(min((x.min() for x in known if len(x)), default=0.0))


def ddi(extract: Extract, file: str, ending: str) -> bytes:
    """DDI Codebook 2.5 of an extract, as UTF-8."""
    ET.register_namespace("", NAMESPACE)
    table = extract.table
    book = ET.Element(_tag("codeBook"), {"version": "2.5", f"{{{_XML}}}lang": "en"})
    title = f"{table.title.en}: {', '.join(s['survey_id'] for s in extract.surveys)}"
    document = _add(_add(book, "docDscr"), "citation")
    _title(document, f"{title} (codebook)", table.title.zh)
    study = _add(book, "stdyDscr")
    citation = _add(study, "citation")
    _title(citation, title, table.title.zh)
    access = extract.surveys
    if extract.contract_version:
        _add(_add(citation, "verStmt"), "version", f"contract {extract.contract_version}")
    _add(citation, "biblCit", "; ".join(extract.citations))
    info = _add(study, "stdyInfo")
    _add(
        info,
        "abstract",
        "Household surveys on poverty-alleviation relocation, brought to one set of indicators."
        + (f" {MADE_UP[0]}" if extract.is_synthetic else ""),
    )
    summary = _add(info, "sumDscr")
    for survey in access:
        _add(summary, "collDate", str(survey["fieldwork"]), date=str(survey["fieldwork"]))
    _add(summary, "nation", "China", abbr="CN")
    for survey in access:
        _add(summary, "geogCover", str(survey["place"]))
    _add(summary, "anlyUnit", "household")
    _add(summary, "universe", "Households resettled for poverty alleviation")
    _add(summary, "dataKind", "survey data")
    collection = _add(_add(study, "method"), "dataColl")
    for survey in access:
        _add(collection, "sampProc", f"{survey['survey_id']}: {survey['n_sites']} resettlement sites")
    _add(collection, "weight", "weight: number of households that a questionnaire stands for")
    use = _add(_add(study, "dataAccs"), "useStmt")
    _add(use, "restrctn", "; ".join(f"{survey['survey_id']}: {survey['licence']}" for survey in access))
    described = _add(_add(book, "fileDscr", ID="F1"), "fileTxt")
    _add(described, "fileName", file)
    dimensions = _add(described, "dimensns")
    _add(dimensions, "caseQnty", str(len(table.frame)))
    _add(dimensions, "varQnty", str(len(table.variables)))
    _add(described, "fileType", ending.removeprefix("."))
    data = _add(book, "dataDscr")
    facts = {f["indicator_id"]: f for f in extract.indicators}
    codes = missing_codes(table.reason_words, _lowest(extract))
    for place, variable in enumerate(table.variables, start=1):
        _describe(data, extract, variable, place, facts.get(variable.name), codes)
    ET.indent(book)
    text: str = ET.tostring(book, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _describe(
    data: ET.Element,
    extract: Extract,
    variable: Variable,
    place: int,
    facts: Mapping[str, Any] | None,
    codes: Mapping[str, int],
) -> None:
    column = extract.table.frame[variable.name]
    attributes = {"ID": f"V{place}", "name": variable.name, "files": "F1"}
    attributes["intrvl"] = "contin" if variable.kind == "number" and not variable.codes else "discrete"
    if variable.measure != "scale":
        attributes["nature"] = variable.measure
    if variable.name == "weight":
        attributes["wgt"] = "wgt"
    element = _add(data, "var", **attributes)
    for language in ("en", "zh"):
        label = _add(element, "labl", variable.text(language))
        label.set(f"{{{_XML}}}lang", language)
    questions = [
        f"{a['survey_id']}, {a['wave']}: {a['evidence']}"
        for a in extract.answers
        if a["indicator_id"] == variable.name and a["status"] != "not_asked"
    ]
    if questions:
        question = _add(element, "qstn")
        _add(question, "qstnLit", "; ".join(questions))
    if variable.kind == "number" and column.notna().any():
        span = _add(element, "valrng")
        _add(span, "range", UNITS="REAL", min=f"{exact(column.min())}", max=f"{exact(column.max())}")
    reasons = extract.table.reasons.get(variable.name)
    counted = Counter(r for r in reasons if r is not None) if reasons is not None else Counter()
    _add(element, "sumStat", str(int(column.notna().sum())), type="vald")
    _add(element, "sumStat", str(int(column.isna().sum())), type="invd")
    if facts:
        _add(element, "txt", str(facts["definition_en"]))
    counts = _counts(variable, column) if variable.codes else Counter()
    for code, words in variable.codes.items():
        category = _add(element, "catgry")
        _add(category, "catValu", exact(variable.numbers[code]))
        _labels(category, words.en, words.zh)
        if variable.kind == "code":
            _add(category, "txt", f"code {code}")
        _add(category, "catStat", str(counts[code]), type="freq")
    for reason, n in counted.items():
        category = _add(element, "catgry", missing="Y")
        _add(category, "catValu", str(codes[reason]))
        words = extract.table.reason_words[reason]
        _labels(category, words.en, words.zh)
        _add(category, "catStat", str(n), type="freq")
    _add(element, "varFormat", type="numeric" if variable.kind != "text" else "character")


def _labels(parent: ET.Element, en: str, zh: str) -> None:
    for language, text in (("en", en), ("zh", zh)):
        _add(parent, "labl", text).set(f"{{{_XML}}}lang", language)


def _title(citation: ET.Element, en: str, zh: str) -> None:
    title = _add(citation, "titlStmt")
    _add(title, "titl", en)
    _add(title, "parTitl", zh).set(f"{{{_XML}}}lang", "zh")


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add(parent: ET.Element, name: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, _tag(name), attributes)
    if text is not None:
        # characters that XML cannot hold at all
        element.text = "".join(c for c in text if c in "\t\n\r" or c >= " ")
    return element
