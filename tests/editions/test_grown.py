"""A database that is grown from the one before is the one that would be written anew."""

import shutil
from pathlib import Path

import duckdb
import pytest
from made_up_build import FEW, publish_tables

from relocation_warehouse.publication.grown import KIND, Grown
from relocation_warehouse.publication.publish import MEMORY, PUBLIC

TABLES = {
    *FEW,
    "harmonized.coverage",
    "capital.household_capitals",
    "quality.loads",
    "analysis.coupling_summary",
}
TABLES |= {"harmonized.households", "harmonized.missing_reasons"}
STAMPED = {"remembered.edition"}
"""Says when it was made."""


@pytest.fixture
def begun(monkeypatch):
    """Tables that stayed, of each database that was begun."""
    stayed = []
    begin = Grown.begun

    def watched(self, *given):
        stayed.append(begin(self, *given))
        return stayed[-1]

    monkeypatch.setattr(Grown, "begun", watched)
    return stayed


@pytest.fixture
def folder(sound_build, tmp_path, begun):
    """A build of its own, published once."""
    shutil.copyfile(sound_build, tmp_path / "build.duckdb")
    published(tmp_path)
    assert begun == [None, None, None]
    begun.clear()
    return tmp_path


def published(folder: Path, kept: str | None = "kept") -> list[Path]:
    version = publish_tables(folder, TABLES, kept)
    places = [version / "warehouse.duckdb", version / PUBLIC / "warehouse.duckdb"]
    return [*places, folder / "published" / MEMORY]


def said(path: Path) -> dict[str, object]:
    """All that a database says: rows in their order, comments, views, macros."""
    with duckdb.connect(str(path), read_only=True) as con:
        names = con.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
        rows = {n: con.execute(f"from {n}").fetchall() for (n,) in sorted(names) if n not in STAMPED}
        if path.name == MEMORY:  # whose rows lie in no order
            rows = {n: sorted(of_table, key=repr) for n, of_table in rows.items()}
        described = (
            "select schema_name, table_name, comment from duckdb_tables()",
            "select schema_name, table_name, column_name, data_type, is_nullable, comment from duckdb_columns()"
            " where not internal",
            "select schema_name, view_name, sql, comment from duckdb_views() where not internal",
            "select function_name, macro_definition, comment from duckdb_functions() where not internal",
        )
        return rows | {query: sorted(con.execute(query).fetchall(), key=repr) for query in described}


def change(folder: Path, statement: str) -> None:
    with duckdb.connect(str(folder / "build.duckdb")) as con:
        con.execute(statement)


@pytest.mark.parametrize(
    ("statement", "other"),
    [
        ("select 1", set()),
        ("update harmonized.coverage set evidence = 'asked otherwise'", {"harmonized.coverage"}),
        ("update quality.loads set loaded_at = loaded_at + interval 1 day", {"quality.loads"}),
        ("update analysis.coupling_summary set n = n + 30", {"analysis.coupling_summary"}),
    ],
)
def test_only_tables_that_say_something_else_are_written(folder, begun, statement, other):
    change(folder, statement)
    grown = [said(path) for path in published(folder)]
    analyst, rounded, public = begun
    assert (TABLES & grown[0].keys()) - analyst == other
    assert (TABLES & grown[1].keys()) - public <= other
    assert (TABLES & grown[2].keys()) - rounded <= other
    assert grown == [said(path) for path in published(folder, kept=None)]
    # what is grown from a grown one is the same again
    published(folder)
    assert grown == [said(path) for path in published(folder)]
    assert TABLES & grown[0].keys() <= begun[-3]


def test_what_a_changed_table_held_of_households_is_nowhere_in_the_file(folder, begun):
    name = b"a household that will be withdrawn"
    change(
        folder,
        f"update capital.household_capitals set household_id = '{name.decode()}' where household_id = 'h1'",
    )
    change(
        folder, f"update harmonized.households set household_id = '{name.decode()}' where household_id = 'h1'"
    )
    assert name in published(folder)[0].read_bytes()
    for table in ("capital.household_capitals", "harmonized.households"):
        change(folder, f"delete from {table} where household_id = '{name.decode()}'")
    begun.clear()
    assert not [p for p in published(folder) if name in p.read_bytes()]
    assert begun[0] is None


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "lost"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_database_is_written_anew(folder, begun, place, damage):
    expected = [said(path) for path in published(folder)]
    current = folder / "published" / ".current"
    places = [
        current / "warehouse.duckdb",
        current / PUBLIC / "warehouse.duckdb",
        folder / "published" / MEMORY,
    ]
    path = places[place].resolve()
    path.chmod(0o644)
    content = path.read_bytes()
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(content[:-4096] if damage == "cut off" else content[:-9] + b"poisoned!")
    begun.clear()
    assert [said(path) for path in published(folder)] == expected
    assert begun[(0, 2, 1)[place]] is None


def test_what_is_remembered_may_be_poisoned_or_be_of_another_database(folder, begun):
    entries = list((folder / "kept" / KIND).iterdir())
    expected = [said(path) for path in published(folder)]
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-1] + b"x")
    begun.clear()
    assert [said(path) for path in published(folder)] == expected
    assert begun == [None, None, None]
    other = folder / "other"
    shutil.copytree(folder / "published", other / "published", symlinks=True)
    shutil.copyfile(folder / "build.duckdb", other / "build.duckdb")
    shutil.copytree(folder / "kept", other / "kept")
    begun.clear()
    assert [said(path) for path in published(other)] == expected
    assert begun == [None, None, None]
