import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.publication import dbt_schema

DBT = CHECKOUT / "dbt"
PROJECT = "relocation_warehouse"
PUBLISHED_TABLE = re.compile(r"\b(?:reference|harmonized|capital|integration|analysis|quality)\.[a-z_]+\b")


def _dbt(command, target, database):
    done = subprocess.run(
        [Path(sys.executable).with_name("dbt"), *command, "--project-dir", DBT, "--profiles-dir", DBT],
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
def manifest(tmp_path_factory):
    target = tmp_path_factory.mktemp("target")
    _dbt(["parse"], target, target / "build.duckdb")
    return json.loads((target / "manifest.json").read_text(encoding="utf-8"))


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


def test_the_description_of_the_models_is_the_one_written_from_the_contract(tmp_path):
    committed = (DBT / "models" / "contract.yml").read_text(encoding="utf-8")
    copy = tmp_path / "dbt"
    for sql in (DBT / "models").rglob("*.sql"):
        target = copy / sql.relative_to(DBT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(sql.read_text(encoding="utf-8"), encoding="utf-8")
    dbt_schema.write_dbt_schema(Paths.under(CHECKOUT / "data", copy))
    assert (copy / "models" / "contract.yml").read_text(encoding="utf-8") == committed, "run `make contract`"


def _exposed(manifest, name):
    exposure = manifest["exposures"][f"exposure.{PROJECT}.{name}"]
    nodes = manifest["nodes"] | manifest["sources"]
    return {f"{nodes[k]['schema']}.{nodes[k]['name']}" for k in exposure["depends_on"]["nodes"]}


def test_the_exposure_of_the_report_names_what_its_code_reads(manifest):
    code = (CHECKOUT / "relocation_warehouse" / "publication" / "report" / "data.py").read_text(
        encoding="utf-8"
    )
    assert _exposed(manifest, "report") == set(PUBLISHED_TABLE.findall(code))


def test_the_exposure_of_the_dashboard_names_what_its_datasets_read(manifest):
    datasets = (CHECKOUT / "relocation_warehouse" / "bi" / "superset" / "dashboard.yml").read_text(
        encoding="utf-8"
    )
    assert _exposed(manifest, "dashboard") == set(PUBLISHED_TABLE.findall(datasets))


@pytest.mark.slow
def test_dbt_docs_show_exactly_the_columns_that_are_described(refreshed, manifest, tmp_path):
    _dbt(["docs", "generate", "--static"], tmp_path, refreshed / "warehouse" / "build.duckdb")
    catalog = json.loads((tmp_path / "catalog.json").read_text(encoding="utf-8"))
    assert not catalog["errors"]
    for kind in ("nodes", "sources"):
        for key, table in catalog[kind].items():
            assert set(table["columns"]) == set(manifest[kind][key]["columns"]), key
    expected = {k for k, n in _own(manifest, "nodes").items() if n["resource_type"] == "model"}
    assert expected == set(catalog["nodes"])
    assert set(_own(manifest, "sources")) == set(catalog["sources"])
    assert (tmp_path / "static_index.html").stat().st_size > 1_000_000
