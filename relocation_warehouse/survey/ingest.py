"""Take the files of one survey into the build database, or refuse the survey and change nothing.

Belongs here: structure checks, corrections, setting rows aside, and the raw and quality tables of one survey.
Does not belong here: reading formats (`readers`), judging one cell (`cells`), or harmonising (`crosswalk`).

Three steps: every file is read and landed beside its last version, and everything wrong with its structure is
collected; corrections find their rows; then one transaction replaces all rows of the survey.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self

import duckdb
import pyarrow as pa

from relocation_warehouse.ground import sql
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey import household_ids
from relocation_warehouse.survey.cells import FAILED, MESSAGES, REASONS, CellSql, LandedColumn, cell_sql
from relocation_warehouse.survey.codebook import Entry, codebook_table
from relocation_warehouse.survey.conventions import Shown, judged
from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.folder import SurveyFolder, sha256_of
from relocation_warehouse.survey.household_ids import id_sql
from relocation_warehouse.survey.landing import land, landed_path
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.readers import ROW, Received, UnreadableFile, located, opened, place_of
from relocation_warehouse.survey.readers.base import SUBMISSION_ROW, cell_text
from relocation_warehouse.survey.vocabulary import (
    Code,
    Column,
    ColumnType,
    FixedSite,
    FixedWave,
    Grain,
    MissingReason,
    SurveyFile,
    WaveColumn,
)

WRITTEN = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.DATE)
"""Types whose cells may be written in several ways."""

JUDGED = 1000
"""Different cells by which a column is judged."""

NAMED = 10
"""Columns named in one message; the rest are counted."""

SAME_PANEL = 0.5
"""Share of households found again from which two waves are of one panel."""

ROW_MESSAGES = {
    "missing_household_id": ("has no household id", "缺少住户编号"),
    "ambiguous_household_id": (
        "is the id of two households, whose parts are cut at different places",
        "是两个住户的编号（各部分的分界不同）",
    ),
    "lookalike_household": (
        "looks like another id but contains letters of another alphabet",
        "与另一编号肉眼无法区分（含有其他字母表的字母）",
    ),
    "missing_wave": ("has no wave", "缺少调查轮次"),
    "unknown_wave": ("is a wave that the code list does not name", "不是代码表中的调查轮次"),
    "missing_site": ("has no site, and none is known from an earlier wave", "缺少安置点，且此前轮次亦无记录"),
    "unknown_site": ("is a site that the code list does not name", "不是代码表中的安置点"),
    "orphan": (
        "is a household without an accepted row in {base} for this wave",
        "在 {base} 中没有该轮次的有效住户记录",
    ),
    "missing_weight": ("is a household without a sampling weight", "是缺少抽样权重的住户"),
    "duplicate_household": (
        "occurs in several rows with different answers",
        "有多行且内容不一致，无法判断哪一行正确",
    ),
    "duplicate_row": (
        "repeats an earlier row with the same answers",
        "与前面某行所用的全部答案相同",
    ),
    "duplicate_submission": (
        "belongs to a submission that was set aside because it was sent twice",
        "所属的问卷因重复提交已被搁置",
    ),
}
"""Why a row is set aside, in the order in which the rules are tried, in English and Chinese."""

CONTRACT = "tables.yml"
"""File of the catalog that describes the published tables."""


@cache
def _tables(contract: Path) -> str:
    """SQL that creates the tables that receiving writes, with the columns that the contract gives them.

    A build database of an earlier version has the tables already, and gets the columns that were added since.
    """
    statements = [f"create schema if not exists {schema};" for schema in ("raw", "quality")]
    for table in read_yaml(contract)["tables"]:
        if table.get("made_by") == "ingest":
            columns = [f"{sql.identifier(c['name'])} {c['type']}" for c in table["columns"]]
            statements.append(f"create table if not exists {table['table']} ({', '.join(columns)});")
            statements += [
                f"alter table {table['table']} add column if not exists {column};" for column in columns
            ]
    return "\n".join(statements)


Inspection = Callable[[Mapping[str, Path]], Iterable[Problem]]
Trial = Callable[[duckdb.DuckDBPyConnection], Iterable[Problem]]


class Labelled(Protocol):
    """What is used of a catalog indicator."""

    @property
    def label_en(self) -> str:
        """English label."""
        ...

    @property
    def label_zh(self) -> str:
        """Chinese label."""
        ...


@dataclass(frozen=True)
class FileLoad:
    """One file of a load; received = accepted + quarantined, in rows.

    Attributes
    ----------
    sha256
        Of the file as it lies in the folder; None where there is none.
    """

    survey_id: str
    file_id: str
    path: str
    sha256: str | None
    received: int
    accepted: int
    quarantined: int
    encoding: str | None
    loaded_at: dt.datetime


@dataclass(frozen=True)
class SurveyLoad:
    """What became of a survey.

    Attributes
    ----------
    problems
        Why it was refused; empty where it was accepted.
    files
        Its files in the order of `survey.yml`; empty where it was refused.
    """

    survey_id: str
    is_accepted: bool
    files: tuple[FileLoad, ...]
    problems: tuple[Problem, ...]
    quarantined_rows: int = 0
    quarantined_cells: int = 0


@dataclass
class Landed:
    """A file after landing, on its way into the database."""

    file: SurveyFile
    columns: Mapping[str, Column]
    """Used columns by variable."""
    part: Path
    sha256: str
    kinds: Mapping[str, pa.DataType]
    """Landed type by header, in the order of the landed columns."""
    rows: int
    encoding: str | None
    codebook: pa.Table
    declared: Mapping[str, Sequence[str | tuple[float, float]]]
    """What the file declares as missing, by header."""
    codes: Mapping[str, Sequence[Code]] = field(default_factory=dict)
    """Every answer that a variable allows."""
    corrections: dict[str, dict[int, str]] = field(default_factory=dict)
    """Replacement by variable and row."""

    @property
    def scan(self) -> str:
        """SQL that reads the landed rows under names of our own: headers may differ in nothing but case."""
        names = ", ".join([*self.names.values(), ROW])
        return f"read_parquet({sql.text(str(self.part))}) as landed({names})"

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Name in SQL of each landed column by header."""
        return {header: f"c{i}" for i, header in enumerate(self.kinds)}

    def landed(self, variable: str) -> LandedColumn:
        """The column of a variable, with its corrections."""
        header = self.columns[variable].column
        corrections = self.corrections.get(variable, {})
        return LandedColumn(
            self.names[header], self.kinds[header], corrections, holds_numbers=self.file.format == "excel"
        )

    def text(self, variable: str) -> str:
        """SQL for a variable as received, corrected."""
        return self.landed(variable).text

    @property
    def household_id(self) -> str:
        """SQL for the household id in the one way of writing; NULL where a part of it is blank or missing."""
        return self._of_form(self._joined(self.file.household_id))

    @property
    def split_from(self) -> str:
        """SQL for the household that this one split off from; NULL where it did not."""
        return self._of_form(self._joined(self.file.split_from)) if self.file.split_from else "null"

    def _of_form(self, household_id: str) -> str:
        return household_id if self.file.household_id_form == "as_written" else _plain(household_id)

    def _joined(self, variables: Sequence[str]) -> str:
        return " || '-' || ".join(map(self.part_of_id, variables))

    def part_of_id(self, variable: str) -> str:
        """SQL for a part of the household id."""
        header = self.columns[variable].column
        return id_sql(self.text(variable), self.codes.get(variable, ()), self.declared.get(header, ()))


