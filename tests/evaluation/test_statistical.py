import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from lstune.errors import MissingExtraError, UserError
from lstune.evaluation import BASELINES, start_statistical, statistical, wanted_statistical
from lstune.evaluation._filters import arima_forecasts, ets_forecasts, theta_forecasts
from lstune.evaluation._fit_statistical import fit_forecasts
from lstune.evaluation.statistical import write_answer

KNOWN, ROWS, HORIZON = 150, 190, 7
ORIGINS = np.arange(KNOWN - 1, ROWS)


def waves():
    """150 known rows of a seasonal series with a trend, and forty more."""
    rng = np.random.default_rng(2)
    t = np.arange(ROWS)
    return 50 + 5 * np.sin(t * 2 * np.pi / 12) + 0.1 * t + rng.normal(size=ROWS)


def fitted(model, values=None):
    y = waves() if values is None else values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(y[:KNOWN])


@pytest.mark.usefixtures("with_statsforecast")
@pytest.mark.parametrize("model", ["ANN", "AAN", "ANA", "AAA", "MNM", "MAM", "MNA"])
def test_exponential_smoothing_goes_on_as_statsforecast_does(model):
    from statsforecast.models import AutoETS

    y = waves()
    fit = fitted(AutoETS(season_length=12, model=model, damped=False))
    got = ets_forecasts(fit.model_, y, ORIGINS, HORIZON)
    for row in (0, 1, 17, 40):
        wanted = fit.forward(y[: ORIGINS[row] + 1], h=HORIZON)["mean"]
        np.testing.assert_allclose(got[row], wanted, rtol=1e-10)


@pytest.mark.usefixtures("with_statsforecast")
def test_a_damped_trend_follows_the_book():
    from statsforecast.models import AutoETS

    y = waves()
    fit = fitted(AutoETS(season_length=1, model="AAN", damped=True))
    got = ets_forecasts(fit.model_, y, ORIGINS, HORIZON)
    phi = fit.model_["par"][3]
    for row in (0, 17):
        ahead = fit.forward(y[: ORIGINS[row] + 1], h=1)
        np.testing.assert_allclose(got[row, 0], ahead["mean"][0], rtol=1e-10)
        growth = np.diff(got[row])
        np.testing.assert_allclose(growth[1:], phi * growth[:-1], rtol=1e-8)


@pytest.mark.usefixtures("with_statsforecast")
@pytest.mark.parametrize("model", ["STM", "OTM", "DSTM", "DOTM"])
@pytest.mark.parametrize("season", [1, 12])
def test_theta_goes_on_as_statsforecast_does(model, season):
    from statsforecast.theta import auto_theta, forecast_theta

    y = waves()
    fit = auto_theta(y[:KNOWN], season, model=model)
    got = theta_forecasts(fit, y, ORIGINS, HORIZON)
    np.testing.assert_allclose(got[0], forecast_theta(fit, HORIZON)["mean"], rtol=1e-10)
    assert bool(fit.get("decompose")) == (season == 12)
    if season == 1 and model in ("DSTM", "DOTM"):  # the others refit their line when rows are added
        par = {"initial_smoothed": fit["par"]["initial_smoothed"], "alpha": fit["par"]["alpha"]}
        for row in (1, 17, 40):
            later = auto_theta(y[: ORIGINS[row] + 1], 1, model=model, theta=fit["par"]["theta"], **par)
            np.testing.assert_allclose(got[row], forecast_theta(later, HORIZON)["mean"], rtol=1e-10)


@pytest.mark.usefixtures("with_statsforecast")
@pytest.mark.parametrize(
    ("order", "tolerance"),
    [
        ({"d": 1, "D": 0}, 1e-4),
        ({"d": 0, "D": 0}, 1e-8),
        ({"d": 1, "D": 1}, 1e-2),  # a seasonal moving average of 150 rows has not settled yet
        ({"d": 2, "D": 0}, 1e-3),
    ],
)
def test_arima_goes_on_as_statsforecast_does(order, tolerance):
    from statsforecast.models import AutoARIMA

    y = waves()
    fit = fitted(AutoARIMA(season_length=12, **order))
    got = arima_forecasts(fit.model_, y, ORIGINS, HORIZON)
    for row in (0, 1, 17, 40):
        wanted = fit.forward(y[: ORIGINS[row] + 1], h=HORIZON)["mean"]
        np.testing.assert_allclose(got[row], wanted, atol=tolerance)


@pytest.mark.usefixtures("with_statsforecast")
@pytest.mark.parametrize("name", statistical.STATISTICAL)
@pytest.mark.parametrize("horizon", [1, 4])
def test_nothing_after_an_origin_moves_its_forecast(name, horizon):
    y = waves()
    changed = y.copy()
    changed[171:] += 30.0
    origins = np.arange(159, ROWS - horizon)
    before, after = (fit_forecasts(name, values, origins, horizon, 12) for values in (y, changed))
    assert before.shape == (len(origins), horizon)
    seen = origins <= 170
    np.testing.assert_array_equal(before[seen], after[seen])
    assert (before[~seen] != after[~seen]).any()


