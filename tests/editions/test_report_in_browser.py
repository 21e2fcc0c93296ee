"""The report in a real browser without a network; without Chromium collected only where CI is set (see conftest)."""

import csv
import io
import re
import struct
from xml.etree import ElementTree as ET

import pytest
from browser import Browser
from looks import ENGLISH_SENTENCES, LEGEND_DOTS, NAMED_ROWS, TICKS_AND_POINTS, contrasts, drawn_problems
from paper import text_heights

from relocation_warehouse.publication.report import write_report


@pytest.fixture(scope="module")
def report(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_report(published / "warehouse.duckdb", folder)
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def show(browser, page, query, width=1280):
    browser.size(width, 900)
    browser.open(f"{page.as_uri()}?{query}")
    if "all=1" in query:
        browser.until("document.documentElement.dataset.ready")


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_every_figure_is_drawn_described_and_legible_and_no_request_leaves(report, browser, language, theme):
    show(browser, report, f"all=1&lang={language}&theme={theme}")
    assert len(browser.run("return [...document.querySelectorAll('.view')]")) >= 12
    assert drawn_problems(browser) == []
    drawn = browser.run("return [...document.querySelectorAll('.view')].map(v => v.dataset.drawn)")
    assert set(drawn) == {language + theme}
    assert browser.run("return document.documentElement.dataset.lang") == language
    measured = contrasts(browser)
    assert len(measured) > 100
    assert [(f, t, r) for f, t, r in measured if r < 4.5] == []


def test_a_phone_needs_no_sideways_scroll_and_sees_where_a_table_goes_on(report, browser):
    show(browser, report, "all=1&lang=en&theme=light", width=390)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    cut = browser.run(
        "return [...document.querySelectorAll('.scroll, .table')].filter(b => b.scrollWidth > b.clientWidth + 2)"
        ".map(b => [b.classList.contains('cut'), b.tabIndex, getComputedStyle(b, '::before').content])"
    )
    assert cut
    assert all(is_cut and index == 0 and "scroll sideways" in text for is_cut, index, text in cut)


def test_text_in_figures_and_what_explains_colours_are_legible_on_a_phone(report, browser):
    for theme in ("light", "dark"):
        show(browser, report, f"all=1&lang=en&theme={theme}", width=390)
        # the dots of a legend lie on the card, and are no text
        dots = browser.run(LEGEND_DOTS)
        assert len(dots) > 20
        assert [(figure, ratio) for figure, ratio in dots if ratio < 1.35] == []
        assert [(f, t, r) for f, t, r in contrasts(browser) if r < 4.5] == []


def test_points_of_a_wave_stand_at_its_tick(report, browser):
    show(browser, report, "all=1&lang=en&theme=light")
    ticks, points = browser.run(TICKS_AND_POINTS, "#slope")
    at = dict(ticks)
    assert len(at) >= 2
    assert len(points) >= 3
    between = abs(ticks[1][1] - ticks[0][1])
    assert [(wave, x - at[wave]) for wave, x in points if abs(x - at[wave]) > 0.1 * between] == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_coefficients_are_named_in_full_and_sorted(report, browser, language):
    show(browser, report, f"all=1&lang={language}&theme=light")
    panels = browser.run(NAMED_ROWS, "#forest")
    assert len(panels) >= 2
    for panel in panels:
        assert panel["left"] >= -1, "a label begins outside its figure"
        assert not [label for label in panel["labels"] if "…" in label]
        bare = {label.replace(" ", "") for label in panel["labels"]}
        assert {term.replace(" ", "") for term, _, _ in panel["rows"]} == bare
        from_top = [beta for _, beta, _ in sorted(panel["rows"], key=lambda row: row[2])]
        assert from_top == sorted(from_top, reverse=True)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_page_of_paper_is_left_half_empty(report, browser, tmp_path, language):
    show(browser, report, f"lang={language}&theme=dark")
    browser.print(tmp_path / "report.pdf")
    pages = text_heights((tmp_path / "report.pdf").read_bytes())
    assert len(pages) > 5
    assert [(k, max(page)) for k, page in enumerate(pages[:-1], start=1) if max(page) < 0.5] == []


def test_another_language_keeps_the_place(report, browser):
    show(browser, report, "lang=en&theme=light")
    where = "return document.querySelector('#replication h2').getBoundingClientRect().top"
    browser.run("document.querySelector('#replication').scrollIntoView({ behavior: 'instant' })")
    browser.until("document.querySelector('#replication-strip .view').dataset.drawn")
    before = browser.run(where)
    browser.run("document.getElementById('language').click()")
    browser.until("document.querySelector('#replication-strip .view').dataset.drawn === 'zhlight'")
    assert browser.run(where) == pytest.approx(before, abs=60)


def test_a_number_in_a_cell_has_the_tooltip_of_its_cell(report, browser):
    show(browser, report, "all=1&lang=en&theme=light")
    browser.run(
        "const text = [...document.querySelectorAll('#capital-heat-map .mark-text text')][0];"
        "for (const kind of ['mouseover', 'mousemove', 'pointermove']) {"
        "  const box = text.getBoundingClientRect();"
        "  text.dispatchEvent(new PointerEvent(kind, { bubbles: true, clientX: box.x + 2, clientY: box.y + 2 })); }"
    )
    shown = browser.until("document.getElementById('vg-tooltip-element')?.innerText")
    assert "Households" in shown


def test_every_figure_can_be_taken_along(report, browser):
    show(browser, report, "lang=en&theme=light")
    for kind in ("csv", "svg", "png"):
        browser.run(f"document.querySelector('[data-tools=slope] [data-save={kind}]').click()")
    rows = list(csv.DictReader(io.StringIO(browser.downloaded("slope.csv").decode("utf-8-sig"))))
    drawn = browser.run("return JSON.parse(document.getElementById('numbers').textContent).slope.rows.length")
    assert len(rows) == drawn > 0
    assert {"region", "region_en", "region_zh", "value", "ci_low", "is_synthetic"} <= set(rows[0])
    picture = ET.fromstring(browser.downloaded("slope.svg"))
    texts = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "Mean coordination degree D by wave"
    assert "made up" in texts
    image = browser.downloaded("slope.png")
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", image[16:24])
    assert (width, height) == (2 * int(picture.get("width")), 2 * int(picture.get("height")))


def explore(browser, report, fragment, query="lang=en&theme=light", width=1280):
    show(browser, report.with_name("explore.html"), f"all=1&{query}#{fragment}", width)


def test_a_link_names_a_view_and_every_choice_changes_the_link(report, browser):
    explore(browser, report, "m=livelihood_capital_total&g=all&b=&w=after&i=has_greenhouse")
    assert drawn_problems(browser) == []
    rows = "[...document.querySelectorAll('#rows tbody tr')].map(r => [...r.cells].map(c => c.innerText))"
    shown = browser.run(f"return {rows}")
    assert shown
    assert {row[2] for row in shown} == {"after"}
    assert "greenhouse" in browser.run("return document.getElementById('indicator').innerText")
    assert browser.run("return document.getElementById('said').hidden")
    region = browser.run(
        "const chip = document.querySelector('.chip[data-key=r]'); chip.click(); return chip.dataset.id"
    )
    address = browser.run("return location.hash")
    assert f"r={region}" in address
    fewer = browser.run(f"return {rows}")
    assert len({row[0] for row in fewer}) == 1
    explore(browser, report, address.removeprefix("#"))
    assert browser.run(f"return {rows}") == fewer
    browser.run("document.querySelector('#chosen [data-save=csv]').click()")
    saved = browser.downloaded("livelihood_capital_total.csv").decode("utf-8-sig")
    taken = list(csv.DictReader(io.StringIO(saved)))
    assert len(taken) == len(fewer)
    assert {"ci_low", "is_synthetic", "region_zh", "n_indicators"} <= set(taken[0])
    browser.run("document.querySelector('#chosen [data-save=svg]').click()")
    assert b"<svg" in browser.downloaded("livelihood_capital_total.svg")


def test_a_link_to_what_is_gone_says_so_and_draws_nothing_else(report, browser):
    explore(browser, report, "m=livelihood_capital_total&g=all&b=&s=withdrawn_1999&r=nowhere&i=unheard&z=1")
    said = browser.run("return document.getElementById('said').innerText")
    for missing in ("withdrawn_1999", "nowhere", "unheard", "z"):
        assert missing in said
    assert not browser.run("return document.getElementById('nothing').hidden")
    explore(browser, report, "m=no_such_measure")
    assert "no_such_measure" in browser.run("return document.getElementById('said').innerText")
    assert not browser.run("return document.getElementById('nothing').hidden")


def test_weights_are_chosen_by_their_words_in_both_languages(report, browser):
    texts = "return [...document.getElementById('choose-b').options].map(o => [o.value, o.text])"
    for language, word in (("en", "Entropy weights"), ("zh", "熵权法")):
        explore(browser, report, "m=livelihood_capital_total&g=all&b=", f"lang={language}&theme=light")
        shown = dict(browser.run(texts))
        assert len(shown) > 5
        assert any(word in text for text in shown.values())
        assert [
            text for value, text in shown.items() if value.count(".") and value.replace(".", " · ") == text
        ] == []


def test_a_reader_of_chinese_meets_chinese(report, published, browser):
    places = "h1, h2, h3, figcaption, .lead, th, summary, .answer li, nav a, .choices legend, .choices label > span"
    browser.size(1280, 900)
    for page in (report, report.with_name("explore.html")):
        browser.open(f"{page.as_uri()}?all=1&lang=zh&theme=light")
        browser.until("document.documentElement.dataset.ready")
        english = browser.run(
            "return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length)"
            ".map(e => e.innerText.trim()).filter(t => /[A-Za-z]{4}/.test(t) && !/[\u4e00-\u9fff]/.test(t))",
            places,
        )
        assert [text for text in english if text not in ("CFI", "RMSEA")] == [], page.name
        assert browser.run(ENGLISH_SENTENCES) == [], page.name
    # values with remarks: printed figures, their readings, figures of places
    remarked = "return [...document.querySelectorAll('#rows td:last-child')].map(e => e.innerText).join('')"
    for view in (
        "m=customs_difference&g=all&b=",
        "m=arable_land_per_capita_mu&g=all&b=",
        "m=relocated_persons&g=place&b=",
    ):
        explore(browser, report, view, "lang=zh&theme=light")
        assert re.search("[\u4e00-\u9fff]{4}", browser.run(remarked)), view
        assert browser.run(ENGLISH_SENTENCES) == [], view
    browser.open(f"{(published / 'report' / 'quality.html').as_uri()}#zh")
    assert browser.run(ENGLISH_SENTENCES) == []
    browser.run("document.querySelector('h1').append('this was said once only')")
    browser.run("document.querySelector('h1').append('说明：this was said once only')")
    assert browser.run(ENGLISH_SENTENCES) == ["this was said once only", "说明：this was said once only"]


def test_indicators_are_found_in_either_language_on_a_phone_in_the_dark(report, browser):
    explore(browser, report, "m=coupling_coordination_degree&g=site&b=", "lang=zh&theme=dark", width=390)
    assert browser.run("return document.documentElement.scrollWidth") <= 390
    for words, each in (("greenhouse", "has_greenhouse"), ("大棚", "has_greenhouse")):
        browser.run(
            "const s = document.getElementById('search'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
            words,
        )
        ids = browser.run(
            "return [...document.querySelectorAll('[data-indicator]')].map(b => b.dataset.indicator)"
        )
        assert each in ids
        assert len(ids) < 30
    browser.run("document.querySelector('[data-indicator=has_greenhouse]').click()")
    assert "大棚" in browser.run("return document.querySelector('#indicator table').innerText")
    assert [c for c in contrasts(browser) if c[2] < 4.5] == []


@pytest.mark.parametrize(("name", "said"), [("explore", "need scripts"), ("index", "Figures need scripts")])
def test_without_scripts_the_page_says_what_to_do(report, browser, name, said):
    def text_of(selector):
        found = browser._ask("POST", "/element", {"using": "css selector", "value": selector})
        return browser._ask("GET", f"/element/{next(iter(found.values()))}/text", None)

    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(report.with_name(f"{name}.html").as_uri())
        assert said in text_of("noscript")
        if name == "index":
            assert text_of(".answer li")
            assert text_of(".listing td")
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
