"""Tests of printed counts, percentages, means and standard deviations of a sample.

What belongs here: which of these figures must agree, and whether they do. What does not: loadings
(`printed_factors`), coefficients (`printed_regressions`), the arithmetic itself (`plausibility`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice, pairwise
from math import comb

import numpy as np

from analysis.plausibility import (
    SLACK,
    Printed,
    closest_shares,
    common_bases,
    counts_for_percent,
    grim,
    grimmer,
    is_closed,
    is_grim_testable,
    largest_sd,
    outlier_range,
    printed,
)
from analysis.printed_factors import loading_tables
from analysis.printed_figures import (
    ALARMS,
    SEPARATED,
    WHOLE,
    Figure,
    Finding,
    Papers,
    Verdict,
    finding,
    same,
)
from analysis.reconstruction import WIDEST_SCALE, reconstruct

LIMITS: Mapping[str, tuple[float, float]] = {
    "percent": (0, 100),
    "communality": (0, 1),
    "loading": (-1, 1),
    "alpha": (-np.inf, 1),
    "kmo": (0, 1),
    "p_value": (0, 1),
    "adj_r2": (-np.inf, 1),
    "r2": (0, 1),
    "sd": (0, np.inf),
    "se": (0, np.inf),
    "vif": (1, np.inf),
    "n": (0, np.inf),
    "f": (0, np.inf),
}
"""What no data can exceed, by statistic; scales add their own bounds to means and scores."""

MOST_PERCENTAGES = 3
"""Shares with their count that must be whole counts of N before a table is taken to leave out nobody."""

LEAST_DIGITS = 9
"""Digits in which two rows must agree before one counts as a copy of the other."""

MOST_PARTITIONS = 5000
"""Ways to divide the items of a table in their printed order that are tried."""

CHANCE = 1e-3
"""Expected number of structures that unrelated figures would show."""


def check_legible(papers: Papers) -> Iterator[Finding]:
    """A number written with separators may be read in two ways; it is set aside, not guessed."""
    for row in papers.lost:
        text = row.get("value_text") or row["value"]
        if SEPARATED.fullmatch(text.strip()):
            yield Finding(
                (row["stat_id"],),
                "legible",
                Verdict.NOT_TESTABLE,
                f"{text!r} has a separator that may mark decimals or thousands; write it with a point and no others",
            )


def check_limits(papers: Papers) -> Iterator[Finding]:
    """No figure lies beyond what its statistic or its scale allows."""
    tables = [table for table, *_ in loading_tables(papers) if not table.is_orthogonal]
    oblique = {cell.stat_id for table in tables for cell in table.cells.values()}
    for figure in papers.figures:
        limits = LIMITS.get(figure.statistic)
        if figure.statistic in ("mean", "score"):
            limits = figure.bounds
        if figure.stat_id in oblique:
            # Coefficients of a pattern matrix are regression weights, which may exceed 1.
            limits = None
        if limits is None:
            continue
        low, high = limits
        inside = figure.number.overlaps(low, high)
        yield finding(
            [figure],
            "limits",
            Verdict.CONSISTENT if inside else Verdict.IMPOSSIBLE,
            f"{figure.statistic} {figure.number.text} {'within' if inside else 'outside'} {low:g} to {high:g}",
        )


def check_largest_sd(papers: Papers) -> Iterator[Finding]:
    """No sd exceeds that of answers at the two ends of the scale."""
    for mean, sd in means_with_sd(papers):
        size = papers.answers(mean) or papers.sample_size(mean.paper, mean.group)
        if mean.bounds is None or size is None or not mean.number.overlaps(*mean.bounds):
            reason = "no scale bounds in the unit" if mean.bounds is None else "no N printed for the group"
            if size is not None and mean.bounds is not None:
                reason = "the mean lies outside the scale"
            yield finding([mean, sd], "largest_sd", Verdict.NOT_TESTABLE, reason)
            continue
        (lower, upper), n = mean.bounds, int(size.number.value)
        # Blanks make the group smaller and the allowed sd a trifle larger: give the figure that benefit.
        fewest = max(2, int(n * (1 - papers.options.largest_blank_share)))
        if n < 2:
            yield finding([mean, sd], "largest_sd", Verdict.NOT_TESTABLE, f"n = {n}", [size])
            continue
        steps, _ = _steps(mean, papers)
        limit = max(largest_sd(mean.number, lower, upper, k, steps=steps) for k in range(fewest, n + 1))
        fits = sd.number.low <= limit + SLACK
        is_below = sd.number.low <= largest_sd(mean.number, lower, upper, fewest) + SLACK
        text = (
            f"sd {sd.number.text} {'<=' if is_below else '>'} sqrt(({mean.number.text}-{lower:g})"
            f"({upper:g}-{mean.number.text}) x n/(n-1)) = {largest_sd(mean.number, lower, upper, n):.3f}, n = {n}"
        )
        if is_below and not fits:
            text += f", but of whole answers at most {limit:.3f}"
        if not fits and (outliers := outlier_range(mean.number, sd.number, lower, upper, n)):
            text += f"; a single value of {outliers[0]} to {outliers[-1]} would explain it"
        verdict = Verdict.CONSISTENT if fits else Verdict.IMPOSSIBLE
        yield finding([mean, sd], "largest_sd", verdict, text, [size])


def check_granularity(papers: Papers) -> Iterator[Finding]:
    """Means of whole numbers are fractions with the sample size below (GRIM), and so are their squares (GRIMMER).

    A mean of several items of each person has as many steps per unit. A misfit that fewer answers explain is `blank`,
    unless the number of answers to this very question is printed.
    """
    sds = {id(mean): sd for mean, sd in means_with_sd(papers)}
    for mean in papers.of("mean"):
        sd = sds.get(id(mean))
        steps, kind = _steps(mean, papers)
        own = papers.answers(mean)
        size = own or papers.sample_size(mean.paper, mean.group)
        if mean.unit.startswith(papers.options.unit_interval_units):
            if sd is not None and size is not None:
                yield _scale_points(mean, sd, size, papers)
            continue
        if sd is None and kind != "averaged":
            continue
        if not steps or size is None:
            reason = "not known to be whole numbers" if size else "no N printed for the group"
            yield finding([mean], "grim", Verdict.NOT_TESTABLE, f"{mean.number.text} {mean.unit}: {reason}")
            continue
        n = int(size.number.value)
        if n < 1 or not is_grim_testable(mean.number, n, steps=steps):
            text = f"{mean.number.text} has too few decimals for n = {n}"
            text += f" and {steps} items" if steps > 1 else ""
            yield finding([mean], "grim", Verdict.NOT_TESTABLE, f"{text}: every mean can be reached", [size])
            continue
        yield from _granular(mean, sd, size, steps, papers, is_exact=own is not None)


def _steps(mean: Figure, papers: Papers) -> tuple[int, str]:
    """Steps per unit that the mean of one person has, and what kind of answer it is; 0 if unknown."""
    if mean.unit.startswith(papers.options.binary_units):
        return 1, "binary"
    if not mean.unit.startswith(papers.options.whole_number_units):
        return 0, ""
    return (mean.n_items, "averaged") if mean.n_items else (1, "single")


def _granular(
    mean: Figure, sd: Figure | None, size: Figure, steps: int, papers: Papers, *, is_exact: bool
) -> Iterator[Finding]:
    n = int(size.number.value)
    fewest = n if is_exact else max(2, int(n * (1 - papers.options.largest_blank_share)))
    smaller = [k for k in range(n - 1, fewest - 1, -1) if grim(mean.number, k, steps=steps)]
    unit = f"({n} x {steps})" if steps > 1 else f"{n}"
    sums = grim(mean.number, n, steps=steps)
    if not sums:
        below = int(mean.number.value * n * steps)
        text = (
            f"{mean.number.text} x {unit} = {mean.number.value * n * steps:.2f}; "
            f"{below}/{unit} = {below / n / steps:.4f}, {below + 1}/{unit} = {(below + 1) / n / steps:.4f}"
        )
        both = [k for k in smaller if sd is None or grimmer(mean.number, sd.number, k, steps=steps)]
        if both:
            text += f"; fits n = {', '.join(str(k) for k in both[:5])}: blanks explain it"
        verdict = Verdict.BLANK if both else Verdict.INCONSISTENT
        yield finding([mean] if sd is None or not smaller else [mean, sd], "grim", verdict, text, [size])
        return
    text = f"{sums[0]} / {unit} = {sums[0] / n / steps:.5f}, printed {mean.number.text}"
    yield finding([mean], "grim", Verdict.CONSISTENT, text, [size])
    if sd is None:
        return
    fits = grimmer(mean.number, sd.number, n, steps=steps)
    text = f"sd {sd.number.text} with sum {sums[0]} of {unit}: "
    verdict = Verdict.CONSISTENT
    if fits:
        text += "a whole sum of squares fits"
    else:
        both = [k for k in smaller if grimmer(mean.number, sd.number, k, steps=steps)]
        text += "no whole sum of squares fits"
        text += f"; fits n = {', '.join(str(k) for k in both[:5])}: blanks explain it" if both else ""
        verdict = Verdict.BLANK if both else Verdict.INCONSISTENT
    yield finding([mean, sd], "grimmer", verdict, text, [size])


def check_debit(papers: Papers) -> Iterator[Finding]:
    """The sd of answers that are 0 or 1 follows from their mean and number (DEBIT, Heathers and Brown 2019)."""
    for mean, sd in means_with_sd(papers):
        if not mean.unit.startswith(papers.options.binary_units):
            continue
        size = papers.answers(mean) or papers.sample_size(mean.paper, mean.group)
        if size is None or size.number.value < 2 or not mean.number.overlaps(0, 1):
            yield finding([mean, sd], "debit", Verdict.NOT_TESTABLE, "no N printed, or a mean outside 0 to 1")
            continue
        n = int(size.number.value)
        low, high = max(mean.number.low, 0.0), min(mean.number.high, 1.0)
        ends = [m * (1 - m) for m in (low, high)] + ([0.25] if low <= 0.5 <= high else [])
        fewest = max(2, int(n * (1 - papers.options.largest_blank_share)))
        least, most = min(ends) ** 0.5, max(ends) ** 0.5 * (fewest / (fewest - 1)) ** 0.5
        fits = sd.number.overlaps(least, most)
        text = (
            f"sqrt({mean.number.text} x (1 - {mean.number.text}) x n/(n-1)) = "
            f"{least:.4f} to {most:.4f}, printed {sd.number.text}, n = {n}"
        )
        verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
        yield finding([mean, sd], "debit", verdict, text, [size])


def check_reconstruction(papers: Papers) -> Iterator[Finding]:
    """Answers on the scale exist that give both mean and sd."""
    for mean, sd in means_with_sd(papers):
        size = papers.answers(mean) or papers.sample_size(mean.paper, mean.group)
        steps, kind = _steps(mean, papers)
        if kind != "single" or size is None or mean.bounds is None or steps != 1:
            continue
        lower, upper = (int(end) for end in mean.bounds)
        n = int(size.number.value)
        if upper - lower >= WIDEST_SCALE or n < 2 or not mean.number.overlaps(*mean.bounds):
            continue
        if sd.number.low > largest_sd(mean.number, lower, upper, n):
            continue
        is_exact = papers.answers(mean) is not None
        fewest = n if is_exact else max(2, int(n * (1 - papers.options.largest_blank_share)))
        bases = [k for k in range(n, fewest - 1, -1) if grimmer(mean.number, sd.number, k)]
        if not bases:
            continue
        # Away from the ends of what is possible every sum of squares of the right parity occurs.
        tried = bases[:1] if _is_roomy(mean.number, sd.number, bases[0], lower, upper) else bases[:10]
        counts = None
        for k in tried:
            counts = reconstruct(mean.number, sd.number, k, lower, upper)
            if counts is not None:
                break
        if counts is None:
            text = f"no {lower} to {upper} answers give mean {mean.number.text} and sd {sd.number.text}"
            yield finding([mean, sd], "reconstruction", Verdict.IMPOSSIBLE, f"{text}, n = {n}", [size])
            continue
        listed = ", ".join(f"{lower + i}: {count}" for i, count in enumerate(counts))
        text = f"for instance {listed} give mean {mean.number.text} and sd {sd.number.text}"
        yield finding([mean, sd], "reconstruction", Verdict.CONSISTENT, text, [size])


def _is_roomy(mean: Printed, sd: Printed, n: int, lower: float, upper: float) -> bool:
    return sd.value < 0.8 * largest_sd(mean, lower, upper, n)


def check_percentages(papers: Papers) -> Iterator[Finding]:
    """Percentages are whole counts of a base: the answers to their question, their group or the whole sample."""
    counts = {(f.paper, f.group, f.wave, f.variable): f for f in papers.of("n") if not f.model}
    families = {f.stat_id for family in _families(papers) for f in family if _is_whole(family)}
    complete = _complete_tables(papers)
    for percent in papers.of("percent"):
        if ratio_parts(percent, papers) is not None or percent.model:
            continue
        count = counts.get((percent.paper, percent.group, percent.wave, percent.variable))
        if count is None and percent.stat_id in families:
            continue  # common_base tests shares of a whole together
        tried = _bases_of(percent, papers)
        if not tried:
            text = f"{percent.number.text} %: no N printed for the group"
            yield finding([percent], "percentage", Verdict.NOT_TESTABLE, text)
        elif count is not None:
            yield _percent_of_count(percent, count, tried, papers)
        else:
            yield _percent_without_count(percent, tried, (percent.paper, percent.table) in complete, papers)


def _bases_of(percent: Figure, papers: Papers) -> dict[int, Figure | None]:
    """Bases a percentage may have, each with the figure that prints it."""
    own = papers.sample_size(percent.paper, percent.group)
    whole = papers.sample_size(percent.paper, WHOLE)
    question = percent.variable.partition(":")[0]
    block = papers.blocks().get((percent.paper, percent.group, question), [])
    bases: dict[int, Figure | None] = {}
    if ":" in percent.variable and block:
        bases[int(sum(f.number.value for f in block))] = None
    for size in (own, whole if own else None):
        if size is not None:
            bases.setdefault(int(size.number.value), size)
    return {n: size for n, size in bases.items() if n > 0}


def _complete_tables(papers: Papers) -> set[tuple[str, str]]:
    """Tables whose counts and percentages show that nobody is left out of any question."""
    fitting: dict[tuple[str, str], int] = defaultdict(int)
    counts = {(f.paper, f.table, f.group, f.wave, f.variable): f for f in papers.of("n") if not f.model}
    short = {
        (block[0].paper, block[0].table)
        for (paper, group, _), block in papers.blocks().items()
        if (size := papers.sample_size(paper, group)) is not None
        and sum(f.number.value for f in block) < size.number.value
    }
    for percent in papers.of("percent"):
        count = counts.get((percent.paper, percent.table, percent.group, percent.wave, percent.variable))
        size = papers.sample_size(percent.paper, WHOLE)
        if count is None or size is None or size.number.value < 1:
            continue
        share = 100 * count.number.value / size.number.value
        if percent.number.overlaps(share, share):
            fitting[percent.paper, percent.table] += 1
        elif percent.group == WHOLE:
            fitting[percent.paper, percent.table] -= 10 * MOST_PERCENTAGES
    return {key for key, number in fitting.items() if number >= MOST_PERCENTAGES} - short


def _percent_of_count(
    percent: Figure, count: Figure, tried: Mapping[int, Figure | None], papers: Papers
) -> Finding:
    shares = {n: 100 * count.number.value / n for n in tried}
    fitting = [n for n, share in shares.items() if percent.number.overlaps(share, share)]
    n = fitting[0] if fitting else next(iter(tried))
    text = f"{count.number.text} / {n} = {shares[n]:.2f} %, printed {percent.number.text}"
    if fitting:
        return finding([percent, count], "percentage", Verdict.CONSISTENT, text, [tried[n]])
    for n, share in shares.items():
        if _is_adjusted_block(percent, n, papers):
            text = f"{count.number.text} / {n} = {share:.2f} %, printed {percent.number.text}"
            text += ": adjusted so that the shares of the question add up to 100"
            return finding([percent, count], "percentage", Verdict.CONSISTENT, text, [tried[n]])
    # An answer may be left out of the base of its own question only: the base lies between its answers and N.
    largest = max(tried)
    fewest = max(1, int(largest * (1 - papers.options.largest_blank_share)))
    if ":" not in percent.variable and count.group == WHOLE:
        base = [
            k
            for k in range(largest, fewest - 1, -1)
            if percent.number.overlaps(*[100 * count.number.value / k] * 2)
        ]
        complete = (percent.paper, percent.table) in _complete_tables(papers)
        if base and count.number.value <= base[0] and not complete:
            text += f"; of {base[0]} it fits: blanks explain it"
            return finding([percent, count], "percentage", Verdict.BLANK, text, [tried[n]])
    return finding([percent, count], "percentage", Verdict.INCONSISTENT, text, [tried[n]])


def _is_adjusted_block(percent: Figure, n: int, papers: Papers) -> bool:
    """Whether the shares of a question add up to 100 only because some were moved by a unit of the last digit."""
    question, _, category = percent.variable.partition(":")
    if not category:
        return False
    block = {
        f.variable: f.number.value for f in papers.blocks().get((percent.paper, percent.group, question), ())
    }
    if n != sum(block.values()):
        return False
    tables: dict[tuple[str, str], dict[str, Printed]] = defaultdict(dict)
    for f in papers.of("percent"):
        if (f.paper, f.group, f.wave) == (percent.paper, percent.group, percent.wave) and f.variable in block:
            tables[f.table, f.unit][f.variable] = f.number
    names = list(block)
    return any(
        set(shares) == set(block)
        and shares[percent.variable].text == percent.number.text
        and is_adjusted([shares[name] for name in names], [block[name] for name in names], n)
        for shares in tables.values()
    )


def is_adjusted(shares: Sequence[Printed], counts: Sequence[float], n: int) -> bool:
    """Whether printed shares are rounded ones of these counts, a few moved so that they add up to exactly 100.

    Every move goes in the same direction, and together they make up for what rounding missed: nothing else is the
    practice of adjusting.
    """
    decimals = max(share.decimals for share in shares)
    unit = 10.0**-decimals
    moves, missed = [], 0.0
    for share, count in zip(shares, counts, strict=True):
        exact = 100 * count / n
        ends = {round((exact - SLACK) / unit), round((exact + SLACK) / unit)}
        rounded = min(ends, key=lambda r: abs(r - share.value / unit))
        moves.append(round(share.value / unit) - rounded)
        missed += rounded
    gap = round(100 / unit) - round(missed)
    one_way = all(m >= 0 for m in moves) or all(m <= 0 for m in moves)
    return gap != 0 and sum(moves) == gap and one_way


def _percent_without_count(
    percent: Figure, tried: Mapping[int, Figure | None], is_complete: bool, papers: Papers
) -> Finding:
    bases = list(tried)
    testable = [n for n in bases if n < 100 / (2 * percent.number.half)]
    if not testable:
        text = f"{percent.number.text} % has too few decimals for N = {bases[0]}: every share can be reached"
        return finding([percent], "percentage", Verdict.NOT_TESTABLE, text)
    for n in bases:
        if counts := counts_for_percent(percent.number, n):
            text = f"{counts[0]} / {n} = {100 * counts[0] / n:.2f} %, printed {percent.number.text}"
            return finding([percent], "percentage", Verdict.CONSISTENT, text, [tried[n]])
    n = testable[0]
    below = int(percent.number.value * n / 100)
    text = (
        f"{percent.number.text} % of {n} = {percent.number.value * n / 100:.2f}; "
        f"{below}/{n} = {100 * below / n:.2f} %, {below + 1}/{n} = {100 * (below + 1) / n:.2f} %"
    )
    verdict = Verdict.INCONSISTENT
    if is_complete:
        text += "; the counts of this table leave nobody out"
    else:
        fewest = max(1, int(n * (1 - papers.options.largest_blank_share)))
        smaller = [k for k in range(n - 1, fewest - 1, -1) if counts_for_percent(percent.number, k)]
        if smaller:
            verdict = Verdict.BLANK
            text += f"; fits N = {', '.join(str(k) for k in smaller[:5])}: blanks explain it"
    return finding([percent], "percentage", verdict, text, [tried[n]])


def _families(papers: Papers) -> list[list[Figure]]:
    """Percentages without counts that stand together: of one table, group and unit, or of one question."""
    counts = {(f.paper, f.group, f.variable) for f in papers.of("n") if not f.model}
    families: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for percent in papers.of("percent"):
        if (percent.paper, percent.group, percent.variable) not in counts and not percent.model:
            question = percent.variable.partition(":")[0] if ":" in percent.variable else ""
            families[percent.paper, percent.table, percent.group, percent.unit, question].append(percent)
    # Percentages without decimals are whole counts of any base from 100 up.
    return [
        family
        for family in families.values()
        if len(family) > 1 and max(percent.number.decimals for percent in family) > 0
    ]


def _by_wave(family: Sequence[Figure]) -> dict[str, list[Figure]]:
    by_wave: dict[str, list[Figure]] = defaultdict(list)
    for percent in family:
        by_wave[percent.wave].append(percent)
    return by_wave


def _is_whole(family: Sequence[Figure]) -> bool:
    """Whether the percentages of each wave are the shares of a whole."""
    return all(is_closed([f.number for f in figures]) for figures in _by_wave(family).values())


def check_common_base(papers: Papers) -> Iterator[Finding]:
    """Percentages of one table share a sample size at which all of them are whole counts.

    A wave may have fewer answers than the sample, or its shares may have been adjusted to add up to 100.
    """
    for family in _families(papers):
        by_wave = _by_wave(family)
        waves = [[figure.number for figure in figures] for figures in by_wave.values()]
        # Shares of a whole reveal a base; unrelated percentages only if nothing else says what it is.
        closed = _is_whole(family)
        size = papers.sample_size(family[0].paper, family[0].group)
        if size is not None and not closed:
            continue
        largest = int(size.number.value) if size else papers.options.largest_base
        fitting = common_bases(waves, range(1, largest + 1))
        shown = ", ".join(str(n) for n in fitting[:5]) + (", ..." if len(fitting) > 5 else "")
        shares = " | ".join(" ".join(number.text for number in wave) for wave in waves)
        text = f"{shares} %: " + (f"fit N = {shown}" if fitting else f"no N up to {largest} fits all")
        if size is None:
            yield finding(family, "common_base", Verdict.NOT_TESTABLE, f"{text}; no N printed for the group")
            continue
        n = int(size.number.value)
        fewest = max(1, int(n * (1 - papers.options.largest_blank_share)))
        outcomes = []
        for name, figures in by_wave.items():
            numbers = [f.number for f in figures]
            single = [k for k in common_bases([numbers], range(1, n + 1)) if k > n / 2]
            near = [k for k in single if k >= fewest]
            if near:
                outcomes.append(Verdict.CONSISTENT if near[-1] == n else Verdict.BLANK)
            elif _can_be_adjusted(numbers, n):
                outcomes.append(Verdict.CONSISTENT)
                text += f"; {name} adjusted so that its shares add up to 100"
            else:
                outcomes.append(Verdict.INCONSISTENT)
            text += (
                f"; {name} alone: {', '.join(str(k) for k in single[-5:]) or 'none'} (of {n // 2 + 1} to {n})"
            )
        text += f"; printed N = {n}"
        verdict = next(v for v in (Verdict.INCONSISTENT, Verdict.BLANK, Verdict.CONSISTENT) if v in outcomes)
        yield finding(family, "common_base", verdict, text, [size])


def check_share_totals(papers: Papers) -> Iterator[Finding]:
    """The shares of the categories of a question add up to 100, and those of a whole do so in every wave."""
    questions: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for f in papers.of("percent"):
        if ":" in f.variable and not f.model:
            questions[f.paper, f.table, f.wave, f.group, f.unit, f.variable.partition(":")[0]].append(f)
    for (paper, *_, group, _, question), shares in questions.items():
        block = papers.blocks().get((paper, group, question))
        if block and {f.variable for f in block} == {f.variable for f in shares}:
            yield _total_of_shares(shares)
    for family in _families(papers):
        by_wave = _by_wave(family)
        closed = {wave: is_closed([f.number for f in figures]) for wave, figures in by_wave.items()}
        alike = len({tuple(sorted(f.variable for f in figures)) for figures in by_wave.values()}) == 1
        if any(closed.values()) and alike:
            for figures in by_wave.values():
                yield _total_of_shares(figures)


def _total_of_shares(shares: Sequence[Figure]) -> Finding:
    total = sum(f.number.value for f in shares)
    decimals = max(f.number.decimals for f in shares)
    text = f"{' + '.join(f.number.text for f in shares)} = {total:.{decimals}f} %"
    verdict = Verdict.CONSISTENT if is_closed([f.number for f in shares]) else Verdict.INCONSISTENT
    return finding(shares, "share_total", verdict, text)


def _can_be_adjusted(shares: Sequence[Printed], n: int) -> bool:
    """Whether some whole counts that add up to n, their shares adjusted to 100, print like this."""
    unit = 10.0 ** -max(share.decimals for share in shares)
    if abs(sum(share.value for share in shares) - 100) > unit / 2:
        return False
    options = [
        [
            c
            for c in range(int((s.value - 3 * unit) * n / 100), int((s.value + 3 * unit) * n / 100) + 2)
            if c >= 0
        ]
        for s in shares
    ]

    def search(k: int, chosen: list[int]) -> bool:
        if k == len(shares):
            return sum(chosen) == n and is_adjusted(shares, chosen, n)
        return any(search(k + 1, [*chosen, c]) for c in options[k])

    return len(shares) <= 12 and search(0, [])


def ratio_parts(percent: Figure, papers: Papers) -> tuple[Figure, Figure] | None:
    """Questionnaires and households of a group whose table prints one percentage of its own for them."""
    counts = [f for f in papers.of("n") if same(f, percent) and not f.model]
    sampled = [f for f in counts if f.unit in papers.options.sample_units and ":" not in f.variable]
    households = [f for f in counts if f.unit in papers.options.household_units]
    if len(sampled) != 1 or len(households) != 1 or percent.variable in {f.variable for f in counts}:
        return None
    return (sampled[0], households[0]) if ":" not in percent.variable else None


def check_ratios(papers: Papers) -> Iterator[Finding]:
    """A sampling proportion is questionnaires over households, for a group and over all sites."""
    for percent in papers.of("percent"):
        parts = ratio_parts(percent, papers)
        if parts is not None:
            small, large = (part.number.value for part in parts)
            if large > 0:
                fits, text = _ratio(small, large, percent.number)
                verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
                yield finding([percent], "sampling_proportion", verdict, text, parts)
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
            pairs = []
            if number and households and households.value > 0 and proportion:
                pairs.append((households.value, proportion))
            if number and share and None not in sampled and total > 0:
                pairs.append((total, share))
            for large_, percent_ in pairs:
                fits, text = _ratio(number.value if number else 0.0, large_, percent_)
                verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
                yield Finding((site["site_id"],), "sampling_proportion", verdict, text)


def _ratio(small: float, large: float, percent: Printed) -> tuple[bool, str]:
    share = 100 * small / large
    fits = percent.overlaps(share, share)
    text = f"{small:g} / {large:g} = {share:.2f} %, printed {percent.text}"
    if not fits and percent.value > 0:
        text += f" (which would need {small / percent.value * 100:,.0f})"
    return fits, text


def check_group_counts(papers: Papers) -> Iterator[Finding]:
    """The categories of a question, and the groups of a sample, add up to the whole.

    A question may have been left blank; a table that prints its own total leaves nothing out.
    """
    for (paper, group, question), block in papers.blocks().items():
        size = papers.sample_size(paper, group)
        if size is not None:
            yield _sum_against(block, size, f"{question}: ", is_exact=False)
    parts: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for figure in papers.of("n"):
        if not figure.model and ":" not in figure.variable:
            parts[figure.paper, figure.table, figure.wave, figure.variable, figure.unit].append(figure)
    for (paper, *_, unit), figures in parts.items():
        own = [figure for figure in figures if figure.group == WHOLE]
        groups = [figure for figure in figures if figure.group != WHOLE]
        wholes = list(own)
        if not wholes and unit in papers.options.sample_units and (size := papers.sample_size(paper, WHOLE)):
            wholes = [size]
        if len(groups) > 1 and wholes:
            yield _sum_against(groups, wholes[0], "groups: ", is_exact=bool(own))


def _sum_against(parts: Sequence[Figure], whole: Figure, label: str, *, is_exact: bool) -> Finding:
    total, n = sum(f.number.value for f in parts), whole.number.value
    text = f"{label}{' + '.join(f.number.text for f in parts)} = {total:g}, N = {n:g}"
    if total == n:
        return finding([*parts, whole], "group_counts", Verdict.CONSISTENT, text)
    if total > n:
        text += f": {total - n:g} too many"
        return finding([*parts, whole], "group_counts", Verdict.IMPOSSIBLE, text)
    text += f": {n - total:g} {'in no group' if is_exact else 'blank'}"
    verdict = Verdict.INCONSISTENT if is_exact else Verdict.BLANK
    return finding([*parts, whole], "group_counts", verdict, text)


def check_weighted_means(papers: Papers) -> Iterator[Finding]:
    """The means of the groups of a sample, weighted by N, are the mean of the whole.

    Where questions were left blank, the groups may have answered a little less than their N; the mean of the whole
    then lies as close as that allows.
    """
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
            known = [count for count in sizes if count is not None]
            total = sum(count.number.value for count in known)
            if len(known) < len(groups) or total != size.number.value:
                text = f"{variable}: the groups are no partition of the sample"
                yield finding([*groups, *wholes], "weighted_means", Verdict.NOT_TESTABLE, text)
                continue
            shares = np.array([count.number.value for count in known]) / total
            whole = wholes[0]
            low = float(shares @ [figure.number.low for figure in groups])
            high = float(shares @ [figure.number.high for figure in groups])
            fits = whole.number.overlaps(low, high)
            terms = " + ".join(
                f"{count.number.value:g} x {f.number.text}" for count, f in zip(known, groups, strict=True)
            )
            text = (
                f"{variable}: ({terms}) / {total:g} = {(low + high) / 2:.3f}, "
                f"printed {whole.number.text} (rounding allows {(high - low) / 2 + whole.number.half:.3f})"
            )
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            if (
                not fits
                and whole.statistic == "mean"
                and whole.unit.startswith(papers.options.whole_number_units)
            ):
                # Every blank answer moves a weight by less than 1 / N from one group to the others.
                values = [figure.number.value for figure in groups]
                blanks = _blank_share(papers, paper) * total
                reach = blanks / total * (max(values) - min(values))
                if blanks and whole.number.overlaps(low - reach, high + reach):
                    verdict = Verdict.BLANK
                    text += "; the blanks that the paper shows would explain it"
            contradicted |= verdict in ALARMS
            yield finding([*groups, whole], "weighted_means", verdict, text, known)
            tested.append((whole, groups))
        if contradicted and len(tested) > len(tested[0][1]):
            yield _any_shares(tested)


def _blank_share(papers: Papers, paper: str) -> float:
    """Share of answers that the paper shows to be missing, by its counts or by means that need fewer answers."""
    share = papers.blank_shares.get(paper, 0.0)
    for mean, _ in means_with_sd(papers):
        if mean.paper != paper or _steps(mean, papers)[1] != "single":
            continue
        size = papers.answers(mean) or papers.sample_size(paper, mean.group)
        if size is None:
            continue
        n = int(size.number.value)
        if is_grim_testable(mean.number, n) and not grim(mean.number, n):
            fewest = max(2, int(n * (1 - papers.options.largest_blank_share)))
            smaller = next((k for k in range(n - 1, fewest - 1, -1) if grim(mean.number, k)), None)
            share = max(share, 1 - smaller / n) if smaller else share
    return share


def _any_shares(tested: Sequence[tuple[Figure, list[Figure]]]) -> Finding:
    """Say whether any group sizes at all would reconcile the groups with the whole."""
    parts = np.array([[[f.number.value, f.number.half] for f in groups] for _, groups in tested])
    totals = np.array([[whole.number.value, whole.number.half] for whole, _ in tested])
    shares, error = closest_shares(parts[..., 0], totals[:, 0], parts[..., 1], totals[:, 1])
    listed = " : ".join(f"{100 * share:.1f}" for share in shares)
    text = f"closest group shares {listed} % miss a total by {error:.3f} more than rounding allows"
    verdict = Verdict.INCONSISTENT if error > 1e-6 else Verdict.CONSISTENT
    figures = [figure for whole, groups in tested for figure in (*groups, whole)]
    return finding(figures, "weighted_means_any_shares", verdict, text)


def check_dimension_means(papers: Papers) -> Iterator[Finding]:
    """The mean of a dimension is the mean of the means of its items.

    Which items belong to a dimension is read from the items' own column, from the names, from the main loadings, or
    from the printed order; the order counts only if most dimensions then agree as unrelated figures would not.
    """
    sds = {id(mean) for mean, _ in means_with_sd(papers)}
    tables: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for mean in papers.of("mean"):
        if not mean.model:
            tables[mean.paper, mean.wave, mean.group, mean.unit].append(mean)
    for figures in tables.values():
        items = [f for f in figures if id(f) in sds and _is_item(f, papers)]
        wholes = [f for f in figures if id(f) not in sds and f.table in {i.table for i in items}]
        wholes += [f for f in figures if id(f) in sds and f.n_items and f not in items]
        if not wholes or len(items) < 2:
            continue
        yield from _dimensions(wholes, items, papers)


def _is_item(figure: Figure, papers: Papers) -> bool:
    return figure.unit.startswith(papers.options.whole_number_units) and not figure.n_items


def _dimensions(wholes: Sequence[Figure], items: Sequence[Figure], papers: Papers) -> Iterator[Finding]:
    share = _blank_share(papers, items[0].paper)
    members = _declared_members(wholes, items)
    source = "as declared"
    if members is None:
        agreement = _members_by_agreement(wholes, items, papers, share)
        if agreement is None:
            for whole in wholes:
                text = f"{whole.variable} {whole.number.text}: the paper does not say which items it averages"
                yield finding([whole], "dimension_mean", Verdict.NOT_TESTABLE, text)
            return
        members, source = agreement
    exchanged = (
        _exchange(wholes, [members.get(k, []) for k in range(len(wholes))]) if all(members.values()) else None
    )
    for k, whole in enumerate(wholes):
        part = members.get(k, [])
        if not part:
            text = f"{whole.variable} {whole.number.text}: no item is said to belong to it"
            yield finding([whole], "dimension_mean", Verdict.NOT_TESTABLE, text)
            continue
        verdict, text = _mean_of_items(whole, part, share)
        if verdict is Verdict.INCONSISTENT and exchanged and set(exchanged) & set(part):
            text += f"; with {exchanged[0].variable} and {exchanged[1].variable} exchanged it fits"
        yield finding([whole, *part], "dimension_mean", verdict, f"{text} ({source})")


def _members_by_agreement(
    wholes: Sequence[Figure], items: Sequence[Figure], papers: Papers, share: float
) -> tuple[dict[int, list[Figure]], str] | None:
    """The division of the items whose means agree with those of the dimensions as unrelated figures would not."""
    spread = max(float(np.ptp([item.number.value for item in items])), 0.1)
    p = min(1.0, 3 * (wholes[0].number.half + items[0].number.half) / spread)
    likely = list(_likely_partitions(wholes, items, papers))
    for candidates in (likely, [*likely, *_ordered_partitions(wholes, items)]):
        best: tuple[int, list[list[Figure]], str] | None = None
        for partition, name in candidates:
            agree = sum(
                _mean_of_items(whole, part, share)[0] is Verdict.CONSISTENT
                for whole, part in zip(wholes, partition, strict=True)
            )
            if best is None or agree > best[0]:
                best = agree, partition, name
        if best is None or 2 * best[0] < len(wholes) or not best[0]:
            continue
        # Runs of equal length and main loadings are what a reader would expect.
        allowed = 10 * CHANCE if candidates is likely else CHANCE
        if len(candidates) * comb(len(wholes), best[0]) * p ** best[0] <= allowed:
            return dict(enumerate(best[1])), best[2]
    for partition, name in likely[-1:]:
        if _exchange(wholes, partition) is not None:
            return dict(enumerate(partition)), name
    return None


def _exchange(wholes: Sequence[Figure], partition: Sequence[list[Figure]]) -> tuple[Figure, Figure] | None:
    """Two items that must change places for every dimension to be the mean of its items; all others must be so."""
    fits = [
        _mean_of_items(whole, part, 0.0)[0] is Verdict.CONSISTENT
        for whole, part in zip(wholes, partition, strict=True)
    ]
    if len(wholes) < 3 or sum(not f for f in fits) != 2:
        return None
    one, two = (k for k, f in enumerate(fits) if not f)
    for a, b in ((a, b) for a in partition[one] for b in partition[two]):
        changed = {
            one: [b if item is a else item for item in partition[one]],
            two: [a if item is b else item for item in partition[two]],
        }
        if all(_mean_of_items(wholes[k], part, 0.0)[0] is Verdict.CONSISTENT for k, part in changed.items()):
            return a, b
    return None


def _mean_of_items(whole: Figure, part: Sequence[Figure], blank_share: float) -> tuple[Verdict, str]:
    numbers = [item.number for item in part]
    low, high = (sum(ends) / len(part) for ends in zip(*((n.low, n.high) for n in numbers), strict=True))
    text = f"({' + '.join(n.text for n in numbers)}) / {len(part)} = {(low + high) / 2:.4f}"
    text = f"{whole.variable}: {text}, printed {whole.number.text}"
    if whole.number.overlaps(low, high):
        return Verdict.CONSISTENT, text
    # The mean of persons' means weighs items by their answers; a blank moves it by a deviation of one answer over N.
    reach = blank_share
    if blank_share and whole.number.overlaps(low - reach, high + reach):
        return Verdict.BLANK, f"{text}; the blanks that the paper shows would explain it"
    return Verdict.INCONSISTENT, text


def _declared_members(wholes: Sequence[Figure], items: Sequence[Figure]) -> dict[int, list[Figure]] | None:
    """Members by the items' own column of dimensions, or by names that begin with that of the dimension."""
    names = [whole.variable for whole in wholes]
    by_column = {k: [i for i in items if i.dependent and i.dependent == name] for k, name in enumerate(names)}
    if any(by_column.values()):
        return by_column
    stems = [name.partition(":")[0].removesuffix("_dimension").removesuffix("_mean") for name in names]
    by_name = {
        k: [i for i in items if i.variable.startswith((f"{stem}_", f"{stem}:"))]
        for k, stem in enumerate(stems)
    }
    return by_name if all(by_name.values()) else None


