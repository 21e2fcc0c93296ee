"""What is below rounding is not tested; narrow numbers are widened; units and the order of rows do not matter."""

from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from analysis.comparison import chow_test, interactions, oaxaca_blinder, wald_equality
from analysis.diagnostics import specification_tests
from analysis.errors import (
    AnalysisError,
    BelowRoundingError,
    ConstantColumnError,
    InvalidOptionError,
    InvalidWeightError,
    TooFewClustersError,
)
from analysis.factors import correlate
from analysis.inference import cluster_scores, clustered, heteroskedastic, joint_test, wild_cluster_bootstrap
from analysis.measurement import measurement, omega
from analysis.meta_analysis import random_effects
from analysis.model_design import ModelDesign
from analysis.polychoric import polychoric
from analysis.regression import fit_ols
from analysis.reliability import alpha_interval, cronbach_alpha
from analysis.sensitivity import rank_sensitivity
from analysis.summary import Summary, summarise
from analysis.survey_design import DesignMean, design_mean, difference, intraclass_correlation, unit_mean
from analysis.transitions import paired_change, transition
from analysis.weighting import Moments, weigh, weigh_moments

SCALES = st.sampled_from([10.0, 0.1, 3.0, 1e6, 1e-6])
SHIFTS = st.sampled_from([0.0, 1.0, -7.5, 1000.0])
SEEDS = st.integers(0, 10_000)
few = settings(deadline=None, max_examples=25)


def enumerated(change: np.ndarray) -> float:
    """Two-sided probability of the signed ranks over all signs."""
    ranks = stats.rankdata(np.abs(change))
    low = min(ranks[change > 0].sum(), ranks[change < 0].sum())
    sums = [np.dot(signs, ranks) for signs in product((0, 1), repeat=len(change))]
    return min(1.0, 2 * float(np.mean(np.array(sums) <= low + 1e-9)))


BEFORE = [0.5, 0.6, 0.1, 0.6, 0.4, 0.8, 0.1, 0.1, 0.4, 0.6, 0.1, 0.8, 0.6, 0.4, 0.1, 0.3]
AFTER = [0.6, 0.7, 0.3, 0.7, 0.6, 0.6, 0.3, -0.1, 0.3, 0.7, -0.1, 0.6, 0.7, 0.2, 0.3, 0.2]


def test_ties_are_ties_whatever_the_rounding() -> None:
    before, after = np.array(BEFORE), np.array(AFTER)
    assert paired_change(before, after).p_wilcoxon == paired_change(10 * before, 10 * after).p_wilcoxon == 1.0


@few
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=11), SCALES, SHIFTS)
def test_signed_ranks_enumerate_all_signs(pairs: list[tuple[int, int]], scale: float, shift: float) -> None:
    before, after = np.array(pairs, dtype=float).T / 10
    result = paired_change(scale * (before + shift), scale * (after + shift))
    change = np.array(pairs)[:, 1] - np.array(pairs)[:, 0]
    if len(set(change)) == 1:
        assert result.reason
        return
    assert result.p_wilcoxon == pytest.approx(enumerated(change[change != 0]), rel=1e-9)
    plain = stats.ttest_rel(after, before)
    assert (result.t, result.p_t) == pytest.approx((plain.statistic, plain.pvalue), rel=1e-6, abs=1e-8)


def test_many_pairs_take_the_approximation_of_scipy() -> None:
    rng = np.random.default_rng(4)
    change = rng.integers(-5, 7, 300) / 10
    result = paired_change(np.zeros(300), change)
    plain = stats.wilcoxon(change, method="asymptotic", correction=False)
    assert (result.wilcoxon, result.p_wilcoxon) == pytest.approx((plain.statistic, plain.pvalue))


