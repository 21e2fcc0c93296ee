"""Tests of printed factor analyses: loadings, communalities, explained variance, reliability, sphericity.

What belongs here: which of these figures must agree, and whether they do. What does not: means (`printed_samples`) and
coefficients (`printed_regressions`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import exp, log

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import linprog

from analysis.arrays import FloatArray
from analysis.plausibility import Printed, least_column_sums
from analysis.printed_figures import Figure, Finding, Papers, Verdict, finding, same, sample

LEAST_SUPPRESSED = 0.15
"""Share of the loadings of a table that is missing where small ones were left out on purpose."""


@dataclass(frozen=True)
class LoadingTable:
    """The loadings of one table, by item and component.

    Attributes
    ----------
    items, components : tuple of str
    cells : mapping of (item, component) to Figure
    threshold : float or None
        Loadings below it were left out, as their absence and the smallest printed one show; None where cells are
        merely lost.
    correlations : ndarray, shape (components, components), or None
        Correlations of the components under which most communalities follow; the identity for an orthogonal
        rotation, None where no correlations explain them.
    is_orthogonal : bool
    """

    items: tuple[str, ...]
    components: tuple[str, ...]
    cells: Mapping[tuple[str, str], Figure]
    threshold: float | None
    correlations: FloatArray | None
    is_orthogonal: bool

    def row(self, item: str) -> list[Figure]:
        """Loadings of an item."""
        return [self.cells[item, c] for c in self.components if (item, c) in self.cells]

    def column(self, component: str) -> list[Figure]:
        """Loadings on a component."""
        return [self.cells[i, component] for i in self.items if (i, component) in self.cells]


def loading_tables(papers: Papers) -> Iterator[tuple[LoadingTable, dict[str, Figure], dict[str, Figure]]]:
    """Tables of loadings with their communalities by item and explained variances by component."""
    tables: dict[tuple[str, str, str, str], dict[tuple[str, str], Figure]] = defaultdict(dict)
    for loading in papers.of("loading"):
        if loading.dependent:
            key = loading.paper, loading.table, loading.wave, loading.group
            tables[key][loading.variable, loading.dependent] = loading
    for cells in tables.values():
        first = next(iter(cells.values()))
        communalities = {f.variable: f for f in papers.of("communality") if same(f, first)}
        explained = {f.variable: f for f in papers.of("explained_variance") if same(f, first)}
        items = tuple(dict.fromkeys([i for i, _ in cells]))
        components = tuple(dict.fromkeys([c for _, c in cells]))
        missing = len(items) * len(components) - len(cells)
        smallest = min(abs(f.number.value) for f in cells.values())
        is_suppressed = missing >= LEAST_SUPPRESSED * len(items) * len(components) and smallest >= 0.1
        threshold = smallest if is_suppressed else None
        declared = any(w in first.unit.lower() for w in papers.options.oblique_words)
        plain = LoadingTable(items, components, cells, threshold, None, is_orthogonal=False)
        correlations, orthogonal = _correlations(plain, communalities, explained, is_oblique=declared)
        yield (
            LoadingTable(items, components, cells, threshold, correlations, orthogonal),
            communalities,
            explained,
        )


def _correlations(
    table: LoadingTable,
    communalities: Mapping[str, Figure],
    explained: Mapping[str, Figure],
    *,
    is_oblique: bool,
) -> tuple[FloatArray | None, bool]:
    """Correlations of the components that the communalities imply, and whether they are none.

    With pattern coefficients a the communality is a'Pa, linear in the correlations P. Those are taken that leave the
    least beyond rounding (least absolute deviations, so that single misprints do not bend them); an orthogonal
    rotation is kept wherever it explains as many rows.
    """
    k = len(table.components)
    pairs = list(combinations(range(k), 2))
    rows = [i for i in table.items if i in communalities and len(table.row(i)) == k]
    identity = np.eye(k)
    if not rows:
        if is_oblique:
            return None, False
        misses = [
            not _fits(table.column(c), e.number, 100 / len(table.items))
            for c, e in explained.items()
            if len(table.column(c)) == len(table.items)
        ]
        return (None, False) if len(misses) > 1 and all(misses) else (identity, True)
    a = np.array([[table.cells[i, c].number.value for c in table.components] for i in rows])
    half = np.array([[table.cells[i, c].number.half for c in table.components] for i in rows])
    h = np.array([communalities[i].number.value for i in rows])
    hh = np.array([communalities[i].number.half for i in rows])
    width = hh + 2 * (np.abs(a) * half).sum(axis=1) + (half**2).sum(axis=1)
    gap = h - (a**2).sum(axis=1)
    plain = np.abs(gap) <= width + 1e-9
    if not is_oblique and plain.mean() > 0.5:
        return identity, True
    if not pairs or len(rows) < len(pairs) + 2:
        return (None, False) if is_oblique else (identity, True)
    x = np.array([[2 * row[i] * row[j] for i, j in pairs] for row in a])
    n, m = len(rows), len(pairs)
    upper = np.vstack([np.column_stack([x, -np.eye(n)]), np.column_stack([-x, -np.eye(n)])])
    widened = hh + 2 * k * half.max(axis=1) * (np.abs(a) + half).sum(axis=1)
    result = linprog(
        np.concatenate([np.zeros(m), 1 / widened]),
        A_ub=upper,
        b_ub=np.concatenate([gap + widened, widened - gap]),
        bounds=[(-1.0, 1.0)] * m + [(0.0, None)] * n,
    )
    beyond = result.x[m:]
    if (beyond <= 1e-9).mean() <= 0.5:
        return (identity, True) if plain.any() and not is_oblique else (None, False)
    p = identity.copy()
    for (i, j), value in zip(pairs, result.x[:m], strict=True):
        p[i, j] = p[j, i] = value
    return p, False


def _fits(loadings: Sequence[Figure], target: Printed, scale: float) -> bool:
    low, high = _sum_of_squares(loadings, scale)
    return target.overlaps(low, high)


def _sum_of_squares(loadings: Sequence[Figure], scale: float) -> tuple[float, float]:
    low = scale * sum(max(abs(f.number.value) - f.number.half, 0.0) ** 2 for f in loadings)
    high = scale * sum((abs(f.number.value) + f.number.half) ** 2 for f in loadings)
    return low, high


def check_communalities(papers: Papers) -> Iterator[Finding]:
    """Squared loadings add up to the communality of an item and to the explained variance of a factor.

    Loadings left out because they are small may add what their threshold allows; an oblique rotation adds what the
    correlations of the factors explain, and its factors have no share of the variance of their own.
    """
    for table, communalities, explained in loading_tables(papers):
        k = len(table.components)
        for item, communality in communalities.items():
            row = table.row(item)
            if not row:
                continue
            if table.correlations is None or (not table.is_orthogonal and len(row) < k):
                text = f"{item}: the loadings are no orthogonal ones, and their factors' correlations are not printed"
                yield finding([*row, communality], "communality", Verdict.NOT_TESTABLE, text)
            elif table.is_orthogonal:
                yield _squares(row, communality, 1.0, k - len(row), table.threshold, "communality")
            else:
                yield _oblique(row, communality, table.correlations)
        for component, share in explained.items():
            column = table.column(component)
            if not column:
                continue
            if not table.is_orthogonal:
                text = f"{component}: factors of an oblique rotation share their variance"
                yield finding([share], "explained_variance", Verdict.NOT_TESTABLE, text, column)
                continue
            lost, scale = len(table.items) - len(column), 100 / len(table.items)
            yield _squares(column, share, scale, lost, table.threshold, "explained_variance")
        yield from _total(table, communalities, explained)


def _total(
    table: LoadingTable, communalities: Mapping[str, Figure], explained: Mapping[str, Figure]
) -> Iterator[Finding]:
    items, figures = list(communalities.values()), list(explained.values())
    if not items or not figures or not table.is_orthogonal:
        return
    if len(items) != len(table.items) or len(figures) != len(table.components):
        text = f"{len(items)} communalities of {len(table.items)} items, "
        text += f"{len(figures)} of {len(table.components)} factors"
        yield finding([*items, *figures], "total_explained_variance", Verdict.NOT_TESTABLE, text)
        return
    share = 100 * sum(f.number.value for f in items) / len(items)
    margin = 100 * sum(f.number.half for f in items) / len(items) + sum(f.number.half for f in figures)
    total = sum(f.number.value for f in figures)
    text = (
        f"sum of {len(items)} communalities = {share * len(items) / 100:.3f}, / {len(items)} = {share:.3f} %; "
        f"sum of explained variance = {total:.3f} % (rounding allows {margin:.3f})"
    )
    verdict = Verdict.CONSISTENT if abs(share - total) <= margin else Verdict.INCONSISTENT
    yield finding(figures, "total_explained_variance", verdict, text, items)


def _squares(
    loadings: Sequence[Figure], whole: Figure, scale: float, lost: int, threshold: float | None, test: str
) -> Finding:
    """Compare a sum of squared loadings, times a scale, with a printed figure; lost cells may only add to it."""
    low, high = _sum_of_squares(loadings, scale)
    target = whole.number
    total = scale * sum(f.number.value**2 for f in loadings)
    squares = " + ".join(f"{f.number.text}^2" for f in loadings)
    text = f"{whole.variable}: {squares}" + (f", x {scale:.4f}" if scale != 1 else "")
    text += f" = {total:.3f}, printed {target.text}"
    missing = target.value - total
    # The cells of a column are accused by their rows; the column accuses its own figure.
    figures, basis = ([*loadings, whole], []) if test == "communality" else ([whole], list(loadings))
    if lost and threshold is not None:
        high += scale * lost * threshold**2
        text += f"; {lost} loading(s) below {threshold:g} left out"
        verdict = Verdict.CONSISTENT if target.overlaps(low, high) else Verdict.INCONSISTENT
    elif lost and (missing > 0 or target.overlaps(low, high)):
        verdict = Verdict.NOT_TESTABLE
        text += f"; {lost} loading(s) lost, implied {(max(missing, 0.0) / scale / lost) ** 0.5:.3f} each"
    else:
        verdict = Verdict.CONSISTENT if target.overlaps(low, high) else Verdict.INCONSISTENT
    if verdict is Verdict.INCONSISTENT:
        text += f" (rounding allows {low:.3f} to {high:.3f})"
    return finding(figures, test, verdict, text, basis)


def _oblique(row: Sequence[Figure], communality: Figure, correlations: FloatArray) -> Finding:
    a = np.array([f.number.value for f in row])
    half = np.array([f.number.half for f in row])
    total = float(a @ correlations @ a)
    # The correlations come from the table itself, so they are as rough as its digits.
    margin = 2 * len(a) * float(half.max() * (np.abs(a) + half).sum()) + 1e-9
    fits = communality.number.overlaps(total - margin, total + margin)
    text = (
        f"{communality.variable}: {total:.3f} with factors that correlate, printed {communality.number.text}"
    )
    verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
    return finding([*row, communality], "communality", verdict, text)


def check_reliability(papers: Papers) -> Iterator[Finding]:
    """Standardised alpha gives the mean correlation of the items, which bounds the determinant of Bartlett's test."""
    for alpha in papers.of("alpha"):
        k = alpha.n_items or 0
        if k < 2:
            yield finding([alpha], "alpha", Verdict.NOT_TESTABLE, "number of items not printed")
            continue
        if alpha.unit.startswith(papers.options.raw_units):
            yield finding([alpha], "alpha", Verdict.NOT_TESTABLE, "raw alpha implies no mean correlation")
            continue
        if k - (k - 1) * alpha.number.value <= 0:
            text = f"alpha {alpha.number.text} of {k} items is above 1 or their correlation would be"
            yield finding([alpha], "alpha", Verdict.IMPOSSIBLE, text)
            continue
        r = alpha.number.value / (k - (k - 1) * alpha.number.value)
        inside = -1 / (k - 1) <= r <= 1
        a = alpha.number.text
        text = f"alpha {a} of {k} items: mean correlation {a} / ({k} - {k - 1} x {a}) = {r:.3f}"
        yield finding([alpha], "alpha", Verdict.CONSISTENT if inside else Verdict.IMPOSSIBLE, text)
        for chi2 in papers.of("bartlett"):
            items = {
                f.variable for f in papers.of("loading") if (f.paper, f.group) == (chi2.paper, chi2.group)
            }
            size = papers.sample_size(chi2.paper, chi2.group)
            if (
                (chi2.paper, chi2.group, len(items)) != (alpha.paper, alpha.group, k)
                or size is None
                or not inside
            ):
                continue
            n = int(size.number.value)
            determinant = exp(-chi2.number.high / ((n - 1) - (2 * k + 5) / 6))
            low = alpha.number.low / (k - (k - 1) * alpha.number.low)
            # Averaging R over all orders of the items cannot lower its determinant, so equal correlations bound it.
            bound = exp(log(1 + (k - 1) * low) + (k - 1) * log(1 - low)) if 0 <= low < 1 else 1.0
            text = (
                f"|R| = exp(-{chi2.number.text} / {(n - 1) - (2 * k + 5) / 6:.2f}) = {determinant:.4f}, "
                f"at most {bound:.4f} with mean correlation {low:.3f}"
            )
            verdict = Verdict.CONSISTENT if determinant <= bound else Verdict.INCONSISTENT
            if verdict is Verdict.INCONSISTENT and not alpha.unit.startswith(
                papers.options.standardised_units
            ):
                verdict = Verdict.NOT_TESTABLE
                text += "; not said to be standardised"
            yield finding([alpha, chi2], "alpha_against_bartlett", verdict, text, [size])


