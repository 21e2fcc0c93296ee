"""Which published results of surveys that did not change are other than in the version before, by how much, and why.

Belongs here: comparing two published versions. Does not belong here: keeping a version back (`audit` and `publish`).

A result is a number that stands for a survey, a region or several surveys together, not for a household. A survey did
not change where its files and its declarations have the checksums of before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.publication.pseudonyms import HOUSEHOLD

SUBJECTS = ("survey_id", "source_id", "region")
"""Columns that say whose a result is, the first one of a table."""

TOLERANCE = 1e-9
"""Relative difference up to which two numbers are one: the last bits of a sum depend on the order of its parts."""

DECLARATIONS = "surveys/"
"""Begins the names of declarations among the inputs of a manifest: `surveys/<survey_id>/<file>`."""


@dataclass(frozen=True)
class Moved:
    """Results of one table and subject that moved although the subject did not change.

    Attributes
    ----------
    subject
        Survey, region, or the name of several surveys together.
    n_moved, n
        Rows in which a number differs, of those in both versions.
    n_gone
        Rows that only the version before has.
    place, before, after
        Where the largest change is, relative to the number, and from what to what.
    """

    subject: str
    table: str
    n_moved: int
    n: int
    n_gone: int
    place: str
    before: float | None
    after: float | None

    def __str__(self) -> str:
        gone = f", {self.n_gone:,} are gone" if self.n_gone else ""
        most = (
            f", most of all {self.place}: {_number(self.before)} -> {_number(self.after)}"
            if self.place
            else ""
        )
        return f"{self.subject}: {self.n_moved:,} of {self.n:,} rows of {self.table} moved{gone}{most}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def moved_results(before: Path, after: Path, contract: Contract, changed: Iterable[str]) -> tuple[Moved, ...]:
    """Compare two published databases.

    Parameters
    ----------
    before, after
        Databases of the analyst edition.
    contract
        Tables to compare; a table or column that one of them lacks is left out.
    changed
        Surveys that are new, gone, or have other files or declarations: their results are expected to move.
    """
    with duckdb.connect(":memory:") as con:
        for name, path in (("former", before), ("latter", after)):
            con.execute(f"attach {sql.text(str(path))} as {name} (READ_ONLY)")
        known = {
            name: {
                (f"{schema}.{table}", column)
                for schema, table, column in con.execute(
                    "select schema_name, table_name, column_name from duckdb_columns() where database_name = ?",
                    [name],
                ).fetchall()
            }
            for name in ("former", "latter")
        }
        both = known["former"] & known["latter"]
        own = {*changed}
        regions = con.execute(
            f"select distinct region from latter.reference.surveys where survey_id in ({sql.texts(own) or 'null'})"
        ).fetchall()
        own |= {region for (region,) in regions}
        return tuple(
            moved for table in contract for moved in _of_table(con, table, both) if moved.subject not in own
        )


def _of_table(con: duckdb.DuckDBPyConnection, table: Table, both: set[tuple[str, str]]) -> Iterator[Moved]:
    subject = next((s for s in SUBJECTS if s in table.key), None)
    if table.is_view or subject is None or HOUSEHOLD in table.column_names:
        return
    numbers = [
        c.name
        for c in table.columns
        if c.type == "DOUBLE"
        and not c.volatile
        and c.name not in table.key
        and (table.full_name, c.name) in both
    ]
    if not numbers or not {(table.full_name, k) for k in table.key} <= both:
        return
    name = sql.identifier(table.schema, table.name)
    key = ", ".join(map(sql.identifier, table.key))
    changes = ", ".join(f"{_change(c)} as {sql.identifier(c)}" for c in numbers)
    joined = f"former.{name} as f inner join latter.{name} as l using ({key})"
    any_change = f"greatest({', '.join(map(_change, numbers))}, 0.0)"
    sizes = {
        s: (n, n_moved)
        for s, n, n_moved in con.execute(
            f"select {sql.identifier(subject)}, count(*), count(*) filter (where {any_change} > 0) "
            f"from {joined} group by all order by all"
        ).fetchall()
    }
    gone = dict(
        con.execute(
            f"select {sql.identifier(subject)}, count(*) from former.{name} anti join latter.{name} "
            f"using ({key}) group by all"
        ).fetchall()
    )
    for who in sorted({*sizes, *gone} - {None}):
        n, n_moved = sizes.get(who, (0, 0))
        if not n_moved and who not in gone:
            continue
        place, before, after = "", None, None
        if n_moved:
            largest = con.execute(
                f"select {key}, c, v from (UNPIVOT (select {key}, {changes} from {joined} "
                f"where {sql.identifier(subject)} = ?) on {', '.join(map(sql.identifier, numbers))} "
                f"into name c VALUE v) order by v desc, {key}, c limit 1",
                [who],
            ).fetchone()
            assert largest is not None
            *row, column, _ = largest
            others = [str(v) for k, v in zip(table.key, row, strict=True) if k != subject]
            place = " ".join([f"{column} of", *others])
            where = " and ".join(f"{sql.identifier(k)} is not distinct from ?" for k in table.key)
            before, after = (
                con.execute(
                    f"select {sql.identifier(column)} from {db}.{name} where {where}", row
                ).fetchall()[0][0]
                for db in ("former", "latter")
            )
        yield Moved(who, table.full_name, n_moved, n, gone.get(who, 0), place, before, after)


def _change(column: str) -> str:
    """SQL of how far a number moved relative to its size; infinite where it came or went."""
    f, other = (f"{side}.{sql.identifier(column)}" for side in ("f", "l"))
    size = f"greatest(abs({f}), abs({other}))"
    return (
        f"case when ({f} is null) <> ({other} is null) then 'inf'::double "
        f"when abs({f} - {other}) > {TOLERANCE} * {size} then abs({f} - {other}) / {size} else 0.0 end"
    )


def changes_of_inputs(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What differs between the inputs of two manifests.

    Returns
    -------
    surveys
        Those that are new, gone, or have other files or declarations.
    why
        Every change in words: surveys, files of the catalog and the literature, the code.
    """
    inputs = [{_name(i): i["sha256"] for i in manifest["inputs"]} for manifest in (before, after)]
    surveys, why = dict[str, str](), list[str]()
    for survey, file in sorted({*inputs[0], *inputs[1]}):
        old, new = (side.get((survey, file)) for side in inputs)
        if old == new:
            continue
        if survey:
            there = [any(s == survey for s, _ in side) for side in inputs]
            surveys[survey] = "changed" if all(there) else "was added" if there[1] else "was withdrawn"
        else:
            why.append(f"{file} {'changed' if old and new else 'is new' if new else 'is gone'}")
    if before.get("code_version") != after.get("code_version"):
        why.append("the code changed")
    return tuple(surveys), (*(f"survey {s} {what}" for s, what in surveys.items()), *why)


