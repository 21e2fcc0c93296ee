"""Which surveys a refresh takes up, from what the last one left behind; the jobs themselves are stood in for."""

import os
import secrets
from pathlib import Path
from typing import ClassVar

import pytest

from relocation_warehouse.command import refresh as module
from relocation_warehouse.command.refresh import UnknownSurvey, refresh
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.state import (
    State,
    changes,
    shared_inputs,
    summary,
    survey_inputs,
    total_digest,
)
from relocation_warehouse.publication.key import KEY_VARIABLE, fingerprint, key_from_environment


class Jobs:
    """Does to the state what the jobs of the code location do, and remembers in which order."""

    refuses: frozenset[str] = frozenset()
    stops_at: str = ""
    done: ClassVar[list[str]] = []

    def __init__(self, paths, progress):
        self.paths = paths

    def expect(self, jobs):
        assert jobs[-1] == "publish_warehouse"

    def _do(self, step):
        type(self).done.append(step)
        if step.startswith(self.stops_at or "nothing"):
            raise KeyboardInterrupt

    def receive(self, survey_id):
        self._do(f"receive {survey_id}")
        refused = survey_id in self.refuses
        with State.updated(self.paths) as state:
            inputs = survey_inputs(self.paths)[survey_id]
            state.received(
                survey_id, inputs, "refused" if refused else "accepted", ["no file"] if refused else []
            )
        if not refused:
            (self.paths.accepted / survey_id).mkdir(parents=True, exist_ok=True)

    def withdraw(self, survey_id):
        self._do(f"withdraw {survey_id}")
        (self.paths.accepted / survey_id).rmdir()
        with State.updated(self.paths) as state:
            del state.surveys[survey_id]
            state.published = ""

    def harmonise(self, waiting, accepted):
        self._do(f"harmonise {' '.join(waiting)}")
        with State.updated(self.paths) as state:
            for survey_id in waiting:
                state.surveys[survey_id].harmonised_by = total_digest(shared_inputs(self.paths))
        return ""

    def publish(self):
        self._do("publish")
        if self.stops_at == "audit":
            return "rows_balance"
        with State.updated(self.paths) as state:
            state.was_published(key=fingerprint(key_from_environment()))
        return ""


@pytest.fixture
def paths(tmp_path, monkeypatch):
    paths = Paths.under(tmp_path)
    for survey_id in ("a", "b", "c"):
        (paths.surveys / survey_id).mkdir(parents=True)
        (paths.surveys / survey_id / "survey.yml").write_text(f"survey_id: {survey_id}\n")
    for folder in (paths.catalog, paths.literature):
        folder.mkdir()
    (paths.catalog / "indicators.yml").write_text("indicators: []\n")
    monkeypatch.setattr(module, "_Runner", Jobs)
    # no job ran, so there is no build whose files could be damaged
    monkeypatch.setattr(module, "is_damaged", lambda *_: False, raising=False)
    monkeypatch.setattr(module, "is_intact", lambda *_: True, raising=False)
    monkeypatch.setattr(Jobs, "done", [])
    return paths


@pytest.fixture
def again(paths):
    """Refresh; gives the steps taken and the outcome."""

    def run(*only, **arguments):
        Jobs.done.clear()
        outcome = refresh(paths, only, progress=lambda _: None, **arguments)
        return list(Jobs.done), outcome

    return run


EVERYTHING = ["receive a", "receive b", "receive c", "harmonise a b c", "publish"]


def touch(paths, survey_id):
    (paths.surveys / survey_id / "codes.csv").write_text("list,code\n")


def test_the_first_refresh_does_everything_and_the_second_nothing(again):
    steps, outcome = again()
    assert (steps, outcome.exit_code, outcome.is_published) == (EVERYTHING, 0, True)
    steps, outcome = again()
    assert (steps, outcome.exit_code, outcome.is_published) == ([], 0, False)
    assert again(force=True)[0] == EVERYTHING


def test_a_key_that_changed_is_refused_by_name_until_that_is_meant(again, paths, monkeypatch):
    keys = [secrets.token_hex(32) for _ in range(2)]
    monkeypatch.setenv(KEY_VARIABLE, keys[0])
    assert again()[1].is_published
    monkeypatch.setenv(KEY_VARIABLE, keys[1])
    before = State.load(paths)
    for touched in (False, True):
        if touched:
            touch(paths, "b")
        steps, outcome = again()
        assert (steps, outcome.exit_code) == ([], 1)
        assert "every household would get another pseudonym" in outcome.failure
        assert keys[1] not in outcome.failure
    assert State.load(paths).published_at == before.published_at
    assert State.load(paths).surveys == before.surveys
    monkeypatch.setenv(KEY_VARIABLE, keys[0])
    assert again()[0] == ["receive b", "harmonise b", "publish"]
    monkeypatch.setenv(KEY_VARIABLE, keys[1])
    assert again(new_key=True)[0] == ["harmonise ", "publish"]
    assert again()[0] == []
    monkeypatch.setenv(KEY_VARIABLE, keys[0])
    assert again()[1].failure


def test_names_that_are_no_text_stop_nobody(again, paths):
    for raw in (b"caf\xe9", b"\xff"):
        folder = os.path.join(os.fsencode(paths.surveys), raw)
        os.makedirs(folder)
        Path(os.fsdecode(folder), "survey.yml").write_text("survey_id: x\n")
    again()
    odd = Path(os.fsdecode(os.path.join(os.fsencode(paths.surveys / "b"), b"not\xe9.csv")))
    odd.write_text("x")
    (paths.inbox / "c").mkdir(parents=True)
    Path(os.fsdecode(os.path.join(os.fsencode(paths.inbox / "c"), b"\xfe.csv"))).write_text("x")
    steps, outcome = again()
    assert (steps[:2], outcome.exit_code) == (["receive b", "receive c"], 0)
    assert again()[0] == []
    assert set(summary(paths)) == {"a", "b", "c"}


