"""Counts of a panel by hand, and means of two waves by pandas."""

import duckdb
import numpy as np
import pandas as pd
import pytest

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.results.households import BALANCED, UNBALANCED, Survey
from relocation_warehouse.results.panels import _waves, panels
from relocation_warehouse.survey.catalog import Catalog

# household, wave order, site: b leaves and comes back elsewhere, c leaves, d comes, e splits off from a, f from c
PANEL = [
    *(("a", 1, "x"), ("b", 1, "x"), ("c", 1, "y")),
    *(("a", 2, "x"), ("d", 2, "y"), ("e", 2, "x")),
    *(("a", 3, "y"), ("b", 3, "y"), ("e", 3, "x"), ("f", 3, "y")),
]


def test_every_household_of_a_wave_is_counted_once() -> None:
    survey = Survey("s", "r", False, ("one", "two", "three"), (1, 2, 3), frozenset(), ("r", "r"))
    with duckdb.connect() as con:
        con.execute("create schema harmonized; create schema raw")
        con.register("panel", pd.DataFrame(PANEL, columns=["household_id", "wave_order", "site_id"]))
        con.execute("create table harmonized.households as select *, 's' as survey_id from panel")
        con.execute("create table raw.s__two as select 'e' as _household_id, 'a' as _split_from")
        con.execute(
            "create table raw.s__three as from (values ('f', 'c'), ('a', 'a')) as t(_household_id, _split_from)"
        )
        # of another survey, whose name begins alike
        con.execute("create table raw.s2__two as select 'd' as _household_id, 'a' as _split_from")
        counts = pd.DataFrame(_waves(con, survey)).set_index("wave")
    expected = {
        "wave_before": [None, "one", "two"],
        "n_households": [3, 3, 4],
        "n_stayed": [None, 1, 2],
        "n_returned": [None, 0, 1],
        "n_split": [None, 1, 1],
        "n_new": [None, 1, 0],
        "n_moved": [None, 0, 1],
        "n_left": [None, 2, 1],
        "n_in_all_waves": [1, 1, 1],
    }
    for column, values in expected.items():
        shown = [None if pd.isna(v) else v for v in counts[column]]
        assert shown == values, column


@pytest.fixture(scope="module")
def tables(analysed: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in panels(analysed, catalog).items()}


def test_a_survey_of_one_wave_has_counts_and_no_change(tables: dict[str, pd.DataFrame]) -> None:
    counts = tables["panel_waves"].set_index(["survey_id", "wave"])
    assert counts.loc[("valley", "single"), "n_households"] == 260
    assert (
        counts.loc[("hills", "after"), "n_stayed"] == counts.loc[("hills", "before"), "n_households"] == 240
    )
    for name in ("wave_changes", "wave_bands", "index_changes"):
        assert set(tables[name]["survey_id"]) == {"hills", "plains"}


def test_means_of_both_samples_are_those_of_pandas(
    tables: dict[str, pd.DataFrame], frame: pd.DataFrame, catalog: Catalog
) -> None:
    changes = tables["wave_changes"].set_index(["survey_id", "metric_id", "panel_sample"])
    checked = 0
    for survey, answers in frame.groupby("survey_id"):
        for indicator in (i.id for i in catalog.indicators if i.is_numeric):
            if (survey, indicator, "balanced") not in changes.index:
                continue
            y, w = (
                answers[["household_id", "wave", "weight"]]
                .assign(y=pd.to_numeric(answers[indicator]))
                .pivot(index="household_id", columns="wave", values=v)
                for v in ("y", "weight")
            )
            both = y.notna().all(axis=1)
            for sample, known in (
                ("balanced", y.notna() & both.to_numpy()[:, None]),
                ("unbalanced", y.notna()),
            ):
                row = changes.loc[(survey, indicator, sample)]
                for side, wave in (("from", "before"), ("to", "after")):
                    inside = known[wave]
                    assert row[f"n_{side}"] == inside.sum()
                    mean = np.average(y.loc[inside, wave], weights=w.loc[inside, wave])
                    assert row[f"mean_{side}"] == pytest.approx(mean, rel=1e-10)
                assert row["change"] == pytest.approx(row["mean_to"] - row["mean_from"])
                checked += 1
    assert checked > 40
    blank = (
        changes.xs("balanced", level="panel_sample")["n_from"]
        < changes.xs("unbalanced", level="panel_sample")["n_from"]
    )
    assert blank.any()


