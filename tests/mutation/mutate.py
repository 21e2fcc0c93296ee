"""Mutation testing: change one operator, number or condition of the code at a time, and see whether a test fails.

`docs/mutation.md` has the commands, the figures and how to read them. mutmut makes the mutants of Python. What stands
here is which tests belong to which code, the mutants of SQL, which mutmut knows nothing of, and a runner that makes a
mutant cheap: it imports once, collects once, and gives each mutant a forked process in which the code of one function
is replaced and the tests run that reach the changed statement, the cheapest first, up to the first that fails.

Its steps are kept in `build/mutation/`, so that a run which was stopped goes on where it was: every test file of the
group runs once under coverage (lines reached and time of each test); mutants are drawn by a fixed seed; each is run.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import gc
import hashlib
import importlib
import itertools
import json
import math
import os
import pickle
import random
import re
import resource
import shutil
import signal
import sys
import time
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import coverage
import hypothesis
import libcst as cst
import pytest
from libcst.metadata import PositionProvider
from mutmut.mutation import file_mutation, mutators, pragma_handling

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.survey import documents, ingest, readers
from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.readers import isolation

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "build" / "mutation"
OURS = ("analysis", "dagster_project", "expectations", "relocation_warehouse")
SEED = 20261127
LONGEST = 5.0
"""Seconds of processor time after which a test is left out, without the fixtures that it shares with others."""
MADE_UP = (("attacked_build", "attacked_build"), ("made_up_build", "build"))
"""Modules of tests and their functions that write a build without any mutated code: path, then what decides it."""


@dataclass(frozen=True)
class Group:
    """Code that is mutated, and the tests that should notice.

    Attributes
    ----------
    mutated, elsewhere
        Patterns of files, and those of them that belong to another group or to tests in a browser.
    tests, left_out
        Tests that are run, and those of them that would take too long.
    from_each
        Mutants that are drawn from a module; 0 for all.
    """

    mutated: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    from_each: int = 0

    def files(self, endings: list[str]) -> list[str]:
        """Paths of the mutated files from the top of the checkout, or of those that end in one of `endings`."""
        paths = {str(p.relative_to(CHECKOUT)) for pattern in self.mutated for p in CHECKOUT.glob(pattern)}
        kept = (p for p in paths if not any(fnmatch(p, pattern) for pattern in self.elsewhere))
        return sorted(p for p in kept if not endings or p.endswith(tuple(endings)))

    def tests_of(self, endings: list[str]) -> list[str]:
        """Tests to run; for some files those of the test files that import one of them."""
        if not endings:
            return [*self.tests]
        modules = [p.removesuffix(".py").replace("/", ".").rpartition(".") for p in self.files(endings)]
        named = re.compile("|".join(rf"{a}\.{b} import|{a} import .*\b{b}\b" for a, _, b in modules))
        files = [
            f
            for t in self.tests
            for f in (sorted(Path(t).glob("test_*.py")) if Path(t).is_dir() else [Path(t)])
        ]
        return [str(f) for f in files if named.search(f.read_text(encoding="utf-8"))]


DISCLOSURE = (
    "relocation_warehouse/contract/anonymity.py",
    "relocation_warehouse/contract/disclosure.py",
    "relocation_warehouse/publication/disclosure.py",
    "relocation_warehouse/publication/pseudonyms.py",
    "relocation_warehouse/publication/renewal.py",
    "relocation_warehouse/publication/withholding.py",
)

GROUPS = {
    "analysis": Group(
        ("analysis/*.py",),
        ("tests/analysis",),
        (
            # minutes of simulation, which no mutant may cost
            "tests/analysis/test_simulated_papers.py",
            "tests/analysis/test_rejection_rates.py",
            "tests/analysis/test_comparison.py::test_oaxaca_standard_errors_agree_with_a_bootstrap_within_groups",
        ),
        from_each=4,
    ),
    "survey": Group(
        ("relocation_warehouse/survey/cells.py", "relocation_warehouse/survey/crosswalk.py"),
        (
            "tests/surveys/test_crosswalk.py",
            "tests/surveys/test_conventions.py",
            "tests/surveys/test_ingest.py",
            "tests/surveys/test_panels.py",
            "tests/surveys/test_sampling.py",
            "tests/surveys/test_trace.py",
            "tests/surveys/test_declarations.py",
            "tests/receiving/test_check_command.py",
            "tests/receiving/test_trial.py",
        ),
        (
            "tests/surveys/test_ingest.py::test_received_is_accepted_plus_quarantined",
            "tests/surveys/test_panels.py::test_nobody_is_lost_who_says_where_they_live",
        ),
        from_each=52,
    ),
    "disclosure": Group(
        DISCLOSURE,
        (
            "tests/contract/test_anonymity.py",
            "tests/editions/test_attack.py",
            "tests/editions/test_disclosure.py",
            "tests/editions/test_pseudonyms.py",
            "tests/editions/test_renewal.py",
            "tests/editions/test_rules_of_disclosure.py",
            "tests/editions/test_withholding.py",
        ),
        (
            "tests/editions/test_attack.py::test_no_file_of_the_public_edition_quotes_an_answer_or_a_person",
            "tests/editions/test_attack.py::test_random_surveys_give_no_small_count_away",
            "tests/editions/test_attack.py::test_a_withdrawn_survey_leaves_the_edition_at_once",
        ),
        from_each=19,
    ),
    "publication": Group(
        ("relocation_warehouse/publication/*.py", "relocation_warehouse/publication/report/*.py"),
        (
            "tests/editions/test_audit.py",
            "tests/editions/test_csv_text.py",
            "tests/editions/test_files.py",
            "tests/editions/test_former.py",
            "tests/editions/test_key.py",
            "tests/editions/test_latest_load.py",
            "tests/editions/test_moved.py",
            "tests/editions/test_publish.py",
            "tests/editions/test_report.py",
            "tests/editions/test_report_data.py",
            "tests/editions/test_tables.py",
            "tests/editions/test_two_languages.py",
            "tests/editions/test_verify.py",
        ),
        # figures and the page are looked at in a browser
        elsewhere=(*DISCLOSURE, "*/report/figures.py", "*/report/page.py"),
        from_each=8,
    ),
}

MESSAGE = re.compile(r"^\s*(raise\b|\w+\.append\(f?\")")
"""Start of a line with a message to people, which no test pins."""

SQL = re.compile(r"\b(select|case|when|join|having|partition by|coalesce|is (not )?null)\b|\b[a-z_]+\(")
"""A string of SQL, or of an expression in it; messages to people hold neither."""

REPLACED = (
    *(
        (rf"(?<=\s){a}(?=\s)", b)
        for a, b in (("=", "<>"), ("<>", "="), ("<", "<="), ("<=", "<"), (">", ">="), (">=", ">"))
    ),
    *(
        (rf"(?<=\s){a}(?=\s)", b)
        for a, b in ((r"\+", "-"), ("-", "+"), (r"\*", "/"), ("/", "*"), ("//", "/"), ("%", "+"))
    ),
    *(
        (rf"\b{a}\b", b)
        for a, b in (("and", "or"), ("or", "and"), ("left join", "join"), ("union all", "union"))
    ),
    *(
        (rf"\b{a}\(", f"{b}(")
        for a, b in (("min", "max"), ("max", "min"), ("least", "greatest"), ("greatest", "least"))
    ),
    *((rf"\b{a}\(", f"{b}(") for a, b in (("floor", "ceil"), ("ceil", "floor"))),
    (r"\bis null\b", "is not null"),
    (r"\bis not null\b", "is null"),
    (r"\bnot (?!null)", ""),
    (r"\bdistinct ", ""),
    (r"\bis_[a-z_]+ and ", ""),
)


def changed_sql(text: str) -> Iterator[str]:
    """SQL with one operator, number or condition changed."""
    for pattern, other in REPLACED:
        for match in re.finditer(pattern, text):
            yield text[: match.start()] + other + text[match.end() :]
    for match in re.finditer(r"(?<![\w.$'])\d+(\.\d+)?(?![\w.'])", text):
        number = match[0]
        other = repr(float(number) * 1.5) if "." in number else str(int(number) + 1)
        yield text[: match.start()] + other + text[match.end() :]


def operator_sql(node: cst.BaseString) -> Iterator[cst.BaseString]:
    """Mutants of a string that holds SQL; messages have none."""
    if isinstance(node, cst.SimpleString) and SQL.search(node.value):
        for value in changed_sql(node.value):
            yield node.with_changes(value=value)
    if isinstance(node, cst.FormattedString):
        texts = [part.value for part in node.parts if isinstance(part, cst.FormattedStringText)]
        if SQL.search(" ".join(texts)):
            for place, part in enumerate(node.parts):
                if isinstance(part, cst.FormattedStringText):
                    for value in changed_sql(part.value):
                        parts = [*node.parts]
                        parts[place] = part.with_changes(value=value)
                        yield node.with_changes(parts=parts)


@dataclass(frozen=True)
class Mutant:
    """One function with one change.

    Attributes
    ----------
    path, function
        File from the top of the checkout; qualified name and first line of the function in it.
    code
        The changed file.
    lines
        Lines of the changed statement: only a test that runs one of them can notice.
    diff
        Lines that were taken away and put in.
    of
        Number of mutants of the file, of which this is one.
    """

    path: str
    function: tuple[str, int]
    code: str
    lines: range
    diff: tuple[str, ...]
    of: int

    @property
    def key(self) -> tuple[str, ...]:
        """What it is known by from run to run."""
        return (self.path, self.function[0], *self.diff)


def teach_mutmut() -> None:
    """Let mutmut mutate SQL and decorated functions, whose code is replaced in place, and leave messages alone."""
    mutators.mutation_operators[:] = [
        (cst.BaseString, operator_sql) if operator is mutators.operator_string else (kind, operator)
        for kind, operator in mutators.mutation_operators
    ]
    pragma_handling.get_lines_ignored_by_pattern = lambda text: {
        number for number, line in enumerate(text.splitlines(), start=1) if MESSAGE.search(line)
    }
    visitor = file_mutation.MutationVisitor
    skipped = visitor._skip_node_and_children
    visitor._skip_node_and_children = lambda self, node: (
        not (isinstance(node, cst.FunctionDef) and node.decorators) and skipped(self, node)
    )
    created = visitor._create_mutations

    def with_place(self: file_mutation.MutationVisitor, node: cst.CSTNode) -> None:
        known = len(self.mutations)
        created(self, node)
        for mutation in self.mutations[known:]:
            mutation.place = self.get_metadata(PositionProvider, node)

    visitor._create_mutations = with_place


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods of a module by their qualified names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def first_line(function: ast.FunctionDef) -> int:
    """Where its code begins: at its decorators."""
    return min(node.lineno for node in (function, *function.decorator_list))


def statement(function: ast.FunctionDef, first: int, last: int) -> range:
    """Lines of the innermost statement around a change; of a compound statement, those of its head."""
    around = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and node.lineno <= first and last <= (node.end_lineno or 0)
    ]
    inner = max(around, key=lambda node: (node.lineno, -(node.end_lineno or 0)), default=function)
    end = inner.end_lineno or 0
    body = getattr(inner, "body", None)
    # a signature is no line of its own: what calls the function runs its body
    if body and inner is not function and last < body[0].lineno:
        end = body[0].lineno - 1
    return range(inner.lineno, end + 1)


def _differ(before: list[str], after: list[str]) -> tuple[int, int]:
    """First and last line, from 1, of what a change takes away; the last is one less where it only adds."""
    shorter = min(len(before), len(after))
    first = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    same = next((i for i in range(shorter - first) if before[-1 - i] != after[-1 - i]), shorter - first)
    return first + 1, len(before) - same


def mutants_of(path: str, wanted: int) -> Iterator[Mutant]:
    """Draw mutants of a file, the same at every run; all for `wanted` 0."""
    text = (CHECKOUT / path).read_text(encoding="utf-8")
    before = text.splitlines()
    starts = [0, *itertools.accumulate(len(line) + 1 for line in before)]
    functions = [
        (name, first_line(node), node.end_lineno or 0, node) for name, node in functions_of(ast.parse(text))
    ]
    docstrings = {
        line
        for _, _, _, node in functions
        if ast.get_docstring(node) is not None
        for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)
    }
    module, mutations, _, _ = file_mutation.create_mutations(path, text)
    inside = [m for m in mutations if m.contained_by_top_level_function is not None]
    order = random.Random(f"{SEED} {path}").sample(inside, len(inside))
    drawn = 0
    for mutation in order:
        if wanted and drawn == wanted:
            return
        place, node = mutation.place, mutation.mutated_node
        if isinstance(node, cst.BaseCompoundStatement):
            code = module.deep_replace(mutation.original_node, node).code
        else:  # the same, without building the whole file again
            start, end = (starts[at.line - 1] + at.column for at in (place.start, place.end))
            code = text[:start] + module.code_for_node(node) + text[end:]
        after = code.splitlines()
        owner = next((f for f in functions if f[1] <= place.start.line <= f[2]), None)
        if after == before or owner is None or place.start.line in docstrings:
            continue
        drawn += 1
        first, last = _differ(before, after)
        gone = before[first - 1 : last]
        come = after[first - 1 : len(after) - (len(before) - last)]
        diff = (*(f"-{line}" for line in gone), *(f"+{line}" for line in come))
        lines = statement(owner[3], place.start.line, place.end.line)
        yield Mutant(path, (owner[0], owner[1]), code, lines, diff, len(inside))


def loaded_functions() -> dict[tuple[str, str, int], list[types.FunctionType]]:
    """Functions of ours that exist, by file, qualified name and first line."""
    by_place = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing.__code__.co_filename.startswith(str(CHECKOUT)):
            code = thing.__code__
            by_place[code.co_filename, code.co_qualname, code.co_firstlineno].append(thing)
    return by_place


def plant(mutant: Mutant, loaded: dict[tuple[str, str, int], list[types.FunctionType]]) -> None:
    """Replace the code and the defaults of the mutated function, for all that hold it already."""
    file = str(CHECKOUT / mutant.path)
    codes = [compile(mutant.code, file, "exec")]
    for code in codes:
        codes.extend(c for c in code.co_consts if isinstance(c, types.CodeType))
    (changed,) = (c for c in codes if (c.co_qualname, c.co_firstlineno) == mutant.function)
    name, _ = mutant.function
    original = dict(functions_of(ast.parse((CHECKOUT / mutant.path).read_text(encoding="utf-8"))))[name]
    planted = dict(functions_of(ast.parse(mutant.code)))[name]
    for function in loaded[file, *mutant.function]:
        function.__code__ = changed
        if ast.dump(original.args) != ast.dump(planted.args):
            bare = copy.deepcopy(planted)
            bare.decorator_list, bare.returns, bare.body = [], None, [ast.Pass()]
            for argument in (*bare.args.args, *bare.args.kwonlyargs, *bare.args.posonlyargs):
                argument.annotation = None
            names = dict(function.__globals__)
            exec(compile(ast.fix_missing_locations(ast.Module([bare], [])), file, "exec"), names)
            function.__defaults__ = names[bare.name].__defaults__
            function.__kwdefaults__ = names[bare.name].__kwdefaults__


class Runner:
    """Runs tests of a session of pytest in forked processes.

    Parameters
    ----------
    group
        Name of the group.
    arguments
        Those of the command.
    """

    def __init__(self, group: str, arguments: argparse.Namespace) -> None:
        self.group, self.arguments = group, arguments
        self.context = ""
        self.tracer: coverage.Coverage | None = None
        self.seconds: Counter[str] = Counter()
        self.fixtures: dict[str, list[str]] = {}

    # what pytest calls

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop over the tests."""
        self.items = {item.nodeid: item for item in session.items}
        self.session = session
        self.mutated = {str(CHECKOUT / path) for path in GROUPS[self.group].files([])}
        share_what_no_mutant_changes()
        measured = self.measured()
        import_again(measured["modules"])
        self.caches = caches()
        self.loaded = loaded_functions()
        self.caches = [
            c
            for c in self.caches
            if _file_of(c) in self.mutated or _file_of(c).startswith(str(CHECKOUT / "tests"))
        ]
        gc.freeze()
        self.campaign(measured)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note what a test reaches, as if nothing had been computed before it."""
        if not self.tracer:
            return (yield)
        for cache in self.caches:
            cache.cache_clear()
        shutil.rmtree(os.environ.get("WAREHOUSE_KEPT", "none"), ignore_errors=True)
        definitions = item._fixtureinfo.name2fixturedefs.values()
        self.fixtures[item.nodeid] = [_known(d) for each in definitions for d in each]
        return (yield from self._noting(item.nodeid))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef) -> Iterator[None]:
        """Note what a fixture reaches that several tests share."""
        if not self.tracer or fixturedef.scope == "function":
            return (yield)
        return (yield from self._noting(_known(fixturedef)))

    def _noting(self, context: str) -> Iterator[None]:
        outer, self.context = self.context, context
        before = _processor()
        self.tracer.switch_context(context)
        signal.setitimer(signal.ITIMER_PROF, LONGEST if context in self.items else 0)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, LONGEST if outer else 0)
            self.seconds[context] += _processor() - before
            self.context = outer
            self.tracer.switch_context(outer)

    # steps

    def measured(self) -> dict:
        """Which lines each test reaches and what it costs, measured one test file at a time."""
        folder = RESULTS / f"{self.group}-reach"
        folder.mkdir(parents=True, exist_ok=True)
        by_file = defaultdict(list)
        for item in self.items.values():
            by_file[item.path.stem].append(item)
        together: dict = {"tests": {}, "lines": {}, "modules": {}}
        for file, items in by_file.items():
            out = folder / f"{file}.json"
            if not out.exists():
                begun = time.monotonic()
                self.in_child(functools.partial(self.measure, items, out), 900)
                print(f"{file}: {time.monotonic() - begun:.0f} s", flush=True)
            if out.exists():
                for kind, values in json.loads(out.read_text(encoding="utf-8")).items():
                    together[kind].update(values)
        return together

    def measure(self, items: list[pytest.Item], out: Path) -> None:
        """Run the tests of a file under coverage."""
        self.caches = caches()
        self.tracer = coverage.Coverage(
            data_file=None, config_file=False, include=[str(CHECKOUT / name / "*") for name in OURS]
        )
        self.tracer.start()
        tests = {}
        signal.signal(signal.SIGPROF, _too_long)
        for item, following in zip(items, [*items[1:], None], strict=True):
            failed = self.session.testsfailed
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            tests[item.nodeid] = self.session.testsfailed == failed
        self.tracer.stop()
        lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        data = self.tracer.get_data()
        for file in data.measured_files():
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    lines[context][str(Path(file).relative_to(CHECKOUT))].append(line)
        known = {
            test: {
                "passed": passed,
                "contexts": [test, *(f for f in self.fixtures[test] if f in self.seconds)],
                "seconds": sum(self.seconds[c] for c in (test, *self.fixtures[test])),
            }
            for test, passed in tests.items()
        }
        modules = dict.fromkeys(sys.modules, "")
        out.write_text(json.dumps({"tests": known, "lines": lines, "modules": modules}), encoding="utf-8")

    def campaign(self, measured: dict) -> None:
        """Draw mutants and run each."""
        group, out = GROUPS[self.group], RESULTS / f"{self.group}.jsonl"
        known = {tuple(line["key"]): line for line in results(self.group)}
        again = self.arguments.again
        drawn = [m for path in group.files(self.arguments.modules) for m in mutants_of(path, self.wanted)]
        # in any order, so that a run which is stopped is a sample of all
        random.Random(SEED).shuffle(drawn)
        reached_by: dict[tuple[str, int], set[str]] = defaultdict(set)
        for test, facts in measured["tests"].items():
            if facts["passed"] and test in self.items:
                for context in facts["contexts"]:
                    for path, lines in measured["lines"].get(context, {}).items():
                        for line in lines:
                            reached_by[path, line].add(test)
        unused = [test for test, facts in measured["tests"].items() if not facts["passed"]]
        print("left out, since they take too long or fail here:", *unused, sep="\n    ", flush=True)
        seconds = {test: facts["seconds"] for test, facts in measured["tests"].items()}
        for mutant in drawn:
            if mutant.key in known and known[mutant.key]["outcome"] not in again:
                continue
            tests = set().union(*(reached_by[mutant.path, line] for line in mutant.lines))
            begun = time.monotonic()
            cheapest = sorted(tests, key=seconds.__getitem__)
            outcome, by = self.outcome(mutant, cheapest, seconds)
            left = len(tests) - len(self.chosen(cheapest, seconds))
            line = {
                "key": mutant.key,
                "line": mutant.lines.start,
                "outcome": outcome,
                "by": by,
                "tests": len(tests) - left,
                "tests left": left,
                "seconds": round(time.monotonic() - begun, 1),
                "of": mutant.of,
            }
            with out.open("a", encoding="utf-8") as lines:
                print(json.dumps(line, ensure_ascii=False), file=lines)
        self.control(seconds)

    @property
    def wanted(self) -> int:
        """Mutants to draw from each file."""
        given = self.arguments.from_each
        return GROUPS[self.group].from_each if given is None else given

    def outcome(self, mutant: Mutant, tests: list[str], seconds: dict[str, float]) -> tuple[str, str]:
        """What the tests make of a mutant, and the test that failed."""
        if not tests:
            return "not reached", ""
        if not self.loaded[str(CHECKOUT / mutant.path), *mutant.function]:
            raise LookupError(f"{mutant.path} {mutant.function}: no such function is loaded")
        items = self.chosen(tests, seconds)
        killer = RESULTS / "killer"
        killer.unlink(missing_ok=True)

        def tried() -> None:
            plant(mutant, self.loaded)
            for cache in self.caches:
                cache.cache_clear()
            self.first_failure(items, killer)

        code = self.in_child(tried, int(30 + 5 * sum(seconds[t] for t in tests)))
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "timeout", ""
        by = killer.read_text(encoding="utf-8") if killer.exists() else ""
        return ("survived", "") if code == 0 and not by else ("killed", by or f"exit {code}")

    def chosen(self, tests: list[str], seconds: dict[str, float]) -> list[pytest.Item]:
        """Tests in the order in which they run, as many as the processor time that a mutant may take allows.

        Files come one after the other, so that what the tests of a file share is set up once; that is about what the
        cheapest of them takes.
        """
        by_file = defaultdict(list)
        for test in tests:
            by_file[self.items[test].path].append(test)
        chosen, total = [], 0.0
        for same_file in by_file.values():
            total += (shared := seconds[same_file[0]])
            for test in same_file:
                total += seconds[test] - shared
                if total <= self.arguments.budget or not chosen:
                    chosen.append(self.items[test])
        return chosen

    def first_failure(self, items: list[pytest.Item], killer: Path) -> None:
        """Run tests up to the first that fails, and write down which it was."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.session.testsfailed:
                killer.write_text(item.nodeid, encoding="utf-8")
                return

    def control(self, seconds: dict[str, float]) -> None:
        """Run all tests that killed a mutant on the code as it is: each has to pass."""
        killers = {line["by"] for line in results(self.group)} & set(self.items)
        killer = RESULTS / "killer"
        killer.unlink(missing_ok=True)
        items = [item for test, item in self.items.items() if test in killers]
        limit = int(60 + 5 * sum(seconds.get(test, 60) for test in killers))
        code = self.in_child(functools.partial(self.first_failure, items, killer), limit)
        failed = killer.read_text(encoding="utf-8") if killer.exists() else ""
        print(
            f"control: {len(items)} tests that killed, on the unchanged code: {failed or code or 'all pass'}"
        )

    def in_child(self, work: Callable[[], None], seconds: int) -> int:
        """Do something in a forked process with a limit of processor time; its exit code.

        The clock would count a busy machine against it, so it only ends what waits for something.
        """
        child = os.fork()
        if child == 0:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            if not self.arguments.loud:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                os.dup2(nowhere, 2)
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        ends = time.monotonic() + 120 + 10 * seconds
        done, status = 0, 0
        while not done:
            done, status = os.waitpid(child, os.WNOHANG)
            if not done:
                time.sleep(0.02)
                if time.monotonic() > ends:
                    os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            # servers and the like that a failed test left behind
            os.killpg(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(status)


class TooLong(BaseException):
    """A test took more processor time than a mutant may cost."""


def _too_long(*_: object) -> None:
    raise TooLong


def _known(fixture: pytest.FixtureDef) -> str:
    return f"fixture {fixture.baseid}::{fixture.argname}"


def caches() -> list[functools._lru_cache_wrapper]:
    """Cached functions of this checkout; tests too share with them what the code gave one of them."""
    cached = [o for o in gc.get_objects() if isinstance(o, functools._lru_cache_wrapper)]
    return [c for c in cached if _file_of(c).startswith(str(CHECKOUT)) and "site-packages" not in _file_of(c)]


def _file_of(cached: functools._lru_cache_wrapper) -> str:
    code = getattr(cached.__wrapped__, "__code__", None)
    return code.co_filename if code else ""


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _made_once(make: Callable[..., Path], path: Path, *arguments: object, **named: object) -> Path:
    """Copy a made-up build that was made before from the same arguments."""
    kept = (
        RESULTS
        / f"made_up_{make.__name__}_{hashlib.sha256(repr((arguments, named)).encode()).hexdigest()}.duckdb"
    )
    if not kept.exists():
        half = kept.with_suffix(f".{os.getpid()}")
        make(half, *arguments, **named)
        half.rename(kept)
    return Path(shutil.copyfile(kept, path))


def share_what_no_mutant_changes() -> None:
    """Do once what takes longer than most tests: read survey files in this process, parse YAML, make up a build."""
    functions: dict[str, Callable] = {}
    isolation.serve = functions.update
    readers.serve()

    @contextlib.contextmanager
    def here(function: str, *arguments: str, path: Path, module: str) -> Iterator[object]:
        value = functions[function](str(path), *arguments)
        with value if hasattr(value, "__enter__") else contextlib.nullcontext(value) as given:
            yield given

    readers.isolated = here
    parse = documents.yaml.load
    parsed = functools.cache(lambda text, loader: pickle.dumps(parse(text, loader)))
    documents.yaml.load = lambda text, loader: pickle.loads(parsed(text, loader))
    for name, function in MADE_UP:
        if name in sys.modules:
            make = getattr(sys.modules[name], function)
            for module in [m for m in sys.modules.values() if getattr(m, function, None) is make]:
                setattr(module, function, functools.partial(_made_once, make))
    load_catalog(Paths.under(CHECKOUT / "data").catalog)
    contract_of()
    ingest._tables(Paths.from_environment().catalog / ingest.CONTRACT)


def import_again(modules: dict[str, str]) -> None:
    """Import what tests import while they run, so that no mutant has to."""
    for name in modules:
        if name not in sys.modules and not name.startswith(("test", "_", "conftest")):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def results(group: str) -> list[dict]:
    """Newest outcome of each mutant."""
    out = RESULTS / f"{group}.jsonl"
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    newest = {tuple(line["key"]): line for line in map(json.loads, lines)}
    return [*newest.values()]


def report(group: str) -> None:
    """Print what became of the mutants by file, and the change that each survivor is."""
    by_file = defaultdict(list)
    for line in results(group):
        by_file[line["key"][0]].append(line)
    total: Counter[str] = Counter()
    for path, lines in sorted(by_file.items()):
        outcomes = Counter(line["outcome"] for line in lines)
        total += outcomes
        counts = [outcomes[o] for o in ("killed", "survived", "timeout", "not reached")]
        print(f"| {group} | `{path}` | {lines[0]['of']:,} | {len(lines)} | {' | '.join(map(str, counts))} |")
        for line in lines:
            if line["outcome"] != "killed":
                print(f"    {line['outcome']}: {line['key'][1]}, line {line['line']}, {line['tests']} tests")
                print(*(f"        {change}" for change in line["key"][2:]), sep="\n")
    print(group, sum(total.values()), dict(total))


def main() -> int:
    """Run one group, or report on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("modules", nargs="*", help="only files that end like this")
    parser.add_argument("--from-each", type=int, help="mutants drawn from a file; 0 for all")
    parser.add_argument("--budget", type=float, default=math.inf, help="processor time of tests of a mutant")
    parser.add_argument("--again", nargs="*", default=[], help="outcomes whose mutants are run again")
    parser.add_argument("--report", action="store_true", help="only print what became of the mutants")
    parser.add_argument("--loud", action="store_true", help="show what the tests print")
    arguments = parser.parse_args()
    os.chdir(CHECKOUT)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.glob("made_up_*.duckdb"):
        old.unlink()
    sys.path.insert(0, str(CHECKOUT))
    if not arguments.report:
        teach_mutmut()
        # nobody reads the smallest failing example
        phases = [p for p in hypothesis.Phase if p.name not in ("shrink", "explain")]
        hypothesis.settings.register_profile(
            "mutation", phases=phases, derandomize=True, database=None, deadline=None
        )
        hypothesis.settings.load_profile("mutation")
        group = GROUPS[arguments.group]
        for path in group.files([]):
            importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        selected = [*group.tests_of(arguments.modules), *(f"--deselect={test}" for test in group.left_out)]
        pytest.main(
            ["-q", "--fast", f"--basetemp={RESULTS / 'tmp'}", *selected],
            plugins=[Runner(arguments.group, arguments)],
        )
    report(arguments.group)
    return 0


if __name__ == "__main__":
    sys.exit(main())
