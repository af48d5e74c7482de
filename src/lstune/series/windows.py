"""From a series to windows: transform, scale and cut, fitted on training rows only.

Letters: T rows, N windows, L lookback, C input columns, H horizon; o is a window's last row, its origin.
Input columns, in this order: the transformed target; its level (if asked for); one column for each lag; the
user's features of which only the past is known (row t holds their value at t); those known beforehand (row t
holds their values in the rows after it, as `known_leads` says); the calendar of the step after t.
Windows share the rows of one (T, C) matrix; only "relative", whose rows depend on the origin, copies them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lstune.errors import DataError, UserError, explain
from lstune.series.calendar import calendar_features, calendar_names
from lstune.series.data import Series, take_rows
from lstune.series.scalers import SCALERS, Scaler, fit_scaler, identity_scaler
from lstune.series.transforms import (
    check_transform,
    invert_targets,
    target_base,
    target_rows,
    transform_offset,
    transform_targets,
    transform_values,
)

__all__ = [
    "Pipeline",
    "PipelineConfig",
    "WindowSet",
    "clip_inputs",
    "fit_pipeline",
    "scored_origins",
    "truth_after",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
SUPERVISIONS = ("last", "every")
FEATURE_INPUTS = ("all", "known", "none")
KNOWN_LEADS = ("all", "few")
# A scaled input further out than this says "extreme" and no more: one bad value must not drown a window.
_CLIP = 10.0
# Enough windows to estimate the spread of "relative" inputs; more only cost time.
_SPREAD_WINDOWS = 2000


@dataclass(frozen=True)
class PipelineConfig:
    """What a trial chooses about its inputs and targets; numbers learnt from data are not in here.

    calendar: "auto", "none" or names of calendar.CALENDAR_FEATURES.
    lags: extra columns; lag m gives at row t the transformed target m steps before the step after t, so that
    lag 24 on hourly data shows yesterday's value for the very hour that is forecast.
    level_input: adds the scaled level as a column when the transform hides it.
    feature_inputs: "all" features, those "known" beforehand, or "none" (the target alone).
    known_leads: how far ahead a row shows the features known beforehand: "all" gives a column for each of the
    H coming rows; "few" one for the next row, one for the last, and as many between as it takes for every
    coming row to stand somewhere in the window.
    season: for "seasonal_difference"; None means the series' own.
    """

    transform: str = "level"
    lookback: int = 30
    horizon: int = 1
    supervision: str = "last"
    scaler: str = "standard"
    calendar: str | tuple[str, ...] = "none"
    lags: tuple[int, ...] = ()
    level_input: bool = False
    feature_inputs: str = "all"
    known_leads: str = "all"
    season: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.feature_inputs, bool):  # as forecasters were saved before there was "known"
            object.__setattr__(self, "feature_inputs", "all" if self.feature_inputs else "none")
        choices = {
            "supervision": SUPERVISIONS,
            "scaler": SCALERS,
            "feature_inputs": FEATURE_INPUTS,
            "known_leads": KNOWN_LEADS,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise UserError(explain(f"{name} must be one of {', '.join(known)}", getattr(self, name)))
        object.__setattr__(self, "lags", tuple(self.lags))
        if not isinstance(self.calendar, str):
            object.__setattr__(self, "calendar", tuple(self.calendar))
        counts = [
            ("lookback", self.lookback),
            ("horizon", self.horizon),
            *(("a lag", lag) for lag in self.lags),
        ]
        for name, count in counts:
            if int(count) != count or count < 1:
                raise UserError(explain(f"{name} must be a whole number of 1 or more", count))
        if self.transform == "relative" and self.supervision == "every":
            raise UserError(
                explain(
                    "The transform 'relative' cannot be supervised on every step: the inputs of earlier "
                    "steps would hold the window's last value, which lies in their future",
                    "transform='relative', supervision='every'",
                    "Use supervision='last', or the transform 'log_difference'",
                )
            )


@dataclass(frozen=True, eq=False)
class WindowSet:
    """N windows over shared rows; the first six fields are those of the engine's Windows.

    inputs: (R, C) float32.  starts: (N,).  targets: (Q, H) float32, scaled.  target_starts: (N,).
    target_step: 1 when each step has its own target, else 0.
    origins: (N,) rows of the series after which the forecast begins.
    base: (N, H) what the forecasts are relative to.
    actual: (N, H) targets in original units, NaN where unknown or filled.
    """

    inputs: F32
    starts: I64
    lookback: int
    targets: F32
    target_starts: I64
    target_step: int
    origins: I64
    base: F64
    actual: F64

    def __len__(self) -> int:
        return len(self.origins)

    @property
    def target_rows(self) -> I64:
        """(N, H) row numbers in the series that the targets stand for."""
        return target_rows(self.origins, self.base.shape[1])


def scored_origins(series: Series, target_range: range, horizon: int, stride: int = 1, first: int = 0) -> I64:
    """Origins whose H targets all lie in `target_range`, the latest one included, every `stride` rows.

    Windows with more filled than observed targets are left out: a filled value is nobody's to forecast.
    Depends on neither lookback nor transform, so that models and baselines meet on the same rows.
    first: the earliest origin that can be used (for training windows near the beginning of the series).
    """
    if target_range.step != 1 or target_range.start < 0 or target_range.stop > len(series):
        raise UserError(explain("A range of targets must lie within the series' rows", f"{target_range}"))
    low = max(target_range.start - 1, first, 0)
    origins = np.arange(low, target_range.stop - horizon, dtype=np.int64)
    if not series.observed.all() and len(origins):
        seen = np.concatenate([[0], np.cumsum(series.observed)])
        count = seen[origins + 1 + horizon] - seen[origins + 1]
        origins = origins[2 * count >= horizon]
    return origins[::-1][::stride][::-1] if stride > 1 else origins


def truth_after(series: Series, origins: I64, horizon: int) -> F64:
    """(N, H) the values after the rows `origins` (N,), NaN where one was filled or lies beyond the end.

    A filled value is nobody's to forecast: what is NaN here is not scored.
    """
    return _actual(np.where(series.observed, series.values, np.nan), origins, horizon)


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A fitted way from rows to windows and from outputs back to original units.

    Everything learnt from data is in `input_scaler` and `target_scaler`; `bind` lays the same numbers over
    another series (newer rows), and `to_dict` writes them as plain lists.
    """

    config: PipelineConfig
    feature_names: tuple[str, ...]
    input_scaler: Scaler
    target_scaler: Scaler
    series: Series | None = None
    known_names: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """C, the number of input columns."""
        return len(self.input_scaler.center)

    @property
    def feature_columns(self) -> slice:
        """Where features of which only the past is known stand among the input columns."""
        return _columns(self.config, len(self.feature_names), len(self.known_names)).features

    @property
    def first_row(self) -> int:
        """The first row whose inputs all exist (differences and lags need rows before it)."""
        return _first_row(self.config)

    @property
    def rows_needed(self) -> int:
        """Rows a series must have for a forecast beyond its end."""
        return self.first_row + self.config.lookback

    def bind(self, series: Series) -> Pipeline:
        """The same fitted numbers over another series, which must have the same features."""
        for what in ("feature_names", "known_names"):
            if getattr(series, what) != getattr(self, what):
                beforehand = " known beforehand" if what == "known_names" else ""
                raise DataError(
                    explain(
                        f"The series must have the features{beforehand} of the fitted model: "
                        f"{list(getattr(self, what))}",
                        f"{list(getattr(series, what))}",
                        "Read it with the same features",
                    )
                )
        check_transform(self.config.transform, series.values, self.config.season or 1)
        return replace(self, series=series)

    def windows(self, target_range: range, stride: int = 1) -> WindowSet:
        """Windows whose targets lie in `target_range`; for a range from row 0, those that have their inputs.

        A range that begins later must be complete: DataError if the lookback reaches before the first row,
        since leaving out targets would score this lookback on other rows than its rivals.
        """
        series = self._bound()
        first = self.first_row + self.config.lookback - 1
        if 0 < target_range.start <= first:
            raise DataError(
                explain(
                    f"A lookback of {self.config.lookback} needs {first + 1} rows before the first target",
                    f"targets from row {target_range.start} on",
                    f"Use a lookback of at most {max(target_range.start - self.first_row, 1)}, or more rows",
                )
            )
        origins = scored_origins(series, target_range, self.config.horizon, stride, first)
        if not len(origins):
            raise DataError(
                explain(
                    f"No window of lookback {self.config.lookback} and horizon {self.config.horizon} fits",
                    f"target rows {target_range.start} to {target_range.stop}, first row {self.first_row}",
                    "Use a shorter lookback or horizon, or more rows",
                )
            )
        return self._cut(origins)

    def windows_at(self, origins: Any) -> WindowSet:
        """Windows that end at the given rows (N,), each of which must have its inputs."""
        return self._cut(np.asarray(origins, dtype=np.int64))

    def windows_for_forecast(self, series: Series | None = None) -> WindowSet:
        """The one window at the end of the series (or of `series`), whose targets lie beyond it."""
        if series is not None:
            # Only the last rows matter; making the others would cost as much as the series is long.
            return self.bind(_last_rows(series, self.rows_needed)).windows_for_forecast()
        rows = len(self._bound())
        if rows < self.rows_needed:
            raise DataError(
                explain(
                    f"A forecast with lookback {self.config.lookback} needs at least {self.rows_needed} rows",
                    f"{rows} rows",
                    "Give more of the latest rows",
                )
            )
        return self._cut(np.array([rows - 1], dtype=np.int64))

    def invert(self, predictions: Any, windows: WindowSet) -> F64:
        """Model outputs (N, H) for these windows in original units, (N, H) float64."""
        predictions = np.asarray(predictions, dtype=np.float64).reshape(windows.base.shape)
        return invert_targets(self.config.transform, self.target_scaler.invert(predictions), windows.base)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, exact when written as JSON and read again; the series is not part of it."""
        return {
            "config": asdict(self.config),
            "feature_names": list(self.feature_names),
            "known_names": list(self.known_names),
            "input_scaler": self.input_scaler.to_dict(),
            "target_scaler": self.target_scaler.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Pipeline:
        """What `to_dict` gave; `bind` a series before asking for windows of ranges."""
        return cls(
            PipelineConfig(**data["config"]),
            tuple(data["feature_names"]),
            Scaler.from_dict(data["input_scaler"]),
            Scaler.from_dict(data["target_scaler"]),
            known_names=tuple(data.get("known_names", ())),
        )

    def _bound(self) -> Series:
        if self.series is None:
            raise UserError(
                explain("This pipeline holds no series", fix="Give it one: pipeline.bind(series)")
            )
        return self.series

    @cached_property
    def _inputs(self) -> F32:
        return _scale_inputs(_raw_columns(self._bound(), self.config), self.input_scaler, self.config)

    @cached_property
    def _targets(self) -> F32:
        targets = self.target_scaler.apply(_raw_targets(self._bound(), self.config))
        return np.nan_to_num(targets.astype(np.float32), copy=False)  # rows whose targets lie beyond the end

    def _cut(self, origins: I64) -> WindowSet:
        series, config = self._bound(), self.config
        season = config.season or 1
        base = target_base(config.transform, series.values, origins, config.horizon, season)
        starts = origins - (config.lookback - 1)
        inputs = self._inputs
        every = config.supervision == "every"
        if config.transform == "relative":
            raw = _relative_columns(series, config, origins)
            slots = _relative_slots(config)
            scaled = raw / self.input_scaler.scale[slots]
            inputs = np.ascontiguousarray(inputs[_window_rows(origins, config.lookback)])  # (N, L, C)
            inputs[..., slots] = scaled if config.scaler == "none" else np.clip(scaled, -_CLIP, _CLIP)
            inputs = inputs.reshape(-1, inputs.shape[-1])
            starts = np.arange(len(origins), dtype=np.int64) * config.lookback
        return WindowSet(
            inputs=inputs,
            starts=starts,
            lookback=config.lookback,
            targets=self._targets,
            target_starts=starts.copy() if every else origins,
            target_step=1 if every else 0,
            origins=origins,
            base=base,
            actual=truth_after(series, origins, config.horizon),
        )


def fit_pipeline(
    series: Series, train_range: range, config: PipelineConfig | None = None, **settings: Any
) -> Pipeline:
    """Fit a pipeline on the rows of `train_range` alone; give a config, or its fields as `settings`.

    The rows after the range may hold anything: no number of the pipeline changes with them.
    Raises DataError when the transform does not suit the values, UserError when settings do not go together.
    """
    config = replace(config, **settings) if config is not None else PipelineConfig(**settings)
    season = config.season if config.season is not None else series.season
    config = replace(config, season=int(season), calendar=calendar_names(series, config.calendar))
    check_transform(config.transform, series.values, season)
    if train_range.step != 1 or train_range.start < 0 or train_range.stop > len(series):
        raise UserError(explain("train_range must lie within the series' rows", f"{train_range}"))
    first = _first_row(config)
    origins = scored_origins(series, train_range, config.horizon, 1, first + config.lookback - 1)
    if not len(origins):
        raise DataError(
            explain(
                f"No training window of lookback {config.lookback} and horizon {config.horizon} fits",
                f"{len(train_range)} training rows, of which the first {first} have no inputs",
                "Use a shorter lookback or horizon, or more rows",
            )
        )
    inputs = _fit_inputs(series, slice(max(first, train_range.start), train_range.stop), config)
    if config.transform == "relative":
        sample = origins[:: max(1, len(origins) // _SPREAD_WINDOWS)]
        spread = _relative_columns(series, config, sample).reshape(-1, 1 + len(config.lags))
        slots = _relative_slots(config)
        inputs.center[slots] = 0.0  # the window's last value stays exactly zero
        size = np.sqrt(np.mean(spread**2, axis=0))
        inputs.scale[slots] = np.where(size > 0, size, 1.0) if config.scaler != "none" else 1.0
    targets = _fit_targets(_raw_targets(series, config)[origins], config)
    return Pipeline(config, series.feature_names, inputs, targets, series, series.known_names)


def _first_row(config: PipelineConfig) -> int:
    return transform_offset(config.transform, config.season or 1) + max(config.lags, default=1) - 1


def _last_rows(series: Series, rows: int) -> Series:
    return take_rows(series, -rows) if len(series) > rows else series


def _raw_columns(series: Series, config: PipelineConfig) -> F64:
    """(T, C) unscaled input columns; rows before the pipeline's first row are not to be used."""
    z = transform_values(config.transform, series.values, config.season or 1)
    columns = [z]
    if config.level_input and config.transform != "level":
        columns.append(series.values)
    for lag in config.lags:
        shifted = np.zeros_like(z)
        shifted[lag - 1 :] = z[: len(z) - lag + 1]
        columns.append(shifted)
    calendar = calendar_features(series, tuple(config.calendar))
    features = [series.features[:, series.past_columns]] if config.feature_inputs == "all" else []
    if config.feature_inputs != "none":
        features.append(_coming(series, _leads(config)))
    return np.concatenate([np.stack(columns, axis=1), *features, calendar], axis=1)


