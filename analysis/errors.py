"""Named errors of the statistics, each with a message a survey analyst can act on.

Belongs here: one class for every kind of input that has no honest answer. Does not belong here: file or
schema errors (the readers own those) and warnings (a result that cannot be trusted is refused, not warned).
"""


class AnalysisError(ValueError):
    """A statistic was asked for that the data cannot give."""


class MissingColumnError(AnalysisError):
    """A column that the analysis needs is not in the data."""


class NonNumericColumnError(AnalysisError):
    """A column holds text, dates or nested values where numbers are needed."""


class MissingValueError(AnalysisError):
    """A missing value was found although the policy says there are none."""


class InfiniteValueError(AnalysisError):
    """An infinite value was found; it would turn every result into NaN."""


class InvalidWeightError(AnalysisError):
    """A weight is negative, or a frequency weight is not a whole number."""


class EmptyGroupError(AnalysisError):
    """A group has no complete row."""


class TooFewRowsError(AnalysisError):
    """There are not more rows than coefficients."""


class ConstantColumnError(AnalysisError):
    """A column has one value only, so it has no variance, slope or correlation."""


class CollinearColumnsError(AnalysisError):
    """A column is a linear combination of others, so its coefficient is not identified."""


class UnknownLevelError(AnalysisError):
    """A categorical answer is not among the declared levels."""


class SummaryMismatchError(AnalysisError):
    """Summaries of different columns or weights cannot be combined."""


class TooFewClustersError(AnalysisError):
    """There are too few clusters (or too few sampling units in a stratum) for the method."""


class TooFewGroupsError(AnalysisError):
    """A comparison needs at least two groups or studies."""


class SeparationError(AnalysisError):
    """A regressor tells an outcome without error, so that its coefficient on the log odds has no finite estimate."""


class BelowRoundingError(AnalysisError):
    """What a test measures is smaller than the rounding of the numbers it is computed from."""


class InvalidOptionError(AnalysisError):
    """An option, specification or parameter is outside what the method defines."""
