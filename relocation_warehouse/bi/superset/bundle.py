"""The dashboard as Superset assets, generated from `dashboard.yml`, the contract and the published file.

Labels, descriptions and metrics are those of the warehouse, so the dashboard cannot say other things than the data
dictionary does. Identifiers are derived from names: importing again updates. Belongs here: assets as text. Does not
belong here: talking to a server (`client`).
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import duckdb
from pydantic import Field, TypeAdapter

from relocation_warehouse.contract.tables import Contract, Words
from relocation_warehouse.ground import sql
from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.vocabulary import Closed, Identifier

SPECIFICATION = Path(__file__).with_name("dashboard.yml")
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "relocation-warehouse/superset")
MADE_UP = "（含虚构数据）"
MADE_UP_EN = "Contains made-up data (is_synthetic); no survey of households stands behind it."
GRID_COLUMNS = 12
ROW_LIMIT = 10000


class Metric(Closed):
    """A saved metric of a dataset."""

    name: Identifier
    label: str
    sql: str


class Dataset(Closed):
    """SQL over published tables."""

    name: Identifier
    sql: str
    columns: dict[str, str]
    metrics: tuple[Metric, ...]
    metric_definitions: bool = False


class Filter(Closed):
    """Rows that a chart shows."""

    column: str
    values: tuple[str, ...]


class Chart(Closed):
    """One chart, and the SQL that gives its numbers without the dataset."""

    id: Identifier
    title: str
    dataset: Identifier
    viz: Literal["table", "bar", "heatmap", "radar"]
    width: int = Field(ge=3, le=GRID_COLUMNS)
    rows: tuple[str, ...]
    metrics: tuple[str, ...]
    answer: str
    filters: tuple[Filter, ...] = ()
    stacked: bool = False
    description: str = ""


class DashboardFilter(Closed):
    """A filter that the reader sets: for the dashboard, or for one chart, which then shows one value at a time."""

    column: str
    label: str
    dataset: Identifier | None = None
    chart: Identifier | None = None


class Dashboard(Closed):
    """Everything of `dashboard.yml`."""

    title: str
    filters: tuple[DashboardFilter, ...]
    datasets: tuple[Dataset, ...]
    charts: tuple[Chart, ...]


def load_dashboard(contract: Contract, path: Path = SPECIFICATION) -> Dashboard:
    """Read `dashboard.yml` and put the words of codes into the SQL of its datasets.

    Raises
    ------
    pydantic.ValidationError
        A field is missing, unknown or of a wrong type.
    KeyError
        A dataset asks for the words of a column that has none.
    """
    dashboard = TypeAdapter(Dashboard).validate_python(read_yaml(path))
    said = {column: word_sql(column, words) for column, words in contract.words().items()}
    datasets = [d.model_copy(update={"sql": d.sql.format_map(said)}) for d in dashboard.datasets]
    return dashboard.model_copy(update={"datasets": tuple(datasets)})


def word_sql(column: str, words: Words) -> str:
    """SQL for the Chinese word of a code in a column of table c."""
    field = sql.identifier("c", column)
    cases = " ".join(f"when {sql.text(code)} then {sql.text(word.zh)}" for code, word in words.items())
    return f"case {field} {cases} else {field} end"


def identifier(kind: str, name: str) -> str:
    """The same identifier for the same asset in every import."""
    return str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))


def database_uri(database: Path) -> str:
    """Address of the published file: read-only, and no other file can be reached through it."""
    return (
        f"duckdb:///{database.absolute()}?access_mode=READ_ONLY&enable_external_access=false"
        "&lock_configuration=true"
    )


def bundle(dashboard: Dashboard, contract: Contract, database: Path) -> bytes:
    """Write the assets as the ZIP file that Superset imports.

    Parameters
    ----------
    dashboard
        What to show.
    contract
        Labels and descriptions of columns.
    database
        The published file; types of columns, metric definitions and what is made up are read from it.

    Raises
    ------
    ValueError
        A chart uses a column or metric that its dataset does not have.
    """
    with duckdb.connect(str(database), read_only=True) as connection:
        definitions = _rows(connection, "from reference.metric_definitions order by display_order")
        datasets = {d.name: _dataset(d, contract, connection, definitions) for d in dashboard.datasets}
        made_up = {d.name: _is_made_up(d, connection) for d in dashboard.datasets}
    charts = {c.id: _chart(c, datasets[c.dataset], made_up[c.dataset]) for c in dashboard.charts}
    assets: dict[str, Any] = {
        "metadata.yaml": {"version": "1.0.0", "type": "assets", "timestamp": "2000-01-01T00:00:00+00:00"},
        "databases/warehouse.yaml": {
            "database_name": "relocation warehouse",
            "sqlalchemy_uri": database_uri(database),
            "expose_in_sqllab": True,
            "allow_dml": False,
            "allow_ctas": False,
            "allow_cvas": False,
            "allow_file_upload": False,
            "extra": {"allows_virtual_table_explore": True},
            "uuid": identifier("database", "warehouse"),
            "version": "1.0.0",
        },
        **{f"datasets/warehouse/{name}.yaml": asset for name, asset in datasets.items()},
        **{f"charts/{name}.yaml": asset for name, asset in charts.items()},
        "dashboards/overview.yaml": _dashboard(dashboard, charts, any(made_up.values())),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, asset in assets.items():
            # JSON is YAML; a fixed time makes the same assets the same bytes
            entry = zipfile.ZipInfo(f"bundle/{name}", date_time=(2000, 1, 1, 0, 0, 0))
            archive.writestr(entry, json.dumps(asset, ensure_ascii=False, indent=1))
    return out.getvalue()


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _is_made_up(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> bool:
    """True where any row of the dataset derives from made-up data."""
    columns = {row["column_name"] for row in _rows(connection, f"describe {dataset.sql}")}
    if "is_synthetic" not in columns:
        return False
    return bool(
        _rows(connection, f"select bool_or(is_synthetic) as made_up from ({dataset.sql})")[0]["made_up"]
    )


def _dataset(
    dataset: Dataset,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    definitions: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    table = next(t for t in contract if f"from {t.full_name} as c" in dataset.sql)
    described = {c.name: c for c in table.columns}
    columns = []
    for row in _rows(connection, f"describe {dataset.sql}"):
        name = row["column_name"]
        column = described.get(name)
        columns.append(
            {
                "column_name": name,
                "verbose_name": column.zh if column else dataset.columns[name],
                "description": column.en if column else None,
                "type": row["column_type"],
                "groupby": True,
                "filterable": True,
                "is_active": True,
            }
        )
    metrics = [
        {"metric_name": m.name, "verbose_name": m.label, "expression": m.sql, "d3format": ",.4~g"}
        for m in dataset.metrics
    ]
    if dataset.metric_definitions:
        metrics += [_defined_metric(definition) for definition in definitions]
    return {
        "table_name": dataset.name,
        "description": f"{table.description.zh} · {table.description.en} ({table.full_name})",
        "sql": dataset.sql,
        "columns": columns,
        "metrics": metrics,
        "normalize_columns": False,
        "always_filter_main_dttm": False,
        "uuid": identifier("dataset", dataset.name),
        "database_uuid": identifier("database", "warehouse"),
        "version": "1.0.0",
    }


def _defined_metric(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Make a comparison metric of the warehouse from its additive parts, so that it holds over any grouping."""
    rows = f"filter (where metric_id = '{definition['metric_id']}')"
    note = definition["comparability_note"]
    return {
        "metric_name": definition["metric_id"],
        "verbose_name": definition["label_zh"],
        "description": f"{definition['formula']} [{definition['unit']}]" + (f"; {note}" if note else ""),
        "expression": f"sum(value_x_n) {rows} / sum(n) {rows}",
        "d3format": ",.4~g",
    }


