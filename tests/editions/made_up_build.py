"""A small build database that satisfies the contract, made from the contract itself.

Every table gets a row for each combination of its key (within a limit) and values inside the declared limits.
"""

import functools
import itertools
import random
from collections.abc import Collection
from pathlib import Path

import duckdb
import pyarrow as pa

from relocation_warehouse.contract.tables import Column, Contract, Table, load_contract, value_labels
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.publish import RunInfo, publish
from relocation_warehouse.survey.catalog import Indicator

TABLES = Path(__file__).parents[2] / "data" / "catalog" / "tables.yml"
ROW_LIMIT = 900

SURVEYS = ["hills", "plains"]
WAVES = ["before", "after"]
DOMAINS = {
    "survey_id": SURVEYS,
    "site_id": ["site_a", "site_b"],
    "wave": WAVES,
    "household_id": [f"h{k}" for k in range(1, 7)],
    "metric_id": ["metric_a", "metric_b", "metric_c"],
    "dimension": ["dimension_a", "dimension_b", "dimension_c"],
    "region": ["region_a", "region_b"],
    "group_type": ["all", "site"],
    "group_id": ["all"],
    "covariance": ["ols", "hc3"],
    "band_from": ["band_a", "band_b"],
    "band_to": ["band_a", "band_b"],
    "stat_id": [f"stat_{k}" for k in range(1, 13)],
}


def indicator(name: str, system: str, kind: str, dimension: str = "natural") -> Indicator:
    """A canonical indicator with open or Likert bounds."""
    is_open = kind in ("number", "category")
    return Indicator(
        id=name,
        system=system,
        dimension=dimension,
        label_en=name.title(),
        label_zh="指标",
        definition_en="Made up.",
        type=kind,
        unit=None if kind == "category" else "score",
        direction="neutral" if kind == "category" else "benefit",
        minimum=None if is_open else 1,
        maximum=None if is_open else 5,
        code_list=None if kind == "number" else "a_list",
        sensitive=False,
    )


FEW = (
    *("reference.surveys", "reference.sites", "reference.indicators", "reference.codes", "reference.bands"),
    *(
        "reference.metric_definitions",
        "reference.value_labels",
        "quality.loads",
        "quality.checks",
        "analysis.sensitivity",
    ),
    *("analysis.sensitivity", "analysis.coupling_bands", "analysis.coupling_transitions"),
)

INDICATORS = (
    indicator("land_area", "capital", "number"),
    indicator("trust", "stability", "ordinal"),
    indicator("friends", "integration", "ordinal"),
    indicator("livelihood", "individual", "category"),
)


@functools.cache
def contract() -> Contract:
    """The real contract over the four made-up indicators."""
    return load_contract(TABLES, INDICATORS)


def small_contract() -> Contract:
    """Few tables, for tests that publish many times."""
    full = contract()
    return Contract(full.version, tuple(t for t in full if t.full_name in FEW))


def build(path: Path, seed: int = 1) -> Path:
    """Write a build database that passes the audit; another seed gives other values."""
    with duckdb.connect(str(path)) as con:
        con.begin()
        for table in (t for t in contract() if not t.is_view):
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {sql.identifier(table.schema)}")
            columns = ", ".join(f"{sql.identifier(c.name)} {c.type}" for c in table.columns)
            con.execute(f"CREATE TABLE {sql.identifier(table.schema, table.name)} ({columns})")
            con.register("rows", _rows(table, random.Random(f"{seed} {table.full_name}")))
            names = ", ".join(map(sql.identifier, table.column_names))
            con.execute(f"INSERT INTO {sql.identifier(table.schema, table.name)} SELECT {names} FROM rows")
        for table in (t for t in contract() if t.is_view):
            con.execute(f"CREATE VIEW {table.full_name} AS {_view(table)}")
        con.execute(
            "UPDATE reference.indicators SET is_sensitive = false, system = CASE indicator_id"
            " WHEN 'land_area' THEN 'capital' WHEN 'trust' THEN 'stability'"
            " WHEN 'friends' THEN 'integration' ELSE 'individual' END"
        )
        con.execute(
            "UPDATE reference.dimensions SET system = 'capital', label_en = 'Index ' || right(dimension, 1),"
            " label_zh = '指数' || right(dimension, 1)"
        )
        con.execute(
            "UPDATE reference.metric_definitions SET source_table = 'capital.household_capitals',"
            " source_column = 'column_' || right(metric_id, 1), dimension = 'dimension_' || right(metric_id, 1),"
            " label_en = 'Index ' || right(metric_id, 1), label_zh = '指数' || right(metric_id, 1)"
        )
        for metric, table, column in (
            ("metric_d", "integration.household_dimensions", "total"),
            ("metric_e", "analysis.coupling_coordination", "d"),
        ):
            con.execute(
                "INSERT INTO reference.metric_definitions BY NAME SELECT * REPLACE (? AS metric_id, ? AS source_table,"
                " ? AS source_column, NULL AS dimension, 'Score' AS label_en, '得分' AS label_zh, 9 AS display_order)"
                " FROM reference.metric_definitions WHERE metric_id = 'metric_a'",
                [metric, table, column],
            )
            con.execute(
                "INSERT INTO analysis.region_comparison BY NAME SELECT * REPLACE (? AS metric_id)"
                " FROM analysis.region_comparison WHERE metric_id = 'metric_a'",
                [metric],
            )
        con.execute("UPDATE reference.surveys SET waves = 'before after', status = 'accepted'")
        con.execute("UPDATE quality.loads SET received = accepted + quarantined, status = 'accepted'")
        con.execute(
            "UPDATE harmonized.coverage SET n_not_asked = 0, n_not_applicable = 0, n_refused = 0, n_dont_know = 1,"
            " n_blank = 0, n_out_of_range = 0, n_not_shared = 0, n_missing = 1, n = 5"
        )
        con.commit()
    return path