def _leads(config: PipelineConfig) -> list[int]:
    """How many rows ahead a row shows what is known beforehand."""
    step = 1 if config.known_leads == "all" else config.lookback
    return sorted({1, *range(config.horizon, 0, -step)})


def _coming(series: Series, leads: list[int]) -> F64:
    """(T, K * leads) what is known beforehand of rows after each row; past the last known row, as that."""
    rows = np.arange(len(series))[:, None] + leads
    known = series.known[np.minimum(rows, len(series.known) - 1)]  # (T, leads, K)
    return known.transpose(0, 2, 1).reshape(len(series), -1)


class _Columns(NamedTuple):
    """Where `_raw_columns` puts what: behind the target and, if asked for, its level."""

    lags: slice
    features: slice
    known: slice
    calendar: slice


def _columns(config: PipelineConfig, features: int = 0, known: int = 0) -> _Columns:
    """The places of the input columns of a series with `features` features, `known` of them beforehand."""
    lags = 1 + int(config.level_input and config.transform != "level")
    past = lags + len(config.lags)
    coming = past + (features - known if config.feature_inputs == "all" else 0)
    calendar = coming + (known * len(_leads(config)) if config.feature_inputs != "none" else 0)
    return _Columns(slice(lags, past), slice(past, coming), slice(coming, calendar), slice(calendar, None))


