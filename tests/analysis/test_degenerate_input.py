"""Data without an honest answer end in a named refusal or in empty figures, in every function that estimates.

Each function gets each kind of poor data; the last test holds that no public function is forgotten.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis.comparison import chow_test, gap_contrasts, interactions, oaxaca_blinder, wald_equality
from analysis.coupling import coupling, leave_one_out, obstacle_degrees
from analysis.diagnostics import specification_tests
from analysis.errors import AnalysisError
from analysis.factors import (
    adequacy,
    composite_of_factors,
    congruence,
    correlate,
    factor,
    factor_scores,
    parallel_analysis,
    percent,
    varimax,
)
from analysis.inequality import gini, theil, theil_parts
from analysis.inference import (
    ClusterScores,
    JointTest,
    cluster_directions,
    cluster_scores,
    clustered,
    heteroskedastic,
    joint_test,
    second_pass,
    separate_errors,
    wild_cluster_bootstrap,
)
from analysis.levels import (
    levels_of_combination,
    levels_of_difference,
    levels_of_joint_test,
    levels_of_mean,
    refusal,
    refusal_of_interval,
    refusal_of_joint_test,
    refusal_of_share,
)
from analysis.limited_outcomes import limited_outcome
from analysis.measurement import align, measurement, omega
from analysis.meta_analysis import random_effects
from analysis.model_design import Category, ModelDesign, design_batches, fill_values
from analysis.normalisation import find_bounds, normalise
from analysis.panel_models import fixed_effects
from analysis.polychoric import polychoric
from analysis.regression import Regression, fit_ols, generalised_vif, wald_statistic
from analysis.reliability import alpha_interval, cronbach_alpha
from analysis.sensitivity import rank_sensitivity
from analysis.summary import Summary, summarise
from analysis.survey_design import (
    degrees_of_freedom,
    design_mean,
    difference,
    intraclass_correlation,
    unit_mean,
)
from analysis.transitions import paired_change, transition
from analysis.unit_sums import UnitSums, sums_of_batch, together
from analysis.weighting import composite, weigh

ITEMS = ["a", "b", "c", "d"]
PRINTED = ("claims", "composites", "plausibility", "printed", "reconstruction")
"""Starts of the names of modules that read printed figures, of which there are no households."""

SMALL = {
    "arrays": "checks of arguments, which the others call",
    "lapack": "a wrapper",
    "summary": "reading of batches; `summarise` is below",
    "threads": "computes nothing",
}
ARITHMETIC = {"classify", "lag", "lower", "composites", "weigh_moments", "residual_batches", "from_batches"}
"""Elementwise, or the inner part of a function below."""


def plain(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    common = rng.normal(size=n)
    items = np.clip(np.round(3 + 0.8 * common[:, None] + rng.normal(size=(n, 4))), 1, 5)
    frame = pd.DataFrame(items, columns=ITEMS)
    frame["site"] = np.arange(n) % 8
    frame["region"] = frame["site"] % 2
    frame["stratum"] = frame["site"] % 4
    frame["y"] = np.round(2 + common + rng.normal(size=n), 3)
    frame["w"] = rng.uniform(0.5, 2, n)
    frame["word"] = np.where(frame["a"] > 3, "high", "low")
    return frame


POOR: dict[str, Callable[[], pd.DataFrame]] = {
    "one site": lambda: plain().assign(site=0),
    "one site a region": lambda: plain().assign(site=lambda d: d["region"]),
    "one household a site": lambda: plain().assign(site=np.arange(120)),
    "a stratum with one unit": lambda: plain().assign(stratum=lambda d: d["site"] == 3),
    "weights all zero": lambda: plain().assign(w=0.0),
    "an item with one category": lambda: plain().assign(a=3.0),
    "an item that is another": lambda: plain().assign(a=lambda d: d["b"]),
    "a category absent in a region": lambda: plain().assign(a=lambda d: d["a"].where(d["region"] == 0, 2.0)),
    "an item nobody of a region answered": lambda: plain().assign(a=lambda d: d["a"].where(d["region"] == 0)),
    "an outcome with one value": lambda: plain().assign(y=0.1),
    "an outcome that is an item": lambda: plain().assign(y=lambda d: d["b"]),
    "all blank": lambda: plain().assign(**dict.fromkeys([*ITEMS, "y"], np.nan)),
    "two households": lambda: plain(2),
    "one household": lambda: plain(1),
    "none": lambda: plain().iloc[:0],
}


def fitted(d: pd.DataFrame) -> Regression:
    return fit_ols(summarise(d, [*ITEMS, "y"])[()], "y", ITEMS)


def groups(d: pd.DataFrame) -> dict[tuple[Any, ...], Summary]:
    return summarise(d, [*ITEMS, "y"], by=["region"])


def units(d: pd.DataFrame) -> pd.DataFrame:
    known = d.dropna(subset=["y"])
    return known.groupby("site")["y"].agg(
        n="size", mean="mean", squares=lambda v: float(((v - v.mean()) ** 2).sum())
    )


def unit_mean_of(d: pd.DataFrame) -> Any:
    computed = units(d)
    return unit_mean(computed["mean"], computed["n"], computed["n"])


def means_of_regions(d: pd.DataFrame) -> list[Any]:
    return [unit_mean_of(d[d["region"] == region]) for region in (0, 1)]


def by_site(d: pd.DataFrame) -> tuple[Regression, ClusterScores]:
    fit = fitted(d)
    return fit, cluster_scores(d, fit, "site")


def joint(d: pd.DataFrame) -> tuple[Any, JointTest]:
    parts = [(*by_site(d), np.eye(5)[1:3])]
    return parts, joint_test(parts)


def scaled(d: pd.DataFrame) -> np.ndarray:
    return (d[ITEMS].to_numpy() - 1) / 4


def by_region(d: pd.DataFrame) -> dict[str, np.ndarray]:
    return {str(region): rows[ITEMS].to_numpy() for region, rows in d.groupby("region")}


def loadings(d: pd.DataFrame) -> np.ndarray:
    return factor(correlate(d[ITEMS]).r, n_factors=2).loadings


def scores_of(d: pd.DataFrame) -> np.ndarray:
    computed = correlate(d[ITEMS])
    return factor_scores(
        d[ITEMS], computed.mean, computed.sd, factor(computed.r, n_factors=1).score_coefficients
    )


def sums(d: pd.DataFrame) -> list[UnitSums]:
    """Sums by site of two halves of the households."""
    rows = d.assign(site=d["site"].astype(str), units=np.nan)
    halves = (rows.iloc[:60], rows.iloc[60:])
    return [
        sums_of_batch(
            pa.RecordBatch.from_pandas(half, preserve_index=False), ["site"], [*ITEMS, "y"], "w", "units"
        )
        for half in halves
    ]


def design() -> ModelDesign:
    return ModelDesign("y", ("b",), (Category("word", ("low", "high", "never"), "low"),), "mean")


CALLS: dict[str, Callable[[pd.DataFrame], object]] = {
    "adequacy": lambda d: adequacy(correlate(d[ITEMS]).r, len(d)),
    "align": lambda d: align(*(np.array([r.mean(0) for r in by_region(d).values()]),) * 2, [len(d)] * 2),
    "alpha_interval": lambda d: alpha_interval(d[ITEMS], n_resamples=20),
    "chow_test": lambda d: chow_test(groups(d), "y", ITEMS),
    "cluster_scores": lambda d: cluster_scores(d, fitted(d), "site"),
    "cluster_directions": lambda d: cluster_directions(*by_site(d), np.eye(5)[1:2]),
    "clustered": lambda d: clustered(fitted(d), cluster_scores(d, fitted(d), "site")),
    "composite": lambda d: composite(scaled(d), [1.0] * 4),
    "composite_of_factors": lambda d: composite_of_factors(scaled(d), [50.0, 20.0, 10.0, 5.0], [0, 1]),
    "congruence": lambda d: congruence(loadings(d), loadings(d)),
    "correlate": lambda d: correlate(d[ITEMS]),
    "coupling": lambda d: coupling(scaled(d)[:, :2]),
    "cronbach_alpha": lambda d: cronbach_alpha(correlate(d[ITEMS]).r),
    "degrees_of_freedom": lambda d: degrees_of_freedom(*means_of_regions(d)),
    "design_batches": lambda d: list(design_batches(d, design(), fill=fill_values(d, design()))),
    "design_mean": lambda d: design_mean(d["y"].dropna(), units=d["site"][d["y"].notna()]),
    "design_mean in strata": lambda d: design_mean(
        *(d["y"].fillna(0),), weights=d["w"], strata=d["stratum"], units=d["site"], domain=d["y"].notna()
    ),
    "difference": lambda d: difference(*means_of_regions(d)),
    "factor": lambda d: factor(correlate(d[ITEMS]).r),
    "factor_scores": scores_of,
    "fill_values": lambda d: fill_values(d, design()),
    "find_bounds": lambda d: find_bounds(d[ITEMS], "within_survey", survey=d["region"]),
    "fit_ols": fitted,
    "fixed_effects": lambda d: fixed_effects(
        *(d["y"], d[["b", "c"]], ["b", "c"], np.arange(len(d)) // 2, np.arange(len(d)) % 2),
        d["site"].to_numpy() // 2,
        draws=50,
    ),
    "gap_contrasts": lambda d: gap_contrasts(
        *((summarise(own, [*ITEMS, "y"])[()], *by_site(own)) for own in (d[d["region"] == r] for r in (0, 1)))
    ),
    "generalised_vif": lambda d: generalised_vif(fitted(d), [ITEMS[:2], ITEMS[2:]]),
    "gini": lambda d: gini(d["y"].abs().dropna(), d["w"][d["y"].notna()]),
    "heteroskedastic": lambda d: heteroskedastic(d, fitted(d)),
    "interactions": lambda d: interactions(groups(d), "y", ITEMS, reference=(0,)),
    "intraclass_correlation": lambda d: intraclass_correlation(
        *(units(d)[c] for c in ("n", "mean", "squares"))
    ),
    "joint_test": joint,
    "leave_one_out": lambda d: leave_one_out(scaled(d)[:, :2], [0.5, 0.5], scaled(d)[:, 2:3]),
    "levels_of_combination": lambda d: levels_of_combination([(*by_site(d), np.eye(5)[1:2])], 3.0),
    "levels_of_difference": lambda d: levels_of_difference(*means_of_regions(d)),
    "levels_of_joint_test": lambda d: levels_of_joint_test(*joint(d)),
    "levels_of_mean": lambda d: levels_of_mean(unit_mean_of(d)),
    "limited_outcome": lambda d: limited_outcome(
        d["a"], d[["b", "c"]], ["b", "c"], d["site"], family="ordered"
    ),
    "limited_outcome fractional": lambda d: limited_outcome(
        scaled(d)[:, 0], d[["b", "c"]], ["b", "c"], d["site"], family="fractional"
    ),
    "measurement": lambda d: measurement(by_region(d), [0] * 4, "scalar"),
    "measurement of ordered answers": lambda d: measurement(
        by_region(d), [0] * 4, "metric", estimator="wlsmv"
    ),
    "normalise": lambda d: normalise(d[ITEMS], find_bounds(d[ITEMS], "pooled"), ["benefit"] * 4),
    "oaxaca_blinder": lambda d: oaxaca_blinder(
        *(summarise(d[d["region"] == r], [*ITEMS, "y"])[()] for r in (0, 1)), "y", ITEMS
    ),
    "obstacle_degrees": lambda d: obstacle_degrees(scaled(d), [1.0] * 4),
    "omega": lambda d: omega(measurement(by_region(d), [0] * 4), [0] * 4),
    "paired_change": lambda d: paired_change(d["a"], d["b"]),
    "parallel_analysis": lambda d: parallel_analysis(
        np.linalg.eigvalsh(correlate(d[ITEMS]).r)[::-1], len(d), n_draws=9
    ),
    "percent": lambda d: percent(d["y"]),
    "polychoric": lambda d: polychoric(d[ITEMS]),
    "random_effects": lambda d: random_effects(units(d)["mean"].to_numpy(), units(d)["squares"].to_numpy()),
    "rank_sensitivity": lambda d: rank_sensitivity(d[ITEMS].to_numpy()),
    "refusal": lambda d: refusal(levels_of_mean(unit_mean_of(d)), unit_mean_of(d).df),
    "refusal_of_interval": lambda d: refusal_of_interval(unit_mean_of(d)),
    "refusal_of_joint_test": lambda d: refusal_of_joint_test(*joint(d)),
    "refusal_of_share": lambda d: refusal_of_share(units(d)["n"] // 2, units(d)["n"]),
    "second_pass": lambda d: second_pass(d, fitted(d), "site"),
    "separate_errors": lambda d: separate_errors(*by_site(d), np.eye(5)[1:]),
    "specification_tests": lambda d: specification_tests(d, fitted(d)),
    "summarise": lambda d: [
        s.covariance() for s in summarise(d, ITEMS, weights="w", weight_kind="sampling").values()
    ],
    "sums_of_batch": sums,
    "theil": lambda d: theil(d["y"].abs().dropna(), d["w"][d["y"].notna()]),
    "theil_parts": lambda d: theil_parts(d["y"].abs().dropna(), d["site"][d["y"].notna()]),
    "together": lambda d: together(sums(d)),
    "transition": lambda d: transition(d["a"], d["b"], 6),
    "unit_mean": unit_mean_of,
    "varimax": lambda d: varimax(loadings(d)),
    "wald_equality": lambda d: wald_equality(
        {g: fit_ols(s, "y", ITEMS) for g, s in groups(d).items()}, ITEMS
    ),
    "wald_statistic": lambda d: wald_statistic(fitted(d).b, fitted(d).covariance),
    "weigh": lambda d: weigh(scaled(d), "entropy"),
    "wild_cluster_bootstrap": lambda d: wild_cluster_bootstrap(
        fitted(d), cluster_scores(d, fitted(d), "site"), draws=50
    ),
}

CERTAIN = {("specification_tests", "reset"), ("wald_equality", "df_denominator")}
"""An infinite F says that powers of the fit leave nothing; chi-squared is an F with no end of degrees of freedom."""


def numbers(computed: object, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Every number in a result, with the field that holds it."""
    if is_dataclass(computed):
        for each in fields(computed):
            yield from numbers(getattr(computed, each.name), each.name)
    elif isinstance(computed, dict):
        for value in computed.values():
            yield from numbers(value, name)
    elif isinstance(computed, (list, tuple)):
        for value in computed:
            yield from numbers(value, name)
    elif isinstance(computed, (int, float, np.number, np.ndarray)):
        yield name, np.asarray(computed)


