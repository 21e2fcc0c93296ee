"""How often tests between equal regions reject, and intervals cover, when households of a site resemble each other.

Two regions are drawn from one population: random site effects, regressors that differ between sites too, normal errors.
Belongs here: the draws, the published tests and those of independent households beside them, and the printed table
(`make rejection-rates`, 5000 draws a case). Models of one region, of panels and of outcomes with bounds, are drawn
with coefficients of nought. Does not belong here: a formula; the tests are those of `analysis`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from analysis.comparison import chow_test, wald_equality
from analysis.errors import AnalysisError
from analysis.inequality import gini
from analysis.inference import ClusterScores, SecondPass, heteroskedastic, joint_test
from analysis.limited_outcomes import limited_outcome
from analysis.panel_models import fixed_effects
from analysis.regression import Regression, fit_ols
from analysis.summary import Summary, triangular_factor
from analysis.survey_design import design_mean, difference, unit_mean
from relocation_warehouse.survey.catalog import load_catalog

GATES = load_catalog(Path(__file__).parents[2] / "data" / "catalog").gates
"""When the comparison of regions refuses a test."""

TERMS = ("x1", "x2", "x3", "x4", "x5")
CORRELATIONS = (0.0, 0.02, 0.05, 0.10, 0.20)
SIZES = {
    "2 and 7 sites of 100 and 60": ([100] * 2, [60] * 7),
    "3 and 5 unequal sites": ([30, 80, 150], [20, 40, 60, 120, 200]),
    "5 and 7 sites of 80 and 60": ([80] * 5, [60] * 7),
    "5 and 7 unequal sites": ([20, 40, 60, 120, 200], [15, 30, 40, 60, 80, 120, 200]),
    "12 and 15 unequal sites": ([15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 120], [10, 20, 30] * 5),
}

MODEL_SIZES = {
    "5 sites of 80": [80] * 5,
    "7 unequal sites": [15, 30, 40, 60, 80, 120, 200],
    "12 unequal sites": [15, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 120],
    "40 sites of 25": [25] * 40,
}


@dataclass(frozen=True)
class Region:
    """Households of a region: site of each, regressors and answer."""

    site: np.ndarray
    x: np.ndarray
    y: np.ndarray

    @property
    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and size of each site."""
        n = np.bincount(self.site)
        return np.bincount(self.site, self.y) / n, n

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


def region(rng: np.random.Generator, sizes: list[int], correlation: float) -> Region:
    site = np.repeat(np.arange(len(sizes)), sizes)

    def varied(share: float) -> np.ndarray:
        between = rng.normal(size=len(sizes))[site]
        return np.sqrt(share) * between + np.sqrt(1 - share) * rng.normal(size=len(site))

    x = np.column_stack([varied(share) for share in (0.0, 0.05, 0.05, 0.1, 0.2)])
    x[:, 0], x[:, 1] = x[:, 0] > 0.5, x[:, 1] > -0.3
    return Region(site, x, x @ [0.3, 0.2, 0.2, 0.1, 0.0] + varied(correlation))


def p_values(a: Region, b: Region) -> Iterator[tuple[str, float]]:
    """Name and p of every test of two regions; NaN where it is refused."""
    yield "households: Welch", float(stats.ttest_ind(a.y, b.y, equal_var=False).pvalue)
    summaries = {"a": a.summary, "b": b.summary}
    yield "households: Chow", chow_test(summaries, "y", TERMS).p
    (model_a, scores_a, rows_a), (model_b, scores_b, rows_b) = a.fitted(), b.fitted()
    robust = {"a": heteroskedastic(rows_a, model_a, "HC1"), "b": heteroskedastic(rows_b, model_b, "HC1")}
    yield "households: Wald HC1 of slopes", wald_equality(robust, TERMS).p
    fewest = min(len(scores_a.clusters), len(scores_b.clusters))
    means = difference(unit_mean(*a.units, a.units[1]), unit_mean(*b.units, b.units[1]))
    yield "units: difference of means", means.p if fewest >= GATES.fewest_test_units else np.nan
    chosen = np.eye(len(TERMS) + 1)
    joint = {f"slope {t}": chosen[[k]] for k, t in enumerate(TERMS, start=1)}
    for name, rows in {**joint, "slopes": chosen[1:], "all coefficients": chosen}.items():
        try:
            found = joint_test([(model_a, scores_a, -rows), (model_b, scores_b, rows)])
            lawful = fewest >= GATES.fewest_test_units and found.df_denominator >= GATES.fewest_test_df
            yield f"units: {name}", found.p if lawful else np.nan
        except AnalysisError:
            yield f"units: {name}", np.nan


def covered(a: Region) -> Iterator[tuple[str, bool]]:
    """Whether the intervals of a mean hold the true mean."""
    truth = 0.3 * stats.norm.sf(0.5) + 0.2 * stats.norm.sf(-0.3)
    y, n = a.units
    for name, found in {
        "households: interval of a mean": design_mean(a.y),
        "units: linearised interval": design_mean(a.y, units=a.site),
        "units: interval of a mean": unit_mean(y, n, n),
    }.items():
        yield name, found.ci_low <= truth <= found.ci_high


