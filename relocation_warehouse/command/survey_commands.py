"""The commands for surveys: new-survey, check, explain, trace.

Belongs here: arguments, wording and exit status of these commands. Does not belong here: work.
Heavy imports happen inside a command, so that help answers at once.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from relocation_warehouse.ground.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

    from relocation_warehouse.receiving.preview import Distribution
    from relocation_warehouse.survey.catalog import Catalog
    from relocation_warehouse.survey.folder import SurveyFolder
    from relocation_warehouse.survey.problems import Problem
    from relocation_warehouse.survey.trace import WaveTrace

out = Console()
err = Console(stderr=True)


def _say(text: str) -> None:
    """Print text as it is: no markup, no colours of numbers, no line breaks inside a path."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def _stop(text: str, status: int) -> NoReturn:
    err.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status)


def _catalog(paths: Paths) -> Catalog:
    from relocation_warehouse.survey.catalog import CatalogError, load_catalog

    try:
        return load_catalog(paths.catalog)
    except CatalogError as error:
        _stop(str(error), 1)


def _path(paths: Paths, survey: str, accepted: bool = False) -> Path:
    """Path of the survey folder, or of the one that was last accepted; stops where there is none of the name."""
    from relocation_warehouse.survey.folder import list_survey_folders, suggestion

    root = paths.accepted if accepted else paths.surveys
    known = [p.name for p in list_survey_folders(root)]
    if survey not in known:
        what = "no accepted survey" if accepted else "no survey"
        _stop(f"{what} {survey!r}{suggestion(survey, known)}", 2)
    return root / survey


def _require_indicator(catalog: Catalog, indicator: str) -> None:
    """Stop where the catalog has no indicator of the name."""
    from relocation_warehouse.survey.folder import suggestion

    if indicator not in catalog.indicator:
        _stop(f"no indicator {indicator!r} in the catalog{suggestion(indicator, catalog.indicator)}", 2)


def _folder(
    paths: Paths, catalog: Catalog, survey: str, indicator: str, accepted: bool = False
) -> SurveyFolder:
    """The survey folder, or the one that was last accepted; stops where a name is unknown or the folder refused."""
    from relocation_warehouse.survey.folder import load_folder
    from relocation_warehouse.survey.problems import SurveyFolderError

    path = _path(paths, survey, accepted)
    _require_indicator(catalog, indicator)
    try:
        return load_folder(path, catalog.indicator)
    except SurveyFolderError as error:
        _stop(str(error), 1)


def new_survey(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="CSV, Excel, SPSS, Stata, ODK/Kobo or Parquet; also in .gz or .zip. Several where rounds or rosters "
            "have files of their own."
        ),
    ],
    id: Annotated[
        str, typer.Option(help="Id of the survey; made from the first file's name where absent.")
    ] = "",
    header_row: Annotated[
        list[str] | None,
        typer.Option(
            help="Row that holds headers, where it is not the first, as 3 or, for one sheet, as SHEET:3; may be given "
            "again."
        ),
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Encoding of files that do not say it, such as gb18030, big5, cp1252.")
    ] = "",
) -> None:
    """Write a survey folder from what files say of themselves; you fill in the rest."""
    from relocation_warehouse.survey.readers import UnreadableFile
    from relocation_warehouse.survey.scaffold import ScaffoldError, scaffold
    from relocation_warehouse.survey.scaffold_columns import Recognition

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    try:
        known = Recognition.load(paths.catalog)
        rows, of_sheets = _header_rows(header_row or ())
        made = scaffold(files, paths.surveys, catalog, known, id, rows, encoding, of_sheets)
    except (ScaffoldError, UnreadableFile) as error:
        # there is no survey.yml yet: what it would say is an option of the command
        message = str(error).replace("options.encoding in survey.yml", "--encoding")
        message = message.replace("options.header_rows", "--header-row")
        _stop(message, 2 if isinstance(error, ScaffoldError) else 1)
    _say(f"written: {made.path}")
    _say(
        f"  {made.files} table(s), {made.columns} columns, {made.personal} of them identify a person and stay out"
    )
    _say(
        f"  {len(made.proposed)} of {len(catalog.indicators)} indicators have a proposed question to be confirmed"
    )
    _say(f"next: `warehouse check {made.path.name}` names every blank, with file and line")