def test_shares_of_bands_are_counted_in_both_samples(
    tables: dict[str, pd.DataFrame], analysed: duckdb.DuckDBPyConnection, catalog: Catalog
) -> None:
    spec, scheme = catalog.coupling, catalog.default_weight_scheme
    degrees = analysed.sql("select * from analysis.coupling_coordination").df()
    own = {"scheme": scheme.id, "variant": spec.default_variant, "band_scheme": spec.band_scheme}
    for name, value in own.items():
        degrees = degrees[degrees[name] == value]
    shown = tables["wave_bands"].set_index(["survey_id", "panel_sample", "band"])
    assert len(shown) == 2 * 2 * len(catalog.band_scheme(spec.band_scheme).bands)
    for survey, part in degrees.groupby("survey_id"):
        bands = part.pivot(index="household_id", columns="wave", values="band")
        if len(bands.columns) < 2:
            continue
        for sample, chosen in (("balanced", bands.dropna()), ("unbalanced", bands)):
            for side, wave in (("from", "before"), ("to", "after")):
                counts = chosen[wave].value_counts()
                result = shown.loc[(survey, sample)]
                assert result[f"n_{side}"].to_dict() == {b: int(counts.get(b, 0)) for b in result.index}
                assert result[f"share_{side}"].sum() == pytest.approx(1)
            assert result["change"].sum() == pytest.approx(0, abs=1e-12)
    sizes = shown.groupby("panel_sample")[["n_from", "n_to"]].sum()
    assert (sizes.loc["balanced"] <= sizes.loc["unbalanced"]).all()


def test_wherever_waves_are_compared_the_sample_is_named(catalog: Catalog) -> None:
    comparing = [t for t in contract_of() if "wave_from" in t.column_names or t.name == "capital_changes"]
    assert len(comparing) == 8
    for table in comparing:
        column = next(c for c in table.columns if c.name == "panel_sample")
        assert set(column.values) == {BALANCED, UNBALANCED}, table.full_name


def test_the_change_of_an_index_is_that_of_the_paired_test_and_says_what_it_rests_on(
    analysed: duckdb.DuckDBPyConnection, tables: dict[str, pd.DataFrame], catalog: Catalog
) -> None:
    changes = tables["index_changes"].set_index(["survey_id", "metric_id"])
    assert set(changes["panel_sample"]) == {BALANCED}
    tests = analysed.execute(
        "select survey_id, n, n_units, estimate, ci_low, ci_high from analysis.coupling_tests where test = 'paired_t'"
        " and group_type = 'all' and scheme = ? and variant = ?",
        [catalog.default_weight_scheme.id, catalog.coupling.default_variant],
    ).fetchall()
    assert {survey for survey, *_ in tests} == {"hills", "plains"}
    for survey, n, n_units, *numbers in tests:
        row = changes.loc[(survey, "coupling_coordination_degree")]
        assert (row["n"], row["n_units"]) == (n, n_units)
        if survey == "plains":  # has weights, and the test counts every household once
            continue
        assert list(row[["value", "ci_low", "ci_high"]]) == pytest.approx(numbers, nan_ok=True)
    balanced = (
        tables["wave_changes"].query("panel_sample == 'balanced'").set_index(["survey_id", "metric_id"])
    )
    for key, row in changes.iterrows():
        if key[0] == "hills":
            assert row["value"] == pytest.approx(balanced.loc[key, "change"], abs=1e-12), key
        assert 0 < row["n_indicators"] <= row["n_indicators_defined"]
        assert row["status"] in ("identical", "compatible", "proxy", "undetermined")
        assert pd.notna(row["ci_low"]) != isinstance(row["reason"], str)
    assert {"physical_capital", "livelihood_stability"} <= {metric for _, metric in changes.index}
    assert not any(metric.startswith("factor_score") for _, metric in changes.index)
