import json
import re
from functools import wraps
from importlib import resources

import duckdb
import numpy as np
import pandas as pd
import pytest
import vl_convert
from made_up_build import contract

from relocation_warehouse.ground.kept import Kept
from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.disclosure import write_public_build
from relocation_warehouse.publication.report import figures, vega, write_report
from relocation_warehouse.publication.report import page as page_module
from relocation_warehouse.publication.report.answers import CHANGED, STUCK, UNKNOWN
from relocation_warehouse.publication.report.data import in_one_range
from relocation_warehouse.publication.report.explore import _with_texts
from relocation_warehouse.publication.tables import public_contract
from relocation_warehouse.survey.vocabulary import Label

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(sound_build, tmp_path_factory):
    """Text of the report of a build whose labels try to be markup."""
    folder = tmp_path_factory.mktemp("report")
    build = folder / "build.duckdb"
    build.write_bytes(sound_build.read_bytes())
    with duckdb.connect(str(build)) as con:
        con.execute("UPDATE reference.surveys SET title_en = ?, region_label_zh = ?", [HOSTILE, HOSTILE])
        for table in ("metric_definitions", "dimensions"):
            con.execute(f"UPDATE reference.{table} SET label_en = label_en || ?", [HOSTILE])
        con.execute("UPDATE reference.published_findings SET statement = ?", [HOSTILE])
        con.execute("UPDATE reference.indicators SET label_zh = ?", [HOSTILE])
    write_database(build, folder / "warehouse.duckdb", contract())
    write_report(folder / "warehouse.duckdb", folder / "report")
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


def specs(page):
    return json.loads(
        re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.DOTALL)[1]
    )


def test_every_figure_is_drawn_in_both_languages(page):
    drawn = specs(page)
    assert len(drawn) >= 12
    for figure, languages in drawn.items():
        for panels in languages.values():
            assert panels, figure
            for panel in panels:
                svg = vl_convert.vegalite_to_svg(panel["spec"])
                assert re.search(r"<(path|text)[^>]*", svg), figure
                assert "mark-" in svg, figure


def test_figures_have_descriptions_in_the_language_they_are_drawn_in(page):
    for languages in specs(page).values():
        for lang, panels in languages.items():
            for panel in panels:
                has_chinese = bool(re.search("[\u4e00-\u9fff]", panel["spec"]["description"]))
                assert has_chinese == (lang == "zh")


def test_nothing_is_loaded_from_elsewhere(page):
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    # the pages of own questions and of checks lie beside the report
    assert {a.split("#")[0] for a in re.findall(r'(?:src|href)="(?!#|data:)([^"]*)', markup)} == {
        "explore.html",
        "quality.html",
    }
    assert "default-src 'none'" in page
    assert "url(" not in markup
    for languages in specs(page).values():
        for panels in languages.values():
            for panel in panels:
                assert '"url"' not in json.dumps({k: v for k, v in panel["spec"].items() if k != "datasets"})


def test_the_first_screen_answers_with_numbers_of_the_result_tables(page, sound_build):
    result = re.findall(r'<section class="answer" id="answer-(\w+)">(.*?)</section>', page, re.DOTALL)
    assert [name for name, _ in result] == ["changed", "stuck", "unknown"]
    with duckdb.connect(str(sound_build), read_only=True) as con:
        numbers = {
            "changed": {
                f"{v:+.3f}"
                for (v,) in con.execute("SELECT value FROM analysis.index_changes").fetchall()
                if v
            },
            "stuck": {
                f"{100 * v:.1f}"
                for (v,) in con.execute("SELECT value FROM analysis.stuck_households").fetchall()
                if v
            },
        }
    said = {
        "changed": r", ([+-][\d.]+)(?: \[| \()",
        "stuck": r"(?:: |, )(\d+\.\d)(?: \[[^]]*\])? %",
    }
    for name, answer in result:
        assert answer.count('lang="en"') == answer.count('lang="zh"')
        assert set(re.findall(r'href="#([^"]+)"', answer)) <= set(re.findall(r' id="([^"]+)"', page)), name
        assert "Method and SQL" in answer
        if name in said:
            shown = set(re.findall(said[name], " ".join(re.findall(r'<span lang="en">(.*?)</span>', answer))))
            assert shown, name
            assert shown <= numbers[name], name


