"""Small formulas of `demo.yml`: arithmetic, comparison and a closed list of functions over columns.

Belongs here: parsing, refusing anything else, evaluating. Does not belong here: which formulas there are.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


def _where(condition: NDArray[np.bool_] | None) -> Any:
    return slice(None) if condition is None else condition


def _mean(x: NDArray[Any], condition: NDArray[np.bool_] | None = None) -> float:
    return float(np.nanmean(x[_where(condition)]))


def _sd(x: NDArray[Any], condition: NDArray[np.bool_] | None = None) -> float:
    return float(np.nanstd(x[_where(condition)], ddof=1))


def _share(x: NDArray[np.bool_], condition: NDArray[np.bool_] | None = None) -> float:
    return float(np.mean(x[_where(condition)]))


def _corr(x: NDArray[Any], y: NDArray[Any]) -> float:
    both = ~(np.isnan(x) | np.isnan(y))
    return float(np.corrcoef(x[both], y[both])[0, 1])


def _minmax(x: NDArray[Any], low: Any = None, high: Any = None) -> NDArray[np.float64]:
    bottom = np.nanmin(x) if low is None else low
    top = np.nanmax(x) if high is None else high
    return np.asarray((x - bottom) / (top - bottom), dtype=np.float64)


def _ols(
    y: NDArray[Any], regressors: list[NDArray[Any]], condition: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Coefficients, constant last; rows with a missing value are left out."""
    X = np.column_stack([*regressors, np.ones(len(y))]).astype(float)
    rows = ~(np.isnan(X).any(axis=1) | np.isnan(y))
    if condition is not None:
        rows &= condition
    return np.asarray(np.linalg.lstsq(X[rows], y[rows], rcond=None)[0], dtype=np.float64)


def _is_in(x: NDArray[Any], levels: list[Any]) -> NDArray[np.bool_]:
    return np.isin(x, levels)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "mean": _mean,
    "sd": _sd,
    "share": _share,
    "corr": _corr,
    "minmax": _minmax,
    "ols": _ols,
    "is_in": _is_in,
    "sqrt": np.sqrt,
    "log": np.log,
    "abs": np.abs,
    "round": np.round,
    "floor": np.floor,
    "lowest": np.fmin,
    "highest": np.fmax,
    "where": np.where,
    "low": lambda *xs: min(float(np.nanmin(x)) for x in xs),
    "high": lambda *xs: max(float(np.nanmax(x)) for x in xs),
}
_ALLOWED = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.List,
    ast.Subscript, ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip


class ExpressionError(ValueError):
    """A formula that is not arithmetic over known columns and functions."""


@functools.cache
def compile_expression(text: str) -> CodeType:
    """Parse a formula and refuse everything outside the closed grammar.

    Raises
    ------
    ExpressionError
        Names the part that is not allowed.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"formula {text!r} cannot be read: {error.msg}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise ExpressionError(f"formula {text!r}: {ast.unparse(node)!r} is not allowed")
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS):
            raise ExpressionError(
                f"formula {text!r}: no function {ast.unparse(node.func)!r}; known: {', '.join(FUNCTIONS)}"
            )
    return compile(tree, f"<{text}>", "eval")


def evaluate(code: CodeType, columns: Columns) -> Any:
    """Value of a compiled formula over the columns.

    Raises
    ------
    ExpressionError
        A name that is neither a column nor a function.
    """
    try:
        return eval(code, {"__builtins__": {}, **FUNCTIONS}, dict(columns))
    except NameError as error:
        raise ExpressionError(f"formula {code.co_filename[1:-1]!r}: {error}") from error