@pytest.mark.usefixtures("with_statsforecast")
def test_a_process_of_its_own_gives_the_same():
    y, origins = waves(), np.arange(159, ROWS - 2)
    fit = start_statistical(["auto_theta", "auto_ets"], y, origins, horizon=2, season=12, limit=120.0)
    try:
        found, notes = fit.collect(120.0)
    finally:
        fit.close()
    assert notes == []
    assert list(found) == ["auto_theta", "auto_ets"]
    for name, forecasts in found.items():
        np.testing.assert_array_equal(forecasts, fit_forecasts(name, y, origins, 2, 12))


def test_what_is_not_ready_is_left_out_and_named():
    fit = start_statistical(["auto_arima"], waves(), ORIGINS[:-1], horizon=1, season=12, limit=60.0)
    try:
        found, notes = fit.collect(0.0)  # no interpreter starts within no time
    finally:
        fit.close()
    assert found == {}
    assert notes == ["AutoARIMA is left out: it was not fitted in time."]
    assert fit.process.poll() is not None


def answered(answers, cut=0):
    """What is collected from a process that has written these answers, the last one short of `cut` bytes."""
    file = io.BytesIO()
    for name, answer in answers.items():
        write_answer(file, name, answer)
    file.truncate(file.tell() - cut)
    fit = statistical.StatisticalFit(("auto_theta", "auto_ets"), (40, 2), file, None)
    with contextlib.closing(fit):
        return fit.collect(0.0)


def test_a_model_that_fails_is_left_out_and_says_why():
    good, bad = np.arange(80.0).reshape(40, 2), np.full((40, 2), np.nan)
    found, notes = answered({"auto_ets": "ValueError: no", "auto_theta": bad})
    assert found == {}
    assert notes == [
        "AutoTheta is left out: its forecasts are not finite.",
        "AutoETS is left out: ValueError: no.",
    ]
    found, notes = answered({"auto_theta": good, "auto_ets": good[1:]})
    assert list(found) == ["auto_theta"]
    np.testing.assert_array_equal(found["auto_theta"], good)
    assert notes == ["AutoETS is left out: its forecasts are not finite."]


@pytest.mark.parametrize("cut", [1, 8, 640, 660])
def test_an_answer_that_was_cut_off_is_none(cut):
    good = np.arange(80.0).reshape(40, 2)
    found, notes = answered({"auto_ets": good, "auto_theta": good}, cut)
    assert list(found) == ["auto_ets"]
    assert notes == ["AutoTheta is left out: it was not fitted in time."]


def test_without_a_process_every_model_is_left_out(monkeypatch):
    monkeypatch.setattr(statistical.sys, "executable", "/no/such/program")
    fit = start_statistical(["auto_ets"], waves(), ORIGINS, horizon=1, season=1, limit=60.0)
    with contextlib.closing(fit):
        found, notes = fit.collect(60.0)
    assert found == {}
    assert len(notes) == 1
    assert "AutoETS is left out: no process for it" in notes[0]


# Begins to fit, and is killed while the process that fits waits to go on.
ORPHAN = """
import os, signal, tempfile
import numpy as np
from lstune.evaluation import start_statistical
wave = np.sin(np.arange(99.0))
fit = start_statistical(["auto_theta"], wave, np.arange(80, 90), horizon=1, season=1, limit=300)
os.kill(fit.process.pid, signal.SIGSTOP)
print(fit.process.pid, os.listdir(tempfile.gettempdir()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def has_ended(number):
    """Whether a process is gone; one that nobody has asked for its exit status counts as gone."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux to look into another process")
def test_a_killed_run_leaves_no_file_and_no_process(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    number, files = done.stdout.split(maxsplit=1)
    assert files == "[]\n"
    with open(f"/proc/{number}/fd/1", "rb") as answers:
        os.kill(int(number), signal.SIGCONT)
        until = time.monotonic() + 240
        while not has_ended(int(number)):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert answers.read() == b""  # it has not fitted what nobody would read
    assert list(tmp_path.iterdir()) == []


def test_what_is_asked_for(monkeypatch):
    assert wanted_statistical("auto") == wanted_statistical("simple") == ()
    with pytest.raises(UserError, match="auto_lstm"):
        wanted_statistical("auto_ets,auto_lstm")
    with pytest.raises(MissingExtraError, match=r"AutoARIMA.*pip install 'lstune\[stats\]'"):
        wanted_statistical("auto_arima")
    monkeypatch.setattr(statistical, "is_statsforecast_installed", lambda: True)
    assert wanted_statistical("auto") == ("auto_theta", "auto_ets", "auto_arima")
    assert wanted_statistical("auto_arima, auto_ets") == ("auto_arima", "auto_ets")
    assert all(BASELINES[name].extra == "stats" for name in wanted_statistical("auto"))