def test_a_change_that_is_the_same_but_for_rounding_is_not_tested() -> None:
    before = np.random.default_rng(0).uniform(9_000, 11_000, 50)
    result = paired_change(before, before + 100.01)
    assert np.isnan(result.t)
    assert "same amount" in result.reason


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "int32", "int64", "float16", "float32"])
@pytest.mark.parametrize("weight_kind", ["frequency", "sampling"])
def test_weights_of_every_width_give_one_result(kind: str, weight_kind: str) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(200, 2)), rng.integers(1, 9, 200)
    wide, narrow = (
        summarise(
            pa.table({"a": x[:, 0], "b": x[:, 1], "w": pa.array(w.astype(k))}),
            ["a", "b"],
            weights="w",
            weight_kind=weight_kind,
        )[()]
        for k in ("float64", kind)
    )
    np.testing.assert_array_equal(narrow.covariance(), wide.covariance())
    assert (narrow.n, narrow.weight_sum) == (wide.n, wide.weight_sum)


@pytest.mark.parametrize("kind", ["int8", "int16", "float16", "float32"])
def test_values_of_every_width_give_one_result(kind: str) -> None:
    whole = np.random.default_rng(3).integers(-100, 100, (300, 2))
    wide, narrow = (
        summarise(pd.DataFrame(whole.astype(k), columns=["a", "b"]), ["a", "b"])[()]
        for k in ("float64", kind)
    )
    np.testing.assert_array_equal(narrow.covariance(), wide.covariance())
    assert design_mean(whole[:, 0].astype(kind)).se == design_mean(whole[:, 0].astype(float)).se


def test_large_frequencies_do_not_overflow_and_sums_beyond_all_numbers_are_refused() -> None:
    table = pd.DataFrame({"a": np.arange(200.0), "w": np.full(200, 10**17)})
    assert summarise(table, ["a"], weights="w")[()].n == 200 * 10**17
    with pytest.raises(InvalidWeightError, match="sum of the weights"):
        summarise(table.assign(w=1e308), ["a"], weights="w", weight_kind="sampling")
    assert design_mean(table["a"], weights=np.full(200, 1e308)).mean == pytest.approx(99.5)
    np.testing.assert_allclose(weigh(np.ones((2, 2)), "given", given=[1e308, 1e308]).values, 0.5)


