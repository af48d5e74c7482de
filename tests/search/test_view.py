"""The study as the dashboard shows it: values where there are some, readable names, nothing changed."""

import math

import pytest

from lstune.errors import StudyError
from lstune.search import Choice, Fixed, Float, Space, Study, TrialState
from lstune.search.storage import open_storage

optuna = pytest.importorskip("optuna")
State = optuna.trial.TrialState
SPACE = Space({"rate": Float(0.001, 0.1, log=True), "kind": Choice(("a", "b")), "layers": Fixed(1)})


@pytest.fixture
def store(tmp_path):
    """A study with a trial of each state: complete, waiting at a rung, pruned, diverged, failed, running."""
    store = open_storage(tmp_path / "study.journal", study="night")
    study = Study(SPACE, sampler="random", scheduler="asha", max_epochs=9, factor=3, seed=1, storage=store)
    for number in range(6):
        job = study.ask(now=1_700_000_000.0 + number)
        assert job.number == number
        if number < 5:
            study.report(number, 1, 2.0 - number / 10)
        if number == 0:
            study.tell(0, 1.2345678, epochs=0, now=1_700_000_060.0)  # ended by itself
        elif number == 1:
            study.tell(1, 1.5, attrs={"seconds": 1.23456}, now=1_700_000_061.0)
        elif number == 2:
            study.tell(2, None, state=TrialState.PRUNED, epochs=1, reason="worse than the median")
        elif number == 3:
            study.tell(3, math.nan)
        elif number == 4:
            study.tell(4, None, state=TrialState.FAILED, reason="longer than 5 s")
    return store


def view_of(store, ended=False):
    from lstune.search.view import StudyView

    return StudyView(store, metric="validation MAE", about={"data": "a.csv"}, ended=lambda: ended)


def trials(store, ended=False):
    view = view_of(store, ended)
    return view.get_all_trials(view.study_id)


def test_each_state_is_shown_with_what_is_known(store):
    shown = trials(store)
    assert [t.state for t in shown] == [
        State.COMPLETE,
        State.PRUNED,
        State.PRUNED,
        State.FAIL,
        State.FAIL,
        State.RUNNING,
    ]
    assert [t.value for t in shown] == [1.2346, 1.5, 1.8, None, None, None]
    assert shown[1].user_attrs == {
        "epochs trained": 1,
        "seconds": 1.23,
        "ended": "waits at a rung for its promotion",
    }
    assert [t.user_attrs.get("ended") for t in shown[2:]] == [
        "worse than the median",
        "the value is nan",
        "longer than 5 s",
        None,
    ]
    assert shown[1].intermediate_values == {1: 1.5}
    assert shown[1].duration.total_seconds() == 60.0
    # To Optuna itself the one that waits is running, for it goes on.
    stored = store.optuna_storage.get_all_trials(view_of(store).study_id)
    assert stored[1].state is State.RUNNING


def test_after_the_run_nothing_is_left_running(store):
    shown = trials(store, ended=True)
    assert State.RUNNING not in {t.state for t in shown}
    assert shown[1].user_attrs["ended"] == "at a rung"
    assert shown[5].user_attrs["ended"] == "cut off with the search"


def test_parameters_are_those_that_vary_in_numbers_that_can_be_read(store):
    for trial in trials(store):
        assert set(trial.params) == set(trial.distributions) == {"rate", "kind"}
        assert len(f"{trial.params['rate']!r}") <= 9
        assert trial.distributions["rate"]._contains(trial.params["rate"])


def test_the_study_is_named_and_described(store):
    view = view_of(store)
    (study,) = view.get_all_studies()
    assert study.study_name == "night"
    assert study.user_attrs == {"data": "a.csv"}
    assert study.system_attrs == {"study:metric_names": ["validation MAE"]}


def test_other_studies_in_the_storage_are_left_out(store, tmp_path):
    other = open_storage(tmp_path / "study.journal", study="other")
    Study(SPACE, sampler="random", scheduler="none", max_epochs=9, storage=other)
    assert [study.study_name for study in view_of(store).get_all_studies()] == ["night"]


def test_only_notes_can_be_written(store):
    view = view_of(store)
    trial = view.get_all_trials(view.study_id)[5]._trial_id
    before = store.optuna_storage.get_all_trials(view.study_id)
    for change in (
        lambda: view.delete_study(view.study_id),
        lambda: view.create_new_study([optuna.study.StudyDirection.MINIMIZE]),
        lambda: view.create_new_trial(view.study_id),
        lambda: view.set_trial_state_values(trial, State.FAIL),
        lambda: view.set_trial_param(trial, "rate", 0.1, None),
        lambda: view.set_trial_intermediate_value(trial, 1, 0.0),
        lambda: view.set_trial_user_attr(trial, "a", 1),
        lambda: view.set_study_user_attr(view.study_id, "a", 1),
        lambda: view.set_study_system_attr(view.study_id, "lstune", {}),
        lambda: view.set_trial_system_attr(trial, "lstune", {}),
    ):
        with pytest.raises(StudyError, match="does not change"):
            change()
    assert store.optuna_storage.get_all_trials(view.study_id) == before
    view.set_trial_system_attr(trial, "dashboard:note", "look here")
    assert view.get_trial(trial).system_attrs == {"dashboard:note": "look here"}
    # The study itself does not mind.
    assert len(Study.load(open_storage(store.url, study="night")).trials) == 6
