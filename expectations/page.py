"""One offline page of every check of a refresh, and for the owner of the expectations of every load before it.

Belongs here: reading results and laying them out. Does not belong here: checking anything, or an answer of a
household (values as received stay in `quality.quarantine`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

from relocation_warehouse.contract.words import Pair, WordsOf

LOADS = """
select survey_id, loaded_at, is_accepted, count(*) as n,
    count_if(status = 'failed' and severity = 'error') as errors,
    count_if(status = 'failed' and severity = 'warning') as warnings
from raw.expectation_results group by all order by survey_id, loaded_at desc
"""
CHECKS = """
select source, "table", "check", status, severity, n_failed, message from quality.checks
order by source, "table", status, "check"
"""

WORDS = "select column_name, code, label_en, label_zh from reference.value_labels order by display_order"


def write_quality_page(build: Path | None, published: Path, out: Path) -> None:
    """Write the page.

    Parameters
    ----------
    build
        Build database, which keeps the results of every load; only their counts are shown. None for the public
        edition: loads that it does not show yet, or never, would tell what a few households changed.
    published
        Database of the edition that the page belongs to; its `quality.checks` are shown in full.
    out
        The HTML file.
    """
    environment = Environment(
        loader=PackageLoader("expectations"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    words: dict[str, dict[str, Pair]] = {"check": {}, "message": {}, "source": {}}
    for label in _rows(published, WORDS):
        if label["column_name"] in words:
            words[label["column_name"]][label["code"]] = {"en": label["label_en"], "zh": label["label_zh"]}
    said = {column: WordsOf(pairs) for column, pairs in words.items()}
    checks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _rows(published, CHECKS):
        for column, of_column in said.items():
            for language in ("en", "zh"):
                row[f"{column}_{language}"] = of_column.said(row[column] or "", language)
        checks.setdefault((row["source"], row["table"]), []).append(row)
    loads = [] if build is None else _rows(build, LOADS)
    html = environment.get_template("quality.html.j2").render(checks=checks, loads=loads)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html, encoding="utf-8")


def _rows(database: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(database), read_only=True) as con:
        return con.execute(query).to_arrow_table().to_pylist()  # type: ignore[no-any-return]
