"""What `demo.yml` may say: which made-up answers are drawn and which figures they have to meet.

Belongs here: the fields of the file as closed types. Does not belong here: drawing (`draw`), meeting targets
(`calibrate`), or the look of the files (`received` and the writers).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.vocabulary import Closed, Identifier

Value = str | int | float


class Moments(Closed):
    """Whole-number answers whose printed mean and standard deviation (n - 1) come out when rounded."""

    mean: float
    sd: float
    mean_decimals: int = 3
    sd_decimals: int = 3
    minimum: int
    maximum: int


class Sums(Closed):
    """Whole-number answers with an exact sum and sum of squares."""

    total: int
    squares: int
    minimum: int
    maximum: int


class Distribution(Closed):
    """Values at evenly spaced quantiles of a distribution of `scipy.stats`, cut at the ends and rounded."""

    kind: Literal["norm", "lognorm", "gamma", "poisson", "nbinom", "uniform", "beta", "binom", "expon"]
    parameters: dict[str, float] = Field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    decimals: int = 0
    step: float | None = None
    """People round: answers are multiples of this."""


class Mapped(Closed):
    """A variable that follows from another one, level by level."""

    source: Identifier
    values: dict[str, Value]


class Variable(Closed):
    """One variable and its marginal distribution; exactly one of the ways to give it.

    `counts` are exact at the survey's own size; at another size every marginal keeps its proportions.
    Keys of `counts` in ascending order, as the latent normal is cut in this order.
    """

    name: Identifier
    counts: dict[Value, int] | None = None
    moments: Moments | None = None
    sums: Sums | None = None
    distribution: Distribution | None = None
    expression: str | None = None
    """Value computed from variables given before (see `expression`); never swapped."""
    mapped: Mapped | None = None
    blanks: int = Field(default=0, ge=0)
    """Rows without an answer; `blank_block` nests them: one respondent skips several questions of a block."""
    blank_block: str | None = None
    blank_where: str | None = None
    """Term (`variable=level`) of rows that go blank first; the variable must stand before this one."""

    @model_validator(mode="after")
    def _one_way(self) -> Variable:
        ways = (self.counts, self.moments, self.sums, self.distribution, self.expression, self.mapped)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(
                f"variable {self.name}: give exactly one of counts, moments, sums, distribution, "
                "expression, mapped"
            )
        return self


class Correlation(Closed):
    """Pearson correlation wanted between every variable of `left` and every one of `right`.

    A term is a variable, or `variable=level` for the 0/1 dummy of a level.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    value: float
    weight: float = 1.0


class Joint(Closed):
    """Number of rows in which both levels (`variable=level`) hold, at the survey's own size."""

    left: str
    right: str
    count: int
    weight: float = 20.0


class Target(Closed):
    """A statistic of the drawn table, as an expression, with the value it has to reach.

    `tolerance` is the deviation that counts as met; the loss is the sum of ((value - reached)/tolerance)^2.
    `published` is the printed figure, where it differs from what is aimed at (a misprint, say).
    """

    id: str
    statistic: str
    value: float
    tolerance: float = Field(gt=0)
    published: float | None = None
    stat_id: str = ""
    note: str = ""


class GroupScore(Closed):
    """Mean 0-100 scores, composite first, in the rows where `term` (`variable=level`, or *) holds."""

    term: str
    scores: tuple[float | None, ...]
    published: tuple[float | None, ...] = ()


class ScoreModel(Closed):
    """Standardised coefficients of regressions of the factor scores, a row a regressor (`term`).

    `within` restricts the rows (`variable=level`); `composite` weights the factors into the first dependent.
    """

    within: str | None = None
    composite: tuple[float, ...]
    coefficients: dict[str, tuple[float | None, ...]]
    """By regressor: composite first, then the factors in order."""
    adjusted_r2: tuple[float, ...] = ()
    tolerance: float = 0.1


