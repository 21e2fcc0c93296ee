"""The figures that papers print, as rows of one table, and what a test of them can say.

What belongs here: reading the table, sample sizes, blanks and blocks that several tests share, and the shape of an
outcome. What does not: any test (`printed_samples`, `printed_factors`, `printed_regressions`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from analysis.errors import MissingColumnError
from analysis.plausibility import Printed, printed

WHOLE = "full_sample"
BOUNDS = re.compile(r"(?:^|\s)(-?\d+)-(\d+)(?=$|[\s,;)])")
ITEM_COUNT = re.compile(r"(?:^|[_\s(])(\d+)[_\s-]items?(?=$|[\s,;)])")
SEPARATED = re.compile(r"[+-]?\d+([.,' ]\d+)+")
STATISTIC_COLUMNS = (
    "stat_id", "source_file", "table_or_section", "value",
    "wave", "group", "model", "dependent", "variable", "statistic", "unit", "quality",
)  # fmt: skip
SITE_COLUMNS = (
    "source_file", "site_id", "households", "sampled_questionnaires", "share_of_survey_pct",
    "published_sampling_proportion_pct",
)  # fmt: skip


class Verdict(StrEnum):
    """What the arithmetic says about the figures."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    IMPOSSIBLE = "impossible"
    BLANK = "blank"
    NOT_TESTABLE = "not_testable"


ALARMS = (Verdict.INCONSISTENT, Verdict.IMPOSSIBLE)


