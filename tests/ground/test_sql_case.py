"""SQL is written in lower case, in Python as in dbt (sqlfluff holds the latter)."""

import ast
import re
from collections.abc import Iterator

import pytest

from relocation_warehouse.ground.paths import CHECKOUT, PACKAGES

SQL = re.compile(
    r"\b(SELECT|WHERE|GROUP BY|ORDER BY|PARTITION BY|HAVING|QUALIFY|JOIN|UNION ALL|CASE WHEN|IS NULL|IS NOT NULL"
    r"|INSERT INTO|DELETE FROM|CREATE (OR REPLACE )?(TEMP )?(TABLE|VIEW|SCHEMA|MACRO)|DROP (TABLE|VIEW)|CAST)\b"
    r"|\bFROM [a-z({]"
)


def upper_case(source: str) -> Iterator[int]:
    """Lines of the strings that hold SQL in capitals; what stands by itself is a docstring."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_string = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_string and id(node) not in docstrings and " " in node.value and SQL.search(node.value):
            yield node.lineno


@pytest.mark.parametrize("folder", [*PACKAGES, "benchmarks"])
def test_sql_in_python_is_in_lower_case(folder: str) -> None:
    lines = [
        f"{path.relative_to(CHECKOUT)}, line {line}"
        for path in sorted((CHECKOUT / folder).rglob("*.py"))
        for line in upper_case(path.read_text(encoding="utf-8"))
    ]
    assert lines == []


def test_capitals_are_seen_in_plain_and_in_formatted_strings() -> None:
    source = '"""SELECT in a docstring"""\na = "SELECT 1"\nb = f"select {a} FROM t"\n'
    assert list(upper_case(source)) == [2, 3]
