"""Could a printed figure have come from data at all? Arithmetic on rounded numbers.

What belongs here: tests of single printed figures against each other, with rounding carried as an interval. What
does not: finding the figures of a paper that belong together (`printed_tables`) and anything about households.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np

from analysis import composites
from analysis.arrays import FloatArray
from analysis.errors import AnalysisError

CompositeFit = composites.CompositeFit
find_composite = composites.find_composite
residual_tolerance = composites.residual_tolerance

SLACK = 1e-9
"""Relative slack for binary floating point at the ends of a rounding interval."""

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.(\d+))?|\.(\d+))")
MINUS = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2010": "-", "\u2011": "-"})
"""Signs that typesetters put for a minus."""


@dataclass(frozen=True)
class Printed:
    """A number as printed: everything between `low` and `high` rounds to it, by whatever rule for halves.

    Attributes
    ----------
    text : str
    value, low, high : float
    decimals : int
        Digits after the point, trailing zeros included.
    """

    text: str
    value: float
    low: float
    high: float
    decimals: int

    @property
    def half(self) -> float:
        """Half a unit of the last printed digit."""
        return 0.5 * 10.0**-self.decimals

    def overlaps(self, low: float, high: float) -> bool:
        """Whether a value between low and high could have been printed like this."""
        slack = SLACK * max(1.0, abs(self.value))
        return low <= self.high + slack and high >= self.low - slack


def printed(text: object) -> Printed | None:
    """Read a number as it was printed; None for anything that is not a plain decimal number."""
    clean = str(text).strip().translate(MINUS)
    match = NUMBER.fullmatch(clean)
    if match is None:
        return None
    value, decimals = float(clean), len(match.group(1) or match.group(2) or "")
    half = 0.5 * 10.0**-decimals
    return Printed(clean, value, value - half, value + half, decimals)


def whole_numbers(low: float, high: float) -> range:
    """Whole numbers between two ends, both included up to rounding error."""
    slack = SLACK * max(1.0, abs(low), abs(high))
    return range(ceil(low - slack), floor(high + slack) + 1)


def largest_sd(mean: Printed, lower: float, upper: float, n: int, *, steps: int = 0) -> float:
    """Largest sd of n values within bounds: sqrt((m - lower)(upper - m) n/(n-1)), as many at each end as m asks for.

    Whole answers whose sum does not divide so leave one answer between the ends, and the sd a little smaller. Where
    no sum of whole answers prints as the mean, which `grim` says, the bound is that of any values.

    Parameters
    ----------
    mean : Printed
        The mean within its rounding interval that allows most is taken.
    lower, upper : float
        Ends of the scale.
    n : int
        Values, at least two.
    steps : int
        Steps per unit of whole answers, as in `grim`; 0 for values that may lie anywhere.

    Raises
    ------
    AnalysisError
        If n is below two or no mean of the interval lies within the bounds.
    """
    middle = min(max((lower + upper) / 2, mean.low), mean.high)
    if n < 2 or not lower <= middle <= upper:
        raise AnalysisError(f"No sd for mean {mean.text} of {n} values between {lower:g} and {upper:g}.")
    if steps and float(lower * steps).is_integer() and float(upper * steps).is_integer():
        first, span = round(n * lower * steps), round((upper - lower) * steps)
        above = [s - first for s in grim(mean, n, steps=steps) if 0 <= s - first <= n * span]
        squares = [a // span * span**2 + (a % span) ** 2 - a * a / n for a in above]
        if squares:
            return sqrt(max(squares) / (n - 1)) / steps
    return sqrt((middle - lower) * (upper - middle) * n / (n - 1))


def grim(mean: Printed, n: int, *, steps: int = 1) -> range:
    """Sums of n whole numbers that would print as this mean (Brown and Heathers 2017); empty if there is none.

    Parameters
    ----------
    mean : Printed
    n : int
    steps : int
        Steps of the scale per unit: 1 for a raw scale, 4 for a five-point scale mapped to 0-1.
    """
    return whole_numbers(mean.low * steps * n, mean.high * steps * n)


def is_grim_testable(mean: Printed, n: int, *, steps: int = 1) -> bool:
    """Whether the test can fail at all: neighbouring means must lie further apart than the rounding."""
    return 1.0 / (n * steps) > 2 * mean.half


def grimmer(mean: Printed, sd: Printed, n: int, *, steps: int = 1) -> bool:
    """Whether whole numbers with this mean and sd exist (Anaya 2016; Allard 2018).

    For each possible sum S a whole sum of squares Q must give the sd, Q and S must both be even or both odd, and Q
    cannot fall below that of the most even spread. Both divisors, n - 1 and n, are allowed.
    """
    for total in grim(mean, n, steps=steps):
        quotient, rest = divmod(total, n)
        least = (n - rest) * quotient**2 + rest * (quotient + 1) ** 2
        for divisor in (n - 1, n):
            low, high = (divisor * (max(end, 0.0) * steps) ** 2 + total**2 / n for end in (sd.low, sd.high))
            squares = whole_numbers(low, high)
            if any(q >= least and (q - total) % 2 == 0 for q in squares):
                return True
    return False


def counts_for_percent(percent: Printed, n: int) -> range:
    """Counts out of n that would print as this percentage; empty if there is none."""
    return whole_numbers(percent.low * n / 100, percent.high * n / 100)


def common_bases(waves: Sequence[Sequence[Printed]], bases: Sequence[int]) -> list[int]:
    """Sample sizes at which every percentage is a whole count.

    Parameters
    ----------
    waves : sequence of sequences of Printed
        Percentages by wave. Where a wave's percentages add up to 100 within rounding they are taken as the shares
        of all n, and the counts must add up to n as well.
    bases : sequence of int
        Sample sizes to try.
    """
    return [n for n in bases if all(_fits(shares, n) for shares in waves)]


def is_closed(shares: Sequence[Printed]) -> bool:
    """Whether two or more percentages add up to 100 within their rounding."""
    total = sum(share.value for share in shares)
    return len(shares) > 1 and abs(total - 100) <= sum(share.half for share in shares) + SLACK


def _fits(shares: Sequence[Printed], n: int) -> bool:
    ranges = [counts_for_percent(share, n) for share in shares]
    if not all(ranges):
        return False
    return not is_closed(shares) or sum(r[0] for r in ranges) <= n <= sum(r[-1] for r in ranges)


def f_from_adjusted_r2(adjusted_r2: float, n: int, k: int) -> float:
    """F of a regression with k regressors and an intercept: R2/k over (1-R2)/(n-k-1)."""
    unexplained = (1.0 - adjusted_r2) * (n - k - 1) / (n - 1)
    return ((1.0 - unexplained) / k) / (unexplained / (n - k - 1))


def least_column_sums(
    low: FloatArray, high: FloatArray, sd_low: FloatArray, sd_high: FloatArray
) -> FloatArray:
    """Least absolute value of each column sum of loadings, the rows weighted by sds.

    Their squares bound the variance of the sum of the items. The correlations are R = LL' + E, where E belongs to the
    components left out and has no negative eigenvalue; hence w'Rw >= w'LL'w for any weights w, and an orthogonal
    rotation T changes nothing, L T T' L' = LL'. So alpha >= p/(p-1) (1 - w'w / w'LL'w): the standardised one with
    weights 1, the raw one with the sds.

    Parameters
    ----------
    low, high : ndarray, shape (p, k)
        Ends of each loading; they may differ in sign.
    sd_low, sd_high : ndarray, shape (p,)
        Ends of the weights, not negative.

    Returns
    -------
    ndarray, shape (k,)
    """
    ends = np.stack([w[:, None] * loadings for w in (sd_low, sd_high) for loadings in (low, high)])
    bottom, top = ends.min(axis=0).sum(axis=0), ends.max(axis=0).sum(axis=0)
    return np.asarray(np.maximum(0.0, np.maximum(bottom, -top)))


def outlier_range(mean: Printed, sd: Printed, lower: float, upper: float, n: int) -> range:
    """Whole values beyond the scale of which a single one would explain a mean and an impossible sd.

    The other n - 1 values must then lie within the bounds: their mean between them, their sum of squares neither
    negative nor above that of values at the ends.
    """
    squares_low, squares_high = ((n - 1) * end**2 for end in (max(sd.low, 0.0), sd.high))
    values = []
    reach = ceil(sqrt(squares_high * n / (n - 1))) + 1
    for value in range(floor(mean.value) - reach, ceil(mean.value) + reach + 1):
        if lower <= value <= upper:
            continue
        rest_mean = (n * mean.value - value) / (n - 1)
        own = (value - mean.value) ** 2 * n / (n - 1)
        most = (n - 1) * max((rest_mean - lower) * (upper - rest_mean), 0.0)
        if lower <= rest_mean <= upper and squares_high >= own and squares_low - own <= most:
            values.append(value)
    above = [value for value in values if value > upper] or values
    return range(above[0], above[-1] + 1) if above else range(0)


def closest_shares(
    parts: FloatArray, totals: FloatArray, parts_half: FloatArray, totals_half: FloatArray
) -> tuple[FloatArray, float]:
    """Group shares that bring weighted group means closest to the totals, whatever the group sizes.

    Parameters
    ----------
    parts, parts_half : ndarray, shape (v, g)
        Mean of variable v in group g, and half a unit of its last digit.
    totals, totals_half : ndarray, shape (v,)
        The same of the whole.

    Returns
    -------
    shares : ndarray, shape (g,)
        Not negative, sum one.
    error : float
        Largest distance to a total that rounding does not explain; 0 if rounding explains all.
    """
    v, g = parts.shape
    beyond = -np.ones((v, 1))
    # loaded where it is needed: whoever only reads what papers print waits for no optimiser
    from scipy.optimize import linprog

    result = linprog(
        np.append(np.zeros(g), 1.0),
        A_ub=np.block([[parts - parts_half, beyond], [-parts - parts_half, beyond]]),
        b_ub=np.concatenate([totals + totals_half, totals_half - totals]),
        A_eq=np.append(np.ones(g), 0.0)[None, :],
        b_eq=[1.0],
    )
    return np.asarray(result.x[:-1]), float(result.x[-1])
