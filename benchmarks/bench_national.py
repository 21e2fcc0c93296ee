"""A refresh of national size, from raw CSV to the published version, stage by stage, beside DuckDB's own copy.

Run `python benchmarks/bench_national.py [--household-waves N ...] [--surveys DIR]`. Every survey that has a demo.yml
is written as CSV: surveys with more waves get more households, in proportion. The refresh runs in a process of its
own; its stages are the steps of the Dagster runs. Their memory is sampled, and the disk that everything but the surveys
takes, spilled rows included. The copy reads the same files as UTF-8 and writes zstd Parquet. A survey that arrived as
.sav then replaces its CSV by that, and is refreshed again (not with `--csv-only`). Belongs here: measuring; nothing
is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console
from rich.progress import track

from relocation_warehouse.bi.cookbook import answer, connect, questions
from relocation_warehouse.demonstration.bulk import write_as_spss, write_bulk
from relocation_warehouse.survey.folder import list_survey_folders, load_folder
from relocation_warehouse.survey.vocabulary import DelimitedOptions

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT / "data"
NATIONAL = 5_200_000
"""Household-waves of 2.6 million households before and after the move."""
SAMPLE_SECONDS = 0.05
SAMPLES_A_LOOK_AT_DISK = 20
HOUSEHOLDS = "harmonized.households"
FOLDERS = ("landing", "warehouse", "published")


class Sample(NamedTuple):
    """What the refresh has used and holds at one moment: processor, memory, and disk beside the surveys."""

    at: float
    cpu_seconds: float
    memory_gb: float
    disk_gb: float


def write_surveys(source: Path, target: Path, household_waves: int) -> dict[str, int]:
    """Write the CSV surveys into a data folder; gives households by survey."""
    folders = {p: load_folder(p) for p in list_survey_folders(source) if (p / "demo.yml").exists()}
    waves = {p: len(f.survey.waves) for p, f in folders.items()}
    unit = household_waves / sum(n * n for n in waves.values())
    sizes = {p: round(unit * n) for p, n in waves.items()}
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_bulk, sizes, [target / "surveys" / p.name for p in sizes], sizes.values()))
    return {p.name: n for p, n in sizes.items()}


def copy(data: Path) -> dict[str, float]:
    """DuckDB's own way from these CSV files to Parquet, all columns typed by its sniffer."""
    seconds, cpu_seconds, bytes_read = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory(dir=data) as scratch, duckdb.connect() as con:
        con.execute("set enable_progress_bar = false")
        for path in list_survey_folders(data / "surveys"):
            for file in load_folder(path).survey.files:
                plain = Path(scratch) / "plain.csv"
                assert isinstance(file.options, DelimitedOptions)
                with (path / file.path).open(encoding=file.options.encoding) as text, plain.open("w") as out:
                    shutil.copyfileobj(text, out, 1 << 20)
                bytes_read += plain.stat().st_size
                began, used = time.perf_counter(), processor_seconds()
                con.execute(f"copy (from read_csv('{plain}')) TO '{scratch}/copy.parquet' (COMPRESSION zstd)")
                seconds += time.perf_counter() - began
                cpu_seconds += processor_seconds() - used
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "gigabytes": bytes_read / 1e9}


