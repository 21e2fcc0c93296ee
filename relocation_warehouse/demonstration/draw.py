"""Draw the answers of a made-up survey from its `demo.yml`.

Belongs here: latent normals with the wanted correlations, cut to exact marginals, then calibrated.
Does not belong here: the marginals (`marginals`), the searches (`calibrate`), the files (`received`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from relocation_warehouse.demonstration.calibrate import (
    Columns,
    climb,
    match_products,
    plain_block,
    term,
    unit_correlations,
)
from relocation_warehouse.demonstration.expression import compile_expression, evaluate
from relocation_warehouse.demonstration.factors import (
    calibrate_factor_model,
    factor_model_residuals,
    regressor_pairs,
)
from relocation_warehouse.demonstration.marginals import (
    counts_from_moments,
    counts_from_sums,
    quantile_values,
    scale_counts,
)
from relocation_warehouse.demonstration.spec import Correlation, Spec, Variable


@dataclass(frozen=True)
class Residual:
    """One target, the printed figure, what the drawn survey reaches, and what is left."""

    target_id: str
    statistic: str
    target: float
    published: float | None
    reached: float
    tolerance: float
    note: str = ""

    @property
    def residual(self) -> float:
        """Reached less target."""
        return self.reached - self.target

    @property
    def is_met(self) -> bool:
        """Whether the residual is within the tolerance."""
        return abs(self.residual) <= self.tolerance


@dataclass(frozen=True)
class Draw:
    """The drawn survey.

    Attributes
    ----------
    households
        A row a household, a column a variable: harmonised values (numbers or codes), missing where blank.
    rosters
        By file_id: a row a member, with `household` (row of the household, from 0) and `position` (from 1).
    residuals
        Every target with what is reached; empty for a draw of another size than the survey's own.
    """

    households: pd.DataFrame
    rosters: dict[str, pd.DataFrame]
    residuals: tuple[Residual, ...] = field(default=())


def draw(spec: Spec, n: int | None = None, seed: int | None = None) -> Draw:
    """Draw a survey; the same spec, size and seed always give the same answers.

    Parameters
    ----------
    spec
        The survey's `demo.yml`.
    n
        Households. Absent: the survey's own number, calibrated by swapping. Any other number: marginals
        proportional, correlations from the copula only.
    seed
        Absent: the one of the spec.
    """
    size = spec.households if n is None else n
    rng = np.random.default_rng(spec.seed if seed is None else seed)
    columns = _draw_columns(
        spec.variables, (*spec.correlations, *spec.latent), n=size, own=spec.households, rng=rng
    )
    residuals: tuple[Residual, ...] = ()
    if size == spec.households:
        columns = _resemble(spec, _calibrate(spec, columns, rng), rng)
        residuals = residuals_of(spec, columns)
    rosters = {}
    for roster in spec.rosters:
        counts = np.nan_to_num(columns[roster.size]).astype(np.intp)
        household = np.repeat(np.arange(size), counts)
        position = np.arange(len(household)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        given = {f"household_{name}": column[household] for name, column in columns.items()}
        given["position"] = position.astype(np.float64)
        members = _draw_columns(
            roster.variables, roster.correlations, n=len(household), own=len(household), rng=rng, given=given
        )
        frame = _frame({v.name: members[v.name] for v in roster.variables})
        frame.insert(0, "household", household)
        frame.insert(1, "position", position)
        rosters[roster.file_id] = frame
    return Draw(_frame(columns), rosters, residuals)


def residuals_of(spec: Spec, columns: Columns) -> tuple[Residual, ...]:
    """Every target of a spec with what the columns reach."""
    residuals = []
    for correlation in spec.correlations:
        for left in correlation.left:
            for right in correlation.right:
                if left != right:
                    reached = _correlation(columns, left, right)
                    residuals.append(
                        Residual(
                            f"corr:{left}:{right}", "correlation", correlation.value, None, reached, 0.02
                        )
                    )
    for joint in spec.joints:
        both = (term(columns, joint.left) == 1) & (term(columns, joint.right) == 1)
        reached = float(both.sum())
        residuals.append(
            Residual(f"joint:{joint.left}:{joint.right}", "count", joint.count, None, reached, 1.0)
        )
    with_derived = _with_derived(spec, columns)
    for target in spec.targets:
        reached = float(evaluate(compile_expression(target.statistic), with_derived))
        published = target.value if target.published is None else target.published
        note = " ".join(part for part in (target.stat_id, target.note) if part)
        residuals.append(
            Residual(target.id, target.statistic, target.value, published, reached, target.tolerance, note)
        )
    for alpha in spec.alphas:
        R = np.corrcoef(_complete(columns, alpha.items), rowvar=False)
        k = len(alpha.items)
        mean_r = (R.sum() - k) / (k * (k - 1))
        reached = float(k * mean_r / (1 + (k - 1) * mean_r))
        residuals.append(
            Residual(alpha.id, "alpha_standardised", alpha.value, alpha.value, reached, alpha.tolerance)
        )
    if spec.factor_model is not None:
        residuals += [Residual(*row) for row in factor_model_residuals(spec.factor_model, columns)]
    if spec.resemblance is not None:
        wanted = spec.resemblance
        reached = float(unit_correlations(*_answers_by_unit(spec, columns)).mean())
        note = "mean over all answers in numbers"
        name = f"resemblance:{wanted.unit}"
        residuals.append(
            Residual(
                name, "intraclass_correlation", wanted.correlation, None, reached, wanted.tolerance, note
            )
        )
    return tuple(residuals)


def _calibrate(spec: Spec, columns: Columns, rng: np.random.Generator) -> Columns:
    fixed = {*spec.fixed, *(v.name for v in spec.variables if v.expression or v.mapped)}
    pairs: dict[tuple[str, str], tuple[float, float]] = {}
    for correlation in spec.correlations:
        for left in correlation.left:
            for right in correlation.right:
                if left != right and (right, left) not in pairs:
                    pairs[left, right] = (correlation.value, correlation.weight)
    for alpha in spec.alphas:
        # any correlations with the right mean will do; equal ones are the plainest
        k = len(alpha.items)
        mean_r = alpha.value / (k - alpha.value * (k - 1))
        for i, left in enumerate(alpha.items):
            for right in alpha.items[i + 1 :]:
                pairs.setdefault((left, right), (mean_r, 1.0))
    for joint in spec.joints:
        pairs[joint.left, joint.right] = (
            _joint_correlation(columns, joint.left, joint.right, joint.count),
            joint.weight,
        )
    terms = list(dict.fromkeys(name for pair in pairs for name in pair))
    movable = [v for v in dict.fromkeys(t.partition("=")[0] for t in terms) if v not in fixed]
    if pairs:
        columns = match_products(
            columns,
            [plain_block(columns, terms, pairs)],
            movable,
            rng=rng,
            swaps=spec.climb.correlation_swaps,
            candidates=spec.climb.candidates,
        )
        columns = _recompute(spec, columns)
    if spec.factor_model is not None:
        for _ in range(2):  # the first round's misses move the second one's targets
            among = regressor_pairs(spec.factor_model, columns, pairs)
            every = list(dict.fromkeys([*terms, *(name for pair in among for name in pair)]))
            columns = match_products(
                columns,
                [plain_block(columns, every, {**among, **pairs})],
                [v for v in dict.fromkeys(t.partition("=")[0] for t in every) if v not in fixed],
                rng=rng,
                swaps=spec.climb.correlation_swaps if among else 0,
                candidates=spec.climb.candidates,
            )
        columns = calibrate_factor_model(spec.factor_model, columns, rng, spec.climb)
    if spec.targets and spec.climb.target_swaps:
        formulas = [*spec.derived.values(), *(target.statistic for target in spec.targets)]
        used = {name for formula in formulas for name in compile_expression(formula).co_names}
        used |= {
            name for v in spec.variables if v.expression for name in compile_expression(v.expression).co_names
        }
        codes = [(compile_expression(t.statistic), t.value, t.tolerance) for t in spec.targets]

        def loss(now: Columns) -> float:
            every = _with_derived(spec, _recompute(spec, now))
            off = sum(((evaluate(code, every) - value) / tolerance) ** 2 for code, value, tolerance in codes)
            kept = sum(
                weight * ((_correlation(every, *pair) - value) / 0.02) ** 2
                for pair, (value, weight) in pairs.items()
            )
            return float(off + kept)

        swappable = [name for name in columns if name in used and name not in fixed]
        columns = _recompute(
            spec, climb(columns, loss, swappable, rng=rng, swaps=spec.climb.target_swaps, good_enough=1e-4)
        )
    return columns


def _resemble(spec: Spec, columns: Columns, rng: np.random.Generator) -> Columns:
    """Exchange whole households between units until those of one unit are as alike as wanted.

    Only the unit of a household moves, between households that agree in all that a joint count or a correlation ties
    to units, or that follows from them; targets that name units are held as well as before.
    """
    wanted = spec.resemblance
    if wanted is None:
        return columns
    unit = wanted.unit
    tied = {v.name for v in spec.variables if v.mapped is not None and v.mapped.source == unit}
    for pair in [
        *((j.left, j.right) for j in spec.joints),
        *((a, b) for c in spec.correlations for a in c.left for b in c.right),
    ]:
        if unit in {name.partition("=")[0] for name in pair}:
            tied |= {name for name in pair if name.partition("=")[0] != unit}
    tied |= {v.blank_where for v in spec.variables if v.blank_where and v.blank_where.startswith(f"{unit}=")}
    labels = [columns[n] if n in columns else term(columns, n) for n in sorted(tied)]
    strata = np.unique(
        np.column_stack([np.unique(c, return_inverse=True)[1] for c in labels])
        if labels
        else np.zeros((spec.households, 1)),
        axis=0,
        return_inverse=True,
    )[1].ravel()
    names_unit = {unit}
    for name, text in spec.derived.items():
        if names_unit & set(compile_expression(text).co_names):
            names_unit.add(name)
    codes = [(compile_expression(t.statistic), t.value, t.tolerance) for t in spec.targets]
    codes = [each for each in codes if names_unit & set(each[0].co_names)]
    values, _ = _answers_by_unit(spec, columns)
    fixed = _with_derived(spec, columns)
    moving = [name for name in spec.derived if name in names_unit]

    def loss(now: Columns) -> float:
        units = np.unique(now[unit], return_inverse=True)[1]
        correlations = unit_correlations(values, units)
        mean = (correlations.mean() - wanted.correlation) / wanted.tolerance
        outside = correlations - np.clip(correlations, wanted.lowest, wanted.highest)
        off = float(len(correlations) * mean**2 + ((outside / wanted.tolerance) ** 2).sum())
        if codes:
            every = {**fixed, unit: now[unit]}
            for name in moving:
                every[name] = evaluate(compile_expression(spec.derived[name]), every)
            off += sum(((evaluate(c, every) - value) / tolerance) ** 2 for c, value, tolerance in codes)
        return off

    return climb(columns, loss, [unit], rng=rng, swaps=wanted.swaps, strata=strata)


def _answers_by_unit(spec: Spec, columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Every answer in numbers that varies, shape (n, p), and the unit of each household."""
    assert spec.resemblance is not None
    every = _with_derived(spec, columns)
    names = [*columns, *spec.resemblance.also]
    numbers = [every[name] for name in names if every[name].dtype.kind == "f" and np.nanstd(every[name]) > 0]
    units = np.unique(columns[spec.resemblance.unit], return_inverse=True)[1]
    return np.column_stack(numbers), units


