"""Write a received file to `landing/` as Parquet, unchanged, with row numbers.

Belongs here: the place and shape of landed files. Does not belong here: any judgement on what was received.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from relocation_warehouse.survey.readers import Received

ROW_GROUP_ROWS = 122_880


def landed_path(landing: Path, survey_id: str, file_id: str) -> Path:
    """Where a file lands."""
    return landing / survey_id / f"{file_id}.parquet"


def land(received: Received, keep: list[str], path: Path) -> int:
    """Write the columns `keep` (headers, each standing once) and `_row` to `path`; give the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    positions = [received.schema.get_field_index(name) for name in keep]
    schema = pa.schema([received.schema.field(i) for i in positions])
    rows, held, waiting = 0, list[pa.RecordBatch](), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in received.batches:
            if len(batch) == 0:
                continue
            held.append(batch.select(positions))
            waiting += len(batch)
            rows += len(batch)
            if waiting >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held, schema), row_group_size=ROW_GROUP_ROWS)
                held, waiting = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))
    return rows
