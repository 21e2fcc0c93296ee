"""Two further surveys as folders, written from the catalog: what somebody would add who never opens the code.

Every indicator of the catalog but one is asked, so that the surveys have to appear wherever a survey can appear.
The answers are made up: a household's latent traits, one for each dimension, cut into the answers of each question.
"""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
from ruamel.yaml import YAML
from scipy.stats import norm

from relocation_warehouse.survey.catalog import Catalog, Indicator

HOUSEHOLDS = 180
SITES = ("东山", "西川", "南滩")
NOT_ASKED = "grid_worker_known"

STATA_SURVEY = "qh_haidong_2021"
KOBO_SURVEY = "gs_gulang_2022"

# What the second survey takes from its two repeat groups: rule, source, unit.
FROM_ROSTERS = {
    "household_size": ("count", "members.person", ""),
    "education_years": ("mean", "members.schooling", ""),
    "labour_force_count": ("sum_complete", "members.works", ""),
    "arable_land_area_mu": ("sum_complete", "plots.area", "m2"),
    "pasture_area_mu": ("sum_available", "plots.grass", "m2"),
}
CHANNELS = ("tv", "phone", "meeting")

COLUMNS = ("file_id", "column", "variable", "type", "minimum", "maximum", "codes", "ignore_reason", "label")
CROSSWALK = ("wave", "indicator_id", "rule", "sources", "unit", "parameters", "status", "evidence")


def answers(indicator: Indicator, catalog: Catalog, traits: dict[str, Any], rng: Any, shift: float) -> Any:
    """Answers of all households to one question: canonical codes as text, or numbers."""
    trait = traits.setdefault(indicator.dimension, rng.normal(size=HOUSEHOLDS))
    z = 0.7 * trait + 0.7 * rng.normal(size=HOUSEHOLDS) + shift
    place = np.clip(norm.cdf(z), 0.001, 0.999)
    codes = catalog.codes_of(indicator.id)
    if codes:
        return np.array(codes, dtype=object)[(place * len(codes)).astype(int)]
    low = indicator.minimum or 0
    high = indicator.maximum if indicator.maximum is not None else low + 12
    spread = 20_000 if (indicator.unit or "").startswith("yuan") else high - low
    return np.round(low + place * spread)


def add_stata_survey(surveys: Path, catalog: Catalog) -> Path:
    """Before and after in two .dta files, Chinese labels, coded answers as Chinese text."""
    folder = surveys / STATA_SURVEY
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2021)
    traits: dict[str, Any] = {}
    asked = [i for i in catalog.indicators if i.id != NOT_ASKED]
    labels = {name: {c.code: c.label_zh for c in codes} for name, codes in catalog.code_lists.items()}
    columns: list[dict[str, Any]] = []
    for wave, shift in (("before", -0.3), ("after", 0.3)):
        data: dict[str, Any] = {
            "hh": [f"{1000 + k}" for k in range(HOUSEHOLDS)],
            "village": [SITES[k % len(SITES)] for k in range(HOUSEHOLDS)],
            "tel": [f"000-{k:04}" for k in range(HOUSEHOLDS)],
        }
        texts = {"hh": "户编号", "village": "安置点", "tel": "联系电话"}
        columns += [
            {"file_id": wave, "column": "hh", "variable": "hh", "type": "text"},
            {"file_id": wave, "column": "village", "variable": "village", "type": "code", "codes": "site"},
            {"file_id": wave, "column": "tel", "ignore_reason": "telephone number", "is_personal": "true"},
        ]
        for number, indicator in enumerate(asked, start=1):
            name = f"q{number:03}"
            given = answers(indicator, catalog, traits, rng, shift)
            column: dict[str, Any] = {"file_id": wave, "column": name, "variable": name}
            if indicator.code_list:
                data[name] = [labels[indicator.code_list][c] for c in given]
                data[name][number % HOUSEHOLDS] = "不清楚"
                column |= {"type": "code", "codes": f"{indicator.code_list} unclear"}
            else:
                data[name] = given.astype(float)
                column |= {"type": "number", "minimum": indicator.minimum, "maximum": indicator.maximum}
            texts[name] = indicator.label_zh
            columns.append(column | {"label": indicator.label_zh})
        pyreadstat.write_dta(pd.DataFrame(data), folder / f"{wave}.dta", column_labels=texts, version=15)
    codes = [("site", name, f"QH_{k}", "", f"Site {k}", name) for k, name in enumerate(SITES, start=1)]
    codes += [
        (name, c.label_zh, c.code, "", c.label_en, c.label_zh)
        for name, members in catalog.code_lists.items()
        for c in members
    ]
    codes.append(("unclear", "不清楚", "", "dont_know", "Unclear", "不清楚"))
    crosswalk: list[dict[str, Any]] = [
        {
            "wave": wave,
            "indicator_id": i.id,
            "rule": "direct",
            "sources": f"q{number:03}",
            "status": "identical",
            "evidence": f"question {number}",
        }
        for number, i in enumerate(asked, start=1)
        for wave in ("before", "after")
    ]
    files = [
        {
            "file_id": wave,
            "path": f"{wave}.dta",
            "format": "stata",
            "household_id": ["hh"],
            "wave": {"fixed": wave},
        }
        for wave in ("before", "after")
    ]
    _write(
        folder,
        region=("qinghai", "青海"),
        waves=("before", "after"),
        site="village",
        prefix="QH",
        files=files,
        columns=columns,
        codes=codes,
        crosswalk=crosswalk,
    )
    return folder