def _draw_columns(
    variables: Sequence[Variable],
    correlations: Sequence[Correlation],
    *,
    n: int,
    own: int,
    rng: np.random.Generator,
    given: Columns | None = None,
) -> Columns:
    """Columns of shape (n,), marginals as given for `own` rows and proportional for any other number."""
    columns: Columns = dict(given or {})
    latent = _latent(variables, correlations, n, rng)
    skipping: dict[str, NDArray[np.intp]] = {}
    for variable in variables:
        if variable.expression is not None or variable.mapped is not None:
            columns[variable.name] = _computed(variable, columns, n)
            continue
        answered = np.ones(n, dtype=np.bool_)
        if variable.blanks:
            order = skipping.setdefault(variable.blank_block or variable.name, rng.permutation(n))
            if variable.blank_where:
                order = order[np.argsort(term(columns, variable.blank_where)[order] != 1, kind="stable")]
            answered[order[: round(variable.blanks / own * n)]] = False
        values = _sorted_values(variable, int(answered.sum()), own - variable.blanks)
        ranks = np.argsort(np.argsort(latent[variable.name][answered], kind="stable"), kind="stable")
        column = np.full(n, "" if values.dtype.kind == "U" else np.nan, dtype=values.dtype)
        column[answered] = values[ranks]
        columns[variable.name] = column
    return {variable.name: columns[variable.name] for variable in variables}


