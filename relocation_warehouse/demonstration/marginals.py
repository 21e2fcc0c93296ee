"""Exact marginal distributions: how many rows get which value.

Belongs here: pure functions from a variable's description to its values in ascending order.
Does not belong here: which row gets which value (`draw`, `calibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from relocation_warehouse.demonstration.spec import Distribution, Moments, Sums, Value

Counts = dict[Value, int]


class ImpossibleMarginalError(ValueError):
    """No set of whole-number answers has the figures asked for."""


def counts_from_moments(moments: Moments, n: int) -> Counts:
    """Counts of the levels that give the printed mean and standard deviation when rounded.

    Parameters
    ----------
    moments
        Printed mean and standard deviation (denominator n - 1), their decimals, and the ends of the scale.
    n
        Number of answers.

    Returns
    -------
    Counts
        Level -> number of answers; among all solutions the one closest to a normal curve cut at the levels.

    Raises
    ------
    ImpossibleMarginalError
        No sum of n answers rounds to the mean (GRIM), or no sum of squares to the deviation (GRIMMER).
    """
    mean_half = 0.5 * 10.0**-moments.mean_decimals
    sd_half = 0.5 * 10.0**-moments.sd_decimals
    lowest = int(np.ceil((moments.mean - mean_half) * n - 1e-9))
    highest = int(np.floor((moments.mean + mean_half) * n + 1e-9))
    levels = np.arange(moments.minimum, moments.maximum + 1)
    best: tuple[float, Counts] | None = None
    for total in range(lowest, highest + 1):
        low = (n - 1) * (moments.sd - sd_half) ** 2 + total**2 / n
        high = (n - 1) * (moments.sd + sd_half) ** 2 + total**2 / n
        closest = _closest(levels=levels, n=n, total=total, squares=(low + 1e-6, high - 1e-6), sd=moments.sd)
        if closest is not None and (best is None or closest[0] < best[0]):
            best = closest
    if best is None:
        raise ImpossibleMarginalError(
            f"no {n} whole numbers from {moments.minimum} to {moments.maximum} have mean {moments.mean} "
            f"and sd {moments.sd} when rounded; check n (GRIM)"
        )
    return best[1]


def counts_from_sums(sums: Sums, n: int) -> Counts:
    """Counts of the levels with an exact sum and sum of squares; see `counts_from_moments`."""
    sd = float(np.sqrt(max(sums.squares - sums.total**2 / n, 0.0) / (n - 1)))
    levels = np.arange(sums.minimum, sums.maximum + 1)
    closest = _closest(levels=levels, n=n, total=sums.total, squares=(sums.squares, sums.squares), sd=sd)
    if closest is None:
        raise ImpossibleMarginalError(
            f"no {n} whole numbers from {sums.minimum} to {sums.maximum} have sum {sums.total} and "
            f"sum of squares {sums.squares}"
        )
    return closest[1]


def _closest(
    *, levels: NDArray[np.int_], n: int, total: int, squares: tuple[float, float], sd: float
) -> tuple[float, Counts] | None:
    """Distance and counts nearest (L1) to a discretised normal, by integer programming."""
    edges = (np.concatenate([[-np.inf], levels[:-1] + 0.5, [np.inf]]) - total / n) / max(sd, 1e-9)
    wanted = n * np.diff(stats.norm.cdf(edges))
    k = len(levels)
    zero = np.zeros(k)
    rows = np.array([np.r_[np.ones(k), zero], np.r_[levels, zero], np.r_[levels**2, zero]], dtype=float)
    deviation = np.block([[np.eye(k), -np.eye(k)], [-np.eye(k), -np.eye(k)]])
    result = optimize.milp(
        c=np.r_[zero, 1.0 / np.sqrt(wanted + 1.0)],
        integrality=np.r_[np.ones(k), zero],
        bounds=optimize.Bounds(0, n),
        constraints=[
            optimize.LinearConstraint(rows, [n, total, squares[0]], [n, total, squares[1]]),
            optimize.LinearConstraint(deviation, -np.inf, np.r_[wanted, -wanted]),
        ],
    )
    if not result.success:
        return None
    counts = np.rint(result.x[:k]).astype(int)
    return float(result.fun), {int(level): int(c) for level, c in zip(levels, counts, strict=True) if c}


def scale_counts(counts: Mapping[Value, int], n: int) -> Counts:
    """The same proportions among `n` answers, by largest remainder."""
    names = list(counts)
    exact = np.array([counts[name] for name in names], dtype=float) * (n / sum(counts.values()))
    whole = np.floor(exact).astype(int)
    short = n - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:short]] += 1
    return {name: int(c) for name, c in zip(names, whole, strict=True)}


def quantile_values(distribution: Distribution, n: int) -> NDArray[np.float64]:
    """Ascending values, shape (n,), at the quantiles (i + 1/2)/n of the distribution."""
    family = getattr(stats, distribution.kind)
    values = np.asarray(family.ppf((np.arange(n) + 0.5) / n, **distribution.parameters), dtype=float)
    values = np.clip(
        values,
        -np.inf if distribution.minimum is None else distribution.minimum,
        np.inf if distribution.maximum is None else distribution.maximum,
    )
    if distribution.step is not None:
        values = np.rint(values / distribution.step) * distribution.step
    return np.asarray(np.round(values, distribution.decimals), dtype=np.float64)
