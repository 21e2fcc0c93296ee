import duckdb
import pytest
from made_up_build import contract

from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.pseudonyms import MissingKeyError, pseudonym


def ids(path):
    with duckdb.connect(str(path), read_only=True) as con:
        return {
            t.full_name: set(con.execute(f"SELECT survey_id, household_id FROM {t.full_name}").fetchall())
            for t in contract()
            if "household_id" in t.column_names
        }


@pytest.mark.parametrize(
    "key", [b"secret", b"longer than the sixty-four bytes that SHA-256 takes at once" * 2]
)
def test_a_key_replaces_every_household_id_by_the_same_pseudonym_in_all_tables(sound_build, tmp_path, key):
    write_database(sound_build, tmp_path / "plain.duckdb", contract())
    write_database(sound_build, tmp_path / "keyed.duckdb", contract(), key=key)
    plain, keyed = ids(tmp_path / "plain.duckdb"), ids(tmp_path / "keyed.duckdb")
    for table, households in plain.items():
        expected = {(s, h if h is None else pseudonym(key, s, h)) for s, h in households}
        assert keyed[table] == expected, table


def test_pseudonyms_differ_by_survey_household_and_key():
    made = {pseudonym(k, s, h) for k in (b"a", b"b") for s in ("s", "t") for h in ("1", "2", "s")}
    assert len(made) == 12


def test_the_quarantine_does_not_quote_the_id(database, tmp_path):
    with duckdb.connect(str(database)) as con:
        con.execute(
            "UPDATE quality.quarantine SET household_id = 'H-4711', value = 'H-4711',"
            " message_en = 'household H-4711 twice', message_zh = '重复 H-4711'"
        )
    write_database(database, tmp_path / "keyed.duckdb", contract(), key=b"secret")
    with duckdb.connect(str(tmp_path / "keyed.duckdb"), read_only=True) as con:
        rows = con.execute("SELECT * FROM quality.quarantine").fetchall()
    assert rows
    assert not [row for row in rows if "H-4711" in str(row)]


@pytest.mark.parametrize(
    ("row", "published"),
    [
        # the id of the household is spelt like a value, a row and a limit
        (
            (
                "1",
                "cell",
                "above_maximum",
                "1005.0",
                "f.csv, row 1, column q1: 1005.0 is above the maximum 100",
            ),
            None,
        ),
        (("1", "cell", "unknown_code", "1", "f.csv, row 1, column q1: 1 is not in the code lists 1"), None),
        (
            ("1", "row", "unknown_site", "1", "f.csv, row 1: 1 is a site that the code list does not name"),
            None,
        ),
        (
            ("1", "row", "orphan", "1", "f: 1.csv, row 1: 1 is a household without an accepted row in 1.csv"),
            ("{p}", "f: 1.csv, row 1: {p} is a household without an accepted row in 1.csv"),
        ),
        (
            ("H-7", "cell", "not_a_number", "H-7", "f.csv, row 2, column q1: H-7 is not a number, nor XH-71"),
            ("{p}", "f.csv, row 2, column q1: {p} is not a number, nor XH-71"),
        ),
        (
            ("2019/3", "row", "duplicate_row", "2019/3", "f.csv, row 3: 2019/3 stands in an earlier row"),
            ("{p}", "f.csv, row 3: {p} stands in an earlier row"),
        ),
    ],
)
def test_an_id_is_replaced_where_it_is_quoted_and_nowhere_else(database, tmp_path, row, published):
    household, grain, rule, value, message = row
    with duckdb.connect(str(database)) as con:
        con.execute("DELETE FROM quality.quarantine WHERE rowid > 0")
        con.execute(
            "UPDATE quality.quarantine SET survey_id = 'hills', household_id = ?, grain = ?, rule = ?, value = ?,"
            " message_en = ?, message_zh = ?",
            [household, grain, rule, value, message, message],
        )
    write_database(database, tmp_path / "keyed.duckdb", contract(), key=b"secret")
    with duckdb.connect(str(tmp_path / "keyed.duckdb"), read_only=True) as con:
        only = con.execute("SELECT value, message_en, message_zh FROM quality.quarantine").fetchone()
    p = pseudonym(b"secret", "hills", household)
    expected = published or (value, message)
    assert only == (expected[0].format(p=p), *[expected[1].format(p=p)] * 2)


def test_a_real_survey_is_refused_without_a_key(database, tmp_path):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE reference.surveys SET is_synthetic = false WHERE survey_id = 'hills'")
    with pytest.raises(MissingKeyError, match="hills is no made-up survey: set WAREHOUSE_PSEUDONYM_KEY"):
        write_database(database, tmp_path / "out.duckdb", contract())
    write_database(database, tmp_path / "keyed.duckdb", contract(), key=b"secret")
