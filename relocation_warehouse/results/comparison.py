"""Regions side by side: what households answered, what papers print, and whether regions differ.

Belongs here: which metrics, groups and models are compared, and the tables made of it. The two kinds of evidence
stand in separate rows and no figure is made of both. Does not belong here: the tests themselves (`analysis`).

The sampling units are the sample: households of one site resemble each other, so intervals and tests come from what
differs between units. Where units are too few for a lawful test, or the two sides answered different questions, the
estimate stands without a p value and the row says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import duckdb
import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.comparison import gap_contrasts, oaxaca_blinder
from analysis.errors import AnalysisError, TooFewGroupsError
from analysis.inference import ClusterScores, Part, cluster_scores, clustered, joint_test
from analysis.levels import levels_of_difference, refusal, refusal_of_joint_test
from analysis.meta_analysis import random_effects
from analysis.regression import INTERCEPT, Regression, fit_ols
from analysis.summary import Summary
from analysis.survey_design import difference
from relocation_warehouse.results.chinese import Chinese
from relocation_warehouse.results.common import (
    VERDICTS,
    Verdicts,
    is_relative,
    recomputed,
    shared,
    verdicts_by_wave,
)
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, by_origin, surveys
from relocation_warehouse.results.metrics import ingredients, relation
from relocation_warehouse.results.regressions import UNIT, Sample, samples
from relocation_warehouse.results.sampling import (
    LEVEL,
    Estimate,
    Units,
    by_group,
    estimate,
    too_few_degrees,
    units_by,
    units_of,
)
from relocation_warehouse.results.tables import Result, computed, conform
from relocation_warehouse.survey.catalog import Catalog, Gates, Model
from relocation_warehouse.survey.literature import Literature, ReplicationTarget, Row, replication_targets
from relocation_warehouse.survey.vocabulary import round_of

LATEST = "latest"

CATEGORY_RESULTS = """(
    select
        r.source_id as survey_id, r.wave, r.wave_order, r.region, r.is_synthetic, c.code, c.survey_indicator_id,
        c.survey_code, r.metric_id as measure, r.n, r.n_units, r.value as mean, r.ci_low, r.ci_high, r.interval_reason
    from reference.published_categories as c
    inner join analysis.region_comparison as r
        on c.region = r.region and c.survey_indicator_id = r.group_type and c.survey_code = r.group_id
    where r.evidence = 'household'
)"""


def comparison(con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature) -> dict[str, Result]:
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
        `region_comparison` and `region_tests` of the schema `analysis`, and the view `category_results` on the first.
    """
    measures = _Measures(con, catalog, _coded(literature))
    households = list(_household_rows(measures))
    tests = [*_difference_rows(measures), *_model_rows(con, catalog)]
    printed = [*_printed_rows(con, catalog, literature), *_context_rows(catalog, literature)]
    chinese = Chinese(literature, catalog)
    compared = [row | {"note_zh": chinese.of(row["note"] or None)} for row in (*households, *printed)]
    _adjust(tests)
    return {
        "region_comparison": conform("analysis.region_comparison", compared),
        "region_tests": conform("analysis.region_tests", tests),
        "category_results": computed("analysis.category_results", CATEGORY_RESULTS, is_view=True),
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


@dataclass(frozen=True)
class Measured:
    """A metric in a wave of a survey: the estimate of all its households, and by group type of each group."""

    whole: Estimate
    groups: dict[str, dict[str, Estimate]]
    unit: str


class _Measures:
    """Every metric and numeric indicator of every survey and wave, and the composites over shared indicators."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, catalog: Catalog, categories: Mapping[str, Sequence[str]]
    ) -> None:
        self.con, self.catalog = con, catalog
        self.surveys = surveys(con)
        self.verdicts = verdicts_by_wave(con)
        self.declared = _declares_units(con)
        self.by_measure: dict[tuple[str, str, str], Measured] = {}
        for (source, measured), survey in product(_sources(catalog), self.surveys):
            columns = {name: column for name, (column, _) in measured.items()}
            wanted: dict[str, Collection[str]] = {"site_id": columns}
            for indicator in categories.get(survey.region, ()):
                wanted[indicator] = [name for name in columns if self._speaks_of(name, indicator)]
            for group, name, wave, units in units_by(con, source, columns, survey, wanted):
                of_groups = self._by_group(name, units)
                if group == "site_id":
                    measure = Measured(self._estimate(name, units), {"site": of_groups}, measured[name][1])
                    self.by_measure[name, survey.survey_id, wave] = measure
                else:
                    self.by_measure[name, survey.survey_id, wave].groups[group] = of_groups
        self._common: dict[tuple[str, frozenset[str]], dict[tuple[str, str], Estimate]] = {}

    def behind(self, metric: str) -> frozenset[str]:
        """Indicators that a metric is made of."""
        return ingredients(self.catalog, metric, self.catalog.default_weight_scheme)

    def asked(self, metric: str, survey: Survey, wave: str) -> Verdicts:
        """Those of them that anybody answered, with their comparability."""
        behind = self.behind(metric)
        return {i: v for i, v in self.verdicts[survey.survey_id, wave].items() if i in behind}

    def common(self, survey: Survey, indicators: frozenset[str]) -> dict[tuple[str, str], Estimate]:
        """Metric and wave -> estimate over some indicators alone."""
        key = survey.survey_id, indicators
        if key not in self._common:
            self._common[key] = {
                (name, wave): estimate(units)
                for source, columns in recomputed(self.con, self.catalog, survey, indicators).items()
                for name, wave, units in units_of(self.con, source, columns, survey)
            }
        return self._common[key]

    def shared_by_all(self) -> dict[bool, frozenset[str]]:
        """Whether made up -> indicators that all of several such surveys asked comparably in their latest waves."""
        return {
            origin: shared([self.verdicts[s.survey_id, s.latest] for s in alike], self.catalog.indicator)
            for origin, alike in by_origin(self.surveys).items()
            if len(alike) > 1
        }

    def _by_group(self, name: str, units: Units) -> dict[str, Estimate]:
        return {group: self._estimate(name, own) for group, own in by_group(units).items()}

    def _estimate(self, name: str, units: Units) -> Estimate:
        is_share = self._is_share(name)
        return estimate(units, share=units if is_share else None, is_amount=self.catalog.is_amount(name))

    def _speaks_of(self, name: str, indicator: str) -> bool:
        """Whether a measure is reported by the codes of an indicator: metrics are, and indicators of its system."""
        other = self.catalog.indicator.get(name)
        system = self.catalog.indicator[indicator].system
        return other is None or (other.system == system and name != indicator)

    def _is_share(self, name: str) -> bool:
        indicator = self.catalog.indicator.get(name)
        return indicator is not None and indicator.type == "binary"


def _declares_units(con: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """Whether each survey declares its sampling units."""
    columns = {name for name, *_ in con.execute("describe reference.surveys").fetchall()}
    if "has_sampling_units" not in columns:
        return {}
    return dict(con.execute("select survey_id, has_sampling_units from reference.surveys").fetchall())


def _household_rows(measures: _Measures) -> Iterator[dict[str, Any]]:
    by_id = {s.survey_id: s for s in measures.surveys}
    shared_by_all = measures.shared_by_all()
    for (name, survey_id, wave), measured in measures.by_measure.items():
        survey, behind = by_id[survey_id], measures.behind(name)
        has_others = survey.is_synthetic in shared_by_all
        everywhere = shared_by_all.get(survey.is_synthetic, frozenset())
        known = measures.asked(name, survey, wave)
        common = None
        if len(behind) > 1 and everywhere & behind:
            common = measures.common(survey, everywhere).get((name, wave))
        groups = {"all": {"all": measured.whole}, **measured.groups}
        for group_type, group_id, of_group in _flat(groups):
            is_whole = group_type == "all"
            design, own = of_group.interval, common if is_whole else None
            yield {
                "metric_id": name,
                "evidence": "household",
                "source_id": survey_id,
                "region": survey.region,
                "wave": wave,
                "wave_order": survey.wave_orders[survey.waves.index(wave)],
                "round": round_of(wave, survey.waves),
                "group_type": group_type,
                "group_id": group_id,
                "is_synthetic": survey.is_synthetic,
                "value": of_group.value,
                "ci_low": design.ci_low if design else None,
                "ci_high": design.ci_high if design else None,
                "standard_error": design.se if design else None,
                "df": design.df if design else None,
                "n": of_group.n,
                "value_x_n": of_group.value * of_group.n,
                "n_units": of_group.n_units,
                "effective_units": of_group.effective_units,
                "unit_basis": "declared" if measures.declared.get(survey_id) else "site",
                "intraclass_correlation": of_group.correlation,
                "design_effect": of_group.design_effect,
                "interval_reason": of_group.reason,
                "unit": measured.unit,
                "status": max(known.values(), key=VERDICTS.index) if known else None,
                "n_indicators": len(known),
                "n_indicators_defined": len(behind),
                "n_indicators_common": len(everywhere & behind) if has_others else None,
                "common_value": own.value if own else None,
                "common_ci_low": own.interval.ci_low if own and own.interval else None,
                "common_ci_high": own.interval.ci_high if own and own.interval else None,
                "note": f"{len(known)} of {len(behind)} indicators asked"
                if len(known) < len(behind)
                else None,
            }


def _flat(groups: Mapping[str, Mapping[str, Estimate]]) -> Iterator[tuple[str, str, Estimate]]:
    return ((kind, group, of_group) for kind, own in groups.items() for group, of_group in own.items())


def _coded(literature: Literature) -> dict[str, list[str]]:
    """Region -> indicators whose codes are categories of a paper on it, such as its industry models."""
    coded: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for row in literature["qualitative.csv"]:
        if row["survey_indicator_id"]:
            coded[row["region"]][row["survey_indicator_id"]] = None
    return {region: list(indicators) for region, indicators in coded.items()}


HOUSEHOLD_ONLY = (
    *("ci_low", "ci_high", "standard_error", "df", "n_units", "effective_units", "unit_basis"),
    *("intraclass_correlation", "design_effect", "interval_reason", "status", "n_indicators"),
    *("n_indicators_defined", "n_indicators_common", "common_value", "common_ci_low", "common_ci_high"),
)
"""Columns of `region_comparison` that a printed figure has no value for."""


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
            "round": round_of(wave, list(waves) if wave in waves else [wave]),
            "group_type": group_type,
            "group_id": group_id,
            "is_synthetic": False,
            "value": value,
            **dict.fromkeys(HOUSEHOLD_ONLY),
            "n": n,
            "value_x_n": value * n if n else None,
            "unit": measured.unit or "",
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
            "round": None,
            "group_type": "place",
            "group_id": row["group"],
            "is_synthetic": False,
            "value": float(row["value"]) * float(context["multiplier"]),
            **dict.fromkeys((*HOUSEHOLD_ONLY, "n", "value_x_n")),
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
            "n_units",
            "fewest_units",
        ),
        *("indicator_set", "n_indicators", "n_indicators_defined", "estimate", "standard_error"),
        *("ci_low", "ci_high", "statistic", "df1", "df2", "p", "family", "n_family", "p_holm", "p_bh"),
        *("effect_size", "margin", "p_equivalence", "q", "i2", "tau2"),
        *("prediction_low", "prediction_high", "reason"),
    )
    return {**dict.fromkeys(names), **given}


def _adjust(tests: Sequence[dict[str, Any]]) -> None:
    """Fill in the p values adjusted for all tests of a family (Holm 1979; Benjamini and Hochberg 1995).

    Tests of made-up surveys and of real ones are families of their own.
    """
    families: defaultdict[tuple[str, bool], list[dict[str, Any]]] = defaultdict(list)
    for row in tests:
        if row["p"] is not None and np.isfinite(row["p"]):
            row["family"] = row["test"] if row["family"] is None else row["family"]
            families[row["family"], row["is_synthetic"]].append(row)
    for rows in families.values():
        p = [row["p"] for row in rows]
        for column, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            for row, adjusted in zip(rows, multipletests(p, method=method)[1].tolist(), strict=True):
                row |= {column: adjusted, "n_family": len(rows)}


def _difference_rows(measures: _Measures) -> Iterator[dict[str, Any]]:
    """Differences of the means of each pair of surveys in their latest waves, under the labels of their regions.

    Made-up surveys are held against made-up ones, and real ones against real ones. Over all indicators that each side
    asked; and, where these are not the same, over those that both asked. Only a difference over the same indicators
    is tested.
    """
    origins = by_origin(measures.surveys)
    label = {s.survey_id: _label(s, alike) for alike in origins.values() for s in alike}
    names = list(dict.fromkeys(name for name, *_ in measures.by_measure))
    pairs = [pair for alike in origins.values() for pair in combinations(alike, 2)]
    for name, (a, b) in product(names, pairs):
        sides = [measures.by_measure.get((name, s.survey_id, s.latest)) for s in (a, b)]
        first, second = sides
        if first is None or second is None:
            continue
        behind = measures.behind(name)
        asked = [measures.asked(name, s, s.latest) for s in (a, b)]
        both = shared(asked, behind)
        is_same = set(asked[0]) == set(asked[1]) == both and bool(both)
        base = {
            "test": "welch",
            "subject": name,
            "contrast": f"{label[a.survey_id]}|{label[b.survey_id]}",
            "component": LATEST,
            "is_synthetic": a.is_synthetic,
            "n_indicators_defined": len(behind),
        }
        unlike = None
        if is_relative(measures.catalog, name):
            unlike = "each side is measured against its own sample"
        elif not is_same and len(behind) == 1:
            unlike = "the two sides did not ask the same question"
        elif not is_same:
            counts = " and ".join(str(len(each)) for each in asked)
            unlike = f"different content: {counts} indicators, of which {len(both)} are common and comparable"
        yield _difference(
            measures.catalog.gates,
            first.whole,
            second.whole,
            unlike,
            {
                **base,
                "method": "all indicators",
                "indicator_set": "common" if is_same else "all",
                "n_indicators": len(both),
            },
        )
        if is_same or not both or len(behind) == 1 or is_relative(measures.catalog, name):
            continue
        everything = shared(
            [measures.verdicts[s.survey_id, s.latest] for s in (a, b)], measures.catalog.indicator
        )
        own = [measures.common(s, everything).get((name, s.latest)) for s in (a, b)]
        if own[0] is not None and own[1] is not None:
            yield _difference(
                measures.catalog.gates,
                own[0],
                own[1],
                None,
                {**base, "method": "common indicators", "indicator_set": "common", "n_indicators": len(both)},
            )


def _difference(
    gates: Gates, a: Estimate, b: Estimate, unlike: str | None, base: Mapping[str, Any]
) -> dict[str, Any]:
    """Row of a difference, with a test where a lawful one exists."""
    fewest = min(a.n_units, b.n_units)
    shared_facts = {
        **base,
        "n": a.n + b.n,
        "n_units": a.n_units + b.n_units,
        "fewest_units": fewest,
        "estimate": a.value - b.value,
    }
    spread = None
    if a.sd is not None and b.sd is not None:
        spread = float(np.sqrt(((a.n - 1) * a.sd**2 + (b.n - 1) * b.sd**2) / (a.n + b.n - 2)))
    if unlike is None and spread:
        shared_facts["effect_size"] = (a.value - b.value) / spread
    reason = unlike or _too_few(fewest, gates) or a.rare or b.rare
    if reason is not None or a.design is None or b.design is None:
        return _test_row(**shared_facts, reason=reason or a.reason or b.reason)
    margin = gates.equivalence_margin_sd * spread if spread else None
    try:
        estimate = difference(a.design, b.design, margin=margin)
    except AnalysisError as error:
        return _test_row(**shared_facts, reason=str(error))
    if refused := refusal(levels_of_difference(a.design, b.design), estimate.df):
        return _test_row(**shared_facts, df2=estimate.df, reason=refused)
    return _test_row(
        **shared_facts,
        standard_error=estimate.se,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        statistic=estimate.t,
        df2=estimate.df,
        p=estimate.p,
        margin=margin,
        p_equivalence=estimate.equivalence_p,
    )


def _too_few(units: int, gates: Gates) -> str | None:
    if units >= gates.fewest_test_units:
        return None
    return (
        f"a side has {units} sampling unit(s); a test at 5 percent needs at least {gates.fewest_test_units}"
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
                    method=AHT,
                    is_synthetic=synthetic,
                    reason=str(error),
                )


AHT = "CR2, approximate Hotelling"
"""Method of the joint tests."""


@dataclass(frozen=True)
class _Fitted:
    """The model of one region, with what its sampling units contribute."""

    summary: Summary
    model: Regression
    scores: ClusterScores

    @property
    def n_units(self) -> int:
        return len(self.scores.clusters)


def _compare_models(
    catalog: Catalog, model: Model, single: list[Sample], synthetic: bool
) -> Iterator[dict[str, Any]]:
    among = [sample.surveys[0] for sample in single]
    terms = catalog.terms_of(model)
    fitted: dict[str, _Fitted] = {}
    for sample in single:
        label = _label(sample.surveys[0], among)
        try:
            filled = sample.read()
            summary = filled.summary()[()]
            fit = fit_ols(summary, model.dependent, terms)
            fitted[label] = _Fitted(summary, fit, cluster_scores(filled.rows(), fit, UNIT))
        except AnalysisError as error:
            raise type(error)(f"{label}: {error}") from error
    if len(fitted) < 2:
        raise TooFewGroupsError(f"A comparison needs at least two groups; given: {list(fitted)}.")
    units = [each.n_units for each in fitted.values()]
    base = {"subject": model.id, "is_synthetic": synthetic}
    everywhere = {
        **base,
        "contrast": "|".join(fitted),
        "n": sum(each.model.n for each in fitted.values()),
        "n_units": sum(units),
        "fewest_units": min(units),
    }
    tests = [("chow", "all", (INTERCEPT, *terms)), ("chow", "slopes", terms)]
    tests += [("wald", term, (term,)) for term in terms]
    for test, component, compared in tests:
        given = {**everywhere, "test": test, "component": component, "family": f"{test}: {model.id}"}
        yield _equality(catalog.gates, fitted, compared, given)
    for (name_a, a), (name_b, b) in combinations(fitted.items(), 2):
        pair = {**base, "contrast": f"{name_a}|{name_b}", "n": a.model.n + b.model.n}
        pair |= {"n_units": a.n_units + b.n_units, "fewest_units": min(a.n_units, b.n_units)}
        yield from _oaxaca(catalog.gates, a, b, model, terms, pair)
    for term in (INTERCEPT, *terms):
        yield _meta(catalog.gates, fitted, term, everywhere)


def _equality(
    gates: Gates, fitted: Mapping[str, _Fitted], terms: Sequence[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Whether coefficients are equal in all regions, by what differs between sampling units."""
    q, others = len(terms), len(fitted) - 1
    parts: list[Part] = []
    for number, each in enumerate(fitted.values()):
        own = np.zeros((q, len(each.model.terms)))
        own[np.arange(q), [each.model.terms.index(term) for term in terms]] = 1.0
        # every region but the first against the first
        sign = np.full((others, 1), -1.0) if number == 0 else np.eye(others)[:, [number - 1]]
        parts.append((each.model, each.scores, np.kron(sign, own)))
    return _joint_row(gates, parts, {**given, "method": AHT, "df1": q * others})


def _joint_row(
    gates: Gates, parts: list[Part], given: Mapping[str, Any], *, has_interval: bool = False
) -> dict[str, Any]:
    """Row of a joint test, or of one combination with its interval, where there is a lawful one."""
    if reason := _too_few(given["fewest_units"], gates):
        return _test_row(**given, reason=reason)
    try:
        test = joint_test(parts)
    except AnalysisError as error:
        return _test_row(**given, reason=str(error))
    df = test.df_denominator
    if reason := too_few_degrees(df, gates) or refusal_of_joint_test(parts, test):
        return _test_row(**given, df2=df, reason=reason)
    if not has_interval:
        return _test_row(**given, statistic=test.f, df2=df, p=test.p)
    estimate, se = float(test.estimate[0]), float(np.sqrt(test.covariance[0, 0]))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, df)) * se
    return _test_row(
        **given,
        standard_error=se,
        ci_low=estimate - half,
        ci_high=estimate + half,
        statistic=estimate / se,
        df2=df,
        p=test.p,
    )


