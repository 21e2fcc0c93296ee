"""The report in a real browser without a network; without Chromium collected only where CI is set (see conftest)."""

import re
import subprocess

import pytest
from conftest import CHROMIUM
from made_up_build import contract

from relocation_warehouse.publication.database import write_database
from relocation_warehouse.publication.report import write_report

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=30000", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"),
)


WITNESS = """<head><script>
addEventListener("securitypolicyviolation", e => { document.documentElement.dataset.violation = e.blockedURI; });
new MutationObserver((_, self) => {
  const root = document.documentElement;
  if (root.dataset.ready) { self.disconnect();
    root.dataset.requests = JSON.stringify(performance.getEntriesByType("resource").map(r => r.name)); }
}).observe(document.documentElement, { attributes: true });
</script>"""
"""Notes in the page what the page asked for; the browser's own requests are not the report's."""


@pytest.fixture(scope="module")
def report(sound_build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_database(sound_build, folder / "warehouse.duckdb", contract())
    write_report(folder / "warehouse.duckdb", folder)
    path = folder / "index.html"
    path.write_text(path.read_text(encoding="utf-8").replace("<head>", WITNESS, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("zh", "dark")])
def test_every_figure_is_drawn_and_no_request_leaves(report, tmp_path, language, theme):
    assert CHROMIUM, "no Chromium: apt-get install chromium"
    address = f"{report.as_uri()}?all=1&lang={language}&theme={theme}"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address]
    page = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
    views = re.findall(r'<div class="view[^"]*"[^>]*data-figure[^>]*>', page)
    assert len(views) >= 12
    assert [v for v in views if f'data-drawn="{language}{theme}"' not in v or "data-error" in v] == []
    opening = re.search(r"<html[^>]*>", page)[0]
    assert f'data-lang="{language}"' in opening
    assert 'data-requests="[]"' in opening
    assert "data-violation" not in opening
