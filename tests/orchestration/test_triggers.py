"""What starts a refresh: the inbox and the clock."""

import datetime as dt
import json
import shutil

import dagster as dg
import pytest

from relocation_warehouse.ground.state import State, shared_inputs, survey_inputs, total_digest


def _instance(warehouse):
    """An instance that a sensor or schedule can ask for its partitions."""
    home = warehouse.paths.warehouse / "dagster"
    home.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(home))


@pytest.fixture
def look(location, warehouse):
    """Let the sensor look once; gives the surveys it starts."""
    sensor = location.resolve_sensor_def("inbox")
    instance = _instance(warehouse)
    cursor = None

    def once():
        nonlocal cursor
        with dg.build_sensor_context(
            instance, cursor=cursor, definitions=location, resources={"warehouse": warehouse}
        ) as context:
            result = sensor(context)
        for request in result.dynamic_partitions_requests or ():
            instance.add_dynamic_partitions("surveys", request.partition_keys)
        cursor = result.cursor
        json.loads(cursor)
        return [request.partition_key for request in result.run_requests or ()]

    return once


@pytest.fixture
def inbox(warehouse, survey_id):
    folder = warehouse.paths.inbox / survey_id
    folder.mkdir(parents=True)
    return folder


def test_a_new_folder_becomes_a_partition_without_a_reload(location, warehouse, survey_id):
    sensor = location.resolve_sensor_def("inbox")
    shutil.copytree(warehouse.paths.surveys / survey_id, warehouse.paths.surveys / "a_new_survey")
    instance = _instance(warehouse)
    with dg.build_sensor_context(
        instance, definitions=location, resources={"warehouse": warehouse}
    ) as context:
        asked = sensor(context).dynamic_partitions_requests
        assert {key for request in asked for key in request.partition_keys} == {*warehouse.survey_ids}
        assert "a_new_survey" in warehouse.survey_ids
        context.instance.add_dynamic_partitions("surveys", warehouse.survey_ids)
        assert not sensor(context).dynamic_partitions_requests


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
        _instance(warehouse),
        scheduled_execution_time=at,
        resources={"warehouse": warehouse},
        repository_def=location.get_repository_def(),
    ) as context:
        result = location.resolve_schedule_def("daily")(context)
    if isinstance(result, dg.SkipReason):
        return [], result.skip_message
    return [r.partition_key for r in result], None


def test_the_clock_starts_what_changed_and_nothing_else(location, warehouse, survey_id):
    inputs = survey_inputs(warehouse.paths)
    assert day(location, warehouse) == (sorted(inputs), None)
    harmonised_by = total_digest(shared_inputs(warehouse.paths))
    with State.updated(warehouse.paths) as state:
        for name, each in inputs.items():
            state.received(name, each, "accepted", ())
            state.surveys[name].harmonised_by = harmonised_by
    assert day(location, warehouse) == ([], "nothing changed since the last refresh")
    codes = warehouse.paths.surveys / survey_id / "codes.csv"
    codes.write_text(codes.read_text("utf-8") + "\n", "utf-8")
    assert day(location, warehouse) == ([survey_id], None)
