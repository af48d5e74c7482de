# ruff: noqa: D102 (the names of tests say what they test)
"""Contract tests that every sampler and every scheduler has to pass.

A new one is covered by a subclass that names it::

    class TestMySampler(SamplerContract):
        sampler = "mine"

pytest collects the inherited tests. Samplers and schedulers of your own can be entered in `SAMPLERS` and
`SCHEDULERS` for the purpose.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lstune.search.records import Job, TrialState
from lstune.search.space import Choice, Fixed, Float, Int, Space, canonical_key, check_setting
from lstune.search.storage import open_storage
from lstune.search.study import Study

__all__ = ["SamplerContract", "SchedulerContract", "bowl", "drive", "mixed_space", "small_space"]

Objective = Callable[[Mapping[str, Any], int], float]


def mixed_space() -> Space:
    """Every kind of parameter, with conditions over two levels."""
    return Space(
        {
            "units": Int(8, 256, log=True),
            "layers": Int(1, 3),
            "units_2": Int(8, 64, step=8, when={"layers": [2, 3]}),
            "act": Choice(["tanh", "relu", None]),
            "slope": Float(0.01, 0.3, when={"act": "relu"}),
            "skip": Choice([True, False], when={"units_2": [8, 16, 24, 32], "act": ["relu", "tanh"]}),
            "lr": Float(1e-4, 1e-1, log=True),
            "dropout": Float(0.0, 0.5, step=0.1),
            "batch": Choice([16, 32, 64, 128]),
            "epochs": Fixed(30),
            "single": Int(4, 4),
        }
    )


def small_space() -> Space:
    """Nine settings."""
    return Space({"a": Int(1, 3), "b": Choice(["x", "y"]), "c": Float(0.0, 0.5, step=0.5, when={"b": "y"})})


def bowl(setting: Mapping[str, Any], epochs: int) -> float:
    """A smooth test objective on `mixed_space` that falls with the epochs."""
    value = (math.log10(setting["lr"]) + 2.3) ** 2 + (math.log2(setting["units"]) - 6) ** 2 / 4
    value += (
        setting["dropout"]
        + abs(setting["layers"] - 2) * 0.3
        + {"tanh": 0.0, "relu": 0.2, None: 1.0}[setting["act"]]
    )
    return value + 1.0 / epochs


def drive(
    study: Study,
    objective: Objective,
    *,
    jobs: int | None = None,
    workers: int = 1,
    on_job: Callable[[Job], None] | None = None,
) -> list[Job]:
    """Carry a study's jobs out with a plain function (setting, epochs) -> value, until it is exhausted.

    `workers` jobs are under way at a time and end in the order in which they began. With `jobs` it stops
    after so many, finishing those under way.
    """
    done: list[Job] = []
    running: list[Job] = []
    asked = 0
    while True:
        while len(running) < workers and (jobs is None or asked < jobs):
            job = study.ask()
            if job is None:
                break
            asked += 1
            running.append(job)
        if not running:
            return done
        job = running.pop(0)
        _carry_out(study, objective, job)
        done.append(job)
        if on_job is not None:
            on_job(job)


def _carry_out(study: Study, objective: Objective, job: Job) -> None:
    value = math.nan
    for epoch in range(job.start_epoch + 1, job.stop_epoch + 1):
        try:
            value = objective(job.params, epoch)
        except RuntimeError as error:
            study.tell(job.number, state=TrialState.FAILED, epochs=epoch, reason=str(error))
            return
        if study.report(job.number, epoch, value) and math.isfinite(value):
            study.tell(
                job.number, value, state=TrialState.PRUNED, epochs=epoch, reason="stopped by the scheduler"
            )
            return
        if not math.isfinite(value):
            break
    study.tell(job.number, value)


class SamplerContract:
    """What every sampler has to do; see the module. `trials` is how many trials a test may run."""

    sampler: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    trials: ClassVar[int] = 24
    learns: ClassVar[bool] = False
    seeded: ClassVar[bool] = True

    def study(self, space: Space | None = None, **settings: Any) -> Study:
        """A study with the sampler under test, without a scheduler unless one is given."""
        settings = {"scheduler": "none", "max_epochs": 1, "seed": 3, **settings}
        return Study(space or mixed_space(), sampler=self.sampler, sampler_options=self.options, **settings)

    def test_settings_are_valid(self) -> None:
        study = self.study(n_trials=self.trials)
        drive(study, bowl)
        assert len(study.trials) == self.trials
        for trial in study.trials:
            assert check_setting(study.space, trial.params) == trial.params
        assert study.exhausted

    def test_a_space_without_a_choice_gives_one_trial(self) -> None:
        study = self.study(
            Space({"a": Fixed("x"), "b": Int(2, 2), "c": Float(0.5, 0.5), "d": Choice([None])})
        )
        assert [job.params for job in drive(study, lambda s, e: 1.0)] == [
            {"a": "x", "b": 2, "c": 0.5, "d": None}
        ]
        assert study.exhausted

    def test_one_parameter_of_each_kind_alone(self) -> None:
        for param in (
            Int(1, 50),
            Int(1, 50, log=True),
            Float(0, 1),
            Float(1e-3, 1, log=True),
            Choice(list("abcdefghijklmnop")),
        ):
            study = self.study(Space({"p": param}), n_trials=14)
            drive(study, lambda s, e, param=param: param.to_unit(s["p"]))  # type: ignore[misc]
            assert len({trial.params["p"] for trial in study.trials}) == 14

    def test_non_finite_values_are_failures(self) -> None:
        bad = [math.nan, math.inf, -math.inf]

        def objective(setting: Mapping[str, Any], epochs: int) -> float:
            value = bowl(setting, epochs)
            return bad[setting["layers"] - 1] if setting["act"] is None else value

        study = self.study(n_trials=self.trials)
        drive(study, objective)
        for trial in study.trials:
            expected = TrialState.DIVERGED if trial.params["act"] is None else TrialState.COMPLETE
            assert trial.state is expected
        assert study.best is not None
        assert math.isfinite(study.best.value or math.inf)

    def test_diverging_settings_do_not_attract(self) -> None:
        """The half with the higher learning rates diverges, the best values lie just below it."""
        if not self.learns:
            return
        space = Space({"lr": Float(0.0, 1.0), "x": Float(0.0, 1.0), "y": Choice(["a", "b", "c"])})
        for hole in (math.inf, -math.inf, math.nan):
            study = self.study(space, n_trials=2 * self.trials)
            drive(study, lambda s, e, hole=hole: hole if s["lr"] > 0.5 else s["x"] - s["lr"])  # type: ignore[misc]
            late = study.trials[self.trials :]
            # At random half of them would diverge, with a standard deviation of 0.5 / sqrt(trials).
            diverged = sum(trial.state is TrialState.DIVERGED for trial in late)
            assert diverged / len(late) < 0.5 + 0.5 / math.sqrt(self.trials)
            assert study.best is not None
            assert (study.best.value or 0.0) < -0.1

    def test_a_study_in_which_everything_fails_goes_on(self) -> None:
        def objective(setting: Mapping[str, Any], epochs: int) -> float:
            if setting["layers"] == 1:
                raise RuntimeError("out of memory")
            return math.nan

        study = self.study(n_trials=self.trials)
        drive(study, objective)
        assert len(study.trials) == self.trials
        assert study.best is None
        assert {trial.state for trial in study.trials} <= {TrialState.FAILED, TrialState.DIVERGED}

    def test_trials_under_way_differ(self) -> None:
        study = self.study(n_trials=self.trials + 6)
        drive(study, bowl, jobs=self.trials)
        pending = [study.ask() for _ in range(6)]
        keys = {canonical_key(job.params) for job in pending if job is not None}
        assert len(keys) == 6
        for job in pending:
            assert job is not None
            study.tell(job.number, bowl(job.params, 1))

    def test_several_workers_and_rungs(self) -> None:
        study = self.study(scheduler="asha", max_epochs=9, n_trials=self.trials)
        drive(study, bowl, workers=3)
        assert study.exhausted
        assert any(trial.state is TrialState.COMPLETE and trial.epochs == 9 for trial in study.trials)

    def test_no_setting_is_tried_twice(self) -> None:
        space = small_space()
        study = self.study(space)
        drive(study, lambda s, e: s["a"] + (s["b"] == "x"), workers=2)
        assert space.size is not None
        assert len(study.trials) == space.size
        assert len({canonical_key(trial.params) for trial in study.trials}) == space.size
        assert study.exhausted

    def test_the_seed_decides(self) -> None:
        runs = []
        for seed in (3, 3, 4):
            study = self.study(n_trials=self.trials, seed=seed)
            drive(study, bowl)
            runs.append([trial.params for trial in study.trials])
        assert runs[0] == runs[1]
        assert (runs[0] != runs[2]) is self.seeded

    def test_another_process_suggests_the_same(self) -> None:
        """String hashes differ between processes; suggestions must not."""
        code = (
            "import json; from lstune.search.testing import bowl, drive, mixed_space\n"
            "from lstune.search import Study\n"
            f"study = Study(mixed_space(), sampler={self.sampler!r}, sampler_options={self.options!r},"
            " scheduler='none',"
            f" max_epochs=1, seed=3, n_trials={self.trials})\n"
            "drive(study, bowl); print(json.dumps([t.params for t in study.trials]))"
        )
        env = {**os.environ, "PYTHONHASHSEED": "4242"}
        output = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        study = self.study(n_trials=self.trials)
        drive(study, bowl)
        assert json.loads(output.stdout.splitlines()[-1]) == [trial.params for trial in study.trials]

    def test_a_study_rebuilt_from_storage_goes_on_alike(self, tmp_path: Path) -> None:
        whole = self.study(n_trials=self.trials, scheduler="asha", max_epochs=9)
        drive(whole, bowl)
        part = self.study(
            n_trials=self.trials, scheduler="asha", max_epochs=9, storage=open_storage(tmp_path / "j.log")
        )
        drive(part, bowl, jobs=self.trials * 2 // 3)
        lost = part.ask()  # the process dies while this one runs
        loaded = Study.load(open_storage(tmp_path / "j.log"))
        if lost is not None:
            again = loaded.ask()
            assert again == lost
            _carry_out(loaded, bowl, lost)
        drive(loaded, bowl)
        assert [t.params for t in loaded.trials] == [t.params for t in whole.trials]
        assert [t.rungs for t in loaded.trials] == [t.rungs for t in whole.trials]


class SchedulerContract:
    """What every scheduler has to do; see the module."""

    scheduler: ClassVar[str]
    max_epochs: ClassVar[int] = 9

    def study(self, **settings: Any) -> Study:
        """A random study with the scheduler under test."""
        settings = {"max_epochs": self.max_epochs, "seed": 5, "n_trials": 30, "iterations": 3, **settings}
        return Study(mixed_space(), sampler="random", scheduler=self.scheduler, **settings)

    def test_pieces_join_up(self) -> None:
        for workers in (1, 4):
            study = self.study()
            trained: dict[int, int] = {}

            def check(job: Job, trained: dict[int, int] = trained) -> None:
                assert job.start_epoch == trained.get(job.number, 0)
                assert job.start_epoch < job.stop_epoch <= self.max_epochs
                trained[job.number] = job.stop_epoch

            drive(study, bowl, workers=workers, on_job=check)
            assert study.exhausted
            assert study.ask() is None
            assert len(study.trials) == 30
            assert max(trial.epochs for trial in study.trials) == self.max_epochs

    def test_states_at_the_end(self) -> None:
        study = self.study()
        drive(study, bowl)
        for trial in study.trials:
            if trial.state is TrialState.COMPLETE:
                assert trial.epochs == self.max_epochs
            else:
                assert trial.state in (TrialState.PAUSED, TrialState.PRUNED)
                assert trial.epochs < self.max_epochs

    def test_failures_are_never_promoted(self) -> None:
        def objective(setting: Mapping[str, Any], epochs: int) -> float:
            if setting["act"] is None:
                raise RuntimeError("broken")
            return math.inf if setting["layers"] == 3 else bowl(setting, epochs)

        for workers in (1, 3):
            study = self.study()
            jobs = drive(study, objective, workers=workers)
            started: dict[int, int] = {}
            for job in jobs:
                started[job.number] = started.get(job.number, 0) + 1
            for trial in study.trials:
                if trial.state.is_failure:
                    assert started[trial.number] == 1
                    assert trial.value is None
            assert study.exhausted
            assert max(trial.epochs for trial in study.trials) == self.max_epochs

    def test_a_study_of_failures_ends(self) -> None:
        study = self.study()
        drive(study, lambda s, e: math.nan, workers=2)
        assert study.exhausted
        assert study.best is None

    def test_early_stopped_trials_are_complete(self) -> None:
        study = self.study()
        while (job := study.ask()) is not None:
            if job.number % 2 and job.stop_epoch > 1:
                assert job.start_epoch < job.stop_epoch
                study.tell(
                    job.number, bowl(job.params, 1), epochs=job.stop_epoch - 1 if job.stop_epoch > 2 else 1
                )
                assert study.trials[job.number].state is TrialState.COMPLETE
            else:
                study.tell(job.number, bowl(job.params, job.stop_epoch))
        assert study.exhausted

    def test_one_trial_is_trained_to_the_end(self) -> None:
        study = self.study(n_trials=1)
        drive(study, bowl)
        assert study.trials[0].state is TrialState.COMPLETE
        assert study.trials[0].epochs == self.max_epochs

    def test_one_epoch_is_enough(self) -> None:
        study = self.study(max_epochs=1, n_trials=4)
        drive(study, bowl)
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * len(study.trials)

    def test_a_study_rebuilt_from_storage_goes_on_alike(self, tmp_path: Path) -> None:
        whole = self.study()
        expected = drive(whole, bowl)
        for cut in (1, 7, 20):
            part = self.study(storage=open_storage(tmp_path / f"{cut}.log"))
            done = drive(part, bowl, jobs=cut)
            loaded = Study.load(open_storage(tmp_path / f"{cut}.log"))
            assert loaded.trials == part.trials
            assert done + drive(loaded, bowl) == expected
            assert loaded.best == whole.best
