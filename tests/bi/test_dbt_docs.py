import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.models.project import assemble
from relocation_warehouse.models.run import manifest_file
from relocation_warehouse.survey.documents import read_yaml

PROJECT = "relocation_warehouse"
CATALOG = CHECKOUT / "data" / "catalog"
TEMPLATE = "A {{ env_var('HOME') }} {% raw %} {{ 1 / 0 }} title {# hidden #}"
"""Title of one of the surveys."""
PUBLISHED_TABLE = re.compile(r"\b(?:reference|harmonized|capital|integration|analysis|quality)\.[a-z_]+\b")


def _dbt(command, project, database, target):
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("dbt"), *command),
            *("--project-dir", project.folder, "--profiles-dir", CHECKOUT / "dbt"),
        ],
        env=os.environ
        | {
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "WAREHOUSE_BUILD_DATABASE": str(database),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """A warehouse that accepted the surveys of the checkout."""
    paths = Paths.under(tmp_path_factory.mktemp("warehouse"))
    for name in ("catalog", "surveys"):
        getattr(paths, name).symlink_to(CHECKOUT / "data" / name)
    shutil.copytree(paths.surveys, paths.accepted)
    survey = min(paths.accepted.glob("*/survey.yml"))
    declared = read_yaml(survey)
    declared["title"]["en"] = TEMPLATE
    survey.write_text(yaml.safe_dump(declared, allow_unicode=True), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def project(paths):
    return assemble(paths)


@pytest.fixture(scope="module")
def manifest(project):
    return json.loads(manifest_file(project).read_text(encoding="utf-8"))


def test_what_a_survey_says_is_no_template(manifest):
    said = [n["description"] for n in _own(manifest, "sources").values() if TEMPLATE in n["description"]]
    said += [n["description"] for n in _own(manifest, "nodes").values() if TEMPLATE in n["description"]]
    assert len(said) > 1
    assert os.environ["HOME"] not in json.dumps([*_own(manifest, "sources").values()])


def _own(manifest, kind):
    return {k: node for k, node in manifest[kind].items() if node.get("package_name") == PROJECT}


def test_every_table_and_column_is_described(manifest):
    tables = [n for n in _own(manifest, "nodes").values() if n["resource_type"] == "model"]
    tables += _own(manifest, "sources").values()
    assert len(tables) > 40
    silent = [n["name"] for n in tables if not n["description"] or not n["columns"]]
    silent += [
        f"{n['name']}.{c['name']}" for n in tables for c in n["columns"].values() if not c["description"]
    ]
    assert silent == []


def test_every_model_has_an_owner_and_a_test(manifest):
    models = {k: n for k, n in _own(manifest, "nodes").items() if n["resource_type"] == "model"}
    owners = {g["name"]: g["owner"]["name"] for g in manifest["groups"].values()}
    assert [n["name"] for n in models.values() if not owners.get(n["group"])] == []
    tests = [n for n in _own(manifest, "nodes").values() if n["resource_type"] == "test"]
    tested = {parent for n in tests for parent in n["depends_on"]["nodes"]}
    assert set(models) - tested == set()


def test_every_macro_and_its_arguments_are_described(manifest):
    macros = _own(manifest, "macros").values()
    assert len(macros) > 10
    assert [m["name"] for m in macros if not m["description"]] == []
    assert [f"{m['name']}({a['name']})" for m in macros for a in m["arguments"] if not a["description"]] == []


def test_every_test_without_a_sentence_for_a_name_has_a_description(manifest):
    written_out = [
        n
        for n in _own(manifest, "nodes").values()
        if n["resource_type"] == "test" and not n.get("test_metadata")
    ]
    assert written_out
    assert [n["name"] for n in written_out if not n["description"]] == []


def test_lineage_leads_from_a_raw_table_to_a_capital(manifest, project):
    def above(key):
        result = manifest["parent_map"].get(key, [])
        return {*result, *(k for f in result for k in above(f))}

    behind = above(f"model.{PROJECT}.household_capitals")
    waves = {f"model.{PROJECT}.{name}" for names in project.waves.values() for name in names}
    assert waves <= behind
    raw = {k for k in _own(manifest, "sources") if k.startswith(f"source.{PROJECT}.raw.")}
    assert raw
    assert raw <= behind


def test_a_column_of_a_wave_says_what_it_is_made_of(manifest, project):
    for names in project.waves.values():
        for name in names:
            columns = manifest["nodes"][f"model.{PROJECT}.{name}"]["columns"]
            made = [c["description"] for n, c in columns.items() if n + "__missing" in columns]
            assert made
            assert all(re.search(r"\((direct|recode|scale|[a-z_]+): ", said) for said in made), name


def test_what_a_person_changed_in_the_project_is_written_again(paths, project):
    name = next(iter(project.waves.values()))[0]
    model = next(project.folder.rglob(f"{name}.sql"))
    sql = model.read_text(encoding="utf-8")
    model.write_text(sql.replace("select", "choose"), encoding="utf-8")
    stray = model.with_name("left_over.sql")
    stray.write_text("select 1", encoding="utf-8")
    assert assemble(paths).digest == project.digest
    assert model.read_text(encoding="utf-8") == sql
    assert not stray.exists()


def test_a_manifest_that_was_cut_off_is_parsed_again(project):
    whole = manifest_file(project).read_bytes()
    manifest_file(project).write_bytes(whole[: len(whole) // 2])
    assert json.loads(manifest_file(project).read_bytes())["nodes"]


@pytest.mark.parametrize("exposure", ["report", "dashboard"])
def test_what_people_open_depends_on_the_tables_that_its_code_names(manifest, exposure):
    nodes = manifest["nodes"] | manifest["sources"]
    entry = manifest["exposures"][f"exposure.{PROJECT}.{exposure}"]
    shown = {f"{nodes[k]['schema']}.{nodes[k]['name']}" for k in entry["depends_on"]["nodes"]}
    declared = next(e for e in read_yaml(CATALOG / "exposures.yml")["exposures"] if e["name"] == exposure)
    code = (CHECKOUT / declared["reads_in"]).read_text(encoding="utf-8")
    added = {t.full_name for t in contract_of() if t.report is not None and "shows" in declared}
    assert shown == set(PUBLISHED_TABLE.findall(code)) & {t.full_name for t in contract_of()} | added
    assert len(shown) > 15


@pytest.mark.slow
def test_dbt_docs_show_exactly_the_columns_that_are_described(refreshed, manifest, project, tmp_path):
    _dbt(["docs", "generate", "--static"], project, refreshed / "warehouse" / "build.duckdb", tmp_path)
    catalog = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))
    assert not catalog["errors"]
    for kind in ("nodes", "sources"):
        for key, table in catalog[kind].items():
            assert set(table["columns"]) == set(manifest[kind][key]["columns"]), key
    expected = {k for k, n in _own(manifest, "nodes").items() if n["resource_type"] == "model"}
    assert expected == set(catalog["nodes"])
    assert set(_own(manifest, "sources")) == set(catalog["sources"])
    assert (tmp_path / "static_index.html").stat().st_size > 1_000_000
