"""Time and peak memory of the one-pass summary against other ways to the same regressions.

Run ``python benchmarks/bench_summary.py`` for 100 thousand, 1 million and 10 million made-up households with 28
columns. Every measurement is a process of its own, so that its peak memory is its own; imports are not timed.
Whatever fits one model reads the 24 columns of that model; the bare scan reads all 28, as all models together do, with
the same reader, and does nothing with them. `make bench-analysis` runs it in an environment of its own, `.venv-bench`,
that holds the other libraries beside those of the project.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))

DEPENDENTS = [f"index_{j}" for j in range(1, 6)]
ITEMS = [f"item_{j}" for j in range(1, 12)]
REGRESSORS = [*ITEMS, *(f"is_{j}" for j in range(1, 9)), *(f"count_{j}" for j in range(1, 5))]
COLUMNS = [*REGRESSORS, *DEPENDENTS]
ONE_MODEL = [*REGRESSORS, DEPENDENTS[0]]
ROW_GROUP = 131_072
BATCH_ROWS = 65_536
TIMEOUT_SECONDS = 600
MEMORY_LIMIT_BYTES = 18 * 2**30


def write_households(path: Path, rows: int) -> None:
    """Made-up answers of the kinds a survey holds: 11 items, 8 dummies, 4 counts, 5 continuous indices."""
    rng = np.random.default_rng(20191001)
    schema = pa.schema([(name, pa.float64()) for name in COLUMNS])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, ROW_GROUP):
            n = min(ROW_GROUP, rows - start)
            common = rng.normal(size=n)
            data = {name: np.clip(np.round(3 + 0.6 * common + rng.normal(size=n)), 1, 5) for name in ITEMS}
            data |= {name: (rng.random(n) < 0.3).astype(float) for name in REGRESSORS if name[:3] == "is_"}
            data |= {name: rng.poisson(3, n).astype(float) for name in REGRESSORS if name[:5] == "count"}
            for name in DEPENDENTS:
                data[name] = 0.2 * data["item_1"] - 0.1 * data["is_1"] + rng.normal(size=n)
            writer.write_table(pa.table(data, schema=schema))


def batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of the file, in order, one row group in memory at a time.

    A dataset scanner reads ahead and buffers whole files: the same scan then peaks at 600 MB instead of 100.
    """
    yield from pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH_ROWS, columns=columns)


def bare_scan(path: Path) -> Callable[[], float]:
    def run() -> float:
        return float(sum(batch.num_rows for batch in batches(path, COLUMNS)))

    return run


def summary_one_model(path: Path) -> Callable[[], float]:
    from analysis.regression import fit_ols
    from analysis.summary import summarise

    def run() -> float:
        summary = summarise(batches(path, ONE_MODEL), ONE_MODEL)[()]
        return float(fit_ols(summary, DEPENDENTS[0], REGRESSORS).b[1])

    return run


def summary_all_models(path: Path) -> Callable[[], float]:
    """26 models (5 dependents x 5 nested sets of regressors, and the full one), eigenvalues and alpha."""
    from analysis.regression import fit_ols
    from analysis.summary import summarise

    def run() -> float:
        summary = summarise(batches(path, COLUMNS), COLUMNS)[()]
        models = [
            fit_ols(summary, dependent, REGRESSORS[:width])
            for dependent in DEPENDENTS
            for width in (5, 11, 16, 19, 22)
        ]
        models.append(fit_ols(summary, DEPENDENTS[0], REGRESSORS))
        correlation = summary.subset(ITEMS).correlation()
        eigenvalues = np.linalg.eigvalsh(correlation)
        k = len(ITEMS)
        alpha = k / (k - 1) * (1 - k / correlation.sum())
        if not (len(models) == 26 and np.isclose(eigenvalues.sum(), k) and 0 < alpha < 1):
            raise RuntimeError("The benchmark did not compute what it times.")
        return float(models[-1].b[1])

    return run


def pandas_statsmodels(path: Path) -> Callable[[], float]:
    import pandas as pd
    import statsmodels.api as sm

    def run() -> float:
        frame = pd.read_parquet(path, columns=ONE_MODEL)
        model = sm.OLS(frame[DEPENDENTS[0]], sm.add_constant(frame[REGRESSORS])).fit()
        model.bse  # noqa: B018  statsmodels computes standard errors only when they are asked for
        return float(model.params[REGRESSORS[0]])

    return run


