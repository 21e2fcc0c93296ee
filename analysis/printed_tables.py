"""Audit of the printed figures of a paper: which of them contradict each other, with the arithmetic.

What belongs here: finding, by the columns of the table alone, the figures that must agree, and saying whether they
do. What does not: the arithmetic itself (`plausibility`), any finding, and any name of a survey, site or variable.

A table row is one printed figure: stat_id, source_file, table_or_section, wave, group, model, dependent, variable,
statistic, value (as printed), unit, quality. Three conventions of that table are used: the group `full_sample` is the
whole sample, `block:category` names a category of an exhaustive question, and a unit ending in `a-b` bounds a scale.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, product
from math import exp, log
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from analysis.arrays import FloatArray
from analysis.errors import MissingColumnError
from analysis.plausibility import (
    CompositeFit,
    Printed,
    closest_shares,
    common_bases,
    counts_for_percent,
    f_from_adjusted_r2,
    find_composite,
    grim,
    grimmer,
    is_closed,
    is_grim_testable,
    largest_sd,
    least_column_sums,
    outlier_range,
    printed,
    residual_tolerance,
)

WHOLE = "full_sample"
BOUNDS = re.compile(r"(?:^|\s)(\d+)-(\d+)$")
ITEM_COUNT = re.compile(r"(?:^|_)(\d+)_items$")
STATISTIC_COLUMNS = (
    "stat_id", "source_file", "table_or_section", "value",
    "wave", "group", "model", "dependent", "variable", "statistic", "unit", "quality",
)  # fmt: skip
SITE_COLUMNS = (
    "source_file", "site_id", "households", "sampled_questionnaires", "share_of_survey_pct",
    "published_sampling_proportion_pct",
)  # fmt: skip
LIMITS: Mapping[str, tuple[float, float]] = {
    "percent": (0, 100),
    "communality": (0, 1),
    "loading": (-1, 1),
    "alpha": (-np.inf, 1),
    "kmo": (0, 1),
    "p_value": (0, 1),
    "adj_r2": (-np.inf, 1),
    "sd": (0, np.inf),
    "n": (0, np.inf),
    "f": (0, np.inf),
}
"""What no data can exceed, by statistic; scales add their own bounds to means and scores."""


class Verdict(StrEnum):
    """What the arithmetic says about the figures."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    IMPOSSIBLE = "impossible"
    NOT_TESTABLE = "not_testable"


@dataclass(frozen=True)
class Finding:
    """Outcome of one test on one figure or a group of them.

    Attributes
    ----------
    stat_ids : tuple of str
        The figures involved (site_id for figures of the table of sites).
    test : str
    verdict : Verdict
        `impossible`: no data could give the figure. `inconsistent`: figures contradict each other.
    arithmetic : str
        The numbers, so that a reader can redo it.
    """

    stat_ids: tuple[str, ...]
    test: str
    verdict: Verdict
    arithmetic: str


@dataclass(frozen=True)
class AuditOptions:
    """Choices of the audit that are not in the table.

    Attributes
    ----------
    sample_units : tuple of str
        Units in which a sample is counted.
    household_units : tuple of str
        Units in which a population is counted.
    whole_number_units : tuple of str
        First words of the units of single items answered in whole numbers.
    unit_interval_units : tuple of str
        First words of the units of items mapped to 0-1.
    standardised_units, raw_units : tuple of str
        First words of the units of an alpha that say which of the two it is.
    largest_steps : int
        Steps tried for such an item: 4 for a five-point scale.
    largest_blank_share : float
        Blanks an item may have when the N that would fit its mean is searched.
    largest_base : int
        Largest N tried where none is printed.
    """

    sample_units: tuple[str, ...] = ("respondents", "questionnaires")
    household_units: tuple[str, ...] = ("households",)
    whole_number_units: tuple[str, ...] = ("Likert",)
    unit_interval_units: tuple[str, ...] = ("min-max",)
    standardised_units: tuple[str, ...] = ("standardised",)
    raw_units: tuple[str, ...] = ("raw",)
    largest_steps: int = 4
    largest_blank_share: float = 0.1
    largest_base: int = 1000


