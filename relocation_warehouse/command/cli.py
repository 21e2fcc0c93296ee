"""`warehouse`: the same jobs for a person in a terminal.

Belongs here: arguments, progress, plain errors, exit status 0 (well), 1 (data refused), 2 (usage).
Does not belong here: work. Heavy imports happen inside a command, so that help answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from relocation_warehouse.command import lake_commands, reader_commands, survey_commands
from relocation_warehouse.ground.paths import CHECKOUT, Paths

app = typer.Typer(no_args_is_help=True, help="Harmonised surveys of resettled households.")
out = Console()
err = Console(stderr=True)

for variable, value in {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "true",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DAGSTER_HOME": str(CHECKOUT / ".dagster"),
}.items():
    os.environ.setdefault(variable, value)

SURVEYS = Annotated[
    list[str] | None,
    typer.Option(
        "--survey",
        help="Only this survey; may be given again.",
        autocompletion=reader_commands.complete("survey"),
    ),
]
Json = reader_commands.Json


def _version(asked: bool) -> None:
    if asked:
        print(f"relocation-warehouse {version('relocation-warehouse')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """Harmonised surveys of resettled households."""


@app.command()
def refresh(
    survey: SURVEYS = None,
    force: Annotated[bool, typer.Option(help="Rebuild even where nothing changed.")] = False,
    new_key: Annotated[
        bool,
        typer.Option(
            "--new-key", help="The secret of the pseudonyms was replaced on purpose: publish everything anew."
        ),
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="duckdb, or spark for more than one machine; see docs/engines.md.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Receive what changed, rebuild what depends on it, publish."""
    from relocation_warehouse.command.refresh import UnknownSurvey
    from relocation_warehouse.command.refresh import refresh as run
    from relocation_warehouse.command.steps import Step
    from relocation_warehouse.ground.engine import VARIABLE, UnknownEngine, engine_name

    paths = Paths.from_environment()
    try:
        # every part of this process asks the environment
        os.environ[VARIABLE] = engine_name(engine)
        console = err if as_json else out
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=as_json or not console.is_terminal,
        )
        with bar:
            whole = bar.add_task("looking for changes", total=1.0)

            def tell(message: str | Step) -> None:
                if as_json:
                    event = {"event": "said", "text": message} if isinstance(message, str) else message.event
                    print(json.dumps(event, ensure_ascii=False), file=sys.stderr, flush=True)
                elif isinstance(message, str):
                    console.print(message, highlight=False, markup=False, soft_wrap=True)
                    bar.update(whole, description=message)
                else:
                    bar.update(whole, description=str(message), completed=message.share)
                    if message.seconds is not None:
                        console.print(f"  {message}", highlight=False, markup=False)

            outcome = run(paths, survey or (), force, tell, new_key)
    except (UnknownSurvey, UnknownEngine) as error:
        err.print(f"[red]{error}[/red]")
        raise typer.Exit(2) from None
    if as_json:
        answer = {
            **asdict(outcome),
            "exit_code": outcome.exit_code,
            "published": str(paths.published) if outcome.is_published else None,
        }
        print(json.dumps(answer, ensure_ascii=False))
        raise typer.Exit(outcome.exit_code)
    for survey_id, problems in outcome.refused.items():
        err.print(f"[red]{survey_id} was refused; what was published of it before stays:[/red]")
        for problem in problems:
            err.print(f"  {problem}", highlight=False, markup=False)
    if outcome.failure:
        err.print("[red]not published; the version before stays:[/red]")
        err.print(outcome.failure, highlight=False, markup=False, soft_wrap=True)
    if outcome.is_published:
        out.print(f"published: {paths.published}")
    raise typer.Exit(outcome.exit_code)


