"""Time and memory of the groups of results, at the demonstration's size and with its households many times over.

Run `python benchmarks/bench_results.py DATA [--times N ...] [--only GROUP ...]` with the folder of a refreshed
warehouse. Households are copied under new ids in the build database, sites stay as they are, and each group of
`results/groups.py` runs in a process of its own, one after the other as the pipeline does, so that its peak memory is
its own. Belongs here: measuring; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

CHECKOUT = Path(__file__).resolve().parents[1]
OF_HOUSEHOLDS = (
    "harmonized.households",
    "capital.household_capitals",
    "integration.household_dimensions",
    "staging.household_waves",
)


def enlarge(build: Path, times: int) -> int:
    """Have every household so many times; gives the rows of households and waves."""
    with duckdb.connect(str(build)) as con:
        view = OF_HOUSEHOLDS[-1]
        con.execute(
            f"create temp table kept as from {view}; drop view {view}; create table {view} as from kept"
        )
        for table in OF_HOUSEHOLDS if times > 1 else ():
            con.execute(
                f"insert into {table} select t.* replace (household_id || '-' || copy as household_id) "
                f"from {table} as t cross join range(1, {times}) as copies (copy)"
            )
        return int((con.execute(f"select count(*) from {OF_HOUSEHOLDS[0]}").fetchone() or (0,))[0])


def run(build: Path, group: str) -> dict[str, float]:
    """Compute a group and store it; seconds, processor seconds and peak memory beyond the libraries."""
    from relocation_warehouse.results.groups import GROUPS
    from relocation_warehouse.results.tables import store
    from relocation_warehouse.survey.catalog import load_catalog
    from relocation_warehouse.survey.literature import load_literature

    catalog = load_catalog(CHECKOUT / "data" / "catalog")
    literature = load_literature(CHECKOUT / "data" / "literature", catalog)
    chosen = next(each for each in GROUPS if each.name == group)
    with duckdb.connect(str(build)) as con:
        before, held = resource.getrusage(resource.RUSAGE_SELF), _peak_megabytes()
        start = time.perf_counter()
        for name, result in chosen.compute(con, catalog, lambda: literature).items():
            store(con, name if "." in name else f"{_schema(name)}.{name}", result)
        after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "seconds": time.perf_counter() - start,
        "cpu": used,
        "megabytes": _peak_megabytes() - held,
    }


def _peak_megabytes() -> float:
    """Of this process alone: what getrusage says may be of the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _schema(name: str) -> str:
    from relocation_warehouse.contract.tables import contract_of

    return next(table.schema for table in contract_of() if table.name == name)


def main() -> None:
    """Print a row for each group and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 500])
    parser.add_argument("--only", nargs="+", help="groups; without it all")
    parser.add_argument("--group", help="of the process of one group")
    given = parser.parse_args()
    if given.group:
        print(json.dumps(run(given.data, given.group)))
        return
    from relocation_warehouse.results.groups import GROUPS

    print("| group | household-waves | CPU s | seconds | MB |\n|---|--:|--:|--:|--:|")
    for times in given.times:
        with tempfile.TemporaryDirectory() as scratch:
            build = Path(scratch) / "build.duckdb"
            shutil.copy(given.data / "warehouse" / "build.duckdb", build)
            rows = enlarge(build, times)
            for group in (g for g in GROUPS if not given.only or g.name in given.only):
                done = subprocess.run(
                    [sys.executable, __file__, str(build), "--group", group.name],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    print(f"| {group.name} | {rows:,} | failed: {done.stderr.strip().splitlines()[-1]} |")
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                figures = " | ".join(f"{found[name]:,.1f}" for name in ("cpu", "seconds", "megabytes"))
                print(f"| {group.name} | {rows:,} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
