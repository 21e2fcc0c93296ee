"""Superset's REST interface, and the comparison of what its charts show with SQL on the warehouse.

Belongs here: requests and comparison. Does not belong here: starting a server (`server`) or assets (`bundle`).
"""

from __future__ import annotations

import html
import json
import math
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import requests

from relocation_warehouse.bi.superset.bundle import Chart, Dashboard, identifier
from relocation_warehouse.bi.superset.server import Server

TOLERANCE = 1e-9
SECONDS = 120


class Client:
    """A session of the administrator."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.session = requests.Session()
        login = {"username": server.username, "password": server.password, "provider": "db"}
        token = self.call("POST", "/api/v1/security/login", json=login)["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.session.headers["X-CSRFToken"] = self.call("GET", "/api/v1/security/csrf_token/")["result"]
        self.session.headers["Referer"] = self.url

    def call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Send a request; the answer as a dict.

        Raises
        ------
        RuntimeError
            The server refused; the message is its own.
        """
        answer = self.session.request(method, self.url + path, timeout=SECONDS, **arguments)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code}: {answer.text[:2000]}")
        return dict(answer.json())

    def import_bundle(self, content: bytes) -> None:
        """Import assets; those that exist are updated."""
        self.call(
            "POST", "/api/v1/assets/import/", files={"bundle": ("bundle.zip", content, "application/zip")}
        )

    def assets(self) -> dict[str, list[tuple[int, str]]]:
        """Number and identifier of every database, dataset, chart and dashboard."""
        return {
            kind: sorted(
                (a["id"], a["uuid"]) for a in self.call("GET", f"/api/v1/{kind}/?q=(page_size:500)")["result"]
            )
            for kind in ("database", "dataset", "chart", "dashboard")
        }

    def rows(self, chart: Chart, number: int, extra: Iterable[dict[str, Any]] = ()) -> list[tuple[Any, ...]]:
        """Run the query that was imported with a chart.

        Parameters
        ----------
        chart
            The chart.
        number
            Its number in this server.
        extra
            Filters that a reader sets on the dashboard.
        """
        stored = self.call("GET", f"/api/v1/chart/{number}")["result"]
        context = json.loads(stored["query_context"])
        context["force"] = True
        context["queries"][0]["filters"] += list(extra)
        (result,) = self.call("POST", "/api/v1/chart/data", json=context)["result"]
        metrics = context["queries"][0]["metrics"] or ()
        names = (*chart.rows, *(m if isinstance(m, str) else m["label"] for m in metrics))
        return [tuple(row[name] for name in names) for row in result["data"]]


def differences(shown: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]]) -> list[str]:
    """Say which rows differ; the order of rows does not count."""
    if len(shown) != len(expected):
        return [f"{len(shown)} rows, SQL gives {len(expected)}"]
    pairs = zip(sorted(shown, key=_order), sorted(expected, key=_order), strict=True)
    return [f"{a}, SQL gives {b}" for a, b in pairs if not all(map(_agree, a, b))]


def _order(row: tuple[Any, ...]) -> list[str]:
    return [f"{v:.6g}" if isinstance(v, float | int) and not isinstance(v, bool) else str(v) for v in row]


def _agree(a: Any, b: Any) -> bool:
    numbers = isinstance(a, float | int) and isinstance(b, float | int)
    return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) if numbers else bool(a == b)


