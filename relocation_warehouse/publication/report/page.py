"""The report as one page: which figures and tables, in which order, under which words.

Belongs here: sections, headings (neutral, or computed from the data), the figures' accessible descriptions and the
HTML file. Does not belong here: queries (`data`) and marks (`figures`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, lru_cache, partial
from html import escape
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from relocation_warehouse.contract.tables import Contract, ContractError, InReport, Table, contract_of
from relocation_warehouse.ground.kept import Kept, code_of, digest_of
from relocation_warehouse.publication.report import figures
from relocation_warehouse.publication.report.answers import answers, changes
from relocation_warehouse.publication.report.data import LANGUAGES, Language, Reader, localise
from relocation_warehouse.survey.vocabulary import Label

BADGE = Label(
    en="Beside a mark: indicators answered of those the measure is made of, and the weakest verdict among them"
    " (= identical, ~ compatible, p proxy).",
    zh="标记旁为已回答指标数与定义指标数，以及其中最弱的可比性结论（=一致，~可比，p替代）。",
)
"""What the signs beside marks mean, after the caption of every figure that has them."""

CLASSICAL_FIRST = ("ols", "hc3", "hc1", "cr2", "cr1")
ROBUST_FIRST = ("cr2", "cr1", "hc3", "hc1", "ols")


_WHOLE_BUNDLE: Any = None
"""Vega, Vega-Lite and Vega-Embed as a script that needs no other; the stub knows only snippets."""


@dataclass(frozen=True)
class Figure:
    """A figure with the words that stand for it where it cannot be seen.

    Attributes
    ----------
    description
        What it shows, for screen readers and as caption.
    draw
        Panels in one language.
    frame
        The numbers drawn.
    shown
        Columns of `frame` that the table under the figure has; `x` stands for `x_en` and `x_zh`.
    folded
        True for a figure that opens on demand.
    words
        Headings of columns that have other ones than everywhere in the report.
    """

    id: str
    title: Label
    description: Label
    draw: Callable[[Language], list[figures.Panel]]
    frame: pd.DataFrame
    shown: tuple[str, ...]
    grid: str = ""
    folded: bool = False
    words: Mapping[str, Label] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """Columns `shown` of a frame as a table in both languages; `x` stands for `x_en` and `x_zh`."""

    id: str
    title: Label
    frame: pd.DataFrame
    shown: tuple[str, ...]
    folded: bool = False
    words: Mapping[str, Label] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of the page; `leads` are sentences computed from its data."""

    id: str
    short: Label
    title: Label
    leads: tuple[Label, ...]
    content: tuple[Figure | Listing, ...]
    is_synthetic: bool


CODE = code_of("relocation_warehouse.publication.report.page")
"""Digest of the code that draws, as this process has loaded it."""


def write_page(reader: Reader, out: Path, contract: Contract | None = None, kept: Kept | None = None) -> None:
    """Write the report of a published database into the file `out`, which needs no other; `kept` holds its parts."""
    headline = reader.headline()
    surveys = reader.surveys()
    sections = list(_sections(reader, contract or contract_of()))
    figure_list = [c for s in sections for c in s.content if isinstance(c, Figure)]
    specs = {f.id: {lang: _specs(f, lang, kept) for lang in LANGUAGES} for f in figure_list}
    environment = templates()
    environment.filters["both"] = _both
    environment.tests["figure"] = lambda item: isinstance(item, Figure)
    page = environment.get_template("page.html.j2").render(
        headline=headline,
        is_synthetic=bool(surveys["is_synthetic"].any()),
        all_synthetic=bool(surveys["is_synthetic"].all()),
        surveys=surveys.to_dict("records"),
        answers=answers(reader),
        sections=sections,
        panels={f.id: specs[f.id]["en"] for f in figure_list},
        numbers=partial(_numbers, kept=kept),
        table=partial(_table, kept=kept),
        specs=Markup(script_json(specs)),
        data=Markup(script_json({f.id: _rows_of(f) for f in figure_list})),
        in_the_dark=Markup(script_json(figures.IN_THE_DARK)),
        library=library(),
        **{name: asset(file) for name, file in ASSETS.items()},
    )
    out.write_text(page, encoding="utf-8")