def check_alpha_against_loadings(papers: Papers) -> Iterator[Finding]:
    """The components that a table retains explain a part of the variance of the sum of its items, so bound alpha."""
    tables = [table for table, *_ in loading_tables(papers)]
    for alpha in papers.of("alpha"):
        single_factor = [
            table
            for table in tables
            if sample(next(iter(table.cells.values()))) == sample(alpha)
            and len(table.items) == alpha.n_items
            and len(table.items) > 1
        ]
        if not single_factor:
            text = f"alpha {alpha.number.text}: no table of loadings of as many items printed for the group"
            yield finding([alpha], "alpha_against_loadings", Verdict.NOT_TESTABLE, text)
        for table in single_factor:
            if table.is_orthogonal:
                yield _alpha_against(alpha, list(table.cells.values()), papers)
            else:
                text = f"alpha {alpha.number.text}: the loadings are no orthogonal ones"
                yield finding([alpha], "alpha_against_loadings", Verdict.NOT_TESTABLE, text)


def check_bartlett(papers: Papers) -> Iterator[Finding]:
    """The probability of Bartlett's test follows from chi-square and the number of items."""
    for chi2 in papers.of("bartlett"):
        ps = [p for p in papers.of("p_value") if same(p, chi2) and p.variable == chi2.variable]
        k = len({f.variable for f in papers.of("loading") if (f.paper, f.group) == (chi2.paper, chi2.group)})
        if not ps or k < 2:
            yield finding([chi2], "bartlett_p", Verdict.NOT_TESTABLE, "no p or no loadings printed")
            continue
        df = k * (k - 1) // 2
        p = float(stats.chi2.sf(chi2.number.value, df))
        fits = ps[0].number.overlaps(p, p)
        text = f"chi2 {chi2.number.text}, {k} items, df {df}: p = {p:.3g}, printed {ps[0].number.text}"
        yield finding([chi2, ps[0]], "bartlett_p", Verdict.CONSISTENT if fits else Verdict.INCONSISTENT, text)