def ingest(
    folder: SurveyFolder,
    landing: Path,
    con: duckdb.DuckDBPyConnection,
    indicators: Mapping[str, Labelled] | None = None,
    inspect: Inspection | None = None,
    trial: Trial | None = None,
) -> SurveyLoad:
    """Load a survey into `raw` and `quality`, replacing its former rows; or refuse it and leave them.

    Parameters
    ----------
    folder
        A folder that `load_folder` accepted.
    landing
        Folder under which files land as `<survey_id>/<file_id>.parquet`.
    con
        Connection to the build database, in no transaction.
    indicators
        Catalog; messages about a cell then say which indicators it feeds.
    inspect
        Asked about the landed files, by file id, before anything is replaced; what it finds refuses the survey.
    trial
        Asked about the new raw and quality tables before they are committed; what it finds refuses the survey. By
        default only whether every household has its weight.

    Returns
    -------
    SurveyLoad
        Refused where any file has the wrong structure, a correction no longer fits, or `inspect` or `trial` refuses.
    """
    with Intake(folder, landing, con) as intake:
        if inspect is not None and not intake.problems:
            intake.problems += inspect(intake.parts)
        if not intake.problems:
            intake.load(indicators or {})
            intake.problems += _unusable_weights(folder, con) if trial is None else trial(con)
        return intake.finish()


