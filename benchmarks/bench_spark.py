"""A million households through both engines: whether all tables are the same, and how long each takes.

    make bench-spark                        # the demonstration surveys, a million households together
    .venv-spark/bin/python benchmarks/bench_spark.py --households 20000

Spark runs where WAREHOUSE_SPARK_MASTER says, else on all cores of this machine. Its time is a ratio to
DuckDB's. Ends with status 1 where a table differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.demonstration.bulk import write_bulk
from relocation_warehouse.engines.same_tables import differences
from relocation_warehouse.ground.engine import DUCKDB, SPARK
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

DATA = CHECKOUT / "data"
MEMORY = "4g"
"""Of the driver, which does all the work where Spark has no cluster."""


def make(folder: Path, households: int) -> None:
    """Write the surveys, with the same number of households each, and a place for each engine."""
    sources = [p.parent for p in sorted((DATA / "surveys").glob("*/demo.yml"))]
    for source in sources:
        write_bulk(source, folder / "surveys" / source.name, households // len(sources))
    for engine in (DUCKDB, SPARK):
        (folder / engine).mkdir()
        for name in ("catalog", "literature"):
            (folder / engine / name).symlink_to(DATA / name)
        (folder / engine / "surveys").symlink_to(folder / "surveys")


def refresh(folder: Path, engine: str) -> float:
    """Seconds of a refresh; Spark gets MEMORY, unless the environment has settings of its own."""
    (folder / "spark-defaults.conf").write_text(f"spark.driver.memory {MEMORY}\n")
    began = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "refresh", "--engine", engine],
        cwd=CHECKOUT,
        env={"SPARK_CONF_DIR": str(folder)} | os.environ | {"WAREHOUSE_DATA": str(folder / engine)},
        check=True,
        stdout=sys.stderr,
    )
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--households", type=int, default=1_000_000, help="of all surveys together")
    parser.add_argument("--keep", type=Path, help="an empty folder that stays; default: one that goes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        make(folder, chosen.households)
        seconds = {engine: refresh(folder, engine) for engine in (DUCKDB, SPARK)}
        contract = load_contract(DATA / "catalog" / "tables.yml", load_catalog(DATA / "catalog").indicators)
        files = (folder / engine / "published" / "warehouse.duckdb" for engine in (DUCKDB, SPARK))
        lines = list(differences(*files, contract))
    print(f"households,{chosen.households}")
    print(f"duckdb_seconds,{seconds[DUCKDB]:.1f}")
    print(f"spark_seconds_per_duckdb_second,{seconds[SPARK] / seconds[DUCKDB]:.2f}")
    print(f"tables_compared,{len(list(contract))}")
    print(f"differences,{len(lines)}")
    for line in lines:
        print(line, file=sys.stderr)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
