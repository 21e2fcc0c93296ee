"""A small sample of the campaign of simulated papers (`campaign_of_papers.py` makes the whole of it)."""

from collections import Counter

import numpy as np
import pytest
from simulated_papers import FAULTS, STYLES, Paper

from analysis.printed_tables import ALARMS, Verdict, audit

N_PAPERS = 4
TESTS = {
    "limits", "largest_sd", "grim", "grimmer", "debit", "reconstruction", "percentage", "common_base", "share_total",
    "sampling_proportion", "group_counts", "weighted_means", "dimension_mean", "text_against_table", "regression_n",
    "f_against_r2", "stars", "p_value", "inflation", "composite_rows", "composite_weights", "communality",
    "explained_variance", "total_explained_variance", "alpha", "alpha_against_bartlett", "alpha_against_loadings",
    "bartlett_p",
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_ordinary_practice_raises_no_alarm(style):
    outcomes = Counter()
    for seed in range(N_PAPERS):
        paper = Paper(seed, style)
        for finding in audit(paper.rows, paper.sites):
            assert finding.verdict not in ALARMS, (seed, finding)
            outcomes[finding.test, finding.verdict] += 1
    if style == "plain":
        # The silence means something only if every kind of test was really made.
        assert {test for (test, verdict), _ in outcomes.items() if verdict is Verdict.CONSISTENT} == TESTS


@pytest.mark.parametrize("kind", [kind for kind, fault in FAULTS.items() if fault.least >= 0.9])
def test_what_arithmetic_decides_is_noticed_and_named(kind):
    fault = FAULTS[kind]
    missed = []
    for seed in range(1000, 1003):
        paper = Paper(seed, fault.style)
        wrong = fault.plant(paper, np.random.default_rng([seed - 1000, 7]))
        named = {i for f in audit(paper.rows, paper.sites) if f.verdict in ALARMS for i in f.stat_ids}
        if not wrong & named:
            missed.append(seed)
    assert len(missed) <= 1, missed


def test_blanks_are_called_blanks():
    paper = Paper(3, "item_blanks")
    verdicts = Counter(f.verdict for f in audit(paper.rows, paper.sites) if f.test in ("grim", "grimmer"))
    assert verdicts[Verdict.BLANK] > 0


def test_moved_rows_wrong_signs_and_exchanged_columns_are_explained():
    by_key = {}
    for kind in ("block of 8-10 rows moved", "wrong sign", "columns of models exchanged"):
        paper = Paper(1001)
        FAULTS[kind].plant(paper, np.random.default_rng(1))
        by_key[kind] = " ".join(f.arithmetic for f in audit(paper.rows, paper.sites) if f.verdict in ALARMS)
    assert "with the parts moved down by 1 " in by_key["block of 8-10 rows moved"]
    assert "with the sign of" in by_key["wrong sign"]
    assert "columns of models are exchanged" in by_key["columns of models exchanged"]


def test_a_paper_without_any_n_is_not_testable_and_says_so():
    paper = Paper(7)
    rows = [row for row in paper.rows if row["statistic"] != "n"]
    verdicts = {
        f.verdict for f in audit(rows) if f.test in ("largest_sd", "grim", "percentage", "f_against_r2")
    }
    assert verdicts == {Verdict.NOT_TESTABLE}


def test_odd_input_is_a_verdict_not_silence():
    row = {
        "stat_id": "S1", "source_file": "paper", "table_or_section": "Table", "wave": "", "group": "full_sample",
        "model": "model_1", "dependent": "y", "variable": "x", "statistic": "coefficient", "unit": "", "quality": "",
        "value": "1,234",
    }  # fmt: skip
    (only,) = audit([row])
    assert (only.test, only.verdict) == ("legible", Verdict.NOT_TESTABLE)
    assert "'1,234' has a separator" in only.arithmetic
    (only,) = audit([row | {"value": "-.12"}])
    assert (only.test, only.verdict) == ("composite_rows", Verdict.NOT_TESTABLE)
