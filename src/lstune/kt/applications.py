"""Keras Tuner's package of models for images, which is not offered: importing this says so."""

from lstune.kt.refused import reason

raise ImportError(reason("applications"), name=__name__)
