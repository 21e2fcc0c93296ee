"""The contract: what every published table and column is called, means and allows.

Belongs here: the types of `tables.yml` and its loader. Does not belong here: anything that reads or writes data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey.catalog import Catalog, Indicator, load_catalog
from relocation_warehouse.survey.documents import YAMLError, read_yaml
from relocation_warehouse.survey.vocabulary import Closed, Identifier, Label

TableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]
DuckType = Literal["VARCHAR", "DOUBLE", "BIGINT", "INTEGER", "BOOLEAN", "TIMESTAMP", "DATE"]


ARROW: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "DOUBLE": pa.float64(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}
"""Arrow type of each type of column."""

WORDS = "reference.value_labels"
"""The table with the words of all codes that belong to no table of their own."""

TOLERANCE = 1e-9
"""By how much a computed value may lie beyond its bounds: the last digits of a mean of values between them."""


class ContractError(ValueError):
    """`tables.yml` is not valid; the message names the place."""


class Word(Label):
    """What people read in place of a code."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


Words = dict[str, Word]
"""Words by code."""


class Column(Closed):
    """A published column. `minimum`, `maximum` and the codes of `values` are enforced by the audit.

    A column with `words` may hold other values too.
    """

    name: Identifier
    type: DuckType
    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)
    unit: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    values: Words = Field(default_factory=dict)
    words: Words = Field(default_factory=dict)
    volatile: bool = False
    edition: Literal["analyst", "public"] = "public"
    quotes_household: bool = False


class InReport(Closed):
    """Where and how the report shows a table.

    Attributes
    ----------
    section
        Id of a section of the page.
    title
        Heading; the description of the table stands under it.
    columns
        What is shown, in order.
    where
        Rows that are shown: value by column; all rows where it is empty.
    chart
        Function of `publication/report/figures.py` that draws the rows; a plain table where there is none.
    """

    section: Identifier
    title: Word
    columns: tuple[Identifier, ...] = Field(min_length=1)
    where: dict[Identifier, str] = Field(default_factory=dict)
    chart: Identifier | None = None


class _Use(Closed):
    use: str


class _ColumnsFrom(Closed):
    indicators: str


class _TableEntry(Closed):
    table: TableName
    description: Word
    key: tuple[Identifier, ...] = Field(min_length=1)
    edition: Literal["analyst", "public"]
    view: bool = False
    each_survey: Identifier | None = None
    made_by: Identifier | None = None
    report: InReport | None = None
    references: dict[Identifier, TableName | None] = Field(default_factory=dict)
    columns: tuple[_Use | Column, ...] = Field(min_length=1)
    columns_from: _ColumnsFrom | None = None


class _Document(Closed):
    contract_version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
    references: dict[Identifier, TableName]
    lookups: dict[Identifier, tuple[TableName, ...]] = Field(default_factory=dict)
    value_lists: dict[Identifier, Words] = Field(default_factory=dict)
    column_groups: dict[str, tuple[Column, ...]]
    tables: tuple[_TableEntry, ...]


@dataclass(frozen=True)
class Table:
    """A published table with its columns resolved.

    Attributes
    ----------
    key
        Columns that identify a row, and the order of the rows in files.
    edition
        `analyst`: household rows; `public`: aggregates or literature, in both editions.
    is_view
        True: stays a view over other published tables, from which all its rows follow.
    each_survey
        `all`: every accepted survey has a row; a system: every survey with a value of that system; None: no rule.
    made_by
        `surveys`, `catalog`, `literature`, `ingest`, `publish`, or the group of results that computes it; None: a
        model of dbt.
    references
        Column -> table in which its values must exist under the same name.
    report
        Where the report shows it beside what it composes of several tables.
    lookups
        Column -> tables that explain its codes, for comments.
    """

    schema: str
    name: str
    description: Label
    key: tuple[str, ...]
    edition: str
    is_view: bool
    each_survey: str | None
    made_by: str | None
    references: dict[str, str]
    columns: tuple[Column, ...]
    report: InReport | None = None
    lookups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """`schema.table`."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in order."""
        return tuple(c.name for c in self.columns)

    @property
    def arrow_schema(self) -> pa.Schema:
        """Names and types of the columns in order."""
        return pa.schema([(c.name, ARROW[c.type]) for c in self.columns])


