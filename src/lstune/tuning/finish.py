"""From the trials to a forecast: finalists, their mixture, training on more rows.

1. Finalists that the scheduler left on the way are trained to the end, on the same rows as before.
2. Their forecasts of the validation rows, made with exact windows, are mixed with the naive one.
3. The settings are trained again on training and validation rows; this forecaster meets the test tail.
4. They are trained once more on all rows; that forecaster makes the forecast of the coming rows.

A training that time does not allow is replaced by the network of the step before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from lstune.engine import StopFlag
from lstune.evaluation import Intervals, encompassing, measure, step_errors
from lstune.forecaster import Forecaster, Member
from lstune.search import Job, TrialRecord, TrialState
from lstune.series import Series, take_rows
from lstune.tuning.ensemble import select_ensemble
from lstune.tuning.objective import Fitted, Objective, fit_member, training_seed

__all__ = [
    "CANDIDATES",
    "MEMBERS",
    "OUT_OF_TIME",
    "RESEEDED",
    "UNBEATEN",
    "Candidate",
    "Mixture",
    "as_forecaster",
    "as_members",
    "by_strategy",
    "choose_mixture",
    "complete_finalists",
    "finalists",
    "first_of_each",
    "load_candidates",
    "retrain",
    "trials_of",
    "try_folds",
    "try_seeds",
    "without_networks",
]

F64 = npt.NDArray[np.float64]
T = TypeVar("T")
R = TypeVar("R")

# Trials whose forecasts are looked at for the mixture, and how many different ones it may hold.
CANDIDATES = 12
# The best of them are trained with another seed before the mixture is chosen.
RESEEDED = 6
MEMBERS = 4
# Why a forecast may be a baseline alone.
UNBEATEN = "no setting clearly beat it on the validation rows"
OUT_OF_TIME = "time ended before a first setting was ready"
# Other seeds of a trial are trained under numbers this far from its own.
_SEED_STEP = 10_000_000
# What the evidence for a mixture has to exceed; see `choose_mixture`.
_DOUBT = 18.0
# A mixture that keeps less than this of itself is the baseline.
_TOO_LITTLE = 0.05
# A retrained network whose error on rows it has seen exceeds this many times its validation error went wrong.
_GONE_WRONG = 1.5


@dataclass(frozen=True)
class Candidate:
    """A trial that may go into the mixture: network, forecasts (V, H) of the validation rows, their error.

    With further seeds, `forecasts` is the mean over them, `epochs` their median and `seed_maes` their errors.
    """

    number: int
    setting: dict[str, Any]
    epochs: int
    fitted: Fitted
    forecasts: F64
    mae: float
    seed_maes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Mixture:
    """Candidates with their shares, and those of the baselines; `forecasts` and `actual` are (V, H).

    `reason` says why there are no candidates, if there are none. `strategies` holds the mean absolute error
    at each step of the horizon of the best candidate of each strategy.
    """

    candidates: tuple[Candidate, ...]
    shares: tuple[float, ...]
    baselines: dict[str, float]
    forecasts: F64
    actual: F64
    reason: str = UNBEATEN
    strategies: dict[str, list[float]] = field(default_factory=dict)


def in_threads(work: Callable[[T], R], items: Sequence[T], workers: int, stop: StopFlag) -> list[R | None]:
    """`work` on each item, `workers` at a time; None where it raised. Ctrl-C sets `stop` and is raised."""

    def guarded(item: T) -> R | None:
        try:
            return work(item)
        except Exception:  # a network that cannot be had is replaced, not fatal
            return None

    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(guarded, items))
        except KeyboardInterrupt:
            stop.set()  # else leaving the pool would wait until every training has run to its end
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def finalists(trials: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """The best `count` trials by their validation error so far."""
    usable = [trial for trial in trials if trial.has_value]
    return sorted(usable, key=lambda trial: (trial.value, trial.number))[:count]


def complete_finalists(objective: Objective, chosen: Sequence[TrialRecord], workers: int) -> None:
    """Train those left on the way (paused or interrupted) to their last epoch; states are updated."""

    def go_on(trial: TrialRecord) -> None:
        epochs = objective.recipe(trial.params).train.epochs
        job = Job(trial.number, trial.params, trial.epochs, epochs)
        objective.run(job, lambda epoch, value: False)

    unfinished = [
        trial
        for trial in chosen
        if trial.state is not TrialState.COMPLETE
        and trial.epochs < objective.recipe(trial.params).train.epochs
    ]
    in_threads(go_on, unfinished, workers, objective.stop)


def load_candidates(objective: Objective, chosen: Sequence[TrialRecord], workers: int) -> list[Candidate]:
    """The trials with their forecasts of the validation rows, best first.

    Beside the first, those are left out whose forecasts would end after the objective's deadline.
    """
    rows = len(objective.fold.validation)

    def load(trial: TrialRecord) -> Candidate | None:
        fitted = objective.fitted(trial.number, trial.params, trial.epochs)
        state = objective.states.get(trial.number, trial.epochs)
        if fitted is None or state is None:
            return None
        if trial is not chosen[0] and objective.late(objective.pass_seconds(trial, rows)):
            return None
        forecasts = objective.forecast(trial.number, fitted)
        mae = measure("mae", objective.validation_truth(), forecasts)
        return Candidate(trial.number, trial.params, state.best_epoch, fitted, forecasts, mae)

    found = [
        candidate for candidate in in_threads(load, chosen, workers, objective.stop) if candidate is not None
    ]
    return sorted((c for c in found if np.isfinite(c.mae)), key=lambda c: (c.mae, c.number))


def try_seeds(
    objective: Objective, candidates: Sequence[Candidate], seeds: int, workers: int
) -> list[Candidate]:
    """The candidates trained again with `seeds` other seeds each, on the same rows; best mean forecast first.

    A candidate's forecasts become the mean over its seeds and its epochs their median, so that neither a
    lucky start nor a lucky epoch counts as a good setting. Trainings that do not end well are left out.
    """
    tasks = [(index, seed) for seed in range(1, seeds + 1) for index in range(len(candidates))]

    def again(task: tuple[int, int]) -> tuple[F64, int] | None:
        candidate = candidates[task[0]]
        number = candidate.number + task[1] * _SEED_STEP
        epochs = objective.recipe(candidate.setting).train.epochs
        outcome = objective.run(Job(number, candidate.setting, 0, epochs), lambda epoch, value: False)
        fitted, state = objective.fitted(number, candidate.setting), objective.states.get(number)
        if outcome.status not in ("reached", "early") or fitted is None or state is None:
            return None
        if objective.late(objective.validating(candidate.number)):
            return None
        return objective.forecast(number, fitted), state.best_epoch

    actual = objective.validation_truth()
    found = dict(zip(tasks, in_threads(again, tasks, workers, objective.stop), strict=True))
    renewed = []
    for index, candidate in enumerate(candidates):
        more = [made for (i, _), made in found.items() if i == index and made is not None]
        forecasts = [candidate.forecasts, *(forecast for forecast, _ in more)]
        maes = tuple(measure("mae", actual, forecast) for forecast in forecasts)
        epochs = round(float(np.median([candidate.epochs, *(epochs for _, epochs in more)])))
        mean = np.mean(forecasts, axis=0)
        mae = measure("mae", actual, mean)
        renewed.append(replace(candidate, epochs=epochs, forecasts=mean, mae=mae, seed_maes=maes))
    return sorted(renewed, key=lambda c: (c.mae, c.number))


def try_folds(
    objectives: Sequence[Objective], candidates: Sequence[Candidate], workers: int
) -> list[Candidate]:
    """The candidates with their forecasts of earlier folds put before those they have; best first.

    objectives: one for each earlier fold, in the order of time. A candidate that cannot be trained on one of
    them is left out.
    """
    tasks = [(index, fold) for index in range(len(candidates)) for fold in range(len(objectives))]

    def train(task: tuple[int, int]) -> F64 | None:
        candidate, objective = candidates[task[0]], objectives[task[1]]
        epochs = objective.recipe(candidate.setting).train.epochs
        objective.run(Job(candidate.number, candidate.setting, 0, epochs), lambda epoch, value: False)
        fitted = objective.fitted(candidate.number, candidate.setting)
        if fitted is None or objective.late(objective.validating(candidate.number)):
            return None
        return objective.forecast(candidate.number, fitted)

    made = dict(zip(tasks, in_threads(train, tasks, workers, objectives[0].stop), strict=True))
    actual = [objective.validation_truth() for objective in objectives]
    renewed = []
    for index, candidate in enumerate(candidates):
        earlier = [made[index, fold] for fold in range(len(objectives))]
        parts = [part for part in earlier if part is not None]
        if len(parts) < len(objectives):
            continue
        maes = [candidate.mae, *(measure("mae", truth, p) for p, truth in zip(parts, actual, strict=True))]
        sizes = [candidate.forecasts.size, *(part.size for part in parts)]
        mae = float(np.average(maes, weights=sizes))
        renewed.append(replace(candidate, forecasts=np.concatenate([*parts, candidate.forecasts]), mae=mae))
    return sorted(renewed, key=lambda c: (c.mae, c.number))


def trials_of(candidates: Sequence[Candidate], trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that the candidates come from, in the order of `trials`."""
    numbers = {candidate.number for candidate in candidates}
    return [trial for trial in trials if trial.number in numbers]


