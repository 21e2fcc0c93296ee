"""The report in a real browser without a network; without Chromium collected only where CI is set (see conftest)."""

import csv
import io
import struct
from xml.etree import ElementTree as ET

import pytest
from browser import Browser
from looks import contrasts, drawn_problems

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
