"""What is kept is right or unused: written whole, checked when read, found by content and code alone."""

import os
import subprocess
import sys

import pytest

from relocation_warehouse.ground import kept as module
from relocation_warehouse.ground.kept import FOLDER_VARIABLE, Kept, code_of, digest_of
from relocation_warehouse.ground.paths import CHECKOUT, Paths

PARTS = {"a.json": b"{}", "b": b"\x00\n\xff" * 100}


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "kept")


def counted(parts=PARTS):
    calls = []

    def make():
        calls.append(1)
        return parts

    return make, calls


def test_the_same_is_made_once(kept):
    make, calls = counted()
    assert kept.made("kind", "x", make) == PARTS == kept.made("kind", "x", make)
    assert len(calls) == 1
    assert kept.find("kind", "y") is None
    assert kept.find("other", "x") is None


@pytest.mark.parametrize(
    "content", [{}, {"empty": b""}, {"é/ü.json": b"\n\n"}, {"../x": b"1", "y": bytes(70_000)}]
)
def test_parts_come_back_as_they_were(kept, content):
    kept.keep("kind", "x", content)
    assert kept.find("kind", "x") == content


@pytest.mark.parametrize("harm", ["cut", "changed", "emptied", "replaced", "gone", "folder"])
def test_a_poisoned_entry_is_made_again(kept, harm):
    make, calls = counted()
    kept.made("kind", "x", make)
    path = kept.folder / "kind" / "x"
    whole = path.read_bytes()
    if harm == "cut":
        path.write_bytes(whole[:-10])
    elif harm == "changed":
        path.write_bytes(whole.replace(b"\xff", b"\xfe", 1))
    elif harm == "emptied":
        path.write_bytes(b"")
    elif harm == "replaced":
        path.write_bytes(b"0" * 64 + whole[64:])
    else:
        path.unlink()
    if harm == "folder":
        path.mkdir()
    assert kept.made("kind", "x", make) == PARTS
    assert len(calls) == 2


def test_a_folder_that_takes_nothing_costs_nothing_but_time(tmp_path):
    (tmp_path / "kept").write_text("a file where the folder should be")
    make, calls = counted()
    store = Kept(tmp_path / "kept")
    assert store.made("kind", "x", make) == PARTS == store.made("kind", "x", make)
    assert len(calls) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_what_was_not_used_for_longest_goes_first(kept):
    for n, name in enumerate("abc"):
        kept.keep("kind", name, {"x": bytes(1000)})
        os.utime(kept.folder / "kind" / name, (n, n))
    assert kept.find("kind", "a") is not None
    kept.prune(2500)
    assert sorted(p.name for p in kept.folder.glob("*/*")) == ["a", "c"]
    kept.forget()
    assert not [*kept.folder.glob("*/*")]


def test_warehouses_may_keep_things_together(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    paths = Paths.under(tmp_path / "data")
    assert Kept.of(paths).folder == paths.warehouse / "kept"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "shared"))
    assert Kept.of(paths).folder == tmp_path / "shared"


def test_a_forced_refresh_uses_and_removes_nothing_that_others_keep(tmp_path, monkeypatch):
    paths = Paths.under(tmp_path / "data")
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    Kept.of(paths).keep("kind", "x", PARTS)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "shared"))
    Kept.of(paths).keep("kind", "x", PARTS)
    with Kept.anew(paths):
        assert Kept.of(paths).find("kind", "x") is None
        Kept.of(paths).keep("kind", "y", PARTS)
    assert Kept.of(paths).folder == tmp_path / "shared"
    assert Kept.of(paths).find("kind", "x") == PARTS
    assert Kept.of(paths).find("kind", "y") is None


WRITER = """
import sys
from pathlib import Path
from relocation_warehouse.ground.kept import Kept
kept, wrong = Kept(Path(sys.argv[1])), 0
for n in range(150):
    expected = {"a": str(n % 5).encode() * 20_000}
    wrong += kept.made("kind", str(n % 5), lambda: expected) != expected
    if n % 40 == 39:
        kept.prune(30_000 if n % 80 == 39 else 0)
sys.exit(wrong)
"""


def test_processes_may_keep_find_and_remove_the_same_at_once(tmp_path):
    run = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen(run, cwd=CHECKOUT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(w.communicate()[1], w.returncode) for w in writers] == [(b"", 0)] * 3
    assert not [p.name for p in tmp_path.glob("*/*-*")], "something half written is left"


def test_a_digest_tells_apart_what_differs():
    assert digest_of("a", ["b", 1]) == digest_of("a", ("b", 1))
    assert len({digest_of(*x) for x in [("a", "b"), ("ab",), ("a", "b", None), ({"a": "b"},)]}) == 4


def test_the_code_of_a_module_is_all_that_it_imports(tmp_path, monkeypatch):
    for name, text in {
        "analysis/top.py": "def f():\n    from analysis import (\n        low as l,  # why\n    )\n    return l.x\n",
        "analysis/low.py": "import analysis.lowest\nx = 1\n",
        "analysis/lowest.py": "y = 1\n",
        "analysis/beside.py": "z = 1\n",
        "analysis/__init__.py": "",
        "requirements.lock": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "CHECKOUT", tmp_path)

    def digest(changed):
        before = (tmp_path / changed).read_text()
        (tmp_path / changed).write_text(before + "\n# other\n")
        code_of.cache_clear()
        module._imports.cache_clear()
        reached = code_of("analysis.top")
        (tmp_path / changed).write_text(before)
        return reached

    same = digest("analysis/beside.py")
    changed = {digest(f"analysis/{name}.py") for name in ("top", "low", "lowest")}
    assert len({same, *changed, digest("requirements.lock")}) == 5
    code_of.cache_clear()
    module._imports.cache_clear()


def test_a_module_that_is_not_there_has_no_code():
    with pytest.raises(LookupError, match=r"no module analysis\.absent"):
        code_of("analysis.coupling", "analysis.absent")


def test_the_code_of_a_result_holds_its_formulas_and_not_the_commands():
    reached, waiting = set(), ["relocation_warehouse.results.coupling"]
    while waiting:
        for path in module._files(waiting.pop()):
            if path not in reached:
                reached.add(path)
                waiting += module._imports(path)
    names = {p.relative_to(CHECKOUT).as_posix() for p in reached}
    assert {"analysis/coupling.py", "relocation_warehouse/survey/catalog.py"} <= names
    assert not [n for n in names if n.startswith(("dagster_project", "relocation_warehouse/command"))]
