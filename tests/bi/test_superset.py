import io
import json
import zipfile

import duckdb
import pytest
from pydantic import ValidationError

from relocation_warehouse.bi.superset.bundle import (
    MADE_UP,
    SPECIFICATION,
    bundle,
    database_uri,
    identifier,
    load_dashboard,
    word_sql,
)
from relocation_warehouse.bi.superset.client import differences
from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.ground import sql
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

CATALOG = CHECKOUT / "data" / "catalog"
CONTRACT = load_contract(CATALOG / "tables.yml", load_catalog(CATALOG).indicators)
DASHBOARD = load_dashboard(CONTRACT)
DATASETS = {d.name: d for d in DASHBOARD.datasets}


@pytest.fixture(scope="module")
def content(published):
    return bundle(DASHBOARD, CONTRACT, published / "warehouse.duckdb")


@pytest.fixture(scope="module")
def assets(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name.removeprefix("bundle/"): json.loads(archive.read(name)) for name in archive.namelist()}


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(content, published):
    assert bundle(DASHBOARD, CONTRACT, published / "warehouse.duckdb") == content


@pytest.mark.slow
def test_every_chart_stands_on_the_dashboard_and_uses_what_its_dataset_has(assets):
    charts = {a["uuid"]: a for name, a in assets.items() if name.startswith("charts/")}
    datasets = {a["uuid"]: a for name, a in assets.items() if name.startswith("datasets/")}
    position = assets["dashboards/overview.yaml"]["position"]
    placed = [p["meta"]["uuid"] for name, p in position.items() if name.startswith("CHART-")]
    assert sorted(placed) == sorted(charts)
    for chart in charts.values():
        dataset = datasets[chart["dataset_uuid"]]
        (query,) = json.loads(chart["query_context"])["queries"]
        assert set(query["columns"]) <= {c["column_name"] for c in dataset["columns"]}
        saved = {m["metric_name"] for m in dataset["metrics"]} | {m["expression"] for m in dataset["metrics"]}
        assert {m if isinstance(m, str) else m["sqlExpression"] for m in query["metrics"] or ()} <= saved


@pytest.mark.slow
def test_titles_say_where_data_are_made_up(assets, published):
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as connection:
        for chart in DASHBOARD.charts:
            relation = connection.sql(DATASETS[chart.dataset].sql)
            made_up = (
                "is_synthetic" in relation.columns
                and relation.aggregate("bool_or(is_synthetic)").fetchone()[0]
            )
            asset = assets[f"charts/{chart.id}.yaml"]
            assert (MADE_UP in asset["slice_name"]) == bool(made_up), chart.id
            assert ("made-up" in asset["description"]) == bool(made_up), chart.id
    assert MADE_UP in assets["dashboards/overview.yaml"]["dashboard_title"]


@pytest.mark.slow
def test_there_is_a_metric_for_every_metric_definition(assets, published):
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as connection:
        defined = connection.execute(
            "select metric_id, label_zh from reference.metric_definitions"
        ).fetchall()
    saved = {
        m["metric_name"]: m["verbose_name"] for m in assets["datasets/warehouse/metrics.yaml"]["metrics"]
    }
    assert {k: saved.get(k) for k, _ in defined} == dict(defined)


@pytest.mark.slow
@pytest.mark.parametrize("chart", DASHBOARD.charts, ids=lambda c: c.id)
def test_dataset_and_metrics_give_what_sql_on_the_tables_gives(chart, assets, published):
    dataset = assets[f"datasets/warehouse/{chart.dataset}.yaml"]
    expressions = {m["metric_name"]: m["expression"] for m in dataset["metrics"]}
    rows = ", ".join(f'"{r}"' for r in chart.rows)
    chosen = " and ".join(f'"{f.column}" in ({", ".join(repr(v) for v in f.values)})' for f in chart.filters)
    metrics = "".join(f", {expressions[m]}" for m in chart.metrics)
    query = f"select {rows}{metrics} from ({dataset['sql']}) where {chosen or 'true'}"
    if metrics:
        query += f" group by {rows}"
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as connection:
        shown = connection.execute(query).fetchall()
        expected = connection.execute(chart.answer).fetchall()
    assert shown
    assert differences(shown, expected) == []


def test_both_filters_find_their_column_in_datasets_of_households():
    for reader_filter in DASHBOARD.filters:
        having = [d.name for d in DASHBOARD.datasets if f"as {reader_filter.column}" in d.sql]
        assert len(having) >= 4, reader_filter.column


