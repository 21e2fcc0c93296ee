"""The build as results see it, with Spark behind it: the same SQL, translated, and the same summaries, on executors.

Belongs here: what of a DuckDB connection the result functions use, done by Spark. Does not belong here: a query or a
formula of theirs, or the session (`engines.spark`).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar, cast

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from analysis.errors import AnalysisError
from relocation_warehouse.engines.spark import forget, keep_rows, rows_of, session
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.results.tables import Computed, Result

Part = TypeVar("Part")
Parameters = Sequence[Any] | Mapping[str, Any] | None

PICKLED = pa.schema([("part", pa.binary())])


@cache
def spark_build(paths: Paths) -> SparkBuild:
    """Return the build in the session of this process."""
    return SparkBuild(session(paths), paths)


class SparkBuild:
    """Stands where `results` takes a connection to the build database.

    Parameters
    ----------
    spark
        Session in which the tables are registered under the names they have in the build database.
    paths
        The warehouse.
    """

    def __init__(self, spark: Any, paths: Paths) -> None:
        self.spark = spark
        self.paths = paths

    def as_connection(self) -> duckdb.DuckDBPyConnection:
        """Give this as what the result functions are typed for; they use `execute` and the answers' methods only."""
        return cast("duckdb.DuckDBPyConnection", self)

    def execute(self, query: str, parameters: Parameters = None) -> SparkAnswer:
        """Run a statement in the dialect of DuckDB."""
        statement = sqlglot.parse_one(query, read="duckdb").transform(_bound(parameters))
        if isinstance(statement, exp.Create):
            # A view is enough for what DuckDB makes a temporary table of: its rows are kept where they are computed.
            name = statement.this.name
            self.spark.sql(self._written(statement.expression)).createOrReplaceTempView(name)
            self.spark.catalog.cacheTable(name)
            return SparkAnswer(self.spark.sql(f"select * from `{name}` limit 0"))
        return SparkAnswer(self.spark.sql(self._written(statement)))

    def cursor(self) -> SparkBuild:
        """Give a connection for another thread: Spark needs no other."""
        return self

    def register(self, name: str, rows: pa.Table) -> None:
        """Let queries read rows of the driver under a name."""
        self.spark.createDataFrame(rows).createOrReplaceTempView(name)

    def unregister(self, name: str) -> None:
        """Forget rows of the driver."""
        self.spark.catalog.dropTempView(name)

    def keep(self, name: str, result: Result) -> Result:
        """Replace a table by a result, so that later queries find it.

        Parameters
        ----------
        name
            `schema.table`.
        result
            Rows, or what Spark is to compute.

        Returns
        -------
        Result
            What the build database is to hold: for rows that Spark computed, a view over its files.
        """
        schema, table = name.split(".")
        forget(self.spark, self.paths, schema, table)
        if isinstance(result, pa.Table):
            keep_rows(self.spark, self.paths, schema, table, result)
            return result
        select = self._written(sqlglot.parse_one(result.sql, read="duckdb"))
        kind, stored = ("view", "") if result.is_view else ("table", "using parquet")
        self.spark.sql(f"create {kind} `{schema}`.`{table}` {stored} as {select}")
        return result if result.is_view else Computed(rows_of(self.paths, schema, table), is_view=True)

    def _written(self, statement: exp.Expr) -> str:
        """SQL of Spark for a statement of DuckDB."""
        for union in reversed(list(statement.find_all(exp.Union))):
            if union.args.get("by_name"):
                self._line_up(union)
        return str(statement.transform(_for_spark).sql(dialect="spark"))

    def _line_up(self, union: exp.Expr) -> None:
        """Give both sides of a union by name the same columns in the same order: Spark goes by position.

        A column that one side lacks is empty there.
        """
        sides = {side: union.args[side].copy() for side in ("this", "expression")}
        columns = {side: self.spark.sql(self._written(rows.copy())).columns for side, rows in sides.items()}
        names = dict.fromkeys([*columns["this"], *columns["expression"]])
        for side, rows in sides.items():
            if columns[side] == list(names):
                continue
            ordered = exp.select(
                *(
                    exp.column(n, quoted=True) if n in columns[side] else exp.null().as_(n, quoted=True)
                    for n in names
                )
            )
            union.set(side, ordered.from_(exp.Subquery(this=rows, alias=f"{side}_side")))
        union.set("by_name", False)


