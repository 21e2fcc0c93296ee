"""Read a survey folder and say everything that is wrong with it at once.

Belongs here: the files of the folder as typed rows with their line numbers, and the checks between them.
Does not belong here: the survey's data files (`readers`, `ingest`), or the meaning of a field (`vocabulary`).
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from rapidfuzz import fuzz, process

from relocation_warehouse.ground.paths import is_text
from relocation_warehouse.survey.documents import YAMLError, line_of, read_strange_yaml, require_own
from relocation_warehouse.survey.problems import Problem, SurveyFolderError
from relocation_warehouse.survey.vocabulary import (
    IN_COLUMN,
    IS_FIXED,
    ROSTER_RULES,
    WAVE_NAME,
    Code,
    Column,
    ColumnType,
    Convention,
    Correction,
    CrosswalkRow,
    Design,
    FixedSite,
    Grain,
    Misplaced,
    Rule,
    Site,
    SiteColumn,
    Status,
    Survey,
    SurveyFile,
    Wave,
    WaveColumn,
    as_number,
)

SURVEY_FILE = "survey.yml"
TABLES = ("columns.csv", "codes.csv", "crosswalk.csv", "corrections.csv")

BLANK = "FILL_IN"
"""Stands where `new-survey` could not know the answer; a folder that still holds one is refused, with the line."""

NUMBERS = (ColumnType.NUMBER, ColumnType.INTEGER)

COUNTED = ("sampling_weight", "weight", "population_units", "unit_households")
"""What the sampling design counts: the variable named must be a number."""

NO_SHA256 = "no sha256"
"""What a `.sha256` file says that holds none; no file hashes to it."""

ALIKE = 60
"""Likeness (0 to 100) from which a name is offered in place of a misspelt one."""

ADDED_LATER = "added after this survey was mapped"
"""Evidence of `not_asked` where the crosswalk has no row of an indicator, until somebody gives one."""

Row = TypeVar("Row", bound=BaseModel)


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
    lines
        By name of a CSV file: the line on which each of its rows ends.
    inbox
        Where newer files of the survey arrive; None where it has no inbox.
    """

    path: Path
    survey: Survey
    columns: tuple[Column, ...]
    codes: tuple[Code, ...]
    crosswalk: tuple[CrosswalkRow, ...]
    corrections: tuple[Correction, ...]
    lines: Mapping[str, tuple[int, ...]] = field(default_factory=dict, compare=False)
    inbox: Path | None = None

    @property
    def not_mapped(self) -> tuple[str, ...]:
        """Indicators without a row in the crosswalk: they were added to the catalog after the survey was mapped."""
        return tuple(row.indicator_id for row in self.crosswalk if row.evidence == ADDED_LATER)

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

    @cached_property
    def crosswalk_lines(self) -> Mapping[tuple[str, str], int]:
        """Line of `crosswalk.csv` by (wave or *, indicator_id)."""
        rows = zip(self.crosswalk, self.lines["crosswalk.csv"], strict=True)
        return {(row.wave, row.indicator_id): line for row, line in rows}

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
        return {indicator_id: row.in_wave(wave) for indicator_id, row in rows.items()}

    def resolve(self, source: str, wave: str) -> tuple[str, str]:
        """(file_id, variable) of a crosswalk source in a wave.

        Raises
        ------
        KeyError
            No such variable; the message says which are there.
        """
        source = source.replace(WAVE_NAME, wave)
        if "." in source:
            file_id, variable = source.split(".", 1)
        else:
            file_id, variable = self.survey.household_files(wave)[0].file_id, source
        if (file_id, variable) not in self.variables:
            known = [v for f, v in self.variables if f == file_id]
            raise KeyError(
                f"no variable {variable!r} in file {file_id!r} (columns.csv){suggestion(variable, known)}"
            )
        return file_id, variable

    def root_of(self, file: SurveyFile) -> Path:
        """Folder that `file.path` is in: the inbox where something arrived for it, else the survey folder."""
        if self.inbox is not None and (self.inbox / file.path).is_file():
            return self.inbox
        return self.path

    def expected_sha256(self, file: SurveyFile) -> tuple[str | None, str]:
        """What a file must hash to, if that is said, and who says it.

        `survey.yml` binds the file in the survey folder only; one in the inbox may have `<name>.sha256` beside it,
        as `sha256sum` writes it.
        """
        root = self.root_of(file)
        if root == self.path:
            return file.sha256, SURVEY_FILE
        beside = root / f"{file.path}.sha256"
        if not beside.is_file():
            return None, beside.name
        # A file that holds no checksum says nothing: its words must not come back in a message.
        text = (
            "" if beside.is_symlink() else beside.read_text(encoding="utf-8", errors="replace")[:100].lower()
        )
        match = re.match(r"\s*\\?([0-9a-f]{64})\b", text)
        return match[1] if match else NO_SHA256, beside.name


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of a misspelt name: "; did you mean 'x'?", or nothing where none is alike."""
    best = process.extractOne(name, sorted(known), scorer=fuzz.ratio, score_cutoff=ALIKE)
    return f"; did you mean {best[0]!r}?" if best else ""


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def list_survey_folders(surveys: Path) -> tuple[Path, ...]:
    """Folders under `surveys` that hold a `survey.yml`, in the order of their names.

    One whose name is not UTF-8 can be no survey: `misnamed_folders` gives it.
    """
    return tuple(sorted(p.parent for p in surveys.glob(f"*/{SURVEY_FILE}") if is_text(p.parent.name)))


def misnamed_folders(surveys: Path) -> tuple[str, ...]:
    """Names of folders that are not UTF-8, in ASCII with escapes."""
    names = (p.parent.name for p in surveys.glob(f"*/{SURVEY_FILE}"))
    return tuple(sorted(ascii(name) for name in names if not is_text(name)))


def load_folder(
    path: Path, indicator_ids: Iterable[str] | None = None, inbox: Path | None = None
) -> SurveyFolder:
    """Read and cross-check a survey folder.

    Parameters
    ----------
    path
        The folder.
    indicator_ids
        Ids of the catalog; where given, the crosswalk must have a row for each of them in each wave, or none: then it
        is `not_asked`, as one that was added later.
    inbox
        Where newer files of the survey arrive; one of the same path goes before the folder's own.

    Raises
    ------
    SurveyFolderError
        With every problem, each with file and line.
    """
    problems: list[Problem] = []
    if inbox is not None and inbox.is_symlink():
        said = "the survey's folder in the inbox is a link, which is not followed; make a folder, put the files there"
        problems.append(Problem(inbox.name, None, said))
    wanted = None if indicator_ids is None else tuple(indicator_ids)
    survey = _load_survey(path, problems)
    columns = _load_rows(path, "columns.csv", Column, problems, lists=("codes",))
    codes = _load_rows(path, "codes.csv", Code, problems)
    crosswalk = _load_rows(path, "crosswalk.csv", CrosswalkRow, problems, lists=("sources",))
    corrections = _load_rows(path, "corrections.csv", Correction, problems)
    if survey is None or columns is None or codes is None or crosswalk is None or corrections is None:
        raise SurveyFolderError(path, problems)
    mapped = {row.indicator_id for _, row in crosswalk}
    crosswalk += [(0, _not_mapped(i)) for i in wanted or () if mapped and i not in mapped]
    folder = SurveyFolder(
        path=path,
        survey=survey,
        columns=tuple(row for _, row in columns),
        codes=tuple(row for _, row in codes),
        crosswalk=tuple(row for _, row in crosswalk),
        corrections=tuple(row for _, row in corrections),
        lines={
            "columns.csv": tuple(line for line, _ in columns),
            "codes.csv": tuple(line for line, _ in codes),
            "crosswalk.csv": tuple(line for line, _ in crosswalk),
            "corrections.csv": tuple(line for line, _ in corrections),
        },
        inbox=inbox,
    )
    contradictions = [
        *_check_survey(folder),
        *_check_columns(folder),
        *_check_codes(folder),
        *_check_contradictions(folder),
        *_check_corrections(folder),
        *_check_crosswalk(folder, wanted),
    ]
    problems += [p for p in contradictions if repr(BLANK) not in p.message]
    if problems:
        raise SurveyFolderError(path, problems)
    return folder


def _not_mapped(indicator_id: str) -> CrosswalkRow:
    """What holds for an indicator without a row of the crosswalk in any wave."""
    return CrosswalkRow(
        wave="*",
        indicator_id=indicator_id,
        rule=Rule.NOT_ASKED,
        status=Status.NOT_ASKED,
        evidence=ADDED_LATER,
    )


def _load_survey(path: Path, problems: list[Problem]) -> Survey | None:
    """`survey.yml`; with mistakes, as much of it as the other files are checked against, or None."""
    file = path / SURVEY_FILE
    if not file.exists():
        problems.append(Problem(SURVEY_FILE, None, "file is missing; every survey folder needs one"))
        return None
    try:
        data = read_strange_yaml(file)
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        mark = getattr(error, "problem_mark", None)
        problems.append(
            Problem(SURVEY_FILE, mark.line + 1 if mark else None, f"not readable as YAML: {error}")
        )
        return None
    problems += [
        Problem(SURVEY_FILE, line_of(file, place), f"{_dotted(place)} is still to be filled in")
        for place in _blanks(data)
    ]
    try:
        survey = Survey.model_validate(data)
    except ValidationError as error:
        problems += [
            Problem(SURVEY_FILE, line_of(file, place_of(item)), message)
            for item, message in messages(error)
            if item["input"] != BLANK
        ]
        return _salvaged(data)
    if survey.survey_id != path.name:
        message = (
            f"survey_id {survey.survey_id!r} differs from the folder {path.name!r}; no two surveys have the same id: "
            f"write survey_id: {path.name}, or rename the folder"
        )
        problems.append(Problem(SURVEY_FILE, line_of(file, ("survey_id",)), message))
    return survey


def _blanks(node: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Places of a YAML document that still hold the mark of a blank."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _blanks(value, (*place, key))
    elif isinstance(node, str):
        if BLANK in node:
            yield place
    elif isinstance(node, Sequence):
        for position, value in enumerate(node):
            yield from _blanks(value, (*place, position))


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place))


def _salvaged(data: Any) -> Survey | None:
    """What the CSV files are checked against, where it can be made out in spite of the mistakes."""
    try:
        files = TypeAdapter(tuple[SurveyFile, ...]).validate_python(data["files"])
        parts: dict[str, Any] = {
            "files": files,
            "waves": tuple(_lenient(Wave, item) for item in data["waves"]),
            "sites": tuple(_lenient(Site, item) for item in data["sites"]),
            "site": _lenient(FixedSite if "fixed" in data["site"] else SiteColumn, data["site"]),
            "sampling_weight": data.get("sampling_weight"),
        }
        for name, kind in (("design", Design), ("conventions", dict[str, Convention])):
            with suppress(ValidationError):
                parts[name] = TypeAdapter(kind).validate_python(data.get(name, {}))
    except (ValidationError, KeyError, TypeError, AttributeError):
        return None
    names = [*(w.wave for w in parts["waves"]), *(s.site_id for s in parts["sites"])]
    names += vars(parts["site"]).values()
    if not all(isinstance(name, str) for name in names):
        return None
    return Survey.model_construct(**parts) if files and parts["waves"] else None


def _lenient(kind: type[Row], item: Mapping[str, Any]) -> Row:
    """An entry that has its fields, whatever is in them."""
    required = {name for name, f in kind.model_fields.items() if f.is_required()}
    if not required <= set(item):
        raise KeyError(kind.__name__)
    return kind.model_construct(**{name: item[name] for name in kind.model_fields if name in item})


def _load_rows(
    path: Path, name: str, model: type[Row], problems: list[Problem], lists: tuple[str, ...] = ()
) -> list[tuple[int, Row]] | None:
    """Rows of a CSV file with their line numbers; None where the file itself cannot be read.

    A row with a mistake still stands for its name, so that what refers to it is no second mistake.
    """
    file = path / name
    if not file.exists():
        problems.append(Problem(name, None, "file is missing; an empty one has its header line only"))
        return None
    rows: list[tuple[int, Row]] = []
    try:
        require_own(file)
        with file.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            unknown = sorted(set(reader.fieldnames or ()) - set(model.model_fields))
            if unknown:
                known = ", ".join(model.model_fields)
                hints = "".join(suggestion(u, model.model_fields) for u in unknown)
                problems.append(Problem(name, 1, f"unknown column(s) {unknown}{hints}; known are {known}"))
                return None
            for record in reader:
                line = reader.line_num
                if None in record or None in record.values():
                    problems.append(Problem(name, line, "row has more or fewer cells than the header"))
                    continue
                cells: dict[str, Any] = {k: v.strip() for k, v in record.items() if v.strip() != ""}
                blanks = [k for k, v in cells.items() if v == BLANK]
                problems += [Problem(name, line, f"{k} is still to be filled in") for k in blanks]
                cells |= {k: tuple(str(cells[k]).split()) for k in lists if k in cells}
                try:
                    rows.append((line, model.model_validate(cells)))
                except ValidationError as error:
                    if not blanks:
                        problems += [Problem(name, line, message) for _, message in messages(error)]
                    with suppress(KeyError):
                        rows.append((line, _lenient(model, cells)))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        problems.append(Problem(name, None, f"not readable as UTF-8 CSV: {why}"))
        return None
    return rows


def place_of(item: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where in a document a mistake is that pydantic found."""
    error = item.get("ctx", {}).get("error")
    return error.place if isinstance(error, Misplaced) else _said(item["loc"])


