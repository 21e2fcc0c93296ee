"""ODK and Kobo exports: JSON, zipped CSV, or a workbook with a sheet for each repeat group.

Belongs here: finding a form's tables, joining a repeat group to its submission, labels from the form's definition.
Does not belong here: what an answer means.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers import delimited, excel
from relocation_warehouse.survey.readers.archives import checked_members
from relocation_warehouse.survey.readers.base import ROW, Received, UnreadableFile, cell_text, landing_schema
from relocation_warehouse.survey.vocabulary import DelimitedOptions, ExcelOptions, OdkOptions, SurveyFile

LINKS = (
    ("PARENT_KEY", "KEY"),
    ("_submission__uuid", "_uuid"),
    ("_submission__id", "_id"),
    ("_parent_index", "_index"),
)
"""Columns by which a repeat's row names its parent, and the parent's own; the surest first."""


@dataclass(frozen=True)
class Group:
    """One table of a form: the submissions, or a repeat group; `parents` are row positions in `parent`."""

    table: pa.Table
    parent: str | None = None
    parents: pa.Array | None = None


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open the submissions or a repeat group of an export.

    A repeat group also offers the columns of its submission, under their own headers, to whoever declares them.

    Raises
    ------
    UnreadableFile
        Not JSON, CSV or a workbook; no such repeat group; rows without a submission.
    """
    options = file.options if isinstance(file.options, OdkOptions) else OdkOptions()
    groups, labels = _opened(path, file, options.language)
    name, group = _find(groups, options.repeat)
    table, borrowed = _with_submission(groups, name, group)
    table = table.select([*[c for c in table.column_names if c != ROW], ROW])
    schema = landing_schema(table.column_names[:-1], table.schema.types[:-1])
    entries = tuple(labels.get(h.split("/")[-1], Entry(h, "text")) for h in schema.names[:-1])
    entries = tuple(
        Entry(h, e.type_as_stored, e.label, e.value_labels)
        for h, e in zip(schema.names, entries, strict=False)
    )
    notes = (f"table {name}",) if name else ()
    yield Received(
        schema, iter(table.to_batches()), entries, encoding="utf-8", notes=notes, borrowed=borrowed
    )


def repeat_groups(path: Path, file: SurveyFile) -> tuple[str, ...]:
    """Names of the repeat groups of an export."""
    groups, _ = _opened(path, file, None)
    return tuple(name for name, group in groups.items() if group.parent is not None)


def _opened(
    path: Path, file: SurveyFile, language: str | None
) -> tuple[Mapping[str, Group], Mapping[str, Entry]]:
    """The tables of an export, and labels by name of the question."""
    labels: dict[str, Entry] = {}
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix="survey-odk-") as scratch:
            names = [m.filename for m in checked_members(archive)]
            if "[Content_Types].xml" in names:
                groups = _linked(_sheets(path, file))
            else:
                members = [Path(archive.extract(name, scratch)) for name in names]
                groups = _from_members(members, file)
                labels = _labels(members, language, file)
    else:
        groups = _from_json(path)
    return groups, labels


def _find(groups: Mapping[str, Group], repeat: str | None) -> tuple[str, Group]:
    if repeat is None:
        tops = [n for n, g in groups.items() if g.parent is None]
        if len(tops) != 1:
            raise UnreadableFile(
                f"holds {len(tops)} tables that are no repeat group ({', '.join(tops)}); keep one form"
            )
        return tops[0], groups[tops[0]]
    fitting = [n for n in groups if n == repeat or n.endswith((f"/{repeat}", f"-{repeat}"))]
    if len(fitting) != 1:
        known = ", ".join(n for n, g in groups.items() if g.parent is not None) or "none"
        raise UnreadableFile(f"has no single repeat group {repeat!r}; its repeat groups are: {known}")
    return fitting[0], groups[fitting[0]]


def _with_submission(groups: Mapping[str, Group], name: str, group: Group) -> tuple[pa.Table, frozenset[str]]:
    """Climb from a repeat group, perhaps through others, and put the columns found on the way beside its own."""
    table, borrowed, positions, above = group.table, set[str](), group.parents, group.parent
    while above is not None:
        parent = groups[above]
        for header in parent.table.column_names:
            if header not in table.column_names:
                table = table.append_column(header, parent.table.column(header).take(positions))
                borrowed.add(header)
        above, positions = parent.parent, None if parent.parents is None else parent.parents.take(positions)
    return table, frozenset(borrowed)


# ---- JSON ---------------------------------------------------------------------------------------------------


def _from_json(path: Path) -> dict[str, Group]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile(f"is no readable JSON ({error}); export it again") from error
    if isinstance(content, dict):
        content = content.get("results", content.get("value", content))
    if not isinstance(content, list) or not all(isinstance(r, dict) for r in content):
        raise UnreadableFile("is no list of submissions; export the data of the form as JSON")
    records: dict[str, list[dict[str, object]]] = {"": []}
    above: dict[str, str] = {}
    links: dict[str, list[int]] = {}
    for submission in content:
        _flatten(submission, "", records, above, links, None)
    return {
        name: Group(
            _table(rows), above.get(name), pa.array(links[name], pa.int64()) if name in links else None
        )
        for name, rows in records.items()
    }


