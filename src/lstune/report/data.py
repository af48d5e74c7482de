"""What a report says, as plain numbers and lists; every renderer reads this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Band",
    "ErrorRow",
    "Forecasts",
    "Honesty",
    "Importance",
    "ReportData",
    "Residuals",
    "TrialRow",
]

Stamp = str | int


@dataclass(frozen=True)
class ErrorRow:
    """Errors on the test tail; `own` marks the run's forecast, `versus` is own MAE / this row's."""

    name: str
    mae: float
    rmse: float
    mase: float | None
    smape: float
    direction: float | None
    versus: float | None
    own: bool = False


@dataclass(frozen=True)
class Band:
    """An interval's bounds along its forecast; `level` in percent."""

    level: float
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of the test tail, joined end to end, and of the coming rows.

    `x`, `actual`, `model`, `baseline` run along the shown rows of the tail; `future_*` along the coming rows.
    `hidden` counts the tail's earlier rows that are left out here (never in the errors).
    """

    x: list[Stamp]
    actual: list[float]
    model: list[float]
    baseline: list[float]
    baseline_name: str
    bands: list[Band]
    future_x: list[Stamp]
    future: list[float]
    future_bands: list[Band]
    hidden: int = 0


@dataclass(frozen=True)
class Honesty:
    """Validation beside test: a MAE, and that of `baseline`, the best that has both, on the same rows."""

    name: str
    rows: str
    mae: float | None
    baseline_mae: float | None
    baseline: str

    @property
    def ratio(self) -> float | None:
        """MAE divided by the baseline's: below 1 is better than the baseline."""
        if self.mae is None or not self.baseline_mae:
            return None
        return self.mae / self.baseline_mae


@dataclass(frozen=True)
class Residuals:
    """Truth minus forecast on the test tail, one step ahead.

    `edges` (bins + 1) and `counts` (bins) make the histogram; `acf` holds the autocorrelation at lags 1 to
    len(acf), `bound` the height that 95 % of them stay below for independent residuals (1.96 / sqrt(N)).
    `share_outside` is the part of them beyond it.
    """

    x: list[Stamp]
    values: list[float]
    mean: float
    deviation: float
    edges: list[float]
    counts: list[int]
    acf: list[float]
    bound: float
    share_outside: float


@dataclass(frozen=True)
class TrialRow:
    """One trial. `curve` lists (epoch, error), `rungs` the (epoch, error) at which it was compared.

    `started` and `finished` are seconds after the first trial began.
    """

    number: int
    state: str
    value: float | None
    epochs: int
    seconds: float | None
    reason: str
    params: dict[str, Any]
    curve: list[tuple[int, float]] = field(default_factory=list)
    rungs: list[tuple[int, float]] = field(default_factory=list)
    started: float | None = None
    finished: float | None = None


@dataclass(frozen=True)
class Importance:
    """Shares of the variance between trials by parameter, largest first; see `lstune.search.importance`.

    `effects` lists (value, effect): the expected error against the mean, all else averaged out; -0.1 is 10 %
    less error.
    """

    shares: dict[str, float]
    trials: int
    epochs: int
    effects: dict[str, list[tuple[Any, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    `verdict` is result.json's, with the baseline's `label` and `has_skill`. `overview` is the whole series,
    thinned: x, values, and the stamps at which validation and test begin. `steps` holds the MAE at each step
    of the horizon by forecast. `training` holds the best trial's `loss` and `val_loss` by epoch, on scaled
    values. `rungs` counts the trials that trained as long as each rung. `scales` says "linear", "log" or
    "category" for each searched parameter. `edges` are sentences on best values near the edge of the space.
    """

    name: str
    target: str
    horizon: int
    rows: int
    freq: str
    start: Stamp
    end: Stamp
    season: int
    dated: bool
    notes: list[str]
    verdict: dict[str, Any]
    errors: list[ErrorRow]
    coverage: dict[str, float]
    honesty: list[Honesty]
    optimism: float | None
    overview: dict[str, Any]
    forecasts: Forecasts | None
    steps: dict[str, list[float]]
    residuals: Residuals | None
    trials: list[TrialRow]
    rungs: dict[int, int]
    searched: list[str]
    scales: dict[str, str]
    naive_validation: float | None
    importance: Importance | None
    training: dict[str, list[float]]
    best_trial: int | None
    edges: list[str]
    best: dict[str, Any]
    mixture: dict[str, Any]
    counts: dict[str, int]
    seconds: dict[str, float]
    settings: dict[str, Any]
    fingerprint: str
    versions: dict[str, str]
    command: str | None
