"""ODK and Kobo exports: JSON, zipped CSV, or a workbook with a sheet for each repeat group.

Belongs here: finding a form's tables, and joining a repeat group to what it is repeated in.
Does not belong here: what an answer means, or the form's definition (`xlsform`).

A row is joined by a key only where the key is proved: the file names the parent's table, every key of the parent is
there once, a blank key joins nothing, and where a row names its submission too, both lead to the same one.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relocation_warehouse.survey.readers import delimited, excel, xlsform
from relocation_warehouse.survey.readers.archives import checked_members, copy_within, opened_archive
from relocation_warehouse.survey.readers.base import (
    ROW,
    SUBMISSION_ROW,
    Received,
    UnreadableFile,
    cell_text,
    landing_schema,
)
from relocation_warehouse.survey.vocabulary import DelimitedOptions, ExcelOptions, OdkOptions, SurveyFile

SUBMISSION_KEYS = (("_submission__id", "_id"), ("_submission__uuid", "_uuid"))
"""Columns by which a row of Kobo names its submission, and the submission's own; the surer first."""

POINTERS = ("PARENT_KEY", "_parent_index", *(child for child, _ in SUBMISSION_KEYS))
"""Columns that only a table of repeated rows has."""

STRUCTURE = re.compile(
    r"KEY|PARENT_KEY|SET-OF-.*|_index|_parent_index|_parent_table_name|_submission__.*|_+id|_uuid|__.*"
)
"""Headers of a repeat group that hold no answer."""

SHEET_NAME = 31
"""Characters that Excel leaves of a sheet's name."""

MAX_TABLES = 500
"""More tables than this in an archive are no export of a form."""


@dataclass(frozen=True)
class Link:
    """To which rows of which table the rows of a repeat group belong; null where it is not said."""

    parent: str
    positions: pa.Array


@dataclass(frozen=True)
class Export:
    """The tables of a form by name.

    Attributes
    ----------
    links
        Of repeat groups, where the format itself nests them; else they are found by keys.
    form
        Questions of the form's definition, where the archive brings it along.
    unsure
        By table, headers that may be columns or empty repeat groups.
    """

    tables: Mapping[str, pa.Table]
    links: Mapping[str, Link] | None = None
    form: Sequence[xlsform.Question] = ()
    unsure: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def repeats(self) -> list[str]:
        """Names of the repeat groups."""
        if self.links is not None:
            return list(self.links)
        if len(self.tables) == 1:
            return []
        return [n for n, t in self.tables.items() if set(POINTERS) & set(t.column_names)]

    def link(self, name: str) -> Link | None:
        """What a table is repeated in; None for the submissions.

        Raises
        ------
        UnreadableFile
            The file does not say it, or says two things.
        """
        if name not in self.repeats:
            return None
        return self.links[name] if self.links is not None else _link(self, name)


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open the submissions or a repeat group of an export.

    A repeat group also offers the columns of what it is repeated in to whoever declares them: under their own headers,
    with `../` for each level where the repeat group has the same header. Instances in which nothing was answered are
    left out.

    Raises
    ------
    UnreadableFile
        Not JSON, CSV or a workbook; no such repeat group; keys that do not lead to one row.
    """
    options = file.options if isinstance(file.options, OdkOptions) else OdkOptions()
    export = _opened(path, file, options.language)
    name = _chosen(export, options.repeat)
    own = export.tables[name]
    table, borrowed = _with_parents(export, name)
    notes = [f"table {name}"] if name else []
    if options.repeat is not None:
        kept = _answered(export, name)
        if empty := len(kept) - int(kept.sum()):
            notes.append(f"{empty} instance(s) of the repeat group hold no answer and were left out")
        table = table.filter(pa.array(kept))
    table = table.select([*(c for c in table.column_names if c != ROW), ROW])
    schema = landing_schema(table.column_names[:-1], table.schema.types[:-1])
    mine = [h for h in own.column_names if h != ROW]
    entries = {e.column: e for e in xlsform.described(mine, name if options.repeat else "", export.form)}
    others = [h for h in schema.names[:-1] if h not in entries]
    entries |= {e.column: e for e in xlsform.described(others, "", export.form)}
    yield Received(
        schema,
        iter(table.to_batches()),
        tuple(entries[h] for h in schema.names[:-1]),
        encoding="utf-8",
        notes=tuple(notes),
        borrowed=borrowed | export.unsure.get(name, frozenset()),
    )


def repeat_groups(path: Path, file: SurveyFile) -> tuple[str, ...]:
    """Names of the repeat groups of an export, each as short as it can be told from the others."""
    names = _opened(path, file, None).repeats
    short = {n: re.split(r"[-/]", n)[-1] for n in names}
    return tuple(s if len(_resolved(s, names)) == 1 else n for n, s in short.items())


def _chosen(export: Export, repeat: str | None) -> str:
    repeats = export.repeats
    if repeat is None:
        tops = [n for n in export.tables if n not in repeats]
        if len(tops) != 1:
            raise UnreadableFile(
                f"holds {len(tops)} tables that are no repeat group ({', '.join(tops)}); keep one form"
            )
        return tops[0]
    fitting = _resolved(repeat, repeats)
    if len(fitting) != 1:
        raise UnreadableFile(
            f"has no single repeat group {repeat!r}; its repeat groups are: {', '.join(repeats) or 'none'}"
        )
    return fitting[0]


def _resolved(name: str, known: Sequence[str]) -> list[str]:
    """The tables that a name means: as it stands, by its last part, written otherwise, or cut to a sheet's name."""
    ways: tuple[Callable[[str], bool], ...] = (
        lambda k: k == name,
        lambda k: k.endswith((f"/{name}", f"-{name}")),
        lambda k: _plain(k) == _plain(name),
        lambda k: _is_cut(k, name),
    )
    return next((matches for fits in ways if (matches := [k for k in known if fits(k)])), [])


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name).strip("_").casefold()


