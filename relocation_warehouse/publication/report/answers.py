"""The first screen of the report: three questions, each answered by rows of the result tables.

Belongs here: sentences over finished numbers, with what they rest on. Does not belong here: any statistic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pandas as pd

from relocation_warehouse.publication.report.data import Reader
from relocation_warehouse.survey.vocabulary import Label

INDEX = "coupling_coordination_degree"
"""Metric that the paired tests of the coupling are about."""


@dataclass(frozen=True)
class Sentence:
    """A computed sentence, and the measure's indicators behind it where it has one."""

    text: Label
    badge: Label | None
    is_synthetic: bool


@dataclass(frozen=True)
class Answer:
    """A question with its answer; `figure` is the id of what shows it, `view` the link that explores it."""

    question: Label
    sentences: tuple[Sentence, ...]
    figure: str
    view: str


def answers(reader: Reader) -> list[Answer]:
    """Answers of an edition; a question that it has no rows for is left out."""
    found = [
        Answer(
            Label(en="What changed, where, and how sure is it?", zh="什么变了，在哪里，有多大把握？"),
            tuple(_changes(reader)),
            "slope",
            "explore.html#" + urlencode({"m": INDEX, "g": "all", "b": ""}),
        ),
        Answer(
            Label(en="What holds households back?", zh="什么拖住了住户？"),
            tuple(_obstacles(reader)),
            "distribution",
            "explore.html#" + urlencode({"m": INDEX, "g": "site", "b": ""}),
        ),
        Answer(
            Label(en="What can nobody say, and why?", zh="什么说不清，为什么？"),
            tuple(_unknown(reader)),
            "coverage",
            "explore.html",
        ),
    ]
    return [answer for answer in found if answer.sentences]


def _changes(reader: Reader) -> Iterator[Sentence]:
    for row in reader.changes_of_coordination().to_dict("records"):
        numbers = f"{row['estimate']:+.3f}"
        if pd.isna(row["ci_low"]):
            sure = Label(en="no interval can be given", zh="无法给出区间")
        else:
            numbers += f" [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]"
            is_sure = row["ci_low"] > 0 or row["ci_high"] < 0
            sure = (
                Label(en="the direction is sure", zh="方向确定")
                if is_sure
                else Label(
                    en="the interval holds zero, so the direction is not sure", zh="区间含零，方向不确定"
                )
            )
        units = Label(en="", zh="")
        if not pd.isna(row["n_units"]):  # an edition may withhold it
            units = Label(en=f", {row['n_units']:.0f} sampling units", zh=f"，{row['n_units']:.0f}个抽样单元")
        badge = None
        if not pd.isna(row["n_indicators"]):
            k, m = int(row["n_indicators"]), int(row["n_indicators_defined"])
            badge = Label(
                en=f"{row['status_en']}, {k} of {m} indicators", zh=f"{row['status_zh']}，{m}个指标中的{k}个"
            )
        yield Sentence(
            Label(
                en=f"{row['region_en']}: coordination degree D {numbers} (95 % interval{units.en});"
                f" {sure.en}.",
                zh=f"{row['region_zh']}：耦合协调度D变化{numbers}（95%区间{units.zh}）；{sure.zh}。",
            ),
            badge,
            bool(row["is_synthetic"]),
        )


def _obstacles(reader: Reader) -> Iterator[Sentence]:
    for _, rows in reader.first_obstacles().groupby("survey_id", sort=False):
        first = rows.iloc[0]
        en, zh = (
            between.join(
                written.format(row[f"indicator_{lang}"], row[f"system_{lang}"], 100 * row["degree"])
                for row in rows.to_dict("records")
            )
            for lang, between, written in (
                ("en", "; ", "{} ({}, {:.0f} %)"),
                ("zh", "；", "{}（{}，{:.0f}%）"),
            )
        )
        yield Sentence(
            Label(
                en=f"{first['region_en']}, {first['wave_en']}: the largest mean obstacle of each system is {en}.",
                zh=f"{first['region_zh']}（{first['wave_zh']}）：各系统平均障碍度最大者为{zh}。",
            ),
            None,
            bool(rows["is_synthetic"].any()),
        )


def _unknown(reader: Reader) -> Iterator[Sentence]:
    detail = reader.coverage()
    asked = detail[detail["status"].isin(["identical", "compatible", "proxy"])]
    regions = detail["region"].nunique()
    by_indicator = asked.groupby("indicator_id")["region"].nunique()
    total, alone = detail["indicator_id"].nunique(), int((by_indicator == 1).sum())
    if regions > 1 and total:
        yield Sentence(
            Label(
                en=f"{alone} of {total} indicators were asked in one of the {regions} regions only, and"
                f" {total - len(by_indicator)} in none: no region can be compared on them.",
                zh=f"{total}个指标中，{alone}个只在{regions}个地区之一问过，{total - len(by_indicator)}个从未问过，"
                "无法据此比较地区。",
            ),
            None,
            is_synthetic=bool(detail["is_synthetic"].any()),
        )
