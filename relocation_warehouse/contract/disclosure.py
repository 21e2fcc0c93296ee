"""What each number of the public edition derives from, and how much of it is shown.

Belongs here: the types of `disclosure.yml`, its loader, and what it leaves undeclared of a contract. Does not belong
here: rounding anything (`publication.disclosure`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from relocation_warehouse.contract.tables import Column, Contract, ContractError, Table, TableName
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey.documents import YAMLError, read_yaml
from relocation_warehouse.survey.vocabulary import Closed, Identifier

Rule = (
    Literal["count", "rows", "rows_left", "rows_all", "share", "mean", "figure", "error", "by_error"]
    | Literal[
        "low",
        "high",
        "beta",
        "level",
        "p",
        "other_p",
        "received_name",
        "stars",
        "clauses",
        "withheld",
        "shown",
    ]
    | Annotated[str, StringConstraints(pattern=r"^(grid [0-9.]+|digits [1-9])$")]
)


class Derived(Closed):
    """Rules of a table whose numbers derive from households; `disclosure.yml` explains the fields."""

    survey: Identifier = "survey_id"
    rows_where: str = "true"
    where: str = "true"
    withheld_where: str = "false"
    counts_where: str = "true"
    one_split: bool = False
    within: tuple[Identifier, ...] = ()
    rare_terms: TableName | None = None
    clauses: str = "^$"
    exact: tuple[Identifier, ...] = ()
    columns: dict[Identifier, Rule]


class Disclosure(Closed):
    """The whole declaration."""

    base: int = Field(ge=2)
    fewest: int = Field(ge=2)
    renewed_by: int = Field(ge=2)
    declarations: tuple[tuple[Identifier, ...], ...]
    ranges: dict[str, float]
    declared: tuple[tuple[TableName, ...], ...]
    derived: dict[TableName, Derived]

    @property
    def declared_tables(self) -> frozenset[str]:
        """Tables without a number that derives from a household."""
        return frozenset(chain(*self.declared))

    def is_exact(self, table: Table, column: Column) -> bool:
        """Whether a column of a public table is shown as it is in every row.

        Parts of the key, yes or no, and codes that have words say nothing that is not declared; a code with a rule
        of its own (a verdict, say) does.
        """
        if table.full_name in self.declared_tables:
            return True
        rules = self.derived[table.full_name]
        return column.name not in rules.columns and (
            column.name in {*table.key, *rules.exact, *chain(*self.declarations)}
            or column.type == "BOOLEAN"
            or bool(column.values)
        )

    def undeclared(self, contract: Contract) -> Iterator[str]:
        """Tables and columns of the public edition without a declaration: `schema.table` or `schema.table.column`."""
        for table in contract:
            if table.edition != "public":
                continue
            if table.full_name in self.declared_tables:
                continue
            if table.full_name not in self.derived:
                yield table.full_name
                continue
            rules = self.derived[table.full_name]
            yield from (
                f"{table.full_name}.{c.name}"
                for c in table.columns
                if c.edition == "public" and c.name not in rules.columns and not self.is_exact(table, c)
            )

    def unknown(self, contract: Contract) -> Iterator[str]:
        """What is declared and not in the public edition."""
        public = {t.full_name: t for t in contract if t.edition == "public"}
        yield from sorted({*self.declared_tables, *self.derived} - set(public))
        for name, rules in self.derived.items():
            if name in public:
                columns = {c.name for c in public[name].columns if c.edition == "public"}
                yield from (f"{name}.{c}" for c in sorted({*rules.columns, *rules.exact} - columns))


class _Document(Closed):
    disclosure: Disclosure


def load_disclosure(path: Path) -> Disclosure:
    """Read `disclosure.yml`.

    Raises
    ------
    ContractError
        If the file is no valid declaration, naming the field.
    """
    try:
        return TypeAdapter(_Document).validate_python(read_yaml(path)).disclosure
    except (OSError, YAMLError) as error:
        raise ContractError(f"{path.name}: {error}") from error
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ContractError(f"{path.name}: {'; '.join(problems)}") from error


@cache
def disclosure_of(paths: Paths | None = None) -> Disclosure:
    """The declaration of a warehouse, by default of the one in the environment; read once a process."""
    return load_disclosure((paths or Paths.from_environment()).catalog / "disclosure.yml")
