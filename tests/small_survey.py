"""A small survey folder that tests fill with whatever they want to see read, refused or set aside."""

import csv
import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relocation_warehouse.survey.folder import SurveyFolder, load_folder

CODES = """list,code,value,missing_reason,label_en,label_zh
site,甲,SITE_A,,Site A,甲
site,乙,SITE_B,,Site B,乙
site,1,SITE_A,,Site A,甲
site,2,SITE_B,,Site B,乙
site,99,,refused,,
round,前,before,,Before,前
round,后,after,,After,后
agree,1,1,,,
agree,2,2,,,
agree,3,3,,,
agree,同意,3,,,
missing,9,,dont_know,,
missing,-9,,refused,,
missing,.a,,not_applicable,,
missing,90..98,,refused,,
helps,land,1,,,
helps,work,1,,,
helps,none,,not_applicable,,
words,无,0,,,
"""

COLUMNS = (
    # file_id, column, variable, type, minimum, maximum, codes, is_personal, ignore_reason
    ("households", "编号", "hhid", "text", "", "", "", "false", ""),
    ("households", "安置点", "site", "code", "", "", "site", "false", ""),
    ("households", "年龄", "age", "integer", "16", "100", "missing", "false", ""),
    ("households", "收入", "income", "number", "0", "", "missing words", "false", ""),
    ("households", "满意", "satisfied", "code", "", "", "agree missing", "false", ""),
    ("households", "帮扶", "help", "multi", "", "", "helps", "false", ""),
    ("households", "日期", "visit", "date", "", "", "", "false", ""),
    ("households", "备注", "note", "text", "", "", "", "false", ""),
)
HEADER = [c[1] for c in COLUMNS]
ROWS = [
    ["H1", "甲", "35", "1200.5", "1", "land work", "2024-03-05", "好"],
    ["H2", "乙", "41", "无", "3", "none", "2024/3/6", ""],
    ["H3", "甲", "9", "", "同意", "", "2024年3月7日", "a, b"],
]


def csv_text(
    rows: list[list[str]] | None = None, header: list[str] | None = None, delimiter: str = ","
) -> str:
    lines = [header or HEADER, *(ROWS if rows is None else rows)]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(lines)
    return out.getvalue()


def survey_fields(
    survey_id: str,
    waves: tuple[str, ...],
    sites: tuple[str, ...],
    files: list[dict[str, Any]],
    fieldwork: str = "2024",
) -> dict[str, Any]:
    """What `survey.yml` says of a made-up survey."""
    label = {"en": "x", "zh": "x"}
    return {
        "survey_id": survey_id,
        "region": "nowhere",
        "region_label": label,
        "title": label,
        "place": {"en": "nowhere", "zh": "无处"},
        "fieldwork": fieldwork,
        "is_synthetic": True,
        "source": {"citation": "made up", "licence": "CC0-1.0"},
        "waves": [{"wave": w, "order": i, "label": label} for i, w in enumerate(waves)],
        "site": {"column": "site", "codes": "site"},
        "sites": [{"site_id": s, "label": label} for s in sites],
        "files": files,
    }


def write_folder(
    path: Path,
    *,
    files: list[dict[str, Any]] | None = None,
    columns: tuple[tuple[str, ...], ...] = COLUMNS,
    codes: str = CODES,
    corrections: list[tuple[str, ...]] = (),
    weight: str | None = None,
) -> SurveyFolder:
    """Write the declaring files of a survey whose folder is `path`, and load them."""
    path.mkdir(parents=True, exist_ok=True)
    files = files or [{"file_id": "households", "path": "households.csv", "format": "delimited"}]
    grains = {f["file_id"]: f.get("grain", "household") for f in files}
    survey = survey_fields(
        path.name, ("before", "after"), ("SITE_A", "SITE_B"), [{"household_id": ["hhid"], **f} for f in files]
    )
    if weight:
        survey["sampling_weight"] = weight
    with (path / "survey.yml").open("w", encoding="utf-8") as handle:
        YAML(typ="safe", pure=True).dump(survey, handle)
    names = [
        "file_id",
        "column",
        "variable",
        "type",
        "minimum",
        "maximum",
        "codes",
        "is_personal",
        "ignore_reason",
    ]
    _write(path / "columns.csv", names, columns)
    (path / "codes.csv").write_text(codes, encoding="utf-8")
    crosswalk = []
    for file_id, _, variable, *_ in columns:
        source = f"{file_id}.{variable}"
        rule = "direct" if grains.get(file_id) == "household" else "count"
        if variable:
            crosswalk.append(("*", f"i_{file_id}_{variable}", rule, source, "identical", "made up"))
    _write(
        path / "crosswalk.csv", ["wave", "indicator_id", "rule", "sources", "status", "evidence"], crosswalk
    )
    fields = ["file_id", "household_id", "variable", "expect", "replacement", "reason", "status"]
    _write(path / "corrections.csv", fields, corrections)
    return load_folder(path)


def _write(path: Path, names: list[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(names)
        writer.writerows(rows)
