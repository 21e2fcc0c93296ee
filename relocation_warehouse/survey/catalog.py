"""The catalog: what is measured, how it is named, and which options the statistics take.

Belongs here: the meaning of every field of the YAML files in `data/catalog`, as types that refuse anything
else, the checks between them, and the catalog as tables.
Does not belong here: what a survey asked (`vocabulary`, `folder`), printed figures (`literature`), how the
published tables look (`tables.yml`), any computation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import pyarrow as pa
from pydantic import Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML

from relocation_warehouse.survey.documents import YAMLError, read_yaml
from relocation_warehouse.survey.problems import Problem
from relocation_warehouse.survey.vocabulary import Closed, Identifier

PublishedSurveyId = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}_[A-Z]+$")]
"""A row of the literature's `surveys.csv`."""

Share = Annotated[float, Field(ge=0, le=1)]

Path_ = tuple[str | int, ...]
"""Place in a YAML document: keys and positions from the top."""

FILES = (
    "dimensions.yml",
    "indicators.yml",
    "codes.yml",
    "units.yml",
    "gates.yml",
    "bands.yml",
    "weights.yml",
    "coupling.yml",
    "metrics.yml",
    "factor_models.yml",
    "models.yml",
    "replication.yml",
    "welfare.yml",
)
"""Files that together make the catalog; each is a mapping of fields of `Catalog`."""

WEIGHT_TOLERANCE = 1e-9


class CatalogError(ValueError):
    """A catalog that cannot be used; carries every problem found, with file and line."""

    def __init__(self, folder: Path, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line or 0, p.message)))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"catalog {folder.name} has {len(self.problems)} problem(s):\n{lines}")


class Labelled(Closed):
    """Anything that people see by name."""

    label_en: str = Field(min_length=1)
    label_zh: str = Field(min_length=1)


class System(Labelled):
    """A group of dimensions."""

    id: Identifier


class Dimension(Labelled):
    """A group of indicators within a system."""

    id: Identifier
    system: Identifier


