"""The figures: data frames in, Vega-Lite charts out.

Belongs here: marks, scales and colours. Does not belong here: queries (`data`), wording around a figure (`page`).
A figure is a row of panels, each a single view as wide as its container, so that it fits a phone and a print.
Colours of text and grid come from the page, which knows whether it is light or dark.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from relocation_warehouse.publication.report import vega
from relocation_warehouse.publication.report.data import Language, localise
from relocation_warehouse.survey.vocabulary import SIGNIFICANT

REGION_COLOURS = ["#2878b5", "#d1682f", "#2f9e77", "#b8559a", "#b58900", "#5b6abf", "#7a8b2a", "#c0504d"]
STATUS_COLOURS = {
    "identical": "#1f7a5c",
    "compatible": "#74c1a3",
    "proxy": "#eec24f",
    "not_asked": "#d5d5d0",
    "undetermined": "#dd7f6b",
}
VERDICT_COLOURS = {
    "follows": "#1f7a5c",
    "recomputed": "#2878b5",
    "refuted": "#c8553d",
    "made_to_match": "#74a9cf",
    "off_target": "#eec24f",
    "not_aimed_at": "#b9c6d6",
    "unreadable": "#8d8d86",
    "background": "#dcdcd6",
    "blank": "#b8cdb9",
    "consistent": "#74c1a3",
    "inconsistent": "#eec24f",
    "impossible": "#c8553d",
    "not_testable": "#c9c9c3",
}
HEAT = ["#eef5f3", "#bfe0d6", "#7fc0b1", "#3f988a", "#156f66", "#0b4744"]
DIVERGING = ["#9c3d1f", "#d98b62", "#f3dccb", "#f5f5f2", "#cfe3e0", "#69aaa4", "#12655f"]
CLEAR, UNCLEAR = "#1f9384", "#98a3a0"
INK = "#1d2b2a"
"""Text of a mark that would otherwise take the colour of its region."""
IN_THE_DARK = {
    **dict(zip(HEAT, ["#202a29", "#1f3b38", "#1c4f49", "#19625a", "#17766c", "#178478"], strict=True)),
    **dict(zip(DIVERGING[1:6], ["#8f4f2e", "#4a3529", "#262e2c", "#233f3b", "#2c7a72"], strict=True)),
    "#d5d5d0": "#39413f",
    "#c9c9c3": "#4a5250",
    INK: "#e8edeb",
}
"""What the page puts in the place of colours that are near the white of its paper, when its paper is dark."""

_WORDS: dict[str, dict[Language, str]] = {
    "region": {"en": "Region", "zh": "地区"},
    "wave": {"en": "Wave", "zh": "轮次"},
    "value": {"en": "Value", "zh": "数值"},
    "share": {"en": "Share of households", "zh": "住户占比"},
    "n": {"en": "Households", "zh": "住户数"},
    "ci": {"en": "95 % interval", "zh": "95%区间"},
    "indicators": {"en": "Indicators with a value", "zh": "有数据的指标数"},
    "of": {"en": "Indicators in the catalog", "zh": "目录指标数"},
    "status": {"en": "Verdict", "zh": "结论"},
    "evidence": {"en": "Evidence", "zh": "依据"},
    "d": {"en": "Coordination degree D", "zh": "耦合协调度 D"},
    "beta": {"en": "Standardised coefficient", "zh": "标准化系数"},
    "rank": {"en": "Rank (1 = highest)", "zh": "排名（1为最高）"},
    "estimator": {"en": "Estimator", "zh": "估计方法"},
    "level": {"en": "Held equal", "zh": "等值水平"},
    "surveys": {"en": "Surveys", "zh": "调查"},
    "cfi": {"en": "CFI", "zh": "CFI"},
    "rmsea": {"en": "RMSEA", "zh": "RMSEA"},
    "delta_cfi": {"en": "Change of CFI", "zh": "CFI变化"},
    "delta_rmsea": {"en": "Change of RMSEA", "zh": "RMSEA变化"},
    "holds": {"en": "Holds", "zh": "是否成立"},
    "items_to_blame": {"en": "Items to blame", "zh": "不等值题项"},
    "share_of_combinations": {"en": "Share of combinations", "zh": "组合占比"},
    "model": {"en": "Model", "zh": "模型"},
    "measure": {"en": "Measure", "zh": "指标"},
    "points": {"en": "Points (0 to 100)", "zh": "得分（0至100）"},
    "published": {"en": "Printed", "zh": "论文值"},
    "recomputed": {"en": "Recomputed", "zh": "复算值"},
    "difference": {"en": "Recomputed minus printed", "zh": "复算减论文值"},
    "tolerances": {
        "en": "Recomputed minus printed, in tolerances of the figure",
        "zh": "复算减论文值（以该数字的容差为单位）",
    },
    "share_of": {"en": "Share of ", "zh": "占比："},
    "badge": {"en": "Indicators, comparability", "zh": "指标数与可比性"},
    "n_indicators_defined": {"en": "Indicators defined", "zh": "定义所含指标"},
    "system": {"en": "System", "zh": "系统"},
    "n_checks": {"en": "Checks", "zh": "检查次数"},
    "count": {"en": "Printed figures", "zh": "论文数字个数"},
    "tests": {"en": "Tests", "zh": "检验次数"},
    "region_label": {"en": "Region", "zh": "地区"},
    "title": {"en": "Survey", "zh": "调查"},
    "place": {"en": "Place", "zh": "地点"},
    "fieldwork": {"en": "Field work", "zh": "调查时间"},
    "n_sites": {"en": "Sites", "zh": "安置点"},
    "n_households": {"en": "Households", "zh": "户数"},
    "n_stayed": {"en": "Stayed", "zh": "续访"},
    "n_left": {"en": "Left", "zh": "流失"},
    "n_new": {"en": "New", "zh": "新进入"},
    "n_returned": {"en": "Returned", "zh": "返回"},
    "n_split": {"en": "Split off", "zh": "分户"},
    "n_moved": {"en": "Moved to another site", "zh": "更换安置点"},
    "n_in_all_waves": {"en": "In all waves (balanced)", "zh": "全部轮次（平衡样本）"},
    "is_synthetic": {"en": "Made up", "zh": "虚构"},
    "dimension": {"en": "Dimension", "zh": "维度"},
    "indicator": {"en": "Indicator", "zh": "指标"},
    "metric": {"en": "Measure", "zh": "指标"},
    "grouping": {"en": "Grouped by", "zh": "分组依据"},
    "group": {"en": "Group", "zh": "分组"},
    "n_units": {"en": "Sampling units", "zh": "抽样单元数"},
    "term": {"en": "Term", "zh": "变量"},
    "survey": {"en": "Survey", "zh": "调查"},
    "band": {"en": "Band", "zh": "等级"},
    "from": {"en": "From", "zh": "从"},
    "to": {"en": "To", "zh": "到"},
    "lower": {"en": "Lower end", "zh": "下限"},
    "upper": {"en": "Upper end", "zh": "上限"},
    "n_covered": {"en": "With a value", "zh": "有数据"},
    "n_indicators": {"en": "In the catalog", "zh": "目录指标"},
    "n_proxy": {"en": "Of those proxies", "zh": "其中替代"},
    "n_missing": {"en": "Missing", "zh": "缺失"},
    "ci_low": {"en": "Interval from", "zh": "区间下限"},
    "ci_high": {"en": "Interval to", "zh": "区间上限"},
    "beta_low": {"en": "Interval from", "zh": "区间下限"},
    "beta_high": {"en": "Interval to", "zh": "区间上限"},
    "mean_c": {"en": "Mean C", "zh": "平均C"},
    "mean_t": {"en": "Mean T", "zh": "平均T"},
    "d_of_means": {"en": "D of the means", "zh": "均值的D"},
    "covariance": {"en": "Standard errors", "zh": "标准误口径"},
    "stars": {"en": "Stars", "zh": "显著性"},
    "subject": {"en": "About", "zh": "内容"},
    "statistic": {"en": "Statistic", "zh": "统计量"},
    "verdict": {"en": "Verdict", "zh": "结论"},
    "reason": {"en": "Reason", "zh": "原因"},
    "stat_id": {"en": "Figure", "zh": "数字"},
    "finding_id": {"en": "Finding", "zh": "发现"},
    "strength": {"en": "Strength", "zh": "确定程度"},
    "found_by": {"en": "Found by", "zh": "发现方式"},
    "statement": {"en": "What contradicts what", "zh": "矛盾内容"},
    "arithmetic": {"en": "Arithmetic", "zh": "算式"},
    "test": {"en": "Test", "zh": "检验"},
    "survey_id": {"en": "Survey", "zh": "调查"},
    "file": {"en": "File", "zh": "文件"},
    "format": {"en": "Format", "zh": "格式"},
    "encoding": {"en": "Encoding", "zh": "编码"},
    "received": {"en": "Received", "zh": "接收"},
    "accepted": {"en": "Accepted", "zh": "接受"},
    "quarantined": {"en": "Set aside", "zh": "隔离"},
    "row": {"en": "Row", "zh": "行"},
    "column": {"en": "Column", "zh": "列"},
    "rule": {"en": "Rule", "zh": "规则"},
    "message": {"en": "What is wrong", "zh": "问题"},
    "source": {"en": "Source", "zh": "来源"},
    "severity": {"en": "Severity", "zh": "严重程度"},
    "check": {"en": "Check", "zh": "检查"},
    "table": {"en": "Table", "zh": "表"},
    "n_failed": {"en": "Failed", "zh": "失败数"},
    "p": {"en": "p", "zh": "p"},
    "b": {"en": "b", "zh": "b"},
}


def word(key: str, language: Language) -> str:
    """Heading of a column or an axis in one language; an unknown one is itself."""
    return _WORDS[key][language] if key in _WORDS else key.replace("_", " ")


@dataclass(frozen=True)
class Panel:
    """One view of a figure; `min_width` in pixels, below which the page scrolls it sideways."""

    chart: vega.Chart
    title: str = ""
    min_width: int = 0


def _regions(regions: pd.DataFrame, present: pd.Series, language: Language) -> dict[str, str]:
    """Regions that are present, in order, each with the colour that it has in every figure."""
    names = list(regions[f"region_{language}"])
    colours = {n: REGION_COLOURS[k % len(REGION_COLOURS)] for k, n in enumerate(names)}
    return {n: c for n, c in colours.items() if (present == n).any()}


def _scale(colours: dict[str, str]) -> vega.Spec:
    return vega.part(domain=list(colours), range=list(colours.values()))


def _waves(waves: list[str], own: str) -> vega.Spec:
    """The latest wave in the colour of the region, earlier ones in greys."""
    return _scale({w: own if k == len(waves) - 1 else "#98a3a0" for k, w in enumerate(waves)})


def _wrapped(labels: pd.Series, language: Language, width: int) -> list[str]:
    """Labels broken into lines of about `width` Latin letters, all with as many lines as the longest."""
    lines = [_lines(str(v), language, width) for v in labels]
    deepest = max(map(len, lines), default=1)
    return ["\n".join([""] * (deepest - len(one)) + one) for one in lines]


def _lines(label: str, language: Language, width: int) -> list[str]:
    if language == "en":
        return textwrap.wrap(label, width, break_long_words=False)
    step = max(2, width // 2)
    return [label[k : k + step] for k in range(0, len(label), step)]


def _cell_text(field: str) -> Any:
    """Black or white, whichever stands out more from the cell that `field` colours; at least 4.5 to 1 on any colour."""
    cell = f"scale('color', datum['{field}'])"
    return vega.either(f"contrast({cell}, '#000000') >= contrast({cell}, '#ffffff')", "#000000", "#ffffff")


def _heat_map(
    frame: pd.DataFrame, field: str, scale: vega.Spec, y: vega.Spec, tooltip: list[vega.Spec], height: int
) -> Any:
    """Cells coloured by `field` with their `text`, at row `y` and `column`; a pair that is not there has a dash.

    A cell is as wide as its column's label needs and no wider.
    """
    row = y["field"]
    names, rows = list(dict.fromkeys(frame["column"])), list(dict.fromkeys(frame[row]))
    there = set(zip(frame[row], frame["column"], strict=True))
    absent = pd.DataFrame(
        [{row: r, "column": c, "text": "–"} for r in rows for c in names if (r, c) not in there],
        columns=[row, "column", "text"],
    )
    x = _columns(names)
    base = vega.chart(frame).encode(x=x, y=y, tooltip=tooltip)
    colour = vega.field(f"{field}:Q", scale=scale, legend=None)
    layers = [
        base.mark("rect", cornerRadius=3).encode(color=colour),
        base.mark("text", fontSize=11, lineBreak="\n", lineHeight=12, dy=_lifted(frame["text"])).encode(
            text="text:N", color=_cell_text(field)
        ),
    ]
    if len(absent):
        layers.append(vega.chart(absent).mark("text", fontSize=11).encode(x=x, y=y, text="text:N"))
    longest = max((len(line) for name in names for line in str(name).split("\n")), default=0)
    is_wide = any(ord(c) > 0x2E80 for name in names for c in str(name))
    step = max(58, 14 + longest * (13 if is_wide else 7))
    return vega.layered(*layers).having(width=vega.step(step), height=vega.step(height))


def _lifted(texts: pd.Series) -> int:
    """Pixels that text of two lines has to be lifted by to stand in the middle."""
    return -6 if any("\n" in str(text) for text in texts) else 0


SIGNS = {"identical": "=", "compatible": "~", "proxy": "p", "not_asked": "·", "undetermined": "?"}
"""Verdict of comparability -> its sign beside a mark and in a terminal."""


def badges(frame: pd.DataFrame) -> list[str]:
    """Of each mark: indicators answered of those the metric is made of, and the sign of the weakest verdict."""
    return [
        ""
        if pd.isna(known) or pd.isna(defined)
        else f"{known}/{defined} {SIGNS.get(str(status), '')}".strip()
        for known, defined, status in zip(
            frame["n_indicators"].astype("Int64"),
            frame["n_indicators_defined"].astype("Int64"),
            frame["status"],
            strict=True,
        )
    ]


def _stub(frame: pd.DataFrame) -> pd.Series:
    """Label of a row: region and wave."""
    return frame["region"] + " · " + frame["wave"]


def _columns(labels: Sequence[str] | pd.Series) -> vega.Spec:
    """Columns of a matrix under their wrapped labels, in order of first appearance."""
    names = list(dict.fromkeys(labels))
    return vega.field("column:N", sort=names, title=None, axis=_top_axis(names))


def coverage_matrix(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Share of each dimension's indicators that a survey and wave answers."""
    data = localise(frame, language)
    data["column"] = data["region"] + "\n" + data["wave"]
    data["share"] = data["n_covered"] / data["n_indicators"]
    data["text"] = data["n_covered"].astype(str) + "/" + data["n_indicators"].astype(str)
    y = vega.field("dimension:N", sort=list(dict.fromkeys(data["dimension"])), title=None)
    tooltip = [
        vega.field("system:N", title=word("system", language)),
        vega.field("dimension:N", title=word("dimension", language)),
        vega.field("column:N", title=word("wave", language)),
        vega.field("n_covered:Q", title=word("indicators", language)),
        vega.field("n_indicators:Q", title=word("of", language)),
        vega.field("n_proxy:Q", title=word("n_proxy", language)),
    ]
    chart = _heat_map(data, "share", vega.part(domain=[0, 1], range=HEAT), y, tooltip, 23)
    return [Panel(chart)]