@dataclass(frozen=True)
class Figure:
    """One printed figure; `number` is None if the cell holds no plain number."""

    stat_id: str
    paper: str
    table: str
    wave: str
    group: str
    model: str
    dependent: str
    variable: str
    statistic: str
    unit: str
    quality: str
    number: Printed

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Ends of the scale the unit names."""
        match = BOUNDS.search(self.unit)
        return (float(match[1]), float(match[2])) if match else None


@dataclass(frozen=True)
class Papers:
    """All figures of all papers, and the sample sizes they imply.

    Attributes
    ----------
    figures : tuple of Figure
        Those with a number.
    lost : frozenset of tuple
        (paper, table, statistic, dependent, variable) of cells whose number is lost.
    sites : tuple of mapping
        Rows of the table of sites.
    options : AuditOptions
    """

    figures: tuple[Figure, ...]
    lost: frozenset[tuple[str, str, str, str, str]]
    sites: tuple[Mapping[str, str], ...]
    options: AuditOptions

    def of(self, statistic: str) -> list[Figure]:
        """Figures of one statistic, as printed from top to bottom."""
        return [figure for figure in self.figures if figure.statistic == statistic]

    def sample_size(self, paper: str, group: str) -> Figure | None:
        """Find the N of a group: its only printed sample count, or the one the sites add up to.

        A paper prints several counts of the whole sample (distributed, valid, men, women); only the one that the
        questionnaires of its sites add up to is taken.
        """
        counts = [
            figure
            for figure in self.of("n")
            if (figure.paper, figure.group, figure.model) == (paper, group, "")
            and figure.unit in self.options.sample_units
            and ":" not in figure.variable
        ]
        if len({count.number.value for count in counts}) > 1:
            total = sum(
                number.value
                for site in self.sites
                if site["source_file"] == paper and (number := printed(site["sampled_questionnaires"]))
            )
            counts = [count for count in counts if count.number.value == total]
        return counts[0] if counts else None

    def blocks(self) -> dict[tuple[str, str, str], list[Figure]]:
        """Printed counts of the categories of each question, by (paper, group, question)."""
        found: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
        for figure in self.of("n"):
            if ":" in figure.variable and not figure.model:
                found[figure.paper, figure.group, figure.variable.partition(":")[0]].append(figure)
        return {key: block for key, block in found.items() if len(block) > 1}


def audit(
    statistics: Iterable[Mapping[str, Any]],
    sites: Iterable[Mapping[str, Any]] = (),
    *,
    options: AuditOptions | None = None,
) -> tuple[Finding, ...]:
    """Test the printed figures of any number of papers against each other.

    Parameters
    ----------
    statistics : iterable of mapping
        Rows of the table described above. The printed text is read from `value_text` where a row has it, else from
        `value`, which must then be text: 0.750 says more than 0.75.
    sites : iterable of mapping
        source_file, site_id, households, sampled_questionnaires, published_sampling_proportion_pct and
        share_of_survey_pct of the sites of each paper.
    options : AuditOptions, optional

    Returns
    -------
    tuple of Finding
        In the order of the tests.

    Raises
    ------
    MissingColumnError
        If a row lacks a column.
    """
    figures, lost = [], set()
    for text in _as_text(statistics, "statistics", STATISTIC_COLUMNS):
        number = printed(text.get("value_text") or text["value"])
        names = text["source_file"], text["table_or_section"]
        if number is None:
            lost.add((*names, text["statistic"], text["dependent"], text["variable"]))
            continue
        cells = {key: text[key] for key in STATISTIC_COLUMNS[4:]}
        figures.append(Figure(text["stat_id"], *names, number=number, **cells))
    site_rows = tuple(_as_text(sites, "sites", SITE_COLUMNS))
    papers = Papers(tuple(figures), frozenset(lost), site_rows, options or AuditOptions())
    return tuple(finding for test in TESTS for finding in test(papers))


def check_limits(papers: Papers) -> Iterator[Finding]:
    """No figure lies beyond what its statistic or its scale allows."""
    for figure in papers.figures:
        limits = LIMITS.get(figure.statistic)
        if figure.statistic in ("mean", "score"):
            limits = figure.bounds
        if limits is None:
            continue
        low, high = limits
        inside = figure.number.overlaps(low, high)
        yield _finding(
            [figure],
            "limits",
            Verdict.CONSISTENT if inside else Verdict.IMPOSSIBLE,
            f"{figure.statistic} {figure.number.text} {'within' if inside else 'outside'} {low:g} to {high:g}",
        )


def check_largest_sd(papers: Papers) -> Iterator[Finding]:
    """No sd exceeds that of answers at the two ends of the scale."""
    for mean, sd in _means_with_sd(papers):
        size = papers.sample_size(mean.paper, mean.group)
        if mean.bounds is None or size is None or not mean.number.overlaps(*mean.bounds):
            reason = "no scale bounds in the unit" if mean.bounds is None else "no N printed for the group"
            yield _finding([mean, sd], "largest_sd", Verdict.NOT_TESTABLE, reason)
            continue
        (lower, upper), n = mean.bounds, int(size.number.value)
        # Blanks make the group smaller and the allowed sd a trifle larger: give the figure that benefit.
        fewest = max(2, int(n * (1 - papers.options.largest_blank_share)))
        limit = largest_sd(mean.number, lower, upper, fewest)
        fits = sd.number.low <= limit
        text = (
            f"sd {sd.number.text} {'<=' if fits else '>'} sqrt(({mean.number.text}-{lower:g})"
            f"({upper:g}-{mean.number.text}) x n/(n-1)) = {largest_sd(mean.number, lower, upper, n):.3f}, n = {n}"
        )
        if not fits and (outliers := outlier_range(mean.number, sd.number, lower, upper, n)):
            text += f"; a single value of {outliers[0]} to {outliers[-1]} would explain it"
        yield _finding(
            [mean, sd, size], "largest_sd", Verdict.CONSISTENT if fits else Verdict.IMPOSSIBLE, text
        )


def check_granularity(papers: Papers) -> Iterator[Finding]:
    """Means of whole numbers are fractions with the sample size below (GRIM), and so are their squares (GRIMMER)."""
    for mean, sd in _means_with_sd(papers):
        size = papers.sample_size(mean.paper, mean.group)
        if mean.unit.startswith(papers.options.unit_interval_units) and size is not None:
            yield _scale_points(mean, sd, size, papers.options)
            continue
        if not mean.unit.startswith(papers.options.whole_number_units) or size is None:
            reason = "not known to be whole numbers" if size else "no N printed for the group"
            yield _finding([mean], "grim", Verdict.NOT_TESTABLE, f"{mean.number.text} {mean.unit}: {reason}")
            continue
        n = int(size.number.value)
        if not is_grim_testable(mean.number, n):
            text = f"{mean.number.text} has too few decimals for n = {n}: every mean can be reached"
            yield _finding([mean, size], "grim", Verdict.NOT_TESTABLE, text)
            continue
        sums = grim(mean.number, n)
        if sums:
            yield _finding(
                [mean, size],
                "grim",
                Verdict.CONSISTENT,
                f"{sums[0]} / {n} = {sums[0] / n:.5f}, printed {mean.number.text}",
            )
            fits = grimmer(mean.number, sd.number, n)
            text = f"sd {sd.number.text} with sum {sums[0]} of {n}: "
            text += (
                "a whole sum of squares fits"
                if fits
                else f"no whole sum of squares fits{_bases(mean, sd, n, papers)}"
            )
            yield _finding(
                [mean, sd, size], "grimmer", Verdict.CONSISTENT if fits else Verdict.INCONSISTENT, text
            )
        else:
            below = int(mean.number.value * n)
            text = (
                f"{mean.number.text} x {n} = {mean.number.value * n:.2f}; {below}/{n} = {below / n:.4f}, "
                f"{below + 1}/{n} = {(below + 1) / n:.4f}{_bases(mean, sd, n, papers)}"
            )
            yield _finding([mean, size], "grim", Verdict.INCONSISTENT, text)


def check_percentages(papers: Papers) -> Iterator[Finding]:
    """Percentages are whole counts of a base: the answers to their question, their group or the whole sample."""
    counts = {(f.paper, f.group, f.variable): f for f in papers.of("n") if not f.model}
    bases = _block_bases(papers)
    for percent in papers.of("percent"):
        if _ratio_parts(percent, papers) is not None:
            continue
        own = papers.sample_size(percent.paper, percent.group)
        sizes = [own, papers.sample_size(percent.paper, WHOLE)] if own else []
        block = bases.get((percent.paper, percent.group, percent.variable.partition(":")[0]))
        tried = [block] if block and ":" in percent.variable else []
        tried += [int(size.number.value) for size in sizes if size]
        count = counts.get((percent.paper, percent.group, percent.variable))
        if not tried:
            text = f"{percent.number.text} %: no N printed for the group"
            yield _finding([percent], "percentage", Verdict.NOT_TESTABLE, text)
        elif count is not None:
            shares = {n: 100 * count.number.value / n for n in tried}
            fitting = [n for n, share in shares.items() if percent.number.overlaps(share, share)]
            n = fitting[0] if fitting else tried[0]
            text = f"{count.number.text} / {n} = {shares[n]:.2f} %, printed {percent.number.text}"
            verdict = Verdict.CONSISTENT if fitting else Verdict.INCONSISTENT
            yield _finding([percent, count], "percentage", verdict, text)
        else:
            yield _percent_without_count(percent, tried)


def check_common_base(papers: Papers) -> Iterator[Finding]:
    """Percentages of one table share a sample size at which all of them are whole counts."""
    counts = {(f.paper, f.group, f.variable) for f in papers.of("n") if not f.model}
    families: dict[tuple[str, str, str, str], list[Figure]] = defaultdict(list)
    for percent in papers.of("percent"):
        if (percent.paper, percent.group, percent.variable) not in counts and ":" not in percent.variable:
            families[percent.paper, percent.table, percent.group, percent.unit].append(percent)
    for (paper, _, group, _), family in families.items():
        # Percentages without decimals are whole counts of any base from 100 up.
        if len(family) < 2 or max(percent.number.decimals for percent in family) == 0:
            continue
        by_wave: dict[str, list[Figure]] = defaultdict(list)
        for percent in family:
            by_wave[percent.wave].append(percent)
        waves = [[figure.number for figure in figures] for figures in by_wave.values()]
        # Shares of a whole reveal a base; unrelated percentages only if nothing else says what it is.
        closed = all(is_closed(wave) for wave in waves)
        size = papers.sample_size(paper, group)
        if size is not None and not closed:
            continue
        largest = int(size.number.value) if size else papers.options.largest_base
        fitting = common_bases(waves, range(1, largest + 1))
        shown = ", ".join(str(n) for n in fitting[:5]) + (", ..." if len(fitting) > 5 else "")
        shares = " | ".join(" ".join(number.text for number in wave) for wave in waves)
        text = f"{shares} %: " + (f"fit N = {shown}" if fitting else f"no N up to {largest} fits all")
        if size is None:
            yield _finding(family, "common_base", Verdict.NOT_TESTABLE, f"{text}; no N printed for the group")
            continue
        n = int(size.number.value)
        for name, figures in by_wave.items():
            single = [k for k in common_bases([[f.number for f in figures]], range(1, n + 1)) if k > n / 2]
            text += (
                f"; {name} alone: {', '.join(str(k) for k in single[-5:]) or 'none'} (of {n // 2 + 1} to {n})"
            )
        fits = bool(common_bases(waves, [n]))
        text += f"; printed N = {n}"
        verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
        yield _finding([*family, size], "common_base", verdict, text)


def check_ratios(papers: Papers) -> Iterator[Finding]:
    """A sampling proportion is questionnaires over households, for a group and over all sites."""
    for percent in papers.of("percent"):
        parts = _ratio_parts(percent, papers)
        if parts is not None:
            small, large = parts
            yield _ratio([percent, *parts], small.number.value, large.number.value, percent.number)
    for paper in dict.fromkeys(site["source_file"] for site in papers.sites):
        rows = [site for site in papers.sites if site["source_file"] == paper]
        sampled = [printed(site["sampled_questionnaires"]) for site in rows]
        total = sum(number.value for number in sampled if number)
        for site, number in zip(rows, sampled, strict=True):
            households = printed(site["households"])
            share, proportion = (
                printed(site["share_of_survey_pct"]),
                printed(site["published_sampling_proportion_pct"]),
            )
            if number and households and proportion:
                yield _ratio([site["site_id"]], number.value, households.value, proportion)
            if number and share and None not in sampled:
                yield _ratio([site["site_id"]], number.value, total, share)


def check_group_counts(papers: Papers) -> Iterator[Finding]:
    """The categories of a question, and the groups of a sample, add up to the whole."""
    for (paper, group, question), block in papers.blocks().items():
        size = papers.sample_size(paper, group)
        if size is not None:
            yield _sum_against(block, size, f"{question}: ", "blank")
    parts: dict[tuple[str, str, str, str, str], list[Figure]] = defaultdict(list)
    for figure in papers.of("n"):
        if not figure.model and ":" not in figure.variable:
            parts[figure.paper, figure.table, figure.wave, figure.variable, figure.unit].append(figure)
    for (paper, *_, unit), figures in parts.items():
        wholes = [figure for figure in figures if figure.group == WHOLE]
        groups = [figure for figure in figures if figure.group != WHOLE]
        if not wholes and unit in papers.options.sample_units and (size := papers.sample_size(paper, WHOLE)):
            wholes = [size]
        if len(groups) > 1 and wholes:
            yield _sum_against(groups, wholes[0], "groups: ", "in no group")


def check_regression_n(papers: Papers) -> Iterator[Finding]:
    """A regression cannot use more answers than its least answered question has, unless blanks were filled."""
    for n in papers.of("n"):
        blocks = [
            (question, block)
            for (paper, group, question), block in papers.blocks().items()
            if n.model and (paper, group) == (n.paper, n.group)
        ]
        if not blocks:
            continue
        question, block = min(blocks, key=lambda item: sum(f.number.value for f in item[1]))
        answers = int(sum(f.number.value for f in block))
        text = f"{n.model}: N = {n.number.text}, {question} has {answers} answers"
        if answers >= n.number.value:
            yield _finding([n], "regression_n", Verdict.CONSISTENT, text)
            continue
        model = _model_figures(n, papers)
        if "f" in model and "adj_r2" in model:
            k = max(_regressor_counts(n, papers))
            listwise = f_from_adjusted_r2(model["adj_r2"].number.value, answers, k)
            text += (
                f"; with {answers} and {k} regressors F = {listwise:.3f}, printed {model['f'].number.text}"
            )
        text += ": blanks must have been filled or coded"
        yield _finding([n, *block], "regression_n", Verdict.INCONSISTENT, text)


def check_weighted_means(papers: Papers) -> Iterator[Finding]:
    """The means of the groups of a sample, weighted by N, are the mean of the whole."""
    tables: dict[tuple[str, str, str, str], dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for figure in (*papers.of("mean"), *papers.of("score")):
        if not figure.model:
            key = figure.paper, figure.table, figure.wave, figure.statistic
            tables[key][figure.variable].append(figure)
    for (paper, *_), variables in tables.items():
        tested: list[tuple[Figure, list[Figure]]] = []
        contradicted = False
        for variable, figures in variables.items():
            wholes = [figure for figure in figures if figure.group == WHOLE]
            groups = [figure for figure in figures if figure.group != WHOLE]
            sizes = [papers.sample_size(paper, figure.group) for figure in groups]
            size = papers.sample_size(paper, WHOLE)
            if len(groups) < 2 or not wholes or size is None:
                continue
            known = [count.number.value for count in sizes if count is not None]
            if len(known) < len(groups) or sum(known) != size.number.value:
                text = f"{variable}: the groups are no partition of the sample"
                yield _finding([*groups, *wholes], "weighted_means", Verdict.NOT_TESTABLE, text)
                continue
            shares = np.array(known) / sum(known)
            whole = wholes[0]
            low = float(shares @ [figure.number.low for figure in groups])
            high = float(shares @ [figure.number.high for figure in groups])
            fits = whole.number.overlaps(low, high)
            contradicted |= not fits
            terms = " + ".join(f"{count:g} x {f.number.text}" for count, f in zip(known, groups, strict=True))
            text = (
                f"{variable}: ({terms}) / {sum(known):g} = {(low + high) / 2:.3f}, "
                f"printed {whole.number.text} (rounding allows {(high - low) / 2 + whole.number.half:.3f})"
            )
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield _finding([*groups, whole], "weighted_means", verdict, text)
            tested.append((whole, groups))
        if contradicted and len(tested) > len(tested[0][1]):
            yield _any_shares(tested)


def check_communalities(papers: Papers) -> Iterator[Finding]:
    """Squared loadings add up to the communality of an item and to the explained variance of a factor."""
    loadings = [loading for loading in papers.of("loading") if loading.dependent]
    for communality in papers.of("communality"):
        row = [f for f in loadings if _same(f, communality) and f.variable == communality.variable]
        lost = _lost(papers, communality, item=communality.variable)
        if row:
            yield _squares(row, communality, communality.number, 1.0, lost, "communality")
    for explained in papers.of("explained_variance"):
        column = [f for f in loadings if _same(f, explained) and f.dependent == explained.variable]
        n_items = len({f.variable for f in loadings if _same(f, explained)})
        lost = _lost(papers, explained, factor=explained.variable)
        if column:
            yield _squares(column, explained, explained.number, 100 / n_items, lost, "explained_variance")
    totals: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
    for explained in papers.of("explained_variance"):
        totals[explained.paper, explained.table, explained.group].append(explained)
    for (paper, table, group), figures in totals.items():
        items = [f for f in papers.of("communality") if (f.paper, f.table, f.group) == (paper, table, group)]
        if not items:
            continue
        share = 100 * sum(f.number.value for f in items) / len(items)
        margin = 100 * items[0].number.half + sum(f.number.half for f in figures)
        total = sum(f.number.value for f in figures)
        text = (
            f"sum of {len(items)} communalities = {share * len(items) / 100:.3f}, / {len(items)} = {share:.3f} %; "
            f"sum of explained variance = {total:.3f} % (rounding allows {margin:.3f})"
        )
        verdict = Verdict.CONSISTENT if abs(share - total) <= margin else Verdict.INCONSISTENT
        yield _finding([*items, *figures], "total_explained_variance", verdict, text)


def check_f(papers: Papers) -> Iterator[Finding]:
    """F follows from adjusted R2, N and the number of regressors."""
    for f in papers.of("f"):
        model = _model_figures(f, papers)
        counts = _regressor_counts(f, papers)
        if "adj_r2" not in model or not counts:
            yield _finding(
                [f], "f_against_r2", Verdict.NOT_TESTABLE, "no adjusted R2 or no coefficients printed"
            )
            continue
        size = model.get("n") or papers.sample_size(f.paper, f.group)
        adjusted = model["adj_r2"]
        if size is None or f.number.decimals == 0 or adjusted.number.decimals == 0:
            reason = "no N printed" if size is None else "printed without decimals"
            yield _finding(
                [f, adjusted], "f_against_r2", Verdict.NOT_TESTABLE, f"F {f.number.text}: {reason}"
            )
            continue
        n, text, fits = int(size.number.value), "", False
        for k in counts:
            if n <= k + 1:
                continue
            low, high = (f_from_adjusted_r2(end, n, k) for end in (adjusted.number.low, adjusted.number.high))
            fits = f.number.overlaps(low, high)
            text = (
                f"adjusted R2 {adjusted.number.text}, N = {n}, {k} regressors: F = {low:.3f} to {high:.3f}, "
                f"printed {f.number.text}"
            )
            if fits:
                break
        verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
        yield _finding([f, adjusted, size], "f_against_r2", verdict, text or f"N = {n} is too small")


def check_composites(papers: Papers) -> Iterator[Finding]:
    """A model of a weighted sum has the weighted sum of the coefficients of its parts, row by row."""
    tables: dict[tuple[str, str, str, str], list[Figure]] = defaultdict(list)
    for figure in papers.of("coefficient"):
        if figure.dependent:
            tables[figure.paper, figure.table, figure.wave, figure.group].append(figure)
    for figures in tables.values():
        models = list(dict.fromkeys(figure.model for figure in figures))
        cells = {(figure.variable, figure.model): figure for figure in figures}
        names = [
            name
            for name in dict.fromkeys(figure.variable for figure in figures)
            if all((name, model) in cells for model in models)
        ]
        grid = [[cells[name, model] for model in models] for name in names]
        if not grid:
            continue
        b = np.array([[cell.number.value for cell in row] for row in grid])
        half = np.array([[cell.number.half for cell in row] for row in grid])
        fit = find_composite(b, half)
        if fit is not None:
            yield _rows_of_composite(fit, grid, names, models)
            yield from _weights_of_composite(fit, grid, b, half, papers)


def check_reliability(papers: Papers) -> Iterator[Finding]:
    """Standardised alpha gives the mean correlation of the items, which bounds the determinant of Bartlett's test."""
    for alpha in papers.of("alpha"):
        match = ITEM_COUNT.search(alpha.variable)
        if match is None:
            yield _finding([alpha], "alpha", Verdict.NOT_TESTABLE, "number of items not printed")
            continue
        if alpha.unit.startswith(papers.options.raw_units):
            yield _finding([alpha], "alpha", Verdict.NOT_TESTABLE, "raw alpha implies no mean correlation")
            continue
        k = int(match[1])
        r = alpha.number.value / (k - (k - 1) * alpha.number.value)
        inside = -1 / (k - 1) <= r <= 1
        a = alpha.number.text
        text = f"alpha {a} of {k} items: mean correlation {a} / ({k} - {k - 1} x {a}) = {r:.3f}"
        yield _finding([alpha], "alpha", Verdict.CONSISTENT if inside else Verdict.IMPOSSIBLE, text)
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
            yield _finding([alpha, chi2, size], "alpha_against_bartlett", verdict, text)


