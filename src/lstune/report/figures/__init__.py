"""ReportData to plotly figures, as plain dictionaries; the page adds colours and fonts.

A colour is written "$name" or "$name/opacity" and filled in by the page for its light or dark theme.
"""

from __future__ import annotations

from lstune.report.data import ReportData
from lstune.report.figures import search, series
from lstune.report.figures._parts import Figure, slice_names
from lstune.report.figures.series import first_view

__all__ = ["figures", "first_view", "slice_names"]


def figures(data: ReportData) -> dict[str, Figure]:
    """Every figure that the data allow, by the id of its place in the page."""
    made: dict[str, Figure | None] = {
        "forecast": series.forecast(data),
        "overview": series.overview(data),
        "steps": series.steps(data),
        "progress": search.progress(data),
        "rungs": search.rungs(data),
        "curves": search.curves(data),
        "training": search.training(data),
        "importance": search.importance(data),
        "parallel": search.parallel(data),
        "residuals": series.residuals(data),
        "histogram": series.histogram(data),
        "acf": series.acf(data),
    }
    for name in slice_names(data):
        made[f"slice-{name}"] = search.one_slice(data, name)
    return {name: figure for name, figure in made.items() if figure is not None}
