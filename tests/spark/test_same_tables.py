"""A refresh on a cluster that loses an executor and a worker gives the tables that DuckDB gives."""

from threading import Thread

import duckdb
import pytest
from cluster import Place, wait_until

from publication.tables import load_contract
from survey.catalog import load_catalog
from warehouse.paths import CHECKOUT

CATALOG = CHECKOUT / "data" / "catalog"
TABLES = list(load_contract(CATALOG / "tables.yml", load_catalog(CATALOG).indicators))
TOLERANCE = 1e-9


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


@pytest.fixture(scope="module")
def both(by_duckdb, by_spark):
    with duckdb.connect() as con:
        con.execute(
            f"attach '{by_duckdb.published}' as a (read_only); attach '{by_spark.published}' as b (read_only)"
        )
        yield con


@pytest.mark.parametrize("table", TABLES, ids=[t.full_name for t in TABLES])
def test_table_is_the_same(both, table):
    (expected,), (found,) = (
        both.execute(f'select count(*) from {side}."{table.schema}"."{table.name}"').fetchone()
        for side in "ab"
    )
    assert found == expected
    on = " and ".join(f'a."{k}" is not distinct from b."{k}"' for k in table.key)
    for column in (c for c in table.columns if not c.volatile):
        a, b = f'a."{column.name}"', f'b."{column.name}"'
        differs = f"{a} is distinct from {b}"
        if column.type == "DOUBLE":
            far = f"abs({a} - {b}) > {TOLERANCE} * greatest(1, abs({a}))"
            differs = f"({a} is null) <> ({b} is null) or {far}"
        keys = ", ".join(f'a."{k}"' for k in table.key)
        wrong = both.execute(
            f'select {keys}, {a}, {b} from a."{table.schema}"."{table.name}" as a '
            f'full join b."{table.schema}"."{table.name}" as b on {on} where {differs} limit 3'
        ).fetchall()
        assert not wrong, f"{column.name}: {wrong}"
