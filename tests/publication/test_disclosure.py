import itertools

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_build import contract

from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.disclosure import (
    Relation,
    feasible_range,
    protect,
    public_contract,
    write_public_build,
)

THRESHOLD = 5


def test_a_lone_small_cell_takes_a_neighbour_with_it():
    relations = [Relation((0, 1, 2), total=62.0)]
    assert protect([2, 20, 40], relations, THRESHOLD) == {0, 1}
    assert feasible_range(0, [2, 20, 40], relations, {0, 1}) == (0.0, 22.0)


def test_two_small_cells_are_no_protection_when_their_sum_is_small():
    assert protect([1, 2, 9, 40], [Relation((0, 1, 2, 3), total=52.0)], THRESHOLD) == {0, 1, 2}


def test_a_coarser_split_gives_nothing_back():
    # the coarse cell 3 is the sum of the fine cells 0 and 1, so cell 2 alone would not protect cell 0
    counts = [2, 20, 40, 22]
    hidden = protect(counts, [Relation((0, 1, 2), total=62.0), Relation((0, 1), (3,))], THRESHOLD)
    assert {0, 1} <= hidden or {0, 3} <= hidden
    assert (
        feasible_range(0, counts, [Relation((0, 1, 2), total=62.0), Relation((0, 1), (3,))], hidden)[1] >= 5
    )


def test_cells_without_a_small_one_are_all_shown():
    assert protect([0, 5, 40], [Relation((0, 1, 2), total=45.0)], THRESHOLD) == set()


@st.composite
def cross_tables(draw):
    """Counts of a table with its row and column sums as cells, and the sums that hold among them."""
    n_rows, n_columns = draw(st.integers(2, 4)), draw(st.integers(2, 4))
    cells = draw(
        st.lists(st.integers(0, 30), min_size=n_rows * n_columns, max_size=n_rows * n_columns).filter(any)
    )
    table = np.array(cells).reshape(n_rows, n_columns)
    counts = [*table.ravel(), *table.sum(axis=1), *table.sum(axis=0)]
    at = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    rows = [Relation(tuple(at[r]), (n_rows * n_columns + r,)) for r in range(n_rows)]
    columns = [Relation(tuple(at[:, c]), (n_rows * n_columns + n_rows + c,)) for c in range(n_columns)]
    total = float(table.sum())
    whole = Relation(tuple(range(n_rows * n_columns, n_rows * n_columns + n_rows)), total=total)
    return [int(n) for n in counts], [*rows, *columns, whole]


@settings(max_examples=40, deadline=None)
@given(cross_tables())
def test_an_attack_by_elimination_recovers_no_small_cell(table):
    counts, relations = table
    hidden = protect(counts, relations, THRESHOLD)
    assert {k for k, n in enumerate(counts) if 0 < n < THRESHOLD} <= hidden
    unknown = sorted(hidden)
    if len(unknown) == len([n for n in counts if n > 0]):
        return  # everything is hidden; only the known total is left
    sums = np.array([[(k in r.plus) * 1.0 - (k in r.minus) * 1.0 for k in unknown] for r in relations])
    rank = np.linalg.matrix_rank(sums) if unknown else 0
    for position, cell in enumerate(unknown):
        if counts[cell] < THRESHOLD:
            unit = np.zeros((1, len(unknown)))
            unit[0, position] = 1
            # a cell follows from the sums exactly if its unit vector lies in their row space
            assert np.linalg.matrix_rank(np.vstack([sums, unit])) > rank


HOUSEHOLDS = 60
BANDS = {"fine": 4, "coarse": 2}


