"""Every command of the tutorial is run, in its order, in a copy of what it needs of the checkout."""

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


@pytest.mark.slow
@pytest.mark.long
def test_the_tutorial_ends_with_an_own_survey_in_the_comparison(tmp_path):
    for name in ("data", "docs"):
        shutil.copytree(
            CHECKOUT / name,
            tmp_path / name,
            ignore=shutil.ignore_patterns("warehouse", "published", "landing", "inbox"),
        )
    script = ["set -u"]
    for how, code in BLOCKS:
        if how != "skip":
            # a command that is meant to find mistakes ends with another status than one that is not
            script.append(
                f"! {{ {code.strip()}\n}} || exit 90" if how == "fails" else f"set -e\n{code}set +e"
            )
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "59 of 60 answered" in done.stdout
    published = tmp_path / "tutorial" / "data" / "published" / "warehouse.duckdb"
    with duckdb.connect(str(published), read_only=True) as con:
        compared = con.sql(
            "select region, metric_id, n from analysis.region_comparison where round = 'latest' "
            "and group_type = 'all' and evidence = 'household' and metric_id = 'household_income_yuan' order by n"
        ).fetchall()
    assert compared[0] == ("our_county", "household_income_yuan", 59)
    assert len(compared) == 2
    assert (tmp_path / "tutorial" / "ours.codebook.md").exists()
