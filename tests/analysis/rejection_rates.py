"""How often tests between equal regions reject, and intervals cover, when households of a site resemble each other.

Two regions are drawn from one population: random site effects, regressors that differ between sites too, errors that
are normal, skewed, heavy in the tails, or answers of 0 and 1. For tests of coefficients regressors are kept for a block
of draws, and what is refused for their design is refused for the block.
Belongs here: the draws, the published tests and those of independent households beside them, and the printed table
(`make rejection-rates`). Models of one region, of panels and of outcomes with bounds, are drawn with coefficients of
nought. Does not belong here: a formula; the tests and their levels are those of `analysis`.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular
from scipy.special import logit
from threadpoolctl import threadpool_limits

from analysis.arrays import FloatArray, IntArray
from analysis.comparison import chow_test, wald_equality
from analysis.errors import AnalysisError
from analysis.inequality import gini
from analysis.inference import (
    ClusterScores,
    Part,
    SecondPass,
    cluster_directions,
    heteroskedastic,
    joint_test,
)
from analysis.levels import (
    levels_of_difference,
    refusal,
    refusal_of_interval,
    refusal_of_joint_test,
    refusal_of_share,
)
from analysis.limited_outcomes import limited_outcome
from analysis.panel_models import fixed_effects
from analysis.regression import Regression, fit_ols
from analysis.summary import Summary, triangular_factor
from analysis.survey_design import Interval, degrees_of_freedom, difference, unit_mean
from relocation_warehouse.results.sampling import too_few_degrees
from relocation_warehouse.survey.catalog import load_catalog

GATES = load_catalog(Path(__file__).parents[2] / "data" / "catalog").gates
"""When the comparison of regions refuses a test."""

BLOCK = 250
"""Draws that share regressors."""

MODEL_BLOCK = 50
"""The same of models of one region, each of which is a search."""

TERMS = ("x1", "x2", "x3", "x4", "x5")
CORRELATIONS = (0.0, 0.02, 0.05, 0.10, 0.20)
WEIGHTED = "normal, informative weights"
KINDS = ("normal", "skewed", "heavy tails", "zero or one", WEIGHTED)
"""How answers vary: the first with every correlation, the others with some. Informative weights are larger where the
answer is, of households and of sites; models are fitted without weights, so they hold for means alone."""

OLD_SIZES = {
    "2 and 7 sites of 100 and 60": ([100] * 2, [60] * 7),
    "3 and 5 unequal sites": ([30, 80, 150], [20, 40, 60, 120, 200]),
    "5 and 7 sites of 80 and 60": ([80] * 5, [60] * 7),
    "5 and 7 unequal sites": ([20, 40, 60, 120, 200], [15, 30, 40, 60, 80, 120, 200]),
    "12 and 15 unequal sites": ([15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 120], [10, 20, 30] * 5),
}
"""The gates of earlier editions were chosen on these."""

NEW_SIZES = {
    "3 and 4 sites of 50": ([50] * 3, [50] * 4),
    "4 and 9 sites of 25 to 250": ([25, 60, 110, 250], [12, 35, 35, 50, 70, 90, 90, 140, 210]),
    "6 and 8 sites, one large": ([30] * 5 + [400], [30] * 7 + [300]),
    "20 and 10 sites of 8 to 90": ([8, 14, 22, 35, 90] * 4, [25] * 6 + [70] * 4),
}
SIZES = {**OLD_SIZES, **NEW_SIZES}

SHARES = (0.02, 0.05, 0.10, 0.20, 0.35, 0.50)
SPREADS = (0.3, 0.85, 1.1)
"""Standard deviations of the log of an amount; of the last the Gini coefficient is .56."""

MODEL_SIZES = {
    "5 sites of 80": [80] * 5,
    "7 unequal sites": [15, 30, 40, 60, 80, 120, 200],
    "12 unequal sites": [15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 120],
    "40 sites of 25": [25] * 40,
    "4 sites of 120": [120] * 4,
    "9 sites of 12 to 210": [12, 35, 35, 50, 70, 90, 90, 140, 210],
    "16 sites, two large": [20] * 14 + [150] * 2,
    "60 sites of 5 to 60": [5, 10, 15, 20, 40, 60] * 10,
    "80 sites of 25": [25] * 80,
    "120 sites of 5 to 60": [5, 10, 15, 20, 40, 60] * 20,
}
"""The first four are those that earlier gates were chosen on."""

Parts = list[Part]
Told = Iterator[tuple[str, float, bool]]
"""Name of a test, its p (of an interval: 0 where it misses), and whether it is refused for its design."""


@dataclass(frozen=True)
class Region:
    """Households of a region: site of each, regressors, answer and weight."""

    site: IntArray
    x: FloatArray
    y: FloatArray
    weight: FloatArray

    @property
    def units(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Mean, weight and size of each site."""
        weight = np.bincount(self.site, self.weight).astype(np.float64)
        return np.bincount(self.site, self.weight * self.y) / weight, weight, np.bincount(self.site)

    @property
    def summary(self) -> Summary:
        r = triangular_factor(np.column_stack([np.ones(len(self.y)), self.x, self.y]))
        return Summary((*TERMS, "y"), len(self.y), float(len(self.y)), r)

    def fitted(self) -> tuple[Regression, ClusterScores, SecondPass]:
        """Model, scores of its sites and HC1, from rows in memory."""
        model = fit_ols(self.summary, "y", TERMS)
        x = np.column_stack([np.ones(len(self.y)), self.x])
        q = solve_triangular(model.factor, x.T, trans="T").T
        e = self.y - x @ model.b
        sites = np.unique(self.site)
        inside = [self.site == site for site in sites]
        scores = ClusterScores(
            "site",
            tuple(sites),
            np.array([q[rows].T @ q[rows] for rows in inside]),
            np.array([q[rows].T @ e[rows] for rows in inside]),
        )
        return model, scores, SecondPass((q * e[:, None] ** 2).T @ q, np.empty(0), False)


