"""What starts a refresh: the inbox and the clock."""

import datetime as dt
import json

import dagster as dg
import pytest

from relocation_warehouse.ground.state import State, shared_inputs, survey_inputs, total_digest


@pytest.fixture
def look(location, warehouse):
    """Let the sensor look once; gives the surveys it starts."""
    sensor = location.resolve_sensor_def("inbox")
    cursor = None

    def once():
        nonlocal cursor
        with dg.build_sensor_context(
            cursor=cursor, definitions=location, resources={"warehouse": warehouse}
        ) as context:
            found = sensor.evaluate_tick(context)
        cursor = found.cursor
        json.loads(cursor)
        for request in found.run_requests:
            assert request.job_name == f"refresh_{request.partition_key}"
        return [request.partition_key for request in found.run_requests]

    return once


@pytest.fixture
def inbox(warehouse, survey_id):
    folder = warehouse.paths.inbox / survey_id
    folder.mkdir(parents=True)
    return folder


def test_an_empty_inbox_starts_nothing(look):
    assert [look(), look(), look()] == [[], [], []]


def test_a_file_starts_its_survey_once_it_has_been_still(look, inbox, survey_id):
    look()
    (inbox / "answers.csv").write_text("half")
    assert look() == [], "it has just been seen"
    (inbox / "answers.csv").write_text("half and the rest")
    assert look() == [], "it grew"
    assert look() == [survey_id]
    assert [look(), look()] == [[], []], "it was started"
    (inbox / "answers.csv").write_text("another version")
    assert [look(), look(), look()] == [[], [survey_id], []]


def test_an_upload_that_says_it_is_not_complete_waits(look, inbox, survey_id):
    (inbox / "answers.csv.part").write_text("half")
    assert [look(), look(), look()] == [[], [], []]
    (inbox / "answers.csv.part").rename(inbox / "answers.csv")
    assert [look(), look()] == [[], [survey_id]]


def test_a_file_written_again_with_the_same_content_starts_nothing(look, inbox, survey_id):
    (inbox / "answers.csv").write_text("same")
    assert [look(), look()] == [[], [survey_id]]
    (inbox / "answers.csv").unlink()
    (inbox / "answers.csv").write_text("same")
    assert [look(), look(), look()] == [[], [], []]


def test_a_file_taken_back_starts_its_survey_again(look, inbox, survey_id):
    (inbox / "answers.csv").write_text("wrong file")
    assert [look(), look()] == [[], [survey_id]]
    (inbox / "answers.csv").unlink()
    assert [look(), look()] == [[], [survey_id]]


def day(location, warehouse):
    at = dt.datetime(2026, 1, 2, 5, tzinfo=dt.UTC)
    with dg.build_schedule_context(
        scheduled_execution_time=at,
        resources={"warehouse": warehouse},
        repository_def=location.get_repository_def(),
    ) as context:
        found = location.resolve_schedule_def("daily").evaluate_tick(context)
    return [r.partition_key for r in found.run_requests or ()], found.skip_message


def test_the_clock_starts_what_changed_and_nothing_else(location, warehouse, survey_id):
    inputs = survey_inputs(warehouse.paths)
    assert day(location, warehouse) == (sorted(inputs), None)
    harmonised_by = total_digest(shared_inputs(warehouse.paths))
    with State.updated(warehouse.paths) as state:
        for name, found in inputs.items():
            state.received(name, found, "accepted", ())
            state.surveys[name].harmonised_by = harmonised_by
    assert day(location, warehouse) == ([], "nothing changed since the last refresh")
    codes = warehouse.paths.surveys / survey_id / "codes.csv"
    codes.write_text(codes.read_text("utf-8") + "\n", "utf-8")
    assert day(location, warehouse) == ([survey_id], None)
