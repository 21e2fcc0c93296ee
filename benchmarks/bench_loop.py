"""What a look costs a person who edits a survey: refreshes after small changes, as multiples of a yardstick.

Run `python benchmarks/bench_loop.py [CASE ...] [--data DATA]`. Everything happens in a copy of `data/`; with `--data`
in a copy of one that was refreshed already, which leaves the first refresh out. The yardstick is the processor time of
importing the libraries in one process, taken anew beside each case, so that a busy machine slows both. Belongs here:
measuring; nothing is asserted.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from relocation_warehouse.ground.paths import CHECKOUT

LIBRARIES = (
    *("dagster", "dagster_dbt", "dbt", "great_expectations", "pandas", "pyarrow", "duckdb"),
    *("statsmodels", "altair", "great_tables"),
)
IMPORTS = f"import {', '.join(LIBRARIES)}"
COMMAND = (sys.executable, "-c", "from relocation_warehouse.command.cli import main; main()")


def measured(command: tuple[str, ...], data: Path) -> tuple[float, float, int]:
    """Run a command on a warehouse; wall and CPU seconds of it and its children, and peak memory so far in MB."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    home = data / "dagster"
    home.mkdir(exist_ok=True)
    environment = os.environ | {"WAREHOUSE_DATA": str(data), "DAGSTER_HOME": str(home)}
    ran = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu, after.ru_maxrss // 1024


def nothing(data: Path) -> None:
    """Change nothing."""


def one_crosswalk_row(data: Path) -> None:
    """Change a word of evidence in one row of one crosswalk."""
    _change(next(iter(sorted(data.glob("surveys/*/crosswalk.csv")))), "evidence")


def one_code(data: Path) -> None:
    """Change the label of one code of one survey."""
    _change(next(iter(sorted(data.glob("surveys/*/codes.csv")))), "label_en")


def one_catalog_label(data: Path) -> None:
    """Change the label of one indicator in the catalog."""
    path = data / "catalog" / "indicators.yml"
    before, marker, after = path.read_text(encoding="utf-8").partition("    label_en: ")
    path.write_text(f"{before}{marker}More {after[0].lower()}{after[1:]}", encoding="utf-8")


def one_file(data: Path) -> None:
    """Replace the file of one survey by one without its last household, and say so in its declaration."""
    path = next(iter(sorted(data.glob("surveys/*/answers.csv"))))
    before = path.read_bytes()
    after = before[: before.rstrip(b"\n").rindex(b"\n") + 1]
    path.write_bytes(after)
    declared = path.with_name("survey.yml")
    text = declared.read_text(encoding="utf-8")
    was, now = (hashlib.sha256(content).hexdigest() for content in (before, after))
    declared.write_text(text.replace(was, now), encoding="utf-8")


CHANGES: dict[str, Callable[[Path], None]] = {
    "nothing": nothing,
    "one crosswalk row": one_crosswalk_row,
    "one code": one_code,
    "one catalog label": one_catalog_label,
    "one file": one_file,
}
LOOKS = {
    "preview": ("preview",),
    "check": ("check",),
    "status": ("status",),
    "explain": ("explain",),
}


def _change(path: Path, column: str) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    k = rows[0].index(column)
    row = next(r for r in rows[1:] if r[k])
    row[k] += " again"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _arguments(look: str, data: Path) -> tuple[str, ...]:
    """Arguments of a command that looks at one survey: the one with the smallest crosswalk, and what it asked."""
    if look == "status":
        return LOOKS[look]
    folder = min(data.glob("surveys/*"), key=lambda p: (p / "crosswalk.csv").stat().st_size)
    with (folder / "crosswalk.csv").open(encoding="utf-8", newline="") as file:
        asked = next(r["indicator_id"] for r in csv.DictReader(file) if r["rule"] != "not_asked")
    return (*LOOKS[look], folder.name, *(() if look == "check" else (asked,)))


def copied(source: Path, folder: Path) -> Path:
    """A warehouse of its own beside the one given, with what was made of it where there is any."""
    data = folder / "data"
    for name in ("catalog", "literature", "surveys", "schemas", "landing", "warehouse", "published"):
        if (source / name).is_dir():
            shutil.copytree((source / name).resolve(), data / name, symlinks=True)
    return data


def main() -> None:
    """Measure the cases asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join([*CHANGES, *LOOKS])}")
    parser.add_argument("--data", type=Path, help="folder of a warehouse that was refreshed")
    asked = parser.parse_args()
    unknown = sorted({*asked.cases} - {*CHANGES, *LOOKS})
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}")
    print("| case | wall s | CPU s | yardstick CPU s | yardsticks | peak MB |\n|---|---|---|---|---|---|")

    def report(case: str, command: tuple[str, ...], data: Path) -> None:
        _, yardstick, _ = measured((sys.executable, "-c", IMPORTS), data)
        wall, cpu, peak = measured(command, data)
        print(
            f"| {case} | {wall:.1f} | {cpu:.1f} | {yardstick:.1f} | {cpu / yardstick:.2f} | {peak} |",
            flush=True,
        )

    with tempfile.TemporaryDirectory(prefix="bench-loop-") as scratch:
        data = copied(asked.data or CHECKOUT / "data", Path(scratch))
        if asked.data is None:
            shutil.rmtree(data / "warehouse", ignore_errors=True)
            report("first refresh", (*COMMAND, "refresh"), data)
        for case in asked.cases or (*CHANGES, *LOOKS):
            if case in CHANGES:
                CHANGES[case](data)
                report(case, (*COMMAND, "refresh"), data)
            else:
                report(case, (*COMMAND, *_arguments(case, data)), data)


if __name__ == "__main__":
    main()
