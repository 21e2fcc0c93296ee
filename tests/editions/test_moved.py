import json
import shutil
from dataclasses import asdict

import duckdb
import pytest
from made_up_build import contract

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.moved import (
    Moved,
    changes_of_inputs,
    compare_versions,
    moved_results,
    sentences,
)

COMPARED = (
    "analysis.region_comparison",
    "analysis.coupling_summary",
    "reference.surveys",
    "harmonized.households",
)


@pytest.fixture(scope="module")
def small():
    return Contract(contract().version, tuple(contract()[t] for t in COMPARED))


@pytest.fixture
def before(sound_build, tmp_path, small):
    write_database(sound_build, tmp_path / "before.duckdb", small)
    return tmp_path / "before.duckdb"


def after(before, *statements):
    path = shutil.copy(before, before.with_name("after.duckdb"))
    with duckdb.connect(str(path)) as con:
        for statement in statements:
            con.execute(statement)
    return path


def test_nothing_moved_between_equal_versions(before, small):
    noise = "UPDATE analysis.region_comparison SET value = value * (1 + 1e-12)"
    of_households = "UPDATE harmonized.households SET land_area = land_area + 1"
    assert moved_results(before, after(before, noise, of_households), small, []) == ()


def test_a_moved_result_is_named_with_its_size_unless_its_survey_changed(before, small):
    with duckdb.connect(str(before), read_only=True) as con:
        survey, metric = con.execute(
            "SELECT source_id, metric_id FROM analysis.region_comparison WHERE value > 0 ORDER BY ALL LIMIT 1"
        ).fetchone()
    where = f"source_id = '{survey}' AND metric_id = '{metric}'"
    new = after(before, f"UPDATE analysis.region_comparison SET value = value * 1.25 WHERE {where}")
    (only,) = moved_results(before, new, small, [])
    assert (only.subject, only.table) == (survey, "analysis.region_comparison")
    assert 0 < only.n_moved <= only.n
    assert only.place.startswith(f"value of {metric} ")
    assert only.after == pytest.approx(only.before * 1.25)
    assert moved_results(before, new, small, [survey]) == ()


def test_what_came_or_went_counts(before, small):
    with duckdb.connect(str(before), read_only=True) as con:
        (n,) = con.execute(
            "SELECT count(*) FROM analysis.coupling_summary WHERE survey_id = 'hills'"
        ).fetchone()
        assert n > 2
    first = "SELECT min(rowid) FROM analysis.coupling_summary WHERE survey_id = 'hills'"
    last = first.replace("min", "max")
    new = after(
        before,
        f"UPDATE analysis.coupling_summary SET mean_d = 0.5 WHERE rowid = ({last})",
        f"DELETE FROM analysis.coupling_summary WHERE rowid = ({first})",
    )
    newer = shutil.copy(new, new.with_name("newer.duckdb"))
    with duckdb.connect(str(newer)) as con:
        con.execute(f"UPDATE analysis.coupling_summary SET mean_d = NULL WHERE rowid = ({last})")
    (only,) = moved_results(new, newer, small, [])
    assert (only.n_moved, only.n_gone, only.before, only.after) == (1, 0, 0.5, None)
    (only,) = [m for m in moved_results(before, new, small, []) if m.table == "analysis.coupling_summary"]
    assert (only.n, only.n_gone) == (n - 1, 1)
    none = after(before, "DELETE FROM analysis.coupling_summary WHERE survey_id = 'hills'")
    (only,) = moved_results(before, none, small, [])
    assert (only.n_moved, only.n, only.n_gone, only.place) == (0, 0, n, "")


def manifest(code="a", **files):
    inputs = [{"file": "catalog/weights.yml", "sha256": "1"}]
    for survey, digest in files.items():
        inputs += [
            {"survey_id": survey, "file_id": "h", "file": "h.csv", "sha256": digest},
            {"file": f"surveys/{survey}/crosswalk.csv", "sha256": digest},
        ]
    return {"inputs": inputs, "code_version": code}


def test_why_is_what_differs_between_the_inputs():
    before, now = manifest(hills="1", plains="1"), manifest("b", hills="1", plains="2", valley="1")
    now["inputs"][0]["sha256"] = "2"
    assert changes_of_inputs(before, now) == (
        ("plains", "valley"),
        (
            "survey plains changed",
            "survey valley was added",
            "catalog/weights.yml changed",
            "the code changed",
        ),
    )


def test_a_survey_changed_whose_data_alone_are_other():
    before, now = manifest(hills="1"), manifest(hills="1")
    (file,) = (i for i in now["inputs"] if i.get("survey_id"))
    file["sha256"] = "2"
    assert changes_of_inputs(before, now) == (("hills",), ("survey hills changed",))


def test_words_name_the_table_that_moved_most_and_count_the_others():
    results = (
        Moved("hills", "analysis.few", 4, 9, 0, "mean of low", 1.0, 2.0),
        Moved("hills", "analysis.many", 5, 1000, 2, "mean of high", None, 0.123456789),
    )
    said = {"moved": {"why": ["the code changed"], "results": [asdict(m) for m in results]}}
    _, most, others = sentences(said)
    assert most == (
        "  hills: 5 of 1,000 rows of analysis.many moved, 2 are gone, most of all mean of high: none -> 0.123457"
    )
    assert others.startswith("    and 4 rows of 1 other tables")


def test_a_manifest_says_what_moved_and_a_refresh_says_it_in_words(before, small, tmp_path):
    folder = tmp_path / "former"
    folder.mkdir()
    new = after(before, "UPDATE analysis.coupling_summary SET mean_d = mean_d / 2 WHERE survey_id = 'hills'")
    shutil.copy(before, folder / new.name)
    now = manifest(hills="1", plains="1", valley="1")
    assert compare_versions(folder, new, now, small) == {}  # no manifest, so nothing is known of before
    (folder / "manifest.json").write_text(json.dumps(manifest(hills="1", plains="1")))
    said = {"moved": compare_versions(folder, new, now, small)}
    first, second = sentences(json.loads(json.dumps(said)))
    assert first == (
        "published results of hills moved although they did not change, because survey valley was added:"
    )
    assert second.startswith("  hills: ")
    assert "rows of analysis.coupling_summary moved, most of all mean_d of " in second
    assert list(sentences({})) == []
