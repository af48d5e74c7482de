"""Trials in one process give back what they took."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest

from lstune.engine import OptimizerConfig, TrainConfig, Windows, lstm_model, predict, train

STATUS = Path("/proc/self/status")


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not STATUS.exists(), reason="needs /proc")
def test_two_hundred_trials_grow_by_less_than_50_mib(rng):
    """Trials of many shapes, as a search has them. A workspace of the larger ones takes about 8 MiB."""
    rows = rng.normal(size=(400, 1)).astype(np.float32)
    shapes = []
    for _ in range(200):
        units, lookback = int(rng.integers(8, 97)), int(rng.integers(5, 60))
        shapes.append((units, lookback, int(rng.choice([8, 16, 32])), int(rng.integers(1, 3))))
    after_ten = 0.0
    for number, (units, lookback, batch, layers) in enumerate(shapes):
        starts = np.arange(0, 400 - lookback - 1, 24)
        data = Windows(rows, starts, lookback, rows, starts + lookback)
        model = lstm_model(1, units=units, layers=layers, dropout=0.1)
        config = TrainConfig(epochs=1, batch_size=batch, optimizer=OptimizerConfig("adam", 0.01))
        result = train(model, config, data, validation=data, seed=number)
        predict(model, result.weights, data)
        if number == 9:
            gc.collect()
            after_ten = resident_mib()
    gc.collect()
    assert resident_mib() - after_ten < 50
