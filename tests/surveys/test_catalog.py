"""The catalog says what the issues ask for, its parts agree, and its mistakes are named by file and line."""

import shutil
from inspect import signature
from pathlib import Path

import pytest

from analysis.weighting import composite
from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.survey.catalog import FILES, Catalog, CatalogError, catalog_tables, load_catalog

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "catalog"
ARROW_TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(FOLDER)


def test_a_composite_needs_the_same_share_of_answers_in_analysis_by_default(catalog: Catalog) -> None:
    default = signature(composite).parameters["min_share"].default
    assert catalog.minimum_answered_share == default


def test_every_system_and_dimension_has_indicators(catalog: Catalog) -> None:
    assert {i.system for i in catalog.indicators} == {s.id for s in catalog.systems}
    assert {i.dimension for i in catalog.indicators} == {d.id for d in catalog.dimensions}


def test_the_capitals_and_integration_dimensions_are_the_nine_of_the_studies(catalog: Catalog) -> None:
    by_system = {s: [d.id for d in catalog.dimensions if d.system == s] for s in ("capital", "integration")}
    assert by_system == {
        "capital": ["natural", "physical", "financial", "human", "social"],
        "integration": ["psychological", "economic", "communicative", "cultural"],
    }


def test_quasi_identifiers_are_marked(catalog: Catalog) -> None:
    assert {i.id for i in catalog.indicators if i.sensitive} == {
        "household_size",
        "household_size_band",
        "head_age_years",
        "age_band",
        "ethnic_group",
    }


def test_code_lists_are_all_used(catalog: Catalog) -> None:
    assert {i.code_list for i in catalog.indicators} - {None} == set(catalog.code_lists)


def test_capital_is_weighted_by_the_default_scheme_with_land_counted_once(catalog: Catalog) -> None:
    scheme = catalog.default_weight_scheme
    capital = {i.id for i in catalog.indicators if i.system == "capital" and i.is_numeric}
    members = {i for d, names in scheme.dimensions.items() if d != "stability" for i in names}
    assert "arable_land_per_capita_mu" in capital - members
    assert members <= capital


@pytest.mark.parametrize("scheme_id", ["equal", "lanping_2023", "entropy", "critic", "pca"])
def test_weights_of_every_dimension_sum_to_one(catalog: Catalog, scheme_id: str) -> None:
    scheme = catalog.weight_scheme(scheme_id)
    assert len(scheme.dimensions) == 6
    assert sum(scheme.dimension_weights.values()) == pytest.approx(1)
    for dimension in scheme.dimensions:
        assert sum(scheme.weights(dimension).values()) == pytest.approx(1)


def test_open_weights_share_what_given_ones_leave(catalog: Catalog) -> None:
    assert catalog.weight_scheme("lanping_2023").weights("financial") == pytest.approx(
        {"household_income_yuan": 0.74, "can_borrow": 0.13, "has_bank_deposit": 0.13}
    )
    assert catalog.weight_scheme("lanping_2023").weights("natural") == pytest.approx(
        dict.fromkeys(("arable_land_area_mu", "arable_land_quality", "ecological_state"), 1 / 3)
    )


def test_printed_models_have_as_many_terms_as_their_f_statistics_imply(catalog: Catalog) -> None:
    models = {m.id: catalog.terms_of(m) for m in catalog.models}
    assert {len(models[f"anshun_model_{k}"]) for k in range(1, 11)} == {25}
    assert [len(models[f"lanping_model_{k}"]) for k in range(1, 9)] == [5, 5, 5, 4, 20, 20, 20, 20]


def test_units_convert_both_ways(catalog: Catalog) -> None:
    pairs = {(u.from_, u.to): u.factor for u in catalog.units}
    there_and_back = [(a, b) for a, b in pairs if (b, a) in pairs]
    assert there_and_back
    for one, two in there_and_back:
        assert pairs[one, two] * pairs[two, one] == pytest.approx(1, rel=1e-12)


def test_conversion_factor_is_found_or_refused(catalog: Catalog) -> None:
    assert catalog.factor_of("arable_land_area_mu", "mu", "mu") == 1
    assert catalog.factor_of("arable_land_area_mu", "mu", "ha") == 15
    with pytest.raises(KeyError, match=r"arable_land_area_mu.*'acre' to 'mu'"):
        catalog.factor_of("arable_land_area_mu", "mu", "acre")