def _name(item: Mapping[str, Any]) -> tuple[str, str]:
    """Survey, or nothing, and name of an input of a manifest."""
    file = str(item["file"])
    if file.startswith(DECLARATIONS):
        survey = file.removeprefix(DECLARATIONS).split("/")[0]
        return survey, file
    return str(item.get("survey_id") or ""), file


def compare_versions(
    before: Path, after: Path, manifest: Mapping[str, Any], contract: Contract
) -> dict[str, Any]:
    """What a manifest says of results that moved, against the version that was published before.

    Parameters
    ----------
    before
        Folder of the version before, which may be absent.
    after
        Database of the new version.
    manifest
        Of the new version, as far as it is made.
    """
    try:
        former = json.loads((before / "manifest.json").read_text(encoding="utf-8"))
        changed, why = changes_of_inputs(former, manifest)
        moved = moved_results(before / after.name, after, contract, changed)
    except (OSError, ValueError, KeyError, TypeError, duckdb.Error):
        # there is none, or it is of a kind that can no longer be read
        return {}
    if not moved:
        return {}
    return {"why": why, "results": [asdict(m) for m in moved]}


def sentences(manifest: Mapping[str, Any]) -> Iterator[str]:
    """What a refresh says of results that moved."""
    changes = manifest.get("moved") or {}
    moved = [Moved(**m) for m in changes.get("results", ())]
    if not moved:
        return
    subjects = list(dict.fromkeys(m.subject for m in moved))
    yield (
        f"published results of {', '.join(subjects)} moved although they did not change, because "
        f"{'; '.join(changes['why']) or 'of nothing that is known'}:"
    )
    for subject in subjects:
        own = [m for m in moved if m.subject == subject]
        yield f"  {max(own, key=lambda m: m.n_moved)}"
        if len(own) > 1:
            rest = sum(m.n_moved for m in own) - max(m.n_moved for m in own)
            yield f"    and {rest:,} rows of {len(own) - 1} other tables: `moved` in manifest.json"
