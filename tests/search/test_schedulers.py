import math

import pytest

from lstune.errors import ConfigError
from lstune.search import Float, Space, Study, TrialState
from lstune.search.records import TrialRecord
from lstune.search.samplers import make_sampler
from lstune.search.schedulers import NewTrial, Promotion, make_scheduler, rung_epochs
from lstune.search.schedulers.asha import AshaScheduler
from lstune.search.schedulers.hyperband import HyperbandScheduler, bracket_table
from lstune.search.schedulers.median import MedianScheduler
from lstune.search.testing import drive

# Li et al. 2018 (JMLR 18, 185), Table 1: R = 81, eta = 3; (n_i, r_i) of each bracket.
PAPER_TABLE = [
    [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    [(27, 3), (9, 9), (3, 27), (1, 81)],
    [(9, 9), (3, 27), (1, 81)],
    [(6, 27), (2, 81)],
    [(5, 81)],
]
LINE = Space({"x": Float(0.0, 1.0)})


def line(setting, epochs):
    return setting["x"] + 1.0 / epochs


def test_the_table_of_the_hyperband_paper():
    assert bracket_table(81, 3, sizes="paper") == PAPER_TABLE
    # Keras Tuner rounds sizes up where the paper rounds down; the first bracket and all epochs agree.
    keras = bracket_table(81, 3)
    assert keras[0] == PAPER_TABLE[0]
    for ours, papers in zip(keras, PAPER_TABLE, strict=True):
        assert [epochs for _, epochs in ours] == [epochs for _, epochs in papers]
        assert all(n >= m for (n, _), (m, _) in zip(ours, papers, strict=True))


def keras_size(max_epochs, factor, bracket, round_num):
    """`HyperbandOracle._get_size` of keras-tuner 1.4.8."""
    end = math.ceil(1 + math.log(max_epochs, factor)) / (bracket + 1)
    return math.ceil(end * factor ** (bracket - round_num))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_sizes_are_keras_tuners(factor):
    for max_epochs in [*range(1, 121), 243, 256, 729]:
        brackets, epochs = 0, float(max_epochs)
        while epochs >= 1:
            epochs, brackets = epochs / factor, brackets + 1
        expected = [
            [
                (keras_size(max_epochs, factor, s, i), math.ceil(max_epochs / factor ** (s - i)))
                for i in range(s + 1)
            ]
            for s in reversed(range(brackets))
        ]
        assert bracket_table(max_epochs, factor) == expected


@pytest.mark.slow
def test_sizes_are_those_of_the_installed_keras_tuner(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    hyperband = pytest.importorskip("keras_tuner.src.tuners.hyperband", exc_type=ImportError)
    from keras_tuner import Objective

    for max_epochs, factor in [(2, 3), (27, 3), (30, 3), (81, 3), (100, 3), (50, 4), (64, 2)]:
        oracle = hyperband.HyperbandOracle(Objective("loss", "min"), max_epochs=max_epochs, factor=factor)
        expected = [
            [(oracle._get_size(s, i), oracle._get_epochs(s, i)) for i in range(oracle._get_num_rounds(s))]
            for s in reversed(range(oracle._get_num_brackets()))
        ]
        assert bracket_table(max_epochs, factor) == expected


@pytest.mark.parametrize("iterations", [1, 2])
def test_hyperband_starts_and_promotes_what_its_table_says(iterations):
    study = Study(LINE, sampler="random", scheduler="hyperband", max_epochs=27, iterations=iterations)
    jobs = drive(study, line)
    table = bracket_table(27, 3) * iterations
    for bracket, rounds in enumerate(table):
        members = {t.number for t in study.trials if t.bracket == bracket}
        for k, (size, epochs) in enumerate(rounds):
            begin = rounds[k - 1][1] if k else 0
            pieces = [
                j for j in jobs if j.number in members and (j.start_epoch, j.stop_epoch) == (begin, epochs)
            ]
            assert len(pieces) == size
    assert study.exhausted


def test_hyperband_promotes_the_best_of_a_full_round():
    study = Study(LINE, sampler="random", scheduler="hyperband", max_epochs=9)
    drive(study, line, jobs=9 + 3)
    first = [t for t in study.trials if t.bracket == 0]
    promoted = {t.number for t in first if t.epochs > 1}
    assert promoted == {t.number for t in sorted(first, key=lambda t: t.params["x"])[:3]}


def test_hyperband_is_never_idle_before_the_end():
    study = Study(LINE, sampler="random", scheduler="hyperband", max_epochs=9)
    asked = [study.ask() for _ in range(17)]
    assert None not in asked  # nothing has been told, yet the next brackets open
    assert study.ask() is None
    assert not study.exhausted


def test_hyperband_promotes_who_is_left_when_a_round_fails():
    study = Study(LINE, sampler="random", scheduler="hyperband", max_epochs=9)
    for _ in range(9):
        job = study.ask()
        study.tell(job.number, 0.5 if job.number == 4 else math.nan)
    job = study.ask()
    assert (job.number, job.start_epoch, job.stop_epoch) == (4, 1, 3)
    study.tell(4, 0.4)
    job = study.ask()
    assert (job.number, job.start_epoch, job.stop_epoch) == (4, 3, 9)


def test_asha_promotes_the_top_third_at_once():
    asha = AshaScheduler(max_epochs=9)
    assert asha.rungs == (1, 3, 9)

    def paused(number, value, rung=1):
        return TrialRecord(number, {}, TrialState.PAUSED, value, rung, rungs=((rung, value),), job=(0, rung))

    two = [paused(0, 0.3), paused(1, 0.2)]
    assert asha.next(two, True) == NewTrial(1)
    assert asha.next([*two, paused(2, 0.4)], True) == Promotion(1, 1, 3)
    # a small study that may start no more still trains its best
    assert asha.next(two, False) == Promotion(1, 1, 3)
    # equal values: the older trial
    assert asha.next([paused(0, 0.3), paused(1, 0.3), paused(2, 0.3)], True) == Promotion(0, 1, 3)
    failed = TrialRecord(2, {}, TrialState.DIVERGED, None, 1, job=(0, 1))
    assert asha.next([*two, failed], True) == Promotion(1, 1, 3)


def test_asha_prefers_the_highest_rung():
    asha = AshaScheduler(max_epochs=9)
    trials = [
        TrialRecord(k, {}, TrialState.PAUSED, k / 10, 3, rungs=((1, 0.5), (3, k / 10)), job=(1, 3))
        for k in range(3)
    ]
    trials += [
        TrialRecord(k, {}, TrialState.PAUSED, 0.1, 1, rungs=((1, 0.1),), job=(0, 1)) for k in range(3, 9)
    ]
    assert asha.next(trials, True) == Promotion(0, 3, 9)


def test_a_trial_that_ended_by_itself_takes_its_place_in_the_rung():
    study = Study(LINE, sampler="random", scheduler="asha", max_epochs=9, min_epochs=3)
    first = study.ask()
    study.tell(first.number, 0.1, epochs=2)
    assert study.trials[0].state is TrialState.COMPLETE
    for value in (0.2, 0.3):
        study.tell(study.ask().number, value)
    # of three members one may go on: it is the one that has nothing left to train
    assert study.ask().start_epoch == 0


def test_rungs():
    assert rung_epochs(27, 1, 3) == (1, 3, 9, 27)
    assert rung_epochs(30, 1, 3) == (2, 4, 10, 30)
    assert rung_epochs(30, 5, 3) == (10, 30)
    assert rung_epochs(2, 2, 3) == (2,)


def test_median_stops_the_worse_half():
    median = MedianScheduler(max_epochs=10, startup_trials=5)

    def finished(number, value):
        curve = dict.fromkeys(range(1, 11), value)
        return TrialRecord(number, {}, TrialState.COMPLETE, value, 10, curve)

    others = [finished(k, k / 10) for k in range(5)]
    running = TrialRecord(9, {})
    assert median.should_stop(running, {1: 0.21}, others)
    assert not median.should_stop(running, {1: 0.2}, others)
    assert not median.should_stop(running, {1: 0.1, 2: 0.9}, others)  # its best counts
    assert not median.should_stop(running, {1: 0.9}, others[:4])
    assert not median.should_stop(running, {10: 0.9}, others)  # at its end there is nothing to save


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"name": "sha", "max_epochs": 9}, "one of"),
        ({"name": "asha", "max_epochs": 0}, "1 <="),
        ({"name": "asha", "max_epochs": 9, "min_epochs": 10}, "1 <="),
        ({"name": "asha", "max_epochs": 9, "factor": 1}, "factor"),
    ],
)
def test_impossible_schedules_are_refused(settings, word):
    with pytest.raises(ConfigError, match=word):
        make_scheduler(settings.pop("name"), **settings)


def test_unknown_bracket_sizes_are_refused():
    with pytest.raises(ConfigError, match="paper"):
        HyperbandScheduler(9, sizes="other")


@pytest.mark.parametrize("make", [make_scheduler, make_sampler])
@pytest.mark.parametrize("name", ["magic", ["gp"], None])
def test_names_that_are_none(make, name):
    options = {"max_epochs": 5} if make is make_scheduler else {}
    with pytest.raises(ConfigError, match="must be one of"):
        make(name, **options)
