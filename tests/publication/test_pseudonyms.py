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


def test_a_real_survey_is_refused_without_a_key(database, tmp_path):
    with duckdb.connect(str(database)) as con:
        con.execute("UPDATE reference.surveys SET is_synthetic = false WHERE survey_id = 'hills'")
    with pytest.raises(MissingKeyError, match="hills is no made-up survey: set WAREHOUSE_PSEUDONYM_KEY"):
        write_database(database, tmp_path / "out.duckdb", contract())
    write_database(database, tmp_path / "keyed.duckdb", contract(), key=b"secret")
