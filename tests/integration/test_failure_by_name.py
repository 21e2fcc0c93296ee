"""Where a publication fails in spite of the trial, the failure names the survey, wave and indicator behind it."""

import os
import shutil
import subprocess
import sys

import pytest

from relocation_warehouse.ground.paths import CHECKOUT

pytestmark = pytest.mark.slow

WITHOUT_TRIAL = (
    "from relocation_warehouse.receiving import arrival; arrival.trial = lambda *_: ();"
    "from relocation_warehouse.command.cli import main; main()"
)


def test_a_failed_test_of_the_models_names_survey_wave_and_indicator(tmp_path, text_survey):
    data = tmp_path / "data"
    for name in ("catalog", "literature"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).symlink_to(CHECKOUT / "data" / name)
    folder = data / "surveys" / text_survey
    shutil.copytree(CHECKOUT / "data" / "surveys" / text_survey, folder)
    crosswalk = folder / "crosswalk.csv"
    text = crosswalk.read_text("utf-8")
    row = next(line for line in text.splitlines() if "slope=-1 intercept=6" in line).split(",")
    crosswalk.write_text(text.replace("intercept=6,", "intercept=60,"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRIAL, "refresh"],
        cwd=CHECKOUT,
        env=os.environ | {"WAREHOUSE_DATA": str(data), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not published" in done.stderr
    assert "every_value_lies_within_the_bounds_of_its_indicator: Got 322 results" in done.stderr
    assert f"({text_survey}, single, {row[1]}: 322 rows)" in done.stderr
