"""Mutation testing: change one operator, number or condition of the code at a time, and see whether a test fails.

`make mutation` runs it, `docs/mutation.md` has the figures and how to read them. mutmut makes the mutants of Python and
runs the tests that reach each; what stands here is which tests belong to which code, how many mutants of a module are
drawn, and the mutants of SQL, which mutmut knows nothing of.
"""

import argparse
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import libcst as cst
import mutmut.__main__ as tool
from mutmut import configuration
from mutmut.mutation import mutators
from mutmut.mutation.data import SourceFileMutationData
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.workers.isolation import ForkServerRunner

CHECKOUT = Path(__file__).resolve().parents[2]
SEED = 20261127


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
        from_each=5,
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
        ),
        (
            "tests/surveys/test_ingest.py::test_received_is_accepted_plus_quarantined",
            "tests/surveys/test_panels.py::test_nobody_is_lost_who_says_where_they_live",
        ),
        from_each=100,
    ),
    "disclosure": Group(
        DISCLOSURE,
        (
            "tests/contract/test_anonymity.py",
            "tests/editions/test_attack.py",
            "tests/editions/test_disclosure.py",
            "tests/editions/test_pseudonyms.py",
            "tests/editions/test_rules_of_disclosure.py",
            "tests/editions/test_withholding.py",
        ),
        (
            "tests/editions/test_attack.py::test_no_file_of_the_public_edition_quotes_an_answer_or_a_person",
            "tests/editions/test_attack.py::test_random_surveys_give_no_small_count_away",
            "tests/editions/test_attack.py::test_a_withdrawn_survey_leaves_the_edition_at_once",
        ),
        from_each=20,
    ),
    "publication": Group(
        ("relocation_warehouse/publication/*.py",),
        ("tests/editions",),
        (
            "tests/editions/test_attack.py",
            "tests/editions/test_campaign.py",
            "tests/editions/test_recovery.py",
        ),
        elsewhere=(*DISCLOSURE, "*/report/figures.py", "*/report/page.py"),
        from_each=12,
    ),
}

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
    """Mutants of a string that holds SQL; docstrings and messages have none."""
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


def prepare(scratch: Path, group: Group) -> None:
    """Lay out the folder that mutmut works in, and tell it what to do."""
    (scratch / "mutants").mkdir(parents=True, exist_ok=True)
    for entry in ("analysis", "dagster_project", "expectations", "relocation_warehouse", "tests"):
        _link(scratch / entry, CHECKOUT / entry)
    for entry in (
        "data",
        "dbt",
        "docs",
        "deployment",
        ".dagster",
        "pyproject.toml",
        "README.md",
        "CITATION.cff",
    ):
        _link(scratch / "mutants" / entry, CHECKOUT / entry)
    _link(scratch / "setup.cfg", CHECKOUT / "tests" / "mutation" / "setup.cfg")
    os.chdir(scratch)
    mutators.mutation_operators[:] = [
        (cst.BaseString, operator_sql) if operator is mutators.operator_string else (kind, operator)
        for kind, operator in mutators.mutation_operators
    ]
    configuration.reset_config()
    settings = configuration.config()
    settings.only_mutate, settings.do_not_mutate = [*group.mutated], [*group.elsewhere]
    settings.pytest_add_cli_args = ["--fast", "-p", "no:xdist"]
    settings.pytest_add_cli_args_test_selection = [
        *group.tests,
        *(f"--deselect={test}" for test in group.left_out),
    ]


def _link(place: Path, target: Path) -> None:
    if not place.is_symlink():
        place.symlink_to(target)


def first_failure_is_enough() -> None:
    """Let hypothesis stop at a failing example: nobody reads the smallest one."""
    phases = [p for p in hypothesis.Phase if p not in (hypothesis.Phase.shrink, hypothesis.Phase.explain)]
    hypothesis.settings.register_profile(
        "mutation", phases=phases, derandomize=True, database=None, deadline=None
    )
    hypothesis.settings.load_profile("mutation")


def shortest_first() -> None:
    """Let the tests of a mutant run in the order of the time they take; most mutants fail in the first."""
    run_tests = PytestRunner.run_tests

    def in_order(self: PytestRunner, *, mutant_name: str | None, tests: Iterable[str]) -> int:
        return run_tests(
            self, mutant_name=mutant_name, tests=sorted(tests, key=state().duration_by_test.__getitem__)
        )

    PytestRunner.run_tests = in_order
    # the run that finds which tests reach what has shown already that all of them pass
    ForkServerRunner.run_clean_tests = lambda *_, **__: 0


def draw(group: Group) -> None:
    """Let mutmut run a sample of its mutants, the same at every run."""
    every = tool.collect_source_file_mutation_data

    def drawn(*, mutant_names: tuple[str, ...]) -> tuple:
        mutants, by_path = every(mutant_names=mutant_names)
        by_module: dict[str, list] = {}
        for mutant in sorted(mutants, key=lambda m: m[1]):
            by_module.setdefault(str(mutant[0].path), []).append(mutant)
        chance = random.Random(SEED)
        chosen = [
            mutant
            for _, each in sorted(by_module.items())
            for mutant in (chance.sample(each, group.from_each) if 0 < group.from_each < len(each) else each)
        ]
        return chosen, by_path

    if group.from_each:
        tool.collect_source_file_mutation_data = drawn


def report(group: str) -> None:
    """Print what became of the mutants by module, and the change that each survivor is."""
    total: Counter[str] = Counter()
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        outcomes = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        total += outcomes
        print(path, dict(outcomes))
        for mutant, code in data.exit_code_by_key.items():
            if status_by_exit_code[code] not in ("killed", "not checked"):
                print(f"    {status_by_exit_code[code]}: {mutant}")
                lines = tool.get_diff_for_mutant(mutant, path=path).splitlines()[2:]
                print(*(f"        {line}" for line in lines if line.startswith(("+", "-"))), sep="\n")
    print(group, dict(total))


def main() -> None:
    """Run one group, or report on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--from-each", type=int, help="mutants drawn from a module; 0 for all")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only print what became of the mutants")
    arguments = parser.parse_args()
    group = GROUPS[arguments.group]
    if arguments.from_each is not None:
        group = replace(group, from_each=arguments.from_each)
    prepare(CHECKOUT / "build" / "mutation" / arguments.group, group)
    if not arguments.report:
        first_failure_is_enough()
        shortest_first()
        draw(group)
        tool._run((), arguments.workers)
    report(arguments.group)


if __name__ == "__main__":
    sys.exit(main())