def test_labels_of_a_survey_cannot_write_markup(page):
    assert HOSTILE not in page
    assert "&lt;img src=x" in page
    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    # the library, the figures, their numbers, their colours in the dark, and what draws them
    assert page.count("<script") == 5
    assert len(re.findall(r"</script>", page)) == 5


def test_made_up_rows_are_marked_in_their_sections(page):
    headings = dict(re.findall(r'<h2 id="([a-z]+)-title">(.*?)</h2>', page, re.DOTALL))
    assert "made up" in headings["capitals"]
    assert "虚构数据" in headings["coordination"]
    assert "made up" not in headings["contradictions"]


def test_ids_are_unique_and_every_heading_is_reachable(page):
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    ids = re.findall(r' id="([^"]+)"', markup)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', markup)) <= set(ids)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_tables_show_the_words_of_codes(page, language):
    tables = re.findall(rf'<div lang="{language}" class="table".*?</table>', page, re.DOTALL)
    cells = {cell for table in tables for cell in re.findall(r"<td[^>]*>([^<]*)</td>", table)}
    words = contract().words()
    for column in ("verdict", "severity", "strength", "evidence", "covariance", "rule", "wave"):
        shown = {getattr(word, language) for word in words[column].values()}
        assert shown & cells, column
    # what may also stand in a column that is no code is not looked for
    codes = {c for words_of in words.values() for c, w in words_of.items() if "_" in c or c in ("ols", "hc3")}
    assert len(codes) > 20
    assert codes & cells == set()


def test_the_public_edition_has_a_report_of_its_own(sound_build, tmp_path):
    write_database(sound_build, tmp_path / "warehouse.duckdb", contract())
    public = public_contract(contract())
    write_public_build(tmp_path / "warehouse.duckdb", tmp_path / "suppressed.duckdb", public)
    write_database(tmp_path / "suppressed.duckdb", tmp_path / "public.duckdb", public)
    write_report(tmp_path / "public.duckdb", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert 'id="loads"' in page
    assert 'id="quarantine"' not in page
    explorer = (tmp_path / "report" / "explore.html").read_text(encoding="utf-8")
    assert "no rows of households" in explorer
    given = json.loads(re.search(r'id="given">(.*?)</script>', explorer, re.DOTALL)[1])
    with duckdb.connect(str(tmp_path / "public.duckdb"), read_only=True) as con:
        shown = con.execute(
            "SELECT count(value), count(common_value), (SELECT count(value) FROM analysis.sensitivity)"
            " FROM analysis.region_comparison"
        ).fetchone()
        for query in (CHANGED, STUCK, UNKNOWN):
            con.execute(query).fetchall()
    assert len(given["values"]["rows"]) == sum(shown)


def test_the_page_of_own_questions_loads_nothing_and_runs_no_label(page, tmp_path_factory):
    folder = next(p for p in tmp_path_factory.getbasetemp().glob("report*/report") if p.is_dir())
    explorer = (folder / "explore.html").read_text(encoding="utf-8")
    assert HOSTILE not in explorer
    assert explorer.count("<script") == 4
    markup = re.sub(r"<script.*?</script>", "", explorer, flags=re.DOTALL)
    assert set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)', markup)) == {"index.html"}
    assert "<noscript>" in markup
    assert "no rows of households" not in markup


def test_a_question_is_found_by_the_columns_that_an_answer_names():
    asked = pd.DataFrame(
        {
            "survey_id": ["s", "s", "s"],
            "column": ["Q1", "Q10", "收入"],
            "label": ["How old?", "How rich?", None],
        }
    )
    answers = pd.DataFrame(
        {
            "survey_id": ["s", "s", "s", "t"],
            "sources": ["q1", None, None, "q1"],
            "basis": ["", "question Q10, recalled", "column 收入 of a sheet", "question Q1"],
        }
    )
    assert list(_with_texts(answers, asked)["question"]) == ["Q1: How old?", "Q10: How rich?", "收入", ""]


