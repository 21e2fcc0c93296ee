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


def test_a_file_that_was_copied_in_half_is_refused_until_somebody_says_how_few_are_right(
    receive, warehouse, survey_id, file, dropped
):
    whole = dropped.read_bytes().splitlines(keepends=True)
    assert receive().is_accepted
    before, n = len(whole) - 1, 100
    dropped.write_bytes(b"".join(whole[: n + 1]))
    for _ in range(2):  # a refusal is not what the next one is held against
        arrival = receive()
        assert not arrival.is_accepted
        (problem,) = arrival.problems
        assert problem.file == file.name
        assert problem.message.startswith(f"{n} rows came of file 'answers', {before} in the load before")
        assert f"say `fewest_rows: {n}`" in problem.message
    said = warehouse.paths.surveys / survey_id / "survey.yml"
    declared = said.read_text("utf-8")
    said.write_text(
        declared.replace("path: answers.csv", f"path: answers.csv\n    fewest_rows: {n}"), "utf-8"
    )
    assert receive().accepted_rows == n
    said.write_text(
        declared.replace("path: answers.csv", f"path: answers.csv\n    fewest_rows: {n + 1}"), "utf-8"
    )
    (problem,) = receive().problems
    assert f"fewest_rows in survey.yml asks for {n + 1}" in problem.message


def test_a_file_with_a_few_rows_less_is_accepted(receive, warehouse, dropped):
    whole = dropped.read_bytes().splitlines(keepends=True)
    assert receive().is_accepted
    fewer = int((len(whole) - 1) * warehouse.catalog.gates.largest_share_fewer)
    dropped.write_bytes(b"".join(whole[:-fewer]))
    assert receive().is_accepted
    assert receive().is_accepted


def test_what_is_published_of_checks_does_not_depend_on_the_load_before(
    receive, warehouse, survey_id, dropped
):
    from relocation_warehouse.publication.checks import store_checks

    def published():
        with warehouse.connect() as con:
            con.execute(
                "create table if not exists raw.dbt_checks as select * from raw.expectation_results limit 0"
            )
        store_checks(warehouse, [])
        return warehouse.query("select * from quality.checks order by all").values.tolist()

    whole = dropped.read_bytes()
    assert receive().is_accepted
    first = published()
    dropped.write_bytes(b"".join(whole.splitlines(keepends=True)[:-20]))
    assert receive().is_accepted
    other = published()
    dropped.write_bytes(whole)
    assert receive().is_accepted
    assert published() == first
    assert len(other) == len(first) > 20
    kept = warehouse.query("select count(*) from raw.expectation_results where source = 'load_before'")
    assert kept.iloc[0, 0] > 0


def test_what_moved_since_the_load_before_is_said_and_refuses_nothing(receive, warehouse, survey_id, dropped):
    from relocation_warehouse.receiving.arrival import unlike_before

    assert unlike_before(warehouse, survey_id) == []
    assert receive().is_accepted
    assert unlike_before(warehouse, survey_id) == []
    with warehouse.connect() as con:
        con.execute("update raw.arrival_profiles set mean = mean + 10 * sd where sd > 0")
    assert receive().is_accepted
    said = unlike_before(warehouse, survey_id)
    assert said
    assert all(line.startswith(f"{survey_id}/answers, other than in the load before: ") for line in said)
    assert all("mean_to_be_between" in line for line in said)


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