def _bound(parameters: Parameters) -> Callable[[exp.Expr], exp.Expr]:
    """Replace the placeholders of a statement by its parameters."""
    in_order = iter(() if isinstance(parameters, Mapping) else parameters or ())

    def replace(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return node
        return exp.convert(parameters[node.name] if isinstance(parameters, Mapping) else next(in_order))

    return replace


def _for_spark(node: exp.Expr) -> exp.Expr:
    """Write what the translator leaves in DuckDB's meaning."""
    if isinstance(node, exp.ArrayAgg | exp.List) and not isinstance(node.parent, exp.Filter):
        return _sorted_list(node)
    if isinstance(node, exp.Filter) and isinstance(node.this, exp.ArrayAgg | exp.List):
        return _sorted_list(node.this, node.expression)
    return node


def _sorted_list(node: exp.Expr, condition: exp.Expr | None = None) -> exp.Expr:
    """A list in a stated order: Spark collects in none, so the order is collected with the values."""
    inner = node.this or node.expressions[0]
    order: list[exp.Expr] = []
    if isinstance(inner, exp.Order):
        inner, order = inner.this, [o.this for o in inner.expressions]
    collect = "collect_list"
    if isinstance(inner, exp.Distinct):
        inner, collect = inner.expressions[0], "collect_set"
    key = order[0] if order else inner
    pairs = exp.func("named_struct", _text("by"), key.copy(), _text("value"), inner.copy())
    collected: exp.Expr = exp.Anonymous(this=collect, expressions=[pairs])
    if condition is not None:
        collected = exp.Filter(this=collected, expression=condition)
    return exp.Dot(
        this=exp.Anonymous(this="array_sort", expressions=[collected]), expression=exp.to_identifier("value")
    )


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)


class SparkAnswer:
    """Rows of a query: fetched as those of a DuckDB cursor, or worked on where they are."""

    def __init__(self, frame: Any) -> None:
        from pyspark.sql.types import DecimalType

        decimals = {f.name for f in frame.schema.fields if isinstance(f.dataType, DecimalType)}
        self.frame = (
            frame.withColumns({n: frame[f"`{n}`"].cast("double") for n in decimals}) if decimals else frame
        )

    def to_arrow_table(self) -> pa.Table:
        """All rows on the driver."""
        return self.frame.toArrow()

    def to_arrow_reader(self, batch_size: int = 0) -> SparkAnswer:
        """All rows in batches; Spark decides how many a batch has."""
        del batch_size
        return self

    def fetchnumpy(self) -> dict[str, Any]:
        """All rows as one array a column."""
        rows = self.to_arrow_table()
        return {name: rows[name].to_numpy() for name in rows.column_names}

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows as Python values."""
        return [tuple(row) for row in self.frame.collect()]

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row, if there is one."""
        rows = self.frame.take(1)
        return tuple(rows[0]) if rows else None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        yield from self.to_arrow_table().to_batches()

    def parts(self, compute: Callable[[Iterator[pa.RecordBatch]], Part]) -> Iterator[Part]:
        """Apply a function to the batches of every partition on the executors; what it gives comes to the driver.

        Raises
        ------
        AnalysisError
            As the function raised it there.
        """
        frame = self.frame.mapInArrow(partial(_pickled, compute), "part binary")
        for row in frame.collect():
            outcome = pickle.loads(row.part)
            if isinstance(outcome, AnalysisError):
                raise outcome
            yield outcome


def _pickled(
    compute: Callable[[Iterator[pa.RecordBatch]], object], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    try:
        outcome = compute(batches)
    except AnalysisError as error:
        outcome = error
    yield pa.RecordBatch.from_pydict({"part": [pickle.dumps(outcome)]}, PICKLED)