class Indicator(Labelled):
    """One thing the warehouse measures about a household in a wave.

    `minimum` and `maximum` are theoretical ends in `unit`; None is open.
    """

    id: Identifier
    system: Identifier
    dimension: Identifier
    definition_en: str = Field(min_length=1)
    definition_zh: str | None = Field(default=None, min_length=1)
    type: Literal["number", "count", "ordinal", "binary", "category"]
    unit: str | None
    direction: Literal["benefit", "cost", "neutral"]
    minimum: float | None
    maximum: float | None
    code_list: Identifier | None
    sensitive: bool

    @model_validator(mode="after")
    def _type_is_complete(self) -> Indicator:
        if self.type in ("category", "ordinal", "binary") and self.code_list is None:
            raise ValueError(f"an indicator of type {self.type} needs a code_list")
        if self.type in ("ordinal", "binary") and (self.minimum is None or self.maximum is None):
            raise ValueError(f"an indicator of type {self.type} needs a minimum and a maximum")
        if (self.unit is None) != (self.type == "category"):
            raise ValueError("a category has no unit, every other type has one")
        if self.type == "category" and (self.minimum is not None or self.maximum is not None):
            raise ValueError("a category has no minimum or maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum >= self.maximum:
            raise ValueError(f"minimum {self.minimum} is not below maximum {self.maximum}")
        return self

    @property
    def is_numeric(self) -> bool:
        """Stored as a number (everything but a category)."""
        return self.type != "category"


class CanonicalCode(Labelled):
    """One code of a list: a whole number where the indicator is scored, a word where it is a category."""

    code: str


class UnitConversion(Closed):
    """Value in `to` = value in `from` * factor; `year` where the factor holds for one year only."""

    from_: str = Field(alias="from")
    to: str
    factor: float = Field(gt=0)
    note: str
    note_zh: str
    year: int | None = None


class Gates(Closed):
    """Limits of what is accepted and published."""

    largest_share_set_aside: Share
    """Of the rows of a file, or the answers of a column; more that one rule sets aside refuses the survey."""
    largest_share_lost: Share
    """Of the households of a wave that the next one does not have; more refuses the survey."""
    largest_share_fewer: Share
    """Of the rows of a file in the load before, that the file has no more; more refuses the survey."""
    fewest_alike: int = Field(ge=2)
    """Households of a real survey that share their site and published quasi-identifiers."""
    largest_magnitude: float = Field(gt=0)
    """Of a number about a household, in any unit."""
    fewest_test_units: int = Field(ge=2)
    """Sampling units on each side of a test between regions."""
    fewest_test_df: float = Field(ge=1)
    """Degrees of freedom of a test of coefficients."""
    fewest_bootstrap_units: int = Field(ge=3)
    """Sampling units behind a p value of the wild bootstrap of a panel model."""
    fewest_index_units: int = Field(ge=2)
    """Sampling units behind an interval of an index of inequality."""
    fewest_pooled_regions: int = Field(ge=2)
    """Regions behind a p value of random effects."""
    fewest_pooled_df: float = Field(ge=1)
    """Degrees of freedom of the error within each of them, which random effects count as known."""
    equivalence_margin_sd: float = Field(gt=0)
    """Difference that counts as none, in standard deviations of the households of both regions."""
    largest_cfi_fall: float = Field(gt=0)
    """That equality of loadings or intercepts over surveys may cost in the comparative fit index."""
    largest_rmsea_rise: float = Field(gt=0)
    """The same in the root mean square error of approximation."""


class Band(Labelled):
    """A named interval."""

    id: Identifier
    lower: float
    upper: float


class BandScheme(Labelled):
    """Contiguous bands; `closed` is the end that belongs to a band."""

    id: Identifier
    closed: Literal["left", "right"]
    is_inferred: bool
    source: str
    bands: tuple[Band, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _contiguous(self) -> BandScheme:
        for band in self.bands:
            if band.lower >= band.upper:
                raise ValueError(f"band {band.id}: lower {band.lower} is not below upper {band.upper}")
        for one, two in zip(self.bands, self.bands[1:], strict=False):
            if one.upper != two.lower:
                raise ValueError(f"bands {one.id} and {two.id} do not meet: {one.upper} and {two.lower}")
        return self


class WeightScheme(Labelled):
    """How indicators are weighted within their dimension and the dimensions in the total."""

    id: Identifier
    kind: Literal["equal", "given", "entropy", "critic", "pca"]
    bounds: Literal["pooled", "theoretical", "within_survey"]
    is_default: bool = False
    published_survey_ids: tuple[PublishedSurveyId, ...] = ()
    source: str
    members_of: Identifier | None = None
    dimension_weights: dict[Identifier, float] = Field(default_factory=dict)
    dimensions: dict[Identifier, dict[Identifier, Share | None]] = Field(default_factory=dict)
    """Dimension -> indicator -> weight; None takes an equal share of what the given weights leave."""

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> WeightScheme:
        if (self.members_of is None) != bool(self.dimensions):
            raise ValueError("give either dimensions or members_of")
        if self.dimension_weights and abs(sum(self.dimension_weights.values()) - 1) > WEIGHT_TOLERANCE:
            raise ValueError(f"dimension_weights sum to {sum(self.dimension_weights.values()):g}, not 1")
        unknown = set(self.dimension_weights) - set(self.dimensions)
        if unknown:
            raise ValueError(f"dimension_weights name {sorted(unknown)}, which have no members")
        for dimension in self.dimensions:
            total = sum(self.weights(dimension).values())
            if abs(total - 1) > WEIGHT_TOLERANCE:
                raise ValueError(f"weights of {dimension} sum to {total:g}, not 1")
        return self

    def weights(self, dimension: str) -> dict[str, float]:
        """Indicator -> weight of a dimension, equal shares filled in.

        Raises
        ------
        KeyError
            The scheme has no such dimension.
        """
        given = self.dimensions[dimension]
        n_open = sum(weight is None for weight in given.values())
        rest = 1 - sum(weight for weight in given.values() if weight is not None)
        return {i: rest / n_open if weight is None else weight for i, weight in given.items()}


class CoupledSystem(Closed):
    """A metric that takes part in the coupling, with its share in T."""

    metric: Identifier
    alpha: float = Field(gt=0, le=1)


class PairedSystem(Labelled):
    """A system of a pair: the weighted mean of dimensions; None takes an equal share of what the others leave."""

    id: Identifier
    alpha: float = Field(gt=0, le=1)
    dimensions: dict[Identifier, Share | None] = Field(min_length=1)

    @property
    def weights(self) -> dict[str, float]:
        """Dimension -> weight, equal shares filled in."""
        n_open = sum(weight is None for weight in self.dimensions.values())
        rest = 1 - sum(weight for weight in self.dimensions.values() if weight is not None)
        return {d: rest / n_open if weight is None else weight for d, weight in self.dimensions.items()}


class CoupledPair(Labelled):
    """Two or more systems whose coordination is measured together."""

    id: Identifier
    source: str = Field(min_length=1)
    least_share: float = Field(gt=0, le=1)
    systems: tuple[PairedSystem, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _is_whole(self) -> CoupledPair:
        total = sum(s.alpha for s in self.systems)
        if abs(total - 1) > WEIGHT_TOLERANCE:
            raise ValueError(f"alphas of {self.id} sum to {total:g}, not 1")
        for system in self.systems:
            total = sum(system.weights.values())
            if abs(total - 1) > WEIGHT_TOLERANCE:
                raise ValueError(f"weights of {system.id} sum to {total:g}, not 1")
        listed = [d for system in self.systems for d in system.dimensions]
        if twice := sorted({d for d in listed if listed.count(d) > 1}):
            raise ValueError(
                f"{', '.join(twice)} would be coupled with itself: it is in two systems of {self.id}"
            )
        return self


class CouplingVariant(Labelled):
    """A formula for the coupling degree."""

    id: Identifier
    is_default: bool
    formula: str
    source: str


class Coupling(Closed):
    """Which systems are coupled and how the result is measured and named."""

    systems: tuple[CoupledSystem, ...] = Field(min_length=2)
    band_scheme: Identifier
    pairs: tuple[CoupledPair, ...] = ()
    variants: tuple[CouplingVariant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_default(self) -> Coupling:
        if abs(sum(s.alpha for s in self.systems) - 1) > WEIGHT_TOLERANCE:
            raise ValueError(f"alphas sum to {sum(s.alpha for s in self.systems):g}, not 1")
        if sum(v.is_default for v in self.variants) != 1:
            raise ValueError("exactly one variant must have is_default: true")
        return self

    @property
    def default_variant(self) -> str:
        """Id of the variant the marts show."""
        return next(v.id for v in self.variants if v.is_default)


class Metric(Labelled):
    """A measure that marts and comparisons report."""

    id: Identifier
    unit: str
    grain: Literal["household", "survey", "place"]
    table: str = Field(pattern=r"^[a-z]+\.[a-z_]+$")
    column: Identifier
    filters: dict[Identifier, str] = Field(default_factory=dict)
    """Column -> value of the rows meant, where the table holds several options side by side."""
    dimension: Identifier | None = None
    """The dimension that the metric is the index of."""
    direction: Literal["benefit", "cost", "neutral"]
    formula: str
    comparability: str
    formula_zh: str | None = Field(default=None, min_length=1)
    comparability_zh: str | None = Field(default=None, min_length=1)


class Item(Closed):
    """An indicator in a scale; a reversed 1-5 answer x counts as 6 - x."""

    indicator: Identifier
    reverse: bool


class Factor(Labelled):
    """A rotated component and what it is called here and in print."""

    id: Identifier
    dimension: Identifier
    metric: Identifier
    published_name: str


class Composite(Closed):
    """The factors that enter the composite score."""

    metric: Identifier
    published_name: str
    factors: tuple[Identifier, ...] = Field(min_length=1)
    rescale: Literal["weight_then_rescale", "rescale_then_weight"]
    source: str


class FactorModel(Labelled):
    """A factor analysis of a set of items."""

    id: Identifier
    published_survey_ids: tuple[PublishedSurveyId, ...]
    source: str
    items: tuple[Item, ...] = Field(min_length=3)
    missing_policy: Literal["listwise", "mean"]
    extraction: Literal["principal_components"]
    n_factors: int | None = Field(gt=0)
    """None keeps the components with an eigenvalue above 1."""
    rotation: Literal["varimax_kaiser"]
    scores: Literal["regression"]
    factors: tuple[Factor, ...]
    composite: Composite

    @model_validator(mode="after")
    def _factors_agree(self) -> FactorModel:
        if self.n_factors is not None and len(self.factors) != self.n_factors:
            raise ValueError(f"n_factors is {self.n_factors} but {len(self.factors)} factors are named")
        unknown = set(self.composite.factors) - {f.id for f in self.factors}
        if unknown:
            raise ValueError(f"composite names unknown factors {sorted(unknown)}")
        return self


class Scale(Labelled):
    """Items whose reliability is reported: its own, or those of a factor model."""

    id: Identifier
    published_survey_ids: tuple[PublishedSurveyId, ...]
    factor_model: Identifier | None = None
    items: tuple[Item, ...] = ()

    @model_validator(mode="after")
    def _items_or_model(self) -> Scale:
        if (self.factor_model is None) != bool(self.items):
            raise ValueError("give either items or factor_model")
        return self


class Regressor(Closed):
    """A right-hand side variable: one column, or one dummy for each code but the reference."""

    indicator: Identifier | None = None
    metric: Identifier | None = None
    kind: Literal["numeric", "dummies"]
    normalise: Literal["none", "min_max"] = "none"
    reference: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Regressor:
        if (self.indicator is None) == (self.metric is None):
            raise ValueError("give either an indicator or a metric")
        if (self.kind == "dummies") != (self.reference is not None):
            raise ValueError("dummies need a reference code, a numeric regressor has none")
        return self

    @property
    def name(self) -> str:
        """Id of the indicator or metric."""
        return self.indicator or self.metric or ""


class Model(Labelled):
    """A regression specification; no `published_survey_ids` means every survey that asked all regressors."""

    id: Identifier
    published_survey_ids: tuple[PublishedSurveyId, ...]
    dependent: Identifier
    wave: str
    sample: dict[Identifier, str]
    """Indicator -> code that a household must have."""
    regressors: tuple[Identifier, ...] = Field(min_length=1)
    """Names of regressor sets."""
    reported_coefficient: Literal["b", "beta"]
    missing: Literal["listwise", "mean", "reference_category"]
    covariance: Literal["ols", "hc1", "hc3", "cr1", "cr2"]
    interact_with: Literal["region"] | None
    source: str
    outcome: Literal["ordered", "fractional"] | None = None
    """Kind of a dependent with bounds, which is fitted by a logit model too; ordered is of five-point answers."""
    outcome_upper: float = Field(default=1.0, gt=0)
    """Upper end of a fractional dependent, whose lower end is 0."""


class PanelSpec(Labelled):
    """A model with an effect for each household, for surveys with several waves that asked its regressors in all."""

    id: Identifier
    dependent: Identifier
    regressors: tuple[Identifier, ...]
    """Names of regressor sets; their regressors are numbers."""


Option: TypeAlias = (
    BandScheme | WeightScheme | CouplingVariant | CoupledPair | FactorModel | Scale | Model | PanelSpec
)
"""A choice or model that people see by name and tables by id."""


class PublishedTerms(Closed):
    """Printed names of models and variables -> ids of models and terms."""

    published_survey_id: PublishedSurveyId
    models: dict[str, Identifier]
    terms: dict[str, str]


Kind = Literal[
    "indicator_mean",
    "indicator_sd",
    "oriented_mean",
    "oriented_sd",
    "min_max_mean",
    "min_max_sd",
    "dimension_item_mean",
    "code_n",
    "code_percent",
    "respondents_n",
    "respondents_percent",
    "site_households_n",
    "sampling_percent",
    "metric_mean",
    "metric_sd",
    "band_percent",
    "change_sign",
    "alpha",
    "kmo",
    "bartlett",
    "bartlett_p",
    "factors_n",
    "loading",
    "communality",
    "explained_percent",
    "factor_score_mean",
    "coefficient",
    "stars",
    "coefficient_sign",
    "p_threshold",
    "response_percent",
    "model_f",
    "model_f_stars",
    "model_adj_r2",
    "model_n",
]
"""What kind of warehouse figure a printed statistic is compared with; replication.yml explains each."""


class ReplicationRule(Closed):
    """Which printed statistics are compared with which figure, or why with none; absent conditions match."""

    survey: PublishedSurveyId | None = None
    wave: tuple[str, ...] = ()
    quality: tuple[str, ...] = ()
    statistics: tuple[str, ...] | dict[str, Kind] = ()
    variables: tuple[str, ...] = ()
    targets: dict[str, str] = Field(default_factory=dict)
    target_from: Literal["terms", "variable"] | None = None
    factor_from: Literal["variable", "dependent"] | None = None
    kind: Kind | None = None
    multiplier: float = 1.0
    note: str | None = None
    note_zh: str | None = None
    reason: str | None = None
    reason_zh: str | None = None

    @model_validator(mode="after")
    def _kind_or_reason(self) -> ReplicationRule:
        gives_kind = isinstance(self.statistics, dict) or self.kind is not None
        if gives_kind == (self.reason is not None):
            raise ValueError("a rule gives either a kind (of each statistic) or a reason")
        if isinstance(self.statistics, dict) and self.kind is not None:
            raise ValueError("give the kind once: by statistic or for the rule")
        if self.targets and (self.variables or self.target_from):
            raise ValueError("targets already name the variables")
        return self

    def matches(self, *, survey: str, wave: str, quality: str, statistic: str, variable: str) -> bool:
        """Whether the rule applies to a printed statistic."""
        names = self.targets or self.variables
        return (
            self.survey in (None, survey)
            and (not self.wave or wave in self.wave)
            and (not self.quality or quality in self.quality)
            and (not self.statistics or statistic in self.statistics)
            and (not names or variable in names)
        )


class Replication(Closed):
    """How printed statistics join to figures of the warehouse."""

    groups: dict[PublishedSurveyId, dict[str, dict[Identifier, str]]]
    waves: dict[PublishedSurveyId, dict[str, str]]
    factor_models: dict[PublishedSurveyId, Identifier]
    tolerances: dict[Kind, float] = Field(default_factory=dict)
    """What calibrated figures may differ by, before any multiplier; rounding where a kind has none."""
    rules: tuple[ReplicationRule, ...]


class PovertyDimension(Labelled):
    """A way of being poor, of equal weight with the others."""

    id: Identifier
    indicators: dict[Identifier, float] = Field(min_length=1)
    """Indicator -> threshold: a household below is deprived. Of equal weight within the dimension."""


class PovertyMeasure(Labelled):
    """Poverty in several dimensions at once."""

    id: Identifier
    cutoff: float = Field(gt=0, le=1)
    """Weighted share of deprivations from which a household is poor."""
    dimensions: tuple[PovertyDimension, ...] = Field(min_length=1)


class Stuck(Closed):
    """When a household of a panel does not get on."""

    metric: Identifier
    below: float
    """In the first and the last wave."""
    groups: tuple[Identifier, ...]
    """Categories by which it is broken down."""
    obstacles: int = Field(ge=1)
    """How many of the largest obstacles of those who are stuck are named."""


class Welfare(Closed):
    """Questions of policy."""

    price_year: int
    """Amounts are compared in yuan of this year."""
    price_changes: dict[int, float]
    """Year -> consumer prices where the year before has 100."""
    amounts: tuple[Identifier, ...]
    """Indicators whose inequality is measured."""
    poverty_measures: tuple[PovertyMeasure, ...]
    stuck: Stuck


class Catalog(Closed):
    """All of `data/catalog`, cross-checked."""

    systems: tuple[System, ...]
    dimensions: tuple[Dimension, ...]
    indicators: tuple[Indicator, ...]
    code_lists: dict[Identifier, tuple[CanonicalCode, ...]]
    units: tuple[UnitConversion, ...]
    gates: Gates
    band_schemes: tuple[BandScheme, ...]
    minimum_answered_share: float = Field(gt=0, le=1)
    """Share of the asked weight of a composite that a household must have answered."""
    weight_schemes: tuple[WeightScheme, ...]
    coupling: Coupling
    metrics: tuple[Metric, ...]
    factor_models: tuple[FactorModel, ...]
    scales: tuple[Scale, ...]
    regressor_sets: dict[Identifier, tuple[Regressor, ...]]
    models: tuple[Model, ...]
    panel_models: tuple[PanelSpec, ...] = ()
    published_terms: tuple[PublishedTerms, ...]
    replication: Replication
    welfare: Welfare

    @cached_property
    def indicator(self) -> Mapping[str, Indicator]:
        """Indicators by id."""
        return {i.id: i for i in self.indicators}

    @cached_property
    def metric(self) -> Mapping[str, Metric]:
        """Metrics by id."""
        return {m.id: m for m in self.metrics}

    @property
    def options(self) -> Mapping[str, Sequence[Option]]:
        """Options of method and models that have a name, by the column that says which one was taken."""
        return {
            "scheme": self.weight_schemes,
            "variant": self.coupling.variants,
            "band_scheme": self.band_schemes,
            "pair": self.coupling.pairs,
            "model": (*self.factor_models, *self.scales, *self.models, *self.panel_models),
        }

    @cached_property
    def default_weight_scheme(self) -> WeightScheme:
        """The scheme the marts use."""
        return next(s for s in self.weight_schemes if s.is_default)

    def is_amount(self, measure: str) -> bool:
        """Whether it is a number or a count of things, whose means are skewed where few have most."""
        own = self.indicator.get(measure)
        if own is None or own.type not in ("number", "count"):
            return False
        # income may be below nought in a year of losses
        return measure in self.welfare.amounts or (own.minimum is not None and own.minimum >= 0)

    def codes_of(self, indicator_id: str) -> tuple[str, ...]:
        """Codes an indicator may take, in order; empty for plain numbers."""
        name = self.indicator[indicator_id].code_list
        return tuple(c.code for c in self.code_lists[name]) if name else ()

    def band_scheme(self, scheme_id: str) -> BandScheme:
        """Band scheme by id."""
        return next(s for s in self.band_schemes if s.id == scheme_id)

    def weight_scheme(self, scheme_id: str) -> WeightScheme:
        """Weight scheme by id, its members resolved where it takes those of another.

        Raises
        ------
        KeyError
            No such scheme.
        """
        by_id = {s.id: s for s in self.weight_schemes}
        scheme = by_id[scheme_id]
        if scheme.members_of is None:
            return scheme
        other = by_id[scheme.members_of]
        return scheme.model_copy(
            update={"dimensions": other.dimensions, "dimension_weights": other.dimension_weights}
        )

    def scale_items(self, scale: Scale) -> tuple[Item, ...]:
        """Items of a scale, its own or those of its factor model."""
        if scale.items:
            return scale.items
        return next(m for m in self.factor_models if m.id == scale.factor_model).items

    def regressors_of(self, model: Model) -> tuple[Regressor, ...]:
        """Regressors of a model in the order of its sets."""
        return tuple(r for name in model.regressors for r in self.regressor_sets[name])

    def terms_of(self, model: Model) -> tuple[str, ...]:
        """Names of the coefficients of a model, without the intercept: `indicator` or `indicator=code`."""
        return tuple(
            term
            for r in self.regressors_of(model)
            for term in (
                [r.name]
                if r.kind == "numeric"
                else [f"{r.name}={c}" for c in self.codes_of(r.name) if c != r.reference]
            )
        )

    def factor_of(self, indicator_id: str, to_unit: str, from_unit: str, year: int | None = None) -> float:
        """Number by which a value in `from_unit` is multiplied to be in `to_unit`.

        Raises
        ------
        KeyError
            units.yml knows no such conversion; the message names indicator and units.
        """
        if from_unit == to_unit:
            return 1.0
        fitting = [
            u for u in self.units if (u.from_, u.to) == (from_unit, to_unit) and u.year in (None, year)
        ]
        if not fitting:
            raise KeyError(f"{indicator_id}: units.yml has no conversion from {from_unit!r} to {to_unit!r}")
        return max(fitting, key=lambda u: u.year is not None).factor


def load_catalog(path: Path) -> Catalog:
    """Read and cross-check the catalog.

    Parameters
    ----------
    path
        Folder with the catalog's YAML files.

    Raises
    ------
    CatalogError
        With every problem, each with file, line and what to do.
    """
    data: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    problems: list[Problem] = []
    for file in (path / name for name in FILES):
        try:
            content = read_yaml(file)
        except FileNotFoundError:
            problems.append(Problem(file.name, None, "file is missing; the catalog needs it"))
            continue
        except (YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            problems.append(
                Problem(file.name, mark.line + 1 if mark else None, f"not readable as YAML: {error}")
            )
            continue
        if not isinstance(content, dict):
            problems.append(Problem(file.name, None, "must be a mapping of names to entries"))
            continue
        for key, value in content.items():
            if key in data:
                problems.append(Problem(file.name, None, f"{key!r} is also in {origin[key].name}; keep one"))
            data[key], origin[key] = value, file
    if problems:
        raise CatalogError(path, problems)
    try:
        catalog = Catalog.model_validate(data)
    except ValidationError as error:
        places: list[tuple[Path_, str]] = [(e["loc"], _words(e)) for e in error.errors(include_url=False)]
        raise CatalogError(path, _placed(places, data, origin)) from None
    mistakes = list(_check(catalog))
    if mistakes:
        raise CatalogError(path, _placed(mistakes, data, origin))
    return catalog


def _words(error: Any) -> str:
    given = "" if isinstance(error["input"], dict | list) else f" (given: {error['input']!r})"
    return str(error["msg"]).removeprefix("Value error, ") + given


def _placed(
    places: Iterable[tuple[Path_, str]], data: Mapping[str, Any], origin: Mapping[str, Path]
) -> Iterator[Problem]:
    """Problems with file and line; lines are looked up only now because keeping them makes reading slow."""
    documents: dict[Path, Any] = {}
    for place, message in places:
        file = origin.get(str(place[0]))
        if file is None:
            yield Problem("catalog", None, f"{place[0]}: {message}")
            continue
        if file not in documents:
            documents[file] = YAML(typ="rt").load(file)
        line: int | None = None
        node: Any = documents[file]
        name = ""
        for step in place:
            try:
                position = node.lc.key(step) if hasattr(node, "keys") else node.lc.item(step)
                line = position[0] + 1
                node = node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
            if isinstance(node, dict) and "id" in node:
                name = f" ({node['id']})"
        yield Problem(file.name, line, f"{'.'.join(map(str, place))}{name}: {message}")


def _twice(place: str, names: Iterable[str]) -> Iterator[tuple[Path_, str]]:
    listed = list(names)
    counts = Counter(listed)
    for position, name in enumerate(listed):
        if counts[name] > 1:
            yield (place, position), f"{name!r} is given twice"


def _unknown(place: Path_, what: str, name: str, known: Iterable[str]) -> Iterator[tuple[Path_, str]]:
    if name not in set(known):
        yield place, f"{what} {name!r} is not in the catalog"


def _check(c: Catalog) -> Iterator[tuple[Path_, str]]:
    """Every reference between entries resolves and every name is given once."""
    systems = {s.id for s in c.systems}
    dimensions = {d.id: d.system for d in c.dimensions}
    numeric = {i.id for i in c.indicators if i.is_numeric}
    for place, entries in (
        ("systems", c.systems),
        ("dimensions", c.dimensions),
        ("indicators", c.indicators),
        ("band_schemes", c.band_schemes),
        ("weight_schemes", c.weight_schemes),
        ("metrics", c.metrics),
        ("factor_models", c.factor_models),
        ("scales", c.scales),
        ("models", c.models),
        ("panel_models", c.panel_models),
    ):
        yield from _twice(place, (e.id for e in entries))
    yield from _twice("units", (f"{u.from_} to {u.to} {u.year or ''}".strip() for u in c.units))
    for n, dimension in enumerate(c.dimensions):
        yield from _unknown(("dimensions", n, "system"), "system", dimension.system, systems)
    yield from _check_indicators(c, systems, dimensions)
    yield from _check_welfare(c)
    for name, codes in c.code_lists.items():
        for (_, position), message in _twice(name, (code.code for code in codes)):
            yield ("code_lists", name, position), message
    for n, scheme in enumerate(c.band_schemes):
        for (_, position), message in _twice("bands", (b.id for b in scheme.bands)):
            yield ("band_schemes", n, "bands", position), message
    if sum(s.is_default for s in c.weight_schemes) != 1:
        yield ("weight_schemes",), "exactly one scheme must have is_default: true"
    for n, weights in enumerate(c.weight_schemes):
        if weights.members_of:
            others = {s.id for s in c.weight_schemes if s.members_of is None}
            yield from _unknown(("weight_schemes", n, "members_of"), "scheme", weights.members_of, others)
        for dimension_id, members in weights.dimensions.items():
            place_ = ("weight_schemes", n, "dimensions", dimension_id)
            yield from _unknown(place_, "dimension", dimension_id, dimensions)
            for member in members:
                yield from _unknown((*place_, member), "numeric indicator", member, numeric)
    yield from _unknown(
        ("coupling", "band_scheme"), "band scheme", c.coupling.band_scheme, {s.id for s in c.band_schemes}
    )
    for n, metric in enumerate(c.metrics):
        if metric.dimension:
            yield from _unknown(("metrics", n, "dimension"), "dimension", metric.dimension, dimensions)
    yield from _twice("coupling.pairs", (p.id for p in c.coupling.pairs))
    for n, pair in enumerate(c.coupling.pairs):
        for k, part in enumerate(pair.systems):
            for name in part.dimensions:
                where: Path_ = ("coupling", "pairs", n, "systems", k, "dimensions", name)
                yield from _unknown(where, "dimension", name, dimensions)
    for n, system in enumerate(c.coupling.systems):
        yield from _unknown(("coupling", "systems", n, "metric"), "metric", system.metric, c.metric)
    yield from _check_factor_models(c, numeric, dimensions)
    yield from _check_models(c, numeric)
    yield from _check_replication(c)


def _check_welfare(c: Catalog) -> Iterator[tuple[Path_, str]]:
    """Amounts and thresholds are of numeric indicators, groups of categories, the metric is of households."""
    numeric = {i.id for i in c.indicators if i.is_numeric}
    for n, amount in enumerate(c.welfare.amounts):
        yield from _unknown(("welfare", "amounts", n), "numeric indicator", amount, numeric)
    for n, measure in enumerate(c.welfare.poverty_measures):
        for k, dimension in enumerate(measure.dimensions):
            place = ("welfare", "poverty_measures", n, "dimensions", k, "indicators")
            for indicator in dimension.indicators:
                yield from _unknown(place, "numeric indicator", indicator, numeric)
    stuck = c.welfare.stuck
    yield from _unknown(("welfare", "stuck", "metric"), "metric", stuck.metric, c.metric)
    categories = {i.id for i in c.indicators if not i.is_numeric}
    for n, group in enumerate(stuck.groups):
        yield from _unknown(("welfare", "stuck", "groups", n), "category", group, categories)


def _check_indicators(
    c: Catalog, systems: set[str], dimensions: Mapping[str, str]
) -> Iterator[tuple[Path_, str]]:
    for n, indicator in enumerate(c.indicators):
        place = ("indicators", n)
        yield from _unknown((*place, "system"), "system", indicator.system, systems)
        yield from _unknown((*place, "dimension"), "dimension", indicator.dimension, dimensions)
        if dimensions.get(indicator.dimension, indicator.system) != indicator.system:
            yield (
                (*place, "dimension"),
                f"dimension {indicator.dimension} is of system {dimensions[indicator.dimension]}, "
                f"not {indicator.system}",
            )
        if indicator.id in c.metric:
            yield (*place, "id"), f"{indicator.id!r} is also a metric; names must differ"
        if indicator.code_list is None:
            continue
        yield from _unknown((*place, "code_list"), "code list", indicator.code_list, c.code_lists)
        codes = [code.code for code in c.code_lists.get(indicator.code_list, ())]
        if indicator.is_numeric and codes and indicator.minimum is not None and indicator.maximum is not None:
            wanted = [str(k) for k in range(int(indicator.minimum), int(indicator.maximum) + 1)]
            if codes != wanted:
                yield (
                    (*place, "code_list"),
                    f"codes of {indicator.code_list} must be {', '.join(wanted)}, from minimum to maximum",
                )


def _check_factor_models(
    c: Catalog, numeric: set[str], dimensions: Mapping[str, str]
) -> Iterator[tuple[Path_, str]]:
    for n, model in enumerate(c.factor_models):
        place = ("factor_models", n)
        for k, item in enumerate(model.items):
            yield from _unknown(
                (*place, "items", k, "indicator"), "numeric indicator", item.indicator, numeric
            )
            if item.indicator in numeric and item.reverse != (
                c.indicator[item.indicator].direction == "cost"
            ):
                yield (
                    (*place, "items", k, "reverse"),
                    f"{item.indicator} is a {c.indicator[item.indicator].direction}; reverse cost items only",
                )
        for k, factor in enumerate(model.factors):
            yield from _unknown((*place, "factors", k, "metric"), "metric", factor.metric, c.metric)
            yield from _unknown(
                (*place, "factors", k, "dimension"), "dimension", factor.dimension, dimensions
            )
        yield from _unknown((*place, "composite", "metric"), "metric", model.composite.metric, c.metric)
    for n, scale in enumerate(c.scales):
        if scale.factor_model:
            known = {m.id for m in c.factor_models}
            yield from _unknown(("scales", n, "factor_model"), "factor model", scale.factor_model, known)
        for k, item in enumerate(scale.items):
            yield from _unknown(("scales", n, "items", k), "numeric indicator", item.indicator, numeric)


def _check_models(c: Catalog, numeric: set[str]) -> Iterator[tuple[Path_, str]]:
    for name, regressors in c.regressor_sets.items():
        for k, regressor in enumerate(regressors):
            place = ("regressor_sets", name, k)
            if regressor.metric:
                yield from _unknown(place, "metric", regressor.metric, c.metric)
            elif regressor.name not in c.indicator:
                yield place, f"indicator {regressor.name!r} is not in the catalog"
            elif regressor.kind == "numeric" and regressor.name not in numeric:
                yield place, f"{regressor.name} is a category; use kind: dummies"
            elif regressor.reference and regressor.reference not in c.codes_of(regressor.name):
                yield place, f"reference {regressor.reference!r} is no code of {regressor.name}"
    for n, model in enumerate(c.models):
        yield from _unknown(
            ("models", n, "dependent"), "metric or indicator", model.dependent, {*c.metric, *numeric}
        )
        for name in model.regressors:
            yield from _unknown(("models", n, "regressors"), "regressor set", name, c.regressor_sets)
        for indicator, code in model.sample.items():
            yield from _check_filter(c, ("models", n, "sample", indicator), indicator, code)
    for n, panel in enumerate(c.panel_models):
        yield from _unknown(
            ("panel_models", n, "dependent"), "metric or indicator", panel.dependent, {*c.metric, *numeric}
        )
        for name in panel.regressors:
            where = ("panel_models", n, "regressors")
            yield from _unknown(where, "regressor set", name, c.regressor_sets)
            for regressor in c.regressor_sets.get(name, ()):
                if regressor.kind != "numeric" or regressor.normalise != "none":
                    yield where, f"{regressor.name} of {name} is no plain number, and extremes differ by wave"
    models = {m.id: m for m in c.models}
    for n, printed in enumerate(c.published_terms):
        terms: set[str] = set()
        for name, model_id in printed.models.items():
            yield from _unknown(("published_terms", n, "models", name), "model", model_id, models)
            if model_id in models and set(models[model_id].regressors) <= set(c.regressor_sets):
                terms |= set(c.terms_of(models[model_id]))
        for name, term in printed.terms.items():
            if term not in terms:
                yield ("published_terms", n, "terms", name), f"{term!r} is no term of the models named"


def _check_filter(c: Catalog, place: Path_, indicator: str, code: str) -> Iterator[tuple[Path_, str]]:
    if indicator not in c.indicator:
        yield place, f"indicator {indicator!r} is not in the catalog"
    elif code not in c.codes_of(indicator):
        yield place, f"{code!r} is no code of {indicator}: {', '.join(c.codes_of(indicator))}"


def _check_replication(c: Catalog) -> Iterator[tuple[Path_, str]]:
    for survey, groups in c.replication.groups.items():
        for group, conditions in groups.items():
            for indicator, code in conditions.items():
                if indicator != "site_id":
                    yield from _check_filter(c, ("replication", "groups", survey, group), indicator, code)
    for survey, model in c.replication.factor_models.items():
        known = {m.id for m in c.factor_models}
        yield from _unknown(("replication", "factor_models", survey), "factor model", model, known)
    bands = {b.id for s in c.band_schemes for b in s.bands}
    factors = {f.id for m in c.factor_models for f in m.factors}
    for n, rule in enumerate(c.replication.rules):
        kinds: set[str] = set(rule.statistics.values()) if isinstance(rule.statistics, dict) else set()
        for name, target in rule.targets.items():
            place: Path_ = ("replication", "rules", n, "targets", name)
            if kinds & {"code_n", "code_percent"}:
                indicator, _, codes = target.partition("=")
                if indicator not in c.indicator:
                    yield place, f"indicator {indicator!r} is not in the catalog"
                elif ".." not in codes:
                    for code in codes.split("|"):
                        yield from _check_filter(c, place, indicator, code)
            elif "band_percent" in kinds:
                yield from _unknown(place, "band", target, bands)
            elif "dimension_item_mean" in kinds:
                yield from _unknown(place, "factor", target, factors)
            else:
                yield from _unknown(place, "metric or indicator", target, {*c.metric, *c.indicator})


def catalog_tables(catalog: Catalog) -> dict[str, pa.Table]:
    """The catalog as tables of the `reference` schema.

    Returns
    -------
    dict
        `dimensions`, `indicators`, `codes`, `units`, `bands` and `metric_definitions` (metrics, then a row
        for each numeric indicator), with the columns of `tables.yml`, in the order of the catalog.
    """
    text, number, whole, flag = pa.string(), pa.float64(), pa.int32(), pa.bool_()
    labels = {"label_en": text, "label_zh": text}
    systems = {s.id: s for s in catalog.systems}
    return {
        "dimensions": _table(
            {"dimension": text, "system": text, **labels, "system_label_en": text, "system_label_zh": text},
            (
                (
                    d.id,
                    d.system,
                    d.label_en,
                    d.label_zh,
                    systems[d.system].label_en,
                    systems[d.system].label_zh,
                )
                for d in catalog.dimensions
            ),
        ),
        "indicators": _table(
            {"indicator_id": text, "system": text, "dimension": text, **labels, "definition_en": text}
            | {"definition_zh": text}
            | {"type": text, "unit": text, "direction": text, "minimum": number, "maximum": number}
            | {"code_list": text, "is_sensitive": flag},
            (
                (
                    *(i.id, i.system, i.dimension, i.label_en, i.label_zh, i.definition_en, i.definition_zh),
                    *(i.type, i.unit, i.direction, i.minimum, i.maximum, i.code_list, i.sensitive),
                )
                for i in catalog.indicators
            ),
        ),
        "codes": _table(
            {"code_list": text, "code": text, **labels},
            (
                (name, code.code, code.label_en, code.label_zh)
                for name, codes in catalog.code_lists.items()
                for code in codes
            ),
        ),
        "units": _table(
            {"unit_from": text, "unit_to": text, "factor": number, "note": text, "note_zh": text},
            ((u.from_, u.to, u.factor, u.note, u.note_zh) for u in catalog.units),
            order=None,
        ),
        "bands": _table(
            {
                "band_scheme": text,
                "band": text,
                "band_order": whole,
                **labels,
                "lower": number,
                "upper": number,
            }
            | {"closed": text, "is_inferred": flag, "source": text},
            (
                (s.id, b.id, n, b.label_en, b.label_zh, b.lower, b.upper, s.closed, s.is_inferred, s.source)
                for s in catalog.band_schemes
                for n, b in enumerate(s.bands, start=1)
            ),
            order=None,
        ),
        "metric_definitions": _table(
            {"metric_id": text, **labels, "unit": text, "grain": text, "source_table": text}
            | {"source_column": text, "dimension": text, "formula": text, "formula_zh": text}
            | {"direction": text, "comparability_note": text, "comparability_note_zh": text},
            [
                (
                    m.id,
                    m.label_en,
                    m.label_zh,
                    m.unit,
                    m.grain,
                    m.table,
                    m.column,
                    m.dimension,
                    m.formula,
                    m.formula_zh,
                    m.direction,
                    m.comparability,
                    m.comparability_zh,
                )
                for m in catalog.metrics
            ]
            + [
                (
                    *(
                        i.id,
                        i.label_en,
                        i.label_zh,
                        i.unit,
                        "household",
                        "harmonized.households",
                        i.id,
                        i.dimension,
                    ),
                    "share of households" if i.type == "binary" else "mean over households",
                    "占全部住户的比例" if i.type == "binary" else "全部住户的均值",
                    i.direction,
                    "verdict of each survey and wave in harmonized.coverage",
                    "各调查各轮次的结论见harmonized.coverage",
                )
                for i in catalog.indicators
                if i.is_numeric
            ],
        ),
    }


def _table(
    columns: Mapping[str, pa.DataType],
    rows: Iterable[tuple[object, ...]],
    order: str | None = "display_order",
) -> pa.Table:
    """Rows as a table, with their position in a last column named `order`."""
    listed = list(rows)
    arrays = [pa.array([row[k] for row in listed], kind) for k, kind in enumerate(columns.values())]
    names = list(columns)
    if order:
        arrays.append(pa.array(range(1, len(listed) + 1), pa.int32()))
        names.append(order)
    return pa.table(arrays, names=names)
