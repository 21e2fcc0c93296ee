"""The published report under axe-core, in headless Chromium without a network, with screenshots and timings.

Run by `make test-report`; exits 1 where axe-core finds a violation, a figure is missing or a request leaves. Belongs
here: looking at a report that is there. Does not belong here: made-up tables (`test_report_in_browser`).
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
)
VIEWS = {
    "light": ("lang=en&theme=light", (1280, 1900)),
    "dark": ("lang=en&theme=dark", (1280, 1900)),
    "phone": ("lang=en&theme=light", (500, 1900)),
    "chinese": ("lang=zh&theme=light", (1280, 1900)),
}
"""Name of a screenshot -> query of the page and size of the window in pixels (Chromium makes none narrower)."""

WITNESS = """
new MutationObserver((changes, self) => {
  if (document.querySelector("[data-drawn]")) {
    self.disconnect();
    document.documentElement.dataset.firstFigure = Math.round(performance.now());
  }
}).observe(document.documentElement, { attributes: true, subtree: true, attributeFilter: ["data-drawn"] });
new MutationObserver((changes, self) => {
  const root = document.documentElement;
  if (!root.dataset.ready || !window.axe) return;
  self.disconnect();
  document.querySelectorAll("details").forEach(d => { d.open = true; });
  root.dataset.requests = JSON.stringify(performance.getEntriesByType("resource").map(r => r.name));
  axe.run(document, { resultTypes: ["violations"] }).then(
    found => { root.dataset.axe = JSON.stringify({ passes: found.passes.length, violations: found.violations.map(
      v => ({ id: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(" ") + ": " + n.failureSummary) })) }); },
    error => { root.dataset.axe = JSON.stringify({ error: String(error) }); });
}).observe(document.documentElement, { attributes: true });
"""


def chromium(*arguments, profile):
    """Run the browser to its end."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def first_figure(window, address, profile):
    """Milliseconds until the first figure is there, on the clock; None where the browser stopped looking earlier."""
    return attribute(
        chromium(window, "--timeout=20000", "--dump-dom", address, profile=profile), "data-first-figure"
    )


def attribute(page, name):
    """An attribute of the root element of a dumped page."""
    opening = re.search(r"<html[^>]*>", page)[0]
    found = re.search(f'{name}="([^"]*)"', opening)
    return unescape(found[1]) if found else None


def problems_of(page):
    """What is wrong with a page that axe-core has looked at, in words."""
    views = re.findall(r'<div class="view[^"]*"[^>]*data-figure[^>]*>', page)
    undrawn = [v for v in views if "data-drawn" not in v or "data-error" in v]
    found = [f"not drawn: {v}" for v in undrawn] if views else ["there are no figures"]
    if attribute(page, "data-requests") != "[]":
        found.append(f"requests: {attribute(page, 'data-requests')}")
    axe = json.loads(attribute(page, "data-axe") or '{"error": "axe-core did not finish"}')
    if "error" in axe:
        return [*found, axe["error"]]
    found += [
        f"{v['id']}: {v['help']}: {len(v['nodes'])} elements, first {v['nodes'][0]}"
        for v in axe["violations"]
    ]
    return found


def main():
    """Check every view of the report, print what was found, take the screenshots asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js of the npm package axe-core")
    parser.add_argument("--screenshots", type=Path, help="folder for PNG files")
    asked = parser.parse_args()
    if CHROMIUM is None:
        sys.exit("no Chromium: apt-get install chromium")
    text = asked.report.read_text(encoding="utf-8")
    print(f"size: {len(text.encode()) / 2**20:.1f} MB")
    script = asked.axe.read_text(encoding="utf-8").replace("</script", "<\\/script")
    witness = f"<head><script>{WITNESS}</script><script>{script}</script>"
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "index.html"
        page.write_text(text.replace("<head>", witness, 1), encoding="utf-8")
        for name, (query, (width, height)) in VIEWS.items():
            window = f"--window-size={width},{height}"
            address = f"{page.as_uri()}?{query}"
            profile = Path(folder) / name
            whole = chromium(
                window, "--virtual-time-budget=60000", "--dump-dom", f"{address}&all=1", profile=profile
            )
            problems = problems_of(whole)
            first = next(filter(None, (first_figure(window, address, profile) for _ in range(6))), None)
            checks = json.loads(attribute(whole, "data-axe") or "{}").get("passes")
            print(
                f"{name}: first figure after {first} ms, {checks} rules of axe-core pass, {len(problems)} problems"
            )
            print("".join(f"  {p}\n" for p in problems), end="")
            bad += len(problems)
            if asked.screenshots:
                asked.screenshots.mkdir(parents=True, exist_ok=True)
                shot = asked.screenshots / f"report-{name}.png"
                plain = f"{asked.report.resolve().as_uri()}?{query}"
                chromium(
                    window, "--virtual-time-budget=20000", f"--screenshot={shot}", plain, profile=profile
                )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
