"""The public edition against the rules of `disclosure.yml` written out in plain Python.

Only the rounding of a single count is taken from the code, whose thresholds are secret; `test_disclosure` tests it.
"""

import math
import re

import duckdb
import numpy as np
import pytest
from attacked_build import attacked_build
from made_up_build import contract

from relocation_warehouse.contract.disclosure import disclosure_of
from relocation_warehouse.publication import disclosure
from relocation_warehouse.publication.disclosure import write_public_build
from relocation_warehouse.publication.tables import public_contract

RULES = disclosure_of()
SECRET = b"a secret"
LARGER = (
    "coupling_tests",
    "coupling_leave_one_out",
    "obstacle_degrees",
    "factor_diagnostics",
    "regression_models",
)
"""Tables whose groups are too small to show a figure, as they are made up."""
LEVELS = (0.001, 0.01, 0.05, 0.1, 1.0)


@pytest.fixture(scope="module")
def editions(tmp_path_factory):
    """Databases of the analyst edition and of what the public edition is published from."""
    folder = tmp_path_factory.mktemp("rules")
    build = attacked_build(folder / "analyst.duckdb", 11, {"hills": 150, "plains": 140})
    with duckdb.connect(str(build)) as con:
        for name in LARGER:
            con.execute(f"UPDATE analysis.{name} SET n = n * 7")
        # terms of everybody: which terms are rare is tested by itself
        con.execute("UPDATE analysis.regression_coefficients SET indicator_id = NULL, code = NULL")
        con.execute(
            "INSERT INTO analysis.sensitivity SELECT * REPLACE (false AS is_reference, 'other' AS scheme, 'else' AS"
            " combination_id) FROM analysis.sensitivity LIMIT 1"
        )
        for table in ("bands", "transitions", "summary"):
            for changed in ("'other' AS scheme", "'site' AS group_type, 'a' AS group_id"):
                con.execute(
                    f"INSERT INTO analysis.coupling_{table} SELECT * REPLACE ({changed}) FROM analysis.coupling_{table}"
                    " WHERE scheme = 'equal' AND group_type = 'all'"
                )
        con.execute(
            "INSERT INTO analysis.coupling_transitions SELECT * REPLACE ('fine' AS band_scheme) FROM"
            " analysis.coupling_transitions WHERE scheme = 'equal' AND group_type = 'all'"
        )
        con.execute("UPDATE reference.indicators SET minimum = 1, maximum = 5 WHERE indicator_id = 'trust'")
        con.execute(
            "UPDATE reference.indicators SET minimum = NULL, maximum = NULL WHERE indicator_id = 'land_area'"
        )
        con.execute(
            "INSERT INTO analysis.region_comparison SELECT r.* REPLACE (m AS metric_id, u AS unit, v * (1 + r.n / 1000)"
            " AS value, v / 40 AS standard_error) FROM analysis.region_comparison r, (VALUES ('trust', 'score', 3.217),"
            " ('land_area', 'mu', 7.654), ('metric_a', 'index 0-1', 0.4321), ('metric_b', 'score 0-100', 43.217),"
            " ('metric_c', 'yuan', 9876.5)) AS t(m, u, v) WHERE evidence = 'household' AND metric_id = 'share_0'"
        )
        # a weighted share is no quotient of counts
        con.execute(
            "UPDATE analysis.region_comparison SET value = least(1, value + (CASE WHEN metric_id < 'share_4' THEN 0.45"
            " ELSE 0.55 END) / n) WHERE evidence = 'household' AND unit = 'share' AND metric_id <> 'share_0'"
        )
    write_public_build(
        folder / "analyst.duckdb", folder / "public.duckdb", public_contract(contract()), secret=SECRET
    )
    return folder


