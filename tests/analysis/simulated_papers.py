"""Made-up papers whose printed figures come from one made-up sample, in several styles, and faults to plant in them.

Belongs here: the generator. Does not belong here: what the audit must make of them (`test_simulated_papers`,
`campaign_of_papers`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.factors import adequacy, composite_of_factors, correlate, factor, factor_scores
from analysis.reliability import cronbach_alpha

STYLES = (
    "plain", "valid_percents", "item_blanks", "oblique", "suppressed", "adjusted_shares", "two_decimals",
    "errors_printed", "no_composite", "nested_models",
)  # fmt: skip
"""Ways in which papers ordinarily print: complete answers; percentages of those who answered; 1-7 blanks an item under
one N; an oblique rotation; small loadings left out; shares adjusted to add up to 100; two decimals; standard errors, t
and p with the other convention of stars; unrelated dependents; models of one dependent."""


class Paper:
    """One paper.

    Parameters
    ----------
    seed : int
    style : str
        One of `STYLES`.
    general : float
        How much of one direction all its items share.
    """

    items = tuple(f"item_{j}" for j in range(9))

    def __init__(self, seed: int, style: str = "plain", general: float = 0.0) -> None:
        rng = np.random.default_rng([seed, STYLES.index(style)])
        self.style, self.rows, self.sites = style, [], []
        self.decimals = 2 if style == "two_decimals" else 3
        self.n = n = int(rng.integers(90, 500))
        site = np.sort(rng.integers(0, 3, size=n))
        latent = rng.normal(size=(n, 3)) @ (
            rng.normal(size=(3, 9)) + np.kron(np.eye(3), np.full((1, 3), 2.0))
        )
        latent += general * rng.normal(size=(n, 1))
        answers = np.clip(np.round(3 + 0.6 * (latent + rng.normal(size=(n, 9)))), 1, 5)
        self._samples(rng, site)
        self._item_moments(rng, answers)
        self._categories(rng)
        self._type_shares(rng)
        scores, explained = self._factors(answers)
        composite = composite_of_factors(scores, explained, range(scores.shape[1]))
        dependents = {"overall": composite, **{f"factor_{k}": scores[:, k] for k in range(scores.shape[1])}}
        for name, values in dependents.items():
            percent = 100 * (values - values.min()) / np.ptp(values)
            self.add("Table 4", "score", name, percent.mean(), 2, unit="0-100")
            for s in range(3):
                mean = percent[site == s].mean()
                self.add("Table 4", "score", name, mean, 2, unit="0-100", group=f"site:{s}")
        if style == "no_composite":
            noise = rng.normal(size=(n, 4)) + 0.4 * np.column_stack(list(dependents.values()))
            dependents = {f"outcome_{k}": noise[:, k] for k in range(4)}
        self._regressions(rng, dependents)
        self._others(rng)

    def add(
        self, table: str, statistic: str, variable: str, value: float | str, decimals: int = 3, **cells: str
    ) -> None:
        """Print one figure."""
        text = value if isinstance(value, str) else f"{value:.{decimals}f}"
        row = {"stat_id": f"S{len(self.rows)}", "source_file": "paper", "table_or_section": table}
        row |= {"wave": "single", "group": "full_sample", "model": "", "dependent": "", "unit": ""}
        row |= {"quality": "printed", "statistic": statistic, "variable": variable, "value": text}
        self.rows.append(row | cells)

    def find(self, statistic: str, **cells: str) -> list[dict[str, str]]:
        """Rows of a statistic with these cells."""
        return [
            row
            for row in self.rows
            if row["statistic"] == statistic and all(row[key] == value for key, value in cells.items())
        ]

    def _samples(self, rng: np.random.Generator, site: np.ndarray) -> None:
        counts = np.bincount(site, minlength=3)
        households = counts * rng.integers(2, 30, size=3) + rng.integers(0, 9, size=3)
        groups = [*(f"site:{s}" for s in range(3)), "full_sample"]
        for group, sampled, stock in zip(
            groups, [*counts, counts.sum()], [*households, households.sum()], strict=True
        ):
            self.add("Table 1", "n", "valid", str(sampled), unit="questionnaires", group=group)
            self.add("Table 1", "n", "stock", str(stock), unit="households", group=group)
            self.add(
                "Table 1", "percent", "proportion", 100 * sampled / stock, 2, unit="percent", group=group
            )
        self.add("Text", "n", "distributed", str(self.n + 17), unit="questionnaires")
        self.add("Text", "n", "valid", str(self.n), unit="questionnaires")
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

    def _item_moments(self, rng: np.random.Generator, answers: np.ndarray) -> None:
        known = answers.copy()
        if self.style == "item_blanks":
            for j in range(answers.shape[1]):
                known[rng.choice(self.n, size=rng.integers(1, 8), replace=False), j] = np.nan
        for j, name in enumerate(self.items):
            column = known[:, j][~np.isnan(known[:, j])]
            self.add("Table 2", "mean", name, column.mean(), self.decimals, unit="Likert 1-5")
            self.add("Table 2", "sd", name, column.std(ddof=1), self.decimals, unit="Likert 1-5")
        for k in range(3):
            mean = np.nanmean(np.nanmean(known[:, 3 * k : 3 * k + 3], axis=1))
            self.add("Table 2", "mean", f"dimension_{k}", mean, self.decimals, unit="Likert 1-5")

    def _categories(self, rng: np.random.Generator) -> None:
        for question in ("sex", "age", "school"):
            answered = self.n - int(rng.integers(1, 8)) if self.style == "valid_percents" else self.n
            counts = np.bincount(rng.integers(0, 4, size=answered), minlength=4)
            shares = self._shares(counts)
            for code, (count, share) in enumerate(zip(counts, shares, strict=True)):
                self.add("Table 2", "n", f"{question}:{code}", str(count), unit="respondents")
                self.add("Table 2", "percent", f"{question}:{code}", share, unit="valid percent")
            self.add("Text", "percent", f"{question}:0", shares[0], unit="percent")

    def _shares(self, counts: np.ndarray) -> list[str]:
        exact = 100 * counts / counts.sum()
        tenths = np.round(exact * 10)
        if self.style == "adjusted_shares":
            gap = int(1000 - tenths.sum())
            order = np.argsort(-np.sign(gap) * (exact * 10 - tenths)) if gap else []
            for k in range(abs(gap)):
                tenths[order[k % len(order)]] += np.sign(gap)
        return [f"{t / 10:.1f}" for t in tenths]

    def _type_shares(self, rng: np.random.Generator) -> None:
        for wave in ("before", "after"):
            answered = self.n - int(rng.integers(0, 5)) if self.style == "valid_percents" else self.n
            counts = np.bincount(rng.integers(0, 3, size=answered), minlength=3)
            for code, share in enumerate(self._shares(counts)):
                self.add("Table 5", "percent", f"type_{code}", share, unit="percent", wave=wave)

    def _factors(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moments = correlate(answers)
        check, solution = adequacy(moments.r, moments.n), factor(moments.r, n_factors=3, max_iterations=20000)
        alpha = cronbach_alpha(np.cov(answers, rowvar=False))
        for kind in ("standardised", "raw"):
            self.add("Methods", "alpha", "scale_9_items", getattr(alpha, kind), unit=f"{kind} alpha")
        self.add("Table 3", "kmo", "adequacy", check.kmo)
        self.add("Table 3", "bartlett", "sphericity", check.bartlett_chi2)
        self.add("Table 3", "p_value", "sphericity", check.bartlett_p)
        loadings, explained = solution.loadings, solution.explained
        if self.style == "oblique":
            # pattern coefficients A = L T'^-1 with correlations T'T, whose communality a'(T'T)a is that of L
            t = np.eye(3) + 0.15 * (np.ones((3, 3)) - np.eye(3))
            t /= np.linalg.norm(t, axis=0)
            loadings = solution.loadings @ np.linalg.inv(t.T)
            explained = np.square(loadings @ (t.T @ t)).sum(axis=0) / 9
        for k, share in enumerate(explained):
            self.add("Table 3", "explained_variance", f"factor_{k}", 100 * share, self.decimals)
        for name, row, communality in zip(self.items, loadings, solution.communalities, strict=True):
            for k, loading in enumerate(row):
                if self.style != "suppressed" or abs(loading) >= 0.3:
                    self.add("Table 3", "loading", name, loading, self.decimals, dependent=f"factor_{k}")
            self.add("Table 3", "communality", name, communality, self.decimals)
        scores = factor_scores(answers, moments.mean, moments.sd, solution.score_coefficients)
        return scores, solution.explained

    def _regressions(self, rng: np.random.Generator, dependents: dict[str, np.ndarray]) -> None:
        related = sum(values / values.std() for values in dependents.values())
        x = rng.normal(size=(self.n, 14)) + 0.3 * rng.normal(size=(self.n, 1))
        x[:, :5] += 0.2 * related[:, None]
        x = (x - x.mean(axis=0)) / x.std(axis=0)
        models = [(name, values, list(range(14))) for name, values in dependents.items()]
        if self.style == "nested_models":
            first = next(iter(dependents.values()))
            models = [("overall", first, list(range(k))) for k in (6, 8, 11, 14)]
        levels = (0.05, 0.01, 0.001) if self.style == "errors_printed" else (0.1, 0.05, 0.01)
        for m, (name, values, columns) in enumerate(models):
            y = (values - values.mean()) / values.std()
            z = x[:, columns]
            n, k = z.shape
            b, *_ = np.linalg.lstsq(z, y, rcond=None)
            r2 = 1 - np.square(y - z @ b).mean()
            se = np.sqrt((1 - r2) * n / (n - k - 1) * np.diag(np.linalg.inv(z.T @ z)))
            cells = {"model": f"model_{m}", "dependent": name}
            unit = "standardised"
            for j, coefficient, error in zip(columns, b, se, strict=True):
                t = coefficient / error
                p = 2 * stats.t.sf(abs(t), n - k - 1)
                self.add("Table 6", "coefficient", f"x_{j}", coefficient, self.decimals, unit=unit, **cells)
                self.add(
                    "Table 6", "stars", f"x_{j}", str(sum(p < a for a in levels)), unit="star_count", **cells
                )
                if self.style == "errors_printed":
                    self.add("Table 6", "se", f"x_{j}", error, **cells)
                    self.add("Table 6", "t", f"x_{j}", t, **cells)
                    self.add("Table 6", "p_value", f"x_{j}", p, **cells)
            f = (r2 / k) / ((1 - r2) / (n - k - 1))
            p = stats.f.sf(f, k, n - k - 1)
            self.add("Table 6", "f", "regression", f, **cells)
            self.add(
                "Table 6", "stars", "regression", str(sum(p < a for a in levels)), unit="star_count", **cells
            )
            self.add("Table 6", "adj_r2", "regression", 1 - (1 - r2) * (n - 1) / (n - k - 1), **cells)
            self.add("Table 6", "n", "regression", str(n), unit="respondents", **cells)

    def _others(self, rng: np.random.Generator) -> None:
        """A test with its statistic, answers of yes and no, and a scale of averaged items."""
        a, b = rng.normal(size=(2, self.n)) + np.array([[0.2], [0.0]])
        test = stats.ttest_ind(a, b)
        self.add("Table 7", "t", "difference", float(test.statistic), 2)
        self.add("Table 7", "df", "difference", str(2 * self.n - 2))
        self.add("Table 7", "p_value", "difference", float(test.pvalue))
        for k in range(2):
            yes = rng.random(self.n) < rng.uniform(0.1, 0.9)
            self.add("Table 2", "mean", f"yes_{k}", yes.mean(), unit="binary 0-1")
            self.add("Table 2", "sd", f"yes_{k}", yes.std(ddof=1), unit="binary 0-1")


@dataclass(frozen=True)
class Fault:
    """A misprint.

    Attributes
    ----------
    plant : callable
        Plants it and returns the ids of the figures that are wrong now.
    style : str
        Style of the papers it is measured in.
    least : float
        Share of papers in which the audit must name one of these figures: 0.9 where arithmetic decides, else the
        bound that the figures allow, as measured.
    """

    plant: Callable[[Paper, np.random.Generator], set[str]]
    least: float = 0.9
    style: str = "plain"


def shifted(row: dict[str, str], by: float) -> set[str]:
    """Add to a printed figure, keeping its decimals."""
    decimals = len(row["value"].partition(".")[2])
    row["value"] = f"{float(row['value']) + by:.{decimals}f}"
    return {row["stat_id"]}


def misprint(
    statistic: str, low: float, high: float, **cells: str
) -> Callable[[Paper, np.random.Generator], set[str]]:
    """A figure of a statistic that is off by something between two sizes, in either direction."""

    def plant(paper: Paper, rng: np.random.Generator) -> set[str]:
        rows = paper.find(statistic, **cells)
        return shifted(rows[rng.integers(len(rows))], rng.choice([-1, 1]) * rng.uniform(low, high))

    return plant


def wrong_loading(paper: Paper, rng: np.random.Generator) -> set[str]:
    """A loading of another size; its sign alone shows in no sum of squares."""
    rows = paper.find("loading")
    row = rows[rng.integers(len(rows))]
    size = 1 if not row["value"].startswith("-") else -1
    down = abs(float(row["value"])) > 0.4 and rng.random() < 0.5
    return shifted(row, (-size if down else size) * rng.uniform(0.05, 0.3))


def larger(
    statistic: str, low: float, high: float, **cells: str
) -> Callable[[Paper, np.random.Generator], set[str]]:
    """A figure of a statistic that is too large."""

    def plant(paper: Paper, rng: np.random.Generator) -> set[str]:
        rows = paper.find(statistic, **cells)
        return shifted(rows[rng.integers(len(rows))], rng.uniform(low, high))

    return plant


def _grid(paper: Paper) -> tuple[list[str], list[str], dict[tuple[str, str], dict[str, str]]]:
    cells = {(r["variable"], r["model"]): r for r in paper.find("coefficient")}
    return list(dict.fromkeys(v for v, _ in cells)), list(dict.fromkeys(m for _, m in cells)), cells


def moved_block(shortest: int, longest: int, *, all_models: bool = False, signs: int = 0):
    """Rows of a coefficient table that slipped by one, in the models of the parts or in all."""

    def plant(paper: Paper, rng: np.random.Generator) -> set[str]:
        names, models, cells = _grid(paper)
        length = int(rng.integers(shortest, longest + 1))
        start = int(rng.integers(0, len(names) - length + 1))
        block = names[start : start + length]
        wrong = set()
        for model in models if all_models else models[1:]:
            values = [cells[name, model]["value"] for name in block]
            for name, value in zip(block, [*values[1:], values[0]], strict=True):
                cells[name, model]["value"] = value
                wrong.add(cells[name, model]["stat_id"])
        for _ in range(signs):
            rest = [n for n in names if n not in block]
            wrong |= _turn(cells[rest[rng.integers(len(rest))], models[1]])
        return wrong

    return plant


def _turn(row: dict[str, str]) -> set[str]:
    row["value"] = row["value"][1:] if row["value"].startswith("-") else f"-{row['value']}"
    return {row["stat_id"]}


def wrong_sign(paper: Paper, rng: np.random.Generator) -> set[str]:
    """A coefficient of some size with the wrong sign."""
    rows = [r for r in paper.find("coefficient") if abs(float(r["value"])) > 0.02]
    return _turn(rows[rng.integers(len(rows))])


def exchanged_columns(paper: Paper, rng: np.random.Generator) -> set[str]:
    """The coefficients of two models, the one of the sum or of parts, under each other's head."""
    names, models, cells = _grid(paper)
    one, two = rng.choice(models, size=2, replace=False)
    for name in names:
        a, b = cells[name, one], cells[name, two]
        a["value"], b["value"] = b["value"], a["value"]
    return {cells[name, m]["stat_id"] for name in names for m in (one, two)}


