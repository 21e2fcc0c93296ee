"""The committed Guizhou file, read back through its own code lists, gives the printed figures.

The printed figures come from the literature in the repository, not from the generator's own bookkeeping.
"""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from analysis.factors import adequacy, correlate, factor, factor_scores
from analysis.reliability import cronbach_alpha
from relocation_warehouse.demonstration.spec import load_spec
from relocation_warehouse.survey.folder import SurveyFolder, load_folder, sha256_of

Printed = dict[tuple[str, str, str, str], float]
Answers = dict[str, list[str | None]]

DATA = Path(__file__).parents[2] / "data"
FOLDER = DATA / "surveys" / "gz_anshun_2020"
NAMES = {"customs_similarity": "customs_difference"}
MAIN = {
    "psychological_identity": [
        "enjoy_living_and_stay",
        "integration_confidence",
        "happier_and_more_positive",
    ],
    "economic_integration": ["income_change_perceived", "income_satisfaction", "living_cost_acceptance"],
    "communicative_integration": ["neighbour_interaction", "social_activity_participation", "local_friends"],
    "cultural_acceptance": ["customs_similarity", "dialect_communication"],
}
ITEMS = [item for items in MAIN.values() for item in items]
PRINTED_TERMS = [
    "sex_female", "age_19_45", "age_46_69", "age_over_69", "nationality_minority", "marriage_not_married",
    "household_size_4", "household_size_over_4", "education_elementary", "education_middle",
    "education_high_or_vocational", "education_college", "income_change_same", "income_change_increased",
    "livelihood_changed", "movein_0.5_1y", "movein_over_1y", "distance_3_15km", "distance_15_40km",
    "distance_over_40km", "vocational_training_satisfaction", "environmental_amenity", "housing_security",
    "spatial_accessibility", "spatial_security",
]  # fmt: skip
SUPPORT = [
    "vocational_training_satisfaction",
    "environmental_amenity",
    "housing_security",
    "spatial_accessibility",
    "spatial_security",
]


@pytest.fixture(scope="module")
def folder() -> SurveyFolder:
    catalog = YAML(typ="safe").load((DATA / "catalog" / "indicators.yml").read_text(encoding="utf-8"))
    return load_folder(FOLDER, [row["id"] for row in catalog["indicators"]])


@pytest.fixture(scope="module")
def received(folder: SurveyFolder) -> list[dict[str, str]]:
    with (FOLDER / folder.survey.files[0].path).open(encoding="gb18030", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def answers(folder: SurveyFolder, received: list[dict[str, str]]) -> Answers:
    """Harmonised codes by variable; None for blanks and for what no code list knows."""
    by_key: Answers = {}
    for column in folder.columns:
        if column.variable and column.codes:
            values = {code.code: code.value for code in folder.codes_of(column)}
            by_key[column.variable] = [values.get(row[column.column]) for row in received]
    return by_key


@pytest.fixture(scope="module")
def printed() -> Printed:
    """(statistic, model or group, dependent, variable) -> value, as read where the printed one is damaged."""

    def rows(name: str) -> list[dict[str, str]]:
        with (DATA / "literature" / name).open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))

    readings = {row["stat_id"]: row["value"] for row in rows("readings.csv")}
    by_key = {}
    for row in rows("statistics.csv"):
        value = readings.get(row["stat_id"], row["value"])
        if row["region"] == "guizhou" and value and row["table_or_section"].startswith("Table"):
            place = row["model"] or row["group"]
            by_key[row["statistic"], place, row["dependent"], row["variable"]] = float(value)
    return by_key


def numbers(answers: Answers, names: list[str]) -> np.ndarray:
    return np.array([[np.nan if v is None else float(v) for v in answers[name]] for name in names]).T


def test_the_folder_is_valid_and_its_checksum_is_that_of_the_file(folder: SurveyFolder) -> None:
    file = folder.survey.files[0]
    assert file.sha256 == sha256_of(FOLDER / file.path)
    assert folder.survey.is_synthetic


