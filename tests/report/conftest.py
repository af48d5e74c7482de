import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.series import Series

# Small enough for a trial to take milliseconds.
TINY = {
    "units": [3, 4],
    "lookback": {"type": "int", "low": 6, "high": 12},
    "learning_rate": {"type": "float", "low": 0.001, "high": 0.1, "log": True},
    "transform": ["level", "difference"],
    "supervision": "every",
    "layers": 1,
    "activation": "tanh",
    "dropout": 0.0,
    "loss": "mae",
    "batch_size": 16,
    "optimizer": "adam",
    "calendar": "none",
    "epochs": 6,
    "patience": 3,
    "stride": "lookback/2",
}


def make_series(rows=300, seed=0, noise=0.2, name="waves", dated=True, target="value"):
    rng = np.random.default_rng(seed)
    values = 10 + np.sin(np.arange(rows) * 2 * np.pi / 12) + noise * rng.normal(size=rows)
    stamps = pd.date_range("2020-01-01", periods=rows, freq="D") if dated else pd.RangeIndex(rows)
    freq = "D" if dated else ""
    return Series(stamps, values, target=target, freq=freq, season=12, seasonal=True, name=name)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run that forecasts 3 rows at once."""
    folder = tmp_path_factory.mktemp("runs") / "three"
    return lstune.tune(make_series(), horizon=3, trials=14, space=TINY, seed=1, out=folder)


@pytest.fixture(scope="session")
def undated(tmp_path_factory):
    """A run of one step on many rows without dates, whose names try to break the page."""
    series = make_series(rows=1400, dated=False, name="a</script><i>b", target="<b>&amp;\"'")
    folder = tmp_path_factory.mktemp("runs") / "one"
    return lstune.tune(series, trials=4, space={**TINY, "units": 4}, seed=1, out=folder)