def exchanged_cells(paper: Paper, rng: np.random.Generator) -> set[str]:
    """Two coefficients of one regressor exchanged, if they differ by more than rounding."""
    names, models, cells = _grid(paper)
    while True:
        name, (one, two) = names[rng.integers(len(names))], rng.choice(models, size=2, replace=False)
        a, b = cells[name, one], cells[name, two]
        if abs(float(a["value"]) - float(b["value"])) > 0.1:
            a["value"], b["value"] = b["value"], a["value"]
            return {a["stat_id"], b["stat_id"]}


def exchanged_items(paper: Paper, rng: np.random.Generator) -> set[str]:
    """Mean and sd of two items of different dimensions exchanged."""
    one, two = rng.choice(3, size=2, replace=False) * 3 + rng.integers(0, 3, size=2)
    wrong = set()
    for statistic in ("mean", "sd"):
        (a,), (b,) = (paper.find(statistic, variable=f"item_{k}") for k in (one, two))
        a["value"], b["value"] = b["value"], a["value"]
        wrong |= {a["stat_id"], b["stat_id"]}
    return wrong


def wrong_stars(variable: str | None) -> Callable[[Paper, np.random.Generator], set[str]]:
    """A star more or less, of an F or of a coefficient."""

    def plant(paper: Paper, rng: np.random.Generator) -> set[str]:
        rows = [
            r for r in paper.find("stars") if (r["variable"] == "regression") == (variable == "regression")
        ]
        row = rows[rng.integers(len(rows))]
        count = int(row["value"])
        row["value"] = str(count - 1 if count == 3 or (count and rng.random() < 0.5) else count + 1)
        return {row["stat_id"]}

    return plant


