"""What the surveys measure of the households that a coded category of a paper speaks of.

Belongs here: households by the code that marks a category of a paper on their region, their capitals, coordination
and the indicators of the same system. Does not belong here: the categories (`survey.literature`), design-based
comparison of regions (`comparison`): means here describe the households interviewed, each counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import duckdb
import pyarrow as pa
from scipy import stats

from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, surveys
from relocation_warehouse.results.metrics import CAPITALS, COUPLING, relation
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature

CONFIDENCE = 0.95


def categories(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pa.Table]:
    """Means by category, with intervals.

    Parameters
    ----------
    con
        Build database, read only, with capitals and coordination in it.
    catalog
        Metrics and the system of each indicator.
    literature
        Categories with the code of their households.

    Returns
    -------
    dict
        `category_results` of the schema `analysis`: a row for each coded category, survey and wave that asked for the
        code, and each measure; n is 0 where no household has the code.
    """
    coded: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in literature["qualitative.csv"]:
        if row["survey_indicator_id"]:
            coded[row["region"], row["survey_indicator_id"]][row["survey_code"]] = row["code"]
    rows = [
        row
        for survey in surveys(con)
        for (region, indicator), codes in coded.items()
        if region == survey.region
        for row in _survey_rows(con, catalog, survey, indicator, codes)
    ]
    return {"category_results": conform("analysis.category_results", rows)}


def _survey_rows(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, indicator: str, codes: dict[str, str]
) -> Iterator[dict[str, object]]:
    own, system = literal(survey.survey_id), catalog.indicator[indicator].system
    measures = [i.id for i in catalog.indicators if i.system == system and i.is_numeric and i.id != indicator]
    households = f"(select * from {HOUSEHOLDS} where survey_id = {own} and {quoted(indicator)} is not null)"
    tables = {name: (name, HOUSEHOLDS) for name in measures}
    tables |= {
        m.id: (m.column, f"{relation(m, catalog.default_weight_scheme)} as source")
        for m in catalog.metrics
        if m.table in (CAPITALS, COUPLING)
    }
    if con.execute(f"select count(*) from {households} as h").fetchone() == (0,):
        return
    for measure, (column, table) in tables.items():
        source = f"(select survey_id, household_id, wave, {quoted(column)} as x from {table})"
        found = con.execute(
            f"select h.wave, h.wave_order, cast(h.{quoted(indicator)} as varchar), count(x), avg(x), stddev_samp(x) "
            f"from {households} as h left join {source} as m using (survey_id, household_id, wave) group by all"
        ).fetchall()
        waves = sorted({(order, wave) for wave, order, *_ in found})
        cells = {(wave, _code(code)): values for wave, _, code, *values in found}
        if not any(values[0] for values in cells.values()):
            continue
        for order, wave in waves:
            for code, category in codes.items():
                n, mean, sd = cells.get((wave, code), (0, None, None))
                half = (
                    float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / n**0.5
                    if n > 1 and sd is not None
                    else None
                )
                yield {
                    "survey_id": survey.survey_id, "wave": wave, "wave_order": order, "region": survey.region,
                    "is_synthetic": survey.is_synthetic, "code": category, "survey_indicator_id": indicator,
                    "survey_code": code, "measure": measure, "n": n, "mean": mean,
                    "ci_low": None if half is None or mean is None else mean - half,
                    "ci_high": None if half is None or mean is None else mean + half,
                }  # fmt: skip


def _code(text: str) -> str:
    """A code as the catalog writes it: whole numbers without a point."""
    return text.removesuffix(".0")
