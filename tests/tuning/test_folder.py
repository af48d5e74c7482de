import errno
import json
import multiprocessing
import shutil
import sys
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

import lstune
from lstune.errors import RunError, StorageError, UserError
from lstune.search import TrialRecord, TrialState
from lstune.tuning.board import StudyBoard
from lstune.tuning.folder import RunFolder, default_folder, disk_errors

from .conftest import TINY, make_series


def test_json_has_no_nan(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json(
        "curve", {"a": float("nan"), "b": [np.float32(1.5), np.int64(3), float("inf")], "c": (1,)}
    )
    assert json.loads(folder.curve.read_text()) == {"a": None, "b": [1.5, 3, None], "c": [1]}
    assert folder.read_json("curve")["b"][0] == 1.5


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(RunError, match=r"result\.json"):
        RunFolder(tmp_path).read_json("result")
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        RunFolder(tmp_path).read_json("result")


def test_a_folder_holds_one_run(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_json("settings", {})
    with pytest.raises(RunError, match="folder of its own"):
        RunFolder(tmp_path / "run").create()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be made"):
        RunFolder(tmp_path / "file" / "run").create()


def _try_lock(path, queue):
    try:
        RunFolder(path).acquire()
        queue.put("got it")
    except RunError as error:
        queue.put(str(error))


def test_a_second_process_is_told_so(tmp_path):
    folder = RunFolder(tmp_path)
    folder.acquire()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()

    def ask():
        process = context.Process(target=_try_lock, args=(tmp_path, queue))
        process.start()
        answer = queue.get(timeout=30)
        process.join()
        return answer

    assert "Another process" in ask()
    folder.release()
    assert ask() == "got it"


def test_a_lock_that_its_owner_gives_back_meanwhile(tmp_path, monkeypatch):
    """One process opens the file, the owner removes it, the first one locks what is no longer there."""
    fcntl = pytest.importorskip("fcntl")
    owner, second, third = RunFolder(tmp_path), RunFolder(tmp_path), RunFolder(tmp_path)
    owner.acquire()
    real = fcntl.flock

    def late(file, how):
        owner.release()
        real(file, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        second.acquire()
    with pytest.raises(RunError, match="Another process"):
        third.acquire()
    second.release()
    third.acquire()
    third.release()
    assert not list(tmp_path.iterdir())


def test_a_lock_without_fcntl(tmp_path, monkeypatch):
    """As on Windows, where `msvcrt` locks."""
    fcntl = pytest.importorskip("fcntl")

    def locking(descriptor, how, count):
        assert (how, count) == (2, 1)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    owner, other = RunFolder(tmp_path), RunFolder(tmp_path)
    owner.acquire()
    with pytest.raises(RunError, match="Another process"):
        other.acquire()
    owner.release()
    other.acquire()
    other.release()


def test_default_folders_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2024, 5, 6, 7, 8, 9)
    folders = [default_folder("a b/c.csv", now) for _ in range(3)]  # of runs that begin in the same second
    assert not folders[1].is_there()
    for folder in folders:
        folder.create()
    assert folders[0].path.as_posix() == "runs/a-b-c-csv-20240506-070809"
    assert [folder.path.name[-2:] for folder in folders] == ["09", "-2", "-3"]
    assert folders[2].path.is_dir()
    assert default_folder("", now).path.name.startswith("series-")


def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "result.json").mkdir()
    with pytest.raises(RunError, match=r"result\.json cannot be read"):
        RunFolder(tmp_path).read_json("result")


def test_a_folder_on_a_disk_that_cannot_be_written_to(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(RunError, match=r"can be written to.*Read-only"):
        RunFolder(tmp_path).acquire()


def test_trials_csv(tmp_path):
    folder = RunFolder(tmp_path)
    trials = [
        TrialRecord(0, {"units": 3}, TrialState.COMPLETE, 0.1 + 0.2, 6, attrs={"seconds": 1.23456}),
        TrialRecord(1, {"lookback": 7}, TrialState.DIVERGED, None, 1, reason='bad, "very"'),
    ]
    folder.write_trials(trials, ("units", "lookback"))
    rows = folder.trials.read_text().splitlines()
    assert rows == [
        "trial,state,validation_mae,epochs_trained,seconds,reason,units,lookback",
        "0,complete,0.30000000000000004,6,1.235,,3,",
        '1,diverged,,1,,"bad, ""very""",,7',
    ]


def test_names_that_no_folder_can_have(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / ("n" * 300), tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="cannot be made"):
            RunFolder(path).create()
    with pytest.raises(RunError, match="one that can be written to"):
        RunFolder(tmp_path / "file").acquire()
    for name in (3, None, b"run", "a\0b"):
        with pytest.raises(UserError, match="named by text"):
            RunFolder(name)


@pytest.mark.parametrize("name", ["n" * 300, "file"])
def test_a_comparison_in_no_folder(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="folder"):
        lstune.compare(make_series(), trials=1, space=TINY, out=tmp_path / name)


def test_a_folder_that_is_removed_under_a_run(tmp_path, monkeypatch):
    tell = StudyBoard.tell

    def tell_and_remove(self, job, outcome):
        tell(self, job, outcome)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)

    monkeypatch.setattr(StudyBoard, "tell", tell_and_remove)
    with pytest.raises(StorageError, match="folder is gone"):
        lstune.tune(make_series(), trials=4, space=TINY, workers=1, out=tmp_path / "run")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESTALE])
def test_what_is_missing_elsewhere_is_not_the_folder(tmp_path, number):
    def missing(file):
        with disk_errors(RunFolder(tmp_path)):
            raise OSError(number, "gone", str(file))

    with pytest.raises(OSError, match="gone") as caught:
        missing(tmp_path.parent / "other")
    assert not isinstance(caught.value, StorageError)
    with pytest.raises(StorageError, match="is gone"):
        missing(tmp_path / "study.journal")