def check_alpha_against_loadings(papers: Papers) -> Iterator[Finding]:
    """The components that a table retains explain a part of the variance of the sum of its items, so bound alpha."""
    tables: dict[tuple[str, tuple[str, str, str]], list[Figure]] = defaultdict(list)
    for loading in papers.of("loading"):
        if loading.dependent:
            tables[loading.table, _sample(loading)].append(loading)
    for alpha in papers.of("alpha"):
        match = ITEM_COUNT.search(alpha.variable)
        found = [
            figures
            for (_, sample), figures in tables.items()
            if match and sample == _sample(alpha) and len({f.variable for f in figures}) == int(match[1]) > 1
        ]
        if not found:
            text = f"alpha {alpha.number.text}: no table of loadings of as many items printed for the group"
            yield _finding([alpha], "alpha_against_loadings", Verdict.NOT_TESTABLE, text)
        for figures in found:
            yield _alpha_against(alpha, figures, papers)


def check_bartlett(papers: Papers) -> Iterator[Finding]:
    """The probability of Bartlett's test follows from chi-square and the number of items."""
    for chi2 in papers.of("bartlett"):
        ps = [p for p in papers.of("p_value") if _same(p, chi2) and p.variable == chi2.variable]
        k = len({f.variable for f in papers.of("loading") if (f.paper, f.group) == (chi2.paper, chi2.group)})
        if not ps or k < 2:
            yield _finding([chi2], "bartlett_p", Verdict.NOT_TESTABLE, "no p or no loadings printed")
            continue
        df = k * (k - 1) // 2
        p = float(stats.chi2.sf(chi2.number.value, df))
        fits = ps[0].number.overlaps(p, p)
        text = f"chi2 {chi2.number.text}, {k} items, df {df}: p = {p:.3g}, printed {ps[0].number.text}"
        yield _finding(
            [chi2, ps[0]], "bartlett_p", Verdict.CONSISTENT if fits else Verdict.INCONSISTENT, text
        )


