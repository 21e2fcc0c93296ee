"""What an attacker gets out of the public edition: nothing exactly, and nothing closely that is small."""

import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from attack import (
    BASE,
    Attacker,
    Mean,
    Programme,
    coefficients_of,
    digit_of,
    errors_of,
    level_of,
    means_of,
    narrowed,
    possible_answers,
    possible_before,
    possible_few,
    sizes_of,
    step,
    truth_of,
)
from attacked_build import ITEMS, attacked_build
from made_up_build import SURVEYS, WAVES, contract
from scipy.stats import norm

from expectations.page import write_quality_page
from relocation_warehouse.contract.disclosure import disclosure_of
from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.publication import disclosure
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.disclosure import THRESHOLD, write_public_build
from relocation_warehouse.publication.publish import RunInfo, publish
from relocation_warehouse.publication.renewal import Origin, public_build, remember
from relocation_warehouse.publication.report import write_report
from relocation_warehouse.publication.tables import public_contract
from relocation_warehouse.publication.withholding import Withheld

RUN = RunInfo("a run")
CAMPAIGN = int(os.environ.get("ATTACKED_SURVEYS", "4"))
"""Random surveys to attack; `make attack` takes fifty."""
EVERY = 9
"""One count of so many that are not small is attacked, whether it follows exactly."""


def attacked(analyst, public):
    """How many small counts there are, and what the attack recovers."""
    n_small, recovered = 0, {}
    for survey, sizes in sizes_of(analyst).items():
        attacker, truth = Attacker(public, survey, sizes), truth_of(analyst, survey)
        known = [k for k in truth if k in attacker.programme.names]
        n_small += sum(0 < truth[k] < THRESHOLD for k in known)
        others = [k for k in known if truth[k] >= THRESHOLD][::EVERY]
        exact = attacker.recovered({k: truth[k] for k in known}, THRESHOLD, others)
        recovered |= {(survey, *k): v for k, v in exact.items()}
    return n_small, recovered


@pytest.mark.slow
def test_the_shipped_surveys_give_no_small_count_away(published):
    n_small, recovered = attacked(published / "warehouse.duckdb", published / "public" / "warehouse.duckdb")
    assert n_small > 50
    assert recovered == {}
    # their errors are those of sampling units, and say nothing of single answers
    n_means, recovered = attacked_means(
        published / "warehouse.duckdb", published / "public" / "warehouse.duckdb", with_errors=False
    )
    assert n_means > 50
    assert recovered == {}


@pytest.mark.slow
def test_pages_of_the_public_edition_say_nothing_that_its_tables_do_not(published, tmp_path):
    public = published / "public"
    alone = shutil.copy(public / "warehouse.duckdb", tmp_path)
    write_report(Path(alone), tmp_path / "report")
    write_quality_page(None, Path(alone), tmp_path / "report" / "quality.html")
    made, shown = (
        {p.name: p.read_bytes() for p in folder.iterdir()}
        for folder in (tmp_path / "report", public / "report")
    )
    assert {*made} == {*shown}
    assert [name for name in made if made[name] != shown[name]] == []


