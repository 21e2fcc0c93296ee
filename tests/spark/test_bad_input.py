"""What stands in the way of Spark is said in one sentence, and what is published stays."""

import os
import shutil
import subprocess

import pytest
from cluster import Cluster, Place, free_port


@pytest.fixture
def place(by_duckdb, tmp_path):
    """A copy of the warehouse that DuckDB published."""
    data = tmp_path / "data"
    shutil.copytree(by_duckdb.data, data, symlinks=True)
    return Place(data)


@pytest.fixture
def unchanged(place):
    """Hold that the published version stays."""
    before = place.version(), place.published.read_bytes()
    yield
    assert (place.version(), place.published.read_bytes()) == before


@pytest.mark.usefixtures("unchanged")
def test_a_wrong_engine_name_names_the_right_ones(place):
    status, said = place.run("refresh", "--engine", "sparc")
    assert status == 2
    assert said == "there is no engine 'sparc'; use one of: duckdb, spark"


@pytest.mark.usefixtures("unchanged")
def test_no_java_says_what_to_install(place, tmp_path):
    (tmp_path / "bin").mkdir()
    for program in ("git", "env", "bash"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program))
    status, said = place.run("refresh", "--engine", "spark", PATH=str(tmp_path / "bin"), JAVA_HOME="")
    assert status == 1
    assert "needs Java 17 or newer, but no java was found on PATH or in JAVA_HOME; install it" in said
    assert "or use --engine duckdb" in said


@pytest.mark.usefixtures("unchanged")
def test_no_master_says_where_it_was_looked_for(place):
    url = f"spark://127.0.0.1:{free_port()}"
    status, said = place.run("refresh", "--engine", "spark", WAREHOUSE_SPARK_MASTER=url)
    assert status == 1
    assert f"no Spark master answers at {url}; start it, or correct WAREHOUSE_SPARK_MASTER" in said


@pytest.mark.usefixtures("unchanged")
def test_a_cluster_without_a_worker_says_so(place, tmp_path):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start(n_workers=0)
        status, said = place.run(
            "refresh", "--engine", "spark", WAREHOUSE_SPARK_PATIENCE_SECONDS="5", **cluster.environment
        )
    finally:
        cluster.stop()
    assert status == 1
    assert f"the Spark cluster at {cluster.url} gave no executor within 5 s; start a worker" in said


@pytest.mark.usefixtures("unchanged")
def test_a_full_disk_says_where_to_make_room(place):
    spark = place.data / "warehouse" / "spark"
    spark.mkdir()
    # mounting needs the superuser, as continuous integration is
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", spark], check=True)
    try:
        status, said = place.run("refresh", "--engine", "spark", WAREHOUSE_SPARK_MASTER="local[2]")
    finally:
        subprocess.run(["umount", spark], check=True)
    assert status == 1
    assert "not published; the version before stays" in said
    assert "the disk is full; make room under data/warehouse" in said
    assert os.listdir(spark) == []
