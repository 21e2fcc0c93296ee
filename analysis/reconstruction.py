"""Answers on a scale that would print as a mean and a standard deviation, if there are any.

What belongs here: the search for one distribution (as SPRITE, Heathers and others 2018, finds some and CLOSURE, Wilner,
Wood and Simons 2018, all). What does not: which figures of a paper to search for (`printed_samples`).
"""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from analysis.arrays import IntArray
from analysis.plausibility import Printed, grim, whole_numbers

WIDEST_SCALE = 11
"""Points of a scale up to which a distribution is searched for."""


def reconstruct(
    mean: Printed, sd: Printed, n: int, lower: int, upper: int, *, divisors: tuple[int, ...] | None = None
) -> IntArray | None:
    """Counts of each point of a scale that give a printed mean and standard deviation.

    Parameters
    ----------
    mean, sd : Printed
    n : int
        Answers.
    lower, upper : int
        Ends of the scale, both reachable.
    divisors : tuple of int, optional
        What the sum of squares is divided by; n - 1 and n.

    Returns
    -------
    ndarray, shape (upper - lower + 1,), or None
        One of the possible distributions; None if there is none.

    Notes
    -----
    Whole counts c with sum n, sum of values within the rounding of the mean and sum of squares within that of the sd.
    """
    points = np.arange(lower, upper + 1, dtype=np.float64)
    for total in grim(mean, n):
        for divisor in divisors or (n - 1, n):
            if divisor < 1:
                continue
            low, high = (divisor * max(end, 0.0) ** 2 + total**2 / n for end in (sd.low, sd.high))
            squares = whole_numbers(low, high)
            if not squares:
                continue
            rows = np.vstack([np.ones_like(points), points, points**2])
            sides = (
                np.array([n, total, squares[0]], dtype=float),
                np.array([n, total, squares[-1]], dtype=float),
            )
            solution = milp(
                np.zeros(len(points)),
                constraints=LinearConstraint(rows, *sides),
                bounds=Bounds(0, n),
                integrality=np.ones(len(points)),
            )
            if solution.success:
                return np.asarray(np.round(solution.x), dtype=np.int64)
    return None