def choose_mixture(
    candidates: Sequence[Candidate],
    baselines: Mapping[str, F64],
    actual: F64,
    *,
    horizon: int,
    ensemble: bool,
    tried: int = 1,
    most: int = MEMBERS,
) -> Mixture:
    """Shares chosen on the validation rows: greedy selection, then shrinkage towards the best baseline.

    The mixture keeps the part w max(0, 1 - (c / t^2)^2) of its way from the baseline that is best on these
    rows, where w, between 0 and 1, is the weight that serves best and t says how sure it is, see
    `encompassing`: nothing when what the settings add may be chance, nearly all when it clearly is not. The
    idea is the positive-part shrinkage of James & Stein (1961), which would keep 1 - 1 / t^2; the square
    spares clear skill. c = 18 + 2 ln(tried), since the mixture was chosen on these very rows: the best of
    `tried` independent forecasts without any skill has t^2 near 2 ln(tried), and the choice of the best
    epochs and of the shares adds to it. 18 is from measurements with 12 to 20 trials: t^2 was at most 26 on
    27 random walks and 10 on 9 stretches of prices, and above 37 on 20 of 21 stretches of other series, on
    19 of which the mixture was better on later rows too. All forecasts are (V, H).
    """
    if not ensemble:
        best = candidates[0]
        return Mixture((best,), (1.0,), {}, best.forecasts, actual)
    pool: dict[str, F64] = {str(index): c.forecasts for index, c in enumerate(candidates)}
    chosen = select_ensemble({**pool, **baselines}, actual, most=most)
    everything = {**pool, **baselines}
    mixed = sum((share * everything[name] for name, share in chosen.items()), np.zeros_like(actual))
    errors = {name: measure("mae", actual, forecast) for name, forecast in baselines.items()}
    base = min(errors, key=lambda name: errors[name])
    found = encompassing(actual, baselines[base], mixed, horizon=horizon)
    doubt = _DOUBT + 2.0 * math.log(max(tried, 1))
    sure = max(0.0, 1.0 - (doubt / found.statistic**2) ** 2) if found.statistic > 0 else 0.0
    kept = min(found.weight, 1.0) * sure
    if kept < _TOO_LITTLE:
        kept = 0.0
    shares = {name: kept * share for name, share in chosen.items() if kept > 0}
    shares[base] = shares.get(base, 0.0) + 1.0 - kept
    used = [index for index in range(len(candidates)) if str(index) in shares]
    return Mixture(
        tuple(candidates[index] for index in used),
        tuple(shares[str(index)] for index in used),
        {name: shares[name] for name in baselines if name in shares and shares[name] > 0},
        baselines[base] + kept * (mixed - baselines[base]),
        actual,
    )


