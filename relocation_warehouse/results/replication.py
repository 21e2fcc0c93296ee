"""Every printed result beside the figure recomputed for it, and what that comparison is worth.

Belongs here: which figure of the warehouse answers each kind of printed statistic, and the verdicts.
Does not belong here: which statistic is which kind (`replication.yml`), how a figure is computed.

Verdicts. `follows`: other printed figures give it, by arithmetic. `refuted`: other printed figures contradict it, or a
claim that it repeats. `made_to_match`: made-up answers give it, because it was one of their targets; that shows that
the computation can give the figure, not that the study did. `off_target`: they were to give it and do not.
`not_aimed_at`: no answers were made for it, so nothing follows from a value beside it. `recomputed`: real answers give
a value, and the reason says whether it agrees. `unreadable`: the print is damaged or lost, and never confirmed.
`background`: no figure of the households asked. Every row says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from analysis.claims import ClaimVerdict
from analysis.errors import AnalysisError
from analysis.normalisation import BoundsMode
from analysis.plausibility import Printed, printed
from analysis.printed_tables import ALARMS, audit
from analysis.regression import STAR_LEVELS
from relocation_warehouse.ground.database import quoted
from relocation_warehouse.ground.sql import text as literal
from relocation_warehouse.results.chinese import Chinese
from relocation_warehouse.results.households import HOUSEHOLDS, Survey, extremes, surveys
from relocation_warehouse.results.metrics import COUPLING, relation, study_scheme
from relocation_warehouse.results.printed import Recomputed, recompute
from relocation_warehouse.results.replication_options import (
    FACTOR_KINDS,
    INDEX_TABLES,
    MIN_MAX_KINDS,
    MODEL_KINDS,
    Alternative,
    Option,
    Search,
    bounds_of,
    default_first,
    named,
)
from relocation_warehouse.results.tables import conform
from relocation_warehouse.survey.catalog import Catalog, FactorModel, Model, WeightScheme
from relocation_warehouse.survey.literature import (
    Literature,
    ReplicationTarget,
    Row,
    checked_claims,
    replication_targets,
)

UNREADABLE = ("garbled", "missing")
"""Qualities of a print that is damaged or lost."""

MISSED = ("off_target", "not_aimed_at", "recomputed")
"""Verdicts beside which other options are worth a word where the value misses the print."""

NO_CHANGE = 0.01
"""A mean that moves by less than this share of its first value counts as unchanged where a paper says so."""

NOT_SIGNIFICANT = STAR_LEVELS[0]

ROUNDING = 1e-9

SEARCHED_ROWS = 20_000
"""Households up to which other options are tried: printed studies have hundreds."""


class NoFigureError(LookupError):
    """The warehouse has no figure for a printed statistic; the message is the reason shown."""


def replication(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pa.Table]:
    """Compare every printed statistic with its recomputed figure.

    Parameters
    ----------
    con
        Build database, read only, with the tables of `coupling`, `factors` and `regressions` in it.
    catalog
        Rules and tolerances of the comparison.
    literature
        The printed statistics.

    Returns
    -------
    dict
        `replication`, a row for each printed statistic, and `replication_options`, a row for each set of options
        tried for it, of the schema `quality`.
    """
    rows = {row["stat_id"]: row for row in literature["statistics.csv"]}
    targets = replication_targets(literature, catalog)
    follows = recompute(literature, catalog, targets)
    all_surveys = surveys(con)
    # Where a study has real answers beside made-up ones, the real ones come last and stay.
    figures = {
        published: Figures(con, catalog, survey, study_scheme(catalog, survey, [published]))
        for published in {t.published_survey_id for t in targets}
        for survey in sorted(all_surveys, key=lambda s: not s.is_synthetic)
        if published in survey.published_survey_ids
    }
    aims = {(row["stat_id"], row["survey_id"]): row["target_id"] for row in literature["made_to_match.csv"]}
    against = _contradicted(literature)
    claims = _claimed(literature)
    chinese = Chinese(literature, catalog)
    results, tried = [], {}
    for target in targets:
        evidence = Evidence(
            follows.get(target.stat_id) or claims.get(target.stat_id), against.get(target.stat_id), aims
        )
        results.append(_compare(target, rows[target.stat_id], evidence, figures, catalog))
    # What follows from printed figures needs no household, and so no option.
    measured = {row["stat_id"] for row in results if row["survey_id"]}
    for t in targets:
        tried[t.stat_id] = _tried(t, figures[t.published_survey_id]) if t.stat_id in measured else []
    return {
        "replication": conform(
            "quality.replication",
            [_shown(row | _best(row, tried[row["stat_id"]]), chinese) for row in results],
        ),
        "replication_options": conform(
            "quality.replication_options",
            [option for row in results for option in _option_rows(row, tried[row["stat_id"]])],
        ),
    }


def _shown(row: dict[str, Any], chinese: Chinese) -> dict[str, Any]:
    """The columns that are published."""
    shown = {name: value for name, value in row.items() if name != "is_met"}
    return shown | {"reason_zh": chinese.of(row["reason"])}


def _tried(target: ReplicationTarget, source: Figures) -> list[Alternative]:
    """The figure under every set of options, on the printed scale; those without a value are left out."""
    if target.published is None:
        return []
    try:
        alternatives = list(source.alternatives(target))
    except (AnalysisError, NoFigureError):
        # What the survey cannot give under the catalog's options it cannot give under others.
        return []
    return [a for a in alternatives if np.isfinite(a.value)]


def _option_rows(row: Mapping[str, Any], tried: list[Alternative]) -> Iterator[dict[str, Any]]:
    for alternative in tried:
        yield {
            **{name: row[name] for name in ("stat_id", "region", "survey_id", "is_synthetic", "published")},
            "options": alternative.options,
            "recomputed": alternative.value,
            "difference": alternative.value - row["published"],
        }


def _best(row: Mapping[str, Any], tried: list[Alternative]) -> dict[str, Any]:
    """Options that come closest to the print, and a word in the reason where they do better than the catalog's."""
    if not tried:
        return {"best_options": None, "best_difference": None, "n_option_sets": 0}
    # of options that come equally close the first: their last digits depend on the order in which rows are added
    closest = min(abs(a.value - row["published"]) for a in tried)
    best = next(a for a in tried if abs(a.value - row["published"]) <= closest + ROUNDING)
    difference = best.value - row["published"]
    ties = sum(abs(a.value - row["published"]) <= abs(difference) + ROUNDING for a in tried)
    reason = row["reason"]
    is_better = row["difference"] is not None and abs(difference) < abs(row["difference"]) - ROUNDING
    if row["verdict"] in MISSED and not row["is_met"]:
        word = f"of {len(tried)} sets of options, {best.options} comes closest: {best.value:.4g}"
        if not is_better:
            word = f"none of {len(tried)} sets of options comes closer"
        elif ties > 1:
            word += f" (with {ties - 1} others)"
        reason = _joined(reason, word)
    return {
        "best_options": best.options,
        "best_difference": difference,
        "n_option_sets": len(tried),
        "reason": reason,
    }