def _said(place: Sequence[str | int]) -> tuple[str | int, ...]:
    """A place without the way that a field is said in."""
    return tuple(part for part in place if part not in (IS_FIXED, IN_COLUMN))


def messages(error: ValidationError) -> Iterator[tuple[Any, str]]:
    """What pydantic found, each with words for it: the field, the value, the rule, what to write instead."""
    for item in error.errors(include_url=False):
        where = _dotted(_said(item["loc"]))
        what = item["msg"].removeprefix("Value error, ")
        given = "" if isinstance(item["input"], Mapping) else f" (given: {item['input']!r})"
        hint = ""
        if item["type"] == "extra_forbidden":
            what = f"no such field{suggestion(str(item['loc'][-1]), _field_names())}"
        elif item["type"] in ("enum", "literal_error"):
            hint = suggestion(str(item["input"]), re.findall(r"'([^']*)'", str(item["ctx"]["expected"])))
        yield item, f"{where + ': ' if where else ''}{what}{given}{hint}"


def _field_names() -> set[str]:
    """Every name that a field of `survey.yml` may have."""
    schema = Survey.model_json_schema()
    kinds = [schema, *schema["$defs"].values()]
    return {name for kind in kinds for name in kind.get("properties", ())}


def _check_survey(folder: SurveyFolder) -> list[Problem]:
    survey, problems = folder.survey, list[Problem]()

    def mistake(place: tuple[str | int, ...], message: str) -> None:
        problems.append(Problem(SURVEY_FILE, line_of(folder.path / SURVEY_FILE, place), message))

    asked = [w for w in survey.waves if survey.household_files(w.wave)]
    # a document with mistakes may give an order that is no number
    first = min(asked, key=lambda w: w.order if isinstance(w.order, int) else 0, default=None)
    base = (survey.base_file(first.wave) if first else survey.files[0]).file_id
    needed: list[tuple[str, str, str, tuple[str | int, ...]]]
    needed = []
    for what, name, wave_name, place in _sampling_variables(survey):
        try:
            file_id, variable = folder.resolve(name, wave_name)
        except KeyError as error:
            mistake(place, f"{what} {name!r} is not a variable: {error.args[0]}")
            continue
        column = folder.variables[file_id, variable]
        if file_id in {f.file_id for f in survey.roster_files(wave_name)}:
            mistake(place, f"{what} {name!r} is of a roster; name a variable with one answer a household")
        elif what in COUNTED and column.type not in (ColumnType.NUMBER, ColumnType.INTEGER):
            mistake(place, f"{what} {name!r} is of type {column.type}; it must be a number")
    mapped: list[tuple[str, str, list[str], tuple[str | int, ...]]]
    mapped = []
    if isinstance(survey.site, SiteColumn):
        needed.append((base, "site column", survey.site.column, ("site", "column")))
        mapped.append(("site", survey.site.codes, [s.site_id for s in survey.sites], ("site", "codes")))
    for i, file in enumerate(survey.files):
        needed += [
            (file.file_id, "household_id", variable, ("files", i, "household_id", k))
            for k, variable in enumerate(file.household_id)
        ]
        needed += [
            (file.file_id, "split_from", variable, ("files", i, "split_from", k))
            for k, variable in enumerate(file.split_from)
        ]
        if isinstance(file.wave, WaveColumn):
            needed.append((file.file_id, "wave column", file.wave.column, ("files", i, "wave", "column")))
            waves = [w.wave for w in survey.waves]
            mapped.append(("wave", file.wave.codes, waves, ("files", i, "wave", "codes")))
    for file_id, what, variable, place in needed:
        if (file_id, variable) not in folder.variables:
            hint = suggestion(variable, (v for f, v in folder.variables if f == file_id))
            mistake(place, f"file {file_id}: {what} {variable!r} is not a variable in columns.csv{hint}")
    for what, name, names, place in mapped:
        if name not in folder.code_lists:
            mistake(place, f"{what} codes {name!r} are not in codes.csv{suggestion(name, folder.code_lists)}")
        for line, code in zip(folder.lines["codes.csv"], folder.codes, strict=True):
            if code.list == name and code.bounds is not None:
                message = (
                    f"list {name}: {code.code!r} is a range, but a {what} is named by single codes; list each"
                )
                problems.append(Problem("codes.csv", line, message))
            if code.list == name and code.value is not None and code.value not in names:
                message = (
                    f"list {name}: {code.value!r} is no {what} of survey.yml{suggestion(code.value, names)}"
                )
                problems.append(Problem("codes.csv", line, message))
    for i, wave in enumerate(survey.waves):
        if not survey.household_files(wave.wave):
            mistake(("waves", i), f"wave {wave.wave}: no file with grain household")
    return list(dict.fromkeys(problems))


