"""Result tables as assets: each group of tables is one pure computation over the build database.

Belongs here: which computation makes which tables, and after what. Does not belong here: a formula (`analysis`) or
the shape of a table (`results`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb

from dagster_project.resources import Warehouse
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.results.comparison import comparison
from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.plausibility import plausibility
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.results.replication import replication
from relocation_warehouse.results.sensitivity import sensitivity
from relocation_warehouse.results.tables import Result
from relocation_warehouse.survey.literature import Literature, load_literature

Computation = Callable[[duckdb.DuckDBPyConnection, Warehouse], Mapping[str, Result]]

HOUSEHOLDS = "harmonized.households"
CAPITALS = "capital.household_capitals"
DIMENSIONS = "integration.household_dimensions"


def _literature(warehouse: Warehouse) -> Literature:
    return load_literature(warehouse.paths.literature, warehouse.catalog)


def _results(
    name: str,
    compute: Computation,
    tables: Sequence[str],
    after: Sequence[str],
    description: str,
    *,
    is_small: bool = False,
) -> dg.AssetsDefinition:
    """One asset per table of a computation, materialised together.

    A small one asks many little questions of what is built, and stays in the build database whatever the engine.
    """
    contract = contract_of()

    @dg.multi_asset(
        name=name,
        specs=[
            dg.AssetSpec(
                table.split("."),
                deps=[a.split(".") for a in ("harmonized.coverage", *after)],
                group_name="analysis",
                kinds={"python", "parquet", "duckdb"},
                description=f"{contract[table].description.en}\n\n{description}",
            )
            for table in tables
        ],
        pool="duckdb_writer",
    )
    def compute_tables(warehouse: Warehouse) -> Iterator[Any]:
        with warehouse.connect(read_only=True) if is_small else warehouse.computing() as con:
            made = compute(con, warehouse)
        written = warehouse.store_results({table: made[table.split(".")[1]] for table in tables})
        for table, metadata in written.items():
            yield dg.MaterializeResult(asset_key=table.split("."), metadata=metadata)

    return compute_tables


coupling_tables = _results(
    "coupling",
    lambda con, w: coupling(con, w.catalog),
    [
        *("analysis.indicator_weights", "analysis.study_capitals"),
        *("analysis.coupling_coordination", "analysis.coupling_summary"),
        *("analysis.coupling_bands", "analysis.coupling_transitions", "analysis.coupling_tests"),
        *("analysis.coupling_leave_one_out", "analysis.obstacle_degrees"),
    ],
    [CAPITALS, HOUSEHOLDS],
    "Coupling coordination of livelihood capital and stability: docs/methods/coupling.md.",
)

factor_tables = _results(
    "factors",
    lambda con, w: factors(con, w.catalog),
    [
        *("analysis.factor_diagnostics", "analysis.factor_variance", "analysis.factor_loadings"),
        *("analysis.factor_scores", "analysis.factor_congruence"),
    ],
    [HOUSEHOLDS],
    "Factor analysis as SPSS does it: docs/methods/factors.md.",
)

regression_tables = _results(
    "regressions",
    lambda con, w: regressions(con, w.catalog),
    ["analysis.regression_models", "analysis.regression_coefficients"],
    [
        *(HOUSEHOLDS, CAPITALS, "analysis.study_capitals"),
        *("analysis.coupling_coordination", "analysis.factor_scores"),
    ],
    "Linear models specified in the catalog: docs/methods/regression.md.",
)

plausibility_tables = _results(
    "plausibility",
    lambda _, w: plausibility(_literature(w)),
    ["quality.plausibility", "quality.claims", "quality.finding_evidence"],
    ["reference.published_statistics", "reference.published_sites"],
    "Arithmetic tests of what the papers print: docs/methods/plausibility.md.",
    is_small=True,
)

replication_tables = _results(
    "replication",
    lambda con, w: replication(con, w.catalog, _literature(w)),
    ["quality.replication", "quality.replication_options"],
    [
        *(HOUSEHOLDS, CAPITALS, "reference.published_statistics", "analysis.coupling_coordination"),
        *(
            "analysis.study_capitals",
            "analysis.coupling_bands",
            "analysis.factor_loadings",
            "analysis.factor_scores",
        ),
        *("analysis.factor_diagnostics", "analysis.factor_variance"),
        *("analysis.regression_models", "analysis.regression_coefficients"),
    ],
    "Every printed result beside the recomputed one.",
    is_small=True,
)

comparison_tables = _results(
    "comparison",
    lambda con, w: comparison(con, w.catalog, _literature(w)),
    ["analysis.region_comparison", "analysis.region_tests"],
    [
        *(HOUSEHOLDS, CAPITALS, DIMENSIONS, "harmonized.coverage", "reference.published_statistics"),
        *("analysis.coupling_coordination", "analysis.factor_scores", "analysis.regression_coefficients"),
    ],
    "Regions side by side, households and printed figures kept apart.",
)

sensitivity_tables = _results(
    "sensitivity",
    lambda con, w: sensitivity(con, w.catalog),
    ["analysis.sensitivity", "analysis.sensitivity_ranks"],
    [HOUSEHOLDS, CAPITALS, "analysis.indicator_weights"],
    "Does the order of regions survive other choices of method.",
)
