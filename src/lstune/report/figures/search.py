"""Figures of the search: progress, rungs, curves, and what mattered."""

from __future__ import annotations

import math
from typing import Any

from lstune.report.data import ReportData, TrialRow
from lstune.report.figures._parts import (
    Figure,
    draw_line,
    make_layout,
    naive_line,
    slice_names,
    value_range,
    valued,
)
from lstune.report.numbers import best_so_far
from lstune.series import counted

__all__ = ["curves", "importance", "one_slice", "parallel", "progress", "rungs", "training"]

_STATES = {
    "complete": ("trained to the end", "$good", "circle"),
    "paused": ("stopped at a rung", "$truth", "circle"),
    "pruned": ("stopped early", "$muted", "circle"),
    "interrupted": ("interrupted", "$muted", "circle-open"),
}


def progress(data: ReportData) -> Figure | None:
    """Validation error of each trial as the search went on."""
    rows = sorted(valued(data), key=lambda row: (row.finished is None, row.finished or 0.0, row.number))
    if not rows:
        return None
    timed = all(row.finished is not None for row in rows)

    def place(row: TrialRow) -> float:
        return row.finished if timed and row.finished is not None else row.number

    traces: list[Figure] = []
    for state, (label, color, symbol) in _STATES.items():
        mine = [row for row in rows if row.state == state]
        if mine:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": label,
                    "x": [place(row) for row in mine],
                    "y": [row.value for row in mine],
                    "text": [f"trial {row.number}, {counted(row.epochs, 'epoch')}" for row in mine],
                    "hovertemplate": "%{text}<br>%{y:.5g}<extra></extra>",
                    "marker": {"color": color, "symbol": symbol, "size": 7, "opacity": 0.85},
                }
            )
    best = best_so_far([row.value for row in rows])
    steps = draw_line("best so far", [place(row) for row in rows], best, "$model", 2)
    steps["line"] = {**steps["line"], "shape": "hv"}
    traces.append(steps)
    bounds = value_range(data)
    title = "seconds since the search began" if timed else "trial"
    extra = naive_line(data, bounds)
    hidden = sum(row.value > bounds[1] for row in rows if row.value is not None) if bounds else 0
    if hidden:
        note = {"xref": "paper", "x": 1, "yref": "paper", "y": 1, "xanchor": "right", "yanchor": "bottom"}
        text = f"{hidden} with larger errors are not shown"
        extra = {
            **extra,
            "annotations": [*extra.get("annotations", []), {**note, "text": text, "showarrow": False}],
        }
    # A lone point would stand between a second before the search and one after.
    axes = {"xaxis": {"rangemode": "nonnegative"}, "yaxis": {"range": bounds}}
    return {"data": traces, "layout": make_layout(title, "validation MAE", **axes, **extra)}


def rungs(data: ReportData) -> Figure | None:
    """How many trials trained as long as each rung."""
    if len(data.rungs) < 2:
        return None
    bars = {
        "type": "bar",
        "x": [str(epoch) for epoch in data.rungs],
        "y": list(data.rungs.values()),
        "marker": {"color": "$truth"},
        "text": [str(count) for count in data.rungs.values()],
        "textposition": "auto",
        "hovertemplate": "%{y} trials trained %{x} epochs or more<extra></extra>",
    }
    layout = make_layout("epochs", "trials that got there", showlegend=False, xaxis={"type": "category"})
    return {"data": [bars], "layout": layout}


def curves(data: ReportData) -> Figure | None:
    """Learning curves of the trials."""
    rows = [row for row in data.trials if len(row.curve) > 1]
    if not rows:
        return None
    others: tuple[list[Any], list[Any], list[str]] = ([], [], [])
    for row in rows:
        if row.number != data.best_trial:
            for epoch, value in row.curve:
                others[0].append(epoch)
                others[1].append(value)
                others[2].append(f"trial {row.number}")
            others[0].append(None)
            others[1].append(None)
            others[2].append("")
    line = draw_line("other trials", others[0], others[1], "$truth/0.55", 1)
    line.update(text=others[2], hovertemplate="%{text}<br>epoch %{x}: %{y:.5g}<extra></extra>")
    traces = [line] if others[0] else []
    for row in rows:
        if row.number == data.best_trial:
            x, y = [epoch for epoch, _ in row.curve], [value for _, value in row.curve]
            traces.append(draw_line(f"best (trial {row.number})", x, y, "$model", 2.6))
    bounds = _curve_range(data, rows)
    layout = make_layout("epoch", "validation MAE", yaxis={"range": bounds}, **naive_line(data, bounds))
    return {"data": traces, "layout": layout}


def _curve_range(data: ReportData, rows: list[TrialRow]) -> list[float] | None:
    """What nine of ten points of the curves lie in, with the best value at the bottom."""
    points = sorted(value for row in rows for _, value in row.curve)
    bounds = value_range(data)
    high = points[int(0.9 * (len(points) - 1))]
    if bounds is None:
        return None
    reach = bounds[0] + 4 * (bounds[1] - bounds[0])
    return [bounds[0], min(reach, max(bounds[1], high + 0.08 * (high - bounds[0])))]


def training(data: ReportData) -> Figure | None:
    """Loss of the best trial on training and validation rows."""
    named = {"loss": ("training", "$truth"), "val_loss": ("validation", "$model")}
    traces = [
        draw_line(label, list(range(1, len(data.training[key]) + 1)), data.training[key], color, 2)
        for key, (label, color) in named.items()
        if len(data.training.get(key, [])) > 1
    ]
    if not traces:
        return None
    return {"data": traces, "layout": make_layout("epoch", "loss on scaled values", yaxis={"type": "log"})}


