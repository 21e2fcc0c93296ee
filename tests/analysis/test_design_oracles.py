"""Design-based inference against R's survey, clubSandwich, metafor and car (`make oracles`), on published samples."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.inference import ClusterScores, cluster_scores, clustered, joint_test
from analysis.meta_analysis import random_effects
from analysis.regression import Regression, fit_ols, generalised_vif
from analysis.summary import summarise
from analysis.survey_design import DesignMean, design_mean, difference, unit_mean

REFERENCE = Path(__file__).parents[1] / "reference"
DIGITS = 1e-10


@cache
def sample(name: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"oracle_api_{name}.csv")


@cache
def from_r() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "oracle_design_r.csv")


def expected(case: str) -> dict[str, float]:
    result = from_r().query("case == @case").set_index("quantity")["value"]
    assert len(result)
    return result.to_dict()


def agrees(computed: object, case: str, rtol: float = DIGITS) -> None:
    for name, value in expected(case).items():
        assert getattr(computed, name) == pytest.approx(value, rel=rtol, abs=1e-12), (case, name)


def one_stage(**options: object) -> DesignMean:
    data = sample("clus1")
    return design_mean(data["api00"], **{"weights": data["pw"], "units": data["dnum"], **options})


def test_strata_clusters_and_domains_with_finite_populations() -> None:
    strat, clus1 = sample("strat"), sample("clus1")
    options = {"weights": strat["pw"], "strata": strat["stype"], "stratum_sizes": strat["fpc"]}
    agrees(design_mean(strat["api00"], **options), "stratified")
    part = (strat["sch.wide"] == "No") & (strat["stype"] != "M")
    agrees(design_mean(strat["api00"], **options, domain=part), "domain in strata")
    agrees(one_stage(stratum_sizes=clus1["fpc"]), "one stage")
    agrees(one_stage(stratum_sizes=clus1["fpc"], domain=clus1["stype"] == "H"), "domain")
    actual, without = one_stage(), expected("one stage without fpc")
    assert (actual.se, actual.design_effect) == pytest.approx((without["se"], without["deff"]), rel=DIGITS)


def test_rows_of_weight_zero_give_no_degree_of_freedom() -> None:
    data = sample("clus1")
    agrees(one_stage(weights=data["pw"].where(data["dnum"] != data["dnum"][0], 0.0)), "zero weights")


def test_two_stages() -> None:
    data = sample("clus2")
    options = {
        "weights": data["pw"],
        "units": data["dnum"],
        "stratum_sizes": data["fpc1"],
        "unit_sizes": data["fpc2"],
    }
    agrees(design_mean(data["api00"], **options), "two stages")
    part = data["stype"] == "E"
    agrees(design_mean(data["api00"], **options, domain=part), "two stages of a domain")


@pytest.mark.parametrize(
    ("ours", "theirs"), [("centre", "adjust"), ("certainty", "certainty"), ("average", "average")]
)
def test_a_stratum_with_one_unit(ours: str, theirs: str) -> None:
    unit = sample("clus1")["dnum"]
    strata = np.where(unit == unit.min(), 1, np.where(unit < 500, 2, 3))
    agrees(one_stage(strata=strata, lonely=ours), f"lonely {theirs}")


def test_a_share_has_an_interval_on_the_logit_scale() -> None:
    data = sample("clus1")
    is_wide = (data["sch.wide"] == "Yes").astype(float)
    options = {"weights": data["pw"], "units": data["dnum"], "stratum_sizes": data["fpc"]}
    agrees(design_mean(is_wide, **options, interval="logit"), "share")


def by_unit(data: pd.DataFrame) -> DesignMean:
    units = data.groupby("dnum")["api00"].agg(["mean", "size"])
    return unit_mean(units["mean"], units["size"], units["size"])


def test_the_mean_of_few_units_and_a_difference_of_two() -> None:
    data = sample("clus1")
    actual, r = by_unit(data), expected("mean of units")
    assert (actual.mean, actual.se, actual.df) == pytest.approx((r["mean"], r["se"], r["df"]), rel=DIGITS)
    low = data["dnum"] < 500
    agrees(difference(by_unit(data[low]), by_unit(data[~low])), "difference of units")


SLOPES = ["meals", "ell"]


def fitted(data: pd.DataFrame) -> tuple[Regression, ClusterScores]:
    model = fit_ols(summarise(data, [*SLOPES, "api00"])[()], "api00", SLOPES)
    return model, cluster_scores(data, model, "dnum")


@pytest.mark.parametrize(
    ("case", "places"), [("one slope", [1]), ("both slopes", [1, 2]), ("all coefficients", [0, 1, 2])]
)
def test_joint_tests_of_regions(case: str, places: list[int]) -> None:
    data = sample("clus1")
    chosen = np.eye(3)[places]
    parts = [(*fitted(data[data["dnum"] < 500]), -chosen), (*fitted(data[data["dnum"] >= 500]), chosen)]
    actual, r = joint_test(parts), expected(case)
    assert (actual.f, actual.df_denominator, actual.p) == pytest.approx((r["f"], r["df"], r["p"]), rel=1e-8)


def test_a_joint_test_of_one_model_and_of_one_coefficient() -> None:
    model, scores = fitted(sample("clus1"))
    actual, r = joint_test([(model, scores, np.eye(3)[1:])]), expected("own slopes")
    assert (actual.f, actual.df_denominator, actual.p) == pytest.approx((r["f"], r["df"], r["p"]), rel=1e-8)
    single, plain = joint_test([(model, scores, np.eye(3)[1:2])]), clustered(model, scores, "CR2")
    assert (single.f, single.df_denominator) == pytest.approx((plain.t[1] ** 2, plain.df[1]), rel=1e-10)


@pytest.mark.parametrize(
    ("case", "y", "s"),
    [
        ("pooled", [0.3, 0.9, -0.3, 0.5], [0.1, 0.2, 0.15, 0.3]),
        ("pooled one precise", [0.3, 0.9, -0.3], [1e-4, 0.1, 0.1]),
        ("pooled hksj", [0.3, 0.9, -0.3, 0.5], [0.1, 0.2, 0.15, 0.3]),
        ("pooled identical", [0.4, 0.4, 0.4], [0.1, 0.2, 0.3]),
    ],
)
def test_random_effects(case: str, y: list[float], s: list[float]) -> None:
    actual, r = random_effects(y, s), expected(case)
    is_hksj = "pooled" in case and case in ("pooled hksj", "pooled identical")
    se, p = (actual.hksj_se, actual.hksj_p) if is_hksj else (actual.se, actual.p)
    values = (actual.estimate, se, p, actual.tau2, actual.q, actual.i2)
    names = ("estimate", "se", "p", "tau2", "q", "i2")
    assert values == pytest.approx([r[name] for name in names], rel=1e-8, abs=1e-12)


def test_variance_inflation_of_a_category() -> None:
    data = sample("clus1").assign(**{f"stype={c}": lambda d, c=c: (d["stype"] == c) * 1.0 for c in "HM"})
    terms = [*SLOPES, "stype=H", "stype=M"]
    model = fit_ols(summarise(data, [*terms, "api00"])[()], "api00", terms)
    result = generalised_vif(model, [["meals"], ["ell"], ["stype=H", "stype=M"]])
    r = from_r().query("case == 'gvif'")["value"].to_numpy()
    np.testing.assert_allclose(result, r, rtol=DIGITS)
    np.testing.assert_allclose(result[:2] ** 2, model.vif[1:3], rtol=DIGITS)