def add_wave(
    survey: Annotated[str, typer.Argument(help="Survey that the file is a further wave of.")],
    file: Annotated[Path, typer.Argument(help="File of the wave, in any format that is read.")],
    wave: Annotated[
        str, typer.Option(help="Name of the wave; of one that is there already, to add a roster to it.")
    ] = "",
    fieldwork: Annotated[
        str | None, typer.Option(help='When it was asked: a year, a month or a day, such as "2021-07".')
    ] = None,
    like: Annotated[
        str, typer.Option(help="file_id whose declarations hold; the most similar file where absent.")
    ] = "",
) -> None:
    """Declare a file as a further wave: take over the declarations that still fit, list what changed."""
    from relocation_warehouse.survey.added_wave import add_wave as add
    from relocation_warehouse.survey.folder import load_folder
    from relocation_warehouse.survey.problems import SurveyFolderError
    from relocation_warehouse.survey.readers import UnreadableFile
    from relocation_warehouse.survey.scaffold import ScaffoldError

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    path = _path(paths, survey)
    if not file.is_file():
        _stop(f"no file {file}", 2)
    try:
        made = add(load_folder(path, catalog.indicator), file, wave, fieldwork, like)
    except (ScaffoldError, UnreadableFile, SurveyFolderError) as error:
        _stop(str(error), 2 if isinstance(error, ScaffoldError) else 1)
    _say(f"wave {made.wave}: {made.taken_over} column(s) declared as in {made.like}")
    for change in made.changes:
        _say(f"  {change}")
    _say(f"next: `warehouse check {survey}` names every blank, with file and line")


def _header_rows(given: Sequence[str]) -> tuple[list[int], dict[str, list[int]]]:
    """Header rows of all sheets, and of single ones."""
    rows, of_sheets = list[int](), dict[str, list[int]]()
    for text in given:
        sheet, colon, number = text.rpartition(":")
        if not number.strip().isdecimal():
            _stop(f"--header-row {text}: give a number of a row, or SHEET:number", 2)
        (of_sheets.setdefault(sheet, []) if colon else rows).append(int(number))
    return rows, of_sheets


def check(
    survey: Annotated[str | None, typer.Argument(help="Survey; all where absent.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer as JSON on standard output, for programs.")
    ] = False,
) -> None:
    """Find every mistake in survey folders and their files, with file, line and what to write instead."""
    from relocation_warehouse.survey.crosswalk import check_crosswalk
    from relocation_warehouse.survey.folder import (
        list_survey_folders,
        load_folder,
        misnamed_folders,
        suggestion,
    )
    from relocation_warehouse.survey.problems import SurveyFolderError

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    folders = list_survey_folders(paths.surveys)
    misnamed = misnamed_folders(paths.surveys) if survey is None else ()
    for name in misnamed:
        message = f"{name}: the name of this folder is not UTF-8, so it is no survey; rename it"
        if as_json:
            err.print(message, markup=False, highlight=False, soft_wrap=True)
        else:
            _say(message)
    chosen = [p for p in folders if survey in (None, p.name)]
    if not chosen:
        hint = suggestion(survey or "", (p.name for p in folders))
        _stop(f"no survey folder {survey!r} under data/surveys{hint}", 2)
    failed = bool(misnamed)
    answer: dict[str, object] = {}
    for path in chosen:
        findings = Findings()
        try:
            folder = load_folder(path, catalog.indicator, paths.inbox / path.name)
            findings.problems += [*check_crosswalk(folder, catalog), *_faults_of_expectations(folder)]
            if not findings.problems:
                _try(folder, catalog, paths, findings)
            if folder.not_mapped:
                findings.notes.append(_said_not_mapped(folder))
        except SurveyFolderError as error:
            findings.problems += error.problems
        failed |= bool(findings.problems)
        answer[path.name] = {
            "problems": [asdict(problem) for problem in findings.problems],
            "aside": findings.aside.lstrip("; "),
            "notes": list(findings.notes),
        }
        if as_json:
            continue
        mistakes = f"{len(findings.problems)} mistake(s)" if findings.problems else "no mistakes"
        _say(f"{path.name}: {mistakes}{findings.aside}")
        for problem in findings.problems:
            _say(f"  {problem}")
        for note in findings.notes:
            _say(f"  {note}")
    if as_json:
        _say(json.dumps(answer, ensure_ascii=False))
    raise typer.Exit(1 if failed else 0)


