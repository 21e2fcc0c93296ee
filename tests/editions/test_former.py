"""Files that say the same are those of the version before, and never anything else."""

import shutil
from pathlib import Path

import duckdb
import pytest
from made_up_build import FEW, contract, publish_tables

from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.extract.tables import VALUES, write_household_tables

BESIDE_TABLES = {"warehouse.duckdb", "manifest.json", "public/warehouse.duckdb", "public/manifest.json"}
BESIDE_TABLES |= {"csv/datapackage.json", "public/csv/datapackage.json"}

TABLES = {*FEW, "harmonized.coverage", "capital.household_capitals"}


@pytest.fixture
def folder(sound_build, tmp_path):
    """A build of its own, published once."""
    shutil.copyfile(sound_build, tmp_path / "build.duckdb")
    published(tmp_path)
    return tmp_path


def published(folder: Path, kept: str = "kept") -> dict[str, Path]:
    version = publish_tables(folder, TABLES, kept)
    return {p.relative_to(version).as_posix(): p for p in version.rglob("*") if p.is_file()}


def inodes(files: dict[str, Path]) -> dict[str, int]:
    return {name: path.stat().st_ino for name, path in files.items() if name not in BESIDE_TABLES}


def current(folder: Path) -> dict[str, Path]:
    version = (folder / "published" / ".current").resolve()
    return {p.relative_to(version).as_posix(): p for p in version.rglob("*") if p.is_file()}


def test_what_did_not_change_is_not_written_again(folder):
    before = inodes(current(folder))
    assert len(before) > 40
    assert inodes(published(folder)) == before


def test_a_changed_row_makes_the_files_anew_that_say_it(folder):
    before = inodes(current(folder))
    with duckdb.connect(str(folder / "build.duckdb")) as con:
        con.execute("update harmonized.coverage set evidence = 'asked otherwise' where evidence is not null")
    files = published(folder)
    others = {n for n, inode in inodes(files).items() if before[n] != inode}
    assert {
        "csv/harmonized.coverage.csv",
        "parquet/harmonized/coverage.parquet",
        "public/csv/harmonized.coverage.csv",
    } <= others
    assert "asked otherwise" in files["csv/harmonized.coverage.csv"].read_text(encoding="utf-8")
    assert "csv/capital.household_capitals.csv" not in others


def test_files_made_anew_are_the_same_bytes(folder):
    linked = {name: p.read_bytes() for name, p in published(folder).items() if name not in BESIDE_TABLES}
    before = inodes(current(folder))
    files = published(folder, kept="nothing")
    assert not set(inodes(files).items()) & set(before.items())
    again = {name: files[name].read_bytes() for name in linked}
    # a workbook holds the second in which it was written
    assert [n for n in linked if linked[n] != again[n] and not n.endswith(".xlsx")] == []


@pytest.mark.parametrize("damage", ["cut off", "overwritten", "lost"])
def test_a_damaged_file_is_written_again(folder, damage):
    path = current(folder)["csv/reference.codes.csv"]
    sound = path.read_bytes()
    path.chmod(0o644)
    if damage == "lost":
        path.unlink()
    else:
        path.write_bytes(sound[:-20] if damage == "cut off" else sound.replace(b",", b";"))
    assert published(folder)["csv/reference.codes.csv"].read_bytes() == sound


def test_what_is_remembered_may_be_poisoned(folder):
    for entry in (folder / "kept").glob("*/*"):
        entry.write_bytes(entry.read_bytes()[:-1] + b"x")
    before = inodes(current(folder))
    assert not set(inodes(published(folder)).items()) & set(before.items())


@pytest.mark.parametrize("is_too_long", [False, True])
def test_files_of_households_follow_from_every_reason_and_from_no_evidence(
    sound_build, tmp_path, is_too_long
):
    """Also where the long view, from which reasons are read, is too long for its rows to be looked at."""
    write_database(sound_build, tmp_path / "warehouse.duckdb", contract())
    follows: dict[str, set[str]] = {}
    left_out = [VALUES] if is_too_long else []
    write_household_tables(
        tmp_path / "warehouse.duckdb",
        contract(),
        tmp_path,
        left_out,
        lambda path, tables, write: follows.update({path.name: {*tables}}),
    )
    chosen = follows["harmonized.households.dta"]
    assert {"harmonized.households", VALUES, "reference.codes"} <= chosen
    assert ({"harmonized.missing_reasons", "harmonized.coverage"} <= chosen) == is_too_long
    assert "reference.crosswalk" not in chosen
    assert follows["harmonized.missing_reasons.dta"] == {"harmonized.missing_reasons"}
