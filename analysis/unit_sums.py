"""Sums of measures by sampling unit, from batches of rows, each read once.

Deviations are taken from the mean of the unit within a batch, so that no digits cancel; batches are put together by the
sums of squares between them (Chan, Golub and LeVeque 1983).

Belongs here: the sums. Does not belong here: what follows for a mean (`survey_design`), or where rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from analysis.arrays import FloatArray
from analysis.summary import floats

Cell = tuple[str, ...]


@dataclass(frozen=True)
class UnitSums:
    """Sums of K measures in G cells: what lies in one unit, and whatever else is told apart.

    Attributes
    ----------
    cells : tuple of tuple of str, length G
        In order.
    population : ndarray, shape (G,)
        Units in the population as the first row of the cell that has them says; NaN where none does.
    n, weight, mean, weighted_squares : ndarray, shape (K, G)
        Households with a value, sum of their weights, weighted mean, and sum of ``w (y - mean)^2``.
    plain_mean, squares : ndarray, shape (K, G)
        Mean and sum of squared deviations from it, each household counted once.
    """

    cells: tuple[Cell, ...]
    population: FloatArray
    n: FloatArray
    weight: FloatArray
    mean: FloatArray
    weighted_squares: FloatArray
    plain_mean: FloatArray
    squares: FloatArray

    @property
    def moments(self) -> tuple[FloatArray, ...]:
        """All of shape (K, G)."""
        return (
            self.n, self.weight, self.mean, self.weighted_squares, self.plain_mean, self.squares,
        )  # fmt: skip

    def known(self, values: FloatArray) -> FloatArray:
        """Values of cells that have a household, and 0 elsewhere."""
        return np.where(self.n > 0, values, 0.0)


def sums_of_batch(
    batch: pa.RecordBatch, keys: Sequence[str], measures: Sequence[str], weight: str, population: str
) -> UnitSums:
    """Sums of the rows of a batch that have all keys and a weight above 0.

    Parameters
    ----------
    batch
        Rows.
    keys
        Columns of text that cells differ by.
    measures, weight, population
        Columns of numbers.
    """
    labels = [batch.column(name).dictionary_encode() for name in keys]
    w = floats(batch, weight)
    there = np.flatnonzero(np.logical_and.reduce([w > 0, *(np.asarray(each.is_valid()) for each in labels)]))
    codes = [each.indices.to_numpy(zero_copy_only=False)[there].astype(np.int64) for each in labels]
    words = [each.dictionary.to_pylist() for each in labels]
    shape = [max(len(own), 1) for own in words]
    code, place = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
    cells = tuple(
        tuple(own[k] for own, k in zip(words, each, strict=True))
        for each in zip(*(c.tolist() for c in np.unravel_index(code, shape)), strict=True)
    )
    size, w = len(cells), w[there]
    units = floats(batch, population)[there]
    of_population = np.full(size, np.nan)
    known = np.flatnonzero(~np.isnan(units))[::-1]
    of_population[place[known]] = units[known]
    made = np.zeros((6, len(measures), size))
    for k, name in enumerate(measures):
        y, at, own = floats(batch, name)[there], place, w
        if batch.column(name).null_count:
            has_value = np.asarray(batch.column(name).is_valid())[there]
            y, at, own = y[has_value], place[has_value], w[has_value]
        n, total = np.bincount(at, minlength=size), np.bincount(at, own, size)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(at, own * y, size) / total
            away = y - mean[at]
            moved = np.bincount(at, away, size)
            squared = away * away
            squares = np.maximum(np.bincount(at, squared, size) - moved * (moved / n), 0.0)
            made[:, k] = n, total, mean, np.bincount(at, own * squared, size), mean + moved / n, squares
    return UnitSums(cells, of_population, *made)


def together(parts: Sequence[UnitSums]) -> UnitSums:
    """Sums over at least one batch of the same measures, with cells in order."""
    cells = tuple(sorted({cell for part in parts for cell in part.cells}))
    number = {cell: k for k, cell in enumerate(cells)}
    places = [np.array([number[cell] for cell in part.cells], dtype=np.int64) for part in parts]
    population = np.full(len(cells), np.nan)
    for part, place in reversed(list(zip(parts, places, strict=True))):
        known = ~np.isnan(part.population)
        population[place[known]] = part.population[known]
    n, weight, mean, weighted_squares, plain, squares = np.zeros((6, len(parts[0].n), len(cells)))
    if len(parts) == 1:
        every = (n, weight, mean, weighted_squares, plain, squares)
        for whole, own in zip(every, parts[0].moments, strict=True):
            whole[:, places[0]] = own
        return UnitSums(cells, population, *every)
    with np.errstate(invalid="ignore", divide="ignore"):
        for part, place in zip(parts, places, strict=True):
            n[:, place] += part.n
            weight[:, place] += part.weight
            mean[:, place] += part.known(part.weight * part.mean)
            plain[:, place] += part.known(part.n * part.plain_mean)
        mean, plain = mean / weight, plain / n
        for part, place in zip(parts, places, strict=True):
            between = part.weight * (part.mean - mean[:, place]) ** 2
            weighted_squares[:, place] += part.known(part.weighted_squares + between)
            between = part.n * (part.plain_mean - plain[:, place]) ** 2
            squares[:, place] += part.known(part.squares + between)
    return UnitSums(cells, population, n, weight, mean, weighted_squares, plain, squares)