@dataclass(frozen=True)
class Evidence:
    """What other printed figures say of one, and which made-up answers were to give it.

    Attributes
    ----------
    follows
        The value they give.
    against
        Why they contradict it.
    aims
        (stat_id, survey) -> target of the survey's made-up answers.
    """

    follows: Recomputed | None
    against: str | None
    aims: Mapping[tuple[str, str], str]


def _contradicted(literature: Literature) -> dict[str, str]:
    """Figures that arithmetic or a claim is against, and how."""
    findings: defaultdict[str, set[str]] = defaultdict(set)
    for row in literature["findings.csv"]:
        for stat_id in row["stat_ids"].split():
            findings[stat_id].add(row["finding_id"])
    contradictions: dict[str, str] = {}
    for test in audit(literature["statistics.csv"], literature["sites.csv"]):
        if test.verdict in ALARMS:
            for stat_id in test.stat_ids:
                named = " ".join(sorted(findings[stat_id])) or "no finding names it yet"
                contradictions.setdefault(
                    stat_id, f"{test.test}, {test.verdict}: {test.arithmetic} ({named})"
                )
    outcomes = {o.claim_id: o for o in checked_claims(literature)}
    for claim in literature["claims.csv"]:
        outcome = outcomes[claim["claim_id"]]
        if claim["stat_id"] and outcome.verdict is ClaimVerdict.CONTRADICTED:
            named = claim["finding_id"] or claim["claim_id"]
            contradictions.setdefault(
                claim["stat_id"], f"{claim['statement']} {outcome.arithmetic} ({named})"
            )
    return contradictions