def sites_of(sizes: list[int]) -> IntArray:
    return np.repeat(np.arange(len(sizes)), sizes)


def varied(rng: np.random.Generator, site: IntArray, share: float, *, heavy: bool = False) -> FloatArray:
    """Values of variance 1 of which a share lies between sites; heavy ones are of Student's t with 3 degrees."""

    def drawn(size: int) -> FloatArray:
        return rng.standard_t(3, size) / np.sqrt(3) if heavy else rng.normal(size=size)

    between = drawn(int(site.max()) + 1)[site]
    values: FloatArray = np.sqrt(share) * between + np.sqrt(1 - share) * drawn(len(site))
    return values


def regressors(rng: np.random.Generator, sizes: list[int]) -> Region:
    """Households without an answer."""
    site = sites_of(sizes)
    x = np.column_stack([varied(rng, site, share) for share in (0.0, 0.05, 0.05, 0.1, 0.2)])
    x[:, 0], x[:, 1] = x[:, 0] > 0.5, x[:, 1] > -0.3
    return Region(site, x, np.zeros(len(site)), np.ones(len(site)))


def answered(rng: np.random.Generator, of: Region, correlation: float, kind: str = "normal") -> Region:
    """The same households with answers."""
    latent = of.x @ [0.3, 0.2, 0.2, 0.1, 0.0]
    latent = latent + varied(rng, of.site, correlation, heavy=kind == "heavy tails")
    made = {"skewed": np.exp(0.8 * latent), "zero or one": (latent > 1.2).astype(float)}
    weight = np.exp(0.4 * latent) if kind == WEIGHTED else of.weight
    return replace(of, y=made.get(kind, latent), weight=weight)


def contrasts() -> dict[str, FloatArray]:
    chosen = np.eye(len(TERMS) + 1)
    single = {f"slope {t}": chosen[[k]] for k, t in enumerate(TERMS, start=1)}
    return {**single, "slopes": chosen[1:], "all coefficients": chosen}


def refused_contrasts(parts: dict[str, Parts]) -> dict[str, bool]:
    """Which tests of coefficients the design of two regions does not allow."""
    result = {}
    for name, own in parts.items():
        try:
            test = joint_test(own)
        except AnalysisError:
            result[name] = True
            continue
        df = test.df_denominator
        few = min(len(scores.clusters) for _, scores, _ in own) < GATES.fewest_test_units
        result[name] = few or bool(too_few_degrees(df, GATES) or refusal_of_joint_test(own, test))
    return result


