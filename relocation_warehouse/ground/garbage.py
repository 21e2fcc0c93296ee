"""Python's search for garbage, which goes through all that was ever loaded unless it is told what stays.

Belongs here: telling it. Does not belong here: what is worth loading.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_loaded() -> Iterator[None]:
    """Load in the block what stays until the process ends; nobody looks through it for garbage, then or later.

    Libraries, the asset graph and what dbt parsed are millions of objects; to look through them again and again took an
    eighth of a refresh.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
