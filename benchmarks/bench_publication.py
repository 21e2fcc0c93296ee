"""How the published file answers while publications replace it: queries per second, slowest query, errors.

Run `python benchmarks/bench_publication.py DATA [--readers N] [--publications N]`, where DATA is the `data/` folder of
a refreshed warehouse; it is not changed. Readers are processes of their own that open the file, ask one of three
questions and close it again, which is the hardest way to read. Belongs here: measuring; nothing is asserted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.publish import RunInfo, default_report, publish
from relocation_warehouse.survey.catalog import load_catalog

QUESTIONS = (
    "select region, wave, avg(total) from capital.household_capitals group by all order by all",
    "select metric_id, region, value from analysis.region_comparison where group_type = 'all' order by all",
    "select indicator_id, count(value) from harmonized.indicator_values group by all order by all",
)


def read(database: Path, stop: Event, results: Queue[tuple[list[float], list[str]]]) -> None:
    """Open, ask and close until told to stop; give the seconds of each query and what went wrong."""
    seconds: list[float] = []
    errors: list[str] = []
    while not stop.is_set():
        started = time.perf_counter()
        try:
            with duckdb.connect(str(database), read_only=True) as con:
                con.execute("set threads = 1")
                con.execute(QUESTIONS[len(seconds) % len(QUESTIONS)]).fetchall()
        except duckdb.Error as error:
            errors.append(str(error))
        seconds.append(time.perf_counter() - started)
    results.put((seconds, errors))


def main() -> None:
    """Publish a few times under readers and print what they saw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--publications", type=int, default=2)
    asked = parser.parse_args()
    contract = load_contract(
        asked.data / "catalog" / "tables.yml", load_catalog(asked.data / "catalog").indicators
    )
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        build, published = asked.data / "warehouse" / "build.duckdb", Path(folder) / "published"

        def publication() -> tuple[float, float]:
            wall, cpu = time.perf_counter(), time.process_time()
            publish(build, published, contract, AuditResult(()), RunInfo("benchmark"), default_report)
            return time.perf_counter() - wall, time.process_time() - cpu

        print("publication without readers: {:.1f} s, {:.1f} s of CPU".format(*publication()))
        stop, results = context.Event(), context.Queue()
        readers = [
            context.Process(target=read, args=(published / "warehouse.duckdb", stop, results))
            for _ in range(asked.readers)
        ]
        for reader in readers:
            reader.start()
        started = time.perf_counter()
        for _ in range(asked.publications):
            print("publication under readers: {:.1f} s, {:.1f} s of CPU".format(*publication()))
        stop.set()
        elapsed = time.perf_counter() - started
        answers = [results.get() for _ in readers]
        for reader in readers:
            reader.join()
    seconds = sorted(s for waited, _ in answers for s in waited)
    errors = [e for _, said in answers for e in said]
    print(
        f"{asked.readers} readers for {elapsed:.0f} s: {len(seconds)} queries, {len(seconds) / elapsed:.1f} a second,"
        f" median {seconds[len(seconds) // 2]:.3f} s, slowest {seconds[-1]:.2f} s, {len(errors)} errors"
    )
    for error in sorted(set(errors)):
        print(error)


if __name__ == "__main__":
    main()