@dataclass(frozen=True)
class Contract:
    """All published tables of one contract version."""

    version: str
    tables: tuple[Table, ...]
    groups: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    def group(self, name: str) -> tuple[str, ...]:
        """Names of the columns of a column group; `household` holds what identifies a household in a wave."""
        return tuple(c.name for c in self.groups[name])

    def made_by(self, maker: str) -> tuple[str, ...]:
        """`schema.table` of the tables that a maker makes, in order."""
        return tuple(t.full_name for t in self.tables if t.made_by == maker)

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    def __getitem__(self, full_name: str) -> Table:
        for table in self.tables:
            if table.full_name == full_name:
                return table
        raise KeyError(f"data/catalog/tables.yml has no table {full_name}")

    @property
    def schemas(self) -> tuple[str, ...]:
        """Schemas in order of first appearance."""
        return tuple(dict.fromkeys(t.schema for t in self.tables))

    def words(self) -> dict[str, Words]:
        """Words by column name, then by code, whichever table the column stands in."""
        words: dict[str, Words] = {}
        for column in (c for table in self.tables for c in table.columns if c.values or c.words):
            words.setdefault(column.name, {}).update(column.values | column.words)
        return words


def load_contract(path: Path, indicators: Iterable[Indicator]) -> Contract:
    """Read `tables.yml` and resolve column groups and indicator columns.

    Parameters
    ----------
    path
        The file.
    indicators
        Canonical indicators in order of display; they become columns of the wide tables.

    Raises
    ------
    ContractError
        If the file is no valid contract, naming the table and the field.
    """
    try:
        raw = read_yaml(path)
        document = TypeAdapter(_Document).validate_python(raw)
    except (OSError, YAMLError) as error:
        raise ContractError(f"{path.name}: {error}") from error
    except ValidationError as error:
        raise ContractError(f"{path.name}: " + "; ".join(_problem(raw, e) for e in error.errors())) from error
    indicators = tuple(indicators)
    tables = tuple(_resolve(path, entry, document, indicators) for entry in document.tables)
    known = {t.full_name for t in tables}
    for table in tables:
        absent = sorted({*table.references.values(), *chain(*table.lookups.values())} - known)
        if absent:
            raise ContractError(
                f"{path.name}: {table.full_name} refers to {', '.join(absent)}, not described"
            )
    if len(known) < len(tables):
        raise ContractError(f"{path.name}: a table is described twice")
    for problem in _word_problems(document, tables):
        raise ContractError(f"{path.name}: {problem}")
    return Contract(document.contract_version, tables, document.column_groups)


@cache
def contract_of(paths: Paths | None = None) -> Contract:
    """The contract of a warehouse, by default of the one in the environment; read once a process."""
    paths = paths or Paths.from_environment()
    return load_contract(paths.catalog / "tables.yml", load_catalog(paths.catalog).indicators)


def _word_problems(document: _Document, tables: Iterable[Table]) -> Iterator[str]:
    """A list that nothing uses, and a code that would need the name of its table to have one word."""
    given = [(t, c, words) for t in tables for c in t.columns for words in (c.values, c.words)]
    used = [words for *_, words in given]
    yield from (
        f"no column uses value list {n}" for n, words in document.value_lists.items() if words not in used
    )
    known: dict[tuple[str, str], Word] = {}
    for table, column, words in given:
        for code, word in words.items():
            if known.setdefault((column.name, code), word) != word:
                yield (
                    f"{table.full_name}.{column.name} calls {code!r} {word.en} {word.zh}, and a column of that name"
                    f" elsewhere {known[column.name, code].en} {known[column.name, code].zh}; use one value list"
                )