class Intake:
    """The files of one survey on their way in, for the length of a `with` block.

    Entering the block lands the files. What is loaded stays in an open transaction, so that the rows can be looked at
    before `finish` accepts or refuses them. A block that ends otherwise leaves the database, and the files that landed
    before, as they were.

    Attributes
    ----------
    problems
        Why the survey is refused; whoever looks at its files or rows adds to them.
    """

    def __init__(self, folder: SurveyFolder, landing: Path, con: duckdb.DuckDBPyConnection) -> None:
        self.folder = folder
        self.landing = landing
        self.con = con
        self.problems: list[Problem] = []
        self._landed: list[Landed] = []
        self._load: SurveyLoad | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        """Land the files, and find the rows that corrections mend."""
        self.con.execute(_tables(Paths.from_environment().catalog / CONTRACT))
        household_ids.register(self.con)
        try:
            for file in self.folder.survey.files:
                landed = _land(self.folder, file, self.landing, self.problems)
                if landed is not None:
                    self._landed.append(landed)
            if not self.problems:
                self.problems += _find_corrections(self.folder, self._landed, self.con)
                self.problems += _changed_ids(self.folder, self._landed, self.con)
        except BaseException:
            self._remove_parts()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Undo what was not accepted."""
        self._roll_back()
        self._remove_parts()

    @property
    def parts(self) -> dict[str, Path]:
        """The landed files by file id, under names that last as long as the block; empty where one is refused."""
        return {} if self.problems else {file.file.file_id: file.part for file in self._landed}

    def load(self, indicators: Mapping[str, Labelled]) -> None:
        """Replace the rows of the survey, in a transaction that stays open."""
        self.con.begin()
        self._is_open = True
        self._load = _replace(self.folder, self._landed, self.con, indicators)

    def finish(self) -> SurveyLoad:
        """Keep the loaded rows and the landed files; or, where there are problems, refuse the survey."""
        if self._load is None or self.problems:
            self._roll_back()
            survey = self.folder.survey
            return refuse(survey.survey_id, self.problems, self.con, is_synthetic=survey.is_synthetic)
        self.con.commit()
        self._is_open = False
        for file in self._landed:
            file.part.replace(landed_path(self.landing, self.folder.survey_id, file.file.file_id))
        return self._load

    def _roll_back(self) -> None:
        if self._is_open:
            self._is_open = False
            self.con.rollback()

    def _remove_parts(self) -> None:
        for part in (self.landing / self.folder.survey_id).glob("*.part"):
            part.unlink()


def _unusable_weights(folder: SurveyFolder, con: duckdb.DuckDBPyConnection) -> Iterator[Problem]:
    """The least that rows are tried for where no other trial is given: nothing later can mend a weight."""
    for wave in folder.survey.waves:
        weight = folder.survey.sampling(wave.wave).weight
        if not weight:
            continue
        file_id, name = folder.resolve(weight, wave.wave)
        file = next(f for f in folder.survey.files if f.file_id == file_id)
        column = sql.identifier(name)
        of_wave = f"_wave = {sql.text(wave.wave)}" if isinstance(file.wave, WaveColumn) else "true"
        n, row = con.execute(
            f"select count(*), min(_row) from raw.{_raw_name(folder.survey_id, file_id)} "
            f"where {of_wave} and not coalesce({column} >= 0, false)"
        ).fetchall()[0]
        if n:
            yield Problem(
                file.path,
                row,
                f"{n} household(s) of wave {wave.wave} have no sampling weight of 0 or more in {name!r}; fill it in, "
                "or let them be set aside with missing_weight: set_aside",
            )


def refuse(
    survey_id: str, problems: Iterable[Problem], con: duckdb.DuckDBPyConnection, *, is_synthetic: bool = False
) -> SurveyLoad:
    """Record in `quality.loads` that a survey was refused; its accepted rows stay what they are.

    Where a version of the survey is loaded, its rows keep their counts and say that the newest delivery was
    refused, and why. Otherwise there is one row for each file that has a problem.
    """
    con.execute(_tables(Paths.from_environment().catalog / CONTRACT))
    ordered = tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.message)))
    by_file: dict[str, list[str]] = {}
    for problem in ordered:
        by_file.setdefault(problem.file, []).append(str(problem))
    con.begin()
    try:
        con.execute(
            "delete from quality.loads where survey_id = ? and received = 0 and status = 'refused'",
            [survey_id],
        )
        con.execute(
            "update quality.loads set status = 'refused', message = ? where survey_id = ?",
            ["\n".join(map(str, ordered)), survey_id],
        )
        loaded = con.execute(
            "select 1 from quality.loads where survey_id = ? limit 1", [survey_id]
        ).fetchone()
        for file, messages in by_file.items() if loaded is None else ():
            kind = Path(file).suffix.lstrip(".")
            con.execute(
                "insert into quality.loads (survey_id, file_id, file, format, received, accepted, quarantined, "
                "status, message, loaded_at, is_synthetic) values (?, ?, ?, ?, 0, 0, 0, 'refused', ?, ?, ?)",
                [survey_id, file, file, kind, "\n".join(messages), _now(), is_synthetic],
            )
        con.commit()
    except BaseException:
        con.rollback()
        raise
    return SurveyLoad(survey_id, False, (), ordered)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None)


# ---- structure ------------------------------------------------------------------------------------------------


def _land(folder: SurveyFolder, file: SurveyFile, landing: Path, problems: list[Problem]) -> Landed | None:
    """Read and land one file; None where its structure is wrong."""
    before = len(problems)
    declared = folder.columns_of(file.file_id)
    part = landed_path(landing, folder.survey_id, file.file_id).with_suffix(".part")
    root = folder.root_of(file)
    digest = ""
    try:
        digest = sha256_of(located(file, root))
        expected, witness = folder.expected_sha256(file)
        if digest and expected is not None and digest != expected:
            message = (
                f"sha256 is {digest}, {witness} says {expected}: the file was replaced or damaged; "
                "check it, then correct sha256"
            )
            problems.append(Problem(file.path, None, message))
            return None
        with opened(file, root) as received:
            problems += [Problem(file.path, None, m) for m in _structure(file, declared, received)]
            problems += [Problem(file.path, None, m) for m in _contradictions(folder, declared, received)]
            if len(problems) > before:
                return None
            wanted = {c.column for c in declared} | {SUBMISSION_ROW}
            headers = [n for n in received.schema.names if n in wanted or n not in received.borrowed]
            rows = land(received, headers, part)
    except UnreadableFile as error:
        message = str(error).removeprefix(file.path).lstrip(": ")
        problems.append(Problem(file.path, None, message))
        return None
    if rows == 0:
        problems.append(
            Problem(file.path, None, f"file {file.file_id} has a header but no rows; export it again")
        )
        return None
    used = {c.column for c in declared if c.variable is not None}
    # words of a column that is personal or ignored may be names of people: they stay in the file
    entries = [
        e if e.column in used else Entry(e.column, e.type_as_stored)
        for e in received.entries
        if e.column in headers
    ]
    return Landed(
        file=file,
        columns={c.variable: c for c in declared if c.variable is not None},
        part=part,
        sha256=digest,
        kinds={h: received.schema.field(h).type for h in headers if h != ROW},
        rows=rows,
        encoding=received.encoding,
        codebook=codebook_table(file.file_id, entries, "; ".join(received.notes)),
        declared={e.column: e.missing_declared for e in entries},
        codes={c.variable: folder.codes_of(c) for c in declared if c.variable is not None},
    )


def _structure(file: SurveyFile, declared: Sequence[Column], received: Received) -> Iterable[str]:
    headers = [n for n in received.schema.names if n != ROW]
    twice = [h for h, count in Counter(headers).items() if count > 1]
    if twice:
        yield f"header {_listed(twice)} occurs more than once; give each column its own header"
    known = {c.column for c in declared}
    blocks = [c for c in declared if c.is_block and c.column not in set(headers)]
    missing = [c.column for c in declared if c.column not in set(headers) and c not in blocks]
    unmatched = [c.column for c in blocks if not any(c.holds(h) for h in headers)]
    if unmatched:
        yield f"file {file.file_id} has no column that {_listed(unmatched)} of columns.csv stands for; take it out"
    if missing:
        yield (
            f"file {file.file_id} lacks the column {_listed(missing)} of columns.csv; "
            "correct the header there, or ask for a complete export"
        )
    unknown = [
        h
        for h in dict.fromkeys(headers)
        if h not in known and h not in received.borrowed and not any(c.holds(h) for c in blocks)
    ]
    if unknown:
        yield (
            f"file {file.file_id} has the column {_listed(unknown)}, which columns.csv does not declare; "
            "add a variable or an ignore_reason for it"
        )


def _contradictions(folder: SurveyFolder, declared: Sequence[Column], received: Received) -> Iterable[str]:
    """What the file declares missing while codes.csv counts it as an answer."""
    columns = {c.column: c for c in declared if c.variable is not None and c.codes}
    for entry in received.entries:
        codes = folder.codes_of(columns[entry.column]) if entry.column in columns else ()
        missing_codes = {c.code for c in codes if c.missing_reason is not None}
        for item in entry.missing_declared:
            for code in (
                c for c in codes if c.value is not None and item not in missing_codes and c.overlaps(item)
            ):
                shown = item if isinstance(item, str) else f"{item[0]} to {item[1]}"
                yield (
                    f"column {entry.column!r}: the file declares {shown} missing, but codes.csv (list {code.list}) "
                    f"counts {code.code!r} as an answer; correct the one that is wrong"
                )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED:,} more"


def _find_corrections(
    folder: SurveyFolder, landed: Sequence[Landed], con: duckdb.DuckDBPyConnection
) -> list[Problem]:
    """Give every correction the rows it mends; a correction whose error is gone is a problem."""
    problems = []
    files = {f.file.file_id: f for f in landed}
    pending: list[tuple[Landed, str, int, str]] = []
    for correction in folder.corrections:
        file = files[correction.file_id]
        cells = con.execute(
            f"select _row, {file.text(correction.variable)} from {file.scan} where {file.household_id} = ?",
            [household_ids.canonical_text(correction.household_id)],
        ).fetchall()
        rows = [row for row, value in cells if (value or "") == correction.expect.strip()]
        if not rows:
            now = (
                f"holds {', '.join(sorted({repr(v or '') for _, v in cells}))}"
                if cells
                else "is not in the file"
            )
            message = (
                f"household {correction.household_id!r}, {correction.variable}: expected {correction.expect!r}, "
                f"but it {now}; the source has changed, so check it and remove or renew this correction"
            )
            problems.append(Problem("corrections.csv", None, message))
        pending += [(file, correction.variable, row, correction.replacement) for row in rows]
    # Only now, so that a corrected household id does not hide the household from the next correction.
    for file, variable, row, replacement in pending:
        file.corrections.setdefault(variable, {})[row] = replacement
    return problems


def _plain(household_id: str) -> str:
    """SQL of a household id without what differs between ways of writing it."""
    plain = f"regexp_replace(lower({household_id}), '\\.0+$', '')"
    plain = f"regexp_replace({plain}, '[\\s\\p{{P}}]+', '-', 'g')"
    return f"regexp_replace({plain}, '(^|[^0-9])0+([0-9])', '\\1\\2', 'g')"


def _changed_ids(
    folder: SurveyFolder, landed: Sequence[Landed], con: duckdb.DuckDBPyConnection
) -> list[Problem]:
    """Waves that share few household ids as written, but most of them in plain form: a panel that would fall apart."""
    problems = []
    survey = folder.survey
    files = {f.file.file_id: f for f in landed}
    for former, wave in pairwise(sorted(survey.waves, key=lambda w: w.order)):
        before, after = (files[survey.base_file(w.wave).file_id] for w in (former, wave))
        if before is after:
            continue
        ids = [
            f"(select distinct {file.household_id} as id from {file.scan} "
            f"where coalesce({_wave(folder, file)}, {sql.text(name)}) = {sql.text(name)})"
            for file, name in ((before, former.wave), (after, wave.wave))
        ]
        plain = [
            f"(select {_plain('id')} as form, min(id) as id from {each} where id is not null group by 1)"
            for each in ids
        ]
        n_same, n_alike, n_before, n_after = (
            _count(con, source)
            for source in (
                f"{ids[0]} join {ids[1]} using (id)",
                f"{plain[0]} join {plain[1]} using (form)",
                ids[0],
                ids[1],
            )
        )
        if n_alike <= min(n_before, n_after) * SAME_PANEL or n_same >= n_alike * SAME_PANEL:
            continue
        there, here = con.execute(
            f"select one.id, two.id from {plain[0]} one join {plain[1]} two using (form) "
            "where one.id <> two.id order by all limit 1"
        ).fetchone() or ("", "")
        message = (
            f"household ids are written otherwise than in {place_of(before.file)}: {there!r} there is {here!r} here. "
            f"As written {n_same:,} households of {n_before:,} are found again, {n_alike:,} where zeros in front, "
            "capitals and separators do not count; write the ids alike, or say household_id_form: plain at both files "
            "in survey.yml"
        )
        problems.append(Problem(after.file.path, None, message))
    return problems


# ---- rows and cells ---------------------------------------------------------------------------------------------


def _replace(
    folder: SurveyFolder,
    landed: Sequence[Landed],
    con: duckdb.DuckDBPyConnection,
    indicators: Mapping[str, Labelled],
) -> SurveyLoad:
    survey = folder.survey
    former = con.execute(
        "select file_id from quality.loads where survey_id = ?", [survey.survey_id]
    ).fetchall()
    for (file_id,) in former:
        con.execute(f"drop table if exists raw.{_raw_name(survey.survey_id, file_id)}")
    for table in ("loads", "quarantine", "codebook"):
        con.execute(f"delete from quality.{table} where survey_id = ?", [survey.survey_id])
    loads: dict[str, FileLoad] = {}
    con.execute(
        "create or replace temp table interviewed "
        "(household_id varchar, wave varchar, wave_order bigint, site_id varchar)"
    )
    con.execute("create or replace temp table spelled (household_id varchar, parts varchar[])")
    con.execute("create or replace temp table sent_twice (path varchar, _row bigint)")
    for file in sorted(landed, key=lambda f: _first_order(folder, f)):
        quarantined = _set_rows_aside(folder, file, con)
        accepted = _build_raw(folder, file, con, is_whole=quarantined == 0)
        if file.rows != accepted + quarantined:
            raise RuntimeError(
                f"{file.file.path}: {file.rows} rows received, but {accepted} accepted and {quarantined} set aside"
            )
        _set_cells_aside(folder, file, con, indicators)
        load = FileLoad(
            survey.survey_id,
            file.file.file_id,
            file.file.path,
            file.sha256,
            file.rows,
            accepted,
            quarantined,
            file.encoding,
            _now(),
        )
        con.execute(
            "insert into quality.loads (survey_id, file_id, file, sha256, format, encoding, received, accepted, "
            "quarantined, status, loaded_at, is_synthetic) values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'accepted', ?, ?)",
            [
                load.survey_id,
                load.file_id,
                load.path,
                load.sha256,
                file.file.format,
                load.encoding,
                load.received,
                load.accepted,
                load.quarantined,
                load.loaded_at,
                survey.is_synthetic,
            ],
        )
        columns = ", ".join(sql.identifier(n) for n in file.codebook.column_names)
        con.register("received_codebook", file.codebook)
        con.execute(
            f"insert into quality.codebook by name select ? as survey_id, {columns}, ? as is_synthetic "
            "from received_codebook",
            [survey.survey_id, survey.is_synthetic],
        )
        con.unregister("received_codebook")
        loads[load.file_id] = load
    con.execute(
        "drop view arrived; drop table set_aside; drop table interviewed; drop table if exists twice; "
        "drop table if exists repeats; drop table if exists kept_sites; drop table spelled; drop table sent_twice; "
        "drop table if exists ambiguous; drop table if exists lookalikes"
    )
    cells = _count(
        con, "quality.quarantine where grain = 'cell' and survey_id = " + sql.text(survey.survey_id)
    )
    ordered = tuple(loads[file.file.file_id] for file in landed)
    return SurveyLoad(survey.survey_id, True, ordered, (), sum(f.quarantined for f in ordered), cells)


def _raw_name(survey_id: str, file_id: str) -> str:
    return sql.identifier(f"{survey_id}__{file_id}")


def _count(con: duckdb.DuckDBPyConnection, source: str) -> int:
    row = con.execute(f"select count(*) from {source}").fetchone()
    return int(row[0]) if row else 0


def _mapped(folder: SurveyFolder, text: str, codes: str) -> str:
    """SQL that turns an answer into what its code list says: a wave or a site."""
    cases = [(c.code, c.value) for c in folder.code_lists[codes] if c.value is not None]
    return f"case {text} {' '.join(f'when {sql.text(a)} then {sql.text(b)}' for a, b in cases)} end"


def _unsaid(folder: SurveyFolder, text: str, codes: str) -> str:
    """SQL for an answer that is blank or a missing code."""
    missing = [c.code for c in folder.code_lists[codes] if c.missing_reason is not None]
    return f"({text} is null or {text} in ({sql.texts(missing)}))" if missing else f"{text} is null"


def _wave(folder: SurveyFolder, file: Landed) -> str:
    match file.file.wave:
        case FixedWave(fixed=wave):
            return sql.text(wave)
        case WaveColumn(column=column, codes=codes):
            return _mapped(folder, file.text(column), codes)
        case _:
            return "cast(null as varchar)"


def _base_waves(folder: SurveyFolder, file: Landed) -> dict[str, int]:
    """Waves for which the file says who was interviewed and where, in order of time, with their order."""
    survey, file_id = folder.survey, file.file.file_id
    waves = sorted(survey.waves, key=lambda w: w.order)
    return {w.wave: w.order for w in waves if survey.base_file(w.wave).file_id == file_id}


def _first_order(folder: SurveyFolder, file: Landed) -> float:
    """Place of a file in the load: who was interviewed, wave by wave, and then what else they answered."""
    return min(_base_waves(folder, file).values(), default=float("inf"))


def _is_base(folder: SurveyFolder, file: Landed) -> str:
    """SQL: whether a row says that a household was interviewed."""
    waves = _base_waves(folder, file)
    if not waves:
        return "false"
    return f"wave in ({sql.texts(waves)})" if isinstance(file.file.wave, WaveColumn) else "true"


def _wave_order(folder: SurveyFolder, file: Landed, wave: str) -> str:
    """SQL for the place in time of the wave of a row; the first one where a row covers several."""
    if file.file.wave is None:
        return str(min(_base_waves(folder, file).values(), default=0))
    return (
        f"case {wave} {' '.join(f'when {sql.text(w.wave)} then {w.order}' for w in folder.survey.waves)} end"
    )


def _site(folder: SurveyFolder, file: Landed) -> str:
    """SQL for the site as received; NULL where the file has no such column."""
    if isinstance(folder.survey.site, FixedSite):
        return sql.text(folder.survey.site.fixed)
    column = folder.survey.site.column
    return file.text(column) if column in file.columns else "cast(null as varchar)"


def _site_id(folder: SurveyFolder, file: Landed) -> str:
    """SQL for the site that the answer means; NULL where it means none."""
    text, site = _site(folder, file), folder.survey.site
    return text if isinstance(site, FixedSite) else _mapped(folder, text, site.codes)


def _weights(folder: SurveyFolder, file: Landed) -> tuple[str, str]:
    """SQL of the landed rows with what their weights stand for, and whether one is missing where that sets aside."""
    names = {
        wave: name
        for wave in _base_waves(folder, file)
        if (weight := folder.survey.sampling(wave).weight)
        for file_id, name in [folder.resolve(weight, wave)]
        if file_id == file.file.file_id
    }
    if folder.survey.missing_weight != "set_aside" or not names:
        return file.scan, "false"
    cells = _cells(folder, file)
    parsed = ", ".join(
        f"{cells[name].parsed} as {cells[name].alias}" for name in dict.fromkeys(names.values())
    )
    is_missing = {wave: f"({cells[name].reason}) is not null" for wave, name in names.items()}
    condition = " or ".join(dict.fromkeys(is_missing.values()))
    if isinstance(file.file.wave, WaveColumn):
        cases = " ".join(f"when {sql.text(wave)} then {missing}" for wave, missing in is_missing.items())
        condition = f"coalesce(case {_wave(folder, file)} {cases} end, false)"
    return f"(select *, {parsed} from {file.scan})", condition


def _set_rows_aside(folder: SurveyFolder, file: Landed, con: duckdb.DuckDBPyConnection) -> int:
    """Make the temporary table `set_aside` and add it to the quarantine; give the number of rows."""
    rules: list[tuple[str, str, str]] = [("missing_household_id", "household_id is null", "null")]
    parts = ", ".join(map(file.part_of_id, file.file.household_id))
    sent = "null"
    if SUBMISSION_ROW in file.names:
        sent = f"cast({file.names[SUBMISSION_ROW]} as bigint)"
    waves = file.text(file.file.wave.column) if isinstance(file.file.wave, WaveColumn) else "null"
    wave = _wave(folder, file)
    if isinstance(file.file.wave, WaveColumn):
        rules.append(("missing_wave", _unsaid(folder, "wave_text", file.file.wave.codes), "wave_text"))
        rules.append(("unknown_wave", "wave is null", "wave_text"))
    scan, is_unweighted = _weights(folder, file)
    con.execute(
        f"create or replace temp view arrived as select _row, {file.household_id} as household_id, [{parts}] as parts, "
        f"{sent} as submission, "
        f"{waves} as wave_text, {wave} as wave, {_wave_order(folder, file, wave)} as wave_order, "
        f"{_site(folder, file)} as site_text, {_site_id(folder, file)} as site_id, "
        f"{is_unweighted} as is_unweighted from {scan}"
    )
    is_base, joins = _is_base(folder, file), ""
    if len(file.file.household_id) > 1 and _find_ambiguous(con):
        rules.append(("ambiguous_household_id", "household_id in (from ambiguous)", "household_id"))
    if _base_waves(folder, file) and _find_lookalikes(con):
        rules.append(("lookalike_household", "household_id in (from lookalikes)", "household_id"))
    if _base_waves(folder, file):
        site = folder.survey.site
        unsaid = "false" if isinstance(site, FixedSite) else _unsaid(folder, "site_text", site.codes)
        _keep_sites(f"{is_base} and {unsaid}", con)
        rules.append(("missing_site", f"{is_base} and {unsaid} and kept_site is null", "site_text"))
        rules.append(("unknown_site", f"{is_base} and not {unsaid} and site_id is null", "site_text"))
        joins = "left join kept_sites using (_row)"
    same = "" if file.file.wave is None else " and i.wave = arrived.wave"
    known = f"exists (select 1 from interviewed i where i.household_id = arrived.household_id{same})"
    rules.append(("orphan", f"not {is_base} and not is_known", "household_id"))
    rules.append(("missing_weight", f"{is_base} and is_unweighted", "household_id"))
    if SUBMISSION_ROW in file.names:
        again = f"select _row from sent_twice where path = {sql.text(file.file.path)}"
        rules.append(("duplicate_submission", f"submission in ({again})", "household_id"))
    if file.file.grain is Grain.HOUSEHOLD and _find_repeats(folder, file, con):
        rules.append(("duplicate_household", "repeats.is_equal = false", "household_id"))
        rules.append(("duplicate_row", "repeats.nth > 1", "household_id"))
        joins += " left join repeats using (_row)"
    rule = " ".join(f"when {condition} then {sql.text(name)}" for name, condition, _ in rules)
    value = " ".join(f"when {sql.text(name)} then {shown}" for name, _, shown in rules)
    con.execute(
        f"create or replace temp table set_aside as select _row, household_id, rule, case rule {value} end as value "
        f"from (select *, case {rule} end as rule "
        f"from (select *, {known} as is_known from arrived) as arrived {joins}) where rule is not null"
    )
    _quarantine(folder, file, con, "row", "set_aside", _row_messages(folder, file))
    if file.file.format == "odk" and place_of(file.file) == file.file.path:
        con.execute(
            f"insert into sent_twice select {sql.text(file.file.path)}, _row from set_aside "
            "where rule = 'duplicate_row'"
        )
    return _count(con, "set_aside")


def _find_ambiguous(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether two different lists of parts are joined to one id, here or in a file before; if so, make `ambiguous`."""
    con.execute(
        "insert into spelled select distinct household_id, parts from arrived where household_id is not null"
    )
    con.execute(
        "create or replace temp table ambiguous as select household_id from spelled "
        "group by household_id having count(distinct parts) > 1"
    )
    return _count(con, "ambiguous") > 0


