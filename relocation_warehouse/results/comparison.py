"""Regions side by side: what households answered, what papers print, and whether regions differ.

Belongs here: which metrics, groups and models are compared, and the tables made of it. The two kinds of evidence
stand in separate rows and no figure is made of both. Does not belong here: the tests themselves (`analysis`).

Means take the survey's weights; their intervals treat households as drawn independently with these weights
(the linearised variance of `analysis.survey_design`, computed in SQL so that size does not matter).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy import stats

from analysis.comparison import EqualityTest, chow_test, oaxaca_blinder, wald_equality
from analysis.errors import AnalysisError, InfiniteValueError, InvalidWeightError
from analysis.inference import heteroskedastic
from analysis.meta_analysis import random_effects
from analysis.regression import INTERCEPT, Regression, fit_ols
from analysis.summary import Summary
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, by_origin, surveys
from relocation_warehouse.results.metrics import ingredients, relation
from relocation_warehouse.results.regressions import Sample, samples
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, Model
from relocation_warehouse.survey.literature import Literature, ReplicationTarget, Row, replication_targets

VERDICTS = ("identical", "compatible", "proxy", "undetermined")
"""Comparability of an indicator from strongest to weakest; what was not asked is not behind a value."""

LATEST = "latest"

LEVEL = 0.95


def comparison(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pa.Table]:
    """Compare every metric and numeric indicator, and the models meant for comparison, across regions.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling` and `factors` in it.
    catalog
        Metrics, indicators and models.
    literature
        Printed statistics that speak of the same metrics.

    Returns
    -------
    dict
        `region_comparison` and `region_tests` of the schema `analysis`.
    """
    households = list(_household_rows(con, catalog))
    printed = [*_printed_rows(con, catalog, literature), *_context_rows(catalog, literature)]
    tests = [*_welch_rows(con, households), *_model_rows(con, catalog)]
    return {
        "region_comparison": conform("analysis.region_comparison", [*households, *printed]),
        "region_tests": conform("analysis.region_tests", tests),
    }


def _sources(catalog: Catalog) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """SQL of rows, and metric or numeric indicator -> its column there and unit."""
    by_relation: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for metric in catalog.metrics:
        if metric.grain == "household":
            source = relation(metric, catalog.default_weight_scheme)
            by_relation[source][metric.id] = (metric.column, metric.unit)
    for indicator in catalog.indicators:
        if indicator.is_numeric:
            by_relation[HOUSEHOLDS][indicator.id] = (indicator.id, indicator.unit or "")
    yield from by_relation.items()


def _household_rows(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[dict[str, Any]]:
    verdicts: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for survey_id, wave, indicator, status in con.execute(
        "select survey_id, wave, indicator_id, status from harmonized.coverage where n > 0"
    ).fetchall():
        verdicts[survey_id, wave][indicator] = status
    for (source, measured), survey in product(_sources(catalog), surveys(con)):
        for name, wave, group, mean in _means(con, source, {n: c for n, (c, _) in measured.items()}, survey):
            behind = ingredients(catalog, name, catalog.default_weight_scheme)
            known = [v for i, v in verdicts[survey.survey_id, wave].items() if i in behind]
            half = float(stats.t.ppf(0.5 + LEVEL / 2, mean.n - 1)) * mean.se if mean.n > 1 else None
            yield {
                "metric_id": name,
                "evidence": "household",
                "source_id": survey.survey_id,
                "region": survey.region,
                "wave": wave,
                "wave_order": survey.wave_orders[survey.waves.index(wave)],
                "group_type": group[0],
                "group_id": group[1],
                "is_synthetic": survey.is_synthetic,
                "value": mean.value,
                "ci_low": None if half is None else mean.value - half,
                "ci_high": None if half is None else mean.value + half,
                "standard_error": mean.se if mean.n > 1 else None,
                "n": mean.n,
                "value_x_n": mean.value * mean.n,
                "unit": measured[name][1],
                "status": max(known, key=VERDICTS.index) if known else None,
                "n_indicators": len(known),
                "n_indicators_defined": len(behind),
                "note": f"{len(known)} of {len(behind)} indicators asked"
                if len(known) < len(behind)
                else None,
            }


@dataclass(frozen=True)
class Mean:
    """Weighted mean of n households; the sums of squared weights times deviations give its standard error.

    Attributes
    ----------
    n : int
    value, weight : float
        The mean, and the sum of the weights.
    w2, w2d, w2dd : float
        Sum of w^2, of w^2 (y - mean) and of w^2 (y - mean)^2.
    """

    n: int
    value: float
    weight: float
    w2: float
    w2d: float
    w2dd: float

    @property
    def se(self) -> float:
        """Linearised standard error of independent draws with these weights."""
        return float(np.sqrt(self.n / (self.n - 1) * self.w2dd) / self.weight)

    @classmethod
    def of(cls, parts: Sequence[Mean]) -> Mean:
        """Mean of several groups together."""
        weight = sum(p.weight for p in parts)
        value = sum(p.weight * p.value for p in parts) / weight
        w2dd = sum(p.w2dd + 2 * (p.value - value) * p.w2d + (p.value - value) ** 2 * p.w2 for p in parts)
        w2d = sum(p.w2d + (p.value - value) * p.w2 for p in parts)
        return cls(sum(p.n for p in parts), value, weight, sum(p.w2 for p in parts), w2d, w2dd)


def _means(
    con: duckdb.DuckDBPyConnection, source: str, columns: Mapping[str, str], survey: Survey
) -> Iterator[tuple[str, str, tuple[str, str], Mean]]:
    """Name, wave, group and mean of the columns of a survey: each site is read once, and all households are its sites.

    Two passes: deviations are taken from the mean of the site, so that no digits cancel.
    """
    own = literal(survey.survey_id)
    rows = f"(select * from {source} where survey_id = {own})"
    if not {"site_id", "weight"} <= set(
        con.execute(f"select * from {rows} limit 0").to_arrow_table().column_names
    ):
        weights = f"(select household_id, wave, weight from {HOUSEHOLDS} where survey_id = {own})"
        rows = f"(select * from {rows} inner join {weights} using (household_id, wave))"
    counts = ", ".join(f"count({quoted(c)})" for c in columns.values())
    answered = con.execute(f"select {counts}, count(*) filter (where weight < 0) from {rows}").fetchone() or (
        0,
    )
    if answered[-1]:
        raise InvalidWeightError(f"{survey.survey_id}: {answered[-1]} households have a negative weight.")
    columns = {name: c for (name, c), n in zip(columns.items(), answered[:-1], strict=True) if n}
    if not columns:
        return
    y = {f"mean {k}": quoted(c) for k, c in enumerate(columns.values())}
    given = {m: f"if({x} is null, 0.0, weight)" for m, x in y.items()}
    first = ", ".join(
        f"[count({x}), sum(weight * {x}) / sum({given[m]}), sum({given[m]})]" for m, x in y.items()
    )
    means = f"select wave, site_id, {first} from {rows} where weight > 0 group by wave, site_id"
    sites: dict[tuple[str, str], list[list[float]]] = {
        (wave, site): found for wave, site, *found in con.execute(means).fetchall()
    }
    for values in sites.values():
        for name, (n, value, _) in zip(columns, values, strict=True):
            if n and not np.isfinite(value):
                raise InfiniteValueError(
                    f"{name} of {survey.survey_id} holds an infinite value. Correct it or mark it missing."
                )
    table = pa.Table.from_pylist(
        [
            {"wave": w, "site_id": s} | {m: f[1] for m, f in zip(y, found, strict=True)}
            for (w, s), found in sites.items()
        ]
    )
    con.register("site_means", table)
    weighted = {m: f"({x} - {quoted(m)}) * weight" for m, x in y.items()}
    second = ", ".join(
        f"[sum({given[m]} * weight), sum({quoted(m)} * weight), sum({quoted(m)} * {quoted(m)})]" for m in y
    )
    deviations = (
        f"(select wave, site_id, weight, {', '.join(f'{x} as {quoted(m)}' for m, x in weighted.items())}, "
        f"{', '.join(y.values())} from {rows} as answers inner join site_means using (wave, site_id) where weight > 0)"
    )
    found: defaultdict[tuple[str, str], dict[str, Mean]] = defaultdict(dict)
    for wave, site, *moments in con.execute(
        f"select wave, site_id, {second} from {deviations} group by wave, site_id order by wave, site_id"
    ).fetchall():
        for name, (n, value, weight), squares in zip(columns, sites[wave, site], moments, strict=True):
            if n:
                found[name, wave][site] = Mean(int(n), value, weight, *squares)
    con.unregister("site_means")
    for name, wave in product(columns, survey.waves):
        by_site = found[name, wave]
        if by_site:
            yield name, wave, ("all", "all"), Mean.of(list(by_site.values()))
        for site, mean in by_site.items():
            yield name, wave, ("site", site), mean


def _printed_rows(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> Iterator[dict[str, Any]]:
    rows = {row["stat_id"]: row for row in literature["statistics.csv"]}
    targets = replication_targets(literature, catalog)
    latest = {p: s.latest for s in surveys(con) for p in s.published_survey_ids}
    sizes = {
        (t.published_survey_id, *t.filters.items()): t.published
        for t in targets
        if t.kind == "respondents_n" and t.published
    }
    for target in targets:
        named = _printed_value(catalog, target)
        if named is None or len(target.filters) > 1:
            continue
        metric_id, value = named
        measured = catalog.metric.get(metric_id) or catalog.indicator[metric_id]
        row = rows[target.stat_id]
        wave = latest.get(target.published_survey_id, row["wave"]) if target.wave == LATEST else target.wave
        waves = catalog.replication.waves[target.published_survey_id]
        n = sizes.get((target.published_survey_id, *target.filters.items()))
        group_type, group_id = _group(target.filters)
        yield {
            "metric_id": metric_id,
            "evidence": "printed",
            "source_id": target.stat_id,
            "region": row["region"],
            "wave": wave,
            "wave_order": list(waves).index(wave) + 1 if wave in waves else 1,
            "group_type": group_type,
            "group_id": group_id,
            "is_synthetic": False,
            "value": value,
            "ci_low": None,
            "ci_high": None,
            "standard_error": None,
            "n": n,
            "value_x_n": value * n if n else None,
            "unit": measured.unit or "",
            "status": None,
            "n_indicators": None,
            "n_indicators_defined": None,
            "note": _note(row, target),
        }


def _context_rows(catalog: Catalog, literature: Literature) -> Iterator[dict[str, Any]]:
    """Printed figures of places: no survey stands behind them, so they have no wave and no households."""
    rows = {row["stat_id"]: row for row in literature["statistics.csv"]}
    for context in literature["context.csv"]:
        row = rows[context["stat_id"]]
        yield {
            "metric_id": context["metric_id"],
            "evidence": "printed",
            "source_id": row["stat_id"],
            "region": row["region"],
            "wave": row["wave"],
            "wave_order": 0,
            "group_type": "place",
            "group_id": row["group"],
            "is_synthetic": False,
            "value": float(row["value"]) * float(context["multiplier"]),
            **dict.fromkeys(
                (
                    *("ci_low", "ci_high", "standard_error", "n", "value_x_n"),
                    *("status", "n_indicators", "n_indicators_defined"),
                )
            ),
            "unit": catalog.metric[context["metric_id"]].unit,
            "note": "; ".join(part for part in (context["period"], context["note"]) if part),
        }


def _group(filters: Mapping[str, str]) -> tuple[str, str]:
    for name, code in filters.items():
        return ("site" if name == "site_id" else name), code
    return "all", "all"


def _note(row: Row, target: ReplicationTarget) -> str | None:
    reading = None
    if target.reading is not None:
        reading = f"printed {row['value']}; read as {target.reading:g}: {target.reading_reason}"
    return "; ".join(part for part in (reading, target.note) if part) or None


def _printed_value(catalog: Catalog, target: ReplicationTarget) -> tuple[str, float] | None:
    """Metric a printed figure speaks of and its value in the metric's unit; None where it speaks of none."""
    printed = target.published if target.reading is None else target.reading
    if printed is None:
        return None
    if target.kind in ("metric_mean", "indicator_mean"):
        return target.target, printed / target.multiplier
    if target.kind == "oriented_mean":
        spec = catalog.indicator[target.target]
        if spec.direction == "cost" and spec.minimum is not None and spec.maximum is not None:
            printed = spec.minimum + spec.maximum - printed
        return target.target, printed
    if target.kind == "code_percent":
        is_share = catalog.indicator[target.target].type == "binary" and target.codes == ("1",)
        return (target.target, printed / 100) if is_share else None
    if target.kind == "factor_score_mean":
        model = next(m for m in catalog.factor_models if m.id == target.factor_model)
        own = {f.id: f.metric for f in model.factors}
        return own.get(target.factor, model.composite.metric), printed
    return None


def _test_row(**given: Any) -> dict[str, Any]:
    names = (
        *(
            "test",
            "subject",
            "contrast",
            "component",
            "method",
            "is_synthetic",
            "n",
            "estimate",
            "standard_error",
        ),
        *("ci_low", "ci_high", "statistic", "df1", "df2", "p", "q", "i2", "tau2"),
        *("prediction_low", "prediction_high", "reason"),
    )
    return {**dict.fromkeys(names), **given}


def _welch_rows(
    con: duckdb.DuckDBPyConnection, households: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Difference of the means of each pair of surveys in their latest waves, under the labels of their regions.

    Made-up surveys are held against made-up ones, and real ones against real ones.
    """
    found = surveys(con)
    latest = {s.survey_id: s.latest for s in found}
    label = {s.survey_id: _label(s, alike) for alike in by_origin(found).values() for s in alike}
    by_metric: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in households:
        if row["group_type"] == "all" and row["wave"] == latest[row["source_id"]] and row["n"] > 1:
            by_metric[row["metric_id"]].append(row)
    for metric_id, rows in by_metric.items():
        for a, b in combinations(rows, 2):
            if a["is_synthetic"] != b["is_synthetic"]:
                continue
            variance = np.array([a["standard_error"] ** 2, b["standard_error"] ** 2])
            se = float(np.sqrt(variance.sum()))
            shared = {
                "test": "welch",
                "subject": metric_id,
                "contrast": f"{label[a['source_id']]}|{label[b['source_id']]}",
                "component": LATEST,
                "method": "weighted means",
                "is_synthetic": a["is_synthetic"],
                "n": a["n"] + b["n"],
                "estimate": a["value"] - b["value"],
                "standard_error": se,
            }
            if not se:
                yield _test_row(**shared, reason="neither region has any variance")
                continue
            df = float(variance.sum() ** 2 / (variance**2 / [a["n"] - 1, b["n"] - 1]).sum())
            t = (a["value"] - b["value"]) / se
            half = float(stats.t.ppf(0.5 + LEVEL / 2, df)) * se
            yield _test_row(
                **shared,
                ci_low=shared["estimate"] - half,
                ci_high=shared["estimate"] + half,
                statistic=t,
                df2=df,
                p=float(2 * stats.t.sf(abs(t), df)),
            )


def _model_rows(con: duckdb.DuckDBPyConnection, catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Tests of the models that interact with the region, each survey fitted on its own."""
    for model in catalog.models:
        if model.interact_with is None:
            continue
        single = {s.survey_id: s for s in samples(con, catalog, model) if not s.is_pooled}
        for synthetic, alike in by_origin(surveys(con)).items():
            own = [single[s.survey_id] for s in alike if s.survey_id in single]
            try:
                yield from _compare_models(catalog, model, own, synthetic)
            except AnalysisError as error:
                yield _test_row(
                    test="chow",
                    subject=model.id,
                    contrast="all",
                    component="all",
                    method="classical",
                    is_synthetic=synthetic,
                    reason=str(error),
                )


def _compare_models(
    catalog: Catalog, model: Model, single: list[Sample], synthetic: bool
) -> Iterator[dict[str, Any]]:
    among = [sample.surveys[0] for sample in single]
    filled = {_label(sample.surveys[0], among): sample.read() for sample in single}
    summaries = {label: sample.summary()[()] for label, sample in filled.items()}
    terms = catalog.terms_of(model)
    n = sum(s.n for s in summaries.values())
    base = {"subject": model.id, "is_synthetic": synthetic}
    everywhere = {**base, "contrast": "|".join(summaries) or "all", "n": n}
    chow = {
        "all": chow_test(summaries, model.dependent, terms),
        "slopes": chow_test(summaries, model.dependent, terms, free="intercepts"),
    }
    for component, test in chow.items():
        yield _equality(test, **everywhere, test="chow", component=component, method="classical")
    robust = {
        label: heteroskedastic(sample.batches(), fit_ols(summaries[label], model.dependent, terms), "HC1")
        for label, sample in filled.items()
    }
    for component, compared in (("slopes", terms), *((term, (term,)) for term in terms)):
        equal = wald_equality(robust, compared)
        yield _equality(equal, **everywhere, test="wald", component=component, method="hc1")
    for (name_a, a), (name_b, b) in combinations(summaries.items(), 2):
        yield from _oaxaca(a, b, model, terms, {**base, "contrast": f"{name_a}|{name_b}", "n": a.n + b.n})
    for term in (INTERCEPT, *terms):
        yield from _meta(robust, term, everywhere)


def _label(survey: Survey, among: Sequence[Survey]) -> str:
    """Region of a survey; with its id where several surveys were made in the region."""
    alone = sum(s.region == survey.region for s in among) == 1
    return survey.region if alone else f"{survey.region} ({survey.survey_id})"


def _equality(result: EqualityTest, **given: Any) -> dict[str, Any]:
    return _test_row(
        **given,
        statistic=result.statistic,
        df1=result.df_numerator,
        df2=result.df_denominator if np.isfinite(result.df_denominator) else None,
        p=result.p,
    )


def _oaxaca(
    a: Summary, b: Summary, model: Model, terms: tuple[str, ...], base: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    parts = oaxaca_blinder(a, b, model.dependent, terms)
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    threefold = {
        "endowments": (parts.endowments, parts.endowments_se),
        "coefficients": (parts.coefficients, parts.coefficients_se),
        "interaction": (parts.interaction, parts.interaction_se),
    }
    yield _test_row(**base, test="oaxaca", component="gap", method="threefold", estimate=parts.gap)
    for name, (estimate, se) in threefold.items():
        yield _test_row(
            **base,
            test="oaxaca",
            component=name,
            method="threefold",
            estimate=estimate,
            standard_error=se,
            ci_low=estimate - z * se,
            ci_high=estimate + z * se,
        )
    twofold = {"explained": parts.explained, "unexplained": parts.unexplained}
    twofold |= {
        f"explained: {term}": float(share)
        for term, share in zip(parts.terms, parts.explained_by_term, strict=True)
    }
    for name, estimate in twofold.items():
        yield _test_row(**base, test="oaxaca", component=name, method="pooled", estimate=estimate)


def _meta(models: Mapping[str, Regression], term: str, base: dict[str, Any]) -> Iterator[dict[str, Any]]:
    places = {label: fit.terms.index(term) for label, fit in models.items()}
    pooled = random_effects(
        [models[label].b[k] for label, k in places.items()],
        [models[label].se[k] for label, k in places.items()],
    )
    shared = {
        **base,
        "test": "meta_analysis",
        "component": "constant" if term == INTERCEPT else term,
        "estimate": pooled.estimate,
        "q": pooled.q,
        "i2": pooled.i2,
        "tau2": pooled.tau2,
        "prediction_low": pooled.prediction_low,
        "prediction_high": pooled.prediction_high,
        "df1": pooled.k - 1,
    }
    yield _test_row(
        **shared,
        method="DerSimonian-Laird",
        standard_error=pooled.se,
        ci_low=pooled.ci_low,
        ci_high=pooled.ci_high,
        p=pooled.p,
    )
    yield _test_row(
        **shared,
        method="Hartung-Knapp-Sidik-Jonkman",
        standard_error=pooled.hksj_se,
        ci_low=pooled.hksj_ci_low,
        ci_high=pooled.hksj_ci_high,
        p=pooled.hksj_p,
    )
