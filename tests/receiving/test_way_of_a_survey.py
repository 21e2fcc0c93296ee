"""A reader who follows a survey id from `receive` to the accepted rows opens few files, and goes from top to bottom."""

import sys
from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

from test_floors import FLOOR, room_of
from trial_folders import SURVEYS, Folder

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.receiving.arrival import receive
from relocation_warehouse.receiving.warehouse import Warehouse

SURVEY_ID = "received"


def holds_the_survey(value: Any) -> bool:
    """Whether an argument is the survey id, or an object that has it."""
    return value == SURVEY_ID if isinstance(value, str) else getattr(value, "survey_id", None) == SURVEY_ID


def calls_of(run: Callable[[], Any]) -> dict[tuple[str, str], tuple[str, bool]]:
    """By file and name of a function of ours, in order: file of the caller, and whether it is handed the survey."""
    calls: dict[tuple[str, str], tuple[str, bool]] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or (path := file_of(frame.f_code.co_filename)) is None:
            return
        code = frame.f_code
        if code.co_name.startswith("<"):
            return
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = calls.get((path, code.co_qualname))
        if known is not None and known[1]:
            return
        holds = any(holds_the_survey(frame.f_locals.get(name)) for name in given)
        if known is None or holds:
            caller = frame.f_back
            while caller is not None and file_of(caller.f_code.co_filename) is None:
                caller = caller.f_back
            calls.pop((path, code.co_qualname), None)
            calls[path, code.co_qualname] = ((caller and file_of(caller.f_code.co_filename)) or "", holds)

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


@cache
def file_of(filename: str) -> str | None:
    """Path of a file of ours that is no test, from the top of the checkout."""
    path = Path(filename)
    if not path.is_relative_to(CHECKOUT):
        return None
    inside = path.relative_to(CHECKOUT).as_posix()
    return None if inside.startswith((".", "tests/")) else inside


def floor_of(path: str) -> int | None:
    room = room_of(path.removesuffix(".py").replace("/", "."))
    return None if room is None else FLOOR[room]


def test_the_way_of_a_survey_through_receiving_is_short(
    tmp_path: Path, plain_survey: Callable[[str], Folder]
) -> None:
    data = tmp_path / "data"
    plain_survey("gz_anshun_2020").save(data / "surveys" / SURVEY_ID)
    for name in ("catalog", "literature"):
        (data / name).symlink_to(SURVEYS.parent / name)
    calls = calls_of(lambda: receive(Warehouse(data), SURVEY_ID))
    files = [file for file, _ in groupby(file for (file, _), (_, holds) in calls.items() if holds)]
    climbs = [
        f"{above} calls {name} of {file}"
        for (file, name), (above, _) in calls.items()
        if (floor_of(above) or 0) < (floor_of(file) or 0) and above
    ]
    assert climbs == []
    assert len(set(files)) <= 12, files
    assert len(files) - len(set(files)) <= 15, files