def _chart(chart: Chart, dataset: Mapping[str, Any], is_made_up: bool) -> dict[str, Any]:
    columns = {c["column_name"] for c in dataset["columns"]}
    metrics = {m["metric_name"] for m in dataset["metrics"]}
    used = {*chart.rows, *(f.column for f in chart.filters)}
    if used - columns or set(chart.metrics) - metrics:
        absent = sorted((used - columns) | (set(chart.metrics) - metrics))
        raise ValueError(
            f"dashboard.yml: chart {chart.id}: {', '.join(absent)} not in dataset {chart.dataset}"
        )
    # a radar writes the names of metrics on its axes, so there they carry their labels
    shown = [_labelled(m, dataset) if chart.viz == "radar" else m for m in chart.metrics]
    filters = [{"col": f.column, "op": "IN", "val": list(f.values)} for f in chart.filters]
    query = {
        "columns": list(chart.rows),
        "metrics": shown or None,
        "filters": filters,
        "row_limit": ROW_LIMIT,
    }
    context = {
        "datasource": {"id": 0, "type": "table"},
        "force": False,
        "queries": [query],
        "form_data": {"viz_type": VIZ_TYPES[chart.viz]},
        "result_format": "json",
        "result_type": "full",
    }
    notes = [chart.description, MADE_UP_EN if is_made_up else "", str(dataset["description"])]
    return {
        "slice_name": chart.title + (MADE_UP if is_made_up else ""),
        "description": " ".join(n for n in notes if n),
        "viz_type": VIZ_TYPES[chart.viz],
        "params": {
            "viz_type": VIZ_TYPES[chart.viz],
            "adhoc_filters": [
                {
                    "clause": "WHERE",
                    "expressionType": "SIMPLE",
                    "subject": f.column,
                    "operator": "IN",
                    "comparator": list(f.values),
                }
                for f in chart.filters
            ],
            "row_limit": ROW_LIMIT,
            **_parameters(chart, shown, dataset),
        },
        "query_context": json.dumps(context),
        "uuid": identifier("chart", chart.id),
        "dataset_uuid": dataset["uuid"],
        "version": "1.0.0",
    }


