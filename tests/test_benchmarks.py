"""Every benchmark runs at a small size: what it reports is there and adds up; how long it takes is not asserted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.folder import list_survey_folders, load_folder


def output(script: str, *arguments: str) -> str:
    """What a benchmark prints."""
    command = [sys.executable, str(CHECKOUT / "benchmarks" / script), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rows(table: str) -> dict[str, list[str]]:
    """Cells of the rows of a Markdown table by their first cell."""
    lines = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): [c.strip() for c in rest] for first, *rest in lines}


@pytest.mark.parametrize("kind", ["delimited", "spss"])
def test_ingest(kind: str) -> None:
    records = [
        json.loads(x)
        for x in output("bench_ingest.py", "--households", "500", "--formats", kind).splitlines()
    ]
    assert records
    assert {r["format"] for r in records} == {kind}
    for record in records:
        assert record["harmonise"]["rows"] + record["load"]["rows"] >= record["households"] == 500


def test_summary() -> None:
    selected = rows(output("bench_summary.py", "--rows", "5000", "--methods", "scan", "one", "all"))
    cpu = [float(cells[1]) for first, cells in selected.items() if first.startswith(("bare", "summary"))]
    assert len(cpu) == 3
    assert min(cpu) >= 0


@pytest.mark.long
def test_loop(refreshed: Path) -> None:
    """A refresh with nothing to do and a look, in a copy of a refreshed warehouse that stays as it is."""
    selected = rows(output("bench_loop.py", "nothing", "explain", "--data", str(refreshed)))
    for case in ("nothing", "explain"):
        wall, cpu, yardstick, ratio, peak = map(float, selected[case])
        assert min(wall, cpu, peak) > 0
        assert ratio == pytest.approx(cpu / yardstick, abs=0.1)


@pytest.mark.long
def test_results(refreshed: Path) -> None:
    """One group at two sizes; the households of a refreshed warehouse stay as they are."""
    printed = output("bench_results.py", str(refreshed), "--times", "1", "3", "--only", "panels")
    cells = [line.strip("| ").split("|") for line in printed.splitlines() if line.startswith("| panels")]
    sizes = [int(row[1].replace(",", "")) for row in cells]
    assert sizes == [sizes[0], 3 * sizes[0]]
    assert all(float(number.replace(",", "")) >= 0 for row in cells for number in row[2:])


@pytest.mark.slow
@pytest.mark.long
def test_national(tmp_path: Path) -> None:
    """The whole refresh of the survey that arrives as .sav, drawn as CSV, stage by stage.

    That it gives the same households as .sav is asserted of the writers (demonstration/test_writers).
    """
    surveys = tmp_path / "surveys"
    surveys.mkdir()
    for folder in list_survey_folders(CHECKOUT / "data" / "surveys"):
        if {f.format for f in load_folder(folder).survey.files} == {"spss"}:
            (surveys / folder.name).symlink_to(folder)
    result = output(
        *("bench_national.py", "--household-waves", "1000", "--keep", str(tmp_path / "data")),
        *("--surveys", str(surveys), "--csv-only"),
    )
    assert "1,000 household-waves of " in result
    stages = rows(result)
    for name in ("reference_tables", "staging__household_waves", "published__warehouse", "**whole refresh**"):
        assert any(name in stage for stage in stages), result


def test_extract(published: Path) -> None:
    said = output(
        "bench_extract.py", str(published / "warehouse.duckdb"), "--households", "2500", "--indicators", "3"
    )
    assert re.search(r"^\d,\d{3} households and waves, 3 indicators$", said, re.MULTILINE)
    for side in ("warehouse extract", "pyreadstat alone"):
        assert re.search(rf"{side}: \d+\.\d s, [1-9]\d* MB at its peak, file \d+ MB", said)
