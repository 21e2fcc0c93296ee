"""How often published tables tell equal regions apart: pairs of them go through the computations of results.

A region is a number of sites, drawn with replacement from those of a survey in a refreshed warehouse, and households of
each site drawn with replacement from it. All regions of one survey are equal, and answers have the joint distribution
and the resemblance within sites that the survey has. Belongs here: drawing, and counting p values and intervals of the
tables (`make equal-regions`). Does not belong here: a test; those are what `results` computes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.results.groups import GROUPS
from relocation_warehouse.results.tables import store
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.literature import load_literature

CHECKOUT = Path(__file__).parents[2]
HOUSEHOLD_TABLES = (
    "harmonized.households",
    "capital.household_capitals",
    "integration.household_dimensions",
    "staging.household_waves",
)
COMPUTED = ("coupling", "factors", "welfare", "comparison")
SIZES = (
    ((80,) * 5, (60,) * 7),
    ((30, 40, 60, 80, 120), (20, 30, 40, 60, 80, 90, 100)),
    ((40,) * 9, (25,) * 12),
)
"""Households of the sites of two regions."""

Tables = dict[str, pd.DataFrame]


class EqualRegions:
    """Regions drawn from one survey of a refreshed warehouse, and the tables that are made of them.

    Parameters
    ----------
    build
        Build database of the warehouse; it is copied.
    survey_id
        Whose households are drawn.
    """

    def __init__(self, build: Path, survey_id: str, scratch: Path) -> None:
        self.catalog = load_catalog(CHECKOUT / "data" / "catalog")
        self.literature = load_literature(CHECKOUT / "data" / "literature", self.catalog)
        # views name the database they were made in
        path = scratch / survey_id / build.name
        path.parent.mkdir()
        shutil.copy(build, path)
        self.con = duckdb.connect(str(path))
        self._keep_two_names(survey_id)
        self.sites = self.con.execute(
            "select site_id, list(distinct household_id order by household_id) from source_0 group by all order by 1"
        ).fetchall()

    def _keep_two_names(self, survey_id: str) -> None:
        """Leave what is said of the survey, under two names, and set its households aside."""
        waves = HOUSEHOLD_TABLES[-1]
        self.con.execute(f"create temp table waves as from {waves}")
        self.con.execute(f"drop view {waves}; create table {waves} as from waves")
        told = self.con.execute(
            "select table_schema || '.' || table_name, list(column_name) from information_schema.columns "
            "inner join information_schema.tables using (table_schema, table_name) where table_type = 'BASE TABLE' "
            "and table_schema in ('harmonized', 'capital', 'integration', 'reference', 'staging') group by all "
            "having list_contains(list(column_name), 'survey_id')"
        ).fetchall()
        for table, columns in told:
            self.con.execute(f"delete from {table} where survey_id <> ?", [survey_id])
            if table in HOUSEHOLD_TABLES:
                number = HOUSEHOLD_TABLES.index(table)
                self.con.execute(f"create table source_{number} as from {table}")
                continue
            region = "'region ' || k as region" if "region" in columns else ""
            named = ", ".join(filter(None, ("k as survey_id", region)))
            self.con.execute(f"create temp table said as from {table}; delete from {table}")
            self.con.execute(
                f"insert into {table} select said.* replace ({named}) "
                "from said cross join (values ('1'), ('2')) as two (k)"
            )
            self.con.execute("drop table said")

    def drawn(self, rng: np.random.Generator, sizes: Sequence[Sequence[int]]) -> Tables:
        """Tables of two regions with sites of these sizes."""
        rows = []
        for region, of_sites in enumerate(sizes, start=1):
            chosen = rng.integers(len(self.sites), size=len(of_sites))
            for number, (place, n) in enumerate(zip(chosen, of_sites, strict=True)):
                rows += [
                    (str(region), f"site {number}", each) for each in rng.choice(self.sites[place][1], size=n)
                ]
        return self._tables(rows)

    def everybody(self, n: int) -> Tables:
        """Tables of a region in which every site of the survey has about n households: the truth of those drawn."""
        rows = [
            (region, f"site {number}", each)
            for region in ("1", "2")
            for number, (_, own) in enumerate(self.sites)
            for each in own * max(1, round(n / len(own)))
        ]
        return self._tables(rows)

    def _tables(self, rows: Sequence[tuple[str, str, str]]) -> Tables:
        drawn = pd.DataFrame(rows, columns=["region_number", "new_site", "household_id"])
        drawn["new_id"] = [str(k) for k in range(len(drawn))]
        self.con.register("drawn", drawn)
        for number, table in enumerate(HOUSEHOLD_TABLES):
            known = {name for name, *_ in self.con.execute(f"describe {table}").fetchall()}
            new = {
                "survey_id": "d.region_number",
                "household_id": "d.new_id",
                "site_id": "d.new_site",
                "sampling_unit_id": "d.new_site",
                "region": "'region ' || d.region_number",
            }
            replaced = ", ".join(f"{value} as {name}" for name, value in new.items() if name in known)
            self.con.execute(f"delete from {table}")
            self.con.execute(
                f"insert into {table} select s.* replace ({replaced}) from source_{number} as s "
                "inner join drawn as d using (household_id)"
            )
        self.con.unregister("drawn")
        schema = {table.name: table.schema for table in contract_of()}
        result: Tables = {}
        for group in (each for each in GROUPS if each.name in COMPUTED):
            for name, made in group.compute(self.con, self.catalog, lambda: self.literature).items():
                full = name if "." in name else f"{schema[name]}.{name}"
                store(self.con, full, made)
                if name in WHAT_IS_READ:
                    result[name] = self.con.execute(f"from {full}").df()
        return result


INTERVALS = (
    "region_comparison",
    "poverty",
    "inequality",
    "stuck_households",
    "coupling_bands",
    "coupling_transitions",
)
"""Tables with intervals."""

WHAT_IS_READ = (*INTERVALS, "region_tests")


def of_groups_that_stay(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose truth is that of all regions: not of single sites, nor of printed figures."""
    rows = rows[rows["group_type"] != "site"] if "group_type" in rows else rows
    return rows[rows["evidence"] == "household"] if "evidence" in rows else rows