def _latent(
    variables: Sequence[Variable], correlations: Sequence[Correlation], n: int, rng: np.random.Generator
) -> Mapping[str, NDArray[np.float64]]:
    """Latent normals by variable; a matrix that cannot be is brought to the nearest one that can."""
    names = [v.name for v in variables if v.expression is None and v.mapped is None]
    position = {name: i for i, name in enumerate(names)}
    R = np.eye(len(names))
    for correlation in correlations:
        for left in correlation.left:
            for right in correlation.right:
                if left in position and right in position and left != right:
                    i, j = position[left], position[right]
                    R[i, j] = R[j, i] = correlation.value
    values, vectors = np.linalg.eigh(R)
    root = vectors * np.sqrt(np.clip(values, 1e-9, None))
    root /= np.sqrt((root**2).sum(1, keepdims=True))
    normals = rng.standard_normal((n, len(names))) @ root.T
    return {name: normals[:, i] for name, i in position.items()}


def _sorted_values(variable: Variable, n: int, own: int) -> NDArray[Any]:
    if variable.distribution is not None:
        return quantile_values(variable.distribution, n)
    if variable.counts is not None:
        counts = variable.counts
    elif variable.moments is not None:
        counts = counts_from_moments(variable.moments, own)
    elif variable.sums is not None:
        counts = counts_from_sums(variable.sums, own)
    if sum(counts.values()) != n:
        counts = scale_counts(counts, n)
    return np.repeat(_as_column(list(counts)), list(counts.values()))