def households(seed: int = 0, n: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    frame["site"] = np.arange(n) % 6
    frame["region"] = frame["site"] % 2
    frame["y"] = frame["a"] - frame["b"] + rng.normal(size=n) + rng.normal(size=6)[frame["site"]]
    return frame


TERMS = ["a", "b", "c"]


def groups(frame: pd.DataFrame, dependent: str = "y") -> dict[tuple, Summary]:
    return summarise(frame, [*TERMS, dependent], by=["region"])


def test_a_perfect_fit_has_no_test() -> None:
    one = households(n=60).assign(index=lambda d: d[TERMS].mean(axis=1))
    frame = pd.concat([one.assign(region=r) for r in range(3)])
    summaries = groups(frame, "index")
    with pytest.raises(BelowRoundingError, match="perfectly"):
        chow_test(summaries, "index", TERMS)
    with pytest.raises(BelowRoundingError, match="perfectly"):
        interactions(summaries, "index", TERMS, reference=(0,))
    model = fit_ols(summaries[(0,)], "index", TERMS)
    assert model.is_perfect
    assert np.isnan([*model.t, *model.p, model.f, model.f_p]).all()
    assert model.stars == (0, 0, 0, 0)
    with pytest.raises(BelowRoundingError, match="rounding noise"):
        specification_tests(one, model)
    scores = cluster_scores(one, model, "site")
    assert np.isnan(clustered(model, scores).p).all()
    with pytest.raises(BelowRoundingError):
        joint_test([(model, scores, np.eye(4)[1:])])
    with pytest.raises(BelowRoundingError):
        wald_equality({g: fit_ols(s, "index", TERMS) for g, s in summaries.items()}, TERMS)


def test_regions_that_are_equal_differ_by_nothing() -> None:
    one = households()
    result = chow_test(groups(pd.concat([one.assign(region=r) for r in range(3)])), "y", TERMS)
    assert 0 <= result.statistic < 1e-8
    assert result.p == pytest.approx(1)


def test_a_square_that_a_model_of_lines_misses_is_certain() -> None:
    frame = households().assign(y=lambda d: d["a"] ** 2)
    model = fit_ols(summarise(frame, ["a", "y"])[()], "y", ["a"])
    result = specification_tests(frame, model)
    assert result.reset == np.inf
    assert result.reset_p == 0


@pytest.mark.parametrize("kind", ["HC1", "CR1", "CR2"])
def test_what_one_household_or_site_determines_has_no_inference(kind: str) -> None:
    frame = households()
    frame["alone"] = (
        (frame["site"] == 3) * 1.0 if kind.startswith("CR") else (np.arange(len(frame)) == 5) * 1.0
    )
    terms = [*TERMS, "alone"]
    model = fit_ols(summarise(frame, [*terms, "y"])[()], "y", terms)
    if kind == "HC1":
        result = heteroskedastic(frame, model, kind)
    else:
        scores = cluster_scores(frame, model, "site")
        result = clustered(model, scores, kind)
        wild = wild_cluster_bootstrap(model, scores, draws=99)
        assert np.isnan(wild.p).tolist() == [False] * 4 + [True]
        with pytest.raises(BelowRoundingError, match="alone"):
            joint_test([(model, scores, np.eye(5)[3:])])
    assert result.lone == ("alone",)
    assert np.isnan([result.se[-1], result.p[-1], result.ci_low[-1], result.f]).all()
    assert (result.p[:-1] < 1).all()
    assert result.stars[-1] == 0


def test_what_one_household_determines_but_for_rounding_has_no_inference() -> None:
    """A value so far from all others that its leverage is 1 less a hundred millionth: HC1 made that t = 1e9."""
    frame = households().assign(far=lambda d: np.where(d.index == 5, 1e6, d["c"].to_numpy()))
    terms = ["a", "b", "far"]
    model = fit_ols(summarise(frame, [*terms, "y"])[()], "y", terms)
    left = 1 - np.einsum(
        "ij,ij->i", *(np.linalg.qr(np.column_stack([np.ones(90), frame[terms]]))[0] for _ in range(2))
    )
    assert 0 < left[5] < 1e-8
    fitted = heteroskedastic(frame, model, "HC1")
    assert fitted.lone == ("far",)
    assert np.isnan(fitted.p[-1])
    assert np.isfinite(fitted.p[:-1]).all()
    with pytest.raises(InvalidOptionError, match="HC3"):
        heteroskedastic(frame, model, "HC3")


def test_one_study_far_more_precise_than_the_others() -> None:
    expected = random_effects([0.3, 0.9, -0.3], [1e-5, 0.1, 0.1]).tau2
    for s in (7e-10, 1e-12, 1e-15):
        result = random_effects([0.3, 0.9, -0.3], [s, 0.1, 0.1])
        assert result.tau2 == pytest.approx(0.175, rel=1e-6)
        assert result.tau2 == pytest.approx(expected, rel=1e-6)
    with pytest.raises(BelowRoundingError):
        random_effects([0.3, 0.9], [1e-17, 0.1])
    identical = random_effects([0.4] * 3, [0.1, 0.2, 0.3])
    assert identical.hksj_se == identical.se
    assert identical.hksj_p > 0.01


@few
@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(0.01, 3)), min_size=2, max_size=6),
    SCALES,
    SHIFTS,
    st.randoms(),
)
def test_pooling_knows_no_unit_and_no_order(
    studies: list[tuple[float, float]], scale: float, shift: float, order
) -> None:
    mixed = order.sample(studies, len(studies))
    y, s = np.array(studies).T
    again_y, again_s = np.array(mixed).T
    actual, again = random_effects(y, s), random_effects(scale * (again_y + shift), scale * again_s)
    size = scale * (1 + abs(shift))
    assert again.estimate == pytest.approx(scale * (actual.estimate + shift), abs=1e-9 * size)
    assert (again.se, again.hksj_se) == pytest.approx((scale * actual.se, scale * actual.hksj_se), rel=1e-6)
    assert again.q == pytest.approx(actual.q, rel=1e-6, abs=1e-9)


