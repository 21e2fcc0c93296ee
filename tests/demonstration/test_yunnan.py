"""The made-up Lanping answers, read back from the .sav file, against the printed figures."""

from __future__ import annotations

from functools import cache

import harmonised_surveys as surveys
import numpy as np
import pandas as pd
import pytest

from relocation_warehouse.survey.vocabulary import Rule

SURVEY = "yn_lanping_2019"
PUBLISHED = "YN_LANPING"
LITERATURE = pd.read_csv(surveys.DATA / "literature" / "statistics.csv").set_index("stat_id")["value"]
STABILITY = ("asset_kinds_count", "interpersonal_trust", "nonfarm_workers_count")


def printed(stat_id: str) -> float:
    return float(LITERATURE[stat_id])


def after() -> pd.DataFrame:
    return surveys.households(SURVEY, "after")


def study_scheme() -> dict[str, dict[str, float]]:
    """Weights of the study by capital, the ones not printed sharing the rest equally."""
    (scheme,) = [s for s in surveys.catalog().weight_schemes if PUBLISHED in s.published_survey_ids]
    weights = {}
    for dimension, members in scheme.dimensions.items():
        given = sum(w for w in members.values() if w is not None)
        free = sum(w is None for w in members.values())
        weights[dimension] = {i: (1 - given) / free if w is None else w for i, w in members.items()}
    return weights


def equal_scheme() -> dict[str, dict[str, float]]:
    return {d: dict.fromkeys(m, 1 / len(m)) for d, m in study_scheme().items()}


SCHEMES = {"study": study_scheme, "equal": equal_scheme}


@cache
def indices(scheme: str, wave: str) -> pd.DataFrame:
    """Capitals, total, stability and D by household; own computation, from the definitions of the study."""
    both = pd.concat([surveys.households(SURVEY, w) for w in ("before", "after")])
    frame = surveys.households(SURVEY, wave)
    result = {}
    for dimension, members in SCHEMES[scheme]().items():
        z = {i: (frame[i] - both[i].min()) / (both[i].max() - both[i].min()) for i in members}
        result[dimension] = sum(w * z[i] for i, w in members.items())
    table = pd.DataFrame(result)
    table["total"] = table[["natural", "physical", "financial", "human", "social"]].mean(axis=1)
    mean, s1, s2 = (table.total + table.stability) / 2, table.total, table.stability
    coupling = 2 * np.sqrt(s1 * s2) / (s1 + s2)
    table["d"] = np.sqrt(coupling * mean)
    return table


def test_sample_as_printed() -> None:
    frame = after()
    assert len(frame) == printed("YN_0014")
    assert sorted(frame.site_id.value_counts()) == sorted([printed("YN_0018"), printed("YN_0016")])
    assert (frame.sex == "male").sum() == printed("YN_0020")
    assert (frame.sex == "female").sum() == printed("YN_0022")
    assert frame.head_age_years.between(30, 50).sum() == printed("YN_0024")
    assert (frame.head_education <= 2).sum() == printed("YN_0026")
    assert (frame.head_education <= 1).sum() == 143  # the only count near the printed 60.8 percent (YN-01)
    assert round(100 * (frame.head_education >= 3).mean(), 1) == printed("YN_0029")
    assert round(100 * (frame.ethnic_group == "minority").mean(), 1) == printed("YN_0030")
    assert frame.is_synthetic.all()


@pytest.mark.parametrize(
    ("indicator", "low", "high", "mean", "sd", "n"),
    [
        ("help_measures_count", 0, 4, "YN_0052", "YN_0053", 235),
        ("customs_difference", 1, 5, "YN_0054", "YN_0055", 235),
        ("government_role", 2, 5, "YN_0056", "YN_0057", 234),
    ],
)
def test_printed_means_and_deviations(
    indicator: str, low: int, high: int, mean: str, sd: str, n: int
) -> None:
    values = after()[indicator].dropna()
    assert len(values) == n
    assert (values.min(), values.max()) == (low, high)
    z = (values - low) / (high - low)
    assert round(z.mean(), 4) == printed(mean)
    assert round(z.std(), 5) == printed(sd)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("wave", "total", "d"), [("before", "YN_0035", "YN_0036"), ("after", "YN_0037", "YN_0038")]
)
def test_capital_and_coordination(scheme: str, wave: str, total: str, d: str) -> None:
    table = indices(scheme, wave)
    assert table.notna().all().all()
    assert table.total.mean() == pytest.approx(printed(total), abs=0.001)
    assert table.d.mean() == pytest.approx(printed(d), abs=0.002)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("wave", "ids"),
    [("before", ("YN_0044", "YN_0046", "YN_0048")), ("after", ("YN_0045", "YN_0047", "YN_0049"))],
)
def test_type_shares_within_half_a_point(scheme: str, wave: str, ids: tuple[str, str, str]) -> None:
    d = indices(scheme, wave).d
    shares = [
        100 * (d < 0.3).mean(),
        100 * d.between(0.3, 0.5, inclusive="left").mean(),
        100 * (d >= 0.5).mean(),
    ]
    assert shares == pytest.approx([printed(i) for i in ids], abs=0.5)
    assert d.max() < 0.8


def test_social_capital_as_printed_after_weighting() -> None:
    social = 0.2 * indices("study", "after").social
    assert social.mean() == pytest.approx(printed("YN_0050"), abs=0.001)
    assert social.std() == pytest.approx(printed("YN_0051"), abs=0.0005)


def test_reported_rises() -> None:
    before = surveys.households(SURVEY, "before")
    for indicator in ("durable_assets_count", "asset_kinds_count", "nonfarm_workers_count"):
        assert after()[indicator].mean() > before[indicator].mean()
    assert indices("equal", "after").stability.mean() > indices("equal", "before").stability.mean()


