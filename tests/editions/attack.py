"""An attacker who has the public edition, knows how it is rounded and how large every survey is, but not the secret.

Everything published of the counts of a survey is written as one integer programme: the counts, the thresholds of the
rounding, and all sums between them. The attacker then asks for the smallest and the largest value of each count.
"""

from dataclasses import dataclass, field

import duckdb
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.stats import norm

from relocation_warehouse.contract.disclosure import disclosure_of

BASE = disclosure_of().base


@dataclass
class Programme:
    """Integer unknowns of one survey and what is known of them; a term is a dictionary of unknown -> factor."""

    names: dict[tuple, int] = field(default_factory=dict)
    bounds: list[tuple[float, float]] = field(default_factory=list)
    rows: list[dict[int, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def unknown(self, *name, low=0, high=np.inf):
        if name not in self.names:
            self.names[name] = len(self.names)
            self.bounds.append((low, high))
        return {self.names[name]: 1.0}

    def threshold(self, step):
        return self.unknown("threshold", step, low=BASE * step + 1, high=BASE * (step + 1))

    def holds(self, low, term, high):
        self.rows.append(term)
        self.low.append(low)
        self.high.append(high)

    def rounds(self, constant, term, shown):
        """constant + term was rounded to `shown`: it lies from one threshold to the next."""
        step = round(shown / BASE)
        assert step * BASE == shown, f"{shown} is on no grid"
        if step > 0:
            self.holds(-constant, _sum(term, self.threshold(step - 1), -1), np.inf)
        self.holds(-np.inf, _sum(term, self.threshold(step), -1), -1 - constant)

    def as_former(self):
        """The same programme, its unknowns those of an edition before; what was rounded by is what will be."""
        self.names = {n if n[0] == "threshold" else ("former", *n): k for n, k in self.names.items()}
        return self

    def range_of(self, name):
        """Smallest and largest value of an unknown that agree with everything."""
        target = np.zeros(len(self.names))
        target[self.names[name]] = 1
        entries = [(r, c, v) for r, row in enumerate(self.rows) for c, v in row.items()]
        r, c, v = zip(*entries, strict=True)
        matrix = csr_array((v, (r, c)), shape=(len(self.rows), len(self.names)))
        low, high = np.array(self.bounds).T
        ends = []
        for sign in (1, -1):
            result = milp(
                sign * target,
                constraints=LinearConstraint(matrix, self.low, self.high),
                integrality=np.ones(len(self.names)),
                bounds=Bounds(low, high),
                # the presolver of HiGHS may cut off what is true; without it an answer takes no longer
                options={"presolve": False},
            )
            assert result.status == 0, result.message
            ends.append(round(sign * result.fun))
        return tuple(ends)


def _sum(a, b, factor=1):
    return {k: a.get(k, 0) + factor * b.get(k, 0) for k in {*a, *b}}


def rows(con, query, *parameters):
    answer = con.execute(query, list(parameters))
    names = [d[0] for d in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


class Attacker:
    """All counts of a survey that the public edition says something about.

    Parameters
    ----------
    public
        Database of the public edition.
    survey_id
        The survey.
    sizes
        Households by wave, exactly: a paper prints them.
    former, changed
        The attack on the edition before, and how many households are other than in it, exactly: both editions are
        rounded by the same thresholds, and every count lies within so many of what it was.
    """

    def __init__(self, public, survey_id, sizes, former=None, changed=0):
        self.survey, self.sizes, self.programme = survey_id, sizes, Programme()
        if former is not None:
            self.programme = former.programme.as_former()
        with duckdb.connect(str(public), read_only=True) as con:
            self._sizes(con)
            self._coverage(con)
            self._distributions(con)
            self._flows(con)
            self._figures(con)
        p = self.programme
        for name in [n for n in p.names if former is not None and ("former", *n) in p.names]:
            p.holds(-changed, _sum(p.unknown(*name), p.unknown("former", *name), -1), changed)

    def _sizes(self, con):
        (shown,) = con.execute(
            "SELECT n_households FROM reference.surveys WHERE survey_id = ?", [self.survey]
        ).fetchone()
        self.whole = max(self.sizes.values())
        self.programme.rounds(self.whole, {}, shown)
        self.shown_sizes = {wave: shown for wave, n in self.sizes.items() if n == self.whole}

    def _part(self, whole, term, shown, shown_whole):
        """A count of a whole was shown: it was rounded itself, or the rest of the whole was."""
        p = self.programme
        if shown + BASE <= whole / 2:
            p.rounds(0, term, shown)
        elif shown - 2 * BASE > whole / 2 and shown_whole is not None:
            p.rounds(whole, {k: -v for k, v in term.items()}, shown_whole - shown)
        else:
            p.holds(shown - 2 * BASE, term, shown + 2 * BASE)
        p.holds(0, term, whole)

    def _answered(self, indicator, wave):
        return self.programme.unknown("answered", wave, indicator, high=self.sizes[wave])

    def _coverage(self, con):
        for row in rows(
            con,
            "SELECT wave, indicator_id, n, n_missing FROM harmonized.coverage WHERE survey_id = ? AND n IS NOT NULL",
            self.survey,
        ):
            wave = row["wave"]
            whole, shown = self.sizes[wave], self.shown_sizes.get(wave)
            answered = self._answered(row["indicator_id"], wave)
            missing = self.programme.unknown("missing", wave, row["indicator_id"], high=whole)
            self.programme.holds(whole, _sum(answered, missing), whole)
            self._part(whole, answered, row["n"], shown)
            self._part(whole, missing, row["n_missing"], shown)

    def _distributions(self, con):
        p = self.programme
        bands = rows(
            con,
            "SELECT t.*, b.lower, b.upper FROM analysis.coupling_bands t JOIN reference.bands b"
            " USING (band_scheme, band) WHERE survey_id = ?",
            self.survey,
        )
        whole_of = {}
        for row in bands:
            split = (row["wave"], row["scheme"], row["variant"])
            cell = p.unknown("band", *split, row["band_scheme"], row["band"], high=self.sizes[row["wave"]])
            self._part(self.sizes[row["wave"]], cell, row["n"], self.shown_sizes.get(row["wave"]))
            whole_of[split, row["band_scheme"]] = _sum(whole_of.get((split, row["band_scheme"]), {}), cell)
        for (split, _), total in whole_of.items():
            # every band scheme places the same households
            p.holds(0, _sum(total, p.unknown("placed", *split, high=self.sizes[split[0]]), -1), 0)
        for coarse in bands:
            split = (coarse["wave"], coarse["scheme"], coarse["variant"])
            for scheme in {b["band_scheme"] for b in bands} - {coarse["band_scheme"]}:
                fine = [
                    b
                    for b in bands
                    if b["band_scheme"] == scheme
                    and split == (b["wave"], b["scheme"], b["variant"])
                    and b["lower"] >= coarse["lower"]
                    and b["upper"] <= coarse["upper"]
                ]
                if (
                    fine
                    and sum(b["upper"] - b["lower"] for b in fine) >= coarse["upper"] - coarse["lower"] - 1e-9
                ):
                    parts = {}
                    for b in fine:
                        parts = _sum(parts, p.unknown("band", *split, scheme, b["band"]))
                    p.holds(
                        0,
                        _sum(parts, p.unknown("band", *split, coarse["band_scheme"], coarse["band"]), -1),
                        0,
                    )
        for row in rows(
            con,
            "SELECT DISTINCT wave, scheme, variant, n FROM analysis.coupling_summary WHERE survey_id = ?"
            " AND n IS NOT NULL",
            self.survey,
        ):
            name = ("placed", row["wave"], row["scheme"], row["variant"])
            if name in p.names:
                wave = row["wave"]
                self._part(self.sizes[wave], p.unknown(*name), row["n"], self.shown_sizes.get(wave))

    def _flows(self, con):
        p = self.programme
        ends = {}
        for row in rows(con, "SELECT * FROM analysis.coupling_transitions WHERE survey_id = ?", self.survey):
            split = (row["scheme"], row["variant"])
            waves = (row["wave_from"], row["wave_to"])
            cell = p.unknown("flow", *split, *waves, row["band_scheme"], row["band_from"], row["band_to"])
            self._part(self.sizes[waves[1]], cell, row["n"], self.shown_sizes.get(waves[1]))
            for wave, band in zip(waves, (row["band_from"], row["band_to"]), strict=True):
                name = ("band", wave, *split, row["band_scheme"], band)
                if name in p.names:
                    ends[name, waves] = _sum(ends.get((name, waves), {}), cell)
        for (name, _), cells in ends.items():
            # somebody may be in no band in the other wave
            p.holds(0, _sum(p.unknown(*name), cells, -1), np.inf)

    def _figures(self, con):
        p = self.programme
        for row in rows(
            con,
            "SELECT * FROM analysis.region_comparison WHERE source_id = ? AND evidence = 'household' AND unit = 'share'"
            " AND value IS NOT NULL",
            self.survey,
        ):
            wave, shown_n = row["wave"], row["n"]
            if wave not in self.sizes:
                continue
            answered = self._answered(row["metric_id"], wave)
            self._part(self.sizes[wave], answered, shown_n, self.shown_sizes.get(wave))
            yes = p.unknown("yes", wave, row["metric_id"], high=self.sizes[wave])
            no = p.unknown("no", wave, row["metric_id"], high=self.sizes[wave])
            p.holds(0, _sum(_sum(yes, no), answered, -1), 0)
            shown = round(row["value"] * shown_n)
            if shown + BASE <= shown_n / 2:
                p.rounds(0, yes, shown)
            elif shown - 2 * BASE > shown_n / 2:
                p.rounds(0, no, shown_n - shown)

    def recovered(self, truth, threshold, others=()):
        """Unknowns that the attack narrows too far: small ones, and any that follows exactly.

        Parameters
        ----------
        truth
            True value by unknown; those that nothing is published of are left out.
        threshold
            A small count is 1 to `threshold - 1`; its range has to reach the threshold and to span as much.
        others
            Counts that are not small, of which none may follow exactly.
        """
        result = {}
        for name, value in truth.items():
            if name not in self.programme.names:
                continue
            is_small = 0 < value < threshold
            if is_small or name in others:
                low, high = self.programme.range_of(name)
                assert low <= value <= high, (name, value, low, high)
                if low == high or (is_small and (high < threshold or high - low < threshold)):
                    result[name] = (value, low, high)
        return result


# ---- means of whole numbers, whose sums are whole ----------------------------------------------------------------


@dataclass(frozen=True)
class Mean:
    """What the public edition says of a mean of answers from `lowest` to `highest`, and what is true.

    Attributes
    ----------
    shown, error
        The mean and its standard error as shown; the error may be absent.
    shown_n
        Answers as shown.
    size, shown_size
        Households of the wave, exactly and as shown.
    n, total
        Answers and their sum in truth.
    """

    name: tuple
    shown: float
    error: float | None
    shown_n: int
    size: int
    shown_size: int | None
    lowest: int
    highest: int
    n: int
    total: int

    def possible(self):
        """Pairs of n and sum that agree with what is shown: (n, sum) as two arrays."""
        grid = _grid(self.highest - self.lowest, self.shown_n)
        pairs = [
            (n, total)
            for n in self._sizes()
            for total in range(
                max(self.lowest * n, int(np.ceil(n * (self.shown - grid / 2) - 1e-9))),
                min(self.highest * n, int(np.floor(n * (self.shown + grid / 2) + 1e-9))) + 1,
            )
            if self._has_error(n, total, grid / 2)
        ]
        return np.array(pairs).reshape(-1, 2).T

    def _sizes(self):
        """Numbers of answers that round to what is shown."""
        around = range(-2 * BASE, 2 * BASE + 1)
        if self.shown_n + BASE <= self.size / 2:
            result = {self.shown_n + k for k in around if abs(k) < BASE}
        elif self.shown_n - 2 * BASE > self.size / 2 and self.shown_size is not None:
            rest = self.shown_size - self.shown_n
            result = {self.size - rest - k for k in around if abs(k) < BASE}
        else:
            result = {self.shown_n + k for k in around}
        return sorted(n for n in result if 1 < n <= self.size)

    def _has_error(self, n, total, step):
        """Whether some sum of squares of whole answers gives the standard error, which was rounded up to `step`."""
        if self.error is None:
            return True
        around = total * total / n
        low = max(0.0, self.error - step) ** 2 * n * (n - 1) + around if self.error > step + 1e-9 else around
        high = self.error**2 * n * (n - 1) + around
        # as even as whole answers can be, and as far apart as the scale allows
        least, rest = divmod(total, n)
        evenest = n * least**2 + rest * (2 * least + 1)
        ends, rest = divmod(total - n * self.lowest, self.highest - self.lowest)
        farthest = (n - ends - 1) * self.lowest**2 + ends * self.highest**2 + (self.lowest + rest) ** 2
        return max(low - 1e-6, evenest) <= min(high + 1e-6, farthest)

    def recovered(self, threshold):
        """What the attack narrows too far, by name: (truth, lowest, highest) as in `Attacker.recovered`."""
        n, total = self.possible()
        assert ((n == self.n) & (total == self.total)).any(), (self, "the truth agrees with what is shown")
        truths = {
            "answers": (n, self.n),
            "missing": (self.size - n, self.size - self.n),
            "above the lowest": (total - self.lowest * n, self.total - self.lowest * self.n),
            "below the highest": (self.highest * n - total, self.highest * self.n - self.total),
            "sum": (total, self.total),
        }
        return {
            (*self.name, what): (truth, values.min(), values.max())
            for what, (values, truth) in truths.items()
            if values.min() == values.max()
            or (0 < truth < threshold and (values.max() < threshold or np.ptp(values) < threshold))
        }


def _grid(width, shown_n):
    """Grid of a mean of answers, as the rules state it."""
    return step(max(2 * width / shown_n, BASE / max(1, shown_n - BASE + 1)))


def step(least):
    """The next of 1, 2 and 5 times a power of ten."""
    return next(s * digit_of(least) for s in (1, 2, 5, 10) if least <= s * digit_of(least) * (1 + 1e-9))


# ---- models whose outcome is yes or no, and what they say of the answers in two groups -----------------------------


def coefficients_of(yes, n):
    """Least squares of an answer of 0 or 1 on a group of 0 or 1: coefficients, robust errors and R2.

    Parameters
    ----------
    yes, n
        Those who said yes, and all, in the two groups; numbers or arrays.

    Returns
    -------
    tuple
        Constant and difference, their errors (HC1), and R2.
    """
    (yes_0, yes_1), (n_0, n_1) = yes, n
    total = n_0 + n_1
    portion_0, portion_1, portion = yes_0 / n_0, yes_1 / n_1, (yes_0 + yes_1) / total
    left_0, left_1 = yes_0 * (1 - portion_0), yes_1 * (1 - portion_1)
    variance_0, variance_1 = (
        left / size**2 * total / (total - 2) for left, size in ((left_0, n_0), (left_1, n_1))
    )
    spread = np.maximum(total * portion * (1 - portion), 1e-12)
    return (
        (portion_0, portion_1 - portion_0),
        (np.sqrt(variance_0), np.sqrt(variance_0 + variance_1)),
        1 - (left_0 + left_1) / spread,
    )


def possible_answers(shown, r2, total, around, yes, grid=0.0):
    """Yes and no in two groups that agree with a model.

    Parameters
    ----------
    shown
        What is shown of the constant and of the difference: (b, se, p), each None where it is empty.
    r2
        R2 as shown, to 0.01; None where it is empty.
    total
        Households of the model, exactly: a paper prints them.
    around
        Lowest and highest size of the second group.
    yes
        Lowest and highest number of yes: the share of them is published.
    grid
        On which coefficients stand, as the rules state it, where it is coarser than the first digit of the error.

    Returns
    -------
    dict
        Possible numbers by name of the cell.
    """
    found = []
    for n_1 in range(max(2, around[0]), min(around[1], total - 2) + 1):
        n = (total - n_1, n_1)
        cells = np.arange(n[0] + 1)[:, None], np.arange(n_1 + 1)[None, :]
        estimates, errors, fit = coefficients_of(cells, n)
        agrees = (cells[0] + cells[1] >= yes[0]) & (cells[0] + cells[1] <= yes[1])
        if r2 is not None:
            agrees = agrees & (abs(fit - r2) <= 0.005 + 1e-9)
        for (b, se, p), estimate, error in zip(shown, estimates, errors, strict=True):
            if se is not None:
                # an error is rounded up, to its first digit or further
                digit = max(10.0 ** np.floor(np.log10(se) + 1e-9), grid)
                agrees = agrees & (error <= se + 1e-9) & (error > se - digit - 1e-9)
                agrees = agrees & (abs(estimate - b) <= digit / 2 + 1e-9)
            if p is not None:
                with np.errstate(divide="ignore", invalid="ignore"):
                    true = 2 * norm.sf(np.nan_to_num(abs(estimate) / error, posinf=99))
                agrees = agrees & (level_of(true) == p)
        agrees = np.broadcast_to(agrees, (n[0] + 1, n_1 + 1))
        found += [(a, n[0] - a, b, n_1 - b) for a, b in np.argwhere(agrees)]
    return dict(zip(("yes 0", "no 0", "yes 1", "no 1"), np.array(found).reshape(-1, 4).T, strict=True))


def errors_of(yes, n, spread=0.1):
    """Standard errors, by least squares, of a difference between two groups, and of how it differs in a second region.

    Parameters
    ----------
    yes, n
        Those who say yes, and all, in the first and in the second region.
    spread
        Standard deviation of the outcome within a group.
    """
    parts = [spread**2 * (1 / y + 1 / (size - y)) for y, size in zip(yes, n, strict=True)]
    return np.sqrt(parts[0]), np.sqrt(sum(parts))


def possible_few(shown, n):
    """Numbers of yes in the second region that agree with the errors shown, each rounded up to its first digit.

    The attacker knows the sizes of both regions and that yes is the rarer answer in the second; to a tenth, how many
    say yes in the first and the spread of the outcome.
    """
    few = np.arange(1, n[1] // 2)
    agrees = np.zeros(len(few), bool)
    for first in range(int(0.45 * n[0]), int(0.55 * n[0]) + 1):
        for spread in np.linspace(0.095, 0.105, 11):
            fits = np.ones(len(few), bool)
            for error, se in zip(errors_of((first, few), n, spread), shown, strict=True):
                if se is not None:
                    fits &= (error <= se + 1e-9) & (error > se - digit_of(se) - 1e-9)
            agrees |= fits
    return few[agrees]


def digit_of(error):
    """Unit of the first digit, to which an error is rounded up."""
    return 10.0 ** np.floor(np.log10(error) + 1e-9)


def level_of(p):
    """Conventional level that p is below."""
    return np.array([0.001, 0.01, 0.05, 0.1, 1.0])[np.digitize(p, [0.001, 0.01, 0.05, 0.1])]


def possible_before(cells, added, grid, with_level=False):
    """Cells (yes 0, no 0, yes 1, no 1) of a model of an answer that agree with two editions of it.

    Parameters
    ----------
    cells
        What is true in the first.
    added
        Households by cell that are new in the second; the attacker knows how many they are together.
    grid
        On which both editions stand.
    with_level
        Whether the true level of p is shown beside the difference and its error.
    """
    editions, around = [], np.array([1 - BASE, BASE - 1])
    for true in (np.array(cells), np.add(cells, added)):
        n = (true[0] + true[1], true[2] + true[3])
        (_, b), (_, se), _ = coefficients_of((true[0], true[2]), n)
        digit = max(digit_of(se), grid)
        shown = (
            np.round(b / digit) * digit,
            max(np.ceil(se / digit - 1e-9), 1) * digit,
            level_of(2 * norm.sf(abs(b) / se)) if with_level else None,
        )
        possible = possible_answers(
            ((None, None, None), shown), None, sum(n), n[1] + around, true[0] + true[2] + around, grid
        )
        editions.append(np.stack([*possible.values()], axis=1))
    first, second = editions
    agrees = np.zeros(len(first), bool)
    for one in second:
        agrees |= (one >= first).all(axis=1)  # nobody is gone; the sizes of the models say how many are new
    return dict(zip(possible, first[agrees].T, strict=True))


def narrowed(truth, possible, threshold):
    """Cells of which one number is possible, or too few where they are small: (truth, lowest, highest) by name."""
    return {
        name: (true, numbers.min(), numbers.max())
        for name, true in truth.items()
        for numbers in (possible[name],)
        if numbers.min() == numbers.max()
        or (0 < true < threshold and (numbers.max() < threshold or np.ptp(numbers) < threshold))
    }


def means_of(analyst, public, sizes, with_errors):
    """Means of whole answers that both editions have.

    Parameters
    ----------
    analyst, public
        Databases of the two editions.
    sizes
        What `sizes_of` gives.
    with_errors
        Whether the standard errors are those of simple random samples, so that they say something of the answers.
    """
    query = (
        "SELECT source_id, wave, metric_id, value, standard_error, n, minimum, maximum"
        " FROM analysis.region_comparison f JOIN reference.indicators ON indicator_id = metric_id"
        " WHERE evidence = 'household' AND group_type = 'all' AND f.unit <> 'share' AND value IS NOT NULL"
        " AND minimum = floor(minimum) AND maximum = floor(maximum)"
    )
    with duckdb.connect(str(analyst), read_only=True) as con:
        true = {(r["source_id"], r["wave"], r["metric_id"]): r for r in rows(con, query)}
    with duckdb.connect(str(public), read_only=True) as con:
        shown_sizes = dict(con.execute("SELECT survey_id, n_households FROM reference.surveys").fetchall())
        for r in rows(con, query):
            name = (r["source_id"], r["wave"], r["metric_id"])
            n, total = true[name]["n"], true[name]["value"] * true[name]["n"]
            if abs(total - round(total)) > 1e-6 or r["wave"] not in sizes[r["source_id"]]:
                continue  # weighted, or not of whole answers
            size, whole = sizes[r["source_id"]][r["wave"]], max(sizes[r["source_id"]].values())
            yield Mean(
                name,
                r["value"],
                r["standard_error"] if with_errors else None,
                r["n"],
                size,
                shown_sizes[r["source_id"]] if size == whole else None,
                round(r["minimum"]),
                round(r["maximum"]),
                n,
                round(total),
            )


def truth_of(analyst, survey_id):
    """True values of the unknowns, from the analyst edition."""
    truth = {}
    with duckdb.connect(str(analyst), read_only=True) as con:
        for r in rows(con, "SELECT * FROM harmonized.coverage WHERE survey_id = ?", survey_id):
            truth["answered", r["wave"], r["indicator_id"]] = r["n"]
            truth["missing", r["wave"], r["indicator_id"]] = r["n_missing"]
        everybody = "survey_id = ? AND group_type = 'all'"
        for r in rows(con, f"SELECT * FROM analysis.coupling_bands WHERE {everybody}", survey_id):
            key = ("wave", "scheme", "variant", "band_scheme", "band")
            truth["band", *(r[k] for k in key)] = r["n"]
        for r in rows(con, f"SELECT * FROM analysis.coupling_transitions WHERE {everybody}", survey_id):
            key = ("scheme", "variant", "wave_from", "wave_to", "band_scheme", "band_from", "band_to")
            truth["flow", *(r[k] for k in key)] = r["n"]
        for r in rows(
            con,
            "SELECT * FROM analysis.region_comparison WHERE source_id = ? AND evidence = 'household'"
            " AND group_type = 'all' AND unit = 'share' AND value IS NOT NULL",
            survey_id,
        ):
            yes = round(r["value"] * r["n"])
            truth["yes", r["wave"], r["metric_id"]] = yes
            truth["no", r["wave"], r["metric_id"]] = r["n"] - yes
    return truth


def sizes_of(analyst):
    """Households by survey and wave."""
    with duckdb.connect(str(analyst), read_only=True) as con:
        result = {}
        for survey, wave, n in con.execute(
            "SELECT survey_id, wave, count(*) FROM harmonized.households GROUP BY ALL ORDER BY ALL"
        ).fetchall():
            result.setdefault(survey, {})[wave] = n
    return result
