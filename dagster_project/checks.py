"""Gather what was checked in a refresh into one table.

Belongs here: collecting results of ingest, Great Expectations and dbt. Does not belong here: a check itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

from dagster_project.resources import Warehouse
from expectations.departure import departure_suite
from expectations.runner import Outcome, run_suite
from publication.tables import Contract
from warehouse.database import quoted

EXPECTED_TABLES = ("capital.household_capitals", "integration.household_dimensions", "harmonized.coverage",
                   "analysis.coupling_summary", "analysis.region_comparison", "quality.replication")  # fmt: skip
"""Tables validated by Great Expectations as they leave; the audit checks all of them."""

CHECKS = pa.schema(
    [
        *((n, pa.string()) for n in ("source", "check", "table", "status", "severity")),
        ("n_failed", pa.int64()),
        ("message", pa.string()),
    ]
)

DBT_STATUS = {"pass": "passed", "fail": "failed", "error": "failed", "warn": "failed", "skipped": "not_run"}


def departure_outcomes(warehouse: Warehouse, contract: Contract) -> list[tuple[str, Outcome]]:
    """Great Expectations on the marts that leave, one survey at a time where a table is large."""
    found = []
    for name in EXPECTED_TABLES:
        table = contract[name]
        target = f"{quoted(table.schema)}.{quoted(table.name)}"
        frame = warehouse.query(f"select * from {target}")
        found += [(name, o) for o in run_suite(name, departure_suite(table), frame)]
    return found


def store_checks(warehouse: Warehouse, leaving: list[tuple[str, Outcome]]) -> int:
    """Write `quality.checks`; the audit adds its own when it publishes. Returns the number of rows."""
    names = ", ".join(quoted(name) for name in CHECKS.names)
    with warehouse.connect(read_only=True) as con:
        rows = con.execute(f"select {names} from raw.arrival_checks").to_arrow_table().to_pylist()
    rows += [
        {
            "source": "great_expectations",
            "check": o.expectation.name,
            "table": name,
            "status": "passed" if o.is_met else "failed",
            "severity": o.expectation.severity,
            "n_failed": o.n_failed,
            "message": None if o.is_met else o.observed,
        }
        for name, o in leaving
    ]
    rows += dbt_checks(warehouse.paths.dbt / "target")
    unique = {(r["source"], r["check"], r["table"]): r for r in rows}
    table = pa.Table.from_pylist(list(unique.values()), CHECKS)
    warehouse.store("quality", {"checks": table})
    return int(table.num_rows)


def dbt_checks(target: Path) -> list[dict[str, object]]:
    """Results of dbt's tests and unit tests in every run kept under `target`."""
    rows = []
    for results in sorted(target.rglob("run_results.json"), key=lambda p: p.stat().st_mtime):
        manifest = results.with_name("manifest.json")
        if not manifest.exists():
            manifest = target / "manifest.json"
        nodes = json.loads(manifest.read_text(encoding="utf-8"))
        known = {**nodes["nodes"], **nodes.get("unit_tests", {})}
        for result in json.loads(results.read_text(encoding="utf-8"))["results"]:
            node = known.get(result["unique_id"])
            if node is None or node["resource_type"] not in ("test", "unit_test"):
                continue
            tested = node.get("attached_node") or node.get("tested_node_unique_id") or result["unique_id"]
            rows.append(
                {
                    "source": "dbt",
                    "check": node["name"],
                    "table": str(tested).rsplit(".", 1)[-1],
                    "status": DBT_STATUS.get(result["status"], "failed"),
                    "severity": "warning"
                    if str(node.get("config", {}).get("severity", "error")).lower() == "warn"
                    else "error",
                    "n_failed": int(result.get("failures") or 0),
                    "message": None if result["status"] == "pass" else result.get("message"),
                }
            )
    return rows
