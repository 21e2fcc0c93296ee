"""The invented surveys as fixtures: catalog, literature, wide answers and build database."""

from collections.abc import Iterator

import duckdb
import pandas as pd
import pytest
from invented_surveys import DATA, build, stored, wide

from relocation_warehouse.results.coupling import coupling
from relocation_warehouse.results.factors import factors
from relocation_warehouse.results.regressions import regressions
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.literature import Literature, load_literature


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(DATA / "catalog")


@pytest.fixture(scope="session")
def literature(catalog: Catalog) -> Literature:
    return load_literature(DATA / "literature", catalog)


@pytest.fixture(scope="session")
def frame(catalog: Catalog) -> pd.DataFrame:
    return wide(catalog)


@pytest.fixture(scope="session")
def con(catalog: Catalog, literature: Literature, frame: pd.DataFrame) -> Iterator[duckdb.DuckDBPyConnection]:
    with build(catalog, literature, frame) as connection:
        yield connection


@pytest.fixture(scope="session")
def analysed(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> duckdb.DuckDBPyConnection:
    """The build database with the results that other results read."""
    for compute in (coupling, factors, regressions):
        stored(con, compute(con, catalog))
    return con
