"""The first screen of the report: three questions, each answered by rows of the result tables.

Belongs here: sentences over finished numbers, with what they rest on. Does not belong here: any statistic.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from relocation_warehouse.publication.report.data import Reader
from relocation_warehouse.survey.vocabulary import Label

Row = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Sentence:
    """A computed sentence; `badge` says what it rests on, `figure` is the id of what shows it, `view` explores it."""

    text: Label
    badge: Label | None
    is_synthetic: bool
    figure: str
    view: str | None = None


@dataclass(frozen=True)
class Answer:
    """A question with its answer, how it was found, and the query that gives the same numbers."""

    id: str
    question: Label
    sentences: tuple[Sentence, ...]
    method: Label
    sql: str


CHANGED = """select region, metric_id, value, ci_low, ci_high, n, n_units, reason,
  status, n_indicators, n_indicators_defined, has_same_indicators, is_synthetic
from analysis.index_changes
order by survey_id, abs(value) desc;"""

STUCK = """select region, group_type, group_id, value, ci_low, ci_high, n, n_units, obstacles, reason, is_synthetic
from analysis.stuck_households
order by survey_id, group_type = 'all' desc, value desc;"""

UNKNOWN = """select interval_reason, count(*) as values_without_interval
from analysis.region_comparison
where evidence = 'household' and value is not null and ci_low is null
group by interval_reason
union all
select reason, count(*) from analysis.region_tests where reason is not null group by reason
order by 2 desc;"""


def answers(reader: Reader) -> list[Answer]:
    """Answers of an edition; a question that it has no rows for is left out."""
    texts = [
        Answer(
            "changed",
            Label(
                en="What changed most, where, and how sure is it?", zh="什么变化最大，在哪里，有多大把握？"
            ),
            tuple(changes(reader)),
            Label(
                en="Mean change of the households asked in both waves. The interval comes from what differs between"
                " sampling units (sites where a survey declares none), not from the number of households."
                " docs/methods/survey_design.md",
                zh="两轮均受访住户的平均变化。区间依据抽样单元（未声明时为安置点）之间的差异，而非住户数。"
                "见docs/methods/survey_design.md",
            ),
            CHANGED,
        ),
        Answer(
            "stuck",
            Label(en="Who is stuck, and what holds them back?", zh="谁停滞不前，受什么拖累？"),
            (*_stuck(reader), *_obstacles(reader)),
            Label(
                en="Stuck: a coordination degree in the lowest bands in the first and in the last wave."
                " Obstacle: the distance to the best value, times the weight of the indicator."
                " docs/methods/welfare.md,"
                " docs/methods/coupling.md",
                zh="停滞：首轮与末轮的耦合协调度均处于最低等级。障碍：与最优值的差距乘以指标权重。"
                "见docs/methods/welfare.md与docs/methods/coupling.md",
            ),
            STUCK,
        ),
        Answer(
            "unknown",
            Label(en="What cannot be compared, and why?", zh="什么说不清，为什么？"),
            tuple(_unknown(reader)),
            Label(
                en="Where sampling units are too few for a valid interval, or two surveys asked different questions,"
                " no number is given and the row says why. docs/methods/region_comparison.md",
                zh="抽样单元过少而没有合法区间，或两项调查所问不同时，不给出数字，并在该行说明原因。"
                "见docs/methods/region_comparison.md",
            ),
            UNKNOWN,
        ),
    ]
    return [answer for answer in texts if answer.sentences]


def _link(**choices: str) -> str:
    return "explore.html#" + urlencode(choices)


def _interval(row: Row, form: str, factor: float = 1.0) -> tuple[str, Label]:
    """Estimate with its interval by sampling units, and what the interval says or why there is none."""
    numbers = format(factor * row["value"], form)
    if pd.isna(row["ci_low"]):
        en, zh = (row[f"reason_{lang}"] for lang in ("en", "zh"))
        if not isinstance(en, str):
            return numbers, Label(en="this edition gives no interval", zh="本版不给出区间")
        return numbers, Label(en=f"no interval: {en}", zh=f"没有区间：{zh}")
    numbers += f" [{format(factor * row['ci_low'], form)}, {format(factor * row['ci_high'], form)}]"
    units = Label(en="95 % interval", zh="95%区间")
    if not pd.isna(row["n_units"]):  # an edition may withhold it
        units = Label(
            en=f"95 % interval by {row['n_units']:.0f} sampling units",
            zh=f"按{row['n_units']:.0f}个抽样单元的95%区间",
        )
    return numbers, units


def _direction(row: Row) -> Label:
    if pd.isna(row["ci_low"]):
        return Label(en="the direction is not known", zh="方向不明")
    if row["ci_low"] > 0 or row["ci_high"] < 0:
        return Label(en="the direction is certain", zh="方向确定")
    return Label(en="the interval holds zero, so the direction is not certain", zh="区间含零，方向不确定")


def badge(row: Row) -> Label | None:
    """Verdict on comparability, and how many indicators are behind a value of those it is made of."""
    if pd.isna(row["n_indicators"]) or pd.isna(row["n_indicators_defined"]) or pd.isna(row["status"]):
        return None
    k, m = int(row["n_indicators"]), int(row["n_indicators_defined"])
    en, zh = f"{row['status_en']}, {k} of {m} indicators", f"{row['status_zh']}，{m}个指标中的{k}个"
    if not row.get("has_same_indicators", True):
        en, zh = en + ", not the same in both waves", zh + "，两轮不同"
    return Label(en=en, zh=zh)


def changes(reader: Reader) -> Iterator[Sentence]:
    """Of each survey with several waves the capital that moved most, and the coordination degree."""
    for row in reader.largest_changes().to_dict("records"):
        numbers, units = _interval(row, "+.3f")
        sure = _direction(row)
        is_capital = not row["is_coordination"]
        en = "moved most of the capitals" if is_capital else "as a whole"
        zh = "在各资本中变化最大" if is_capital else "总体变化"
        yield Sentence(
            Label(
                en=f"{row['region_en']}: {row['metric_en']} {en}, {numbers} ({units.en}); {sure.en}.",
                zh=f"{row['region_zh']}：{row['metric_zh']}{zh}，{numbers}（{units.zh}）；{sure.zh}。",
            ),
            badge(row),
            bool(row["is_synthetic"]),
            "capital-heat-map" if is_capital else "slope",
            _link(m=row["metric_id"], g="all", b="", r=row["region"]),
        )


def _lacking(row: Row) -> Label:
    if not isinstance(row["obstacles_en"], str):
        return Label(en="", zh="")
    return Label(en=f"Their largest obstacles: {row['obstacles_en']}.", zh=f"其最缺：{row['obstacles_zh']}。")


def _stuck(reader: Reader) -> Iterator[Sentence]:
    for _, rows in reader.stuck().groupby("survey_id", sort=False):
        whole, *groups = rows.to_dict("records")
        numbers, units = _interval(whole, ".1f", 100)
        lacks = _lacking(whole)
        yield Sentence(
            Label(
                en=f"{whole['region_en']}: {numbers} % of households are in the lowest bands of coordination in both"
                f" waves ({units.en}). {lacks.en}",
                zh=f"{whole['region_zh']}：{numbers}%的住户在两轮中均处于最低协调等级（{units.zh}）。{lacks.zh}",
            ),
            None,
            bool(whole["is_synthetic"]),
            "analysis-stuck-households",
        )
        if groups:
            most = groups[0]
            numbers, units = _interval(most, ".1f", 100)
            lacks = _lacking(most)
            yield Sentence(
                Label(
                    en=f"{most['region_en']}, most often: {most['group_type_en']} “{most['group_id_en']}”,"
                    f" {numbers} % of {most['n']:.0f} households ({units.en}). {lacks.en}",
                    zh=f"{most['region_zh']}占比最高的组：{most['group_type_zh']}“{most['group_id_zh']}”，"
                    f"{most['n']:.0f}户中的{numbers}%（{units.zh}）。{lacks.zh}",
                ),
                None,
                bool(most["is_synthetic"]),
                "analysis-stuck-households",
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
                en=f"All households of {first['region_en']}, {first['wave_en']}: the largest mean obstacle of each"
                f" system is {en}.",
                zh=f"{first['region_zh']}全部住户（{first['wave_zh']}）：各系统平均障碍度最大者为{zh}。",
            ),
            None,
            bool(rows["is_synthetic"].any()),
            "distribution",
        )


def _unknown(reader: Reader) -> Iterator[Sentence]:
    detail = reader.coverage()
    is_synthetic = bool(detail["is_synthetic"].any())
    asked = detail[detail["is_answered"]]
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
            is_synthetic,
            "coverage",
        )
    for row in reader.missing_intervals().to_dict("records"):
        yield Sentence(
            Label(
                en=f"{row['n_without']:,} of {row['n_values']:,} values of surveys and groups have no interval:"
                f" {row['interval_reason_en']}.",
                zh=f"调查与各组的{row['n_values']:,}个数值中，{row['n_without']:,}个没有区间：{row['interval_reason_zh']}。",
            ),
            None,
            bool(row["is_synthetic"]),
            "capital-heat-map",
            _link(g="site"),
        )
    untested = reader.untested()
    if untested["n_tests"]:
        yield Sentence(
            Label(
                en=f"{untested['n_without']:,} of {untested['n_tests']:,} differences between two regions could not be"
                f" tested: in {untested['n_other_content']:,} the two surveys asked different questions; in"
                f" {untested['n_few_units']:,}, limited to the questions that both asked, one region has too few"
                " sampling units, units of too unequal size, or is measured against its own sample.",
                zh=f"两地区间的{untested['n_tests']:,}项差异中，{untested['n_without']:,}项无法检验："
                f"{untested['n_other_content']:,}项因两项调查所问不同，"
                f"{untested['n_few_units']:,}项在共同问题上一方抽样单元过少、单元规模过于悬殊或以自身样本为参照。",
            ),
            None,
            bool(untested["is_synthetic"]),
            "coverage",
        )