@pytest.mark.parametrize("scheme", ["ten_grade", "livelihood_types"])
def test_bands_cover_the_unit_interval(catalog: Catalog, scheme: str) -> None:
    bands = catalog.band_scheme(scheme).bands
    assert (bands[0].lower, bands[-1].upper) == (0, 1)


def test_tables_have_the_published_columns(catalog: Catalog) -> None:
    contract = load_contract(FOLDER / "tables.yml", catalog.indicators)
    for name, table in catalog_tables(catalog).items():
        published = contract[f"reference.{name}"]
        assert {f.name: ARROW_TYPES[str(f.type)] for f in table.schema} == {
            c.name: c.type for c in published.columns
        }
        for column in published.columns:
            assert column.nullable or table.column(column.name).null_count == 0, (name, column.name)
        keys = table.select(list(published.key)).to_pylist()
        assert len({tuple(k.values()) for k in keys}) == len(keys) > 0


PANEL = "dependent: coupling_coordination_degree, regressors: "
MISTAKES = [
    ("models.yml", f"{PANEL}[pooled_household]", f"{PANEL}[lanping_family]", "panel_models.*no plain number"),
    ("models.yml", f"{PANEL}[pooled_household]", f"{PANEL}[pooled_houses]", "panel_models.*regressor set"),
    ("indicators.yml", "direction: benefit", "direction: upwards", r"indicators.yml, line {line}: .*upwards"),
    (
        "indicators.yml",
        "    unit: mu\n",
        "    unti: mu\n",
        r"indicators.yml, line \d+: .*arable_land_area_mu",
    ),
    (
        "indicators.yml",
        "dimension: natural",
        "dimension: natrual",
        r"line {line}: .*'natrual' is not in the catalog",
    ),
    ("indicators.yml", "id: can_borrow", "id: obtained_loan", r"'obtained_loan' is given twice"),
    ("indicators.yml", "maximum: 5", "maximum: 7", r"codes of likert_good must be 1, 2, 3, 4, 5, 6, 7"),
    (
        "weights.yml",
        "household_income_yuan: 0.74",
        "household_income_yuan: 0.7",
        r"financial sum to 0.96, not 1",
    ),
    ("weights.yml", "can_borrow: null", "can_borow: null", r"weights.yml, line \d+: .*'can_borow'"),
    ("bands.yml", "lower: 0.3, upper: 0.5", "lower: 0.35, upper: 0.5", r"do not meet: 0.3 and 0.35"),
    ("coupling.yml", "alpha: 0.5", "alpha: 0.6", r"alphas sum to 1.1, not 1"),
    ("models.yml", "reference: male", "reference: man", r"models.yml, line \d+: .*'man' is no code of sex"),
    ("models.yml", '"sex=female"', '"sex=woman"', r"models.yml, line \d+: .*'sex=woman' is no term"),
    ("factor_models.yml", "customs_difference, reverse: true", "customs_difference, reverse: false", r"cost"),
    ("replication.yml", "sex=male", "sex=man", r"'man' is no code of sex: male, female"),
    ("replication.yml", "kind: kmo", "kind: kom", r"replication.yml, line \d+: .*'kom'"),
    ("units.yml", "units:\n", "metrics: []\nunits:\n", r"metrics.yml: 'metrics' is also in units.yml"),
    ("units.yml", "factor: 15", "factor: -15", r"units.yml, line {line}: .*greater than 0"),
    ("dimensions.yml", "systems:", "systems: [", r"dimensions.yml, line \d+: not readable as YAML"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "message"), MISTAKES)
def test_a_mistake_is_named_by_file_and_line(
    tmp_path: Path, file: str, right: str, wrong: str, message: str
) -> None:
    for name in FILES:
        shutil.copy(FOLDER / name, tmp_path / name)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert right in text
    (tmp_path / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    line = text[: text.index(right)].count("\n") + 1
    with pytest.raises(CatalogError, match=message.replace("{line}", str(line))):
        load_catalog(tmp_path)


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert {p.file for p in caught.value.problems} == set(FILES)
