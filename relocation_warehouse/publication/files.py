"""The published tables as Parquet, as CSV with a data package, and the data dictionary.

Belongs here: one function for each kind of file, each reading a published database. Does not belong here: what the
tables are (`tables`) and when files become visible (`publish`).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from pyarrow import csv as pa_csv

from relocation_warehouse.contract.tables import Column, Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.publication.csv_text import TIMESTAMP_FORMAT, csv_safe
from relocation_warehouse.publication.database import column_comment, comment, sort_order
from relocation_warehouse.publication.former import Make, anew

ROW_LIMIT = 1_048_575
"""Rows below the header that a spreadsheet can show."""

_WRAPPED = Alignment(wrap_text=True, vertical="top")
_BOLD = Font(bold=True)
_WIDEST = 60
"""Characters of the widest column of the dictionary; longer text is wrapped."""

IN_DICTIONARY = {
    "reference.indicators": "indicators 指标",
    "reference.codes": "codes 编码",
    "reference.value_labels": "values 取值",
    "reference.metric_definitions": "metrics 对比指标",
}
"""Tables of which the dictionary has all rows, and the title of their sheet."""

_FIELD_TYPES = {
    "VARCHAR": "string",
    "DOUBLE": "number",
    "BIGINT": "integer",
    "INTEGER": "integer",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "datetime",
    "DATE": "date",
}


def too_long(con: duckdb.DuckDBPyConnection, contract: Contract) -> dict[str, str]:
    """Tables with more rows than a spreadsheet can show, and why they have no file for one.

    A view so long has no Parquet file either: it says nothing that the file of the table it reads does not say.
    """
    limit = ROW_LIMIT
    reasons: dict[str, str] = {}
    for table in contract:
        # counting stops at the limit: a long view may have a hundred times as many rows
        some = f"(select 1 from {sql.identifier(table.schema, table.name)} limit {limit + 1})"
        (n_rows,) = con.execute(f"select count(*) from {some}").fetchone() or (0,)
        if n_rows > limit:
            elsewhere = "ask the view in the database" if table.is_view else "use the Parquet file"
            reasons[table.full_name] = f"more rows than a spreadsheet can show ({limit}); {elsewhere}"
    return reasons


def write_parquet(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    folder: Path,
    left_out: Container[str] = (),
    make: Make = anew,
) -> None:
    """Write `folder/<schema>/<table>.parquet`: sorted, zstd, with the descriptions in the metadata.

    Parameters
    ----------
    con
        Connection to a published database.
    contract
        Tables to write.
    folder
        Created where it does not exist.
    left_out
        Tables that are too long; views among them get no file.
    make
        Makes a file, or knows that it need not be written.
    """
    for table in contract:
        if not (table.is_view and table.full_name in left_out):
            path = folder / table.schema / f"{table.name}.parquet"
            make(path, [table.full_name], partial(_parquet, con, table, contract.version))


def _parquet(con: duckdb.DuckDBPyConnection, table: Table, contract_version: str, path: Path) -> None:
    metadata = {
        "contract_version": contract_version,
        "table": table.full_name,
        "key": ",".join(table.key),
        "comment": comment(table),
        "column_comments": json.dumps(
            {c.name: column_comment(table, c) for c in table.columns}, ensure_ascii=False
        ),
    }
    pairs = ", ".join(f"{sql.identifier(k)}: {sql.text(v)}" for k, v in metadata.items())
    con.execute(
        f"copy ({_rows(table)}) to {sql.text(str(path))}"
        f" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{pairs}}})"
    )


def _rows(table: Table) -> str:
    """SQL of the rows in order, in which those of a published table lie."""
    order = f" order by {sort_order(table)}" if table.is_view else ""
    return f"from {sql.identifier(table.schema, table.name)}{order}"


def write_csv(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    folder: Path,
    left_out: Container[str] = (),
    make: Make = anew,
) -> None:
    """Write `folder/<schema>.<table>.csv` and `folder/datapackage.json`.

    The files are UTF-8 with a byte order mark, which Excel needs to show Chinese. Text that a spreadsheet would
    run as a formula gets a leading apostrophe.

    Parameters
    ----------
    con
        Connection to a published database.
    contract
        Tables to write.
    folder
        Created where it does not exist.
    left_out
        Tables that are too long.
    make
        Makes a file, or knows that it need not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [table for table in contract if table.full_name not in left_out]
    for table in written:
        make(folder / f"{table.full_name}.csv", [table.full_name], partial(_csv, con, table))
    package = datapackage(written, contract.version)
    (folder / "datapackage.json").write_text(
        json.dumps(package, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )


def _csv(con: duckdb.DuckDBPyConnection, table: Table, path: Path) -> None:
    reader = con.sql(_rows(table)).to_arrow_reader(100_000)
    schema = pa.schema([_csv_field(f) for f in reader.schema])
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        with pa_csv.CSVWriter(file, schema) as writer:
            for batch in reader:
                writer.write_batch(pa.record_batch([csv_safe(c) for c in batch.columns], schema=schema))


def _key(table: Table) -> str:
    return ", ".join(map(sql.identifier, table.key))


def _order(table: Table) -> str:
    # reference tables say themselves in which order people read them
    return '"display_order"' + f", {_key(table)}" if "display_order" in table.column_names else _key(table)


def _csv_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if pa.types.is_timestamp(field.type) else field


def datapackage(tables: Iterable[Table], contract_version: str) -> dict[str, Any]:
    """Frictionless data package of the CSV files of `tables`."""
    listed = list(tables)
    names = {t.full_name for t in listed}
    return {
        "name": "relocation-warehouse",
        "title": "Household surveys on poverty-alleviation relocation, harmonised",
        "version": contract_version,
        "resources": [_resource(t, names) for t in listed],
    }


def _resource(table: Table, names: set[str]) -> dict[str, Any]:
    return {
        "name": table.full_name,
        "path": f"{table.full_name}.csv",
        "title": table.description.zh,
        "description": comment(table),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8-sig",
        "schema": {
            "fields": [_field(table, c) for c in table.columns],
            "missingValues": [""],
            "primaryKey": list(table.key),
            "foreignKeys": [
                {"fields": [column], "reference": {"resource": target, "fields": [column]}}
                for column, target in table.references.items()
                if target in names
            ],
        },
    }


def _field(table: Table, column: Column) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": column.name,
        "title": column.zh,
        "type": _FIELD_TYPES[column.type],
        "description": column_comment(table, column),
    }
    if column.type == "TIMESTAMP":
        field["format"] = TIMESTAMP_FORMAT
    constraints: dict[str, Any] = {}
    # CSV cannot tell empty text from a missing value, so text that may be empty is not said to be required
    if not column.nullable and (column.type != "VARCHAR" or column.name in table.key):
        constraints["required"] = True
    if column.values:
        constraints["enum"] = [v for v in column.values if v]
    if constraints:
        field["constraints"] = constraints
    if column.unit:
        field["unit"] = column.unit
    return field


