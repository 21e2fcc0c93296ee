"""Swap values within columns until correlations and other statistics meet targets; marginals stay exact.

Belongs here: the two searches (`match_products` for everything that is a product of two columns, `climb` for
any statistic) as pure functions on arrays. Does not belong here: what the targets are (`spec`, `factors`), or
the first draw (`draw`). The method is a greedy form of Iman and Conover's rank correlation ordering (1982,
Communications in Statistics B 11(3), 311-334) in which any pair of rows may change places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Move:
    """How the columns of a product block follow when two rows exchange their values of one variable.

    Attributes
    ----------
    changed
        Positions of the columns that change, shape (k,).
    source
        For each of them the column whose difference between the rows it follows, shape (k,).
    factor
        Change for one unit of that difference, shape (k,): 1 for the variable's own columns, the weight for a
        weighted sum that contains it.
    """

    changed: NDArray[np.intp]
    source: NDArray[np.intp]
    factor: Floats


@dataclass(frozen=True)
class Block:
    """Columns over some rows, with targets for the mean products of pairs of columns.

    Attributes
    ----------
    matrix
        Columns, shape (n, p), standardised by the caller (so that a mean product is a correlation); rows
        outside the block are 0.
    target, weight
        Wanted mean products and their weights in the loss, shape (p, p), symmetric.
    rows
        Which rows belong to the block, shape (n,). Where not all do, partners must come from one stratum,
        else the standardisation would move.
    moves
        By variable.
    low, high
        Soft bounds of each cell, shape (n, p), infinite where there is none. They hold a weighted sum's extremes,
        and with them a score rescaled by its range: one row is bound to each end, the others stay between.
    bound_weight
        Weight of a squared excess over a bound.
    """

    matrix: Floats
    target: Floats
    weight: Floats
    rows: NDArray[np.bool_]
    moves: Mapping[str, Move]
    low: Floats
    high: Floats
    bound_weight: float = 0.5

    def products(self) -> Floats:
        """Mean products over the block's rows, shape (p, p)."""
        return np.asarray(self.matrix.T @ self.matrix / self.rows.sum(), dtype=np.float64)

    def loss(self) -> float:
        """Weighted sum of squared deviations; each pair counts twice, as the matrices are symmetric."""
        return float((self.weight * (self.products() - self.target) ** 2).sum())


def match_products(
    columns: Columns,
    blocks: Sequence[Block],
    variables: Sequence[str],
    *,
    rng: np.random.Generator,
    swaps: int,
    candidates: int = 64,
    strata: NDArray[np.intp] | None = None,
) -> Columns:
    """Exchange values of single variables between rows while the blocks' losses fall.

    Each step takes a variable and a row, tries `candidates` partner rows at once, and makes the best exchange if
    it helps. A trial costs O(columns), whatever the number of rows.

    Parameters
    ----------
    columns
        Arrays of shape (n,) by variable; blank cells (nan or "") keep their place. Not modified.
    blocks
        Targets; their matrices belong to `columns` and are copied.
    variables
        Variables that may move.
    strata
        Shape (n,): partners come from the same stratum. Default: one stratum.

    Returns
    -------
    Columns
        The columns after the last step.
    """
    columns = {name: column.copy() for name, column in columns.items()}
    matrices = [block.matrix.copy() for block in blocks]
    products = [block.products() for block in blocks]
    sizes = [float(block.rows.sum()) for block in blocks]
    n = len(next(iter(columns.values())))
    groups = np.zeros(n, dtype=np.intp) if strata is None else strata
    pools = {
        name: {int(g): np.flatnonzero(~is_blank(columns[name]) & (groups == g)) for g in np.unique(groups)}
        for name in variables
    }
    movable = [v for v in variables if any(v in b.moves for b in blocks)]
    for _ in range(swaps if movable else 0):
        name = movable[int(rng.integers(len(movable)))]
        first = int(rng.integers(n))
        pool = pools[name][int(groups[first])]
        if len(pool) < 2 or is_blank(columns[name][first : first + 1])[0]:
            continue
        partners = pool[rng.integers(len(pool), size=candidates)]
        partners = partners[columns[name][partners] != columns[name][first]]
        if not len(partners):
            continue
        gain = np.zeros(len(partners))
        trials: list[tuple[Move, Floats, Floats] | None] = []
        for block, matrix, product, size in zip(blocks, matrices, products, sizes, strict=True):
            move = block.moves.get(name)
            if move is None or not block.rows[first]:
                trials.append(None)
                continue
            difference = matrix[partners] - matrix[first]
            step = difference[:, move.source] * move.factor
            others = difference.copy()
            others[:, move.changed] = 0.0
            weight = block.weight[move.changed]
            # product (j, k) changes by c = -step_j * others_k / size, the loss by w (2 error c + c^2)
            linear = (
                -2.0 / size * ((step @ (weight * (product - block.target)[move.changed])) * others).sum(1)
            )
            square = ((step**2 @ weight) * others**2).sum(1) / size**2
            gain += 2.0 * (linear + square)
            bounded = np.isfinite(block.high[first, move.changed])
            if bounded.any():
                at, moved = move.changed[bounded], step[:, bounded]
                low, high = block.low[:, at], block.high[:, at]
                here, there = matrix[first, at], matrix[partners][:, at]
                gain += block.bound_weight * (
                    _excess(here + moved, low[first], high[first])
                    + _excess(there - moved, low[partners], high[partners])
                    - _excess(here, low[first], high[first])
                    - _excess(there, low[partners], high[partners])
                )
            trials.append((move, step, others))
        best = int(np.argmin(gain))
        if gain[best] >= -1e-12:
            continue
        second = int(partners[best])
        columns[name][[first, second]] = columns[name][[second, first]]
        for trial, matrix, product, size in zip(trials, matrices, products, sizes, strict=True):
            if trial is None:
                continue
            move, step, others = trial
            change = -np.outer(step[best], others[best]) / size
            product[move.changed] += change
            product[:, move.changed] += change.T
            matrix[first, move.changed] += step[best]
            matrix[second, move.changed] -= step[best]
    return columns