TESTS: tuple[Callable[[Papers], Iterator[Finding]], ...] = (
    check_limits,
    check_largest_sd,
    check_granularity,
    check_percentages,
    check_common_base,
    check_ratios,
    check_group_counts,
    check_regression_n,
    check_weighted_means,
    check_communalities,
    check_f,
    check_composites,
    check_reliability,
    check_alpha_against_loadings,
    check_bartlett,
)


def _as_text(
    rows: Iterable[Mapping[str, Any]], table: str, columns: Sequence[str]
) -> Iterator[dict[str, str]]:
    for row in rows:
        if missing := [column for column in columns if column not in row]:
            raise MissingColumnError(f"The {table} lack {', '.join(missing)}.")
        yield {key: "" if value is None else str(value) for key, value in row.items()}


def _finding(figures: Sequence[Figure], test: str, verdict: Verdict, text: str) -> Finding:
    """Make a finding; say which of its figures were not read cleanly, because the fault may be the reading."""
    doubtful = sorted({figure.quality for figure in figures} - {"printed", ""})
    if doubtful and verdict in (Verdict.INCONSISTENT, Verdict.IMPOSSIBLE):
        text += f" [source quality: {', '.join(doubtful)}]"
    return Finding(tuple(dict.fromkeys(figure.stat_id for figure in figures)), test, verdict, text)


