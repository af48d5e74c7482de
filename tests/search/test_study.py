import math
import warnings

import pytest

from lstune.errors import ConfigError, SpaceError, StudyError
from lstune.search import (
    METHODS,
    SAMPLERS,
    SCHEDULERS,
    Choice,
    Fixed,
    Float,
    Int,
    Space,
    Study,
    TrialState,
    method_parts,
)
from lstune.search.dedupe import fresh_neighbour
from lstune.search.samplers.grid import grid_size, grid_space
from lstune.search.space import canonical_key, setting_at
from lstune.search.testing import drive, mixed_space, small_space


def study(space=None, **settings):
    return Study(
        space or mixed_space(), **{"sampler": "random", "scheduler": "none", "max_epochs": 9, **settings}
    )


def test_one_life():
    one = study(scheduler="asha")
    job = one.ask(now=12.5)
    assert (job.number, job.start_epoch, job.stop_epoch) == (0, 0, 1)
    assert not one.report(0, 1, 0.8)
    record = one.tell(0, 0.8, now=13.5, attrs={"seconds": 1.0})
    assert record.state is TrialState.PAUSED
    assert (record.started, record.finished, record.attrs) == (12.5, 13.5, {"seconds": 1.0})
    assert record.curve == {1: 0.8}
    assert record.rungs == ((1, 0.8),)
    assert one.best == record


def test_non_finite_values_end_a_trial():
    one = study()
    for value in (math.nan, math.inf, -math.inf, None):
        job = one.ask()
        if value is not None:
            assert one.report(job.number, 1, value)
        record = one.tell(job.number, value)
        assert record.state is TrialState.DIVERGED
        assert record.value is None
        assert record.curve == {}
    assert one.best is None


def test_failures_keep_their_reason():
    one = study()
    job = one.ask()
    one.report(job.number, 1, 0.5)
    record = one.tell(job.number, state=TrialState.FAILED, reason="MemoryError")
    assert (record.state, record.reason, record.value, record.epochs) == (
        TrialState.FAILED,
        "MemoryError",
        None,
        1,
    )


def test_a_pruned_trial_keeps_its_best_value():
    one = study()
    job = one.ask()
    for epoch, value in enumerate([0.9, 0.5, 0.7], 1):
        one.report(job.number, epoch, value)
    record = one.tell(job.number, state=TrialState.PRUNED)
    assert (record.value, record.epochs) == (0.5, 3)


def test_only_running_trials_are_told():
    one = study()
    with pytest.raises(StudyError, match="no trial"):
        one.tell(0, 1.0)
    job = one.ask()
    one.tell(job.number, 1.0)
    with pytest.raises(StudyError, match="running"):
        one.tell(job.number, 1.0)
    with pytest.raises(StudyError, match="running"):
        one.report(job.number, 1, 1.0)
    with pytest.raises(StudyError, match="told"):
        one.tell(one.ask().number, 1.0, state=TrialState.PAUSED)


def test_given_settings_come_first():
    given = {"a": 2, "b": "y", "c": 0.5}
    one = study(small_space(), settings=[given])
    assert one.ask().params == given
    with pytest.raises(SpaceError, match="a must be"):
        study(small_space(), settings=[{"a": 4, "b": "x"}])


def test_manual_gives_the_defaults_or_the_given_settings():
    space = Space({"units": Int(8, 64, default=32), "act": Choice(["tanh", "relu"]), "epochs": Fixed(9)})
    one = study(space, sampler="manual")
    assert one.ask().params == {"units": 32, "act": "tanh", "epochs": 9}
    assert one.ask() is None
    assert not one.exhausted
    one.tell(0, 1.0)
    assert one.exhausted
    two = study(space, sampler="manual", settings=[{"units": 8, "act": "relu"}, {"units": 9, "act": "relu"}])
    assert [job.params["units"] for job in drive(two, lambda s, e: 1.0)] == [8, 9]


def test_best_prefers_more_epochs_among_equals():
    one = study(scheduler="asha", n_trials=4)
    drive(one, lambda s, e: 1.0)
    assert one.best.epochs == 9


def test_grid_counts_limits_and_covers_evenly():
    space = Space({"lr": Float(1e-4, 1e-1, log=True), "act": Choice(["a", "b"]), "units": Int(8, 64, step=8)})
    assert grid_size(space, points=4) == 4 * 2 * 8
    assert grid_space(space, points=4)["lr"] == Choice((0.0001, 0.001, 0.01, 0.1))
    with pytest.raises(SpaceError, match="64 settings"):
        study(space, sampler="grid", sampler_options={"points": 4, "limit": 63}).ask()
    one = study(space, sampler="grid", sampler_options={"points": 4})
    drive(one, lambda s, e: 1.0)
    assert len({canonical_key(t.params) for t in one.trials}) == 64
    early = [t.params for t in one.trials[:16]]
    for name in space:
        seen = [p[name] for p in early]
        values = grid_space(space, points=4)[name].values()
        assert all(seen.count(v) == 16 // len(values) for v in values)


def test_a_fresh_neighbour_changes_as_little_as_it_can():
    import numpy as np

    space = small_space()
    settings = [setting_at(space, k) for k in range(space.size)]
    taken = {canonical_key(s) for s in settings}
    rng = np.random.default_rng(0)
    assert fresh_neighbour(space, settings[0], taken, rng) is None
    for free in settings:
        found = fresh_neighbour(space, settings[0], taken - {canonical_key(free)}, rng)
        assert found == free
    found = fresh_neighbour(space, settings[0], {canonical_key(settings[0])}, rng)
    assert sum(found.get(k) != v for k, v in settings[0].items()) == 1


def test_methods_are_pairs_of_known_names():
    for method in METHODS:
        sampler, scheduler = method_parts(method)
        assert sampler in SAMPLERS
        assert scheduler in SCHEDULERS
    assert method_parts("hyperband") == ("random", "hyperband")
    assert method_parts("bohb") == ("tpe", "hyperband")
    with pytest.raises(ConfigError, match="one of"):
        method_parts("annealing")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"n_trials": 0}, "trials"),
        ({"sampler": "annealing"}, "sampler"),
        ({"scheduler": "sha"}, "scheduler"),
    ],
)
def test_impossible_studies_are_refused(settings, word):
    with pytest.raises(ConfigError, match=word):
        study(**settings)


def test_the_core_reads_no_clock_and_no_file():
    """STYLE: time and storage come from outside."""
    import ast
    from pathlib import Path

    import lstune.search.study as core

    tree = ast.parse(Path(core.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"time", "datetime", "threading", "pathlib", "os", "io", "random"}


def test_optunas_notes_stay_muted_whatever_other_threads_do_with_warnings():
    from optuna.samplers import TPESampler

    from lstune.search.samplers._optuna import quiet

    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        with quiet():
            pass
        other = warnings.catch_warnings()
        other.__enter__()
        with quiet():
            other.__exit__(None, None, None)  # as another thread may, at any time
            TPESampler(multivariate=True, group=True, constant_liar=True)
