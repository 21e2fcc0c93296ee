"""`python -m relocation_warehouse.bi.superset serve | check [sample]`: serve the dashboard, or compare it with SQL."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path

from relocation_warehouse.bi.superset.bundle import Dashboard, bundle, load_dashboard
from relocation_warehouse.bi.superset.client import Client, check
from relocation_warehouse.bi.superset.server import free_port, running
from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.survey.catalog import load_catalog

PORT = int(os.environ.get("SUPERSET_PORT", "8088"))


def _assets() -> tuple[Dashboard, bytes, Path]:
    paths = Paths.from_environment()
    database = paths.published / "warehouse.duckdb"
    contract = load_contract(paths.catalog / "tables.yml", load_catalog(paths.catalog).indicators)
    dashboard = load_dashboard(contract)
    return dashboard, bundle(dashboard, contract, database), database


def serve() -> None:
    """Show the dashboard until interrupted."""
    _, content, _ = _assets()
    with running(CHECKOUT / ".superset", PORT) as server:
        Client(server).import_bundle(content)
        print(f"{server.url}/superset/dashboard/overview/  {server.username} / {server.password}", flush=True)
        print("Ctrl-C stops it", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopped")


def main() -> None:
    """Entry point."""
    command = sys.argv[1:]
    if command == ["serve"]:
        serve()
    elif command in (["check"], ["check", "sample"]):
        dashboard, content, database = _assets()
        with tempfile.TemporaryDirectory() as home, running(Path(home), free_port()) as server:
            for line in check(server, dashboard, content, database, one_value="sample" in command):
                print(line, flush=True)
    else:
        raise SystemExit("usage: python -m relocation_warehouse.bi.superset serve | check [sample]")


if __name__ == "__main__":
    main()
