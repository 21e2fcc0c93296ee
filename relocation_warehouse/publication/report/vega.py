"""Vega-Lite specifications, written down as what they are: nested dicts over the rows of data frames.

Belongs here: the parts of Vega-Lite that `figures` draws with. Does not belong here: a figure.

Altair has a class for every word of the language and asks the schema about each; loading it costs every refresh more
than drawing all figures this way. What it makes of the same figure is the same, which a test compares.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.4.1.json"
SIZE = {"continuousWidth": 300, "continuousHeight": 300}
"""Pixels of a view that is not told how large to be."""

TYPES = {"Q": "quantitative", "N": "nominal", "O": "ordinal"}
SECOND_ENDS = ("x2", "y2")
"""Channels that have the type of the first end."""

_AGGREGATE = re.compile(r"(\w+)\((.*)\)")


def field(shorthand: str, **given: Any) -> Spec:
    """A column as `name:T` or `sum(name):T`, with T one of Q, N and O, and how a channel shows it."""
    name, _, kind = shorthand.rpartition(":")
    aggregate = _AGGREGATE.fullmatch(name)
    column = {"aggregate": aggregate[1], "field": aggregate[2]} if aggregate else {"field": name}
    return {**column, "type": TYPES[kind], **given}


def part(**words: Any) -> Spec:
    """A part of a specification, such as a scale or an axis, in Vega-Lite's own words."""
    return words


def value(constant: Any) -> Spec:
    """What a channel shows whatever the row."""
    return {"value": constant}


def either(test: str, then: Any, otherwise: Any) -> Spec:
    """One constant for rows that pass a test, and another one for the rest."""
    return {"condition": {"test": test, "value": then}, "value": otherwise}


def step(pixels: int) -> Spec:
    """Width or height of each row or column."""
    return {"step": pixels}


@dataclass(frozen=True)
class Chart:
    """A mark for each row of a frame, or several such views in layers.

    Attributes
    ----------
    rows
        The frame; None where layers have each their own.
    parts
        What the specification says beside its data, by Vega-Lite's own words.
    """

    rows: pd.DataFrame | None
    parts: Mapping[str, Any]

    def mark(self, kind: str, **given: Any) -> Chart:
        """Draw rows as marks of a kind."""
        return self.having(mark={"type": kind, **_sorted(given)})

    def encode(self, **channels: Any) -> Chart:
        """Show columns, each a `field`, a shorthand or a constant, in channels beside those it has."""
        known = self.parts.get("encoding", {}) | {name: _channel(name, c) for name, c in channels.items()}
        return self.having(encoding=_sorted(known))

    def where(self, test: str | Spec) -> Chart:
        """Keep the rows that pass a test, or that a parameter selects."""
        return self.having(transform=[*self.parts.get("transform", ()), {"filter": test}])

    def having(self, **parts: Any) -> Chart:
        """Say something else of the whole chart, such as its width."""
        return replace(self, parts={**self.parts, **parts})

    def spec(self) -> Spec:
        """The whole specification, with its rows in `datasets`."""
        datasets: dict[str, list[Spec]] = {}
        return {
            "config": {"view": SIZE},
            **self.view(datasets),
            "$schema": SCHEMA,
            "datasets": datasets,
        }

    def view(self, datasets: dict[str, list[Spec]]) -> Spec:
        """The specification as part of another one, to whose `datasets` its rows are added."""
        own: Spec = dict(self.parts)
        if self.rows is not None:
            rows = _records(self.rows)
            name = f"data-{hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()[:32]}"
            datasets[name] = rows
            own["data"] = {"name": name}
        if "layer" in own:
            own["layer"] = [layer.view(datasets) for layer in own["layer"]]
        first = ("layer",) if "layer" in own else ("data", "mark", "encoding")
        order = [*(word for word in first if word in own), *sorted({*own} - {*first})]
        return {word: own[word] for word in order}


def chart(rows: pd.DataFrame) -> Chart:
    """A chart of the rows of a frame."""
    return Chart(rows, {})


def layered(*charts: Chart, **parts: Any) -> Chart:
    """Charts over each other, the first at the bottom; rows that all share are named once."""
    rows = charts[0].rows
    if any(layer.rows is not rows for layer in charts):
        return Chart(None, {"layer": charts, **parts})
    return Chart(rows, {"layer": [replace(layer, rows=None) for layer in charts], **parts})


def stacked(charts: Iterable[Chart]) -> Spec:
    """The specification of charts below each other."""
    datasets: dict[str, list[Spec]] = {}
    views = [one.view(datasets) for one in charts]
    return {"config": {"view": SIZE}, "vconcat": views, "$schema": SCHEMA, "datasets": datasets}


def _channel(name: str, given: Any) -> Any:
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [_channel(name, one) for one in given]
    known: Spec = field(given) if isinstance(given, str) else given
    return {k: v for k, v in known.items() if k != "type" or name not in SECOND_ENDS}


def _sorted(part: Any) -> Any:
    """Words in alphabetical order, so that the same chart is the same text however it was written."""
    if isinstance(part, Mapping):
        return {word: _sorted(part[word]) for word in sorted(part)}
    return [_sorted(one) for one in part] if isinstance(part, (list, tuple)) else part


def _records(frame: pd.DataFrame) -> list[Spec]:
    """Rows as JSON has them: no value, not a number and infinity are null."""
    known = frame.notna() & ~frame.isin([np.inf, -np.inf])
    rows = frame.astype(object).where(known, None).to_dict(orient="records")
    return [{str(name): _plain(cell) for name, cell in row.items()} for row in rows]


def _plain(cell: Any) -> Any:
    return cell.tolist() if isinstance(cell, np.ndarray) else cell
