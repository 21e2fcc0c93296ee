"""The asset graph as a whole: what is in it, who owns it, and that nothing is left unsaid."""

import warnings
from pathlib import Path

import dagster as dg
import pytest

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


@pytest.fixture(scope="module")
def graph(location):
    return location.resolve_asset_graph()


def lines(graph):
    return sorted(f"{graph.get(key).group_name} {key.to_user_string()}" for key in graph.get_all_asset_keys())


def test_the_graph_is_the_one_that_was_reviewed(graph):
    """After a change that is meant: write the new lines into asset_graph.txt and show them in the review."""
    assert lines(graph) == SNAPSHOT.read_text("utf-8").splitlines()


def test_every_published_table_is_an_asset(graph):
    from relocation_warehouse.contract.tables import contract_of

    published = {t.full_name.replace(".", "/") for t in contract_of()}
    by_ingest = {name.replace(".", "/") for name in contract_of().made_by("ingest")}
    assert published - {key.to_user_string() for key in graph.get_all_asset_keys()} == by_ingest


def test_every_asset_has_a_group_a_description_and_an_owner(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        assert node.description, key
        assert node.group_name != "default", key


def test_every_check_has_a_description(graph):
    keys = list(graph.asset_check_keys)
    assert len(keys) > 40
    silent = [key.to_user_string() for key in keys if not graph.get_check_spec(key).description]
    assert silent == []


def test_jobs_sensor_and_schedule(location):
    names = {job.name for job in location.resolve_all_job_defs()}
    steps = {"receive_survey", "declare_surveys", "harmonise_surveys", "publish_warehouse", "refresh_survey"}
    assert steps <= names
    for name in steps:
        assert location.resolve_job_def(name).hook_defs, f"{name} tells nobody of a failure"
    assert location.resolve_schedule_def("daily").cron_schedule == "0 5 * * *"
    assert location.resolve_sensor_def("inbox").minimum_interval_seconds == 30


def test_a_backfill_harmonises_its_surveys_in_one_run(graph):
    assert (
        graph.get(dg.AssetKey(["staging", "household_waves"])).backfill_policy
        == dg.BackfillPolicy.single_run()
    )


def test_one_writer_at_a_time(location):
    """Every step that writes the build database, or publishes from it, waits in the same pool."""
    steps = location.resolve_job_def("publish_warehouse").graph.node_defs
    assert {next(iter(step.pools), None) for step in steps} == {"duckdb_writer"}


def test_loading_says_nothing_that_a_user_cannot_act_on(location):
    from dagster_project.definitions import defs

    with warnings.catch_warnings():
        warnings.simplefilter("error", dg.PreviewWarning)
        warnings.simplefilter("error", dg.BetaWarning)
        assert defs().assets
