"""What a survey file must look like when it arrives: suites made from the survey folder.

Belongs here: turning declared columns, codes and ranges into expectations on the file as received.
Does not belong here: setting rows or cells aside (`survey.ingest` does, by the same declarations).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.arrays import FloatArray
from expectations.runner import Expectation
from relocation_warehouse.survey.folder import SurveyFolder
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.vocabulary import Column, ColumnType, Grain, SurveyFile, WaveColumn

MEAN_SHIFT_SDS = 0.5
"""A mean that moved by more than half a standard deviation since the last load is worth a look."""
COMPLETENESS_DROP = 0.1
"""As is a share of answers that fell by more than ten points."""


@dataclass(frozen=True)
class ColumnProfile:
    """What one variable looked like in a load: share of answers, mean and standard deviation where numeric."""

    variable: str
    answered_share: float
    mean: float | None
    sd: float | None


def arrival_suite(
    folder: SurveyFolder, file: SurveyFile, previous: Sequence[ColumnProfile] = ()
) -> tuple[Expectation, ...]:
    """Expectations on one file, as prepared by `as_received`.

    Parameters
    ----------
    folder
        The survey folder.
    file
        One of its files.
    previous
        Profile of the load before, if there was one; adds expectations on completeness and distribution.

    Returns
    -------
    tuple of Expectation
        Structure as errors; single rows and cells as warnings, because they are quarantined, not refused.
    """
    columns = [c for c in folder.columns_of(file.file_id) if c.variable]
    suite = [
        Expectation("expect_table_row_count_to_be_between", {"min_value": 1}, "error"),
        Expectation(
            "expect_table_columns_to_match_set",
            {"column_set": [c.variable for c in columns], "exact_match": True},
            "error",
        ),
    ]
    ids = list(file.household_id)
    suite += [Expectation("expect_column_values_to_not_be_null", {"column": v}, "warning") for v in ids]
    if file.grain is Grain.HOUSEHOLD:
        if isinstance(file.wave, WaveColumn):
            ids.append(file.wave.column)
        suite.append(_unique(ids))
    for column in columns:
        suite += _cells(folder, column)
    numeric = {c.variable for c in columns if c.type in (ColumnType.NUMBER, ColumnType.INTEGER)}
    for profile in previous:
        if profile.variable in {c.variable for c in columns}:
            suite += _like_before(profile, profile.variable in numeric)
    return tuple(suite)


def _unique(ids: Sequence[str]) -> Expectation:
    if len(ids) == 1:
        return Expectation("expect_column_values_to_be_unique", {"column": ids[0]}, "warning")
    return Expectation("expect_compound_columns_to_be_unique", {"column_list": list(ids)}, "warning")


def _cells(folder: SurveyFolder, column: Column) -> list[Expectation]:
    found = []
    if column.type is ColumnType.CODE:
        allowed = [c.code for c in folder.codes_of(column)]
        found.append(
            Expectation(
                "expect_column_values_to_be_in_set",
                {"column": column.variable, "value_set": allowed},
                "warning",
            )
        )
    if column.minimum is not None or column.maximum is not None:
        bounds = {"min_value": column.minimum, "max_value": column.maximum}
        given = {k: v for k, v in bounds.items() if v is not None}
        found.append(
            Expectation("expect_column_values_to_be_between", {"column": column.variable, **given}, "warning")
        )
    return found


def _like_before(profile: ColumnProfile, is_numeric: bool) -> list[Expectation]:
    found = []
    floor = profile.answered_share - COMPLETENESS_DROP
    if floor > 0:
        found.append(
            Expectation(
                "expect_column_values_to_not_be_null",
                {"column": profile.variable, "mostly": round(floor, 6)},
                "warning",
            )
        )
    if is_numeric and profile.mean is not None and profile.sd:
        width = MEAN_SHIFT_SDS * profile.sd
        found.append(
            Expectation(
                "expect_column_mean_to_be_between",
                {
                    "column": profile.variable,
                    "min_value": profile.mean - width,
                    "max_value": profile.mean + width,
                },
                "warning",
            )
        )
    return found


def as_received(
    folder: SurveyFolder, file: SurveyFile, landed: Path, as_text: Collection[str] = ()
) -> pd.DataFrame:
    """The used columns of a landed file under their variable names, blanks and declared missing codes empty.

    Text that is no number becomes empty in number columns: it is counted by the ingest, not here.

    Parameters
    ----------
    folder
        The survey folder.
    file
        One of its files.
    landed
        The file as it landed.
    as_text
        Variables to be given as text.

    Returns
    -------
    DataFrame
        Numbers as float64 and the rest as categories: each different answer is looked at once, and millions of rows
        take little memory.
    """
    used = [c for c in folder.columns_of(file.file_id) if c.variable is not None]
    with pq.ParquetFile(landed, read_dictionary=[c.column for c in used]) as source:
        present = set(source.schema_arrow.names)
        frame = pd.DataFrame(
            {
                str(c.variable): _values(
                    source.read([c.column]).column(c.column), c, _missing_codes(folder, c)
                )
                for c in used
                if c.column in present
            }
        )
    categories = frame.select_dtypes("category").columns
    return frame.astype({name: "object" for name in categories if name in as_text})


def _missing_codes(folder: SurveyFolder, column: Column) -> frozenset[str]:
    return frozenset(c.code for c in folder.codes_of(column) if c.missing_reason is not None)


def _values(landed: pa.ChunkedArray, column: Column, missing: frozenset[str]) -> pd.Series[Any]:
    codes = [float(c) for c in missing if _is_number(c)]
    is_number = column.type in (ColumnType.NUMBER, ColumnType.INTEGER)
    if is_number and not _is_text(landed.type):
        numbers = landed.cast(pa.float64()).to_numpy()
        return pd.Series(np.where(np.isin(numbers, codes), np.nan, numbers))
    places: dict[str, int] = {}
    parts: list[FloatArray] = []
    for chunk in landed.chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        texts = (
            encoded.dictionary if _is_text(landed.type) else map(cell_text, encoded.dictionary.to_pylist())
        )
        answers = pd.Series(texts, dtype="str").str.strip()
        answers = answers.mask(answers.isin(["", *missing]))
        if is_number:
            meant = pd.to_numeric(answers, errors="coerce").to_numpy(dtype=float)
            meant = np.where(np.isin(meant, codes), np.nan, meant)
        else:
            numbered = answers.map(lambda answer: places.setdefault(answer, len(places)), na_action="ignore")
            meant = numbered.to_numpy(dtype=float)
        # the last place stands for a cell without an answer
        parts.append(np.append(meant, np.nan)[encoded.indices.fill_null(len(meant)).to_numpy()])
    found = np.concatenate(parts) if parts else np.empty(0)
    if is_number:
        return pd.Series(found)
    numbers = np.nan_to_num(found, nan=-1).astype(np.int64)
    return pd.Series(pd.Categorical.from_codes(numbers, pd.Index([*places], dtype="object")))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()


def profile(frame: pd.DataFrame) -> tuple[ColumnProfile, ...]:
    """What this load looks like, to be compared with the next."""
    found = []
    for name, values in frame.items():
        numeric = pd.api.types.is_numeric_dtype(values)
        spread = float(values.std()) if numeric and values.notna().sum() > 1 else None
        centre = float(values.mean()) if numeric and values.notna().any() else None
        found.append(ColumnProfile(str(name), float(values.notna().mean()), centre, spread))
    return tuple(found)