def add_kobo_survey(surveys: Path, catalog: Catalog) -> Path:
    """A zipped export with groups in its headers, a multiple answer and two repeat groups."""
    folder = surveys / KOBO_SURVEY
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2022)
    traits: dict[str, Any] = {}
    uuids = [f"uuid-{k:04}" for k in range(HOUSEHOLDS)]
    main: dict[str, Any] = {
        "intro/hh_code": [f"G{k:03}" for k in range(HOUSEHOLDS)],
        "intro/site": [f"s{k % len(SITES) + 1}" for k in range(HOUSEHOLDS)],
        "intro/channels": [" ".join(CHANNELS[: k % 4]) or "none" for k in range(HOUSEHOLDS)],
    }
    columns: list[dict[str, Any]] = [
        {"file_id": "households", "column": "intro/hh_code", "variable": "hh_code", "type": "text"},
        {
            "file_id": "households",
            "column": "intro/site",
            "variable": "site",
            "type": "code",
            "codes": "site",
        },
        {
            "file_id": "households",
            "column": "intro/channels",
            "variable": "channels",
            "type": "multi",
            "codes": "channel",
        },
    ]
    crosswalk: list[dict[str, Any]] = []
    for indicator in catalog.indicators:
        row = {
            "wave": "*",
            "indicator_id": indicator.id,
            "status": "compatible",
            "evidence": f"form, {indicator.id}",
        }
        if indicator.id == NOT_ASKED:
            continue
        if indicator.id in FROM_ROSTERS:
            rule, source, unit = FROM_ROSTERS[indicator.id]
            crosswalk.append(row | {"rule": rule, "sources": source, "unit": unit})
        elif indicator.id == "talent_programme_known":
            crosswalk.append(row | {"rule": "selected", "sources": "channels", "parameters": "meeting"})
        else:
            header = f"{indicator.system}/{indicator.id}"
            given = answers(indicator, catalog, traits, rng, 0.0)
            column: dict[str, Any] = {"file_id": "households", "column": header, "variable": indicator.id}
            if indicator.code_list:
                main[header] = [f"a_{c}" for c in given]
                column |= {"type": "code", "codes": indicator.code_list}
            else:
                main[header] = [f"{v:g}" for v in given]
                column |= {"type": "number", "minimum": indicator.minimum, "maximum": indicator.maximum}
            columns.append(column | {"label": indicator.label_en})
            crosswalk.append(row | {"rule": "direct", "sources": indicator.id})
    main |= {"_uuid": uuids, "_index": list(range(1, HOUSEHOLDS + 1))}
    columns += [
        {"file_id": "households", "column": c, "ignore_reason": "bookkeeping of the form"}
        for c in ("_uuid", "_index")
    ]
    members, plots = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for k, uuid in enumerate(uuids):
        for person in range(1, 2 + k % 5):
            members.append((person, 3 + (k + person) % 10, int(person <= 2), uuid))
        for plot in range(1 + k % 3):
            plots.append((667 * (plot + 1 + k % 4), 1000 * (k % 2), uuid))
    repeats = {
        "members": (("members/person", "members/schooling", "members/works"), members),
        "plots": (("plots/area", "plots/grass"), plots),
    }
    with zipfile.ZipFile(folder / "export.zip", "w") as archive:
        archive.writestr("export.csv", _csv_text(list(main), zip(*main.values(), strict=True)))
        for name, (headers, rows) in repeats.items():
            archive.writestr(f"export-{name}.csv", _csv_text([*headers, "_submission__uuid"], rows))
            columns += [
                {
                    "file_id": name,
                    "column": h,
                    "variable": h.split("/")[1],
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1 if h.endswith("works") else 25 if h.endswith("schooling") else "",
                }
                for h in headers
            ]
            columns += [
                {
                    "file_id": name,
                    "column": "_submission__uuid",
                    "ignore_reason": "link to the submission",
                },
                {"file_id": name, "column": "intro/hh_code", "variable": "household", "type": "text"},
            ]
    codes = [("site", f"s{k}", f"GS_{k}", "", f"Site {k}", n) for k, n in enumerate(SITES, start=1)]
    codes += [("channel", c, "1", "", c, c) for c in CHANNELS] + [("channel", "none", "0", "", "none", "无")]
    codes += [
        (name, f"a_{c.code}", c.code, "", c.label_en, c.label_zh)
        for name, listed in catalog.code_lists.items()
        for c in listed
    ]
    files: list[dict[str, Any]] = [
        {"file_id": "households", "path": "export.zip", "format": "odk", "household_id": ["hh_code"]}
    ]
    files += [
        {
            "file_id": name,
            "path": "export.zip",
            "format": "odk",
            "grain": "member",
            "options": {"repeat": name},
            "household_id": ["household"],
        }
        for name in repeats
    ]
    _write(
        folder,
        region=("gansu", "甘肃"),
        waves=("single",),
        site="site",
        prefix="GS",
        files=files,
        columns=columns,
        codes=codes,
        crosswalk=crosswalk,
    )
    return folder


