"""A table with the words of its variables, codes and missing values, and the files that can hold them.

A number that is missing for a reason is an extended missing value in Stata (.a, .b ...), a user-missing value in SPSS
(negative codes below every value of the file), and a column `<name>__missing` beside the variable in CSV, Excel and
Parquet, which know only one kind of missing. Nothing is shortened in silence: what a format cannot hold is refused,
or shortened and said in the notes that writing returns.

Belongs here: one writer for each format. Does not belong here: which rows and variables (`choose`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from pandas.io.stata import StataWriterUTF8  # type: ignore[attr-defined]
from pyarrow import csv as pa_csv

from relocation_warehouse.ground.numbers import exact
from relocation_warehouse.publication.csv_text import csv_safe
from relocation_warehouse.survey.vocabulary import Label

Language = Literal["en", "zh"]

STATA_NAME, SPSS_NAME = 32, 64
"""Characters of a variable's name in Stata, bytes of one in SPSS."""
STATA_LABEL, SPSS_LABEL, SPSS_VALUE_LABEL = 80, 256, 120
"""Characters of a variable's label in Stata; bytes of one, and of a value's label, in SPSS."""
STATA_TEXT, SPSS_TEXT = 2045, 32767
"""Bytes of a text value; a longer one is a strL in Stata."""
STATA_STRL = 2_000_000_000
"""Bytes of a strL."""
STATA_LABELS = 32_000
"""Bytes of all value labels of one variable, each with an end of its own: what pandas writes and Stata reads."""
STATA_MISSING = np.array([(0x7FE0000000000000 + (k << 40)) for k in range(27)], dtype=np.uint64).view(
    np.float64
)
"""The doubles that stand for . and .a to .z: the dta format, "Missing values"."""
STATA_MISSING_LABEL = 2_147_483_621
"""What a label of . hangs on; those of .a to .z follow."""
EPOCH = datetime(1960, 1, 1)
"""Time stamp of the files: the same data are the same bytes."""
SPSS_WRITTEN_AT = 92
"""Where date and time of writing stand in the header of a .sav file: PSPP's description of the system file format."""
EXCEL_ROWS, EXCEL_TEXT = 1_048_575, 32767
"""Rows below the header, and characters of a cell, in a sheet."""
MISSING_SUFFIX = "__missing"

_RESERVED = {
    *(
        "_all",
        "_b",
        "byte",
        "_coef",
        "_cons",
        "double",
        "float",
        "if",
        "in",
        "int",
        "long",
        "_n",
        "_pi",
        "_pred",
    ),
    *("_rc", "_skip", "str", "strl", "using", "with", "all", "and", "by", "eq", "ge", "gt", "le", "lt", "ne"),
    *("not", "or", "to"),
}
"""Words that name no variable in Stata or in SPSS."""


class CannotHold(ValueError):
    """A format cannot hold the table; the message says which part of it and which format can."""


@dataclass(frozen=True)
class Variable:
    """One column.

    Attributes
    ----------
    kind
        `number`, `text`, or `code`: text out of the closed list `codes`.
    codes
        Code -> words, in order; empty where values stand for themselves.
    unit
        Of a number.
    measure
        As SPSS has it.
    """

    name: str
    label: Label
    kind: Literal["number", "text", "code"]
    codes: Mapping[str, Label] = field(default_factory=dict)
    unit: str | None = None
    measure: Literal["nominal", "ordinal", "scale"] = "scale"

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Number of each code in files whose labels hang on numbers.

        That of a number is itself. That of a text is itself where all codes are different whole numbers, else its
        place.
        """
        if self.kind == "number":
            return {code: float(code) for code in self.codes}
        if all(re.fullmatch(r"-?\d{1,9}", code) for code in self.codes):
            numbers = {code: float(code) for code in self.codes}
            if len({*numbers.values()}) == len(numbers):
                return numbers
        return {code: float(place) for place, code in enumerate(self.codes, start=1)}

    def text(self, language: Language) -> str:
        """Label with its unit."""
        label: str = getattr(self.label, language)
        return f"{label} [{self.unit}]" if self.unit else label


@dataclass(frozen=True)
class LabelledTable:
    """Columns with their words.

    Attributes
    ----------
    frame
        One column a variable, in their order; numbers as float64 with NaN, text and codes as str or None.
    reasons
        Variable -> reason of each row, None where there is a value or no reason is known; only variables that have
        any.
    reason_words
        Reason -> words, in order.
    """

    variables: tuple[Variable, ...]
    frame: pd.DataFrame
    reasons: Mapping[str, np.ndarray[Any, np.dtype[np.object_]]]
    reason_words: Mapping[str, Label]
    title: Label

    def number_of(self, variable: Variable) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Column of a variable as numbers, codes as the numbers that stand for them.

        Raises
        ------
        CannotHold
            If a value is none of the codes.
        """
        column = self.frame[variable.name]
        if variable.kind == "number":
            return np.asarray(column, dtype=np.float64)
        numbers = column.map(variable.numbers)
        unknown = column[numbers.isna() & column.notna()]
        if len(unknown):
            raise CannotHold(
                f"{variable.name} has the value {unknown.iloc[0]!r}, which is not in its code list; "
                "take a .csv or .parquet file, which keep codes as text"
            )
        return np.asarray(numbers, dtype=np.float64)