def _same(first: Figure, second: Figure) -> bool:
    """Whether two figures stand in the same table, wave and group."""
    return (first.paper, first.table, first.wave, first.group) == (
        second.paper,
        second.table,
        second.wave,
        second.group,
    )


def _sample(figure: Figure) -> tuple[str, str, str]:
    """Paper, wave and group, whose figures come from the same answers."""
    return figure.paper, figure.wave, figure.group


def _means_with_sd(papers: Papers) -> Iterator[tuple[Figure, Figure]]:
    """Means of single items: those with a standard deviation printed beside them."""
    sds = {(f.paper, f.table, f.wave, f.group, f.variable): f for f in papers.of("sd")}
    for mean in papers.of("mean"):
        sd = sds.get((mean.paper, mean.table, mean.wave, mean.group, mean.variable))
        if sd is not None:
            yield mean, sd


def _scale_points(mean: Figure, sd: Figure, size: Figure, options: AuditOptions) -> Finding:
    """Say which scales mapped to 0-1 fit a mean and sd; the item may also be a measure, so misfit proves nothing."""
    n, steps = int(size.number.value), range(1, options.largest_steps + 1)
    label = f"mean {mean.number.text}, sd {sd.number.text}"
    fitting = [step for step in steps if grimmer(mean.number, sd.number, n, steps=step)]
    if fitting:
        points = ", ".join(str(step + 1) for step in fitting)
        return _finding(
            [mean, sd, size], "grim", Verdict.CONSISTENT, f"{label}, n = {n}: fits {points} points"
        )
    fewest = int(n * (1 - options.largest_blank_share))
    pairs = [
        f"n = {k} with {step + 1} points"
        for k in range(n - 1, fewest - 1, -1)
        for step in steps
        if grimmer(mean.number, sd.number, k, steps=step)
    ]
    text = f"{label}: no scale of 2 to {options.largest_steps + 1} points fits n = {n}"
    text += f"; fits {', '.join(pairs[:3])}" if pairs else ""
    return _finding([mean, sd, size], "grim", Verdict.NOT_TESTABLE, text)