def _labelled(metric: str, dataset: Mapping[str, Any]) -> dict[str, Any]:
    saved = next(m for m in dataset["metrics"] if m["metric_name"] == metric)
    return {"expressionType": "SQL", "sqlExpression": saved["expression"], "label": saved["verbose_name"]}


VIZ_TYPES = {"table": "table", "bar": "echarts_timeseries_bar", "heatmap": "heatmap_v2", "radar": "radar"}


def _parameters(chart: Chart, metrics: list[Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
    """What Superset calls the parts of a chart of this kind."""
    rows = list(chart.rows)
    if chart.viz == "table":
        types = {c["column_name"]: c["type"] for c in dataset["columns"]}
        numbers = {r: {"d3NumberFormat": ",.3~g"} for r in rows if types[r] == "DOUBLE"}
        mode = (
            {"query_mode": "aggregate", "groupby": rows}
            if metrics
            else {"query_mode": "raw", "all_columns": rows}
        )
        return {**mode, "metrics": metrics, "column_config": numbers}
    if chart.viz == "bar":
        return {
            "x_axis": rows[0],
            "groupby": rows[1:],
            "metrics": metrics,
            "stack": "Stack" if chart.stacked else None,
            "x_axis_sort": rows[0],
            "x_axis_sort_asc": True,
            # names of waves and bands begin with their place in order; Superset would sort series by their sum
            "sort_series_type": "name",
            "sort_series_ascending": True,
            # every label of the axis is written
            "xAxisLabelInterval": "0",
            "xAxisLabelRotation": 45,
            "show_legend": True,
            "rich_tooltip": True,
            "truncate_metric": True,
        }
    if chart.viz == "heatmap":
        return {
            "x_axis": rows[0],
            "groupby": rows[1],
            "metric": metrics[0],
            "sort_x_axis": "alpha_asc",
            "sort_y_axis": "alpha_asc",
            "xscale_interval": 1,
            "yscale_interval": 1,
            "normalize_across": "heatmap",
            "linear_color_scheme": "superset_seq_1",
            "show_values": True,
            "show_legend": True,
            "value_bounds": [None, None],
            "y_axis_format": ",.3~g",
        }
    return {
        "groupby": rows,
        "metrics": metrics,
        "is_circle": False,
        "show_legend": True,
        "show_labels": False,
        # left alone, every axis of a radar ends at its own largest value
        "column_config": {
            m: {"radarMetricMinValue": 0, "radarMetricMaxValue": 1} for m in (x["label"] for x in metrics)
        },
    }


def _dashboard(
    dashboard: Dashboard, charts: Mapping[str, Mapping[str, Any]], is_made_up: bool
) -> dict[str, Any]:
    rows: list[list[Chart]] = []
    for chart in dashboard.charts:
        if not rows or sum(c.width for c in rows[-1]) + chart.width > GRID_COLUMNS:
            rows.append([])
        rows[-1].append(chart)
    position: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {
            "type": "GRID",
            "id": "GRID_ID",
            "parents": ["ROOT_ID"],
            "children": [f"ROW-{i}" for i in range(len(rows))],
        },
    }
    for i, row in enumerate(rows):
        position[f"ROW-{i}"] = {
            "type": "ROW",
            "id": f"ROW-{i}",
            "parents": ["ROOT_ID", "GRID_ID"],
            "children": [f"CHART-{c.id}" for c in row],
            "meta": {"background": "BACKGROUND_TRANSPARENT"},
        }
        for chart in row:
            position[f"CHART-{chart.id}"] = {
                "type": "CHART",
                "id": f"CHART-{chart.id}",
                "parents": ["ROOT_ID", "GRID_ID", f"ROW-{i}"],
                "children": [],
                "meta": {
                    # replaced by the real number on import
                    "chartId": 1 + dashboard.charts.index(chart),
                    "uuid": charts[chart.id]["uuid"],
                    "sliceName": charts[chart.id]["slice_name"],
                    "width": chart.width,
                    "height": 50,
                },
            }
    return {
        "dashboard_title": dashboard.title + (MADE_UP if is_made_up else ""),
        "description": MADE_UP_EN if is_made_up else "",
        "slug": "overview",
        "published": True,
        "position": position,
        "metadata": {
            "native_filter_configuration": [_filter(f, dashboard) for f in dashboard.filters],
            "cross_filters_enabled": True,
            "refresh_frequency": 0,
            "color_scheme": "supersetColors",
        },
        "uuid": identifier("dashboard", "overview"),
        "version": "1.0.0",
    }


def _filter(reader_filter: DashboardFilter, dashboard: Dashboard) -> dict[str, Any]:
    source = next(
        d
        for d in dashboard.datasets
        if f"as {reader_filter.column}" in d.sql
        and (d.name == reader_filter.dataset if reader_filter.dataset else d.metric_definitions)
    )
    is_of_one = reader_filter.chart is not None
    # the numbers that charts have in this file; the import turns them into those of Superset
    others = [n for n, c in enumerate(dashboard.charts, start=1) if is_of_one and c.id != reader_filter.chart]
    return {
        "id": f"NATIVE_FILTER-{'-'.join(filter(None, (reader_filter.chart, reader_filter.column)))}",
        "type": "NATIVE_FILTER",
        "filterType": "filter_select",
        "name": reader_filter.label,
        "targets": [
            {"column": {"name": reader_filter.column}, "datasetUuid": identifier("dataset", source.name)}
        ],
        "controlValues": {
            "multiSelect": not is_of_one,
            "enableEmptyFilter": is_of_one,
            "defaultToFirstItem": is_of_one,
            "sortAscending": True,
        },
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "scope": {"rootPath": ["ROOT_ID"], "excluded": others},
        "cascadeParentIds": [],
    }
