"""As in Keras Tuner."""

from lstune.kt.trial import Trial, TrialStatus

__all__ = ["Trial", "TrialStatus"]
