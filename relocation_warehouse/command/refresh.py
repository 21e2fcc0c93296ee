"""A refresh: receive what changed, rebuild what depends on it, publish if the audit passes.

Belongs here: which Dagster jobs run, in which order, and what is remembered. The jobs are the same that the UI,
schedules and sensors start. Does not belong here: any step of the data's path.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relocation_warehouse.command.killed_runs import end_killed_runs, living_process
from relocation_warehouse.command.recovery import forget_unreadable, is_damaged, is_intact, start_over
from relocation_warehouse.command.run_events import hold_open
from relocation_warehouse.command.run_records import set_aside_damaged
from relocation_warehouse.command.steps import Step, Steps
from relocation_warehouse.engines import EngineUnavailable, require_engine
from relocation_warehouse.ground.database import let_go
from relocation_warehouse.ground.garbage import kept_loaded
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.ground.state import (
    State,
    SurveyState,
    now,
    shared_inputs,
    survey_inputs,
    total_digest,
)
from relocation_warehouse.ground.turn import turn
from relocation_warehouse.lake.catalog import Lake, LakeError
from relocation_warehouse.publication.key import MissingKeyError, key_from_environment, require_same_key
from relocation_warehouse.publication.verify import summed_up, what_changed
from relocation_warehouse.survey.folder import list_survey_folders

if TYPE_CHECKING:
    from dagster import EventLogEntry, ExecuteInProcessResult

Progress = Callable[[str | Step], None]

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
        Problems by survey that was refused or failed, also of those that were refused before and have not changed.
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
    paths: Paths,
    only: Sequence[str] = (),
    force: bool = False,
    progress: Progress = print,
    new_key: bool = False,
) -> Outcome:
    """Bring the published warehouse up to date with the checkout, after any other refresh has ended.

    Parameters
    ----------
    paths
        The warehouse.
    only
        Surveys to look at; empty for all.
    force
        Rebuild even where nothing changed, and use nothing that was kept.
    progress
        Told in a few words what happens, and of each step that begins or ends.
    new_key
        The secret of the pseudonyms is another one on purpose; everything is published anew.

    Raises
    ------
    UnknownSurvey
        `only` names a survey without a folder.
    """
    paths.make()
    with turn(paths.refresh_lock, progress):
        return _refresh(paths, only, force, progress, new_key)


def _refresh(paths: Paths, only: Sequence[str], force: bool, progress: Progress, new_key: bool) -> Outcome:
    """What `refresh` does once no other process does."""
    inputs = survey_inputs(paths)
    unknown = sorted(set(only) - set(inputs))
    if unknown:
        raise UnknownSurvey(f"no folder data/surveys/{unknown[0]}; there are: {', '.join(inputs) or 'none'}")
    if new_key:
        with State.updated(paths) as known:
            known.key = known.published = ""
    state = State.load(paths)
    wanted = [s for s in inputs if not only or s in only]
    stale = [s for s in wanted if force or _is_stale(paths, s, state.surveys.get(s), inputs[s])]
    withdrawn = [] if only else sorted(set(state.surveys) - set(inputs))
    total = total_digest(inputs)
    try:
        require_same_key(key_from_environment(), state.key)
    except MissingKeyError as error:
        return _not_published(paths, wanted, str(error))
    if not stale and not withdrawn and state.published == total and not force:
        damage = what_changed(paths.published, state.manifest)
        if not damage:
            progress("nothing changed since the last refresh")
            return Outcome(refused=_refused(state, wanted))
        progress(f"what is published is not what was published, and is published again: {summed_up(damage)}")
    try:
        lake = Lake.from_environment()
        if lake is not None:
            lake.check()
        require_engine(paths)
    except (LakeError, EngineUnavailable) as error:
        return _not_published(paths, wanted, str(error))
    if is_damaged(paths):
        progress("the build database was damaged or lost, and is built anew from the surveys")
        start_over(paths)
        stale, withdrawn = list(inputs), []
    for survey_id in forget_unreadable(paths):
        progress(
            f"the accepted declarations of {survey_id} were damaged, and are taken from its folder again"
        )
        stale += [survey_id] if survey_id in inputs and survey_id not in stale else []
    with Kept.anew(paths) if force else nullcontext():
        runner = _Runner(paths, progress)
        runner.expect(
            [*(["receive_survey"] * len(stale)), "declare_surveys", "harmonise_surveys", "publish_warehouse"]
        )
        for survey_id in withdrawn:
            runner.withdraw(survey_id)
        for survey_id in stale:
            runner.receive(survey_id)
        failure = _build(paths, runner)
    Kept.of(paths).prune()
    if failure:
        return _not_published(paths, wanted, failure, _accepted(paths, stale))
    return Outcome(_accepted(paths, stale), _refused(State.load(paths), wanted), is_published=True)


def _accepted(paths: Paths, tried: Iterable[str]) -> tuple[str, ...]:
    surveys = State.load(paths).surveys
    return tuple(s for s in tried if surveys[s].status == "accepted")


def _not_published(
    paths: Paths, wanted: Iterable[str], failure: str, received: tuple[str, ...] = ()
) -> Outcome:
    """Remember why a refresh did not publish."""
    with State.updated(paths) as state:
        state.failure, state.failed_at = failure, now()
    return Outcome(received, _refused(state, wanted), failure=failure)


def _is_stale(paths: Paths, survey_id: str, last: SurveyState | None, inputs: Mapping[str, str]) -> bool:
    if last is None or last.status == "failed" or last.inputs != inputs:
        return True
    return last.status == "accepted" and not is_intact(paths, survey_id, last.inputs)


def _build(paths: Paths, runner: _Runner) -> str:
    """Rebuild what depends on the surveys received, and publish; returns why not, or nothing."""
    surveys = State.load(paths).surveys
    accepted = [s for s in surveys if (paths.accepted / s).is_dir()]
    if not accepted:
        return "no survey was ever accepted, so there is nothing to publish"
    # also those of a refresh that was stopped before it got here, and those that only code or catalog changed for
    current = total_digest(shared_inputs(paths))
    waiting = [s for s in accepted if surveys[s].harmonised_by != current]
    return runner.harmonise(waiting, accepted) or runner.publish()


def _refused(state: State, wanted: Iterable[str]) -> dict[str, tuple[str, ...]]:
    return {
        s: tuple(state.surveys[s].problems)
        for s in wanted
        if s in state.surveys and state.surveys[s].status != "accepted"
    }


class _Runner:
    """Runs the jobs of the code location in this process; Dagster is imported when the first one runs."""

    @kept_loaded()
    def __init__(self, paths: Paths, progress: Progress) -> None:
        self.paths = paths
        self.progress = progress
        os.environ.setdefault("DAGSTER_HOME", str(CHECKOUT / ".dagster"))
        progress("loading the asset graph")
        import dagster as dg

        from dagster_project.definitions import defs
        from dagster_project.partitions import register

        for aside in set_aside_damaged(Path(os.environ["DAGSTER_HOME"])):
            progress(
                f"the records of runs were damaged and are begun anew; what was in them lies in {aside.name}"
            )
        self.instance = dg.DagsterInstance.get()
        hold_open(self.instance)
        self.definitions = defs()
        self.steps = Steps(paths.warehouse, progress)
        self.surveys = register(self.instance, [p.name for p in list_survey_folders(paths.surveys)])

    def receive(self, survey_id: str) -> None:
        """Receive one survey; what became of it is in the state."""
        self.progress(f"receiving {survey_id}")
        self._run("receive_survey", partition_key=survey_id)
        from relocation_warehouse.receiving.arrival import unlike_before
        from relocation_warehouse.receiving.warehouse import Warehouse

        for line in unlike_before(Warehouse(self.paths.catalog.parent), survey_id):
            self.progress(line)

    def harmonise(self, waiting: Sequence[str], accepted: Sequence[str]) -> str:
        """Write what is declared and run the models of the waiting surveys; returns why not, or nothing."""
        self.progress("writing what is declared")
        failure = self._run("declare_surveys")
        for first, last in _blocks(waiting, [s for s in self.surveys if s in accepted]):
            if failure:
                break
            self.progress(f"harmonising {first}" if first == last else f"harmonising {first} to {last}")
            block = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            failure = self._run("harmonise_surveys", tags=block)
        return failure

    def publish(self) -> str:
        """Build marts and results, audit, publish; returns why not, or nothing."""
        self.progress("building marts, analysis and publication")
        failure = self._run("publish_warehouse")
        for line in () if failure else self._moved():
            self.progress(line)
        return failure

    def _moved(self) -> Iterator[str]:
        """What moved among published results of surveys that did not change."""
        from relocation_warehouse.publication.moved import sentences

        manifest = self.paths.published / "manifest.json"
        yield from sentences(json.loads(manifest.read_text(encoding="utf-8")))

    def withdraw(self, survey_id: str) -> None:
        """Take a survey out whose folder is gone."""
        self.progress(f"withdrawing {survey_id}")
        from relocation_warehouse.receiving.arrival import withdraw
        from relocation_warehouse.receiving.warehouse import Warehouse

        withdraw(Warehouse(self.paths.catalog.parent), survey_id)

    def _run(self, job_name: str, tags: Mapping[str, str] | None = None, **arguments: Any) -> str:
        job = self.definitions.resolve_job_def(job_name)
        end_killed_runs(self.instance)
        run_id = str(uuid.uuid4())
        self.instance.add_event_listener(run_id, self._hear)
        try:
            with living_process(self.instance) as alive:
                result = job.execute_in_process(
                    QUIET,
                    instance=self.instance,
                    run_id=run_id,
                    raise_on_error=False,
                    tags={**(tags or {}), **alive},
                    **arguments,
                )
        finally:
            let_go()
        self.steps.remember()
        return "" if result.success else "\n".join(_reasons(result))

    def expect(self, jobs: Iterable[str]) -> None:
        """Say which jobs are to run, so that the share of the whole is known."""
        for name in jobs:
            self.steps.expect(node.name for node in self.definitions.resolve_job_def(name).nodes)

    def _hear(self, entry: EventLogEntry) -> None:
        """Report steps as their events reach the instance."""
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.is_step_start:
            self.steps.began(event.step_key)
        elif event.is_step_success or event.is_step_failure:
            self.steps.ended(event.step_key)


def _blocks(chosen: Iterable[str], ordered: Sequence[str]) -> list[tuple[str, str]]:
    """Neighbours among `ordered` as (first, last), so that each block is one run."""
    positions = sorted(ordered.index(c) for c in chosen)
    blocks: list[list[int]] = []
    for position in positions:
        if blocks and position == blocks[-1][-1] + 1:
            blocks[-1].append(position)
        else:
            blocks.append([position])
    return [(ordered[b[0]], ordered[b[-1]]) for b in blocks]


def _reasons(result: ExecuteInProcessResult) -> tuple[str, ...]:
    """Why a run failed, in the words of the checks and steps that failed."""
    reasons: list[str] = []
    for check in result.get_asset_check_evaluations():
        unmet = check.metadata.get("unmet")
        if not check.passed and check.severity.value == "ERROR" and unmet is not None:
            reasons += _lines(unmet)
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        data = event.step_failure_data
        failure = data.user_failure_data
        if failure is not None and failure.description:
            reasons.append(failure.description)
        elif data.error is not None and not (
            reasons and "DagsterAssetCheckFailedError" in data.error.message
        ):
            cause = data.error.cause or data.error
            reasons.append(f"{event.step_key}: {cause.message.strip()}")
    return tuple(dict.fromkeys(reasons)) or ("the run failed; its log is in the Dagster UI",)


def _lines(markdown: Any) -> list[str]:
    return [line.removeprefix("- ") for line in markdown.md_str.splitlines()]
