"""A small table with everything that an extract can hold, written for R's haven to read.

Belongs here: the table and its files. Does not belong here: what haven reads of them (`haven.R`).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from relocation_warehouse.publication.extract.labelled import (
    LabelledTable,
    Variable,
    write_spss,
    write_stata,
)
from relocation_warehouse.survey.vocabulary import Label

NAME = "haven_extract"


def _said(en: str, zh: str) -> Label:
    return Label(en=en, zh=zh)


REASONS = {
    "not_asked": _said("not asked", "未询问"),
    "refused": _said("refused to answer", "拒答"),
    "dont_know": _said("does not know", "不知道"),
}
GRADES = {
    "1": _said("low", "低"),
    "2": _said("middle", "中"),
    "3": _said("high; the best “grade”", "高（最好）"),
}
PLACES = {"plain": _said("plain", "平原"), "hill": _said("hill", "山地")}
LONG = "a_name_of_an_indicator_that_is_longer_than_32_characters"


def table() -> LabelledTable:
    """Six households: numbers, a scale, a code list, text in two scripts; every kind of missing value."""
    variables = (
        Variable("household_id", _said("Household", "住户编号"), "text", measure="nominal"),
        Variable("income", _said("Income of the household", "住户收入"), "number", unit="yuan/year"),
        Variable("grade", _said("Grade", "等级"), "number", GRADES, measure="ordinal"),
        Variable("terrain", _said("Terrain", "地形"), "code", PLACES, measure="nominal"),
        Variable(LONG, _said("A label " * 12, "标签" * 30), "number"),
        Variable("note", _said("What was said", "备注"), "text", measure="nominal"),
    )
    frame = pd.DataFrame(
        {
            "household_id": [f"H{k}" for k in range(1, 7)],
            "income": [0.1, -250.0, 1e9, np.nan, np.nan, np.nan],
            "grade": [1.0, 2.0, 3.0, np.nan, np.nan, 1.0],
            "terrain": ["hill", "plain", None, "hill", None, "plain"],
            LONG: [1 / 3, 2.0, 3.0, 4.0, np.nan, 6.0],
            "note": ["好", "plain text", "", "“quoted”, with a comma", None, "ü" * 60],
        }
    )
    reasons = {
        "income": np.array([None, None, None, "not_asked", "refused", "dont_know"], dtype=object),
        "grade": np.array([None, None, None, "refused", "not_asked", None], dtype=object),
        "terrain": np.array([None, None, "dont_know", None, "refused", None], dtype=object),
    }
    return LabelledTable(variables, frame, reasons, REASONS, _said("Small", "小表"))


def write(folder: Path) -> tuple[Path, Path]:
    """Write the Stata and the SPSS file."""
    stata, spss = folder / f"{NAME}.dta", folder / f"{NAME}.sav"
    write_stata(table(), stata, "en")
    write_spss(table(), spss, "zh")
    return stata, spss
