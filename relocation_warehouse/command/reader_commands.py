"""The commands that read published data: coverage, extract, open.

Belongs here: arguments, wording and exit status of these commands. Does not belong here: work.
Heavy imports happen inside a command, so that help answers at once.
"""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from relocation_warehouse.command.survey_commands import _say, _stop, out
from relocation_warehouse.ground.paths import Paths

VERDICT_STYLES = {
    "identical": "green",
    "compatible": "cyan",
    "proxy": "yellow",
    "not_asked": "dim",
    "undetermined": "red",
}
NARROWEST = 40
"""Characters that labels of a row get at least; more columns than then fit go into blocks under each other."""

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output, for programs.")]


def published_database(paths: Paths) -> Path:
    """The published file; stops where nothing is published."""
    database = paths.published / "warehouse.duckdb"
    if not database.exists():
        _stop("nothing is published yet; run `warehouse refresh` first", 1)
    return database


def complete(kind: Literal["indicator", "survey", "wave"]) -> object:
    """Completion of ids in a shell, from the catalog and the survey folders; silent where they cannot be read."""

    def ids(incomplete: str) -> Iterator[str]:
        from relocation_warehouse.survey.catalog import CatalogError, load_catalog
        from relocation_warehouse.survey.folder import list_survey_folders

        paths = Paths.from_environment()
        try:
            if kind == "indicator":
                known: Sequence[str] = [*load_catalog(paths.catalog).indicator]
            else:
                known = [p.name for p in list_survey_folders(paths.surveys)]
        except (CatalogError, OSError):
            return
        yield from (name for name in known if name.startswith(incomplete))

    return ids


