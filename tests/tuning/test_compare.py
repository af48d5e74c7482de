"""Comparisons of methods on a small series: fair, honest about the test tail, and nothing lost."""

import json
import random
import signal
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import lstune
from lstune.errors import RunError, SpaceError, UserError
from lstune.search import Study
from lstune.series import series_frame
from lstune.tuning import compare as compared
from lstune.tuning.compare import parse_methods
from lstune.tuning.folder import RunFolder

from .conftest import TINY, Notes, make_series

RATE = {"type": "float", "low": 0.001, "high": 0.05, "log": True}
SPACE = {**TINY, "units": [3, 4, 5], "learning_rate": RATE}
METHODS = "random,tpe+median,hyperband"


def compare(out, **changes):
    options = {"methods": METHODS, "seeds": 2, "trials": 6, "space": SPACE, "workers": 1, "out": out}
    return lstune.compare(changes.pop("series", None) or make_series(), **{**options, **changes})


def by_epochs(result):
    """Every search's curve without its clock."""
    return {(s["method"], s["seed"]): (s["curve"]["epochs"], s["curve"]["error"]) for s in result["searches"]}


class PressIn(Notes):
    """Ctrl-C in the search of that number, counted from 1, once it has trials."""

    def __init__(self, number, trials=2):
        super().__init__()
        self.number = number
        self.trials = trials
        self.stages = []

    def stage(self, text):
        self.stages.append(text)

    def show(self, snapshot):
        if f"({self.number} of" in self.stages[-1] and snapshot.trials >= self.trials:
            self.number = 0
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return compare(tmp_path_factory.mktemp("runs") / "whole")


def test_every_method_searches_with_every_seed_alike(whole):
    searches = whole.result["searches"]
    assert [(s["seed"], s["method"]) for s in searches] == [
        (seed, method) for seed in (0, 1) for method in METHODS.split(",")
    ]
    assert {(s["sampler"], s["scheduler"]) for s in searches} == {
        ("random", "asha"),
        ("tpe", "median"),
        ("random", "hyperband"),
    }
    for one in searches:
        assert sum(one["trials"].values()) == 6
        assert one["ended"] == "trials"
        assert one["best"] == one["curve"]["error"][-1] == min(one["curve"]["error"])
        assert one["curve"]["error"] == sorted(one["curve"]["error"], reverse=True)
        for axis in ("seconds", "epochs"):
            assert one["curve"][axis] == sorted(one["curve"][axis])
            assert one["curve"][axis][-1] <= one[axis]
        assert one["setting"]["units"] in SPACE["units"]
    assert whole.result["missing"] == 0
    assert set(whole.table.index) == set(METHODS.split(","))
    assert whole.summary.startswith("Lowest median error at the end: ")
    assert set(whole.curves["method"]) == set(METHODS.split(","))


def test_epochs_are_those_of_the_trials(whole):
    for one in whole.result["searches"]:
        table = pd.read_csv(whole.path / "searches" / f"{one['method']}-{one['seed']}" / "trials.csv")
        assert one["epochs"] == table["epochs_trained"].sum()
        assert one["best"] == pytest.approx(table["validation_mae"].min())


def test_the_search_is_the_one_of_tune(whole, tmp_path):
    """The same method, seed and limits find the same in `tune`, so that the comparison advises on it."""
    run = lstune.tune(
        make_series(), method="random", trials=6, space=SPACE, workers=1, seed=1, out=tmp_path / "run"
    )
    mine = whole.path / "searches" / "random-1" / "trials.csv"
    names = ["trial", "validation_mae", "epochs_trained", "units", "lookback"]
    pd.testing.assert_frame_equal(run.trials[names], pd.read_csv(mine)[names])


def test_the_test_tail_is_never_looked_at(whole, tmp_path):
    series = make_series()
    values = series.values.copy()
    tail = len(values) - int(0.15 * len(values))
    values[tail:] = 500.0 + 400.0 * np.random.default_rng(3).random(len(values) - tail)
    other = compare(tmp_path / "other", series=replace(series, values=values))
    assert by_epochs(other.result) == by_epochs(whole.result)
    assert other.result["naive"] == whole.result["naive"]