def importance(data: ReportData) -> Figure | None:
    """Each parameter's share of the differences."""
    if data.importance is None:
        return None
    shares = list(data.importance.shares.items())[::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * share for _, share in shares],
        "y": [name for name, _ in shares],
        "marker": {"color": "$truth"},
        "text": [f"{100 * share:.0f} %" for _, share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    top = max(5.0, 118 * max(share for _, share in shares))
    axis = {"range": [0, top]}
    label = {"automargin": True, "ticksuffix": " "}
    layout = make_layout(
        "share of the differences between trials, %", None, xaxis=axis, yaxis=label, showlegend=False
    )
    return {"data": [bars], "layout": {**layout, "height": 120 + 24 * len(shares)}}


def one_slice(data: ReportData, name: str) -> Figure | None:
    """Validation error by one parameter."""
    rows = [row for row in valued(data) if name in row.params]
    if len(rows) < 2:
        return None
    kind = data.scales.get(name, "category")
    x = [row.params[name] if kind != "category" else str(row.params[name]) for row in rows]
    epochs = [row.epochs for row in rows]
    marker: Figure = {"size": 7, "opacity": 0.8, "color": epochs, "colorscale": "$scale", "showscale": False}
    marker["line"] = {"width": 0.5, "color": "$paper"}
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": [row.value for row in rows],
        "text": [f"trial {row.number}, {counted(row.epochs, 'epoch')}" for row in rows],
        "hovertemplate": "%{text}<br>%{x}: %{y:.5g}<extra></extra>",
        "marker": marker,
    }
    traces = [points]
    for row in rows:
        if row.number == data.best_trial:
            value = row.params[name]
            ring = {"size": 13, "color": "rgba(0,0,0,0)", "line": {"width": 2.4, "color": "$model"}}
            place = [value if kind != "category" else str(value)]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": place,
                    "y": [row.value],
                    "marker": ring,
                    "hoverinfo": "skip",
                }
            )
    axis: Figure = {"type": kind, "automargin": True, **_ticks(kind, [row.params[name] for row in rows])}
    layout = make_layout(None, None, xaxis=axis, yaxis={"range": value_range(data)}, showlegend=False)
    return {"data": traces, "layout": layout}


_FEW = 6


def _ticks(kind: str, values: list[Any]) -> Figure:
    """Ticks at the values themselves where they are few; at round numbers on a log axis."""
    if kind == "category":
        options = sorted({str(value) for value in values}, key=_order)
        found: Figure = {"categoryorder": "array", "categoryarray": options}
        if len(options) > 1 and all(option.startswith("lookback/") for option in options):
            found.update(tickvals=options, ticktext=["/" + option[9:] for option in options])
        elif any("difference" in option for option in options):  # too long to stand side by side
            short = [
                option.replace("_difference", "<br>diff.").replace("difference", "diff.")
                for option in options
            ]
            found.update(tickvals=options, ticktext=short)
        return found
    distinct = sorted(set(values))
    if len(distinct) <= _FEW and all(isinstance(value, int) for value in distinct):
        return {"tickvals": distinct, "ticktext": [str(value) for value in distinct]}
    return _log_ticks(values) if kind == "log" else {}


def _order(text: str) -> tuple[float, str]:
    digits = text.rsplit("/", 1)[-1]
    try:
        return float(digits), text
    except ValueError:
        return math.inf, text


def _log_ticks(values: list[float]) -> Figure:
    """Few round ticks on a log axis; plotly's own overlap on narrow plots."""
    low, high = min(values), max(values)
    places = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**place for place in places for step in steps]
        shown = [tick for tick in ticks if low * 0.85 <= tick <= high * 1.15]
        if len(shown) >= 3:
            break
    return {"tickvals": shown, "ticktext": [f"{tick:g}" for tick in shown]} if shown else {}


def parallel(data: ReportData) -> Figure | None:
    """Lines through the settings; lowest errors strongest. Categories are numbered in their order."""
    rows = valued(data)
    names = slice_names(data)[:10]
    if len(rows) < 3 or len(names) < 2:
        return None
    bounds = value_range(data)
    values = [row.value or 0.0 for row in rows]
    cut = [min(value, bounds[1]) if bounds else value for value in values]
    dimensions = [_dimension(data, rows, name) for name in names]
    dimensions.append({"label": "validation MAE", "values": cut})
    line = {"color": cut, "colorscale": "$scale_reversed", "showscale": False}
    trace = {
        "type": "parcoords",
        "line": line,
        "dimensions": dimensions,
        "labelangle": -20,
        "labelside": "top",
    }
    return {"data": [trace], "layout": {"showlegend": False}}


def _dimension(data: ReportData, rows: list[TrialRow], name: str) -> Figure:
    found = [row.params.get(name) for row in rows]
    kind = data.scales.get(name, "category")
    known = [value for value in found if value is not None]
    if kind == "category":
        options = sorted({str(value) for value in known}, key=_order)
        places = [options.index(str(value)) if value is not None else -1 for value in found]
        text = (["-"] if -1 in places else []) + options
        first = -1 if -1 in places else 0
        return {
            "label": name,
            "values": places,
            "tickvals": list(range(first, len(options))),
            "ticktext": text,
        }
    middle = sorted(known)[len(known) // 2]
    numbers = [middle if value is None else value for value in found]
    if kind == "log":
        ticks = _log_ticks(numbers)
        shown = (
            {"tickvals": [math.log10(tick) for tick in ticks["tickvals"]], "ticktext": ticks["ticktext"]}
            if ticks
            else {}
        )
        return {"label": name, "values": [math.log10(value) for value in numbers], **shown}
    return {"label": name, "values": numbers, **_ticks(kind, known)}