def _csv_text(headers: Any, rows: Any) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([headers, *rows])
    return out.getvalue()


def _write(
    folder: Path,
    *,
    region: tuple[str, str],
    waves: tuple[str, ...],
    site: str,
    prefix: str,
    files: list[dict[str, Any]],
    columns: list[dict[str, Any]],
    codes: list[tuple[str, ...]],
    crosswalk: list[dict[str, Any]],
) -> None:
    label = {"en": region[0].title(), "zh": region[1]}
    survey = {
        "survey_id": folder.name,
        "region": region[0],
        "region_label": label,
        "title": {
            "en": f"Resettled households of {label['en']} (made up)",
            "zh": f"{region[1]}搬迁户调查（虚构）",
        },
        "place": label,
        "fieldwork": folder.name[-4:],
        "is_synthetic": True,
        "source": {"citation": "made up for a test", "licence": "CC0-1.0"},
        "waves": [{"wave": w, "order": k, "label": {"en": w, "zh": w}} for k, w in enumerate(waves)],
        "site": {"column": site, "codes": "site"},
        "sites": [
            {"site_id": f"{prefix}_{k}", "label": {"en": f"Site {k}", "zh": name}, "households": 400 * k}
            for k, name in enumerate(SITES, start=1)
        ],
        "files": files,
    }
    with (folder / "survey.yml").open("w", encoding="utf-8") as handle:
        YAML(typ="safe", pure=True).dump(survey, handle)
    crosswalk.append(
        {
            "wave": "*",
            "indicator_id": NOT_ASKED,
            "rule": "not_asked",
            "status": "not_asked",
            "evidence": "no such question",
        }
    )
    _write_rows(
        folder / "columns.csv", (*COLUMNS, "is_personal"), [{"is_personal": "false"} | c for c in columns]
    )
    names = ("list", "code", "value", "missing_reason", "label_en", "label_zh")
    _write_rows(folder / "codes.csv", names, [dict(zip(names, c, strict=True)) for c in codes])
    _write_rows(folder / "crosswalk.csv", CROSSWALK, crosswalk)
    corrections = ("file_id", "household_id", "variable", "expect", "replacement", "reason", "status")
    _write_rows(folder / "corrections.csv", corrections, [])
    (folder / "NOTES.md").write_text("Made up for a test.\n", encoding="utf-8")


def _write_rows(path: Path, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
