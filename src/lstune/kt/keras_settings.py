"""Keras' state that belongs to a thread and that `clear_session` drops: carried on, and names begun anew.

Keras offers no other way to either than its own modules below `keras.src`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

__all__ = ["KerasSettings", "name_anew"]


@dataclass(frozen=True)
class KerasSettings:
    """The dtype policy of new layers, and whether Keras prints or logs.

    session: what Keras keeps all threads' settings in, another object after `clear_session`.
    """

    policy: Any
    interactive_logging: bool
    session: Any = None

    @classmethod
    def here(cls) -> KerasSettings | None:
        """This thread's; None where Keras is not loaded, as in a search for anything but models."""
        keras = sys.modules.get("keras")
        if keras is None:
            return None
        return cls(keras.config.dtype_policy(), keras.config.is_interactive_logging_enabled(), _session())

    def apply(self) -> None:
        """Make them this thread's."""
        keras = sys.modules["keras"]
        keras.config.set_dtype_policy(self.policy)
        if self.interactive_logging:
            keras.config.enable_interactive_logging()
        else:
            keras.config.disable_interactive_logging()

    def restore(self) -> None:
        """Make them this thread's again if the session was cleared meanwhile, by whatever thread."""
        if self.session is not _session():
            self.apply()


def _session() -> Any:
    from keras.src.backend.common import global_state

    return global_state.GLOBAL_STATE_TRACKER


def name_anew() -> None:
    """Have layers named "lstm", "dense", "dense_1" from the first one on, as Keras Tuner has in each trial.

    Names are how a notebook asks for a layer, and how Keras calls the metrics of several outputs.
    """
    from keras.src.utils.naming import reset_uids

    reset_uids()