def _flatten(
    record: Mapping[str, object],
    path: str,
    records: dict[str, list[dict[str, object]]],
    above: dict[str, str],
    links: dict[str, list[int]],
    parent: int | None,
) -> None:
    """Add a submission, or one entry of a repeat group, and everything inside it."""
    rows = records.setdefault(path, [])
    position = len(rows)
    row: dict[str, object] = {ROW: position + 1}
    rows.append(row)
    if parent is not None:
        links.setdefault(path, []).append(parent)
    pending = [(path, record)]
    while pending:
        prefix, level = pending.pop()
        for key, value in level.items():
            name = key if not prefix or key.startswith(prefix + "/") else f"{prefix}/{key}"
            if isinstance(value, dict):
                pending.append((name, value))
            elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
                above[name] = path
                for entry in value:
                    _flatten(entry, name, records, above, links, position)
            elif isinstance(value, list):
                row[name] = " ".join(filter(None, map(cell_text, value))) or None
            else:
                row[name] = cell_text(value)


def _table(rows: list[dict[str, object]]) -> pa.Table:
    headers = list(dict.fromkeys(h for row in rows for h in row if h != ROW))
    return pa.Table.from_pylist(rows, schema=landing_schema(headers))


# ---- zipped CSV and workbooks ----------------------------------------------------------------------------------


def _from_members(members: list[Path], file: SurveyFile) -> dict[str, Group]:
    documents = [m for m in members if m.suffix.lower() == ".json"]
    if len(documents) == 1:
        return _from_json(documents[0])
    tables = {}
    for member in members:
        if member.suffix.lower() == ".csv":
            plain = file.model_copy(update={"format": "delimited", "options": DelimitedOptions()})
            tables[member.stem] = _whole(delimited.stream(member, plain), member.name)
    if not tables:
        raise UnreadableFile("archive holds neither CSV nor JSON; export the form as CSV or JSON")
    return _linked(tables)


def _sheets(path: Path, file: SurveyFile) -> dict[str, pa.Table]:
    return {name: _sheet(path, name, file) for name in excel.sheet_names(path)}


def _sheet(path: Path, name: str, file: SurveyFile) -> pa.Table:
    plain = file.model_copy(update={"format": "excel", "options": ExcelOptions(sheet=name)})
    return _whole(excel.stream(path, plain), name)


def _whole(opening: object, name: str) -> pa.Table:
    with ExitStack() as stack:
        try:
            received: Received = stack.enter_context(opening)  # type: ignore[arg-type]
            table = pa.Table.from_batches(received.batches, schema=received.schema)
        except UnreadableFile as error:
            raise UnreadableFile(f"{name}: {error}") from error
    if len(set(table.column_names)) < table.num_columns:
        raise UnreadableFile(f"{name}: a header stands twice; export with full group paths as headers")
    return table


def _linked(tables: Mapping[str, pa.Table]) -> dict[str, Group]:
    """Tie each repeat group to the table that holds the parents of its rows."""
    groups = {}
    for name, table in tables.items():
        groups[name] = Group(table)
        for child, own in LINKS:
            if child not in table.column_names:
                continue
            parents = {n: t for n, t in tables.items() if n != name and own in t.column_names}
            named_so = table.column("_parent_table_name")[0].as_py() if _names_parent(table) else None
            candidates = [named_so] if named_so in parents else list(parents)
            found = {n: pc.index_in(table.column(child), parents[n].column(own)) for n in candidates}
            if found:
                best = min(found, key=lambda n: found[n].null_count)
                groups[name] = Group(table, best, found[best].combine_chunks())
                break
    return groups


def _names_parent(table: pa.Table) -> bool:
    return "_parent_table_name" in table.column_names and table.num_rows > 0


# ---- labels of the form -----------------------------------------------------------------------------------------


def _labels(members: list[Path], language: str | None, file: SurveyFile) -> dict[str, Entry]:
    """Question and answer labels from the form's definition (XLSForm), where the archive brings it along."""
    for member in members:
        if member.suffix.lower() != ".xlsx" or not {"survey", "choices"} <= set(excel.sheet_names(member)):
            continue
        questions = _sheet(member, "survey", file).to_pylist()
        choices: dict[str, dict[str, str]] = {}
        for choice in _sheet(member, "choices", file).to_pylist():
            label = _label(choice, language)
            if choice.get("name") and label:
                choices.setdefault(str(choice.get("list_name")), {})[str(choice["name"])] = label
        return {
            str(q["name"]): Entry(
                column=str(q["name"]),
                type_as_stored=str(q.get("type")),
                label=_label(q, language),
                value_labels=choices.get(str(q.get("type")).split(" ")[-1], {}),
            )
            for q in questions
            if q.get("name")
        }
    return {}


def _label(row: Mapping[str, object], language: str | None) -> str | None:
    labels = {k: v for k, v in row.items() if k == "label" or k.startswith("label::")}
    chosen = [v for k, v in labels.items() if language and k.removeprefix("label::").startswith(language)]
    value = (chosen or list(labels.values()) or [None])[0]
    return None if value is None else str(value)
