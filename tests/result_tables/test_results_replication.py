"""Printed results beside recomputed ones, and the plausibility table."""

import re
from collections import Counter

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.plausibility import printed
from analysis.printed_tables import ALARMS, audit
from relocation_warehouse.results.plausibility import plausibility
from relocation_warehouse.results.printed import recompute
from relocation_warehouse.results.replication import allowed_difference, replication
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.literature import (
    Literature,
    ReplicationTarget,
    checked_claims,
    replication_targets,
)

Targets = dict[str, ReplicationTarget]


@pytest.fixture(scope="module")
def made(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> dict[str, pd.DataFrame]:
    return {name: t.to_pandas() for name, t in replication(analysed, catalog, literature).items()}


@pytest.fixture(scope="module")
def table(made: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return made["replication"].set_index("stat_id")


@pytest.fixture(scope="module")
def targets(catalog: Catalog, literature: Literature) -> Targets:
    return {t.stat_id: t for t in replication_targets(literature, catalog)}


VERDICTS = {
    "follows", "refuted", "made_to_match", "off_target", "not_aimed_at", "recomputed", "unreadable", "background"
}  # fmt: skip


def test_every_printed_statistic_has_a_row_a_verdict_and_a_reason(
    table: pd.DataFrame, literature: Literature
) -> None:
    assert set(table.index) == {r["stat_id"] for r in literature["statistics.csv"]}
    assert set(table["verdict"]) <= VERDICTS
    assert table["reason"].str.len().gt(0).all()


def test_arithmetic_rests_on_no_survey_and_targets_on_made_up_ones(table: pd.DataFrame) -> None:
    follows = table[table["verdict"] == "follows"]
    assert len(follows) > 140
    assert follows["survey_id"].isna().all()
    assert follows["recomputed"].notna().all()
    assert not follows["is_synthetic"].any()
    assert table.loc[table["verdict"].isin(["made_to_match", "off_target"]), "is_synthetic"].all()
    assert not table.loc[table["verdict"] == "recomputed", "is_synthetic"].any()


def test_a_figure_is_made_to_match_only_where_it_was_a_target(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature, table: pd.DataFrame
) -> None:
    """The invented surveys aim at nothing, so nothing matches; told to aim, the same values do."""
    assert not table["verdict"].isin(["made_to_match", "off_target"]).any()
    aimed = [
        {"stat_id": stat_id, "survey_id": row["survey_id"], "target_id": "told"}
        for stat_id, row in table.iterrows()
        if row["survey_id"]
    ]
    told = Literature({**literature.rows, "made_to_match.csv": tuple(aimed)})
    again = replication(analysed, catalog, told)["replication"].to_pandas().set_index("stat_id")
    before = table["verdict"] == "not_aimed_at"
    assert set(again.loc[before & table["survey_id"].notna(), "verdict"]) == {"made_to_match", "off_target"}
    matched = again[(again["verdict"] == "made_to_match") & again["difference"].notna()]
    assert (matched["difference"].abs() <= matched["tolerance"] + 1e-9).all()


def test_no_tolerance_lets_nothing_at_all_pass(table: pd.DataFrame) -> None:
    judged = table[table["verdict"].isin(["follows", "made_to_match", "off_target"])]
    numbers = judged.dropna(subset=["published", "tolerance"])
    numbers = numbers[(numbers["published"] != 0) & ~numbers["statistic"].isin(["stars", "sign"])]
    assert len(numbers) > 100
    assert (numbers["tolerance"] < numbers["published"].abs()).all()


@given(st.floats(-10, 10).filter(lambda x: abs(x) > 0.01), st.integers(2, 4), st.floats(0, 5))
def test_zero_never_passes_for_a_figure_that_is_not_zero(
    value: float, decimals: int, tolerance: float
) -> None:
    number = printed(f"{value:.{decimals}f}")
    assert number is not None
    if abs(number.value) > number.half:
        assert allowed_difference(number.value, number.half, tolerance) < abs(number.value)


def test_a_difference_is_recomputed_less_published(table: pd.DataFrame) -> None:
    numbers = table.dropna(subset=["difference"])
    assert (numbers["recomputed"] - numbers["published"] - numbers["difference"]).abs().max() < 1e-9


def test_a_damaged_print_is_never_confirmed(table: pd.DataFrame, literature: Literature) -> None:
    damaged = {r["stat_id"] for r in literature["statistics.csv"] if r["quality"] in ("garbled", "missing")}
    assert set(table.index[table["verdict"] == "unreadable"]) == damaged
    read = [r for r in literature["readings.csv"] if r["stat_id"] not in damaged]
    assert len(read) > 20
    for row in read:
        result = table.loc[row["stat_id"]]
        assert result["verdict"] in ("refuted", "follows")
        assert result["verdict"] == "follows" or row["finding_id"] in result["reason"]


def test_what_an_alarm_accuses_is_refuted_and_nothing_else_by_arithmetic(
    table: pd.DataFrame, literature: Literature
) -> None:
    accused = {
        stat_id
        for each in audit(literature["statistics.csv"], literature["sites.csv"])
        if each.verdict in ALARMS
        for stat_id in each.stat_ids
    } & set(table.index)
    claimed = {
        row["stat_id"]
        for row, outcome in zip(literature["claims.csv"], checked_claims(literature), strict=True)
        if outcome.verdict == "contradicted" and row["stat_id"]
    }
    refuted = set(table.index[table["verdict"] == "refuted"])
    doubted = {row["stat_id"] for row in literature["readings.csv"]}
    assert refuted <= accused | claimed | doubted
    assert set(table.loc[sorted(accused | claimed), "verdict"]) <= {"refuted", "unreadable"}
    assert {"XJ_0009", "YN_0031", "GXA_0002", "GZ_0032", "GZ_0060"} <= refuted


def test_what_arithmetic_gives_is_credited(table: pd.DataFrame) -> None:
    assert set(table.loc[["YN_0015", "GZ_0017", "GZ_0138", "GZ_0036"], "verdict"]) == {"follows"}
    sums = table[(table["statistic"] == "coefficient") & (table["verdict"] == "follows")]
    assert len(sums) == 41
    assert (sums["difference"].abs() < 0.0016).all()
    of_f = table[table["subject"].str.contains(": regression") & (table["statistic"] == "stars")]
    assert of_f["verdict"].value_counts().to_dict() == {"follows": 9, "unreadable": 1}


def test_real_answers_stand_before_made_up_ones(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> None:
    analysed.execute("begin")
    analysed.execute("update harmonized.coverage set is_synthetic = false where survey_id = 'valley'")
    made = replication(analysed, catalog, literature)["replication"].to_pandas()
    analysed.execute("rollback")
    real = made[made["survey_id"] == "valley"]
    assert set(real.loc[~real["verdict"].isin(["refuted", "unreadable"]), "verdict"]) == {"recomputed"}
    assert not real["is_synthetic"].any()
    assert (
        real.loc[real["verdict"] == "recomputed", "reason"]
        .str.contains("the answers|no value|gives|lacks")
        .all()
    )


def test_counts_and_means_are_those_of_the_households(
    table: pd.DataFrame, frame: pd.DataFrame, targets: Targets
) -> None:
    checked: Counter[str] = Counter()
    for stat_id, target in targets.items():
        kind = target.kind
        row = table.loc[stat_id]
        if row["survey_id"] not in ("hills", "valley") or target.filters:
            continue
        wave = {"hills": "after", "valley": "single"}[row["survey_id"]]
        part = frame[(frame["survey_id"] == row["survey_id"]) & (frame["wave"] == wave)]
        if kind == "indicator_mean":
            assert row["recomputed"] == pytest.approx(pd.to_numeric(part[target.target]).mean())
        elif kind == "code_n" and not target.code_range:
            values = part[target.target].dropna()
            if values.empty:
                assert pd.isna(row["recomputed"])
                continue
            codes = [type(values.iloc[0])(c) for c in target.codes]
            assert row["recomputed"] == values.isin(codes).sum()
        elif kind == "respondents_n":
            assert row["recomputed"] == len(part)
        else:
            continue
        checked[kind] += 1
    assert set(checked) == {"indicator_mean", "code_n", "respondents_n"}


def test_model_figures_are_those_of_the_tables(
    table: pd.DataFrame, analysed: duckdb.DuckDBPyConnection, catalog: Catalog, targets: Targets
) -> None:
    fitted = {
        (survey_id, model, term): (b, beta, stars)
        for survey_id, model, term, b, beta, stars in analysed.execute(
            "select survey_id, model, term, b, beta, stars from analysis.regression_coefficients "
            "where covariance = 'ols'"
        ).fetchall()
    }
    reported = {m.id: m.reported_coefficient for m in catalog.models}
    checked = 0
    for stat_id, target in targets.items():
        if target.kind not in ("coefficient", "stars"):
            continue
        if table.loc[stat_id, ["survey_id", "recomputed"]].isna().any():
            continue
        b, beta, stars = fitted[table.loc[stat_id, "survey_id"], target.model, target.term]
        coefficient = b if reported[target.model] == "b" else beta
        expected = len(stars) if target.kind == "stars" else coefficient * target.multiplier
        assert table.loc[stat_id, "recomputed"] == pytest.approx(expected)
        checked += 1
    assert checked > 100


def test_printed_figures_follow_from_each_other_by_the_arithmetic_shown(
    catalog: Catalog, literature: Literature, targets: Targets
) -> None:
    result = recompute(literature, catalog, targets.values())
    values = {r["stat_id"]: r for r in literature["statistics.csv"]}
    kinds = Counter(targets[s].kind for s in result)
    assert {"communality", "explained_percent", "model_f", "dimension_item_mean", "code_percent"} <= set(
        kinds
    )
    for stat_id, made in result.items():
        kind = targets[stat_id].kind
        if kind == "code_percent":
            n, _, base = made.arithmetic.partition(" = ")[0].partition("/")
            assert made.value == pytest.approx(100 * float(n) / float(base))
        if kind in ("communality", "explained_percent"):
            formula, _, shown = made.arithmetic.partition(" = ")
            squares = sum(float(loading) ** 2 for loading in re.findall(r"([\d.]+)\^2", formula))
            lead = 100 / len(catalog.factor_models[0].items) if kind == "explained_percent" else 1
            assert lead * squares == pytest.approx(float(shown), abs=1e-4)
            assert made.value == pytest.approx(float(shown), abs=1e-4)
    consistent = [
        s for s in result if abs(result[s].value - float(values[s]["value"])) <= 0.06 + result[s].spread
    ]
    assert len(consistent) > 50


def test_plausibility_hands_on_every_finding_of_the_audit(literature: Literature) -> None:
    table = plausibility(literature)["plausibility"].to_pandas()
    expected = audit(literature["statistics.csv"], literature["sites.csv"])
    assert Counter(table["verdict"]) == Counter(str(f.verdict) for f in expected)
    assert table["plausibility_id"].is_unique
    refused = table["verdict"].isin(["impossible", "inconsistent"])
    assert table.loc[refused, "finding_ids"].notna().all()
    assert table.loc[refused, "cause_id"].notna().all()
    assert table.loc[~refused, "cause_id"].isna().all()
    assert table.loc[table["verdict"].isin(["consistent", "not_testable"]), "finding_ids"].isna().all()


def test_findings_say_whether_a_rule_shows_them(literature: Literature) -> None:
    tables = {name: table.to_pandas() for name, table in plausibility(literature).items()}
    evidence = tables["finding_evidence"].set_index("finding_id")
    assert list(evidence.index) == [r["finding_id"] for r in literature["findings.csv"]]
    by_rule = evidence["found_by"] == "rule"
    assert by_rule.sum() == 34
    assert (by_rule == evidence["evidence_ids"].notna()).all()
    known = set(tables["plausibility"]["plausibility_id"]) | set(tables["claims"]["claim_id"])
    assert {i for ids in evidence["evidence_ids"].dropna() for i in ids.split()} <= known


@pytest.fixture(scope="module")
def options(made: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return made["replication_options"]


def test_the_best_options_are_the_closest_of_all_that_were_tried(
    table: pd.DataFrame, options: pd.DataFrame
) -> None:
    assert set(options["stat_id"]) == set(table.index[table["n_option_sets"] > 0])
    assert len(options) == table["n_option_sets"].sum() > 1000
    closest = options.assign(off=options["difference"].abs()).groupby("stat_id")["off"].min()
    np.testing.assert_allclose(table.loc[closest.index, "best_difference"].abs(), closest, atol=1e-12)


def test_the_catalogs_options_are_among_those_tried(
    table: pd.DataFrame, options: pd.DataFrame, targets: Targets
) -> None:
    kinds = {"loading", "kmo", "bartlett", "coefficient", "model_adj_r2", "band_percent", "metric_mean"}
    tried = {stat_id: rows["recomputed"] for stat_id, rows in options.groupby("stat_id")}
    compared: Counter[str] = Counter()
    for stat_id, values in tried.items():
        kind = targets[stat_id].kind
        if kind in kinds and pd.notna(table.loc[stat_id, "recomputed"]):
            assert (values - table.loc[stat_id, "recomputed"]).abs().min() < 1e-8, stat_id
            compared[kind] += 1
    assert set(compared) == kinds
    assert sum(compared.values()) > 200


def test_half_scale_is_the_standard_degree_times_the_root_of_one_half(options: pd.DataFrame) -> None:
    coupled = options[
        options["options"].str.contains("variant=") & ~options["options"].str.contains("missing=")
    ]
    means = coupled[coupled["stat_id"].isin(coupled.loc[coupled["published"].between(0.4, 0.5), "stat_id"])]
    wide = means.assign(
        weights=means["options"].str.partition(" variant=")[0],
        variant=means["options"].str.extract("variant=(.*)")[0],
    ).pivot(index=["stat_id", "weights"], columns="variant", values="recomputed")
    assert len(wide) >= 2
    np.testing.assert_allclose(wide["half"], wide["standard"] * 0.5**0.5, rtol=1e-9)


def test_bounds_are_an_axis_of_their_own(
    table: pd.DataFrame, options: pd.DataFrame, frame: pd.DataFrame, targets: Targets, catalog: Catalog
) -> None:
    """Figures of indices and answers rescaled to 0-1 stand under all three bounds, the catalog's among them."""
    bounded = options[
        options["options"].str.contains("bounds=") & ~options["options"].str.contains("missing=")
    ]
    bounds = bounded["options"].str.extract(r"bounds=(\w+)")[0]
    rest = bounded["options"].str.replace(r"bounds=\w+", "", regex=True)
    wide = bounded.assign(bounds=bounds, rest=rest).pivot(
        index=["stat_id", "rest"], columns="bounds", values="recomputed"
    )
    assert set(wide.columns) == {"pooled", "theoretical", "within_survey"}
    assert (wide["pooled"] - wide["within_survey"]).abs().max() > 0.01
    rescaled = {s for s, t in targets.items() if t.kind == "min_max_mean"} & set(bounded["stat_id"])
    assert rescaled
    checked = 0
    for stat_id in rescaled:
        target, row = targets[stat_id], wide.loc[stat_id].iloc[0]
        assert row["within_survey"] == pytest.approx(table.loc[stat_id, "recomputed"])
        spec = catalog.indicator[target.target]
        part = frame[(frame["survey_id"] == "hills") & (frame["wave"] == "after")]
        if spec.minimum is not None and spec.maximum is not None and not target.filters:
            mean = pd.to_numeric(part[spec.id]).mean()
            expected = (mean - spec.minimum) / (spec.maximum - spec.minimum) * target.multiplier
            assert row["theoretical"] == pytest.approx(expected)
            checked += 1
    assert checked > 0


def test_a_regression_of_a_composite_is_the_weighted_sum_of_those_of_its_factors(
    options: pd.DataFrame, analysed: duckdb.DuckDBPyConnection, catalog: Catalog, targets: Targets
) -> None:
    """Least squares is linear: with uncorrelated factors beta = sum v beta_k / sqrt(sum v^2), for three and four."""
    factors = catalog.factor_models[0]
    explained = dict(
        analysed.execute(
            "select factor, explained_pct from analysis.factor_variance where survey_id = 'valley' and model = ?",
            [factors.id],
        ).fetchall()
    )
    dependents = {m.id: m.dependent for m in catalog.models if not m.sample and m.published_survey_ids}
    betas: dict[tuple[str, str, str], float] = {}
    for row in options.itertuples():
        target, (head, _, tail) = targets[row.stat_id], row.options.partition("missing=")
        if target.kind == "coefficient" and target.model in dependents and tail == "mean coefficient=beta":
            betas[dependents[target.model], head.strip(), target.term or ""] = (
                row.recomputed / target.multiplier
            )
    names = {f.metric: f.id for f in factors.factors}
    checked: Counter[int] = Counter()
    for (dependent, head, term), beta in betas.items():
        if dependent != factors.composite.metric or not head.endswith("order=weight_then_rescale"):
            continue
        count = int(head.removeprefix("factors=").split()[0])
        used = [
            f.metric
            for f in factors.factors
            if count == len(factors.factors) or f.id in factors.composite.factors
        ]
        parts = {metric: betas.get((metric, "", term)) for metric in used}
        if None in parts.values():
            continue
        v = np.array([explained[names[metric]] for metric in used])
        assert beta == pytest.approx(v @ np.array(list(parts.values())) / np.linalg.norm(v), abs=1e-9)
        checked[count] += 1
    assert set(checked) == {3, 4}


def test_cells_set_aside_come_back_as_received(
    analysed: duckdb.DuckDBPyConnection, catalog: Catalog, literature: Literature
) -> None:
    """One household of the survey with the factor model lost an item as out of range."""
    item = catalog.factor_models[0].items[-1].indicator
    analysed.execute("begin")
    analysed.execute(
        f"update staging.household_waves set {item} = null, {item}__missing = 'out_of_range' "
        "where household_id = 'valley-007'"
    )
    analysed.execute(
        "create table quality.quarantine as "
        "select 'valley' as survey_id, 'valley-007' as household_id, '55' as value, 'cell' as grain"
    )
    made = replication(analysed, catalog, literature)["replication_options"].to_pandas()
    analysed.execute("rollback")
    named = made[made["options"].str.startswith("cells=") & made["options"].str.endswith("missing=mean")]
    wide = named.assign(cells=named["options"].str.split().str[0]).pivot(
        index="stat_id", columns="cells", values="recomputed"
    )
    assert (wide["cells=checked"] - wide["cells=as_received"]).abs().max() > 1
