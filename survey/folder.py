"""Read a survey folder and say everything that is wrong with it at once.

Belongs here: the files of the folder as typed rows with their line numbers, and the checks between them.
Does not belong here: the survey's data files (`readers`, `ingest`), or the meaning of a field (`vocabulary`).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from survey.vocabulary import (
    ROSTER_RULES,
    Code,
    Column,
    Correction,
    CrosswalkRow,
    Grain,
    Rule,
    Survey,
    WaveColumn,
)

SURVEY_FILE = "survey.yml"
TABLES = ("columns.csv", "codes.csv", "crosswalk.csv", "corrections.csv")

Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a folder, where it is and what to do."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{place}: {self.message}"


class SurveyFolderError(ValueError):
    """A folder that cannot be used; carries every problem found."""

    def __init__(self, folder: Path, problems: Iterable[Problem]) -> None:
        self.folder = folder
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.message)))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"survey folder {folder.name} has {len(self.problems)} problem(s):\n{lines}")


@dataclass(frozen=True)
class SurveyFolder:
    """Everything a survey folder declares.

    Attributes
    ----------
    path
        The folder.
    survey
        `survey.yml`.
    columns, codes, crosswalk, corrections
        The rows of the CSV files, in file order.
    """

    path: Path
    survey: Survey
    columns: tuple[Column, ...]
    codes: tuple[Code, ...]
    crosswalk: tuple[CrosswalkRow, ...]
    corrections: tuple[Correction, ...]

    @property
    def survey_id(self) -> str:
        """Id of the survey, which is also the folder's name."""
        return self.survey.survey_id

    @cached_property
    def code_lists(self) -> Mapping[str, tuple[Code, ...]]:
        """Codes by list."""
        lists: dict[str, list[Code]] = {}
        for code in self.codes:
            lists.setdefault(code.list, []).append(code)
        return {name: tuple(codes) for name, codes in lists.items()}

    @cached_property
    def variables(self) -> Mapping[tuple[str, str], Column]:
        """Used columns by (file_id, variable)."""
        return {(c.file_id, c.variable): c for c in self.columns if c.variable is not None}

    def columns_of(self, file_id: str) -> tuple[Column, ...]:
        """Declared columns of one file, used and ignored."""
        return tuple(c for c in self.columns if c.file_id == file_id)

    def codes_of(self, column: Column) -> tuple[Code, ...]:
        """Every answer allowed in a column, from all its code lists."""
        return tuple(code for name in column.codes for code in self.code_lists[name])

    def rows_of(self, wave: str) -> Mapping[str, CrosswalkRow]:
        """Crosswalk rows of a wave by indicator; a row for the wave goes before one for all waves."""
        rows = {r.indicator_id: r for r in self.crosswalk if r.wave == "*"}
        rows |= {r.indicator_id: r for r in self.crosswalk if r.wave == wave}
        return rows

    def resolve(self, source: str, wave: str) -> tuple[str, str]:
        """(file_id, variable) of a crosswalk source in a wave.

        Raises
        ------
        KeyError
            No such variable; the message says which are there.
        """
        if "." in source:
            file_id, variable = source.split(".", 1)
        else:
            file_id, variable = self.survey.household_files(wave)[0].file_id, source
        if (file_id, variable) not in self.variables:
            raise KeyError(f"no variable {variable!r} in file {file_id!r} (columns.csv)")
        return file_id, variable

    def digest(self) -> str:
        """sha256 over every declaring file and every data file: what this survey's numbers depend on."""
        total = hashlib.sha256()
        names = [SURVEY_FILE, *TABLES, *sorted({f.path for f in self.survey.files})]
        for name in names:
            path = self.path / name
            total.update(name.encode())
            total.update(sha256_of(path).encode() if path.exists() else b"absent")
        return total.hexdigest()


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def list_survey_folders(surveys: Path) -> tuple[Path, ...]:
    """Folders under `surveys` that hold a `survey.yml`, in the order of their names."""
    return tuple(sorted(p.parent for p in surveys.glob(f"*/{SURVEY_FILE}")))


def load_folder(path: Path, indicator_ids: Iterable[str] | None = None) -> SurveyFolder:
    """Read and cross-check a survey folder.

    Parameters
    ----------
    path
        The folder.
    indicator_ids
        Ids of the catalog; where given, the crosswalk must speak of each of them in each wave.

    Raises
    ------
    SurveyFolderError
        With every problem, each with file and line.
    """
    problems: list[Problem] = []
    survey = _load_survey(path, problems)
    columns = _load_rows(path, "columns.csv", Column, problems, lists=("codes",))
    codes = _load_rows(path, "codes.csv", Code, problems)
    crosswalk = _load_rows(path, "crosswalk.csv", CrosswalkRow, problems, lists=("sources",))
    corrections = _load_rows(path, "corrections.csv", Correction, problems)
    if survey is None or any(rows is None for rows in (columns, codes, crosswalk, corrections)):
        raise SurveyFolderError(path, problems)
    folder = SurveyFolder(
        path=path,
        survey=survey,
        columns=tuple(row for _, row in columns or ()),
        codes=tuple(row for _, row in codes or ()),
        crosswalk=tuple(row for _, row in crosswalk or ()),
        corrections=tuple(row for _, row in corrections or ()),
    )
    problems += _check_survey(folder)
    problems += _check_columns(folder, [line for line, _ in columns or ()])
    problems += _check_codes(folder, [line for line, _ in codes or ()])
    problems += _check_corrections(folder, [line for line, _ in corrections or ()])
    problems += _check_crosswalk(folder, [line for line, _ in crosswalk or ()], indicator_ids)
    if problems:
        raise SurveyFolderError(path, problems)
    return folder


