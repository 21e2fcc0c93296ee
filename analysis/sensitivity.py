"""Does the order of regions survive the choices of method? Every combination of options, and the ranks under each.

What belongs here: running the chain normalisation -> weights -> coupling -> bands over a grid of options, and
summarising ranks. What does not: the methods themselves, and choosing which indicators make a system.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import BoolArray, FloatArray, as_matrix, names_of
from analysis.coupling import Band, Variant, classify, coupling
from analysis.errors import AnalysisError
from analysis.normalisation import BoundsMode, Direction, Outside, find_bounds, normalise
from analysis.weighting import MissingPolicy, WeightMethod, composite, weigh

NO_BANDS = "none"
"""Name of the band option under which regions are ranked by the mean of D itself."""


@dataclass(frozen=True)
class Dimension:
    """Indicators of one dimension of a system.

    Attributes
    ----------
    columns : tuple of int
        Positions in the indicator matrix.
    share : float
        Of the dimension in its system.
    given : tuple of float
        Weights of the columns under the method `given`; empty if there are none.
    """

    columns: tuple[int, ...]
    share: float
    given: tuple[float, ...] = ()


@dataclass(frozen=True)
class Choice:
    """One combination of options."""

    bounds: str
    weights: str
    variant: str
    bands: str


@dataclass(frozen=True)
class Grid:
    """Value of every region under every combination of options.

    Attributes
    ----------
    regions : tuple of str
        Length m, sorted.
    choices : tuple of Choice
        Length c.
    values : ndarray, shape (c, m)
        Mean D of the region, or the mean position of its households in the bands, 0 lowest to 1 highest.
    failures : tuple of (Choice, str)
        Combinations that could not be computed, with the reason.
    """

    regions: tuple[str, ...]
    choices: tuple[Choice, ...]
    values: FloatArray
    failures: tuple[tuple[Choice, str], ...]


@dataclass(frozen=True)
class RankSensitivity:
    """How far the ranks of m regions depend on c combinations of options.

    Attributes
    ----------
    ranks : ndarray, shape (c, m)
        1 highest value; regions that tie share the better rank; NaN without a value.
    same_order : ndarray of bool, shape (c,)
        The combination ranks the regions as the reference does.
    share_same_order : float
        Share of the combinations that do.
    kendall : ndarray, shape (c,)
        Kendall's tau-b of each combination with the reference.
    best, worst : ndarray, shape (m,)
        Range of each region's rank.
    share_first : ndarray, shape (m,)
        Share of the combinations in which the region ranks first.
    share_above : ndarray, shape (m, m)
        Share of the combinations in which the row region lies above the column region.
    reference : int
        Position of the reference combination.
    """

    ranks: FloatArray
    same_order: BoolArray
    share_same_order: float
    kendall: FloatArray
    best: FloatArray
    worst: FloatArray
    share_first: FloatArray
    share_above: FloatArray
    reference: int


def coordination_grid(
    values: npt.ArrayLike,
    directions: Sequence[Direction | str],
    systems: Sequence[Sequence[Dimension]],
    region: npt.ArrayLike,
    survey: npt.ArrayLike,
    *,
    theoretical: tuple[npt.ArrayLike, npt.ArrayLike],
    band_schemes: Mapping[str, Sequence[Band]],
    bounds: Iterable[BoundsMode | str] = tuple(BoundsMode),
    weights: Iterable[WeightMethod | str] = tuple(WeightMethod),
    variants: Iterable[Variant | str] = tuple(Variant),
    alphas: npt.ArrayLike | None = None,
    missing: MissingPolicy | str = MissingPolicy.AVAILABLE,
    min_share: float = 0.5,
) -> Grid:
    """Measure the coordination of every region under every combination of options.

    Parameters
    ----------
    values : array_like, shape (n, p)
        Indicators in natural units, all regions and waves stacked.
    directions : sequence of Direction, length p
    systems : sequence of sequences of Dimension
        The systems that are coupled. Weights are estimated within each dimension from the pooled rows.
    region, survey : array_like of str, shape (n,)
        What is ranked, and whose bounds `within_survey` takes.
    theoretical : pair of array_like, shape (p,)
        Scale ends, NaN where the scale is open.
    band_schemes : mapping of name to bands
        Each is an option beside `none`.
    bounds, weights, variants : iterables
        Options to combine.
    alphas, missing, min_share
        As in `coupling.coupling` and `weighting.composite`.

    Raises
    ------
    AnalysisError
        If every combination fails; single failures are returned with their reason.
    """
    matrix = as_matrix(values, "indicators")
    labels, code = np.unique(np.asarray(region).astype(str), return_inverse=True)
    schemes: dict[str, Sequence[Band]] = {NO_BANDS: (), **band_schemes}
    choices: list[Choice] = []
    results: list[FloatArray] = []
    failures: list[tuple[Choice, str]] = []
    variant_names = [str(variant) for variant in variants]
    for mode, method in product([str(mode) for mode in bounds], [str(method) for method in weights]):
        inner = [Choice(mode, method, variant, scheme) for variant, scheme in product(variant_names, schemes)]
        try:
            found = find_bounds(matrix, mode, survey=survey, theoretical=theoretical)
            # A survey that never asked has NaN bounds and goes without; one that got a single answer is a fault.
            if (constant := np.asarray((found.upper == found.lower).any(axis=0))).any():
                raise AnalysisError(f"No range under bounds {mode}: {names_of(None, constant)}.")
            z = normalise(matrix, found, directions, outside=Outside.MISSING).z
            u = np.column_stack(
                [_system(z, dimensions, method, missing, min_share) for dimensions in systems]
            )
        except AnalysisError as error:
            failures.extend((choice, str(error)) for choice in inner)
            continue
        for variant in variant_names:
            d = coupling(u, alphas, variant).d
            for scheme, bands in schemes.items():
                choices.append(Choice(mode, method, variant, scheme))
                results.append(_mean_by(_graded(d, bands), code, len(labels)))
    if not choices:
        raise AnalysisError(f"No combination of options could be computed: {failures[0][1]}")
    regions = tuple(str(label) for label in labels)
    return Grid(regions, tuple(choices), np.array(results), tuple(failures))


def rank_sensitivity(values: npt.ArrayLike, *, reference: int = 0) -> RankSensitivity:
    """Compare the order of regions under every combination of options with a reference combination.

    Parameters
    ----------
    values : array_like, shape (c, m)
        Higher is better; NaN for a region without a value.
    reference : int
        Row of the reference combination.

    Raises
    ------
    AnalysisError
        If there are fewer than two regions, or the reference does not exist or lacks a region.
    """
    matrix = as_matrix(values, "values of the regions")
    count, regions = matrix.shape
    if regions < 2 or not 0 <= reference < count:
        raise AnalysisError(
            f"Ranks need two regions and reference row {reference}; got {matrix.shape} values."
        )
    if np.isnan(matrix[reference]).any():
        raise AnalysisError("A region has no value under the reference combination; choose another.")
    # Without rounding, sums in another order would make or break ties.
    rounded = np.round(matrix, 12)
    ranks = np.asarray(stats.rankdata(-rounded, method="min", axis=1, nan_policy="omit"))
    same = np.asarray((ranks == ranks[reference]).all(axis=1))
    kendall = np.array(
        [stats.kendalltau(row, rounded[reference], nan_policy="omit").statistic for row in rounded]
    )
    above = (rounded[:, :, None] > rounded[:, None, :]).mean(axis=0)
    return RankSensitivity(
        ranks=ranks,
        same_order=same,
        share_same_order=float(same.mean()),
        kendall=kendall,
        best=np.nanmin(ranks, axis=0),
        worst=np.nanmax(ranks, axis=0),
        share_first=(ranks == 1).mean(axis=0),
        share_above=above,
        reference=reference,
    )


def share_by_option(choices: Sequence[Choice], same_order: npt.ArrayLike) -> dict[tuple[str, str], float]:
    """Share of combinations that keep the order, for every single option: which choice decides the ranks.

    Returns
    -------
    dict
        Keyed by (kind of option, option), for instance ("weights", "entropy").
    """
    kept = np.asarray(same_order, dtype=bool)
    shares = {}
    for kind in ("bounds", "weights", "variant", "bands"):
        chosen = np.array([getattr(choice, kind) for choice in choices])
        for option in dict.fromkeys(chosen.tolist()):
            shares[kind, str(option)] = float(kept[chosen == option].mean())
    return shares


def _system(
    z: FloatArray,
    dimensions: Sequence[Dimension],
    method: str,
    missing: MissingPolicy | str,
    min_share: float,
) -> FloatArray:
    """One system: the dimensions weighted within by the method and between by their shares, shape (n,)."""
    parts = []
    for dimension in dimensions:
        columns = z[:, list(dimension.columns)]
        weights = weigh(columns, method, given=dimension.given or None)
        parts.append(composite(columns, weights.values, missing=missing, min_share=min_share).index)
    shares = [dimension.share for dimension in dimensions]
    return composite(np.column_stack(parts), shares, missing=missing, min_share=min_share).index


def _graded(d: FloatArray, bands: Sequence[Band]) -> FloatArray:
    """D itself, or the position of its band on 0-1."""
    if not bands:
        return d
    position = classify(d, bands)
    return np.where(position < 0, np.nan, position / max(len(bands) - 1, 1))


def _mean_by(values: FloatArray, code: npt.NDArray[np.intp], n_groups: int) -> FloatArray:
    known = ~np.isnan(values)
    counts = np.bincount(code[known], minlength=n_groups)
    sums = np.bincount(code[known], weights=values[known], minlength=n_groups)
    return np.asarray(np.divide(sums, counts, out=np.full(n_groups, np.nan), where=counts > 0))