def check(
    server: Server, dashboard: Dashboard, content: bytes, database: Path, one_value: bool = False
) -> Iterable[str]:
    """Import twice and compare every chart with SQL; yields a line for each thing that holds.

    Parameters
    ----------
    server
        A running server.
    dashboard, content
        What is imported, described and as a bundle.
    database
        The published file.
    one_value
        Try one value of every filter instead of all.

    Raises
    ------
    RuntimeError
        Something does not hold; the message says what.
    """
    yield _local_page(server)
    client = Client(server)
    client.import_bundle(content)
    first = client.assets()
    client.import_bundle(content)
    _require(client.assets() == first, "the second import made new assets instead of updating")
    numbers = {key: number for number, key in first["chart"]}
    _require(
        len(numbers) == len(dashboard.charts), f"{len(numbers)} charts, {len(dashboard.charts)} described"
    )
    yield "imported twice: " + ", ".join(f"{len(places)} {kind}s" for kind, places in first.items())
    on_dashboard = client.call("GET", "/api/v1/dashboard/overview/charts")["result"]
    _require(len(on_dashboard) == len(dashboard.charts), "charts are missing on the dashboard")
    with duckdb.connect(str(database), read_only=True) as connection:
        for chart in dashboard.charts:
            number = numbers[identifier("chart", chart.id)]
            shown = client.rows(chart, number)
            wrong = differences(shown, connection.execute(chart.answer).fetchall())
            _require(bool(shown) and not wrong, f"chart {chart.id}: " + ("; ".join(wrong[:3]) or "no rows"))
            n_filtered = _check_filters(client, dashboard, chart, number, shown, one_value)
            yield f"{chart.id}: {len(shown)} rows as in SQL, {n_filtered} filtered queries"
    yield _write_is_refused(client, first["database"][0][0])


def _check_filters(
    client: Client,
    dashboard: Dashboard,
    chart: Chart,
    number: int,
    shown: Sequence[tuple[Any, ...]],
    one_value: bool,
) -> int:
    """A filter leaves exactly the rows of the chosen value, and a dataset without its column as it is."""
    n_queries = 0
    dataset = next(d for d in dashboard.datasets if d.name == chart.dataset)
    for reader_filter in dashboard.filters:
        if reader_filter.column not in dataset.columns:
            rows = client.rows(chart, number, [{"col": reader_filter.column, "op": "IN", "val": ["none"]}])
            _require(not differences(rows, shown), f"chart {chart.id} changes with {reader_filter.column}")
            n_queries += 1
        if reader_filter.column not in chart.rows:
            continue
        place = chart.rows.index(reader_filter.column)
        values = sorted({row[place] for row in shown})
        for value in values[:1] if one_value else values:
            rows = client.rows(chart, number, [{"col": reader_filter.column, "op": "IN", "val": [value]}])
            wrong = differences(rows, [row for row in shown if row[place] == value])
            _require(not wrong, f"chart {chart.id} with {reader_filter.column} = {value}: {wrong[:3]}")
            n_queries += 1
    return n_queries


def _local_page(server: Server) -> str:
    """The page is Chinese, and its policy lets nothing be fetched from or sent to another host."""
    page = requests.get(f"{server.url}/login/", timeout=SECONDS)
    policy = page.headers.get("Content-Security-Policy", "")
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; ") if " " in rule)
    _require({"default-src", "img-src", "connect-src"} <= set(rules), f"no complete policy: {policy!r}")
    remote = [word for words in rules.values() for word in words.split() if not word.startswith("'")]
    _require(set(remote) <= {"blob:", "data:"}, f"the policy allows other hosts: {remote}")
    _require('"locale": "zh"' in html.unescape(page.text), "the page is not Chinese")
    return "the page is Chinese, and its policy allows no other host"


def _write_is_refused(client: Client, database_number: int) -> str:
    """SQL that reads the tables is answered; SQL that writes, or reads another file, is refused."""

    def run(statement: str) -> dict[str, Any]:
        query = {"database_id": database_number, "runAsync": False, "client_id": secrets.token_hex(5)}
        return client.call("POST", "/api/v1/sqllab/execute/", json={**query, "sql": statement})

    counted = run("select count(*) as n from reference.surveys")
    _require(counted["data"][0]["n"] > 0, "SQL that only reads is not answered")
    for statement in ("create table reference.intruder (a int)", "select * from read_text('/etc/hostname')"):
        try:
            run(statement)
        except RuntimeError:
            continue
        raise RuntimeError(f"the server ran: {statement}")
    return "SQL reads the tables; writing and reading other files are refused"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RuntimeError(message)
