"""`warehouse`: the same jobs for a person in a terminal.

Belongs here: arguments, progress, plain errors, exit status 0 (well), 1 (data refused), 2 (usage).
Does not belong here: work. Heavy imports happen inside a command, so that help answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from warehouse.paths import CHECKOUT, Paths

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Harmonised surveys of resettled households."
)
out = Console()
err = Console(stderr=True)

for variable, value in {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_HOME": str(CHECKOUT / ".dagster"),
}.items():
    os.environ.setdefault(variable, value)

SURVEYS = Annotated[list[str] | None, typer.Option("--survey", help="Only this survey; may be given again.")]


@app.command()
def refresh(
    survey: SURVEYS = None,
    force: Annotated[bool, typer.Option(help="Rebuild even where nothing changed.")] = False,
) -> None:
    """Receive what changed, rebuild what depends on it, publish."""
    from warehouse.refresh import UnknownSurvey
    from warehouse.refresh import refresh as run

    paths = Paths.from_environment()
    try:
        with out.status("looking for changes") as status:

            def tell(text: str) -> None:
                out.print(text)
                status.update(text)

            outcome = run(paths, survey or (), force, tell)
    except UnknownSurvey as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from None
    for survey_id, problems in outcome.refused.items():
        err.print(f"[red]{survey_id} was refused; what was published of it before stays:[/red]")
        for problem in problems:
            err.print(f"  {problem}", highlight=False, markup=False)
    if outcome.failure:
        err.print("[red]not published; the version before stays:[/red]")
        err.print(outcome.failure, highlight=False, markup=False)
    if outcome.is_published:
        out.print(f"published: {paths.published}")
    raise typer.Exit(outcome.exit_code)


@app.command()
def status() -> None:
    """What is fresh, stale, refused or new, and why."""
    from warehouse.state import State, summary

    paths = Paths.from_environment()
    table = Table("survey", "status", "since", "why")
    for survey_id, row in summary(paths).items():
        table.add_row(survey_id, row["status"], row["since"], row["why"])
    out.print(table)
    state = State.load(paths)
    out.print(f"published: {state.published_at or 'never'}")
    if state.failure:
        out.print(f"last refresh did not publish: {state.failure}", markup=False)


@app.command()
def check(survey: Annotated[str | None, typer.Argument(help="Survey; all where absent.")] = None) -> None:
    """Find every mistake in survey folders, with file, line and what to write instead."""
    from survey.catalog import CatalogError, load_catalog
    from survey.crosswalk import check_crosswalk
    from survey.folder import Problem, SurveyFolderError, list_survey_folders, load_folder

    paths = Paths.from_environment()
    try:
        catalog = load_catalog(paths.catalog)
    except CatalogError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(1) from None
    folders = [p for p in list_survey_folders(paths.surveys) if survey in (None, p.name)]
    if not folders:
        err.print(f"no survey folder {survey!r} under data/surveys", markup=False)
        raise typer.Exit(2)
    failed = False
    for path in folders:
        problems: tuple[Problem, ...]
        try:
            problems = check_crosswalk(load_folder(path, catalog.indicator), catalog)
        except SurveyFolderError as error:
            problems = error.problems
        failed |= bool(problems)
        out.print(f"{path.name}: {'no mistakes' if not problems else f'{len(problems)} mistake(s)'}")
        for problem in problems:
            out.print(f"  {problem}", highlight=False, markup=False)
    raise typer.Exit(1 if failed else 0)


@app.command()
def explain(survey: str, indicator: str) -> None:
    """Show the SQL that makes an indicator of a survey, wave by wave."""
    from survey.catalog import load_catalog
    from survey.crosswalk import explain as explained
    from survey.folder import load_folder

    paths = Paths.from_environment()
    catalog = load_catalog(paths.catalog)
    if indicator not in catalog.indicator or not (paths.surveys / survey).is_dir():
        err.print(f"no survey {survey!r} or no indicator {indicator!r}", markup=False)
        raise typer.Exit(2)
    folder = load_folder(paths.surveys / survey, catalog.indicator)
    for wave in folder.survey.waves:
        row = folder.rows_of(wave.wave)[indicator]
        out.print(
            f"-- {survey}, wave {wave.wave}: rule {row.rule}, status {row.status}; {row.evidence}",
            markup=False,
        )
        out.print(explained(folder, wave.wave, indicator, catalog), markup=False, highlight=False)


@app.command()
def serve(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Dagster UI on 127.0.0.1."""
    dagster = Path(sys.executable).with_name("dg")
    if not dagster.exists():
        dagster = Path(sys.executable).with_name("dagster")
    arguments = ["dev", "--host", "127.0.0.1", "--port", str(port)]
    if dagster.name == "dagster":
        arguments += ["--module-name", "dagster_project.definitions"]
    os.chdir(CHECKOUT)
    os.execv(dagster, [str(dagster), *arguments])


def main() -> None:
    """Entry point."""
    app()
