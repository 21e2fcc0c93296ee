"""The printed figures are complete, joined to the catalog, and their mistakes are named by file and line."""

import csv
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.literature import (
    FILES,
    Literature,
    LiteratureError,
    ReplicationTarget,
    checked_claims,
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
        "published_categories": 137,
        "category_links": 362,
        "published_findings": 57,
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
    assert sum(t.kind is not None for t in targets.values()) == 867


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
        r"line 3: stat_id 'YN_0001' is also in line 2",
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
    ("findings.csv", "YN-01,yunnan,", "YN-01,", r"findings.csv, line 2: row has \d cells, the header \d"),
]


MISTAKES += [
    (
        "claims.csv",
        "YN_0035,YN_0037",
        "YN_9935,YN_0037",
        r"claims.csv, line \d+: claim YNC05 .*YN_9935 is no stat_id",
    ),
    ("claims.csv", ",count,", ",tally,", r"claims.csv, line \d+: kind 'tally' is none of"),
    (
        "claims.csv",
        "category_type=goal,,4",
        "category_type=goals,,4",
        r"claim GXC02 .*selects no row of categories",
    ),
    (
        "claims.csv",
        "system=livelihood_capital",
        "sytem=livelihood_capital",
        r"'sytem=livelihood_capital' is no condition",
    ),
    (
        "claims.csv",
        "2020-12-03 2020-01-11",
        "2020-13-03 2020-01-11",
        r"claim GZC08 cannot be held against anything",
    ),
    (
        "qualitative.csv",
        ",XJ_SILKROAD,industry_model",
        ",XJ_NOWHERE,industry_model",
        r"site_id 'XJ_NOWHERE' is not a site_id",
    ),
    (
        "qualitative.csv",
        "industry_model,m1",
        "industry_model,m9",
        r"survey_code 'm9' is no code of industry_model: m1",
    ),
    ("qualitative.csv", ",industry_model,m1", ",,m1", r"give survey_indicator_id and survey_code together"),
    (
        "qualitative.csv",
        ",factory_job,",
        ",factory_jobs,",
        r"indicator_id 'factory_jobs' is not in the catalog",
    ),
    ("qualitative.csv", "XJ_C1 XJ_C3", "XJ_C1 XJ_C9", r"answers 'XJ_C9' is not a code of qualitative.csv"),
    ("statistics.csv", ",449.5,", ',"449,5",', r"line 8: value '449,5' has a separator"),
    (
        "made_to_match.csv",
        "YN_0014,",
        "YN_9914,",
        r"made_to_match.csv, line 2: stat_id 'YN_9914' is not a stat_id",
    ),
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


def test_claims_find_what_reading_found(literature: Literature) -> None:
    """The contradictions between text and tables that people noticed, each by its rule."""
    outcomes = {o.claim_id: o for o in checked_claims(literature)}
    rows = {row["claim_id"]: row for row in literature["claims.csv"]}
    contradicted = {rows[i]["finding_id"] for i, o in outcomes.items() if o.verdict == "contradicted"}
    assert {
        "GZ-21", "GZ-22", "GZ-23", "GZ-24", "GZ-25", "YN-16", "XJ-01", "XJ-03", "YN-03", "YN-04", "YN-06", "GZ-03",
        "GZ-12", "GZ-13", "GZ-14", "GX-01", "XJ-10", "GZ-07",
    } <= contradicted  # fmt: skip
    # Every sign and level that the papers tell in words is a claim.
    told = {r["stat_id"] for r in literature["statistics.csv"] if r["quality"] == "sign_only"}
    assert told <= {row["stat_id"] for row in rows.values()}
    assert all(o.arithmetic for o in outcomes.values())


def test_what_is_only_told_proves_no_claim(literature: Literature) -> None:
    """Where the table is lost, a sign in words is all there is: nothing to hold it against."""
    (lost,) = [o for o in checked_claims(literature) if o.ids == ("YN_0077",)]
    assert lost.verdict == "not_testable"


def test_targets_of_made_up_answers_exist(literature: Literature) -> None:
    """Each link names a target of the survey: in calibration.csv, or a count that the answers are drawn with."""
    known: dict[str, set[str]] = {}
    for row in literature["made_to_match.csv"]:
        folder = ROOT / "data" / "surveys" / row["survey_id"]
        if row["survey_id"] not in known:
            with (folder / "calibration.csv").open(encoding="utf-8") as handle:
                known[row["survey_id"]] = {r["target_id"] for r in csv.DictReader(handle)}
            demo = YAML(typ="safe").load(folder / "demo.yml")
            known[row["survey_id"]] |= {f"counts:{v['name']}" for v in demo["variables"] if "counts" in v}
            known[row["survey_id"]].add("sites:households")
        assert row["target_id"] in known[row["survey_id"]], row
    assert not {r["stat_id"] for r in literature["made_to_match.csv"]} & {
        r["stat_id"] for r in literature["statistics.csv"] if r["statistic"] == "stars"
    }


def test_categories_join_to_what_they_speak_of(literature: Literature, catalog: Catalog) -> None:
    tables = literature_tables(literature)
    links = tables["category_links"].to_pandas()
    codes = set(tables["published_categories"].column("code").to_pylist())
    targets = {kind: set(part["target"]) for kind, part in links.groupby("link_type")}
    assert set(targets) == {"part_of", "stage", "indicator", "site", "answers", "claim", "survey_code"}
    assert targets["part_of"] | targets["stage"] | targets["answers"] <= codes
    assert targets["indicator"] <= set(catalog.indicator)
    assert {f"industry_model=m{k}" for k in range(1, 7)} <= targets["survey_code"]
    kinds = tables["published_categories"].to_pandas().set_index("code")["category_type"]
    assert kinds.value_counts()["hypothesis"] >= 13
    assert kinds.value_counts()["recommendation"] >= 5
    # Problems, measures, stages, models: each leads somewhere.
    joined = set(links["code"]) | set(links["target"])
    assert not [code for code, kind in kinds.items() if kind not in ("subsystem",) and code not in joined]
    answered = set(links.loc[links["link_type"] == "answers", "target"])
    assert {c for c, kind in kinds.items() if kind == "problem" and c.startswith("GXB")} <= answered
