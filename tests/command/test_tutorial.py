"""Every command of the tutorial is run in its order; those from the refresh on with `--long`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from relocation_warehouse.ground.paths import CHECKOUT

PAGE = (CHECKOUT / "docs" / "tutorial" / "index.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh(?: (\w+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_only_the_set_up_is_not_run():
    assert [code.strip() for how, code in BLOCKS if how == "skip"] == ["make setup"]
    assert PAGE.count("```sh") == len(BLOCKS)


def run(blocks, folder):
    """Run blocks of the page one after the other in a copy of what they need of the checkout; gives what they print."""
    for name in ("data", "docs"):
        shutil.copytree(
            CHECKOUT / name,
            folder / name,
            ignore=shutil.ignore_patterns("warehouse", "published", "landing", "inbox"),
        )
    script = ["set -u"]
    for how, code in blocks:
        if how != "skip":
            # a command that is meant to find mistakes ends with another status than one that is not
            script.append(
                f"! {{ {code.strip()}\n}} || exit 90" if how == "fails" else f"set -e\n{code}set +e"
            )
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_survey_folder_is_filled_in_without_a_mistake(tmp_path):
    refresh = next(n for n, (_, code) in enumerate(BLOCKS) if "warehouse refresh" in code)
    said = run(BLOCKS[:refresh], tmp_path)
    assert "our_survey_2024: no mistakes" in said
    assert "59 of 60 answered" in said


@pytest.mark.slow
@pytest.mark.long
def test_the_tutorial_ends_with_an_own_survey_in_the_comparison(tmp_path):
    run(BLOCKS, tmp_path)
    published = tmp_path / "tutorial" / "data" / "published" / "warehouse.duckdb"
    with duckdb.connect(str(published), read_only=True) as con:
        compared = con.sql(
            "select region, metric_id, n from analysis.region_comparison where round = 'latest' "
            "and group_type = 'all' and evidence = 'household' and metric_id = 'household_income_yuan' order by n"
        ).fetchall()
    assert compared[0] == ("our_county", "household_income_yuan", 59)
    assert len(compared) == 2
    assert (tmp_path / "tutorial" / "ours.codebook.md").exists()
