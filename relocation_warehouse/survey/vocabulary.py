"""The closed vocabulary of a survey folder: what `survey.yml` and its CSV files may say.

Belongs here: the meaning of every field, as types that refuse anything else.
Does not belong here: reading files from disk (`folder`), reading survey data (`readers`), turning a crosswalk
into SQL (`crosswalk`), or any knowledge of a particular survey.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    StringConstraints,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError


def _without_seam(name: str) -> str:
    if "__" in name:
        raise ValueError(
            f"{name!r} holds '__', which joins names (survey__file, variable__missing); use one '_'"
        )
    return name


Identifier = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_without_seam)
]
"""Lower-case name, safe as a folder, table or column name; two names joined with "__" come apart in one way only."""

HeaderRows = Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1)]
"""Numbers of the rows that hold headers; the first row is 1."""

VariableName = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]{0,62}$")]
"""A variable of the household file, or `file_id.variable`."""

SiteId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Misplaced(ValueError):
    """A mistake of a whole document, with the place in it that is to be corrected."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place = place


class Closed(BaseModel):
    """A frozen model that refuses fields it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, str_strip_whitespace=True, use_attribute_docstrings=True
    )


IS_FIXED, IN_COLUMN = "(fixed)", "(column)"
"""Which of two ways a site or a wave is said in; no part of the place of a mistake."""


def _fixed_or_column(value: object) -> str:
    """The way that is meant: a mistake is judged by its rules alone."""
    is_fixed = "fixed" in value if isinstance(value, dict) else hasattr(value, "fixed")
    return IS_FIXED if is_fixed else IN_COLUMN


class Label(Closed):
    """One text in the two languages of the warehouse; the English one stands for a Chinese one that is not given."""

    en: str
    zh: str = ""

    @model_validator(mode="after")
    def _in_english_at_least(self) -> Label:
        if not self.zh:
            object.__setattr__(self, "zh", self.en)
        return self


class MissingReason(StrEnum):
    """Why a value is not there. "Not asked" is not "missing"."""

    NOT_ASKED = "not_asked"
    NOT_APPLICABLE = "not_applicable"
    REFUSED = "refused"
    DONT_KNOW = "dont_know"
    BLANK = "blank"
    OUT_OF_RANGE = "out_of_range"
    NOT_SHARED = "not_shared"


class Status(StrEnum):
    """Verdict on one indicator in one survey and wave."""

    IDENTICAL = "identical"
    COMPATIBLE = "compatible"
    PROXY = "proxy"
    NOT_ASKED = "not_asked"
    UNDETERMINED = "undetermined"


ANSWERED = (Status.IDENTICAL, Status.COMPATIBLE, Status.PROXY)
"""Verdicts that say that there is an answer, from the most comparable down."""


class Rule(StrEnum):
    """How an indicator follows from the answers; the set is closed, `expression` is the escape hatch."""

    DIRECT = "direct"
    RECODE = "recode"
    SCALE = "scale"
    SUM_COMPLETE = "sum_complete"
    SUM_AVAILABLE = "sum_available"
    MEAN = "mean"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    ANY = "any"
    COUNT = "count"
    SELECTED = "selected"
    EXPRESSION = "expression"
    CONSTANT = "constant"
    NOT_ASKED = "not_asked"
    ASKED_NOT_SHARED = "asked_not_shared"
    UNDETERMINED = "undetermined"


VALUELESS_RULES = frozenset({Rule.NOT_ASKED, Rule.ASKED_NOT_SHARED, Rule.UNDETERMINED})
"""Rules that give no value: every household gets a missing reason instead."""

ROSTER_RULES = frozenset(
    {
        *(Rule.SUM_COMPLETE, Rule.SUM_AVAILABLE, Rule.MEAN, Rule.MAX, Rule.ANY, Rule.COUNT),
        *(Rule.FIRST, Rule.LAST, Rule.EXPRESSION),
    }
)
"""Rules that can bring a roster (several rows a household) to one value a household."""


class ColumnType(StrEnum):
    """What a received column holds."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    DATE = "date"
    CODE = "code"
    MULTI = "multi"


