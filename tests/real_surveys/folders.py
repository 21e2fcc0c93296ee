"""The two real surveys as folders, made the way the documentation says: `new-survey`, `add-wave`, and some edits.

The edits are what a person fills in; their number is a figure that the project watches.
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from sources import CODES, SEASONS, rice, vietnam, write

from relocation_warehouse.survey.added_wave import add_wave
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.scaffold import scaffold
from relocation_warehouse.survey.scaffold_columns import Recognition

YUAN = 0.624
RATE = (
    "means of 1998: 13,268 dong a US dollar (World Bank, PA.NUS.FCRF), 827.91 yuan per 100 US dollars (Shandong "
    "Statistical Yearbook 2003, table 16-12)"
)
"""What a thousand dong was worth, and where that is from."""

NO_UNIT = (
    "lntotal, described as 'log household total expenditure'; the description names no currency and no unit, thousand "
    "dong is assumed from its size (the mean is 14.6 million dong, 1,100 US dollars)"
)
"""Evidence for expenditure in the place of income: the R package documents no unit."""

VIETNAM, RICE = "vn_lss_1998", "id_rice_farms_1976"
SEASON_YEARS = ("1976", "1976", "1977", "1977", "1983", "1983")
FORMATS = (".csv", ".dta", ".sav", ".csv", ".dta", ".sav")


@dataclass
class Edits:
    """Edits of a folder; each cell or value that a person writes counts as one."""

    path: Path
    made: int = field(default=0)

    def yaml(self, **values: Any) -> None:
        """Write values of survey.yml; a dotted name goes down."""
        yaml, file = YAML(), self.path / "survey.yml"
        document = yaml.load(file.read_text(encoding="utf-8"))
        for name, value in values.items():
            *way, last = name.split("__")
            place = document
            for step in way:
                place = place[int(step) if step.isdigit() else step]
            if place.get(last) != value:
                self.made += leaves(value)
            place[last] = value
        with file.open("w", encoding="utf-8") as handle:
            yaml.dump(document, handle)

    def rows(self, name: str, is_meant: Callable[[Mapping[str, str]], bool], **cells: str) -> None:
        """Write cells of the rows of a CSV file that are meant."""
        rows, names = read_rows(self.path / name)
        for row in filter(is_meant, rows):
            self.made += sum(row[c] != value for c, value in cells.items())
            row.update(cells)
        write_rows(self.path / name, names, rows)

    def append(self, name: str, *rows: Mapping[str, str]) -> None:
        """Add rows to a CSV file."""
        old, names = read_rows(self.path / name)
        self.made += sum(len(row) for row in rows)
        write_rows(self.path / name, names, [*old, *rows])

    def column(self, header: str, **cells: str) -> None:
        self.rows("columns.csv", lambda r: r["column"] == header, **cells)

    def use(self, header: str, variable: str, **cells: str) -> None:
        """Use a column that `new-survey` proposed not to."""
        self.column(header, variable=variable, ignore_reason="", **cells)

    def confirm(self, indicator: str, header: str, status: str) -> None:
        """Judge a proposal; from a file without labels it has to be made."""
        self.use(header, header)
        self.rows(
            "crosswalk.csv",
            lambda r: r["indicator_id"] == indicator and not r["evidence"],
            evidence=f"column {header}",
        )
        self.rows(
            "crosswalk.csv",
            lambda r: r["indicator_id"] == indicator,
            rule="direct",
            sources=header,
            status=status,
        )

    def map(self, indicator: str, rule: str, source: str, status: str, evidence: str, **cells: str) -> None:
        self.rows(
            "crosswalk.csv",
            lambda r: r["indicator_id"] == indicator,
            **{"rule": rule, "sources": source, "status": status, "evidence": evidence} | cells,
        )


def leaves(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    return sum(map(leaves, value)) if isinstance(value, list) else 1


def read_rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        return list(reader), list(reader.fieldnames or ())


def write_rows(path: Path, names: list[str], rows: list[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def add_vietnam(
    surveys: Path, scratch: Path, catalog: Catalog, known: Recognition, ending: str = ".dta"
) -> Edits:
    """5,999 households of one round: towns and countryside as sites, communes as sampling units."""
    file = write(vietnam(), scratch / f"vietnam{ending}")
    edits = Edits(scaffold([file], surveys, catalog, known, VIETNAM).path)
    edits.yaml(
        region="vietnam",
        region_label={"en": "Vietnam"},
        title={"en": "Vietnam Living Standards Survey"},
        place={"en": "Vietnam"},
        fieldwork="1998",
        is_synthetic=False,
        source={
            "citation": "Cameron and Trivedi (2005), Microeconometrics",
            "licence": "GPL-2 (R package Ecdat)",
        },
        site={"column": "urban", "codes": "urban_or_rural"},
        sites=[
            {"site_id": "VN_RURAL", "label": {"en": "Countryside"}},
            {"site_id": "VN_URBAN", "label": {"en": "Towns"}},
        ],
        design={"sampling_unit": "commune"},
        units=[{"from": "kVND/year", "to": "yuan/year", "factor": YUAN, "note": RATE}],
    )
    edits.use("urban", "urban", codes="urban_or_rural")
    # the file tells answers in words, or as numbers with labels
    answers = ("no", "yes") if ending == ".csv" else ("1", "2")
    for answer, site in zip(answers, ("VN_RURAL", "VN_URBAN"), strict=True):
        edits.append("codes.csv", {"list": "urban_or_rural", "code": answer, "value": site})
    for indicator, header, status in (
        ("sex", "sex", "compatible"),
        ("education_years", "educyr", "proxy"),
        ("household_size", "hhsize", "identical"),
        ("head_age_years", "age", "identical"),
    ):
        edits.confirm(indicator, header, status)
    edits.use("lntotal", "lntotal")
    edits.map(
        "household_income_yuan", "expression", "lntotal", "proxy", NO_UNIT,
        parameters="exp(lntotal)", unit="kVND/year",
    )  # fmt: skip
    edits.map("household_size_band", "recode", "hhsize", "compatible", "members", codes="size_bands")
    bands = {"..3": "le_3", "4": "4", "5..": "ge_5"}
    edits.append("codes.csv", *({"list": "size_bands", "code": c, "value": v} for c, v in bands.items()))
    return edits


def add_rice(surveys: Path, scratch: Path, catalog: Catalog, known: Recognition) -> Edits:
    """171 farms of six villages in six seasons, a file and a format each."""
    frame = rice()
    files = [
        write(part.drop(columns="season"), scratch / f"season_{season}{FORMATS[season - 1]}")
        for season, part in frame.groupby("season")
    ]
    edits = Edits(scaffold(files[:1], surveys, catalog, known, RICE).path)
    edits.yaml(
        region="west_java",
        region_label={"en": "West Java"},
        title={"en": "Rice farms of West Java"},
        place={"en": "Cimanuk river basin"},
        fieldwork=SEASON_YEARS[0],
        is_synthetic=False,
        source={
            "citation": "Feng and Horrace (2012), doi 10.1002/jae.1271",
            "licence": "GPL-2 (R package plm)",
        },
        waves=[{"wave": "season_1", "order": 1, "label": {"en": "Season 1"}}],
    )
    for name in ("varieties", "bimas"):
        # in .dta and .sav the answers are numbers with labels, which `add-wave` knows by their labels
        for answer, value in zip(CODES[name], ("0", "1", "1"), strict=True):
            edits.rows("codes.csv", lambda r, n=name, a=answer: (r["list"], r["code"]) == (n, a), value=value)
        edits.use(name, name)
    edits.use("size", "land", minimum="0", maximum="")
    edits.map("arable_land_area_mu", "direct", "land", "compatible", "rice land in hectares", unit="ha")
    edits.map("uses_modern_farm_technology", "direct", "varieties", "proxy", "high-yielding varieties")
    edits.map("technical_support_received", "direct", "bimas", "proxy", "intensification programme")
    for season, file in enumerate(files[1:], start=2):
        add_wave(
            load_folder(edits.path, catalog.indicator), file, f"season_{season}", SEASON_YEARS[season - 1]
        )
        edits.made += 3
    assert len(files) == SEASONS
    return edits
