"""The contract of the published tables, loaded once for the definitions."""

from __future__ import annotations

from functools import cache

from publication.tables import Contract, load_contract
from survey.catalog import load_catalog
from warehouse.paths import Paths


@cache
def contract_of(paths: Paths | None = None) -> Contract:
    """`tables.yml` with the catalog's indicators as columns of the wide tables."""
    paths = paths or Paths.from_environment()
    return load_contract(paths.catalog / "tables.yml", load_catalog(paths.catalog).indicators)
