"""The limits that a run was resumed with: settings.json keeps them until the run has its result.

They are what tells a finished run from one that was to search longer and was cut off, whose result.json is
still that of fewer trials. The options, which say how the run was begun, stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lstune.errors import RunError, UserError, explain
from lstune.search import Study
from lstune.tuning.folder import RunFolder
from lstune.tuning.options import TuneOptions

__all__ = ["current_options", "drop_limits", "is_finished", "take_limits", "times_scored"]

_KEPT = "resumed"


def current_options(settings: Mapping[str, Any]) -> TuneOptions:
    """The options in a run's settings, with the limits that it goes on under. Raises RunError."""
    try:
        options = TuneOptions(**settings["options"])
        kept = settings.get(_KEPT)
        return options if kept is None else replace(options, trials=kept["trials"], budget=kept["budget"])
    except (LookupError, TypeError) as error:
        raise RunError(explain("settings.json is damaged", str(error))) from error


def is_finished(folder: RunFolder) -> bool:
    """Whether the run has its result, and was neither interrupted nor cut off while it searched longer."""
    if _KEPT in folder.read_json("settings") or not folder.result.exists():
        return False
    return not folder.read_json("result").get("interrupted", False)


def times_scored(folder: RunFolder) -> int:
    """How often the run has scored its test tail, as its result.json says; 0 without one."""
    if not folder.result.exists():
        return 0
    try:
        # Results of earlier versions do not count: at least once.
        return int(folder.read_json("result").get("test", {}).get("scored", 1))
    except RunError:  # damaged, and about to be replaced
        return 1


def take_limits(folder: RunFolder, options: TuneOptions, study: Study, *, new: bool, fresh: bool) -> float:
    """The seconds of the budget that the run's trials have used; `new` limits are kept in settings.json.

    fresh: whether the budget begins now, so that what trials used before is none of it.
    """
    if new and options.trials is not None and options.trials < len(study.trials):
        raise UserError(
            explain(
                "trials counts those that the run has already",
                f"{options.trials}, and {len(study.trials)} are there",
                "Give a higher number",
            )
        )
    own = [trial for trial in study.trials if trial.worker == study.worker]
    used = sum(float(trial.attrs.get("seconds", 0.0)) for trial in own)
    settings = folder.read_json("settings")
    before = used if fresh else settings.get(_KEPT, {}).get("seconds_before", 0.0)
    if new:
        limits = {"trials": options.trials, "budget": options.budget, "seconds_before": before}
        folder.write_json("settings", {**settings, _KEPT: limits})
    return used - before


def drop_limits(folder: RunFolder) -> None:
    """Forget the limits that the run was resumed with, if its result is there."""
    settings = folder.read_json("settings")
    if _KEPT in settings and not folder.read_json("result").get("interrupted", False):
        del settings[_KEPT]
        folder.write_json("settings", settings)