def _load_survey(path: Path, problems: list[Problem]) -> Survey | None:
    file = path / SURVEY_FILE
    if not file.exists():
        problems.append(Problem(SURVEY_FILE, None, "file is missing; every survey folder needs one"))
        return None
    try:
        data = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        problems.append(
            Problem(SURVEY_FILE, mark.line + 1 if mark else None, f"not readable as YAML: {error}")
        )
        return None
    try:
        survey = Survey.model_validate(data)
    except ValidationError as error:
        problems += [Problem(SURVEY_FILE, None, message) for message in _messages(error)]
        return None
    if survey.survey_id != path.name:
        problems.append(
            Problem(
                SURVEY_FILE, None, f"survey_id {survey.survey_id!r} differs from the folder {path.name!r}"
            )
        )
    return survey


def _load_rows(
    path: Path, name: str, model: type[Row], problems: list[Problem], lists: tuple[str, ...] = ()
) -> list[tuple[int, Row]] | None:
    """Rows of a CSV file with their line numbers; None where the file itself cannot be read."""
    file = path / name
    if not file.exists():
        problems.append(Problem(name, None, "file is missing; an empty one has its header line only"))
        return None
    rows: list[tuple[int, Row]] = []
    before = len(problems)
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            unknown = set(reader.fieldnames or ()) - set(model.model_fields)
            if unknown:
                known = ", ".join(model.model_fields)
                problems.append(Problem(name, 1, f"unknown column(s) {sorted(unknown)}; known are {known}"))
                return None
            for record in reader:
                if None in record or None in record.values():
                    problems.append(
                        Problem(name, reader.line_num, "row has more or fewer cells than the header")
                    )
                    continue
                cells: dict[str, object] = {k: v.strip() for k, v in record.items() if v.strip() != ""}
                cells |= {k: str(cells[k]).split() for k in lists if k in cells}
                try:
                    rows.append((reader.line_num, model.model_validate(cells)))
                except ValidationError as error:
                    problems += [Problem(name, reader.line_num, message) for message in _messages(error)]
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(Problem(name, None, f"not readable as UTF-8 CSV: {error}"))
    return rows if len(problems) == before else None


def _messages(error: ValidationError) -> list[str]:
    """What pydantic found, in words: the field, the value, the rule."""
    messages = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        what = item["msg"].removeprefix("Value error, ")
        given = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
        messages.append(f"{where + ': ' if where else ''}{what}{given}")
    return messages


def _check_survey(folder: SurveyFolder) -> list[Problem]:
    problems = []
    survey = folder.survey
    base = survey.files[0].file_id
    for file in survey.files:
        needed = [*file.household_id]
        if isinstance(file.wave, WaveColumn):
            needed.append(file.wave.column)
            codes = folder.code_lists.get(file.wave.codes, ())
            waves = {w.wave for w in survey.waves}
            if not codes:
                problems.append(
                    Problem(SURVEY_FILE, None, f"wave codes {file.wave.codes!r} are not in codes.csv")
                )
            for code in codes:
                if code.value is not None and code.value not in waves:
                    problems.append(
                        Problem(
                            "codes.csv",
                            None,
                            f"list {code.list}: value {code.value!r} is no wave of {sorted(waves)}",
                        )
                    )
        for variable in needed:
            if (file.file_id, variable) not in folder.variables:
                problems.append(
                    Problem(
                        SURVEY_FILE,
                        None,
                        f"file {file.file_id}: {variable!r} is not a variable in columns.csv",
                    )
                )
    for wave in survey.waves:
        if not survey.household_files(wave.wave):
            problems.append(Problem(SURVEY_FILE, None, f"wave {wave.wave}: no file with grain household"))
    if (base, survey.site.column) not in folder.variables:
        problems.append(
            Problem(SURVEY_FILE, None, f"site column {survey.site.column!r} is not a variable of file {base}")
        )
    sites = {s.site_id for s in survey.sites}
    codes = folder.code_lists.get(survey.site.codes, ())
    if not codes:
        problems.append(Problem(SURVEY_FILE, None, f"site codes {survey.site.codes!r} are not in codes.csv"))
    for code in codes:
        if code.value is not None and code.value not in sites:
            problems.append(
                Problem("codes.csv", None, f"list {code.list}: {code.value!r} is no site of survey.yml")
            )
    if survey.sampling_weight and (base, survey.sampling_weight) not in folder.variables:
        problems.append(
            Problem(
                SURVEY_FILE, None, f"sampling_weight {survey.sampling_weight!r} is not a variable of {base}"
            )
        )
    return problems


