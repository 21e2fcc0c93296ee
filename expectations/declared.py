"""Expectations that a survey folder adds to its suite: `expectations.yml`, optional.

Belongs here: reading that file and saying everything that is wrong with it. Does not belong here: the expectations
that follow from columns and codes (`arrival`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from expectations.runner import Expectation, Severity, fault_of
from survey.documents import YAMLError, read_yaml
from survey.folder import Problem, SurveyFolder, SurveyFolderError

EXPECTATIONS_FILE = "expectations.yml"


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
    found: dict[str, tuple[Expectation, ...]] = {}
    if not path.exists():
        return found
    try:
        entries = ENTRIES.validate_python(read_yaml(path))
    except (YAMLError, UnicodeDecodeError, ValidationError) as error:
        raise SurveyFolderError(folder.path, [Problem(EXPECTATIONS_FILE, None, str(error))]) from None
    problems = []
    files = [f.file_id for f in folder.survey.files]
    for number, entry in enumerate(entries, start=1):
        file_id = entry.file or files[0]
        expectation = Expectation(entry.type, dict(entry.kwargs), entry.severity)
        fault = fault_of(expectation)
        if file_id not in files:
            fault = f"file {file_id!r} is not in survey.yml; there are: {', '.join(files)}"
        elif not fault and expectation.columns:
            unknown = [c for c in expectation.columns if (file_id, c) not in folder.variables]
            fault = f"{unknown[0]!r} is not a variable of file {file_id} in columns.csv" if unknown else ""
        if fault:
            problems.append(Problem(EXPECTATIONS_FILE, None, f"entry {number} ({entry.type}): {fault}"))
        found[file_id] = (*found.get(file_id, ()), expectation)
    if problems:
        raise SurveyFolderError(folder.path, problems)
    return found