def households_alone(a: Region, b: Region) -> Told:
    """Tests of two regions that count households as independent."""
    (model_a, _, rows_a), (model_b, _, rows_b) = a.fitted(), b.fitted()
    yield "households: Welch", float(stats.ttest_ind(a.y, b.y, equal_var=False).pvalue), False
    yield "households: Chow", chow_test({"a": a.summary, "b": b.summary}, "y", TERMS).p, False
    robust = {"a": heteroskedastic(rows_a, model_a, "HC1"), "b": heteroskedastic(rows_b, model_b, "HC1")}
    yield "households: Wald HC1 of slopes", wald_equality(robust, TERMS).p, False
    for each in (a, b):
        n = len(each.y)
        half = stats.t.ppf(0.975, n - 1) * each.y.std(ddof=1) / np.sqrt(n)
        yield "households: interval of a mean misses", float(abs(each.y.mean() - TRUTH) <= half), False


def means_by_units(a: Region, b: Region, truth: float, interval: Interval = "t") -> Told:
    """The difference of two means, and whether the interval of each misses the true mean."""
    means = [unit_mean(*each.units, interval=interval) for each in (a, b)]
    compared = difference(means[0], means[1])
    too_few = min(each.n_units for each in means) < GATES.fewest_test_units
    refused = too_few or bool(refusal(levels_of_difference(means[0], means[1]), compared.df))
    yield "units: difference of means", compared.p, refused
    for result in means:
        inside = result.ci_low <= truth <= result.ci_high
        is_refused = bool(refusal_of_interval(result))
        yield "units: interval of a mean misses", float(inside), is_refused


def means_at_once(pairs: list[tuple[Region, Region]], truth: float, interval: Interval = "t") -> Told:
    """What `means_by_units` tells of many pairs of the same sizes, whose tests differ in the means of units alone.

    The first is held against it.
    """
    told = list(means_by_units(*pairs[0], truth, interval))
    refused = [each[2] for each in told]
    means, squares, halves, single = [], [], [], []
    for side in (0, 1):
        *_, weight, n = pairs[0][side].units
        share = weight / weight.sum()
        y = np.array([pair[side].units[0] for pair in pairs])
        single.append(unit_mean(y[0], weight, n))
        means.append(y @ share)
        squares.append((y - means[-1][:, None]) ** 2 @ (share**2 / (1 - share)))
        halves.append(stats.t.isf(0.025, single[-1].df) * np.sqrt(squares[-1]))
    se = np.sqrt(squares[0] + squares[1])
    varies = se > 0
    t = np.abs(means[0] - means[1])[varies] / se[varies]
    p = 2 * stats.t.sf(t, degrees_of_freedom(single[0], single[1]))
    assert abs(p[0] - told[0][1]) < 1e-9
    yield from ((told[0][0], float(each), refused[0]) for each in p)
    for mean, half, own in zip(means, halves, told[1:], strict=True):
        missed = np.abs(np.log(mean / truth)) * mean if interval == "log" else np.abs(mean - truth)
        inside = (missed <= half).astype(float)
        assert inside[0] == own[1]
        yield from ((own[0], float(each), own[2]) for each in inside)


