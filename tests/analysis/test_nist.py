"""The eleven linear sets of NIST's Statistical Reference Datasets, read in small batches."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.regression import fit_ols
from analysis.summary import summarise

FOLDER = Path(__file__).parents[1] / "reference" / "nist"
# Correct significant digits of the worst coefficient, and of the worst standard error.
DIGITS = {
    "Norris": (11, 11),
    "Pontius": (12, 11),
    "NoInt1": (13, 13),
    "NoInt2": (13, 13),
    "Longley": (10, 8),
    "Wampler1": (9, None),
    "Wampler2": (9, None),
    "Wampler3": (9, 9),
    "Wampler4": (8, 9),
    "Wampler5": (6, 9),
    "Filip": (7, 7),
}
NUMBER = r"-?\d*\.?\d+(?:E[-+]?\d+)?"


@dataclass(frozen=True)
class Certified:
    data: pd.DataFrame
    regressors: list[str]
    intercept: bool
    b: np.ndarray
    se: np.ndarray
    residual_sd: float
    r2: float


def read(name: str) -> Certified:
    text = (FOLDER / f"{name}.dat").read_text()
    lines = text.splitlines()
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    data = np.array([[float(v) for v in line.split()] for line in lines[first - 1 : last]])
    rows = re.findall(rf"^\s+B(\d+)\s+({NUMBER})\s+({NUMBER})\s*$", text, re.MULTILINE)
    intercept = rows[0][0] == "0"
    n_slopes = len(rows) - intercept
    y, x = data[:, 0], data[:, 1:]
    if x.shape[1] == 1:
        x = x ** np.arange(1, n_slopes + 1)
    names = [f"x{j + 1}" for j in range(n_slopes)]
    return Certified(
        data=pd.DataFrame(np.column_stack([x, y]), columns=[*names, "y"]),
        regressors=names,
        intercept=intercept,
        b=np.array([float(row[1]) for row in rows]),
        se=np.array([float(row[2]) for row in rows]),
        residual_sd=float(re.search(rf"Standard Deviation\s+({NUMBER})", text).group(1)),
        r2=float(re.search(rf"R-Squared\s+({NUMBER})", text).group(1)),
    )


def correct_digits(computed: np.ndarray, certified: np.ndarray) -> float:
    """Log relative error of the worst value (absolute where the certified value is 0)."""
    scale = np.where(certified == 0, 1.0, np.abs(certified))
    return float(np.min(-np.log10(np.maximum(np.abs(computed - certified) / scale, 1e-16))))


@pytest.mark.parametrize("batch_rows", [7, 20, 1000])
@pytest.mark.parametrize("name", DIGITS)
def test_certified_digits_are_reached_in_any_batch_size(name: str, batch_rows: int) -> None:
    nist = read(name)
    batches = (nist.data[i : i + batch_rows] for i in range(0, len(nist.data), batch_rows))
    summary = summarise(batches, list(nist.data.columns))[()]

    model = fit_ols(summary, "y", nist.regressors, intercept=nist.intercept)

    coefficient_digits, error_digits = DIGITS[name]
    assert correct_digits(model.b, nist.b) >= coefficient_digits
    assert correct_digits(np.array([model.r2]), np.array([nist.r2])) >= min(coefficient_digits, 10)
    if error_digits is None:
        # An exact polynomial: what remains of the residual is rounding of values up to 3.4 million.
        assert model.residual_sd < 1e-7
        assert nist.residual_sd == 0
    else:
        assert correct_digits(model.se, nist.se) >= error_digits
        assert correct_digits(np.array([model.residual_sd]), np.array([nist.residual_sd])) >= error_digits