class Grain(StrEnum):
    """What one row of a file is."""

    HOUSEHOLD = "household"
    MEMBER = "member"


FieldworkDate = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}){0,2}$")]
"""A year, a month or a day."""


class Wave(Closed):
    """A round of the survey."""

    wave: Identifier
    order: int = Field(ge=0)
    label: Label
    fieldwork: FieldworkDate | None = None
    """When this round was asked. Absent: the `fieldwork` of the survey."""


SIGNIFICANT = 0.05
"""What a p value must be below where one word or one colour has to do."""

BASELINE = "before"
"""A wave of this name was asked before the move, however many others there are."""


def round_of(wave: str, waves: Sequence[str]) -> Literal["first", "between", "latest"]:
    """What lines a wave up across surveys: `latest` is the only wave, the one after the move, the last of many.

    Parameters
    ----------
    wave
        Its name.
    waves
        Names of the waves of its survey in order of time.
    """
    if wave == waves[-1] and wave != BASELINE:
        return "latest"
    return "first" if wave == waves[0] else "between"


class Site(Closed):
    """A resettlement site of the survey; `households` is its population where it is known."""

    site_id: SiteId
    label: Label
    county: str | None = None
    resettlement_mode: str | None = None
    households: int | None = Field(default=None, gt=0)


class Source(Closed):
    """Where a survey comes from and under which terms."""

    citation: str
    licence: str
    accessed: str | None = None
    doi: str | None = None
    published_survey_ids: tuple[str, ...] = ()
    """Rows of the literature's `surveys.csv` that this survey is, or is calibrated on."""


class DelimitedOptions(Closed):
    """CSV or TSV. An absent encoding or delimiter is detected, and the load says what was found."""

    encoding: str | None = None
    delimiter: str | None = None
    header_rows: HeaderRows = (1,)
    skip_rows: tuple[PositiveInt, ...] = ()
    skip_footer_rows: int = Field(default=0, ge=0)


class ExcelOptions(Closed):
    """XLSX, XLS or ODS. Merged header cells are filled to the right; header rows are joined with " / "."""

    sheet: str | None = None
    header_rows: HeaderRows = (1,)
    skip_rows: tuple[PositiveInt, ...] = ()
    skip_footer_rows: int = Field(default=0, ge=0)


class OdkOptions(Closed):
    """ODK or Kobo export; `repeat` names the repeat group (absent: the submissions themselves)."""

    repeat: str | None = None
    language: str | None = None


class StatisticalOptions(Closed):
    """SPSS or Stata; `encoding` is for files that do not say it: Stata before 14, old or portable SPSS."""

    encoding: str | None = None


class NoOptions(Closed):
    """Parquet says everything itself."""


@dataclass(frozen=True)
class Format:
    """A format that files of a survey may have.

    Attributes
    ----------
    reader
        Module of `survey.readers`; imported when a file of the format is read.
    options
        What `options` of a file may say.
    endings
        Of the names of such files.
    content
        Kinds of content that it accepts (`survey.readers.archives.SIGNATURES`); None: no signature is known.
    """

    reader: str
    options: type[Closed]
    endings: tuple[str, ...]
    content: tuple[str | None, ...]


FORMATS: dict[str, Format] = {
    "delimited": Format("delimited", DelimitedOptions, (".csv", ".tsv", ".txt", ".tab"), (None,)),
    "excel": Format("excel", ExcelOptions, (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), ("zip", "ole")),
    "spss": Format("statistical", StatisticalOptions, (".sav", ".zsav", ".por"), ("sav", None)),
    "stata": Format("statistical", StatisticalOptions, (".dta",), ("dta", None)),
    "odk": Format("odk", OdkOptions, (".json", ".csv", ".xlsx"), ("zip", None)),
    "parquet": Format("columnar", NoOptions, (".parquet",), ("parquet",)),
}
"""Every format by its name in survey.yml; the first that an ending fits is the one that a file is taken for."""


