"""Every exception that lstune raises on purpose.

The tree::

    LstuneError                     anything below; the command line prints it without a traceback
    ├── UserError                   the caller can mend it: exit code 2
    │   ├── DataError               a series or file cannot be used as it is
    │   ├── SpaceError              a search space or a setting is malformed
    │   ├── ConfigError             a model or training configuration is not trainable
    │   └── MissingExtraError       an optional package is needed; names the extra to install
    ├── RunError                    a run's folder is missing, foreign, locked or damaged: exit code 2
    │   └── StorageError            disk or database refuse a study's records; then `resume`
    └── StudyError                  the search itself could not give a result: exit code 1

A message gives three things: the rule that does not hold, what was received, and the next step.
`explain` words all of them the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "ConfigError",
    "DataError",
    "LstuneError",
    "MissingExtraError",
    "RunError",
    "SpaceError",
    "StorageError",
    "StudyError",
    "UserError",
    "explain",
    "missing_extra",
    "nearest",
]


class LstuneError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UserError(LstuneError):
    """Something the caller gave cannot be used and the caller can mend it."""

    exit_code = 2


class DataError(UserError):
    """A series, file or array cannot be used as it is."""


class SpaceError(UserError):
    """A search space, a hyperparameter or a value for one is malformed."""


class ConfigError(UserError):
    """A model or training configuration cannot be trained."""


class MissingExtraError(UserError):
    """An optional package is not installed."""


class RunError(LstuneError):
    """A run's folder is missing, foreign, locked or damaged."""

    exit_code = 2


class StorageError(RunError):
    """A disk or a database refuses to keep a study's records, now: nothing told before is lost."""


class StudyError(LstuneError):
    """The search ended without any usable result."""


def explain(rule: str, received: Any = None, fix: str | None = None) -> str:
    """Word an error message: the rule, what was received, and the next step.

    `received` is shown as given if it is a string, else by its `repr`, cut at 200 characters.
    """
    parts = [rule.rstrip(".") + "."]
    if received is not None:
        shown = received if isinstance(received, str) else repr(received)
        if len(shown) > 200:
            shown = shown[:197] + "..."
        parts.append(f"Received: {shown.rstrip('.')}.")
    if fix is not None:
        parts.append(fix.rstrip(".") + ".")
    return " ".join(parts)


def nearest(name: Any, names: Iterable[str]) -> str | None:
    """The step after a name that is none: which of `names` may be meant, if one is near."""
    lowered = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), lowered, 3, 0.7) if isinstance(name, str) else []
    return f"Perhaps {' or '.join(repr(lowered[match]) for match in close)} is meant" if close else None


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an optional package that is not installed."""
    return MissingExtraError(
        explain(
            f"{purpose} needs the package '{package}', which is not installed",
            fix=f"Install it with: pip install 'lstune[{extra}]'",
        )
    )