def _is_cut(sheet: str, name: str) -> bool:
    """Whether a sheet's name is what Excel leaves of a longer one, perhaps with dots or a number at its end."""
    stem = re.sub(r"(\.\.\.|…)?( ?\(\d+\)|[~_]\d+)?$", "", sheet)
    return len(name) > SHEET_NAME >= len(sheet) > SHEET_NAME - 7 and _plain(name).startswith(_plain(stem))


def _with_parents(export: Export, name: str) -> tuple[pa.Table, frozenset[str]]:
    """Climb from a repeat group, perhaps through others, and put the columns found on the way beside its own."""
    table, borrowed = export.tables[name], set[str]()
    level, link = 1, export.link(name)
    positions = None if link is None else link.positions
    while link is not None:
        parent = export.tables[link.parent]
        for header in parent.column_names:
            lent = header if header not in table.column_names else "../" * level + header
            if header != ROW:
                table = table.append_column(lent, parent.column(header).take(positions))
                borrowed.add(lent)
        if link.parent not in export.repeats:
            table = table.append_column(SUBMISSION_ROW, parent.column(ROW).take(positions).cast(pa.string()))
            borrowed.add(SUBMISSION_ROW)
        _check_submissions(export, name, link.parent, positions)
        level, link = level + 1, export.link(link.parent)
        positions = positions if link is None else link.positions.take(positions)
    return table, frozenset(borrowed)


def _answered(export: Export, name: str) -> np.ndarray:
    """Whether a row of a repeat group, or one repeated in it, holds an answer; (rows,) of bool."""
    table = export.tables[name]
    is_answered = np.zeros(table.num_rows, dtype=bool)
    for header in table.column_names:
        if header != ROW and not STRUCTURE.fullmatch(header):
            is_answered |= table.column(header).is_valid().to_numpy()
    for below in export.repeats:
        try:
            link = export.link(below)
        except UnreadableFile:
            continue  # its rows have no parent; reading that table reports them
        if link is not None and link.parent == name:
            rows = link.positions.filter(pa.array(_answered(export, below))).drop_null()
            is_answered[rows.to_numpy(zero_copy_only=False)] = True
    return is_answered


# ---- links by keys ----------------------------------------------------------------------------------------------


