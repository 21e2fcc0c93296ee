"""Audit of the printed figures of a paper: which of them contradict each other, with the arithmetic.

What belongs here: the tests in their order, and what one figure that raises several of them amounts to. What does not:
a test (`printed_samples`, `printed_factors`, `printed_regressions`), the arithmetic (`plausibility`), any finding, and
any name of a survey, site or variable.

A table row is one printed figure: stat_id, source_file, table_or_section, wave, group, model, dependent, variable,
statistic, value (as printed), unit, quality. Conventions of that table: the group `full_sample` is the whole sample,
`block:category` names a category of an exhaustive question, a unit holding `a-b` bounds a scale, `k items` in a name
or a unit is a scale of k items, and a row of statistic `stars` counts the stars of the figure in the same place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from analysis.printed_factors import (
    check_alpha_against_loadings,
    check_bartlett,
    check_communalities,
    check_reliability,
)
from analysis.printed_figures import ALARMS, AuditOptions, Finding, Papers, Verdict, grouped_by_cause, read
from analysis.printed_regressions import (
    check_composites,
    check_f,
    check_inflation,
    check_p,
    check_r2,
    check_regression_n,
    check_stars,
)
from analysis.printed_samples import (
    check_common_base,
    check_debit,
    check_dimension_means,
    check_duplicates,
    check_granularity,
    check_group_counts,
    check_largest_sd,
    check_legible,
    check_limits,
    check_percentages,
    check_ratios,
    check_reconstruction,
    check_share_totals,
    check_text_against_table,
    check_weighted_means,
)

__all__ = ["ALARMS", "TESTS", "AuditOptions", "Finding", "Verdict", "audit"]

TESTS: tuple[Callable[[Papers], Iterator[Finding]], ...] = (
    check_legible,
    check_limits,
    check_largest_sd,
    check_granularity,
    check_debit,
    check_reconstruction,
    check_percentages,
    check_common_base,
    check_share_totals,
    check_ratios,
    check_group_counts,
    check_weighted_means,
    check_dimension_means,
    check_text_against_table,
    check_duplicates,
    check_regression_n,
    check_f,
    check_r2,
    check_stars,
    check_p,
    check_inflation,
    check_composites,
    check_communalities,
    check_reliability,
    check_alpha_against_loadings,
    check_bartlett,
)


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
        In the order of the tests; alarms that one misprint explains share their cause.

    Raises
    ------
    MissingColumnError
        If a row lacks a column.
    """
    papers = read(statistics, sites, options)
    return grouped_by_cause([finding for test in TESTS for finding in test(papers)])