def _bases(mean: Figure, sd: Figure, n: int, papers: Papers) -> str:
    """Smaller sample sizes that mean and sd both fit: blanks are the usual reason."""
    fewest = int(n * (1 - papers.options.largest_blank_share))
    fitting = [k for k in range(n - 1, fewest - 1, -1) if grimmer(mean.number, sd.number, k)]
    return f"; fits n = {', '.join(str(k) for k in fitting[:5])}" if fitting else ""


def _block_bases(papers: Papers) -> dict[tuple[str, str, str], int]:
    return {key: int(sum(f.number.value for f in block)) for key, block in papers.blocks().items()}


def _percent_without_count(percent: Figure, bases: Sequence[int]) -> Finding:
    testable = [n for n in bases if n < 100 / (2 * percent.number.half)]
    if not testable:
        text = f"{percent.number.text} % has too few decimals for N = {bases[0]}: every share can be reached"
        return _finding([percent], "percentage", Verdict.NOT_TESTABLE, text)
    for n in bases:
        if counts := counts_for_percent(percent.number, n):
            text = f"{counts[0]} / {n} = {100 * counts[0] / n:.2f} %, printed {percent.number.text}"
            return _finding([percent], "percentage", Verdict.CONSISTENT, text)
    n = testable[0]
    below = int(percent.number.value * n / 100)
    text = (
        f"{percent.number.text} % of {n} = {percent.number.value * n / 100:.2f}; "
        f"{below}/{n} = {100 * below / n:.2f} %, {below + 1}/{n} = {100 * (below + 1) / n:.2f} %"
    )
    return _finding([percent], "percentage", Verdict.INCONSISTENT, text)