def _known_format(name: str) -> str:
    if name in FORMATS:
        return name
    *names, last = map(repr, FORMATS)
    raise PydanticKnownError("literal_error", {"expected": f"{', '.join(names)} or {last}"})


class FixedWave(Closed):
    """Every row of the file belongs to one wave."""

    fixed: Identifier


class WaveColumn(Closed):
    """A column says the wave; `codes` names the code list that turns its answers into wave names."""

    column: Identifier
    codes: Identifier


class SurveyFile(Closed):
    """One table of the survey: a file, a sheet of a workbook or a repeat group of an export."""

    file_id: Identifier
    path: str
    format: Annotated[
        str, AfterValidator(_known_format), WithJsonSchema({"type": "string", "enum": list(FORMATS)})
    ]
    sha256: Sha256 | None = None
    options: DelimitedOptions | ExcelOptions | OdkOptions | StatisticalOptions | NoOptions = NoOptions()
    grain: Grain = Grain.HOUSEHOLD
    household_id: tuple[Identifier, ...] = Field(min_length=1)
    """Variables that together identify the household; several are joined with "-"."""
    fewest_rows: int | None = Field(default=None, ge=1)
    """A file with fewer rows was cut off. Absent: one with far fewer than in the load before, as `gates.yml` says."""
    household_id_form: Literal["as_written", "plain"] = "as_written"
    """`plain`: zeros in front, capitals, a trailing `.0` and the kind of separator do not tell households apart, for
    files of one survey that write the same ids differently."""
    wave: (
        Annotated[
            Annotated[FixedWave, Tag(IS_FIXED)] | Annotated[WaveColumn, Tag(IN_COLUMN)],
            Discriminator(_fixed_or_column),
        ]
        | None
    ) = None
    """Absent: all waves stand side by side in each row (paired columns), or the survey has one wave."""
    split_from: tuple[Identifier, ...] = ()
    """Variables that identify the household of an earlier wave from which this one split off, as `household_id` does;
    blank where it did not."""

    @field_validator("household_id", mode="before")
    @classmethod
    def _named(cls, names: object) -> object:
        if names in (None, "", [], ()):
            raise ValueError("names no variable; name the variable, or variables, that identify a household")
        return [names] if isinstance(names, str) else names

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        if path.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", path) or ":" in path:
            raise ValueError(f"path {path!r} leaves the survey folder; give a path relative to it")
        return path

    @model_validator(mode="before")
    @classmethod
    def _options_of_format(cls, data: object) -> object:
        if not isinstance(data, dict) or not isinstance(data.get("options", {}), dict):
            return data
        known = FORMATS.get(str(data.get("format")))
        kind = known.options if known else NoOptions
        return {**data, "options": kind.model_validate(data.get("options", {}))}


class FixedSite(Closed):
    """All households are of one site: the survey was made at one place, or knows no sites."""

    fixed: SiteId


class SiteColumn(Closed):
    """Which variable names the resettlement site, and the code list that turns answers into site ids."""

    column: Identifier
    codes: Identifier


Numerals = Literal[
    "fullwidth",
    "zh",
    "arabic",
    "persian",
    "devanagari",
    "bengali",
    "tibetan",
    "thai",
    "lao",
    "khmer",
    "burmese",
    "mongolian",
]
"""Digits of other scripts, and `zh` for numbers in Chinese words."""


