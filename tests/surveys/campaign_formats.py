"""Write tables drawn at random with other libraries, read them back, and compare every cell.

Run by `make campaign-formats`; the suite runs a small share. Every tenth table goes the whole way into the
database, where received must be what the table holds, and a cell is equal or named in the quarantine.
"""

import argparse
import collections
import math
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
from drawn_tables import WRITERS, Written, shown
from small_survey import write_folder

from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.readers import UnreadableFile, read, streamed
from relocation_warehouse.survey.readers.base import ROW
from relocation_warehouse.survey.vocabulary import SurveyFile

EDGES = " \t\r\n\u00a0\u3000\ufeff\u200b"
CODES = "list,code,value,missing_reason,label_en,label_zh\nsite,A,SITE_A,,A,A\nsite,B,SITE_B,,B,B\n"


def declared(written: Written) -> SurveyFile:
    record = {
        "file_id": "f", "path": written.path, "format": written.format, "household_id": ["hhid"],
        "options": written.options,
    }  # fmt: skip
    return SurveyFile.model_validate(record)


def same(read_back: object, given: object, kind: str) -> bool:
    """Whether a cell came back as it was written; text files hold numbers as text."""
    expected = shown(given)
    if isinstance(expected, float):
        try:
            return read_back is not None and math.isclose(
                float(read_back), expected, rel_tol=1e-15, abs_tol=0
            )
        except ValueError:
            return False
    if expected is not None and not expected.strip(EDGES):
        expected, read_back = None, (str(read_back or "").strip(EDGES) or None)  # blanks alone are no answer
    return (read_back or None) == expected


def compare(written: Written, folder: Path, *, isolated: bool = False) -> list[str]:
    """What came back otherwise than it was written; empty where every cell is equal."""
    file = declared(written)
    try:
        if isolated:
            table = read(file, folder).table
        else:
            with streamed(folder / file.path, file) as received:
                batches = list(received.batches)
                table = received.schema.empty_table().from_batches(batches, received.schema)
    except UnreadableFile as error:
        expected = any(part in str(error) for part in written.may_refuse)
        return [] if expected else [f"refused: {error}"]
    rows = written.expected.answered
    if not rows and table.num_rows == 0:
        return []  # JSON names a column only where somebody answered
    headers = [h.strip() for h in written.expected.headers]
    wrong = [h for h in headers if table.column_names.count(h) != 1]
    if wrong:
        return [f"headers {wrong} of {table.column_names}"]
    if table.num_rows != len(rows):
        return [f"{len(rows)} rows delivered, {table.num_rows} received"]
    return [
        f"row {i}, column {header!r}: wrote {given!r}, read {each!r}"
        for header, kind, _ in written.expected.columns()
        for i, (each, given) in enumerate(
            zip(
                table.column(header.strip()).to_pylist(),
                (r[written.expected.headers.index(header)] for r in rows),
                strict=True,
            )
        )
        if not same(each, given, kind)
    ]


def load(written: Written, root: Path) -> list[str]:
    """Take a table into the database: rows received, and each cell equal or named in the quarantine."""
    table = written.expected
    kinds = {"text": "text", "number": "number", "date": "date"}
    names = ["v0", "site", *(f"v{i}" for i in range(2, len(table.headers)))]
    used = [(h.strip(), v, kinds[k]) for h, v, k in zip(table.headers, names, table.kinds, strict=True)]
    columns = tuple(
        ("f", h, v, "code" if v == "site" else k, "", "", v * (v == "site"), "false", "") for h, v, k in used
    )
    record = {
        "file_id": "f",
        "path": written.path,
        "format": written.format,
        "options": written.options,
        "household_id": ["v0"],
    }
    folder = write_folder(root / "s", files=[record], columns=columns, codes=CODES)
    with duckdb.connect() as con:
        result = ingest(folder, root / "landing", con)
        if not result.is_accepted:
            told = "\n".join(map(str, result.problems))
            return [] if any(part in told for part in written.may_refuse) else [f"refused: {told}"]
        (file,) = result.files
        rows = table.answered
        if file.received != len(rows) or file.received != file.accepted + file.quarantined:
            return [f"{len(rows)} delivered, {file.received} received, {file.accepted} + {file.quarantined}"]
        order = sorted(read(declared(written), root / "s").table.column(ROW).to_pylist())
        named = {(r, c) for r, c in con.execute('SELECT "row", "column" FROM quality.quarantine').fetchall()}
        kept = {
            r[0]: r[1:]
            for r in con.execute(
                f'SELECT _row, {", ".join(v for _, v, _ in used)} FROM raw."s__f"'
            ).fetchall()
        }
        wrong = []
        for row, given in zip(order, rows, strict=True):
            if row not in kept:
                wrong += [] if (row, "") in named else [f"row {row} is neither kept nor named"]
                continue
            for (header, _, kind), value, each in zip(used, given, kept[row], strict=False):
                expected = shown(value)
                expected = (expected.strip(EDGES) or None) if isinstance(expected, str) else expected
                came = each.isoformat() if kind == "date" and each is not None else each
                is_same = (
                    math.isclose(came, expected, rel_tol=1e-15)  # openpyxl writes sixteen digits of seventeen
                    if isinstance(came, float) and isinstance(expected, float)
                    else came == expected
                )
                if not is_same and (row, header) not in named:
                    wrong.append(f"row {row}, column {header!r}: wrote {value!r}, kept {came!r}")
        return wrong


def run(tables: int, seed: int, share: int = 10) -> tuple[collections.Counter[str], list[str]]:
    """Draw, write, read and compare; counts by format, and what was wrong."""
    counts: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    for number in range(tables):
        name = list(WRITERS)[number % len(WRITERS)]
        rng = np.random.default_rng([seed, number])
        with tempfile.TemporaryDirectory(prefix="drawn-") as scratch:
            root = Path(scratch)
            (root / "s").mkdir()
            written = WRITERS[name](rng, root / "s")
            result = compare(written, root / "s", isolated=number % share == 0)
            counts[name] += 1
            counts["cells"] += sum(map(len, written.expected.answered))
            if number % share == 0 and name != "odk":
                result += load(written, root)
                counts["loaded"] += 1
            faults += [f"{name}, table {number} of seed {seed}: {fault}" for fault in result]
    return counts, faults


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts, faults = run(arguments.tables, arguments.seed)
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    print(f"{len(faults)} fault(s)", *faults[:50], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
