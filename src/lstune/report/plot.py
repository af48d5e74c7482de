"""The forecast plot: test tail, forecast of the coming rows and intervals, as one HTML file."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

__all__ = ["ForecastPlot", "collect_forecast_plot", "forecast_html"]

# Rows of the tail in the first view; the rest is a drag away.
_FIRST_VIEW = 150
_CONTEXT = 200


@dataclass(frozen=True)
class ForecastPlot:
    """What is drawn: plain lists. `bands` maps a level such as "95" to its lower and upper bounds."""

    title: str
    target: str
    verdict: str
    past: tuple[list[Any], list[float]]
    tail: tuple[list[Any], list[float]]
    model: tuple[list[Any], list[float]]
    baseline: tuple[list[Any], list[float]]
    baseline_name: str
    future: tuple[list[Any], list[float]]
    bands: dict[str, tuple[list[float], list[float]]]


def collect_forecast_plot(
    series: Any, origins: Any, forecasts: Any, baseline: Any, baseline_name: str, future: Any, verdict: str
) -> ForecastPlot:
    """The numbers of the plot.

    origins: (N,) last known rows; forecasts, baseline: (N, H) on the test tail. future: the DataFrame of the
    coming rows as `Forecaster.predict` gives it. With H > 1 the tail shows forecasts that join end to end.
    """
    stamps = [_stamp(stamp) for stamp in series.timestamps]
    horizon = forecasts.shape[1]
    picked = np.arange(len(origins) - 1, -1, -horizon)[::-1]  # every H-th origin: each row is forecast once
    rows = (origins[picked][:, None] + np.arange(1, horizon + 1)).ravel()
    start = int(rows[0])
    begin = max(0, start - _CONTEXT)
    last = [stamps[-1]], [float(series.values[-1])]
    bands = {}
    for column in future.columns:
        if column.startswith("lower_"):
            level = column.removeprefix("lower_")
            pair = future[column].dropna(), future[f"upper_{level}"].dropna()
            bands[level] = (last[1] + _floats(pair[0]), last[1] + _floats(pair[1]))
    return ForecastPlot(
        title=f"{series.name}: {series.target}",
        target=series.target,
        verdict=verdict,
        past=(stamps[begin : start + 1], _floats(series.values[begin : start + 1])),
        tail=(stamps[start:], _floats(series.values[start:])),
        model=([stamps[row] for row in rows], _floats(forecasts[picked].ravel())),
        baseline=([stamps[row] for row in rows], _floats(baseline[picked].ravel())),
        baseline_name=baseline_name,
        future=(last[0] + [_stamp(stamp) for stamp in future.index], last[1] + _floats(future["forecast"])),
        bands=bands,
    )


def _stamp(stamp: Any) -> Any:
    return stamp.isoformat() if hasattr(stamp, "isoformat") else int(stamp)


def _floats(values: Any) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def _line(name: str, points: tuple[list[Any], list[float]], color: str, **line: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": points[0],
        "y": points[1],
        "line": {"color": color, "width": 1.6, **line},
    }


def _figure(plot: ForecastPlot) -> dict[str, Any]:
    traces = []
    for level, opacity in sorted(((k, 0.12 if float(k) > 90 else 0.22) for k in plot.bands), reverse=True):
        low, high = plot.bands[level]
        x = plot.future[0][: len(low)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": x + x[::-1],
                "y": high + low[::-1],
                "fill": "toself",
                "fillcolor": f"rgba(226,101,43,{opacity})",
                "line": {"width": 0},
                "name": f"{level} % interval",
                "hoverinfo": "skip",
            }
        )
    traces += [
        _line("before the test", plot.past, "#8a8f98"),
        _line("truth", plot.tail, "#3a7bd5", width=2),
        _line(plot.baseline_name, plot.baseline, "#8a8f98", dash="dot"),
        _line("lstune on the test tail", plot.model, "#e2652b"),
        _line("forecast", plot.future, "#e2652b", width=2.5),
    ]
    shown = (plot.tail[0] + plot.future[0][1:])[-_FIRST_VIEW:]
    axis = {"gridcolor": "rgba(128,128,128,0.2)", "zeroline": False}
    layout = {
        "xaxis": {**axis, "range": [shown[0], shown[-1]]},
        "yaxis": {**axis, "title": {"text": plot.target}},
        "legend": {"orientation": "h", "y": -0.12},
        "margin": {"l": 60, "r": 16, "t": 16, "b": 40},
        "hovermode": "x unified",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return {"data": traces, "layout": layout}


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e8eb; --paper: #16181d; }} }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.4 system-ui, sans-serif; }}
header {{ padding: 1rem 1.2rem 0; }} h1 {{ font-size: 1.2rem; margin: 0 0 .3rem; }} p {{ margin: 0; }}
#plot {{ width: 100%; height: 72vh; min-height: 340px; }}
</style>
<script>{plotly}</script></head>
<body><header><h1>{title}</h1><p>{verdict}</p></header><div id="plot"></div>
<script>
const figure = {figure};
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function draw() {{
  figure.layout.font = {{ color: dark.matches ? "#e6e8eb" : "#1f2328" }};
  figure.layout.hoverlabel = {{ bgcolor: dark.matches ? "#2a2d34" : "#ffffff" }};
  Plotly.react("plot", figure.data, figure.layout, {{ responsive: true, displaylogo: false }});
}}
dark.addEventListener("change", draw);
draw();
</script></body></html>
"""


def forecast_html(plot: ForecastPlot) -> str:
    """The plot as a page that needs no network; about 4.5 MB, nearly all of it plotly.js."""
    # Reading the file, rather than importing plotly, saves a second at the end of every run.
    library = resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8")
    figure = json.dumps(_figure(plot), separators=(",", ":")).replace("</", "<\\/")
    return _PAGE.format(
        title=html.escape(plot.title), verdict=html.escape(plot.verdict), plotly=library, figure=figure
    )
