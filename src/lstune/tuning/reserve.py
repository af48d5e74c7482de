"""How much of the budget to keep for what comes after the search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lstune.search import TrialRecord, TrialState
from lstune.series import Split
from lstune.tuning.clock import Budget
from lstune.tuning.finish import CANDIDATES, RESEEDED, finalists
from lstune.tuning.objective import epoch_seconds

__all__ = ["NoReserve", "Reserve"]


class NoReserve:
    """Stands for a `Reserve` where nothing comes after the search."""

    FIXED = 0.0

    def seconds(self, trials: Sequence[TrialRecord]) -> float:
        """None."""
        return 0.0


class Reserve:
    """How much time to keep for what comes after the search, estimated from the trials so far.

    passes: seconds that forecasts from so many origins take with a trial's network, `Objective.pass_seconds`.
    Where forecasts are fed back, or rows are many, they can take longer than training.
    """

    # Writing, plotting and the test; measured at 0.6 s on 2 cores, more when the disk is slow.
    FIXED = 1.5
    # The most of the budget that training after the search may claim: a short search finds worse settings.
    SHARE = 0.35
    # The part of what is left after the search that may go into finalists, and into forecasts of the test.
    FINALISTS = 0.4
    TEST = 0.3
    # Seconds beyond the budget that a network is worth, when there would be none without them.
    GRACE = 1.5

    def __init__(
        self,
        split: Split,
        epochs: int,
        members: int,
        workers: int,
        budget: Budget,
        passes: Callable[[TrialRecord, int], float],
    ) -> None:
        self.folds = len(split.folds)
        self.rows = split.folds[-1].train.stop, split.test.start, split.test.stop
        self.validated, self.tested = len(split.folds[-1].validation), len(split.test)
        self.epochs = epochs
        self.members = members
        self.workers = workers
        self.budget = budget
        self.passes = passes

    def one_training(self, trials: Sequence[TrialRecord]) -> float:
        """Seconds to train the best settings on more rows, twice, with one seed each."""
        train, development, everything = self.rows
        growth = (development + everything) / max(train, 1)
        best = finalists(trials, self.members)
        return self._at_once([epoch_seconds(t) * self._best_epoch(t) * growth for t in best])

    def seconds(self, trials: Sequence[TrialRecord]) -> float:
        """Seconds to keep for finalists and their seeds, one training twice, forecasts and the fixed part.

        What the best trial alone needs, forecasts of the validation rows and of the test, is kept in any
        case, all else up to `SHARE` of the budget.
        """
        chosen = finalists(trials, CANDIDATES)
        best = chosen[: self.members]
        unfinished = [trial for trial in best if trial.state is not TrialState.COMPLETE]
        completing = self._at_once([epoch_seconds(t) * (self.epochs - t.epochs) for t in unfinished])
        again = chosen[:RESEEDED]
        seeding = 1.3 * self.folds * sum(epoch_seconds(t) * self._best_epoch(t) for t in again) / self.workers
        validated = [*chosen, *again * self.folds]  # once as they are, then with other seeds and folds
        forecasts = self._at_once([self.passes(trial, self.validated) for trial in validated])
        forecasts += self.forecasts(best, self.tested)
        least = sum(self.passes(trial, self.validated + self.tested) for trial in chosen[:1])
        # Early stopping saves a part of completing.
        wanted = 1.3 * self.one_training(trials) + 0.6 * completing + seeding + max(0.0, forecasts - least)
        if self.budget.seconds is not None:
            wanted = min(wanted, self.SHARE * self.budget.seconds)
        return self.FIXED + least + wanted

    def forecasts(self, members: Sequence[TrialRecord], origins: int) -> float:
        """Seconds to forecast from so many origins with a network of each of these trials."""
        return self._at_once([self.passes(trial, origins) for trial in members])

    def fits(self, trial: TrialRecord, left: float) -> bool:
        """Whether forecasts of the validation rows and the test can be had in the `left` seconds, nearly."""
        needed = self.passes(trial, self.validated + self.tested)
        return needed <= max(0.0, left - self.FIXED) + self.GRACE

    def most_members(self, candidates: Sequence[TrialRecord], left: float) -> int:
        """How many of the candidates may be mixed, so that the test fits into the `left` seconds."""
        dearest = max((self.passes(trial, self.tested) for trial in candidates), default=0.0)
        if dearest <= 0:
            return self.members
        return int(max(1, min(self.members, self.TEST * left * self.workers / dearest)))

    def repeats(self, members: Sequence[TrialRecord], left: float) -> int:
        """How many seeds to train each of the mixture's settings with: 1 to 3, within the time left."""
        cost = 1.3 * self.one_training(members) + self.forecasts(members, self.tested)
        if cost <= 0:
            return 1
        return int(max(1, min(3, (left - self.FIXED) / cost)))

    def _at_once(self, costs: Sequence[float]) -> float:
        """Seconds that pieces of work take on all workers: no less than the longest piece."""
        return max(sum(costs) / min(self.workers, max(len(costs), 1)), *costs, 0.0)

    def _best_epoch(self, trial: TrialRecord) -> int:
        if trial.curve and trial.state is TrialState.COMPLETE:
            return min(trial.curve, key=lambda epoch: (trial.curve[epoch], epoch))
        return self.epochs
