"""Compile a survey's crosswalk to one plain SELECT per wave, and check what only the catalog can tell.

Belongs here: the meaning of every rule as SQL. Expressions are built as a syntax tree, so names, codes and
values of a survey folder are always quoted and the same tree is written for any engine.
Does not belong here: cleaning of single cells (`ingest`), running the SQL (dbt does), or a survey's name.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.catalog import Catalog, Indicator
from relocation_warehouse.survey.documents import line_of
from relocation_warehouse.survey.folder import SURVEY_FILE, SurveyFolder, suggestion
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.vocabulary import (
    VALUELESS_RULES,
    Code,
    Column,
    ColumnType,
    CrosswalkRow,
    Disclosure,
    Grain,
    MissingReason,
    Rule,
    Status,
    WaveColumn,
)

MISSING_SUFFIX = "__missing"

CHOSEN_SUFFIX = "__chosen"
"""Ends the number of a household's roster rows that `where` chooses."""

ORDERED = (Rule.FIRST, Rule.LAST)
FAILED_SUFFIX = "__failed"
"""Ends the columns of a trial that say where a value cannot be computed."""

KEY_COLUMNS = (
    "survey_id",
    "household_id",
    "wave",
    "wave_order",
    "region",
    "site_id",
    "weight",
    "stratum_id",
    "sampling_unit_id",
    "population_units",
    "unit_households",
    "is_synthetic",
    "source_file_id",
    "source_row",
)

DESIGN_COLUMNS = KEY_COLUMNS[KEY_COLUMNS.index("weight") : KEY_COLUMNS.index("is_synthetic")]
"""Columns that say how a household was drawn."""

REASON_OF_RULE = {
    Rule.NOT_ASKED: MissingReason.NOT_ASKED,
    Rule.ASKED_NOT_SHARED: MissingReason.NOT_SHARED,
    Rule.UNDETERMINED: MissingReason.NOT_ASKED,
}

OPEN_RANGE = (-sys.float_info.max, sys.float_info.max)
"""Smallest and largest number."""

DEEPEST_EXPRESSION = 100
"""Levels of brackets, signs and cases that an expression may have."""

ALLOWED_IN_EXPRESSION = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.Paren),
    *(exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Abs, exp.Round, exp.Floor, exp.Ceil),
    *(exp.Ln, exp.Sqrt, exp.Exp, exp.Pow),
    *(
        exp.Not,
        exp.And,
        exp.Or,
        exp.EQ,
        exp.NEQ,
        exp.GT,
        exp.GTE,
        exp.LT,
        exp.LTE,
        exp.Between,
        exp.In,
        exp.Is,
    ),
    *(exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Least, exp.Greatest),
)
"""What an `expression` may hold: arithmetic and cases over its own sources. Anything else is refused."""


MAY_FAIL = (Rule.EXPRESSION, Rule.CONSTANT)
"""Rules whose SQL can end in an error; so can a text that is to be a code of the catalog."""


ABSENT_IS_ZERO = "absent=0"
"""Parameters of a count over a roster that give 0 to a household without a row in it; else its count is missing."""


LARGEST_EXPONENT = 709.0
"""e to a larger power is no number of 64 bits."""


class CrosswalkError(ValueError):
    """A crosswalk row that cannot become SQL; the message says which and why."""


@dataclass(frozen=True)
class Cell:
    """SQL of one indicator: the value, and why it is missing where it is."""

    value: exp.Expr
    reason: exp.Expr


def compile_wave(folder: SurveyFolder, wave: str, catalog: Catalog, dialect: str = "duckdb") -> str:
    """Write the SELECT that harmonises one wave of a survey.

    Parameters
    ----------
    folder
        A survey folder that passed its checks.
    wave
        Name of the wave.
    catalog
        Each of its indicators gives two columns, `<id>` and `<id>__missing`, in its order.
    dialect
        SQL dialect to write, as sqlglot names it.

    Returns
    -------
    str
        One SELECT over `raw.<survey_id>__<file_id>`; columns are `KEY_COLUMNS`, then the indicators.
    """
    compiler = _WaveCompiler(folder, wave, catalog, dialect)
    return compiler.select(compiler.all_columns()).sql(dialect=dialect, pretty=True)


def compile_trial(folder: SurveyFolder, wave: str, catalog: Catalog) -> str:
    """Write the SELECT of the values of a wave in a form that runs to its end whatever the answers are.

    Columns are `KEY_COLUMNS` and the indicators whose rule gives a value. A value that cannot be computed, such as the
    logarithm of zero, is NULL, and `<id>__failed` is true in its row.
    """
    compiler = _WaveCompiler(folder, wave, catalog)
    columns = compiler.columns({})
    may_fail = {name for name in DESIGN_COLUMNS if columns[name].find(exp.Window) is None}
    for row in folder.rows_of(wave).values():
        if row.rule not in VALUELESS_RULES:
            indicator = catalog.indicator[row.indicator_id]
            columns[indicator.id] = compiler.cell(row, indicator).value
            if row.rule in MAY_FAIL or not indicator.is_numeric:
                may_fail.add(indicator.id)
    # a list of one, so that what fails is told from what is missing
    held = {
        name: exp.Anonymous(this="TRY", expressions=[exp.Array(expressions=[value])])
        if name in may_fail
        else value
        for name, value in columns.items()
    }
    quoted = {name: (sql.identifier(name), sql.identifier(name + FAILED_SUFFIX)) for name in sorted(may_fail)}
    values = ", ".join(f"{name}[1] as {name}" for name, _ in quoted.values())
    failures = ", ".join(f"{name} is null as {failed}" for name, failed in quoted.values())
    selected = compiler.select(held).sql(dialect="duckdb")
    return f"select * replace ({values}), {failures} from ({selected})"