def _ratio_parts(percent: Figure, papers: Papers) -> tuple[Figure, Figure] | None:
    """Questionnaires and households of a group whose table prints one percentage of its own for them."""
    counts = [f for f in papers.of("n") if _same(f, percent) and not f.model]
    sample = [f for f in counts if f.unit in papers.options.sample_units]
    households = [f for f in counts if f.unit in papers.options.household_units]
    if len(sample) != 1 or len(households) != 1 or percent.variable in {f.variable for f in counts}:
        return None
    return sample[0], households[0]


def _ratio(figures: Sequence[Figure | str], small: float, large: float, percent: Printed) -> Finding:
    share = 100 * small / large
    fits = percent.overlaps(share, share)
    text = f"{small:g} / {large:g} = {share:.2f} %, printed {percent.text}"
    if not fits and percent.value > 0:
        text += f" (which would need {small / percent.value * 100:,.0f})"
    ids = tuple(figure if isinstance(figure, str) else figure.stat_id for figure in figures)
    return Finding(ids, "sampling_proportion", Verdict.CONSISTENT if fits else Verdict.INCONSISTENT, text)


def _sum_against(parts: Sequence[Figure], whole: Figure, label: str, rest: str) -> Finding:
    total, n = sum(f.number.value for f in parts), whole.number.value
    text = f"{label}{' + '.join(f.number.text for f in parts)} = {total:g}, N = {n:g}"
    if total == n:
        verdict = Verdict.CONSISTENT
    else:
        verdict = Verdict.INCONSISTENT if total < n else Verdict.IMPOSSIBLE
        text += f": {n - total:g} {rest}" if total < n else f": {total - n:g} too many"
    return _finding([*parts, whole], "group_counts", verdict, text)


def _model_figures(figure: Figure, papers: Papers) -> dict[str, Figure]:
    """F, adjusted R2 and N printed for the same model."""
    return {
        other.statistic: other
        for other in papers.figures
        if _same(other, figure) and other.model == figure.model and other.statistic in ("f", "adj_r2", "n")
    }


def _regressor_counts(figure: Figure, papers: Papers) -> list[int]:
    """Numbers of regressors a model can have: its own printed coefficients, or those of a fuller model beside it.

    Coefficients of a model can be lost in print while the models of a table share their regressors.
    """
    regressors: dict[str, set[str]] = defaultdict(set)
    for other in papers.of("coefficient"):
        if _same(other, figure):
            regressors[other.model].add(other.variable)
    own = len(regressors.get(figure.model, ()))
    return list(dict.fromkeys(n for n in (own, max(map(len, regressors.values()), default=0)) if n))


def _any_shares(tested: Sequence[tuple[Figure, list[Figure]]]) -> Finding:
    """Say whether any group sizes at all would reconcile the groups with the whole."""
    parts = np.array([[[f.number.value, f.number.half] for f in groups] for _, groups in tested])
    totals = np.array([[whole.number.value, whole.number.half] for whole, _ in tested])
    shares, error = closest_shares(parts[..., 0], totals[:, 0], parts[..., 1], totals[:, 1])
    listed = " : ".join(f"{100 * share:.1f}" for share in shares)
    text = f"closest group shares {listed} % miss a total by {error:.3f} more than rounding allows"
    verdict = Verdict.INCONSISTENT if error > 1e-6 else Verdict.CONSISTENT
    ids = [figure for whole, groups in tested for figure in (*groups, whole)]
    return _finding(ids, "weighted_means_any_shares", verdict, text)