def climb(
    columns: Columns,
    loss: Callable[[Columns], float],
    variables: Sequence[str],
    *,
    rng: np.random.Generator,
    swaps: int,
    good_enough: float = 0.0,
    strata: NDArray[np.intp] | None = None,
) -> Columns:
    """Exchange values between random rows while any loss falls; every trial computes the loss anew.

    Parameters
    ----------
    columns
        Arrays of shape (n,) by variable. Not modified.
    loss
        Non-negative; 0 when all targets are met.
    variables
        Variables that may move.
    swaps
        Trials.
    good_enough
        The search ends below this loss.
    strata
        Shape (n,): partners come from the same stratum. Default: one stratum.
    """
    columns = {name: column.copy() for name, column in columns.items()}
    pools = {name: np.flatnonzero(~is_blank(columns[name])) for name in variables}
    best = loss(columns)
    for _ in range(swaps if variables else 0):
        if best <= good_enough:
            break
        column = columns[variables[int(rng.integers(len(variables)))]]
        pool = pools[next(name for name in variables if columns[name] is column)]
        pair = pool[rng.integers(len(pool), size=2)]
        if strata is not None:
            alike = pool[strata[pool] == strata[pair[0]]]
            pair[1] = alike[rng.integers(len(alike))]
        if column[pair[0]] == column[pair[1]]:
            continue
        column[pair] = column[pair[::-1]]
        now = loss(columns)
        if now < best:
            best = now
        else:
            column[pair] = column[pair[::-1]]
    return columns


def unit_correlations(values: Floats, units: NDArray[np.intp]) -> Floats:
    """Intraclass correlation of every column by the analysis of variance, blanks left out, shape (p,).

    Donner (1986), International Statistical Review 54(1), 67-82, equation 2.1.

    Parameters
    ----------
    values
        Shape (n, p), nan where blank; no column constant.
    units
        Unit of each row, 0 to G - 1, shape (n,).
    """
    member = (units == np.arange(units.max() + 1)[:, None]).astype(np.float64)
    answered = ~np.isnan(values)
    n, sizes = answered.sum(0), member @ answered
    centred = np.where(answered, values - np.nanmean(values, axis=0), 0.0)
    sums = member @ centred
    among = (sums**2 / np.maximum(sizes, 1)).sum(0)
    k = (sizes > 0).sum(0)
    between, within = among / (k - 1), ((centred**2).sum(0) - among) / (n - k)
    size = (n - (sizes**2).sum(0) / n) / (k - 1)
    return np.asarray((between - within) / (between + (size - 1) * within), dtype=np.float64)


