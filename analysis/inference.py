"""Covariances that survive unequal variances and few clusters, with one more pass over the rows.

Everything is computed for the orthonormal regressors ``Q = X R^-1``, so a cluster is known by one k-vector
(its score ``Q_g'e_g``) and one k x k matrix (its leverage ``Q_g'Q_g``), however many rows it has.

Belongs here: HC1, HC3, CR1, CR2 with Satterthwaite degrees of freedom and joint tests of it, and the wild cluster
bootstrap.
Does not belong here: the fit (``regression``), specification tests (``diagnostics``), survey designs
(``survey_design``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats
from scipy.linalg import solve_triangular

from analysis.arrays import BoolArray, FloatArray, at_least_one, one_of
from analysis.errors import (
    BelowRoundingError,
    CollinearColumnsError,
    InfiniteValueError,
    InvalidOptionError,
    MissingValueError,
    SummaryMismatchError,
    TooFewClustersError,
)
from analysis.regression import Regression, wald_statistic
from analysis.summary import Batch, floats, partition, record_batches, row_weights

# Eigenvalues of I - H_gg below this are directions in which a cluster determines the fit alone. Leverages carry the
# rounding of a triangular solve, so that a row that fits itself may show 1 - 2e-10; and a residual of a hundred
# millionth of its error says nothing of that error.
FULL_LEVERAGE_TOLERANCE = 1e-8
# Share of a coefficient's direction that such a row or cluster takes, above which it determines the coefficient.
LONE_SHARE = 1e-6
# Webb (2023), six points with mean 0 and variance 1.
WEBB_POINTS = np.concatenate([-np.sqrt([1.5, 1.0, 0.5]), np.sqrt([0.5, 1.0, 1.5])])
# A draw whose statistic is the sample's own but for the order of a sum (all weights of one size) is as extreme as it.
TIED = 1e-9
# The residual sum of squares of the second pass must agree with that of the fit.
SAME_DATA_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ClusterScores:
    """What G clusters contribute to a model with k coefficients.

    Parameters
    ----------
    column : str
        The column that names the clusters.
    clusters : tuple
        Cluster ids, G of them.
    leverages : ndarray, shape (G, k, k)
        ``Q_g'Q_g``; they add up to the identity.
    scores : ndarray, shape (G, k)
        ``Q_g'e_g``; they add up to zero.
    """

    column: str
    clusters: tuple[Any, ...]
    leverages: FloatArray = field(repr=False)
    scores: FloatArray = field(repr=False)

    @cached_property
    def spectrum(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues and eigenvectors of ``I - H_gg``, shapes (G, k) and (G, k, k)."""
        values, vectors = np.linalg.eigh(np.eye(self.leverages.shape[1]) - self.leverages)
        return values, vectors

    @cached_property
    def adjustment(self) -> FloatArray:
        """Moore-Penrose inverse square roots of ``I - H_gg``, of which CR2 is made, shape (G, k, k)."""
        values, vectors = self.spectrum
        usable = values > FULL_LEVERAGE_TOLERANCE
        roots = np.where(usable, 1.0 / np.sqrt(np.where(usable, values, 1.0)), 0.0)
        result: FloatArray = (vectors * roots[:, None, :]) @ vectors.transpose(0, 2, 1)
        return result


@dataclass(frozen=True)
class SecondPass:
    """What the robust covariances of a model need to know of its rows, which were read once more.

    Parameters
    ----------
    meat_hc1, meat_hc3 : ndarray, shape (k, k)
        Sum of ``q q' e^2``, with each residual divided by 1 - h for HC3.
    has_full_leverage : bool
        A row alone determines a coefficient, so that HC3 does not exist.
    lone_rows : ndarray, shape (m, k)
        These rows of ``Q``, each once.
    clusters : ClusterScores or MissingValueError, optional
        None where no cluster was named; the error where a row has none.
    """

    meat_hc1: FloatArray = field(repr=False)
    meat_hc3: FloatArray = field(repr=False)
    has_full_leverage: bool
    clusters: ClusterScores | MissingValueError | None = None
    lone_rows: FloatArray = field(default_factory=lambda: np.empty((0, 0)), repr=False)


