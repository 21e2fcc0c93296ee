import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from analysis.errors import MissingColumnError
from analysis.factors import adequacy, composite_of_factors, correlate, factor, factor_scores
from analysis.printed_tables import Verdict, audit
from analysis.reliability import cronbach_alpha

LITERATURE = Path(__file__).parents[2] / "data" / "literature"
ALARMS = (Verdict.INCONSISTENT, Verdict.IMPOSSIBLE)


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
    "GZ-06": ("group_counts", "GZ_0124", "= 306, N = 323: 17 blank"),
    "GZ-06 in the models": (
        "regression_n",
        "GZ_0484",
        "with 306 and 25 regressors F = 11.776, printed 12.390",
    ),
    "GZ-08": ("weighted_means", "GZ_0226", "= 71.461, printed 71.37"),
    "GZ-08 for any sizes": ("weighted_means_any_shares", "GZ_0226", "more than rounding allows"),
    "GZ-09": ("communality", "GZ_0186", "= 0.755, printed 0.764"),
    "GZ-10": ("composite_rows", "GZ_0601", "education_college obeys it with model_7 and model_8 exchanged"),
    "GZ-20": (
        "alpha_against_loadings",
        "GZ_0039",
        "printed 0.743; standardised alpha >= 11/10 (1 - 11.000 / (3.415^2 + 3.250^2 + 3.233^2 + 2.038^2)) = 0.771",
    ),
    "GZ-11": ("grim", "GZ_0041", "1080/323 = 3.3437, 1081/323 = 3.3467; fits n = 321"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_of_the_papers_are_found_from_their_figures(findings, name):
    test, stat_id, arithmetic = CONTRADICTIONS[name]
    found = alarms(findings, test, stat_id)
    assert len(found) == 1
    assert arithmetic in found[0].arithmetic


def test_what_agrees_raises_no_alarm(findings):
    failing_grim = [f.stat_ids[0] for f in findings if f.test == "grim" and f.verdict in ALARMS]
    assert len(failing_grim) == 7
    f_tests = [f.verdict for f in findings if f.test == "f_against_r2"]
    assert Counter(f_tests) == {Verdict.CONSISTENT: 9, Verdict.NOT_TESTABLE: 1}
    wrong_shares = {f.stat_ids[0] for f in findings if f.test == "percentage" and f.verdict in ALARMS}
    type_shares = {f"YN_{number:04d}" for number in range(44, 50)}
    assert wrong_shares == {"YN_0028"} | type_shares
    assert not [f for f in findings if f.test == "limits" and f.verdict in ALARMS]


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


class Paper:
    """A made-up paper whose printed figures all come from one made-up sample.

    `general` is how much of one direction all its items share.
    """

    def __init__(self, seed, general=0.0):
        rng = np.random.default_rng(seed)
        self.rows, self.sites = [], []
        self.n = n = int(rng.integers(90, 500))
        site = np.sort(rng.integers(0, 3, size=n))
        latent = rng.normal(size=(n, 3)) @ (
            rng.normal(size=(3, 9)) + np.kron(np.eye(3), np.full((1, 3), 2.0))
        )
        latent += general * np.random.default_rng([seed, 1]).normal(size=(n, 1))
        items = np.clip(np.round(3 + 0.6 * (latent + rng.normal(size=(n, 9)))), 1, 5)
        self.count_sites(rng, site)
        for j, name in enumerate(self.names):
            self.add("Table 2", "mean", name, f"{items[:, j].mean():.3f}", unit="Likert 1-5")
            self.add("Table 2", "sd", name, f"{items[:, j].std(ddof=1):.3f}", unit="Likert 1-5")
        self.count_categories(rng)
        self.type_shares(rng)
        scores, explained = self.factors(items)
        composite = composite_of_factors(scores, explained, range(scores.shape[1]))
        dependents = {"overall": composite, **{f"factor_{k}": scores[:, k] for k in range(scores.shape[1])}}
        for name, values in dependents.items():
            percent = 100 * (values - values.min()) / np.ptp(values)
            self.add("Table 4", "score", name, f"{percent.mean():.2f}", unit="0-100")
            for s in range(3):
                self.add(
                    "Table 4",
                    "score",
                    name,
                    f"{percent[site == s].mean():.2f}",
                    unit="0-100",
                    group=f"site:{s}",
                )
        self.regressions(rng, dependents)

    names = tuple(f"item_{j}" for j in range(9))

    def add(self, table, statistic, variable, value, **cells):
        row = {"stat_id": f"S{len(self.rows)}", "source_file": "paper", "table_or_section": table}
        row |= {
            "wave": "single",
            "group": "full_sample",
            "model": "",
            "dependent": "",
            "unit": "",
            "quality": "printed",
        }
        self.rows.append(row | {"statistic": statistic, "variable": variable, "value": value} | cells)

    def count_sites(self, rng, site):
        counts = np.bincount(site, minlength=3)
        households = counts * rng.integers(2, 30, size=3) + rng.integers(0, 9, size=3)
        groups = [*(f"site:{s}" for s in range(3)), "full_sample"]
        for group, sampled, stock in zip(
            groups, [*counts, counts.sum()], [*households, households.sum()], strict=True
        ):
            self.add("Table 1", "n", "valid", str(sampled), unit="questionnaires", group=group)
            self.add("Table 1", "n", "stock", str(stock), unit="households", group=group)
            self.add(
                "Table 1",
                "percent",
                "proportion",
                f"{100 * sampled / stock:.2f}",
                unit="percent",
                group=group,
            )
        self.add("Text", "n", "distributed", str(self.n + 17), unit="questionnaires")
        self.sites = [
            {
                "site_id": f"site {s}",
                "source_file": "paper",
                "households": households[s],
                "sampled_questionnaires": counts[s],
                "published_sampling_proportion_pct": f"{100 * counts[s] / households[s]:.2f}",
                "share_of_survey_pct": f"{100 * counts[s] / self.n:.1f}",
            }
            for s in range(3)
        ]

    def count_categories(self, rng):
        for question in ("sex", "age", "school"):
            counts = np.bincount(rng.integers(0, 4, size=self.n), minlength=4)
            for code, count in enumerate(counts):
                self.add("Table 2", "n", f"{question}:{code}", str(count), unit="respondents")
                share = f"{100 * count / self.n:.1f}"
                self.add("Table 2", "percent", f"{question}:{code}", share, unit="valid percent")

    def type_shares(self, rng):
        for wave in ("before", "after"):
            counts = np.bincount(rng.integers(0, 3, size=self.n), minlength=3)
            for code, count in enumerate(counts):
                self.add(
                    "Table 5",
                    "percent",
                    f"type_{code}",
                    f"{100 * count / self.n:.1f}",
                    unit="percent",
                    wave=wave,
                )

    def factors(self, items):
        moments = correlate(items)
        check, solution = adequacy(moments.r, moments.n), factor(moments.r, n_factors=3)
        alpha = cronbach_alpha(np.cov(items, rowvar=False))
        for kind in ("standardised", "raw"):
            self.add("Methods", "alpha", "scale_9_items", f"{getattr(alpha, kind):.3f}", unit=f"{kind} alpha")
        self.add("Table 3", "kmo", "adequacy", f"{check.kmo:.3f}")
        self.add("Table 3", "bartlett", "sphericity", f"{check.bartlett_chi2:.3f}")
        self.add("Table 3", "p_value", "sphericity", f"{check.bartlett_p:.3f}")
        for k, share in enumerate(solution.explained):
            self.add("Table 3", "explained_variance", f"factor_{k}", f"{100 * share:.3f}")
        for name, row, communality in zip(self.names, solution.loadings, solution.communalities, strict=True):
            for k, loading in enumerate(row):
                self.add("Table 3", "loading", name, f"{loading:.3f}", dependent=f"factor_{k}")
            self.add("Table 3", "communality", name, f"{communality:.3f}")
        scores = factor_scores(items, moments.mean, moments.sd, solution.score_coefficients)
        return scores, solution.explained

    def regressions(self, rng, dependents):
        related = sum(values / values.std() for values in dependents.values())
        x = rng.normal(size=(self.n, 14))
        x[:, :5] += 0.2 * related[:, None]
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        for m, (name, values) in enumerate(dependents.items()):
            y = (values - values.mean()) / values.std()
            b, *_ = np.linalg.lstsq(x, y, rcond=None)
            r2 = 1 - np.square(y - x @ b).mean()
            n, k = x.shape
            cells = {"model": f"model_{m}", "dependent": name}
            for j, coefficient in enumerate(b):
                self.add("Table 6", "coefficient", f"x_{j}", f"{coefficient:.3f}", **cells)
            self.add("Table 6", "f", "regression", f"{(r2 / k) / ((1 - r2) / (n - k - 1)):.3f}", **cells)
            self.add(
                "Table 6", "adj_r2", "regression", f"{1 - (1 - r2) * (n - 1) / (n - k - 1):.3f}", **cells
            )
            self.add("Table 6", "n", "regression", str(n), unit="respondents", **cells)


N_PAPERS = 150


def test_no_false_alarm_on_simulated_papers(record_property):
    outcomes, wrong = Counter(), []
    for seed in range(N_PAPERS):
        paper = Paper(seed)
        for finding in audit(paper.rows, paper.sites):
            outcomes[finding.test, finding.verdict] += 1
            if finding.verdict in ALARMS:
                wrong.append((seed, finding))
    tested = sum(count for (_, verdict), count in outcomes.items() if verdict is not Verdict.NOT_TESTABLE)
    record_property("false_alarm_rate", len(wrong) / tested)
    print(f"{len(wrong)} false alarms in {tested} tests of {N_PAPERS} consistent papers")
    assert not wrong
    # The silence means something only if every kind of test was really made.
    made = {test for (test, verdict), _ in outcomes.items() if verdict is Verdict.CONSISTENT}
    assert made == {
        "limits", "largest_sd", "grim", "grimmer", "percentage", "common_base", "sampling_proportion",
        "group_counts", "regression_n", "weighted_means", "communality", "explained_variance",
        "total_explained_variance", "f_against_r2", "composite_rows", "composite_weights", "alpha",
        "alpha_against_bartlett", "alpha_against_loadings", "bartlett_p",
    }  # fmt: skip


def change(paper, statistic, shift, **cells):
    """Misprint the first figure of a statistic: add something to it, keeping its decimals."""
    for row in paper.rows:
        if row["statistic"] == statistic and all(row[key] == value for key, value in cells.items()):
            decimals = len(row["value"].partition(".")[2])
            row["value"] = f"{float(row['value']) + shift:.{decimals}f}"
            return row["stat_id"]
    raise AssertionError(f"No {statistic} to misprint.")


@pytest.mark.parametrize(
    ("test", "statistic", "shift", "cells"),
    [
        ("largest_sd", "sd", 3.0, {}),
        ("limits", "mean", 3.0, {}),
        ("percentage", "percent", 2.0, {"unit": "valid percent"}),
        ("group_counts", "n", 6, {"variable": "sex:1"}),
        ("sampling_proportion", "percent", 3.0, {"variable": "proportion"}),
        ("weighted_means", "score", 0.5, {}),
        ("communality", "loading", 0.02, {}),
        ("explained_variance", "explained_variance", 0.3, {}),
        ("total_explained_variance", "explained_variance", 0.5, {}),
        ("f_against_r2", "f", 0.9, {}),
        ("composite_rows", "coefficient", 0.02, {}),
        ("alpha", "alpha", 5.0, {}),
    ],
)
def test_a_misprint_is_noticed_by_its_test(test, statistic, shift, cells):
    for seed in range(1000, 1005):
        paper = Paper(seed)
        stat_id = change(paper, statistic, shift, **cells)
        assert alarms(audit(paper.rows, paper.sites), test, stat_id)


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
        (found,) = of_alpha(part)
        assert found.verdict is Verdict.CONSISTENT
        bounds.append(float(found.arithmetic.partition(") = ")[2].partition(";")[0]))
    assert bounds[1] < bounds[0]
    turned = [
        row | {"value": f"{-float(row['value']):.3f}"}
        if (row["statistic"], row["variable"]) == ("loading", "item_0")
        else row
        for row in rows
    ]
    (found,) = of_alpha(turned)
    assert found.verdict is Verdict.CONSISTENT
    assert "; item_0 in either direction" in found.arithmetic


def test_weights_that_no_choice_of_parts_explains_are_not_testable():
    paper = Paper(1000)
    stat_id = change(paper, "explained_variance", 5.0)
    findings = audit(paper.rows, paper.sites)
    found = [f for f in findings if f.test == "composite_weights" and stat_id in f.stat_ids]
    assert [f.verdict for f in found] == [Verdict.NOT_TESTABLE]


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
