"""Write a survey folder from what a file says of itself; a person fills in what no file can say.

Belongs here: the files of a new folder, their blanks, and the mappings that are proposed. Does not belong here:
judging a column (`scaffold_columns`), or checking the finished folder (`folder`, `crosswalk`).
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, TypeAdapter, ValidationError

from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.crosswalk import check_crosswalk
from relocation_warehouse.survey.folder import BLANK, SurveyFolder, sha256_of
from relocation_warehouse.survey.readers import (
    ROW,
    UnreadableFile,
    opened,
    repeat_groups,
    sheet_names,
    xlsform,
)
from relocation_warehouse.survey.readers.archives import DAMAGED
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.scaffold_candidates import SURE, Scored, candidates, may_be
from relocation_warehouse.survey.scaffold_columns import LANGUAGES, FoundColumn, Recognition, found_column
from relocation_warehouse.survey.scaffold_proposals import (
    Key,
    name_of,
    proposed_design,
    proposed_key,
    proposed_site,
    rounds_of,
)
from relocation_warehouse.survey.vocabulary import (
    FORMATS,
    Code,
    Column,
    ColumnType,
    Correction,
    CrosswalkRow,
    DelimitedOptions,
    FixedWave,
    Grain,
    Identifier,
    Label,
    Status,
    Survey,
    SurveyFile,
    Wave,
)

SINGLE = Wave(wave="single", order=0, label=Label(en="One round", zh="单轮"))
MOST_FORM_BYTES = 16 * 2**20
"""Larger than any form's definition."""

SHOWN = 3
"""Candidates listed for an indicator."""

NOT_MAPPED = "not mapped yet"
"""Why a column is not used that nothing asks for so far."""

NOTES = """# {survey_id}

Written by `warehouse new-survey` from {files}. Replace this text: who asked whom, when and how; what is known
to be wrong in the file; what a reader must know before using it.
"""


class ScaffoldError(ValueError):
    """No folder can be written; the message says why and what to do."""


@dataclass(frozen=True)
class Scaffold:
    """What was written.

    Attributes
    ----------
    path
        The new folder.
    files, columns, personal
        Numbers of tables, of columns, and of columns that identify a person.
    proposed
        Indicators with a mapping to be confirmed.
    """

    path: Path
    files: int
    columns: int
    personal: int
    proposed: tuple[str, ...]


