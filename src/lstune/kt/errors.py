"""Keras Tuner's exceptions, under their own names."""

from __future__ import annotations

__all__ = ["FailedTrialError", "FatalError", "FatalRuntimeError", "FatalTypeError", "FatalValueError"]


class FailedTrialError(Exception):
    """Raise it while building or training to mark the trial FAILED, without another try."""


class FatalError(Exception):
    """Ends the whole search; a trial does not swallow it."""


class FatalValueError(FatalError, ValueError):
    """A wrong value that ends the search."""


class FatalTypeError(FatalError, TypeError):
    """A wrong type that ends the search."""


class FatalRuntimeError(FatalError, RuntimeError):
    """A failure that ends the search."""


class SearchOver(Exception):
    """The search was told to end while a trial was running (lstune's own; never seen by users)."""
