import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.search import TrialRecord, TrialState
from lstune.series import Series
from lstune.tuning.progress import Progress


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
# Enough to learn the series of `make_series`.
GOOD = {**TINY, "epochs": 30, "learning_rate": 0.02, "batch_size": 8, "patience": 10}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run one row ahead; look at it, and leave its folder as it is."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return lstune.tune(make_series(), trials=5, space=GOOD, seed=1, workers=2, out=out)


@pytest.fixture(scope="session")
def multi(tmp_path_factory):
    """The same, four rows ahead."""
    out = tmp_path_factory.mktemp("runs") / "multi"
    return lstune.tune(make_series(), horizon=4, trials=4, space=TINY, method="random", workers=1, out=out)


class Notes(Progress):
    """Keeps what a run tells."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)
