"""What is said of a file whose reader ended is what happened to it: memory only where memory ran out."""

import importlib
import os
import signal
import sys

import pytest

from relocation_warehouse.survey.readers import UnreadableFile, isolation, read
from relocation_warehouse.survey.vocabulary import SurveyFile

STAND_IN = """
import os, signal

class Panic(BaseException):
    pass

def killed(path, how):
    os.kill(os.getpid(), int(how))

def panics(path):
    raise Panic("index out of bounds")

def grows(path):
    return len([bytearray(2**20) for _ in range(10**6)])

def leaves(path):
    os._exit(3)
"""
SERVE = """
import sys; sys.path.insert(0, {folder!r})
import stand_in as s
from relocation_warehouse.survey.readers import isolation
isolation.serve({{n: getattr(s, n) for n in ("killed", "panics", "grows", "leaves")}})
"""


def declared(path: str = "a.csv", **others: object) -> SurveyFile:
    record = {"file_id": "f", "path": path, "format": "delimited", "household_id": ["hhid"]}
    return SurveyFile.model_validate(record | others)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A file, and a helper that serves functions which end in every way that a reader can."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    program, started = SERVE.format(folder=str(tmp_path)), isolation.subprocess.Popen

    def start(command, **given):
        return started([*command[:2], program], **given)

    monkeypatch.setattr(isolation, "_helper", None)
    monkeypatch.setattr(isolation.subprocess, "Popen", start)
    (tmp_path / "a.csv").write_text("a\n1\n")
    yield tmp_path / "a.csv"
    if isolation._helper is not None:
        isolation._helper.socket.close()
        isolation._helper.process.wait(10)


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        ("panics", (), r"cannot be read \(Panic: index out of bounds\)"),
        ("killed", (str(int(signal.SIGSEGV)),), "its reader failed .SIGSEGV"),
        ("killed", (str(int(signal.SIGKILL)),), "killed from outside"),
        ("killed", (str(int(signal.SIGXCPU)),), "takes more than 15 seconds"),
        ("leaves", (), "its reader failed .exit status 3"),
        ("grows", (), "needs more than 1.0 GiB of memory"),
    ],
)
def test_an_end_is_told_by_its_cause(served, function, arguments, says):
    with (
        pytest.raises(UnreadableFile, match=says),
        isolation.isolated(function, *arguments, path=served, module="delimited"),
    ):
        pass


def test_a_helper_that_cannot_start_is_no_fault_of_the_file(served, monkeypatch):
    monkeypatch.setattr(isolation, "_helper", None)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        pytest.raises(UnreadableFile, match="the process that reads files ended, or cannot start"),
        isolation.isolated("leaves", path=served, module="delimited"),
    ):
        pass


def test_a_module_that_is_not_there_is_named(served):
    with (
        pytest.raises(UnreadableFile, match=r"ModuleNotFoundError: No module named .*no_such_reader"),
        isolation.isolated("leaves", path=served, module="no_such_reader"),
    ):
        pass


def test_a_helper_that_ended_is_started_again(tmp_path):
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert read(declared(), tmp_path).table.num_rows == 1
    os.kill(isolation._helper.process.pid, signal.SIGKILL)
    isolation._helper.process.wait(10)
    assert read(declared(), tmp_path).table.num_rows == 1


def test_a_long_declaration_reaches_its_reader(tmp_path):
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * 10)
    file = declared(options={"skip_rows": list(range(5, 100_000))})
    assert read(file, tmp_path).table.num_rows == 3


def test_classes_under_another_name_are_read(tmp_path, monkeypatch):
    """A caller may have imported the package below another name; the helper knows nothing of that name."""
    package = importlib.import_module("relocation_warehouse.survey")
    monkeypatch.setitem(sys.modules, "alias", package)
    # importing below another name also makes that name's modules the attributes of the one package
    for module in ("readers", "vocabulary"):
        monkeypatch.setattr(package, module, importlib.import_module(f"relocation_warehouse.survey.{module}"))
    vocabulary, readers = (
        importlib.import_module("alias.vocabulary"),
        importlib.import_module("alias.readers"),
    )
    assert vocabulary.SurveyFile is not SurveyFile
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    file = vocabulary.SurveyFile.model_validate(declared().model_dump())
    assert readers.read(file, tmp_path).table.to_pylist() == [{"a": "1", "b": "2", "_row": 2}]
    for name in [n for n in sys.modules if n.startswith("alias.")]:
        del sys.modules[name]