class Calculator:
    """The rules, over households by wave and survey, and the rounding of the code."""

    def __init__(self, con):
        self.con = con
        for macro in disclosure._macros(RULES, SECRET):
            con.execute(macro)
        sizes = "SELECT {}, count(DISTINCT (survey_id, household_id)) FROM harmonized.households GROUP BY ALL"
        self.wave = {row[:2]: row[2] for row in con.execute(sizes.format("survey_id, wave")).fetchall()}
        self.survey = dict(con.execute(sizes.format("survey_id")).fetchall())
        self.region = dict(con.execute(sizes.format("region")).fetchall())
        ends = "SELECT indicator_id, minimum, maximum FROM reference.indicators"
        self.ends = {i: None if b is None else b - a for i, a, b in con.execute(ends).fetchall()}

    def rounded(self, scope, n):
        return self.con.execute("SELECT rounded(?, ?::BIGINT)", [scope, n]).fetchone()[0]

    def part(self, scope, n, whole):
        if n is None or whole is None:
            return None
        if n <= whole - n:
            return self.rounded(scope, n)
        return self.rounded(scope, whole) - self.rounded(scope, whole - n)

    def portion(self, scope, value, n, whole):
        """Rounded number of those who say yes, over the rounded number of those who were asked."""
        yes, asked = round(value * n), self.part(scope, n, whole)
        shown = self.rounded(scope, yes) if yes <= n - yes else max(0, asked - self.rounded(scope, n - yes))
        return min(1.0, shown / asked)

    def figure(self, row, scope, whole, shown_n):
        value, error, n = row["value"], row["standard_error"], row["n"]
        if row["unit"] == "share":
            p = self.portion(scope, value, n, whole)
            half = width_of(row, 0.005)
            return {
                "value": p,
                "standard_error": None if error is None else upward(error, 0.005),
                "ci_low": None if half is None else max(0.0, p - half),
                "ci_high": None if half is None else min(1.0, p + half),
                "value_x_n": p * shown_n,
            }
        is_indicator = row["metric_id"] in self.ends
        width = self.ends.get(row["metric_id"], RULES.ranges.get(row["unit"]))
        crossed = RULES.base * (error or 0) * math.sqrt(n) if width is None else 2 * width
        grid = step(max(crossed, RULES.base if is_indicator else 0) / shown_n)
        value, half = nearest(value, grid), width_of(row, grid / 2)
        return {
            "value": value,
            "standard_error": None if error is None else upward(error, grid / 2),
            "ci_low": None if half is None else value - half,
            "ci_high": None if half is None else value + half,
            "value_x_n": value * shown_n,
        }


def width_of(row, size):
    """Half of the interval that the analyst edition has, rounded up; None where it has none."""
    ends = row["ci_low"], row["ci_high"]
    return None if None in ends else upward((ends[1] - ends[0]) / 2, size)


def ten(x):
    return 10.0 ** math.floor(math.log10(abs(x)) + 1e-9)


def step(x):
    return next(k * ten(x) for k in (1, 2, 5, 10) if k * ten(x) >= x * (1 - 1e-9))


def nearest(x, size):
    return round(x / size) * size


def upward(x, size):
    return max(math.ceil(x / size - 1e-9), 1) * size


