"""Keras Tuner's `engine` package: the same names at the same places."""

from lstune.kt.engine import base_tuner, hypermodel, hyperparameters, metrics_tracking, oracle, trial, tuner

__all__ = ["base_tuner", "hypermodel", "hyperparameters", "metrics_tracking", "oracle", "trial", "tuner"]
