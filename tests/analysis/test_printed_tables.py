import csv
from collections import Counter
from pathlib import Path

import pytest
from simulated_papers import Paper

from analysis.errors import MissingColumnError
from analysis.printed_tables import ALARMS, Verdict, audit

LITERATURE = Path(__file__).parents[2] / "data" / "literature"


def read(name):
    with (LITERATURE / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def findings():
    return audit(read("statistics.csv"), read("sites.csv"))


def alarms(findings, test, stat_id):
    return [f for f in findings if f.test == test and stat_id in f.stat_ids and f.verdict in ALARMS]


# One row for each contradiction that can be seen in the figures alone: test, a figure it names, its arithmetic.
CONTRADICTIONS = {
    "YN-01": ("percentage", "YN_0028", "142/235 = 60.43 %, 143/235 = 60.85 %"),
    "YN-02": ("common_base", "YN_0044", "no N up to 235 fits all"),
    "GZ-01": (
        "sampling_proportion",
        "GZ_0032",
        "132 / 1259 = 10.48 %, printed 2.17 (which would need 6,083)",
    ),
    "GZ-02": ("largest_sd", "GZ_0060", "= 1.328, n = 323; a single value of 51 to 57"),
    "GZ-04": ("composite_weights", "GZ_0151", "without cultural_acceptance up to 0.000"),
    "GZ-05": ("composite_rows", "GZ_0431", "parts moved up by 1"),
    "GZ-16": ("inflation", "GZ_0362", "model_1 0.116* needs sqrt(VIF) <= 1.76"),
    "GZ-16, security": ("inflation", "GZ_0472", "model_2 0.113** needs sqrt(VIF) <= 1.27"),
    "GZ-16, high school": ("inflation", "GZ_0602", "model_8 0.226** needs sqrt(VIF) <= 2.27 and >= 1.68"),
    "GZ-08": ("weighted_means", "GZ_0226", "= 71.461, printed 71.37"),
    "GZ-08 for any sizes": ("weighted_means_any_shares", "GZ_0226", "more than rounding allows"),
    "GZ-09": ("communality", "GZ_0186", "= 0.755, printed 0.764"),
    "GZ-10": ("composite_rows", "GZ_0601", "education_college obeys it with model_7 and model_8 exchanged"),
    "GZ-20": (
        "alpha_against_loadings",
        "GZ_0039",
        "printed 0.743; standardised alpha >= 11/10 (1 - 11.000 / (3.415^2 + 3.250^2 + 3.233^2 + 2.038^2)) = 0.771",
    ),
}


# What blank answers explain is no contradiction, but it is shown.
BLANKS = {
    "GZ-06": ("group_counts", "GZ_0124", "= 306, N = 323: 17 blank"),
    "GZ-06 in the models": (
        "regression_n",
        "GZ_0484",
        "with 306 and 25 regressors F = 11.776, printed 12.390",
    ),
    "GZ-11": ("grim", "GZ_0041", "1080/323 = 3.3437, 1081/323 = 3.3467; fits n = 321"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_of_the_papers_are_found_from_their_figures(findings, name):
    test, stat_id, arithmetic = CONTRADICTIONS[name]
    result = alarms(findings, test, stat_id)
    assert len(result) == 1
    assert arithmetic in result[0].arithmetic


@pytest.mark.parametrize("name", BLANKS)
def test_blank_answers_are_named_and_raise_no_alarm(findings, name):
    test, stat_id, arithmetic = BLANKS[name]
    (only,) = [f for f in findings if f.test == test and f.stat_ids[0] == stat_id]
    assert only.verdict is Verdict.BLANK
    assert arithmetic in only.arithmetic
    assert not only.cause


def test_what_agrees_raises_no_alarm(findings):
    assert Counter(f.verdict for f in findings if f.test == "grim")[Verdict.BLANK] == 7
    f_tests = [f.verdict for f in findings if f.test == "f_against_r2"]
    assert Counter(f_tests) == {Verdict.CONSISTENT: 9, Verdict.NOT_TESTABLE: 1}
    assert {f.stat_ids[0] for f in findings if f.test == "percentage" and f.verdict in ALARMS} == {"YN_0028"}
    assert not [f for f in findings if f.test == "limits" and f.verdict in ALARMS]
    dimensions = [f for f in findings if f.test == "dimension_mean"]
    assert [f.verdict for f in dimensions] == [Verdict.CONSISTENT] * 4


def test_alarms_that_share_figures_have_one_cause(findings):
    raised = [f for f in findings if f.verdict in ALARMS]
    assert all(f.cause for f in raised)
    assert not [f for f in findings if f.cause and f.verdict not in ALARMS]
    assert len({f.cause for f in raised if f.test.startswith("weighted_means")}) == 1
    shifted = {f.cause for f in raised if f.test == "composite_rows" and "GZ_0431" in f.stat_ids}
    assert {f.cause for f in raised if f.test == "inflation" and "GZ_0442" in f.stat_ids} == shifted
    assert len({f.cause for f in raised}) < len(raised)


def test_every_table_of_coefficients_gets_a_verdict(findings):
    """Also where no weighted sum can be looked for: then the reason is the verdict."""
    matching = [f for f in findings if f.test == "composite_rows"]
    assert {f.verdict for f in matching} == {Verdict.INCONSISTENT, Verdict.NOT_TESTABLE}
    assert all(
        "too few" in f.arithmetic or "same dependent" in f.arithmetic or "fewer than" in f.arithmetic
        for f in matching
        if f.verdict is Verdict.NOT_TESTABLE
    )


def test_lost_loadings_are_implied_not_accused(findings):
    lost = [f for f in findings if f.test == "communality" and f.verdict is Verdict.NOT_TESTABLE]
    assert [f.arithmetic.rpartition("implied ")[2] for f in lost] == ["0.095 each", "0.093 each"]


def test_items_mapped_to_the_unit_interval_reveal_their_scale(findings):
    texts = {f.stat_ids[0]: f.arithmetic for f in findings if f.test == "grim"}
    assert texts["YN_0052"].endswith("fits 5 points")
    assert texts["YN_0054"].endswith("fits 5 points")
    assert texts["YN_0056"].endswith("no scale of 2 to 5 points fits n = 235; fits n = 234 with 4 points")


def test_every_finding_shows_its_arithmetic_and_names_printed_figures(findings):
    known = {row["stat_id"] for row in read("statistics.csv")} | {row["site_id"] for row in read("sites.csv")}
    assert all(f.arithmetic and set(f.stat_ids) <= known for f in findings)


def change(paper, statistic, shift, **cells):
    """Misprint the first figure of a statistic: add something to it, keeping its decimals."""
    row = paper.find(statistic, **cells)[0]
    decimals = len(row["value"].partition(".")[2])
    row["value"] = f"{float(row['value']) + shift:.{decimals}f}"
    return row["stat_id"]


def of_alpha(rows):
    return [f for f in audit(rows) if f.test == "alpha_against_loadings"]


def without(rows, statistic):
    return [row for row in rows if row["statistic"] != statistic]


@pytest.mark.parametrize("kind", ["standardised", "raw"])
def test_an_alpha_too_small_for_the_loadings_is_noticed(kind):
    for seed in range(1000, 1005):
        paper = Paper(seed, general=3.0)
        assert {f.verdict for f in of_alpha(paper.rows)} == {Verdict.CONSISTENT}
        stat_id = change(paper, "alpha", -0.15, unit=f"{kind} alpha")
        (accused,) = [f for f in of_alpha(paper.rows) if f.stat_ids[0] == stat_id]
        assert accused.verdict is Verdict.INCONSISTENT


def test_an_alpha_of_unsaid_kind_is_accused_only_if_neither_kind_fits():
    paper = Paper(1000, general=3.0)
    change(paper, "alpha", -0.3, unit="standardised alpha")
    rows = [row | {"unit": ""} for row in paper.rows if row["unit"] == "standardised alpha"]
    rows += [row for row in paper.rows if not row["unit"].endswith("alpha")]
    (accused,) = of_alpha(rows)
    assert accused.verdict is Verdict.INCONSISTENT
    assert "standardised alpha >= " in accused.arithmetic
    assert "raw alpha >= " in accused.arithmetic
    assert "assumes principal components" in accused.arithmetic
    (open_,) = of_alpha(without(rows, "sd"))
    assert open_.verdict is Verdict.NOT_TESTABLE
    assert "a raw alpha may be lower" in open_.arithmetic


def test_the_bound_of_alpha_knows_what_a_lost_or_turned_item_leaves_open():
    rows = [row for row in Paper(1000, general=3.0).rows if row["unit"] != "raw alpha"]
    bounds = []
    for blank in (False, True):
        part = [
            row | {"value": ""}
            if blank
            and (row["statistic"], row["variable"], row["dependent"]) == ("loading", "item_0", "factor_0")
            else row
            for row in rows
        ]
        (only,) = of_alpha(part)
        assert only.verdict is Verdict.CONSISTENT
        bounds.append(float(only.arithmetic.partition(") = ")[2].partition(";")[0]))
    assert bounds[1] < bounds[0]
    turned = [
        row | {"value": f"{-float(row['value']):.3f}"}
        if (row["statistic"], row["variable"]) == ("loading", "item_0")
        else row
        for row in rows
    ]
    (only,) = of_alpha(turned)
    assert only.verdict is Verdict.CONSISTENT
    assert "; item_0 in either direction" in only.arithmetic


def test_weights_that_no_choice_of_parts_explains_are_not_testable():
    paper = Paper(1000)
    stat_id = change(paper, "explained_variance", 5.0)
    findings = audit(paper.rows, paper.sites)
    matching = [f for f in findings if f.test == "composite_weights" and stat_id in f.stat_ids]
    assert [f.verdict for f in matching] == [Verdict.NOT_TESTABLE]


def test_a_table_without_a_column_is_refused():
    paper = Paper(1)
    with pytest.raises(MissingColumnError, match="sites lack source_file"):
        audit(paper.rows, [{key: value for key, value in paper.sites[0].items() if key != "source_file"}])


def test_a_paper_without_sample_sizes_is_not_testable_rather_than_consistent():
    paper = Paper(7)
    rows = [row for row in paper.rows if row["statistic"] != "n"]
    verdicts = {
        f.verdict for f in audit(rows) if f.test in ("largest_sd", "grim", "percentage", "f_against_r2")
    }
    assert verdicts == {Verdict.NOT_TESTABLE}
