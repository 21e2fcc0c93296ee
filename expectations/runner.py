"""Run a suite on a DataFrame and say what came of each expectation.

Belongs here: the only contact with Great Expectations. An expectation that could not run is an error of ours and
is raised, never reported as a finding about the data.
Does not belong here: which expectations there are (`arrival`, `departure`), or how Dagster shows them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from expectations.scan import Metrics, Scan
from relocation_warehouse.ground.kept import Kept, code_of, digest_of
from relocation_warehouse.survey.folder import suggestion

Severity = Literal["error", "warning"]

COLUMNS_AT_A_TIME = 8
"""Great Expectations copies every column of its frame for every expectation, to leave out rows without a value."""

OF_ALL_ROWS = (
    "_table_",
    "_mean_",
    "_median_",
    "_stdev_",
    "_proportion_",
    "_sum_",
    "_quantile_",
    "_unique_value_count_",
)
"""Parts of the types whose observation describes all rows together, and no single answer."""

CODE = code_of("expectations.runner")
"""Digest of the code that decides on outcomes."""

GX_SEVERITY = {"error": "critical", "warning": "warning"}


SOURCE = "great_expectations"
"""Of a check that follows from declarations and data alone."""


@dataclass(frozen=True)
class Expectation:
    """One expectation: its Great Expectations type and arguments, and what a failure means.

    Attributes
    ----------
    type
        Name as Great Expectations spells it, such as `expect_column_values_to_be_between`.
    kwargs
        Its arguments.
    severity
        `error` stops what depends on the table; `warning` is shown.
    source
        Where it comes from, as in `quality.checks`.
    """

    type: str
    kwargs: dict[str, Any]
    severity: Severity
    source: str = SOURCE

    @property
    def name(self) -> str:
        """Short name, unique within a suite: the type, its column, and whether a share may fail."""
        short = self.type.removeprefix("expect_").removeprefix("column_values_to_").removeprefix("column_")
        if "mostly" in self.kwargs:
            short += " mostly"
        return f"{', '.join(self.columns)}: {short}" if self.columns else short

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns it concerns; empty for one about the whole table."""
        keys = ("column", "column_A", "column_B")
        return (*(self.kwargs[k] for k in keys if k in self.kwargs), *self.kwargs.get("column_list", ()))


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation.

    Attributes
    ----------
    n_failed
        Rows that did not meet it; 1 for an expectation about the whole table.
    observed
        What was seen, in words.
    """

    expectation: Expectation
    is_met: bool
    n_failed: int
    observed: str


def combined(parts: Sequence[Outcome]) -> Outcome:
    """One outcome of an expectation that was tried on each part of a table."""
    unmet = [o for o in parts if not o.is_met]
    return Outcome(
        parts[0].expectation,
        not unmet,
        sum(o.n_failed for o in unmet),
        "; ".join(dict.fromkeys(o.observed for o in unmet or parts[:1]))[:300],
    )


class ExpectationDidNotRun(RuntimeError):
    """An expectation raised instead of giving a result; the suite or the adapter is wrong, not the data."""


def fault_of(expectation: Expectation) -> str:
    """What is wrong with an expectation itself: a type that does not exist, or arguments it does not take."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    try:
        get_expectation_impl(expectation.type)(**expectation.kwargs)
    except ExpectationNotFoundError:
        hint = suggestion(expectation.type, list_registered_expectation_implementations())
        return f"Great Expectations knows no expectation of this type{hint}"
    except ValueError as error:
        return f"its arguments do not fit: {'; '.join(str(error).splitlines()[1:])}"
    return ""


def run_suite(
    name: str, expectations: Sequence[Expectation], frame: pd.DataFrame, kept: Kept | None = None
) -> tuple[Outcome, ...]:
    """Validate a DataFrame.

    Parameters
    ----------
    name
        Name of the suite, for messages.
    expectations
        What should hold.
    frame
        The data; one partition at a time keeps memory bounded.
    kept
        Where outcomes of the same suite on the same counts, or else on the same data, are kept; None for nowhere.

    Returns
    -------
    tuple of Outcome
        One per expectation, in order.

    Raises
    ------
    ExpectationDidNotRun
        An expectation failed to run at all.
    """
    if not expectations:
        return ()
    scan = Scan(frame)
    counts = [scan.metrics(e.type, e.kwargs) for e in expectations]
    if kept is None:
        return _outcomes(name, expectations, frame, counts)
    asked = [(e.type, e.kwargs, e.severity) for e in expectations]
    seen = content_of(frame) if None in counts else repr(counts)
    digest = digest_of(CODE, name, repr(asked), seen)
    content = kept.find("expectations", digest)
    if content is not None:
        said = json.loads(content["outcomes.json"])
        return tuple(Outcome(e, *fields) for e, fields in zip(expectations, said, strict=True))
    outcomes = _outcomes(name, expectations, frame, counts)
    said = [[o.is_met, o.n_failed, o.observed] for o in outcomes]
    kept.keep("expectations", digest, {"outcomes.json": json.dumps(said).encode()})
    return outcomes