def attempted(call: str, frame: pd.DataFrame) -> object:
    try:
        return CALLS[call](frame)
    except AnalysisError as error:
        return error


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.filterwarnings("error")
def test_poor_data_end_in_a_refusal_or_in_empty_figures(call: str) -> None:
    assert not isinstance(attempted(call, plain()), AnalysisError), "good data are not refused"
    for kind, make in POOR.items():
        computed = attempted(call, make())
        if isinstance(computed, AnalysisError):
            assert str(computed), "a refusal says why"
            continue
        for name, values in numbers(computed):
            if (call, name) not in CERTAIN and values.dtype.kind == "f":
                assert not np.isinf(values).any(), f"{kind}: {name} is infinite"


def test_every_public_function_that_estimates_is_tried() -> None:
    tried = {name.split()[0] for name in CALLS}
    missed = set()
    for module in (Path(__file__).parents[2] / "analysis").glob("*.py"):
        if module.stem.startswith(PRINTED) or module.stem in (*SMALL, "__init__"):
            continue
        loaded = importlib.import_module(f"analysis.{module.stem}")
        own = inspect.getmembers(loaded, inspect.isfunction)
        missed |= (
            {n for n, f in own if not n.startswith("_") and f.__module__ == loaded.__name__}
            - tried
            - ARITHMETIC
        )
    assert not missed
