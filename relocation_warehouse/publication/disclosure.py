"""The public edition: aggregates only, with no count of households under a threshold, shown or computable.

Belongs here: which tables, columns and rows the public edition has, and the suppression of small cells. Does not
belong here: writing files (`files`, `database`).

Rules
-----
1. Only tables and columns of the public edition; they hold no household.
2. Only whole regions: groups overlap (sites, modes, characteristics), so differences of groups would reveal few
   households. One set of options for distributions, because two nearly equal splits differ by few households.
3. A figure on fewer than `THRESHOLD` households is emptied, and so is a share that stands for fewer than that on
   either side.
4. Cells of distributions that add up to something published are hidden together with others, until linear
   programming finds for each small cell both a value of at least the threshold and a range as wide. (Cox 1980;
   Fischetti and Salazar 2001 on complementary suppression.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
from scipy.optimize import linprog

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql

THRESHOLD = 5
"""Fewest households that a public figure may stand for."""

COUNT = "n"
COVERAGE = "harmonized.coverage"
COMPARISON = "analysis.region_comparison"
REPLICATION = "quality.replication"
CHECKS = "quality.checks"
BANDS = "analysis.coupling_bands"
TRANSITIONS = "analysis.coupling_transitions"


@dataclass(frozen=True)
class Relation:
    """Cells that add up to a number everybody knows: the sum of `plus` minus the sum of `minus` is `total`."""

    plus: tuple[int, ...]
    minus: tuple[int, ...] = ()
    total: float = 0.0


def public_contract(contract: Contract) -> Contract:
    """Tables and columns of the public edition; what suppression may empty becomes nullable."""
    tables = []
    for table in contract:
        if table.edition == "public":
            columns = tuple(
                c.model_copy(update={"nullable": True}) if c.name in _emptied(table) else c
                for c in table.columns
                if c.edition == "public"
            )
            tables.append(replace(table, columns=columns))
    return Contract(contract.version, tuple(tables))


def _emptied(table: Table) -> tuple[str, ...]:
    """Columns that are emptied where a row stands for too few households: its count and its measures."""
    names = {c.name for c in table.columns if c.edition == "public"}
    if table.full_name == REPLICATION:
        return ("recomputed", "difference")
    if table.full_name == CHECKS:
        return ("message",)
    if COUNT not in names:
        return ()
    counts = tuple(c for c in (COUNT, "n_missing") if c in names)
    return counts + tuple(c.name for c in table.columns if c.type == "DOUBLE" and c.edition == "public")


def write_public_build(analyst: Path, out: Path, contract: Contract, threshold: int = THRESHOLD) -> None:
    """Write the tables of the public edition, suppressed, as a build to publish from.

    Published files are written from it anew: a database file keeps what was updated in its free blocks.

    Parameters
    ----------
    analyst
        Published database of the analyst edition.
    out
        Working file; never shown to users.
    contract
        What `public_contract` gives.
    threshold
        Fewest households that a figure may stand for.
    """
    with duckdb.connect(str(out)) as con:
        con.execute(f"ATTACH {sql.text(str(analyst))} AS analyst (READ_ONLY)")
        for table in contract:
            names = ", ".join(map(sql.identifier, table.column_names))
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {sql.identifier(table.schema)}")
            con.execute(
                f"CREATE TABLE {sql.identifier(table.schema, table.name)} AS"
                f" SELECT {names} FROM {sql.identifier('analyst', table.schema, table.name)}"
            )
            if "group_type" in table.column_names:
                con.execute(
                    f"DELETE FROM {sql.identifier(table.schema, table.name)} WHERE group_type <> 'all'"
                )
        _keep_one_split(con)
        for table in contract:
            _empty_small_rows(con, table, threshold)
        _suppress_distributions(con, threshold)
        hidden = ", ".join(sql.text(t) for t in _analyst_tables(con))
        con.execute(f'UPDATE {CHECKS} SET message = NULL WHERE "table" IN ({hidden})')
        con.execute("DETACH analyst")


def _analyst_tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [
        row[0]
        for row in con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_columns() WHERE database_name = 'analyst'"
            " EXCEPT SELECT schema_name || '.' || table_name FROM duckdb_columns()"
            " WHERE database_name = current_database() ORDER BY ALL"
        ).fetchall()
    ] or [""]


def _keep_one_split(con: duckdb.DuckDBPyConnection) -> None:
    """Distributions under the reference options only, flows in the coarsest bands only."""
    for table in (BANDS, TRANSITIONS):
        con.execute(
            f"DELETE FROM {table} WHERE (scheme, variant) NOT IN (SELECT (scheme, variant)"
            " FROM analysis.sensitivity WHERE is_reference AND variant IS NOT NULL)"
        )
    con.execute(
        f"DELETE FROM {TRANSITIONS} WHERE band_scheme <> (SELECT band_scheme FROM reference.bands"
        " GROUP BY band_scheme ORDER BY count(*), band_scheme LIMIT 1)"
    )


def _empty_small_rows(con: duckdb.DuckDBPyConnection, table: Table, threshold: int) -> None:
    emptied = _emptied(table)
    if not emptied or table.full_name in (BANDS, TRANSITIONS, CHECKS):
        return
    small = f"BETWEEN 1 AND {threshold - 1}"
    conditions = {
        COVERAGE: f"n {small} OR n_missing {small}",
        REPLICATION: f"statistic = {sql.text(COUNT)} AND recomputed {small}",
        COMPARISON: f"evidence = 'household' AND (n {small} OR (unit = 'share'"
        f" AND (round(value * n) {small} OR n - round(value * n) {small})))",
    }
    condition = conditions.get(table.full_name, f"{COUNT} {small}")
    empty = ", ".join(f"{sql.identifier(c)} = NULL" for c in emptied)
    con.execute(f"UPDATE {sql.identifier(table.schema, table.name)} SET {empty} WHERE {condition}")


def _suppress_distributions(con: duckdb.DuckDBPyConnection, threshold: int) -> None:
    """Hide cells of the band counts and of the flows between them, survey by survey."""
    keys = con.execute(f"SELECT DISTINCT survey_id, scheme, variant FROM {BANDS} ORDER BY ALL").fetchall()
    for key in keys:
        of_key = "survey_id = ? AND scheme = ? AND variant = ?"
        bands = con.execute(
            f"SELECT t.rowid, t.band_scheme, t.wave, t.band, t.n, b.lower, b.upper FROM {BANDS} t"
            f" JOIN reference.bands b USING (band_scheme, band) WHERE {of_key} ORDER BY ALL",
            key,
        ).fetchall()
        flows = con.execute(
            f"SELECT rowid, band_scheme, wave_from, wave_to, band_from, band_to, n FROM {TRANSITIONS}"
            f" WHERE {of_key} ORDER BY ALL",
            key,
        ).fetchall()
        counts = [row[4] for row in bands] + [row[6] for row in flows]
        hidden = protect(counts, _relations(bands, flows, counts), threshold)
        for table, offset, rows in ((BANDS, 0, bands), (TRANSITIONS, len(bands), flows)):
            for k, row in enumerate(rows):
                if offset + k in hidden:
                    con.execute(f"UPDATE {table} SET n = NULL, share = NULL WHERE rowid = ?", [row[0]])


def _relations(
    bands: Sequence[tuple[object, ...]], flows: Sequence[tuple[object, ...]], counts: Sequence[int]
) -> list[Relation]:
    """All sums that a reader can form: totals of a wave, coarse bands of fine ones, ends of the flows."""
    relations = []
    splits: dict[tuple[object, object], list[int]] = {}
    for k, row in enumerate(bands):
        splits.setdefault((row[1], row[2]), []).append(k)
    for cells in splits.values():
        relations.append(Relation(tuple(cells), total=float(sum(counts[k] for k in cells))))
    for (scheme, wave), coarse in splits.items():
        for (other, same_wave), fine in splits.items():
            if other == scheme or same_wave != wave:
                continue
            for k in coarse:
                low, high = float(str(bands[k][5])), float(str(bands[k][6]))
                parts = tuple(
                    m for m in fine if low <= float(str(bands[m][5])) and float(str(bands[m][6])) <= high
                )
                if len(parts) > 1:
                    relations.append(Relation(parts, (k,)))
    for wave, band in ((2, 4), (3, 5)):
        ends: dict[tuple[object, object, object], list[int]] = {}
        for k, row in enumerate(flows):
            ends.setdefault((row[1], row[wave], row[band]), []).append(len(bands) + k)
        for k, row in enumerate(bands):
            cells = ends.get((row[1], row[2], row[3]), [])
            if cells:
                relations.append(Relation(tuple(cells), (k,)))
    # a household may lack an answer in one wave; only sums that hold tell a reader anything
    return [
        r for r in relations if sum(counts[k] for k in r.plus) - sum(counts[k] for k in r.minus) == r.total
    ]


def protect(counts: Sequence[int], relations: Sequence[Relation], threshold: int) -> set[int]:
    """Choose the cells to hide so that no small one can be computed.

    Parameters
    ----------
    counts
        Households in each cell, shape (n cells,).
    relations
        Sums that readers know.
    threshold
        A count from 1 to `threshold - 1` is small.

    Returns
    -------
    set of int
        Positions to hide: the small cells and what protects them. For each small cell the values that agree with
        everything shown reach `threshold` and span at least as much, unless a reader could not be kept from it
        because all cells are hidden.
    """
    small = [k for k, n in enumerate(counts) if 0 < n < threshold]
    hidden = set(small)
    for cell in sorted(small, key=lambda k: counts[k]):
        while not _is_safe(cell, counts, relations, hidden, threshold):
            candidates = [
                k
                for r in relations
                if hidden & {*r.plus, *r.minus}
                for k in (*r.plus, *r.minus)
                if k not in hidden and counts[k] > 0
            ]
            if not candidates:
                break
            hidden.add(min(candidates, key=lambda k: (counts[k], k)))
    return hidden


def _is_safe(
    cell: int, counts: Sequence[int], relations: Sequence[Relation], hidden: set[int], threshold: int
) -> bool:
    low, high = feasible_range(cell, counts, relations, hidden)
    return high >= threshold and high - low >= threshold


def feasible_range(
    cell: int, counts: Sequence[int], relations: Sequence[Relation], hidden: set[int]
) -> tuple[float, float]:
    """Lowest and highest count of a hidden cell that agree with every shown cell and known sum."""
    unknown = sorted(hidden)
    position = {k: i for i, k in enumerate(unknown)}
    rows, totals = [], []
    for r in relations:
        row, total = np.zeros(len(unknown)), r.total
        for sign, cells in ((1.0, r.plus), (-1.0, r.minus)):
            for k in cells:
                if k in position:
                    row[position[k]] += sign
                else:
                    total -= sign * counts[k]
        if row.any():
            rows.append(row)
            totals.append(total)
    if not rows:
        return 0.0, float("inf")
    target = np.zeros(len(unknown))
    target[position[cell]] = 1.0
    ends = []
    for sign in (1.0, -1.0):
        found = linprog(sign * target, A_eq=np.array(rows), b_eq=np.array(totals), bounds=(0, None))
        ends.append(sign * found.fun if found.status == 0 else -sign * float("inf"))
    return ends[0], ends[1]