def _keys(table: pa.Table, header: str) -> pa.Array:
    """A column of keys, without blanks at the ends and without the ".0" that a spreadsheet may add."""
    text = pc.utf8_trim_whitespace(table.column(header).combine_chunks())
    text = pc.replace_substring_regex(text, r"^(\d+)\.0+$", r"\1")
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _link(export: Export, name: str) -> Link:
    tables = export.tables
    table = tables[name]
    has = table.column_names
    others = {n: t for n, t in tables.items() if n != name}
    tops = [n for n in others if n not in export.repeats]
    if "PARENT_KEY" in has:
        return _link_by_key(name, table, others, tops)
    parent = _named_parent(name, table, others)
    if parent is not None and "_parent_index" in has and "_index" in others[parent].column_names:
        if _repeated(others[parent], "_index") is None:
            return _joined(table, "_parent_index", parent, others[parent], "_index")
        why = f"_index {_repeated(others[parent], '_index')} of {parent} occurs in several rows"
    else:
        why = f"no table of the export is its parent {_said_parent(table) or ''}".rstrip()
    # The submission that a row names is right too, though it says nothing of what lies between.
    if len(tops) == 1 and parent in (None, tops[0]):
        for child, own in SUBMISSION_KEYS:
            if child in has and own in others[tops[0]].column_names:
                if (twice := _repeated(others[tops[0]], own)) is None:
                    return _joined(table, child, tops[0], others[tops[0]], own)
                why = f"{own} {twice} of {tops[0]} occurs in several rows"
    raise UnreadableFile(
        f"rows of the repeat group {name} cannot be joined to what they are repeated in: {why}; "
        "export the form again with all its tables, and keep their names and columns"
    )


def _said_parent(table: pa.Table) -> str | None:
    if "_parent_table_name" not in table.column_names:
        return None
    names = [n for n in table.column("_parent_table_name").unique().to_pylist() if n and n.strip()]
    if len(names) > 1:
        raise UnreadableFile(
            f"_parent_table_name names several tables ({', '.join(names[:3])}); export the form again"
        )
    return names[0].strip() if names else None


def _named_parent(name: str, table: pa.Table, others: Mapping[str, pa.Table]) -> str | None:
    """The table that a repeat group names as its parent, or the only one that there is."""
    given = _said_parent(table)
    if given is None:
        return next(iter(others)) if len(others) == 1 else None
    parents = _resolved(given, list(others))
    if len(parents) > 1:
        raise UnreadableFile(
            f"repeat group {name} names {given!r} as its parent, which may be {' or '.join(parents)}; rename the tables"
        )
    return parents[0] if parents else None


def _link_by_key(name: str, table: pa.Table, others: Mapping[str, pa.Table], tops: Sequence[str]) -> Link:
    """ODK Central and Briefcase: a key says in which instance a row is, and is found in the parent's table alone."""
    candidates = {n: t for n, t in others.items() if "KEY" in t.column_names}
    sought = pc.unique(_keys(table, "PARENT_KEY"))
    holding = [n for n, t in candidates.items() if pc.any(_found(sought, _keys(t, "KEY")).is_valid()).as_py()]
    holding = holding or [n for n in tops if n in candidates]
    if len(holding) != 1:
        where = f"are found in {', '.join(holding)}" if holding else "are the KEY of no table"
        raise UnreadableFile(f"PARENT_KEY of {name}: its keys {where}; export the form again")
    if (twice := _repeated(candidates[holding[0]], "KEY")) is not None:
        raise UnreadableFile(
            f"KEY {twice} of {holding[0]} occurs in several rows, so that rows of {name} belong to none of them; "
            "keep one, or export the form again"
        )
    return _joined(table, "PARENT_KEY", holding[0], candidates[holding[0]], "KEY")


def _repeated(table: pa.Table, header: str) -> str | None:
    """A key that occurs more than once; None where every row that has one has its own."""
    keys = _keys(table, header).drop_null()
    counts = pc.value_counts(keys)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return twice[0].as_py() if len(twice) else None


def _found(keys: pa.Array, among: pa.Array) -> pa.Array:
    return pc.index_in(keys, value_set=among, skip_nulls=True)


def _joined(table: pa.Table, child: str, parent: str, holder: pa.Table, own: str) -> Link:
    return Link(parent, _found(_keys(table, child), _keys(holder, own)))


def _check_submissions(export: Export, name: str, top: str, positions: pa.Array) -> None:
    """Refuse rows whose keys lead to one submission while they name another."""
    table = export.tables[name]
    for child, own in SUBMISSION_KEYS:
        if (
            top in export.repeats
            or child not in table.column_names
            or own not in export.tables[top].column_names
        ):
            continue
        given, led = _keys(table, child), _keys(export.tables[top], own).take(positions)
        wrong = pc.indices_nonzero(pc.fill_null(pc.not_equal(given, led), False))
        if len(wrong):
            row = wrong[0].as_py()
            raise UnreadableFile(
                f"row {table.column(ROW)[row].as_py()} of {name}: {child} is {given[row]}, but its _parent_index leads "
                f"to {led[row]}; rows were sorted or changed after the export: export the form again"
            )


