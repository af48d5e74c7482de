"""The one look at the test tail, and result.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.evaluation import (
    BASELINES,
    SIGNIFICANT,
    Intervals,
    Verdict,
    baseline_forecasts,
    judge,
    local_scale,
    losses_by_origin,
    mase_scale,
    measure,
    step_errors,
)
from lstune.forecaster import Forecaster, forecast_at
from lstune.report.numbers import expected_optimism
from lstune.search import TrialRecord, TrialState
from lstune.series import Series, Split, scored_origins
from lstune.tuning.finish import Mixture
from lstune.tuning.options import TuneOptions

__all__ = ["RESULT_SCHEMA", "Scored", "build_result", "score_test"]

F64 = npt.NDArray[np.float64]
RESULT_SCHEMA = 1
# The long rise of a share makes drift a little better than naive, surely, and of no use to anybody.
_WORTH_SAYING = 0.01


@dataclass(frozen=True)
class Scored:
    """Forecasts of the test tail (N, H), truth and baselines on the same rows, and the verdict.

    `origins` (N,) are the last rows that each forecast knew. `bands` maps a level's name ("80") to lower and
    upper bounds (N, H), `coverage` to the share of the truth between them. `pinball` is the mean pinball loss
    of all bounds and the median, which the forecast stands for. `scale` is that of MASE.
    """

    origins: npt.NDArray[np.int64]
    actual: F64
    forecasts: F64
    baselines: dict[str, F64]
    verdict: Verdict
    scale: float
    bands: dict[str, tuple[F64, F64]]
    coverage: dict[str, float]
    pinball: float | None


def score_test(
    forecaster: Forecaster,
    series: Series,
    split: Split,
    statistical: Mapping[str, F64] | None = None,
    reason: str = "",
) -> Scored:
    """Meet the test tail, once: forecasts from true lags, with nothing fitted on any of its rows.

    statistical: forecasts (N, H) of further baselines on the same rows. reason: why there are no networks in
    the forecaster, if there are none.
    """
    forecasts, actual, origins = forecast_at(forecaster, series, split.test)
    horizon = forecaster.horizon
    baselines = {
        **baseline_forecasts(series.values, origins, horizon=horizon, season=series.season),
        **(statistical or {}),
    }
    verdict = judge(actual, forecasts, baselines, horizon=horizon)
    if not forecaster.members:
        label = BASELINES[next(iter(forecaster.baselines))].label
        text = f"no skill over {label}: use the {label} forecast ({reason})"
        better, gain = BASELINES[verdict.baseline], -verdict.skill / (1 - verdict.skill)
        if gain >= _WORTH_SAYING and verdict.p_value < SIGNIFICANT:
            text = f"{text[:-1]}; on the test tail {better.label} was {100 * gain:.1f} % better)"
        verdict = replace(verdict, has_skill=False, text=text)
    start = split.test.start
    bands = _bands(forecaster.intervals, forecasts, local_scale(series.values, origins, series.observed))
    return Scored(
        origins,
        actual,
        forecasts,
        baselines,
        verdict,
        mase_scale(series.values[:start], series.season, series.observed[:start]),
        bands,
        {level: measure("coverage", actual, low, upper=high) for level, (low, high) in bands.items()},
        _pinball(actual, forecasts, bands),
    )


def _pinball(actual: F64, forecasts: F64, bands: Mapping[str, tuple[F64, F64]]) -> float | None:
    """The mean pinball loss of intervals' bounds and of the forecast as median; None without intervals."""
    if not bands:
        return None
    losses = [measure("pinball", actual, forecasts, quantile=0.5)]
    for level, bounds in bands.items():
        tail = (1.0 - float(level) / 100.0) / 2.0
        for bound, quantile in zip(bounds, (tail, 1.0 - tail), strict=True):
            losses.append(measure("pinball", actual, bound, quantile=quantile))
    return float(np.mean(losses))


def _bands(intervals: Intervals | None, forecasts: F64, scale: F64) -> dict[str, tuple[F64, F64]]:
    if intervals is None:
        return {}
    return {f"{100 * level:g}": bounds for level, bounds in intervals.around(forecasts, scale).items()}


def _errors(forecasts: F64, actual: F64) -> dict[str, float]:
    return {name: measure(name, actual, forecasts) for name in ("mae", "rmse")}


def build_result(
    *,
    series: Series,
    split: Split,
    options: TuneOptions,
    trials: Sequence[TrialRecord],
    seconds: Mapping[str, float],
    best: Mapping[str, Any],
    mixture: Mixture,
    scored: Scored,
    forecaster: Forecaster,
    interrupted: bool = False,
    times: int = 1,
) -> dict[str, Any]:
    """The content of result.json. `mixture` holds forecasts and truth of the validation rows.

    times: how often the run has scored its test tail, with this time.
    The keys of schema 1 keep their meaning for good; later versions of lstune may add keys.
    """
    folds = [scored_origins(series, fold.validation, options.horizon) for fold in split.folds]
    return {
        "schema": RESULT_SCHEMA,
        "series": _series(series),
        "method": options.method,
        "seed": options.seed,
        "horizon": options.horizon,
        "trials": _counts(trials),
        "seconds": dict(seconds),
        "best": dict(best),
        "validation": _validation(mixture, folds, series, options.horizon),
        "test": {"scored": times, **_test(scored, series)},
        "baselines": {name: _errors(f, scored.actual) for name, f in scored.baselines.items()},
        "verdict": _verdict(scored.verdict),
        "steps": _steps(scored, mixture),
        "best_trial": _best_trial(trials),
        "optimism": _optimism(trials, mixture, len(folds[-1])),
        "interrupted": interrupted,
        "finalists": _finalists([candidate.seed_maes for candidate in mixture.candidates]),
        "forecaster": {
            "networks": len(forecaster.members),
            "settings": _settings(forecaster),
            "baselines": forecaster.baselines,
            "reason": None if forecaster.members else mixture.reason,
        },
    }


