"""Input that has no honest answer ends in a named error or an empty figure with a stored reason, in every result."""

from collections.abc import Callable

import duckdb
import numpy as np
import pandas as pd
import pytest
from invented_surveys import build, stored

from analysis.errors import InfiniteValueError, InvalidWeightError
from analysis.weighting import composite
from results.coupling import coupling
from results.factors import factors
from results.regressions import regressions
from survey.catalog import Catalog
from survey.literature import Literature

Tables = dict[str, pd.DataFrame]


def items(catalog: Catalog) -> list[str]:
    return [i.indicator for i in catalog.factor_models[0].items]


def changed(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame, change: Callable[[pd.DataFrame], None]
) -> duckdb.DuckDBPyConnection:
    altered = frame.copy()
    change(altered)
    return build(catalog, literature, altered)


def made(con: duckdb.DuckDBPyConnection, catalog: Catalog, *computations: Callable[..., object]) -> Tables:
    tables: Tables = {}
    for compute in computations:
        tables |= stored(con, compute(con, catalog))
    return tables


def test_a_constant_item_has_no_factor_analysis_and_the_row_says_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    item = items(catalog)[0]

    def constant(table: pd.DataFrame) -> None:
        table.loc[(table["survey_id"] == "valley") & table[item].notna(), item] = 3.0

    con = changed(catalog, literature, frame, constant)
    tables = made(con, catalog, factors)
    row = tables["factor_diagnostics"].query("model == @catalog.factor_models[0].id").squeeze()
    assert item in row["reason"]
    assert row[["kmo", "bartlett", "n_factors", "alpha_standardised"]].isna().all()
    assert row["n"] > 200
    assert tables["factor_scores"].empty
    assert tables["factor_loadings"].empty


def test_collinear_items_have_no_factor_analysis_and_the_row_says_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    first, second = items(catalog)[:2]

    def copied(table: pd.DataFrame) -> None:
        table[second], table[f"{second}__missing"] = table[first], table[f"{first}__missing"]

    con = changed(catalog, literature, frame, copied)
    row = made(con, catalog, factors)["factor_diagnostics"].query("model == @catalog.factor_models[0].id")
    assert row["reason"].notna().all()
    assert row["kmo"].isna().all()


def test_an_infinite_answer_stops_the_computation_with_its_column(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    item = items(catalog)[0]

    def infinite(table: pd.DataFrame) -> None:
        rows = table.index[(table["survey_id"] == "valley") & table[item].notna()]
        table.loc[rows[0], item] = np.inf

    con = changed(catalog, literature, frame, infinite)
    with pytest.raises(InfiniteValueError, match=item):
        factors(con, catalog)
    with pytest.raises(InfiniteValueError):
        raise_first(coupling, con, catalog, frame)


def raise_first(
    compute: Callable[..., object], con: duckdb.DuckDBPyConnection, catalog: Catalog, frame: pd.DataFrame
) -> None:
    """Run a computation after one answer to a capital indicator became infinite."""
    indicator = next(
        i for d in catalog.default_weight_scheme.dimensions.values() for i in d if frame[i].notna().any()
    )
    con.execute(
        f"update staging.household_waves set {indicator} = 'infinity' where household_id = 'hills-000'"
    )
    compute(con, catalog)


def test_one_site_has_no_clustered_errors_and_the_models_say_why(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    def one_site(table: pd.DataFrame) -> None:
        table["site_id"] = table["survey_id"] + "-only"

    con = changed(catalog, literature, frame, one_site)
    models = made(con, catalog, coupling, factors, regressions)["regression_models"]
    single = models[models["survey_id"] != "pooled"]
    clustered = single[single["covariance"].isin(["cr1", "cr2"])]
    assert len(clustered) > 10
    assert clustered["caution"].str.startswith("refused").all()
    assert clustered["r2"].isna().all()
    classical = single[
        (single["covariance"] == "ols") & ~single["caution"].fillna("").str.startswith("refused")
    ]
    assert classical["r2"].notna().all()
    assert len(classical) > 5


def test_negative_weights_are_refused_where_weights_count(catalog: Catalog) -> None:
    scheme = catalog.default_weight_scheme
    weights = [-1.0, *[1.0] * (len(scheme.dimension_weights) - 1)]
    with pytest.raises(InvalidWeightError, match="not negative"):
        composite(np.full((3, len(weights)), 0.5), weights)


def test_a_survey_without_capitals_has_no_degree_and_zero_systems_have_no_c(
    catalog: Catalog, literature: Literature, frame: pd.DataFrame
) -> None:
    con = build(catalog, literature, frame)
    con.execute(
        "update capital.household_capitals set total = 0, stability = 0 where household_id = 'hills-001'"
    )
    con.execute("update capital.household_capitals set total = null where survey_id = 'plains'")
    tables = made(con, catalog, coupling)
    table = tables["coupling_coordination"]
    own = table[
        (table["household_id"] == "hills-001") & (table["scheme"] == catalog.default_weight_scheme.id)
    ]
    assert len(own) > 0
    assert own["c"].isna().all()
    assert (own["d"] == 0).all()
    assert table.loc[table["survey_id"] == "plains", ["c", "t", "d", "band"]].isna().all(axis=None)
    summary = tables["coupling_summary"].query("survey_id == 'plains'")
    assert (summary["n"] == 0).all()
    assert summary[["mean_d", "d_of_means", "band_shares"]].isna().all(axis=None)
