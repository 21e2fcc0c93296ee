"""The SQL cookbook: questions as files, their expected answers beside them, and a page made from both.

A question is `docs/cookbook/NN_name.sql`: first the question in English and in Chinese as comments, then remarks, then
one query. Belongs here: reading, running and comparing those files. Does not belong here: a question or a number.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from relocation_warehouse.ground.paths import CHECKOUT, Paths

FOLDER = CHECKOUT / "docs" / "cookbook"
TOLERANCE = 1e-6
ROWS_SHOWN = 8


@dataclass(frozen=True)
class Question:
    """One question of the cookbook.

    Attributes
    ----------
    name
        File name without its ending.
    title_en, title_zh
        The question.
    remarks
        What to know before reading the answer; may be empty.
    sql
        The query without its leading comments.
    """

    name: str
    title_en: str
    title_zh: str
    remarks: str
    sql: str


@dataclass(frozen=True)
class Answer:
    """Column names and rows, as text with None for a missing value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def questions(folder: Path = FOLDER) -> list[Question]:
    """Read every question of the folder in order.

    Raises
    ------
    ValueError
        A file does not start with the question in English and in Chinese.
    """
    return [_question(path) for path in sorted(folder.glob("[0-9]*.sql"))]


def _question(path: Path) -> Question:
    lines = path.read_text(encoding="utf-8").splitlines()
    n_comments = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    comments = [line.removeprefix("--").strip() for line in lines[:n_comments]]
    if len(comments) < 2:
        raise ValueError(f"{path.name}: the first two lines must be the question in English and in Chinese")
    return Question(
        path.stem, comments[0], comments[1], " ".join(comments[2:]), "\n".join(lines[n_comments:]).strip()
    )


def connect(database: Path) -> duckdb.DuckDBPyConnection:
    """Open the published file as the cookbook asks: read-only; its macros are in it."""
    return duckdb.connect(str(database), read_only=True)


def answer(connection: duckdb.DuckDBPyConnection, question: Question) -> Answer:
    """Run a question."""
    cursor = connection.execute(question.sql)
    columns = tuple(column[0] for column in cursor.description or ())
    return Answer(columns, tuple(tuple(_text(v) for v in row) for row in cursor.fetchall()))


def _text(value: object) -> str | None:
    """Write a value so that it reads back as the same: numbers to ten digits, booleans as SQL says them."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    return str(value)


def differences(given: Answer, expected: Answer) -> list[str]:
    """Say where an answer is not the expected one; numbers may differ by 1e-6, absolutely or relatively."""
    if given.columns != expected.columns:
        return [f"columns {given.columns}, expected {expected.columns}"]
    if len(given.rows) != len(expected.rows):
        return [f"{len(given.rows)} rows, expected {len(expected.rows)}"]
    return [
        f"row {number}, {column}: {a!r}, expected {b!r}"
        for number, (row, wanted) in enumerate(zip(given.rows, expected.rows, strict=True), start=1)
        for column, a, b in zip(given.columns, row, wanted, strict=True)
        if not _agree(a, b)
    ]


def _agree(a: str | None, b: str | None) -> bool:
    if a == b:
        return True
    try:
        return math.isclose(float(a or ""), float(b or ""), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    except ValueError:
        return False


def read_expected(question: Question, folder: Path = FOLDER) -> Answer:
    """Read the committed answer of a question.

    Raises
    ------
    FileNotFoundError
        It has none; `make cookbook` writes it.
    """
    with (folder / "expected" / f"{question.name}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return Answer(tuple(header), tuple(tuple(cell or None for cell in row) for row in rows))


def write_expected(question: Question, answer: Answer, folder: Path = FOLDER) -> None:
    """Write the answer of a question beside it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows(answer.rows)
    path = folder / "expected" / f"{question.name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(buffer.getvalue(), encoding="utf-8")


def readme(asked: Sequence[Question], folder: Path = FOLDER) -> str:
    """Make the page of the cookbook from the questions and their committed answers."""
    opening = (folder / "opening.md").read_text(encoding="utf-8")
    contents = "\n".join(f"- [{q.title_en}](#{q.name}) · {q.title_zh}" for q in asked)
    sections = "\n".join(_section(q, read_expected(q, folder)) for q in asked)
    return f"{opening}\n## Questions\n\n{contents}\n\n{sections}"


def _section(question: Question, expected: Answer) -> str:
    shown = [
        expected.columns,
        tuple("---" for _ in expected.columns),
        *expected.rows[:ROWS_SHOWN],
    ]
    table = "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in shown)
    rest = len(expected.rows) - ROWS_SHOWN
    more = f"\n… and {rest} more rows in `expected/{question.name}.csv`.\n" if rest > 0 else ""
    remarks = f"{question.remarks}\n\n" if question.remarks else ""
    return (
        f'<a id="{question.name}"></a>\n\n### {question.title_en}\n\n{question.title_zh}\n\n{remarks}'
        f"```sql\n{question.sql}\n```\n\n{table}\n{more}"
    )


def _cell(text: str | None) -> str:
    """Shorten numbers and long texts for reading; the CSV holds them whole."""
    if text is None:
        return ""
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.4g}"
    except ValueError:
        plain = text.replace("|", "\\|").replace("\n", " ")
        return plain if len(plain) <= 90 else plain[:89] + "…"


def write(database: Path) -> None:
    """Write all expected answers and the page again from a published file."""
    asked = questions()
    with connect(database) as connection:
        for question in asked:
            write_expected(question, answer(connection, question))
    for stale in {p.stem for p in (FOLDER / "expected").glob("*.csv")} - {q.name for q in asked}:
        (FOLDER / "expected" / f"{stale}.csv").unlink()
    (FOLDER / "README.md").write_text(readme(asked), encoding="utf-8")


def check(database: Path) -> str:
    """Compare a published file with the expected answers, and look for comments on all that it holds.

    Raises
    ------
    SystemExit
        An answer differs, or a table or column has no comment; the message says which.
    """
    asked = questions()
    with connect(database) as connection:
        wrong = [
            f"{question.name}: {difference}"
            for question in asked
            for difference in differences(answer(connection, question), read_expected(question))
        ]
        silent = connection.execute(
            "select table_name from duckdb_tables() where comment is null and not internal and not temporary"
            " union all select table_name || '.' || column_name from duckdb_columns()"
            " where comment is null and not internal"
            " union all select function_name from duckdb_functions()"
            " where function_type like '%macro' and comment is null and not internal"
        ).fetchall()
        n_columns = connection.execute(
            "select count(comment) from duckdb_columns() where not internal"
        ).fetchone()
    if wrong or silent or n_columns is None or not n_columns[0]:
        raise SystemExit("\n".join([*wrong, *(f"no comment: {name}" for (name,) in silent)]))
    return f"{len(asked)} questions answered as expected, comments on {n_columns[0]} columns read"


def main() -> None:
    """`write` the answers again (the default), or `check [FILE]` a published file against them."""
    command, *files = sys.argv[1:] or ["write"]
    database = Path(files[0]) if files else Paths.from_environment().published / "warehouse.duckdb"
    if command == "write":
        write(database)
    elif command == "check":
        print(check(database))
    else:
        raise SystemExit("usage: python -m bi.cookbook [write | check] [FILE]")


if __name__ == "__main__":
    main()
