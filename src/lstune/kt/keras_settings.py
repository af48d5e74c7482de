"""Settings of Keras that belong to a thread and that `clear_session` drops: carried on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["KerasSettings"]


@dataclass(frozen=True)
class KerasSettings:
    """The dtype policy of new layers, and whether Keras prints or logs."""

    policy: Any
    interactive_logging: bool

    @classmethod
    def here(cls) -> KerasSettings | None:
        """This thread's; None where Keras is not loaded, as in a search for anything but models."""
        keras = sys.modules.get("keras")
        if keras is None:
            return None
        return cls(keras.config.dtype_policy(), keras.config.is_interactive_logging_enabled())

    def apply(self) -> None:
        """Make them this thread's."""
        keras = sys.modules["keras"]
        keras.config.set_dtype_policy(self.policy)
        if self.interactive_logging:
            keras.config.enable_interactive_logging()
        else:
            keras.config.disable_interactive_logging()