def wrong_survey_n(paper: Paper, rng: np.random.Generator) -> set[str]:
    """The N of the survey with a wrong digit, in the text or in the total of the table."""
    rows = paper.find("n", variable="valid", group="full_sample")
    return shifted(rows[rng.integers(len(rows))], int(rng.choice([-10, -1, 1, 9, 10])))


def wrong_model_n(paper: Paper, rng: np.random.Generator) -> set[str]:
    """The N of a model with a wrong digit."""
    rows = paper.find("n", variable="regression")
    return shifted(rows[rng.integers(len(rows))], int(rng.choice([-30, -20, 10, 20, 90])))


def text_against_table(paper: Paper, rng: np.random.Generator) -> set[str]:
    """A share in the text that is not that of the table."""
    rows = paper.find("percent", table_or_section="Text")
    return shifted(rows[rng.integers(len(rows))], rng.choice([-1, 1]) * rng.uniform(0.3, 9))


def copied_item(paper: Paper, rng: np.random.Generator) -> set[str]:
    """The loadings of an item printed again for another one."""
    one, two = rng.choice(paper.items, size=2, replace=False)
    wrong = set()
    for a, b in zip(paper.find("loading", variable=one), paper.find("loading", variable=two), strict=True):
        b["value"] = a["value"]
        wrong |= {a["stat_id"], b["stat_id"]}
    return wrong


