"""Write received tables as SPSS files, Excel workbooks and zipped Kobo exports, the way each really arrives.

Belongs here: labels, headers, links and layout of each format, taken from what the survey folder declares.
Does not belong here: which answers there are (`draw`) or how they are coded (`received`). The same tables give the
same bytes: dates that a format records about its own making are set to `MADE`.
"""

from __future__ import annotations

import csv
import io
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from relocation_warehouse.survey.folder import SurveyFolder
from relocation_warehouse.survey.vocabulary import (
    Column,
    ColumnType,
    ExcelOptions,
    Grain,
    OdkOptions,
    SurveyFile,
)

Tables = Mapping[str, pd.DataFrame]

MADE = datetime(2020, 1, 1)
"""When a file says it was made."""

SAV_DATE_AT = 92
"""Offset of the creation date (9 bytes) and time (8 bytes) in the header record of a .sav file."""

NUMBERS = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.CODE)
"""Columns that SPSS stores as numbers."""

TYPED_AS_TEXT_EVERY = 19
"""In a workbook filled by hand, every so many rows the numbers are typed as text."""


def write_spss(tables: Tables, folder: SurveyFolder, path: Path) -> None:
    """Write one table as .sav with variable labels, value labels and user-missing codes.

    Parameters
    ----------
    tables
        One received table: codes as text, None where blank.
    folder
        Says labels and codes of the columns.
    path
        File to write.
    """
    ((file_id, table),) = tables.items()
    columns = {c.column: c for c in folder.columns_of(file_id)}
    data = {
        name: pd.to_numeric(table[name]) if columns[name].type in NUMBERS else table[name].astype("string")
        for name in table.columns
    }
    value_labels: dict[str, dict[float, str]] = {}
    missing: dict[str, list[Any]] = {}
    for name in table.columns:
        codes = [c for c in folder.codes_of(columns[name]) if c.bounds is None]
        value_labels |= {name: {float(c.code): c.label_zh for c in codes}} if codes else {}
        declared = [float(c.code) for c in codes if c.missing_reason is not None]
        missing |= {name: declared} if declared else {}
    pyreadstat.write_sav(
        pd.DataFrame(data),
        path,
        file_label=folder.survey.title.en[:64],
        column_labels={name: column.label or name for name, column in columns.items()},
        variable_value_labels=value_labels,
        missing_ranges=missing,
    )
    with path.open("r+b") as handle:
        handle.seek(SAV_DATE_AT)
        handle.write(MADE.strftime("%d %b %y%H:%M:%S").encode("ascii"))


def write_excel(tables: Tables, folder: SurveyFolder, path: Path) -> None:
    """Write tables as sheets of one workbook: a title, merged header rows, rows, and a note below.

    Header parts joined by " / " in columns.csv go to the header rows that survey.yml declares. Dates are real
    dates; codes that look like numbers are numbers, save in the rows that were typed as text.

    Parameters
    ----------
    tables
        Received tables by file_id; a roster's household id holds the row of its household, from 0.
    folder
        Says sheets, header rows and column types.
    path
        File to write.
    """
    workbook = Workbook()
    workbook.remove(workbook.active)
    for file, table in with_household_ids(tables, folder):
        options = file.options
        assert isinstance(options, ExcelOptions)
        sheet = workbook.create_sheet(options.sheet)
        _write_header(sheet, list(table.columns), options)
        for row in options.skip_rows:
            title = sheet.cell(row, 1, f"{folder.survey.title.zh}（{options.sheet}）")
            title.font = Font(bold=True, size=14)
        columns = {c.column: c for c in folder.columns_of(file.file_id)}
        types = [columns[name].type for name in table.columns]
        for number, cells in enumerate(table.to_numpy(dtype=object)):
            is_text = number % TYPED_AS_TEXT_EVERY == TYPED_AS_TEXT_EVERY - 1
            sheet.append([_cell(v, kind, is_text) for v, kind in zip(cells, types, strict=True)])
        for offset in range(options.skip_footer_rows):
            note = "注：本表为演示数据，答案系虚构。" if offset == 0 else "填表说明见问卷首页。"
            sheet.cell(sheet.max_row + 1, 1, note)
        sheet.freeze_panes = sheet.cell(max(options.header_rows) + 1, 2)
        for number in range(1, len(table.columns) + 1):
            sheet.column_dimensions[get_column_letter(number)].width = 14
    buffer = io.BytesIO()
    workbook.save(buffer)
    _write_settled(buffer, path)


def write_kobo(tables: Tables, folder: SurveyFolder, path: Path) -> None:
    """Write a zipped Kobo export: a CSV for the submissions and each repeat group, and the form (XLSForm).

    A repeat's rows name their submission by `_submission__uuid` and `_parent_index`; columns that the folder
    borrows from the submission for a repeat are not written twice. Separate 0/1 columns of a multiple answer
    (`question/choice`) follow from the answer itself.

    Parameters
    ----------
    tables
        Received tables by file_id; a roster's household id holds the row of its household, from 0.
    folder
        Says repeat groups, labels and codes.
    path
        File to write.
    """
    files = {f.file_id: f for f in folder.survey.files if f.file_id in tables}
    base = next(f for f in files.values() if f.grain is Grain.HOUSEHOLD)
    name = path.stem
    submissions = _with_choice_columns(tables[base.file_id])
    submissions["_index"] = np.arange(1, len(submissions) + 1)
    submissions["_uuid"] = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{i}")) for i in submissions["_index"]]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}.csv", _csv(submissions))
        for file in files.values():
            if file.grain is not Grain.MEMBER:
                continue
            assert isinstance(file.options, OdkOptions)
            table = tables[file.file_id]
            parent = table[_header(folder, file, file.household_id[0])].to_numpy(dtype=np.intp)
            own = [c for c in table.columns if c not in submissions.columns or c == "_index"]
            members = table[own].copy()
            members["_index"] = np.arange(1, len(members) + 1)
            members["_parent_table_name"] = name
            members["_parent_index"] = parent + 1
            members["_submission__uuid"] = submissions["_uuid"].to_numpy()[parent]
            archive.writestr(f"{name}-{file.options.repeat}.csv", _csv(members))
        archive.writestr("form.xlsx", _form(folder, base))
    _write_settled(buffer, path)


