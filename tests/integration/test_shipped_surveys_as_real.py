"""The shipped surveys marked as real are published without another change: few columns are withheld, not the survey."""

import json
import os
import shutil
import subprocess

import duckdb
import pytest
from places import WAREHOUSE, Place

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

KEY = "9b3f06d2c85e7a41f0d9264b8ce173a55d02e94fb7618c3a"
K = 5


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A warehouse of the shipped surveys, all of them real, refreshed once."""
    data = tmp_path_factory.mktemp("real") / "data"
    data.mkdir()
    for name in ("catalog", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    shutil.copytree(CHECKOUT / "data" / "surveys", data / "surveys")
    for path in (data / "surveys").glob("*/survey.yml"):
        text = path.read_text("utf-8")
        assert "is_synthetic: true" in text
        path.write_text(text.replace("is_synthetic: true", "is_synthetic: false"), "utf-8")
    environment = os.environ | {"WAREHOUSE_DATA": str(data), "WAREHOUSE_PSEUDONYM_KEY": KEY, "NO_COLOR": "1"}
    done = subprocess.run(
        [WAREHOUSE, "refresh"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Place(data)


@pytest.fixture(scope="module")
def sensitive():
    return [i.id for i in load_catalog(CHECKOUT / "data" / "catalog").indicators if i.sensitive]


@pytest.fixture(scope="module")
def withheld(real):
    told = json.loads((real.data / "published" / "manifest.json").read_text("utf-8"))["withheld"]
    return {w["survey_id"]: w for w in told}


def test_all_are_published_under_pseudonyms(real, survey_ids):
    rows = real.query("SELECT survey_id, is_synthetic FROM reference.surveys ORDER BY 1")
    assert rows == [(s, False) for s in survey_ids]
    ids = real.query("SELECT DISTINCT household_id FROM harmonized.households")
    assert all(len(h) == 20 and set(h) <= set("0123456789abcdef") for (h,) in ids)


def test_nobody_stands_out_by_what_is_published_of_all_waves(real, sensitive):
    columns = ", ".join(f"coalesce({c}::VARCHAR, '')" for c in ("wave", "site_id", *sensitive))
    rows = real.query(
        f"SELECT min(alike) FROM (SELECT survey_id, told, count(*) AS alike FROM (SELECT survey_id, household_id, "
        f"list([{columns}] ORDER BY wave_order) AS told FROM harmonized.households GROUP BY ALL) GROUP BY ALL)"
    )
    assert rows[0][0] >= K


def test_what_is_withheld_is_said_and_not_there(real, survey_ids, withheld, sensitive):
    assert set(withheld) <= set(survey_ids)
    assert withheld
    for survey_id, said in withheld.items():
        own = f"survey_id = '{survey_id}'"
        for column in said["columns"]:
            assert real.query(f"SELECT count({column}) FROM harmonized.households WHERE {own}") == [(0,)]
        indicators = [c for c in said["columns"] if c in sensitive]
        assert 0 < len(indicators) < len(sensitive)
        for indicator in indicators:
            here = f"{own} AND indicator_id = '{indicator}'"
            counts = real.query(
                f"SELECT DISTINCT n, n_missing = n_not_shared FROM harmonized.coverage WHERE {here}"
            )
            assert counts == [(0, True)]
            long = real.query(
                f"SELECT DISTINCT value, code, missing_reason FROM harmonized.indicator_values WHERE {here}"
            )
            assert long == [(None, None, "not_shared")]
    ((message,),) = real.query(
        "SELECT message FROM quality.checks WHERE \"check\" = 'real_households_do_not_stand_out'"
    )
    assert all(survey_id in message for survey_id in withheld)


def test_every_household_has_every_indicator_once(real):
    ((n,),) = real.query("SELECT count(*) FROM harmonized.households")
    ((indicators,),) = real.query("SELECT count(*) FROM reference.indicators")
    assert real.query("SELECT count(*) FROM harmonized.indicator_values") == [(n * indicators,)]


def test_results_over_many_households_are_made_from_everything(real, withheld):
    for survey_id in withheld:
        rows = real.query(
            f"SELECT count(*) FROM analysis.region_comparison WHERE source_id = '{survey_id}' AND n > 0"
        )
        assert rows[0][0] > 0


def test_the_public_edition_is_there_without_households(real):
    with duckdb.connect(str(real.data / "published" / "public" / "warehouse.duckdb"), read_only=True) as con:
        tables = {t for (t,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "coverage" in tables
    assert "households" not in tables