def _check_columns(folder: SurveyFolder, lines: list[int]) -> list[Problem]:
    problems = []
    files = {f.file_id for f in folder.survey.files}
    headers = Counter((c.file_id, c.column) for c in folder.columns)
    names = Counter((c.file_id, c.variable) for c in folder.columns if c.variable)
    for line, column in zip(lines, folder.columns, strict=True):
        if column.file_id not in files:
            problems.append(Problem("columns.csv", line, f"file_id {column.file_id!r} is not in survey.yml"))
        if headers[column.file_id, column.column] > 1:
            problems.append(Problem("columns.csv", line, f"column {column.column!r} is declared twice"))
        if column.variable and names[column.file_id, column.variable] > 1:
            problems.append(Problem("columns.csv", line, f"variable {column.variable!r} is declared twice"))
        problems += [
            Problem("columns.csv", line, f"code list {name!r} is not in codes.csv")
            for name in column.codes
            if name not in folder.code_lists
        ]
    return problems


def _check_codes(folder: SurveyFolder, lines: list[int]) -> list[Problem]:
    counts = Counter((c.list, c.code) for c in folder.codes)
    return [
        Problem("codes.csv", line, f"code {code.code!r} stands twice in list {code.list}")
        for line, code in zip(lines, folder.codes, strict=True)
        if counts[code.list, code.code] > 1
    ]


def _check_corrections(folder: SurveyFolder, lines: list[int]) -> list[Problem]:
    return [
        Problem("corrections.csv", line, f"{c.file_id}.{c.variable} is not a variable in columns.csv")
        for line, c in zip(lines, folder.corrections, strict=True)
        if (c.file_id, c.variable) not in folder.variables
    ]


def _check_crosswalk(
    folder: SurveyFolder, lines: list[int], indicator_ids: Iterable[str] | None
) -> list[Problem]:
    problems = []
    waves = [w.wave for w in folder.survey.waves]
    known = None if indicator_ids is None else set(indicator_ids)
    counts = Counter((r.wave, r.indicator_id) for r in folder.crosswalk)
    used: set[tuple[str, str]] = set()
    for line, row in zip(lines, folder.crosswalk, strict=True):
        if row.wave != "*" and row.wave not in waves:
            problems.append(Problem("crosswalk.csv", line, f"wave {row.wave!r} is not one of {waves}"))
            continue
        if known is not None and row.indicator_id not in known:
            problems.append(
                Problem("crosswalk.csv", line, f"indicator {row.indicator_id!r} is not in the catalog")
            )
        if counts[row.wave, row.indicator_id] > 1:
            problems.append(
                Problem("crosswalk.csv", line, f"{row.indicator_id} stands twice for wave {row.wave}")
            )
        if row.codes is not None and row.codes not in folder.code_lists:
            problems.append(Problem("crosswalk.csv", line, f"code list {row.codes!r} is not in codes.csv"))
        for wave in waves if row.wave == "*" else [row.wave]:
            for source in row.sources:
                try:
                    file_id, variable = folder.resolve(source, wave)
                except KeyError as error:
                    problems.append(Problem("crosswalk.csv", line, str(error.args[0])))
                    continue
                used.add((file_id, variable))
                file = next(f for f in folder.survey.files if f.file_id == file_id)
                if file.grain is Grain.MEMBER and row.rule not in ROSTER_RULES:
                    problems.append(
                        Problem(
                            "crosswalk.csv",
                            line,
                            f"{source} is from a roster; rule {row.rule} gives no single value a household "
                            f"(use one of {', '.join(sorted(ROSTER_RULES - {Rule.EXPRESSION}))})",
                        )
                    )
    for wave in waves:
        absent = sorted((known or set()) - set(folder.rows_of(wave)))
        if absent:
            problems.append(
                Problem(
                    "crosswalk.csv",
                    None,
                    f"wave {wave} lacks {', '.join(absent)}; say not_asked (with evidence) or undetermined",
                )
            )
    return list(dict.fromkeys(problems)) + _unused_variables(folder, used)


def _unused_variables(folder: SurveyFolder, used: set[tuple[str, str]]) -> list[Problem]:
    """A variable that nothing uses is an oversight: nothing is dropped in silence."""
    survey = folder.survey
    for file in survey.files:
        used |= {(file.file_id, v) for v in file.household_id}
        if isinstance(file.wave, WaveColumn):
            used.add((file.file_id, file.wave.column))
        used.add((file.file_id, survey.site.column))
        if survey.sampling_weight:
            used.add((file.file_id, survey.sampling_weight))
    return [
        Problem(
            "columns.csv",
            None,
            f"{f}.{v} is not used; map it in crosswalk.csv or give an ignore_reason",
        )
        for f, v in sorted(set(folder.variables) - used)
    ]
