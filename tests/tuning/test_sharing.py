"""Several runs on one study: nothing is done twice, nothing is lost, and passwords stay out of folders."""

import json
import os
import signal
import time
from functools import partial

import pandas as pd
import pytest

import lstune
from lstune.errors import ConfigError, RunError, StudyError, UserError
from lstune.search import Study, TrialState
from lstune.search.storage import open_storage
from lstune.search.urls import hide_password, hides_password, without_password
from lstune.search.workers import Workers
from lstune.series import series_frame
from lstune.tuning import sharing
from lstune.tuning.board import StudyBoard
from lstune.tuning.ending import Ending
from lstune.tuning.options import TuneOptions
from lstune.tuning.resume import resume
from lstune.tuning.sharing import storage_again

from .conftest import TINY, make_series

SPACE = {**TINY, "units": [3, 4, 5, 6, 7], "epochs": 18, "patience": 0}
# Tests that run side by side must not meet on one server.
STUDY = "shared" + os.environ.get("PYTEST_XDIST_WORKER", "")
COMPARED = ["trial", "state", "validation_mae", "epochs_trained", "lookback", "transform", "units"]


@pytest.fixture(params=["sqlite", "journal", "server"])
def storage(request, tmp_path):
    """A storage for one test; the server's is emptied afterwards."""
    if request.param != "server":
        yield f"sqlite:///{tmp_path}/x.db" if request.param == "sqlite" else str(tmp_path / "x.journal")
        return
    url = os.environ.get("LSTUNE_TEST_DATABASE")
    if not url:
        pytest.skip("LSTUNE_TEST_DATABASE is not set")
    import optuna

    yield url
    store = open_storage(url, study=STUDY)
    for number in store.blobs().numbers():
        store.blobs().drop(number)
    if store.read_spec() is not None:
        optuna.delete_study(study_name=STUDY, storage=store.optuna_storage)
    store.dispose()


def tune(storage, out, **options):
    options = {"trials": 12, "space": SPACE, "workers": 1, "seed": 2, "study": STUDY, **options}
    return lstune.tune(make_series(), storage=storage, out=out, **options)


def records(storage):
    store = open_storage(storage, study=STUDY, shared=True)
    trials = Study.load(store, resume=False).trials
    store.dispose()
    return trials


def check_whole(trials, count):
    """Every number once, every setting once, every rung once, nothing under way."""
    assert [trial.number for trial in trials] == list(range(count))
    assert len({json.dumps(trial.params, sort_keys=True) for trial in trials}) == count
    assert not any(trial.state is TrialState.RUNNING for trial in trials)
    orders = [trial.order for trial in trials]
    assert len(set(orders)) == count
    for trial in trials:
        epochs = [epoch for epoch, _ in trial.rungs]
        assert epochs == sorted(set(epochs))


def test_two_processes_work_on_one_study(processes, storage, tmp_path):
    series_frame(make_series()).rename_axis("day").to_csv(tmp_path / "data.csv")
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    args = ["tune", tmp_path / "data.csv", "--space", tmp_path / "space.json", "--baselines", "simple"]
    args += ["--trials", 16, "--workers", 1, "--storage", storage, "--study", STUDY, "--out"]
    folders = [tmp_path / "a", tmp_path / "b"]
    for process in [processes.start(*args, folder) for folder in folders]:
        assert process.wait(180) == 0, process.errors
    trials = records(storage)
    check_whole(trials, 16)
    for folder in folders:
        table = lstune.load(folder).trials
        assert list(table["trial"]) == list(range(16))
        assert list(table["state"]) == [trial.state.value for trial in trials]


def test_a_second_run_goes_on_from_the_first_ones_trials(storage, tmp_path):
    first = tune(storage, tmp_path / "a", trials=9)
    second = tune(storage, tmp_path / "b", trials=18)
    trials = records(storage)
    check_whole(trials, 18)
    # One worker after the other is as good as one alone: suggestions rest on the trials of both.
    alone = lstune.tune(make_series(), trials=18, space=SPACE, workers=1, seed=2, out=tmp_path / "alone")
    same = ["trial", "lookback", "transform", "units"]
    pd.testing.assert_frame_equal(first.trials[same], alone.trials[same].head(9))
    pd.testing.assert_frame_equal(second.trials[same], alone.trials[same])
    # The first worker's paused trials were promoted from its states: an epoch trained twice would cost time.
    owners = [json.loads((tmp_path / name / "settings.json").read_text())["worker"] for name in "ab"]
    moved = [trial for trial in trials[:9] if trial.worker == owners[1]]
    for trial in moved:
        assert [epoch for epoch, _ in trial.rungs] == [6, 18]
    assert {trial.worker for trial in trials} == set(owners)