def _likely_partitions(
    wholes: Sequence[Figure], items: Sequence[Figure], papers: Papers
) -> Iterator[tuple[list[list[Figure]], str]]:
    """Items by the factor of their main loading, and in equal runs as printed."""
    d, p = len(wholes), len(items)
    main: dict[str, tuple[float, str]] = {}
    for loading in papers.of("loading"):
        if loading.dependent and loading.paper == items[0].paper:
            size = abs(loading.number.value)
            if size > main.get(loading.variable, (0.0, ""))[0]:
                main[loading.variable] = size, loading.dependent
    groups: dict[str, list[Figure]] = defaultdict(list)
    for item in items:
        if item.variable in main:
            groups[main[item.variable][1]].append(item)
    if len(groups) == d:
        free, matched = list(groups.values()), []
        for whole in wholes:
            target = whole.number.value
            nearest = min(free, key=lambda g: abs(sum(i.number.value for i in g) / len(g) - target))
            free.remove(nearest)
            matched.append(nearest)
        yield matched, "items by their main loading"
    if p % d == 0 and p > d:
        yield [list(items[k * p // d : (k + 1) * p // d]) for k in range(d)], "items in the printed order"


def _ordered_partitions(
    wholes: Sequence[Figure], items: Sequence[Figure]
) -> Iterator[tuple[list[list[Figure]], str]]:
    """Runs of items as printed, of any length."""
    d, p = len(wholes), len(items)
    orders = ((first, cuts) for first in range(p) for cuts in combinations(range(first + 2, p + 1), d))
    for first, cuts in islice(orders, MOST_PARTITIONS):
        runs = [list(items[a:b]) for a, b in pairwise([first, *cuts])]
        if all(len(run) > 1 for run in runs):
            yield runs, "items in the printed order"


def check_text_against_table(papers: Papers) -> Iterator[Finding]:
    """A figure printed twice is the same figure, in the text, in a table and under another name."""
    seen: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
    for f in papers.figures:
        if f.statistic in ("sign", "stars", "significance_level") or f.quality == "garbled":
            continue
        seen[f.paper, f.wave, f.group, f.model, f.dependent, f.variable, f.statistic].append(f)
    for figures in seen.values():
        if len(figures) < 2:
            continue
        first = figures[0]
        for other in figures[1:]:
            is_unit = first.unit == other.unit or first.statistic in ("percent", "n")
            if not is_unit:
                continue
            fits = _agree(first.number, other.number)
            where = "twice in one table" if first.table == other.table else "in text and table"
            text = f"{first.variable}: {first.number.text} ({first.table}) and {other.number.text} ({other.table})"
            text += f", {where}"
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield finding([first, other], "text_against_table", verdict, text)
    for (paper, group), counts in papers.sample_counts.items():
        size = papers.sample_size(paper, group)
        if size is None or group != WHOLE:
            continue
        for count in counts:
            if count is size or count.variable == size.variable:
                continue
            if not papers.says(count, papers.options.answered_words):
                continue
            fits = count.number.value == size.number.value
            text = f"N {count.number.text} ({count.table}) and {size.number.text} ({size.table})"
            verdict = Verdict.CONSISTENT if fits else Verdict.INCONSISTENT
            yield finding([count, size], "text_against_table", verdict, text)


def _agree(first: Printed, second: Printed) -> bool:
    """Whether two prints can be one number: the same digits, or the finer rounded to the coarser."""
    half = max(first.half, second.half) if first.decimals != second.decimals else 0.0
    return abs(first.value - second.value) <= half + SLACK


def check_duplicates(papers: Papers) -> Iterator[Finding]:
    """Rows or columns of figures that repeat another one digit by digit are copies."""
    for statistic, across in (
        ("coefficient", "model"),
        ("loading", "dependent"),
        ("mean", ""),
        ("score", "group"),
    ):
        tables: dict[tuple[str, ...], list[Figure]] = defaultdict(list)
        for f in papers.of(statistic):
            group = "" if across == "group" else f.group
            tables[f.paper, f.table, f.wave, group, f.unit].append(f)
        sds = {(f.paper, f.table, f.wave, f.group, f.variable): f for f in papers.of("sd")}
        for figures in tables.values():
            rows: dict[str, list[Figure]] = defaultdict(list)
            for f in figures:
                rows[f.variable].append(f)
                sd = sds.get((f.paper, f.table, f.wave, f.group, f.variable))
                is_free = not f.unit.startswith(papers.options.binary_units)
                if statistic == "mean" and sd is not None and is_free:
                    rows[f.variable].append(sd)
            columns: dict[str, list[Figure]] = defaultdict(list)
            for f in figures:
                if across:
                    columns[getattr(f, across)].append(f)
            yield from _copies(rows)
            yield from _copies(columns)


def _copies(lines: Mapping[str, list[Figure]]) -> Iterator[Finding]:
    seen: dict[tuple[str, ...], list[Figure]] = {}
    for line in lines.values():
        texts = tuple(f.number.text for f in line)
        # A zero says little, nor do two digits: what counts is how unlikely the same digits are.
        digits = sum(f.number.decimals for f in line if f.number.value)
        if len(line) < 2 or digits < LEAST_DIGITS:
            continue
        if texts in seen and len({f.stat_id for f in (*seen[texts], *line)}) == 2 * len(line):
            other = seen[texts]
            text = f"{' '.join(texts)} stands for {_name(other)} and for {_name(line)}: one may be a copy"
            yield finding([*other, *line], "duplicate", Verdict.INCONSISTENT, text)
        seen.setdefault(texts, line)


def _name(line: Sequence[Figure]) -> str:
    if len({f.variable for f in line}) == 1:
        return line[0].variable
    return line[0].model or line[0].dependent or line[0].group


def means_with_sd(papers: Papers) -> Iterator[tuple[Figure, Figure]]:
    """Means of single items: those with a standard deviation printed beside them."""
    sds = {(f.paper, f.table, f.wave, f.group, f.model, f.variable): f for f in papers.of("sd")}
    for mean in papers.of("mean"):
        sd = sds.get((mean.paper, mean.table, mean.wave, mean.group, mean.model, mean.variable))
        if sd is not None:
            yield mean, sd


def _scale_points(mean: Figure, sd: Figure, size: Figure, papers: Papers) -> Finding:
    """Say which scales mapped to 0-1 fit a mean and sd; the item may also be a measure, so misfit proves nothing."""
    options = papers.options
    n, steps = int(size.number.value), range(1, options.largest_steps + 1)
    label = f"mean {mean.number.text}, sd {sd.number.text}"
    fitting = [step for step in steps if grimmer(mean.number, sd.number, n, steps=step)]
    if fitting:
        points = ", ".join(str(step + 1) for step in fitting)
        return finding(
            [mean, sd], "grim", Verdict.CONSISTENT, f"{label}, n = {n}: fits {points} points", [size]
        )
    fewest = max(2, int(n * (1 - options.largest_blank_share)))
    pairs = [
        f"n = {k} with {step + 1} points"
        for k in range(n - 1, fewest - 1, -1)
        for step in steps
        if grimmer(mean.number, sd.number, k, steps=step)
    ]
    text = f"{label}: no scale of 2 to {options.largest_steps + 1} points fits n = {n}"
    text += f"; fits {', '.join(pairs[:3])}" if pairs else ""
    return finding([mean, sd], "grim", Verdict.NOT_TESTABLE, text, [size])
