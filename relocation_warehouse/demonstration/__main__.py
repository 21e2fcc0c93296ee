"""`python -m relocation_warehouse.demonstration`: write the made-up surveys again, or one of them at any size.

Belongs here: the command line and the choice of the writer by format. Does not belong here: drawing, writing.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from relocation_warehouse.demonstration.bulk import write_bulk
from relocation_warehouse.demonstration.draw import Draw, Residual, draw
from relocation_warehouse.demonstration.received import as_received, write_delimited
from relocation_warehouse.demonstration.spec import Spec, load_spec
from relocation_warehouse.survey.folder import SURVEY_FILE, SurveyFolder, load_folder, sha256_of
from relocation_warehouse.survey.vocabulary import Grain

SURVEYS = Path(__file__).parents[2] / "data" / "surveys"
CALIBRATION = "calibration.csv"


def main(arguments: list[str] | None = None) -> int:
    """Write the surveys; exit status 0, or 2 for a survey that does not exist."""
    parser = argparse.ArgumentParser(prog="python -m relocation_warehouse.demonstration", description=__doc__)
    parser.add_argument("--survey", help="id of one survey; default: all that have a demo.yml")
    parser.add_argument("--households", type=int, help="number of households; default: the survey's own")
    parser.add_argument("--as-csv", action="store_true", help="write every file as CSV, in blocks: any size")
    parser.add_argument("--out", type=Path, help="folder for the written surveys; default: in place")
    chosen = parser.parse_args(arguments)
    folders = sorted(p.parent for p in SURVEYS.glob("*/demo.yml") if chosen.survey in (None, p.parent.name))
    if not folders:
        print(f"no survey {chosen.survey!r} with a demo.yml under {SURVEYS.name}/", file=sys.stderr)
        return 2
    if chosen.households is not None and chosen.out is None:
        print("--households needs --out: the files of the checkout keep their own size", file=sys.stderr)
        return 2
    if chosen.as_csv and chosen.households is None:
        print("--as-csv needs --households and --out", file=sys.stderr)
        return 2
    for source in folders:
        if chosen.as_csv:
            write_bulk(source, chosen.out / source.name, chosen.households)
            print(f"{source.name}: {chosen.households} households as CSV")
            continue
        target = source if chosen.out is None else chosen.out / source.name
        result = write_survey(source, target, chosen.households)
        missed = [r for r in result.residuals if not r.is_met]
        print(
            f"{source.name}: {len(result.households)} households, {len(result.residuals)} targets, "
            f"{len(missed)} outside their tolerance"
        )
    return 0


def write_survey(source: Path, target: Path, households: int | None = None) -> Draw:
    """Draw one survey and write its files, checksums and calibration.csv into `target`.

    Parameters
    ----------
    source
        Survey folder with a demo.yml.
    target
        Where to write; the declaring files are copied when it is another folder.
    households
        Number of households; default: the survey's own.
    """
    spec = load_spec(source / "demo.yml")
    if target != source:
        data = {f.path for f in load_folder(source).survey.files} | {CALIBRATION}
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if path.is_file() and path.name not in data:
                shutil.copy(path, target / path.name)
    folder = load_folder(target)
    result = draw(spec, households)
    write_files(folder, spec, result, target)
    _record_checksums(folder)
    if result.residuals:
        _write_calibration(target / CALIBRATION, result.residuals)
    return result


def write_files(folder: SurveyFolder, spec: Spec, result: Draw, target: Path) -> None:
    """Write every file of the survey in its own format.

    A format other than delimited is written by `demonstration.writers.WRITERS[format](tables, folder, path)`,
    where `tables` holds the received tables by file_id of all files that share the path.
    """
    rng = np.random.default_rng(spec.seed)
    files = folder.survey.files
    for path in dict.fromkeys(f.path for f in files):
        sharing = [f for f in files if f.path == path]
        tables: dict[str, Any] = {}
        for file in sharing:
            values = result.households if file.grain is Grain.HOUSEHOLD else result.rosters[file.file_id]
            tables[file.file_id] = as_received(folder, spec, file.file_id, values, rng)
        if sharing[0].format == "delimited":
            write_delimited(tables[sharing[0].file_id], sharing[0], target / path)
        else:
            writers = import_module("relocation_warehouse.demonstration.writers").WRITERS
            writers[sharing[0].format](tables, folder, target / path)


def _record_checksums(folder: SurveyFolder) -> None:
    """Put the new sha256 of each file where survey.yml has the old one."""
    declared = folder.path / SURVEY_FILE
    text = declared.read_text(encoding="utf-8")
    for file in folder.survey.files:
        if file.sha256 is not None:
            text = text.replace(file.sha256, sha256_of(folder.path / file.path))
    declared.write_text(text, encoding="utf-8")


def _write_calibration(path: Path, residuals: tuple[Residual, ...]) -> None:
    names = [f.name for f in fields(Residual)]
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([*names, "residual", "is_met"])
        for row in residuals:
            cells = [getattr(row, name) for name in names]
            cells = [round(c, 6) if isinstance(c, float) else c for c in cells]
            writer.writerow([*cells, round(row.residual, 6), str(row.is_met).lower()])


if __name__ == "__main__":
    sys.exit(main())
