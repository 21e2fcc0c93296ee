import re

import pytest

from relocation_warehouse.bi.clients import COOKBOOK_ENGINES, NOTES, snippets

TEXT = NOTES.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    "client",
    ["DuckDB command line", "DBeaver", "Metabase", "Power BI", "Tableau", "Excel", "R", "Stata", "pandas"],
)
def test_every_client_has_a_note_on_its_release_and_reads_only(client):
    (note,) = [body for title, body in SECTIONS.items() if re.search(rf"\b{client}\b", title)]
    if client in ("Metabase", "Excel"):
        assert "read" in note
        return
    assert "1.0.0" in note
    assert re.search(r"read_only|READ_ONLY|-readonly", note)


def test_a_note_that_was_not_tried_says_so():
    tried = {title for title, body in SECTIONS.items() if snippets(body)}
    assert len(tried) == 3
    assert [
        t for t, body in SECTIONS.items() if t not in tried | {"Superset"} and "*Not run here" not in body
    ] == []


def test_blocks_name_exact_releases():
    result = snippets(TEXT)
    assert len(result) == TEXT.count("```python") + TEXT.count("```sh")
    assert [p for s in result for p in s.packages if not re.fullmatch(r"[a-z\-]+(\[\w+\])?==[\d.]+", p)] == []
    assert "duckdb==1.0.0" in COOKBOOK_ENGINES


def test_blocks_without_packages_are_left_to_the_reader():
    assert snippets("```python\nprint(1)\n```\n```sh x==1 y==2\nls\n```\n")[0].packages == ("x==1", "y==2")
    assert len(snippets("```python\nprint(1)\n```\n```sh x==1\nls\n```\n")) == 1
