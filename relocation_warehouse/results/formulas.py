"""Formulas of `analysis` as SQL, for tables with a row for each household: the database computes them where rows are.

Belongs here: the same elementwise arithmetic as `analysis.coupling` as expressions over columns, and scores and
composites as the models compute them (`dbt/macros/composite.sql`); tests hold them to `analysis`. Does not belong
here: anything that estimates, and a formula that `analysis` does not have.

Every function takes and gives SQL text. A missing input makes the result missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

from jinja2 import Environment

from analysis.arrays import as_option, as_weights
from analysis.coupling import ROUNDING, Variant
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.ground.sql import identifier as quoted
from relocation_warehouse.ground.sql import number
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.survey.catalog import BandScheme

MISSING = "cast(null as double)"


def extended(source: str, columns: Mapping[str, str]) -> str:
    """SQL of a relation with more columns, by name; a column may use those of the relation only."""
    return f"(select *, {', '.join(f'{value} as {quoted(name)}' for name, value in columns.items())} from {source})"


def score(value: str, lower: float, upper: float, is_cost: bool, *, is_inside: bool) -> str:
    """A value between two bounds as 0 worst to 1 best; missing beyond them, and where they leave no range.

    `is_inside` says that no value lies beyond, as where the bounds are the extremes of the values.
    """
    if not upper > lower:
        return MISSING
    direction = "cost" if is_cost else "benefit"
    scaled = str(_macros().normalised(value, number(lower), number(upper), direction))
    return (
        scaled
        if is_inside
        else f"case when {value} between {number(lower)} and {number(upper)} then {scaled} end"
    )


@dataclass(frozen=True)
class Member:
    """An indicator of a composite: SQL of its score and of whether it was asked, and its weight."""

    score: str
    asked: str
    weight: float


def macros() -> str:
    """The formulas that the models share, as dbt has them."""
    return (Paths.from_environment().dbt / "macros" / "composite.sql").read_text(encoding="utf-8")


@cache
def _macros() -> Any:
    """The macros as functions that give SQL, rendered as dbt does."""
    return Environment(autoescape=False).from_string(macros(), {"adapter": _Adapter}).module


class _Adapter:
    """What the macros ask of dbt's adapter."""

    quote = staticmethod(quoted)


def composite(members: Sequence[Member], minimum_share: float) -> str:
    """Mean of the scores answered, where these carry enough of the weight of those asked."""
    return str(_macros().composite(members, minimum_share))


def answered_count(members: Sequence[Member]) -> str:
    """Number of the members with a weight that were answered."""
    return str(_macros().answered_count(members))


def is_asked(indicator: str) -> str:
    """Whether the survey asked, whatever the household answered."""
    return str(_macros().is_asked(indicator))


def weighted_sum(parts: Mapping[str, float]) -> str:
    """Sum of columns with the weights given."""
    return _sum(f"{column} * {number(weight)}" for column, weight in parts.items())


def level(value: str) -> str:
    """A system whose rounding errors beyond 0-1 are taken back."""
    near = f"{value} > {number(-ROUNDING)} and {value} < {number(1 + ROUNDING)}"
    return f"case when {near} then greatest(0.0, least(1.0, {value})) else {value} end"


def comprehensive(u: Sequence[str], alphas: Sequence[float]) -> str:
    """Comprehensive index T."""
    return weighted_sum(dict(zip(u, as_weights(alphas, len(u), "shares of the systems"), strict=True)))


def coupling_degree(u: Sequence[str], variant: str) -> str:
    """Coupling degree C; missing where all systems are zero."""
    return f"case when {_sum(u)} > 0.0 then least(1.0, {_degree(u, as_option(Variant, variant))}) end"


def coordination_degree(u: Sequence[str], alphas: Sequence[float], variant: str) -> str:
    """Coordination degree D, zero where a system is."""
    t, kind = comprehensive(u, alphas), as_option(Variant, variant)
    c = _degree(u, kind)
    if kind is Variant.FAN2024:  # the other formulas give zero by themselves
        c = f"if({' * '.join(u)} = 0.0, 0.0, {c})"
    # Without a C all systems are zero, and so is T; or one is missing, and so is T.
    return f"coalesce(sqrt({c} * {t}), {t})"


def _degree(u: Sequence[str], variant: Variant) -> str:
    """Return C before rounding errors are taken back; missing or 1 where all systems are zero."""
    count, total = len(u), _sum(u)
    mean = f"({total} / {number(count)})"
    if variant in (Variant.STANDARD, Variant.HALF):
        return f"{_root(u, count)} / nullif({mean if variant is Variant.STANDARD else total}, 0.0)"
    if variant is Variant.WANG2021:
        pairs = [f"abs({a} - {b})" for a, b in combinations(u, 2)]
        ratio = _root([f"({x} / nullif(greatest({', '.join(u)}), 0.0))" for x in u], count - 1)
        return f"sqrt(greatest(0.0, 1.0 - {_sum(pairs)} / {number(len(pairs))}) * {ratio})"
    squares = _sum(f"({x} - {mean}) * ({x} - {mean})" for x in u)
    return f"greatest(0.0, 1.0 - 2.0 * sqrt({squares} / {number(count)}))"


def band(value: str, scheme: BandScheme, names: Sequence[str] | None = None) -> str:
    """Band of a degree: a literal for each, or its position from 0 where none are given."""
    labels = [str(k) for k in range(len(scheme.bands))] if names is None else names
    sign = "<=" if scheme.closed == "right" else "<"
    inner = zip(scheme.bands[:-1], labels[:-1], strict=True)
    whens = " ".join(f"when {value} {sign} {number(b.upper)} then {label}" for b, label in inner)
    return f"case when {value} is null then null {whens} else {labels[-1]} end"


def lag_type(u: Sequence[str], names: Sequence[str], none: str) -> str:
    """Name of the lowest system, the first of several; `none` where all are equal."""
    low, high = f"least({', '.join(u)})", f"greatest({', '.join(u)})"
    whens = " ".join(f"when {x} = {low} then {literal(name)}" for x, name in zip(u, names, strict=True))
    return f"case when {_sum(u)} is null then null when {low} = {high} then {literal(none)} {whens} end"


def _sum(terms: Iterable[str]) -> str:
    return f"({' + '.join(terms)})"


def shortfalls(scores: Sequence[str], weights: Sequence[float]) -> list[str]:
    """What each indicator lacks to its best value, by weight: obstacle degrees are its shares."""
    scaled = as_weights(weights, len(scores), "obstacles").tolist()
    return [f"(1.0 - {x}) * {number(w)}" for x, w in zip(scores, scaled, strict=True)]


def _root(factors: Sequence[str], degree: int) -> str:
    """Root of a product; of many factors one by one, because a product of many small ones would underflow."""
    if degree == 1:
        return f"({' * '.join(factors)})"
    if degree == 2:
        return f"sqrt({' * '.join(factors)})"
    return f"({' * '.join(f'pow({x}, {number(1 / degree)})' for x in factors)})"