# in 20 a mean of 97 answers, shown as 100, stood on a grid that ten of 97 could cross
@pytest.mark.parametrize("seed", sorted({*range(CAMPAIGN // 2), 20}))
def test_random_surveys_give_no_small_count_away(tmp_path, seed):
    write_database(
        attacked_build(tmp_path / "build.duckdb", seed, items=ITEMS), tmp_path / "a.duckdb", contract()
    )
    public = public_contract(contract())
    write_public_build(tmp_path / "a.duckdb", tmp_path / "s.duckdb", public, secret=f"secret {seed}".encode())
    write_database(tmp_path / "s.duckdb", tmp_path / "p.duckdb", public, is_pseudonymous=True)
    n_small, recovered = attacked(tmp_path / "a.duckdb", tmp_path / "p.duckdb")
    assert n_small > 10
    assert recovered == {}
    n_means, recovered = attacked_means(tmp_path / "a.duckdb", tmp_path / "p.duckdb", with_errors=True)
    assert n_means > 3
    assert recovered == {}


def attacked_means(analyst, public, with_errors):
    """How many means of whole answers are published, and what their sums and errors give away."""
    means = [*means_of(analyst, public, sizes_of(analyst), with_errors)]
    return len(means), {k: v for mean in means for k, v in mean.recovered(THRESHOLD).items()}


def test_the_attack_on_means_finds_what_digits_give_away():
    # 7 answers of 3, 33 of 1: to two digits the sum of forty follows, and with it who did not say 1
    mean = Mean(("trust",), 1.35, None, 40, 40, 40, 1, 5, 40, 54)
    assert mean.recovered(THRESHOLD) == {}
    fine = np.array([(n, t) for n in (40,) for t in range(40, 201) if abs(t / n - 1.35) <= 0.005]).T
    assert [*fine[1]] == [54]


MODELS = 12


def models_of_answers(con, rng, n):
    """Write models of an answer of 0 or 1 on a group of `n[1]` households, few of whom say yes, or no, in some."""
    con.execute(
        "UPDATE harmonized.households SET livelihood = CASE WHEN household_id[2:]::INTEGER < ? THEN 'yes' ELSE 'no' END"
        " WHERE survey_id = 'hills'",
        [n[1]],
    )
    for table in ("models", "coefficients"):
        con.execute(f"CREATE TEMP TABLE one AS SELECT * FROM analysis.regression_{table} LIMIT 1")
        con.execute(f"DELETE FROM analysis.regression_{table}")
        con.execute(f"INSERT INTO analysis.regression_{table} SELECT o.* REPLACE ('hills' AS survey_id, 'hc1' AS"
                    f" covariance, 'm' || i AS model) FROM one o, range({MODELS}) r(i)")  # fmt: skip
        con.execute("DROP TABLE one")
    con.execute(
        "UPDATE analysis.regression_models SET dependent = 'trust', wave = 'after', sample = 'all', n = ?",
        [sum(n)],
    )
    con.execute(
        "INSERT INTO analysis.regression_coefficients SELECT * REPLACE ('difference' AS term) FROM"
        " analysis.regression_coefficients"
    )
    con.execute(
        "UPDATE analysis.regression_coefficients SET indicator_id = NULL, code = NULL WHERE term <> 'difference'"
    )
    con.execute(
        "UPDATE analysis.regression_coefficients SET indicator_id = 'livelihood', code = 'yes', reference_code = 'no'"
        " WHERE term = 'difference'"
    )
    truth = {}
    for k in range(MODELS):
        few = int(rng.integers(1, THRESHOLD))
        yes = (int(rng.integers(1, n[0])), int(rng.choice([few, n[1] - few])))
        truth[f"m{k}"] = yes
        estimates, errors, fit = coefficients_of(yes, n)
        con.execute("UPDATE analysis.regression_models SET r2 = ? WHERE model = ?", [fit, f"m{k}"])
        for is_difference, b, se in zip((False, True), estimates, errors, strict=True):
            con.execute(
                "UPDATE analysis.regression_coefficients SET b = ?, se = ?, p = ?, beta = 0.1, ci_low = b - 2 * se,"
                " ci_high = b + 2 * se WHERE model = ? AND (term = 'difference') = ?",
                [b, se, 2 * norm.sf(abs(b) / se), f"m{k}", is_difference],
            )
    return truth


@pytest.mark.parametrize("seed", range(CAMPAIGN // 4))
def test_models_of_an_answer_give_no_small_count_away(tmp_path, seed):
    rng = np.random.default_rng(seed)
    total = int(rng.integers(90, 250))
    n_1 = int(rng.integers(30, total - 29))
    n = (total - n_1, n_1)
    build = attacked_build(tmp_path / "build.duckdb", seed, {"hills": total, "plains": 60})
    with duckdb.connect(str(build)) as con:
        truth = models_of_answers(con, rng, n)
    write_database(build, tmp_path / "a.duckdb", contract())
    write_public_build(
        tmp_path / "a.duckdb", tmp_path / "s.duckdb", public_contract(contract()), secret=b"a secret"
    )
    with duckdb.connect(str(tmp_path / "s.duckdb")) as con:
        for macro in disclosure._macros(disclosure_of(), b"a secret"):
            con.execute(macro)
        (grid,) = con.execute("SELECT step(? / rounded('hills', ?))", [2.0 * BASE, min(n)]).fetchone()
        rows = con.execute(
            "SELECT model, list((b, se, p) ORDER BY term = 'difference'), any_value(r2),"
            " count(beta) + count(p_wild) + count(p_leave_one_out) + count(*) FILTER (stars <> '')"
            " FROM analysis.regression_coefficients JOIN analysis.regression_models"
            " USING (survey_id, model, covariance) GROUP BY model"
        ).fetchall()
    found, given_away = {}, {}
    for model, terms, r2, n_others in rows:
        assert terms[1][0] is not None  # the attack is one on something
        assert n_others == 0
        # the level says nothing beside the figures; the true one is a bound that single answers cross
        (_, (b, se, p)) = terms
        assert p == level_of(2 * norm.sf(abs(b) / se))
        terms[1] = (b, se, None)
        yes = truth[model]
        cells = dict(
            zip(
                ("yes 0", "no 0", "yes 1", "no 1"),
                (yes[0], n[0] - yes[0], yes[1], n[1] - yes[1]),
                strict=True,
            )
        )
        known = (total, (n_1 - BASE + 1, n_1 + BASE - 1), (sum(yes) - BASE + 1, sum(yes) + BASE - 1))
        possible = possible_answers(terms, r2, *known, grid)
        assert all((possible[name] == true).any() for name, true in cells.items())
        found |= {(model, *k): v for k, v in narrowed(cells, possible, THRESHOLD).items()}
        # to the first digit of the error, as other coefficients are, most follow
        estimates, errors, fit = coefficients_of(yes, n)
        digits = [10.0 ** np.floor(np.log10(se)) for se in errors]
        fine = [
            (np.round(b / d) * d, np.ceil(se / d - 1e-9) * d, None)
            for b, se, d in zip(estimates, errors, digits, strict=True)
        ]
        given_away |= {
            (model, *k): v
            for k, v in narrowed(cells, possible_answers(fine, round(fit, 2), *known), THRESHOLD).items()
        }
    assert len(given_away) > MODELS / 2
    assert found == {}


@pytest.mark.parametrize("cells", [(4, 23, 1, 107), (14, 32, 2, 39)])
def test_two_editions_of_a_model_of_an_answer_give_no_small_count_away(cells):
    grid = step(2 * BASE / (min(cells[0] + cells[1], cells[2] + cells[3]) // BASE * BASE))
    given_away = {}
    for new in (1, disclosure_of().renewed_by):
        for cell in range(len(cells)):
            added = [new * (k == cell) for k in range(len(cells))]
            possible = possible_before(cells, added, grid)
            assert narrowed(dict(zip(possible, cells, strict=True)), possible, THRESHOLD) == {}
            # the true level of p is a bound, and tells much of who is new when it is crossed
            possible = possible_before(cells, added, grid, with_level=True)
            given_away |= narrowed(dict(zip(possible, cells, strict=True)), possible, THRESHOLD)
    assert given_away


def pooled_model(con, yes, n):
    """Write a pooled model of an index on an answer, whose slope differs by region, by least squares.

    Parameters
    ----------
    yes, n
        Households that say yes, and all, in the first and in the second survey.
    """
    con.execute(
        "UPDATE harmonized.households SET livelihood = CASE WHEN household_id[2:]::INTEGER <"
        " CASE survey_id WHEN 'hills' THEN ? ELSE ? END THEN 'yes' ELSE 'no' END",
        yes,
    )
    for table, changed in {
        "models": "'an index' AS dependent, 'latest' AS wave, 'all' AS sample",
        "coefficients": "'livelihood' AS indicator_id, 'yes' AS code, 'no' AS reference_code, 0.2 AS b, 0.01 AS p",
    }.items():
        con.execute(f"CREATE TEMP TABLE one AS SELECT * FROM analysis.regression_{table} LIMIT 1")
        con.execute(f"DELETE FROM analysis.regression_{table}")
        con.execute(f"INSERT INTO analysis.regression_{table} SELECT * REPLACE ('pooled' AS survey_id,"
                    f" 'ols' AS covariance, 'm' AS model, {changed}) FROM one")  # fmt: skip
        con.execute("DROP TABLE one")
    con.execute(
        "INSERT INTO analysis.regression_coefficients SELECT * REPLACE (term || ':region=b' AS term)"
        " FROM analysis.regression_coefficients"
    )
    for is_interaction, error in zip((False, True), errors_of(yes, n), strict=True):
        con.execute(
            "UPDATE analysis.regression_coefficients SET se = ?, ci_low = b - se, ci_high = b + se"
            " WHERE contains(term, ':') = ?",
            [error, is_interaction],
        )


@pytest.mark.parametrize("few", [1, THRESHOLD - 1])
def test_interactions_with_the_region_do_not_count_who_is_few_in_it(tmp_path, few):
    n = (200, 120)
    build = attacked_build(tmp_path / "build.duckdb", few, dict(zip(SURVEYS, n, strict=True)))
    with duckdb.connect(str(build)) as con:
        pooled_model(con, (100, few), n)
    write_database(build, tmp_path / "a.duckdb", contract())
    write_public_build(
        tmp_path / "a.duckdb", tmp_path / "s.duckdb", public_contract(contract()), secret=b"a secret"
    )
    query = "SELECT se FROM analysis.regression_coefficients ORDER BY contains(term, ':')"
    with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as con:
        errors = [se for (se,) in con.execute(query).fetchall()]
    given_away = possible_few([np.ceil(se / digit_of(se)) * digit_of(se) for se in errors], n)
    assert np.ptp(given_away) < THRESHOLD
    with duckdb.connect(str(tmp_path / "s.duckdb"), read_only=True) as con:
        found = possible_few([se for (se,) in con.execute(query).fetchall()], n)
    assert few in found
    assert found.max() >= THRESHOLD
    assert np.ptp(found) >= THRESHOLD


def test_two_editions_ten_households_apart_give_no_small_count_away(tmp_path):
    n, added = 120, disclosure_of().renewed_by
    public, attacker, exact = public_contract(contract()), None, {}
    for number, size in enumerate((n, n + added)):
        analyst, out = tmp_path / f"a{number}.duckdb", tmp_path / f"p{number}.duckdb"
        # nobody moves: those who are added answer everything
        build = attacked_build(tmp_path / f"b{number}.duckdb", 11, {"hills": n, "plains": 60})
        if number:
            add_households(build, added)
        write_database(build, analyst, contract())
        write_public_build(analyst, tmp_path / f"s{number}.duckdb", public, secret=b"the same secret")
        write_database(tmp_path / f"s{number}.duckdb", out, public, is_pseudonymous=True)
        attacker = Attacker(out, "hills", dict.fromkeys(WAVES, size), attacker, added)
        truth = truth_of(analyst, "hills")
        known = {k: v for k, v in truth.items() if k in attacker.programme.names}
        exact = attacker.recovered(known, THRESHOLD)
    assert sum(0 < v < THRESHOLD for v in known.values()) > 3
    assert exact == {}


def add_households(build, added):
    """So many households more in the first survey, who answer every question and say yes."""
    with duckdb.connect(str(build)) as con:
        con.execute(
            "INSERT INTO harmonized.households SELECT * REPLACE (household_id || 'x' AS household_id)"
            " FROM harmonized.households WHERE survey_id = 'hills' AND household_id IN"
            " (SELECT DISTINCT household_id FROM harmonized.households WHERE survey_id = 'hills' ORDER BY 1 LIMIT ?)",
            [added],
        )
        con.execute(
            "UPDATE reference.surveys SET n_households = n_households + ? WHERE survey_id = 'hills'", [added]
        )
        con.execute("UPDATE harmonized.coverage SET n = n + ? WHERE survey_id = 'hills'", [added])
        con.execute(
            "UPDATE analysis.region_comparison SET value = (value * n + ?) / (n + ?), n = n + ?"
            " WHERE source_id = 'hills' AND unit = 'share' AND evidence = 'household'",
            [added] * 3,
        )
        con.execute("DELETE FROM analysis.region_comparison WHERE source_id = 'hills' AND unit = 'score'")
        for table in ("coupling_bands", "coupling_transitions", "coupling_summary"):
            con.execute(f"DELETE FROM analysis.{table} WHERE survey_id = 'hills'")


def test_the_attack_finds_what_was_rounded_without_regard_to_the_whole():
    # 235 of 235 are known to have been asked; 240 answers shown by themselves leave at most 4 without one
    programme = Programme()
    answered = programme.unknown("answered", high=235)
    programme.rounds(0, answered, 240)
    assert programme.range_of(("answered",)) == (231, 235)


def editions(tmp_path, *builds, later=None):
    """What the public edition says after each publication, the last under another contract where one is given."""
    tmp_path.mkdir(exist_ok=True)
    memory, told = tmp_path / "memory.duckdb", []
    for number, build in enumerate(builds, 1):
        public = public_contract((number == len(builds) and later) or contract())
        analyst = tmp_path / f"analyst {number}.duckdb"
        write_database(build, analyst, contract())
        source, _ = public_build(analyst, memory, public, Origin("a run"))
        remember(source, memory)
        with duckdb.connect(str(memory), read_only=True) as con:
            told.append(
                {
                    t.full_name: con.execute(f"SELECT * FROM {t.full_name} ORDER BY ALL").fetchall()
                    for t in public
                }
            )
    return told


def changed_build(tmp_path, original, name, n):
    """The same surveys, but `n` households of the first answered otherwise, and every count and mean moved."""
    path = tmp_path / name
    shutil.copy(original, path)
    with duckdb.connect(str(path)) as con:
        con.execute(
            "UPDATE harmonized.households SET trust = trust + 10 WHERE survey_id = 'hills' AND household_id IN"
            " (SELECT DISTINCT household_id FROM harmonized.households ORDER BY ALL LIMIT ?)",
            [n],
        )
        con.execute("UPDATE harmonized.coverage SET n = n - 20, n_missing = n_missing + 20 WHERE n > 40")
    return path


def test_a_household_more_changes_nothing_that_is_public(tmp_path):
    first = attacked_build(tmp_path / "first.duckdb", 5, {"hills": 120, "plains": 60})
    needed = disclosure_of().renewed_by
    few, fewer, enough = (changed_build(tmp_path, first, f"{n}.duckdb", n) for n in (needed - 1, 1, needed))
    # small changes add up from the edition that was shown; then one household less than in that
    a, b, c, d, e = editions(tmp_path, first, fewer, few, enough, few)
    assert a == b == c
    assert d != a
    assert e == d


def withdrawn(build, survey):
    """The build without a survey."""
    with duckdb.connect(str(build)) as con:
        con.execute("DELETE FROM harmonized.households WHERE survey_id = ?", [survey])
        con.execute("DELETE FROM reference.surveys WHERE survey_id = ?", [survey])
    return build


def test_a_withdrawn_survey_leaves_at_once_and_shows_nothing_of_who_changed_in_another(tmp_path):
    first = attacked_build(tmp_path / "first.duckdb", 7, {"hills": 120, "plains": 60})
    needed = disclosure_of().renewed_by
    few, enough = (withdrawn(changed_build(tmp_path, first, f"{n}.duckdb", n), "plains") for n in (1, needed))
    a, b, c = editions(tmp_path, first, few, enough)
    assert "plains" not in str(b["reference.surveys"])
    derived = disclosure_of().derived
    for table, before in a.items():
        if table in derived:
            assert set(b[table]) <= set(before), table
            assert not any("plains" in row for row in b[table]), table
    kept = [row for row in a["harmonized.coverage"] if "hills" in row]
    assert kept
    assert b["harmonized.coverage"] == kept
    assert c["harmonized.coverage"] != kept


def test_another_contract_shows_nothing_of_the_few_who_changed(tmp_path):
    first = attacked_build(tmp_path / "first.duckdb", 7, {"hills": 120, "plains": 60})
    changed = contract()["harmonized.coverage"]
    fewer = replace(changed, columns=tuple(c for c in changed.columns if c.name != "n_missing"))
    later = Contract("99.0.0", tuple(fewer if t == changed else t for t in contract()))
    few, enough = (changed_build(tmp_path, first, f"{n}.duckdb", n) for n in (1, disclosure_of().renewed_by))
    (before, b), (_, c) = (
        editions(tmp_path / build.stem, first, build, later=later) for build in (few, enough)
    )
    assert {table: rows for table, rows in b.items() if rows != before[table]} == {changed.full_name: []}
    assert len(c[changed.full_name]) == len(before[changed.full_name])


CANARIES = ("Zhang Sanfeng", "13812345678", "H-4711")


def test_no_file_of_the_public_edition_quotes_an_answer_or_a_person(database, tmp_path):
    with duckdb.connect(str(database)) as con:
        text = " ".join(CANARIES)
        con.execute("UPDATE harmonized.households SET household_id = 'H-4711' WHERE household_id = 'h1'")
        con.execute("UPDATE quality.quarantine SET value = ?, message_en = ?, message_zh = ?", [text] * 3)
        con.execute("UPDATE quality.checks SET message = ?", [text])
        con.execute(
            "UPDATE quality.loads SET message = ?, sha256 = ?, file = ?, is_synthetic = false", [text] * 3
        )
        con.execute(
            "INSERT INTO quality.loads SELECT * REPLACE ('refused' AS survey_id, ? AS file_id) FROM quality.loads"
            " LIMIT 1",
            [text],
        )
        con.execute("UPDATE analysis.factor_diagnostics SET reason = ?", [text])
        con.execute("UPDATE quality.replication SET reason = ?", [text])
        con.execute(
            "UPDATE quality.codebook SET is_synthetic = false, label = ?, value_labels = ?, missing_declared = ?,"
            " note = ?",
            [text] * 4,
        )
    publish(database, tmp_path / "published", contract(), AuditResult(()), RUN, report=None)
    current = (tmp_path / "published" / ".current").resolve()
    assert seen(current)  # the search finds what is there: the edition of analysts has them
    assert seen(current / "public") == []
    # what the edition was made from stays with its owner
    assert (tmp_path / "published" / ".disclosed.duckdb").stat().st_mode & 0o077 == 0


def test_the_public_manifest_confirms_no_guess_of_a_declaration_and_names_nobody_who_stands_out(
    database, tmp_path
):
    declared = {f"surveys/hills/{name}": "0" * 64 for name in ("codes.csv", "corrections.csv", "survey.yml")}
    run = RunInfo("a run", None, {"catalog/gates.yml": "1" * 64} | declared)
    withheld = (Withheld("hills", columns=("age",), sites=("SITE_A", "SITE_B")),)
    publish(database, tmp_path, contract(), AuditResult((), withheld), run, report=None)
    for folder, sees in ((tmp_path, True), (tmp_path / "public", False)):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        assert "1" * 64 in str(manifest["inputs"])
        assert ("0" * 64 in str(manifest)) is sees
        assert ("SITE_A" in str(manifest)) is sees


def seen(folder):
    """Files of a folder that hold a canary, compressed or not."""
    holding = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                content = b"".join(archive.read(name) for name in archive.namelist())
        elif path.suffix == ".parquet":
            content = repr(duckdb.sql(f"SELECT * FROM '{path}'").fetchall()).encode()
        elif path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as con:
                names = con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall()
                content = (
                    path.read_bytes()
                    + repr(
                        [con.execute(f"SELECT * FROM {schema}.{name}").fetchall() for schema, name in names]
                    ).encode()
                )
        else:
            content = path.read_bytes()
        if any(canary.encode() in content for canary in CANARIES):
            holding.append(path.name)
    return holding