@dataclass(frozen=True)
class Finding:
    """Outcome of one test on one figure or a group of them.

    Attributes
    ----------
    stat_ids : tuple of str
        The figures tested (site_id for figures of the table of sites); of an alarm those of which one is wrong.
    test : str
    verdict : Verdict
        `impossible`: no data could give the figure. `inconsistent`: figures contradict each other. `blank`: they
        disagree by what unanswered questions explain.
    arithmetic : str
        The numbers, so that a reader can redo it.
    basis : tuple of str
        Figures the test takes as given, such as a sample size.
    cause : str
        Alarms with the same cause share figures: one misprint raises all of them. Empty where there is no alarm.
    """

    stat_ids: tuple[str, ...]
    test: str
    verdict: Verdict
    arithmetic: str
    basis: tuple[str, ...] = ()
    cause: str = ""


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
    binary_units : tuple of str
        First words of the units of answers that are 0 or 1.
    standardised_units, raw_units : tuple of str
        First words of the units of an alpha or a coefficient that say which of the two it is.
    oblique_words : tuple of str
        Words in the unit of a loading that say that the rotation was oblique.
    contacted_words, answered_words : tuple of str
        Words in the name of a sample count that say whom it counts: those asked, or those who answered.
    largest_steps : int
        Steps tried for such an item: 4 for a five-point scale.
    largest_blank_share : float
        Blanks an item may have when the N that would fit its mean is searched.
    largest_base : int
        Largest N tried where none is printed.
    star_levels : tuple of tuple of float
        Conventions for stars of significance, levels from one star up.
    """

    sample_units: tuple[str, ...] = ("respondents", "questionnaires")
    household_units: tuple[str, ...] = ("households",)
    whole_number_units: tuple[str, ...] = ("Likert",)
    unit_interval_units: tuple[str, ...] = ("min-max",)
    binary_units: tuple[str, ...] = ("binary", "dummy", "0/1", "yes/no")
    standardised_units: tuple[str, ...] = ("standardised", "standardized", "beta")
    raw_units: tuple[str, ...] = ("raw",)
    oblique_words: tuple[str, ...] = ("pattern", "structure", "oblique", "oblimin", "promax")
    contacted_words: tuple[str, ...] = ("distributed", "sent", "issued", "planned", "contacted", "invited")
    answered_words: tuple[str, ...] = ("valid", "effective", "sample_size", "analysed", "usable")
    largest_steps: int = 4
    largest_blank_share: float = 0.1
    largest_base: int = 1000
    star_levels: tuple[tuple[float, ...], ...] = ((0.1, 0.05, 0.01), (0.05, 0.01, 0.001))


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

    @property
    def n_items(self) -> int | None:
        """Number of items that the name or the unit of a scale tells."""
        match = ITEM_COUNT.search(self.variable) or ITEM_COUNT.search(self.unit)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class Papers:
    """All figures of all papers, and the sample sizes they imply.

    Attributes
    ----------
    figures : tuple of Figure
        Those with a number.
    lost : tuple of mapping
        Rows whose number is lost or cannot be read.
    sites : tuple of mapping
        Rows of the table of sites.
    options : AuditOptions
    """

    figures: tuple[Figure, ...]
    lost: tuple[Mapping[str, str], ...]
    sites: tuple[Mapping[str, str], ...]
    options: AuditOptions

    @cached_property
    def _by_statistic(self) -> Mapping[str, list[Figure]]:
        by_statistic: dict[str, list[Figure]] = defaultdict(list)
        for figure in self.figures:
            by_statistic[figure.statistic].append(figure)
        return by_statistic

    def of(self, statistic: str) -> list[Figure]:
        """Figures of one statistic, as printed from top to bottom."""
        return self._by_statistic.get(statistic, [])

    @cached_property
    def _site_totals(self) -> Mapping[str, float]:
        totals: dict[str, float] = defaultdict(float)
        for site in self.sites:
            if number := printed(site["sampled_questionnaires"]):
                totals[site["source_file"]] += number.value
        return totals

    @cached_property
    def sample_counts(self) -> Mapping[tuple[str, str], list[Figure]]:
        """Printed counts of the sample of each (paper, group), of the answers to single questions left out."""
        counts: dict[tuple[str, str], list[Figure]] = defaultdict(list)
        for figure in self.of("n"):
            if not figure.model and figure.unit in self.options.sample_units and ":" not in figure.variable:
                counts[figure.paper, figure.group].append(figure)
        return counts

    def says(self, figure: Figure, words: Sequence[str]) -> bool:
        """Whether the name of a figure holds one of some words."""
        return any(word in figure.variable.lower() for word in words)

    def sample_size(self, paper: str, group: str) -> Figure | None:
        """Find the N of a group: its only printed sample count, or the one that other counts confirm.

        A paper prints several counts of the whole sample (distributed, valid, men, women). Taken is the one that the
        questionnaires of its sites, the groups of a table or the models of a regression confirm.
        """
        return self._sizes.get((paper, group))

    @cached_property
    def _sizes(self) -> Mapping[tuple[str, str], Figure]:
        sizes: dict[tuple[str, str], Figure] = {}
        groups: dict[tuple[str, str, str, str], float] = defaultdict(float)
        for (paper, group), counts in self.sample_counts.items():
            if group != WHOLE:
                for count in counts:
                    groups[paper, count.table, count.wave, count.variable] += count.number.value
        for (paper, group), counts in self.sample_counts.items():
            kept = counts
            if len({count.number.value for count in counts}) > 1 and group == WHOLE:
                votes: dict[float, int] = defaultdict(int)
                if paper in self._site_totals:
                    votes[self._site_totals[paper]] += 2
                for (name, *_), total in groups.items():
                    if name == paper:
                        votes[total] += 2
                for n in self.of("n"):
                    if n.model and (n.paper, n.group) == (paper, group):
                        votes[n.number.value] += 1
                for count in counts:
                    if self.says(count, self.options.answered_words):
                        votes[count.number.value] += 1
                confirmed = [c for c in counts if not self.says(c, self.options.contacted_words)]
                most = max((votes[c.number.value] for c in confirmed), default=0)
                kept = [c for c in confirmed if votes[c.number.value] == most > 0]
            elif len({count.number.value for count in counts}) > 1:
                kept = []
            if kept:
                sizes[paper, group] = kept[0]
        return sizes

    def blocks(self) -> Mapping[tuple[str, str, str], list[Figure]]:
        """Printed counts of the categories of each question, by (paper, group, question)."""
        return self._blocks

    @cached_property
    def _blocks(self) -> Mapping[tuple[str, str, str], list[Figure]]:
        blocks: dict[tuple[str, str, str], list[Figure]] = defaultdict(list)
        for figure in self.of("n"):
            if ":" in figure.variable and not figure.model:
                blocks[figure.paper, figure.group, figure.variable.partition(":")[0]].append(figure)
        return {key: block for key, block in blocks.items() if len(block) > 1}

    @cached_property
    def blank_shares(self) -> Mapping[str, float]:
        """Largest share of a sample that left a question unanswered, by paper, as far as counts show it."""
        shares: dict[str, float] = defaultdict(float)
        for (paper, group, _), block in self._blocks.items():
            size = self.sample_size(paper, group)
            if size is None:
                continue
            blank = 1 - sum(f.number.value for f in block) / size.number.value
            if 0 < blank <= 0.5:
                shares[paper] = max(shares[paper], blank)
        return shares

    def answers(self, figure: Figure) -> Figure | None:
        """The number of answers printed for the variable of a figure itself, in its own table."""
        return self._answers.get(
            (figure.paper, figure.table, figure.wave, figure.group, figure.model, figure.variable)
        )

    @cached_property
    def _answers(self) -> Mapping[tuple[str, ...], Figure]:
        return {(f.paper, f.table, f.wave, f.group, f.model, f.variable): f for f in self.of("n")}


def read(
    statistics: Iterable[Mapping[str, Any]],
    sites: Iterable[Mapping[str, Any]],
    options: AuditOptions | None,
) -> Papers:
    """Read the table of figures and that of sites.

    Raises
    ------
    MissingColumnError
        If a row lacks a column.
    """
    figures, lost = [], []
    for text in _as_text(statistics, "statistics", STATISTIC_COLUMNS):
        number = printed(text.get("value_text") or text["value"])
        if number is None:
            lost.append(text)
            continue
        cells = {key: text[key] for key in STATISTIC_COLUMNS[4:]}
        figures.append(
            Figure(text["stat_id"], text["source_file"], text["table_or_section"], number=number, **cells)
        )
    site_rows = tuple(_as_text(sites, "sites", SITE_COLUMNS))
    return Papers(tuple(figures), tuple(lost), site_rows, options or AuditOptions())


def _as_text(
    rows: Iterable[Mapping[str, Any]], table: str, columns: Sequence[str]
) -> Iterator[dict[str, str]]:
    for row in rows:
        if missing := [column for column in columns if column not in row]:
            raise MissingColumnError(f"The {table} lack {', '.join(missing)}.")
        yield {key: "" if value is None else str(value) for key, value in row.items()}


def finding(
    figures: Sequence[Figure],
    test: str,
    verdict: Verdict,
    text: str,
    basis: Sequence[Figure | None] = (),
) -> Finding:
    """Make a finding; say which of its figures were not read cleanly, because the fault may be the reading."""
    doubtful = sorted({figure.quality for figure in figures} - {"printed", ""})
    if doubtful and verdict in ALARMS:
        text += f" [source quality: {', '.join(doubtful)}]"
    given = [figure.stat_id for figure in basis if figure is not None]
    ids = [figure.stat_id for figure in figures]
    if verdict not in ALARMS:
        # Where nothing is wrong the figures taken as given have passed the test as well.
        ids += given
    return Finding(tuple(dict.fromkeys(ids)), test, verdict, text, tuple(dict.fromkeys(given)))


def same(first: Figure, second: Figure) -> bool:
    """Whether two figures stand in the same table, wave and group."""
    return (first.paper, first.table, first.wave, first.group) == (
        second.paper,
        second.table,
        second.wave,
        second.group,
    )


def sample(figure: Figure) -> tuple[str, str, str]:
    """Paper, wave and group, whose figures come from the same answers."""
    return figure.paper, figure.wave, figure.group


def grouped_by_cause(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Give alarms that one misprint can explain the same cause: those that share a figure.

    Two alarms are linked where one accuses a figure that the other accuses or takes as given, or where the same test
    takes the same figure as given or shows the same arithmetic. The cause is named by its first figure.
    """
    alarms = [k for k, finding in enumerate(findings) if finding.verdict in ALARMS]
    parent = {k: k for k in alarms}

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    accused: dict[str, int] = {}
    for k in alarms:
        for stat_id in findings[k].stat_ids:
            parent[root(k)] = root(accused.setdefault(stat_id, k))
    shared: dict[tuple[str, str], int] = {}
    for k in alarms:
        alike = findings[k].test, findings[k].arithmetic
        parent[root(k)] = root(shared.setdefault(alike, k))
        for stat_id in findings[k].basis:
            if stat_id in accused:
                parent[root(k)] = root(accused[stat_id])
            parent[root(k)] = root(shared.setdefault((findings[k].test, stat_id), k))
    names: dict[int, str] = {}
    for k in alarms:
        names.setdefault(root(k), findings[k].stat_ids[0])
    return tuple(
        replace(finding, cause=names[root(k)]) if k in parent else finding
        for k, finding in enumerate(findings)
    )
