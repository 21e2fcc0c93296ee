"""What stops when something fails, what is tried again, and who hears of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pyarrow as pa
import pytest

from relocation_warehouse.ground.state import State


@pytest.fixture
def listener(monkeypatch):
    """A webhook on this machine; gives what was posted to it."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("WAREHOUSE_FAILURE_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    yield posted
    server.shutdown()
    thread.join()
    server.server_close()


def steps(result, event_type):
    return [e.step_key for e in result.all_events if e.event_type_value == event_type]


def test_a_refused_survey_stops_its_run_and_is_not_tried_again(execute, warehouse, file, survey_id, listener):
    file.unlink()
    result = execute("refresh_survey", partition_key=survey_id)
    assert not result.success
    assert steps(result, "STEP_FAILURE") == ["raw__answers"]
    assert steps(result, "STEP_UP_FOR_RETRY") == []
    assert "harmonise" not in steps(result, "STEP_START")
    assert "published__warehouse" not in steps(result, "STEP_START")
    state = State.load(warehouse.paths)
    assert state.surveys[survey_id].status == "refused"
    assert "file is missing" in state.surveys[survey_id].problems[0]
    (told,) = listener
    assert told["step"] == "raw__answers"
    assert told["job"] == "refresh_survey"
    assert survey_id in told["text"]


def test_a_webhook_that_does_not_answer_changes_nothing(execute, file, survey_id, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_FAILURE_WEBHOOK", "http://127.0.0.1:9/")
    file.unlink()
    result = execute("receive_survey", partition_key=survey_id)
    assert steps(result, "STEP_FAILURE") == ["raw__answers"]
    assert steps(result, "HOOK_ERRORED") == []
    assert steps(result, "HOOK_COMPLETED") == ["raw__answers"]


def test_a_blocking_check_blocks(execute, survey_id, monkeypatch):
    """The step itself succeeds; only its check fails, and nothing that depends on it may run."""
    from dagster_project.defs.ingest import assets
    from relocation_warehouse.receiving.arrival import Arrival

    unbalanced = Arrival(survey_id, True, (), pa.table({"survey_id": [survey_id]}), (), 10, 8, 1)
    monkeypatch.setattr(assets, "receive", lambda *_: unbalanced)
    result = execute("refresh_survey", partition_key=survey_id)
    assert not result.success
    failed = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    assert failed == ["nothing_is_lost"]
    for step in ("harmonise", "marts", "published__warehouse"):
        assert step not in steps(result, "STEP_START")


def test_what_may_pass_is_tried_again(execute, warehouse, survey_id, monkeypatch):
    from relocation_warehouse.receiving import arrival

    calls = []
    receive = arrival._receive

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("the disk was busy")
        return receive(*arguments)

    monkeypatch.setattr(arrival, "_receive", fail_once)
    result = execute("receive_survey", partition_key=survey_id)
    assert result.success
    assert steps(result, "STEP_UP_FOR_RETRY") == ["raw__answers"]
    assert State.load(warehouse.paths).surveys[survey_id].status == "accepted"


def test_an_error_of_the_machine_is_no_refusal(warehouse, survey_id, monkeypatch):
    from relocation_warehouse.receiving import arrival

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(arrival, "_receive", fail)
    with pytest.raises(OSError, match="no space left"):
        arrival.receive(warehouse, survey_id)
    last = State.load(warehouse.paths).surveys[survey_id]
    assert last.status == "failed"
    assert last.problems == ["OSError: no space left on device"]


def test_the_retry_policy_is_bounded():
    from dagster_project.defs.ingest.assets import answers

    assert answers.op.retry_policy == dg.RetryPolicy(max_retries=1, delay=5)
