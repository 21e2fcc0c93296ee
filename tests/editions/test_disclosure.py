import math
from dataclasses import replace

import duckdb
import pytest
from attacked_build import attacked_build
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_build import contract

from relocation_warehouse.contract.disclosure import disclosure_of, load_disclosure
from relocation_warehouse.contract.tables import Contract, ContractError, contract_of
from relocation_warehouse.publication import disclosure
from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.disclosure import THRESHOLD, write_public_build
from relocation_warehouse.publication.tables import public_contract

RULES = disclosure_of()
BASE = RULES.base


def calculator(secret):
    """SQL functions of the rounding, under a secret."""
    con = duckdb.connect()
    for macro in disclosure._macros(RULES, secret):
        con.execute(macro)
    return con


def value(con, expression):
    return con.execute(f"SELECT {expression}").fetchone()[0]


def test_every_number_of_the_public_edition_is_declared():
    assert list(RULES.undeclared(contract_of())) == []
    assert list(RULES.unknown(contract_of())) == []


def test_a_base_hides_which_counts_are_small():
    # what is shown as 0 may be small, nobody or enough, and so may what is shown as the first step
    assert BASE - 1 >= THRESHOLD
    assert RULES.fewest >= BASE + THRESHOLD


def test_a_count_moves_by_less_than_the_base_and_is_right_on_average():
    n = 500
    moved = []
    for k in range(60):
        with calculator(f"secret {k}".encode()) as con:
            shown = [
                row[0]
                for row in con.execute(f"SELECT rounded('s', i) FROM range({n}) r(i) ORDER BY i").fetchall()
            ]
        assert all(s % BASE == 0 and abs(s - i) < BASE for i, s in enumerate(shown))
        assert shown == sorted(shown)
        assert shown[0] == 0
        moved += [s - i for i, s in enumerate(shown)]
    # each step of 10 has one threshold: a mean of 60 x 50 of them has a standard error of under 0.06
    assert abs(sum(moved) / len(moved)) < 0.25


def test_the_same_number_is_the_same_number_everywhere_and_the_secret_decides_which():
    shown = set()
    for k in range(30):
        with calculator(f"secret {k}".encode()) as con:
            assert value(con, "rounded('s', 14)") == value(con, "rounded('s', 14)")
            shown.add((value(con, "rounded('s', 14)"), value(con, "rounded('t', 14)")))
    assert shown == {(10, 10), (10, 20), (20, 10), (20, 20)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_of_a_count_and_the_rest_the_smaller_is_rounded(n, rest, secret):
    with calculator(secret) as con:
        part, other = (value(con, f"part('s', {k}, {n + rest})") for k in (n, rest))
        smaller = value(con, f"rounded('s', {min(n, rest)})")
        whole = value(con, f"rounded('s', {n + rest})")
    assert smaller in (part, other)
    if n != rest:
        # together they are the whole as it is shown, so neither is another look at the other
        assert part + other == whole


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 60), st.binary(min_size=1, max_size=8))
def test_a_share_says_of_its_few_what_is_said_of_so_many_alone(yes, no, missing, secret):
    asked, whole = yes + no, yes + no + missing
    with calculator(secret) as con:
        shown = value(con, f"part_of_part('s', {yes}, {asked}, {whole})")
        shown_asked = value(con, f"part('s', {asked}, {whole})")
        few = value(con, f"rounded('s', {min(yes, no)})")
    assert shown == (few if yes <= no else max(0, shown_asked - few))


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-6, 1e6))
def test_steps_are_one_two_or_five_times_a_power_of_ten_and_never_too_fine(x):
    with calculator(b"") as con:
        step = value(con, f"step({x!r})")
    assert x <= step * (1 + 1e-6) <= 2.5 * x * (1 + 1e-6)
    lead = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(lead - k) for k in (1, 2, 5)) < 1e-6