def _fit_inputs(series: Series, rows: slice, config: PipelineConfig) -> Scaler:
    """Scaler of the input columns; calendar columns stay as they are, lags share the target's numbers.

    Features known beforehand have those of their values in `rows`, whichever of the coming rows is meant.
    """
    scaler = fit_scaler(_raw_columns(series, config)[rows], config.scaler)
    places = _columns(config, len(series.feature_names), len(series.known_names))
    scaler.center[places.lags] = scaler.center[0]
    scaler.scale[places.lags] = scaler.scale[0]
    if places.known.stop > places.known.start:
        known = fit_scaler(series.features[rows, series.known_columns], config.scaler)
        scaler.center[places.known] = np.repeat(known.center, len(_leads(config)))
        scaler.scale[places.known] = np.repeat(known.scale, len(_leads(config)))
    scaler.center[places.calendar] = 0.0
    scaler.scale[places.calendar] = 1.0
    return scaler


def _fit_targets(targets: F64, config: PipelineConfig) -> Scaler:
    """A centre for each horizon step but one scale, so that the loss weighs steps as original units do."""
    if config.scaler == "none":
        return identity_scaler(config.horizon)
    scaler = fit_scaler(targets, config.scaler)
    scale = np.sqrt(np.mean(scaler.scale**2))
    return Scaler(scaler.center, np.full(config.horizon, scale))


