"""Tests of printed regressions: number of cases, F, stars, p, inflation of variance, weighted sums of models.

What belongs here: which of these figures must agree, and whether they do. What does not: the search for a weighted sum
(`composites`), means (`printed_samples`) and loadings (`printed_factors`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import sqrt

import numpy as np
from scipy import stats

from analysis.arrays import FloatArray
from analysis.composites import CompositeFit, find_composite, residual_tolerance
from analysis.plausibility import f_from_adjusted_r2
from analysis.printed_factors import loading_tables
from analysis.printed_figures import Figure, Finding, Papers, Verdict, finding, same

UNIT_LENGTH = 0.02
"""How far the squared weights of a standardised sum of uncorrelated standardised parts may lie from 1."""

ALIKE = 0.9
"""Share of the regressors that two models of a table must share to count as having the same ones."""

DF_NAMES = ("df", "df1", "df_between", "df2", "df_within")


def check_regression_n(papers: Papers) -> Iterator[Finding]:
    """A regression cannot use more answers than its least answered question has, unless blanks were filled."""
    for n in papers.of("n"):
        if not n.model:
            continue
        size = papers.sample_size(n.paper, n.group)
        if size is not None and n.number.value > size.number.value:
            text = f"{n.model}: N = {n.number.text} of a sample of {size.number.text}"
            yield finding([n], "regression_n", Verdict.IMPOSSIBLE, text, [size])
            continue
        blocks = [
            (question, block)
            for (paper, group, question), block in papers.blocks().items()
            if (paper, group) == (n.paper, n.group)
        ]
        if not blocks:
            continue
        question, block = min(blocks, key=lambda item: sum(f.number.value for f in item[1]))
        answers = int(sum(f.number.value for f in block))
        text = f"{n.model}: N = {n.number.text}, {question} has {answers} answers"
        if answers >= n.number.value:
            yield finding([n], "regression_n", Verdict.CONSISTENT, text)
            continue
        model = _model_figures(n, papers)
        counts = _regressor_counts(n, papers)
        if "f" in model and "adj_r2" in model and counts and answers > max(counts) + 1:
            k = max(counts)
            listwise = f_from_adjusted_r2(model["adj_r2"].number.value, answers, k)
            text += (
                f"; with {answers} and {k} regressors F = {listwise:.3f}, printed {model['f'].number.text}"
            )
        text += ": blanks must have been filled or coded"
        yield finding([n], "regression_n", Verdict.BLANK, text, block)


def _model_figures(figure: Figure, papers: Papers) -> dict[str, Figure]:
    """F, R2, adjusted R2 and N printed for the same model."""
    return {
        other.statistic: other
        for statistic in ("f", "adj_r2", "r2", "n")
        for other in papers.of(statistic)
        if same(other, figure) and other.model == figure.model and other.model
    }


def _regressor_counts(figure: Figure, papers: Papers) -> list[int]:
    """Numbers of regressors a model can have: its own printed coefficients, or those of a fuller model beside it.

    Coefficients of a model can be lost in print while the models of a table share their regressors.
    """
    regressors: dict[str, set[str]] = defaultdict(set)
    for other in papers.of("coefficient"):
        if same(other, figure) and not _is_constant(other):
            regressors[other.model].add(other.variable)
    own = len(regressors.get(figure.model, ()))
    return list(dict.fromkeys(n for n in (own, max(map(len, regressors.values()), default=0)) if n))


def _is_constant(figure: Figure) -> bool:
    return figure.variable.lower() in ("constant", "intercept", "_cons")


def _size(figure: Figure, papers: Papers) -> Figure | None:
    return _model_figures(figure, papers).get("n") or papers.sample_size(figure.paper, figure.group)


def check_f(papers: Papers) -> Iterator[Finding]:
    """F follows from adjusted R2, N and the number of regressors."""
    for f in papers.of("f"):
        if not f.model:
            continue
        model = _model_figures(f, papers)
        counts = _regressor_counts(f, papers)
        if "adj_r2" not in model or not counts:
            yield finding(
                [f], "f_against_r2", Verdict.NOT_TESTABLE, "no adjusted R2 or no coefficients printed"
            )
            continue
        size, adjusted = _size(f, papers), model["adj_r2"]
        if size is None or f.number.decimals == 0 or adjusted.number.decimals == 0:
            reason = "no N printed" if size is None else "printed without decimals"
            yield finding([f, adjusted], "f_against_r2", Verdict.NOT_TESTABLE, f"F {f.number.text}: {reason}")
            continue
        n, text, fits = int(size.number.value), "", False
        usable = [k for k in counts if n > k + 1]
        if not usable:
            text = f"N = {n} is too small for {counts[0]} regressors"
            yield finding([f, adjusted], "f_against_r2", Verdict.NOT_TESTABLE, text, [size])
            continue
        for k in usable:
            low, high = (f_from_adjusted_r2(end, n, k) for end in (adjusted.number.low, adjusted.number.high))
            fits = f.number.overlaps(low, high)
            text = (
                f"adjusted R2 {adjusted.number.text}, N = {n}, {k} regressors: F = {low:.3f} to {high:.3f}, "
                f"printed {f.number.text}"
            )
            if fits:
                break
        verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
        # The N of the model itself may be the wrong one, that of the survey is tested elsewhere.
        own = [size] if size.model else []
        yield finding([f, adjusted, *own], "f_against_r2", verdict, text, [size] if not own else [])


def check_r2(papers: Papers) -> Iterator[Finding]:
    """Adjusted R2 follows from R2, N and the number of regressors."""
    for r2 in papers.of("r2"):
        model, counts, size = _model_figures(r2, papers), _regressor_counts(r2, papers), _size(r2, papers)
        adjusted = model.get("adj_r2")
        if adjusted is None or not counts or size is None or size.number.value <= max(counts) + 1:
            yield finding(
                [r2], "r2_against_adjusted", Verdict.NOT_TESTABLE, "no adjusted R2, N or coefficients"
            )
            continue
        n = size.number.value
        for k in counts:
            low, high = (1 - (1 - end) * (n - 1) / (n - k - 1) for end in (r2.number.low, r2.number.high))
            fits = adjusted.number.overlaps(low, high)
            text = (
                f"R2 {r2.number.text}, N = {n:g}, {k} regressors: adjusted {low:.4f} to {high:.4f}, printed "
            )
            text += adjusted.number.text
            if fits:
                break
        verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
        yield finding([r2, adjusted], "r2_against_adjusted", verdict, text, [size])


def _stars_of(papers: Papers) -> Mapping[tuple[str, ...], Figure]:
    return {_cell(f): f for f in papers.of("stars")}


def _cell(f: Figure) -> tuple[str, ...]:
    return f.paper, f.table, f.wave, f.group, f.model, f.dependent, f.variable


def _cells(papers: Papers, statistic: str) -> Mapping[tuple[str, ...], Figure]:
    return {_cell(f): f for f in papers.of(statistic)}


def _p_range(figure: Figure, papers: Papers) -> tuple[float, float, str] | None:
    """Probabilities of the test of one figure: of an F of a model, or of a coefficient with its own t, se or p."""
    if figure.statistic == "f":
        counts, size = _regressor_counts(figure, papers), _size(figure, papers)
        if not counts or size is None or not figure.model or figure.number.decimals == 0:
            return None
        n, ks = size.number.value, [k for k in counts if size.number.value > k + 1]
        if not ks:
            return None
        ends = [
            float(stats.f.sf(max(f, 0.0), k, n - k - 1))
            for k in ks
            for f in (figure.number.low, figure.number.high)
        ]
        return min(ends), max(ends), f"F {figure.number.text} with {ks[0]} and {n - ks[0] - 1:g} df"
    key = _cell(figure)
    cells = papers_cells(papers)
    if (p := cells["p_value"].get(key)) is not None:
        return max(p.number.low, 0.0), p.number.high, f"p {p.number.text}"
    counts, size = _regressor_counts(figure, papers), _size(figure, papers)
    df = size.number.value - max(counts) - 1 if counts and size is not None else np.inf
    if df < 1:
        return None
    low = high = 0.0
    if (t := cells["t"].get(key)) is not None:
        low, high = _absolute(t.number.low, t.number.high)
        text = f"t {t.number.text}"
    elif (se := cells["se"].get(key)) is not None and se.number.low > 0:
        low, high = _absolute(figure.number.low, figure.number.high)
        low, high = low / se.number.high, high / se.number.low
        text = f"{figure.number.text} / {se.number.text} = {abs(figure.number.value / se.number.value):.3f}"
    else:
        return None
    return float(2 * stats.t.sf(high, df)), float(2 * stats.t.sf(low, df)), text


def papers_cells(papers: Papers) -> Mapping[str, Mapping[tuple[str, ...], Figure]]:
    """Figures that stand in the same cell of a table as a coefficient, by statistic."""
    return {name: _cells(papers, name) for name in ("p_value", "t", "se", "stars")}


def _absolute(low: float, high: float) -> tuple[float, float]:
    """Ends of |x| for x between low and high."""
    ends = sorted((abs(low), abs(high)))
    return (0.0, ends[1]) if low < 0 < high else (ends[0], ends[1])


def _star_range(low: float, high: float, levels: Sequence[float]) -> tuple[int, int]:
    """Fewest and most stars of a probability between two ends."""
    return sum(high < level for level in levels), sum(low < level for level in levels)


def check_stars(papers: Papers) -> Iterator[Finding]:
    """Stars follow from the probability: of F with its degrees of freedom, of a coefficient with its t, se or p.

    A paper keeps to one convention of levels; the one is taken that its stars fit best.
    """
    by_paper: dict[str, list[tuple[Figure, Figure, tuple[float, float, str]]]] = defaultdict(list)
    for key, stars in _stars_of(papers).items():
        for statistic in ("f", "coefficient"):
            figure = papers_by_cell(papers, statistic).get(key)
            known = _p_range(figure, papers) if figure is not None else None
            if figure is not None and known is not None:
                by_paper[figure.paper].append((stars, figure, known))
    for cases in by_paper.values():
        scored = []
        for levels in papers.options.star_levels:
            ranges = [_star_range(low, high, levels) for _, _, (low, high, _) in cases]
            fit = [a <= stars.number.value <= b for (stars, _, _), (a, b) in zip(cases, ranges, strict=True)]
            scored.append((sum(fit), levels, fit, ranges))
        _, levels, fit, ranges = max(scored, key=lambda s: s[0])
        for (stars, figure, (low, high, text)), fits, (fewest, most) in zip(cases, fit, ranges, strict=True):
            shown = f"p = {low:.3g}" if high - low < 0.1 * high + 1e-12 else f"p = {low:.3g} to {high:.3g}"
            due = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            words = f"{text}: {shown}, {due} stars at {', '.join(f'{x:g}' for x in levels)}, printed "
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield finding([stars], "stars", verdict, f"{words}{stars.number.text}", [figure])


def papers_by_cell(papers: Papers, statistic: str) -> Mapping[tuple[str, ...], Figure]:
    """Figures of a statistic by their place."""
    return _cells(papers, statistic)


def check_p(papers: Papers) -> Iterator[Finding]:
    """The probability follows from the statistic and its degrees of freedom, t from a coefficient and its error."""
    cells = papers_cells(papers)
    coefficients = _cells(papers, "coefficient")
    for key, t in cells["t"].items():
        b, se = coefficients.get(key), cells["se"].get(key)
        if b is not None and se is not None and se.number.low > 0:
            ends = [x / y for x in (b.number.low, b.number.high) for y in (se.number.low, se.number.high)]
            fits = t.number.overlaps(min(ends), max(ends))
            text = f"{b.number.text} / {se.number.text} = {b.number.value / se.number.value:.3f}, printed t "
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield finding([t, b, se], "t_from_se", verdict, f"{text}{t.number.text}")
    dfs: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for name in DF_NAMES:
        for df in papers.of(name):
            dfs[_cell(df)].append(df)
    for statistic in ("t", "f", "chi2", "z"):
        for key, figure in _cells(papers, statistic).items():
            p = cells["p_value"].get(key)
            if p is None:
                continue
            given = [df for df in dfs.get(key, []) if df.number.value > 0]
            implied = _p_of(figure, [df.number.value for df in given], papers)
            if implied is None:
                text = f"{statistic} {figure.number.text}: no degrees of freedom printed"
                yield finding([figure, p], "p_value", Verdict.NOT_TESTABLE, text)
                continue
            low, high, text = implied
            fits = p.number.overlaps(low, high)
            if not fits and statistic in ("t", "z") and p.number.overlaps(low / 2, high / 2):
                fits, text = True, f"{text} (one-sided)"
            shown = f"{text}: p = {low:.4g} to {high:.4g}, printed {p.number.text}"
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield finding([figure, p], "p_value", verdict, shown, given)


def _p_of(figure: Figure, dfs: Sequence[float], papers: Papers) -> tuple[float, float, str] | None:
    low, high = _absolute(figure.number.low, figure.number.high)
    shown = f"{figure.statistic} {figure.number.text}"
    if figure.statistic == "z":
        return float(2 * stats.norm.sf(high)), float(2 * stats.norm.sf(low)), shown
    if figure.statistic == "t":
        df = dfs[0] if dfs else None
        if df is None and figure.model:
            counts, size = _regressor_counts(figure, papers), _size(figure, papers)
            df = size.number.value - max(counts) - 1 if counts and size is not None else None
        if df is None or df <= 0:
            return None
        return float(2 * stats.t.sf(high, df)), float(2 * stats.t.sf(low, df)), f"{shown}, {df:g} df"
    if figure.statistic == "chi2":
        if not dfs:
            return None
        return (
            float(stats.chi2.sf(high, dfs[0])),
            float(stats.chi2.sf(low, dfs[0])),
            f"{shown}, {dfs[0]:g} df",
        )
    if len(dfs) < 2:
        counts, size = _regressor_counts(figure, papers), _size(figure, papers)
        if not figure.model or not counts or size is None or size.number.value <= max(counts) + 1:
            return None
        dfs = [max(counts), size.number.value - max(counts) - 1]
    text = f"{shown}, {dfs[0]:g} and {dfs[1]:g} df"
    return float(stats.f.sf(high, dfs[0], dfs[1])), float(stats.f.sf(low, dfs[0], dfs[1])), text


def check_inflation(papers: Papers) -> Iterator[Finding]:
    """Stars of a regressor across models need one inflation of its variance, and none below 1.

    The standard error of a standardised coefficient is sqrt((1 - R2) / (n - k - 1)) sqrt(VIF), and models with the
    same regressors and cases share the VIF. The convention of stars is the one that contradicts itself least.
    """
    stars = _stars_of(papers)
    tables: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for f in papers.of("coefficient"):
        if f.model and not _is_constant(f):
            tables[f.paper, f.table, f.wave, f.group].append(f)
    for printed_cells in tables.values():
        figures = [f for f in printed_cells if f.dependent] or printed_cells
        standardised = {f.model for f in figures if f.unit.startswith(papers.options.standardised_units)}
        standardised |= _standardised_by_identity(figures)
        scales = {m: s for m in standardised if (s := _unit_error(m, figures, papers)) is not None}
        alike = _same_regressors(figures)
        rows: dict[tuple[str, str], list[tuple[Figure, Figure]]] = defaultdict(list)
        for f in figures:
            if f.model in scales and (star := stars.get(_cell(f))) is not None:
                rows[f.variable, alike[f.model]].append((f, star))
        if not rows:
            continue
        declared = all(f.unit.startswith(papers.options.standardised_units) for f in figures)
        scored = []
        for levels in papers.options.star_levels:
            ranges = {
                name: _common_inflation(cells, scales, levels, least=1.0 if declared else 0.0)
                for name, cells in rows.items()
            }
            scored.append((sum(low > high for low, high, _ in ranges.values()), levels, ranges))
        _, _, ranges = min(scored, key=lambda s: s[0])
        for key, (low, high, text) in ranges.items():
            verdict = Verdict.CONSISTENT if low <= high else Verdict.INCONSISTENT
            accused = [star for _, star in rows[key]]
            yield finding(accused, "inflation", verdict, f"{key[0]}: {text}", [f for f, _ in rows[key]])


def _same_regressors(figures: Sequence[Figure]) -> dict[str, str]:
    """For each model the first one of its table with the same regressors, apart from a few cells lost in print.

    Models of one dependent differ in their regressors on purpose.
    """
    regressors: dict[str, set[str]] = defaultdict(set)
    dependents: dict[str, str] = {}
    for f in figures:
        regressors[f.model].add(f.variable)
        dependents[f.model] = f.dependent
    alike: dict[str, str] = {}
    for model, own in regressors.items():
        alike[model] = model
        for first in dict.fromkeys(alike.values()):
            other = regressors[first]
            is_alike = len(own & other) >= ALIKE * len(own | other) and dependents[model] != dependents[first]
            if own == other or is_alike:
                alike[model] = first
                break
    return alike


def _standardised_by_identity(figures: Sequence[Figure]) -> set[str]:
    """Models of a table whose weighted sum has weights of length one: all its variables are standardised."""
    grid = _grid(figures)
    if grid is None:
        return set()
    names, models, cells = grid
    b = np.array([[cells[n, m].number.value for m in models] for n in names])
    half = np.array([[cells[n, m].number.half for m in models] for n in names])
    fit = find_composite(b, half)
    if fit is None or abs(float(fit.weights @ fit.weights) - 1) > UNIT_LENGTH:
        return set()
    return set(models)


def _unit_error(model: str, figures: Sequence[Figure], papers: Papers) -> tuple[float, float] | None:
    """Ends of sqrt((1 - R2) / (n - k - 1)) and the degrees of freedom of a model."""
    first = next(f for f in figures if f.model == model)
    known, counts, size = (
        _model_figures(first, papers),
        _regressor_counts(first, papers),
        _size(first, papers),
    )
    adjusted = known.get("adj_r2")
    if adjusted is None or size is None or not counts or adjusted.number.decimals < 2:
        return None
    k, n = max(counts), size.number.value
    if n <= k + 1 or adjusted.number.high >= 1:
        return None
    # (1 - R2) / (n - k - 1) = (1 - adjusted R2) / (n - 1)
    return sqrt((1 - adjusted.number.value) / (n - 1)), n - k - 1


def _common_inflation(
    cells: Sequence[tuple[Figure, Figure]],
    scales: Mapping[str, tuple[float, float]],
    levels: Sequence[float],
    *,
    least: float,
) -> tuple[float, float, str]:
    """Ends of sqrt(VIF) that all models of a regressor allow, and what each says."""
    low, high, needs = least, np.inf, []
    for b, star in cells:
        unit, df = scales[b.model]
        smallest, largest = _absolute(b.number.low, b.number.high)
        n_stars = int(star.number.value)
        if not 0 <= n_stars <= len(levels):
            continue
        below = float(stats.t.isf(levels[n_stars] / 2, df)) if n_stars < len(levels) else np.inf
        above = float(stats.t.isf(levels[n_stars - 1] / 2, df)) if n_stars else 0.0
        # |b| / (unit sqrt(VIF)) lies from `above` to `below`; 1 % for the digits of R2
        own_low = 0.99 * smallest / unit / below if np.isfinite(below) else 0.0
        own_high = 1.01 * largest / unit / above if above else np.inf
        low, high = max(low, own_low), min(high, own_high)
        bound = f"sqrt(VIF) <= {own_high:.2f}" if np.isfinite(own_high) else f"sqrt(VIF) >= {own_low:.2f}"
        if np.isfinite(own_high) and own_low > least:
            bound += f" and >= {own_low:.2f}"
        needs.append(f"{b.model} {b.number.text}{'*' * n_stars} needs {bound}")
    return low, high, "; ".join(needs)


Grid = tuple[list[str], list[str], dict[tuple[str, str], Figure]]


def _grid(figures: Sequence[Figure]) -> Grid | None:
    """Rows and models of a coefficient table, of the rows that all models have."""
    models = list(dict.fromkeys(figure.model for figure in figures))
    cells = {(figure.variable, figure.model): figure for figure in figures}
    names = [
        name
        for name in dict.fromkeys(figure.variable for figure in figures if not _is_constant(figure))
        if all((name, model) in cells for model in models)
    ]
    return (names, models, cells) if len(models) > 2 and len(names) >= len(models) + 4 else None


def check_composites(papers: Papers) -> Iterator[Finding]:
    """A model of a weighted sum has the weighted sum of the coefficients of its parts, row by row.

    Models of one dependent are no parts of each other; a sum is never made of another sum of the same parts.
    """
    tables: dict[tuple[str, str, str, str], list[Figure]] = defaultdict(list)
    for figure in papers.of("coefficient"):
        tables[figure.paper, figure.table, figure.wave, figure.group].append(figure)
    oblique = {next(iter(t.cells.values())).paper for t, *_ in loading_tables(papers) if not t.is_orthogonal}
    explained: dict[str, dict[str, Figure]] = defaultdict(dict)
    for f in papers.of("explained_variance"):
        explained[f.paper][f.variable] = f
    for printed_cells in tables.values():
        # A cell whose model is lost names no dependent, where the others do.
        named = [f for f in printed_cells if f.dependent]
        figures = named or printed_cells
        reason = _why_not(figures)
        grid = _grid(figures)
        if reason or grid is None:
            text = reason or "too few models or too few rows that all models have"
            yield finding(figures[:1], "composite_rows", Verdict.NOT_TESTABLE, text)
            continue
        names, models, cells = grid
        rows = [[cells[name, model] for model in models] for name in names]
        b = np.array([[cell.number.value for cell in row] for row in rows])
        half = np.array([[cell.number.half for cell in row] for row in rows])
        shares = [explained[figures[0].paper].get(cell.dependent) for cell in rows[0]]
        known = _known_weights(shares)
        fit = find_composite(b, half, known=known)
        if fit is None:
            text = f"no model is a weighted sum of the others in {len(names)} rows"
            yield finding(rows[0], "composite_rows", Verdict.NOT_TESTABLE, text)
            continue
        yield _rows_of_composite(fit, rows, names, models)
        yield from _weights_of_composite(fit, rows, b, half, shares, is_oblique=figures[0].paper in oblique)


def _why_not(figures: Sequence[Figure]) -> str:
    dependents = {f.model: f.dependent for f in figures}
    named = [d for d in dependents.values() if d]
    if len(dependents) < 3:
        return "fewer than three models in the table"
    if len(set(named)) == 1 and len(named) == len(dependents):
        return "all models explain the same dependent"
    if len(set(named)) < len(named):
        return "some models explain the same dependent, so they are no parts of one sum"
    return ""


def _known_weights(shares: Sequence[Figure | None]) -> dict[int, list[FloatArray]]:
    """Weights that a sum has if explained variances are its weights, where all models but one have them."""
    missing = [k for k, share in enumerate(shares) if share is None]
    if len(missing) != 1:
        return {}
    v = np.array([share.number.value for share in shares if share is not None])
    count = len(v)
    known = []
    for size in range(count, 1, -1):
        for chosen in combinations(range(count), size):
            weights = np.zeros(count)
            weights[list(chosen)] = v[list(chosen)] / np.linalg.norm(v[list(chosen)])
            known.append(weights)
    return {missing[0]: known}


def _rows_of_composite(
    fit: CompositeFit, grid: Sequence[Sequence[Figure]], names: Sequence[str], models: Sequence[str]
) -> Finding:
    weights = " + ".join(f"{w:.3f} {models[p]}" for p, w in zip(fit.parts, fit.weights, strict=True))
    text = (
        f"{models[fit.composite]} = {weights} in {len(grid) - len(fit.broken)} rows "
        f"(largest residual {fit.residual_elsewhere:.4f})"
    )
    if not fit.broken:
        figures = [cell for row in grid for cell in row]
        return finding(figures, "composite_rows", Verdict.CONSISTENT, text)
    rows = ", ".join(names[row] for row in fit.broken)
    text += f"; as printed {rows} miss it by up to {fit.residual_before:.3f}"
    if fit.shift:
        down = len(fit.broken) - fit.shift
        moved = (
            f"up by {fit.shift} (the first to the end of these rows)"
            if fit.shift <= down
            else f"down by {down} (the last to the beginning of these rows)"
        )
        text += f"; with the parts moved {moved} by {fit.residual_after:.4f}"
    for row, first, second in fit.swaps:
        text += f"; {names[row]} obeys it with {models[first]} and {models[second]} exchanged"
    for row, column in fit.signs:
        text += f"; {names[row]} obeys it with the sign of {models[column]} changed"
    # Parts without weight have no share in the sum and none in the contradiction.
    columns = [fit.composite, *(p for p, w in zip(fit.parts, fit.weights, strict=True) if w > UNIT_LENGTH)]
    figures = [grid[row][column] for row in fit.broken for column in sorted(columns)]
    return finding(figures, "composite_rows", Verdict.INCONSISTENT, text)


def _weights_of_composite(
    fit: CompositeFit,
    grid: Sequence[Sequence[Figure]],
    b: FloatArray,
    half: FloatArray,
    shares: Sequence[Figure | None],
    *,
    is_oblique: bool,
) -> Iterator[Finding]:
    """Which factors the weighted sum holds, if weights are the explained variances that the paper prints.

    With uncorrelated standardised parts the weights of the standardised sum are v / sqrt(sum v^2).
    """
    dependents = [grid[0][part].dependent for part in fit.parts]
    known = [shares[part] for part in fit.parts]
    if sum(share is not None for share in known) < 2:
        return
    if any(share is None for share in known):
        of_sum = shares[fit.composite]
        if of_sum is not None:
            text = f"{grid[0][fit.composite].model} obeys as a sum, but {of_sum.variable} is a part with a variance"
            text += " of its own: columns of models are exchanged"
            accused = [row[fit.composite] for row in grid]
            yield finding(accused, "composite_weights", Verdict.INCONSISTENT, text, [of_sum])
        return
    printed = [share for share in known if share is not None]
    if is_oblique:
        text = "factors of an oblique rotation share their variance"
        yield finding(printed, "composite_weights", Verdict.NOT_TESTABLE, text)
        return
    values = np.array([share.number.value for share in printed])
    rows = [row for row in range(len(b)) if row not in fit.broken]
    count = len(values)

    def left_over(v: FloatArray, chosen: Sequence[int]) -> tuple[float, bool]:
        weights = np.zeros(count)
        weights[list(chosen)] = v[list(chosen)] / np.linalg.norm(v[list(chosen)])
        left = np.abs(b[:, fit.composite] - b[:, list(fit.parts)] @ weights)[rows]
        tolerance = residual_tolerance(half, fit.composite, fit.parts, weights)[rows]
        return float(left.max()), bool((left <= tolerance).all())

    everything = tuple(range(count))
    choices = [c for size in range(count, 0, -1) for c in combinations(everything, size)]
    residuals = {chosen: left_over(values, chosen) for chosen in choices}
    fitting = [chosen for chosen, (_, fits) in residuals.items() if fits]
    text = (
        f"weights from the explained variance of all {count} parts leave up to {residuals[everything][0]:.4f}"
    )
    if everything in fitting:
        yield finding(printed, "composite_weights", Verdict.CONSISTENT, text)
        return
    if fitting:
        left_out = [printed[i] for i in everything if i not in fitting[0]]
        out = ", ".join(dependents[i] for i in everything if i not in fitting[0])
        text += f"; without {out} up to {residuals[fitting[0]][0]:.4f}: the sum leaves it out"
        yield finding(left_out, "composite_weights", Verdict.INCONSISTENT, text)
        return
    for order in permutations(everything):
        moved = [i for i in everything if order[i] != i]
        if not moved or len(moved) > 3 or not left_over(values[list(order)], everything)[1]:
            continue
        models = " and ".join(grid[0][fit.parts[i]].model for i in moved)
        text += f"; with {models} exchanged they fit: columns of models are exchanged"
        accused = [row[fit.parts[i]] for row in grid for i in moved]
        yield finding(accused, "composite_weights", Verdict.INCONSISTENT, text)
        return
    text += ", and no choice of parts fits: the weights are others"
    yield finding(printed, "composite_weights", Verdict.NOT_TESTABLE, text)


@dataclass(frozen=True)
class Implied:
    """A printed figure that others give.

    Attributes
    ----------
    value : float
    spread : float
        How far it may be off because the figures it follows from are rounded.
    arithmetic : str
    """

    value: float
    spread: float
    arithmetic: str


def implied_figures(papers: Papers) -> dict[str, Implied]:
    """Coefficients of a weighted sum that those of its parts give, and stars of F that F gives, by stat_id.

    Rows that break the identity give nothing.
    """
    implied: dict[str, Implied] = {}
    tables: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for figure in papers.of("coefficient"):
        if figure.dependent:
            tables[figure.paper, figure.table, figure.wave, figure.group].append(figure)
    for figures in tables.values():
        grid = _grid(figures)
        if grid is None or _why_not(figures):
            continue
        names, models, cells = grid
        b = np.array([[cells[n, m].number.value for m in models] for n in names])
        half = np.array([[cells[n, m].number.half for m in models] for n in names])
        fit = find_composite(b, half)
        if fit is None:
            continue
        used = [(p, w) for p, w in zip(fit.parts, fit.weights, strict=True) if w > UNIT_LENGTH]
        for row, name in enumerate(names):
            if row in fit.broken:
                continue
            value = sum(w * b[row, p] for p, w in used)
            terms = " + ".join(f"{w:.4f} x {cells[name, models[p]].number.text}" for p, w in used)
            spread = sum(w * half[row, p] for p, w in used)
            whole = cells[name, models[fit.composite]]
            implied[whole.stat_id] = Implied(float(value), float(spread), f"{terms} = {value:.4f}")
    by_place = _cells(papers, "f")
    for key, stars in _stars_of(papers).items():
        f = by_place.get(key)
        known = _p_range(f, papers) if f is not None else None
        if known is not None:
            low, high, text = known
            fewest, most = _star_range(low, high, papers.options.star_levels[0])
            if fewest == most:
                implied[stars.stat_id] = Implied(float(most), 0.0, f"{text}: p = {high:.3g}, {most} stars")
    return implied