def _alpha_against(alpha: Figure, loadings: Sequence[Figure], papers: Papers) -> Finding:
    """Compare alpha with the least one that the loadings allow, as standardised, as raw or as either."""
    items = list(dict.fromkeys(f.variable for f in loadings))
    of_sample = [f for f in papers.figures if sample(f) == sample(alpha)]
    sds = {f.variable: f for f in of_sample if f.statistic == "sd" and f.variable in items}
    communalities = {
        f.variable: f for f in of_sample if f.statistic == "communality" and f.table == loadings[0].table
    }
    low, high, lost = _ranges(loadings, items, communalities)
    turned = _turned(low, high)
    # The sum over the wider interval is at most the sum in either direction.
    low[turned], high[turned] = np.minimum(low, -high)[turned], np.maximum(high, -low)[turned]
    given = [*loadings, *(communalities[items[i]] for i in lost if items[i] in communalities)]
    ones = np.ones(len(items))
    weights = {"standardised": (ones, ones)}
    if len(sds) == len(items):
        numbers = [sds[item].number for item in items]
        weights["raw"] = np.array([max(s.low, 0.0) for s in numbers]), np.array([s.high for s in numbers])
    claimed = {"standardised", "raw"}
    if alpha.unit.startswith(papers.options.standardised_units):
        claimed = {"standardised"}
    elif alpha.unit.startswith(papers.options.raw_units):
        claimed = {"raw"}
    if "raw" in claimed:
        given += sds.values()
    bounds = {kind: _alpha_bound(low, high, *ends) for kind, ends in weights.items()}
    reached = {kind for kind, (bound, _) in bounds.items() if alpha.number.overlaps(bound, np.inf)}
    text = f"printed {alpha.number.text}; " + " and ".join(
        f"{kind} alpha >= {shown}" for kind, (_, shown) in bounds.items() if kind in claimed
    )
    if lost:
        text += f"; lost loadings of {', '.join(items[i] for i in lost)} as small as their communality allows"
    if len(turned):
        text += f"; {', '.join(items[i] for i in turned)} in either direction"
    if reached & claimed:
        verdict = Verdict.CONSISTENT
    elif not claimed <= set(bounds):
        # Unequal variances can push a raw alpha as low as one likes.
        verdict = Verdict.NOT_TESTABLE
        text += "; a raw alpha may be lower, and the sds of the items are not all printed"
    else:
        verdict = Verdict.INCONSISTENT
        text += "; assumes principal components, rotated orthogonally, of the sample and directions of alpha"
        text += "".join(f"; it fits a {kind} alpha >= {bounds[kind][1]}" for kind in sorted(reached))
        for i, kind in product(range(len(items)), claimed):
            flip = np.where(np.arange(len(items)) == i, -1.0, 1.0)[:, None]
            bottom, top = np.sort([low * flip, high * flip], axis=0)
            if alpha.number.overlaps(_alpha_bound(bottom, top, *weights[kind])[0], np.inf):
                text += "; it fits with one item turned round"
                break
    return finding(
        [alpha], "alpha_against_loadings", verdict, text, given if verdict is Verdict.CONSISTENT else ()
    )


