"""Files of a run that were cut, overwritten or removed: one of lstune's errors, or done without."""

import random
import shutil
from contextlib import suppress

import pytest

import lstune
from lstune.errors import DataError, LstuneError, RunError, StudyError
from lstune.report import write_report
from lstune.report.read import training_history
from lstune.series import load_series

from .conftest import TINY, make_series


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return lstune.tune(make_series(), trials=3, space=TINY, workers=1, horizon=2, out=folder).path


def flipped(data):
    third = len(data) // 3
    return data[:third] + bytes(byte ^ 0x55 for byte in data[third : third + 20]) + data[third + 20 :]


WAYS = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "flipped": flipped,
    "random": lambda data: random.Random(3).randbytes(max(50, len(data) // 2)),
    "text": lambda data: b"hello\n\0\n" * 20,
    "list": lambda data: b"[]",
    "object": lambda data: b"{}",
    "null": lambda data: b"null",
    "gone": None,
}
FILES = (
    "forecast.csv",
    "model/forecaster.json",
    "model/history.npz",
    "model/weights.npz",
    "predictions.npz",
    "result.json",
    "series.npz",
    "settings.json",
    "study.journal",
    "trials.csv",
)


def look(path):
    run = lstune.load(path)
    return repr(run), run._repr_html_(), run.verdict


USES = {
    "look": look,
    "trials": lambda path: lstune.load(path).trials,
    "predict": lambda path: lstune.load(path).predict(),
    "report": write_report,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_whatever_happens_to_a_file(whole, tmp_path, name, way):
    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / name
    if WAYS[way] is None:
        file.unlink()
    else:
        file.write_bytes(WAYS[way](file.read_bytes()))
    # Not every use needs every file.
    for use in USES.values():
        with suppress(RunError, DataError):
            use(tmp_path / "run")
    if name in ("series.npz", "settings.json", "study.journal"):
        with suppress(LstuneError):
            lstune.resume(tmp_path / "run", trials=3)


@pytest.mark.parametrize("way", ["list", "object", "null", "half", "random"])
@pytest.mark.parametrize("name", ["settings.json", "result.json"])
def test_json_that_is_no_run(whole, tmp_path, name, way):
    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / name
    file.write_bytes(WAYS[way](file.read_bytes()))
    act = lstune.resume if name == "settings.json" else lstune.load
    with pytest.raises(RunError, match=f"{name} is damaged"):
        act(tmp_path / "run")


def test_options_that_are_none(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    file = tmp_path / "run" / "settings.json"
    file.write_text(file.read_text().replace('"horizon"', '"horixon"'))
    with pytest.raises(RunError, match=r"settings\.json is damaged.*horixon"):
        lstune.resume(tmp_path / "run", trials=5)


@pytest.mark.parametrize("way", ["empty", "half", "flipped", "random", "list"])
def test_arrays(whole, tmp_path, way):
    (tmp_path / "series.npz").write_bytes(WAYS[way]((whole / "series.npz").read_bytes()))
    with pytest.raises(DataError, match="is not a saved series"):
        load_series(tmp_path / "series.npz")
    state = next((whole / "states").iterdir())
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "000001.npz").write_bytes(WAYS[way](state.read_bytes()))
    assert training_history(tmp_path, 1) == {}


def test_trials_that_cannot_be_read(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    run = lstune.load(tmp_path / "run")
    for content in (b"", b"a,b\n1,2\n", b"\xff\xfe\x00,\n"):
        (run.path / "trials.csv").write_bytes(content)
        with pytest.raises(RunError, match=r"trials\.csv is missing or damaged"):
            run.trials  # noqa: B018
    (run.path / "trials.csv").unlink()
    with pytest.raises(RunError, match=r"trials\.csv is missing or damaged"):
        run.trials  # noqa: B018


@pytest.mark.parametrize("act", [lstune.resume, lstune.load, write_report])
def test_a_file_is_no_runs_folder(tmp_path, act):
    (tmp_path / "passwd").write_text("root:x:0:0\n")
    with pytest.raises(RunError, match="folder that `lstune tune` made"):
        act(tmp_path / "passwd")


def test_a_run_whose_study_was_removed(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "study.journal").unlink()
    with pytest.raises(StudyError, match="gone from its folder"):
        lstune.resume(folder, trials=5)