@dataclass(frozen=True)
class StoredWave:
    """One wave of a survey in two parts: what differs between households is stored, the rest is said when read.

    Attributes
    ----------
    table
        Table that holds what differs; in schema `staging`.
    stored
        The SELECT that fills it.
    shown
        A SELECT over it that gives what `compile_wave` gives.
    columns
        Columns of the table.
    """

    table: str
    stored: str
    shown: str
    columns: tuple[str, ...]


def compile_stored(folder: SurveyFolder, wave: str, catalog: Catalog) -> StoredWave:
    """Write the SELECTs of a wave for an engine that keeps tables column by column.

    Most indicators are not asked in a wave. To store a million times that they were not takes as long as to store
    the answers; as constants of a view they cost nothing.
    """
    compiler = _WaveCompiler(folder, wave, catalog)
    columns = compiler.all_columns()
    differing = {name: value for name, value in columns.items() if value.find(exp.Column) is not None}
    table = f"{folder.survey_id}__{wave}"
    shown = exp.select(
        *(
            exp.column(name, quoted=True) if name in differing else value.as_(name, quoted=True)
            for name, value in columns.items()
        )
    ).from_(exp.table_(table, db="staging", quoted=True))
    return StoredWave(
        table,
        compiler.select(differing).sql(dialect="duckdb", pretty=True),
        shown.sql(dialect="duckdb"),
        tuple(differing),
    )


def explain(folder: SurveyFolder, wave: str, indicator_id: str, catalog: Catalog) -> str:
    """SQL of one indicator in one wave, to be read by a person."""
    compiler = _WaveCompiler(folder, wave, catalog)
    cell = compiler.cell(folder.rows_of(wave).get(indicator_id), catalog.indicator[indicator_id])
    return compiler.select(compiler.columns({indicator_id: cell})).sql(dialect="duckdb", pretty=True)


def check_crosswalk(folder: SurveyFolder, catalog: Catalog) -> tuple[Problem, ...]:
    """Mistakes that show only against the catalog: units, bounds, codes that lead nowhere, expressions.

    Returns
    -------
    tuple of Problem
        Empty where every row compiles and can only give values the catalog allows.
    """
    problems: list[Problem] = []
    for wave in folder.survey.waves:
        compiler = _WaveCompiler(folder, wave.wave, catalog)
        rows = folder.rows_of(wave.wave)
        for indicator in catalog.indicators:
            row = rows.get(indicator.id)
            line = None if row is None else folder.crosswalk_lines[row.wave, row.indicator_id]
            try:
                compiler.cell(row, indicator)
            except CrosswalkError as error:
                problems.append(Problem("crosswalk.csv", line, str(error)))
                continue
            if row is not None:
                problems += [Problem("crosswalk.csv", line, m) for m in compiler.misfits(row, indicator)]
    for place, message in _wrong_disclosure(folder.survey.disclosure, catalog):
        line = line_of(folder.path / SURVEY_FILE, ("disclosure", *place))
        problems.append(Problem(SURVEY_FILE, line, message))
    return tuple(dict.fromkeys(problems))


