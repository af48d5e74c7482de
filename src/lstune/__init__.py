"""lstune finds a good LSTM for a time series, fast, and says honestly what it is worth.

    >>> import lstune
    >>> run = lstune.tune("amzn", budget="60s")  # doctest: +SKIP
    >>> print(run.verdict)  # doctest: +SKIP
    >>> run.predict(steps=30)  # doctest: +SKIP

Axis letters, everywhere the same: N windows, B batch, L lookback, C input channels, H horizon,
U units, G = 4U gates, E epochs, K folds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lstune._version import __version__

if TYPE_CHECKING:
    from lstune.errors import DataError, LstuneError, SpaceError, StudyError, UserError
    from lstune.forecaster import Forecaster
    from lstune.search import Choice, Fixed, Float, Int, Space
    from lstune.series import Series, read_series
    from lstune.tuning.compare import Comparison, compare
    from lstune.tuning.resume import resume
    from lstune.tuning.run import Run, load, tune

__all__ = [
    "Choice",
    "Comparison",
    "DataError",
    "Fixed",
    "Float",
    "Forecaster",
    "Int",
    "LstuneError",
    "Run",
    "Series",
    "Space",
    "SpaceError",
    "StudyError",
    "UserError",
    "__version__",
    "compare",
    "load",
    "read_series",
    "resume",
    "tune",
]

# Loaded on first use: importing lstune costs nothing until something is asked of it.
_HOMES = {
    "lstune.errors": ("DataError", "LstuneError", "SpaceError", "StudyError", "UserError"),
    "lstune.forecaster": ("Forecaster",),
    "lstune.search": ("Choice", "Fixed", "Float", "Int", "Space"),
    "lstune.series": ("Series", "read_series"),
    "lstune.tuning.compare": ("Comparison", "compare"),
    "lstune.tuning.resume": ("resume",),
    "lstune.tuning.run": ("Run", "load", "tune"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