def coefficients_by_units(
    parts: dict[str, Parts], refused: dict[str, bool], answers: list[FloatArray], designs: list[Region]
) -> Told:
    """Joint tests of many sets of answers of the same households, shape (n, draws), at once.

    The first is held against the published test.
    """
    for name, own in parts.items():
        try:
            test = joint_test(own)
        except AnalysisError:
            continue
        q, freedom, draws = test.df_numerator, test.df_denominator, answers[0].shape[1]
        estimate, covariance = np.zeros((draws, q)), np.zeros((draws, q, q))
        for (model, scores, rows), y, of in zip(own, answers, designs, strict=True):
            x = np.column_stack([np.ones(len(of.x)), of.x])
            orthonormal = solve_triangular(model.factor, x.T, trans="T").T
            by_site = np.array([orthonormal[of.site == g].T @ y[of.site == g] for g in scores.clusters])
            total = by_site.sum(axis=0)
            directions, v, u = cluster_directions(model, scores, rows)
            estimate += total.T @ directions
            taken = np.einsum("gkn,gkq->ngq", by_site, v) - np.einsum("kn,gkq->ngq", total, u)
            covariance += np.swapaxes(taken, 1, 2) @ taken
        wald = np.einsum("nq,nq->n", estimate, np.linalg.solve(covariance, estimate[..., None])[..., 0])
        p = stats.f.sf(freedom / ((freedom + q - 1) * q) * wald, q, freedom)
        np.testing.assert_allclose(p[0], test.p, rtol=1e-6, atol=1e-12)
        yield from ((f"units: {name}", float(each), refused[name]) for each in p)


def true_mean(kind: str) -> float:
    """Of the answers, over all sites that there could be; found from many households of their own sites."""
    rng = np.random.default_rng(0)
    many = regressors(rng, [1] * 2_000_000)
    them = answered(rng, many, 0.0, kind)
    return float(them.weight @ them.y / them.weight.sum())


TRUTH = 0.3 * stats.norm.sf(0.5) + 0.2 * stats.norm.sf(-0.3)
"""Mean of normal answers."""


@dataclass(frozen=True)
class Pair:
    """Two regions without answers, the tests of their coefficients, and which of these their design does not allow."""

    designs: tuple[Region, Region]
    parts: dict[str, Parts]
    refused: dict[str, bool]

    @classmethod
    def of(cls, rng: np.random.Generator, sizes: tuple[list[int], list[int]]) -> Pair:
        first, second = (regressors(rng, own) for own in sizes)
        a, b = (answered(rng, each, 0.0).fitted()[:2] for each in (first, second))
        parts = {name: [(*a, -rows), (*b, rows)] for name, rows in contrasts().items()}
        return cls((first, second), parts, refused_contrasts(parts))


def region_block(
    rng: np.random.Generator,
    pair: Pair,
    correlation: float,
    kind: str = "normal",
    truth: float = TRUTH,
    *,
    draws: int = BLOCK,
    beside: int = 10,
) -> Told:
    """Tests of two equal regions in draws that share regressors; those of households in some of the draws."""
    sizes = [np.bincount(each.site).tolist() for each in pair.designs]
    # regressors that stay would give two regions means of their own
    drawn = []
    for _ in range(draws):
        a, b = (answered(rng, regressors(rng, own), correlation, kind) for own in sizes)
        drawn.append((a, b))
    for a, b in drawn[:beside] if kind == "normal" else ():
        yield from households_alone(a, b)
    if kind == WEIGHTED:
        for a, b in drawn:
            yield from means_by_units(a, b, truth)
        return
    # where nobody has a rare answer there is nothing to test
    varied_pairs = [(a, b) for a, b in drawn if np.ptp(a.y) + np.ptp(b.y) > 0]
    # amounts have intervals on the log scale
    yield from means_at_once(varied_pairs, truth, "log" if kind == "skewed" else "t")
    answers = [
        np.column_stack([answered(rng, each, correlation, kind).y for _ in range(draws)])
        for each in pair.designs
    ]
    fits = [replace(each, y=own[:, 0]).fitted()[:2] for each, own in zip(pair.designs, answers, strict=True)]
    parts = {
        name: [(*fit, rows) for fit, (*_, rows) in zip(fits, own, strict=True)]
        for name, own in pair.parts.items()
    }
    yield from coefficients_by_units(parts, pair.refused, answers, list(pair.designs))