# ---- JSON ---------------------------------------------------------------------------------------------------


def _opened(path: Path, file: SurveyFile, language: str | None) -> Export:
    if not zipfile.is_zipfile(path):
        return _from_json(path)
    with opened_archive(path) as archive, tempfile.TemporaryDirectory(prefix="survey-odk-") as scratch:
        members = checked_members(archive)
        if "[Content_Types].xml" in {m.filename for m in members}:
            return Export(_sheets(path, file))
        return _from_members(archive, members, Path(scratch), file, language)


def _from_json(path: Path) -> Export:
    try:
        content = json.loads(
            path.read_bytes(), object_pairs_hook=_each_once, parse_int=str, parse_float=_as_written
        )
    except UnreadableFile:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"is no readable JSON ({error}); export it again") from error
    if isinstance(content, dict):
        content = _whole_answer(content)
    if not isinstance(content, list) or not all(isinstance(r, dict) for r in content):
        raise UnreadableFile("is no list of submissions; export the data of the form as JSON")
    nested = _Nested()
    try:
        for submission in content:
            nested.add(submission, "", None)
        return nested.export()
    except RecursionError as error:
        raise UnreadableFile("is nested too deep to be submissions; export the data of the form") from error
    except UnicodeEncodeError as error:
        raise UnreadableFile("holds half a character (a lone surrogate); correct that answer") from error


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; one that gives a name twice would lose an answer."""
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1)
        raise UnreadableFile(f"gives {twice!r} twice in one submission; export the data again")
    return members


def _as_written(text: str) -> str:
    """A number as a person would write it: 35.0 is 35; what a float64 cannot hold stays as it is written."""
    number = float(text)
    return cell_text(number) or text if np.isfinite(number) else text


def _whole_answer(content: Mapping[str, object]) -> object:
    """The submissions of an answer of a server, which may be one page of several."""
    submissions = content.get("results", content.get("value"))
    more = content.get("next") or content.get("@odata.nextLink")
    count = content.get("count", content.get("@odata.count"))
    if isinstance(submissions, list) and (
        more or (isinstance(count, str) and count != str(len(submissions)))
    ):
        raise UnreadableFile(
            f"holds {len(submissions)} of {count or 'more'} submissions; fetch the other pages too"
        )
    return submissions


class _Nested:
    """Submissions taken apart into tables: one of them, and one for each repeat group, by path."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, str | None]]] = {"": []}
        self.above: dict[str, str] = {}
        self.positions: dict[str, list[int]] = {}
        self.empty: dict[str, set[str]] = {}

    def add(self, record: Mapping[str, object], path: str, parent: int | None) -> None:
        """Add a submission, or one entry of a repeat group, and everything inside it."""
        rows = self.records.setdefault(path, [])
        position, row = len(rows), dict[str, str | None]()
        rows.append(row)
        if parent is not None:
            self.positions.setdefault(path, []).append(parent)
        pending = [(path, record)]
        while pending:
            prefix, level = pending.pop()
            for key, value in level.items():
                name = key if not prefix or key.startswith(prefix + "/") else f"{prefix}/{key}"
                if isinstance(value, Mapping):
                    pending.append((name, value))
                elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
                    self._repeat(name, value, path, position)
                elif value == []:
                    self.empty.setdefault(path, set()).add(name)
                elif name in row:
                    raise UnreadableFile(f"gives {name!r} twice in one submission; export the data again")
                else:
                    row[name] = _joined_text(value) if isinstance(value, list) else cell_text(value)

    def _repeat(self, name: str, entries: Sequence[object], path: str, position: int) -> None:
        if self.above.setdefault(name, path) != path:
            raise UnreadableFile(f"repeat group {name!r} occurs at two levels; export the data again")
        for entry in entries:
            if isinstance(entry, Mapping):
                self.add(entry, name, position)
            elif entry is not None:
                raise UnreadableFile(f"{name!r} holds both instances and answers; export the data again")

    def export(self) -> Export:
        """The tables, each row with its number."""
        tables, unsure = {}, {}
        for name, rows in self.records.items():
            headers = list(dict.fromkeys(h for row in rows for h in row))
            empty = [
                n for n in sorted(self.empty.get(name, ())) if n not in self.records and n not in headers
            ]
            schema = landing_schema([*headers, *empty])
            columns = [pa.array([row.get(h) for row in rows], pa.string()) for h in (*headers, *empty)]
            numbers = pa.array(np.arange(1, len(rows) + 1))
            tables[name] = pa.Table.from_arrays([*columns, numbers], schema=schema)
            unsure[name] = frozenset(empty)
        links = {n: Link(self.above[n], pa.array(self.positions[n], pa.int64())) for n in self.records if n}
        return Export(tables, links, unsure=unsure)