@dataclass(frozen=True)
class WildBootstrap:
    """Bootstrap p-values of single coefficients.

    Parameters
    ----------
    terms : tuple of str
    t : ndarray, shape (k,)
        Cluster-robust t statistics of the data (CR1).
    p : ndarray, shape (k,)
        Share of the draws, the data included, with a t statistic at least as large in absolute value; NaN for a
        coefficient that one cluster determines alone.
    n_clusters, draws, seed : int
    is_exact : bool
        All vectors of weights were taken, each once, instead of random draws.
    """

    terms: tuple[str, ...]
    t: FloatArray
    p: FloatArray
    n_clusters: int
    draws: int
    seed: int
    is_exact: bool = False


@dataclass(frozen=True)
class JointTest:
    """Approximate Hotelling test that q combinations of coefficients are zero, under CR2.

    Parameters
    ----------
    f, df_numerator, df_denominator, p : float
    q_statistic : float
        The Wald statistic behind it.
    estimate, covariance : ndarray, shape (q,) and (q, q)
        Of the combinations.
    """

    f: float
    df_numerator: int
    df_denominator: float
    p: float
    q_statistic: float
    estimate: FloatArray = field(repr=False, compare=False)
    covariance: FloatArray = field(repr=False, compare=False)


def second_pass(
    batches: Batch | Iterable[Batch],
    model: Regression,
    cluster: str | None = None,
    *,
    weights: str | None = None,
) -> SecondPass:
    """Read the rows of a model again, once for all robust covariances.

    Parameters
    ----------
    batches : table, DataFrame, or iterable of them
        The rows the model was fitted on.
    model : Regression
    cluster : str, optional
        Column with the cluster of every row.
    weights : str, optional
        The model's weight column.

    Raises
    ------
    SummaryMismatchError
        If the rows are not those of the fit.
    """
    k = len(model.terms)
    meat_hc1, meat_hc3, has_full_leverage = np.zeros((k, k)), np.zeros((k, k)), False
    leverages: dict[Any, FloatArray] = {}
    scores: dict[Any, FloatArray] = {}
    without_cluster = False
    lone_rows: list[FloatArray] = []
    for batch, q, e, count in _orthonormal_rows(batches, model, weights):
        left = 1.0 - np.einsum("ij,ij->i", q, q)
        full = left < FULL_LEVERAGE_TOLERANCE
        has_full_leverage |= bool(full.any())
        # Such rows are orthogonal to all others, so there are at most k of them.
        lone_rows += list(q[full])
        meat_hc1 += (q * (count * e**2)[:, None]).T @ q
        meat_hc3 += (q * (count * (e / np.maximum(left, FULL_LEVERAGE_TOLERANCE)) ** 2)[:, None]).T @ q
        weighted = q * count[:, None]
        for (key,), rows in partition(batch, [cluster]) if cluster else ():
            without_cluster |= bool(pd.isna(key))
            leverages[key] = leverages.get(key, np.zeros((k, k))) + weighted[rows].T @ q[rows]
            scores[key] = scores.get(key, np.zeros(k)) + weighted[rows].T @ e[rows]
    clusters: ClusterScores | MissingValueError | None = None
    if without_cluster:
        clusters = MissingValueError(f"Rows without {cluster!r}: every row of the model needs a cluster.")
    elif cluster:
        order = sorted(scores, key=str)
        shares = np.array([leverages[key] for key in order]).reshape(-1, k, k)
        sums = np.array([scores[key] for key in order]).reshape(-1, k)
        # Scores add up to zero but for the rounding of b, which is taken out. A cluster that has a dummy to itself
        # has a score of nearly zero, and would show little else.
        clusters = ClusterScores(cluster, tuple(order), shares, sums - shares @ sums.sum(axis=0))
    return SecondPass(meat_hc1, meat_hc3, has_full_leverage, clusters, np.array(lone_rows).reshape(-1, k))