def write_dictionary(con: duckdb.DuckDBPyConnection, contract: Contract, path: Path) -> None:
    """Write the data dictionary: tables, columns, and what the reference tables say of indicators and codes.

    Parameters
    ----------
    con
        Connection to a published database.
    contract
        Tables to describe.
    path
        The workbook to write.
    """
    book = Workbook(write_only=True)
    _sheet(
        book,
        "tables 表",
        ["table", "description_en", "description_zh", "key", "edition"],
        [[t.full_name, t.description.en, t.description.zh, ", ".join(t.key), t.edition] for t in contract],
    )
    _sheet(
        book,
        "columns 字段",
        ["table", "column", "type", "unit", "may_be_empty", "description_en", "description_zh", "allowed"],
        [
            [t.full_name, c.name, c.type, c.unit, c.nullable, c.en, c.zh, _allowed(c)]
            for t in contract
            for c in t.columns
        ],
    )
    for table, title in IN_DICTIONARY.items():
        rows = con.execute(
            f"select * from {sql.identifier(*table.split('.'))} order by {_order(contract[table])}"
        )
        names = [d[0] for d in rows.description or ()]
        _sheet(book, title, names, rows.fetchall())
    book.save(path)


def _allowed(column: Column) -> str:
    if column.values:
        return ", ".join(v or '""' for v in column.values)
    ends = [exact(end) if end is not None else "" for end in (column.minimum, column.maximum)]
    return " to ".join(ends) if any(ends) else ""


def _sheet(book: Workbook, title: str, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    table: list[list[object]] = [list(header), *(list(row) for row in rows)]
    sheet = book.create_sheet(title)
    # a workbook that is only written takes widths, panes and filters before its rows
    for k, column in enumerate(zip(*table, strict=True), start=1):
        width = max(min(_WIDEST, len(str(value or ""))) for value in column)
        sheet.column_dimensions[get_column_letter(k)].width = width + 2
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(header))}{len(table)}"
    sheet.append([_cell(sheet, name, font=_BOLD) for name in header])
    for row in table[1:]:
        sheet.append([_cell(sheet, value) if _needs_a_cell(value) else value for value in row])


def _needs_a_cell(value: object) -> bool:
    """Whether a value is more than Excel's default shows: text to wrap, or text that would be read as a formula."""
    return isinstance(value, str) and (len(value) > _WIDEST or "\n" in value or value.startswith("="))


def _cell(sheet: WriteOnlyWorksheet, value: object, font: Font | None = None) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value)
    if cell.data_type == "f":
        cell.data_type = "s"
    cell.alignment = _WRAPPED
    if font is not None:
        cell.font = font
    return cell