def _alpha_bound(low: FloatArray, high: FloatArray, least: FloatArray, most: FloatArray) -> tuple[float, str]:
    """Least alpha of items with these loadings and sds, and how it arises."""
    sums, p, squares = least_column_sums(low, high, least, most), len(low), float(most @ most)
    explained = float(sums @ sums)
    bound = p / (p - 1) * (1 - squares / explained) if explained else -np.inf
    shown = " + ".join(f"{s:.3f}^2" for s in sums)
    return bound, f"{p}/{p - 1} (1 - {squares:.3f} / ({shown})) = {bound:.3f}"


def _ranges(
    loadings: Sequence[Figure], items: Sequence[str], communalities: Mapping[str, Figure]
) -> tuple[FloatArray, FloatArray, list[int]]:
    """Ends of every loading by item and component, and the items that lack one.

    A lost or suppressed loading has no more than what the others leave of the communality, or of 1.
    """
    components = list(dict.fromkeys(f.dependent for f in loadings))
    low = np.full((len(items), len(components)), np.nan)
    high = low.copy()
    for f in loadings:
        cell = items.index(f.variable), components.index(f.dependent)
        low[cell], high[cell] = f.number.low, f.number.high
    gaps = np.isnan(low)
    least = np.where(gaps, 0.0, np.maximum(0.0, np.maximum(low, -high)))
    whole = np.array([communalities[i].number.high if i in communalities else 1.0 for i in items])
    rest = np.sqrt(np.maximum(0.0, whole - np.square(least).sum(axis=1)))[:, None] * np.ones(low.shape)
    return (
        np.where(gaps, -rest, low),
        np.where(gaps, rest, high),
        [int(i) for i in np.flatnonzero(gaps.any(axis=1))],
    )


def _turned(low: FloatArray, high: FloatArray) -> npt.NDArray[np.intp]:
    """Items whose largest loading is negative once every component points the way of its sum.

    Their answers may have been turned round before alpha was computed.
    """
    middle = (low + high) / 2
    middle = middle * np.where(middle.sum(axis=0) < 0, -1, 1)
    largest = np.abs(middle).argmax(axis=1)
    return np.flatnonzero(middle[np.arange(len(middle)), largest] < 0)
