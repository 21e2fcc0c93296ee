"""Coordination of the systems that papers couple, from named dimensions: any number of systems in any number of pairs.

Belongs here: which dimensions a survey asked, and the tables by pair. Does not belong here: the formulas (`formulas`,
`analysis.coupling`), the capitals and stability in all their weight schemes (`coupling`), comparison of regions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.coupling import classify
from analysis.transitions import transition
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.coupling import ALL, Rows, bands_of, obstacle_rows
from relocation_warehouse.results.formulas import (
    comprehensive,
    coordination_degree,
    coupling_degree,
    extended,
    level,
    weighted_sum,
)
from relocation_warehouse.results.households import (
    BALANCED,
    Extremes,
    Survey,
    Weights,
    asked,
    dimension_column,
    extremes,
    scored,
    surveys,
)
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, CoupledPair, PairedSystem

BOUNDS = "pooled"
"""Bounds of the scores: one set for both waves and all surveys of one origin."""

OWN = "pair"
"""Scheme name of the dimensions computed here."""


def coupled_systems(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Measure every pair of systems in every survey that asked enough of it.

    Parameters
    ----------
    con
        Build database.
    catalog
        Pairs, variants and band schemes of `coupling.yml`, dimensions and their indicators.

    Returns
    -------
    dict
        `coupled_systems`, `coupled_coordination`, `coupled_bands`, `coupled_transitions` and `coupled_obstacles` of
        the schema `analysis`. A survey that lacks too much of a pair has a row without values and the reason.
    """
    rows: Rows = defaultdict(list)
    all_surveys = surveys(con)
    by_dimension: defaultdict[str, list[str]] = defaultdict(list)
    for indicator in catalog.indicators:
        if indicator.is_numeric and indicator.direction != "neutral":
            by_dimension[indicator.dimension].append(indicator.id)
    default = catalog.default_weight_scheme
    by_dimension |= {d: list(default.dimensions[d]) for d in default.dimensions}
    answered = asked(con)
    for pair in catalog.coupling.pairs:
        wanted = [i for s in pair.systems for d in s.dimensions for i in by_dimension.get(d, ())]
        limits = extremes(con, catalog, list(dict.fromkeys(wanted))) if wanted and all_surveys else None
        for survey in all_surveys:
            measured = _Measured(con, catalog, pair, survey, by_dimension, answered, limits)
            measured.add(rows)
    names = ("systems", "coordination", "bands", "transitions", "obstacles")
    return {f"coupled_{name}": conform(f"analysis.coupled_{name}", rows[name]) for name in names}