def _scale_inputs(columns: F64, scaler: Scaler, config: PipelineConfig) -> F32:
    return np.ascontiguousarray(clip_inputs(scaler.apply(columns), config), dtype=np.float32)


def clip_inputs(scaled: F64, config: PipelineConfig) -> F64:
    """Scaled inputs of any shape, none further out than a window can bear."""
    return scaled if config.scaler == "none" else np.clip(scaled, -_CLIP, _CLIP, out=scaled)


def _actual(y: F64, origins: I64, horizon: int) -> F64:
    """(N, H) values in original units, NaN beyond the end of the series."""
    rows = target_rows(origins, horizon)
    inside = rows < len(y)
    return np.where(inside, y[np.minimum(rows, len(y) - 1)], np.nan)


def _raw_targets(series: Series, config: PipelineConfig) -> F64:
    """(T, H) transformed targets of every row taken as an origin, NaN where they lie beyond the end."""
    origins = np.arange(len(series), dtype=np.int64)
    base = target_base(config.transform, series.values, origins, config.horizon, config.season or 1)
    return transform_targets(config.transform, _actual(series.values, origins, config.horizon), base)


def _window_rows(origins: I64, lookback: int) -> I64:
    return origins[:, None] + np.arange(1 - lookback, 1)


def _relative_slots(config: PipelineConfig) -> list[int]:
    """The columns that are relative to the window's last value: the target's and its lags'."""
    lags = _columns(config).lags
    return [0, *range(lags.start, lags.stop)]


def _relative_columns(series: Series, config: PipelineConfig, origins: I64) -> F64:
    """(N, L, 1 + lags) values of the target and its lags divided by the origin's value, less 1."""
    rows = _window_rows(origins, config.lookback)
    last = series.values[origins][:, None]
    columns = [series.values[rows] / last - 1.0]
    columns += [series.values[rows - (lag - 1)] / last - 1.0 for lag in config.lags]
    return np.stack(columns, axis=-1)
