"""What one look at a frame says of each expectation: the metrics that Great Expectations decides on.

It computes them itself expectation by expectation, with copies of the frame and hundreds of objects for each. Here the
counts of the common types are taken from each column once, and Great Expectations decides on them.

Belongs here: metrics of the types that suites of ours are made of. Does not belong here: a decision (`runner`), or a
type whose metrics Great Expectations alone knows: `metrics` answers None, and it looks at the frame itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Metrics = dict[str, Any]
Bools = npt.NDArray[np.bool_]


class Scan:
    """Counts of one frame; what is asked of a column twice is looked at once.

    Parameters
    ----------
    frame
        The data.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self._empty: dict[str, Bools] = {}

    def metrics(self, kind: str, kwargs: Mapping[str, Any]) -> Metrics | None:
        """Metrics of an expectation by their names; None where only Great Expectations can compute them.

        Parameters
        ----------
        kind
            Type as Great Expectations spells it.
        kwargs
            Its arguments.
        """
        known = _KNOWN.get(kind)
        if known is None or not kwargs.keys() <= known or (len(self.frame) == 0 and "column" in known):
            return None
        columns = [kwargs[k] for k in ("column",) if k in kwargs] + list(kwargs.get("column_list", ()))
        # a name that occurs twice, or not at all, is for Great Expectations to complain of
        if any(list(self.frame.columns).count(c) != 1 for c in columns):
            return None
        metrics: Metrics | None = _METRICS[kind](self, kwargs)
        return None if metrics is None else {"table.row_count": len(self.frame)} | metrics

    def empty(self, column: str) -> Bools:
        """Which rows have no value."""
        if column not in self._empty:
            self._empty[column] = self.frame[column].isna().to_numpy()
        return self._empty[column]

    def _columns(self, _: Mapping[str, Any]) -> Metrics:
        return {"table.columns": list(self.frame.columns)}

    def _rows(self, _: Mapping[str, Any]) -> Metrics:
        return {}

    def _mean(self, kwargs: Mapping[str, Any]) -> Metrics | None:
        values = self.frame[kwargs["column"]]
        return {"column.mean": values.mean()} if _is_number(values) else None

    def _not_null(self, kwargs: Mapping[str, Any]) -> Metrics:
        return {"column_values.nonnull.unexpected_count": int(self.empty(kwargs["column"]).sum())}

    def _between(self, kwargs: Mapping[str, Any]) -> Metrics | None:
        values = self.frame[kwargs["column"]]
        bounds = [kwargs.get(name) for name in ("min_value", "max_value")]
        if not _is_number(values) or not all(b is None or type(b) in (int, float) for b in bounds):
            return None
        if bounds == [None, None]:
            return None
        numbers, low, high = values.to_numpy(), *bounds
        outside = np.zeros(len(numbers), dtype=bool)
        if low is not None:
            outside |= numbers < low
        if high is not None:
            outside |= numbers > high
        return self._of_answered(kwargs, "column_values.between", outside & ~self.empty(kwargs["column"]))

    def _in_set(self, kwargs: Mapping[str, Any]) -> Metrics | None:
        values, allowed = self.frame[kwargs["column"]], kwargs["value_set"]
        if not isinstance(values.dtype, pd.CategoricalDtype) or not allowed:
            return None
        answers = values.cat.categories
        if not all(isinstance(v, str) for v in (*allowed, *answers)):
            return None
        # the last place stands for a row without a value
        outside = np.append(~answers.isin(list(allowed)), False)[values.cat.codes.to_numpy()]
        return self._of_answered(kwargs, "column_values.in_set", outside)

    def _unique(self, kwargs: Mapping[str, Any]) -> Metrics:
        values = self.frame[kwargs["column"]]
        twice = values.duplicated(keep=False).to_numpy() & ~self.empty(kwargs["column"])
        return self._of_answered(kwargs, "column_values.unique", twice)

    def _unique_together(self, kwargs: Mapping[str, Any]) -> Metrics | None:
        columns = list(kwargs["column_list"])
        if len(set(columns)) < max(2, len(columns)):
            return None
        # rows without any of the values are left out
        part = self.frame[columns][~np.all([self.empty(c) for c in columns], axis=0)]
        return {
            "compound_columns.unique.unexpected_count": int(part.duplicated(keep=False).sum()),
            "compound_columns.unique.filtered_row_count": len(part),
        }

    def _of_answered(self, kwargs: Mapping[str, Any], metric: str, unexpected: Bools) -> Metrics:
        return self._not_null(kwargs) | {f"{metric}.unexpected_count": int(unexpected.sum())}


def _is_number(values: pd.Series[Any]) -> bool:
    return isinstance(values.dtype, np.dtype) and values.dtype.kind in "iuf"


_KNOWN: dict[str, set[str]] = {
    "expect_table_row_count_to_be_between": {"min_value", "max_value"},
    "expect_table_columns_to_match_set": {"column_set", "exact_match"},
    "expect_column_mean_to_be_between": {"column", "min_value", "max_value"},
    "expect_column_values_to_not_be_null": {"column", "mostly"},
    "expect_column_values_to_be_between": {"column", "min_value", "max_value", "mostly"},
    "expect_column_values_to_be_in_set": {"column", "value_set", "mostly"},
    "expect_column_values_to_be_unique": {"column", "mostly"},
    "expect_compound_columns_to_be_unique": {"column_list", "mostly"},
}
"""Types and the arguments with which their metrics are known here."""
_METRICS = {
    "expect_table_row_count_to_be_between": Scan._rows,
    "expect_table_columns_to_match_set": Scan._columns,
    "expect_column_mean_to_be_between": Scan._mean,
    "expect_column_values_to_not_be_null": Scan._not_null,
    "expect_column_values_to_be_between": Scan._between,
    "expect_column_values_to_be_in_set": Scan._in_set,
    "expect_column_values_to_be_unique": Scan._unique,
    "expect_compound_columns_to_be_unique": Scan._unique_together,
}