def test_a_promotion_goes_on_from_the_other_workers_state(tmp_path, monkeypatch):
    from lstune.tuning import objective

    storage = f"sqlite:///{tmp_path}/x.db"
    ask = StudyBoard.ask
    with monkeypatch.context() as patch:  # the first worker ends before it promotes any
        patch.setattr(StudyBoard, "ask", lambda self: ask(self) if len(self.study.trials) < 3 else None)
        tune(storage, tmp_path / "a")
    assert [trial.epochs for trial in records(storage)] == [6, 6, 6]
    begun = []

    def watched(*args, state, **options):
        begun.append(0 if state is None else state.epoch)
        return real(*args, state=state, **options)

    def stop(*_):
        raise StudyError("far enough")

    real = objective.train
    monkeypatch.setattr(objective, "train", watched)
    monkeypatch.setattr(Ending, "run", stop)
    with pytest.raises(StudyError, match="far enough"):
        tune(storage, tmp_path / "b")
    check_whole(records(storage), 12)
    promoted = [trial for trial in records(storage) if len(trial.rungs) > 1]
    assert any(trial.number < 3 for trial in promoted)
    # Only new trials begin at epoch 0.
    assert sorted(begun) == [0] * 9 + [6] * len(promoted)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 3}, "seed"),
        ({"space": {**SPACE, "units": [3, 4]}}, "units"),
        ({"folds": 2}, "folds"),
        ({"method": "random"}, "--method"),
        ({"test_fraction": 0.2}, "test fraction"),
    ],
    ids=["seed", "space", "folds", "method", "test"],
)
def test_a_worker_that_would_do_otherwise_is_refused(tmp_path, changes, named):
    storage = str(tmp_path / "x.journal")
    tune(storage, tmp_path / "a", trials=2)
    with pytest.raises(StudyError, match="was begun otherwise") as caught:
        tune(storage, tmp_path / "b", trials=4, **changes)
    assert named in str(caught.value)
    assert not (tmp_path / "b" / "settings.json").exists()
    with pytest.raises(StudyError, match="data:"):
        lstune.tune(
            make_series(seed=5),
            storage=storage,
            out=tmp_path / "c",
            study=STUDY,
            space=SPACE,
            seed=2,
            trials=4,
        )


def test_a_study_is_joined_only_on_purpose(tmp_path):
    storage = str(tmp_path / "x.journal")
    tune(storage, tmp_path / "one" / "run", trials=2, study=None)
    with pytest.raises(StudyError, match="--study run"):
        tune(storage, tmp_path / "two" / "run", trials=2, study=None)
    with pytest.raises(UserError, match="--storage"):
        tune(None, tmp_path / "three", trials=2)


KILLED = """
import os, signal, sys
from lstune.search import Study
from tuning.test_sharing import tune

real = Study.report

def report(self, number, epoch, value):
    if number == 5 and epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, number, epoch, value)

Study.report = report
tune(sys.argv[1], sys.argv[2], trials=12, baselines="simple")
"""


def killed(processes, storage, out):
    """A run that is killed while a trial is under way."""
    process = processes.start(storage, out, code=KILLED)
    assert process.wait() == -signal.SIGKILL, process.errors


def test_a_killed_run_resumes_its_own_trials_at_once(processes, storage, tmp_path):
    killed(processes, storage, tmp_path / "a")
    assert [t.number for t in records(storage) if t.state is TrialState.RUNNING] == [5]
    (tmp_path / "a").rename(tmp_path / "moved")
    run = resume(tmp_path / "moved")
    alone = lstune.tune(make_series(), trials=12, space=SPACE, workers=1, seed=2, out=tmp_path / "alone")
    pd.testing.assert_frame_equal(run.trials[COMPARED], alone.trials[COMPARED])


def test_another_run_takes_over_what_a_killed_one_left(processes, storage, tmp_path, monkeypatch):
    killed(processes, storage, tmp_path / "a")
    assert records(storage)[5].state is TrialState.RUNNING
    monkeypatch.setattr(sharing, "Workers", partial(Workers, interval=0.05, lease=0.5))
    run = tune(storage, tmp_path / "b")
    trials = records(storage)
    check_whole(trials, 12)
    assert len(run.trials) == 12
    # The killed one finds its trials done.
    again = resume(tmp_path / "a")
    assert list(again.trials["validation_mae"]) == list(run.trials["validation_mae"])


def test_a_worker_that_was_silent_drops_what_it_lost(tmp_path):
    """A process that was stopped for long: its trial has gone to another one."""
    place = str(tmp_path / "x.journal")
    from lstune.search.study import TrialLost
    from lstune.search.testing import mixed_space

    def study(worker):
        store = open_storage(place, shared=True)
        return store, worker

    store, _ = study("a")
    a = Study(mixed_space(), max_epochs=9, storage=store, worker="a", sampler="random")
    job = a.ask()
    b = Study.load(open_storage(place, shared=True), resume=False, worker="b")
    b.take_over(job.number)
    assert b.ask().number == job.number
    assert a.report(job.number, 1, 0.5) is False  # not known here yet
    with pytest.raises(TrialLost):
        a.tell(job.number, 0.5)
    assert a.report(job.number, 2, 0.5) is True
    b.tell(job.number, 0.25)
    assert Study.load(open_storage(place), resume=False).trials[job.number].value == 0.25