class FactorModel(Closed):
    """Printed results of a factor analysis (principal components, varimax) that the items have to give."""

    items: dict[Identifier, tuple[float, ...]]
    """Loadings by item, a value a factor in the printed order."""
    unprinted_loadings: tuple[tuple[Identifier, str], ...] = ()
    """Cells (item, factor) of `items` that are not printed but derived, e.g. from a communality."""
    factors: tuple[str, ...]
    explained_percent: tuple[float, ...]
    kmo: float
    bartlett: float
    alpha_standardised: float
    score_ranges: tuple[float, ...] = ()
    """Distance between the lowest and the highest score, composite first, then each factor, in standard deviations:
    what the 0-100 scale spans."""
    group_scores: tuple[GroupScore, ...] = ()
    models: tuple[ScoreModel, ...] = ()


class Alpha(Closed):
    """Standardised Cronbach alpha of a set of items."""

    id: str
    items: tuple[Identifier, ...]
    value: float
    tolerance: float = 0.002


class Plant(Closed):
    """A cell that is wrong on purpose: `text` arrives for `variable` in the first `rows` blank (or other) rows."""

    variable: Identifier
    text: str
    rows: int = 1
    file_id: Identifier | None = None
    replaces: Literal["blank", "value"] = "blank"


class Roster(Closed):
    """Several rows a household: `size` is the household variable with the number of rows.

    Every roster has the variables `household` (row of the household, from 0) and `position` (from 1).
    """

    file_id: Identifier
    size: Identifier
    variables: tuple[Variable, ...]
    correlations: tuple[Correlation, ...] = ()


class Filler(Closed):
    """A column of the export that is no variable (serial number, time, address): a Python format string.

    `{row}` counts from 1, `{draw}` is a whole number from `minimum` to `maximum`, `{time}` a moment that never
    runs backwards, on the days from `first` to `last` and within their hours.
    """

    column: str
    text: str
    minimum: int = 0
    maximum: int = 0
    first: str | None = None
    last: str | None = None
    file_id: Identifier | None = None


class Climb(Closed):
    """How long values are swapped."""

    correlation_swaps: int = 20_000
    target_swaps: int = 0
    candidates: int = 64


class Resemblance(Closed):
    """How alike households of one sampling unit answer: real neighbours share soil, market, school and cadres.

    Whole households change places between units, so nothing moves that no unit is named in.
    """

    unit: Identifier
    correlation: float = Field(default=0.06, gt=0, lt=1)
    """Intraclass correlation wanted of answers in numbers, on average."""
    tolerance: float = Field(default=0.01, gt=0)
    lowest: float = 0.03
    highest: float = 0.1
    """Between which every single answer is to come, where it can."""
    also: tuple[Identifier, ...] = ()
    """Intermediate results (`derived`) that are to have it too."""
    swaps: int = 15_000


class Spec(Closed):
    """`demo.yml` of one survey."""

    survey_id: Identifier
    seed: int
    households: int = Field(gt=0)
    variables: tuple[Variable, ...]
    latent: tuple[Correlation, ...] = ()
    """Correlations of the latent normals only: where the start is, not a target."""
    correlations: tuple[Correlation, ...] = ()
    joints: tuple[Joint, ...] = ()
    derived: dict[Identifier, str] = Field(default_factory=dict)
    """Intermediate results for `targets`, as expressions, in order; they are not written."""
    targets: tuple[Target, ...] = ()
    alphas: tuple[Alpha, ...] = ()
    factor_model: FactorModel | None = None
    fixed: tuple[Identifier, ...] = ()
    """Variables whose values stay where the copula put them."""
    climb: Climb = Climb()
    resemblance: Resemblance | None = None
    plants: tuple[Plant, ...] = ()
    rosters: tuple[Roster, ...] = ()
    fillers: tuple[Filler, ...] = ()

    @model_validator(mode="after")
    def _counts_fit(self) -> Spec:
        names = [v.name for v in self.variables]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"variable given twice: {', '.join(twice)}")
        for variable in self.variables:
            if variable.counts and sum(variable.counts.values()) + variable.blanks != self.households:
                raise ValueError(
                    f"variable {variable.name}: counts {sum(variable.counts.values())} + blanks "
                    f"{variable.blanks} are not the {self.households} households"
                )
        return self


def load_spec(path: Path) -> Spec:
    """Read a `demo.yml`.

    Raises
    ------
    pydantic.ValidationError
        With the field, the value and the rule.
    """
    return Spec.model_validate(read_yaml(path))
