import json
import multiprocessing
from datetime import datetime

import numpy as np
import pytest

from lstune.errors import RunError
from lstune.search import TrialRecord, TrialState
from lstune.tuning.folder import RunFolder, default_folder


def test_json_has_no_nan(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_json(
        "result", {"a": float("nan"), "b": [np.float32(1.5), np.int64(3), float("inf")], "c": (1,)}
    )
    assert json.loads(folder.result.read_text()) == {"a": None, "b": [1.5, 3, None], "c": [1]}
    assert folder.read_json("result")["b"][0] == 1.5


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


def test_default_folders_do_not_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2024, 5, 6, 7, 8, 9)
    first = default_folder("a b/c.csv", now)
    assert first.as_posix() == "runs/a-b-c-csv-20240506-070809"
    first.mkdir(parents=True)
    assert default_folder("a b/c.csv", now).name.endswith("-2")
    assert default_folder("", now).name.startswith("series-")


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