def share_block(
    rng: np.random.Generator,
    sizes: tuple[list[int], list[int]],
    share: float,
    correlation: float,
    *,
    is_beta: bool = False,
    draws: int = BLOCK,
) -> Told:
    """Logit intervals of a share in two equal regions, and the test of their difference, of many draws at once.

    The first draw is held against the published functions. A household has it where its latent answer lies beyond a
    bound, and latent answers of a site correlate; or shares of sites are of a beta distribution, under which the
    answers themselves correlate by so much, so that a rare one is some nought in most sites and large in a few.
    """
    threshold, known = stats.norm.isf(share), []
    for own in sizes:
        n = np.array(own)
        if is_beta:
            rest = 1 / correlation - 1
            beyond = rng.beta(share * rest, (1 - share) * rest, size=(draws, len(n)))
        else:
            common = np.sqrt(correlation) * rng.normal(size=(draws, len(n)))
            beyond = stats.norm.sf((threshold - common) / np.sqrt(1 - correlation))
        known.append((n, rng.binomial(n, beyond)))
    weights = [n / n.sum() for n, _ in known]
    p = [having / n @ w for (n, having), w in zip(known, weights, strict=True)]
    square = [
        (having / n - p_[:, None]) ** 2 @ (w**2 / (1 - w))
        for (n, having), w, p_ in zip(known, weights, p, strict=True)
    ]
    varies = [(s > 0) & (p_ > 0) & (p_ < 1) for s, p_ in zip(square, p, strict=True)]
    rare = [np.array([refusal_of_share(own, n) is not None for own in having]) for n, having in known]
    single = [unit_mean((np.arange(len(n)) + 0.5) / len(n), n, n, interval="logit") for n, _ in known]
    for side, mean in enumerate(single):
        by_design = refusal_of_interval(mean) is not None
        usable = varies[side]
        near = p[side][usable]
        half = stats.t.isf(0.025, mean.df) * np.sqrt(square[side][usable]) / (near * (1 - near))
        inside = np.abs(logit(near) - logit(share)) <= half
        yield from (
            ("share: outside its interval", float(each), bool(by_design or is_refused))
            for each, is_refused in zip(inside, rare[side][usable], strict=True)
        )
    n, having = known[0]
    if varies[0][0]:
        published = unit_mean(having[0] / n, n, n, interval="logit")
        half = stats.t.isf(0.025, single[0].df) * np.sqrt(square[0][0]) / (p[0][0] * (1 - p[0][0]))
        assert abs(logit(published.ci_high) - logit(p[0][0]) - half) < 1e-6
    df = degrees_of_freedom(single[0], single[1])
    few = min(map(len, sizes)) < GATES.fewest_test_units
    by_design = few or refusal(levels_of_difference(single[0], single[1]), df) is not None
    se = np.sqrt(square[0] + square[1])
    usable = se > 0
    values = 2 * stats.t.sf(np.abs(p[0] - p[1])[usable] / se[usable], df)
    yield from (
        ("share: difference", float(each), bool(by_design or is_refused))
        for each, is_refused in zip(values, (rare[0] | rare[1])[usable], strict=True)
    )


def amount_block(
    rng: np.random.Generator, sizes: list[int], spread: float, correlation: float, *, draws: int = BLOCK
) -> Told:
    """Intervals of the mean of a lognormal amount, whose logs correlate within sites."""
    site, n, truth = sites_of(sizes), np.array(sizes), np.exp(spread**2 / 2)
    for _ in range(draws):
        y = np.exp(spread * varied(rng, site, correlation))
        mean = unit_mean(np.bincount(site, y) / n, n, n, interval="log")
        inside = float(mean.ci_low <= truth <= mean.ci_high)
        yield "amount: outside its interval", inside, bool(refusal_of_interval(mean))


def model_block(
    rng: np.random.Generator, sizes: list[int], correlation: float, *, draws: int = MODEL_BLOCK
) -> Told:
    """Tests of models of one region, and intervals that miss, in draws that share regressors."""
    site = sites_of(sizes)
    x = np.column_stack(
        [varied(rng, site, 0.0), varied(rng, site, 0.1), (varied(rng, site, 0.2) > 0).astype(float)]
    )
    refused: dict[str, bool] = {}
    for _ in range(draws):
        yield from models_of_one_region(rng, site, x, correlation, refused)


