"""The notebook without a browser: its cells run on a published file, and its server shows them to this machine only."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import duckdb
import pytest

from relocation_warehouse.bi.cookbook import questions
from relocation_warehouse.ground.paths import CHECKOUT

NOTEBOOK = CHECKOUT / "notebooks" / "explore.py"


@pytest.fixture
def cells(published, monkeypatch):
    """Names that the cells define, after a run from top to bottom."""
    monkeypatch.setenv("WAREHOUSE_DATA", str(published.parent))
    spec = spec_from_file_location("explore_notebook", NOTEBOOK)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    _, defined = module.app.run()
    return defined


def test_the_first_question_is_answered_and_drawn(cells):
    assert cells["question"].value == questions()[0]
    assert cells["told"].problem == ""
    assert len(cells["told"].frame)
    assert cells["chart"].to_dict()["$schema"]
    assert len(cells["surveys"]) == 4


def test_nothing_can_be_changed(cells):
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        cells["con"].execute("create table analysis.mine as select 1")
    assert "read-only" in cells["explore"].ask(cells["con"], "drop table reference.surveys").problem


def test_without_a_published_file_it_says_what_to_do(tmp_path):
    (tmp_path / "published").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "export", "html", NOTEBOOK, "-o", tmp_path / "page.html", "--no-include-code"],
        env=os.environ | {"WAREHOUSE_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert "make refresh" in (tmp_path / "page.html").read_text(encoding="utf-8"), done.stderr


def test_the_server_answers_on_this_machine_with_a_page_of_its_own(published):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    marimo, address = Path(sys.executable).with_name("marimo"), ("--host", "127.0.0.1", "--port", str(port))
    server = subprocess.Popen(
        [marimo, "run", NOTEBOOK, "--headless", *address],
        env=os.environ | {"WAREHOUSE_DATA": str(published.parent), "MARIMO_SKIP_UPDATE_CHECK": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        page = _get(f"http://127.0.0.1:{port}/", server)
    finally:
        server.terminate()
        server.wait(20)
    assert "Relocation warehouse" in page
    loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=\"(https?:[^\"]+)\"", page)
    assert loaded == []


def _get(address, server):
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("no answer")
