"""What the notebook does: answers, charts and extracts, without the notebook."""

import ast

import altair as alt
import duckdb
import pandas as pd
import pytest

from relocation_warehouse.bi.explore import MADE_UP, ask, draw, export
from relocation_warehouse.ground.paths import CHECKOUT

ANSWER = pd.DataFrame(
    {
        "region": ["b", "a"],
        "mean": [0.4, 0.6],
        "ci_low": [0.3, 0.5],
        "ci_high": [0.5, 0.7],
        "is_synthetic": [True, False],
        "odd.name [x]": [1, 2],
    }
)


def test_a_mistake_in_a_query_is_told():
    with duckdb.connect() as con:
        assert ask(con, "select 1 as x").frame["x"].tolist() == [1]
        told = ask(con, "selct 1")
        assert "syntax error" in told.problem
        assert told.frame.empty


def test_a_chart_keeps_the_order_of_the_rows_shows_intervals_and_says_what_is_made_up():
    chart = draw(ANSWER, "region", "mean", mark="point").to_dict()
    mark, rule = chart["layer"]
    assert mark["encoding"]["x"]["sort"] is None
    assert (rule["encoding"]["y"]["field"], rule["encoding"]["y2"]["field"]) == ("ci_low", "ci_high")
    assert {layer["title"] for layer in chart["layer"]} == {MADE_UP}
    real = draw(ANSWER[["region", "mean"]], "region", "mean", "region")
    assert isinstance(real, alt.Chart)
    assert real.to_dict()["title"] == ""
    assert real.to_dict()["encoding"]["color"]["field"] == "region"


def test_a_name_with_dots_and_brackets_is_one_field():
    field = draw(ANSWER, "region", "odd.name [x]").to_dict()["layer"][0]["encoding"]["y"]["field"]
    assert field == "odd\\.name \\[x\\]"
    with pytest.raises(KeyError, match="no column mean_d"):
        draw(ANSWER, "region", "mean_d")


def test_an_extract_is_that_of_the_command_or_says_why_not(published, tmp_path):
    database = published / "warehouse.duckdb"
    taken = export(database, tmp_path / "a.dta", ["household_income_yuan"], language="zh")
    assert [f.name for f in taken.files] == ["a.dta", "a.codebook.md", "a.ddi.xml"]
    said = export(database, tmp_path / "b.dta", ["household_income"])
    assert "did you mean 'household_income_yuan'" in said
    assert "no household rows" in export(published / "public" / "warehouse.duckdb", tmp_path / "c.dta")


def test_every_cell_of_the_notebook_gets_what_another_gives():
    tree = ast.parse((CHECKOUT / "notebooks" / "explore.py").read_text(encoding="utf-8"))
    cells = [f for f in tree.body if isinstance(f, ast.FunctionDef)]
    assert len(cells) >= 9
    given = []
    for cell in cells:
        if isinstance(cell.body[-1], ast.Return):
            returned = cell.body[-1].value
            given += [n.id for n in (returned.elts if isinstance(returned, ast.Tuple) else [returned])]
    assert len(given) == len(set(given))  # a name has one home
    assert {a.arg for cell in cells for a in cell.args.args} <= set(given)
