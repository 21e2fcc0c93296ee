"""Columns of a coefficient table that are weighted sums of others, and the cells that break it.

What belongs here: the search for the weights among rows of which many may be misprinted, and for the repair. What does
not: which figures make a table (`printed_regressions`).

Least squares is linear in the dependent variable: with the same regressors, the coefficients of a weighted sum are the
weighted sum of the coefficients.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, log

import numpy as np

from analysis.arrays import BoolArray, FloatArray

SLACK = 1e-9
"""Slack for binary floating point at the ends of a rounding interval."""

DRAWS = 400
"""Sets of rows from which weights are tried (RANSAC, Fischler and Bolles 1981)."""

CHANCE = 1e-4
"""Expected number of composites that unrelated columns would show (a contrario, Moisan and Stival 2004)."""

LEAST_WEIGHT = 0.05
"""Weight that at least one part of a composite has."""

FARTHEST = 4
"""Rows by which a block may have been moved, in either direction."""

LEAST_SHARE = 0.5
"""Smallest share of the rows that must obey; with fewer the identity is no property of the table."""


@dataclass(frozen=True)
class CompositeFit:
    """One column of a coefficient table is a weighted sum of others, apart from a few rows.

    Attributes
    ----------
    composite : int
        Column of the composite.
    parts : tuple of int
        The other columns.
    weights : ndarray, shape (len(parts),)
        Not negative; of the parts, within rounding. 0 where the sum does without a part.
    broken : tuple of int
        Rows that break the identity as printed; empty if none does.
    shift : int
        Rows the parts of the broken block must move up, the first ones to its end, to restore it; 0 if none does.
    swaps : tuple of (row, column, column)
        Cells that must change places in a broken row to restore it.
    residual_before, residual_after : float
        Largest |composite - weighted parts| in the broken rows as printed and after the repair; both 0 if no row
        is broken.
    residual_elsewhere : float
        The same in the other rows.
    signs : tuple of (row, column)
        Cells whose sign must change to restore a broken row.
    """

    composite: int
    parts: tuple[int, ...]
    weights: FloatArray
    broken: tuple[int, ...]
    shift: int
    swaps: tuple[tuple[int, int, int], ...]
    residual_before: float
    residual_after: float
    residual_elsewhere: float
    signs: tuple[tuple[int, int], ...] = ()


def find_composite(
    b: FloatArray,
    half: FloatArray,
    *,
    max_broken_share: float = LEAST_SHARE,
    totals: Sequence[int] = (),
    known: Mapping[int, Sequence[FloatArray]] | None = None,
) -> CompositeFit | None:
    """Find the column that is a weighted sum of the others, and the rows where the print broke it.

    Weights are drawn from small sets of rows and refined on all rows that obey them, so that up to half of the rows
    may be broken, wherever they stand. A column counts as a weighted sum only if unrelated columns would agree in
    as many rows less than once in 1 / `CHANCE` tables. Every shift of a block, exchange of two cells and change of a
    sign is then tried as the explanation.

    Parameters
    ----------
    b : ndarray, shape (rows, models)
        Printed coefficients, rows in printed order.
    half : ndarray, shape (rows, models)
        Half a unit of the last digit of each.
    max_broken_share : float
        Largest share of the rows that may break the identity.
    totals : sequence of int
        Columns that alone may be the composite; any if empty.
    known : mapping of int to sequence of ndarray
        Weights that a composite column has by other figures of the paper, tried before any are searched for.

    Returns
    -------
    CompositeFit or None
        None if no column is a weighted sum of the others, or there are too few rows to tell.
    """
    rows, models = b.shape
    if models < 3 or rows < models + 4:
        return None
    candidates = list(totals) or list(range(models))
    for composite in candidates:
        everything = np.ones(rows, dtype=bool)
        weights = _weights_of(b, half, composite, everything)
        if weights is not None and _expected_by_chance(b, half, composite, weights, rows) < CHANCE:
            return _repair(b, half, composite, weights, ())
    for composite, tried in (known or {}).items():
        for weights in tried:
            parts = _others(models, composite)
            left = np.abs(b[:, composite] - b[:, parts] @ weights)
            obeys = left <= residual_tolerance(half, composite, parts, weights)
            kept = int(obeys.sum())
            if kept >= rows / 3 and _expected_by_chance(b, half, composite, weights, kept, n_free=0) < CHANCE:
                return _repair(b, half, composite, weights, tuple(int(row) for row in np.flatnonzero(~obeys)))
    best: tuple[int, int, FloatArray, BoolArray] | None = None
    for composite in candidates:
        consensus = _consensus(b, half, composite, max_broken_share)
        if consensus is not None and (best is None or consensus[1].sum() > best[0]):
            best = int(consensus[1].sum()), composite, *consensus
    if best is not None:
        kept, composite, weights, obeys = best
        if _expected_by_chance(b, half, composite, weights, kept) < CHANCE:
            return _repair(b, half, composite, weights, tuple(int(row) for row in np.flatnonzero(~obeys)))
    for composite in candidates:
        # A block that is most of a short table leaves too few rows to see the identity without it.
        found_block = _moved_block(b, half, composite)
        if found_block is not None:
            return found_block
    return None


def residual_tolerance(
    half: FloatArray, composite: int, parts: Sequence[int], weights: FloatArray
) -> FloatArray:
    """Largest |composite - weighted parts| that rounding alone explains, shape (rows,)."""
    return np.asarray(half[:, composite] + half[:, list(parts)] @ np.abs(weights) + SLACK)


def _others(models: int, composite: int) -> list[int]:
    return [column for column in range(models) if column != composite]


def _consensus(
    b: FloatArray, half: FloatArray, composite: int, max_broken_share: float
) -> tuple[FloatArray, BoolArray] | None:
    """Weights that most rows obey within rounding, and which rows these are."""
    rows, models = b.shape
    parts = _others(models, composite)
    x, y = b[:, parts], b[:, composite]
    size = len(parts)
    rng = np.random.default_rng(rows * models)
    chosen = np.array([rng.choice(rows, size=size, replace=False) for _ in range(DRAWS)])
    matrices, sides = x[chosen], y[chosen]
    well = np.abs(np.linalg.det(matrices)) > np.finfo(float).eps
    drawn = np.linalg.solve(matrices[well], sides[well][..., None])[..., 0]
    if len(drawn) == 0:
        return None
    # Weights from so few rows are rough: rows count that lie near, and those that do decide again, together.
    drawn = np.clip(drawn, 0.0, None)
    residual = np.abs(y - drawn @ x.T)
    allowed = 4 * (half[:, composite] + drawn @ half[:, parts].T)
    order = np.argsort(-(residual <= allowed).sum(axis=1), kind="stable")[:8]
    least = max(size + 4, int(np.ceil(rows * (1 - max_broken_share))))
    best: tuple[FloatArray, BoolArray] | None = None
    for start in order:
        weights, obeys = drawn[start], residual[start] <= allowed[start]
        for widened in (3.0, 2.0, 1.0, 1.0):
            if obeys.sum() < size + 1:
                break
            weights = np.clip(np.linalg.lstsq(x[obeys], y[obeys], rcond=None)[0], 0.0, None)
            limit = widened * residual_tolerance(half, composite, parts, weights)
            obeys = np.abs(y - x @ weights) <= limit
        if obeys.sum() < least - 2:
            continue
        grown = _grow(b, half, composite, weights, obeys)
        if grown is not None and grown[1].sum() >= least and (best is None or grown[1].sum() > best[1].sum()):
            best = grown
    return best


def _grow(
    b: FloatArray, half: FloatArray, composite: int, weights: FloatArray, obeys: BoolArray
) -> tuple[FloatArray, BoolArray] | None:
    """The largest set of rows around those that obey which some weights satisfy exactly within rounding."""
    parts = _others(b.shape[1], composite)
    kept = obeys.copy()
    exact = _weights_of(b, half, composite, kept)
    while exact is None and kept.sum() > len(parts) + 4:
        left = np.abs(b[:, composite] - b[:, parts] @ weights) / residual_tolerance(
            half, composite, parts, weights
        )
        kept[np.argmax(np.where(kept, left, -1.0))] = False
        exact = _weights_of(b, half, composite, kept)
    if exact is None:
        return None
    left = np.abs(b[:, composite] - b[:, parts] @ exact) / residual_tolerance(half, composite, parts, exact)
    for row in np.argsort(left):
        if kept[row] or left[row] > 3:
            continue
        kept[row] = True
        more = _weights_of(b, half, composite, kept)
        kept[row] = more is not None
        exact = exact if more is None else more
    return exact, kept


def _expected_by_chance(
    b: FloatArray,
    half: FloatArray,
    composite: int,
    weights: FloatArray,
    kept: int,
    n_free: int | None = None,
) -> float:
    """Expected number of sets of `kept` rows that would obey if the columns were unrelated."""
    rows, models = b.shape
    parts = _others(models, composite)
    y = b[:, composite]
    spread = max(float(np.subtract(*np.percentile(y, [90, 10]))), 1e-12)
    width = float(np.median(residual_tolerance(half, composite, parts, weights)))
    p = min(1.0, 2 * width / spread)
    free = kept - (int((weights > 0).sum()) if n_free is None else n_free)
    return float(np.exp(min(0.0, log(models * comb(rows, kept)) + free * log(p)))) if free > 0 else 1.0


def _weights_of(b: FloatArray, half: FloatArray, composite: int, kept: BoolArray) -> FloatArray | None:
    """Weights with which the rows kept obey the identity within rounding, if there are any."""
    parts = _others(b.shape[1], composite)
    x, y, hx, hy = b[kept][:, parts], b[kept, composite], half[kept][:, parts], half[kept, composite]
    if len(x) < len(parts):
        return None
    guess, *_ = np.linalg.lstsq(x, y, rcond=None)
    # Least squares is quick and rules out nearly everything; the linear programme then decides exactly.
    if (guess < -LEAST_WEIGHT).any() or guess.max() < LEAST_WEIGHT:
        return None
    guess = np.maximum(guess, 0.0)
    excess = np.abs(y - x @ guess) / (hy + hx @ guess + SLACK)
    if excess.max() <= 1 or excess.max() > 3:
        return guess if excess.max() <= 1 else None
    # |y - Xw| <= s hy + Hx w with w >= 0, minimising s: within rounding exactly if s <= 1 is feasible.
    p = len(guess)
    rows = np.vstack([np.column_stack([x - hx, -hy]), np.column_stack([-x - hx, -hy])])
    bounds = [(0.0, None)] * p + [(0.0, 1.0)]
    # loaded where it is needed: whoever only reads what papers print waits for no optimiser
    from scipy.optimize import linprog

    result = linprog(np.append(np.zeros(p), 1.0), A_ub=rows, b_ub=np.concatenate([y, -y]), bounds=bounds)
    return np.asarray(result.x[:p]) if result.success else None


def _repair(
    b: FloatArray, half: FloatArray, composite: int, weights: FloatArray, broken: tuple[int, ...]
) -> CompositeFit:
    """Look for the shift, the exchanges or the signs that restore the broken rows."""
    parts = tuple(_others(b.shape[1], composite))
    tolerance = residual_tolerance(half, composite, parts, weights)
    cells, target = b[:, list(parts)], b[:, composite]
    residual = np.abs(target - cells @ weights)
    elsewhere = float(np.delete(residual, broken).max())
    if not broken:
        return CompositeFit(composite, parts, weights, (), 0, (), 0.0, 0.0, elsewhere)
    before = float(residual[list(broken)].max())
    if len(broken) > 1:
        moved = _moved_block(b, half, composite, weights)
        if moved is not None:
            return moved
    swaps: list[tuple[int, int, int]] = []
    signs: list[tuple[int, int]] = []
    for row in broken:
        for i, j, repaired in _cell_repairs(b[row], (*parts, composite)):
            left_over = abs(float(repaired[composite] - repaired[list(parts)] @ weights))
            if left_over > tolerance[row]:
                continue
            if i != j:
                swaps.append((row, i, j))
            else:
                signs.append((row, i))
            residual[row] = left_over
            break
    after = float(residual[list(broken)].max())
    return CompositeFit(
        composite, parts, weights, broken, 0, tuple(swaps), before, after, elsewhere, tuple(signs)
    )


def _cell_repairs(row: FloatArray, columns: Sequence[int]) -> Iterator[tuple[int, int, FloatArray]]:
    """A row with two cells exchanged, or with the sign of one changed (named twice)."""
    for i, j in combinations(columns, 2):
        exchanged = row.copy()
        exchanged[[i, j]] = exchanged[[j, i]]
        yield i, j, exchanged
    for i in columns:
        turned = row.copy()
        turned[i] = -turned[i]
        yield i, i, turned


def _moved_block(
    b: FloatArray, half: FloatArray, composite: int, weights: FloatArray | None = None
) -> CompositeFit | None:
    """The shortest block of consecutive rows whose parts, moved by a few rows, make every row obey.

    Parameters
    ----------
    weights : ndarray, optional
        Where they are known already; else each moved table gives its own.
    """
    rows, models = b.shape
    parts = _others(models, composite)
    x, y, hx, hy = b[:, parts], b[:, composite], half[:, parts], half[:, composite]
    moves, orders = [], []
    for length in range(2, rows + 1):
        shifts = {s % length for k in range(1, FARTHEST + 1) for s in (k, -k)} - {0}
        for start, shift in product(range(rows - length + 1), sorted(shifts)):
            order = np.arange(rows)
            order[start : start + length] = np.roll(order[start : start + length], -shift)
            moves.append((start, length, shift))
            orders.append(order)
    order = np.array(orders)
    moved = x[order]
    if weights is None:
        gram = np.einsum("mri,mrj->mij", moved, moved) + SLACK * np.eye(len(parts))
        tried = np.linalg.solve(gram, np.einsum("mri,r->mi", moved, y)[..., None])[..., 0]
        tried = np.clip(tried, 0.0, None)
    else:
        tried = np.tile(weights, (len(moves), 1))
    left = np.abs(y - np.einsum("mri,mi->mr", moved, tried))
    allowed = hy + np.einsum("mri,mi->mr", hx[order], tried) + SLACK
    for k in np.flatnonzero((left <= 2 * allowed).all(axis=1)):
        start, length, shift = moves[k]
        whole, whole_half = b.copy(), half.copy()
        whole[:, parts], whole_half[:, parts] = moved[k], hx[order[k]]
        again = _weights_of(whole, whole_half, composite, np.ones(rows, dtype=bool))
        if again is None or again.max() < LEAST_WEIGHT:
            continue
        if len(moves) * _expected_by_chance(whole, whole_half, composite, again, rows) >= CHANCE:
            continue
        block = tuple(range(start, start + length))
        rest = np.delete(np.abs(y - moved[k] @ again), block)
        return CompositeFit(
            composite,
            tuple(parts),
            again,
            block,
            shift,
            (),
            float(np.abs(y - x @ again)[list(block)].max()),
            float(np.abs(y - moved[k] @ again)[list(block)].max()),
            float(rest.max()) if len(rest) else 0.0,
        )
    return None
