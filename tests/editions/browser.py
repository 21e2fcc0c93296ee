"""A headless Chromium driven through chromedriver's own protocol: plain JSON over HTTP on 127.0.0.1.

Belongs here: starting, asking and stopping a browser that reaches no network. Does not belong here: what a page should
look like.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "no Chromium or chromedriver: apt-get install chromium chromium-driver"

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--disable-dev-shm-usage"),
)

EACH_PAGE = """
window.__violations = [];
addEventListener("securitypolicyviolation", e => window.__violations.push(e.blockedURI));
addEventListener("unhandledrejection", e => window.__violations.push(String(e.reason)));
addEventListener("error", e => window.__violations.push(String(e.message)));
new MutationObserver((_, self) => {
  if (!document.querySelector("[data-drawn]")) return;
  self.disconnect();
  window.__firstFigure = Math.round(performance.now());
}).observe(document, { attributes: true, subtree: true, attributeFilter: ["data-drawn"] });
"""
"""Notes what a page is refused, and when its first figure is there; runs before every script of the page."""


class Browser:
    """One browser with a profile of its own; a context manager.

    Parameters
    ----------
    folder
        Scratch folder for profile and downloads.
    """

    def __init__(self, folder: Path) -> None:
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._driver: subprocess.Popen[bytes] | None = None
        self._address = ""

    def __enter__(self) -> Self:
        assert CHROMIUM, MISSING
        assert DRIVER, MISSING
        log = self._folder / "driver.log"
        self._driver = subprocess.Popen([DRIVER, "--port=0", f"--log-path={log}"], stdout=subprocess.PIPE)
        assert self._driver.stdout is not None
        port = 0
        for line in self._driver.stdout:
            if b"started successfully on port" in line:
                port = int(line.split()[-1].rstrip(b"."))
                break
        self._address = f"http://127.0.0.1:{port}"
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={self._folder / 'profile'}"],
            "prefs": {
                "download.default_directory": str(self.downloads),
                "profile.default_content_setting_values.automatic_downloads": 1,
            },
        }
        made = self._ask(
            "POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        )
        self._address += f"/session/{made['sessionId']}"
        self._ask("POST", "/timeouts", {"script": 240_000, "pageLoad": 240_000})
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source=EACH_PAGE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("DELETE", "", None)
        finally:
            assert self._driver is not None
            self._driver.terminate()
            self._driver.wait(10)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)["value"]
        except HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def devtools(self, command: str, **parameters: object) -> Any:
        """Send a command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width: int, height: int, scale: float = 1) -> None:
        """Set the size of the page in CSS pixels, down to a phone's."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def open(self, address: str) -> None:
        """Open a page and wait until it has loaded."""
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """Run the body of a function in the page; a promise is waited for."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str, seconds: float = 120) -> Any:
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while not (result := self.run(f"return {script}")):
            assert time.monotonic() < end, f"not true within {seconds} s: {script}"
            time.sleep(0.1)
        return result

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Save what is seen, or the whole page, as PNG."""
        picture = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def print(self, path: Path) -> None:
        """Save the page as it prints, on A4, as PDF."""
        # the driver's own command gives a long page ten seconds
        printed = self.devtools("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(printed["data"]))

    def downloaded(self, name: str, seconds: float = 20) -> bytes:
        """Bytes of a file that the page saved."""
        path = self.downloads / name
        end = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < end, f"{name} was not saved; there are {[*self.downloads.iterdir()]}"
            time.sleep(0.1)
        return path.read_bytes()