def _wrong_disclosure(declared: Disclosure, catalog: Catalog) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Place and message of everything that cannot be withheld or made coarser as declared."""
    named = [(("withhold", n), name) for n, name in enumerate(declared.withhold)]
    named += [(("coarsen", n), rule.indicator) for n, rule in enumerate(declared.coarsen)]
    for place, name in named:
        if name not in catalog.indicator:
            yield place, f"{name!r} is no indicator of the catalog{suggestion(name, catalog.indicator)}"
    for n, rule in enumerate(declared.coarsen):
        indicator = catalog.indicator.get(rule.indicator)
        if indicator is None:
            continue
        place, codes = ("coarsen", n), catalog.codes_of(rule.indicator)
        if not (rule.width or rule.at_most is not None or rule.codes):
            yield place, f"{rule.indicator}: say how it is made coarser, with width, at_most or codes"
        if indicator.is_numeric and rule.codes:
            yield (
                place,
                f"{rule.indicator} is a number: make it coarser with width or at_most, not with codes",
            )
        if not indicator.is_numeric and (rule.width or rule.at_most is not None):
            yield place, f"{rule.indicator} has codes: make it coarser with codes, not with width or at_most"
        if not indicator.is_numeric:
            others = sorted({*rule.codes, *rule.codes.values()} - {*codes})
            if others:
                yield place, f"{rule.indicator}: {', '.join(others)} are none of its codes {', '.join(codes)}"
        if rule.at_most is not None and indicator.minimum is not None and rule.at_most < indicator.minimum:
            yield (
                place,
                f"{rule.indicator}: at_most {rule.at_most:g} is under its smallest value {indicator.minimum:g}",
            )


def unit_factor(folder: SurveyFolder, wave: str, row: CrosswalkRow, catalog: Catalog) -> float | None:
    """Factor from the unit of a question to that of the indicator; None where they are the same.

    The survey's own factor for the wave goes before its own for all waves, and that before the catalog's.

    Raises
    ------
    KeyError
        Neither the survey nor the catalog has one.
    """
    wanted = catalog.indicator[row.indicator_id].unit
    if row.unit is None or row.unit == wanted:
        return None
    survey = folder.survey
    own = {u.wave: u.factor for u in survey.units if (u.from_, u.to) == (row.unit, wanted)}
    if wave in own or None in own:
        return own.get(wave) or own[None]
    return catalog.factor_of(row.indicator_id, wanted or "", row.unit, int(survey.fieldwork_of(wave)[:4]))


class _WaveCompiler:
    """Compiles the rows of one wave and remembers which rosters they need."""

    def __init__(self, folder: SurveyFolder, wave: str, catalog: Catalog, dialect: str = "duckdb") -> None:
        self.folder = folder
        self.wave = wave
        self.catalog = catalog
        self.dialect = dialect
        self.reasons = _enumeration(tuple(MissingReason), dialect)
        self.base = folder.survey.household_files(wave)[0]
        self.roster_aggregates: dict[str, dict[str, exp.Expr]] = {}
        self.joined: set[str] = set()

    # ---- one indicator ------------------------------------------------------------------------------------

    def cell(self, row: CrosswalkRow | None, indicator: Indicator) -> Cell:
        kind = self._type(indicator)
        if row is None or row.rule in VALUELESS_RULES:
            reason = REASON_OF_RULE[row.rule] if row else MissingReason.NOT_ASKED
            return Cell(exp.cast(exp.null(), kind), self._reason(reason))
        try:
            value, reasons = self._value(row, indicator)
        except CrosswalkError as error:
            raise CrosswalkError(f"wave {self.wave}, {row.indicator_id}: {error}") from None
        value = _cast(self._converted(value, row, indicator), kind)
        why = exp.func("coalesce", *reasons, self._reason(MissingReason.BLANK))
        return Cell(value, exp.case().when(value.copy().is_(exp.null()), why))

    def _type(self, indicator: Indicator) -> exp.DataType:
        if indicator.is_numeric:
            return exp.DataType.build("double")
        return _enumeration(self.catalog.codes_of(indicator.id), self.dialect)

    def _reason(self, reason: MissingReason) -> exp.Expr:
        # As a constant of the type: beside a plain text the engine would turn every row's reason into text and back.
        return exp.cast(_string(reason), self.reasons)

    def _value(self, row: CrosswalkRow, indicator: Indicator) -> tuple[exp.Expr, list[exp.Expr]]:
        if row.rule is Rule.CONSTANT:
            return _literal(row.parameters or "", indicator), []
        resolved = [self.folder.resolve(source, self.wave) for source in row.sources]
        files = {file_id for file_id, _ in resolved}
        if row.where and not all(self._file_grain(f) is Grain.MEMBER for f in files):
            raise CrosswalkError("where is for the rows of a roster; use rule expression with a case instead")
        if any(self._file_grain(f) is Grain.MEMBER for f in files):
            if len(files) > 1:
                raise CrosswalkError("a roster and another file cannot be combined in one row")
            return self._roster_value(row, resolved)
        sources = [self._source(file_id, variable) for file_id, variable in resolved]
        reasons = [self._column(f, v + MISSING_SUFFIX) for f, v in resolved]
        column = self.folder.variables[resolved[0]]
        match row.rule:
            case Rule.DIRECT:
                return sources[0], reasons
            case Rule.SCALE:
                return _linear(sources[0], row.parameters), reasons
            case Rule.RECODE:
                codes = self.folder.code_lists[row.codes or ""]
                plain = self._column(*resolved[0])
                foreign = self._reason(MissingReason.OUT_OF_RANGE)
                reasons.append(exp.case().when(exp.not_(plain.copy().is_(exp.null())), foreign))
                return _recode(plain, column, codes), reasons
            case Rule.SELECTED:
                return _selected(self._column(*resolved[0]), row.parameters or ""), reasons
            case Rule.EXPRESSION:
                return _expression(row, dict(zip(row.sources, sources, strict=True))), reasons
            case _:
                return _across(row.rule, sources), reasons

    def _converted(self, value: exp.Expr, row: CrosswalkRow, indicator: Indicator) -> exp.Expr:
        try:
            factor = unit_factor(self.folder, self.wave, row, self.catalog)
        except KeyError as error:
            message = f"wave {self.wave}, {error.args[0]}; add it there, or under units in survey.yml"
            raise CrosswalkError(message) from None
        return value if factor is None else _times(value, factor)

    # ---- sources ------------------------------------------------------------------------------------------

    def _file_grain(self, file_id: str) -> Grain:
        return next(f.grain for f in self.folder.survey.files if f.file_id == file_id)

    def _column(self, file_id: str, name: str) -> exp.Expr:
        self.joined.add(file_id)
        return exp.column(name, table=file_id, quoted=True)

    def _source(self, file_id: str, variable: str) -> exp.Expr:
        """A source as the rules see it: codes already turned into their values."""
        column = self.folder.variables[file_id, variable]
        raw = self._column(file_id, variable)
        if column.type is ColumnType.CODE:
            return _recode(raw, column, self.folder.codes_of(column))
        return raw

    def _roster_value(
        self, row: CrosswalkRow, resolved: Sequence[tuple[str, str]]
    ) -> tuple[exp.Expr, list[exp.Expr]]:
        """Aggregate one expression over the household's roster rows; the aggregate is computed in a join."""
        file_id = resolved[0][0]
        sources = [self._source(f, v) for f, v in resolved]
        if row.rule is Rule.EXPRESSION:
            raise CrosswalkError(
                "rule expression is for household files; aggregate the roster by another rule"
            )
        if len(sources) > 1:
            raise CrosswalkError(f"rule {row.rule} over a roster takes one source")
        aggregates = self.roster_aggregates.setdefault(file_id, {})
        name, reasons = row.indicator_id, list[exp.Expr]()
        aggregate = (
            self._in_order(row, file_id, sources[0]) if row.rule in ORDERED else _down(row.rule, sources[0])
        )
        if row.where:
            condition = self._condition(row.where, file_id)
            aggregate = _only(aggregate, condition)
            aggregates[name + CHOSEN_SUFFIX] = _only(exp.Count(this=exp.Star()), condition)
            chosen = exp.column(name + CHOSEN_SUFFIX, table=file_id, quoted=True)
            none = chosen.eq(exp.Literal.number(0))
            reasons.append(exp.case().when(none, self._reason(MissingReason.NOT_APPLICABLE)))
        aggregates[name] = aggregate
        value: exp.Expr = exp.column(name, table=file_id, quoted=True)
        if row.rule is Rule.COUNT and row.parameters:
            if row.parameters != ABSENT_IS_ZERO:
                raise CrosswalkError(f"count over a roster takes {ABSENT_IS_ZERO}, not {row.parameters!r}")
            value = exp.func("coalesce", value, exp.Literal.number(0))
        return value, reasons

    def _roster_variable(self, name: str, file_id: str, where: str) -> exp.Expr:
        if (file_id, name) not in self.folder.variables:
            known = [v for f, v in self.folder.variables if f == file_id]
            raise CrosswalkError(
                f"{where} uses {name!r}, no variable of roster {file_id}{suggestion(name, known)}"
            )
        return self._source(file_id, name)

    def _condition(self, text: str, file_id: str) -> exp.Expr:
        """Which rows of a roster count."""
        what = f"where {text!r}"

        def variable(name: str) -> exp.Expr:
            return self._roster_variable(name.removeprefix(f"{file_id}."), file_id, what)

        return _parsed(text, variable, what)

    def _in_order(self, row: CrosswalkRow, file_id: str, source: exp.Expr) -> exp.Expr:
        """The answer of the first or last row of a household; none where that row has none."""
        if row.parameters and not re.fullmatch(r"order=\s*\w+", row.parameters):
            raise CrosswalkError(
                f"rule {row.rule} over a roster takes order=<variable>, not {row.parameters!r}"
            )
        place: exp.Expr = exp.column("_row", table=file_id, quoted=True)
        condition: exp.Expr | None = None
        if row.order:
            order = self._roster_variable(row.order, file_id, f"order={row.order}")
            condition = exp.not_(order.copy().is_(exp.null()))
            place = exp.Tuple(expressions=[order, place])
        best, pick = (exp.Min, exp.ArgMin) if row.rule is Rule.FIRST else (exp.Max, exp.ArgMax)
        answered = exp.not_(source.copy().is_(exp.null()))
        is_answered = _only(best(this=place.copy()), exp.and_(answered, condition)).eq(
            _only(best(this=place.copy()), condition)
        )
        chosen = _only(pick(this=source.copy(), expression=place.copy()), condition)
        return exp.case().when(is_answered, chosen)

    # ---- the statement ------------------------------------------------------------------------------------

    def all_columns(self) -> dict[str, exp.Expr]:
        """Every column of the wave by name, in order."""
        rows = self.folder.rows_of(self.wave)
        return self.columns({i.id: self.cell(rows.get(i.id), i) for i in self.catalog.indicators})

    def columns(self, cells: Mapping[str, Cell]) -> dict[str, exp.Expr]:
        """Columns by name: the keys, then value and reason of each indicator."""
        survey = self.folder.survey
        wave = next(w for w in survey.waves if w.wave == self.wave)
        base = self.base.file_id
        values: list[exp.Expr] = [
            _string(survey.survey_id),
            exp.column("_household_id", table=base, quoted=True),
            _string(wave.wave),
            exp.cast(exp.Literal.number(wave.order), "int"),
            _string(survey.region),
            exp.column("_site_id", table=base, quoted=True),
            *self._sampling(base),
            exp.Boolean(this=survey.is_synthetic),
            _string(base),
            exp.column("_row", table=base, quoted=True),
        ]
        columns = dict(zip(KEY_COLUMNS, values, strict=True))
        for indicator_id, cell in cells.items():
            columns[indicator_id] = cell.value
            columns[indicator_id + MISSING_SUFFIX] = exp.cast(cell.reason, self.reasons)
        return columns

    def select(self, columns: Mapping[str, exp.Expr]) -> exp.Select:
        """SELECT of columns made by this compiler, with the joins that they need."""
        survey, base = self.folder.survey, self.base.file_id
        named = [value.as_(name, quoted=True) for name, value in columns.items()]
        query = exp.select(*named).from_(self._table(base).as_(base, quoted=True))
        for file in survey.household_files(self.wave):
            if file.file_id != base and file.file_id in self.joined:
                query = query.join(
                    self._table(file.file_id).as_(file.file_id, quoted=True),
                    on=exp.and_(_same_household(base, file.file_id), *self._wave_filter(file.file_id)),
                    join_type="left",
                )
        for file_id, aggregates in self.roster_aggregates.items():
            roster = (
                exp.select(
                    exp.column("_household_id", table=file_id, quoted=True),
                    *[a.as_(n, quoted=True) for n, a in aggregates.items()],
                )
                .from_(self._table(file_id).as_(file_id, quoted=True))
                .group_by(exp.column("_household_id", table=file_id, quoted=True))
            )
            for condition in self._wave_filter(file_id):
                roster = roster.where(condition)
            query = query.join(
                roster.subquery(exp.to_identifier(file_id, quoted=True)),
                on=_same_household(base, file_id),
                join_type="left",
            )
        for condition in self._wave_filter(base):
            query = query.where(condition)
        return query

    def _table(self, file_id: str) -> exp.Table:
        return exp.table_(f"{self.folder.survey_id}__{file_id}", db="raw", quoted=True)

    def _wave_filter(self, file_id: str) -> list[exp.Expr]:
        file = next(f for f in self.folder.survey.files if f.file_id == file_id)
        if not isinstance(file.wave, WaveColumn):
            return []
        return [exp.column("_wave", table=file_id, quoted=True).eq(_string(self.wave))]

    def _sampling(self, base: str) -> list[exp.Expr]:
        """Weight, stratum, sampling unit, and how many units the stratum and households the unit have."""
        sampling = self.folder.survey.sampling(self.wave)
        names = sampling.names
        stratum = self._identity(names.get("stratum", ()))
        site = exp.column("_site_id", table=base, quoted=True)
        units: exp.Expr = self._design_value(sampling.population_units)
        if isinstance(sampling.population_units, dict):
            cases = exp.case()
            for stratum_id, number in sampling.population_units.items():
                cases = cases.when(stratum.copy().eq(_string(stratum_id)), exp.Literal.number(number))
            units = cases
        households = self._design_value(sampling.unit_households)
        if sampling.unit_households is None and not sampling.sampling_unit:
            households = self._households_of(site) or households
        return [
            exp.cast(self._weight(base), "double"),
            exp.cast(stratum, "varchar"),
            exp.cast(self._identity(names["sampling_unit"]) if "sampling_unit" in names else site, "varchar"),
            exp.cast(units, "bigint"),
            exp.cast(households, "bigint"),
        ]

    def _design_value(self, value: object) -> exp.Expr:
        """A number that `survey.yml` gives, or the variable that holds it."""
        if isinstance(value, str):
            return self._source(*self.folder.resolve(value, self.wave))
        return exp.Literal.number(value) if isinstance(value, int) else exp.null()

    def _identity(self, names: Sequence[str]) -> exp.Expr:
        """Answers of variables as one text, joined with "-"; NULL where one is missing, or none is named."""
        parts: list[exp.Expr] = []
        for name in names:
            file_id, variable = self.folder.resolve(name, self.wave)
            column, raw = self.folder.variables[file_id, variable], self._column(file_id, variable)
            if column.type is ColumnType.CODE:
                parts.append(_recode(raw, column, self.folder.codes_of(column), as_text=True))
            elif column.type in (ColumnType.NUMBER, ColumnType.INTEGER):
                whole = exp.cast(exp.cast(raw.copy(), "bigint"), "varchar")
                is_whole = exp.func("floor", raw.copy()).eq(raw.copy())
                parts.append(exp.case().when(is_whole, whole).else_(exp.cast(raw, "varchar")))
            else:
                parts.append(exp.cast(raw, "varchar"))
        joined = parts[0] if parts else exp.null()
        for part in parts[1:]:
            joined = exp.DPipe(this=exp.DPipe(this=joined, expression=_string("-")), expression=part)
        return exp.Paren(this=joined) if len(parts) > 1 else joined

    def _weight(self, base: str) -> exp.Expr:
        """Households a questionnaire stands for: given, or the site's households over its questionnaires."""
        weight = self.folder.survey.sampling(self.wave).weight
        if weight:
            return self._design_value(weight)
        site = exp.column("_site_id", table=base, quoted=True)
        if any(s.households is None for s in self.folder.survey.sites):
            return exp.Literal.number(1)
        questionnaires = exp.Window(this=exp.Count(this=exp.Star()), partition_by=[site.copy()])
        return exp.Div(this=self._households_of(site), expression=questionnaires, typed=False, safe=False)

    def _households_of(self, site: exp.Expr) -> exp.Expr | None:
        """Households that live at a site, where that is known of any."""
        known = [s for s in self.folder.survey.sites if s.households is not None]
        households = exp.case()
        for s in known:
            number = exp.Literal.number(f"{s.households}.0")
            households = households.when(site.copy().eq(_string(s.site_id)), number)
        return households if known else None

    # ---- what the catalog says ----------------------------------------------------------------------------

    def misfits(self, row: CrosswalkRow, indicator: Indicator) -> list[str]:
        """Values a row could give that the catalog does not allow."""
        where = f"wave {self.wave}, {row.indicator_id}"
        if row.rule in VALUELESS_RULES or row.rule is Rule.CONSTANT:
            return []
        columns = [self.folder.variables[self.folder.resolve(s, self.wave)] for s in row.sources]
        messages = []
        if row.status is Status.IDENTICAL and row.unit not in (None, indicator.unit):
            messages.append(f"{where}: asked in {row.unit!r}, so the status is compatible, not identical")
        if row.rule is Rule.RECODE:
            codes = self.folder.code_lists[row.codes or ""]
            known = {c.code for c in codes}
            for column in columns:
                answers = [
                    c for c in self.folder.codes_of(column) if c.missing_reason is None and c.bounds is None
                ]
                lost = [c.code for c in answers if c.code not in known]
                if lost and not any(c.bounds for c in codes):
                    messages.append(
                        f"{where}: answers {lost} of {column.column!r} are not in list {row.codes!r}"
                    )
            messages += [f"{where}: {m}" for m in self._foreign_values(codes, indicator)]
        elif row.rule is Rule.DIRECT and row.unit in (None, indicator.unit):
            for column in columns:
                if column.type is ColumnType.CODE:
                    codes = self.folder.codes_of(column)
                    messages += [f"{where}: {m}" for m in self._foreign_values(codes, indicator)]
                elif not indicator.is_numeric:
                    messages.append(
                        f"{where}: {column.column!r} is of type {column.type}, but the indicator is one of a list of "
                        "codes; give the column type code and a code list, or use rule recode"
                    )
                else:
                    messages += [f"{where}: {m}" for m in _wider_than(column, indicator)]
        return messages

    def _foreign_values(self, codes: Iterable[Code], indicator: Indicator) -> list[str]:
        """Values of a code list that the indicator cannot have."""
        allowed = self.catalog.codes_of(indicator.id)
        messages = []
        for code in codes:
            if code.value is None:
                continue
            if not indicator.is_numeric:
                if code.value not in allowed:
                    messages.append(f"code {code.code!r} gives {code.value!r}, not one of {list(allowed)}")
            elif not _is_number(code.value):
                messages.append(f"code {code.code!r} gives {code.value!r}, which is not a number")
            elif not _allows(indicator, float(code.value)):
                messages.append(f"code {code.code!r} gives {code.value}, outside the catalog's bounds")
        return messages


