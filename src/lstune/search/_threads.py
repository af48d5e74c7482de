"""Keeping linear algebra to one thread while a suggestion is computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401  (brings a BLAS of its own, which has to be loaded to be found)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS with one thread inside.

    Trainings run on every core meanwhile. Two BLAS threads that wait for each other at every small product,
    on cores that are taken, made a suggestion of 20 ms one of 300 ms, and slowed the trainings.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
