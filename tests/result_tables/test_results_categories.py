"""Results of the households that a category speaks of."""

import duckdb
import pandas as pd
import pytest
from scipy import stats

from relocation_warehouse.results.categories import categories
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature


@pytest.fixture(scope="module")
def coded(
    analysed: duckdb.DuckDBPyConnection, literature: Literature, frame: pd.DataFrame
) -> tuple[Literature, str, list[str]]:
    """The categories, told to be about a category that the invented surveys answer."""
    name, region, survey_id = next(
        (c, *found)
        for c in ("resettlement_mode", "sex", "ethnic_group", "livelihood_strategy")
        if (
            found := analysed.execute(
                "select any_value(region), survey_id from harmonized.coverage where indicator_id = ? and n > 0 "
                "and survey_id in (select survey_id from analysis.coupling_coordination where d is not null) "
                "group by survey_id order by survey_id",
                [c],
            ).fetchone()
        )
    )
    codes = sorted(frame.loc[frame["survey_id"] == survey_id, name].dropna().unique())
    empty = dict.fromkeys(literature["qualitative.csv"][0], "")
    rows = tuple(
        empty | {"code": f"C_{code}", "region": region, "survey_indicator_id": name, "survey_code": code}
        for code in codes
    )
    return Literature({**literature.rows, "qualitative.csv": rows}), name, codes


def test_means_are_those_of_the_households_of_the_code(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, coded: tuple[Literature, str, list[str]]
) -> None:
    told, name, codes = coded
    made = categories(analysed, catalog, told)["category_results"].to_pandas()
    assert set(made["survey_code"]) <= set(codes)
    d = made[(made["measure"] == "coupling_coordination_degree") & (made["n"] > 1)]
    if d.empty:
        d = made[made["n"] > 1]
    assert len(d)
    row = d.iloc[0]
    if row["measure"] == "coupling_coordination_degree":
        values = analysed.execute(
            "select c.d from analysis.coupling_coordination as c join harmonized.households as h "
            f'using (survey_id, household_id, wave) where h."{name}" = ? and survey_id = ? and wave = ? and c.scheme = '
            "'equal' and c.variant = 'standard' and c.d is not null",
            [row["survey_code"], row["survey_id"], row["wave"]],
        ).df()["d"]
    else:
        values = (
            analysed.execute(
                f'select "{row["measure"]}" as d from harmonized.households where "{name}" = ? and survey_id = ? '
                "and wave = ?",
                [row["survey_code"], row["survey_id"], row["wave"]],
            )
            .df()["d"]
            .dropna()
        )
    assert row["n"] == len(values)
    assert row["mean"] == pytest.approx(values.mean())
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / len(values) ** 0.5
    assert row["ci_high"] - row["mean"] == pytest.approx(half)


def test_a_category_without_households_has_a_row_and_other_regions_have_none(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, coded: tuple[Literature, str, list[str]]
) -> None:
    told, _, _ = coded
    first = told["qualitative.csv"][0]
    nobody = first | {"code": "C_nobody", "survey_code": "nobody"}
    elsewhere = first | {"code": "C_elsewhere", "region": "nowhere"}
    more = Literature({**told.rows, "qualitative.csv": (first, nobody, elsewhere)})
    made = categories(analysed, catalog, more)["category_results"].to_pandas()
    assert set(made["code"]) == {first["code"], "C_nobody"}
    assert (made.loc[made["code"] == "C_nobody", "n"] == 0).all()
    assert made.loc[made["code"] == "C_nobody", "mean"].isna().all()
