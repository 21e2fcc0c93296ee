"""Models of the change within households, for surveys with several waves.

Belongs here: which rows and columns a panel model of the catalog takes, and which of its p values may be told. Does not
belong here: fitting (`analysis.panel_models`), transitions and tests of a change alone (`coupling`).

A household belongs to the sampling unit of its last wave. Models are fitted unweighted, as those of one wave are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.errors import AnalysisError
from analysis.levels import refusal
from analysis.panel_models import PanelModel, fixed_effects
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, asked, matrix, surveys
from relocation_warehouse.results.metrics import relation
from relocation_warehouse.results.sampling import too_few_degrees, unit_key
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, PanelSpec

DRAWS = 9999
"""Of the bootstrap; up to five sampling units all vectors of weights are taken instead."""

CAUTION = "where the first wave was recalled at the one visit, memory is part of the change"

FITTED = ("b", "se", "df", "ci_low", "ci_high", "p")


def panel_models(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> dict[str, pa.Table]:
    """Fit every panel model of the catalog in every survey with several waves.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` and `factors` in it.
    catalog
        Panel models, their regressors, and the gates of tests.

    Returns
    -------
    dict
        `panel_models` of the schema `analysis`.
    """
    known = asked(con)
    rows: list[dict[str, Any]] = []
    for survey in surveys(con):
        if len(survey.waves) > 1:
            for spec in catalog.panel_models:
                answered = [known.get((survey.survey_id, wave), frozenset()) for wave in survey.waves]
                rows += _rows(con, catalog, survey, spec, frozenset.intersection(*answered))
    return {"panel_models": conform("analysis.panel_models", rows)}


def _rows(
    con: duckdb.DuckDBPyConnection,
    catalog: Catalog,
    survey: Survey,
    spec: PanelSpec,
    answered: frozenset[str],
) -> Iterator[dict[str, Any]]:
    """A row for each wave after the first and for each regressor."""
    names = [r.name for group in spec.regressors for r in catalog.regressor_sets[group]]
    # waves are compared with the first, in order of time, which their names have not
    waves = {
        f"wave={order}": wave for wave, order in zip(survey.waves[1:], survey.wave_orders[1:], strict=True)
    }
    head = {
        "survey_id": survey.survey_id,
        "region": survey.region,
        "is_synthetic": survey.is_synthetic,
        "model": spec.id,
        "label_en": spec.label_en,
        "label_zh": spec.label_zh,
        "dependent": spec.dependent,
        "caution": CAUTION,
    }
    panel_model: PanelModel | None = None
    reason = None
    absent = [n for n in (*names, spec.dependent) if n in catalog.indicator and n not in answered]
    try:
        if absent:
            raise AnalysisError(f"Not asked or not answered in every wave: {', '.join(absent)}.")
        panel_model = _fit(con, catalog, survey, spec, names)
    except AnalysisError as error:
        reason = str(error)
    for order, term in enumerate([*waves, *names], start=1):
        row = {**head, "term": f"wave={waves[term]}" if term in waves else term, "term_order": order}
        yield {**row, **(_nothing(reason) if panel_model is None else _told(panel_model, term, catalog))}


def _nothing(reason: str | None) -> dict[str, Any]:
    counts = dict.fromkeys(("n_households", "n_rows", "n_units"), 0)
    return {**counts, **dict.fromkeys((*FITTED, "p_wild", "draws")), "reason": reason}


def _told(panel_model: PanelModel, term: str, catalog: Catalog) -> dict[str, Any]:
    """Numbers of a term, without a test where none keeps its level."""
    fit, gates = panel_model.model, catalog.gates
    row = {
        **_nothing(None),
        "n_households": panel_model.n_households,
        "n_rows": panel_model.n_rows,
        "n_units": panel_model.n_clusters,
    }
    if term not in fit.terms:
        return {**row, "reason": f"left out: it {next(o.reason for o in fit.omitted if o.term == term)}"}
    k = fit.terms.index(term)
    values: dict[str, Any] = {name: float(getattr(fit, name)[k]) for name in FITTED}
    reason = None
    if term in fit.lone:
        reason = "one sampling unit determines it alone"
    else:
        reason = too_few_degrees(fit.df[k], gates) or refusal(panel_model.levels(term), fit.df[k])
    if reason:
        values |= dict.fromkeys(("ci_low", "ci_high", "p"), None)
    elif panel_model.wild and panel_model.n_clusters >= gates.fewest_bootstrap_units:
        values |= {"p_wild": float(panel_model.wild.p[k]), "draws": panel_model.wild.draws}
    return {**row, **values, "reason": reason}


def _fit(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, survey: Survey, spec: PanelSpec, names: list[str]
) -> PanelModel:
    """Read the rows of a model and fit it."""
    columns, joins = [], []
    for k, name in enumerate((*names, spec.dependent)):
        metric = catalog.metric.get(name)
        if metric is None:
            columns.append(f"h.{quoted(name)}")
            continue
        source = relation(metric, catalog.default_weight_scheme)
        columns.append(f"m{k}.{quoted(metric.column)}")
        joins.append(
            f"left join (select * from {source} where survey_id = {literal(survey.survey_id)}) as m{k} "
            "using (household_id, wave)"
        )
    own = f"(select * from {HOUSEHOLDS} where survey_id = {literal(survey.survey_id)})"
    values = ", ".join(f"{x} as {quoted(f'x {k}')}" for k, x in enumerate(columns))
    table = con.execute(
        f"select dense_rank() over (order by household_id) as household, h.wave_order, {values}, "
        f"last_value({unit_key(con, 'h')}) over (partition by household_id order by h.wave_order "
        "rows between unbounded preceding and unbounded following) as unit "
        f"from {own} as h {' '.join(joins)} order by household, h.wave_order"
    ).to_arrow_table()
    numbers = matrix(table, [f"x {k}" for k in range(len(columns))])
    household, wave = (table[name].to_numpy() for name in ("household", "wave_order"))
    unit = np.array(table["unit"].to_pylist())
    return fixed_effects(numbers[:, -1], numbers[:, :-1], names, household, wave, unit, draws=DRAWS)