def _enumeration(words: Collection[str], dialect: str) -> exp.DataType:
    """Type of a column of few words: an enumeration where the engine has one, which stores a byte instead of a text."""
    if dialect != "duckdb" or not words:
        return exp.DataType.build("varchar")
    return exp.DataType.build(f"enum({sql.texts(words)})", dialect="duckdb")


# ---- expressions of the rules -----------------------------------------------------------------------------


def _string(text: str) -> exp.Expr:
    return exp.Literal.string(str(text))


def _cast(value: exp.Expr, kind: exp.DataType) -> exp.Expr:
    """Cast a value; a CASE branch by branch, as these are constants, cast once and not in every row."""
    if isinstance(value, exp.Case):
        for branch in value.args["ifs"]:
            branch.set("true", exp.cast(branch.args["true"], kind))
    return exp.cast(value, kind)


def _literal(value: str, indicator: Indicator) -> exp.Expr:
    if indicator.type == "category":
        return _string(value)
    if not _is_number(value):
        raise CrosswalkError(f"{value!r} is not a number")
    return exp.Literal.number(repr(float(value)))


def _recode(raw: exp.Expr, column: Column, codes: Iterable[Code], *, as_text: bool = False) -> exp.Expr:
    """CASE over a code list; numbers where every value is one and no text is asked for, else text."""
    answers = [c for c in codes if c.value is not None]
    numeric = not as_text and all(_is_number(c.value or "") for c in answers)
    number_column = column.type in (ColumnType.NUMBER, ColumnType.INTEGER)
    case = exp.case()
    for code in answers:
        then = exp.Literal.number(repr(float(code.value or 0))) if numeric else _string(code.value or "")
        case = case.when(_matches(raw, code, number_column), then)
    return case


