"""Whether the scales of the catalog measure the same in every survey that asked all their items alike.

Belongs here: which items and surveys are put side by side, the verdict by the declared limits, and the tables made of
it. Does not belong here: the models themselves (`analysis.measurement`), or exploratory factors (`results.factors`).

Households of a site resemble each other, so chi-square rejects too often here; a level holds by what the indices of fit
lose. Latent means stand only where intercepts are equal too; beside them are those of the alignment, which needs no
equality of all items.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from statsmodels.stats.multitest import multipletests
from threadpoolctl import threadpool_limits

from analysis.arrays import FloatArray
from analysis.errors import AnalysisError
from analysis.measurement import Aligned, Level, Measurement, align, measurement, omega
from relocation_warehouse.results.common import verdicts_by_wave
from relocation_warehouse.results.factors import (
    Sample,
    asked_alike,
    item_batches,
)
from relocation_warehouse.results.households import asked, by_origin, matrix, surveys
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, Gates, Item
from relocation_warehouse.survey.vocabulary import SIGNIFICANT

LEVELS: Mapping[str, tuple[Level, ...]] = {
    "ml": tuple(Level),
    "wlsmv": (Level.CONFIGURAL, Level.METRIC, Level.SCALAR),
}

ALL = "all"
"""Factor of rows about the sum of all items."""


@dataclass(frozen=True)
class _Scale:
    """Items that measure one factor each."""

    id: str
    items: tuple[Item, ...]
    factors: tuple[str, ...]
    factor_of: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(item.indicator for item in self.items)


def measurement_tables(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Fit every scale of the catalog in the surveys that asked all its items.

    Parameters
    ----------
    con
        Build database, read only.
    catalog
        Factor models, scales and limits.

    Returns
    -------
    dict
        `scale_invariance`, `scale_items` and `scale_factors` of the schema `analysis`.
    """
    answered, verdicts = asked(con), verdicts_by_wave(con)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with threadpool_limits(limits=1, user_api="blas"):
        for scale in _scales(catalog):
            items = set(scale.names)
            for of_origin in by_origin(surveys(con)).values():
                alike = asked_alike(of_origin, items, verdicts)
                if isinstance(alike, Sample):
                    samples = [Sample((survey,), survey.latest) for survey in alike.surveys]
                    _together(con, catalog, scale, samples, rows)
                else:
                    samples = [
                        Sample((s,), s.latest) for s in of_origin if items <= answered[s.survey_id, s.latest]
                    ]
                    rows["scale_invariance"] += _unfitted(scale, of_origin[0].is_synthetic, alike)
                    _alone(con, catalog, scale, samples, rows)
    names = ("scale_invariance", "scale_items", "scale_factors")
    return {name: conform(f"analysis.{name}", rows[name]) for name in names}


def _scales(catalog: Catalog) -> Iterator[_Scale]:
    """Factor models, whose items load on the factor of their dimension, and scales of one factor."""
    for model in catalog.factor_models:
        dimension = [catalog.indicator[item.indicator].dimension for item in model.items]
        own = [factor.dimension for factor in model.factors]
        place = tuple(own.index(each) for each in dimension)
        yield _Scale(model.id, tuple(model.items), tuple(f.id for f in model.factors), place)
    for scale in catalog.scales:
        if scale.factor_model is None:
            items = tuple(catalog.scale_items(scale))
            yield _Scale(scale.id, items, (scale.id,), (0,) * len(items))


def _answers(con: duckdb.DuckDBPyConnection, catalog: Catalog, scale: _Scale, sample: Sample) -> FloatArray:
    batches = list(item_batches(con, catalog, scale.items, "listwise", sample))
    if not batches:
        return np.empty((0, len(scale.items)))
    answers = matrix(pa.Table.from_batches(batches), scale.names)
    return answers[~np.isnan(answers).any(axis=1)]