def test_two_cannot_take_over_the_same_trial(tmp_path):
    from lstune.search.testing import mixed_space

    place = str(tmp_path / "x.journal")
    first = Study(mixed_space(), max_epochs=9, storage=open_storage(place, shared=True), worker="dead")
    lost = first.ask().number
    others = [Study.load(open_storage(place, shared=True), resume=False, worker=w) for w in "bc"]
    for other in others:
        other.take_over(lost)
    assert [others[0].ask().number, others[1].ask().number] == [lost, lost + 1]


def test_heartbeats_are_judged_by_the_watchers_own_clock(tmp_path):
    from lstune.search.testing import mixed_space

    now = [0.0]
    store = open_storage(tmp_path / "x.journal", shared=True)
    Study(mixed_space(), max_epochs=9, storage=store)
    make = partial(Workers, store, interval=10, lease=60)
    a, b = make("a", clock=lambda: 1e6 + now[0]), make("b", clock=lambda: now[0])
    assert b.gone("a")  # never heard of
    now[0] = 2.0
    a.beat()
    now[0] = 4.0
    assert not b.gone("a")
    assert b.others() == ["a"]
    now[0] = 50.0
    a.beat()
    now[0] = 60.0
    assert not b.gone("a")
    now[0] = 125.0
    assert b.gone("a")
    a.beat()  # it was only stopped
    now[0] = 130.0
    assert not b.gone("a")
    a.end()
    now[0] = 135.0
    assert b.gone("a")
    assert b.others() == []
    again = make("a", clock=lambda: 1e6 + now[0])
    again.beat()
    now[0] = 140.0
    assert not b.gone("a")
    assert not a.gone("a")


URLS = {
    "postgresql://me:secret@host:5432/db": "postgresql://me@host:5432/db",
    "postgresql+psycopg2://me:se:cr/et@host/db?x=1": "postgresql+psycopg2://me@host/db?x=1",
    "mysql://me:secret@host/db": "mysql://me@host/db",
    "postgresql://host/db?user=me&password=secret&x=1": "postgresql://host/db?user=me&x=1",
}


@pytest.mark.parametrize("url", URLS)
def test_no_password_leaves_the_process(url):
    hidden = hide_password(url)
    assert "secret" not in hidden
    assert "et@" not in hidden
    assert "***" in hidden
    assert hides_password(hidden)
    assert hide_password(hidden) == hidden
    assert without_password(hidden) == URLS[url]
    options = TuneOptions(storage=url)
    assert options.to_dict()["storage"] == hidden
    assert "secret" not in repr(options)


@pytest.mark.parametrize("url", ["sqlite:///a/b.db", "postgresql://me@host/db", "runs/x.journal"])
def test_what_has_no_password_stays_as_it_is(url):
    assert hide_password(url) == url
    assert storage_again(url, None) == url


def test_where_the_password_comes_from_again(monkeypatch):
    kept = "postgresql://me:***@host/db"
    monkeypatch.delenv("LSTUNE_STORAGE", raising=False)
    assert storage_again(kept, None) == "postgresql://me@host/db"
    monkeypatch.setenv("LSTUNE_STORAGE", "postgresql://me:new@host/db")
    assert storage_again(kept, None) == "postgresql://me:new@host/db"
    assert storage_again(kept, "postgresql://me:given@host/db") == "postgresql://me:given@host/db"
    assert storage_again(None, None) is None
    assert storage_again("sqlite:///x.db", None) == "sqlite:///x.db"
    with pytest.raises(UserError, match="in its folder"):
        storage_again(None, "sqlite:///x.db")


def test_errors_hide_the_password():
    pytest.importorskip("psycopg2")
    with pytest.raises(ConfigError) as caught:
        open_storage("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)
    assert "me:***@" in str(caught.value)


def test_a_missing_password_is_asked_for(monkeypatch):
    from lstune.search import storage

    def refuse(url, **options):
        raise RuntimeError("fe_sendauth: no password supplied")

    monkeypatch.setattr("optuna.storages.RDBStorage", refuse)
    with pytest.raises(ConfigError, match="LSTUNE_STORAGE"):
        storage.open_storage("postgresql://me@host/db")


def test_a_folder_holds_no_password(tmp_path, monkeypatch):
    url = os.environ.get("LSTUNE_TEST_DATABASE")
    if not url or "///" not in url:
        pytest.skip("LSTUNE_TEST_DATABASE is not set")
    secret = f"secret{time.time_ns()}"
    url = url.replace("user=lstune", f"user=lstune&password={secret}")
    run = tune(url, tmp_path / "run", trials=2, study=secret[::-1])
    for path in run.path.rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes(), path
    monkeypatch.setenv("LSTUNE_STORAGE", url)
    assert len(resume(run.path, trials=3).trials) == 3
    monkeypatch.setenv("LSTUNE_STORAGE", f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises((StudyError, RunError), match="does not hold this run's study"):
        resume(run.path, trials=4)