def is_blank(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Cells without an answer: nan in numbers, the empty text in texts."""
    if column.dtype.kind == "f":
        return np.asarray(np.isnan(column), dtype=np.bool_)
    return np.asarray(column == "", dtype=np.bool_)


def standardised(column: Floats, rows: NDArray[np.bool_] | None = None) -> Floats:
    """Column with mean 0 and mean square 1 over `rows`, 0 outside them; blanks take the mean.

    Raises
    ------
    ValueError
        The column is constant over the rows.
    """
    chosen = np.ones(len(column), dtype=np.bool_) if rows is None else rows
    centred = np.where(chosen, column - np.nanmean(column[chosen]), 0.0)
    centred = np.nan_to_num(centred)
    scale = np.sqrt((centred[chosen] ** 2).mean())
    if scale < 1e-12:
        raise ValueError("a constant column has no correlation")
    return np.asarray(centred / scale, dtype=np.float64)


def term(columns: Columns, name: str) -> Floats:
    """Numbers of a term: a variable, or the 0/1 dummy of `variable=level` (0 where it is blank).

    Raises
    ------
    KeyError
        No such variable.
    """
    variable, _, level = name.partition("=")
    if variable not in columns:
        raise KeyError(f"term {name!r}: no variable {variable!r}")
    column = columns[variable]
    if not level:
        return column.astype(np.float64)
    hit = (column == float(level)) if column.dtype.kind == "f" else (column == level)
    return np.asarray(hit, dtype=np.float64)


def plain_block(
    columns: Columns,
    terms: Sequence[str],
    pairs: Mapping[tuple[str, str], tuple[float, float]],
    *,
    sums: Mapping[str, Mapping[str, float]] | None = None,
    rows: NDArray[np.bool_] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Block:
    """Block of standardised terms and weighted sums of them.

    Parameters
    ----------
    columns
        Arrays by variable.
    terms
        Terms, see `term`.
    pairs
        (term or sum, term or sum) -> (wanted mean product, weight).
    sums
        Name -> {term: weight}: a weighted sum of standardised terms, e.g. a factor score.
    rows
        Rows of the block; default all.
    bounds
        Sum or term -> (lowest, highest) value wanted; the rows that are extreme now are to reach them.
    """
    sums = sums or {}
    names = [*terms, *sums]
    position = {name: i for i, name in enumerate(names)}
    n = len(next(iter(columns.values())))
    chosen = np.ones(n, dtype=np.bool_) if rows is None else rows
    matrix = np.zeros((n, len(names)))
    for name in terms:
        matrix[:, position[name]] = standardised(term(columns, name), chosen)
    for name, weights in sums.items():
        matrix[:, position[name]] = sum(w * matrix[:, position[t]] for t, w in weights.items())
    target = np.zeros((len(names), len(names)))
    weight = np.zeros_like(target)
    for (left, right), (value, importance) in pairs.items():
        i, j = position[left], position[right]
        target[i, j] = target[j, i] = value
        weight[i, j] = weight[j, i] = importance
    moves = {}
    for variable in dict.fromkeys(name.partition("=")[0] for name in terms):
        own = [position[t] for t in terms if t.partition("=")[0] == variable]
        followers = [
            (position[s], position[t], w)
            for s, weights in sums.items()
            for t, w in weights.items()
            if t.partition("=")[0] == variable
        ]
        moves[variable] = Move(
            changed=np.array([*own, *(f[0] for f in followers)], dtype=np.intp),
            source=np.array([*own, *(f[1] for f in followers)], dtype=np.intp),
            factor=np.array([*(1.0 for _ in own), *(f[2] for f in followers)]),
        )
    low, high = np.full(matrix.shape, -np.inf), np.full(matrix.shape, np.inf)
    for name, (bottom, top) in (bounds or {}).items():
        at = position[name]
        low[:, at], high[:, at] = bottom, top
        high[matrix[:, at].argmin(), at] = bottom
        low[matrix[:, at].argmax(), at] = top
    return Block(matrix, target, weight, chosen, moves, low, high)


def _excess(values: Floats, low: Floats, high: Floats) -> Floats:
    """Sum of squared excesses over the bounds, a number a row."""
    over = np.maximum(values - high, 0.0) + np.maximum(low - values, 0.0)
    return np.asarray((over**2).sum(axis=-1), dtype=np.float64)
