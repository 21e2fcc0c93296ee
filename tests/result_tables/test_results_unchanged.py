"""Results are computed again when anything that they were made from differs, and only then."""

import json
import subprocess
import sys
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest

from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.results import groups, unchanged
from relocation_warehouse.results.groups import CODE, GROUPS, Group
from relocation_warehouse.results.tables import Computed
from relocation_warehouse.survey.literature import Literature


class Case:
    """A computation on a small database, and how often it was run."""

    def __init__(self, folder):
        self.con = duckdb.connect()
        self.con.execute("create schema harmonized; create schema raw; create schema analysis")
        self.con.execute(
            "create table harmonized.households as "
            "select range as x, 0.1::double * range as y, 'question 7' as evidence from range(5)"
        )
        self.con.execute("create view analysis.shown as select x from harmonized.households where x > 2")
        self.catalog = SimpleNamespace(model_dump_json=lambda: self.text)
        self.text, self.printed, self.runs = "catalog", "1", 0
        self.kept = Kept(folder)
        self.group = Group("small", self.compute, (), "")

    def compute(self, con, catalog, literature):
        self.runs += 1
        (total,) = con.execute('select sum(x * y) from "harmonized"."households"').fetchone()
        (n,) = con.cursor().execute("select count(*) from analysis.shown where x <> ?", [99]).fetchone()
        names = con.execute(
            "select table_name from duckdb_tables() where schema_name = ?", ["raw"]
        ).fetchall()
        printed = literature()["a.csv"][0]["value"] if n > 1 else ""
        return {
            "one": pa.table(
                {"total": [total], "n": [n], "names": [sorted(n for (n,) in names)], "printed": [printed]}
            ),
            "two": Computed("select x from harmonized.households", is_view=True),
        }

    def __call__(self):
        def literature():
            return Literature({"a.csv": ({"value": self.printed},)})

        return unchanged.results_of(self.group, self.con, self.catalog, literature, self.kept)


@pytest.fixture(params=["a view like any other", "a view of results"])
def case(tmp_path, monkeypatch, request):
    monkeypatch.setitem(CODE, "small", "code")
    monkeypatch.setattr(unchanged, "is_as_it_was", lambda _: True)
    if request.param == "a view of results":
        shown = SimpleNamespace(full_name="analysis.shown", is_view=True, made_by="other")
        monkeypatch.setattr(unchanged, "contract_of", lambda: [shown])
    return Case(tmp_path / "kept")


def test_what_did_not_change_is_not_computed_again(case):
    first = case()
    again = case()
    assert case.runs == 1
    assert again == first
    assert again["one"].schema == first["one"].schema