def test_a_constant_with_blanks_has_no_correlation() -> None:
    rng = np.random.default_rng(1)
    items = np.column_stack([rng.normal(size=40), np.full(40, 0.1)])
    items[::3, 1] = np.nan
    with pytest.raises(ConstantColumnError, match="same answer"):
        correlate(items, missing="mean")


def test_a_domain_is_true_or_false() -> None:
    y = [1.0, 2.0, 3.0, 5.0]
    with pytest.raises(InvalidOptionError, match="domain"):
        design_mean(y, domain=["yes", "no", "yes", "no"])
    assert design_mean(y, domain=[1, 0, 1, 1]).n == design_mean(y, domain=[True, False, True, True]).n == 3


@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6, 1e-8])
def test_entropy_weights_of_what_hardly_varies(spread: float) -> None:
    shape = np.random.default_rng(2).uniform(-1, 1, (500, 3)) * [1, 2, 3]
    result = weigh(0.5 + spread * shape, "entropy").values
    variance = shape.var(axis=0)
    np.testing.assert_allclose(result, variance / variance.sum(), rtol=3 * spread + 1e-4)


def test_what_does_not_vary_beyond_rounding_has_no_weight() -> None:
    z = np.random.default_rng(2).uniform(0, 1, (50, 2))
    z[:, 1] = 0.3 + np.finfo(float).eps * (np.arange(50) % 2)
    np.testing.assert_array_equal(weigh(z, "critic").values, [1, 0])
    moments = Moments(50, np.full(2, 0.5), np.full(2, -0.3), np.diag([0.1, 1e-34]))
    np.testing.assert_array_equal(weigh_moments(moments, "pca"), [1, 0])
    with pytest.raises(AnalysisError, match="not estimated"):
        weigh_moments(moments, "equal")


def test_band_codes_are_whole_or_missing() -> None:
    result = transition([0.0, 1.0, np.nan, 1.0], [1.0, 1.0, 0.0, np.nan], 2)
    assert (result.n, result.n_missing, result.n_up) == (2, 2, 1)
    with pytest.raises(AnalysisError, match="whole numbers"):
        transition([0.5, 1], [1, 1], 2)
    with pytest.raises(AnalysisError, match="whole numbers"):
        transition([np.inf, 1], [1, 1], 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: design_mean([1.0, 2.0], lonely="adjust"),
        lambda: design_mean([1.0, 2.0], interval="wald"),
        lambda: design_mean([1.0, 2.0], level=95),
        lambda: unit_mean([1, 2], [1, 1], [1, 1], level=0),
        lambda: unit_mean([1, 2], [1, 1], [1, 1], interval="normal"),
        lambda: difference(design_mean([1.0, 2.0]), design_mean([1.0, 3.0]), margin=0),
        lambda: difference(design_mean([1.0, 2.0]), design_mean([1.0, 3.0], level=0.9)),
        lambda: random_effects([1, 2], [1, 1], level=1),
        lambda: paired_change([1, 2], [1, 3], level=2),
        lambda: summarise(households(), ["a"], missing="drop"),
        lambda: summarise(households(), ["a"], weight_kind="analytic"),
        lambda: fit_ols(summarise(households(), ["a", "y"])[()], "y", ["a"], unidentified="drop"),
        lambda: fit_ols(summarise(households(), ["a", "y"])[()], "y", ["a"], level=0),
        lambda: chow_test(groups(households()), "y", TERMS, free="slopes"),
        lambda: ModelDesign("y", ("a",), missing="zero"),
        lambda: alpha_interval(households()[TERMS], level=3),
        lambda: alpha_interval(households()[TERMS], n_resamples=0),
    ],
)
def test_unknown_options_are_refused(call) -> None:
    with pytest.raises(InvalidOptionError):
        call()