def _sampling_variables(survey: Survey) -> Iterator[tuple[str, str, str, tuple[str | int, ...]]]:
    """Field, variable, wave and place in `survey.yml` of everything that the sampling design names."""
    for wave in (w.wave for w in survey.waves if survey.household_files(w.wave)):
        special = survey.design.waves.get(wave)
        for what, names in survey.sampling(wave).names.items():
            place: tuple[str | int, ...] = ("design", what)
            if special is not None and what in special.model_fields_set:
                place = ("design", "waves", wave, what)
            elif what == "weight" and survey.sampling_weight:
                place = ("sampling_weight",)
            yield from ((str(place[-1]), name, wave, place) for name in names)


def _check_columns(folder: SurveyFolder) -> list[Problem]:
    problems = []
    files = {f.file_id for f in folder.survey.files}
    headers = Counter((c.file_id, c.column) for c in folder.columns)
    names = Counter((c.file_id, c.variable) for c in folder.columns if c.variable)
    for line, column in zip(folder.lines["columns.csv"], folder.columns, strict=True):
        if column.file_id not in files:
            hint = suggestion(column.file_id, files)
            problems.append(
                Problem("columns.csv", line, f"file_id {column.file_id!r} is not in survey.yml{hint}")
            )
        if headers[column.file_id, column.column] > 1:
            problems.append(Problem("columns.csv", line, f"column {column.column!r} is declared twice"))
        if column.variable and names[column.file_id, column.variable] > 1:
            problems.append(Problem("columns.csv", line, f"variable {column.variable!r} is declared twice"))
        how = folder.survey.conventions.get(column.convention or "")
        if column.convention and how is None:
            hint = suggestion(column.convention, folder.survey.conventions)
            problems.append(
                Problem("columns.csv", line, f"convention {column.convention!r} is not in survey.yml{hint}")
            )
        elif how is not None and bool(how.dates) != (column.type is ColumnType.DATE):
            kind = "days" if how.dates else "numbers"
            message = (
                f"convention {column.convention!r} is for {kind}, but the column is of type {column.type}"
            )
            problems.append(Problem("columns.csv", line, message))
        problems += [
            Problem(
                "columns.csv",
                line,
                f"code list {name!r} is not in codes.csv{suggestion(name, folder.code_lists)}",
            )
            for name in column.codes
            if name not in folder.code_lists
        ]
    return problems