def _matches(raw: exp.Expr, code: Code, number_column: bool) -> exp.Expr:
    bounds = code.bounds
    if bounds is None:
        if not number_column:
            return raw.copy().eq(_string(code.code))
        if not _is_number(code.code):
            raise CrosswalkError(f"code {code.code!r} of list {code.list} is no number, but the answers are")
        return raw.copy().eq(exp.Literal.number(repr(float(code.code))))
    number = raw.copy() if number_column else exp.TryCast(this=raw.copy(), to=exp.DataType.build("double"))
    low, high = bounds
    if not number_column:
        # a text may be cast to infinity or to what is no number, which sorts above it: neither is in an open range
        low, high = (end if end is not None else open_ for end, open_ in zip(bounds, OPEN_RANGE, strict=True))
    conditions: list[exp.Expr] = []
    if low is not None:
        conditions.append(exp.GTE(this=number.copy(), expression=exp.Literal.number(repr(low))))
    if high is not None:
        conditions.append(exp.LTE(this=number.copy(), expression=exp.Literal.number(repr(high))))
    return exp.and_(*conditions)


def _times(value: exp.Expr, factor: float) -> exp.Expr:
    return exp.Mul(this=exp.Paren(this=value), expression=exp.Literal.number(repr(factor)))


def _only(value: exp.Expr, condition: exp.Expr | None) -> exp.Expr:
    """Aggregates over the rows that fulfil a condition, besides those that they have already."""

    def filtered(node: exp.Expr) -> exp.Expr:
        if condition is None:
            return node
        if isinstance(node, exp.Filter):
            both = exp.and_(node.expression.this.copy(), condition.copy())
            return exp.Filter(this=node.this.copy(), expression=exp.Where(this=both))
        if isinstance(node, exp.AggFunc):
            return exp.Filter(this=node.copy(), expression=exp.Where(this=condition.copy()))
        return node

    return value.transform(filtered)