def templates() -> Environment:
    """Where the pages come from; `both_of` writes a text in both languages, and all else is escaped."""
    environment = Environment(
        loader=PackageLoader("relocation_warehouse.publication.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["both_of"] = lambda text: _both(Label(**text))
    return environment


ASSETS = {"style": "style.css", "common": "common.js", "script": "report.js"}
"""Name in the template -> file beside it that is put into the page as it is."""


@cache
def asset(name: str) -> Markup:
    """Text of a style sheet, script or notice beside this file."""
    return Markup((resources.files(__package__) / "templates" / name).read_text(encoding="utf-8"))


def _rows_of(figure: Figure) -> dict[str, list[Any]]:
    """Numbers of a figure as they are taken along: in full, with the codes and both languages of what has words."""
    frame = figure.frame
    names = [c for n in figure.shown for c in (n, f"{n}_en", f"{n}_zh") if c in frame]
    if "is_synthetic" in frame:
        names.append("is_synthetic")
    rows = frame[names].astype(object).where(frame[names].notna(), None)
    return {"columns": names, "rows": rows.to_numpy().tolist()}


@cache
def library() -> Markup:
    """Libraries that draw, after the notices of their authors."""
    return Markup("/*\n{}*/\n{}").format(asset("notices.txt"), _bundle())


def _bundle() -> Markup:
    """Vega, Vega-Lite and Vega-Embed; bundling takes seconds, so the bundle is kept beside the installed package."""
    made_of = f"{version('vl-convert-python')} {_WHOLE_BUNDLE}"
    kept = Path(sys.prefix) / "share" / f"vega-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.js"
    try:
        return Markup(kept.read_text(encoding="utf-8"))
    except OSError:
        bundle = vl_convert.javascript_bundle(_WHOLE_BUNDLE).replace("</script", "<\\/script")
    with suppress(OSError):  # an environment that may not be written to bundles every time
        temporary = kept.with_name(f"{kept.name}-{os.getpid()}")
        temporary.parent.mkdir(exist_ok=True)
        temporary.write_text(bundle, encoding="utf-8")
        temporary.replace(kept)
    return Markup(bundle)


def _both(label: Label) -> Markup:
    """Both languages of a text; the style sheet shows one."""
    return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(label.en, label.zh)


@dataclass(frozen=True)
class _Wanted:
    """A part of the page, by the digest of what it is made from; the editions share what they agree on."""

    digest: str
    make: Callable[[], str] = field(compare=False)
    kept: Kept | None = field(compare=False)


@lru_cache(maxsize=256)
def _made(wanted: _Wanted) -> str:
    if wanted.kept is None:
        return wanted.make()
    parts = wanted.kept.made("report", wanted.digest, lambda: {"part": wanted.make().encode()})
    return parts["part"].decode()


def _content(frame: pd.DataFrame) -> str:
    """A frame as text that differs wherever the frame does."""
    types = [(str(c), str(t), [*getattr(t, "categories", ())]) for c, t in frame.dtypes.items()]
    columns = [
        [v.tolist() if isinstance(v, np.ndarray) else v for v in frame.iloc[:, n].tolist()]
        for n in range(frame.shape[1])
    ]
    return repr((types, frame.index.tolist(), columns))


def _given(draw: Callable[..., Any]) -> list[str] | None:
    """Which function it is and what it holds, as text; None where that cannot be told.

    What it does is in the digest of the modules.
    """
    if not inspect.isfunction(draw):
        return None
    parts = [f"{draw.__module__} {draw.__qualname__} {draw.__code__.co_firstlineno}"]
    for name, value in inspect.getclosurevars(draw).nonlocals.items():
        if isinstance(value, pd.DataFrame):
            parts.append(f"{name} {_content(value)}")
        elif inspect.isfunction(value) and value.__closure__ is None:
            parts.append(f"{name} {value.__qualname__}")
        elif isinstance(value, (str, tuple, InReport)):
            parts.append(f"{name} {value!r}")
        else:
            return None
    return parts


def _specs(figure: Figure, language: Language, kept: Kept | None) -> list[dict[str, Any]]:
    if figure.frame.empty:
        return []
    given, drawn = _given(figure.draw), partial(_drawn, figure, language)
    if given is None:
        text = drawn()
    else:
        description = getattr(figure.description, language)
        text = _made(_Wanted(digest_of(CODE, "figure", language, description, given), drawn, kept))
    specs: list[dict[str, Any]] = json.loads(text)
    return specs


def _drawn(figure: Figure, language: Language) -> str:
    panels = [
        {
            "title": panel.title,
            "minWidth": panel.min_width,
            "spec": _lean(panel.chart.spec()) | {"description": getattr(figure.description, language)},
        }
        for panel in figure.draw(language)
    ]
    return json.dumps(panels, ensure_ascii=False, default=str)


def _lean(spec: dict[str, Any]) -> dict[str, Any]:
    """Drop the fields that no mark of the figure uses, and digits that no screen shows."""
    data = spec.pop("datasets", {})
    used = json.dumps(spec)
    spec["datasets"] = {
        name: [
            {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items() if k in used}
            for row in rows
        ]
        for name, rows in data.items()
    }
    return spec


def script_json(value: object) -> str:
    """JSON that no text inside can end the script element with."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@dataclass(frozen=True)
class _Rows:
    """Rows to be laid out in a language."""

    language: Language
    headings: tuple[str, ...]
    frame: pd.DataFrame


def _in_both(item: Figure | Listing, html: Callable[[_Rows], str], kept: Kept | None) -> Markup:
    labels = {name: [f"{name}_{lang}" for lang in LANGUAGES] for name in item.shown}
    frame = item.frame[[c for n, both in labels.items() for c in (both if both[0] in item.frame else [n])]]
    parts = []
    for lang in LANGUAGES:
        rows = localise(frame, lang)
        headings = tuple(
            getattr(item.words[c], lang) if c in item.words else figures.word(c, lang) for c in map(str, rows)
        )
        digest = digest_of(CODE, html.__name__, lang, headings, _content(rows))
        markup = Markup(_made(_Wanted(digest, partial(html, _Rows(lang, headings, rows)), kept)))
        parts.append(Markup('<div lang="{}" class="table" tabindex="0">{}</div>').format(lang, markup))
    return Markup("").join(parts)


def _numbers(figure: Figure, kept: Kept | None) -> Markup:
    """What a figure draws, as plain tables."""
    return _in_both(figure, _plain_table, kept)


def _plain_table(rows: _Rows) -> str:
    shown = rows.frame.set_axis(list(rows.headings), axis="columns")
    html = shown.to_html(
        index=False, border=0, na_rep="–", float_format=lambda v: f"{v:.4g}", escape=True, justify="left"
    )
    return html.replace(' class="dataframe"', "").replace(' style="text-align: left;"', "")


def _table(listing: Listing, kept: Kept | None) -> Markup:
    """Markup of a listing."""
    return _in_both(listing, _listed_table, kept)


_NUMBERS = re.compile("int|uint|float|date|double")
"""Begin the names of types whose columns stand to the right."""
_LIKE_NUMBERS = re.compile(r"[0-9 -/:.]*")
"""Texts that stand to the right where all of a column are such: numbers, dates and shares."""


YES_NO: dict[Language, tuple[str, str]] = {"en": ("yes", "no"), "zh": ("是", "否")}


def _listed_table(rows: _Rows) -> str:
    """Table of a listing: numbers with four digits stand to the right, a dash where nothing is known."""
    columns = [_cells(rows.frame[name], rows.language) for name in rows.frame]
    head = "\n".join(
        f'  <th class="gt_col_heading gt_columns_bottom_border gt_{side}" rowspan="1" colspan="1" scope="col">'
        f"{escape(heading)}</th>"
        for heading, (side, _) in zip(rows.headings, columns, strict=True)
    )
    marked = [[f'    <td class="gt_row gt_{side}">{cell}</td>' for cell in cells] for side, cells in columns]
    body = "\n".join("  <tr>\n" + "\n".join(row) + "\n  </tr>" for row in zip(*marked, strict=True))
    return (
        '<table class="gt_table" data-quarto-disable-processing="false" data-quarto-bootstrap="false">\n<thead>\n\n'
        f'<tr class="gt_col_headings">\n{head}\n</tr>\n</thead>\n<tbody class="gt_table_body">\n{body}\n</tbody>\n\n'
        "</table>"
    )


def _cells(column: pd.Series, language: Language) -> tuple[str, list[str]]:
    """Side at which a column stands, and the markup of its cells."""
    kind, known = str(column.dtype).lower(), column.notna()
    if kind in ("bool", "boolean"):
        column = column.map(dict(zip((True, False), YES_NO[language], strict=True)))
    values = column.tolist()
    is_right = bool(_NUMBERS.match(kind)) or all(
        _LIKE_NUMBERS.fullmatch(value) for value in values if isinstance(value, str)
    )
    write = _four_digits if kind.startswith("float") else str
    return "right" if is_right else "left", [
        escape(write(value)) if there else "&mdash;" for value, there in zip(values, known, strict=True)
    ]


def _four_digits(number: float) -> str:
    """A number with four significant digits, written out."""
    # nought has no sign
    return f"{Decimal(f'{number + 0.0:.3e}'):f}".replace("-", "\N{MINUS SIGN}")


def _made_up(*frames: pd.DataFrame) -> bool:
    return any(bool(f["is_synthetic"].any()) for f in frames if "is_synthetic" in f and len(f))


def _composed(reader: Reader) -> Iterator[Section]:
    """Sections that the page composes itself, in order."""
    yield _surveyed(reader)
    yield _capitals(reader)
    yield _coordination(reader)
    yield from _categories(reader)
    yield _integration(reader)
    yield _coefficients(reader)
    yield _sensitivity(reader)
    yield _replication(reader)
    yield _contradictions(reader)
    yield _quality(reader)


def _sections(reader: Reader, contract: Contract) -> Iterator[Section]:
    """Sections in order, each with the tables that are declared to stand in it after what it composes itself."""
    declared: dict[str, list[Figure | Listing]] = {}
    for table in contract:
        if table.report is not None and reader.has(table.full_name):
            item = _declared(reader, table, table.report)
            declared.setdefault(table.report.section, []).extend([] if item.frame.empty else [item])
    for section in _composed(reader):
        added = declared.pop(section.id, [])
        yield replace(
            section,
            content=(*section.content, *added),
            is_synthetic=section.is_synthetic or _made_up(*(item.frame for item in added)),
        )
    for unknown, items in declared.items():
        raise ContractError(f"tables.yml: {items[0].id}: the report has no section {unknown!r}")


def _declared(reader: Reader, table: Table, shown: InReport) -> Figure | Listing:
    """A table as its declaration shows it, under the words of its columns."""
    regions = reader.regions
    frame, name = reader.shown(table), table.full_name.replace(".", "-").replace("_", "-")
    words = {c.name: Label(en=c.en, zh=c.zh) for c in table.columns}
    if shown.chart is None:
        return Listing(name, shown.title, frame, shown.columns, words=words)
    draw = getattr(figures, shown.chart, None)
    if draw is None or shown.chart.startswith("_"):
        raise ContractError(f"tables.yml: {table.full_name}: figures.py has no chart {shown.chart!r}")
    return Figure(
        name,
        shown.title,
        table.description,
        lambda lang: draw(frame, shown.columns, regions, lang),
        frame,
        shown.columns,
        words=words,
    )


def _followed(panels: pd.DataFrame) -> tuple[Label, ...]:
    """How many households of panels were found again."""
    if panels.empty:
        return ()
    first, later = panels[panels["is_first"]], panels[~panels["is_first"]]
    start, always = int(first["n_households"].sum()), int(first["n_in_all_waves"].sum())
    left, new, split = (int(later[c].sum()) for c in ("n_left", "n_new", "n_split"))
    return (
        Label(
            en=f"Of {start} households in the first waves of panels {always} are in all waves, the balanced sample."
            f" From wave to wave {left} left, {new} came new, {split} split off; the unbalanced sample has them all.",
            zh=f"追踪调查首轮共{start}户，其中{always}户在全部轮次受访（平衡样本）；各轮次间流失{left}户，新进入{new}户，"
            f"分户{split}户，非平衡样本包含全部。",
        ),
    )


def _surveyed(reader: Reader) -> Section:
    panels = reader.panels()
    surveys, matrix, detail = reader.surveys(), reader.coverage_by_dimension(), reader.coverage()
    asked = detail[detail["is_answered"]]
    per_indicator = asked.groupby("indicator_id")["region"].nunique()
    n_regions = detail["region"].nunique()
    everywhere = int((per_indicator == n_regions).sum())
    alone = int((per_indicator == 1).sum())
    return Section(
        "surveyed",
        Label(en="Coverage", zh="覆盖"),
        Label(en="What was surveyed, and how comparable it is", zh="调查了什么，可比性如何"),
        (
            Label(
                en=f"{len(per_indicator)} indicators have an answer in at least one region;"
                f" {everywhere} of them in all"
                f" {n_regions} regions and {alone} in one region only.",
                zh=f"{len(per_indicator)}个指标至少在一个地区有答案，其中{everywhere}个在全部{n_regions}个地区都有，"
                f"{alone}个只在一个地区有。",
            ),
            *_followed(panels),
        ),
        (
            Listing(
                "surveys",
                Label(en="Surveys", zh="调查"),
                surveys,
                (
                    *("region_label", "title", "place", "fieldwork", "n_sites", "n_households"),
                    *("is_synthetic", "status"),
                ),
            ),
            *([] if panels.empty else [_panel_listing(panels)]),
            Figure(
                "coverage",
                Label(en="Indicators answered, by dimension", zh="各维度有答案的指标"),
                Label(
                    en="Each cell: indicators of the dimension that the survey answers in that wave,"
                    " of those in the"
                    " catalog. The stronger the colour, the more complete.",
                    zh="每格为该调查该轮次有答案的指标数与目录指标数，颜色越浓越完整。",
                ),
                lambda lang: figures.coverage_matrix(matrix, lang),
                matrix,
                ("region", "wave", "dimension", "n_covered", "n_indicators", "n_proxy"),
            ),
            Figure(
                "coverage-detail",
                Label(en="Verdict on every indicator", zh="每个指标的可比性结论"),
                Label(
                    en="identical, compatible or proxy: there is an answer, in falling order of"
                    " comparability. Not asked"
                    " is not the same as missing.",
                    zh="一致、可比、替代：有答案，可比性依次降低；未询问不等于缺失。",
                ),
                lambda lang: figures.coverage_detail(detail, lang),
                detail,
                ("indicator", "region", "wave", "status", "n", "n_missing"),
                folded=True,
            ),
        ),
        _made_up(surveys),
    )


def _panel_listing(panels: pd.DataFrame) -> Listing:
    return Listing(
        "panels",
        Label(en="Households of each wave of a panel", zh="追踪调查各轮次的住户"),
        panels,
        (
            *("region", "wave", "n_households", "n_stayed", "n_left", "n_new", "n_returned", "n_split"),
            *("n_moved", "n_in_all_waves"),
        ),
        folded=True,
    )


def _capitals(reader: Reader) -> Section:
    regions = reader.regions
    frame = reader.comparison("capital.household_capitals")
    axes = frame[frame["system"] == "capital"]
    leads = tuple(c.text for c in changes(reader) if c.figure == "capital-heat-map")
    return Section(
        "capitals",
        Label(en="Capitals", zh="资本"),
        Label(en="Livelihood capitals by region and wave", zh="各地区各轮次的生计资本"),
        leads,
        (
            Figure(
                "capital-heat-map",
                Label(en="Capital indices, 0 to 1", zh="资本指数（0至1）"),
                Label(
                    en="Mean over households of each index, weighted by the households a questionnaire stands for."
                    + f" {BADGE.en}",
                    zh="住户指数的加权均值。" + BADGE.zh,
                ),
                lambda lang: figures.capital_heat_map(frame, lang),
                frame,
                (
                    *("region", "wave", "evidence", "metric", "value", "ci_low", "ci_high", "n"),
                    *("n_indicators", "n_indicators_defined", "status"),
                ),
            ),
            Figure(
                "pentagons",
                Label(en="Profile of the capitals", zh="资本构成轮廓"),
                Label(
                    en="One outline a wave; the further out a corner, the higher the index. All regions share one"
                    f" scale: the centre is 0, the outer ring {figures.outer_ring(axes):.1f}, not 1.",
                    zh="每轮次一条轮廓线，越靠外指数越高；各地区使用同一尺度："
                    f"中心为0，外圈为{figures.outer_ring(axes):.1f}（不是1）。",
                ),
                lambda lang: figures.pentagons(axes, regions, lang),
                axes,
                ("region", "wave", "metric", "value"),
                grid="grid",
            ),
        ),
        _made_up(frame),
    )


def _coordination(reader: Reader) -> Section:
    regions = reader.regions
    means, fine, moves = reader.coordination(), reader.bands(finest=True), reader.flows()
    leads = [c.text for c in changes(reader) if c.figure == "slope"]
    return Section(
        "coordination",
        Label(en="Coordination", zh="协调"),
        Label(en="Coordination of capital and stability", zh="生计资本与生计稳定性的耦合协调"),
        tuple(leads),
        (
            Figure(
                "slope",
                Label(en="Mean coordination degree D by wave", zh="各轮次平均耦合协调度D"),
                Label(
                    en="D is computed for each household and averaged; bars are 95 % intervals. A region with one"
                    " round has one point." + f" {BADGE.en}",
                    zh="先逐户计算D再取均值，竖线为95%区间；只有一轮的地区为一个点。" + BADGE.zh,
                ),
                lambda lang: figures.slope(means, regions, lang),
                means,
                (
                    *(
                        "region",
                        "wave",
                        "n",
                        "value",
                        "ci_low",
                        "ci_high",
                        "n_indicators",
                        "n_indicators_defined",
                    ),
                    *("status", "d_of_means", "mean_c", "mean_t"),
                ),
            ),
            Figure(
                "distribution",
                Label(en="Distribution of D", zh="D的分布"),
                Label(
                    en="Share of households in each band of D; bands are closed on the side that"
                    " reference.bands names.",
                    zh="各等级住户占比，区间开闭见reference.bands。",
                ),
                lambda lang: figures.distribution(fine, regions, lang),
                fine,
                ("region", "wave", "band", "lower", "upper", "n", "share"),
                grid="grid",
            ),
            Figure(
                "flows",
                Label(en="From band to band between the waves", zh="两轮次间的等级流动"),
                Label(
                    en="Left: bands in the earlier wave; right: in the later one; a ribbon is as"
                    " wide as the share of"
                    " households that took it. Cut points are inferred where the source lost them.",
                    zh="左为前一轮次，右为后一轮次，色带宽度为住户占比；来源缺失的分界点为推断值。",
                ),
                lambda lang: figures.flows(moves, lang),
                moves,
                ("region", "from", "to", "n", "share"),
                grid="grid",
            ),
        ),
        _made_up(means, fine),
    )


def _categories(reader: Reader) -> Iterator[Section]:
    """Groups that papers speak of; nothing in an edition that has no groups of households."""
    means, shares = reader.by_category(is_share=False), reader.by_category(is_share=True)
    if means.empty:
        return
    shown = ("region", "grouping", "group", "wave", "metric", "value", "ci_low", "ci_high", "n", "n_units")
    drawn = (
        Figure(
            "category-dots",
            Label(en="Mean coordination degree D by group", zh="各类住户的平均耦合协调度D"),
            Label(
                en="Weighted mean of D of the households of each group in the last wave, with the 95 % interval that"
                " sampling units allow. Groups choose themselves: a difference is no effect of a model or strategy.",
                zh="最近一轮各类住户D的加权均值及按抽样单元计算的95%区间；分组由住户自选，差异不等于模式或策略的效果。",
            ),
            lambda lang: figures.category_dots(means, lang),
            means,
            shown,
        ),
        Figure(
            "category-shares",
            Label(en="What households of each group report", zh="各类住户的情况"),
            Label(
                en="Weighted share of the households of each group that answered yes, constraints among them.",
                zh="各类住户回答“是”的加权比例，包括制约因素。",
            ),
            lambda lang: figures.category_shares(shares, lang),
            shares,
            shown,
        ),
    )
    yield Section(
        "categories",
        Label(en="Groups", zh="群体"),
        Label(en="By industry model and livelihood strategy", zh="按产业模式与生计策略"),
        (),
        tuple(figure for figure in drawn if not figure.frame.empty),
        _made_up(means),
    )


def _integration(reader: Reader) -> Section:
    regions = reader.regions
    frame = reader.comparison("integration.household_dimensions")
    scales = reader.scales()
    is_printed = bool((frame["evidence"] == "printed").any())
    return Section(
        "integration",
        Label(en="Integration", zh="融入"),
        Label(en="Social integration by dimension", zh="社会融入各维度"),
        _gap(reader.widest_gap("integration.household_dimensions")) + _same_scale(scales),
        (
            Figure(
                "integration-dots",
                Label(en="Integration scores with 95 % intervals", zh="社会融入得分及95%区间"),
                Label(
                    en="Mean of the items asked, turned so that more is better integrated and rescaled to 0 to 100."
                    + (" Hollow marks are printed in a paper." if is_printed else "")
                    + f" {BADGE.en}",
                    zh="所问题项正向化后的均值，换算为0至100。"
                    + ("空心点为论文印刷值。" if is_printed else "")
                    + BADGE.zh,
                ),
                lambda lang: figures.dimension_dots(frame, regions, lang),
                frame,
                (
                    *("region", "wave", "evidence", "metric", "value", "ci_low", "ci_high", "n"),
                    *("n_indicators", "n_indicators_defined", "status"),
                ),
            ),
            Listing(
                "same-scale",
                Label(en="Is it the same scale in every survey?", zh="各调查的量表是否等值"),
                scales,
                (
                    *(
                        "model",
                        "surveys",
                        "estimator",
                        "level",
                        "n",
                        "cfi",
                        "rmsea",
                        "delta_cfi",
                        "delta_rmsea",
                    ),
                    *("holds", "items_to_blame"),
                ),
            ),
        ),
        _made_up(frame, scales),
    )


def _same_scale(frame: pd.DataFrame) -> tuple[Label, ...]:
    """Say of each scale where equality ends, and which items end it."""
    said = []
    for _, rows in frame[frame["estimator"] == "ml"].groupby("model", sort=False):
        failed = rows[rows["holds"].eq(False) & rows["holds"].notna()]
        if failed.empty:
            continue
        row = failed.iloc[0]
        said.append(
            Label(
                en=f"{row['model_en']}: not the same scale in {row['surveys_en']} from the level"
                f" {row['level_en']}; its means are not compared."
                + (f" Items to blame: {row['items_to_blame_en']}." if row["items_to_blame_en"] else ""),
                zh=f"{row['model_zh']}：{row['surveys_zh']}自“{row['level_zh']}”起不等值，不比较潜均值。"
                + (f"不等值题项：{row['items_to_blame_zh']}。" if row["items_to_blame_zh"] else ""),
            )
        )
    return tuple(said)


def _gap(gaps: pd.DataFrame) -> tuple[Label, ...]:
    """Name the metric on which two regions lie furthest apart over the same questions."""
    said = []
    for row in gaps.to_dict("records"):
        numbers = f"{row['value']:+.1f}"
        if pd.isna(row["ci_low"]):
            sure = Label(en=f"no test: {row['reason_en']}", zh=f"无检验：{row['reason_zh']}")
        else:
            numbers += f" [{row['ci_low']:+.1f}, {row['ci_high']:+.1f}]"
            sure = Label(en="95 % interval", zh="95%区间")
        k, m = row["n_indicators"], row["n_indicators_defined"]
        said.append(
            Label(
                en=f"Widest gap between two regions over the same questions: {row['metric_en']}, {row['region_en']}"
                f" less {row['other_en']} {numbers} points ({sure.en}; {k:.0f} of {m:.0f} indicators).",
                zh=f"两地区在相同问题上差距最大：{row['metric_zh']}，{row['region_zh']}减"
                f"{row['other_zh']}为{numbers}分（{sure.zh}；{m:.0f}个指标中的{k:.0f}个）。",
            )
        )
    return tuple(said)


def _coefficients(reader: Reader) -> Section:
    classical, robust = reader.coefficients(CLASSICAL_FIRST), reader.coefficients(ROBUST_FIRST)
    conventions = ", ".join(sorted(set(robust["covariance"])))
    return Section(
        "coefficients",
        Label(en="Models", zh="模型"),
        Label(en="What goes with higher coordination and integration", zh="与协调度和融入度相关的因素"),
        (
            Label(
                en=f"{classical['model'].nunique()} models with {len(classical)} coefficients."
                " Associations, not causes:"
                " some dependents contain their regressors.",
                zh=f"共{classical['model'].nunique()}个模型、{len(classical)}个系数。仅为相关关系，不作因果解释："
                "部分因变量由自变量构成。",
            ),
        ),
        (
            Figure(
                "forest",
                Label(en="Coefficients with 95 % intervals", zh="系数及95%区间"),
                Label(
                    en=f"Standardised coefficients; standard errors by convention: {conventions}."
                    " Teal: p below .05; grey: not. The largest stands on top. Choose a model in the menu.",
                    zh=f"标准化系数；标准误口径：{conventions}。青绿色：p小于0.05；灰色：其余。系数由大到小排列，可在菜单中选择模型。",
                ),
                lambda lang: figures.forest(robust, lang),
                robust,
                ("survey", "model", "term", "covariance", "beta", "beta_low", "beta_high", "b", "p"),
                grid="columns",
            ),
            Figure(
                "coefficient-heat-map",
                Label(en="All models side by side", zh="全部模型对照"),
                Label(
                    en="Standardised coefficients as in the papers; * p < .10, ** p < .05, *** p < .01."
                    " A dash: the model does not have the term.",
                    zh="标准化系数，格式同论文；* p<0.10，** p<0.05，*** p<0.01。“–”表示模型不含该变量。",
                ),
                lambda lang: figures.coefficient_heat_map(classical, lang),
                classical,
                ("survey", "model", "term", "beta", "stars", "p"),
            ),
        ),
        _made_up(classical),
    )


def _sensitivity(reader: Reader) -> Section:
    frame = reader.ranks()
    leads: tuple[Label, ...] = ()
    if len(frame):
        certain = (
            frame[frame["share_of_combinations"] == 1].groupby(["metric_id", "wave"])["region"].nunique()
        )
        total = frame.groupby(["metric_id", "wave"])["region"].nunique()
        fixed = int((certain.reindex(total.index).fillna(0) == total).sum())
        leads = (
            Label(
                en=f"The whole order of regions is the same under every combination of options for {fixed} of"
                f" {len(total)} rankings.",
                zh=f"{len(total)}项排名中，有{fixed}项在所有选项组合下顺序完全不变。",
            ),
        )
    return Section(
        "sensitivity",
        Label(en="Sensitivity", zh="稳健性"),
        Label(en="Does the ranking survive other choices?", zh="换一种算法，排名还成立吗"),
        leads,
        (
            Figure(
                "ranks",
                Label(en="How often each region takes each rank", zh="各地区取得各名次的频率"),
                Label(
                    en="Share of all combinations of normalisation, weights and variant.",
                    zh="在标准化、权重与公式全部组合中的占比。",
                ),
                lambda lang: figures.rank_heat_map(frame, lang),
                frame,
                ("metric", "wave", "region", "rank", "share_of_combinations"),
                grid="grid",
            ),
        ),
        _made_up(frame),
    )


def _replication(reader: Reader) -> Section:
    frame = reader.replication()
    words = {
        lang: between.join(f"{n} {v}" for v, n in frame[f"verdict_{lang}"].value_counts().items())
        for lang, between in (("en", ", "), ("zh", "，"))
    }
    counted = ["statistic", "statistic_en", "statistic_zh", "verdict", "verdict_en", "verdict_zh"]
    bars = frame.groupby(counted, as_index=False).size().rename(columns={"size": "count"})
    computed = frame[frame["recomputed"].notna()].copy()
    misses = computed[computed["difference"].abs() > computed["tolerance"].fillna(float("inf"))]
    return Section(
        "replication",
        Label(en="Replication", zh="复算"),
        Label(en="Printed against recomputed", zh="论文数字与复算结果"),
        (
            Label(
                en=f"{len(frame)} printed figures: {words['en']}.",
                zh=f"{len(frame)}个论文数字：{words['zh']}。",
            ),
            Label(
                en="Only what follows from other printed figures, or was recomputed from real answers, is a check of"
                " the papers. Where made-up answers were made to match, agreement shows that the computation can"
                " give the figure, not that the study did.",
                zh="只有可由其他论文数字推出或由真实答案复算的数字才算对论文的检验；虚构答案按论文数字生成之处，"
                "一致只说明计算能够得出该数字，不能证实论文。",
            ),
        ),
        (
            Figure(
                "replication-strip",
                Label(en="Difference of each figure, in its tolerance", zh="各数字的差异（以容差计）"),
                Label(
                    en="One mark a printed figure, at its difference over its own tolerance: the shaded band holds"
                    " what agrees. The axis is stretched near zero; what is further off stands at 100. Signs and stars"
                    " agree or do not: they are counted below.",
                    zh="每点为一个论文数字，横轴为差异除以该数字的容差，阴影内为一致。零附近放大，超过100者置于100处。"
                    "正负号与显著性星号只有一致与否，见下图计数。",
                ),
                lambda lang: figures.replication_strip(frame, lang),
                computed,
                (
                    "stat_id",
                    "region",
                    "subject",
                    "statistic",
                    "published",
                    "recomputed",
                    "difference",
                    "verdict",
                ),
            ),
            Figure(
                "replication-verdicts",
                Label(en="Verdicts by statistic", zh="按统计量的结论"),
                Label(
                    en="Share of the printed figures of each kind (how many, in brackets) with each verdict.",
                    zh="各类论文数字（括号内为个数）中各结论的占比。",
                ),
                lambda lang: figures.verdict_bars(bars, "statistic", "count", lang),
                bars,
                ("statistic", "verdict", "count"),
            ),
            Listing(
                "replication-misses",
                Label(en="Outside their tolerance", zh="超出容差的数字"),
                misses,
                (
                    *("stat_id", "region", "subject", "statistic", "published", "recomputed", "difference"),
                    *("verdict", "reason"),
                ),
                folded=True,
            ),
        ),
        _made_up(frame),
    )


def _contradictions(reader: Reader) -> Section:
    findings, tests = reader.findings(), reader.plausibility()
    by_rule = int((findings["found_by"] == "rule").sum())
    bad = int(tests.loc[tests["verdict"].isin(["inconsistent", "impossible"]), "tests"].sum())
    return Section(
        "contradictions",
        Label(en="Contradictions", zh="矛盾"),
        Label(en="Contradictions found in the papers", zh="论文中的矛盾"),
        (
            Label(
                en=f"{len(findings)} findings, each with its arithmetic: {by_rule} shown by a rule,"
                f" {len(findings) - by_rule} by reading alone; {bad} of"
                f" {int(tests['tests'].sum())} automatic tests"
                " of printed figures fail. The printed figures are real.",
                zh=f"{len(findings)}处矛盾，均附算式：{by_rule}处由规则发现，"
                f"{len(findings) - by_rule}处仅由人工阅读发现；对论文数字的{int(tests['tests'].sum())}次"
                f"自动检验中有{bad}次不通过。论文数字是真实的。",
            ),
        ),
        (
            Figure(
                "plausibility",
                Label(en="Arithmetic tests of printed figures", zh="论文数字的算术检验"),
                Label(
                    en="Share of the tests of each kind (how many, in brackets) with each verdict.",
                    zh="各类检验（括号内为次数）中各结论的占比。",
                ),
                lambda lang: figures.verdict_bars(tests, "test", "tests", lang),
                tests,
                ("region", "test", "verdict", "tests"),
            ),
            Listing(
                "findings",
                Label(en="Findings", zh="矛盾清单"),
                findings,
                ("finding_id", "region", "strength", "found_by", "statement", "arithmetic"),
            ),
        ),
        is_synthetic=False,
    )


def _quality(reader: Reader) -> Section:
    loads, checks, failed = reader.loads(), reader.checks(), reader.failed_checks()
    received, quarantined = int(loads["received"].sum()), int(loads["quarantined"].sum())
    is_failed = checks["status"] != "passed"
    n_checks, n_failed = int(checks["n_checks"].sum()), int(checks.loc[is_failed, "n_checks"].sum())
    content: list[Figure | Listing] = [
        Listing(
            "loads",
            Label(en="Files received", zh="接收的文件"),
            loads,
            (
                *("survey_id", "file", "format", "encoding", "received", "accepted", "quarantined", "status"),
                "is_synthetic",
            ),
        ),
    ]
    leads = [
        Label(
            en=f"{received:,} rows received in {len(loads)} files, {quarantined:,} set aside."
            f" {n_checks:,} checks ran,"
            f" {n_failed:,} did not pass; none of those is an error, else nothing would have been published.",
            zh=f"{len(loads)}个文件共接收{received:,}行，隔离{quarantined:,}行。共运行{n_checks:,}项检查，"
            f"{n_failed:,}项未通过，均非错误级别，否则不会发布。",
        )
    ]
    if reader.has("quality.quarantine"):
        quarantine = reader.quarantine()
        content.append(
            Listing(
                "quarantine",
                Label(en="Set aside as impossible", zh="隔离的内容"),
                quarantine,
                ("survey_id", "file", "row", "column", "value", "rule", "message", "is_synthetic"),
            )
        )
        cells = int((quarantine["column"] != "").sum())
        leads.append(
            Label(
                en=f"{len(quarantine)} entries are in quarantine, {cells} of them single cells.",
                zh=f"隔离区共有{len(quarantine)}条记录，其中{cells}条为单元格。",
            )
        )
    content += [
        Listing(
            "checks",
            Label(en="Checks by source", zh="按来源统计的检查"),
            checks,
            ("source", "status", "severity", "n_checks"),
        ),
        Listing(
            "failed-checks",
            Label(en="Checks that did not pass", zh="未通过的检查"),
            failed,
            ("source", "check", "table", "severity", "n_failed", "message"),
            folded=True,
        ),
    ]
    return Section(
        "quality",
        Label(en="Quality", zh="质量"),
        Label(en="Data quality of this refresh", zh="本次更新的数据质量"),
        tuple(leads),
        tuple(content),
        _made_up(loads),
    )