def value_labels(contract: Contract, catalog: Catalog | None = None) -> pa.Table:
    """The words of all codes, as `reference.value_labels`; empty text is no code, for CSV has none.

    Parameters
    ----------
    contract
        Its codes have their words in it.
    catalog
        Whose options are codes too: schemes, variants, pairs.
    """
    words = [(column, code, w.en, w.zh) for column, ws in contract.words().items() for code, w in ws.items()]
    words += [
        (column, thing.id, thing.label_en, thing.label_zh)
        for column, things in (catalog.options if catalog else {}).items()
        for thing in things
    ]
    rows = [
        {"column_name": column, "code": code, "label_en": en, "label_zh": zh}
        for column, code, en, zh in words
        if code
    ]
    table = pa.Table.from_pylist(rows)
    return table.append_column("display_order", pa.array(range(1, len(rows) + 1), pa.int32()))


def _problem(raw: object, error: object) -> str:
    """Name the place of a validation error by table instead of by position."""
    assert isinstance(error, dict)
    place = list(error["loc"])
    if place[:1] == ["tables"] and len(place) > 1 and isinstance(raw, dict):
        entry = raw["tables"][place[1]]
        place[:2] = [str(entry.get("table", f"table {place[1]}")) if isinstance(entry, dict) else str(entry)]
    return f"{'.'.join(map(str, place))}: {error['msg']}"


def _resolve(path: Path, entry: _TableEntry, document: _Document, indicators: tuple[Indicator, ...]) -> Table:
    columns: list[Column] = []
    for item in entry.columns:
        if isinstance(item, Column):
            columns.append(item)
        elif item.use in document.column_groups:
            columns += document.column_groups[item.use]
        else:
            raise ContractError(f"{path.name}: {entry.table} uses {item.use!r}, which is no column group")
    if entry.columns_from is not None:
        wanted = entry.columns_from.indicators
        columns += [_indicator_column(i) for i in indicators if wanted in ("all", i.system)]
    names = [c.name for c in columns]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ContractError(f"{path.name}: {entry.table} has {', '.join(twice)} twice")
    absent = [k for k in entry.key if k not in names]
    if absent:
        raise ContractError(f"{path.name}: key {', '.join(absent)} of {entry.table} is not among its columns")
    if entry.report is not None:
        absent = [c for c in (*entry.report.columns, *entry.report.where) if c not in names]
        if absent:
            raise ContractError(
                f"{path.name}: {entry.table} has no {', '.join(absent)} to show in the report"
            )
    schema, name = entry.table.split(".")
    references = {
        column: target
        for column, target in {**document.references, **entry.references}.items()
        if target is not None and column in names and target != entry.table
    }
    return Table(
        schema=schema,
        name=name,
        description=entry.description,
        key=entry.key,
        edition=entry.edition,
        is_view=entry.view,
        each_survey=entry.each_survey,
        made_by=entry.made_by,
        references=references,
        columns=tuple(columns),
        report=entry.report,
        lookups=_lookups(entry.table, columns, references, document),
    )


def _lookups(
    table: str, columns: Iterable[Column], references: Mapping[str, str], document: _Document
) -> dict[str, tuple[str, ...]]:
    """Column -> other tables in which a reader finds what its codes mean."""
    by_column = {
        c.name: (
            *((references[c.name],) if c.name in references else ()),
            *((WORDS,) if c.values or c.words else ()),
            *document.lookups.get(c.name, ()),
        )
        for c in columns
    }
    known = {t.table for t in document.tables} | {*chain(*document.lookups.values())}
    others = {
        name: tuple(t for t in dict.fromkeys(tables) if t != table and t in known)
        for name, tables in by_column.items()
    }
    return {name: tables for name, tables in others.items() if tables}


def _indicator_column(indicator: Indicator) -> Column:
    is_text = indicator.type == "category"
    return Column(
        name=indicator.id,
        type="VARCHAR" if is_text else "DOUBLE",
        unit=None if is_text else indicator.unit,
        en=indicator.label_en,
        zh=indicator.label_zh,
        nullable=True,
        minimum=None if is_text else indicator.minimum,
        maximum=None if is_text else indicator.maximum,
    )
