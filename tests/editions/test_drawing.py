"""Figures and tables of the report are what Altair and great-tables make of the same."""

import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
from great_tables import GT

from relocation_warehouse.publication.report import page, vega

ROWS = pd.DataFrame(
    {
        "x": [0.1, np.nan, np.inf],
        "n": [1, 2, 3],
        "name": ["a", "b", None],
        "is_own": [True, False, True],
        "count": pd.array([1, None, 3], dtype="Int64"),
        "kind": pd.Categorical(["u", "v", None]),
    }
)


def test_a_chart_is_the_specification_that_altair_writes():
    axis = {"orient": "top", "labelAngle": 0, "domain": False}
    ours = (
        vega.chart(ROWS)
        .where("datum.is_own")
        .mark("bar", opacity=0.5, color="#000000", cornerRadius=2)
        .encode(
            y=vega.field("sum(n):Q", title=None, stack="normalize", axis=vega.part(**axis)),
            x=vega.field("name:N", sort=["b", "a"], scale=vega.part(domain=["b", "a"])),
            x2="x:Q",
            color=vega.either("datum.x > 1", "#fff", "#000"),
            size=vega.value(3),
            tooltip=[vega.field("n:Q", format=".2f"), vega.field("kind:O")],
        )
        .having(width="container", height=vega.step(20))
    )
    theirs = (
        alt.Chart(ROWS)
        .transform_filter("datum.is_own")
        .mark_bar(opacity=0.5, color="#000000", cornerRadius=2)
        .encode(
            alt.X("name:N", sort=["b", "a"], scale=alt.Scale(domain=["b", "a"])),
            alt.Y("sum(n):Q", title=None, stack="normalize", axis=alt.Axis(**axis)),
            x2="x:Q",
            color=alt.condition("datum.x > 1", alt.value("#fff"), alt.value("#000")),
            size=alt.value(3),
            tooltip=[alt.Tooltip("n:Q", format=".2f"), alt.Tooltip("kind:O")],
        )
        .properties(width="container", height=alt.Step(20))
    )
    assert repr(ours.spec()) == repr(theirs.to_dict())


@pytest.mark.parametrize("other", [ROWS, ROWS.head(1)], ids=["rows of all layers", "rows of each layer"])
def test_layers_are_those_that_altair_writes(other):
    ours = vega.layered(
        vega.chart(ROWS).mark("point").encode(x="n:Q"),
        vega.chart(other).mark("rule", strokeWidth=2).encode(y="x:Q"),
        width=10,
    )
    theirs = alt.layer(
        alt.Chart(ROWS).mark_point().encode(x="n:Q"),
        alt.Chart(other).mark_rule(strokeWidth=2).encode(y="x:Q"),
    ).properties(width=10)
    assert repr(ours.spec()) == repr(theirs.to_dict())


def test_a_column_says_its_type():
    with pytest.raises(KeyError):
        vega.field("name")


def test_charts_below_each_other_share_the_rows_they_have_in_common():
    one = vega.chart(ROWS).mark("point").encode(x="n:Q")
    spec = vega.stacked([one.having(title="first"), one.having(title="second")])
    assert [view["title"] for view in spec["vconcat"]] == ["first", "second"]
    assert {view["data"]["name"] for view in spec["vconcat"]} == {*spec["datasets"]}
    assert [row["x"] for row in next(iter(spec["datasets"].values()))] == [0.1, None, None]


def test_a_listing_is_the_table_that_great_tables_makes():
    numbers = [0.0, -0.0, 1, -1.5, 0.05, 1234.5, 123456.7, 1e-7, -9.99996, 99995, np.nan]
    frame = pd.DataFrame(
        {
            "number": numbers,
            "n": range(len(numbers)),
            "text": ["<b>'&\"", None, *"abcdefghi"],
            "month": ["2024-04"] * len(numbers),
            "maybe": pd.array([None, *range(10)], dtype="Int64"),
        }
    )
    ours = page._listed_table(page._Rows("en", ("<i>", "b", "c", "d", "e"), frame))
    theirs = (
        GT(frame)
        .cols_label(cases=dict(zip(frame, ("<i>", "b", "c", "d", "e"), strict=True)))
        .sub_missing()
        .fmt_number(columns=["number"], n_sigfig=4, use_seps=False)
        .as_raw_html()
    )
    markup = re.search("<table.*</table>", theirs, re.DOTALL)[0]
    assert ours == re.sub(r'<(th|td|tr)([^>]*?) (?:id|headers)="[^"]*"', r"<\1\2", markup)


@pytest.mark.parametrize(("language", "words"), [("en", ["yes", "no"]), ("zh", ["是", "否"])])
@pytest.mark.parametrize("kind", ["bool", "boolean"])
def test_a_listing_says_yes_or_no(language, words, kind):
    frame = pd.DataFrame({"is_so": pd.array([True, False], dtype=kind)})
    markup = page._listed_table(page._Rows(language, ("so",), frame))
    assert re.findall("<td[^>]*gt_left[^>]*>(.*)</td>", markup) == words
