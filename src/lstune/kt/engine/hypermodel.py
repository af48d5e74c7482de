"""As in Keras Tuner."""

from lstune.kt.hypermodel import HyperModel

__all__ = ["HyperModel"]
