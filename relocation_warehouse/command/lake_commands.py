"""The commands on the lake: as-of, lake load, lake refreshes, lake expire, lake upgrade.

Belongs here: arguments, wording and exit status of these commands. Does not belong here: work.
Heavy imports happen inside a command, so that help answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from relocation_warehouse.ground.paths import Paths

if TYPE_CHECKING:
    from relocation_warehouse.lake.catalog import Lake

app = typer.Typer(
    no_args_is_help=True, help="The optional lake: many writers, and every refresh that is kept."
)
out = Console()
err = Console(stderr=True)


def _stop(text: str, status: int) -> NoReturn:
    err.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status)


@contextmanager
def _lake() -> Iterator[Lake]:
    """The lake of the environment; stops with one sentence where it cannot be used."""
    from relocation_warehouse.lake.catalog import FOLDER, URL, Lake, LakeError

    try:
        lake = Lake.from_environment()
        if lake is None:
            _stop(f"there is no lake: set {URL} to a PostgreSQL address, and {FOLDER} to a folder", 2)
        yield lake
    except LakeError as error:
        _stop(str(error), 1)


def as_of(
    refresh: Annotated[
        str,
        typer.Argument(help="A date or time (UTC), a number of `warehouse lake refreshes`, or a run id."),
    ],
    query: Annotated[str, typer.Argument(help="SQL on the tables as they were published then.")],
    csv: Annotated[bool, typer.Option(help="Every row as CSV instead of a table to look at.")] = False,
) -> None:
    """Query the warehouse as an earlier refresh published it."""
    from relocation_warehouse.lake import history

    with _lake() as lake:
        try:
            version = history.chosen(history.refreshes(lake), refresh)
            with history.as_of(lake, version, query) as answer:
                if csv:
                    answer.write_csv("/dev/stdout", header=True)
                else:
                    sys.stdout.write(f"{answer}\n")
        except (history.NoSuchRefresh, history.QueryError) as error:
            _stop(str(error), 2)


@app.command()
def refreshes() -> None:
    """List the refreshes that are kept, the newest last."""
    from relocation_warehouse.lake import history

    with _lake() as lake:
        table = Table("refresh", "recorded (UTC)", "run", "code")
        for each in history.refreshes(lake):
            table.add_row(
                str(each.number),
                f"{each.at:%Y-%m-%d %H:%M:%S}",
                each.run_id,
                (each.code_version or "")[:10],
            )
        out.print(table)


@app.command()
def load(surveys: Annotated[list[str], typer.Argument(help="Surveys to receive.")]) -> None:
    """Receive surveys for the next refresh, beside other processes that do the same."""
    from relocation_warehouse.survey.folder import list_survey_folders, suggestion

    paths = Paths.from_environment()
    known = [p.name for p in list_survey_folders(paths.surveys)]
    for survey_id in surveys:
        if survey_id not in known:
            _stop(f"no survey {survey_id!r}{suggestion(survey_id, known)}", 2)
    from relocation_warehouse.receiving.arrival import deposit
    from relocation_warehouse.receiving.warehouse import Warehouse

    warehouse, is_refused = Warehouse(paths.catalog.parent), False
    for survey_id in surveys:
        with _lake() as lake:
            arrival = deposit(warehouse, lake, survey_id)
        is_refused |= not arrival.is_accepted
        for problem in arrival.problems:
            err.print(f"{survey_id}: {problem}", markup=False, highlight=False, soft_wrap=True)
        if arrival.is_accepted:
            out.print(f"{survey_id}: {arrival.accepted_rows} rows are in the lake", highlight=False)
    raise typer.Exit(1 if is_refused else 0)


@app.command()
def expire() -> None:
    """Drop refreshes that deployment/lake.yml does not keep; every refresh does so too."""
    from relocation_warehouse.lake import history

    with _lake() as lake:
        dropped = history.expire(lake, history.load_policy())
    out.print(f"{len(dropped)} refresh(es) dropped", highlight=False)


@app.command()
def upgrade() -> None:
    """Bring the lake to the DuckLake version that is installed; back up its PostgreSQL database first."""
    with _lake() as lake:
        lake.upgrade()
    out.print("the lake is of the version that this warehouse reads")