def _claimed(literature: Literature) -> dict[str, Recomputed]:
    """Figures of the text that the figures of the tables bear out."""
    rows = {row["stat_id"]: row for row in literature["statistics.csv"]}
    outcomes = {o.claim_id: o for o in checked_claims(literature)}
    figures = {}
    for claim in literature["claims.csv"]:
        outcome, stat_id = outcomes[claim["claim_id"]], claim["stat_id"]
        number = printed(rows[stat_id]["value"]) if stat_id else None
        if number is not None and outcome.verdict is ClaimVerdict.HOLDS:
            figures[stat_id] = Recomputed(number.value, 0.0, outcome.arithmetic)
    return figures


def allowed_difference(published: float, rounding: float, tolerance: float) -> float:
    """Difference allowed to a printed figure: never so much that nothing at all would pass.

    Half of the figure at most, but no less than its own rounding.
    """
    return max(rounding, min(tolerance, abs(published) / 2))


def _compare(
    target: ReplicationTarget,
    row: Row,
    evidence: Evidence,
    figures: Mapping[str, Figures],
    catalog: Catalog,
) -> dict[str, Any]:
    number = printed(row["value"])
    rounding = number.half if number else None
    subject = ": ".join(part for part in (row["model"], row["dependent"], row["variable"]) if part)
    base = {
        "stat_id": target.stat_id,
        "region": row["region"],
        "survey_id": None,
        "is_synthetic": False,
        "table_or_section": row["table_or_section"],
        "statistic": row["statistic"],
        "subject": f"{subject} ({', '.join(p for p in (row['group'], row['wave']) if p)})",
        "published": target.published,
        "recomputed": None,
        "difference": None,
        "tolerance": rounding,
        "unit": row["unit"] or None,
        "verdict": "background",
        "reason": target.reason,
        "is_met": True,
    }
    made = base | _made(target, row, number, evidence, figures, catalog)
    reading = target.reading_reason and f"our reading: {target.reading:g} ({target.reading_reason})"
    if row["quality"] in UNREADABLE:
        lost = row["note"] or ("no value was printed" if number is None else "the print is damaged")
        cells = {"verdict": "unreadable", "difference": None, "tolerance": None}
        return made | cells | {"reason": _joined(lost, reading)}
    if evidence.against is not None:
        return made | {"verdict": "refuted", "reason": _joined(evidence.against, reading)}
    follows = evidence.follows
    if follows is not None and number is not None:
        allowed = allowed_difference(number.value, number.half, number.half + follows.spread)
        difference = follows.value - number.value
        if abs(difference) <= allowed + ROUNDING:
            return base | {
                "recomputed": follows.value,
                "difference": difference,
                "tolerance": allowed,
                "verdict": "follows",
                "reason": f"follows from printed figures: {follows.arithmetic}",
            }
    if reading is not None:
        return made | {"verdict": "refuted", "reason": reading}
    return made


