"""A model or test that would come to the same does not run again, and one that would not always does."""

import copy
import shutil

import duckdb
import pytest

from relocation_warehouse.ground.database import connect
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.models.run import build
from relocation_warehouse.models.unchanged import KIND, Nodes

PASSED = {"status": "passed", "check": "c"}


def node(kind, name, reads=(), text="select 1", materialized="table"):
    return {
        "resource_type": kind,
        "name": name,
        "schema": "made",
        "raw_code": text,
        "config": {"materialized": materialized},
        "depends_on": {"nodes": list(reads)},
        "columns": {},
    }


@pytest.fixture
def manifest():
    """A source, a table and a view over it, a table over the view, a test and a unit test."""
    return {
        "metadata": {"project_name": "own"},
        "macros": {"m": {"package_name": "own", "macro_sql": "text"}},
        "sources": {"s": {"schema": "read", "name": "s"}},
        "nodes": {
            "t": node("model", "t", ["s"]),
            "v": node("model", "v", ["t"], materialized="view"),
            "w": node("model", "w", ["v"]),
            "test": node("test", "test", ["t", "s"]),
        },
        "unit_tests": {"unit": node("unit_test", "unit", ["t"])},
    }


@pytest.fixture
def con():
    with duckdb.connect(":memory:") as con:
        con.execute("create schema read; create schema made; create table read.s as select 1 as a, 2 as b")
        con.execute("create table made.t as select a from read.s; create view made.v as select a from made.t")
        con.execute("create table made.w as select a from made.v; create table made.other as select 3 as a")
        yield con


@pytest.fixture
def kept(tmp_path, manifest, con):
    """What came of all nodes."""
    nodes, kept = Nodes(manifest, con, Kept(tmp_path)), Kept(tmp_path)
    chosen = nodes.chosen(["t", "v", "w"])
    assert [*chosen] == ["t", "test", "unit", "v", "w"]
    assert nodes.as_before(chosen) == {}
    nodes.keep({key: PASSED if "t" in key[1:] else {} for key in chosen})
    return kept


def runs(manifest, con, kept):
    nodes = Nodes(manifest, con, kept)
    chosen = nodes.chosen(["t", "v", "w"])
    return set(chosen) - set(nodes.as_before(chosen))


def test_nothing_runs_that_reads_the_same(manifest, con, kept):
    assert runs(manifest, con, kept) == set()
    chosen = Nodes(manifest, con, kept).chosen(["t"])
    assert Nodes(manifest, con, kept).as_before(chosen) == {"t": {}, "test": PASSED, "unit": PASSED}
    con.execute("create or replace table read.s as select 1 as a, 2 as b")
    assert runs(manifest, con, kept) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("update read.s set b = 3", {"t", "v", "w", "test"}),
        ("alter table read.s alter b type bigint", {"t", "v", "w", "test", "unit"}),
        ("update made.t set a = 5", {"t", "v", "w", "test"}),
        ("drop table made.w", {"w"}),
        ("delete from made.w", {"w"}),
        ("create or replace view made.v as select a from made.other", {"v", "w"}),
        ("drop view made.v", {"v", "w"}),
    ],
)
def test_what_reads_or_holds_something_else_runs_with_all_that_reads_it(
    manifest, con, kept, change, expected
):
    con.execute(change)
    assert runs(manifest, con, kept) == expected


def test_a_changed_text_runs_with_all_that_reads_it(manifest, con, kept):
    for key, expected in (("w", {"w"}), ("v", {"v", "w"}), ("test", {"test"})):
        other = copy.deepcopy(manifest)
        other["nodes"][key]["raw_code"] = "select 2"
        assert runs(other, con, kept) == expected
    other = copy.deepcopy(manifest)
    other["macros"]["m"]["macro_sql"] = "another text"
    assert runs(other, con, kept) == {"t", "v", "w", "test", "unit"}


def test_a_unit_test_runs_with_the_text_of_its_model_and_the_columns_that_it_reads(manifest, con, kept):
    """Also where the table comes to the same, by an outcome that another warehouse kept; never for other rows."""
    manifest["nodes"]["t"]["raw_code"] = "select 2"
    nodes = Nodes(manifest, con, kept)
    nodes.keep({"t": {}})
    assert set(nodes.chosen(["t"])) - set(nodes.as_before(nodes.chosen(["t"]))) == {"unit"}
    manifest["unit_tests"]["unit"]["depends_on"]["nodes"] = ["w"]
    con.execute("create or replace view made.v as select a from made.other")
    assert "unit" in runs(manifest, con, kept)


def test_what_is_kept_of_another_database_is_no_proof_of_this_one(manifest, con, kept):
    with duckdb.connect(":memory:") as other:
        other.execute("create schema read; create schema made; create table read.s as select 1 as a, 2 as b")
        assert runs(manifest, other, kept) == {"t", "v", "w", "test"}


def test_a_damaged_or_missing_outcome_makes_its_node_run(manifest, con, kept):
    for poison in (lambda p: p.write_bytes(p.read_bytes()[:-3]), lambda p: p.unlink()):
        for path in (kept.folder / KIND).iterdir():
            whole = path.read_bytes()
            poison(path)
            assert runs(manifest, con, kept)
            path.write_bytes(whole)
    assert runs(manifest, con, kept) == set()


def test_a_test_that_failed_is_no_outcome_to_keep(tmp_path, manifest, con):
    nodes = Nodes(manifest, con, Kept(tmp_path / "other"))
    nodes.keep({"t": {}, "test": {"status": "failed"}, "unit": {"status": "not_run"}})
    chosen = nodes.chosen(["t"])
    assert set(nodes.as_before(chosen)) == {"t"}


@pytest.mark.slow
def test_models_of_a_warehouse_run_again_only_where_something_changed(refreshed, tmp_path):
    for name in ("catalog", "literature", "surveys"):
        (tmp_path / name).symlink_to(refreshed / name)
    shutil.copytree(refreshed / "warehouse", tmp_path / "warehouse")
    paths, models = Paths.under(tmp_path), ["coverage", "capital_changes", "indicator_bounds"]
    first = build(paths, models, "marts")
    again = build(paths, models, "marts")
    assert sorted(m.name for m in again.models) == models[1::-1] + models[2:]
    assert [m.seconds for m in again.models] == [0.0, 0.0, 0.0]
    assert again.checks == first.checks
    with connect(paths.build_database) as con:
        rows = con.execute("from capital.capital_changes order by all").fetchall()
        con.execute("update capital.capital_changes set survey_id = 'x'")
        con.execute("delete from raw.dbt_checks")
    third = build(paths, models, "marts")
    assert [m.name for m in third.models if m.seconds] == ["capital_changes"]
    with connect(paths.build_database) as con:
        assert con.execute("from capital.capital_changes order by all").fetchall() == rows
        count = con.execute("select count(*) from raw.dbt_checks where step = 'marts'").fetchall()
    assert count == [(len(first.checks),)]
