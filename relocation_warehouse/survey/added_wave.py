"""Add a file of a further wave to a survey folder: take over the declarations that still fit, list what changed.

Belongs here: what of a former wave's declarations holds for the new file, and writing it into the folder. Does not
belong here: a folder from nothing (`scaffold`), or loading the file (`ingest`).
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.folder import BLANK, SURVEY_FILE, SurveyFolder, sha256_of
from relocation_warehouse.survey.ingest import SurveyLoad, ingest
from relocation_warehouse.survey.readers import ROW, opened
from relocation_warehouse.survey.readers.base import cell_text
from relocation_warehouse.survey.scaffold import ScaffoldError, file_format
from relocation_warehouse.survey.scaffold_columns import LANGUAGES
from relocation_warehouse.survey.scaffold_proposals import name_of
from relocation_warehouse.survey.vocabulary import (
    Code,
    Column,
    CrosswalkRow,
    Design,
    FixedWave,
    Grain,
    Identifier,
    Label,
    Rule,
    Sampling,
    Status,
    Survey,
    SurveyFile,
    Wave,
    WaveColumn,
)

WAVE_SAID = "the wave is said in survey.yml"
ABSENT = "no column of {file} holds it"


@dataclass(frozen=True)
class AddedWave:
    """What was taken over, and what a person must look at.

    Attributes
    ----------
    like
        File whose declarations were taken over.
    taken_over
        Columns with a declaration of that file.
    changes
        What differs from it, one sentence each.
    """

    file_id: str
    wave: str
    like: str
    taken_over: int
    changes: tuple[str, ...]


def add_wave(
    folder: SurveyFolder, path: Path, wave: str = "", fieldwork: str | None = None, like: str = ""
) -> AddedWave:
    """Copy a file into the folder and declare it as a wave, after the declarations of the latest wave.

    Parameters
    ----------
    folder
        A folder that `load_folder` accepted.
    path
        The file.
    wave
        Name of the wave; one that is there already gets a further file, such as a roster. Empty: a name by number.
    fieldwork
        When the wave was asked: a year, a month or a day.
    like
        `file_id` whose declarations are taken over; empty: the one with most headers in common.

    Raises
    ------
    ScaffoldError
        The file is there already, resembles none that is declared, or lacks the household id.
    UnreadableFile
        See `survey.readers.opened`.
    """
    survey = folder.survey
    if (folder.path / path.name).exists():
        raise ScaffoldError(
            f"{path.name} is in the folder already; give the file of the new wave another name"
        )
    order = max(w.order for w in survey.waves) + 1
    wave = wave or f"wave_{order + 1 if min(w.order for w in survey.waves) == 0 else order}"
    try:
        TypeAdapter(Identifier).validate_python(wave)
    except ValidationError:
        raise ScaffoldError(
            f"{wave!r} is no name of a wave: lower-case letters, digits and _, letter first"
        ) from None
    entries = _entries(folder, path, survey.files[0])
    template = _template(folder, entries, like, path.name)
    if template.format == file_format(path):
        # the same kind of file has the same options
        entries = _entries(folder, path, template)
    new = _declared(survey, template, path, wave)
    is_new = wave not in {w.wave for w in survey.waves}
    label = Label(en=f"Round {len(survey.waves) + 1}", zh=f"第 {len(survey.waves) + 1} 轮")
    waves = (
        *survey.waves,
        *([Wave(wave=wave, order=order, label=label, fieldwork=fieldwork)] if is_new else []),
    )
    changed = _with_file(survey, new, template, waves)
    columns, changes = _columns(folder, template, new, entries)
    rows, gone = _crosswalk(folder, template, new, wave, {c.variable for c in columns if c.variable})
    missing = [v for v in template.household_id if v not in {c.variable for c in columns}]
    if missing:
        raise ScaffoldError(
            f"{path.name} has no column {_header(folder, template, missing[0])!r}, which holds the household id in "
            f"{template.path}; name it alike, or say with --like which file it resembles"
        )
    if is_new:
        absent = _not_drawn(folder, template, wave, {c.variable for c in columns})
        changes += [
            f"design of wave {wave} has no {field}: no column {header!r}" for field, header in absent.items()
        ]
        changed = changed.model_copy(update={"design": _without(survey.design, wave, absent)})
    changes += [*gone, *_relabelled(folder, template, columns, entries)]
    codes = _same_answers(folder, new, columns, entries, path.parent)
    changes += [
        f"column {column.column!r}: answer {code.code!r} is taken for {known.code!r} of list {code.list}"
        for column, code, known in codes
    ]
    shutil.copyfile(path, folder.path / path.name)
    try:
        trial = replace(
            folder,
            survey=changed,
            columns=(*folder.columns, *columns),
            codes=(*folder.codes, *dict.fromkeys(code for _, code, _ in codes)),
            crosswalk=rows,
            inbox=None,
            lines={},
        )
        changes += _set_aside(trial, new)
        _write(folder, trial, new, wave, columns, rows)
    except BaseException:
        (folder.path / path.name).unlink()
        raise
    taken_over = sum(c.ignore_reason != BLANK for c in columns)
    return AddedWave(new.file_id, wave, template.file_id, taken_over, tuple(changes))


def _entries(folder: SurveyFolder, path: Path, like: SurveyFile) -> dict[str, Entry]:
    """What a file says of each of its columns, by header."""
    kind = file_format(path)
    options = like.options.model_dump() if kind == like.format else {}
    declared = SurveyFile.model_validate(
        {"file_id": "new", "path": path.name, "format": kind, "household_id": ["unknown"], "options": options}
    )
    with opened(declared, path.parent) as received:
        return {e.column: e for e in received.entries if e.column != ROW}


def _template(folder: SurveyFolder, entries: Mapping[str, Entry], like: str, name: str) -> SurveyFile:
    """The declared file that has most headers in common with the new one, the latest of equals."""
    files = {f.file_id: f for f in folder.survey.files}
    if like:
        if like not in files:
            raise ScaffoldError(f"no file {like!r} in survey.yml; there are: {', '.join(files)}")
        return files[like]
    order = {w.wave: w.order for w in folder.survey.waves}

    def likeness(file: SurveyFile) -> tuple[int, int]:
        common = sum(c.column in entries for c in folder.columns_of(file.file_id))
        return common, order[file.wave.fixed] if isinstance(file.wave, FixedWave) else -1

    best = max(files.values(), key=likeness)
    if not likeness(best)[0]:
        raise ScaffoldError(
            f"{name} has no header in common with any file of the survey; use the headers of the former wave, or "
            "declare the file by hand"
        )
    return best


def _declared(survey: Survey, template: SurveyFile, path: Path, wave: str) -> SurveyFile:
    taken = {f.file_id for f in survey.files}
    file_id = name_of(path.name.split(".")[0]) or f"{template.file_id}_{wave}"
    file_id = file_id if file_id not in taken else f"{file_id}_{wave}"
    kind = file_format(path)
    if template.grain is Grain.MEMBER and wave not in {w.wave for w in survey.waves}:
        raise ScaffoldError(
            f"{path.name} has several rows a household, like {template.path}: add the file of the households of the "
            "wave first, then this one with --wave and the name of that wave"
        )
    changes: dict[str, Any] = {
        "file_id": file_id,
        "path": path.name,
        "format": kind,
        "sha256": sha256_of(path),
    }
    changes |= {"wave": {"fixed": wave}}
    if kind != template.format:
        changes |= {"options": {}}
    return SurveyFile.model_validate(template.model_dump() | changes)


def _with_file(survey: Survey, new: SurveyFile, template: SurveyFile, waves: tuple[Wave, ...]) -> Survey:
    """The survey with the new file and wave.

    Where the survey had one wave, its files belonged to it without naming it. A file that covers several waves goes
    after the new one, which says alone who was interviewed in its wave.
    """
    files = list(survey.files)
    if len(survey.waves) == 1 and len(waves) > 1:
        first = FixedWave(fixed=survey.waves[0].wave)
        files = [f.model_copy(update={"wave": first}) if f.wave is None else f for f in files]
    place = next(i for i, f in enumerate(files) if f.file_id == template.file_id)
    files.insert(place + isinstance(files[place].wave, FixedWave), new)
    return survey.model_copy(update={"waves": waves, "files": tuple(files)})


def _header(folder: SurveyFolder, file: SurveyFile, variable: str) -> str:
    return folder.variables[file.file_id, variable].column


def _columns(
    folder: SurveyFolder, template: SurveyFile, new: SurveyFile, entries: Mapping[str, Entry]
) -> tuple[list[Column], list[str]]:
    """Declarations of the columns of the new file, and which headers came or went."""
    known = {c.column: c for c in folder.columns_of(template.file_id)}
    wave_variable = template.wave.column if isinstance(template.wave, WaveColumn) else None
    columns = []
    for header, entry in entries.items():
        column = known.get(header)
        if column is None:
            columns.append(
                Column(file_id=new.file_id, column=header, ignore_reason=BLANK, label=entry.label or None)
            )
        elif column.variable is not None and column.variable == wave_variable:
            columns.append(
                Column(file_id=new.file_id, column=header, ignore_reason=WAVE_SAID, label=column.label)
            )
        else:
            columns.append(column.model_copy(update={"file_id": new.file_id}))
    came = [h for h in entries if h not in known]
    changes = [f"column {h!r} is new: give it a variable or an ignore_reason in columns.csv" for h in came]
    changes += [f"column {h!r} of {template.path} is not in {new.path}" for h in known if h not in entries]
    return columns, changes


def _crosswalk(
    folder: SurveyFolder, template: SurveyFile, new: SurveyFile, wave: str, variables: set[str]
) -> tuple[tuple[CrosswalkRow, ...], list[str]]:
    """The crosswalk with what the new wave says otherwise than `*` says of all, and the indicators it lost."""
    survey, changes = folder.survey, list[str]()
    is_new = wave not in {w.wave for w in survey.waves}
    before = [w.wave for w in sorted(survey.waves, key=lambda w: w.order) if w.wave != wave]
    former = template.wave.fixed if isinstance(template.wave, FixedWave) else before[-1]
    added: dict[str, CrosswalkRow] = {}
    for indicator, row in folder.rows_of(former).items():
        sources = [folder.resolve(s, former) for s in row.sources]
        own = {v for file_id, v in sources if file_id == template.file_id}
        if not is_new and not own:
            continue
        other = {f for f, _ in sources if f != template.file_id and _is_of_one_wave(survey, f)}
        if sources and (other or own - variables):
            changes.append(
                f"{indicator} is not_asked in wave {wave}: {_absent(folder, template, own - variables, other)}"
            )
            added[indicator] = CrosswalkRow(
                wave=wave,
                indicator_id=indicator,
                rule=Rule.NOT_ASKED,
                status=Status.NOT_ASKED,
                evidence=ABSENT.format(file=new.path),
            )
            continue
        prefix = "" if template.grain is Grain.HOUSEHOLD and is_new else f"{new.file_id}."
        named = tuple(f"{prefix}{v}" if f == template.file_id else f"{f}.{v}" for f, v in sources)
        if row.wave != "*" or named != row.sources:
            added[indicator] = row.model_copy(update={"wave": wave, "sources": named})
    kept = (r for r in folder.crosswalk if r.wave != wave or r.indicator_id not in added)
    return (*kept, *added.values()), changes


def _not_drawn(
    folder: SurveyFolder, template: SurveyFile, wave: str, variables: set[str | None]
) -> dict[str, str]:
    """What of the design the file of a new wave does not say, with the header that said it before."""
    absent = {}
    for field, names in folder.survey.sampling(wave).names.items():
        for name in names:
            file_id, _, variable = name.rpartition(".")
            if _is_of_one_wave(folder.survey, file_id) if file_id else variable not in variables:
                absent[field] = _header(folder, template, variable) if not file_id else name
    return absent


def _without(design: Design, wave: str, fields: Iterable[str]) -> Design:
    """The design with a wave that lacks some of it."""
    lacking = {*fields}
    if "stratum" in lacking:
        lacking.add("population_units")  # which may be given by stratum
    if not lacking:
        return design
    return design.model_copy(
        update={"waves": {**design.waves, wave: Sampling.model_validate(dict.fromkeys(sorted(lacking)))}}
    )


def _is_of_one_wave(survey: Survey, file_id: str) -> bool:
    file = next(f for f in survey.files if f.file_id == file_id)
    return isinstance(file.wave, FixedWave) or (file.wave is None and len(survey.waves) == 1)


def _absent(
    folder: SurveyFolder, template: SurveyFile, variables: Iterable[str], files: Iterable[str]
) -> str:
    headers = [repr(_header(folder, template, v)) for v in sorted(variables)]
    return ", ".join(
        [*(f"no column {h}" for h in headers), *(f"no file like {f} yet" for f in sorted(files))]
    )


def _same_answers(
    folder: SurveyFolder, new: SurveyFile, columns: Sequence[Column], entries: Mapping[str, Entry], root: Path
) -> list[tuple[Column, Code, Code]]:
    """Answers that the code lists know under another code: words in one file are numbers with labels in another.

    Gives the column, the code to be added, and the known one that it stands for.
    """
    closed = [c for c in columns if c.variable and c.codes]
    answers: dict[str, dict[str, None]] = {c.column: {} for c in closed}
    with opened(new, root) as received:
        for batch in received.batches:
            for name, seen in answers.items():
                cells = pc.unique(batch.column(batch.schema.get_field_index(name))).to_pylist()
                seen.update(
                    (text.strip(), None) for cell in cells if (text := cell_text(cell)) and text.strip()
                )
    pairs = []
    for column in closed:
        known = folder.codes_of(column)
        labels = entries[column.column].value_labels
        for answer in dict.fromkeys([*labels, *answers[column.column]]):
            if any(code.code == answer or code.overlaps(answer) for code in known):
                continue
            words = {w.casefold() for w in (answer, *labels.get(answer, "").split(LANGUAGES)) if w}
            alike = [
                c for c in known if {w.casefold() for w in (c.code, c.label_en, c.label_zh) if w} & words
            ]
            if len({(c.list, c.value, c.missing_reason) for c in alike}) == 1:
                pairs.append((column, alike[0].model_copy(update={"code": answer}), alike[0]))
    return pairs


def _relabelled(
    folder: SurveyFolder, template: SurveyFile, columns: Sequence[Column], entries: Mapping[str, Entry]
) -> list[str]:
    """Columns whose answers are labelled otherwise than before: the same code may mean something else."""
    root = folder.root_of(template)
    if not (root / template.path).is_file():
        return []
    with opened(template, root) as received:
        before = {e.column: e for e in received.entries}
    changes = []
    for column in columns:
        if column.variable is None or column.column not in before:
            continue
        old, now = before[column.column], entries[column.column]
        for code in sorted({*old.value_labels} & {*now.value_labels}):
            if old.value_labels[code] != now.value_labels[code]:
                changes.append(
                    f"column {column.column!r}: answer {code} was {old.value_labels[code]!r} and is "
                    f"{now.value_labels[code]!r}; check codes.csv"
                )
        if old.label and now.label and old.label != now.label:
            changes.append(f"column {column.column!r} was called {old.label!r} and is called {now.label!r}")
    return changes


def _set_aside(trial: SurveyFolder, new: SurveyFile) -> list[str]:
    """What of the new file would be set aside, by column and rule, and who of the panel is in it."""
    with TemporaryDirectory(prefix="warehouse-wave-") as scratch, duckdb.connect() as con:
        load: SurveyLoad = ingest(trial, Path(scratch), con)
        if not load.is_accepted:
            return [str(p) for p in load.problems]
        rows = con.execute(
            'select "column", rule, count(*), min("row"), arg_min("value", "row") from quality.quarantine '
            "where file_id = ? group by all order by all",
            [new.file_id],
        ).fetchall()
        changes = [
            f"{f'column {column!r}: ' if column else ''}{n:,} {'answer' if column else 'row'}(s) would be set aside as "
            f"{rule}, such as row {row}{'' if value is None else f': {value!r}'}"
            for column, rule, n, row, value in rows
        ]
        return [*changes, *_panel(con, trial, new)]


def _panel(con: duckdb.DuckDBPyConnection, trial: SurveyFolder, new: SurveyFile) -> list[str]:
    """How many households of the wave were interviewed before, where the file says who was interviewed."""
    survey = trial.survey
    wave = new.wave.fixed if isinstance(new.wave, FixedWave) else ""
    if survey.base_file(wave).file_id != new.file_id:
        return []
    tables = {survey.base_file(w.wave).file_id for w in survey.waves} - {new.file_id}
    ids = " union ".join(
        f"select _household_id as id from raw.{sql.identifier(f'{survey.survey_id}__{t}')}"
        for t in sorted(tables)
    )
    now = f"(select distinct _household_id as id from raw.{sql.identifier(f'{survey.survey_id}__{new.file_id}')})"
    known, came, left = con.execute(
        f"select count(now.id) filter (where before.id is not null), count(now.id) filter (where before.id is null), "
        f"count(*) filter (where now.id is null) from {now} as now full join ({ids}) as before using (id)"
    ).fetchone() or (0, 0, 0)
    return [
        f"{known:,} households were interviewed before, {came:,} are new, {left:,} of before are not in it"
    ]


# ---- writing -----------------------------------------------------------------------------------------------------


def _write(
    folder: SurveyFolder,
    changed: SurveyFolder,
    new: SurveyFile,
    wave: str,
    columns: Sequence[Column],
    rows: Sequence[CrosswalkRow],
) -> None:
    """Write each file by rename, `survey.yml` last; what a person wrote in it, comments too, stays."""
    declared = [*_raw_rows(folder.path / "columns.csv"), *map(_cells, columns)]
    _replace_csv(folder.path / "columns.csv", list(Column.model_fields), declared)
    kept = {(r.wave, r.indicator_id) for r in folder.crosswalk} & {(r.wave, r.indicator_id) for r in rows}
    replaced = {r.indicator_id for r in rows if r.wave == wave and r not in folder.crosswalk}
    codes = [*_raw_rows(folder.path / "codes.csv"), *map(_cells, changed.codes[len(folder.codes) :])]
    _replace_csv(folder.path / "codes.csv", list(Code.model_fields), codes)
    old = [
        r
        for r in _raw_rows(folder.path / "crosswalk.csv")
        if (r["wave"], r["indicator_id"]) in kept
        and not (r["wave"] == wave and r["indicator_id"] in replaced)
    ]
    fresh = [_cells(r) for r in rows if r.wave == wave and r.indicator_id in replaced]
    _replace_csv(folder.path / "crosswalk.csv", list(CrosswalkRow.model_fields), [*old, *fresh])
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    document = yaml.load((folder.path / SURVEY_FILE).read_text(encoding="utf-8"))
    yaml.indent(mapping=2, sequence=4, offset=2)
    if changed.survey.waves != folder.survey.waves:
        document["waves"].append(changed.survey.waves[-1].model_dump(mode="json", exclude_none=True))
    for entry, file in zip(document["files"], folder.survey.files, strict=True):
        after = next(f for f in changed.survey.files if f.file_id == file.file_id)
        if after.wave != file.wave and after.wave is not None:
            entry["wave"] = after.wave.model_dump(mode="json")
    lacking = changed.survey.design.waves.get(wave)
    if lacking is not None and wave not in folder.survey.design.waves:
        waves = document.setdefault("design", {}).setdefault("waves", {})
        waves[wave] = lacking.model_dump(mode="json", exclude_unset=True)
    place = [f.file_id for f in changed.survey.files].index(new.file_id)
    written = new.model_dump(mode="json", exclude_defaults=True) | {"grain": str(new.grain)}
    document["files"].insert(place, {name: value for name, value in written.items() if value != {}})
    part = folder.path / f"{SURVEY_FILE}.new"
    with part.open("w", encoding="utf-8") as handle:
        yaml.dump(document, handle)
    part.replace(folder.path / SURVEY_FILE)


def _raw_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def _cells(row: Column | Code | CrosswalkRow) -> dict[str, str]:
    """A row as it stands in a CSV file."""

    def text(value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, (list, tuple)):
            return " ".join(map(str, value))
        return (cell_text(value) or "") if value is None or isinstance(value, float) else str(value)

    return {name: text(value) for name, value in row.model_dump(mode="json").items()}


def _replace_csv(path: Path, known: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    names = [*(rows[0] if rows else known)]
    names += [n for n in known if n not in names and any(r.get(n) for r in rows)]
    part = path.with_name(f"{path.name}.new")
    with part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)