def test_a_key_that_can_be_guessed_is_named_before_anything_is_done(again, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "change-me")
    steps, outcome = again()
    assert steps == []
    assert "can be guessed" in outcome.failure


def test_what_was_published_and_is_lost_is_published_again(again, paths):
    again()
    with State.updated(paths) as state:
        state.manifest = "0" * 64  # of a version that is there no more
    assert again()[0] == ["harmonise ", "publish"]
    assert again()[0] == []


def test_only_what_changed_is_received(again, paths):
    again()
    touch(paths, "b")
    assert summary(paths)["b"] == summary(paths)["b"] | {
        "status": "stale",
        "why": "surveys/b/codes.csv is new",
    }
    assert again()[0] == ["receive b", "harmonise b", "publish"]


def test_a_survey_asked_for_leaves_other_changes_for_later(again, paths):
    again()
    touch(paths, "a")
    touch(paths, "c")
    assert again("c")[0] == ["receive c", "harmonise c", "publish"]
    assert summary(paths)["a"]["status"] == "stale"
    assert again()[0] == ["receive a", "harmonise a", "publish"]


def test_a_change_of_catalog_concerns_all(again, paths):
    again()
    (paths.catalog / "indicators.yml").write_text("indicators: [x]\n")
    assert summary(paths)["a"]["why"] == "the catalog or the literature changed"
    assert again()[0] == EVERYTHING


def test_a_refused_survey_keeps_its_harmonised_rows_and_is_not_tried_again(again, paths, monkeypatch):
    again()
    monkeypatch.setattr(Jobs, "refuses", frozenset("b"))
    touch(paths, "b")
    steps, outcome = again()
    assert steps == ["receive b", "harmonise ", "publish"]
    assert (outcome.exit_code, outcome.refused) == (1, {"b": ("no file",)})
    steps, outcome = again()
    assert (steps, outcome.exit_code) == ([], 1)
    assert summary(paths)["b"]["status"] == "refused"
    assert summary(paths)["b"]["why"] == "no file"


def test_a_refused_survey_is_harmonised_anew_when_the_catalog_changes(again, paths, monkeypatch):
    again()
    monkeypatch.setattr(Jobs, "refuses", frozenset("b"))
    (paths.catalog / "indicators.yml").write_text("indicators: [x]\n")
    assert again()[0] == EVERYTHING, "its accepted rows need the new columns too"


@pytest.mark.parametrize("step", ["receive b", "harmonise", "publish"])
def test_a_refresh_that_was_stopped_goes_on(again, paths, monkeypatch, step):
    monkeypatch.setattr(Jobs, "stops_at", step)
    with pytest.raises(KeyboardInterrupt):
        again()
    monkeypatch.setattr(Jobs, "stops_at", "")
    steps, outcome = again()
    assert (
        steps
        == {
            "receive b": ["receive b", "receive c", "harmonise a b c", "publish"],
            "harmonise": ["harmonise a b c", "publish"],
            "publish": ["harmonise ", "publish"],
        }[step]
    )
    assert outcome.is_published


def test_a_failed_audit_is_remembered_until_one_passes(again, paths, monkeypatch):
    monkeypatch.setattr(Jobs, "stops_at", "audit")
    outcome = again()[1]
    assert (outcome.exit_code, outcome.failure, outcome.is_published) == (1, "rows_balance", False)
    assert State.load(paths).failure == "rows_balance"
    assert State.load(paths).failed_at
    monkeypatch.setattr(Jobs, "stops_at", "")
    assert again()[0] == ["harmonise ", "publish"]
    assert State.load(paths).failure == ""


def test_an_error_of_the_machine_is_tried_again(again, paths):
    again()
    with State.updated(paths) as state:
        state.received("a", state.surveys["a"].inputs, "failed", ["OSError: disk"])
    assert summary(paths)["a"]["status"] == "failed"
    assert again()[0] == ["receive a", "harmonise a", "publish"]


def test_a_survey_without_folder_is_withdrawn(again, paths):
    again()
    (paths.surveys / "b" / "survey.yml").unlink()
    assert summary(paths)["b"]["status"] == "withdrawn"
    assert again()[0] == ["withdraw b", "harmonise ", "publish"]
    assert set(summary(paths)) == {"a", "c"}


def test_nothing_accepted_is_nothing_to_publish(again, monkeypatch):
    monkeypatch.setattr(Jobs, "refuses", frozenset("abc"))
    steps, outcome = again()
    assert steps == ["receive a", "receive b", "receive c"]
    assert outcome.failure == "no survey was ever accepted, so there is nothing to publish"
    assert outcome.exit_code == 1


def test_an_unknown_survey_is_named(again):
    with pytest.raises(UnknownSurvey, match="no folder data/surveys/z; there are: a, b, c"):
        again("z")


def test_a_state_that_cannot_be_read_rebuilds_everything(again, paths):
    again()
    (paths.warehouse / "state.json").write_text("{half")
    assert again()[0] == EVERYTHING


def test_neighbours_are_harmonised_in_one_run():
    assert module._blocks(["a", "b", "d"], ["a", "b", "c", "d"]) == [("a", "b"), ("d", "d")]
    assert module._blocks(["d", "a"], ["a", "d"]) == [("a", "d")]
    assert module._blocks([], ["a"]) == []


def test_changes_are_named():
    assert changes({"x": "1", "y": "1"}, {"x": "2", "z": "1"}) == ["x changed", "y is gone", "z is new"]
