"""From answers to the columns of a model: dummies of categories, and what a missing answer becomes.

Belongs here: the description of a model's right-hand side and its translation, batch by batch, into numbers.
Does not belong here: recoding of survey codes (the crosswalk) and the fitting itself (``regression``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from analysis.arrays import FloatArray, one_of
from analysis.errors import EmptyGroupError, InvalidOptionError, UnknownLevelError
from analysis.summary import Batch, column, floats, record_batches, row_weights

MissingPolicy = Literal["listwise", "mean", "reference_category"]


@dataclass(frozen=True)
class Category:
    """A categorical regressor: one dummy for every level but the reference.

    Parameters
    ----------
    column : str
    levels : tuple
        Every permitted value, the reference included; values are compared as they are stored.
    reference : object
        The level without a dummy.
    """

    column: str
    levels: tuple[Any, ...]
    reference: Any

    def __post_init__(self) -> None:
        if self.reference not in self.levels or len(set(self.levels)) != len(self.levels):
            raise InvalidOptionError(
                f"Category {self.column!r}: reference {self.reference!r} must be one of the distinct levels "
                f"{list(self.levels)}."
            )

    @property
    def dummies(self) -> dict[str, Any]:
        """Dummy column, named ``column=level``, to level."""
        return {f"{self.column}={level}": level for level in self.levels if level != self.reference}


@dataclass(frozen=True)
class ModelDesign:
    """The columns of one linear model.

    Parameters
    ----------
    dependent : str
    numeric : tuple of str
    categories : tuple of Category
    missing : {"listwise", "mean", "reference_category"}
        ``listwise``: a row with a missing answer is left out. ``mean``: a missing number or dummy takes the
        mean of the answers that were given. ``reference_category``: a missing category counts as the
        reference, a missing number takes the mean. A missing dependent is always left out.
    """

    dependent: str
    numeric: tuple[str, ...]
    categories: tuple[Category, ...] = ()
    missing: MissingPolicy = "listwise"

    def __post_init__(self) -> None:
        one_of(self.missing, get_args(MissingPolicy), "Missing policy")

    @property
    def regressors(self) -> tuple[str, ...]:
        """Numeric columns, then the dummies in the order of their levels."""
        return (*self.numeric, *(name for category in self.categories for name in category.dummies))

    @property
    def columns(self) -> tuple[str, ...]:
        """Regressors and the dependent: what to summarise."""
        return (*self.regressors, self.dependent)


def fill_values(
    batches: Batch | Iterable[Batch], design: ModelDesign, *, weights: str | None = None
) -> dict[str, float]:
    """Values that replace missing regressors under the policy of a design; one pass.

    Parameters
    ----------
    batches : table, DataFrame, or iterable of them
    design : ModelDesign
    weights : str, optional
        Column of weights for the means.

    Returns
    -------
    dict
        Column to value; empty for ``listwise``.

    Raises
    ------
    EmptyGroupError
        If a column that needs a mean has no answer at all.
    """
    if design.missing == "listwise":
        return {}
    dummies = {name for category in design.categories for name in category.dummies}
    zero = dummies if design.missing == "reference_category" else set()
    averaged = [name for name in design.regressors if name not in zero]
    sums, counts = np.zeros(len(averaged)), np.zeros(len(averaged))
    for batch in record_batches(batches):
        weight = row_weights(batch, weights, "sampling")
        columns = _design_columns(batch, design)
        for position, name in enumerate(averaged):
            given = ~np.isnan(columns[name])
            w = given.astype(np.float64) if weight is None else np.where(given, np.nan_to_num(weight), 0.0)
            sums[position] += w @ np.where(given, columns[name], 0.0)
            counts[position] += w.sum()
    unanswered = [name for name, count in zip(averaged, counts, strict=True) if not count]
    if unanswered:
        raise EmptyGroupError(f"No answer to take a mean of in {unanswered}: leave these columns out.")
    return {**dict.fromkeys(zero, 0.0), **dict(zip(averaged, (sums / counts).tolist(), strict=True))}


def design_batches(
    batches: Batch | Iterable[Batch],
    design: ModelDesign,
    *,
    fill: Mapping[str, float] | None = None,
    keep: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Batches with the columns of a design as numbers.

    Parameters
    ----------
    batches : table, DataFrame, or iterable of them
    design : ModelDesign
    fill : mapping, optional
        Result of ``fill_values``; required unless the policy is ``listwise``.
    keep : sequence of str
        Columns passed on as they are: groups, weights, clusters.

    Raises
    ------
    UnknownLevelError
        If an answer is not among the levels of its category.
    MissingColumnError, NonNumericColumnError
    """
    if (design.missing == "listwise") != (not fill):
        raise InvalidOptionError(
            f"Missing policy {design.missing!r}: pass the result of fill_values() for this design."
        )
    for batch in record_batches(batches):
        columns = _design_columns(batch, design)
        for name, value in (fill or {}).items():
            columns[name] = np.where(np.isnan(columns[name]), value, columns[name])
        columns[design.dependent] = floats(batch, design.dependent).astype(np.float64)
        arrays = [pa.array(values) for values in columns.values()]
        kept = [name for name in dict.fromkeys(keep) if name not in columns]
        yield pa.RecordBatch.from_arrays(
            [*arrays, *(column(batch, name) for name in kept)], names=[*columns, *kept]
        )


def _design_columns(batch: pa.RecordBatch, design: ModelDesign) -> dict[str, FloatArray]:
    columns: dict[str, FloatArray] = {name: floats(batch, name).astype(np.float64) for name in design.numeric}
    for category in design.categories:
        columns.update(_dummies(batch, category))
    return columns


def _dummies(batch: pa.RecordBatch, category: Category) -> dict[str, FloatArray]:
    encoded = column(batch, category.column).dictionary_encode()
    # pandas stores a gap in a column of numbers as NaN.
    values = [None if pd.isna(value) else value for value in encoded.dictionary.to_pylist()]
    unknown = [value for value in values if value is not None and value not in category.levels]
    if unknown:
        raise UnknownLevelError(
            f"Column {category.column!r} holds {unknown}, which are not among its levels "
            f"{list(category.levels)}. Add them to the levels or recode them in the crosswalk."
        )
    values.append(None)
    codes = encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    return {
        name: np.array([np.nan if value is None else float(value == level) for value in values])[codes]
        for name, level in category.dummies.items()
    }
