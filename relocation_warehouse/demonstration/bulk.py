"""A made-up survey of any size as CSV, drawn block by block, so that memory does not grow with the survey.

Belongs here: drawing and writing block after block, the survey.yml that declares every file as CSV, and the same
answers as .sav where the survey arrived so. Does not belong here: drawing (`draw`), answers as received (`received`),
the survey's own format (`writers`).
"""

from __future__ import annotations

import shutil
from collections.abc import Hashable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from relocation_warehouse.demonstration.draw import draw
from relocation_warehouse.demonstration.received import as_received
from relocation_warehouse.demonstration.spec import Spec, load_spec
from relocation_warehouse.demonstration.writers import NUMBERS, with_household_ids, write_spss
from relocation_warehouse.survey.folder import SURVEY_FILE, SurveyFolder, load_folder, sha256_of
from relocation_warehouse.survey.vocabulary import DelimitedOptions, Grain, SurveyFile

BLOCK = 50_000
"""Households drawn at a time."""


def write_bulk(source: Path, target: Path, households: int) -> None:
    """Write a survey folder whose files are CSV with `households` households.

    The questionnaire, codes and crosswalk are the survey's own. Every block has a seed of its own, so the same size
    always gives the same bytes; planted errors are in the first block only.

    Parameters
    ----------
    source
        Survey folder with a demo.yml.
    target
        Folder to write; made where it does not exist.
    households
        Number of households.
    """
    spec, folder = load_spec(source / "demo.yml"), load_folder(source)
    data = {f.path for f in folder.survey.files} | {"calibration.csv"}
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file() and path.name not in data:
            shutil.copy(path, target / path.name)
    paths = {f.file_id: target / f"{f.file_id}.csv" for f in folder.survey.files}
    for first in range(0, households, BLOCK):
        block = spec if first == 0 else spec.model_copy(update={"plants": ()})
        for file, table in _tables(folder, block, first, min(BLOCK, households - first)):
            table.infer_objects().to_csv(
                paths[file.file_id],
                index=False,
                mode="w" if first == 0 else "a",
                header=first == 0,
                encoding=_encoding(file),
                float_format="%.12g",
                lineterminator="\n",
            )
    declared = yaml.safe_load((source / SURVEY_FILE).read_text(encoding="utf-8"))
    for file, entry in zip(folder.survey.files, declared["files"], strict=True):
        path = paths[file.file_id]
        entry |= {"path": path.name, "format": "delimited", "sha256": sha256_of(path)}
        entry["options"] = {"encoding": _encoding(file), "delimiter": ","}
    (target / SURVEY_FILE).write_text(
        yaml.safe_dump(declared, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )


def write_as_spss(source: Path, target: Path) -> None:
    """Turn the CSV of a folder that `write_bulk` wrote into the .sav that the survey's own survey.yml declares.

    All answers are in memory at once, 8 bytes each, because a .sav is written as a whole.

    Parameters
    ----------
    source
        Survey folder with one file, a .sav.
    target
        Folder that `write_bulk` wrote of it; its survey.yml declares the .sav afterwards, and the CSV is gone.
    """
    folder, written = load_folder(source), load_folder(target)
    (file,), (csv,) = folder.survey.files, written.survey.files
    numbers = {c.column for c in folder.columns_of(file.file_id) if c.type in NUMBERS}
    header = pd.read_csv(target / csv.path, nrows=0, encoding=_encoding(csv)).columns
    types: dict[Hashable, str] = {name: "float64" if name in numbers else "str" for name in header}
    answers = pd.read_csv(target / csv.path, dtype=types, encoding=_encoding(csv))
    write_spss({file.file_id: answers}, folder, target / file.path)
    (target / csv.path).unlink()
    declared = yaml.safe_load((source / SURVEY_FILE).read_text(encoding="utf-8"))
    declared["files"][0]["sha256"] = sha256_of(target / file.path)
    (target / SURVEY_FILE).write_text(
        yaml.safe_dump(declared, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )


def _tables(
    folder: SurveyFolder, spec: Spec, first: int, households: int
) -> list[tuple[SurveyFile, pd.DataFrame]]:
    seed = spec.seed + first // BLOCK
    drawn, rng = draw(spec, households, seed), np.random.default_rng([seed, first])
    tables = {
        file.file_id: as_received(
            folder,
            spec,
            file.file_id,
            drawn.households if file.grain is Grain.HOUSEHOLD else drawn.rosters[file.file_id],
            rng,
            first_row=first,
        )
        for file in folder.survey.files
    }
    return list(with_household_ids(tables, folder))


def _encoding(file: SurveyFile) -> str:
    """Encoding that a CSV of the survey already has, else UTF-8."""
    return (isinstance(file.options, DelimitedOptions) and file.options.encoding) or "utf-8"