def _alpha_against(alpha: Figure, loadings: Sequence[Figure], papers: Papers) -> Finding:
    """Compare alpha with the least one that the loadings allow, as standardised, as raw or as either."""
    items = list(dict.fromkeys(f.variable for f in loadings))
    of_sample = [f for f in papers.figures if _sample(f) == _sample(alpha)]
    sds = {f.variable: f for f in of_sample if f.statistic == "sd" and f.variable in items}
    communalities = {
        f.variable: f for f in of_sample if f.statistic == "communality" and f.table == loadings[0].table
    }
    low, high, lost = _ranges(loadings, items, communalities)
    turned = _turned(low, high)
    # The sum over the wider interval is at most the sum in either direction.
    low[turned], high[turned] = np.minimum(low, -high)[turned], np.maximum(high, -low)[turned]
    figures = [alpha, *loadings, *(communalities[items[i]] for i in lost if items[i] in communalities)]
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
        figures += sds.values()
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
    return _finding(figures, "alpha_against_loadings", verdict, text)


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


def _lost(papers: Papers, figure: Figure, *, item: str = "", factor: str = "") -> int:
    """Count the loadings of an item or of a factor whose number is lost."""
    return sum(
        key[:3] == (figure.paper, figure.table, "loading") and (key[4] == item or key[3] == factor)
        for key in papers.lost
    )


def _squares(
    loadings: Sequence[Figure], whole: Figure, target: Printed, scale: float, lost: int, test: str
) -> Finding:
    """Compare a sum of squared loadings, times a scale, with a printed figure; lost cells may only add to it."""
    low = scale * sum(max(abs(f.number.value) - f.number.half, 0.0) ** 2 for f in loadings)
    high = scale * sum((abs(f.number.value) + f.number.half) ** 2 for f in loadings)
    total = scale * sum(f.number.value**2 for f in loadings)
    squares = " + ".join(f"{f.number.text}^2" for f in loadings)
    text = f"{whole.variable}: {squares}" + (f", x {scale:.4f}" if scale != 1 else "")
    text += f" = {total:.3f}, printed {target.text}"
    missing = target.value - total
    if lost and missing > 0:
        verdict = Verdict.NOT_TESTABLE
        text += f"; {lost} loading(s) lost, implied {(missing / scale / lost) ** 0.5:.3f} each"
    elif target.overlaps(low, high):
        verdict = Verdict.CONSISTENT
    else:
        verdict = Verdict.INCONSISTENT
        text += f" (rounding allows {low:.3f} to {high:.3f})"
    return _finding([*loadings, whole], test, verdict, text)


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
        return _finding(figures, "composite_rows", Verdict.CONSISTENT, text)
    rows = ", ".join(names[row] for row in fit.broken)
    text += f"; as printed {rows} miss it by up to {fit.residual_before:.3f}"
    if fit.shift:
        text += f"; with the parts moved up by {fit.shift} (the first to the end of these rows) by "
        text += f"{fit.residual_after:.4f}"
    for row, first, second in fit.swaps:
        text += f"; {names[row]} obeys it with {models[first]} and {models[second]} exchanged"
    figures = [cell for row in fit.broken for cell in grid[row]]
    return _finding(figures, "composite_rows", Verdict.INCONSISTENT, text)


def _weights_of_composite(
    fit: CompositeFit,
    grid: Sequence[Sequence[Figure]],
    b: FloatArray,
    half: FloatArray,
    papers: Papers,
) -> Iterator[Finding]:
    """Which factors the weighted sum holds, if weights are the explained variances that the paper prints.

    With uncorrelated standardised parts the weights of the standardised sum are v / sqrt(sum v^2).
    """
    dependents = [grid[0][part].dependent for part in fit.parts]
    explained = {f.variable: f for f in papers.of("explained_variance") if f.paper == grid[0][0].paper}
    if not all(name in explained for name in dependents):
        return
    shares = np.array([explained[name].number.value for name in dependents])
    rows = [row for row in range(len(b)) if row not in fit.broken]
    count = len(shares)
    residuals: dict[tuple[int, ...], tuple[float, bool]] = {}
    for size in range(count, 0, -1):
        for chosen in combinations(range(count), size):
            weights = np.zeros(count)
            weights[list(chosen)] = shares[list(chosen)] / np.linalg.norm(shares[list(chosen)])
            left = np.abs(b[:, fit.composite] - b[:, list(fit.parts)] @ weights)[rows]
            tolerance = residual_tolerance(half, fit.composite, fit.parts, weights)[rows]
            residuals[chosen] = float(left.max()), bool((left <= tolerance).all())
    everything = tuple(range(count))
    figures = [explained[name] for name in dependents]
    fitting = [chosen for chosen, (_, fits) in residuals.items() if fits]
    text = (
        f"weights from the explained variance of all {count} parts leave up to {residuals[everything][0]:.4f}"
    )
    if everything in fitting:
        yield _finding(figures, "composite_weights", Verdict.CONSISTENT, text)
    elif fitting:
        out = ", ".join(dependents[i] for i in everything if i not in fitting[0])
        text += f"; without {out} up to {residuals[fitting[0]][0]:.4f}: the sum leaves it out"
        yield _finding(figures, "composite_weights", Verdict.INCONSISTENT, text)
    else:
        text += ", and no choice of parts fits: the weights are others"
        yield _finding(figures, "composite_weights", Verdict.NOT_TESTABLE, text)
