"""What a run was asked for: its options, and the command that would run the same again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from lstune.search.params import param_to_dict
from lstune.search.urls import hide_password
from lstune.series import READ_OPTIONS, format_reading

__all__ = ["asked", "command"]


def asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options and columns as they were asked for, without a database's password."""
    found = {**settings.get("options", {}), **_given(settings.get("reading", {}))}
    if isinstance(found.get("storage"), str):
        found["storage"] = hide_password(found["storage"])
    return found


def _given(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in reading.items() if value not in (None, "", [], ())}


_OPTIONS = {
    "horizon": 1,
    "method": None,
    "scheduler": None,
    "trials": None,
    "budget": None,
    "trial_timeout": None,
    "test_fraction": 0.15,
    "validation_fraction": 0.15,
    "seed": None,
    "workers": None,
    "folds": 1,
    "baselines": "auto",
}


def command(settings: Mapping[str, Any]) -> str | None:
    """The command that would run the same again; None where the data or the space came from Python."""
    source = settings.get("series", {}).get("source")
    changed = settings.get("changed")
    if source is None or changed is None:
        return None
    parts = ["lstune", "tune", shlex.quote(str(source))]
    reading = _given(settings.get("reading", {}))
    for name, value in reading.items():
        if name not in READ_OPTIONS:
            text = value if isinstance(value, str) else ",".join(map(str, value))
            parts.append(f"--{name} {shlex.quote(text)}")
    parts += [f"--read {shlex.quote(text)}" for text in format_reading(reading)]
    options = settings.get("options", {})
    for name, default in _OPTIONS.items():
        value = options.get(name, default)
        if value is None or value == default:
            continue
        text = f"{_exact(value)}s" if name in ("budget", "trial_timeout") else str(value)
        parts.append(f"--{name.replace('_', '-')} {shlex.quote(text)}")
    if options.get("ensemble") is False:
        parts.append("--no-ensemble")
    if options.get("large_grid"):
        parts.append("--yes")
    for name in changed:
        value = _override(settings, name)
        if value is None:
            return None
        parts.append(f"--set {shlex.quote(f'{name}={value}')}")
    return " ".join(parts)


def _exact(value: Any) -> str:
    """A value as a command takes it, to the last digit: 0.1, 60, adam."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _override(settings: Mapping[str, Any], name: str) -> str | None:
    """The value of a `--set`; None for what it has no words for."""
    param = settings["space"][name]
    table = param if isinstance(param, Mapping) else param_to_dict(param)
    kind = table.get("type")
    if "step" in table or table.get("when"):
        return None
    if kind == "fixed":
        return _exact(table["value"])
    if kind == "choice":
        return ",".join(_exact(option) for option in table["options"])
    return f"{_exact(table['low'])}..{_exact(table['high'])}" + (":log" if table.get("log") else "")