def _validation(
    mixture: Mixture, folds: Sequence[npt.NDArray[np.int64]], series: Series, horizon: int
) -> dict[str, Any]:
    """Errors of the mixture and of the simple forecasts, all on the rows that the mixture was chosen on."""
    count = len(mixture.actual)
    used = folds if count == sum(map(len, folds)) else folds[-1:]  # the last alone where time was short
    simple = baseline_forecasts(series.values, np.concatenate(used), horizon=horizon, season=series.season)
    return {
        **_errors(mixture.forecasts, mixture.actual),
        "folds": len(used),
        "baselines": {name: measure("mae", mixture.actual, f) for name, f in simple.items()},
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "rows": len(series),
        "freq": series.freq,
        "target": series.target,
        "start": _stamp(series.timestamps[0]),
        "end": _stamp(series.timestamps[-1]),
        "season": series.season,
        "fingerprint": series.fingerprint,
    }


def _counts(trials: Sequence[TrialRecord]) -> dict[str, int]:
    states = Counter(trial.state for trial in trials)
    return {
        "complete": states[TrialState.COMPLETE],
        "pruned": states[TrialState.PRUNED] + states[TrialState.PAUSED],
        "failed": states[TrialState.DIVERGED] + states[TrialState.FAILED],
    }


def _test(scored: Scored, series: Series) -> dict[str, Any]:
    """Every measure of the forecasts of the test tail."""
    actual, forecasts = scored.actual, scored.forecasts
    previous = series.values[scored.origins][:, None]
    return {
        "rows": len(scored.origins),
        **_errors(forecasts, actual),
        "mase": measure("mase", actual, forecasts, scale=scored.scale),
        "smape": measure("smape", actual, forecasts),
        "directional_accuracy": measure("directional_accuracy", actual, forecasts, previous=previous),
        "coverage": scored.coverage,
        "pinball": scored.pinball,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "baseline": verdict.baseline,
        "skill": verdict.skill,
        "p_value": verdict.p_value,
        "interval": list(verdict.interval),
        "text": verdict.text,
    }


def _finalists(seed_maes: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """Validation errors of the mixture's settings over their seeds; None without a second seed."""
    every = [mae for maes in seed_maes for mae in maes]
    if not any(len(maes) > 1 for maes in seed_maes):
        return None
    spread = [float(np.std(maes, ddof=1)) for maes in seed_maes if len(maes) > 1]
    return {"mean": float(np.mean(every)), "spread": float(np.mean(spread)), "networks": len(every)}


def _best_trial(trials: Sequence[TrialRecord]) -> dict[str, Any] | None:
    """The trial with the least validation error, as the search saw it; None where none has one."""
    valued = [trial for trial in trials if trial.has_value]
    best = min(valued, key=lambda trial: (trial.value, trial.number), default=None)
    return None if best is None else {"number": best.number, "mae": best.value, "epochs": best.epochs}


def _optimism(trials: Sequence[TrialRecord], mixture: Mixture, compared: int) -> float | None:
    """How much of the best trial's validation error is expected to be luck; None for too few trials.

    compared: how many origins the search scored trials on, those of the last fold.
    """
    losses = losses_by_origin(mixture.actual[-compared:], mixture.forecasts[-compared:])
    return expected_optimism(losses, [trial.value for trial in trials if trial.has_value])


def _steps(scored: Scored, mixture: Mixture) -> dict[str, Any] | None:
    """The mean absolute error at each step of the horizon; None for a horizon of 1."""
    if scored.actual.shape[1] == 1:
        return None
    found = {"forecast": scored.forecasts, **scored.baselines}
    test = {name: step_errors(scored.actual, f) for name, f in found.items()}
    return {"test": test, "validation": mixture.strategies}


def _settings(forecaster: Forecaster) -> list[dict[str, Any]]:
    """The different settings in the mixture with their shares, the largest first."""
    shares: dict[str, float] = {}
    settings: dict[str, dict[str, Any]] = {}
    for member in forecaster.members:
        key = repr(sorted(member.setting.items()))
        shares[key] = shares.get(key, 0.0) + member.share
        settings[key] = member.setting
    return [{"share": shares[key], **settings[key]} for key in sorted(shares, key=lambda key: -shares[key])]


def _stamp(stamp: Any) -> str:
    return stamp.isoformat() if hasattr(stamp, "isoformat") else str(stamp)