@pytest.mark.slow
def test_series_run_in_time_every_label_is_written_and_the_matrix_shows_one_region(assets):
    bars = [a["params"] for a in assets.values() if a.get("viz_type") == "echarts_timeseries_bar"]
    assert len(bars) >= 4
    for params in bars:
        assert (params["sort_series_type"], params["sort_series_ascending"]) == ("name", True)
        assert params["xAxisLabelInterval"] == "0"
    for params in (a["params"] for a in assets.values() if a.get("viz_type") == "heatmap_v2"):
        assert (params["xscale_interval"], params["yscale_interval"]) == (1, 1)
    *_, matrix = assets["dashboards/overview.yaml"]["metadata"]["native_filter_configuration"]
    assert matrix["controlValues"]["defaultToFirstItem"]
    assert not matrix["controlValues"]["multiSelect"]
    place = 1 + [c.id for c in DASHBOARD.charts].index("transitions")
    assert set(matrix["scope"]["excluded"]) == {*range(1, 1 + len(DASHBOARD.charts))} - {place}


@pytest.mark.slow
def test_labels_sort_in_the_order_of_time(published):
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as connection:
        waves = connection.sql(
            f"select distinct survey_id, wave_order, wave_label from ({DATASETS['bands'].sql}) order by 1, 2"
        ).fetchall()
    for survey in {s for s, *_ in waves}:
        labels = [label for s, _, label in waves if s == survey]
        assert labels == sorted(labels)


def test_tables_of_numbers_have_intervals_and_say_what_is_made_up():
    for chart in (c for c in DASHBOARD.charts if c.id in ("intervals", "coefficients")):
        assert {"ci_low", "ci_high", "made_up_label"} <= {*chart.rows}


def test_an_unknown_field_is_refused(tmp_path):
    path = tmp_path / "dashboard.yml"
    path.write_text(SPECIFICATION.read_text(encoding="utf-8") + "\ncolour: red\n", encoding="utf-8")
    with pytest.raises(ValidationError, match="colour"):
        load_dashboard(CONTRACT, path)


def test_words_of_a_column_without_codes_are_refused(tmp_path):
    path = tmp_path / "dashboard.yml"
    path.write_text(SPECIFICATION.read_text(encoding="utf-8").replace("{rule}", "{file}"), encoding="utf-8")
    with pytest.raises(KeyError, match="file"):
        load_dashboard(CONTRACT, path)


def test_no_chart_shows_a_code_that_has_a_word():
    coded = CONTRACT.words().keys()
    assert {"verdict", "test", "rule", "grain", "wave", "status"} <= coded
    assert [(c.id, r) for c in DASHBOARD.charts for r in c.rows if r in coded] == []


def test_words_in_datasets_are_those_of_the_contract():
    with duckdb.connect() as connection:
        for column, words in CONTRACT.words().items():
            codes = ", ".join(f"({sql.text(code)})" for code in [*words, "of its own"])
            query = f'select {word_sql(column, words)} from (values {codes}) as c ("{column}")'
            shown = [word for (word,) in connection.execute(query).fetchall()]
            assert shown == [*(word.zh for word in words.values()), "of its own"]


def test_identifiers_are_stable_and_differ():
    assert identifier("chart", "bands") == identifier("chart", "bands")
    assert identifier("chart", "bands") != identifier("dataset", "bands")


def test_the_address_opens_for_reading_and_reaches_no_other_file(tmp_path):
    uri = database_uri(tmp_path / "warehouse.duckdb")
    assert uri.startswith(f"duckdb:///{tmp_path}/warehouse.duckdb?")
    assert "access_mode=READ_ONLY" in uri
    assert "enable_external_access=false" in uri


def test_the_comparison_sees_a_wrong_number_a_missing_row_and_a_wrong_label():
    expected = [("a", 0.5, None), ("b", 2, "x")]
    assert differences([("b", 2.0, "x"), ("a", 0.5 + 1e-12, None)], expected) == []
    assert differences([("b", 2.0, "x"), ("a", 0.501, None)], expected)
    assert differences([("b", 2.0, "x")], expected) == ["1 rows, SQL gives 2"]
    assert differences([("b", 2.0, "y"), ("a", 0.5, None)], expected)
    assert differences([("b", 2.0, "x"), ("a", None, None)], expected)


def test_no_secret_is_written_down():
    folder = SPECIFICATION.parent
    for path in folder.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "SECRET_KEY = '" not in text
        assert 'SECRET_KEY = "' not in text
        assert 'password="' not in text
    assert 'os.environ["SUPERSET_SECRET_KEY"]' in (folder / "superset_config.py").read_text(encoding="utf-8")
