"""Make items give a printed factor analysis, and its scores the printed group means and regressions.

Belongs here: turning printed loadings, test statistics, group scores and coefficients into targets for products
of columns. Does not belong here: the search itself (`calibrate`), or the statistics (package `analysis`).

Method. The items' correlation matrix R is found first: the one whose rotated loadings, KMO, determinant (from
Bartlett's statistic) and standardised alpha come nearest to the printed ones. Then W = R^-1 L makes the factor
scores weighted sums of items, so that a regression with standardised coefficients b is a target for correlations:
corr(F, X) = corr(X) b, and a group mean is a correlation with the group's dummy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from analysis.factors import adequacy, correlate, factor
from analysis.reliability import cronbach_alpha
from relocation_warehouse.demonstration.calibrate import (
    Block,
    Columns,
    match_products,
    plain_block,
    standardised,
    term,
)
from relocation_warehouse.demonstration.spec import Climb, FactorModel, GroupScore, ScoreModel

Floats = NDArray[np.float64]


def loadings_like(R: Floats, order_like: Floats) -> Floats:
    """Rotated loadings of a correlation matrix, shape (p, k), columns and signs matched to a given table."""
    L = factor(R, n_factors=order_like.shape[1]).loadings
    match = order_like.T @ L
    rows, cols = optimize.linear_sum_assignment(-np.abs(match))
    return np.asarray(L[:, cols] * np.sign(match[rows, cols]), dtype=np.float64)


def target_correlations(model: FactorModel, n: int) -> Floats:
    """Correlation matrix, shape (p, p), nearest to the printed factor analysis of n respondents.

    Loadings are compared after the best rotation onto the printed ones (orthogonal Procrustes), which is smooth in
    R where varimax is not; a penalty on the angles that varimax would still turn makes both rotations one.
    """
    L = _table(model)
    p, k = L.shape
    upper = np.triu_indices(p, 1)
    first, second = np.triu_indices(k, 1)
    wanted_log_det = -model.bartlett / ((n - 1) - (2 * p + 5) / 6)
    wanted_squares = p / 100 * np.array(model.explained_percent)

    def matrix(off: Floats) -> Floats:
        R = np.zeros((p, p))
        R[upper] = off
        return np.asarray(R + R.T + np.eye(p), dtype=np.float64)

    def misfit(off: Floats) -> Floats:
        R = matrix(off)
        values, vectors = np.linalg.eigh(R)
        if values[0] < 0.02:
            return np.full(2 * p * k + 2 * k - 1 + len(first) + 5, 1e3 * (1.02 - values[0]))
        A = vectors[:, -k:] * np.sqrt(values[-k:])
        u, _, vt = np.linalg.svd(A.T @ L)
        loadings = A @ u @ vt
        x = loadings / np.sqrt((loadings**2).sum(1, keepdims=True))
        u, v = x[:, first] ** 2 - x[:, second] ** 2, 2 * x[:, first] * x[:, second]
        angles = 0.25 * np.arctan2(
            2 * ((u * v).sum(0) - u.sum(0) * v.sum(0) / p),
            (u**2 - v**2).sum(0) - (u.sum(0) ** 2 - v.sum(0) ** 2) / p,
        )
        squares = (loadings**2).sum(0)
        sampled = adequacy(R, n)
        return np.concatenate(
            [
                ((loadings - L) / 0.04).ravel(),
                (np.maximum(np.abs(loadings - L) - 0.045, 0.0) / 0.0015).ravel(),
                (squares - wanted_squares) / 0.04,
                # printed order of the factors, with a margin
                np.maximum(0.06 - (squares[:-1] - squares[1:]), 0.0) / 0.003,
                angles / 0.01,
                [
                    (sampled.kmo - model.kmo) / 0.003,
                    (sampled.log_determinant - wanted_log_det) / 0.015,
                    (cronbach_alpha(R).standardised - model.alpha_standardised) / 0.004,
                    # exactly k eigenvalues above one, with a margin for what the answers miss
                    max(1.03 - values[-k], 0.0) / 0.005,
                    max(values[-k - 1] - 0.97, 0.0) / 0.005,
                ],
            ]
        )

    result = optimize.least_squares(misfit, 0.85 * (L @ L.T)[upper], max_nfev=200)
    return matrix(np.asarray(result.x, dtype=np.float64))


def regressor_pairs(
    model: FactorModel, columns: Columns, kept: Collection[tuple[str, str]]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Correlations among regressors under which the coefficients of the first model give its printed R2.

    R2 = b' C b for standardised coefficients b. The correlations C as drawn are moved along the products b b' of the
    models, the smallest change (in that family) that meets every R2; dummies of one variable and `kept` pairs stay.
    """
    score = model.models[0]
    if not score.adjusted_r2:
        return {}
    names = list(score.coefficients)
    X = np.column_stack([standardised(term(columns, name)) for name in names])
    n, p = X.shape
    C = X.T @ X / n
    B = np.array(list(score.coefficients.values()), dtype=np.float64)
    wanted = 1 - (1 - np.array(score.adjusted_r2)) * (n - p - 1) / (n - 1)
    free = np.array(
        [
            [
                a.partition("=")[0] != b.partition("=")[0] and (a, b) not in kept and (b, a) not in kept
                for b in names
            ]
            for a in names
        ]
    )
    directions = [free * np.outer(b, b) for b in B.T]
    effect = np.array([[b @ D @ b for D in directions] for b in B.T])
    size = np.linalg.solve(effect, wanted - np.einsum("ik,ij,jk->k", B, C, B))
    C = C + sum(s * D for s, D in zip(size, directions, strict=True))
    return {
        (names[i], names[j]): (float(C[i, j]), 1.0) for i in range(p) for j in range(i + 1, p) if free[i, j]
    }


