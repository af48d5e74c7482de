"""Series: reading, cleaning, cutting in time, and the way from rows to windows and back."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded on first use, so that importing the package does not load pandas.
_HOMES = {
    "CALENDAR_FEATURES": "calendar",
    "Fold": "splits",
    "Pipeline": "windows",
    "PipelineConfig": "windows",
    "SCALERS": "scalers",
    "Scaler": "scalers",
    "READ_OPTIONS": "reading",
    "Series": "data",
    "Split": "splits",
    "TRANSFORMS": "transforms",
    "WindowSet": "windows",
    "allowed_transforms": "transforms",
    "apart_note": "newer",
    "append_rows": "data",
    "coming_note": "known",
    "counted": "_rows",
    "feed_back": "feedback",
    "filled_note": "newer",
    "fit_pipeline": "windows",
    "format_reading": "reading",
    "future_timestamps": "data",
    "known_note": "known",
    "load_series": "data",
    "parse_reading": "reading",
    "read_newer": "newer",
    "read_series": "read",
    "recurse": "feedback",
    "save_series": "data",
    "scored_origins": "windows",
    "series_frame": "data",
    "split_series": "splits",
    "take_rows": "data",
    "truth_after": "windows",
    "with_known": "known",
    "with_season_of": "season",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