def _linear(value: exp.Expr, parameters: str | None) -> exp.Expr:
    given = dict(part.split("=", 1) for part in (parameters or "").split() if "=" in part)
    if set(given) - {"slope", "intercept"} or not all(_is_number(v) for v in given.values()):
        raise CrosswalkError(f"scale takes numbers slope=… intercept=…, not {parameters!r}")
    slope, intercept = float(given.get("slope", 1)), float(given.get("intercept", 0))
    scaled: exp.Expr = value
    if slope != 1:
        scaled = exp.Mul(this=exp.Literal.number(repr(slope)), expression=exp.Paren(this=scaled))
    if intercept != 0:
        scaled = exp.Add(this=scaled, expression=exp.Literal.number(repr(intercept)))
    return scaled


def _selected(raw: exp.Expr, code: str) -> exp.Expr:
    """1 where a space-separated multiple answer holds the code, 0 where it does not."""
    spaced = exp.DPipe(this=exp.DPipe(this=_string(" "), expression=raw.copy()), expression=_string(" "))
    held: exp.Expr = exp.Like(this=spaced, expression=_string(f"% {_escaped(code)} %"))
    if "%" in code or "_" in code:
        held = exp.Escape(this=held, expression=_string("!"))
    return (
        exp.case()
        .when(raw.copy().is_(exp.null()), exp.null())
        .when(held, exp.Literal.number("1.0"))
        .else_(exp.Literal.number("0.0"))
    )


