"""The page of own questions: every compared value of an edition, to be chosen, drawn, linked to and taken along.

Belongs here: what the page is given, which is aggregates of its edition and texts of its catalog. Does not belong here:
queries (`data`), and how a choice becomes a figure, which the browser does (`templates/explore.js`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from relocation_warehouse.publication.report.data import Reader
from relocation_warehouse.publication.report.figures import IN_THE_DARK, REGION_COLOURS
from relocation_warehouse.publication.report.page import asset, library, script_json, templates


def write_explorer(reader: Reader, out: Path) -> None:
    """Write the page of own questions of a published database into the file `out`, which needs no other."""
    given = {
        "values": _columns(reader.values()),
        "measures": reader.measures().pipe(_records),
        "groups": reader.groups().pipe(_records),
        "choices": reader.combinations().pipe(_records),
        "regions": reader.regions.pipe(_records),
        "surveys": reader.surveys()[["survey_id", "region", "title_en", "title_zh"]].pipe(_records),
        "indicators": reader.indicators().pipe(_records),
        "questions": _columns(_with_texts(reader.questions(), reader.columns_asked())),
        "colours": REGION_COLOURS,
    }
    page = (
        templates()
        .get_template("explore.html.j2")
        .render(
            has_households=reader.has("harmonized.households"),
            is_synthetic=bool(reader.surveys()["is_synthetic"].any()),
            given=Markup(script_json(given)),
            in_the_dark=Markup(script_json(IN_THE_DARK)),
            library=library(),
            style=asset("style.css"),
            common=asset("common.js"),
            script=asset("explore.js"),
        )
    )
    out.write_text(page, encoding="utf-8")


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """What is missing as None, which JSON has a word for."""
    plain: pd.DataFrame = frame.astype(object).where(frame.notna(), None)
    return plain


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in _plain(frame).to_dict("records")]


def _columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Names once and rows as lists: a third of the size of records."""
    return {"columns": [str(c) for c in frame], "rows": _plain(frame).to_numpy().tolist()}


def _with_texts(questions: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
    """Add the text of the questions behind each answer.

    A column is behind an answer where the crosswalk names it, as a source or in its evidence; its text is the label in
    the file received, or the header itself where the file has no labels.
    """
    columns: dict[str, list[tuple[str, str, re.Pattern[str]]]] = {}
    for survey, column, label in asked[["survey_id", "column", "label"]].itertuples(index=False):
        named = re.compile(rf"(?<![\w/]){re.escape(column)}(?![\w/])")
        question = column if pd.isna(label) else f"{column}: {label}"
        columns.setdefault(survey, []).append((column.lower(), question, named))

    def text(survey: str, sources: object, basis: object) -> str:
        names = set(str(sources).lower().split()) if isinstance(sources, str) else set()
        evidence = basis if isinstance(basis, str) else ""
        texts = [t for name, t, named in columns.get(survey, []) if name in names or named.search(evidence)]
        return "\n".join(dict.fromkeys(texts))

    texts = [text(*row) for row in questions[["survey_id", "sources", "basis"]].itertuples(index=False)]
    return questions.drop(columns="sources").assign(question=texts)
