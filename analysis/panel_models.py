"""Models of households asked in several waves, with an effect of its own for each.

Belongs here: least squares on deviations from each household's means, with errors by clusters of households. Does not
belong here: tables of transitions and tests of a change alone (`transitions`), models of one wave (`regression`).

What a household keeps over the waves, seen or not, cannot bias a coefficient (Wooldridge 2010, Econometric analysis of
cross section and panel data, chapter 10). Households are nested in clusters, so that CR2 of the deviations is CR2 of
the model with a dummy for each household (Pustejovsky and Tipton 2018, theorem 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from analysis.arrays import ROUNDING, FloatArray, IntArray, as_matrix
from analysis.errors import (
    BelowRoundingError,
    ConstantColumnError,
    InvalidOptionError,
    TooFewGroupsError,
    TooFewRowsError,
)
from analysis.inference import ClusterScores, WildBootstrap, clustered, wild_cluster_bootstrap
from analysis.levels import levels_of_combination
from analysis.regression import Regression, fit_ols
from analysis.summary import Summary, triangular_factor

DEPENDENT = "y"


@dataclass(frozen=True)
class PanelModel:
    """A linear model with an effect for each household.

    Attributes
    ----------
    model : Regression
        Terms are the waves after the first, ``wave=...``, then the regressors; errors are CR2 with Satterthwaite's
        degrees of freedom. R2 is of the deviations. What does not change within any household is in ``omitted``.
    wild : WildBootstrap, optional
        p values with the null imposed and Webb's weights; None with two clusters, which have too few samples.
    n_households, n_rows, n_clusters : int
        Households of two complete waves at least, and their rows.
    common : ndarray, shape (k, number of waves)
        Combinations of the terms that are what all rows of a wave have in common.
    """

    model: Regression
    wild: WildBootstrap | None
    n_households: int
    n_rows: int
    n_clusters: int
    common: FloatArray = field(repr=False)
    scores: ClusterScores = field(repr=False)

    def levels(self, term: str) -> FloatArray:
        """Levels of the test of a term, by the correlation of the answers of a cluster in a wave."""
        place = self.model.terms.index(term)
        row = np.eye(len(self.model.terms))[[place]]
        part = (self.model, self.scores, row)
        return levels_of_combination([part], float(self.model.df[place]), common=self.common)


def fixed_effects(
    y: npt.ArrayLike,
    x: npt.ArrayLike,
    terms: Sequence[str],
    household: npt.ArrayLike,
    wave: npt.ArrayLike,
    cluster: npt.ArrayLike,
    *,
    draws: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> PanelModel:
    """Fit ``y_iw = a_i + g_w + x_iw b + e_iw``; rows with a blank, and households left with one row, are left out.

    Parameters
    ----------
    y : array_like, shape (n,)
        A row for each household and wave.
    x : array_like, shape (n, k)
        Regressors; k may be 0.
    terms : sequence of str
        Names of the regressors.
    household, wave, cluster : array_like, shape (n,)
        Waves are compared with the first in sorted order. All rows of a household lie in one cluster.
    draws, seed : int
        Of the bootstrap.
    level : float
        Coverage of intervals.

    Raises
    ------
    InvalidOptionError
        If shapes do not fit, a household has two rows of a wave, or lies in two clusters.
    TooFewGroupsError
        If there is one wave.
    TooFewRowsError
        If no household has two complete rows, or there are not more changes than coefficients.
    ConstantColumnError
        If the dependent does not change within any household.
    BelowRoundingError
        If the regressors leave nothing of the dependent to judge them by.
    TooFewClustersError
        With one cluster.
    """
    names = tuple(terms)
    answers = np.asarray(y, dtype=np.float64)
    regressors = np.asarray(x, dtype=np.float64)
    keys = [np.asarray(each) for each in (household, wave, cluster)]
    if regressors.shape != (len(answers), len(names)) or any(each.shape != answers.shape for each in keys):
        raise InvalidOptionError(
            f"{len(names)} terms and {len(answers)} answers for regressors of shape {regressors.shape} and keys of "
            f"{[each.shape for each in keys]}."
        )
    matrix = as_matrix(np.column_stack([regressors, answers]), DEPENDENT)
    complete = ~np.isnan(matrix).any(axis=1)
    matrix, keys = matrix[complete], [each[complete] for each in keys]
    _, place, counts = np.unique(keys[0], return_inverse=True, return_counts=True)
    kept = counts[place] > 1
    if not kept.any():
        raise TooFewRowsError("No household has two complete waves.")
    matrix, keys = matrix[kept], [each[kept] for each in keys]
    _, place = np.unique(keys[0], return_inverse=True)
    waves, when = np.unique(keys[1], return_inverse=True)
    own, where = np.unique(keys[2], return_inverse=True)
    _check_keys(place, when, where)
    if len(waves) < 2:
        raise TooFewGroupsError("One wave has no change.")
    dummies = np.eye(len(waves))[when][:, 1:]
    columns = (*(f"wave={w}" for w in waves[1:]), *names)
    within = _deviations(np.column_stack([dummies, matrix]), place)
    if not within[:, -1].any():
        raise ConstantColumnError("The dependent does not change within any household.")
    r = triangular_factor(np.column_stack([np.ones(len(within)), within]))
    summary = Summary((*columns, DEPENDENT), len(within), float(len(within)), r)
    model = fit_ols(summary, DEPENDENT, columns, intercept=False, unidentified="omit", level=level)
    n_households = int(place.max()) + 1
    free = len(within) - n_households - len(model.terms)
    if free < 1:
        raise TooFewRowsError(
            f"{len(within) - n_households} changes for {len(model.terms)} coefficients; more are needed."
        )
    if model.is_perfect:
        raise BelowRoundingError("The regressors leave nothing of the dependent to judge them by.")
    model = replace(model, df_residual=free)
    scores = _scores(
        model, within[:, [columns.index(term) for term in model.terms]], within[:, -1], where, own
    )
    wild = wild_cluster_bootstrap(model, scores, draws=draws, seed=seed) if len(own) > 2 else None
    still = {name for k, name in enumerate(columns) if not within[:, k].any()}
    omitted = tuple(
        replace(o, reason="does not change within any household") if o.term in still else o
        for o in model.omitted
    )
    fit = replace(clustered(model, scores, "CR2"), omitted=omitted)
    # of the first wave it is what the terms of the others take off
    of_wave = np.array(
        [[float(term == column) for column in columns[: len(waves) - 1]] for term in fit.terms]
    )
    common = np.column_stack([of_wave, -of_wave.sum(axis=1)])
    return PanelModel(fit, wild, n_households, len(within), len(own), common, scores)


def _check_keys(household: IntArray, wave: IntArray, cluster: IntArray) -> None:
    pairs = np.unique(np.column_stack([household, wave]), axis=0)
    if len(pairs) < len(household):
        raise InvalidOptionError(f"{len(household) - len(pairs)} rows repeat a household and wave.")
    nested = np.unique(np.column_stack([household, cluster]), axis=0)
    if len(nested) > int(household.max()) + 1:
        raise InvalidOptionError(
            f"{len(nested) - int(household.max()) - 1} households change their cluster between waves; "
            "say to which they belong."
        )


def _deviations(matrix: FloatArray, place: IntArray) -> FloatArray:
    """Columns less the mean of each household; 0 where all that is left is rounding."""
    counts = np.bincount(place)[:, None]
    start = np.zeros((len(counts), matrix.shape[1]))
    # from the household's first row, so that a large level costs no digits
    first = np.unique(place, return_index=True)[1]
    start[:] = matrix[first]
    moved = matrix - start[place]
    sums = np.zeros_like(start)
    np.add.at(sums, place, moved)
    within: FloatArray = moved - (sums / counts)[place]
    largest = np.abs(matrix).max(axis=0)
    return np.where(np.abs(within).max(axis=0) <= ROUNDING * largest, 0.0, within)


def _scores(
    model: Regression, x: FloatArray, y: FloatArray, where: IntArray, own: npt.NDArray[np.generic]
) -> ClusterScores:
    q = solve_triangular(model.factor, x.T, trans="T").T
    e = y - x @ model.b
    order = np.argsort(where, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(where))[:-1])
    shares = np.array([q[rows].T @ q[rows] for rows in parts])
    sums = np.array([q[rows].T @ e[rows] for rows in parts])
    return ClusterScores("cluster", tuple(own.tolist()), shares, sums - shares @ sums.sum(axis=0))