def names_of(variables: Sequence[Variable], limit: int) -> tuple[dict[str, str], list[str]]:
    """Name in the file of each variable, and what had to be changed; no two are alike whatever their case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    notes = []
    for variable in variables:
        name = variable.name + "_" if variable.name.lower() in _RESERVED else variable.name
        if len(name.encode()) > limit:
            name = name.encode()[:limit].decode(errors="ignore")
        number = 1
        short = name
        while short.lower() in taken:
            number += 1
            short = f"{name[: limit - len(str(number)) - 1]}_{number}"
        taken.add(short.lower())
        names[variable.name] = short
        if short != variable.name:
            notes.append(
                f"{variable.name} is named {short} in the file: names have at most {limit} characters there"
            )
    return names, notes


def _shortened(text: str, limit: int, size: Callable[[str], int]) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if size(text) <= limit:
        return text
    kept = text[: limit - 1]
    while size(kept + "…") > limit:
        kept = kept[:-1]
    return kept + "…"


def _bytes(text: str) -> int:
    return len(text.encode())


def _labels(
    table: LabelledTable, language: Language, limit: int, size: Callable[[str], int], program: str
) -> tuple[list[str], list[str]]:
    labels, notes = [], []
    for variable in table.variables:
        whole = variable.text(language)
        labels.append(_shortened(whole, limit, size))
        if labels[-1] != whole:
            notes.append(
                f"the label of {variable.name} is shortened to what {program} holds; the codebook has it whole"
            )
    return labels, notes


def _check_text(table: LabelledTable, limit: int, program: str) -> None:
    for variable in table.variables:
        if variable.kind != "text":
            continue
        lengths = table.frame[variable.name].dropna().astype(str).map(_bytes)
        if len(lengths) and lengths.max() > limit:
            raise CannotHold(
                f"{variable.name} has a text of {lengths.max():,} bytes; a text of {program} has at most {limit:,}: "
                "take a .csv or .parquet file"
            )


def write_stata(table: LabelledTable, path: Path, language: Language) -> list[str]:
    """Write a .dta file of version 118, which Stata 14 and newer read; return what had to be shortened.

    A text of more than 2045 bytes becomes a strL.
    """
    _check_text(table, STATA_STRL, "Stata")
    names, notes = names_of(table.variables, STATA_NAME)
    labels, shortened = _labels(table, language, STATA_LABEL, len, "Stata")
    places = {reason: k for k, reason in enumerate(table.reason_words, start=1)}
    columns: dict[str, Any] = {}
    value_labels: dict[Any, dict[float, str]] = {}
    extended: dict[str, np.ndarray[Any, np.dtype[np.int8]]] = {}
    long_texts = []
    for variable in table.variables:
        name = names[variable.name]
        if variable.kind == "text":
            columns[name] = _filled(table.frame[variable.name])
            if columns[name].map(_bytes).max() > STATA_TEXT:
                long_texts.append(name)
            continue
        columns[name] = table.number_of(variable)
        words: dict[float, str] = {}
        for code, label in variable.codes.items():
            if variable.numbers[code].is_integer() and abs(variable.numbers[code]) < STATA_MISSING_LABEL:
                words[int(variable.numbers[code])] = getattr(label, language)
            else:
                notes.append(
                    f"{variable.name} = {code} has no label in the file: Stata labels whole numbers below"
                    f" {STATA_MISSING_LABEL:,} only"
                )
        reasons = table.reasons.get(variable.name)
        if reasons is not None:
            different, place = np.unique(reasons.astype(str), return_inverse=True)
            extended[name] = np.array([places.get(str(r), 0) for r in different], dtype=np.int8)[place]
            for reason in different:
                if reason in places:
                    words[STATA_MISSING_LABEL + places[reason]] = getattr(
                        table.reason_words[reason], language
                    )
        if sum(_bytes(word) + 1 for word in words.values()) > STATA_LABELS:
            raise CannotHold(
                f"the labels of {variable.name}'s {len(words):,} codes are longer than the {STATA_LABELS:,} bytes that"
                " Stata holds for one variable: take a .sav file, or a .csv or .parquet file, which keep codes as text"
            )
        if words:
            value_labels[name] = words
    writer = _StataWriter(
        path,
        pd.DataFrame(columns),
        extended,
        write_index=False,
        time_stamp=EPOCH,
        data_label=_shortened(getattr(table.title, language), STATA_LABEL, len),
        variable_labels=dict(zip(names.values(), labels, strict=True)),
        convert_strl=long_texts,
        version=118,
        value_labels=value_labels,
    )
    writer.write_file()
    return notes + shortened


class _StataWriter(StataWriterUTF8):  # type: ignore[misc]
    """The writer of pandas, with the extended missing values .a to .z in place of some of the plain ones.

    Parameters
    ----------
    extended
        Column -> place in the alphabet of each row's reason, 0 where it is plainly missing or there.
    """

    def __init__(
        self,
        path: Path,
        data: pd.DataFrame,
        extended: Mapping[str, np.ndarray[Any, np.dtype[np.int8]]],
        **options: Any,
    ) -> None:
        self._extended = extended
        super().__init__(path, data, **options)

    def _replace_nans(self, data: pd.DataFrame) -> pd.DataFrame:
        data = super()._replace_nans(data)
        for name, places in self._extended.items():
            values = data[name].to_numpy(np.float64, copy=True)
            values[places > 0] = STATA_MISSING[places[places > 0]]
            data[name] = values
        return data


def _filled(column: pd.Series) -> pd.Series:
    """Text without gaps: these formats have no missing text but the empty one."""
    return column.astype(object).where(column.notna(), "")


def write_spss(table: LabelledTable, path: Path, language: Language) -> list[str]:
    """Write a .sav file; return what had to be shortened."""
    _check_text(table, SPSS_TEXT, "SPSS")
    names, notes = names_of(table.variables, SPSS_NAME)
    labels, shortened = _labels(table, language, SPSS_LABEL, _bytes, "SPSS")
    notes += shortened
    columns: dict[str, Any] = {}
    numeric = {v.name: table.number_of(v) for v in table.variables if v.kind != "text"}
    lowest = min((np.nanmin(x) for x in numeric.values() if not np.isnan(x).all()), default=0.0)
    codes = missing_codes(table.reason_words, float(lowest))
    value_labels: dict[str, dict[Any, str]] = {}
    ranges: dict[str, list[Any]] = {}
    formats: dict[str, str] = {}
    for variable in table.variables:
        name = names[variable.name]
        if variable.kind == "text":
            columns[name] = (
                table.frame[variable.name].astype(object).where(table.frame[variable.name].notna(), "")
            )
            continue
        values = numeric[variable.name].copy()
        known = values[~np.isnan(values)]
        formats[name] = "F10.0" if (known == np.round(known)).all() else "F12.4"
        words: dict[Any, str] = {
            variable.numbers[code]: getattr(label, language) for code, label in variable.codes.items()
        }
        reasons = table.reasons.get(variable.name)
        if reasons is not None:
            for reason, code in codes.items():
                values[reasons == reason] = code
            there = [code for reason, code in codes.items() if (reasons == reason).any()]
            words |= {
                float(codes[r]): getattr(table.reason_words[r], language) for r in codes if codes[r] in there
            }
            ranges[name] = [{"lo": min(codes.values()), "hi": max(codes.values())}]
        for code, word in words.items():
            words[code] = _shortened(word, SPSS_VALUE_LABEL, _bytes)
            if words[code] != word:
                notes.append(f"the label of {variable.name} = {exact(code)} is shortened to what SPSS holds")
        columns[name] = values
        if words:
            value_labels[name] = words
    pyreadstat.write_sav(
        pd.DataFrame(columns),
        str(path),
        file_label=_shortened(getattr(table.title, language), 64, _bytes),
        column_labels=[*labels],
        row_compress=True,
        variable_value_labels=value_labels,
        missing_ranges=ranges,
        variable_measure={names[v.name]: v.measure for v in table.variables},
        variable_format=formats,
    )
    with path.open("r+b") as file:
        file.seek(SPSS_WRITTEN_AT)
        file.write(f"{EPOCH:%d %b %y%H:%M:%S}".encode())
    return notes


def missing_codes(reasons: Mapping[str, Label], lowest: float) -> dict[str, int]:
    """Code of each reason in SPSS: -91, -92 ..., with more nines in front where the data reach so low."""
    first = -91
    while lowest <= first + 1:
        first = int(f"-9{-first}")
    return {reason: first - k for k, reason in enumerate(reasons)}


def _plain(table: LabelledTable) -> pd.DataFrame:
    """Values as they are, the reason of a missing one in a column beside its variable."""
    columns: dict[str, Any] = {}
    for variable in table.variables:
        column = table.frame[variable.name]
        if variable.kind == "number" and (column.dropna() == column.dropna().round()).all():
            column = column.astype("Int64")
        columns[variable.name] = column
        if variable.name in table.reasons:
            columns[variable.name + MISSING_SUFFIX] = table.reasons[variable.name]
    return pd.DataFrame(columns)


def _arrow(table: LabelledTable, plain: pd.DataFrame) -> pa.Table:
    texts = {v.name for v in table.variables if v.kind != "number"}
    fields = []
    for name in plain.columns:
        is_text = name in texts or name.endswith(MISSING_SUFFIX)
        fields.append(
            pa.field(
                name, pa.string() if is_text else pa.int64() if plain[name].dtype == "Int64" else pa.float64()
            )
        )
    return pa.Table.from_pandas(plain, schema=pa.schema(fields), preserve_index=False)


def write_csv(table: LabelledTable, path: Path, language: Language) -> list[str]:
    """Write UTF-8 with a byte order mark, which Excel needs to show Chinese; codes stay codes."""
    whole = _arrow(table, _plain(table))
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf")
        pa_csv.write_csv(pa.table([csv_safe(c) for c in whole.columns], schema=whole.schema), file)
    return []


def write_parquet(table: LabelledTable, path: Path, language: Language) -> list[str]:
    """Write Parquet with the words of both languages in the metadata of each field."""
    whole = _arrow(table, _plain(table))
    described = {
        v.name: {
            "label_en": v.text("en"),
            "label_zh": v.text("zh"),
            "codes": json.dumps(
                {c: {"en": w.en, "zh": w.zh} for c, w in v.codes.items()}, ensure_ascii=False
            ),
        }
        for v in table.variables
    }
    schema = pa.schema([f.with_metadata(described.get(f.name, {})) for f in whole.schema])
    pq.write_table(whole.cast(schema), path, compression="zstd")
    return []


def write_excel(table: LabelledTable, path: Path, language: Language) -> list[str]:
    """Write a workbook: the data, then what variables, codes and missing values mean."""
    if len(table.frame) > EXCEL_ROWS:
        raise CannotHold(
            f"{len(table.frame):,} rows; a sheet holds {EXCEL_ROWS:,}: take a .csv, .parquet, .dta or .sav file"
        )
    _check_text(table, EXCEL_TEXT, "Excel")
    plain = _plain(table)
    book = Workbook(write_only=True)
    words = {v.name: v for v in table.variables}
    sheets: dict[str, list[Sequence[object]]] = {
        "variables": [("variable", "label", "unit", "kind")]
        + [(v.name, getattr(v.label, language), v.unit, v.kind) for v in words.values()],
        "values": [("variable", "code", "label")]
        + [(v.name, code, getattr(w, language)) for v in words.values() for code, w in v.codes.items()],
        "missing": [("reason", "label")] + [(r, getattr(w, language)) for r, w in table.reason_words.items()],
    }
    data = book.create_sheet("data")
    data.freeze_panes = "A2"
    data.append(list(plain.columns))
    columns = [column.astype(object).where(column.notna(), None).to_list() for _, column in plain.items()]
    for row in zip(*columns, strict=True):
        data.append([_cell(data, value) for value in row])
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for line in lines:
            sheet.append([_cell(sheet, value) for value in line])
    book.save(path)
    return []


def _cell(sheet: Any, value: object) -> object:
    """Value for a cell; text that a spreadsheet would run as a formula stays text."""
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, value)
    cell.data_type = "s"
    return cell
