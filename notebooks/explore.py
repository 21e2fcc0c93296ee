"""Explore the published warehouse: questions to start from, SQL, charts, extracts. `make explore` opens it.

Every cell runs again when something above it changes. Nothing here can change the warehouse: the file is opened
read-only. To make this notebook yours, `make explore-edit` opens a copy of it in the editor.
"""

import marimo

app = marimo.App(width="medium", app_title="Relocation warehouse")


@app.cell
def start():
    import os
    from pathlib import Path

    import marimo as mo

    from relocation_warehouse.bi import cookbook, explore
    from relocation_warehouse.ground.paths import Paths

    paths = Paths.from_environment()
    database = paths.published / "warehouse.duckdb"
    mo.stop(
        not database.exists(),
        mo.callout("Nothing is published yet: run `make refresh` first. | 尚未发布，请先运行 make refresh。"),
    )
    con = cookbook.connect(database)
    return Path, con, cookbook, database, explore, mo, os, paths


@app.cell
def what_this_is(con, mo):
    surveys = con.execute(
        "select survey_id, region_label_en, region_label_zh, waves, n_households, is_synthetic from reference.surveys"
    ).df()
    mo.vstack(
        [
            mo.md("# Explore the warehouse 探索数据仓库"),
            mo.md(
                "Surveys whose `is_synthetic` is true are **made up**: nothing found in them is a finding. "
                "To set surveys side by side ask for `round = 'latest'`. | `is_synthetic` 为真的调查是**虚构数据**；"
                "跨调查比较请用 `round = 'latest'`。"
            ),
            mo.ui.table(surveys, selection=None),
        ]
    )
    return (surveys,)


@app.cell
def a_question(cookbook, mo):
    asked = {f"{q.title_en} {q.title_zh}": q for q in cookbook.questions()}
    question = mo.ui.dropdown(asked, value=next(iter(asked)), label="Start from 从问题开始", full_width=True)
    question
    return (question,)


@app.cell
def sql_cell(mo, question):
    query = mo.ui.code_editor(question.value.sql, language="sql", label=question.value.remarks)
    query
    return (query,)


@app.cell
def an_answer(con, explore, mo, query):
    told = explore.ask(con, query.value)
    mo.callout(told.problem, kind="danger") if told.problem else mo.ui.table(told.frame, selection=None)
    return (told,)


@app.cell
def chart_choices(mo, told):
    columns = list(told.frame.columns)
    numbers = [c for c in told.frame.select_dtypes("number").columns if c != "wave_order"]
    x = mo.ui.dropdown(columns, value=columns[0] if columns else None, label="x")
    y = mo.ui.dropdown(columns, value=numbers[0] if numbers else None, label="y")
    colour = mo.ui.dropdown(["", *columns], value="wave" if "wave" in columns else "", label="colour 颜色")
    mark = mo.ui.dropdown(["bar", "point", "line"], value="point", label="mark 图形")
    mo.hstack([x, y, colour, mark], justify="start")
    return colour, mark, x, y


@app.cell
def a_chart(colour, explore, mark, mo, told, x, y):
    mo.stop(not (x.value and y.value))
    chart = explore.draw(told.frame, x.value, y.value, colour.value or None, mark.value)
    chart
    return (chart,)


@app.cell
def extract_choices(con, mo, surveys):
    known = con.execute("select indicator_id from reference.indicators order by display_order").df()
    indicators = mo.ui.multiselect(list(known["indicator_id"]), label="indicators 指标 (none = all 空=全部)")
    chosen = mo.ui.multiselect(list(surveys["survey_id"]), label="surveys 调查 (none = all 空=全部)")
    ending = mo.ui.dropdown(["dta", "sav", "xlsx", "csv", "parquet"], value="dta", label="format 格式")
    language = mo.ui.dropdown(["en", "zh"], value="en", label="labels 标签")
    go = mo.ui.run_button(label="Take it home 导出")
    mo.vstack(
        [mo.md("## Take households home 导出住户数据"), mo.hstack([indicators, chosen, ending, language, go])]
    )
    return chosen, ending, go, indicators, language


@app.cell
def an_extract(Path, chosen, database, ending, explore, go, indicators, language, mo, os):
    mo.stop(not go.value)
    folder = Path(os.environ.get("WAREHOUSE_EXTRACTS", "extracts"))
    taken = explore.export(
        database, folder / f"extract.{ending.value}", indicators.value, chosen.value, (), language.value
    )
    if isinstance(taken, str):
        said = mo.callout(taken, kind="danger")
    else:
        said = mo.md(
            "\n".join([*(f"- written: `{f}`" for f in taken.files), *(f"- {n}" for n in taken.notes)])
        )
    said
    return (taken,)


if __name__ == "__main__":
    app.run()
