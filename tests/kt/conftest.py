"""Keras runs on JAX in these tests, or on LSTUNE_TEST_BACKEND: chosen here, before any test can import it."""

from __future__ import annotations

import os
import warnings

os.environ["KERAS_BACKEND"] = os.environ.get("LSTUNE_TEST_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tiny models: most of the time is compilation.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest


@pytest.fixture(scope="session")
def keras_tuner():
    """The real Keras Tuner, where it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras_tuner")


@pytest.fixture
def data():
    """24 windows of 5 steps, and their sums."""
    x = np.random.default_rng(3).normal(size=(24, 5, 1)).astype("float32")
    return x, x.sum(axis=1)
