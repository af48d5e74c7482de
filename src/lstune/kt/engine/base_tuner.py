"""As in Keras Tuner."""

from lstune.kt.base_tuner import BaseTuner

__all__ = ["BaseTuner"]