def scaffold(
    files: Sequence[Path],
    surveys: Path,
    catalog: Catalog,
    known: Recognition,
    survey_id: str = "",
    header_rows: Sequence[int] = (),
    encoding: str = "",
    sheet_header_rows: Mapping[str, Sequence[int]] | None = None,
) -> Scaffold:
    """Write `surveys/<survey_id>/` from files in any format that can be read.

    Parameters
    ----------
    files
        The data files; they are copied into the folder. One in which the household id repeats is a roster; those that
        name different rounds are one round each. The form (XLSForm) may be among them: it gives labels.
    surveys
        Folder of the survey folders.
    catalog, known
        Indicators to look for, and the patterns to recognise headers by.
    survey_id
        Id of the survey; empty = made from the first file's name.
    header_rows
        Rows of a sheet or text file that hold its headers; empty = the first.
    encoding
        Encoding of text files, and of statistical files that do not say it; empty = found out.
    sheet_header_rows
        The same by sheet, for workbooks whose sheets differ.

    Raises
    ------
    ScaffoldError
        The folder exists, the id is none, a file's name says no format, or two files have the same name.
    UnreadableFile
        See `survey.readers.opened`.
    """
    survey_id = survey_id or name_of(files[0].name.split(".")[0]) or BLANK
    try:
        TypeAdapter(Identifier).validate_python(survey_id)
    except ValidationError:
        raise ScaffoldError(
            f"{survey_id!r} is no id: give one with --id, in lower-case letters, digits and _, letter first"
        ) from None
    target = surveys / survey_id
    if target.exists():
        raise ScaffoldError(f"{target.name} exists already; choose another id with --id, or edit the folder")
    names = [file.name for file in files]
    for file in files:
        if not file.is_file():
            raise ScaffoldError(f"no file {file}")
        if names.count(file.name) > 1:
            raise ScaffoldError(f"{file.name} is given twice; files of one survey need different names")
    reading = Reading(catalog, known, tuple(header_rows), encoding, sheet_header_rows or {})
    forms = [file for file in files if _is_form(file)]
    data = [file for file in files if file not in forms]
    if not data:
        raise ScaffoldError(
            f"{files[0].name} is the definition of a form; give the export of its answers as well"
        )
    declared, columns, keys = _read(data, reading, forms)
    base = declared[0]
    key = keys[base.file_id]
    in_rounds = any(c.wave for c in columns) or any(f.wave for f in declared)
    waves = known.declared_waves() if in_rounds else (SINGLE,)
    names_given: dict[str, str] = {}
    for table in declared:
        _give_names(_of(columns, table.file_id), names_given)
    here = _of(columns, base.file_id)
    if key.round is not None:
        key.round.type, key.round.codes = ColumnType.CODE, rounds_of(key.round)
        key.round.minimum = key.round.maximum = None
        waves = tuple(
            Wave(wave=c.value, order=n, label=Label(en=c.label)) for n, c in enumerate(key.round.codes)
        )
    design = proposed_design(here, known)
    site = proposed_site(here, known, [*key.ids, *design.values()], survey_id)
    codes = _name_code_lists(columns, site)
    _name_conventions(columns)
    household_id = key.ids[0] if key.ids else None
    sites = [c for c in codes if site and c["list"] == site.code_lists[0] and c["value"]]
    asked = [c for c in columns if c not in (*key.ids, key.round)]
    alike = candidates(asked, catalog.indicators, known)
    rows = _crosswalk(declared, columns, codes, waves, catalog, alike)
    used = {
        (f.file_id, variable)
        for f in _households(declared)
        for r in rows
        if r["wave"] in ("*", _round(f) or r["wave"])
        for variable in r["sources"].split()
    }
    used |= {(c.file_id, c.variable) for c in (*key.ids, key.round, site, *design.values()) if c}
    links = _links(declared, columns, household_id, known)
    columns += [c for c in links.values() if c not in columns]
    drawn = (c for field, c in design.items() if field != "weight")
    for column in (*(c for k in keys.values() for c in k.ids), *links.values(), *drawn):
        # a number that tells households or places apart measures nothing: the next wave has others
        column.minimum = column.maximum = None
    used |= {(c.file_id, c.variable) for c in links.values()}
    likely = {(c.file_id, c.variable) for scored in alike.values() for score, c in scored if score >= SURE}
    for column in columns:
        if column.asks_how_written and (column.file_id, column.variable) not in used | likely:
            column.ignored = (
                f"{NOT_MAPPED}; before it is used, say how it is written: {_as_yaml(column.convention)}"
            )
    part = surveys / f".{survey_id}.new"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for file in files:
            shutil.copyfile(file, part / file.name)
        _write(part / "columns.csv", Column, [_column_row(c, used) for c in columns])
        _write(part / "codes.csv", Code, codes)
        _write(part / "crosswalk.csv", CrosswalkRow, rows)
        _write(part / "corrections.csv", Correction, [])
        listed = ", ".join(f"`{name}`" for name in names)
        (part / "NOTES.md").write_text(NOTES.format(survey_id=survey_id, files=listed), encoding="utf-8")
        # last, because a folder with a survey.yml is a survey
        digests = {file.name: sha256_of(file) for file in files}
        text = _survey_yml(survey_id, declared, columns, waves, links, keys, site, sites, design, digests)
        (part / "survey.yml").write_text(text, encoding="utf-8")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    proposed = tuple(dict.fromkeys(r["indicator_id"] for r in rows if r["sources"]))
    personal = sum(1 for c in columns if c.personal)
    return Scaffold(target, len(declared), len(columns), personal, proposed)


# ---- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """How files are read and judged: the catalog, the patterns, and what the user said about the files."""

    catalog: Catalog
    known: Recognition
    header_rows: tuple[int, ...]
    encoding: str
    sheet_header_rows: Mapping[str, Sequence[int]]