def _together(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    scale: _Scale,
    samples: Sequence[Sample],
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    groups = {sample.survey_id: _answers(con, catalog, scale, sample) for sample in samples}
    synthetic = samples[0].is_synthetic
    fits: dict[str, dict[Level, Measurement]] = {}
    for estimator, levels in LEVELS.items():
        fits[estimator] = {}
        before: tuple[Measurement, bool] | None = None
        for level in levels:
            head = {**_invariance(scale, estimator, level, synthetic), "surveys": "|".join(groups)}
            head |= {"n_surveys": len(groups), "n": sum(map(len, groups.values()))}
            try:
                fit = measurement(groups, scale.factor_of, level, estimator=estimator)
            except AnalysisError as error:
                rows["scale_invariance"].append({**head, "reason": str(error)})
                before = None
                continue
            fits[estimator][level] = fit
            row = {**head, **_fit(catalog.gates, fit, before)}
            if row["holds"] is False:
                row["items_to_blame"] = "|".join(_blamed(scale, fit, level)) or None
            rows["scale_invariance"].append(row)
            before = (fit, row["holds"] is not False)
    by_level = fits["ml"]
    if Level.CONFIGURAL in by_level:
        aligned = _aligned(scale, by_level[Level.CONFIGURAL])
        holds = {
            row["level"]: row["holds"]
            for row in rows["scale_invariance"]
            if row["model"] == scale.id and row["estimator"] == "ml" and row["is_synthetic"] == synthetic
        }
        rows["scale_items"] += _items(scale, samples, by_level, aligned)
        rows["scale_factors"] += _factors(scale, samples, by_level, aligned, bool(holds.get(Level.SCALAR)))


def _alone(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    scale: _Scale,
    samples: Sequence[Sample],
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    """Omega and loadings of surveys that stand alone."""
    for sample in samples:
        try:
            fit = measurement({sample.survey_id: _answers(con, catalog, scale, sample)}, scale.factor_of)
        except AnalysisError as error:
            rows["scale_factors"].append({**_factor_head(scale, sample, ALL), "reason": str(error)})
            continue
        rows["scale_items"] += _items(scale, [sample], {Level.CONFIGURAL: fit}, {})
        rows["scale_factors"] += _factors(scale, [sample], {Level.CONFIGURAL: fit}, {}, False)


def _invariance(scale: _Scale, estimator: str, level: Level, synthetic: bool) -> dict[str, Any]:
    numbers = ("chi2", "df", "p", "cfi", "tli", "rmsea", "delta_cfi", "delta_rmsea")
    return {
        "model": scale.id,
        "estimator": estimator,
        "level": level.value,
        "is_synthetic": synthetic,
        "surveys": None,
        "n_surveys": 0,
        "n": 0,
        **dict.fromkeys(numbers),
        "holds": None,
        "items_to_blame": None,
        "reason": None,
    }


def _unfitted(scale: _Scale, synthetic: bool, reason: str) -> Iterator[dict[str, Any]]:
    for estimator, levels in LEVELS.items():
        for level in levels:
            yield {**_invariance(scale, estimator, level, synthetic), "reason": reason}


def _fit(gates: Gates, fit: Measurement, before: tuple[Measurement, bool] | None) -> dict[str, Any]:
    """Indices of a level, what they lose against the level before, and whether it holds; the first has none before."""
    indices: dict[str, Any] = {
        name: getattr(fit, name) for name in ("chi2", "df", "p", "cfi", "tli", "rmsea")
    }
    if before is None:
        return indices
    last, holds = before
    fall, rise = fit.cfi - last.cfi, fit.rmsea - last.rmsea
    alike = fall >= -gates.largest_cfi_fall and rise <= gates.largest_rmsea_rise
    return {**indices, "delta_cfi": fall, "delta_rmsea": rise, "holds": bool(holds and alike)}


def _adjusted(fit: Measurement, level: Level) -> list[float]:
    """Holm's p of each item for what the level holds equal beyond the level before; empty where there is no test."""
    tests = fit.loading_tests if level is Level.METRIC else fit.intercept_tests
    return [] if not tests else [float(p) for p in multipletests([t.p for t in tests], method="holm")[1]]


def _blamed(scale: _Scale, fit: Measurement, level: Level) -> list[str]:
    p = _adjusted(fit, level) if level in (Level.METRIC, Level.SCALAR) else []
    return [
        name
        for name, each in sorted(zip(scale.names, p, strict=False), key=lambda x: x[1])
        if each < SIGNIFICANT
    ]


def _aligned(scale: _Scale, configural: Measurement) -> dict[int, Aligned]:
    aligned = {}
    for k in range(len(scale.factors)):
        own = np.array(scale.factor_of) == k
        aligned[k] = align(configural.loadings[:, own], configural.intercepts[:, own], configural.n)
    return aligned


def _items(
    scale: _Scale,
    samples: Sequence[Sample],
    fits: Mapping[Level, Measurement],
    aligned: Mapping[int, Aligned],
) -> Iterator[dict[str, Any]]:
    configural = fits[Level.CONFIGURAL]
    p = {level: _adjusted(fits[level], level) for level in (Level.METRIC, Level.SCALAR) if level in fits}
    for g, sample in enumerate(samples):
        seen: defaultdict[int, int] = defaultdict(int)
        for i, item in enumerate(scale.names):
            k = scale.factor_of[i]
            own, place = aligned.get(k), seen[k]
            seen[k] += 1
            yield {
                **_factor_head(scale, sample, scale.factors[k], of_factor=False),
                "indicator_id": item,
                "loading": float(configural.loadings[g, i]),
                "intercept": float(configural.intercepts[g, i]),
                "residual_variance": float(configural.residuals[g, i]),
                "aligned_loading": None if own is None else float(own.loadings[g, place]),
                "aligned_intercept": None if own is None else float(own.intercepts[g, place]),
                "loading_r2": None if own is None else float(own.loading_r2[place]),
                "intercept_r2": None if own is None else float(own.intercept_r2[place]),
                "p_loading": p[Level.METRIC][i] if p.get(Level.METRIC) else None,
                "p_intercept": p[Level.SCALAR][i] if p.get(Level.SCALAR) else None,
            }


def _factor_head(scale: _Scale, sample: Sample, factor: str, *, of_factor: bool = True) -> dict[str, Any]:
    head = {
        "model": scale.id,
        "survey_id": sample.survey_id,
        "wave": sample.wave,
        "factor": factor,
        "is_synthetic": sample.is_synthetic,
    }
    numbers = ("omega", "latent_mean", "latent_mean_se", "aligned_mean", "aligned_variance")
    return {**head, "n": 0, **dict.fromkeys(numbers), "reason": None} if of_factor else head


def _factors(
    scale: _Scale,
    samples: Sequence[Sample],
    fits: Mapping[Level, Measurement],
    aligned: Mapping[int, Aligned],
    is_scalar: bool,
) -> Iterator[dict[str, Any]]:
    configural, scalar = fits[Level.CONFIGURAL], fits.get(Level.SCALAR)
    total, by_factor = omega(configural, scale.factor_of)
    if len(samples) < 2:
        reason = "no other survey asked all items alike: there is nothing to compare a mean with"
    else:
        reason = "intercepts are not equal in all surveys: latent means would mix answers and factor"
    for g, sample in enumerate(samples):
        n = int(configural.n[g])
        if len(scale.factors) > 1:
            yield {**_factor_head(scale, sample, ALL), "n": n, "omega": float(total[g])}
        for k, factor in enumerate(scale.factors):
            row = {**_factor_head(scale, sample, factor), "n": n, "omega": float(by_factor[g, k])}
            if k in aligned:
                row["aligned_mean"] = float(aligned[k].means[g])
                row["aligned_variance"] = float(aligned[k].variances[g])
            if is_scalar and scalar is not None:
                row["latent_mean"] = float(scalar.factor_means[g, k])
                row["latent_mean_se"] = float(scalar.factor_mean_se[g, k])
            else:
                row["reason"] = reason
            yield row
