"""Households that stand out by what neighbours know of them (k-anonymity, Sweeney 2002).

Belongs here: counting them in a relation of households, whichever database it lies in. Does not belong here: which
indicators are quasi-identifiers (the catalog), or what follows from a household that stands out (receiving, audit).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb

from relocation_warehouse.ground import sql

HOUSEHOLD = ("survey_id", "household_id")


@dataclass(frozen=True)
class Linked:
    """Another table of the edition that can be joined by household, and tells something of a quasi-identifier.

    Attributes
    ----------
    relation
        SQL of the table, or of a query in brackets; it has `survey_id` and `household_id`.
    columns
        What it tells.
    """

    relation: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class StandingOut:
    """Households of a survey that share their profile with too few others.

    Attributes
    ----------
    n
        Households that stand out.
    n_households
        All of the survey.
    """

    survey_id: str
    n: int
    n_households: int


def standing_out(
    con: duckdb.DuckDBPyConnection,
    households: str,
    columns: Sequence[str],
    fewest_alike: int,
    linked: Iterable[Linked] = (),
) -> tuple[StandingOut, ...]:
    """Count by survey the households whose profile fewer than `fewest_alike` share; surveys without one are left out.

    The profile of a household is everything that the edition tells of its quasi-identifiers: site and values of every
    wave together, and what linked tables add. Somebody who knew a household before and after the move would otherwise
    find it by the pair although each wave alone hides it.

    Parameters
    ----------
    con
        Connection that can read the relations.
    households
        SQL of the wide table, or of a query in brackets: `survey_id`, `household_id`, `wave`, `site_id` and `columns`.
    columns
        Quasi-identifiers of it, beside the site.
    fewest_alike
        Fewest households that share a profile.
    linked
        Other tables that tell something of a quasi-identifier.
    """
    key = ", ".join(HOUSEHOLD)
    parts = [Linked(households, ("wave", "site_id", *columns)), *linked]
    # a hash of each row, and their sum: no order, and no list of values for millions of households
    rows = " union all ".join(
        f"select {key}, hash({number}, {', '.join(map(sql.identifier, part.columns))}) as told from {part.relation}"
        for number, part in enumerate(parts)
    )
    counts = con.execute(
        f"""
        select survey_id, sum(alike) filter (where alike < {fewest_alike}) as n, sum(alike)
        from (
            select survey_id, count(*) as alike
            from (select {key}, sum(told::hugeint) as profile from ({rows}) group by {key})
            group by survey_id, profile)
        group by survey_id having n > 0 order by survey_id
        """
    ).fetchall()
    return tuple(StandingOut(survey_id, int(n), int(total)) for survey_id, n, total in counts)