def _read(
    files: Sequence[Path], reading: Reading, forms: Sequence[Path]
) -> tuple[list[SurveyFile], list[FoundColumn], dict[str, Key]]:
    """The tables of all files, those of households first, their columns, and what tells rows apart by table."""
    declared, columns, keys = list[SurveyFile](), list[FoundColumn](), dict[str, Key]()
    for file in files:
        name = name_of(file.name.split(".")[0]) or f"file_{len(declared) + 1}"
        for table in _tables(file, file_format(file), reading, "households" if len(files) == 1 else name):
            taken = {f.file_id for f in declared}
            name = table.file_id if table.file_id not in taken else f"{table.file_id}_{len(declared) + 1}"
            named = table.model_copy(update={"file_id": name})
            read, new_columns, key = _read_table(named, file.parent, reading, forms)
            if len(files) > 1 and key.round is None and _repeats_households(new_columns, reading.known):
                read = read.model_copy(update={"grain": Grain.MEMBER})
            declared.append(read)
            columns += new_columns
            keys[name] = key
    declared.sort(key=lambda f: f.grain is not Grain.HOUSEHOLD)
    if not _households(declared):
        declared[0] = declared[0].model_copy(update={"grain": Grain.HOUSEHOLD})
    return _with_rounds(declared, reading.known), columns, keys


def _read_table(
    table: SurveyFile, folder: Path, reading: Reading, forms: Sequence[Path]
) -> tuple[SurveyFile, list[FoundColumn], Key]:
    with opened(table, folder) as received:
        names = [n for n in received.schema.names if n != ROW and n not in received.borrowed]
        twice = sorted(n for n, k in Counter(names).items() if k > 1)
        if twice:
            raise ScaffoldError(
                f"{table.path}: header {twice[0]!r} occurs more than once; name the rows that hold the headers "
                "with --header-row, or give each column its own header"
            )
        cells: list[list[pa.Array]] = [[] for _ in names]
        for batch in received.batches:
            for kept, name in zip(cells, names, strict=True):
                kept.append(batch.column(name))
        kinds = [received.schema.field(n).type for n in names]
        arrays = {n: pa.chunked_array(c, type=k) for n, c, k in zip(names, cells, kinds, strict=True)}
        entries = _chosen_together(_described(received.entries, names, table, forms), arrays)
        columns = [
            found_column(table.file_id, entries[n], arrays[n], reading.known, reading.catalog) for n in names
        ]
        for column in columns:
            if (asked := _option_of(column.header, entries)) and not column.personal:
                column.ignored = f"whether the answer to {asked} holds this choice; that column says it too"
    options = {"encoding": received.encoding} if isinstance(table.options, DelimitedOptions) else {}
    table = table.model_copy(update={"options": table.options.model_copy(update=options)})
    return table, columns, proposed_key(columns, arrays, reading.known)


def _is_form(file: Path) -> bool:
    """Whether a workbook is the definition of a form and not its answers."""
    if not file.is_file() or file.suffix.lower() not in (".xlsx", ".xls"):
        return False
    try:
        sheets = {name.strip().lower() for name in sheet_names(file)}
    except UnreadableFile:
        return False
    return set(xlsform.SHEETS) <= sheets


def _described(
    entries: Sequence[Entry], headers: Sequence[str], table: SurveyFile, forms: Sequence[Path]
) -> dict[str, Entry]:
    """What a file says of its columns, and where it says nothing, what the form says in each of its languages."""
    described = {e.column: e for e in entries}
    for form in forms:
        repeat = getattr(table.options, "repeat", None) or ""
        sheets = {n.strip().lower(): n for n in sheet_names(form)}
        survey, choices = (_sheet_rows(form, sheets[name]) for name in xlsform.SHEETS)
        spoken: list[str | None] = [
            h.partition("::")[2].strip()
            for h in (survey[0] if survey else {})
            if h.lower().startswith("label::")
        ]
        for language in spoken or [None]:
            asked = xlsform.questions(survey, choices, language)
            for description in xlsform.described(headers, repeat, asked):
                described[description.column] = _both(described[description.column], description)
    return described


