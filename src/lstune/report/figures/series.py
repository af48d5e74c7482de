"""Figures of the series, the test tail and the residuals."""

from __future__ import annotations

import math
from itertools import cycle
from typing import Any

from lstune.report.data import Forecasts, ReportData
from lstune.report.figures._parts import Figure, draw_band, draw_line, make_layout, plot_name

__all__ = ["acf", "first_view", "forecast", "histogram", "overview", "residuals", "steps"]

# Rows of the test tail in the first view; the rest is a drag away.
_FIRST_VIEW = 160


def forecast(data: ReportData) -> Figure | None:
    """The test tail with forecasts and intervals, and the coming rows."""
    found = data.forecasts
    if found is None:
        return None
    traces: list[Figure] = []
    for band in found.bands:
        traces += draw_band(band, found.x, 0.12 if band.level > 90 else 0.18, True)
    last = found.x[-1:], found.actual[-1:]
    ahead_x = last[0] + found.future_x
    for band in found.future_bands:
        traces += draw_band(band, ahead_x, 0.16 if band.level > 90 else 0.28, False, last[1])
    traces += [
        draw_line(found.baseline_name, found.x, found.baseline, "$muted", 1.2, dash="dot"),
        draw_line("truth", found.x, found.actual, "$truth", 1.8),
        draw_line("lstune, tested", found.x, found.model, "$model", 1.6),
        draw_line(
            "coming rows",
            ahead_x,
            last[1] + found.future,
            "$model",
            2.6,
            mode="lines+markers" if len(found.future) < 3 else "lines",
            marker={"size": 7, "color": "$model"},
        ),
    ]
    count = first_view(data)
    begin = found.x[-min(count, len(found.x))]
    axis: Figure = {"range": _padded([begin, (found.x + found.future_x)[-1]])}
    upright = {"range": _reach(found, count)}
    layout = make_layout(None, plot_name(data.target), xaxis=axis, yaxis=upright, hovermode="x unified")
    return {"data": traces, "layout": layout}


def first_view(data: ReportData) -> int:
    """Rows of the tail that are in view at first."""
    return max(_FIRST_VIEW - data.horizon, data.horizon)


def _reach(found: Forecasts, count: int) -> list[float]:
    """Lowest and highest of what the last `count` rows of the tail and the coming rows show."""
    lines = [found.actual, found.model, found.baseline]
    lines += [side for band in found.bands for side in (band.low, band.high)]
    shown = [value for line in lines for value in line[-count:]]
    shown += [value for band in found.future_bands for value in band.low + band.high] + found.future
    room = 0.04 * (max(shown) - min(shown)) or 1.0
    return [min(shown) - room, max(shown) + room]


def _padded(ends: list[Any]) -> list[Any]:
    if all(isinstance(end, int) for end in ends):
        room = max(1, round(0.02 * (ends[1] - ends[0])))
        return [ends[0], ends[1] + room]
    return ends


# A series that grows that many times over is drawn on a logarithmic scale.
_MANIFOLD = 30


def overview(data: ReportData) -> Figure | None:
    """The whole series with validation rows and test tail marked."""
    if not data.overview:
        return None
    begins = data.overview["begins"]
    shapes, notes = [], []
    end = data.overview["x"][-1]
    stops = {"validation": begins.get("test", end), "test": end}
    for part, begin in begins.items():
        color = "$model/0.12" if part == "test" else "$truth/0.12"
        shapes.append(
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": begin,
                "x1": stops[part],
                "y0": 0,
                "y1": 1,
                "fillcolor": color,
                "line": {"width": 0},
                "layer": "below",
            }
        )
        notes.append(
            {
                # The tail ends at the plot's edge: its label from there, for on a phone they would meet.
                "x": end if part == "test" else begin,
                "y": 1.0,
                "xref": "x",
                "yref": "paper",
                "xanchor": "right" if part == "test" else "left",
                "yanchor": "bottom",
                "text": part,
                "showarrow": False,
            }
        )
    values = data.overview["values"]
    line = draw_line(plot_name(data.target), data.overview["x"], values, "$truth", 1.1)
    upright = {"type": "log"} if min(values) > 0 and max(values) > _MANIFOLD * min(values) else {}
    layout = make_layout(
        None, plot_name(data.target), yaxis=upright, shapes=shapes, annotations=notes, showlegend=False
    )
    return {"data": [line], "layout": layout}