@app.command()
def status(as_json: Json = False) -> None:
    """What is fresh, stale, refused or new, and why."""
    from relocation_warehouse.ground.state import State, summary
    from relocation_warehouse.ground.turn import taken_by
    from relocation_warehouse.publication.verify import summed_up, what_changed

    paths = Paths.from_environment()
    if as_json:
        state = State.load(paths)
        print(
            json.dumps(
                {
                    "surveys": summary(paths),
                    "published_at": state.published_at or None,
                    "failed_at": state.failed_at or None,
                    "failure": state.failure or None,
                    "running": taken_by(paths.refresh_lock) or None,
                },
                ensure_ascii=False,
            )
        )
        return
    table = Table("survey", "status", "since", "why")
    for survey_id, row in summary(paths).items():
        table.add_row(survey_id, row["status"], row["since"], row["why"])
    out.print(table)
    for survey_id, note in survey_commands.not_mapped(paths).items():
        out.print(f"{survey_id}: {note}", markup=False)
    state = State.load(paths)
    out.print(f"published: {state.published_at or 'never'}")
    running = taken_by(paths.refresh_lock)
    if running:
        out.print(f"a refresh is running: {running}", highlight=False, markup=False, soft_wrap=True)
    damage = what_changed(paths.published, state.manifest)
    if damage:
        err.print(
            f"what is published is not what was published: {summed_up(damage)}. `warehouse refresh` publishes it again",
            style="red", highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    if state.failure:
        out.print(f"the refresh at {state.failed_at} did not publish: {state.failure}", markup=False)


app.command()(survey_commands.new_survey)
app.command()(survey_commands.add_wave)
app.command()(survey_commands.check)
app.command()(survey_commands.preview)
app.command()(survey_commands.explain)
app.command()(survey_commands.trace)
app.command()(reader_commands.coverage)
app.command()(reader_commands.extract)
app.command("open")(reader_commands.open_report)
app.command()(lake_commands.as_of)
app.add_typer(lake_commands.app, name="lake")


@app.command("make-key")
def make_key(
    file: Annotated[
        Path | None, typer.Argument(help="Where to keep it; by default where the environment looks for it.")
    ] = None,
) -> None:
    """Make the secret behind pseudonyms and the rounding of the public edition, readable by its owner alone."""
    from relocation_warehouse.publication import key

    given = os.environ.get(key.FILE_VARIABLE)
    path = file or Path(given or Path.home() / ".config" / "relocation-warehouse" / "pseudonym.key")
    try:
        key.make_key(path)
    except FileExistsError:
        err.print(
            f"{path} exists; a key that is lost cannot be made again, so it stays",
            style="red",
            soft_wrap=True,
        )
        raise typer.Exit(1) from None
    except OSError as error:
        err.print(f"could not write {path}: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    out.print(
        f"{path}\nexport {key.FILE_VARIABLE}={path.resolve()}", highlight=False, markup=False, soft_wrap=True
    )


@app.command()
def serve(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Dagster UI on 127.0.0.1, until it is interrupted."""
    from relocation_warehouse.command.serving import serve as run

    dagster = Path(sys.executable).with_name("dg")
    if not dagster.exists():
        dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "--host", "127.0.0.1", "--port", str(port)]
    if dagster.name == "dagster":
        command += ["--module-name", "dagster_project.definitions"]
    log = Paths.from_environment().warehouse / "serve.log"
    out.print(f"starting Dagster; what it says goes to {log}", soft_wrap=True, highlight=False)
    why = run(
        command, port, log, lambda address: out.print(f"open {address} (Ctrl-C stops it)"), folder=CHECKOUT
    )
    if why:
        err.print(f"Dagster does not serve: {why}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def main() -> None:
    """Entry point: an error that nobody foresaw is one sentence too; its trace is kept for who mends it."""
    sys.unraisablehook = _interrupt_again
    try:
        app()
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        sys.exit(_stopped_by(error))


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Send an interrupt again that came while Python was tidying up, where it would be printed and forgotten."""
    if lost.exc_value is None or isinstance(lost.exc_value, Exception | GeneratorExit):
        sys.__unraisablehook__(lost)
    else:
        again = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()


def _stopped_by(error: BaseException) -> int:
    """Say why a command stopped; returns its exit status."""
    if not isinstance(error, Exception):
        err.print(
            "[red]interrupted[/red]; what was published before stays, and the next refresh goes on from here"
        )
        return 130
    said = f"stopped by {type(error).__name__}: {error}; what was published before stays"
    log = Paths.from_environment().warehouse / "error.log"
    try:
        log.write_text(
            "".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace"
        )
        log.chmod(0o600)
        said += f". Mend the cause and try again; the trace is in {log}"
    except OSError:
        said += ". Mend the cause (disk space, permissions) and try again"
    err.print(said, style="red", highlight=False, markup=False, soft_wrap=True)
    return 1