def _both(one: Entry, other: Entry) -> Entry:
    """An entry with what another one adds; labels in two languages stand side by side."""

    def joined(a: str | None, b: str | None) -> str | None:
        return f"{a}{LANGUAGES}{b}" if a and b and b not in a.split(LANGUAGES) else a or b

    labels = {c: joined(one.value_labels.get(c), t) or "" for c, t in other.value_labels.items()}
    kind = other.type_as_stored if other.value_labels else one.type_as_stored
    return replace(
        one,
        type_as_stored=kind,
        label=joined(one.label, other.label),
        value_labels={**one.value_labels, **labels},
    )


def _sheet_rows(form: Path, sheet: str) -> list[dict[str, Any]]:
    file = SurveyFile.model_validate(
        {
            "file_id": "form",
            "path": form.name,
            "format": "excel",
            "household_id": ["x"],
            "options": {"sheet": sheet},
        }
    )
    with opened(file, form.parent) as received:
        return [row for batch in received.batches for row in batch.to_pylist()]


def _chosen_together(entries: dict[str, Entry], arrays: Mapping[str, pa.ChunkedArray]) -> dict[str, Entry]:
    """Entries in which a column of several choices is one: exports repeat it as a column of 0 and 1 for each choice."""
    options_of = defaultdict[str, dict[str, str]](dict)
    for header in entries:
        for sign in re.finditer(r"[/.]", header):
            options_of[header[: sign.start()]][header[sign.end() :]] = header
    for header, entry in entries.items():
        options = options_of.get(header, {})
        if len(options) < 2 or entry.value_labels or header not in arrays:
            continue
        flags = {t for h in options.values() for v in pc.unique(arrays[h]).to_pylist() if (t := cell_text(v))}
        chosen = {w for v in pc.unique(arrays[header]).to_pylist() if (t := cell_text(v)) for w in t.split()}
        if flags <= {"0", "1", "True", "False", "TRUE", "FALSE"} and chosen and chosen <= set(options):
            labels = {choice: (entries[h].label or choice).split(": ")[-1] for choice, h in options.items()}
            entries[header] = replace(entry, type_as_stored="select_multiple", value_labels=labels)
    return entries


def _option_of(header: str, entries: Mapping[str, Entry]) -> str | None:
    """The column of several choices that a column of 0 and 1 repeats."""
    for separator in ("/", "."):
        asked, _, choice = header.rpartition(separator)
        entry = entries.get(asked)
        if entry and entry.type_as_stored.startswith("select_multiple") and choice in entry.value_labels:
            return asked
    return None


def _repeats_households(columns: Sequence[FoundColumn], known: Recognition) -> bool:
    """Whether a table has several rows a household: a column named like a household id, and none that is unique."""
    ids = [c for c in columns if any(p.fits(c.name, c.label) for p in known.household_id)]
    return bool(ids) and not any(c.is_unique for c in ids)


def _households(files: Iterable[SurveyFile]) -> list[SurveyFile]:
    return [f for f in files if f.grain is Grain.HOUSEHOLD]


def _round(file: SurveyFile) -> str | None:
    return file.wave.fixed if isinstance(file.wave, FixedWave) else None


def _with_rounds(files: Sequence[SurveyFile], known: Recognition) -> list[SurveyFile]:
    """The files with the round that their names say, where each file of households says another one."""
    named = {f.file_id: known.wave_of_file(f.path) for f in files}
    rounds = [named[f.file_id] for f in _households(files)]
    if len(rounds) < 2 or None in rounds or len(set(rounds)) < len(rounds):
        return list(files)
    return [
        f.model_copy(update={"wave": FixedWave(fixed=wave)}) if (wave := named[f.file_id]) else f
        for f in files
    ]


