import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_survey import write_folder

from relocation_warehouse.command.recovery import forget_unreadable, is_damaged, is_intact, start_over
from relocation_warehouse.ground.database import connect, write_table
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.state import State, sha256_of

SURVEY = "hills"
DECLARATION = f"surveys/{SURVEY}/crosswalk.csv"


@pytest.fixture
def paths(tmp_path):
    """A warehouse that remembers one accepted survey."""
    paths = Paths.under(tmp_path)
    paths.make()
    answers = pa.table(
        {"household_id": [f"h{k}" for k in range(60_000)], "land_mu": [k / 7 for k in range(60_000)]}
    )
    with connect(paths.build_database) as con:
        write_table(con, "quality", "loads", pa.table({"survey_id": [SURVEY]}))
        write_table(con, "raw", SURVEY, answers)
    (paths.landing / SURVEY).mkdir()
    pq.write_table(answers, paths.landing / SURVEY / "answers.parquet")
    declared = paths.accepted / SURVEY / "crosswalk.csv"
    declared.parent.mkdir(parents=True)
    declared.write_text("indicator,rule\nland,direct\nage,direct\n", encoding="utf-8")
    with State.updated(paths) as state:
        state.received(SURVEY, {DECLARATION: sha256_of(declared)}, "accepted", [])
    return paths


def is_survey_intact(paths):
    return is_intact(paths, SURVEY, State.load(paths).surveys[SURVEY].inputs)


def test_a_sound_warehouse_is_trusted(paths):
    assert not is_damaged(paths)
    assert is_survey_intact(paths)


def test_a_new_warehouse_is_not_damaged(tmp_path):
    assert not is_damaged(Paths.under(tmp_path))


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.95])
def test_a_cut_build_database_is_noticed(paths, kept):
    os.truncate(paths.build_database, int(paths.build_database.stat().st_size * kept))
    assert is_damaged(paths)


def test_overwritten_bytes_in_the_middle_are_noticed(paths):
    with paths.build_database.open("r+b") as file:
        file.seek(paths.build_database.stat().st_size // 2)
        file.write(b"\xff" * 4096)
    assert is_damaged(paths)


def test_a_lost_build_database_or_state_is_noticed(paths):
    saved = paths.build_database.read_bytes()
    paths.build_database.unlink()
    assert is_damaged(paths)
    paths.build_database.write_bytes(saved)
    os.truncate(paths.warehouse / "state.json", 40)
    assert is_damaged(paths)


def test_a_build_without_a_remembered_survey_is_noticed(paths):
    with connect(paths.build_database) as con:
        con.execute("DELETE FROM quality.loads")
    assert is_damaged(paths)


def test_a_build_database_in_use_is_not_taken_for_damaged(paths):
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()",
            str(paths.build_database),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert writer.stdout.readline() == b"open\n"
        assert not is_damaged(paths)
    finally:
        writer.communicate()


def test_starting_over_forgets_the_build_and_nothing_else(paths):
    (paths.published / "warehouse.duckdb").write_bytes(b"published")
    start_over(paths)
    assert not paths.build_database.exists()
    assert State.load(paths) == State()
    assert not is_damaged(paths)
    assert (paths.published / "warehouse.duckdb").read_bytes() == b"published"


@pytest.mark.parametrize("kept", [0, 3, 0.5, 0.99])
def test_a_cut_landing_file_is_noticed(paths, kept):
    (landed,) = (paths.landing / SURVEY).iterdir()
    os.truncate(landed, kept if kept >= 1 else int(landed.stat().st_size * kept))
    assert not is_survey_intact(paths)


def test_a_lost_landing_file_is_noticed(paths):
    (landed,) = (paths.landing / SURVEY).iterdir()
    landed.unlink()
    assert not is_survey_intact(paths)


@pytest.mark.parametrize("name", ["survey.yml", "columns.csv", "codes.csv", "crosswalk.csv"])
def test_a_cut_or_lost_declaration_is_taken_from_its_folder_again(paths, name):
    shutil.rmtree(paths.accepted)
    write_folder(paths.accepted / "hills")
    write_folder(paths.accepted / "plains")
    assert forget_unreadable(paths) == ()
    os.truncate(paths.accepted / "plains" / name, 40)
    assert forget_unreadable(paths) == ("plains",)
    assert [folder.name for folder in paths.accepted.iterdir()] == ["hills"]


def test_a_declaration_that_lost_its_last_line_is_noticed(paths):
    declared = paths.accepted / SURVEY / "crosswalk.csv"
    declared.write_text("indicator,rule\nland,direct\n", encoding="utf-8")
    assert not is_survey_intact(paths)
