"""One offline page of every check of a refresh, and of the expectations of every load before it.

Belongs here: reading results and laying them out. Does not belong here: checking anything, or an answer of a
household (values as received stay in `quality.quarantine`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

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


def write_quality_page(build: Path, published: Path, out: Path) -> None:
    """Write the page.

    Parameters
    ----------
    build
        Build database, which keeps the results of every load; only their counts are shown.
    published
        Database of the edition that the page belongs to; its `quality.checks` are shown in full.
    out
        The HTML file.
    """
    environment = Environment(
        loader=PackageLoader("expectations"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    checks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _rows(published, CHECKS):
        checks.setdefault((row["source"], row["table"]), []).append(row)
    html = environment.get_template("quality.html.j2").render(checks=checks, loads=_rows(build, LOADS))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(html, encoding="utf-8")


def _rows(database: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(database), read_only=True) as con:
        return con.execute(query).to_arrow_table().to_pylist()  # type: ignore[no-any-return]
