"""The documentation: its pages about tables and indicators, its links, and its citation."""

import re
from urllib.parse import unquote

import pytest
import yaml

from relocation_warehouse.bi.site import DOCS, SETTINGS, pages, write_sources
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.survey.catalog import load_catalog

CATALOG = load_catalog(Paths.from_environment().catalog)
LINK = re.compile(r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MARKDOWN = sorted(
    [*DOCS.rglob("*.md"), *(CHECKOUT / n for n in ("README.md", "README.zh.md", "CONTRIBUTING.md"))]
)


def anchors(text: str) -> set[str]:
    """Names that a link of the page can end in: those given, and those of its headings."""
    plain = FENCE.sub("", text)
    headings = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return made | set(re.findall(r'id="([^"]+)"', plain))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: p.relative_to(CHECKOUT).as_posix())
def test_every_link_leads_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in (a or b for a, b in LINK.findall(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        assert file.exists(), target
        # a page of the site can only lead to what is in the site
        assert page.parent == CHECKOUT or file.is_relative_to(DOCS), f"{target} is not in docs/"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def test_every_table_column_and_indicator_has_its_place_in_both_languages():
    made, contract = pages(CATALOG, contract_of()), contract_of()
    for table in contract:
        section = made["tables"].split(f"## `{table.full_name}`\n")[1].split("\n## `")[0]
        assert table.description.zh in section
        for column in table.columns:
            assert f"| `{column.name}` | {column.type}" in section
            assert column.zh in section
    for indicator in CATALOG.indicators:
        (row,) = [x for x in made["indicators"].splitlines() if x.startswith(f"| `{indicator.id}` |")]
        assert indicator.label_zh in row
        assert indicator.definition_en.replace("|", "\\|") in row
    for thing in (*CATALOG.dimensions, *CATALOG.metrics, *CATALOG.coupling.variants):
        assert f"| {thing.label_en} | {thing.label_zh} |" in made["glossary"]
        assert f"| {thing.label_zh} | {thing.label_en} |" in made["glossary"]
    # sentences that a result gives belong to their codes, not to the terms
    assert "…" not in made["glossary"]
    assert "…" in made["codes"]
    assert "says nothing about the others" not in made["glossary"]


def test_the_navigation_leads_to_every_page_and_to_nothing_else(tmp_path):
    write_sources(tmp_path, CATALOG, contract_of())
    settings = yaml.safe_load((tmp_path / SETTINGS).read_text(encoding="utf-8"))
    named = set(_pages(settings["nav"]))
    there = {p.relative_to(tmp_path / "docs").as_posix() for p in (tmp_path / "docs").rglob("*.md")}
    assert named <= there
    # the opening of the cookbook is a part of its page
    assert there - named == {"cookbook/opening.md"}


def _pages(nav):
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _pages(value) if isinstance(value, list) else [value]


def test_the_site_asks_no_other_host():
    settings = yaml.safe_load((DOCS / SETTINGS).read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert "http" not in (DOCS / SETTINGS).read_text(encoding="utf-8")
    assert not {"extra_css", "extra_javascript", "extra"} & set(settings)
