"""Pictures and pages of a run; the only place that knows plotly."""