def heteroskedastic(
    batches: Batch | Iterable[Batch] | SecondPass,
    model: Regression,
    kind: Literal["HC1", "HC3"] = "HC3",
    *,
    weights: str | None = None,
) -> Regression:
    """Replace the covariance of a model by one that allows unequal variances; t with n - k df.

    HC1 scales White's estimator by n / (n - k); HC3 divides each residual by 1 - h (MacKinnon and White 1985,
    doi 10.1016/0304-4076(85)90158-7). A row that alone determines a coefficient (a dummy that one household has)
    fits itself: its residual is zero whatever its error was. HC3 does not exist then, and HC1 gives no inference
    of that coefficient (``Regression.lone``).

    Parameters
    ----------
    batches : table, DataFrame, iterable of them, or SecondPass
        The rows the model was fitted on.
    model : Regression
    kind : {"HC1", "HC3"}
    weights : str, optional
        The model's weight column.

    Raises
    ------
    SummaryMismatchError
        If the rows are not those of the fit.
    InvalidOptionError
        If a row alone determines a coefficient, so that HC3 does not exist.
    """
    one_of(kind, ("HC1", "HC3"), "Covariance")
    rows = batches if isinstance(batches, SecondPass) else second_pass(batches, model, weights=weights)
    if kind == "HC3" and rows.has_full_leverage:
        raise InvalidOptionError(
            f"Model of {model.dependent!r}: a single row determines a coefficient (a dummy with one "
            "household?), so HC3 does not exist. Merge levels or use HC1."
        )
    meat = rows.meat_hc3 if kind == "HC3" else rows.meat_hc1 * (model.n / model.df_residual)
    result = model.with_covariance(_sandwich(model, meat), kind, model.df_residual, model.df_residual)
    if not len(rows.lone_rows):
        return result
    return result.without_inference_of(_determined(model, rows.lone_rows.T))


def cluster_scores(
    batches: Batch | Iterable[Batch] | SecondPass,
    model: Regression,
    cluster: str,
    *,
    weights: str | None = None,
) -> ClusterScores:
    """Collect scores and leverages of the clusters of a model in one pass.

    Parameters
    ----------
    batches : table, DataFrame, iterable of them, or SecondPass
        The rows the model was fitted on, or what was read of them with the same cluster.
    model : Regression
    cluster : str
        Column with the cluster of every row.
    weights : str, optional
        The model's weight column.

    Raises
    ------
    MissingValueError
        If a row has no cluster.
    SummaryMismatchError
        If the rows are not those of the fit, or were read with another cluster.
    """
    rows = (
        batches if isinstance(batches, SecondPass) else second_pass(batches, model, cluster, weights=weights)
    )
    if isinstance(rows.clusters, MissingValueError):
        raise rows.clusters
    if rows.clusters is None or rows.clusters.column != cluster:
        raise SummaryMismatchError(f"The rows were read without the clusters of {cluster!r}.")
    return rows.clusters


def clustered(model: Regression, scores: ClusterScores, kind: Literal["CR1", "CR2"] = "CR2") -> Regression:
    """Replace the covariance of a model by one that allows any dependence within clusters.

    CR1: factor G/(G-1) * (n-1)/(n-k), t with G - 1 df. CR2: bias-reduced residuals
    ``(I - H_gg)^-1/2 e_g`` and Satterthwaite degrees of freedom for every coefficient. The working model of
    CR2 is independent errors of equal variance, after weighting (Bell and McCaffrey 2002; Pustejovsky and
    Tipton 2018, doi 10.1080/07350015.2016.1247004). F is the naive Wald F with G - 1 df. It is NaN where the scores
    leave the covariance of CR1 singular, also for CR2: its adjusted residuals hide that there are too few clusters,
    as in each part of a model whose every term is interacted. A coefficient that one cluster determines alone has
    no inference (``Regression.lone``).

    Raises
    ------
    TooFewClustersError
        With fewer than two clusters.
    """
    n_clusters = len(scores.clusters)
    if n_clusters < 2:
        raise TooFewClustersError(
            f"{scores.column!r} has {n_clusters} cluster(s): between-cluster variation needs at least 2. "
            "Use HC3, or cluster by something finer."
        )
    one_of(kind, ("CR1", "CR2"), "Covariance")
    factor = n_clusters / (n_clusters - 1) * (model.n - 1) / model.df_residual
    covariance = _sandwich(model, factor * scores.scores.T @ scores.scores)
    result = model.with_covariance(covariance, "CR1", n_clusters - 1, n_clusters - 1)
    if kind == "CR2":
        has_f = not np.isnan(result.f)
        adjusted = np.einsum("gij,gj->gi", scores.adjustment, scores.scores)
        covariance = _sandwich(model, adjusted.T @ adjusted)
        directions = solve_triangular(model.factor, np.eye(len(model.terms))).T
        df = _satterthwaite(scores, scores.adjustment @ directions)
        result = model.with_covariance(covariance, "CR2", df, n_clusters - 1)
        if not has_f:
            result = replace(result, f=np.nan, f_p=np.nan)
    return replace(result, n_clusters=n_clusters).without_inference_of(_lone_clusters(model, scores))