def pyfixest(path: Path) -> Callable[[], float]:
    import pandas as pd
    from pyfixest import feols  # type: ignore[import-not-found]

    def run() -> float:
        frame = pd.read_parquet(path, columns=ONE_MODEL)
        model = feols(f"{DEPENDENTS[0]} ~ {' + '.join(REGRESSORS)}", data=frame, copy_data=False, lean=True)
        return float(model.coef()[REGRESSORS[0]])

    return run


def duckreg(path: Path) -> Callable[[], float]:
    import duckdb
    from duckreg.estimators import DuckRegression  # type: ignore[import-not-found]

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            database = f"{folder}/households.duckdb"
            with duckdb.connect(database) as connection:
                connection.execute(f"create view households as select * from read_parquet('{path}')")
            model = DuckRegression(
                db_name=database,
                table_name="households",
                formula=f"{DEPENDENTS[0]} ~ {' + '.join(REGRESSORS)}",
                cluster_col="",
                n_bootstraps=0,
                seed=1,
            )
            model.fit()
            return float(model.point_estimate[1])

    return run


METHODS: dict[str, tuple[str, Callable[[Path], Callable[[], float]], str | None]] = {
    "scan": ("bare Arrow scan", bare_scan, None),
    "one": ("summary, 1 model", summary_one_model, None),
    "all": ("summary, 26 models + factors + alpha", summary_all_models, None),
    "statsmodels": ("pandas + statsmodels, 1 model", pandas_statsmodels, "statsmodels"),
    "pyfixest": ("pyfixest, 1 model", pyfixest, "pyfixest"),
    "duckreg": ("duckreg, 1 model", duckreg, "duckreg"),
}


def measure(method: str, path: Path) -> None:
    """Child process: print wall and processor seconds, peak resident memory, and the first slope."""
    # Fail alone rather than take the memory of the whole machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    run = METHODS[method][1](path)
    started, busy = time.perf_counter(), time.process_time()
    value = run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak, "value": value}))


def in_child(*arguments: str) -> dict[str, float] | str:
    """Result of a child process, or one line on why there is none."""
    command = [sys.executable, __file__, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no result in {TIMEOUT_SECONDS} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"killed (signal {-done.returncode}): out of memory?"]
        return f"failed: {lines[-1][:90]}"
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def compare(rows: int, methods: list[str], repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "households.parquet"
        write_households(path, rows)
        print(f"\n### {rows:,} rows x {len(COLUMNS)} columns, {path.stat().st_size / 1e6:,.0f} MB Parquet\n")
        print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start.\n")
        print(
            "| method | seconds | cpu s | peak MB | x scan seconds | x seconds of one model | x its memory |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        scan = one = None
        in_child("--measure", "scan", str(path))  # the file is in the page cache for every method
        for method in methods:
            label, _, module = METHODS[method]
            if module and importlib.util.find_spec(module) is None:
                print(f"| {label} | not installed | | | | | |")
                continue
            n_runs = repeats if module is None else 1
            runs = [in_child("--measure", method, str(path)) for _ in range(n_runs)]
            failed = next((run for run in runs if isinstance(run, str)), None)
            if failed is not None:
                print(f"| {label} | {failed} | | | | | |", flush=True)
                continue
            good = [run for run in runs if not isinstance(run, str)]
            seconds = min(run["seconds"] for run in good)
            cpu = min(run["cpu"] for run in good)
            peak = max(run["peak_mb"] for run in good)
            if method == "scan":
                scan = seconds
            if method == "one":
                one = good[0] | {"seconds": seconds, "peak_mb": peak}
            if module and one and not np.isclose(good[0]["value"], one["value"], rtol=1e-6):
                print(f"| {label} | another coefficient: {good[0]['value']} | | | | | |", flush=True)
                continue
            to_scan = f"{seconds / scan:.1f}" if scan else ""
            to_one = f"{seconds / one['seconds']:.1f} | {peak / one['peak_mb']:.1f}" if one else " | "
            print(f"| {label} | {seconds:.2f} | {cpu:.2f} | {peak:,.0f} | {to_scan} | {to_one} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--repeats", type=int, default=3, help="runs of the scan and the summary; the best counts"
    )
    parser.add_argument("--measure", nargs=2, metavar=("METHOD", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], Path(arguments.measure[1]))
        return
    for rows in arguments.rows:
        compare(rows, arguments.methods, arguments.repeats)


if __name__ == "__main__":
    main()