def processor_seconds() -> float:
    """What this process and its finished children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def run_refresh(data: Path) -> dict[str, Any]:
    """`warehouse refresh` of a data folder in a process of its own: wall and CPU seconds, peak GB, and its stages."""
    environment = os.environ | {
        "WAREHOUSE_DATA": str(data),
        "DAGSTER_HOME": str(data / "dagster"),
        "DBT_TARGET_PATH": str(data / "target"),
    }
    (data / "dagster").mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / ".dagster" / "dagster.yaml", data / "dagster")
    ran = subprocess.run(
        [sys.executable, __file__, "--refresh", str(data)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        raise SystemExit(ran.stderr or ran.stdout)
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


def refresh_and_report(data: Path) -> None:
    """Refresh in this process; print stages with their seconds and peak memory as JSON."""
    began, started = time.perf_counter(), datetime.now(UTC)
    from relocation_warehouse.command.refresh import refresh
    from relocation_warehouse.ground.paths import Paths

    samples: list[Sample] = []
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(data, samples, done), daemon=True)
    watcher.start()
    outcome = refresh(Paths.under(data), progress=lambda text: None)
    done.set()
    watcher.join()
    if outcome.exit_code:
        raise SystemExit(f"{outcome.failure} {outcome.refused}")
    # the report imports Dagster, which a refresh with nothing to do does not
    seconds = time.perf_counter() - began
    print(json.dumps(_report(samples, started) | {"seconds": seconds}))


def _watch(data: Path, samples: list[Sample], done: threading.Event) -> None:
    page = resource.getpagesize()
    disk = 0.0
    while not done.wait(SAMPLE_SECONDS):
        if len(samples) % SAMPLES_A_LOOK_AT_DISK == 0:
            disk = sum(gigabytes(data / name) for name in FOLDERS)
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        samples.append(Sample(time.time(), processor_seconds(), resident * page / 1e9, disk))


def _report(samples: Sequence[Sample], began: datetime) -> dict[str, Any]:
    import dagster as dg

    instance = dg.DagsterInstance.get()
    stages = []
    for run in instance.get_runs(dg.RunsFilter(created_after=began)):
        for step in instance.get_run_step_stats(run.run_id):
            if step.start_time is None or step.end_time is None:
                continue
            within = [s for s in samples if step.start_time <= s.at <= step.end_time]
            stage = {
                "stage": " ".join(filter(None, (step.step_key, run.tags.get("dagster/partition")))),
                "seconds": step.end_time - step.start_time,
                "cpu_seconds": within[-1].cpu_seconds - within[0].cpu_seconds if within else 0.0,
                "peak_gb": max((s.memory_gb for s in within), default=0.0),
                "disk_gb": max((s.disk_gb for s in within), default=0.0),
            }
            stages.append((step.start_time, stage))
    return {
        "cpu_seconds": processor_seconds(),
        "peak_gb": max((s.memory_gb for s in samples), default=0.0),
        "disk_gb": max((s.disk_gb for s in samples), default=0.0),
        "stages": [stage for _, stage in sorted(stages, key=itemgetter(0))],
    }


def refresh_from_sav(source: Path, data: Path, before: dict[str, Any]) -> None:
    """Replace the CSV of each survey that arrived as .sav by one of the same answers, refresh, print what it took."""
    manifest = data / "published" / "manifest.json"
    for folder in list_survey_folders(source):
        if not (folder / "demo.yml").exists() or {f.format for f in load_folder(folder).survey.files} != {
            "spss"
        }:
            continue
        households = json.loads(manifest.read_text("utf-8"))["tables"][HOUSEHOLDS]
        write_as_spss(folder, data / "surveys" / folder.name)
        again = run_refresh(data)
        name = f"raw__answers {folder.name}"
        as_csv, as_sav = (
            next(s["seconds"] for s in run["stages"] if s["stage"] == name) for run in (before, again)
        )
        is_same = json.loads(manifest.read_text("utf-8"))["tables"][HOUSEHOLDS] == households
        print(
            f"{folder.name} as .sav: {as_sav:.1f} s to arrive, {as_csv:.1f} s as CSV; peak {again['peak_gb']:.2f} GB;"
            f" {'the same' if is_same else 'OTHER'} households.",
            flush=True,
        )


def slowest_answers(database: Path) -> list[tuple[float, str]]:
    """Seconds of every question of the cookbook, the second time it is asked, slowest first."""
    seconds = []
    with connect(database) as con:
        for question in questions():
            answer(con, question)
            began = time.perf_counter()
            answer(con, question)
            seconds.append((time.perf_counter() - began, question.name))
    return sorted(seconds, reverse=True)


def gigabytes(folder: Path) -> float:
    """Size of what a folder holds; files may come and go meanwhile."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
    return size / 1e9


def show(household_waves: int, sizes: dict[str, int], data: Path) -> dict[str, Any]:
    """Measure one size and print it as Markdown; gives what the refresh reported."""
    copied = copy(data)
    load = os.getloadavg()[0]
    refreshed = run_refresh(data)
    again = run_refresh(data)
    disk = {name: gigabytes(data / name) for name in FOLDERS}
    database = data / "published" / "warehouse.duckdb"
    answers = slowest_answers(database)
    total, bare = refreshed["cpu_seconds"], copied["cpu_seconds"]
    print(f"\n### {household_waves:,} household-waves of {sum(sizes.values()):,} households\n")
    print(
        f"{copied['gigabytes']:.2f} GB CSV; {os.cpu_count()} processors, load average {load:.1f} at the start.\n"
    )
    print("| stage | seconds | CPU s | % | peak GB | disk GB |\n|---|---|---|---|---|---|")
    print(
        f"| DuckDB's CSV-to-Parquet copy of the same files | {copied['seconds']:.1f} | {bare:.1f} |  |  |  |"
    )
    for stage in [*refreshed["stages"], refreshed | {"stage": "**whole refresh**"}]:
        share = 100 * stage["cpu_seconds"] / total
        print(
            f"| {stage['stage']} | {stage['seconds']:.1f} | {stage['cpu_seconds']:.1f} | {share:.0f} "
            f"| {stage['peak_gb']:.2f} | {stage['disk_gb']:.2f} |"
        )
    print(
        f"\n{total / bare:.1f} times the bare copy in CPU seconds,"
        f" {refreshed['seconds'] / copied['seconds']:.1f} in wall seconds."
    )
    print(f"A refresh with nothing to do: {again['seconds']:.1f} s.")
    print("Disk: " + ", ".join(f"{name} {gb:.2f} GB" for name, gb in disk.items()) + ".")
    slow, name = answers[0]
    print(f"Cookbook: slowest of {len(answers)} questions {1000 * slow:.0f} ms ({name}).", flush=True)
    return refreshed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--household-waves", type=int, nargs="+", default=[NATIONAL // 10, NATIONAL // 3, NATIONAL]
    )
    parser.add_argument("--surveys", type=Path, default=DATA / "surveys")
    parser.add_argument("--csv-only", action="store_true", help="leave out the second refresh, from .sav")
    parser.add_argument("--keep", type=Path, help="an empty folder that stays; default: one that goes")
    parser.add_argument("--refresh", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.refresh:
        refresh_and_report(given.refresh)
        return
    for household_waves in track(given.household_waves, console=Console(stderr=True)):
        with tempfile.TemporaryDirectory() as scratch:
            data = (given.keep or Path(scratch)) / str(household_waves)
            data.mkdir(parents=True)
            sizes = write_surveys(given.surveys, data, household_waves)
            for name in ("catalog", "literature"):
                shutil.copytree(DATA / name, data / name)
            refreshed = show(household_waves, sizes, data)
            if not given.csv_only:
                refresh_from_sav(given.surveys, data, refreshed)


if __name__ == "__main__":
    main()