def _computed(variable: Variable, columns: Columns, n: int) -> NDArray[Any]:
    if variable.mapped is not None:
        source = columns[variable.mapped.source]
        keys = [f"{v:g}" for v in source] if source.dtype.kind == "f" else source.tolist()
        return _as_column([variable.mapped.values[key] for key in keys])
    value = evaluate(compile_expression(variable.expression or ""), columns)
    return _as_column(np.broadcast_to(value, (n,)).tolist())


def _recompute(spec: Spec, columns: Columns) -> Columns:
    """The same columns with everything that follows from others computed anew."""
    columns = dict(columns)
    for variable in spec.variables:
        if variable.expression is not None or variable.mapped is not None:
            columns[variable.name] = _computed(variable, columns, spec.households)
    return columns


def _with_derived(spec: Spec, columns: Columns) -> Columns:
    columns = dict(columns)
    for name, text in spec.derived.items():
        columns[name] = evaluate(compile_expression(text), columns)
    return columns


def _as_column(values: Sequence[Any]) -> NDArray[Any]:
    """Numbers as float64, anything else as text."""
    if all(isinstance(v, int | float) for v in values):
        return np.array(values, dtype=np.float64)
    return np.array([str(v) for v in values])


def _frame(columns: Columns) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(column) for name, column in columns.items()})
    return frame.mask(frame == "")


def _complete(columns: Columns, names: Sequence[str]) -> NDArray[np.float64]:
    X = np.column_stack([columns[name] for name in names])
    return np.asarray(X[~np.isnan(X).any(axis=1)], dtype=np.float64)


def _correlation(columns: Columns, left: str, right: str) -> float:
    x, y = term(columns, left), term(columns, right)
    both = ~(np.isnan(x) | np.isnan(y))
    return float(np.corrcoef(x[both], y[both])[0, 1])


def _joint_correlation(columns: Columns, left: str, right: str, count: int) -> float:
    """Correlation of two dummies that hold together in `count` rows."""
    x, y = term(columns, left), term(columns, right)
    p, q = x.mean(), y.mean()
    return float((count / len(x) - p * q) / np.sqrt(p * (1 - p) * q * (1 - q)))
