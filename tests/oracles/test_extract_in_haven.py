"""R's haven reads of our Stata and SPSS files what we put in: values, labels, and each kind of missing value.

What haven read is committed beside the files that it read (`make oracles`); the files of today are the same bytes, or
hold the same where the format writes the time.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest
from extract_table import LONG, NAME, REASONS, table, write

from relocation_warehouse.publication.extract.labelled import missing_codes

REFERENCE = Path(__file__).parents[1] / "reference"
READ = pd.read_csv(REFERENCE / "oracle_extract_haven.csv", dtype=str, keep_default_na=False)


def said(ending: str, kind: str, variable: str) -> dict[str, str]:
    rows = READ[
        (READ["file"] == f"{NAME}.{ending}") & (READ["kind"] == kind) & (READ["variable"] == variable)
    ]
    return dict(zip(rows["key"], rows["value"], strict=True))


@pytest.mark.parametrize("ending", ["dta", "sav"])
def test_the_files_that_haven_read_are_those_that_are_written(tmp_path, ending):
    write(tmp_path)
    new, old = tmp_path / f"{NAME}.{ending}", REFERENCE / f"{NAME}.{ending}"
    if ending == "dta":
        assert new.read_bytes() == old.read_bytes(), "run `make oracles` and look at what changed"
        return
    # an SPSS file says when it was made: nine characters of the day and eight of the time, from byte 92 on
    assert new.read_bytes()[:92] == old.read_bytes()[:92]
    assert new.read_bytes()[109:] == old.read_bytes()[109:], "run `make oracles` and look at what changed"


@pytest.mark.parametrize("ending", ["dta", "sav"])
def test_haven_reads_values_labels_and_reasons(ending):
    made, language = table(), "en" if ending == "dta" else "zh"
    codes = missing_codes(REASONS, 0)
    letters = {reason: f".{chr(97 + k)}" for k, reason in enumerate(REASONS)}
    numbers = {r: v for v, r in zip(said("sav", "value label", "income"), REASONS, strict=True)}
    signs = letters if ending == "dta" else numbers
    assert len(codes) == len(signs) == 3
    for variable in made.variables:
        name = variable.name if ending == "sav" or variable.name != LONG else LONG[:32]
        cells = list(said(ending, "cell", name).values())
        reasons = made.reasons.get(variable.name, np.full(6, None))
        labels = said(ending, "value label", name)
        for cell, value, reason in zip(cells, made.frame[variable.name], reasons, strict=True):
            if reason is not None:
                assert cell == signs[reason]
                assert labels[cell] == getattr(REASONS[reason], language)
            elif variable.kind == "text":
                assert cell == ("" if pd.isna(value) else value)
            elif variable.kind == "code":
                assert labels[cell] == getattr(variable.codes[value], language)
            else:
                assert cell == "" if pd.isna(value) else float(cell) == pytest.approx(value, rel=1e-14)
        for code, word in variable.codes.items():
            if variable.kind == "number":
                assert labels[code] == getattr(word, language)
        (label,) = said(ending, "label", name).values()
        whole = getattr(variable.label, language) + (f" [{variable.unit}]" if variable.unit else "")
        assert label == whole or (ending == "dta" and label == whole[:79] + "…")


def test_haven_takes_the_codes_of_reasons_for_missing():
    assert said("sav", "missing range", "income") == {"": "-993 to -991"}
    _, meta = pyreadstat.read_sav(REFERENCE / f"{NAME}.sav", user_missing=True)
    assert meta.missing_ranges["income"] == [{"lo": -993.0, "hi": -991.0}]
