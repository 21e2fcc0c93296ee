"""Arithmetic tests of the printed figures, and of what the papers say about them, as tables.

Belongs here: handing the literature to the audit and joining what we already read into it. Does not belong here: a
test (`analysis.printed_tables`), a rule for claims (`analysis.claims`), household answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import pyarrow as pa

from analysis.claims import ClaimVerdict, Outcome
from analysis.printed_tables import ALARMS, Finding, Verdict, audit
from relocation_warehouse.results.chinese import Chinese
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.literature import Literature, checked_claims

SHOWS = (*ALARMS, Verdict.BLANK)
"""Verdicts that show what a finding says."""


def plausibility(literature: Literature) -> dict[str, pa.Table]:
    """Test every printed figure against the others, and every claim against the figures.

    Parameters
    ----------
    literature
        Printed statistics, sites, claims, and the findings that damaged figures belong to.

    Returns
    -------
    dict
        `plausibility`, `claims` and `finding_evidence` of the schema `quality`. A finding is named where a test
        refuses a figure that our reading of the print (`readings.csv`) or a finding (`stat_ids` of `findings.csv`)
        also doubts, and where a claim that belongs to it is contradicted.
    """
    statistics, sites = literature["statistics.csv"], literature["sites.csv"]
    tests = audit(statistics, sites)
    rows = _test_rows(literature, tests)
    claims = _claim_rows(literature, checked_claims(literature))
    return {
        "plausibility": conform("quality.plausibility", rows),
        "claims": conform("quality.claims", claims),
        "finding_evidence": conform("quality.finding_evidence", _evidence_rows(literature, rows, claims)),
    }


def _test_rows(literature: Literature, tests: Iterable[Finding]) -> list[dict[str, object]]:
    origin = {row["stat_id"]: row for row in literature["statistics.csv"]}
    origin |= {row["site_id"]: row for row in literature["sites.csv"]}
    findings: defaultdict[str, set[str]] = defaultdict(set)
    for row in literature["readings.csv"]:
        findings[row["stat_id"]].add(row["finding_id"])
    for row in literature["findings.csv"]:
        for stat_id in row["stat_ids"].split():
            findings[stat_id].add(row["finding_id"])
    numbers: Counter[str] = Counter()
    chinese = Chinese(literature)
    rows: list[dict[str, object]] = []
    for test in tests:
        numbers[test.test] += 1
        confirmed = {f for stat_id in test.stat_ids for f in findings[stat_id]}
        first = origin[test.stat_ids[0]]
        rows.append(
            {
                "plausibility_id": f"{test.test}_{numbers[test.test]:03d}",
                "stat_ids": " ".join(test.stat_ids),
                "basis_ids": " ".join(test.basis) or None,
                "region": first["region"],
                "source_file": first["source_file"],
                "test": test.test,
                "verdict": str(test.verdict),
                "arithmetic": test.arithmetic,
                "arithmetic_zh": chinese.of(test.arithmetic),
                "cause_id": test.cause or None,
                "finding_ids": " ".join(sorted(confirmed)) or None if test.verdict in SHOWS else None,
            }
        )
    return rows


def _claim_rows(literature: Literature, outcomes: Sequence[Outcome]) -> list[dict[str, object]]:
    chinese = Chinese(literature)
    return [
        {
            **{
                name: row[name]
                for name in (
                    "claim_id",
                    "region",
                    "source_file",
                    "section",
                    "statement",
                    "statement_zh",
                    "kind",
                )
            },
            "stat_id": row["stat_id"] or None,
            "verdict": str(outcome.verdict),
            "arithmetic": outcome.arithmetic,
            "arithmetic_zh": chinese.of(outcome.arithmetic),
            "figure_ids": " ".join(outcome.ids) or None,
            "finding_id": row["finding_id"] or None,
        }
        for row, outcome in zip(literature["claims.csv"], outcomes, strict=True)
    ]


def _evidence_rows(
    literature: Literature, tests: Sequence[dict[str, object]], claims: Sequence[dict[str, object]]
) -> list[dict[str, object]]:
    """What shows each finding: tests and claims by rule, or nothing but our reading of the paper."""
    shown: defaultdict[str, list[str]] = defaultdict(list)
    for test in tests:
        for finding_id in str(test["finding_ids"] or "").split():
            shown[finding_id].append(str(test["plausibility_id"]))
    for claim in claims:
        if claim["finding_id"] and claim["verdict"] == ClaimVerdict.CONTRADICTED:
            shown[str(claim["finding_id"])].append(str(claim["claim_id"]))
    return [
        {
            "finding_id": row["finding_id"],
            "region": row["region"],
            "found_by": "rule" if shown[row["finding_id"]] else "reading",
            "evidence_ids": " ".join(shown[row["finding_id"]]) or None,
        }
        for row in literature["findings.csv"]
    ]