Part = tuple[Regression, ClusterScores, FloatArray]
"""A model, what its clusters contribute, and combinations of its coefficients as rows, shape (q, k)."""


def joint_test(parts: Sequence[Part]) -> JointTest:
    """Test that ``sum L_r b_r = 0`` for models of separate groups of clusters, by CR2 and Hotelling's T2 (AHT).

    One model with ``L`` tests its own coefficients; models of several regions, each with its own part of ``L``, are
    the fully interacted model of the regions together. The degrees of freedom match the first two moments of the
    CR2 covariance under independent errors of equal variance to those of a Wishart matrix (Pustejovsky and Tipton
    2018, doi 10.1080/07350015.2016.1247004; HTZ in R's clubSandwich). For one combination it is the t test with
    Satterthwaite's degrees of freedom, squared.

    Parameters
    ----------
    parts : sequence of (Regression, ClusterScores, ndarray of shape (q, k))
        Models that share no cluster.

    Raises
    ------
    TooFewClustersError
        If a group has fewer than two clusters, or there are too few for a test of q combinations.
    BelowRoundingError
        If a combination takes a coefficient that one cluster determines alone, or a model fits perfectly.
    CollinearColumnsError
        If a combination is nought or follows from the others, or their covariance is singular.
    """
    q = len(parts[0][2])
    estimate, covariance, expected = np.zeros(q), np.zeros((q, q)), np.zeros((q, q))
    moments: list[tuple[FloatArray, FloatArray]] = []
    for model, scores, combinations in parts:
        if len(scores.clusters) < 2:
            raise TooFewClustersError(
                f"{scores.column!r} has {len(scores.clusters)} cluster(s), at least 2 needed."
            )
        taken = (np.abs(combinations) > 0).any(axis=0)
        lone = _lone_clusters(model, scores) & taken
        if model.is_perfect or lone.any():
            names = list(np.array(model.terms)[lone]) or [model.dependent]
            raise BelowRoundingError(
                f"The error of {names} is not known: one cluster determines it, or all fit."
            )
        _, v, u = cluster_directions(model, scores, combinations)
        estimate += combinations @ model.b
        by_cluster = np.einsum("gks,gk->gs", v, scores.scores)
        covariance += by_cluster.T @ by_cluster
        own = np.einsum("gks,gkt->gst", v, u)
        expected += own.sum(axis=0) - np.einsum("gks,gkt->st", u, u)
        moments.append((own, u))
    try:
        root = np.linalg.inv(np.linalg.cholesky(expected))
    except np.linalg.LinAlgError as error:
        raise CollinearColumnsError(
            "A combination takes nothing of the coefficients, or follows from the others: there is nothing to test."
        ) from error
    total = 0.0
    for own, u in moments:
        # Cross products of clusters g and h in orthonormal combinations s and t: P_st[g, h].
        scaled = u @ root.T
        products = -np.tensordot(scaled, scaled, axes=(1, 1)).transpose(1, 3, 0, 2)
        diagonal = np.arange(len(own))
        products[:, :, diagonal, diagonal] += np.moveaxis(root @ own @ root.T, 0, -1)
        total += float((np.einsum("ssgh->gh", products) ** 2).sum())
        total += float((products * products.swapaxes(0, 1)).sum())
    eta = q * (q + 1) / total
    freedom = eta - q + 1
    if freedom <= 0:
        raise TooFewClustersError(
            f"{sum(len(s.clusters) for _, s, _ in parts)} clusters are too few to test {q} combinations together."
        )
    wald = wald_statistic(estimate, covariance)
    f = freedom / (eta * q) * wald
    return JointTest(f, q, freedom, float(stats.f.sf(f, q, freedom)), wald, estimate, covariance)


