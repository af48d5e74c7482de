"""The product of a run: forecasts of the coming rows, saved and loaded without pickles.

A forecaster is a weighted mean of members (a fitted pipeline with a trained network each) and of baselines,
if the run gave those a share.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lstune._version import __version__
from lstune.engine import ModelConfig, Windows, available_cores, predict
from lstune.errors import RunError, UserError, explain
from lstune.evaluation import Intervals, baseline_forecasts, local_scale
from lstune.files import DAMAGED, read_object, replacing
from lstune.series import (
    Pipeline,
    Series,
    WindowSet,
    apart_note,
    append_rows,
    coming_note,
    counted,
    filled_note,
    future_timestamps,
    load_series,
    read_newer,
    recurse,
    save_series,
    scored_origins,
    truth_after,
    with_known,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORECASTER_SCHEMA",
    "MIXABLE",
    "Forecaster",
    "Member",
    "as_windows",
    "forecast_at",
    "load_forecaster",
    "save_forecaster",
]

F64 = npt.NDArray[np.float64]
FORECASTER_SCHEMA = 2  # 1 knew of no features known beforehand, and is still written where there are none
# Baselines that need no more than the latest rows, and so can be part of a saved forecaster.
MIXABLE = ("naive", "seasonal_naive")
# Each step past the horizon is a pass of its own; more are a slip of the hand rather than a wish.
_MOST_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class Member:
    """One network with its pipeline; `share` is its part in the mean, `setting` the hyperparameters."""

    pipeline: Pipeline
    model: ModelConfig
    weights: npt.NDArray[np.float32]
    share: float = 1.0
    setting: dict[str, Any] = field(default_factory=dict)

    def forecast(self, series: Series, origins: npt.NDArray[np.int64], horizon: int) -> F64:
        """Forecasts (N, H) in original units after the rows `origins` (N,) of a series.

        A network that forecasts one row at once is fed its own forecasts to reach the horizon.
        """
        if self.pipeline.config.horizon == horizon:
            return self._at_once(self.pipeline.bind(series).windows_at(origins))
        return recurse(self.pipeline, series, origins, horizon, self._at_once)

    def _at_once(self, part: WindowSet) -> F64:
        raw = predict(self.model, self.weights, as_windows(part), last_step=True)
        return self.pipeline.invert(raw, part)


def as_windows(part: WindowSet) -> Windows:
    """The engine's view of a window set."""
    return Windows(
        part.inputs, part.starts, part.lookback, part.targets, part.target_starts, part.target_step
    )


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Members and shares of baselines (all shares sum to 1), with the latest rows of the series.

    `history` holds the rows that forecasts start from. `intervals` are half-widths for the H steps of one
    forecast, None if unknown; `beyond` those of rows further on, counted from the first. `reading` says how
    newer rows are read: target, timestamp, features.
    """

    members: tuple[Member, ...]
    horizon: int
    history: Series
    baselines: dict[str, float] = field(default_factory=dict)
    intervals: Intervals | None = None
    reading: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    beyond: Intervals | None = None

    def __repr__(self) -> str:
        # All that the fields hold would fill a notebook's screen.
        shares = [f"{100 * share:.0f} % {name}" for name, share in self.baselines.items()]
        made = ", ".join([counted(len(self.members), "network"), *shares])
        return f"Forecaster({made}; horizon={self.horizon}, after {self.history.timestamps[-1]})"

    def predict(self, steps: int | None = None, data: Any = None, known: Any = None) -> pd.DataFrame:
        """Forecast the `steps` rows (by default the horizon) after the last known row.

        `data`: newer rows of the same series, as a file, DataFrame or Series, however few: they go on from
        the stored rows or replace them; behind a gap too long to fill they count alone. `known`: a file or
        DataFrame with the features known beforehand in the rows to be forecast, in place of what the series
        says of them; newer rows that say nothing of them leave what the run was told of those rows.
        Beyond the horizon the forecast is fed back as if it had happened, and other features keep their last
        values; intervals go on as far as such forecasts were judged on the validation rows, and are NaN
        further on.
        Returns a DataFrame indexed by timestamp: "forecast", then "lower_80", "upper_80" and so on; its
        `attrs["note"]` says which newer rows were filled, where values known beforehand did not reach far
        enough, or that newer rows count alone, and is None elsewhere.
        Raises UserError for steps below 1 or above 100,000, DataError for rows that do not fit.
        """
        import pandas as pd

        steps = self.horizon if steps is None else steps
        if (
            isinstance(steps, bool)
            or not isinstance(steps, (int, np.integer))
            or not 1 <= steps <= _MOST_STEPS
        ):
            raise UserError(explain(f"steps must be a whole number from 1 to {_MOST_STEPS:,}", steps))
        series = self.history if data is None else self._newer(data)
        if known is not None:
            series = with_known(series, known, self.reading)
        values = self._fed_back(series, int(steps))
        scale = local_scale(series.values, [len(series) - 1], series.observed)[0]
        table = {"forecast": values, **self._bounds(values, scale)}
        index = future_timestamps(series, int(steps)).rename("timestamp")
        frame = pd.DataFrame(table, index=index)
        notes = [
            filled_note(self.history, series),
            apart_note(self.history, series),
            coming_note(series, int(steps)),
        ]
        frame.attrs["note"] = ". ".join(note for note in notes if note) or None
        return frame

    def _bounds(self, values: F64, scale: float) -> dict[str, F64]:
        """Columns of lower and upper bounds around forecasts (S,), NaN where no interval is known."""
        if self.intervals is None:
            return {}
        known = [(self.intervals, 0), *([(self.beyond, self.horizon)] if self.beyond is not None else [])]
        table = {}
        for row, level in enumerate(self.intervals.levels):
            half = np.full(len(values), np.nan)
            for found, first in known:
                wide = found.half_widths[row] * (scale if found.adaptive else 1.0)
                part = slice(first, min(len(values), len(wide)))
                half[part] = wide[part]
            # Further away nothing is surer: where a sample says so, it is chance.
            half[self.horizon :] = np.maximum.accumulate(half[self.horizon - 1 :])[1:]
            for side, sign in (("lower", -1.0), ("upper", 1.0)):
                table[f"{side}_{100 * level:g}"] = values + sign * half
        return table

    @property
    def rows_needed(self) -> int:
        """Rows that a series must have to be forecast."""
        season = self.history.season if "seasonal_naive" in self.baselines else 1
        return max([season, *(member.pipeline.rows_needed for member in self.members)])

    def _fed_back(self, series: Series, steps: int) -> F64:
        """Forecasts (S,) of the rows after the series, H at a time, each as if those before had happened."""
        blocks: list[F64] = []
        for begin in range(0, steps, self.horizon):
            if begin:
                series = append_rows(series, self._usable(blocks[-1]))
            last = np.array([len(series) - 1], dtype=np.int64)
            blocks.append(self.forecast_after(series, last)[0])
        return np.concatenate(blocks)[:steps]

    def forecast_after(self, series: Series, origins: npt.NDArray[np.int64]) -> F64:
        """Forecasts (N, H) after the rows `origins` (N,)."""
        total = self._mixed_in(series, origins)

        def part(member: Member) -> F64:
            return member.share * member.forecast(series, origins, self.horizon)

        if len(origins) == 1:
            return sum(map(part, self.members), total)
        with ThreadPoolExecutor(available_cores()) as pool:  # the kernels run without the GIL
            return sum(pool.map(part, self.members), total)

    def _mixed_in(self, series: Series, origins: npt.NDArray[np.int64]) -> F64:
        """The baselines' part (N, H) of forecasts made at `origins`."""
        total = np.zeros((len(origins), self.horizon))
        if self.baselines:
            season = self.history.season
            found = baseline_forecasts(series.values, origins, horizon=self.horizon, season=season)
            for name, share in self.baselines.items():
                total += share * found[name]
        return total

    def _usable(self, block: F64) -> F64:
        # A ratio needs values above zero, which a mean with members on other transforms need not give.
        ratios = {"log_difference", "relative"}
        if any(member.pipeline.config.transform in ratios for member in self.members):
            return np.maximum(block, 1e-3 * float(np.min(self.history.values)))
        return block

    def _newer(self, data: Any) -> Series:
        given = read_newer(self.history, data, self.reading)
        if len(given) < self.rows_needed:
            raise UserError(
                explain(
                    f"The forecast needs at least {self.rows_needed} rows",
                    f"{len(given)} rows",
                    "Give more of the latest rows of the series",
                )
            )
        return given


