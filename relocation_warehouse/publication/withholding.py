"""What a real survey does not publish of single households, so that none of them stands out.

Where `survey.yml` says nothing, the fewest columns are withheld with which every household shares what is published of
its place and quasi-identifiers with enough others, and sites with too few households are published as one. Results over
many households are computed before, from everything. Belongs here: choosing what is withheld, and the rows of a table
without it. Does not belong here: counting households that stand out (`contract.anonymity`), cells of the public edition
(`disclosure`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import duckdb

from relocation_warehouse.contract.anonymity import Linked, standing_out
from relocation_warehouse.contract.tables import Contract, Table
from relocation_warehouse.ground import sql
from relocation_warehouse.survey.vocabulary import Coarsening, Disclosure

SURVEYS = "reference.surveys"
SITES = "reference.sites"
INDICATORS = "reference.indicators"
HOUSEHOLDS = "harmonized.households"
REASONS = "harmonized.missing_reasons"
COVERAGE = "harmonized.coverage"

DESIGN = ("stratum_id", "sampling_unit_id", "population_units", "unit_households")
"""Columns that say where a household was drawn, often closer than its site does; withheld together."""
DRAWN = DESIGN[:2]

MERGED_SITE = "small_sites"
"""Site that is published in place of those with too few households."""
MERGED_LABELS = ("Sites with few households, together", "住户较少的安置点（合并）")


@dataclass(frozen=True)
class Withheld:
    """What one survey does not publish of single households.

    Attributes
    ----------
    columns
        Indicators and columns of the design that are empty in its rows.
    sites
        Sites that are published as one; a household keeps that it lives at one of them.
    coarsened
        Indicators that are published more coarsely.
    n, n_households
        Households that would stand out otherwise, of all.
    is_everything
        Whether all that could be is withheld: households differ then by the waves they were interviewed in alone.
    """

    survey_id: str
    columns: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    coarsened: tuple[Coarsening, ...] = ()
    n: int = 0
    n_households: int = 0
    is_everything: bool = False

    @property
    def names_coarsened(self) -> tuple[str, ...]:
        """Indicators that are published more coarsely."""
        return tuple(c.indicator for c in self.coarsened)

    def __str__(self) -> str:
        parts = [f"{', '.join(self.columns)} withheld"] if self.columns else []
        parts += [f"{len(self.sites)} sites published as one"] if self.sites else []
        parts += [f"{', '.join(self.names_coarsened)} coarsened"] if self.coarsened else []
        return f"{self.survey_id}: {'; '.join(parts) or 'nothing withheld'}"


def choose(
    con: duckdb.DuckDBPyConnection,
    survey_id: str,
    households: str,
    sensitive: Sequence[str],
    fewest_alike: int,
    declared: Disclosure | None = None,
    reasons: str | None = None,
) -> Withheld:
    """Choose what a survey withholds.

    Parameters
    ----------
    con
        Connection that can read the relations.
    survey_id
        The survey.
    households
        SQL of its rows in brackets: keys, site, `DESIGN` and the sensitive indicators.
    sensitive
        Quasi-identifiers among its indicators.
    fewest_alike
        Fewest households that share a profile.
    declared
        What `survey.yml` says; it comes first.
    reasons
        SQL of its missing reasons in brackets, which are published too.

    Returns
    -------
    Withheld
        The fewest columns; of several such choices the one that keeps the indicators that come first in the catalog.
    """
    declared = declared or Disclosure()
    linked = [] if reasons is None else [reasons]

    def few(withheld: Withheld) -> tuple[int, int]:
        kept = [c for c in (*sensitive, *DRAWN) if c not in withheld.columns]
        changed = ", ".join(_replaced([withheld], ["site_id", *DESIGN, *sensitive]))
        rows = f"(select * replace ({changed}) from {households})" if changed else households
        others = [
            Linked(
                f"(select * from {r} where indicator_id in ({sql.texts(kept)}))",
                ("wave", "indicator_id", "missing_reason"),
            )
            for r in linked
        ]
        alone = standing_out(con, rows, kept, fewest_alike, others)
        return (alone[0].n, alone[0].n_households) if alone else (0, 0)

    start = Withheld(survey_id, declared.withhold, (), declared.coarsen)
    n, of = few(start)
    if not n:
        return start
    small = _small_sites(con, households, fewest_alike)
    open_ = [(c,) for c in reversed(sensitive) if c not in declared.withhold]
    every = tuple(
        s for (s,) in con.execute(f"select distinct site_id from {households} order by 1").fetchall()
    )
    for sites in dict.fromkeys((small, every)):
        for size in range(len(open_) + 2):
            for some in combinations([*open_, DESIGN], size):
                columns = (*declared.withhold, *(c for group in some for c in group))
                withheld = Withheld(survey_id, columns, sites, declared.coarsen, n, of)
                if not few(withheld)[0]:
                    return withheld
    columns = tuple(dict.fromkeys((*declared.withhold, *sensitive, *DESIGN)))
    return Withheld(survey_id, columns, every, declared.coarsen, n, of, is_everything=True)


def plan(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    fewest_alike: int,
    declared: Mapping[str, Disclosure] | None = None,
) -> tuple[Withheld, ...]:
    """Choose for each real survey of a build; those that withhold nothing are left out."""
    choices = []
    real = con.execute(f"select survey_id from {SURVEYS} where not is_synthetic order by all").fetchall()
    sensitive = con.execute(
        f"select indicator_id from {INDICATORS} where is_sensitive order by display_order"
    )
    columns = [c for (c,) in sensitive.fetchall() if c in contract[HOUSEHOLDS].column_names]
    for (survey_id,) in real:
        own = f"where survey_id = {sql.text(survey_id)}"
        answered = con.execute(
            f"select {', '.join(f'count({sql.identifier(c)})' for c in columns) or 1} from {HOUSEHOLDS} {own}"
        ).fetchone()
        asked = [c for c, n in zip(columns, answered or (), strict=False) if n]
        chosen = choose(
            con,
            survey_id,
            f"(select * from {HOUSEHOLDS} {own})",
            asked,
            fewest_alike,
            (declared or {}).get(survey_id),
            f"(select * from {REASONS} {own})",
        )
        if chosen.columns or chosen.sites or chosen.coarsened:
            choices.append(chosen)
    return tuple(choices)


def _small_sites(con: duckdb.DuckDBPyConnection, households: str, fewest_alike: int) -> tuple[str, ...]:
    """Sites with too few households in a wave, and with them the next larger ones until they are enough together."""
    sizes = con.execute(
        f"""
        select site_id, min(n) from (
            select site_id, wave, count(distinct household_id) as n from {households} group by all)
        group by site_id order by min(n), site_id
        """
    ).fetchall()
    merged: list[str] = []
    total = 0
    for site, n in sizes:
        if n >= fewest_alike and (not merged or total >= fewest_alike):
            break
        merged.append(site)
        total += n
    return tuple(merged)


def _replaced(
    withheld: Iterable[Withheld], names: Sequence[str], lowest: Mapping[str, float] | None = None
) -> Iterator[str]:
    """SQL `value AS column` of each of these columns that withholding changes; `lowest` are their smallest values."""
    changed: dict[str, list[str]] = {}
    for w in withheld:
        own = f"survey_id = {sql.text(w.survey_id)}"
        for coarse in w.coarsened:
            changed.setdefault(coarse.indicator, []).append(
                f"when {own} then {_coarse(coarse, (lowest or {}).get(coarse.indicator))}"
            )
        for column in w.columns:
            changed.setdefault(column, []).insert(0, f"when {own} then null")
        if w.sites:
            small = f"{own} and site_id in ({sql.texts(w.sites)})"
            changed.setdefault("site_id", []).append(f"when {small} then {sql.text(_merged(w))}")
            # a weight that follows from the size of a site would tell the site
            average = (
                "avg(weight) over (partition by survey_id, wave, site_id in (" + sql.texts(w.sites) + "))"
            )
            changed.setdefault("weight", []).append(f"when {small} then {average}")
            for column in DESIGN:
                if column not in w.columns:
                    changed.setdefault(column, []).append(f"when {small} then null")
    for column, cases in changed.items():
        if column in names:
            field = sql.identifier(column)
            yield f"case {' '.join(cases)} else {field} end as {field}"


def _merged(withheld: Withheld) -> str:
    return f"{withheld.survey_id}_{MERGED_SITE}"


def _coarse(rule: Coarsening, lowest: float | None) -> str:
    field = value = sql.identifier(rule.indicator)
    if rule.codes:
        cases = " ".join(f"when {sql.text(a)} then {sql.text(b)}" for a, b in rule.codes.items())
        value = f"case {field} {cases} else {field} end"
    if rule.width is not None:
        value = f"floor({value} / {rule.width!r}) * {rule.width!r}"
        # the interval of the smallest values begins with them, not with a value that nobody can have
        value = value if lowest is None else f"greatest({value}, {lowest!r})"
    if rule.at_most is not None:
        value = f"case when {value} > {rule.at_most!r} then {rule.at_most!r} else {value} end"
    return value


def published_rows(table: Table, source: str, withheld: Sequence[Withheld]) -> str:
    """SQL of the rows of a table as they are published; the source itself where nothing of it is withheld.

    Parameters
    ----------
    table
        A table of the contract.
    source
        SQL of its rows.
    withheld
        What each survey withholds.
    """
    names = table.column_names
    surveys = [w for w in withheld if w.columns or w.sites or w.coarsened]
    if not surveys:
        return source
    if table.full_name == COVERAGE:
        return _coverage(table, source, surveys)
    if table.full_name == SITES:
        return _sites(table, source, surveys)
    where = []
    if "household_id" in names and "survey_id" in names:
        lowest = {c.name: c.minimum for c in table.columns if c.minimum is not None}
        replaced = list(_replaced(surveys, names, lowest))
        for w in surveys:
            if "indicator_id" in names and w.columns:
                where.append(
                    f"not (survey_id = {sql.text(w.survey_id)} and indicator_id in ({sql.texts(w.columns)}))"
                )
    else:
        replaced = []
        of = next((n for n in ("survey_id", "source_id") if n in names), None)
        if of and {"group_type", "group_id"} <= {*names}:
            where += [
                f"not ({of} = {sql.text(w.survey_id)} and group_type = 'site' and group_id in ({sql.texts(w.sites)}))"
                for w in surveys
                if w.sites
            ]
    if not replaced and not where:
        return source
    replacing = f"REPLACE ({', '.join(replaced)})" if replaced else ""
    condition = f"where {' and '.join(where)}" if where else ""
    return f"(select * {replacing} from {source} {condition})"


def _coverage(table: Table, source: str, surveys: Iterable[Withheld]) -> str:
    """Coverage says of a withheld indicator that it is not shared: the long view gives each household that reason."""
    conditions = [
        f"(survey_id = {sql.text(w.survey_id)} and indicator_id in ({sql.texts(w.columns)}))"
        for w in surveys
        if w.columns
    ]
    if not conditions:
        return source
    is_withheld = " or ".join(conditions)
    counts = [c for c in table.column_names if c.startswith("n_") or c == "n"]
    values = {c: "n + n_missing" if c in ("n_missing", "n_not_shared") else "0" for c in counts}
    replaced = ", ".join(f"case when {is_withheld} then {v} else {c} end as {c}" for c, v in values.items())
    return f"(select * replace ({replaced}) from {source})"


def _sites(table: Table, source: str, surveys: Iterable[Withheld]) -> str:
    """The sites, and one more for those of each survey that are published as one."""
    added = ""
    for w in surveys:
        if w.sites:
            values = {
                "site_id": sql.text(_merged(w)),
                "label_en": sql.text(MERGED_LABELS[0]),
                "label_zh": sql.text(MERGED_LABELS[1]),
                **dict.fromkeys((c.name for c in table.columns if c.nullable), "null"),
            }
            replaced = ", ".join(f"any_value({value}) as {name}" for name, value in values.items())
            kept = ", ".join(f"any_value({n}) as {n}" for n in table.column_names if n not in values)
            own = f"from {source} where survey_id = {sql.text(w.survey_id)}"
            added += f" union all by name select {replaced}, {kept} {own}"
    return f"(from {source}{added})" if added else source