CHANGES = {
    "a value": lambda c: c.con.execute("update harmonized.households set y = 0.3 where x = 3"),
    "a row less": lambda c: c.con.execute("delete from harmonized.households where x = 0"),
    "a row twice": lambda c: c.con.execute(
        "insert into harmonized.households select * from harmonized.households"
    ),
    "a type": lambda c: c.con.execute("alter table harmonized.households alter x type double"),
    "a view": lambda c: c.con.execute(
        "create or replace view analysis.shown as select x + 0.5 as x from range(5) t(x)"
    ),
    "a table more": lambda c: c.con.execute("create table raw.new as select 1 as x"),
    "the literature": lambda c: setattr(c, "printed", "2"),
    "the catalog": lambda c: setattr(c, "text", "another"),
    "the code": lambda c: CODE.update(small="other code"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_computed_again(case, change):
    case()
    CHANGES[change](case)
    changed = case()
    assert case.runs == 2
    assert changed == case.compute(case.con, None, lambda: Literature({"a.csv": ({"value": case.printed},)}))
    assert case() == changed
    assert case.runs == 3  # the plain computation of the comparison, and no other


def test_what_code_made_that_changed_since_the_start_is_not_kept(case, monkeypatch):
    monkeypatch.setattr(unchanged, "is_as_it_was", lambda _: False)
    case()
    monkeypatch.setattr(unchanged, "is_as_it_was", lambda _: True)
    case()
    assert case.runs == 2


def test_code_is_what_it_was_until_a_file_of_it_changes(monkeypatch):
    assert all(groups.is_as_it_was(group) for group in GROUPS)
    monkeypatch.setitem(CODE, GROUPS[0].name, "other code")
    assert not groups.is_as_it_was(GROUPS[0])


def test_no_statistics_are_loaded_before_something_is_computed():
    loaded = "import sys, relocation_warehouse.results.unchanged; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert "relocation_warehouse.results.groups" in modules.stdout.split()
    assert {"scipy", "statsmodels"}.isdisjoint(modules.stdout.split())


def test_what_was_before_is_known_again(case):
    first = case()
    case.con.execute("create table raw.new as select 1 as x")
    case()
    case.con.execute("drop table raw.new")
    assert case() == first
    assert case.runs == 2


def test_what_nobody_reads_does_not_matter(case):
    case()
    case.con.execute("create table harmonized.other as select 1 as x")
    case()
    assert case.runs == 1


def test_a_column_that_nobody_reads_does_not_matter(case):
    first = case()
    case.con.execute("update harmonized.households set evidence = 'question 8'")
    assert case() == first
    assert case.runs == 1


@pytest.mark.parametrize("query", ["select * from harmonized.households", "pivot harmonized.households on x"])
def test_where_columns_cannot_be_told_all_count(case, query):
    plain = case.compute

    def compute(con, *others):
        con.execute(query)
        return plain(con, *others)

    case.group = Group("small", compute, (), "")
    case()
    case.con.execute("update harmonized.households set evidence = 'question 8'")
    case()
    assert case.runs == 2


@pytest.mark.parametrize("kind", ["results-small", "results-small-reads"])
@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_poisoned_result_is_computed_again(case, kind, harm):
    first = case()
    (path,) = (case.kept.folder / kind).iterdir()
    whole = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-20] if harm == "cut" else whole[:90] + bytes([whole[90] ^ 1]) + whole[91:])
    assert case() == first
    assert case.runs == 2


def test_a_question_that_is_not_watched_is_refused(case):
    with pytest.raises(AttributeError, match="use execute"):
        unchanged.Watched(case.con).sql("select 1")


@pytest.mark.parametrize("name", ["coupled_systems", "panels", "sensitivity"])
def test_a_group_gives_the_same_from_what_is_kept(analysed, catalog, literature, tmp_path, name):
    (group,) = (g for g in GROUPS if g.name == name)
    first, again = (
        unchanged.results_of(group, analysed, catalog, lambda: literature, Kept(tmp_path)) for _ in range(2)
    )
    assert again.keys() == first.keys()
    for table, result in first.items():
        assert again[table].equals(result) if isinstance(result, pa.Table) else again[table] == result
    assert len([*(tmp_path / f"results-{name}").iterdir()]) == 1
    # what a crosswalk says of an indicator is words for people; who edits them waits for no result
    (noted,) = (tmp_path / f"results-{name}-reads").iterdir()
    reads = json.loads(Kept(tmp_path).find(noted.parent.name, noted.name)["reads.json"])
    assert {"survey_id"} <= {*reads["tables"]["harmonized.coverage"]}
    assert "evidence" not in reads["tables"]["harmonized.coverage"]


def test_the_code_of_a_group_is_that_of_the_functions_it_calls_and_of_the_formulas_shared_with_dbt(
    monkeypatch,
):
    before = groups._code(GROUPS[0])
    assert before == CODE[GROUPS[0].name]
    assert len(set(CODE.values())) == len(CODE)
    monkeypatch.setattr(groups, "macros", lambda: "other formulas")
    assert groups._code(GROUPS[0]) != before
    monkeypatch.undo()
    with pytest.raises(LookupError, match="calls no function"):
        groups._code(Group("none", lambda *_: {}, (), ""))
