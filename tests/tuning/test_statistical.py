"""The statistical baselines beside a run: it ends well without them too."""

import tempfile

from lstune.series import split_series
from lstune.tuning.clock import Budget
from lstune.tuning.options import TuneOptions
from lstune.tuning.statistical import fitted_beside

from .conftest import make_series


def test_where_no_temporary_file_can_be_made_they_are_left_out(monkeypatch):
    """As in a container whose disk is read-only but for the run's folder."""

    def refuse():
        raise FileNotFoundError(2, "No usable temporary directory found")

    series = make_series()
    split = split_series(
        series, test_fraction=0.15, validation_fraction=0.15, folds=1, max_lookback=12, horizon=1
    )
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with fitted_beside(("auto_ets",), series, split, TuneOptions(), Budget(None, 0.0)) as collect:
        found, notes = collect(1.0)
    assert found == {}
    assert notes == ["Statistical baselines are left out: No usable temporary directory found."]
