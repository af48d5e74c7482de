"""From a run's folder to the numbers of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lstune.evaluation import (
    BASELINES,
    Intervals,
    baseline_forecasts,
    local_scale,
    losses_by_origin,
    mase_scale,
    measure,
    step_errors,
)
from lstune.report import words
from lstune.report.asked import asked, command
from lstune.report.data import (
    Band,
    ErrorRow,
    Forecasts,
    Honesty,
    Importance,
    ReportData,
    Residuals,
    TrialRow,
)
from lstune.report.numbers import (
    as_option,
    autocorrelation,
    expected_optimism,
    histogram,
    or_none,
    rounded,
    thin,
    versus,
)
from lstune.report.read import Folder, read_folder, training_history
from lstune.search import Float, Int, Space, TrialRecord, TrialState
from lstune.search.importance import importances
from lstune.search.schedulers import rung_epochs
from lstune.series import truth_after

__all__ = ["collect"]

F64 = npt.NDArray[np.float64]
_OVERVIEW = 3000  # points of the whole series
_TAIL = 6000  # rows of the test tail that are drawn
_CURVES = 300  # trials whose curves are drawn, the best ones
_EDGE = 0.04  # a best value in this outer part of its range lies at the edge
OWN = "lstune"
_CUT_OFF = "interrupted"  # the state of a trial that the end of the search cut off


def collect(folder: str | Path) -> ReportData:
    """The numbers of a report. Raises RunError if the folder holds no finished run."""
    run = read_folder(folder)
    result, series = run.result, run.series
    about = result["series"]
    best = _best_trial(run)
    parts = _Parts(run)
    start, end = about["start"], about["end"]
    return ReportData(
        name=run.settings.get("series", {}).get("name", about["target"]),
        target=about["target"],
        horizon=result["horizon"],
        rows=about["rows"],
        freq=about["freq"],
        start=_short([start])[0],
        end=_short([end])[0],
        season=about.get("season", 1),
        dated=bool(series.has_timestamps) if series is not None else bool(about["freq"]),
        notes=list(run.settings.get("notes", [])),
        verdict=_verdict(result),
        errors=parts.errors(),
        coverage=dict(result["test"].get("coverage", {})),
        honesty=_honesty(run, parts, best),
        optimism=_optimism(run, parts),
        overview=parts.overview(),
        forecasts=parts.forecasts(),
        steps=parts.steps(),
        residuals=parts.residuals(),
        trials=_rows(run),
        rungs=_rungs(run),
        searched=list(run.space.searched) if run.space is not None else [],
        scales=_scales(run.space),
        naive_validation=parts.validation_mae("naive"),
        importance=_importance(run),
        training=training_history(run.path, best.number) if best is not None else {},
        best_trial=best.number if best is not None else None,
        edges=_edges(run.space, result["best"]),
        best=dict(result["best"]),
        mixture=dict(result.get("forecaster", {})),
        counts=dict(result["trials"]),
        seconds=dict(result["seconds"]),
        settings=asked(run.settings),
        fingerprint=about.get("fingerprint", ""),
        versions=dict(run.settings.get("versions") or {"lstune": run.settings.get("lstune", "")}),
        command=command(run.settings),
    )


class _Parts:
    """Validation rows and test tail: truth, forecasts and baselines, (N, H) each, in original units."""

    def __init__(self, run: Folder) -> None:
        self.run = run
        self.series = run.series
        self.horizon = int(run.result["horizon"])
        self.baseline = run.result["verdict"]["baseline"]
        self.origins: dict[str, Any] = {}
        self.model: dict[str, F64] = {}
        self.actual: dict[str, F64] = {}
        self.others: dict[str, dict[str, F64]] = {}
        self.stamps: list[Any] = _stamps(self.series)
        if self.series is None:
            return
        for part in ("validation", "test"):
            if f"{part}_origins" in run.arrays:
                self._fill(part)

    def _fill(self, part: str) -> None:
        assert self.series is not None
        origins = self.run.arrays[f"{part}_origins"]
        self.origins[part] = origins
        self.model[part] = self.run.arrays[f"{part}_forecasts"]
        self.actual[part] = truth_after(self.series, origins, self.horizon)
        self.others[part] = baseline_forecasts(
            self.series.values, origins, horizon=self.horizon, season=self.series.season
        )
        marker = f"{part}_baseline_"
        fitted = {n.removeprefix(marker): a for n, a in self.run.arrays.items() if n.startswith(marker)}
        self.others[part].update({n: fitted[n] for n in BASELINES if n in fitted})

    def validation_mae(self, name: str) -> float | None:
        """A baseline's MAE on the validation rows; None if those are not known."""
        if name not in self.others.get("validation", {}):
            return None
        return measure("mae", self.actual["validation"], self.others["validation"][name])

    def errors(self) -> list[ErrorRow]:
        """Own errors and the baselines', from the forecasts, else from result.json."""
        result = self.run.result
        own = float(result["test"]["mae"])
        if "test" not in self.model:
            found = {OWN: result["test"], **result["baselines"]}
            return [
                ErrorRow(
                    words.label(name),
                    e["mae"],
                    e["rmse"],
                    e.get("mase"),
                    float("nan"),
                    None,
                    versus(own, e["mae"]),
                    name == OWN,
                )
                for name, e in found.items()
            ]
        assert self.series is not None
        scale = self._mase_scale()
        actual, before = self.actual["test"], self.series.values[self.origins["test"]][:, None]
        rows = []
        for name, forecast in {OWN: self.model["test"], **self.others["test"]}.items():
            mae = measure("mae", actual, forecast)
            rows.append(
                ErrorRow(
                    words.label(name),
                    mae,
                    measure("rmse", actual, forecast),
                    or_none(measure("mase", actual, forecast, scale=scale)),
                    measure("smape", actual, forecast),
                    or_none(measure("directional_accuracy", actual, forecast, previous=before)),
                    None if name == OWN else versus(own, mae),
                    name == OWN,
                )
            )
        return rows

    def _mase_scale(self) -> float:
        """The scale of the MASE in result.json; without one, that of the rows before the tail."""
        test = self.run.result["test"]
        if test.get("mase"):
            return float(test["mae"] / test["mase"])
        assert self.series is not None
        start = int(self.origins["test"][0]) + 1
        return mase_scale(self.series.values[:start], self.series.season, self.series.observed[:start])

    def overview(self) -> dict[str, Any]:
        """The whole series, thinned, with the stamps where validation and test begin."""
        if self.series is None:
            return {}
        rows = thin(self.series.values, _OVERVIEW)
        begins = {part: self.stamps[int(origins[0]) + 1] for part, origins in self.origins.items()}
        values = rounded(self.series.values[rows])
        return {"x": [self.stamps[row] for row in rows], "values": values, "begins": begins}

    def forecasts(self) -> Forecasts | None:
        """The tail with forecasts joined end to end (every H-th origin), and the coming rows."""
        if "test" not in self.model:
            return None
        assert self.series is not None
        origins = self.origins["test"]
        picked = np.arange(len(origins) - 1, -1, -self.horizon)[::-1]
        picked = picked[-max(1, _TAIL // self.horizon) :]
        rows = (origins[picked][:, None] + np.arange(1, self.horizon + 1)).ravel()
        future = self.run.future
        return Forecasts(
            x=[self.stamps[row] for row in rows],
            actual=rounded(self.series.values[rows]),
            model=rounded(self.model["test"][picked]),
            baseline=rounded(self.others["test"][self.baseline][picked]),
            baseline_name=words.label(self.baseline),
            bands=self._bands(picked),
            future_x=_short(future.get("timestamp", [])),
            future=rounded(future.get("forecast", [])),
            future_bands=_future_bands(future),
            hidden=int(rows[0] - origins[0] - 1),
        )

    def _bands(self, picked: Any) -> list[Band]:
        """Intervals along the tail: as the run wrote them, else the forecaster's around its forecasts."""
        arrays, bands = self.run.arrays, []
        for name in sorted(n for n in arrays if n.startswith("test_lower_")):
            level = name.removeprefix("test_lower_")
            low, high = arrays[name][picked], arrays[f"test_upper_{level}"][picked]
            bands.append(Band(float(level), rounded(low), rounded(high)))
        stored = self.run.forecaster.get("intervals")
        if bands or not stored:
            return sorted(bands, key=lambda band: -band.level)
        assert self.series is not None
        scale = local_scale(self.series.values, self.origins["test"][picked], self.series.observed)
        around = Intervals.from_dict(stored).around(self.model["test"][picked], scale)
        bands = [
            Band(round(100 * level, 6), rounded(low), rounded(high)) for level, (low, high) in around.items()
        ]
        return sorted(bands, key=lambda band: -band.level)

    def steps(self) -> dict[str, list[float]]:
        """MAE at each step of the horizon on the test tail; empty for a horizon of 1."""
        if self.horizon == 1 or "test" not in self.model:
            return {}
        found = {OWN: self.model["test"], **self.others["test"]}
        actual = self.actual["test"]
        return {words.label(name): rounded(step_errors(actual, f)) for name, f in found.items()}

    def residuals(self) -> Residuals | None:
        """One-step residuals of the test tail."""
        if "test" not in self.model:
            return None
        values = self.actual["test"][:, 0] - self.model["test"][:, 0]
        known = ~np.isnan(values)
        values, rows = values[known], self.origins["test"][known] + 1
        season = self.series.season if self.series is not None else 1
        shown = thin(values, _TAIL)
        edges, counts = histogram(values)
        acf = autocorrelation(values, int(min(max(40, 2 * season + 2), 200, len(values) // 2)))
        bound = 1.96 / np.sqrt(len(values))
        return Residuals(
            x=[self.stamps[row] for row in rows[shown]],
            values=rounded(values[shown]),
            mean=float(values.mean()),
            deviation=float(values.std()),
            edges=edges,
            counts=counts,
            acf=acf,
            bound=float(bound),
            share_outside=float(np.mean(np.abs(acf) > bound)) if acf else 0.0,
        )


def _short(stamps: Sequence[Any]) -> list[Any]:
    """Stamps as the reader knows them: without a time of day where that is always midnight."""
    text = [
        str(stamp).replace(" ", "T") if not isinstance(stamp, (int, np.integer)) else int(stamp)
        for stamp in stamps
    ]
    if text and all(str(s).endswith("T00:00:00") for s in text):
        return [str(s)[:-9] for s in text]
    return [int(s) if isinstance(s, str) and s.lstrip("-").isdigit() and len(s) < 8 else s for s in text]


def _stamps(series: Any) -> list[Any]:
    if series is None:
        return []
    if not series.has_timestamps:
        return [int(row) for row in series.timestamps]
    daily = bool((series.timestamps == series.timestamps.normalize()).all())
    form = "%Y-%m-%d" if daily else "%Y-%m-%dT%H:%M:%S"
    return list(series.timestamps.strftime(form))


def _future_bands(future: Mapping[str, list[Any]]) -> list[Band]:
    """Intervals of the coming rows, as far as they reach."""
    bands = []
    for name in future:
        if name.startswith("lower_"):
            level = name.removeprefix("lower_")
            low = [value for value in future[name] if value is not None]
            high = [value for value in future[f"upper_{level}"] if value is not None]
            bands.append(Band(float(level), rounded(low), rounded(high)))
    return sorted(bands, key=lambda band: -band.level)


def _verdict(result: Mapping[str, Any]) -> dict[str, Any]:
    verdict = dict(result["verdict"])
    verdict["label"] = words.label(verdict["baseline"])
    verdict.setdefault("has_skill", not str(verdict["text"]).startswith("no skill"))
    return verdict


def _best_trial(run: Folder) -> TrialRecord | None:
    same = [t for t in run.trials if t.has_value and t.params == run.result["best"]]
    usable = same or [t for t in run.trials if t.has_value]
    return min(usable, key=lambda t: (t.value, -t.epochs, t.number), default=None)


def _honesty(run: Folder, parts: _Parts, best: TrialRecord | None) -> list[Honesty]:
    result = run.result
    name = result["verdict"]["baseline"]
    rows = []
    known = parts.validation_mae(name)
    if known is None:  # a fitted one, which has no forecasts of the validation rows
        simple = [other for other in result["baselines"] if parts.validation_mae(other) is not None]
        name = min(simple, key=lambda other: result["baselines"][other]["mae"], default=name)
        known = parts.validation_mae(name)
    label = words.label(name)
    least = result.get("best_trial") or ({"mae": best.value} if best is not None else None)
    if least is not None:
        rows.append(Honesty("best trial, as the search saw it", "validation", least["mae"], known, label))
    finalists = result.get("finalists")
    if isinstance(finalists, Mapping) and "mean" in finalists:
        spread = f" (spread {finalists['spread']:.3g})" if finalists.get("spread") is not None else ""
        chosen = f"chosen settings, mean over seeds{spread}"
        rows.append(Honesty(chosen, "validation", finalists["mean"], known, label))
    chosen = result["validation"]
    # The search compared trials on the last fold alone. Folders of earlier versions know no more than that.
    same = chosen.get("baselines", {}).get(name, known)
    where = "validation" if chosen.get("folds", 1) == 1 else f"validation, {chosen['folds']} folds"
    rows.append(Honesty("chosen forecast", where, chosen["mae"], same, label))
    on_test, seen = result["baselines"][name]["mae"], words.times(result["test"].get("scored", 1))
    rows.append(
        Honesty("chosen forecast, retrained", f"test, seen {seen}", result["test"]["mae"], on_test, label)
    )
    return rows


def _optimism(run: Folder, parts: _Parts) -> float | None:
    if isinstance(run.result.get("optimism"), (int, float)):
        return float(run.result["optimism"])
    if "validation" not in parts.model:
        return None
    losses = losses_by_origin(parts.actual["validation"], parts.model["validation"])
    return expected_optimism(losses, [t.value for t in run.trials if t.has_value])


def _rows(run: Folder) -> list[TrialRow]:
    begun = [t.started for t in run.trials if t.started is not None]
    zero = min(begun, default=0.0)
    ranked = sorted((t for t in run.trials if t.has_value), key=lambda t: t.value or 0.0)
    drawn = {t.number for t in ranked[:_CURVES]}
    return [
        TrialRow(
            number=t.number,
            state=_CUT_OFF if t.state is TrialState.RUNNING else t.state.value,
            value=t.value,
            epochs=t.epochs,
            seconds=run.seconds.get(t.number),
            reason=t.reason or "",
            params=dict(t.params),
            curve=_curve(t) if t.number in drawn else [],
            rungs=[(epoch, float(f"{value:.6g}")) for epoch, value in t.rungs],
            started=None if t.started is None else round(t.started - zero, 3),
            finished=None if t.finished is None else round(t.finished - zero, 3),
        )
        for t in run.trials
    ]


def _rungs(run: Folder) -> dict[int, int]:
    """How many trials trained as long as each rung; none where the scheduler has no rungs."""
    if run.spec.get("scheduler") not in ("asha", "hyperband"):
        return {}
    epochs = rung_epochs(run.spec["max_epochs"], run.spec["min_epochs"], run.spec["factor"])
    return {rung: sum(trial.epochs >= rung for trial in run.trials) for rung in epochs}


def _curve(trial: TrialRecord) -> list[tuple[int, float]]:
    return [(epoch, float(f"{value:.6g}")) for epoch, value in sorted(trial.curve.items())]


def _scales(space: Space | None) -> dict[str, str]:
    if space is None:
        return {}
    kinds = {}
    for name in space.searched:
        param = space[name]
        if isinstance(param, (Int, Float)):
            kinds[name] = "log" if param.log else "linear"
        else:
            kinds[name] = "category"
    return kinds


def _importance(run: Folder) -> Importance | None:
    found = importances(run.space, run.trials) if run.space is not None else None
    return None if found is None else Importance(found.shares, found.trials, found.epochs, found.effects)


def _edges(space: Space | None, best: Mapping[str, Any]) -> list[str]:
    """Sentences on best values at the edge of their range, with the option that widens it."""
    out = []
    for name in space.searched if space is not None else ():
        assert space is not None
        param = space[name]
        if name not in best or not isinstance(param, (Int, Float)) or not param.contains(best[name]):
            continue
        span = _wider(param, best[name])
        if span is not None:
            out.append(
                f"{name} = {as_option(best[name])} lies at the edge of what was searched "
                f"({as_option(param.low)} to {as_option(param.high)}); to look further: --set {name}={span}"
            )
    return out


def _wider(param: Int | Float, value: Any) -> str | None:
    low, high = param.low, param.high
    if param.log:
        place = np.log(value / low) / np.log(high / low)
    else:
        place = (value - low) / (high - low)
    if place >= 1 - _EDGE:
        return f"{as_option(low)}..{as_option(high * 2 if param.log else high + (high - low))}"
    if place > _EDGE:
        return None
    below: float = low / 4 if param.log else low - (high - low)
    if isinstance(param, Int):
        below = max(1, round(below))
    elif not param.log and low >= 0:
        below = max(0.0, below)
    return None if below >= low else f"{as_option(below)}..{as_option(high)}"
