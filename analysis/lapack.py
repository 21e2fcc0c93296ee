"""The one LAPACK routine that a one-pass summary spends its time in, called so that threads run it side by side.

Belongs here: LAPACK called through its address, because SciPy's wrapper keeps the interpreter's lock while it runs.
Does not belong here: anything SciPy offers that is not called for every block of rows.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_void_p, py_object

import numpy as np
from scipy.linalg import cython_lapack

from analysis.arrays import FloatArray
from analysis.errors import InvalidOptionError

# Width of the panels in the kernel; 8 was the fastest of 4, 8, 16 and 29 for 29 columns.
PANEL_COLUMNS = 8


def _address(routine: str) -> int:
    """Where SciPy's LAPACK has a routine: the table for Cython code is documented, its capsules are named by type."""
    capsule = cython_lapack.__pyx_capi__[routine]
    name = ctypes.PYFUNCTYPE(c_char_p, py_object)(("PyCapsule_GetName", ctypes.pythonapi))(capsule)
    point = ctypes.PYFUNCTYPE(c_void_p, py_object, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
    return int(point(capsule, name))


_INT, _DOUBLE = POINTER(c_int), POINTER(c_double)
# m, n, l, nb, a, lda, b, ldb, t, ldt, work, info; a call of this kind lets go of the interpreter's lock
_DTPQRT = ctypes.CFUNCTYPE(
    None, _INT, _INT, _INT, _INT, _DOUBLE, _INT, _DOUBLE, _INT, _DOUBLE, _INT, _DOUBLE, _INT
)(_address("dtpqrt"))


def absorb(r: FloatArray, rows: FloatArray) -> FloatArray:
    """Triangular factor of ``r`` on top of ``rows``, by Householder reflections (LAPACK ``dtpqrt``).

    Parameters
    ----------
    r : ndarray, shape (p, p)
        Upper-triangular; stays as it is.
    rows : ndarray, shape (m, p)
        Destroyed where it is in column order, as a block of a summary is.

    Returns
    -------
    ndarray, shape (p, p)
        Upper-triangular R in column order, the signs of its rows as they come.
    """
    if not rows.size:
        return r
    merged = np.array(r, dtype=float, order="F")
    block = rows if _in_column_order(rows) else np.array(rows, dtype=float, order="F")
    width = len(merged)
    panel = min(PANEL_COLUMNS, width)
    scratch = np.empty((2, panel * width))
    info = c_int()
    integers = [byref(c_int(value)) for value in (len(block), width, 0, panel)]
    lead = byref(c_int(block.strides[1] // block.itemsize))
    at = [array.ctypes.data_as(_DOUBLE) for array in (merged, block, scratch[0], scratch[1])]
    _DTPQRT(
        *integers, at[0], byref(c_int(width)), at[1], lead, at[2], byref(c_int(panel)), at[3], byref(info)
    )
    if info.value != 0:
        raise InvalidOptionError(f"LAPACK dtpqrt refused argument {-info.value}.")
    return merged


def _in_column_order(rows: FloatArray) -> bool:
    """Whether LAPACK can work on an array in place: columns one after another, possibly with a gap."""
    return (
        rows.dtype == np.float64
        and rows.flags.writeable
        and rows.strides[0] == rows.itemsize
        and rows.strides[1] >= rows.itemsize * len(rows)
    )