def _escaped(code: str) -> str:
    return re.sub(r"([%_!])", r"!\1", code) if "%" in code or "_" in code else code


def _across(rule: Rule, sources: Sequence[exp.Expr]) -> exp.Expr:
    """One value from several columns of the same row."""
    zero = exp.Literal.number("0.0")
    filled = [exp.func("coalesce", s.copy(), zero.copy()) for s in sources]
    present = [
        exp.case().when(s.copy().is_(exp.null()), exp.Literal.number(0)).else_(exp.Literal.number(1))
        for s in sources
    ]
    n_present = exp.Paren(this=_sum(present))
    nothing = exp.EQ(this=n_present.copy(), expression=exp.Literal.number(0))
    match rule:
        case Rule.SUM_COMPLETE:
            return _sum([s.copy() for s in sources])
        case Rule.SUM_AVAILABLE:
            return exp.case().when(exp.not_(nothing), _sum(filled))
        case Rule.MEAN:
            mean = exp.Div(
                this=exp.Paren(this=_sum(filled)), expression=n_present.copy(), typed=False, safe=False
            )
            return exp.case().when(exp.not_(nothing), mean)
        case Rule.MAX:
            return exp.func("greatest", *[s.copy() for s in sources]) if len(sources) > 1 else sources[0]
        case Rule.ANY:
            positive = exp.or_(*[exp.GT(this=f, expression=zero.copy()) for f in filled])
            one = exp.Literal.number("1.0")
            return exp.case().when(positive, one).when(exp.not_(nothing), zero.copy())
        case Rule.FIRST:
            return exp.func("coalesce", *[s.copy() for s in sources])
        case Rule.LAST:
            return exp.func("coalesce", *[s.copy() for s in reversed(sources)])
        case Rule.COUNT:
            return _sum(present)
        case _:
            raise CrosswalkError(f"rule {rule} does not combine columns")


def _down(rule: Rule, source: exp.Expr) -> exp.Expr:
    """One value from the roster rows of a household."""
    total = exp.Sum(this=source.copy())
    match rule:
        case Rule.SUM_AVAILABLE:
            return total
        case Rule.SUM_COMPLETE:
            complete = exp.Count(this=source.copy()).eq(exp.Count(this=exp.Star()))
            return exp.case().when(complete, total)
        case Rule.MEAN:
            return exp.Avg(this=source.copy())
        case Rule.MAX:
            return exp.Max(this=source.copy())
        case Rule.ANY:
            positive = exp.GT(this=source.copy(), expression=exp.Literal.number(0))
            absent = source.copy().is_(exp.null())
            flag = (
                exp.case()
                .when(absent, exp.null())
                .when(positive, exp.Literal.number("1.0"))
                .else_(exp.Literal.number("0.0"))
            )
            return exp.Max(this=flag)
        case Rule.COUNT:
            return exp.Count(this=exp.Star())
        case _:
            raise CrosswalkError(f"rule {rule} does not aggregate a roster")