def counted(tables: Tables, truth: Tables) -> Iterator[tuple[str, float]]:
    """Kind of each told test and interval, and 1 where it rejects or misses; NaN where it is refused with a reason.

    Raises
    ------
    AssertionError
        Where there is no p value or interval, nor a reason.
    """
    tests = tables["region_tests"]
    # a made-up survey is held against printed figures of its region too: there are none of these
    for row in tests.to_dict("records"):
        kind = f"{row['test']}: {row['method']}" if row["test"] == "welch" else row["test"]
        if pd.isna(row["p"]):
            assert row["reason"], row
        yield f"p of {kind}", float("nan") if pd.isna(row["p"]) else float(row["p"] < 0.05)
    keys = {table.name: list(table.key) for table in contract_of()}
    for table in INTERVALS:
        key, value = keys[table], "share" if table.startswith("coupling") else "value"
        made, known = (of_groups_that_stay(table, each[table]) for each in (tables, truth))
        both = made.merge(known[[*key, value]], on=key, suffixes=("", " of all"))
        for row in both.to_dict("records"):
            reason = row.get("interval_reason", row.get("reason"))
            kind = f"{table}: {row['statistic']}" if "statistic" in row else table
            if pd.isna(row["ci_low"]):
                assert reason or pd.isna(row[value]), (table, row)
                yield f"interval of {kind}", float("nan")
            elif row["ci_low"] < row["ci_high"]:
                inside = row["ci_low"] <= row[f"{value} of all"] <= row["ci_high"]
                yield f"interval of {kind}", float(not inside)


def campaign(build: Path, pairs: int) -> dict[str, list[float]]:
    """Outcomes by kind of so many pairs from each survey with five sites or more."""
    result: defaultdict[str, list[float]] = defaultdict(list)
    with duckdb.connect(str(build), read_only=True) as con:
        many = con.execute(
            "select survey_id from harmonized.households group by all having count(distinct site_id) > 4 order by 1"
        ).fetchall()
    with tempfile.TemporaryDirectory() as scratch:
        known = [EqualRegions(build, survey_id, Path(scratch)) for (survey_id,) in many]
        truths = [regions.everybody(300) for regions in known]
        for k in range(pairs):
            for number, (regions, truth) in enumerate(zip(known, truths, strict=True)):
                rng = np.random.default_rng([number, k])
                for kind, outcome in counted(regions.drawn(rng, SIZES[k % len(SIZES)]), truth):
                    result[kind].append(outcome)
            print(f"{k + 1} of {pairs}\n{table(result)}", file=sys.stderr, flush=True)
    return result


def table(outcomes: Mapping[str, Sequence[float]]) -> str:
    """Markdown: of each kind, rows, those told, and how many of 100 told reject or miss."""
    lines = ["| published | rows | told | of 100 told, rejects or misses |", "|---|--:|--:|--:|"]
    for kind, own in sorted(outcomes.items()):
        told = np.array(own)[~np.isnan(own)]
        rate = f"{100 * told.mean():.1f}" if len(told) else ""
        lines.append(f"| {kind} | {len(own):,} | {len(told):,} | {rate} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(campaign(Path(sys.argv[1]) / "warehouse" / "build.duckdb", int(sys.argv[2]))))