def with_household_ids(tables: Tables, folder: SurveyFolder) -> Iterator[tuple[SurveyFile, pd.DataFrame]]:
    """Files with their tables, rosters with the id of the household instead of its row.

    Parameters
    ----------
    tables
        Received tables by file_id; a roster's household id holds the row of its household, from 0.
    folder
        Says which variable is the household id.
    """
    files = [f for f in folder.survey.files if f.file_id in tables]
    base = next(f for f in files if f.grain is Grain.HOUSEHOLD)
    ids = tables[base.file_id][_header(folder, base, base.household_id[0])].to_numpy()
    for file in files:
        table = tables[file.file_id]
        if file.grain is Grain.MEMBER:
            header = _header(folder, file, file.household_id[0])
            table = table.assign(**{header: ids[table[header].to_numpy(dtype=np.intp)]})
        yield file, table


WRITERS: Mapping[str, Callable[[Tables, SurveyFolder, Path], None]] = {
    "spss": write_spss,
    "excel": write_excel,
    "odk": write_kobo,
}
"""Writer of each format: received tables by file_id of all files that share a path, the folder, the path."""


def _header(folder: SurveyFolder, file: SurveyFile, variable: str) -> str:
    return folder.variables[file.file_id, variable].column


def _write_header(sheet: Worksheet, names: list[str], options: ExcelOptions) -> None:
    """Header parts over the declared rows; equal neighbours in an upper row become one merged cell."""
    rows = sorted(options.header_rows)
    parts = [name.split(" / ") for name in names]
    for level, row in enumerate(rows):
        start = 0
        for end in range(1, len(parts) + 1):
            is_last = level == len(rows) - 1
            if end < len(parts) and not is_last and parts[end][:1] == parts[start][:1]:
                continue
            cell = sheet.cell(row, start + 1, parts[start][level])
            cell.alignment = Alignment(horizontal="center", wrap_text=True)
            cell.font = Font(bold=True)
            if end - start > 1:
                sheet.merge_cells(start_row=row, end_row=row, start_column=start + 1, end_column=end)
            start = end


def _cell(value: Any, kind: ColumnType | None, is_text: bool) -> Any:
    if value is None or pd.isna(value):
        return None
    if kind is ColumnType.DATE:
        return datetime.fromisoformat(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) and kind in NUMBERS:
        value = float(value) if "." in value else int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if is_text else value


def _with_choice_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Fill `question/choice` columns from the space-separated answers of `question`."""
    filled = table.copy()
    for name in table.columns:
        question, _, choice = name.rpartition("/")
        if question in table.columns:
            answers = table[question].map(lambda a: None if a is None else set(str(a).split()))
            filled[name] = [None if a is None else int(choice in a) for a in answers]
    return filled


def _csv(table: pd.DataFrame) -> str:
    whole = {n: [_plain(v) for v in table[n]] for n in table.columns}
    return pd.DataFrame(whole, dtype=object).to_csv(
        index=False, sep=";", lineterminator="\n", quoting=csv.QUOTE_ALL
    )


def _plain(value: Any) -> Any:
    """Numbers as a form shows them: no decimals where there are none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _form(folder: SurveyFolder, base: SurveyFile) -> bytes:
    """XLSForm of the questionnaire: questions and choices with their labels in both languages."""
    workbook = Workbook()
    questions = workbook.active
    questions.title = "survey"
    questions.append(["type", "name", "label::中文 (zh)", "label::English (en)"])
    choices = workbook.create_sheet("choices")
    choices.append(["list_name", "name", "label::中文 (zh)", "label::English (en)"])
    listed: set[str] = set()
    for column in folder.columns:
        if column.type is None:
            continue
        questions.append(
            [_question_type(column), column.column.split("/")[-1], column.label, column.variable]
        )
        for name in column.codes:
            if name not in listed:
                listed.add(name)
                for code in folder.code_lists[name]:
                    choices.append([name, code.code, code.label_zh, code.label_en])
    workbook.create_sheet("settings").append(["form_title", "id_string"])
    workbook["settings"].append([folder.survey.title.zh, base.file_id])
    buffer = io.BytesIO()
    workbook.save(buffer)
    settled = io.BytesIO()
    _settle(buffer, settled)
    return settled.getvalue()


def _question_type(column: Column) -> str:
    match column.type:
        case ColumnType.CODE:
            return f"select_one {column.codes[0]}"
        case ColumnType.MULTI:
            return f"select_multiple {column.codes[0]}"
        case ColumnType.NUMBER:
            return "decimal"
        case _:
            return str(column.type)


def _write_settled(buffer: io.BytesIO, path: Path) -> None:
    with path.open("wb") as handle:
        _settle(buffer, handle)


def _settle(source: io.BytesIO, target: Any) -> None:
    """Copy a zip archive with every date of its making set to `MADE`."""
    moment = MADE.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"(?<=W3CDTF\">)[^<]+", moment, content)
            new.writestr(zipfile.ZipInfo(entry.filename, MADE.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
