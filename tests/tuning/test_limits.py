"""New limits outlast every end of a resumed run but its result."""

import json
import shutil
import signal
from types import SimpleNamespace

import pandas as pd
import pytest

import lstune
from lstune.errors import RunError, UserError
from lstune.search import TrialRecord, TrialState
from lstune.tuning.folder import RunFolder
from lstune.tuning.limits import current_options, is_finished, take_limits
from lstune.tuning.options import TuneOptions
from lstune.tuning.resume import resume

from .conftest import TINY, make_series
from .test_resume import COMPARED, SPACE, PressAfter, without_time

KILLED = """
import json, os, signal, sys
from lstune.search import Study
from lstune.tuning.resume import resume

real, last = Study.report, int(sys.argv[2])

def report(self, number, epoch, value):
    if number == last and epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, number, epoch, value)

Study.report = report
resume(sys.argv[1], **json.loads(sys.argv[3]))
"""


def killed(processes, folder, number, **limits):
    """Resume, and be killed in the second epoch of the trial of that number."""
    process = processes.start(folder, number, json.dumps(limits), code=KILLED)
    assert process.wait() == -signal.SIGKILL, process.errors


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "short"
    return lstune.tune(make_series(), trials=4, space=SPACE, workers=1, seed=2, out=out)


@pytest.fixture(scope="module")
def longer(short, tmp_path_factory):
    """What nobody killed."""
    folder = shutil.copytree(short.path, tmp_path_factory.mktemp("runs") / "longer")
    return resume(folder, trials=9)


def test_a_finished_run_that_is_killed_while_it_searches_longer(short, longer, processes, tmp_path):
    folder = shutil.copytree(short.path, tmp_path / "run")
    killed(processes, folder, 6, trials=9)
    assert lstune.load(folder).result == short.result
    killed(processes, folder, 8)
    again = resume(folder)
    pd.testing.assert_frame_equal(again.trials[COMPARED], longer.trials[COMPARED])
    assert without_time(again.result) == without_time(longer.result)
    with pytest.raises(RunError, match="finished"):
        resume(folder)
    assert (folder / "settings.json").read_text() == (short.path / "settings.json").read_text()


def test_a_limit_below_the_trials_that_are_there_is_refused(short, tmp_path):
    folder = shutil.copytree(short.path, tmp_path / "run")
    with pytest.raises(UserError, match=r"counts those that the run has already.*3, and 4 are there"):
        resume(folder, trials=3)
    assert without_time(lstune.load(folder).result) == without_time(short.result)


def test_a_run_that_is_cut_off_before_and_after_it_gets_a_new_limit(short, processes, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "series.npz"):
        shutil.copy(short.path / name, folder / name)
    killed(processes, folder, 2)
    killed(processes, folder, 5, trials=7)
    assert len(resume(folder).trials) == 7


def test_ctrl_c_keeps_the_new_limit(short, tmp_path, monkeypatch):
    monkeypatch.setattr("lstune.tuning.executors.threads._TICK", 0.001)
    folder = shutil.copytree(short.path, tmp_path / "run")
    assert resume(folder, trials=40, progress=PressAfter(5)).result["interrupted"]
    limits = current_options(json.loads((folder / "settings.json").read_text()))
    assert (limits.trials, limits.budget) == (40, None)
    # A new limit takes the place of the old one.
    assert len(resume(folder, trials=6).trials) < 40
    assert is_finished(RunFolder(folder))


def test_what_a_new_budget_has_left(tmp_path):
    folder = RunFolder(tmp_path)
    options = TuneOptions(trials=2, budget=50.0).to_dict()
    folder.write_json(
        "settings", {"options": options, "worker": "a", "reading": {}, "series": {}, "space": {}}
    )
    trials = []
    study = SimpleNamespace(trials=trials, worker="a")

    def train(seconds, worker="a"):
        trials.append(
            TrialRecord(
                len(trials), {}, TrialState.COMPLETE, 0.1, 6, attrs={"seconds": seconds}, worker=worker
            )
        )

    def take(new=False, fresh=False, **limits):
        options = TuneOptions(**limits) if new else current_options(folder.read_json("settings"))
        return options.trials, options.budget, take_limits(folder, options, study, new=new, fresh=fresh)

    train(5.0)
    train(99.0, worker="b")
    assert take() == (2, 50.0, 5.0)
    assert take(new=True, fresh=True, budget=60.0) == (None, 60.0, 0.0)
    train(7.0)
    # Cut off again: of the new budget goes what its own trials have used.
    assert take() == (None, 60.0, 7.0)
    assert take(new=True, trials=9, budget=60.0) == (9, 60.0, 7.0)
    assert take() == (9, 60.0, 7.0)
    assert take(new=True, fresh=True, budget=20.0) == (None, 20.0, 0.0)
    assert folder.read_json("settings")["options"]["budget"] == 50.0


def test_from_python_and_with_a_parameter_that_can_never_be(tmp_path):
    """`tune` takes such a space, so that fixing a parent is no mistake; its run can be gone on with."""
    series = make_series(120)
    waiting = {"type": "float", "low": 0.0, "high": 0.4, "when": {"layers": [2]}}
    run = lstune.tune(
        series, trials=2, space={**TINY, "dropout": waiting}, out=tmp_path / "run", baselines="simple"
    )
    assert sum(lstune.resume(run.path, trials=3).result["trials"].values()) == 3


def test_a_run_that_is_killed_before_its_folder_is_whole_is_not_finished(short, tmp_path, monkeypatch):
    def end(*_):
        raise SystemExit

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("lstune.report.write_report", end)
        with pytest.raises(SystemExit):
            lstune.tune(make_series(), trials=4, space=SPACE, workers=1, seed=2, out=folder)
    assert not (folder / "report.html").exists()
    assert without_time(resume(folder).result) == without_time(short.result)
    assert (folder / "report.html").exists()
