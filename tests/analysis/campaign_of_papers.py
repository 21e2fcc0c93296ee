"""The whole campaign of simulated papers: false alarms by style, detection by kind of fault.

    python tests/analysis/campaign_of_papers.py [PAPERS]

Prints the table of `docs/methods/plausibility.md` and fails if 1 % of the papers of any style alarm, or if fewer
than nine in ten faults of a kind that arithmetic decides are named.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from simulated_papers import FAULTS, STYLES, Paper

from analysis.printed_tables import ALARMS, audit

MOST_ALARMS = 0.01


def alarms(task: tuple[str, int]) -> bool:
    """Whether a clean paper alarms."""
    style, seed = task
    paper = Paper(seed, style)
    return any(f.verdict in ALARMS for f in audit(paper.rows, paper.sites))


def noticed(task: tuple[str, int]) -> bool:
    """Whether an alarm names a figure that is wrong."""
    kind, seed = task
    fault = FAULTS[kind]
    paper = Paper(100_000 + seed, fault.style)
    wrong = fault.plant(paper, np.random.default_rng([seed, 7]))
    return any(f.verdict in ALARMS and wrong & set(f.stat_ids) for f in audit(paper.rows, paper.sites))


def main(n: int = 200) -> int:
    """Run the campaign; the exit status says whether all bounds hold."""
    failed = 0
    with ProcessPoolExecutor(cpu_count()) as pool:
        print("| style | papers | with an alarm |\n|---|---|---|")
        for style in STYLES:
            result = sum(pool.map(alarms, [(style, seed) for seed in range(n)], chunksize=4))
            failed += result >= MOST_ALARMS * n
            print(f"| {style} | {n} | {result} |", flush=True)
        print("\n| fault | papers | named | bound |\n|---|---|---|---|")
        for kind, fault in FAULTS.items():
            share = sum(pool.map(noticed, [(kind, seed) for seed in range(n)], chunksize=4)) / n
            failed += share < fault.least
            print(f"| {kind} | {n} | {share:.0%} | {fault.least:.0%} |", flush=True)
    print(f"\n{failed} bounds missed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