def by_strategy(candidates: Sequence[Candidate], actual: F64) -> dict[str, list[float]]:
    """The mean absolute error at each step (H,) of the best candidate of each strategy; actual is (V, H)."""
    found: dict[str, list[float]] = {}
    for candidate in candidates:  # best first
        strategy = str(candidate.setting.get("strategy", "direct"))
        if strategy not in found and candidate.forecasts.shape == actual.shape:
            found[strategy] = step_errors(actual, candidate.forecasts)
    return found


def without_networks(baselines: Mapping[str, F64], actual: F64) -> Mixture:
    """The baseline that is best on the validation rows, for want of a trained setting; arrays are (V, H)."""
    errors = {name: measure("mae", actual, forecast) for name, forecast in baselines.items()}
    best = min(errors, key=lambda name: errors[name])
    return Mixture((), (), {best: 1.0}, baselines[best], actual, OUT_OF_TIME)


def retrain(
    series: Series,
    rows: range,
    mixture: Mixture,
    objective: Objective,
    *,
    fallback: Sequence[Member],
    repeats: int,
    workers: int,
    stop: StopFlag,
    deadline: float | None,
) -> list[Member]:
    """The mixture's settings trained on `rows`, each with `repeats` seeds that share its part of the mean.

    Where time does not suffice for any seed of a setting, or training went wrong, `fallback` (one for each
    candidate) takes its place.
    """
    tasks = [(index, repeat) for repeat in range(repeats) for index in range(len(mixture.candidates))]

    def fit(task: tuple[int, int]) -> Fitted | None:
        index, repeat = task
        if deadline is not None and time.monotonic() > deadline:
            return None
        candidate = mixture.candidates[index]
        made = fit_member(
            series,
            rows,
            objective.recipe(candidate.setting),
            horizon=objective.horizon,
            epochs=candidate.epochs,
            seed=training_seed(objective.seed, 1_000_000 + 1000 * candidate.number + repeat),
            stop=stop,
            deadline=deadline,
        )
        if made is not None and objective.rough_error(made) <= _GONE_WRONG * candidate.mae:
            return made
        return None

    networks: list[list[Fitted]] = [[] for _ in mixture.candidates]
    for (index, _), made in zip(tasks, in_threads(fit, tasks, workers, stop), strict=True):
        if made is not None:
            networks[index].append(made)
    members: list[Member] = []
    for candidate, share, found, other in zip(
        mixture.candidates, mixture.shares, networks, fallback, strict=True
    ):
        for network in found:
            part = share / len(found)
            members.append(Member(network.pipeline, network.model, network.weights, part, candidate.setting))
        if not found:
            members.append(replace(other, share=share))
    return members