@pytest.mark.parametrize("number", [1, 4])
def test_ctrl_c_keeps_what_was_found_and_the_same_command_goes_on(whole, tmp_path, number):
    press = PressIn(number)
    first = compare(tmp_path / "run", progress=press)
    assert len(first.result["searches"]) == number - 1
    assert first.result["missing"] == 7 - number
    assert any("goes on" in note for note in press.notes)
    assert (first.path / "compare.html").exists() == (number > 1)
    watch = PressIn(0)
    second = compare(tmp_path / "run", progress=watch)
    assert by_epochs(second.result) == by_epochs(whole.result)
    assert len([stage for stage in watch.stages if " of " in stage]) == 7 - number
    assert second.result["missing"] == 0


class Died(BaseException):
    """What a process does no more after it was killed."""


@pytest.mark.parametrize("stored", [False, True], ids=["before", "after"])
def test_a_kill_while_a_trial_is_stored_leaves_no_hole_in_its_curve(whole, tmp_path, monkeypatch, stored):
    """Study and curve are two files, and a process can be killed between them."""
    tell, calls = Study.tell, []

    def killed(self, number, *args, **options):
        calls.append(number)
        if len(calls) == 14 and not stored:
            raise Died
        tell(self, number, *args, **options)
        if len(calls) == 14:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(compared._Contest, "_rehearse", lambda *_: None)
        patch.setattr(Study, "tell", killed)
        with pytest.raises(Died):
            compare(tmp_path / "run")
    assert len(json.loads((tmp_path / "run" / "compare.json").read_text())["searches"]) < 6
    again = compare(tmp_path / "run")
    assert by_epochs(again.result) == by_epochs(whole.result)
    assert_same_trials(again.path, whole.path)


def told(folder):
    """What the study of every search has on disk, in lines."""
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("searches/*/study.journal"))


def trial_tables(folder):
    return {path.parent.name: pd.read_csv(path) for path in sorted(folder.glob("searches/*/trials.csv"))}


def assert_same_trials(folder, other):
    mine, theirs = trial_tables(folder), trial_tables(other)
    assert list(mine) == list(theirs)
    for name, table in mine.items():
        pd.testing.assert_frame_equal(
            table.drop(columns="seconds"), theirs[name].drop(columns="seconds"), obj=name
        )


def test_kill_9_loses_nothing_and_the_same_command_goes_on(whole, processes, tmp_path):
    """Killed at random moments of each third; trials that have ended are not trained again."""
    series_frame(make_series()).rename_axis("day").to_csv(tmp_path / "data.csv")
    (tmp_path / "space.json").write_text(json.dumps(SPACE))
    folder = tmp_path / "run"
    command = ["compare", tmp_path / "data.csv", "--space", tmp_path / "space.json", "--methods", METHODS]
    command += ["--seeds", 2, "--trials", 6, "--workers", 1, "--out", folder]
    moments, lines, ended = random.Random(5), told(whole.path), {}
    for third in range(3):
        process = processes.start(*command)
        moment = lines * (third + moments.uniform(0.1, 0.9)) / 3
        while process.poll() is None and told(folder) < moment:
            time.sleep(0.002)
        process.kill()
        assert process.poll() == -signal.SIGKILL, process.errors
        for name, table in trial_tables(folder).items():
            for trial in table[table["state"] == "complete"].itertuples():
                # Not trained again: the time that it took is the same to the last digit.
                assert ended.setdefault((name, trial.trial), trial.seconds) == trial.seconds
    assert ended
    process = processes.start(*command)
    assert process.wait() == 0, process.errors
    result = json.loads((folder / "compare.json").read_text())
    assert result["missing"] == 0
    assert [(s["method"], s["seed"]) for s in result["searches"]] == [
        (s["method"], s["seed"]) for s in whole.result["searches"]
    ]
    assert by_epochs(result) == by_epochs(whole.result)
    assert_same_trials(folder, whole.path)
    final = trial_tables(folder)
    for (name, number), seconds in ended.items():
        assert final[name].set_index("trial")["seconds"][number] == seconds


def test_a_folder_that_another_process_works_in_is_left_alone(whole, tmp_path):
    """What it holds is read only once nobody else can change it."""
    import shutil

    folder = RunFolder(shutil.copytree(whole.path, tmp_path / "run"))
    folder.compared.write_text("half a fi")
    folder.acquire()
    try:
        with pytest.raises(RunError, match="Another process"):
            compare(folder.path)
    finally:
        folder.release()