def _find_lookalikes(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether ids differ only in letters that look the same; if so, make the temporary table `lookalikes`."""
    foreign = f"regexp_matches(household_id, {sql.text(household_ids.FOREIGN)})"
    if not _count(
        con, f"(select 1 from arrived where {foreign} union all select 1 from interviewed where {foreign})"
    ):
        return False
    con.execute(
        "create or replace temp table lookalikes as select household_id from "
        "(select household_id from arrived where household_id is not null union select household_id from interviewed) "
        f"qualify count(*) over (partition by {household_ids.skeleton('household_id')}) > 1"
    )
    return _count(con, "lookalikes") > 0


def _keep_sites(unsaid: str, con: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary table `kept_sites`: the site of the wave before for households that do not say theirs."""
    con.execute(
        f"""create or replace temp table kept_sites as
        with known as (
            select household_id, wave_order, min(site_id) as site_id
            from (select household_id, wave_order, site_id from interviewed
                  union all select household_id, wave_order, site_id from arrived where site_id is not null)
            group by all having count(distinct site_id) = 1)
        select _row, known.site_id as kept_site
        from (select _row, household_id, wave_order from arrived where {unsaid}) as asked
        asof join known on asked.household_id = known.household_id and asked.wave_order > known.wave_order"""
    )


def _row_messages(folder: SurveyFolder, file: Landed) -> dict[str, tuple[str, str]]:
    """Why a row of this file is set aside; for an orphan, where its household was looked for."""
    survey = folder.survey
    waves = [w.wave for w in survey.waves]
    if isinstance(file.file.wave, FixedWave):
        waves = [file.file.wave.fixed]
    places = dict.fromkeys(place_of(survey.base_file(wave)) for wave in waves)
    base = (" or ".join(places), "、".join(places))
    return {
        rule: (en.format(base=base[0]), zh.format(base=base[1])) for rule, (en, zh) in ROW_MESSAGES.items()
    }


def _answer(file: Landed, variable: str, cell: CellSql | None) -> str:
    """SQL of an answer as it is compared: 1 and 1.0 are the same number, 2024-03-05 and 2024/3/5 the same day."""
    if cell is None or file.columns[variable].type not in WRITTEN:
        return file.text(variable)
    return f"coalesce(cast({cell.parsed} as varchar), {file.text(variable)})"


def _find_repeats(folder: SurveyFolder, file: Landed, con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a household occurs more than once in a wave; if so, make the temporary table `repeats` of such rows."""
    con.execute(
        "create or replace temp table twice as select household_id, wave from arrived "
        "where household_id is not null group by all having count(*) > 1"
    )
    if not _count(con, "twice"):
        return False
    # What is not used does not speak: a form that is sent again has another number and time of submission.
    ids = {*file.file.household_id, *file.file.split_from}
    cells = _cells(folder, file)
    used = ", ".join(_answer(file, v, cells.get(v)) for v in file.columns if v not in ids) or "null"
    con.execute(
        f"""create or replace temp table repeats as
        with rows as (
            select arrived._row, household_id, arrived.wave from arrived join twice
            using (household_id) where arrived.wave is not distinct from twice.wave),
        contents as (select _row, hash({used}) as content from {file.scan} semi join rows using (_row))
        select _row,
            row_number() over (partition by household_id, wave order by _row) as nth,
            min(content) over (partition by household_id, wave)
                = max(content) over (partition by household_id, wave) as is_equal
        from rows join contents using (_row)"""
    )
    return True


def _cells(
    folder: SurveyFolder, file: Landed, shown: Mapping[str, Shown] | None = None
) -> dict[str, CellSql]:
    """How the cells of each variable are judged, by the variable's name; `shown` is what its other cells show."""
    return {
        variable: cell_sql(
            column,
            folder.codes_of(column),
            file.landed(variable),
            f"n{i}",
            file.declared[column.column],
            folder.survey.conventions.get(column.convention or ""),
            is_point_doubtful=(shown or {}).get(variable, Shown()).is_point_doubtful,
        )
        for i, (variable, column) in enumerate(file.columns.items())
    }


def _build_raw(folder: SurveyFolder, file: Landed, con: duckdb.DuckDBPyConnection, *, is_whole: bool) -> int:
    """Make the raw table of one file, of the rows that are not set aside; give its number of rows.

    A household has the site of its wave. What a base file holds is remembered in `interviewed`.
    """
    base_waves = _base_waves(folder, file)
    cells = _cells(folder, file)
    keys = ["_row", f"{file.household_id} as _household_id", f"{_wave(folder, file)} as _wave"]
    source = file.scan if is_whole else f"{file.scan} anti join set_aside using (_row)"
    own = _site_id(folder, file)
    if base_waves:
        keys.append(f"coalesce({own}, kept_site) as _site_id")
        source, sites = f"{source} left join kept_sites using (_row)", ""
    elif file.file.wave is None:
        sites = (
            "left join (select household_id as _household_id, arg_min(site_id, wave_order) as _site_id "
            "from interviewed group by household_id) using (_household_id)"
        )
    else:
        sites = (
            "left join (select household_id as _household_id, wave as _wave, site_id as _site_id from interviewed) "
            "using (_household_id, _wave)"
        )
    weight = "null"
    if base_waves and folder.survey.sampling_weight in cells:
        i = list(cells).index(folder.survey.sampling_weight)
        weight = f"case when j{i} is null then {cells[folder.survey.sampling_weight].value} end"
    # Three layers: what a cell stands for, why it is none, and the value where nothing speaks against it.
    parsed = ", ".join(f"{cell.parsed} as {cell.alias}" for cell in cells.values())
    reasons = ", ".join(f"{cell.reason} as j{i}" for i, cell in enumerate(cells.values()))
    selected = ["_row", "_household_id", "_wave", "_site_id", f"cast({weight} as double) as _weight"]
    if file.file.split_from:
        keys.append(f"{file.split_from} as _split_from")
        selected.append("_split_from")
    for i, (variable, cell) in enumerate(cells.items()):
        selected.append(f"case when j{i} is null then {cell.value} end as {sql.identifier(variable)}")
        selected.append(f"j{i} as {sql.identifier(variable + '__missing')}")
    name = f"raw.{_raw_name(folder.survey_id, file.file.file_id)}"
    con.execute(
        f"create or replace table {name} as select {', '.join(selected)} from "
        f"(select *, {reasons} from (select *, {', '.join([*keys[1:], parsed])} from {source})) {sites}"
    )
    if base_waves:
        waves = ", ".join(f"({sql.text(wave)}, {order})" for wave, order in base_waves.items())
        same = "" if file.file.wave is None else "where _wave = wave"
        con.execute(
            f"insert into interviewed select _household_id, wave, wave_order, _site_id "
            f"from {name} cross join (values {waves}) as base(wave, wave_order) {same}"
        )
    return _count(con, name)


def _set_cells_aside(
    folder: SurveyFolder, file: Landed, con: duckdb.DuckDBPyConnection, indicators: Mapping[str, Labelled]
) -> None:
    """Add every cell that failed to the quarantine, with its value as received."""
    name = f"raw.{_raw_name(folder.survey_id, file.file.file_id)}"
    failing = f"{sql.text(MissingReason.OUT_OF_RANGE)}::{REASONS}"
    counts = ", ".join(f"count_if({sql.identifier(v + '__missing')} = {failing})" for v in file.columns)
    failed = con.execute(f"select {counts} from {name}").fetchone() or ()
    failed_variables = [v for v, count in zip(file.columns, failed, strict=True) if count]
    shown = _shown(folder, file, failed_variables, con)
    cells = _cells(folder, file, shown)
    for variable in failed_variables:
        column = file.columns[variable]
        cell = cells[variable]
        source = (
            f"(select _row, household_id, value, substr(verdict, {len(FAILED) + 1}) as rule "
            f"from (select *, {cell.verdict} as verdict from (select *, {cell.parsed} as {cell.alias}, "
            f"{file.text(variable)} as value from {file.scan} join (select _row, _household_id as household_id "
            f"from {name} where {sql.identifier(variable + '__missing')} = {failing}) using (_row))) "
            f"where starts_with(verdict, {sql.text(FAILED)}))"
        )
        limits = {
            "minimum": cell_text(column.minimum),
            "maximum": cell_text(column.maximum),
            "codes": " ".join(column.codes),
            "proposal_en": "",
            "proposal_zh": "",
        }
        if proposal := shown.get(variable, Shown()).proposal:
            limits["proposal_en"] = (
                f"; the column seems to be written {proposal}: declare that under conventions in survey.yml and name "
                "it in the column's row of columns.csv"
            )
            limits["proposal_zh"] = (
                f"；该列似乎按 {proposal} 书写：请在 survey.yml 的 conventions 中声明，并在 columns.csv 该列中引用"
            )
        messages = {rule: (en.format(**limits), zh.format(**limits)) for rule, (en, zh) in MESSAGES.items()}
        concerned = _concerned(folder, file.file.file_id, variable, indicators)
        _quarantine(folder, file, con, "cell", source, messages, column.column, concerned)


def _shown(
    folder: SurveyFolder, file: Landed, variables: Iterable[str], con: duckdb.DuckDBPyConnection
) -> dict[str, Shown]:
    """What columns of text with cells that failed show about the way they are written.

    A number with a point is taken back where its column shows that a point need not be a decimal one.
    """
    name = f"raw.{_raw_name(folder.survey_id, file.file.file_id)}"
    failing = f"{sql.text(MissingReason.OUT_OF_RANGE)}::{REASONS}"
    shown = {}
    for variable in variables:
        column, reason, text = (
            file.columns[variable],
            sql.identifier(variable + "__missing"),
            file.text(variable),
        )
        if not file.landed(variable).is_text or column.type not in WRITTEN or column.convention is not None:
            continue
        cells = con.execute(
            f"select distinct {text} from {file.scan} where _row in (select _row from {name} "
            f"where {reason} = {failing}) limit {JUDGED}"
        ).fetchall()
        shown[variable] = judged([cell for (cell,) in cells], is_date=column.type is ColumnType.DATE)
        if shown[variable].is_point_doubtful:
            con.execute(
                f"update {name} set {sql.identifier(variable)} = null, {reason} = {failing} "
                f"where {sql.identifier(variable)} is not null and _row in "
                f"(select _row from {file.scan} where contains({text}, '.'))"
            )
    return shown


def _quarantine(
    folder: SurveyFolder,
    file: Landed,
    con: duckdb.DuckDBPyConnection,
    grain: str,
    source: str,
    messages: Mapping[str, tuple[str, str]],
    header: str = "",
    concerned: tuple[str, str] = ("", ""),
) -> None:
    """Add the rows (_row, household_id, value, rule) of `source` to the quarantine, with their messages."""
    place = place_of(file.file)
    column = (f", column {header}{concerned[0]}", f"，列 {header}{concerned[1]}") if header else ("", "")
    en, zh = (
        " ".join(f"when {sql.text(rule)} then {sql.text(both[i])}" for rule, both in messages.items())
        for i in (0, 1)
    )
    shown = "coalesce(left(value, 200) || ' ', '')"
    con.execute(
        f"""insert into quality.quarantine (survey_id, file_id, file, "row", household_id, "column", "value", rule,
            grain, message_en, message_zh, is_synthetic)
        select {sql.texts([folder.survey_id, file.file.file_id, file.file.path])}, _row, household_id,
            {sql.text(header)}, value, rule, {sql.text(grain)},
            {sql.text(f"{place}, row ")} || _row || {sql.text(f"{column[0]}: ")} || {shown} || case rule {en} end,
            {sql.text(f"{place} 第 ")} || _row || {sql.text(f" 行{column[1]}：")} || {shown} || case rule {zh} end,
            {folder.survey.is_synthetic}
        from {source}"""
    )


def _concerned(
    folder: SurveyFolder, file_id: str, variable: str, indicators: Mapping[str, Labelled]
) -> tuple[str, str]:
    """Labels of the indicators that a variable feeds, in English and Chinese, in brackets; or nothing."""
    fed = {
        row.indicator_id: None
        for wave in folder.survey.waves
        for row in folder.rows_of(wave.wave).values()
        if (file_id, variable) in {folder.resolve(s, wave.wave) for s in row.sources}
    }
    known = [indicators[i] for i in fed if i in indicators]
    if not known:
        return "", ""
    return f" ({', '.join(i.label_en for i in known)})", f"（{'、'.join(i.label_zh for i in known)}）"
