"""Arithmetic tests of the printed figures as a table.

Belongs here: handing the literature to the audit and joining what we already read into it. Does not belong here: a
test (`analysis.printed_tables`), household answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pyarrow as pa

from analysis.printed_tables import Verdict, audit
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.literature import Literature


def plausibility(literature: Literature) -> dict[str, pa.Table]:
    """Test every printed figure against the others.

    Parameters
    ----------
    literature
        Printed statistics, sites, and the findings that damaged figures belong to.

    Returns
    -------
    dict
        `plausibility` of the schema `quality`. A finding is named where the test refuses a figure that our reading
        of the print (`readings.csv`) or a finding (`stat_ids` of `findings.csv`) also doubts.
    """
    statistics, sites = literature["statistics.csv"], literature["sites.csv"]
    origin = {row["stat_id"]: row for row in statistics} | {row["site_id"]: row for row in sites}
    findings: defaultdict[str, set[str]] = defaultdict(set)
    for row in literature["readings.csv"]:
        findings[row["stat_id"]].add(row["finding_id"])
    for row in literature["findings.csv"]:
        for stat_id in row["stat_ids"].split():
            findings[stat_id].add(row["finding_id"])
    numbers: Counter[str] = Counter()
    rows = []
    for found in audit(statistics, sites):
        numbers[found.test] += 1
        confirmed = {f for stat_id in found.stat_ids for f in findings[stat_id]}
        refused = found.verdict in (Verdict.INCONSISTENT, Verdict.IMPOSSIBLE)
        first = origin[found.stat_ids[0]]
        rows.append(
            {
                "plausibility_id": f"{found.test}_{numbers[found.test]:03d}",
                "stat_ids": " ".join(found.stat_ids),
                "region": first["region"],
                "source_file": first["source_file"],
                "test": found.test,
                "verdict": str(found.verdict),
                "arithmetic": found.arithmetic,
                "finding_ids": " ".join(sorted(confirmed)) or None if refused else None,
            }
        )
    return {"plausibility": conform("quality.plausibility", rows)}
