"""Which computation makes which result tables, from what.

One declaration each: `made_by` of a table in `data/catalog/tables.yml` names its group, and the orchestration, the
description of the models and the audit follow. Belongs here: the list. Does not belong here: a computation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import duckdb

from relocation_warehouse.ground.kept import code_of, digest_of
from relocation_warehouse.results.formulas import macros
from relocation_warehouse.results.tables import Result
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import Literature


def _later(module: str, name: str = "") -> Callable[..., Mapping[str, Result]]:
    """A function of a module of results, which is loaded when it is called: what is kept needs no statistics.

    Linear algebra has one thread in it. On arrays this small more of them only wait for each other, and a product of
    two vectors of ten thousand numbers takes them all: rank sensitivity took seven times the processor seconds.
    """
    place = f"{__package__}.{module}"

    def function(*given: Any) -> Mapping[str, Result]:
        from analysis.threads import one_blas_thread

        with one_blas_thread():
            made: Mapping[str, Result] = getattr(import_module(place), name or module)(*given)
        return made

    function.__module__ = place
    return function


comparison = _later("comparison")
coupled_systems = _later("coupled_systems")
coupling = _later("coupling")
factors = _later("factors")
limited_outcomes = _later("limited_outcomes")
measurement_tables = _later("measurement", "measurement_tables")
panel_models = _later("panel_models")
panels = _later("panels")
plausibility = _later("plausibility")
regressions = _later("regressions")
replication = _later("replication")
sensitivity = _later("sensitivity")
welfare = _later("welfare")

Computation = Callable[[duckdb.DuckDBPyConnection, Catalog, Callable[[], Literature]], Mapping[str, Result]]


@dataclass(frozen=True)
class Group:
    """Tables that are computed together.

    Attributes
    ----------
    name
        As `made_by` says it.
    compute
        Computation on the build database; gives a result for each table of the group.
    needs
        Tables that it reads, as `schema.table`, or a group whose tables it reads.
    description
        What it is, and the page of its method.
    is_small
        It asks many little questions of what is built, and stays in the build database whatever the engine.
    """

    name: str
    compute: Computation
    needs: tuple[str, ...]
    description: str
    is_small: bool = False


HOUSEHOLDS = "harmonized.households"
CAPITALS = "capital.household_capitals"
DIMENSIONS = "integration.household_dimensions"
STATISTICS = "reference.published_statistics"

MODELLED = (HOUSEHOLDS, CAPITALS, DIMENSIONS, "coupling", "factors")
"""What models may take their dependents and regressors from."""

GROUPS = (
    Group(
        "coupling",
        lambda con, catalog, _: coupling(con, catalog),
        (CAPITALS, HOUSEHOLDS),
        "Coupling coordination of livelihood capital and stability: docs/methods/coupling.md.",
    ),
    Group(
        "coupled_systems",
        lambda con, catalog, _: coupled_systems(con, catalog),
        (HOUSEHOLDS,),
        "Coordination of the systems that papers couple, from named dimensions: docs/methods/coupling.md.",
    ),
    Group(
        "factors",
        lambda con, catalog, _: factors(con, catalog),
        (HOUSEHOLDS,),
        "Factor analysis as SPSS does it: docs/methods/factors.md.",
    ),
    Group(
        "measurement",
        lambda con, catalog, _: measurement_tables(con, catalog),
        (HOUSEHOLDS,),
        "Whether scales measure the same in every survey: docs/methods/measurement.md.",
    ),
    Group(
        "regressions",
        lambda con, catalog, _: regressions(con, catalog),
        (HOUSEHOLDS, CAPITALS, "coupling", "factors"),
        "Linear models specified in the catalog: docs/methods/regression.md.",
    ),
    Group(
        "limited_outcomes",
        lambda con, catalog, _: limited_outcomes(con, catalog),
        MODELLED,
        "Ordered and fractional models beside least squares: docs/methods/limited_outcomes.md.",
    ),
    Group(
        "panel_models",
        lambda con, catalog, _: panel_models(con, catalog),
        MODELLED,
        "Change within households of a panel: docs/methods/panel_models.md.",
    ),
    Group(
        "plausibility",
        lambda _, __, literature: plausibility(literature()),
        (STATISTICS, "reference.published_sites"),
        "Arithmetic tests of what the papers print: docs/methods/plausibility.md.",
        is_small=True,
    ),
    Group(
        "replication",
        lambda con, catalog, literature: replication(con, catalog, literature()),
        (HOUSEHOLDS, CAPITALS, STATISTICS, "coupling", "factors", "regressions"),
        "Every printed result beside the recomputed one: docs/methods/replication.md.",
        is_small=True,
    ),
    Group(
        "comparison",
        lambda con, catalog, literature: comparison(con, catalog, literature()),
        (
            *(HOUSEHOLDS, CAPITALS, DIMENSIONS, STATISTICS, "reference.published_categories"),
            *("coupling", "factors", "regressions"),
        ),
        "Regions side by side, households and printed figures kept apart: docs/methods/region_comparison.md.",
    ),
    Group(
        "panels",
        lambda con, catalog, _: panels(con, catalog),
        MODELLED,
        "Who of a panel was interviewed again, and what changed between its waves.",
        is_small=True,
    ),
    Group(
        "sensitivity",
        lambda con, catalog, _: sensitivity(con, catalog),
        (HOUSEHOLDS, CAPITALS, "coupling"),
        "Does the order of regions survive other choices of method: docs/methods/sensitivity.md.",
    ),
    Group(
        "welfare",
        lambda con, catalog, _: welfare(con, catalog),
        (HOUSEHOLDS, CAPITALS, "coupling"),
        "Who is poor in many ways, how unequal incomes are, who does not get on: docs/methods/welfare.md.",
    ),
)


def _code(group: Group, code_of: Callable[..., str] = code_of) -> str:
    """Digest of the modules whose functions a group calls, and of the formulas that they share with dbt."""
    called = (globals().get(name) for name in group.compute.__code__.co_names)
    modules = sorted({function.__module__ for function in called if callable(function)})
    if not modules:
        raise LookupError(f"the group {group.name} calls no function that this module imports")
    return digest_of(code_of(*modules), macros())


CODE = {group.name: _code(group) for group in GROUPS}
"""Digest of the code of each group, as it was when this process began."""


def is_as_it_was(group: Group) -> bool:
    """Whether the code of a group is that of `CODE`; it is loaded when it is needed, and may have changed before."""
    return _code(group, code_of.__wrapped__) == CODE[group.name]