def test_a_finished_comparison_is_told_again_and_can_grow(whole, tmp_path):
    import shutil

    shutil.copytree(whole.path, tmp_path / "run")
    watch = PressIn(0)
    again = compare(tmp_path / "run", progress=watch)
    assert watch.stages == []
    assert again.result == whole.result
    grown = compare(tmp_path / "run", methods="random,qmc", seeds=1)
    assert [(s["method"], s["seed"]) for s in grown.result["searches"][6:]] == [("qmc", 0)]
    assert set(grown.result["summary"]["order"]) == {*METHODS.split(","), "qmc"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 7}, "trials 6, now 7"),
        ({"space": {**SPACE, "units": 2}}, "space"),
        ({"series": make_series(seed=5)}, "data"),
        ({"workers": 2}, "workers 1, now 2"),
        ({"horizon": 2}, "horizon 1, now 2"),
    ],
)
def test_a_comparison_goes_on_only_as_it_was_begun(whole, changes, words):
    before = (whole.path / "compare.json").read_text()
    with pytest.raises(RunError, match=words):
        compare(whole.path, **changes)
    assert (whole.path / "compare.json").read_text() == before


def test_a_run_is_no_place_for_a_comparison(tmp_path):
    lstune.tune(make_series(), trials=1, space=SPACE, workers=1, out=tmp_path / "run")
    with pytest.raises(RunError, match="folder of its own"):
        compare(tmp_path / "run")


def test_a_budget_ends_each_search(tmp_path):
    found = compare(tmp_path / "run", methods="random,gp", seeds=1, trials=None, budget=1.5)
    for one in found.result["searches"]:
        assert one["ended"] == "budget"
        assert one["seconds"] >= 1.5
        assert one["trials"]["complete"] + one["trials"]["pruned"] > 0
    # Spent before an interruption, it is not given again.
    curve = json.loads((found.path / "searches" / "random-0" / "curve.json").read_text())
    result = json.loads((found.path / "compare.json").read_text())
    (found.path / "compare.json").write_text(json.dumps({**result, "searches": result["searches"][1:]}))
    again = compare(tmp_path / "run", methods="random,gp", seeds=1, trials=None, budget=1.5)
    redone = again.result["searches"][-1]
    assert redone["method"] == "random"
    assert redone["epochs"] == sum(curve["trained"].values())
    assert redone["curve"]["error"] == [point[2] for point in curve["points"]]


def test_failures_are_told_and_do_not_end_the_comparison(tmp_path):
    space = {**SPACE, "learning_rate": [1e30, 2e30], "clipnorm": 0, "loss": "mse"}
    found = compare(tmp_path / "run", methods="random,tpe", seeds=1, trials=3, space=space)
    assert found.summary.startswith("No search has found a setting yet.")
    assert [s["trials"]["failed"] for s in found.result["searches"]] == [3, 3]
    assert "NaN" not in (found.path / "compare.json").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("random,magic", "Methods are"),
        ("random,tpee", "Received: tpee. Perhaps 'tpe' is meant"),
        ("random+often", "asha"),
        ("", "Methods are"),
        ("random+", "asha"),
        ("tpe,tpe", "must differ"),
        ("tpe,random,tpe+asha", "tpe and tpe\\+asha"),
        ("hyperband,random+hyperband", "must differ"),
        ([], "Methods are"),
        (["tpe", ["gp"]], r"Methods are .*\['gp'\]"),
        ([None], "Methods are .*None"),
        (5, "Methods are .*5"),
    ],
)
def test_methods_that_are_none(text, words):
    with pytest.raises(UserError, match=words):
        parse_methods(text)


def test_methods_by_text_or_list():
    assert parse_methods(["gp", "tpe+none"]) == parse_methods(" gp, tpe+none ")
    assert [(one.method, one.scheduler) for one in parse_methods("gp,tpe+none")] == [
        ("gp", None),
        ("tpe", "none"),
    ]


def test_mistakes_leave_no_folder(tmp_path):
    with pytest.raises(UserError, match="seeds"):
        compare(tmp_path / "run", seeds=0)
    with pytest.raises(SpaceError, match="grid"):
        compare(tmp_path / "run", methods="random,grid", space={})
    assert not (tmp_path / "run").exists()