def _label(survey: Survey, among: Sequence[Survey]) -> str:
    """Region of a survey; with its id where several surveys were made in the region."""
    alone = sum(s.region == survey.region for s in among) == 1
    return survey.region if alone else f"{survey.region} ({survey.survey_id})"


def _oaxaca(
    gates: Gates, a: _Fitted, b: _Fitted, model: Model, terms: tuple[str, ...], base: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Components of the gap between two regions, with a test of those that one model for both makes nought.

    The others are described: their errors by the delete-one-unit jackknife do not cover with few units.
    """
    contrasts = gap_contrasts((a.summary, a.model, a.scores), (b.summary, b.model, b.scores))
    parts = oaxaca_blinder(a.summary, b.summary, model.dependent, terms)
    threefold = {
        "gap": parts.gap,
        "endowments": parts.endowments,
        "coefficients": parts.coefficients,
        "interaction": parts.interaction,
    }
    pooled = {"explained": parts.explained, "unexplained": parts.unexplained}
    pooled |= {
        f"explained: {term}": float(share)
        for term, share in zip(parts.terms, parts.explained_by_term, strict=True)
    }
    for method, components in {"threefold": threefold, "pooled": pooled}.items():
        for name, value in components.items():
            given = {**base, "test": "oaxaca", "component": name, "method": method, "estimate": value}
            if name in contrasts:
                given["family"] = f"oaxaca: {model.id}"
                yield _joint_row(gates, contrasts[name], given, has_interval=True)
            else:
                yield _test_row(**given, reason=DESCRIPTION)


DESCRIPTION = (
    "a description: components of a decomposition have no lawful interval with so few sampling units"
)


def _meta(gates: Gates, fitted: Mapping[str, _Fitted], term: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """One coefficient over all regions, and how much they disagree.

    Random effects count the errors within regions as known and need several regions: below these there is no interval
    and no p value.
    """
    given = {
        **base,
        "test": "meta_analysis",
        "component": "constant" if term == INTERCEPT else term,
        "method": "Hartung-Knapp-Sidik-Jonkman",
        "family": f"meta_analysis: {base['subject']}",
    }
    try:
        robust = [clustered(each.model, each.scores, "CR2") for each in fitted.values()]
        place = [fit.terms.index(term) for fit in robust]
        lone = [label for label, fit in zip(fitted, robust, strict=True) if term in fit.lone]
        if lone:
            return _test_row(**given, reason=f"one sampling unit determines it alone in {', '.join(lone)}")
        pooled = random_effects(
            [fit.b[k] for fit, k in zip(robust, place, strict=True)],
            [fit.se[k] for fit, k in zip(robust, place, strict=True)],
        )
    except AnalysisError as error:
        return _test_row(**given, reason=str(error))
    row = _test_row(
        **given, estimate=pooled.estimate, q=pooled.q, i2=pooled.i2, tau2=pooled.tau2, df1=pooled.k - 1
    )
    freedom = min(float(fit.df[k]) for fit, k in zip(robust, place, strict=True))
    if pooled.k < gates.fewest_pooled_regions or freedom < gates.fewest_pooled_df:
        return row | {
            "reason": f"{pooled.k} regions, errors within them on {freedom:.1f} degrees of freedom; random effects "
            f"need at least {gates.fewest_pooled_regions} and {gates.fewest_pooled_df:g}"
        }
    return row | {
        "standard_error": pooled.hksj_se,
        "ci_low": pooled.hksj_ci_low,
        "ci_high": pooled.hksj_ci_high,
        "prediction_low": pooled.prediction_low,
        "prediction_high": pooled.prediction_high,
        "p": pooled.hksj_p,
    }