def _check_codes(folder: SurveyFolder) -> list[Problem]:
    counts = Counter((c.list, c.code) for c in folder.codes)
    return [
        Problem("codes.csv", line, f"code {code.code!r} occurs twice in list {code.list}")
        for line, code in zip(folder.lines["codes.csv"], folder.codes, strict=True)
        if counts[code.list, code.code] > 1
    ]


def _check_contradictions(folder: SurveyFolder) -> list[Problem]:
    """Codes of one column that mean two things: whichever stood first would win.

    A single code inside a range of answers is none of them: 99 may be "refused" beside "60..". Nor are ranges of
    numbers that need not be whole and share an end: the first has it.
    """
    lines = dict(zip(map(id, folder.codes), folder.lines["codes.csv"], strict=True))
    problems: dict[tuple[str, int], Problem] = {}
    for column in folder.columns:
        if column.variable is None or any(name not in folder.code_lists for name in column.codes):
            continue
        codes = sorted(folder.codes_of(column), key=lambda c: lines[id(c)])
        exact: dict[str | float, list[Code]] = {}
        for code in codes:
            if code.bounds is None:
                number = as_number(code.code) if column.type in NUMBERS else None
                exact.setdefault(code.code if number is None else number, []).append(code)
        ranges = [c for c in codes if c.bounds is not None]
        pairs = [(first, second) for same in exact.values() for first, second in pairwise(same)]
        pairs += [
            (first, second)
            for second in ranges
            for first in codes
            if first is not second
            and (first.missing_reason is None or first.bounds is not None)
            and second.overlaps(first.bounds_or_code)
            and (first.bounds is None or lines[id(first)] < lines[id(second)])
        ]
        for first, second in pairs:
            is_of_same_kind = (first.bounds is None) == (second.bounds is None)
            touches = column.type is not ColumnType.INTEGER and first.touches(second)
            if first.missing_reason != second.missing_reason or (
                first.value != second.value and is_of_same_kind and not touches
            ):
                line = lines[id(second)]
                message = (
                    f"column {column.column!r}: {second.code!r} (list {second.list}) is {second.meaning}, but "
                    f"{first.code!r} (list {first.list}, line {lines[id(first)]}) is {first.meaning}; keep one"
                )
                problems.setdefault((message, line), Problem("codes.csv", line, message))
    return list(problems.values())


