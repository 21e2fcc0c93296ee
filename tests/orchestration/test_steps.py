"""Every step of a refresh is told with its time and the share of the whole that is done."""

import json
from types import SimpleNamespace

import dagster as dg
import pytest

from relocation_warehouse.command import refresh as module
from relocation_warehouse.command.run_events import hold_open
from relocation_warehouse.command.steps import FILE, Steps


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def refresh(folder, clock, seconds):
    """Steps that take so long, told one after the other."""
    told = []
    steps = Steps(folder, told.append, clock)
    steps.expect(seconds)
    for name, took in seconds.items():
        steps.began(name)
        clock.now += took
        steps.ended(name)
    steps.remember()
    return told


def test_the_first_refresh_counts_steps_and_the_next_their_seconds(tmp_path, clock):
    seconds = {"short": 1.0, "long": 9.0}
    first = refresh(tmp_path, clock, seconds)
    assert [(t.step, t.seconds, t.share) for t in first] == [
        ("short", None, 0.0),
        ("short", 1.0, 0.5),
        ("long", None, 0.5),
        ("long", 9.0, 1.0),
    ]
    assert [t.elapsed_seconds for t in first] == [0.0, 1.0, 1.0, 10.0]
    second = refresh(tmp_path, clock, seconds)
    assert [t.share for t in second] == [0.0, 0.1, 0.1, 1.0]
    assert second[1].event == {
        "event": "ended",
        "step": "short",
        "elapsed_seconds": 1.0,
        "seconds": 1.0,
        "share": 0.1,
    }
    assert second[0].event["event"] == "began"
    assert str(second[1]) == "short 1.0 s (10% after 1 s)"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": "x"}', '{"a": null}'])
def test_times_that_cannot_be_read_are_guessed(tmp_path, clock, content):
    (tmp_path / FILE).write_text(content)
    told = refresh(tmp_path, clock, {"a": 2.0, "b": 2.0})
    assert [t.share for t in told] == [0.0, 0.5, 0.5, 1.0]
    assert json.loads((tmp_path / FILE).read_text()) == {"a": 2.0, "b": 2.0}


@dg.op
def works(context):
    return 1


@dg.op
def fails(context, given):
    raise dg.Failure("on purpose")


def test_steps_are_heard_of_as_they_run_and_are_in_the_history(tmp_path):
    @dg.job
    def small():
        fails(works())

    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    told = []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        hold_open(instance)
        runner = SimpleNamespace(
            instance=instance,
            steps=Steps(tmp_path, told.append),
            definitions=SimpleNamespace(resolve_job_def=lambda _: small),
        )
        runner._hear = lambda entry: module._Runner._hear(runner, entry)
        module._Runner.expect(runner, ["small"])
        failure = module._Runner._run(runner, "small")
        assert "on purpose" in failure
        assert [(t.step, t.seconds is None) for t in told] == [
            ("works", True),
            ("works", False),
            ("fails", True),
            ("fails", False),
        ]
        assert told[-1].share == 1.0
        (run,) = instance.get_runs()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as another:
        kinds = [e.dagster_event_type for e in another.all_logs(run.run_id) if e.dagster_event]
        assert kinds.count(dg.DagsterEventType.STEP_START) == 2
        assert another.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE
