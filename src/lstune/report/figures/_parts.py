"""What several figures share: lines, bands, layouts, and which trials and parameters are shown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from lstune.report.data import Band, ReportData, TrialRow

__all__ = [
    "Figure",
    "draw_band",
    "draw_line",
    "make_layout",
    "naive_line",
    "plot_name",
    "slice_names",
    "value_range",
    "valued",
]

Figure = dict[str, Any]
_SLICES = 16
_LONGEST_NAME = 30  # letters; more do not fit beside a plot


def plot_name(text: str) -> str:
    """A column's name as plotly shows it letter by letter: no tags in it, no colour and no list of the page.

    Of a very long one its beginning.
    """
    short = text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3].rstrip() + "..."
    return re.sub(r"^[$@]", lambda mark: f"&#{ord(mark[0])};", escape(short, quote=False))


def slice_names(data: ReportData) -> list[str]:
    """The searched parameters, the most important first."""
    order = list(data.importance.shares) if data.importance is not None else []
    names = order + [name for name in data.searched if name not in order]
    used = {name for row in data.trials for name in row.params}
    return [name for name in names if name in used][:_SLICES] if valued(data) else []


def valued(data: ReportData) -> list[TrialRow]:
    """Trials with an error to show."""
    return [row for row in data.trials if row.value is not None]


def draw_line(
    name: str, x: list[Any], y: Sequence[Any], color: str, width: float = 1.6, **more: Any
) -> Figure:
    """A line; `more` are further fields of the trace, and `dash`."""
    dash = more.pop("dash", None)
    style = {"color": color, "width": width, **({"dash": dash} if dash else {})}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": style, **more}


def draw_band(
    band: Band, x: list[Any], opacity: float, legend: bool, first: list[Any] | None = None
) -> list[Figure]:
    """An interval as two traces; `first` comes before its bounds."""
    low, high = (first or []) + band.low, (first or []) + band.high
    common = {
        "type": "scatter",
        "mode": "lines",
        "x": x[: len(low)],
        "hoverinfo": "skip",
        "line": {"width": 0},
    }
    name = f"{band.level:g} % interval"
    return [
        {**common, "y": low, "showlegend": False, "legendgroup": name, "name": name},
        {
            **common,
            "y": high,
            "fill": "tonexty",
            "fillcolor": f"$model/{opacity}",
            "name": name,
            "legendgroup": name,
            "showlegend": legend,
        },
    ]


def make_layout(x: str | None = None, y: str | None = None, **more: Any) -> Figure:
    """A layout with axis titles; `xaxis` and `yaxis` in `more` are merged."""
    found: Figure = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for key, value in more.items():
        if key in ("xaxis", "yaxis"):
            found[key].update(value)
        else:
            found[key] = value
    return found


def value_range(data: ReportData) -> list[float] | None:
    """The errors worth a look: from the best to three times as far as the middle of the trials lies from it.

    Run-away trials do not squeeze the rest; the naive forecast is in view unless it is far off.
    """
    values = sorted(row.value for row in valued(data) if row.value is not None)
    if len(values) < 2:
        return None
    best, most = values[0], values[math.ceil(0.9 * (len(values) - 1))]
    spread = values[math.floor(0.6 * (len(values) - 1))] - best
    high = min(most, best + 3 * spread) if spread > 0 else most
    if data.naive_validation is not None and data.naive_validation <= best + 6 * spread:
        high = max(high, data.naive_validation)
    room = 0.08 * (high - best) or 0.05 * abs(high) or 1.0
    return [best - room, high + room]


def naive_line(data: ReportData, bounds: list[float] | None) -> Figure:
    """Shape and annotation of the naive forecast's error, as far as it lies in view."""
    level = data.naive_validation
    if level is None or (bounds is not None and not bounds[0] <= level <= bounds[1]):
        return {}
    style = {"color": "$muted", "width": 1.2, "dash": "dot"}
    shape = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "yref": "y",
        "y0": level,
        "y1": level,
        "line": style,
    }
    note = {
        "xref": "paper",
        "x": 1,
        "y": level,
        "xanchor": "right",
        "yanchor": "bottom",
        "text": "naive",
        "showarrow": False,
    }
    return {"shapes": [shape], "annotations": [note]}