def models_of_one_region(
    rng: np.random.Generator, site: IntArray, x: FloatArray, correlation: float, refused: dict[str, bool]
) -> Told:
    """One draw; what the design refuses is found in the first and kept in `refused`."""
    terms = ["x1", "x2", "x3"]
    latent = varied(rng, site, correlation)
    made = {
        "fractional": (stats.norm.cdf(latent - 0.3), "fractional"),
        "binary": ((latent > 1).astype(float), "fractional"),
        "ordered": (np.digitize(latent, [-1.2, -0.4, 0.3, 1]), "ordered"),
    }
    for name, (y, family) in made.items():
        try:
            result = limited_outcome(y, x, terms, site, family=family)
        except AnalysisError:
            continue
        fit = result.model
        for k, term in enumerate(terms):
            place = fit.terms.index(term)
            test, effect = f"{name}: {term}", f"{name}: effect of {term} outside its interval"
            if test not in refused:
                df, of_effect = float(fit.df[place]), float(result.effect_df[k, 0])
                refused[test] = bool(too_few_degrees(df, GATES) or refusal(result.levels(term), df))
                refused[effect] = refused[test] or bool(refusal(result.levels(term, 0), of_effect))
            yield test, float(fit.p[place]), refused[test]
            inside = float(result.effect_low[k, 0] <= 0 <= result.effect_high[k, 0])
            yield effect, inside, refused[effect]
    n, amount = np.bincount(site), gini(np.exp(0.8 * latent))
    mean = unit_mean(np.bincount(site, amount.linearised) / n, n, n)
    inside = float(mean.ci_low <= 2 * stats.norm.cdf(0.8 / np.sqrt(2)) - 1 <= mean.ci_high)
    few = n.sum() ** 2 / (n @ n) < GATES.fewest_index_units
    yield "Gini: outside its interval", inside, few or bool(refusal_of_interval(mean))
    yield from panel_p_values(rng, site, latent, correlation, refused)


def panel_p_values(
    rng: np.random.Generator, site: IntArray, latent: FloatArray, correlation: float, refused: dict[str, bool]
) -> Told:
    """Tests of the change of one region, whose regressors change too."""
    household, wave = np.tile(np.arange(len(site)), 2), np.repeat([0, 1], len(site))
    moved = np.column_stack([varied(np.random.default_rng(len(site)), site, share) for share in (0.1, 0.2)])
    changed = np.concatenate([np.zeros((len(site), 2)), moved])
    y = np.concatenate([latent, latent + varied(rng, site, correlation)])
    panel = fixed_effects(y, changed, ["x1", "x2"], household, wave, np.tile(site, 2), draws=499)
    for k, term in enumerate(panel.model.terms):
        df, test = float(panel.model.df[k]), f"panel, CR2: {term}"
        if test not in refused:
            refused[test] = bool(too_few_degrees(df, GATES) or refusal(panel.levels(term), df))
        yield test, float(panel.model.p[k]), refused[test]
        if panel.wild:
            few = panel.n_clusters < GATES.fewest_bootstrap_units
            yield f"panel, wild bootstrap: {term}", float(panel.wild.p[k]), refused[test] or few


@dataclass
class Count:
    """Draws of a test, those in which it was refused, and rejections of all and of those that were not."""

    draws: int = 0
    refused: int = 0
    rejected: int = 0
    rejected_told: int = 0

    def add(self, p: float, is_refused: bool) -> None:
        rejects = int(p < 0.05)
        self.draws += 1
        self.refused += int(is_refused)
        self.rejected += rejects
        self.rejected_told += 0 if is_refused else rejects

    @property
    def rate(self) -> float:
        """Share of rejections where the test is told; NaN where it is refused in more than half of the draws."""
        told = self.draws - self.refused
        return np.nan if 2 * self.refused > self.draws else self.rejected_told / told


def counted(told: Told) -> dict[str, Count]:
    result: defaultdict[str, Count] = defaultdict(Count)
    # On matrices this small more BLAS threads only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        for name, p, is_refused in told:
            if not np.isnan(p):
                result[name].add(p, is_refused)
    return result


def model_rates(draws: int, sizes: list[int], correlation: float, seed: int) -> dict[str, float]:
    """Share of draws in which a test of a model of one region rejects at 5 percent; NaN where mostly refused."""
    rng = np.random.default_rng(seed)
    told = model_block(rng, sizes, correlation, draws=draws)
    return {name: each.rate for name, each in counted(told).items()}


