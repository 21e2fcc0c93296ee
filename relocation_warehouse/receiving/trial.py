"""Try a survey against the contract before it is accepted: what could not be published is refused by name.

The survey's own compiled SELECTs run on its own rows, and every value is held to what the contract asks of a row of
households. Belongs here: what refuses a survey once its rows are loaded, and how much was set aside. Does not belong
here: the rules of a column (`contract.rules`), or loading (`survey.ingest`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb

from relocation_warehouse.contract.rules import Rule, rules_of
from relocation_warehouse.contract.tables import TOLERANCE, Column, Contract
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import FAILED_SUFFIX, compile_trial, explain
from relocation_warehouse.survey.documents import line_of
from relocation_warehouse.survey.folder import SURVEY_FILE, SurveyFolder
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.readers import place_of
from relocation_warehouse.survey.vocabulary import VALUELESS_RULES, CrosswalkRow

HOUSEHOLDS = "harmonized.households"
WEIGHT = "weight"

REMEDIES = {
    "value_in_range": "correct the rule, its parameters or unit, or the column's minimum and maximum in columns.csv",
    "value_is_code": "the indicator takes codes only; use recode, or an expression that rounds",
    "value_can_be_computed": "guard the expression with a case, or set such answers aside by the column's minimum",
}
"""What to do by rule, where it is the crosswalk that decides."""
WEIGHT_REMEDIES = {
    "required_is_present": "fill it in, or let these households be set aside with missing_weight: set_aside",
    "value_in_range": "correct the file, or set a minimum for the column in columns.csv",
}


def trial(
    folder: SurveyFolder, catalog: Catalog, contract: Contract, con: duckdb.DuckDBPyConnection
) -> tuple[Problem, ...]:
    """Find everything for which a loaded survey could not be published.

    Parameters
    ----------
    folder
        The survey, checked against the catalog.
    catalog, contract
        What its rows are held to.
    con
        Connection that sees its raw and quality tables, in a transaction or not; nothing is written.

    Returns
    -------
    tuple of Problem
        Each names the line that decides, wave, indicator, number of households, a row, and what to do.
    """
    waves = [
        _Wave(folder, wave.wave, catalog, contract, con)
        for wave in sorted(folder.survey.waves, key=lambda w: w.order)
    ]
    problems = [problem for wave in waves for problem in wave.problems()]
    return tuple(problems or (p for former, wave in pairwise(waves) for p in wave.lost(former)))


@dataclass(frozen=True)
class _Broken:
    """A rule that some households break, and one of them."""

    column: str
    rule: Rule
    n: int
    household: str
    file_id: str
    row: int
    value: str | None


class _Wave:
    """One wave of a survey on trial."""

    def __init__(
        self,
        folder: SurveyFolder,
        wave: str,
        catalog: Catalog,
        contract: Contract,
        con: duckdb.DuckDBPyConnection,
    ) -> None:
        self.folder, self.wave, self.catalog, self.con = folder, wave, catalog, con
        self.columns = contract[HOUSEHOLDS].columns
        self.rows = f"({compile_trial(folder, wave, catalog)})"

    def problems(self) -> Iterator[Problem]:
        try:
            names = {name for name, *_ in self.con.execute(f"describe {self.rows}").fetchall()}
        except duckdb.Error as error:
            yield from self._not_sql(error)
            return
        try:
            rules = [
                (c.name, rule) for c in self.columns if c.name in names for rule in self._rules(c, names)
            ]
            suspicions = ", ".join(f"coalesce({rule.suspicion}, false)" for _, rule in rules)
            n, n_keys, weight, *suspect = self._one(
                f"select count(*), count(distinct household_id), sum({WEIGHT}), {suspicions} from {self.rows}"
            )
        except duckdb.Error as error:
            yield self._of_survey(
                f"cannot be computed: {_first_line(error)}", "correct its crosswalk rows", "waves"
            )
            return
        if not n:
            yield self._of_survey("no household is left", self._set_aside(), "waves", self._position)
            return
        fewest = self.catalog.gates.fewest_alike
        if n < fewest and not self.folder.survey.is_synthetic:
            message = f"{n} household(s), and a real survey with fewer than {fewest} would tell who they are"
            yield self._of_survey(message, "leave the wave out", "waves", self._position)
        if n_keys < n:
            message = f"{n - n_keys} of {n} rows belong to a household that has another row in the wave"
            yield self._of_survey(message, "name what identifies a household in household_id", "files")
        if weight is not None and not weight:
            yield self._of_survey(
                "all sampling weights are zero", "name a column with weights", *self._design()
            )
        for (column, rule), is_suspect in zip(rules, suspect, strict=True):
            if is_suspect and (broken := self._broken(column, rule)):
                yield self._problem(broken, n)
        yield from self._drawn()

    def lost(self, former: _Wave) -> Iterator[Problem]:
        """Whether more households of the wave before are missing than a panel loses."""
        n, lost, example = self._one(
            "select count(*), count(*) filter (where not is_here), min(household_id) filter (where not is_here) from "
            f"(select household_id, household_id in (select household_id from {self.rows}) as is_here "
            f"from {former.rows})"
        )
        allowed = self.folder.survey.largest_share_lost
        if lost > 1 and lost > n * (self.catalog.gates.largest_share_lost if allowed is None else allowed):
            message = (
                f"{lost} of {n} households of wave {former.wave} are not in it ({lost / n:.1%}), such as household "
                f"{example!r}; so many are taken for a file that was cut off, or ids in another form"
            )
            remedy = "correct the file, say household_id_form: plain, or allow them with largest_share_lost"
            yield self._of_survey(message, remedy, "waves", self._position)

    def _drawn(self) -> Iterator[Problem]:
        """Strata of which more units were drawn than there are, or of which two numbers are said."""
        if self.folder.survey.sampling(self.wave).population_units is None:
            return
        for stratum, drawn, least, most in self.con.execute(
            "select stratum_id, count(distinct sampling_unit_id), min(population_units), max(population_units) "
            f"from {self.rows} where weight > 0 group by stratum_id order by stratum_id"
        ).fetchall():
            where = "" if stratum is None else f"stratum {stratum!r}: "
            if least != most:
                message = f"{where}population_units is {least} in one household and {most} in another"
            elif least is not None and drawn > least:
                message = f"{where}{drawn} sampling units were drawn of population_units {least}"
            else:
                continue
            remedy = "give the number of sampling units that the stratum has in the population"
            yield self._of_survey(message, remedy, "design", "population_units")

    def _not_sql(self, error: duckdb.Error) -> Iterator[Problem]:
        """The rows of the crosswalk that the database cannot read as SQL over these columns."""
        is_explained = False
        for row in self.folder.rows_of(self.wave).values():
            if row.rule in VALUELESS_RULES:
                continue
            try:
                self.con.execute(
                    f"describe {explain(self.folder, self.wave, row.indicator_id, self.catalog)}"
                )
            except duckdb.Error as own:
                is_explained = True
                yield self._of_crosswalk(row, f"cannot be computed: {_first_line(own)}")
        if not is_explained:
            yield self._of_survey(
                f"cannot be computed: {_first_line(error)}", "correct the files of the wave", "files"
            )

    def _design(self) -> tuple[str, ...]:
        """Where survey.yml says how households were drawn."""
        return ("sampling_weight",) if self.folder.survey.sampling_weight else ("design",)

    @property
    def _position(self) -> int:
        return next(k for k, w in enumerate(self.folder.survey.waves) if w.wave == self.wave)

    def _rules(self, column: Column, names: set[str]) -> Iterator[Rule]:
        """What contract and catalog ask of a column, and that it can be computed at all."""
        yield from rules_of(column)
        field, largest = sql.identifier(column.name), self.catalog.gates.largest_magnitude
        if column.type == "DOUBLE":
            beyond = f"abs({field}) > {largest!r} and isfinite({field})"
            suspicion = f"max({field}) > {largest!r} or min({field}) < -{largest!r}"
            message = f"{column.name} is over {exact(largest)}, the largest number of catalog gates.yml"
            yield Rule("value_in_range", beyond, suspicion, message)
        codes = self.catalog.codes_of(column.name) if column.name in self.catalog.indicator else ()
        if codes and column.type == "DOUBLE":
            # a scale of codes has all whole numbers between its ends, which were held to above
            between = f"abs({field} - round({field})) > {TOLERANCE}"
            message = f"{column.name} is none of the codes {', '.join(codes)}"
            yield Rule("value_is_code", between, f"bool_or({between})", message)
        failed = column.name + FAILED_SUFFIX
        if failed in names:
            bad = sql.identifier(failed)
            message = f"{column.name} cannot be computed, or is no code of the catalog"
            yield Rule("value_can_be_computed", bad, f"bool_or({bad})", message)

    def _broken(self, column: str, rule: Rule) -> _Broken | None:
        example = self.con.execute(
            f"select count(*) over (), household_id, source_file_id, source_row, "
            f"cast({sql.identifier(column)} as varchar) from {self.rows} where {rule.bad} "
            "order by source_file_id, source_row limit 1"
        ).fetchone()
        return None if example is None else _Broken(column, rule, *example)

    def _problem(self, broken: _Broken, n: int) -> Problem:
        file = next(f for f in self.folder.survey.files if f.file_id == broken.file_id)
        value = "" if broken.value is None else f": {broken.value}"
        message = (
            f"{broken.n} of {n} households: {broken.rule.message}, such as household {broken.household!r} "
            f"({place_of(file)}, row {broken.row}){value}"
        )
        row = self.folder.rows_of(self.wave).get(broken.column)
        if row is None:
            remedy = WEIGHT_REMEDIES.get(broken.rule.check, "correct the file or its declaration")
            return self._of_survey(message, remedy, *self._design())
        remedy = REMEDIES.get(broken.rule.check, "correct the file, the column or the rule")
        return self._of_crosswalk(row, f"{message}; {remedy}")

    def _of_crosswalk(self, row: CrosswalkRow, message: str) -> Problem:
        how = " ".join(filter(None, [row.rule, row.parameters, *row.sources, row.unit]))
        return Problem(
            "crosswalk.csv",
            self.folder.crosswalk_lines[row.wave, row.indicator_id],
            f"wave {self.wave}, {row.indicator_id} ({how}): {message}",
        )

    def _of_survey(self, message: str, remedy: str, *place: str | int) -> Problem:
        line = line_of(self.folder.path / SURVEY_FILE, place)
        return Problem(SURVEY_FILE, line, f"wave {self.wave}: {message}; {remedy}")

    def _set_aside(self) -> str:
        """What became of the rows of the files of the wave, in words."""
        files = [f.file_id for f in self.folder.survey.household_files(self.wave)]
        parts = [
            f"rule {s.rule} sets aside {s.n} of {s.of} rows ({s.example})"
            for s in set_aside(self.folder, self.con)
            if s.file_id in files and not s.column
        ]
        return "; ".join(parts) or "no row of its files says that it is of this wave"

    def _one(self, query: str) -> Sequence[Any]:
        row = self.con.execute(query).fetchone()
        assert row is not None
        return row


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]


# ---- what was set aside --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SetAside:
    """Rows of a file, or answers of a column, that one rule sets aside.

    Attributes
    ----------
    column
        Header; empty where whole rows are set aside.
    n, of
        How many, of how many rows.
    example
        The first, in words.
    """

    file_id: str
    file: str
    column: str
    rule: str
    n: int
    of: int
    example: str

    @property
    def share(self) -> float:
        """Share of the rows."""
        return self.n / self.of

    @property
    def extent(self) -> str:
        """How much it is, in words that hold no answer."""
        what = f"answers of {self.column!r}" if self.column else "rows"
        return f"rule {self.rule} sets aside {self.n} of {self.of} {what} ({self.share:.1%})"

    def is_large(self, folder: SurveyFolder, catalog: Catalog) -> bool:
        """Whether it is more than survey or catalog allow; a single row or answer never is."""
        limit = folder.survey.largest_share_set_aside
        return self.n > 1 and self.share > (catalog.gates.largest_share_set_aside if limit is None else limit)

    def __str__(self) -> str:
        return f"{self.extent}, such as {self.example}"


def set_aside(folder: SurveyFolder, con: duckdb.DuckDBPyConnection) -> tuple[SetAside, ...]:
    """What each rule sets aside of a loaded survey, the most first."""
    rows = con.execute(
        """
        select file_id, any_value(q.file), "column", rule, count(*),
            case when grain = 'row' then any_value(received) else any_value(accepted) end,
            arg_min(message_en, "row")
        from quality.quarantine as q join quality.loads as l using (survey_id, file_id)
        where survey_id = ? group by file_id, "column", rule, grain
        order by count(*) desc, file_id, "column", rule
        """,
        [folder.survey_id],
    ).fetchall()
    return tuple(SetAside(*row) for row in rows)


def checks_of_large_shares(
    folder: SurveyFolder, catalog: Catalog, con: duckdb.DuckDBPyConnection
) -> list[dict[str, Any]]:
    """Rules that set aside more than is allowed, as rows of `quality.checks`: shown, and no refusal."""
    return [
        {
            "check": f"{part.column} {part.rule} sets aside few".strip(),
            "table": f"{folder.survey_id}/{part.file_id}",
            "source": "ingest",
            "status": "failed",
            "severity": "warning",
            "n_failed": part.n,
            "message": part.extent,
        }
        for part in set_aside(folder, con)
        if part.is_large(folder, catalog)
    ]


def large_shares(folder: SurveyFolder, catalog: Catalog, parts: Sequence[SetAside]) -> Iterator[Problem]:
    """Rules that set aside so much that the declaration or the file must be wrong, each as a mistake."""
    columns = ((c.file_id, c.column) for c in folder.columns)
    lines = dict(zip(columns, folder.lines["columns.csv"], strict=True))
    for part in parts:
        if part.is_large(folder, catalog):
            message = (
                f"{part}; so many are taken for a mistake: correct the declaration or the file, or allow them with "
                f"largest_share_set_aside in {SURVEY_FILE}"
            )
            if part.column:
                yield Problem("columns.csv", lines[part.file_id, part.column], message)
            else:
                yield Problem(part.file, None, message)
