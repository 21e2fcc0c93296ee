"""The printed figures are complete, joined to the catalog, and their mistakes are named by file and line."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.literature import (
    FILES,
    Literature,
    LiteratureError,
    ReplicationTarget,
    literature_tables,
    load_literature,
    replication_targets,
)

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "literature"
ARROW_TYPES = {
    "string": "VARCHAR",
    "double": "DOUBLE",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(ROOT / "data" / "catalog")


@pytest.fixture(scope="module")
def literature(catalog: Catalog) -> Literature:
    return load_literature(FOLDER, catalog)


@pytest.fixture(scope="module")
def targets(literature: Literature, catalog: Catalog) -> Mapping[str, ReplicationTarget]:
    return {t.stat_id: t for t in replication_targets(literature, catalog)}


def test_nothing_of_the_papers_is_lost(literature: Literature) -> None:
    tables = literature_tables(literature)
    assert {name: table.num_rows for name, table in tables.items()} == {
        "published_surveys": 5,
        "published_sites": 10,
        "published_statistics": 958,
        "published_indicators": 157,
        "published_categories": 117,
        "published_findings": 51,
        "derived_checks": 44,
    }
    regions = Counter(tables["published_statistics"].column("region").to_pylist())
    assert regions == {"yunnan": 135, "guizhou": 771, "guangxi": 6, "xinjiang": 46}


def test_tables_have_the_published_columns(literature: Literature, catalog: Catalog) -> None:
    contract = load_contract(ROOT / "data/catalog/tables.yml", catalog.indicators)
    for name, table in literature_tables(literature).items():
        published = contract[f"reference.{name}"]
        assert {f.name: ARROW_TYPES[str(f.type)] for f in table.schema} == {
            c.name: c.type for c in published.columns
        }
        for column in published.columns:
            assert column.nullable or table.column(column.name).null_count == 0, (name, column.name)


def test_a_printed_number_is_kept_as_text_and_as_number(literature: Literature) -> None:
    rows = {r["stat_id"]: r for r in literature_tables(literature)["published_statistics"].to_pylist()}
    assert (rows["GZ_0023"]["value"], rows["GZ_0023"]["value_text"]) == (30.0, "30.00")
    assert (rows["YN_0076"]["value"], rows["YN_0076"]["value_text"]) == (None, "ns")
    lost = [r for r in rows.values() if r["quality"] == "missing"]
    assert len(lost) == 10
    assert all(r["value"] is None and r["value_text"] is None for r in lost)
    assert "10.1057/s41599-024-03650-w" in rows["GZ_0023"]["citation"]


def test_every_variable_is_mapped_or_has_a_reason(literature: Literature, catalog: Catalog) -> None:
    rows = literature_tables(literature)["published_indicators"].to_pylist()
    unmapped = [r for r in rows if r["indicator_id"] is None and r["metric_id"] is None]
    assert all(r["not_mapped_reason"] for r in unmapped)
    assert len(unmapped) <= 6
    assert {r["indicator_id"] for r in rows} - {None} <= set(catalog.indicator)
    assert {r["metric_id"] for r in rows} - {None} <= set(catalog.metric)


def test_every_statistic_has_a_figure_or_a_reason(
    literature: Literature, targets: Mapping[str, ReplicationTarget]
) -> None:
    assert list(targets) == [row["stat_id"] for row in literature["statistics.csv"]]
    assert all((t.kind is None) == (t.reason is not None) for t in targets.values())
    assert not any("no rule" in (t.reason or "") for t in targets.values())
    assert sum(t.kind is not None for t in targets.values()) == 865


def test_targets_resolve(targets: Mapping[str, ReplicationTarget], catalog: Catalog) -> None:
    models = {m.id: catalog.terms_of(m) for m in catalog.models}
    items = {m.id: {i.indicator for i in m.items} for m in catalog.factor_models}
    for t in targets.values():
        if t.kind in ("coefficient", "stars", "coefficient_sign", "p_threshold"):
            assert t.term in models[t.model], t
        elif t.kind in ("loading", "communality"):
            assert t.target in items[t.factor_model], t
        elif t.kind in ("code_n", "code_percent"):
            assert t.target in catalog.indicator, t
            assert bool(t.codes) != bool(t.code_range), t
            assert set(t.codes) <= set(catalog.codes_of(t.target)), t
        elif t.kind and t.kind.startswith(("indicator", "oriented", "min_max")):
            assert t.target in catalog.indicator, t


def test_targets_of_one_kind_each(targets: Mapping[str, ReplicationTarget]) -> None:
    urban = targets["GZ_0222"]
    assert (urban.kind, urban.factor, dict(urban.filters)) == (
        "factor_score_mean",
        "communicative",
        {"resettlement_mode": "cities_towns"},
    )
    age = targets["YN_0024"]
    assert (age.target, age.code_range, age.published) == ("head_age_years", (30.0, 50.0), 124.0)
    assert (targets["YN_0021"].codes, targets["YN_0021"].wave) == (("male",), "latest")
    assert (targets["YN_0044"].target, targets["YN_0044"].wave) == ("dysfunctional_decline", "before")
    assert (targets["XJ_0022"].kind, targets["XJ_0022"].target) == ("change_sign", "neighbour_contact")
    assert (targets["XJ_0017"].reading, targets["XJ_0017"].published) == (1.7, 113.39)
    assert (targets["GZ_0231"].model, targets["GZ_0231"].term) == ("anshun_model_1", "sex=female")


def test_readings_mend_the_composite_that_the_print_breaks(
    literature: Literature, targets: Mapping[str, ReplicationTarget]
) -> None:
    """The full-sample composite is a fixed sum of its three factors (derived checks D021 to D023)."""
    parts = {"anshun_model_2": 0.6077, "anshun_model_3": 0.5637, "anshun_model_4": 0.5594}
    shifted = {"vocational_training_satisfaction", "environmental_amenity", "housing_security"}
    shifted |= {"spatial_accessibility", "spatial_security"}
    coefficients = {(t.model, t.term): t for t in targets.values() if t.kind == "coefficient"}
    for term in shifted:
        whole = coefficients["anshun_model_1", term].published
        cells = [(coefficients[model, term], weight) for model, weight in parts.items()]
        printed = sum(weight * (cell.published or 0) for cell, weight in cells)
        read = sum(
            weight * (cell.published or 0 if cell.reading is None else cell.reading) for cell, weight in cells
        )
        assert read == pytest.approx(whole, abs=0.001)
        assert printed != pytest.approx(whole, abs=0.005)


def test_derived_checks_name_findings_that_exist(literature: Literature) -> None:
    findings = {row["finding_id"] for row in literature["findings.csv"]}
    named = {row["related_inconsistency"] for row in literature["derived_checks.csv"]} - {""}
    assert named <= findings
    assert named


MISTAKES = [
    (
        "statistics.csv",
        "YN_0002,yunnan",
        "YN_0001,yunnan",
        r"line 3: stat_id 'YN_0001' also stands in line 2",
    ),
    (
        "statistics.csv",
        "000_41fd608821294943.txt",
        "999.txt",
        r"line 2: source_file '999.txt' is not a source_file",
    ),
    (
        "statistics.csv",
        "stat_id,region",
        "stat,region",
        r"statistics.csv, line 1: columns must be stat_id, region",
    ),
    (
        "surveys.csv",
        ",250,",
        ",many,",
        r"surveys.csv, line 2: questionnaires_distributed 'many' is not a number",
    ),
    (
        "indicator_map.csv",
        "arable_land_area_mu",
        "arable_land",
        r"line 2: indicator_id 'arable_land' is not in",
    ),
    (
        "indicator_map.csv",
        "YN_N1,arable_land_area_mu,",
        "YN_N1,,",
        r"line 2: give exactly one of indicator_id",
    ),
    (
        "indicator_map.csv",
        ",compatible,",
        ",similar,",
        r"line 2: match must be one of identical, compatible, proxy",
    ),
    (
        "indicator_map.csv",
        "YN_N1,",
        "YN_X1,",
        r"indicators.csv, line 2: indicator_id 'YN_N1' is not a published",
    ),
    ("readings.csv", "GZ-01", "GZ-99", r"readings.csv, line 2: finding_id 'GZ-99' is not a finding_id"),
    ("findings.csv", "YN-01,yunnan,", "YN-01,", r"findings.csv, line 2: row has 6 cells, the header 7"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "message"), MISTAKES)
def test_a_mistake_is_named_by_file_and_line(
    tmp_path: Path, catalog: Catalog, file: str, right: str, wrong: str, message: str
) -> None:
    for name in FILES:
        shutil.copy(FOLDER / name, tmp_path / name)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert right in text
    (tmp_path / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(LiteratureError, match=message):
        load_literature(tmp_path, catalog)


def test_missing_and_unreadable_files_are_all_named(tmp_path: Path, catalog: Catalog) -> None:
    (tmp_path / "sites.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LiteratureError) as caught:
        load_literature(tmp_path, catalog)
    assert {p.file for p in caught.value.problems} == set(FILES)


def test_a_printed_name_without_translation_is_refused(literature: Literature, catalog: Catalog) -> None:
    terms = tuple(p.model_copy(update={"terms": {}}) for p in catalog.published_terms)
    with pytest.raises(KeyError, match=r"adaptation_to_productive_life.*published_terms"):
        replication_targets(literature, catalog.model_copy(update={"published_terms": terms}))