def test_a_page_carries_the_notices_of_the_libraries_in_it(page):
    folder = resources.files("relocation_warehouse.publication.report") / "templates"
    notices = (folder / "notices.txt").read_text(encoding="utf-8")
    for said in (
        "University of Washington Interactive Data Lab",
        "Mike Bostock",
        "BSD 3-Clause",
        "ISC License",
    ):
        assert said in notices
    assert "*/" not in notices
    assert f"/*\n{notices}*/\n" in page


@pytest.fixture
def drawn_anew(monkeypatch):
    """Forget what this process drew; counts what is drawn."""
    drawn = []
    for name in ("_drawn", "_listed_table", "_plain_table"):
        plain = getattr(page_module, name)

        def counted(*given, plain=plain):
            drawn.append(plain.__name__)
            return plain(*given)

        monkeypatch.setattr(page_module, name, wraps(plain)(counted))

    def forget():
        page_module._made.cache_clear()
        drawn.clear()
        return drawn

    return forget


def test_figures_and_tables_are_kept_and_a_poisoned_one_is_drawn_again(
    page, tmp_path, drawn_anew, sound_build
):
    write_database(sound_build, tmp_path / "warehouse.duckdb", contract())
    kept, pages = Kept(tmp_path / "kept"), []

    def write(store):
        drawn = drawn_anew()
        write_report(tmp_path / "warehouse.duckdb", tmp_path / "report", store)
        pages.append((tmp_path / "report" / "index.html").read_bytes())
        return len(drawn)

    everything = write(None)
    assert write(kept) == everything > 40
    assert write(kept) == 0
    first, second, *_ = sorted((kept.folder / "report").iterdir())
    first.write_bytes(first.read_bytes()[:-9])
    second.unlink()
    assert write(kept) == 2
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute("UPDATE analysis.region_comparison SET value = value + 1e-9 WHERE value IS NOT NULL")
    assert 0 < write(kept) < everything
    assert len({*pages[:4]}) == 1
    assert write(None) == everything
    assert pages[-1] == pages[-2]


def test_a_figure_is_drawn_again_where_what_it_draws_differs_and_its_table_does_not(drawn_anew):
    drawn, label = drawn_anew(), Label(en="a figure", zh="图")

    def n_drawn(frame, title="", unknown=None):
        def draw(lang):
            return [
                figures.Panel(vega.chart(frame).mark("point").encode(x="x:Q"), title + str(unknown or ""))
            ]

        figure = page_module.Figure("f", label, label, draw, pd.DataFrame({"x": [1.0]}), ("x",))
        page_module._specs(figure, "en", None)
        return len(drawn)

    assert n_drawn(pd.DataFrame({"x": [0.1]}), unknown=()) == 1
    assert n_drawn(pd.DataFrame({"x": [0.1]}), unknown=()) == 1
    assert n_drawn(pd.DataFrame({"x": [np.nextafter(0.1, 1)]}), unknown=()) == 2
    assert n_drawn(pd.DataFrame({"x": [0.1]}), "other words", ()) == 3
    # what cannot be compared is drawn every time
    assert n_drawn(pd.DataFrame({"x": [0.1]}), unknown=object()) == 4
    assert n_drawn(pd.DataFrame({"x": [0.1]}), unknown=object()) == 5


def test_reasons_that_differ_in_numbers_are_told_once():
    near, far = "covers 95.9 to 97.3 of 100; 93 to 97 pass", "covers 96 to 98.3 of 100; 93 to 97 pass"
    assert in_one_range([near, far], " to ") == "covers 95.9 to 98.3 of 100; 93 to 97 pass"
    assert in_one_range(["在5个单元", "在1,200个单元"], "至") == "在5至1,200个单元"
    assert in_one_range(["no household"], " to ") == "no household"