def calibrate_factor_model(
    model: FactorModel, columns: Columns, rng: np.random.Generator, climb: Climb
) -> Columns:
    """Swap item values until the factor model's figures are met; all other variables stay.

    Two passes: the first sets correlations, regressions over all rows and group means; the second, with partners
    from the same groups (which keeps every group's mean), adds the regressions within one group.
    """
    items = list(model.items)
    n = len(columns[items[0]])
    R = target_correlations(model, n)
    L = loadings_like(R, _table(model))
    W = np.linalg.solve(R, L)
    pairs = {(a, b): (float(R[i, j]), 6.0) for i, a in enumerate(items) for j, b in enumerate(items) if i < j}
    sums = {f"#{f}": dict(zip(items, W[:, k].tolist(), strict=True)) for k, f in enumerate(model.factors)}
    overall = next((g for g in model.group_scores if g.term == "*"), None)
    bounds = {}
    sums_bounded = sums
    if overall is not None:
        # the composite, brought to variance 1, only has its extremes to meet: all else follows from its parts
        weights = np.array(model.models[0].composite)
        composite = W @ weights / np.sqrt((weights**2).sum())
        sums_bounded = {"#": dict(zip(items, composite.tolist(), strict=True)), **sums}
        for name, middle, spread in zip(sums_bounded, overall.scores, model.score_ranges, strict=True):
            assert middle is not None
            bounds[name] = (-middle / 100 * spread, (1 - middle / 100) * spread)
    groups = [g for g in model.group_scores if g.term != "*"]
    for group in groups:
        member = term(columns, group.term)
        odds = np.sqrt(member.mean() / (1 - member.mean()))
        for name, score, middle, spread in zip(
            sums, group.scores[1:], overall.scores[1:] if overall else (), model.score_ranges[1:], strict=True
        ):
            if score is not None and middle is not None:
                pairs[name, group.term] = (float(odds * (score - middle) / 100 * spread), 4.0)
    whole = [m for m in model.models if m.within is None]
    terms = [*items, *(t for m in whole for t in m.coefficients), *(g.term for g in groups)]
    duals: dict[str, dict[str, float]] = {}
    for model_here in whole:
        duals |= _duals(columns, model_here)
        pairs |= _beta_pairs(model_here, model_here, list(sums))
    strata = np.zeros(n, dtype=np.intp)
    for grouped in (False, True):
        blocks = [plain_block(columns, terms, pairs, sums={**sums_bounded, **duals}, bounds=bounds)]
        if grouped:
            for i, group in enumerate(groups):
                strata[term(columns, group.term) == 1] = i + 1
            blocks += [
                _block_within(columns, m, sums, _beta_pairs(m, whole[0], list(sums)))
                for m in model.models
                if m.within is not None
            ]
        columns = match_products(
            columns,
            blocks,
            items,
            rng=rng,
            swaps=climb.correlation_swaps,
            candidates=climb.candidates,
            strata=strata,
        )
    return columns


def factor_model_residuals(
    model: FactorModel, columns: Columns
) -> Iterator[tuple[str, str, float, float | None, float, float, str]]:
    """(id, statistic, target, published, reached, tolerance, note) of every figure of the model."""
    items = list(model.items)
    table = _table(model)
    unprinted = set(model.unprinted_loadings)
    sample = correlate(np.column_stack([columns[item] for item in items]), missing="mean")
    R = sample.r
    L = loadings_like(R, table)
    fit = adequacy(R, sample.n)
    alpha = cronbach_alpha(R).standardised
    yield "kmo", "kmo", model.kmo, model.kmo, fit.kmo, 0.02, ""
    yield "bartlett", "bartlett", model.bartlett, model.bartlett, fit.bartlett_chi2, 20.0, ""
    printed = model.alpha_standardised
    yield "alpha_items", "alpha_standardised", printed, printed, alpha, 0.002, ""
    above = float((factor(R).eigenvalues > 1).sum())
    yield "factors", "eigenvalues_above_1", len(model.factors), len(model.factors), above, 0.0, ""
    for k, name in enumerate(model.factors):
        explained = float(100 / len(items) * (L[:, k] ** 2).sum())
        printed = model.explained_percent[k]
        yield f"explained:{name}", "explained_percent", printed, printed, explained, 1.0, ""
    for i, item in enumerate(items):
        for k, name in enumerate(model.factors):
            value = float(table[i, k])
            published = None if (item, name) in unprinted else value
            yield f"loading:{name}:{item}", "loading", value, published, float(L[i, k]), 0.08, ""
    Z = np.column_stack([standardised(columns[item]) for item in items])
    scores = Z @ np.linalg.solve(R, L)
    for group in model.group_scores:
        yield from _group_residuals(model, group, columns, scores)
    for score in model.models:
        yield from _regression_residuals(model, score, columns, scores)