class Convention(Closed):
    """How the numbers, or with `dates` the days, of a column are written; `columns.csv` names it.

    A cell that is not written so is set aside, whatever else it could mean.
    """

    decimal: Literal[".", ",", "٫"] = "."
    """Sign before the decimals."""
    thousands: Literal[",", ".", " ", "'", "_", "٬"] | None = None
    """Sign between groups of three digits; a blank stands for blanks of every width."""
    grouping: Literal["western", "indian"] = "western"
    """`indian`: groups of two digits above the last three, 12,34,567."""
    prefixes: tuple[str, ...] = ()
    """Words that may stand before a number and say nothing about its size, such as 约."""
    suffixes: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Word behind a number -> factor to the unit of the column: {亩: 1, 公顷: 15, 万: 10000}. A power of ten may stand
    before another word."""
    bare: bool = True
    """Whether a number without a suffix is one in the unit of the column."""
    numerals: Numerals | tuple[Numerals, ...] = ()
    """Scripts in which numbers may be written besides 0 to 9; `zh` also reads 1.2万."""
    dates: tuple[str, ...] = ()
    """Formats of days as in `strptime`, such as "%d/%m/%Y"; a day that two of them read differently is set aside."""

    @field_validator("numerals")
    @classmethod
    def _several(cls, numerals: Numerals | tuple[Numerals, ...]) -> tuple[Numerals, ...]:
        return (numerals,) if isinstance(numerals, str) else numerals

    @model_validator(mode="after")
    def _one_kind(self) -> Convention:
        if self.decimal == self.thousands:
            raise ValueError(f"{self.decimal!r} cannot separate both decimals and thousands")
        if self.dates and self.model_fields_set - {"dates"}:
            raise ValueError("a convention is one for numbers or, with dates, one for days")
        for word in (*self.prefixes, *self.suffixes):
            if not word or word[0].isdigit() or word[-1].isdigit():
                raise ValueError(f"{word!r} can be no word before or behind a number")
            if "zh" in self.numerals and set(word) <= set("零〇一二三四五六七八九十两兩半"):
                raise ValueError(f"{word!r} is a number in Chinese; it cannot follow one as well")
        for how in self.dates:
            if not {"%d", "%m", "%b", "%B", "%j"} & set(re.findall("%-?.", how)):
                raise ValueError(f"{how!r} names no day and month; write it like %d/%m/%Y")
        if not self.bare and not self.suffixes:
            raise ValueError("bare: false needs suffixes")
        return self


class UnitFactor(Closed):
    """Value in `to` = value in `from` * factor, in one wave or in all."""

    from_: str = Field(alias="from", min_length=1)
    to: str = Field(min_length=1)
    factor: float = Field(gt=0, allow_inf_nan=False)
    wave: Identifier | None = None
    note: str = Field(min_length=1)
    """Where the factor is from: a definition, or the source and date of a rate."""


class Sampling(Closed):
    """How the households of a wave were drawn. A name is a variable; answers of several are joined with "-"."""

    weight: VariableName | None = None
    """Number of households that a questionnaire stands for."""
    stratum: VariableName | tuple[VariableName, ...] | None = None
    """Absent: the sample was not stratified."""
    sampling_unit: VariableName | tuple[VariableName, ...] | None = None
    """What was drawn first within a stratum, such as a village or a census block. Absent: the site."""
    population_units: PositiveInt | VariableName | dict[str, PositiveInt] | None = None
    """Sampling units that the stratum has in the population, for the finite population correction: a number, a
    variable, or a number for each stratum. Absent: many more than were drawn."""
    unit_households: PositiveInt | VariableName | None = None
    """Households that live in the sampling unit. Absent: the `households` of the site where the site is the unit."""

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Variables by the field that names them."""
        given = {name: getattr(self, name) for name in Sampling.model_fields}
        listed = {name: (value,) if isinstance(value, str) else value for name, value in given.items()}
        return {name: value for name, value in listed.items() if isinstance(value, tuple) and value}


class Design(Sampling):
    """How the households were drawn; `waves` says what differs in a wave, null what it does not have."""

    waves: dict[Identifier, Sampling] = Field(default_factory=dict)


