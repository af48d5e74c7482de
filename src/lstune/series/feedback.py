"""Forecasts of many rows from a forecast of few: what was forecast is fed back as if it had happened."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lstune.errors import UserError, explain
from lstune.series.data import Series, append_rows
from lstune.series.scalers import Scaler
from lstune.series.transforms import target_base, transform_values
from lstune.series.windows import Pipeline, WindowSet, clip_inputs

__all__ = ["feed_back", "recurse"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
# A ratio needs values above zero: a fed-back one stays above this share of the least known value.
_LEAST = 1e-3


def feed_back(
    series: Series,
    origins: I64,
    steps: int,
    block: int,
    rows_needed: int,
    forecast: Callable[[Series, I64], F64],
) -> F64:
    """Forecasts (N, steps) of the rows after each origin (N,), made in pieces of `block` rows.

    `forecast(rows, at)` gives (N, block) forecasts after the rows `at` of a series in which each origin has
    its last `rows_needed` rows and then what was forecast so far, one origin behind the other; it must look
    back no further. Stamps are the true ones, so that calendars stay right, and so are features known
    beforehand; the others, whose coming values nobody knows, keep those they had at the origin.
    Raises UserError for too few rows before the first origin.
    """
    if len(origins) and origins.min() + 1 < rows_needed:
        raise UserError(
            explain(f"A fed-back forecast needs {rows_needed} rows before it", f"{origins.min() + 1} rows")
        )
    pieces = -(-steps // block)
    # W, rows of an origin; the last piece is not fed back, but its rows tell what is known beforehand.
    width = rows_needed + pieces * block
    positive = bool(series.values.min() > 0)
    least = _LEAST * float(series.values.min()) if positive else -np.inf
    rows = origins[:, None] + np.arange(1 - rows_needed, width - rows_needed + 1)  # (N, W)
    longer = _longer(series, int(rows.max()) + 1)
    stamps = longer.timestamps[rows.ravel()]
    known = np.minimum(rows, origins[:, None])  # what is not known yet stands at the last value
    values, features = series.values[known], series.features[known.ravel()]
    features[:, series.known_columns] = longer.features[rows.ravel()][:, series.known_columns]
    first = np.arange(len(origins)) * width + rows_needed - 1
    found = np.empty((len(origins), pieces * block))
    for piece in range(pieces):
        begin = piece * block
        flat = Series(
            stamps,
            values.ravel(),
            target=series.target,
            features=features,
            feature_names=series.feature_names,
            known_names=series.known_names,
            freq=series.freq,
            season=series.season,
            seasonal=series.seasonal,
        )
        made = forecast(flat, first + begin)
        found[:, begin : begin + block] = made
        if piece + 1 < pieces:
            values[:, rows_needed + begin : rows_needed + begin + block] = np.maximum(made, least)
    return found[:, :steps]


def _longer(series: Series, rows: int) -> Series:
    """The series with so many rows at least, those after its end standing at the last value."""
    beyond = rows - len(series)
    return series if beyond <= 0 else append_rows(series, np.full(beyond, series.values[-1]))


def recurse(
    pipeline: Pipeline, series: Series, origins: I64, steps: int, forecast: Callable[[WindowSet], F64]
) -> F64:
    """Forecasts (N, steps) after each origin (N,) from a network that forecasts one row at once.

    `pipeline` has a horizon of 1; `forecast(windows)` gives (N, 1) in original units. As `feed_back` with
    blocks of one row, but of each row that is fed back only its own inputs are made anew.
    """
    if pipeline.config.transform == "relative" or not len(origins):

        def one_step(rows: Series, at: I64) -> F64:
            return forecast(pipeline.bind(rows).windows_at(at))

        # Which also says what is wrong, if anything is.
        return feed_back(series, origins, steps, 1, pipeline.rows_needed, one_step)
    rows = _Rows(pipeline, series, origins, steps)
    for step in range(steps):
        rows.add(step, forecast(rows.windows(step))[:, 0])
    return rows.forecasts


class _Rows:
    """Inputs and values of `steps` rows after each origin (N,), written over as forecasts come in."""

    def __init__(self, pipeline: Pipeline, series: Series, origins: I64, steps: int) -> None:
        self.pipeline, self.config, self.origins, self.steps = pipeline, pipeline.config, origins, steps
        self.season = self.config.season or 1
        longer = _longer(series, int(origins.max()) + steps)
        # What depends on values fed back is written over step by step; the calendar and what is known
        # beforehand are right as they are.
        rows = origins[:, None] + np.arange(1 - self.config.lookback, steps)
        self.inputs = pipeline.bind(longer)._inputs[rows]  # (N, L + steps - 1, C)
        origin, features = self.config.lookback - 1, pipeline.feature_columns
        self.inputs[:, origin + 1 :, features] = self.inputs[:, origin : origin + 1, features]
        self.known = transform_values(self.config.transform, series.values, self.season)
        self.back = max(self.season, 1) + 1
        self.values = np.empty((len(origins), self.back + steps))  # the last one known stands at back - 1
        past = np.maximum(origins[:, None] + np.arange(1 - self.back, 1), 0)
        self.values[:, : self.back] = series.values[past]
        self.fed = np.empty((len(origins), steps))  # the transformed values
        positive = float(series.values.min()) > 0
        self.least = _LEAST * float(series.values.min()) if positive else -np.inf

    @property
    def forecasts(self) -> F64:
        """What was added so far, (N, steps)."""
        return self.values[:, self.back :]

    def windows(self, step: int) -> WindowSet:
        """The windows (N,) that forecast the row `step` rows behind the first."""
        row = np.arange(len(self.origins))
        at = row * self.values.shape[1] + self.back - 1 + step
        return WindowSet(
            inputs=self.inputs.reshape(-1, self.inputs.shape[-1]),
            starts=row * self.inputs.shape[1] + step,
            lookback=self.config.lookback,
            targets=np.zeros((1, 1), np.float32),
            target_starts=np.zeros(len(row), np.int64),
            target_step=0,
            origins=self.origins + step,
            base=target_base(self.config.transform, self.values.ravel(), at, 1, self.season),
            actual=np.full((len(row), 1), np.nan),
        )

    def add(self, step: int, forecast: F64) -> None:
        """Take the forecasts (N,) of that row as its values, and make its inputs."""
        value = np.maximum(forecast, self.least)
        self.values[:, self.back + step] = value
        if step + 1 == self.steps:
            return
        config, latest = self.config, self.values[:, self.back + step - self.season : self.back + step + 1]
        self.fed[:, step] = _transformed(config.transform, latest)
        columns = [self.fed[:, step]]
        if config.level_input and config.transform != "level":
            columns.append(value)
        for lag in config.lags:
            place = step + 2 - lag  # rows after the origin
            columns.append(self.fed[:, place - 1] if place >= 1 else self.known[self.origins + place])
        count = len(columns)
        scaler = Scaler(self.pipeline.input_scaler.center[:count], self.pipeline.input_scaler.scale[:count])
        scaled = scaler.apply(np.stack(columns, axis=1))
        self.inputs[:, config.lookback + step, :count] = clip_inputs(scaled, config)


def _transformed(name: str, latest: F64) -> F64:
    """The transformed value of the last column of (N, season + 1) values."""
    if name == "level":
        return latest[:, -1]
    if name == "log_difference":
        return np.log(latest[:, -1] / latest[:, -2])
    return latest[:, -1] - (latest[:, 0] if name == "seasonal_difference" else latest[:, -2])
