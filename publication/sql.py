"""SQL text for names and values that come from data, as publication calls it.

Belongs here: names only; the quoting itself is `survey.sql`. Does not belong here: any query.
"""

from survey.sql import identifier as name
from survey.sql import text

__all__ = ["name", "text"]
