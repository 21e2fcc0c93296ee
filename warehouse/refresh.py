"""A refresh: receive what changed, rebuild what depends on it, publish if the audit passes.

Belongs here: which Dagster jobs run, in which order, and what is remembered. The jobs are the same that the UI,
schedules and sensors start. Does not belong here: any step of the data's path.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from warehouse.paths import CHECKOUT, Paths
from warehouse.state import (
    State,
    SurveyState,
    code_digest,
    declared_digest,
    now,
    survey_digest,
    total_digest,
)

Progress = Callable[[str], None]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
"""The terminal shows progress and reasons; the full log of a run is in the Dagster UI."""


@dataclass(frozen=True)
class Outcome:
    """What a refresh did.

    Attributes
    ----------
    received
        Surveys that were loaded anew.
    refused
        Problems by refused survey, also of those that were refused before and have not changed.
    is_published
        A new version is visible.
    failure
        Why nothing was published although something changed; empty else.
    """

    received: tuple[str, ...] = ()
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_published: bool = False
    failure: str = ""

    @property
    def exit_code(self) -> int:
        """0 = all is well; 1 = data were refused."""
        return 1 if self.refused or self.failure else 0


class UnknownSurvey(ValueError):
    """A survey was asked for that has no folder."""


def refresh(
    paths: Paths, only: Sequence[str] = (), force: bool = False, progress: Progress = print
) -> Outcome:
    """Bring the published warehouse up to date with the checkout.

    Parameters
    ----------
    paths
        The warehouse.
    only
        Surveys to look at; empty for all.
    force
        Rebuild even where nothing changed.
    progress
        Told in a few words what happens.

    Raises
    ------
    UnknownSurvey
        `only` names a survey without a folder.
    """
    paths.make()
    folders = {p.parent.name: p.parent for p in sorted(paths.surveys.glob("*/survey.yml"))}
    unknown = sorted(set(only) - set(folders))
    if unknown:
        raise UnknownSurvey(f"no folder data/surveys/{unknown[0]}; there are: {', '.join(folders) or 'none'}")
    state = State.load(paths)
    digests = {s: survey_digest(f) for s, f in folders.items()}
    code, declared = code_digest(), declared_digest(paths)
    # code and catalog decide how a survey is read, so a change of either makes every survey stale
    digests = {s: total_digest(code, declared, {s: d}) for s, d in digests.items()}
    wanted = [s for s in folders if not only or s in only]
    stale = [s for s in wanted if force or s not in state.surveys or state.surveys[s].digest != digests[s]]
    withdrawn = [] if only else sorted(set(state.surveys) - set(folders))
    total = total_digest(code, declared, {s: digests[s] for s in folders})
    if not stale and not withdrawn and state.published == total and not force:
        progress("nothing changed since the last refresh")
        return Outcome(refused=_refused(state, wanted))
    runner = _Runner(paths, progress)
    for survey_id in withdrawn:
        runner.withdraw(survey_id)
        del state.surveys[survey_id]
    received = []
    for survey_id in stale:
        problems = runner.receive(survey_id)
        status = "refused" if problems else "accepted"
        state.surveys[survey_id] = SurveyState(digests[survey_id], status, list(problems), now())
        state.published = ""
        state.save(paths)
        if not problems:
            received.append(survey_id)
    accepted = [s for s in folders if (paths.accepted / s).is_dir()]
    if not accepted:
        state.failure = "no survey was ever accepted, so there is nothing to publish"
        state.save(paths)
        return Outcome(tuple(received), _refused(state, wanted), False, state.failure)
    state.failure = runner.build(received)
    if not state.failure:
        state.published, state.published_at = total, now()
    state.save(paths)
    return Outcome(tuple(received), _refused(state, wanted), not state.failure, state.failure)


def _refused(state: State, wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {
        s: tuple(state.surveys[s].problems)
        for s in wanted
        if s in state.surveys and state.surveys[s].status == "refused"
    }


class _Runner:
    """Runs the jobs of the code location in this process; Dagster is imported when the first one runs."""

    def __init__(self, paths: Paths, progress: Progress) -> None:
        self.paths = paths
        self.progress = progress
        os.environ.setdefault("DAGSTER_HOME", str(CHECKOUT / ".dagster"))
        progress("loading the asset graph")
        import dagster as dg

        from dagster_project.definitions import defs

        self.instance = dg.DagsterInstance.get()
        self.definitions = defs()

    def receive(self, survey_id: str) -> tuple[str, ...]:
        """Receive one survey; returns why it was refused, or nothing."""
        self.progress(f"receiving {survey_id}")
        job = self.definitions.resolve_job_def("receive_survey")
        result = job.execute_in_process(
            QUIET, partition_key=survey_id, instance=self.instance, raise_on_error=False
        )
        return () if result.success else _reasons(result)

    def build(self, received: Sequence[str]) -> str:
        """Rebuild everything that depends on the surveys received and publish; returns why not, or nothing."""
        for first, last in _blocks(received, self._partitions()):
            self.progress(f"harmonising {first}" if first == last else f"harmonising {first} to {last}")
            failure = self._run(
                "harmonise_surveys",
                {
                    "dagster/asset_partition_range_start": first,
                    "dagster/asset_partition_range_end": last,
                },
            )
            if failure:
                return failure
        self.progress("building marts, analysis and publication")
        return self._run("publish_warehouse", {})

    def withdraw(self, survey_id: str) -> None:
        """Take a survey out whose folder is gone."""
        self.progress(f"withdrawing {survey_id}")
        from dagster_project.arrival import withdraw
        from dagster_project.resources import Warehouse

        withdraw(Warehouse(data=str(self.paths.catalog.parent)), survey_id)

    def _partitions(self) -> list[str]:
        from dagster_project.partitions import surveys

        return list(surveys.get_partition_keys())

    def _run(self, job_name: str, tags: dict[str, str]) -> str:
        job = self.definitions.resolve_job_def(job_name)
        result = job.execute_in_process(QUIET, tags=tags, instance=self.instance, raise_on_error=False)
        return "" if result.success else "; ".join(_reasons(result))


def _blocks(chosen: Iterable[str], partitions: Sequence[str]) -> list[tuple[str, str]]:
    """Neighbouring partitions as (first, last), so that each block is one run."""
    positions = sorted(partitions.index(c) for c in chosen)
    blocks: list[list[int]] = []
    for position in positions:
        if blocks and position == blocks[-1][-1] + 1:
            blocks[-1].append(position)
        else:
            blocks.append([position])
    return [(partitions[b[0]], partitions[b[-1]]) for b in blocks]


def _reasons(result: object) -> tuple[str, ...]:
    """Why a run failed, in the words of the step that failed."""
    reasons: list[str] = []
    for event in result.all_events:  # type: ignore[attr-defined]
        if event.is_step_failure:
            data = event.step_failure_data
            failure = data.user_failure_data
            problems = failure.metadata.get("problems") if failure else None
            if problems is not None:
                reasons += [line.removeprefix("- ") for line in problems.md_str.splitlines()]
            elif failure is not None and failure.description:
                reasons.append(failure.description)
            elif data.error is not None:
                cause = data.error.cause or data.error
                reasons.append(f"{event.step_key}: {cause.message.strip()}")
    return tuple(dict.fromkeys(reasons)) or ("the run failed; its log is in the Dagster UI",)