def as_members(mixture: Mixture) -> list[Member]:
    """The mixture's networks as the search left them."""
    return [
        Member(c.fitted.pipeline, c.fitted.model, c.fitted.weights, share, c.setting)
        for c, share in zip(mixture.candidates, mixture.shares, strict=True)
    ]


def as_forecaster(
    series: Series,
    mixture: Mixture,
    intervals: Intervals | None,
    members: Sequence[Member],
    *,
    horizon: int,
    reading: Mapping[str, Any],
) -> Forecaster:
    """The members with the mixture's baselines, and the latest rows of the series that they need."""
    longest = max((member.pipeline.rows_needed for member in members), default=1)
    # Besides windows and seasons, the local scale of intervals looks back over some half-lives.
    kept = max(longest + horizon, 2 * series.season, 256)
    return Forecaster(
        tuple(replace(member, pipeline=replace(member.pipeline, series=None)) for member in members),
        horizon,
        take_rows(series, -min(kept, len(series))),
        mixture.baselines,
        intervals,
        {
            **reading,
            "target": series.target,
            "features": list(series.feature_names),
            "known": list(series.known_names),
        },
        {"series": series.name},
    )


def first_of_each(members: Sequence[Member], mixture: Mixture) -> list[Member]:
    """One member for each candidate, to fall back on."""
    return [next(m for m in members if m.setting == c.setting) for c in mixture.candidates]
