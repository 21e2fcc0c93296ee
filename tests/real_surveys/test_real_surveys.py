"""From real files to what is published: every cell against its source, every figure computed a second time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from conftest import KEY, RealWarehouse
from folders import RICE, VIETNAM, YUAN, add_vietnam
from new_surveys import KOBO_SURVEY, STATA_SURVEY
from scipy import stats
from sources import CODES, SEASONS, rice, vietnam

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.publication.pseudonyms import pseudonym
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.scaffold_columns import Recognition

MU_A_HECTARE = 15.0
REAL = (RICE, VIETNAM)
MADE_UP = (KOBO_SURVEY, STATA_SURVEY)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def expected() -> pd.DataFrame:
    """What the source says of each household and wave, in the units of the catalog, under pseudonyms."""
    v, r = vietnam(), rice()
    # sites are proposed in the order of their names
    villages = f"{RICE.upper()}_" + r["village"].rank(method="dense").astype(int).astype(str)
    answers = pd.DataFrame(
        {
            "survey_id": VIETNAM,
            "household_id": v["hh"].astype(str),
            "wave": "single",
            "site_id": v["urban"].map({"no": "VN_RURAL", "yes": "VN_URBAN"}),
            "sampling_unit_id": f"{VIETNAM.upper()}_" + v["commune"].astype(str),
            "sex": v["sex"],
            "education_years": v["educyr"],
            "household_size": v["hhsize"].astype(float),
            "head_age_years": v["age"].astype(float),
            "household_income_yuan": np.exp(v["lntotal"]) * YUAN,
            "household_size_band": np.select([v["hhsize"] <= 3, v["hhsize"] == 4], ["le_3", "4"], "ge_5"),
        }
    )
    seasons = pd.DataFrame(
        {
            "survey_id": RICE,
            "household_id": r["farm_id"].astype(str),
            "wave": "season_" + r["season"].astype(str),
            "site_id": villages,
            "sampling_unit_id": villages,
            "arable_land_area_mu": r["size"] * MU_A_HECTARE,
            "uses_modern_farm_technology": (r["varieties"] != "trad").astype(float),
            "technical_support_received": (r["bimas"] != "no").astype(float),
        }
    )
    both = pd.concat([answers, seasons], ignore_index=True)
    both["household_id"] = [
        pseudonym(KEY.encode(), s, h) for s, h in zip(both["survey_id"], both["household_id"], strict=True)
    ]
    return both.sort_values(["survey_id", "wave", "household_id"], ignore_index=True)


@pytest.fixture(scope="module")
def source() -> pd.DataFrame:
    return expected()


@pytest.fixture(scope="module")
def con(warehouse: RealWarehouse) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(warehouse.published), read_only=True) as connection:
        yield connection


@pytest.mark.parametrize("ending", [".csv", ".dta", ".sav"])
def test_every_cell_of_every_format_arrives(
    tmp_path: Path, catalog: Catalog, known: Recognition, ending: str
) -> None:
    surveys = tmp_path / "surveys"
    surveys.mkdir()
    edits = add_vietnam(surveys, tmp_path, catalog, known, ending)
    with duckdb.connect() as con:
        load = ingest(load_folder(edits.path, catalog.indicator), tmp_path / "landing", con)
        assert (load.quarantined_rows, load.quarantined_cells) == (0, 0)
        rows = con.execute(f'FROM raw."{VIETNAM}__households" ORDER BY _row').df()
    frame = vietnam()
    compared = 0
    for header in ("educyr", "hhsize", "commune", "lntotal"):
        # a whole number that tells groups apart may be declared as a code
        assert pd.to_numeric(rows[header]).tolist() == frame[header].tolist()
        compared += len(frame)
    for header in ("sex", "urban"):
        code = dict(enumerate(CODES[header], 1))
        answers = (
            frame[header] if ending == ".csv" else frame[header].map({a: str(k) for k, a in code.items()})
        )
        assert rows[header].tolist() == answers.tolist()
        compared += len(frame)
    assert compared == 6 * 5999


def compare(shown: pd.DataFrame, source: pd.DataFrame, hidden: dict[str, set[str]]) -> int:
    """Cells that are those of the source, or empty in a whole column of a survey where that is withheld."""
    assert len(shown) == len(source) == 5999 + 171 * SEASONS
    compared = 0
    for survey, part in source.groupby("survey_id"):
        rows = shown[shown["survey_id"] == survey]
        for column in source:
            left, right = rows[column], part[column]
            if column in hidden.get(str(survey), ()):
                assert left.isna().all(), (survey, column)
            elif right.dtype.kind == "f":
                np.testing.assert_allclose(left.astype(float), right, rtol=1e-12, err_msg=column)
            else:
                texts = [x.astype(object).where(x.notna(), None).tolist() for x in (left, right)]
                assert texts[0] == texts[1], (survey, column)
            compared += int(right.notna().sum())
    return compared


IN_ORDER = "FROM harmonized.households WHERE survey_id IN (?, ?) ORDER BY survey_id, wave, household_id"


def test_every_cell_of_the_owner_is_that_of_the_source(
    warehouse: RealWarehouse, source: pd.DataFrame
) -> None:
    with duckdb.connect(str(warehouse.build), read_only=True) as con:
        shown = con.execute(IN_ORDER, [RICE, VIETNAM]).df()
    shown["household_id"] = [
        pseudonym(KEY.encode(), s, h) for s, h in zip(shown["survey_id"], shown["household_id"], strict=True)
    ]
    shown = shown.sort_values(["survey_id", "wave", "household_id"], ignore_index=True)
    assert compare(shown, source, {}) > 60_000
    others = [i for i in contract_of()["harmonized.households"].column_names if i not in source]
    said = ["wave_order", "round", "region", "is_synthetic", "weight"]
    answered = shown[others].drop(columns=said).notna().sum()
    assert not answered[answered > 0].index.tolist()
    assert not shown["is_synthetic"].any()


def test_every_published_cell_is_that_of_the_source_or_withheld_by_name(
    warehouse: RealWarehouse, con: duckdb.DuckDBPyConnection, source: pd.DataFrame
) -> None:
    manifest = json.loads(warehouse.published.with_name("manifest.json").read_text(encoding="utf-8"))
    hidden = {w["survey_id"]: {*w["columns"]} for w in manifest["withheld"]}
    assert hidden[VIETNAM] & {"household_size", "head_age_years", "sampling_unit_id"}
    assert not hidden.get(RICE)
    shown = con.execute(IN_ORDER, [RICE, VIETNAM]).df()
    assert compare(shown, source, hidden) > 60_000


def test_nothing_is_lost_and_every_format_is_told(con: duckdb.DuckDBPyConnection) -> None:
    loads = con.execute(
        "SELECT format, received, accepted, quarantined FROM quality.loads WHERE survey_id IN (?, ?) ORDER BY ALL",
        [RICE, VIETNAM],
    ).fetchall()
    farms = [(name, 171, 171, 0) for name in ("delimited", "spss", "stata") for _ in range(2)]
    assert sorted(loads) == sorted([*farms, ("stata", 5999, 5999, 0)])


def clustered_interval(
    y: np.ndarray, units: np.ndarray, *, is_share: bool, is_amount: bool
) -> tuple[float, float] | tuple[None, None]:
    """95 % interval of a mean by the cluster variance CR2 and the degrees of freedom of Bell and McCaffrey (2002).

    Written out as in Pustejovsky and Tipton (2018) for a regression on a constant: with the hat matrix and the inverse
    square root of each block, and no shortcut. A share has its interval on the logit scale, where ten households have
    it and ten do not, each in eight units, in six of six or seven, or in all of three to five; an amount on
    the log scale.
    """
    n, labels = len(y), np.unique(units)
    if len(labels) < 2:
        return None, None
    for side in (y == 1, y == 0) if is_share else ():
        needed = 8 if len(labels) >= 8 else min(6, max(3, len(labels)))
        if side.sum() < 10 or len(np.unique(units[side])) < needed:
            return None, None
    mean = y.mean()
    variance, rows = 0.0, []
    for label in labels:
        inside = units == label
        m = int(inside.sum())
        values, vectors = np.linalg.eigh(np.eye(m) - np.full((m, m), 1 / n))
        root = (vectors / np.sqrt(values)) @ vectors.T
        adjusted = root @ np.full(m, 1 / n)
        variance += float(adjusted @ (y - mean)[inside]) ** 2
        row = np.full(n, -adjusted.sum() / n)  # (I - H) times the block
        row[inside] += adjusted
        rows.append(row)
    working = np.array(rows) @ np.array(rows).T
    df = np.trace(working) ** 2 / (working**2).sum()
    reach = float(stats.t.ppf(0.975, df)) * np.sqrt(variance)
    if is_share:
        at, reach = np.log(mean / (1 - mean)), reach / (mean * (1 - mean))
        return 1 / (1 + np.exp(reach - at)), 1 / (1 + np.exp(-reach - at))
    if is_amount:
        return mean * np.exp(-reach / mean), mean * np.exp(reach / mean)
    return mean - reach, mean + reach


def test_means_and_their_intervals(
    con: duckdb.DuckDBPyConnection, source: pd.DataFrame, catalog: Catalog
) -> None:
    """Means of the households interviewed, each of weight one, and their intervals by sampling units."""
    checked = with_interval = 0
    for name, survey in (
        ("education_years", VIETNAM),
        ("household_income_yuan", VIETNAM),
        ("arable_land_area_mu", RICE),
        ("uses_modern_farm_technology", RICE),
        ("technical_support_received", RICE),
    ):
        rows = con.execute(
            "SELECT wave, group_type, group_id, value, ci_low, ci_high, n FROM analysis.region_comparison "
            "WHERE metric_id = ? AND source_id = ?",
            [name, survey],
        ).fetchall()
        own = source[source["survey_id"] == survey]
        assert len(rows) == own["wave"].nunique() * (1 + own["site_id"].nunique())
        for wave, kind, site, value, low, high, n in rows:
            part = own[(own["wave"] == wave) & ((kind == "all") | (own["site_id"] == site))]
            y = part[name].to_numpy(dtype=float)
            assert n == len(y)
            assert value == pytest.approx(y.mean(), rel=1e-10)
            bounds = clustered_interval(
                y,
                part["sampling_unit_id"].to_numpy(),
                is_share=catalog.indicator[name].type == "binary",
                is_amount=catalog.is_amount(name),
            )
            assert (low, high) == (pytest.approx(bounds, rel=1e-6) if bounds[0] is not None else bounds)
            with_interval += low is not None
            checked += 1
    assert checked == 2 * 3 + 3 * SEASONS * 7
    # a village is one sampling unit, which says nothing about others; a share may be too rare in a season
    assert 2 * 3 + SEASONS < with_interval <= 2 * 3 + 3 * SEASONS


def test_indices_are_measured_by_real_answers_only(
    warehouse: RealWarehouse, con: duckdb.DuckDBPyConnection, source: pd.DataFrame
) -> None:
    """The one indicator asked of a dimension is the dimension, between the extremes of all real surveys."""
    for indicator, dimension, survey in (
        ("arable_land_area_mu", "natural", RICE),
        ("education_years", "human", VIETNAM),
    ):
        (low, high), *others = con.execute(
            "SELECT lower_bound, upper_bound FROM capital.indicator_bounds WHERE indicator_id = ? "
            "AND NOT is_synthetic",
            [indicator],
        ).fetchall()
        assert not others
        with duckdb.connect(str(warehouse.build), read_only=True) as build:
            # what is published of a survey may lack the column
            extremes = build.execute(
                f"SELECT min({indicator}), max({indicator}) FROM harmonized.households WHERE NOT is_synthetic"
            ).fetchone()
        assert (low, high) == extremes
        shown = con.execute(
            f'SELECT "{dimension}" FROM capital.household_capitals WHERE survey_id = ? ORDER BY wave, household_id',
            [survey],
        ).df()[dimension]
        y = source[source["survey_id"] == survey].sort_values(["wave", "household_id"])[indicator]
        np.testing.assert_allclose(shown, (y.to_numpy() - low) / (high - low), rtol=1e-9, atol=1e-12)


def test_every_row_says_what_it_was_made_of(warehouse: RealWarehouse) -> None:
    """In both editions a row of a survey is made up if and only if the survey is."""
    origin = {
        **dict.fromkeys((*REAL, *warehouse.said_to_be_real), False),
        **dict.fromkeys(MADE_UP, True),
        "pooled": True,
        "pooled_real": False,
    }
    checked = 0
    for edition in (warehouse.published, warehouse.public):
        with duckdb.connect(str(edition), read_only=True) as con:
            tables = con.execute(
                "SELECT schema_name || '.' || table_name FROM duckdb_columns() WHERE column_name = 'is_synthetic' "
                "INTERSECT SELECT schema_name || '.' || table_name FROM duckdb_columns() "
                "WHERE column_name = 'survey_id'"
            ).fetchall()
            for (table,) in tables:
                for survey, is_synthetic in con.execute(
                    f"SELECT DISTINCT survey_id, is_synthetic FROM {table} WHERE survey_id IS NOT NULL"
                ).fetchall():
                    assert origin[survey] is is_synthetic, (edition, table, survey)
                    checked += 1
    assert checked > 60


def test_no_id_of_a_real_household_leaves(warehouse: RealWarehouse) -> None:
    """Neither edition holds an id as received of a survey that is real or said to be."""
    with duckdb.connect(str(warehouse.build), read_only=True) as con:
        ids = con.execute(
            "SELECT survey_id, household_id FROM harmonized.households WHERE NOT is_synthetic GROUP BY ALL"
        ).fetchall()
    received = {(s, h) for s, h in ids}
    pseudonyms = {(s, pseudonym(KEY.encode(), s, h)) for s, h in ids}
    assert {s for s, _ in received} == {*REAL, *warehouse.said_to_be_real}
    checked = 0
    for edition in (warehouse.published, warehouse.public):
        with duckdb.connect(str(edition), read_only=True) as con:
            for (table,) in con.execute(
                "SELECT DISTINCT schema_name || '.' || table_name FROM duckdb_columns() "
                "WHERE column_name = 'household_id'"
            ).fetchall():
                shown = con.execute(
                    f"SELECT DISTINCT survey_id, household_id FROM {table} WHERE household_id IS NOT NULL "
                    "AND NOT is_synthetic"
                ).fetchall()
                assert set(shown) <= pseudonyms, (edition, table)
                checked += len(shown)
    assert checked > len(received)


def test_real_and_made_up_are_never_held_against_each_other(con: duckdb.DuckDBPyConnection) -> None:
    region = dict(
        con.execute("SELECT region, bool_or(is_synthetic) FROM harmonized.households GROUP BY 1").fetchall()
    )
    contrasts = con.execute("SELECT DISTINCT contrast, is_synthetic FROM analysis.region_tests").fetchall()
    compared = [(c.split("|"), flag) for c, flag in contrasts if c != "all"]
    assert compared
    for regions, is_synthetic in compared:
        assert {region[r] for r in regions} == {is_synthetic}
    ranked = con.execute("SELECT DISTINCT region, is_synthetic FROM analysis.sensitivity").fetchall()
    assert all(region[r] == flag for r, flag in ranked)


def test_a_panel_of_six_waves_is_counted_and_compared(
    con: duckdb.DuckDBPyConnection, source: pd.DataFrame
) -> None:
    counts = con.execute(
        "SELECT n_households, n_stayed, n_left, n_new, n_moved, n_in_all_waves FROM analysis.panel_waves "
        "WHERE survey_id = ? ORDER BY wave_order",
        [RICE],
    ).fetchall()
    assert counts == [(171, None, None, None, None, 171), *[(171, 171, 0, 0, 0, 171)] * (SEASONS - 1)]
    land = source[source["survey_id"] == RICE].groupby("wave")["arable_land_area_mu"].mean()
    changes = con.execute(
        "SELECT wave_from, wave_to, change FROM analysis.wave_changes WHERE survey_id = ? AND metric_id = ? "
        "AND panel_sample = 'balanced'",
        [RICE, "arable_land_area_mu"],
    ).fetchall()
    assert len(changes) == SEASONS  # five neighbours, and the first and the last
    for first, last, change in changes:
        assert change == pytest.approx(land[last] - land[first], rel=1e-9, abs=1e-9)


def test_a_real_survey_takes_few_edits(
    warehouse: RealWarehouse, record_property: Callable[[str, object], None]
) -> None:
    """A figure to watch: cells and values that a person writes after `new-survey` and `add-wave`."""
    for survey, made in warehouse.edits.items():
        record_property(f"edits of {survey}", made)
    record_property("seconds from files to what is published", round(warehouse.seconds))
    assert warehouse.edits[VIETNAM] <= 60
    assert warehouse.edits[RICE] <= 60