def _joined_text(values: Sequence[object]) -> str | None:
    """Several answers in one cell, separated by blanks."""
    texts = (json.dumps(v, ensure_ascii=False) if isinstance(v, list) else cell_text(v) for v in values)
    return " ".join(filter(None, texts)) or None


# ---- zipped CSV and workbooks ----------------------------------------------------------------------------------


def _from_members(
    archive: zipfile.ZipFile,
    members: Sequence[zipfile.ZipInfo],
    scratch: Path,
    file: SurveyFile,
    language: str | None,
) -> Export:
    """Tables and form of an archive; photographs and other attachments stay packed."""
    kinds: dict[str, list[zipfile.ZipInfo]] = {".csv": [], ".json": [], ".xlsx": []}
    for member in members:
        place = PurePosixPath(member.filename.replace("\\", "/"))
        if "media" not in place.parts[:-1]:
            kinds.get(place.suffix.lower(), []).append(member)
    if sum(map(len, kinds.values())) > MAX_TABLES:
        raise UnreadableFile(
            f"archive holds more than {MAX_TABLES} tables, which no form has; keep those of one form"
        )
    taken = {
        member.filename: _taken_out(archive, member, scratch / str(number))
        for number, member in enumerate(m for some in kinds.values() for m in some)
    }
    form = _form([taken[m.filename] for m in kinds[".xlsx"]], file, language)
    if kinds[".csv"] and kinds[".json"]:
        raise UnreadableFile(
            f"archive holds both {kinds['.csv'][0].filename} and {kinds['.json'][0].filename}; "
            "keep the tables or the JSON"
        )
    if len(kinds[".json"]) == 1:
        export = _from_json(taken[kinds[".json"][0].filename])
        return Export(export.tables, export.links, form, export.unsure)
    if not kinds[".csv"]:
        raise UnreadableFile("archive holds neither CSV nor JSON of one form; export the form as CSV or JSON")
    tables: dict[str, pa.Table] = {}
    for member in kinds[".csv"]:
        name = PurePosixPath(member.filename).stem
        if name in tables:
            raise UnreadableFile(f"archive holds two tables {name!r}; keep those of one form")
        plain = file.model_copy(update={"format": "delimited", "options": DelimitedOptions()})
        tables[name] = _whole(
            delimited.stream(taken[member.filename], plain), PurePosixPath(member.filename).name
        )
    return Export(tables, form=form)


def _taken_out(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    with archive.open(member) as packed, target.open("wb") as out:
        copy_within(packed, out, max(member.compress_size, 1))
    return target


def _sheets(path: Path, file: SurveyFile) -> dict[str, pa.Table]:
    return {name: _sheet(path, name, file) for name in excel.sheet_names(path)}


def _sheet(path: Path, name: str, file: SurveyFile) -> pa.Table:
    plain = file.model_copy(update={"format": "excel", "options": ExcelOptions(sheet=name)})
    return _whole(excel.stream(path, plain), name)


def _whole(opening: AbstractContextManager[Received], name: str) -> pa.Table:
    try:
        with opening as received:
            table = pa.Table.from_batches(received.batches, schema=received.schema)
    except UnreadableFile as error:
        raise UnreadableFile(f"{name}: {error}") from error
    if len(set(table.column_names)) < table.num_columns:
        raise UnreadableFile(f"{name}: a header occurs twice; export with full group paths as headers")
    return table


def _form(workbooks: Sequence[Path], file: SurveyFile, language: str | None) -> list[xlsform.Question]:
    """Questions of the form's definition; several versions say only what they agree on."""
    versions = []
    for workbook in workbooks:
        if not zipfile.is_zipfile(workbook):
            continue
        sheets = {n.strip().lower(): n for n in excel.sheet_names(workbook)}
        if "survey" in sheets:
            survey, choices = (
                _sheet(workbook, sheets[s], file).to_pylist() if s in sheets else [] for s in xlsform.SHEETS
            )
            versions.append(xlsform.questions(survey, choices, language))
    return xlsform.agreed(versions)