def _rows(table: Table, rng: random.Random) -> pa.Table:
    if table.full_name == "reference.value_labels":
        return value_labels(contract())
    columns = {c.name: c for c in table.columns}
    domains = [_domain(columns[k]) for k in table.key]
    combinations = list(itertools.islice(itertools.product(*domains), ROW_LIMIT))
    rng.shuffle(combinations)
    return pa.Table.from_pylist(
        [
            {c.name: _value(c, rng) for c in table.columns} | dict(zip(table.key, values, strict=True))
            for values in combinations
        ]
    )


def _view(table: Table) -> str:
    """SQL of a view over the wide table: a row for each combination of what its key has beside household and wave."""
    households = {c.name for c in contract()["harmonized.households"].columns}
    others = [c for c in table.columns if c.name in table.key and c.name not in households]
    joins = "".join(
        f" CROSS JOIN (VALUES {', '.join(f'({sql.text(str(v))})' for v in _domain(c))}) AS {c.name}_s ({c.name})"
        for c in others
    )
    columns = ", ".join(c.name if c in others else _expression(c, households) for c in table.columns)
    rows = "harmonized.households"
    if "household_id" not in table.key:
        rows = f"(SELECT DISTINCT ON ({', '.join(sorted({*table.key} & households))}) * FROM {rows} ORDER BY ALL)"
    return f"SELECT {columns} FROM {rows} AS households{joins}"


def _expression(column: Column, of_household: set[str]) -> str:
    if column.name in of_household:
        return column.name
    if column.type == "DOUBLE":
        low = 0 if column.minimum is None else column.minimum
        high = low + 1 if column.maximum is None else column.maximum
        spread = f"hash(survey_id, household_id, wave, {sql.text(column.name)}) % 1000 / 999.0"
        return f"({low} + ({high - low}) * {spread})::DOUBLE AS {column.name}"
    value = 1 if column.type == "INTEGER" else str(_domain(column)[0])
    return f"{sql.text(str(value))}::{column.type} AS {column.name}"


def _domain(column: Column) -> list[object]:
    if column.name == "indicator_id":
        return [i.id for i in INDICATORS]
    if column.name in DOMAINS:
        return list(DOMAINS[column.name])
    if column.values:
        return list(column.values)
    if column.type in ("INTEGER", "BIGINT"):
        return [1, 2, 3]
    if column.type == "BOOLEAN":
        return [False, True]
    return [f"{column.name}_{k}" for k in "ab"]


def _value(column: Column, rng: random.Random) -> object:
    if column.nullable and rng.random() < 0.2:
        return None
    low = 0 if column.minimum is None else column.minimum
    high = low + 1 if column.maximum is None else column.maximum
    match column.type:
        case "DOUBLE":
            return rng.uniform(low, high)
        case "BIGINT" | "INTEGER":
            return rng.randint(int(low), int(low) + 20)
        case "BOOLEAN":
            return True
        case "TIMESTAMP":
            return f"2026-01-0{rng.randint(1, 9)} 12:00:00"
        case "DATE":
            return "2026-01-01"
        case _:
            return rng.choice(_domain(column))


def publish_tables(folder: Path, tables: Collection[str], kept: str | None = "kept") -> Path:
    """Publish some tables of `build.duckdb` of a folder beside it, with what is kept there; returns the version."""
    few = Contract(contract().version, tuple(t for t in contract() if t.full_name in tables))
    return publish(
        folder / "build.duckdb",
        folder / "published",
        few,
        AuditResult(()),
        RunInfo("run"),
        None,
        kept=Kept(folder / kept) if kept else None,
    ).version
