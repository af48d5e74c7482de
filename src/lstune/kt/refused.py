"""What Keras Tuner offers and this does not: refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["REFUSED", "reason", "refuser"]

REFUSED = {
    "SklearnTuner": "it tunes scikit-learn models, which have no epochs and no LSTM in them",
    "applications": "its ready-made models are for images",
}


def reason(name: str) -> str:
    """Why it is not offered, and what to do."""
    return f"lstune.kt has no {name}: {REFUSED[name]}. Use keras_tuner.{name} for it."


def refuser(module: str) -> Callable[[str], Any]:
    """A module's `__getattr__`; a `from ... import` has Python's own words instead."""

    def refuse(name: str) -> Any:
        known = name in REFUSED
        raise AttributeError(reason(name) if known else f"module {module!r} has no attribute {name!r}")

    return refuse