def _said_not_mapped(folder: SurveyFolder) -> str:
    named = folder.not_mapped
    return (
        f"{len(named)} indicator(s) were added to the catalog after this survey was mapped and count as not asked "
        f"until crosswalk.csv has a row for each: {', '.join(named)}"
    )


def not_mapped(paths: Paths) -> dict[str, str]:
    """By survey, a note on the indicators that have no row in its crosswalk, if any."""
    from relocation_warehouse.survey.folder import list_survey_folders, load_folder
    from relocation_warehouse.survey.problems import SurveyFolderError

    catalog, notes = _catalog(paths), {}
    for path in list_survey_folders(paths.surveys):
        try:
            folder = load_folder(path, catalog.indicator)
        except SurveyFolderError:
            continue  # its status names the reason
        if folder.not_mapped:
            notes[path.name] = _said_not_mapped(folder)
    return notes


@dataclass
class Findings:
    """What `check` says of a survey.

    Attributes
    ----------
    problems
        Why it would be refused.
    aside
        How much would be set aside, in words.
    notes
        What else would happen to its answers on their way to the publication.
    """

    problems: list[Problem] = field(default_factory=list)
    aside: str = ""
    notes: list[str] = field(default_factory=list)


def _faults_of_expectations(folder: SurveyFolder) -> tuple[Problem, ...]:
    """What is wrong with expectations.yml, where there is one; only then does Great Expectations load."""
    from relocation_warehouse.survey.problems import SurveyFolderError

    if not (folder.path / "expectations.yml").exists():
        return ()
    from expectations.declared import declared_expectations

    try:
        declared_expectations(folder)
    except SurveyFolderError as error:
        return error.problems
    return ()


def _try(folder: SurveyFolder, catalog: Catalog, paths: Paths, findings: Findings) -> None:
    """Load a folder's files for trial, and put them through every gate that they will meet later."""
    import duckdb

    from relocation_warehouse.contract.tables import load_contract
    from relocation_warehouse.receiving.trial import large_shares, set_aside, trial
    from relocation_warehouse.survey.ingest import ingest

    inspect = None
    if (folder.path / "expectations.yml").exists():
        from expectations.arrival import look_at
        from expectations.declared import declared_expectations

        declared = declared_expectations(folder)

        def inspect(landed: Mapping[str, Path]) -> Iterator[Problem]:
            return look_at(folder, landed, declared, {}).problems()

    with tempfile.TemporaryDirectory(prefix="warehouse-check-") as scratch, duckdb.connect() as con:
        load = ingest(folder, Path(scratch), con, catalog.indicator, inspect)
        findings.problems += load.problems
        if not load.is_accepted:
            return
        aside = set_aside(folder, con)
        contract = load_contract(paths.catalog / "tables.yml", catalog.indicators)
        findings.problems += [
            *trial(folder, catalog, contract, con),
            *large_shares(folder, catalog, aside),
        ]
        if not folder.survey.is_synthetic and not findings.problems:
            findings.notes.append(f"published rows of households: {_withheld(folder, catalog, con)}")
    rows, cells = load.quarantined_rows, load.quarantined_cells
    findings.aside = f"; {rows} row(s) and {cells} cell(s) would be set aside" if rows or cells else ""
    findings.notes += map(str, aside)