def _group_residuals(
    model: FactorModel, group: GroupScore, columns: Columns, scores: Floats
) -> Iterator[tuple[str, str, float, float | None, float, float, str]]:
    weights = np.array(model.models[0].composite)
    every = np.column_stack([scores @ weights, scores])
    percent = 100 * (every - every.min(0)) / (every.max(0) - every.min(0))
    rows = np.ones(len(scores), dtype=bool) if group.term == "*" else term(columns, group.term) == 1
    names = ("composite", *model.factors)
    for name, value, published, column in zip(
        names, group.scores, group.published or group.scores, percent.T, strict=True
    ):
        if value is not None:
            reached = float(column[rows].mean())
            yield f"score:{group.term}:{name}", "score_0_100", value, published, reached, 1.5, ""


def _regression_residuals(
    model: FactorModel, score: ScoreModel, columns: Columns, scores: Floats
) -> Iterator[tuple[str, str, float, float | None, float, float, str]]:
    rows = np.ones(len(scores), dtype=bool) if score.within is None else term(columns, score.within) == 1
    X = np.column_stack([standardised(term(columns, t), rows)[rows] for t in score.coefficients])
    Y = np.column_stack([scores @ np.array(score.composite), scores])[rows]
    Y = (Y - Y.mean(0)) / Y.std(0)
    b = np.linalg.lstsq(X, Y, rcond=None)[0]
    n, p = X.shape
    adjusted = 1 - ((Y - X @ b) ** 2).mean(0) * (n - 1) / (n - p - 1)
    where = score.within or "all"
    for k, printed_r2 in enumerate(score.adjusted_r2):
        name = ("composite", *model.factors)[k]
        yield f"adj_r2:{where}:{name}", "adj_r2", printed_r2, printed_r2, float(adjusted[k]), 0.05, ""
    for i, (regressor, printed) in enumerate(score.coefficients.items()):
        for k, name in enumerate(("composite", *model.factors)):
            value = printed[k]
            if value is not None:
                beta = float(b[i, k])
                yield f"beta:{where}:{name}:{regressor}", "beta", value, value, beta, score.tolerance, ""


def _duals(
    columns: Columns, model: ScoreModel, rows: NDArray[np.bool_] | None = None
) -> dict[str, dict[str, float]]:
    """Weighted sums of regressors whose mean product with a standardised dependent is its beta: X C^-1."""
    chosen = np.ones(len(next(iter(columns.values()))), dtype=np.bool_) if rows is None else rows
    names = list(model.coefficients)
    X = np.column_stack([standardised(term(columns, t), chosen) for t in names])
    inverse = np.linalg.inv(X.T @ X / chosen.sum())
    return {
        f"~{t}": dict(zip(names, row, strict=True)) for t, row in zip(names, inverse.tolist(), strict=True)
    }


def _beta_pairs(
    model: ScoreModel, fallback: ScoreModel, scores: list[str]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Wanted betas of every score; unprinted ones are those of the fallback."""
    return {
        (score, f"~{regressor}"): (float(value if value is not None else other or 0.0), 6.0)
        for regressor, values in model.coefficients.items()
        for score, value, other in zip(scores, values[1:], fallback.coefficients[regressor][1:], strict=True)
    }


def _block_within(
    columns: Columns,
    model: ScoreModel,
    sums: dict[str, dict[str, float]],
    pairs: dict[tuple[str, str], tuple[float, float]],
) -> Block:
    """Block of the model's rows; each score as a sum of items standardised there, itself of variance 1 there."""
    assert model.within is not None
    rows = term(columns, model.within) == 1
    here = {}
    for name, weights in sums.items():
        z = {t: standardised(term(columns, t))[rows] for t in weights}
        scale = np.std([w * z[t] for t, w in weights.items()], axis=1, keepdims=True)
        total = float(np.sum([w * z[t] for t, w in weights.items()], axis=0).std())
        here[name] = {
            t: float(np.sign(w) * s / total) for (t, w), s in zip(weights.items(), scale[:, 0], strict=True)
        }
    items = list(dict.fromkeys(t for weights in sums.values() for t in weights))
    return plain_block(
        columns,
        [*items, *model.coefficients],
        pairs,
        sums={**here, **_duals(columns, model, rows)},
        rows=rows,
    )


def _table(model: FactorModel) -> Floats:
    return np.array(list(model.items.values()), dtype=np.float64)