@pytest.fixture
def analyst(sound_build, tmp_path):
    """A published analyst edition with bands and flows of households drawn at random."""
    rng = np.random.default_rng(3)
    before = np.minimum(3, rng.poisson(1.0, HOUSEHOLDS))
    after = np.clip(before + rng.integers(-1, 2, HOUSEHOLDS), 0, 3)
    build = tmp_path / "build.duckdb"
    build.write_bytes(sound_build.read_bytes())
    with duckdb.connect(str(build)) as con:
        con.execute("DELETE FROM reference.bands")
        con.execute("DELETE FROM analysis.coupling_bands")
        con.execute("DELETE FROM analysis.coupling_transitions")
        con.execute("UPDATE analysis.sensitivity SET scheme = 'equal', variant = 'standard'")
        for scheme, n in BANDS.items():
            for k in range(n):
                con.execute(
                    "INSERT INTO reference.bands VALUES (?, ?, ?, 'b', 'b', ?, ?, 'right', false, 's')",
                    [scheme, f"b{k}", k, k / n, (k + 1) / n],
                )
            for order, (wave, values) in enumerate({"before": before, "after": after}.items()):
                for k in range(n):
                    count = int((values * n // 4 == k).sum())
                    con.execute(
                        "INSERT INTO analysis.coupling_bands VALUES ('hills', ?, ?, 'region_a', true, 'all',"
                        " 'all', 'equal', 'standard', ?, ?, ?, ?, ?)",
                        [wave, order, scheme, f"b{k}", k, count, count / HOUSEHOLDS],
                    )
        for k, m in itertools.product(range(2), range(2)):
            count = int(((before // 2 == k) & (after // 2 == m)).sum())
            con.execute(
                "INSERT INTO analysis.coupling_transitions VALUES ('hills', 'region_a', true, 'all', 'all',"
                " 'equal', 'standard', 'coarse', 'before', 'after', ?, ?, ?, ?)",
                [f"b{k}", f"b{m}", count, count / HOUSEHOLDS],
            )
    path = tmp_path / "warehouse.duckdb"
    write_database(build, path, contract())
    return path, before, after


def test_the_public_edition_shows_no_household_and_no_small_count(analyst, tmp_path):
    path, _, _ = analyst
    public = public_contract(contract())
    assert not [t.full_name for t in public if "household_id" in t.column_names]
    write_public_build(path, tmp_path / "suppressed.duckdb", public)
    write_database(tmp_path / "suppressed.duckdb", tmp_path / "public.duckdb", public)
    with duckdb.connect(str(tmp_path / "public.duckdb"), read_only=True) as con:
        for table in public:
            if "n" in table.column_names and "survey_id" in table.column_names:
                (small,) = con.execute(
                    f"SELECT count(*) FROM {table.full_name} WHERE n BETWEEN 1 AND 4"
                ).fetchone()
                assert small == 0, table.full_name
            if "group_type" in table.column_names:
                groups = con.execute(f"SELECT DISTINCT group_type FROM {table.full_name}").fetchall()
                assert groups in ([], [("all",)])
        hidden, shown = con.execute(
            "SELECT count(*) - count(n), count(n) FROM analysis.coupling_bands"
        ).fetchone()
        assert hidden >= 2
        assert shown >= 2
        leaked = con.execute(
            "SELECT count(*) FROM analysis.coupling_bands WHERE n IS NULL AND share IS NOT NULL"
        )
        assert leaked.fetchone() == (0,)


def test_an_attacker_with_all_published_sums_recovers_no_small_cell(analyst, tmp_path):
    path, before, after = analyst
    public = public_contract(contract())
    write_public_build(path, tmp_path / "suppressed.duckdb", public)
    with duckdb.connect(str(tmp_path / "suppressed.duckdb"), read_only=True) as con:
        bands = con.execute("SELECT band_scheme, wave, band, n FROM analysis.coupling_bands").fetchall()
        flows = con.execute("SELECT band_from, band_to, n FROM analysis.coupling_transitions").fetchall()
    # the unknowns are the households in each pair of fine bands; everything published is a sum of them
    pairs = list(itertools.product(range(4), range(4)))
    truth = {
        (s, w, f"b{k}"): int((v * n // 4 == k).sum())
        for s, n in BANDS.items()
        for w, v in (("before", before), ("after", after))
        for k in range(n)
    }
    shown, totals = [[1.0] * 16], [float(HOUSEHOLDS)]
    indicator = {}
    for scheme, wave, band, n in bands:
        side, width = (0 if wave == "before" else 1), 4 // BANDS[scheme]
        indicator[scheme, wave, band] = [float(p[side] // width == int(band[1])) for p in pairs]
        if n is not None:
            shown.append(indicator[scheme, wave, band])
            totals.append(float(n))
    for start, end, n in flows:
        if n is not None:
            shown.append([float(p[0] // 2 == int(start[1]) and p[1] // 2 == int(end[1])) for p in pairs])
            totals.append(float(n))
    rank = np.linalg.matrix_rank(np.array(shown))
    attacked = [key for key, n in truth.items() if 0 < n < THRESHOLD]
    assert attacked
    for key in attacked:
        assert np.linalg.matrix_rank(np.vstack([shown, indicator[key]])) > rank, key
