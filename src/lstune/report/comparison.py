"""The page of a comparison of methods: curves, table and what they say, from the content of compare.json."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

from lstune.report import words
from lstune.report.figures._parts import Figure, draw_line, make_layout
from lstune.report.page import make_page, make_payload

__all__ = ["figures_of", "to_html"]

_COLORS = 8  # --c0 to --c7 in report.css
_TIMES = ("budget", "trial_timeout")
_STEEP = 0.15  # share of the axis with the first fall, which would squeeze all the rest
_AXES = {"seconds": "seconds of a search", "epochs": "epochs trained, all trials of a search together"}


def to_html(result: Mapping[str, Any]) -> str:
    """The page; about 4.8 MB, nearly all of it plotly.js."""
    series = result["series"]
    sections = [
        ("summary", "Summary", _summary(result)),
        ("curves", "Curves", _curves()),
        ("methods", "Methods", _methods(result)),
        ("searches", "Searches", _searches(result)),
        ("about", "This comparison", _about(result)),
    ]
    title = f"{series['name']}: {series['target']}, search methods compared"
    rows = series["validation_rows"]
    subtitle = f"{series['rows']:,} rows; validation on rows {rows[0]:,} to {rows[1] - 1:,}, no test row seen"
    return make_page(title, subtitle, sections, make_payload(figures_of(result)))


def figures_of(result: Mapping[str, Any]) -> dict[str, Figure]:
    """The best error so far against seconds and epochs: medians over seeds, bands from lowest to highest."""
    return {axis: _figure(result, axis, label) for axis, label in _AXES.items()}


def _figure(result: Mapping[str, Any], axis: str, label: str) -> Figure:
    curves = result["summary"]["curves"][axis]
    traces: list[Figure] = []
    # Colours go by the order in which the methods were asked for, so that both plots agree.
    for place, (name, curve) in enumerate(sorted(curves.items())):
        color = f"$c{place % _COLORS}"
        band = {"type": "scatter", "mode": "lines", "x": curve["x"], "hoverinfo": "skip", "legendgroup": name}
        band |= {"line": {"width": 0, "shape": "hv"}, "showlegend": False}
        traces.append({**band, "y": curve["lowest"]})
        traces.append({**band, "y": curve["highest"], "fill": "tonexty", "fillcolor": f"{color}/0.14"})
        line = draw_line(name, curve["x"], curve["median"], color, 2.2, legendgroup=name)
        line["line"] = {**line["line"], "shape": "hv", "dash": "solid" if place < _COLORS else "dash"}
        line["hovertemplate"] = "%{y:.5g}<extra>" + escape(name) + "</extra>"
        traces.append(line)
    # Bands first, lines over them.
    traces.sort(key=lambda trace: "fill" not in trace and trace["line"]["width"] > 0)
    bounds = _bounds(curves, result["naive"])
    layout = make_layout(label, "validation MAE, best so far", yaxis={"range": bounds}, hovermode="x")
    if bounds is not None and bounds[0] <= result["naive"] <= bounds[1]:
        style = {"color": "$muted", "width": 1.2, "dash": "dot"}
        level = {"yref": "y", "y0": result["naive"], "y1": result["naive"]}
        layout["shapes"] = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, **level, "line": style}]
        note = {"xref": "paper", "x": 1, "y": result["naive"], "xanchor": "right", "yanchor": "bottom"}
        layout["annotations"] = [{**note, "text": "naive", "showarrow": False}]
    return {"data": traces, "layout": layout}


def _bounds(curves: Mapping[str, Any], naive: float) -> list[float] | None:
    """From the lowest error to where the curves had gone after their first steep fall."""
    lows = [curve["lowest"][-1] for curve in curves.values() if curve["x"]]
    if not lows:
        return None
    end = max(curve["x"][-1] for curve in curves.values() if curve["x"])
    best, high = min(lows), max(map(partial(_later, wait=_STEEP * end), filter(_drawn, curves.values())))
    if best < naive < best + 3 * (high - best):
        high = max(high, naive)
    room = 0.06 * (high - best) or 0.02 * abs(high) or 1.0
    return [best - room, high + room]


def _drawn(curve: Mapping[str, Any]) -> bool:
    return bool(curve["x"])


def _later(curve: Mapping[str, Any], wait: float) -> float:
    """The highest seed's error a while after the curve's begin."""
    place = curve["x"][0] + wait
    return [value for x, value in zip(curve["x"], curve["highest"], strict=True) if x <= place][-1]


def _summary(result: Mapping[str, Any]) -> str:
    first, *rest = result["text"]
    more = f"<p>{escape(' '.join(rest))}</p>" if rest else ""
    missing = result["missing"]
    are = "search is" if missing == 1 else "searches are"
    note = f'<p class="soft">{missing} {are} still missing.</p>' if missing else ""
    return f'<div class="verdict"><p>{escape(first)}</p>{more}</div>{note}'


def _curves() -> str:
    parts = [
        "<h2>Best validation error so far</h2>",
        '<p class="soft">Lines are medians over seeds, bands reach from the lowest to the highest seed. '
        "Where bands overlap to the end, the methods cannot be told apart. A click on a name hides it.</p>",
    ]
    for axis, title in (("seconds", "Against time"), ("epochs", "Against epochs")):
        parts.append(
            f'<h3>{title}</h3><div id="plot-{axis}" class="plot tall" role="img" aria-label="{title}"></div>'
        )
    return "".join(parts)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    def line(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f'<div class="wide"><table><thead>{line(heads, "th")}</thead><tbody>{body}</tbody></table></div>'


def _methods(result: Mapping[str, Any]) -> str:
    heads = ["method", "seeds", "trials", "epochs", "median MAE", "lowest", "highest", "to naive"]
    rows = []
    for name, row in result["summary"]["end"].items():
        gain = "-" if row["to_naive"] is None else f"{100 * row['to_naive']:+.1f} %"
        counts = [f"{row['seeds']}", f"{row['trials']:,.0f}", f"{row['epochs']:,.0f}"]
        errors = [words.number(row[key]) for key in ("median", "lowest", "highest")]
        rows.append([name, *counts, *errors, gain])
    return (
        '<h2>At the end of the searches</h2><p class="soft">Validation errors are optimistic: the best of '
        "many tries is luck in part. They rank methods; <code>lstune tune</code> tells the worth.</p>"
        + _table(heads, rows)
    )


def _searches(result: Mapping[str, Any]) -> str:
    rows = [
        [
            search["method"],
            str(search["seed"]),
            str(sum(search["trials"].values())),
            str(search["trials"]["failed"]),
            f"{search['epochs']:,}",
            f"{search['seconds']:,.1f}",
            words.number(search["best"]),
            search["ended"],
        ]
        for search in result["searches"]
    ]
    heads = ["method", "seed", "trials", "failed", "epochs", "seconds", "best MAE", "ended by"]
    return "<h2>Every search</h2>" + _table(heads, rows)


def _about(result: Mapping[str, Any]) -> str:
    asked = {key: value for key, value in result["asked"].items() if key not in ("space", "data")}
    asked = {f"{key}, seconds" if key in _TIMES else key: value for key, value in asked.items()}
    values = {**asked, "lstune": result["lstune"], "data (sha256)": result["series"]["fingerprint"]}
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(words.plain(value))}</dd>"
        for key, value in values.items()
        if value is not None
    )
    return f"<h2>This comparison</h2><dl>{rows}</dl>"
