"""The oracles: lstune's samplers under Keras Tuner's names, Hyperband's brackets in Keras Tuner's sizes."""

from __future__ import annotations

import json
import math
from typing import Any

from lstune.errors import explain
from lstune.kt.oracle import Oracle
from lstune.kt.search_space import SearchSpace, search_space
from lstune.kt.trial import Trial, TrialStatus
from lstune.search.dedupe import fresh_neighbour
from lstune.search.records import TrialRecord, TrialState
from lstune.search.samplers import Context, Sampler, make_sampler
from lstune.search.space import canonical_key, snap_setting

__all__ = [
    "BOHBOracle",
    "BayesianOptimizationOracle",
    "GridSearchOracle",
    "HyperbandOracle",
    "RandomSearchOracle",
    "SMACOracle",
    "SamplerOracle",
    "TPEOracle",
]

# How often a sampler is asked again when what it suggests has been tried.
_ATTEMPTS = 8


class SamplerOracle(Oracle):
    """An oracle that asks one of lstune's samplers (see `lstune.search.SAMPLERS`).

    A suggestion depends on the seed, on how many trials there are and on the finished ones alone. The space
    may grow while the search goes on: earlier trials then count with the new hyperparameter's default.
    """

    sampler = "random"
    grid = False

    def __init__(
        self, objective: Any = None, max_trials: int | None = 10, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(objective=objective, max_trials=max_trials, seed=seed, **kwargs)
        self.sampler_options: dict[str, Any] = {}
        self._asked: tuple[str, Sampler] | None = None
        self._memos: dict[str, dict[str, Any]] = {}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """What the sampler suggests; the search is over when it has nothing new."""
        values = self._suggest(trial_id)
        if values is None:
            # A running trial may still bring new hyperparameters.
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        return {"status": TrialStatus.RUNNING, "values": values}

    def _suggest(self, trial_id: str) -> dict[str, Any] | None:
        known = search_space(self.hyperparameters, self.grid)
        if known is None:
            return None if self.trials else {}
        records = self._records(known)
        taken = {canonical_key(record.params) for record in records}
        size = known.space.size
        if size is not None and len(taken) >= size:
            return None
        sampler = self._sampler(known)
        suggestion = None
        for attempt in range(_ATTEMPTS):
            context = Context(
                known.space, self.seed, len(records), records, self._full_epochs(), attempt, taken
            )
            suggestion = sampler.suggest(context)
            if suggestion is None:
                return None
            if canonical_key(suggestion.setting) not in taken:
                break
        else:
            assert suggestion is not None
            setting = fresh_neighbour(known.space, suggestion.setting, taken, context.rng())
            return None if setting is None else known.values(setting)
        self._memos[trial_id] = suggestion.memo
        return known.values(suggestion.setting)

    def _sampler(self, known: SearchSpace) -> Sampler:
        # Samplers keep what they have learnt of one space.
        stamp = json.dumps(known.space.to_dict(), sort_keys=True, default=str)
        if self._asked is None or self._asked[0] != stamp:
            self._asked = (stamp, make_sampler(self.sampler, **self.sampler_options))
        return self._asked[1]

    def _full_epochs(self) -> int:
        return 1

    def _records(self, known: SearchSpace) -> tuple[TrialRecord, ...]:
        records: list[TrialRecord] = []
        for trial in self.trials.values():
            setting = known.setting(trial.hyperparameters.values)
            if setting is not None:
                value = self._value(trial)
                points = () if value is None else ((1, value),)
                records.append(self._record(trial, known, setting, len(records), value, points))
        return tuple(records)

    def _record(
        self,
        trial: Trial,
        known: SearchSpace,
        setting: dict[str, Any],
        number: int,
        value: float | None,
        points: tuple[tuple[int, float], ...],
    ) -> TrialRecord:
        state = TrialState.COMPLETE if value is not None else TrialState.FAILED
        if trial.status in (TrialStatus.RUNNING, TrialStatus.INVALID):
            state = TrialState.RUNNING
        order = self.end_order.index(trial.trial_id) if trial.trial_id in self.end_order else -1
        epochs = points[-1][0] if points else 0
        return TrialRecord(
            number,
            snap_setting(known.space, setting),
            state=state,
            value=value,
            epochs=epochs,
            curve=dict(points),
            rungs=points,
            job=(0, self._full_epochs()),
            order=order,
            memo=self._memos.get(trial.trial_id, {}),
        )

    def _value(self, trial: Trial) -> float | None:
        """What samplers make small."""
        if trial.status != TrialStatus.COMPLETED or trial.score is None or not math.isfinite(trial.score):
            return None
        return -trial.score if self.objective.direction == "max" else trial.score

    def get_state(self) -> dict[str, Any]:
        """Everything but the trials."""
        return {**super().get_state(), "memos": self._memos}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave, here or in Keras Tuner."""
        super().set_state(state)
        self._memos = dict(state.get("memos", {}))


class RandomSearchOracle(SamplerOracle):
    """Every hyperparameter uniform on its own scale."""


class GridSearchOracle(SamplerOracle):
    """Every combination once; ten values of a range without steps."""

    sampler = "grid"
    grid = True

    def __init__(
        self, objective: Any = None, max_trials: int | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(objective, max_trials, seed, **kwargs)


class BayesianOptimizationOracle(SamplerOracle):
    """A Gaussian process with expected improvement.

    num_initial_points: random trials before it; 8 if left out.  alpha, beta: of Keras Tuner's own process and
    its bound; ours estimates its noise and needs no weight, so they are not used.
    """

    sampler = "gp"

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, max_trials, seed, **kwargs)
        self.num_initial_points, self.alpha, self.beta = num_initial_points, alpha, beta
        if num_initial_points is not None:
            self.sampler_options = {"startup": int(num_initial_points)}


class TPEOracle(SamplerOracle):
    """The tree-structured Parzen estimator (Bergstra et al. 2011)."""

    sampler = "tpe"


class SMACOracle(SamplerOracle):
    """SMAC's random forest (Lindauer et al. 2022)."""

    sampler = "smac"


class HyperbandOracle(SamplerOracle):
    """Hyperband (Li et al. 2018): brackets of successive halving, sized as Keras Tuner sizes them.

    A promoted trial is a trial of its own, whose values name the one it goes on from ("tuner/trial_id") and
    the epochs it starts and ends at ("tuner/initial_epoch", "tuner/epochs").
    """

    def __init__(
        self,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int | None = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(objective, kwargs.pop("max_trials", None), seed, **kwargs)
        if factor < 2:
            raise ValueError(explain("factor must be 2 or more", factor))
        self.max_epochs, self.factor = max_epochs, factor
        self.hyperband_iterations = hyperband_iterations or math.inf
        self._current_iteration = 0
        self._current_bracket = self._bracket_count() - 1
        self._brackets: list[dict[str, Any]] = []
        self._open_bracket()

    # The plan

    def _bracket_count(self) -> int:
        count, epochs = 0, float(self.max_epochs)
        while epochs >= 1:
            count, epochs = count + 1, epochs / self.factor
        return count

    def _size(self, bracket: int, round_number: int) -> int:
        """How many trials a round of a bracket holds."""
        most = math.ceil(1 + math.log(self.max_epochs, self.factor))
        return math.ceil(most / (bracket + 1) * self.factor ** (bracket - round_number))

    def _epochs(self, bracket: int, round_number: int) -> int:
        """The epochs at which a round ends."""
        return math.ceil(self.max_epochs / self.factor ** (bracket - round_number))

    def _open_bracket(self) -> None:
        number = self._current_bracket
        self._brackets.append({"bracket_num": number, "rounds": [[] for _ in range(number + 1)]})

    # What to try

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """A promotion where one is due, else a new trial of the bracket under way, else the next bracket."""
        while True:
            for bracket in self._brackets:
                number, rounds = bracket["bracket_num"], bracket["rounds"]
                if len(rounds[0]) < self._size(number, 0):
                    return self._new(trial_id, bracket)
                values = self._promotion(trial_id, bracket)
                if values is not None:
                    return {"status": TrialStatus.RUNNING, "values": values}
            if self._current_bracket == 0 and self._current_iteration + 1 >= self.hyperband_iterations:
                return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
            if self._current_bracket == 0:
                self._current_bracket = self._bracket_count()
                self._current_iteration += 1
            self._current_bracket -= 1
            self._open_bracket()

    def _new(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        values = self._suggest(trial_id)
        if values is None:
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        number = bracket["bracket_num"]
        bracket["rounds"][0].append({"past_id": None, "id": trial_id})
        plan = {"epochs": self._epochs(number, 0), "initial_epoch": 0, "bracket": number, "round": 0}
        return {
            "status": TrialStatus.RUNNING,
            "values": {**values, **{f"tuner/{name}": value for name, value in plan.items()}},
        }

    def _promotion(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any] | None:
        number, rounds = bracket["bracket_num"], bracket["rounds"]
        for place in range(1, len(rounds)):
            promoted = {entry["past_id"] for entry in rounds[place]}
            past = [self.trials[entry["id"]] for entry in rounds[place - 1]]
            waiting = [t for t in past if self._value(t) is not None and t.trial_id not in promoted]
            failed = sum(t.status == TrialStatus.FAILED for t in past)
            # The best of those that wait is promoted once it is sure to be among the best of the round.
            if len(waiting) <= max(self._size(number, place - 1) - self._size(number, place) - failed, 0):
                continue
            if len(rounds[place]) >= self._size(number, place):
                continue
            best = min(waiting, key=lambda trial: self._value(trial) or 0.0)
            rounds[place].append({"past_id": best.trial_id, "id": trial_id})
            return {
                **best.hyperparameters.values,
                "tuner/trial_id": best.trial_id,
                "tuner/epochs": self._epochs(number, place),
                "tuner/initial_epoch": self._epochs(number, place - 1),
                "tuner/bracket": number,
                "tuner/round": place,
            }
        return None

    # What samplers see: a chain of promotions is one trial with a rung for each

    def _full_epochs(self) -> int:
        return self.max_epochs

    def _records(self, known: SearchSpace) -> tuple[TrialRecord, ...]:
        chains: dict[str, list[Trial]] = {}
        root: dict[str, str] = {}
        for trial in self.trials.values():
            past = trial.hyperparameters.values.get("tuner/trial_id")
            root[trial.trial_id] = root.get(past, trial.trial_id) if past is not None else trial.trial_id
            chains.setdefault(root[trial.trial_id], []).append(trial)
        records: list[TrialRecord] = []
        for chain in chains.values():
            setting = known.setting(chain[0].hyperparameters.values)
            if setting is None:
                continue
            points = tuple(
                (int(trial.hyperparameters.values.get("tuner/epochs", self.max_epochs)), value)
                for trial in chain
                if (value := self._value(trial)) is not None
            )
            value = points[-1][1] if points else None
            records.append(self._record(chain[-1], known, setting, len(records), value, points))
        return tuple(records)

    def get_state(self) -> dict[str, Any]:
        """Everything but the trials."""
        return {
            **super().get_state(),
            "hyperband_iterations": self.hyperband_iterations,
            "max_epochs": self.max_epochs,
            "min_epochs": 1,
            "factor": self.factor,
            "brackets": self._brackets,
            "current_bracket": self._current_bracket,
            "current_iteration": self._current_iteration,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_state` gave, here or in Keras Tuner."""
        super().set_state(state)
        self.hyperband_iterations = state["hyperband_iterations"]
        self.max_epochs, self.factor = state["max_epochs"], state["factor"]
        self._current_bracket = state["current_bracket"]
        self._current_iteration = state["current_iteration"]
        # A trial whose file is lost leaves its place.
        self._brackets = [
            {
                **bracket,
                "rounds": [[e for e in entries if e["id"] in self.trials] for entries in bracket["rounds"]],
            }
            for bracket in state["brackets"]
        ]


class BOHBOracle(HyperbandOracle):
    """Hyperband whose new trials TPE suggests (Falkner et al. 2018)."""

    sampler = "tpe"