@cache
def coefficients(model: str, scheme: str = "equal") -> pd.DataFrame:
    """b and t of a regression of the catalog, by term; own computation by least squares."""
    (spec,) = [m for m in surveys.catalog().models if m.id == model]
    sets = surveys.catalog().regressor_sets
    capital = indices(scheme, "after")
    frame = after()
    rows = np.ones(len(frame), dtype=bool)
    for indicator, code in spec.sample.items():
        rows &= (frame[indicator] == code).to_numpy()
    design = {}
    for regressor in (r for name in spec.regressors for r in sets[name]):
        if regressor.metric:
            design[regressor.metric] = capital[regressor.metric.removesuffix("_capital")]
            continue
        values = frame[regressor.indicator]
        if regressor.normalise == "min_max":
            values = (values - values[rows].min()) / (values[rows].max() - values[rows].min())
        design[regressor.indicator] = values
    X = pd.DataFrame(design).assign(constant=1.0)
    rows &= X.notna().all(axis=1).to_numpy()
    A, y = X[rows].to_numpy(float), capital.d[rows].to_numpy()
    b, *_ = np.linalg.lstsq(A, y, rcond=None)
    residual = y - A @ b
    variance = residual @ residual / (len(y) - A.shape[1])
    se = np.sqrt(variance * np.diag(np.linalg.inv(A.T @ A)))
    return pd.DataFrame({"b": b, "t": b / se}, index=X.columns)


SIGNS = [
    ("lanping_model_5", "household_size", -1),
    ("lanping_model_5", "policy_enjoyment", 1),
    ("lanping_model_5", "household_income_yuan", 1),
    ("lanping_model_5", "adaptation", 1),
    *[
        (f"lanping_model_{m}", f"{c}_capital", 1)
        for m in (5, 6, 7, 8)
        for c in ("natural", "physical", "social", "human")
    ],
    ("lanping_model_6", "household_size", -1),
    ("lanping_model_6", "labour_force_count", 1),
    ("lanping_model_6", "head_health", 1),
    ("lanping_model_6", "policy_enjoyment", 1),
    ("lanping_model_7", "financial_capital", 1),
    ("lanping_model_8", "household_size", -1),
    ("lanping_model_8", "policy_enjoyment", 1),
    ("lanping_model_8", "adaptation", 1),
]


@pytest.mark.parametrize(("model", "term", "sign"), SIGNS)
def test_signs_of_coefficients(model: str, term: str, sign: int) -> None:
    assert sign * coefficients(model).b[term] > 0


@pytest.mark.parametrize(
    ("model", "stat_id"), [("lanping_model_4", "YN_0061"), ("lanping_model_5", "YN_0063")]
)
def test_sizes_of_the_adaptation_coefficient(model: str, stat_id: str) -> None:
    row = coefficients(model).loc["adaptation"]
    assert row.b == pytest.approx(printed(stat_id), abs=0.005)
    assert row.t > 1.645


@pytest.mark.parametrize("model", ["lanping_model_5", "lanping_model_6", "lanping_model_8"])
def test_no_effect_of_geography_and_financial_capital(model: str) -> None:
    assert (coefficients(model).t.abs()[["county_seat_site", "financial_capital"]] < 1.645).all()


@pytest.mark.parametrize("model", ["lanping_model_5", "lanping_model_7"])
def test_human_capital_has_the_largest_coefficient(model: str) -> None:
    capitals = coefficients(model).b[
        [f"{c}_capital" for c in ("natural", "physical", "financial", "social", "human")]
    ]
    assert capitals.idxmax() == "human_capital"


def test_widest_ranges_of_its_capital_indicators_lie_here() -> None:
    """So that bounds pooled over all surveys are the study's own."""
    members = {i for d in study_scheme().values() for i in d}
    own = pd.concat([surveys.households(SURVEY, w)[sorted(members)] for w in ("before", "after")])
    for survey_id in surveys.all_survey_ids():
        for wave in surveys.folder(survey_id).survey.waves:
            other = surveys.households(survey_id, wave.wave)[sorted(members)]
            assert (other.min().fillna(np.inf) >= own.min()).all(), survey_id
            assert (other.max().fillna(-np.inf) <= own.max()).all(), survey_id


def test_only_the_indicators_of_the_study_make_up_its_capitals() -> None:
    """Equal weights over all indicators asked must use the study's members."""
    members = {i for d in study_scheme().values() for i in d}
    capital = {i.id for i in surveys.catalog().indicators if i.system in ("capital", "stability")}
    rows = surveys.folder(SURVEY).rows_of("after")
    assert {i for i in capital if rows[i].rule is not Rule.NOT_ASKED} == members


def test_no_household_has_more_labourers_than_members() -> None:
    assert (after().labour_force_count <= after().household_size).all()


def test_planted_errors_are_quarantined_and_the_age_is_mended() -> None:
    result = surveys.quarantine(SURVEY)
    assert sorted(zip(result.column, result.value.astype(str), strict=True)) == [
        ("DISTANCE", "6"),
        ("MARITAL", "7"),
        ("MOVE_MON", "180"),
    ]
    (correction,) = surveys.folder(SURVEY).corrections
    row = after().set_index("household_id").loc[correction.household_id]
    assert row.head_age_years == float(correction.replacement)


def test_user_missing_codes_become_reasons() -> None:
    reasons = after()[["income_change_band__missing", "government_role__missing"]].stack().value_counts()
    assert reasons["dont_know"] == 5
    assert reasons["refused"] == 3
