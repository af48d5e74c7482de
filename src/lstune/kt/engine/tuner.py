"""As in Keras Tuner."""

from lstune.kt.tuner import Tuner, maybe_distribute

__all__ = ["Tuner", "maybe_distribute"]
