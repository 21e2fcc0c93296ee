"""The sources of the documentation site: `docs/` as it is, and the pages that are made from catalog and contract.

Tables, columns, indicators, codes and words have one home, the catalog; a page that repeated them would drift. Belongs
here: writing them as Markdown. Does not belong here: a sentence of documentation, or how the site looks
(`docs/mkdocs.yml`).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from relocation_warehouse.contract.tables import Column, Contract, Table, contract_of
from relocation_warehouse.contract.words import places
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.survey.catalog import Catalog, Indicator, Labelled, load_catalog

DOCS = CHECKOUT / "docs"
SETTINGS = "mkdocs.yml"


def write_sources(folder: Path, catalog: Catalog, contract: Contract) -> None:
    """Write everything the site is built from: `folder/mkdocs.yml` and the pages in `folder/docs`.

    Parameters
    ----------
    folder
        Its pages are replaced.
    catalog, contract
        What the reference pages say.
    """
    docs = folder / "docs"
    shutil.rmtree(docs, ignore_errors=True)
    shutil.copytree(DOCS, docs, ignore=shutil.ignore_patterns(SETTINGS))
    settings = yaml.safe_load((DOCS / SETTINGS).read_text(encoding="utf-8"))
    settings["nav"] = [{k: _pages_of(v) for k, v in entry.items()} for entry in settings["nav"]]
    (folder / SETTINGS).write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    reference = docs / "reference"
    reference.mkdir()
    for name, text in pages(catalog, contract).items():
        (reference / f"{name}.md").write_text(text, encoding="utf-8")


def _pages_of(entry: Any) -> Any:
    """Pages of a folder by name, where an entry of the navigation is `folder/*`."""
    if isinstance(entry, str) and entry.endswith("/*"):
        return [page.relative_to(DOCS).as_posix() for page in sorted(DOCS.glob(f"{entry}.md"))]
    return entry


def pages(catalog: Catalog, contract: Contract) -> dict[str, str]:
    """Text of each page of the reference, by its name."""
    return {
        "tables": _tables(contract),
        "indicators": _indicators(catalog),
        "codes": _codes(catalog, contract),
        "glossary": _glossary(catalog, contract),
    }


def _tables(contract: Contract) -> str:
    lines = [
        "# Tables and columns 表与字段",
        "",
        f"Contract version {contract.version}. `analyst`: only in the edition with household rows.",
        "",
        "| table | | edition |\n|---|---|---|",
    ]
    lines += [
        f"| [`{t.full_name}`](#{t.schema}-{t.name}) | {_cell(t.description.en)} · {t.description.zh} | {t.edition} |"
        for t in contract
    ]
    for table in contract:
        lines += ["", *_table(table)]
    return "\n".join(lines) + "\n"


def _table(table: Table) -> Iterator[str]:
    yield f'<a id="{table.schema}-{table.name}"></a>'
    yield ""
    yield f"## `{table.full_name}`"
    yield ""
    yield f"{table.description.en} {table.description.zh}"
    yield ""
    kind = "a view" if table.is_view else "a table"
    yield f"{kind.capitalize()}; a row is identified by {', '.join(f'`{k}`' for k in table.key)}."
    yield ""
    yield "| column | type | meaning | 含义 | allowed | codes in |"
    yield "|---|---|---|---|---|---|"
    for column in table.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        lookups = ", ".join(f"`{t}`" for t in table.lookups.get(column.name, ()))
        yield (
            f"| `{column.name}` | {column.type}{'' if not column.nullable else ', may be empty'} "
            f"| {_cell(column.en)}{unit} | {_cell(column.zh)} | {_allowed(column)} | {lookups} |"
        )


def _allowed(column: Column) -> str:
    if column.values:
        return ", ".join(f"`{code}`" for code in column.values if code)
    ends = ["" if end is None else f"{end:g}" for end in (column.minimum, column.maximum)]
    return " to ".join(ends) if any(ends) else ""


def _indicators(catalog: Catalog) -> str:
    lines = ["# Indicators 指标", "", "What is measured, whatever a survey calls it."]
    for system in catalog.systems:
        lines += ["", f"## {system.label_en} {system.label_zh}"]
        for dimension in (d for d in catalog.dimensions if d.system == system.id):
            own = [i for i in catalog.indicators if i.dimension == dimension.id]
            lines += ["", f"### {dimension.label_en} {dimension.label_zh}", "", *_rows(own)]
    return "\n".join(lines) + "\n"


def _rows(indicators: Iterable[Indicator]) -> Iterator[str]:
    yield "| indicator | | 名称 | definition | values | better |"
    yield "|---|---|---|---|---|---|"
    for i in indicators:
        ends = ["" if end is None else f"{end:g}" for end in (i.minimum, i.maximum)]
        values = " ".join(filter(None, (i.type, i.unit, " to ".join(ends) if any(ends) else "")))
        labels = " | ".join(map(_cell, (i.label_en, i.label_zh, i.definition_en)))
        yield f"| `{i.id}` | {labels} | {values} | {i.direction} |"


def _codes(catalog: Catalog, contract: Contract) -> str:
    lines = ["# Codes 编码", "", "Words of the codes of columns (`reference.value_labels`), then of answers."]
    for column, words in sorted(contract.words().items()):
        lines += ["", f"## `{column}`", "", "| code | | |\n|---|---|---|"]
        lines += [f"| `{code}` | {_cell(w.en)} | {w.zh} |" for code, w in words.items() if code]
    for name, things in catalog.options.items():
        lines += ["", f"## `{name}` of the catalog", "", "| code | | |\n|---|---|---|"]
        lines += [f"| `{t.id}` | {_cell(t.label_en)} | {t.label_zh} |" for t in things]
    for name, codes in sorted(catalog.code_lists.items()):
        lines += ["", f"## Answers: `{name}`", "", "| code | | |\n|---|---|---|"]
        lines += [f"| `{c.code}` | {_cell(c.label_en)} | {c.label_zh} |" for c in codes]
    return "\n".join(lines) + "\n"


def _glossary(catalog: Catalog, contract: Contract) -> str:
    """Terms in both languages, each way round; a column whose words leave places open holds sentences."""
    terms = {
        (w.en, w.zh)
        for words in contract.words().values()
        if not any(map(places, words))
        for w in words.values()
    }
    things: list[Labelled] = [
        *(*catalog.systems, *catalog.dimensions, *catalog.indicators, *catalog.metrics),
        *(thing for options in catalog.options.values() for thing in options),
        *(band for scheme in catalog.band_schemes for band in scheme.bands),
    ]
    terms |= {(thing.label_en, thing.label_zh) for thing in things}
    lines = ["# Glossary 术语表", "", "## English to Chinese", "", "| English | 中文 |\n|---|---|"]
    lines += [f"| {_cell(en)} | {_cell(zh)} |" for en, zh in sorted(terms, key=lambda t: t[0].lower())]
    lines += ["", "## 中英对照", "", "| 中文 | English |\n|---|---|"]
    lines += [f"| {_cell(zh)} | {_cell(en)} |" for en, zh in sorted(terms, key=lambda t: t[1])]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write the sources of the site into the folder that is named."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m relocation_warehouse.bi.site FOLDER")
    paths = Paths.from_environment()
    write_sources(Path(sys.argv[1]), load_catalog(paths.catalog), contract_of(paths))


if __name__ == "__main__":
    main()
