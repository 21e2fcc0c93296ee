"""What a survey file must look like when it arrives: suites made from the survey folder, and how files meet them.

Belongs here: turning declared columns, codes and ranges into expectations on the file as received, and their outcomes.
Does not belong here: setting rows or cells aside (`survey.ingest` does, by the same declarations).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.arrays import FloatArray
from expectations.declared import EXPECTATIONS_FILE
from expectations.runner import Expectation, Outcome, check_row, run_suite
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.survey.folder import SURVEY_FILE, SurveyFolder
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.vocabulary import Column, ColumnType, Grain, SurveyFile, WaveColumn

MEAN_SHIFT_SDS = 0.5
"""A mean that moved by more than half a standard deviation since the last load is worth a look."""
COMPLETENESS_DROP = 0.1
"""As is a share of answers that fell by more than ten points."""


PROFILES = pa.schema(
    [
        *((n, pa.string()) for n in ("survey_id", "file_id", "variable")),
        *((n, pa.float64()) for n in ("answered_share", "mean", "sd")),
    ]
)
"""Columns of `raw.arrival_profiles`."""


LOAD_BEFORE = "load_before"
"""Source of an expectation that follows from what was loaded before; what is published never depends on that."""


@dataclass(frozen=True)
class ColumnProfile:
    """What one variable looked like in a load: share of answers, mean and standard deviation where numeric."""

    variable: str
    answered_share: float
    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class Looked:
    """What Great Expectations saw in the landed files of one load.

    Attributes
    ----------
    outcomes, profiles
        By file; empty where no file was looked at.
    """

    folder: SurveyFolder
    outcomes: Mapping[str, tuple[Outcome, ...]]
    profiles: Mapping[str, tuple[ColumnProfile, ...]]

    def problems(self) -> Iterator[Problem]:
        """Expectations of severity error that are not met."""
        for file in self.folder.survey.files:
            for outcome in self.outcomes.get(file.file_id, ()):
                if not outcome.is_met and outcome.expectation.severity == "error":
                    yield Problem(
                        file.path,
                        None,
                        f"expectation {outcome.expectation.name!r} is not met ({outcome.n_failed} failed; found: "
                        f"{outcome.observed}); correct the file, or the expectation in {EXPECTATIONS_FILE}",
                    )

    def checks(self) -> list[dict[str, Any]]:
        """Rows of `quality.checks`."""
        return [
            check_row(_suite_name(self.folder, file_id), outcome)
            for file_id, outcomes in self.outcomes.items()
            for outcome in outcomes
        ]

    def profile_rows(self) -> pa.Table:
        """Rows of `raw.arrival_profiles`."""
        return pa.Table.from_pylist(
            [
                {"survey_id": self.folder.survey_id, "file_id": file_id, **vars(p)}
                for file_id, profiles in self.profiles.items()
                for p in profiles
            ],
            PROFILES,
        )


def look_at(
    folder: SurveyFolder,
    landed: Mapping[str, Path],
    declared: Mapping[str, Sequence[Expectation]],
    previous: Mapping[str, Sequence[ColumnProfile]],
    kept: Kept | None = None,
) -> Looked:
    """Validate landed files against their declarations and the load before.

    Parameters
    ----------
    folder
        The survey folder.
    landed
        Files that landed, by file id; the others are not looked at.
    declared
        Expectations that the survey folder declares, by file id.
    previous
        Profiles of the load before, by file id.
    kept
        Where outcomes on the same data are kept; None for nowhere.
    """
    outcomes: dict[str, tuple[Outcome, ...]] = {}
    profiles: dict[str, tuple[ColumnProfile, ...]] = {}
    for file in folder.survey.files:
        if file.file_id not in landed:
            continue
        written = tuple(declared.get(file.file_id, ()))
        # an expectation that a person wrote may ask what can be asked of text only
        as_text = {name for expectation in written for name in expectation.columns}
        frame = as_received(folder, file, landed[file.file_id], as_text)
        suite = arrival_suite(folder, file, previous.get(file.file_id, ())) + written
        outcomes[file.file_id] = run_suite(_suite_name(folder, file.file_id), suite, frame, kept)
        profiles[file.file_id] = profile(frame)
    return Looked(folder, outcomes, profiles)


def cut_off(
    folder: SurveyFolder, n_rows: Mapping[str, int], before: Mapping[str, int], largest_share_fewer: float
) -> Iterator[Problem]:
    """Files that were copied in half: fewer rows than `fewest_rows` asks for, or far fewer than in the load before.

    Parameters
    ----------
    folder
        The survey folder.
    n_rows, before
        Rows of this load and of the one before, by file id.
    largest_share_fewer
        Fall, as a share of the load before, up to which a file without `fewest_rows` is taken as whole.
    """
    for file in folder.survey.files:
        n, former = n_rows.get(file.file_id), before.get(file.file_id, 0)
        if n is None:
            continue
        rows = f"{n} rows came of file {file.file_id!r}"
        if file.fewest_rows is not None:
            if n < file.fewest_rows:
                wanted = f"fewest_rows in {SURVEY_FILE} asks for {file.fewest_rows}"
                yield Problem(file.path, None, f"{rows}, {wanted}; copy it again, or correct the number")
        elif former - n > largest_share_fewer * former:
            yield Problem(
                file.path,
                None,
                f"{rows}, {former} in the load before: a fall of more than {largest_share_fewer:.0%} is taken for a "
                "copy that was cut off. Copy the file again; where so few are right, say "
                f"`fewest_rows: {n}` for this file in {SURVEY_FILE}",
            )


def _suite_name(folder: SurveyFolder, file_id: str) -> str:
    return f"{folder.survey_id}/{file_id}"


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
    expectations = []
    if column.type is ColumnType.CODE:
        allowed = [c.code for c in folder.codes_of(column)]
        expectations.append(
            Expectation(
                "expect_column_values_to_be_in_set",
                {"column": column.variable, "value_set": allowed},
                "warning",
            )
        )
    if column.minimum is not None or column.maximum is not None:
        bounds = {"min_value": column.minimum, "max_value": column.maximum}
        given = {k: v for k, v in bounds.items() if v is not None}
        expectations.append(
            Expectation("expect_column_values_to_be_between", {"column": column.variable, **given}, "warning")
        )
    return expectations


def _like_before(profile: ColumnProfile, is_numeric: bool) -> list[Expectation]:
    expectations = []
    floor = profile.answered_share - COMPLETENESS_DROP
    if floor > 0:
        expectations.append(
            Expectation(
                "expect_column_values_to_not_be_null",
                {"column": profile.variable, "mostly": round(floor, 6)},
                "warning",
                LOAD_BEFORE,
            )
        )
    if is_numeric and profile.mean is not None and profile.sd:
        width = MEAN_SHIFT_SDS * profile.sd
        expectations.append(
            Expectation(
                "expect_column_mean_to_be_between",
                {
                    "column": profile.variable,
                    "min_value": profile.mean - width,
                    "max_value": profile.mean + width,
                },
                "warning",
                LOAD_BEFORE,
            )
        )
    return expectations


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
    values = np.concatenate(parts) if parts else np.empty(0)
    if is_number:
        return pd.Series(values)
    numbers = np.nan_to_num(values, nan=-1).astype(np.int64)
    return pd.Series(pd.Categorical.from_codes(numbers, pd.Index([*places], dtype="object")))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()


def profile(frame: pd.DataFrame) -> tuple[ColumnProfile, ...]:
    """What this load looks like, to be compared with the next."""
    profiles = []
    for name, values in frame.items():
        numeric = pd.api.types.is_numeric_dtype(values)
        spread = float(values.std()) if numeric and values.notna().sum() > 1 else None
        centre = float(values.mean()) if numeric and values.notna().any() else None
        profiles.append(ColumnProfile(str(name), float(values.notna().mean()), centre, spread))
    return tuple(profiles)
