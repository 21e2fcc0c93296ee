"""Expectations that a survey folder adds to its suite: `expectations.yml`, optional.

Belongs here: reading that file and saying everything that is wrong with it. Does not belong here: the expectations
that follow from columns and codes (`arrival`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from expectations.runner import Expectation, Severity, fault_of
from relocation_warehouse.survey.documents import YAMLError, line_of, read_strange_yaml
from relocation_warehouse.survey.folder import SurveyFolder, messages, place_of, suggestion
from relocation_warehouse.survey.problems import Problem, SurveyFolderError

EXPECTATIONS_FILE = "expectations.yml"

ARGUMENTS = frozenset(
    {
        *(
            "column",
            "column_A",
            "column_B",
            "column_list",
            "column_set",
            "column_index",
            "mostly",
            "exact_match",
        ),
        *(
            "min_value",
            "max_value",
            "strict_min",
            "strict_max",
            "value",
            "value_set",
            "value_pairs_set",
            "sum_total",
        ),
        *(
            "regex",
            "regex_list",
            "match_on",
            "or_equal",
            "ignore_row_if",
            "type_",
            "type_list",
            "strftime_format",
        ),
        *("quantile_ranges", "double_sided", "threshold", "ties_okay"),
    }
)
"""Arguments that a folder may give: values and names of columns. Great Expectations hands a condition on rows to
pandas as code, and a query to a database; neither is for who writes a survey folder."""
TYPES = (
    "expect_column_",
    "expect_compound_",
    "expect_multicolumn_",
    "expect_select_column_",
    "expect_table_",
)
"""How the types begin that look at the table itself, and at no query."""


class DeclaredExpectation(BaseModel):
    """One entry of `expectations.yml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    """Name as Great Expectations spells it."""
    file: str | None = None
    """File of the survey; absent: the first one."""
    kwargs: Mapping[str, Any] = Field(default_factory=dict)
    """Its arguments; columns go by their variable names in `columns.csv`."""
    severity: Severity = "warning"
    """error refuses the survey, warning is shown."""


ENTRIES = TypeAdapter(list[DeclaredExpectation])


def declared_expectations(folder: SurveyFolder) -> dict[str, tuple[Expectation, ...]]:
    """Expectations of `expectations.yml` by file id.

    Raises
    ------
    SurveyFolderError
        With every mistake: not a list of expectations, an unknown type, file or variable, arguments that the type
        does not take.
    """
    path = folder.path / EXPECTATIONS_FILE
    by_file: dict[str, tuple[Expectation, ...]] = {}
    if not os.path.lexists(path):
        return by_file
    try:
        entries = ENTRIES.validate_python(read_strange_yaml(path))
    except (YAMLError, UnicodeDecodeError, OSError, ValidationError) as error:
        raise SurveyFolderError(folder.path, _unreadable(path, error)) from None
    problems = []
    files = [f.file_id for f in folder.survey.files]
    for number, entry in enumerate(entries, start=1):
        file_id = entry.file or files[0]
        expectation = Expectation(entry.type, dict(entry.kwargs), entry.severity)
        fault, place = _fault(expectation), ("type",)
        if file_id not in files:
            fault = f"file {file_id!r} is not in survey.yml{suggestion(file_id, files)}; there are: {', '.join(files)}"
            place = ("file",)
        elif not fault:
            known = [v for f, v in folder.variables if f == file_id]
            unknown = [c for c in expectation.columns if c not in known]
            if unknown:
                hint = suggestion(unknown[0], known)
                fault = f"{unknown[0]!r} is not a variable of file {file_id} in columns.csv{hint}"
                place = ("kwargs",)
        if fault:
            line = line_of(path, (number - 1, *place))
            problems.append(Problem(EXPECTATIONS_FILE, line, f"entry {number} ({entry.type}): {fault}"))
        by_file[file_id] = (*by_file.get(file_id, ()), expectation)
    if problems:
        raise SurveyFolderError(folder.path, problems)
    return by_file


def _fault(expectation: Expectation) -> str:
    """What is wrong with an expectation, and what a folder must not ask for whatever the values are."""
    foreign = sorted(set(expectation.kwargs) - ARGUMENTS)
    if foreign:
        return f"{', '.join(foreign)} cannot be given here; there are: {', '.join(sorted(ARGUMENTS))}"
    fault = fault_of(expectation) or _fault_of_patterns(expectation)
    if not fault and not expectation.type.startswith(TYPES):
        return f"a folder may use types that begin with {', '.join(TYPES)}"
    return fault


def _fault_of_patterns(expectation: Expectation) -> str:
    """What is wrong with regular expressions: those that look around or back can take for ever on a single answer.

    pandas matches what RE2 knows by RE2, in time linear in the answer.
    """
    given = [expectation.kwargs.get("regex"), *(expectation.kwargs.get("regex_list") or ())]
    for pattern in (p for p in given if p is not None):
        try:
            pc.match_substring_regex(pa.array([""]), str(pattern))
        except pa.ArrowException as error:
            return (
                f"the regular expression {pattern!r} cannot be used ({error}); write it without looking ahead or "
                "behind, references to groups, and what else RE2 does not know"
            )
    return ""


def _unreadable(
    path: Path, error: YAMLError | UnicodeDecodeError | OSError | ValidationError
) -> list[Problem]:
    """What is wrong with the file itself, each mistake with its line."""
    if isinstance(error, ValidationError):
        return [
            Problem(EXPECTATIONS_FILE, line_of(path, place_of(item)), message)
            for item, message in messages(error)
        ]
    mark = getattr(error, "problem_mark", None)
    return [Problem(EXPECTATIONS_FILE, mark.line + 1 if mark else None, f"not readable as YAML: {error}")]