def _sum(parts: Sequence[exp.Expr]) -> exp.Expr:
    total = parts[0]
    for part in parts[1:]:
        total = exp.Add(this=total, expression=part)
    return total


def _expression(row: CrosswalkRow, sources: Mapping[str, exp.Expr]) -> exp.Expr:
    """The escape hatch: arithmetic and cases over the row's sources."""
    text = row.parameters or ""
    what = f"expression {text!r}"

    def source(name: str) -> exp.Expr:
        if name not in sources:
            raise CrosswalkError(f"{what} uses {name!r}, which is not among its sources")
        return sources[name]

    return _parsed(text, source, what)


def _parsed(text: str, variable: Callable[[str], exp.Expr], what: str) -> exp.Expr:
    """SQL that a folder gives, with its variables put in; anything but arithmetic, conditions and cases is refused.

    Functions give NULL outside the numbers for which they have a value.
    """
    try:
        parsed = sqlglot.parse_one(text, into=exp.Condition, dialect="duckdb")
        depth = max((_depth(node) for node in parsed.walk()), default=0)
    except RecursionError:
        depth = DEEPEST_EXPRESSION + 1
    except (SqlglotError, ValueError):
        raise CrosswalkError(f"{what} is not one SQL scalar expression") from None
    if depth > DEEPEST_EXPRESSION:
        raise CrosswalkError("an expression is nested too deep to be read; divide it") from None
    for node in parsed.walk():
        if not isinstance(node, ALLOWED_IN_EXPRESSION):
            raise CrosswalkError(f"{what} uses {node.sql()!r}, which is not allowed")
        if isinstance(node, exp.Literal) and not _is_value(node):
            raise CrosswalkError(f"{what} holds {node.sql()[:40]}, which is no finite number")
        if isinstance(node, exp.In) and not node.expressions:
            raise CrosswalkError(f"{what} asks for one of no values; name them in the brackets")

    def replace(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column):
            return node
        return exp.Paren(this=variable(".".join(part.name for part in node.parts)).copy())

    return exp.Paren(this=_guarded(parsed.transform(replace)))


def _depth(node: exp.Expr) -> int:
    above, depth = node.parent, 0
    while above is not None and depth <= DEEPEST_EXPRESSION:
        above, depth = above.parent, depth + 1
    return depth


def _is_value(literal: exp.Literal) -> bool:
    """Whether a literal is a finite number, or a text that is not read as none."""
    try:
        return math.isfinite(float(literal.this))
    except ValueError:
        return bool(literal.is_string)


def _guarded(value: exp.Expr) -> exp.Expr:
    """The same, NULL instead of an error or no number: the logarithm of 0, the root of -1, e to the power of 1000."""
    for child in list(value.iter_expressions()):
        guarded = _guarded(child)
        if guarded is not child:
            child.replace(guarded)
    zero = exp.Literal.number("0.0")
    condition: exp.Expr
    match value:
        case exp.Ln():
            condition = exp.GT(this=value.this.copy(), expression=zero)
        case exp.Sqrt():
            condition = exp.GTE(this=value.this.copy(), expression=zero)
        case exp.Exp():
            condition = exp.LTE(this=value.this.copy(), expression=exp.Literal.number(LARGEST_EXPONENT))
        case exp.Pow():
            base, power = value.this, value.expression
            log = exp.Mul(
                this=exp.Ln(this=exp.func("nullif", exp.Abs(this=base.copy()), zero.copy())),
                expression=exp.Paren(this=power.copy()),
            )
            is_small = exp.LTE(this=log, expression=exp.Literal.number(LARGEST_EXPONENT))
            positive = exp.GT(this=base.copy(), expression=zero.copy())
            whole = exp.func("floor", power.copy()).eq(power.copy())
            nothing = base.copy().eq(zero.copy())
            no_pole = exp.GTE(this=power.copy(), expression=zero.copy())
            return (
                exp.case()
                .when(exp.and_(nothing, no_pole), value)
                .when(nothing.copy(), exp.null())
                .when(exp.and_(exp.or_(positive, whole), is_small), value.copy())
            )
        case _:
            return value
    return exp.case().when(condition, value)


def _same_household(left: str, right: str) -> exp.Expr:
    return exp.column("_household_id", table=left, quoted=True).eq(
        exp.column("_household_id", table=right, quoted=True)
    )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", text) is not None and math.isfinite(float(text))


def _allows(indicator: Indicator, value: float) -> bool:
    low = -float("inf") if indicator.minimum is None else indicator.minimum
    high = float("inf") if indicator.maximum is None else indicator.maximum
    return low <= value <= high


def _wider_than(column: Column, indicator: Indicator) -> list[str]:
    """Say where a column may hold more than the indicator allows: its range belongs in columns.csv."""
    messages = []
    if indicator.minimum is not None and (column.minimum is None or column.minimum < indicator.minimum):
        messages.append(f"{column.column!r} needs minimum >= {indicator.minimum} in columns.csv")
    if indicator.maximum is not None and (column.maximum is None or column.maximum > indicator.maximum):
        messages.append(f"{column.column!r} needs maximum <= {indicator.maximum} in columns.csv")
    return messages
