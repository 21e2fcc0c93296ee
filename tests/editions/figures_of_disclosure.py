"""What the public edition costs and holds, in figures, on a published warehouse: run by `make disclosure-figures`.

Belongs here: what of each table is emptied, changed or left out; what the attack recovers, by kind; processor time of
the step. Does not belong here: a rule, or the attack itself.
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import duckdb
from attack import Attacker, means_of, sizes_of, truth_of

from relocation_warehouse.contract.disclosure import disclosure_of
from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground import sql
from relocation_warehouse.publication.disclosure import THRESHOLD
from relocation_warehouse.publication.renewal import Origin, public_build
from relocation_warehouse.publication.tables import public_contract


def lost(analyst, public):
    """By table with households behind it: rows left out, and of the cells of the others those emptied and changed."""
    contract = public_contract(contract_of())
    with duckdb.connect() as con:
        for name, path in (("a", analyst), ("p", public)):
            con.execute(f"ATTACH {sql.text(str(path))} AS {name} (READ_ONLY)")
        for name in disclosure_of().derived:
            table = contract[name]
            key = ", ".join(map(sql.identifier, table.key))
            cells = [sql.identifier(c.name) for c in table.columns if c.name not in table.key]
            emptied = " + ".join(f"(a.{c} IS NOT NULL AND p.{c} IS NULL)::INT" for c in cells)
            changed = " + ".join(f"coalesce(a.{c} <> p.{c}, false)::INT" for c in cells)
            filled = " + ".join(f"(a.{c} IS NOT NULL)::INT" for c in cells)
            joined = f"a.{table.full_name} a JOIN p.{table.full_name} p USING ({key})"
            sums = con.execute(
                f"SELECT count(*), sum({filled}), sum({emptied}), sum({changed}) FROM {joined}"
            ).fetchone()
            (rows,) = con.execute(f"SELECT count(*) FROM a.{table.full_name}").fetchone()
            yield (name, rows, rows - sums[0], *(int(n or 0) for n in sums[1:]))


def recovered(analyst, public):
    """By kind of hidden number: how many, how many of them small, and how many the attack narrows too far."""
    small, result, all_of = Counter(), Counter(), Counter()
    sizes = sizes_of(analyst)
    for survey, waves in sizes.items():
        attacker, truth = Attacker(public, survey, waves), truth_of(analyst, survey)
        known = {k: v for k, v in truth.items() if k in attacker.programme.names}
        all_of.update(k[0] for k in known)
        small.update(k[0] for k, v in known.items() if 0 < v < THRESHOLD)
        result.update(k[0] for k in attacker.recovered(known, THRESHOLD))
    for mean in means_of(analyst, public, sizes, with_errors=False):
        all_of["mean"] += 1
        small["mean"] += 0 < mean.size - mean.n < THRESHOLD
        result["mean"] += bool(mean.recovered(THRESHOLD))
    for kind in sorted(all_of):
        yield kind, all_of[kind], small[kind], result[kind]


def seconds_of_the_step(analyst):
    """Processor time of deciding and writing what the public edition is made from."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.process_time()
        public_build(analyst, Path(scratch) / "memory", public_contract(contract_of()), Origin("figures"))
        return time.process_time() - began


def main():
    """Print the figures of a warehouse."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path)
    published = parser.parse_args().published
    analyst, public = published / "warehouse.duckdb", published / "public" / "warehouse.duckdb"
    print("| table | rows | left out | cells of the others | emptied | rounded |\n|---|---|---|---|---|---|")
    for row in lost(analyst, public):
        print("| " + " | ".join(f"`{c}`" if isinstance(c, str) else f"{c:,}" for c in row) + " |", flush=True)
    print(f"\nprocessor time of the step: {seconds_of_the_step(analyst):.1f} s\n", flush=True)
    print("| hidden | all | below 5 | recovered |\n|---|---|---|---|")
    for row in recovered(analyst, public):
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