def coverage_detail(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Verdict on every indicator, a panel for each system."""
    data = localise(frame, language)
    data["column"] = data["region"] + "\n" + data["wave"]
    longest = int(data["indicator"].str.len().max())
    panels: list[Panel] = []
    for system, rows in data.groupby("system", sort=False):
        y = vega.field(
            "indicator:N",
            sort=list(dict.fromkeys(rows["indicator"])),
            title=None,
            # columns of the panels stand below each other
            axis=vega.part(labelLimit=420, minExtent=longest * (6 if language == "en" else 13)),
        )
        colour = vega.field(
            "status:N",
            scale=_coded(STATUS_COLOURS, frame, "status", language),
            title=None,
            legend=None if panels else vega.part(),
        )
        tooltip = [
            vega.field("indicator:N", title=word("measure", language)),
            vega.field("column:N", title=word("wave", language)),
            vega.field("status:N", title=word("status", language)),
            vega.field("n:Q", title=word("n", language)),
            vega.field("evidence:N", title=word("evidence", language)),
        ]
        chart = (
            vega.chart(rows)
            .mark("rect", cornerRadius=2)
            .encode(x=_columns(rows["column"]), y=y, color=colour, tooltip=tooltip)
            .having(width=vega.step(96), height=vega.step(16))
        )
        panels.append(Panel(chart, str(system)))
    return panels


def capital_heat_map(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Each index by region, wave and kind of evidence."""
    data = localise(frame, language)
    data["row"] = _stub(data).where(
        frame["evidence"] != "printed", _stub(data) + " (" + data["evidence"] + ")"
    )
    data = data.loc[frame.sort_values(["region", "evidence", "wave_order"], kind="stable").index]
    data["column"] = _wrapped(data["metric"], language, 12)
    data["badge"] = badges(frame.loc[data.index])
    data["text"] = [f"{v:.2f}\n{b}".strip() for v, b in zip(data["value"], data["badge"], strict=True)]
    y = vega.field("row:N", sort=list(dict.fromkeys(data["row"])), title=None)
    scale = vega.part(domain=[0, 0.8], range=HEAT, clamp=True)
    return [Panel(_heat_map(data, "value", scale, y, _value_tooltip(language, "row"), 36))]


def outer_ring(frame: pd.DataFrame) -> float:
    """Index that the outer ring of the profiles stands for: the largest one, rounded up to a tenth."""
    values = frame.loc[frame["evidence"] == "household", "value"]
    return max(0.2, math.ceil(values.max() * 10) / 10) if len(values) else 0.2


def pentagons(frame: pd.DataFrame, regions: pd.DataFrame, language: Language) -> list[Panel]:
    """Polygon of the capitals of each region, one outline a wave; vertices are computed here."""
    data = localise(frame[frame["evidence"] == "household"], language)
    axes = list(dict.fromkeys(data["metric"]))
    if len(axes) < 3:
        return []
    angle = {a: math.pi / 2 - 2 * math.pi * k / len(axes) for k, a in enumerate(axes)}
    top = outer_ring(frame)

    def at(axis: str, radius: float) -> dict[str, float]:
        return {"x": radius * math.cos(angle[axis]), "y": radius * math.sin(angle[axis])}

    rings = [
        {"ring": r, "order": k, **at(axes[k % len(axes)], r)}
        for r in (top / 2, top)
        for k in range(len(axes) + 1)
    ]
    spokes = [{"spoke": a, "order": k, **at(a, r)} for a in axes for k, r in enumerate((0.0, top))]
    labels = [{"label": a, **at(a, top * 1.17)} for a in axes]
    inner = math.cos(math.pi / len(axes))
    ring_labels = [{"label": f"{r:.2g}", "x": 0.0, "y": -r * inner} for r in (top / 2, top)]
    limit = top * 1.3
    x = vega.field("x:Q", scale=vega.part(domain=[-limit * 1.15, limit * 1.15]), axis=None)
    y = vega.field("y:Q", scale=vega.part(domain=[-limit, limit]), axis=None)
    grid: dict[str, Any] = {"stroke": "#8a9694", "strokeOpacity": 0.35, "strokeWidth": 1}
    frame_layers = (
        vega.chart(pd.DataFrame(rings))
        .mark("line", **grid)
        .encode(x=x, y=y, order="order:Q", detail="ring:N"),
        vega.chart(pd.DataFrame(spokes))
        .mark("line", **grid)
        .encode(x=x, y=y, order="order:Q", detail="spoke:N"),
        vega.chart(pd.DataFrame(ring_labels))
        .mark("text", fontSize=10, dy=8)
        .encode(x=x, y=y, text="label:N"),
        vega.chart(pd.DataFrame(labels))
        .mark("text", fontSize=11, lineBreak=" ")
        .encode(x=x, y=y, text="label:N"),
    )
    panels = []
    for region, own in _regions(regions, data["region"], language).items():
        part = data[data["region"] == region].sort_values(["wave_order", "display_order"])
        waves = list(dict.fromkeys(part["wave"]))
        points = []
        for wave, rows in part.groupby("wave", sort=False):
            values = dict(zip(rows["metric"], rows["value"], strict=True))
            if len(values) < len(axes):
                points += [
                    {"wave": wave, "metric": a, "value": v, "order": 0, **at(a, v)} for a, v in values.items()
                ]
                continue
            for k in range(len(axes) + 1):
                a = axes[k % len(axes)]
                points.append({"wave": wave, "metric": a, "value": values[a], "order": k, **at(a, values[a])})
        scale = _waves(waves, own)
        outline = vega.chart(pd.DataFrame(points)).encode(
            x=x,
            y=y,
            color=vega.field("wave:N", scale=scale, title=None),
            tooltip=[
                vega.field("metric:N", title=word("measure", language)),
                vega.field("wave:N", title=word("wave", language)),
                vega.field("value:Q", format=".3f", title=word("value", language)),
            ],
        )
        layers = [
            *frame_layers,
            outline.mark("line", strokeWidth=2.2).encode(order="order:Q"),
            outline.mark("point", filled=True, size=44),
        ]
        panels.append(Panel(_sized(vega.layered(*layers), height=270), title=region))
    return panels


def slope(frame: pd.DataFrame, regions: pd.DataFrame, language: Language) -> list[Panel]:
    """Mean D of each region from wave to wave, with 95 % intervals and what they rest on.

    Marks of regions stand side by side around the tick of their wave; labels are kept apart on the outer side.
    """
    data = localise(frame, language).reset_index(drop=True)
    data["badge"] = badges(frame)
    waves = list(dict.fromkeys(data.sort_values("wave_order")["wave"]))
    colours = _regions(regions, data["region"], language)
    shift = {name: (k - (len(colours) - 1) / 2) * 0.05 for k, name in enumerate(colours)}
    data["x"] = [
        waves.index(w) + shift.get(r, 0.0) for w, r in zip(data["wave"], data["region"], strict=True)
    ]
    first = data.groupby("survey_id")["wave_order"].transform("min")
    last = data.groupby("survey_id")["wave_order"].transform("max")
    data["is_left"] = (data["wave_order"] == first) & (first < last)
    data["label"] = [f"{v:.3f}  {b}" for v, b in zip(data["value"], data["badge"], strict=True)]
    ends = pd.concat([data["ci_low"].fillna(data["value"]), data["ci_high"].fillna(data["value"])])
    low, high = float(ends.min()), float(ends.max())
    margin = 0.06 * (high - low or 1)
    domain = [low - margin, high + margin]
    data["label_y"] = data["value"]
    for _, side in data.groupby(["wave", "is_left"]):
        data.loc[side.index, "label_y"] = _apart(side["value"], 15 / 320 * (domain[1] - domain[0]))
    x = vega.field(
        "x:Q",
        title=None,
        scale=vega.part(domain=[-0.6, len(waves) - 0.4], nice=False),
        axis=vega.part(
            values=list(range(len(waves))),
            labelExpr=f"{json.dumps(waves)}[datum.value]",
            grid=False,
            labelFontSize=13,
        ),
    )
    y_title = f"{word('d', language)}, {word('ci', language)}"
    y_scale = vega.part(domain=domain, nice=False, zero=False)
    y = vega.field("value:Q", title=y_title, scale=y_scale)
    tooltip = [
        vega.field("region:N", title=word("region", language)),
        vega.field("wave:N", title=word("wave", language)),
        *_estimate_tooltip(language, "d", ".3f"),
    ]
    base = vega.chart(data).encode(
        x=x, color=vega.field("region:N", scale=_scale(colours), title=None), tooltip=tooltip
    )
    text = vega.chart(data).encode(
        x=x, y=vega.field("label_y:Q", title=y_title, scale=y_scale), text="label:N", tooltip=tooltip
    )
    chart = vega.layered(
        base.mark("line", strokeWidth=2.4).encode(y=y, detail="survey_id:N"),
        base.mark("rule", strokeWidth=1.6).encode(
            y=vega.field("ci_low:Q", title=y_title, scale=y_scale), y2="ci_high:Q"
        ),
        base.mark("point", filled=True, size=90, opacity=1).encode(y=y),
        text.where("datum.is_left").mark("text", align="right", dx=-14, fontSize=12),
        text.where("!datum.is_left").mark("text", align="left", dx=14, fontSize=12),
    )
    return [Panel(_sized(chart, height=320), min_width=480)]


def _apart(values: pd.Series, gap: float) -> list[float]:
    """Places of labels near `values`, in their order, no two closer than `gap`."""
    ordered = values.sort_values()
    places = list(ordered)
    for _ in range(len(places)):
        for k in range(1, len(places)):
            lack = gap - (places[k] - places[k - 1])
            if lack > 0:
                places[k - 1] -= lack / 2
                places[k] += lack / 2
    return list(pd.Series(places, index=ordered.index).reindex(values.index))


def category_dots(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """The mean of each group with its interval, a panel for what groups them."""
    data = localise(frame, language)
    data["badge"] = badges(frame)
    ends = pd.concat([data["value"], data["ci_low"], data["ci_high"]])
    # one scale for all panels, so that regions can be compared
    scale = vega.part(domain=[math.floor(ends.min() * 10) / 10, math.ceil(ends.max() * 10) / 10])
    panels = []
    for (region, grouping), part in data.groupby(["region", "grouping"], sort=False):
        x_title = f"{part['metric'].iloc[0]}, {word('ci', language)}"
        base = vega.chart(part).encode(
            y=vega.field("group:N", sort=list(part["group"]), title=None, axis=vega.part(labelLimit=300)),
            color=vega.value(REGION_COLOURS[0]),
            tooltip=_value_tooltip(language, "group"),
        )
        chart = vega.layered(
            base.mark("rule", strokeWidth=2).encode(
                x=vega.field("ci_low:Q", title=x_title, scale=scale), x2="ci_high:Q"
            ),
            base.mark("point", size=70, filled=True, opacity=1).encode(
                x=vega.field("value:Q", title=x_title, scale=scale)
            ),
        )
        title = f"{region} · {grouping}"
        panels.append(Panel(_sized(chart, height=vega.step(26)), title=title, min_width=340))
    return panels


def category_shares(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Shares of each group that say yes, a matrix for what groups them."""
    data = localise(frame, language)
    data["badge"] = badges(frame)
    data["text"] = [f"{100 * value:.0f} %" for value in data["value"]]
    data["column"] = _wrapped(data["metric"], language, 14)
    panels = []
    for (region, grouping), part in data.groupby(["region", "grouping"], sort=False):
        y = vega.field(
            "group:N", sort=list(dict.fromkeys(part["group"])), title=None, axis=vega.part(labelLimit=300)
        )
        scale = vega.part(domain=[0, 1], range=HEAT)
        chart = _heat_map(part, "value", scale, y, _value_tooltip(language, "group"), 28)
        panels.append(Panel(chart, title=f"{region} · {grouping}"))
    return panels


def distribution(frame: pd.DataFrame, regions: pd.DataFrame, language: Language) -> list[Panel]:
    """Shares of the bands of D in each region, wave beside wave."""
    data = localise(frame, language)
    data["range"] = [f"{a:.1f}–{b:.1f}" for a, b in zip(data["lower"], data["upper"], strict=True)]
    top = float(data["share"].max() or 1)
    panels = []
    for region, own in _regions(regions, data["region"], language).items():
        part = data[data["region"] == region]
        waves = list(dict.fromkeys(part.sort_values("wave_order")["wave"]))
        scale = _waves(waves, own)
        chart = (
            vega.chart(part)
            .mark("bar", cornerRadiusEnd=2)
            .encode(
                x=vega.field("range:O", title=word("d", language), axis=vega.part(labelAngle=-45)),
                xOffset=vega.field("wave:N", sort=waves),
                y=vega.field(
                    "share:Q",
                    title=None,
                    axis=vega.part(format="%", tickCount=4),
                    scale=vega.part(domain=[0, top]),
                ),
                color=vega.field("wave:N", scale=scale, title=None),
                tooltip=[
                    vega.field("band:N", title=word("band", language)),
                    vega.field("wave:N", title=word("wave", language)),
                    vega.field("share:Q", format=".1%", title=word("share", language)),
                    vega.field("n:Q", title=word("n", language)),
                ],
            )
        )
        panels.append(Panel(_sized(chart, height=190), title=region))
    return panels


def flows(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Ribbons from the band of one wave to that of the next; their outlines are computed here."""
    data = localise(frame, language)
    bands = (
        pd.concat(
            [
                data[["order_from", "from"]].set_axis(["order", "band"], axis=1),
                data[["order_to", "to"]].set_axis(["order", "band"], axis=1),
            ]
        )
        .drop_duplicates()
        .sort_values("order")
    )
    names = list(bands["band"])
    palette = ["#c8553d", "#e3a857", "#74c1a3", "#156f66", "#2878b5", "#5b6abf"]
    scale = vega.part(domain=names, range=[palette[k % len(palette)] for k in range(len(names))])
    panels = []
    for (_, region), part in data.groupby(["survey_id", "region"], sort=False):
        ribbons, blocks = _ribbons(part)
        waves = (part["wave_from"].iloc[0], part["wave_to"].iloc[0])
        x = vega.field(
            "x:Q",
            title=None,
            scale=vega.part(domain=[-0.16, 1.16]),
            axis=vega.part(
                values=[0, 1],
                orient="top",
                grid=False,
                labelExpr=f"datum.value < 0.5 ? {waves[0]!r} : {waves[1]!r}",
                domain=False,
                ticks=False,
                labelFlush=False,
            ),
        )
        y = vega.field(
            "y:Q", title=None, axis=None, scale=vega.part(domain=[0, max(1.0, float(blocks["y2"].max()))])
        )
        tooltip = [
            vega.field("from:N", title=waves[0]),
            vega.field("to:N", title=waves[1]),
            vega.field("n:Q", title=word("n", language)),
            vega.field("share:Q", format=".1%", title=word("share", language)),
        ]
        share_of_block = [
            vega.field("band:N", title=word("band", language)),
            vega.field("n:Q", title=word("n", language)),
            vega.field("share:Q", format=".1%", title=word("share", language)),
        ]
        colour = vega.field("from:N", scale=scale, title=None, legend=vega.part(columns=2))
        areas = (
            vega.chart(ribbons)
            .mark("area", opacity=0.55)
            .encode(x=x, y=y, y2="y2:Q", color=colour, detail="flow:N", tooltip=tooltip)
        )
        bars = (
            vega.chart(blocks)
            .mark("rect", cornerRadius=2)
            .encode(
                x=vega.field("x:Q", scale=vega.part(domain=[-0.16, 1.16])),
                x2="x2:Q",
                y=y,
                y2="y2:Q",
                color=vega.field("band:N", scale=scale, title=None),
                tooltip=share_of_block,
            )
        )
        labels = (
            vega.chart(blocks[blocks["share"] >= 0.03])
            .mark("text", fontSize=11)
            .encode(
                x=vega.field("middle:Q"),
                y=vega.field("y_middle:Q", scale=vega.part(domain=[0, max(1.0, float(blocks["y2"].max()))])),
                text=vega.field("share:Q", format=".0%"),
                tooltip=share_of_block,
            )
        )
        panels.append(Panel(_sized(vega.layered(areas, bars, labels), height=300), title=str(region)))
    return panels


def _ribbons(part: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outlines of the flows of one survey and the blocks at both ends; heights are shares."""
    gap = 0.03
    total = float(part["n"].sum())
    tops: dict[tuple[str, int], float] = {}
    blocks = []
    for side, start in (("from", 0.0), ("to", 1.0)):
        y = 0.0
        for order in sorted(part[f"order_{side}"].unique()):
            rows = part[part[f"order_{side}"] == order]
            share = float(rows["n"].sum()) / total
            tops[side, int(order)] = y
            edge = (start - 0.05, start) if side == "from" else (start, start + 0.05)
            blocks.append(
                {
                    "band": rows[side].iloc[0],
                    "x": edge[0],
                    "x2": edge[1],
                    "y": y,
                    "y2": y + share,
                    "n": int(rows["n"].sum()),
                    "share": share,
                    "middle": start + (-0.07 if side == "from" else 0.07),
                    "y_middle": y + share / 2,
                }
            )
            y += share + gap
    points = []
    for flow, row in enumerate(part.sort_values(["order_from", "order_to"]).to_dict("records")):
        height = row["n"] / total
        left, right = tops["from", row["order_from"]], tops["to", row["order_to"]]
        tops["from", row["order_from"]] += height
        tops["to", row["order_to"]] += height
        for k in range(21):
            x = k / 20
            middle = left + (right - left) * (3 * x**2 - 2 * x**3)
            points.append(
                {
                    "flow": flow,
                    "x": x,
                    "y": middle,
                    "y2": middle + height,
                    "from": row["from"],
                    "to": row["to"],
                    "n": row["n"],
                    "share": height,
                }
            )
    return pd.DataFrame(points), pd.DataFrame(blocks)


def dimension_dots(frame: pd.DataFrame, regions: pd.DataFrame, language: Language) -> list[Panel]:
    """Each dimension on 0 to 100: households with intervals; figures printed in papers, where there are, hollow."""
    data = localise(frame, language)
    data["is_household"] = frame["evidence"] == "household"
    data["badge"] = badges(frame)
    data["row"] = _stub(data)
    data["label_x"] = data["ci_high"].fillna(data["value"])
    colours = _scale(_regions(regions, data["region"], language))
    x_title = f"{word('points', language)}, {word('ci', language)}"
    tooltip = [
        vega.field("wave:N", title=word("wave", language)),
        *_value_tooltip(language, "region"),
    ]
    base = vega.chart(data).encode(
        y=vega.field("metric:N", sort=list(dict.fromkeys(data["metric"])), title=None),
        yOffset=vega.field("row:N", sort=list(dict.fromkeys(data["row"]))),
        color=vega.field("region:N", scale=colours, title=None),
        tooltip=tooltip,
    )
    x = vega.field("value:Q", title=x_title, scale=vega.part(domain=[0, 100]))
    households = base.where("datum.is_household")
    chart = vega.layered(
        households.mark("rule", strokeWidth=2).encode(
            x=vega.field("ci_low:Q", title=x_title), x2="ci_high:Q"
        ),
        households.mark("point", size=70, filled=True, opacity=1).encode(x=x),
        base.where("!datum.is_household").mark("point", size=80, shape="diamond").encode(x=x),
        base.mark("text", align="left", dx=10, fontSize=11).encode(
            x=vega.field("label_x:Q", title=x_title), text="badge:N", color=vega.value(INK)
        ),
    )
    return [Panel(_sized(chart, height=vega.step(22)), min_width=480)]


def dots(
    frame: pd.DataFrame, columns: Sequence[str], regions: pd.DataFrame, language: Language
) -> list[Panel]:
    """First of the columns, a number, along the first that names something, a dot for each region and wave."""
    value, by = columns[:2]
    known = frame[frame[value].notna()]
    data = localise(known, language)
    data["row"] = _stub(data)
    base = vega.chart(data).encode(
        y=vega.field(f"{by}:N", sort=list(dict.fromkeys(data[by])), title=None),
        yOffset=vega.field("row:N", sort=list(dict.fromkeys(data["row"]))),
        color=vega.field("region:N", scale=_scale(_regions(regions, data["region"], language)), title=None),
        tooltip=[
            vega.field(f"{column}:{kind}", title=word(column, language))
            for column, kind in (("region", "N"), ("wave", "N"), (by, "N"), (value, "Q"))
        ],
    )
    chart = base.mark("point", size=70, filled=True, opacity=1).encode(x=vega.field(f"{value}:Q", title=None))
    return [Panel(_sized(chart, height=vega.step(22)), min_width=480)]


def _fullest(part: pd.DataFrame) -> str:
    """The model with the most terms."""
    models = [str(m) for m in part["model"]]
    return max(dict.fromkeys(models), key=models.count)


def coefficient_heat_map(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Standardised coefficients of all models of a survey, starred as in the papers."""
    data = localise(frame, language)
    data["text"] = [f"{b:.2f}{s}" for b, s in zip(frame["beta"], frame["stars"], strict=True)]
    data["column"] = _wrapped(data["model"], language, 14)
    panels = []
    scale = vega.part(domain=[-0.6, 0.6], range=DIVERGING, clamp=True)
    for survey, part in data.sort_values(["survey_id", "model_order", "term_order"]).groupby(
        "survey", sort=False
    ):
        terms = [*part.loc[part["model"] == _fullest(part), "term"], *part["term"]]
        y = vega.field("term:N", sort=list(dict.fromkeys(terms)), title=None, axis=vega.part(labelLimit=420))
        chart = _heat_map(part, "beta", scale, y, _coefficient_tooltip(language), 22)
        panels.append(Panel(chart, title=str(survey)))
    return panels


def forest(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Standardised coefficients with 95 % intervals, the largest on top; a menu chooses the model."""
    data = localise(frame, language)
    data["line"] = ["\n".join(_lines(str(term), language, 34)) for term in data["term"]]
    panels = []
    for survey, part in data.groupby("survey", sort=False):
        models = list(dict.fromkeys(part.sort_values("model_order")["model"]))
        fullest = _fullest(part)
        choice: vega.Spec = {
            "name": "model_choice",
            "select": {"type": "point", "fields": ["model"]},
            "bind": {"input": "select", "options": models, "name": f"{word('model', language)} "},
            "value": fullest,
            "views": ["zero"],
        }
        base = (
            vega.chart(part)
            .where({"param": choice["name"]})
            .encode(
                y=vega.field(
                    "line:N",
                    sort={"field": "beta", "op": "max", "order": "descending"},
                    title=None,
                    axis=vega.part(labelLimit=420, labelExpr="split(datum.label, '\\n')", labelLineHeight=13),
                ),
                tooltip=_coefficient_tooltip(language),
            )
        )
        colour = vega.either(f"datum.p <= {SIGNIFICANT}", CLEAR, UNCLEAR)
        x_title = f"{word('beta', language)}, {word('ci', language)}"
        chart = vega.layered(
            vega.chart(pd.DataFrame({"zero": [0.0]}))
            .mark("rule", strokeDash=[3, 3], color="#8a9694")
            .encode(x="zero:Q")
            .having(name=choice["views"][0]),
            base.mark("rule", strokeWidth=2).encode(
                x=vega.field("beta_low:Q", title=x_title), x2="beta_high:Q", color=colour
            ),
            base.mark("point", filled=True, size=60, opacity=1).encode(
                x=vega.field("beta:Q", title=x_title), color=colour
            ),
            params=[choice],
        )
        step = 32 if part["line"].str.contains("\n").any() else 24
        panels.append(Panel(_sized(chart, height=vega.step(step)), title=str(survey), min_width=420))
    return panels


def rank_heat_map(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """How often each region takes each rank over all combinations of options."""
    data = localise(frame, language)
    data["column"] = data["rank"].astype(str)
    data["text"] = [f"{share:.0%}" for share in data["share_of_combinations"]]
    scale = vega.part(domain=[0, 1], range=HEAT)
    tooltip = [
        vega.field("region:N", title=word("region", language)),
        vega.field("rank:O", title=word("rank", language)),
        vega.field("share_of_combinations:Q", format=".0%", title=word("share_of_combinations", language)),
    ]
    return [
        Panel(
            _heat_map(part, "share_of_combinations", scale, vega.field("region:N", title=None), tooltip, 30),
            title=f"{metric} · {wave} · {word('rank', language)}",
        )
        for (metric, wave), part in data.sort_values(["display_order", "rank"]).groupby(
            ["metric", "wave"], sort=False
        )
    ]


def replication_strip(frame: pd.DataFrame, language: Language) -> list[Panel]:
    """Difference of each recomputed figure in units of its tolerance, by kind of statistic.

    What has no tolerance above zero (signs, stars) agrees or does not: it is counted in the verdicts.
    """
    exact = set(frame.loc[frame["tolerance"] == 0, "statistic"])
    measured = frame["difference"].notna() & (frame["tolerance"] > 0) & ~frame["statistic"].isin(exact)
    data = localise(frame[measured], language)
    if data.empty:
        return []
    data["tolerances"] = (data["difference"] / data["tolerance"]).clip(-100, 100)
    # a spread that depends on the figure alone, so that a page drawn again is the same page
    data["spread"] = [math.sin(sum(map(ord, str(stat))) * 997) for stat in data["stat_id"]]
    kept = ["stat_id", "region", "subject", "statistic", "published", "recomputed", "tolerances", "verdict"]
    x = vega.field(
        "tolerances:Q",
        title=word("tolerances", language),
        scale=vega.part(type="symlog", constant=1, domain=[-100, 100]),
        axis=vega.part(values=[-100, -10, -1, 0, 1, 10, 100]),
    )
    points = (
        vega.chart(data[[*kept, "spread"]])
        .mark("point", filled=True, size=34, opacity=0.7)
        .encode(
            x=x,
            y=vega.field("statistic:N", title=None),
            yOffset=vega.field("spread:Q", scale=vega.part(domain=[-1.6, 1.6])),
            color=vega.field(
                "verdict:N", scale=_coded(VERDICT_COLOURS, frame, "verdict", language), title=None
            ),
            tooltip=[
                vega.field("stat_id:N", title=word("stat_id", language)),
                vega.field("subject:N", title=word("measure", language)),
                vega.field("region:N", title=word("region", language)),
                vega.field("published:Q", format=".4~g", title=word("published", language)),
                vega.field("recomputed:Q", format=".4~g", title=word("recomputed", language)),
                vega.field("tolerances:Q", format=".2f", title=word("tolerances", language)),
            ],
        )
    )
    within = (
        vega.chart(pd.DataFrame({"from": [-1.0], "to": [1.0]}))
        .mark("rect", color="#8a9694", opacity=0.16)
        .encode(x=vega.field("from:Q", title=word("tolerances", language)), x2="to:Q")
    )
    return [Panel(_sized(vega.layered(within, points), height=vega.step(34)), min_width=520)]


def verdict_bars(frame: pd.DataFrame, by: str, counted: str, language: Language) -> list[Panel]:
    """Share of each verdict in column `counted`, every bar as long as the others and its count in its label."""
    data = localise(frame, language)
    totals = data.groupby(by)[counted].sum()
    data["label"] = [f"{str(v).replace('_', ' ')} ({totals[v]:,})" for v in data[by]]
    order = [f"{str(v).replace('_', ' ')} ({n:,})" for v, n in totals.sort_values(ascending=False).items()]
    chart = (
        vega.chart(data)
        .mark("bar", cornerRadius=2)
        .encode(
            x=vega.field(
                f"sum({counted}):Q",
                stack="normalize",
                title=f"{word('share_of', language)}{word(counted, language)}",
                axis=vega.part(format="%"),
            ),
            y=vega.field("label:N", title=None, sort=order, axis=vega.part(labelLimit=420)),
            color=vega.field(
                "verdict:N", scale=_coded(VERDICT_COLOURS, frame, "verdict", language), title=None
            ),
            tooltip=[
                vega.field("label:N", title=word(by, language)),
                vega.field("verdict:N", title=word("verdict", language)),
                vega.field(f"sum({counted}):Q", title=word(counted, language)),
            ],
        )
    )
    return [Panel(_sized(chart, height=vega.step(24)), min_width=480)]


def _coded(marks: dict[str, str], frame: pd.DataFrame, column: str, language: Language) -> vega.Spec:
    """The mark (colour, shape) of each code that is present, under its word."""
    words = dict(zip(frame[column], frame[f"{column}_{language}"], strict=True))
    kept = {words[code]: mark for code, mark in marks.items() if code in words}
    return vega.part(domain=list(kept), range=list(kept.values()))


def _top_axis(labels: Sequence[str]) -> vega.Spec:
    """Axis for labels from `_wrapped`; text grows downwards, so it starts as far up as it has lines."""
    n_lines = labels[0].count("\n") + 1
    return vega.part(
        orient="top",
        labelAngle=0,
        labelExpr="split(datum.label, '\\n')",
        labelLineHeight=14,
        labelPadding=6 + 14 * (n_lines - 1),
        domain=False,
        ticks=False,
    )


def _value_tooltip(language: Language, label: str) -> list[vega.Spec]:
    return [
        vega.field(f"{label}:N", title=word("region", language)),
        vega.field("metric:N", title=word("measure", language)),
        *_estimate_tooltip(language, "value", ".3~f"),
    ]


def _estimate_tooltip(language: Language, value: str, number_format: str) -> list[vega.Spec]:
    """An estimate under the word `value`, its interval, households and badge."""
    return [
        vega.field("value:Q", format=number_format, title=word(value, language)),
        vega.field("ci_low:Q", format=number_format, title=f"{word('ci', language)} ↓"),
        vega.field("ci_high:Q", format=number_format, title=f"{word('ci', language)} ↑"),
        vega.field("n:Q", title=word("n", language)),
        vega.field("badge:N", title=word("badge", language)),
    ]


def _coefficient_tooltip(language: Language) -> list[vega.Spec]:
    return [
        vega.field("model:N", title=word("model", language)),
        vega.field("term:N", title=word("measure", language)),
        vega.field("beta:Q", format=".3f", title=word("beta", language)),
        vega.field("b:Q", format=".4~g", title="b"),
        vega.field("p:Q", format=".4f", title="p"),
        vega.field("n:Q", title=word("n", language)),
    ]


def _sized(chart: Any, height: Any) -> Any:
    return chart.having(width="container", height=height)