@dataclass(frozen=True)
class _Measured:
    """One pair in one survey."""

    con: duckdb.DuckDBPyConnection
    catalog: Catalog
    pair: CoupledPair
    survey: Survey
    by_dimension: Mapping[str, Sequence[str]]
    answered: Mapping[tuple[str, str], frozenset[str]]
    limits: Extremes | None

    def add(self, rows: Rows) -> None:
        """Add the rows of every wave and group."""
        usable: dict[str, dict[str, dict[str, Weights]]] = {}
        for part in self.survey.rounds:
            head, wave = {**self._keys, **part}, part["wave"]
            parts = {s.id: self._members(s, wave) for s in self.pair.systems}
            reason = self._lacks(parts)
            if reason is None:
                usable[wave] = {s: {OWN: w} for s, w in parts.items()}
                self._wave(rows, head, parts)
                continue
            nothing = dict.fromkeys(("mean_c", "mean_t", "mean_d", "sd_d"))
            line = {**head, **_group(ALL), "variant": self.catalog.coupling.default_variant}
            rows["coordination"].append({**line, **nothing, "n": 0, "reason": reason})
        for first, second in pairwise(w for w in self.survey.waves if w in usable):
            self._moves(rows, first, second)

    @property
    def _keys(self) -> dict[str, Any]:
        s = self.survey
        return {
            "survey_id": s.survey_id,
            "region": s.region,
            "is_synthetic": s.is_synthetic,
            "pair": self.pair.id,
        }

    def _members(self, system: PairedSystem, wave: str) -> Weights:
        """Indicators of each dimension of a system that the wave asked and that have a range, equally weighted."""
        members: dict[str, dict[str, float]] = {}
        for dimension in system.dimensions:
            ids = [
                i
                for i in self.by_dimension.get(dimension, ())
                if i in self.answered.get((self.survey.survey_id, wave), ()) and self._has_range(i)
            ]
            if ids:
                members[dimension] = dict.fromkeys(ids, 1 / len(ids))
        return members

    def _has_range(self, indicator: str) -> bool:
        if self.limits is None:
            return False
        low, high = self.limits.bounds(self.limits.indicators.index(indicator), self.survey.survey_id, BOUNDS)
        return low < high

    def _lacks(self, parts: Mapping[str, Weights]) -> str | None:
        """Why the pair is not measured here."""
        missing = []
        for system in self.pair.systems:
            have, all_ = len(parts[system.id]), len(system.dimensions)
            if have < self.pair.least_share * all_:
                out = ", ".join(d for d in system.dimensions if d not in parts[system.id])
                missing.append(f"{system.id}: {have} of {all_} dimensions asked, not {out}")
        return "; ".join(missing) or None

    def _source(self, parts: Mapping[str, Weights], wave: str) -> str:
        """Relation of the households of a wave with their systems u1, u2, ..."""
        assert self.limits is not None
        weights: Weights = {d: w for part in parts.values() for d, w in part.items()}
        source = scored(self.limits, self.survey.survey_id, BOUNDS, {OWN: weights}, f"wave = {literal(wave)}")
        columns = {}
        for k, system in enumerate(self.pair.systems, start=1):
            shares = {d: w for d, w in system.weights.items() if d in parts[system.id]}
            total = sum(shares.values())
            own = {quoted(dimension_column(OWN, d)): w / total for d, w in shares.items()}
            columns[f"u{k}"] = level(f"({weighted_sum(own)})")
        return extended(source, columns)

    def _degrees(self, variant: str) -> dict[str, str]:
        u = [f"u{k}" for k in range(1, len(self.pair.systems) + 1)]
        alphas = [s.alpha for s in self.pair.systems]
        return {
            "c": coupling_degree(u, variant),
            "t": comprehensive(u, alphas),
            "d": coordination_degree(u, alphas, variant),
        }

    def _wave(self, rows: Rows, head: Mapping[str, Any], parts: Mapping[str, Weights]) -> None:
        u = [f"u{k}" for k in range(1, len(self.pair.systems) + 1)]
        # planned once: the indices of a wave are long SQL, and each variant only adds arithmetic
        self.con.execute(
            f"create or replace temp table systems as select household_id, site_id, {', '.join(u)} "
            f"from {self._source(parts, str(head['wave']))}"
        )
        for variant in self.catalog.coupling.variants:
            source = extended("systems", self._degrees(variant.id))
            means = ", ".join(f"avg({x})" for x in (*u, "c", "t", "d"))
            by_site = self.con.execute(
                f"select site_id, count(*), {means}, stddev_samp(d), list(d order by household_id) from {source} "
                "where d is not null group by grouping sets ((), (site_id)) having count(*) > 0 "
                "order by site_id nulls first"
            ).fetchall()
            for site, n, *values in by_site:
                group = _group(ALL if site is None else ("site", site))
                *us, c, t, d, sd, degrees = values
                line = {**head, **group, "variant": variant.id}
                rows["coordination"].append(
                    {**line, "n": n, "mean_c": c, "mean_t": t, "mean_d": d, "sd_d": sd, "reason": None}
                )
                rows["systems"] += self._system_rows(line, n, us, parts)
                rows["bands"] += self._band_rows(line, np.array(degrees, dtype=np.float64))
        weights = [
            (d, i, s.alpha * s.weights[d] * w)
            for s in self.pair.systems
            for d, members in parts[s.id].items()
            for i, w in members.items()
        ]
        assert self.limits is not None
        source = scored(
            self.limits, self.survey.survey_id, BOUNDS, {}, f"wave = {literal(str(head['wave']))}"
        )
        for row in obstacle_rows(self.con, source, [(self.pair.id, weights)], head):
            rows["obstacles"].append({name: value for name, value in row.items() if name != "scheme"})

    def _system_rows(
        self, line: Mapping[str, Any], n: int, means: Sequence[float], parts: Mapping[str, Weights]
    ) -> Iterator[dict[str, Any]]:
        for system, mean in zip(self.pair.systems, means, strict=True):
            yield {
                **line,
                "system": system.id,
                "label_en": system.label_en,
                "label_zh": system.label_zh,
                "alpha": system.alpha,
                "n": n,
                "mean_u": mean,
                "n_dimensions": len(parts[system.id]),
                "n_dimensions_declared": len(system.dimensions),
                "is_lagging": mean == min(means) < max(means),
            }

    def _band_rows(self, line: Mapping[str, Any], degrees: np.ndarray) -> Iterator[dict[str, Any]]:
        for scheme in self.catalog.band_schemes:
            places = classify(degrees, bands_of(scheme))
            for order, band in enumerate(scheme.bands, start=1):
                count = int((places == order - 1).sum())
                yield {
                    **line,
                    "band_scheme": scheme.id,
                    "band": band.id,
                    "band_order": order,
                    "n": count,
                    "share": count / len(degrees),
                }

    def _moves(self, rows: Rows, first: str, second: str) -> None:
        """Households of two waves by their bands, from dimensions that both waves asked."""
        variant = self.catalog.coupling.default_variant
        shared: dict[str, Weights] = {}
        for system in self.pair.systems:
            one, two = self._members(system, first), self._members(system, second)
            both = {d: [i for i in one[d] if i in two.get(d, {})] for d in one}
            shared[system.id] = {d: dict.fromkeys(ids, 1 / len(ids)) for d, ids in both.items() if ids}
        if self._lacks(shared) is not None:
            return
        earlier, later = (
            f"(select household_id, d from {extended(self._source(shared, w), self._degrees(variant))})"
            for w in (first, second)
        )
        pairs = self.con.execute(
            f"select one.d, two.d from {earlier} as one inner join {later} as two using (household_id) "
            "where one.d is not null and two.d is not null"
        ).fetchall()
        degrees = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        for scheme in self.catalog.band_schemes:
            names = [b.id for b in scheme.bands]
            before, after = (classify(degrees[:, k], bands_of(scheme)) for k in (0, 1))
            counts = transition(before, after, len(names)).counts
            for a, line in zip(names, counts.tolist(), strict=True):
                for b, count in zip(names, line, strict=True):
                    rows["transitions"].append(
                        {
                            **self._keys,
                            "variant": variant,
                            "band_scheme": scheme.id,
                            "wave_from": first,
                            "wave_to": second,
                            "panel_sample": BALANCED,
                            "band_from": a,
                            "band_to": b,
                            "n": int(count),
                            "share": count / len(degrees) if len(degrees) else None,
                        }
                    )


def _group(group: tuple[str, str]) -> dict[str, str]:
    return dict(zip(("group_type", "group_id"), group, strict=True))
