import pytest
from cluster import Cluster, Place


@pytest.fixture(scope="session")
def by_duckdb(tmp_path_factory):
    """The surveys of the checkout, built and published by DuckDB."""
    place = Place.make(tmp_path_factory.mktemp("duckdb") / "data")
    status, said = place.run("refresh")
    assert status == 0, said
    return place


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A master and two workers."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start(n_workers=2)
        yield cluster
    finally:
        cluster.stop()
