"""The README's questions have the answers it shows."""

import re
import tomllib
from pathlib import Path

import duckdb
import pytest
import yaml

from relocation_warehouse.ground.paths import CHECKOUT

QUESTION = re.compile(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)+)", re.DOTALL)
QUESTIONS, IN_CHINESE = (
    QUESTION.findall((CHECKOUT / name).read_text(encoding="utf-8")) for name in ("README.md", "README.zh.md")
)


def shown(sql: str, database: Path) -> str:
    """The answer as the README writes it: a Markdown table."""
    with duckdb.connect(str(database), read_only=True) as con:
        result = con.execute(sql)
        names = [column[0] for column in result.description]
        rows = result.fetchall()
    lines = [names, ["---"] * len(names), *[["" if v is None else str(v) for v in row] for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def test_the_readme_asks_three_questions():
    assert len(QUESTIONS) == 3


def test_the_chinese_readme_asks_the_same():
    assert IN_CHINESE == QUESTIONS


@pytest.mark.parametrize("name", ["README", "docs/adding-a-survey"])
def test_a_page_in_chinese_has_every_section_and_every_field(name):
    english, chinese = ((CHECKOUT / f"{name}{end}").read_text("utf-8") for end in (".md", ".zh.md"))
    for part in (r"(?m)^#+ ", r"(?m)^```", r"(?m)^\| `[^`]+`"):
        assert len(re.findall(part, english)) >= len(re.findall(part, chinese)) > 0
    assert len(re.findall(r"(?m)^#+ ", english)) == len(re.findall(r"(?m)^#+ ", chinese))
    # names of fields and commands are the same in both
    assert set(re.findall(r"(?m)^  ? ?(\w+):", english)) == set(re.findall(r"(?m)^  ? ?(\w+):", chinese))


@pytest.mark.parametrize(("sql", "answer"), QUESTIONS, ids=range(1, len(QUESTIONS) + 1))
def test_the_answer_is_the_one_shown(sql, answer, published):
    assert shown(sql, published / "warehouse.duckdb") == answer


def test_the_citation_names_the_version_of_the_project():
    root = CHECKOUT
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert cited["authors"]
    assert cited["message"]