def content_of(frame: pd.DataFrame) -> str:
    """sha256 of the values of a frame, its columns and their types."""
    total = hashlib.sha256(repr([(str(c), str(t)) for c, t in frame.dtypes.items()]).encode())
    for n in range(frame.shape[1]):
        total.update(pd.util.hash_pandas_object(frame.iloc[:, n], index=False).to_numpy().tobytes())
    return total.hexdigest()


def _outcomes(
    name: str, expectations: Sequence[Expectation], frame: pd.DataFrame, counts: Sequence[Metrics | None]
) -> tuple[Outcome, ...]:
    """Let Great Expectations decide: on what one scan counted where it can, else on the frame."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from great_expectations.expectations.registry import get_expectation_impl

    outcomes = dict[int, Outcome]()
    for n, (expectation, metrics) in enumerate(zip(expectations, counts, strict=True)):
        if metrics is not None:
            asked = get_expectation_impl(expectation.type)(**expectation.kwargs)
            decided = asked._validate(metrics=metrics, runtime_configuration={"result_format": "BASIC"})
            outcomes[n] = _outcome(expectation, decided["success"], decided["result"])
    others = [n for n in range(len(expectations)) if n not in outcomes]
    outcomes.update(zip(others, _by_frame(name, [expectations[n] for n in others], frame), strict=True))
    return tuple(outcomes[n] for n in range(len(expectations)))


def _by_frame(name: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> list[Outcome]:
    """Outcomes of expectations that Great Expectations looks at the frame itself for."""
    if not expectations:
        return []
    # the import takes seconds; a command that validates nothing does not pay for it
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("frame").add_dataframe_asset("frame")
    whole = source.add_batch_definition_whole_dataframe("frame")
    outcomes: dict[int, Outcome] = {}
    for positions, columns in _portions(expectations):
        part = frame[[c for c in columns if c in frame]] if columns else frame
        suite = gx.ExpectationSuite(
            name=name, expectations=[_configuration(expectations[n], n) for n in positions]
        )
        validation = whole.get_batch({"dataframe": part}).validate(suite, result_format="SUMMARY")
        for result in validation.results:
            if result.expectation_config:
                n = result.expectation_config.meta["position"]
                _raise_if_not_run(name, expectations[n], result.exception_info or {})
                outcomes[n] = _outcome(expectations[n], bool(result.success), result.result or {})
    return [outcomes[n] for n in range(len(expectations))]


def _portions(expectations: Sequence[Expectation]) -> Iterator[tuple[list[int], dict[str, None]]]:
    """Positions of expectations that concern few columns together, and these columns; none for the table as a whole."""
    about_table = [n for n, e in enumerate(expectations) if not e.columns]
    if about_table:
        yield about_table, {}
    positions: list[int] = []
    columns: dict[str, None] = {}
    for n, expectation in enumerate(expectations):
        if not expectation.columns:
            continue
        together = columns | dict.fromkeys(expectation.columns)
        if positions and len(together) > COLUMNS_AT_A_TIME:
            yield positions, columns
            positions, together = [], dict.fromkeys(expectation.columns)
        positions, columns = [*positions, n], together
    if positions:
        yield positions, columns


def _configuration(expectation: Expectation, position: int) -> dict[str, Any]:
    return {
        "type": expectation.type,
        "kwargs": expectation.kwargs,
        "severity": GX_SEVERITY[expectation.severity],
        "meta": {"position": position},
    }


def _raise_if_not_run(suite: str, expectation: Expectation, exceptions: Mapping[str, Any]) -> None:
    details = [exceptions] if "raised_exception" in exceptions else list(exceptions.values())
    for detail in details:
        if detail.get("raised_exception"):
            raise ExpectationDidNotRun(
                f"suite {suite}: {expectation.name} did not run: {detail.get('exception_message')}"
            )


def _outcome(expectation: Expectation, is_met: bool, report: Mapping[str, Any]) -> Outcome:
    n_failed = 0 if is_met else int(report.get("unexpected_count") or 1)
    return Outcome(expectation, is_met, n_failed, _observed(expectation, report))


def _observed(expectation: Expectation, report: Mapping[str, Any]) -> str:
    """What was seen, without an answer: the values of households stay where they were received.

    A value that is too large, or an id that is there twice, would stand in a table that more people read than may
    read the file.
    """
    if any(word in expectation.type for word in OF_ALL_ROWS):
        return str(report.get("observed_value", ""))[:300]
    count, of = report.get("unexpected_count"), report.get("element_count")
    return "" if count is None else f"{count} of {of} values"


def check_row(table: str, outcome: Outcome) -> dict[str, object]:
    """What came of an expectation, as a row of `quality.checks`."""
    return {
        "source": outcome.expectation.source,
        "check": outcome.expectation.name,
        "table": table,
        "status": "passed" if outcome.is_met else "failed",
        "severity": outcome.expectation.severity,
        "n_failed": outcome.n_failed,
        "message": None if outcome.is_met else outcome.observed,
    }
