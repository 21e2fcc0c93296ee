"""What a person sees of an asset in the catalog: row counts and a small table.

Belongs here: turning results into Dagster metadata. Does not belong here: a number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import duckdb
import pyarrow as pa

PREVIEW_ROWS = 8
PREVIEW_COLUMNS = 12


def preview(table: pa.Table) -> dg.MarkdownMetadataValue:
    """First rows of a table as Markdown."""
    names = table.column_names[:PREVIEW_COLUMNS]
    rows = table.select(names).slice(0, PREVIEW_ROWS).to_pylist()
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row[n]) for n in names) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")[:60]


def table_metadata(table: pa.Table) -> Mapping[str, dg.MetadataValue]:
    """Row count, columns and a preview of one table."""
    return {
        "dagster/row_count": dg.MetadataValue.int(table.num_rows),
        "columns": dg.MetadataValue.int(table.num_columns),
        "preview": preview(table),
    }


def relation_metadata(con: duckdb.DuckDBPyConnection, name: str) -> Mapping[str, dg.MetadataValue]:
    """Row count, columns and a preview of a table or view of the build database."""
    (n_rows,) = con.execute(f"select count(*) from {name}").fetchone() or (0,)
    first = con.execute(f"select * from {name} limit {PREVIEW_ROWS}").to_arrow_table()
    return {**table_metadata(first), "dagster/row_count": dg.MetadataValue.int(n_rows)}