def coverage(
    figure: Annotated[
        Path | None,
        typer.Option(help="Where to draw the matrix, .svg or .png; data/warehouse/coverage.svg if absent."),
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the labels.")] = "en",
    as_json: Json = False,
) -> None:
    """What each survey and wave answers: verdicts in the terminal, and as a picture."""
    import vl_convert

    from relocation_warehouse.ground.database import connect, table_exists
    from relocation_warehouse.publication.report import vega
    from relocation_warehouse.publication.report.data import Reader, localise
    from relocation_warehouse.publication.report.figures import SIGNS, coverage_detail

    paths = Paths.from_environment()
    database = published_database(paths)
    target = figure or paths.warehouse / "coverage.svg"
    if target.suffix not in (".svg", ".png"):
        _stop(f"{target.name}: a picture is drawn as .svg or .png", 2)
    with connect(database, read_only=True) as con:
        frame = Reader(con).coverage()
        # what was published before there was such a table has none
        panels = (
            con.execute(
                "select survey_id, wave, n_households, n_stayed, n_returned, n_split, n_new, n_left, n_moved, "
                "wave_before from analysis.panel_waves where wave_before is not null order by survey_id, wave_order"
            ).fetchall()
            if table_exists(con, "analysis", "panel_waves")
            else []
        )
    if as_json:
        kept = ["survey_id", "wave", "indicator_id", "status", "evidence", "n", "n_missing", "is_synthetic"]
        _say(frame[kept].to_json(orient="records", force_ascii=False))
        return
    data = localise(frame, language)
    words = dict(zip(frame["status"], data["status"], strict=True))
    columns = list(dict.fromkeys(zip(frame["survey_id"], frame["wave"], strict=True)))
    verdicts = {
        (label, survey, wave): status
        for label, survey, wave, status in zip(
            data["indicator"], frame["survey_id"], frame["wave"], frame["status"], strict=True
        )
    }
    labels = list(dict.fromkeys(data["indicator"]))
    for line in _matrix(labels, columns, verdicts, SIGNS, out.width):
        out.print(line, highlight=False, soft_wrap=True)
    for number, (survey, wave) in enumerate(columns, start=1):
        _say(f"{number:>2} {survey}, {wave}")
    _say("  ".join(f"{sign} {words[code]}" for code, sign in SIGNS.items() if code in words))
    for survey, wave, n, stayed, returned, split, new, left, moved, before in panels:
        told = (
            f"panel {survey}, {wave}: {n:,} households, of which {stayed:,} stayed since {before}, {returned:,} came "
            f"back, {split:,} split off, {new:,} are new; {left:,} left, {moved:,} moved"
        )
        out.print(told, markup=False, highlight=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = vega.stacked(p.chart.having(title=p.title) for p in coverage_detail(frame, language))
    if target.suffix == ".svg":
        target.write_text(vl_convert.vegalite_to_svg(whole), encoding="utf-8")
    else:
        target.write_bytes(vl_convert.vegalite_to_png(whole, scale=2))
    _say(f"drawn: {target}")


def _matrix(
    labels: Sequence[str],
    columns: Sequence[tuple[str, str]],
    verdicts: dict[tuple[str, str, str], str],
    signs: dict[str, str],
    width: int,
) -> Iterator[str]:
    """Lines of a matrix no wider than the terminal: long labels go on in the next line, many columns in blocks."""
    from rich.cells import cell_len, chop_cells

    longest = max(map(cell_len, labels), default=0)
    each = 3
    stub = max(NARROWEST, min(longest, width - each * len(columns)))
    a_block = max(1, (width - stub) // each)
    for start in range(0, len(columns), a_block):
        block = list(enumerate(columns, start=1))[start : start + a_block]
        yield " " * stub + "".join(f"{number:>{each}}" for number, _ in block)
        for label in labels:
            answers = [verdicts.get((label, *column), "not_asked") for _, column in block]
            cells = "".join(f"{'':{each - 1}}[{VERDICT_STYLES[v]}]{signs[v]}[/]" for v in answers)
            for k, part in enumerate(chop_cells(label, stub) or [""]):
                shown = part.replace("[", "\\[") + " " * (stub - cell_len(part))
                yield shown + (cells if k == 0 else "")
        yield ""


def extract(
    to: Annotated[Path, typer.Option(help="The file to write: .dta, .sav, .xlsx, .csv or .parquet.")],
    indicator: Annotated[
        list[str] | None,
        typer.Option(
            help="Indicator; may be given again; all where absent.", autocompletion=complete("indicator")
        ),
    ] = None,
    survey: Annotated[
        list[str] | None,
        typer.Option(help="Survey; may be given again; all where absent.", autocompletion=complete("survey")),
    ] = None,
    wave: Annotated[
        list[str] | None, typer.Option(help="Wave; may be given again; all where absent.")
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the labels in the file.")] = "en",
) -> None:
    """Take households home: chosen indicators with labels, reasons of missing values, weights, codebook, citation."""
    from relocation_warehouse.publication.extract import ExtractError, choose, take
    from relocation_warehouse.publication.extract.labelled import CannotHold

    database = published_database(Paths.from_environment())
    try:
        chosen = choose(database, indicator or (), survey or (), wave or ())
        taken = take(chosen, to, language)
    except (ExtractError, CannotHold) as error:
        _stop(str(error), 2)
    table = chosen.table
    for file in taken.files:
        _say(f"written: {file}")
    _say(f"  {len(table.frame):,} rows, {len(chosen.indicators)} indicators")
    if chosen.is_synthetic:
        _say("  some or all of the households are made up; is_synthetic says which")
    for note in taken.notes:
        _say(f"  {note}")
    for citation in chosen.citations:
        _say(f"cite: {citation}")


def open_report(
    public: Annotated[bool, typer.Option(help="The edition without household rows.")] = False,
    as_json: Json = False,
) -> None:
    """Open the report in the browser."""
    paths = Paths.from_environment()
    published_database(paths)
    page = paths.published / ("public" if public else "") / "report" / "index.html"
    if as_json:
        _say(json.dumps({"report": str(page)}, ensure_ascii=False))
        return
    _say(str(page))
    if not webbrowser.open(page.resolve().as_uri()):
        _stop("no browser was found; open the file above in one", 1)