class Coarsening(Closed):
    """How an indicator is made coarser in the published rows of households; results are computed before."""

    indicator: Identifier
    width: float | None = Field(default=None, gt=0)
    """Numbers are published as the lower end of their interval of this width, counted from 0."""
    at_most: float | None = None
    """Larger numbers are published as this one."""
    codes: dict[str, str] = Field(default_factory=dict)
    """Code -> code that is published instead."""


class Disclosure(Closed):
    """What a real survey publishes of its households; where it says nothing, the fewest columns are withheld."""

    withhold: tuple[Identifier, ...] = ()
    """Indicators whose answers are published of no single household."""
    coarsen: tuple[Coarsening, ...] = ()


class Survey(Closed):
    """`survey.yml`: who was asked what, when, and which files hold the answers."""

    survey_id: Identifier
    region: Identifier
    region_label: Label
    title: Label
    place: Label
    fieldwork: FieldworkDate
    is_synthetic: bool
    source: Source
    waves: tuple[Wave, ...] = Field(min_length=1)
    site: Annotated[
        Annotated[SiteColumn, Tag(IN_COLUMN)] | Annotated[FixedSite, Tag(IS_FIXED)],
        Discriminator(_fixed_or_column),
    ]
    sites: tuple[Site, ...] = Field(min_length=1)
    files: tuple[SurveyFile, ...] = Field(min_length=1)
    sampling_weight: Identifier | None = None
    """Variable with the number of households a questionnaire stands for, in all waves; `design` says more. Absent:
    derived from the sites' `households` where all sites have one, else every questionnaire counts once."""
    design: Design = Design()
    missing_weight: Literal["refuse", "set_aside"] = "refuse"
    """A household without a sampling weight refuses the survey, or is set aside by the rule missing_weight."""
    largest_share_set_aside: float | None = Field(default=None, ge=0, le=1)
    """Share of rows, or of the answers of a column, that one rule may set aside; the catalog's where absent."""
    largest_share_lost: float | None = Field(default=None, ge=0, le=1)
    """Share of the households of a wave that may be missing from the next one; the catalog's where absent, 1 where each
    wave asked other households."""
    disclosure: Disclosure = Disclosure()
    units: tuple[UnitFactor, ...] = ()
    """Conversions that hold for this survey: local units, and currencies at the rate of a wave. They go before those
    of the catalog."""
    conventions: dict[Identifier, Convention] = Field(default_factory=dict)
    """Ways of writing numbers and days that columns of this survey follow."""

    @model_validator(mode="after")
    def _names_agree(self) -> Survey:
        for what, section, key in (
            ("wave", "waves", "wave"),
            ("wave order", "waves", "order"),
            ("site_id", "sites", "site_id"),
            ("file_id", "files", "file_id"),
        ):
            names = [str(getattr(entry, key)) for entry in getattr(self, section)]
            for i, name in enumerate(names):
                if name in names[:i]:
                    raise Misplaced(f"{what} given twice: {name}", section, i, key)
        waves = {w.wave for w in self.waves}
        for i, file in enumerate(self.files):
            if isinstance(file.wave, FixedWave) and file.wave.fixed not in waves:
                message = f"file {file.file_id}: wave {file.wave.fixed!r} is not one of {sorted(waves)}"
                raise Misplaced(message, "files", i, "wave", "fixed")
        if not any(f.grain is Grain.HOUSEHOLD for f in self.files):
            raise Misplaced("no file has grain: household", "files")
        if isinstance(self.site, FixedSite) and self.site.fixed not in {s.site_id for s in self.sites}:
            raise Misplaced(f"site {self.site.fixed!r} is not one of the sites", "site", "fixed")
        for i, unit in enumerate(self.units):
            if unit.wave is not None and unit.wave not in waves:
                raise Misplaced(f"wave {unit.wave!r} is not one of {sorted(waves)}", "units", i, "wave")
            if (unit.from_, unit.to, unit.wave) in {(u.from_, u.to, u.wave) for u in self.units[:i]}:
                raise Misplaced(f"{unit.from_} to {unit.to} is given twice", "units", i)
        if self.sampling_weight and self.design.weight:
            raise Misplaced("the weight is given twice; leave sampling_weight out", "design", "weight")
        for wave in self.design.waves:
            if wave not in waves:
                raise Misplaced(f"wave {wave!r} is not one of {sorted(waves)}", "design", "waves", wave)
        for wave in waves:
            sampling = self.sampling(wave)
            if isinstance(sampling.population_units, dict) and not sampling.stratum:
                message = f"wave {wave}: population_units by stratum, but no stratum is named"
                raise Misplaced(message, "design", "population_units")
        return self

    def sampling(self, wave: str) -> Sampling:
        """How the households of a wave were drawn."""
        general = self.design.model_dump(exclude={"waves"}) | {
            "weight": self.design.weight or self.sampling_weight
        }
        special = self.design.waves.get(wave, Sampling()).model_dump(exclude_unset=True)
        return Sampling.model_validate(general | special)

    def fieldwork_of(self, wave: str) -> str:
        """When a wave was asked."""
        return next(w.fieldwork for w in self.waves if w.wave == wave) or self.fieldwork

    def household_files(self, wave: str) -> tuple[SurveyFile, ...]:
        """Files with one row per household that cover `wave`; the first one defines which households exist."""
        return tuple(f for f in self.files if f.grain is Grain.HOUSEHOLD and _speaks_of(f, wave))

    def base_file(self, wave: str) -> SurveyFile:
        """File that says which households were interviewed in `wave`, and at which site."""
        return self.household_files(wave)[0]

    def roster_files(self, wave: str) -> tuple[SurveyFile, ...]:
        """Files with several rows per household that cover `wave`."""
        return tuple(f for f in self.files if f.grain is Grain.MEMBER and _speaks_of(f, wave))


