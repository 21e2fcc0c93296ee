"""Run a suite on a DataFrame and say what came of each expectation.

Belongs here: the only contact with Great Expectations. An expectation that could not run is an error of ours and
is raised, never reported as a finding about the data.
Does not belong here: which expectations there are (`arrival`, `departure`), or how Dagster shows them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Severity = Literal["error", "warning"]

GX_SEVERITY = {"error": "critical", "warning": "warning"}


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
    """

    type: str
    kwargs: dict[str, Any]
    severity: Severity

    @property
    def name(self) -> str:
        """Short name, unique within a suite: the type and the column it speaks of."""
        short = self.type.removeprefix("expect_").removeprefix("column_values_to_").removeprefix("column_")
        columns = self.kwargs.get("column") or " ".join(self.kwargs.get("column_list", ()))
        return f"{columns}: {short}" if columns else short


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


class ExpectationDidNotRun(RuntimeError):
    """An expectation raised instead of giving a result; the suite or the adapter is wrong, not the data."""


def run_suite(name: str, expectations: Sequence[Expectation], frame: pd.DataFrame) -> tuple[Outcome, ...]:
    """Validate a DataFrame.

    Parameters
    ----------
    name
        Name of the suite, for messages.
    expectations
        What should hold.
    frame
        The data; one partition at a time keeps memory bounded.

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
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    # the import takes seconds; a command that validates nothing does not pay for it
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("frame")
        .add_batch_definition_whole_dataframe("frame")
        .get_batch({"dataframe": frame})
    )
    suite = gx.ExpectationSuite(
        name=name,
        expectations=[
            {"type": e.type, "kwargs": e.kwargs, "severity": GX_SEVERITY[e.severity], "meta": {"position": n}}
            for n, e in enumerate(expectations)
        ],
    )
    found = batch.validate(suite, result_format="SUMMARY")
    by_position = {r.expectation_config.meta["position"]: r for r in found.results if r.expectation_config}
    return tuple(_outcome(name, e, by_position[n]) for n, e in enumerate(expectations))


def _outcome(suite: str, expectation: Expectation, result: Any) -> Outcome:
    exceptions = result.exception_info or {}
    details = [exceptions] if "raised_exception" in exceptions else list(exceptions.values())
    for detail in details:
        if detail.get("raised_exception"):
            raise ExpectationDidNotRun(
                f"suite {suite}: {expectation.name} did not run: {detail.get('exception_message')}"
            )
    report = result.result or {}
    n_failed = 0 if result.success else int(report.get("unexpected_count") or 1)
    seen = report.get("observed_value", report.get("partial_unexpected_list"))
    return Outcome(expectation, bool(result.success), n_failed, "" if seen is None else str(seen)[:300])
