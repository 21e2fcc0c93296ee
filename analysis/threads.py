"""Threads of linear algebra.

Belongs here: how many it may take. Does not belong here: threads of ours.
"""

from contextlib import AbstractContextManager
from functools import cache

import scipy.linalg  # noqa: F401  its library counts too, and is found only where it is loaded
from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[object]:
    """Let linear algebra use one thread: on matrices this small more of them only wait for each other."""
    return _libraries().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]


@cache
def _libraries() -> ThreadpoolController:
    # looking for them takes ten milliseconds, and a refresh asks hundreds of times
    return ThreadpoolController()