def _speaks_of(file: SurveyFile, wave: str) -> bool:
    return not isinstance(file.wave, FixedWave) or file.wave.fixed == wave


class Column(Closed):
    """A row of `columns.csv`: one received column, under its short name or with the reason it is not used."""

    file_id: Identifier
    column: str = Field(min_length=1)
    """The header exactly as it arrives. In a row that is not used, * stands for any characters, `q3_*` for a block of
    questions; a row with the whole header goes first."""
    variable: Identifier | None = None
    type: ColumnType | None = None
    minimum: float | None = None
    maximum: float | None = None
    codes: tuple[Identifier, ...] = ()
    """Code lists that together name every answer allowed, missing codes included."""
    convention: Identifier | None = None
    """How its numbers or days are written, from `conventions` of `survey.yml`. Absent: 1234.5, and days year first."""
    is_personal: bool = False
    """A direct identifier: stays in landing and never goes further."""
    ignore_reason: str | None = None
    label: str | None = None

    @model_validator(mode="after")
    def _used_or_ignored(self) -> Column:
        if (self.variable is None) == (self.ignore_reason is None):
            raise ValueError(
                f"column {self.column!r} needs either a variable (to be used) or an ignore_reason (not to be)"
            )
        if self.variable is not None and self.type is None:
            raise ValueError(f"column {self.column!r} has a variable but no type")
        if self.is_personal and self.variable is not None:
            raise ValueError(f"column {self.column!r} is personal: give an ignore_reason, not a variable")
        if self.type in (ColumnType.CODE, ColumnType.MULTI) and not self.codes:
            raise ValueError(f"column {self.column!r} is of type {self.type}: name its list in `codes`")
        limits = (self.minimum, self.maximum) != (None, None)
        if limits and self.variable is not None and self.type not in (ColumnType.NUMBER, ColumnType.INTEGER):
            raise ValueError(
                f"column {self.column!r} is of type {self.type}; a minimum and a maximum are for numbers"
            )
        if self.convention and self.type not in (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.DATE):
            raise ValueError(
                f"column {self.column!r} is of type {self.type}; a convention is for numbers and days"
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column {self.column!r}: minimum {self.minimum} > maximum {self.maximum}")
        return self

    @property
    def is_block(self) -> bool:
        """Whether the row may stand for several columns that are not used."""
        return self.variable is None and "*" in self.column

    def holds(self, header: str) -> bool:
        """Whether a block of columns holds one of this header."""
        parts = map(re.escape, self.column.split("*"))
        return self.is_block and re.fullmatch(".*".join(parts), header, re.DOTALL) is not None


class Code(Closed):
    """A row of `codes.csv`: one answer as received and what it means."""

    list: Identifier
    code: str
    """As received. For numbers a range "19..45" (both ends included, either end may be absent) is allowed."""
    value: str | None = None
    """Harmonised value: a number, or a code of the catalog."""
    missing_reason: MissingReason | None = None
    label_en: str = ""
    label_zh: str = ""

    @model_validator(mode="after")
    def _value_or_reason(self) -> Code:
        if (self.value is None) == (self.missing_reason is None):
            raise ValueError(
                f"code {self.code!r} of list {self.list}: give either a value or a missing_reason"
            )
        low, high = self.bounds or (None, None)
        if low is not None and high is not None and low > high:
            raise ValueError(f"code {self.code!r} of list {self.list}: the range ends before it begins")
        return self

    @property
    def bounds(self) -> tuple[float | None, float | None] | None:
        """Ends of a range code, or None for a plain code."""
        match = re.fullmatch(r"(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?", self.code)
        if match is None or match.group(0) == "..":
            return None
        low, high = match.groups()
        return (float(low) if low else None, float(high) if high else None)

    @property
    def bounds_or_code(self) -> str | tuple[float, float]:
        """A range with infinite open ends, or the code."""
        if self.bounds is None:
            return self.code
        low, high = self.bounds
        return (-math.inf if low is None else low, math.inf if high is None else high)

    @property
    def meaning(self) -> str:
        """What it stands for, in words."""
        return (
            f"the answer {self.value!r}"
            if self.missing_reason is None
            else f"missing ({self.missing_reason})"
        )

    def touches(self, other: Code) -> bool:
        """Whether two ranges share an end and nothing else."""
        mine, its = _ends(self.bounds_or_code), _ends(other.bounds_or_code)
        are_ranges = self.bounds is not None and other.bounds is not None
        return (
            are_ranges and mine is not None and its is not None and (mine[1] == its[0] or its[1] == mine[0])
        )

    def overlaps(self, declared: str | tuple[float, float]) -> bool:
        """Whether an answer or range that a file declares is, or shares numbers with, this code."""
        if declared == self.code:
            return True
        mine, other = _ends(self.bounds_or_code), _ends(declared)
        return mine is not None and other is not None and mine[0] <= other[1] and other[0] <= mine[1]


def _ends(item: str | tuple[float, float]) -> tuple[float, float] | None:
    """A range, or a number as a range of one; None for words."""
    number = as_number(item) if isinstance(item, str) else None
    return item if isinstance(item, tuple) else None if number is None else (number, number)


def as_number(text: str) -> float | None:
    """A code as a number; None for words."""
    try:
        return float(text)
    except ValueError:
        return None


class Correction(Closed):
    """A row of `corrections.csv`: a known error of the source, mended only while it is still there."""

    file_id: Identifier
    household_id: str
    variable: Identifier
    expect: str
    """The wrong value as received; if it is gone, the load is refused and the row must be removed."""
    replacement: str
    reason: str = Field(min_length=1)
    status: Literal["confirmed", "reported", "assumed"]


WAVE_NAME = "{wave}"
"""Stands in a crosswalk for the name of the wave."""


class CrosswalkRow(Closed):
    """A row of `crosswalk.csv`: how one indicator of the catalog is answered in one wave of this survey."""

    wave: str = Field(pattern=r"^(\*|[a-z][a-z0-9_]*)$")
    """A wave, or * for all."""
    indicator_id: Identifier
    rule: Rule
    sources: tuple[str, ...] = ()
    """Variables; `file_id.variable` where the file is not the household file of the wave. {wave} stands for the name
    of the wave: `income_{wave}` in a row for all waves."""
    codes: Identifier | None = None
    """Code list for `recode`."""
    unit: str | None = None
    """Unit as asked, where it is not the catalog's; the catalog's units say the factor."""
    parameters: str | None = None
    """`scale`: "slope=-1 intercept=6"; `selected`: the code; `constant`: the value; `expression`: the SQL; `count` over
    a roster: "absent=0" where a household without a row has none, not an unknown number; `first` and `last` of a
    roster: "order=" and a variable."""
    where: str | None = None
    """Which rows of a roster count: a condition on its variables, such as "relation = 1 and age >= 15"."""
    status: Status
    evidence: str = ""
    evidence_zh: str = ""
    """The same in Chinese, for readers of Chinese; where it is empty they get `evidence` as a quotation."""
    note: str = ""
    note_zh: str = ""

    @field_validator("sources")
    @classmethod
    def _source_names(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            plain = source.replace(WAVE_NAME, "w")
            if not re.fullmatch(r"([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*", plain):
                raise ValueError(f"source {source!r} is not a variable name or file_id.variable")
        return sources

    @model_validator(mode="after")
    def _rule_is_complete(self) -> CrosswalkRow:
        if self.rule in VALUELESS_RULES:
            if self.sources or self.codes or self.unit or self.parameters or self.where:
                raise ValueError(f"rule {self.rule} takes no sources, codes, unit, parameters or where")
        elif self.rule is not Rule.CONSTANT and not self.sources:
            raise ValueError(f"rule {self.rule} needs sources")
        if self.rule in (Rule.DIRECT, Rule.RECODE, Rule.SCALE, Rule.SELECTED) and len(self.sources) > 1:
            raise ValueError(f"rule {self.rule} takes one source, not {len(self.sources)}")
        if self.rule is Rule.RECODE and self.codes is None:
            raise ValueError("rule recode needs a code list in `codes`")
        if self.rule in (Rule.SELECTED, Rule.CONSTANT, Rule.EXPRESSION) and not self.parameters:
            raise ValueError(f"rule {self.rule} needs parameters")
        if self.rule is Rule.SCALE and not (self.parameters or self.unit):
            raise ValueError("rule scale needs parameters (slope, intercept) or a unit")
        if (self.rule is Rule.NOT_ASKED) != (self.status is Status.NOT_ASKED):
            raise ValueError("rule not_asked and status not_asked go together")
        if (self.rule is Rule.UNDETERMINED) != (self.status is Status.UNDETERMINED):
            raise ValueError("rule undetermined and status undetermined go together")
        if self.status is not Status.UNDETERMINED and not self.evidence:
            raise ValueError(f"status {self.status} needs evidence: question, page or section that shows it")
        return self

    def in_wave(self, wave: str) -> CrosswalkRow:
        """The row with the name of a wave where it says {wave}."""
        fields: dict[str, object] = {"sources": tuple(s.replace(WAVE_NAME, wave) for s in self.sources)}
        for name in ("parameters", "where"):
            if text := getattr(self, name):
                fields[name] = text.replace(WAVE_NAME, wave)
        return self.model_copy(update=fields)

    @property
    def order(self) -> str | None:
        """Variable by which the rows of a roster are ordered; None: as they stand in the file."""
        if self.rule in (Rule.FIRST, Rule.LAST) and self.parameters:
            return self.parameters.removeprefix("order=").strip()
        return None

    @property
    def conditions(self) -> frozenset[str]:
        """Words of `where`, among them its variables, and the variable of the order."""
        unquoted = re.sub(r"'(?:[^']|'')*'", " ", self.where or "")
        words = set(re.findall(r"[a-z_][a-z0-9_]*", unquoted))
        return frozenset(words | ({self.order} if self.order else set()))
