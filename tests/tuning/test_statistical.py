"""The statistical baselines beside a run: it ends well without them too."""

import sys
import tempfile

import pytest

from lstune.series import split_series
from lstune.tuning.clock import Budget
from lstune.tuning.options import TuneOptions
from lstune.tuning.statistical import fitted_beside

from .conftest import make_series


def no_room():
    raise FileNotFoundError(2, "No usable temporary directory found")


@pytest.mark.parametrize(
    ("owner", "name", "value", "why"),
    [
        # A container whose disk is read-only but for the run's folder, and embedded Pythons.
        (tempfile, "TemporaryFile", no_room, "No usable temporary directory found"),
        (sys, "executable", None, "there is no Python to start"),
        (sys, "executable", "/usr/bin/uwsgi", "there is no Python to start"),
    ],
)
def test_where_no_process_can_fit_them_they_are_left_out(monkeypatch, owner, name, value, why):
    series = make_series()
    split = split_series(
        series, test_fraction=0.15, validation_fraction=0.15, folds=1, max_lookback=12, horizon=1
    )
    monkeypatch.setattr(owner, name, value)
    with fitted_beside(("auto_ets",), series, split, TuneOptions(), Budget(None, 0.0)) as collect:
        found, notes = collect(1.0)
    assert found == {}
    assert notes == [f"Statistical baselines are left out: {why}."]
