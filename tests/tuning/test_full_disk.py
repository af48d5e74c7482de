"""A disk that fills: a clear message, no finished trial lost, the same search once there is room."""

import errno
import os
import shutil
import subprocess

import pandas as pd
import pytest

import lstune
from lstune.errors import StorageError
from lstune.search import journal
from lstune.tuning import folder as folders
from lstune.tuning.board import StudyBoard
from lstune.tuning.compare import _Recorder
from lstune.tuning.resume import resume
from lstune.tuning.states import StateStore

from .conftest import TINY, make_series

SPACE = {**TINY, "units": [3, 4, 5, 6, 7], "epochs": 18, "patience": 0}
COMPARED = ["trial", "state", "validation_mae", "epochs_trained", "lookback", "transform", "units"]


def tune(out):
    return lstune.tune(make_series(), trials=12, space=SPACE, workers=1, seed=2, out=out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tune(tmp_path_factory.mktemp("runs") / "whole")


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "somewhere")


def check(folder, whole):
    """The message has been raised; what was told is there; the rest comes after."""
    known = pd.read_csv(folder / "trials.csv")
    ended = known[known["state"] == "complete"]
    assert len(ended)
    run = resume(folder)
    pd.testing.assert_frame_equal(run.trials[COMPARED], whole.trials[COMPARED])
    kept = run.trials.set_index("trial").loc[ended["trial"]]
    # Not trained again: the seconds that they took are the same to the last digit.
    assert list(kept["seconds"]) == list(ended["seconds"])


class After:
    """Fails from the so-manieth call on."""

    def __init__(self, real, calls):
        self.real, self.calls = real, calls

    def __get__(self, owner, kind=None):
        return lambda *args: self(owner, *args)

    def __call__(self, *args):
        self.calls -= 1
        return full() if self.calls < 0 else self.real(*args)


PLACES = {
    "journal": (journal.JournalFile, "append_logs", 80),
    "states": (StateStore, "put", 7),
    "trials.csv": (folders.RunFolder, "write_trials", 7),
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_fills(place, whole, tmp_path, monkeypatch):
    owner, name, calls = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, After(getattr(owner, name), calls))
        with pytest.raises(StorageError, match="lstune resume") as caught:
            tune(tmp_path / "run")
    assert "No space left" in str(caught.value)
    assert "finished trials are kept" in str(caught.value)
    check(tmp_path / "run", whole)


def too_large(*_):
    raise OSError(errno.EFBIG, "File too large", "somewhere")


def refused(*_):
    raise PermissionError(errno.EACCES, "Permission denied", "somewhere")


@pytest.mark.parametrize("error", [full, too_large, refused])
def test_a_trial_does_not_fail_for_a_full_disk(tmp_path, monkeypatch, error):
    with monkeypatch.context() as patch:
        patch.setattr(StateStore, "put", error)
        with pytest.raises(StorageError):
            tune(tmp_path / "run")
    assert resume(tmp_path / "run").result["trials"]["failed"] == 0


def test_before_there_is_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "write_whole", full)
    with pytest.raises(StorageError, match="start again"):
        tune(tmp_path / "run")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 32 MiB that holds nothing yet."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "lstune-test", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_real_small_disk(small_disk, whole, monkeypatch):
    filler = small_disk / "filler"
    tell = StudyBoard.tell

    def tell_and_fill(self, job, outcome):
        tell(self, job, outcome)
        if job.number == 5 and not filler.exists():
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(1024))
                except OSError:
                    pass

    with monkeypatch.context() as patch:
        patch.setattr(StudyBoard, "tell", tell_and_fill)
        with pytest.raises(StorageError, match="No space left"):
            tune(small_disk / "run")
    filler.unlink()
    check(small_disk / "run", whole)


@pytest.mark.parametrize(("place", "calls"), [("journal", 40), ("curve.json", 3)])
def test_a_comparison_goes_on_after_it(tmp_path, monkeypatch, place, calls):
    def compare():
        return lstune.compare(
            make_series(),
            methods="random,tpe",
            seeds=1,
            trials=4,
            space=SPACE,
            workers=1,
            out=tmp_path / "run",
        )

    owner, name = {"journal": (journal.JournalFile, "append_logs"), "curve.json": (_Recorder, "save")}[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, After(getattr(owner, name), calls))
        with pytest.raises(StorageError, match="same command with --out") as caught:
            compare()
    assert "No space left" in str(caught.value)
    assert "resume" not in str(caught.value)
    assert [search["ended"] for search in compare().result["searches"]] == ["trials", "trials"]


def test_a_comparison_whose_folder_is_removed(tmp_path, monkeypatch):
    save = _Recorder.save

    def save_and_remove(self):
        save(self)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)

    monkeypatch.setattr(_Recorder, "save", save_and_remove)
    with pytest.raises(StorageError, match="folder is gone"):
        lstune.compare(
            make_series(), methods="random", seeds=1, trials=4, space=SPACE, workers=1, out=tmp_path / "run"
        )