def forecast_at(
    forecaster: Forecaster, series: Series, targets: range
) -> tuple[F64, F64, npt.NDArray[np.int64]]:
    """Forecasts and truth (N, H) for every origin whose H targets lie in `targets`, and the origins (N,).

    Each forecast knows the series up to its origin and nothing later. The truth is NaN where a value was
    filled.
    """
    origins = scored_origins(series, targets, forecaster.horizon)
    truth = truth_after(series, origins, forecaster.horizon)
    return forecaster.forecast_after(series, origins), truth, origins


def save_forecaster(forecaster: Forecaster, folder: str | Path) -> None:
    """Write the forecaster into `folder` (made if missing): forecaster.json, weights.npz and history.npz."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = {
        "schema": FORECASTER_SCHEMA if forecaster.history.known_names else 1,
        "lstune": __version__,
        "horizon": forecaster.horizon,
        "baselines": forecaster.baselines,
        "members": [
            {
                "share": member.share,
                "setting": member.setting,
                "pipeline": member.pipeline.to_dict(),
                "model": member.model.to_dict(),
            }
            for member in forecaster.members
        ],
        "intervals": forecaster.intervals.to_dict() if forecaster.intervals is not None else None,
        "beyond": forecaster.beyond.to_dict() if forecaster.beyond is not None else None,
        "reading": forecaster.reading,
        "about": forecaster.about,
    }
    weights = {f"member_{index}": member.weights for index, member in enumerate(forecaster.members)}
    # The description comes last: where it stands, everything it needs is there.
    with (
        replacing(folder / "forecaster.json") as about,
        replacing(folder / "weights.npz") as stored,
    ):
        about.write(json.dumps(data, indent=1).encode())
        np.savez(stored, **weights)  # type: ignore[arg-type]
        save_series(forecaster.history, folder / "history.npz")


def load_forecaster(folder: str | Path) -> Forecaster:
    """Read what `save_forecaster` wrote. Raises RunError if it is missing, damaged or too new."""
    folder = Path(folder)
    try:
        data = read_object(folder / "forecaster.json", ("schema", "members"))
        if data["schema"] > FORECASTER_SCHEMA:
            raise RunError(
                explain(
                    f"This lstune reads forecasters up to schema {FORECASTER_SCHEMA}",
                    f"schema {data['schema']}, written by lstune {data.get('lstune')}",
                    "Install that version: pip install --upgrade lstune",
                )
            )
        with open(folder / "weights.npz", "rb") as file, np.load(file, allow_pickle=False) as stored:
            weights = [stored[f"member_{index}"] for index in range(len(data["members"]))]
        history = load_series(folder / "history.npz")
        members = tuple(
            Member(
                Pipeline.from_dict(entry["pipeline"]),
                ModelConfig.from_dict(entry["model"]),
                array,
                entry["share"],
                entry["setting"],
            )
            for entry, array in zip(data["members"], weights, strict=True)
        )
        intervals = data["intervals"]
        return Forecaster(
            members,
            data["horizon"],
            history,
            data["baselines"],
            Intervals.from_dict(intervals) if intervals else None,
            data["reading"],
            data["about"],
            Intervals.from_dict(data["beyond"]) if data.get("beyond") else None,
        )
    except FileNotFoundError as error:
        raise RunError(
            explain(
                "A saved forecaster needs forecaster.json, weights.npz and history.npz",
                f"no {error.filename}",
                "Give the folder of a finished run",
            )
        ) from None
    except DAMAGED as error:
        raise RunError(explain("The saved forecaster is damaged", f"{folder}: {error}")) from error