def _check_corrections(folder: SurveyFolder) -> list[Problem]:
    return [
        Problem(
            "corrections.csv",
            line,
            f"{c.file_id}.{c.variable} is not a variable in columns.csv"
            f"{suggestion(f'{c.file_id}.{c.variable}', ('.'.join(known) for known in folder.variables))}",
        )
        for line, c in zip(folder.lines["corrections.csv"], folder.corrections, strict=True)
        if (c.file_id, c.variable) not in folder.variables
    ]


def _check_crosswalk(folder: SurveyFolder, indicator_ids: Iterable[str] | None) -> list[Problem]:
    problems = []
    waves = [w.wave for w in folder.survey.waves]
    known = None if indicator_ids is None else set(indicator_ids)
    counts = Counter((r.wave, r.indicator_id) for r in folder.crosswalk)
    used: set[tuple[str, str]] = set()
    for line, row in zip(folder.lines["crosswalk.csv"], folder.crosswalk, strict=True):
        if row.wave != "*" and row.wave not in waves:
            problems.append(
                Problem(
                    "crosswalk.csv",
                    line,
                    f"wave {row.wave!r} is not one of {waves}{suggestion(row.wave, waves)}",
                )
            )
            continue
        if known is not None and row.indicator_id not in known:
            hint = suggestion(row.indicator_id, known)
            problems.append(
                Problem("crosswalk.csv", line, f"indicator {row.indicator_id!r} is not in the catalog{hint}")
            )
        if counts[row.wave, row.indicator_id] > 1:
            problems.append(
                Problem("crosswalk.csv", line, f"{row.indicator_id} occurs twice for wave {row.wave}")
            )
        if row.codes is not None and row.codes not in folder.code_lists:
            hint = suggestion(row.codes, folder.code_lists)
            problems.append(
                Problem("crosswalk.csv", line, f"code list {row.codes!r} is not in codes.csv{hint}")
            )
        for wave in waves if row.wave == "*" else [row.wave]:
            for source in row.sources:
                try:
                    file_id, variable = folder.resolve(source, wave)
                except KeyError as error:
                    problems.append(Problem("crosswalk.csv", line, str(error.args[0])))
                    continue
                used.add((file_id, variable))
                used |= {(file_id, word.replace(WAVE_NAME, wave)) for word in row.conditions}
                grain = next((f.grain for f in folder.survey.files if f.file_id == file_id), None)
                if grain is Grain.MEMBER and row.rule not in ROSTER_RULES:
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
    """A variable that nothing uses is an oversight, and reported."""
    survey = folder.survey
    for file in survey.files:
        used |= {(file.file_id, v) for v in (*file.household_id, *file.split_from)}
        if isinstance(file.wave, WaveColumn):
            used.add((file.file_id, file.wave.column))
        if isinstance(survey.site, SiteColumn):
            used.add((file.file_id, survey.site.column))
    for _, name, wave, _ in _sampling_variables(survey):
        with suppress(KeyError):
            used.add(folder.resolve(name, wave))
    return [
        Problem(
            "columns.csv",
            line,
            f"{c.file_id}.{c.variable} is not used; map it in crosswalk.csv or give an ignore_reason",
        )
        for line, c in zip(folder.lines["columns.csv"], folder.columns, strict=True)
        if c.variable is not None and (c.file_id, c.variable) not in used
    ]