def test_sites_have_the_printed_questionnaires(answers: Answers, printed: Printed) -> None:
    counts = Counter(answers["site"])
    assert sum(counts.values()) == 323
    for letter in "ABCDE":
        assert counts[f"GZ_{letter}"] == printed["n", f"site:{letter}", "", "valid_questionnaires"]


def test_every_category_has_its_printed_count(answers: Answers, printed: Printed) -> None:
    levels = {"ethnic_minority": "minority", "18_45": "19_45", "lt_0.5y": "lt_0_5y", "0.5_1y": "0_5_1y"}
    variables = {
        "age": "age_band", "nationality": "ethnic_group", "education": "education_band",
        "income_change": "income_change_band", "livelihood_change": "livelihood_changed",
        "marriage": "marital_status", "household_size": "household_size_band",
        "relocation_distance": "relocation_distance_band", "movein_duration": "movein_duration_band",
    }  # fmt: skip
    categories = [key for key in printed if key[0] == "n" and ":" in key[3]]
    assert len(categories) == 30
    for key in categories:
        name, level = key[3].split(":")
        result = Counter(answers[variables.get(name, name)])[levels.get(level, level)]
        assert result == printed[key], key[3]


@pytest.mark.parametrize("item", [i for i in (*ITEMS, *SUPPORT) if i != "dialect_communication"])
def test_means_and_deviations_are_the_printed_ones(item: str, answers: Answers, printed: Printed) -> None:
    values = numbers(answers, [item])[:, 0]
    name = NAMES.get(item, item)
    half = 0.005 if item in SUPPORT else 0.0005
    assert abs(float(np.nanmean(values)) - printed["mean", "full_sample", "", name]) <= half
    assert abs(float(np.nanstd(values, ddof=1)) - printed["sd", "full_sample", "", name]) <= 0.0005


def test_one_impossible_entry_explains_the_printed_dialect_figures(
    folder: SurveyFolder, received: list[dict[str, str]], answers: Answers, printed: Printed
) -> None:
    column = folder.variables["answers", "dialect_communication"].column
    impossible = np.array([row[column] == "55" for row in received])
    assert impossible.sum() == 1
    clean = numbers(answers, ["dialect_communication"])[:, 0]
    as_received = np.where(impossible, 55.0, clean)
    assert round(float(as_received.mean()), 3) == 4.498
    assert round(float(as_received.std(ddof=1)), 3) == 2.962
    key = ("full_sample", "", "dialect_communication")
    assert float(np.nanmean(clean)) == pytest.approx(printed[("mean", *key)], abs=0.001)
    assert float(np.nanstd(clean, ddof=1)) == pytest.approx(printed[("sd", *key)], abs=0.001)


@pytest.mark.parametrize("missing", ["mean", "listwise"])
def test_the_items_have_the_printed_factor_structure(
    missing: str, answers: Answers, printed: Printed
) -> None:
    sample = correlate(numbers(answers, ITEMS), missing=missing)
    assert adequacy(sample.r, sample.n).kmo == pytest.approx(0.812, abs=0.02)
    solution = factor(sample.r)
    assert solution.loadings.shape[1] == 4, "eigenvalues above one"
    for k, (name, main) in enumerate(MAIN.items()):
        largest = np.argsort(-np.abs(solution.loadings[:, k]))[: len(main)]
        assert {ITEMS[i] for i in largest} == set(main), "factors come in the printed order"
        for item in main:
            value = printed["loading", "full_sample", name, NAMES.get(item, item)]
            assert solution.loadings[ITEMS.index(item), k] == pytest.approx(value, abs=0.08)
        explained = printed["explained_variance", "full_sample", "", name]
        assert 100 * solution.explained[k] == pytest.approx(explained, abs=1.5)


