"""As in Keras Tuner."""

from lstune.kt.objective import Objective
from lstune.kt.oracle import Oracle

__all__ = ["Objective", "Oracle"]
