"""What stands in the way of Spark is said in one sentence, and what is published stays."""

import shutil
import subprocess

import pytest
from cluster import Cluster, Place, free_port, wait_until


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
    assert "needs Java 17 or newer, but no Java was found on PATH or in JAVA_HOME; install it" in said
    assert "or use --engine duckdb" in said


@pytest.mark.usefixtures("unchanged")
def test_no_master_says_where_it_was_looked_for(place):
    url = f"spark://127.0.0.1:{free_port()}"
    status, said = place.run("refresh", "--engine", "spark", WAREHOUSE_SPARK_MASTER=url)
    assert status == 1
    assert f"no Spark master answers at {url}; start it, or correct WAREHOUSE_SPARK_MASTER" in said


@pytest.fixture
def lonely(tmp_path):
    """A cluster with one worker."""
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        cluster.start(n_workers=1)
        yield cluster
    finally:
        cluster.stop()


@pytest.mark.usefixtures("unchanged")
def test_a_cluster_that_loses_its_last_worker_or_has_none_says_so(place, lonely):
    refresh = ("refresh", "--engine", "spark")
    process = place.start(*refresh, WAREHOUSE_SPARK_PATIENCE_SECONDS="20", **lonely.environment)
    built = place.data / "warehouse" / "spark" / "staging.db"
    wait_until(lambda: built.exists() or process.poll() is not None, 300, built)
    for victim in (*lonely.executors("worker0"), lonely.processes["worker0"]):
        victim.kill()
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "the cluster lost all its workers while the refresh ran; start one again and refresh again" in said
    status, said = place.run(*refresh, WAREHOUSE_SPARK_PATIENCE_SECONDS="5", **lonely.environment)
    assert status == 1
    assert f"the Spark cluster at {lonely.url} gave no executor within 5 s; start a worker" in said


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