def _made(
    target: ReplicationTarget,
    row: Row,
    number: Printed | None,
    evidence: Evidence,
    figures: Mapping[str, Figures],
    catalog: Catalog,
) -> dict[str, Any]:
    """What the answers of a survey give, and what that is worth."""
    if target.kind is None:
        return {}
    source = figures.get(target.published_survey_id)
    if source is None:
        return {"verdict": "not_aimed_at", "reason": "no survey of the warehouse stands for this study"}
    survey = source.survey
    aim = evidence.aims.get((target.stat_id, survey.survey_id))
    made: dict[str, Any] = {"survey_id": survey.survey_id, "is_synthetic": survey.is_synthetic}
    missed = "recomputed" if not survey.is_synthetic else "off_target" if aim else "not_aimed_at"
    try:
        made["recomputed"] = source.value(target)
    except NoFigureError as error:
        return {"verdict": missed, "reason": str(error), "is_met": False}
    if target.kind == "p_threshold":
        made["is_met"], claim = _threshold(row["value"], made["recomputed"])
        made["tolerance"] = None
        return made | _worth(survey, aim, made["is_met"], claim, target.note)
    if target.published is None or number is None:
        return made | {"verdict": missed, "reason": "the printed value is no number"}
    difference = made["recomputed"] - target.published
    tolerance = abs(target.multiplier) * catalog.replication.tolerances.get(target.kind, 0.0)
    allowed = allowed_difference(target.published, number.half, tolerance)
    if row["statistic"] in ("stars", "sign"):
        allowed = 0.0
    made |= {"difference": difference, "tolerance": allowed, "is_met": abs(difference) <= allowed + ROUNDING}
    said = f"{abs(difference):.4g} off, {allowed:g} allowed"
    return made | _worth(survey, aim, made["is_met"], said, target.note)


def _worth(survey: Survey, aim: str | None, is_met: bool, said: str, note: str | None) -> dict[str, Any]:
    if not survey.is_synthetic:
        word = "agrees with the answers" if is_met else "differs from the answers"
        return {"verdict": "recomputed", "reason": _joined(word, said, note)}
    if aim is None:
        return {"verdict": "not_aimed_at", "reason": _joined("no target of the made-up answers", said, note)}
    verdict = "made_to_match" if is_met else "off_target"
    return {"verdict": verdict, "reason": _joined(f"target {aim}", said, note)}