_DASHES = ("dot", "dash", "dashdot", "longdash", "longdashdot", "3px,6px")


def steps(data: ReportData) -> Figure | None:
    """Error at each step of the horizon."""
    if not data.steps:
        return None
    count = len(next(iter(data.steps.values())))
    x = list(range(1, count + 1))
    worst = max(max(values) for name, values in data.steps.items() if name == "lstune")
    colors = {"lstune": "$model", data.verdict["label"]: "$truth"}
    # The others share a colour: told apart by their dashes.
    dashes = dict(zip([name for name in data.steps if name not in colors], cycle(_DASHES), strict=False))
    traces = [
        draw_line(
            name,
            x,
            values,
            colors.get(name, "$muted"),
            2.2 if name == "lstune" else 1.3,
            dash=dashes.get(name),
        )
        for name, values in data.steps.items()
    ]
    best = max(data.steps.get(data.verdict["label"], [worst]))
    top = {"range": [0, 1.6 * max(worst, best)]}
    return {"data": traces, "layout": make_layout("step of the horizon", "MAE", yaxis=top)}


def residuals(data: ReportData) -> Figure | None:
    """Residuals over time."""
    found = data.residuals
    if found is None:
        return None
    line = draw_line("residual", found.x, found.values, "$truth", 1)
    return {"data": [line], "layout": make_layout(None, "truth - forecast", showlegend=False)}


def histogram(data: ReportData) -> Figure | None:
    """How large residuals are, beside a normal distribution."""
    found = data.residuals
    if found is None:
        return None
    pairs = list(zip(found.edges[:-1], found.edges[1:], strict=True))
    bars = {
        "type": "bar",
        "x": [(low + high) / 2 for low, high in pairs],
        "y": found.counts,
        "width": [high - low for low, high in pairs],
        "marker": {"color": "$truth", "line": {"width": 0.5, "color": "$paper"}},
        "name": "residuals",
        "hovertemplate": "%{y} rows near %{x:.4g}<extra></extra>",
    }
    traces = [bars]
    if found.deviation > 0:
        wide = (found.edges[-1] - found.edges[0]) / 120
        x = [found.edges[0] + wide * step for step in range(121)]
        total = sum(found.counts) * (pairs[0][1] - pairs[0][0])
        scale = total / (found.deviation * math.sqrt(2 * math.pi))
        y = [scale * math.exp(-0.5 * ((value - found.mean) / found.deviation) ** 2) for value in x]
        traces.append(
            draw_line("normal", [float(f"{v:.6g}") for v in x], [float(f"{v:.5g}") for v in y], "$model", 2)
        )
    return {"data": traces, "layout": make_layout("truth - forecast", "rows", bargap=0)}


def acf(data: ReportData) -> Figure | None:
    """Autocorrelation of the residuals."""
    found = data.residuals
    if found is None or not found.acf:
        return None
    lags = list(range(1, len(found.acf) + 1))
    bars = {
        "type": "bar",
        "x": lags,
        "y": found.acf,
        "marker": {"color": "$truth"},
        "hovertemplate": "lag %{x}: %{y:.3f}<extra></extra>",
    }
    band = {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": "y",
        "y0": -found.bound,
        "y1": found.bound,
        "fillcolor": "$muted/0.22",
        "line": {"width": 0},
        "layer": "below",
    }
    top = max(0.3, 1.15 * max(abs(value) for value in found.acf))
    axis = {"range": [-top, top]}
    return {
        "data": [bars],
        "layout": make_layout("lag, rows", "autocorrelation", yaxis=axis, shapes=[band], showlegend=False),
    }