def expected(calculator, derived, row, others):
    """What the rules say of a row: its columns that have one."""
    by_rule = {rule: c for c, rule in derived.columns.items()}
    survey, region = row.get(derived.survey), row.get("region")
    wave = row.get("wave", row.get("wave_to"))
    scope = survey or region or ""
    whole = calculator.wave.get((survey, wave), calculator.survey.get(survey))
    counts = [c for c, rule in derived.columns.items() if rule == "count"]
    shown_n = calculator.part(scope, row[counts[0]], whole) if counts else None
    sizes = [
        *([row[counts[0]]] if counts and not derived.within else []),
        calculator.wave.get((survey, wave)),
        calculator.survey.get(survey),
        calculator.region.get(region),
        sum(calculator.survey.values()),
    ]
    is_shown = calculator.rounded(scope, next(s for s in sizes if s is not None)) >= RULES.fewest
    by_key = {}
    for column, rule in derived.columns.items():
        value = row[column]
        if rule == "count":
            by_key[column] = calculator.part(scope, value, whole) if row["counts_where"] else None
        elif rule in ("rows", "rows_left"):
            by_key[column] = calculator.rounded(scope, value)
        elif rule == "received_name":
            by_key[column] = value if row["is_synthetic"] else row["file_id"]
        elif rule == "rows_all":
            by_key[column] = sum(calculator.rounded(scope, row[by_rule[r]]) for r in ("rows", "rows_left"))
        elif rule == "stars":
            by_key[column] = value if is_shown else ""
        elif rule == "clauses":
            kept = [c for c in (value or "").split("; ") if re.search(derived.clauses, c)]
            by_key[column] = "; ".join(kept) or None
        elif not is_shown or row["withheld_where"] or rule == "withheld":
            by_key[column] = None
        elif rule == "share":
            group = sum(o[counts[0]] for o in others if all(o[name] == row[name] for name in derived.within))
            by_key[column] = min(1.0, shown_n / calculator.part(scope, group, whole))
        elif rule == "mean":
            by_key[column] = None if None in (shown_n, value) else nearest(value, step(2 / shown_n))
        elif rule == "figure":
            by_key[column] = calculator.figure(row, scope, whole, shown_n)[column]
        elif rule in ("error", "by_error", "low", "high"):
            by_key[column] = around(row, by_rule["error"], rule, column)
        elif value is None or rule == "shown":
            by_key[column] = value
        elif rule == "beta":
            by_key[column] = nearest(value, 0.01)
        elif rule.startswith("grid"):
            by_key[column] = nearest(value, float(rule.split()[1]))
        elif rule.startswith("digits"):
            by_key[column] = float(f"{value:.{int(rule.split()[1])}g}")
        elif rule in ("level", "p", "other_p"):  # no outcome here is an answer
            by_key[column] = next((level for level in LEVELS if value < level), 1.0)
        else:
            raise AssertionError(f"{rule} is no rule")
    return by_key


def around(row, error, rule, column):
    """An estimate, its error and its interval, to the first digit of the error."""
    error = row[error]
    if not error:
        return None
    shown = upward(error, ten(error))
    if rule == "error":
        return shown
    estimate = row[column if rule == "by_error" else "b" if "b" in row else "estimate"]
    if estimate is None:
        return None
    if rule == "by_error":
        return nearest(estimate, ten(error))
    half = width_of(row, ten(error) / 2)
    return None if half is None else nearest(estimate, ten(error)) + {"low": -half, "high": half}[rule]


def dictionaries(con, query):
    answer = con.execute(query)
    names = [d[0] for d in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def kept(con, table, derived):
    """Rows of the analyst edition that the public one has, and whether conditions hold for them."""
    conditions = ", ".join(
        f"({getattr(derived, name)}) AS {name}" for name in ("where", "withheld_where", "counts_where")
    ).replace(" AS where", " AS is_derived")
    rows = dictionaries(con, f"SELECT *, {conditions} FROM {table.full_name}")
    rows = [r for r in rows if r.get("group_type", "all") == "all"]
    if derived.one_split:
        rows = [r for r in rows if (r["scheme"], r["variant"]) == ("equal", "standard")]
        if "wave_to" in table.column_names:
            rows = [r for r in rows if r["band_scheme"] == "coarse"]
    return rows


@pytest.mark.parametrize("name", sorted(RULES.derived))
def test_every_number_is_what_its_rule_says(editions, name):
    derived, table = RULES.derived[name], public_contract(contract())[name]
    with (
        duckdb.connect(str(editions / "analyst.duckdb"), read_only=True) as con,
        duckdb.connect(str(editions / "public.duckdb"), read_only=True) as public,
    ):
        rows, calculator = kept(con, table, derived), Calculator(con)
        key = [c for c in table.key if c in table.column_names]
        shown = {tuple(r[c] for c in key): r for r in dictionaries(public, f"SELECT * FROM {name}")}
        assert {*shown} == {tuple(r[c] for c in key) for r in rows}
        for row in rows:
            told = expected(calculator, derived, row, rows) if row["is_derived"] else row
            for column in {*derived.columns} & {*table.column_names}:
                value = shown[tuple(row[c] for c in key)][column]
                context = (name, column, row)
                if told[column] is None:
                    # an empty cell of a table need not be a number: a grid of no size gives none
                    assert value is None or np.isnan(value), context
                elif isinstance(told[column], float):
                    # Wilson's interval is shown to four digits
                    digits = 2e-4 if row.get("unit") == "share" else 1e-9
                    assert value == pytest.approx(told[column], rel=1e-9, abs=digits), context
                else:
                    assert value == told[column], context
