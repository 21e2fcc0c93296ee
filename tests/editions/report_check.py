"""The published pages in headless Chromium without a network: axe-core, contrast, fit, timings and screenshots.

Run by `make test-report`; exits 1 where axe-core finds a violation, text in a figure stands out too little, a page is
wider than its window, a figure is missing or a request leaves. Belongs here: looking at pages that are there. Does not
belong here: made-up tables (`test_report_in_browser`).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from browser import CHROMIUM, DRIVER, MISSING, Browser
from looks import contrasts, drawn_problems

VIEWS = {
    "light": ("en", "light", 1440),
    "dark": ("en", "dark", 1440),
    "phone": ("en", "light", 390),
    "phone-dark": ("zh", "dark", 390),
    "chinese": ("zh", "light", 1440),
}
"""Name of a view -> language, theme, and width of the window in CSS pixels."""

AXE = """
document.querySelectorAll("details").forEach(d => { d.open = true; });
return axe.run(document, { resultTypes: ["violations"] }).then(found => ({
  passes: found.passes.length,
  violations: found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.length} elements, first `
    + `${v.nodes[0].target.join(" ")}: ${v.nodes[0].failureSummary}`),
}));
"""


def look(browser, page, view, axe):
    """What is wrong with a page in a view, and what was measured."""
    language, theme, width = VIEWS[view]
    browser.size(width, 900)
    browser.devtools(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}]
    )
    address = f"{page.resolve().as_uri()}?lang={language}&theme={theme}"
    browser.open(address if page.name != "quality.html" else f"{page.resolve().as_uri()}#{language}")
    first, problems = None, []
    if page.name != "quality.html":
        browser.open(f"{address}&all=1")
        browser.until("document.documentElement.dataset.ready")
        first = browser.run("return window.__firstFigure")
        problems += drawn_problems(browser)
    if (wide := browser.run("return document.documentElement.scrollWidth")) > width:
        problems.append(f"{wide} px wide in a window of {width} px")
    browser.run(axe)
    rules = browser.run(AXE)
    problems += rules["violations"]
    # colours do not depend on the width
    measured = contrasts(browser) if width > 600 else []
    problems += [
        f"contrast {ratio:.2f} of {text!r} in {figure}" for figure, text, ratio in measured if ratio < 4.5
    ]
    worst = min((ratio for _, _, ratio in measured), default=None)
    return problems, {"first_ms": first, "rules": rules["passes"], "texts": len(measured), "worst": worst}


def main():
    """Check every view of every page, print what was found, take the screenshots asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="index.html; the pages beside it are looked at too")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of the npm package axe-core")
    parser.add_argument("--screenshots", type=Path, help="folder for PNG files")
    asked = parser.parse_args()
    if not (CHROMIUM and DRIVER):
        sys.exit(MISSING)
    # a library that looks for a module system finds none in the body of a function
    axe = asked.axe.read_text(encoding="utf-8")
    bad = 0
    pages = [
        p for name in ("index", "explore", "quality") if (p := asked.report.parent / f"{name}.html").exists()
    ]
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        for page in pages:
            print(f"{page.name}: {page.stat().st_size / 2**20:.2f} MB")
            for view, (_, _, width) in VIEWS.items():
                problems, measured = look(browser, page, view, axe)
                print(f"  {view}: {json.dumps(measured)}, {len(problems)} problems")
                print("".join(f"    {p}\n" for p in problems), end="")
                bad += len(problems)
                if asked.screenshots:
                    asked.screenshots.mkdir(parents=True, exist_ok=True)
                    language, theme, _ = VIEWS[view]
                    browser.size(width, 1900 if width > 600 else 1700)
                    browser.open(f"{page.resolve().as_uri()}?lang={language}&theme={theme}")
                    browser.run("return new Promise(done => setTimeout(done, 2500))")
                    name = "report" if page.stem == "index" else page.stem
                    browser.screenshot(asked.screenshots / f"{name}-{view}.png")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