def separate_errors(
    model: Regression, scores: ClusterScores, combinations: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Standard errors and degrees of freedom of q combinations under CR2, each by itself.

    What `joint_test` finds of one combination at a time; NaN where it refuses.

    Parameters
    ----------
    combinations : ndarray, shape (q, k)

    Returns
    -------
    ndarray, ndarray, shape (q,)
    """
    _, v, _ = cluster_directions(model, scores, combinations)
    se = np.sqrt((np.einsum("gkq,gk->gq", v, scores.scores) ** 2).sum(axis=0))
    df = _satterthwaite(scores, v)
    unknown = (np.abs(combinations) > 0) @ _lone_clusters(model, scores) | model.is_perfect | ~(se > 0)
    return np.where(unknown, np.nan, se), np.where(unknown, np.nan, df)


def cluster_directions(
    model: Regression, scores: ClusterScores, combinations: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What q combinations of coefficients take of the scores.

    Returns
    -------
    directions : ndarray, shape (k, q)
        A combination is its coefficients plus ``d's`` for the sum s of all scores of the errors.
    v, u : ndarray, shape (G, k, q)
        What it takes of each cluster under CR2, and what the fit takes back from all: the cluster adds
        ``v_g's_g - u_g's``.
    """
    directions = solve_triangular(model.factor, combinations.T, trans="T")
    v = scores.adjustment @ directions
    return directions, v, scores.leverages @ v


def wild_cluster_bootstrap(
    model: Regression, scores: ClusterScores, *, draws: int = 9999, seed: int = 0
) -> WildBootstrap:
    """p-values by the wild cluster bootstrap with the null imposed and Webb's six-point weights.

    For every coefficient the residuals of the fit without it are multiplied by one random weight per cluster;
    the CR1 t statistics of these samples are its reference distribution (Cameron, Gelbach and Miller 2008,
    doi 10.1162/rest.90.3.414; Webb 2023, doi 10.1111/caje.12661).

    Parameters
    ----------
    model : Regression
    scores : ClusterScores
    draws : int
        Random weight vectors. Where there are no more vectors than this (6 to the number of clusters), each is taken
        once instead, so that p has no error of simulation.
    seed : int
        Of the generator; stored with the result.

    Raises
    ------
    TooFewClustersError
        With fewer than three clusters: two clusters give few distinct statistics, so that no p-value can be
        small and none can be trusted.
    """
    n_clusters = len(scores.clusters)
    if n_clusters < 3:
        raise TooFewClustersError(
            f"{scores.column!r} has {n_clusters} cluster(s): the wild cluster bootstrap is refused below 3, "
            "because its few distinct samples cannot form a reference distribution."
        )
    at_least_one(draws, "draws")
    is_exact = len(WEBB_POINTS) ** n_clusters <= draws
    if is_exact:
        v = np.array(list(product(WEBB_POINTS, repeat=n_clusters)))
    else:
        v = np.random.default_rng(seed).choice(WEBB_POINTS, size=(draws, n_clusters))
    inverse = solve_triangular(model.factor, np.eye(len(model.terms)))
    t, p = np.empty(len(model.terms)), np.empty(len(model.terms))
    for j, direction in enumerate(inverse):
        # Restricting b_j to 0 moves Rb along this direction; the scores of the restricted residuals follow.
        shift = direction * (model.b[j] / (direction @ direction))
        restricted = scores.scores + scores.leverages @ shift
        own = restricted @ direction
        spill = np.einsum("i,gij,hj->gh", direction, scores.leverages, restricted, optimize=True)
        estimate = v @ own
        spread = np.linalg.norm(v * own - v @ spill.T, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            t_draws = estimate / spread
            t_plain = model.b[j] / np.linalg.norm(scores.scores @ direction)
        factor = np.sqrt(n_clusters / (n_clusters - 1) * (model.n - 1) / model.df_residual)
        extreme = np.count_nonzero(np.abs(t_draws) >= np.abs(t_plain) * (1 - TIED))
        # the data are one of all vectors, and beside random ones
        t[j], p[j] = t_plain / factor, extreme / len(v) if is_exact else (extreme + 1) / (draws + 1)
    p[_lone_clusters(model, scores)] = np.nan
    return WildBootstrap(model.terms, t, p, n_clusters, len(v), seed, is_exact)


def residual_batches(
    batches: Batch | Iterable[Batch], model: Regression, weights: str | None = None
) -> Iterator[tuple[pa.RecordBatch, FloatArray, FloatArray, FloatArray]]:
    """Complete rows of a model with their regressors and residuals, checked to be the rows of the fit.

    Yields
    ------
    batch : RecordBatch of m rows
    x : ndarray, shape (m, k)
    residual : ndarray, shape (m,)
    weight : ndarray, shape (m,)
        Ones without weights.

    Raises
    ------
    InfiniteValueError
    SummaryMismatchError
        After the last batch, if number of rows or residual sum of squares differ from the fit.
    """
    if (weights is None) != (model.weight_kind == "none"):
        raise InvalidOptionError(
            f"The model of {model.dependent!r} was fitted with weights: {model.weight_kind}; "
            f"the second pass was given weights={weights!r}."
        )
    n, rss, size = 0.0, 0.0, 0.0
    for batch in record_batches(batches):
        columns = [floats(batch, name) for name in (*model.regressors, model.dependent)]
        given = row_weights(batch, weights, model.weight_kind)
        weight = np.ones(batch.num_rows) if given is None else np.asarray(given, dtype=np.float64)
        ones = [np.ones(batch.num_rows)] if model.has_intercept else []
        # One array a column: a product with R wants them so, and looking for gaps is several times as fast.
        table = np.array([*ones, *columns, weight], dtype=np.float64)
        complete = ~np.isnan(table).any(axis=0) & ~(weight == 0)
        if not complete.all():
            table = table[:, complete]
        if np.isinf(table).any():
            raise InfiniteValueError(f"Infinite values in the data of the model of {model.dependent!r}.")
        x, y, weight = table[:-2].T, table[-2], table[-1]
        residual = y - x @ model.b
        n += weight.sum() if model.weight_kind == "frequency" else len(y)
        rss += float(weight @ residual**2)
        size += float(weight @ y**2)
        yield batch if complete.all() else batch.filter(pa.array(complete)), x, residual, weight
    if n != model.n or abs(rss - model.rss) > SAME_DATA_TOLERANCE * (model.rss + SAME_DATA_TOLERANCE * size):
        raise SummaryMismatchError(
            f"The second pass of the model of {model.dependent!r} saw {n:.0f} complete rows (residual sum of "
            f"squares {rss:.6g}), the fit {model.n} ({model.rss:.6g}). Pass the same rows, and fit on a "
            "summary of the model's own columns, so that both leave out the same rows."
        )


def _orthonormal_rows(
    batches: Batch | Iterable[Batch], model: Regression, weights: str | None
) -> Iterator[tuple[pa.RecordBatch, FloatArray, FloatArray, FloatArray]]:
    """Batch, rows of Q, residuals, and how many observations a row stands for."""
    for batch, x, residual, weight in residual_batches(batches, model, weights):
        q = solve_triangular(model.factor, x.T, trans="T", check_finite=False).T
        if model.weight_kind == "sampling":
            root = np.sqrt(weight)
            yield batch, q * root[:, None], residual * root, np.ones_like(root)
        else:
            yield batch, q, residual, weight


def _sandwich(model: Regression, meat: FloatArray) -> FloatArray:
    """``R^-1 M R^-T`` for a meat M in terms of the orthonormal regressors."""
    half = solve_triangular(model.factor, meat)
    covariance: FloatArray = solve_triangular(model.factor, half.T).T
    return (covariance + covariance.T) / 2


def _determined(model: Regression, directions: FloatArray) -> BoolArray:
    """Coefficients that load on a unit direction of ``Q``, shape (k,); directions have shape (k, m)."""
    inverse = solve_triangular(model.factor, np.eye(len(model.terms)))
    loads = np.abs(inverse @ directions) / np.linalg.norm(inverse, axis=1)[:, None]
    is_determined: BoolArray = (loads > LONE_SHARE).any(axis=1)
    return is_determined


def _lone_clusters(model: Regression, scores: ClusterScores) -> BoolArray:
    """Coefficients that one cluster determines alone, shape (k,)."""
    values, vectors = scores.spectrum
    cluster, direction = np.nonzero(values <= FULL_LEVERAGE_TOLERANCE)
    return _determined(model, vectors[cluster, :, direction].T.reshape(len(model.terms), -1))


def _satterthwaite(scores: ClusterScores, v: FloatArray) -> FloatArray:
    """``(tr P)^2 / tr(P P)`` with ``P_gh = p_g'p_h = [g = h] v_g'C_g v_g - v_g'C_g C_h v_h`` for q combinations.

    v is what they take of each cluster under CR2, shape (G, k, q).
    """
    u = scores.leverages @ v
    own, shared = np.einsum("gkq,gkq->gq", v, u), np.einsum("gkq,gkq->gq", u, u)
    trace = (own - shared).sum(axis=0)
    crossed = np.moveaxis(u, 2, 0)
    gram = crossed.swapaxes(1, 2) @ crossed
    square = (own**2).sum(axis=0) - 2 * (own * shared).sum(axis=0) + (gram**2).sum(axis=(1, 2))
    df: FloatArray = np.divide(trace**2, square, out=np.full(len(trace), np.nan), where=square > 0)
    return df