def unit_sums(y: np.ndarray, site: np.ndarray) -> pd.DataFrame:
    result = pd.DataFrame({"y": y, "site": site}).groupby("site")["y"]
    return result.agg(n="size", mean="mean", squares=lambda v: ((v - v.mean()) ** 2).sum())


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 5.0])
def test_the_intraclass_correlation_is_that_of_a_random_intercept(effect: float) -> None:
    rng = np.random.default_rng(5)
    site = rng.choice(9, 400, p=np.arange(1, 10) / 45)
    y = 3 + effect * rng.normal(size=9)[site] + rng.normal(size=400)
    units = unit_sums(y, site)
    result = intraclass_correlation(units["n"], units["mean"], units["squares"])
    frame = pd.DataFrame({"y": y, "site": site})
    model = smf.mixedlm("y ~ 1", frame, groups="site").fit(reml=True, method="powell")
    between = float(model.cov_re.iloc[0, 0])
    assert result == pytest.approx(between / (between + model.scale), abs=1e-5)


def test_a_correlation_needs_units_and_variation() -> None:
    with pytest.raises(TooFewClustersError):
        intraclass_correlation([5], [1.0], [2.0])
    with pytest.raises(TooFewClustersError):
        intraclass_correlation([1, 1, 1], [1.0, 2.0, 3.0], [0, 0, 0])
    with pytest.raises(BelowRoundingError):
        intraclass_correlation([4, 4], [0.1, 0.1], [0.0, 0.0])
    assert intraclass_correlation([4, 4], [0.0, 1.0], [0.0, 0.0]) == pytest.approx(1)


def by_site(frame: pd.DataFrame, region: int) -> DesignMean:
    rows = frame[frame["region"] == region]
    units = unit_sums(rows["y"].to_numpy(), rows["site"].to_numpy())
    return unit_mean(units["mean"], units["n"], units["n"])


def test_equivalence_is_that_of_statsmodels_where_every_household_is_a_unit() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(2, 60))
    result = difference(*(unit_mean(x, np.ones(60), np.ones(60)) for x in (a, b)), margin=0.5)
    compared = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    p, *_ = compared.ttost_ind(-0.5, 0.5, usevar="unequal")
    # equal numbers and nearly equal variances: both counts of degrees of freedom are 118
    assert (result.equivalence_p, result.p) == pytest.approx(
        (p, compared.ttest_ind(usevar="unequal")[1]), rel=1e-2
    )
    assert result.df == pytest.approx(118)


def test_means_without_error_are_not_compared() -> None:
    flat = unit_mean([0.1, 0.1, 0.1], [5, 6, 7], [5, 6, 7])
    assert flat.se == 0
    with pytest.raises(BelowRoundingError):
        difference(flat, unit_mean([0.3, 0.3], [5, 6], [5, 6]))
    with pytest.raises(TooFewClustersError):
        unit_mean([1.0, 2.0], [3, 0], [3, 3])