def wrong_count(paper: Paper, rng: np.random.Generator) -> set[str]:
    """A count of a category with a wrong digit."""
    rows = [r for r in paper.find("n", unit="respondents") if ":" in r["variable"]]
    return shifted(rows[rng.integers(len(rows))], int(rng.choice([-10, -3, 2, 7, 10])))


FAULTS = {
    "sd beyond the scale": Fault(larger("sd", 1.5, 4, unit="Likert 1-5")),
    "mean beyond the scale": Fault(larger("mean", 4, 9, unit="Likert 1-5")),
    "share of a category": Fault(misprint("percent", 0.3, 9, unit="valid percent")),
    "count of a category": Fault(wrong_count),
    "share of a type": Fault(misprint("percent", 0.3, 9, table_or_section="Table 5")),
    "sampling proportion": Fault(misprint("percent", 0.3, 5, variable="proportion")),
    "score of a group": Fault(misprint("score", 0.5, 9, group="full_sample")),
    "mean of a dimension": Fault(misprint("mean", 0.02, 0.5, variable="dimension_1")),
    "two items exchanged": Fault(exchanged_items),
    "text against table": Fault(text_against_table),
    "N of the survey": Fault(wrong_survey_n),
    "N of a model": Fault(wrong_model_n),
    "loading": Fault(wrong_loading),
    "communality": Fault(misprint("communality", 0.01, 0.2)),
    "explained variance": Fault(misprint("explained_variance", 0.3, 5)),
    "loadings copied": Fault(copied_item),
    "alpha above 1": Fault(larger("alpha", 1.5, 5)),
    "F": Fault(misprint("f", 0.3, 5)),
    "adjusted R2": Fault(misprint("adj_r2", 0.02, 0.2)),
    "stars of F": Fault(wrong_stars("regression")),
    "coefficient": Fault(misprint("coefficient", 0.02, 0.3)),
    "wrong sign": Fault(wrong_sign),
    "two cells exchanged": Fault(exchanged_cells),
    "columns of models exchanged": Fault(exchanged_columns),
    "block of 3-6 rows moved": Fault(moved_block(3, 6)),
    "block of 8-10 rows moved": Fault(moved_block(8, 10)),
    "block moved and a wrong sign": Fault(moved_block(3, 6, signs=1)),
    "p of a test": Fault(misprint("p_value", 0.02, 0.5, variable="difference")),
    "sd of yes and no": Fault(misprint("sd", 0.03, 0.3, unit="binary 0-1")),
    "stars beside p": Fault(wrong_stars(None), style="errors_printed"),
    "standard error": Fault(misprint("se", 0.01, 0.1), style="errors_printed"),
    # What follows leaves no two printed figures in conflict, or only sometimes.
    "mean of an item": Fault(misprint("mean", 0.01, 0.09, variable="item_4"), least=0.0),
    "sd of an item": Fault(misprint("sd", 0.01, 0.09, unit="Likert 1-5"), least=0.0),
    "stars of a coefficient": Fault(wrong_stars(None), least=0.0),
    "block moved in all models": Fault(moved_block(3, 6, all_models=True), least=0.0),
    "alpha": Fault(misprint("alpha", 0.02, 0.1), least=0.0),
}
"""Kinds of misprint; those with `least` 0.9 are decided by arithmetic."""