def test_every_printed_loading_is_met(answers: Answers, printed: Printed) -> None:
    solution = factor(correlate(numbers(answers, ITEMS), missing="mean").r)
    loadings = {key: value for key, value in printed.items() if key[0] == "loading"}
    assert len(loadings) >= 42
    for (_, _, name, item), value in loadings.items():
        row = [NAMES.get(i, i) for i in ITEMS].index(item)
        reached = solution.loadings[row, list(MAIN).index(name)]
        assert reached == pytest.approx(value, abs=0.08), f"{name} {item}"


def test_bartlett_and_alphas_are_near_the_printed_ones(answers: Answers) -> None:
    """The printed alpha of the items contradicts the printed loadings (NOTES.md): the file stands between."""
    sample = correlate(numbers(answers, ITEMS), missing="mean")
    assert adequacy(sample.r, sample.n).bartlett_chi2 == pytest.approx(978.992, rel=0.03)
    assert cronbach_alpha(sample.r).standardised == pytest.approx(0.743, abs=0.025)
    community = correlate(numbers(answers, SUPPORT[1:]), missing="listwise")
    assert cronbach_alpha(community.r).standardised == pytest.approx(0.750, abs=0.002)


@pytest.fixture(scope="module")
def scores(answers: Answers) -> np.ndarray:
    """Composite of three factors, then the four factors; shape (323, 5)."""
    items = numbers(answers, ITEMS)
    sample = correlate(items, missing="mean")
    solution = factor(sample.r)
    four = factor_scores(items, sample.mean, sample.sd, solution.score_coefficients, missing="mean")
    return np.column_stack([four[:, :3] @ solution.explained[:3] / solution.explained[:3].sum(), four])


@pytest.mark.parametrize("group", ["original_village", "nearby_township", "cities_towns"])
def test_scores_by_mode_are_the_printed_ones(
    group: str, scores: np.ndarray, answers: Answers, printed: Printed
) -> None:
    modes = {"GZ_A": "original_village", "GZ_B": "nearby_township"}
    rows = np.array([modes.get(str(site), "cities_towns") == group for site in answers["site"]])
    percent = 100 * (scores - scores.min(0)) / (scores.max(0) - scores.min(0))
    for k, name in enumerate(["social_integration", *MAIN]):
        if name == "cultural_acceptance":
            assert percent[rows, k].mean() == pytest.approx(70.5, abs=2), "item mean 3.82 of 1-5"
        else:
            value = printed["score", f"resettlement_{group}", "", name]
            assert percent[rows, k].mean() == pytest.approx(value, abs=1.5), name


@pytest.mark.parametrize(("first_model", "within"), [(1, None), (6, "cities_towns")])
def test_regressions_have_the_printed_coefficients(
    first_model: int, within: str | None, scores: np.ndarray, answers: Answers, printed: Printed
) -> None:
    spec = load_spec(FOLDER / "demo.yml")
    assert spec.factor_model is not None
    regressors = dict(zip(spec.factor_model.models[0].coefficients, PRINTED_TERMS, strict=True))
    rows = np.array([within is None or site not in ("GZ_A", "GZ_B") for site in answers["site"]])
    columns = []
    for name in regressors:
        variable, _, level = name.partition("=")
        if level:
            column = np.array([float(v == level) for v in answers[variable]])
        else:
            column = numbers(answers, [variable])[:, 0]
            column = np.where(np.isnan(column), np.nanmean(column), column)
        columns.append(column[rows])
    X, Y = np.column_stack(columns), scores[rows]
    beta = np.linalg.lstsq((X - X.mean(0)) / X.std(0), (Y - Y.mean(0)) / Y.std(0), rcond=None)[0]
    errors, wrong = [], []
    for i, variable in enumerate(regressors.values()):
        for k, dependent in enumerate(["social_integration", *MAIN]):
            value = printed.get(("coefficient", f"model_{first_model + k}", dependent, variable))
            if value is not None:
                errors.append(abs(beta[i, k] - value))
                if beta[i, k] * value < 0 and abs(value) >= 0.05:
                    wrong.append((variable, dependent, value, beta[i, k]))
    assert len(errors) >= 115
    assert wrong == []
    assert np.mean(errors) < 0.015
    assert max(errors) < 0.1
