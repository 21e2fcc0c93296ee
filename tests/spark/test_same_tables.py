"""A refresh on a cluster that loses an executor and a worker gives the tables that DuckDB gives."""

import shutil
from dataclasses import replace
from threading import Thread

import duckdb
import pytest
from cluster import Place, wait_until

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.engines.same_tables import differences
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

CATALOG = CHECKOUT / "data" / "catalog"
CONTRACT = load_contract(CATALOG / "tables.yml", load_catalog(CATALOG).indicators)
TABLES = list(CONTRACT)


@pytest.fixture(scope="module")
def disturbed(by_duckdb, cluster, tmp_path_factory):
    """The same surveys built on the cluster, and what was killed meanwhile."""
    place = Place.make(tmp_path_factory.mktemp("spark") / "data")
    process = place.start("refresh", "--engine", "spark", **cluster.environment)
    killed = []
    thief = Thread(target=steal, args=(cluster, place.data / "warehouse" / "spark", process, killed))
    thief.start()
    said, _ = process.communicate()
    thief.join()
    assert process.returncode == 0, said
    return place, killed


def steal(cluster, built, process, killed):
    """Kill an executor when households are harmonised, another when marts are built, a worker before the results."""
    for stage in ("staging.db", "capital.db"):
        if not came(built / stage, process):
            return
        wait_until(lambda: cluster.executors("worker0"), 60, "an executor")
        cluster.executors("worker0")[0].kill()
        killed.append(stage)
    if came(built / "analysis.db", process):
        for victim in (*cluster.executors("worker1"), cluster.processes["worker1"]):
            victim.kill()
        killed.append("analysis.db")


def came(path, process):
    """Whether a stage was reached before the refresh ended."""
    wait_until(lambda: path.exists() or process.poll() is not None, 600, path)
    return process.poll() is None


@pytest.fixture(scope="module")
def by_spark(disturbed):
    return disturbed[0]


def test_two_executors_and_a_worker_were_killed_in_mid_run(disturbed):
    assert disturbed[1] == ["staging.db", "capital.db", "analysis.db"]


@pytest.mark.parametrize("table", TABLES, ids=[t.full_name for t in TABLES])
def test_table_is_the_same(by_duckdb, by_spark, table):
    contract = replace(CONTRACT, tables=(table,))
    assert list(differences(by_duckdb.published, by_spark.published, contract)) == []


def test_a_difference_would_be_found(by_duckdb, tmp_path):
    changed = tmp_path / "changed.duckdb"
    shutil.copy(by_duckdb.published, changed)
    changed.chmod(0o600)
    with duckdb.connect(str(changed)) as con:
        con.execute(
            "delete from capital.indicator_bounds "
            "where indicator_id = (select min(indicator_id) from capital.indicator_bounds)"
        )
        con.execute("update capital.household_capitals set total = total + 2e-9")
    matching = [line.split(":")[0] for line in differences(by_duckdb.published, changed, CONTRACT)]
    assert {"capital.indicator_bounds", "capital.household_capitals.total"} <= {*matching}
