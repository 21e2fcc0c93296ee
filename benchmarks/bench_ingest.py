"""How long a survey file takes from disk to harmonised households, beside DuckDB's own CSV-to-Parquet copy.

Run `python benchmarks/bench_ingest.py [--households N ...] [--formats F ...] [--surveys DIR]`. Every survey folder that
has one file, as CSV or .sav, is drawn again with N households: for each declared column, answers that it allows. Each
figure is taken in a process of its own, so that peak memory is that of one step; CPU seconds tell it apart from what
else the machine does. The copy reads the same data as UTF-8 CSV. Belongs here: measuring; nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyreadstat

from relocation_warehouse.ground.database import connect, quoted
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.crosswalk import StoredWave, compile_stored
from relocation_warehouse.survey.folder import SurveyFolder, list_survey_folders, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.vocabulary import Column, ColumnType, DelimitedOptions, NoOptions

DATA = Path(__file__).resolve().parents[1] / "data"


def drawn(folder: SurveyFolder, path: Path, households: int) -> tuple[SurveyFolder, Path]:
    """Write the survey's file with `households` rows under `path`; give the folder, and the same data as CSV."""
    (file,) = folder.survey.files
    rng = np.random.default_rng(20240101)
    is_sav = file.format == "spss"
    columns = {c.column: answers(folder, c, households, rng) for c in folder.columns_of(file.file_id)}
    for header, column in zip(columns, folder.columns_of(file.file_id), strict=True):
        if column.variable in file.household_id:
            columns[header] = pa.array(np.arange(households) + 1)
    plain = path / "households.csv"
    pacsv.write_csv(pa.table(columns), plain)
    target = plain
    if is_sav:
        target = path / "households.sav"
        pyreadstat.write_sav(pd.DataFrame({k: v.to_pandas() for k, v in columns.items()}), target)
    options = NoOptions() if is_sav else DelimitedOptions()
    file = file.model_copy(update={"path": target.name, "sha256": None, "options": options})
    survey = folder.survey.model_copy(update={"files": (file,)})
    return replace(folder, path=path, survey=survey, corrections=()), plain


def answers(folder: SurveyFolder, column: Column, households: int, rng: np.random.Generator) -> pa.Array:
    """Answers that a column's declaration allows; short text where it allows any."""
    codes = [c.code for c in folder.codes_of(column) if c.bounds is None]
    if column.type in (ColumnType.CODE, ColumnType.MULTI) and codes:
        numeric = all(code.lstrip("-").isdigit() for code in codes)
        values = pa.array([int(c) for c in codes] if numeric else codes)
        return values.take(pa.array(rng.integers(len(codes), size=households)))
    if column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
        low, high = column.minimum or 0.0, column.maximum if column.maximum is not None else 100_000.0
        values = rng.uniform(low, high, households)
        return pa.array(np.floor(values) if column.type is ColumnType.INTEGER else values.round(1))
    days = np.datetime64("2019-01-01") + rng.integers(300, size=households)
    if column.type is ColumnType.DATE:
        return pa.array(days.astype(str))
    return pa.array([f"text {i}" for i in range(1000)]).take(pa.array(rng.integers(1000, size=households)))


def copy(plain: Path, scratch: Path) -> int:
    """DuckDB's own way from CSV to Parquet."""
    with duckdb.connect() as con:
        con.execute("set enable_progress_bar = false")
        con.execute(f"copy (from read_csv('{plain}')) TO '{scratch / 'copy.parquet'}'")
    return 0


def load(folder: SurveyFolder, scratch: Path) -> int:
    """From the file to the raw tables; gives the number of rows set aside."""
    with connect(scratch / "build.duckdb") as con:
        con.execute("set enable_progress_bar = false")
        result = ingest(folder, scratch / "landing", con)
    if not result.is_accepted:
        raise SystemExit("\n".join(map(str, result.problems)))
    return result.quarantined_rows


def harmonise(waves: list[StoredWave], scratch: Path) -> int:
    """From the raw tables to harmonised households, in all waves, as the dbt model makes them; gives their number."""
    with connect(scratch / "build.duckdb") as con:
        con.execute("set enable_progress_bar = false; set preserve_insertion_order = false")
        for wave in waves:
            con.execute(f"create table staging.{quoted(wave.table)} as {wave.stored}")
        con.execute(f"create view households as {' union all '.join(wave.shown for wave in waves)}")
        return int((con.execute("select count(*) from households").fetchone() or (0,))[0])


def measured(step: Callable[..., int], *given: object) -> dict[str, float]:
    """Seconds, CPU seconds, peak memory in GB, and what the step gave, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, step, given))
    process.start()
    seconds, cpu, kilobytes, computed = ours.recv()
    process.join()
    figures = {"seconds": seconds, "cpu_seconds": cpu, "peak_gb": kilobytes / 2**20}
    return {name: round(figure, 2) for name, figure in figures.items()} | {"rows": computed}


def _run(
    pipe: multiprocessing.connection.Connection, step: Callable[..., int], given: tuple[object, ...]
) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    computed = step(*given)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    pipe.send((seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, computed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--households", type=int, nargs="+", default=[100_000, 1_000_000, 3_000_000])
    parser.add_argument("--surveys", type=Path, default=DATA / "surveys")
    parser.add_argument("--formats", nargs="+", default=["delimited", "spss"])
    given = parser.parse_args()
    catalog = load_catalog(DATA / "catalog")
    for path in list_survey_folders(given.surveys):
        folder = load_folder(path)
        if len(folder.survey.files) > 1 or folder.survey.files[0].format not in given.formats:
            continue
        waves = [compile_stored(folder, wave.wave, catalog) for wave in folder.survey.waves]
        for households in given.households:
            with tempfile.TemporaryDirectory() as name:
                scratch = Path(name)
                made, plain = drawn(folder, scratch, households)
                steps = {
                    "copy": measured(copy, plain, scratch),
                    "load": measured(load, made, scratch),
                    "harmonise": measured(harmonise, waves, scratch),
                }
            cpu = {name: figures["cpu_seconds"] for name, figures in steps.items()}
            record = {
                "format": made.survey.files[0].format,
                "columns": len(made.columns),
                "households": households,
                **steps,
                "load_to_copy": round(cpu["load"] / cpu["copy"], 2),
                "load_and_harmonise_to_copy": round((cpu["load"] + cpu["harmonise"]) / cpu["copy"], 2),
            }
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