def model_p_values(
    rng: np.random.Generator, sizes: list[int], correlation: float
) -> Iterator[tuple[str, float]]:
    """Name and p of the tests of models of one region, and whether their intervals miss; NaN where it is refused."""
    site = np.repeat(np.arange(len(sizes)), sizes)

    def varied(share: float) -> np.ndarray:
        between = rng.normal(size=len(sizes))[site]
        return np.sqrt(share) * between + np.sqrt(1 - share) * rng.normal(size=len(site))

    x, terms = np.column_stack([varied(0.0), varied(0.1), varied(0.2) > 0]), ["x1", "x2", "x3"]
    latent = varied(correlation)
    models = {
        "fractional": limited_outcome(stats.norm.cdf(latent - 0.3), x, terms, site, family="fractional"),
        "ordered": limited_outcome(
            np.digitize(latent, [-1.2, -0.4, 0.3, 1]), x, terms, site, family="ordered"
        ),
    }
    for family, found in models.items():
        fit = found.model
        for k, term in enumerate(terms):
            place = fit.terms.index(term)
            lawful = len(sizes) >= GATES.fewest_model_units and fit.df[place] >= GATES.fewest_model_df
            yield f"{family}: {term}", float(fit.p[place]) if lawful else np.nan
            if lawful and np.isfinite(found.effect_se[k, 0]):
                outside = not found.effect_low[k, 0] <= 0 <= found.effect_high[k, 0]
                yield f"{family}: effect of {term} outside its interval", 0.0 if outside else 1.0
    n, inside, amount = np.bincount(site), latent > 1, gini(np.exp(0.8 * latent))
    enough = len(sizes) >= GATES.fewest_index_units
    for name, truth, values, is_told in (
        ("share", stats.norm.sf(1), inside, 0 < inside.sum() < len(inside)),
        ("Gini", 2 * stats.norm.cdf(0.8 / np.sqrt(2)) - 1, amount.linearised, enough),
    ):
        by_unit = unit_mean(np.bincount(site, values) / n, n, n, interval="logit") if is_told else None
        missed = 0.0 if by_unit and not by_unit.ci_low <= truth <= by_unit.ci_high else 1.0
        yield f"{name}: outside its interval", missed if by_unit else np.nan
    household = np.tile(np.arange(len(site)), 2)
    wave = np.repeat([0, 1], len(site))
    changed = np.concatenate([np.zeros((len(site), 2)), np.column_stack([varied(0.1), varied(0.2)])])
    y = np.concatenate([latent, latent + varied(correlation)])
    panel = fixed_effects(y, changed, terms[:2], household, wave, np.tile(site, 2), draws=1999)
    for k, term in enumerate(panel.model.terms):
        lawful = len(sizes) >= GATES.fewest_model_units and panel.model.df[k] >= GATES.fewest_model_df
        has_bootstrap = lawful and len(sizes) >= GATES.fewest_bootstrap_units
        yield (
            f"panel, wild bootstrap: {term}",
            float(panel.wild.p[k]) if has_bootstrap and panel.wild else np.nan,
        )
        yield f"panel, CR2: {term}", float(panel.model.p[k]) if lawful else np.nan


def model_rates(draws: int, sizes: list[int], correlation: float, seed: int) -> dict[str, float]:
    """Share of draws in which a test of a model of one region rejects at 5 percent; NaN where mostly refused."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(seed)
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(draws):
            for name, p in model_p_values(rng, sizes, correlation):
                found[name].append(np.nan if np.isnan(p) else float(p < 0.05))
    return {
        name: np.nan if np.isnan(each).mean() > 0.5 else float(np.nanmean(each))
        for name, each in found.items()
    }


def rates(draws: int, sizes: tuple[list[int], list[int]], correlation: float, seed: int) -> dict[str, float]:
    """Share of draws in which a test rejects at 5 percent, or an interval covers; NaN where mostly refused."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(seed)
    # On matrices this small more BLAS threads only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(draws):
            a, b = (region(rng, own, correlation) for own in sizes)
            for name, p in p_values(a, b):
                found[name].append(np.nan if np.isnan(p) else float(p < 0.05))
            for name, inside in (*covered(a), *covered(b)):
                found[name].append(float(inside))
    return {
        name: np.nan if np.isnan(each).mean() > 0.5 else float(np.nanmean(each))
        for name, each in found.items()
    }


def write(case: str, table: dict[float, dict[str, float]]) -> None:
    """Print a row for every test, a column for every correlation."""
    print(f"| {case} | {' | '.join(f'{c:g}' for c in table)} |\n|---|{'--:|' * len(table)}")
    for name in next(iter(table.values())):
        cells = (
            "refused" if np.isnan(r.get(name, np.nan)) else f"{100 * r[name]:.1f}" for r in table.values()
        )
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def main(draws: int) -> None:
    """Print a table for every case: two regions, then the models of one."""
    for case, sizes in SIZES.items():
        write(case, {c: rates(draws, sizes, c, seed) for seed, c in enumerate(CORRELATIONS)})
    models(draws)


def models(draws: int) -> None:
    """Print a table for every region, with the correlation of answers and of changes in its columns."""
    for case, sizes in MODEL_SIZES.items():
        write(case, {c: model_rates(draws, sizes, c, seed) for seed, c in enumerate(CORRELATIONS)})


if __name__ == "__main__":
    only = {"models": models}.get(sys.argv[2] if len(sys.argv) > 2 else "", main)
    only(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