def _packs_form(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a member of an archive is the definition of a form: a workbook with its two sheets."""
    if not member.filename.lower().endswith(".xlsx") or member.file_size > MOST_FORM_BYTES:
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(archive.read(member))) as workbook:
            part = workbook.getinfo("xl/workbook.xml")
            text = workbook.read(part) if part.file_size < MOST_FORM_BYTES else b""
    except (KeyError, ValueError, RuntimeError, *DAMAGED):
        return False
    names = {n.strip().lower().decode() for n in re.findall(rb'<sheet [^>]*?name="([a-zA-Z ]+)"', text)}
    return set(xlsform.SHEETS) <= names


def _is_export(file: Path) -> bool:
    """Whether a workbook is the export of a form: a sheet says which row of another one its rows are repeated in."""
    if file.suffix.lower() != ".xlsx" or not file.is_file():
        return False
    try:
        if len(sheet_names(file)) < 2:
            return False
        record = {"file_id": "form", "path": file.name, "format": "odk", "household_id": ["unknown"]}
        return bool(repeat_groups(file, SurveyFile.model_validate(record)))
    except UnreadableFile:
        return False


def file_format(file: Path) -> str:
    """The format that a file's name, or what is packed in it, stands for."""
    name = file.name.lower().removesuffix(".gz")
    if name.endswith(".zip"):
        try:
            with zipfile.ZipFile(file) as archive:
                members = [n.lower() for n in archive.namelist() if not n.endswith("/")]
                has_form = any(_packs_form(archive, m) for m in archive.infolist())
        except zipfile.BadZipFile:
            raise UnreadableFile(f"{file.name}: is no readable zip archive; export it again") from None
        data = [n for n in members if n.endswith((".csv", ".json"))]
        if len(data) > 1 or any(n.endswith(".json") for n in data) or (data and has_form):
            return "odk"
        name = next(iter(data or members), "")
    if name.endswith(".json") or _is_export(file):
        return "odk"
    fitting = [kind for kind, known in FORMATS.items() if name.endswith(known.endings)]
    if not fitting:
        endings = " ".join(sorted({s for f in FORMATS.values() for s in f.endings}))
        raise ScaffoldError(
            f"{file.name}: no format has this ending; known are {endings}, also in .gz or .zip"
        )
    return fitting[0]


def _tables(file: Path, kind: str, reading: Reading, name: str) -> list[SurveyFile]:
    """A declaration for every sheet of a workbook, every table of a form, or the one table there is."""

    def table(name: str, options: dict[str, object], grain: Grain = Grain.HOUSEHOLD) -> SurveyFile:
        rows = reading.sheet_header_rows.get(str(options.get("sheet")), reading.header_rows)
        headers: dict[str, object] = {}
        if rows and kind in ("delimited", "excel"):
            headers["header_rows"] = tuple(rows)
        if reading.encoding and kind in ("delimited", "spss", "stata"):
            headers["encoding"] = reading.encoding
        return SurveyFile.model_validate(
            {
                "file_id": name,
                "path": file.name,
                "format": kind,
                "grain": grain,
                "household_id": ["unknown"],
                "options": options | headers,
            }
        )

    households = table(name, {})
    if kind == "odk":
        groups = repeat_groups(file, households)
        short = [name_of(re.split(r"[-/]", g)[-1]) for g in groups]
        return [
            households,
            *(
                table(s or f"repeat_{k}", {"repeat": g}, Grain.MEMBER)
                for k, (s, g) in enumerate(zip(short, groups, strict=True), 1)
            ),
        ]
    if kind == "excel" and file.suffix.lower() not in (".gz", ".zip"):
        sheets = sheet_names(file)
        grains = [Grain.HOUSEHOLD, *[Grain.MEMBER] * (len(sheets) - 1)]
        return [
            table(name_of(s) or f"sheet_{k}", {"sheet": s}, grain)
            for k, (s, grain) in enumerate(zip(sheets, grains, strict=True), 1)
        ]
    return [households]


# ---- names -------------------------------------------------------------------------------------------------------


def _of(columns: Iterable[FoundColumn], file_id: str) -> list[FoundColumn]:
    return [c for c in columns if c.file_id == file_id]


def _give_names(columns: Sequence[FoundColumn], given: dict[str, str]) -> None:
    """A variable for every column of a file, each its own; the same header has the same name in every file."""
    taken: set[str] = set()
    for position, column in enumerate(columns, start=1):
        name = given.get(column.header) or name_of(column.name)
        if not name or name in taken:
            name = f"{name}_{position}" if name else f"q{position}"
            name = name if name not in taken else f"{name}_{position}"
        taken.add(name)
        given.setdefault(column.header, name)
        column.variable = name


def _name_code_lists(columns: Sequence[FoundColumn], site: FoundColumn | None) -> list[dict[str, str]]:
    """Rows of codes.csv; equal lists are one list, named after the first variable that has it.

    The list of the sites is used by no other column.
    """
    names: dict[tuple[object, ...], str] = {}
    given = set[str]()
    rows: list[dict[str, str]] = []
    for column in columns:
        answers = tuple(c for c in column.codes if not c.missing_reason)
        missing = tuple(c for c in column.codes if c.missing_reason)
        for codes, ending in ((answers, ""), (missing, "_missing")):
            if not codes:
                continue
            key = (codes, column is site and not ending)
            if key not in names:
                name = f"{column.variable}{ending}"
                names[key] = name if name not in given else f"{column.file_id}_{name}"
                given.add(names[key])
                rows += [
                    {
                        "list": names[key],
                        "code": c.code,
                        "value": c.value,
                        "missing_reason": c.missing_reason,
                        **_labels(c.label),
                    }
                    for c in codes
                ]
            column.code_lists.append(names[key])
    return rows


def _name_conventions(columns: Iterable[FoundColumn]) -> None:
    """A name for each way of writing, after the first variable that has it; another file may write it otherwise."""
    given: dict[str, Mapping[str, object]] = {}
    for column in columns:
        if column.convention:
            name = f"{column.variable}_as_written"
            if given.setdefault(name, column.convention) != column.convention:
                name = f"{name}_{len(given) + 1}"
                given[name] = column.convention
            column.convention_name = name


def _labels(label: str) -> dict[str, str]:
    """A label as English and Chinese text: one of several languages with Chinese characters is the Chinese one."""
    texts = label.split(LANGUAGES)
    zh = next((t for t in texts if re.search(r"[\u3400-\u9fff]", t)), "")
    return {"label_en": next((t for t in texts if t != zh), ""), "label_zh": zh}


def _links(
    files: Sequence[SurveyFile],
    columns: Sequence[FoundColumn],
    household_id: FoundColumn | None,
    known: Recognition,
) -> dict[str, FoundColumn]:
    """By file, the column that holds the household id: the household's own, and the same header in another file.

    A repeat group of a form has it from its submission.
    """
    if household_id is None:
        return {}
    links = {household_id.file_id: household_id}
    for file in files:
        if file.file_id in links:
            continue
        here = _of(columns, file.file_id)
        own = [c for c in here if c.name == household_id.name]
        own = own or [c for p in known.household_id for c in here if p.fits(c.name, c.label)]
        if own:
            links[file.file_id] = own[0]
        elif file.format == "odk":
            links[file.file_id] = FoundColumn(
                file.file_id, household_id.header, household_id.label, ColumnType.TEXT, variable="household"
            )
    return links


# ---- mappings ----------------------------------------------------------------------------------------------------


def _crosswalk(
    files: Sequence[SurveyFile],
    columns: Sequence[FoundColumn],
    codes: Sequence[Mapping[str, str]],
    waves: Sequence[Wave],
    catalog: Catalog,
    alike: Mapping[str, Sequence[Scored]],
) -> list[dict[str, str]]:
    """A row for every indicator: proposed where one question says the same and gives allowed values."""
    rows = []
    taken: set[str] = set()
    rounds = {f.file_id: _round(f) for f in _households(files) if _round(f)} or {files[0].file_id: None}
    for indicator in catalog.indicators:
        scored = alike[indicator.id]
        listed = "; ".join(f"{c.file_id}.{c.header} {c.text} ({s:.0f})" for s, c in scored[:SHOWN])
        sure = [c for s, c in scored if s >= SURE and c.file_id in rounds and may_be(c, indicator)]
        sure = [c for c in sure if c.variable not in taken]
        everywhere = [c for c in sure if (rounds[c.file_id] or c.wave) is None][:1]
        sources = {"*": everywhere[0]} if everywhere else {}
        if not everywhere:
            sources = {
                w.wave: next(c for c in sure if (rounds[c.file_id] or c.wave) == w.wave)
                for w in waves
                if any((rounds[c.file_id] or c.wave) == w.wave for c in sure)
            }
            if len(sources) == len(waves) and len({c.variable for c in sources.values()}) == 1:
                everywhere = list(sources.values())[:1]
                sources = {"*": everywhere[0]}
        note = f"candidates: {listed}" if listed else ""
        for wave in ("*",) if not sources or everywhere else [w.wave for w in waves]:
            row = {"wave": wave, "indicator_id": indicator.id, "note": note}
            column = sources.get(wave)
            if column is None:
                rows.append(_undetermined(row))
                continue
            taken.add(column.variable)
            unit = f"; the catalog's unit is {indicator.unit}" if indicator.unit else ""
            rows.append(
                row
                | {
                    "rule": "direct",
                    "sources": column.variable,
                    "status": BLANK,
                    "evidence": f"column {column.header}" + (f": {column.label}" if column.label else ""),
                    "note": f"proposed{unit}; {note}",
                }
            )
    refused = _refused(files, columns, codes, waves, rows, catalog)
    return [_undetermined(r) if n in refused else r for n, r in enumerate(rows)]


def _undetermined(row: Mapping[str, str]) -> dict[str, str]:
    kept = {k: row[k] for k in ("wave", "indicator_id", "note")}
    return kept | {"rule": "undetermined", "sources": "", "status": "undetermined"}


def _refused(
    files: Sequence[SurveyFile],
    columns: Sequence[FoundColumn],
    codes: Sequence[Mapping[str, str]],
    waves: Sequence[Wave],
    rows: Sequence[dict[str, Any]],
    catalog: Catalog,
) -> set[int]:
    """Positions of proposals that could give a value the catalog does not allow."""
    known: dict[str, Any] = {"survey_id": "new", "waves": tuple(waves), "files": tuple(files)}
    answers: list[dict[str, Any]] = [{k: v or None for k, v in c.items()} for c in codes]
    judged = [
        r | {"status": Status.COMPATIBLE, "sources": (r["sources"],)} if r["sources"] else r for r in rows
    ]
    folder = SurveyFolder(
        path=Path(),
        survey=Survey.model_construct(**known),
        columns=tuple(
            Column.model_construct(**_as_used(c)) for c in columns if not (c.personal or c.ignored)
        ),
        codes=tuple(Code.model_construct(**c) for c in answers),
        crosswalk=tuple(CrosswalkRow.model_validate({k: v for k, v in r.items() if v}) for r in judged),
        corrections=(),
        lines={"crosswalk.csv": tuple(range(len(rows)))},
    )
    return {p.line for p in check_crosswalk(folder, catalog) if p.line is not None}


def _as_used(column: FoundColumn) -> dict[str, Any]:
    return {
        "file_id": column.file_id,
        "column": column.header,
        "variable": column.variable,
        "type": column.type,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "codes": tuple(column.code_lists),
    }


# ---- writing -----------------------------------------------------------------------------------------------------


def _column_row(column: FoundColumn, used: set[tuple[str, str]]) -> dict[str, object]:
    """A row of columns.csv: used where something needs it, else with the reason that a person must give."""
    is_used = (column.file_id, column.variable) in used
    reason = column.personal or column.ignored or ("" if is_used else NOT_MAPPED)
    row: dict[str, object] = {
        "file_id": column.file_id,
        "column": column.header,
        "is_personal": str(bool(column.personal)).lower(),
        "ignore_reason": reason,
        "label": column.label,
    }
    if column.personal or column.ignored:
        return row
    row |= _as_used(column) | {"codes": " ".join(column.code_lists)}
    row["minimum"], row["maximum"] = (
        None if b is None else exact(b) for b in (column.minimum, column.maximum)
    )
    row["convention"] = column.convention_name
    if not is_used:
        row["variable"] = ""
    return row


def _survey_yml(
    survey_id: str,
    files: Sequence[SurveyFile],
    columns: Sequence[FoundColumn],
    waves: Sequence[Wave],
    links: Mapping[str, FoundColumn],
    keys: Mapping[str, Key],
    site: FoundColumn | None,
    sites: Sequence[Mapping[str, str]],
    design: Mapping[str, FoundColumn],
    sha256: Mapping[str, str],
) -> str:
    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=False)

    is_chinese = any(re.search(r"[\u3400-\u9fff]", f"{c.header}{c.label}") for c in columns)

    def label(en: str, zh: str) -> str:
        if zh in ("", en) and not is_chinese:
            return f"{{en: {text(en)}}}"
        return f"{{en: {text(en or BLANK)}, zh: {text(zh or BLANK)}}}"

    blank = label(BLANK, BLANK if is_chinese else "")
    lines = [
        "# yaml-language-server: $schema=../../schemas/survey.schema.json",
        f"# Replace every {BLANK} (`warehouse check {survey_id}` names those that are left); judge what is proposed.",
        f"survey_id: {survey_id}",
        f"region: {BLANK}        # short name of the region in lower-case letters",
        f"region_label: {blank}",
        f"title: {blank}",
        f"place: {blank}",
        f'fieldwork: {BLANK}     # a year, a month or a day in quotes, such as "2021-07"',
        f"is_synthetic: {BLANK}  # false for real answers, true for made-up ones",
        "source:",
        f"  citation: {BLANK}",
        f"  licence: {BLANK}     # terms under which the answers may be used",
        "waves:",
    ]
    for w in waves:
        lines.append(f"  - {{wave: {w.wave}, order: {w.order}, label: {label(w.label.en, w.label.zh)}}}")
    if site is not None:
        lines += [
            f"# proposed: {site.header} names places, and several households share one",
            f"site: {{column: {site.variable}, codes: {site.code_lists[0]}}}",
        ]
    else:
        lines += [
            "# no column names the sites; where all households are of one place: site: {fixed: PLACE}, and one entry",
            f"site: {{column: {BLANK}, codes: {BLANK}}}",
        ]
    lines.append(
        "sites:               # `households` is the number of households living there, where it is known"
    )
    for code in sites:
        both = label(code["label_en"], code["label_zh"])
        lines.append(f"  - {{site_id: {code['value']}, label: {both}}}")
    if not sites:
        lines.append(f"  - {{site_id: {BLANK}, label: {blank}}}")
    if design:
        lines.append("design:              # how the households were drawn")
        for field, column in design.items():
            lines.append(
                f"  {field}: {column.variable}  # proposed: the header or label of {column.header} says so"
            )
    written = {c.convention_name: c for c in columns if c.convention and not c.ignored}
    if written:
        lines.append("conventions:         # proposed: every cell of the column can be read so")
    for name, column in written.items():
        if "decimal" in column.convention and column.asks_how_written:
            shown = next(a for a in column.answers or ("2.000",) if "." in a)
            lines.append(
                f"  # {shown} in {column.header} may be read in two ways: where it is the smaller number, "
                'decimal "." and thousands ","; else decimal "," and thousands "."'
            )
        lines.append(f"  {name}: {_as_yaml(column.convention)}")
    lines.append("files:")
    for file in files:
        key = keys.get(file.file_id, Key())
        ids = [c.variable for c in key.ids] if file.grain is Grain.HOUSEHOLD else []
        if file.file_id in links and len(ids) < 2:
            ids = [links[file.file_id].variable]
        options = file.options.model_dump(exclude_defaults=True, mode="json")
        wave = _round(file)
        lines += [
            f"  - file_id: {file.file_id}",
            f"    path: {text(file.path)}",
            f"    format: {file.format}",
            f"    sha256: {text(sha256[file.path])}",
            *([f"    options: {json.dumps(options, ensure_ascii=False)}"] if options else []),
            f"    grain: {file.grain}",
            *([f"    # proposed: {key.reason}"] if key.reason and ids else []),
            f"    household_id: [{', '.join(ids) or BLANK}]",
            *([f"    wave: {{fixed: {wave}}}"] if wave else []),
        ]
        if key.round is not None and not wave and file.grain is Grain.HOUSEHOLD:
            lines.append(f"    wave: {{column: {key.round.variable}, codes: {key.round.code_lists[0]}}}")
    return "\n".join(lines) + "\n"


def _as_yaml(fields: Mapping[str, object]) -> str:
    """A mapping on one line; JSON is YAML."""
    return json.dumps(fields, ensure_ascii=False)


def _write(path: Path, model: type[BaseModel], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(model.model_fields), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
