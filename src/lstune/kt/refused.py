"""What Keras Tuner offers and this does not: refused with the reason, however it is asked for."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import FrameType
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
    """A module's `__getattr__`."""

    def refuse(name: str) -> Any:
        if name not in REFUSED:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if _is_from_import(sys._getframe(1)):
            raise ImportError(reason(name), name=module)
        # Not an ImportError too: hasattr is to say no.
        raise AttributeError(reason(name))

    return refuse


def _is_from_import(frame: FrameType) -> bool:
    """Whether this frame is at a `from ... import name`, which drops the text of an AttributeError."""
    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and dis.opname[code[frame.f_lasti]] == "IMPORT_FROM"
