"""What the display is told of a study."""

from types import SimpleNamespace

from lstune.search import TrialRecord, TrialState
from lstune.tuning.board import StudyBoard


def shown(board):
    snapshot = board.snapshot(1.0, lambda: (0.0, None))
    return snapshot.trials, snapshot.running, snapshot.failed


def test_after_the_search_no_trial_is_running():
    states = (TrialState.COMPLETE, TrialState.DIVERGED, TrialState.RUNNING)
    trials = [TrialRecord(number=k, params={}, state=state) for k, state in enumerate(states)]
    board = StudyBoard(SimpleNamespace(trials=trials, best=None, n_trials=3), None, ())
    # A resumed run knows its trials before it asks for another.
    assert shown(board) == (2, 1, 1)
    with board.working():
        pass
    assert shown(board) == (3, 0, 1)
