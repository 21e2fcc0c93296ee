"""Random surveys whose published counts agree with each other, for the attack to work on."""

import duckdb
import numpy as np
from made_up_build import SURVEYS, WAVES, build

BANDS = {"fine": 6, "coarse": 2}
SHARES = [f"share_{k}" for k in range(8)]
ITEMS = ("trust", "friends")
"""Indicators whose answers are whole numbers from 1 to 5."""
SPLIT = ("equal", "standard")


def attacked_build(path, seed, sizes=None, items=()):
    """Write a build of two surveys of two waves; counts of few households are frequent.

    Parameters
    ----------
    path
        The file.
    seed
        Decides all answers.
    sizes
        Households by survey; by default from 25 to 300.
    items
        Indicators of `ITEMS` whose means are published too.
    """
    rng = np.random.default_rng(seed)
    build(path, seed=1)
    with duckdb.connect(str(path)) as con:
        con.begin()
        con.execute(
            "CREATE TABLE template AS SELECT * FROM harmonized.households"
            " QUALIFY row_number() OVER (PARTITION BY survey_id, wave ORDER BY household_id) = 1"
        )
        for table in ("harmonized.households", "harmonized.coverage"):
            con.execute(f"DELETE FROM {table}")
        con.execute("DELETE FROM analysis.region_comparison WHERE evidence = 'household'")
        con.execute("CREATE TABLE figure AS SELECT * FROM analysis.region_comparison LIMIT 1")
        con.execute("CREATE TABLE summary AS SELECT * FROM analysis.coupling_summary LIMIT 1")
        for table in ("bands", "transitions", "summary"):
            con.execute(f"DELETE FROM analysis.coupling_{table}")
        con.execute("DELETE FROM reference.bands")
        if items:
            con.execute(
                f"UPDATE reference.indicators SET minimum = 1, maximum = 5 WHERE indicator_id IN {items}"
            )
        con.execute("UPDATE analysis.sensitivity SET is_reference = true, scheme = ?, variant = ?", SPLIT)
        for scheme, n in BANDS.items():
            for k in range(n):
                con.execute(
                    "INSERT INTO reference.bands VALUES (?, ?, ?, 'b', 'b', ?, ?, 'right', false, 's')",
                    [scheme, f"b{k}", k, k / n, (k + 1) / n],
                )
        for survey in SURVEYS:
            n = sizes[survey] if sizes else int(rng.integers(25, 300))
            _survey(con, rng, survey, n, items)
        for table in ("template", "figure", "summary"):
            con.execute(f"DROP TABLE {table}")
        con.commit()
    return path


def _survey(con, rng, survey, n, items):
    con.execute("UPDATE reference.surveys SET n_households = ? WHERE survey_id = ?", [n, survey])
    place = np.clip(rng.beta(2, 3, n), 0, 0.999)
    places = {"before": place, "after": np.clip(place + rng.normal(0.05, 0.1, n), 0, 0.999)}
    for order, wave in enumerate(WAVES):
        con.execute(
            "INSERT INTO harmonized.households SELECT t.* REPLACE ('h' || i AS household_id, 'region_a' AS region,"
            " (1 + hash(?, i) % 5)::DOUBLE AS trust) FROM template t CROSS JOIN range(?) r(i)"
            " WHERE survey_id = ? AND wave = ?",
            [f"{survey} {rng.integers(1 << 30)}", n, survey, wave],
        )
        for indicator in ("land_area", "trust", "friends", "livelihood", *SHARES):
            missing = int(rng.choice([0, 1, 2, 3, 4, rng.integers(0, n)]))
            con.execute(
                "INSERT INTO harmonized.coverage BY NAME SELECT ? AS survey_id, ? AS wave, ? AS wave_order,"
                " 'region_a' AS region, true AS is_synthetic, ? AS indicator_id, 'identical' AS status, ? AS n,"
                " ? AS n_missing, 0 AS n_not_asked, 0 AS n_not_applicable, 0 AS n_refused, 0 AS n_dont_know,"
                " ? AS n_blank, 0 AS n_out_of_range, 0 AS n_not_shared",
                [survey, wave, order, indicator, n - missing, missing, missing],
            )
            answered = n - missing
            if indicator in items and answered > 1:
                _mean(con, rng, (indicator, survey, wave), answered)
            if indicator in SHARES and answered:
                few = int(rng.integers(1, 6))
                yes = min(answered, int(rng.choice([few, answered - few, rng.integers(0, answered + 1)])))
                yes = max(yes, 0)
                con.execute(
                    "INSERT INTO analysis.region_comparison SELECT * REPLACE (? AS metric_id, 'household' AS evidence,"
                    " ? AS source_id, 'region_a' AS region, ? AS wave, 'all' AS group_type, 'all' AS group_id,"
                    " ? AS value, ? AS n, 'share' AS unit) FROM figure",
                    [indicator, survey, wave, yes / answered, answered],
                )
        con.execute(
            "INSERT INTO analysis.coupling_summary SELECT * REPLACE (? AS survey_id, ? AS wave, 'all' AS group_type,"
            " 'all' AS group_id, ? AS scheme, ? AS variant, 'fine' AS band_scheme, ? AS n) FROM summary",
            [survey, wave, *SPLIT, n],
        )
        for scheme, size in BANDS.items():
            for k in range(size):
                count = int((np.floor(places[wave] * size) == k).sum())
                con.execute(
                    "INSERT INTO analysis.coupling_bands VALUES (?, ?, ?, 'region_a', true, 'latest', 'all', 'all',"
                    " ?, ?, ?, ?, ?, ?, ?, 5, 0.01, 0.1, 0.2, NULL)",
                    [survey, wave, order, *SPLIT, scheme, f"b{k}", k, count, count / n],
                )
    for a in range(BANDS["coarse"]):
        for b in range(BANDS["coarse"]):
            ends = [np.floor(places[w] * BANDS["coarse"]) for w in WAVES]
            count = int(((ends[0] == a) & (ends[1] == b)).sum())
            con.execute(
                "INSERT INTO analysis.coupling_transitions VALUES (?, 'region_a', true, 'all', 'all', ?, ?, 'coarse',"
                " 'before', 'after', 'balanced', ?, ?, ?, ?, 5, 0.01, 0.1, 0.2, NULL)",
                [survey, *SPLIT, f"b{a}", f"b{b}", count, count / n],
            )


def _mean(con, rng, place, n):
    """A mean of answers from 1 to 5; nearly everybody gives the same answer, or all answers are given."""
    usual, others = rng.integers(1, 6), rng.integers(1, 6, n)
    answers = np.where(np.arange(n) < rng.choice([1, 2, 3, n]), others, usual)
    error = answers.std(ddof=1) / np.sqrt(n)
    con.execute(
        "INSERT INTO analysis.region_comparison SELECT * REPLACE (? AS metric_id, 'household' AS evidence,"
        " ? AS source_id, 'region_a' AS region, ? AS wave, 'all' AS group_type, 'all' AS group_id, ? AS value,"
        " ? AS n, 'score' AS unit, ? AS standard_error, ? AS ci_low, ? AS ci_high) FROM figure",
        [*place, answers.mean(), n, error, answers.mean() - 1.96 * error, answers.mean() + 1.96 * error],
    )
