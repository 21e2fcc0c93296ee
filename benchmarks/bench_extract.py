"""An extract of 100 thousand households and 40 indicators to Stata: seconds and memory, beside pyreadstat alone.

Run `python benchmarks/bench_extract.py PUBLISHED [--households N] [--indicators N]`, where PUBLISHED is a published
`warehouse.duckdb`; it is copied, and its households are repeated. Each side runs in a process of its own, whose peak
of memory is taken. pyreadstat gets the finished data frame, with plain missing values instead of reasons: it neither
reads the file nor explains anything, so it is a floor. Belongs here: measuring; nothing is asserted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import pyreadstat

from relocation_warehouse.publication.extract import choose, take
from relocation_warehouse.publication.extract.choose import HOUSEHOLDS

REASONS = "harmonized.missing_reasons"


def enlarge(published: Path, copy: Path, n_households: int) -> None:
    """Copy a published file and repeat its households under other ids until there are `n_households`."""
    shutil.copy(published, copy)
    copy.chmod(0o644)
    with duckdb.connect(str(copy)) as con:
        (n,) = con.execute(f"select count(*) from {HOUSEHOLDS}").fetchone() or (0,)
        for k in range(1, -(-n_households // n)):
            for table in (HOUSEHOLDS, REASONS):
                con.execute(
                    f"insert into {table} select * replace (household_id || '-{k}' as household_id) from {table}"
                    " where not contains(household_id, '-')"
                )


def ours(database: Path, indicators: list[str], to: Path) -> int:
    """Choose, write the data, the codebook and the DDI."""
    return len(take(choose(database, indicators), to).files)


def theirs(database: Path, indicators: list[str], to: Path) -> int:
    """Write the columns alone."""
    with duckdb.connect(str(database), read_only=True) as con:
        names = ", ".join(f'"{name}"' for name in indicators)
        frame = con.execute(f"select survey_id, household_id, wave, {names} from {HOUSEHOLDS}").df()
    started = time.perf_counter()
    pyreadstat.write_dta(frame, str(to), version=15)
    print(f"  (of which writing: {time.perf_counter() - started:.1f} s)")
    return len(frame)


def measured(work: Callable[..., int], *arguments: Any) -> tuple[float, float]:
    """Seconds, and peak of memory in MB, of a call in a process of its own."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(there, work, arguments))
    process.start()
    figures: tuple[float, float] = here.recv()
    process.join()
    return figures


def _run(pipe: Connection, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    started = time.perf_counter()
    work(*arguments)
    pipe.send((time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path)
    parser.add_argument("--households", type=int, default=100_000)
    parser.add_argument("--indicators", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        enlarge(asked.published, folder / "large.duckdb", asked.households)
        with duckdb.connect(str(folder / "large.duckdb"), read_only=True) as con:
            (rows,) = con.execute(f"select count(*) from {HOUSEHOLDS}").fetchone() or (0,)
            indicators = [
                i
                for (i,) in con.execute(
                    "select indicator_id from harmonized.coverage group by all order by sum(n) desc, 1 limit ?",
                    [asked.indicators],
                ).fetchall()
            ]
        print(f"{rows:,} households and waves, {len(indicators)} indicators")
        for label, work in (("warehouse extract", ours), ("pyreadstat alone", theirs)):
            to = folder / f"{work.__name__}.dta"
            seconds, megabytes = measured(work, folder / "large.duckdb", indicators, to)
            size = to.stat().st_size / 1e6
            print(f"{label}: {seconds:.1f} s, {megabytes:.0f} MB at its peak, file {size:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