def _joined(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None


def _threshold(claim: str, p: float) -> tuple[bool, str]:
    """Whether a p value meets what is printed: a level it stays below, not significant, or significant at any level."""
    number = printed(claim)
    if number:
        return p <= number.value, f"printed: p below {claim}; recomputed p {p:.4f}"
    is_ns = claim == "ns"
    return (
        p >= NOT_SIGNIFICANT
    ) == is_ns, f"printed: {claim}; recomputed p {p:.4f} against {NOT_SIGNIFICANT}"


@dataclass(frozen=True)
class Figures:
    """Figures of one survey, by kind of printed statistic.

    Attributes
    ----------
    scheme
        Weights of the study, for indices.
    variant
        Variant of the coupling degree; the default one where none is given.
    tables
        Tables read in the place of those of the catalog's metrics.
    bounds
        Of the answers that a study rescaled to 0-1 one by one.
    """

    con: duckdb.DuckDBPyConnection
    catalog: Catalog
    survey: Survey
    scheme: WeightScheme
    variant: str | None = None
    tables: Mapping[str, str] = field(default_factory=dict)
    bounds: BoundsMode = BoundsMode.WITHIN_SURVEY

    def value(self, target: ReplicationTarget) -> float:
        """Return the figure on the printed scale.

        Raises
        ------
        NoFigureError
            The survey has no such wave, answer or result.
        """
        kind = target.kind or ""
        compute = self._kinds.get(kind)
        if compute is None:
            compute = self._model if kind.startswith("model_") else self._coefficient
        result = compute(target)
        if result is None or not np.isfinite(result):
            raise NoFigureError(f"{self.survey.survey_id} gives no value of this kind in this wave and group")
        return result * target.multiplier

    def alternatives(self, target: ReplicationTarget) -> Iterator[Alternative]:
        """Return the figure under every set of options that its kind leaves open."""
        if self._n_rows > SEARCHED_ROWS:
            return
        if target.kind in FACTOR_KINDS or target.kind in MODEL_KINDS:
            find = self._search.factor_figures if target.kind in FACTOR_KINDS else self._search.model_figures
            for figure in find(target):
                yield replace(figure, value=figure.value * target.multiplier)
            return
        metric = self.catalog.metric.get(target.target)
        table = COUPLING if target.kind == "band_percent" else metric.table if metric else ""
        if table in INDEX_TABLES:
            variants = default_first(self.catalog) if table == COUPLING else (None,)
            for scheme, variant in product(self._schemes, variants):
                for mode in bounds_of(scheme):
                    options = {"weights": scheme.id, "bounds": str(mode)}
                    options |= {"variant": variant} if variant else {}
                    source = replace(
                        self,
                        scheme=scheme.model_copy(update={"bounds": mode}),
                        variant=variant,
                        tables=self._search.index_tables[mode],
                    )
                    yield from source._alternative(target, options)
        elif target.kind in MIN_MAX_KINDS:
            for mode in dict.fromkeys([self.bounds, *BoundsMode]):
                yield from replace(self, bounds=mode)._alternative(target, {"bounds": mode})

    def _alternative(self, target: ReplicationTarget, options: Option) -> Iterator[Alternative]:
        """The figure under these options; nothing where they leave no value, as without a range to rescale."""
        with suppress(NoFigureError):
            yield Alternative(named(options), self.value(target))

    @cached_property
    def _n_rows(self) -> float:
        own = literal(self.survey.survey_id)
        return self._scalar(f"select count(*) from {HOUSEHOLDS} where survey_id = {own}") or 0

    @cached_property
    def _search(self) -> Search:
        return Search(self.con, self.catalog, self.survey, self._schemes, self._rows)

    @cached_property
    def _schemes(self) -> tuple[WeightScheme, ...]:
        default = self.catalog.default_weight_scheme
        return (self.scheme,) if self.scheme.id == default.id else (self.scheme, default)

    @cached_property
    def _kinds(self) -> Mapping[str, Callable[[ReplicationTarget], float | None]]:
        return {
            "indicator_mean": lambda t: self._aggregate(t, f"avg({quoted(t.target)})"),
            "indicator_sd": lambda t: self._aggregate(t, f"stddev_samp({quoted(t.target)})"),
            "oriented_mean": lambda t: self._aggregate(t, f"avg({self._oriented(t.target)})"),
            "oriented_sd": lambda t: self._aggregate(t, f"stddev_samp({quoted(t.target)})"),
            "min_max_mean": lambda t: self._min_max(t, "(avg({x}) - {low}) / ({high} - {low})"),
            "min_max_sd": lambda t: self._min_max(t, "stddev_samp({x}) / ({high} - {low})"),
            "dimension_item_mean": self._dimension_item_mean,
            "code_n": lambda t: self._aggregate(
                t,
                f"case when count({quoted(t.target)}) > 0 then count(*) filter (where {self._has_code(t)}) end",
            ),
            "code_percent": lambda t: self._aggregate(
                t,
                f"100.0 * count(*) filter (where {self._has_code(t)}) / nullif(count({quoted(t.target)}), 0)",
            ),
            "respondents_n": lambda t: self._aggregate(t, "count(*)"),
            "respondents_percent": lambda t: _ratio(self._count(t), self._count(replace(t, filters={}))),
            "site_households_n": self._site_households,
            "sampling_percent": lambda t: _ratio(self._count(t), self._site_households(t)),
            "metric_mean": lambda t: self._metric(t, "avg"),
            "metric_sd": lambda t: self._metric(t, "stddev_samp"),
            "band_percent": self._band_percent,
            "change_sign": self._change_sign,
            "response_percent": self._no_reply,
            "alpha": lambda t: self._diagnostic(t, t.target, "alpha_standardised"),
            "kmo": lambda t: self._diagnostic(t, t.factor_model, "kmo"),
            "bartlett": lambda t: self._diagnostic(t, t.factor_model, "bartlett"),
            "bartlett_p": lambda t: self._diagnostic(t, t.factor_model, "p"),
            "factors_n": lambda t: self._diagnostic(t, t.factor_model, "n_factors"),
            "loading": lambda t: self._loading(t, "loading", factor=t.factor),
            "communality": lambda t: self._loading(t, "communality"),
            "explained_percent": self._explained,
            "factor_score_mean": self._factor_score,
        }

    def _wave(self, target: ReplicationTarget) -> str:
        wave = self.survey.latest if target.wave == "latest" else target.wave
        if wave not in self.survey.waves:
            raise NoFigureError(f"{self.survey.survey_id} has no wave {wave!r}")
        return wave

    def _scalar(self, sql: str) -> float | None:
        row = self.con.execute(sql).fetchone()
        return None if row is None or row[0] is None else float(row[0])

    def _rows(self, target: ReplicationTarget) -> str:
        """Condition on households: survey, wave and the printed group."""
        conditions = [
            f"survey_id = {literal(self.survey.survey_id)}",
            f"wave = {literal(self._wave(target))}",
            *(self._equals(name, code) for name, code in target.filters.items()),
        ]
        return " and ".join(conditions)

    def _equals(self, name: str, code: str) -> str:
        indicator = self.catalog.indicator.get(name)
        return f"{quoted(name)} = {float(code) if indicator and indicator.is_numeric else literal(code)}"

    def _aggregate(self, target: ReplicationTarget, expression: str) -> float | None:
        return self._scalar(f"select {expression} from {HOUSEHOLDS} where {self._rows(target)}")

    def _count(self, target: ReplicationTarget) -> float | None:
        return self._aggregate(target, "count(*)")

    def _oriented(self, name: str) -> str:
        spec = self.catalog.indicator[name]
        if spec.direction != "cost":
            return quoted(name)
        return f"({spec.minimum} + {spec.maximum} - {quoted(name)})"

    def _min_max(self, target: ReplicationTarget, formula: str) -> float | None:
        x = quoted(target.target)
        limits = extremes(self.con, self.catalog, [target.target])
        low, high = limits.bounds(0, self.survey.survey_id, self.bounds)
        return self._aggregate(target, formula.format(x=x, low=low, high=high)) if low < high else None

    def _no_reply(self, target: ReplicationTarget) -> float | None:
        raise NoFigureError("questionnaires that did not come back leave no row")

    def _has_code(self, target: ReplicationTarget) -> str:
        if target.code_range:
            return f"{quoted(target.target)} between {target.code_range[0]} and {target.code_range[1]}"
        return f"({' or '.join(self._equals(target.target, code) for code in target.codes)})"

    def _factor_model(self, target: ReplicationTarget) -> FactorModel:
        return next(m for m in self.catalog.factor_models if m.id == target.factor_model)

    def _dimension_item_mean(self, target: ReplicationTarget) -> float | None:
        model = self._factor_model(target)
        dimension = next(f.dimension for f in model.factors if f.id == target.target)
        items = [
            i.indicator for i in model.items if self.catalog.indicator[i.indicator].dimension == dimension
        ]
        means = [self._aggregate(target, f"avg({self._oriented(item)})") for item in items]
        return float(np.mean([m for m in means if m is not None])) if None not in means else None

    def _site_households(self, target: ReplicationTarget) -> float | None:
        return self._scalar(
            "select sum(households) from reference.sites where (survey_id, site_id) in "
            f"(select (survey_id, site_id) from {HOUSEHOLDS} where {self._rows(target)})"
        )

    def _of_metric(self, target: ReplicationTarget, source: str, expression: str) -> float | None:
        """Aggregate of a household table over the households of the printed group."""
        rows = f"survey_id = {literal(self.survey.survey_id)} and wave = {literal(self._wave(target))}"
        if target.filters:
            inside = f"select household_id from {HOUSEHOLDS} where {self._rows(target)}"
            rows += f" and household_id in ({inside})"
        return self._scalar(f"select {expression} from {source} as source where {rows}")

    def _metric(self, target: ReplicationTarget, function: str) -> float | None:
        metric = self.catalog.metric[target.target]
        if self.variant is not None:
            metric = metric.model_copy(update={"filters": metric.filters | {"variant": self.variant}})
        return self._of_metric(
            target, relation(metric, self.scheme, self.tables), f"{function}({quoted(metric.column)})"
        )

    def _band_percent(self, target: ReplicationTarget) -> float | None:
        bands = next(s for s in self.catalog.band_schemes if target.target in {b.id for b in s.bands})
        variant = self.variant or self.catalog.coupling.default_variant
        source = (
            f"(select * from {self.tables.get(COUPLING, COUPLING)} where scheme = {literal(self.scheme.id)} "
            f"and variant = {literal(variant)} and band_scheme = {literal(bands.id)})"
        )
        inside = f"100.0 * count(*) filter (where band = {literal(target.target)}) / nullif(count(band), 0)"
        return self._of_metric(target, source, inside)

    def _change_sign(self, target: ReplicationTarget) -> float | None:
        first, last = (replace(target, wave=w) for w in (self.survey.waves[0], self.survey.waves[-1]))
        if target.target in self.catalog.metric:
            before, after = self._metric(first, "avg"), self._metric(last, "avg")
        else:
            mean = f"avg({quoted(target.target)})"
            before, after = self._aggregate(first, mean), self._aggregate(last, mean)
        if before is None or after is None or len(self.survey.waves) < 2:
            return None
        unchanged = target.published == 0 and abs(after - before) <= NO_CHANGE * abs(before)
        return 0.0 if unchanged else float(np.sign(after - before))

    def _result(self, table: str, column: str, target: ReplicationTarget, **conditions: str) -> float | None:
        where = {"survey_id": self.survey.survey_id, "wave": self._wave(target), **conditions}
        chosen = " and ".join(f"{quoted(name)} = {literal(value)}" for name, value in where.items())
        return self._scalar(f"select {quoted(column)} from analysis.{table} where {chosen} limit 1")

    def _diagnostic(self, target: ReplicationTarget, model: str, column: str) -> float | None:
        return self._result("factor_diagnostics", column, target, model=model)

    def _loading(self, target: ReplicationTarget, column: str, **factor: str) -> float | None:
        names = {"model": target.factor_model, "indicator_id": target.target, **factor}
        return self._result("factor_loadings", column, target, **names)

    def _explained(self, target: ReplicationTarget) -> float | None:
        return self._result(
            "factor_variance", "explained_pct", target, model=target.factor_model, factor=target.factor
        )

    def _factor_score(self, target: ReplicationTarget) -> float | None:
        source = (
            f"(select * from analysis.factor_scores where model = {literal(target.factor_model)} "
            f"and factor = {literal(target.factor)})"
        )
        return self._of_metric(target, source, "avg(percent_score)")

    def _spec(self, target: ReplicationTarget) -> Model:
        return next(m for m in self.catalog.models if m.id == target.model)

    def _model(self, target: ReplicationTarget) -> float | None:
        column = {"model_f": "f", "model_f_stars": "f_p", "model_adj_r2": "adj_r2", "model_n": "n"}[
            target.kind or ""
        ]
        spec = self._spec(target)
        row = self.con.execute(
            f"select {column}, n, caution from analysis.regression_models "
            "where survey_id = ? and model = ? and covariance = ?",
            [self.survey.survey_id, spec.id, spec.covariance],
        ).fetchone()
        if row is None or not row[1]:
            raise NoFigureError(row[2] if row else f"{self.survey.survey_id} has no model {spec.id}")
        if column == "f_p" and row[0] is not None:
            return _stars(row[0])
        return None if row[0] is None else float(row[0])

    def _coefficient(self, target: ReplicationTarget) -> float | None:
        spec = self._spec(target)
        row = self.con.execute(
            f"select {spec.reported_coefficient}, p from analysis.regression_coefficients "
            "where survey_id = ? and model = ? and covariance = ? and term = ?",
            [self.survey.survey_id, spec.id, spec.covariance, target.term],
        ).fetchone()
        if row is None or row[0] is None:
            self._model(replace(target, kind="model_n"))  # a refused model says itself why
            raise NoFigureError(f"{target.term} has no coefficient in {spec.id} of {self.survey.survey_id}")
        estimate, p = map(float, row)
        if target.kind == "stars":
            return _stars(p)
        if target.kind == "p_threshold":
            return p
        if target.kind == "coefficient_sign":
            # A printed sign of 0 says that no effect was found.
            return 0.0 if target.published == 0 and p >= NOT_SIGNIFICANT else float(np.sign(estimate))
        return estimate


def _stars(p: float) -> float:
    return float(sum(p < level for level in STAR_LEVELS))


def _ratio(part: float | None, whole: float | None) -> float | None:
    return 100 * part / whole if part is not None and whole else None
