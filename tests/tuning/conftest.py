import numpy as np
import pandas as pd
import pytest

from lstune.search import TrialRecord, TrialState
from lstune.series import Series


def make_series(rows=300, seed=0, season=12, noise=0.2, dated=True, **extra):
    rng = np.random.default_rng(seed)
    values = 10 + np.sin(np.arange(rows) * 2 * np.pi / season) + noise * rng.normal(size=rows)
    stamps = pd.date_range("2020-01-01", periods=rows, freq="D") if dated else pd.RangeIndex(rows)
    return Series(stamps, values, freq="D" if dated else "", season=season, seasonal=True, **extra)


def record(number, value, state=TrialState.COMPLETE, seconds=6.0, epochs=6, params=None):
    """A trial as the study keeps it, best at its third epoch."""
    curve = {epoch: value + abs(epoch - 3) for epoch in range(1, epochs + 1)} if value is not None else {}
    return TrialRecord(number, params or {}, state, value, epochs, curve, attrs={"seconds": seconds})


@pytest.fixture
def series():
    return make_series()


# Small enough for a trial to take milliseconds.
TINY = {
    "units": 4,
    "lookback": [6, 12],
    "transform": ["level", "difference"],
    "supervision": "every",
    "layers": 1,
    "calendar": "none",
    "lags": "none",
    "level_input": False,
    "epochs": 6,
    "patience": 3,
    "stride": "lookback/2",
}
