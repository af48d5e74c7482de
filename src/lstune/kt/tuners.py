"""The tuners by their names: each an oracle and what it needs of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lstune.kt.checkpoint import has_checkpoint, load_checkpoint
from lstune.kt.oracle import Oracle
from lstune.kt.oracles import (
    BayesianOptimizationOracle,
    BOHBOracle,
    GridSearchOracle,
    HyperbandOracle,
    RandomSearchOracle,
    SMACOracle,
    TPEOracle,
)
from lstune.kt.refused import refuser
from lstune.kt.trial import Trial, TrialStatus
from lstune.kt.tuner import Tuner

__all__ = ["BOHB", "SMAC", "TPE", "BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch", "Tuner"]

__getattr__ = refuser(__name__)

_FOR_ORACLE = (
    "hyperparameters",
    "tune_new_entries",
    "allow_new_entries",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
)


def _split(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The oracle's share of keyword arguments, and the tuner's."""
    oracle = {name: arguments.pop(name) for name in _FOR_ORACLE if name in arguments}
    return oracle, arguments


class _Sampled(Tuner):
    """A tuner whose oracle is one of lstune's samplers; arguments are the oracle's and `Tuner`'s."""

    oracle_class: type[Oracle] = RandomSearchOracle

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for_oracle, for_tuner = _split(kwargs)
        self.seed = seed
        oracle = self.oracle_class(objective=objective, max_trials=max_trials, seed=seed, **for_oracle)
        super().__init__(oracle, hypermodel, **for_tuner)


class RandomSearch(_Sampled):
    """Settings drawn at random."""


class TPE(_Sampled):
    """The tree-structured Parzen estimator; Keras Tuner has none."""

    oracle_class = TPEOracle


class SMAC(_Sampled):
    """SMAC's random forest; Keras Tuner has none."""

    oracle_class = SMACOracle


class GridSearch(_Sampled):
    """Every combination, in an order that covers the space evenly; until `max_trials` or the grid's end."""

    oracle_class = GridSearchOracle

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(hypermodel, objective, max_trials, seed, **kwargs)


class BayesianOptimization(Tuner):
    """A Gaussian process; see `BayesianOptimizationOracle` for its arguments."""

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_trials: int | None = 10,
        num_initial_points: int | None = None,
        alpha: float = 1e-4,
        beta: float = 2.6,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for_oracle, for_tuner = _split(kwargs)
        oracle = BayesianOptimizationOracle(
            objective, max_trials, num_initial_points, alpha, beta, seed=seed, **for_oracle
        )
        super().__init__(oracle, hypermodel, **for_tuner)


class Hyperband(Tuner):
    """Hyperband in Keras Tuner's sizes; a promoted trial goes on where it stopped, optimizer and all.

    max_epochs: of the longest trials.  factor: how much fewer trials, and longer, each round has.
    hyperband_iterations: times the whole plan is run; None is no end.
    """

    oracle_class: type[HyperbandOracle] = HyperbandOracle

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = None,
        max_epochs: int = 100,
        factor: int = 3,
        hyperband_iterations: int | None = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for_oracle, for_tuner = _split(kwargs)
        oracle = self.oracle_class(
            objective, max_epochs, factor, hyperband_iterations, seed=seed, **for_oracle
        )
        super().__init__(oracle, hypermodel, **for_tuner)

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """Train from the round's first epoch to its last."""
        values = trial.hyperparameters.values
        if "tuner/epochs" in values:
            fit_kwargs["epochs"] = values["tuner/epochs"]
            fit_kwargs["initial_epoch"] = values["tuner/initial_epoch"]
        return super().run_trial(trial, *fit_args, **fit_kwargs)

    def _keeps_states(self) -> bool:
        return True

    def _resumed_from(self, trial: Trial) -> Path | None:
        past = trial.hyperparameters.values.get("tuner/trial_id")
        return None if past is None else Path(self.get_trial_dir(past))

    def _still_needed(self) -> set[str]:
        """Trials that the next round of their bracket may still take, or has taken and not finished."""
        oracle = self.oracle
        assert isinstance(oracle, HyperbandOracle)
        needed: set[str] = set()
        for bracket in oracle._brackets:
            for place, entries in enumerate(bracket["rounds"][:-1]):
                following = bracket["rounds"][place + 1]
                if len(following) < oracle._size(bracket["bracket_num"], place + 1):
                    needed |= {entry["id"] for entry in entries}
                running = [e for e in following if oracle.trials[e["id"]].status == TrialStatus.RUNNING]
                needed |= {entry["past_id"] for entry in running}
        return needed

    def _build_hypermodel(self, hp: Any) -> Any:
        """For Keras' own training: a promoted trial starts from the weights of the one before."""
        model = super()._build_hypermodel(hp)
        past = hp.values.get("tuner/trial_id")
        if past is None:
            return model
        folder = Path(self.get_trial_dir(past))
        if has_checkpoint(folder):
            load_checkpoint(folder, model)
        return model


class BOHB(Hyperband):
    """Hyperband whose new trials TPE suggests; Keras Tuner has none."""

    oracle_class = BOHBOracle