def _withheld(folder: SurveyFolder, catalog: Catalog, con: duckdb.DuckDBPyConnection) -> str:
    """What a publication would withhold of the single households of a real survey that is loaded, and why."""
    from relocation_warehouse.ground import sql
    from relocation_warehouse.publication.withholding import DESIGN, choose
    from relocation_warehouse.survey.crosswalk import compile_wave

    keys = ("survey_id", "household_id", "wave", "wave_order", "site_id", *DESIGN)
    sensitive = [i.id for i in catalog.indicators if i.sensitive]
    columns = [sql.identifier(c) for c in (*keys, *sensitive)]
    reasons = [f"{sql.identifier(f'{i}__missing')}::varchar as {sql.identifier(i)}" for i in sensitive]
    waves = [f"({compile_wave(folder, w.wave, catalog)})" for w in folder.survey.waves]
    households = " union all ".join(f"select {', '.join(columns)} from {wave}" for wave in waves)
    missing = " union all ".join(f"select {', '.join([*keys[:3], *reasons])} from {wave}" for wave in waves)
    names = ", ".join(map(sql.identifier, sensitive))
    long = f"(unpivot ({missing}) on {names} into name indicator_id value missing_reason)"
    answered = con.execute(
        f"select {', '.join(f'count({sql.identifier(c)})' for c in sensitive)} from ({households})"
    ).fetchone()
    asked = [c for c, n in zip(sensitive, answered or (), strict=True) if n]
    fewest = catalog.gates.fewest_alike
    chosen = choose(con, folder.survey_id, f"({households})", asked, fewest, folder.survey.disclosure, long)
    what = str(chosen).partition(": ")[2]
    if not chosen.n:
        return what
    return (
        f"{what}, because {chosen.n} of {chosen.n_households} households share site, {', '.join(asked)} of all waves "
        f"with fewer than {fewest}; `disclosure` in survey.yml can withhold others, or coarsen"
    )


def preview(
    survey: Annotated[str, typer.Argument(help="Survey, as its folder is now.")],
    indicator: Annotated[
        str | None, typer.Argument(help="Indicator; all that were answered where absent.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Answer as JSON on standard output, for programs.")
    ] = False,
) -> None:
    """Show what the crosswalk makes of the answers: distribution and missing reasons, before anything is published."""
    import duckdb

    from relocation_warehouse.contract.tables import load_contract
    from relocation_warehouse.receiving.preview import preview as previewed
    from relocation_warehouse.receiving.trial import trial
    from relocation_warehouse.survey.crosswalk import check_crosswalk
    from relocation_warehouse.survey.folder import load_folder
    from relocation_warehouse.survey.ingest import ingest
    from relocation_warehouse.survey.problems import SurveyFolderError

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    path = _path(paths, survey)
    if indicator is not None:
        _require_indicator(catalog, indicator)
    problems: list[Problem] = []
    shown: list[Distribution] = []
    try:
        folder = load_folder(path, catalog.indicator, paths.inbox / survey)
        problems += check_crosswalk(folder, catalog)
    except SurveyFolderError as error:
        problems += error.problems
    if not problems:
        with tempfile.TemporaryDirectory(prefix="warehouse-preview-") as scratch, duckdb.connect() as con:
            load = ingest(folder, Path(scratch), con, catalog.indicator, None)
            problems += load.problems
            if load.is_accepted:
                contract = load_contract(paths.catalog / "tables.yml", catalog.indicators)
                problems += trial(folder, catalog, contract, con)
                try:
                    shown += previewed(folder, catalog, con, [indicator] if indicator else ())
                except duckdb.Error:
                    # the trial has said in which line and why
                    if not problems:
                        raise
    if as_json:
        answer = {"problems": [asdict(p) for p in problems], "distributions": [asdict(d) for d in shown]}
        _say(json.dumps(answer, ensure_ascii=False))
    else:
        for distribution in shown:
            _say(str(distribution))
        for problem in problems:
            _say(f"  {problem}")
    raise typer.Exit(1 if problems else 0)


def explain(survey: str, indicator: str) -> None:
    """Show where an indicator of a survey comes from and the SQL that makes it, wave by wave."""
    from relocation_warehouse.survey.crosswalk import explain as explained

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    folder = _folder(paths, catalog, survey, indicator)
    for wave in folder.survey.waves:
        row = folder.rows_of(wave.wave)[indicator]
        line = folder.crosswalk_lines[row.wave, indicator]
        _say(
            f"-- {survey}, wave {wave.wave}: "
            + (f"crosswalk.csv, line {line}" if line else "not in crosswalk.csv")
        )
        chosen = f", where {row.where}" if row.where else ""
        _say(f"-- rule {row.rule}{chosen}, status {row.status}; {row.evidence}")
        for source in row.sources:
            file_id, variable = folder.resolve(source, wave.wave)
            column = folder.variables[file_id, variable]
            asked = f" ({column.label})" if column.label else ""
            _say(f"-- {source} is column {column.column!r} of file {file_id}{asked}")
        _say(f"-- {indicator} is the value; {indicator}__missing says why there is none")
        _say(explained(folder, wave.wave, indicator, catalog))