def campaign(draws: int, path: Path, what: str) -> None:
    """Add a block of every case after the other to a file, so that it can be read, or stopped, at any time."""
    some = (0.0, 0.05, 0.20)
    with path.open("a", newline="") as file:
        rows = csv.writer(file)
        if what in ("all", "regions"):
            truths = {kind: true_mean(kind) for kind in KINDS}
            cells = [
                (case, kind, r)
                for kind in KINDS
                for case in SIZES
                for r in (CORRELATIONS if kind == "normal" else some)
            ]
            for block in range(draws // BLOCK):
                pairs = {
                    case: Pair.of(np.random.default_rng([1, block, k]), own)
                    for k, (case, own) in enumerate(SIZES.items())
                }
                for place, (case, kind, r) in enumerate(cells):
                    rng = np.random.default_rng([2, block, place])
                    _keep(rows, case, kind, r, counted(region_block(rng, pairs[case], r, kind, truths[kind])))
                    file.flush()
        if what in ("all", "shares"):
            for place, (case, share, r) in enumerate(product(SIZES, SHARES, CORRELATIONS)):
                told = share_block(np.random.default_rng([4, place]), SIZES[case], share, r, draws=draws)
                _keep(rows, case, f"share {share:g}", r, counted(told))
                file.flush()
            cells_of_beta = product(SIZES, SHARES, (0.05, 0.10, 0.20))
            for place, (case, share, r) in enumerate(cells_of_beta):
                rng = np.random.default_rng([5, place])
                told = share_block(rng, SIZES[case], share, r, is_beta=True, draws=draws)
                _keep(rows, case, f"beta share {share:g}", r, counted(told))
                file.flush()
        if what in ("all", "amounts"):
            sets = dict.fromkeys(tuple(own) for two in SIZES.values() for own in two)
            for place, (own, spread, r) in enumerate(product(sets, SPREADS, some)):
                told = amount_block(np.random.default_rng([6, place]), [*own], spread, r, draws=draws)
                _keep(rows, str(own), f"log sd {spread:g}", r, counted(told))
                file.flush()
        if what in ("all", "models"):
            for block in range(draws // MODEL_BLOCK):
                for place, (case, r) in enumerate(product(MODEL_SIZES, some)):
                    rng = np.random.default_rng([3, block, place])
                    _keep(rows, case, "models", r, counted(model_block(rng, MODEL_SIZES[case], r)))
                    file.flush()


def _keep(rows: Any, case: str, kind: str, r: float, result: dict[str, Count]) -> None:
    for name, each in result.items():
        rows.writerow([case, kind, r, name, each.draws, each.refused, each.rejected, each.rejected_told])


def tables(path: Path) -> None:
    """Print a row for every test and a column for every correlation: rejections of 100; in brackets where refused."""
    cells: defaultdict[tuple[str, str], dict[str, dict[float, Count]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    with path.open(newline="") as file:
        for case, kind, correlation, name, *numbers in csv.reader(file):
            sums = cells[case, kind][name].setdefault(float(correlation), Count())
            for field, number in zip(("draws", "refused", "rejected", "rejected_told"), numbers, strict=True):
                setattr(sums, field, getattr(sums, field) + int(number))
    for (case, kind), result in cells.items():
        columns = sorted({r for by_r in result.values() for r in by_r})
        draws = max(each.draws for by_r in result.values() for each in by_r.values())
        print(f"| {case}, {kind}, {draws} draws | {' | '.join(f'{r:g}' for r in columns)} |")
        print(f"|---|{'--:|' * len(columns)}")
        for name, by_r in result.items():
            shown = []
            for r in columns:
                each = by_r[r]
                raw = f"{100 * each.rejected / each.draws:.1f}"
                shown.append(f"({raw})" if np.isnan(each.rate) else f"{100 * each.rate:.1f}")
            print(f"| {name} | {' | '.join(shown)} |")
        print(flush=True)


if __name__ == "__main__":
    number, file, part = (*sys.argv[1:], *("5000", "rejection_rates.csv", "all")[len(sys.argv) - 1 :])
    if number != "tables":
        campaign(int(number), Path(file), part)
    tables(Path(file))
