"""Three hundred spoilt surveys: each is refused by name, or published together with others that were accepted.

`make mutants` runs it; the tests run a few. Publications take the accepted mutants by the dozen: one that stopped a
publication would stop it for all of them, and is then looked for one by one.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from mutants import mutate, tried
from trial_folders import SURVEYS, Folder, plain, survey_ids

from relocation_warehouse.contract.tables import load_contract
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

CATALOG = SURVEYS.parent / "catalog"


def refresh(data: Path) -> subprocess.CompletedProcess[str]:
    """Refresh a warehouse of its own."""
    return subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "refresh"],
        cwd=CHECKOUT,
        env=os.environ
        | {"WAREHOUSE_DATA": str(data), "WAREHOUSE_PSEUDONYM_KEY": os.urandom(32).hex(), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def publish(folders: list[Path], data: Path) -> str:
    """Publish these surveys together in a new warehouse; gives why not, or nothing."""
    shutil.rmtree(data, ignore_errors=True)
    (data / "surveys").mkdir(parents=True)
    for name in ("catalog", "literature"):
        (data / name).symlink_to(SURVEYS.parent / name)
    for folder in folders:
        (data / "surveys" / folder.name).symlink_to(folder)
    done = refresh(data)
    return (
        ""
        if "published:" in done.stdout and done.returncode == 0
        else done.stdout[-500:] + done.stderr[-4000:]
    )


def main() -> int:
    """Try mutants, publish the accepted ones, print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--first", type=int, default=1, help="seed of the first mutant")
    parser.add_argument(
        "--together", type=int, default=20, help="accepted mutants in one publication; 0 for none"
    )
    parser.add_argument("--keep", type=Path, help="folder for the mutants and what they published")
    given = parser.parse_args()
    catalog = load_catalog(CATALOG)
    contract = load_contract(CATALOG / "tables.yml", catalog.indicators)
    root = given.keep or Path(tempfile.mkdtemp(prefix="mutants-"))
    originals = [plain(survey_id, root / "plain" / survey_id).path for survey_id in survey_ids()]
    accepted: list[Path] = []
    outcomes: Counter[str] = Counter()
    by_mutation: Counter[tuple[str, bool]] = Counter()
    for seed in range(given.first, given.first + given.mutants):
        folder = Folder(originals[seed % len(originals)])
        done = mutate(folder, seed)
        path = folder.save(root / "mutants" / f"m{seed:05}").path
        problems = tried(path, catalog, contract)
        assert all(p.message for p in problems)
        outcomes["refused" if problems else "accepted"] += 1
        by_mutation.update((name, not problems) for name in done)
        if problems:
            print(f"{path.name} {'+'.join(done)}: {problems[0]}"[:300], flush=True)
        else:
            print(f"{path.name} {'+'.join(done)}: accepted", flush=True)
            accepted.append(path)
    stopped = []
    for start in range(0, len(accepted) if given.together else 0, given.together or 1):
        batch = accepted[start : start + given.together]
        reason = publish(batch, root / "data")
        outcomes["publications"] += 1
        print(f"publication of {batch[0].name} to {batch[-1].name}: {reason or 'done'}", flush=True)
        if reason:
            stopped += [p.name for p in batch if publish([p], root / "data")] or [
                f"{batch[0].name} with others"
            ]
    print("; ".join(f"{name}: {n}" for name, n in outcomes.items()))
    for name in sorted({n for n, _ in by_mutation}):
        print(f"{name}: {by_mutation[name, False]} refused, {by_mutation[name, True]} accepted")
    print("accepted mutants that stopped a publication:", ", ".join(stopped) or "none")
    return 1 if stopped else 0


if __name__ == "__main__":
    raise SystemExit(main())