@pytest.mark.parametrize(
    ("p", "level"),
    [
        (0.0001, 0.001),
        (0.001, 0.01),
        (0.01, 0.05),
        (0.03, 0.05),
        (0.05, 0.1),
        (0.07, 0.1),
        (0.1, 1.0),
        (1.0, 1.0),
    ],
)
def test_p_is_the_level_that_it_is_below(p, level):
    with calculator(b"") as con:
        assert value(con, f"level({p})::DOUBLE") == level
        assert value(con, "level(NULL)") is None


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """Databases of both editions."""
    folder = tmp_path_factory.mktemp("edition")
    build = attacked_build(folder / "build.duckdb", 3, {"hills": 150, "plains": 12})
    write_database(build, folder / "analyst.duckdb", contract())
    public = public_contract(contract())
    write_public_build(folder / "analyst.duckdb", folder / "rounded.duckdb", public, secret=b"a secret")
    write_database(folder / "rounded.duckdb", folder / "public.duckdb", public, is_pseudonymous=True)
    return folder


def rows(edition, query):
    with duckdb.connect(str(edition / "public.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def test_the_public_edition_has_no_household_and_no_group_within_a_region(edition):
    for table in public_contract(contract()):
        assert "household_id" not in table.column_names
        if "group_type" in table.column_names:
            assert rows(edition, f"SELECT DISTINCT group_type FROM {table.full_name}") in ([], [("all",)])


def test_counts_are_on_the_grid_and_what_would_count_is_empty(edition):
    for name, derived in RULES.derived.items():
        if derived.where != "true":
            continue
        for column, rule in derived.columns.items():
            if rule in ("count", "rows"):
                assert rows(edition, f'SELECT count(*) FROM {name} WHERE "{column}" % {BASE} <> 0') == [(0,)]
            if rule == "withheld":
                assert rows(edition, f'SELECT count("{column}") FROM {name}') == [(0,)], (name, column)


def test_a_figure_on_few_households_is_empty(edition):
    shares = "analysis.region_comparison WHERE evidence = 'household' AND unit = 'share'"
    assert rows(edition, f"SELECT count(value) FROM {shares} AND source_id = 'plains'") == [(0,)]
    n, shown = rows(edition, f"SELECT count(*), count(value) FROM {shares} AND n >= {RULES.fewest}")[0]
    assert n == shown > 10
    assert rows(edition, "SELECT count(share) FROM analysis.coupling_bands WHERE survey_id = 'plains'") == [
        (0,)
    ]


def test_a_share_is_a_quotient_of_counts_that_are_shown(edition):
    figures = rows(
        edition,
        "SELECT value, n, ci_low, ci_high, standard_error, value_x_n FROM analysis.region_comparison"
        " WHERE evidence = 'household' AND unit = 'share' AND value IS NOT NULL",
    )
    assert len(figures) > 10
    for share, n, low, high, error, total in figures:
        assert n * share == pytest.approx(total)
        assert total % BASE == pytest.approx(0, abs=1e-6)
        assert (low is None) == (high is None)
        assert low is None or 0 <= low <= share <= high <= 1
        assert error is None or error / disclosure.SHARE_GRID == pytest.approx(
            round(error / disclosure.SHARE_GRID)
        )


@pytest.fixture
def figures():
    """Figures of the public edition for rows (unit, value, standard error, n) of a wave of 1000 households."""
    with calculator(b"a secret") as con:
        con.execute(
            f"ATTACH ':memory:' AS {disclosure.ANALYST}; CREATE SCHEMA {disclosure.ANALYST}.reference"
        )
        con.execute(
            f"CREATE TABLE {disclosure.ANALYST}.reference.indicators"
            " (indicator_id VARCHAR, minimum DOUBLE, maximum DOUBLE)"
        )

        def shown(unit, mean, error, n, half=None):
            low, high = ("NULL", "NULL") if half is None else (repr(mean - half), repr(mean + half))
            source = (
                f"(SELECT 's' AS scope, 1000::BIGINT AS whole, 'm' AS metric_id, '{unit}' AS unit,"
                f" {mean!r}::DOUBLE AS value, {error!r}::DOUBLE AS standard_error, {n}::BIGINT AS n,"
                f" {low}::DOUBLE AS ci_low, {high}::DOUBLE AS ci_high,"
                f" part('s', {n}, 1000) AS shown_n)"
            )
            columns = "figure_value, figure_standard_error, figure_ci_low, figure_ci_high, figure_value_x_n"
            return con.execute(f"SELECT {columns} FROM ({disclosure._figures(RULES, source)})").fetchone()

        yield shown


@pytest.mark.parametrize(("unit", "mean"), [("index", 0.6181), ("share", 0.4)])
def test_a_public_interval_is_no_narrower_than_that_of_the_sampling_units(figures, unit, mean):
    # two sampling units: half of the interval is 12.7 errors
    value, error, low, high, _ = figures(unit, mean, 0.0123, 400, half=0.156)
    assert error >= 0.0123
    assert 0.156 <= value - low <= 0.156 + 0.03
    assert value - low == pytest.approx(high - value)


@pytest.mark.parametrize("unit", ["index", "share"])
def test_there_is_no_public_interval_where_the_units_are_too_few(figures, unit):
    value, _, low, high, _ = figures(unit, 0.6181, 0.0123, 400)
    assert value is not None
    assert (low, high) == (None, None)


def test_the_interval_of_a_public_share_ends_at_its_ends(figures):
    _, _, low, high, _ = figures("share", 0.05, 0.0123, 400, half=0.3)
    assert low == 0
    assert 0.3 < high < 0.4


def test_a_weighted_share_counts_the_nearest_number_of_households(figures):
    # a share that is weighted, or not exact in binary, times n is no whole number
    counts = range(1, 100, 2)
    totals = [figures("share", (k - 0.4) / 200, 0.01, 200)[-1] for k in counts]
    with calculator(b"a secret") as con:
        nearest = [value(con, f"part_of_part('s', {k}, 200, 1000)") for k in counts]
        below = [value(con, f"part_of_part('s', {k - 1}, 200, 1000)") for k in counts]
    assert totals == pytest.approx(nearest)
    assert nearest != below


def test_what_nobody_declared_is_not_published(edition, tmp_path):
    full = contract()
    named = {
        name: derived.model_copy(update={"columns": {k: v for k, v in derived.columns.items() if k != "n"}})
        for name, derived in RULES.derived.items()
        if name != "analysis.coupling_tests"
    }
    rules = RULES.model_copy(update={"derived": named})
    undeclared = set(rules.undeclared(full))
    assert {"analysis.coupling_tests", "harmonized.coverage.n"} <= undeclared
    public = public_contract(full, rules)
    assert "analysis.coupling_tests" not in {t.full_name for t in public}
    write_public_build(edition / "analyst.duckdb", tmp_path / "rounded.duckdb", public, rules)
    with duckdb.connect(str(tmp_path / "rounded.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(n), count(n_missing) > 0 FROM harmonized.coverage").fetchone() == (
            0,
            True,
        )


def test_without_a_declaration_every_table_of_the_public_edition_is_undeclared():
    full = contract_of()
    nothing = RULES.model_copy(update={"derived": {}, "declared": ()})
    assert list(nothing.undeclared(full)) == [t.full_name for t in full if t.edition == "public"]
    # what is declared does not hide what comes after it
    names = [t.full_name for t in full if t.edition == "public"]
    some = nothing.model_copy(update={"declared": ((names[0],),)})
    assert list(some.undeclared(full)) == names[1:]


def test_a_declaration_of_what_does_not_exist_is_named():
    tables = tuple(t for t in contract() if t.full_name != "quality.loads")
    assert "quality.loads" in set(RULES.unknown(Contract("1.0.0", tables)))
    short = replace(contract()["harmonized.coverage"], columns=contract()["harmonized.coverage"].columns[:-1])
    assert short.column_names != contract()["harmonized.coverage"].column_names


def test_a_rule_that_is_none_is_refused(tmp_path):
    path = tmp_path / "disclosure.yml"
    path.write_text(
        "disclosure: {base: 10, fewest: 20, renewed_by: 10, declarations: [], ranges: {}, declared: [],"
        " derived: {a.b: {columns: {n: as_it_is}}}}",
        encoding="utf-8",
    )
    with pytest.raises(ContractError, match=r"disclosure\.yml: disclosure\.derived\.a\.b\.columns\.n"):
        load_disclosure(path)


def rounded(build, folder):
    """What a public edition is made of, from a build."""
    write_database(build, folder / "analyst.duckdb", contract())
    write_public_build(folder / "analyst.duckdb", folder / "rounded.duckdb", public_contract(contract()))
    return folder / "rounded.duckdb"


def test_terms_of_few_households_are_empty(tmp_path):
    build = attacked_build(tmp_path / "build.duckdb", 4, {"hills": 200, "plains": 60})
    with duckdb.connect(str(build)) as con:
        # three households in one group, the others in two
        con.execute(
            "UPDATE harmonized.households SET livelihood = CASE WHEN household_id IN ('h1', 'h2', 'h3')"
            " THEN 'few' WHEN hash(household_id) % 2 = 0 THEN 'many' ELSE 'others' END"
        )
        con.execute("DELETE FROM analysis.regression_models WHERE rowid > 0")
        con.execute(
            "UPDATE analysis.regression_models SET survey_id = 'hills', model = 'm', wave = 'after', sample = 'all'"
        )
        # a model has a row for each kind of standard error, and its households count once
        con.execute(
            "INSERT INTO analysis.regression_models SELECT m.* REPLACE ('kind ' || t.i AS covariance)"
            " FROM analysis.regression_models m, range(9) t(i)"
        )
        con.execute("DELETE FROM analysis.regression_coefficients WHERE rowid > 3")
        for k, (code, reference) in enumerate(
            [("few", "others"), ("many", "others"), ("others", "few"), (None, None)]
        ):
            con.execute(
                "UPDATE analysis.regression_coefficients SET survey_id = 'hills', model = 'm', term = ?, code = ?,"
                " reference_code = ?, indicator_id = ?, b = 1.234, se = 0.0456 WHERE rowid = ?",
                [f"t{k}", code, reference, code and "livelihood", k],
            )
    with duckdb.connect(str(rounded(build, tmp_path)), read_only=True) as con:
        rows = con.execute(
            "SELECT term, b, se FROM analysis.regression_coefficients ORDER BY term"
        ).fetchall()
    assert rows == [("t0", None, None), ("t1", 1.23, 0.05), ("t2", None, None), ("t3", 1.23, 0.05)]


def test_words_beside_a_model_count_no_households_and_hidden_terms_have_no_stars(tmp_path):
    build = attacked_build(tmp_path / "build.duckdb", 4, {"hills": 200, "plains": 60})
    said = (
        "only 5 clusters; no inference of sex: one household determines it alone; F is too large: it joins 4 slopes",
        "refused: The dependent 'trust' has the same value in all 133 rows.",
    )
    with duckdb.connect(str(build)) as con:
        for k, caution in enumerate(said):
            con.execute(
                "UPDATE analysis.regression_models SET survey_id = 'hills', caution = ? WHERE rowid % 2 = ?",
                [caution, k],
            )
        con.execute("UPDATE analysis.coupling_tests SET reason = '1 pairs, 2 needed'")
        # nobody has such an answer: the term stands for few households
        con.execute(
            "UPDATE analysis.regression_coefficients SET survey_id = 'hills', indicator_id = 'livelihood',"
            " code = 'none', stars = '***'"
        )
    with duckdb.connect(str(rounded(build, tmp_path)), read_only=True) as con:
        cautions = con.execute(
            "SELECT DISTINCT caution FROM analysis.regression_models ORDER BY ALL"
        ).fetchall()
        reasons = con.execute("SELECT DISTINCT reason FROM analysis.coupling_tests").fetchall()
        stars = con.execute("SELECT DISTINCT stars FROM analysis.regression_coefficients").fetchall()
    assert cautions == [("only 5 clusters; F is too large: it joins 4 slopes",), (None,)]
    assert reasons == [(None,)]
    assert stars == [("",)]
