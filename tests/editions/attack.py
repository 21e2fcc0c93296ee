"""An attacker who has the public edition, knows how it is rounded and how large every survey is, but not the secret.

Everything published of the counts of a survey is written as one integer programme: the counts, the thresholds of the
rounding, and all sums between them. The attacker then asks for the smallest and the largest value of each count.
"""

from dataclasses import dataclass, field

import duckdb
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

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
            found = milp(
                sign * target,
                constraints=LinearConstraint(matrix, self.low, self.high),
                integrality=np.ones(len(self.names)),
                bounds=Bounds(low, high),
            )
            assert found.status == 0, found.message
            ends.append(round(sign * found.fun))
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
    """

    def __init__(self, public, survey_id, sizes):
        self.survey, self.sizes, self.programme = survey_id, sizes, Programme()
        with duckdb.connect(str(public), read_only=True) as con:
            self._sizes(con)
            self._coverage(con)
            self._distributions(con)
            self._flows(con)
            self._figures(con)

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
        found = {}
        for name, value in truth.items():
            if name not in self.programme.names:
                continue
            is_small = 0 < value < threshold
            if is_small or name in others:
                low, high = self.programme.range_of(name)
                assert low <= value <= high, (name, value, low, high)
                if low == high or (is_small and (high < threshold or high - low < threshold)):
                    found[name] = (value, low, high)
        return found


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
        found = {}
        for survey, wave, n in con.execute(
            "SELECT survey_id, wave, count(*) FROM harmonized.households GROUP BY ALL ORDER BY ALL"
        ).fetchall():
            found.setdefault(survey, {})[wave] = n
    return found
