import csv
import json

import duckdb
import pyarrow.parquet as pq
import pytest
from frictionless import validate
from made_up_build import contract
from openpyxl import load_workbook

from relocation_warehouse.publication import files
from relocation_warehouse.publication.audit import audit
from relocation_warehouse.publication.database import read_only, sort_order, write_database

HOSTILE = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", 'plain, "quoted" 文字\nnext line']


@pytest.fixture(scope="module")
def database(sound_build, tmp_path_factory):
    """A published database whose quarantine holds text that spreadsheets would run."""
    folder = tmp_path_factory.mktemp("published")
    hostile = folder / "build.duckdb"
    hostile.write_bytes(sound_build.read_bytes())
    with duckdb.connect(str(hostile)) as con:
        rows = con.execute("SELECT rowid FROM quality.quarantine ORDER BY ALL").fetchall()
        for (row,), value in zip(rows, HOSTILE, strict=False):
            con.execute("UPDATE quality.quarantine SET value = ? WHERE rowid = ?", [value, row])
    path = folder / "warehouse.duckdb"
    write_database(hostile, path, contract(), audit(hostile, contract()).checks)
    return path


@pytest.fixture
def con(database):
    with read_only(database) as con:
        yield con


def test_parquet_is_sorted_zstd_and_described(con, tmp_path):
    files.write_parquet(con, contract(), tmp_path)
    for table in contract():
        path = tmp_path / table.schema / f"{table.name}.parquet"
        metadata = pq.read_metadata(path)
        assert metadata.row_group(0).column(0).compression == "ZSTD"
        described = {k.decode(): v.decode() for k, v in pq.read_schema(path).metadata.items()}
        assert described["contract_version"] == contract().version
        assert set(json.loads(described["column_comments"])) == set(table.column_names)
        same = con.execute(
            f"SELECT count(*) FROM (SELECT * FROM {table.full_name} EXCEPT ALL SELECT * FROM '{path}')"
        ).fetchone()
        assert same == (0,), table.full_name
        keys = sort_order(table)
        rows = con.execute(f"SELECT {keys} FROM '{path}'").fetchall()
        assert rows == con.execute(f"SELECT {keys} FROM '{path}' ORDER BY ALL").fetchall()


def test_csv_package_is_valid_and_says_what_the_database_says(con, tmp_path):
    assert files.too_long(con, contract()) == {}
    files.write_csv(con, contract(), tmp_path)
    report = validate(str(tmp_path / "datapackage.json"))
    assert report.valid, report.flatten(["title", "fieldName", "note"])[:5]
    assert len(report.tasks) == len(contract().tables)
    for table in contract():
        path = tmp_path / f"{table.full_name}.csv"
        assert path.read_bytes().startswith(b"\xef\xbb\xbf")
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        (n_rows,) = con.execute(f"SELECT count(*) FROM {table.full_name}").fetchone()
        assert len(rows) == n_rows
        assert tuple(rows[0]) == table.column_names


def test_a_damaged_csv_is_found_by_the_package(con, tmp_path):
    files.write_csv(con, contract(), tmp_path)
    path = tmp_path / "harmonized.coverage.csv"
    path.write_bytes(path.read_bytes().replace(b"identical", b"Identical").replace(b"proxy", b"almost"))
    report = validate(str(tmp_path / "datapackage.json"))
    assert not report.valid
    assert {e for (e,) in report.flatten(["type"])} == {"constraint-error"}


def test_no_cell_of_a_csv_starts_a_formula(con, tmp_path):
    files.write_csv(con, contract(), tmp_path)
    text_columns = {t.full_name: [c.name for c in t.columns if c.type == "VARCHAR"] for t in contract()}
    collected = []
    for name, columns in text_columns.items():
        with (tmp_path / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                assert not [c for c in columns if row[c].startswith(("=", "+", "-", "@", "\t", "\r"))]
                collected += [row[c] for c in columns]
    assert {f"'{text}" for text in HOSTILE[:-1]} | {HOSTILE[-1]} <= set(collected)


def test_what_is_too_long_for_a_spreadsheet_is_left_to_parquet_and_a_long_view_to_the_database(
    con, tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "ROW_LIMIT", 23)
    left_out = files.too_long(con, contract())
    assert left_out["harmonized.indicator_values"] == (
        "more rows than a spreadsheet can show (23); ask the view in the database"
    )
    assert left_out["harmonized.households"].endswith("use the Parquet file")
    assert "reference.surveys" not in left_out
    files.write_csv(con, contract(), tmp_path, left_out)
    files.write_parquet(con, contract(), tmp_path, left_out)
    assert {p.stem for p in tmp_path.glob("*.csv")} == {t.full_name for t in contract()} - set(left_out)
    assert {f"{p.parent.name}.{p.stem}" for p in tmp_path.rglob("*.parquet")} == {
        t.full_name for t in contract() if not (t.is_view and t.full_name in left_out)
    }
    assert validate(str(tmp_path / "datapackage.json")).valid


def test_the_dictionary_describes_every_column_and_runs_no_formula(con, tmp_path):
    files.write_dictionary(con, contract(), tmp_path / "data_dictionary.xlsx")
    book = load_workbook(tmp_path / "data_dictionary.xlsx")
    rows = list(book["columns 字段"].iter_rows(values_only=True))
    assert {(r[0], r[1]) for r in rows[1:]} == {(t.full_name, c.name) for t in contract() for c in t.columns}
    assert len(book["indicators 指标"]["A"]) == 5
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
