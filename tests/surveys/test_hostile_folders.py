"""Folders made to hurt: what lies where a file should, links out of the folder, names and texts that mean something
to a shell, a template, a database or a page. Each ends in one refusal with words, soon, and nothing was run or read.
"""

import os
import signal
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from small_survey import CODES, COLUMNS, csv_text, write_folder

from expectations.declared import declared_expectations
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError

SECONDS = 120
"""After which a case has hung, on a machine that does much else."""
SECRET = "root:x:0:0"


class Hangs(BaseException):
    """No error that anything catches."""


@pytest.fixture(autouse=True)
def soon():
    """A case that waits for ever fails instead."""

    def late(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def folder(tmp_path):
    """A sound survey, beside a file that is nobody's business."""
    (tmp_path / "private").write_text(f"编号,安置点\n{SECRET},甲\n", encoding="utf-8")
    write_folder(tmp_path / "s")
    (tmp_path / "s" / "households.csv").write_text(csv_text(), encoding="utf-8")
    return tmp_path / "s"


def problems(folder: Path, inbox: Path | None = None) -> list[str]:
    """What is said of a survey on its way to the tables, each a sentence; none where it is accepted."""
    try:
        loaded = load_folder(folder, None, inbox) if inbox else load_folder(folder)
        declared_expectations(loaded)
    except SurveyFolderError as error:
        return [str(p) for p in error.problems]
    with duckdb.connect() as con:
        return [str(p) for p in ingest(loaded, folder.parent / "landing", con).problems]


def instead(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Something else where a file of the folder should be."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def listen(path: Path) -> None:
    """A socket, of a name short enough for one."""
    here = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)


def survey(old: str, new: str) -> Callable[[Path], None]:
    """Another text in survey.yml."""

    def change(folder: Path) -> None:
        path = folder / "survey.yml"
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def declaration(name: str, content: bytes | str) -> Callable[[Path], None]:
    """Another content of a declaration."""
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def sparse(folder: Path) -> None:
    """A file that says that it is large, without a byte in it."""
    with (folder / "households.csv").open("r+b") as file:
        file.truncate(2**27)


def pinned(folder: Path) -> None:
    """An archive whose member unfolds to two gigabytes of one letter."""
    (folder / "households.csv").unlink()
    with (
        zipfile.ZipFile(folder / "households.csv", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("a.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(200):
            member.write(b"a" * 10 * 2**20)


def many(name: str, n: int, line: str) -> Callable[[Path], None]:
    """A declaration of very many lines."""
    return lambda folder: (folder / name).write_text(
        (folder / name).read_text(encoding="utf-8") + line * n, encoding="utf-8"
    )


HEAD = "file_id,column,variable,type,minimum,maximum,codes,is_personal,ignore_reason\n"
REFUSED = {
    **{
        f"{what} in place of {name}": instead(name, make)
        for name in ("households.csv", "survey.yml", "columns.csv", "codes.csv", "expectations.yml")
        for what, make in {
            "a folder": Path.mkdir,
            "a pipe": os.mkfifo,
            "a socket": listen,
            "a link to a device": lambda p: p.symlink_to("/dev/zero"),
            "a link out of the folder": lambda p: p.symlink_to(p.parent.parent / "private"),
            "a link to itself": lambda p: p.symlink_to(p.name),
            "a link to nothing": lambda p: p.symlink_to("nowhere"),
        }.items()
    },
    "a file of holes": sparse,
    "an archive that unfolds": pinned,
    "a path with NUL": survey("path: households.csv", 'path: "house\\0holds.csv"'),
    "a path to a device": survey("path: households.csv", "path: /dev/stdin"),
    "a path that climbs": survey("path: households.csv", "path: ../private"),
    "a path that climbs the other way": survey("path: households.csv", "path: 'a\\..\\..\\private'"),
    "a path of an address": survey("path: households.csv", "path: 'http://127.0.0.1:9/x.csv'"),
    "an id that is a path": survey("survey_id: s", "survey_id: ../s"),
    "an id with NUL": survey("survey_id: s", 'survey_id: "s\\0"'),
    "an id that is SQL": survey("survey_id: s", "survey_id: \"s'; DROP TABLE x; --\""),
    "a file id that is SQL": survey("file_id: households", "file_id: 'households\"; DROP SCHEMA raw; --'"),
    "a tag that makes an object": declaration("survey.yml", "!!python/object/apply:os.system ['true']\n"),
    "a key that is a list": declaration("survey.yml", "? [a, b]\n: c\n"),
    "a merge with itself": declaration("survey.yml", "a: &a\n  <<: *a\n"),
    "a document of documents": declaration("survey.yml", "a: 1\n---\nb: 2\n"),
    "deep brackets": declaration("survey.yml", "a: " + "[" * 20_000 + "]" * 20_000),
    "deep braces in expectations": declaration("expectations.yml", "{a: " * 5_000 + "1" + "}" * 5_000),
    "a number of many digits": survey("order: 0", "order: " + "9" * 5_000),
    "a date for a name": survey("region: nowhere", "region: 2024-01-01"),
    "no bytes of text": declaration("survey.yml", bytes(range(256)) * 40),
    "NUL in columns": declaration("columns.csv", HEAD + "households,a\0b,x,text,,,,false,\n"),
    "a variable that is SQL": declaration("columns.csv", HEAD + 'households,编号,"a""; DROP TABLE x",text,,,,,\n'),
    "a huge field": declaration("columns.csv", HEAD + f"households,{'a' * 200_000},x,text,,,,,\n"),
    "a quote that never ends": declaration("codes.csv", CODES + '"'),
    "a lone surrogate": declaration("codes.csv", CODES.encode() + b"site,\xed\xa0\x80,SITE_A,,,\n"),
    "the same code many times": many("codes.csv", 20_000, "site,甲,SITE_B,,x,x\n"),
    "a range of all numbers": declaration("codes.csv", CODES + "missing,-99999999..99999999,,refused,,\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words(folder, name):
    REFUSED[name](folder)
    result = problems(folder)
    assert result
    assert all(line.strip() and "Traceback" not in line and len(line) < 2_000 for line in result)
    assert SECRET not in " ".join(result)


LEVELS = {
    "the file": lambda inbox, aim: (
        inbox.mkdir(parents=True),
        (inbox / "households.csv").symlink_to(aim / "households.csv"),
    ),
    "the folder of the survey": lambda inbox, aim: (inbox.parent.mkdir(parents=True), inbox.symlink_to(aim)),
}


@pytest.mark.parametrize("level", LEVELS)
def test_a_link_in_the_inbox_is_not_followed_at_any_level(folder, tmp_path, level):
    aim = tmp_path / "elsewhere"
    aim.mkdir()
    (aim / "households.csv").write_text(f"{SECRET}\n", encoding="utf-8")
    inbox = tmp_path / "inbox" / "s"
    LEVELS[level](inbox, aim)
    assert SECRET not in " ".join(problems(folder, inbox))


TEXTS = {
    "a template": "{{ env_var('HOME') }}{% do run_query('drop table x') %}{# #}",
    "a page": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "a formula": "=cmd|' /C calc'!A0",
    "a wide formula": "＝HYPERLINK(\"http://127.0.0.1\")",
    "SQL": "'; DROP SCHEMA raw CASCADE; --\"",
    "a format": "{0.__class__.__mro__}%s%n",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_a_text(folder, name):
    """In an answer, a label and a header, all of which are what they are and nothing else."""
    text = TEXTS[name]
    header = [c[1] if c[2] != "note" else text for c in COLUMNS]
    rows = [["H1", "甲", "35", "1200.5", "1", "land work", "2024-03-05", text]]
    columns = tuple((*c[:1], text, *c[2:]) if c[2] == "note" else c for c in COLUMNS)
    quoted = text.replace('"', '""')
    loaded = write_folder(folder, columns=columns, codes=f'{CODES}agree,4,4,,"{quoted}","{quoted}"\n')
    (folder / "households.csv").write_text(csv_text(rows, header), encoding="utf-8")
    with duckdb.connect() as con:
        load = ingest(loaded, folder.parent / "landing", con)
        assert load.is_accepted, load.problems
        assert con.execute("SELECT note FROM raw.s__households").fetchall() == [(text,)]
