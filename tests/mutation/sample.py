"""A small sample of mutants, each against the test files that name its module; minutes in place of hours.

Unlike `mutate.py` it does not first run all tests to learn which of them reach what, so it begins at once and misses
what other test files would notice. Results are a line of JSON each, and a mutant that has one is not run again.
"""

import argparse
import importlib.abc
import importlib.util
import json
import os
import random
import re
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import hypothesis.extra.numpy
import libcst as cst
import mutate
import pandas
import pytest
import scipy.stats
import statsmodels.api
from mutmut.mutation import file_mutation, mutators

LOADED = (pandas, pytest, scipy.stats, statsmodels.api, hypothesis.extra.numpy)
"""What every test needs: imported once, before each mutant forks."""

OURS = ("analysis", "relocation_warehouse")
SECONDS = 90
"""Processor time after which a mutant hangs; the clock would count a busy machine against it."""


@dataclass(frozen=True)
class Mutant:
    """One changed module, and the test files that should notice."""

    path: str
    number: int
    code: str
    of: int
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """Its dotted name."""
        return self.path.removesuffix(".py").replace("/", ".")

    @property
    def diff(self) -> list[str]:
        """Lines that were taken away and put in."""
        before = Path(self.path).read_text(encoding="utf-8").splitlines()
        lines = unified_diff(before, self.code.splitlines(), lineterm="", n=0)
        return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the changed code in place of the module's own."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_loader(name, self) if name == self.mutant.module else None

    def exec_module(self, module):
        exec(compile(self.mutant.code, self.mutant.path, "exec"), module.__dict__)


def mutants_of(path: str, group: mutate.Group, wanted: int) -> Iterator[Mutant]:
    """Draw mutants of a module, by the seed of the campaign."""
    package, _, name = path.removesuffix(".py").replace("/", ".").rpartition(".")
    named = re.compile(rf"{re.escape(package)}\.{name} import|{re.escape(package)} import .*\b{name}\b")
    files = [
        f for t in group.tests for f in (sorted(Path(t).glob("test_*.py")) if Path(t).is_dir() else [Path(t)])
    ]
    tests = [str(f) for f in files if str(f) not in group.left_out and named.search(f.read_text("utf-8"))]
    if not tests:
        print(f"{path}: no test file of the group names it")
        return
    module, mutations, _, _ = file_mutation.create_mutations(path, Path(path).read_text(encoding="utf-8"))
    inside = [m for m in mutations if m.contained_by_top_level_function is not None]
    chance = random.Random(f"{mutate.SEED} {path}")
    for number in chance.sample(range(len(inside)), min(wanted, len(inside))):
        code = module.deep_replace(inside[number].original_node, inside[number].mutated_node).code
        yield Mutant(path, number, code, len(inside), (*tests, *(f"--deselect={t}" for t in group.left_out)))


def outcome(mutant: Mutant) -> str:
    """Run the tests in a process of its own: killed, survived or timeout."""
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.meta_path.insert(0, Changed(mutant))
        for name in [n for n in sys.modules if n.split(".")[0] in OURS]:
            del sys.modules[name]
        code = 1
        try:
            code = int(pytest.main(["-q", "-x", "--fast", *mutant.tests]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timeout"
    return "survived" if code == 0 else "killed"


def main() -> None:
    """Draw and run mutants of some modules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=mutate.GROUPS)
    parser.add_argument("modules", nargs="+", help="paths from the top of the checkout")
    parser.add_argument("--from-each", type=int, default=6, help="mutants drawn from a module")
    parser.add_argument("--out", type=Path, default=mutate.CHECKOUT / "build" / "mutation" / "sample.jsonl")
    arguments = parser.parse_args()
    os.chdir(mutate.CHECKOUT)
    sys.path[:0] = [str(mutate.CHECKOUT)]
    mutators.mutation_operators[:] = [
        (cst.BaseString, mutate.operator_sql) if operator is mutators.operator_string else (kind, operator)
        for kind, operator in mutators.mutation_operators
    ]
    mutate.first_failure_is_enough()
    group = mutate.GROUPS[arguments.group]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.touch()
    known = {tuple(json.loads(line)[:2]) for line in arguments.out.read_text(encoding="utf-8").splitlines()}
    drawn = [m for path in arguments.modules for m in mutants_of(path, group, arguments.from_each)]
    # in any order, so that a run which is stopped is a sample of all
    random.Random(mutate.SEED).shuffle(drawn)
    for mutant in drawn:
        if (mutant.path, mutant.number) not in known and mutant.diff:
            line = [mutant.path, mutant.number, outcome(mutant), mutant.of, mutant.diff]
            with arguments.out.open("a", encoding="utf-8") as out:
                print(json.dumps(line, ensure_ascii=False), file=out)


if __name__ == "__main__":
    main()
