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

SURVEY_HEADINGS = (
    *("id 编号", "title", "标题", "place 地点", "field work 调查时间", "waves 轮次", "sites 安置点"),
    *("households 户数", "made up 虚构"),
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
    yield _row([*SURVEY_HEADINGS])
    yield "|---" * len(SURVEY_HEADINGS) + "|"
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
        yield "| reason 原因 | meaning | 含义 | Stata | SPSS |"
        yield "|---|---|---|---|---|"
        codes = missing_codes(table.reason_words, _lowest(extract))
        for k, (reason, words) in enumerate(table.reason_words.items()):
            yield _row([f"`{reason}`", words.en, words.zh, f".{chr(ord('a') + k)}", codes[reason]])
        yield ""
        yield "CSV, Excel and Parquet have the reason in a column `<variable>__missing` beside the variable."
        yield "CSV、Excel和Parquet文件将原因写在变量旁的`<variable>__missing`列。"
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
        yield "| code 编码 | number 数值 | label | 标签 | rows 行数 |"
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
        yield "| survey 调查 | wave 轮次 | verdict 可比性结论 | where it comes from | 依据 |"
        yield "|---|---|---|---|---|"
        for answer in answers:
            cells = [answer[k] for k in ("survey_id", "wave", "status", "evidence", "evidence_zh")]
            yield _row(cells)


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
    made_up = MADE_UP if extract.is_synthetic else ("", "")
    _said(
        info,
        "abstract",
        f"Household surveys on poverty-alleviation relocation, brought to one set of indicators. {made_up[0]}".strip(),
        f"易地扶贫搬迁住户调查，统一为一套指标。{made_up[1]}",
    )
    summary = _add(info, "sumDscr")
    for survey in access:
        _add(summary, "collDate", str(survey["fieldwork"]), date=str(survey["fieldwork"]))
    _add(summary, "nation", "China", abbr="CN")
    for survey in access:
        _add(summary, "geogCover", str(survey["place"]))
    _said(summary, "anlyUnit", "household", "住户")
    _said(summary, "universe", "Households resettled for poverty alleviation", "易地扶贫搬迁住户")
    _said(summary, "dataKind", "survey data", "调查数据")
    collection = _add(_add(study, "method"), "dataColl")
    for survey in access:
        sites = f"{survey['survey_id']}: {survey['n_sites']}"
        _said(collection, "sampProc", f"{sites} resettlement sites", f"{sites}个安置点")
    _said(
        collection,
        "weight",
        "weight: number of households that a questionnaire stands for",
        "weight：每份问卷所代表的住户数",
    )
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
    _said(element, "labl", variable.text("en"), variable.text("zh"))
    answers = [
        a for a in extract.answers if a["indicator_id"] == variable.name and a["status"] != "not_asked"
    ]
    for language, basis in (("en", "evidence"), ("zh", "evidence_zh")):
        questions = [f"{a['survey_id']}, {a['wave']}: {a[basis]}" for a in answers if a[basis]]
        if questions:
            question = _add(element, "qstn")
            _add(question, "qstnLit", "; ".join(questions)).set(f"{{{_XML}}}lang", language)
    if variable.kind == "number" and column.notna().any():
        span = _add(element, "valrng")
        _add(span, "range", UNITS="REAL", min=f"{exact(column.min())}", max=f"{exact(column.max())}")
    reasons = extract.table.reasons.get(variable.name)
    counted = Counter(r for r in reasons if r is not None) if reasons is not None else Counter()
    _add(element, "sumStat", str(int(column.notna().sum())), type="vald")
    _add(element, "sumStat", str(int(column.isna().sum())), type="invd")
    if facts:
        _said(element, "txt", facts["definition_en"], facts["definition_zh"])
    counts = _counts(variable, column) if variable.codes else Counter()
    for code, words in variable.codes.items():
        category = _add(element, "catgry")
        _add(category, "catValu", exact(variable.numbers[code]))
        _said(category, "labl", words.en, words.zh)
        if variable.kind == "code":
            _add(category, "txt", f"code {code}")
        _add(category, "catStat", str(counts[code]), type="freq")
    for reason, n in counted.items():
        category = _add(element, "catgry", missing="Y")
        _add(category, "catValu", str(codes[reason]))
        words = extract.table.reason_words[reason]
        _said(category, "labl", words.en, words.zh)
        _add(category, "catStat", str(n), type="freq")
    _add(element, "varFormat", type="numeric" if variable.kind != "text" else "character")


def _said(parent: ET.Element, name: str, en: str, zh: str | None) -> None:
    """An element for each language that has the text."""
    for language, text in (("en", en), ("zh", zh)):
        if text:
            _add(parent, name, text).set(f"{{{_XML}}}lang", language)


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