def trace(
    survey: str,
    household: Annotated[str, typer.Argument(help="Household id, as published or as in the survey.")],
    indicator: str,
) -> None:
    """Walk from a published cell back to file, row and answer as received."""
    import duckdb

    from relocation_warehouse.ground.database import connect
    from relocation_warehouse.ground.turn import taken_by
    from relocation_warehouse.survey.trace import TraceError
    from relocation_warehouse.survey.trace import trace as traced

    paths = Paths.from_environment()
    catalog = _catalog(paths)
    folder = _folder(paths, catalog, survey, indicator, accepted=True)
    try:
        with connect(paths.build_database, read_only=True) as con:
            published_id, own_id = household_ids(con, survey, household)
            waves = traced(folder, own_id, indicator, con, paths.landing)
    except TraceError as error:
        _stop(str(error), 2)
    except duckdb.IOException:
        running = taken_by(paths.refresh_lock) or "another process"
        _stop(f"the build database is being written by {running}; trace again when it is done", 1)
    published = _published(paths, survey, published_id, indicator)
    meant = catalog.indicator[indicator]
    _say(f"{indicator}: {meant.label_en}, {meant.label_zh}" + (f", in {meant.unit}" if meant.unit else ""))
    for wave in waves:
        _tell(wave, published)


def household_ids(con: duckdb.DuckDBPyConnection, survey: str, household: str) -> tuple[str, str]:
    """The household's published id and its own; the same where ids are published as they are."""
    from relocation_warehouse.publication.pseudonyms import key_from_environment, pseudonym

    key = key_from_environment()
    if key is None:
        return household, household
    rows = con.execute(
        "select distinct household_id from staging.household_waves where survey_id = ?", [survey]
    ).fetchall()
    own = next((h for (h,) in rows if pseudonym(key, survey, h) == household), household)
    return pseudonym(key, survey, own), own


def _published(paths: Paths, survey: str, household: str, indicator: str) -> dict[str, str | None] | None:
    """Published value by wave; None where nothing is published."""
    from relocation_warehouse.ground.database import connect, quoted

    database = paths.published / "warehouse.duckdb"
    if not database.exists():
        return None
    with connect(database, read_only=True) as con:
        rows = con.execute(
            f"select wave, cast({quoted(indicator)} as varchar) from harmonized.households "
            "where survey_id = ? and household_id = ?",
            [survey, household],
        ).fetchall()
    return dict(rows)


def _tell(wave: WaveTrace, published: dict[str, str | None] | None) -> None:
    built = wave.value if wave.value is not None else f"missing ({wave.missing_reason})"
    if published is None or wave.wave not in published:
        state = "not published yet"
    elif published[wave.wave] == wave.value:
        state = "published"
    else:
        state = (
            f"the published version has {published[wave.wave] or 'no value'}; refresh to bring it up to date"
        )
    _say(f"wave {wave.wave}: {built}  [{state}]")
    rule = " ".join(filter(None, [wave.rule.rule, wave.rule.parameters, *wave.rule.sources]))
    rule += f" where {wave.rule.where}" if wave.rule.where else ""
    unit = f", asked in {wave.rule.unit}" if wave.rule.unit else ""
    place = f"crosswalk.csv, line {wave.line}" if wave.line else "not in crosswalk.csv"
    _say(f"  {place}: {rule}{unit}; {wave.rule.status}: {wave.rule.evidence}")
    for cell in wave.cells:
        received = "empty" if cell.received is None else repr(cell.received)
        kept = cell.kept if cell.kept is not None else f"missing ({cell.missing_reason})"
        _say(f"  {cell.place}, row {cell.row}, column {cell.column}: received {received}, kept {kept}")
        for note in cell.notes:
            _say(f"    {note}")
