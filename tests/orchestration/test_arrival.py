"""Which file of a survey is received, and what a withdrawn survey leaves behind."""

import hashlib
import shutil

import pytest

from relocation_warehouse.ground.state import State


@pytest.fixture
def receive(warehouse, survey_id):
    from relocation_warehouse.receiving.arrival import receive

    return lambda: receive(warehouse, survey_id)


@pytest.fixture
def dropped(warehouse, survey_id, file):
    """The same answers without the last household, in the inbox."""
    inbox = warehouse.paths.inbox / survey_id
    inbox.mkdir(parents=True)
    path = inbox / file.name
    path.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    return path


def test_a_file_in_the_inbox_goes_before_the_one_in_the_folder(receive, warehouse, file, dropped):
    arrival = receive()
    assert arrival.is_accepted, arrival.problems
    (load,) = arrival.loads.to_pylist()
    assert load["sha256"] == hashlib.sha256(dropped.read_bytes()).hexdigest()
    assert load["received"] == len(file.read_bytes().splitlines()) - 2
    dropped.unlink()
    assert receive().received_rows == load["received"] + 1


def test_a_file_in_the_inbox_must_agree_with_the_checksum_beside_it(receive, dropped):
    beside = dropped.with_name(f"{dropped.name}.sha256")
    beside.write_text(f"{'0' * 64}  {dropped.name}\n")
    arrival = receive()
    assert not arrival.is_accepted
    (problem,) = arrival.problems
    assert problem.file == dropped.name
    assert f"{beside.name} says {'0' * 64}" in problem.message
    beside.write_text(f"{hashlib.sha256(dropped.read_bytes()).hexdigest().upper()} *{dropped.name}\n")
    assert receive().is_accepted


def test_what_is_still_being_uploaded_is_not_read(receive, file, dropped):
    dropped.rename(dropped.with_name(f"{dropped.name}.part"))
    (load,) = receive().loads.to_pylist()
    assert load["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_withdrawn_survey_leaves_nothing_in_the_build(receive, warehouse, survey_id):
    from relocation_warehouse.receiving.arrival import withdraw

    receive()
    assert State.load(warehouse.paths).surveys[survey_id].status == "accepted"
    shutil.rmtree(warehouse.paths.surveys / survey_id)
    withdraw(warehouse, survey_id)
    with warehouse.connect(read_only=True) as con:
        tables = con.execute(
            "select table_schema, table_name from information_schema.columns where column_name = 'survey_id'"
        ).fetchall()
        for schema, name in tables:
            left = con.execute(f'select count(*) from {schema}."{name}" where survey_id = ?', [survey_id])
            assert left.fetchone() == (0,), name
        named = con.execute(
            "select count(*) from duckdb_tables() where starts_with(table_name, ?)", [survey_id]
        )
        assert named.fetchone() == (0,)
    assert tables
    assert survey_id not in State.load(warehouse.paths).surveys
