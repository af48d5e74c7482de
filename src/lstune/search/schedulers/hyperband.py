"""Hyperband: successive halving in brackets that trade many short trials for few long ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lstune.errors import ConfigError, explain
from lstune.search.records import TrialRecord, TrialState
from lstune.search.schedulers._base import NewTrial, Promotion, Scheduler

__all__ = ["HyperbandScheduler", "bracket_table"]

Round = tuple[int, int]


def bracket_table(
    max_epochs: int, factor: float = 3, min_epochs: int = 1, sizes: str = "keras"
) -> list[list[Round]]:
    """For each bracket, the most aggressive first, its rounds as (number of trials, total epochs).

    Li et al. 2018 (JMLR 18, 185), Algorithm 1 with R = max_epochs and eta = factor. The paper leaves the
    rounding of sizes open: `keras` is Keras Tuner's (`HyperbandOracle._get_size`, always up), `paper` that
    of the authors' code and their Table 1 (down).
    """
    brackets = 0
    quotient = float(max_epochs)
    while quotient >= min_epochs:
        quotient /= factor
        brackets += 1
    if sizes == "keras":
        last = math.ceil(1 + math.log(max_epochs / min_epochs, factor))
        size = [
            [math.ceil(last / (s + 1) * factor ** (s - i)) for i in range(s + 1)] for s in range(brackets)
        ]
    elif sizes == "paper":
        first = [brackets // (s + 1) * factor**s for s in range(brackets)]
        size = [[int(first[s] / factor**i) for i in range(s + 1)] for s in range(brackets)]
    else:
        raise ConfigError(explain("Bracket sizes are 'keras' or 'paper'", sizes))
    return [
        [(size[s][i], math.ceil(max_epochs / factor ** (s - i))) for i in range(s + 1)]
        for s in reversed(range(brackets))
    ]


@dataclass(frozen=True)
class HyperbandScheduler(Scheduler):
    """Hyperband (Li et al. 2018) with Keras Tuner's bracket sizes and its asynchrony.

    Brackets come in the order of `bracket_table`, `iterations` times over (None: without end). A trial is
    promoted as soon as more trials of its round are ready than will be thrown out; when no bracket has work
    ready, the next bracket opens, so workers are never idle before the end. Failed trials count as the
    worst of their round and are never promoted (Keras Tuner leaves them out, and then waits for ever). A
    trial that ended by itself takes its place in later rounds without being trained. Where no new trial may
    start, a bracket's sizes shrink in proportion.
    """

    max_epochs: int
    min_epochs: int = 1
    factor: float = 3
    iterations: int | None = 1
    sizes: str = "keras"
    table: list[list[Round]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = bracket_table(self.max_epochs, self.factor, self.min_epochs, self.sizes)
        object.__setattr__(self, "table", table)

    def next(self, trials: Sequence[TrialRecord], may_start: bool) -> NewTrial | Promotion | None:
        """Fill the oldest open bracket that has room, else promote in it, else open the next one."""
        members: dict[int, list[TrialRecord]] = {}
        for trial in trials:
            members.setdefault(trial.bracket, []).append(trial)
        opened = max(members, default=0) + 1
        for bracket in range(opened):
            rounds = self.table[bracket % len(self.table)]
            inside = members.get(bracket, [])
            if may_start and len(inside) < rounds[0][0]:
                return NewTrial(rounds[0][1], bracket)
            if len(rounds) > 1 and any(t.state is TrialState.PAUSED for t in inside):
                promotion = _promotion(rounds, inside)
                if promotion is not None:
                    return promotion
        if may_start and (self.iterations is None or opened < self.iterations * len(self.table)):
            return NewTrial(self.table[opened % len(self.table)][0][1], opened)
        return None

    def stops_at(self, trial: TrialRecord) -> int | None:
        """The end of the first round of the trial's bracket that it has not finished."""
        rounds = self.table[trial.bracket % len(self.table)]
        return next((epochs for _, epochs in rounds if epochs > trial.epochs), None)

    def should_stop(
        self, trial: TrialRecord, curve: Mapping[int, float], trials: Sequence[TrialRecord]
    ) -> bool:
        """Never inside a round."""
        return False


def _promotion(rounds: Sequence[Round], inside: Sequence[TrialRecord]) -> Promotion | None:
    """The first promotion that is due in a bracket whose first round has all the trials that it will get."""
    share = min(1.0, len(inside) / rounds[0][0])
    present = list(inside)  # members of the round before, finished or not
    closed = all(_result(t, rounds[0][1]) is not None for t in present)
    for k in range(1, len(rounds)):
        before, epochs = rounds[k - 1][1], rounds[k][1]
        past_size, size = (max(1, math.ceil(rounds[i][0] * share)) for i in (k - 1, k))
        chosen = [t for t in present if t.job[1] >= epochs]
        ready = [
            (r, t.number, t) for t in present if t not in chosen and (r := _result(t, before)) is not None
        ]
        ready.sort(key=lambda item: item[:2])
        while ready and len(chosen) < size and (closed or len(ready) > past_size - size):
            value, _, best = ready.pop(0)
            if not math.isfinite(value):
                break
            if best.state is TrialState.PAUSED:
                return Promotion(best.number, before, epochs)
            chosen.append(best)  # ended by itself: stands in the next round as it is
        nothing_more = len(chosen) >= size or (closed and not any(math.isfinite(r) for r, _, _ in ready))
        closed = nothing_more and all(_result(t, epochs) is not None for t in chosen)
        present = chosen
    return None


def _result(trial: TrialRecord, epochs: int) -> float | None:
    """The trial's value at the end of the round that ends after `epochs`; None while it is under way."""
    for epoch, value in trial.rungs:
        if epoch == epochs:
            return value
    if trial.state.is_failure:
        return math.inf
    if trial.state.is_final:  # it stopped on the way there
        return math.inf if trial.value is None else trial.value
    return None
