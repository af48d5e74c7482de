"""Nothing is lost: after any kind of end, `resume` gives the trials of the uninterrupted run."""

import json
import random
import signal
import time
from contextlib import suppress

import pandas as pd
import pytest

import lstune
from lstune.errors import RunError
from lstune.report import collect
from lstune.series import series_frame
from lstune.tuning.folder import RunFolder
from lstune.tuning.limits import times_scored
from lstune.tuning.progress import Progress
from lstune.tuning.resume import resume

from .conftest import TINY, make_series

SPACE = {**TINY, "units": [3, 4, 5, 6, 7], "epochs": 18}
COMPARED = ["trial", "state", "validation_mae", "epochs_trained", "lookback", "transform", "units"]


class PressAfter(Progress):
    """Ctrl-C once so many trials are done."""

    def __init__(self, count):
        self.count = count

    def show(self, snapshot):
        if snapshot.trials >= self.count and snapshot.best is not None:
            self.count = 10**9
            raise KeyboardInterrupt


def without_time(result):
    """A result without what tells how the run came to it: its clock, and the scorings of its sessions."""
    plain = {key: value for key, value in result.items() if key not in ("seconds", "interrupted")}
    return {**plain, "test": {key: value for key, value in plain["test"].items() if key != "scored"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return lstune.tune(make_series(), trials=14, space=SPACE, workers=1, seed=2, out=out)


def test_after_ctrl_c(whole, tmp_path, monkeypatch):
    # The trials are so short that all of them may end between two looks at the usual pace.
    monkeypatch.setattr("lstune.tuning.executors.threads._TICK", 0.001)
    first = lstune.tune(
        make_series(), trials=14, space=SPACE, workers=1, seed=2, out=tmp_path / "run", progress=PressAfter(3)
    )
    assert first.result["interrupted"]
    assert sum(first.result["trials"].values()) < 14
    second = resume(tmp_path / "run")
    assert not second.result["interrupted"]
    assert [run.result["test"]["scored"] for run in (whole, first, second)] == [1, 1, 2]
    assert collect(whole.path).honesty[-1].rows == "test, seen once"
    assert collect(second.path).honesty[-1].rows == "test, seen twice"
    pd.testing.assert_frame_equal(second.trials[COMPARED], whole.trials[COMPARED])
    assert without_time(second.result) == without_time(whole.result)


def test_a_finished_run_can_search_longer(whole, tmp_path):
    lstune.tune(make_series(), trials=6, space=SPACE, workers=1, seed=2, out=tmp_path / "run")
    with pytest.raises(RunError, match="finished"):
        resume(tmp_path / "run")
    longer = resume(tmp_path / "run", trials=14)
    assert len(longer.trials) == 14
    # A result of an earlier version counts as one; a damaged one is replaced all the same.
    written = json.loads((longer.path / "result.json").read_text())
    assert written["test"].pop("scored") == 2
    (longer.path / "result.json").write_text(json.dumps(written))
    assert collect(longer.path).honesty[-1].rows == "test, seen once"
    assert times_scored(RunFolder(longer.path)) == 1
    (longer.path / "result.json").write_text("{")
    assert times_scored(RunFolder(longer.path)) == 1
    assert times_scored(RunFolder(tmp_path)) == 0
    # Suggested and trained alike; which ones were promoted when differs, for 6 were once all there were.
    same = ["trial", "lookback", "transform", "units"]
    pd.testing.assert_frame_equal(longer.trials[same].head(6), whole.trials[same].head(6))


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(RunError, match=r"settings\.json"):
        resume(tmp_path)


def test_a_run_that_was_cut_off_before_its_first_trial(whole, tmp_path):
    import shutil

    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "series.npz"):
        shutil.copy(whole.path / name, folder / name)
    again = resume(folder)
    pd.testing.assert_frame_equal(again.trials[COMPARED], whole.trials[COMPARED])


@pytest.mark.slow
def test_twenty_kills_change_nothing(processes, tmp_path):
    series_frame(make_series()).rename_axis("day").to_csv(tmp_path / "data.csv")
    (tmp_path / "space.json").write_text(json.dumps({**SPACE, "epochs": 40, "patience": 0}))
    args = ["tune", tmp_path / "data.csv", "--trials", 25, "--workers", 1, "--seed", 2]
    args += ["--space", tmp_path / "space.json", "--baselines", "simple"]
    began = time.monotonic()
    whole = processes.start(*args, "--out", tmp_path / "whole")
    assert whole.wait() == 0, whole.errors
    usual = time.monotonic() - began
    moments = random.Random(7)
    folder, kills, runs, command = tmp_path / "run", 0, 1, [*args, "--out", tmp_path / "run"]
    while kills < 20:
        process = processes.start(*command)
        # Early moments as well as late ones; later sessions have less left to do.
        with suppress(TimeoutError):
            process.wait(moments.uniform(0.02, 0.6) * usual)
        process.kill()
        assert process.poll() in (0, -signal.SIGKILL), process.errors
        kills += process.poll() != 0
        if (folder / "settings.json").exists():
            command = ["resume", folder]
        if (folder / "result.json").exists():  # all done before twenty kills: begin anew
            _compare(tmp_path / "whole", folder)
            runs += 1
            folder = tmp_path / f"run{runs}"
            command = [*args, "--out", folder]
    last = processes.start(*command)
    assert last.wait() == 0, last.errors
    _compare(tmp_path / "whole", folder)


def _compare(whole, folder):
    a, b = lstune.load(whole), lstune.load(folder)
    pd.testing.assert_frame_equal(a.trials[COMPARED], b.trials[COMPARED])
    assert without_time(a.result) == without_time(b.result)