@settings(deadline=None, max_examples=6)
@given(SCALES, SHIFTS, SEEDS)
def test_neither_unit_of_measurement_nor_order_of_rows_matters(scale: float, shift: float, seed: int) -> None:
    """Every t, F, p, correlation and share stays; estimates change with their unit."""
    frame = households(seed % 7)
    moved = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    moved["y"] = scale * (moved["y"] + shift)
    both = (frame, moved)

    def same(*values: object, rtol: float = 1e-6) -> None:
        first, second = values
        np.testing.assert_allclose(second, first, rtol=rtol, atol=1e-9)

    models = [fit_ols(summarise(d, [*TERMS, "y"])[()], "y", TERMS) for d in both]
    same(*(m.t[1:] for m in models))
    same(*(m.beta[1:] for m in models))
    same(*((m.r2, m.f) for m in models))
    same(scale * models[0].b[1:], models[1].b[1:])
    scores = [cluster_scores(d, m, "site") for d, m in zip(both, models, strict=True)]
    for kind in ("CR1", "CR2"):
        same(*(clustered(m, s, kind).t[1:] for m, s in zip(models, scores, strict=True)))
    same(*(clustered(m, s).df for m, s in zip(models, scores, strict=True)))
    for kind in ("HC1", "HC3"):
        same(*(heteroskedastic(d, m, kind).t[1:] for d, m in zip(both, models, strict=True)))
    same(*(joint_test([(m, s, np.eye(4)[1:])]).p for m, s in zip(models, scores, strict=True)))
    same(*(wild_cluster_bootstrap(m, s, draws=99).p[1:] for m, s in zip(models, scores, strict=True)))
    tests = [specification_tests(d, m) for d, m in zip(both, models, strict=True)]
    same(*((t.breusch_pagan_p, t.reset_p) for t in tests), rtol=1e-5)
    same(*(chow_test(groups(d), "y", TERMS).p for d in both))
    same(*(interactions(groups(d), "y", TERMS, reference=(0,))[0].p[1:] for d in both))
    gaps = [oaxaca_blinder(*groups(d).values(), "y", TERMS) for d in both]
    same(scale * gaps[0].explained, gaps[1].explained, rtol=1e-5)
    same(*(design_mean(d["y"], units=d["site"]).design_effect for d in both))
    same(
        scale * design_mean(frame["y"], units=frame["site"]).se,
        design_mean(moved["y"], units=moved["site"]).se,
    )
    same(*(difference(by_site(d, 0), by_site(d, 1)).p for d in both))
    sums = [unit_sums(d["y"].to_numpy(), d["site"].to_numpy()) for d in both]
    correlations = [intraclass_correlation(s["n"], s["mean"], s["squares"]) for s in sums]
    assert correlations[1] == pytest.approx(correlations[0], abs=1e-6)
    same(*(np.linalg.eigvalsh(correlate(d[[*TERMS, "y"]]).r) for d in both))
    items = [d[TERMS] * scale + shift if d is moved else d[TERMS] for d in both]
    same(*(cronbach_alpha(np.cov(i, rowvar=False)).raw for i in items), rtol=1e-5)
    same(*(summarise(d, [*TERMS, "y"])[()].correlation() for d in both))


@settings(deadline=None, max_examples=3)
@given(SCALES, SHIFTS, SEEDS)
def test_neither_unit_nor_order_matters_to_scales_and_transitions(
    scale: float, shift: float, seed: int
) -> None:
    """Fit, latent means, omega and polychoric correlations; transitions and tests of a change; ranks of regions."""
    rng = np.random.default_rng(11)
    order = np.random.default_rng(seed).permutation
    latent = rng.normal(size=(2, 150))
    items = {
        g: np.clip(np.round(3 + x[:, None] + rng.normal(size=(150, 4))), 1, 5)
        for g, x in zip("ab", latent, strict=True)
    }
    moved = {g: scale * (x[order(150)] + shift) for g, x in items.items()}
    for level in ("metric", "scalar"):
        one, two = (measurement(d, [0] * 4, level) for d in (items, moved))
        for name in ("chi2", "df", "cfi", "rmsea"):
            assert getattr(two, name) == pytest.approx(getattr(one, name), rel=1e-5, abs=1e-7), name
        np.testing.assert_allclose(two.factor_means, one.factor_means, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(omega(two, [0] * 4)[0], omega(one, [0] * 4)[0], rtol=1e-5)
    ordered = [polychoric(d["a"]) for d in (items, moved)]
    np.testing.assert_allclose(ordered[1].r, ordered[0].r, atol=1e-9)
    before, after = items["a"][:, 0], items["a"][:, 1]
    mixed = order(150)
    np.testing.assert_array_equal(
        transition(before[mixed], after[mixed], 6).counts, transition(before, after, 6).counts
    )
    one, two = (
        paired_change(before, after),
        paired_change(*(scale * (x[mixed] + shift) for x in (before, after))),
    )
    assert (two.t, two.p_t, two.p_wilcoxon) == pytest.approx((one.t, one.p_t, one.p_wilcoxon), rel=1e-7)
    values = rng.normal(size=(5, 3))
    ranks = [rank_sensitivity(v).ranks for v in (values, scale * (values + shift))]
    np.testing.assert_array_equal(*ranks)
